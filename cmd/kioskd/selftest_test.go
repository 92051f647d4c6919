package main

import (
	"bytes"
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
