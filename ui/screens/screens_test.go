package screens_test

import (
	"image"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"gioui.org/f32"
	"gioui.org/io/input"
	"gioui.org/io/key"
	"gioui.org/io/pointer"
	"gioui.org/layout"
	"gioui.org/op"

	"livekiosk/kiosk"
	"livekiosk/ui/screens"
	"livekiosk/ui/text"
)

var (
	upright = image.Pt(720, 1280)
	lying   = image.Pt(1280, 800)
)

var allControls = kiosk.Controls()

// wishes are on every screen that a visitor sees.
var wishes = []kiosk.Control{kiosk.Switch, kiosk.Large, kiosk.Contrast, kiosk.NoLimit}

// want lists the controls of every screen in a session; those of screens
// without one are in none of it.
var want = map[kiosk.Screen][]kiosk.Control{
	kiosk.IdleScreen:         append([]kiosk.Control{kiosk.Begin}, wishes...),
	kiosk.RestingScreen:      {kiosk.Begin},
	kiosk.CommissionScreen:   nil,
	kiosk.CodeScreen:         append([]kiosk.Control{kiosk.Cancel, kiosk.Enter}, wishes...),
	kiosk.ConsentScreen:      append([]kiosk.Control{kiosk.Agree, kiosk.Decline, kiosk.Help}, wishes...),
	kiosk.TipsScreen:         append([]kiosk.Control{kiosk.Ready, kiosk.Cancel, kiosk.Help}, wishes...),
	kiosk.WarningScreen:      append([]kiosk.Control{kiosk.Flash, kiosk.NoFlash, kiosk.Cancel, kiosk.Help}, wishes...),
	kiosk.ColoursScreen:      {kiosk.Cancel, kiosk.NoFlash},
	kiosk.GuidingScreen:      append([]kiosk.Control{kiosk.Cancel, kiosk.Help}, wishes...),
	kiosk.AgainScreen:        append([]kiosk.Control{kiosk.Resume, kiosk.Cancel, kiosk.Help}, wishes...),
	kiosk.SavingScreen:       wishes,
	kiosk.WaitingScreen:      append([]kiosk.Control{kiosk.Done}, wishes...),
	kiosk.GrantedScreen:      append([]kiosk.Control{kiosk.Done}, wishes...),
	kiosk.RefusedScreen:      append([]kiosk.Control{kiosk.Done}, wishes...),
	kiosk.SavedScreen:        append([]kiosk.Control{kiosk.Done}, wishes...),
	kiosk.StaffScreen:        append([]kiosk.Control{kiosk.Done}, wishes...),
	kiosk.CancelledScreen:    append([]kiosk.Control{kiosk.Done}, wishes...),
	kiosk.OutOfServiceScreen: wishes,
	kiosk.PINScreen:          {kiosk.Cancel, kiosk.Enter},
	kiosk.DeskScreen:         {kiosk.Drain, kiosk.Listing, kiosk.Done},
}

// A display is screens without a window or a GPU: a router that takes fingers.
type display struct {
	t      *testing.T
	s      *screens.Screens
	router input.Router
	ops    op.Ops
	size   image.Point
	now    time.Time
	view   kiosk.View
	cam    screens.Preview
	taps   []kiosk.Tap
}

func open(t *testing.T, size image.Point, v kiosk.View) *display {
	t.Helper()
	d := &display{t: t, size: size, now: time.Unix(1000, 0), view: v}
	s, err := screens.New(func(tap kiosk.Tap) { d.taps = append(d.taps, tap) })
	if err != nil {
		t.Fatal(err)
	}
	d.s = s
	d.frame()
	d.wait(screens.Settle)
	return d
}

func (d *display) frame() {
	d.ops.Reset()
	gtx := layout.Context{Ops: &d.ops, Source: d.router.Source(), Now: d.now, Constraints: layout.Exact(d.size)}
	if got := d.s.Layout(gtx, d.view, d.cam).Size; got != d.size {
		d.t.Errorf("%s takes %v of %v", d.view.Screen, got, d.size)
	}
	d.router.Frame(&d.ops)
}

