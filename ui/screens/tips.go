package screens

import (
	"image"

	"gioui.org/font"
	giotext "gioui.org/text"

	"livekiosk/kiosk"
	"livekiosk/ui/text"
)

// tips draws what helps, each beside its picture, before the camera starts.
func (f *frame) tips() {
	margin := f.px(40)
	title := item{text: f.say.Title(kiosk.TipsScreen), size: 52, weight: font.Bold, color: f.p.Ink}
	body := item{gap: 10, text: f.say.Body(kiosk.TipsScreen), size: 30, color: f.p.Soft}
	next := text.StartsSoon
	if f.v.Wishes.NoLimit { // the camera waits for a word
		next = text.ClosesSoon
	}
	soon := item{text: f.say.Phrase(next), size: 26, color: f.p.Soft, even: true}
	if f.upright {
		f.wordmark(image.Pt(margin, margin))
		rest := f.bar(image.Rect(margin, margin+f.px(84), f.size.X-margin, f.size.Y-f.px(24)))
		rest = f.choices(rest)
		f.column(image.Rect(rest.Min.X, rest.Min.Y, rest.Max.X, rest.Min.Y+f.px(132)), giotext.Start, 0, title, body)
		f.column(image.Rect(rest.Min.X, rest.Max.Y-f.px(40), rest.Max.X, rest.Max.Y), giotext.Middle, 0.5, soon)
		f.advice(image.Rect(rest.Min.X, rest.Min.Y+f.px(148), rest.Max.X, rest.Max.Y-f.px(56)))
		return
	}
	panel := image.Rect(0, 0, f.size.X*9/25, f.size.Y)
	f.fill(panel, f.p.Tint)
	in := image.Rect(margin, margin, panel.Max.X-margin, f.size.Y-f.px(24))
	f.wordmark(in.Min)
	soon.gap = 28
	words := f.choices(in)
	f.column(image.Rect(in.Min.X, in.Min.Y+f.px(92), in.Max.X, words.Max.Y), giotext.Start, 0.4, title, body, soon)
	f.advice(f.bar(image.Rect(panel.Max.X+margin, margin, f.size.X-margin, f.size.Y-f.px(24))))
}

// choices draws the buttons of the tips along the lower edge of r and returns
// what is left above them.
func (f *frame) choices(r image.Rectangle) image.Rectangle {
	foot := image.Rect(r.Min.X, r.Max.Y-f.reach(104), r.Max.X, r.Max.Y)
	two := f.row(foot, 2)
	f.button(two[0], kiosk.Cancel, quiet)
	f.button(two[1], kiosk.Help, quiet)
	ready := image.Rect(r.Min.X, foot.Min.Y-f.px(20)-f.reach(116), r.Max.X, foot.Min.Y-f.px(20))
	f.button(ready, kiosk.Ready, main)
	r.Max.Y = ready.Min.Y - f.px(24)
	return r
}

// advice draws the tips beneath each other.
func (f *frame) advice(r image.Rectangle) {
	tips := []struct {
		art icon
		key text.Key
	}{{iconMask, text.TipCovers}, {iconSun, text.TipLight}, {iconEye, text.TipLook}, {iconPerson, text.TipAlone}}
	// All are of one size: that of the one that needs the most room.
	h := f.high(r, len(tips))
	d := min(h, f.px(96))
	zoom := f.zoom
	for _, t := range tips {
		it := item{text: f.say.Phrase(t.key), size: 32}
		for zoom > least && !f.fits(image.Rect(r.Min.X+d+f.px(28), 0, r.Max.X, h), zoom, it) {
			zoom -= 0.05
		}
	}
	was := f.zoom
	f.zoom = zoom
	defer func() { f.zoom = was }()
	f.list(r, len(tips), func(r image.Rectangle, i int) {
		y := (r.Min.Y + r.Max.Y - d) / 2
		f.badge(image.Rect(r.Min.X, y, r.Min.X+d, y+d), tips[i].art, f.p.Brand, f.p.OnBrand)
		r.Min.X += d + f.px(28)
		f.column(r, giotext.Start, 0.5, item{text: f.say.Phrase(tips[i].key), size: 32, color: f.p.Ink, even: true})
	})
}

// high is the height of each of n rows in r.
func (f *frame) high(r image.Rectangle, n int) int { return min((r.Dy()-f.px(16)*(n-1))/n, f.px(150)) }

// list splits r into n rows of one height.
func (f *frame) list(r image.Rectangle, n int, draw func(r image.Rectangle, i int)) {
	h := f.high(r, n)
	for i := range n {
		y := r.Min.Y + i*(h+f.px(16))
		draw(image.Rect(r.Min.X, y, r.Max.X, y+h), i)
	}
}

// now draws what happens while the visitor waits: what is done has a check.
func (f *frame) now(r image.Rectangle) {
	steps := []text.Key{text.NowStored, text.NowChecked, text.NowResult}
	f.list(r, len(steps), func(r image.Rectangle, i int) {
		d := min(r.Dy(), f.px(48))
		y := (r.Min.Y + r.Max.Y - d) / 2
		at := image.Rect(r.Min.X, y, r.Min.X+d, y+d)
		switch i {
		case 0:
			f.badge(at, iconCheck, f.p.Good, f.p.OnGood)
		case 1:
			f.badge(at, iconClock, f.p.Brand, f.p.OnBrand)
		default:
			f.sheet(at, d/2, f.px(3), f.p.Line, f.p.Back)
		}
		r.Min.X += d + f.px(20)
		weight := font.Normal
		if i == 1 {
			weight = font.Bold
		}
		f.column(r, giotext.Start, 0.5, item{text: f.say.Phrase(steps[i]), size: 31, weight: weight, color: f.p.Ink})
	})
}
