package camera

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"livekiosk/kiosk"
)

// Times of the supervisor.
const (
	firstPause = 250 * time.Millisecond // before the first reopening, doubling
	lastPause  = 5 * time.Second
	tick       = 250 * time.Millisecond // of heartbeat and watch
	grace      = 5 * time.Second        // for a source to end

	silences   = 2               // streams in a row without frames, until a reset is asked for
	resetPause = 5 * time.Minute // before it is asked for again
)

// Errors that Options.Fault may be given, besides those of the source.
var (
	ErrStalled = errors.New("no frame in time")
	ErrEnded   = errors.New("source ended by itself")
)

// ErrTaken is what Lend returns while the camera is needed.
var ErrTaken = errors.New("camera is in use by the kiosk itself")

// ErrHung is a source that did not end when it was told to. Its device cannot
// be opened again by this process.
var ErrHung = errors.New("source does not end")

// Options of a Camera.
type Options struct {
	// Source makes the frames. Required. The camera is its only user.
	Source Source

	// Mount is what makes the source's pictures upright. Each frame is told.
	Mount kiosk.Mount

	// Put receives each frame while it is wanted, and owns it. Required. It is
	// called from the source's goroutine, must not block, and must not call
	// Want. Ids are given anew, so that they rise from 1 without end however
	// often the device was reopened.
	Put func(*kiosk.Frame)

	// Fault is told when a wanted camera fails (true, and why), and when frames
	// flow again (false, nil); changes only, starting from false. It is called
	// from Run, may wait for another goroutine for a moment, and must not call
	// back. Nil: nobody asks.
	Fault func(active bool, err error)

	// Stall is how long no frame may come before the device is closed and
	// opened again; 0 means 2 s.
	Stall time.Duration

	// Start is the same for the first frame after opening, which takes some
	// devices longer; 0 means Stall.
	Start time.Duration

	// Luma measures the mean luma of a frame, 0..255. With it, the first frames
	// of a stream are marked Warming until it has come to rest, for at most a
	// second: a camera that wakes up shows white or black first. Nil: none is.
	Luma func(*kiosk.Frame) (float32, error)

	// Reset asks for what only root can do: to reset the device. It is called
	// when the device gave no frame after it was opened anew, and again each
	// five minutes while that lasts. It does not wait for the reset. Nil: nobody
	// can be asked.
	Reset func(ctx context.Context) error

	// Probe makes Run open the source once at its beginning, although nothing
	// is wanted, until one frame came: a camera that does not work is found
	// before somebody stands in front of it.
	Probe bool

	// Beat is called from Run at least once a second while it takes its steps:
	// also while there is no camera, but no more when a source does not end.
	// Nil: no watchdog.
	Beat func()

	// Log receives faults and reopenings; nil: nobody reads them.
	Log *slog.Logger
}

// Validate returns what is missing or impossible.
func (o Options) Validate() error {
	switch {
	case o.Source == nil:
		return errors.New("camera: no source")
	case o.Put == nil:
		return errors.New("camera: nobody to put frames to")
	case o.Stall < 0 || o.Start < 0:
		return fmt.Errorf("camera: negative time: stall %v, start %v", o.Stall, o.Start)
	case !o.Mount.Valid():
		return fmt.Errorf("camera: turn by %d degrees: want 0, 90, 180 or 270", o.Mount.Turn)
	default:
		return nil
	}
}

// Stats count since the camera was made.
type Stats struct {
	Frames   uint64  // put
	Skipped  uint64  // lost before they got here: gaps in the driver's numbers
	Unwanted uint64  // released because nobody wanted them any more, or yet
	Reopened uint64  // openings after a failure
	Resets   uint64  // of the device that were asked for
	Rate     float64 // frames a second of the running stream; 0 at rest
}

// A Camera keeps a source streaming while it is wanted, and looks after it
// while it fails. At rest the device is closed, so that its light is off and
// nobody is filmed between sessions.
type Camera struct {
	opt    Options
	change chan struct{} // wanted changed
	first  chan struct{} // the first frame of a stream came

	mu       sync.Mutex // held while Put runs
	wanted   bool
	turn     int       // of wanted: how often it changed
	serving  int       // the turn that the stream is for; no other gets its frames
	loan     *loan     // of the source; nil: it is not lent
	live     bool      // a stream is being watched: its frames count
	got      bool      // a frame came in this stream
	since    time.Time // of the first frame, if got
	count    int       // of frames after it
	last     time.Time // of the last frame; if not got, of opening
	sequence uint32    // of the last frame, if got
	warm     warmup    // of the stream
	id       kiosk.FrameID
	stats    Stats
}

