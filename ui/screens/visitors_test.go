package screens_test

import (
	"bytes"
	"image"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"gioui.org/io/key"

	"livekiosk/kiosk"
	"livekiosk/kiosk/flow"
	"livekiosk/ui/screens"
)

// alone is a view of a screen that nobody is served on.
func alone(s kiosk.Screen) kiosk.View {
	v := view(s)
	v.Session, v.Until = "", 0
	return v
}

func TestTheWordmarkIsADoorForWhoeverKnocksFiveTimes(t *testing.T) {
	knock := func(d *display, n int, every time.Duration) {
		for range n {
			d.touch(d.middle(kiosk.Door))
			d.wait(every)
		}
	}
	for _, size := range []image.Point{upright, lying} {
		for _, s := range []kiosk.Screen{kiosk.IdleScreen, kiosk.OutOfServiceScreen, kiosk.CodeScreen} {
			d := open(t, size, alone(s))
			knock(d, 4, 300*time.Millisecond)
			if len(d.taps) > 0 {
				t.Errorf("%s %v: opens after four knocks: %v", s, size, d.taps)
			}
			knock(d, 1, 0)
			if w := []kiosk.Tap{{Control: kiosk.Door}}; !slices.Equal(d.taps, w) {
				t.Errorf("%s %v: taps %v, want %v", s, size, d.taps, w)
			}
			d.taps = nil
			knock(d, 8, 1500*time.Millisecond)
			if len(d.taps) > 0 {
				t.Errorf("%s %v: opens for slow knocks: %v", s, size, d.taps)
			}
		}
	}
	d := open(t, upright, view(kiosk.IdleScreen))
	for _, s := range kiosk.Screens() {
		if d.turn(view(s)); d.shown(kiosk.Door) {
			t.Errorf("%s has a door in a session", s)
		}
	}
}

func (d *display) shown(c kiosk.Control) bool {
	_, shown := d.s.Bounds(c)
	return shown
}

func TestWhatIsTypedGoesNowhereElse(t *testing.T) {
	d := open(t, upright, alone(kiosk.PINScreen))
	d.dial("49302")
	d.touch(d.key(10))
	d.dial("71")
	if got := d.s.Typed(); got != "493071" {
		t.Fatalf("typed %q", got)
	}
	if len(d.taps) > 0 {
		t.Errorf("digits are told: %v", d.taps)
	}
	d.touch(d.middle(kiosk.Enter))
	if w := []kiosk.Tap{{Control: kiosk.Enter, Text: "493071"}}; !slices.Equal(d.taps, w) {
		t.Errorf("taps %v, want %v", d.taps, w)
	}
	if got := d.s.Typed(); got != "" {
		t.Errorf("%q stays after it was sent", got)
	}

	d.dial("1234567890123456")
	if got := d.s.Typed(); got != "123456789012" {
		t.Errorf("typed %q of a PIN that is too long", got)
	}
	d.view = alone(kiosk.IdleScreen)
	d.frame()
	d.view = alone(kiosk.PINScreen)
	d.frame()
	if got := d.s.Typed(); got != "" {
		t.Errorf("%q outlives its screen", got)
	}
}

func TestTooFewDigitsAreNotSentAndNoneWhileOneIsLookedAt(t *testing.T) {
	for s, digits := range map[kiosk.Screen]string{kiosk.CodeScreen: "1234567", kiosk.PINScreen: "123"} {
		d := open(t, lying, alone(s))
		d.dial(digits)
		d.touch(d.middle(kiosk.Enter))
		if len(d.taps) > 0 {
			t.Errorf("%s: %q is sent: %v", s, digits, d.taps)
		}
	}
	v := alone(kiosk.CodeScreen)
	v.Typing = kiosk.Checking
	d := open(t, upright, v)
	d.dial("12345678")
	if got := d.s.Typed(); got != "" {
		t.Errorf("typed %q while a code is looked at", got)
	}
}

func TestAKeyboardTypes(t *testing.T) {
	d := open(t, upright, alone(kiosk.CodeScreen))
	d.press(0, "8", "6", "4", key.NameDeleteBackward, "2")
	if got := d.s.Typed(); got != "862" {
		t.Errorf("typed %q", got)
	}
}

// press presses and lifts keys, all within one frame.
func (d *display) press(mods key.Modifiers, names ...key.Name) {
	for _, name := range names {
		for _, s := range []key.State{key.Press, key.Release} {
			d.router.Queue(key.Event{Name: name, Modifiers: mods, State: s})
		}
	}
	d.frame()
}

// turn has a display that is open show something else.
func (d *display) turn(v kiosk.View) {
	d.view, d.taps = v, nil
	d.frame()
	d.wait(screens.Settle)
}

