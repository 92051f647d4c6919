package replay

import (
	"math"
	"math/rand/v2"
)

// A Thing is something that lies over a face: cloth, glass, a hand, light. It
// says how it is painted on a face of a skin.
type Thing func(skin light) []patch

// An area is a region of the face, in face widths: how far a point is inside of
// it, and a box that holds it.
type area struct {
	inside         func(x, y float64) float64
	x0, y0, x1, y1 float64
}

func box(x0, y0, x1, y1 float64) area {
	return area{func(x, y float64) float64 { return min(x-x0, x1-x, y-y0, y1-y) }, x0, y0, x1, y1}
}

func oval(cx, cy, rx, ry float64) area {
	return area{func(x, y float64) float64 {
		return (1 - math.Hypot((x-cx)/rx, (y-cy)/ry)) * min(rx, ry)
	}, cx - rx, cy - ry, cx + rx, cy + ry}
}

// stroke is one of a round brush between two points.
func stroke(x0, y0, x1, y1, r float64) area {
	dx, dy := x1-x0, y1-y0
	return area{func(x, y float64) float64 {
		t := min(max(((x-x0)*dx+(y-y0)*dy)/(dx*dx+dy*dy), 0), 1)
		return r - math.Hypot(x-x0-t*dx, y-y0-t*dy)
	}, min(x0, x1) - r, min(y0, y1) - r, max(x0, x1) + r, max(y0, y1) + r}
}

// within is the part of a where a further function is positive.
func (a area) within(f func(x, y float64) float64) area {
	inside := a.inside
	a.inside = func(x, y float64) float64 { return min(inside(x, y), f(x, y)) }
	return a
}

// out is the part of a outside of another.
func (a area) out(b area) area {
	return a.within(func(x, y float64) float64 { return -b.inside(x, y) })
}

func even(c light) func(x, y float64) light { return func(float64, float64) light { return c } }

