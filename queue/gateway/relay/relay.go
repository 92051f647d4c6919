// Package relay opens evidence that kiosks sealed for it and hands it to the
// identity gateway. A kiosk in relay mode seals images and metadata for the
// relay's key, and cannot read them again; neither can who steals it.
//
// To a kiosk a Relay is the gateway: it serves calls 3 to 6 of the contract,
// word for word, and makes the same calls to the real gateway with the kiosk's
// own three headers. Three things differ on the way:
//
//	call 3, upload URLs  each URL is replaced by one of the relay's own
//	call 4, upload       the body must be an envelope: it is opened and put to the gateway's URL
//	call 5, confirm      the metadata must be {"livekiosk_sealed":"<base64 of an envelope>"}: they are opened
//
// An envelope opens only for the correlation id of the session that it was
// sealed for. Its images go to nobody but the URL that the gateway named for
// that session, so a relay is no way to read what somebody stole. Who may use
// it is the gateway's to say: without a user token that it accepts there is no
// upload URL.
//
// # Upload URLs
//
// A URL of the relay's holds the gateway's own in sealed form, with the
// document, the correlation id and the end of its life, under a key that is
// derived from the relay's private key. Nobody can make or read one, nothing is
// kept of it, and it goes on being good after a restart and at a second relay
// with the same key. One that is expired, or of another key, is answered as
// the store answers an expired presigned URL: 403 AccessDenied, upon which a
// kiosk asks for new ones.
//
// # What is refused
//
// Answers are the gateway's own where it gave one: status, body, Retry-After
// and Date. Those of the relay itself are chosen by what a kiosk makes of them,
// since no fault of the relay's may cost a capture. A kiosk gives images up
// when it is told that they are not accepted (413, or 422 to a confirmation),
// asks for new URLs at any other 4xx to an upload, and sets a record aside at a
// 400 to a confirmation. So:
//
//	500 RelayWantsSealed, RELAY_WANTS_SEALED    what came is not sealed: the kiosk is not in relay mode
//	500 RelayCannotOpen, RELAY_CANNOT_OPEN      no key here opens it, or it is another session's
//	500 RelayWrongPart, RELAY_WRONG_PART        it is another part than the call says
//
// of which the record is kept and tried again, ever less often; three records
// in a row tell the kiosk that the service is out, so that a backlog costs one
// try at a time and no more; and a record that alone is refused so is set aside
// in the end. All three are mended by an operator, at the kiosk or here.
//
//	400 RELAY_PARTS_DISAGREE           images and metadata are of different captures
//	400 INVALID_CONFIRM_UPLOAD_REQUEST  the body is no confirmation
//
// can only be a defect of the kiosk: the record is set aside for staff.
//
//	400 EntityTooLarge                 an image of more than 4 MiB, as the store itself says it
//	502, 503, 504                      the gateway or its store is out of reach, or the relay is busy
//
// What is not among the calls is answered with 404.
//
// # What is kept
//
// Nothing on disk. In memory, for a while, which capture the images of a
// submission were of, by ids; images and metadata for as long as their call
// lasts, then they are overwritten. Neither log nor answer holds a token, an
// image, metadata, a correlation id or an upload URL.
package relay

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"livekiosk/queue/seal"
)

// Limits of one call. A kiosk hears nothing for 30 s at most before it gives a
// call up, so that the relay must have given up before.
const (
	askTime    = 25 * time.Second // of a call to the gateway or its store, answer included
	readStall  = 30 * time.Second // of a body that does not come on
	writeStall = 30 * time.Second // of an answer that is not taken
	roomTime   = 8 * time.Second  // that an upload waits until others have left memory

	mostAnswer  = 1 << 20   // bytes of an answer that is passed on
	mostConfirm = 512 << 10 // bytes of a confirmation
	mostImage   = 4 << 20   // bytes of an image: the contract's
	mostFrame   = 16 << 10  // bytes by which an envelope may be longer than its image
)

// leastMemory is room for one image of any size: the envelope, and what it
// holds.
const leastMemory = 2 * (mostImage + mostFrame)

// Options configure a Relay. The zero value of each but GatewayURL and Keys is
// usable.
type Options struct {
	// GatewayURL is the root of the identity gateway: https, or http on
	// loopback.
	GatewayURL string

	// Keys are those that kiosks seal for. The current one signs the upload
	// URLs; older ones open what was sealed before it was.
	Keys *seal.Ring

	// BaseURL is the root by which kiosks reach this relay, for the upload URLs
	// it hands out: https, or http on loopback. Empty: what the request says, by
	// its Host and by whether it came over TLS. It must be set where something
	// in front of the relay ends the TLS.
	BaseURL string

	// RootCAs are whom the gateway's and its store's certificates must be from.
	// Nil: the system's.
	RootCAs *x509.CertPool

	// Memory is how many bytes of images and envelopes are held at a time, at
	// least 8 MiB and 32 KiB. 0 means 256 MiB. An upload that finds no room in
	// time is answered with 503 SlowDown.
	Memory int64

	// Client makes the requests to the gateway and its store in place of a
	// transport of this package, which has a time limit for each phase of a
	// call, and the environment's proxy. RootCAs must be nil then. Redirects are
	// never followed, whichever client it is.
	Client *http.Client

	// Log gets one line for each call. Nil discards them.
	Log *slog.Logger
}

