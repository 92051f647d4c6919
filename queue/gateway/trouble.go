package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"livekiosk/kiosk"
)

var (
	errStalled     = errors.New("upload stalled")
	errIntercepted = errors.New("answer is not the gateway's: a captive portal or a proxy may be in between")
	errGarbled     = errors.New("answer cannot be read")
	errNoPin       = errors.New("none of the pins matches the certificate chain")
)

// A proxyError is a proxy that cannot be used. Its text tells no credential.
type proxyError struct{ text string }

func (e *proxyError) Error() string { return e.text }

// A clientCertError is a certificate of this kiosk's own that cannot be shown.
type clientCertError struct{ err error }

func (e *clientCertError) Error() string { return "this kiosk's own certificate: " + e.err.Error() }

// Unwrap returns the loader's error.
func (e *clientCertError) Unwrap() error { return e.err }

// A streamError is HTTP/2's for a stream that the server reset. The one in
// net/http is not exported, and fills any struct that has its fields.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e streamError) Error() string { return "stream was reset" }

// trouble says what kept the answer from counting: NoTrouble if it is the
// service's own word on this call.
func (a *answer) trouble(cause string) kiosk.Trouble {
	switch {
	case a.status == http.StatusProxyAuthRequired:
		return kiosk.TroubleProxy
	case a.status == http.StatusNetworkAuthenticationRequired:
		return kiosk.TroublePortal
	case a.status == http.StatusTooManyRequests && cause == quotaUsedUp:
		return kiosk.NoTrouble
	case a.status == http.StatusTooManyRequests:
		return kiosk.TroubleBusy
	case a.status == http.StatusRequestTimeout, cause == storeTimeout:
		return kiosk.TroubleTimeout
	case a.status >= 500, a.status == http.StatusTooEarly:
		return kiosk.TroubleUnavailable // a balancer's page says the same
	case a.html, a.status/100 == 3:
		return kiosk.TroublePortal
	case a.long:
		return kiosk.TroubleGarbled
	case a.status/100 == 4 && (a.enveloped || a.service == kiosk.StoreService):
		return kiosk.NoTrouble
	case a.enveloped: // a success that says it is none
		return kiosk.TroubleGarbled
	case a.service != kiosk.StoreService && len(a.body) > 0 && !json.Valid(a.body):
		return kiosk.TroubleGarbled
	}
	return kiosk.TroublePortal // nobody the kiosk knows speaks so
}

// diagnose says in a word, and in a text of its own, why no whole answer came.
// A call that its caller gave up is no trouble.
func (c *clock) diagnose(err error) (kiosk.Trouble, string) {
	var (
		proxy  *proxyError
		own    *clientCertError
		dns    *net.DNSError
		op     *net.OpError
		cert   *tls.CertificateVerificationError
		record tls.RecordHeaderError
		nerr   net.Error
		stream streamError
	)
	isOp := errors.As(err, &op)
	switch {
	case errors.Is(err, errStalled):
		return kiosk.TroubleTimeout, errStalled.Error()
	case errors.Is(err, context.Canceled):
		return kiosk.NoTrouble, "cancelled"
	case errors.As(err, &proxy):
		return kiosk.TroubleProxy, proxy.text
	case isOp && (op.Op == "proxyconnect" || strings.HasPrefix(op.Op, "socks")):
		return kiosk.TroubleProxy, "proxy cannot be reached"
	case errors.As(err, &dns):
		return kiosk.TroubleDNS, "host name does not resolve"
	case errors.As(err, &own):
		return kiosk.TroubleCertificate, own.Error()
	case errors.Is(err, errNoPin):
		return kiosk.TroubleCertificate, errNoPin.Error()
	case errors.As(err, &cert):
		return c.refused(cert)
	case isOp && op.Op == "remote error":
		// A TLS alert. Where this kiosk shows a certificate, that is nearly
		// always what the alert is about.
		return kiosk.TroubleCertificate, "service refuses the TLS handshake: check this kiosk's certificate"
	case errors.Is(err, http.ErrSchemeMismatch):
		return kiosk.TroublePortal, errIntercepted.Error()
	case errors.As(err, &record):
		return kiosk.TroubleGarbled, "answer is not TLS"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &nerr) && nerr.Timeout():
		return kiosk.TroubleTimeout, "no answer in time"
	case isOp && op.Op == "dial":
		return kiosk.TroubleConnect, "cannot connect"
	case isOp, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &stream),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return kiosk.TroubleBroken, "connection ended before the answer"
	}
	return kiosk.TroubleGarbled, "answer is not HTTP"
}

// refused tells a certificate that is not accepted from a clock by which none
// could be.
func (c *clock) refused(err *tls.CertificateVerificationError) (kiosk.Trouble, string) {
	var invalid x509.CertificateInvalidError
	dated := errors.As(err, &invalid) && invalid.Reason == x509.Expired
	switch now := c.now(); {
	case c.wrong(now, invalid.Cert, dated):
		return kiosk.TroubleClock, "this kiosk's clock says " + day(now) + ": no certificate can be right by it, set the clock"
	case dated && now.After(invalid.Cert.NotAfter):
		return kiosk.TroubleCertificate, "certificate expired on " + day(invalid.Cert.NotAfter) + ", and this kiosk's clock says " + day(now)
	case dated:
		return kiosk.TroubleCertificate, "certificate is not valid before " + day(invalid.Cert.NotBefore) + ", and this kiosk's clock says " + day(now)
	}
	return kiosk.TroubleCertificate, "certificate is not accepted: check the trust store"
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// A clock is this machine's, and what is known against it.
type clock struct {
	now   func() time.Time
	floor time.Time           // no earlier time can be right
	skew  func(time.Duration) // may be nil

	mu    sync.Mutex
	said  time.Time // the gateway's time of its last verified answer; zero: none yet
	since time.Time // when that was by the monotonic clock
}

func newClock(floor time.Time, skew func(time.Duration)) *clock {
	// The contract that this package speaks is of that day: no clock that is
	// right shows an earlier one.
	if contract := time.Date(2026, time.May, 1, 0, 0, 0, 0, time.UTC); floor.Before(contract) {
		floor = contract
	}
	return &clock{now: time.Now, floor: floor, skew: skew}
}

// wrong reports whether it is the clock's doing that a certificate was not
// accepted. cert is the one refused, dated whether for its dates.
//
// The clock is wrong if it stands before the software was made. Otherwise the
// gateway's own time decides, where a verified answer has told it since this
// process started: a certificate whose dates hold by that time is good, so the
// clock is not. Where nothing was heard yet, a certificate from the future is
// held against the clock, for nobody installs one; an expired one is held
// against the certificate, for that does happen.
func (c *clock) wrong(now time.Time, cert *x509.Certificate, dated bool) bool {
	if now.Before(c.floor) {
		return true
	}
	if !dated {
		return false
	}
	c.mu.Lock()
	said, since := c.said, c.since
	c.mu.Unlock()
	if said.IsZero() {
		return now.Before(cert.NotBefore)
	}
	there := said.Add(time.Since(since)) // monotonic: a clock that was set since does not matter
	return !there.Before(cert.NotBefore) && !there.After(cert.NotAfter)
}

// heard takes the Date of a verified answer to a request that was started and
// answered at these times.
func (c *clock) heard(date string, started, answered time.Time) {
	at, err := http.ParseTime(date)
	if err != nil {
		return
	}
	c.mu.Lock()
	c.said, c.since = at, time.Now()
	c.mu.Unlock()
	if c.skew != nil {
		c.skew(at.Sub(started.Add(answered.Sub(started) / 2)))
	}
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
