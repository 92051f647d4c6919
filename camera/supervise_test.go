package camera_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"livekiosk/camera"
	"livekiosk/camera/cameratest"
	"livekiosk/kiosk"
)

// A rig is a camera on a scripted source, with all that it says.
type rig struct {
	*camera.Camera
	src *cameratest.Scripted

	mu     sync.Mutex
	ids    []kiosk.FrameID
	faults []string // "true: why" or "false: <nil>"
	beats  []time.Time
}

// mounted is how the rig's camera is built in.
var mounted = kiosk.Mount{Turn: 90}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{src: cameratest.NewScripted()}
	var err error
	r.Camera, err = camera.New(camera.Options{
		Source: r.src, Mount: mounted,
		Put: func(f *kiosk.Frame) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.ids = append(r.ids, f.ID)
			f.Release()
		},
		Fault: func(active bool, err error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.faults = append(r.faults, fault(active, err))
		},
		Beat: func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.beats = append(r.beats, time.Now())
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func fault(active bool, err error) string {
	switch {
	case !active && err == nil:
		return "cleared"
	case errors.Is(err, cameratest.ErrUnplugged):
		return "unplugged"
	case errors.Is(err, camera.ErrStalled):
		return "stalled"
	case errors.Is(err, camera.ErrEnded):
		return "ended"
	default:
		return "unknown"
	}
}

// wait lets d pass and everything settle.
func wait(d time.Duration) {
	t := time.NewTimer(d)
	<-t.C
	synctest.Wait()
}

// want compares the faults told so far.
func (r *rig) want(t *testing.T, faults ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.faults, faults) {
		t.Errorf("faults %q, want %q", r.faults, faults)
	}
}

func (r *rig) frames() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ids)
}

func TestCameraStreamsOnlyWhileWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		run(t, r.Run)
		wait(time.Minute)
		if r.src.Opened() != 0 {
			t.Fatal("the device was opened although nobody wants it")
		}
		for session := 1; session <= 3; session++ {
			r.Want(true)
			wait(time.Second)
			if !r.src.Streaming() || r.frames() < 25*session {
				t.Fatalf("session %d: streaming %v, %d frames", session, r.src.Streaming(), r.frames())
			}
			r.Want(false)
			n := r.frames()
			wait(time.Minute)
			if r.src.Streaming() || r.frames() != n {
				t.Fatalf("session %d is over: streaming %v, %d frames more", session, r.src.Streaming(), r.frames()-n)
			}
		}
		r.want(t)
		if s := r.Stats(); s.Reopened != 0 || s.Skipped != 0 || s.Frames != uint64(r.frames()) || r.src.Opened() != 3 || r.src.Out() != 0 {
			t.Errorf("stats %+v, opened %d, %d frames leaked", s, r.src.Opened(), r.src.Out())
		}
	})
}

func TestCameraNumbersFramesOnAndOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		run(t, r.Run)
		for range 3 {
			r.Want(true)
			wait(time.Second)
			r.Want(false)
			wait(time.Second)
		}
		for i, id := range r.ids {
			if id != kiosk.FrameID(i+1) {
				t.Fatalf("frame %d has id %d", i+1, id)
			}
		}
	})
}

func TestCameraUnpluggedIsReopenedWithBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		run(t, r.Run)
		r.Want(true)
		wait(10 * time.Second)
		r.src.Unplug()
		synctest.Wait()
		r.want(t, "unplugged")
		// Openings after 0.25, 0.75, 1.75, 3.75, 7.75, 12.75, 17.75 s.
		before := r.src.Opened()
		for _, c := range []struct {
			after  time.Duration
			opened int
		}{{240 * time.Millisecond, 0}, {20 * time.Millisecond, 1}, {500 * time.Millisecond, 2}, {time.Second, 3}, {2 * time.Second, 4}, {4 * time.Second, 5}, {5 * time.Second, 6}, {5 * time.Second, 7}} {
			wait(c.after)
			if got := r.src.Opened() - before; got != c.opened {
				t.Errorf("opened %d times again, want %d", got, c.opened)
			}
		}
		r.want(t, "unplugged")
		r.src.Plug()
		wait(6 * time.Second)
		r.want(t, "unplugged", "cleared")
		if !r.src.Streaming() || r.Stats().Reopened != 8 {
			t.Errorf("streaming %v, stats %+v", r.src.Streaming(), r.Stats())
		}
		// It worked: the next failure is retried soon.
		wait(5 * time.Second)
		r.src.Unplug()
		synctest.Wait()
		r.src.Plug()
		wait(400 * time.Millisecond)
		r.want(t, "unplugged", "cleared", "unplugged", "cleared")
	})
}

