package relay

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"livekiosk/kiosk"
)

// correlation is the header that names the session.
const correlation = "X-Partner-Session-Id"

// contract returns the headers of calls 3, 5 and 6. The gateway is told these
// and no other.
func contract() []string { return []string{"X-Onekyc-Token", correlation, "X-Sdk-Session-Id"} }

// Reasons for which nobody gave an answer that counts.
var (
	errTimeout  = errors.New("no answer in time")
	errSilent   = errors.New("connection ended before the answer, or it is not HTTP")
	errLong     = errors.New("answer is too long")
	errRedirect = errors.New("answers with a redirect, which is never followed")
	errGarbled  = errors.New("answer cannot be read")
)

// An answer is what the gateway or its store said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ask makes one request. The body's memory is the caller's again when it
// returns. Its errors hold nothing of the request.
func (r *Relay) ask(ctx context.Context, method string, u *url.URL, header http.Header, body []byte) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return answer{}, errGarbled // the gateway's own URL
	}
	req.Header = header
	if body != nil {
		lent := &loan{data: body}
		defer lent.end()
		req.GetBody = func() (io.ReadCloser, error) { return &reader{of: lent}, nil } // a kept connection that had died is replaced silently
		req.Body, req.ContentLength = &reader{of: lent}, int64(len(body))
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return answer{}, why(err)
	}
	defer func() { _ = resp.Body.Close() }() // only read from
	b, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer+1))
	switch {
	case err != nil:
		return answer{}, why(err)
	case len(b) > mostAnswer:
		return answer{}, errLong
	case resp.StatusCode/100 == 3:
		return answer{}, errRedirect
	}
	return answer{resp.StatusCode, resp.Header, b}, nil
}

// why says in words that hold no URL why no answer came.
func why(err error) error {
	var (
		dns  *net.DNSError
		cert *tls.CertificateVerificationError
		op   *net.OpError
		nerr net.Error
	)
	switch {
	case errors.As(err, &dns):
		return dns
	case errors.As(err, &cert):
		return cert
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &nerr) && nerr.Timeout():
		return errTimeout
	case errors.As(err, &op):
		return op
	}
	return errSilent
}

// unreachable returns the status that tells a kiosk so of the gateway or its
// store. It takes any of them for an outage, and waits.
func unreachable(err error) (status int, timeout bool) {
	if errors.Is(err, errTimeout) {
		return http.StatusGatewayTimeout, true
	}
	return http.StatusBadGateway, false
}

// forward makes one of the calls 3, 5 and 6 with the kiosk's headers, and
// returns the gateway's answer, or else what the kiosk is told.
func (r *Relay) forward(x *exchange, method string, u *url.URL, body []byte) (answer, *reply) {
	h := http.Header{"Accept": {"application/json"}}
	if body != nil {
		h.Set("Content-Type", "application/json")
	}
	for _, name := range contract() {
		if v := x.Header.Get(name); v != "" {
			h.Set(name, v)
		}
	}
	a, err := r.ask(x.Context(), method, u, h, body)
	if err == nil {
		return a, nil
	}
	status, timeout := unreachable(err)
	if timeout {
		return answer{}, refuse(status, "RELAY_GATEWAY_TIMEOUT").because(err)
	}
	return answer{}, refuse(status, "RELAY_GATEWAY_UNREACHABLE").because(err)
}

// pass is the gateway's answer, as it was.
func pass(a answer) *reply {
	return &reply{
		status: a.status, kind: a.header.Get("Content-Type"), retryAfter: a.header.Get("Retry-After"), date: a.header.Get("Date"), body: a.body,
	}
}

// urls is call 3.
func (r *Relay) urls(x *exchange) *reply {
	asked := time.Now()
	u := r.gateway.JoinPath("coe/v1/submissions/urls")
	u.RawQuery = url.Values{"submissionType": {x.URL.Query().Get("submissionType")}}.Encode()
	a, failed := r.forward(x, http.MethodGet, u, nil)
	if failed != nil {
		return failed
	}
	if a.status/100 != 2 {
		return pass(a)
	}
	body, err := r.readdress(x, a.body, asked)
	if err != nil {
		return refuse(http.StatusBadGateway, "RELAY_GATEWAY_ANSWER").because(err)
	}
	out := pass(a)
	out.body = body
	return out
}

// life is that of an upload URL whose end the gateway does not tell: the
// contract's.
const life = 10 * time.Minute

// readdress replaces the upload URLs of an answer, and nothing else.
func (r *Relay) readdress(x *exchange, body []byte, asked time.Time) ([]byte, error) {
	out := object(body)
	if out == nil {
		return nil, errGarbled
	}
	// A success that says it is none, and one without documents, name no URL.
	data := object(out["data"])
	if len(data["documents"]) == 0 {
		return body, nil
	}
	var documents map[string]map[string]json.RawMessage
	if json.Unmarshal(data["documents"], &documents) != nil {
		return nil, errGarbled
	}
	submission := word(data["submissionId"])
	for name, document := range documents {
		for _, key := range []string{"documentUrl", "document_url"} {
			var there string
			if raw, listed := document[key]; !listed || json.Unmarshal(raw, &there) == nil && there == "" {
				continue
			}
			here, err := r.address(x, ticket{
				URL: there, Document: canonical(name), Correlation: x.Header.Get(correlation), Submission: submission,
				End: asked.Add(lifetime(document)).UnixMilli(),
			})
			if err != nil {
				return nil, err
			}
			document[key] = here
		}
	}
	var err error
	if data["documents"], err = json.Marshal(documents); err != nil {
		return nil, errGarbled
	}
	if out["data"], err = json.Marshal(data); err != nil {
		return nil, errGarbled
	}
	if body, err = json.Marshal(out); err != nil {
		return nil, errGarbled
	}
	return body, nil
}

