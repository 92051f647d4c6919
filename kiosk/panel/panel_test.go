package panel_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"livekiosk/kiosk"
	"livekiosk/kiosk/panel"
	"livekiosk/kiosk/panel/paneltest"
)

func TestTheFakeIsABoard(t *testing.T) {
	paneltest.Contract(t, func(*testing.T) paneltest.Rig { return paneltest.NewBoard("in", "out", "held", "twin", "twin") })
}

// A bench is a panel on a fake board, in a bubble of virtual time, and what it
// told.
type bench struct {
	*panel.Panel

	t     *testing.T
	board *paneltest.Board
	latch string // its file
	log   bytes.Buffer
	stop  func()

	gate chan struct{} // holds a token; whoever is told anything needs it
	told []string      // what the panel told, in order
}

func setups() map[kiosk.Role]panel.Setup {
	lines := map[kiosk.Role]panel.Setup{}
	for _, r := range kiosk.Roles() {
		s := panel.Setup{Name: strings.ToUpper(string(r))}
		if !r.Output() {
			s.Debounce = 20 * time.Millisecond
		}
		lines[r] = s
	}
	return lines
}

// names are those of setups.
func names() []string {
	var all []string
	for _, r := range kiosk.Roles() {
		all = append(all, strings.ToUpper(string(r)))
	}
	return all
}

func newBench(t *testing.T, board *paneltest.Board) *bench {
	t.Helper()
	b := &bench{t: t, board: board, latch: filepath.Join(t.TempDir(), "state", "tamper.json"), gate: make(chan struct{}, 1)}
	b.gate <- struct{}{}
	b.start()
	return b
}

// start runs a panel of its own on the board, until stop or the end.
func (b *bench) start() {
	b.t.Helper()
	latch, err := panel.OpenLatch(b.latch)
	if err != nil {
		b.say("damaged")
	}
	b.Panel, err = panel.New(panel.Options{
		Board: b.board, Lines: setups(), HoldOff: 10 * time.Second, Alarm: 5 * time.Second, Latch: latch,
		Tampered: func(context.Context) { b.say("tampered") },
		Cleared:  func(context.Context) { b.say("cleared") },
		Present: func(_ context.Context, here bool) {
			if here {
				b.say("here")
			} else {
				b.say("nobody")
			}
		},
		Pressed: func(_ context.Context, r kiosk.Role) { b.say("pressed " + string(r)) },
		Emit:    func(e kiosk.Event) { b.say(e.Text) },
		Log:     slog.New(slog.NewJSONHandler(&b.log, nil)),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("Run() = %v", err)
		}
	})
	b.t.Cleanup(b.stop)
	synctest.Wait()
}

func (b *bench) say(what string) {
	<-b.gate
	defer func() { b.gate <- struct{}{} }()
	b.told = append(b.told, what)
}

// hears checks what was told since it was called last.
func (b *bench) hears(want ...string) {
	b.t.Helper()
	synctest.Wait()
	<-b.gate
	defer func() { b.gate <- struct{}{} }()
	if !slices.Equal(b.told, want) {
		b.t.Errorf("told %q, want %q", b.told, want)
	}
	b.told = nil
}

func (b *bench) wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// bounce puts a level on a pin as a contact does.
func (b *bench) bounce(name string, high bool) {
	for range 5 {
		b.board.Drive(name, high)
		b.wait(2 * time.Millisecond)
		b.board.Drive(name, !high)
		b.wait(2 * time.Millisecond)
	}
	b.board.Drive(name, high)
	b.wait(30 * time.Millisecond)
}

// lit checks which outputs are on.
func (b *bench) lit(want ...string) {
	b.t.Helper()
	synctest.Wait()
	var got []string
	for _, r := range kiosk.Roles() {
		if r.Output() && b.board.Level(strings.ToUpper(string(r))) {
			got = append(got, string(r))
		}
	}
	if !slices.Equal(got, want) {
		b.t.Errorf("on: %q, want %q", got, want)
	}
}

// state returns the state of a role's line.
func (b *bench) state(r kiosk.Role) kiosk.Line {
	synctest.Wait()
	all := b.Lines()
	return all[slices.IndexFunc(all, func(l kiosk.Line) bool { return l.Role == r })]
}

