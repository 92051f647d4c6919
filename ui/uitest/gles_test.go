package uitest_test

import (
	"image"
	"image/color"
	"testing"

	"livekiosk/ui"
	"livekiosk/ui/uitest"
)

// What the screens are compared with does draw, all of it.
func TestBareDrawsThePictureOverAllOfTheTarget(t *testing.T) {
	size := image.Pt(120, 90)
	r, err := ui.NewRenderer(size)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	bare, err := uitest.OpenBare(size, image.Pt(64, 64))
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Close()
	for _, c := range []color.RGBA{{0x20, 0x80, 0x40, 0xff}, {0xff, 0x10, 0x00, 0xff}} {
		if err := bare.Draw(plain(64, c)); err != nil {
			t.Fatal(err)
		}
		for _, p := range []image.Point{{}, {119, 89}, {60, 45}, {0, 89}} {
			if got := bare.At(p); got != c {
				t.Errorf("at %v is %v, want %v", p, got, c)
			}
		}
	}
}
