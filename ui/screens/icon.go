package screens

import (
	"image"
	"math"
	"strconv"
	"strings"

	"gioui.org/f32"
	"gioui.org/op"
	"gioui.org/op/clip"

	"livekiosk/kiosk"
)

// An icon is a drawing of strokes on a square of 48 by 48, in a small language
// of its own: "M x y" moves, "L x y" draws a line, "C" a cubic curve, "Z"
// closes, "O cx cy rx ry" is an ellipse, and "A cx cy rx ry from sweep" a part
// of one, in degrees clockwise from three o'clock.
type icon string

// The icons. Directions are those of the mirror: left is the visitor's left
// and on the left of the display.
const (
	iconMark   icon = "A 24 24 16.5 21 -40 290 O 24 21 6 7.5 M 13.5 38 C 15 31.5 33 31.5 34.5 38"
	iconCheck  icon = "M 10 25 L 20 35 L 38 14"
	iconPerson icon = "O 24 16 8.5 9.5 M 7 43 C 7 33 14 30 24 30 C 34 30 41 33 41 43"
	iconPeople icon = "O 17 17 7 8 M 4 41 C 4 32 9 29 17 29 C 25 29 30 32 30 41 M 31 9.5 C 40 9 40 25 31 24.5 M 35 29.5 C 41 31 44 35 44 41"
	iconLeft   icon = "M 42 24 L 8 24 M 22 9 L 7 24 L 22 39"
	iconRight  icon = "M 6 24 L 40 24 M 26 9 L 41 24 L 26 39"
	iconUp     icon = "M 24 42 L 24 8 M 9 22 L 24 7 L 39 22"
	iconDown   icon = "M 24 6 L 24 40 M 9 26 L 24 41 L 39 26"

	iconCloser   icon = "O 24 24 8 10.5 M 6 15 L 6 6 L 15 6 M 33 6 L 42 6 L 42 15 M 42 33 L 42 42 L 33 42 M 15 42 L 6 42 L 6 33"
	iconFarther  icon = "O 24 24 5 6.5 M 15 5 L 15 15 L 5 15 M 33 5 L 33 15 L 43 15 M 43 33 L 33 33 L 33 43 M 5 33 L 15 33 L 15 43"
	iconTurnL    icon = "O 24 16 9 12 M 41 29 C 38 40 16 42 8 35 M 7.5 44 L 7 34 L 17 33.5"
	iconTurnR    icon = "O 24 16 9 12 M 7 29 C 10 40 32 42 40 35 M 40.5 44 L 41 34 L 31 33.5"
	iconChinUp   icon = "O 18 17 8 10 M 3 44 C 4 36 9 33.5 18 33.5 C 27 33.5 32 36 33 44 M 40 30 L 40 8 M 33 14 L 40 7 L 47 14"
	iconChinDown icon = "O 18 17 8 10 M 3 44 C 4 36 9 33.5 18 33.5 C 27 33.5 32 36 33 44 M 40 7 L 40 29 M 33 23 L 40 30 L 47 23"
	iconStraight icon = "O 24 24 11 15 M 24 2 L 24 5 M 24 43 L 24 46 M 24 17 L 24 31"

	iconSun     icon = "O 24 24 8 8 M 24 4 L 24 8 M 24 40 L 24 44 M 4 24 L 8 24 M 40 24 L 44 24 M 10 10 L 12.6 12.6 M 35.4 35.4 L 38 38 M 38 10 L 35.4 12.6 M 12.6 35.4 L 10 38"
	iconMoon    icon = "M 29 6 C 17 7 9 16 10 27 C 11 37 21 44 31 41 C 36 39.5 40 36 42 31 C 34 34 25 31 22 24 C 20 18 23 10 29 6 Z"
	iconBehind  icon = "O 24 31 8 9 M 8 37 C 6 15 17 8 24 8 C 31 8 42 15 40 37 M 24 1.5 L 24 3 M 5 12 L 6.5 13.5 M 43 12 L 41.5 13.5"
	iconHalf    icon = "O 24 24 15 19 M 24 5 L 24 43 M 30 12 L 30 36 M 36 17 L 36 31"
	iconGlasses icon = "O 14 27 9 9 O 34 27 9 9 M 23 26 C 23.6 24.6 24.4 24.6 25 26 M 5 25 L 8 13 M 43 25 L 40 13"
	iconShades  icon = "M 4 17 L 44 17 M 6 17 L 8 30 C 9 34 19 34 20 30 L 22 17 M 26 17 L 28 30 C 29 34 39 34 40 30 L 42 17 M 10 23 L 18 23 M 11 28 L 17 28 M 30 23 L 38 23 M 31 28 L 37 28"
	iconMask    icon = "M 12 18 C 18 15 30 15 36 18 L 36 28 C 36 36 30 40 24 40 C 18 40 12 36 12 28 Z M 12 20 L 4 17 M 36 20 L 44 17 M 18 25 L 30 25 M 18 32 L 30 32"
	iconEye     icon = "M 3 24 C 12 10 36 10 45 24 C 36 38 12 38 3 24 Z O 24 24 6 6"
	iconEyeOff  icon = "M 4 20 C 12 33 36 33 44 20 M 10 27 L 6 33 M 38 27 L 42 33 M 19 30 L 17.5 37 M 29 30 L 30.5 37"
	iconMouth   icon = "M 6 23 C 12 15 20 15 24 18 C 28 15 36 15 42 23 C 35 36 13 36 6 23 Z M 6 23 C 16 25 32 25 42 23"
	iconCovered icon = "O 24 24 13 18 M 6 41 L 42 7"
	iconNeutral icon = "O 24 24 19 19 M 17 18.5 L 17 20.5 M 31 18.5 L 31 20.5 M 16 32 L 32 32"
	iconCamera  icon = "M 5 15 L 14 15 L 18 9 L 30 9 L 34 15 L 43 15 L 43 40 L 5 40 Z O 24 27 8 8"
	iconNoLens  icon = "M 5 15 L 14 15 L 18 9 L 30 9 L 34 15 L 43 15 L 43 40 L 5 40 Z O 24 27 8 8 M 4 45 L 44 4"
	iconHold    icon = "O 24 24 19 19 M 19 17 L 19 31 M 29 17 L 29 31"
	iconBolt    icon = "M 27 4 L 10 27 L 22 27 L 19 44 L 38 19 L 26 19 Z"
	iconNoBolt  icon = "M 27 4 L 10 27 L 22 27 L 19 44 L 38 19 L 26 19 Z M 4 6 L 44 42"

	iconClock  icon = "O 24 24 19 19 M 24 12 L 24 24 L 32 29"
	iconTray   icon = "M 24 5 L 24 28 M 14 19 L 24 29 L 34 19 M 6 29 L 6 42 L 42 42 L 42 29"
	iconAgain  icon = "A 24 25 16 16 -25 290 M 16 3 L 23.5 9 L 17 16.5"
	iconStaff  icon = "O 19 19 7.5 8.5 M 4 43 C 4 34 10 31.5 19 31.5 C 28 31.5 34 34 34 43 M 31 5 L 45 5 L 45 17 L 39 17 L 34.5 21.5 L 34.5 17 L 31 17 Z"
	iconLeave  icon = "M 27 6 L 9 6 L 9 42 L 27 42 M 20 24 L 43 24 M 34 15 L 43 24 L 34 33"
	iconNotice icon = "O 24 24 19 19 M 24 14 L 24 26 M 24 33.5 L 24 34"
	iconIdeal  icon = "O 24 20 11.5 15.5 O 20 18 1 1.3 O 28 18 1 1.3 M 20.5 27 C 22 27.6 26 27.6 27.5 27 M 2 50 C 4 44 13 43 24 43 C 35 43 44 44 46 50"

	iconGlobe    icon = "O 24 24 19 19 O 24 24 8 19 M 5 24 L 43 24"
	iconLarge    icon = "M 3 38 L 15 8 L 27 38 M 7.5 28 L 22.5 28 M 29 38 L 37 19 L 45 38 M 32 32 L 42 32"
	iconContrast icon = "O 24 24 19 19 M 24 5 L 24 43 M 29 7 L 29 41 M 34 9 L 34 39 M 39 14 L 39 34"
	iconNoClock  icon = "O 24 24 19 19 M 24 12 L 24 24 L 32 29 M 4 44 L 44 4"

	iconPaper icon = "M 11 4 L 29 4 L 38 13 L 38 44 L 11 44 Z M 29 4 L 29 13 L 38 13 M 18 22 L 31 22 M 18 29 L 31 29 M 18 36 L 26 36"
)

