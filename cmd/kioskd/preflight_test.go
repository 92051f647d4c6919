package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"livekiosk/kiosk"
)

// childEnv has the test binary play a child that ends in a certain way.
const childEnv = "KIOSKDTEST_CHILD"

// daemonEnv has the test binary be a daemon in a process of its own.
const daemonEnv = "KIOSKDTEST_DAEMON"

// TestMain lets the daemons of the tests start themselves for a pre-flight, as
// main does.
func TestMain(m *testing.M) {
	role := os.Getenv(childEnv)
	switch {
	case role != "" && preflighting(os.Args):
		os.Exit(misbehave(role))
	case preflighting(os.Args):
		os.Exit(preflightChild(os.Stderr))
	case os.Getenv(daemonEnv) != "":
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		os.Exit(run(ctx, os.Args[1:], os.Stderr))
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") //nolint:errcheck // a child under the race detector would end a second late
	os.Exit(m.Run())
}

// misbehave ends this process, or does not, as a file might bring about.
func misbehave(role string) int {
	switch role {
	case "sound":
	case "damage found":
		os.Stderr.WriteString("page 7 has two places\n") //nolint:errcheck // nobody to tell
		return preflightBad
	case "newer":
		return preflightNewer
	case "trouble":
		return preflightFault
	case "page gone": // as a file that is cut short while it is mapped
		b, err := unix.Mmap(3, 0, 1<<20, unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			return 99
		}
		return int(b[1<<19])
	case "bad pointer":
		return len(*(map[string]*string{})["none"])
	case "panic":
		panic("a page that is none")
	case "endless":
		debug.SetMaxStack(preflightStack)
		var loop func(n int) int
		loop = func(n int) int { return loop(n+1) + 1 }
		return loop(0)
	case "SIGBUS", "SIGSEGV", "SIGKILL", "SIGTERM":
		n := unix.SignalNum(role)
		// The runtime's own handler is in the way.
		if err := unix.Exec("/bin/sh", []string{"sh", "-c", "kill -" + strings.TrimPrefix(role, "SIG") + " $$"}, nil); err != nil {
			return int(n)
		}
	case "out of memory":
		if err := unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: 1, Max: 1}); err != nil {
			return 99
		}
		return len(bytes.Repeat([]byte("x"), 1<<30))
	case "hangs":
		select {}
	}
	return preflightSound
}

// playing returns a pre-flight whose child plays a role.
func playing(t *testing.T, role string) preflight {
	t.Helper()
	t.Setenv(childEnv, role)
	return newPreflight()
}

func held(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "outbox.db"))
	if err == nil {
		_, err = f.WriteString("some bytes")
	}
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// locked reports whether nobody else can even read under a lock.
func locked(t *testing.T, path string) bool {
	t.Helper()
	other, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	return errors.Is(unix.Flock(int(other.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

func TestHowTheChildEndsTellsWhatTheFileIs(t *testing.T) {
	for _, tt := range []struct {
		role string
		is   error  // nil: neither damage nor anything else of the file
		says string // "": no error
	}{
		{"sound", nil, ""},
		{"damage found", kiosk.ErrQueueBad, "page 7"},
		{"newer", kiosk.ErrQueueNewer, "format"},
		{"trouble", nil, "code 1"},
		{"page gone", kiosk.ErrQueueBad, "unexpected fault address"},
		{"bad pointer", kiosk.ErrQueueBad, "nil pointer"},
		{"panic", kiosk.ErrQueueBad, "a page that is none"},
		{"endless", kiosk.ErrQueueBad, "stack"},
		{"SIGBUS", kiosk.ErrQueueBad, "bus error"},
		{"SIGSEGV", kiosk.ErrQueueBad, "segmentation fault"},
		{"SIGKILL", nil, "killed"},
		{"SIGTERM", nil, "terminated"},
		{"out of memory", nil, "could not go on"},
	} {
		t.Run(tt.role, func(t *testing.T) {
			f := held(t)
			err := playing(t, tt.role).run(t.Context(), f)
			switch {
			case tt.says == "" && err != nil:
				t.Errorf("a sound file: %v", err)
			case tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)):
				t.Errorf("it says %v, want %q in it", err, tt.says)
			}
			for _, verdict := range []error{kiosk.ErrQueueBad, kiosk.ErrQueueNewer} {
				if want := errors.Is(tt.is, verdict); errors.Is(err, verdict) != want {
					t.Errorf("%v: is %q: %v, want %v", err, verdict, !want, want)
				}
			}
			if !locked(t, f.Name()) {
				t.Error("the lock is gone")
			}
		})
	}
}

func TestAChildThatHangsIsEndedAndNoDamage(t *testing.T) {
	f := held(t)
	p := playing(t, "hangs")
	p.limit = func(int64) time.Duration { return 200 * time.Millisecond }
	start := time.Now()
	err := p.run(t.Context(), f)
	if err == nil || errors.Is(err, kiosk.ErrQueueBad) || !strings.Contains(err.Error(), "longer than 200ms") {
		t.Errorf("it says %v", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	if !locked(t, f.Name()) {
		t.Error("the lock is gone")
	}
	// Nobody who is left over holds it on.
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if locked(t, f.Name()) {
		t.Error("a child is left that holds the lock")
	}
}

func TestAPreflightThatIsCalledOffEndsWithItsCause(t *testing.T) {
	f := held(t)
	stopped := errors.New("the daemon stops")
	ctx, stop := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, stopped)
	defer stop()
	if err := playing(t, "hangs").run(ctx, f); !errors.Is(err, stopped) {
		t.Errorf("it says %v, want %v", err, stopped)
	}
}

func TestAChildThatDoesNotStartIsNoDamage(t *testing.T) {
	p := newPreflight()
	p.program = "/nowhere/kioskd"
	if err := p.run(t.Context(), held(t)); !errors.Is(err, syscall.ENOENT) || errors.Is(err, kiosk.ErrQueueBad) {
		t.Errorf("it says %v", err)
	}
}

// TestThePreflightReadsTheOutbox has a real child read a sound outbox and one
// whose pages make no sense.
func TestThePreflightReadsTheOutbox(t *testing.T) {
	l := newLab(t)
	l.release(l.hold())
	path := filepath.Join(l.state, "outbox.db")
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err = newPreflight().run(t.Context(), f); err != nil {
		t.Errorf("a sound outbox: %v", err)
	}
	t.Logf("an empty outbox takes %v", time.Since(start))
	if !locked(t, path) {
		t.Error("the lock is gone")
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("reading changed the file, %v", err)
	}
	if err = f.Truncate(8192); err != nil {
		t.Fatal(err)
	}
	if err = newPreflight().run(t.Context(), f); !errors.Is(err, kiosk.ErrQueueBad) {
		t.Errorf("a short outbox: %v", err)
	}
	if !locked(t, path) {
		t.Error("the lock is gone after damage")
	}
}

func TestOnlyKioskdMakesAPreflight(t *testing.T) {
	l := newLab(t)
	var log bytes.Buffer
	if code := run(t.Context(), l.args(preflightFlag), &log); code != exitUsage {
		t.Errorf("exit code %d\n%s", code, log.String())
	}
}