func (d *display) wait(by time.Duration) {
	d.now = d.now.Add(by)
	d.frame()
}

func (d *display) finger(kind pointer.Kind, at image.Point) {
	d.router.Queue(pointer.Event{Kind: kind, Source: pointer.Touch, Position: f32.Pt(float32(at.X), float32(at.Y))})
	d.frame()
}

func (d *display) touch(at image.Point) {
	d.finger(pointer.Press, at)
	d.finger(pointer.Release, at)
	d.frame()
}

func (d *display) middle(c kiosk.Control) image.Point {
	d.t.Helper()
	b, shown := d.s.Bounds(c)
	if !shown {
		d.t.Fatalf("%s has no %s", d.view.Screen, c)
	}
	return b.Min.Add(b.Max).Div(2)
}

// dial types digits with a finger.
func (d *display) dial(digits string) string {
	for _, r := range digits {
		d.touch(d.key(int(r - '0')))
	}
	return digits
}

// key is the middle of the key of a digit; 10 takes one back.
func (d *display) key(k int) image.Point {
	d.t.Helper()
	b := d.s.Key(k)
	if b.Empty() {
		d.t.Fatalf("%s has no key %d", d.view.Screen, k)
	}
	return b.Min.Add(b.Max).Div(2)
}

func view(s kiosk.Screen) kiosk.View {
	return kiosk.View{
		Session: "7f3a", Screen: s, Locale: kiosk.Indonesian, Pose: kiosk.Far, Hint: kiosk.MoveLeft,
		FaceGoal: 0.4, Ring: 0.5, AttemptsLeft: 2, Receipt: "k7q2m9xa", Fault: kiosk.CameraFault, Until: time.Minute,
	}
}

func TestEachControlSendsExactlyItsTap(t *testing.T) {
	for _, size := range []image.Point{upright, lying} {
		for screen, controls := range want {
			for _, c := range controls {
				t.Run(string(screen)+" "+string(c)+" "+size.String(), func(t *testing.T) {
					d := open(t, size, view(screen))
					typed := ""
					if c == kiosk.Enter {
						typed = d.dial("86420975")
					}
					d.touch(d.middle(c))
					if w := []kiosk.Tap{{Session: "7f3a", Control: c, Text: typed}}; !slices.Equal(d.taps, w) {
						t.Errorf("taps %v, want %v", d.taps, w)
					}
				})
			}
		}
	}
}

func TestScreensShowTheirControlsAndNoOthers(t *testing.T) {
	for _, s := range kiosk.Screens() {
		controls, known := want[s]
		if !known {
			t.Fatalf("%s is not in the table", s)
		}
		for _, size := range []image.Point{upright, lying} {
			d := open(t, size, view(s))
			for _, c := range allControls {
				if _, shown := d.s.Bounds(c); shown != slices.Contains(controls, c) {
					t.Errorf("%s %v: %s shown is %v", s, size, c, shown)
				}
			}
		}
	}
}

// A visitor who finds an installer's screen cannot do anything with it, and no
// passer-by can end it.
func TestCommissioningTakesNoTaps(t *testing.T) {
	for _, size := range []image.Point{upright, lying} {
		for _, step := range kiosk.Steps() {
			d := open(t, size, kiosk.View{Screen: kiosk.CommissionScreen, Step: step})
			for _, c := range allControls {
				if _, shown := d.s.Bounds(c); shown {
					t.Errorf("%s %v: %s is there", step, size, c)
				}
			}
		}
	}
}

// Where the visitor may have left, the next attempt waits for a word of theirs.
func TestAnAttemptThatAsksIsResumedByATap(t *testing.T) {
	for _, size := range []image.Point{upright, lying} {
		v := view(kiosk.AgainScreen)
		v.Ask = true
		d := open(t, size, v)
		for _, c := range []kiosk.Control{kiosk.Resume, kiosk.Cancel, kiosk.Help} {
			if _, shown := d.s.Bounds(c); !shown {
				t.Errorf("%v: %s is not there", size, c)
			}
		}
		d.touch(d.middle(kiosk.Resume))
		if w := []kiosk.Tap{{Session: v.Session, Control: kiosk.Resume}}; !slices.Equal(d.taps, w) {
			t.Errorf("%v: taps %v, want %v", size, d.taps, w)
		}
	}
}

