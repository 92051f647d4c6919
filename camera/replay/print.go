package replay

import (
	"math"
	"math/rand/v2"
)

// The print shows this part of the portrait, with a rim of bare paper.
const (
	printLeft, printTop     = 16, 0
	printWidth, printHeight = 484, 470
	printRim                = 14
	printTexels             = 1.5 // of the texture per portrait pixel
)

// sheet is the bare sheet of paper, without surface, as a hand holds it.
func (p *portrait) sheet() *figure {
	return &figure{box: 1.06 * p.box, texels: printTexels, pivot: vec{0, 40, 0}, yaw: rad(4), pitch: rad(-3), roll: rad(1.5)}
}

// newPrint makes the portrait a faded print on paper, held up by a hand. It is
// flat: nothing about it depends on the distance.
func newPrint(p *portrait, seed uint64) *figure {
	f := p.sheet()
	f.levels = append(f.levels, handheld(p, seed))
	f.levels = append(f.levels, f.levels[0].halve())
	f.levels = append(f.levels, f.levels[1].halve())

	// A grid fine enough that each triangle is as good as affine.
	const step = 48
	cols, rows := f.levels[0].w/step, f.levels[0].h/step
	for row := range rows + 1 {
		for col := range cols + 1 {
			u := 2 + float64(col)*float64(f.levels[0].w-5)/float64(cols)
			v := 2 + float64(row)*float64(f.levels[0].h-5)/float64(rows)
			y := v/printTexels + sheetTop - p.face.y
			if row == rows {
				y += sheetHem
			}
			f.vertices = append(f.vertices, vertex{
				at: vec{u/printTexels + sheetLeft - p.face.x, y, 0},
				u:  u, v: v, turn: 1, out: vec{0, 0, -1},
			})
			if row > 0 && col > 0 {
				i := row*(cols+1) + col
				j := i - cols - 1
				f.triangles = append(f.triangles, triangle{j - 1, j, i - 1}, triangle{j, i, i - 1})
			}
		}
	}
	return f
}

// handheld returns the print with the hand and the sleeve that hold it.
func handheld(p *portrait, seed uint64) texture {
	w, h := int(sheetWidth*printTexels), int(sheetHeight*printTexels)
	tex := texture{w: w, h: h, pix: make([]uint32, w*h)}
	paper := newPaper(p, seed)
	layers := holding()
	// In portrait pixels, soft as all that is out of focus.
	const soft = 3.0
	for y := 1; y < h-1; y++ {
		for x := 1; x < w-1; x++ {
			px, py := (float64(x)+0.5)/printTexels+sheetLeft, (float64(y)+0.5)/printTexels+sheetTop
			sheet := paper.inside(px, py)
			near := py > gripY-60 && math.Abs(px-gripX) < 200
			if sheet <= -soft/2 && !near {
				continue
			}
			var c colour
			var alpha float64
			over := func(d colour, inside float64) {
				a := smooth(inside/soft + 0.5)
				sum := a + alpha*(1-a)
				c = c.mix(d, a/sum)
				alpha = sum
			}
			if near {
				for _, l := range layers.behind {
					if in := l.inside(px, py); in > -soft/2 {
						over(l.shade(in), in)
					}
				}
			}
			if sheet > -soft/2 {
				over(paper.at(x, y), sheet)
			}
			if near {
				for _, l := range layers.before {
					if in := l.inside(px, py); in > -soft/2 {
						over(l.shade(in), in)
					}
				}
			}
			if alpha > 0 {
				tex.pix[y*w+x] = texel(c[0], c[1], c[2], 255*alpha)
			}
		}
	}
	return tex
}

// Where the hand is: right of the middle of the lower edge.
const gripX, gripY = 300.0, float64(printTop + printHeight + printRim)

// A layer is a part of the arm, in portrait pixels. Its edge is darker, as it
// turns away.
type layer struct {
	paint  colour
	edge   float64 // light at the edge, 1 is paint
	middle float64 // light from depth on
	depth  float64
	inside func(x, y float64) float64
}

func (l layer) shade(in float64) colour {
	return l.paint.lit(l.edge + (l.middle-l.edge)*smooth(in/l.depth))
}

