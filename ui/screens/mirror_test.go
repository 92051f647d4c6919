package screens_test

import (
	"fmt"
	"image"
	"image/color"
	"math/rand/v2"
	"testing"
	"time"

	"gioui.org/layout"
	"gioui.org/op"

	"livekiosk/kiosk"
	"livekiosk/ui/screens"
	"livekiosk/ui/theme"
)

var clear0 = color.NRGBA{}

func noise(r image.Rectangle) *image.RGBA {
	m := image.NewRGBA(r)
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range m.Pix {
		m.Pix[i] = uint8(rng.UintN(256))
		if i%4 == 3 {
			m.Pix[i] = 0xff
		}
	}
	return m
}

func TestMirrorTurnsLeftToRight(t *testing.T) {
	var g screens.Glass
	src := noise(image.Rect(0, 0, 40, 30))
	got := g.Draw(src, image.Pt(40, 30), image.Rect(10, 5, 30, 25), clear0)
	for y := range 30 {
		for x := range 40 {
			if a, b := got.RGBAAt(x, y), src.RGBAAt(39-x, y); a != b {
				t.Fatalf("at %d,%d is %v, want %v", x, y, a, b)
			}
		}
	}
}

func TestMirrorCutsAboutTheCentre(t *testing.T) {
	var g screens.Glass
	src := noise(image.Rect(7, 9, 7+60, 9+20)) // an image need not begin at 0,0
	got := g.Draw(src, image.Pt(20, 20), image.Rectangle{}, clear0)
	for y := range 20 {
		for x := range 20 {
			if a, b := got.RGBAAt(x, y), src.RGBAAt(7+20+19-x, 9+y); a != b {
				t.Fatalf("at %d,%d is %v, want %v", x, y, a, b)
			}
		}
	}
}

func TestMirrorScalesSmoothly(t *testing.T) {
	src := image.NewRGBA(image.Rect(0, 0, 2, 1))
	src.SetRGBA(0, 0, color.RGBA{200, 0, 100, 255})
	src.SetRGBA(1, 0, color.RGBA{0, 200, 100, 255})
	var g screens.Glass
	got := g.Draw(src, image.Pt(64, 32), image.Rectangle{}, clear0)
	last := -1
	for x := range 64 {
		c := got.RGBAAt(x, 16)
		if int(c.R) < last || c.B < 99 || c.B > 100 || c.A != 255 {
			t.Fatalf("at %d is %v after red %d", x, c, last)
		}
		last = int(c.R)
	}
	if a, b := got.RGBAAt(0, 0), got.RGBAAt(63, 0); a.G != 200 || b.R != 200 {
		t.Errorf("edges are %v and %v", a, b)
	}
}

func TestMirrorDimsOutsideTheOvalOnly(t *testing.T) {
	var g screens.Glass
	src := noise(image.Rect(0, 0, 80, 80))
	scrim := theme.Of(kiosk.Light).Scrim
	oval := image.Rect(20, 10, 60, 70)
	plain := (&screens.Glass{}).Draw(src, image.Pt(80, 80), oval, clear0)
	got := g.Draw(src, image.Pt(80, 80), oval, scrim)
	for _, c := range []struct {
		name string
		at   image.Point
		dim  bool
	}{
		{"the middle is clear", image.Pt(40, 40), false},
		{"just inside the left end", image.Pt(21, 40), false},
		{"just inside the top", image.Pt(40, 12), false},
		{"just outside the left end", image.Pt(18, 40), true},
		{"just outside the top", image.Pt(40, 8), true},
		{"a corner of the oval's box", image.Pt(22, 12), true},
		{"a corner of the display", image.Pt(0, 0), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			was, is := plain.RGBAAt(c.at.X, c.at.Y), got.RGBAAt(c.at.X, c.at.Y)
			if !c.dim {
				if was != is {
					t.Errorf("%v became %v", was, is)
				}
				return
			}
			w := theme.Over(scrim, color.NRGBA(was))
			for _, d := range []int{int(is.R) - int(w.R), int(is.G) - int(w.G), int(is.B) - int(w.B)} {
				if d < -2 || d > 2 {
					t.Fatalf("%v became %v, want %v", was, is, w)
				}
			}
		})
	}
}

func TestMirrorErasesFacesWhenCleared(t *testing.T) {
	var g screens.Glass
	src := noise(image.Rect(0, 0, 16, 16))
	a := g.Draw(src, image.Pt(16, 16), image.Rectangle{}, clear0)
	b := g.Draw(src, image.Pt(16, 16), image.Rectangle{}, clear0)
	g.Clear()
	for _, m := range []*image.RGBA{a, b} {
		for i, p := range m.Pix {
			if p != 0 {
				t.Fatalf("byte %d is still %d", i, p)
			}
		}
	}
	g.Draw(src, image.Pt(16, 16), image.Rectangle{}, clear0) // and it goes on working
}

func TestMirrorDoesNotAllocateFromFrameToFrame(t *testing.T) {
	var g screens.Glass
	src := noise(image.Rect(0, 0, 64, 36))
	size, oval := image.Pt(72, 80), image.Rect(20, 20, 50, 60)
	g.Draw(src, size, oval, clear0)
	if n := testing.AllocsPerRun(20, func() { g.Draw(src, size, oval, clear0) }); n > 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

func BenchmarkMirror(b *testing.B) {
	for _, src := range []image.Point{{X: 640, Y: 360}, {X: 1280, Y: 720}} {
		b.Run(fmt.Sprintf("size=%dx%d", src.X, src.Y), func(b *testing.B) {
			var g screens.Glass
			m := noise(image.Rectangle{Max: src})
			size, oval := image.Pt(720, 800), image.Rect(200, 192, 520, 608)
			b.SetBytes(int64(4 * size.X * size.Y))
			b.ReportAllocs()
			for b.Loop() {
				g.Draw(m, size, oval, theme.Of(kiosk.Light).Scrim)
			}
		})
	}
}

// BenchmarkLayout is what a frame costs before any renderer sees it.
func BenchmarkLayout(b *testing.B) {
	for _, screen := range []kiosk.Screen{kiosk.IdleScreen, kiosk.ConsentScreen, kiosk.GuidingScreen} {
		b.Run("screen="+string(screen), func(b *testing.B) {
			s, err := screens.New(nil)
			if err != nil {
				b.Fatal(err)
			}
			var ops op.Ops
			cam := noise(image.Rect(0, 0, 640, 360))
			v := view(screen)
			var seq uint64
			b.ReportAllocs()
			for b.Loop() {
				seq++
				ops.Reset()
				s.Layout(layout.Context{Ops: &ops, Now: time.Unix(1, 0), Constraints: layout.Exact(upright)}, v, screens.Preview{Image: cam, Seq: seq})
			}
		})
	}
}
