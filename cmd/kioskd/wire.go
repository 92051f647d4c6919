package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"livekiosk/camera"
	"livekiosk/camera/exposure"
	"livekiosk/camera/jpeg"
	"livekiosk/camera/trust"
	"livekiosk/camera/v4l2"
	"livekiosk/inference"
	"livekiosk/inference/models"
	"livekiosk/inference/onnx"
	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/kiosk/flow"
	"livekiosk/kiosk/panel"
	"livekiosk/kiosk/station"
	"livekiosk/queue/deliver"
	"livekiosk/queue/gateway"
	"livekiosk/queue/seal"
	"livekiosk/systemd"
	"livekiosk/ui"
	"livekiosk/ui/screens"
	"livekiosk/ui/sound"
	"livekiosk/ui/text"
)

// previewShort is the short side of the preview: what a 720 px wide screen can
// show of a 16:9 picture, at a quarter of the decoding price.
const previewShort = 360

// How long no frame comes before inference looks whether it is still alive,
// while the camera rests, and before the visitor is taken to be gone.
const (
	resting = 5 * time.Second
	absent  = 500 * time.Millisecond
)

// A daemon is all parts, connected. This file is the only place that names
// concrete adapters.
type daemon struct {
	c       Config
	log     *slog.Logger
	began   time.Time
	events  *api.Events
	server  *api.Server
	socket  net.Listener
	station *station.Station
	panel   *panel.Panel
	camera  *camera.Camera
	source  *source
	light   *exposure.Control
	put     func(*kiosk.Frame) // to analysis and screen; owns the frame
	wizard  *wizard
	profile *profile
	bundles *bundles
	judging sync.Mutex // held while the station is told what judges
	by      *networks  // judge the sessions to come
	swap    swap
	lit     sync.Mutex // held while the panel is told what is on the display
	eyes    *eyes
	latest  *camera.Latest
	preview *camera.Preview
	outbox  *outbox
	client  *gateway.Client
	relay   *seal.Public // nil: direct mode
	dog     *systemd.Watchdog
	notify  systemd.Notifier
	busy    *systemd.Busy
	leave   func()          // of the visitor's hold on busy; the station's goroutine only
	told    string          // to the service manager; the station's goroutine only
	visitor kiosk.SessionID // on the display; the station's goroutine only
	turn    int             // of the light challenge on the display, -1: none; the goroutine that draws only
	left    chan struct{}   // a visitor has
	sent    chan struct{}   // an image was
	decoder *camera.Decoder // the analyser's
	loaded  models.Set      // verified at start; zero if that failed
	views   *views
	voice   *sound.Voice // nil: nothing is heard
	looks   *wardrobe
	spoken  *text.Catalogue
	amiss   []text.Problem // with the languages' files
	clock   *clock
	metrics *metrics
	sys     string // where sysfs is; "" but in tests

	analysing atomic.Bool                       // the networks are loaded
	skin      atomic.Bool                       // a light challenge runs
	deliverer atomic.Pointer[deliver.Deliverer] // nil while the outbox is not open
}