// An arm is what holds the paper, behind and before it, from back to front.
type arm struct{ behind, before []layer }

func holding() arm {
	join := func(a, b func(x, y float64) float64) func(x, y float64) float64 {
		return func(x, y float64) float64 { return max(a(x, y), b(x, y)) }
	}
	sleeve := func(x, y float64) float64 {
		half := 50 + (y-gripY-100)*0.16
		return min(y-gripY-104+(x-gripX)*0.1, half-math.Abs(x-gripX-(y-gripY)*0.08))
	}
	return arm{
		behind: []layer{
			{
				colour{176, 132, 108},
				0.70, 0.94, 30,
				join(ellipse(gripX+8, gripY+26, 50, 44, 0.2), ellipse(gripX+2, gripY+70, 36, 70, 0.05)),
			},
			{colour{74, 78, 88}, 0.85, 1.05, 40, sleeve},
		},
		before: []layer{
			{
				colour{190, 143, 118},
				0.80, 1.02, 14,
				join(ellipse(gripX-16, gripY-20, 14, 34, -0.25), ellipse(gripX-5, gripY+18, 20, 34, -0.3)),
			},
			{colour{214, 172, 152}, 1, 1, 1, ellipse(gripX-22, gripY-38, 7, 11, -0.25)},
		},
	}
}

// Paper is printed paper in texels of the sheet's texture, sRGB.
type paper struct {
	left, top, w, h int
	pix             []colour
}

func (p *paper) at(x, y int) colour {
	x, y = max(0, min(p.w-1, x-p.left)), max(0, min(p.h-1, y-p.top))
	return p.pix[y*p.w+x]
}

// inside is the distance into the paper from its edge, in portrait pixels.
func (*paper) inside(x, y float64) float64 {
	return min(x-printLeft+printRim, printLeft+printWidth+printRim-x, y-printTop+printRim, printTop+printHeight+printRim-y)
}

// What became of the ink, in linear light.
const (
	inkContrast   = 0.5
	inkBlack      = 0.18
	inkSaturation = 0.85
	inkDots       = 0.35 // depth of the halftone
	dotPitch      = 3.0  // texels
	fibreDepth    = 0.03
	bare          = 0.86 // light from paper without ink
	defocus       = 1.2  // standard deviation of the blur, texels
)

// newPaper prints the portrait: less contrast and colour, three rotated screens
// of dots, the paper's fibres, and the blur of a print too close to the lens.
func newPaper(p *portrait, seed uint64) *paper {
	out := &paper{
		left: int((printLeft - printRim - sheetLeft) * printTexels), top: int((printTop - printRim - sheetTop) * printTexels),
		w: int((printWidth + 2*printRim) * printTexels), h: int((printHeight + 2*printRim) * printTexels),
	}
	linear := linearTable()
	rng := rand.New(rand.NewPCG(seed, 4))
	fibre := make([]float32, out.w*out.h)
	for i := range fibre {
		fibre[i] = float32(rng.NormFloat64())
	}
	blur(fibre, out.w, out.h, 1.2)
	// Blurred noise has less spread: bring it back to one.
	const spread = 2 * 1.7724538509 * 1.2
	cosine := cosineTable()
	var planes [3][]float32
	for k := range planes {
		planes[k] = make([]float32, out.w*out.h)
	}
	tint := [3]float32{1.0, 0.98, 0.93}
	var across [3][2]float64 // of each screen, cosine and sine in dots per texel
	for k, angle := range [3]float64{0.79, 1.31, 0.26} {
		sin, cos := math.Sincos(angle)
		across[k] = [2]float64{cos / dotPitch, sin / dotPitch}
	}
	for y := range out.h {
		for x := range out.w {
			i := y*out.w + x
			px := (float64(x+out.left)+0.5)/printTexels + sheetLeft
			py := (float64(y+out.top)+0.5)/printTexels + sheetTop
			inked := px >= printLeft && px < printLeft+printWidth && py >= printTop && py < printTop+printHeight
			var c [3]float32
			if inked {
				c = p.between(px, py, &linear)
			}
			grey := (c[0] + c[1] + c[2]) / 3
			fibres := 1 + fibreDepth*spread*fibre[i]
			for k := range c {
				v := float32(bare)
				if inked {
					v = inkBlack + inkContrast*(grey+(c[k]-grey)*inkSaturation)
					s := float64(x)*across[k][0] + float64(y)*across[k][1]
					t := float64(y)*across[k][0] - float64(x)*across[k][1]
					dot := 0.25 * (cosine.at(s) + cosine.at(t))
					v += inkDots * dot * float32(math.Sqrt(float64(max(0, v*(1-v)))))
				}
				planes[k][i] = v * fibres * tint[k]
			}
		}
	}
	for k := range planes {
		blur(planes[k], out.w, out.h, defocus)
	}
	out.pix = make([]colour, out.w*out.h)
	srgb := srgbTable()
	for i := range out.pix {
		for k := range 3 {
			out.pix[i][k] = srgb.at(planes[k][i])
		}
	}
	return out
}

