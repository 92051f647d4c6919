package quality_test

import (
	"image/color"
	"math"
	"testing"

	"livekiosk/inference/quality"
)

// face returns a mesh whose points lie where a portrait's do.
func face() *quality.Mesh {
	m := new(quality.Mesh)
	round(m, 96, 96, 60)
	for at, p := range map[int][2]float32{
		33: {-0.33, -0.24}, 133: {-0.13, -0.24}, 362: {0.13, -0.24}, 263: {0.33, -0.24}, 61: {-0.19, 0.17}, 291: {0.19, 0.17},
		13: {0, 0.17}, 14: {0, 0.18}, 17: {0, 0.24}, 152: {0, 0.47}, 9: {0, -0.37}, 151: {0, -0.45}, 6: {0, -0.21}, 4: {0, 0}, 2: {0, 0.07},
		50: {-0.34, -0.04}, 280: {0.34, -0.04}, 205: {-0.28, 0.02}, 425: {0.28, 0.02}, 199: {0, 0.4}, 70: {-0.4, -0.33}, 300: {0.4, -0.33},
		234: {-0.47, -0.1}, 454: {0.47, -0.1},
	} {
		m[at] = quality.Point{X: 96 + 128*p[0], Y: 96 + 128*p[1]}
	}
	return m
}

// drawn paints a face of one skin with dark and white in the eyes, a line of
// lips, and over it what on says, in face widths from the middle.
func drawn(skin color.RGBA, on func(x, y float64) (color.RGBA, bool)) paint {
	shade := func(c color.RGBA, k float64) color.RGBA {
		f := func(v uint8) uint8 { return uint8(min(float64(v)*k, 255)) }
		return color.RGBA{f(c.R), f(c.G), f(c.B), 255}
	}
	return func(px, py int) color.RGBA {
		x, y := (float64(px)-95.5)/128, (float64(py)-95.5)/128
		if c, ok := on(x, y); ok {
			return c
		}
		k := 1 + 0.01*float64((px*7+py*5)%5-2) // grain
		eye := math.Hypot((math.Abs(x)-0.23)/0.1, (y+0.24)/0.035)
		switch iris := math.Hypot(math.Abs(x)-0.23, y+0.24); {
		case iris < 0.035:
			return shade(skin, 0.2)
		case eye < 1:
			return shade(color.RGBA{210, 205, 200, 255}, float64(skin.R)/255)
		case math.Abs(y-0.175) < 0.012 && math.Abs(x) < 0.18:
			return shade(skin, 0.45)
		}
		return shade(skin, k)
	}
}

