// Package api is the kiosk's local interface: JSON over HTTP on a Unix socket,
// for the partner's front end, staff and fleet engines. It launches sessions,
// tells how they go and end, takes bookings and decisions about records, shows
// the daemon's state, its metrics and the outbox, lets support look after the
// outbox: verify, export and compact it, staff after the camera and the panel's
// lines, and an installer commission the kiosk.
// openapi.yaml beside this file describes every route.
//
// Nothing that passes through here is logged with a user token, a user id or
// any other personal data.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"livekiosk/kiosk"
)

// A Launcher starts sessions and knows their results. It must be safe for
// concurrent use.
type Launcher interface {
	// Launch starts a session, or returns a *kiosk.LaunchError and has started
	// nothing. It never waits for the session.
	Launch(ctx context.Context, l kiosk.Launch) (kiosk.SessionID, error)

	// Result returns the result so far of a session that the launcher knows.
	Result(id kiosk.SessionID) (kiosk.Result, bool)
}

// A Queue lists the outbox without personal data: records to deliver and then
// dead letters, oldest first, then settled ones, newest first. It must be safe
// for concurrent use.
type Queue interface {
	Entries(ctx context.Context) ([]kiosk.Entry, error)
}

// Options are what a Server needs. All without a stated meaning of nil are
// required.
type Options struct {
	Launcher     Launcher
	Queue        Queue
	Bookings     Bookings     // nil: the routes of bookings answer 501
	Letters      Letters      // nil: the routes of one record answer 501
	Ledger       Ledger       // nil: the routes of erasures and keys answer 501
	Upkeep       Upkeep       // nil: the routes that verify, export and compact answer 501
	Panel        Panel        // nil: the routes of the panel answer 501
	Cameras      Cameras      // nil: the routes of cameras answer 501
	Commissioner Commissioner // nil: the routes of commissioning answer 501
	Drainer      Drainer      // nil: the routes of a drain answer 501
	Toucher      Toucher      // nil: the route of taps answers 501
	Unlocker     Unlocker     // nil: the route of the lock answers 501
	Doctor       Doctor       // nil: the routes of the health report answer 501

	// Match returns the language that the kiosk has for whoever asks for a
	// locale, and whether it has one. Nil: Indonesian and English only.
	Match func(kiosk.Locale) (kiosk.Locale, bool)

	Log      *Events
	Status   func() Status // called at each request, from any goroutine; Queue is filled in after it
	Metrics  http.Handler  // Prometheus' text format, without personal data; nil: /metrics answers 404
	Listener net.Listener  // where Run serves: see Listen; may be nil for a server that is only a handler
	Logger   *slog.Logger  // nil: nothing is logged
}

// Validate reports the first required option that is missing.
func (o Options) Validate() error {
	switch {
	case o.Launcher == nil:
		return errors.New("api: Options.Launcher is missing")
	case o.Queue == nil:
		return errors.New("api: Options.Queue is missing")
	case o.Log == nil:
		return errors.New("api: Options.Log is missing")
	case o.Status == nil:
		return errors.New("api: Options.Status is missing")
	}
	return nil
}

// A Server answers the local API. As an http.Handler it answers anybody; only
// Run, with a listener of Listen, checks who is calling.
type Server struct {
	o       Options
	log     *slog.Logger
	mux     *http.ServeMux
	routes  []string
	upkeep  chan struct{} // one slot: held while the outbox is looked after
	closing chan struct{} // closed once: streams end
	close   sync.Once
}

