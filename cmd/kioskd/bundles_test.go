package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"livekiosk/camera"
	"livekiosk/camera/jpeg"
	"livekiosk/inference/inferencetest"
	"livekiosk/inference/models"
	"livekiosk/inference/models/bundle"
	"livekiosk/inference/onnx"
	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/kiosk/trace"
	"livekiosk/queue/faulttest"
	"livekiosk/queue/gateway/gatewaysim"
	"livekiosk/queue/gateway/partner/partnertest"
	"livekiosk/systemd/update/canary"
)

// whole are the real networks and what they compute, once for all tests.
var whole = sync.OnceValues(func() (networks map[models.Role][]byte, vectors map[models.Role][]models.Vector) {
	set, err := models.Open(context.Background(), models.Dir())
	if err != nil {
		panic(err)
	}
	if err := onnx.Start(set.Runtime); err != nil {
		panic(err)
	}
	networks, vectors = map[models.Role][]byte{}, map[models.Role][]models.Vector{}
	for role, path := range map[models.Role]string{models.Detector: set.Detector, models.Landmarks: set.Landmarks, models.PAD: set.PAD} {
		if networks[role], err = os.ReadFile(path); err != nil {
			panic(err)
		}
		s, err := onnx.Load(string(role), networks[role])
		if err != nil {
			panic(err)
		}
		models.Pattern(role, s.Input())
		if err := s.Run(); err != nil {
			panic(err)
		}
		for i := range s.Outputs() {
			o := s.Output(i)
			for at := 0; at < len(o); at += 1 + len(o)/20 {
				vectors[role] = append(vectors[role], models.Vector{Output: i, Element: at, Value: float64(o[at])})
			}
		}
		if err := s.Close(); err != nil {
			panic(err)
		}
	}
	return networks, vectors
})

// A press makes bundles of the networks of this machine, for a lab's daemon.
type press struct {
	*lab

	dir    string // that the daemon looks at
	config string // its file
	key    ed25519.PrivateKey
}

// newPress returns a press, and a lab whose daemons take bundles; more is further
// configuration.
func newPress(t *testing.T, floor, more string) *press {
	t.Helper()
	inferencetest.Set(t)
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	p := &press{lab: newLab(t), dir: t.TempDir(), key: key}
	t.Setenv("CONFIGURATION_DIRECTORY", t.TempDir()) // no update.toml: the ring is broad
	pem := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	p.config = p.file("c.toml", fmt.Sprintf("[models]\nbundles = %q\nkey_file = %q\nfloor = %q\n%s", p.dir, p.file("models.pub", pem), floor, more))
	return p
}

// make returns a bundle; change, if not nil, spoils it before it is signed.
func (p *press) make(version string, change func(m *bundle.Manifest, networks map[models.Role][]byte)) []byte {
	p.t.Helper()
	networks, vectors := whole()
	own := map[models.Role][]byte{}
	m := bundle.Manifest{Version: version, Interface: models.Interface, Rings: map[string]int{"broad": 100}, LiveMin: 0.5}
	for _, role := range bundle.Roles() {
		own[role] = bytes.Clone(networks[role])
		n := bundle.Network{Role: role, Licence: "MIT", Vectors: slices.Clone(vectors[role])}
		var err error
		if n.Inputs, n.Outputs, err = bundle.Contract(role); err != nil {
			p.t.Fatal(err)
		}
		m.Networks = append(m.Networks, n)
	}
	if change != nil {
		change(&m, own)
	}
	var out bytes.Buffer
	if err := bundle.Write(&out, m, own, p.key); err != nil {
		p.t.Fatal(err)
	}
	return out.Bytes()
}

// put has the daemon find a file, whole.
func (p *press) put(name string, data []byte) {
	p.t.Helper()
	if err := replace(filepath.Join(p.dir, name), data); err != nil {
		p.t.Fatal(err)
	}
}

