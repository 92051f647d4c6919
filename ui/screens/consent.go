package screens

import (
	"image"
	"image/color"

	"gioui.org/f32"
	"gioui.org/font"
	"gioui.org/layout"
	"gioui.org/op"
	"gioui.org/op/clip"
	"gioui.org/op/paint"
	giotext "gioui.org/text"

	"livekiosk/kiosk"
	"livekiosk/ui/text"
	"livekiosk/ui/theme"
)

// consent draws the text the visitor is asked to agree to, and the choice.
// Agreeing, declining, help and the language are all in the lower half, where
// a seated person reaches them.
func (f *frame) consent() {
	margin := f.px(40)
	title := item{text: f.say.Title(kiosk.ConsentScreen), size: 52, weight: font.Bold, color: f.p.Ink}
	intro := item{gap: 10, text: f.say.Body(kiosk.ConsentScreen), size: 28, color: f.p.Soft}
	if f.upright {
		f.wordmark(image.Pt(margin, margin))
		head := image.Rect(margin, margin+f.px(84), f.size.X-margin, margin+f.px(216))
		f.column(head, giotext.Start, 0, title, intro)
		rest := f.bar(image.Rect(margin, margin, f.size.X-margin, f.size.Y-f.px(24)))
		row := image.Rect(margin, rest.Max.Y-f.reach(104), f.size.X-margin, rest.Max.Y)
		two := f.row(row, 2)
		f.button(two[0], kiosk.Decline, quiet)
		f.button(two[1], kiosk.Help, quiet)
		foot := image.Rect(margin, row.Min.Y-f.px(20)-f.reach(116), f.size.X-margin, row.Min.Y-f.px(20))
		f.button(foot, kiosk.Agree, main)
		f.terms(image.Rect(margin, head.Max.Y+f.px(12), f.size.X-margin, foot.Min.Y-f.px(24)))
		return
	}
	panel := image.Rect(0, 0, f.size.X*9/25, f.size.Y)
	f.fill(panel, f.p.Tint)
	in := image.Rect(margin, margin, panel.Max.X-margin, f.size.Y-f.px(24))
	f.wordmark(in.Min)
	h := f.reach(104)
	below := func(n int) image.Rectangle { // counted from below
		y := in.Max.Y - n*(h+f.px(18))
		return image.Rect(in.Min.X, y-h, in.Max.X, y)
	}
	f.column(image.Rect(in.Min.X, in.Min.Y+f.px(92), in.Max.X, below(2).Min.Y-f.px(24)), giotext.Start, 0.4, title, intro)
	f.button(below(2), kiosk.Agree, main)
	f.button(below(1), kiosk.Decline, quiet)
	f.button(below(0), kiosk.Help, quiet)
	f.terms(f.bar(image.Rect(panel.Max.X+margin, margin, f.size.X-margin, f.size.Y-f.px(24))))
}

// terms draws the sections of the consent on a card that scrolls by finger,
// wheel or drag, and says so while there is more below.
func (f *frame) terms(r image.Rectangle) {
	f = f.dialog(theme.Terms)
	radius := f.px(f.look.Dialog.Radius)
	f.sheet(r, radius, f.px(f.look.Dialog.Border), f.p.Faint, f.p.Card)
	pad := f.px(28)
	view := image.Rect(r.Min.X+pad, r.Min.Y+f.px(4), r.Max.X-pad, r.Max.Y-f.px(4))
	width := view.Dx() - f.px(16)

	var items []item
	for i, sec := range f.say.Consent() {
		gap := float32(26)
		if i == 0 {
			gap = 0
		}
		items = append(items,
			item{gap: gap, text: sec.Heading, size: 30, weight: font.Bold, color: f.p.Ink},
			item{gap: 6, text: sec.Body, size: 27, color: f.p.Soft})
	}
	height, _ := f.measure(image.Rect(0, 0, width, 1<<20), f.zoom, items) // column tells what does not fit
	edge := f.px(24)

	func() {
		defer op.Offset(view.Min).Push(f.Ops).Pop()
		defer clip.Rect(image.Rectangle{Max: view.Size()}).Push(f.Ops).Pop()
		gtx := f.Context
		gtx.Constraints = layout.Exact(view.Size())
		f.scroll.Layout(gtx, 1, func(layout.Context, int) layout.Dimensions {
			f.column(image.Rect(0, edge, width, edge+height), giotext.Start, 0, items...)
			return layout.Dimensions{Size: image.Pt(width, height+2*edge)}
		})
	}()

	total := height + 2*edge
	over := total - view.Dy()
	at := f.scroll.Position.Offset
	if over > 0 {
		// Where one is in the text; a picture, not a control.
		track := image.Rect(r.Max.X-f.px(18), r.Min.Y+f.px(20), r.Max.X-f.px(10), r.Max.Y-f.px(20))
		f.round(track, track.Dx()/2, f.p.Faint)
		long := track.Dy() * view.Dy() / total
		y := track.Min.Y + (track.Dy()-long)*min(at, over)/over
		f.round(image.Rect(track.Min.X, y, track.Max.X, y+long), track.Dx()/2, f.p.Line)
	}
	if at < over-f.px(8) {
		// The next line looks out from beneath the cue: there is more.
		cue := image.Rect(r.Min.X+f.px(2), r.Max.Y-f.px(112), r.Max.X-f.px(20), r.Max.Y-f.px(2))
		f.fade(image.Rect(cue.Min.X, cue.Min.Y, cue.Max.X, cue.Max.Y-f.px(56)))
		f.round(image.Rect(cue.Min.X, cue.Max.Y-f.px(56), cue.Max.X, cue.Max.Y), radius, f.p.Card)
		row := image.Rect(view.Min.X, cue.Max.Y-f.px(56), cue.Max.X, cue.Max.Y-f.px(8))
		f.icon(image.Rect(row.Min.X, row.Min.Y+f.px(10), row.Min.X+f.px(28), row.Min.Y+f.px(38)), iconDown, f.p.Brand)
		row.Min.X += f.px(44)
		f.column(row, giotext.Start, 0.5, item{
			text: f.say.Phrase(text.ScrollOn), size: 27, weight: font.Medium, color: f.p.Brand,
		})
	}
}

// fade paints r from clear at the top to the card's colour at the bottom.
func (f *frame) fade(r image.Rectangle) {
	defer clip.Rect(r).Push(f.Ops).Pop()
	c := f.p.Card
	paint.LinearGradientOp{
		Stop1: f32.Pt(0, float32(r.Min.Y)), Color1: color.NRGBA{c.R, c.G, c.B, 0},
		Stop2: f32.Pt(0, float32(r.Max.Y)), Color2: c,
	}.Add(f.Ops)
	paint.PaintOp{}.Add(f.Ops)
}
