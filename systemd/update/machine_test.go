package update_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"livekiosk/systemd/update"
)

// files is a board that runs version 2 and has 3 installed.
func files() map[string]string {
	return map[string]string{
		"etc/machine-id":                     "0123456789abcdef0123456789abcdef\n",
		"etc/kioskd/update.toml":             "ring = \"early\"\nwindow = \"02:00-05:00\"\nfloor = \"1.5\"\n",
		"usr/lib/os-release":                 "ID=kiosk\nIMAGE_VERSION=\"2\"\n",
		"efi/EFI/Linux/kiosk_2.efi":          "",
		"efi/EFI/Linux/kiosk_3+2-1.efi":      "",
		"efi/EFI/Linux/kiosk_4+3.efi":        "",
		"efi/EFI/Linux/other_5.efi":          "",
		"run/kioskd/busy":                    "",
		"var/lib/kioskd-update/rollout.json": `{"version":"3","rings":{"early":"2026-05-02T00:00:00Z"},"until":"2026-06-01T00:00:00Z"}`,
	}
}

// machine makes a board of files, whose programs say what said has for the
// beginning of their command line. It returns the command lines that were run.
func machine(t *testing.T, files, said map[string]string) (m update.Machine, ran *[]string) {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
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
		*ran = append(*ran, line)
		for begin, answer := range said {
			if strings.HasPrefix(line, begin) {
				return answer, nil
			}
		}
		return "", errors.New("not found: " + line)
	}}, ran
}

func words() map[string]string {
	return map[string]string{"systemd-bless-boot status": "indeterminate", "systemctl show": "failed"}
}