func TestCameraThatGivesNoFrameIsReopened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		run(t, r.Run)
		r.Want(true)
		wait(time.Second)
		r.src.Freeze()
		wait(1900 * time.Millisecond)
		r.want(t)
		wait(400 * time.Millisecond)
		r.want(t, "stalled")
		r.src.Thaw()
		wait(3 * time.Second)
		r.want(t, "stalled", "cleared")
		if r.src.Opened() != 2 {
			t.Errorf("opened %d times, want 2", r.src.Opened())
		}
	})
}

func TestCameraFaultClearsByItselfBetweenSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		run(t, r.Run)
		r.src.Unplug()
		r.Want(true)
		wait(time.Second)
		r.Want(false)
		wait(time.Minute)
		r.want(t, "unplugged")
		r.src.Plug()
		wait(6 * time.Second)
		r.want(t, "unplugged", "cleared")
		if r.src.Streaming() || r.frames() != 0 || r.src.Out() != 0 || r.Stats().Unwanted == 0 {
			t.Errorf("streaming %v, %d frames put, %d leaked, %+v: want one frame dropped and the light off",
				r.src.Streaming(), r.frames(), r.src.Out(), r.Stats())
		}
		n := r.src.Opened()
		wait(time.Minute)
		if r.src.Opened() != n {
			t.Error("it goes on trying although it works")
		}
	})
}

func TestCameraNewlyWantedDoesNotWaitForABackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		run(t, r.Run)
		r.src.Unplug()
		r.Want(true)
		wait(time.Second)
		r.Want(false)
		wait(time.Minute)
		n := r.src.Opened()
		for r.src.Opened() == n {
			wait(10 * time.Millisecond)
		}
		r.src.Plug() // five seconds before the next try
		r.Want(true)
		wait(100 * time.Millisecond)
		if r.frames() == 0 {
			t.Error("no frame 100 ms after a session began with a camera that works")
		}
	})
}

func TestCameraThatIsNotWantedAnyMoreCannotFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		run(t, r.Run)
		r.Want(true)
		wait(time.Second)
		r.Want(false)
		r.src.Unplug()
		wait(time.Minute)
		r.want(t)
	})
}

func TestCameraCountsWhatTheDriverLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		run(t, r.Run)
		r.Want(true)
		wait(time.Second)
		r.src.Lose(3)
		wait(time.Second)
		r.src.Lose(1)
		wait(time.Second)
		if got := r.Stats().Skipped; got != 4 {
			t.Errorf("skipped %d, want 4", got)
		}
	})
}

func TestCameraBeatsAtLeastOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		begun := time.Now()
		run(t, r.Run)
		wait(5 * time.Second)
		r.Want(true)
		wait(5 * time.Second)
		r.src.Freeze()
		wait(30 * time.Second)
		r.src.Unplug()
		wait(30 * time.Second)
		last := begun
		for _, at := range append(r.beats, time.Now()) {
			if at.Sub(last) > time.Second {
				t.Fatalf("no beat from %v to %v", last.Sub(begun), at.Sub(begun))
			}
			last = at
		}
	})
}

func TestCameraWhoseSourceHangsEndsTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		done := make(chan error, 1)
		go func() { done <- r.Run(t.Context()) }()
		r.Want(true)
		wait(time.Second)
		r.src.Hang()
		r.src.Freeze()
		wait(20 * time.Second)
		select {
		case err := <-done:
			if !errors.Is(err, camera.ErrHung) {
				t.Errorf("Run() = %v, want %v", err, camera.ErrHung)
			}
		default:
			t.Error("Run goes on although its source does not end")
		}
		r.src.Unhang()
		synctest.Wait()
	})
}

func TestCameraEndsWithItsContext(t *testing.T) {
	for name, prepare := range map[string]func(*rig){
		"at rest":         func(*rig) {},
		"while streaming": func(r *rig) { r.Want(true) },
		"while it fails":  func(r *rig) { r.src.Unplug(); r.Want(true) },
		"while it stalls": func(r *rig) { r.src.Freeze(); r.Want(true) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- r.Run(ctx) }()
				prepare(r)
				wait(1500 * time.Millisecond)
				cancel()
				synctest.Wait()
				select {
				case err := <-done:
					if err != nil || r.src.Streaming() {
						t.Errorf("Run() = %v, streaming %v", err, r.src.Streaming())
					}
				default:
					t.Error("Run did not return")
				}
			})
		})
	}
}

// TestCameraEndsWithItsContextWhateverTheSourceDoes: the process ends, and the
// device with it.
func TestCameraEndsWithItsContextWhateverTheSourceDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		r.Want(true)
		wait(time.Second)
		r.src.Hang()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run() = %v", err)
		}
		r.src.Unhang()
		synctest.Wait()
	})
}

// A source made of a function.
type source func(ctx context.Context, put func(*kiosk.Frame)) error

func (s source) Stream(ctx context.Context, put func(*kiosk.Frame)) error { return s(ctx, put) }

// newFaults returns a camera on a source, and what it will tell. Its heart
// beats slowly, so that several things have happened when it looks.
func newFaults(t *testing.T, src camera.Source) (c *camera.Camera, faults *[]string) {
	t.Helper()
	faults = new([]string)
	c, err := camera.New(camera.Options{
		Source: src, Put: (*kiosk.Frame).Release,
		Fault: func(active bool, err error) { *faults = append(*faults, fault(active, err)) },
		Beat:  func() { <-time.After(time.Millisecond) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c, faults
}

func TestCameraThatGaveOneFrameAndFailedDoesNotWorkAgain(t *testing.T) {
	for range 50 { // the frame and the failure race
		synctest.Test(t, func(t *testing.T) {
			opened := 0
			c, faults := newFaults(t, source(func(_ context.Context, put func(*kiosk.Frame)) error {
				if opened++; opened == 1 {
					put(small(1, nil))
				}
				return cameratest.ErrUnplugged
			}))
			run(t, c.Run)
			c.Want(true)
			wait(2 * time.Second)
			if !slices.Equal(*faults, []string{"unplugged"}) {
				t.Fatalf("faults %q, want one", *faults)
			}
		})
	}
}

func TestCameraThatFailsWhileItIsClosedIsNoFault(t *testing.T) {
	for range 50 { // the wish and the failure race
		synctest.Test(t, func(t *testing.T) {
			var c *camera.Camera
			c, faults := newFaults(t, source(func(_ context.Context, put func(*kiosk.Frame)) error {
				put(small(1, nil))
				<-time.After(time.Second)
				c.Want(false)
				return cameratest.ErrUnplugged
			}))
			run(t, c.Run)
			c.Want(true)
			wait(time.Minute)
			if len(*faults) > 0 {
				t.Fatalf("faults %q, want none", *faults)
			}
		})
	}
}

func TestCameraEndingWithItsContextIsNoFault(t *testing.T) {
	for range 50 { // the ends of the context and of the source race
		synctest.Test(t, func(t *testing.T) {
			c, faults := newFaults(t, source(func(ctx context.Context, put func(*kiosk.Frame)) error {
				put(small(1, nil))
				<-ctx.Done()
				return nil
			}))
			c.Want(true)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- c.Run(ctx) }()
			wait(time.Second)
			cancel()
			if err := <-done; err != nil || len(*faults) > 0 {
				t.Fatalf("Run() = %v, faults %q", err, *faults)
			}
		})
	}
}

func TestCameraProbesOnceAtItsBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := cameratest.NewScripted()
		var faults []string
		c, err := camera.New(camera.Options{
			Source: src, Probe: true,
			Put:   func(*kiosk.Frame) { t.Error("a frame was put although nothing is wanted") },
			Fault: func(active bool, err error) { faults = append(faults, fault(active, err)) },
		})
		if err != nil {
			t.Fatal(err)
		}
		src.Unplug()
		run(t, c.Run)
		wait(time.Minute)
		if !slices.Equal(faults, []string{"unplugged"}) {
			t.Errorf("faults %q, want one: the camera is missing at start", faults)
		}
		src.Plug()
		wait(6 * time.Second)
		if !slices.Equal(faults, []string{"unplugged", "cleared"}) || src.Streaming() {
			t.Errorf("faults %q, streaming %v; want it cleared and the light off", faults, src.Streaming())
		}
		n := src.Opened()
		wait(time.Minute)
		if src.Opened() != n || src.Out() != 0 {
			t.Errorf("opened %d times more, %d frames leaked", src.Opened()-n, src.Out())
		}
	})
}

