package inference

import "image"

// A layout says where a tensor keeps the channels of a pixel and how it counts
// them: value = channel*gain + bias, at pixel*step + offset of the channel.
type layout struct {
	step       int
	r, g, b    int
	gain, bias float32
}

// A window is a square of a picture, by its centre, its side and the unit
// vector of its upper edge, in pixels.
type window struct {
	x, y, side float32
	cos, sin   float32
}

// sample fills the tensor dst, side pixels square, with what img shows in w.
// Where a source pixel is much smaller than the tensor's, several are
// averaged, or the network would see aliasing, which PAD takes for moire.
// Beyond its edge the picture goes on with the pixels at the edge.
func sample(dst []float32, side int, l layout, img *image.RGBA, w window) {
	step := w.side / float32(side)
	sub := 1
	if step > 1.5 {
		sub = min(int(step+0.5), 8)
	}
	var (
		fine   = step / float32(sub)
		ux, uy = fine * w.cos, fine * w.sin // one sample to the right
		vx, vy = -uy, ux                    // one sample down
		half   = float32(side*sub-1) / 2
		x0     = w.x - half*ux - half*vx - 0.5
		y0     = w.y - half*uy - half*vy - 0.5
		gain   = l.gain / float32(sub*sub)
	)
	for j := range side {
		for i := range side {
			var r, g, b float32
			for n := range sub {
				v := float32(j*sub + n)
				for m := range sub {
					u := float32(i*sub + m)
					dr, dg, db := bilinear(img, x0+u*ux+v*vx, y0+u*uy+v*vy)
					r, g, b = r+dr, g+dg, b+db
				}
			}
			at := (j*side + i) * l.step
			dst[at+l.r] = r*gain + l.bias
			dst[at+l.g] = g*gain + l.bias
			dst[at+l.b] = b*gain + l.bias
		}
	}
}

// bilinear returns the channels of img, whose first pixel is at (0, 0), at a
// point, 0..255; pixels have their values at whole coordinates.
func bilinear(img *image.RGBA, x, y float32) (r, g, b float32) {
	right, low := img.Rect.Max.X-1, img.Rect.Max.Y-1
	x, y = min(max(x, 0), float32(right)), min(max(y, 0), float32(low))
	xi, yi := int(x), int(y)
	fx, fy := x-float32(xi), y-float32(yi)
	dx, dy := 4, img.Stride
	if xi >= right {
		dx = 0
	}
	if yi >= low {
		dy = 0
	}
	i := yi*img.Stride + 4*xi
	p, q := img.Pix[i:i+3:i+3], img.Pix[i+dx:i+dx+3:i+dx+3]
	s, t := img.Pix[i+dy:i+dy+3:i+dy+3], img.Pix[i+dy+dx:i+dy+dx+3:i+dy+dx+3]
	a, c := (1-fx)*(1-fy), fx*(1-fy)
	d, e := (1-fx)*fy, fx*fy
	r = a*float32(p[0]) + c*float32(q[0]) + d*float32(s[0]) + e*float32(t[0])
	g = a*float32(p[1]) + c*float32(q[1]) + d*float32(s[1]) + e*float32(t[1])
	b = a*float32(p[2]) + c*float32(q[2]) + d*float32(s[2]) + e*float32(t[2])
	return r, g, b
}
