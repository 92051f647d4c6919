// Package station owns the session: one goroutine feeds what happens to the
// flow and carries out what the flow decides.
//
// It knows no camera, model, screen, disk or network: it declares the ports it
// needs and is told everything else as an input.
package station

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/flow"
)

// ErrStopped reports an input that came after Run had ended.
var ErrStopped = errors.New("station has stopped")

// An Outbox keeps submissions until they are delivered.
type Outbox interface {
	// Put seals and stores s. When it returns nil the submission is durable.
	// It does not keep s. Putting the same record twice stores it once.
	Put(ctx context.Context, s *kiosk.Submission) error
	// Admit reports kiosk.ErrQueueFull if another session's captures might
	// not fit.
	Admit(ctx context.Context) error
	// Used reports whether a capture was ever stored for a correlation id.
	Used(ctx context.Context, correlationID string) (bool, error)
}

// Evidence makes the image that is kept of a frame.
type Evidence interface {
	// JPEG returns f as a JPEG image that the caller owns.
	JPEG(f *kiosk.Frame) ([]byte, error)
}

// A Register knows by what code somebody is expected.
type Register interface {
	// Expected returns the launch of the booking that has this code. It returns
	// kiosk.ErrNoBooking, or a *kiosk.PausedError while too many codes were wrong.
	Expected(ctx context.Context, code string) (kiosk.Launch, error)
}

// A Lock knows the PIN of staff.
type Lock interface {
	// Open returns nil if that is the PIN, kiosk.ErrWrongPIN if not, or a
	// *kiosk.PausedError while too many were wrong. It takes as long as a slow hash.
	Open(ctx context.Context, pin string) error
}

// Options are what a station needs. All fields without a stated zero value
// must be set.
type Options struct {
	Policy   flow.Policy
	Start    flow.State // only its faults count: those that stand until they are told to be gone
	Outbox   Outbox
	Evidence Evidence
	Register Register                  // nil: no session starts by a code
	Lock     Lock                      // nil: nobody has a PIN
	Now      func() time.Duration      // since boot
	Watch    func(on bool)             // wakes the camera or puts it to rest
	Freeze   func(on bool)             // keeps exposure and white balance, and has the colour of skin measured, for a light challenge; or ends both. nil: the policy has none
	Show     func(kiosk.View)          // called on every change; must not block
	Emit     func(kiosk.Event)         // must not block
	Consent  func(kiosk.Locale) string // hash of the text shown

	// Began is told of a session before anything of it is shown. It must not
	// block. Nil: nobody listens.
	Began func(kiosk.SessionID, kiosk.Launch)

	Gateway  string            // the only BaseURL a launch may name
	UserType string            // user id type of a launch that gives none
	TraceDir string            // where traces go; "": none are written
	Traces   int               // how many are kept; 0: 50
	Facts    map[string]string // provenance: version, models, camera; goes into metadata and traces
	Tally    func(kiosk.Tally) // of each session that has ended, before what was adopted meanwhile holds; must not block; nil: nobody counts
	Beat     func()            // the watchdog's; nil: none
	Log      *slog.Logger
}

// Validate names the first thing that is missing.
func (o Options) Validate() error {
	switch {
	case o.Outbox == nil, o.Evidence == nil, o.Now == nil, o.Watch == nil, o.Show == nil, o.Emit == nil, o.Consent == nil, o.Log == nil:
		return errors.New("station: a port is not connected")
	case o.Traces < 0:
		return errors.New("station: traces must not be negative")
	case o.Policy.Light.On && o.Freeze == nil:
		return errors.New("station: a light challenge needs Freeze")
	}
	if err := o.Policy.Validate(); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	return nil
}

// A Station runs one session after another. Its methods may be called from any
// goroutine; each blocks at most until the station's goroutine takes the input
// or ctx ends.
type Station struct {
	o      Options
	inputs chan message
	left   chan struct{} // closed when Run has ended: nobody takes inputs any more

	mu      sync.Mutex
	results map[kiosk.SessionID]outcome
	order   []kiosk.SessionID // of results, oldest first
	storing map[string]bool   // correlation ids on their way to the outbox
	last    flow.State        // as of the last step
}