// wire opens what can be opened and connects the parts. What is missing is a
// fault that the screen shows and that its part goes on trying to clear.
func wire(ctx context.Context, c Config, log *slog.Logger) (_ *daemon, err error) {
	d := &daemon{
		c: c, log: log, began: time.Now(), events: api.NewEvents(4096), latest: camera.NewLatest(),
		dog: systemd.NewWatchdog(), notify: systemd.NewNotifier(), views: newViews(), clock: newClock(log),
		turn: -1, left: make(chan struct{}, 1), sent: make(chan struct{}, 1),
		busy: systemd.NewBusy(c.busyPath()), leave: func() {},
	}
	d.dog.Log, d.busy.Log = log, log
	if c.Sound.On {
		d.voice = sound.New(sound.Options{Dir: c.Sound.Dir, Sink: sound.ALSA{Device: c.Sound.Device}, Log: log})
	}
	defer func() {
		if err != nil {
			d.close(ctx)
		}
	}()
	look, err := c.Display.look(ctx, log)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	d.looks = newWardrobe(look)
	d.spoken, d.amiss = c.languages(ctx, log)
	var begin flow.State
	if d.loaded, err = models.Open(ctx, c.Models.Dir); err != nil {
		begin.Model = true
		log.ErrorContext(ctx, "models not usable", slog.Any("err", err))
	}
	if d.bundles, err = openBundles(ctx, c, d.emit, log); err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	if d.by = d.bundles.chosen(); d.by.version == "" {
		d.by.hashes = d.loaded.Hashes
	} else {
		begin.Model = true // until it, or what it falls back to, is loaded: a session would see no frame
	}
	c.tellKeyStore(ctx, log)
	c.tellVolume(ctx, log)
	if d.relay, err = c.Relay.open(); err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	d.outbox = newOutbox(c, d.relay, d.clock.confirmed, func() bool { return d.station.State().Session != "" },
		func(r kiosk.Receipt) { d.answered(ctx, r) }, d.busy, log)
	if err = d.outbox.start(ctx); err != nil {
		begin.Storage = true
		log.ErrorContext(ctx, "outbox not usable", slog.Any("err", err))
	}
	begin.Storage = begin.Storage || d.outbox.full(ctx)
	if d.panel, err = d.newPanel(d.openLatch(ctx)); err != nil {
		return nil, err
	}
	begin.Tamper = d.panel.Tamper().Latched
	network, err := c.Gateway.network()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	network.Log, network.Floor = log, d.clock.floor
	network.Skew = func(behind time.Duration) { d.clock.told(ctx, behind) }
	if d.client, err = gateway.New(network); err != nil {
		return nil, fmt.Errorf("%w: gateway: %w", errConfig, err)
	}
	d.metrics = newMetrics(metricsSource{
		Version: version, Delivery: d.delivery, Entries: d.outbox.Entries, Bookings: d.outbox.Bookings,
		Erasures: d.outbox.Erasures, Alarms: d.outbox.alarms, Volume: c.volume,
		Skew: d.clock.skew,
		Camera: func() (camera.Stats, v4l2.Stats, uint64) {
			return d.camera.Stats(), d.source.status().Stats, d.latest.Skipped()
		},
		Models:   d.bundles.status,
		Exposure: func() exposure.Status { return d.light.Status() },
		Faults:   func() []kiosk.Fault { return d.station.State().Faults() },
		Panel:    d.panel,
		Unused:   unused(d.amiss),
		Log:      log,
	})
	d.decoder = &camera.Decoder{JPEG: jpeg.NewDecoder()}
	d.preview = camera.NewPreview(&camera.Decoder{JPEG: jpeg.NewDecoder()}, previewShort)
	eye := ""
	if c.simulated() {
		eye = c.Camera.Source
	}
	d.profile = openProfile(c.profilePath(), c.policy(), eye, log)
	d.profile.say(ctx)
	policy, fact := d.profile.current()
	judged := d.adoption(policy, fact, nil)
	if d.station, err = station.New(station.Options{
		Policy: judged.Policy, Start: begin, Outbox: d.outbox, Evidence: camera.NewEvidence(jpeg.NewEncoder()), Now: sinceBoot,
		Watch: d.watch, Freeze: d.freeze, Show: d.show, Emit: d.emit, Consent: func(l kiosk.Locale) string { return d.spoken.Of(l).ConsentHash() },
		Began: d.looks.began, Register: newRegister(d.outbox, d.match), Lock: newLock(c),
		Gateway: c.launches(), UserType: c.Gateway.UserIDType,
		TraceDir: c.tracePath(), Traces: c.State.Traces, Facts: d.facts(judged.Facts), Tally: d.bundles.tally,
		Beat: d.dog.Part("station", 10*time.Second), Log: log,
	}); err != nil {
		return nil, err
	}
	d.profile.adopt = d.adopt
	d.put = camera.Tee(camera.NewPool(8), d.latest.Put, d.preview.Put)
	d.wizard = &wizard{daemon: d, luma: camera.MeanLuma(&camera.Decoder{JPEG: jpeg.NewDecoder()})}
	if d.source, err = newSource(c, d.seen, log); err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	if d.light, err = exposure.New(exposure.Standard(), d.source.exposer(c), sinceBoot, log); err != nil {
		return nil, err
	}
	d.eyes = &eyes{
		c: c, src: d.source, evidence: camera.NewEvidence(jpeg.NewEncoder()),
		session: func() bool { return d.station.State().Session != "" },
		lend:    func(ctx context.Context, put func(*kiosk.Frame)) error { return d.camera.Lend(ctx, put) },
	}
	if d.camera, err = camera.New(camera.Options{
		Source: d.source, Put: d.put, Probe: true,
		Mount: c.Camera.mount(), Luma: camera.MeanLuma(&camera.Decoder{JPEG: jpeg.NewDecoder()}), Reset: d.eyes.reset,
		Fault: func(active bool, _ error) { d.fault(ctx, kiosk.CameraFault, active) },
		Start: 5 * time.Second, // a camera or a board just woken
		Beat:  d.dog.Part("camera", 15*time.Second), Log: log,
	}); err != nil {
		return nil, err
	}
	if err = os.MkdirAll(filepath.Dir(c.API.Socket), 0o755); err != nil { // staff pass through; the socket is theirs only
		return nil, fmt.Errorf("launch API: %w", err)
	}
	if d.socket, err = api.Listen(ctx, c.API.Socket, c.API.Group); err != nil {
		return nil, fmt.Errorf("launch API: %w", err)
	}
	if d.server, err = api.New(api.Options{
		Launcher: d.wizard, Commissioner: d.wizard, Queue: d.outbox, Bookings: d.outbox, Letters: letters{d.outbox, d.answered}, Ledger: d.outbox, Upkeep: d.outbox, Cameras: d.eyes, Panel: d.panel, Drainer: d, Toucher: d.station, Unlocker: d.station, Doctor: d,
		Match: d.match, Metrics: d.metrics, Log: d.events, Status: d.status,
		Listener: d.socket, Logger: log,
	}); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *daemon) parts() []part {
	all := []part{
		{"watchdog", d.dog.Run},
		{"station", d.station.Run},
		{"panel", d.panel.Run},
		{"camera", d.camera.Run},
		{"preview", d.preview.Run},
		{"exposure", d.light.Run},
		{"inference", d.infer},
		{"models", d.try},
		{"outbox", d.deliver},
		{"api", d.server.Run},
		{"screen", d.draw},
		{"memory", d.wash},
		{"power", d.power},
	}
	if d.voice != nil {
		all = append(all, part{"sound", d.voice.Run})
	}
	return all
}

