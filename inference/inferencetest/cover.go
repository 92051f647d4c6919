package inferencetest

import (
	"image"
	"math"
	"math/rand/v2"
)

// A Face is where a face is in a picture: the centre and the width of the
// detector's box, in pixels. What is put on it is placed in its units, from the
// centre, x to the right and y down: eyes are near (±0.23, -0.23), the mouth near
// (0, 0.19), the chin near (0, 0.48).
type Face struct{ X, Y, Width float64 }

// A shape is something that lies over a face: how far a point is inside of it,
// in face widths, and its colour there in linear light.
type shape struct {
	inside func(x, y float64) float64
	colour func(x, y float64) [3]float64
	soft   float64 // width of its edge, face widths
	share  float64 // opacity; 0 means 1
}

// cover returns img with shapes over f, from back to front.
func cover(img *image.RGBA, f Face, shapes ...shape) *image.RGBA {
	l := linear(img)
	for py := range l.h {
		for px := range l.w {
			x, y := (float64(px)+0.5-f.X)/f.Width, (float64(py)+0.5-f.Y)/f.Width
			p := l.v[3*(py*l.w+px):][:3]
			for _, s := range shapes {
				soft := max(s.soft, 1/f.Width)
				in := min(max(s.inside(x, y)/soft+0.5, 0), 1)
				if in == 0 {
					continue
				}
				if s.share > 0 {
					in *= s.share
				}
				for i, c := range s.colour(x, y) {
					p[i] += (c - p[i]) * in
				}
			}
		}
	}
	return l.picture()
}

func plain(r, g, b uint8) func(x, y float64) [3]float64 {
	c := [3]float64{decode(r), decode(g), decode(b)}
	return func(float64, float64) [3]float64 { return c }
}

func box(x0, y0, x1, y1 float64) func(x, y float64) float64 {
	return func(x, y float64) float64 { return min(x-x0, x1-x, y-y0, y1-y) }
}

func oval(cx, cy, rx, ry float64) func(x, y float64) float64 {
	return func(x, y float64) float64 {
		return (1 - math.Hypot((x-cx)/rx, (y-cy)/ry)) * min(rx, ry)
	}
}

// capsule is a stroke of a round brush between two points.
func capsule(x0, y0, x1, y1, r float64) func(x, y float64) float64 {
	dx, dy := x1-x0, y1-y0
	return func(x, y float64) float64 {
		t := min(max(((x-x0)*dx+(y-y0)*dy)/(dx*dx+dy*dy), 0), 1)
		return r - math.Hypot(x-x0-t*dx, y-y0-t*dy)
	}
}

// grain varies a colour by smooth noise of a size in face widths.
func grain(colour func(x, y float64) [3]float64, seed uint64, size, depth float64) func(x, y float64) [3]float64 {
	random := rand.New(rand.NewPCG(seed, 3))
	var waves [8][3]float64
	for i := range waves {
		sin, cos := math.Sincos(2 * math.Pi * random.Float64())
		k := 2 * math.Pi / size * (0.6 + 0.8*random.Float64())
		waves[i] = [3]float64{k * cos, k * sin, 7 * random.Float64()}
	}
	return func(x, y float64) [3]float64 {
		var v float64
		for _, w := range waves {
			v += math.Sin(w[0]*x + w[1]*y + w[2])
		}
		c := colour(x, y)
		k := max(1+depth*v/2, 0.02)
		return [3]float64{c[0] * k, c[1] * k, c[2] * k}
	}
}

// skin returns the mean colour of the cheeks.
func skin(img *image.RGBA, f Face) [3]float64 {
	var sum [3]float64
	n := 0.0
	for _, side := range [...]float64{-0.29, 0.29} {
		for dy := -0.06; dy <= 0.06; dy += 0.02 {
			for dx := -0.06; dx <= 0.06; dx += 0.02 {
				p := img.RGBAAt(int(f.X+(side+dx)*f.Width), int(f.Y+(0.03+dy)*f.Width))
				sum[0], sum[1], sum[2] = sum[0]+decode(p.R), sum[1]+decode(p.G), sum[2]+decode(p.B)
				n++
			}
		}
	}
	return [3]float64{sum[0] / n, sum[1] / n, sum[2] / n}
}

// Tone returns img with the skin of f darker: by each factor in linear light.
// Neck and hair go with it, the room does not.
func Tone(img *image.RGBA, f Face, r, g, b float64) *image.RGBA {
	l := linear(img)
	in := oval(0, 0.05, 0.62, 0.8)
	for py := range l.h {
		for px := range l.w {
			share := min(max(in((float64(px)+0.5-f.X)/f.Width, (float64(py)+0.5-f.Y)/f.Width)/0.1, 0), 1)
			for i, k := range [...]float64{r, g, b} {
				l.v[3*(py*l.w+px)+i] *= 1 - share*(1-k)
			}
		}
	}
	return l.picture()
}

