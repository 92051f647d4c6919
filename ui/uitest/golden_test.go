package uitest_test

import (
	"image"
	"image/color"
	"image/draw"
	"testing"

	"livekiosk/ui/uitest"
)

func plain(c color.Color) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, 32, 32))
	draw.Draw(m, m.Bounds(), image.NewUniform(c), image.Point{}, draw.Src)
	return m
}

func TestGoldenKnowsItsOwnPicture(t *testing.T) {
	uitest.Golden(t, "green", plain(color.NRGBA{0x20, 0x80, 0x40, 0xff}))
}

func TestDiffer(t *testing.T) {
	base := plain(color.NRGBA{0x20, 0x80, 0x40, 0xff})
	dot := plain(color.NRGBA{0x20, 0x80, 0x40, 0xff})
	dot.SetRGBA(3, 7, color.RGBA{0x20, 0x80, 0x45, 0xff})
	for _, c := range []struct {
		name string
		with *image.RGBA
		want int
	}{
		{"a picture equals itself", base, 0},
		{"rounding is forgiven", plain(color.NRGBA{0x24, 0x7c, 0x40, 0xff}), 0},
		{"one pixel off is counted", dot, 1},
		{"another colour is everywhere", plain(color.NRGBA{0x20, 0x85, 0x40, 0xff}), 32 * 32},
	} {
		t.Run(c.name, func(t *testing.T) {
			if n, _ := uitest.Differ(base, c.with); n != c.want {
				t.Errorf("%d pixels differ, want %d", n, c.want)
			}
		})
	}
}
