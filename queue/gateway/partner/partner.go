// Package partner is a sample partner backend: what a bank runs between its own
// front end, the kiosks and the identity gateway.
//
// It shows every exchange that a partner has to get right, and keeps what it
// has acknowledged over a crash. It is a sample in what it leaves out: nobody
// logs in to its front end, which therefore answers this machine alone, and
// there is one partner, one flow (STANDALONE_LIVENESS), and one process.
//
// Paths:
//
//	POST /v1/kiosk/initiate                    a kiosk asks for a user token (see gateway.Client.UserToken)
//	POST, PUT, PATCH /callback                 the gateway tells how a submission went (call 8)
//	POST /reference                            the gateway asks for a reference image (call 9)
//	GET  /reference/{key}                      and downloads it
//	POST /v1/flows                             the front end initiates a flow
//	POST /v1/sessions/{correlationId}/launch   and launches it on the kiosk
//	GET  /v1/sessions/{correlationId}          how far it is, without asking the gateway if it has called back
//	GET  /v1/sessions/{correlationId}/events   the same as it changes (server-sent events)
//	GET  /v1/submissions/{id}                  what the gateway says, by submission or correlation id (call 7)
//	GET  /                                     a page that uses them
//	GET  /events                               what happened, as NDJSON
//
// Failures have the gateway's envelope. Kiosks show a client certificate where
// they come by TLS; without TLS they, like the front end, must be on this
// machine. The handler takes the peer's address for the caller's, so it must
// not stand behind a proxy.
//
// # Who gets a user token
//
// A flow belongs to the first person it was initiated for, and to the first
// kiosk, by the name in its certificate, that asked for its token. That kiosk
// may renew the token without naming the person, since a kiosk that was
// launched with a token knows none; another must name the person. A flow that
// no kiosk has asked for may be renewed by any that is known.
//
// Without TLS kiosks have no names, and whoever is on this machine can have the
// token of any flow whose id he knows, but for those of a named kiosk. That is
// for development: see Options.KioskTLS and Options.HideEvents.
//
// # Reference images
//
// The contract does not publish call 9. This backend speaks as gatewaysim
// defines it: a POST with the callback's Authorization and
// {"userId":"…","userIdType":"…"} is answered with {"url":"…"}, which is good
// for five minutes, or with 404 if there is no image.
package partner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"livekiosk/queue/gateway"
)

// A Gateway makes the partner's calls: *gateway.Backend does.
type Gateway interface {
	PartnerToken(ctx context.Context) (gateway.Token, error)
	InitiateFlow(ctx context.Context, token gateway.Token, r gateway.FlowRequest) (gateway.Flow, error)
	Details(ctx context.Context, token gateway.Token, by gateway.DetailsQuery) (gateway.Details, error)
}

// A Launcher starts flows on a kiosk for the partner's front end, and tells how
// they went.
type Launcher interface {
	// Launch starts a session on the kiosk and returns the kiosk's id of it.
	// A launch that the kiosk turned down is a *RefusedError; with any other
	// error the kiosk was not reached.
	Launch(ctx context.Context, l Launch) (session string, err error)

	// Follow calls fn with all that the kiosk says of a session, from its
	// launch on, and returns nil after the Verdict that is the last. It returns
	// ErrForgotten if the kiosk does not know the session, and fn's error as it
	// is. It may be called again after any error.
	Follow(ctx context.Context, session string, fn func(Progress) error) error
}

// A Launch is what a kiosk is asked to do.
type Launch struct {
	CorrelationID string
	Token         string // user token, secret
	Locale        string // id or en
	Theme         string // DARK_MODE, LIGHT_MODE or NO_PREFERENCE
}

// LogValue keeps the token out of every log.
func (l Launch) LogValue() slog.Value {
	return slog.GroupValue(slog.String("correlation", l.CorrelationID), slog.Bool("token", l.Token != ""))
}

// Progress is what a kiosk says of a session: one of the two.
type Progress struct {
	Stage   string // where the session is, such as far; no personal data
	Verdict *Verdict
}

// A RefusedError is a launch that the kiosk turned down: nothing was started.
type RefusedError struct{ Verdict Verdict }

func (e *RefusedError) Error() string { return "launch refused: " + e.Verdict.ErrorMessage }

// ErrForgotten is told by a Launcher whose kiosk does not know a session (any
// more).
var ErrForgotten = errors.New("the kiosk does not know the session")

// ErrNoReference is told by Options.Reference for a person without an image.
var ErrNoReference = errors.New("no reference image")

// Options configure a Server. Gateway, CallbackAuth and StateDir are needed.
type Options struct {
	Gateway Gateway

	// CallbackAuth is the value of the Authorization header by which the
	// gateway shows itself: "Basic …", "Bearer …" or a key. Callbacks are not
	// signed, so without it anybody could tell verdicts.
	CallbackAuth string

	// StateDir is a directory for the flows and their tokens, made with mode
	// 0700 if it is not there, and refused if it is open to others. One process
	// may use it.
	StateDir string

	// BaseURL is the root by which the gateway reaches this server, such as
	// "http://127.0.0.1:8787/partner": https, or http on loopback, since images
	// of persons come from it. It is needed with Reference only.
	BaseURL string

	// Hosts are the host names besides those of this machine under which the
	// server may be asked: a page elsewhere must not get in by a name of its
	// own that leads here.
	Hosts []string

	// KioskTLS refuses kiosks that come without TLS, from this machine too.
	KioskTLS bool

	// HideEvents leaves GET /events out, which tells everybody on this machine
	// the ids of all flows. It is for development: hide them where the server
	// listens beyond loopback.
	HideEvents bool

	// FallbackAfter is how long the gateway may be silent on a flow before it
	// is asked. It doubles with each answer that is not final. 0: ten minutes.
	FallbackAfter time.Duration

	// Keep is how many flows are kept; the oldest are forgotten. 0: 100,000.
	Keep int

	// Reference returns a person's reference image, a JPEG, or ErrNoReference.
	// Nil: nobody has one. See References.
	Reference func(ctx context.Context, userID, userIDType string) ([]byte, error)

	// Launcher launches flows on a kiosk. Nil: the page tells the command that
	// does it.
	Launcher Launcher

	// Now is the wall clock. Nil: time.Now.
	Now func() time.Time

	// Log gets a line for each call. Nil discards them.
	Log *slog.Logger
}

