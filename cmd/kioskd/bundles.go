package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"livekiosk/inference"
	"livekiosk/inference/models"
	"livekiosk/inference/models/bundle"
	"livekiosk/inference/onnx"
	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/systemd/update"
	"livekiosk/systemd/update/canary"
)

// machineID is the file that tells kiosks apart.
const machineID = "/etc/machine-id"

// updatePolicy is the file that names the kiosk's ring.
func updatePolicy() string {
	return filepath.Join(cmp.Or(os.Getenv("CONFIGURATION_DIRECTORY"), "/etc/kioskd"), "update.toml")
}

// bundlesEvery is how often is looked whether a bundle has come, or gone.
const bundlesEvery = time.Second

// maxBundlesState bounds the file of the state, bytes.
const maxBundlesState = 64 << 10

// bundlesFormat is the format of that file.
const bundlesFormat = 1

// longestWaiting bounds of how many sessions an approval is still waited for.
const longestWaiting = 1000

func (c ModelsConfig) validate() error {
	if c.Floor != "" {
		if _, err := update.ParseVersion(c.Floor); err != nil {
			return fmt.Errorf("models.floor: %w", err)
		}
	}
	if c.KeyFile != "" && c.Bundles == "" {
		return errors.New("models.bundles: must not be empty while models.key_file is set")
	}
	return nil
}

// keys reads the keys that bundles are signed by; none: no bundle is used.
func (c ModelsConfig) keys() ([]ed25519.PublicKey, error) {
	if c.KeyFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("models.key_file: %w", err)
	}
	keys, err := bundle.PublicKeys(text)
	if err != nil {
		return nil, fmt.Errorf("models.key_file: %s: %w", c.KeyFile, err)
	}
	return keys, nil
}

// networks are three networks that are loaded, or are to be.
type networks struct {
	version update.Version // of the bundle that they are from; "": the built-in ones
	liveMin float32        // of that bundle; 0: none
	hashes  map[string]string

	analyser *inference.Analyser
	unload   func() error // does nothing the second time
}

// A find is a file in the folder of bundles.
type find struct {
	name     string
	info     fs.FileInfo
	manifest bundle.Manifest // if it verifies
	err      error           // if not
}

// bundles chooses between the bundles that there are and the networks that came
// with the image, and counts what the sessions say of those in use. What the station
// calls waits for no disk.
type bundles struct {
	c    Config
	keys []ed25519.PublicKey
	log  *slog.Logger
	emit func(kiosk.Event)
	poke chan struct{} // holds a token while there is something to count

	work sync.Mutex // held by next and load, for as long as the disk takes
	set  models.Set // that the runtime was loaded of; with work held

	// mu is held for a moment to write the following, and to read it without work held.
	mu    sync.Mutex
	facts canary.Facts
	finds []find
	state canary.State
	bad   string // why the state is not on the disk as it should be; "": it is
	lost  bool   // the last write of it failed
	unfit string // why no new bundle is taken; "": it would be

	using   update.Version // judges the sessions
	loaded  bool           // anything is
	lasted  update.Version // has assessed frames for long enough; "": none since that was noted
	fresh   map[update.Version]canary.Counts
	waiting map[kiosk.SessionID]update.Version // approvals of these count for
	order   []kiosk.SessionID                  // of waiting, oldest first
}

// openBundles reads what is remembered, and looks at what there is. A state that
// cannot be used is none, and no error: the log and the status say so.
func openBundles(ctx context.Context, c Config, emit func(kiosk.Event), log *slog.Logger) (*bundles, error) {
	keys, err := c.Models.keys()
	if err != nil {
		return nil, err
	}
	b := &bundles{
		c: c, keys: keys, log: log, emit: emit, poke: make(chan struct{}, 1),
		fresh: map[update.Version]canary.Counts{}, waiting: map[kiosk.SessionID]update.Version{},
	}
	if b.state, err = readBundles(c.bundlesPath()); err != nil {
		b.bad = err.Error()
		log.ErrorContext(ctx, "what was remembered of bundles of models is lost", slog.Any("err", err))
	}
	b.look(ctx, false)
	return b, nil
}

// stored is the file of the state.
type stored struct {
	Format int `json:"format"`
	canary.State
}

