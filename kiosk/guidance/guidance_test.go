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
		{"lids that the mesh reads as half open, and no iris", kiosk.Far, func(a *kiosk.Assessment) { a.EyesOpen, a.Cover.Irises = 0.05, 0.02 }, kiosk.EyesClosed},
		{"narrow eyes, with irises", kiosk.Far, func(a *kiosk.Assessment) { a.EyesOpen, a.Cover.Irises = 0.04, 0.09 }, kiosk.GoodHold},
		{"light irises in open eyes", kiosk.Far, func(a *kiosk.Assessment) { a.EyesOpen, a.Cover.Irises = 0.08, 0.03 }, kiosk.GoodHold},
		{"blurred", kiosk.Far, func(a *kiosk.Assessment) { a.Sharpness = 3 }, kiosk.Blurred},
		{"a lamp reflected by glasses", kiosk.Far, func(a *kiosk.Assessment) { a.Cover.GlareEyes = 0.07 }, kiosk.GlareGlasses},
		{"a glint on glasses", kiosk.Far, func(a *kiosk.Assessment) { a.Cover.GlareEyes = 0.02 }, kiosk.GoodHold},
		{"shining skin", kiosk.Far, func(a *kiosk.Assessment) { a.Cover.GlareSkin, a.Over = 0.06, 0.06 }, kiosk.GlareSkin},
		{"sunglasses", kiosk.Far, func(a *kiosk.Assessment) { a.Cover.Shade, a.Cover.Eyes = 1, 1 }, kiosk.Sunglasses},
		{"something dark before eyes and nose", kiosk.Far, func(a *kiosk.Assessment) { a.Cover.Shade, a.Cover.Eyes, a.Cover.Nose = 1, 1, 0.5 }, kiosk.EyesCovered},
		{"a mask", kiosk.Far, func(a *kiosk.Assessment) { a.Cover.Mouth, a.Cover.Lower, a.Cover.Cheeks = 1, 0.7, 0.5 }, kiosk.Mask},
		{"a hand before the eyes", kiosk.Far, func(a *kiosk.Assessment) { a.Cover.Eyes = 0.9 }, kiosk.EyesCovered},
		{"a hand before the eyes, by which the face seems farther away", kiosk.Far, func(a *kiosk.Assessment) {
			a.Cover.Eyes, a.Face, a.IED = 0.9, image.Rect(548, 268, 732, 452), 66
		}, kiosk.EyesCovered},
		{"a hand before the mouth", kiosk.Far, func(a *kiosk.Assessment) { a.Cover.Mouth = 0.4 }, kiosk.MouthCovered},
		{"a phone before a cheek", kiosk.Far, func(a *kiosk.Assessment) { a.Cover.Cheeks = 0.9 }, kiosk.FaceCovered},
		{"a cheek that is turned away", kiosk.Far, func(a *kiosk.Assessment) { a.Cover.Cheeks, a.Yaw = 0.9, 35 }, kiosk.TurnRight},
		{"a headscarf or hair on the forehead", kiosk.Far, func(a *kiosk.Assessment) { a.Cover.Forehead = 1 }, kiosk.GoodHold},
		{"a covered cheek is not uneven light", kiosk.Far, func(a *kiosk.Assessment) { a.Cover.Cheeks, a.Uneven = 0.9, 0.9 }, kiosk.FaceCovered},
		{"a dark mask is not light from behind", kiosk.Far, func(a *kiosk.Assessment) {
			a.Cover.Face, a.Cover.Lower, a.Cover.Cheeks, a.Background = 0.4, 0.7, 0.5, 400
		}, kiosk.Mask},
		{"an open mouth", kiosk.Far, func(a *kiosk.Assessment) { a.MouthOpen = 0.3 }, kiosk.NotNeutral},
		{"a turned face that seems too small", kiosk.Far, func(a *kiosk.Assessment) { a.Yaw, a.Face = 25, image.Rect(550, 270, 720, 440) }, kiosk.TurnRight},
		{"a face that seems too small", kiosk.Far, func(a *kiosk.Assessment) { a.Face = image.Rect(550, 270, 720, 440) }, kiosk.FaceTooFar},
		{"a chin that only seems low, as it is blurred", kiosk.Far, func(a *kiosk.Assessment) { a.Pitch, a.Sharpness = -30, 3 }, kiosk.Blurred},
		{"no iris, as it is blurred", kiosk.Far, func(a *kiosk.Assessment) { a.EyesOpen, a.Sharpness = 0.05, 3 }, kiosk.Blurred},
		{"a phone before the mouth is no mask", kiosk.Far, func(a *kiosk.Assessment) { a.Cover.Mouth, a.Cover.Lower, a.Cover.Cheeks = 1, 0.6, 0.15 }, kiosk.MouthCovered},
		{"the wall beside the mouth of a turned head", kiosk.Far, func(a *kiosk.Assessment) { a.Yaw, a.Cover.Mouth = -25, 0.5 }, kiosk.TurnLeft},
		{"teeth in an open mouth", kiosk.Far, func(a *kiosk.Assessment) { a.MouthOpen, a.Cover.Mouth = 0.2, 0.5 }, kiosk.NotNeutral},
		{"a dark bar before the eyes and the forehead", kiosk.Far, func(a *kiosk.Assessment) {
			a.Cover.Shade, a.Cover.Eyes, a.Cover.Forehead = 1, 1, 0.9
		}, kiosk.EyesCovered},
		{"an open mouth, but blurred: what gates comes first", kiosk.Far, func(a *kiosk.Assessment) { a.MouthOpen, a.Sharpness = 0.3, 3 }, kiosk.Blurred},
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
			if rng.IntN(40) == 0 { // a step aside
				x += rng.IntN(161) - 80
			}
			a := good()
			a.At = at
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
			a := good()
			a.At = at
			s = p.Step(s, at, kiosk.Far, a)
		}
		if !p.Held(s, at) {
			t.Fatalf("seed %d: a good face held still for 2 s is not captured: %+v", seed, s)
		}
	}
}

