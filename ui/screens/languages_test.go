package screens_test

import (
	"fmt"
	"image"
	"slices"
	"testing"
	"time"

	"gioui.org/io/key"

	"livekiosk/kiosk"
	"livekiosk/ui/screens"
	"livekiosk/ui/text"
)

// many is the built-in languages and n more, aa to az.
func many(t *testing.T, n int) *text.Catalogue {
	t.Helper()
	c := text.BuiltIn()
	for i := range n {
		l := *text.Pseudo()
		l.Locale, l.Name = kiosk.Locale(fmt.Sprintf("a%c", 'a'+i)), fmt.Sprintf("Language %c", 'A'+i)
		c = c.With(&l)
	}
	return c
}

// pick opens the list and touches what stands at that place in it.
func (d *display) pick(t *testing.T, at int) {
	t.Helper()
	d.touch(d.middle(kiosk.Switch))
	d.wait(screens.Settle)
	for d.s.Option(at%6).Empty() || at >= 6 {
		d.touch(centre(d.s.Option(screens.More)))
		d.wait(screens.Settle)
		at -= 6
	}
	d.touch(centre(d.s.Option(at)))
}

func centre(r image.Rectangle) image.Point { return r.Min.Add(r.Max).Div(2) }

func TestTheSwitchLeadsToTheOtherOfTwoLanguagesByItsName(t *testing.T) {
	for l, want := range map[kiosk.Locale]string{kiosk.Indonesian: "English", kiosk.English: "Bahasa Indonesia"} {
		d := open(t, upright, kiosk.View{Screen: kiosk.IdleScreen, Locale: l})
		if got := d.s.Label(kiosk.Switch); got != want {
			t.Errorf("in %s the switch says %q, want %q", l, got, want)
		}
	}
}

func TestOneOfManyLanguagesIsChosenFromAList(t *testing.T) {
	for _, size := range []image.Point{upright, lying} {
		for n, places := range map[int][]int{1: {0, 2}, 4: {5}, 5: {6}, 20: {0, 13, 21}} {
			for _, at := range places {
				v := view(kiosk.ConsentScreen)
				d := open(t, size, v)
				d.s.Speak(many(t, n))
				d.wait(screens.Settle)
				d.pick(t, at)
				want := many(t, n).Locales()[at]
				if w := []kiosk.Tap{{Session: v.Session, Control: kiosk.Switch, Locale: want}}; !slices.Equal(d.taps, w) {
					t.Fatalf("%v, %d more: the tap at %d told %v, want %v", size, n, at, d.taps, w)
				}
				d.wait(screens.Settle)
				if !d.shown(kiosk.Agree) {
					t.Errorf("%v: the list stays", size)
				}
			}
		}
	}
}

// All of the list is within reach of a seated person, on the display and large
// enough, and nothing of the screen beneath can be touched meanwhile.
func TestTheListOfLanguagesCanBeHit(t *testing.T) {
	for _, size := range []image.Point{upright, lying} {
		d := open(t, size, view(kiosk.GuidingScreen))
		d.s.Speak(many(t, 20))
		d.frame()
		d.touch(d.middle(kiosk.Switch))
		d.wait(screens.Settle)
		var placed []image.Rectangle
		for i := range screens.More + 1 {
			b := d.s.Option(i)
			if b.Empty() || !b.In(image.Rectangle{Max: size}) || b.Min.Y < size.Y/2 || b.Dx() < 96 || b.Dy() < 96 {
				t.Errorf("%v: %d is at %v", size, i, b)
			}
			for _, o := range placed {
				if !b.Inset(-6).Intersect(o).Empty() {
					t.Errorf("%v: %d at %v is too close to another at %v", size, i, b, o)
				}
			}
			placed = append(placed, b)
		}
		for _, c := range allControls {
			if d.shown(c) {
				t.Errorf("%v: %s can be touched beneath the list", size, c)
			}
		}
		if len(d.s.Clipped()) > 0 {
			t.Errorf("%v: does not fit: %q", size, d.s.Clipped())
		}
	}
}

func TestTheListOfLanguagesIsLeft(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(d *display)
	}{
		{"by its own button", func(d *display) { d.touch(centre(d.s.Option(screens.Back))) }},
		{"by time", func(d *display) { d.wait(time.Minute) }},
		{"by the next screen", func(d *display) { d.view = view(kiosk.TipsScreen) }},
		{"by the next visitor", func(d *display) { d.view.Session = "next" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := open(t, upright, view(kiosk.ConsentScreen))
			d.s.Speak(many(t, 3))
			d.frame()
			d.touch(d.middle(kiosk.Switch))
			d.wait(screens.Settle)
			if d.shown(kiosk.Help) {
				t.Fatal("no list")
			}
			c.do(d)
			d.frame()
			d.frame()
			if !d.shown(kiosk.Help) || len(d.taps) > 0 {
				t.Errorf("the screen is back: %v; taps %v", d.shown(kiosk.Help), d.taps)
			}
		})
	}
}

// Who needs ten times as long has it here, too.
func TestTheListOfLanguagesWaitsForWhoNeedsTime(t *testing.T) {
	v := view(kiosk.ConsentScreen)
	v.Wishes.NoLimit = true
	d := open(t, upright, v)
	d.s.Speak(many(t, 3))
	d.frame()
	d.touch(d.middle(kiosk.Switch))
	d.wait(9 * time.Minute)
	if d.shown(kiosk.Help) {
		t.Error("the list is gone")
	}
	d.wait(time.Minute)
	if !d.shown(kiosk.Help) {
		t.Error("the list stays for ever")
	}
}

func TestAKeyboardChoosesALanguage(t *testing.T) {
	d := open(t, upright, view(kiosk.IdleScreen))
	d.s.Speak(many(t, 1))
	d.frame()
	d.touch(d.middle(kiosk.Switch))
	d.wait(screens.Settle)
	for range 3 { // id, en, aa
		d.router.MoveFocus(key.FocusForward)
		d.frame()
	}
	d.press(0, key.NameReturn)
	d.frame()
	if len(d.taps) != 1 || d.taps[0].Locale != "aa" {
		t.Errorf("taps %v", d.taps)
	}
}

// A language that goes while it is spoken is no fault: its visitor reads on in
// the language of the house.
func TestALanguageThatIsNotThereReadsAsIndonesian(t *testing.T) {
	d := open(t, upright, kiosk.View{Screen: kiosk.IdleScreen, Locale: "aa"})
	if got := d.s.Label(kiosk.Begin); got != text.Of(kiosk.Indonesian).Control(kiosk.Begin) {
		t.Errorf("reads %q", got)
	}
}
