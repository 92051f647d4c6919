package screens

import (
	"image"
	"image/color"

	"gioui.org/font"
	giotext "gioui.org/text"

	"livekiosk/kiosk"
	"livekiosk/ui/text"
)

// notice draws every screen that says one thing: a picture, a heading, a
// sentence, and at most two buttons.
//
// Upright, the picture stands above the words and the buttons at the lower
// edge; lying, the picture has the left third and the words the rest.
func (f *frame) notice() {
	art, ground, ink := f.emblem()
	align, at := giotext.Middle, float32(0.3)
	var panel, words, foot image.Rectangle
	badge := f.px(200)
	margin := f.px(40)
	if f.upright {
		panel = image.Rect(0, 0, f.size.X, f.size.Y*2/5)
		foot = image.Rect(margin, f.size.Y-margin-f.px(116), f.size.X-margin, f.size.Y-margin)
		words = image.Rect(f.px(56), panel.Max.Y+f.px(48), f.size.X-f.px(56), foot.Min.Y-f.px(32))
	} else {
		align, at = giotext.Start, 0.5
		panel = image.Rect(0, 0, f.size.X*9/25, f.size.Y)
		left := panel.Max.X + f.px(72)
		foot = image.Rect(left, f.size.Y-f.px(56)-f.px(108), f.size.X-f.px(72), f.size.Y-f.px(56))
		words = image.Rect(left, f.px(56), f.size.X-f.px(72), foot.Min.Y-f.px(32))
	}
	f.fill(panel, f.p.Tint)
	f.wordmark(panel.Min.Add(image.Pt(margin, margin)))
	centre := panel.Min.Add(panel.Size().Div(2))
	if f.upright {
		centre.Y += f.px(28) // the wordmark weighs on the upper half
	}
	box := image.Rectangle{Min: centre, Max: centre}.Inset(-badge / 2)
	if f.v.Screen == kiosk.IdleScreen {
		f.mark(box.Inset(-f.px(24)), f.p.Brand)
	} else {
		f.badge(box, art, ground, ink)
	}

	buttons := f.exits()
	if len(buttons) == 0 {
		words.Max.Y = f.size.Y - f.px(72)
	}
	if f.v.Screen == kiosk.AgainScreen && f.v.Ask {
		resume := image.Rect(foot.Min.X, foot.Min.Y-f.px(148), foot.Max.X, foot.Min.Y-f.px(24))
		words.Max.Y = resume.Min.Y - f.px(32)
		f.button(resume, kiosk.Resume, main)
	}
	f.column(words, align, at, f.says(align)...)

	switch {
	case len(buttons) == 0:
	case f.upright || len(buttons) > 1:
		for i, r := range f.row(foot, len(buttons)) {
			f.button(r, buttons[i].control, buttons[i].rank)
		}
	default:
		foot.Max.X = foot.Min.X + f.px(360)
		f.button(foot, buttons[0].control, buttons[0].rank)
	}
}

