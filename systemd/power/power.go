// Package power tells how the board is powered, from what the kernel says in
// sysfs, and when a kiosk should take no more visitors.
package power

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Supply is how the board is powered. The zero value is a board that is
// plugged in and has no battery.
type Supply struct {
	Battery bool // it runs on a battery: there is one, and nothing is plugged in
	Known   bool // Charge is known
	Charge  int  // of the emptiest battery of the board, percent, 0 to 100; 0 if there is none
}

// Read reads the state from a sysfs tree, which is /sys but in tests. Batteries
// of other devices, such as a mouse's, are no supply of the board. A tree
// without supplies is that of a board that is always plugged in. The kernel
// removes a supply while it is read: what is gone is passed over.
func Read(sys string) (Supply, error) {
	dirs, err := filepath.Glob(filepath.Join(sys, "class", "power_supply", "*"))
	if err != nil {
		return Supply{}, fmt.Errorf("power supplies of %s: %w", sys, err)
	}
	var s Supply
	battery, mains := false, false
	for _, dir := range dirs {
		f, err := files(dir)
		switch {
		case err != nil:
			return Supply{}, err
		case f["scope"] == "Device", f["present"] == "0":
			continue
		case f["type"] != "Battery": // Mains, USB, Wireless, UPS: what they give
			mains = mains || f["online"] != "" && f["online"] != "0" // 2: programmable
			continue
		}
		battery = true
		if charge, bad := strconv.Atoi(f["capacity"]); bad == nil && charge >= 0 && charge <= 100 && (!s.Known || charge < s.Charge) {
			s.Known, s.Charge = true, charge
		}
	}
	s.Battery = battery && !mains
	return s, nil
}

// files returns what is in the files of a supply that matter; "" for one that is
// not there, or of which the driver has nothing to say.
func files(dir string) (map[string]string, error) {
	f := map[string]string{}
	for _, name := range []string{"type", "scope", "present", "online", "capacity"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENODATA), errors.Is(err, unix.EAGAIN):
		case err != nil:
			return nil, fmt.Errorf("power supply: %w", err)
		}
		f[name] = strings.TrimSpace(string(b))
	}
	return f, nil
}

// margin is by how much a battery must have recovered, percent, so that a kiosk
// does not open and close with every visitor's light.
const margin = 5

// Low reports whether a kiosk on supply s takes no more visitors, where it was
// so before or not, and least is the charge in percent below which that is so; 0:
// never. What is plugged in is never low, and what is unknown is no reason.
func Low(s Supply, least int, was bool) bool {
	if !s.Battery || !s.Known {
		return false
	}
	if was {
		return s.Charge < min(least+margin, 100) && least > 0
	}
	return s.Charge < least
}

// A Watch looks after the supply of a board.
type Watch struct {
	Sys   string               // sysfs; "": /sys
	Least int                  // see Low
	Every time.Duration        // between looks; 0: 10 s
	Tell  func(Supply, bool)   // of each change and of the first state, and whether it is low; must not block
	Bad   func(error)          // once, that it cannot be read, and again after it could; must not block
	Woken func(time.Duration)  // that the board was suspended, and for how long; must not block
	Slept func() time.Duration // time that the board was suspended since boot; nil: the kernel's
	Beat  func()               // the watchdog's, at each look; nil: none
}

// Run looks until ctx ends, then returns nil. What cannot be read is taken to be
// as it was.
func (w Watch) Run(ctx context.Context) error {
	if w.Sys == "" {
		w.Sys = "/sys"
	}
	if w.Every == 0 {
		w.Every = 10 * time.Second
	}
	if w.Slept == nil {
		w.Slept = slept
	}
	if w.Beat == nil {
		w.Beat = func() {}
	}
	var last Supply
	low, told, broken, asleep := false, false, false, w.Slept()
	t := time.NewTicker(w.Every)
	defer t.Stop()
	for {
		w.Beat()
		s, err := Read(w.Sys)
		if err != nil && !broken {
			w.Bad(err)
		}
		if broken = err != nil; !broken {
			now := Low(s, w.Least, low)
			if !told || s != last || now != low {
				w.Tell(s, now)
			}
			last, low, told = s, now, true
		}
		// Both clocks are read one after the other, which is no sleep.
		if now := w.Slept(); now-asleep >= time.Second {
			w.Woken(now - asleep)
			asleep = now
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// slept is by how much the clock that counts suspended time, too, is ahead.
func slept() time.Duration {
	var all, awake unix.Timespec
	if err := errors.Join(unix.ClockGettime(unix.CLOCK_MONOTONIC, &awake), unix.ClockGettime(unix.CLOCK_BOOTTIME, &all)); err != nil {
		return 0 // neither has failed since Linux 2.6.39
	}
	return time.Duration(all.Nano() - awake.Nano())
}
