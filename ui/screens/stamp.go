package screens

import (
	"image"
	"image/color"
	"math"

	"gioui.org/f32"
	"gioui.org/op"
	"gioui.org/op/clip"
	"gioui.org/op/paint"
)

// Stamps are small pictures that are made once on the processor and drawn
// unscaled again and again: round corners and icons. A renderer draws a path
// by way of a stencil, in every frame anew, which in software costs many times
// what a picture of the same size does; rectangles and pictures need none.
type stamps struct {
	corners map[cornerKey]paint.ImageOp
	icons   map[iconKey]paint.ImageOp
}

// mostStamps bounds what is kept: sizes change only with the display, colours
// with the theme.
const mostStamps = 512

// A cornerKey names a disc with a border inside it, of which the quarters are
// the corners of a sheet.
type cornerKey struct {
	radius, width int
	border, back  color.NRGBA
}

// An iconKey names an icon in one size and colour.
type iconKey struct {
	icon icon
	size int
	ink  color.NRGBA
}

func keep[K comparable](all *map[K]paint.ImageOp, key K, draw func() *image.RGBA) paint.ImageOp {
	img, kept := (*all)[key]
	if !kept {
		if *all == nil || len(*all) >= mostStamps {
			*all = map[K]paint.ImageOp{}
		}
		img = paint.NewImageOp(draw())
		img.Filter = paint.FilterNearest
		(*all)[key] = img
	}
	return img
}

// stamp draws the part of img that begins at from into r.
func (f *frame) stamp(r image.Rectangle, img paint.ImageOp, from image.Point) {
	defer clip.Rect(r).Push(f.Ops).Pop()
	defer op.Offset(r.Min.Sub(from)).Push(f.Ops).Pop()
	img.Add(f.Ops)
	paint.PaintOp{}.Add(f.Ops)
}

// sheet paints r with rounded corners and a border inside it.
func (f *frame) sheet(r image.Rectangle, radius, width int, border, back color.NRGBA) {
	if radius == 0 {
		f.fill(r, border)
		f.fill(r.Inset(width), back)
		return
	}
	radius = max(min(radius, r.Dx()/2, r.Dy()/2), width)
	y0, y1 := r.Min.Y+radius, r.Max.Y-radius
	x0, x1 := r.Min.X+radius, r.Max.X-radius
	for _, part := range []struct {
		r image.Rectangle
		c color.NRGBA
	}{
		{image.Rect(x0, r.Min.Y, x1, r.Min.Y+width), border},
		{image.Rect(x0, r.Max.Y-width, x1, r.Max.Y), border},
		{image.Rect(r.Min.X, y0, r.Min.X+width, y1), border},
		{image.Rect(r.Max.X-width, y0, r.Max.X, y1), border},
		{image.Rect(x0, r.Min.Y+width, x1, y0), back},
		{image.Rect(r.Min.X+width, y0, r.Max.X-width, y1), back},
		{image.Rect(x0, y1, x1, r.Max.Y-width), back},
	} {
		if !part.r.Empty() {
			f.fill(part.r, part.c)
		}
	}
	key := cornerKey{radius, width, border, back}
	img := keep(&f.stamps.corners, key, func() *image.RGBA { return disc(key) })
	for _, at := range []image.Point{{0, 0}, {1, 0}, {0, 1}, {1, 1}} {
		to := image.Pt(r.Min.X+at.X*(r.Dx()-radius), r.Min.Y+at.Y*(r.Dy()-radius))
		f.stamp(image.Rectangle{Min: to, Max: to.Add(image.Pt(radius, radius))}, img, at.Mul(radius))
	}
}

// disc draws a whole one.
func disc(k cornerKey) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, 2*k.radius, 2*k.radius))
	for y := range 2 * k.radius {
		for x := range 2 * k.radius {
			off := math.Hypot(float64(x-k.radius)+0.5, float64(y-k.radius)+0.5)
			px := img.Pix[img.PixOffset(x, y):][:4]
			over(px, k.border, share(float64(k.radius)-off))
			if inner := share(float64(k.radius-k.width) - off); inner > 0 { // the border is whole there
				over(px, k.back, inner)
			}
		}
	}
	return img
}

