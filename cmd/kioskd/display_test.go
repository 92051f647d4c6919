package main

import (
	"bytes"
	"fmt"
	"image"
	"image/draw"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"gioui.org/layout"
	"gioui.org/op"

	"livekiosk/camera/jpeg"
	"livekiosk/camera/replay"
	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/queue/gateway/gatewaysim"
	"livekiosk/queue/gateway/partner/partnertest"
	"livekiosk/ui"
	"livekiosk/ui/displaytest"
	"livekiosk/ui/screens"
)

// TestTheDaemonOnADisplay has a visitor use the daemon that is shipped, in its
// window, on display servers without a display. What is seen there is held
// against what a renderer without a window draws.
func TestTheDaemonOnADisplay(t *testing.T) {
	kioskd := build(t)
	looks := newLooks(t)
	for _, tt := range []struct {
		name string
		open func(testing.TB, image.Point) displaytest.Display
		told string // how libwayland writes that the window was told of a touch
	}{
		{"X11 with a pointer", displaytest.Xvfb, ""},
		{"X11 with a touch screen", displaytest.Xorg, ""}, // of which the server makes a pointer: Gio asks X for no touches
		{"Wayland with a touch screen", displaytest.SwayTouch, `wl_touch[@#]\d+\.down\(`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			world := partnertest.New(t, gatewaysim.Options{})
			d := tt.open(t, looks.size)
			l := newLab(t)
			// A renderer of another test may have chosen a platform for this process.
			l.env = append(d.Env(), "EGL_PLATFORM=", "LIBGL_ALWAYS_SOFTWARE=1", "WAYLAND_DEBUG=client")
			k := l.spawn([]string{kioskd}, "-display", "window", "-gateway", world.URL, "-partner", world.PartnerURL,
				"-camera", "frames:"+looks.frames, "-size", fmt.Sprintf("%dx%d", looks.size.X, looks.size.Y), "-config", l.file("c.toml", "[flow]\nrest_in = \"10m\"\n"))
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("the daemon says\n%s", k.log)
				}
			})
			v := &visitor{t: t, looks: looks, display: d, daemon: k.daemonUnderTest}
			v.visit()
			if code := k.stop(); code != exitOK {
				t.Errorf("exit code %d", code)
			}
			if tt.told == "" {
				return
			}
			log := k.log.String()
			if n := len(regexp.MustCompile(tt.told).FindAllString(log, -1)); n != v.touches {
				t.Errorf("the window was told of %d touches, want %d", n, v.touches)
			}
			if regexp.MustCompile(`wl_pointer[@#]\d+\.button\(`).MatchString(log) {
				t.Error("the window was told of a pointer's button, too")
			}
		})
	}
}

// A visitor stands before the display.
type visitor struct {
	t       *testing.T
	looks   *looks
	display displaytest.Display
	daemon  *daemonUnderTest
	touches int
}

// visit begins and thinks better of it, is sent by staff, comes before the
// camera and leaves. Meanwhile the output is switched off and on.
func (v *visitor) visit() {
	t := v.t
	t.Helper()
	v.tap("idle", kiosk.Begin)
	v.tap("code", kiosk.Cancel)
	v.see("idle")
	v.status("service", healthy)
	if _, err := v.daemon.client.Launch(t.Context(), kiosk.Launch{
		CorrelationID: "c-1", UserID: "u-1", Locale: kiosk.English, Theme: kiosk.Light, NoTimeLimit: true,
	}); err != nil {
		t.Fatal(err)
	}
	v.tap("consent", kiosk.Switch)
	v.tap("consent-id", kiosk.Agree)
	v.tap("tips", kiosk.Ready)
	v.watch("guiding")
	v.power(false)
	before := v.status("its frames", func(api.Status) bool { return true }).Camera.Frames
	v.status("the kiosk to go on in the dark", func(s api.Status) bool { return healthy(s) && s.SessionRunning && s.Camera.Frames > before+5 })
	v.power(true)
	v.watch("lit-again")
	v.tap("guiding", kiosk.Cancel)
	v.tap("cancelled", kiosk.Done)
	v.see("idle")
}

// status waits until what the daemon says of itself is as it should.
func (v *visitor) status(what string, right func(api.Status) bool) (s api.Status) {
	v.t.Helper()
	displaytest.Await(v.t, what, func() bool {
		var err error
		s, err = v.daemon.client.Status(v.t.Context())
		return err == nil && right(s)
	}, func() string { return fmt.Sprintf("%+v", s) })
	return s
}

func (v *visitor) power(on bool) {
	v.t.Helper()
	if err := v.display.Power(on); err != nil {
		v.t.Fatal(err)
	}
}

// see waits until a screen is seen, in all of its pixels but a few.
func (v *visitor) see(name string) {
	v.t.Helper()
	if v.looks.views[name].Screen.Live() {
		return // watched
	}
	displaytest.See(v.t, v.display, seen, name, func(m *image.RGBA) bool {
		return others(m, v.looks.pictures[name]) <= few
	})
}

// watch waits until the camera's pictures are seen in the mirror, one and then
// the other: it moves.
func (v *visitor) watch(name string) {
	v.t.Helper()
	for i := range 3 {
		want, other := v.looks.mirrors[i%2], v.looks.mirrors[1-i%2]
		displaytest.See(v.t, v.display, seen, fmt.Sprintf("%s-%d", name, i), func(m *image.RGBA) bool {
			return distance(m, want) < alike && distance(m, other) > 3*alike
		})
	}
}

