package replay

import (
	"cmp"
	"math"
	"slices"
)

// The sheet is the part of the plane around the portrait that the figure's
// texture covers: room for the arms beside it and for the coat below it, which
// is seen while the visitor is far away.
const (
	sheetLeft, sheetTop     = -40, -16
	sheetWidth, sheetHeight = 600, 1120

	// sheetHem is how much farther down the sheet's lower edge is drawn, so
	// that a coat or a sleeve has no end in a tall frame.
	sheetHem = 3000
)

// firstLandmark is the vertex of the first landmark of the face mesh; before it are
// the corners of the sheet.
const firstLandmark = 4

// head is the bare head, without surface.
func (p *portrait) head() *figure {
	return &figure{box: 0.97 * p.box, texels: 1, pivot: vec{0, 130, 70}, pitch: rad(p.pitch), roll: rad(p.roll)}
}

// newHead makes a portrait's person a surface in depth.
func newHead(p *portrait) *figure {
	f := p.head()
	relief := p.relief()
	var flat [][2]float64
	taken := map[[2]float64]bool{}
	place := func(x, y, z, below float64) {
		if taken[[2]float64{x, y}] {
			return
		}
		taken[[2]float64{x, y}] = true
		flat = append(flat, [2]float64{x, y + below})
		// The photograph was taken from a few feet: undo its perspective.
		const shotFrom = 1800
		k := (shotFrom + z) / shotFrom
		f.vertices = append(f.vertices, vertex{
			at: vec{(x - p.face.x) * k, (y + below - p.face.y) * k, z},
			u:  x - sheetLeft, v: y - sheetTop,
			// The head turns, the shoulders stay; the neck is in between.
			turn: 1 - smooth((y-335)/100),
		})
	}
	const (
		left, right = sheetLeft + 1, sheetLeft + sheetWidth - 2
		top, bottom = sheetTop + 1, sheetTop + sheetHeight - 2
	)
	place(left, top, 0, 0)
	place(right, top, 0, 0)
	place(right, bottom, 0, sheetHem)
	place(left, bottom, 0, sheetHem)
	for _, v := range p.mesh {
		place(v.x, v.y, v.z, 0)
	}
	face := hull(flat[firstLandmark:])
	const (
		step = 24
		rows = sheetHeight / step
	)
	for row := range rows + 1 {
		below := 0.0
		if row == rows {
			below = sheetHem
		}
		for col := 0; col*step <= sheetWidth-4; col++ {
			// Rows are staggered and bent, as four points on one circle have
			// two triangulations.
			x := 2 + float64(col*step) + float64(row%2)*3 + 0.37*float64(col%3)
			y := 2 + float64(row*step) + 0.29*float64(col%5)
			x, y = sheetLeft+min(x, sheetWidth-3), sheetTop+min(y, sheetHeight-3)
			if outside(face, x, y) > 7 {
				place(x, y, relief(x, y), below)
			}
		}
	}
	f.triangles = triangulate(flat)
	f.face()
	depth := func(t triangle) float64 { return f.vertices[t[0]].at.z + f.vertices[t[1]].at.z + f.vertices[t[2]].at.z }
	slices.SortStableFunc(f.triangles, func(a, b triangle) int { return cmp.Compare(depth(b), depth(a)) })
	f.all = f.triangles
	f.cover(p.cutOut())
	return f
}

