// Package gateway speaks to the identity gateway, its object store and the
// partner backend over HTTP. A Client makes the kiosk's calls; a Backend makes
// those of a partner's server.
//
// A call either succeeds or fails with a *kiosk.GatewayError that says which
// service failed, how (see trouble.go), and what that means for the record
// (see the table in disposition.go). Retrying is not this package's business:
// queue/deliver holds the only retry loop.
//
// Tokens and the queries of upload URLs are secrets. They never appear in an
// error or in a log line of this package.
package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/time/rate"

	"livekiosk/kiosk"
)

// Options configure a Client. The zero value of each but GatewayURL is usable.
type Options struct {
	// GatewayURL is the root of the identity gateway: https, or http on
	// loopback.
	GatewayURL string

	// PartnerURL is the root of the partner backend, by the same rule. Empty:
	// the kiosk has no partner backend, and only launches that bring their own
	// token can be delivered.
	PartnerURL string

	// Proxy is the way to all services but those on loopback: a URL with the
	// scheme http, socks5 or socks5h, with credentials if need be; "none"; or
	// "", which is what HTTPS_PROXY and NO_PROXY in the environment say. Its
	// credentials appear in no error.
	Proxy string

	// RootCAs are whom the gateway's and the object store's certificates must
	// be from, PartnerCAs the same of the partner backend. Nil: the system's.
	RootCAs    *x509.CertPool
	PartnerCAs *x509.CertPool

	// PartnerCertificate returns the certificate by which the partner backend
	// knows this kiosk. It is asked at each handshake that wants one, by any
	// goroutine, so a renewed one is picked up; see ClientCertificate. Its
	// errors are shown to operators and must hold no secret. No other service
	// is shown the certificate. Nil: there is none.
	PartnerCertificate func() (*tls.Certificate, error)

	// GatewayPins and PartnerPins, where given, narrow the certificate
	// authorities down: at least one certificate of the verified chain must
	// have a SubjectPublicKeyInfo whose SHA-256 is listed, in standard base64
	// (RFC 7469, section 2.4). List a spare key too: a kiosk whose pins no
	// longer match sends nothing until it is configured anew. The object store
	// is not pinned; its URLs come from the gateway.
	GatewayPins []string
	PartnerPins []string

	// BytesPerSecond caps the uploads of all images together, but for those
	// that a person waits for: 0 for no cap, else at least 1024.
	BytesPerSecond int

	// Skew is told how far the gateway's clock is ahead of this machine's
	// after each answer that is certainly the gateway's: in its envelope, and
	// over TLS or loopback. The Date header counts whole seconds, so it is up
	// to a second too low, give or take half the time that the call took. Calls
	// come from the goroutine of the call and must not block. Nil: nobody.
	Skew func(time.Duration)

	// Floor is a time before which the clock cannot be right, such as that of
	// the build. Zero or too early: the day of the contract.
	Floor time.Time

	// Client makes the requests of all services in place of transports of this
	// package, which have a time limit for each phase of a call, HTTP/2, and
	// TLS 1.2 or newer. It has its own ways, so the options on proxy, roots,
	// certificate and pins must be empty then. Redirects are never followed,
	// whichever client it is.
	Client *http.Client

	// Log gets one debug line for each call. Nil discards them.
	Log *slog.Logger
}

// Validate reports the first impossible option, by its name. No error repeats
// a URL or a pin.
func (o Options) Validate() error {
	if _, err := root(o.GatewayURL); err != nil {
		return fmt.Errorf("gateway URL: %w", err)
	}
	if o.PartnerURL != "" {
		if _, err := root(o.PartnerURL); err != nil {
			return fmt.Errorf("partner URL: %w", err)
		}
	}
	if o.Client != nil && (o.Proxy != "" || o.RootCAs != nil || o.PartnerCAs != nil || o.PartnerCertificate != nil || len(o.GatewayPins)+len(o.PartnerPins) > 0) {
		return errors.New("client: has its own transport, so proxy, roots, certificate and pins must be left empty")
	}
	if _, err := proxy(o.Proxy); err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	if _, err := pins(o.GatewayPins); err != nil {
		return fmt.Errorf("gateway pins: %w", err)
	}
	if _, err := pins(o.PartnerPins); err != nil {
		return fmt.Errorf("partner pins: %w", err)
	}
	if o.BytesPerSecond != 0 && o.BytesPerSecond < leastRate {
		return fmt.Errorf("bytes per second: %d is neither 0 nor %d or more", o.BytesPerSecond, leastRate)
	}
	return nil
}

// A Client makes the kiosk's calls. It is safe for concurrent use.
type Client struct {
	gatewayURL *url.URL
	partnerURL *url.URL // nil: none configured

	gateway *line
	store   *line
	partner *line

	cap *rate.Limiter // of uploads; nil: none
}

