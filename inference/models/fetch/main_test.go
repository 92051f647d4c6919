package main_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestExitCodesAreAsDocumented(t *testing.T) {
	fetch := filepath.Join(t.TempDir(), "fetch")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", fetch, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	empty := t.TempDir()
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"help is no mistake":               {[]string{"-help"}, 0, "-arch list"},
		"an unknown flag is one of usage":  {[]string{"-all"}, 2, "-all"},
		"an argument is one of usage":      {[]string{"amd64"}, 2, `unknown argument "amd64"`},
		"so is an unknown architecture":    {[]string{"-arch", "amd64,z80"}, 2, `"z80"`},
		"a check of nothing finds nothing": {[]string{"-check", "-dir", empty}, 1, "make models"},
		"nor has a list of nothing":        {[]string{"-list", "-dir", empty}, 1, "make models"},
		"no npm is a plain error":          {[]string{"-dir", empty}, 1, "npm is not installed"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), fetch, c.args...)
			cmd.Env = []string{"HOME=" + empty, "PATH=" + empty}
			var said bytes.Buffer
			cmd.Stderr = &said
			code := 0
			if err := cmd.Run(); err != nil {
				var exit *exec.ExitError
				if !errors.As(err, &exit) {
					t.Fatal(err)
				}
				code = exit.ExitCode()
			}
			if code != c.code || !strings.Contains(said.String(), c.want) {
				t.Errorf("exit code %d, want %d; it says %q, want something about %q", code, c.code, said.String(), c.want)
			}
		})
	}
	if left, err := os.ReadDir(empty); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
