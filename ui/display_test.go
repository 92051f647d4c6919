package ui_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gioui.org/layout"
	"gioui.org/op"

	"livekiosk/kiosk"
	"livekiosk/ui"
	"livekiosk/ui/displaytest"
	"livekiosk/ui/screens"
	"livekiosk/ui/theme"
)

// childEnv makes this test program a kiosk's display by itself: a window that
// tells on standard output what it draws and hears, and is told on standard
// input what to show.
const childEnv = "LIVEKIOSK_DISPLAY_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		os.Exit(m.Run()) //nolint:forbidigo // as TestMain has to
	}
	go func() {
		if err := child(); err != nil {
			panic(err)
		}
		os.Exit(0) //nolint:forbidigo // the window system never gives its goroutine back
	}()
	ui.Main()
}

func child() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c := newCore(kiosk.View{Screen: kiosk.ConsentScreen, Locale: kiosk.English, Session: "a"})
	show := func(s kiosk.Screen) {
		v := sample(s, kiosk.English)
		v.Hint = kiosk.HoldStill
		c.show(v)
	}
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = fmt.Fprintf(os.Stdout, format+"\n", args...)
	}
	o := c.options("")
	o.Size = size()
	o.Drawn = func(v kiosk.View) { say("drawn %s", v.Screen) }
	o.Beat = func() { say("beat") }
	o.Tap = func(t kiosk.Tap) {
		say("tap %s", t.Control)
		if t.Control == kiosk.Agree {
			show(kiosk.GuidingScreen)
		}
	}
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			show(kiosk.Screen(in.Text()))
		}
		cancel()
	}()
	return ui.Run(ctx, o)
}

// size is of the window that fills a display.
func size() image.Point { return image.Pt(720, 1280) }

// seen is where what was seen is kept, to be looked at.
const seen = "../out/display"

func TestWindowUnderX11(t *testing.T) { perform(t, displaytest.Xvfb(t, size())) }

func TestWindowUnderWayland(t *testing.T) { perform(t, displaytest.Sway(t, size())) }

// perform has a display's program open a window, and goes through what a kiosk
// meets.
func perform(t *testing.T, d displaytest.Display) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	// A renderer of another test may have chosen a platform for this process.
	own := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "EGL_PLATFORM=") })
	cmd.Env = append(append(own, childEnv+"=1", "LIBGL_ALWAYS_SOFTWARE=1"), d.Env()...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var trouble bytes.Buffer
	cmd.Stderr = &trouble
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l := listen(out)
	defer func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the display ended badly: %v\n%s%s", err, l, &trouble)
		}
	}()
	p := theme.Of(kiosk.Light)
	agree := place(t, kiosk.ConsentScreen, kiosk.Agree)

	// The window opens and shows what it is to show.
	l.wait(t, "drawn consent", 1, &trouble)
	displaytest.See(t, d, seen, "consent", func(m *image.RGBA) bool { return near(m.RGBAAt(agree.X-150, agree.Y), p.Brand) })
	// It is tapped. A tap may come too early: the screen takes none for a moment.
	displaytest.Await(t, "a tap to be heard", func() bool {
		if err := d.Tap(agree); err != nil {
			t.Fatal(err)
		}
		return l.within("tap agree", 1, time.Second)
	}, l.String)
	// The preview is shown, and goes on.
	l.wait(t, "drawn guiding", 1, &trouble)
	skin := color.NRGBA{0xc6, 0x8e, 0x65, 0xff}
	displaytest.See(t, d, seen, "guiding", func(m *image.RGBA) bool { return near(m.RGBAAt(300, 400), skin) })
	l.wait(t, "drawn guiding", l.count("drawn guiding")+5, &trouble)
	// The output is switched off and on: what changed meanwhile is seen.
	if err := d.Power(false); err != nil {
		t.Fatal(err)
	}
	l.wait(t, "beat", l.count("beat")+2, &trouble) // the display lives
	tell(t, in, kiosk.GrantedScreen)
	if err := d.Power(true); err != nil {
		t.Fatal(err)
	}
	l.wait(t, "drawn granted", 1, &trouble)
	displaytest.See(t, d, seen, "granted", func(m *image.RGBA) bool { return near(m.RGBAAt(360, 230), p.Good) || near(m.RGBAAt(300, 284), p.Good) })
	// A screen without motion is drawn, and then nothing is.
	tell(t, in, kiosk.IdleScreen)
	l.wait(t, "drawn idle", 1, &trouble)
	displaytest.See(t, d, seen, "idle", func(m *image.RGBA) bool { return near(m.RGBAAt(10, 1000), p.Back) && near(m.RGBAAt(10, 300), p.Tint) })
	l.wait(t, "beat", l.count("beat")+2, &trouble) // the server may have asked for one more
	before := l.count("drawn idle")
	l.wait(t, "beat", l.count("beat")+3, &trouble)
	if n := l.count("drawn idle") - before; n > 0 {
		t.Errorf("the idle screen was drawn %d times for nothing", n)
	}
}

// tell has the display show a screen.
func tell(t *testing.T, in io.Writer, s kiosk.Screen) {
	t.Helper()
	if _, err := fmt.Fprintln(in, s); err != nil {
		t.Fatal(err)
	}
}

// place returns where a control is on a screen of 720x1280.
func place(t *testing.T, s kiosk.Screen, c kiosk.Control) image.Point {
	t.Helper()
	set, err := screens.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	set.Layout(layout.Context{Ops: new(op.Ops), Constraints: layout.Exact(size())}, sample(s, kiosk.English), screens.Preview{})
	b, shown := set.Bounds(c)
	if !shown {
		t.Fatalf("%s has no %s", s, c)
	}
	return b.Min.Add(b.Max).Div(2)
}

func near(a color.RGBA, b color.NRGBA) bool {
	for _, p := range [3][2]uint8{{a.R, b.R}, {a.G, b.G}, {a.B, b.B}} {
		if d := int(p[0]) - int(p[1]); d < -8 || d > 8 {
			return false
		}
	}
	return true
}

// Lines are what a program says.
type lines struct {
	mu   sync.Mutex
	all  []string
	more chan struct{}
}

func listen(out io.Reader) *lines {
	l := &lines{more: make(chan struct{})}
	go func() {
		for in := bufio.NewScanner(out); in.Scan(); {
			l.mu.Lock()
			l.all = append(l.all, in.Text())
			close(l.more)
			l.more = make(chan struct{})
			l.mu.Unlock()
		}
	}()
	return l
}

// seen returns how often line was said, and what closes when more is.
func (l *lines) seen(line string) (n int, more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.all {
		if s == line {
			n++
		}
	}
	return n, l.more
}

func (l *lines) count(line string) int {
	n, _ := l.seen(line)
	return n
}

// within reports whether line is said so often in that time.
func (l *lines) within(line string, times int, in time.Duration) bool {
	end := time.NewTimer(in)
	defer end.Stop()
	for {
		n, more := l.seen(line)
		if n >= times {
			return true
		}
		select {
		case <-more:
		case <-end.C:
			return false
		}
	}
}

func (l *lines) wait(t *testing.T, line string, times int, trouble fmt.Stringer) {
	t.Helper()
	if !l.within(line, times, displaytest.Patience) {
		t.Fatalf("waited in vain for %q, %d times\n%s\n%s", line, times, l, trouble)
	}
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}