func (d *daemon) close(ctx context.Context) {
	d.latest.Drain()
	if d.preview != nil {
		d.preview.Clear()
	}
	if d.outbox != nil {
		d.outbox.close(ctx)
	}
	if d.socket != nil {
		_ = d.socket.Close() // the server has closed it, if it ran
	}
}

// facts is the provenance that goes into every record and trace; judged are the
// facts that may change.
func (d *daemon) facts(judged map[string]string) map[string]string {
	f := map[string]string{
		"version": version, "arch": runtime.GOARCH, "camera": d.c.Camera.Source,
		"camera_rotate": strconv.Itoa(d.c.Camera.Rotate), "camera_mirror": strconv.FormatBool(d.c.Camera.Mirror),
	}
	if d.c.testOnly() != "" {
		f["trust"] = "test" // nobody stood before a camera, or nobody knows who did
	}
	for role, sum := range d.loaded.Hashes {
		f["model_"+role] = sum
	}
	for name, fact := range judged {
		if fact != "" {
			f[name] = fact
		}
	}
	return f
}

// adoption is what sessions are judged by with that policy, which comes from fact,
// and the networks that judge. A bundle's threshold can only be a stricter one.
func (d *daemon) adoption(p flow.Policy, fact string, then func()) station.Adoption {
	p.LiveMin = max(p.LiveMin, d.by.liveMin)
	facts := map[string]string{"profile": fact, "models": string(d.by.version)}
	for role, sum := range d.by.hashes {
		facts["model_"+role] = sum
	}
	return station.Adoption{Policy: p, Facts: facts, Then: then}
}

// watch wakes the camera or puts it to rest. At rest nothing of the visitor is
// left to be seen.
func (d *daemon) watch(on bool) {
	d.camera.Want(on)
	if !on {
		d.latest.Drain()
		d.preview.Clear()
	}
}

// freeze keeps the camera from following a light challenge and has the analysis look
// at skin, or ends both. A camera that cannot be frozen follows what changes in
// luminance, and that hardly does.
func (d *daemon) freeze(on bool) {
	d.skin.Store(on)
	act := d.light.Thaw
	if on {
		act = d.light.Freeze
	}
	if err := act(); err != nil && !errors.Is(err, kiosk.ErrNoControl) {
		d.log.Warn("exposure neither frozen nor given back for the light challenge", slog.Bool("frozen", on), slog.Any("err", err))
	}
}

