package inference

import (
	"encoding/binary"
	"image"
	"math"
)

// A layout says where a tensor keeps a pixel's channels, at pixel*step and the
// channel's offset, and what it multiplies them by.
type layout struct {
	step, r, g, b int
	gain          float32
}

// A window is a square of a picture, by its centre, its side and the unit
// vector of its upper edge, in pixels.
type window struct {
	x, y, side float32
	cos, sin   float32
}

// sample fills the tensor dst, side pixels square, with what img, whose first
// pixel is at (0, 0), shows in w. Beyond its edge the picture goes on with the
// pixels at the edge.
//
// It interpolates between four pixels and averages no more where the picture
// is reduced, because the networks were trained on pictures reduced like this:
// the PAD network takes a print for live twice as often when its dots have
// been averaged away.
func sample(dst []float32, side int, l layout, img *image.RGBA, w window) {
	var (
		step   = w.side / float32(side)
		ux, uy = step * w.cos, step * w.sin // one tensor pixel to the right
		vx, vy = -uy, ux                    // one tensor pixel down
		half   = float32(side-1) / 2
		x0     = w.x - half*ux - half*vx - 0.5
		y0     = w.y - half*uy - half*vy - 0.5
	)
	if inside(img, x0, y0, half*2*ux, half*2*uy, half*2*vx, half*2*vy) {
		const one = 1 << fraction
		gain := l.gain / 256
		dux, duy := int(math.Round(float64(ux)*one)), int(math.Round(float64(uy)*one))
		for j := range side {
			x, y := int((x0+float32(j)*vx)*one), int((y0+float32(j)*vy)*one)
			row := j * side * l.step
			red, green, blue := dst[row+l.r:], dst[row+l.g:], dst[row+l.b:]
			for at := 0; at < side*l.step; at += l.step {
				rbg := blend(img, x, y)
				x, y = x+dux, y+duy
				red[at] = float32(rbg&0xffff) * gain
				blue[at] = float32(rbg>>16&0xffff) * gain
				green[at] = float32(rbg>>32&0xffff) * gain
			}
		}
		return
	}
	for j := range side {
		x, y := x0+float32(j)*vx, y0+float32(j)*vy
		for i := range side {
			r, g, b := bilinear(img, x+float32(i)*ux, y+float32(i)*uy)
			at := (j*side + i) * l.step
			dst[at+l.r] = r * l.gain
			dst[at+l.g] = g * l.gain
			dst[at+l.b] = b * l.gain
		}
	}
}

// fraction is how many bits of a coordinate are behind the point.
const fraction = 20

// inside reports whether a window lies in img with a pixel to spare for the
// rounding of coordinates: its first point, and its upper and left edges.
func inside(img *image.RGBA, x, y, ux, uy, vx, vy float32) bool {
	left, right := x+min(ux, 0)+min(vx, 0), x+max(ux, 0)+max(vx, 0)
	up, down := y+min(uy, 0)+min(vy, 0), y+max(uy, 0)+max(vy, 0)
	return left >= 1 && up >= 1 && right < float32(img.Rect.Max.X-2) && down < float32(img.Rect.Max.Y-2)
}

// blend is bilinear for a point inside img, in fixed point: red, blue and green
// in lanes of 16 bits, times 256, so that one multiplication weighs all of them.
func blend(img *image.RGBA, x, y int) uint64 {
	i := y>>fraction*img.Stride + 4*(x>>fraction)
	fx, fy := uint64(x>>(fraction-8)&0xff), uint64(y>>(fraction-8)&0xff)
	up, low := img.Pix[i:i+8:i+8], img.Pix[i+img.Stride:i+img.Stride+8:i+img.Stride+8]
	p, s := binary.LittleEndian.Uint64(up), binary.LittleEndian.Uint64(low)
	both := fx * fy >> 8
	return spread(p&math.MaxUint32)*(256-fx-fy+both) + spread(p>>32)*(fx-both) +
		spread(s&math.MaxUint32)*(fy-both) + spread(s>>32)*both
}

// spread puts the channels of a pixel into the lanes; alpha goes to the fourth.
func spread(v uint64) uint64 { return (v | v<<24) & 0x00ff00ff00ff00ff }

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
