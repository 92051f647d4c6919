//go:build cgo

// Package v4l2 is a camera behind the Linux video API (V4L2).
//
// It uses the low-level calls of go4vl and owns the descriptor, the mappings
// and the loop itself: whatever ends a stream, the device is stopped, unmapped
// and closed, so that it can be opened again by the same process. What that
// package lacks is in kernel.go.
package v4l2

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"livekiosk/kiosk"
)

// Auto is the path that stands for the first device that is a camera.
const Auto = "auto"

// Errors of Stream that callers may tell apart.
var (
	ErrNoCamera  = errors.New("no camera there")
	ErrNotCamera = errors.New("not a camera")
	ErrBusy      = errors.New("camera is in use")
	ErrDenied    = errors.New("no permission for the camera")
	ErrUnplugged = errors.New("camera was unplugged")
)

// A Pool lends memory for frames. Copy returns a frame with the facts of f and
// a copy of its bytes, which is released by whoever gets it; nil if there is
// no memory just now. camera.Pool is one.
type Pool interface {
	Copy(f *kiosk.Frame) *kiosk.Frame
}

// Options of a camera.
type Options struct {
	// Path is the device: absolute, such as /dev/video0 or a link under
	// /dev/v4l/by-id; "" or Auto for the first that is a camera, looked for anew
	// each time it is opened.
	Path string

	// Pool lends the memory of frames; nil: each has its own.
	Pool Pool

	// Log receives what was opened, and what became of its frames; nil: nobody
	// reads it.
	Log *slog.Logger
}

// Validate returns what is impossible.
func (o Options) Validate() error {
	if o.Path != "" && o.Path != Auto && !filepath.IsAbs(o.Path) {
		return fmt.Errorf("camera path %q: want an absolute path or %q", o.Path, Auto)
	}
	return nil
}

// A Camera implements camera.Source for one device. Its methods may be called
// from any goroutine, Stream by one at a time.
type Camera struct{ opt Options }

// Open returns a camera. It touches no device: that is Stream's part, so a
// camera that is not plugged in yet is no error.
func Open(o Options) (*Camera, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Path == "" {
		o.Path = Auto
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Camera{opt: o}, nil
}

// Stream implements camera.Source. It opens the device, sets the mode that
// Choose prefers at 30 frames a second, and puts a copy of each sound frame;
// the driver has its buffer back before put is called.
//
// At is the driver's time where it gives CLOCK_MONOTONIC, and else the time at
// which the frame arrived here.
func (c *Camera) Stream(ctx context.Context, put func(*kiosk.Frame)) error {
	if ctx.Err() != nil {
		return nil
	}
	d, err := c.open()
	if err != nil {
		return err
	}
	defer d.close()
	if err := d.start(); err != nil {
		return err
	}
	c.opt.Log.LogAttrs(ctx, slog.LevelInfo, "camera opened", slog.String("path", d.path), slog.String("card", d.card),
		slog.String("bus", d.bus), slog.String("format", string(d.format)), slog.Int("width", d.size.X), slog.Int("height", d.size.Y))
	return c.loop(ctx, d, put)
}

// open opens the device of Options.Path.
func (c *Camera) open() (*device, error) {
	if c.opt.Path != Auto {
		return open(c.opt.Path)
	}
	paths, err := candidates()
	if err != nil {
		return nil, err
	}
	// The error of a camera that cannot be had says more than that of its
	// metadata node, which is no camera.
	first := fmt.Errorf("/dev/video*: %w: none of %d devices is one", ErrNoCamera, len(paths))
	found := false
	for _, path := range paths {
		d, err := open(path)
		if err == nil {
			return d, nil
		}
		if !found && !errors.Is(err, ErrNotCamera) {
			first, found = err, true
		}
	}
	return nil, first
}

// loop passes frames on until ctx ends or the device fails.
func (c *Camera) loop(ctx context.Context, d *device, put func(*kiosk.Frame)) error {
	var (
		id kiosk.FrameID // also how many were put
		t  tracker

		gaps    uint64 // frames that the driver's numbers leave out
		skipped uint64 // stale, broken, or refused by the pool
	)
	defer func() {
		c.opt.Log.LogAttrs(ctx, slog.LevelInfo, "camera stream ended",
			slog.Uint64("frames", uint64(id)), slog.Uint64("gaps", gaps), slog.Uint64("skipped", skipped))
	}()
	for ctx.Err() == nil {
		got, err := d.next()
		if err != nil {
			return err
		}
		if !got.arrived {
			continue
		}
		at, lost, end := t.track(got, d.began)
		f := kiosk.Frame{ID: id + 1, At: at, Sequence: got.sequence, Format: d.format, Size: d.size, Stride: d.stride, Data: got.data}
		if end == whole && sound(&f) != nil {
			end = broken
		}
		var own *kiosk.Frame
		if end == whole {
			own = c.copy(&f)
		}
		if err := d.requeue(got.index); err != nil {
			if own != nil {
				own.Release()
			}
			return err
		}
		gaps += lost
		if own == nil {
			skipped++
			continue
		}
		id++
		put(own)
	}
	return nil
}

func (c *Camera) copy(f *kiosk.Frame) *kiosk.Frame {
	if c.opt.Pool != nil {
		return c.opt.Pool.Copy(f)
	}
	own := *f
	own.Data = append([]byte(nil), f.Data...)
	return kiosk.NewFrame(own, nil)
}