// hintIcon returns the picture of h, so that no hint needs to be read.
func hintIcon(h kiosk.Hint) icon {
	switch h {
	case kiosk.CameraBlocked, kiosk.LensSmudge:
		return iconNoLens
	case kiosk.NoFace, kiosk.NoHint:
		return iconPerson
	case kiosk.MultipleFaces:
		return iconPeople
	case kiosk.FaceTooFar, kiosk.MoveCloser:
		return iconCloser
	case kiosk.FaceTooClose:
		return iconFarther
	case kiosk.MoveLeft:
		return iconLeft
	case kiosk.MoveRight:
		return iconRight
	case kiosk.MoveUp:
		return iconUp
	case kiosk.MoveDown:
		return iconDown
	case kiosk.TooDark:
		return iconMoon
	case kiosk.TooBright, kiosk.GlareSkin:
		return iconSun
	case kiosk.Backlit:
		return iconBehind
	case kiosk.UnevenLight:
		return iconHalf
	case kiosk.GlareGlasses:
		return iconGlasses
	case kiosk.Sunglasses:
		return iconShades
	case kiosk.Mask:
		return iconMask
	case kiosk.EyesCovered:
		return iconEye
	case kiosk.MouthCovered:
		return iconMouth
	case kiosk.FaceCovered:
		return iconCovered
	case kiosk.TurnLeft:
		return iconTurnL
	case kiosk.TurnRight:
		return iconTurnR
	case kiosk.ChinUp:
		return iconChinUp
	case kiosk.ChinDown:
		return iconChinDown
	case kiosk.StraightenHead:
		return iconStraight
	case kiosk.EyesClosed:
		return iconEyeOff
	case kiosk.NotNeutral:
		return iconNeutral
	case kiosk.Blurred, kiosk.HoldStill:
		return iconHold
	case kiosk.GoodHold:
		return iconCheck
	case kiosk.FlashWarning:
		return iconBolt
	case kiosk.Processing:
		return iconClock
	case kiosk.SavedOffline:
		return iconTray
	case kiosk.TryAgain:
		return iconAgain
	case kiosk.CallStaff:
		return iconStaff
	}
	return iconPerson
}