// show hands a view to the display, and tells the service manager what staff
// would ask for first.
func (d *daemon) show(v kiosk.View) {
	if (d.visitor == "") != (v.Session == "") {
		d.leave()
		if d.leave = func() {}; v.Session != "" {
			d.leave = d.busy.Hold()
		}
	}
	d.lit.Lock()
	d.views.show(v)
	d.panel.Show(d.views.newest())
	d.lit.Unlock()
	if d.voice != nil {
		d.voice.Show(v)
	}
	if d.visitor != "" && v.Session != d.visitor {
		hint(d.left)
	}
	d.visitor = v.Session
	status := "session: " + string(v.Screen)
	switch {
	case v.Screen == kiosk.IdleScreen, v.Screen == kiosk.RestingScreen:
		status = "ready"
	case v.Fault != kiosk.NoFault:
		status = "out of service: " + string(v.Fault)
	}
	if status != d.told {
		d.told = status
		_ = d.notify.Status(status) // that nobody hears was logged at the start
	}
}

// cover shows an installer's view between sessions; nil ends that.
func (d *daemon) cover(v *kiosk.View) {
	d.lit.Lock()
	defer d.lit.Unlock()
	d.views.cover(v)
	d.panel.Show(d.views.newest())
}

// drawn is told what is on the display, by the one goroutine that draws: a colour of
// a light challenge is stamped before anything else.
func (d *daemon) drawn(ctx context.Context, v kiosk.View) {
	at := sinceBoot()
	d.source.lamp.shows(v, at)
	if v.Screen != kiosk.ColoursScreen {
		d.turn = -1
	} else if v.Turn != d.turn {
		d.turn = v.Turn
		if err := d.station.Drawn(ctx, v.Session, v.Turn, at); err != nil && ctx.Err() == nil {
			d.log.ErrorContext(ctx, "colour not told", slog.Any("err", err))
		}
	}
	if l := d.wizard.looking.Load(); l != nil && v.Screen == kiosk.CommissionScreen {
		l.draws(v, sinceBoot())
	}
	d.views.drawn(v)
	d.looks.drawn(v.Session)
}

// adopt has the sessions to come judged by a policy.
func (d *daemon) adopt(ctx context.Context, p flow.Policy, fact string) {
	d.judging.Lock()
	defer d.judging.Unlock()
	if err := d.station.Adopt(ctx, d.adoption(p, fact, nil)); err != nil && ctx.Err() == nil {
		d.log.ErrorContext(ctx, "profile not taken over", slog.Any("err", err))
	}
}

func (d *daemon) fault(ctx context.Context, f kiosk.Fault, active bool) {
	if err := d.station.Fault(ctx, f, active); err != nil && ctx.Err() == nil {
		d.log.ErrorContext(ctx, "fault not told", slog.String("fault", string(f)), slog.Any("err", err))
	}
}

// seen tells the station which camera a stream comes from.
func (d *daemon) seen(ctx context.Context, id trust.Identity, trusted bool) {
	if trusted {
		d.profile.seen(ctx, id.String())
	}
	if err := d.station.Opened(ctx, id.String(), trusted); err != nil && ctx.Err() == nil {
		d.log.ErrorContext(ctx, "camera not told", slog.Any("err", err))
	}
}

// infer loads the models, again and again until they are right, and then
// assesses frames; with others from when they are given to it.
func (d *daemon) infer(ctx context.Context) error {
	beat := d.dog.Part("inference", 30*time.Second)
	n, err := d.load(ctx, d.loaded, beat)
	if err != nil {
		return nil //nolint:nilerr // ctx ended before the models were right
	}
	if n.version == d.by.version && n.liveMin == d.by.liveMin && maps.Equal(n.hashes, d.by.hashes) {
		d.bundles.took(ctx, n)
	} else if err := d.judge(ctx, n, beat, func() {}); err != nil { // not what wire took it to be
		return n.unload()
	}
	d.analysing.Store(true)
	d.fault(ctx, kiosk.ModelFault, false)
	for {
		running, stop := context.WithCancel(ctx)
		d.swap.begin(stop)
		err := d.assess(running, n, beat)
		if err != nil && !errors.Is(err, errNotTaken) && d.bundles.failed(ctx, n, err) {
			d.analysing.Store(false)
			d.fault(ctx, kiosk.ModelFault, true)
			err = d.dismiss(ctx, n)
			until(running, beat) // others are given
		}
		stop()
		next := d.swap.take()
		err = errors.Join(err, d.dismiss(ctx, n))
		if next == nil || err != nil || ctx.Err() != nil {
			if next != nil {
				err = errors.Join(err, next.unload())
			}
			return err
		}
		n = next
		if !d.analysing.Swap(true) {
			d.fault(ctx, kiosk.ModelFault, false)
		}
	}
}

