package pixel_test

import (
	"bytes"
	"fmt"
	"image"
	"strings"
	"testing"

	"livekiosk/camera/pixel"
)

// A layout is one of the package's, and how to lay out pixels for it.
type layout struct {
	is     pixel.Layout
	row    func(width int) int  // bytes of a row of pixels
	rows   func(height int) int // rows in all planes
	put    func(buf []byte, stride int, size image.Point, x, y int, luma, cb, cr byte)
	colour bool
}

// convert fills dst, upright.
func (l layout) convert(dst *image.RGBA, src []byte, stride int, size image.Point, n int, r pixel.Range) error {
	return pixel.Convert(dst, nil, pixel.Raw{Layout: l.is, Range: r, Pix: src, Stride: stride, Size: size}, n, pixel.Orientation{})
}

var layouts = map[string]layout{
	"YUYV": {pixel.YUYV, twice, once, func(buf []byte, stride int, _ image.Point, x, y int, luma, cb, cr byte) {
		buf[y*stride+2*x] = luma
		buf[y*stride+x/2*4+1], buf[y*stride+x/2*4+3] = cb, cr
	}, true},
	"UYVY": {pixel.UYVY, twice, once, func(buf []byte, stride int, _ image.Point, x, y int, luma, cb, cr byte) {
		buf[y*stride+2*x+1] = luma
		buf[y*stride+x/2*4], buf[y*stride+x/2*4+2] = cb, cr
	}, true},
	"NV12": {pixel.NV12, once, func(h int) int { return h + h/2 }, func(buf []byte, stride int, size image.Point, x, y int, luma, cb, cr byte) {
		buf[y*stride+x] = luma
		at := (size.Y+y/2)*stride + x/2*2
		buf[at], buf[at+1] = cb, cr
	}, true},
	"GREY": {pixel.Grey, once, once, func(buf []byte, stride int, _ image.Point, x, y int, luma, _, _ byte) {
		buf[y*stride+x] = luma
	}, false},
}

func once(n int) int  { return n }
func twice(n int) int { return 2 * n }

// fill lays out an image of one colour.
func fill(layout string, size image.Point, stride int, luma, cb, cr byte) []byte {
	l := layouts[layout]
	buf := make([]byte, stride*l.rows(size.Y))
	for y := range size.Y {
		for x := range size.X {
			l.put(buf, stride, size, x, y, luma, cb, cr)
		}
	}
	return buf
}

// The wanted values are BT.601's, computed by hand from its equations and
// rounded: for the limited range R = 1.16438(Y-16) + 1.59603 V,
// G = 1.16438(Y-16) - 0.39176 U - 0.81297 V, B = 1.16438(Y-16) + 2.01723 U; for
// the full range R = Y + 1.402 V, G = Y - 0.34414 U - 0.71414 V, B = Y + 1.772 U.
func TestColoursAreThoseOfBT601(t *testing.T) {
	for _, c := range []struct {
		name         string
		levels       pixel.Range
		luma, cb, cr byte
		want         [3]byte
	}{
		{"limited black", pixel.Limited, 16, 128, 128, [3]byte{0, 0, 0}},
		{"limited white", pixel.Limited, 235, 128, 128, [3]byte{255, 255, 255}},
		{"limited middle grey", pixel.Limited, 126, 128, 128, [3]byte{128, 128, 128}},
		{"limited red bar", pixel.Limited, 81, 90, 240, [3]byte{254, 0, 0}},
		{"limited green bar", pixel.Limited, 145, 54, 34, [3]byte{0, 255, 1}},
		{"limited blue bar", pixel.Limited, 41, 240, 110, [3]byte{0, 0, 255}},
		{"limited skin", pixel.Limited, 150, 110, 150, [3]byte{191, 145, 120}},
		{"blacker than black", pixel.Limited, 0, 128, 128, [3]byte{0, 0, 0}},
		{"whiter than white", pixel.Limited, 255, 128, 128, [3]byte{255, 255, 255}},
		{"full black", pixel.Full, 0, 128, 128, [3]byte{0, 0, 0}},
		{"full white", pixel.Full, 255, 128, 128, [3]byte{255, 255, 255}},
		{"full grey 77", pixel.Full, 77, 128, 128, [3]byte{77, 77, 77}},
		{"full red", pixel.Full, 76, 85, 255, [3]byte{254, 0, 0}},
		{"full skin", pixel.Full, 150, 110, 150, [3]byte{181, 140, 118}},
	} {
		for name, layout := range layouts {
			if !layout.colour && (c.cb != 128 || c.cr != 128) {
				continue
			}
			for _, n := range []int{1, 2, 3} {
				t.Run(fmt.Sprintf("%s in %s reduced by %d", c.name, name, n), func(t *testing.T) {
					size := image.Pt(12, 6)
					stride := layout.row(size.X) + 5
					dst := image.NewRGBA(image.Rectangle{Max: pixel.Reduced(size, n)})
					if err := layout.convert(dst, fill(name, size, stride, c.luma, c.cb, c.cr), stride, size, n, c.levels); err != nil {
						t.Fatal(err)
					}
					for i := 0; i < len(dst.Pix); i += 4 {
						if got := [4]byte(dst.Pix[i:]); got != [4]byte{c.want[0], c.want[1], c.want[2], 255} {
							t.Fatalf("pixel %d is %v, want %v", i/4, got, c.want)
						}
					}
				})
			}
		}
	}
}