// says returns the words of the screen.
func (f *frame) says(align giotext.Alignment) []item {
	l := f.v.Locale
	title, body := text.Title(l, f.v.Screen), text.Body(l, f.v.Screen)
	items := []item{{text: title, size: 58, weight: font.Bold, color: f.p.Ink, even: true}}
	soft := func(gap, size float32, s string) {
		items = append(items, item{gap: gap, text: s, size: size, color: f.p.Soft, even: true})
	}
	strong := func(gap, size float32, s string) {
		items = append(items, item{gap: gap, text: s, size: size, weight: font.Bold, color: f.p.Ink, even: true})
	}
	switch f.v.Screen {
	case kiosk.IdleScreen:
		items[0].size = 76
		soft(28, 38, body)
	case kiosk.OutOfServiceScreen:
		soft(28, 34, text.Fault(l, f.v.Fault))
		strong(28, 34, body)
	case kiosk.AgainScreen:
		if f.v.Ask {
			items[0].text = text.Phrase(l, text.StillThere)
		}
		soft(28, 34, body)
		strong(36, 34, text.Remaining(l, f.v.AttemptsLeft))
		switch {
		case f.v.Until == 0:
		case f.v.Ask:
			soft(12, 28, text.Phrase(l, text.ClosesSoon))
		default:
			soft(12, 28, text.Phrase(l, text.MoveOn))
		}
	case kiosk.SavedScreen:
		soft(28, 34, body)
		if f.v.Receipt != "" {
			items = append(items, item{gap: 40, height: 176, draw: func(r image.Rectangle) { f.receipt(r, align) }})
		}
	case kiosk.SavingScreen, kiosk.WaitingScreen:
		soft(28, 34, body)
		items = append(items, item{gap: 48, height: 40, draw: func(r image.Rectangle) { f.dots(r, align) }})
	case kiosk.GrantedScreen, kiosk.RefusedScreen, kiosk.StaffScreen, kiosk.CancelledScreen:
		soft(28, 34, body)
	case kiosk.RestingScreen, kiosk.ConsentScreen, kiosk.GuidingScreen, kiosk.CommissionScreen: // have their own arrangement
	}
	if f.v.Until != 0 {
		switch f.v.Screen {
		case kiosk.GrantedScreen, kiosk.RefusedScreen, kiosk.SavedScreen, kiosk.StaffScreen, kiosk.CancelledScreen:
			soft(32, 28, text.Phrase(l, text.ClosesSoon))
		case kiosk.IdleScreen, kiosk.ConsentScreen, kiosk.GuidingScreen, kiosk.AgainScreen, kiosk.SavingScreen,
			kiosk.WaitingScreen, kiosk.OutOfServiceScreen, kiosk.RestingScreen, kiosk.CommissionScreen:
		}
	}
	return items
}

// receipt draws the code that the visitor may note or photograph.
func (f *frame) receipt(r image.Rectangle, align giotext.Alignment) {
	if align == giotext.Start {
		r.Max.X = min(r.Max.X, r.Min.X+f.px(520))
	}
	radius := f.px(20)
	f.sheet(r, radius, f.px(2), f.p.Line, f.p.Card)
	f.column(r.Inset(f.px(16)), giotext.Middle, 0.5,
		item{text: text.Phrase(f.v.Locale, text.Receipt), size: 28, color: f.p.Soft},
		item{gap: 8, text: text.Code(f.v.Receipt), size: 64, weight: font.Bold, color: f.p.Ink})
}

// emblem returns the picture of the screen and its colours. Only what is done
// is green, and nothing is red: no outcome is the visitor's fault.
func (f *frame) emblem() (art icon, ground, ink color.NRGBA) {
	brand := func(ic icon) (icon, color.NRGBA, color.NRGBA) { return ic, f.p.Brand, f.p.OnBrand }
	switch f.v.Screen {
	case kiosk.GrantedScreen:
		return iconCheck, f.p.Good, f.p.OnGood
	case kiosk.AgainScreen:
		return brand(iconAgain)
	case kiosk.SavingScreen:
		return brand(iconTray)
	case kiosk.WaitingScreen:
		return brand(iconClock)
	case kiosk.RefusedScreen, kiosk.StaffScreen:
		return brand(iconStaff)
	case kiosk.SavedScreen:
		return iconTray, f.p.Good, f.p.OnGood
	case kiosk.CancelledScreen:
		return iconLeave, f.p.Back, f.p.Brand
	case kiosk.OutOfServiceScreen:
		return iconNotice, f.p.Back, f.p.Brand
	case kiosk.IdleScreen, kiosk.RestingScreen, kiosk.ConsentScreen, kiosk.GuidingScreen, kiosk.CommissionScreen:
	}
	return brand(iconPerson)
}

// A choice is a button of a screen.
type choice struct {
	control kiosk.Control
	rank    rank
}

// exits returns the buttons of a notice.
func (f *frame) exits() []choice {
	switch f.v.Screen {
	case kiosk.AgainScreen:
		return []choice{{kiosk.Cancel, quiet}, {kiosk.Help, quiet}}
	case kiosk.WaitingScreen:
		return []choice{{kiosk.Done, quiet}}
	case kiosk.GrantedScreen, kiosk.RefusedScreen, kiosk.SavedScreen, kiosk.StaffScreen, kiosk.CancelledScreen:
		return []choice{{kiosk.Done, main}}
	case kiosk.IdleScreen, kiosk.RestingScreen, kiosk.SavingScreen, kiosk.OutOfServiceScreen, kiosk.ConsentScreen, kiosk.GuidingScreen, kiosk.CommissionScreen:
	}
	return nil
}