// dismiss gives the memory of networks back that have assessed frames, and leaves
// nothing of the last visitor in it: who just left may still stand in it. It does
// nothing the second time.
func (d *daemon) dismiss(ctx context.Context, n *networks) error {
	if n.analyser == nil {
		return nil
	}
	d.decoder.Clear()
	if err := n.analyser.Clear(); err != nil {
		d.log.WarnContext(ctx, "networks did not run a last time, on nothing", slog.String("bundle", named(n.version)), slog.Any("err", err))
	}
	n.analyser = nil
	return n.unload()
}

// until waits for ctx's end, and beats.
func until(ctx context.Context, beat func()) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		beat()
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// errNotTaken marks an error of who is told of assessments. All others of assess are
// the networks'.
var errNotTaken = errors.New("assessment not taken")

// assess assesses frames until ctx ends.
func (d *daemon) assess(ctx context.Context, n *networks, beat func()) error {
	patience := resting
	a := n.analyser
	var judged stretch
	return a.Run(ctx, func(ctx context.Context) (*kiosk.Frame, error) {
		for {
			beat()
			short, cancel := context.WithTimeout(ctx, patience)
			f, none := d.latest.Take(short)
			cancel()
			if none == nil && f.Warming {
				f.Release()
				continue
			}
			if none == nil || ctx.Err() != nil {
				patience = absent
				return f, none
			}
			if patience == absent { // nothing of the last visitor stays
				patience = resting
				d.decoder.Clear()
				if bad := a.Clear(); bad != nil {
					return nil, bad
				}
			}
		}
	}, func(ctx context.Context, a kiosk.Assessment, f *kiosk.Frame) error {
		if judged.saw(a.At) {
			d.bundles.last(n)
		}
		if err := d.assessed(ctx, a, f); err != nil {
			return fmt.Errorf("%w: %w", errNotTaken, err)
		}
		return nil
	})
}

// assessed passes on what was seen.
func (d *daemon) assessed(ctx context.Context, a kiosk.Assessment, f *kiosk.Frame) error {
	d.light.Saw(a)
	if l := d.wizard.looking.Load(); l != nil { // an installer's, and no visitor's
		f.Release()
		l.saw(a)
		return nil
	}
	return d.station.Assessed(ctx, a, f)
}

// load opens the networks of set, verified anew where that fails. What cannot
// be loaded is a fault, which lasts until networks are in use; the error is only ctx's.
func (d *daemon) load(ctx context.Context, set models.Set, beat func()) (n *networks, err error) {
	t := time.NewTicker(5 * time.Second)
	defer t.Stop()
	for told := false; ; {
		if set.Runtime != "" {
			n, err = d.bundles.load(ctx, set, d.decoder, d.skin.Load)
			if err == nil {
				return n, nil
			}
			d.fault(ctx, kiosk.ModelFault, true)
			if !told {
				told = true
				d.log.ErrorContext(ctx, "models do not load", slog.Any("err", err))
			}
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-t.C:
		}
		beat()
		if set, err = models.Open(ctx, d.c.Models.Dir); err != nil {
			set = models.Set{}
		}
	}
}

// analyser opens the networks of a verified set. unload gives their memory
// back, once the analyser is not used any more.
func analyser(set models.Set, dec inference.Decoder, skin func() bool) (a *inference.Analyser, unload func() error, err error) {
	if err = onnx.Start(set.Runtime); err != nil {
		return nil, nil, fmt.Errorf("inference runtime: %w", err)
	}
	var open []*onnx.Session
	unload = sync.OnceValue(func() error {
		var errs []error
		for _, s := range open {
			errs = append(errs, s.Close())
		}
		return errors.Join(errs...)
	})
	o := inference.Options{Decoder: dec, Skin: skin}
	for _, m := range []struct {
		path string
		at   *inference.Model
	}{{set.Detector, &o.Detector}, {set.Landmarks, &o.Landmarks}, {set.PAD, &o.PAD}} {
		s, bad := onnx.Open(m.path)
		if bad != nil {
			return nil, nil, errors.Join(fmt.Errorf("model %s: %w", m.path, bad), unload())
		}
		open = append(open, s)
		*m.at = s
	}
	if a, err = inference.New(o); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("inference: %w", err), unload())
	}
	return a, unload, nil
}

