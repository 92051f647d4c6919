package screens

import (
	"image"
	"time"

	"gioui.org/font"
	"gioui.org/gesture"
	"gioui.org/io/semantic"
	"gioui.org/layout"
	"gioui.org/op"
	"gioui.org/op/clip"
	giotext "gioui.org/text"

	"livekiosk/kiosk"
)

// finger is the least side of anything that is to be touched, in millimetres.
const finger = 15

// reach returns a height of d design pixels, or more where a finger needs it.
// A display so narrow that four targets do not fit beside each other gets what
// does.
func (f *frame) reach(d float32) int { return max(f.px(d), min(f.fingers(), f.px(146))) }

// fingers is how wide a finger is, in pixels; 0 where that is not known.
func (f *frame) fingers() int {
	if f.millis == 0 {
		return 0
	}
	return (finger*f.size.X + f.millis - 1) / f.millis
}

// bar draws, along the lower edge of r, how a visitor can wish to be served,
// and returns what is left of r above it. Whatever is on is told by a mark,
// too, and not by its colour alone. Where colours may flash, there is one wish more;
// a display too narrow for five fingers beside each other has it above the others.
func (f *frame) bar(r image.Rectangle) image.Rectangle {
	row := image.Rect(r.Min.X, r.Max.Y-f.reach(104), r.Max.X, r.Max.Y)
	w, n := f.v.Wishes, 4
	top := row.Min.Y
	if f.v.Flashes && f.v.Screen != kiosk.WarningScreen { // where it is one of the answers
		if n = 5; (row.Dx()-4*f.px(20))/5 < f.fingers() {
			n, top = 4, row.Min.Y-f.px(20)-row.Dy()
			f.toggle(image.Rect(row.Min.X, top, row.Max.X, top+row.Dy()), kiosk.NoFlash, iconNoBolt, w.NoFlash)
		}
	}
	boxes := f.row(row, n)
	f.toggle(boxes[0], kiosk.Switch, iconGlobe, false)
	f.toggle(boxes[1], kiosk.Large, iconLarge, w.Large)
	f.toggle(boxes[2], kiosk.Contrast, iconContrast, w.Contrast)
	f.toggle(boxes[3], kiosk.NoLimit, iconNoClock, w.NoLimit)
	if n == 5 {
		f.toggle(boxes[4], kiosk.NoFlash, iconNoBolt, w.NoFlash)
	}
	r.Max.Y = top - f.px(20)
	return r
}

func (f *frame) toggle(r image.Rectangle, c kiosk.Control, ic icon, on bool) {
	b := f.control(r, c)
	f.scan.add(b)
	defer op.Offset(r.Min).Push(f.Ops).Pop()
	gtx := f.Context
	gtx.Constraints = layout.Exact(r.Size())
	box := image.Rectangle{Max: r.Size()}
	b.Layout(gtx, func(gtx layout.Context) layout.Dimensions {
		label := f.label(c)
		semantic.Switch.Add(gtx.Ops)
		semantic.LabelOp(label).Add(gtx.Ops)
		semantic.SelectedOp(on).Add(gtx.Ops)
		back, ink, edge := f.p.Card, f.p.Ink, f.px(2)
		switch {
		case b.Pressed():
			back = f.p.Tint
		case on:
			back, ink = f.p.Brand, f.p.OnBrand
		}
		if gtx.Focused(b) {
			edge = f.px(8)
		}
		f.sheet(box, f.px(16), edge, f.p.Line, back)
		art := f.px(32)
		x := (box.Dx() - art) / 2
		f.icon(image.Rect(x, f.px(10), x+art, f.px(10)+art), ic, ink)
		if on {
			f.icon(image.Rect(box.Max.X-f.px(36), f.px(10), box.Max.X-f.px(10), f.px(36)), iconCheck, ink)
		}
		f.column(image.Rect(f.px(8), f.px(43), box.Max.X-f.px(8), box.Max.Y-f.px(5)), giotext.Middle, 0.5,
			item{text: label, size: 21, weight: font.Medium, color: ink, even: true})
		return layout.Dimensions{Size: r.Size()}
	})
}

// A door is the wordmark, which asks for the PIN of staff when it is touched
// five times in a row. It looks like nothing, and no keyboard stops at it.
type door struct {
	click gesture.Click
	since time.Time
	n     int
}

// knocks in a time open the door.
const (
	knocks    = 5
	knockTime = 4 * time.Second
)

// wayIn makes r the door.
func (f *frame) wayIn(r image.Rectangle) {
	d := &f.door
	for {
		e, ok := d.click.Update(f.Source)
		if !ok {
			break
		}
		if e.Kind != gesture.KindClick {
			continue
		}
		if d.n == 0 || f.Now.Sub(d.since) > knockTime {
			d.n, d.since = 0, f.Now
		}
		if d.n++; d.n == knocks {
			d.n = 0
			f.tell(kiosk.Door)
		}
	}
	f.bounds[slot(kiosk.Door)] = r
	defer clip.Rect(r).Push(f.Ops).Pop()
	d.click.Add(f.Ops)
}
