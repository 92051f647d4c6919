// Package panel owns the kiosk's GPIO lines: light ring, door relay and buzzer,
// presence sensor, buttons and tamper switch.
//
// Lines are known by name and each is optional. A line that is missing, held by
// somebody else or lost with its chip is told once, is looked for again with
// growing waits, and keeps nothing else from working.
//
// What the lines mean for a session is decided elsewhere: the panel tells what
// happened, and lights what the screen shows.
package panel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"livekiosk/kiosk"
)

// ErrStopped reports a call that came after Run had ended.
var ErrStopped = errors.New("panel has stopped")

// Options are what a panel needs. All fields without a stated zero value must
// be set. Its functions are called from Run's goroutine, one at a time.
type Options struct {
	Board   Board
	Lines   map[kiosk.Role]Setup // empty: no panel, but for Latch. Output and Holder are set by New
	HoldOff time.Duration        // how long the presence sensor must see nobody before nobody is there
	Alarm   time.Duration        // how long the buzzer sounds when the case is opened; 0: not at all
	Latch   *Latch

	Tampered func(ctx context.Context)                    // the case was opened
	Cleared  func(ctx context.Context)                    // staff have cleared that
	Present  func(ctx context.Context, here bool)         // somebody has come, or the last one left; first told when nobody is there
	Pressed  func(ctx context.Context, button kiosk.Role) // HelpLine or StaffLine, once for each press
	Emit     func(kiosk.Event)                            // told each change of a line; must not block
	Beat     func()                                       // the watchdog's; nil: none
	Log      *slog.Logger
}

// Validate names the first thing that cannot work.
func (o Options) Validate() error {
	switch {
	case o.Board == nil, o.Latch == nil, o.Tampered == nil, o.Cleared == nil, o.Present == nil, o.Pressed == nil, o.Emit == nil, o.Log == nil:
		return errors.New("panel: a port is not connected")
	case o.HoldOff < 0, o.Alarm < 0:
		return errors.New("panel: times must not be negative")
	}
	used := map[string]kiosk.Role{}
	for _, role := range kiosk.Roles() {
		s, wanted := o.Lines[role]
		if !wanted {
			continue
		}
		if other, twice := used[s.Name]; s.Name == "" || twice {
			return fmt.Errorf("panel: line %q of %s is not a line of its own: %s", s.Name, role, other)
		}
		used[s.Name] = role
	}
	return nil
}

// A Panel owns the lines while Run runs. Its methods may be called from any
// goroutine.
type Panel struct {
	o     Options
	asks  chan func(*runner) // of other goroutines, carried out by Run's
	shown chan struct{}      // holds a token while a view waits
	left  chan struct{}      // closed when Run has ended

	mu     sync.Mutex
	view   kiosk.View   // newest
	last   []kiosk.Line // of all roles, as of the last step
	missed uint64
}

// New returns a panel that owns no line yet.
func New(o Options) (*Panel, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Beat == nil {
		o.Beat = func() {}
	}
	p := &Panel{o: o, asks: make(chan func(*runner)), shown: make(chan struct{}, 1), left: make(chan struct{})}
	for _, role := range kiosk.Roles() {
		if s, wanted := o.Lines[role]; wanted {
			p.last = append(p.last, kiosk.Line{Role: role, Name: s.Name, Direction: direction(role), State: kiosk.LineMissing})
		}
	}
	return p, nil
}

func direction(r kiosk.Role) kiosk.Direction {
	if r.Output() {
		return kiosk.LineOut
	}
	return kiosk.LineIn
}

// Show lights what goes with a view. It never blocks.
func (p *Panel) Show(v kiosk.View) {
	p.mu.Lock()
	p.view = v
	p.mu.Unlock()
	select {
	case p.shown <- struct{}{}:
	default:
	}
}

// Lines returns the lines that have a role, as of now.
func (p *Panel) Lines() []kiosk.Line {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]kiosk.Line(nil), p.last...)
}

// Missed returns how many changes of inputs were lost because nobody read them
// in time.
func (p *Panel) Missed() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.missed
}

// Tamper returns what is known of the case.
func (p *Panel) Tamper() kiosk.Tamper { return p.o.Latch.State() }

// All lists every line of the machine and those with a role that it has not.
// The error says which chips could not be opened; the rest is there.
func (p *Panel) All() ([]kiosk.Line, error) {
	all, err := p.o.Board.Lines()
	for _, own := range p.Lines() {
		found := false
		for i := range all {
			if all[i].Name == own.Name {
				found = true
				all[i].Role, all[i].State, all[i].On = own.Role, own.State, own.On
			}
		}
		if !found {
			all = append(all, own)
		}
	}
	if err != nil {
		return all, fmt.Errorf("look at the GPIO chips: %w", err)
	}
	return all, nil
}

// Force has an output on or off for a time, whatever it would be without, and
// then what it would be. It returns kiosk.ErrNoLine, kiosk.ErrLineAway, or
// kiosk.ErrOccupied while a session is in progress. A session that begins ends
// it.
func (p *Panel) Force(ctx context.Context, role kiosk.Role, on bool, during time.Duration) error {
	return p.do(ctx, func(r *runner) error { return r.force(ctx, role, on, during) })
}

// ClearTamper ends the latch of the tamper switch in the name of by, who is
// kept. It returns kiosk.ErrNotLatched, or kiosk.ErrCaseOpen while the switch
// says so; a switch that is missing is not waited for.
func (p *Panel) ClearTamper(ctx context.Context, by string) error {
	return p.do(ctx, func(r *runner) error { return r.clear(ctx, by) })
}

// do has fn carried out by Run's goroutine.
func (p *Panel) do(ctx context.Context, fn func(*runner) error) error {
	reply := make(chan error, 1)
	select {
	case p.asks <- func(r *runner) { reply <- fn(r) }:
		return <-reply
	case <-p.left:
		return ErrStopped
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
