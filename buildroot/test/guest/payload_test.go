package guest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"livekiosk/buildroot/test/guest"
)

func TestGuestTestsAskForWhatTheyNeed(t *testing.T) {
	for _, c := range []struct {
		name     string
		text     string
		programs []string
		host     []string
		models   bool
		err      string
	}{
		{"nothing", "package p\n", nil, nil, false, ""},
		{
			"all kinds, some twice", "package p\n\n//guest:program ./cmd/b ./cmd/a\n//guest:program ./cmd/a\n//guest:host /usr/bin/x\n//guest:models\n",
			[]string{"./cmd/a", "./cmd/b"},
			[]string{"/usr/bin/x"},
			true, "",
		},
		{"a comment", "package p\n\n// guest:program ./cmd/a\n", nil, nil, false, ""},
		{"a word that is none", "package p\n\n//guest:prog ./cmd/a\n", nil, nil, false, "p/guest_test.go: //guest:prog ./cmd/a"},
		{"no program", "package p\n\n//guest:program\n", nil, nil, false, "//guest:program"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "p")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "guest_test.go"), []byte(c.text), 0o644); err != nil {
				t.Fatal(err)
			}
			programs, host, models, err := guest.Payload(dir, "guest_test.go")
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v, want %q", err, c.err)
				}
				return
			}
			if err != nil || !slices.Equal(programs, c.programs) || !slices.Equal(host, c.host) || models != c.models {
				t.Errorf("got %q, %q, %t, %v", programs, host, models, err)
			}
		})
	}
}

// A program runs with its libraries alone: the loader of the list starts it,
// with no other place to look.
func TestSharedObjectsAreAllThatAProgramTakes(t *testing.T) {
	program, err := exec.LookPath("gcc")
	if err != nil {
		t.Fatal(err)
	}
	libraries, err := guest.SharedObjects(t.Context(), program)
	if err != nil {
		t.Fatal(err)
	}
	dir, loader := t.TempDir(), ""
	for _, file := range libraries {
		to := filepath.Join(dir, filepath.Base(file))
		if err := os.Symlink(file, to); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(filepath.Base(file), "ld-linux") {
			loader = to
		}
	}
	if len(libraries) < 2 || loader == "" {
		t.Fatalf("libraries %q", libraries)
	}
	out, err := exec.CommandContext(t.Context(), loader, "--inhibit-cache", "--library-path", dir, program, "--version").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Free Software Foundation") {
		t.Errorf("%v: %s", err, out)
	}
	if got, err := guest.SharedObjects(t.Context(), filepath.Join(dir, "nothing")); err == nil {
		t.Errorf("libraries of nothing: %q", got)
	}
}
