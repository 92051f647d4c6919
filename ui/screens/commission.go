package screens

import (
	"image"
	"image/color"

	"gioui.org/font"
	giotext "gioui.org/text"

	"livekiosk/kiosk"
)

// commission draws the mirror with the oval in it, and beneath or beside it the
// step that an installer is at, what is wrong, and what it measures. Nothing can
// be tapped: whoever began the step ends it.
func (f *frame) commission(p Preview) {
	if f.v.Step == kiosk.LatencyStep {
		f.flash()
		return
	}
	margin := f.px(40)
	mirror := image.Rect(0, 0, f.size.X, f.size.Y-f.px(480))
	words := image.Rect(margin, mirror.Max.Y+f.px(32), f.size.X-margin, f.size.Y-margin)
	align, at := giotext.Middle, float32(0.3)
	if !f.upright {
		mirror = image.Rect(0, 0, f.size.X-f.px(500), f.size.Y)
		words = image.Rect(mirror.Max.X+margin, f.px(136), f.size.X-margin, f.size.Y-margin)
		align, at = giotext.Start, 0
	}
	f.mirror(mirror, p)
	f.pill(image.Pt(f.px(28), f.px(28)), f.say.Progress(f.v.Step))
	if !f.upright {
		f.wordmark(image.Pt(words.Min.X, margin))
	}
	f.column(words, align, at, f.finding(f.say.Instruction(f.v.Step))...)
}

// finding is the step's heading, what is to be done, and its figure.
func (f *frame) finding(do string) []item {
	ink := f.p.Soft
	if note := f.say.Note(f.v.Note); note != "" {
		do, ink = note, f.p.Warn
	}
	items := []item{
		{text: f.say.Step(f.v.Step), size: 48, weight: font.Bold, color: f.p.Ink, even: true},
		{gap: 20, text: do, size: 36, weight: font.Medium, color: ink, even: true},
	}
	if figure := f.say.Figure(f.v.Step, f.v.Figure); f.v.Figure != 0 && figure != "" {
		items = append(items, item{gap: 28, text: figure, size: 34, color: f.p.Ink})
	}
	return items
}

// flash fills the display with white or black, so that as much light as there
// is reaches the camera. The words lie at the edge, and change with it.
func (f *frame) flash() {
	back, ink := color.NRGBA{A: 0xff}, color.NRGBA{0xc0, 0xc0, 0xc0, 0xff}
	if f.v.Flash {
		back, ink = color.NRGBA{0xff, 0xff, 0xff, 0xff}, color.NRGBA{0x40, 0x40, 0x40, 0xff}
	}
	f.fill(image.Rectangle{Max: f.size}, back)
	r := image.Rect(f.px(40), f.size.Y-f.px(240), f.size.X-f.px(40), f.size.Y-f.px(40))
	f.column(r, giotext.Middle, 1,
		item{text: f.say.Progress(f.v.Step), size: 28, weight: font.Medium, color: ink},
		item{gap: 8, text: f.say.Instruction(f.v.Step), size: 32, color: ink, even: true})
}
