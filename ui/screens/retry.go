package screens

import (
	"image"

	"gioui.org/font"
	"gioui.org/op"
	"gioui.org/op/clip"
	"gioui.org/op/paint"
	giotext "gioui.org/text"
	"golang.org/x/image/draw"

	"livekiosk/kiosk"
	"livekiosk/ui/text"
)

// A still is the visitor's own image beside the ideal one, while they are told
// why another attempt follows. It is made of what they saw last in the mirror,
// and erased when the screen changes.
type still struct {
	img *image.RGBA // nil: there is none
	op  paint.ImageOp
}

func (s *still) clear() {
	if s.img != nil {
		clear(s.img.Pix)
	}
	*s = still{}
}

// make scales what the mirror shows within window to size.
func (s *still) make(mirror *image.RGBA, window image.Rectangle, size image.Point) {
	s.clear()
	s.img = image.NewRGBA(image.Rectangle{Max: size})
	draw.ApproxBiLinear.Scale(s.img, s.img.Bounds(), mirror, window, draw.Src, nil)
	s.op = paint.NewImageOp(s.img)
	s.op.Filter = paint.FilterNearest
}

// retry draws why another attempt follows: the one reason, and the visitor's
// own image beside how it should look. Where they may have left there is no
// image: the next one who comes must not see it.
func (f *frame) retry(p Preview) {
	margin := f.px(40)
	panel := image.Rect(0, 0, f.size.X, f.size.Y*2/5)
	words := image.Rect(f.px(56), 0, f.size.X-f.px(56), f.size.Y-f.px(24))
	align := giotext.Middle
	if !f.upright {
		panel = image.Rect(0, 0, f.size.X*9/25, f.size.Y)
		words = image.Rect(panel.Max.X+f.px(72), f.px(40), f.size.X-f.px(72), f.size.Y-f.px(24))
		align = giotext.Start
	}
	f.fill(panel, f.p.Tint)
	f.wordmark(panel.Min.Add(image.Pt(margin, margin)))
	pictures := panel
	pictures.Min.Y += f.px(112)
	pictures = pictures.Inset(f.px(24))
	if f.upright {
		pictures = image.Rect(f.px(100), f.px(108), f.size.X-f.px(100), panel.Max.Y-f.px(16))
	}
	if !f.compare(pictures, p) {
		centre := panel.Min.Add(panel.Size().Div(2))
		f.badge(image.Rectangle{Min: centre, Max: centre}.Inset(-f.px(100)), iconAgain, f.p.Brand, f.p.OnBrand)
	}

	foot := f.bar(words)
	two := f.row(image.Rect(foot.Min.X, foot.Max.Y-f.reach(104), foot.Max.X, foot.Max.Y), 2)
	f.button(two[0], kiosk.Cancel, quiet)
	f.button(two[1], kiosk.Help, quiet)
	resume := image.Rect(foot.Min.X, two[0].Min.Y-f.px(20)-f.reach(112), foot.Max.X, two[0].Min.Y-f.px(20))
	f.button(resume, kiosk.Resume, main)
	words.Max.Y = resume.Min.Y - f.px(20)
	if f.upright {
		words.Min.Y = panel.Max.Y + f.px(24)
	}

	title, reason, then := f.say.Title(kiosk.AgainScreen), f.say.Body(kiosk.AgainScreen), text.MoveOn
	if f.v.Why != kiosk.NoHint {
		reason = f.say.Hint(f.v.Why)
	}
	if f.v.Ask {
		title, reason, then = f.say.Phrase(text.StillThere), f.say.Body(kiosk.AgainScreen), text.ClosesSoon
	}
	items := []item{
		{text: title, size: 50, weight: font.Bold, color: f.p.Ink, even: true},
		{gap: 20, text: reason, size: 40, color: f.p.Ink, even: true},
		{gap: 24, text: f.say.Remaining(f.v.AttemptsLeft), size: 32, weight: font.Bold, color: f.p.Ink, even: true},
	}
	if f.v.Until != 0 {
		items = append(items, item{gap: 10, text: f.say.Phrase(then), size: 26, color: f.p.Soft, even: true})
	}
	f.column(words, align, 0.5, items...)
}

