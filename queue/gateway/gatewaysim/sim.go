// Package gatewaysim simulates everything a kiosk talks to: the token gateway,
// the identity gateway and its object store, in one HTTP handler. A partner
// backend is set beside it by Options.CallbackURL and Sim.Partner; package
// partner is a sample.
//
// It is strict: every header and field that the contract requires is required
// here, tokens are really checked, upload URLs really expire, and a verdict is
// judged from the bytes that were uploaded. Faults can be scripted on top.
// Where the contract is silent, an Options field chooses.
//
// It shares no code with the client that it tests.
//
// Paths of the gateway, in the contract's order:
//
//	GET  /v1/coe/partner/authentication           call 1, partner token
//	POST /coe-partner/v1/initiate-flow            call 2, user token
//	GET  /coe/v1/submissions/urls                 call 3, upload URLs
//	PUT  /objects/{submission}/{document}         call 4, upload
//	PUT  /coe/v1/submissions/urls                 call 5, confirm
//	GET  /coe/v1/submissions/{id}/status          call 6, status
//	GET  /coe/v1/submissions                      call 7, details
//	GET  /objects/{submission}/{document}         the image URLs of calls 7 and 8
//
// It makes call 8, the callback, and call 9, the reference image, itself. For
// a developer there are, on loopback:
//
//	GET  /sim/                                    a page to look at
//	GET  /sim/openapi.yaml                        all of this as OpenAPI 3.1
//	GET  /sim/events[?follow=1]                   what happened, as NDJSON
//	GET  /sim/submissions                         what was confirmed, as NDJSON
//	GET  /sim/objects/{submission}/{document}     an image
//	GET, POST, DELETE /sim/faults                 scripted faults
//
// # Flows
//
// It serves the flows that are selfies alone: STANDALONE_LIVENESS, and, for
// the reference image, FACE_VERIFICATION and ON_DEMAND_FR (whose
// submissionType is FACE_MATCH). KTP_SCAN and KYC_LITE can be initiated, and
// then have no submission types.
//
// # What is kept
//
// 25,000 sessions, 60,000 tokens, 20,000 events, and images of 64 MiB (512 MiB
// with a state directory), and 10,000 callbacks that are to come: beyond that the oldest go, those first that are
// finished. An image that waits for its verdict is never dropped; when those
// are 1 GiB, uploads are answered with 503 SlowDown.
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
	crand "crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
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
	ImageURL     time.Duration // 0: one hour
	Image        time.Duration // of an image after its verdict; 0: one hour
}