// face finds the directions that the surface faces, the mean of the triangles'
// around each vertex.
func (f *figure) face() {
	for _, t := range f.triangles {
		a, b, c := f.vertices[t[0]].at, f.vertices[t[1]].at, f.vertices[t[2]].at
		p, q := vec{b.x - a.x, b.y - a.y, b.z - a.z}, vec{c.x - a.x, c.y - a.y, c.z - a.z}
		n := vec{p.y*q.z - p.z*q.y, p.z*q.x - p.x*q.z, p.x*q.y - p.y*q.x}
		if n.z > 0 { // towards the camera, whichever way around the corners are
			n = vec{-n.x, -n.y, -n.z}
		}
		for _, i := range t {
			out := &f.vertices[i].out
			*out = vec{out.x + n.x, out.y + n.y, out.z + n.z}
		}
	}
	for i := range f.vertices {
		out := &f.vertices[i].out
		if k := math.Sqrt(out.x*out.x + out.y*out.y + out.z*out.z); k > 0 {
			*out = vec{out.x / k, out.y / k, out.z / k}
		}
	}
}

// cover gives the figure a texture, and keeps the triangles on which there is
// something to be seen.
func (f *figure) cover(t texture) {
	half := t.halve()
	f.levels = []texture{t, half, half.halve()}
	f.triangles = slices.DeleteFunc(slices.Clone(f.all), func(t triangle) bool { return !f.visible(t) })
}

// visible reports whether any texel around a triangle is not transparent.
//
//go:norace
func (f *figure) visible(t triangle) bool {
	a, b, c := f.vertices[t[0]], f.vertices[t[1]], f.vertices[t[2]]
	tex := f.levels[0]
	for y := int(min(a.v, b.v, c.v)) - 2; y <= int(max(a.v, b.v, c.v))+2; y++ {
		for x := int(min(a.u, b.u, c.u)) - 2; x <= int(max(a.u, b.u, c.u))+2; x++ {
			if x >= 0 && y >= 0 && x < tex.w && y < tex.h && tex.pix[y*tex.w+x] != 0 {
				return true
			}
		}
	}
	return false
}

// relief returns the depth of the person around the face, which the landmarks do
// not tell: a smooth surface through the face's rim and a few points of an
// ordinary head, cap and shoulders (Shepard's interpolation).
func (p *portrait) relief() func(x, y float64) float64 {
	known := slices.Clone(p.around)
	var flat [][2]float64
	for _, v := range p.mesh {
		flat = append(flat, [2]float64{v.x, v.y})
	}
	for _, corner := range hull(flat) {
		i := slices.Index(flat, corner)
		known = append(known, p.mesh[i])
	}
	return func(x, y float64) float64 {
		var sum, weights float64
		for _, k := range known {
			d := math.Hypot(x-k.x, y-k.y) + 1
			w := 1 / (d * d * d)
			sum += w * k.z
			weights += w
		}
		return sum / weights
	}
}

// cutOut returns the person without the studio behind, on the sheet.
//
//go:norace
func (p *portrait) cutOut() texture {
	const w, h = sheetWidth, sheetHeight
	mask := coverage(p.outline)
	// The outermost pixels hold the studio's light. They get the colour of
	// their neighbours further in.
	colours := make([]colour, w*h)
	known := make([]bool, w*h)
	for y := range h {
		for x := range w {
			i := y*w + x
			px, py := x+sheetLeft, y+sheetTop
			in := mask[i] == 1 && x > 1 && x < w-2 && y > 1 && y < h-2 &&
				mask[i-2] == 1 && mask[i+2] == 1 && mask[i-2*w] == 1 && mask[i+2*w] == 1
			if !in {
				continue
			}
			known[i] = true
			colours[i] = p.paint(px, py)
		}
	}
	// From here on only the rim counts: each round goes one pixel outward.
	around := [8]int{-1, 1, -w, w, -w - 1, -w + 1, w - 1, w + 1}
	reached := slices.Clone(known)
	var rim []int
	for y := 1; y < h-1; y++ {
		for x := 1; x < w-1; x++ {
			i := y*w + x
			inner := known[i-1] && known[i+1] && known[i-w] && known[i+w]
			if known[i] && !inner {
				rim = append(rim, i)
			}
		}
	}
	for range 6 {
		var next []int
		for _, r := range rim {
			for _, step := range around {
				i := r + step
				if x := i % w; reached[i] || x == 0 || x == w-1 || i < w || i >= w*(h-1) {
					continue
				}
				reached[i] = true
				var sum colour
				var n float64
				for _, s := range around {
					if known[i+s] {
						sum = sum.plus(colours[i+s], 1)
						n++
					}
				}
				colours[i] = sum.lit(1 / n)
				next = append(next, i)
			}
		}
		for _, i := range next {
			known[i] = true
		}
		rim = next
	}
	for range 2 {
		mask = binomial(mask, w, h)
	}
	tex := texture{w: w, h: h, pix: make([]uint32, w*h)}
	for y := 1; y < h-1; y++ {
		for x := 1; x < w-1; x++ {
			i := y*w + x
			if known[i] {
				c := colours[i]
				tex.pix[i] = texel(c[0], c[1], c[2], 255*smooth((float64(mask[i])-0.15)/0.8))
			}
		}
	}
	return tex
}