// Mask covers nose, mouth and chin with a mask of one colour, pleated as a
// surgical mask is.
func Mask(img *image.RGBA, f Face, r, g, b uint8) *image.RGBA {
	c := plain(r, g, b)
	pleats := func(x, y float64) [3]float64 {
		v := c(x, y)
		k := (1 - 0.5*x*x) * (1 - 0.10*math.Abs(math.Mod(math.Abs(y-0.02)*14, 2)-1))
		return [3]float64{v[0] * k, v[1] * k, v[2] * k}
	}
	form := func(x, y float64) float64 {
		side := 0.44 - 0.35*max(y-0.2, 0)
		return min(y-(-0.02+0.25*x*x), 0.55-0.5*x*x-y, side-math.Abs(x))
	}
	return cover(img, f, shape{inside: form, colour: grain(pleats, 5, 0.08, 0.05), soft: 0.02})
}

// Lids closes the eyes of f: lids of its own skin, with lashes at their lower rim.
func Lids(img *image.RGBA, f Face) *image.RGBA {
	own := skin(img, f)
	lid := func(float64, float64) [3]float64 { return [3]float64{0.85 * own[0], 0.82 * own[1], 0.8 * own[2]} }
	lashes := func(float64, float64) [3]float64 { return [3]float64{0.12 * own[0], 0.1 * own[1], 0.1 * own[2]} }
	var shapes []shape
	for _, x := range [...]float64{-0.235, 0.235} {
		eye := oval(x, -0.23, 0.125, 0.06)
		rim := func(px, py float64) float64 {
			bow := -0.205 - 0.9*(px-x)*(px-x)
			return min(0.1-max(px-x, x-px), 0.008-max(py-bow, bow-py))
		}
		shapes = append(shapes, shape{inside: eye, colour: lid, soft: 0.03}, shape{inside: rim, colour: lashes, soft: 0.012})
	}
	return cover(img, f, shapes...)
}

// Sunglasses covers both eyes with dark glass in a frame.
func Sunglasses(img *image.RGBA, f Face) *image.RGBA {
	glass := func(_, y float64) [3]float64 {
		v := 0.006 + 0.01*max(0, -0.2-y) // lighter at the top
		return [3]float64{v, v, 1.1 * v}
	}
	return cover(img, f,
		shape{inside: capsule(-0.5, -0.27, 0.5, -0.27, 0.022), colour: plain(20, 18, 18)},
		shape{inside: oval(-0.235, -0.215, 0.19, 0.15), colour: glass, soft: 0.015},
		shape{inside: oval(0.235, -0.215, 0.19, 0.15), colour: glass, soft: 0.015})
}

// Glasses puts clear glasses on f. Glare is the size of the reflections on them
// in face widths; 0 means none.
func Glasses(img *image.RGBA, f Face, glare float64) *image.RGBA {
	rim := func(cx float64) func(x, y float64) float64 {
		outer := oval(cx, -0.215, 0.18, 0.145)
		return func(x, y float64) float64 {
			d := outer(x, y)
			return min(d, 0.02-d)
		}
	}
	shapes := []shape{
		{inside: rim(-0.235), colour: plain(40, 30, 26)},
		{inside: rim(0.235), colour: plain(40, 30, 26)},
		{inside: capsule(-0.07, -0.25, 0.07, -0.25, 0.012), colour: plain(40, 30, 26)},
	}
	if glare > 0 {
		for _, x := range [...]float64{-0.26, 0.21} {
			shapes = append(shapes, shape{inside: oval(x, -0.24, glare, 0.7*glare), colour: plain(255, 255, 255), soft: 0.03})
		}
	}
	return cover(img, f, shapes...)
}

// A Region is a part of a face that something is held before.
type Region int

// The regions.
const (
	Eyes  Region = iota // both
	Mouth               // and chin
	Cheek               // on the left of the image, and that side of nose and mouth
)