// Every chord there is, on every screen, does nothing but what the control in
// focus does, and none has the focus here.
func TestNoChordDoesAnything(t *testing.T) {
	names := []key.Name{
		key.NameEscape, key.NameBack, key.NameHome, key.NameEnd, key.NameF1, key.NameF4, key.NameF10, key.NameF11, key.NameF12,
		key.NameDeleteForward, key.NamePageUp, "Q", "W", "D", "L", "C", "T", key.NameSpace, key.NameReturn, key.NameEnter,
	}
	chords := []key.Modifiers{0, key.ModCtrl, key.ModAlt, key.ModSuper, key.ModShift, key.ModCtrl | key.ModAlt, key.ModAlt | key.ModShift, key.ModCtrl | key.ModShift}
	d := open(t, upright, view(kiosk.IdleScreen))
	for _, s := range kiosk.Screens() {
		d.turn(view(s))
		for _, mods := range chords {
			d.press(mods, names...)
		}
		if len(d.taps) > 0 {
			t.Errorf("%s: %v", s, d.taps)
		}
	}
}

func TestTheKeyboardReachesEveryControlOfEveryScreen(t *testing.T) {
	d := open(t, upright, view(kiosk.IdleScreen))
	for _, s := range kiosk.Screens() {
		d.turn(view(s))
		for range 18 { // eleven keys of a keypad, and the rest
			d.router.MoveFocus(key.FocusForward)
			d.press(0, key.NameReturn)
		}
		d.frame()
		for _, c := range want[s] {
			if c == kiosk.Enter {
				continue // sends nothing before enough was typed
			}
			if !slices.ContainsFunc(d.taps, func(tap kiosk.Tap) bool { return tap.Control == c }) {
				t.Errorf("%s: %s was not reached: %v", s, c, d.taps)
			}
		}
	}
}

// A person with one switch has it send a space: the focus comes by itself.
func TestOneSwitchReachesEveryControl(t *testing.T) {
	const pace = 2 * time.Second
	d := open(t, upright, view(kiosk.RestingScreen))
	d.s.SetScan(pace)
	for _, s := range []kiosk.Screen{kiosk.IdleScreen, kiosk.ConsentScreen, kiosk.AgainScreen, kiosk.SavedScreen} {
		d.turn(view(s))
		for range len(want[s]) + 1 {
			d.wait(pace)
			d.press(0, key.NameSpace)
		}
		d.frame()
		for _, c := range want[s] {
			if !slices.ContainsFunc(d.taps, func(tap kiosk.Tap) bool { return tap.Control == c }) {
				t.Errorf("%s: %s never has the focus: %v", s, c, d.taps)
			}
		}
	}
}

// What is to be touched has 15 mm on a display whose width is known.
func TestTargetsAreAsLargeAsAFinger(t *testing.T) {
	for _, tt := range []struct {
		size   image.Point
		millis int
	}{
		{image.Pt(720, 1280), 80},
		{image.Pt(600, 1024), 90},
		{image.Pt(1280, 800), 150},
		{image.Pt(1024, 600), 154},
	} {
		d := open(t, tt.size, view(kiosk.IdleScreen))
		d.s.SetWidth(tt.millis)
		for _, s := range kiosk.Screens() {
			d.view = view(s)
			d.view.Wishes.Large = true // the least room for anything else
			d.frame()
			for _, c := range want[s] {
				b, _ := d.s.Bounds(c)
				if least := 15 * tt.size.X / tt.millis; b.Dx() < least || b.Dy() < least {
					t.Errorf("%v of %d mm, %s: %s is %v, less than %d pixels", tt.size, tt.millis, s, c, b.Size(), least)
				}
				if !b.In(image.Rectangle{Max: tt.size}) {
					t.Errorf("%v of %d mm, %s: %s at %v is off the display", tt.size, tt.millis, s, c, b)
				}
			}
			if len(d.s.Clipped()) > 0 {
				t.Errorf("%v of %d mm, %s: does not fit: %q", tt.size, tt.millis, s, d.s.Clipped())
			}
		}
	}
}

// The picture of an attempt is on the screen after it, and nowhere else.
func TestTheImageOfAnAttemptStaysForItsOwnScreen(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 64, 36))
	for i := range img.Pix {
		img.Pix[i] = 0x7f
	}
	for _, tt := range []struct {
		name string
		next kiosk.View
		want bool
	}{
		{"the visitor is told why", view(kiosk.AgainScreen), true},
		{"the visitor may have left", func() kiosk.View { v := view(kiosk.AgainScreen); v.Ask = true; return v }(), false},
		{"another visitor", func() kiosk.View { v := view(kiosk.AgainScreen); v.Session = "next"; return v }(), false},
		{"the session is over", view(kiosk.StaffScreen), false},
	} {
		d := open(t, upright, view(kiosk.GuidingScreen))
		d.cam = screens.Preview{Image: img, Seq: 1}
		d.frame()
		d.cam = screens.Preview{}
		d.view = tt.next
		d.frame()
		if got := d.s.Still(); got != tt.want {
			t.Errorf("%s: an image is shown: %v", tt.name, got)
		}
		d.view = view(kiosk.GuidingScreen)
		d.frame()
		if d.s.Still() {
			t.Errorf("%s: the image outlives its screen", tt.name)
		}
	}
}

