package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"time"
)

// A route is how one service is reached and known.
type route struct {
	proxy       string // as Options.Proxy
	roots       *x509.CertPool
	pins        []string
	certificate func() (*tls.Certificate, error) // nil: none is shown
}

// transport has a limit for each phase of a call, so that a network that
// swallows packets is noticed in seconds and a slow one is still used.
func (r route) transport(c *clock) (*http.Transport, error) {
	proxy, err := proxy(r.proxy)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	pins, err := pins(r.pins)
	if err != nil {
		return nil, err
	}
	conf := &tls.Config{
		MinVersion: tls.VersionTLS12,
		RootCAs:    r.roots,
		Time:       func() time.Time { return c.now() },
	}
	if len(pins) > 0 {
		conf.VerifyConnection = func(s tls.ConnectionState) error { return pinned(s, pins) }
	}
	if r.certificate != nil {
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			cert, err := r.certificate()
			switch {
			case err != nil:
				return nil, &clientCertError{err}
			case cert == nil:
				return nil, &clientCertError{errors.New("there is none")}
			}
			return cert, nil
		}
	}
	return &http.Transport{
		Proxy: proxy,
		OnProxyConnectResponse: func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			return &proxyError{fmt.Sprintf("proxy refuses with HTTP %d", resp.StatusCode)}
		},
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: stallTime,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   16,
		ForceAttemptHTTP2:     true,
		// Without these, a connection whose network is gone is used on and on:
		// HTTP/2 keeps it when a call times out. A ping queues behind an upload
		// on a slow line, so it has as long as an upload has to move.
		HTTP2:           &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: stallTime, WriteByteTimeout: stallTime},
		TLSClientConfig: conf,
		// A header this long is not from any gateway.
		MaxResponseHeaderBytes: 64 << 10,
	}, nil
}

// proxy returns what finds the proxy of a request. Its errors, and those of
// what it returns, hold no credential.
func proxy(s string) (func(*http.Request) (*url.URL, error), error) {
	switch s {
	case "none":
		return nil, nil
	case "":
		return func(r *http.Request) (*url.URL, error) {
			u, err := http.ProxyFromEnvironment(r)
			if err == nil && u != nil {
				err = tunnel(u)
			}
			if err != nil { // net/http's own text repeats the URL
				return nil, &proxyError{"proxy in the environment cannot be used: it must be http://, socks5:// or socks5h:// with a host"}
			}
			return u, nil
		}, nil
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("is not a URL") // the parser's own text repeats it
	}
	if err := tunnel(u); err != nil {
		return nil, err
	}
	return func(r *http.Request) (*url.URL, error) {
		if loopback(r.URL.Hostname()) { // as from the environment
			return nil, nil
		}
		return u, nil
	}, nil
}

// tunnel reports why u is no proxy to be used.
func tunnel(u *url.URL) error {
	switch {
	case u.Hostname() == "":
		return errors.New("has no host")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return errors.New("has a path, a query or a fragment: give scheme, host and port only")
	}
	switch u.Scheme {
	case "http", "socks5", "socks5h":
		return nil
	case "https":
		// net/http would hold the proxy's certificate against the service's
		// pins, and show it the kiosk's own.
		return errors.New("is a proxy reached by TLS, which is not supported: use http or socks5")
	}
	return errors.New("is not one of http, socks5 and socks5h")
}

// A pin is the SHA-256 of a certificate's SubjectPublicKeyInfo.
type pin [sha256.Size]byte

// pins decodes pins as RFC 7469 writes them in its section 2.4.
func pins(list []string) (map[pin]bool, error) {
	set := make(map[pin]bool, len(list))
	for i, s := range list {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil || len(b) != sha256.Size {
			return nil, fmt.Errorf("pin %d: is not the base64 of a SHA-256 (44 characters): take it of the certificate's SubjectPublicKeyInfo", i+1)
		}
		set[pin(b)] = true
	}
	return set, nil
}

// pinned reports errNoPin unless a certificate of a verified chain is pinned.
func pinned(s tls.ConnectionState, set map[pin]bool) error {
	for _, chain := range s.VerifiedChains {
		for _, cert := range chain {
			if set[sha256.Sum256(cert.RawSubjectPublicKeyInfo)] {
				return nil
			}
		}
	}
	return errNoPin
}

// ClientCertificate returns what loads the certificate and its key from PEM
// files, for Options.PartnerCertificate. The files are read at each call, so
// that a pair that was renewed counts from the next handshake on. A pair that
// is not there or does not fit together is an error now, and fails the
// handshakes for as long as it lasts later; so does a key that everybody may
// read, or others write. Errors name the file.
func ClientCertificate(certFile, keyFile string) (func() (*tls.Certificate, error), error) {
	load := func() (*tls.Certificate, error) {
		certPEM, err := os.ReadFile(certFile)
		if err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
		keyPEM, err := readKey(keyFile)
		if err != nil {
			return nil, fmt.Errorf("key: %w", err)
		}
		pair, err := tls.X509KeyPair(certPEM, keyPEM)
		clear(keyPEM)
		if err != nil {
			return nil, fmt.Errorf("certificate %s with key %s: %w", certFile, keyFile, err)
		}
		return &pair, nil
	}
	if _, err := load(); err != nil {
		return nil, err
	}
	return load, nil
}

// readKey returns what a file holds that is a secret.
func readKey(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // read only
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o027 != 0 {
		return nil, fmt.Errorf("%s has mode %04o, which lets others at it: chmod 0600 or 0640", path, mode)
	}
	return io.ReadAll(f)
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
