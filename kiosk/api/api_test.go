package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/kiosk/api/apitest"
)

// A fakeKiosk behaves like the station: one session at a time, each
// correlation id once.
type fakeKiosk struct {
	taps     []kiosk.Tap
	mu       sync.Mutex
	launches []kiosk.Launch
	results  map[kiosk.SessionID]kiosk.Result
	faults   []kiosk.Fault
	broken   error // what everything fails with; nil: nothing
	cameras  []api.Camera
	entries  []kiosk.Entry
	booked   []kiosk.Booking
	alarm    func(*api.Status) // what else the status tells; nil: nothing
	by       string            // who dropped a record last
	erased   []kiosk.Erasure
	keys     []kiosk.KeyUse
	found    kiosk.Verification
	export   []string              // what is written of it, one by one
	begun    func()                // called when an upkeep begins; nil: not
	verify   func(context.Context) // called after each record that is verified; nil: not
	lines    []kiosk.Line
	latched  bool
	open     bool // the case is
	draining bool
	log      *api.Events
}

func (k *fakeKiosk) Launch(_ context.Context, l kiosk.Launch) (kiosk.SessionID, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.broken != nil:
		return "", k.broken
	case len(k.faults) > 0:
		return "", &kiosk.LaunchError{Code: kiosk.UnknownError, Reason: "the kiosk is out of service", Busy: true, Down: true}
	case l.BaseURL != "" && l.BaseURL != "https://gateway.example":
		return "", &kiosk.LaunchError{Code: kiosk.NotAllowListed, Field: "baseUrl", Reason: "is not this kiosk's gateway"}
	case slices.ContainsFunc(k.launches, func(b kiosk.Launch) bool { return b.CorrelationID == l.CorrelationID }):
		return "", &kiosk.LaunchError{Code: kiosk.ConfigInvalid, Field: "correlationId", Reason: "was used before", Reused: true}
	}
	for _, r := range k.results {
		if r.Status == kiosk.Running {
			return "", &kiosk.LaunchError{Code: kiosk.UnknownError, Reason: "another session is running", Busy: true}
		}
	}
	k.launches = append(k.launches, l)
	id := kiosk.SessionID("s" + strconv.Itoa(len(k.launches)))
	k.results[id] = kiosk.Result{Session: id, CorrelationID: l.CorrelationID, Status: kiosk.Running}
	k.log.Publish(kiosk.Event{Kind: kiosk.EventLaunched, Session: id})
	return id, nil
}

func (k *fakeKiosk) Result(id kiosk.SessionID) (kiosk.Result, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r, ok := k.results[id]
	return r, ok
}

// end ends a session with r.
func (k *fakeKiosk) end(r kiosk.Result) {
	k.mu.Lock()
	r.CorrelationID = k.results[r.Session].CorrelationID
	k.results[r.Session] = r
	k.mu.Unlock()
	k.log.Publish(kiosk.Event{Kind: kiosk.EventResult, Session: r.Session, Text: string(r.Status), Result: &r})
}

func (k *fakeKiosk) Entries(context.Context) ([]kiosk.Entry, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.broken != nil {
		return nil, k.broken
	}
	return k.entries, nil
}

func (k *fakeKiosk) Book(_ context.Context, b kiosk.Booking) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.broken != nil:
		return k.broken
	case slices.ContainsFunc(k.booked, func(o kiosk.Booking) bool { return o.CorrelationID == b.CorrelationID && o.UserID != b.UserID }):
		return fmt.Errorf("book: %w", kiosk.ErrBooked)
	case len(k.booked) == 2:
		return fmt.Errorf("book: %w", kiosk.ErrQueueFull)
	}
	k.booked = append(k.booked, b)
	return nil
}

func (k *fakeKiosk) Bookings(context.Context) ([]kiosk.Booking, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.booked), k.broken
}

func (k *fakeKiosk) Unbook(_ context.Context, id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.broken != nil {
		return k.broken
	}
	n := len(k.booked)
	k.booked = slices.DeleteFunc(k.booked, func(b kiosk.Booking) bool { return b.CorrelationID == id })
	if len(k.booked) == n {
		return fmt.Errorf("unbook: %w", kiosk.ErrNoBooking)
	}
	return nil
}

// letter returns the entry of a record, or why it cannot be decided about.
func (k *fakeKiosk) letter(id kiosk.RecordID) (*kiosk.Entry, error) {
	i := slices.IndexFunc(k.entries, func(e kiosk.Entry) bool { return e.Record == id && e.State != "done" })
	switch {
	case k.broken != nil:
		return nil, k.broken
	case i < 0:
		return nil, fmt.Errorf("record %s: %w", id, kiosk.ErrNoRecord)
	}
	return &k.entries[i], nil
}

func (k *fakeKiosk) Revive(_ context.Context, id kiosk.RecordID) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	e, err := k.letter(id)
	if err == nil {
		e.State, e.Reason = "queued", ""
	}
	return err
}

func (k *fakeKiosk) Show(_ context.Context, id kiosk.RecordID) (kiosk.Detail, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.IndexFunc(k.entries, func(e kiosk.Entry) bool { return e.Record == id })
	switch {
	case k.broken != nil:
		return kiosk.Detail{}, k.broken
	case i < 0:
		return kiosk.Detail{}, fmt.Errorf("record %s: %w", id, kiosk.ErrNoRecord)
	}
	d := kiosk.Detail{Entry: k.entries[i], Confirmed: k.entries[i].State == "confirmed"}
	if d.Confirmed {
		at := time.Unix(0, 0).UTC()
		d.Uploaded, d.Age, d.Expires, d.Key, d.Relay, d.Changed, d.NotBefore, d.Failures = kiosk.Documents(), 60, 3600, "k1", "r1", at, at, 2
		d.By, d.Parts = "uid 7", []kiosk.Part{{Name: "meta", Bytes: 90, Opens: true}}
	}
	return d, nil
}

func (k *fakeKiosk) Drop(_ context.Context, id kiosk.RecordID, by, reason string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	e, err := k.letter(id)
	if err == nil {
		e.State, e.Outcome, e.Reason = "done", kiosk.ExitError, reason
		k.by = by
	}
	return err
}

func (k *fakeKiosk) Erasures(context.Context) ([]kiosk.Erasure, error) { return k.erased, k.broken }

func (k *fakeKiosk) KeyUses(context.Context) ([]kiosk.KeyUse, error) { return k.keys, k.broken }

// Verify finds what it was told to, in three records. It is broken after the
// first with errLater.
func (k *fakeKiosk) Verify(ctx context.Context, each func(done, total int)) (kiosk.Verification, error) {
	k.start()
	if k.broken != nil && !errors.Is(k.broken, errLater) {
		return kiosk.Verification{}, k.broken
	}
	for i := range 3 {
		each(i+1, 3)
		if k.verify != nil {
			k.verify(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return kiosk.Verification{}, fmt.Errorf("verify: %w", context.Cause(ctx))
		case k.broken != nil:
			return kiosk.Verification{}, k.broken
		}
	}
	return k.found, nil
}

// errLater breaks what the fake does once it has begun.
var errLater = errors.New("later")

// Export seals by writing backwards what is not a key.
func (k *fakeKiosk) Export(_ context.Context, w io.Writer, recipient []byte) (string, error) {
	if string(recipient) != "public key" {
		return "", fmt.Errorf("export: %w: SECRET", api.ErrRecipient)
	}
	k.start()
	if k.broken != nil && !errors.Is(k.broken, errLater) {
		return "k9", k.broken
	}
	for _, part := range k.export {
		if _, err := io.WriteString(w, part); err != nil {
			return "k9", err
		}
	}
	return "k9", k.broken
}

// start tells that an upkeep has begun.
func (k *fakeKiosk) start() {
	if k.begun != nil {
		k.begun()
	}
}

func (k *fakeKiosk) Compact(context.Context) (kiosk.Compaction, error) {
	k.start()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range k.results {
		if r.Status == kiosk.Running {
			return kiosk.Compaction{}, fmt.Errorf("compact: %w", kiosk.ErrOccupied)
		}
	}
	return kiosk.Compaction{Before: 300, After: 200}, k.broken
}

func (k *fakeKiosk) All() ([]kiosk.Line, error) { return k.lines, k.broken }

func (k *fakeKiosk) Force(_ context.Context, role kiosk.Role, _ bool, _ time.Duration) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.broken != nil:
		return k.broken
	case !role.Output():
		return kiosk.ErrNoLine
	case role == kiosk.BuzzerLine:
		return kiosk.ErrLineAway
	}
	for _, r := range k.results {
		if r.Status == kiosk.Running {
			return kiosk.ErrOccupied
		}
	}
	return nil
}

func (k *fakeKiosk) ClearTamper(_ context.Context, by string) error {
	switch {
	case k.broken != nil:
		return k.broken
	case !k.latched:
		return kiosk.ErrNotLatched
	case k.open:
		return kiosk.ErrCaseOpen
	}
	k.latched, k.by = false, by
	return nil
}

func (k *fakeKiosk) Cameras(context.Context) ([]api.Camera, error) { return k.cameras, k.broken }

func (k *fakeKiosk) Commissioned() kiosk.Commissioned {
	return kiosk.Commissioned{File: "/p.json", InUse: true, Reason: "it is of this camera", Camera: "c", Steps: []kiosk.Reading{reading(kiosk.FocusStep, true)}}
}

// reading is one of a step that is under way, or has been passed.
func reading(step kiosk.Step, passed bool) kiosk.Reading {
	return kiosk.Reading{Step: step, Progress: 1, Figures: map[string]float64{"sharpness": 40}, Ended: passed, Passed: passed}
}