func TestPixelsComeFromTheirPlaces(t *testing.T) {
	size := image.Pt(8, 4)
	for name, layout := range layouts {
		t.Run(name, func(t *testing.T) {
			stride := layout.row(size.X) + 3
			src := make([]byte, stride*layout.rows(size.Y))
			for y := range size.Y {
				for x := range size.X {
					// One colour for each square of two pixels, so that every layout holds it.
					layout.put(src, stride, size, x, y, byte(10*x+60*y), byte(100+10*(x/2)), byte(150-20*(y/2)))
				}
			}
			dst := image.NewRGBA(image.Rectangle{Max: size})
			if err := layout.convert(dst, src, stride, size, 1, pixel.Full); err != nil {
				t.Fatal(err)
			}
			for y := range size.Y {
				for x := range size.X {
					luma, u, v := float64(10*x+60*y), float64(100+10*(x/2)-128), float64(150-20*(y/2)-128)
					if !layout.colour {
						u, v = 0, 0
					}
					got := dst.RGBAAt(x, y)
					near(t, x, y, "red", got.R, luma+1.402*v)
					near(t, x, y, "green", got.G, luma-0.344136*u-0.714136*v)
					near(t, x, y, "blue", got.B, luma+1.772*u)
				}
			}
		})
	}
}

func near(t *testing.T, x, y int, channel string, got byte, want float64) {
	t.Helper()
	want = max(0, min(255, want))
	if d := float64(got) - want; d > 0.51 || d < -0.51 {
		t.Errorf("(%d,%d) %s is %d, want %.2f", x, y, channel, got, want)
	}
}