// Validate reports the first impossible option, by its name.
func (o Options) Validate() error {
	switch {
	case o.Gateway == nil:
		return errors.New("gateway: is missing")
	case o.CallbackAuth == "":
		return errors.New("callback auth: is empty: anybody could tell verdicts")
	case o.StateDir == "":
		return errors.New("state directory: is missing")
	case o.FallbackAfter < 0:
		return errors.New("fallback after: is negative")
	case o.Keep < 0:
		return errors.New("keep: is negative")
	}
	if o.Reference == nil {
		return nil
	}
	u, err := url.Parse(o.BaseURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("base URL: is not the root of a server, and reference images need it")
	}
	if u.Scheme == "http" && u.Hostname() != "localhost" && !loopback(u.Hostname()) {
		return errors.New("base URL: is http beyond this machine, and reference images are personal data: use https")
	}
	return nil
}

// A Server is a partner backend. It is safe for concurrent use.
type Server struct {
	opts    Options
	log     *slog.Logger
	handler http.Handler
	store   *store
	tokens  *tokenCache
	events  *journal
	invited *invitations

	watched chan struct{} // slots of those who follow a session

	wakeFallback chan struct{}
	wakeFollow   chan struct{}

	mu      sync.Mutex
	changed chan struct{}     // closed when a flow changes
	stages  map[string]string // of sessions that are followed, by correlation id
}

// New opens the state directory. The fallback, and the results of launches,
// need Run; Close lets go of the directory.
func New(opts Options) (*Server, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	if opts.FallbackAfter == 0 {
		opts.FallbackAfter = 10 * time.Minute
	}
	if opts.Keep == 0 {
		opts.Keep = 100_000
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(opts.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	info, err := os.Stat(opts.StateDir)
	switch {
	case err != nil:
		return nil, fmt.Errorf("state directory: %w", err)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("state directory: %s is open to others (mode %#o), and holds user tokens: chmod 700 it", opts.StateDir, info.Mode().Perm())
	}
	st, err := openStore(opts.StateDir, opts.Keep)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	s := &Server{
		opts: opts, log: opts.Log, store: st, events: newJournal(), invited: newInvitations(opts.Now),
		watched:      make(chan struct{}, mostWatchers),
		wakeFallback: make(chan struct{}, 1), wakeFollow: make(chan struct{}, 1),
		changed: make(chan struct{}), stages: map[string]string{},
	}
	s.tokens = newTokenCache(opts.Gateway.PartnerToken, opts.Now, opts.Log)
	s.handler = s.routes()
	return s, nil
}

// Close lets go of the state directory. Nothing may be asked of the server
// afterwards, and Run has to be over.
func (s *Server) Close() error {
	if err := s.store.close(); err != nil {
		return fmt.Errorf("close the state directory: %w", err)
	}
	return nil
}

// ServeHTTP answers kiosks, the gateway and the front end.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Run asks the gateway for what it did not tell, follows what was launched, and
// removes old tokens and their files, until ctx ends. Then it returns nil.
func (s *Server) Run(ctx context.Context) error {
	var parts sync.WaitGroup
	parts.Go(func() { s.fallBack(ctx) })
	parts.Go(func() { s.sweep(ctx) })
	if s.opts.Launcher != nil {
		parts.Go(func() { s.followAll(ctx) })
	}
	parts.Wait()
	return nil
}

// change changes a flow and wakes who waits for that. A flow that is settled,
// or whose token has expired, keeps no token.
func (s *Server) change(correlation string, fn func(*flow) error) (*flow, error) {
	now := s.opts.Now()
	f, err := s.store.change(correlation, now, func(f *flow) error {
		if err := fn(f); err != nil {
			return err
		}
		if f.settled() || !now.Before(f.Expires) {
			f.Token = ""
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if f.settled() {
		s.removeTokenFile(correlation)
	}
	wake(s.wakeFallback)
	wake(s.wakeFollow)
	s.tell()
	return f, nil
}

// tell wakes those who watch a session.
func (s *Server) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is awake
	}
}

// record notes an event and logs it.
func (s *Server) record(ctx context.Context, ev Event) {
	ev.At = s.opts.Now()
	s.events.add(ev)
	s.log.InfoContext(ctx, "partner backend", slog.String("call", ev.Call), slog.Int("status", ev.Status), slog.String("cause", ev.Cause),
		slog.String("kiosk", ev.Kiosk), slog.String("correlation", ev.CorrelationID), slog.String("submission", ev.SubmissionID),
		slog.String("result", ev.Result), slog.Bool("duplicate", ev.Duplicate))
}
