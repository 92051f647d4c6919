package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"livekiosk/camera"
	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/kiosk/commission"
)

// tellEvery is how often staff are told how a step stands.
const tellEvery = 400 * time.Millisecond

// A wizard does one step of commissioning after another, as staff ask for them:
// it implements api.Commissioner. Meanwhile the camera is lent to it, its frames
// are analysed for it and reach no session, the screen is an installer's, and no
// session is launched.
type wizard struct {
	*daemon

	one     sync.Mutex  // held while a step is done
	closed  atomic.Bool // launches are refused
	looking atomic.Pointer[looker]
	luma    func(*kiosk.Frame) (float32, error)
}

// A looker takes what is seen during one step.
type looker struct {
	seen  chan kiosk.Assessment
	drawn chan struct{}                       // a change of the flash was
	luma  func(*kiosk.Frame) (float32, error) // nil: nobody asks

	mu      sync.Mutex
	first   time.Duration // frame, since boot; 0: none yet
	samples []commission.Sample
	edges   []commission.Edge
}

// A loan is the camera's, for one step.
type loan struct {
	done chan struct{}
	err  error // once it is done
}

// Launch implements api.Launcher.
func (w *wizard) Launch(ctx context.Context, l kiosk.Launch) (kiosk.SessionID, error) {
	if w.closed.Load() {
		return "", &kiosk.LaunchError{Code: kiosk.UnknownError, Reason: "the kiosk is being commissioned", Busy: true}
	}
	away, err := w.looks.lay(l)
	if err != nil {
		return "", err
	}
	defer away()
	return w.station.Launch(ctx, l)
}

// Result implements api.Launcher.
func (w *wizard) Result(id kiosk.SessionID) (kiosk.Result, bool) { return w.station.Result(id) }

// Commissioned implements api.Commissioner.
func (w *wizard) Commissioned() kiosk.Commissioned { return w.profile.status() }

// Commission implements api.Commissioner.
func (w *wizard) Commission(ctx context.Context, t kiosk.Task, each func(kiosk.Reading)) (r kiosk.Reading, err error) {
	if !w.one.TryLock() {
		return r, api.ErrCommissioning
	}
	defer w.one.Unlock()
	policy, _ := w.profile.current()
	l := &looker{seen: make(chan kiosk.Assessment, 16), drawn: make(chan struct{}, 1)}
	var watch *commission.Watch
	if t.Step == kiosk.LatencyStep {
		l.luma = w.luma
	} else if watch, err = commission.NewWatch(t, policy.Guidance); err != nil {
		return r, fmt.Errorf("%w: %w", api.ErrTask, err)
	}
	if watch != nil && w.station.State().Model { // else they are, or are about to be
		return r, errors.New("the models are not usable: see kioskctl status")
	}
	// From here on no other session is admitted. One that was in this very moment
	// takes the camera, and ends the step.
	w.closed.Store(true)
	defer w.closed.Store(false)
	if w.station.State().Session != "" {
		return r, kiosk.ErrOccupied
	}
	view := kiosk.View{Screen: kiosk.CommissionScreen, Locale: t.Locale, Step: t.Step, FaceGoal: policy.Guidance.Goal(kiosk.Far)}
	w.cover(&view)
	defer w.cover(nil)
	w.looking.Store(l)
	defer w.looking.Store(nil)

	within, cancel := context.WithTimeout(ctx, t.Delay+t.Within)
	defer cancel()
	lent := &loan{done: make(chan struct{})}
	go func() {
		defer close(lent.done)
		lent.err = w.borrow(within, l)
	}()
	if watch == nil {
		r, err = w.latency(within, l, view, t.Delay, lent)
	} else {
		r, err = w.faces(within, l, watch, view, t.Delay, lent, each)
	}
	cancel()
	<-lent.done
	switch {
	case lent.err != nil:
		return r, lent.err
	case ctx.Err() != nil:
		return r, context.Cause(ctx)
	case err == nil && r.Passed:
		err = w.profile.keep(ctx, r)
	}
	return r, err
}

