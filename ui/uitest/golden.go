// Package uitest compares rendered screens with reference images.
package uitest

import (
	"flag"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "rewrite reference images")

const (
	// MaxDelta is how far a channel may be from the reference, of 255: GPUs and
	// versions of a software renderer round differently.
	MaxDelta = 4
	// MaxOutliers is how many pixels may be further off than that.
	MaxOutliers = 64
)

// Golden fails t unless got looks like testdata/<name>.png: see Differ. On
// failure the rendering is left in the test's artifact directory. With -update
// the reference is rewritten instead.
func Golden(t *testing.T, name string, got *image.RGBA) {
	t.Helper()
	path := filepath.Join("testdata", name+".png")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		writePNG(t, path, compact(got))
		return
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatalf("%v (run go test -update to create it)", err)
	}
	defer f.Close()
	want, err := png.Decode(f)
	if err != nil {
		t.Fatalf("decode %s: %v", path, err)
	}
	if got.Bounds() != want.Bounds() {
		t.Fatalf("%s is %v, want %v", name, got.Bounds(), want.Bounds())
	}
	if n, last := Differ(got, want); n > MaxOutliers {
		out := filepath.Join(t.ArtifactDir(), name+".got.png")
		writePNG(t, out, got)
		t.Errorf("%s differs from %s in %d pixels (last at %v); see %s", name, path, n, last, out)
	}
}

// Differ returns how many pixels of two images of one size differ by more than
// MaxDelta in some channel, and the last of them.
func Differ(a, b image.Image) (outliers int, last image.Point) {
	r := a.Bounds()
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			if delta(pixel(a, x, y), pixel(b, x, y)) > MaxDelta {
				outliers++
				last = image.Pt(x, y)
			}
		}
	}
	return outliers, last
}

// pixel is m.At as RGBA, without the cost of it where that is easy.
func pixel(m image.Image, x, y int) color.RGBA {
	switch m := m.(type) {
	case *image.RGBA:
		return m.RGBAAt(x, y)
	case *image.Paletted:
		if c, ok := m.Palette[m.ColorIndexAt(x, y)].(color.RGBA); ok {
			return c
		}
	}
	r, g, b, a := m.At(x, y).RGBA()
	return color.RGBA{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), uint8(a >> 8)}
}

func delta(a, b color.RGBA) int {
	d := 0
	for _, p := range [4][2]uint8{{a.R, b.R}, {a.G, b.G}, {a.B, b.B}, {a.A, b.A}} {
		d = max(d, int(p[0])-int(p[1]), int(p[1])-int(p[0]))
	}
	return d
}

// compact returns m with a palette of at most 256 colours if no channel has to
// move by more than half of MaxDelta for it, and otherwise m itself: screens
// have few colours, and reference images are for ever.
func compact(m *image.RGBA) image.Image {
	for step := 1; step <= MaxDelta+1; step++ {
		if p, ok := quantise(m, step); ok {
			return p
		}
	}
	return m
}

// quantise rounds every channel to a multiple of step, 255 excepted.
func quantise(m *image.RGBA, step int) (*image.Paletted, bool) {
	r := m.Bounds()
	p := image.NewPaletted(r, nil)
	index := map[color.RGBA]uint8{}
	near := func(v uint8) uint8 { return uint8(min((int(v)+step/2)/step*step, 255)) }
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			c := m.RGBAAt(x, y)
			c = color.RGBA{near(c.R), near(c.G), near(c.B), c.A}
			i, known := index[c]
			if !known {
				if len(p.Palette) == 256 {
					return nil, false
				}
				i = uint8(len(p.Palette))
				index[c] = i
				p.Palette = append(p.Palette, c)
			}
			p.Pix[p.PixOffset(x, y)] = i
		}
	}
	return p, true
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