// Saving takes as long as one write to disk and has a deadline in the flow; the
// screens without a session have nothing to leave.
func TestEveryScreenOfASessionHasAnExit(t *testing.T) {
	exits := []kiosk.Control{kiosk.Decline, kiosk.Cancel, kiosk.Help, kiosk.Done}
	for _, s := range kiosk.Screens() {
		if s == kiosk.IdleScreen || s == kiosk.RestingScreen || s == kiosk.OutOfServiceScreen || s == kiosk.SavingScreen || s == kiosk.CommissionScreen {
			continue
		}
		v := view(s)
		v.Until = 0
		d := open(t, upright, v)
		if !slices.ContainsFunc(exits, func(c kiosk.Control) bool { _, shown := d.s.Bounds(c); return shown }) {
			t.Errorf("%s cannot be left", s)
		}
	}
}

func TestButtonsCanBeHit(t *testing.T) {
	for _, size := range []image.Point{upright, lying} {
		for _, s := range kiosk.Screens() {
			d := open(t, size, view(s))
			var placed []image.Rectangle
			for _, c := range allControls {
				b, shown := d.s.Bounds(c)
				if !shown {
					continue
				}
				if b.Dx() < 96 || b.Dy() < 96 {
					t.Errorf("%s %v: %s is %v, smaller than a finger", s, size, c, b.Size())
				}
				if !b.In(image.Rectangle{Max: size}) {
					t.Errorf("%s %v: %s at %v is off the display", s, size, c, b)
				}
				if b.Min.Y < size.Y/2 && b.Size() != size { // all of the screen is within reach
					t.Errorf("%s %v: %s at %v is not in the lower half", s, size, c, b)
				}
				for _, o := range placed {
					if !b.Inset(-6).Intersect(o).Empty() {
						t.Errorf("%s %v: %s at %v is too close to another at %v", s, size, c, b, o)
					}
				}
				placed = append(placed, b)
			}
		}
	}
}

func TestTapsThatMustNotCount(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(d *display)
	}{
		{"beside every button", func(d *display) { d.touch(image.Pt(360, 20)) }},
		{"slid off the button before lifting", func(d *display) {
			d.finger(pointer.Press, d.middle(kiosk.Agree))
			d.finger(pointer.Move, image.Pt(360, 300))
			d.finger(pointer.Release, image.Pt(360, 300))
			d.frame()
		}},
		{"the second of a double tap, on the screen that came up in between", func(d *display) {
			d.view = view(kiosk.GuidingScreen)
			d.frame()
			d.touch(d.middle(kiosk.Cancel))
		}},
		{"begun on one screen and ended on the next", func(d *display) {
			at := d.middle(kiosk.Decline)
			d.finger(pointer.Press, at)
			d.view = view(kiosk.AgainScreen)
			d.wait(2 * screens.Settle)
			if b, _ := d.s.Bounds(kiosk.Cancel); !at.In(b) {
				d.t.Fatalf("%v is not on cancel at %v: the test proves nothing", at, b)
			}
			d.finger(pointer.Release, at)
			d.frame()
		}},
		{"begun in one visitor's session and ended in the next one's", func(d *display) {
			d.finger(pointer.Press, d.middle(kiosk.Agree))
			d.view.Session = "next"
			d.wait(2 * screens.Settle)
			d.finger(pointer.Release, d.middle(kiosk.Agree))
			d.frame()
		}},
		{"pressed by program where it is not", func(d *display) {
			d.s.Press(kiosk.Done)
			d.frame()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := open(t, upright, view(kiosk.ConsentScreen))
			c.do(d)
			if len(d.taps) > 0 {
				t.Errorf("counted as %v", d.taps)
			}
		})
	}
}

