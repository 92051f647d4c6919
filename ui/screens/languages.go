package screens

import (
	"image"
	"time"

	"gioui.org/font"
	"gioui.org/op"
	giotext "gioui.org/text"
	"gioui.org/widget"

	"livekiosk/kiosk"
	"livekiosk/ui/text"
)

// How many languages one page of their list has, and how long the list stays
// when nobody touches it; for one without time limits ten times as long.
const (
	pageful   = 6
	chooseFor = time.Minute
)

// A chooser is the list of languages, in place of a screen's own contents. Its
// screen goes on meanwhile, and one that follows it closes the list.
type chooser struct {
	open  bool
	since time.Time // when it opened or was turned
	page  int

	languages  [pageful]widget.Clickable
	back, more widget.Clickable
	at         [pageful + 2]image.Rectangle // where they are, and then those two; empty: not on screen
}

// several reports whether there are more languages than a switch can lead to.
func (f *frame) several() bool { return len(f.spoken.Languages()) > 2 }

// switchTo returns what stands on the switch: the one other language, in that
// language, or where there are several the word for them.
func (f *frame) switchTo() string {
	if !f.several() {
		for _, l := range f.spoken.Languages() {
			if l != f.say {
				return l.Name
			}
		}
	}
	return f.say.Control(kiosk.Switch)
}

// ask opens the list of languages at the page that has the visitor's own.
func (f *frame) ask() {
	f.choice = chooser{open: true, since: f.Now}
	for i, l := range f.spoken.Languages() {
		if l == f.say {
			f.choice.page = i / pageful
		}
	}
	f.Execute(op.InvalidateCmd{})
}

// unlist closes it. The finger that did so must not hit what is beneath.
func (f *frame) unlist() {
	f.choice = chooser{}
	f.since = f.Now
	f.Execute(op.InvalidateCmd{})
}

// choose draws the list, all of it in the lower half where a seated person
// reaches it, and reports whether it is open yet.
func (f *frame) choose() bool {
	c := &f.choice
	stays := chooseFor
	if f.v.Wishes.NoLimit {
		stays *= 10
	}
	if !c.open || f.Now.Sub(c.since) >= stays {
		*c = chooser{}
		return false
	}
	f.Execute(op.InvalidateCmd{At: c.since.Add(stays)})
	tapped := func(b *widget.Clickable) bool {
		clicked := false
		for b.Clicked(f.Context) {
			clicked = clicked || f.Now.Sub(c.since) >= Settle
		}
		return clicked
	}
	all := f.spoken.Languages()
	pages := (len(all) + pageful - 1) / pageful
	if tapped(&c.back) {
		f.unlist()
		return true
	}
	if tapped(&c.more) {
		c.page, c.since = (c.page+1)%pages, f.Now
	}
	here := all[c.page*pageful:]
	here = here[:min(len(here), pageful)]
	for i, l := range here {
		if tapped(&c.languages[i]) {
			f.tap(kiosk.Tap{Session: f.v.Session, Control: kiosk.Switch, Locale: l.Locale})
			f.unlist()
			return true
		}
	}

	c.at = [len(c.at)]image.Rectangle{}
	margin, gap := f.px(40), f.px(20)
	in := image.Rect(margin, margin, f.size.X-margin, f.size.Y-f.px(24))
	f.wordmark(in.Min)
	columns := 2
	if !f.upright {
		columns = 3
	}
	high := f.reach(104)
	rows := (pageful + columns - 1) / columns
	nav := image.Rect(in.Min.X, in.Max.Y-high, in.Max.X, in.Max.Y)
	top := nav.Min.Y - rows*(high+gap)
	f.column(image.Rect(in.Min.X, in.Min.Y+f.px(84), in.Max.X, top-gap), giotext.Start, 1,
		item{text: f.say.Phrase(text.Choose), size: 52, weight: font.Bold, color: f.p.Ink})
	for i, l := range here {
		y := top + i/columns*(high+gap)
		box := f.row(image.Rect(in.Min.X, y, in.Max.X, y+high), columns)[i%columns]
		k := quiet
		if l == f.say {
			k = main
		}
		f.pad(box, &c.languages[i], l.Name, k)
		c.at[i] = box
		if l == f.say { // and not by its colour alone
			f.icon(image.Rect(box.Max.X-f.px(44), box.Min.Y+f.px(10), box.Max.X-f.px(10), box.Min.Y+f.px(44)), iconCheck, f.p.OnBrand)
		}
	}
	two := f.row(nav, 2)
	f.pad(two[0], &c.back, f.say.Phrase(text.Back), quiet)
	c.at[pageful] = two[0]
	if pages > 1 {
		f.pad(two[1], &c.more, f.say.Phrase(text.More), quiet)
		c.at[pageful+1] = two[1]
	}
	return true
}
