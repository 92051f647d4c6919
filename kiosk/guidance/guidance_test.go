package guidance_test

import (
	"image"
	"math/rand/v2"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/guidance"
)

// good returns an assessment that has nothing wrong in the far pose.
func good() kiosk.Assessment {
	return kiosk.Assessment{
		Frame: 1, Size: image.Pt(1280, 720), Luma: 110, Faces: 1,
		Face: image.Rect(520, 240, 760, 480), IED: 105, EyesOpen: 0.08,
		FaceLuma: 120, Background: 110, Sharpness: 200, Live: 0.9, LiveUsable: true,
	}
}

func TestEachHintHasItsCause(t *testing.T) {
	for _, tt := range []struct {
		name string
		pose kiosk.Pose
		mend func(*kiosk.Assessment)
		want kiosk.Hint
	}{
		{"nothing is wrong", kiosk.Far, func(*kiosk.Assessment) {}, kiosk.GoodHold},
		{"no frame at all", kiosk.Far, func(a *kiosk.Assessment) { a.Size = image.Point{} }, kiosk.CameraBlocked},
		{"a thumb on the lens", kiosk.Far, func(a *kiosk.Assessment) { *a = kiosk.Assessment{Size: a.Size, Luma: 4} }, kiosk.CameraBlocked},
		{"nobody", kiosk.Far, func(a *kiosk.Assessment) { *a = kiosk.Assessment{Size: a.Size, Luma: 90} }, kiosk.NoFace},
		{"two people side by side", kiosk.Far, func(a *kiosk.Assessment) { a.Faces, a.Second = 2, 0.8 }, kiosk.MultipleFaces},
		{"somebody small in the background", kiosk.Far, func(a *kiosk.Assessment) { a.Faces, a.Second = 2, 0.1 }, kiosk.GoodHold},
		{"two steps away", kiosk.Far, func(a *kiosk.Assessment) { a.Face, a.IED = image.Rect(590, 310, 690, 410), 45 }, kiosk.FaceTooFar},
		{"the far distance in the near pose", kiosk.Near, func(*kiosk.Assessment) {}, kiosk.MoveCloser},
		{"near in the near pose", kiosk.Near, func(a *kiosk.Assessment) { a.Face, a.IED = image.Rect(460, 180, 820, 540), 160 }, kiosk.GoodHold},
		{"near in the far pose", kiosk.Far, func(a *kiosk.Assessment) { a.Face, a.IED = image.Rect(460, 180, 820, 540), 160 }, kiosk.FaceTooClose},
		{"at the left of the image, which is the person's right", kiosk.Far, func(a *kiosk.Assessment) { a.Face = a.Face.Add(image.Pt(-200, 0)) }, kiosk.MoveLeft},
		{"at the right of the image", kiosk.Far, func(a *kiosk.Assessment) { a.Face = a.Face.Add(image.Pt(200, 0)) }, kiosk.MoveRight},
		{"low in the image", kiosk.Far, func(a *kiosk.Assessment) { a.Face = a.Face.Add(image.Pt(0, 120)) }, kiosk.MoveUp},
		{"high in the image", kiosk.Far, func(a *kiosk.Assessment) { a.Face = a.Face.Add(image.Pt(0, -120)) }, kiosk.MoveDown},
		{"dusk", kiosk.Far, func(a *kiosk.Assessment) { a.FaceLuma = 25 }, kiosk.TooDark},
		{"a lamp in the face", kiosk.Far, func(a *kiosk.Assessment) { a.FaceLuma = 235 }, kiosk.TooBright},
		{"burnt-out skin", kiosk.Far, func(a *kiosk.Assessment) { a.Over = 0.2 }, kiosk.TooBright},
		{"a window behind", kiosk.Far, func(a *kiosk.Assessment) { a.FaceLuma, a.Background = 60, 220 }, kiosk.Backlit},
		{"a lamp from the side", kiosk.Far, func(a *kiosk.Assessment) { a.Uneven = 0.9 }, kiosk.UnevenLight},
		{"turned to the left", kiosk.Far, func(a *kiosk.Assessment) { a.Yaw = 25 }, kiosk.TurnRight},
		{"turned to the right", kiosk.Far, func(a *kiosk.Assessment) { a.Yaw = -25 }, kiosk.TurnLeft},
		{"straight, as the mesh reads it", kiosk.Far, func(a *kiosk.Assessment) { a.Pitch = -13 }, kiosk.GoodHold},
		{"chin up", kiosk.Far, func(a *kiosk.Assessment) { a.Pitch = 25 }, kiosk.ChinDown},
		{"chin down", kiosk.Far, func(a *kiosk.Assessment) { a.Pitch = -25 }, kiosk.ChinUp},
		{"tilted", kiosk.Far, func(a *kiosk.Assessment) { a.Roll = -25 }, kiosk.StraightenHead},
		{"eyes closed", kiosk.Far, func(a *kiosk.Assessment) { a.EyesOpen = 0.01 }, kiosk.EyesClosed},
		{"blurred", kiosk.Far, func(a *kiosk.Assessment) { a.Sharpness = 3 }, kiosk.Blurred},
		{"too far and too dark: the distance comes first", kiosk.Far, func(a *kiosk.Assessment) { a.Face, a.FaceLuma = image.Rect(590, 310, 690, 410), 20 }, kiosk.FaceTooFar},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := good()
			tt.mend(&a)
			if s := guidance.Standard().Step(guidance.State{}, time.Second, tt.pose, a); s.Hint != tt.want {
				t.Errorf("hint %q, want %q", s.Hint, tt.want)
			}
		})
	}
}