func readBundles(path string) (canary.State, error) {
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return canary.State{}, nil
	case err != nil:
		return canary.State{}, err
	case len(text) > maxBundlesState:
		return canary.State{}, fmt.Errorf("%s: %d bytes", path, len(text))
	}
	var s stored
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return canary.State{}, fmt.Errorf("%s: %w", path, err)
	}
	if s.Format != bundlesFormat || !s.Sound() {
		return canary.State{}, fmt.Errorf("%s: no state of format %d", path, bundlesFormat)
	}
	return s.State, nil
}

func writeBundles(path string, s canary.State) error {
	text, err := json.Marshal(stored{bundlesFormat, s})
	if err != nil {
		return err
	}
	return replace(path, append(text, '\n'))
}

// look finds out what there is; quietly, no file is read for it that was not before:
// somebody is served, and needs memory, disk and processor.
func (b *bundles) look(ctx context.Context, quietly bool) {
	facts := canary.Facts{BuiltIn: models.Version, Floor: update.Version(b.c.Models.Floor)}
	var finds []find
	ring, unfit := "", ""
	if len(b.keys) > 0 {
		policy, err := update.ReadPolicy(updatePolicy())
		if ring = policy.Ring; err != nil {
			unfit = err.Error()
		}
		// Without an id a kiosk cannot be told from others: it takes what all may take.
		machine, err := os.ReadFile(machineID)
		if facts.Machine = strings.TrimSpace(string(machine)); err != nil {
			unfit = err.Error()
		}
		finds = b.find(ctx, quietly)
	}
	for _, f := range finds {
		if f.err != nil {
			continue
		}
		share := f.manifest.Rings[ring]
		if share < 100 && facts.Machine == "" {
			share = 0
		}
		facts.Offers = append(facts.Offers, canary.Offer{
			Version: update.Version(f.manifest.Version), Floor: update.Version(f.manifest.Floor), Share: share,
		})
	}
	if unfit != b.unfit && unfit != "" {
		b.log.WarnContext(ctx, "no new bundle of models is taken", slog.String("err", unfit))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	facts.Unwritten = b.lost
	b.facts, b.finds, b.unfit = facts, finds, unfit
}

// find looks at the folder. What has not changed since the last time is not
// verified again: it is, once more, before it is loaded. Quietly, what has changed is
// what it was, and what has come is not there yet.
func (b *bundles) find(ctx context.Context, quietly bool) (finds []find) {
	paths, err := filepath.Glob(filepath.Join(b.c.Models.Bundles, "*"+bundle.Suffix))
	if err != nil {
		paths = nil // of a folder with a bracket in its name
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			continue // gone meanwhile
		}
		if !info.Mode().IsRegular() {
			continue // who reads a pipe waits
		}
		f := find{name: filepath.Base(path), info: info}
		i := slices.IndexFunc(b.finds, func(w find) bool {
			same := os.SameFile(w.info, info) && w.info.Size() == info.Size() && w.info.ModTime().Equal(info.ModTime())
			return w.name == f.name && (quietly || same)
		})
		if i >= 0 {
			finds = append(finds, b.finds[i])
			continue
		}
		if quietly {
			continue
		}
		if f.manifest, f.err = b.verify(f.name); f.err != nil {
			b.log.WarnContext(ctx, "bundle of models refused", slog.String("file", f.name), slog.Any("err", f.err))
		}
		finds = append(finds, f)
	}
	return finds
}

func (b *bundles) verify(name string) (bundle.Manifest, error) {
	f, err := os.Open(filepath.Join(b.c.Models.Bundles, name))
	if err != nil {
		return bundle.Manifest{}, err
	}
	defer f.Close()
	return bundle.Verify(f, b.keys)
}