// Options configure a Sim. The zero value is a gateway that behaves.
type Options struct {
	// BaseURL is the root of the URLs that the simulator hands out and calls
	// itself by, such as "http://127.0.0.1:8787". Empty: that of each request.
	BaseURL string

	// FaceCheck judges one uploaded image, which it must not change. Several
	// goroutines call it at once. Nil: nobody looks at the images, and any
	// JPEG passes that has a header and an end.
	FaceCheck func(ctx context.Context, jpeg []byte) (Face, error)

	// MinMatch is the likeness from which on the flows FACE_VERIFICATION and
	// ON_DEMAND_FR are approved. 0 means 0.5. Other flows only tell it.
	MinMatch float32

	// MinLive is the mean of Live over the images from which on a submission
	// is approved. 0 means 0.5.
	MinLive float32

	// Faults is a fault script: see ParseFaults. With a StateDir, a simulator
	// that starts again with the same script goes on with what is left of it.
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

	// NewSubmissions makes call 3 answer with a new submission, although one is
	// open or confirmed; the default is the latest one.
	NewSubmissions bool

	// ReuseEnded makes call 3, asked again after a rejection that was told,
	// answer with the submission that has ended and no documents, so that a
	// session has one attempt; the default is a new submission.
	ReuseEnded bool

	// UniqueSessions refuses to initiate a session id twice, as the sister API
	// does; the default renews the token for the same user.
	UniqueSessions bool

	// CallbackURL is where verdicts are told: the partner backend's registered
	// URL (call 8), on loopback. Empty: nobody is told.
	CallbackURL string

	// CallbackMethod is POST, PUT or PATCH. Empty: POST.
	CallbackMethod string

	// CallbackAuth is the value of the Authorization header by which the
	// gateway shows itself to the partner backend, in calls 8 and 9. Empty:
	// there is no such header.
	CallbackAuth string

	// CallbackRepeats is how many times a callback comes again, at most 100.
	CallbackRepeats int

	// CallbackShuffle sends callbacks out of order: one with IN_PROGRESS comes
	// after the one with the verdict, and repeats come seconds later.
	CallbackShuffle bool

	// ReferenceURL is where the partner backend is asked for a user's reference
	// image (call 9), on loopback. Empty: it is not asked.
	ReferenceURL string

	// Match compares a selfie with the reference image, both JPEG, and returns
	// their likeness, 0..1. Several goroutines call it at once. Nil: nothing is
	// compared, and no faceMatch is told.
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
	opts     Options
	log      *slog.Logger
	mux      *http.ServeMux
	patterns []string // what mux has
	faults   *script
	events   *journal
	judging  *agenda
	matching *agenda // judging that waits for the partner backend
	sending  *agenda
	client   *http.Client // for calls 8 and 9, to loopback only

	mu sync.Mutex
	*state
}

// Validate reports the first option that is impossible, by its name.
func (o Options) Validate() error {
	if m := o.CallbackMethod; m != "" && m != http.MethodPost && m != http.MethodPut && m != http.MethodPatch {
		return fmt.Errorf("CallbackMethod: %q is not POST, PUT or PATCH", m)
	}
	for name, raw := range map[string]string{"BaseURL": o.BaseURL, "CallbackURL": o.CallbackURL, "ReferenceURL": o.ReferenceURL} {
		if raw != "" && !absolute(raw) {
			return fmt.Errorf("%s: %q is not an absolute http or https URL", name, raw)
		}
	}
	if o.CallbackRepeats < 0 || o.CallbackRepeats > mostRepeats {
		return fmt.Errorf("CallbackRepeats: %d is not from 0 to %d", o.CallbackRepeats, mostRepeats)
	}
	if _, err := ParseFaults(o.Faults); err != nil {
		return fmt.Errorf("faults: %w", err)
	}
	return nil
}

func absolute(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
}

// New returns a simulator, with what its state directory holds. Verdicts and
// callbacks need Run; Close lets go of the directory.
func New(opts Options) (*Sim, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	opts.MinLive = cmp.Or(opts.MinLive, 0.5)
	opts.MinMatch = cmp.Or(opts.MinMatch, 0.5)
	opts.Attempts = cmp.Or(opts.Attempts, 3)
	opts.Lifetimes.PartnerToken = cmp.Or(opts.Lifetimes.PartnerToken, time.Hour)
	opts.Lifetimes.UserToken = cmp.Or(opts.Lifetimes.UserToken, 60*24*time.Hour)
	opts.Lifetimes.UploadURL = cmp.Or(opts.Lifetimes.UploadURL, 10*time.Minute)
	opts.Lifetimes.ImageURL = cmp.Or(opts.Lifetimes.ImageURL, time.Hour)
	opts.Lifetimes.Image = cmp.Or(opts.Lifetimes.Image, time.Hour)
	opts.ClientID = cmp.Or(opts.ClientID, "sample-client")
	opts.PassKey = cmp.Or(opts.PassKey, "sample-pass-key")
	opts.PartnerCode = cmp.Or(opts.PartnerCode, "SAMPLE")
	opts.Seed = cmp.Or(opts.Seed, rand.Uint64())
	opts.CallbackMethod = cmp.Or(opts.CallbackMethod, http.MethodPost)
	opts.BaseURL = strings.TrimSuffix(opts.BaseURL, "/")
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	faults, err := ParseFaults(opts.Faults)
	if err != nil {
		return nil, fmt.Errorf("faults: %w", err)
	}
	s := &Sim{
		opts: opts, log: opts.Log, events: newJournal(), state: newState(), client: loopback(),
		judging: newAgenda(), matching: newAgenda(), sending: newAgenda(),
	}
	s.faults = &script{faults: faults, save: func(faults []Fault) { s.save(bucketMeta, "faults", lines(faults)) }}
	if opts.StateDir != "" {
		if s.disk, err = openDisk(opts.StateDir, &s.mu); err == nil {
			if err = s.restore(); err != nil {
				err = errors.Join(err, s.disk.Close())
			}
		}
		if err != nil {
			return nil, fmt.Errorf("state directory %s: %w", opts.StateDir, err)
		}
	}
	// Another start draws other faults, or it would go wrong at the same place.
	s.faults.chance = rand.New(rand.NewPCG(opts.Seed, s.starts))
	s.routes()
	s.resume()
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
	callReference    = "reference"
)

