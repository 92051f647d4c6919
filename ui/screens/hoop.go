package screens

import (
	"encoding/binary"
	"image"
	"image/color"
	"math"

	"gioui.org/op"
	"gioui.org/op/clip"
	"gioui.org/op/paint"
)

// A hoop is the edge of the oval with the ring of progress on it. It is made on
// the processor, like the mirror beneath it, and becomes part of the mirror's
// picture: two paths of that size cost a software renderer as much as all the
// words of the screen, and a picture of its own as much as a sixth of the
// mirror. Without a mirror it is a picture with nothing inside and outside.
type hoop struct {
	key   hoopKey
	look  hoopLook
	pad   int // how far it reaches beyond the oval
	edge  []dot
	caps  float64 // half the ring's width
	out   *image.RGBA
	drawn paint.ImageOp
	alone hoopLook // what drawn shows
	under []uint32 // what it covers in the mirror, dot for dot
}

// A hoopKey is all that the table of dots depends on.
type hoopKey struct {
	size      image.Point // of the oval
	rim, ring int         // pixels
}

// A hoopLook is all that its pixels depend on beside it.
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

// ring makes the hoop that of oval, with the ring as far as the view says.
func (f *frame) ring(oval image.Rectangle, done bool) *hoop {
	h := &f.hoop
	if key := (hoopKey{oval.Size(), f.px(f.look.Oval.Rim), f.px(f.look.Oval.Ring)}); h.key != key {
		h.prepare(key)
	}
	h.look = hoopLook{rim: f.p.Line, ink: f.p.Brand}
	if f.v.Ring > 0 {
		h.look.turn = int(min(f.v.Ring, 1)*turns + 0.5)
	}
	if done || h.look.turn == turns {
		h.look.ink = f.p.Good
	}
	return h
}

// edge draws the hoop by itself about oval.
func (f *frame) edge(h *hoop, oval image.Rectangle) {
	if h.look != h.alone || h.drawn.Size() == (image.Point{}) {
		h.alone = h.look
		h.out = image.NewRGBA(image.Rectangle{Max: oval.Size().Add(image.Pt(2*h.pad, 2*h.pad))}) // the last may still be on its way
		h.draw(h.out, image.Pt(h.pad, h.pad))
		h.drawn = paint.NewImageOp(h.out)
		h.drawn.Filter = paint.FilterNearest
	}
	defer op.Offset(oval.Min.Sub(image.Pt(h.pad, h.pad))).Push(f.Ops).Pop()
	defer clip.Rect(image.Rectangle{Max: h.drawn.Size()}).Push(f.Ops).Pop()
	h.drawn.Add(f.Ops)
	paint.PaintOp{}.Add(f.Ops)
}

// prepare finds the pixels about the edge of an oval of the key's size.
func (h *hoop) prepare(key hoopKey) {
	h.forget()
	*h = hoop{key: key, pad: max(key.rim, key.ring)/2 + 2, caps: float64(key.ring) / 2}
	size := key.size.Add(image.Pt(2*h.pad, 2*h.pad))
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
			d := dot{x: int16(px - h.pad), y: int16(py - h.pad), rim: cover(key.rim), ring: cover(key.ring)}
			if d.rim == 0 && d.ring == 0 {
				continue
			}
			angle := math.Atan2(u, -v) / (2 * math.Pi)
			d.at = uint16(65535 * (angle - math.Floor(angle)))
			h.edge = append(h.edge, d)
		}
	}
}

// draw lays the hoop on img, about an oval whose corner is at.
func (h *hoop) draw(img *image.RGBA, at image.Point) {
	sweep := 65536 * h.look.turn / turns
	start, end := h.on(0), h.on(float64(h.look.turn)/turns)
	for _, d := range h.edge {
		px := d.in(img, at)
		if px == nil {
			continue
		}
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
}

// cover draws the hoop on img so that it can be lifted again.
func (h *hoop) cover(img *image.RGBA, at image.Point) {
	if h.under == nil {
		h.under = make([]uint32, len(h.edge))
	}
	for i, d := range h.edge {
		if px := d.in(img, at); px != nil {
			h.under[i] = binary.LittleEndian.Uint32(px)
		}
	}
	h.draw(img, at)
}

// lift takes the hoop off the picture it covered last.
func (h *hoop) lift(img *image.RGBA, at image.Point) {
	for i, v := range h.under {
		if px := h.edge[i].in(img, at); px != nil {
			binary.LittleEndian.PutUint32(px, v)
		}
	}
	h.forget()
}

// forget erases what was under the hoop.
func (h *hoop) forget() {
	clear(h.under)
	h.under = nil
}

// in returns the pixel of img that d is on, or nil if there is none.
func (d dot) in(img *image.RGBA, at image.Point) []byte {
	p := at.Add(image.Pt(int(d.x), int(d.y)))
	if !p.In(img.Rect) {
		return nil
	}
	i := img.PixOffset(p.X, p.Y)
	return img.Pix[i : i+4 : i+4]
}

// on returns the point of the edge that is so far round, from the oval's
// corner.
func (h *hoop) on(part float64) [2]float64 {
	sin, cos := math.Sincos(2 * math.Pi * part)
	rx, ry := float64(h.key.size.X)/2, float64(h.key.size.Y)/2
	return [2]float64{rx + rx*sin, ry - ry*cos}
}
