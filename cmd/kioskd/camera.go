package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"livekiosk/camera"
	"livekiosk/camera/exposure"
	"livekiosk/camera/jpeg"
	"livekiosk/camera/replay"
	"livekiosk/camera/trust"
	"livekiosk/camera/v4l2"
	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
)

// A source is the configured camera. A clip is opened at the first stream that
// succeeds, so that one that cannot be opened is a fault of the camera and not
// of the daemon.
type source struct {
	name   string
	encode func(dst []byte, img *image.RGBA, quality int) ([]byte, error)
	clip   camera.Source // nil until it was opened
	lamp   *lamp         // what lights a composed visitor; nil: nothing
	device *v4l2.Camera  // nil: a clip or frames
}

// newSource returns the camera of a configuration that was validated. seen is
// told as v4l2.Options.Seen is.
func newSource(c Config, seen func(context.Context, trust.Identity, bool), log *slog.Logger) (*source, error) {
	s := &source{name: c.Camera.Source, encode: jpeg.NewEncoder().Encode}
	if c.simulated() {
		if c.Flow.LightChallenge != lightOff {
			s.lamp = &lamp{}
		}
		return s, nil
	}
	o, err := c.Camera.options()
	if err != nil {
		return nil, err
	}
	o.Seen, o.Pool, o.Log = seen, camera.NewPool(16), log
	s.device, err = v4l2.Open(o)
	return s, err
}

// Stream implements camera.Source.
func (s *source) Stream(ctx context.Context, put func(*kiosk.Frame)) error {
	from := camera.Source(s.device)
	if s.device == nil {
		if err := s.open(); err != nil {
			return err
		}
		from = s.clip
	}
	if err := from.Stream(ctx, put); err != nil {
		return fmt.Errorf("camera %s: %w", s.name, err)
	}
	return nil
}

// open opens a clip, or a folder of frames, once.
func (s *source) open() error {
	if s.clip != nil {
		return nil
	}
	_, name, _ := strings.Cut(s.name, ":")
	o := replay.Options{Clip: name, Encode: s.encode}
	if s.lamp != nil {
		o.Display, o.Stay = s.lamp.light, lampStay
	}
	src, err := replay.Open(o)
	if err != nil {
		return fmt.Errorf("camera %s: %w", s.name, err)
	}
	s.clip = src
	return nil
}

// status returns what the device streams from; zero for clips and frames.
func (s *source) status() v4l2.Status {
	if s.device == nil {
		return v4l2.Status{}
	}
	return s.device.Status()
}

// exposer returns what corrects exposure, nil for clips and frames and where
// the exposure is configured otherwise.
//
//nolint:ireturn // nil is a camera without any
func (s *source) exposer(c Config) exposure.Device {
	if s.device == nil || c.Camera.Controls.Exposure != "face" {
		return nil
	}
	return s.device
}

// skips returns what was skipped, in the API's words.
func skips(s v4l2.Stats) api.CameraSkips {
	return api.CameraSkips{Flawed: s.Flawed, Short: s.Short, Corrupt: s.Corrupt, Stale: s.Stale, Starved: s.Starved}
}

// Eyes are what staff do with the camera: they implement api.Cameras.
type eyes struct {
	c        Config
	session  func() bool // whether one is in progress, on whatever screen
	lend     func(ctx context.Context, put func(*kiosk.Frame)) error
	src      *source
	evidence *camera.Evidence
}

// Times of staff's looks. All of it has to fit into a request.
const (
	probeFor    = 3 * time.Second // of frames
	probeWithin = 8 * time.Second // with opening
	adjustFor   = time.Second     // until exposure has settled
)

// Cameras implements api.Cameras.
func (e *eyes) Cameras(context.Context) ([]api.Camera, error) {
	o, err := e.c.Camera.options()
	if err != nil {
		return nil, err
	}
	found, err := v4l2.List(o)
	if err != nil && !errors.Is(err, v4l2.ErrNoCamera) {
		return nil, err
	}
	all := make([]api.Camera, len(found))
	for i, f := range found {
		a := api.Camera{
			Path: f.Path, Card: f.ID.Card, Identity: f.ID.String(), At: f.ID.Path, Trusted: f.Trust.Accepted, Reason: f.Trust.Reason, Modes: []string{}, Why: f.Why,
		}
		for _, m := range f.Modes {
			a.Modes = append(a.Modes, m.String())
		}
		if f.Err != nil {
			a.Problem = f.Err.Error()
		} else {
			a.Mode = f.Mode.String()
		}
		all[i] = a
	}
	return all, nil
}