func TestPressTapsByProgram(t *testing.T) {
	d := open(t, lying, view(kiosk.ConsentScreen))
	d.s.Press(kiosk.Agree)
	d.frame()
	d.frame()
	if w := []kiosk.Tap{{Session: "7f3a", Control: kiosk.Agree}}; !slices.Equal(d.taps, w) {
		t.Errorf("taps %v, want %v", d.taps, w)
	}
}

func TestKeyboardReachesEveryButton(t *testing.T) {
	d := open(t, upright, view(kiosk.ConsentScreen))
	for range 8 {
		d.router.MoveFocus(key.FocusForward)
		d.frame()
		for _, s := range []key.State{key.Press, key.Release} {
			d.router.Queue(key.Event{Name: key.NameReturn, State: s})
		}
		d.frame()
	}
	for _, c := range want[kiosk.ConsentScreen] {
		if !slices.Contains(d.taps, kiosk.Tap{Session: "7f3a", Control: c}) {
			t.Errorf("%s was not reached: %v", c, d.taps)
		}
	}
}

func TestNoTextIsClipped(t *testing.T) {
	t.Parallel()
	sizes := []image.Point{
		upright, lying, {1080, 1920}, {600, 1024}, {480, 800}, {1920, 1080}, {1024, 600}, {1000, 1000},
	}
	for _, size := range sizes {
		for _, l := range text.BuiltIn().Locales() {
			d := open(t, size, kiosk.View{Screen: kiosk.IdleScreen, Locale: l})
			for _, st := range screens.States() {
				for _, left := range []int{0, 1, 2} {
					d.view = st.View
					d.view.Locale, d.view.AttemptsLeft = l, left
					d.frame()
					if c := d.s.Clipped(); len(c) > 0 {
						t.Errorf("%v %s %s, %d left: does not fit: %q", size, l, st.Name, left, c)
					}
				}
			}
		}
	}
}

func TestConsentScrollsToItsEndAndBeginsAnewForTheNextVisitor(t *testing.T) {
	d := open(t, upright, view(kiosk.ConsentScreen))
	if at, end := d.s.Scrolled(); at != 0 || end {
		t.Fatalf("starts at %d, end on screen %v", at, end)
	}
	for range 12 {
		d.finger(pointer.Press, image.Pt(360, 800))
		for y := 780; y >= 400; y -= 20 {
			d.now = d.now.Add(16 * time.Millisecond)
			d.finger(pointer.Move, image.Pt(360, y))
		}
		d.wait(time.Second)
		d.finger(pointer.Release, image.Pt(360, 400))
		d.wait(3 * time.Second)
	}
	if at, end := d.s.Scrolled(); at == 0 || !end {
		t.Errorf("a finger brought it to %d, end on screen %v", at, end)
	}
	if len(d.taps) > 0 {
		t.Errorf("scrolling tapped %v", d.taps)
	}
	d.view.Session = "next"
	d.frame()
	if at, _ := d.s.Scrolled(); at != 0 {
		t.Errorf("the next visitor begins at %d", at)
	}
}