// Hand holds a hand before f: four fingers of its own skin, a little darker,
// with shadows between them and creases.
func Hand(img *image.RGBA, f Face, at Region, seed uint64) *image.RGBA {
	own := skin(img, f)
	shade := func(k float64) func(x, y float64) [3]float64 {
		return func(float64, float64) [3]float64 { return [3]float64{own[0] * k, own[1] * k * 0.97, own[2] * k * 0.95} }
	}
	// Fingers run across the face from the right, or up from below.
	finger := func(i, grow float64) func(x, y float64) float64 {
		r := 0.068 + grow
		switch at {
		case Eyes:
			y := -0.39 + 0.11*i
			return capsule(-0.44, y, 0.9, y+0.12, r)
		case Cheek:
			x := -0.50 + 0.12*i
			return capsule(x, -0.12+0.04*math.Abs(i-1.5), x-0.06, 1.2, r)
		case Mouth:
		}
		y := 0.06 + 0.12*i
		return capsule(-0.36, y, 0.9, y+0.14, r)
	}
	var shapes []shape
	for i := range 4 {
		shapes = append(shapes, shape{inside: finger(float64(i), 0.012), colour: shade(0.35), soft: 0.03, share: 0.8})
	}
	for i := range 4 {
		axis := finger(float64(i), 0)
		lit := shade(0.9)
		shaded := func(x, y float64) [3]float64 { // round: darker at the rim
			c := lit(x, y)
			k := 0.72 + 0.28*min(max(axis(x, y), 0)/0.045, 1)
			return [3]float64{c[0] * k, c[1] * k, c[2] * k}
		}
		shapes = append(shapes, shape{inside: axis, colour: grain(shaded, seed+uint64(i), 0.05, 0.08), soft: 0.012})
	}
	return cover(img, f, shapes...)
}

// Phone holds the back of a dark phone before f.
func Phone(img *image.RGBA, f Face, at Region) *image.RGBA {
	form := map[Region]func(x, y float64) float64{
		Eyes: box(-0.48, -0.42, 0.7, -0.05), Mouth: box(-0.35, 0.07, 0.7, 0.44), Cheek: box(-0.6, -0.12, -0.02, 0.7),
	}[at]
	return cover(img, f,
		shape{inside: func(x, y float64) float64 { return form(x, y) + 0.012 }, colour: plain(120, 124, 130)},
		shape{inside: form, colour: plain(26, 28, 33), soft: 0.01})
}

// Paper holds a white sheet before f.
func Paper(img *image.RGBA, f Face, at Region) *image.RGBA {
	form := map[Region]func(x, y float64) float64{
		Eyes: box(-0.6, -0.5, 0.6, -0.06), Mouth: box(-0.5, 0.07, 0.5, 0.75), Cheek: box(-0.7, -0.14, -0.02, 0.7),
	}[at]
	return cover(img, f, shape{inside: form, colour: grain(plain(228, 228, 224), 9, 0.3, 0.02), soft: 0.01})
}

// Scarf covers hair, ears, neck and the upper rim of the forehead of f, as a
// headscarf does.
func Scarf(img *image.RGBA, f Face, r, g, b uint8) *image.RGBA {
	open, all := oval(0, 0, 0.46, 0.54), oval(0, 0.15, 0.75, 1)
	form := func(x, y float64) float64 { return min(all(x, y), -open(x, y)) }
	return cover(img, f, shape{inside: form, colour: grain(plain(r, g, b), 7, 0.2, 0.15), soft: 0.02})
}

// Beard puts a full beard of hair of one colour on f; the lips stay free.
func Beard(img *image.RGBA, f Face, r, g, b uint8, seed uint64) *image.RGBA {
	lips := oval(0, 0.19, 0.18, 0.055)
	jaw, upper := oval(0, 0.16, 0.44, 0.42), oval(0, 0.02, 0.34, 0.115)
	form := func(x, y float64) float64 {
		return min(jaw(x, y), -upper(x, y), -lips(x, y), y-0.03-0.3*max(0, 0.25-math.Abs(x)))
	}
	hair := grain(grain(plain(r, g, b), seed, 0.03, 0.5), seed+1, 0.012, 0.7)
	return cover(img, f, shape{inside: form, colour: hair, soft: 0.05, share: 0.9})
}

// Shine puts specular highlights of a size in face widths on forehead, nose and
// a cheek of f.
func Shine(img *image.RGBA, f Face, size float64) *image.RGBA {
	white := plain(255, 255, 255)
	return cover(img, f,
		shape{inside: oval(0.06, -0.43, 1.4*size, 0.8*size), colour: white, soft: 0.7 * size},
		shape{inside: oval(0, -0.02, 0.5*size, 0.9*size), colour: white, soft: 0.5 * size},
		shape{inside: oval(-0.28, 0.02, 1.1*size, 0.9*size), colour: white, soft: 0.7 * size})
}

// Haze returns img through a smeared lens: each point's light is partly spread
// far around it.
func Haze(img *image.RGBA, share float64) *image.RGBA {
	l := linear(img)
	spread := light{l.w, l.h, append([]float64(nil), l.v...)}
	spread.blur(0.02 * float64(min(l.w, l.h)))
	wide := light{l.w, l.h, append([]float64(nil), spread.v...)}
	wide.blur(0.15 * float64(min(l.w, l.h)))
	for i := range l.v {
		l.v[i] += share * (0.6*spread.v[i] + 0.4*wide.v[i] - l.v[i])
	}
	return l.picture()
}
