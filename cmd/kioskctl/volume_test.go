package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestVolumeTellsAnAlarmUntilItIsCleared reads a report as kioskd-volume.service
// leaves it.
func TestVolumeTellsAnAlarmUntilItIsCleared(t *testing.T) {
	dir := t.TempDir()
	ctl := func(env string, args ...string) (int, string) {
		t.Helper()
		var out, errs bytes.Buffer
		code := run(t.Context(), append([]string{"volume", "--run", dir}, args...), world{out: &out, err: &errs, getenv: func(string) string { return env }})
		return code, out.String() + errs.String()
	}
	if code, said := ctl(""); code != exitEnded || !strings.Contains(said, "volatile (unfinished)") {
		t.Errorf("a folder without a report: %d, %s", code, said)
	}
	report := `{"state":"formatted","cause":"damaged","device":"/dev/data","detail":"e2fsck: bad",
		"losses":[{"when":"2026-03-01T02:03:04Z","state":"formatted","cause":"damaged","adrift":3,"rescued":4,"evidence":"/var/lib/kioskd-volume/evidence-1"}]}`
	own := filepath.Join(dir, "volume", "lib", "kioskd-volume")
	if err := os.MkdirAll(own, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{filepath.Join(dir, "report.json"): report, filepath.Join(own, "losses.json"): "[]"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, said := ctl("")
	if code != exitEnded {
		t.Errorf("exit code %d with an alarm", code)
	}
	for _, want := range []string{"/dev/data: formatted (damaged)", "e2fsck: bad", "2026-03-01 02:03:04", "3 pieces", "4 files", "evidence-1", "kioskctl volume clear"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
	if code, said := ctl("success", "fallback"); code != exitOK || said != "" {
		t.Errorf("a unit that stops in order: %d, %s", code, said)
	}
	if code, said := ctl("", "clear"); code != exitOK {
		t.Errorf("clear: %d, %s", code, said)
	}
	if code, said := ctl(""); code != exitOK || strings.Contains(said, "alarm") {
		t.Errorf("after clear: %d, %s", code, said)
	}
	if _, err := os.Stat(filepath.Join(own, "losses.json")); !os.IsNotExist(err) {
		t.Errorf("the next boot would tell of it again: %v", err)
	}
	for _, args := range [][]string{{"mount"}, {"mount", "a", "b"}, {"format"}, {"clear", "all"}} {
		if code, said := ctl("", args...); code != exitUsage {
			t.Errorf("%v: %d, %s", args, code, said)
		}
	}
}
