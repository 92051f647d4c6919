package quality

import "math"

// Side is the width and height of a Crop in pixels.
const Side = 192

const (
	// cropFace is the width of the detector's square box in a Crop.
	cropFace = 128
	// every is how many pixels of a row, and rows, are passed by for each whose
	// luminance is looked up.
	every = 2
)

// A Crop is a face cut out of an image upright and at one size, as the landmark
// network sees it: the detector's box is 128 pixels wide in its middle, and the
// eyes are level. Faces near and far are measured on the same number of pixels.
// Where the image has more it was resampled linearly, without averaging, so fine
// detail and noise are as strong as in the image. Make one with NewCrop; it is
// used by one goroutine at a time.
type Crop struct {
	rgb    []float32 // of the reader
	mesh   *Mesh     // in pixels of the crop
	luma   [Side * Side]uint8
	rows   [Side]span // of the face
	linear [3][256]uint32

	bright [256]float32 // linear light of a level, 0..1
	logs   [256]float32 // logarithms of the linear light of a level
	spots  [cells * cells]spot

	histogram [256]uint32 // of luminance in the face
	pixels    uint32      // in it
}

// A span is a half-open range of pixels in a row.
type span struct{ from, to int }

// NewCrop returns a crop of nothing.
func NewCrop() *Crop {
	c := &Crop{mesh: new(Mesh)}
	// Luminance is that of linear light (IEC 61966-2-1), as in OFIQ.
	for channel, weight := range [...]float64{0.2126, 0.7152, 0.0722} {
		for v := range c.linear[channel] {
			c.linear[channel][v] = uint32(math.Round(weight * light(float64(v)/255) * 255 * (1 << 16)))
		}
	}
	for v := range c.logs {
		c.bright[v] = float32(light(float64(v) / 255))
		c.logs[v] = float32(math.Log(light(float64(v)/255) + black))
	}
	return c
}

// light undoes sRGB's transfer function, both 0..1.
func light(v float64) float64 {
	if v <= 0.04045 {
		return v / 12.92
	}
	return math.Pow((v+0.055)/1.055, 2.4)
}

// Read takes the crop's pixels from rgb, Side rows of Side pixels of red, green
// and blue in 0..1, gamma-coded; m is the face in pixels of the crop. Both stay
// the caller's, and must not change until the last measurement.
func (c *Crop) Read(rgb []float32, m *Mesh) {
	c.rgb, c.mesh = rgb[:3*Side*Side], m
	Luma(c.luma[:], c.rgb)
	c.trace()
	c.survey()
	clear(c.histogram[:])
	c.pixels = 0
	for y := 0; y < Side; y += every {
		r := c.rows[y]
		for x := r.from; x < r.to; x += every {
			c.histogram[c.luminance(y*Side+x)]++
			c.pixels++
		}
	}
}

// Luma writes the BT.601 luma of each pixel of rgb, gamma-coded red, green and
// blue in 0..1, to dst: the Y of a camera's JPEG or YUV, 0..255.
func Luma(dst []uint8, rgb []float32) {
	for i := range dst {
		p := rgb[3*i : 3*i+3 : 3*i+3]
		dst[i] = uint8(76.245*p[0] + 149.685*p[1] + 29.07*p[2] + 0.5)
	}
}

// Clear erases the picture.
func (c *Crop) Clear() {
	clear(c.luma[:])
	clear(c.rows[:])
	clear(c.histogram[:])
	clear(c.spots[:])
	c.rgb, c.mesh, c.pixels = nil, new(Mesh), 0
}

// luminance returns the relative luminance of pixel i, 0..255 in linear light.
func (c *Crop) luminance(i int) uint8 {
	p := c.rgb[3*i : 3*i+3 : 3*i+3]
	sum := c.linear[0][level(p[0])] + c.linear[1][level(p[1])] + c.linear[2][level(p[2])]
	return uint8((sum + 1<<15) >> 16)
}

func level(v float32) uint8 { return uint8(v*255 + 0.5) }

// trace finds the rows of the face: what the mesh's outline encloses, which is
// convex but for noise.
func (c *Crop) trace() {
	// The outline clockwise from the top of the forehead.
	oval := [...]int{
		10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
		152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
	}
	var left, right [Side]float32
	for y := range left {
		left[y], right[y] = Side, 0
	}
	for i := range oval {
		a, b := c.mesh[oval[i]], c.mesh[oval[(i+1)%len(oval)]]
		if a.Y > b.Y {
			a, b = b, a
		}
		first, last := pixels(a.Y, b.Y)
		slope := (b.X - a.X) / (b.Y - a.Y)
		for y := first; y < last; y++ {
			x := a.X + (float32(y)+0.5-a.Y)*slope
			left[y], right[y] = min(left[y], x), max(right[y], x)
		}
	}
	for y := range c.rows {
		from, to := pixels(left[y], right[y])
		c.rows[y] = span{from, to}
	}
}

// pixels returns the half-open range of the crop's pixels whose centres are in
// [from, to).
func pixels(from, to float32) (first, last int) {
	if !(from < to) || to < 0 || from > Side { // or not a number
		return 0, 0
	}
	first = int(math.Ceil(float64(max(from, 0)) - 0.5))
	last = int(math.Ceil(float64(min(to, Side)) - 0.5))
	return first, last
}

// square returns the pixels of a square by its left upper corner.
func square(x, y, side float32) (columns, rows span) {
	columns.from, columns.to = pixels(x, x+side)
	rows.from, rows.to = pixels(y, y+side)
	return columns, rows
}