func TestMachineTellsTheFacts(t *testing.T) {
	m, _ := machine(t, files(), words())
	busy, err := os.Open(filepath.Join(m.Root, "run/kioskd/busy"))
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	if err := unix.Flock(int(busy.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	f, err := m.Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	window, err := f.Policy.Window.MarshalText()
	if err != nil || string(window) != "02:00-05:00" || f.Policy.Ring != "early" || f.Policy.Floor != "1.5" {
		t.Errorf("policy %+v, window %s, %v", f.Policy, window, err)
	}
	if want := []update.Slot{{"2", update.Kept}, {"3", 2}, {"4", 3}}; !slices.Equal(f.Slots, want) {
		t.Errorf("slots %v, want %v", f.Slots, want)
	}
	if f.Machine != "0123456789abcdef0123456789abcdef" || f.Running != "2" || f.Trial != update.TrialOpen || !f.Failed || !f.Busy || f.Offer.Version != "3" || f.Now.IsZero() {
		t.Errorf("facts %+v", f)
	}
}

func TestMachineWithoutPolicyOfferOrDaemon(t *testing.T) {
	all := files()
	for _, name := range []string{"etc/kioskd/update.toml", "var/lib/kioskd-update/rollout.json", "run/kioskd/busy"} {
		delete(all, name)
	}
	m, _ := machine(t, all, map[string]string{"systemd-bless-boot status": "clean", "systemctl show": "inactive"})
	f, err := m.Facts(t.Context())
	if err != nil || f.Policy != (update.Policy{Ring: update.Broad}) || f.Offer != nil || f.Busy || f.Failed || f.Trial != update.TrialNone {
		t.Errorf("facts %+v, %v", f, err)
	}
}

func TestMachineMakesNothingUp(t *testing.T) {
	for name, text := range map[string]string{
		"etc/machine-id":            "", // is taken away
		"etc/kioskd/update.toml":    "rings = \"early\"\n",
		"usr/lib/os-release":        "ID=debian\n",
		"efi/EFI/Linux/kiosk_x.efi": "x",
	} {
		all := files()
		if all[name] = text; text == "" {
			delete(all, name)
		}
		m, _ := machine(t, all, map[string]string{"systemd-bless-boot status": "good", "systemctl show": "active"})
		if f, err := m.Facts(t.Context()); err == nil {
			t.Errorf("with another %s: %+v", name, f)
		}
	}
	for name, said := range map[string]map[string]string{
		"a boot of which nothing is known": {"systemd-bless-boot status": "dirty", "systemctl show": "active"},
		"no systemd-boot":                  {"systemctl show": "active"},
		"no systemd":                       {"systemd-bless-boot status": "good"},
	} {
		m, _ := machine(t, files(), said)
		if f, err := m.Facts(t.Context()); err == nil {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// TestAMistakeStopsNoFallback has a version that does not work be left in spite of
// what cannot be read, which is told.
func TestAMistakeStopsNoFallback(t *testing.T) {
	for name, text := range map[string]string{
		"etc/kioskd/update.toml":             "window = \"night\"\n",
		"var/lib/kioskd-update/rollout.json": `{"version":"3"}`,
	} {
		all := files()
		all[name] = text
		m, ran := machine(t, all, map[string]string{"systemd-bless-boot status": "indeterminate", "systemctl show": "failed", "systemctl start": ""})
		d, err := update.Apply(t.Context(), m, time.Hour)
		if d != (update.Decision{update.Restart, update.Fallback, "2"}) || err == nil || !slices.Contains(*ran, "systemctl start --no-block kioskd-restart.service") {
			t.Errorf("with another %s: %v, %v, ran %q", name, d, err, *ran)
		}
	}
}

// TestARolloutThatCannotBeReadIsReplaced has one wait for the next, and never be
// applied.
func TestARolloutThatCannotBeReadIsReplaced(t *testing.T) {
	const mended = `{"version":"5","rings":{"broad":"2000-01-01T00:00:00Z"},"until":"2999-01-01T00:00:00Z"}`
	for _, wrong := range []string{
		`{"version":"4","rings":{"broad":"2000-01-01T00:00:00Z"}}`,
		`{"version":"4","rings":{"broad":"2000-01-01T00:00:00Z"},"until":"2999-01-01T00:00:00Z","colour":"red"}`,
		`{"version":"4","floor":"4.1","rings":{"broad":"2000-01-01T00:00:00Z"},"until":"2999-01-01T00:00:00Z"}`,
	} {
		all := files()
		for _, name := range []string{"etc/kioskd/update.toml", "efi/EFI/Linux/kiosk_3+2-1.efi", "efi/EFI/Linux/kiosk_4+3.efi"} {
			delete(all, name)
		}
		all["var/lib/kioskd-update/rollout.json"] = wrong
		m, ran := machine(t, all, map[string]string{"systemd-bless-boot status": "good", "systemctl show": "active", "systemctl start": "", "systemd-sysupdate": ""})
		if d, err := update.Apply(t.Context(), m, time.Hour); d != (update.Decision{update.Rest, update.NoOffer, ""}) || err == nil {
			t.Errorf("%s: %v, %v, ran %q", wrong, d, err, *ran)
		}
		work := m.Run
		m.Run = func(ctx context.Context, name string, args ...string) (string, error) {
			said, err := work(ctx, name, args...)
			switch strings.Join(args, " ") {
			case "--component=rollout update":
				err = errors.Join(err, os.WriteFile(filepath.Join(m.Root, "var/lib/kioskd-update/rollout.json"), []byte(mended), 0o644))
			case "update 5":
				err = errors.Join(err, os.WriteFile(filepath.Join(m.Root, "efi/EFI/Linux/kiosk_5+3.efi"), nil, 0o644))
			}
			return said, err
		}
		if d, err := update.Apply(t.Context(), m, time.Hour); d != (update.Decision{update.Restart, update.Installed, "5"}) || err != nil {
			t.Errorf("%s: %v, %v, ran %q", wrong, d, err, *ran)
		}
	}
}

// TestTheSlotToGoBackToIsNotWritten has another engine ask from slot B.
func TestTheSlotToGoBackToIsNotWritten(t *testing.T) {
	for trial, want := range map[string]update.Action{"": update.Install, "A\n": update.Install, "B\n": update.Rest} {
		all := files()
		delete(all, "etc/kioskd/update.toml")
		if all["proc/cmdline"] = "quiet rauc.slot=B ro\n"; trial != "" {
			all["var/lib/kioskd-update/trial"] = trial
		}
		m, _ := machine(t, all, nil)
		if d, err := m.Permit("2.1"); d.Action != want || err != nil {
			t.Errorf("on trial is %q: %v, %v, want %s", trial, d, err, want)
		}
	}
}

func TestMachineHasSystemdDoIt(t *testing.T) {
	m, ran := machine(t, nil, map[string]string{"": ""})
	if err := errors.Join(m.Refresh(t.Context()), m.Install(t.Context(), "3"), m.Restart(t.Context())); err != nil {
		t.Error(err)
	}
	want := []string{"systemd-sysupdate --component=rollout update", "systemd-sysupdate update 3", "systemctl start --no-block kioskd-restart.service"}
	if !slices.Equal(*ran, want) {
		t.Errorf("ran %q, want %q", *ran, want)
	}
}
