//go:build cgo

// Package v4l2 is a camera behind the Linux video API (V4L2).
//
// It uses the low-level calls of go4vl and owns the descriptor, the mappings
// and the loop itself: whatever ends a stream, the device is stopped, unmapped
// and closed, so that it can be opened again by the same process. What that
// package lacks is in kernel.go.
//
// What becomes of a stream:
//
//	what happens                                ends in
//	no device at the path                       ErrNoCamera
//	no permission                               ErrDenied, naming the group
//	another process streams from it             ErrBusy, naming that process where this one may see it
//	no V4L2, a converter, metadata or output    ErrNotCamera, saying which
//	raw sensor data only                        ErrRaw, naming the way out
//	no size of 640x480 or more, or in parts     ErrNotCamera, naming what it has
//	virtual, forged, or not the pinned one      ErrUntrusted, with the reason
//	the driver refuses buffers or the start     an error: opened again
//	no memory for two buffers                   an error that says so
//	unplugged, also while opening               ErrUnplugged
//	the driver ends the stream (POLLERR, EIO)   an error with its number: opened again
//	frames stop without an error                nothing: the supervisor of package camera closes it after 2 s
//	a frame is flagged, short or corrupt        skipped and counted
//	a frame is of an earlier stream             skipped and counted
//	nobody gives frames back                    skipped and counted, until somebody does
//	the driver leaves numbers out               counted as lost
//	times or numbers stand still or go back     the frame is kept, with a time after the last one
//	another program changes the format at rest  set anew at each start
//	the context ends                            nil, within patience
//
// After each of them nothing of the device is held.
package v4l2

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"livekiosk/camera/trust"
	"livekiosk/kiosk"
)

// Auto is the path that stands for the first device that is a camera and
// trusted.
const Auto = "auto"

// Errors of Stream that callers may tell apart.
var (
	ErrNoCamera  = errors.New("no camera there")
	ErrNotCamera = errors.New("not a camera")
	ErrBusy      = errors.New("camera is in use")
	ErrDenied    = errors.New("no permission for the camera")
	ErrUnplugged = errors.New("camera was unplugged")
	ErrUntrusted = errors.New("camera is not trusted")

	// ErrRaw is a sensor whose pictures somebody else has to develop.
	ErrRaw = errors.New("raw Bayer data only: have libcamera develop it into a v4l2loopback device, which only the test policy trusts")
)

// A Pool lends memory for frames. Copy returns a frame with the facts of f and
// a copy of its bytes, which is released by whoever gets it; nil if there is
// no memory just now. It does not keep f. camera.Pool is one.
type Pool interface {
	Copy(f *kiosk.Frame) *kiosk.Frame
}

// Options of a camera.
type Options struct {
	// Path is the device: absolute, such as /dev/video0 or a link under
	// /dev/v4l/by-id; "" or Auto for the first that is a camera and trusted,
	// looked for anew each time it is opened.
	Path string

	// Trust says which cameras are taken; it is asked at every start. Pin, if
	// not zero, names the only one.
	Trust trust.Policy
	Pin   trust.Pin

	// Controls are set at every start.
	Controls Controls

	// Seen is told which camera a stream comes from, before its first frame; and
	// of one that was refused where the camera was: at its path, or with Auto one
	// that was not there at the last start. It may block, for as long as ctx
	// lives. Nil: nobody asks.
	Seen func(ctx context.Context, id trust.Identity, trusted bool)

	// Pool lends the memory of frames; nil: each has its own.
	Pool Pool

	// Log receives what was opened, each new decision about a camera, and what
	// became of the frames; nil: nobody reads it.
	Log *slog.Logger
}

// Validate returns what is impossible.
func (o Options) Validate() error {
	if o.Path != "" && o.Path != Auto && !filepath.IsAbs(o.Path) {
		return fmt.Errorf("camera path %q: want an absolute path or %q", o.Path, Auto)
	}
	if err := o.Controls.Validate(); err != nil {
		return fmt.Errorf("camera controls: %w", err)
	}
	return nil
}

