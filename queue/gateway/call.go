package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"livekiosk/kiosk"
)

// Limits of one call. An answer that is larger or slower is a failed call.
const (
	answerLimit = 1 << 20          // bytes of an answer's body that are read
	answerTime  = 45 * time.Second // a whole call but an upload
	stallTime   = 30 * time.Second // an upload without progress, or without an answer
)

// The names of the calls, as they stand in GatewayError.Call.
const (
	callTargets = "urls"
	callUpload  = "upload"
	callConfirm = "confirm"
	callStatus  = "status"
	callToken   = "token"

	// A partner's server makes these.
	callPartnerToken = "partner_token"
	callFlow         = "flow"
	callDetails      = "details"
)

// A line is the way to one service.
type line struct {
	service kiosk.Service
	http    *http.Client
	clock   *clock
	log     *slog.Logger
}

// newLine returns the line that makes its requests with h, of which it takes
// a copy: a redirect would carry the token along and is never followed.
func newLine(service kiosk.Service, h http.Client, cl *clock, log *slog.Logger) *line {
	h.Jar = nil
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &line{service: service, http: &h, clock: cl, log: log}
}

// A request is one JSON call.
type request struct {
	call   string
	method string
	url    *url.URL
	header map[string]string // of this call alone, tokens included
	body   []byte            // nil: none
}

// ask makes one JSON call.
func (l *line) ask(ctx context.Context, r request) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, r.url.String(), body)
	if err != nil {
		return nil, l.unreachable(ctx, r.call, err)
	}
	req.Header.Set("Accept", "application/json")
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	return l.send(ctx, r.call, req)
}

// fetch makes one JSON call and takes the data of its answer.
func (l *line) fetch(ctx context.Context, r request, take func(data json.RawMessage) error) error {
	a, err := l.ask(ctx, r)
	if err != nil {
		return err
	}
	data, err := a.data()
	if err != nil {
		return err
	}
	if err := take(data); err != nil {
		return a.strange(err)
	}
	return nil
}

// into takes data by decoding it to v, which stays zero if that fails.
func into[T any](v *T, decode func(json.RawMessage) (T, error)) func(json.RawMessage) error {
	return func(data json.RawMessage) (err error) {
		*v, err = decode(data)
		return err
	}
}

// send makes the request and reads its whole answer.
func (l *line) send(ctx context.Context, call string, req *http.Request) (*answer, error) {
	start := l.clock.now()
	resp, err := l.http.Do(req)
	if err != nil {
		e := l.unreachable(ctx, call, err)
		l.log.DebugContext(ctx, "gateway call got no answer", slog.String("call", call), slog.String("service", string(l.service)),
			slog.String("trouble", string(e.Trouble)), slog.Duration("took", l.clock.now().Sub(start)), slog.Any("err", e))
		return nil, e
	}
	defer func() { _ = resp.Body.Close() }() // only read from
	arrived := l.clock.now()
	b, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit+1))
	l.log.DebugContext(ctx, "gateway call answered", slog.String("call", call), slog.String("service", string(l.service)),
		slog.Int("status", resp.StatusCode), slog.String("protocol", resp.Proto), slog.Int("bytes", len(b)), slog.Duration("took", l.clock.now().Sub(start)))
	if err != nil {
		return nil, l.unreachable(ctx, call, err)
	}
	a := &answer{
		call: call, service: l.service, status: resp.StatusCode, to: req,
		retryAfter: retryAfter(resp.Header.Get("Retry-After"), arrived),
		long:       len(b) > answerLimit,
	}
	if !a.long {
		a.body = b // a longer body is nothing that a gateway says
	}
	a.enveloped = json.Unmarshal(a.body, &a.envelope) == nil && a.envelope.Success != nil
	a.html = !a.enveloped && page(resp.Header.Get("Content-Type"), a.body)
	if l.service == kiosk.GatewayService && a.enveloped && verified(req.URL, resp) {
		l.clock.heard(resp.Header.Get("Date"), start, arrived)
	}
	return a, nil
}

// verified reports whether resp came from who it says it is from.
func verified(u *url.URL, resp *http.Response) bool {
	if resp.TLS != nil {
		return len(resp.TLS.VerifiedChains) > 0
	}
	return u.Scheme == "http" && loopback(u.Hostname())
}

