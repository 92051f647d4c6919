package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image"
	"image/draw"
	"io"
	"io/fs"
	"log/slog"
	randv2 "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"livekiosk/camera"
	"livekiosk/camera/jpeg"
	"livekiosk/camera/pixel"
	"livekiosk/camera/replay"
	"livekiosk/inference"
	"livekiosk/inference/models"
	"livekiosk/inference/onnx"
	"livekiosk/inference/quality"
	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/queue/gateway/gatewaysim"
	"livekiosk/queue/gateway/partner/partnertest"
	"livekiosk/ui"
)

// The forms in which a person's picture may lie in memory.
const (
	formJPEG   = "jpeg"   // as captured, sealed and sent
	formRGBA   = "rgba"   // as decoded, for the screen and for analysis
	formLuma   = "luma"   // of the same
	formTensor = "tensor" // what the networks were given, also with its planes apart
	formScreen = "screen" // the mirror, as textures and frame buffers have it
)

// A piece is some bytes of a picture that occur nowhere else.
type piece struct {
	form  string
	bytes []byte
}

// pieces finds pieces of pictures in other bytes.
type pieces struct {
	byKey map[uint64]piece
	count map[string]int
	// Most bytes begin no piece: a bit for each hash says which may. Pixels lie
	// at multiples of four wherever they are, compressed bytes anywhere.
	anywhere [1 << 22 / 64]uint64
	aligned  [1 << 24 / 64]uint64
}

func newPieces() *pieces { return &pieces{byKey: map[uint64]piece{}, count: map[string]int{}} }

// spread turns keys, of which those of pixels are much alike, into 24 bits that
// are not.
func spread(key uint64) uint64 { return key * 0x9e3779b97f4a7c15 >> 40 }

// add cuts data into pieces of size bytes, one every step bytes. Those of fewer
// than a dozen different values are left out: a grey wall is nobody's.
func (p *pieces) add(form string, data []byte, size, step int) {
	for ; len(data) >= size; data = data[min(step, len(data)):] {
		var values [256]bool
		n := 0
		for _, b := range data[:size] {
			if !values[b] {
				values[b] = true
				n++
			}
		}
		if n < 12 {
			continue
		}
		key := binary.LittleEndian.Uint64(data)
		p.byKey[key] = piece{form, data[:size]}
		p.count[form]++
		if at := spread(key); form == formJPEG {
			p.anywhere[at>>2/64] |= 1 << (at >> 2 % 64)
		} else {
			p.aligned[at/64] |= 1 << (at % 64)
		}
	}
}

// find calls found for each piece in data, which begins at a multiple of four,
// with its place. Hundreds of megabytes take minutes under the race detector,
// and nothing here is shared.
//
//go:norace
func (p *pieces) find(data []byte, found func(at int, is piece)) {
	for i := 0; i+8 <= len(data); i++ {
		key := binary.LittleEndian.Uint64(data[i:])
		if key == 0 {
			continue
		}
		at := spread(key)
		if p.anywhere[at>>2/64]>>(at>>2%64)&1 == 0 && (i%4 != 0 || p.aligned[at/64]>>(at%64)&1 == 0) {
			continue
		}
		if is, ok := p.byKey[key]; ok && bytes.HasPrefix(data[i:], is.bytes) {
			found(i, is)
		}
	}
}

// A visit is a recording of somebody who stands still, comes closer and stands
// still again. Its noise is this run's own, so that no piece of it is anywhere
// but where a frame was.
type visit struct {
	dir    string
	frames [][]byte // JPEG
}

