package guest_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"livekiosk/buildroot/test/guest"
)

// archive puts an apt in the way of the real one, which knows one revision
// before and another after an update, and can fetch nothing.
func archive(t *testing.T, before, after string) (calls func() string) {
	t.Helper()
	bin, state := t.TempDir(), t.TempDir()
	script := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\ncd "+state+"\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script("apt-cache", `echo "Package: linux-image-arm64"
if test -e updated; then echo "`+after+`"; else echo "`+before+`"; fi
`)
	script("apt-get", `echo "$*" >>calls
case "$*" in *update*) echo >updated ;; *) echo "E: 404" ; exit 100 ;; esac
`)
	script("sudo", `exec "$@"
`)
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	return func() string {
		text, err := os.ReadFile(filepath.Join(state, "calls"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return string(text)
	}
}

func depends(release, version string) string {
	return "Depends: linux-base, linux-image-" + release + "-arm64 (= " + version + ")"
}

func TestKernelFollowsTheArchive(t *testing.T) {
	calls := archive(t, depends("6.1.0-9", "6.1.27-1"), depends("6.1.0-10", "6.1.38-2"))
	var log strings.Builder
	_, _, err := guest.Kernel(t.Context(), guest.ARM64, t.TempDir(), &log)
	if err == nil || errors.Is(err, guest.ErrLacks) {
		t.Errorf("got %v, but nothing can be fetched", err)
	}
	lines := strings.Split(strings.TrimSpace(calls()), "\n")
	if len(lines) != 3 || !strings.HasSuffix(lines[1], "update") {
		t.Fatalf("apt-get was called %q, want a try, an update, and a try", lines)
	}
	for i, want := range map[int][]string{
		0: {"linux-image-6.1.0-9-arm64:arm64=6.1.27-1", "linux-headers-6.1.0-9-arm64:arm64=6.1.27-1", "linux-headers-6.1.0-9-common=6.1.27-1", "linux-source-6.1=6.1.27-1"},
		2: {"linux-image-6.1.0-10-arm64:arm64=6.1.38-2", "linux-headers-6.1.0-10-arm64:arm64=6.1.38-2", "linux-headers-6.1.0-10-common=6.1.38-2", "linux-source-6.1=6.1.38-2"},
	} {
		for _, w := range want {
			if !strings.Contains(lines[i], " "+w) {
				t.Errorf("call %q lacks %s", lines[i], w)
			}
		}
	}
}

func TestKernelOfTheCacheNeedsNoArchive(t *testing.T) {
	calls := archive(t, depends("6.1.0-9", "6.1.27-1"), "")
	cache := t.TempDir()
	dir := filepath.Join(cache, "6.1.27-1", guest.Place(guest.ARM64))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ready"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	release, version, err := guest.Kernel(t.Context(), guest.ARM64, cache, &log)
	if err != nil || release != "6.1.0-9-arm64" || version != "6.1.27-1" || calls() != "" {
		t.Errorf("got %s, %s, %v; apt-get was called %q", release, version, err, calls())
	}
	if !strings.Contains(log.String(), "6.1.27-1") {
		t.Errorf("the revision is not told: %q", log.String())
	}
}

func TestKernelOfAnotherDebian(t *testing.T) {
	archive(t, depends("6.12.0-1", "6.12.5-1"), "")
	if _, _, err := guest.Kernel(t.Context(), guest.ARM64, t.TempDir(), &strings.Builder{}); !errors.Is(err, guest.ErrLacks) {
		t.Errorf("got %v, want %v", err, guest.ErrLacks)
	}
}
