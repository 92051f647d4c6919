package quality

import (
	"cmp"
	"math"
	"slices"
)

const (
	cell  = 4 // width and height of a cell in pixels of a crop
	cells = Side / cell

	// black is light added to every channel before colours are compared, so that
	// the noise of dark pixels is no colour.
	black = 0.003
	// blown is the luma of a highlight.
	blown = 245
)

// A spot is what a cell of a crop looks like.
type spot struct {
	red, blue float32 // logarithms of red and of blue over green in linear light: what no brightness changes
	luma      float32 // mean, 0..255
	rough     float32 // standard deviation of luma over its mean
	clipped   bool    // a channel is at its end: the colour is not known
}

// Cover is what covers a face or shines on it, by region. Shares are 0..1; of a
// pair of regions the worse is told.
//
// A landmark network draws a whole mesh over a hand or a mask, so this compares
// each region with the rest of the same face: what is covered has another
// colour than its skin, and an eye or a mouth that is covered by skin, as by a
// hand, has none of the dark and light of one. So it does not depend on how dark
// or fair a skin is. A hand on a bare cheek looks like a cheek and is not found.
// Hair that is rough is no cover, nor is what lies around the face.
type Cover struct {
	Eyes     float32 // of the eye that is covered more
	Nose     float32
	Mouth    float32
	Cheeks   float32 // lower, beside nose and mouth
	Forehead float32 // told, and judged by nobody: scarves and hair lie there
	Lower    float32 // of mouth, chin and both cheeks together
	Face     float32 // of all regions together

	Shade     float32 // 0..1: how much both eyes are dark and even, as behind sunglasses
	GlareEyes float32 // highlights, of the region of the eye that has more
	GlareSkin float32 // highlights, of the face but for the regions of the eyes

	// Irises is the height of what is dark where an iris belongs, in T, of the eye
	// that has less. Open eyes had 0.07 and more, closed ones, of which lashes are
	// left, under 0.045. The mesh alone reads eyes as half open when they are closed.
	Irises float32
}

// survey fills in the cells of the crop.
func (c *Crop) survey() {
	for at := range c.spots {
		i := at/cells*cell*Side + at%cells*cell
		var sum [3]float32
		var luma, squares uint32
		for end := i + cell*Side; i < end; i += Side {
			for _, v := range c.luma[i : i+cell] {
				luma += uint32(v)
				squares += uint32(v) * uint32(v)
			}
			p := c.rgb[3*i : 3*(i+cell)]
			sum[0] += p[0] + p[3] + p[6] + p[9]
			sum[1] += p[1] + p[4] + p[7] + p[10]
			sum[2] += p[2] + p[5] + p[8] + p[11]
		}
		const n = cell * cell
		mean := float64(luma) / n
		green := c.logs[level(sum[1]/n)]
		c.spots[at] = spot{
			red: c.logs[level(sum[0]/n)] - green, blue: c.logs[level(sum[2]/n)] - green, luma: float32(mean),
			rough:   float32(math.Sqrt(max(float64(squares)/n-mean*mean, 0)) / (mean + 1)),
			clipped: max(sum[0], sum[1], sum[2]) > n*0.98,
		}
	}
}

// A region is a rectangle of cells.
type region struct{ columns, rows span }

// around returns the cells of a rectangle of pixels by its centre and size.
func around(at Point, width, height float32) region {
	grid := func(from, to float32) span {
		first, last := pixels(from, to)
		return span{first / cell, min((last+cell-1)/cell, cells)}
	}
	return region{grid(at.X-width/2, at.X+width/2), grid(at.Y-height/2, at.Y+height/2)}
}

// A tally is what was counted in regions.
type tally struct {
	n, foreign, dark float32
	luma, rough      float32 // sums
}

func (t tally) share(of float32) float32 { return of / max(t.n, 1) }

func (t tally) plus(o tally) tally {
	return tally{t.n + o.n, t.foreign + o.foreign, t.dark + o.dark, t.luma + o.luma, t.rough + o.rough}
}

// count looks at the cells of r beside the skin of the same face.
func (c *Crop) count(r region, skin spot) tally {
	var t tally
	for y := r.rows.from; y < r.rows.to; y++ {
		for _, s := range c.spots[y*cells+r.columns.from : y*cells+max(r.columns.to, r.columns.from)] {
			t.n++
			t.luma += s.luma
			t.rough += s.rough
			// Skin is redder than what is not skin, whatever the light.
			other := skin.red-s.red > max(0.22, 0.4*skin.red) || s.blue-skin.blue > 0.7
			if other && s.rough < 0.12 && !s.clipped {
				t.foreign++
			}
			if s.luma < 0.4*skin.luma && s.rough < 0.25 {
				t.dark++
			}
		}
	}
	return t
}

// skin returns what the face's skin looks like: of nine patches all over it the
// fourth in redness. Five of them lie below the eyes and five above the mouth, so
// what covers the one or the other leaves enough, and it is hardly ever redder.
func (c *Crop) skin(width float32) spot {
	m := c.mesh
	var patches [9]spot
	for i, at := range [...]Point{m[151], m[70], m[300], m[6], m[4], m[205], m[425], m[199], mid(m[50], m[205])} {
		r := around(at, 0.08*width, 0.08*width)
		p := &patches[i]
		var n float32
		for y := r.rows.from; y < r.rows.to; y++ {
			for x := r.columns.from; x < r.columns.to; x++ {
				s := c.spots[y*cells+x]
				p.red, p.blue, p.luma = p.red+s.red, p.blue+s.blue, p.luma+s.luma
				n++
			}
		}
		if n > 0 {
			p.red, p.blue, p.luma = p.red/n, p.blue/n, p.luma/n
		}
	}
	slices.SortFunc(patches[:], func(a, b spot) int { return cmp.Compare(b.red, a.red) })
	skin := patches[3]
	// Hair may be as red: skin is lighter than that.
	lumas := [...]float32{patches[0].luma, patches[1].luma, patches[2].luma, patches[3].luma}
	slices.Sort(lumas[:])
	skin.luma = (lumas[2] + lumas[3]) / 2
	return skin
}