// borrow has the camera stream to the screen and the analysis, until ctx ends or
// a session takes it. Nothing of it stays.
func (w *wizard) borrow(ctx context.Context, l *looker) error {
	err := w.camera.Lend(ctx, func(f *kiosk.Frame) {
		l.frame(f)
		w.put(f)
	})
	w.looking.Store(nil)
	if w.station.State().Session == "" { // else they are the visitor's
		w.latest.Drain()
		w.preview.Clear()
	}
	if errors.Is(err, camera.ErrTaken) {
		return fmt.Errorf("%w: %w", kiosk.ErrOccupied, err)
	}
	return err
}

// frame notes what needs no face.
func (l *looker) frame(f *kiosk.Frame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == 0 {
		l.first = f.At
	}
	f.Warming = f.At-l.first < adjustFor
	if l.luma == nil {
		return
	}
	if luma, err := l.luma(f); err == nil {
		l.samples = append(l.samples, commission.Sample{At: f.At, Luma: float64(luma)})
	}
}

// saw takes an assessment.
func (l *looker) saw(a kiosk.Assessment) {
	select {
	case l.seen <- a:
	default: // the next will do
	}
}

// draws notes when a change of the flash was drawn.
func (l *looker) draws(v kiosk.View, at time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if v.Step != kiosk.LatencyStep || v.Flash == (len(l.edges)%2 == 1) {
		return // as before; it begins black
	}
	l.edges = append(l.edges, commission.Edge{At: at, On: v.Flash})
	select {
	case l.drawn <- struct{}{}:
	default:
	}
}

// faces does a step that frames of a face decide. When its time has passed, it
// has ended the way it stands.
func (w *wizard) faces(
	ctx context.Context, l *looker, watch *commission.Watch, view kiosk.View, delay time.Duration, lent *loan, each func(kiosk.Reading),
) (kiosk.Reading, error) {
	r := kiosk.Reading{Step: view.Step, Note: kiosk.NobodyNote, Figures: map[string]float64{}}
	wait := time.NewTimer(delay)
	defer wait.Stop()
	var told time.Time
	for waited := false; ; {
		select {
		case <-ctx.Done():
			r.Ended = true
			return r, nil
		case <-lent.done:
			return r, kiosk.ErrOccupied
		case <-wait.C:
			waited = true
		case a := <-l.seen:
			if !waited {
				continue
			}
			r = watch.Saw(a)
			view.Note, view.Ring, view.Figure = r.Note, r.Progress, figure(r)
			w.cover(&view)
			if r.Ended {
				return r, nil
			}
			if time.Since(told) >= tellEvery {
				told = time.Now()
				each(r)
			}
		}
	}
}

// figure is the one that the screen shows.
func figure(r kiosk.Reading) float32 {
	switch r.Step {
	case kiosk.FocusStep:
		return float32(r.Figures["sharpness"])
	case kiosk.ExposureStep:
		return float32(r.Figures["face_luma"])
	case kiosk.DistanceStep:
		return float32(100 * r.Figures["face"])
	case kiosk.BackgroundStep:
		return float32(r.Figures["luma_ratio"])
	case kiosk.LensStep:
		return float32(r.Figures["detail"])
	case kiosk.LatencyStep:
	}
	return 0
}

// latency has the screen flash and the camera look. The automatic is not to
// follow the flashes; where it cannot be frozen, they are as they are.
func (w *wizard) latency(ctx context.Context, l *looker, view kiosk.View, delay time.Duration, lent *loan) (kiosk.Reading, error) {
	pause := func(d time.Duration) error {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-lent.done:
			return kiosk.ErrOccupied
		case <-t.C:
			return nil
		}
	}
	unseen := kiosk.Reading{Step: view.Step, Note: kiosk.UnseenNote, Figures: map[string]float64{}, Ended: true}
	if err := pause(delay + adjustFor + commission.FlashEvery); err != nil {
		return unseen, err
	}
	if err := w.light.Freeze(); err != nil && !errors.Is(err, kiosk.ErrNoControl) {
		w.log.WarnContext(ctx, "exposure not frozen for the flashes", slog.Any("err", err))
	}
	defer func() { _ = w.light.Thaw() }() // the stream ends now, and gives all back
	for n := range commission.Flashes {
		view.Flash = n%2 == 0
		w.cover(&view)
		select {
		case <-ctx.Done():
			return unseen, context.Cause(ctx)
		case <-lent.done:
			return unseen, kiosk.ErrOccupied
		case <-l.drawn:
		}
		if err := pause(commission.FlashEvery); err != nil {
			return unseen, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return commission.Latency(l.samples, l.edges), nil
}
