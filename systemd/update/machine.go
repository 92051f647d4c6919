package update

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"livekiosk/systemd"
)

// A Machine is a board with systemd-boot, whose images systemd-sysupdate writes.
// It implements Board.
type Machine struct {
	// Root is where the files of the board are; "": /.
	Root string

	// Run runs a program and returns what it printed. Nil: as root on this
	// machine, what it complains of included in the error.
	Run func(ctx context.Context, name string, args ...string) (string, error)
}

// The programs and units that a Machine uses.
const (
	sysupdate = "/usr/lib/systemd/systemd-sysupdate"
	bless     = "/usr/lib/systemd/systemd-bless-boot"
	gate      = "kioskd-health.service"
	restart   = "kioskd-restart.service"
)

// The files that it reads.
const (
	policyFile  = "etc/kioskd/update.toml"
	rolloutFile = "var/lib/kioskd-update/rollout.json"
	trialFile   = "var/lib/kioskd-update/trial" // of rauc-post-install: the slot
	busyFile    = "run/kioskd/busy"
	machineFile = "etc/machine-id"
	cmdlineFile = "proc/cmdline"
)

func (m Machine) path(name string) string { return filepath.Join("/", m.Root, name) }

// Facts implements Board.
func (m Machine) Facts(ctx context.Context) (Facts, error) {
	f, err := m.common()
	if err != nil {
		return f, err
	}
	if f.Slots, err = m.slots(); err != nil {
		return f, err
	}
	said, err := m.run(ctx, bless, "status")
	if err != nil {
		return f, err
	}
	switch f.Trial = Trial(said); f.Trial {
	case TrialNone, TrialOpen, TrialGood, TrialBad:
	default:
		return f, fmt.Errorf("systemd-bless-boot says %q of this boot", said)
	}
	state, err := m.run(ctx, "systemctl", "show", "--property=ActiveState", "--value", gate)
	if err != nil {
		return f, err
	}
	f.Failed = state == "failed"
	f.Policy, err = ReadPolicy(m.path(policyFile))
	if err != nil && f.Trial != TrialOpen { // a trial is judged without it
		return f, err
	}
	var unread error
	f.Offer, unread = m.offer()
	f.Unread = errors.Join(err, unread)
	return f, nil
}

// offer reads the rollout; nil: there is none.
func (m Machine) offer() (*Rollout, error) {
	b, err := os.ReadFile(m.path(rolloutFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	r, err := ParseRollout(b)
	if err != nil {
		return nil, err
	}
	return &r, nil
}

// common are the facts that need nothing of systemd-boot, nor the policy.
func (m Machine) common() (f Facts, err error) {
	f.Now = time.Now()
	id, err := os.ReadFile(m.path(machineFile))
	if err != nil {
		return f, err
	}
	f.Machine = strings.TrimSpace(string(id))
	if f.Running, err = m.running(); err != nil {
		return f, err
	}
	f.Busy, err = systemd.IsBusy(m.path(busyFile))
	return f, err
}

// Permit decides for another engine whether the board may be updated to v now:
// Install if so. That engine has chosen the kiosk and the time by itself, and
// knows of slots, but not that the running one is on trial.
func (m Machine) Permit(v Version) (Decision, error) {
	f, err := m.common()
	if err != nil {
		return Decision{}, err
	}
	if f.Policy, err = ReadPolicy(m.path(policyFile)); err != nil {
		return Decision{}, err
	}
	if f.Trial, err = m.slotTrial(); err != nil {
		return Decision{}, err
	}
	f.Offer = &Rollout{Version: v, Rings: map[string]time.Time{f.Policy.Ring: {}}, Until: f.Now.Add(time.Hour)}
	return Decide(f), nil
}

// slotTrial tells whether the slot that runs is the one that RAUC has on trial.
func (m Machine) slotTrial() (Trial, error) {
	slot, err := os.ReadFile(m.path(trialFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return TrialNone, nil
	case err != nil:
		return "", err
	}
	cmdline, err := os.ReadFile(m.path(cmdlineFile))
	if err != nil {
		return "", err
	}
	if slices.Contains(strings.Fields(string(cmdline)), "rauc.slot="+strings.TrimSpace(string(slot))) {
		return TrialOpen, nil
	}
	return TrialNone, nil
}

// running reads which version's files these are.
func (m Machine) running() (Version, error) {
	b, err := os.ReadFile(m.path("usr/lib/os-release"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		if value, found := strings.CutPrefix(line, "IMAGE_VERSION="); found {
			return ParseVersion(strings.Trim(strings.TrimSpace(value), `"'`))
		}
	}
	return "", errors.New("usr/lib/os-release: no IMAGE_VERSION: this is no image that can be updated")
}

// slots reads which versions can be booted from the names of their kernel
// images, in which the boot loader counts.
func (m Machine) slots() (slots []Slot, err error) {
	var entries []os.DirEntry
	for _, dir := range []string{"efi", "boot"} { // where systemd mounts the partition
		if entries, err = os.ReadDir(m.path(dir + "/EFI/Linux")); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	name := regexp.MustCompile(`^kiosk_([^+]+)(?:\+([0-9]+)(?:-[0-9]+)?)?\.efi$`)
	for _, e := range entries {
		found := name.FindStringSubmatch(e.Name())
		if found == nil {
			continue
		}
		s := Slot{Tries: Kept}
		if s.Version, err = ParseVersion(found[1]); err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		if found[2] != "" {
			if s.Tries, err = strconv.Atoi(found[2]); err != nil {
				return nil, fmt.Errorf("%s: %w", e.Name(), err)
			}
		}
		slots = append(slots, s)
	}
	return slots, nil
}

// Refresh implements Board.
func (m Machine) Refresh(ctx context.Context) error {
	_, err := m.run(ctx, sysupdate, "--component=rollout", "update")
	return err
}

// Install implements Board.
func (m Machine) Install(ctx context.Context, v Version) error {
	_, err := m.run(ctx, sysupdate, "update", string(v))
	return err
}

// Restart implements Board: a unit of its own waits until nobody is there.
func (m Machine) Restart(ctx context.Context) error {
	_, err := m.run(ctx, "systemctl", "start", "--no-block", restart)
	return err
}

func (m Machine) run(ctx context.Context, name string, args ...string) (string, error) {
	if m.Run != nil {
		return m.Run(ctx, name, args...)
	}
	var complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(complaint.String()), "\n")
		return "", fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, lines[len(lines)-1])
	}
	return strings.TrimSpace(string(out)), nil
}