// pen is the width of an icon's strokes on its square of 48.
const pen = 3.4

// A shape is a path recorded once, in operations of its own, and drawn in many
// frames: the renderer finds it again by itself.
type shape struct {
	ops  *op.Ops
	spec clip.PathSpec
}

// record builds a shape.
func record(build func(p *clip.Path)) shape {
	s := shape{ops: new(op.Ops)}
	var p clip.Path
	p.Begin(s.ops)
	build(&p)
	s.spec = p.End()
	return s
}

// A tracer takes a path. *clip.Path is one.
type tracer interface {
	MoveTo(to f32.Point)
	LineTo(to f32.Point)
	CubeTo(c0, c1, to f32.Point)
}

// trace draws ic's path at the given scale. It stops where the drawing cannot
// be read; a test reads them all.
func trace(p tracer, ic icon, scale float32) bool {
	words := strings.Fields(string(ic))
	var start f32.Point
	for len(words) > 0 {
		cmd := words[0]
		n, known := map[string]int{"M": 2, "L": 2, "C": 6, "Z": 0, "O": 4, "A": 6}[cmd]
		if !known || len(words) <= n {
			return false
		}
		var v [6]float32
		for i := range n {
			x, err := strconv.ParseFloat(words[1+i], 32)
			if err != nil {
				return false
			}
			v[i] = float32(x)
		}
		words = words[1+n:]
		pt := func(i int) f32.Point { return f32.Pt(v[i]*scale, v[i+1]*scale) }
		switch cmd {
		case "M":
			start = pt(0)
			p.MoveTo(start)
		case "L":
			p.LineTo(pt(0))
		case "C":
			p.CubeTo(pt(0), pt(2), pt(4))
		case "Z":
			p.LineTo(start)
		case "O":
			arc(p, pt(0), pt(2), 0, 360)
		case "A":
			arc(p, pt(0), pt(2), v[4], v[5])
		}
	}
	return true
}

// arc draws part of an ellipse about centre with the half axes radius, from an
// angle over sweep degrees, clockwise from three o'clock; a negative sweep
// runs the other way.
func arc(p tracer, centre, radius f32.Point, from, sweep float32) {
	p.MoveTo(on(centre, radius, from))
	more(p, centre, radius, from, sweep)
}

// more is arc from where the pen is, in cubic curves of at most 45 degrees,
// whose error is far below a pixel.
func more(p tracer, centre, radius f32.Point, from, sweep float32) {
	n := max(1, int(math.Ceil(math.Abs(float64(sweep))/45)))
	step := sweep / float32(n)
	k := float32(4. / 3 * math.Tan(float64(step)*math.Pi/720))
	for i := range n {
		a, b := from+step*float32(i), from+step*float32(i+1)
		p0, p1 := on(centre, radius, a), on(centre, radius, b)
		t0, t1 := on(f32.Point{}, radius, a+90), on(f32.Point{}, radius, b+90) // tangents
		p.CubeTo(p0.Add(t0.Mul(k)), p1.Sub(t1.Mul(k)), p1)
	}
}

// on returns the point of an ellipse at an angle in degrees, clockwise from
// three o'clock.
func on(centre, radius f32.Point, angle float32) f32.Point {
	sin, cos := math.Sincos(float64(angle) * math.Pi / 180)
	return f32.Pt(centre.X+radius.X*float32(cos), centre.Y+radius.Y*float32(sin))
}

// band draws the outline of a band of the given width on the edge of oval,
// from the top over sweep degrees clockwise, with round ends unless it closes.
// An outline has far fewer pieces than the stroke that looks the same.
func band(p *clip.Path, oval image.Rectangle, width, sweep float32) {
	if sweep <= 0 {
		return
	}
	centre := f32.Pt(float32(oval.Min.X+oval.Max.X)/2, float32(oval.Min.Y+oval.Max.Y)/2)
	radius := f32.Pt(float32(oval.Dx())/2, float32(oval.Dy())/2)
	half := f32.Pt(width/2, width/2)
	arc(p, centre, radius.Add(half), -90, sweep)
	if sweep >= 360 {
		p.Close()
		arc(p, centre, radius.Sub(half), -90, -sweep) // against the sense of the first: a hole
		p.Close()
		return
	}
	p.LineTo(on(centre, radius.Sub(half), sweep-90))
	more(p, centre, radius.Sub(half), sweep-90, -sweep)
	p.Close()
	for _, end := range []float32{-90, sweep - 90} {
		arc(p, on(centre, radius, end), half, 0, 360)
		p.Close()
	}
}
