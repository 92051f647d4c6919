package screens

import (
	"image"
	"image/color"

	"gioui.org/font"
	giotext "gioui.org/text"

	"livekiosk/kiosk"
	"livekiosk/ui/text"
	"livekiosk/ui/theme"
)

// warning asks whether the display may light the face in changing colours. Both
// answers look alike, and the one without is the upper one.
func (f *frame) warning() {
	margin := f.px(40)
	next := text.SilenceIsNo
	if f.v.Wishes.NoLimit {
		next = text.ClosesSoon
	}
	align := giotext.Middle
	if !f.upright {
		align = giotext.Start
	}
	items := []item{
		{height: 150, draw: func(r image.Rectangle) {
			if !f.upright {
				r.Max.X = r.Min.X + r.Dy()
			}
			f.badge(r, iconBolt, f.p.Brand, f.p.OnBrand)
		}},
		{gap: 32, text: f.say.Title(kiosk.WarningScreen), size: 52, weight: font.Bold, color: f.p.Ink, even: true},
		{gap: 20, text: f.say.Body(kiosk.WarningScreen), size: 34, color: f.p.Ink},
		{gap: 24, text: f.say.Phrase(next), size: 26, color: f.p.Soft, even: true},
	}
	if f.upright {
		f.wordmark(image.Pt(margin, margin))
		rest := f.answers(f.bar(image.Rect(margin, margin+f.px(84), f.size.X-margin, f.size.Y-f.px(24))))
		f.column(rest, align, 0.5, items...)
		return
	}
	panel := image.Rect(0, 0, f.size.X*2/5, f.size.Y)
	f.fill(panel, f.p.Tint)
	in := image.Rect(margin, margin, panel.Max.X-margin, f.size.Y-f.px(24))
	f.wordmark(in.Min)
	f.answers(in)
	f.column(f.bar(image.Rect(panel.Max.X+margin, margin, f.size.X-margin, f.size.Y-f.px(24))), align, 0.5, items...)
}

// answers draws the buttons of the warning along the lower edge of r and returns
// what is left above them.
func (f *frame) answers(r image.Rectangle) image.Rectangle {
	foot := image.Rect(r.Min.X, r.Max.Y-f.reach(104), r.Max.X, r.Max.Y)
	two := f.row(foot, 2)
	f.button(two[0], kiosk.Cancel, quiet)
	f.button(two[1], kiosk.Help, quiet)
	y := foot.Min.Y
	for _, c := range []kiosk.Control{kiosk.Flash, kiosk.NoFlash} {
		y -= f.px(20) + f.reach(104)
		f.button(image.Rect(r.Min.X, y, r.Max.X, y+f.reach(104)), c, main)
	}
	r.Max.Y = y - f.px(24)
	return r
}

// colours fills the display with the colour of the light challenge, exactly: it is
// what the camera looks for in the face. What else is to be seen is black on it, at
// seven to one, whatever the theme.
func (f *frame) colours() {
	at := color.NRGBA{f.v.Colour[0], f.v.Colour[1], f.v.Colour[2], 0xff}
	black := color.NRGBA{A: 0xff}
	f.fill(image.Rectangle{Max: f.size}, at)
	d := *f
	d.p = theme.Palette{Back: at, Card: at, Tint: at, Line: black, Brand: black, BrandDown: black, OnBrand: at, Ink: black, Soft: black}
	margin := f.px(40)
	foot := image.Rect(margin, f.size.Y-f.px(24)-f.reach(104), f.size.X-margin, f.size.Y-f.px(24))
	two := d.row(foot, 2)
	d.button(two[0], kiosk.Cancel, quiet)
	d.button(two[1], kiosk.NoFlash, quiet)
	words := image.Rect(margin, foot.Min.Y-f.px(250), f.size.X-margin, foot.Min.Y-f.px(30))
	face := image.Rect(margin, margin, f.size.X-margin, words.Min.Y-f.px(20))
	d.column(face, giotext.Middle, 0.5, item{height: float32(min(face.Dy(), face.Dx(), f.px(300))) / f.scale, draw: func(r image.Rectangle) {
		d.badge(r, iconHold, at, black)
	}})
	d.column(words, giotext.Middle, 0.5,
		item{text: f.say.Title(kiosk.ColoursScreen), size: 52, weight: font.Bold, color: black, even: true},
		item{gap: 12, text: f.say.Body(kiosk.ColoursScreen), size: 34, weight: font.Medium, color: black, even: true})
}
