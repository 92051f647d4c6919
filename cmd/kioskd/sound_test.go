package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
)

// TestAVisitorHearsTheKiosk has clips for the screen that everybody passes and
// for the one that nobody stands before. The player is a program of this test's.
func TestAVisitorHearsTheKiosk(t *testing.T) {
	dir := t.TempDir()
	heard := filepath.Join(dir, "heard")
	script := fmt.Sprintf("#!/bin/sh\n{ echo \"$@\"; cat; } >> '%s'\n", heard)
	if err := os.WriteFile(filepath.Join(dir, "aplay"), []byte(script), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	clip := func(s kiosk.Screen) string { return "RIFF....WAVE" + strings.Repeat(".", 32) + string(s) + "\n" }
	for _, locale := range []kiosk.Locale{kiosk.English, kiosk.Indonesian} {
		if err := os.Mkdir(filepath.Join(dir, string(locale)), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, s := range []kiosk.Screen{kiosk.IdleScreen, kiosk.ConsentScreen} {
			if err := os.WriteFile(filepath.Join(dir, string(locale), string(s)+".wav"), []byte(clip(s)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	l := newLab(t)
	d := l.start("-config", l.file("c.toml", fmt.Sprintf("[sound]\ndir = %q\ndevice = \"hw:1\"\n", dir)))
	d.await("service", healthy)
	if _, err := d.client.Launch(t.Context(), kiosk.Launch{CorrelationID: "c-1", UserID: "u-1", Locale: kiosk.English, Theme: kiosk.Light}); err != nil {
		t.Fatal(err)
	}
	var got string
	d.await("the player", func(api.Status) bool {
		b, _ := os.ReadFile(heard) // not there before something was played
		got = string(b)
		return strings.Contains(got, clip(kiosk.ConsentScreen))
	})
	if want := "-D hw:1 -q -\n" + clip(kiosk.ConsentScreen); got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
}