func TestCover(t *testing.T) {
	nothing := func(float64, float64) (color.RGBA, bool) { return color.RGBA{}, false }
	sheet := func(c color.RGBA, x0, y0, x1, y1 float64) func(x, y float64) (color.RGBA, bool) {
		return func(x, y float64) (color.RGBA, bool) { return c, x > x0 && x < x1 && y > y0 && y < y1 }
	}
	var (
		white = color.RGBA{225, 225, 225, 255}
		black = color.RGBA{24, 25, 28, 255}
		blue  = color.RGBA{120, 170, 200, 255}
		spark = color.RGBA{255, 255, 255, 255}
	)
	skins := map[string]color.RGBA{
		"fair": {224, 180, 158, 255}, "brown": {150, 100, 78, 255}, "dark": {84, 55, 43, 255},
	}
	for _, test := range []struct {
		name string
		on   func(skin color.RGBA) func(x, y float64) (color.RGBA, bool)
		ok   func(c quality.Cover) bool
	}{
		{"nothing", func(color.RGBA) func(x, y float64) (color.RGBA, bool) { return nothing }, func(c quality.Cover) bool {
			return c.Eyes < 0.3 && c.Nose < 0.1 && c.Mouth < 0.1 && c.Cheeks < 0.1 && c.Forehead < 0.1 && c.Shade < 0.3 && c.GlareEyes == 0 && c.GlareSkin == 0 && c.Irises > 0.07
		}},
		{"a white mask", func(color.RGBA) func(x, y float64) (color.RGBA, bool) { return sheet(white, -0.45, 0, 0.45, 0.6) }, func(c quality.Cover) bool {
			return c.Mouth > 0.95 && c.Lower > 0.6 && c.Cheeks > 0.4 && c.Eyes < 0.3
		}},
		{"a black mask", func(color.RGBA) func(x, y float64) (color.RGBA, bool) { return sheet(black, -0.45, 0, 0.45, 0.6) }, func(c quality.Cover) bool {
			return c.Mouth > 0.95 && c.Lower > 0.6 && c.Eyes < 0.3
		}},
		{"a blue mask", func(color.RGBA) func(x, y float64) (color.RGBA, bool) { return sheet(blue, -0.45, 0, 0.45, 0.6) }, func(c quality.Cover) bool {
			return c.Mouth > 0.95 && c.Lower > 0.6 && c.Eyes < 0.3
		}},
		{"something blue before one cheek", func(color.RGBA) func(x, y float64) (color.RGBA, bool) { return sheet(blue, -0.6, -0.1, -0.15, 0.6) }, func(c quality.Cover) bool {
			return c.Cheeks > 0.9 && c.Mouth < 0.25 && c.Eyes < 0.3
		}},
		{"sunglasses", func(color.RGBA) func(x, y float64) (color.RGBA, bool) {
			return func(x, y float64) (color.RGBA, bool) {
				return color.RGBA{14, 14, 15, 255}, math.Hypot((math.Abs(x)-0.23)/0.17, (y+0.24)/0.13) < 1
			}
		}, func(c quality.Cover) bool { return c.Shade > 0.9 && c.Nose < 0.2 && c.Mouth < 0.1 }},
		{"a bar before both eyes", func(color.RGBA) func(x, y float64) (color.RGBA, bool) {
			return sheet(color.RGBA{14, 14, 15, 255}, -0.6, -0.42, 0.6, -0.05)
		}, func(c quality.Cover) bool {
			return c.Eyes > 0.9 && c.Shade > 0.9 && c.Nose > 0.4
		}},
		{"the same skin before the eyes", func(skin color.RGBA) func(x, y float64) (color.RGBA, bool) {
			return sheet(skin, -0.6, -0.42, 0.6, -0.05)
		}, func(c quality.Cover) bool {
			return c.Eyes > 0.9 && c.Shade == 0
		}},
		{"the same skin before the mouth", func(skin color.RGBA) func(x, y float64) (color.RGBA, bool) { return sheet(skin, -0.4, 0.05, 0.6, 0.5) }, func(c quality.Cover) bool {
			return c.Mouth > 0.9 && c.Eyes < 0.3
		}},
		{"lids and lashes", func(skin color.RGBA) func(x, y float64) (color.RGBA, bool) {
			return func(x, y float64) (color.RGBA, bool) {
				c := skin
				if math.Abs(y+0.22) < 0.012 {
					c = color.RGBA{skin.R / 5, skin.G / 5, skin.B / 5, 255}
				}
				return c, math.Hypot((math.Abs(x)-0.23)/0.12, (y+0.24)/0.06) < 1
			}
		}, func(c quality.Cover) bool { return c.Irises < 0.05 && c.Irises > 0 }},
		{"a scarf on the forehead", func(color.RGBA) func(x, y float64) (color.RGBA, bool) { return sheet(blue, -0.6, -0.7, 0.6, -0.36) }, func(c quality.Cover) bool {
			return c.Forehead > 0.5 && c.Eyes < 0.3 && c.Cheeks < 0.1 && c.Mouth < 0.1
		}},
		{"reflections on glasses", func(color.RGBA) func(x, y float64) (color.RGBA, bool) {
			return func(x, y float64) (color.RGBA, bool) { return spark, math.Hypot(x-0.2, y+0.27) < 0.06 }
		}, func(c quality.Cover) bool { return c.GlareEyes > 0.08 && c.GlareSkin == 0 && c.Eyes < 0.5 }},
		{"a highlight on the forehead", func(color.RGBA) func(x, y float64) (color.RGBA, bool) {
			return func(x, y float64) (color.RGBA, bool) { return spark, math.Hypot(x-0.05, y+0.45) < 0.07 }
		}, func(c quality.Cover) bool { return c.GlareSkin > 0.015 && c.GlareEyes == 0 }},
	} {
		for tone, skin := range skins {
			c := crop(drawn(skin, test.on(skin)), face())
			if got := c.Cover(100); !test.ok(got) {
				t.Errorf("%s on %s skin: %+v", test.name, tone, got)
			}
		}
	}
}

// TestMoreIsCoveredByMore lowers a sheet over the face to its middle: shares
// never fall. Farther down there would be less skin than sheet.
func TestMoreIsCoveredByMore(t *testing.T) {
	skin := color.RGBA{150, 100, 78, 255}
	var last quality.Cover
	for edge := -0.6; edge < 0; edge += 0.05 {
		c := crop(drawn(skin, func(_, y float64) (color.RGBA, bool) { return color.RGBA{120, 170, 200, 255}, y < edge && y > -0.6 }), face())
		got := c.Cover(c.Sharpness())
		if got.Forehead < last.Forehead-0.01 || got.Nose < last.Nose-0.01 || got.Cheeks < last.Cheeks-0.01 || got.Face < last.Face-0.01 {
			t.Errorf("with the edge at %.2f: %+v after %+v", edge, got, last)
		}
		last = got
	}
	if last.Forehead < 0.99 || last.Eyes < 0.99 || last.Nose < 0.8 {
		t.Errorf("at the end %+v", last)
	}
}

func TestABlurredMouthIsNotMissed(t *testing.T) {
	skin := color.RGBA{150, 100, 78, 255}
	c := crop(drawn(skin, func(_, y float64) (color.RGBA, bool) { return skin, y > 0.05 }), face())
	if got := c.Cover(20); got.Mouth != 0 {
		t.Errorf("blurred: mouth %v", got.Mouth)
	}
	if got := c.Cover(40); got.Mouth != 1 {
		t.Errorf("sharp, and no mouth to be seen: %v", got.Mouth)
	}
}

// TestADullPictureCoversNothing: a faded print or a smeared lens takes the
// contrast from eyes and mouth alike.
func TestADullPictureCoversNothing(t *testing.T) {
	whole := drawn(color.RGBA{150, 100, 78, 255}, func(float64, float64) (color.RGBA, bool) { return color.RGBA{}, false })
	dull := func(x, y int) color.RGBA {
		c, f := whole(x, y), func(v, to uint8) uint8 { return uint8(float64(to) + 0.1*(float64(v)-float64(to))) }
		return color.RGBA{f(c.R, 150), f(c.G, 100), f(c.B, 78), 255}
	}
	if got := crop(dull, face()).Cover(100); got.Eyes > 0.3 || got.Mouth > 0.2 {
		t.Errorf("eyes %v, mouth %v", got.Eyes, got.Mouth)
	}
}
