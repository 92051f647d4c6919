package pixel_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"math"
	"strings"
	"testing"

	"livekiosk/camera/pixel"
)

// orientations are all that there are, with the picture
//
//	a b
//	c d
//	e f
//
// turned by them, row by row.
var orientations = []struct {
	o    pixel.Orientation
	want string
}{
	{pixel.Orientation{}, "ab cd ef"},
	{pixel.Orientation{Turn: 90}, "eca fdb"},
	{pixel.Orientation{Turn: 180}, "fe dc ba"},
	{pixel.Orientation{Turn: 270}, "bdf ace"},
	{pixel.Orientation{Mirror: true}, "ba dc fe"},
	{pixel.Orientation{Turn: 90, Mirror: true}, "ace bdf"},
	{pixel.Orientation{Turn: 180, Mirror: true}, "ef cd ab"},
	{pixel.Orientation{Turn: 270, Mirror: true}, "fdb eca"},
}

func TestTurnIsClockwiseAndMirrorsAfterwards(t *testing.T) {
	src := image.NewRGBA(image.Rect(0, 0, 2, 3))
	for i := range 6 {
		src.Set(i%2, i/2, color.Gray{Y: "abcdef"[i]})
	}
	for _, c := range orientations {
		t.Run(fmt.Sprint(c.o), func(t *testing.T) {
			rows := strings.Fields(c.want)
			if got := c.o.Size(image.Pt(2, 3)); got != image.Pt(len(rows[0]), len(rows)) {
				t.Fatalf("Size() = %v", got)
			}
			r := image.Rect(0, 0, len(rows[0]), len(rows))
			rgba, luma := image.NewRGBA(r), image.NewGray(r)
			if err := pixel.Turn(rgba, luma, src, c.o); err != nil {
				t.Fatal(err)
			}
			for y, row := range rows {
				for x := range row {
					want := row[x]
					if got := rgba.RGBAAt(x, y); got != (color.RGBA{want, want, want, 255}) || luma.GrayAt(x, y).Y != want {
						t.Errorf("(%d,%d) is %v with luma %d, want %q", x, y, got, luma.GrayAt(x, y).Y, want)
					}
				}
			}
		})
	}
}

func TestLumaWeighsTheColours(t *testing.T) {
	for _, c := range []struct {
		name string
		c    color.RGBA
		want uint8
	}{
		{"black", color.RGBA{0, 0, 0, 255}, 0},
		{"white", color.RGBA{255, 255, 255, 255}, 255},
		{"grey is itself", color.RGBA{77, 77, 77, 255}, 77},
		{"skin", color.RGBA{224, 172, 105, 255}, 180}, // 180.05
		{"red weighs 77 of 256", color.RGBA{255, 0, 0, 255}, 77},
		{"green weighs 150 of 256", color.RGBA{0, 255, 0, 255}, 149},
		{"blue weighs 29 of 256", color.RGBA{0, 0, 255, 255}, 29},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := image.NewRGBA(image.Rect(0, 0, 3, 2))
			draw.Draw(src, src.Rect, image.NewUniform(c.c), image.Point{}, draw.Src)
			dst := image.NewGray(src.Rect)
			if err := pixel.Turn(nil, dst, src, pixel.Orientation{}); err != nil {
				t.Fatal(err)
			}
			for i, v := range dst.Pix {
				if v != c.want {
					t.Errorf("pixel %d is %d, want %d", i, v, c.want)
				}
			}
		})
	}
}