// newVisit composes the part of the clip in which the captures are made.
func newVisit(t *testing.T) *visit {
	t.Helper()
	v := &visit{dir: t.TempDir(), frames: compose(randv2.Uint64())}
	for i, frame := range v.frames {
		for twice := range 2 { // at the camera's rate
			if err := os.WriteFile(filepath.Join(v.dir, fmt.Sprintf("%04d.jpg", 2*i+twice)), frame, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return v
}

// compose draws the frames of a visit, of which the camera would take twice as many.
func compose(seed uint64) [][]byte {
	const from, to, period = 7 * time.Second, 12 * time.Second, 2 * time.Second / 15
	frames := make([][]byte, (to-from)/period)
	var g errgroup.Group
	for worker := range 2 {
		g.Go(func() error {
			clip, err := replay.Open(replay.Options{Clip: replay.Portrait, Seed: seed})
			if err != nil {
				return err
			}
			enc := jpeg.NewEncoder()
			defer enc.Close()
			for i := worker; i < len(frames); i += 2 {
				if frames[i], err = enc.Encode(nil, clip.Compose(from+time.Duration(i)*period), 85); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		panic(err) // as of a clip that is built in
	}
	return frames
}

// pieces returns what to look for in memory: all that the daemon makes of the
// frames, made by its own code in this process.
func (v *visit) pieces(t *testing.T) *pieces {
	t.Helper()
	p := newPieces()
	tensors := newRecorder(t, p)
	screens := newMirrors(t, p)
	dec := jpeg.NewDecoder()
	defer dec.Close()
	for _, data := range v.frames {
		p.add(formJPEG, scan(t, data), 32, 64)
		img, err := dec.Decode(nil, data, previewShort)
		if err != nil {
			t.Fatal(err)
		}
		p.add(formRGBA, img.Pix, 64, 256)
		luma := image.NewGray(img.Rect)
		if err := pixel.Turn(nil, luma, img, pixel.Orientation{}); err != nil {
			t.Fatal(err)
		}
		p.add(formLuma, luma.Pix, 64, 128)
		screens.add(img)
		tensors.add(data)
	}
	return p
}

// scan returns the compressed pixels of a JPEG image: what lies before them is
// the same in all.
func scan(t *testing.T, data []byte) []byte {
	t.Helper()
	at := bytes.Index(data, []byte{0xff, 0xda})
	if at < 0 {
		t.Fatal("no scan in a frame")
	}
	return data[at+14:]
}

// A recorder is an analyser whose networks' inputs become pieces.
type recorder struct {
	t *testing.T
	a *inference.Analyser
	f kiosk.Frame
}

func newRecorder(t *testing.T, p *pieces) *recorder {
	t.Helper()
	set, err := models.Open(t.Context(), models.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if err := onnx.Start(set.Runtime); err != nil {
		t.Fatal(err)
	}
	o := inference.Options{Decoder: &camera.Decoder{JPEG: jpeg.NewDecoder()}}
	for _, m := range []struct {
		path   string
		planes bool
		at     *inference.Model
	}{{set.Detector, false, &o.Detector}, {set.Landmarks, false, &o.Landmarks}, {set.PAD, true, &o.PAD}} {
		s, err := onnx.Open(m.path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		*m.at = &recorded{s, p, m.planes}
	}
	a, err := inference.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return &recorder{t: t, a: a}
}

func (r *recorder) add(data []byte) {
	r.f.ID++
	f := kiosk.NewFrame(kiosk.Frame{ID: r.f.ID, Format: kiosk.MJPEG, Size: image.Pt(1280, 720), Data: bytes.Clone(data)}, nil)
	if _, err := r.a.Assess(f); err != nil {
		r.t.Fatal(err)
	}
}

// A recorded model tells what it is given.
type recorded struct {
	*onnx.Session

	p      *pieces
	planes bool // the input is in planes
}

func (m *recorded) Run() error {
	in := m.Input()
	m.p.add(formTensor, floats(in), 64, 512)
	if len(in) == 3*quality.Side*quality.Side {
		luma := make([]uint8, quality.Side*quality.Side)
		quality.Luma(luma, in)
		m.p.add(formLuma, luma, 64, 128)
	}
	// The runtime turns interleaved channels into planes, and back.
	turned := make([]float32, len(in))
	for i := range len(in) / 3 {
		for c := range 3 {
			if m.planes {
				turned[3*i+c] = in[c*len(in)/3+i]
			} else {
				turned[c*len(in)/3+i] = in[3*i+c]
			}
		}
	}
	m.p.add(formTensor, floats(turned), 64, 512)
	return m.Session.Run()
}

func floats(v []float32) []byte {
	b, err := binary.Append(nil, binary.LittleEndian, v)
	if err != nil {
		panic(err) // of this type it cannot be
	}
	return b
}

// mirrors draws the screen on which a person sees himself.
type mirrors struct {
	t *testing.T
	p *pieces
	r *ui.Renderer
}

func newMirrors(t *testing.T, p *pieces) *mirrors {
	t.Helper()
	c := defaults()
	r, err := ui.NewRenderer(c.size())
	if err != nil {
		t.Skipf("needs EGL: %v", err)
	}
	t.Cleanup(r.Close)
	return &mirrors{t, p, r}
}

func (m *mirrors) add(img *image.RGBA) {
	shot, err := m.r.Render(kiosk.View{Screen: kiosk.GuidingScreen, Session: "s", Locale: kiosk.English, Theme: kiosk.Light, Pose: kiosk.Far, FaceGoal: 0.4}, img)
	if err != nil {
		m.t.Fatal(err)
	}
	// The middle of the oval, which nothing is drawn over.
	area := image.Rect(296, 350, 424, 450)
	inner := image.NewRGBA(area)
	draw.Draw(inner, area, shot, area.Min, draw.Src)
	m.p.add(formScreen, inner.Pix, 64, 64)
}

// A region is a stretch of a process's memory.
type region struct {
	name string // with its addresses
	data []byte
}

// snapshot copies all memory of a process that can be read, but for what is
// mapped from a file and cannot be written: that is as the file is. The process
// stands still meanwhile, since a search takes longer than a frame lives.
func snapshot(t *testing.T, p *os.Process) (all []region) {
	t.Helper()
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}()
	mapped, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", p.Pid))
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", p.Pid))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mem.Close() }()
	for line := range strings.Lines(string(mapped)) {
		var from, to int64
		var mode string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); err != nil || mode[0] != 'r' {
			continue // the kernel's own page has an address too large, and cannot be read
		}
		name := "memory"
		if f := strings.Fields(line); len(f) > 5 {
			name = f[5]
		}
		if mode[1] != 'w' && strings.HasPrefix(name, "/") {
			continue
		}
		data := make([]byte, to-from)
		n, _ := mem.ReadAt(data, from) // what is no memory, as a device's, cannot be read
		all = append(all, region{fmt.Sprintf("%x-%x %s", from, to, name), data[:n]})
	}
	return all
}

// memory looks for pieces in memory and returns how many it found of each form.
func (p *pieces) memory(t *testing.T, in []region) map[string]int {
	t.Helper()
	found, where := map[string]int{}, map[string]int{}
	began, size := time.Now(), 0
	for _, r := range in {
		size += len(r.data)
		p.find(r.data, func(_ int, is piece) {
			found[is.form]++
			where[is.form+" in "+r.name]++
		})
	}
	t.Logf("searched %d MiB in %v: %v", size>>20, time.Since(began).Round(time.Millisecond), where)
	return found
}

// files looks for pieces in the files under dir and in log, also as base64, and
// for secrets. It returns what it found, by the name of the file.
func (p *pieces) files(t *testing.T, dir, log string, secrets []string) map[string]string {
	t.Helper()
	told := map[string]string{}
	look := func(name string, data []byte) {
		p.find(data, func(_ int, is piece) { told[name] = is.form })
		for _, run := range regexp.MustCompile("[A-Za-z0-9+/_-]{64,}").FindAll(data, -1) {
			run = bytes.Map(standard, run)
			for from := range 4 { // it may not begin where a group of letters does
				text := run[from:]
				plain, err := base64.RawStdEncoding.DecodeString(string(text[:len(text)/4*4]))
				if err == nil {
					p.find(plain, func(_ int, is piece) { told[name] = is.form + " in base64" })
				}
			}
		}
		for _, s := range secrets {
			if bytes.Contains(data, []byte(s)) {
				told[name] = "secret"
			}
		}
	}
	look("log", []byte(log))
	if err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		look(path, data)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return told
}

// TestNothingOfAPersonStays runs a session to its verdict and reads all memory
// of the daemon: while the person stands before the camera, when each form of
// the picture must be found, or the search is no good, and a second after the
// session, when nothing may be. What the daemon wrote is searched, too. It runs
// as the unit has it: see GODEBUG there.
func TestNothingOfAPersonStays(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to read another process's memory")
	}
	v := newVisit(t)
	world := partnertest.New(t, gatewaysim.Options{})
	tokens := newTokens(t, world.URL)
	l := newLab(t)
	d := l.spawn([]string{"env", "GODEBUG=asyncpreemptoff=1", build(t)}, "-gateway", world.URL, "-partner", tokens.url+"/partner", "-camera", "frames:"+v.dir, "-script", "agree,ready,done")
	p := v.pieces(t)
	d.await("service", healthy)

	launch := kiosk.Launch{CorrelationID: "corr-" + rand.Text(), UserID: "user-" + rand.Text(), Locale: kiosk.Indonesian, Theme: kiosk.Dark, NoTimeLimit: true} // it stands still for a while
	id, err := d.client.Launch(t.Context(), launch)
	if err != nil {
		t.Fatal(err)
	}
	var during []region
	if err := d.client.Session(t.Context(), id, func(e kiosk.Event) error {
		if e.Kind == kiosk.EventCaptured && e.Text == string(kiosk.Far) && during == nil {
			during = snapshot(t, d.process)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if r, err := d.client.Result(t.Context(), id); err != nil || r.Status != kiosk.Completed {
		t.Errorf("result %+v, %v\n%s", r, err, d.log.String())
	}
	d.await("the end of the session", func(s api.Status) bool { return !s.SessionRunning })
	second(t, d.process.Pid)
	gone := snapshot(t, d.process)
	found := p.memory(t, during)
	for form, n := range p.count {
		if found[form] == 0 {
			t.Errorf("%s: none of %d pieces is in memory during the session: the search is no good", form, n)
		}
	}
	if found := p.memory(t, gone); len(found) > 0 {
		t.Errorf("a second after the session memory holds pieces of its pictures: %v", found)
	}

	secrets := append(tokens.all(), launch.CorrelationID, launch.UserID)
	if len(secrets) != 3 {
		t.Errorf("the partner backend gave out %d tokens, want 1", len(secrets)-2)
	}
	if told := p.files(t, l.state, d.log.String(), secrets); len(told) > 0 {
		t.Errorf("files or log tell of the person: %v\n%s", told, d.log.String())
	}
	for what, text := range map[string]string{
		"a picture": string(v.frames[0]), "base64": "x" + base64.StdEncoding.EncodeToString(v.frames[0]), "a user id": launch.UserID,
	} {
		if len(p.files(t, t.TempDir(), text, secrets)) == 0 {
			t.Errorf("%s in the log would not be found: the search is no good", what)
		}
	}
}

// TestNothingOfAPersonStaysInNetworksThatGo has networks be taken out of use right
// after a frame: the next ones may come before the visitor is taken to be gone.
func TestNothingOfAPersonStaysInNetworksThatGo(t *testing.T) {
	set, err := models.Open(t.Context(), models.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if err := onnx.Start(set.Runtime); err != nil {
		t.Fatal(err)
	}
	dec := &camera.Decoder{JPEG: jpeg.NewDecoder()}
	last := map[string]*onlooker{}
	o := inference.Options{Decoder: dec}
	for path, at := range map[string]*inference.Model{set.Detector: &o.Detector, set.Landmarks: &o.Landmarks, set.PAD: &o.PAD} {
		s, err := onnx.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		last[path] = &onlooker{Session: s}
		*at = last[path]
	}
	a, err := inference.New(o)
	if err != nil {
		t.Fatal(err)
	}
	f := kiosk.NewFrame(kiosk.Frame{ID: 1, Format: kiosk.MJPEG, Size: image.Pt(1280, 720), Data: newVisit(t).frames[30]}, nil)
	defer f.Release()
	if _, err := a.Assess(f); err != nil {
		t.Fatal(err)
	}
	for path, m := range last {
		if !m.saw {
			t.Fatalf("%s saw nothing: the test is no good", path)
		}
	}
	img, luma, err := dec.Decode(f, previewShort) // what the decoder keeps
	if err != nil {
		t.Fatal(err)
	}
	unloaded := 0
	n := &networks{analyser: a, unload: func() error {
		unloaded++
		for path, m := range last {
			if m.saw || slices.Max(m.Input()) != 0 || slices.Min(m.Input()) != 0 {
				t.Errorf("%s goes with a face in it", path)
			}
		}
		if slices.Max(img.Pix) != 0 || slices.Max(luma.Pix) != 0 {
			t.Error("the decoder still has the picture")
		}
		return nil
	}}
	d := &daemon{decoder: dec, log: slog.New(slog.DiscardHandler)}
	for range 2 {
		if err := d.dismiss(t.Context(), n); err != nil {
			t.Error(err)
		}
	}
	if unloaded != 1 {
		t.Errorf("unloaded %d times", unloaded)
	}
}

// An onlooker is a network that tells whether it saw anything at its last run.
type onlooker struct {
	*onnx.Session

	saw bool
}

func (m *onlooker) Run() error {
	m.saw = slices.ContainsFunc(m.Input(), func(v float32) bool { return v != 0 })
	return m.Session.Run()
}

// standard turns a letter of URL-safe base64 into that of the usual one.
func standard(r rune) rune {
	switch r {
	case '-':
		return '+'
	case '_':
		return '/'
	}
	return r
}

// second waits for a second in which a process could run: what its threads
// waited for a processor, that other tests had, is added.
func second(t *testing.T, pid int) {
	t.Helper()
	const patience = 30 * time.Second
	began, before := time.Now(), starved(t, pid)
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
		passed, waited := time.Since(began), starved(t, pid)-before
		if passed >= time.Second+waited || passed > patience {
			t.Logf("the second took %v", passed.Round(time.Millisecond))
			return
		}
	}
}

// starved returns how long the threads of a process waited for a processor.
func starved(t *testing.T, pid int) (sum time.Duration) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scheduler's figures of process %d: %v", pid, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread ended
		}
		var ran, waited int64
		if _, err := fmt.Sscan(string(text), &ran, &waited); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		sum += time.Duration(waited)
	}
	return sum
}

// tokens stands before a partner backend and keeps the user tokens that it
// hands out.
type tokens struct {
	url string

	mu   sync.Mutex
	seen []string
}

func (k *tokens) all() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.seen)
}

func newTokens(t *testing.T, root string) *tokens {
	t.Helper()
	to, err := url.Parse(root)
	if err != nil {
		t.Fatal(err)
	}
	k := &tokens{}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ModifyResponse = func(r *http.Response) error {
		body, err := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		var answer struct {
			Token string `json:"token"`
		}
		if json.Unmarshal(body, &answer) == nil && answer.Token != "" {
			k.mu.Lock()
			k.seen = append(k.seen, answer.Token)
			k.mu.Unlock()
		}
		return err
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	k.url = server.URL
	return k
}