// New returns a camera at rest, or what Options.Validate finds wrong.
func New(o Options) (*Camera, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Fault == nil {
		o.Fault = func(bool, error) {}
	}
	if o.Beat == nil {
		o.Beat = func() {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Stall == 0 {
		o.Stall = 2 * time.Second
	}
	if o.Start == 0 {
		o.Start = o.Stall
	}
	return &Camera{opt: o, change: make(chan struct{}, 1), first: make(chan struct{}, 1)}, nil
}

// Want says whether frames are wanted. Any goroutine may call it, at any time,
// but Options.Put may not. Once Want(false) has returned, nothing is put any
// more: what was put before can then be drained and erased for good.
func (c *Camera) Want(on bool) {
	c.mu.Lock()
	changed := c.wanted != on
	c.wanted = on
	if changed {
		c.turn++
	}
	c.mu.Unlock()
	if changed {
		signal(c.change)
	}
}

// Stats returns the counters.
func (c *Camera) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	stats := c.stats
	if ran := c.last.Sub(c.since); c.live && c.got && ran > 0 {
		stats.Rate = float64(c.count) / ran.Seconds()
	}
	return stats
}

// A frameless is why a stream is needed until its first frame, also when nobody
// wants frames.
type frameless struct {
	probe bool // nothing is known of the source yet
	mend  bool // it failed: a fault stands
}

func (n frameless) any() bool { return n.probe || n.mend }

// Run streams while frames are wanted, until ctx ends, and returns nil then.
//
// A device that fails, is absent or gives no frame in time is not an error of
// Run: it is reported as a fault and opened again after 250 ms, doubling to
// 5 s. While that fault lasts, Run goes on trying although nothing is wanted
// any more, until one frame arrives (and is dropped): an out-of-service screen
// ends by itself. The one error of Run is a source that does not end
// when it is closed; once ctx ended, the process takes it along.
func (c *Camera) Run(ctx context.Context) error {
	var (
		need   = frameless{probe: c.opt.Probe}
		pause  = firstPause
		opened bool // since the last time at rest
		still  silence
	)
	for ctx.Err() == nil {
		if !need.any() && !c.isWanted() {
			opened = false
			c.rest(ctx, 0)
			continue
		}
		if opened {
			c.mu.Lock()
			c.stats.Reopened++
			c.mu.Unlock()
		}
		opened = true
		err := c.stream(ctx, &need)
		if errors.Is(err, ErrHung) && ctx.Err() == nil { // else the device goes with the process
			return fmt.Errorf("camera: %w", err)
		}
		if err == nil {
			opened, pause, still = false, firstPause, silence{}
			continue
		}
		if !need.any() && !c.isWanted() {
			continue // it broke while it was being closed: nobody was waiting
		}
		if c.worked() {
			pause, still = firstPause, silence{asked: still.asked} // this is another failure
		}
		if need.mend {
			c.opt.Log.LogAttrs(ctx, slog.LevelDebug, "camera still fails", slog.Any("err", err), slog.Duration("pause", pause))
		} else {
			need.mend = true
			c.opt.Log.LogAttrs(ctx, slog.LevelError, "camera failed", slog.Any("err", err))
			c.opt.Fault(true, err)
		}
		if errors.Is(err, ErrStalled) {
			c.stalled(ctx, &still)
		}
		c.rest(ctx, pause)
		pause = min(2*pause, lastPause)
	}
	return nil
}

// A silence is a row of streams without frames.
type silence struct {
	streams int
	asked   time.Time // for a reset
}

// stalled goes up one step after a stream without frames: it was opened anew
// before, then a reset is asked for, then somebody has to look.
func (c *Camera) stalled(ctx context.Context, s *silence) {
	s.streams++
	switch {
	case s.streams < silences || c.opt.Reset == nil:
	case s.asked.IsZero() || time.Since(s.asked) >= resetPause:
		s.asked = time.Now()
		err := c.opt.Reset(ctx)
		if err == nil {
			c.mu.Lock()
			c.stats.Resets++
			c.mu.Unlock()
		}
		c.opt.Log.LogAttrs(ctx, slog.LevelWarn, "camera reset asked for", slog.Any("err", err))
	case s.streams == silences+1:
		c.opt.Log.LogAttrs(ctx, slog.LevelError, "camera gives no frames though it was opened anew and a reset asked for: somebody has to look")
	}
}

// rest waits, with a beating heart, until d has passed or, if d is 0, until
// Want was called or ctx ended. A camera newly wanted cuts a pause short: the
// person in front of it should not wait for a backoff.
func (c *Camera) rest(ctx context.Context, d time.Duration) {
	t := time.NewTicker(tick)
	defer t.Stop()
	var end <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		end = timer.C
	}
	for {
		c.opt.Beat()
		select {
		case <-ctx.Done():
			return
		case <-end:
			return
		case <-c.change:
			if d == 0 || c.isWanted() {
				return
			}
		case <-t.C:
		}
	}
}

