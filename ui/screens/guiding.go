package screens

import (
	"image"
	"image/color"

	"gioui.org/font"
	"gioui.org/op"
	"gioui.org/op/clip"
	"gioui.org/op/paint"
	giotext "gioui.org/text"

	"livekiosk/kiosk"
	"livekiosk/ui/text"
)

// tall is the height of the oval divided by its width: that of a face.
const tall = 1.3

// guiding draws the mirror with the oval in it, the one hint, and the way out.
func (f *frame) guiding(p Preview) {
	margin := f.px(40)
	if f.upright {
		rest := f.bar(image.Rect(margin, 0, f.size.X-margin, f.size.Y-f.px(24)))
		foot := image.Rect(margin, rest.Max.Y-f.reach(104), f.size.X-margin, rest.Max.Y)
		note := image.Rect(margin, foot.Min.Y-f.px(52), f.size.X-margin, foot.Min.Y-f.px(12))
		hint := image.Rect(margin, note.Min.Y-f.px(172), f.size.X-margin, note.Min.Y-f.px(4))
		mirror := image.Rect(0, 0, f.size.X, hint.Min.Y-f.px(16))
		f.mirror(mirror, p)
		f.step(image.Pt(f.px(28), f.px(28)))
		f.column(note, giotext.Middle, 0.5, f.attempts())
		f.hint(hint)
		r := f.row(foot, 2)
		f.button(r[0], kiosk.Cancel, quiet)
		f.button(r[1], kiosk.Help, quiet)
		return
	}
	beneath := f.bar(image.Rect(margin, 0, f.size.X-f.px(500)-margin, f.size.Y-f.px(24)))
	mirror := image.Rect(0, 0, f.size.X-f.px(500), beneath.Max.Y)
	f.mirror(mirror, p)
	f.step(image.Pt(f.px(28), f.px(28)))
	side := image.Rect(mirror.Max.X+margin, margin, f.size.X-margin, f.size.Y-f.px(24))
	f.wordmark(side.Min)
	tall := f.reach(100)
	foot := image.Rect(side.Min.X, side.Max.Y-2*tall-f.px(20), side.Max.X, side.Max.Y)
	note := image.Rect(side.Min.X, foot.Min.Y-f.px(84), side.Max.X, foot.Min.Y-f.px(20))
	f.column(note, giotext.Start, 0.5, f.attempts())
	f.hint(image.Rect(side.Min.X, side.Min.Y+f.px(96), side.Max.X, note.Min.Y-f.px(8)))
	f.button(image.Rect(foot.Min.X, foot.Min.Y, foot.Max.X, foot.Min.Y+tall), kiosk.Help, quiet)
	f.button(image.Rect(foot.Min.X, foot.Max.Y-tall, foot.Max.X, foot.Max.Y), kiosk.Cancel, quiet)
}

func (f *frame) attempts() item {
	if a := &f.left; a.text == "" || a.locale != f.v.Locale || a.left != f.v.AttemptsLeft {
		*a = attempts{f.v.Locale, f.v.AttemptsLeft, f.say.Attempts(f.v.AttemptsLeft)}
	}
	return item{text: f.left.text, size: 28, color: f.p.Soft}
}

// Attempts are how many are left, in words, as they were told last.
type attempts struct {
	locale kiosk.Locale
	left   int
	text   string
}

// step tells which of the two captures this is, on a pill over the mirror.
func (f *frame) step(at image.Point) {
	key := text.FarStep
	if f.v.Pose == kiosk.Near {
		key = text.NearStep
	}
	f.pill(at, f.say.Phrase(key))
}

// pill draws words on a pill over the mirror.
func (f *frame) pill(at image.Point, words string) {
	it := item{text: words, size: 28, weight: font.Medium, color: f.p.Ink}
	w, _ := f.extent(it, f.size.X, 1)
	r := image.Rectangle{Min: at, Max: at.Add(image.Pt(w+f.px(48), f.px(56)))}
	f.round(r, r.Dy()/2, f.p.Card)
	f.column(r, giotext.Middle, 0.5, it)
}