// over paints an opaque colour on a pixel, as much as share says, of 255. The
// renderer mixes light and not numbers, and takes pictures to be so mixed.
func over(px []byte, c color.NRGBA, share uint8) {
	switch share {
	case 0:
		return
	case 255:
		px[0], px[1], px[2], px[3] = c.R, c.G, c.B, 255
		return
	}
	a, rest := int(share), 255-int(share)
	for i, v := range [3]uint8{c.R, c.G, c.B} {
		px[i] = light.back[(light.of[v]*a+light.of[px[i]]*rest+127)/255]
	}
	px[3] = uint8(a + (int(px[3])*rest+127)/255)
}

// light converts between sRGB and steps of light (IEC 61966-2-1).
var light = func() (l struct { //nolint:gochecknoglobals // a constant
	of   [256]int
	back [4096]uint8
},
) {
	for i := range l.of {
		s := float64(i) / 255
		v := s / 12.92
		if s > 0.04045 {
			v = math.Pow((s+0.055)/1.055, 2.4)
		}
		l.of[i] = int(v*4095 + 0.5)
	}
	for i := range l.back {
		v := float64(i) / 4095
		s := v * 12.92
		if v > 0.0031308 {
			s = 1.055*math.Pow(v, 1/2.4) - 0.055
		}
		l.back[i] = uint8(s*255 + 0.5)
	}
	return l
}()

// share returns how much of a pixel is covered by what ends so far beyond its
// middle, of 255.
func share(by float64) uint8 { return uint8(255 * min(max(by+0.5, 0), 1)) }

// icon draws ic into the square r.
func (f *frame) icon(r image.Rectangle, ic icon, ink color.NRGBA) {
	key := iconKey{ic, r.Dx(), ink}
	img := keep(&f.stamps.icons, key, func() *image.RGBA { return strokes(key) })
	pad := (img.Size().X - r.Dx()) / 2
	f.stamp(r.Inset(-pad), img, image.Point{})
}

// strokes draws an icon with round pens: each pixel is as far covered as it is
// near to the nearest line.
func strokes(k iconKey) *image.RGBA {
	half := pen * float64(k.size) / 48 / 2
	pad := int(half) + 2 // strokes may reach over the edge
	side := k.size + 2*pad
	var l lines
	trace(&l, k.icon, float32(k.size)/48)
	near := make([]float64, side*side)
	for i := range near {
		near[i] = math.MaxFloat64
	}
	for _, s := range l.all {
		a, b := s[0].Add(f32.Pt(float32(pad), float32(pad))), s[1].Add(f32.Pt(float32(pad), float32(pad)))
		reach := float32(half + 1)
		x0, x1 := int(min(a.X, b.X)-reach), int(max(a.X, b.X)+reach)+1
		y0, y1 := int(min(a.Y, b.Y)-reach), int(max(a.Y, b.Y)+reach)+1
		for y := max(y0, 0); y < min(y1, side); y++ {
			for x := max(x0, 0); x < min(x1, side); x++ {
				i := y*side + x
				near[i] = min(near[i], distance(f32.Pt(float32(x)+0.5, float32(y)+0.5), a, b))
			}
		}
	}
	img := image.NewRGBA(image.Rect(0, 0, side, side))
	for i, off := range near {
		over(img.Pix[4*i:][:4], k.ink, share(half-off))
	}
	return img
}

// distance returns how far p is from the line between a and b.
func distance(p, a, b f32.Point) float64 {
	ab, ap := b.Sub(a), p.Sub(a)
	if long := ab.X*ab.X + ab.Y*ab.Y; long > 0 {
		along := min(max((ap.X*ab.X+ap.Y*ab.Y)/long, 0), 1)
		ap = ap.Sub(ab.Mul(along))
	}
	return math.Hypot(float64(ap.X), float64(ap.Y))
}

// Lines are a path as straight pieces.
type lines struct {
	all [][2]f32.Point
	at  f32.Point
}

// MoveTo begins another line.
func (l *lines) MoveTo(to f32.Point) { l.at = to }

// LineTo adds a straight piece.
func (l *lines) LineTo(to f32.Point) {
	l.all = append(l.all, [2]f32.Point{l.at, to})
	l.at = to
}

// CubeTo adds a cubic Bézier curve as eight pieces, which on an icon is less
// than a tenth of a pixel off.
func (l *lines) CubeTo(c0, c1, to f32.Point) {
	from := l.at
	for i := range 8 {
		t := float32(i+1) / 8
		s := 1 - t
		l.LineTo(from.Mul(s * s * s).Add(c0.Mul(3 * s * s * t)).Add(c1.Mul(3 * s * t * t)).Add(to.Mul(t * t * t)))
	}
}
