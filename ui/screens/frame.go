package screens

import (
	"image"
	"image/color"
	"time"

	"gioui.org/font"
	"gioui.org/io/semantic"
	"gioui.org/layout"
	"gioui.org/op"
	"gioui.org/op/clip"
	"gioui.org/op/paint"
	giotext "gioui.org/text"
	"gioui.org/widget"
	"golang.org/x/image/math/fixed"

	"livekiosk/kiosk"
	"livekiosk/ui/text"
	"livekiosk/ui/theme"
)

// A frame is one drawing of one view.
type frame struct {
	*Screens
	layout.Context

	v       kiosk.View
	say     *text.Language // of v's locale
	look    theme.Look
	p       theme.Palette // of look
	upright bool
	size    image.Point
	scale   float32
	zoom    float32 // of words, as far as there is room
}

// larger is how much larger large text is.
const larger = 1.35

// px converts design pixels to pixels of the display.
func (f *frame) px(d float32) int { return int(d*f.scale + 0.5) }

// em converts a size of type to pixels of the display.
func (f *frame) em(size, shrink float32) int { return f.px(size * shrink * f.look.Text) }

// dialog returns a frame that draws as the theme wants it on a dialog.
func (f *frame) dialog(c theme.Card) *frame {
	d := *f
	d.look = f.theme.Look(f.v.Theme, f.v.Screen, c)
	d.p = d.look.Palette
	return &d
}

// fill paints r.
func (f *frame) fill(r image.Rectangle, c color.NRGBA) {
	paint.FillShape(f.Ops, c, clip.Rect(r).Op())
}

// round paints r with rounded corners.
func (f *frame) round(r image.Rectangle, radius int, c color.NRGBA) { f.sheet(r, radius, 0, c, c) }

// disc paints a circle about centre.
func (f *frame) disc(centre image.Point, radius int, c color.NRGBA) {
	f.round(image.Rectangle{Min: centre, Max: centre}.Inset(-radius), radius, c)
}

// leading is the distance of lines as a multiple of the type size.
const leading = 1.25

// An item is one thing in a column: words, or a picture of its own height.
type item struct {
	gap    float32 // above, design pixels; none above the first
	text   string
	size   float32 // of the type, design pixels
	weight font.Weight
	color  color.NRGBA
	even   bool // break into lines of about one length, rather than fill them

	height float32 // of a picture, design pixels
	draw   func(r image.Rectangle)
}

// least is how far words shrink at most.
const least = 0.55

// fits reports whether items fit into r at that size.
func (f *frame) fits(r image.Rectangle, shrink float32, items ...item) bool {
	_, fits := f.measure(r, shrink, items)
	return fits
}

// column draws items beneath each other in r, placed in it by at: 0 at the
// top, 0.5 in the middle, 1 at the bottom. If they are too tall or a word is
// too wide, all of them shrink together; text is never clipped.
func (f *frame) column(r image.Rectangle, align giotext.Alignment, at float32, items ...item) {
	shrink := f.zoom
	var height int
	for {
		var fits bool
		height, fits = f.measure(r, shrink, items)
		if fits {
			break
		}
		if shrink <= least {
			for _, it := range items {
				f.clipped = append(f.clipped, it.text)
			}
			break
		}
		shrink -= 0.05
	}
	y := r.Min.Y + int(float32(r.Dy()-height)*at)
	for i, it := range items {
		if i > 0 {
			y += f.px(it.gap * shrink)
		}
		if it.draw != nil {
			h := f.px(it.height * shrink)
			it.draw(image.Rect(r.Min.X, y, r.Max.X, y+h))
			y += h
			continue
		}
		_, h := f.extent(it, r.Dx(), shrink)
		x0, x1 := r.Min.X, r.Max.X
		if it.even {
			spare := r.Dx() - f.evenly(it, r.Dx(), h, shrink)
			if align == giotext.Middle {
				x0 += spare / 2
				spare -= spare / 2
			}
			x1 -= spare
		}
		f.words(image.Rect(x0, y, x1, y+h), align, it, shrink)
		y += h
	}
}