// hint draws the one thing to do: the picture in a disc, the words beside it
// or, lying, beneath it.
func (f *frame) hint(r image.Rectangle) {
	words := f.say.Hint(f.v.Hint)
	if f.v.Hint == kiosk.NoHint {
		words = f.say.Body(kiosk.GuidingScreen)
	}
	back, ink := f.p.Brand, f.p.OnBrand
	if f.v.Hint == kiosk.GoodHold {
		back, ink = f.p.Good, f.p.OnGood
	}
	it := item{text: words, size: 52, weight: font.Bold, color: f.p.Ink, even: true}
	art := hintIcon(f.v.Hint)
	if f.upright {
		d := f.px(124)
		y := (r.Min.Y + r.Max.Y - d) / 2
		f.badge(image.Rect(r.Min.X, y, r.Min.X+d, y+d), art, back, ink)
		f.column(image.Rect(r.Min.X+d+f.px(32), r.Min.Y, r.Max.X, r.Max.Y), giotext.Start, 0.5, it)
		return
	}
	it.gap = 32
	f.column(r, giotext.Start, 0, item{height: 132, draw: func(r image.Rectangle) {
		r.Max.X = r.Min.X + r.Dy()
		f.badge(r, art, back, ink)
	}}, it)
}

// mirror draws the camera image as a mirror shows it, cut to r about its
// centre, dimmed outside the oval that the face is to fill.
func (f *frame) mirror(r image.Rectangle, p Preview) {
	live := p.Image != nil && !p.Image.Bounds().Empty()
	size := image.Pt(16, 9) // what a camera will most likely give
	if live {
		size = p.Image.Bounds().Size()
	}
	oval := f.place(r, float32(cover(size, r.Size()))*float32(min(size.X, size.Y)))

	hoop := f.ring(oval, f.v.Hint == kiosk.GoodHold)
	defer clip.Rect(r).Push(f.Ops).Pop()
	if live {
		key := videoKey{p.Seq, mirrorKey{size, r.Size(), oval.Sub(r.Min)}, f.p.Scrim, hoop.key, hoop.look}
		if f.video.Size() == (image.Point{}) || key != f.videoKey {
			f.videoKey = key
			img := f.glass.draw(p.Image, r.Size(), oval.Sub(r.Min), f.p.Scrim)
			hoop.cover(img, oval.Min.Sub(r.Min))
			f.video = paint.NewImageOp(img)
			// Linear filtering would build mipmaps for every camera image.
			f.video.Filter = paint.FilterNearest
		}
		at := op.Offset(r.Min).Push(f.Ops)
		f.video.Add(f.Ops)
		paint.PaintOp{}.Add(f.Ops)
		at.Pop()
	} else {
		f.fill(r, f.p.Tint)
		f.column(oval.Inset(f.px(48)), giotext.Middle, 0.5, item{
			text: f.say.Phrase(text.Starting), size: 32, color: f.p.Soft, even: true,
		})
		f.edge(hoop, oval)
	}
	f.arrow(r, oval)
}

// A videoKey is all that the picture of the mirror depends on.
type videoKey struct {
	seq   uint64
	shape mirrorKey
	scrim color.NRGBA
	hoop  hoopKey
	ring  hoopLook
}

// place returns the oval in r for a camera image whose short side is short
// pixels on the display. It is as wide as the view asks, unless r is too small
// for it.
func (f *frame) place(r image.Rectangle, short float32) image.Rectangle {
	goal := f.v.FaceGoal
	if !(goal > 0) {
		goal = 0.4
	}
	w := min(goal*short, float32(r.Dx())*0.86, float32(r.Dy())*0.92/tall)
	half := image.Pt(int(w/2+0.5), int(w*tall/2+0.5))
	centre := r.Min.Add(r.Max).Div(2)
	return image.Rectangle{Min: centre.Sub(half), Max: centre.Add(half)}
}

// arrow points, beside the oval, to where the face has to go in the mirror.
func (f *frame) arrow(r, oval image.Rectangle) {
	d := f.px(100)
	at := oval.Min.Add(oval.Max).Div(2)
	off := d/2 + f.px(24)
	ic := hintIcon(f.v.Hint)
	to, points := map[icon]image.Point{
		iconLeft: {oval.Min.X - off, at.Y}, iconRight: {oval.Max.X + off, at.Y},
		iconUp: {at.X, oval.Min.Y - off}, iconDown: {at.X, oval.Max.Y + off},
	}[ic]
	if !points {
		return
	}
	at = to
	edge := r.Inset(d/2 + f.px(12)) // a large oval leaves no room: lie on it
	at.X = min(max(at.X, edge.Min.X), edge.Max.X)
	at.Y = min(max(at.Y, edge.Min.Y), edge.Max.Y)
	f.badge(image.Rectangle{Min: at, Max: at}.Inset(-d/2), ic, f.p.Brand, f.p.OnBrand)
}