// New returns a server that serves nothing until it is run or used as a
// handler.
func New(o Options) (*Server, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Match == nil {
		o.Match = builtIn
	}
	s := &Server{o: o, log: o.Logger, mux: http.NewServeMux(), upkeep: make(chan struct{}, 1), closing: make(chan struct{})}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for _, r := range []struct {
		method, path string
		handle       http.HandlerFunc
	}{
		{http.MethodPost, "/v1/sessions", s.postSession},
		{http.MethodGet, "/v1/sessions/{id}", s.getSession},
		{http.MethodGet, "/v1/sessions/{id}/events", s.getSessionEvents},
		{http.MethodPost, "/v1/sessions/{id}/taps/{control}", s.postTap},
		{http.MethodGet, "/v1/events", s.getEvents},
		{http.MethodGet, "/v1/bookings", s.getBookings},
		{http.MethodPost, "/v1/bookings", s.postBooking},
		{http.MethodDelete, "/v1/bookings/{correlationId}", s.deleteBooking},
		{http.MethodGet, "/v1/status", s.getStatus},
		{http.MethodGet, "/v1/queue", s.getQueue},
		{http.MethodGet, "/v1/queue/{record}", s.getRecord},
		{http.MethodPost, "/v1/queue/{record}/retry", s.postRetry},
		{http.MethodPost, "/v1/queue/{record}/drop", s.postDrop},
		{http.MethodGet, "/v1/queue/erasures", s.getErasures},
		{http.MethodPost, "/v1/queue/verify", s.postVerify},
		{http.MethodPost, "/v1/queue/export", s.postExport},
		{http.MethodPost, "/v1/queue/compact", s.postCompact},
		{http.MethodGet, "/v1/keys", s.getKeys},
		{http.MethodGet, "/v1/panel", s.getPanel},
		{http.MethodPost, "/v1/panel/{role}", s.postForce},
		{http.MethodPost, "/v1/panel/tamper/clear", s.postClear},
		{http.MethodGet, "/v1/cameras", s.getCameras},
		{http.MethodPost, "/v1/cameras/probe", s.postProbe},
		{http.MethodPost, "/v1/cameras/picture", s.postPicture},
		{http.MethodGet, "/v1/commission", s.getCommission},
		{http.MethodPost, "/v1/commission/{step}", s.postCommission},
		{http.MethodGet, "/v1/drain", s.getDrain},
		{http.MethodPost, "/v1/drain", s.postDrain},
		{http.MethodDelete, "/v1/drain", s.deleteDrain},
		{http.MethodDelete, "/v1/lock", s.deleteLock},
		{http.MethodGet, "/v1/health", s.getReport},
		{http.MethodPost, "/v1/health", s.postReport},
		{http.MethodGet, "/metrics", s.getMetrics},
		{http.MethodGet, "/healthz", s.getHealth},
		{http.MethodGet, "/readyz", s.getReady},
	} {
		s.routes = append(s.routes, r.method+" "+r.path)
		s.mux.Handle(r.method+" "+r.path, r.handle)
	}
	s.mux.HandleFunc("/", s.miss)
	return s, nil
}

// takes reports whether a route takes a request like r with that method.
func (s *Server) takes(r *http.Request, method string) bool {
	q := r.WithContext(r.Context())
	q.Method = method
	_, pattern := s.mux.Handler(q)
	return pattern != "/"
}