// An exchange is a request that the gateway answers.
type exchange struct {
	*http.Request

	ev  *Event    // what is noted of it
	now time.Time // by the gateway's clock
}

func (s *Sim) routes() {
	s.mux = http.NewServeMux()
	add := func(pattern string, h http.Handler) {
		s.patterns = append(s.patterns, pattern)
		s.mux.Handle(pattern, h)
	}
	handle := func(pattern, call string, h func(*exchange) reply) { add(pattern, s.serve(call, h)) }
	handle("GET /v1/coe/partner/authentication", callPartnerToken, s.partnerToken)
	handle("POST /coe-partner/v1/initiate-flow", callFlow, s.initiateFlow)
	handle("GET /coe/v1/submissions/urls", callURLs, s.urls)
	handle("PUT /coe/v1/submissions/urls", callConfirm, s.confirm)
	handle("GET /coe/v1/submissions/{id}/status", callStatus, s.status)
	handle("GET /coe/v1/submissions", callDetails, s.details)
	handle("PUT /objects/{submission}/{document}", callUpload, s.upload)
	handle("GET /objects/{submission}/{document}", "", s.download)
	// What a URL is not made for is refused as a wrong signature.
	s.mux.Handle("/objects/", s.serve(callUpload, func(*exchange) reply { return denied(http.StatusForbidden, "SignatureDoesNotMatch") }))

	private := func(pattern string, h http.HandlerFunc) { add(pattern, onlyLoopback(h)) }
	private("GET /sim/{$}", s.page)
	private("POST /sim/{$}", s.pageFaults)
	private("GET /sim/page.css", serveAsset("text/css; charset=utf-8", pageCSS))
	private("GET /sim/openapi.yaml", serveAsset("application/yaml", openapi))
	private("GET /sim/events", s.serveEvents)
	private("GET /sim/submissions", s.serveConfirmed)
	private("GET /sim/objects/{submission}/{document}", s.showImage)
	private("GET /sim/faults", s.tellFaults)
	private("POST /sim/faults", s.addFaults)
	private("DELETE /sim/faults", s.clearFaults)
	s.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(http.StatusNotFound, "404", "NOT_FOUND").write(w)
	})
}