func (b *bundles) read(name string) (*bundle.Bundle, error) {
	f, err := os.Open(filepath.Join(b.c.Models.Bundles, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return bundle.Read(f, b.keys)
}

// file returns the file of a version.
func (b *bundles) file(v update.Version) (find, bool) {
	i := slices.IndexFunc(b.finds, func(f find) bool { return f.err == nil && update.Version(f.manifest.Version).Compare(v) == 0 })
	if i < 0 {
		return find{}, false
	}
	return b.finds[i], true
}

// chosen returns what load would begin with: its version, threshold and hashes, and
// nothing that is loaded. Of what is built in only that it is.
func (b *bundles) chosen() *networks {
	s, _ := b.state.Choose(b.facts)
	f, found := b.file(s.Use)
	if s.Use == "" || !found {
		return &networks{}
	}
	return described(f.manifest)
}

func described(m bundle.Manifest) *networks {
	n := &networks{version: update.Version(m.Version), liveMin: m.LiveMin, hashes: map[string]string{}}
	for _, one := range m.Networks {
		n.hashes[string(one.Role)] = one.SHA256
	}
	return n
}

// next counts what there is to count, looks what there is, and chooses. It reports
// whether something else is to be loaded now than what judges the sessions: while
// one runs only if what judges it must not be used any more.
func (b *bundles) next(ctx context.Context, running bool) bool {
	b.work.Lock()
	defer b.work.Unlock()
	if b.lost {
		b.keep(ctx, b.state) // new ones are tried once it can be kept
	}
	b.look(ctx, running)
	b.mu.Lock()
	fresh, using, loaded, lasted := b.fresh, b.using, b.loaded, b.lasted
	b.fresh, b.lasted = map[update.Version]canary.Counts{}, ""
	b.mu.Unlock()
	s := b.state
	for _, v := range slices.Sorted(maps.Keys(fresh)) {
		was := s
		var verdict canary.Verdict
		if s, verdict = s.Count(b.facts, v, fresh[v]); verdict == canary.GiveUp {
			b.log.ErrorContext(ctx, "bundle of models given up: more people were turned away by it than before", slog.String("bundle", string(was.Use)),
				slog.Int("sessions", was.Counts.Sessions+fresh[v].Sessions), slog.Int("rejected", was.Counts.Rejected()+fresh[v].Rejected()),
				slog.Int("sessions_before", was.Baseline.Sessions), slog.Int("rejected_before", was.Baseline.Rejected()), slog.String("instead", named(s.Use)))
			b.emit(kiosk.Event{Kind: kiosk.EventModels, Text: fmt.Sprintf("%s: %s", was.Use, canary.Rejections)})
		} else if verdict == canary.Keep {
			b.log.InfoContext(ctx, "bundle of models kept", slog.String("bundle", string(s.Use)),
				slog.Int("sessions", s.Counts.Sessions), slog.Int("rejected", s.Counts.Rejected()))
		}
	}
	lasts := s.Use != "" && s.Use == lasted && s.Tries > 0
	if lasts {
		s = s.Lasted()
	}
	if len(fresh) > 0 || lasts {
		b.keep(ctx, s)
	}
	barred := using != "" && s.Barred(b.facts, using) != ""
	s, _ = s.Choose(b.facts) // which load carries out
	return loaded && s.Use != using && (!running || barred)
}

func named(v update.Version) string { return cmp.Or(string(v), string(canary.BuiltIn)) }

// keep takes over a state, and reports whether it is durable.
func (b *bundles) keep(ctx context.Context, s canary.State) bool {
	err := writeBundles(b.c.bundlesPath(), s)
	bad := ""
	if err != nil {
		bad = err.Error()
	}
	b.mu.Lock()
	told := b.bad == bad
	b.state, b.bad, b.lost = s, bad, err != nil
	b.mu.Unlock()
	if err != nil && !told {
		b.log.ErrorContext(ctx, "what is known of bundles of models cannot be kept", slog.Any("err", err))
	}
	return err == nil
}

// load loads what is to be used; what cannot be is given up, and the one before
// taken, down to the built-in ones, whose set of files was verified. The error is
// theirs.
func (b *bundles) load(ctx context.Context, set models.Set, dec inference.Decoder, skin func() bool) (*networks, error) {
	b.work.Lock()
	defer b.work.Unlock()
	b.set = set
	return b.fall(ctx, dec, skin)
}

// reload is load, of the set that was verified when it was loaded first.
func (b *bundles) reload(ctx context.Context, dec inference.Decoder, skin func() bool) (*networks, error) {
	b.work.Lock()
	defer b.work.Unlock()
	return b.fall(ctx, dec, skin)
}

// fall loads what is to be used, or what it falls back to. The caller holds work.
func (b *bundles) fall(ctx context.Context, dec inference.Decoder, skin func() bool) (*networks, error) {
	for {
		b.look(ctx, false)
		was := b.state
		s, left := was.Choose(b.facts)
		if s.Use != "" || was.Use != "" {
			// A bundle that brings the daemon down must not be tried for ever: it is not
			// tried at all where that it was could not be kept.
			if !b.keep(ctx, s.Begin()) && s.Trial && s.Use != was.Use {
				b.mu.Lock()
				b.state = was
				b.mu.Unlock()
				continue // without what is new
			}
		}
		if left != "" {
			b.log.WarnContext(ctx, "bundle of models not used any more", slog.String("bundle", string(was.Use)), slog.String("reason", string(left)))
			b.emit(kiosk.Event{Kind: kiosk.EventModels, Text: fmt.Sprintf("%s: %s", was.Use, left)})
		}
		if s.Use == "" {
			if b.served() { // these files were verified a while ago
				set, err := models.Open(ctx, b.c.Models.Dir)
				if err != nil {
					return nil, err
				}
				b.set = set
			}
			n := &networks{hashes: b.set.Hashes}
			var err error
			n.analyser, n.unload, err = analyser(b.set, dec, skin)
			return n, err
		}
		f, found := b.file(s.Use)
		n, why, err := (*networks)(nil), canary.Missing, errors.New("it is gone")
		if found {
			n, why, err = b.open(f.name, s.Use, b.set.Runtime, dec, skin)
		}
		if err == nil {
			b.keep(ctx, b.state.Loaded())
			return n, nil
		}
		b.log.ErrorContext(ctx, "bundle of models cannot be used", slog.String("file", f.name), slog.String("bundle", string(s.Use)), slog.String("reason", string(why)), slog.Any("err", err))
		b.emit(kiosk.Event{Kind: kiosk.EventModels, Text: fmt.Sprintf("%s: %s", s.Use, why)})
		b.keep(ctx, b.state.Failed(why))
	}
}

// last notes that networks have assessed frames for long enough to be trusted not to
// bring the daemon down.
func (b *bundles) last(n *networks) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lasted = n.version
	hint(b.poke)
}

// failed gives up a bundle on trial that could not go on, and reports whether n is of
// one: others are chosen for it then. Of what has passed its trial, or came with the
// image, a failure is the machine's.
func (b *bundles) failed(ctx context.Context, n *networks, err error) bool {
	b.work.Lock()
	defer b.work.Unlock()
	s := b.state
	if n.version == "" || n.version != s.Use || !s.Trial {
		return false
	}
	b.log.ErrorContext(ctx, "bundle of models cannot be used", slog.String("bundle", string(s.Use)), slog.String("reason", string(canary.NotLoaded)), slog.Any("err", err))
	b.emit(kiosk.Event{Kind: kiosk.EventModels, Text: fmt.Sprintf("%s: %s", s.Use, canary.NotLoaded)})
	b.keep(ctx, s.Failed(canary.NotLoaded))
	hint(b.poke)
	return true
}

// ended notes that the daemon ends in good order.
func (b *bundles) ended(ctx context.Context) {
	b.work.Lock()
	defer b.work.Unlock()
	if b.state.Tries > 0 {
		b.keep(ctx, b.state.Ended())
	}
}

// served reports whether anything judges sessions already.
func (b *bundles) served() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.loaded
}