// look has the camera stream until see has seen enough. A visitor is filmed by
// their session alone, also where that does not need the camera just now.
func (e *eyes) look(ctx context.Context, see func(*kiosk.Frame) (enough bool)) error {
	if e.session() {
		return kiosk.ErrOccupied
	}
	ctx, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	enough, began := false, false
	err := e.lend(ctx, func(f *kiosk.Frame) {
		began = began || e.session()
		if began || !enough && see(f) {
			enough = true
			cancel()
		}
		f.Release()
	})
	switch {
	case began:
		return kiosk.ErrOccupied
	case errors.Is(err, camera.ErrTaken):
		return fmt.Errorf("%w: %w", kiosk.ErrOccupied, err)
	case err != nil || enough:
		return err
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("camera %s: %w within %v", e.c.Camera.Source, camera.ErrStalled, probeWithin)
	default: // the kiosk took it back, or nobody listens any more
		return kiosk.ErrOccupied
	}
}

// Probe implements api.Cameras.
func (e *eyes) Probe(ctx context.Context) (api.CameraFigures, error) {
	before := e.src.status().Stats
	var f api.CameraFigures
	var first time.Time
	err := e.look(ctx, func(got *kiosk.Frame) bool {
		if first.IsZero() {
			first = time.Now()
			f.Mode = fmt.Sprintf("%s %dx%d", got.Format, got.Size.X, got.Size.Y)
		}
		f.Frames++
		f.Seconds = time.Since(first).Seconds()
		return f.Seconds >= probeFor.Seconds()
	})
	if err != nil {
		return api.CameraFigures{}, err
	}
	f.FramesPerSecond = float64(f.Frames-1) / f.Seconds
	if s := e.src.status(); s.Path != "" {
		f.Identity, f.Mode, f.Controls, f.Lost = s.ID.String(), s.Mode.String(), s.Controls, s.Stats.Gaps-before.Gaps
		was, now := skips(before), skips(s.Stats)
		f.CameraSkips = api.CameraSkips{
			Flawed: now.Flawed - was.Flawed, Short: now.Short - was.Short, Corrupt: now.Corrupt - was.Corrupt, Stale: now.Stale - was.Stale, Starved: now.Starved - was.Starved,
		}
	}
	return f, nil
}

// Picture implements api.Cameras.
func (e *eyes) Picture(ctx context.Context) (picture []byte, err error) {
	var first time.Time
	var bad error
	err = e.look(ctx, func(f *kiosk.Frame) bool {
		if first.IsZero() {
			first = time.Now()
		}
		if time.Since(first) < adjustFor {
			return false
		}
		picture, bad = e.evidence.JPEG(f)
		return true
	})
	if err = errors.Join(err, bad); err != nil {
		clear(picture)
		return nil, err
	}
	return picture, nil
}

// resetFile is where a reset of the camera is asked for, beside the socket:
// kioskd-camera-reset.path watches it there.
const resetFile = "camera-reset"

// reset asks for a reset of the USB camera that streamed last, or is pinned.
func (e *eyes) reset(context.Context) error {
	id := e.src.status().ID.Pin()
	if id == (trust.Pin{}) {
		o, err := e.c.Camera.options()
		if err != nil {
			return err
		}
		id = o.Pin
	}
	if id.USB == "" {
		return errors.New("there is no USB camera to reset")
	}
	path := filepath.Join(filepath.Dir(e.c.API.Socket), resetFile)
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("the last request still lies at %s: is kioskd-camera-reset.path active?", path)
	}
	// In one step: whoever sees it sees all of it.
	part := path + ".part"
	if err := os.WriteFile(part, []byte(id.String()+"\n"), 0o600); err != nil {
		return fmt.Errorf("ask for a reset: %w", err)
	}
	if err := os.Rename(part, path); err != nil {
		return fmt.Errorf("ask for a reset: %w", err)
	}
	return nil
}