// unreachable is the failure of a call that got no whole answer.
func (l *line) unreachable(ctx context.Context, call string, err error) *kiosk.GatewayError {
	if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
		err = cause
	}
	trouble, text := l.clock.diagnose(err)
	return &kiosk.GatewayError{
		Call: call, Service: l.service, Trouble: trouble, Disposition: kiosk.RetryLater, Err: &transportError{text, err},
	}
}

// An answer is what came back for one call.
type answer struct {
	call       string
	service    kiosk.Service
	to         *http.Request // holds secrets
	status     int
	retryAfter time.Duration
	body       []byte // nil if it was too long
	long       bool
	html       bool // a page for people
	envelope   envelope
	enveloped  bool
}

// An envelope is the gateway's wrapping of every answer. The codes in Errors
// are not read: no decision may rest on them.
type envelope struct {
	Success *truth          `json:"success"`
	Data    json.RawMessage `json:"data"`
	Errors  json.RawMessage `json:"errors"`
}

// data returns the data of a successful answer, or the failure.
func (a *answer) data() (json.RawMessage, error) {
	if a.status/100 == 2 && a.enveloped && bool(*a.envelope.Success) {
		return a.envelope.Data, nil
	}
	return nil, a.failure()
}

// plain returns the body of a successful answer that needs no envelope: JSON.
func (a *answer) plain() (json.RawMessage, error) {
	if a.status/100 == 2 && json.Valid(a.body) && (!a.enveloped || bool(*a.envelope.Success)) {
		return a.body, nil
	}
	return nil, a.failure()
}

// stored reports whether the object store took the upload.
func (a *answer) stored() error {
	// A store answers a PUT with an empty body. A page is a captive portal's.
	if a.status/100 == 2 && !a.long && len(bytes.TrimSpace(a.body)) == 0 {
		return nil
	}
	return a.failure()
}

// failure is what the answer means, if it is not a success.
func (a *answer) failure() error {
	g := &kiosk.GatewayError{
		Call: a.call, Service: a.service, Status: a.status, RetryAfter: a.retryAfter,
	}
	switch {
	case a.service == kiosk.StoreService:
		g.Cause = storeCode(a.body)
	case a.enveloped:
		g.Cause = cause(a.envelope.Errors)
	}
	if g.Cause != "" && a.sent(g.Cause) {
		g.Cause = ""
	}
	from := bystander
	if a.enveloped || a.service == kiosk.StoreService && !a.html {
		from = itself
	}
	g.Trouble = a.trouble(g.Cause)
	g.Disposition = disposition(a.call, a.status, g.Cause, from)
	// Of other troubles status and cause say enough.
	if err := map[kiosk.Trouble]error{kiosk.TroublePortal: errIntercepted, kiosk.TroubleGarbled: errGarbled}[g.Trouble]; err != nil {
		g.Err = fmt.Errorf("HTTP %d: %w", a.status, err)
	}
	return g
}

// sent reports whether the request had a word in it. It may be a token, or the
// number by which a person is known: a service that gives it back as its cause
// would have it logged and shown.
func (a *answer) sent(word string) bool {
	said := []string{a.to.URL.RawQuery}
	for _, values := range a.to.Header {
		said = append(said, values...)
	}
	if a.to.GetBody != nil && a.service != kiosk.StoreService { // an image says nothing
		if body, err := a.to.GetBody(); err == nil {
			b, _ := io.ReadAll(body) // in memory
			said = append(said, string(b))
		}
	}
	return slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, word) })
}

// strange is the failure of a call whose answer was a success that cannot be
// used. Nothing is given up for it.
func (a *answer) strange(err error) error {
	return &kiosk.GatewayError{
		Call: a.call, Service: a.service, Trouble: kiosk.TroubleGarbled, Status: a.status, Disposition: kiosk.RetryLater, Err: err,
	}
}

// page reports whether an answer is a web page, which no service of the
// kiosk's sends.
func page(contentType string, body []byte) bool {
	if kind, _, err := mime.ParseMediaType(contentType); err == nil && (kind == "text/html" || kind == "application/xhtml+xml") {
		return true
	}
	start := strings.ToLower(string(bytes.TrimSpace(body[:min(len(body), 512)])))
	return strings.HasPrefix(start, "<!doctype html") || strings.HasPrefix(start, "<html")
}
