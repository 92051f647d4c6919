package gateway_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue/gateway"
)

// An authority issues certificates for these tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(0, 0), NotAfter: time.Now().AddDate(100, 0, 0), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// issue returns a certificate for servers and clients that is valid between
// the two times.
func (a *authority) issue(t *testing.T, name string, from, to time.Time) tls.Certificate {
	t.Helper()
	key := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to,
		DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key, Leaf: leaf}
}

// good returns a certificate that is valid now.
func (a *authority) good(t *testing.T, name string) tls.Certificate {
	t.Helper()
	return a.issue(t, name, time.Now().Add(-24*time.Hour), time.Now().Add(24*time.Hour))
}

func pinOf(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// A peer is a gateway, an object store and a partner backend over TLS. It
// answers each of the kiosk's calls with a success.
type peer struct {
	*httptest.Server

	mu       sync.Mutex
	requests int
	protocol string
	clients  map[string]int // requests by the common name of their client certificate
	offset   time.Duration  // of its Date
	raw      atomic.Int64   // bytes of requests, as TLS let them through
}

func newPeer(t *testing.T, conf *tls.Config) *peer {
	t.Helper()
	p := &peer{clients: map[string]int{}}
	p.Server = httptest.NewUnstartedServer(p)
	p.TLS = conf
	p.EnableHTTP2 = true
	p.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.StartTLS()
	t.Cleanup(p.Close)
	return p
}

// showing is the configuration of a server whose certificate changes.
func showing(current func() tls.Certificate) *tls.Config {
	return &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{Certificates: []tls.Certificate{current()}, NextProtos: []string{"h2", "http/1.1"}}, nil
	}}
}

func (p *peer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n, _ := io.Copy(io.Discard, r.Body)
	p.raw.Add(n)
	p.mu.Lock()
	p.requests++
	p.protocol = r.Proto
	who := ""
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		who = r.TLS.PeerCertificates[0].Subject.CommonName
	}
	p.clients[who]++
	date := time.Now().Add(p.offset)
	p.mu.Unlock()
	w.Header().Set("Date", date.UTC().Format(http.TimeFormat))
	if r.URL.Path == "/store" {
		return
	}
	_, _ = io.WriteString(w, success)
}

// success is an answer that suits every call.
const success = `{"success":true,"token":"t","data":{"submissionId":"s1","status":"IN_PROGRESS","token":"t","launchUrl":"https://sdk.example/l","expiresAt":"1900000000",` +
	`"documents":{"SELFIE":{"documentUrl":"https://o.example/1","expiryInSeconds":"600","status":"UPLOADED"},"ADDITIONAL_SELFIE":{"documentUrl":"https://o.example/2","expiryInSeconds":"600","status":"UPLOADED"}}}}`

func (p *peer) seen() (requests int, protocol string, clients map[string]int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests, p.protocol, maps.Clone(p.clients)
}

