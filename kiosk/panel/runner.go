package panel

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"time"

	"livekiosk/kiosk"
)

// How often lines are read whether they are still there, and how long a line
// that is not there waits for the next look.
const (
	probeEvery = time.Second
	firstLook  = time.Second
	longLook   = 30 * time.Second
)

// A runner is the state of Run's goroutine.
type runner struct {
	*Panel

	lines []*line
	edges chan change
	now   kiosk.View

	here     bool      // somebody is, as last told
	leaving  time.Time // when nobody will have been there for long enough; zero: somebody is
	sounding time.Time // the alarm ends
	forced   map[kiosk.Role]forced
	look     time.Time // for lines that are not owned; zero: all are
	wait     time.Duration
	unsaved  bool       // that the case was opened is not durable yet
	failed   bool       // to make it so, as told
	saving   chan error // how that went; nil: it is not being done
}

// A line is one with a role.
type line struct {
	role  kiosk.Role
	setup Setup
	held  Line          // nil: not owned
	gone  chan struct{} // closed when it is let go of
	on    bool
	seq   uint32 // of the last change

	state  kiosk.LineState
	holder string
}

// A change is an edge on its way to Run's goroutine.
type change struct {
	*line
	Edge
}

// A forced output is what staff said it is.
type forced struct {
	on    bool
	until time.Time
}

// Run owns the lines until ctx ends, then switches every output off, lets go of
// all lines and returns nil. It is called once.
//
// A process that dies has its lines let go of by the kernel, which leaves an
// output as most chips do: as it was. Whoever takes it next switches it off.
func (p *Panel) Run(ctx context.Context) error {
	r := &runner{Panel: p, edges: make(chan change), here: true, forced: map[kiosk.Role]forced{}, wait: firstLook}
	for _, role := range kiosk.Roles() {
		s, wanted := p.o.Lines[role]
		if !wanted {
			continue
		}
		s.Output, s.Holder = role.Output(), "kioskd "+string(role)
		r.lines = append(r.lines, &line{role: role, setup: s})
	}
	defer close(p.left)
	defer r.release(context.WithoutCancel(ctx))
	r.take(ctx)
	probe := time.NewTicker(probeEvery)
	defer probe.Stop()
	for {
		r.publish()
		var next <-chan time.Time
		if at := r.next(); !at.IsZero() {
			next = time.After(time.Until(at))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-probe.C:
			p.o.Beat()
			r.probe(ctx)
		case e := <-r.edges:
			r.edge(ctx, e)
		case <-p.shown:
			r.show(ctx)
		case ask := <-p.asks:
			ask(r)
		case err := <-r.saving:
			r.saved(ctx, err)
		case <-next:
			r.due(ctx)
		}
	}
}