func inBubble(t *testing.T, test func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(newBench(t, paneltest.NewBoard(names()...))) })
}

func TestTheLightFollowsTheScreen(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.lit()
		for _, tt := range []struct {
			screen kiosk.Screen
			on     []string
		}{
			{kiosk.IdleScreen, nil},
			{kiosk.ConsentScreen, nil},
			{kiosk.GuidingScreen, []string{"ring", "red", "green", "blue"}},
			{kiosk.AgainScreen, nil},
			{kiosk.GuidingScreen, []string{"ring", "red", "green", "blue"}},
			{kiosk.WaitingScreen, nil},
			{kiosk.GrantedScreen, []string{"green"}},
			{kiosk.RefusedScreen, nil},
			{kiosk.SavedScreen, []string{"green"}},
			{kiosk.StaffScreen, nil},
			{kiosk.RestingScreen, nil},
			{kiosk.CommissionScreen, []string{"ring", "red", "green", "blue"}},
			{kiosk.IdleScreen, nil},
		} {
			b.Show(kiosk.View{Screen: tt.screen})
			b.lit(tt.on...)
		}
	})
}

func TestOutputsAreOffAfterTheEnd(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.Show(kiosk.View{Screen: kiosk.GuidingScreen})
		b.lit("ring", "red", "green", "blue")
		b.stop()
		b.lit()
		if err := b.Force(b.t.Context(), kiosk.DoorLine, true, time.Second); !errors.Is(err, panel.ErrStopped) {
			b.t.Errorf("Force() after the end = %v", err)
		}
	})
}

// TestABouncingButtonIsPressedOnce presses both buttons with bouncing contacts.
func TestABouncingButtonIsPressedOnce(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.wait(20 * time.Second)
		b.hears("nobody")
		for _, r := range []string{"help", "staff"} {
			b.bounce(strings.ToUpper(r), true)
			b.hears(r+" on", "pressed "+r)
			b.bounce(strings.ToUpper(r), false)
			b.hears(r + " off")
		}
	})
}

func TestAButtonThatIsDownFromTheStartWasNotPressed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		board := paneltest.NewBoard(names()...)
		board.Drive("HELP", true)
		b := newBench(t, board)
		b.wait(5 * time.Second)
		b.hears()
		board.Drive("HELP", false)
		b.wait(time.Second)
		b.hears("help off")
	})
}

// TestPresenceComesAtOnceAndGoesLate has a sensor that blinks while somebody
// stands there.
func TestPresenceComesAtOnceAndGoesLate(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.wait(9 * time.Second)
		b.hears()
		b.wait(2 * time.Second)
		b.hears("nobody")
		b.bounce("PRESENCE", true)
		b.hears("presence on", "here")
		for range 4 {
			b.bounce("PRESENCE", false)
			b.hears("presence off")
			b.wait(8 * time.Second)
			b.bounce("PRESENCE", true)
			b.hears("presence on")
			b.wait(30 * time.Second)
		}
		b.bounce("PRESENCE", false)
		b.hears("presence off")
		b.wait(10 * time.Second)
		b.hears("nobody")
	})
}

func TestASensorThatIsLostSeesSomebody(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.wait(20 * time.Second)
		b.hears("nobody")
		b.board.Unplug()
		b.wait(2 * time.Second)
		b.hears("here")
		b.wait(time.Hour)
		b.hears()
		b.board.Plug()
		b.wait(time.Minute)
		b.hears("nobody")
	})
}

// TestAChipThatGoesIsSaidOnceAndTakenBack unplugs the chip for an hour while
// the ring is lit.
func TestAChipThatGoesIsSaidOnceAndTakenBack(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.Show(kiosk.View{Screen: kiosk.GuidingScreen})
		b.lit("ring", "red", "green", "blue")
		b.log.Reset()
		b.board.Unplug()
		b.wait(time.Hour)
		if l := b.state(kiosk.RingLine); l.State != kiosk.LineMissing || l.On != nil {
			b.t.Errorf("the ring is %+v", l)
		}
		if n := strings.Count(b.log.String(), "\n"); n != len(kiosk.Roles()) {
			b.t.Errorf("said %d times:\n%s", n, b.log.String())
		}
		if err := b.Force(b.t.Context(), kiosk.RingLine, true, time.Second); !errors.Is(err, kiosk.ErrLineAway) {
			b.t.Errorf("Force() = %v", err)
		}
		b.board.Plug()
		b.wait(40 * time.Second)
		b.lit("ring", "red", "green", "blue")
		if l := b.state(kiosk.TamperLine); l.State != kiosk.LineOwned {
			b.t.Errorf("the tamper switch is %+v", l)
		}
	})
}