// dressed is the portrait, and beyond its edges the cloth of the coat.
//
//go:norace
func (p *portrait) dressed() func(x, y int) colour {
	cloth := p.cloth()
	return func(x, y int) colour {
		share := 1.0 // of the portrait; the rest is cloth
		switch {
		case x < 2 || y < 0 || x >= 510 || y >= 598:
			share = 0
		case y >= 430:
			share = smooth(float64(598-y)/6) * smooth(float64(510-x)/8) * smooth(float64(x)/8)
		}
		var c colour
		if share > 0 {
			c = p.at(x, y)
		}
		if share < 1 {
			c = cloth(x, y).mix(c, share)
		}
		return c
	}
}

// cloth continues the coat below and beside the portrait: each column as the
// portrait's last rows have it, with the grain of the sleeve and soft folds, and
// the row of buttons.
//
//go:norace
func (p *portrait) cloth() func(x, y int) colour {
	const (
		top, bottom = 560, 597
		buttonX     = 245
		buttonY     = 587
		buttonR     = 13
		apart       = 96
		spread      = 14 // columns to each side that a column is averaged with
		grainX      = 40 // a plain part of the coat
		grainY      = 538
		grainW      = 150
		grainH      = 40
	)
	mean := func(x0, y0, x1, y1 int) colour {
		var c colour
		var n float64
		for y := y0; y < y1; y++ {
			for x := x0; x < x1; x++ {
				if math.Hypot(float64(x-buttonX), float64(y-buttonY)) <= buttonR+3 {
					continue
				}
				c = c.plus(p.at(x, y), 1)
				n++
			}
		}
		return c.lit(1 / n)
	}
	left, right := 24, 506 // beyond, the last rows show the studio
	columns := make([]colour, 512)
	for x := range columns {
		at := max(left, min(right, x))
		columns[x] = mean(max(left-6, at-spread), top, min(right+6, at+spread), bottom)
	}
	plain := mean(grainX, grainY, grainX+grainW, grainY+grainH)
	return func(x, y int) colour {
		if y > buttonY+apart/2 && y < buttonY+4*apart {
			dx, dy := x-buttonX, (y-buttonY+apart/2)%apart-apart/2
			if math.Hypot(float64(dx), float64(dy)) <= buttonR-1 {
				return p.at(buttonX+dx, buttonY+min(dy, 11))
			}
		}
		c := columns[max(0, min(len(columns)-1, x))]
		grain := p.at(grainX+mirror(x, grainW), grainY+mirror(y, grainH)).plus(plain, -1)
		below := smooth(float64(y-bottom) / 80)
		fold := 1 + below*(0.10*math.Sin(float64(x)/31+math.Sin(float64(y)/90))+0.08*math.Sin(float64(x)/13+float64(y)/70))
		return c.plus(grain, 1).lit(fold)
	}
}

// mirror folds x into 0..n-1, there and back again.
func mirror(x, n int) int {
	x = ((x % (2 * n)) + 2*n) % (2 * n)
	return min(x, 2*n-1-x)
}

