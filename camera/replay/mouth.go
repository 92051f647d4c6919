package replay

import (
	"math"
	"slices"
)

// Where what is seen between the lips is painted: below the sheet, in rows that a
// texture gets for it.
const (
	throatLeft, throatTop     = 4, sheetHeight + 4
	throatWidth, throatHeight = 72, 40
	throatRows                = 48
)

// gape lowers the jaw by that many widths of the face box. Above the line between
// the lips nothing moves; below it the lower lip does, most in its middle, and
// further below all of the chin, less towards the ears and down the neck. Teeth,
// throat and tongue are drawn between the lips.
func (f *figure) gape(open float64) {
	upper := [...]int{78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308}
	lower := [...]int{78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308}
	var lips [][2]float64
	for _, i := range upper {
		v := f.vertices[firstLandmark+i]
		lips = append(lips, [2]float64{(v.u + sheetLeft - faceX) / faceWidth, (v.v + sheetTop - faceY) / faceWidth})
	}
	corner := max(-lips[0][0], lips[len(lips)-1][0])
	f.vertices, f.all = slices.Clone(f.vertices), slices.Clone(f.all)
	for i := range f.vertices {
		v := &f.vertices[i]
		x, y := (v.u+sheetLeft-faceX)/faceWidth, (v.v+sheetTop-faceY)/faceWidth
		below := y - line(lips, x)
		if below <= 0 || y > 1 {
			continue
		}
		middle := max(0, 1-(x/corner)*(x/corner))
		chin := smooth(below / 0.25)
		share := (middle + (1-middle)*chin) * smooth((0.5-math.Abs(x))/0.2) * (1 - smooth((y-0.5)/0.5))
		v.at.y += open * faceWidth * share
	}
	for i := range upper {
		a, b := f.vertices[firstLandmark+upper[i]], f.vertices[firstLandmark+lower[i]]
		a.u = throatLeft + throatWidth*float64(i)/float64(len(upper)-1)
		b.u, a.v, b.v = a.u, throatTop, throatTop+throatHeight
		f.vertices = append(f.vertices, a, b)
		if n := len(f.vertices); i > 0 {
			f.all = append(f.all, triangle{n - 4, n - 2, n - 3}, triangle{n - 2, n - 1, n - 3})
		}
	}
	f.seen = nil
}

// throat paints what is seen between the lips.
func throat(p *painter) {
	p.pix = append(p.pix, make([]uint32, throatRows*p.w)...)
	p.h += throatRows
	teeth, tongue, dark := light{0.62, 0.58, 0.48}, light{0.28, 0.07, 0.07}, light{0.04, 0.008, 0.008}
	for y := range throatHeight + 5 {
		for x := range throatWidth + 5 {
			dx, dy := 2*(float64(x)-2)/throatWidth-1, (float64(y)-2)/throatHeight
			c := dark
			if in := 1 - math.Hypot(dx/0.55, (dy-1)/0.38); in > 0 {
				c = c.mix(tongue, smooth(in*3))
			}
			if in := min(0.24-dy, 0.75-math.Abs(dx)); in > 0 {
				c = c.mix(teeth, smooth(in*12))
			}
			p.pix[(y+throatTop-2)*p.w+x+throatLeft-2] = texel(p.srgb.at(float32(c[0])), p.srgb.at(float32(c[1])), p.srgb.at(float32(c[2])), 255)
		}
	}
}

// line returns the height at x of a line through points, level beyond its ends.
func line(points [][2]float64, x float64) float64 {
	for i, p := range points {
		if x < p[0] {
			if i == 0 {
				return p[1]
			}
			q := points[i-1]
			return q[1] + (p[1]-q[1])*(x-q[0])/(p[0]-q[0])
		}
	}
	return points[len(points)-1][1]
}
