package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"livekiosk/camera"
	"livekiosk/camera/jpeg"
	"livekiosk/camera/replay"
	"livekiosk/inference"
	"livekiosk/inference/models"
	"livekiosk/inference/onnx"
	"livekiosk/kiosk"
	"livekiosk/kiosk/station"
	"livekiosk/systemd"
	"livekiosk/ui"
	"livekiosk/ui/text"
)

// The visit of the self-test, in its own time: a machine that takes a second
// for a frame sees the same as one that takes a millisecond.
const (
	visitStep = 200 * time.Millisecond // between frames; the flow takes a face for lost after a second
	visitMost = time.Minute            // the clip's visitor is captured in the first 15 s
)

// errSelfTest marks what the self-test found.
var errSelfTest = errors.New("self-test")

// selfTest is -self-test: whether this program, its libraries, runtime and
// weights work on this machine. It has nothing to do with the kiosk that is
// installed here: it uses no camera, display, network, key or outbox of it.
func selfTest(ctx context.Context, c Config, log *slog.Logger) error {
	set, err := models.Open(ctx, c.Models.Dir)
	if err != nil {
		return fmt.Errorf("models.dir: %w", err)
	}
	for _, role := range slices.Sorted(maps.Keys(set.Hashes)) {
		log.InfoContext(ctx, "file is the one in the manifest", slog.String("role", role), slog.String("sha256", set.Hashes[role]))
	}
	dec := &camera.Decoder{JPEG: jpeg.NewDecoder()}
	a, unload, err := analyser(set, dec, nil)
	if err != nil {
		return fmt.Errorf("models.dir: %w: %w", errModel, err)
	}
	err = errors.Join(checkVectors(ctx, set, log), c.rehearse(ctx, a, dec, log), unload())
	if err != nil {
		return fmt.Errorf("%w: %w", errSelfTest, err)
	}
	log.InfoContext(ctx, "self-test passed")
	return nil
}

// checkVectors has each network of set compute its golden vectors.
func checkVectors(ctx context.Context, set models.Set, log *slog.Logger) error {
	for _, n := range []struct {
		role models.Role
		path string
	}{{models.Detector, set.Detector}, {models.Landmarks, set.Landmarks}, {models.PAD, set.PAD}} {
		s, err := onnx.Open(n.path)
		if err != nil {
			return err
		}
		models.Pattern(n.role, s.Input())
		var worst float64
		if err = s.Run(); err == nil {
			worst, err = models.CheckVectors(n.role, s.Output)
		}
		if err = errors.Join(err, s.Close()); err != nil {
			return err
		}
		log.InfoContext(ctx, "network computes its golden vectors", slog.String("role", string(n.role)),
			slog.Float64("largest_difference", worst*models.Tolerance), slog.Float64("tolerated", models.Tolerance))
	}
	return nil
}

// A rehearsal is a session of the self-test: the composed visitor before the real
// analyser, flow, evidence and outbox, in a folder of its own.
type rehearsal struct {
	a        *inference.Analyser
	station  *station.Station
	clip     *replay.Source
	encoder  *jpeg.Encoder
	renderer *ui.Renderer
	drawn    map[kiosk.Screen]bool

	now   atomic.Int64 // nanoseconds of the visit
	view  atomic.Pointer[kiosk.View]
	watch atomic.Bool      // the camera is wanted
	end   chan kiosk.Event // saved, or the result if that comes first
}