// open verifies a bundle, loads its networks from the verified bytes, and has them
// compute their golden vectors.
func (b *bundles) open(name string, v update.Version, lib string, dec inference.Decoder, skin func() bool) (n *networks, why canary.Reason, err error) {
	whole, err := b.read(name)
	if err != nil {
		return nil, canary.Missing, err
	}
	if update.Version(whole.Version).Compare(v) != 0 {
		return nil, canary.Missing, fmt.Errorf("it has become version %s", whole.Version)
	}
	if err = onnx.Start(lib); err != nil {
		return nil, canary.NotLoaded, fmt.Errorf("inference runtime: %w", err)
	}
	n = described(whole.Manifest)
	open := map[models.Role]*onnx.Session{}
	n.unload = sync.OnceValue(func() error {
		var errs []error
		for _, s := range open {
			errs = append(errs, s.Close())
		}
		return errors.Join(errs...)
	})
	defer func() {
		if err != nil {
			err = errors.Join(err, n.unload())
		}
	}()
	for _, role := range bundle.Roles() {
		s, bad := onnx.Load(string(role), whole.Networks[role])
		if bad != nil {
			return n, canary.NotLoaded, bad
		}
		open[role] = s
		delete(whole.Networks, role) // the runtime has its own
		if why, err = tried(s, whole.Network(role)); err != nil {
			return n, why, err
		}
	}
	if n.analyser, err = inference.New(inference.Options{
		Detector: open[models.Detector], Landmarks: open[models.Landmarks], PAD: open[models.PAD], Decoder: dec, Skin: skin,
	}); err != nil {
		return n, canary.Tensors, err
	}
	return n, "", nil
}