func TestCameraWantedBeforeRunKeepsItsPauses(t *testing.T) {
	for range 50 { // the wish and the failure race
		synctest.Test(t, func(t *testing.T) {
			opened := 0
			c, _ := newFaults(t, source(func(context.Context, func(*kiosk.Frame)) error {
				opened++
				return cameratest.ErrUnplugged
			}))
			c.Want(true)
			run(t, c.Run)
			wait(240 * time.Millisecond)
			if opened != 1 {
				t.Fatalf("opened %d times in the first 240 ms, want once", opened)
			}
		})
	}
}

func TestCameraSourceThatEndsByItselfIsAFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, faults := newFaults(t, source(func(context.Context, func(*kiosk.Frame)) error { return nil }))
		run(t, c.Run)
		c.Want(true)
		wait(time.Second)
		if !slices.Equal(*faults, []string{"ended"}) {
			t.Errorf("faults %q", *faults)
		}
	})
}

func TestNewRefusesImpossibleOptions(t *testing.T) {
	put, ending := (*kiosk.Frame).Release, source(func(context.Context, func(*kiosk.Frame)) error { return nil })
	for name, o := range map[string]camera.Options{
		"no source":      {Put: put},
		"no put":         {Source: ending},
		"negative stall": {Source: ending, Put: put, Stall: -1},
		"negative start": {Source: ending, Put: put, Start: -1},
		"a crooked turn": {Source: ending, Put: put, Mount: kiosk.Mount{Turn: 60}},
	} {
		if _, err := camera.New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestWantFalseIsFinal checks, at full speed, that nothing is put once
// Want(false) has returned.
func TestWantFalseIsFinal(t *testing.T) {
	src := cameratest.NewScripted()
	src.Interval = 50 * time.Microsecond
	var mu sync.Mutex
	closed, late, n := false, 0, 0
	c, err := camera.New(camera.Options{Source: src, Put: func(f *kiosk.Frame) {
		mu.Lock()
		defer mu.Unlock()
		n++
		if closed {
			late++
		}
		f.Release()
	}})
	if err != nil {
		t.Fatal(err)
	}
	run(t, c.Run)
	for range 20 {
		mu.Lock()
		closed = false
		before := n
		mu.Unlock()
		c.Want(true)
		for deadline := time.Now().Add(30 * time.Second); ; {
			mu.Lock()
			enough := n > before+5
			mu.Unlock()
			if enough {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("no frames")
			}
			timer := time.NewTimer(time.Millisecond)
			<-timer.C
		}
		c.Want(false)
		mu.Lock()
		closed = true
		mu.Unlock()
	}
	if late > 0 {
		t.Errorf("%d frames were put after Want(false)", late)
	}
}

// locked is a log that is read while it is written.
type locked struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func TestCameraThatStaysSilentIsResetAndTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := cameratest.NewScripted()
		var log locked
		var mu sync.Mutex
		var requests []time.Time
		asked := func() []time.Time {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(requests)
		}
		c, err := camera.New(camera.Options{
			Source: src, Put: (*kiosk.Frame).Release, Log: slog.New(slog.NewTextHandler(&log, nil)),
			Reset: func(context.Context) error {
				mu.Lock()
				defer mu.Unlock()
				requests = append(requests, time.Now())
				if len(requests) == 1 {
					return errors.New("nobody takes requests")
				}
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		run(t, c.Run)
		c.Want(true)
		wait(10 * time.Second)
		src.Freeze()
		began := time.Now()
		wait(3 * time.Second) // silent for 2 s, and opened anew
		if len(asked()) != 0 {
			t.Fatalf("asked for a reset after %v", asked()[0].Sub(began))
		}
		wait(3 * time.Second)
		if len(asked()) != 1 || strings.Contains(log.String(), "somebody has to look") {
			t.Fatalf("asked %d times; log:\n%s", len(asked()), log.String())
		}
		wait(4 * time.Minute)
		if n := strings.Count(log.String(), "somebody has to look"); len(asked()) != 1 || n != 1 {
			t.Errorf("asked %d times, told %d times", len(asked()), n)
		}
		wait(2 * time.Minute)
		if len(asked()) != 2 || asked()[1].Sub(asked()[0]) < 5*time.Minute {
			t.Errorf("asked at %v", asked())
		}
		if s := c.Stats(); s.Resets != 1 { // the first request failed
			t.Errorf("stats %+v", s)
		}
		src.Thaw()
		wait(10 * time.Second)
		src.Unplug() // the next failure is another one, and needs no reset
		wait(time.Minute)
		if len(asked()) != 2 {
			t.Errorf("asked %d times", len(asked()))
		}
	})
}

// lumas are a camera that wakes up: its frames are as bright as they say.
type lumas struct {
	put    []bool // whether each frame put was warming
	levels []float32
	failed bool
}

func (l *lumas) luma(*kiosk.Frame) (float32, error) {
	if l.failed {
		return 0, errors.New("no picture")
	}
	v := l.levels[0]
	if len(l.levels) > 1 {
		l.levels = l.levels[1:]
	}
	return v, nil
}

func TestFramesAreWarmingUntilTheLightSettles(t *testing.T) {
	for _, c := range []struct {
		name    string
		levels  []float32
		failed  bool
		warming int // frames; of 33 ms
	}{
		{"a camera that is warm", []float32{110}, false, 3},
		{"a camera that begins white", []float32{250, 200, 160, 130, 118, 113, 111, 110}, false, 8},
		{"a dark room", []float32{3, 4, 3, 4}, false, 3},
		{"a lamp that flickers", []float32{90, 120, 90, 120, 90, 120, 90, 120, 90, 120, 90, 120, 90, 120, 90, 120, 90, 120, 90, 120, 90, 120, 90, 120, 90, 120, 90, 120, 90, 120, 90, 120, 90, 120}, false, 31},
		{"frames that cannot be read", []float32{0}, true, 31},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &lumas{levels: c.levels, failed: c.failed}
				cam, err := camera.New(camera.Options{
					Source: cameratest.NewScripted(), Luma: l.luma,
					Put: func(f *kiosk.Frame) { l.put = append(l.put, f.Warming); f.Release() },
				})
				if err != nil {
					t.Fatal(err)
				}
				run(t, cam.Run)
				for range 2 { // at every start
					l.put = nil
					cam.Want(true)
					wait(3 * time.Second)
					cam.Want(false)
					wait(time.Second)
					if n := slices.Index(l.put, false); n != c.warming || slices.Contains(l.put[n:], true) {
						t.Errorf("%d frames are warming, want %d: %v", n, c.warming, l.put)
					}
					l.levels = c.levels
				}
			})
		})
	}
}