// stream opens the source once and watches it. It returns nil when it was
// closed on purpose: frames are wanted no more, or ctx ended. It reports the
// end of a fault when the first frame comes, and clears need.
func (c *Camera) stream(ctx context.Context, need *frameless) error {
	c.mu.Lock()
	c.live, c.got = true, false
	lent := c.loan
	c.mu.Unlock()
	if lent != nil {
		lent.end()
		if !c.ends(ctx, lent.ended) {
			return fmt.Errorf("%w within %v", ErrHung, grace)
		}
	}
	c.mu.Lock()
	c.last, c.warm, c.serving = time.Now(), warmup{}, c.turn
	c.mu.Unlock()
	drain(c.first)
	drain(c.change) // watch looks for itself
	defer func() {
		c.mu.Lock()
		c.live = false
		c.mu.Unlock()
	}()

	sctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- c.opt.Source.Stream(sctx, c.put) }()

	ended, why := c.watch(ctx, done, need)
	if ended {
		return why
	}
	cancel()
	if !c.ends(ctx, done) {
		return fmt.Errorf("%w within %v", ErrHung, grace)
	}
	return why
}

// watch returns when the source should be closed, and why; or when it ended. A
// stream that began as a trial, or for somebody before, serves nobody who came
// meanwhile: theirs begins with them, and the source says anew what it is.
func (c *Camera) watch(ctx context.Context, done <-chan error, need *frameless) (ended bool, why error) {
	t := time.NewTicker(min(tick, max(c.opt.Stall/4, time.Millisecond)))
	defer t.Stop()
	for need.any() || c.serves() {
		c.opt.Beat()
		select {
		case err := <-done:
			switch {
			case ctx.Err() != nil:
				return true, nil
			case err == nil:
				return true, ErrEnded
			default:
				return true, err
			}
		case <-ctx.Done():
			return false, nil
		case <-c.first:
			was := *need
			*need = frameless{}
			if was.mend {
				c.opt.Log.LogAttrs(ctx, slog.LevelInfo, "camera works again")
				c.opt.Fault(false, nil)
			}
		case <-c.change:
		case <-t.C:
			if silent, limit := c.silence(); silent >= limit {
				return false, fmt.Errorf("%w: none for %v", ErrStalled, limit)
			}
		}
	}
	return false, nil
}

// ends waits for the source to end after its ctx did. The heart beats on only
// for as long as that may take.
func (c *Camera) ends(ctx context.Context, done <-chan error) bool {
	t := time.NewTicker(tick)
	defer t.Stop()
	for range int(grace / tick) {
		c.opt.Beat()
		select {
		case err := <-done:
			if err != nil {
				c.opt.Log.LogAttrs(ctx, slog.LevelDebug, "camera failed while closing", slog.Any("err", err))
			}
			return true
		case <-t.C:
		}
	}
	return false
}

// put numbers a frame, tells it its mount, and passes it on, if anybody wants it.
func (c *Camera) put(f *kiosk.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.live {
		c.stats.Unwanted++
		f.Release()
		return
	}
	if c.got {
		// A gap of half the range is a counter that began anew.
		if gap := f.Sequence - c.sequence; gap > 1 && gap < 1<<31 {
			c.stats.Skipped += uint64(gap - 1)
		}
	} else {
		c.since, c.count = time.Now(), -1
		signal(c.first)
	}
	c.got, c.sequence, c.last = true, f.Sequence, time.Now()
	c.count++
	if !c.wanted || c.serving != c.turn {
		c.stats.Unwanted++
		f.Release()
		return
	}
	if c.opt.Luma != nil {
		f.Warming = !c.warm.settled(f, c.last.Sub(c.since), c.opt.Luma)
	}
	c.id++
	f.ID, f.Mount = c.id, c.opt.Mount
	c.stats.Frames++
	c.opt.Put(f)
}

func (c *Camera) isWanted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wanted
}

// serves tells whether frames of the stream are wanted by whom it is for.
func (c *Camera) serves() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wanted && c.serving == c.turn
}

// worked tells whether frames came for a while in the stream that ended.
func (c *Camera) worked() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got && c.last.Sub(c.since) >= c.opt.Stall
}

// silence returns since when no frame came, and how long that may last.
func (c *Camera) silence() (silent, limit time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	limit = c.opt.Stall
	if !c.got {
		limit = c.opt.Start
	}
	return time.Since(c.last), limit
}

func signal(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func drain(ch <-chan struct{}) {
	select {
	case <-ch:
	default:
	}
}
