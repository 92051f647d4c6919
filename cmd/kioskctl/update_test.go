package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"livekiosk/systemd/update"
)

// updatable is a board that runs version 2 and is offered 3, whose programs do
// nothing but keep their names in ran, or go wrong with err.
func updatable(t *testing.T, err error) (b update.Machine, ran *[]string) {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"etc/machine-id":                     "0123456789abcdef0123456789abcdef\n",
		"usr/lib/os-release":                 "IMAGE_VERSION=2\n",
		"efi/EFI/Linux/kiosk_2.efi":          "",
		"efi/EFI/Linux/kiosk_1+0-3.efi":      "",
		"var/lib/kioskd-update/rollout.json": `{"version":"3","rings":{"broad":"2000-01-01T00:00:00Z"},"until":"2999-01-01T00:00:00Z"}`,
	} {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ran = new([]string)
	return update.Machine{Root: root, Run: func(_ context.Context, name string, args ...string) (string, error) {
		line := strings.Join(append([]string{filepath.Base(name)}, args...), " ")
		switch {
		case line == "systemd-bless-boot status":
			return "good", nil
		case strings.HasPrefix(line, "systemctl show"):
			return "active", nil
		}
		*ran = append(*ran, line)
		if line == "systemd-sysupdate update 3" {
			return "", errors.Join(err, os.WriteFile(filepath.Join(root, "efi/EFI/Linux/kiosk_3+3-0.efi"), nil, 0o644))
		}
		return "", err
	}}, ran
}

// TestPermitHoldsFloorAndWindow has an engine ask below the floor, and outside of
// the window.
func TestPermitHoldsFloorAndWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // at midnight UTC
		b, _ := updatable(t, nil)
		if err := os.Mkdir(filepath.Join(b.Root, "etc/kioskd"), 0o755); err != nil {
			t.Fatal(err)
		}
		hour := time.Now().Hour()
		for code, text := range map[int]string{
			exitEnded: "floor = \"3\"\n",
			exitLater: fmt.Sprintf("window = \"%02d:00-%02d:00\"\n", (hour+2)%24, (hour+4)%24),
			exitOK:    fmt.Sprintf("floor = \"2.1\"\nwindow = \"%02d:00-%02d:00\"\n", hour, (hour+4)%24),
		} {
			if err := os.WriteFile(filepath.Join(b.Root, "etc/kioskd/update.toml"), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			var out, errs bytes.Buffer
			if got := run(t.Context(), []string{"update", "permit", "2.1"}, world{out: &out, err: &errs, now: time.Now, board: b}); got != code {
				t.Errorf("with %s exit %d, want %d: %s%s", text, got, code, &out, &errs)
			}
		}
	})
}

// TestUpdateStatusTellsWhatItCannotRead shows the rest, and goes wrong.
func TestUpdateStatusTellsWhatItCannotRead(t *testing.T) {
	b, _ := updatable(t, nil)
	if err := os.WriteFile(filepath.Join(b.Root, "var/lib/kioskd-update/rollout.json"), []byte(`{"version":"3"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"update"}, world{out: &out, err: &errs, now: time.Now, board: b})
	if code != exitUnavailable || !strings.Contains(out.String(), "rest: no offer") || !strings.Contains(errs.String(), "no until") {
		t.Errorf("exit %d: %s%s", code, &out, &errs)
	}
}

func TestUpdate(t *testing.T) {
	const refresh, install, restart = "systemd-sysupdate --component=rollout update", "systemd-sysupdate update 3", "systemctl start --no-block kioskd-restart.service"
	for _, tt := range []struct {
		name string
		args string
		busy bool
		err  error // of every program
		code int
		out  string
		ran  string
	}{
		{"status by default", "", false, nil, 0, "running    2 (good)\ninstalled  1, did not work\ninstalled  2\noffered    3\nring       broad\ninstall: offered (version 3)\n", ""},
		{"status for machines", "status --json", false, nil, 0, `"next":{"action":"install","reason":"offered","version":"3"}}`, ""},
		{"check", "check", true, nil, 0, "wait: busy (version 3)\n", refresh},
		{"check without a network", "check", false, errors.New("no network"), exitUnavailable, "", refresh},
		{"apply", "apply", false, nil, 0, "restart: installed (version 3)\n", refresh + "\n" + install + "\n" + restart},
		{"apply while somebody is there", "apply --wait 10m", true, nil, exitLater, "wait: busy (version 3)\n", refresh},
		{"apply without permission", "apply", false, fs.ErrPermission, exitForbidden, "install: offered (version 3)\n", refresh + "\n" + install},
		{"permit a newer one", "permit 2.1", false, nil, 0, "install: offered (version 2.1)\n", ""},
		{"permit while somebody is there", "permit 2.1 --wait 10m", true, nil, exitLater, "", ""},
		{"permit what runs", "permit 2", false, nil, exitEnded, "", ""},
		{"permit an older one", "permit 1.9", false, nil, exitEnded, "", ""},
		{"permit no version", "permit latest", false, nil, exitUsage, "", ""},
		{"permit nothing", "permit", false, nil, exitUsage, "", ""},
		{"a word that is none", "install", false, nil, exitUsage, "", ""},
		{"a word too many", "apply 3", false, nil, exitUsage, "", ""},
		{"no time to wait", "apply --wait 0s", false, nil, exitUsage, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, ran := updatable(t, tt.err)
				if tt.busy {
					if err := os.MkdirAll(filepath.Join(b.Root, "run/kioskd"), 0o755); err != nil {
						t.Fatal(err)
					}
					f, err := os.Create(filepath.Join(b.Root, "run/kioskd/busy"))
					if err != nil {
						t.Fatal(err)
					}
					defer f.Close()
					if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
						t.Fatal(err)
					}
				}
				var out, errs bytes.Buffer
				code := run(t.Context(), append([]string{"update"}, strings.Fields(tt.args)...), world{out: &out, err: &errs, now: time.Now, board: b})
				if code != tt.code || !strings.HasSuffix(strings.TrimSuffix(out.String(), "\n"), strings.TrimSuffix(tt.out, "\n")) || tt.out == "" && out.Len() > 0 {
					t.Errorf("exit %d, want %d; said\n%swant\n%s%s", code, tt.code, &out, tt.out, &errs)
				}
				if got := strings.Join(*ran, "\n"); got != tt.ran {
					t.Errorf("ran\n%s\nwant\n%s", got, tt.ran)
				}
			})
		})
	}
}
