// Package gateway speaks to the identity gateway, its object store and the
// partner backend over HTTP.
//
// A call either succeeds or fails with a *kiosk.GatewayError that says what
// the failure means for the record (see the table in disposition.go). Retrying
// is not this package's business: queue/deliver holds the only retry loop.
//
// Tokens and the queries of upload URLs are secrets. They never appear in an
// error or in a log line of this package.
package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
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
)

// Options configure a Client.
type Options struct {
	// GatewayURL is the root of the identity gateway: https, or http on
	// loopback.
	GatewayURL string

	// PartnerURL is the root of the partner backend, by the same rule. Empty:
	// the kiosk has no partner backend, and only launches that bring their own
	// token can be delivered.
	PartnerURL string

	// Client makes the requests. Nil means one with a time limit for each
	// phase of a call, and TLS 1.2 or newer. Redirects are never followed,
	// whichever client it is: a redirect would carry the token along.
	Client *http.Client

	// Log gets one debug line for each call. Nil discards them.
	Log *slog.Logger
}

// Validate reports the first impossible option, by its name.
func (o Options) Validate() error {
	if _, err := root(o.GatewayURL); err != nil {
		return fmt.Errorf("gateway URL: %w", err)
	}
	if o.PartnerURL == "" {
		return nil
	}
	if _, err := root(o.PartnerURL); err != nil {
		return fmt.Errorf("partner URL: %w", err)
	}
	return nil
}

// A Client makes the kiosk's calls. It is safe for concurrent use.
type Client struct {
	gateway *url.URL
	partner *url.URL // nil: none configured
	http    *http.Client
	log     *slog.Logger
}

// New returns a client. It makes no request.
func New(opts Options) (*Client, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	c := &Client{log: opts.Log}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if c.gateway, err = root(opts.GatewayURL); err != nil {
		return nil, fmt.Errorf("gateway URL: %w", err)
	}
	if opts.PartnerURL != "" {
		if c.partner, err = root(opts.PartnerURL); err != nil {
			return nil, fmt.Errorf("partner URL: %w", err)
		}
	}
	h := http.Client{Transport: transport()}
	if opts.Client != nil {
		h = *opts.Client
	}
	h.Jar = nil
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = &h
	return c, nil
}

// transport has a limit for each phase of a call, so that a network that
// swallows packets is noticed in seconds and a slow one is still used.
func transport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: stallTime,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   4,
		ForceAttemptHTTP2:     true,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		// A header this long is not from any gateway.
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// root parses the base URL of a service. Its errors never repeat the URL,
// which may hold a password.
func root(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, errors.New("is not a URL")
	case u.User != nil:
		return nil, errors.New("holds a password: credentials do not belong in a URL")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("has a query or a fragment: give the root only")
	}
	if err := sealed(u); err != nil {
		return nil, err
	}
	return u, nil
}

