package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/kiosk/pin"
	"livekiosk/ui/screens"
)

// StaffConfig says what staff give to get at their screen.
type StaffConfig struct {
	PINFile string `toml:"pin_file"` // made by kioskctl keys staff; "": the credential staff.pin, or staff.pin in state.dir
}

// pinPath is where what is kept of the PIN lies.
func (c Config) pinPath() string {
	if c.Staff.PINFile != "" {
		return c.Staff.PINFile
	}
	if dir := credentials(); dir != "" {
		path := filepath.Join(dir, "staff.pin")
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return filepath.Join(c.State.Dir, "staff.pin")
}

// A lock is the PIN of staff. It is read at each try, so that a new one needs
// no restart.
type lock struct {
	path  string
	guard *pin.Guard
}

func newLock(c Config) *lock {
	g := &pin.Guard{Path: filepath.Join(c.State.Dir, "staff.tries"), Now: sinceBoot}
	_ = g.Load() // so that a pause runs from now on; a try reports what is wrong
	return &lock{c.pinPath(), g}
}

// Open implements station.Lock.
func (l *lock) Open(_ context.Context, digits string) error {
	ok, err := l.guard.Try(func() (bool, error) {
		b, err := os.ReadFile(l.path)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil // nobody has one
		}
		if err != nil {
			return false, fmt.Errorf("what is kept of the PIN: %w", err)
		}
		h, err := pin.Parse(string(b))
		if err != nil {
			return false, fmt.Errorf("%s: %w", l.path, err)
		}
		return h.Is(digits), nil
	})
	if err != nil {
		return fmt.Errorf("try a PIN: %w", err)
	}
	if !ok {
		return kiosk.ErrWrongPIN
	}
	return nil
}

// A register knows who is expected, by the codes of their bookings.
type register struct {
	bookings api.Bookings
	match    func(kiosk.Locale) (kiosk.Locale, bool)
	guard    *pin.Guard
}

func newRegister(b api.Bookings, match func(kiosk.Locale) (kiosk.Locale, bool)) *register {
	return &register{b, match, &pin.Guard{Now: sinceBoot, Most: time.Minute, Many: true}}
}

// Expected implements station.Register. A code of two bookings is nobody's.
func (g *register) Expected(ctx context.Context, code string) (kiosk.Launch, error) {
	var found []kiosk.Booking
	ok, err := g.guard.Try(func() (bool, error) {
		all, err := g.bookings.Bookings(ctx)
		for _, b := range all {
			if kiosk.Code(b.CorrelationID) == code {
				found = append(found, b)
			}
		}
		return len(found) == 1, err
	})
	switch {
	case err != nil:
		return kiosk.Launch{}, fmt.Errorf("look for a booking: %w", err)
	case !ok:
		return kiosk.Launch{}, kiosk.ErrNoBooking
	}
	b := found[0]
	locale, spoken := g.match(b.Locale)
	if !spoken { // any more
		locale = kiosk.Indonesian
	}
	return kiosk.Launch{CorrelationID: b.CorrelationID, UserID: b.UserID, UserIDType: b.UserIDType, Locale: locale, Theme: kiosk.NoPreference}, nil
}

// A desk is what staff's screen tells. It is looked up beside the display, which
// must not wait for a disk.
type desk struct {
	look func() screens.Desk

	mu      sync.Mutex
	last    screens.Desk
	looking bool
}

// glance returns what was found last, and looks again.
func (d *desk) glance() screens.Desk {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.looking {
		d.looking = true
		go func() {
			next := d.look()
			d.mu.Lock()
			defer d.mu.Unlock()
			d.last, d.looking = next, false
		}()
	}
	return d.last
}

// inspect is how the kiosk is.
func (d *daemon) inspect(ctx context.Context) screens.Desk {
	s := d.status()
	out := screens.Desk{Version: s.Version, Faults: s.Faults, Camera: s.Camera.Identity}
	if out.Camera == "" {
		out.Camera = s.Camera.Source
	}
	for _, n := range s.Network {
		out.Services = append(out.Services, screens.Service{Name: string(n.Service), Known: n.State != api.ReachUnknown, Trouble: string(n.Trouble)})
	}
	entries, err := d.outbox.Entries(ctx)
	if err == nil {
		out.Entries = entries
	}
	return out
}