// miss answers a request that no route takes: with 405 if one of the same path
// takes other methods.
func (s *Server) miss(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodDelete, http.MethodGet, http.MethodPost} {
		if method != r.Method && s.takes(r, method) {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		s.write(w, r, http.StatusNotFound, problem{Message: "no such route: see openapi.yaml"})
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	s.write(w, r, http.StatusMethodNotAllowed, problem{Message: "only " + strings.Join(allowed, " and ") + " is allowed here"})
}

// Routes returns the method and path of every route, such as
// "GET /v1/sessions/{id}".
func (s *Server) Routes() []string { return append([]string(nil), s.routes...) }

// ServeHTTP answers one request without checking who sent it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// The time limits of a connection. Streams lift all but stallTimeout.
const (
	requestTimeout  = 10 * time.Second // to send a request, or to take its answer
	idleTimeout     = 2 * time.Minute
	stallTimeout    = 10 * time.Second // to take one line of a stream
	shutdownTimeout = 3 * time.Second  // for requests in flight when Run is asked to stop
)

// Run serves on Options.Listener until ctx ends, then ends the streams, lets
// other requests finish, and returns nil. Callers without a claim to the
// socket (see Listen) are answered with 403. A server runs once.
func (s *Server) Run(ctx context.Context) error {
	if s.o.Listener == nil {
		return errors.New("api: nothing to serve on: Options.Listener is nil")
	}
	srv := &http.Server{
		Handler:           s.admit(s),
		ConnContext:       connContext,
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		ReadHeaderTimeout: requestTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(s.o.Listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve the local API: %w", err)
	case <-ctx.Done():
	}
	s.close.Do(func() { close(s.closing) })
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil {
		s.log.WarnContext(grace, "requests cut short", slog.Any("err", err))
		if err := srv.Close(); err != nil {
			return fmt.Errorf("close the local API: %w", err)
		}
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("stop the local API: %w", err)
	}
	return nil
}

// write answers with v as JSON.
func (s *Server) write(w http.ResponseWriter, r *http.Request, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		s.log.DebugContext(r.Context(), "answer not taken", slog.Any("err", err))
	}
}

func (s *Server) getSession(w http.ResponseWriter, r *http.Request) {
	if res, ok := s.session(w, r); ok {
		s.write(w, r, http.StatusOK, res)
	}
}

// session returns the result so far of the session that is asked for. It
// answers one that nobody knows, and returns false.
func (s *Server) session(w http.ResponseWriter, r *http.Request) (kiosk.Result, bool) {
	res, known, err := s.result(r.Context(), kiosk.SessionID(r.PathValue("id")))
	switch {
	case err != nil: // not 404: a partner who believed it would capture twice
		s.outboxDown(w, r, err)
	case !known:
		s.write(w, r, http.StatusNotFound, problem{Message: "no such session: it stored no capture, or it was long ago"})
	}
	return res, known
}

// result looks a session up with the launcher, and with the outbox, which
// outlives the daemon. The error is the outbox's.
func (s *Server) result(ctx context.Context, id kiosk.SessionID) (kiosk.Result, bool, error) {
	res, known := s.o.Launcher.Result(id)
	if known && res.Detail != kiosk.APIError {
		return res, true, nil
	}
	entries, err := s.o.Queue.Entries(ctx)
	switch {
	case err != nil && known:
		return res, true, nil
	case err != nil:
		return kiosk.Result{}, false, fmt.Errorf("look up a session: %w", err)
	}
	kept, is := FromQueue(entries, id)
	switch {
	case !known:
		return kept, is, nil
	case is && kept.Detail == kiosk.Saved: // set aside once, and tried again
		kept.CorrelationID = res.CorrelationID
		return kept, true, nil
	}
	return res, true, nil
}

func (s *Server) getStatus(w http.ResponseWriter, r *http.Request) {
	st := s.o.Status()
	if st.Faults == nil {
		st.Faults = []kiosk.Fault{}
	}
	if st.Network == nil {
		st.Network = []ServiceStatus{}
	}
	st.Queue = nil
	entries, err := s.o.Queue.Entries(r.Context())
	if err != nil {
		s.log.DebugContext(r.Context(), "outbox not read for the status", slog.Any("err", err))
	} else {
		st.Queue = new(Count(entries))
	}
	s.write(w, r, http.StatusOK, st)
}

func (s *Server) getQueue(w http.ResponseWriter, r *http.Request) { list(s, w, r, s.o.Queue.Entries) }

// list answers with all that the outbox has of a kind.
func list[T any](s *Server, w http.ResponseWriter, r *http.Request, ask func(context.Context) ([]T, error)) {
	all, err := ask(r.Context())
	if err != nil {
		s.outboxDown(w, r, err)
		return
	}
	if all == nil {
		all = []T{}
	}
	s.write(w, r, http.StatusOK, all)
}

func (s *Server) outboxDown(w http.ResponseWriter, r *http.Request, err error) {
	s.log.WarnContext(r.Context(), "outbox not reached", slog.Any("err", err))
	w.Header().Set("Retry-After", retryAfter)
	s.write(w, r, http.StatusServiceUnavailable, problem{Message: "the outbox cannot be reached now: see the kiosk's log"})
}

func (s *Server) getMetrics(w http.ResponseWriter, r *http.Request) {
	if s.o.Metrics == nil {
		s.write(w, r, http.StatusNotFound, problem{Message: "this kiosk keeps no metrics"})
		return
	}
	s.o.Metrics.ServeHTTP(w, r)
}

// getHealth answers as long as the process serves at all.
func (s *Server) getHealth(w http.ResponseWriter, r *http.Request) {
	s.write(w, r, http.StatusOK, problem{Message: "ok"})
}

func (s *Server) getReady(w http.ResponseWriter, r *http.Request) {
	st := s.o.Status()
	if st.Ready {
		s.write(w, r, http.StatusOK, problem{Message: "ready"})
		return
	}
	msg := "not ready"
	if len(st.Faults) > 0 {
		msg = fmt.Sprintf("out of service: %s", st.Faults)
	}
	w.Header().Set("Retry-After", retryAfter)
	s.write(w, r, http.StatusServiceUnavailable, problem{Message: msg})
}