// rehearse serves one visitor, and looks whether their capture is whole in the
// outbox.
func (c Config) rehearse(ctx context.Context, a *inference.Analyser, dec *camera.Decoder, log *slog.Logger) (err error) {
	dir, err := os.MkdirTemp("", "kioskd-self-test-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	own := defaults()
	own.State.Dir, own.Keys.Store = dir, "file"
	box := newOutbox(own, nil, func() bool { return true }, func() bool { return true }, func(kiosk.Receipt) {}, systemd.NewBusy(own.busyPath()), log)
	if err = box.open(ctx); err != nil {
		return err
	}
	defer box.close(ctx)
	r := &rehearsal{a: a, encoder: jpeg.NewEncoder(), drawn: map[kiosk.Screen]bool{}, end: make(chan kiosk.Event, 1)}
	if r.clip, err = replay.Open(replay.Options{Clip: replay.Portrait, Size: image.Pt(960, 540)}); err != nil {
		return err
	}
	if r.renderer, err = ui.NewRenderer(image.Pt(360, 640)); err != nil {
		return err
	}
	defer r.renderer.Close()
	if r.station, err = station.New(station.Options{
		Policy: own.policy(), Outbox: box, Evidence: camera.NewEvidence(jpeg.NewEncoder()),
		Now:   func() time.Duration { return time.Duration(r.now.Load()) },
		Watch: r.watch.Store, Show: func(k kiosk.View) { r.view.Store(&k) }, Emit: r.note, Consent: func(l kiosk.Locale) string { return text.Of(l).ConsentHash() },
		Gateway: own.Gateway.BaseURL, UserType: own.Gateway.UserIDType, Facts: map[string]string{"version": version, "trust": "test"}, Log: log,
	}); err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	g, running := errgroup.WithContext(running)
	g.Go(func() error { return r.station.Run(running) })
	g.Go(func() error {
		defer stop()
		return r.serve(running, dec)
	})
	if err = g.Wait(); err != nil {
		return err
	}
	found, err := box.Verify(ctx, func(int, int) {})
	if err != nil {
		return err
	}
	if found.Records != 1 || len(found.Broken) > 0 || found.Tampered {
		return fmt.Errorf("the outbox holds something else than one whole record: %+v", found)
	}
	log.InfoContext(ctx, "a visitor was captured and is in the outbox", slog.Duration("visit", time.Duration(r.now.Load())),
		slog.Int("parts", found.Parts), slog.Int64("bytes", found.Bytes), slog.Int("screens", len(r.drawn)))
	return nil
}

// note implements station.Options.Emit.
func (r *rehearsal) note(e kiosk.Event) {
	if e.Kind == kiosk.EventSaved || e.Kind == kiosk.EventResult {
		select {
		case r.end <- e:
		default: // the first one told
		}
	}
}

// serve shows the clip to the kiosk, and returns nil once the capture is saved.
func (r *rehearsal) serve(ctx context.Context, dec *camera.Decoder) error {
	if _, err := r.station.Launch(ctx, kiosk.Launch{CorrelationID: "self-test", UserID: "self-test", Locale: kiosk.English, Theme: kiosk.NoPreference}); err != nil {
		return err
	}
	seen := false
	for at := time.Duration(0); at < visitMost; at += visitStep {
		r.now.Store(int64(at))
		view := *r.view.Load() // Run has shown one before it took the launch
		if control, ok := map[kiosk.Screen]kiosk.Control{kiosk.ConsentScreen: kiosk.Agree, kiosk.TipsScreen: kiosk.Ready}[view.Screen]; ok {
			if err := r.station.Tap(ctx, kiosk.Tap{Session: view.Session, Control: control}); err != nil {
				return err
			}
		}
		on := r.watch.Load()
		if seen && !on {
			break // captured, or given up
		}
		seen = seen || on
		if err := r.frame(ctx, at, view, dec); err != nil {
			return err
		}
	}
	select { // time stands still meanwhile: however slow the disk is, the visitor waits
	case e := <-r.end:
		if e.Kind == kiosk.EventSaved {
			return nil
		}
		return fmt.Errorf("the visit ended with %s instead of a capture", e.Text)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// frame assesses what is seen at a time of the visit, and draws each screen
// once over it.
func (r *rehearsal) frame(ctx context.Context, at time.Duration, view kiosk.View, dec *camera.Decoder) error {
	picture := r.clip.Compose(at)
	data, err := r.encoder.Encode(nil, picture, camera.EvidenceQuality)
	if err != nil {
		return err
	}
	f := kiosk.NewFrame(kiosk.Frame{
		ID: kiosk.FrameID(1 + at/visitStep), At: at, Sequence: uint32(at / visitStep), Format: kiosk.MJPEG, Size: picture.Rect.Size(), Data: data,
	}, nil)
	assessed, err := r.a.Assess(f)
	if err != nil {
		f.Release()
		return err
	}
	if !r.drawn[view.Screen] {
		preview, _, err := dec.Decode(f, previewShort)
		if err != nil {
			f.Release()
			return err
		}
		if err = r.draw(view, preview); err != nil {
			f.Release()
			return err
		}
		r.drawn[view.Screen] = true
	}
	return r.station.Assessed(ctx, assessed, f)
}

// draw reports a screen that comes out empty.
func (r *rehearsal) draw(view kiosk.View, preview *image.RGBA) error {
	img, err := r.renderer.Render(view, preview)
	if err != nil {
		return err
	}
	for i := 4; i < len(img.Pix); i++ {
		if img.Pix[i] != img.Pix[i%4] {
			return nil
		}
	}
	return fmt.Errorf("screen %s is drawn in one colour only", view.Screen)
}