// remember has the daemon remember a state.
func (p *press) remember(s canary.State) {
	p.t.Helper()
	c := defaults()
	c.State.Dir = p.state
	if err := writeBundles(c.bundlesPath(), s); err != nil {
		p.t.Fatal(err)
	}
}

func (p *press) remembered() canary.State {
	p.t.Helper()
	c := defaults()
	c.State.Dir = p.state
	s, err := readBundles(c.bundlesPath())
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// bundlePatience is how long what takes a second may take on a busy machine under the race
// detector: networks are verified, loaded and run, ten bundles of them in one test.
const bundlePatience = 5 * time.Minute

// uses waits for a daemon that serves with a bundle.
func (d *daemonUnderTest) uses(version string) api.ModelsStatus {
	d.t.Helper()
	return d.awaitFor(bundlePatience, "models "+version, func(s api.Status) bool { return healthy(s) && s.Models.Version == version && s.Models.Why != "" }).Models
}

func why(m api.ModelsStatus, file string) string {
	i := slices.IndexFunc(m.Bundles, func(b api.BundleStatus) bool { return b.File == file })
	if i < 0 {
		return ""
	}
	return m.Bundles[i].Why
}

// visit has one visitor served to the end, and returns the trace's header.
func (d *daemonUnderTest) visit(state, name string) (kiosk.Result, trace.Header) {
	d.t.Helper()
	id, err := d.client.Launch(d.t.Context(), kiosk.Launch{CorrelationID: name, UserID: "user-" + name, Locale: kiosk.English, Theme: kiosk.Dark})
	if err != nil {
		d.t.Fatal(err)
	}
	if err := d.client.Session(d.t.Context(), id, func(kiosk.Event) error { return nil }); err != nil {
		d.t.Fatal(err)
	}
	r, err := d.client.Result(d.t.Context(), id)
	if err != nil {
		d.t.Fatal(err)
	}
	path := filepath.Join(state, "traces", string(id)+".trace")
	d.awaitFor(bundlePatience, "the visitor to leave, and the trace to be whole", func(s api.Status) bool {
		_, missing := os.Stat(path)
		return !s.SessionRunning && missing == nil
	})
	f, err := os.Open(path)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	sum, err := trace.Replay(f)
	if err != nil || len(sum.Mismatches) > 0 {
		d.t.Fatalf("replay: %v, %v", err, sum.Mismatches)
	}
	return r, sum.Header
}

// composed are the frames of one visit, the same for all tests: composing them takes
// longer than a look at them.
var composed = sync.OnceValue(func() [][]byte { return compose(1) })

// newcomer returns a folder with these frames.
func newcomer(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for i, frame := range composed() {
		for twice := range 2 { // at the camera's rate
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%04d.jpg", 2*i+twice)), frame, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// TestABundleIsTakenOrGivenUpWhileTheKioskRuns has the last session of a trial that
// went badly be one by a threshold that hardly anybody reaches; the bundle before is
// used then, and a newer one when it comes, by which the next visitor is judged, also
// after a restart.
func TestABundleIsTakenOrGivenUpWhileTheKioskRuns(t *testing.T) {
	world := partnertest.New(t, gatewaysim.Options{})
	p := newPress(t, "", "[flow]\nattempt_in = \"5m\"\nattempts = 1\n[display]\nscript_delay = \"10ms\"\n")
	p.put("good.bundle", p.make("2.0", nil))
	p.put("strict.bundle", p.make("2.1", func(m *bundle.Manifest, _ map[models.Role][]byte) { m.LiveMin = 0.99 }))
	p.remember(canary.State{
		Use: "2.1", Back: "2.0", Trial: true,
		Counts: canary.Counts{Sessions: canary.TrialLeast - 1, Flagged: canary.TrialLeast - 1}, Baseline: canary.Counts{Sessions: 400, Flagged: 8},
	})
	args := []string{
		"-gateway", world.URL, "-partner", world.PartnerURL, "-script", "agree,ready,done", "-camera", "frames:" + newcomer(t), "-size", "360x640", "-config", p.config,
	}
	d := p.start(args...)
	d.uses("2.1")
	if _, h := d.visit(p.state, "strict"); h.Facts["models"] != "2.1" || h.Policy.LiveMin != 0.99 {
		t.Fatalf("judged by %v, liveness at least %g", h.Facts, h.Policy.LiveMin)
	}
	m := d.uses("2.0")
	if m.Rollbacks != 1 || m.Trial || m.Sessions != 400 || m.Rejected != 8 || why(m, "strict.bundle") != string(canary.Rejections) {
		t.Errorf("after it was given up %+v", m)
	}
	if !strings.Contains(d.log.String(), "bundle of models given up") { // before another is loaded
		t.Errorf("the log does not tell of it:\n%s", d.log.String())
	}
	d.health("models", api.FindingTolerated, "strict.bundle: rejections rose")
	d.awaitFor(bundlePatience, "the metrics to tell of it", func(api.Status) bool {
		text := d.metrics()
		return strings.Contains(text, "kiosk_models_rollbacks_total 1\n") && strings.Contains(text, `kiosk_events_total{kind="models"} 2`)
	})
	if err := os.Remove(filepath.Join(p.dir, "strict.bundle")); err != nil {
		t.Fatal(err)
	}
	p.put("a.bundle", p.make("2.2", func(m *bundle.Manifest, _ map[models.Role][]byte) { m.LiveMin = 0.51 }))
	if m := d.uses("2.2"); !m.Trial || m.Previous != "2.0" || m.SessionsBefore != 400 || why(m, "a.bundle") != string(canary.OnTrial) {
		t.Errorf("with a newer bundle %+v", m)
	}
	r, h := d.visit(p.state, "second")
	if r.Status != kiosk.Completed || h.Facts["models"] != "2.2" || h.Facts["model_pad"] == "" || h.Policy.LiveMin != 0.51 {
		t.Errorf("result %+v, judged by %v, liveness at least %g", r, h.Facts, h.Policy.LiveMin)
	}
	m = d.awaitFor(bundlePatience, "the session to be counted", func(s api.Status) bool { return s.Models.Sessions == 1 }).Models
	rejected := fmt.Sprintf("kiosk_models_rejected_sessions %d", m.Rejected) // a slow machine sees too few frames in a hold to believe it
	for _, line := range []string{`kiosk_models_info{version="2.2"} 1`, "kiosk_models_trial 1", "kiosk_models_sessions 1", rejected} {
		if !strings.Contains(d.metrics(), line+"\n") {
			t.Errorf("no metric %s", line)
		}
	}
	d.health("models", api.FindingOK, "bundle 2.2, on trial")
	if code := d.stop(); code != exitOK {
		t.Fatalf("exit code %d\n%s", code, d.log.String())
	}
	p.put("strict.bundle", p.make("2.1", nil))
	d = p.start(args...)
	if m := d.uses("2.2"); m.Sessions != 1 || !m.Trial || why(m, "strict.bundle") != string(canary.Rejections) {
		t.Errorf("after a restart %+v", m)
	}
}

// TestABundleThatIsNotRightIsNotUsed puts all kinds of files beside the bundle that
// is used, before the daemon starts and while it runs.
func TestABundleThatIsNotRightIsNotUsed(t *testing.T) {
	p := newPress(t, "2", "")
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other := *p
	other.key = stranger
	next := p.make("3.0", nil)
	flipped := bytes.Clone(next)
	flipped[len(flipped)-100_000] ^= 1
	files := map[string]struct {
		data []byte
		why  string
	}{
		"stranger.bundle":  {other.make("4.0", nil), string(bundle.BadSignature)},
		"short.bundle":     {next[:len(next)-500_000], string(bundle.Damaged)},
		"empty.bundle":     {nil, string(bundle.Damaged)},
		"flipped.bundle":   {flipped, string(bundle.Damaged)},
		"old.bundle":       {p.make("1.9", nil), string(canary.BelowFloor)},
		"elsewhere.bundle": {p.make("4.1", func(m *bundle.Manifest, _ map[models.Role][]byte) { m.Rings = map[string]int{"canary": 100} }), string(canary.NotHere)},
		"changed.bundle": {p.make("4.2", func(_ *bundle.Manifest, n map[models.Role][]byte) {
			b := n[models.PAD]
			for i := len(b) / 2; i < len(b)/2+4000; i += 4 { // weights
				b[i+3] ^= 0x40
			}
		}), string(canary.Wrong)},
		"text.bundle":    {p.make("4.3", func(_ *bundle.Manifest, n map[models.Role][]byte) { n[models.Detector] = []byte("no network") }), string(canary.NotLoaded)},
		"swapped.bundle": {p.make("4.4", func(_ *bundle.Manifest, n map[models.Role][]byte) { n[models.Landmarks] = n[models.PAD] }), string(canary.Tensors)},
		"vectors.bundle": {p.make("4.5", func(m *bundle.Manifest, _ map[models.Role][]byte) { m.Networks[0].Vectors[3].Value += 0.01 }), string(canary.Wrong)},
	}
	settled := func(m api.ModelsStatus) bool {
		for name, f := range files {
			if why(m, name) != f.why {
				return false
			}
		}
		return m.Version == "2.0"
	}
	p.put("good.bundle", p.make("2.0", nil))
	for _, running := range []bool{true, false} {
		if running {
			d := p.start("-config", p.config)
			d.uses("2.0")
			for name, f := range files {
				p.put(name, f.data)
			}
			d.awaitFor(bundlePatience, "the running daemon to refuse all others", func(s api.Status) bool { return healthy(s) && settled(s.Models) })
			d.stop()
			continue
		}
		if err := os.RemoveAll(p.state); err != nil {
			t.Fatal(err)
		}
		d := p.start("-config", p.config)
		d.awaitFor(bundlePatience, "the daemon that starts to refuse all others", func(s api.Status) bool { return healthy(s) && settled(s.Models) })
		d.health("models", api.FindingTolerated, "bundle 2.0, on trial")
		if err := os.Remove(filepath.Join(p.dir, "good.bundle")); err != nil {
			t.Fatal(err)
		}
		d.uses("")
		d.stop()
	}
}

// TestABundleThatBringsTheDaemonDownIsGivenUp starts as after loads that never
// ended, and with a state that is damaged.
func TestABundleThatBringsTheDaemonDownIsGivenUp(t *testing.T) {
	p := newPress(t, "", "")
	p.put("old.bundle", p.make("2.0", nil))
	p.put("new.bundle", p.make("2.1", nil))
	p.remember(canary.State{Use: "2.1", Back: "2.0", Trial: true, Tries: canary.TriesMost})
	d := p.start("-config", p.config)
	early := false
	d.awaitFor(bundlePatience, "the bundle before", func(s api.Status) bool {
		early = early || s.Ready && s.Models.Version != "2.0"
		return s.Models.Version == "2.0"
	})
	if early {
		t.Error("a session could have begun, and seen no frame, while bundles were loaded")
	}
	if m := d.uses("2.0"); why(m, "new.bundle") != string(canary.Crashed) {
		t.Errorf("%+v", m)
	}
	d.stop()
	if s := p.remembered(); s.Use != "2.0" || s.Tries != 0 || s.Trial {
		t.Errorf("remembered %+v", s)
	}
	if err := os.WriteFile(filepath.Join(p.state, "models.json"), []byte(`{"format":1,"use":"2.0","trial":tr`), 0o600); err != nil {
		t.Fatal(err)
	}
	d = p.start("-config", p.config)
	d.uses("2.1")
	if !strings.Contains(d.log.String(), "what was remembered of bundles of models is lost") { // at the start
		t.Errorf("the log does not tell of it:\n%s", d.log.String())
	}
	d.stop()
}

// brittle returns a liveness network that says what it likes of models.Pattern, whose
// mean is its, and fails on any other picture: it looks beyond a table's end.
func brittle(t *testing.T, mean float64) []byte {
	t.Helper()
	inputs, outputs, err := bundle.Contract(models.PAD)
	if err != nil {
		t.Fatal(err)
	}
	number := func(field, v int) []byte {
		return binary.AppendUvarint(binary.AppendUvarint(nil, uint64(field)<<3), uint64(v)) //nolint:gosec // none is negative
	}
	message := func(field int, parts ...[]byte) []byte {
		whole := bytes.Join(parts, nil)
		return append(binary.AppendUvarint(binary.AppendUvarint(nil, uint64(field)<<3|2), uint64(len(whole))), whole...) //nolint:gosec // none is negative
	}
	text := func(field int, s string) []byte { return message(field, []byte(s)) }
	node := func(op, out string, attribute []byte, in ...string) []byte { // NodeProto in GraphProto
		var n []byte
		for _, i := range in {
			n = append(n, text(1, i)...)
		}
		return message(1, n, text(2, out), text(4, op), attribute)
	}
	floats := func(name string, shape []byte, v ...float32) []byte { // TensorProto, element type 1
		var raw []byte
		for _, f := range v {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(f))
		}
		return message(5, shape, number(2, 1), text(8, name), message(9, raw))
	}
	value := func(field int, of bundle.Tensor) []byte { // ValueInfoProto
		var shape []byte
		for _, n := range of.Shape {
			shape = append(shape, message(1, number(1, n))...)
		}
		return message(field, text(1, of.Name), message(2, message(1, number(1, 1), message(2, shape))))
	}
	int64s := message(5, number(1, 1), number(2, 7), text(8, "one"), message(9, binary.LittleEndian.AppendUint64(nil, 1)))
	graph := message(
		7,
		node("ReduceMean", "m", nil, inputs[0].Name),
		node("Sub", "off", nil, "m", "mean"),
		node("Abs", "far", nil, "off"),
		node("Mul", "tenths", nil, "far", "ten"),
		node("Cast", "i", message(5, text(1, "to"), number(3, 7), number(20, 2)), "tenths"),
		node("Reshape", "at", nil, "i", "one"),
		node("Gather", outputs[0].Name, nil, "table", "at"),
		text(2, "brittle"),
		floats("mean", nil, float32(mean)), floats("ten", nil, 10), int64s,
		floats("table", append(number(1, 1), number(1, outputs[0].Shape[1])...), make([]float32, outputs[0].Shape[1])...),
		value(11, inputs[0]), value(12, outputs[0]),
	)
	return bytes.Join([][]byte{number(1, 7), graph, message(8, text(1, ""), number(2, 13))}, nil)
}

// TestABundleThatFailsOnAFaceIsGivenUp has one compute its golden vectors, and fail
// at the first visitor: it is not used any more, and the kiosk is, without a restart.
func TestABundleThatFailsOnAFaceIsGivenUp(t *testing.T) {
	world := partnertest.New(t, gatewaysim.Options{})
	p := newPress(t, "", "[flow]\nattempt_in = \"5m\"\n[display]\nscript_delay = \"10ms\"\n")
	d := p.start(
		"-gateway", world.URL, "-partner", world.PartnerURL, "-script", "agree,ready,done", "-camera", "frames:"+newcomer(t), "-size", "360x640", "-config", p.config,
	)
	if m := d.uses(""); m.Why != string(canary.BuiltIn) {
		t.Errorf("at first %+v", m)
	}
	p.put("brittle.bundle", p.make("2.1", func(m *bundle.Manifest, networks map[models.Role][]byte) {
		n := &m.Networks[slices.Index(bundle.Roles(), models.PAD)]
		input, mean := make([]float32, 3*n.Inputs[0].Shape[2]*n.Inputs[0].Shape[3]), 0.0
		models.Pattern(models.PAD, input)
		for _, v := range input {
			mean += float64(v) / float64(len(input))
		}
		networks[models.PAD], n.Vectors = brittle(t, mean), []models.Vector{{Element: 1}}
	}))
	if m := d.uses("2.1"); !m.Trial {
		t.Fatalf("%+v", m)
	}
	if s := p.remembered(); s.Tries != 1 {
		t.Errorf("golden vectors alone are taken for a try that ended well: %+v", s)
	}
	id, err := d.client.Launch(t.Context(), kiosk.Launch{CorrelationID: "first", UserID: "user-first", Locale: kiosk.English, Theme: kiosk.Dark})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.client.Session(t.Context(), id, func(kiosk.Event) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if r, err := d.client.Result(t.Context(), id); err != nil || r.Status == kiosk.Completed {
		t.Errorf("result of who was not seen: %+v, %v", r, err)
	}
	if m := d.uses(""); why(m, "brittle.bundle") != string(canary.NotLoaded) {
		t.Errorf("after it failed: %+v", m)
	}
	if r, h := d.visit(p.state, "second"); r.Status != kiosk.Completed || h.Facts["models"] != "" || h.Policy.LiveMin != 0.5 {
		t.Errorf("result %+v, judged by %v, liveness at least %g", r, h.Facts, h.Policy.LiveMin)
	}
	if code := d.stop(); code != exitOK {
		t.Errorf("exit code %d\n%s", code, d.log.String())
	}
}

// TestATryEndsWell has a bundle be held to be no danger to the daemon once it has
// judged somebody, or assessed frames for a while, and not before.
func TestATryEndsWell(t *testing.T) {
	c := defaults()
	c.State.Dir = t.TempDir()
	for _, tt := range []struct {
		name string
		do   func(b *bundles)
		want int
	}{
		{"nobody came", func(*bundles) {}, 2},
		{"somebody went away", func(b *bundles) { b.tally(kiosk.Tally{Session: "a", Disbelieved: 1}) }, 2},
		{"somebody was judged", func(b *bundles) { b.tally(kiosk.Tally{Session: "a", Submitted: true}) }, 0},
		{"it lasted", func(b *bundles) { b.last(&networks{version: "2.1"}) }, 0},
		{"another lasted", func(b *bundles) { b.last(&networks{version: "2.0"}) }, 2},
		{"the daemon was stopped", func(b *bundles) { b.ended(t.Context()) }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := writeBundles(c.bundlesPath(), canary.State{Use: "2.1", Trial: true, Tries: 2}); err != nil {
				t.Fatal(err)
			}
			b, err := openBundles(t.Context(), c, func(kiosk.Event) {}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			b.using, b.loaded = "2.1", true
			tt.do(b)
			b.next(t.Context(), false)
			if s, err := readBundles(c.bundlesPath()); err != nil || s.Tries != tt.want {
				t.Errorf("kept %+v, %v, want %d tries", s, err, tt.want)
			}
		})
	}
	var s stretch
	n := 0
	for at := time.Hour; !s.saw(at); at += time.Minute / 2 { // the first of a visitor each time, at most a second of it
		n++
	}
	if n != int(lasting/time.Second) || s.saw(2*time.Hour) {
		t.Errorf("%d frames were enough", n)
	}
}

// TestABundleIsNotTriedWhereThatCannotBeKept has the file of the state be no file, and
// be one again: a bundle that could not be tried then is not given up for that.
func TestABundleIsNotTriedWhereThatCannotBeKept(t *testing.T) {
	p := newPress(t, "", "")
	c, err := load(p.config)
	if err != nil {
		t.Fatal(err)
	}
	c.State.Dir = p.state
	set, err := models.Open(t.Context(), models.Dir())
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	b, err := openBundles(t.Context(), c, func(e kiosk.Event) { told = append(told, e.Text) }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	p.put("new.bundle", p.make("2.1", nil))
	blocked := filepath.Join(c.bundlesPath(), "in the way")
	if err := os.MkdirAll(blocked, 0o700); err != nil {
		t.Fatal(err)
	}
	use := func(want string) {
		t.Helper()
		n, err := b.load(t.Context(), set, &camera.Decoder{JPEG: jpeg.NewDecoder()}, nil)
		if err != nil || string(n.version) != want {
			t.Fatalf("loaded %+v, %v, want %q", n, err, want)
		}
		b.took(t.Context(), n)
		for range 2 { // who loads and who runs may both do so when the daemon ends
			if err := n.unload(); err != nil {
				t.Error(err)
			}
		}
	}
	use("")
	if m := b.status(); why(m, "new.bundle") != string(canary.Unwritten) || m.Bundles[0].Refused || m.Problem == "" || len(told) > 0 {
		t.Errorf("%+v, told %q", m, told)
	}
	if b.next(t.Context(), false) {
		t.Error("it is chosen though it cannot be kept still")
	}
	if err := os.RemoveAll(c.bundlesPath()); err != nil {
		t.Fatal(err)
	}
	if !b.next(t.Context(), false) {
		t.Error("it is not chosen when it can be kept")
	}
	use("2.1")
	if s := p.remembered(); s.Use != "2.1" || !s.Trial || s.Tries != 1 || len(s.Refused) > 0 || b.status().Problem != "" {
		t.Errorf("remembered %+v, problem %q", s, b.status().Problem)
	}
}

// TestNetworksThatAreGivenAreNotTheirLoadersAnyMore has a daemon end in the middle of
// a swap: what runs is not unloaded.
func TestNetworksThatAreGivenAreNotTheirLoadersAnyMore(t *testing.T) {
	var s swap
	n, late := &networks{}, &networks{version: "2.1"}
	s.give(n)
	if s.drop(n) || s.take() != n || s.drop(n) {
		t.Error("what is run is unloaded")
	}
	if !s.drop(late) {
		t.Error("what nobody was given stays")
	}
	if s.give(late); s.take() != nil {
		t.Error("what was unloaded is run")
	}
}

// TestNoBundleIsReadWhileSomebodyIsServed has files come, change and go during a
// session.
func TestNoBundleIsReadWhileSomebodyIsServed(t *testing.T) {
	p := newPress(t, "", "")
	c, err := load(p.config)
	if err != nil {
		t.Fatal(err)
	}
	c.State.Dir = p.state
	p.put("used.bundle", p.make("2.0", nil))
	p.remember(canary.State{Use: "2.0"})
	if err := syscall.Mkfifo(filepath.Join(p.dir, "pipe.bundle"), 0o600); err != nil { // nobody writes to it
		t.Fatal(err)
	}
	b, err := openBundles(t.Context(), c, func(kiosk.Event) {}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	b.using, b.loaded = "2.0", true
	names := func() (all []string) {
		for _, f := range b.status().Bundles {
			all = append(all, f.File)
		}
		return all
	}
	p.put("new.bundle", p.make("2.1", nil))
	p.put("used.bundle", p.make("2.0", func(m *bundle.Manifest, _ map[models.Role][]byte) { m.LiveMin = 0.6 }))
	if b.next(t.Context(), true) || !slices.Equal(names(), []string{"used.bundle"}) || b.finds[0].manifest.LiveMin != 0.5 {
		t.Errorf("during a session %v was read", names())
	}
	if !b.next(t.Context(), false) || !slices.Equal(names(), []string{"new.bundle", "used.bundle"}) || b.finds[1].manifest.LiveMin != 0.6 {
		t.Errorf("after the session there is %v", names())
	}
	if b.next(t.Context(), true) {
		t.Error("a bundle that is only newer is loaded during the next session")
	}
	if err := os.Remove(filepath.Join(p.dir, "used.bundle")); err != nil {
		t.Fatal(err)
	}
	if !b.next(t.Context(), true) {
		t.Error("what must not be used any more is used on during a session")
	}
}

// TestWhatIsKnownOfBundlesSurvivesAPowerCut has the disk go away at each operation
// of a write, and what is written is flushed before it has its name.
func TestWhatIsKnownOfBundlesSurvivesAPowerCut(t *testing.T) {
	disk, below, at := faulttest.Disk(t)
	before := canary.State{Use: "2.0", Counts: canary.Counts{Sessions: 50, Flagged: 2}}
	after := canary.State{Use: "2.1", Back: "2.0", Trial: true, Tries: 1, Baseline: before.Counts}
	path, seen := filepath.Join(at, "models.json"), map[string]int{}
	for n := 0; ; n++ {
		if err := writeBundles(path, before); err != nil {
			t.Fatal(err)
		}
		disk.Arm(faulttest.Fault{At: n, Errno: syscall.EIO, Span: faulttest.Gone, Lost: true})
		wrote := writeBundles(path, after)
		ops, hit := disk.Lift()
		got, err := readBundles(filepath.Join(below, "models.json")) // what lies on the disk
		if err != nil {
			t.Fatalf("cut at operation %d, %+v: %v", n, hit, err)
		}
		switch {
		case reflect.DeepEqual(got, before) && wrote != nil:
			seen["before"]++
		case reflect.DeepEqual(got, after):
			seen["after"]++
		default:
			t.Errorf("cut at operation %d, %+v: %+v, written: %v", n, hit, got, wrote)
		}
		if hit == (faulttest.Op{}) {
			at := func(k faulttest.Kind) int {
				return slices.IndexFunc(ops, func(o faulttest.Op) bool { return o.Kind == k })
			}
			if flushed, named := at(faulttest.Sync), at(faulttest.Rename); flushed < 0 || flushed > named {
				t.Errorf("it has its name before it is on the disk: %v", ops)
			}
			break
		}
	}
	if seen["before"] < 3 || seen["after"] < 1 {
		t.Errorf("cuts: %v", seen)
	}
}

// TestAnApprovalThatComesLateIsCounted tells the counting of sessions and receipts in
// either order.
func TestAnApprovalThatComesLateIsCounted(t *testing.T) {
	c := defaults()
	c.State.Dir = t.TempDir()
	b, err := openBundles(t.Context(), c, func(kiosk.Event) {}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	tell := func(session kiosk.SessionID, a kiosk.Action) { b.answered(kiosk.Receipt{Session: session, Action: a}) }
	for _, s := range []kiosk.Tally{
		{Session: "at once", Submitted: true},
		{Session: "second attempt", Submitted: true, Disbelieved: 1, Approved: true},
		{Session: "later approved", Submitted: true, Disbelieved: 1},
		{Session: "later refused", Submitted: true, Disbelieved: 2},
		{Session: "flagged", Submitted: true, Disbelieved: 3, Flagged: true, Approved: true},
		{Session: "staff", Staff: true},
		{Session: "gone away"},
		{Session: "gone away after an attempt", Disbelieved: 1},
	} {
		b.tally(s)
		tell(s.Session, kiosk.Retry)
	}
	tell("at once", kiosk.ExitSuccess)
	tell("flagged", kiosk.ExitSuccess)
	tell("later approved", kiosk.ExitSuccess)
	tell("later approved", kiosk.ExitSuccess)
	tell("later refused", kiosk.ExitFailure)
	tell("later refused", kiosk.ExitSuccess)
	tell("nobody's", kiosk.ExitSuccess)
	b.next(t.Context(), false)
	if got, want := b.state.Counts, (canary.Counts{Sessions: 6, Approved: 2, Flagged: 2}); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
	kept, err := readBundles(c.bundlesPath())
	if err != nil || kept.Counts != b.state.Counts {
		t.Errorf("kept %+v, %v", kept, err)
	}
	for i := range 2 * longestWaiting {
		b.tally(kiosk.Tally{Session: kiosk.SessionID(strconv.Itoa(i)), Submitted: true, Disbelieved: 1})
	}
	if len(b.waiting) != longestWaiting || len(b.order) != longestWaiting {
		t.Errorf("%d and %d sessions are waited for", len(b.waiting), len(b.order))
	}
}