// between returns the portrait's linear light between its pixels' centres.
//
//go:norace
func (p *portrait) between(x, y float64, linear *[256]float32) [3]float32 {
	x, y = max(0, x-0.5), max(0, y-0.5)
	x0, y0 := min(int(x), p.img.Rect.Dx()-2), min(int(y), p.img.Rect.Dy()-2)
	fx, fy := float32(x)-float32(x0), float32(y)-float32(y0)
	var out [3]float32
	a := p.img.Pix[y0*p.img.Stride+4*x0:][:8]
	b := p.img.Pix[(y0+1)*p.img.Stride+4*x0:][:8]
	for k := range out {
		top := linear[a[k]] + (linear[a[k+4]]-linear[a[k]])*fx
		bottom := linear[b[k]] + (linear[b[k+4]]-linear[b[k]])*fx
		out[k] = top + (bottom-top)*fy
	}
	return out
}

// blur spreads one channel by a Gaussian of a standard deviation in pixels;
// what is beyond the edge is as the edge.
func blur(pix []float32, w, h int, sigma float64) {
	radius := int(math.Ceil(2.5 * sigma))
	kernel := make([]float32, 2*radius+1)
	var sum float32
	for i := range kernel {
		d := float64(i - radius)
		kernel[i] = float32(math.Exp(-d * d / (2 * sigma * sigma)))
		sum += kernel[i]
	}
	for i := range kernel {
		kernel[i] /= sum
	}
	line := make([]float32, max(w, h)+2*radius)
	pass := func(start, step, n int) {
		for i := range n + 2*radius {
			line[i] = pix[start+step*max(0, min(n-1, i-radius))]
		}
		for i := range n {
			var v float32
			for k, weight := range kernel {
				v += weight * line[i+k]
			}
			pix[start+step*i] = v
		}
	}
	for y := range h {
		pass(y*w, 1, w)
	}
	for x := range w {
		pass(x, w, h)
	}
}

// linearTable is the light of each sRGB value, 0..1 (IEC 61966-2-1).
func linearTable() [256]float32 {
	var t [256]float32
	for i := range t {
		c := float64(i) / 255
		if c <= 0.04045 {
			t[i] = float32(c / 12.92)
		} else {
			t[i] = float32(math.Pow((c+0.055)/1.055, 2.4))
		}
	}
	return t
}

// A table holds a function's values over its domain.
type table []float32

// srgbTable is the sRGB value, 0..255, of light 0..1.
func srgbTable() table {
	t := make(table, 4096)
	for i := range t {
		l := float64(i) / float64(len(t)-1)
		if l <= 0.0031308 {
			t[i] = float32(255 * 12.92 * l)
		} else {
			t[i] = float32(255 * (1.055*math.Pow(l, 1/2.4) - 0.055))
		}
	}
	return t
}

func (t table) at(l float32) float64 {
	return float64(t[int(max(0, min(1, l))*float32(len(t)-1)+0.5)])
}

// A wave is one period of the cosine.
type wave []float32

func cosineTable() wave {
	w := make(wave, 1024)
	for i := range w {
		w[i] = float32(math.Cos(2 * math.Pi * float64(i) / float64(len(w))))
	}
	return w
}

// at returns the cosine of x turns.
func (w wave) at(x float64) float32 {
	x -= math.Floor(x)
	return w[int(x*float64(len(w)))%len(w)]
}
