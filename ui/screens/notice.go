package screens

import (
	"image"
	"image/color"
	"slices"

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
	badge, margin := f.px(200), f.px(40)
	if f.upright {
		panel = image.Rect(0, 0, f.size.X, f.size.Y*2/5)
		if f.v.Screen == kiosk.SavedScreen || f.v.Screen == kiosk.WaitingScreen { // these have more to say
			panel.Max.Y, badge = f.size.Y*3/11, f.px(150)
		}
		foot = f.bar(image.Rect(margin, margin, f.size.X-margin, f.size.Y-f.px(24)))
		foot.Min.Y = foot.Max.Y - f.reach(112)
		words = image.Rect(f.px(56), panel.Max.Y+f.px(48), f.size.X-f.px(56), foot.Min.Y-f.px(32))
	} else {
		align, at = giotext.Start, 0.5
		panel = image.Rect(0, 0, f.size.X*9/25, f.size.Y)
		left := panel.Max.X + f.px(72)
		foot = f.bar(image.Rect(left, margin, f.size.X-f.px(72), f.size.Y-f.px(24)))
		foot.Min.Y = foot.Max.Y - f.reach(108)
		words = image.Rect(left, f.px(56), f.size.X-f.px(72), foot.Min.Y-f.px(32))
	}
	f.fill(panel, f.p.Tint)
	f.wordmark(panel.Min.Add(image.Pt(margin, margin)))
	if f.v.Session == "" {
		f.wayIn(image.Rect(panel.Min.X, panel.Min.Y, panel.Min.X+f.px(340), panel.Min.Y+f.px(140)))
	}
	centre := panel.Min.Add(panel.Size().Div(2))
	if f.upright {
		centre.Y += f.px(28) // the wordmark weighs on the upper half
	}
	box := image.Rectangle{Min: centre, Max: centre}.Inset(-badge / 2)
	switch {
	case f.v.Screen != kiosk.IdleScreen:
		f.badge(box, art, ground, ink)
	case !f.house(image.Rect(panel.Min.X+margin, box.Min.Y, panel.Max.X-margin, box.Max.Y), 0.5):
		f.mark(box.Inset(-f.px(24)), f.p.Brand)
	}

	buttons := f.exits()
	if len(buttons) == 0 {
		words.Max.Y = foot.Max.Y
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
	title, body := f.say.Title(f.v.Screen), f.say.Body(f.v.Screen)
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
		soft(28, 34, f.say.Fault(f.v.Fault))
		strong(28, 34, body)
	case kiosk.SavedScreen:
		soft(28, 34, body)
		if f.v.Receipt != "" {
			items = append(items, item{gap: 32, height: 236, draw: func(r image.Rectangle) { f.receipt(r, align) }})
		}
	case kiosk.WaitingScreen:
		items = append(items, item{gap: 28, height: 216, draw: f.now})
		soft(20, 30, f.say.Phrase(text.HowLong))
		items = append(items, item{gap: 24, height: 40, draw: func(r image.Rectangle) { f.dots(r, align) }})
	case kiosk.SavingScreen:
		soft(28, 34, body)
		items = append(items, item{gap: 48, height: 40, draw: func(r image.Rectangle) { f.dots(r, align) }})
	case kiosk.GrantedScreen, kiosk.RefusedScreen, kiosk.StaffScreen, kiosk.CancelledScreen:
		soft(28, 34, body)
	case kiosk.RestingScreen, kiosk.CodeScreen, kiosk.ConsentScreen, kiosk.TipsScreen, kiosk.WarningScreen, kiosk.GuidingScreen, kiosk.ColoursScreen, kiosk.AgainScreen,
		kiosk.PINScreen, kiosk.DeskScreen, kiosk.CommissionScreen: // have their own arrangement
	}
	if f.v.Until != 0 && f.ends() {
		soft(28, 28, f.say.Phrase(text.ClosesSoon))
	}
	return items
}

// ends reports whether the screen is the end of a session.
func (f *frame) ends() bool {
	return slices.Contains([]kiosk.Screen{kiosk.GrantedScreen, kiosk.RefusedScreen, kiosk.SavedScreen, kiosk.StaffScreen, kiosk.CancelledScreen}, f.v.Screen)
}

// emblem returns the picture of the screen and its colours. Only what is done
// is green, and nothing is red: no outcome is the visitor's fault.
func (f *frame) emblem() (art icon, ground, ink color.NRGBA) {
	brand := func(ic icon) (icon, color.NRGBA, color.NRGBA) { return ic, f.p.Brand, f.p.OnBrand }
	switch f.v.Screen {
	case kiosk.GrantedScreen:
		return iconCheck, f.p.Good, f.p.OnGood
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
	case kiosk.IdleScreen, kiosk.RestingScreen, kiosk.CodeScreen, kiosk.ConsentScreen, kiosk.TipsScreen, kiosk.WarningScreen, kiosk.GuidingScreen, kiosk.ColoursScreen, kiosk.AgainScreen,
		kiosk.PINScreen, kiosk.DeskScreen, kiosk.CommissionScreen:
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
	switch {
	case f.v.Screen == kiosk.IdleScreen:
		return []choice{{kiosk.Begin, main}}
	case f.v.Screen == kiosk.WaitingScreen:
		return []choice{{kiosk.Done, quiet}}
	case f.ends():
		return []choice{{kiosk.Done, main}}
	}
	return nil
}
