package systemd_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"livekiosk/systemd"
)

// busy looks.
func busy(t *testing.T, path string) bool {
	t.Helper()
	is, err := systemd.IsBusy(path)
	if err != nil {
		t.Fatal(err)
	}
	return is
}

func TestBusyIsSeenWhileAnybodyHoldsIt(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "busy")
	b := systemd.NewBusy(path)
	see := func(want bool) {
		t.Helper()
		if got := busy(t, path); got != want || b.Held() != want {
			t.Errorf("busy is %v, and held %v, want %v", got, b.Held(), want)
		}
	}
	see(false)
	person, upload := b.Hold(), b.Hold()
	see(true)
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o644 {
		t.Errorf("the file has mode %v, %v: scripts of other users cannot look", info.Mode(), err)
	}
	person()
	person() // a second time means nothing
	see(true)
	upload()
	see(false)
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left behind, %v", left, err)
	}
	again := b.Hold()
	see(true)
	again()
	see(false)
}

// TestWhatAKilledDaemonLeftMeansNothing has files of an earlier daemon lie
// there, one of them locked by a script that looks and forgets to go.
func TestWhatAKilledDaemonLeftMeansNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "busy")
	for _, name := range []string{"busy", ".busy.new"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o444); err != nil {
			t.Fatal(err)
		}
	}
	if busy(t, path) {
		t.Error("a file that nobody locks reads as busy")
	}
	script, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer script.Close()
	if err := unix.Flock(int(script.Fd()), unix.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	b := systemd.NewBusy(path)
	b.Log = slog.New(slog.NewTextHandler(&log, nil))
	release := b.Hold()
	if !busy(t, path) || log.Len() > 0 {
		t.Errorf("not seen as busy beside what was left: %s", log.String())
	}
	release()
	if busy(t, path) {
		t.Error("still busy")
	}
}

func TestAFileThatCannotBeMadeIsToldOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	var log bytes.Buffer
	b := systemd.NewBusy(filepath.Join(dir, "busy"))
	b.Log = slog.New(slog.NewTextHandler(&log, nil))
	for range 3 {
		b.Hold()()
	}
	if n := strings.Count(log.String(), "nobody can see"); n != 1 {
		t.Errorf("told %d times, want once:\n%s", n, log.String())
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	release := b.Hold()
	defer release()
	if !busy(t, filepath.Join(dir, "busy")) || strings.Count(log.String(), "again") != 1 {
		t.Errorf("not made once it can be:\n%s", log.String())
	}
}