// TestALineThatIsUnpluggedForAMomentIsBackSoon holds that waits begin anew,
// also beside a line that was never there, and grow from one look to the next.
func TestALineThatIsUnpluggedForAMomentIsBackSoon(t *testing.T) {
	for away, back := range map[time.Duration]time.Duration{1500 * time.Millisecond: time.Second, 3500 * time.Millisecond: 2 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, paneltest.NewBoard("RING"))
			b.wait(time.Hour + 100*time.Millisecond)
			b.board.Unplug()
			b.wait(away)
			b.board.Plug()
			b.wait(back)
			if l := b.state(kiosk.RingLine); l.State != kiosk.LineOwned {
				t.Errorf("unplugged for %v, the ring is %+v", away, l)
			}
		})
	}
}

func TestALineThatIsHeldIsTakenOnceItIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		board := paneltest.NewBoard(names()...)
		release := board.Hold("RING", "somebody")
		b := newBench(t, board)
		b.wait(time.Hour)
		if l := b.state(kiosk.RingLine); l.State != kiosk.LineHeld || l.Holder != "somebody" {
			t.Errorf("the ring is %+v", l)
		}
		if n := strings.Count(b.log.String(), `"role":"ring"`); n != 1 {
			t.Errorf("said %d times:\n%s", n, b.log.String())
		}
		b.Show(kiosk.View{Screen: kiosk.GuidingScreen})
		b.lit("red", "green", "blue")
		release()
		b.wait(time.Minute)
		b.lit("ring", "red", "green", "blue")
	})
}

// TestChangesThatWereLostAreMadeGood keeps the panel from reading while a
// sensor chatters.
func TestChangesThatWereLostAreMadeGood(t *testing.T) {
	inBubble(t, func(b *bench) {
		<-b.gate // whoever is told anything waits
		for range 20 {
			for _, high := range []bool{true, false} {
				b.board.Drive("HELP", high)
				<-time.After(25 * time.Millisecond)
			}
		}
		b.board.Drive("HELP", true)
		<-time.After(25 * time.Millisecond)
		b.gate <- struct{}{}
		b.wait(5 * time.Second)
		if n := b.Missed(); n < 20 {
			b.t.Errorf("%d changes missed, want those that the kernel drops", n)
		}
		if l := b.state(kiosk.HelpLine); l.On == nil || !*l.On {
			b.t.Errorf("the button is %+v", l)
		}
	})
}

func TestAnOpenCaseIsLatchedUntilStaffClearIt(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.wait(11 * time.Second)
		b.hears("nobody")
		if err := b.ClearTamper(b.t.Context(), "uid 7"); !errors.Is(err, kiosk.ErrNotLatched) {
			b.t.Errorf("ClearTamper() = %v", err)
		}
		b.bounce("TAMPER", true)
		b.hears("tamper on", "tampered", "buzzer on")
		if err := b.ClearTamper(b.t.Context(), "uid 7"); !errors.Is(err, kiosk.ErrCaseOpen) {
			b.t.Errorf("ClearTamper() = %v while it is open", err)
		}
		b.wait(5 * time.Second)
		b.hears("buzzer off")
		b.bounce("TAMPER", false)
		b.hears("tamper off")
		opened := b.Tamper().Opened
		b.bounce("TAMPER", true)
		b.bounce("TAMPER", false)
		b.hears("tamper on", "tampered", "buzzer on", "tamper off")
		if s := b.Tamper(); !s.Latched || s.Opened.IsZero() || s.Opened != opened {
			b.t.Errorf("closed again it is %+v, opened first at %v", s, opened)
		}
		b.wait(5 * time.Second)
		b.hears("buzzer off")
		b.stop()
		b.start() // after a restart
		if s := b.Tamper(); !s.Latched {
			b.t.Errorf("after a restart it is %+v", s)
		}
		if err := b.ClearTamper(b.t.Context(), "uid 7"); err != nil {
			b.t.Fatal(err)
		}
		b.hears("cleared")
		if s := b.Tamper(); s.Latched || s.By != "uid 7" || s.Cleared.IsZero() {
			b.t.Errorf("cleared it is %+v", s)
		}
		b.stop()
		b.start()
		if s := b.Tamper(); s.Latched || s.By != "uid 7" {
			b.t.Errorf("after another restart it is %+v", s)
		}
	})
}