// Commission tells once how it stands, unless it cannot begin.
func (k *fakeKiosk) Commission(_ context.Context, t kiosk.Task, each func(kiosk.Reading)) (kiosk.Reading, error) {
	if err := k.taken(); err != nil {
		return kiosk.Reading{}, err
	}
	if t.Step == kiosk.DistanceStep && t.Distance == 0 {
		return kiosk.Reading{}, fmt.Errorf("%w: how far", api.ErrTask)
	}
	if t.Delay > 0 {
		return kiosk.Reading{}, api.ErrCommissioning
	}
	each(reading(t.Step, false))
	if t.Step == kiosk.LensStep {
		return kiosk.Reading{}, kiosk.ErrOccupied
	}
	return reading(t.Step, true), nil
}

// taken tells whether a session needs the camera, or what is broken.
func (k *fakeKiosk) taken() error {
	for _, r := range k.results {
		if r.Status == kiosk.Running {
			return fmt.Errorf("lend the camera: %w", kiosk.ErrOccupied)
		}
	}
	return k.broken
}

func (k *fakeKiosk) Probe(context.Context) (api.CameraFigures, error) {
	return api.CameraFigures{Identity: "driver=x bus=y", Mode: "MJPG 1280x720 30/s", Seconds: 3, FramesPerSecond: 29.5, Frames: 88, CameraSkips: api.CameraSkips{Corrupt: 1}}, k.taken()
}

func (k *fakeKiosk) Picture(context.Context) ([]byte, error) { return []byte("a picture"), k.taken() }

func (k *fakeKiosk) Drain(_ context.Context, on bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.broken == nil {
		k.draining = on
	}
	return k.broken
}

// Tap implements api.Toucher.
func (k *fakeKiosk) Tap(_ context.Context, t kiosk.Tap) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.taps = append(k.taps, t)
	return k.broken
}

// Unlock ends a drain, which is what this kiosk has of a lock.
func (k *fakeKiosk) Unlock(context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.broken == nil && !k.draining {
		return kiosk.ErrNotLocked
	}
	k.draining = false
	return k.broken
}

func (k *fakeKiosk) Drained(context.Context) api.Drain {
	k.mu.Lock()
	defer k.mu.Unlock()
	d := api.Drain{Draining: k.draining, Left: api.LeftNothing, Unsent: 1}
	for _, r := range k.results {
		if r.Status == kiosk.Running {
			d.Left = api.LeftSession
		}
	}
	d.Drained = d.Draining && d.Left == api.LeftNothing
	return d
}

func (k *fakeKiosk) Health(_ context.Context, probe bool) api.Health {
	screen := api.Check{Name: "screen", Finding: api.FindingOK, Text: "drawn"}
	if k.broken != nil {
		screen.Finding = api.FindingBad
	}
	return api.Report(api.Check{Name: "camera", Finding: api.FindingOK, Text: fmt.Sprintf("probed: %v", probe)}, screen, api.Check{Name: "gateway", Finding: api.FindingTolerated, Text: "out"})
}

func (k *fakeKiosk) status() api.Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := api.Status{Version: "1.2.3", Phase: "idle", Faults: k.faults, Ready: len(k.faults) == 0, Camera: api.CameraStatus{Source: "clip", Exposure: api.ExposureStatus{Mode: "face", Stops: 0.5}}}
	if k.alarm != nil {
		k.alarm(&s)
	}
	return s
}

// set changes the kiosk under its lock.
func (k *fakeKiosk) set(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
}

// A world is a server with its kiosk and all that it logged.
type world struct {
	t      *testing.T
	server *api.Server
	kiosk  *fakeKiosk
	log    *api.Events
	logged *bytes.Buffer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOn(t, nil)
}

// newWorldOn returns a world on l with all options but those that drop takes
// away.
func newWorldOn(t *testing.T, l net.Listener, drop ...func(*api.Options)) *world {
	t.Helper()
	log := api.NewEvents(64)
	w := &world{t: t, log: log, kiosk: &fakeKiosk{
		results: map[kiosk.SessionID]kiosk.Result{}, log: log,
		entries: []kiosk.Entry{
			{Record: "s1-1", Session: "s1", Attempt: 1, State: "queued", Bytes: 300, Queued: time.Unix(0, 0).UTC()},
			{Record: "s2-1", Session: "s2", Attempt: 1, State: "dead", Review: true, Reason: "404", Bytes: 200},
			{Record: "s3-1", Session: "s3", Attempt: 1, State: "done", Outcome: kiosk.ExitSuccess, Bytes: 100},
		},
	}, logged: &bytes.Buffer{}}
	o := api.Options{
		Launcher: w.kiosk, Queue: w.kiosk, Bookings: w.kiosk, Letters: w.kiosk, Ledger: w.kiosk, Upkeep: w.kiosk, Cameras: w.kiosk, Commissioner: w.kiosk, Panel: w.kiosk, Drainer: w.kiosk, Toucher: w.kiosk, Unlocker: w.kiosk, Doctor: w.kiosk, Log: log, Status: w.kiosk.status, Listener: l,
		Metrics: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte("kiosk_up 1\n")) }),
		Logger:  slog.New(slog.NewJSONHandler(w.logged, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, d := range drop {
		d(&o)
	}
	var err error
	if w.server, err = api.New(o); err != nil {
		t.Fatal(err)
	}
	return w
}

// ask answers one request without a network.
func (w *world) ask(method, path, body string) (int, string) {
	w.t.Helper()
	rec := w.record(method, path, body)
	return rec.Code, strings.TrimSpace(rec.Body.String())
}

func (w *world) record(method, path, body string) *httptest.ResponseRecorder {
	w.t.Helper()
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, httptest.NewRequestWithContext(w.t.Context(), method, path, strings.NewReader(body)))
	return rec
}

