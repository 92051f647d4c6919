package main

import (
	"bytes"
	"errors"
	"image/png"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestStoryWritesAContactSheet(t *testing.T) {
	sheet := filepath.Join(t.TempDir(), "sheet.png")
	args := []string{"-story", "-sheet", sheet, "-states", "^(idle|granted)$", "-scheme", "HIGH_CONTRAST", "-size", "320x480", "-columns", "3", "-shrink", "2"}
	var log bytes.Buffer
	if code := run(t.Context(), args, &log); code != exitOK {
		t.Fatalf("exit code %d\n%s", code, log.String())
	}
	f, err := os.Open(sheet)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	// Two states in two languages: three pictures of 160x240 and one beneath.
	if size := m.Bounds().Max; size.X != 3*168+8 || size.Y != 2*248+8 {
		t.Errorf("the sheet is %v", size)
	}
}

// A language that was dropped in is in the story, and the pseudo-language only
// for who asks for it.
func TestStoryIsToldInEveryLanguage(t *testing.T) {
	l := newLab(t)
	for _, c := range []struct {
		name string
		more []string
		wide int // pictures
	}{
		{"dropped in", []string{"-languages", l.languages("jv", "Basa Jawa", nil)}, 3},
		{"pseudo", []string{"-locale", "en-XA"}, 1},
	} {
		sheet := filepath.Join(t.TempDir(), "sheet.png")
		args := append([]string{"-story", "-sheet", sheet, "-states", "^idle$", "-scheme", "LIGHT_MODE", "-size", "320x480", "-columns", "9", "-shrink", "2"}, c.more...)
		var log bytes.Buffer
		if code := run(t.Context(), args, &log); code != exitOK {
			t.Fatalf("%s: exit code %d\n%s", c.name, code, log.String())
		}
		f, err := os.Open(sheet)
		if err != nil {
			t.Fatal(err)
		}
		m, err := png.DecodeConfig(f)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		if m.Width != c.wide*168+8 {
			t.Errorf("%s: the sheet is %d wide, want %d pictures", c.name, m.Width, c.wide)
		}
	}
}

func TestFrameReportTellsWhatEachStateCosts(t *testing.T) {
	var out bytes.Buffer
	err := tell(t.Context(), reportFlag, []string{"-states", "^(idle|guiding)$", "-size", "320x480", "-frames", "2"}, &out, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"at 320x480", "idle  ", "guiding  ", "of a frame"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestStoriesSayWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"a size that is none", []string{"-story", "-size", "big"}, exitUsage, "such as 720x1280"},
		{"a state that is none", []string{"-story", "-states", "^lobby$"}, exitUsage, "no state is called so"},
		{"a pattern that is none", []string{"-story", "-states", "("}, exitUsage, "-states"},
		{"a scheme that is none", []string{"-story", "-scheme", "SEPIA"}, exitUsage, "SEPIA"},
		{"a language that nobody speaks", []string{"-story", "-locale", "xx"}, exitUsage, "xx"},
		{"no picture in a row", []string{"-story", "-columns", "0"}, exitUsage, "-columns"},
		{"no frame to measure", []string{"-frame-report", "-frames", "0"}, exitUsage, "-frames"},
		{"a sheet of a report", []string{"-frame-report", "-sheet", "x.png"}, exitUsage, "-sheet"},
		{"a theme that is not there", []string{"-story", "-theme", "/nowhere/bank.json"}, exitConfig, "/nowhere/bank.json"},
		{"a story that is not told first", []string{"-check-config", "-story"}, exitUsage, "stand first"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			if code := run(t.Context(), c.args, &log); code != c.code || !strings.Contains(log.String(), c.says) {
				t.Errorf("exit code %d, want %d and %q in\n%s", code, c.code, c.says, log.String())
			}
		})
	}
}