// maxResults bounds how many ended sessions can still be asked about.
const maxResults = 256

// An outcome is a session's result so far, and the record whose end may still
// change it.
type outcome struct {
	kiosk.Result

	record kiosk.RecordID // "" while the session runs, and if it ended without one
}

// A message is one input on its way to the station's goroutine.
type message struct {
	in      flow.Input
	frame   *kiosk.Frame    // owned by the receiver; of a flow.Saw
	launch  *kiosk.Launch   // of a flow.Launched
	reply   chan<- error    // of a flow.Launched
	receipt *kiosk.Receipt  // of a flow.Answered
	adopt   *Adoption       // in place of in
	text    string          // that was typed, of a flow.Tapped; secret
	try     int             // of a flow.Launched that a code brought about: the flow.Find's; else 0
	done    chan<- struct{} // closed once it was taken into account; nil: nobody waits for that
}

// An Adoption is what sessions are judged by from the next one on.
type Adoption struct {
	Policy flow.Policy
	Facts  map[string]string // of traces and records, in place of those of the same name; "" takes one away
	Then   func()            // called when this holds, and while no session runs; must not block; nil: nothing
}

// New returns a station at rest.
func New(o Options) (*Station, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Beat == nil {
		o.Beat = func() {}
	}
	return &Station{
		o: o, inputs: make(chan message), left: make(chan struct{}),
		results: map[kiosk.SessionID]outcome{}, storing: map[string]bool{}, last: o.Start.Rested(),
	}, nil
}

// Assessed takes one frame and its assessment. The frame is the station's from
// here on, also when an error is returned.
func (s *Station) Assessed(ctx context.Context, a kiosk.Assessment, f *kiosk.Frame) error {
	err := s.send(ctx, message{in: flow.Saw{Assessment: a}, frame: f})
	if err != nil {
		f.Release()
	}
	return err
}

// Tap reports a touch on the screen.
func (s *Station) Tap(ctx context.Context, t kiosk.Tap) error {
	return s.send(ctx, message{in: flow.Tapped{Session: t.Session, Control: t.Control, Locale: t.Locale}, text: t.Text})
}

// Drawn reports when a colour of a session's light challenge, kiosk.View.Turn, was
// first on the display, since boot.
func (s *Station) Drawn(ctx context.Context, id kiosk.SessionID, turn int, at time.Duration) error {
	return s.send(ctx, message{in: flow.Drawn{Session: id, Turn: turn, At: at}})
}

// Fault reports that a fault came or went.
func (s *Station) Fault(ctx context.Context, f kiosk.Fault, active bool) error {
	return s.send(ctx, message{in: flow.Faulted{Fault: f, Active: active}})
}

// Drain has no new session started, or ends that; the one that runs goes on. When
// it returns nil, that is so.
func (s *Station) Drain(ctx context.Context, on bool) error {
	done := make(chan struct{})
	if err := s.send(ctx, message{in: flow.Faulted{Fault: kiosk.UpdateFault, Active: on}, done: done}); err != nil {
		return err
	}
	<-done // the goroutine that took the message closes it
	return nil
}

// Adopt has sessions judged by something else, from the next one on: the one that
// runs ends by what stands in its trace. What is adopted later goes before.
func (s *Station) Adopt(ctx context.Context, a Adoption) error {
	if err := a.Policy.Validate(); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	return s.send(ctx, message{adopt: &a})
}

// Unlock has a kiosk that failed sessions have locked serve again. It returns
// kiosk.ErrNotLocked if nothing has. When it returns nil, that is so.
func (s *Station) Unlock(ctx context.Context) error {
	if !s.State().Lock {
		return kiosk.ErrNotLocked
	}
	done := make(chan struct{})
	if err := s.send(ctx, message{in: flow.Faulted{Fault: kiosk.LockFault}, done: done}); err != nil {
		return err
	}
	<-done // the goroutine that took the message closes it
	return nil
}

// Void reports that what the running session captured cannot be trusted. It
// ends at once, as an error that may not be retried.
func (s *Station) Void(ctx context.Context, why kiosk.Breach) error {
	return s.send(ctx, message{in: flow.Voided{Reason: why}})
}

