package quality

import (
	"image"
	"math"
)

// sharpWidth is the face width in pixels at which sharpness is measured, so
// that faces near and far compare.
const sharpWidth = 128

// Sharpness returns the variance of the Laplacian (the sum of four neighbours
// less four times the pixel) of the luma in the circle that touches the sides
// of the square box with the given centre and width in pixels, which is first
// resampled to 128 pixels: by averages where it is larger, linearly where it
// is smaller. The unit is luma squared. 0 means flat, or no such box. Portraits
// in focus have 50 to 1200, the same with a blur (sigma) of a fiftieth of the
// face's width under 10, and faded prints of them 1 to 40.
//
// It is this package's own substitute for OFIQ's random forest. Noise counts
// as sharpness, and a face of fewer than 128 pixels seems less sharp the
// smaller it is.
func Sharpness(g *image.Gray, x, y, width float32) float32 {
	if g.Rect.Empty() || !(width >= 1) || width > 1e6 {
		return 0
	}
	// Rows are numbered -1 to 128, with one more column and row on each side
	// for the Laplacian's neighbours.
	const n = sharpWidth + 2
	step := width / sharpWidth
	left, top := x-width/2-step, y-width/2-step
	var rows [3][n]float32
	var sum, squares float64
	count := 0
	for j := range n {
		sampleRow(&rows[j%3], g, left, top+float32(j)*step, step)
		if j < 2 {
			continue
		}
		above, at, below := &rows[(j-2)%3], &rows[(j-1)%3], &rows[j%3]
		dy := float64(j-1) - (n-1)/2.0
		half := int(math.Sqrt(max(0, sharpWidth*sharpWidth/4.0-dy*dy)))
		for i := n/2 - half; i < n/2+half; i++ {
			v := float64(above[i] + below[i] + at[i-1] + at[i+1] - 4*at[i])
			sum += v
			squares += v * v
			count++
		}
	}
	if count == 0 {
		return 0
	}
	mean := sum / float64(count)
	return float32(max(0, squares/float64(count)-mean*mean))
}

// sampleRow fills out with luma at pixels of step times step source pixels,
// the first at (x, y).
func sampleRow(out *[sharpWidth + 2]float32, g *image.Gray, x, y, step float32) {
	// Samples each way within one pixel. No camera's face needs more than eight.
	sub := min(int(math.Ceil(float64(step))), 8)
	clear(out[:])
	for b := range sub {
		sy := y + (float32(b)+0.5)*step/float32(sub) - 0.5
		y0, y1, fy := neighbours(sy, g.Rect.Min.Y, g.Rect.Max.Y)
		up, low := g.Pix[(y0-g.Rect.Min.Y)*g.Stride:], g.Pix[(y1-g.Rect.Min.Y)*g.Stride:]
		for i := range out {
			for a := range sub {
				sx := x + (float32(i)+(float32(a)+0.5)/float32(sub))*step - 0.5
				x0, x1, fx := neighbours(sx, g.Rect.Min.X, g.Rect.Max.X)
				x0, x1 = x0-g.Rect.Min.X, x1-g.Rect.Min.X
				u := float32(up[x0]) + fx*(float32(up[x1])-float32(up[x0]))
				l := float32(low[x0]) + fx*(float32(low[x1])-float32(low[x0]))
				out[i] += u + fy*(l-u)
			}
		}
	}
	for i := range out {
		out[i] /= float32(sub * sub)
	}
}

// neighbours returns the two pixels around v and the share of the second; the
// image goes on beyond its edge with the pixels at the edge.
func neighbours(v float32, low, high int) (a, b int, f float32) {
	if !(v > float32(low)) { // or not a number
		return low, low, 0
	}
	if v >= float32(high-1) {
		return high - 1, high - 1, 0
	}
	a = int(v)
	if float32(a) > v { // truncation of a negative coordinate
		a--
	}
	return a, a + 1, v - float32(a)
}
