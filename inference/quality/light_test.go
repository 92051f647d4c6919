package quality_test

import (
	"image"
	"image/color"
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

// A paint is a picture by its colours.
type paint func(x, y int) color.RGBA

// grey is a picture of levels without colour.
func grey(level func(x, y int) uint8) paint {
	return func(x, y int) color.RGBA {
		v := level(x, y)
		return color.RGBA{v, v, v, 255}
	}
}

func even(v uint8) paint { return grey(func(int, int) uint8 { return v }) }

// crop returns a crop that shows p and m.
func crop(p paint, m *quality.Mesh) *quality.Crop {
	rgb := make([]float32, 0, 3*quality.Side*quality.Side)
	for y := range quality.Side {
		for x := range quality.Side {
			c := p(x, y)
			rgb = append(rgb, float32(c.R)/255, float32(c.G)/255, float32(c.B)/255)
		}
	}
	c := quality.NewCrop()
	c.Read(rgb, m)
	return c
}

// centred returns a head in the middle of a crop, its outline a circle.
func centred() *quality.Mesh {
	m := head()
	for i := range m {
		m[i].X, m[i].Y = m[i].X+96, m[i].Y+76
	}
	round(m, 96, 96, 60)
	return m
}

// picture returns p as an image.
func picture(w, h int, p paint) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.SetRGBA(x, y, p(x, y))
		}
	}
	return img
}

// greys returns the red of img: its luma, if it has no colour.
func greys(img *image.RGBA) *image.Gray {
	g := image.NewGray(img.Rect)
	for i := range g.Pix {
		g.Pix[i] = img.Pix[4*i]
	}
	return g
}

func TestLuma(t *testing.T) {
	for _, test := range []struct {
		name string
		c    [3]float32
		want uint8
	}{
		{"black", [3]float32{}, 0},
		{"white", [3]float32{1, 1, 1}, 255},
		{"grey is itself", [3]float32{77. / 255, 77. / 255, 77. / 255}, 77},
		{"red weighs 0.299", [3]float32{1, 0, 0}, 76},
		{"green weighs 0.587", [3]float32{0, 1, 0}, 150},
		{"blue weighs 0.114", [3]float32{0, 0, 1}, 29},
	} {
		var got [1]uint8
		if quality.Luma(got[:], test.c[:]); got[0] != test.want {
			t.Errorf("%s: %d, want %d", test.name, got[0], test.want)
		}
	}
}