// compare draws the two pictures in r and reports whether there is an image of
// the visitor.
func (f *frame) compare(r image.Rectangle, p Preview) bool {
	if f.v.Ask {
		return false
	}
	const share = 1.25 // height of a picture / its width
	gap, label := f.px(24), f.px(52)
	own, ideal := r, r
	if f.upright {
		own.Max.X = (r.Min.X + r.Max.X - gap) / 2
		ideal.Min.X = own.Max.X + gap
	} else {
		own.Max.Y = (r.Min.Y + r.Max.Y - gap) / 2
		ideal.Min.Y = own.Max.Y + gap
	}
	fit := func(box image.Rectangle) image.Rectangle {
		size := image.Pt(box.Dx(), box.Dy()-label)
		size.X = min(size.X, int(float32(size.Y)/share))
		size.Y = int(float32(size.X) * share)
		x := (box.Min.X + box.Max.X - size.X) / 2
		return image.Rect(x, box.Min.Y, x+size.X, box.Min.Y+size.Y)
	}
	at := fit(own)
	if f.still.img == nil || f.still.img.Bounds().Size() != at.Size() {
		if !f.take(p, at.Size()) {
			return false
		}
	}
	frame := func(box, at image.Rectangle, name text.Key, inside func()) {
		f.round(at.Inset(-f.px(4)), f.px(f.look.Dialog.Radius), f.p.Line)
		corner := clip.UniformRRect(at, f.px(16)).Push(f.Ops)
		inside()
		corner.Pop()
		f.column(image.Rect(box.Min.X, at.Max.Y+f.px(8), box.Max.X, at.Max.Y+label), giotext.Middle, 0.5,
			item{text: f.say.Phrase(name), size: 27, weight: font.Medium, color: f.p.Ink})
	}
	frame(own, at, text.YourPhoto, func() {
		defer op.Offset(at.Min).Push(f.Ops).Pop()
		f.still.op.Add(f.Ops)
		paint.PaintOp{}.Add(f.Ops)
	})
	at = fit(ideal)
	frame(ideal, at, text.GoodPhoto, func() { f.ideal(at) })
	return true
}

// take makes the still of what the mirror showed last, or of p if that is all
// there is.
func (f *frame) take(p Preview, size image.Point) bool {
	if f.video.Size() == (image.Point{}) && p.Image != nil && !p.Image.Bounds().Empty() {
		area := image.Pt(f.size.X, f.size.X*11/10)
		f.video = paint.NewImageOp(f.glass.draw(p.Image, area, image.Rectangle{Max: area}, f.p.Scrim))
	}
	if f.video.Size() == (image.Point{}) || size.X <= 0 || size.Y <= 0 {
		return false
	}
	whole := f.glass.out[f.glass.cur]
	f.hoop.lift(whole, f.videoKey.shape.oval.Min) // it is no part of the visitor's photo
	// Of the middle as much as there is, in the proportions of the card.
	window := whole.Bounds()
	h := window.Dy()
	w := h * size.X / size.Y
	if w > window.Dx() {
		w = window.Dx()
		h = w * size.Y / size.X
	}
	mid := window.Min.Add(window.Size().Div(2))
	f.still.make(whole, image.Rect(mid.X-w/2, mid.Y-h/2, mid.X+w/2, mid.Y+h/2), size)
	return true
}

// ideal draws somebody well placed: the face fills the oval, and the ring is
// closed.
func (f *frame) ideal(r image.Rectangle) {
	f.fill(r, f.p.Card)
	art := image.Rectangle{Max: image.Pt(r.Dx(), r.Dx())}.Add(image.Pt(r.Min.X, r.Max.Y-r.Dx()*17/16))
	u := float32(art.Dx()) / 48
	person := record(func(p *clip.Path) { trace(p, iconIdeal, u) })
	place := op.Offset(art.Min).Push(f.Ops)
	paint.FillShape(f.Ops, f.p.Ink, clip.Stroke{Path: person.spec, Width: 1.5 * u}.Op())
	place.Pop()
	at := func(x, y float32) image.Point { return art.Min.Add(image.Pt(int(x*u), int(y*u))) }
	ring := record(func(p *clip.Path) { band(p, image.Rectangle{Min: at(8.5, 0), Max: at(39.5, 40)}, 2*u, 360) })
	paint.FillShape(f.Ops, f.p.Good, clip.Outline{Path: ring.spec}.Op())
}
