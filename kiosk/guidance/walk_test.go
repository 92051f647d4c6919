package guidance_test

import (
	"image"
	"math/rand/v2"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/guidance"
)

// anything returns an assessment of anything at all: each measure is at random good,
// bad or absurd.
func anything(rng *rand.Rand, at time.Duration) kiosk.Assessment {
	a := good()
	a.At = at
	if rng.IntN(10) == 0 {
		a.Size = [...]image.Point{{}, {X: 640, Y: 480}, {X: 720, Y: 1280}, {X: 1920, Y: 1080}}[rng.IntN(4)]
	}
	if rng.IntN(10) == 0 {
		a = kiosk.Assessment{At: at, Size: a.Size, Luma: 200 * rng.Float32()}
	}
	if rng.IntN(5) == 0 {
		corner := image.Pt(rng.IntN(1600)-200, rng.IntN(1000)-200)
		side := rng.IntN(900)
		a.Face = image.Rectangle{Min: corner, Max: corner.Add(image.Pt(side, side))}
	}
	for _, v := range []struct {
		at    *float32
		scale float32
	}{
		{&a.Luma, 255},
		{&a.IED, 300},
		{&a.FaceLuma, 255},
		{&a.Background, 255},
		{&a.Over, 1},
		{&a.Uneven, 2},
		{&a.Yaw, 60},
		{&a.Pitch, -60},
		{&a.Roll, 60},
		{&a.EyesOpen, 0.2},
		{&a.MouthOpen, 1},
		{&a.Sharpness, 500},
		{&a.Second, 1},
		{&a.Cover.Eyes, 1},
		{&a.Cover.Nose, 1},
		{&a.Cover.Mouth, 1},
		{&a.Cover.Cheeks, 1},
		{&a.Cover.Lower, 1},
		{&a.Cover.Shade, 1},
		{&a.Cover.GlareEyes, 1},
		{&a.Cover.GlareSkin, 1},
		{&a.Cover.Irises, 0.2},
		{&a.Detail, 1},
	} {
		if rng.IntN(25) == 0 {
			*v.at = v.scale * (2*rng.Float32() - 0.5)
		}
	}
	if rng.IntN(20) == 0 {
		a.Faces = rng.IntN(4)
	}
	return a
}

// TestNoSequenceFlickersOrIsADeadEnd feeds any assessments at any times in any
// pose. A hint stays at least the dwell, the ring never falls, a hold is a hold of
// frames that fit, and whatever came before, a good face that is held still is
// captured: a dwell, a hold and what the motion takes to be over later.
func TestNoSequenceFlickersOrIsADeadEnd(t *testing.T) {
	p := guidance.Standard()
	met := map[kiosk.Hint]bool{}
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 4))
		pose := [...]kiosk.Pose{kiosk.Far, kiosk.Near}[seed%2]
		p.Dwell, p.Hold = time.Duration(rng.IntN(2000))*time.Millisecond, time.Duration(100+rng.IntN(2000))*time.Millisecond
		p.Detail = [...]float32{0, guidance.Detail(detailed())}[rng.IntN(2)]
		var s guidance.State
		at := time.Hour
		changed, fits := at, time.Duration(0)
		for range 200 {
			at += time.Duration(1+rng.IntN(1<<uint(4+rng.IntN(8)))) * time.Millisecond
			a := anything(rng, at-time.Duration(rng.IntN(200))*time.Millisecond) // known later, and not always in order
			next := p.Step(s, at, pose, a)
			met[next.Hint] = true
			if next.Hint != s.Hint {
				if s.Hint != kiosk.NoHint && at-changed < p.Dwell {
					t.Fatalf("seed %d: %s gave way to %s after %v of %v", seed, s.Hint, next.Hint, at-changed, p.Dwell)
				}
				changed = at
			}
			if next.Hint == kiosk.NoHint || next.Ring < s.Ring || next.Ring > 1 {
				t.Fatalf("seed %d: from %+v to %+v", seed, s, next)
			}
			if next.Raw != kiosk.GoodHold && next.Raw != kiosk.NotNeutral {
				fits = at
			}
			if p.Held(next, at) && at-fits < p.Hold {
				t.Fatalf("seed %d: held %v after a frame that does not fit: %+v", seed, at-fits, next)
			}
			s = next
		}
		began := at
		for !p.Held(s, at) {
			at += 100 * time.Millisecond
			a := good()
			a.At = at
			if pose == kiosk.Near {
				a.Face, a.IED = image.Rect(460, 180, 820, 540), 160
			}
			a.Detail = detailed().Detail
			if s = p.Step(s, at, pose, a); at-began > p.Dwell+p.Hold+2*time.Second {
				t.Fatalf("seed %d: a good face is not captured after %v: %+v", seed, at-began, s)
			}
		}
	}
	for _, h := range kiosk.Hints() {
		switch h {
		case kiosk.FlashWarning, kiosk.Processing, kiosk.SavedOffline, kiosk.TryAgain, kiosk.CallStaff: // of the flow
		default:
			if !met[h] {
				t.Errorf("the walk never met %s", h)
			}
		}
	}
}
