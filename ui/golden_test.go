package ui_test

import (
	"fmt"
	"image"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/ui"
	"livekiosk/ui/text"
	"livekiosk/ui/theme"
	"livekiosk/ui/uitest"
)

// sample is a view of s as a session would have it.
func sample(s kiosk.Screen, l kiosk.Locale) kiosk.View {
	v := kiosk.View{Screen: s, Locale: l, Theme: kiosk.Light}
	switch s {
	case kiosk.IdleScreen, kiosk.RestingScreen:
		return v
	case kiosk.OutOfServiceScreen:
		v.Fault = kiosk.StorageFault
		return v
	case kiosk.GuidingScreen:
		v.Pose, v.Hint, v.Ring, v.FaceGoal = kiosk.Far, kiosk.GlareGlasses, 0.6, 0.4
	case kiosk.SavedScreen:
		v.Receipt = "k7q2m9xa"
	case kiosk.ConsentScreen, kiosk.AgainScreen, kiosk.SavingScreen, kiosk.WaitingScreen, kiosk.GrantedScreen,
		kiosk.RefusedScreen, kiosk.StaffScreen, kiosk.CancelledScreen:
	}
	v.Session, v.AttemptsLeft, v.Until = "7f3a", 2, time.Minute
	return v
}

func TestScreensLookAsTheyShould(t *testing.T) {
	for _, size := range []image.Point{{X: 720, Y: 1280}, {X: 1280, Y: 800}} {
		t.Run(size.String(), func(t *testing.T) {
			goldens(t, size)
		})
	}
}

func goldens(t *testing.T, size image.Point) {
	t.Helper()
	r, err := ui.NewRenderer(size)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	camera := portrait(image.Pt(640, 360))
	look := func(name string, v kiosk.View, camera *image.RGBA) {
		name = fmt.Sprintf("%s-%dx%d", name, size.X, size.Y)
		t.Run(name, func(t *testing.T) {
			got, err := r.Render(v, camera)
			if err != nil {
				t.Fatal(err)
			}
			uitest.Golden(t, name, got)
		})
	}
	for _, s := range kiosk.Screens() {
		if s == kiosk.RestingScreen {
			look(string(s), sample(s, kiosk.English), camera)
			continue // it has no words
		}
		for _, l := range text.Locales() {
			look(fmt.Sprintf("%s-%s", s, l), sample(s, l), camera)
		}
	}
	for _, l := range text.Locales() {
		v := sample(kiosk.AgainScreen, l)
		v.Ask = true
		look(fmt.Sprintf("again-ask-%s", l), v, camera)
		v = sample(kiosk.OutOfServiceScreen, l)
		v.Fault = kiosk.UpdateFault
		look(fmt.Sprintf("out_of_service-update-%s", l), v, camera)
	}
	for _, s := range []kiosk.Screen{kiosk.IdleScreen, kiosk.ConsentScreen, kiosk.GuidingScreen, kiosk.GrantedScreen, kiosk.SavedScreen} {
		v := sample(s, kiosk.Indonesian)
		v.Theme = kiosk.Dark
		look(string(s)+"-dark", v, camera)
	}
	for _, h := range []kiosk.Hint{kiosk.MoveLeft, kiosk.MoveDown} {
		v := sample(kiosk.GuidingScreen, kiosk.English)
		v.Hint = h
		look("guiding-"+string(h), v, camera)
	}
	for _, l := range text.Locales() {
		v := kiosk.View{Screen: kiosk.CommissionScreen, Locale: l, Theme: kiosk.Light, Step: kiosk.FocusStep, Note: kiosk.TiltedNote, Figure: 41, FaceGoal: 0.4}
		look(fmt.Sprintf("commission-%s", l), v, camera)
	}
	look("commission-flash", kiosk.View{Screen: kiosk.CommissionScreen, Locale: kiosk.Indonesian, Step: kiosk.LatencyStep, Flash: true}, camera)
	near := sample(kiosk.GuidingScreen, kiosk.English)
	near.Pose, near.Hint, near.Ring, near.FaceGoal, near.AttemptsLeft = kiosk.Near, kiosk.GoodHold, 1, 0.62, 0
	look("guiding-near-good_hold", near, camera)
	look("guiding-starting", sample(kiosk.GuidingScreen, kiosk.Indonesian), nil)
}

// The oval is as wide on the display as the face is to be in the camera image,
// and what stands on the left of the camera image is on the right.
func TestGuidanceIsAMirrorOfTrueSize(t *testing.T) {
	size := image.Pt(720, 1280)
	r, err := ui.NewRenderer(size)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	plain := image.NewRGBA(image.Rect(0, 0, 640, 360))
	for i := range plain.Pix {
		plain.Pix[i] = 0x40
		if i%4 == 3 {
			plain.Pix[i] = 0xff
		}
	}
	for _, goal := range []float32{0.3, 0.5} {
		v := sample(kiosk.GuidingScreen, kiosk.English)
		v.FaceGoal, v.Ring, v.Hint = goal, 0, kiosk.HoldStill
		got, err := r.Render(v, plain)
		if err != nil {
			t.Fatal(err)
		}
		seen := 0 // undimmed pixels on the row through the oval's middle
		for x := range size.X {
			if c := got.RGBAAt(x, 400); c.R >= 0x3c && c.R <= 0x44 && c.B <= 0x44 {
				seen++
			}
		}
		// The mirror is 800 high and so is the image's short side; the rim of 6
		// lies half inside.
		if want := int(goal*800) - 6; seen < want-3 || seen > want+3 {
			t.Errorf("oval of %.2f is %d pixels wide inside its rim, want %d", goal, seen, want)
		}
	}

	marked := portrait(image.Pt(640, 360)) // red stripe at the left
	got, err := r.Render(sample(kiosk.GuidingScreen, kiosk.English), marked)
	if err != nil {
		t.Fatal(err)
	}
	scrim := theme.Of(kiosk.Light).Scrim
	if c := got.RGBAAt(360+352-15, 600); c.R < c.B+20 {
		t.Errorf("stripe is not on the right: %v (scrim %v)", c, scrim)
	}
}