func TestTurnRefusesWhatDoesNotFit(t *testing.T) {
	src := image.NewRGBA(image.Rect(0, 0, 6, 4))
	for name, c := range map[string]struct {
		rgba *image.RGBA
		luma *image.Gray
		src  *image.RGBA
		o    pixel.Orientation
	}{
		"rgba that is not turned":    {rgba: image.NewRGBA(src.Rect), src: src, o: pixel.Orientation{Turn: 90}},
		"luma that is not turned":    {luma: image.NewGray(src.Rect), src: src, o: pixel.Orientation{Turn: 270}},
		"a turn by some degrees":     {luma: image.NewGray(src.Rect), src: src, o: pixel.Orientation{Turn: 45}},
		"a turn by a negative angle": {luma: image.NewGray(image.Rect(0, 0, 4, 6)), src: src, o: pixel.Orientation{Turn: -90}},
		"luma with too few bytes":    {luma: &image.Gray{Pix: make([]byte, 23), Stride: 6, Rect: src.Rect}, src: src},
		"luma with rows that touch":  {luma: &image.Gray{Pix: make([]byte, 24), Stride: 5, Rect: src.Rect}, src: src},
		"an empty src":               {src: &image.RGBA{}},
		"a src with too few bytes":   {src: &image.RGBA{Pix: make([]byte, 95), Stride: 24, Rect: src.Rect}},
		"a src beyond reason":        {src: &image.RGBA{Pix: make([]byte, 95), Stride: 1 << 40, Rect: image.Rect(0, 0, 1<<20, 1)}},
	} {
		if err := pixel.Turn(c.rgba, c.luma, c.src, c.o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A canvas is larger than the image that is written to, which is in its middle.
type canvas struct {
	rgba  *image.RGBA
	luma  *image.Gray
	whole [2][]byte
}

const frame = 0xa5 // what every byte of a canvas is at first

func newCanvas(t *testing.T, size image.Point) *canvas {
	t.Helper()
	r := image.Rect(0, 0, size.X+5, size.Y+4)
	rgba, luma := image.NewRGBA(r), image.NewGray(r)
	for _, b := range [][]byte{rgba.Pix, luma.Pix} {
		for i := range b {
			b[i] = frame
		}
	}
	middle := image.Rectangle{Max: size}.Add(image.Pt(3, 2))
	c := &canvas{whole: [2][]byte{rgba.Pix, luma.Pix}}
	var ok, okay bool
	c.rgba, ok = rgba.SubImage(middle).(*image.RGBA)
	c.luma, okay = luma.SubImage(middle).(*image.Gray)
	if !ok || !okay {
		t.Fatal("no part")
	}
	return c
}

// untouched tells whether nothing but the middle was written; or nothing at
// all.
func (c *canvas) untouched(all bool) bool {
	r := c.rgba.Rect
	if !all { // the middle is put back first
		for y := r.Min.Y; y < r.Max.Y; y++ {
			for x := 4 * r.Min.X; x < 4*r.Max.X; x++ {
				c.whole[0][y*c.rgba.Stride+x] = frame
			}
			for x := r.Min.X; x < r.Max.X; x++ {
				c.whole[1][y*c.luma.Stride+x] = frame
			}
		}
	}
	for _, b := range c.whole {
		if bytes.Count(b, []byte{frame}) != len(b) {
			return false
		}
	}
	return true
}

// plain is what Convert should give for a pixel of the upright image: means
// over the pixel's square, by the layouts' own addressing, and BT.601 in
// floating point.
func plain(l layout, src []byte, stride int, size image.Point, n, x, y int, full bool) (r, g, b, luma float64) {
	mean := func(channel int) float64 {
		seen := map[int]bool{} // chroma samples are shared, and each counts once
		sum, count := 0, 0
		for j := y * n; j < y*n+n; j++ {
			for i := x * n; i < x*n+n; i++ {
				at := l.offset(stride, size, i, j, channel)
				if !seen[at] {
					seen[at] = true
					sum += int(src[at])
					count++
				}
			}
		}
		return float64((sum + count/2) / count) // rounded to nearest
	}
	luma = mean(0)
	var u, v float64
	if l.colour {
		u, v = mean(1)-128, mean(2)-128
	}
	if !full {
		luma, u, v = (luma-16)*255/219, u*255/224, v*255/224
	}
	return luma + 1.402*v, luma - 0.344136*u - 0.714136*v, luma + 1.772*u, luma
}

// offset returns where a channel of a pixel lies: put writes it and no other
// byte.
func (l layout) offset(stride int, size image.Point, x, y, channel int) int {
	switch l.is {
	case pixel.YUYV:
		return y*stride + [...]int{2 * x, x/2*4 + 1, x/2*4 + 3}[channel]
	case pixel.UYVY:
		return y*stride + [...]int{2*x + 1, x / 2 * 4, x/2*4 + 2}[channel]
	case pixel.NV12:
		return [...]int{y*stride + x, (size.Y+y/2)*stride + x/2*2, (size.Y+y/2)*stride + x/2*2 + 1}[channel]
	default:
		return y*stride + x
	}
}

// FuzzConvert holds: any arguments give an error and nothing written, or in
// every pixel what the plain reference says, turned, and nothing beside it.
func FuzzConvert(f *testing.F) {
	f.Add([]byte{16, 128, 235, 128}, uint8(0), 4, 2, 1, 1, false, uint8(0))
	f.Add([]byte{}, uint8(1), 0, 2, 1, 1, true, uint8(1))
	f.Add(noise(96), uint8(2), 8, 8, 8, 2, true, uint8(2))
	f.Add(noise(64), uint8(3), 8, 8, 8, 3, true, uint8(3))
	f.Add(noise(24*13), uint8(0), 24, 12, 13, 3, false, uint8(4))
	f.Add(noise(24*13), uint8(1), 24, 12, 13, 2, false, uint8(5))
	f.Add(noise(16*18), uint8(2), 16, 14, 12, 5, false, uint8(6))
	f.Add(noise(52*10), uint8(0), 52, 26, 10, 5, true, uint8(0))
	f.Add(noise(60*14), uint8(1), 60, 28, 14, 7, true, uint8(3))
	f.Add(noise(64*8), uint8(0), 64, 30, 8, 4, false, uint8(1))
	f.Add(noise(31*9), uint8(3), 31, 29, 9, 4, true, uint8(5))
	f.Add(noise(62*7), uint8(3), 62, 61, 7, 1, false, uint8(7))
	f.Add(noise(560*4), uint8(1), 560, 280, 4, 1, false, uint8(1))
	f.Add(noise(300*6), uint8(2), 300, 300, 4, 2, true, uint8(7))
	order := []string{"YUYV", "UYVY", "NV12", "GREY"}
	f.Fuzz(func(t *testing.T, src []byte, which uint8, stride, w, h, n int, full bool, turn uint8) {
		l := layouts[order[int(which)%len(order)]]
		o := orientations[int(turn)%len(orientations)].o
		size := image.Pt(w%512, h%64)
		n %= 70
		var reduced image.Point
		if n > 0 {
			reduced = pixel.Reduced(size, n)
		}
		out := o.Size(image.Pt(max(reduced.X, 0), max(reduced.Y, 0)))
		c := newCanvas(t, out)
		raw := pixel.Raw{Layout: l.is, Range: pixel.Range(full), Pix: src, Stride: stride, Size: size}
		if err := pixel.Convert(c.rgba, c.luma, raw, n, o); err != nil {
			if !c.untouched(true) {
				t.Fatalf("written although %v", err)
			}
			return
		}
		upright := newCanvas(t, reduced)
		if err := pixel.Turn(upright.rgba, upright.luma, c.rgba, inverse(o)); err != nil {
			t.Fatal(err)
		}
		levels := image.NewGray(image.Rectangle{Max: reduced})
		if err := pixel.Convert(nil, levels, raw, n, pixel.Orientation{}); err != nil {
			t.Fatal(err)
		}
		for y := range reduced.Y {
			for x := range reduced.X {
				r, g, b, luma := plain(l, src, stride, size, n, x, y, full)
				at := upright.rgba.Rect.Min.Add(image.Pt(x, y))
				got := upright.rgba.RGBAAt(at.X, at.Y)
				for _, v := range []struct {
					what string
					got  uint8
					want float64
				}{{"red", got.R, r}, {"green", got.G, g}, {"blue", got.B, b}, {"luma", levels.GrayAt(x, y).Y, luma}} {
					if d := math.Abs(float64(v.got) - max(0, min(255, v.want))); d > 0.51 {
						t.Fatalf("%v of %v by %d, %v: (%d,%d) %s is %d, want %.3f", l.is, size, n, o, x, y, v.what, v.got, v.want)
					}
				}
				if got.A != 0xff {
					t.Fatalf("(%d,%d) is not opaque", x, y)
				}
				p := turned(o, image.Pt(x, y), reduced).Add(c.luma.Rect.Min)
				if c.luma.GrayAt(p.X, p.Y) != levels.GrayAt(x, y) {
					t.Fatalf("luma of (%d,%d) is not at %v", x, y, p)
				}
			}
		}
		if !c.untouched(false) {
			t.Fatal("written beside the image")
		}
		again := newCanvas(t, out)
		raw.Pix = append(bytes.Clone(src), 1, 2, 3)
		if err := pixel.Convert(again.rgba, nil, raw, n, o); err != nil {
			t.Fatalf("three bytes more: %v", err)
		}
	})
}

// inverse returns what undoes o: a mirrored turn undoes itself.
func inverse(o pixel.Orientation) pixel.Orientation {
	if !o.Mirror {
		o.Turn = (360 - o.Turn) % 360
	}
	return o
}

// turned returns where a pixel of a picture of size goes, one quarter turn
// after the other.
func turned(o pixel.Orientation, p, size image.Point) image.Point {
	for range o.Turn / 90 {
		p, size = image.Pt(size.Y-1-p.Y, p.X), image.Pt(size.Y, size.X)
	}
	if o.Mirror {
		p.X = size.X - 1 - p.X
	}
	return p
}

// noise returns n bytes, the same each time.
func noise(n int) []byte {
	b, v := make([]byte, n), uint32(1)
	for i := range b {
		v = v*1664525 + 1013904223
		b[i] = byte(v >> 24)
	}
	return b
}

// FuzzTurn holds: every pixel goes where one quarter turn after the other
// takes it; what undoes a turn gives the picture back; the luma is that of the
// turned picture; and nothing is written beside it.
func FuzzTurn(f *testing.F) {
	for i := range orientations {
		f.Add(noise(4*7*5), 7, uint8(i))
		f.Add(noise(4*3*140), 3*i+140*(i%2), uint8(i))
	}
	f.Fuzz(func(t *testing.T, pix []byte, w int, turn uint8) {
		if w < 1 || w > len(pix)/4 {
			t.Skip("no picture")
		}
		src := &image.RGBA{Pix: pix, Stride: 4 * w, Rect: image.Rect(0, 0, w, len(pix)/4/w)}
		size := src.Rect.Size()
		o := orientations[int(turn)%len(orientations)].o
		c, back := newCanvas(t, o.Size(size)), newCanvas(t, size)
		if err := pixel.Turn(c.rgba, c.luma, src, o); err != nil {
			if size.X <= 1<<14 && size.Y <= 1<<14 {
				t.Fatal(err)
			}
			return
		}
		if err := pixel.Turn(back.rgba, nil, c.rgba, inverse(o)); err != nil {
			t.Fatal(err)
		}
		levels := image.NewGray(image.Rectangle{Max: o.Size(size)})
		if err := pixel.Turn(nil, levels, c.rgba, pixel.Orientation{}); err != nil {
			t.Fatal(err)
		}
		for y := range size.Y {
			for x := range size.X {
				want := src.RGBAAt(x, y)
				p := turned(o, image.Pt(x, y), size)
				q := p.Add(c.rgba.Rect.Min)
				if got := c.rgba.RGBAAt(q.X, q.Y); got != want || c.luma.GrayAt(q.X, q.Y) != levels.GrayAt(p.X, p.Y) {
					t.Fatalf("%v of %v: (%d,%d) is not at %v", o, size, x, y, p)
				}
				if at := back.rgba.Rect.Min.Add(image.Pt(x, y)); back.rgba.RGBAAt(at.X, at.Y) != want {
					t.Fatalf("%v of %v, and back: (%d,%d) changed", o, size, x, y)
				}
			}
		}
		if !c.untouched(false) || !back.untouched(false) {
			t.Fatal("written beside the image")
		}
	})
}

func BenchmarkTurn(b *testing.B) {
	src := image.NewRGBA(image.Rect(0, 0, 640, 360))
	for _, c := range orientations[:4] {
		b.Run(fmt.Sprintf("size=640x360/by=%d", c.o.Turn), func(b *testing.B) {
			r := image.Rectangle{Max: c.o.Size(src.Rect.Size())}
			rgba, luma := image.NewRGBA(r), image.NewGray(r)
			b.SetBytes(int64(len(src.Pix)))
			b.ReportAllocs()
			for b.Loop() {
				if err := pixel.Turn(rgba, luma, src, c.o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
