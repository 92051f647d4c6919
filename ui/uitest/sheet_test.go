package uitest_test

import (
	"image"
	"image/color"
	"image/draw"
	"testing"

	"livekiosk/ui/uitest"
)

func plain(size int, c color.Color) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, size, size))
	draw.Draw(m, m.Bounds(), image.NewUniform(c), image.Point{}, draw.Src)
	return m
}

func TestDiffer(t *testing.T) {
	green := color.NRGBA{0x20, 0x80, 0x40, 0xff}
	sheet := plain(64, color.Black)
	draw.Draw(sheet, image.Rect(16, 8, 48, 40), image.NewUniform(green), image.Point{}, draw.Src)
	dot := plain(32, green)
	dot.SetRGBA(3, 7, color.RGBA{0x20, 0x80, 0x4b, 0xff})
	for _, c := range []struct {
		name string
		got  *image.RGBA
		from image.Point
		want int
	}{
		{"a picture equals itself", plain(32, green), image.Pt(16, 8), 0},
		{"rounding is forgiven", plain(32, color.NRGBA{0x2a, 0x76, 0x40, 0xff}), image.Pt(16, 8), 0},
		{"one pixel off is counted", dot, image.Pt(16, 8), 1},
		{"another colour is everywhere", plain(32, color.NRGBA{0x20, 0x8b, 0x40, 0xff}), image.Pt(16, 8), 32 * 32},
		{"a shift is seen at two edges", plain(32, green), image.Pt(17, 9), 32 + 31},
		{"beyond the sheet is nothing", plain(32, green), image.Pt(16, 24), 16 * 32},
	} {
		t.Run(c.name, func(t *testing.T) {
			if n, _ := uitest.Differ(c.got, sheet, c.from); n != c.want {
				t.Errorf("%d pixels differ, want %d", n, c.want)
			}
		})
	}
}
