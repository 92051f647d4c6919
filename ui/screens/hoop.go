package screens

import (
	"image"
	"image/color"
	"math"

	"gioui.org/op"
	"gioui.org/op/clip"
	"gioui.org/op/paint"
)

// A hoop is the edge of the oval with the ring of progress on it, as a picture
// with nothing inside and outside. It is made on the processor, like the
// mirror beneath it: two paths of that size cost a software renderer as much
// as all the words of the screen, a picture next to nothing.
type hoop struct {
	key   hoopKey
	edge  []dot
	caps  float64 // half the ring's width
	out   [2]*image.RGBA
	cur   int
	drawn paint.ImageOp
	look  hoopLook
}

// A hoopKey is all that the table of dots depends on.
type hoopKey struct {
	size      image.Point // of the oval
	rim, ring int         // pixels
}

// A hoopLook is all that the picture depends on beside it.
type hoopLook struct {
	turn     int // of turns
	rim, ink color.NRGBA
}

// A dot is a pixel on or about the edge.
type dot struct {
	x, y      int16
	rim, ring uint8  // how much of it they cover, of 255
	at        uint16 // how far round, clockwise from the top, of 65535
}

// turns is how many steps the ring has.
const turns = 100

// edge draws that of oval, and on it the ring as far as the view says.
func (f *frame) edge(oval image.Rectangle, done bool) {
	h := &f.hoop
	key := hoopKey{oval.Size(), f.px(f.look.Oval.Rim), f.px(f.look.Oval.Ring)}
	look := hoopLook{rim: f.p.Line, ink: f.p.Brand}
	if f.v.Ring > 0 {
		look.turn = int(min(f.v.Ring, 1)*turns + 0.5)
	}
	if done || look.turn == turns {
		look.ink = f.p.Good
	}
	pad := max(key.rim, key.ring)/2 + 2
	if h.key != key {
		h.prepare(key, pad)
	}
	if h.look != look || h.drawn.Size() == (image.Point{}) {
		h.look = look
		h.draw()
	}
	at := oval.Min.Sub(image.Pt(pad, pad))
	defer op.Offset(at).Push(f.Ops).Pop()
	defer clip.Rect(image.Rectangle{Max: h.drawn.Size()}).Push(f.Ops).Pop()
	h.drawn.Add(f.Ops)
	paint.PaintOp{}.Add(f.Ops)
}

// prepare finds the pixels about the edge of an oval of the key's size.
func (h *hoop) prepare(key hoopKey, pad int) {
	*h = hoop{key: key, caps: float64(key.ring) / 2}
	size := key.size.Add(image.Pt(2*pad, 2*pad))
	for i := range h.out {
		h.out[i] = image.NewRGBA(image.Rectangle{Max: size})
	}
	rx, ry := float64(key.size.X)/2, float64(key.size.Y)/2
	for py := range size.Y {
		for px := range size.X {
			x, y := float64(px)+0.5-float64(size.X)/2, float64(py)+0.5-float64(size.Y)/2
			u, v := x/rx, y/ry
			// The distance from an ellipse, to the first order: near enough
			// for what is within a few pixels of it.
			off := math.Abs(u*u+v*v-1) / (2 * math.Hypot(u/rx, v/ry))
			cover := func(width int) uint8 {
				return uint8(255 * min(max(float64(width)/2+0.5-off, 0), 1))
			}
			d := dot{x: int16(px), y: int16(py), rim: cover(key.rim), ring: cover(key.ring)}
			if d.rim == 0 && d.ring == 0 {
				continue
			}
			angle := math.Atan2(u, -v) / (2 * math.Pi)
			d.at = uint16(65535 * (angle - math.Floor(angle)))
			h.edge = append(h.edge, d)
		}
	}
}

// draw makes the picture anew.
func (h *hoop) draw() {
	h.cur = 1 - h.cur
	img := h.out[h.cur]
	clear(img.Pix)
	sweep := 65536 * h.look.turn / turns
	start, end := h.on(0), h.on(float64(h.look.turn)/turns)
	for _, d := range h.edge {
		px := img.Pix[img.PixOffset(int(d.x), int(d.y)):]
		px = px[:4:4]
		over(px, h.look.rim, d.rim)
		switch {
		case h.look.turn == 0:
		case int(d.at) < sweep:
			over(px, h.look.ink, d.ring)
		default: // round ends
			x, y := float64(d.x)+0.5, float64(d.y)+0.5
			off := min(math.Hypot(x-start[0], y-start[1]), math.Hypot(x-end[0], y-end[1]))
			over(px, h.look.ink, uint8(255*min(max(h.caps+0.5-off, 0), 1)))
		}
	}
	h.drawn = paint.NewImageOp(img)
	h.drawn.Filter = paint.FilterNearest
}

// on returns the point of the edge that is so far round.
func (h *hoop) on(part float64) [2]float64 {
	sin, cos := math.Sincos(2 * math.Pi * part)
	size := h.out[0].Rect.Size()
	return [2]float64{float64(size.X)/2 + float64(h.key.size.X)/2*sin, float64(size.Y)/2 - float64(h.key.size.Y)/2*cos}
}
