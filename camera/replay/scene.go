package replay

import (
	"cmp"
	"fmt"
	"image"
	"time"
)

// A Scene is who stands in front of the camera at one moment.
type Scene struct {
	// People are the persons in sight, from the farthest to the nearest.
	People []Person

	Light Light
	Lens  Lens

	// At chooses the sensor's noise: two moments have different noise.
	At time.Duration
}

// A Person is where and how one person is, seen by the camera. The zero Person
// is nobody.
type Person struct {
	// Width is the width of the detector's square face box while the head is
	// held straight / the frame's short side: how near the person is. It is
	// that of depth zero, near the middle of the head, so perspective changes
	// with it. 0: nobody.
	Width float64

	// X and Y are the centre of that box / the frame's width and height, from
	// its left upper corner; outside of 0..1 the person is out of sight.
	X, Y float64

	// Yaw, Pitch and Roll turn the head, in degrees and signed as
	// kiosk.Assessment signs them; the shoulders stay. Beyond some 45 degrees
	// there is no picture of the side of the head that would be seen.
	Yaw, Pitch, Roll float64

	// Print shows a faded print that a hand holds up, instead of a head.
	Print bool

	// Visitor is who it is; nil is the officer as in the portrait. A print is
	// always of that one.
	Visitor *Visitor
}

// faceBox is the width of the detector's face box on an adult, in metres.
const faceBox = 0.155

// Width returns the Width of a Person whose face is that many metres in front
// of the camera: 0.34 at 0.7 m. Distances of less than 0.2 m count as that.
func Width(metres float64) float64 { return faceBox * focal / max(metres, 0.2) }

// A Composer draws scenes. It is for one goroutine at a time.
type Composer struct {
	room    *room
	officer *portrait
	head    *figure // nil until it is needed, as print
	print   *figure
	seed    uint64
}

// NewComposer returns a composer of pictures of a size in pixels, each side
// 240..3840. The seed chooses the noise and the plant's leaves in the room.
func NewComposer(size image.Point, seed uint64) (*Composer, error) {
	if min(size.X, size.Y) < minSide || max(size.X, size.Y) > maxSide {
		return nil, fmt.Errorf("replay: size %dx%d: want each side in %d..%d pixels", size.X, size.Y, minSide, maxSide)
	}
	officer, err := loadOfficer()
	if err != nil {
		return nil, err
	}
	return &Composer{room: newRoom(size, seed), officer: officer, seed: seed}, nil
}

// Size is the size of the pictures in pixels.
func (c *Composer) Size() image.Point { return c.room.back.Rect.Size() }

// Draw overwrites dst, which must have the composer's size and begin at (0, 0),
// with an opaque picture of s. It depends on the size, the seed and s only: the
// same bytes come out on every run of the same build.
func (c *Composer) Draw(dst *image.RGBA, s Scene) {
	s.Light.behind(dst, c.room.back)
	for _, p := range s.People {
		if p.Width > 0 {
			c.figure(p).draw(dst, p.stance(dst.Rect.Size()), s.Light)
		}
	}
	s.Lens.look(dst)
	c.room.amplify(cmp.Or(s.Lens.Noise, 1))
	c.room.shot(dst, s.At)
}

func (c *Composer) figure(p Person) *figure {
	if p.Print {
		if c.print == nil {
			c.print = newPrint(c.officer, c.seed)
		}
		return c.print
	}
	if p.Visitor != nil {
		return p.Visitor.figure
	}
	if c.head == nil {
		c.head = newHead(c.officer)
	}
	return c.head
}

// A stance is where and how a figure is held in front of the camera.
type stance struct {
	face             float64 // width of the face box, pixels
	x, y             float64 // of the box's centre, pixels
	yaw, pitch, roll float64 // radians, added to the portrait's own
	focal            float64 // of the camera, pixels
}

func (p Person) stance(size image.Point) stance {
	short := float64(min(size.X, size.Y))
	return stance{
		face: short * p.Width,
		x:    float64(size.X) * p.X, y: float64(size.Y) * p.Y,
		yaw: rad(-p.Yaw), pitch: rad(p.Pitch), roll: rad(p.Roll),
		focal: short * focal,
	}
}
