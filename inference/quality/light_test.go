package quality_test

import (
	"fmt"
	"image"
	"math"
	"math/rand/v2"
	"testing"

	"livekiosk/inference/quality"
)

// round puts the outline of m's face on a circle.
func round(m *quality.Mesh, x, y, radius float32) {
	outline := []int{
		10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
		152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
	}
	for i, at := range outline {
		sin, cos := math.Sincos(float64(i) / float64(len(outline)) * 2 * math.Pi)
		m[at] = quality.Point{X: x + radius*float32(sin), Y: y - radius*float32(cos)}
	}
}

// grey returns a picture whose luma is given by a function.
func grey(w, h int, luma func(x, y int) uint8) *image.Gray {
	g := image.NewGray(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			g.Pix[y*g.Stride+x] = luma(x, y)
		}
	}
	return g
}

func TestMean(t *testing.T) {
	g := grey(10, 10, func(x, _ int) uint8 { return uint8(10 * x) })
	for _, test := range []struct {
		name string
		r    image.Rectangle
		want float32
	}{
		{"the whole", g.Rect, 45},
		{"one column", image.Rect(3, 0, 4, 10), 30},
		{"what reaches outside is cut", image.Rect(8, -50, 90, 50), 85},
		{"nothing", image.Rect(20, 20, 30, 30), 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := quality.Mean(g, test.r); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestBackgroundIsNeitherHairNorClothes(t *testing.T) {
	face := image.Rect(80, 60, 120, 100)
	g := grey(200, 200, func(x, y int) uint8 {
		at := image.Pt(x, y)
		switch {
		case at.In(face):
			return 150
		case at.In(face.Inset(-10)):
			return 5 // hair
		case y >= face.Max.Y:
			return 250 // a white shirt
		default:
			return 40
		}
	})
	if got, ok := quality.Background(g, face); !ok || got != 40 {
		t.Errorf("background is %v (%v), want 40", got, ok)
	}
	if got, ok := quality.Background(g, image.Rect(-50, -50, 250, 250)); ok {
		t.Errorf("behind a face that fills the picture there is %v", got)
	}
}

func TestExpose(t *testing.T) {
	for _, test := range []struct {
		name string
		luma func(x, y int) uint8
		want quality.Exposure
	}{
		{"even", func(int, int) uint8 { return 120 }, quality.Exposure{Mean: 120}},
		{"25 is dark", func(int, int) uint8 { return 25 }, quality.Exposure{Mean: 25, Under: 1}},
		{"26 is not", func(int, int) uint8 { return 26 }, quality.Exposure{Mean: 26}},
		{"247 is blown", func(int, int) uint8 { return 247 }, quality.Exposure{Mean: 247, Over: 1}},
		{"246 is not", func(int, int) uint8 { return 246 }, quality.Exposure{Mean: 246}},
		{"half and half", func(x, _ int) uint8 {
			if x < 100 {
				return 0
			}
			return 250
		}, quality.Exposure{Mean: 125, Under: 0.5, Over: 0.5}},
		{"what is around the face does not count", func(x, y int) uint8 {
			if math.Hypot(float64(x)-99.5, float64(y)-99.5) < 62 {
				return 90
			}
			return 255
		}, quality.Exposure{Mean: 90}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var m quality.Mesh
			round(&m, 100, 100, 60)
			if got := quality.Expose(grey(200, 200, test.luma), &m); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
	t.Run("a face half outside is measured by the rest", func(t *testing.T) {
		var m quality.Mesh
		round(&m, 0, 100, 60)
		got := quality.Expose(grey(200, 200, func(int, int) uint8 { return 80 }), &m)
		if got != (quality.Exposure{Mean: 80}) {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("a face outside measures nothing", func(t *testing.T) {
		var m quality.Mesh
		round(&m, -500, 100, 60)
		if got := quality.Expose(grey(200, 200, func(int, int) uint8 { return 80 }), &m); got != (quality.Exposure{}) {
			t.Errorf("got %+v", got)
		}
	})
}

func TestMoreLightBlowsOutMore(t *testing.T) {
	var m quality.Mesh
	round(&m, 100, 100, 60)
	random := rand.New(rand.NewPCG(3, 3))
	texture := make([]float64, 200*200)
	for i := range texture {
		texture[i] = 120 + 30*random.NormFloat64()
	}
	last := quality.Exposure{Under: 1}
	for gain := 0.1; gain < 4; gain += 0.1 {
		got := quality.Expose(grey(200, 200, func(x, y int) uint8 {
			return uint8(min(max(texture[y*200+x]*gain, 0), 255))
		}), &m)
		if got.Over < last.Over || got.Under > last.Under || got.Mean < last.Mean {
			t.Fatalf("at gain %.1f exposure is %+v after %+v", gain, got, last)
		}
		last = got
	}
	if last.Over < 0.9 {
		t.Errorf("at the end only %v is blown", last.Over)
	}
}

func TestUneven(t *testing.T) {
	m := head()
	for i := range m {
		m[i].X, m[i].Y = m[i].X+100, m[i].Y+100
	}
	half := func(x, _ int) uint8 {
		if x < 100 {
			return 90
		}
		return 150
	}
	if got := quality.Uneven(grey(200, 250, half), m, 60, 120); got != 0.5 {
		t.Errorf("cheeks of 90 and 150 in a face of 120 give %v, want 0.5", got)
	}
	if got := quality.Uneven(grey(200, 250, func(int, int) uint8 { return 90 }), m, 60, 90); got != 0 {
		t.Errorf("even light gives %v, want 0", got)
	}
	if got := quality.Uneven(grey(120, 250, half), m, 60, 120); got != 0 {
		t.Errorf("a cheek outside the picture gives %v, want 0", got)
	}
	if got := quality.Uneven(grey(200, 250, half), m, 60, 0); got != 0 {
		t.Errorf("a black face gives %v, want 0", got)
	}
}

func TestSharpness(t *testing.T) {
	for _, test := range []struct {
		name string
		luma func(x, y int) uint8
		want float64
	}{
		{"flat is 0", func(int, int) uint8 { return 77 }, 0},
		{"a slope is 0", func(x, y int) uint8 { return uint8(x/2 + y/4*2) }, -1},
		// Each pixel differs by 255 from four neighbours: the Laplacian is 1020
		// and -1020 in turn, its variance 1020 squared.
		{"a chessboard is the sharpest", func(x, y int) uint8 { return uint8((x + y) % 2 * 255) }, 1020 * 1020},
		// One column in four is white: Laplacians -510, 255, 0, 255.
		{"stripes", func(x, _ int) uint8 {
			if x%4 == 0 {
				return 255
			}
			return 0
		}, (510*510 + 255*255 + 255*255) / 4.0},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := float64(quality.Sharpness(grey(200, 200, test.luma), 100, 100, 128))
			if test.want < 0 { // integer steps of a slope leave a little
				if got > 5 {
					t.Errorf("got %v, want next to nothing", got)
				}
				return
			}
			if math.Abs(got-test.want) > 0.02*test.want+1e-3 {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// speckle is smooth noise of a given grain size in pixels.
func speckle(w, h int, grain float64) *image.Gray {
	random := rand.New(rand.NewPCG(5, 5))
	type wave struct{ x, y, phase float64 }
	waves := make([]wave, 12)
	for i := range waves {
		a := random.Float64() * 2 * math.Pi
		k := (0.5 + random.Float64()) * 2 * math.Pi / grain
		waves[i] = wave{k * math.Cos(a), k * math.Sin(a), random.Float64() * 7}
	}
	return grey(w, h, func(x, y int) uint8 {
		var v float64
		for _, k := range waves {
			v += math.Sin((float64(x)+0.5)*k.x + (float64(y)+0.5)*k.y + k.phase)
		}
		return uint8(min(max(128+v*14, 0), 255))
	})
}

func soften(g *image.Gray, rounds int) *image.Gray {
	for range rounds {
		src := g
		g = grey(src.Rect.Dx(), src.Rect.Dy(), func(x, y int) uint8 {
			sum := 0
			for dy := -1; dy <= 1; dy++ {
				for dx := -1; dx <= 1; dx++ {
					sum += int(src.Pix[min(max(y+dy, 0), src.Rect.Dy()-1)*src.Stride+min(max(x+dx, 0), src.Rect.Dx()-1)])
				}
			}
			return uint8((sum + 4) / 9)
		})
	}
	return g
}

func TestBlurNeverSharpens(t *testing.T) {
	g := speckle(220, 220, 7)
	last := quality.Sharpness(g, 110, 110, 160)
	first := last
	for i := range 8 {
		g = soften(g, 1)
		got := quality.Sharpness(g, 110, 110, 160)
		if got > last {
			t.Fatalf("after %d rounds of blur it is %v, before %v", i+1, got, last)
		}
		last = got
	}
	if last > first/50 {
		t.Errorf("a thoroughly blurred picture still has %v of %v", last, first)
	}
}

func TestSharpnessDoesNotDependOnSize(t *testing.T) {
	// The same picture at three sizes, with detail that all of them resolve.
	want := float64(quality.Sharpness(speckle(160, 160, 10), 80, 80, 128))
	for _, k := range []float64{1.5, 2, 3} {
		n := int(160 * k)
		got := float64(quality.Sharpness(speckle(n, n, 10*k), float32(80*k), float32(80*k), float32(128*k)))
		if math.Abs(got-want) > 0.2*want {
			t.Errorf("%v times as large it is %v, want about %v", k, got, want)
		}
	}
}

func TestFacesAnywhereAreHarmless(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 9))
	g := speckle(64, 48, 9)
	number := func() float32 {
		switch random.IntN(12) {
		case 0:
			return float32(math.NaN())
		case 1:
			return float32(math.Inf(1 - 2*random.IntN(2)))
		default:
			return float32(random.NormFloat64() * 100)
		}
	}
	for range 500 {
		var m quality.Mesh
		for i := range m {
			m[i] = quality.Point{X: number(), Y: number(), Z: number()}
		}
		e := quality.Expose(g, &m)
		if !(e.Mean >= 0 && e.Mean <= 255 && e.Under >= 0 && e.Under <= 1 && e.Over >= 0 && e.Over <= 1) {
			t.Fatalf("exposure is %+v", e)
		}
		if u := quality.Uneven(g, &m, number(), 100); !(u >= 0) {
			t.Fatalf("unevenness is %v", u)
		}
		if s := quality.Sharpness(g, number(), number(), number()); !(s >= 0) {
			t.Fatalf("sharpness is %v", s)
		}
		x, y, w := random.IntN(400)-200, random.IntN(400)-200, random.IntN(300)
		if b, ok := quality.Background(g, image.Rect(x, y, x+w, y+w)); ok && !(b >= 0 && b <= 255) {
			t.Fatalf("background is %v", b)
		}
	}
}

func TestNothingAllocates(t *testing.T) {
	g, m := speckle(200, 200, 9), head()
	round(m, 100, 100, 60)
	for name, measure := range map[string]func(){
		"Mean":       func() { quality.Mean(g, g.Rect) },
		"Background": func() { quality.Background(g, image.Rect(60, 60, 140, 140)) },
		"Expose":     func() { quality.Expose(g, m) },
		"Uneven":     func() { quality.Uneven(g, m, 60, 100) },
		"Sharpness":  func() { quality.Sharpness(g, 100, 100, 128) },
		"Pose":       func() { m.Pose() },
		"openings":   func() { m.EyesOpen(); m.MouthOpen() },
	} {
		if n := testing.AllocsPerRun(10, measure); n != 0 {
			t.Errorf("%s allocates %v times per call, want none", name, n)
		}
	}
}

func BenchmarkSharpness(b *testing.B) {
	g := speckle(640, 360, 9)
	for _, width := range []float32{80, 160, 300} {
		b.Run(fmt.Sprintf("width=%.0f", width), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				quality.Sharpness(g, 320, 180, width)
			}
		})
	}
}
