package partner

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue/gateway"
)

// Limits of a request's body, in bytes.
const (
	smallBody    = 16 << 10
	callbackBody = 1 << 20
)

// An answer is what a call answers: a body, or the cause of a failure.
type answer struct {
	status     int
	body       any
	cause      string
	retryAfter time.Duration
}

func fine(status int, body any) answer { return answer{status: status, body: body} }

func fail(status int, cause string) answer { return answer{status: status, cause: cause} }

// The failures that several calls share.
func missing(field string) answer {
	return fail(http.StatusBadRequest, field+"_CAN_NOT_BE_EMPTY")
}

func malformed(what string) answer { return fail(http.StatusBadRequest, "INVALID_"+what) }

// broken is the failure of this backend.
func (s *Server) broken(r *http.Request, err error) answer {
	s.log.ErrorContext(r.Context(), "state cannot be used", slog.Any("err", err))
	return fail(http.StatusInternalServerError, "GENERIC_SERVICE_ERROR")
}

// upstream is the failure of a call to the gateway.
func (s *Server) upstream(r *http.Request, err error) answer {
	s.log.WarnContext(r.Context(), "gateway call failed", slog.Any("err", err))
	a := fail(http.StatusBadGateway, "UPSTREAM_UNAVAILABLE")
	if g, ok := errors.AsType[*gateway.Error](err); ok {
		if g.Cause != "" {
			a.cause = g.Cause
		}
		if g.Status == http.StatusTooManyRequests || g.Status == http.StatusServiceUnavailable {
			a.status = http.StatusServiceUnavailable
		}
		a.retryAfter = g.RetryAfter
	}
	return a
}

// code is the envelope's code for a status; nothing may rest on it.
func code(status int) string {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return "110"
	case http.StatusBadRequest:
		return "1540"
	case http.StatusNotFound:
		return "1543"
	}
	return "900"
}

func (a answer) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	if a.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(a.retryAfter.Round(time.Second)/time.Second)))
	}
	body := a.body
	if a.cause != "" {
		body = map[string]any{
			"success": false, "data": a.body,
			"errors": []map[string]string{{"code": code(a.status), "entity": "PARTNER", "cause": a.cause}},
		}
	}
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(body) // the client may have gone
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern, call string, limit int64, h func(*http.Request, *Event) answer) {
		mux.Handle(pattern, s.serve(call, limit, h))
	}
	handle("POST /v1/kiosk/initiate", CallInitiate, smallBody, s.initiate)
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch} {
		handle(method+" /callback", CallCallback, callbackBody, s.callback)
	}
	handle("POST /reference", CallReference, smallBody, s.reference)
	mux.HandleFunc("GET /reference/{key}", s.referenceImage)
	handle("POST /v1/flows", CallFlow, smallBody, s.front(s.begin))
	handle("POST /v1/sessions/{correlation}/launch", CallLaunch, smallBody, s.front(s.launch))
	handle("GET /v1/sessions/{correlation}", CallSession, 0, s.front(s.session))
	handle("GET /v1/submissions/{id}", CallSubmission, 0, s.front(s.submission))
	mux.HandleFunc("GET /v1/sessions/{correlation}/events", s.local(s.watch))
	if !s.opts.HideEvents {
		mux.HandleFunc("GET /events", s.local(s.serveEvents))
	}
	mux.HandleFunc("GET /{$}", s.local(s.page))
	mux.HandleFunc("GET /page.css", s.local(asset("page.css", "text/css; charset=utf-8")))
	mux.HandleFunc("GET /page.js", s.local(asset("page.js", "text/javascript; charset=utf-8")))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fail(http.StatusNotFound, "NOT_FOUND").write(w) })

	// Browsers must not be made to act for another site's page.
	sameOrigin := http.NewCrossOriginProtection()
	sameOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fail(http.StatusForbidden, "CROSS_ORIGIN_REQUEST").write(w)
	}))
	return s.named(sameOrigin.Handler(mux))
}

// named refuses to be asked under a name that is not this server's.
func (s *Server) named(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if host != "localhost" && !loopback(host) && !slices.Contains(s.opts.Hosts, host) {
			fail(http.StatusMisdirectedRequest, "UNKNOWN_HOST").write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// serve wraps a call with the bounds of its body and its event.
func (s *Server) serve(call string, limit int64, h func(*http.Request, *Event) answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		ev := Event{Call: call, CorrelationID: r.PathValue("correlation")}
		a := h(r, &ev)
		ev.Status, ev.Cause = a.status, a.cause
		s.record(r.Context(), ev)
		a.write(w)
	})
}

// front keeps a call of the front end to this machine.
func (*Server) front(h func(*http.Request, *Event) answer) func(*http.Request, *Event) answer {
	return func(r *http.Request, ev *Event) answer {
		if !near(r) {
			return fail(http.StatusForbidden, "FRONT_END_IS_LOCAL_ONLY")
		}
		return h(r, ev)
	}
}

// local is front for what writes its own answer.
func (*Server) local(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !near(r) {
			fail(http.StatusForbidden, "FRONT_END_IS_LOCAL_ONLY").write(w)
			return
		}
		h(w, r)
	}
}

// near reports whether a request comes from this machine.
func near(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	return err == nil && loopback(host)
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// decode reads a JSON body.
func decode(r *http.Request, v any) bool {
	b, err := io.ReadAll(r.Body)
	return err == nil && json.Unmarshal(b, v) == nil
}

// identifier reports whether s can stand in a path, a log and a header.
func identifier(s string) bool {
	for _, r := range s {
		if r <= ' ' || r > '~' {
			return false
		}
	}
	return s != "" && len(s) <= 128
}

// authorised reports whether a request shows itself to be the gateway's.
func (s *Server) authorised(r *http.Request) bool {
	return subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte(s.opts.CallbackAuth)) == 1
}

// turnedDown reports whether the gateway took no partner token any more.
func turnedDown(err error) bool {
	g, ok := errors.AsType[*gateway.Error](err)
	return ok && g.Disposition == kiosk.NewToken
}

// hasCause reports whether the gateway said so.
func hasCause(err error, cause string) bool {
	g, ok := errors.AsType[*gateway.Error](err)
	return ok && g.Cause == cause
}