// TestTheVisitorsPhotoIsWithoutTheRing compares the picture that is shown after
// an attempt with that after another, whose ring was at another place.
func TestTheVisitorsPhotoIsWithoutTheRing(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 640, 360))
	for i := range img.Pix {
		img.Pix[i] = byte(i / 4 % 251)
	}
	var photos [2][]byte
	for i, ring := range []float32{0, 0.7} {
		v := view(kiosk.GuidingScreen)
		v.Ring = ring
		d := open(t, upright, v)
		d.cam = screens.Preview{Image: img, Seq: 1}
		d.frame()
		d.cam, d.view = screens.Preview{}, view(kiosk.AgainScreen)
		d.frame()
		if !d.s.Still() {
			t.Fatal("there is no photo")
		}
		photos[i] = d.s.Photo().Pix
	}
	if !bytes.Equal(photos[0], photos[1]) {
		t.Error("the ring is on the photo")
	}
}

// The display changes under the visitor: nothing of where they are is lost.
func TestAResizeLosesNothing(t *testing.T) {
	d := open(t, upright, alone(kiosk.CodeScreen))
	d.dial("8642")
	d.size = lying
	d.frame()
	d.dial("0975")
	d.touch(d.middle(kiosk.Enter))
	if w := []kiosk.Tap{{Control: kiosk.Enter, Text: "86420975"}}; !slices.Equal(d.taps, w) {
		t.Errorf("taps %v, want %v", d.taps, w)
	}
}

// TestAWalkOverRealScreens touches what is on screen, at random, and has the
// flow decide what comes next. Whatever is there has a way on, and nothing of
// one visitor is seen by another.
func TestAWalkOverRealScreens(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(7, 7))
	p := flow.Standard()
	s := flow.State{Phase: flow.Idle}
	at, sessions := time.Duration(0), 0
	seen := map[kiosk.Screen]int{}
	d := open(t, upright, p.View(s))
	step := func(in flow.Input) {
		s, _ = p.Step(s, at, in)
		d.view = p.View(s)
	}
	steps := 160
	if testing.Short() {
		steps = 60
	}
	for i := range steps {
		at += 500 * time.Millisecond
		d.wait(500 * time.Millisecond)
		seen[d.view.Screen]++
		switch rng.IntN(6) {
		case 0:
			sessions++
			step(flow.Launched{Session: kiosk.SessionID(strings.Repeat("x", sessions)), Locale: kiosk.English})
		case 1:
			if s.Typing == kiosk.Checking {
				step(flow.Typed{Try: s.Try, Typing: []kiosk.Typing{kiosk.NotTyped, kiosk.NotTyped, kiosk.Unknown}[rng.IntN(3)]})
			}
		case 2:
			if stand := s.Faults(); len(stand) > 0 {
				step(flow.Faulted{Fault: stand[0]})
			} else if rng.IntN(6) == 0 {
				step(flow.Faulted{Fault: kiosk.Faults()[rng.IntN(len(kiosk.Faults()))], Active: true})
			}
		case 3:
			if s.Until > 0 && rng.IntN(3) == 0 {
				at = max(at, s.Until)
			}
			step(flow.Tick{})
		}
		d.frame()
		var there []kiosk.Control
		for _, c := range kiosk.Controls() {
			if d.shown(c) {
				there = append(there, c)
			}
		}
		if len(there) == 0 && d.view.Until == 0 && d.view.Screen != kiosk.RestingScreen {
			t.Fatalf("step %d: %s has neither a control nor an end", i, d.view.Screen)
		}
		if len(there) == 0 {
			continue
		}
		c := there[rng.IntN(len(there))]
		if d.shown(kiosk.Enter) && rng.IntN(2) == 0 {
			c = kiosk.Enter
		}
		if c == kiosk.Enter && d.view.Typing != kiosk.Checking {
			d.press(0, "4", "9", "3", "0", "2", "7", "1", "6")
		}
		d.taps = nil
		n := 1
		if c == kiosk.Door {
			n = 5
		}
		d.wait(screens.Settle)
		for range n {
			d.touch(d.middle(c))
		}
		for _, tap := range d.taps {
			if tap.Session != s.Session || tap.Control != c {
				t.Fatalf("step %d: %+v on %s, want %s of %q", i, tap, d.view.Screen, c, s.Session)
			}
			step(flow.Tapped{Session: tap.Session, Control: tap.Control})
		}
		if s.Session == "" && (d.view.Session != "" || d.view.Receipt != "" || d.view.Why != "") {
			t.Fatalf("step %d: something of a visitor is on %s: %+v", i, d.view.Screen, d.view)
		}
	}
	for _, screen := range []kiosk.Screen{kiosk.IdleScreen, kiosk.CodeScreen, kiosk.PINScreen, kiosk.DeskScreen, kiosk.ConsentScreen, kiosk.TipsScreen, kiosk.GuidingScreen} {
		if seen[screen] == 0 && !testing.Short() {
			t.Errorf("the walk never saw %s: %v", screen, seen)
		}
	}
}
