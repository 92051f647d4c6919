package replay

import (
	"image"
	"math"
)

// A Lens is what lies between the light and the sensor. The zero Lens is clean,
// in focus, and held still. Lengths are shares of the frame's short side.
type Lens struct {
	// Defocus is the standard deviation of the blur of a lens out of focus.
	Defocus float64

	// MoveX and MoveY are how far the picture moved while it was taken.
	MoveX, MoveY float64

	// Smudge is the share of the light that grease on the lens spreads around,
	// 0..1.
	Smudge float64

	// Blocked is the share of the frame before which a finger lies on the lens,
	// from the right, 0..1. At 1 hardly any light is left.
	Blocked float64

	// Noise multiplies the sensor's noise, as gain does; 0 means 1.
	Noise float64
}

// planes is a picture in linear light, 0..1, a channel in each.
type planes struct {
	w, h int
	v    [3][]float32
}

func newPlanes(w, h int) planes {
	p := planes{w: w, h: h}
	for k := range p.v {
		p.v[k] = make([]float32, w*h)
	}
	return p
}

// look puts the lens before the picture.
func (l Lens) look(dst *image.RGBA) {
	short := float64(min(dst.Rect.Dx(), dst.Rect.Dy()))
	if l.Defocus > 0 || l.MoveX != 0 || l.MoveY != 0 || l.Smudge > 0 {
		p := develop(dst)
		if l.Defocus > 0 {
			for _, v := range p.v {
				blur(v, p.w, p.h, l.Defocus*short)
			}
		}
		p.move(l.MoveX*short, l.MoveY*short)
		if l.Smudge > 0 {
			p.smudge(l.Smudge, short)
		}
		p.expose(dst)
	}
	if l.Blocked > 0 {
		l.block(dst)
	}
}

// develop takes a picture's code values to light.
func develop(img *image.RGBA) planes {
	linear := linearTable()
	p := newPlanes(img.Rect.Dx(), img.Rect.Dy())
	for i := range p.v[0] {
		px := img.Pix[4*i : 4*i+3 : 4*i+3]
		p.v[0][i], p.v[1][i], p.v[2][i] = linear[px[0]], linear[px[1]], linear[px[2]]
	}
	return p
}

// expose is develop's inverse.
func (p planes) expose(img *image.RGBA) {
	srgb := srgbTable()
	for i := range p.v[0] {
		px := img.Pix[4*i : 4*i+3 : 4*i+3]
		for k := range px {
			px[k] = byte(srgb.at(p.v[k][i]) + 0.5)
		}
	}
}

// move averages the picture along a way in pixels.
func (p planes) move(dx, dy float64) {
	n := int(math.Hypot(dx, dy) + 0.5)
	if n < 1 {
		return
	}
	var steps [][2]int
	for i := range n + 1 {
		t := float64(i)/float64(n) - 0.5
		steps = append(steps, [2]int{int(math.Round(t * dx)), int(math.Round(t * dy))})
	}
	out := make([]float32, p.w*p.h)
	for k := range p.v {
		clear(out)
		for _, s := range steps {
			for y := range p.h {
				from := p.v[k][max(0, min(p.h-1, y+s[1]))*p.w:][:p.w]
				to := out[y*p.w:][:p.w]
				for x := range to {
					to[x] += from[max(0, min(p.w-1, x+s[0]))]
				}
			}
		}
		for i, v := range out {
			p.v[k][i] = v / float32(len(steps))
		}
	}
}

// smudge spreads a share of each point's light, a part of it far.
func (p planes) smudge(share, short float64) {
	const step = 8 // what is spread so far needs no more pixels
	w, h := (p.w+step-1)/step, (p.h+step-1)/step
	for _, v := range p.v {
		near := make([]float32, w*h)
		for y := range h {
			for x := range w {
				var sum, n float32
				for sy := y * step; sy < min(p.h, (y+1)*step); sy++ {
					for sx := x * step; sx < min(p.w, (x+1)*step); sx++ {
						sum += v[sy*p.w+sx]
						n++
					}
				}
				near[y*w+x] = sum / n
			}
		}
		blur(near, w, h, 0.02*short/step)
		wide := append([]float32(nil), near...)
		blur(wide, w, h, 0.15*short/step)
		for i := range near {
			near[i] = 0.4*near[i] + 0.6*wide[i]
		}
		for y := range p.h {
			gy := max(0, min(float64(h-1), (float64(y)+0.5)/step-0.5))
			y0 := min(int(gy), h-2)
			for x := range p.w {
				gx := max(0, min(float64(w-1), (float64(x)+0.5)/step-0.5))
				x0 := min(int(gx), w-2)
				fx, fy := float32(gx-float64(x0)), float32(gy-float64(y0))
				a, b := near[y0*w+x0:][:2], near[(y0+1)*w+x0:][:2]
				top, bottom := a[0]+(a[1]-a[0])*fx, b[0]+(b[1]-b[0])*fx
				i := y*p.w + x
				v[i] += float32(share) * (top + (bottom-top)*fy - v[i])
			}
		}
	}
}

// block lays a finger on the lens: dark, red where light shines through, and far
// out of focus.
func (l Lens) block(dst *image.RGBA) {
	w := dst.Rect.Dx()
	const soft = 0.15 // of the width
	for x := range w {
		free := smooth((1-l.Blocked*(1+soft)-float64(x)/float64(w))/soft + 1)
		left := [3]float64{0.045, 0.02, 0.02}
		var k [3]uint32
		for c := range k {
			k[c] = uint32(256 * (left[c] + (1-left[c])*free))
		}
		if free == 1 {
			continue
		}
		for y := range dst.Rect.Dy() {
			px := dst.Pix[y*dst.Stride+4*x:][:3]
			for c := range px {
				px[c] = byte(uint32(px[c]) * k[c] >> 8)
			}
		}
	}
}