// coverage returns how much of each pixel of the sheet is inside the outline,
// smoothed to a curve through its points.
//
//go:norace
func coverage(outline [][2]float64) []float32 {
	curve := round(outline)
	mask := make([]float32, sheetWidth*sheetHeight)
	const sub = 4
	var cuts []float64
	for line := range sheetHeight * sub {
		y := sheetTop + (float64(line)+0.5)/sub
		cuts = cuts[:0]
		for i, a := range curve {
			b := curve[(i+1)%len(curve)]
			if (a[1] <= y) != (b[1] <= y) {
				cuts = append(cuts, a[0]+(b[0]-a[0])*(y-a[1])/(b[1]-a[1])-sheetLeft)
			}
		}
		slices.Sort(cuts)
		row := mask[line/sub*sheetWidth:][:sheetWidth]
		for i := 0; i+1 < len(cuts); i += 2 {
			l, r := max(0, cuts[i]), min(sheetWidth, cuts[i+1])
			for x := int(l); x < int(math.Ceil(r)); x++ {
				row[x] += float32(min(r, float64(x+1))-max(l, float64(x))) / sub
			}
		}
	}
	for i, v := range mask {
		if v > 0.999 {
			mask[i] = 1
		}
	}
	return mask
}

// round returns a closed Catmull-Rom curve through points.
func round(points [][2]float64) [][2]float64 {
	const steps = 6
	n := len(points)
	var out [][2]float64
	for i := range n {
		a, b, c, d := points[(i+n-1)%n], points[i], points[(i+1)%n], points[(i+2)%n]
		for s := range steps {
			t := float64(s) / steps
			var p [2]float64
			for k := range 2 {
				p[k] = 0.5 * (2*b[k] + (c[k]-a[k])*t + (2*a[k]-5*b[k]+4*c[k]-d[k])*t*t + (3*b[k]-a[k]-3*c[k]+d[k])*t*t*t)
			}
			out = append(out, p)
		}
	}
	return out
}

// binomial blurs a picture of one channel by 1-2-1 both ways.
//
//go:norace
func binomial(in []float32, w, h int) []float32 {
	across, out := slices.Clone(in), slices.Clone(in)
	for i := 1; i < w*h-1; i++ {
		across[i] = (in[i-1] + 2*in[i] + in[i+1]) / 4
	}
	for i := w; i < w*(h-1); i++ {
		out[i] = (across[i-w] + 2*across[i] + across[i+w]) / 4
	}
	return out
}

// hull returns the convex hull of points, clockwise on a screen (Andrew's
// monotone chain).
func hull(points [][2]float64) [][2]float64 {
	sorted := slices.Clone(points)
	slices.SortFunc(sorted, func(a, b [2]float64) int {
		return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
	})
	var out [][2]float64
	for range 2 {
		first := len(out)
		for _, p := range sorted {
			for len(out) > first+1 && side(out[len(out)-2], out[len(out)-1], p) <= 0 {
				out = out[:len(out)-1]
			}
			out = append(out, p)
		}
		out = out[:len(out)-1]
		slices.Reverse(sorted)
	}
	return out
}

// side is positive where p lies to the right of the way from a to b, on a
// screen.
func side(a, b, p [2]float64) float64 {
	return (b[0]-a[0])*(p[1]-a[1]) - (b[1]-a[1])*(p[0]-a[0])
}

// outside returns how far (x, y) is outside a convex hull; negative inside.
// Beyond a corner it is the distance from the farther side.
func outside(hull [][2]float64, x, y float64) float64 {
	far := math.Inf(-1)
	for i, a := range hull {
		b := hull[(i+1)%len(hull)]
		far = max(far, -side(a, b, [2]float64{x, y})/math.Hypot(b[0]-a[0], b[1]-a[1]))
	}
	return far
}