// tap touches a control once its screen is seen and takes taps. It does so
// once: a second touch might meet the next screen.
func (v *visitor) tap(name string, c kiosk.Control) {
	v.t.Helper()
	v.see(name)
	<-time.After(screens.Settle)
	if err := v.display.Tap(v.looks.places[name][c]); err != nil {
		v.t.Fatal(err)
	}
	v.touches++
}

// seen is where what was seen is kept, to be looked at.
const seen = "../../out/display"

// The looks of the kiosk are what is to be seen on its display.
type looks struct {
	size     image.Point
	frames   string // folder of the camera's: two pictures, for half a second each in turn
	views    map[string]kiosk.View
	pictures map[string]*image.RGBA
	places   map[string]map[kiosk.Control]image.Point
	mirrors  [2]*image.RGBA // guidance before either picture of the camera's
}

func newLooks(t *testing.T) *looks {
	t.Helper()
	l := &looks{size: image.Pt(360, 640), frames: t.TempDir(), pictures: map[string]*image.RGBA{}, places: map[string]map[kiosk.Control]image.Point{}}
	wishes := kiosk.Wishes{NoLimit: true}
	l.views = map[string]kiosk.View{
		"idle":       {Screen: kiosk.IdleScreen, Locale: kiosk.Indonesian},
		"code":       {Screen: kiosk.CodeScreen, Locale: kiosk.Indonesian},
		"consent":    {Screen: kiosk.ConsentScreen, Session: "s", Locale: kiosk.English, Wishes: wishes},
		"consent-id": {Screen: kiosk.ConsentScreen, Session: "s", Locale: kiosk.Indonesian, Wishes: wishes},
		"tips":       {Screen: kiosk.TipsScreen, Session: "s", Locale: kiosk.Indonesian, Wishes: wishes},
		"guiding":    {Screen: kiosk.GuidingScreen, Session: "s", Locale: kiosk.Indonesian, Wishes: wishes},
		"cancelled":  {Screen: kiosk.CancelledScreen, Session: "s", Locale: kiosk.Indonesian, Wishes: wishes, Until: time.Minute},
	}
	r, err := ui.NewRenderer(l.size)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s, err := screens.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range l.views {
		if l.pictures[name], err = r.Render(v, nil); err != nil {
			t.Fatal(err)
		}
		s.Layout(layout.Context{Ops: new(op.Ops), Constraints: layout.Exact(l.size)}, v, screens.Preview{})
		l.places[name] = map[kiosk.Control]image.Point{}
		for _, c := range kiosk.Controls() {
			if b, shown := s.Bounds(c); shown {
				l.places[name][c] = b.Min.Add(b.Max).Div(2)
			}
		}
	}
	for name, m := range l.pictures {
		for other, n := range l.pictures {
			if name < other && others(m, n) <= 2*few {
				t.Fatalf("%s and %s look too much alike to be told apart", name, other)
			}
		}
	}
	clip, err := replay.Open(replay.Options{Clip: replay.Portrait})
	if err != nil {
		t.Fatal(err)
	}
	enc := jpeg.NewEncoder()
	defer enc.Close()
	// One stands there at a distance, and steps aside: nothing is near enough to
	// be submitted, and nobody is ever gone.
	there := clip.Compose(7 * time.Second)
	aside := image.NewRGBA(there.Rect)
	copy(aside.Pix, there.Pix)
	draw.Draw(aside, there.Rect.Add(image.Pt(200, 0)), there, image.Point{}, draw.Src)
	for i, m := range []*image.RGBA{there, aside} {
		if l.mirrors[i], err = r.Render(l.views["guiding"], m); err != nil {
			t.Fatal(err)
		}
		b, err := enc.Encode(nil, m, 85)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 8 {
			if err := os.WriteFile(filepath.Join(l.frames, fmt.Sprintf("%d-%d.jpg", i, n)), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if d := distance(l.mirrors[0], l.mirrors[1]); d < 5*alike {
		t.Fatalf("the two pictures differ by %d only", d)
	}
	return l
}

// few is how many pixels of a screen may be other than they should: those of a
// pointer's arrow, and of a line about what it pressed last.
const few = 2500

// others counts the pixels that are not as in want.
//
//go:norace
func others(m, want *image.RGBA) (n int) {
	for y := range want.Rect.Dy() {
		a, b := m.Pix[y*m.Stride:(y+1)*m.Stride], want.Pix[y*want.Stride:(y+1)*want.Stride]
		if bytes.Equal(a, b) {
			continue
		}
		for x := 0; x < len(b); x += 4 {
			if off(a[x:x+3], b[x:x+3]) > 3*10 {
				n++
			}
		}
	}
	return n
}

// alike is how far off pixels of a mirror may be on average: the camera's
// picture came compressed, and by another scaling.
const alike = 12

// distance returns how far off m is from want in the middle of the mirror,
// where nothing is drawn over it.
func distance(m, want *image.RGBA) int {
	sum, area := 0, image.Rect(148, 175, 212, 225)
	for y := area.Min.Y; y < area.Max.Y; y++ {
		i, j := m.PixOffset(area.Min.X, y), m.PixOffset(area.Max.X, y)
		sum += off(m.Pix[i:j], want.Pix[i:j])
	}
	return sum / (area.Dx() * area.Dy())
}

// off sums up by how much bytes differ.
//
//go:norace
func off(a, b []byte) (sum int) {
	for i, v := range a {
		sum += int(max(v, b[i]) - min(v, b[i]))
	}
	return sum
}