// Opened reports which camera frames come from, from now on, before the first
// of them; or, not trusted, one that stands where the camera was. The identity
// is as a pin has it, and goes into the session's metadata. Another one than
// that with which the session began voids it.
func (s *Station) Opened(ctx context.Context, camera string, trusted bool) error {
	return s.send(ctx, message{in: flow.Opened{Camera: camera, Trusted: trusted}})
}

// Present reports that somebody has come, or the last one left.
func (s *Station) Present(ctx context.Context, here bool) error {
	return s.send(ctx, message{in: flow.Presence{Here: here}})
}

// Deferred reports that delivery of a record waits for the network.
func (s *Station) Deferred(ctx context.Context, id kiosk.RecordID) error {
	return s.send(ctx, message{in: flow.Deferred{Record: id}})
}

// Answered reports the gateway's word on a record, whoever's it is. It ends the
// wait of the visitor whose record it is; a session that ended as saved, also
// before the last restart, gets its last result by it, in a further
// kiosk.EventResult. Being told the same twice changes nothing.
func (s *Station) Answered(ctx context.Context, r kiosk.Receipt) error {
	return s.send(ctx, message{in: flow.Answered{Record: r.Record, Action: r.Action}, receipt: &r})
}

func (s *Station) send(ctx context.Context, m message) error {
	select {
	case s.inputs <- m:
		return nil
	case <-s.left:
		return ErrStopped
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Launch starts a session, or returns a *kiosk.LaunchError that says why not.
func (s *Station) Launch(ctx context.Context, l kiosk.Launch) (kiosk.SessionID, error) {
	return s.start(ctx, l, 0)
}

// start is Launch, for whoever typed a code in the given try, or for nobody at
// the screen.
func (s *Station) start(ctx context.Context, l kiosk.Launch, try int) (kiosk.SessionID, error) {
	if l.BaseURL == "" {
		l.BaseURL = s.o.Gateway
	}
	if l.UserIDType == "" {
		l.UserIDType = s.o.UserType
	}
	if err := l.Validate(); err != nil {
		return "", err
	}
	if strings.TrimRight(l.BaseURL, "/") != strings.TrimRight(s.o.Gateway, "/") {
		return "", &kiosk.LaunchError{Code: kiosk.NotAllowListed, Field: "baseUrl", Reason: "is not this kiosk's gateway"}
	}
	if err := s.admit(ctx, l); err != nil {
		return "", err
	}
	id := kiosk.SessionID(rand.Text())
	reply := make(chan error, 1)
	in := flow.Launched{
		Session: id, Locale: l.Locale, Theme: l.Theme, NoTimeLimit: l.NoTimeLimit, Large: l.LargeText, Contrast: l.HighContrast, NoFlash: l.NoFlash,
	}
	if err := s.send(ctx, message{in: in, launch: &l, reply: reply, try: try}); err != nil {
		return "", err
	}
	if err := <-reply; err != nil { // the goroutine that took the message answers it
		return "", err
	}
	return id, nil
}

func (s *Station) admit(ctx context.Context, l kiosk.Launch) error {
	used, err := s.o.Outbox.Used(ctx, l.CorrelationID)
	s.mu.Lock()
	used = used || s.storing[l.CorrelationID]
	s.mu.Unlock()
	switch {
	case err != nil:
		s.o.Log.WarnContext(ctx, "launch turned down", slog.Any("err", err))
		return &kiosk.LaunchError{Code: kiosk.UnknownError, Reason: "the kiosk's storage is out of service", Busy: true, Down: true}
	case used:
		return &kiosk.LaunchError{Code: kiosk.ConfigInvalid, Field: "correlationId", Reason: "was used before: every session needs a new one", Reused: true}
	}
	switch err := s.o.Outbox.Admit(ctx); {
	case errors.Is(err, kiosk.ErrQueueFull):
		s.o.Log.WarnContext(ctx, "launch turned down", slog.Any("err", err))
		return &kiosk.LaunchError{Code: kiosk.UnknownError, Reason: "the kiosk's storage is full until earlier captures are delivered", Busy: true}
	case err != nil:
		s.o.Log.WarnContext(ctx, "launch turned down", slog.Any("err", err))
		return &kiosk.LaunchError{Code: kiosk.UnknownError, Reason: "the kiosk's storage is out of service", Busy: true, Down: true}
	}
	return nil
}

// Result returns how a session stands, and whether it is known. The correlation
// id of a session before the last restart is not known.
func (s *Station) Result(id kiosk.SessionID) (kiosk.Result, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.results[id]
	return r.Result, ok
}

// keep notes a session's outcome, in place of the oldest one if there are too
// many. The caller holds mu.
func (s *Station) keep(o outcome) {
	if _, known := s.results[o.Session]; !known {
		if len(s.order) == maxResults {
			delete(s.results, s.order[0])
			s.order = s.order[1:]
		}
		s.order = append(s.order, o.Session)
	}
	s.results[o.Session] = o
}

// State returns the flow's state after the last step.
func (s *Station) State() flow.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// complete notes the gateway's last word for the partner's front end.
func (s *Station) complete(r kiosk.Receipt) {
	s.mu.Lock()
	o, known := s.results[r.Session]
	// Later than the visitor could wait, than storing may take, or than the
	// last restart.
	late := !known || o.Detail == kiosk.Saved || o.Detail == kiosk.UnknownError
	// It had been set aside, and staff had it tried again.
	late = late || o.Detail == kiosk.APIError && o.Judged(r).Detail != kiosk.APIError
	switch {
	case known && o.record != r.Record:
		// The session goes on, or another attempt has had the last word.
		s.mu.Unlock()
		return
	case late:
		o.Session, o.record = r.Session, r.Record
		o.Result = o.Judged(r)
	default: // the flow has judged it
		o.SubmissionID = r.SubmissionID
	}
	s.keep(o)
	s.mu.Unlock()
	if late {
		s.tellResult(r.Record, o.Result)
	}
}

// tellResult tells partners and staff how a session ended.
func (s *Station) tellResult(id kiosk.RecordID, r kiosk.Result) {
	s.o.Emit(kiosk.Event{Kind: kiosk.EventResult, Session: r.Session, Record: id, Text: string(r.Status), Result: &r})
}

// Run serves sessions until ctx ends, then returns nil. Submissions on their
// way to the outbox are waited for. It is called once.
func (s *Station) Run(ctx context.Context) error {
	r := runner{Station: s, now: s.last, images: map[kiosk.Pose]*image{}}
	defer r.puts.Wait()
	defer close(s.left)
	defer r.forget(ctx)
	defer r.thaw(ctx)
	r.discard(ctx)
	r.show(flow.State{})
	r.tell(ctx, flow.State{})
	beat := time.NewTicker(time.Second)
	defer beat.Stop()
	for {
		r.adopt()
		var late <-chan time.Time
		if r.now.Until != 0 {
			late = time.After(r.now.Until - s.o.Now())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
			s.o.Beat()
		case <-late:
			r.step(ctx, message{in: flow.Tick{}})
		case m := <-s.inputs:
			if m.adopt != nil {
				r.next = append(r.next, *m.adopt)
				continue
			}
			r.step(ctx, m)
		}
	}
}

// metadata is what travels with the confirmation: numbers, consent and
// provenance; no pixels.
type metadata struct {
	Record   kiosk.RecordID                  `json:"record"`
	Attempt  int                             `json:"attempt"`
	Review   bool                            `json:"review"`
	Single   bool                            `json:"singleFrame"`
	LiveFar  float32                         `json:"liveFar"`
	LiveNear float32                         `json:"liveNear"`
	Light    *flow.Response                  `json:"light,omitempty"` // nil: there was no light challenge, whatever the reason
	Consent  kiosk.Consent                   `json:"consent"`
	Captures map[kiosk.Pose]kiosk.Assessment `json:"captures"`
	Camera   string                          `json:"camera,omitempty"` // its identity, where it has one
	Facts    map[string]string               `json:"facts"`
}

func (m metadata) encode() (json.RawMessage, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	return b, nil
}
