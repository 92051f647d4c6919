package update_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"livekiosk/systemd/update"
)

var (
	errNoNetwork = errors.New("no network")
	errFull      = errors.New("disk full")
)

// A board is a kiosk that runs version 2.
type board struct {
	facts   update.Facts
	server  *update.Rollout // nil: no network
	leaves  time.Time       // when the visitor does
	full    bool            // installing goes wrong
	forgets bool            // installing leaves nothing

	installed, restarted time.Time
}

func (b *board) Facts(context.Context) (update.Facts, error) {
	f := b.facts
	f.Now = time.Now()
	f.Busy = f.Now.Before(b.leaves)
	return f, nil
}

func (b *board) Refresh(context.Context) error {
	if b.server == nil {
		return errNoNetwork
	}
	b.facts.Offer = b.server
	return nil
}

func (b *board) Install(_ context.Context, v update.Version) error {
	b.installed = time.Now()
	if b.full {
		return errFull
	}
	if !b.forgets {
		b.facts.Slots = []update.Slot{{"2", update.Kept}, {v, 3}}
	}
	return nil
}

func (b *board) Restart(context.Context) error {
	b.restarted = time.Now()
	return nil
}

func TestApply(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*board)
		want   update.Decision
		err    error // nil: none
	}{
		{"version 3 is offered", func(*board) {}, update.Decision{update.Restart, update.Installed, "3"}, nil},
		{"a visitor leaves after ten minutes", func(b *board) { b.leaves = time.Now().Add(10 * time.Minute) }, update.Decision{update.Restart, update.Installed, "3"}, nil},
		{"a visitor stays", func(b *board) { b.leaves = time.Now().Add(2 * time.Hour) }, update.Decision{update.Wait, update.Occupied, "3"}, update.ErrOccupied},
		{"no network", func(b *board) { b.server = nil }, update.Decision{update.Rest, update.NoOffer, ""}, errNoNetwork},
		{"no network, but it was known", func(b *board) { b.facts.Offer, b.server = b.server, nil }, update.Decision{update.Restart, update.Installed, "3"}, errNoNetwork},
		{"no network, and the running version does not work", func(b *board) {
			b.server, b.facts.Trial, b.facts.Failed = nil, update.TrialOpen, true
		}, update.Decision{update.Restart, update.Fallback, "2"}, nil},
		{"the disk is full", func(b *board) { b.full = true }, update.Decision{update.Install, update.Offered, "3"}, errFull},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				now := time.Now()
				b := &board{
					facts:  update.Facts{Policy: update.Policy{Ring: "broad"}, Running: "2", Trial: update.TrialGood, Slots: []update.Slot{{"2", update.Kept}}},
					server: &update.Rollout{Version: "3", Rings: map[string]time.Time{"broad": now}, Until: now.Add(24 * time.Hour)},
				}
				tt.change(b)
				got, err := update.Apply(t.Context(), b, time.Hour)
				if got != tt.want || !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
					t.Errorf("decided %v, %v, want %v, %v", got, err, tt.want, tt.err)
				}
				if b.restarted.IsZero() != (tt.want.Action != update.Restart) {
					t.Errorf("restarted at %v", b.restarted)
				}
				if !b.installed.IsZero() && (b.installed.Before(b.leaves) || b.installed.Sub(b.leaves) > time.Minute && b.leaves.After(now)) {
					t.Errorf("installed at %v, and the visitor left at %v", b.installed, b.leaves)
				}
			})
		})
	}
}

func TestWhatIsNotThereAfterInstallingIsNotInstalledForEver(t *testing.T) {
	now := time.Now()
	b := &board{
		facts:   update.Facts{Policy: update.Policy{Ring: "broad"}, Running: "2", Trial: update.TrialGood},
		server:  &update.Rollout{Version: "3", Rings: map[string]time.Time{"broad": now}, Until: now.Add(24 * time.Hour)},
		forgets: true,
	}
	if d, err := update.Apply(t.Context(), b, time.Hour); err == nil || !b.restarted.IsZero() {
		t.Errorf("decided %v, %v", d, err)
	}
}
