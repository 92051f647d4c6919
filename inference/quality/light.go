package quality

import (
	"image"
	"math"
)

// Exposure is how the gamma-coded luma of a face is spread.
type Exposure struct {
	Mean  float32 // 0..255
	Under float32 // share in 0..25, 0..1
	Over  float32 // share in 247..255, 0..1
}

// Exposure measures the face; all zero if none of it is in the crop.
func (c *Crop) Exposure() Exposure {
	var n, sum, under, over uint32
	for y, r := range c.rows {
		for _, v := range c.luma[y*Side+r.from : y*Side+r.to] {
			sum += uint32(v)
			if v <= 25 {
				under++
			}
			if v >= 247 {
				over++
			}
		}
		n += uint32(r.to - r.from)
	}
	if n == 0 {
		return Exposure{}
	}
	return Exposure{Mean: float32(sum) / float32(n), Under: float32(under) / float32(n), Over: float32(over) / float32(n)}
}

// LuminanceMean is 7.3.4: raw is the mean luminance of the face, 0..1.
func (c *Crop) LuminanceMean() Component {
	if c.pixels == 0 {
		return Missing()
	}
	m := float32(c.mean())
	return component(m, 100*sigmoid(m, 0.2, 0.05)*(1-sigmoid(m, 0.8, 0.05)))
}

func (c *Crop) mean() float64 {
	var sum uint64
	for v, n := range c.histogram {
		sum += uint64(v) * uint64(n)
	}
	return float64(sum) / 255 / float64(c.pixels)
}

// LuminanceVariance is 7.3.4: raw is the variance of luminances in 0..1.
func (c *Crop) LuminanceVariance() Component {
	if c.pixels == 0 {
		return Missing()
	}
	mean := c.mean()
	var sum float64
	for v, n := range c.histogram {
		d := float64(v)/255 - mean
		sum += d * d * float64(n)
	}
	raw := sum / float64(c.pixels)
	return component(float32(raw), 100*math.Sin(60*raw/(60*raw+1)*math.Pi))
}

// UnderExposurePrevention is 7.3.5: raw is the share of the face with a
// luminance of 0 to 25 of 255.
func (c *Crop) UnderExposurePrevention() Component {
	if c.pixels == 0 {
		return Missing()
	}
	raw := c.share(0, 25)
	return component(raw, 120*(0.832-sigmoid(raw, 0.92, 0.05)))
}

// OverExposurePrevention is 7.3.6: raw is the share of the face with a
// luminance of 247 to 255 of 255.
func (c *Crop) OverExposurePrevention() Component {
	if c.pixels == 0 {
		return Missing()
	}
	raw := c.share(247, 255)
	return component(raw, 1/(float64(raw)+0.01))
}

func (c *Crop) share(from, to int) float32 {
	var sum uint32
	for _, n := range c.histogram[from : to+1] {
		sum += n
	}
	return float32(sum) / float32(c.pixels)
}

// DynamicRange is 7.3.7: raw is the entropy of the face's luminances in bits,
// 0..8.
func (c *Crop) DynamicRange() Component {
	if c.pixels == 0 {
		return Missing()
	}
	var bits float64
	for _, n := range c.histogram {
		if n > 0 {
			p := float64(n) / float64(c.pixels)
			bits -= p * math.Log2(p)
		}
	}
	return component(float32(bits), 12.5*bits)
}

// zones returns the right and the left measurement zone: squares of 0.3
// inter-eye distances halfway from the eyes to the mouth, outward of the right
// eye and inward of the left, as OFIQ lays them.
func (c *Crop) zones() (columns, rows [2]span) {
	right, left := c.mesh.Eyes()
	size := 0.3 * flat(right, left)
	down := flat(mid(right, left), mid(c.mesh[13], c.mesh[14])) / 2
	columns[0], rows[0] = square(right.X-size, right.Y+down, size)
	columns[1], rows[1] = square(left.X, left.Y+down, size)
	return columns, rows
}