// publish shows other goroutines what the lines are.
func (r *runner) publish() {
	lines := make([]kiosk.Line, len(r.lines))
	for i, l := range r.lines {
		lines[i] = kiosk.Line{Role: l.role, Name: l.setup.Name, Direction: direction(l.role), State: l.state, Holder: l.holder}
		if l.held != nil {
			on := l.on
			lines[i].On = &on
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = lines
}

// next is when the next thing is due; zero: nothing is.
func (r *runner) next() time.Time {
	var at time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	sooner(r.leaving)
	sooner(r.sounding)
	sooner(r.look)
	for _, f := range r.forced {
		sooner(f.until)
	}
	return at
}

// due does what has its time.
func (r *runner) due(ctx context.Context) {
	now := time.Now()
	past := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	if past(r.leaving) {
		r.leaving, r.here = time.Time{}, false
		r.o.Present(ctx, false)
	}
	if past(r.sounding) {
		r.sounding = time.Time{}
	}
	maps.DeleteFunc(r.forced, func(_ kiosk.Role, f forced) bool { return past(f.until) })
	if past(r.look) {
		r.take(ctx)
	}
	r.light(ctx)
}

// take takes the lines that are not owned, and sets when to look for those
// that still are not.
func (r *runner) take(ctx context.Context) {
	missing := false
	for _, l := range r.lines {
		if l.held == nil {
			r.takeOne(ctx, l)
			missing = missing || l.held == nil
		}
	}
	r.look = time.Time{}
	if missing {
		r.look = time.Now().Add(r.wait)
		r.wait = min(2*r.wait, longLook)
	} else {
		r.wait = firstLook
	}
	r.light(ctx)
}

func (r *runner) takeOne(ctx context.Context, l *line) {
	gone := make(chan struct{})
	held, err := r.o.Board.Take(l.setup, func(e Edge) {
		select {
		case r.edges <- change{l, e}:
		case <-gone:
		}
	})
	if err != nil {
		r.not(ctx, l, err)
		return
	}
	l.held, l.gone, l.on, l.seq = held, gone, false, 0
	on, err := held.Value()
	if err != nil {
		r.lose(ctx, l, err)
		return
	}
	if l.state != "" {
		r.o.Log.InfoContext(ctx, "panel has its line again", slog.String("role", string(l.role)), slog.String("line", l.setup.Name))
	}
	l.state, l.holder = kiosk.LineOwned, ""
	switch {
	case l.setup.Output:
	case l.role == kiosk.PresenceLine && !on:
		r.leaving = time.Now().Add(r.o.HoldOff)
	case on && (l.role == kiosk.PresenceLine || l.role == kiosk.TamperLine):
		r.input(ctx, l, on)
	default: // a button that is down already was not pressed
		l.on = on
	}
}

// not notes why a line is not owned. What was told is not told again.
func (r *runner) not(ctx context.Context, l *line, err error) {
	was, by := l.state, l.holder
	held, isHeld := errors.AsType[*HeldError](err)
	l.holder = ""
	switch {
	case isHeld:
		l.state, l.holder = kiosk.LineHeld, held.Holder
	case errors.Is(err, ErrNoLine):
		l.state = kiosk.LineMissing
	case errors.Is(err, ErrAmbiguous):
		l.state = kiosk.LineAmbiguous
	default:
		l.state = kiosk.LineFailed
	}
	if l.state != was || l.holder != by {
		r.o.Log.WarnContext(ctx, "panel goes without a line", slog.String("role", string(l.role)), slog.String("line", l.setup.Name),
			slog.String("state", string(l.state)), slog.Any("err", err))
	}
}

// lose lets go of a line that is gone, and has it looked for.
func (r *runner) lose(ctx context.Context, l *line, err error) {
	r.drop(l)
	l.state, l.holder = kiosk.LineMissing, ""
	r.o.Log.WarnContext(ctx, "panel has lost a line", slog.String("role", string(l.role)), slog.String("line", l.setup.Name), slog.Any("err", err))
	if l.role == kiosk.PresenceLine {
		r.come(ctx) // nobody knows
	}
	r.wait = firstLook
	r.look = time.Now().Add(r.wait)
}

// drop closes a line. An edge that waits to be taken is let go, since closing
// waits for it.
func (r *runner) drop(l *line) {
	close(l.gone)
	_ = l.held.Close() // a line that cannot be let go of is gone
	l.held, l.on = nil, false
}

// release ends the panel: outputs off first, whatever else fails, and what is
// being written last.
func (r *runner) release(ctx context.Context) {
	for _, l := range r.lines {
		if l.held == nil {
			continue
		}
		if l.setup.Output {
			if err := l.held.Set(false); err != nil {
				r.o.Log.ErrorContext(ctx, "panel output not switched off", slog.String("role", string(l.role)), slog.Any("err", err))
			}
		}
		r.drop(l)
	}
	r.publish()
	if r.unsaved {
		r.save()
	}
	if r.saving != nil {
		r.saved(ctx, <-r.saving)
	}
}

// probe reads every line: one whose chip has gone says so only when it is used.
func (r *runner) probe(ctx context.Context) {
	for _, l := range r.lines {
		if l.held != nil {
			r.read(ctx, l)
		}
	}
	if r.unsaved {
		r.save()
	}
}

func (r *runner) read(ctx context.Context, l *line) {
	on, err := l.held.Value()
	switch {
	case err != nil:
		r.lose(ctx, l, err)
	case !l.setup.Output:
		r.input(ctx, l, on)
	}
}

// edge takes one change of an input.
func (r *runner) edge(ctx context.Context, c change) {
	r.mu.Lock()
	r.missed += uint64(c.Seq - c.seq - 1) // the newest are kept, so what the input is in the end is right
	r.mu.Unlock()
	c.seq = c.Seq
	r.input(ctx, c.line, c.On)
}

// input notes what an input is, and acts if it has changed.
func (r *runner) input(ctx context.Context, l *line, on bool) {
	if l.on == on {
		return
	}
	l.on = on
	r.tell(l)
	switch l.role {
	case kiosk.PresenceLine:
		if on {
			r.come(ctx)
		} else {
			r.leaving = time.Now().Add(r.o.HoldOff)
		}
	case kiosk.HelpLine, kiosk.StaffLine:
		if on {
			r.o.Pressed(ctx, l.role)
		}
	case kiosk.TamperLine:
		if on {
			r.opened(ctx)
		}
	case kiosk.RingLine, kiosk.RedLine, kiosk.GreenLine, kiosk.BlueLine, kiosk.DoorLine, kiosk.BuzzerLine:
	}
}

// tell emits what a line has become.
func (r *runner) tell(l *line) {
	text := string(l.role) + " off"
	if l.on {
		text = string(l.role) + " on"
	}
	r.o.Emit(kiosk.Event{Kind: kiosk.EventPanel, Text: text})
}

// come notes that somebody is there, or may be.
func (r *runner) come(ctx context.Context) {
	r.leaving = time.Time{}
	if !r.here {
		r.here = true
		r.o.Present(ctx, true)
	}
}

// opened acts on an open case. It does not wait for the disk, which may be slow.
func (r *runner) opened(ctx context.Context) {
	r.o.Log.ErrorContext(ctx, "case opened", slog.Bool("latched_before", r.o.Latch.State().Latched))
	r.o.Tampered(ctx)
	delete(r.forced, kiosk.BuzzerLine) // who has silenced it did not know of this
	if r.o.Alarm > 0 {
		r.sounding = time.Now().Add(r.o.Alarm)
		r.light(ctx)
	}
	// Once: a switch that bounces must not wear out the disk.
	if !r.o.Latch.State().Latched {
		r.o.Latch.Set(time.Now().UTC())
		r.unsaved = true
		r.save()
	}
}

// save has it made durable that the case was opened. A disk that hangs must not
// have the watchdog end the process, which alone knows of it by then.
func (r *runner) save() {
	if r.saving != nil {
		return
	}
	r.saving = make(chan error, 1)
	go func(done chan<- error) { done <- r.o.Latch.Save() }(r.saving)
}

// saved notes how that went.
func (r *runner) saved(ctx context.Context, err error) {
	r.saving, r.unsaved = nil, err != nil
	if err != nil && !r.failed {
		r.o.Log.ErrorContext(ctx, "open case not remembered over a restart; tried again", slog.Any("err", err))
	}
	r.failed = err != nil
}

func (r *runner) clear(ctx context.Context, by string) error {
	if !r.o.Latch.State().Latched {
		return kiosk.ErrNotLatched
	}
	for _, l := range r.lines {
		if l.role == kiosk.TamperLine && l.held != nil && l.on {
			return kiosk.ErrCaseOpen
		}
	}
	if r.saving != nil {
		r.saved(ctx, <-r.saving)
	}
	if err := r.o.Latch.Clear(time.Now().UTC(), by); err != nil {
		return err
	}
	r.unsaved, r.failed, r.sounding = false, false, time.Time{}
	r.light(ctx)
	r.o.Cleared(ctx)
	return nil
}

func (r *runner) force(ctx context.Context, role kiosk.Role, on bool, during time.Duration) error {
	for _, l := range r.lines {
		switch {
		case l.role != role || !role.Output():
			continue
		case l.held == nil:
			return kiosk.ErrLineAway
		case r.occupied():
			return kiosk.ErrOccupied
		}
		r.forced[role] = forced{on, time.Now().Add(during)}
		r.light(ctx)
		if l.held == nil {
			return kiosk.ErrLineAway
		}
		return nil
	}
	return kiosk.ErrNoLine
}

// occupied reports whether a session is in progress, by the newest view.
func (r *runner) occupied() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.view.Session != ""
}

// show takes the newest view. A session has its panel for itself.
func (r *runner) show(ctx context.Context) {
	r.mu.Lock()
	r.now = r.view
	r.mu.Unlock()
	if r.now.Session != "" {
		clear(r.forced)
	}
	r.light(ctx)
}

// light switches every output to what it is to be.
func (r *runner) light(ctx context.Context) {
	for _, l := range r.lines {
		on := r.wants(l.role)
		if l.held == nil || !l.setup.Output || l.on == on {
			continue
		}
		if err := l.held.Set(on); err != nil {
			r.lose(ctx, l, err)
			continue
		}
		l.on = on
		r.tell(l)
	}
}

// wants returns what an output is to be: the ring white while the visitor is
// guided, green where it went well, and dark else. Nothing is red: no outcome
// is the visitor's fault.
func (r *runner) wants(role kiosk.Role) bool {
	if f, is := r.forced[role]; is {
		return f.on
	}
	guiding := r.now.Screen.Live() || r.now.Screen == kiosk.ColoursScreen // an installer measures the light that visitors have
	switch role {
	case kiosk.RingLine, kiosk.RedLine, kiosk.BlueLine:
		return guiding
	case kiosk.GreenLine:
		return guiding || r.now.Screen == kiosk.GrantedScreen || r.now.Screen == kiosk.SavedScreen
	case kiosk.BuzzerLine:
		return !r.sounding.IsZero()
	case kiosk.DoorLine, kiosk.PresenceLine, kiosk.HelpLine, kiosk.StaffLine, kiosk.TamperLine:
	}
	return false
}
