package quality

// Sharpness returns the variance of the Laplacian (the sum of four neighbours
// less four times the pixel) of the luma in the circle that touches the sides of
// the detector's box, in luma squared. 0 means flat.
//
// It is this package's own substitute for the random forest of 7.3.8. Noise
// counts as sharpness, and a face of fewer than 128 pixels seems less sharp the
// smaller it is.
func (c *Crop) Sharpness() float32 {
	const radius = cropFace / 2
	var sum, squares int64
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
		at := c.luma[from-1 : from+2*half+1]
		above, below := c.luma[from-Side:][:2*half], c.luma[from+Side:][:2*half]
		var rowSum, rowSquares int32
		for i := range above {
			v := int32(above[i]) + int32(below[i]) + int32(at[i]) + int32(at[i+2]) - 4*int32(at[i+1])
			rowSum += v
			rowSquares += v * v // at most 128 of 1020 squared
		}
		sum += int64(rowSum)
		squares += int64(rowSquares)
		count += 2 * half
	}
	mean := float64(sum) / float64(count)
	return float32(max(float64(squares)/float64(count)-mean*mean, 0))
}
