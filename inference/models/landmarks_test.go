package models_test

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"livekiosk/inference/models"
	"livekiosk/inference/models/tflite"
	"livekiosk/inference/models/tflite/tflitetest"
)

var update = flag.Bool("update", false, "rewrite testdata/landmarks.golden")

// cached returns the path of the file that has the given role in the cache of
// this machine, which "make test" has filled.
func cached(t *testing.T, role models.Role) string {
	t.Helper()
	m, err := models.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range m.Artifacts("amd64") {
		if a.Role != role {
			continue
		}
		file := filepath.Join(models.Dir(), a.Name)
		if _, err := os.Stat(file); err != nil {
			t.Fatalf("%v: run 'make models'", err)
		}
		return file
	}
	t.Fatalf("no file of role %s", role)
	return ""
}

// pattern is a picture of n pixels square, RGB, 0..1: rings around the middle
// with a different slant in each channel. It is exact in float32 on every
// machine.
func pattern(n int) []float32 {
	p := make([]float32, 0, 3*n*n)
	for y := range n {
		for x := range n {
			for c := range 3 {
				dx, dy := 2*x-n, 2*y-n
				p = append(p, float32((dx*dx+dy*dy+c*37*x+y*y*(3-c))>>5&255)/256)
			}
		}
	}
	return p
}

// interpreted is what the TFLite file itself computes from the pattern.
var interpreted = sync.OnceValues(func() ([][]float32, error) {
	m, err := models.Embedded()
	if err != nil {
		return nil, err
	}
	for _, a := range m.Artifacts("amd64") {
		if a.Role == models.Source {
			src, err := os.ReadFile(filepath.Join(models.Dir(), a.Name))
			if err != nil {
				return nil, fmt.Errorf("%w: run 'make models'", err)
			}
			net, err := tflite.Parse(src)
			if err != nil {
				return nil, err
			}
			return tflitetest.Run(net, pattern(192))
		}
	}
	return nil, models.ErrMissing
})

// TestTheConverterMakesTheFileOfTheManifest on this machine's architecture,
// whichever that is.
func TestTheConverterMakesTheFileOfTheManifest(t *testing.T) {
	src, err := os.ReadFile(cached(t, models.Source))
	if err != nil {
		t.Fatal(err)
	}
	got, err := tflite.Convert(src)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(cached(t, models.Landmarks))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the conversion has sha256 %s, the fetched file %s", sum(got), sum(want))
	}
}