// IlluminationUniformity is 7.3.3: raw is what the histograms of the right and
// the left measurement zone have in common, 0..1. They have 64 steps of
// luminance, and not 256, so that as many pixels fall on one as in OFIQ's
// larger picture.
func (c *Crop) IlluminationUniformity() Component {
	columns, rows := c.zones()
	var histograms [2][64]uint32
	var n [2]uint32
	for zone := range histograms {
		for y := rows[zone].from; y < rows[zone].to; y++ {
			for x := columns[zone].from; x < columns[zone].to; x++ {
				histograms[zone][c.luminance(y*Side+x)/4]++
				n[zone]++
			}
		}
	}
	if n[0] == 0 || n[1] == 0 {
		return Missing()
	}
	var common float64
	for i := range histograms[0] {
		common += min(float64(histograms[0][i])/float64(n[0]), float64(histograms[1][i])/float64(n[1]))
	}
	return component(float32(common), 100*math.Pow(common, 0.3))
}

// Uneven returns how differently both cheeks are lit: the difference between
// the mean lumas of two squares of 0.3 inter-eye distances on the cheekbones
// over the face's mean luma. It is 0 if a cheek is outside the crop or the face
// is black.
func (c *Crop) Uneven(faceLuma float32) float32 {
	if !(faceLuma > 0) {
		return 0
	}
	eyes, other := c.mesh.Eyes()
	size := max(0.3*flat(eyes, other), 1)
	right, n := c.patch(c.mesh[50], size)
	left, k := c.patch(c.mesh[280], size)
	if n == 0 || k == 0 {
		return 0
	}
	return float32(math.Abs(float64(right-left))) / faceLuma
}

// patch returns the mean luma of a square around a point.
func (c *Crop) patch(at Point, size float32) (mean float32, n int) {
	columns, rows := square(at.X-size/2, at.Y-size/2, size)
	sum := 0
	for y := rows.from; y < rows.to; y++ {
		for _, v := range c.luma[y*Side+columns.from : y*Side+columns.to] {
			sum += int(v)
			n++
		}
	}
	return float32(sum) / float32(max(n, 1)), n
}

// NaturalColour is 7.3.10: raw is how far the mean colour of both measurement
// zones is from the range of skin, a* in 5..25 and b* in 5..35 of CIELAB (D50),
// and 100 where one of them is negative. A picture without colour, a* and b*
// under 1 in size, counts as 100, too: it is no natural picture.
func (c *Crop) NaturalColour() Component {
	columns, rows := c.zones()
	var sum [3]float64
	n := 0
	for zone := range rows {
		for y := rows[zone].from; y < rows[zone].to; y++ {
			for x := columns[zone].from; x < columns[zone].to; x++ {
				p := c.rgb[3*(y*Side+x):][:3]
				for i, v := range p {
					sum[i] += float64(v)
				}
				n++
			}
		}
	}
	if n == 0 {
		return Missing()
	}
	a, b := opponents(sum[0]/float64(n), sum[1]/float64(n), sum[2]/float64(n))
	raw := 100.0
	if a >= 0 && b >= 0 && (a >= 1 || b >= 1) {
		raw = math.Hypot(max(5-a, a-25, 0), max(5-b, b-35, 0))
	}
	return component(float32(raw), 200*(1-sigmoid(float32(raw), 0, 10)))
}

// opponents returns CIELAB's a* and b* of an sRGB colour in 0..1, with the white
// of D50 (Bradford).
func opponents(r, g, b float64) (green, blue float64) {
	r, g, b = light(r), light(g), light(b)
	x := (0.43605*r + 0.38508*g + 0.14309*b) / 0.964221
	y := 0.22249*r + 0.71689*g + 0.06062*b
	z := (0.01393*r + 0.09710*g + 0.71419*b) / 0.825211
	f := func(t float64) float64 {
		if t <= 216.0/24389 {
			return (24389.0/27*t + 16) / 116
		}
		return math.Cbrt(t)
	}
	return 500 * (f(x) - f(y)), 200 * (f(y) - f(z))
}

// Skin returns the mean red, green and blue of a square on each cheekbone and one on
// the forehead, of 0.3 inter-eye distances each, in linear light, 0..1; all zero if
// none of them is in the crop.
func (c *Crop) Skin() (mean [3]float32) {
	right, left := c.mesh.Eyes()
	size := max(0.3*flat(right, left), 1)
	var sum [3]float64
	n := 0
	for _, at := range [...]Point{c.mesh[50], c.mesh[280], c.mesh[151]} {
		columns, rows := square(at.X-size/2, at.Y-size/2, size)
		for y := rows.from; y < rows.to; y++ {
			for x := columns.from; x < columns.to; x++ {
				for i, v := range c.rgb[3*(y*Side+x):][:3] {
					sum[i] += float64(c.bright[level(v)])
				}
				n++
			}
		}
	}
	if n == 0 {
		return mean
	}
	for i := range mean {
		mean[i] = float32(sum[i] / float64(n))
	}
	return mean
}

