package quality

import "math"

// Sharpness returns how much detail is in the luma of the circle that touches the
// sides of the detector's box, in luma squared: 2/3 of the least variance of the
// second differences along rows, along columns and along both diagonals, each of a
// pixel and those two pixels to both sides of it. It is the least because a picture
// that moved while it was taken has lost the detail along its way alone, and two
// pixels because detail of a single one is mostly noise. 0 means flat.
//
// It is this package's own substitute for the random forest of 7.3.8. Some of the
// noise counts as sharpness, and a face of fewer than 128 pixels seems less sharp
// the smaller it is.
func (c *Crop) Sharpness() float32 {
	const radius = cropFace / 2
	var sum, squares [4]int64
	count := 0
	half := 0 // of the row's width: found by walking along the circle
	for y := Side/2 - radius; y < Side/2+radius; y++ {
		dy := 2*(y-Side/2) + 1
		for half < radius && (2*half+1)*(2*half+1)+dy*dy <= 4*radius*radius {
			half++
		}
		for half > 0 && (2*half-1)*(2*half-1)+dy*dy > 4*radius*radius {
			half--
		}
		from := y*Side + Side/2 - half
		at := c.luma[from-2:][:2*half+5]
		above, below := c.luma[from-2*Side-2:][:2*half+5], c.luma[from+2*Side-2:][:2*half+5]
		var rows, lines [4]int32
		for i := range 2 * half {
			twice := 2 * int32(at[i+2])
			for k, v := range [...]int32{
				int32(at[i]) + int32(at[i+4]) - twice, int32(above[i+2]) + int32(below[i+2]) - twice,
				int32(above[i]) + int32(below[i+4]) - twice, int32(above[i+4]) + int32(below[i]) - twice,
			} {
				lines[k] += v
				rows[k] += v * v // at most 128 of 510 squared
			}
		}
		for k := range sum {
			sum[k] += int64(lines[k])
			squares[k] += int64(rows[k])
		}
		count += 2 * half
	}
	least := math.Inf(1)
	for k := range sum {
		mean := float64(sum[k]) / float64(count)
		least = min(least, float64(squares[k])/float64(count)-mean*mean)
	}
	return float32(max(2.0/3*least, 0))
}
