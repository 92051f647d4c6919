package update

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Board is what Apply works on.
type Board interface {
	// Facts looks.
	Facts(ctx context.Context) (Facts, error)
	// Refresh has the newest rollout fetched.
	Refresh(ctx context.Context) error
	// Install returns when the version is whole, and boots next.
	Install(ctx context.Context, v Version) error
	// Restart begins a restart, as soon as nobody is there.
	Restart(ctx context.Context) error
}

// ErrOccupied tells that somebody was there for all of the time.
var ErrOccupied = errors.New("somebody is there: try later")

// lookEvery is how often Apply looks whether somebody still is there.
const lookEvery = 5 * time.Second

// Apply does all that Decide says. While somebody is there it waits, for wait at
// most, and then returns ErrOccupied. It returns the last decision: Rest, or
// Restart once that has begun. A rollout that cannot be fetched keeps nothing from
// being done that needs none, nor does one that cannot be read, which the next one may
// mend; either is an error all the same.
func Apply(ctx context.Context, b Board, wait time.Duration) (Decision, error) {
	facts, err := b.Facts(ctx)
	if err != nil {
		return Decision{}, err
	}
	var stale error
	if Decide(facts).Action != Restart { // which needs no network
		stale = b.Refresh(ctx)
	}
	d, err := settle(ctx, b, wait)
	return d, errors.Join(err, stale)
}

// settle looks and acts until there is nothing to do.
func settle(ctx context.Context, b Board, wait time.Duration) (Decision, error) {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	late := time.NewTimer(wait)
	defer late.Stop()
	var installed Version
	for {
		facts, err := b.Facts(ctx)
		if err != nil {
			return Decision{}, err
		}
		d := Decide(facts)
		switch d.Action {
		case Rest:
			return d, facts.Unread
		case Wait:
			select {
			case <-ctx.Done():
				return d, context.Cause(ctx)
			case <-late.C:
				return d, ErrOccupied
			case <-t.C:
			}
		case Install:
			if d.Version == installed {
				return d, fmt.Errorf("version %s was installed, and is not there", d.Version)
			}
			if err := b.Install(ctx, d.Version); err != nil {
				return d, err
			}
			installed = d.Version
		case Restart:
			return d, errors.Join(b.Restart(ctx), facts.Unread)
		}
	}
}
