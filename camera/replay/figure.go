package replay

import (
	"encoding/binary"
	"image"
	"math"
)

// A vec is a point in the portrait's pixels around the face box's centre: x to
// the right, y down, z away from the camera.
type vec struct{ x, y, z float64 }

// A vertex ties a point of a surface to its place on the picture.
type vertex struct {
	at   vec
	u, v float64 // texel of the sharpest level
	turn float64 // how much it follows the head's turning, 0..1
	out  vec     // the direction that the surface faces, of length 1
}

// A figure is a textured surface that stands in front of the camera.
type figure struct {
	vertices  []vertex
	all       []triangle // from back to front
	triangles []triangle // those of them on which there is something to be seen
	levels    []texture  // each half the size of the one before
	texels    float64    // of the sharpest level per unit of the surface
	pivot     vec        // the head turns around it
	box       float64    // width of the face box, units of the surface, at depth 0

	yaw, pitch, roll float64 // how it is held, radians

	seen []spot // scratch
}

// A texture is a picture with premultiplied alpha, one pixel in a word as
// A<<24 | B<<16 | G<<8 | R.
type texture struct {
	w, h int
	pix  []uint32
}

// A spot is a vertex on the frame, and by how much its code values are
// multiplied, red, green and blue.
type spot struct {
	x, y, u, v float32
	light      [3]float32
}

// distance is how far the camera is from depth 0 for a face of that width.
func (f *figure) distance(s stance) float64 { return f.box * s.focal / s.face }

// project returns where a vertex is seen through a pinhole camera in front of
// the frame's middle.
func (f *figure) project(v vertex, s stance, d float64, middle [2]float64) (x, y float64) {
	p := v.at
	if v.turn > 0 {
		q := f.turned(vec{p.x - f.pivot.x, p.y - f.pivot.y, p.z - f.pivot.z}, v.turn, s)
		p = vec{q.x + f.pivot.x, q.y + f.pivot.y, q.z + f.pivot.z}
	}
	// The camera is in front of the frame's middle, not of the face.
	tx, ty := (s.x-middle[0])*d/s.focal, (s.y-middle[1])*d/s.focal
	k := s.focal / (d + p.z)
	return middle[0] + (p.x+tx)*k, middle[1] + (p.y+ty)*k
}

// turned turns q around the origin as far as what follows the head by a share.
func (f *figure) turned(q vec, share float64, s stance) vec {
	sin, cos := math.Sincos((s.yaw + f.yaw) * share)
	q.x, q.z = q.x*cos+q.z*sin, q.z*cos-q.x*sin
	sin, cos = math.Sincos((s.pitch + f.pitch) * share)
	q.y, q.z = q.y*cos+q.z*sin, q.z*cos-q.y*sin
	sin, cos = math.Sincos((s.roll + f.roll) * share)
	q.x, q.y = q.x*cos-q.y*sin, q.y*cos+q.x*sin
	return q
}

// draw lays the figure over dst in a light.
func (f *figure) draw(dst *image.RGBA, s stance, light Light) {
	if f.seen == nil {
		f.seen = make([]spot, len(f.vertices))
	}
	d := f.distance(s)
	level, scale := 0, s.face/f.box/f.texels
	for level+1 < len(f.levels) && scale < 0.6 {
		level++
		scale *= 2
	}
	shrink := 1 / float64(int(1)<<level)
	size := dst.Rect.Size()
	middle := [2]float64{float64(size.X) / 2, float64(size.Y) / 2}
	width := s.face / float64(min(size.X, size.Y))
	for i, v := range f.vertices {
		x, y := f.project(v, s, d, middle)
		f.seen[i] = spot{float32(x), float32(y), float32(v.u * shrink), float32(v.v * shrink), light.on(f.turned(v.out, v.turn, s), width)}
	}
	for _, t := range f.triangles {
		fill(dst, &f.levels[level], f.seen[t[0]], f.seen[t[1]], f.seen[t[2]])
	}
}

