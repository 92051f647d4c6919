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

// Golden fails t unless got looks like testdata/<name>.png, which holds it at
// half its size: reference images are for ever, and a shift of one pixel still
// shows. See Differ for what "like" means. On failure the rendering is left in
// the test's artifact directory. With -update the reference is rewritten
// instead.
func Golden(t *testing.T, name string, got *image.RGBA) {
	t.Helper()
	path := filepath.Join("testdata", name+".png")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		writePNG(t, path, coarse(half(got)))
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
	small := half(got)
	if small.Bounds() != want.Bounds() {
		t.Fatalf("%s at half its size is %v, want %v", name, small.Bounds(), want.Bounds())
	}
	if n, last := Differ(small, want); n > MaxOutliers {
		out := filepath.Join(t.ArtifactDir(), name+".got.png")
		writePNG(t, out, got)
		t.Errorf("%s differs from %s in %d pixels of half its size (last at %v); see %s", name, path, n, last, out)
	}
}

// Differ returns how many pixels of two images of one size differ by more than
// MaxDelta in some channel, and the last of them.
func Differ(got *image.RGBA, want image.Image) (outliers int, last image.Point) {
	r := got.Bounds()
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			if delta(got.RGBAAt(x, y), pixel(want, x, y)) > MaxDelta {
				outliers++
				last = image.Pt(x, y)
			}
		}
	}
	return outliers, last
}

// pixel is m.At as RGBA, without the cost of it for what png.Decode gives.
func pixel(m image.Image, x, y int) color.RGBA {
	if m, ok := m.(*image.RGBA); ok {
		return m.RGBAAt(x, y)
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

// half returns m at half its size, each pixel the mean of four.
func half(m *image.RGBA) *image.RGBA {
	r := m.Bounds()
	out := image.NewRGBA(image.Rect(0, 0, r.Dx()/2, r.Dy()/2))
	for y := range out.Rect.Dy() {
		a := m.Pix[m.PixOffset(r.Min.X, r.Min.Y+2*y):]
		b := m.Pix[m.PixOffset(r.Min.X, r.Min.Y+2*y+1):]
		row := out.Pix[y*out.Stride : y*out.Stride+4*out.Rect.Dx()]
		for i := range row {
			from := i/4*8 + i%4
			row[i] = uint8((int(a[from]) + int(a[from+4]) + int(b[from]) + int(b[from+4]) + 2) / 4)
		}
	}
	return out
}

// coarse rounds every channel to a multiple of three, which a PNG stores in
// half the space; one of MaxDelta goes into it.
func coarse(m *image.RGBA) *image.RGBA {
	for i, v := range m.Pix {
		m.Pix[i] = uint8((int(v) + 1) / 3 * 3)
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