// TestNotNeutralGuidesAndDoesNotGate opens the mouth: the hint is shown, and the
// face is captured all the same.
func TestNotNeutralGuidesAndDoesNotGate(t *testing.T) {
	p := guidance.Standard()
	var s guidance.State
	var at time.Duration
	shown := false
	for i := range 40 {
		at += 50 * time.Millisecond
		a := good()
		if i/8%2 == 1 { // the mouth opens and closes meanwhile
			a.MouthOpen = 0.4
		}
		s = p.Step(s, at, kiosk.Far, a)
		shown = shown || s.Hint == kiosk.NotNeutral
		if !s.Good() {
			t.Fatalf("after %v the face does not count: %+v", at, s)
		}
	}
	if !shown || !p.Held(s, at) {
		t.Errorf("hint shown %v, held %v", shown, p.Held(s, at))
	}
}

// TestAProfileWithoutLimitsJudgesAsBefore: a policy of format 1 has none of the
// limits for what covers and shines.
func TestAProfileWithoutLimitsJudgesAsBefore(t *testing.T) {
	p := guidance.Standard()
	p.EyesCoverMax, p.MouthCoverMax, p.CheekCoverMax, p.MaskMin, p.ShadeMax = 0, 0, 0, 0, 0
	p.BarMin, p.GlareEyesMax, p.GlareSkinMax, p.MouthMax, p.DetailMin, p.LidsMax, p.IrisMin, p.MotionMax = 0, 0, 0, 0, 0, 0, 0, 0
	a := good()
	a.MouthOpen, a.EyesOpen = 0.5, 0.035
	a.Cover = kiosk.Cover{Eyes: 1, Mouth: 1, Lower: 1, Shade: 1, GlareEyes: 1, GlareSkin: 1}
	runs := guidance.State{Trail: guidance.Trail{At: -time.Second}}
	if s := p.Step(runs, 0, kiosk.Far, a); s.Hint != kiosk.GoodHold || s.Motion < 1 {
		t.Errorf("hint %s", s.Hint)
	}
}

// TestWhoIsCentredFarIsCentredNear: the same step aside is more of the picture from
// near, and is accepted as long as the face stays in it.
func TestWhoIsCentredFarIsCentredNear(t *testing.T) {
	for _, tt := range []struct {
		name string
		pose kiosk.Pose
		size image.Point
		off  image.Point // of the face's centre, pixels
		near float32     // the profile's
		want kiosk.Hint
	}{
		{"far, a little aside", kiosk.Far, image.Pt(1280, 720), image.Pt(-115, 0), 0.26, kiosk.GoodHold},
		{"far, aside", kiosk.Far, image.Pt(1280, 720), image.Pt(-125, 0), 0.26, kiosk.MoveLeft},
		{"near, as far aside", kiosk.Near, image.Pt(1280, 720), image.Pt(-180, 0), 0.26, kiosk.GoodHold},
		{"near, farther aside", kiosk.Near, image.Pt(1280, 720), image.Pt(195, 0), 0.26, kiosk.MoveRight},
		{"near, low", kiosk.Near, image.Pt(1280, 720), image.Pt(0, 175), 0.26, kiosk.GoodHold},
		{"near, the chin at the edge", kiosk.Near, image.Pt(1280, 720), image.Pt(0, 184), 0.26, kiosk.MoveUp},
		{"near, the brow at the edge", kiosk.Near, image.Pt(1280, 720), image.Pt(0, -184), 0.26, kiosk.MoveDown},
		{"near, an ear at the edge of an upright picture", kiosk.Near, image.Pt(720, 1280), image.Pt(184, 0), 0.26, kiosk.MoveRight},
		{"near, by a profile that knows one distance only", kiosk.Near, image.Pt(1280, 720), image.Pt(-125, 0), 0, kiosk.MoveLeft},
	} {
		p, a := guidance.Standard(), good()
		p.OffNear = tt.near
		side := 240
		if tt.pose == kiosk.Near {
			side = 360
		}
		corner := tt.size.Div(2).Add(tt.off).Sub(image.Pt(side/2, side/2))
		a.Size, a.Face = tt.size, image.Rectangle{Min: corner, Max: corner.Add(image.Pt(side, side))}
		if s := p.Step(guidance.State{}, time.Second, tt.pose, a); s.Hint != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, s.Hint, tt.want)
		}
	}
}