// Cover measures what covers the face, whose sharpness is as Crop.Sharpness has
// it: where that is under 40, a mouth is not missed for being blurred.
func (c *Crop) Cover(sharpness float32) Cover {
	m := c.mesh
	right, left := m.Eyes()
	width := flat(m[234], m[454]) // of the face
	if !(width > 1) || width > 4*Side {
		return Cover{}
	}
	skin := c.skin(width)
	box := func(at Point, w, h float32) tally { return c.count(around(at, w*width, h*width), skin) }
	eyes := [2]tally{box(right, 0.22, 0.12), box(left, 0.22, 0.12)}
	nose := box(mid(m[6], m[2]), 0.14, 0.2)
	lips := mid(m[13], m[14])
	mouth := box(lips, 0.3, 0.12)
	chin := box(mid(m[17], m[152]), 0.24, 0.1)
	cheeks := [2]tally{box(m[205], 0.16, 0.2), box(m[425], 0.16, 0.2)}
	forehead := box(mid(m[9], m[151]), 0.4, 0.12)

	var v Cover
	// An eye or a mouth in which nothing is darker or lighter is not to be seen,
	// unless the whole picture is as dull: seen is what one has at least, and most
	// what this one may have beside the rest of the face.
	covered := func(t tally, plain, seen, most float32) float32 {
		rough := t.share(t.rough)
		bare := min(max((seen-rough)/(seen-plain), 0), 1)
		if rough > most || t.share(t.luma) < 0.75*skin.luma { // shaded at least
			bare = 0
		}
		return max(t.share(t.foreign), bare)
	}
	rough := [...]float32{eyes[0].share(eyes[0].rough), eyes[1].share(eyes[1].rough), mouth.share(mouth.rough)}
	v.Eyes = max(
		covered(eyes[0], 0.03, 0.055, 0.7*max(rough[1], rough[2])),
		covered(eyes[1], 0.03, 0.055, 0.7*max(rough[0], rough[2])),
	)
	if v.Mouth = mouth.share(mouth.foreign); sharpness >= 40 {
		v.Mouth = covered(mouth, 0.02, 0.052, 0.35*max(rough[0], rough[1]))
	}
	v.Nose, v.Forehead = nose.share(nose.foreign), forehead.share(forehead.foreign)
	v.Cheeks = max(cheeks[0].share(cheeks[0].foreign), cheeks[1].share(cheeks[1].foreign))
	lower := mouth.plus(chin).plus(cheeks[0]).plus(cheeks[1])
	v.Lower = lower.share(lower.foreign)
	all := lower.plus(eyes[0]).plus(eyes[1]).plus(nose).plus(forehead)
	v.Face = all.share(all.foreign)
	v.Shade = min(eyes[0].share(eyes[0].dark), eyes[1].share(eyes[1].dark))
	v.GlareEyes, v.GlareSkin = c.glare(right, left, width, skin.luma)
	if t := m.T(); t > 1 {
		v.Irises = min(c.iris(right, width, skin.luma), c.iris(left, width, skin.luma)) / t
	}
	return v
}

// iris returns the most pixels in one column around at that are less than half as
// light as the skin.
func (c *Crop) iris(at Point, width, skin float32) float32 {
	columns, rows := square(at.X-0.05*width, at.Y-0.06*width, 0.12*width)
	most := 0
	for x := columns.from; x < columns.to; x++ {
		n := 0
		for y := rows.from; y < rows.to; y++ {
			if float32(c.luma[y*Side+x]) < 0.5*skin {
				n++
			}
		}
		most = max(most, n)
	}
	return float32(most)
}

// glare returns the shares of highlights: on the eye that has more, and on the
// face but for the eyes. Where the skin itself is nearly blown, light is too
// strong everywhere and nothing is a highlight.
func (c *Crop) glare(right, left Point, width, skin float32) (eyes, face float32) {
	if skin > 215 {
		return 0, 0
	}
	count := func(columns, rows span) (n, high int) {
		for y := rows.from; y < rows.to; y++ {
			for _, v := range c.luma[y*Side+columns.from : y*Side+max(columns.to, columns.from)] {
				n++
				if v >= blown {
					high++
				}
			}
		}
		return n, high
	}
	var n, high int
	for y, r := range c.rows {
		k, h := count(r, span{y, y + 1})
		n, high = n+k, high+h
	}
	for _, at := range [...]Point{right, left} {
		columns, rows := square(at.X-0.15*width, at.Y-0.12*width, 0.3*width)
		rows.to = rows.from + (rows.to-rows.from)*4/5
		k, h := count(columns, rows)
		if k > 0 {
			eyes = max(eyes, float32(h)/float32(k))
		}
		n, high = n-k, high-h
	}
	return eyes, float32(max(high, 0)) / float32(max(n, 1))
}