// TestLandmarksMatchTheGolden: the golden tensors pin how the weights are read.
// They were computed from the TFLite file in float64 sums; -update does it
// again.
func TestLandmarksMatchTheGolden(t *testing.T) {
	out, err := interpreted()
	if err != nil {
		t.Fatal(err)
	}
	const file = "testdata/landmarks.golden"
	if *update {
		var b bytes.Buffer
		for i := 0; i < len(out[0]); i += 24 {
			fmt.Fprintf(&b, "0 %d %.4f\n", i+i/24%3, out[0][i+i/24%3])
		}
		fmt.Fprintf(&b, "1 0 %.4f\n", out[1][0])
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer golden.Close()
	n := 0
	for lines := bufio.NewScanner(golden); lines.Scan(); n++ {
		var output, i int
		var want float64
		if _, err := fmt.Sscan(lines.Text(), &output, &i, &want); err != nil {
			t.Fatalf("line %q: %v", lines.Text(), err)
		}
		if got := float64(out[output][i]); math.Abs(got-want) > 0.001 {
			t.Errorf("output %d [%d] is %.4f, want %.4f", output, i, got, want)
		}
	}
	if n != 60 {
		t.Errorf("%d golden values, want 60", n)
	}
}

// worst returns the largest difference between two tensors.
func worst(a, b []float32) float64 {
	most := 0.0
	for i := range a {
		// A NaN on one side must not pass for small.
		if d := math.Abs(float64(a[i]) - float64(b[i])); !(d <= most) {
			most = d
		}
	}
	return most
}

// random makes a small network of every operator from a seed, with odd sizes.
func random(seed uint32) tflitetest.Net {
	next := func(n int32) int32 {
		seed = seed*1664525 + 1013904223
		return int32(seed>>8) % n
	}
	floats := func(n int32) []float32 {
		r := make([]float32, n)
		for i := range r {
			r[i] = float32(next(129)-64) / 64
		}
		return r
	}
	h, w, c := 6+next(6), 6+next(6), 1+next(5)
	n := tflitetest.Net{
		Tensors: []tflitetest.Tensor{{Name: "in", Shape: []int32{1, h, w, c}}},
		Inputs:  []int32{0},
	}
	x := int32(0)
	add := func(t tflitetest.Tensor) int32 {
		t.Name = fmt.Sprintf("t%d", len(n.Tensors))
		n.Tensors = append(n.Tensors, t)
		return int32(len(n.Tensors) - 1)
	}
	apply := func(code int32, in []int32, options ...any) {
		out := add(tflitetest.Tensor{Shape: []int32{1, h, w, c}})
		n.Ops = append(n.Ops, tflitetest.Op{Code: code, In: append([]int32{x}, in...), Out: []int32{out}, Options: options})
		x = out
	}
	// shrink sets h and w to what a window leaves, and returns its options.
	shrink := func(kh, kw int32) []any {
		padding, sh, sw := uint8(next(2)), 1+next(2), 1+next(3)
		if kh > h || kw > w {
			padding = tflitetest.Same
		}
		if padding == tflitetest.Same {
			h, w = (h+sh-1)/sh, (w+sw-1)/sw
		} else {
			h, w = (h-kh)/sh+1, (w-kw)/sw+1
		}
		return []any{padding, sw, sh}
	}
	for range 5 {
		switch kh, kw := 1+next(4), 1+next(4); next(6) {
		case 0:
			out := 1 + next(5)
			weights := add(tflitetest.Tensor{Shape: []int32{out, kh, kw, c}, Floats: floats(out * kh * kw * c)})
			bias := add(tflitetest.Tensor{Shape: []int32{out}, Floats: floats(out)})
			options := shrink(kh, kw)
			c = out
			apply(tflitetest.CodeConv, []int32{weights, bias}, append(options, uint8(next(2)))...)
		case 1:
			per := 1 + next(2)
			weights := add(tflitetest.Tensor{Shape: []int32{1, kh, kw, c * per}, Floats: floats(kh * kw * c * per)})
			options := shrink(kh, kw)
			c *= per
			apply(tflitetest.CodeDepthwise, []int32{weights, -1}, append(options, per, uint8(next(2)))...)
		case 2:
			options := shrink(kh, kw)
			apply(tflitetest.CodeMaxPool, nil, append(options, kw, kh, tflitetest.None)...)
		case 3:
			apply(tflitetest.CodeAdd, []int32{x}, uint8(next(2)))
		case 4:
			apply(tflitetest.CodePReLU, []int32{add(tflitetest.Tensor{Shape: []int32{1, 1, c}, Floats: floats(c)})})
		case 5:
			p := []int32{0, 0, next(3), next(3), next(3), next(3), 0, next(3)}
			widths := add(tflitetest.Tensor{Shape: []int32{4, 2}, Ints: p})
			h, w, c = h+p[2]+p[3], w+p[4]+p[5], c+p[7]
			apply(tflitetest.CodePad, []int32{widths})
		}
	}
	n.Outputs = []int32{x}
	return n
}

func TestRandomNetworksAreSound(t *testing.T) {
	kinds := map[tflite.Kind]bool{}
	for seed := range uint32(100) {
		m, err := tflite.Parse(random(seed).Bytes())
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for _, o := range m.Ops {
			kinds[o.Kind] = true
		}
	}
	for _, k := range []tflite.Kind{tflite.Add, tflite.Conv, tflite.Depthwise, tflite.MaxPool, tflite.Pad, tflite.PReLU} {
		if !kinds[k] {
			t.Errorf("no network has a %s", k)
		}
	}
	if a, b := random(7).Bytes(), random(8).Bytes(); slices.Equal(a, b) {
		t.Error("the seed changes nothing")
	}
}