// Stats count what became of the driver's frames since the camera was made.
type Stats struct {
	Frames  uint64 // put
	Gaps    uint64 // left out by the driver's numbers
	Stale   uint64 // skipped: of an earlier stream
	Flawed  uint64 // skipped: flagged by the driver
	Short   uint64 // skipped: fewer bytes than the format has
	Corrupt uint64 // skipped: no JPEG image from begin to end
	Starved uint64 // skipped: nobody gave frames back
}

// A Status is what a camera streams from, or did last.
type Status struct {
	Path     string // "" until it has streamed
	ID       trust.Identity
	Mode     Mode   // as the driver gives it
	Why      string // it was chosen
	Controls string // what became of them
	Trust    trust.Decision
	Stats    Stats
}

// A Camera implements camera.Source for one device. Its methods may be called
// from any goroutine, Stream by one at a time.
type Camera struct {
	opt    Options
	choose func([]Mode) (Mode, string, error) // Choose; tests have others

	judged  map[string]string       // by path: the decision that was logged last
	present map[trust.Identity]bool // at the last start, by the kernel's word; nil before

	mu     sync.Mutex
	status Status

	exposing sync.Mutex
	exposure *exposer // of the running stream; nil: none
}

// Open returns a camera. It touches no device: that is Stream's part, so a
// camera that is not plugged in yet is no error.
func Open(o Options) (*Camera, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Path == "" {
		o.Path = Auto
	}
	if o.Seen == nil {
		o.Seen = func(context.Context, trust.Identity, bool) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Camera{opt: o, choose: Choose, judged: map[string]string{}}, nil
}

// Status returns how the camera stands.
func (c *Camera) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

// Stream implements camera.Source. It opens the device, decides whether it is
// trusted, sets the mode that Choose prefers and the controls, and puts a copy
// of each sound frame; the driver has its buffer back before put is called.
//
// At is the driver's time where it gives CLOCK_MONOTONIC, and else the time at
// which the frame arrived here.
func (c *Camera) Stream(ctx context.Context, put func(*kiosk.Frame)) error {
	if ctx.Err() != nil {
		return nil
	}
	d, verdict, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer d.close()
	if err := d.start(c.choose, c.opt.Controls); err != nil {
		return err
	}
	c.present = present()
	c.mu.Lock()
	c.status = Status{Path: d.path, ID: d.id, Mode: d.mode, Why: d.why, Controls: d.adjusted, Trust: verdict, Stats: c.status.Stats}
	c.mu.Unlock()
	c.opt.Log.LogAttrs(ctx, slog.LevelInfo, "camera opened", slog.String("path", d.path), slog.String("card", d.id.Card),
		slog.String("identity", d.id.String()), slog.String("mode", d.mode.String()), slog.String("why", d.why), slog.String("controls", d.adjusted))
	c.expose(d.exposer)
	defer c.expose(nil)
	c.opt.Seen(ctx, d.id, true)
	return c.loop(ctx, d, put)
}

// open opens the device of Options.Path, or the first that is trusted.
func (c *Camera) open(ctx context.Context) (*device, trust.Decision, error) {
	paths, first := []string{c.opt.Path}, error(nil)
	if c.opt.Path == Auto {
		var err error
		if paths, err = candidates(); err != nil {
			return nil, trust.Decision{}, err
		}
		first = fmt.Errorf("/dev/video*: %w: none of %d devices is one", ErrNoCamera, len(paths))
	}
	var strangers []trust.Identity
	found := false
	for _, path := range paths {
		d, err := open(path)
		if err == nil {
			verdict := c.decide(ctx, d)
			if verdict.Accepted {
				return d, verdict, nil
			}
			d.close()
			err = fmt.Errorf("%s (%s): %w: %s", path, d.id.Card, ErrUntrusted, verdict.Reason)
			if c.opt.Path != Auto || c.present != nil && !c.present[kernels(d.id)] {
				strangers = append(strangers, d.id)
			}
		}
		// The error of a camera that cannot be had says more than that of its
		// metadata node, which is no camera.
		if first == nil || !found && !errors.Is(err, ErrNotCamera) {
			first, found = err, true
		}
	}
	for _, id := range strangers {
		c.opt.Seen(ctx, id, false)
	}
	return nil, trust.Decision{}, first
}

// decide decides about a device, and tells the log what is new.
func (c *Camera) decide(ctx context.Context, d *device) trust.Decision {
	verdict := trust.Decide(d.id, c.opt.Trust, c.opt.Pin)
	about := fmt.Sprint(d.id, verdict)
	if c.judged[d.path] == about {
		return verdict
	}
	c.judged[d.path] = about
	what := []slog.Attr{
		slog.String("path", d.path), slog.String("card", d.id.Card), slog.String("identity", d.id.String()),
		slog.String("at", d.id.Path), slog.String("reason", verdict.Reason),
	}
	if verdict.Accepted {
		c.opt.Log.LogAttrs(ctx, slog.LevelInfo, "camera trusted", what...)
	} else {
		c.opt.Log.LogAttrs(ctx, slog.LevelWarn, "camera refused", what...)
	}
	return verdict
}

// present returns the video devices that are there, by the kernel's word alone:
// no device is opened, since that wakes some.
func present() map[trust.Identity]bool {
	all := map[trust.Identity]bool{}
	paths, err := candidates()
	if err != nil {
		return all
	}
	for _, path := range paths {
		var st unix.Stat_t
		if unix.Stat(path, &st) == nil {
			all[trust.Locate(trust.Sysfs, unix.Major(st.Rdev), unix.Minor(st.Rdev), trust.Identity{})] = true
		}
	}
	return all
}

// kernels returns what of id is the kernel's word.
func kernels(id trust.Identity) trust.Identity {
	id.Driver, id.Card, id.Bus = "", "", ""
	return id
}

// loop passes frames on until ctx ends or the device fails.
func (c *Camera) loop(ctx context.Context, d *device, put func(*kiosk.Frame)) error {
	began := c.Status().Stats
	defer func() {
		now := c.Status().Stats
		c.opt.Log.LogAttrs(ctx, slog.LevelInfo, "camera stream ended",
			slog.Uint64("frames", now.Frames-began.Frames), slog.Uint64("gaps", now.Gaps-began.Gaps),
			slog.Uint64("flawed", now.Flawed-began.Flawed), slog.Uint64("short", now.Short-began.Short), slog.Uint64("corrupt", now.Corrupt-began.Corrupt),
			slog.Uint64("stale", now.Stale-began.Stale), slog.Uint64("starved", now.Starved-began.Starved))
	}()
	var (
		id kiosk.FrameID // also how many were put
		t  tracker
		f  kiosk.Frame // in the driver's memory; one for all, so that a frame costs no memory of its own
	)
	for ctx.Err() == nil {
		got, err := d.next()
		if err != nil {
			return err
		}
		if !got.arrived {
			continue
		}
		at, lost, end := t.track(got, d.began)
		f = kiosk.Frame{ID: id + 1, At: at, Sequence: got.sequence, Format: d.format, Size: d.size, Stride: d.stride, Data: got.data}
		if end == whole {
			end = sound(&f)
		}
		var own *kiosk.Frame
		if end == whole {
			if own = c.copy(&f); own == nil {
				end = starved
			}
		}
		if err := d.requeue(got.index); err != nil {
			if own != nil {
				own.Release()
			}
			return err
		}
		c.count(end, lost)
		if own != nil {
			id++
			put(own)
		}
	}
	return nil
}

// count counts a frame and those that were lost before it.
func (c *Camera) count(end fate, lost uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.status.Stats
	s.Gaps += lost
	switch end {
	case whole:
		s.Frames++
	case stale:
		s.Stale++
	case flawed:
		s.Flawed++
	case short:
		s.Short++
	case corrupt:
		s.Corrupt++
	case starved:
		s.Starved++
	}
}

func (c *Camera) copy(f *kiosk.Frame) *kiosk.Frame {
	if c.opt.Pool != nil {
		return c.opt.Pool.Copy(f)
	}
	own := *f
	own.Data = append([]byte(nil), f.Data...)
	return kiosk.NewFrame(own, nil)
}