// Mean returns the mean of g, 0..255, from one pixel in each square of a 36th of
// the shorter side; 0 if g is empty.
func Mean(g *image.Gray) float32 {
	step := max(min(g.Rect.Dx(), g.Rect.Dy())/36, 1)
	var sum, n uint32
	for y := step / 2; y < g.Rect.Dy(); y += step {
		row := g.Pix[y*g.Stride:][:g.Rect.Dx()]
		for x := step / 2; x < len(row); x += step {
			sum += uint32(row[x])
			n++
		}
	}
	return float32(sum) / float32(max(n, 1))
}

// A Background is what is behind a face.
type Background struct {
	Luma       float32   // mean, 0..255
	Uniformity Component // 7.3.2

	// Detail is how much structure is to be seen beside the head: the mean difference
	// of luminance between points next to each other in a row over the mean luminance,
	// so that exposure does not count. Noise and focus hardly do, since the points are
	// eight pixels apart or more, and edges stay as high when they are blurred. A smeared
	// lens lowers it. 0 where less than a hundredth of the picture is beside the head.
	Detail float32
}

// Behind measures what is behind the face in the square box face of img, whose
// luma is luma; both begin at (0, 0). It looks at points a 45th of the shorter
// side apart: everything outside the box grown half as wide again, so that hair
// does not count, and above the chin, so that clothes do not. Where less than a
// hundredth of img is left, as when the face fills it, ok is false.
//
// The raw value of background uniformity is the mean gradient of luminance, in
// steps of 255 as Scharr's operator weighs them, over the pixels of a picture
// whose inter-eye distance is 81 pixels, as OFIQ's is. ied is that of img. What is
// background is the geometry above, where OFIQ has a segmentation network, and a
// point's gradient is taken from its four neighbours alone.
func (c *Crop) Behind(img *image.RGBA, luma *image.Gray, face image.Rectangle, ied float32) (b Background, ok bool) {
	head := face.Inset(-face.Dx() / 4)
	step := max(min(img.Rect.Dx(), img.Rect.Dy())/45, 1)
	bottom := min(img.Rect.Dy()-1, face.Max.Y)
	var sum, n, beside uint32
	var gradients, differences, light float64
	for y := max(step/2, 1); y < bottom; y += step {
		last := float32(-1) // of the point before, if there is one
		for x := max(step/2, 1); x < img.Rect.Dx()-1; x += step {
			if x >= head.Min.X && x < head.Max.X {
				if last = -1; y >= head.Min.Y && y < head.Max.Y {
					continue
				}
			}
			i := y*img.Stride + 4*x
			sum += uint32(luma.Pix[y*luma.Stride+x])
			n++
			left, right := c.linearAt(img.Pix, i-4), c.linearAt(img.Pix, i+4)
			above, below := c.linearAt(img.Pix, i-img.Stride), c.linearAt(img.Pix, i+img.Stride)
			dx, dy := right-left, below-above
			gradients += math.Sqrt(float64(dx*dx + dy*dy))
			if x >= head.Min.X && x < head.Max.X { // above it, where hats are
				continue
			}
			here := left + right + above + below
			if last >= 0 {
				differences += math.Abs(float64(here - last))
				light += float64(here)
				beside++
			}
			last = here
		}
	}
	least := uint32(img.Rect.Dx() * img.Rect.Dy() / 100 / (step * step))
	if n == 0 || n < least {
		return Background{}, false
	}
	// Scharr's weights sum to 16 over the same two pixels' distance.
	raw := float32(16 * gradients / float64(n) * float64(ied) / 81)
	b = Background{Luma: float32(sum) / float32(n), Uniformity: component(raw, 190*(1-sigmoid(raw, 10, 100)))}
	if beside >= max(least, 1) && light > 0 {
		b.Detail = float32(differences / light)
	}
	return b, true
}

// linearAt returns the luminance of the pixel at i, 0..255.
func (c *Crop) linearAt(pix []uint8, i int) float32 {
	p := pix[i : i+3 : i+3]
	return float32(c.linear[0][p[0]]+c.linear[1][p[1]]+c.linear[2][p[2]]) / (1 << 16)
}