// plain is an sRGB colour.
func plain(r, g, b uint8) func(x, y float64) light {
	decode := func(v uint8) float64 {
		c := float64(v) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return even(light{decode(r), decode(g), decode(b)})
}

// grain varies a colour by smooth noise of a size in face widths.
func grain(colour func(x, y float64) light, seed uint64, size, depth float64) func(x, y float64) light {
	rng := rand.New(rand.NewPCG(seed, 5))
	var waves [8][3]float64
	for i := range waves {
		sin, cos := math.Sincos(2 * math.Pi * rng.Float64())
		k := 2 * math.Pi / size * (0.6 + 0.8*rng.Float64())
		waves[i] = [3]float64{k * cos, k * sin, 7 * rng.Float64()}
	}
	return func(x, y float64) light {
		var v float64
		for _, w := range waves {
			v += math.Sin(w[0]*x + w[1]*y + w[2])
		}
		return colour(x, y).times(max(1+depth*v/2, 0.02))
	}
}

// tone makes the skin darker; neck and hair go with it.
func tone(k [3]float64) patch {
	return patch{
		area:  oval(0, 0.05, 0.62, 0.8),
		under: func(_, _ float64, c light) light { return light{c[0] * k[0], c[1] * k[1], c[2] * k[2]} },
		soft:  0.1,
	}
}

// Mask covers nose, mouth and chin with a mask of one sRGB colour, pleated as a
// surgical mask is, by a shift to the right in face widths: nobody wears one
// quite straight.
func Mask(r, g, b uint8, shift float64) Thing {
	return func(light) []patch {
		c := plain(r, g, b)
		pleats := func(x, y float64) light {
			x -= shift
			return c(x, y).times((1 - 0.5*x*x) * (1 - 0.10*math.Abs(math.Mod(math.Abs(y-0.02)*14, 2)-1)))
		}
		form := box(-0.44+shift, -0.02, 0.44+shift, 0.55).within(func(x, y float64) float64 {
			x -= shift
			return min(y-(-0.02+0.25*x*x), 0.55-0.5*x*x-y, 0.44-0.35*max(y-0.2, 0)-math.Abs(x))
		})
		return []patch{{area: form, colour: grain(pleats, 5, 0.08, 0.05), soft: 0.02}}
	}
}

// Lids closes the eyes by a share, 0..1: lids of the face's own skin, with
// lashes at their lower rim.
func Lids(share float64) Thing {
	return func(own light) []patch {
		var out []patch
		for _, cx := range [...]float64{-0.235, 0.235} {
			rim := func(x float64) float64 { return -0.205 - 0.9*(x-cx)*(x-cx) - 0.085*(1-share) }
			out = append(out,
				patch{
					area: oval(cx, -0.23, 0.125, 0.06).within(func(x, y float64) float64 {
						if share == 1 {
							return 1
						}
						return rim(x) - y
					}),
					colour: even(light{0.85 * own[0], 0.82 * own[1], 0.8 * own[2]}), soft: 0.03,
				},
				patch{
					area:   box(cx-0.1, -0.35, cx+0.1, -0.19).within(func(x, y float64) float64 { return 0.008 - math.Abs(y-rim(x)) }),
					colour: even(light{0.12 * own[0], 0.1 * own[1], 0.1 * own[2]}), soft: 0.012,
				})
		}
		return out
	}
}

// Sunglasses covers both eyes with dark glass in a frame.
func Sunglasses() Thing {
	return func(light) []patch {
		glass := func(_, y float64) light {
			v := 0.006 + 0.01*max(0, -0.2-y) // lighter at the top
			return light{v, v, 1.1 * v}
		}
		return []patch{
			{area: stroke(-0.5, -0.27, 0.5, -0.27, 0.022), colour: plain(20, 18, 18)},
			{area: oval(-0.235, -0.215, 0.19, 0.15), colour: glass, soft: 0.015},
			{area: oval(0.235, -0.215, 0.19, 0.15), colour: glass, soft: 0.015},
		}
	}
}

// Glasses puts clear glasses on. Glare is the size of the reflections on them in
// face widths; 0 means none.
func Glasses(glare float64) Thing {
	return func(light) []patch {
		frame := plain(40, 30, 26)
		var out []patch
		for _, x := range [...]float64{-0.235, 0.235} {
			out = append(out, patch{area: oval(x, -0.215, 0.18, 0.145).out(oval(x, -0.215, 0.16, 0.125)), colour: frame})
		}
		out = append(out, patch{area: stroke(-0.07, -0.25, 0.07, -0.25, 0.012), colour: frame})
		if glare > 0 {
			for _, x := range [...]float64{-0.26, 0.21} {
				out = append(out, patch{area: oval(x, -0.24, glare, 0.7*glare), colour: plain(255, 255, 255), soft: 0.03})
			}
		}
		return out
	}
}

// Shine puts specular highlights of a size in face widths on forehead, nose and a
// cheek.
func Shine(size float64) Thing {
	return func(light) []patch {
		white := plain(255, 255, 255)
		return []patch{
			{area: oval(0.06, -0.43, 1.4*size, 0.8*size), colour: white, soft: 0.7 * size},
			{area: oval(0, -0.02, 0.5*size, 0.9*size), colour: white, soft: 0.5 * size},
			{area: oval(-0.28, 0.02, 1.1*size, 0.9*size), colour: white, soft: 0.7 * size},
		}
	}
}

// Scarf covers hair, ears, neck and the upper rim of the forehead with cloth of
// one sRGB colour, as a headscarf does.
func Scarf(r, g, b uint8) Thing {
	return func(light) []patch {
		form := oval(0, 0.15, 0.75, 1).out(oval(0, 0, 0.46, 0.54))
		return []patch{{area: form, colour: grain(plain(r, g, b), 7, 0.2, 0.15), soft: 0.02, beyond: true}}
	}
}

// Beard puts a full beard of hair of one sRGB colour on; the lips stay free.
func Beard(r, g, b uint8, seed uint64) Thing {
	return func(light) []patch {
		form := oval(0, 0.16, 0.44, 0.42).out(oval(0, 0.02, 0.34, 0.115)).out(oval(0, 0.19, 0.18, 0.055)).
			within(func(x, y float64) float64 { return y - 0.03 - 0.3*max(0, 0.25-math.Abs(x)) })
		hair := grain(grain(plain(r, g, b), seed, 0.03, 0.5), seed+1, 0.012, 0.7)
		return []patch{{area: form, colour: hair, soft: 0.05, share: 0.9}}
	}
}

// A Region is a part of a face that something is held before, or a place beside
// it where it covers nothing that counts.
type Region int

// The regions.
const (
	BeforeEyes  Region = iota // both
	BeforeMouth               // and chin
	BeforeCheek               // on the left of the image, and that side of nose and mouth
	AtBrow                    // above the eyes
	AtChin                    // below the mouth
	AtEar                     // on the left of the image
)

// Hand holds a hand before the face: four fingers of its own skin, a little
// darker, with shadows between them and creases.
func Hand(at Region, seed uint64) Thing {
	// Fingers run across the face from the right, or up from below.
	finger := func(i, grow float64) area {
		r := 0.068 + grow
		across := func(y, down float64) area { return stroke(-0.4, y+0.12*i, 0.9, y+0.12*i+down, r) }
		up := func(x float64) area {
			x += 0.12 * i
			return stroke(x, -0.12+0.04*math.Abs(i-1.5), x-0.06, 1.2, r)
		}
		switch at {
		case BeforeEyes:
			return across(-0.40, 0.12)
		case BeforeMouth:
			return across(0.06, 0.14)
		case BeforeCheek:
			return up(-0.5)
		case AtBrow:
			return across(-0.88, -0.05)
		case AtChin:
			return across(0.47, 0.14)
		case AtEar:
		}
		return up(-1.05)
	}
	return func(own light) []patch {
		shade := func(k float64) light { return light{own[0] * k, own[1] * k * 0.97, own[2] * k * 0.95} }
		var out []patch
		for i := range 4 {
			out = append(out, patch{area: finger(float64(i), 0.012), colour: even(shade(0.35)), soft: 0.03, share: 0.8, beyond: true})
		}
		for i := range 4 {
			axis := finger(float64(i), 0)
			shaded := func(x, y float64) light { // round: darker at the rim
				return shade(0.9).times(0.72 + 0.28*min(max(axis.inside(x, y), 0)/0.045, 1))
			}
			out = append(out, patch{area: axis, colour: grain(shaded, seed+uint64(i), 0.05, 0.08), soft: 0.012, beyond: true})
		}
		return out
	}
}

// Phone holds the back of a dark phone before the face.
func Phone(at Region) Thing {
	form := map[Region]area{
		BeforeEyes: box(-0.48, -0.42, 0.7, -0.05), BeforeMouth: box(-0.35, 0.07, 0.7, 0.44), BeforeCheek: box(-0.6, -0.12, -0.02, 0.7),
		AtBrow: box(-0.5, -0.95, 0.7, -0.58), AtChin: box(-0.35, 0.46, 0.7, 0.83), AtEar: box(-0.88, -0.35, -0.5, 0.45),
	}[at]
	return func(light) []patch {
		rim := box(form.x0-0.012, form.y0-0.012, form.x1+0.012, form.y1+0.012)
		return []patch{
			{area: rim, colour: plain(120, 124, 130), beyond: true},
			{area: form, colour: plain(26, 28, 33), soft: 0.01, beyond: true},
		}
	}
}

// Paper holds a white sheet before the face.
func Paper(at Region) Thing {
	form := map[Region]area{
		BeforeEyes: box(-0.6, -0.5, 0.6, -0.06), BeforeMouth: box(-0.5, 0.07, 0.5, 0.75), BeforeCheek: box(-0.7, -0.14, -0.02, 0.7),
		AtBrow: box(-0.6, -1, 0.6, -0.56), AtChin: box(-0.5, 0.46, 0.5, 1.1), AtEar: box(-1.2, -0.4, -0.5, 0.6),
	}[at]
	return func(light) []patch {
		return []patch{{area: form, colour: grain(plain(228, 228, 224), 9, 0.3, 0.02), soft: 0.01, beyond: true}}
	}
}
