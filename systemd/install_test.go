package systemd_test

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the list of what is installed")

// TestWhatIsInstalled runs make install with two programs that stand for the
// real ones, and holds every file and its mode against the list in testdata.
func TestWhatIsInstalled(t *testing.T) {
	bin, dest := t.TempDir(), filepath.Join(t.TempDir(), "board")
	for _, name := range []string{"kioskd", "kioskctl", "gatewaysim"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if said, ok := tool(t, "make", "-C", "..", "install", "DESTDIR="+dest, "BIN="+bin); !ok {
		t.Fatalf("make install:\n%s", said)
	}
	var got strings.Builder
	names := map[string]bool{}
	if err := filepath.WalkDir(dest, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		names[e.Name()] = true
		fmt.Fprintf(&got, "%v %s\n", info.Mode(), strings.TrimPrefix(path, dest))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	list := filepath.Join("testdata", "installed")
	if *update {
		if err := os.WriteFile(list, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("installed is\n%s\nand %s has\n%s", got.String(), list, want)
	}
	for _, dir := range []string{"units", "sysusers.d", "tmpfiles.d", "rules.d", "lockdown", "rauc", "sysupdate.d", "sysupdate.models.d", "sysupdate.rollout.d"} {
		if err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() && !names[e.Name()] {
				t.Errorf("%s is not installed", path)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(dest, "usr", "bin", "kioskd")); err != nil || string(b) != "kioskd" {
		t.Errorf("kioskd is not the program that was built: %q, %v", b, err)
	}
}