func TestASilencedBuzzerSoundsWhenTheCaseIsOpened(t *testing.T) {
	inBubble(t, func(b *bench) {
		if err := b.Force(b.t.Context(), kiosk.BuzzerLine, false, time.Minute); err != nil {
			b.t.Fatal(err)
		}
		b.bounce("TAMPER", true)
		b.lit("buzzer")
		if err := b.Force(b.t.Context(), kiosk.BuzzerLine, false, time.Minute); err != nil {
			b.t.Fatal(err)
		}
		b.lit() // who is there has heard it
	})
}

func TestACaseThatWasOpenedMeanwhileIsFoundAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		board := paneltest.NewBoard(names()...)
		board.Drive("TAMPER", true)
		b := newBench(t, board)
		b.hears("tamper on", "tampered", "buzzer on")
		if !b.Tamper().Latched {
			t.Error("it is not latched")
		}
	})
}

// TestALatchThatCannotBeWrittenIsTriedAgain has no folder for it, for a while.
func TestALatchThatCannotBeWrittenIsTriedAgain(t *testing.T) {
	inBubble(t, func(b *bench) {
		dir := filepath.Dir(b.latch)
		if err := os.WriteFile(dir, nil, 0o600); err != nil {
			b.t.Fatal(err)
		}
		b.bounce("TAMPER", true)
		b.bounce("TAMPER", false)
		b.wait(10 * time.Second)
		if !b.Tamper().Latched {
			b.t.Error("it is not latched meanwhile")
		}
		if n := strings.Count(b.log.String(), "not remembered"); n != 1 {
			b.t.Errorf("said %d times:\n%s", n, b.log.String())
		}
		if err := os.Remove(dir); err != nil {
			b.t.Fatal(err)
		}
		b.wait(2 * time.Second)
		again, err := panel.OpenLatch(b.latch)
		if err != nil || !again.State().Latched {
			b.t.Errorf("on the disk it is %+v, %v", again.State(), err)
		}
	})
}

// TestADiskThatHangsHoldsUpNobody has a pipe in the place of the file that the
// latch writes: opening it waits for somebody who reads.
func TestADiskThatHangsHoldsUpNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tamper.json")
	pipe := filepath.Join(filepath.Dir(path), ".tamper.json.new")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	latch, err := panel.OpenLatch(path)
	if err != nil {
		t.Fatal(err)
	}
	board, told, nothing := paneltest.NewBoard(names()...), make(chan struct{}, 1), func(context.Context) {}
	p, err := panel.New(panel.Options{
		Board: board, Lines: setups(), Latch: latch, Log: slog.New(slog.DiscardHandler), Emit: func(kiosk.Event) {},
		Tampered: func(context.Context) { told <- struct{}{} }, Cleared: nothing,
		Present: func(context.Context, bool) {}, Pressed: func(context.Context, kiosk.Role) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	board.Drive("TAMPER", true)
	<-told
	soon, enough := context.WithTimeout(ctx, 10*time.Second)
	defer enough()
	if err := p.Force(soon, kiosk.DoorLine, true, time.Minute); err != nil || !p.Tamper().Latched {
		t.Errorf("Force() = %v, and the case is %+v", err, p.Tamper())
	}
	reader, err := os.OpenFile(pipe, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run() = %v", err)
	}
}

func TestADamagedLatchIsLatched(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, path string){
		"half of it": func(t *testing.T, path string) {
			t.Helper()
			if err := os.WriteFile(path, []byte(`{"latched":fal`), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"a folder": func(t *testing.T, path string) {
			t.Helper()
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "tamper.json")
			spoil(t, path)
			l, err := panel.OpenLatch(path)
			if err == nil || !l.State().Latched {
				t.Errorf("OpenLatch() = %+v, %v", l.State(), err)
			}
		})
	}
}

