//go:build guest

package panel_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/warthog618/go-gpiocdev"

	"livekiosk/buildroot/test/guest/guesttest"
	"livekiosk/kiosk"
	"livekiosk/kiosk/flow"
	"livekiosk/kiosk/panel"
	"livekiosk/kiosk/panel/paneltest"
	"livekiosk/kiosk/station"
)

// A simRig is the kernel's simulated chip, and the product's way to it.
type simRig struct {
	panel.Chips

	t    *testing.T
	chip *guesttest.Chip
}

func newSimRig(t *testing.T, lines ...string) *simRig {
	t.Helper()
	return &simRig{t: t, chip: guesttest.NewChip(t, lines...)}
}

func (r *simRig) Drive(name string, high bool) { r.chip.Pull(name, high) }
func (r *simRig) Level(name string) bool       { return r.chip.High(name) }
func (r *simRig) Unplug()                      { r.chip.Unplug() }
func (r *simRig) Plug()                        { r.chip.Plug() }

func (r *simRig) Hold(name, holder string) (release func()) {
	r.t.Helper()
	c, err := gpiocdev.NewChip(r.chip.Path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	offset, err := c.FindLine(name)
	if err != nil {
		r.t.Fatal(err)
	}
	l, err := c.RequestLine(offset, gpiocdev.WithConsumer(holder))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = l.Close() })
	return func() { _ = l.Close() }
}

// TestGuestContract holds the kernel's lines to what the fake is held to.
func TestGuestContract(t *testing.T) {
	paneltest.Contract(t, func(t *testing.T) paneltest.Rig {
		t.Helper()
		return newSimRig(t, "in", "", "out", "held", "twin", "twin")
	})
}

// A hearing is a list of what was told that several goroutines may add to.
type hearing struct {
	mu   sync.Mutex
	told []string
}

func (h *hearing) say(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told = append(h.told, what)
}

func (h *hearing) count(what string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, s := range h.told {
		if s == what {
			n++
		}
	}
	return n
}

// eventually waits for something that the kernel does in its own time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}

// run starts a panel on the machine's lines. stop ends it.
func run(t *testing.T, h *hearing, change func(*panel.Options)) (p *panel.Panel, stop func()) {
	t.Helper()
	latch, err := panel.OpenLatch(filepath.Join(t.TempDir(), "tamper.json"))
	if err != nil {
		t.Fatal(err)
	}
	o := panel.Options{
		Board: panel.Chips{}, Lines: setups(), HoldOff: time.Second, Latch: latch,
		Tampered: func(context.Context) { h.say("tampered") }, Cleared: func(context.Context) { h.say("cleared") },
		Present: func(_ context.Context, here bool) {
			if here {
				h.say("here")
			} else {
				h.say("nobody")
			}
		},
		Pressed: func(_ context.Context, r kiosk.Role) { h.say("pressed " + string(r)) },
		Emit:    func(e kiosk.Event) { h.say(e.Text) },
		Log:     slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	if change != nil {
		change(&o)
	}
	p, err = panel.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
	t.Cleanup(stop)
	return p, stop
}

// are reports whether these roles have their lines in this state.
func are(p *panel.Panel, state kiosk.LineState, roles ...kiosk.Role) func() bool {
	return func() bool {
		return !slices.ContainsFunc(p.Lines(), func(l kiosk.Line) bool { return slices.Contains(roles, l.Role) && l.State != state })
	}
}

func TestGuestTheChipSeesTheLightAndThePanelTheButton(t *testing.T) {
	r, h := newSimRig(t, names()...), &hearing{}
	release := r.Hold("DOOR", "somebody")
	p, stop := run(t, h, nil)
	eventually(t, "the lines", are(p, kiosk.LineOwned, kiosk.RingLine, kiosk.HelpLine, kiosk.TamperLine))
	eventually(t, "a line that is held", are(p, kiosk.LineHeld, kiosk.DoorLine))

	p.Show(kiosk.View{Screen: kiosk.GuidingScreen})
	eventually(t, "the light", func() bool { return r.Level("RING") && r.Level("RED") && r.Level("GREEN") && r.Level("BLUE") })
	p.Show(kiosk.View{Screen: kiosk.GrantedScreen})
	eventually(t, "the green light alone", func() bool { return !r.Level("RING") && !r.Level("RED") && r.Level("GREEN") && !r.Level("BLUE") })

	for i := range 11 { // a contact that bounces, within its 20 ms
		r.Drive("HELP", i%2 == 0)
	}
	eventually(t, "the button", func() bool { return h.count("pressed help") > 0 })
	r.Drive("HELP", false)
	eventually(t, "the button's end", func() bool { return h.count("help off") > 0 })
	if n, m := h.count("pressed help"), h.count("help on"); n != 1 || m != 1 {
		t.Errorf("pressed %d times, on %d times, want once", n, m)
	}

	eventually(t, "nobody", func() bool { return h.count("nobody") == 1 })
	r.Drive("PRESENCE", true)
	eventually(t, "somebody", func() bool { return h.count("here") == 1 })

	release()
	eventually(t, "the line that was held", are(p, kiosk.LineOwned, kiosk.DoorLine))

	stop()
	for _, role := range kiosk.Roles() {
		if name := strings.ToUpper(string(role)); role.Output() && r.Level(name) {
			t.Errorf("%s is on after the end", name)
		}
	}
	all, err := panel.Chips{}.Lines()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		if slices.Contains(names(), l.Name) && l.Holder != "" {
			t.Errorf("%s is still used by %q", l.Name, l.Holder)
		}
	}
}

