// Package gatewaysim simulates everything a kiosk talks to: the token gateway,
// the identity gateway, its object store, and a sample partner backend, in one
// HTTP handler.
//
// It is strict: every header and field that the contract requires is required
// here, tokens are really checked, upload URLs really expire, and a verdict is
// judged from the bytes that were uploaded. Faults can be scripted on top.
// Where the contract is silent, an Options field chooses.
//
// It shares no code with the client that it tests.
//
// Paths:
//
//	GET  /v1/coe/partner/authentication       call 1, partner token
//	POST /coe-partner/v1/initiate-flow        call 2, user token
//	GET  /coe/v1/submissions/urls             call 3, upload URLs
//	PUT  /objects/{key}                       call 4, upload
//	PUT  /coe/v1/submissions/urls             call 5, confirm
//	GET  /coe/v1/submissions/{id}/status      call 6, status
//	GET  /coe/v1/submissions                  call 7, details
//	POST /partner/callback                    call 8, received by the partner backend
//	POST /partner/v1/kiosk/initiate           the kiosk's request for a user token
//	GET  /partner/v1/sessions/{correlationId} what the partner backend knows
//	GET  /sim/events[?follow=1]               what happened, as NDJSON
//	GET, POST, DELETE /sim/faults             scripted faults
//
// # Call 9, the reference image
//
// The contract does not publish it; this simulator defines it so. The gateway
// sends to Options.ReferenceURL, with Options.CallbackAuth,
//
//	POST {"userId":"…","userIdType":"…","partnerSessionId":"…","flow":"…"}
//
// and is answered with 200 and {"url":"…"}, from which it downloads the image
// without any header of its own: a JPEG of at most 4 MiB, on loopback. 404
// means that the partner has no image of this user.
package gatewaysim

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A Face is what a face check found in one image.
type Face struct {
	Faces int     // faces found
	Live  float32 // probability of a bona fide presentation, 0..1
}

// A Lifetimes says how long what the simulator hands out is good for.
type Lifetimes struct {
	PartnerToken time.Duration // 0: one hour
	UserToken    time.Duration // 0: 60 days
	UploadURL    time.Duration // 0: ten minutes
}

// Options configure a Sim. The zero value is a gateway that behaves.
type Options struct {
	// BaseURL is the root of the URLs that the simulator hands out and calls
	// itself by, such as "http://127.0.0.1:8787". Empty: that of each request.
	BaseURL string

	// FaceCheck judges one uploaded image. Nil: any JPEG that decodes passes.
	FaceCheck func(ctx context.Context, jpeg []byte) (Face, error)

	// MinLive is the mean of Live over the images from which on a submission
	// is approved. 0 means 0.5.
	MinLive float32

	// Faults is a fault script: see ParseFaults.
	Faults string

	// Now is the simulator's wall clock, which lifetimes are measured by. Nil:
	// time.Now.
	Now func() time.Time

	// Log gets one line for each thing that happened. Nil discards them.
	Log *slog.Logger

	// JudgeAfter is the time from confirmation to verdict.
	JudgeAfter time.Duration

	// PollsBeforeVerdict is how many status calls are answered IN_PROGRESS
	// before a verdict is told.
	PollsBeforeVerdict int

	// Attempts is the number of confirmed submissions a session may have. 0
	// means 3.
	Attempts int

	// NewSubmissions makes call 3 answer with a new submission although one is
	// open; the default is the open one.
	NewSubmissions bool

	// UniqueSessions refuses to initiate a session id twice, as the sister API
	// does; the default renews the token for the same user.
	UniqueSessions bool

	// CallbackURL is where verdicts are told: the partner backend's registered
	// URL (call 8), on loopback. Empty: the built-in sample partner.
	CallbackURL string

	// CallbackMethod is POST, PUT or PATCH. Empty: POST.
	CallbackMethod string

	// CallbackAuth is the value of the Authorization header by which the
	// gateway shows itself to the partner backend, in calls 8 and 9. Empty:
	// there is no such header.
	CallbackAuth string

	// CallbackRepeats is how many times a callback comes again.
	CallbackRepeats int

	// CallbackShuffle sends callbacks out of order: one with IN_PROGRESS comes
	// after the one with the verdict, and repeats come seconds later.
	CallbackShuffle bool

	// ReferenceURL is where the partner backend is asked for a user's reference
	// image (call 9), on loopback. Empty: it is not asked.
	ReferenceURL string

	// Match compares a selfie with the reference image, both JPEG, and returns
	// their likeness, 0..1. Nil: nothing is compared, and no faceMatch is told.
	Match func(ctx context.Context, selfie, reference []byte) (score float32, err error)

	// StateDir is a directory that holds everything the gateway knows, so that
	// it survives SIGKILL; it is made if it is not there. One simulator at a
	// time may use it. Empty: memory only.
	StateDir string

	// Seed is that of the random faults. 0: a random one, which Sim.Seed tells.
	Seed uint64

	Lifetimes Lifetimes

	// ClientID and PassKey are the partner's credentials at the token gateway;
	// PartnerCode opens x-onboarding-partner. Empty: those of the sample
	// partner.
	ClientID, PassKey, PartnerCode string
}

// A Sim is a running simulator. It is safe for concurrent use.
type Sim struct {
	opts    Options
	log     *slog.Logger
	mux     *http.ServeMux
	faults  *script
	events  *journal
	work    *agenda
	partner *partner
	client  *http.Client // for calls to itself

	mu          sync.Mutex
	tokens      map[string]grant
	sessions    map[string]*session    // by partner session id
	submissions map[string]*submission // by submission id
	objects     map[string]*object     // by key in the store
	recent      []string               // keys of objects, oldest first
}

