package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestStoryIsToldByTheDaemonsProgram(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "kioskd"), []byte("#!/bin/sh\necho told: \"$@\"\ntest \"$2\" = -sheet\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	for _, c := range []struct {
		name string
		args []string
		code int
		out  string
	}{
		{"its flags are handed on", []string{"story", "--", "-sheet", "a.png"}, 0, "told: -story -sheet a.png\n"},
		{"its exit code is handed back", []string{"story", "--", "-size", "big"}, 1, "told: -story -size big\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := kioskctl(t.Context(), nil, "", c.args...)
			if code != c.code || out != c.out || (code == 0) != (errs == "") {
				t.Errorf("exit %d, %q, %q", code, out, errs)
			}
		})
	}
	t.Setenv("PATH", t.TempDir())
	if code, _, errs := kioskctl(t.Context(), nil, "", "story"); code != 69 || !strings.Contains(errs, "kioskd") {
		t.Errorf("without the program: exit %d, %q", code, errs)
	}
}
