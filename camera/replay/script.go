package replay

import (
	"image"
	"math"
	"time"
)

// A mark is where the face is at one time of the script; between two marks it
// moves smoothly.
type mark struct {
	at    time.Duration
	width float64 // of the detector's square face box / the frame's short side; 0: nobody
	x     float64 // of the box's centre / the frame's width
	walk  float64 // how much the steps are seen, 0..1
}

// script returns what the visitor does, in order of time. The widths lie well
// inside what guidance accepts: 0.27..0.40 far and 0.43..0.62 near.
func script() []mark {
	const s = time.Second
	return []mark{
		{0, 0, 0, 0}, // nobody
		{s, 0.12, -0.10, 1},
		{26 * s / 10, 0.165, 0.22, 1}, // walked up: too far away
		{34 * s / 10, 0.185, 0.26, 0.3},
		{40 * s / 10, 0.345, 0.28, 0.8}, // near enough, but off to the side
		{52 * s / 10, 0.345, 0.28, 0},
		{60 * s / 10, 0.34, 0.5, 1},   // steps to the middle
		{87 * s / 10, 0.34, 0.5, 0},   // holds, far
		{99 * s / 10, 0.525, 0.5, 0},  // comes closer
		{130 * s / 10, 0.525, 0.5, 0}, // holds, near
		{134 * s / 10, 0.38, 0.62, 0.5},
		{140 * s / 10, 0.30, 1.32, 1}, // left
		{141 * s / 10, 0, 0, 0},
	}
}

// scriptLength is how long one round takes.
func scriptLength() time.Duration {
	m := script()
	return m[len(m)-1].at
}

// nearBy is when the visitor holds near, and would go on doing so.
const nearBy = 12 * time.Second

// visitor returns the person at a time of the script in a frame of a size, who stays
// near for so much longer; nobody where the script has nobody.
func visitor(now, stay time.Duration, size image.Point) Person {
	at := now
	if at > nearBy {
		at = max(nearBy, now-stay)
	}
	marks := script()
	i := 0
	for i+1 < len(marks) && marks[i+1].at <= at {
		i++
	}
	if i+1 == len(marks) || marks[i].width == 0 || marks[i+1].width == 0 {
		return Person{}
	}
	a, b := marks[i], marks[i+1]
	u := (at - a.at).Seconds() / (b.at - a.at).Seconds()
	u = u * u * (3 - 2*u)

	// Nobody stands quite still. Periods have no common multiple within a
	// round, amplitudes are of a person who tries to.
	t := 2 * math.Pi * now.Seconds()
	px := float64(min(size.X, size.Y)) / 720
	// One step is half a second: the head rises and dips with it.
	step := math.Abs(math.Sin(t)) * 9 * px * (a.walk + (b.walk-a.walk)*u)
	return Person{
		Width: a.width + (b.width-a.width)*u,
		X:     a.x + (b.x-a.x)*u + px*(1.3*math.Sin(t/3.1)+0.5*math.Sin(t/1.3))/float64(size.X),
		Y:     0.5 + (px*(0.9*math.Sin(t/2.3+1)+0.4*math.Sin(t/0.9))-step)/float64(size.Y),
		Yaw:   -1.0 * math.Sin(t/4.7),
		Pitch: 0.6 * math.Sin(t/3.7+2),
		Roll:  0.5 * math.Sin(t/5.3),
	}
}

// focal is the camera's focal length / the short side: a webcam that sees
// about 60 degrees over the long side of a 16:9 frame.
const focal = 1.53

func rad(degrees float64) float64 { return degrees * math.Pi / 180 }