// deliver opens the outbox, again and again until it opens and can store, and
// drains it for as long as it works.
func (d *daemon) deliver(ctx context.Context) error {
	beat, probed := d.dog.Part("outbox", 2*time.Minute), d.dog.Part("outbox_probe", 3*time.Minute)
	t := time.NewTicker(2 * time.Second)
	defer t.Stop()
	told := "" // what the log was told of last
	for ctx.Err() == nil {
		beat()
		probed()
		err := d.outbox.open(ctx)
		if err == nil {
			err = d.outbox.probe(ctx)
		}
		if err == nil || errors.Is(err, kiosk.ErrQueueFull) { // delivering makes room
			d.fault(ctx, kiosk.StorageFault, d.outbox.full(ctx))
			err = d.drain(ctx, beat, probed)
			if c := d.outbox.wanted(); c != nil {
				d.fault(ctx, kiosk.StorageFault, true)
				d.outbox.compact(ctx, c, func() { beat(); probed() })
				continue
			}
			if err == nil || ctx.Err() != nil {
				return err
			}
			d.log.ErrorContext(ctx, "outbox stopped working", slog.Any("err", err))
			told = ""
		} else if err.Error() != told {
			told = err.Error()
			d.log.ErrorContext(ctx, "outbox not usable", slog.Any("err", err))
		}
		d.fault(ctx, kiosk.StorageFault, true)
		d.outbox.close(ctx)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}
	return nil
}

// drain delivers records until the outbox stops working, which is the error,
// or ctx ends.
func (d *daemon) drain(ctx context.Context, beat, probed func()) error {
	q, err := d.outbox.get()
	if err != nil {
		return err
	}
	dl, err := deliver.New(deliver.Options{
		Outbox: q, Bookings: q, Gateway: guard{d.client, d.c.Relay.mode(), d.busy.Hold}, Partner: d.client, Next: gateway.Next, Log: d.log, Beat: beat,
		Report: func(r kiosk.Receipt) { d.answered(ctx, r) },
		Emit: func(e kiosk.Event) {
			d.emit(e)
			if e.Kind == kiosk.EventDeferred {
				if gone := d.station.Deferred(ctx, e.Record); gone != nil && ctx.Err() == nil {
					d.log.ErrorContext(ctx, "delay not told", slog.String("record", string(e.Record)), slog.Any("err", gone))
				}
			}
		},
	})
	if err != nil {
		return fmt.Errorf("deliver: %w", err)
	}
	d.metrics.look(ctx) // what this run erases begins here
	d.deliverer.Store(dl)
	defer d.deliverer.Store(nil)
	g, either := errgroup.WithContext(ctx)
	g.Go(func() error { return dl.Run(either) })
	g.Go(func() error { return d.outbox.watch(either, probed) })
	g.Go(func() error { return d.room(either) })
	return g.Wait()
}

// answered tells how a record ended.
func (d *daemon) answered(ctx context.Context, r kiosk.Receipt) {
	d.log.InfoContext(ctx, "record settled", slog.String("session", string(r.Session)), slog.String("record", string(r.Record)),
		slog.String("action", string(r.Action)), slog.String("reason", r.Reason))
	if gone := d.station.Answered(ctx, r); gone != nil && ctx.Err() == nil {
		d.log.ErrorContext(ctx, "answer not told", slog.String("record", string(r.Record)), slog.Any("err", gone))
	}
	d.bundles.answered(r)
}

