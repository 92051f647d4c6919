package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
)

// TestNothingIsTakenWhereNothingLasts starts the daemon on a board whose data
// partition never came up, then is read-only, and at last is new.
func TestNothingIsTakenWhereNothingLasts(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	dir := filepath.Join(t.TempDir(), "volume")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	config := l.file("volume.toml", "[state]\nvolume = \""+dir+"\"\n")
	start := func() *daemonUnderTest {
		return l.spawn([]string{"env", daemonEnv + "=1", exe}, "-config", config, "-camera", "clip:empty", "-size", "320x320").daemonUnderTest
	}
	report := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "new"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "report.json")); err != nil {
			t.Fatal(err)
		}
	}
	d := start()
	d.ready()
	out := func(cause string) func(api.Status) bool {
		return func(s api.Status) bool {
			return slices.Contains(s.Faults, kiosk.StorageFault) && s.Volume != nil && s.Volume.State == "volatile" && s.Volume.Cause == cause
		}
	}
	d.await("the screen for a partition that never came up", out("unfinished"))
	report(`{"state":"volatile","cause":"read_only","device":"/dev/data"}`)
	d.await("the screen for a read-only partition", out("read_only"))
	d.says(`the data partition is not there (read_only)`)
	if files, err := filepath.Glob(filepath.Join(l.state, "outbox*")); err != nil || len(files) > 0 {
		t.Errorf("an outbox that does not last: %v, %v", files, err)
	}
	if metrics := d.metrics(); !strings.Contains(metrics, `kiosk_volume_state{state="volatile"} 1`) || !strings.Contains(metrics, `kiosk_fault{fault="storage"} 1`) {
		t.Error("no metric tells")
	}
	report(`{"state":"formatted","cause":"damaged","device":"/dev/data","losses":[{"state":"formatted","cause":"damaged"}]}`)
	s := d.await("service", func(s api.Status) bool { return !slices.Contains(s.Faults, kiosk.StorageFault) })
	if s.Volume == nil || s.Volume.State != "formatted" || s.Volume.Losses != 1 {
		t.Errorf("the alarm is %+v", s.Volume)
	}
	if code := d.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	// At the next start the log tells of what nobody has noted yet.
	d = start()
	d.ready()
	d.says(`"msg":"data partition lost something"`)
	if code := d.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}