func kioskOf(t *testing.T, opts gateway.Options) *gateway.Client {
	t.Helper()
	c, err := gateway.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// someone is whom these tests ask for.
func someone() kiosk.Credentials {
	return kiosk.Credentials{Token: "s3cret-token", CorrelationID: "c-1", Session: "s-1"}
}

func TestEachServiceIsSpokenToOverHTTP2(t *testing.T) {
	ca := newAuthority(t)
	p := newPeer(t, &tls.Config{Certificates: []tls.Certificate{ca.good(t, "p")}})
	c := kioskOf(t, gateway.Options{GatewayURL: p.URL, PartnerURL: p.URL, RootCAs: ca.pool(), PartnerCAs: ca.pool()})
	for name, call := range map[string]func() error{
		"gateway": func() error { _, err := c.Targets(t.Context(), someone()); return err },
		"store": func() error {
			return c.Upload(t.Context(), kiosk.Upload{Target: kiosk.Target{URL: p.URL + "/store"}, JPEG: make([]byte, 300<<10)})
		},
		"partner": func() error { _, err := c.UserToken(t.Context(), kiosk.TokenRequest{}); return err },
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, protocol, _ := p.seen(); protocol != "HTTP/2.0" {
			t.Errorf("%s: spoken to by %s", name, protocol)
		}
	}
	if got := p.raw.Load(); got < 300<<10 {
		t.Errorf("%d bytes arrived", got)
	}
}

func TestTLSBefore12IsRefused(t *testing.T) {
	ca := newAuthority(t)
	p := newPeer(t, &tls.Config{Certificates: []tls.Certificate{ca.good(t, "p")}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}) //nolint:gosec // what is refused
	c := kioskOf(t, gateway.Options{GatewayURL: p.URL, RootCAs: ca.pool()})
	_, err := c.Targets(t.Context(), someone())
	if g := failure(t, err); g.Disposition != kiosk.RetryLater || g.Trouble != kiosk.TroubleCertificate {
		t.Errorf("err = %v (%s, %s), want later, certificate", err, g.Disposition, g.Trouble)
	}
}

func TestThePartnerAloneIsShownTheKiosksCertificate(t *testing.T) {
	ca := newAuthority(t)
	ask := &tls.Config{Certificates: []tls.Certificate{ca.good(t, "p")}, ClientAuth: tls.RequestClientCert}
	bank, others := newPeer(t, &tls.Config{
		Certificates: ask.Certificates, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool(),
	}), newPeer(t, ask)
	current := ca.good(t, "kiosk-1")
	asked := 0
	c := kioskOf(t, gateway.Options{
		GatewayURL: others.URL, PartnerURL: bank.URL, RootCAs: ca.pool(), PartnerCAs: ca.pool(),
		PartnerCertificate: func() (*tls.Certificate, error) { asked++; return &current, nil },
	})
	if _, err := c.UserToken(t.Context(), kiosk.TokenRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Targets(t.Context(), someone()); err != nil {
		t.Fatal(err)
	}
	if err := c.Upload(t.Context(), kiosk.Upload{Target: kiosk.Target{URL: others.URL + "/store"}, JPEG: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if _, _, clients := bank.seen(); clients["kiosk-1"] != 1 {
		t.Errorf("the partner saw %v, want kiosk-1", clients)
	}
	if _, _, clients := others.seen(); clients[""] != 2 || len(clients) != 1 {
		t.Errorf("gateway and store saw %v, want nobody twice", clients)
	}
	current = ca.good(t, "kiosk-2")
	c.HangUp()
	if _, err := c.UserToken(t.Context(), kiosk.TokenRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, _, clients := bank.seen(); clients["kiosk-2"] != 1 || asked != 2 {
		t.Errorf("after a renewal the partner saw %v, and the certificate was asked for %d times", clients, asked)
	}
}

func TestAPartnerThatWantsAnotherCertificateIsACertificateTrouble(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	bank := newPeer(t, &tls.Config{
		Certificates: []tls.Certificate{ca.good(t, "p")}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool(),
		MaxVersion: tls.VersionTLS12, // by 1.3 the server's word may be lost to a write that it no longer reads
	})
	foreign := stranger.good(t, "kiosk-1")
	for name, tt := range map[string]struct {
		cert func() (*tls.Certificate, error)
		text string
	}{
		"none":          {nil, "certificate"},
		"a foreign one": {func() (*tls.Certificate, error) { return &foreign, nil }, "certificate"},
		"an error":      {func() (*tls.Certificate, error) { return nil, errors.New("kiosk.pem is gone") }, "kiosk.pem is gone"},
		"nothing":       {func() (*tls.Certificate, error) { return nil, nil }, "there is none"},
	} {
		t.Run(name, func(t *testing.T) {
			c := kioskOf(t, gateway.Options{GatewayURL: bank.URL, PartnerURL: bank.URL, PartnerCAs: ca.pool(), PartnerCertificate: tt.cert})
			_, err := c.UserToken(t.Context(), kiosk.TokenRequest{})
			g := failure(t, err)
			if g.Trouble != kiosk.TroubleCertificate || g.Service != kiosk.PartnerService || g.Disposition != kiosk.RetryLater || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("err = %v (%s, %s, %s), want a certificate trouble of the partner's that says %q", err, g.Service, g.Trouble, g.Disposition, tt.text)
			}
		})
	}
	if n, _, _ := bank.seen(); n != 0 {
		t.Errorf("%d requests got through", n)
	}
}

func TestPins(t *testing.T) {
	ca := newAuthority(t)
	now, next := ca.good(t, "p"), ca.good(t, "p")
	stranger := newAuthority(t)
	for name, tt := range map[string]struct {
		pins []string
		good bool
	}{
		"of the server":              {[]string{pinOf(now.Leaf)}, true},
		"of the authority":           {[]string{pinOf(ca.cert)}, true},
		"of a spare and the server":  {[]string{pinOf(next.Leaf), pinOf(now.Leaf)}, true},
		"of a spare alone":           {[]string{pinOf(next.Leaf)}, false},
		"of an authority unrelated":  {[]string{pinOf(stranger.cert)}, false},
		"none, so all are welcome":   {nil, true},
		"of a certificate sent only": {[]string{pinOf(stranger.cert)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			served := now
			if name == "of a certificate sent only" { // but not part of the chain that was verified
				served.Certificate = append(served.Certificate[:1:1], stranger.cert.Raw)
			}
			p := newPeer(t, &tls.Config{Certificates: []tls.Certificate{served}})
			c := kioskOf(t, gateway.Options{
				GatewayURL: p.URL, PartnerURL: p.URL, RootCAs: ca.pool(), PartnerCAs: ca.pool(), GatewayPins: tt.pins, PartnerPins: tt.pins,
			})
			_, gerr := c.Targets(t.Context(), someone())
			_, perr := c.UserToken(t.Context(), kiosk.TokenRequest{})
			n, _, _ := p.seen()
			if tt.good {
				if gerr != nil || perr != nil || n != 2 {
					t.Errorf("gateway %v, partner %v, %d requests; want two successes", gerr, perr, n)
				}
				return
			}
			for _, err := range []error{gerr, perr} {
				if g := failure(t, err); g.Trouble != kiosk.TroubleCertificate || g.Disposition != kiosk.RetryLater || !strings.Contains(err.Error(), "pin") {
					t.Errorf("err = %v (%s, %s), want a certificate trouble, later", err, g.Trouble, g.Disposition)
				}
			}
			if n != 0 {
				t.Errorf("%d requests were sent", n)
			}
		})
	}
}

func TestAPinSparesAServersNextKey(t *testing.T) {
	ca := newAuthority(t)
	now, next := ca.good(t, "p"), ca.good(t, "p")
	served := &now
	p := newPeer(t, showing(func() tls.Certificate { return *served }))
	c := kioskOf(t, gateway.Options{GatewayURL: p.URL, RootCAs: ca.pool(), GatewayPins: []string{pinOf(now.Leaf), pinOf(next.Leaf)}})
	for _, cert := range []*tls.Certificate{&now, &next} {
		served = cert
		c.HangUp()
		if _, err := c.Targets(t.Context(), someone()); err != nil {
			t.Error(err)
		}
	}
}

func TestACertificateOfAnotherNameOrAuthorityIsRefused(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	p := newPeer(t, &tls.Config{Certificates: []tls.Certificate{ca.good(t, "p")}})
	for name, opts := range map[string]gateway.Options{
		"another authority": {GatewayURL: p.URL, RootCAs: stranger.pool()},
		"another name":      {GatewayURL: strings.Replace(p.URL, "127.0.0.1", "localhost", 1), RootCAs: ca.pool()},
		"the system's":      {GatewayURL: p.URL},
		"the partner's":     {GatewayURL: p.URL, PartnerCAs: ca.pool()},
	} {
		_, err := kioskOf(t, opts).Targets(t.Context(), someone())
		if g := failure(t, err); g.Trouble != kiosk.TroubleCertificate || g.Disposition != kiosk.RetryLater {
			t.Errorf("%s: %v (%s), want a certificate trouble", name, err, g.Trouble)
		}
	}
	if n, _, _ := p.seen(); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// TestAWrongClockIsToldFromABadCertificate covers the rule at clock.wrong.
func TestAWrongClockIsToldFromABadCertificate(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Now()
	for name, tt := range map[string]struct {
		off      time.Duration // this kiosk's clock ahead of the world's
		from, to time.Time     // the certificate's dates
		heard    bool          // a verified answer came before the clock went wrong
		want     kiosk.Trouble
	}{
		"a kiosk in 1970":                                     {time.Until(time.Unix(3600, 0)), now.Add(-day), now.Add(day), false, kiosk.TroubleClock},
		"a kiosk in 1970 that has heard the time":             {time.Until(time.Unix(3600, 0)), now.Add(-day), now.Add(day), true, kiosk.TroubleClock},
		"a kiosk before its software, and an old certificate": {-now.Sub(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), now.AddDate(-9, 0, 0), now.AddDate(-8, 0, 0), false, kiosk.TroubleClock},
		"a kiosk two days behind a fresh certificate":         {-2 * day, now.Add(-day), now.Add(day), false, kiosk.TroubleClock},
		"a kiosk two days ahead that has heard the time":      {2 * day, now.Add(-day), now.Add(day), true, kiosk.TroubleClock},
		// It cannot know: certificates do expire. The text names both dates.
		"a kiosk two days ahead that has heard nothing":           {2 * day, now.Add(-day), now.Add(day), false, kiosk.TroubleCertificate},
		"a certificate that has expired":                          {0, now.Add(-2 * day), now.Add(-day), false, kiosk.TroubleCertificate},
		"a certificate that has expired, to one who has heard":    {0, now.Add(-2 * day), now.Add(-day), true, kiosk.TroubleCertificate},
		"a certificate from the future, to one who has not heard": {0, now.Add(day), now.Add(2 * day), false, kiosk.TroubleClock},
		"a certificate from the future, to one who has heard":     {0, now.Add(day), now.Add(2 * day), true, kiosk.TroubleCertificate},
		"a kiosk two days ahead of a certificate that lives on":   {2 * day, now.Add(-day), now.Add(9 * day), false, kiosk.NoTrouble},
		"a kiosk two days behind an old certificate":              {-2 * day, now.Add(-9 * day), now.Add(day), false, kiosk.NoTrouble},
	} {
		t.Run(name, func(t *testing.T) {
			ca := newAuthority(t)
			good, served := ca.good(t, "p"), ca.issue(t, "p", tt.from, tt.to)
			current := &good
			p := newPeer(t, showing(func() tls.Certificate { return *current }))
			var skews []time.Duration
			c := kioskOf(t, gateway.Options{GatewayURL: p.URL, RootCAs: ca.pool(), Skew: func(d time.Duration) { skews = append(skews, d) }})
			if tt.heard {
				if _, err := c.Targets(t.Context(), someone()); err != nil {
					t.Fatal(err)
				}
				c.HangUp()
			}
			current = &served
			c.SetClock(func() time.Time { return time.Now().Add(tt.off) })
			_, err := c.Targets(t.Context(), someone())
			if tt.want == kiosk.NoTrouble {
				if err != nil || len(skews) != 1 || (skews[0]+tt.off).Abs() > 2*time.Second {
					t.Errorf("err = %v, skews %v; want a success and the skew %v", err, skews, -tt.off)
				}
				return
			}
			g := failure(t, err)
			if g.Trouble != tt.want || g.Disposition != kiosk.RetryLater {
				t.Errorf("err = %v (%s, %s), want %s, later", err, g.Trouble, g.Disposition, tt.want)
			}
			if clock := time.Now().Add(tt.off).UTC().Format(time.DateOnly); !strings.Contains(err.Error(), clock) {
				t.Errorf("err = %v, want one that names the clock's day, %s", err, clock)
			}
		})
	}
}

func TestTheFloorOfTheClockCanBeRaised(t *testing.T) {
	ca := newAuthority(t)
	p := newPeer(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "p", time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour))}})
	c := kioskOf(t, gateway.Options{GatewayURL: p.URL, RootCAs: ca.pool(), Floor: time.Now().Add(time.Hour)})
	_, err := c.Targets(t.Context(), someone())
	if g := failure(t, err); g.Trouble != kiosk.TroubleClock {
		t.Errorf("err = %v (%s), want clock", err, g.Trouble)
	}
}

func TestTheSkewIsToldByVerifiedAnswersOnly(t *testing.T) {
	ca := newAuthority(t)
	p := newPeer(t, &tls.Config{Certificates: []tls.Certificate{ca.good(t, "p")}})
	p.offset = 90 * time.Minute
	var mu sync.Mutex
	var skews []time.Duration
	told := func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		skews = append(skews, d)
	}
	c := kioskOf(t, gateway.Options{GatewayURL: p.URL, PartnerURL: p.URL, RootCAs: ca.pool(), PartnerCAs: ca.pool(), Skew: told})
	if _, err := c.Targets(t.Context(), someone()); err != nil {
		t.Fatal(err)
	}
	if len(skews) != 1 || skews[0] < 90*time.Minute-3*time.Second || skews[0] > 90*time.Minute {
		t.Errorf("skews %v, want 1h30m less at most a second and the call's time", skews)
	}
	if err := c.Upload(t.Context(), kiosk.Upload{Target: kiosk.Target{URL: p.URL + "/store"}, JPEG: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.UserToken(t.Context(), kiosk.TokenRequest{}); err != nil {
		t.Fatal(err)
	}
	blind := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // an answer that nobody verified
	if _, err := kioskOf(t, gateway.Options{GatewayURL: p.URL, Client: blind, Skew: told}).Targets(t.Context(), someone()); err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"", "<html>hello", `{"message":"no"}`} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
		_, err := kioskOf(t, gateway.Options{GatewayURL: server.URL, Skew: told}).Targets(t.Context(), someone())
		server.Close()
		_ = failure(t, err)
	}
	if len(skews) != 1 {
		t.Errorf("skews %v, want none of the store, the partner, an unverified gateway or a portal", skews)
	}
	refusal := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"success":false,"errors":[]}`)
	}))
	defer refusal.Close()
	_, err := kioskOf(t, gateway.Options{GatewayURL: refusal.URL, Skew: told}).Targets(t.Context(), someone())
	if g := failure(t, err); g.Status != http.StatusServiceUnavailable || len(skews) != 2 || skews[1].Abs() > 3*time.Second {
		t.Errorf("skews %v, want one more, about 0, of a refusal on loopback", skews)
	}
}

// A tunnel is an HTTP proxy. It leads every CONNECT to one address.
type tunnel struct {
	*httptest.Server

	to      string
	refuse  int // status; 0: does not
	mu      sync.Mutex
	asked   []string // hosts
	credits []string // Proxy-Authorization
}

func newTunnel(t *testing.T, to string, refuse int) *tunnel {
	t.Helper()
	p := &tunnel{to: to, refuse: refuse}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *tunnel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+r.Host)
	p.credits = append(p.credits, r.Header.Get("Proxy-Authorization"))
	p.mu.Unlock()
	if p.refuse != 0 {
		http.Error(w, "s3cret-echo "+r.Header.Get("Proxy-Authorization"), p.refuse)
		return
	}
	there, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", p.to)
	if err != nil {
		http.Error(w, "", http.StatusBadGateway)
		return
	}
	defer func() { _ = there.Close() }()
	here, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = here.Close() }()
	_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
	go func() { _, _ = io.Copy(there, bufio.NewReader(buffered)) }()
	_, _ = io.Copy(here, there)
}

func (p *tunnel) hosts() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.asked...)
}

func TestAProxyIsTheWayToEveryServiceButLoopback(t *testing.T) {
	ca := newAuthority(t)
	p := newPeer(t, &tls.Config{Certificates: []tls.Certificate{ca.good(t, "gateway.example")}})
	way := newTunnel(t, p.Listener.Addr().String(), 0)
	opts := gateway.Options{
		GatewayURL: "https://gateway.example", PartnerURL: "https://gateway.example", RootCAs: ca.pool(), PartnerCAs: ca.pool(),
		Proxy:       strings.Replace(way.URL, "http://", "http://u:s3cret-token@", 1),
		GatewayPins: []string{pinOf(ca.cert)},
	}
	c := kioskOf(t, opts)
	if _, err := c.Targets(t.Context(), someone()); err != nil {
		t.Fatal(err)
	}
	if err := c.Upload(t.Context(), kiosk.Upload{Target: kiosk.Target{URL: "https://gateway.example/store"}, JPEG: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.UserToken(t.Context(), kiosk.TokenRequest{}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(way.hosts()); got != "[CONNECT gateway.example:443 CONNECT gateway.example:443 CONNECT gateway.example:443]" {
		t.Errorf("the proxy was asked for %s, want the three services", got)
	}
	if want := "Basic " + base64.StdEncoding.EncodeToString([]byte("u:s3cret-token")); way.credits[0] != want {
		t.Error("the proxy was not shown its credentials")
	}
	opts.GatewayURL = p.URL
	if _, err := kioskOf(t, opts).Targets(t.Context(), someone()); err != nil || len(way.hosts()) != 3 {
		t.Errorf("loopback: %v, and the proxy was asked for %v", err, way.hosts())
	}
}

func TestAProxyThatCannotBeUsedIsAProxyTrouble(t *testing.T) {
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	withCredentials := func(url, scheme string) string {
		return strings.Replace(url, "http://", scheme+"://u:s3cret-token@", 1)
	}
	refusing := newTunnel(t, "", http.StatusProxyAuthRequired)
	blocking := newTunnel(t, "", http.StatusForbidden)
	other, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	go func() {
		for conn, err := other.Accept(); err == nil; conn, err = other.Accept() {
			_, _ = io.WriteString(conn, "220 mail.example s3cret-echo\r\n")
			_ = conn.Close()
		}
	}()
	for name, proxy := range map[string]string{
		"wants other credentials":  withCredentials(refusing.URL, "http"),
		"refuses":                  withCredentials(blocking.URL, "http"),
		"is not there":             withCredentials(dead.URL, "http"),
		"has no address":           "http://u:s3cret-token@proxy.invalid:3128",
		"is not there, by SOCKS":   withCredentials(dead.URL, "socks5"),
		"is no SOCKS proxy at all": withCredentials("http://"+other.Addr().String(), "socks5h"),
	} {
		t.Run(name, func(t *testing.T) {
			c := kioskOf(t, gateway.Options{GatewayURL: "https://gateway.example", Proxy: proxy})
			_, err := c.Targets(t.Context(), someone())
			if g := failure(t, err); g.Trouble != kiosk.TroubleProxy || g.Disposition != kiosk.RetryLater {
				t.Errorf("err = %v (%s, %s), want a proxy trouble, later", err, g.Trouble, g.Disposition)
			}
		})
	}
}

// TestTheEnvironmentsProxyIsUsed runs itself again, since net/http reads the
// environment once in a process.
func TestTheEnvironmentsProxyIsUsed(t *testing.T) {
	const inner = "GATEWAY_TEST_INNER"
	if os.Getenv(inner) != "" {
		for _, proxy := range []string{"", "none"} {
			_, err := kioskOf(t, gateway.Options{GatewayURL: "https://gateway.invalid", Proxy: proxy}).Targets(t.Context(), someone())
			t.Logf("proxy %q: %s: %v", proxy, failure(t, err).Trouble, err)
		}
		return
	}
	refusing := newTunnel(t, "", http.StatusForbidden)
	for name, tt := range map[string]struct {
		proxy, want string
	}{
		"one that refuses":   {strings.Replace(refusing.URL, "http://", "http://u:s3cret-token@", 1), "proxy refuses with HTTP 403"},
		"one by TLS":         {"https://u:s3cret-token@proxy.example", "proxy in the environment cannot be used"},
		"one that is no URL": {"http://u:s3cret-token@[proxy", "proxy in the environment cannot be used"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTheEnvironmentsProxyIsUsed$", "-test.v")
			cmd.Env = append(os.Environ(), inner+"=1", "HTTPS_PROXY="+tt.proxy, "NO_PROXY=", "no_proxy=", "https_proxy=")
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), `proxy "": proxy: urls: `+tt.want) || !strings.Contains(string(out), `proxy "none": dns: `) {
				t.Errorf("%v:\n%s\nwant %q, and no proxy with \"none\"", err, out, tt.want)
			}
			if strings.Contains(string(out), "s3cret") {
				t.Errorf("a secret is told:\n%s", out)
			}
		})
	}
	if n := len(refusing.hosts()); n != 1 {
		t.Errorf("the proxy was asked %d times, want once", n)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	fits := pinOf(newAuthority(t).cert)
	for name, tt := range map[string]struct {
		opts gateway.Options
		want string // in the error; "": none
	}{
		"no proxy":                 {gateway.Options{Proxy: "none"}, ""},
		"a proxy with credentials": {gateway.Options{Proxy: "http://u:s3cret-token@proxy.example:3128"}, ""},
		"a SOCKS proxy":            {gateway.Options{Proxy: "socks5h://proxy.example:1080"}, ""},
		"a proxy by TLS":           {gateway.Options{Proxy: "https://u:s3cret-token@proxy.example"}, "proxy: "},
		"a proxy without a scheme": {gateway.Options{Proxy: "proxy.example:3128"}, "proxy: "},
		"a proxy that is no URL":   {gateway.Options{Proxy: "http://u:s3cret-token@[proxy"}, "proxy: "},
		"a proxy with a path":      {gateway.Options{Proxy: "http://u:s3cret-token@proxy.example/a"}, "proxy: "},
		"a proxy without a host":   {gateway.Options{Proxy: "http://"}, "proxy: "},
		"pins":                     {gateway.Options{GatewayPins: []string{fits}, PartnerPins: []string{fits, fits}}, ""},
		"a pin in hex":             {gateway.Options{GatewayPins: []string{fits, strings.Repeat("0a", 32)}}, "gateway pins: pin 2"},
		"a short pin":              {gateway.Options{PartnerPins: []string{"AAAA"}}, "partner pins: pin 1"},
		"an empty pin":             {gateway.Options{PartnerPins: []string{""}}, "partner pins: pin 1"},
		"a cap":                    {gateway.Options{BytesPerSecond: 1024}, ""},
		"a cap that stops all":     {gateway.Options{BytesPerSecond: 1023}, "bytes per second"},
		"a negative cap":           {gateway.Options{BytesPerSecond: -1}, "bytes per second"},
		"a client with a proxy":    {gateway.Options{Client: http.DefaultClient, Proxy: "none"}, "client"},
		"a client with pins":       {gateway.Options{Client: http.DefaultClient, PartnerPins: []string{fits}}, "client"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.opts.GatewayURL = "https://gateway.example"
			_, err := gateway.New(tt.opts)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error tells a secret: %v", err)
			}
		})
	}
}

func TestARenewedClientCertificateIsPickedUp(t *testing.T) {
	dir, ca := t.TempDir(), newAuthority(t)
	certFile, keyFile := filepath.Join(dir, "kiosk.pem"), filepath.Join(dir, "kiosk.key")
	write := func(cert tls.Certificate, key any) {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		for file, block := range map[string]*pem.Block{
			certFile: {Type: "CERTIFICATE", Bytes: cert.Certificate[0]}, keyFile: {Type: "PRIVATE KEY", Bytes: der},
		} {
			if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := gateway.ClientCertificate(certFile, keyFile); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), certFile) {
		t.Errorf("without files: %v, want one that names %s", err, certFile)
	}
	one, two := ca.good(t, "kiosk-1"), ca.good(t, "kiosk-2")
	write(one, one.PrivateKey)
	load, err := gateway.ClientCertificate(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []tls.Certificate{one, two} {
		write(want, want.PrivateKey)
		got, err := load()
		if err != nil || !got.Leaf.Equal(want.Leaf) {
			t.Errorf("loaded %v, %v; want %s", got, err, want.Leaf.Subject)
		}
	}
	for _, tt := range []struct {
		mode os.FileMode
		ok   bool
	}{{0o644, false}, {0o660, false}, {0o604, false}, {0o640, true}, {0o600, true}} { // The last one is what the pairs below need.
		if err := os.Chmod(keyFile, tt.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := load(); (err == nil) != tt.ok || !tt.ok && !strings.Contains(err.Error(), fmt.Sprintf("%s has mode %04o", keyFile, tt.mode)) {
			t.Errorf("a key of mode %04o: %v", tt.mode, err)
		}
	}
	write(one, two.PrivateKey)
	if _, err := load(); err == nil || !strings.Contains(err.Error(), certFile) || !strings.Contains(err.Error(), keyFile) {
		t.Errorf("a pair that does not match: %v, want an error that names both files", err)
	}
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	if _, err := load(); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), keyFile) {
		t.Errorf("without the key: %v, want one that names %s", err, keyFile)
	}
}
