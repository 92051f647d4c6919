package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"livekiosk/inference/pad"
	"livekiosk/kiosk"
	"livekiosk/kiosk/commission"
	"livekiosk/kiosk/flow"
)

// maxProfile bounds the profile's file, bytes.
const maxProfile = 64 << 10

// A profile is what was commissioned, and whether sessions are judged by it: only
// while frames come from the camera that it is of.
type profile struct {
	path   string
	policy flow.Policy                                           // without it
	adopt  func(ctx context.Context, p flow.Policy, fact string) // for sessions to come
	log    *slog.Logger

	mu     sync.Mutex
	p      commission.Profile
	bad    error  // why there is none
	camera string // of the last stream; "": none yet
	told   string // to the log
}

// openProfile reads the file at path. One that is missing or cannot be used is
// none, and no error: the log says so.
func openProfile(path string, policy flow.Policy, camera string, log *slog.Logger) *profile {
	o := &profile{path: path, policy: policy, camera: camera, log: log}
	o.p, o.bad = readProfile(path)
	return o
}

var errNoProfile = errors.New("the kiosk was not commissioned: see kioskctl commission")

func readProfile(path string) (commission.Profile, error) {
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return commission.Profile{}, errNoProfile
	case err != nil:
		return commission.Profile{}, fmt.Errorf("profile: %w", err)
	case len(b) > maxProfile:
		return commission.Profile{}, fmt.Errorf("profile %s: %w: %d bytes", path, commission.ErrDamaged, len(b))
	}
	p, err := commission.Decode(b)
	if err != nil {
		return commission.Profile{}, fmt.Errorf("profile %s: %w", path, err)
	}
	return p, nil
}

// current returns the policy to judge by, and the fact that tells where it comes
// from, "" for none.
func (o *profile) current() (p flow.Policy, fact string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p, fact, _ = o.decide()
	return p, fact
}

// decide is current, and why, for who holds mu.
func (o *profile) decide() (p flow.Policy, fact, why string) {
	p = o.policy
	switch {
	case o.bad != nil:
		return p, "", o.bad.Error()
	case o.camera == "":
		return p, "", "the camera has not streamed yet"
	case o.camera != o.p.Camera:
		return p, "", fmt.Sprintf("it is of another camera (%s): commission the kiosk anew", o.p.Camera)
	}
	var err error
	if p.Guidance, err = o.p.Apply(p.Guidance); err == nil {
		err = p.Validate()
	}
	if err != nil {
		return o.policy, "", err.Error()
	}
	if latency, spread, known := o.p.Latency(); known {
		p.Light.Lag = pad.Lag{Latency: latency, Spread: spread}
	}
	return p, o.p.Written.UTC().Format(time.RFC3339), "it is of this camera"
}

// say tells the log what became of the profile, once.
func (o *profile) say(ctx context.Context) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p, fact, why := o.decide()
	if why == o.told || o.bad == nil && o.camera == "" {
		return
	}
	o.told = why
	about := []slog.Attr{slog.String("file", o.path), slog.String("written", fact), slog.String("reason", why)}
	if p.Light.On && !p.Light.Lag.Usable() {
		about = append(about, slog.String("light_challenge", "none: it needs the latency, with a spread under 110 ms: kioskctl commission --step latency"))
	}
	switch {
	case fact != "":
		o.log.LogAttrs(ctx, slog.LevelInfo, "profile in use", about...)
	case errors.Is(o.bad, errNoProfile):
		o.log.LogAttrs(ctx, slog.LevelInfo, "no profile", about...)
	default:
		o.log.LogAttrs(ctx, slog.LevelWarn, "profile not used", about...)
	}
}

// seen notes the camera of a stream.
func (o *profile) seen(ctx context.Context, camera string) {
	o.mu.Lock()
	changed := o.camera != camera
	o.camera = camera
	o.mu.Unlock()
	if changed {
		o.apply(ctx)
	}
}

// apply has the sessions to come judged by what is current.
func (o *profile) apply(ctx context.Context) {
	p, fact := o.current()
	o.adopt(ctx, p, fact)
	o.say(ctx)
}

// keep writes what a step has found out, whole or not at all, and has the next
// session judged by it.
func (o *profile) keep(ctx context.Context, r kiosk.Reading) error {
	o.mu.Lock()
	next := o.p.With(o.camera, version, time.Now().UTC().Truncate(time.Second), r)
	err := write(o.path, next)
	if err == nil {
		o.p, o.bad = next, nil
	}
	o.mu.Unlock()
	if err != nil {
		return err
	}
	o.apply(ctx)
	return nil
}

func write(path string, p commission.Profile) error {
	b, err := p.Encode()
	if err == nil {
		err = replace(path, b)
	}
	if err != nil {
		return fmt.Errorf("keep the profile: %w", err)
	}
	return nil
}

// replace puts b in the place of a file: whole and durable once it returns nil, and
// else, as after a power cut, what was there before or b.
func replace(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	fresh := filepath.Join(dir.Name(), "."+filepath.Base(path)+".new")
	f, err := os.OpenFile(fresh, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(fresh, path); err != nil {
		return err
	}
	return dir.Sync()
}

// status is what staff see.
func (o *profile) status() kiosk.Commissioned {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, fact, why := o.decide()
	return kiosk.Commissioned{File: o.path, InUse: fact != "", Reason: why, Camera: o.p.Camera, Steps: o.p.Readings()}
}