func TestAnswers(t *testing.T) {
	const launch = `{"correlationId":"c1","token":"SECRET-TOKEN","userId":"SECRET-USER"}`
	running := func(w *world) {
		if code, answer := w.ask("POST", "/v1/sessions", launch); code != 201 {
			w.t.Fatalf("launch = %d %s", code, answer)
		}
	}
	ended := func(r kiosk.Result) func(*world) {
		r.Session = "s1"
		return func(w *world) {
			running(w)
			w.kiosk.end(r)
		}
	}
	down := func(w *world) { w.kiosk.set(func() { w.kiosk.faults = []kiosk.Fault{kiosk.CameraFault} }) }
	broken := func(err error) func(*world) { return func(w *world) { w.kiosk.set(func() { w.kiosk.broken = err }) } }

	bare := func(o *api.Options) {
		o.Bookings, o.Letters, o.Ledger, o.Upkeep, o.Cameras, o.Commissioner, o.Panel, o.Drainer, o.Toucher, o.Unlocker, o.Doctor, o.Metrics = nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil
	}
	const booking = `{"correlationId":"b1","userId":"SECRET-USER","userIdType":"T","locale":"en_ID"}`
	booked := func(w *world) {
		if code, answer := w.ask("POST", "/v1/bookings", booking); code != 201 {
			w.t.Fatalf("booking = %d %s", code, answer)
		}
	}

	confirmed := func(w *world) {
		w.kiosk.entries = append(w.kiosk.entries, kiosk.Entry{Record: "s4-1", Session: "s4", Attempt: 1, State: "confirmed", SubmissionID: "sub-4", Bytes: 300, Queued: time.Unix(0, 0).UTC()})
	}
	underUpkeep := func(w *world) { // until the test ends
		begun, end, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
		w.kiosk.begun = sync.OnceFunc(func() {
			close(begun)
			<-end
		})
		go func() {
			defer close(ended)
			w.server.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(context.WithoutCancel(w.t.Context()), "POST", "/v1/queue/verify", http.NoBody))
		}()
		<-begun
		w.t.Cleanup(func() {
			close(end)
			<-ended
		})
	}

	document := readDocument(t)
	for _, tt := range []struct {
		name   string
		drop   func(*api.Options) // nil: all options are there
		before func(*world)
		route  string
		path   string // "" for the route's own
		body   string
		code   int
		want   string // whole, or its beginning if it ends in …
	}{
		{name: "a launch with a token and a user starts a session", route: "POST /v1/sessions", body: launch, code: 201, want: `{"sessionId":"s1"}`},
		{name: "the gateway's own locale is understood", route: "POST /v1/sessions", body: `{"correlationId":"c1","userId":"u","locale":"id_ID"}`, code: 201, want: `{"sessionId":"s1"}`},
		{
			name: "a launch without correlation id is named as such", route: "POST /v1/sessions", body: `{"token":"SECRET-TOKEN"}`, code: 400,
			want: `{"message":"correlationId is missing","errorCode":"API","detailedErrorCode":2206,"field":"correlationId","retriable":false}`,
		},
		{
			name: "a launch without token and user is named as such", route: "POST /v1/sessions", body: `{"correlationId":"c1"}`, code: 400,
			want: `{"message":"token and userId are both missing: give one of them","errorCode":"API","detailedErrorCode":2206,"field":"token","retriable":false}`,
		},
		{
			name: "a locale that the kiosk does not speak", route: "POST /v1/sessions", body: `{"correlationId":"c1","userId":"u","locale":"fr"}`, code: 400,
			want: `{"message":"locale is no language of this kiosk: kioskctl status lists them","errorCode":"API","detailedErrorCode":2201,"field":"locale","retriable":false}`,
		},
		{
			name: "an empty theme is not the default", route: "POST /v1/sessions", body: `{"correlationId":"c1","userId":"u","theme":""}`, code: 400,
			want: `{"message":"theme must be DARK_MODE, LIGHT_MODE, NO_PREFERENCE or HIGH_CONTRAST","errorCode":"API","detailedErrorCode":2201,"field":"theme","retriable":false}`,
		},
		{
			name: "an unknown field", route: "POST /v1/sessions", body: `{"correlationId":"c1","userId":"u","local":"en"}`, code: 400,
			want: `{"message":"local is not a field of a launch, or is given twice","errorCode":"API","detailedErrorCode":2201,"field":"local","retriable":false}`,
		},
		{name: "a field in the wrong case", route: "POST /v1/sessions", body: `{"correlationID":"c1","userId":"u"}`, code: 400, want: `{"message":"correlationID is not a field…`},
		{name: "a field given twice", route: "POST /v1/sessions", body: `{"correlationId":"c1","userId":"u","correlationId":"c2"}`, code: 400, want: `{"message":"correlationId is not a field of a launch, or is given twice"…`},
		{
			name: "a field of the wrong type, whose value is not repeated", route: "POST /v1/sessions", body: `{"correlationId":"c1","token":["SECRET-TOKEN"]}`, code: 400,
			want: `{"message":"token has the wrong type","errorCode":"API","detailedErrorCode":2201,"field":"token","retriable":false}`,
		},
		{name: "a field that is null", route: "POST /v1/sessions", body: `{"correlationId":"c1","userId":null}`, code: 400, want: `{"message":"userId is null: leave it out instead"…`},
		{name: "a body that is no JSON", route: "POST /v1/sessions", body: `correlationId=c1`, code: 400, want: `{"message":"the body is not a JSON object"…`},
		{name: "a body that ends early", route: "POST /v1/sessions", body: `{"correlationId":"c1"`, code: 400, want: `{"message":"the body is not valid JSON"…`},
		{name: "two objects", route: "POST /v1/sessions", body: launch + launch, code: 400, want: `{"message":"something follows the JSON object"…`},
		{
			name: "a body that is too long", route: "POST /v1/sessions", body: `{"correlationId":"c1","token":"` + strings.Repeat("x", 256<<10) + `"}`, code: 400,
			want: `{"message":"the body is longer than 262144 bytes"…`,
		},
		{
			name: "a token that is too long", route: "POST /v1/sessions", body: `{"correlationId":"c1","token":"` + strings.Repeat("x", 64<<10+1) + `"}`, code: 400,
			want: `{"message":"token is longer than 65536 bytes"…`,
		},
		{
			name: "a theme that is no object's worth", route: "POST /v1/sessions", body: `{"correlationId":"c1","token":"t","themeDocument":null}`, code: 400,
			want: `{"message":"themeDocument is null: leave it out instead"…`,
		},
		{name: "a token that would break a header", route: "POST /v1/sessions", body: `{"correlationId":"c1","token":"a\r\nb"}`, code: 400, want: `{"message":"token has a character…`},
		{
			name: "a gateway that is not this kiosk's", route: "POST /v1/sessions", body: `{"correlationId":"c1","userId":"u","baseUrl":"https://evil.example"}`, code: 400,
			want: `{"message":"baseUrl is not this kiosk's gateway","errorCode":"SECURITY","detailedErrorCode":2204,"field":"baseUrl","retriable":false}`,
		},
		{
			name: "a second launch while one runs may be tried later", before: running, route: "POST /v1/sessions", body: `{"correlationId":"c2","userId":"u"}`, code: 409,
			want: `{"message":"another session is running","errorCode":"API","detailedErrorCode":2205,"retriable":true}`,
		},
		{
			name: "a correlation id that was used may not", before: ended(kiosk.Result{Status: kiosk.Completed}), route: "POST /v1/sessions", body: launch, code: 409,
			want: `{"message":"correlationId was used before","errorCode":"API","detailedErrorCode":2201,"field":"correlationId","retriable":false}`,
		},
		{
			name: "a kiosk out of service says so", before: down, route: "POST /v1/sessions", body: launch, code: 503,
			want: `{"message":"the kiosk is out of service","errorCode":"API","detailedErrorCode":2205,"retriable":true}`,
		},
		{name: "a launch that fails on the kiosk tells no internals", before: broken(errors.New("SQL at 10.0.0.1")), route: "POST /v1/sessions", body: launch, code: 500, want: `{"message":"the launch failed on the kiosk: see its log"}`},

		{name: "a running session", before: running, route: "GET /v1/sessions/{id}", path: "/v1/sessions/s1", code: 200, want: `{"sessionId":"s1","correlationId":"c1","status":"RUNNING","retriable":false}`},
		{
			name: "a completed session", before: ended(kiosk.Result{Status: kiosk.Completed, SubmissionID: "sub"}), route: "GET /v1/sessions/{id}", path: "/v1/sessions/s1", code: 200,
			want: `{"sessionId":"s1","correlationId":"c1","status":"COMPLETED","submissionId":"sub","retriable":false}`,
		},
		{
			name: "a capture saved for later must not be captured again", before: ended(kiosk.Result{Status: kiosk.NotCompleted, Detail: kiosk.Saved}),
			route: "GET /v1/sessions/{id}", path: "/v1/sessions/s1", code: 200,
			want: `{"sessionId":"s1","correlationId":"c1","status":"NOT_COMPLETED","extra":{"errorCode":"NETWORK","detailedErrorCode":2299,"errorMessage":"the capture is saved on the kiosk and is delivered later: do not capture again"},"retriable":false}`,
		},
		{
			name: "a capture that was set aside is saved again once it is retried", route: "GET /v1/sessions/{id}", path: "/v1/sessions/s1", code: 200,
			before: ended(kiosk.Result{Status: kiosk.Errored, Error: kiosk.GatewayAPIError, Detail: kiosk.APIError}), // and s1-1 waits
			want:   `{"sessionId":"s1","correlationId":"c1","status":"NOT_COMPLETED","extra":{"errorCode":"NETWORK","detailedErrorCode":2299,…`,
		},
		{
			name: "a capture that is set aside while the outbox cannot be read", route: "GET /v1/sessions/{id}", path: "/v1/sessions/s1", code: 200,
			before: func(w *world) {
				ended(kiosk.Result{Status: kiosk.Errored, Error: kiosk.GatewayAPIError, Detail: kiosk.APIError})(w)
				broken(kiosk.ErrQueueBad)(w)
			},
			want: `{"sessionId":"s1","correlationId":"c1","status":"ERROR","extra":{"errorCode":"API","detailedErrorCode":2215,…`,
		},
		{
			name: "a failed verification may be launched again", before: ended(kiosk.Result{Status: kiosk.Errored, Error: kiosk.VerificationError, Detail: kiosk.VerificationFailed}),
			route: "GET /v1/sessions/{id}", path: "/v1/sessions/s1", code: 200,
			want: `{"sessionId":"s1","correlationId":"c1","status":"ERROR","extra":{"errorCode":"VERIFICATION","detailedErrorCode":2212,"errorMessage":"the verification failed"},"retriable":true}`,
		},
		{
			name: "a capture of an earlier run that waits for delivery", route: "GET /v1/sessions/{id}", path: "/v1/sessions/s1", code: 200,
			want: `{"sessionId":"s1","status":"NOT_COMPLETED","extra":{"errorCode":"NETWORK","detailedErrorCode":2299,"errorMessage":"the capture is saved on the kiosk and is delivered later: do not capture again"},"retriable":false}`,
		},
		{
			name: "a session of an earlier run that completed", route: "GET /v1/sessions/{id}", path: "/v1/sessions/s3", code: 200,
			want: `{"sessionId":"s3","status":"COMPLETED","retriable":false}`,
		},
		{
			name: "whether a session ever was cannot be said while the outbox cannot be read", before: broken(kiosk.ErrQueueBad),
			route: "GET /v1/sessions/{id}", path: "/v1/sessions/s3", code: 503, want: `{"message":"the outbox cannot be reached now: see the kiosk's log"}`,
		},
		{name: "staff use a control", before: running, route: "POST /v1/sessions/{id}/taps/{control}", path: "/v1/sessions/s1/taps/large", code: 204},
		{name: "nobody agrees for a visitor", before: running, route: "POST /v1/sessions/{id}/taps/{control}", path: "/v1/sessions/s1/taps/agree", code: 400, want: `{"message":"no control that staff may use for a visitor"}`},
		{name: "staff choose a language", before: running, route: "POST /v1/sessions/{id}/taps/{control}", path: "/v1/sessions/s1/taps/switch?locale=en_ID", code: 204},
		{name: "staff choose what nobody speaks", before: running, route: "POST /v1/sessions/{id}/taps/{control}", path: "/v1/sessions/s1/taps/switch?locale=fr", code: 400, want: `{"message":"locale is no language of this kiosk"}`},
		{name: "a control of nobody's session", route: "POST /v1/sessions/{id}/taps/{control}", path: "/v1/sessions/nobody/taps/large", code: 404, want: `{"message":"no such session"}`},
		{
			name: "a control of a session that has ended", before: ended(kiosk.Result{Status: kiosk.Completed}), route: "POST /v1/sessions/{id}/taps/{control}",
			path: "/v1/sessions/s1/taps/large", code: 409, want: `{"message":"the session has ended"}`,
		},
		{
			name: "a control of a daemon that stops", route: "POST /v1/sessions/{id}/taps/{control}", path: "/v1/sessions/s1/taps/help", code: 503, want: `{"message":"the daemon is stopping"}`,
			before: func(w *world) { running(w); broken(errLater)(w) },
		},
		{name: "a control where nobody may", drop: bare, route: "POST /v1/sessions/{id}/taps/{control}", path: "/v1/sessions/s1/taps/large", code: 501, want: `{"message":"this kiosk lets nobody use its screen from afar"}`},
		{name: "a session that never was", route: "GET /v1/sessions/{id}", path: "/v1/sessions/nobody", code: 404, want: `{"message":"no such session: it stored no capture, or it was long ago"}`},

		{name: "the events of a session that ended", before: ended(kiosk.Result{Status: kiosk.Completed}), route: "GET /v1/sessions/{id}/events", path: "/v1/sessions/s1/events", code: 200, want: `{"seq":1,…`},
		{name: "no events are left of a session of an earlier run", route: "GET /v1/sessions/{id}/events", path: "/v1/sessions/s3/events", code: 200, want: ``},
		{
			name: "the events of a session while the outbox cannot be read", before: broken(kiosk.ErrQueueBad), route: "GET /v1/sessions/{id}/events",
			path: "/v1/sessions/s3/events", code: 503, want: `{"message":"the outbox cannot be reached now: see the kiosk's log"}`,
		},
		{name: "the events of a session that never was", route: "GET /v1/sessions/{id}/events", path: "/v1/sessions/nobody/events", code: 404, want: `{"message":"no such session: it stored no capture, or it was long ago"}`},
		{name: "events of a session from nowhere", before: running, route: "GET /v1/sessions/{id}/events", path: "/v1/sessions/s1/events?from=-1", code: 400, want: `{"message":"from must be…`},
		{
			name: "an event of a record", route: "GET /v1/events", path: "/v1/events?from=0", code: 200, want: `{"seq":1,…`,
			before: func(w *world) {
				w.log.Publish(kiosk.Event{Kind: kiosk.EventUploaded, Session: "s1", Record: "s1-1", Text: "SELFIE"})
			},
		},
		{name: "all events", before: running, route: "GET /v1/events", path: "/v1/events?from=1", code: 200, want: `{"seq":1,…`},
		{name: "events with a parameter that does not exist", route: "GET /v1/events", path: "/v1/events?since=1", code: 400, want: `{"message":"there is no such parameter: only from, follow"}`},
		{name: "events to be followed perhaps", route: "GET /v1/events", path: "/v1/events?follow=maybe", code: 400, want: `{"message":"follow must be…`},

		{
			name: "a booking", route: "POST /v1/bookings", body: booking, code: 201,
			want: `{"correlationId":"b1","code":"58734559","booked":"…`,
		},
		{
			name: "somebody else's booking of the same correlation id", before: booked, route: "POST /v1/bookings", body: `{"correlationId":"b1","userId":"u2"}`, code: 409,
			want: `{"message":"correlationId is booked for somebody else or was used before: every session needs a new one","errorCode":"API","detailedErrorCode":2201,"field":"correlationId","retriable":false}`,
		},
		{
			name: "a booking more than there is room for", route: "POST /v1/bookings", body: booking, code: 409,
			before: func(w *world) { w.kiosk.set(func() { w.kiosk.booked = make([]kiosk.Booking, 2) }) },
			want:   `{"message":"the kiosk has no room for another booking","errorCode":"API","detailedErrorCode":2205,"retriable":true}`,
		},
		{
			name: "a booking of nobody", route: "POST /v1/bookings", body: `{"correlationId":"b1"}`, code: 400,
			want: `{"message":"userId is missing","errorCode":"API","detailedErrorCode":2206,"field":"userId","retriable":false}`,
		},
		{
			name: "a booking of a person whose id is too long", route: "POST /v1/bookings", body: `{"correlationId":"b1","userId":"` + strings.Repeat("x", 257) + `"}`, code: 400,
			want: `{"message":"userId is longer than 256 bytes",…`,
		},
		{
			name: "a booking with a token", route: "POST /v1/bookings", body: `{"correlationId":"b1","userId":"u","token":"SECRET"}`, code: 400,
			want: `{"message":"token is not a field of a booking, or is given twice",…`,
		},
		{name: "a booking while the outbox is down", before: broken(errors.New("SQL at 10.0.0.1")), route: "POST /v1/bookings", body: booking, code: 503, want: `{"message":"the bookings cannot be reached now: see the kiosk's log"}`},
		{name: "a booking where none are kept", drop: bare, route: "POST /v1/bookings", body: booking, code: 501, want: `{"message":"this kiosk takes no bookings"}`},
		{name: "no bookings", route: "GET /v1/bookings", code: 200, want: `[]`},
		{
			name: "bookings tell neither person nor token", route: "GET /v1/bookings", code: 200,
			before: func(w *world) {
				at := time.Unix(0, 0).UTC()
				w.kiosk.set(func() {
					w.kiosk.booked = []kiosk.Booking{
						{CorrelationID: "b1", UserID: "SECRET-USER", Booked: at, Token: kiosk.UserToken{Expires: at.Add(time.Hour)}},
						{CorrelationID: "b2", UserID: "SECRET-USER", Booked: at},
						{CorrelationID: "b3", UserID: "SECRET-USER", Booked: at, Token: kiosk.UserToken{Value: "SECRET-TOKEN"}},
					}
				})
			},
			want: `[{"correlationId":"b1","code":"58734559","booked":"1970-01-01T00:00:00Z","fetched":true,"expires":"1970-01-01T01:00:00Z"},{"correlationId":"b2","code":"30304494","booked":"1970-01-01T00:00:00Z","fetched":false},{"correlationId":"b3","code":"64484962","booked":"1970-01-01T00:00:00Z","fetched":true}]`,
		},
		{name: "bookings while the outbox is down", before: broken(kiosk.ErrQueueBad), route: "GET /v1/bookings", code: 503, want: `{"message":"the bookings cannot be…`},
		{name: "bookings where none are kept", drop: bare, route: "GET /v1/bookings", code: 501, want: `{"message":"this kiosk takes no bookings"}`},
		{name: "a booking is taken back", before: booked, route: "DELETE /v1/bookings/{correlationId}", path: "/v1/bookings/b1", code: 204, want: ``},
		{name: "a booking that is not there", before: booked, route: "DELETE /v1/bookings/{correlationId}", path: "/v1/bookings/b2", code: 404, want: `{"message":"no such booking"}`},
		{name: "a booking is not taken back while the outbox is down", before: broken(kiosk.ErrQueueBad), route: "DELETE /v1/bookings/{correlationId}", path: "/v1/bookings/b1", code: 503, want: `{"message":"the bookings cannot be…`},
		{name: "a booking where none are kept cannot be taken back", drop: bare, route: "DELETE /v1/bookings/{correlationId}", path: "/v1/bookings/b1", code: 501, want: `{"message":"this kiosk takes no bookings"}`},
		{name: "a kiosk that is not drained", route: "GET /v1/drain", code: 200, want: `{"draining":false,"drained":false,"left":"nothing","unsent":1}`},
		{name: "a kiosk that nobody can drain", drop: bare, route: "GET /v1/drain", code: 501, want: `{"message":"this kiosk cannot be drained"}`},
		{name: "a drain", route: "POST /v1/drain", code: 200, want: `{"draining":true,"drained":true,"left":"nothing","unsent":1}`},
		{name: "a drain while a person is there", before: running, route: "POST /v1/drain", code: 200, want: `{"draining":true,"drained":false,"left":"session","unsent":1}`},
		{name: "a drain of a daemon that stops", before: broken(errors.New("SQL at 10.0.0.1")), route: "POST /v1/drain", code: 503, want: `{"message":"the daemon is stopping"}`},
		{name: "a drain where nobody can", drop: bare, route: "POST /v1/drain", code: 501, want: `{"message":"this kiosk cannot be drained"}`},
		{
			name: "a drain is ended", route: "DELETE /v1/drain", code: 200, want: `{"draining":false,"drained":false,"left":"nothing","unsent":1}`,
			before: func(w *world) { w.ask("POST", "/v1/drain", "") },
		},
		{name: "a drain of a daemon that stops is not ended", before: broken(kiosk.ErrQueueBad), route: "DELETE /v1/drain", code: 503, want: `{"message":"the daemon is stopping"}`},
		{name: "a drain is ended where nobody can", drop: bare, route: "DELETE /v1/drain", code: 501, want: `{"message":"this kiosk cannot be drained"}`},
		{
			name: "a lock is ended", route: "DELETE /v1/lock", code: 204,
			before: func(w *world) { w.ask("POST", "/v1/drain", "") },
		},
		{name: "a kiosk that is not locked", route: "DELETE /v1/lock", code: 404, want: `{"message":"the kiosk is not locked"}`},
		{name: "a lock of a daemon that stops", before: broken(errLater), route: "DELETE /v1/lock", code: 503, want: `{"message":"the daemon is stopping"}`},
		{name: "a kiosk that cannot be locked", drop: bare, route: "DELETE /v1/lock", code: 501, want: `{"message":"this kiosk cannot be locked"}`},
		{
			name: "a healthy kiosk without a network", route: "GET /v1/health", code: 200,
			want: `{"healthy":true,"checks":[{"name":"camera","finding":"ok","text":"probed: false"},{"name":"screen","finding":"ok","text":"drawn"},{"name":"gateway","finding":"tolerated","text":"out"}]}`,
		},
		{name: "a kiosk that is not", before: broken(errLater), route: "GET /v1/health", code: 200, want: `{"healthy":false,…`},
		{name: "a kiosk that is examined", route: "POST /v1/health", code: 200, want: `{"healthy":true,"checks":[{"name":"camera","finding":"ok","text":"probed: true"}…`},
		{name: "a kiosk that tells nobody how it is", drop: bare, route: "GET /v1/health", code: 501, want: `{"message":"this kiosk tells nobody how it is"}`},
		{name: "a kiosk that lets nobody examine it", drop: bare, route: "POST /v1/health", code: 501, want: `{"message":"this kiosk tells nobody how it is"}`},
		{name: "metrics", route: "GET /metrics", code: 200, want: `kiosk_up 1`},
		{name: "metrics where none are kept", drop: bare, route: "GET /metrics", code: 404, want: `{"message":"this kiosk keeps no metrics"}`},

		{
			name: "the status of a kiosk that is well", route: "GET /v1/status", code: 200,
			want: `{"version":"1.2.3","ready":true,"phase":"idle","faults":[],"sessionRunning":false,"uptimeSeconds":0,"camera":{"source":"clip","frames":0,"dropped":0,"framesPerSecond":0,"identity":"","mode":"","trust":"","lost":0,"reopened":0,"resets":0,"exposure":{"mode":"face","stops":0.5},"flawed":0,"short":0,"corrupt":0,"stale":0,"starved":0},"network":[],"clock":{"known":false,"trusted":false,"skewSeconds":0},"models":{"version":"","why":"","trial":false,"previous":"","sessions":0,"rejected":0,"sessionsBefore":0,"rejectedBefore":0,"rollbacks":0},"queue":{"waiting":1,"done":1,"dead":1,"review":1,"bytes":600}}`,
		},
		{
			name: "the status of a kiosk whose outbox cannot be read", before: broken(kiosk.ErrQueueBad), route: "GET /v1/status", code: 200,
			want: `{"version":"1.2.3","ready":true,"phase":"idle","faults":[],"sessionRunning":false,"uptimeSeconds":0,"camera":{"source":"clip","frames":0,"dropped":0,"framesPerSecond":0,"identity":"","mode":"","trust":"","lost":0,"reopened":0,"resets":0,"exposure":{"mode":"face","stops":0.5},"flawed":0,"short":0,"corrupt":0,"stale":0,"starved":0},"network":[],"clock":{"known":false,"trusted":false,"skewSeconds":0},"models":{"version":"","why":"","trial":false,"previous":"","sessions":0,"rejected":0,"sessionsBefore":0,"rejectedBefore":0,"rollbacks":0},"queue":null}`,
		},
		{
			name: "the status of a kiosk with alarms", route: "GET /v1/status", code: 200, want: `{"version":"1.2.3",…`,
			before: func(w *world) {
				w.kiosk.set(func() {
					w.kiosk.alarm = func(s *api.Status) {
						s.Quarantined, s.Orphans = "/var/lib/kioskd/outbox.db.bad-1", 3
						s.Volume = &api.VolumeStatus{State: "volatile", Cause: "read_only", Losses: 1}
						s.Panel = []kiosk.Line{{Role: kiosk.TamperLine, Name: "CASE", Chip: "gpiochip0", Direction: kiosk.LineIn, State: kiosk.LineOwned, On: new(true)}}
						s.Languages, s.LanguageProblems = []api.Language{{Locale: "id", Name: "Bahasa Indonesia"}}, 1
						s.Models = api.ModelsStatus{Problem: "no key", Bundles: []api.BundleStatus{{File: "models_2.tar", Version: "2", Why: "kept"}}}
						s.Tamper = kiosk.Tamper{Latched: true, Opened: time.Unix(0, 0), Cleared: time.Unix(0, 0), By: "uid 7"}
						s.KeyStore, s.Mode, s.RelayKey = "file", "relay", "0123456789abcdef0123456789abcdef"
						s.Network = []api.ServiceStatus{{Service: kiosk.GatewayService, State: api.ReachOut, Trouble: kiosk.TroubleDNS, Since: time.Unix(0, 0), Failures: 2}}
					}
				})
			},
		},
		{name: "the outbox", before: confirmed, route: "GET /v1/queue", code: 200, want: `[{"record":"s1-1","session":"s1","attempt":1,"state":"queued","review":false,"queued":"1970-01-01T00:00:00Z","bytes":300},…`},
		{name: "an outbox that cannot be read", before: broken(kiosk.ErrQueueBad), route: "GET /v1/queue", code: 503, want: `{"message":"the outbox cannot be reached now: see the kiosk's log"}`},
		{name: "a dead letter is tried again", route: "POST /v1/queue/{record}/retry", path: "/v1/queue/s2-1/retry", code: 204, want: ``},
		{name: "a record that waits is left waiting", route: "POST /v1/queue/{record}/retry", path: "/v1/queue/s1-1/retry", code: 204, want: ``},
		{name: "a settled record is not tried again", route: "POST /v1/queue/{record}/retry", path: "/v1/queue/s3-1/retry", code: 404, want: `{"message":"no such record, or it is settled"}`},
		{
			name: "a record whose images are gone", before: broken(kiosk.ErrNoImages), route: "POST /v1/queue/{record}/retry", path: "/v1/queue/s2-1/retry", code: 410,
			want: `{"message":"the record has no images any more: the person has to come again"}`,
		},
		{
			name: "a record of another key", before: broken(kiosk.ErrSealBroken), route: "POST /v1/queue/{record}/retry", path: "/v1/queue/s2-1/retry", code: 409,
			want: `{"message":"the record does not open with this device's key: put its own key back first","retriable":true}`,
		},
		{name: "a retry while the outbox is down", before: broken(errors.New("SQL at 10.0.0.1")), route: "POST /v1/queue/{record}/retry", path: "/v1/queue/s2-1/retry", code: 503, want: `{"message":"the outbox cannot be reached now: see the kiosk's log"}`},
		{name: "a retry where nobody decides", drop: bare, route: "POST /v1/queue/{record}/retry", path: "/v1/queue/s2-1/retry", code: 501, want: `{"message":"this kiosk takes no decisions about records"}`},
		{name: "a retry of what no record is called", route: "POST /v1/queue/{record}/retry", path: "/v1/queue/%1B%5B2J/retry", code: 400, want: `{"message":"a record's id has 1 to 256 bytes that can be printed"}`},

		{
			name: "a record", before: confirmed, route: "GET /v1/queue/{record}", path: "/v1/queue/s4-1", code: 200,
			want: `{"record":"s4-1","session":"s4","attempt":1,"state":"confirmed","review":false,"submissionId":"sub-4","queued":"1970-01-01T00:00:00Z","bytes":300,"key":"k1",` +
				`"relay":"r1","changed":"1970-01-01T00:00:00Z","by":"uid 7","age":60,"expires":3600,"parts":[{"name":"meta","bytes":90,"opens":true}],` +
				`"uploaded":["SELFIE","ADDITIONAL_SELFIE"],"confirmed":true,"failures":2,"notBefore":"1970-01-01T00:00:00Z"}`,
		},
		{name: "a dead letter", route: "GET /v1/queue/{record}", path: "/v1/queue/s2-1", code: 200, want: `{"record":"s2-1","session":"s2","attempt":1,"state":"dead","review":true,"reason":"404",…`},
		{name: "a settled record", route: "GET /v1/queue/{record}", path: "/v1/queue/s3-1", code: 200, want: `{"record":"s3-1",…`},
		{name: "a record that never was", route: "GET /v1/queue/{record}", path: "/v1/queue/nobody", code: 404, want: `{"message":"no such record, or it is settled"}`},
		{name: "a record with an endless id", route: "GET /v1/queue/{record}", path: "/v1/queue/" + strings.Repeat("x", 257), code: 400, want: `{"message":"a record's id has…`},
		{name: "a record while the outbox is down", before: broken(kiosk.ErrQueueBad), route: "GET /v1/queue/{record}", path: "/v1/queue/s1-1", code: 503, want: `{"message":"the outbox cannot be reached…`},
		{name: "a record where nobody decides", drop: bare, route: "GET /v1/queue/{record}", path: "/v1/queue/s1-1", code: 501, want: `{"message":"this kiosk takes no decisions…`},

		{name: "a dead letter is dropped", route: "POST /v1/queue/{record}/drop", path: "/v1/queue/s2-1/drop", body: `{"reason":"came again"}`, code: 200, want: `{"record":"s2-1","confirmed":false}`},
		{name: "a record that waits is dropped", route: "POST /v1/queue/{record}/drop", path: "/v1/queue/s1-1/drop", body: `{"reason":"r"}`, code: 200, want: `{"record":"s1-1","confirmed":false}`},
		{
			name: "a drop tells what the gateway has", before: confirmed, route: "POST /v1/queue/{record}/drop", path: "/v1/queue/s4-1/drop", body: `{"reason":"consent withdrawn"}`, code: 200,
			want: `{"record":"s4-1","submissionId":"sub-4","uploaded":["SELFIE","ADDITIONAL_SELFIE"],"confirmed":true}`,
		},
		{
			name: "a record is not dropped without a reason", route: "POST /v1/queue/{record}/drop", path: "/v1/queue/s2-1/drop", body: `{"reason":" "}`, code: 400,
			want: `{"message":"reason is missing","errorCode":"API","detailedErrorCode":2206,"field":"reason","retriable":false}`,
		},
		{name: "a reason that is too long", route: "POST /v1/queue/{record}/drop", path: "/v1/queue/s2-1/drop", body: `{"reason":"` + strings.Repeat("x", 257) + `"}`, code: 400, want: `{"message":"reason is longer than 256 bytes",…`},
		{name: "a reason that would break a terminal", route: "POST /v1/queue/{record}/drop", path: "/v1/queue/s2-1/drop", body: `{"reason":"a\u001b[2J"}`, code: 400, want: `{"message":"reason has a character that cannot be printed",…`},
		{name: "a drop of a field that is none", route: "POST /v1/queue/{record}/drop", path: "/v1/queue/s2-1/drop", body: `{"why":"a"}`, code: 400, want: `{"message":"why is not a field of a drop, or is given twice",…`},
		{name: "a drop with a body that is too long", route: "POST /v1/queue/{record}/drop", path: "/v1/queue/s2-1/drop", body: strings.Repeat(" ", 64<<10+1), code: 400, want: `{"message":"the body is longer than 65536 bytes",…`},
		{name: "a drop of what no record is called", route: "POST /v1/queue/{record}/drop", path: "/v1/queue/%FF/drop", body: `{"reason":"r"}`, code: 400, want: `{"message":"a record's id has…`},
		{name: "a settled record is not dropped", route: "POST /v1/queue/{record}/drop", path: "/v1/queue/s3-1/drop", body: `{"reason":"r"}`, code: 404, want: `{"message":"no such record, or it is settled"}`},
		{name: "a record that never was is not dropped", route: "POST /v1/queue/{record}/drop", path: "/v1/queue/nobody/drop", body: `{"reason":"r"}`, code: 404, want: `{"message":"no such record, or it is settled"}`},
		{name: "a drop while the outbox is down", before: broken(kiosk.ErrQueueBad), route: "POST /v1/queue/{record}/drop", path: "/v1/queue/s2-1/drop", body: `{"reason":"r"}`, code: 503, want: `{"message":"the outbox cannot be reached…`},
		{name: "a drop where nobody decides", drop: bare, route: "POST /v1/queue/{record}/drop", path: "/v1/queue/s2-1/drop", body: `{"reason":"r"}`, code: 501, want: `{"message":"this kiosk takes no decisions…`},

		{
			name: "erasures", route: "GET /v1/queue/erasures", code: 200,
			before: func(w *world) {
				at := time.Unix(0, 0).UTC()
				w.kiosk.erased = []kiosk.Erasure{{Record: "s0-1", Why: "dropped", Epoch: "e:7", Removed: at, Erased: at}, {Booking: "7f", Why: "unbooked", Epoch: "e:8", Erased: at}}
			},
			want: `[{"record":"s0-1","why":"dropped","epoch":"e:7","removed":"1970-01-01T00:00:00Z","erased":"1970-01-01T00:00:00Z"},{"booking":"7f","why":"unbooked","epoch":"e:8","erased":"1970-01-01T00:00:00Z"}]`,
		},
		{name: "no erasures", route: "GET /v1/queue/erasures", code: 200, want: `[]`},
		{name: "erasures while the outbox is down", before: broken(kiosk.ErrQueueBad), route: "GET /v1/queue/erasures", code: 503, want: `{"message":"the outbox cannot be reached…`},
		{name: "erasures where nobody looks after the outbox", drop: bare, route: "GET /v1/queue/erasures", code: 501, want: `{"message":"this kiosk lets nobody look after its outbox"}`},
		{
			name: "keys", route: "GET /v1/keys", code: 200,
			before: func(w *world) {
				w.kiosk.keys = []kiosk.KeyUse{{Fingerprint: "k1", KEM: "x25519", Current: true, Records: 2, Bookings: 1}, {Fingerprint: "lost", Records: 3}}
			},
			want: `[{"fingerprint":"k1","kem":"x25519","current":true,"records":2,"bookings":1},{"fingerprint":"lost","current":false,"records":3,"bookings":0}]`,
		},
		{name: "no keys", route: "GET /v1/keys", code: 200, want: `[]`},
		{name: "keys while the outbox is down", before: broken(kiosk.ErrQueueBad), route: "GET /v1/keys", code: 503, want: `{"message":"the outbox cannot be reached…`},
		{name: "keys where nobody looks after the outbox", drop: bare, route: "GET /v1/keys", code: 501, want: `{"message":"this kiosk lets nobody…`},

		{
			name: "a verification", route: "POST /v1/queue/verify", code: 200,
			before: func(w *world) {
				w.kiosk.found = kiosk.Verification{Records: 3, Parts: 9, Bytes: 900, Broken: []kiosk.RecordID{"s2-1"}, Erasures: 4, Unproven: 1, Tampered: true}
			},
			want: `{"done":1,"total":3}` + "\n" + `{"done":3,"total":3,"result":{"records":3,"parts":9,"bytes":900,"broken":["s2-1"],"erasures":4,"unproven":1,"tampered":true}}`,
		},
		{
			name: "a verification that is cut short", before: broken(errLater), route: "POST /v1/queue/verify", code: 200,
			want: `{"done":1,"total":3}` + "\n" + `{"done":1,"total":3,"problem":"the outbox cannot be read on: see the kiosk's log"}`,
		},
		{name: "a verification while the outbox is down", before: broken(kiosk.ErrQueueBad), route: "POST /v1/queue/verify", code: 503, want: `{"message":"the outbox cannot be reached…`},
		{name: "a verification where nobody looks after the outbox", drop: bare, route: "POST /v1/queue/verify", code: 501, want: `{"message":"this kiosk lets nobody…`},
		{name: "a verification beside another one", before: underUpkeep, route: "POST /v1/queue/verify", code: 409, want: `{"message":"the outbox is being verified, exported or compacted already","retriable":true}`},

		{name: "an export", before: func(w *world) { w.kiosk.export = []string{"sea", "led"} }, route: "POST /v1/queue/export", body: "public key", code: 200, want: `sealed`},
		{name: "an export of nothing", route: "POST /v1/queue/export", body: "public key", code: 200, want: ``},
		{
			name: "an export for what is no key, which is not repeated", route: "POST /v1/queue/export", body: "SECRET", code: 400,
			want: `{"message":"the body is not a public key in PEM, as kioskctl keys public prints it"}`,
		},
		{name: "an export for an endless key", route: "POST /v1/queue/export", body: strings.Repeat("x", 64<<10+1), code: 400, want: `{"message":"the body is longer than 65536 bytes"}`},
		{name: "an export while the outbox is down", before: broken(kiosk.ErrQueueBad), route: "POST /v1/queue/export", body: "public key", code: 503, want: `{"message":"the outbox cannot be reached…`},
		{name: "an export where nobody looks after the outbox", drop: bare, route: "POST /v1/queue/export", body: "public key", code: 501, want: `{"message":"this kiosk lets nobody…`},
		{name: "an export beside a verification", before: underUpkeep, route: "POST /v1/queue/export", body: "public key", code: 409, want: `{"message":"the outbox is being verified…`},

		{name: "a compaction", route: "POST /v1/queue/compact", code: 200, want: `{"before":300,"after":200}`},
		{
			name: "a compaction while a person is there", before: running, route: "POST /v1/queue/compact", code: 409,
			want: `{"message":"a session is in progress: compact the outbox once the visitor has left","retriable":true}`,
		},
		{name: "a compaction beside a verification", before: underUpkeep, route: "POST /v1/queue/compact", code: 409, want: `{"message":"the outbox is being verified…`},
		{name: "a compaction that fails", before: broken(errors.New("SQL at 10.0.0.1")), route: "POST /v1/queue/compact", code: 503, want: `{"message":"the outbox cannot be reached…`},
		{name: "a compaction where nobody looks after the outbox", drop: bare, route: "POST /v1/queue/compact", code: 501, want: `{"message":"this kiosk lets nobody…`},
		{
			name: "the lines of the machine", route: "GET /v1/panel", code: 200,
			before: func(w *world) {
				w.kiosk.lines = []kiosk.Line{
					{Role: kiosk.RingLine, Name: "GPIO17", Chip: "gpiochip0", Offset: 17, Direction: kiosk.LineOut, State: kiosk.LineOwned, Holder: "kioskd ring", On: new(false)},
					{Role: kiosk.HelpLine, Name: "HELP", Direction: kiosk.LineIn, State: kiosk.LineMissing},
				}
			},
			want: `[{"role":"ring","name":"GPIO17","chip":"gpiochip0","offset":17,"direction":"out","state":"owned","holder":"kioskd ring","on":false},` +
				`{"role":"help","name":"HELP","offset":0,"direction":"in","state":"missing"}]`,
		},
		{name: "a machine without lines, or whose chips cannot be opened", before: broken(errors.New("gpiochip0: permission denied")), route: "GET /v1/panel", code: 200, want: `[]`},
		{name: "lines where there is no panel", drop: bare, route: "GET /v1/panel", code: 501, want: `{"message":"this kiosk lets nobody look after its panel"}`},
		{name: "an output that is switched", route: "POST /v1/panel/{role}", path: "/v1/panel/door", body: `{"on":true,"milliseconds":2000}`, code: 204, want: ``},
		{
			name: "an output that is switched for no time", route: "POST /v1/panel/{role}", path: "/v1/panel/door", body: `{"on":true}`, code: 400,
			want: `{"message":"milliseconds is outside 100..60000","errorCode":"API","detailedErrorCode":2201,"field":"milliseconds","retriable":false}`,
		},
		{name: "an output that is switched for ever", route: "POST /v1/panel/{role}", path: "/v1/panel/door", body: `{"on":true,"milliseconds":60001}`, code: 400, want: `{"message":"milliseconds is outside…`},
		{name: "an output that is switched to nothing", route: "POST /v1/panel/{role}", path: "/v1/panel/door", body: `{"milliseconds":2000}`, code: 400, want: `{"message":"on is missing",…`},
		{name: "an output that is switched by halves", route: "POST /v1/panel/{role}", path: "/v1/panel/door", body: `{"on":0.5,"milliseconds":2000}`, code: 400, want: `{"message":"on has the wrong type",…`},
		{name: "an input that is switched", route: "POST /v1/panel/{role}", path: "/v1/panel/help", body: `{"on":true,"milliseconds":2000}`, code: 404, want: `{"message":"no such output is configured: see kioskctl panel"}`},
		{
			name: "an output that is not there", route: "POST /v1/panel/{role}", path: "/v1/panel/buzzer", body: `{"on":true,"milliseconds":2000}`, code: 409,
			want: `{"message":"the line is not there, or somebody else uses it: see kioskctl panel","retriable":true}`,
		},
		{
			name: "an output that is switched while a person is there", before: running, route: "POST /v1/panel/{role}", path: "/v1/panel/door", body: `{"on":true,"milliseconds":2000}`, code: 409,
			want: `{"message":"a session is in progress: wait until the visitor has left","retriable":true}`,
		},
		{
			name: "an output of a panel that has ended", before: broken(errors.New("SQL at 10.0.0.1")), route: "POST /v1/panel/{role}", path: "/v1/panel/door", body: `{"on":true,"milliseconds":2000}`, code: 503,
			want: `{"message":"the panel cannot be reached now: see the kiosk's log"}`,
		},
		{name: "an output where there is no panel", drop: bare, route: "POST /v1/panel/{role}", path: "/v1/panel/door", body: `{"on":true,"milliseconds":2000}`, code: 501, want: `{"message":"this kiosk lets nobody…`},
		{name: "a latch that is cleared", before: func(w *world) { w.kiosk.latched = true }, route: "POST /v1/panel/tamper/clear", code: 204, want: ``},
		{
			name: "a latch that is cleared while the case is open", before: func(w *world) { w.kiosk.latched, w.kiosk.open = true, true }, route: "POST /v1/panel/tamper/clear", code: 409,
			want: `{"message":"the case is open: close it first","retriable":true}`,
		},
		{name: "a latch that is none", route: "POST /v1/panel/tamper/clear", code: 404, want: `{"message":"no tampering is latched"}`},
		{name: "a latch that cannot be written", before: broken(errors.New("disk")), route: "POST /v1/panel/tamper/clear", code: 503, want: `{"message":"the panel cannot be reached…`},
		{name: "a latch where there is no panel", drop: bare, route: "POST /v1/panel/tamper/clear", code: 501, want: `{"message":"this kiosk lets nobody…`},
		{
			name: "the cameras", route: "GET /v1/cameras", code: 200, before: func(w *world) {
				w.kiosk.cameras = []api.Camera{
					{Path: "/dev/video0", Card: "Cam", Identity: "driver=x bus=y", At: "/sys/devices/z", Trusted: true, Reason: "real", Modes: []string{"MJPG 1280x720 30/s"}, Mode: "MJPG 1280x720 30/s", Why: "wanted"},
					{Path: "/dev/video1", Modes: []string{}, Problem: "not a camera"},
				}
			},
			want: `[{"path":"/dev/video0","card":"Cam","identity":"driver=x bus=y","at":"/sys/devices/z","trusted":true,"reason":"real","modes":["MJPG 1280x720 30/s"],"mode":"MJPG 1280x720 30/s","why":"wanted"},{"path":"/dev/video1"…`,
		},
		{name: "no camera", route: "GET /v1/cameras", code: 200, want: `[]`},
		{name: "cameras that cannot be listed", before: broken(errLater), route: "GET /v1/cameras", code: 503, want: `{"message":"later"}`},
		{name: "cameras where nobody looks after them", drop: bare, route: "GET /v1/cameras", code: 501, want: `{"message":"this kiosk lets nobody look after its camera"}`},
		{
			name: "a probe", route: "POST /v1/cameras/probe", code: 200,
			want: `{"identity":"driver=x bus=y","mode":"MJPG 1280x720 30/s","controls":"","seconds":3,"framesPerSecond":29.5,"frames":88,"lost":0,"flawed":0,"short":0,"corrupt":1,"stale":0,"starved":0}`,
		},
		{name: "a probe in a session", before: running, route: "POST /v1/cameras/probe", code: 409, want: `{"message":"the kiosk needs the camera itself: try once the visitor has left","retriable":true}`},
		{name: "a probe of a camera that is gone", before: broken(errors.New("/dev/video0: camera was unplugged")), route: "POST /v1/cameras/probe", code: 503, want: `{"message":"/dev/video0: camera was unplugged"}`},
		{name: "a probe where nobody looks after the camera", drop: bare, route: "POST /v1/cameras/probe", code: 501, want: `{"message":"this kiosk lets nobody…`},
		{name: "a picture", route: "POST /v1/cameras/picture", body: `{"consent":true}`, code: 200, want: `a picture`},
		{name: "a picture without consent", route: "POST /v1/cameras/picture", body: `{"consent":false}`, code: 400, want: `{"message":"consent must be true: whoever…`},
		{name: "a picture of which nothing is said", route: "POST /v1/cameras/picture", body: `{}`, code: 400, want: `{"message":"consent must be true: whoever…`},
		{name: "a picture with something else", route: "POST /v1/cameras/picture", body: `{"consent":true,"of":"SECRET"}`, code: 400, want: `{"message":"of is not a field of a picture…`},
		{name: "a picture in a session", before: running, route: "POST /v1/cameras/picture", body: `{"consent":true}`, code: 409, want: `{"message":"the kiosk needs the camera…`},
		{name: "a picture of a camera that is gone", before: broken(errLater), route: "POST /v1/cameras/picture", body: `{"consent":true}`, code: 503, want: `{"message":"later"}`},
		{name: "a picture where nobody looks after the camera", drop: bare, route: "POST /v1/cameras/picture", body: `{"consent":true}`, code: 501, want: `{"message":"this kiosk lets nobody…`},
		{name: "health of a kiosk out of service", before: down, route: "GET /healthz", code: 200, want: `{"message":"ok"}`},
		{name: "readiness", route: "GET /readyz", code: 200, want: `{"message":"ready"}`},
		{
			name: "what was commissioned", route: "GET /v1/commission", code: 200,
			want: `{"file":"/p.json","inUse":true,"reason":"it is of this camera","camera":"c","steps":[{"step":"focus","note":"","progress":1,"figures":{"sharpness":40},"ended":true,"passed":true}]}`,
		},
		{name: "what was commissioned of a kiosk that cannot be", drop: bare, route: "GET /v1/commission", code: 501, want: `{"message":"this kiosk cannot be commissioned"}`},
		{
			name: "a step", route: "POST /v1/commission/{step}", path: "/v1/commission/focus", body: `{"consent":true,"heightCm":150}`, code: 200,
			want: `{"step":"focus","note":"","progress":1,"figures":{"sharpness":40},"ended":false,"passed":false}` + "\n" + `{"step":"focus","note":"","progress":1,"figures":{"sharpness":40},"ended":true,"passed":true}`,
		},
		{
			name: "a step that a session ends", route: "POST /v1/commission/{step}", path: "/v1/commission/lens", body: `{"consent":true}`, code: 200,
			want: `{"step":"lens","note":"","progress":1,"figures":{"sharpness":40},"ended":false,"passed":false}` + "\n" +
				`{"step":"lens","note":"","progress":0,"figures":{},"ended":true,"passed":false,"problem":"the kiosk needs the camera itself: try once the visitor has left"}`,
		},
		{name: "a step that there is not", route: "POST /v1/commission/{step}", path: "/v1/commission/polish", body: `{"consent":true}`, code: 400, want: `{"message":"there is no such step"}`},
		{name: "a step without consent", route: "POST /v1/commission/{step}", path: "/v1/commission/focus", body: `{}`, code: 400, want: `{"message":"consent must be true: whoever…`},
		{name: "a step with something else", route: "POST /v1/commission/{step}", path: "/v1/commission/focus", body: `{"consent":true,"of":"SECRET"}`, code: 400, want: `{"message":"of is not a field of a task…`},
		{name: "a step that never ends", route: "POST /v1/commission/{step}", path: "/v1/commission/focus", body: `{"consent":true,"withinMs":900000}`, code: 400, want: `{"message":"withinMs is outside…`},
		{name: "a step that begins much later", route: "POST /v1/commission/{step}", path: "/v1/commission/focus", body: `{"consent":true,"delayMs":-1}`, code: 400, want: `{"message":"delayMs is outside…`},
		{name: "a task that cannot be done", route: "POST /v1/commission/{step}", path: "/v1/commission/distance", body: `{"consent":true}`, code: 400, want: `{"message":"a task that cannot be done: how far"}`},
		{name: "a step beside another", route: "POST /v1/commission/{step}", path: "/v1/commission/focus", body: `{"consent":true,"delayMs":1}`, code: 409, want: `{"message":"another step of commissioning…`},
		{name: "a step in a session", before: running, route: "POST /v1/commission/{step}", path: "/v1/commission/focus", body: `{"consent":true}`, code: 409, want: `{"message":"the kiosk needs the camera…`},
		{name: "a step of a camera that is gone", before: broken(errLater), route: "POST /v1/commission/{step}", path: "/v1/commission/focus", body: `{"consent":true}`, code: 503, want: `{"message":"later"}`},
		{name: "a step of a kiosk that cannot be commissioned", drop: bare, route: "POST /v1/commission/{step}", path: "/v1/commission/focus", body: `{"consent":true}`, code: 501, want: `{"message":"this kiosk cannot be commissioned"}`},
		{name: "readiness of a kiosk out of service", before: down, route: "GET /readyz", code: 503, want: `{"message":"out of service: [camera]"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			if tt.drop != nil {
				w = newWorldOn(t, nil, tt.drop)
			}
			if tt.before != nil {
				tt.before(w)
			}
			method, path, _ := strings.Cut(tt.route, " ")
			if tt.path != "" {
				path = tt.path
			}
			rec := w.record(method, path, tt.body)
			code, answer := rec.Code, strings.TrimSpace(rec.Body.String())
			begin, cut := strings.CutSuffix(tt.want, "…")
			as := answer == tt.want || cut && strings.HasPrefix(answer, begin)
			if code != tt.code || !as {
				t.Errorf("%s %s = %d\n%s\nwant %d\n%s", method, path, code, answer, tt.code, tt.want)
			}
			if all := w.logged.String() + answer; strings.Contains(all, "SECRET") {
				t.Errorf("a secret was answered or logged:\n%s", all)
			}
			// Nothing that the document does not promise.
			if h := rec.Header(); h.Get("Cache-Control") != "no-store" && answer != "" && tt.route != "GET /metrics" {
				t.Errorf("the answer may be cached: %v", h)
			}
			rec.Header().Del("Cache-Control")
			if err := document.Hold(apitest.Answer{Route: tt.route, Status: code, Header: rec.Header(), Body: rec.Body.Bytes()}); err != nil {
				t.Error(err)
			}
		})
	}
	// And all that it does.
	unseen, err := document.Unseen()
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range unseen {
		if !strings.HasSuffix(what, " 403") && !strings.Contains(what, "/Forbidden ") { // which has a test of its own
			t.Errorf("openapi.yaml promises what no answer here has: %s", what)
		}
	}
}

func TestMissesAreJSONToo(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		name, method, path string
		allow              string // "": there is no such route
	}{
		{"a route that does not exist", "GET", "/v2/status", ""},
		{"a method that a route does not have", "DELETE", "/v1/sessions/s1", "GET"},
		{"a launch by GET", "GET", "/v1/sessions", "POST"},
		{"a change of a booking", "PUT", "/v1/bookings", "GET, POST"},
		{"a verification by GET, which is no record", "GET", "/v1/queue/verify", "POST"},
		{"erasures that are posted", "POST", "/v1/queue/erasures", "GET"},
		{"a drop by DELETE", "DELETE", "/v1/queue/s1-1", "GET"},
		{"a line by GET", "GET", "/v1/panel/ring", "POST"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec := w.record(tt.method, tt.path, "")
			code := http.StatusMethodNotAllowed
			if tt.allow == "" {
				code = http.StatusNotFound
			}
			var p struct{ Message string }
			if err := json.Unmarshal(rec.Body.Bytes(), &p); rec.Code != code || err != nil || p.Message == "" || rec.Header().Get("Allow") != tt.allow {
				t.Errorf("%s %s = %d %s with %v, want %d, a message and %q allowed", tt.method, tt.path, rec.Code, rec.Body, rec.Header(), code, tt.allow)
			}
		})
	}
}

func TestOptionsNameWhatIsMissing(t *testing.T) {
	k := &fakeKiosk{}
	for _, tt := range []struct {
		name string
		o    api.Options
	}{
		{"Launcher", api.Options{Queue: k, Log: api.NewEvents(0), Status: k.status}},
		{"Queue", api.Options{Launcher: k, Log: api.NewEvents(0), Status: k.status}},
		{"Log", api.Options{Launcher: k, Queue: k, Status: k.status}},
		{"Status", api.Options{Launcher: k, Queue: k, Log: api.NewEvents(0)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := api.New(tt.o); err == nil || !strings.Contains(err.Error(), tt.name) {
				t.Errorf("New() = %v, want an error that names %s", err, tt.name)
			}
		})
	}
}

// FuzzLaunch holds that whatever is sent, the answer is one of the documented
// ones, is JSON, and starts a session only of a valid launch.
func FuzzLaunch(f *testing.F) {
	for _, seed := range []string{
		`{"correlationId":"c","token":"t"}`, `{"correlationId":"c","userId":"u","locale":"en_ID","theme":"DARK_MODE","noTimeLimit":true}`,
		`{}`, `[]`, `null`, `{"correlationId":1}`, `{"a":{"b":[1,{}]}}`, `{"correlationId":"c","token":"t"} x`, "{\"\xff\":1}", `{"token":null}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		w := newWorld(t)
		code, answer := w.ask("POST", "/v1/sessions", string(body))
		if !json.Valid([]byte(answer)) || code != http.StatusCreated && code != http.StatusBadRequest {
			t.Fatalf("answered %d %s", code, answer)
		}
		if code != http.StatusCreated {
			return
		}
		if err := w.kiosk.launches[0].Validate(); err != nil {
			t.Errorf("an invalid launch was accepted: %v", err)
		}
		var loose map[string]any // what any JSON reader sees
		if err := json.Unmarshal(body, &loose); err != nil {
			t.Fatalf("accepted what is no JSON: %v", err)
		}
		if loose["correlationId"] != w.kiosk.launches[0].CorrelationID {
			t.Error("the correlation id is not the one that was sent")
		}
	})
}

