package ui_test

import (
	"bytes"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"testing"

	"livekiosk/kiosk"
	"livekiosk/ui"
	"livekiosk/ui/screens"
	"livekiosk/ui/text"
	"livekiosk/ui/theme"
	"livekiosk/ui/uitest"
)

// Every state of every screen, in every language, orientation and scheme, is
// what it was; and it is the same three times. Without -every=1, which make
// screens gives, only some of them are drawn.
func TestScreensLookAsTheyShould(t *testing.T) {
	for _, size := range []image.Point{{X: 720, Y: 1280}, {X: 1280, Y: 800}} {
		r, err := ui.NewRenderer(size)
		if err != nil {
			t.Fatal(err)
		}
		camera := ui.Person(image.Pt(640, 360))
		for _, s := range kiosk.Screens() {
			name := fmt.Sprintf("%s-%dx%d", s, size.X, size.Y)
			t.Run(name, func(t *testing.T) {
				sheet := uitest.NewSheet(t, name, filepath.Join("..", "out", "golden"))
				defer sheet.Close()
				for _, st := range screens.States() {
					if st.View.Screen == s {
						look(t, r, sheet, st, camera, size)
					}
				}
			})
		}
		r.Close()
	}
}

func look(t *testing.T, r *ui.Renderer, sheet *uitest.Sheet, st screens.State, camera *image.RGBA, size image.Point) {
	t.Helper()
	schemes := theme.Schemes()
	if st.Minor {
		schemes = schemes[:1]
	}
	for _, scheme := range schemes {
		for _, l := range text.BuiltIn().Locales() {
			v := st.View
			v.Locale, v.Theme = l, scheme
			name := fmt.Sprintf("%s-%s-%s-%dx%d", st.Name, l, scheme, size.X, size.Y)
			if !sheet.Next(name) {
				continue
			}
			var first *image.RGBA
			for range 3 {
				got, err := r.Picture(st, v, camera)
				if err != nil {
					t.Fatal(err)
				}
				if first == nil {
					first = got
				}
				if !bytes.Equal(got.Pix, first.Pix) {
					t.Errorf("%s is drawn differently the second or third time", name)
				}
			}
			sheet.Show(first)
		}
	}
}

// No picture is left of what is not there any more.
func TestReferencesAreOfScreens(t *testing.T) {
	known := map[string]bool{}
	for _, s := range kiosk.Screens() {
		known[fmt.Sprintf("%s-720x1280.png", s)], known[fmt.Sprintf("%s-1280x800.png", s)] = true, true
	}
	files, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !known[f.Name()] {
			t.Errorf("testdata/%s is of no screen", f.Name())
		}
	}
}

// TestTheColoursOfAChallengeAreExact reads them back from the renderer, in each
// scheme: the camera's picture is judged by what they are said to be.
func TestTheColoursOfAChallengeAreExact(t *testing.T) {
	size := image.Pt(720, 1280)
	r, err := ui.NewRenderer(size)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	schemes := theme.Schemes()
	for i, c := range [][3]uint8{{149, 149, 149}, {218, 127, 0}, {0, 173, 39}, {0, 158, 225}, {124, 139, 255}, {255, 64, 218}} {
		v := kiosk.View{Session: "s", Screen: kiosk.ColoursScreen, Locale: kiosk.English, Theme: schemes[i%len(schemes)], Turn: i, Colour: c}
		got, err := r.Render(v, nil)
		if err != nil {
			t.Fatal(err)
		}
		exact := 0
		for p := 0; p+3 < len(got.Pix); p += 4 {
			if [3]uint8(got.Pix[p:p+3]) == c {
				exact++
			}
		}
		if share := float64(exact) / float64(size.X*size.Y); share < 0.95 {
			t.Errorf("%v: %.1f %% of the display show it exactly, want 95 and more", c, 100*share)
		}
	}
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
		// The mirror is 788 high and so is the image's short side; the rim of 6
		// lies half inside.
		if want := int(goal*788) - 6; seen < want-3 || seen > want+3 {
			t.Errorf("oval of %.2f is %d pixels wide inside its rim, want %d", goal, seen, want)
		}
	}

	marked := ui.Person(image.Pt(640, 360)) // red stripe at the left
	got, err := r.Render(sample(kiosk.GuidingScreen, kiosk.English), marked)
	if err != nil {
		t.Fatal(err)
	}
	scrim := theme.Of(kiosk.Light).Scrim
	if c := got.RGBAAt(360+352-15, 600); c.R < c.B+20 {
		t.Errorf("stripe is not on the right: %v (scrim %v)", c, scrim)
	}
}

// sample is the usual view of a screen.
func sample(s kiosk.Screen, l kiosk.Locale) kiosk.View {
	for _, st := range screens.States() {
		if st.View.Screen == s {
			st.View.Locale = l
			return st.View
		}
	}
	return kiosk.View{}
}
