package guidancetest

import (
	"image"
	"math"
	"math/rand/v2"
	"time"

	"livekiosk/kiosk"
)

// The camera of the simulation, and the person: those of camera/replay.
const (
	faceBox = 0.155 // of the detector's face box on an adult, metres
	focal   = 1.53  // of the camera / the short side of its frame
	wide    = 1280  // of its frame, pixels
	high    = 720
	shutter = 20 * time.Millisecond // for which a frame is exposed
)

// A Sight is what the camera sees of a face in one frame.
type Sight struct {
	At    time.Duration
	Width float64 // of the face box / the frame's short side
	X, Y  float64 // of its centre / the frame's width and height

	Yaw, Pitch, Roll float64 // of the head against the camera's axis, degrees
	Aside, Up        float64 // of the head against the line to the camera, degrees

	MoveX, MoveY float64 // by how much the face moved while the frame was exposed / the short side
}

// see projects a body, and where it was when the shutter opened. Who stands beside
// the axis faces the camera all the same.
func see(opened, b Body, at time.Duration) Sight {
	const degrees = 180 / math.Pi
	place := func(b Body) (x, y float64) { return focal * b.X / b.Away, focal * b.Y / b.Away }
	x, y := place(b)
	x0, y0 := place(opened)
	return Sight{
		At:    at,
		Width: faceBox * focal * b.Size / b.Away,
		X:     0.5 + x*high/wide, Y: 0.5 + y,
		Yaw: b.Yaw - math.Atan(b.X/b.Away)*degrees, Pitch: b.Pitch + math.Atan(b.Y/b.Away)*degrees, Roll: b.Roll,
		Aside: b.Yaw, Up: b.Pitch,
		MoveX: x - x0, MoveY: y - y0,
	}
}

// Measure returns what the networks measure of a face in good light, by geometry
// alone: the same as on composed pictures but for what pictures_test.go allows. It
// draws from rng how the detector's box and the angles tremble.
func Measure(rng *rand.Rand, s Sight) kiosk.Assessment {
	a := kiosk.Assessment{At: s.At, Size: image.Pt(wide, high), Luma: 120, Background: 140}
	const seen = 0.3 // of the face's width from its centre: less of it in the picture is no face to the detector
	if s.Width < 0.095 || math.Abs(s.X-0.5)*wide > wide/2-seen*s.Width*high || math.Abs(s.Y-0.5) > 0.5-seen*s.Width {
		return a
	}
	tremble := func(deviation float64) float64 { return deviation * rng.NormFloat64() }
	w := 0.98 * s.Width * high
	side := int(math.Round(w * (1 + tremble(0.01))))
	corner := image.Pt(int(math.Round((0.5+0.93*(s.X-0.5))*wide+tremble(0.01)*w)), int(math.Round((0.5+0.96*(s.Y-0.5))*high+tremble(0.01)*w)))
	corner = corner.Sub(image.Pt(side/2, side/2))
	a.Faces, a.Face = 1, image.Rectangle{Min: corner, Max: corner.Add(image.Pt(side, side))}
	a.IED = float32(0.44 * w)
	a.Yaw, a.Pitch, a.Roll = float32(s.Aside+1.5+tremble(1)), float32(s.Up-4.5+tremble(1)), float32(s.Roll-1.2+tremble(0.5))
	a.EyesOpen, a.Cover.Irises = 0.075, 0.11
	a.FaceLuma, a.Sharpness = 140, 300
	a.Live, a.LiveUsable = 0.97, true
	return a
}