// object returns the fields of a JSON object, and nil for anything else.
func object(raw json.RawMessage) map[string]json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return nil
	}
	return fields
}

// address returns the relay's URL for a ticket, as JSON.
func (r *Relay) address(x *exchange, k ticket) (json.RawMessage, error) {
	if _, err := r.storable(k.URL); err != nil {
		return nil, err
	}
	s, err := r.tickets.seal(k)
	if err != nil {
		return nil, err
	}
	base := r.base
	if base == "" {
		base = "http://" + x.Host
		if x.TLS != nil {
			base = "https://" + x.Host
		}
	}
	return json.Marshal(base + ticketPath + s)
}

// storable parses an upload URL of the gateway's, and reports why it must not
// be used. A gateway that is not on this machine has no reason to name a
// service that is.
func (r *Relay) storable(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		err = errors.New("is not a URL") // the parser's own text repeats it
	case u.Scheme == "http" && r.gateway.Scheme != "http":
		err = errors.New("is plain http, which the gateway is not")
	default:
		err = private(u)
	}
	if err != nil {
		return nil, fmt.Errorf("upload URL of the gateway: %w", err)
	}
	return u, nil
}

// canonical is the name of a document as kiosks seal it: the gateway may write
// additionalSelfie for ADDITIONAL_SELFIE.
func canonical(name string) string {
	fold := func(s string) string { return strings.ToUpper(strings.ReplaceAll(s, "_", "")) }
	for _, d := range kiosk.Documents() {
		if fold(name) == fold(string(d)) {
			return string(d)
		}
	}
	return name
}

// lifetime is how long a document's URL is good for.
func lifetime(document map[string]json.RawMessage) time.Duration {
	for _, key := range []string{"expiryInSeconds", "expirySeconds", "expiry_in_seconds", "expiry_seconds"} {
		if n, err := strconv.ParseInt(word(document[key]), 10, 32); err == nil && n > 0 {
			return min(time.Duration(n)*time.Second, time.Hour)
		}
	}
	return life
}

// word is a JSON string or number as text; "" for anything else.
func word(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var n json.Number
	if json.Unmarshal(raw, &n) == nil {
		return n.String()
	}
	return ""
}

// status is call 6.
func (r *Relay) status(x *exchange) *reply {
	id := x.PathValue("id")
	if id == "." || id == ".." { // which would lead to another call
		return refuse(http.StatusBadRequest, "INVALID_SUBMISSION_ID")
	}
	a, failed := r.forward(x, http.MethodGet, r.gateway.JoinPath("coe/v1/submissions", url.PathEscape(id), "status"), nil)
	if failed != nil {
		return failed
	}
	return pass(a)
}

// A loan is memory that may be read until it is taken back. net/http may go on
// reading a request's body after its answer came.
type loan struct {
	mu   sync.Mutex
	data []byte
}

func (l *loan) end() {
	l.mu.Lock()
	l.data = nil
	l.mu.Unlock()
}

// A reader is one way through a loan.
type reader struct {
	of  *loan
	off int
}

func (r *reader) Read(p []byte) (int, error) {
	r.of.mu.Lock()
	defer r.of.mu.Unlock()
	switch {
	case r.of.data == nil:
		return 0, io.ErrClosedPipe
	case r.off >= len(r.of.data):
		return 0, io.EOF
	}
	n := copy(p, r.of.data[r.off:])
	r.off += n
	return n, nil
}

// Close does nothing: the memory has one owner, who takes it back.
func (r *reader) Close() error { return nil }

// readChunk is how much of a body is read at once, bytes.
const readChunk = 64 << 10

// receive reads a body of at most so many bytes that must come on, and end
// before end. The result is the caller's to clear.
func receive(x *exchange, most int64, end time.Time) ([]byte, error) {
	rc := http.NewResponseController(x.w)
	// Without it the connection would be taken for dead when the time is over,
	// which is long after the body was read.
	defer func() { _ = rc.SetReadDeadline(time.Time{}) }()
	size := x.ContentLength
	if size < 0 {
		size = most
	}
	if size > most {
		return nil, errLong
	}
	var body []byte
	for {
		if len(body) == cap(body) { // as much as came, once more: what is to come is only said
			body = slices.Grow(body, int(min(size+1-int64(len(body)), max(int64(len(body)), readChunk))))
		}
		until := time.Now().Add(readStall)
		if until.After(end) {
			until = end
		}
		_ = rc.SetReadDeadline(until) // where there is no connection, as in a test, it does not apply
		n, err := x.Body.Read(body[len(body):min(cap(body), len(body)+readChunk)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > size:
			return body, errLong
		case errors.Is(err, io.EOF):
			return body, nil
		case err != nil:
			return body, errSilent
		}
	}
}

// html reports whether a store's answer is a page for people, and so not the
// store's.
func html(a answer) bool {
	start := bytes.ToLower(bytes.TrimSpace(a.body[:min(len(a.body), 512)]))
	return strings.Contains(a.header.Get("Content-Type"), "html") || bytes.HasPrefix(start, []byte("<!doctype html")) || bytes.HasPrefix(start, []byte("<html"))
}