// onlyLoopback serves clients on this machine that know it by a loopback name;
// a page from elsewhere, open in a developer's browser, is refused.
func onlyLoopback(h http.Handler) http.Handler {
	h = http.NewCrossOriginProtection().Handler(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !from.Addr().Unmap().IsLoopback() || !loopbackHost(r.Host) {
			http.Error(w, "only on loopback: use http://127.0.0.1", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// loopbackHost reports whether a host, with or without a port, is this machine.
func loopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Routes returns the patterns of what the simulator serves, such as
// "GET /sim/{$}".
func (s *Sim) Routes() []string { return slices.Clone(s.patterns) }

// ServeHTTP serves every part of the simulated world.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// How many verdicts and callbacks are in hand at once. One that hangs holds up
// its own kind only, for as long as callLimit or a scripted hang.
const (
	judges    = 2
	matchers  = 4
	senders   = 4
	callLimit = 5 * time.Second
)

// Run judges confirmed submissions and sends callbacks, until ctx ends. Then
// it returns nil. A state directory that cannot be written ends it, too.
func (s *Sim) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for work, hands := range map[*agenda]int{s.judging: judges, s.matching: matchers, s.sending: senders} {
		for range hands {
			g.Go(func() error {
				work.run(ctx)
				return nil
			})
		}
	}
	g.Go(func() error { return s.watch(ctx) })
	return g.Wait()
}

// watch drops old images, writes what nobody waits for, and notices a disk that
// fails.
func (s *Sim) watch(ctx context.Context) error {
	var failed <-chan struct{}
	if s.disk != nil {
		failed = s.disk.failed
	}
	often := time.NewTicker(time.Second)
	defer often.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-failed:
			return s.settle()
		case <-often.C:
			s.sweep()
			if err := s.settle(); err != nil {
				return err
			}
		}
	}
}

// Close writes what is left and lets go of the state directory. Nothing may be
// asked of the simulator afterwards, and Run has to be over.
func (s *Sim) Close() error {
	if s.disk == nil {
		return nil
	}
	return s.disk.Close()
}

// Seed returns the seed of the random faults, by which they can be had again.
func (s *Sim) Seed() uint64 { return s.opts.Seed }

// serve wraps a call with its scripted faults and its event. What it answers is
// durable, and so is everything that the answer could know of.
func (s *Sim) serve(call string, h func(*exchange) reply) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ev := &Event{Call: call, Correlation: r.Header.Get("X-Partner-Session-Id")}
		f := s.faults.take(call)
		if f.Kind != "" {
			ev.Fault = f.String()
		}
		var out reply
		switch {
		case f.replaces():
			out = f.reply(r.Context(), call)
		case f.Kind == kindHalf && r.ContentLength > 0:
			_, _ = io.CopyN(io.Discard, r.Body, r.ContentLength/2) // the client may be faster to give up
			out = reply{drop: true}
		default:
			if f.Kind == kindSlow {
				r.Body = io.NopCloser(&pacer{r: r.Body, ctx: r.Context(), rate: f.Rate})
			}
			out = h(&exchange{r, ev, s.opts.Now().Add(f.Skew)})
			out.drop = f.Kind == kindLost // the work was done, the answer is lost
			out.half = f.Kind == kindHalf
			out.rate = f.Rate
			if f.Skew != 0 {
				out.set("Date", s.opts.Now().Add(f.Skew).UTC().Format(http.TimeFormat))
			}
		}
		if out.drop {
			out.status, out.cause = 0, ""
		}
		ev.Status, ev.Cause = out.status, out.cause
		if call != "" {
			s.record(r.Context(), *ev)
		}
		if err := s.settle(); err != nil {
			s.log.ErrorContext(r.Context(), "not durable", slog.Any("err", err))
			out = refuse(http.StatusInternalServerError, "900", "GENERIC_SERVICE_ERROR")
		}
		out.write(w)
	})
}

// record notes an event and logs it.
func (s *Sim) record(ctx context.Context, ev Event) {
	ev.At = s.opts.Now()
	s.events.add(ev, func(ev Event, kept bool) {
		var v any
		if kept {
			v = ev
		}
		s.save(bucketEvents, fmt.Sprintf("%012d", ev.Seq), v)
	})
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
func secret() string { return crand.Text() + crand.Text() }

// id returns a random identifier in the form of a UUID.
func id() string {
	var b [16]byte
	_, _ = crand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