// room has the kiosk out of service while a session would find no room. A
// session that runs was promised its room, and is not ended.
func (d *daemon) room(ctx context.Context) error {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for told := false; ; {
		s := d.station.State()
		full := d.outbox.full(ctx)
		if s.Session == "" && full != s.Storage && ctx.Err() == nil {
			d.fault(ctx, kiosk.StorageFault, full)
		}
		if full != told {
			told = full
			if full {
				d.log.ErrorContext(ctx, "outbox is full", slog.String("path", d.c.queuePath()))
			} else {
				d.log.InfoContext(ctx, "outbox has room again")
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// delivery returns the deliverer's counts, and false while there is none.
func (d *daemon) delivery() (deliver.Stats, bool) {
	dl := d.deliverer.Load()
	if dl == nil {
		return deliver.Stats{}, false
	}
	return dl.Stats(), true
}

// emit tells an event to those who follow and to the metrics.
func (d *daemon) emit(e kiosk.Event) {
	if e.Kind == kiosk.EventUploaded {
		hint(d.sent)
	}
	d.metrics.observe(e)
	d.events.Publish(e)
}

// draw shows the screens in a window, or renders them where there is no
// display.
func (d *daemon) draw(ctx context.Context) error {
	staff := &desk{look: func() screens.Desk { return d.inspect(ctx) }}
	o := ui.Options{
		Desk: staff.glance, Millimetres: d.c.Display.WidthMM, Scan: time.Duration(d.c.Display.Scan),
		View:    d.views.current,
		Drawn:   func(v kiosk.View) { d.drawn(ctx, v) },
		Changed: d.views.changed,
		Words:   d.spoken,
		Theme:   d.looks.of,
		Preview: func() (*image.RGBA, uint64) { return d.preview.Latest() },
		Tap: func(t kiosk.Tap) {
			if err := d.station.Tap(ctx, t); err != nil && ctx.Err() == nil {
				d.log.ErrorContext(ctx, "tap not told", slog.Any("err", err))
			}
		},
		Beat: d.dog.Part("screen", time.Minute),
		Size: d.c.size(), Out: d.c.Display.Out, ScriptDelay: time.Duration(d.c.Display.ScriptDelay),
		Log: d.log,
	}
	for _, s := range d.c.Display.Script {
		o.Script = append(o.Script, kiosk.Control(s))
	}
	switch d.c.Display.Mode {
	case "window":
		return ui.Run(ctx, o)
	case "headless":
		return ui.Headless(ctx, o)
	}
	if ui.HasDisplay() {
		return ui.Run(ctx, o)
	}
	return ui.Headless(ctx, o)
}

func (d *daemon) status() api.Status {
	s, cam := d.station.State(), d.camera.Stats()
	out := api.Status{
		Version: version, Phase: string(s.Phase), Faults: s.Faults(), SessionRunning: s.Session != "",
		Ready: s.Phase != flow.OutOfService, UptimeSeconds: time.Since(d.began).Seconds(), Clock: d.clock.status(),
	}
	out.Languages, out.LanguageProblems = d.speaks(), unused(d.amiss)
	out.KeyStore = string(d.c.keyStore().Kind)
	out.Mode, out.RelayKey = d.c.Relay.mode(), fingerprint(d.relay)
	out.Quarantined, out.Orphans = d.outbox.alarms()
	out.Volume = d.c.volume()
	out.Models = d.bundles.status()
	out.Panel, out.Tamper = d.panel.Lines(), d.panel.Tamper()
	stats, _ := d.delivery()
	out.Network = d.metrics.network(stats)
	out.Camera.FramesPerSecond = cam.Rate
	out.Camera.Source, out.Camera.Frames, out.Camera.Dropped = d.c.Camera.Source, cam.Frames, d.latest.Skipped()
	out.Camera.Reopened, out.Camera.Resets, out.Camera.Lost = cam.Reopened, cam.Resets, cam.Skipped
	light := d.light.Status()
	out.Camera.Exposure = api.ExposureStatus{Mode: string(light.Mode), Stops: light.Stops}
	if dev := d.source.status(); dev.Path != "" {
		out.Camera.Identity, out.Camera.Mode, out.Camera.Trust = dev.ID.String(), dev.Mode.String(), dev.Trust.Reason
		out.Camera.Lost, out.Camera.CameraSkips = dev.Stats.Gaps, skips(dev.Stats)
	}
	return out
}

// sinceBoot is the clock of frames and of the flow: it never jumps, whatever
// is done to the wall clock.
func sinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(errors.Join(errors.New("no monotonic clock"), err)) // it has been there since Linux 2.6
	}
	return time.Duration(ts.Nano())
}