// Validate reports the first impossible option, by its name. No error repeats
// a URL.
func (o Options) Validate() error {
	if _, err := root(o.GatewayURL); err != nil {
		return fmt.Errorf("gateway URL: %w", err)
	}
	if o.BaseURL != "" {
		if _, err := root(o.BaseURL); err != nil {
			return fmt.Errorf("base URL: %w", err)
		}
	}
	switch {
	case o.Keys == nil:
		return errors.New("keys: there is none")
	case o.Client != nil && o.RootCAs != nil:
		return errors.New("client: has its own transport, so the roots must be left empty")
	case o.Memory != 0 && o.Memory < leastMemory:
		return fmt.Errorf("memory: %d bytes do not hold one image: give %d or more, or 0", o.Memory, leastMemory)
	}
	return nil
}

// A Relay is an http.Handler. It is safe for concurrent use.
type Relay struct {
	mux     *http.ServeMux
	gateway *url.URL
	base    string // "": that of each request
	keys    []*seal.Key
	tickets *tickets
	client  *http.Client
	memory  *semaphore.Weighted
	most    int64 // of memory
	parts   *ledger
	log     *slog.Logger
}

// New returns a relay. It makes no request.
func New(opts Options) (*Relay, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	gateway, err := root(opts.GatewayURL)
	if err != nil {
		return nil, fmt.Errorf("gateway URL: %w", err)
	}
	r := &Relay{
		mux: http.NewServeMux(), gateway: gateway, keys: opts.Keys.All(), parts: newLedger(),
		most: cmp.Or(opts.Memory, 256<<20), log: opts.Log,
	}
	r.memory = semaphore.NewWeighted(r.most)
	r.base = strings.TrimSuffix(opts.BaseURL, "/")
	if r.tickets, err = newTickets(opts.Keys.Current()); err != nil {
		return nil, err
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	client := http.Client{Transport: transport(opts.RootCAs)}
	if opts.Client != nil {
		client = *opts.Client
	}
	client.Jar = nil
	// A redirect would carry token and image to somebody else.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	r.client = &client

	r.mux.HandleFunc("GET /coe/v1/submissions/urls", r.serve("urls", r.urls))
	r.mux.HandleFunc("PUT /coe/v1/submissions/urls", r.serve("confirm", r.confirm))
	r.mux.HandleFunc("GET /coe/v1/submissions/{id}/status", r.serve("status", r.status))
	r.mux.HandleFunc("PUT "+ticketPath+"{ticket}", r.serve("upload", r.upload))
	r.mux.HandleFunc("/", r.serve("", func(*exchange) *reply { return refuse(http.StatusNotFound, "NOT_FOUND") }))
	return r, nil
}

// ServeHTTP serves calls 3 to 6.
func (r *Relay) ServeHTTP(w http.ResponseWriter, req *http.Request) { r.mux.ServeHTTP(w, req) }

// An exchange is a request that the relay answers.
type exchange struct {
	*http.Request

	w      http.ResponseWriter
	device string // fingerprint of the kiosk's key, once an envelope told it
}

// serve answers a call, and logs it.
func (r *Relay) serve(call string, h func(*exchange) *reply) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		began, x := time.Now(), &exchange{Request: req, w: w}
		a := h(x)
		a.write(w)
		level := slog.LevelInfo
		if a.own && call != "" {
			level = slog.LevelWarn
		}
		attrs := []slog.Attr{
			slog.String("call", call), slog.Int("status", a.status), slog.Duration("took", time.Since(began)),
		}
		for _, s := range []struct{ key, value string }{{"cause", a.cause}, {"device", x.device}} {
			if s.value != "" {
				attrs = append(attrs, slog.String(s.key, s.value))
			}
		}
		if a.err != nil {
			attrs = append(attrs, slog.Any("err", a.err))
		}
		r.log.LogAttrs(req.Context(), level, "call answered", attrs...)
	}
}

// transport has a limit for each phase of a call.
func transport(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  askTime,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    64, // a fleet's
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second, WriteByteTimeout: askTime},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
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
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("has a query or a fragment: give the root only")
	}
	if err := private(u); err != nil {
		return nil, err
	}
	return u, nil
}

// private reports why u must not be sent a face or a token: in the clear they
// may go to this machine only.
func private(u *url.URL) error {
	switch {
	case u.User != nil:
		return errors.New("holds a password: credentials do not belong in a URL")
	case u.Hostname() == "":
		return errors.New("has no host")
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
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
