// Package uitest compares rendered screens with reference pictures.
package uitest

import (
	"flag"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"livekiosk/ui"
)

var (
	update = flag.Bool("update", false, "rewrite reference pictures")
	every  = flag.Int("every", 7, "draw one of so many pictures, in turn; 1 is all of them")
)

const (
	// MaxDelta is how far a channel may be from the reference, of 255: GPUs and
	// versions of a software renderer round differently, and a reference has
	// fewer steps.
	MaxDelta = 10
	// MaxOutliers is how many pixels of one picture may be further off.
	MaxOutliers = 16

	step = 15 // channels of a reference are multiples of it: 17 steps, and half the bytes
)

// A Sheet holds many pictures of one size against one reference, in which each
// has a place at a quarter of its size. A shift of one pixel still shows.
type Sheet struct {
	t     *testing.T
	path  string
	out   string
	want  *image.RGBA // nil: it is to be rewritten
	sheet ui.Sheet
	name  string // of the picture at hand
	count int    // of pictures so far, with it
}

// NewSheet opens the reference testdata/<name>.png. Pictures that differ are
// left in out, whole.
func NewSheet(t *testing.T, name, out string) *Sheet {
	t.Helper()
	s := &Sheet{t: t, path: filepath.Join("testdata", name+".png"), out: out, sheet: ui.Sheet{Columns: 6, Shrink: 4}}
	if *update {
		return s
	}
	f, err := os.Open(s.path)
	if err != nil {
		t.Fatalf("%v (go test -update creates it)", err)
	}
	defer f.Close()
	m, err := png.Decode(f)
	if err != nil {
		t.Fatalf("decode %s: %v", s.path, err)
	}
	s.want = image.NewRGBA(m.Bounds())
	draw.Draw(s.want, s.want.Rect, m, m.Bounds().Min, draw.Src)
	return s
}

// Next makes room for the next picture and reports whether it is to be drawn
// and shown: one of every so many is.
func (s *Sheet) Next(name string) bool {
	s.name = name
	s.count++
	return s.want == nil || (s.count-1)%*every == 0
}

// Show holds the picture for which Next made room against the reference, and
// fails the test unless they look alike; see Differ.
func (s *Sheet) Show(img *image.RGBA) {
	s.t.Helper()
	small := s.sheet.Add(img)
	if s.want == nil {
		return
	}
	at := s.sheet.At(s.count-1, small.Rect.Size())
	n, last := Differ(small, s.want, at)
	if n <= MaxOutliers {
		return
	}
	if err := os.MkdirAll(s.out, 0o755); err != nil {
		s.t.Fatal(err)
	}
	whole := filepath.Join(s.out, s.name+".png")
	writePNG(s.t, whole, img)
	s.t.Errorf("%s differs from %s at %v in %d pixels (last at %v); look at %s", s.name, s.path, at, n, last, whole)
}

// Close fails the test if the reference has no room for as many pictures as
// there are, or more; or it rewrites it with -update.
func (s *Sheet) Close() {
	s.t.Helper()
	if s.want == nil {
		writePNG(s.t, s.path, coarse(s.sheet.Image()))
		return
	}
	if size := s.sheet.Size(s.count); size != s.want.Rect.Max {
		s.t.Errorf("%s is %v, want %v for %d pictures (go test -update rewrites it)", s.path, s.want.Rect.Max, size, s.count)
	}
}

// Differ returns how many pixels of got differ in some channel by more than
// MaxDelta from those of want, where got begins at from, and the last of them.
func Differ(got, want *image.RGBA, from image.Point) (outliers int, last image.Point) {
	for y := range got.Rect.Dy() {
		for x := range got.Rect.Dx() {
			if delta(got.RGBAAt(x, y), want.RGBAAt(from.X+x, from.Y+y)) > MaxDelta {
				outliers++
				last = image.Pt(x, y)
			}
		}
	}
	return outliers, last
}

func delta(a, b color.RGBA) int {
	d := 0
	for _, p := range [4][2]uint8{{a.R, b.R}, {a.G, b.G}, {a.B, b.B}, {a.A, b.A}} {
		d = max(d, int(p[0])-int(p[1]), int(p[1])-int(p[0]))
	}
	return d
}

// coarse rounds every channel to a multiple of step; half of it goes into
// MaxDelta.
func coarse(m *image.RGBA) *image.RGBA {
	for i, v := range m.Pix {
		m.Pix[i] = uint8((int(v) + step/2) / step * step)
	}
	return m
}

func writePNG(t *testing.T, path string, m image.Image) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	enc := png.Encoder{CompressionLevel: png.BestCompression}
	if err := enc.Encode(f, m); err != nil {
		t.Fatal(err)
	}
}