// measure returns the height of items in r and whether they fit into it.
func (f *frame) measure(r image.Rectangle, shrink float32, items []item) (height int, fits bool) {
	fits = true
	for i, it := range items {
		if i > 0 {
			height += f.px(it.gap * shrink)
		}
		if it.draw != nil {
			height += f.px(it.height * shrink)
			continue
		}
		w, h := f.extent(it, r.Dx(), shrink)
		height += h
		fits = fits && w <= r.Dx()
	}
	return height, fits && height <= r.Dy()
}

// extent returns the size of it's text when set to the given width; wider than
// that if one of its words is.
func (f *frame) extent(it item, width int, shrink float32) (w, h int) {
	f.shaper.LayoutString(giotext.Parameters{
		Font: font.Font{Weight: it.weight}, PxPerEm: fixed.I(f.em(it.size, shrink)), MaxWidth: width,
		WrapPolicy: giotext.WrapWords, LineHeightScale: leading,
	}, it.text)
	top, first := 0, true
	for g, ok := f.shaper.NextGlyph(); ok; g, ok = f.shaper.NextGlyph() {
		if first {
			top, first = int(g.Y)-g.Ascent.Ceil(), false
		}
		w = max(w, (g.X + g.Advance).Ceil())
		h = max(h, int(g.Y)+g.Descent.Ceil()-top)
	}
	return w, h
}

// evenly returns the least width at which it's text is no taller than at the
// given one: its lines are then of about one length, and none is a lone word.
func (f *frame) evenly(it item, width, height int, shrink float32) int {
	lo, hi := width/3, width
	for hi-lo > 4 {
		mid := (lo + hi) / 2
		if w, h := f.extent(it, mid, shrink); w <= mid && h <= height {
			hi = mid
		} else {
			lo = mid
		}
	}
	return hi
}

// A rank is how much a button asks to be tapped.
type rank int

const (
	quiet rank = iota // outlined
	main              // filled
	digit             // outlined, with one large character
)

// button draws the control in r and tells its taps.
func (f *frame) button(r image.Rectangle, c kiosk.Control, k rank) {
	f.pad(r, f.control(r, c), f.label(c), k)
}

// control places c at r and tells its taps. Whoever calls it draws it.
func (f *frame) control(r image.Rectangle, c kiosk.Control) *widget.Clickable {
	b := &f.buttons[slot(c)]
	switch {
	case !f.clicked(b):
	case c == kiosk.Switch && f.several():
		f.ask()
	default:
		f.tell(c)
	}
	f.bounds[slot(c)] = r
	return b
}

// clicked reports whether b was tapped, and not by a finger that was on its
// way before the screen came up.
func (f *frame) clicked(b *widget.Clickable) bool {
	clicked := false
	for b.Clicked(f.Context) {
		clicked = clicked || f.Now.Sub(f.since) >= Settle
	}
	return clicked
}

// tell tells a tap, with what was typed where that is sent.
func (f *frame) tell(c kiosk.Control) {
	t := kiosk.Tap{Session: f.v.Session, Control: c}
	if c == kiosk.Enter {
		if !f.typedEnough() {
			return
		}
		t.Text = string(f.typed)
		f.erase()
	}
	f.tap(t)
}

// label returns what stands on the button of c.
func (f *frame) label(c kiosk.Control) string {
	switch {
	case c == kiosk.Switch:
		return f.switchTo()
	case c == kiosk.Resume && !f.v.Ask:
		return f.say.Phrase(text.TryNow)
	case c == kiosk.NoFlash && f.v.Screen == kiosk.WarningScreen:
		return f.say.Phrase(text.WithoutColours)
	case c == kiosk.NoFlash && f.v.Screen == kiosk.ColoursScreen:
		return f.say.Phrase(text.StopColours)
	case c == kiosk.Drain && f.v.Draining:
		return f.say.Phrase(text.Undrain)
	case c == kiosk.Listing && f.v.Listing:
		return f.say.Phrase(text.ShowState)
	}
	return f.say.Control(c)
}