// TestGuestAChipThatGoesIsTakenBack unplugs one whose outputs are in use. Of
// its inputs the panel has none: the kernel of Debian 12 warns when such a chip
// goes while they are in use, and crashed in one of four runs on arm64. The fake
// takes them away, too.
func TestGuestAChipThatGoesIsTakenBack(t *testing.T) {
	r, h := newSimRig(t, names()...), &hearing{}
	p, _ := run(t, h, func(o *panel.Options) {
		maps.DeleteFunc(o.Lines, func(role kiosk.Role, _ panel.Setup) bool { return !role.Output() })
	})
	p.Show(kiosk.View{Screen: kiosk.GrantedScreen})
	eventually(t, "the green light", func() bool { return r.Level("GREEN") })
	for range 2 {
		r.Unplug()
		eventually(t, "the end of the chip", are(p, kiosk.LineMissing, kiosk.Roles()...))
		r.Plug()
		eventually(t, "the chip again", are(p, kiosk.LineOwned, kiosk.Roles()...))
		eventually(t, "the green light again", func() bool { return r.Level("GREEN") })
	}
}

// TestGuestAHolderThatIsKilled has another process hold the light on and kills
// it. The kernel lets go of the line; this chip lets it fall then, and on one
// that does not the next panel switches it off.
func TestGuestAHolderThatIsKilled(t *testing.T) {
	if os.Getenv("HOLD_THE_RING") != "" {
		p, _ := run(t, &hearing{}, nil)
		p.Show(kiosk.View{Screen: kiosk.GuidingScreen})
		_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed, or its parent ends
		return
	}
	r, h := newSimRig(t, names()...), &hearing{}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), self, "-test.run", "^"+t.Name()+"$")
	child.Env = append(os.Environ(), "HOLD_THE_RING=yes")
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	var out bytes.Buffer
	child.Stdout, child.Stderr = &out, &out
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the child's light", func() bool { return r.Level("RING") })
	p, _ := run(t, h, nil)
	eventually(t, "who holds it", are(p, kiosk.LineHeld, kiosk.RingLine))
	if l := p.Lines()[0]; l.Holder != "kioskd ring" {
		t.Errorf("the ring is held by %q", l.Holder)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err == nil {
		t.Errorf("the child ended by itself:\n%s", out.String())
	}
	eventually(t, "the light to go out", func() bool { return !r.Level("RING") })
	eventually(t, "the lines of the dead", are(p, kiosk.LineOwned, kiosk.Roles()...))
	for _, role := range kiosk.Roles() {
		if name := strings.ToUpper(string(role)); role.Output() && r.Level(name) {
			t.Errorf("%s is on", name)
		}
	}
}

// A shelf is an outbox that nothing reaches in these tests.
type shelf struct{ put int }

func (s *shelf) Put(context.Context, *kiosk.Submission) error      { s.put++; return nil }
func (s *shelf) Admit(context.Context) error                       { return nil }
func (s *shelf) Used(context.Context, string) (used bool, _ error) { return false, nil }
func (s *shelf) JPEG(f *kiosk.Frame) (copied []byte, _ error)      { return bytes.Clone(f.Data), nil }