// tried has a network compute its golden vectors, if it has the tensors that its
// manifest says.
func tried(s *onnx.Session, n bundle.Network) (canary.Reason, error) {
	same := s.Outputs() == len(n.Outputs) && s.InputName() == n.Inputs[0].Name && shaped(s.InputShape(), n.Inputs[0].Shape)
	for i := 0; same && i < len(n.Outputs); i++ {
		same = s.OutputName(i) == n.Outputs[i].Name && shaped(s.OutputShape(i), n.Outputs[i].Shape)
	}
	if !same {
		return canary.Tensors, fmt.Errorf("%s: its tensors are not those in its manifest", n.Role)
	}
	models.Pattern(n.Role, s.Input())
	if err := s.Run(); err != nil {
		return canary.NotLoaded, err
	}
	if _, err := models.Compare(n.Role, n.Vectors, func(i int) []float32 {
		if i < 0 || i >= s.Outputs() {
			return nil
		}
		return s.Output(i)
	}); err != nil {
		return canary.Wrong, err
	}
	return "", nil
}

func shaped(have []int64, want []int) bool {
	return slices.EqualFunc(have, want, func(a int64, b int) bool { return a == int64(b) })
}

// took notes which networks judge the sessions from now on.
func (b *bundles) took(ctx context.Context, n *networks) {
	b.mu.Lock()
	first := !b.loaded
	b.using, b.loaded = n.version, true
	why := b.state.Why(b.facts, n.version)
	b.mu.Unlock()
	b.log.InfoContext(ctx, "models in use", slog.String("bundle", named(n.version)), slog.String("reason", string(why)))
	if !first {
		b.emit(kiosk.Event{Kind: kiosk.EventModels, Text: fmt.Sprintf("%s: %s", named(n.version), why)})
	}
}

// tally implements station.Options.Tally.
func (b *bundles) tally(t kiosk.Tally) {
	if !t.Submitted && !t.Staff {
		return // it says nothing of the networks
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c := canary.Counts{Sessions: 1}
	switch {
	case t.Flagged || t.Staff:
		c.Flagged = 1
	case t.Disbelieved > 0 && t.Approved:
		c.Approved = 1
	case t.Disbelieved > 0: // the gateway's word may still come
		b.waiting[t.Session] = b.using
		if b.order = append(b.order, t.Session); len(b.order) > longestWaiting {
			delete(b.waiting, b.order[0])
			b.order = b.order[1:]
		}
	}
	b.count(b.using, c)
}

// answered is told of each receipt, after the station was.
func (b *bundles) answered(r kiosk.Receipt) {
	b.mu.Lock()
	defer b.mu.Unlock()
	by, waits := b.waiting[r.Session]
	if !waits || r.Action == kiosk.Retry || r.Action == kiosk.PollAgain {
		return
	}
	delete(b.waiting, r.Session)
	b.order = slices.DeleteFunc(b.order, func(id kiosk.SessionID) bool { return id == r.Session })
	if r.Action == kiosk.ExitSuccess {
		b.count(by, canary.Counts{Approved: 1})
	}
}

// count notes what has to be counted. The caller holds mu.
func (b *bundles) count(by update.Version, c canary.Counts) {
	f := b.fresh[by]
	b.fresh[by] = canary.Counts{Sessions: f.Sessions + c.Sessions, Approved: f.Approved + c.Approved, Flagged: f.Flagged + c.Flagged}
	hint(b.poke)
}

// status is what staff see.
func (b *bundles) status() api.ModelsStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.state
	out := api.ModelsStatus{
		Version: string(b.using), Why: string(s.Why(b.facts, b.using)), Trial: s.Trial && b.using == s.Use, Previous: string(s.Back),
		Sessions: s.Counts.Sessions, Rejected: s.Counts.Rejected(), SessionsBefore: s.Baseline.Sessions, RejectedBefore: s.Baseline.Rejected(),
		Rollbacks: s.Rollbacks, Problem: cmp.Or(b.bad, b.unfit),
	}
	for _, f := range b.finds {
		one := api.BundleStatus{File: f.name, Version: f.manifest.Version}
		if e, refused := errors.AsType[*bundle.Error](f.err); refused {
			one.Why, one.Refused = string(e.Reason), true
		} else if f.err != nil {
			one.Why, one.Refused = f.err.Error(), true
		} else {
			v := update.Version(f.manifest.Version)
			one.Why = string(s.Why(b.facts, v))
			one.Refused = slices.ContainsFunc(s.Refused, func(r canary.Refusal) bool { return r.Version.Compare(v) == 0 })
		}
		out.Bundles = append(out.Bundles, one)
	}
	return out
}