// pad draws a button with a label in r.
func (f *frame) pad(r image.Rectangle, b *widget.Clickable, label string, k rank) {
	f.scan.add(b)
	defer op.Offset(r.Min).Push(f.Ops).Pop()
	gtx := f.Context
	gtx.Constraints = layout.Exact(r.Size())
	box := image.Rectangle{Max: r.Size()}
	b.Layout(gtx, func(gtx layout.Context) layout.Dimensions {
		semantic.Button.Add(gtx.Ops)
		semantic.LabelOp(label).Add(gtx.Ops)
		radius := f.px(f.look.Button.Radius)
		back, ink := f.p.Card, f.p.Brand
		switch {
		case k == main && b.Pressed():
			back, ink = f.p.BrandDown, f.p.OnBrand
		case k == main:
			back, ink = f.p.Brand, f.p.OnBrand
		case b.Pressed():
			back = f.p.Tint
		}
		if k != main {
			f.sheet(box, radius, f.px(f.look.Button.Border), f.p.Line, back)
		} else {
			f.round(box, radius, back)
		}
		if gtx.Focused(b) { // by keyboard: a second line, of the other colour
			f.sheet(box.Inset(f.px(6)), max(radius-f.px(6), 0), f.px(4), ink, back)
		}
		size := f.look.Button.Quiet
		switch k {
		case main:
			size = f.look.Button.Main
		case digit:
			size = 48
		case quiet:
		}
		f.column(box.Inset(f.px(14)), giotext.Middle, 0.5, item{text: label, size: size, weight: font.Bold, color: ink})
		return layout.Dimensions{Size: r.Size()}
	})
}

// row splits r into n boxes of one width beside each other.
func (f *frame) row(r image.Rectangle, n int) []image.Rectangle {
	gap := f.px(20)
	w := (r.Dx() - gap*(n-1)) / n
	start := len(f.boxes)
	f.boxes = append(f.boxes, make([]image.Rectangle, n)...)
	boxes := f.boxes[start:]
	for i := range boxes {
		x := r.Min.X + i*(w+gap)
		boxes[i] = image.Rect(x, r.Min.Y, x+w, r.Max.Y)
	}
	boxes[n-1].Max.X = r.Max.X
	return boxes
}

// badge draws a disc with an icon in it, as high as r and in the middle of it.
func (f *frame) badge(r image.Rectangle, ic icon, back, ink color.NRGBA) {
	centre := r.Min.Add(r.Size().Div(2))
	f.disc(centre, r.Dy()/2, back)
	d := int(float32(r.Dy())*0.6 + 0.5)
	f.icon(image.Rectangle{Min: centre, Max: centre}.Inset(-d/2), ic, ink)
}

// mark draws the emblem: an oval with a ring about it that is not quite
// closed, and a point that closes it.
func (f *frame) mark(r image.Rectangle, ink color.NRGBA) {
	f.icon(r, iconMark, ink)
}

// wordmark draws emblem and name with the left upper corner at pt, or the
// house's logo.
func (f *frame) wordmark(pt image.Point) {
	h := f.px(52)
	if f.house(image.Rect(pt.X, pt.Y, pt.X+f.px(320), pt.Y+h), 0) {
		return
	}
	f.mark(image.Rectangle{Min: pt, Max: pt.Add(image.Pt(h, h))}, f.p.Brand)
	r := image.Rect(pt.X+h+f.px(12), pt.Y, pt.X+h+f.px(320), pt.Y+h)
	f.column(r, giotext.Start, 0.5, item{text: "livekiosk", size: 34, weight: font.Bold, color: f.p.Ink})
}

// dots draws three points of which one is larger, moving on every half second:
// a sign of life that nobody needs to watch.
func (f *frame) dots(r image.Rectangle, align giotext.Alignment) {
	const step = 600 * time.Millisecond
	on := f.Now.Sub(f.since).Truncate(step)
	lit := int(on/step) % 3
	f.Execute(op.InvalidateCmd{At: f.since.Add(on + step)})
	pitch := f.px(44)
	x := r.Min.X + f.px(12)
	if align == giotext.Middle {
		x = (r.Min.X+r.Max.X)/2 - pitch
	}
	for i := range 3 {
		c, radius := f.p.Line, f.px(7)
		if i == lit {
			c, radius = f.p.Brand, f.px(12)
		}
		f.disc(image.Pt(x+i*pitch, (r.Min.Y+r.Max.Y)/2), radius, c)
	}
}
