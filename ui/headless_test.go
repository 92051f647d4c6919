package ui_test

import (
	"context"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/ui"
)

// A core is what stands behind a display in these tests.
type core struct {
	mu      sync.Mutex
	view    kiosk.View
	changed chan struct{}
	taps    chan kiosk.Tap
	beats   chan struct{}
	seq     uint64
}

func newCore(v kiosk.View) *core {
	return &core{view: v, changed: make(chan struct{}, 1), taps: make(chan kiosk.Tap, 16), beats: make(chan struct{}, 1)}
}

func (c *core) show(v kiosk.View) {
	c.mu.Lock()
	c.view = v
	c.mu.Unlock()
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

func (c *core) options(out string) ui.Options {
	camera := ui.Person(image.Pt(320, 180))
	return ui.Options{
		View: func() kiosk.View {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.view
		},
		Changed: c.changed,
		Tap:     func(t kiosk.Tap) { c.taps <- t },
		Preview: func() (*image.RGBA, uint64) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.seq++
			return camera, c.seq
		},
		Beat: func() {
			select {
			case c.beats <- struct{}{}:
			default:
			}
		},
		Size: image.Pt(360, 640), Out: out, FrameRate: 60,
	}
}

// start runs a headless display; stop ends it and waits.
func start(t *testing.T, o ui.Options) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- ui.Headless(ctx, o) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func receive[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(90 * time.Second):
		t.Fatalf("no %s", what)
		panic("unreachable")
	}
}

// until waits for a picture to appear.
func until(t *testing.T, dir, name string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(90 * time.Second)
	for {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s did not appear among %v", name, pictures(t, dir))
		}
	}
}

func pictures(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestHeadlessPicturesASessionInOrder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "screens")
	c := newCore(kiosk.View{Screen: kiosk.IdleScreen, Locale: kiosk.Indonesian})
	o := c.options(dir)
	o.Script = []kiosk.Control{kiosk.Agree}
	stop := start(t, o)
	defer stop()
	until(t, dir, "01-idle.png")
	receive(t, "beat", c.beats)

	v := sample(kiosk.ConsentScreen, kiosk.Indonesian)
	c.show(v)
	if tap := receive(t, "tap of the script", c.taps); tap != (kiosk.Tap{Session: v.Session, Control: kiosk.Agree}) {
		t.Errorf("script tapped %v", tap)
	}
	until(t, dir, "02-consent.png")

	v = sample(kiosk.GuidingScreen, kiosk.Indonesian)
	v.Hint = kiosk.NoHint
	c.show(v)
	until(t, dir, "03-guiding-far.png")
	v.Hint = kiosk.MoveLeft
	c.show(v)
	until(t, dir, "04-guiding-far-move_left.png")
	v.Ring = 0.9 // not worth a picture
	c.show(v)
	v.Pose, v.Hint = kiosk.Near, kiosk.MoveCloser
	c.show(v)
	until(t, dir, "05-guiding-near-move_closer_slowly.png")
	c.show(sample(kiosk.GrantedScreen, kiosk.Indonesian))
	stop() // the last view has its picture though the display ends at once

	want := []string{
		"01-idle.png", "02-consent.png", "03-guiding-far.png", "04-guiding-far-move_left.png",
		"05-guiding-near-move_closer_slowly.png", "06-granted.png",
	}
	if got := pictures(t, dir); !slices.Equal(got, want) {
		t.Errorf("pictures %v, want %v", got, want)
	}
	for _, name := range want {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		m, err := png.Decode(f)
		f.Close()
		if err != nil || m.Bounds().Size() != image.Pt(360, 640) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, want[0])); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a picture of a visitor can be read by others: %v %v", info.Mode(), err)
	}
	if len(c.taps) > 0 {
		t.Errorf("script tapped more than it holds: %v", <-c.taps)
	}
}

func TestScriptBeginsAnewWithEverySession(t *testing.T) {
	c := newCore(kiosk.View{Screen: kiosk.IdleScreen})
	o := c.options("")
	o.Script = []kiosk.Control{kiosk.Switch, kiosk.Agree}
	defer start(t, o)()
	for _, session := range []kiosk.SessionID{"first", "second"} {
		v := sample(kiosk.ConsentScreen, kiosk.English)
		v.Session = session
		c.show(v)
		for _, control := range o.Script {
			if got := receive(t, "tap", c.taps); got != (kiosk.Tap{Session: session, Control: control}) {
				t.Errorf("script tapped %v, want %s of %s", got, control, session)
			}
		}
	}
}

func TestPicturesAreNumberedOnFromAnEarlierRun(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"41-granted.png", "notes.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stop := start(t, newCore(kiosk.View{Screen: kiosk.IdleScreen}).options(dir))
	until(t, dir, "42-idle.png")
	stop()
}

func TestPicturesOfOneRunAreBounded(t *testing.T) {
	dir := t.TempDir()
	c := newCore(kiosk.View{Screen: kiosk.IdleScreen})
	o := c.options(dir)
	o.Size = image.Pt(240, 320)
	drawn := make(chan kiosk.View, 1000)
	o.Drawn = func(v kiosk.View) { drawn <- v }
	stop := start(t, o)
	hints := []kiosk.Hint{kiosk.MoveLeft, kiosk.MoveRight}
	v := sample(kiosk.GuidingScreen, kiosk.English)
	for i := range ui.Pictures {
		v.Hint = hints[i%2]
		c.show(v)
		for receive(t, "drawing", drawn) != v {
		}
	}
	c.show(sample(kiosk.StaffScreen, kiosk.English))
	stop()
	if got := pictures(t, dir); len(got) != ui.Pictures {
		t.Errorf("%d pictures, want %d", len(got), ui.Pictures)
	}
}

func TestPicturesNeedADirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := ui.Headless(t.Context(), newCore(kiosk.View{}).options(file)); err == nil {
		t.Error("wrote pictures into a file")
	}
}

func TestAScreenWithoutMotionIsDrawnOnce(t *testing.T) {
	c := newCore(sample(kiosk.IdleScreen, kiosk.English))
	o := c.options("")
	drawn := make(chan kiosk.Screen, 100)
	o.Drawn = func(v kiosk.View) { drawn <- v.Screen }
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- ui.Headless(ctx, o) }()
	<-drawn
	for range 3 { // a second each: the display lives, and camera images go by
		<-c.beats
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if n := len(drawn); n > 0 {
		t.Errorf("the idle screen was drawn %d times more", n)
	}
}