func TestMean(t *testing.T) {
	for _, test := range []struct {
		name string
		g    *image.Gray
		want float32
	}{
		{"grey", greys(picture(640, 360, even(77))), 77},
		{"half and half", greys(picture(640, 360, grey(func(x, _ int) uint8 { return uint8(x / 320 * 200) }))), 100},
		{"one pixel", greys(picture(1, 1, even(9))), 9},
		{"nothing", &image.Gray{}, 0},
	} {
		if got := quality.Mean(test.g); off(got, float64(test.want)) > 0.1 {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestBackgroundIsNeitherHairNorClothes(t *testing.T) {
	face := image.Rect(80, 60, 120, 100)
	img := picture(200, 200, grey(func(x, y int) uint8 {
		at := image.Pt(x, y)
		switch {
		case at.In(face):
			return 150
		case at.In(face.Inset(-8)):
			return 5 // hair
		case y > face.Max.Y:
			return 250 // a white shirt
		default:
			return 40
		}
	}))
	c := quality.NewCrop()
	if got, ok := c.Behind(img, greys(img), face, 20); !ok || off(got.Luma, 40) > 0.01 || got.Uniformity != (quality.Component{Raw: 0, Q: 100}) {
		t.Errorf("background is %+v (%v), want 40 and uniform", got, ok)
	}
	if got, ok := c.Behind(img, greys(img), image.Rect(-50, -50, 250, 250), 20); ok {
		t.Errorf("behind a face that fills the picture there is %+v", got)
	}
}

func TestBackgroundUniformity(t *testing.T) {
	face := image.Rect(300, 300, 340, 340)
	c := quality.NewCrop()
	// Luminance is linear, so a linear slope of it is a curve of grey levels.
	slope := func(step float64) paint {
		return grey(func(x, _ int) uint8 {
			v := step * float64(x) / 255
			if v <= 0.0031308 {
				return uint8(math.Round(255 * 12.92 * v))
			}
			return uint8(math.Round(255 * (1.055*math.Pow(v, 1/2.4) - 0.055)))
		})
	}
	// 0.25 steps a pixel are 0.5 over two, times Scharr's 16, in a picture of
	// the reference's scale: 8, for which the mapping gives 190 / (1 + exp(-0.02)).
	img := picture(640, 360, slope(0.25))
	got, ok := c.Behind(img, greys(img), face, 81)
	if !ok || off(got.Uniformity.Raw, 8) > 0.4 || got.Uniformity.Q != 96 {
		t.Errorf("a slope gives %+v, want about 8 and 96", got.Uniformity)
	}
	if half, _ := c.Behind(img, greys(img), face, 40.5); off(half.Uniformity.Raw, float64(got.Uniformity.Raw)/2) > 1e-4 {
		t.Errorf("in a picture of half the scale it is %v, want half of %v", half.Uniformity.Raw, got.Uniformity.Raw)
	}
	last := quality.Component{Raw: -1, Q: 100}
	for _, amplitude := range []float64{0, 10, 30, 100} {
		img := picture(640, 360, grey(func(x, y int) uint8 {
			return uint8(128 + amplitude*math.Sin(float64(x)/3)*math.Sin(float64(y)/4))
		}))
		b, _ := c.Behind(img, greys(img), face, 50)
		if b.Uniformity.Raw <= last.Raw || b.Uniformity.Q > last.Q {
			t.Errorf("with a pattern of %v it is %+v after %+v", amplitude, b.Uniformity, last)
		}
		last = b.Uniformity
	}
}

func TestExposure(t *testing.T) {
	for _, test := range []struct {
		name string
		p    paint
		want quality.Exposure
	}{
		{"even", even(120), quality.Exposure{Mean: 120}},
		{"25 is dark", even(25), quality.Exposure{Mean: 25, Under: 1}},
		{"26 is not", even(26), quality.Exposure{Mean: 26}},
		{"247 is blown", even(247), quality.Exposure{Mean: 247, Over: 1}},
		{"246 is not", even(246), quality.Exposure{Mean: 246}},
		{"half and half", grey(func(x, _ int) uint8 { return uint8(x / 96 * 250) }), quality.Exposure{Mean: 125, Under: 0.5, Over: 0.5}},
		{"what is around the face does not count", grey(func(x, y int) uint8 {
			if math.Hypot(float64(x)-95.5, float64(y)-95.5) < 62 {
				return 90
			}
			return 255
		}), quality.Exposure{Mean: 90}},
	} {
		if got := crop(test.p, centred()).Exposure(); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
	m := centred()
	round(m, 0, 96, 60)
	if got := crop(even(80), m).Exposure(); got != (quality.Exposure{Mean: 80}) {
		t.Errorf("a face half outside: %+v, want the other half's", got)
	}
	round(m, -500, 96, 60)
	if got := crop(even(80), m).Exposure(); got != (quality.Exposure{}) {
		t.Errorf("a face outside: %+v", got)
	}
}

// TestLightByHand compares with numbers worked out by hand. Level 188 has a
// luminance of 0.5029 of 1, which is 128 of 255 (0.50196); 99 has 32, and 255
// and 0 are themselves. Every second pixel is looked at, so halves are not exact.
func TestLightByHand(t *testing.T) {
	halves := func(a, b uint8) paint {
		return grey(func(x, _ int) uint8 {
			if x < 96 {
				return a
			}
			return b
		})
	}
	for _, test := range []struct {
		name    string
		p       paint
		measure func(*quality.Crop) quality.Component
		raw     float64
		q       int8
	}{
		// 100 / (1 + e^-6.04) * (1 - 1 / (1 + e^5.96)) = 99.5
		{"mean of a middle grey", even(188), (*quality.Crop).LuminanceMean, 128. / 255, 100},
		// S((0.1255-0.2)/0.05) = 1 / (1 + e^1.49) = 0.184
		{"mean of a dark grey", even(99), (*quality.Crop).LuminanceMean, 32. / 255, 18},
		{"variance of one level", even(188), (*quality.Crop).LuminanceVariance, 0, 0},
		// Two levels 96/255 apart: (48/255)^2 = 0.03543; 60 v = 2.126; sin(0.680 pi) = 0.844
		{"variance of two levels", halves(99, 188), (*quality.Crop).LuminanceVariance, 0.035433, 84},
		// sin(0.9375 pi) = 0.195 at a variance of 1/4
		{"variance of black and white", halves(0, 255), (*quality.Crop).LuminanceVariance, 0.25, 20},
		{"no pixel is dark", even(188), (*quality.Crop).UnderExposurePrevention, 0, 100},
		// 120 (0.832 - 1 / (1 + e^8.4)) = 99.8
		{"half is dark", halves(0, 188), (*quality.Crop).UnderExposurePrevention, 0.5, 100},
		// 120 (0.832 - 1 / (1 + e^-1.6)) = -0.04
		{"all is dark", even(0), (*quality.Crop).UnderExposurePrevention, 1, 0},
		{"nothing is blown", even(188), (*quality.Crop).OverExposurePrevention, 0, 100},
		{"half is blown", halves(188, 255), (*quality.Crop).OverExposurePrevention, 0.5, 2},
		{"one level has no range", even(188), (*quality.Crop).DynamicRange, 0, 0},
		{"two levels are nearly one bit", halves(99, 188), (*quality.Crop).DynamicRange, 1, 12},
		{"cheeks alike", even(99), (*quality.Crop).IlluminationUniformity, 1, 100},
		{"cheeks with nothing in common", halves(99, 188), (*quality.Crop).IlluminationUniformity, 0, 0},
		{"no colour at all", even(150), (*quality.Crop).NaturalColour, 100, 0},
	} {
		if got := test.measure(crop(test.p, centred())); off(got.Raw, test.raw) > 0.006 || got.Q != test.q {
			t.Errorf("%s: %+v, want %v and %d", test.name, got, test.raw, test.q)
		}
	}
	// 1 / (share + 0.01) is 50, 33 and 9; a blown dot on the face has the share.
	for share, want := range map[float64]float64{0.01: 50, 0.02: 33, 0.1: 9} {
		radius := 60 * math.Sqrt(share)
		got := crop(grey(func(x, y int) uint8 {
			if math.Hypot(float64(x)-95.5, float64(y)-95.5) < radius {
				return 255
			}
			return 188
		}), centred()).OverExposurePrevention()
		if off(got.Raw, share) > 0.12*share || math.Abs(float64(got.Q)-want) > 0.15*want {
			t.Errorf("blown by %v: %+v, want about %v", share, got, want)
		}
	}
}

func TestNaturalColour(t *testing.T) {
	flat := func(r, g, b uint8) quality.Component {
		return crop(func(int, int) color.RGBA { return color.RGBA{r, g, b, 255} }, centred()).NaturalColour()
	}
	for _, test := range []struct {
		name    string
		r, g, b uint8
		q       int8
	}{
		{"fair skin", 224, 188, 164, 100},
		{"brown skin", 141, 96, 74, 100},
		{"dark skin", 84, 56, 43, 100},
		{"very dark skin", 60, 40, 32, 100},
		{"blue", 90, 110, 190, 0},
		{"green", 90, 190, 110, 0},
		{"grey", 128, 128, 128, 0},
		{"nearly grey", 129, 128, 128, 0},
	} {
		if got := flat(test.r, test.g, test.b); got.Q != test.q {
			t.Errorf("%s: %+v, want %d", test.name, got, test.q)
		}
	}
	// Pure red has a* = 80.8 and b* = 69.9 (D50): 55.8 and 34.9 beyond skin.
	if got := flat(255, 0, 0); off(got.Raw, math.Hypot(55.8, 34.9)) > 0.5 || got.Q != 0 {
		t.Errorf("red: %+v", got)
	}
}

func TestMoreLightBlowsOutMore(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	texture := make([]float64, quality.Side*quality.Side)
	for i := range texture {
		texture[i] = 120 + 30*random.NormFloat64()
	}
	last := quality.Exposure{Under: 1}
	under, over := quality.Component{Raw: 1}, quality.Component{Q: 100}
	for gain := 0.1; gain < 4; gain += 0.1 {
		c := crop(grey(func(x, y int) uint8 { return uint8(min(max(texture[y*quality.Side+x]*gain, 0), 255)) }), centred())
		got := c.Exposure()
		if got.Over < last.Over || got.Under > last.Under || got.Mean < last.Mean {
			t.Fatalf("at gain %.1f exposure is %+v after %+v", gain, got, last)
		}
		u, o := c.UnderExposurePrevention(), c.OverExposurePrevention()
		if u.Raw > under.Raw || u.Q < under.Q || o.Raw < over.Raw || o.Q > over.Q {
			t.Fatalf("at gain %.1f: under %+v after %+v, over %+v after %+v", gain, u, under, o, over)
		}
		last, under, over = got, u, o
	}
	if last.Over < 0.9 || over.Q > 2 || under.Q != 100 {
		t.Errorf("at the end %v is blown, over %+v, under %+v", last.Over, over, under)
	}
}

func TestLightFromTheSide(t *testing.T) {
	last := quality.Component{Q: 101}
	for _, shade := range []float64{0, 0.1, 0.2, 0.4} { // of the light, from the middle to the rim
		c := crop(grey(func(x, y int) uint8 {
			grain := float64((x*7+y*13)%24) - 12
			return uint8(150*(1-shade*float64(x-96)/96) + grain)
		}), centred())
		if got := c.IlluminationUniformity(); got.Q >= last.Q {
			t.Errorf("with a shade of %v it is %+v after %+v", shade, got, last)
		} else {
			last = got
		}
	}
	half := grey(func(x, _ int) uint8 { return uint8(90 + x/96*60) })
	if got := crop(half, centred()).Uneven(120); got != 0.5 {
		t.Errorf("cheeks of 90 and 150 in a face of 120 give %v, want 0.5", got)
	}
	if got := crop(even(90), centred()).Uneven(90); got != 0 {
		t.Errorf("even light gives %v, want 0", got)
	}
	m := centred()
	m[280].X = 900
	if got := crop(half, m).Uneven(120); got != 0 {
		t.Errorf("a cheek outside the crop gives %v, want 0", got)
	}
	if got := crop(half, centred()).Uneven(0); got != 0 {
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
		{"a slope is 0", func(x, y int) uint8 { return uint8(x/2*2/2 + y) }, 0},
		// Each dot is 510 darker than what is two pixels aside in any direction, and as
		// much lighter in the middle between two dots.
		{"dots four pixels apart", func(x, y int) uint8 { return uint8((4 - x%4) / 4 * ((4 - y%4) / 4) * 255) }, 2.0 / 3 * 2 * 510 * 510 / 16},
		{"stripes have no detail along them", func(x, _ int) uint8 { return uint8((4 - x%4) / 4 * 255) }, 0},
		{"single pixels are noise", func(x, y int) uint8 { return uint8((x + y) % 2 * 255) }, 0},
	} {
		if got := crop(grey(test.luma), centred()).Sharpness(); off(got, test.want) > 0.01*test.want+0.01 {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
	// Outside of the box's circle nothing counts.
	ring := grey(func(x, y int) uint8 {
		if math.Hypot(float64(x)-95.5, float64(y)-95.5) > 68 {
			return uint8((4 - x%4) / 4 * ((4 - y%4) / 4) * 255)
		}
		return 90
	})
	if got := crop(ring, centred()).Sharpness(); got != 0 {
		t.Errorf("a sharp background: %v, want 0", got)
	}
}

// speckle is smooth noise of a given grain size in pixels.
func speckle(grain float64) func(x, y int) uint8 {
	random := rand.New(rand.NewPCG(5, 5))
	type wave struct{ x, y, phase float64 }
	waves := make([]wave, 12)
	for i := range waves {
		a := random.Float64() * 2 * math.Pi
		k := (0.5 + random.Float64()) * 2 * math.Pi / grain
		waves[i] = wave{k * math.Cos(a), k * math.Sin(a), random.Float64() * 7}
	}
	return func(x, y int) uint8 {
		var v float64
		for _, k := range waves {
			v += math.Sin((float64(x)+0.5)*k.x + (float64(y)+0.5)*k.y + k.phase)
		}
		return uint8(min(max(128+v*14, 0), 255))
	}
}

func TestBlurNeverSharpens(t *testing.T) {
	const n = quality.Side
	g := make([]uint8, n*n)
	for i, fill := 0, speckle(7); i < len(g); i++ {
		g[i] = fill(i%n, i/n)
	}
	measure := func() float32 {
		return crop(grey(func(x, y int) uint8 { return g[y*n+x] }), centred()).Sharpness()
	}
	first := measure()
	last := first
	for i := range 8 {
		soft := make([]uint8, n*n)
		for at := range soft {
			sum := 0
			for dy := -1; dy <= 1; dy++ {
				for dx := -1; dx <= 1; dx++ {
					sum += int(g[min(max(at/n+dy, 0), n-1)*n+min(max(at%n+dx, 0), n-1)])
				}
			}
			soft[at] = uint8((sum + 4) / 9)
		}
		g = soft
		got := measure()
		if got > last || quality.Sharp(got).Q > quality.Sharp(last).Q {
			t.Fatalf("after %d rounds of blur it is %v, before %v", i+1, got, last)
		}
		last = got
	}
	if last > first/50 {
		t.Errorf("a thoroughly blurred picture still has %v of %v", last, first)
	}
}

func TestFacesAnywhereAreHarmless(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 9))
	img := picture(64, 48, grey(speckle(9)))
	luma := greys(img)
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
	rgb := make([]float32, 3*quality.Side*quality.Side)
	for i := range rgb {
		rgb[i] = random.Float32()
	}
	c := quality.NewCrop()
	for range 500 {
		var m quality.Mesh
		for i := range m {
			m[i] = quality.Point{X: number(), Y: number(), Z: number()}
		}
		c.Read(rgb, &m)
		e := c.Exposure()
		if !(e.Mean >= 0 && e.Mean <= 255 && e.Under >= 0 && e.Under <= 1 && e.Over >= 0 && e.Over <= 1) {
			t.Fatalf("exposure is %+v", e)
		}
		if u := c.Uneven(100); !(u >= 0) {
			t.Fatalf("unevenness is %v", u)
		}
		x, y, w := random.IntN(400)-200, random.IntN(400)-200, random.IntN(300)
		behind, _ := c.Behind(img, luma, image.Rect(x, y, x+w, y+w), number())
		for _, got := range []quality.Component{
			behind.Uniformity, c.IlluminationUniformity(), c.NaturalColour(), c.LuminanceMean(), c.LuminanceVariance(),
			c.UnderExposurePrevention(), c.OverExposurePrevention(), c.DynamicRange(),
			quality.EyesOpen(number()), quality.MouthClosed(number()), quality.HeadPose(number()), quality.HeadSize(number(), number()),
			quality.LeftwardCrop(number(), number()), quality.MarginBelow(number(), number(), number()), quality.Sharp(number()),
		} {
			if got.Q < -1 || got.Q > 100 || math.IsNaN(float64(got.Raw)) || math.IsInf(float64(got.Raw), 0) {
				t.Fatalf("component is %+v", got)
			}
		}
	}
}

// TestSkinIsTheLightOfCheeksAndForehead paints the face in one colour and all that
// is no skin in another.
func TestSkinIsTheLightOfCheeksAndForehead(t *testing.T) {
	m := centred()
	eyes, other := m.Eyes()
	side := 0.15 * math.Hypot(float64(eyes.X-other.X), float64(eyes.Y-other.Y))
	near := func(at quality.Point, x, y int) bool {
		return math.Abs(float64(at.X)-float64(x)) < side+2 && math.Abs(float64(at.Y)-float64(y)) < side+2
	}
	c := crop(func(x, y int) color.RGBA {
		if near(m[50], x, y) || near(m[280], x, y) || near(m[151], x, y) {
			return color.RGBA{188, 137, 99, 255}
		}
		return color.RGBA{10, 250, 250, 255}
	}, m)
	got := c.Skin()
	for i, want := range [3]float64{0.5029, 0.2502, 0.1248} { // of IEC 61966-2-1
		if math.Abs(float64(got[i])-want) > 0.0005 {
			t.Errorf("skin %v, want %v in channel %d", got, want, i)
		}
	}
	if got := crop(even(90), &quality.Mesh{}).Skin(); got[0] != got[1] || got[1] != got[2] {
		t.Errorf("a grey picture has skin of colour %v", got)
	}
}

func TestNothingAllocates(t *testing.T) {
	c, m := crop(grey(speckle(9)), centred()), centred()
	img := picture(200, 200, even(90))
	luma := greys(img)
	rgb := make([]float32, 3*quality.Side*quality.Side)
	var part quality.Part
	for name, measure := range map[string]func(){
		"Read":       func() { c.Read(rgb, m) },
		"Mean":       func() { quality.Mean(luma) },
		"Behind":     func() { c.Behind(img, luma, image.Rect(60, 60, 140, 140), 50) },
		"Exposure":   func() { c.Exposure() },
		"light":      func() { c.LuminanceMean(); c.LuminanceVariance(); c.DynamicRange() },
		"exposure":   func() { c.UnderExposurePrevention(); c.OverExposurePrevention() },
		"cheeks":     func() { c.Uneven(100); c.IlluminationUniformity(); c.NaturalColour() },
		"Sharpness":  func() { c.Sharpness() },
		"Skin":       func() { c.Skin() },
		"Pose":       func() { m.Pose() },
		"openings":   func() { m.EyesOpen(); m.MouthOpen() },
		"components": func() { quality.EyesOpen(1); quality.HeadPose(1); quality.MarginAbove(1, 1) },
		"Unified":    func() { quality.Unified(part, part) },
	} {
		if n := testing.AllocsPerRun(10, measure); n != 0 {
			t.Errorf("%s allocates %v times per call, want none", name, n)
		}
	}
}

func TestClearLeavesNothing(t *testing.T) {
	c := crop(grey(speckle(9)), centred())
	c.Clear()
	if e, l := c.Exposure(), c.LuminanceMean(); e != (quality.Exposure{}) || l.Q != -1 || c.Sharpness() != 0 {
		t.Errorf("after it exposure is %+v, luminance %+v, sharpness %v", e, l, c.Sharpness())
	}
}

func BenchmarkRead(b *testing.B) {
	rgb, m, c := make([]float32, 3*quality.Side*quality.Side), centred(), quality.NewCrop()
	b.ReportAllocs()
	for b.Loop() {
		c.Read(rgb, m)
	}
}