// FuzzBooking holds of bookings what FuzzLaunch does of launches.
func FuzzBooking(f *testing.F) {
	for _, seed := range []string{
		`{"correlationId":"c","userId":"u"}`, `{"correlationId":"c","userId":"u","userIdType":"T","locale":"en_ID"}`,
		`{}`, `{"correlationId":"c","userId":"u","token":"t"}`, `{"userId":"u","userId":"v"}`, "{\"\xff\":1}", `{"locale":null}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		w := newWorld(t)
		code, answer := w.ask("POST", "/v1/bookings", string(body))
		if !json.Valid([]byte(answer)) || code != http.StatusCreated && code != http.StatusBadRequest {
			t.Fatalf("answered %d %s", code, answer)
		}
		if code != http.StatusCreated {
			return
		}
		b := w.kiosk.booked[0]
		if err := api.ValidateBooking(b); err != nil || b.Booked.IsZero() {
			t.Errorf("booked %v: %v", b.Booked, err)
		}
		var loose map[string]any
		if err := json.Unmarshal(body, &loose); err != nil || loose["userId"] != b.UserID {
			t.Errorf("the person is not the one that was sent, %v", err)
		}
	})
}

// socketPath returns a path that is short enough for a Unix socket.
func socketPath(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	if len(path) > 100 {
		t.Fatalf("the test's folder makes a path of %d bytes: set TMPDIR to a shorter one", len(path))
	}
	return path
}

// serve runs a world on a socket and returns it with a client, and what stops
// it and returns what Run did.
func serve(t *testing.T) (w *world, path string, stop func() error) {
	t.Helper()
	path = socketPath(t)
	l, err := api.Listen(t.Context(), path, "no-such-group")
	if err != nil {
		t.Fatal(err)
	}
	w = newWorldOn(t, l)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- w.server.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return w, path, stop
}

func TestASessionIsLaunchedAndFollowedToItsResult(t *testing.T) {
	w, path, _ := serve(t)
	c := api.NewClient(path)
	id, err := c.Launch(t.Context(), kiosk.Launch{CorrelationID: "c1", UserID: "u", Locale: kiosk.English, Theme: kiosk.Light, NoTimeLimit: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := w.kiosk.launches[0]; got.Locale != kiosk.English || got.Theme != kiosk.Light || !got.NoTimeLimit {
		t.Error("the launch lost something on its way")
	}
	var kinds []string
	err = c.Session(t.Context(), id, func(e kiosk.Event) error {
		kinds = append(kinds, string(e.Kind))
		if e.Kind == kiosk.EventLaunched { // the stream is open: go on with the session
			w.log.Publish(kiosk.Event{Kind: kiosk.EventHint, Session: "other"})
			w.log.Publish(kiosk.Event{Kind: kiosk.EventHint, Session: id, Text: "no_face"})
			w.kiosk.end(kiosk.Result{Session: id, Status: kiosk.Completed, SubmissionID: "sub"})
		}
		return nil
	})
	if want := []string{"launched", "hint", "result"}; err != nil || !slices.Equal(kinds, want) {
		t.Errorf("followed %v, %v; want %v and its end", kinds, err, want)
	}
	res, err := c.Result(t.Context(), id)
	if err != nil || res.Status != kiosk.Completed || res.SubmissionID != "sub" {
		t.Errorf("Result() = %+v, %v", res, err)
	}
	// What comes after the result is there for whoever asks again.
	w.log.Publish(kiosk.Event{Kind: kiosk.EventSettled, Session: id})
	kinds = nil
	err = c.Session(t.Context(), id, func(e kiosk.Event) error {
		kinds = append(kinds, string(e.Kind))
		return nil
	})
	if want := []string{"launched", "hint", "result", "settled"}; err != nil || !slices.Equal(kinds, want) {
		t.Errorf("followed %v, %v afterwards; want %v", kinds, err, want)
	}
}

func TestRefusalsReachTheClientWhole(t *testing.T) {
	w, path, _ := serve(t)
	c := api.NewClient(path)
	w.kiosk.set(func() { w.kiosk.faults = []kiosk.Fault{kiosk.StorageFault} })
	_, err := c.Launch(t.Context(), kiosk.Launch{CorrelationID: "c", UserID: "u", Locale: kiosk.English, Theme: kiosk.Dark})
	want := api.RefusalError{HTTP: 503, Message: "the kiosk is out of service", ErrorCode: kiosk.GatewayAPIError, Detail: kiosk.UnknownError, Retriable: true, RetryAfter: 30 * time.Second}
	if r, ok := errors.AsType[*api.RefusalError](err); !ok || *r != want {
		t.Errorf("Launch() = %+v, want %+v", err, want)
	}
	_, err = c.Result(t.Context(), "no/such session?")
	if r, ok := errors.AsType[*api.RefusalError](err); !ok || r.HTTP != 404 {
		t.Errorf("Result() = %v of an unknown session, want a 404", err)
	}
}

func TestRunWithoutAListenerIsAnError(t *testing.T) {
	if err := newWorld(t).server.Run(t.Context()); err == nil {
		t.Error("Run() = nil without a listener")
	}
}

func TestAListenerThatFailsEndsRun(t *testing.T) {
	l, err := api.Listen(t.Context(), socketPath(t), "no-such-group")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorldOn(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.server.Run(t.Context()); err == nil {
		t.Error("Run() = nil on a closed listener: a part that ends early is a fault")
	}
}

// TestACallerWithoutCredentialsIsTurnedAway serves every route on a listener
// that knows no peers.
func TestACallerWithoutCredentialsIsTurnedAway(t *testing.T) {
	path := socketPath(t)
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorldOn(t, l)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.server.Run(ctx) }()
	for _, route := range w.server.Routes() {
		method, url, _ := strings.Cut(route, " ")
		if got := askRaw(t, path, method, url); got != http.StatusForbidden {
			t.Errorf("%s = %d, want 403", route, got)
		}
		if !slices.Contains(documented(t)[route], "403") {
			t.Errorf("openapi.yaml does not say 403 of %s", route)
		}
	}
	if _, err := api.NewClient(path).Status(t.Context()); !errors.Is(err, api.ErrForbidden) {
		t.Errorf("Status() = %v, want ErrForbidden", err)
	}
	if len(w.kiosk.launches) > 0 {
		t.Error("a session was launched")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// askRaw sends a request over a socket and returns the answer's code.
func askRaw(t *testing.T, path, method, url string) int {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: kioskd\r\nContent-Length: 0\r\n\r\n", method, url); err != nil {
		t.Fatal(err)
	}
	return answerCode(t, c)
}