// lasting is for how long a bundle on trial must have assessed frames, at least, to be
// trusted not to bring the daemon down though nobody came to an end yet.
const lasting = 5 * time.Minute

// A stretch sums up for how long frames were assessed.
type stretch struct{ sum, last time.Duration }

// saw counts a frame that was taken at, and reports whether it completes a stretch of
// lasting. What lies between two visitors does not count.
func (s *stretch) saw(at time.Duration) bool {
	was := s.sum
	if s.last > 0 {
		s.sum += min(max(at-s.last, 0), time.Second)
	}
	s.last = at
	return was < lasting && s.sum >= lasting
}

// A swap hands networks from who loads them to who runs them.
type swap struct {
	mu      sync.Mutex
	next    *networks
	given   *networks // the last that were
	dropped *networks // are not to be given any more
	stop    func()    // ends the run of those before; nil: none runs
}

// give ends what runs, in favour of n. It does not block.
func (s *swap) give(n *networks) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n == s.dropped {
		return
	}
	s.next, s.given = n, n
	if s.stop != nil {
		s.stop()
	}
}

// drop reports whether n are still their loader's to unload, and keeps them from being
// given after that.
func (s *swap) drop(n *networks) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n == s.given {
		return false
	}
	s.dropped = n
	return true
}

// begin notes how what runs from now on is ended.
func (s *swap) begin(stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop = stop; s.next != nil {
		stop()
	}
}

// take returns what was given; nil: nothing.
func (s *swap) take() *networks {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.next
	s.next, s.stop = nil, nil
	return n
}

// try looks for bundles, and has the sessions judged by what is chosen, from one
// session to the next: none sees two. Nothing is verified or loaded while one runs.
func (d *daemon) try(ctx context.Context) error {
	beat := d.dog.Part("models", 2*time.Minute)
	t := time.NewTicker(bundlesEvery)
	defer t.Stop()
	for {
		beat()
		if d.bundles.next(ctx, d.station.State().Session != "") {
			if err := d.change(ctx, beat); err != nil {
				return nil // ctx ended
			}
		}
		select {
		case <-ctx.Done():
			d.bundles.next(context.WithoutCancel(ctx), true) // the last session counts, too
			return nil
		case <-d.bundles.poke:
		case <-t.C:
		}
	}
}

// change loads what is to be used, and waits until it is. The error is ctx's.
func (d *daemon) change(ctx context.Context, beat func()) error {
	n, err := d.bundles.reload(ctx, d.decoder, d.skin.Load)
	if err != nil { // the built-in ones: what runs goes on, and they are tried again
		if ctx.Err() == nil {
			d.log.ErrorContext(ctx, "models do not load", slog.Any("err", err))
		}
		return context.Cause(ctx)
	}
	if err = d.judge(ctx, n, beat, func() { d.swap.give(n) }); err != nil && d.swap.drop(n) {
		err = errors.Join(err, n.unload()) // else they run, or are about to
	}
	return err
}

// judge has the sessions judged by n from the next one on, and returns when that
// holds, or ctx's error. Then is called at that moment.
func (d *daemon) judge(ctx context.Context, n *networks, beat, then func()) error {
	done := make(chan struct{})
	d.judging.Lock()
	d.by = n
	p, fact := d.profile.current()
	err := d.station.Adopt(ctx, d.adoption(p, fact, func() {
		d.bundles.took(ctx, n)
		then()
		close(done)
	}))
	d.judging.Unlock()
	if err != nil {
		return err
	}
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		beat()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-done:
			return nil
		case <-t.C:
		}
	}
}