func TestMeanLumaOfAFrame(t *testing.T) {
	luma := camera.MeanLuma(&camera.Decoder{})
	for level, want := range map[byte]float32{16: 0, 126: 128, 235: 255} {
		f := raw(kiosk.YUYV, image.Pt(640, 480))
		for i := 0; i < len(f.Data); i += 2 {
			f.Data[i] = level
		}
		if got, err := luma(f); err != nil || got < want-1.5 || got > want+1.5 {
			t.Errorf("luma of level %d is %g, %v; want %g", level, got, err, want)
		}
	}
	if n := testing.AllocsPerRun(5, func() {
		if _, err := luma(raw(kiosk.MJPEG, image.Pt(2, 2))); err == nil {
			t.Error("a frame without a picture has a luma")
		}
	}); n > 20 {
		t.Errorf("%v allocations", n)
	}
}

func TestALentCameraIsTheKiosksWhenItNeedsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		run(t, r.Run)
		n := 0
		count := func(f *kiosk.Frame) {
			if n++; f.Mount != mounted {
				t.Errorf("a frame of a camera that is mounted as %v says %v", mounted, f.Mount)
			}
			f.Release()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Lend(ctx, count); err != nil || n < 25 || r.frames() != 0 {
			t.Fatalf("Lend() = %v; %d frames, and %d to the kiosk", err, n, r.frames())
		}
		lent := make(chan error, 1)
		go func() { lent <- r.Lend(t.Context(), count) }()
		wait(time.Second)
		if err := r.Lend(t.Context(), count); !errors.Is(err, camera.ErrTaken) {
			t.Errorf("lent twice: %v", err)
		}
		r.Want(true)
		wait(time.Second)
		if err := <-lent; err != nil {
			t.Errorf("Lend() = %v", err)
		}
		was := n
		if r.frames() < 20 {
			t.Errorf("the kiosk has %d frames", r.frames())
		}
		if err := r.Lend(t.Context(), count); !errors.Is(err, camera.ErrTaken) {
			t.Errorf("lent while it is wanted: %v", err)
		}
		wait(time.Second)
		if n != was {
			t.Error("frames went on to the borrower")
		}
		r.Want(false)
		wait(time.Second)
		r.src.Unplug()
		if err := r.Lend(t.Context(), count); !errors.Is(err, cameratest.ErrUnplugged) {
			t.Errorf("Lend() = %v", err)
		}
		r.want(t)
		r.Want(true)
		wait(100 * time.Millisecond) // it failed, and is opened again in a moment
		if err := r.Lend(t.Context(), count); !errors.Is(err, camera.ErrTaken) {
			t.Errorf("lent between two tries of a camera that is wanted: %v", err)
		}
	})
}

func TestATrialServesNobodyWhoCameMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, n := cameratest.NewScripted(), 0
		c, err := camera.New(camera.Options{Source: src, Probe: true, Put: func(f *kiosk.Frame) {
			if src.Opened() == 1 {
				t.Error("a frame of the trial is put")
			}
			n++
			f.Release()
		}})
		if err != nil {
			t.Fatal(err)
		}
		run(t, c.Run)
		wait(10 * time.Millisecond) // it is open, and no frame came
		c.Want(true)
		wait(2 * time.Second)
		if src.Opened() != 2 || !src.Streaming() || n < 50 {
			t.Errorf("opened %d times, streaming %v, %d frames", src.Opened(), src.Streaming(), n)
		}
	})
}

// TestWhoeverComesNextHasAStreamOfTheirOwn: the source tells at its start what
// it is, and that goes to the one who it starts for.
func TestWhoeverComesNextHasAStreamOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		run(t, r.Run)
		r.Want(true)
		wait(time.Second)
		r.Want(false)
		r.Want(true) // before the camera's goroutine has seen that
		wait(time.Second)
		if r.src.Opened() != 2 || !r.src.Streaming() {
			t.Errorf("opened %d times, streaming %v", r.src.Opened(), r.src.Streaming())
		}
		r.want(t)
	})
}