func TestReducedPixelsAreMeansOfTheirSquares(t *testing.T) {
	size := image.Pt(6, 4)
	for name, layout := range layouts {
		t.Run(name, func(t *testing.T) {
			stride := layout.row(size.X)
			src := make([]byte, stride*layout.rows(size.Y))
			for y := range size.Y {
				for x := range size.X {
					layout.put(src, stride, size, x, y, byte(16*x+y), 128, 128)
				}
			}
			dst := image.NewRGBA(image.Rect(0, 0, 3, 2))
			if err := layout.convert(dst, src, stride, size, 2, pixel.Full); err != nil {
				t.Fatal(err)
			}
			for y := range 2 {
				for x := range 3 {
					// Mean of 16*2x, 16*(2x+1) and of 2y, 2y+1: 32x+8 and 2y+0.5, rounded up.
					if got, want := dst.RGBAAt(x, y).G, byte(32*x+8+2*y+1); got != want {
						t.Errorf("(%d,%d) is %d, want %d", x, y, got, want)
					}
				}
			}
			// Five of six columns and four rows leave one by one, of the first 3x3.
			if err := layout.convert(image.NewRGBA(image.Rect(0, 0, 1, 1)), src, stride, image.Pt(4, 4), 3, pixel.Full); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestBadArgumentsAreClearErrorsAndChangeNothing(t *testing.T) {
	good := image.Pt(8, 4)
	for name, layout := range layouts {
		stride := layout.row(good.X)
		whole := fill(name, good, stride, 200, 128, 128)
		for _, c := range []struct {
			name   string
			dst    image.Point
			src    []byte
			stride int
			size   image.Point
			n      int
			want   string
		}{
			{"one byte short", good, whole[:len(whole)-1], stride, good, 1, "cannot hold"},
			{"no bytes", good, nil, stride, good, 1, "cannot hold"},
			{"stride below a row", good, whole, stride - 1, good, 1, "cannot hold"},
			{"stride below zero", good, whole, -stride, good, 1, "cannot hold"},
			{"stride beyond reason", good, whole, 1 << 40, good, 1, "cannot hold"},
			{"no width", good, whole, stride, image.Pt(0, 4), 1, "want sides"},
			{"negative height", good, whole, stride, image.Pt(8, -4), 1, "want sides"},
			{"a side beyond reason", good, whole, stride, image.Pt(1<<20, 4), 1, "want sides"},
			{"dst of another size", image.Pt(8, 2), whole, stride, good, 1, "rgba is"},
			{"reduction by nothing", good, whole, stride, good, 0, "reduction by 0"},
			{"reduction beyond the limit", good, whole, stride, good, pixel.MaxReduction + 1, "reduction by 65"},
			{"reduction to nothing", image.Pt(1, 0), whole, stride, good, 5, "leaves nothing"},
		} {
			t.Run(name+" "+c.name, func(t *testing.T) {
				dst := image.NewRGBA(image.Rectangle{Max: c.dst})
				err := layout.convert(dst, c.src, c.stride, c.size, c.n, pixel.Limited)
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %v, want one with %q", err, c.want)
				}
				if !bytes.Equal(dst.Pix, make([]byte, len(dst.Pix))) {
					t.Error("dst changed")
				}
			})
		}
		t.Run(name+" dst with too few bytes", func(t *testing.T) {
			dst := &image.RGBA{Pix: make([]byte, 4*8*4-1), Stride: 32, Rect: image.Rectangle{Max: good}}
			if err := layout.convert(dst, whole, stride, good, 1, pixel.Full); err == nil {
				t.Error("no error")
			}
		})
	}
	for name, size := range map[string]image.Point{"YUYV": {7, 4}, "UYVY": {7, 4}, "NV12": {8, 3}} {
		err := layouts[name].convert(image.NewRGBA(image.Rectangle{Max: size}), make([]byte, 1000), 16, size, 1, pixel.Full)
		if err == nil || !strings.Contains(err.Error(), "even") {
			t.Errorf("%s of %v: error %v, want one about even sides", name, size, err)
		}
	}
}

func TestDstMayBePartOfALargerImage(t *testing.T) {
	whole := image.NewRGBA(image.Rect(0, 0, 20, 10))
	part, ok := whole.SubImage(image.Rect(4, 2, 12, 6)).(*image.RGBA)
	if !ok {
		t.Fatal("no RGBA")
	}
	size := image.Pt(8, 4)
	if err := layouts["GREY"].convert(part, fill("GREY", size, 8, 90, 0, 0), 8, size, 1, pixel.Full); err != nil {
		t.Fatal(err)
	}
	for y := range 10 {
		for x := range 20 {
			if got, in := whole.RGBAAt(x, y).A == 255, image.Pt(x, y).In(part.Rect); got != in {
				t.Errorf("(%d,%d) written %v, within the part %v", x, y, got, in)
			}
		}
	}
}

func TestConversionsDoNotAllocate(t *testing.T) {
	size := image.Pt(64, 64)
	for name, layout := range layouts {
		for _, n := range []int{1, 2} {
			dst := image.NewRGBA(image.Rectangle{Max: pixel.Reduced(size, n)})
			src := fill(name, size, layout.row(size.X), 100, 128, 128)
			luma := image.NewGray(dst.Rect)
			raw := pixel.Raw{Layout: layout.is, Pix: src, Stride: layout.row(size.X), Size: size}
			if got := testing.AllocsPerRun(10, func() {
				if err := pixel.Convert(dst, luma, raw, n, pixel.Orientation{Turn: 90}); err != nil {
					t.Fatal(err)
				}
				if err := pixel.Turn(nil, luma, dst, pixel.Orientation{}); err != nil {
					t.Fatal(err)
				}
			}); got != 0 {
				t.Errorf("%s by %d: %v allocations", name, n, got)
			}
		}
	}
}

// BenchmarkConvert reduces as the daemon does, to a shorter side of 360.
func BenchmarkConvert(b *testing.B) {
	for _, name := range []string{"YUYV", "NV12", "GREY"} {
		for n, size := range []image.Point{{640, 480}, {1280, 720}, {1920, 1080}} {
			n++
			b.Run(fmt.Sprintf("%s/size=%dx%d/by=%d", name, size.X, size.Y, n), func(b *testing.B) {
				layout := layouts[name]
				dst := image.NewRGBA(image.Rectangle{Max: pixel.Reduced(size, n)})
				luma := image.NewGray(dst.Rect)
				raw := pixel.Raw{Layout: layout.is, Pix: fill(name, size, layout.row(size.X), 100, 110, 150), Stride: layout.row(size.X), Size: size}
				b.SetBytes(int64(len(raw.Pix)))
				b.ReportAllocs()
				for b.Loop() {
					if err := pixel.Convert(dst, luma, raw, n, pixel.Orientation{}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
