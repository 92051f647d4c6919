package systemd_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"livekiosk/systemd"
)

// run starts w and returns what stops it and waits.
func run(t *testing.T, w *systemd.Watchdog) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run() = %v, want nil once asked to stop", err)
		}
	}
}

// pass lets d go by and everything that is due in it happen.
func pass(d time.Duration) {
	t := time.NewTimer(d)
	<-t.C
	synctest.Wait()
}

func under(t *testing.T, limit time.Duration) {
	t.Helper()
	t.Setenv("WATCHDOG_USEC", strconv.FormatInt(limit.Microseconds(), 10))
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
}

const pet = "WATCHDOG=1"

func TestWatchdogIsPettedAtHalfItsTimeWhileAllPartsBeat(t *testing.T) {
	m := newManager(t)
	under(t, 10*time.Second)
	synctest.Test(t, func(t *testing.T) {
		w := systemd.NewWatchdog()
		beat := w.Part("camera", 6*time.Second)
		stop := run(t, w)
		defer stop()
		synctest.Wait()
		if got := m.heard(); !slices.Equal(got, []string{pet}) {
			t.Fatalf("heard %q at once, want one pet", got)
		}
		for range 12 {
			pass(4 * time.Second)
			beat()
		}
		got := m.heard() // 48 s: at 5, 10, …, 45
		if want := slices.Repeat([]string{pet}, 9); !slices.Equal(got, want) {
			t.Errorf("heard %q in 48 s, want %d pets", got, len(want))
		}
	})
}

func TestALatePartStopsThePettingAndIsNamedOnce(t *testing.T) {
	m := newManager(t)
	under(t, 10*time.Second)
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		w := systemd.NewWatchdog()
		w.Log = slog.New(slog.NewTextHandler(&log, nil))
		camera, station := w.Part("camera", 3*time.Second), w.Part("station", time.Minute)
		stop := run(t, w)
		synctest.Wait()
		pass(4 * time.Second) // camera is late, not yet seen
		m.heard()
		pass(2 * time.Second)
		if got := m.heard(); !slices.Equal(got, []string{"STATUS=hung: camera"}) {
			t.Errorf("heard %q once camera was late, want its name and no pet", got)
		}
		pass(30 * time.Second)
		if got := m.heard(); len(got) > 0 {
			t.Errorf("heard %q while camera stayed late, want nothing", got)
		}
		if n := strings.Count(log.String(), "part takes no steps"); n != 1 || !strings.Contains(log.String(), "part=camera") {
			t.Errorf("late part logged %d times, want once with its name:\n%s", n, &log)
		}
		camera()
		station()
		pass(2 * time.Second)
		camera()
		pass(3 * time.Second)
		if got := m.heard(); len(got) < 2 || got[0] != "STATUS=every part takes its steps again" || got[1] != pet {
			t.Errorf("heard %q once camera was back, want its return and a pet", got)
		}
		stop()
		if !strings.Contains(log.String(), "part takes its steps again") {
			t.Errorf("its return was not logged:\n%s", &log)
		}
	})
}

func TestStartUpIsNotHeldAgainstAPart(t *testing.T) {
	m := newManager(t)
	under(t, 10*time.Second)
	synctest.Test(t, func(t *testing.T) {
		w := systemd.NewWatchdog()
		w.Part("models", time.Second)
		pass(time.Minute) // loading models
		stop := run(t, w)
		synctest.Wait()
		if got := m.heard(); !slices.Equal(got, []string{pet}) {
			t.Errorf("heard %q, want a pet", got)
		}
		stop()
	})
}

func TestWithoutAWatchdogALatePartIsStillLogged(t *testing.T) {
	m := newManager(t)
	t.Setenv("WATCHDOG_USEC", "")
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		w := systemd.NewWatchdog()
		w.Log = slog.New(slog.NewTextHandler(&log, nil))
		w.Part("deliver", time.Second)
		stop := run(t, w)
		pass(time.Minute)
		stop()
		if !strings.Contains(log.String(), "part=deliver") {
			t.Errorf("nothing logged:\n%s", &log)
		}
		if got := m.heard(); slices.Contains(got, pet) {
			t.Errorf("heard %q though no watchdog was asked for", got)
		}
	})
}

func TestAnotherProcesssWatchdogIsLeftAlone(t *testing.T) {
	m := newManager(t)
	under(t, 10*time.Second)
	t.Setenv("WATCHDOG_PID", "1")
	synctest.Test(t, func(t *testing.T) {
		stop := run(t, systemd.NewWatchdog())
		pass(time.Minute)
		stop()
		if got := m.heard(); len(got) > 0 {
			t.Errorf("heard %q, want nothing", got)
		}
	})
}

func TestAWatchdogTimeThatIsNoNumberIsAnError(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "soon")
	if err := systemd.NewWatchdog().Run(t.Context()); err == nil {
		t.Error("Run() = nil, want an error")
	}
}

func TestBeatDoesNotAllocate(t *testing.T) {
	beat := systemd.NewWatchdog().Part("station", time.Second)
	if n := testing.AllocsPerRun(100, beat); n > 0 {
		t.Errorf("beat allocates %v times, want 0", n)
	}
}

func TestWhoIsLateIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := systemd.NewWatchdog()
		w.Part("slow", time.Minute)
		beat := w.Part("quick", time.Second)
		<-time.After(2 * time.Second)
		if late := w.Late(); !slices.Equal(late, []string{"quick"}) {
			t.Errorf("late: %v, want quick", late)
		}
		if beat(); len(w.Late()) > 0 {
			t.Errorf("late after a beat: %v", w.Late())
		}
	})
}