// sealed reports why u must not be sent a face or a token: in the clear they
// may go to this machine only.
func sealed(u *url.URL) error {
	switch {
	case u.Hostname() == "":
		return errors.New("has no host")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return errors.New("is plain http to another machine: use https")
	}
	return errors.New("is neither https nor http")
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// Targets asks where to upload the images of the session's submission (call
// 3). The gateway may answer with a new submission or an existing one. A
// submission that takes no images any more comes without documents.
func (c *Client) Targets(ctx context.Context, who kiosk.Credentials) (kiosk.Targets, error) {
	u := c.gateway.JoinPath("coe/v1/submissions/urls")
	u.RawQuery = "submissionType=STANDALONE_LIVENESS"
	data, err := c.ask(ctx, callTargets, http.MethodGet, u, &who, nil)
	if err != nil {
		return kiosk.Targets{}, err
	}
	t, err := decodeTargets(data)
	if err != nil {
		return kiosk.Targets{}, strange(callTargets, err)
	}
	return t, nil
}

// Confirm tells the gateway that both images are uploaded (call 5). An answer
// of "state conflict", which a repeated confirmation gets too, is a failure
// with the disposition PollOn.
func (c *Client) Confirm(ctx context.Context, who kiosk.Credentials, submissionID string, metadata json.RawMessage) error {
	body, err := json.Marshal(struct {
		SubmissionID string          `json:"submissionId"`
		Metadata     json.RawMessage `json:"metadata,omitempty"`
	}{submissionID, metadata})
	if err != nil { // metadata that is no JSON will never be accepted
		return &kiosk.GatewayError{Call: callConfirm, Disposition: kiosk.Final, Err: errors.New("metadata is not JSON")}
	}
	_, err = c.ask(ctx, callConfirm, http.MethodPut, c.gateway.JoinPath("coe/v1/submissions/urls"), &who, body)
	return err
}

// Status asks how far the submission is (call 6).
func (c *Client) Status(ctx context.Context, who kiosk.Credentials, submissionID string) (kiosk.SubmissionStatus, error) {
	u := c.gateway.JoinPath("coe/v1/submissions", url.PathEscape(submissionID), "status")
	data, err := c.ask(ctx, callStatus, http.MethodGet, u, &who, nil)
	if err != nil {
		return kiosk.SubmissionStatus{}, err
	}
	s, err := decodeStatus(data)
	if err != nil {
		return kiosk.SubmissionStatus{}, strange(callStatus, err)
	}
	return s, nil
}

// UserToken asks the partner backend to initiate the flow for a person, or to
// renew the token of a correlation id it initiated before.
//
// The endpoint is the kiosk's own contract with partner backends:
//
//	POST {PartnerURL}/v1/kiosk/initiate
//	{"correlationId":"…","userId":"…","userIdType":"…","locale":"id"}
//
//	200 {"token":"…","expiresAt":"<epoch s>"}
//	400 a field is missing or malformed                            final
//	401, 403 the backend does not know this kiosk                  later
//	409 DUPLICATE_PARTNER_SESSION_ID: another user has that id     final
//	429, 5xx                                                       later
//
// Failures have the gateway's envelope. userId may be empty in a renewal: the
// backend knows whom it initiated. It must answer a repeated request for the
// same user with a token, old or new, and not with 409.
func (c *Client) UserToken(ctx context.Context, r kiosk.TokenRequest) (kiosk.UserToken, error) {
	if c.partner == nil {
		return kiosk.UserToken{}, &kiosk.GatewayError{
			Call: callToken, Disposition: kiosk.RetryLater,
			Err: errors.New("no partner backend is configured: set its URL, or launch with a token"),
		}
	}
	body, err := json.Marshal(struct {
		CorrelationID string       `json:"correlationId"`
		UserID        string       `json:"userId,omitempty"`
		UserIDType    string       `json:"userIdType,omitempty"`
		Locale        kiosk.Locale `json:"locale"`
	}{r.CorrelationID, r.UserID, r.UserIDType, r.Locale})
	if err != nil {
		return kiosk.UserToken{}, &kiosk.GatewayError{Call: callToken, Disposition: kiosk.Final, Err: errors.New("request is not JSON")}
	}
	data, err := c.ask(ctx, callToken, http.MethodPost, c.partner.JoinPath("v1/kiosk/initiate"), nil, body)
	if err != nil {
		return kiosk.UserToken{}, err
	}
	token, err := decodeToken(data)
	if err != nil {
		return kiosk.UserToken{}, strange(callToken, err)
	}
	return kiosk.UserToken{Value: token}, nil
}

// ask makes one JSON call and returns the data of its answer. who is nil for
// calls to the partner backend.
func (c *Client) ask(ctx context.Context, call, method string, u *url.URL, who *kiosk.Credentials, body []byte) (json.RawMessage, error) {
	if who != nil && who.Token == "" {
		return nil, &kiosk.GatewayError{Call: call, Disposition: kiosk.NewToken, Err: errors.New("no user token")}
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), r)
	if err != nil {
		return nil, unreachable(ctx, call, err)
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if who != nil {
		req.Header.Set("X-Onekyc-Token", who.Token)
		req.Header.Set("X-Partner-Session-Id", who.CorrelationID)
		req.Header.Set("X-Sdk-Session-Id", string(who.Session))
	}
	answer, err := c.send(ctx, call, req)
	if err != nil {
		return nil, err
	}
	if call == callToken { // the one answer without an envelope
		return answer.plain(call)
	}
	return answer.data(call)
}

// send makes the request and reads its whole answer.
func (c *Client) send(ctx context.Context, call string, req *http.Request) (*answer, error) {
	start := time.Now()
	resp, err := c.http.Do(req)
	if err != nil {
		e := unreachable(ctx, call, err)
		c.log.DebugContext(ctx, "gateway call got no answer", slog.String("call", call), slog.Duration("took", time.Since(start)), slog.Any("err", e))
		return nil, e
	}
	defer func() { _ = resp.Body.Close() }() // only read from
	b, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit+1))
	c.log.DebugContext(ctx, "gateway call answered", slog.String("call", call), slog.Int("status", resp.StatusCode),
		slog.Int("bytes", len(b)), slog.Duration("took", time.Since(start)))
	if err != nil {
		return nil, unreachable(ctx, call, err)
	}
	a := &answer{status: resp.StatusCode, retryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now())}
	if len(b) <= answerLimit {
		a.body = b // a longer body is nothing that a gateway says
	}
	return a, nil
}

// unreachable is the failure of a call that got no whole answer.
func unreachable(ctx context.Context, call string, err error) *kiosk.GatewayError {
	if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
		err = cause
	}
	return &kiosk.GatewayError{Call: call, Disposition: kiosk.RetryLater, Err: &transportError{describe(err), err}}
}

// strange is the failure of a call whose answer was a success that cannot be
// used. It is taken for something between kiosk and gateway: nothing is
// given up for it.
func strange(call string, err error) *kiosk.GatewayError {
	return &kiosk.GatewayError{Call: call, Status: http.StatusOK, Disposition: kiosk.RetryLater, Err: err}
}

// A transportError says what went wrong in words of its own: the texts of
// net/http repeat the URL, and sometimes what a server sent.
type transportError struct {
	text string
	err  error
}

func (e *transportError) Error() string { return e.text }

// Unwrap returns what net/http said without the URL.
func (e *transportError) Unwrap() error {
	err := e.err
	for {
		var u *url.Error
		if !errors.As(err, &u) {
			return err
		}
		err = u.Err
	}
}

func describe(err error) string {
	var (
		dns  *net.DNSError
		op   *net.OpError
		cert *tls.CertificateVerificationError
		nerr net.Error
	)
	switch {
	case errors.Is(err, errStalled):
		return errStalled.Error()
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case errors.As(err, &dns):
		return "host name does not resolve"
	case errors.As(err, &cert):
		return "certificate is not accepted: check the clock and the trust store"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &nerr) && nerr.Timeout():
		return "no answer in time"
	case errors.As(err, &op) && op.Op == "dial":
		return "cannot connect"
	case errors.As(err, &op):
		return "connection broke: " + strings.ToValidUTF8(op.Op, "?")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection ended before the answer"
	}
	return "answer is not HTTP"
}