// New returns a client. It makes no request.
func New(opts Options) (*Client, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	c := &Client{}
	var err error
	if c.gatewayURL, err = root(opts.GatewayURL); err != nil {
		return nil, fmt.Errorf("gateway URL: %w", err)
	}
	if opts.PartnerURL != "" {
		if c.partnerURL, err = root(opts.PartnerURL); err != nil {
			return nil, fmt.Errorf("partner URL: %w", err)
		}
	}
	if opts.BytesPerSecond > 0 {
		c.cap = rate.NewLimiter(rate.Limit(opts.BytesPerSecond), chunk(opts.BytesPerSecond))
	}
	cl := newClock(opts.Floor, opts.Skew)
	for _, s := range []struct {
		service kiosk.Service
		line    **line
		route   route
	}{
		{kiosk.GatewayService, &c.gateway, route{proxy: opts.Proxy, roots: opts.RootCAs, pins: opts.GatewayPins}},
		{kiosk.StoreService, &c.store, route{proxy: opts.Proxy, roots: opts.RootCAs}},
		{kiosk.PartnerService, &c.partner, route{proxy: opts.Proxy, roots: opts.PartnerCAs, pins: opts.PartnerPins, certificate: opts.PartnerCertificate}},
	} {
		if opts.Client != nil {
			*s.line = newLine(s.service, *opts.Client, cl, opts.Log)
			continue
		}
		t, err := s.route.transport(cl)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.service, err)
		}
		if s.service == kiosk.StoreService {
			t.WriteBufferSize = uploadBuffer
		}
		*s.line = newLine(s.service, http.Client{Transport: t}, cl, opts.Log)
	}
	return c, nil
}

// Targets asks where to upload the images of the session's submission (call
// 3). The gateway may answer with a new submission or an existing one. A
// submission that takes no images any more comes without documents.
func (c *Client) Targets(ctx context.Context, who kiosk.Credentials) (kiosk.Targets, error) {
	u := c.gatewayURL.JoinPath("coe/v1/submissions/urls")
	u.RawQuery = "submissionType=STANDALONE_LIVENESS"
	var t kiosk.Targets
	err := c.fetch(ctx, who, request{call: callTargets, method: http.MethodGet, url: u}, into(&t, decodeTargets))
	return t, err
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
		return &kiosk.GatewayError{
			Call: callConfirm, Service: kiosk.GatewayService, Disposition: kiosk.Final, Err: errors.New("metadata is not JSON"),
		}
	}
	r := request{call: callConfirm, method: http.MethodPut, url: c.gatewayURL.JoinPath("coe/v1/submissions/urls"), body: body}
	return c.fetch(ctx, who, r, func(json.RawMessage) error { return nil })
}

// Status asks how far the submission is (call 6).
func (c *Client) Status(ctx context.Context, who kiosk.Credentials, submissionID string) (kiosk.SubmissionStatus, error) {
	u := c.gatewayURL.JoinPath("coe/v1/submissions", url.PathEscape(submissionID), "status")
	var s kiosk.SubmissionStatus
	err := c.fetch(ctx, who, request{call: callStatus, method: http.MethodGet, url: u}, into(&s, decodeStatus))
	return s, err
}

// fetch makes one call to the gateway on a person's behalf.
func (c *Client) fetch(ctx context.Context, who kiosk.Credentials, r request, take func(data json.RawMessage) error) error {
	if who.Token == "" {
		return &kiosk.GatewayError{Call: r.call, Service: kiosk.GatewayService, Disposition: kiosk.NewToken, Err: errors.New("no user token")}
	}
	r.header = map[string]string{
		"X-Onekyc-Token":       who.Token,
		"X-Partner-Session-Id": who.CorrelationID,
		"X-Sdk-Session-Id":     string(who.Session),
	}
	return c.gateway.fetch(ctx, r, take)
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
// Failures have the gateway's envelope; a success may have it. In place of
// expiresAt the answer may hold expirySeconds, and either in snake case. userId
// may be empty in a renewal: the backend knows whom it initiated. It must
// answer a repeated request for the same user with a token, old or new, and
// not with 409.
func (c *Client) UserToken(ctx context.Context, r kiosk.TokenRequest) (kiosk.UserToken, error) {
	if c.partnerURL == nil {
		return kiosk.UserToken{}, &kiosk.GatewayError{
			Call: callToken, Service: kiosk.PartnerService, Disposition: kiosk.RetryLater,
			Err: errors.New("no partner backend is configured: set its URL, or launch with a token"),
		}
	}
	// The gateway speaks Indonesian and English; a kiosk may speak more.
	locale := kiosk.Indonesian
	if r.Locale == kiosk.English {
		locale = kiosk.English
	}
	body, err := json.Marshal(struct {
		CorrelationID string       `json:"correlationId"`
		UserID        string       `json:"userId,omitempty"`
		UserIDType    string       `json:"userIdType,omitempty"`
		Locale        kiosk.Locale `json:"locale"`
	}{r.CorrelationID, r.UserID, r.UserIDType, locale})
	if err != nil {
		return kiosk.UserToken{}, &kiosk.GatewayError{
			Call: callToken, Service: kiosk.PartnerService, Disposition: kiosk.Final, Err: errors.New("request is not JSON"),
		}
	}
	a, err := c.partner.ask(ctx, request{call: callToken, method: http.MethodPost, url: c.partnerURL.JoinPath("v1/kiosk/initiate"), body: body})
	if err != nil {
		return kiosk.UserToken{}, err
	}
	data, err := a.plain()
	if err != nil {
		return kiosk.UserToken{}, err
	}
	token, err := decodeUserToken(data, c.partner.clock.now())
	if err != nil {
		return kiosk.UserToken{}, a.strange(err)
	}
	return token, nil
}
