package exposure

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"livekiosk/kiosk"
)

// A Device is a camera whose exposure can be corrected while it streams. Once a
// stream ends, the next begins with the camera's own automatic. Its methods may
// be called from any goroutine, at any time. They return kiosk.ErrNoControl where
// the camera has no control for what is asked, or does not stream.
type Device interface {
	// Correct sets the exposure so many stops brighter than what the automatic
	// chose, or darker, and returns what the camera took: its range and its
	// steps are its own. 0 gives exposure back to the automatic.
	Correct(stops float64) (got float64, err error)
	// Freeze keeps exposure and white balance as they are, until Thaw.
	Freeze() error
	// Thaw ends that; what was corrected stays so.
	Thaw() error
}

// A Mode says who sets the exposure.
type Mode string

// The modes.
const (
	Off    Mode = "off"    // nobody here: the camera's automatic, or what was configured
	Face   Mode = "face"   // the face's luma corrects the camera's automatic
	Frozen Mode = "frozen" // nobody, for now
)

// A Status is what is in force.
type Status struct {
	Mode        Mode
	Stops       float64
	Corrections uint64 // since the Control was made
}

// A Control corrects the exposure of a device by what is seen of faces.
type Control struct {
	policy Policy
	dev    Device
	now    func() time.Duration
	log    *slog.Logger
	wake   chan struct{}

	mu     sync.Mutex // held while the device is asked
	state  State
	frozen bool
	off    bool // the stream's camera has no such control
	count  uint64

	box  sync.Mutex
	next kiosk.Assessment
	last time.Duration // of a frame, to tell streams apart
}

// New returns a control of dev, nil for a camera without any, whose frames are
// timed by now.
func New(p Policy, dev Device, now func() time.Duration, log *slog.Logger) (*Control, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Control{policy: p, dev: dev, now: now, log: log, wake: make(chan struct{}, 1), off: dev == nil}, nil
}

// Saw is told of each frame. It never blocks: the newest counts.
func (c *Control) Saw(a kiosk.Assessment) {
	if c.dev == nil {
		return
	}
	c.box.Lock()
	c.next = a
	c.box.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Run corrects until ctx ends, and then returns nil.
func (c *Control) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.wake:
		}
		c.box.Lock()
		a := c.next
		c.box.Unlock()
		c.step(ctx, a)
	}
}

// pause is how long no frame comes between two streams, at least.
const pause = time.Second

// step judges one frame and asks the device. A stream that begins anew has a
// new device, as far as is known.
func (c *Control) step(ctx context.Context, a kiosk.Assessment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.At-c.last > pause {
		c.state, c.off, c.frozen = State{seen: a.At}, false, false
	}
	c.last = a.At
	if c.frozen || c.off {
		return
	}
	next, stops, ask := c.policy.Step(c.state, a)
	c.state = next
	if !ask {
		return
	}
	got, err := c.dev.Correct(stops)
	if err != nil {
		c.off = true
		if !errors.Is(err, kiosk.ErrNoControl) {
			c.log.WarnContext(ctx, "exposure not corrected", slog.Any("err", err))
		}
		return
	}
	if c.state.Stops == 0 || got == 0 {
		c.log.InfoContext(ctx, "exposure corrected", slog.Float64("stops", got), slog.Float64("face_luma", float64(a.FaceLuma)))
	}
	c.state = c.policy.Applied(c.state, c.now(), stops, got)
	c.count++
}

// Freeze keeps exposure and white balance as they are, for as long as a light
// challenge needs, at most until the stream ends: what changes in the picture
// from then on is the light. The error is kiosk.ErrNoControl where the camera cannot, and
// then nothing is frozen; a challenge has to do without, or not begin.
func (c *Control) Freeze() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dev == nil {
		return kiosk.ErrNoControl
	}
	if err := c.dev.Freeze(); err != nil {
		return err
	}
	c.frozen = true
	return nil
}

// Thaw ends a Freeze. It does nothing without one.
func (c *Control) Thaw() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.frozen {
		return nil
	}
	c.frozen = false
	return c.dev.Thaw()
}

// Status returns what is in force.
func (c *Control) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Status{Mode: Face, Stops: c.state.Stops, Corrections: c.count}
	switch {
	case c.frozen:
		s.Mode = Frozen
	case c.off:
		s.Mode = Off
	}
	return s
}
