package guidance_test

import (
	"image"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/guidance"
)

// shift returns a with its face displaced and enlarged, in face widths.
func shift(a kiosk.Assessment, x, y, larger float64) kiosk.Assessment {
	w := float64(a.Face.Dx())
	grown := w * (1 + larger)
	at := image.Pt(int(math.Round(float64(a.Face.Min.X)+x*w-(grown-w)/2)), int(math.Round(float64(a.Face.Min.Y)+y*w-(grown-w)/2)))
	a.Face = image.Rectangle{Min: at, Max: at.Add(image.Pt(int(math.Round(grown)), int(math.Round(grown))))}
	return a
}

func TestAFaceThatMovesIsToldToHoldStill(t *testing.T) {
	for _, tt := range []struct {
		name string
		at   func(seconds, tremble float64) kiosk.Assessment
		want kiosk.Hint
	}{
		{"nothing moves", func(float64, float64) kiosk.Assessment { return good() }, kiosk.GoodHold},
		{"a box that trembles", func(_, d float64) kiosk.Assessment { return shift(good(), 0.015*d, -0.015*d, 0.01*d) }, kiosk.GoodHold},
		{"angles that tremble", func(_, d float64) kiosk.Assessment {
			a := good()
			a.Yaw, a.Pitch, a.Roll = float32(2*d), float32(-3*d), float32(d)
			return a
		}, kiosk.GoodHold},
		{"somebody sways", func(s, _ float64) kiosk.Assessment { return shift(good(), 0.1*math.Sin(2*s), 0, 0) }, kiosk.GoodHold},
		{"a step aside, slowly", func(s, _ float64) kiosk.Assessment { return shift(good(), 0.4*s-0.25, 0, 0) }, kiosk.GoodHold},
		{"a step aside", func(s, _ float64) kiosk.Assessment { return shift(good(), 0.7*s-0.4, 0, 0) }, kiosk.HoldStill},
		{"bounces", func(s, _ float64) kiosk.Assessment { return shift(good(), 0, 0.2*math.Sin(6*s), 0) }, kiosk.HoldStill},
		{"walks up at half a metre a second", func(s, _ float64) kiosk.Assessment { return shift(good(), 0, 0, 0.7*min(s, 0.5)-0.16) }, kiosk.GoodHold},
		{"turns the head from one side to the other", func(s, _ float64) kiosk.Assessment {
			a := good()
			a.Yaw = float32(28*min(max(s-0.4, 0)/0.35, 1) - 14)
			return a
		}, kiosk.HoldStill},
		{"nods", func(s, _ float64) kiosk.Assessment {
			a := good()
			a.Pitch = float32(28*min(max(s-0.4, 0)/0.35, 1) - 20)
			return a
		}, kiosk.HoldStill},
		{"moves and is blurred: the cause is told", func(s, _ float64) kiosk.Assessment {
			a := shift(good(), 0.7*s-0.4, 0, 0)
			a.Sharpness = 3
			return a
		}, kiosk.HoldStill},
		{"stands and is blurred", func(_, d float64) kiosk.Assessment {
			a := shift(good(), 0.01*d, 0, 0)
			a.Sharpness = 3
			return a
		}, kiosk.Blurred},
		{"moves with the mouth open: what gates comes first", func(s, _ float64) kiosk.Assessment {
			a := shift(good(), 0.7*s-0.4, 0, 0)
			a.MouthOpen = 0.3
			return a
		}, kiosk.HoldStill},
		{"moves too far away: the distance comes first", func(s, _ float64) kiosk.Assessment {
			a := shift(good(), 0.7*s-0.4, 0, 0)
			a.IED = 50
			return a
		}, kiosk.FaceTooFar},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, rate := range []int{8, 15, 30} { // frames a second
				p, rng := guidance.Standard(), rand.New(rand.NewPCG(1, 1))
				var s guidance.State
				met := map[kiosk.Hint]int{}
				for i := range rate * 9 / 10 {
					seconds := float64(i) / float64(rate)
					a := tt.at(seconds, 2*rng.Float64()-1)
					a.At = time.Hour + time.Duration(seconds*float64(time.Second))
					// Frames are looked at when the processor gets to them: only their own times count.
					s = p.Step(s, a.At+time.Duration(rng.IntN(int(300*time.Millisecond))), kiosk.Far, a)
					if seconds >= 0.4 { // before, it has hardly moved
						met[s.Raw]++
					}
				}
				if met[tt.want] == 0 || tt.want == kiosk.GoodHold && len(met) > 1 || len(met) > 2 {
					t.Errorf("%d frames/s: hints %v, want %s", rate, met, tt.want)
				}
			}
		})
	}
}

// TestWhoHoldsStillIsCaptured stops a moving face: the hint may stand for its
// dwell, and the hold runs meanwhile.
func TestWhoHoldsStillIsCaptured(t *testing.T) {
	p := guidance.Standard()
	var s guidance.State
	at := time.Hour
	step := func(a kiosk.Assessment) {
		at += 100 * time.Millisecond
		a.At = at
		s = p.Step(s, at, kiosk.Far, a)
	}
	for i := range 10 {
		step(shift(good(), 0.25*float64(i%2), 0, 0))
	}
	if s.Hint != kiosk.HoldStill || s.Good() {
		t.Fatalf("while it moves: %+v", s)
	}
	stopped := at
	for !p.Held(s, at) {
		if step(good()); at-stopped > 5*time.Second {
			t.Fatalf("never held: %+v", s)
		}
	}
	if took := at - stopped; took < p.Hold || took > p.Hold+400*time.Millisecond {
		t.Errorf("held %v after it stopped, want the hold of %v and at most 400ms for the motion to be over", took, p.Hold)
	}
}

// TestAFaceThatComesAndGoesHasNoMotion: what is between two people is not motion.
func TestAFaceThatComesAndGoesHasNoMotion(t *testing.T) {
	p := guidance.Standard()
	var s guidance.State
	for i, a := range []kiosk.Assessment{shift(good(), -0.2, 0, 0), {Size: good().Size, Luma: 90}, shift(good(), 0.2, 0, 0)} {
		a.At = time.Hour + time.Duration(i)*100*time.Millisecond
		if s = p.Step(s, a.At, kiosk.Far, a); s.Motion != 0 {
			t.Errorf("frame %d: motion %g", i, s.Motion)
		}
	}
}
