package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheSelfTestServesAVisitor(t *testing.T) {
	l := newLab(t)
	var log bytes.Buffer
	if code := run(t.Context(), []string{"-self-test", "-models", l.models, "-state", l.state}, &log); code != exitOK {
		t.Fatalf("exit code %d\n%s", code, log.String())
	}
	for _, line := range []string{
		`"role":"runtime","sha256":`, `"role":"detector","largest_difference":`, `"role":"pad","largest_difference":`,
		"a visitor was captured and is in the outbox", "self-test passed",
	} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("the log lacks %s:\n%s", line, log.String())
		}
	}
	if left := l.snapshot(); left != "" {
		t.Errorf("the kiosk's own state was touched: %s", left)
	}
}

func TestTheSelfTestNamesWhatIsWrong(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(*lab) []string // more arguments
		code  int
		says  string
	}{
		{"no models", func(l *lab) []string { l.models = l.t.TempDir(); return nil }, exitMissing, "make models"},
		{"a damaged model", func(l *lab) []string { l.alterModel(); return nil }, exitModel, "make models"},
		{"nowhere to write", func(l *lab) []string { l.t.Setenv("TMPDIR", "/nowhere"); return nil }, exitFault, "/nowhere"},
		{"two things at once", func(*lab) []string { return []string{"-check-config"} }, exitUsage, "exclude"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			more := tt.spoil(l)
			var log bytes.Buffer
			if code := run(t.Context(), append([]string{"-self-test", "-models", l.models}, more...), &log); code != tt.code {
				t.Errorf("exit code %d, want %d\n%s", code, tt.code, log.String())
			}
			if !strings.Contains(log.String(), tt.says) || strings.Contains(log.String(), "passed") {
				t.Errorf("the log lacks %q, or says that it passed:\n%s", tt.says, log.String())
			}
		})
	}
}

func TestTheServiceReadsTheFileInItsFolder(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CONFIGURATION_DIRECTORY", dir)
	if c, _, err := configure(nil, io.Discard); err != nil || c.Camera.Rotate != 0 {
		t.Errorf("without a file: rotate %d, %v", c.Camera.Rotate, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "kioskd.toml"), []byte("[camera]\nrotate = 90\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, _, err := configure(nil, io.Discard); err != nil || c.Camera.Rotate != 90 {
		t.Errorf("with a file: rotate %d, %v", c.Camera.Rotate, err)
	}
	other := filepath.Join(t.TempDir(), "other.toml")
	if err := os.WriteFile(other, []byte("[camera]\nrotate = 180\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, _, err := configure([]string{"-config", other}, io.Discard); err != nil || c.Camera.Rotate != 180 {
		t.Errorf("with another file on the command line: rotate %d, %v", c.Camera.Rotate, err)
	}
}