// TestHintsDoNotFlicker walks a noisy face around every limit: a hint stays at
// least the dwell, the ring never falls, and a still face is captured.
func TestHintsDoNotFlicker(t *testing.T) {
	p := guidance.Standard()
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var s guidance.State
		var at, changed time.Duration
		x, width := 640, 240
		for i := range 1000 {
			at += time.Duration(30+rng.IntN(40)) * time.Millisecond
			x, width = x+rng.IntN(21)-10, max(60, width+rng.IntN(13)-6)
			a := good()
			a.Face = image.Rect(x-width/2, 360-width/2, x+width/2, 360+width/2)
			a.IED, a.FaceLuma = 0.45*float32(width), 40+4*rng.Float32()
			a.Faces = min(1, rng.IntN(30))
			next := p.Step(s, at, kiosk.Far, a)
			if next.Hint != s.Hint {
				if i > 0 && at-changed < p.Dwell {
					t.Fatalf("seed %d: %s gave way to %s after %v", seed, s.Hint, next.Hint, at-changed)
				}
				changed = at
			}
			if next.Ring < s.Ring || next.Ring > 1 {
				t.Fatalf("seed %d: the ring went from %g to %g", seed, s.Ring, next.Ring)
			}
			s = next
		}
		for range 40 {
			at += 50 * time.Millisecond
			s = p.Step(s, at, kiosk.Far, good())
		}
		if !p.Held(s, at) {
			t.Fatalf("seed %d: a good face held still for 2 s is not captured: %+v", seed, s)
		}
	}
}

// TestAHintAtItsLimitStays feeds a value just inside the limit: with the hint
// shown it must stay, without it must not come.
func TestAHintAtItsLimitStays(t *testing.T) {
	p := guidance.Standard()
	a := good()
	a.Yaw = p.AngleMax - 0.2
	if s := p.Step(guidance.State{}, 0, kiosk.Far, a); s.Hint != kiosk.GoodHold {
		t.Errorf("just inside the limit: %s", s.Hint)
	}
	if s := p.Step(guidance.State{Hint: kiosk.TurnRight}, time.Minute, kiosk.Far, a); s.Hint != kiosk.TurnRight {
		t.Errorf("the hint on screen gave way to %s at once", s.Hint)
	}
}

func TestProfilesThatCannotWorkAreNamed(t *testing.T) {
	for _, tt := range []struct {
		name string
		mend func(*guidance.Profile)
	}{
		{"far: upside down", func(p *guidance.Profile) { p.Far = guidance.Span{Min: 0.5, Max: 0.3} }},
		{"near: not nearer", func(p *guidance.Profile) { p.Near = p.Far }},
		{"off: the whole frame", func(p *guidance.Profile) { p.Off = 0.9 }},
		{"hold: nothing", func(p *guidance.Profile) { p.Hold = 0 }},
		{"dwell: for ever", func(p *guidance.Profile) { p.Dwell = time.Hour }},
	} {
		p := guidance.Standard()
		tt.mend(&p)
		if p.Validate() == nil {
			t.Errorf("%s: accepted", tt.name)
		}
	}
	if err := guidance.Standard().Validate(); err != nil {
		t.Error(err)
	}
}