func TestStaffSwitchOutputsForAWhile(t *testing.T) {
	inBubble(t, func(b *bench) {
		force := func(r kiosk.Role, on bool) error { return b.Force(b.t.Context(), r, on, 2*time.Second) }
		if err := errors.Join(force(kiosk.DoorLine, true), force(kiosk.RingLine, true)); err != nil {
			b.t.Fatal(err)
		}
		b.lit("ring", "door")
		b.wait(time.Second)
		if err := force(kiosk.RingLine, true); err != nil { // longer
			b.t.Fatal(err)
		}
		b.wait(1500 * time.Millisecond)
		b.lit("ring")
		b.wait(time.Second)
		b.lit()
		for r, want := range map[kiosk.Role]error{kiosk.HelpLine: kiosk.ErrNoLine, "lamp": kiosk.ErrNoLine} {
			if err := force(r, true); !errors.Is(err, want) {
				b.t.Errorf("Force(%s) = %v, want %v", r, err, want)
			}
		}
	})
}

// TestASessionHasThePanelForItself begins one while staff hold the door open.
func TestASessionHasThePanelForItself(t *testing.T) {
	inBubble(t, func(b *bench) {
		if err := b.Force(b.t.Context(), kiosk.DoorLine, true, time.Hour); err != nil {
			b.t.Fatal(err)
		}
		b.lit("door")
		b.Show(kiosk.View{Session: "S1", Screen: kiosk.ConsentScreen})
		b.lit()
		if err := b.Force(b.t.Context(), kiosk.DoorLine, true, time.Hour); !errors.Is(err, kiosk.ErrOccupied) {
			b.t.Errorf("Force() = %v", err)
		}
		b.Show(kiosk.View{Screen: kiosk.IdleScreen})
		b.lit()
	})
}

func TestAllLinesAreListedWithTheirRoles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, paneltest.NewBoard("RING", "HELP", "OTHER"))
		all, err := b.All()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]kiosk.Line{}
		for _, l := range all {
			got[l.Name] = l
		}
		if l := got["RING"]; l.Role != kiosk.RingLine || l.State != kiosk.LineOwned || l.Holder != "kioskd ring" || l.Direction != kiosk.LineOut || l.On == nil || *l.On {
			t.Errorf("the ring is %+v", l)
		}
		if l := got["OTHER"]; l.Role != "" || l.State != "" || l.Holder != "" {
			t.Errorf("another line is %+v", l)
		}
		if l := got["DOOR"]; l.Role != kiosk.DoorLine || l.State != kiosk.LineMissing || l.Chip != "" {
			t.Errorf("a line that is not there is %+v", l)
		}
		if len(all) != 3+len(kiosk.Roles())-2 {
			t.Errorf("%d lines are listed", len(all))
		}
		text, err := json.Marshal(got["OTHER"])
		if err != nil || strings.Contains(string(text), "role") || strings.Contains(string(text), `"on"`) {
			t.Errorf("%s, %v", text, err)
		}
	})
}

func TestLinesThatAreNoneOfTheirOwnAreRefused(t *testing.T) {
	latch, err := panel.OpenLatch(filepath.Join(t.TempDir(), "tamper.json"))
	if err != nil {
		t.Fatal(err)
	}
	nothing := func(context.Context) {}
	o := panel.Options{
		Board: paneltest.NewBoard(), Latch: latch, Tampered: nothing, Cleared: nothing, Present: func(context.Context, bool) {},
		Pressed: func(context.Context, kiosk.Role) {}, Emit: func(kiosk.Event) {}, Log: slog.New(slog.DiscardHandler),
	}
	if _, err := panel.New(o); err != nil {
		t.Errorf("New() without lines = %v", err)
	}
	for name, lines := range map[string]map[kiosk.Role]panel.Setup{
		"twice":   {kiosk.RingLine: {Name: "A"}, kiosk.HelpLine: {Name: "A"}},
		"no name": {kiosk.RingLine: {}},
	} {
		o.Lines = lines
		if _, err := panel.New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