func TestASmearedLens(t *testing.T) {
	p := guidance.Standard()
	behind := func(detail float32) kiosk.Assessment {
		a := good()
		a.Detail = detail
		return a
	}
	if s := p.Step(guidance.State{}, 0, kiosk.Far, behind(0.005)); s.Hint != kiosk.GoodHold {
		t.Errorf("without a reference: %s", s.Hint)
	}
	p.Detail = guidance.Detail(behind(0.2))
	for detail, want := range map[float32]kiosk.Hint{0.2: kiosk.GoodHold, 0.13: kiosk.GoodHold, 0.1: kiosk.LensSmudge} {
		if s := p.Step(guidance.State{}, 0, kiosk.Far, behind(detail)); s.Hint != want {
			t.Errorf("detail %v of 0.2: %s, want %s", detail, s.Hint, want)
		}
	}
	near := behind(0.1)
	near.Face, near.IED = image.Rect(460, 180, 820, 540), 160
	if s := p.Step(guidance.State{}, 0, kiosk.Near, near); s.Hint != kiosk.GoodHold {
		t.Errorf("a near face, beside which there is too little to see: %s", s.Hint)
	}
	if s := p.Step(guidance.State{}, 0, kiosk.Far, behind(0)); s.Hint != kiosk.GoodHold {
		t.Errorf("no background in sight: %s", s.Hint)
	}
}

// detailed returns a good assessment before a background with some detail.
func detailed() kiosk.Assessment {
	a := good()
	a.Detail = 0.2
	return a
}

// TestNoHintFlickersOrIsADeadEnd walks every measure of a face at random around
// its limit. Whatever came before, a hint stays at least the dwell, every hint
// that images raise is met, and a good face held still for 2 s is captured.
func TestNoHintFlickersOrIsADeadEnd(t *testing.T) {
	p := guidance.Standard()
	p.Detail = guidance.Detail(detailed())
	met := map[kiosk.Hint]bool{}
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 2))
		var s guidance.State
		var at, changed time.Duration
		steps := map[int]float32{} // of each measure, drifting
		for i := range 400 {
			at += time.Duration(30+rng.IntN(40)) * time.Millisecond
			a := detailed()
			a.At, a.Cover.Cheeks = at, 0.22 // enough for a mask, and not for a cover
			if rng.IntN(10) == 0 {          // a start
				a.Face = a.Face.Add(image.Pt(rng.IntN(121)-60, rng.IntN(41)-20))
			}
			measures := []struct {
				value *float32
				limit float32
			}{
				{&a.Luma, 12},
				{&a.FaceLuma, 40},
				{&a.Over, 0.05},
				{&a.Background, 312},
				{&a.Uneven, 0.6},
				{&a.Yaw, 15},
				{&a.Pitch, 9},
				{&a.Roll, -15},
				{&a.EyesOpen, 0.03},
				{&a.MouthOpen, 0.15},
				{&a.Sharpness, 31},
				{&a.Detail, 0.128},
				{&a.Cover.Eyes, 0.5},
				{&a.Cover.Nose, 0.38},
				{&a.Cover.Mouth, 0.25},
				{&a.Cover.Cheeks, 0.5},
				{&a.Cover.Lower, 0.54},
				{&a.Cover.Shade, 0.6},
				{&a.Cover.GlareEyes, 0.04},
				{&a.Cover.GlareSkin, 0.025},
			}
			// Two of them at a time, or hardly any but the first hints were met.
			for _, k := range []int{int(seed) % len(measures), int(seed/20) % len(measures)} {
				steps[k] += 0.1 * float32(rng.NormFloat64())
				*measures[k].value = measures[k].limit * (1 + 0.3*steps[k])
			}
			next := p.Step(s, at, kiosk.Far, a)
			met[next.Hint] = true
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
			a := detailed()
			a.At = at
			s = p.Step(s, at, kiosk.Far, a)
		}
		if !p.Held(s, at) {
			t.Fatalf("seed %d: a good face held still for 2 s is not captured: %+v", seed, s)
		}
	}
	for _, h := range []kiosk.Hint{
		kiosk.CameraBlocked, kiosk.TooDark, kiosk.TooBright, kiosk.Backlit, kiosk.UnevenLight, kiosk.GlareGlasses, kiosk.GlareSkin, kiosk.LensSmudge,
		kiosk.Sunglasses, kiosk.Mask, kiosk.EyesCovered, kiosk.MouthCovered, kiosk.FaceCovered, kiosk.TurnRight, kiosk.ChinDown, kiosk.StraightenHead,
		kiosk.EyesClosed, kiosk.NotNeutral, kiosk.Blurred, kiosk.HoldStill,
	} {
		if !met[h] {
			t.Errorf("the walk never met %s", h)
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
		{"off_near: the whole frame", func(p *guidance.Profile) { p.OffNear = 0.9 }},
		{"motion_max: negative", func(p *guidance.Profile) { p.MotionMax = -1 }},
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