// A grant is what a token allows.
type grant struct {
	session string // partner session id; "" for a partner token
	expires time.Time
}

// New returns a simulator. Verdicts and callbacks need Run.
func New(opts Options) (*Sim, error) {
	opts.MinLive = cmp.Or(opts.MinLive, 0.5)
	opts.Attempts = cmp.Or(opts.Attempts, 3)
	opts.Lifetimes.PartnerToken = cmp.Or(opts.Lifetimes.PartnerToken, time.Hour)
	opts.Lifetimes.UserToken = cmp.Or(opts.Lifetimes.UserToken, 60*24*time.Hour)
	opts.Lifetimes.UploadURL = cmp.Or(opts.Lifetimes.UploadURL, 10*time.Minute)
	opts.ClientID = cmp.Or(opts.ClientID, "sample-client")
	opts.PassKey = cmp.Or(opts.PassKey, "sample-pass-key")
	opts.PartnerCode = cmp.Or(opts.PartnerCode, "SAMPLE")
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	opts.CallbackMethod = cmp.Or(opts.CallbackMethod, http.MethodPost)
	opts.BaseURL = strings.TrimSuffix(opts.BaseURL, "/")
	faults, err := ParseFaults(opts.Faults)
	if err != nil {
		return nil, fmt.Errorf("faults: %w", err)
	}
	s := &Sim{
		opts:        opts,
		log:         opts.Log,
		faults:      &script{faults: faults},
		events:      newJournal(),
		work:        newAgenda(),
		client:      &http.Client{Timeout: 30 * time.Second},
		tokens:      map[string]grant{},
		sessions:    map[string]*session{},
		submissions: map[string]*submission{},
		objects:     map[string]*object{},
	}
	s.partner = newPartner(s)
	s.mux = s.routes()
	return s, nil
}

// The names of the calls: in the events, and in fault scripts.
const (
	callPartnerToken = "partner_token"
	callFlow         = "flow"
	callURLs         = "urls"
	callUpload       = "upload"
	callConfirm      = "confirm"
	callStatus       = "status"
	callDetails      = "details"
	callCallback     = "callback"
	callInitiate     = "initiate"
)

func (s *Sim) routes() *http.ServeMux {
	mux := http.NewServeMux()
	handle := func(pattern, call string, h func(*http.Request, *Event) reply) {
		mux.Handle(pattern, s.serve(call, h))
	}
	handle("GET /v1/coe/partner/authentication", callPartnerToken, s.partnerToken)
	handle("POST /coe-partner/v1/initiate-flow", callFlow, s.initiateFlow)
	handle("GET /coe/v1/submissions/urls", callURLs, s.urls)
	handle("PUT /coe/v1/submissions/urls", callConfirm, s.confirm)
	handle("GET /coe/v1/submissions/{id}/status", callStatus, s.status)
	handle("GET /coe/v1/submissions", callDetails, s.details)
	handle("/objects/{key}", callUpload, s.object)
	handle("POST /partner/callback", callCallback, s.partner.callback)
	handle("POST /partner/v1/kiosk/initiate", callInitiate, s.partner.initiate)
	handle("GET /partner/v1/sessions/{correlation}", "", s.partner.lookUp)
	mux.HandleFunc("GET /sim/events", s.serveEvents)
	mux.HandleFunc("/sim/faults", s.serveFaults)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(http.StatusNotFound, "404", "NOT_FOUND").write(w)
	})
	return mux
}

// ServeHTTP serves every part of the simulated world.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Run judges confirmed submissions and sends callbacks, until ctx ends. Then
// it returns nil.
func (s *Sim) Run(ctx context.Context) error {
	s.work.run(ctx)
	return nil
}

// Close lets go of the state directory. Nothing may be asked of the simulator
// afterwards, and Run has to be over.
func (s *Sim) Close() error { return nil }

// Seed returns the seed of the random faults, by which they can be had again.
func (s *Sim) Seed() uint64 { return s.opts.Seed }

// serve wraps a call with its scripted faults and its event.
func (s *Sim) serve(call string, h func(*http.Request, *Event) reply) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ev := &Event{Call: call, Correlation: r.Header.Get("X-Partner-Session-Id")}
		f, hit := s.faults.take(call)
		var out reply
		if hit && f.replaces() {
			ev.Fault = f.String()
			out = f.reply(r.Context(), call)
		} else {
			out = h(r, ev)
			if hit {
				ev.Fault = f.String()
				out = reply{drop: true} // the work was done, the answer is lost
			}
		}
		ev.Status, ev.Cause = out.status, out.cause
		if call != "" {
			s.record(r.Context(), *ev)
		}
		out.write(w)
	})
}

// record notes an event and logs it.
func (s *Sim) record(ctx context.Context, ev Event) {
	ev.At = s.opts.Now()
	s.events.add(ev)
	s.log.InfoContext(ctx, "simulated", slog.String("call", ev.Call), slog.Int("status", ev.Status), slog.String("cause", ev.Cause),
		slog.String("correlation", ev.Correlation), slog.String("submission", ev.Submission), slog.String("document", ev.Document),
		slog.Int64("bytes", ev.Bytes), slog.String("fault", ev.Fault), slog.String("result", ev.Result), slog.String("reason", ev.Reason))
}

// base is the root by which the simulator is reached, for URLs it hands out.
func (s *Sim) base(r *http.Request) string {
	switch {
	case s.opts.BaseURL != "":
		return s.opts.BaseURL
	case r.TLS != nil:
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// secret returns a random token, URL-safe and unguessable.
func secret() string { return rand.Text() + rand.Text() }

// id returns a random identifier in the form of a UUID.
func id() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