// TestGuestTamperVoidsASession opens the case while a visitor is guided.
func TestGuestTamperVoidsASession(t *testing.T) {
	r, h := newSimRig(t, names()...), &hearing{}
	began := time.Now()
	clock := func() time.Duration { return time.Second + time.Since(began) }
	var p *panel.Panel
	var watching sync.Map
	outbox := &shelf{}
	st, err := station.New(station.Options{
		Policy: flow.Standard(), Outbox: outbox, Evidence: outbox, Now: clock,
		Watch: func(on bool) { watching.Store("camera", on) }, Show: func(v kiosk.View) { p.Show(v) },
		Emit: func(e kiosk.Event) { h.say(string(e.Kind) + " " + e.Text) }, Consent: func(kiosk.Locale) string { return "hash" },
		Gateway: "https://gateway.test", UserType: "T", Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	p, _ = run(t, h, func(o *panel.Options) {
		o.Tampered = func(ctx context.Context) {
			if err := errors.Join(st.Void(ctx, kiosk.TamperBreach), st.Fault(ctx, kiosk.TamperFault, true)); err != nil {
				t.Error(err)
			}
		}
		o.Cleared = func(ctx context.Context) {
			if err := st.Fault(ctx, kiosk.TamperFault, false); err != nil {
				t.Error(err)
			}
		}
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- st.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	eventually(t, "the lines", are(p, kiosk.LineOwned, kiosk.Roles()...))
	id, err := st.Launch(t.Context(), kiosk.Launch{CorrelationID: "c1", UserID: "u1", Locale: kiosk.English, Theme: kiosk.Light})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Tap(t.Context(), kiosk.Tap{Session: id, Control: kiosk.Agree}); err != nil {
		t.Fatal(err)
	}
	if err := st.Tap(t.Context(), kiosk.Tap{Session: id, Control: kiosk.Ready}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the light", func() bool { return r.Level("RING") })
	face := bytes.Repeat([]byte("pixels of a face"), kiosk.EvidenceMin/16)
	a := kiosk.Assessment{
		Frame: 1, At: clock(), Size: image.Pt(1280, 720), Luma: 110, Faces: 1, Face: image.Rect(520, 240, 760, 480), IED: 108,
		EyesOpen: 0.08, FaceLuma: 120, Background: 110, Sharpness: 200, Live: 0.9, LiveUsable: true,
	}
	if err := st.Assessed(t.Context(), a, kiosk.NewFrame(kiosk.Frame{ID: 1, Format: kiosk.MJPEG, Data: face}, func() {})); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a frame that is held", func() bool { return st.State().Far.Frame == 1 })

	r.Drive("TAMPER", true)
	eventually(t, "the end of the session", func() bool { return st.State().Phase == flow.Outcome })
	want := kiosk.Result{Session: id, CorrelationID: "c1", Status: kiosk.Errored, Error: kiosk.SecurityError, Detail: kiosk.Tampered}
	if got, _ := st.Result(id); got != want || got.Detail.Retriable() {
		t.Errorf("result %+v, want %+v, not to be retried", got, want)
	}
	if on, _ := watching.Load("camera"); on != false {
		t.Error("the camera is still on")
	}
	if s := st.State(); s.Outcome != kiosk.StaffScreen || s.Far.Frame != 0 || outbox.put != 0 {
		t.Errorf("after it: %+v, %d stored", s, outbox.put)
	}
	eventually(t, "the fault", func() bool { return slices.Contains(st.State().Faults(), kiosk.TamperFault) })
	eventually(t, "the latch", func() bool { return p.Tamper().Latched })
	if n := h.count("voided tamper"); n != 1 {
		t.Errorf("told %d times that it was voided", n)
	}
	eventually(t, "the light to go out", func() bool { return !r.Level("RING") })
	if err := st.Tap(t.Context(), kiosk.Tap{Session: id, Control: kiosk.Done}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of service", func() bool { return st.State().Phase == flow.OutOfService })
	if err := p.ClearTamper(t.Context(), "uid 7"); !errors.Is(err, kiosk.ErrCaseOpen) {
		t.Errorf("ClearTamper() = %v while the case is open", err)
	}
	r.Drive("TAMPER", false)
	eventually(t, "the closed case", func() bool { return h.count("tamper off") > 0 })
	if err := p.ClearTamper(t.Context(), "uid 7"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "service", func() bool { return st.State().Phase == flow.Idle })
}