// fill draws one triangle of tex over dst, its corners given in pixels and
// texels with centres at one half. Triangles that share an edge neither overlap
// nor leave a gap: each pixel centre is on one side of it, computed the same way.
//
//go:norace
func fill(dst *image.RGBA, tex *texture, a, b, c spot) {
	if b.y < a.y {
		a, b = b, a
	}
	if c.y < a.y {
		a, c = c, a
	}
	if c.y < b.y {
		b, c = c, b
	}
	w, h := dst.Rect.Dx(), dst.Rect.Dy()
	y0, y1 := max(0, ceil(a.y-0.5)), min(h, ceil(c.y-0.5))
	area := (b.x-a.x)*(c.y-a.y) - (c.x-a.x)*(b.y-a.y)
	if y0 >= y1 || area == 0 {
		return
	}
	// The texel is linear in the pixel over such a small triangle.
	ux := ((b.u-a.u)*(c.y-a.y) - (c.u-a.u)*(b.y-a.y)) / area
	uy := ((c.u-a.u)*(b.x-a.x) - (b.u-a.u)*(c.x-a.x)) / area
	vx := ((b.v-a.v)*(c.y-a.y) - (c.v-a.v)*(b.y-a.y)) / area
	vy := ((c.v-a.v)*(b.x-a.x) - (b.v-a.v)*(c.x-a.x)) / area
	du, dv := int32(ux*65536), int32(vx*65536)
	var lx, ly [3]float32
	for k := range lx {
		lx[k] = ((b.light[k]-a.light[k])*(c.y-a.y) - (c.light[k]-a.light[k])*(b.y-a.y)) / area
		ly[k] = ((c.light[k]-a.light[k])*(b.x-a.x) - (b.light[k]-a.light[k])*(c.x-a.x)) / area
	}
	one := [3]float32{1, 1, 1}
	plain := a.light == one && b.light == one && c.light == one
	for y := y0; y < y1; y++ {
		py := float32(y) + 0.5
		l := a.x + (c.x-a.x)*((py-a.y)/(c.y-a.y))
		r := l
		if py < b.y {
			r = a.x + (b.x-a.x)*((py-a.y)/(b.y-a.y))
		} else if c.y > b.y {
			r = b.x + (c.x-b.x)*((py-b.y)/(c.y-b.y))
		}
		if r < l {
			l, r = r, l
		}
		x0, x1 := max(0, ceil(l-0.5)), min(w, ceil(r-0.5))
		if x0 >= x1 {
			continue
		}
		px := float32(x0) + 0.5 - a.x
		u := int32((a.u + px*ux + (py-a.y)*uy - 0.5) * 65536)
		v := int32((a.v + px*vx + (py-a.y)*vy - 0.5) * 65536)
		// A needle of a triangle may point outside the picture by rounding.
		n := int32(x1 - x0 - 1)
		if !tex.holds(u, v) || !tex.holds(u+n*du, v+n*dv) {
			continue
		}
		out := dst.Pix[y*dst.Stride+4*x0:][:4*(x1-x0)]
		if plain {
			span(out, tex, u, v, du, dv)
			continue
		}
		var light [3]float32
		for k := range light {
			light[k] = a.light[k] + px*lx[k] + (py-a.y)*ly[k]
		}
		for i := range x1 - x0 { // less often, so it need not be as quick
			i32 := int32(i)
			rb, ga := tex.between(u+i32*du, v+i32*dv)
			lit(out[4*i:][:4:4], rb, ga, [3]float32{light[0] + float32(i)*lx[0], light[1] + float32(i)*lx[1], light[2] + float32(i)*lx[2]})
		}
	}
}

// holds reports whether the four texels around (u, v), in 1/65536, exist.
func (t *texture) holds(u, v int32) bool {
	return u >= 0 && v >= 0 && int(u>>16) < t.w-1 && int(v>>16) < t.h-1
}

const mask = 0x00ff00ff // two channels of a word

// between returns the four texels around (u, v), in 1/65536, mixed: red and
// blue, green and alpha, each pair in a word.
//
//go:norace
func (t *texture) between(u, v int32) (rb, ga uint32) {
	at := int(v>>16)*t.w + int(u>>16)
	fx, fy := uint32(u>>8)&0xff, uint32(v>>8)&0xff
	top, bottom := t.pix[at:at+2:at+2], t.pix[at+t.w:at+t.w+2:at+t.w+2]
	p, q, r, s := top[0], top[1], bottom[0], bottom[1]
	if p|q|r|s == 0 {
		return 0, 0
	}
	// Weights of the four texels, of 256; two channels share a word.
	ws := fx * fy >> 8
	wq, wr := fx-ws, fy-ws
	wp := 256 - fx - fy + ws
	rb = ((p&mask)*wp + (q&mask)*wq + (r&mask)*wr + (s&mask)*ws) >> 8 & mask
	ga = ((p>>8&mask)*wp + (q>>8&mask)*wq + (r>>8&mask)*wr + (s>>8&mask)*ws) >> 8 & mask
	return rb, ga
}

// span lays texels along a line over one run of pixels.
func span(out []byte, tex *texture, u, v, du, dv int32) {
	for ; len(out) >= 4; out = out[4:] {
		rb, ga := tex.between(u, v)
		u += du
		v += dv
		over(out, rb, ga)
	}
}

// over lays a colour, as between returns it, over a pixel.
func over(out []byte, rb, ga uint32) {
	alpha := ga >> 16
	if alpha == 0 {
		return
	}
	if alpha < 255 {
		under := binary.LittleEndian.Uint32(out)
		rest := 256 - alpha - alpha>>7
		rb += (under & mask) * rest >> 8 & mask
		ga += (under >> 8 & mask) * rest >> 8 & mask
	}
	binary.LittleEndian.PutUint32(out, rb|ga<<8|0xff000000)
}

// lit is over with the colour's code values multiplied by light.
func lit(out []byte, rb, ga uint32, light [3]float32) {
	alpha := ga >> 16
	times := func(v uint32, k int) uint32 { return min(uint32(float32(v)*light[k]+0.5), alpha) }
	over(out, times(rb&0xff, 0)|times(rb>>16, 2)<<16, times(ga&0xff, 1)|alpha<<16)
}

// ceil is the smallest integer not below x, for |x| < 2^30.
func ceil(x float32) int {
	x = max(-1<<29, min(1<<29, x))
	i := int(x)
	if float32(i) < x {
		i++
	}
	return i
}

// halve returns t at half its size.
//
//go:norace
func (t *texture) halve() texture {
	s := texture{w: t.w / 2, h: t.h / 2}
	s.pix = make([]uint32, s.w*s.h)
	for y := range s.h {
		for x := range s.w {
			at := 2*y*t.w + 2*x
			var out uint32
			for shift := 0; shift < 32; shift += 8 {
				sum := t.pix[at]>>shift&0xff + t.pix[at+1]>>shift&0xff + t.pix[at+t.w]>>shift&0xff + t.pix[at+t.w+1]>>shift&0xff
				out |= (sum + 2) >> 2 << shift
			}
			s.pix[y*s.w+x] = out
		}
	}
	return s
}

// texel packs a colour with straight alpha, all 0..255, into a texture's word.
func texel(r, g, b, a float64) uint32 {
	word := func(c float64) uint32 { return uint32(max(0, min(255, c))*a/255 + 0.5) }
	return word(r) | word(g)<<8 | word(b)<<16 | uint32(a+0.5)<<24
}