func TestRandomUseNeverPanicsNorTapsWhatIsNotThere(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	cams := []*image.RGBA{nil, image.NewRGBA(image.Rect(0, 0, 1, 1)), image.NewRGBA(image.Rect(3, 5, 67, 41)), image.NewRGBA(image.Rect(0, 0, 36, 64)), {}}
	sizes := []image.Point{upright, lying, {480, 800}, {1, 1}, {30, 2000}, {2000, 40}, {}}
	floats := []float32{0, 0.3, 0.7, 1, 5, -1, float32(inf()), float32(-inf()), float32(inf() - inf())}
	hints := append(kiosk.Hints(), kiosk.NoHint, "unheard_of")
	d := open(t, upright, view(kiosk.IdleScreen))
	steps := 1500
	if testing.Short() {
		steps = 400
	}
	for i := range steps {
		switch rng.IntN(8) {
		case 0:
			d.view = view(kiosk.Screens()[rng.IntN(len(kiosk.Screens()))])
			d.view.Session = []kiosk.SessionID{"a", "b", ""}[rng.IntN(3)]
		case 1:
			d.view.Hint = hints[rng.IntN(len(hints))]
			d.view.Pose = []kiosk.Pose{kiosk.Far, kiosk.Near, ""}[rng.IntN(3)]
			d.view.Ring, d.view.FaceGoal = floats[rng.IntN(len(floats))], floats[rng.IntN(len(floats))]
		case 2:
			d.cam = screens.Preview{Image: cams[rng.IntN(len(cams))], Seq: uint64(rng.IntN(3))}
		case 3:
			if rng.IntN(4) == 0 {
				d.size = sizes[rng.IntN(len(sizes))]
			}
			d.view.Locale = []kiosk.Locale{kiosk.Indonesian, kiosk.English, "xx"}[rng.IntN(3)]
			d.view.Theme = []kiosk.Theme{kiosk.Light, kiosk.Dark, kiosk.NoPreference, kiosk.HighContrast, ""}[rng.IntN(5)]
			d.view.AttemptsLeft = rng.IntN(5) - 1
		}
		d.wait(time.Duration(rng.IntN(500)) * time.Millisecond)
		d.taps = nil
		at := image.Pt(rng.IntN(1400)-50, rng.IntN(1400)-50)
		if c := allControls[rng.IntN(len(allControls))]; rng.IntN(2) == 0 {
			if b, shown := d.s.Bounds(c); shown {
				at = b.Min.Add(b.Max).Div(2)
			}
		}
		kinds := []pointer.Kind{pointer.Press, pointer.Release, pointer.Move, pointer.Cancel, pointer.Scroll}
		d.finger(kinds[rng.IntN(len(kinds))], at)
		if rng.IntN(2) == 0 {
			d.finger(pointer.Release, at)
		}
		for _, tap := range d.taps {
			if tap.Session != d.view.Session || !slices.Contains(want[d.view.Screen], tap.Control) {
				t.Fatalf("step %d: %v on %s of session %q", i, tap, d.view.Screen, d.view.Session)
			}
		}
	}
}

func inf() float64 {
	big := 1e308
	return big * 10
}

func TestWaitingWakesByItselfAndIdleRests(t *testing.T) {
	for s, wakes := range map[kiosk.Screen]bool{
		kiosk.SavingScreen: true, kiosk.WaitingScreen: true,
		kiosk.IdleScreen: false, kiosk.RestingScreen: false, kiosk.GrantedScreen: false, kiosk.ConsentScreen: false, kiosk.OutOfServiceScreen: false,
	} {
		d := open(t, upright, view(s))
		d.frame()
		at, again := d.router.WakeupTime()
		if again != wakes {
			t.Errorf("%s wants to be drawn again: %v", s, again)
		}
		if again && (at.Before(d.now) || at.Sub(d.now) > time.Second) {
			t.Errorf("%s wants to be drawn again %v from now", s, at.Sub(d.now))
		}
	}
}

func TestIconsCanBeRead(t *testing.T) {
	for _, bad := range screens.Unreadable() {
		t.Errorf("icon %q", bad)
	}
	for _, bad := range []string{"M 1", "X 1 2", "M a b", "L 1 2 3", "C 1 2 3 4 5", "M NaN"} {
		if screens.Readable(bad) {
			t.Errorf("%q was read", bad)
		}
	}
}

// A hint is told from the others by its picture and its words. Pictures may be
// shared where the thing to do is the same.
func TestHintsThatAskForOppositesLookDifferent(t *testing.T) {
	for _, pair := range [][2]kiosk.Hint{
		{kiosk.MoveLeft, kiosk.MoveRight},
		{kiosk.MoveUp, kiosk.MoveDown},
		{kiosk.FaceTooFar, kiosk.FaceTooClose},
		{kiosk.TooDark, kiosk.TooBright},
		{kiosk.TurnLeft, kiosk.TurnRight},
		{kiosk.ChinUp, kiosk.ChinDown},
		{kiosk.GoodHold, kiosk.HoldStill},
		{kiosk.EyesCovered, kiosk.EyesClosed},
	} {
		if screens.HintIcon(pair[0]) == screens.HintIcon(pair[1]) {
			t.Errorf("%s and %s have one icon", pair[0], pair[1])
		}
	}
}
