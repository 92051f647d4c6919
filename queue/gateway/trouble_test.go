package gateway_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue/gateway"
)

// TestWhyNoAnswerCame gives the client what net/http says of a call that got
// no answer.
func TestWhyNoAnswerCame(t *testing.T) {
	op := func(name string, err error) error { return &net.OpError{Op: name, Net: "tcp", Err: err} }
	for name, tt := range map[string]struct {
		err  error
		want kiosk.Trouble
	}{
		"a name that is not known":             {op("dial", &net.DNSError{Name: "s3cret-echo", IsNotFound: true}), kiosk.TroubleDNS},
		"a name server that is silent":         {op("dial", &net.DNSError{Name: "s3cret-echo", IsTimeout: true}), kiosk.TroubleDNS},
		"nobody listens":                       {op("dial", os.NewSyscallError("connect", syscall.ECONNREFUSED)), kiosk.TroubleConnect},
		"no route":                             {op("dial", os.NewSyscallError("connect", syscall.ENETUNREACH)), kiosk.TroubleConnect},
		"nobody answers the dial":              {op("dial", os.ErrDeadlineExceeded), kiosk.TroubleTimeout},
		"the call took too long":               {context.DeadlineExceeded, kiosk.TroubleTimeout},
		"the connection was silent":            {op("read", os.ErrDeadlineExceeded), kiosk.TroubleTimeout},
		"the caller gave up":                   {context.Canceled, kiosk.NoTrouble},
		"the connection was reset":             {op("read", os.NewSyscallError("read", syscall.ECONNRESET)), kiosk.TroubleBroken},
		"the connection was closed":            {io.EOF, kiosk.TroubleBroken},
		"the answer was cut":                   {io.ErrUnexpectedEOF, kiosk.TroubleBroken},
		"the pipe broke":                       {syscall.EPIPE, kiosk.TroubleBroken},
		"the proxy is not there":               {op("proxyconnect", op("dial", &net.DNSError{Name: "s3cret-echo"})), kiosk.TroubleProxy},
		"the SOCKS proxy refuses":              {op("socks connect", errors.New("s3cret-echo")), kiosk.TroubleProxy},
		"a certificate of nobody known":        {&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, kiosk.TroubleCertificate},
		"a certificate of another host":        {&tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: &x509.Certificate{}, Host: "s3cret-echo"}}, kiosk.TroubleCertificate},
		"the handshake is refused":             {op("remote error", errors.New("tls: bad certificate")), kiosk.TroubleCertificate},
		"plain HTTP where TLS is due":          {http.ErrSchemeMismatch, kiosk.TroublePortal},
		"something else where TLS is due":      {tls.RecordHeaderError{Msg: "s3cret-echo"}, kiosk.TroubleGarbled},
		"something else where HTTP is due":     {errors.New("malformed HTTP response \"s3cret-echo\""), kiosk.TroubleGarbled},
		"a name, however deep, of a dead link": {fmt.Errorf("s3cret-echo: %w", &net.DNSError{}), kiosk.TroubleDNS},
	} {
		t.Run(name, func(t *testing.T) {
			c := kioskOf(t, gateway.Options{
				GatewayURL: "https://gateway.example", PartnerURL: "https://partner.example",
				Client: &http.Client{Transport: pipe(func(*http.Request) (*http.Response, error) { return nil, tt.err })},
			})
			_, urls := c.Targets(t.Context(), someone())
			_, token := c.UserToken(t.Context(), kiosk.TokenRequest{})
			upload := c.Upload(t.Context(), kiosk.Upload{Target: kiosk.Target{URL: "https://o.example/1?s3cret-signature"}, JPEG: []byte("x")})
			for service, err := range map[kiosk.Service]error{kiosk.GatewayService: urls, kiosk.PartnerService: token, kiosk.StoreService: upload} {
				g := failure(t, err)
				if g.Service != service || g.Trouble != tt.want || g.Disposition != kiosk.RetryLater || g.Status != 0 {
					t.Errorf("%v: %s, %q, %s; want %s, %q, later", err, g.Service, g.Trouble, g.Disposition, service, tt.want)
				}
				if !errors.Is(err, tt.err) && !errors.As(err, new(*tls.CertificateVerificationError)) && !errors.As(err, new(tls.RecordHeaderError)) {
					t.Errorf("%v does not hold its reason", err)
				}
			}
		})
	}
}

// wire is a server that speaks bytes.
func wire(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				_, _ = conn.Read(make([]byte, 64<<10))
				answer(conn)
			}()
		}
	}()
	return l.Addr().String()
}

func TestWhatBrokenServersSay(t *testing.T) {
	say := func(s string) func(net.Conn) {
		return func(c net.Conn) { _, _ = io.WriteString(c, s) }
	}
	for name, tt := range map[string]struct {
		scheme string
		answer func(net.Conn)
		want   kiosk.Trouble
	}{
		"nothing, and hangs up":           {"http", func(net.Conn) {}, kiosk.TroubleBroken},
		"half an answer":                  {"http", say("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"succ"), kiosk.TroubleBroken},
		"a line of another protocol":      {"http", say("220 mail.example s3cret-echo\r\n\r\n"), kiosk.TroubleGarbled},
		"headers without an end":          {"http", say("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("s3cret-echo", 10_000) + "\r\n\r\n"), kiosk.TroubleGarbled},
		"many headers":                    {"http", say("HTTP/1.1 200 OK\r\n" + strings.Repeat("X: s3cret-echo\r\n", 10_000) + "\r\n"), kiosk.TroubleGarbled},
		"a bad length":                    {"http", say("HTTP/1.1 200 OK\r\nContent-Length: s3cret-echo\r\n\r\n"), kiosk.TroubleGarbled},
		"a page in the clear for TLS":     {"https", say("HTTP/1.1 200 OK\r\n\r\n<html>"), kiosk.TroublePortal},
		"another protocol in place of it": {"https", say("220 mail.example s3cret-echo\r\n\r\n"), kiosk.TroubleGarbled},
	} {
		t.Run(name, func(t *testing.T) {
			c := kioskOf(t, gateway.Options{GatewayURL: tt.scheme + "://" + wire(t, tt.answer)})
			_, err := c.Targets(t.Context(), someone())
			if g := failure(t, err); g.Trouble != tt.want || g.Disposition != kiosk.RetryLater {
				t.Errorf("%v: %s, %s; want %s, later", err, g.Trouble, g.Disposition, tt.want)
			}
		})
	}
}

func TestAnAnswerIsReadToItsLimitOnly(t *testing.T) {
	var sent atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := []byte(strings.Repeat(" ", 64<<10))
		for r.Context().Err() == nil {
			n, err := w.Write(b)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	}))
	defer server.Close()
	_, err := kioskOf(t, gateway.Options{GatewayURL: server.URL}).Targets(t.Context(), someone())
	if g := failure(t, err); g.Trouble != kiosk.TroubleGarbled {
		t.Errorf("an endless answer: %v (%s), want garbled", err, g.Trouble)
	}
	server.CloseClientConnections()
	if got := sent.Load(); got > 32<<20 { // what the sockets buffer on top of 1 MiB
		t.Errorf("%d bytes of an answer were taken", got)
	}
}

// TestASlowAnswerEndsInTime has a server that sends one byte a second.
func TestASlowAnswerEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := kioskOf(t, gateway.Options{GatewayURL: "https://gateway.example", Client: &http.Client{Transport: pipe(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: drip{r.Context()}}, nil
		})}})
		start := time.Now()
		_, err := c.Targets(t.Context(), someone())
		if g := failure(t, err); g.Trouble != kiosk.TroubleTimeout || time.Since(start) > 46*time.Second {
			t.Errorf("%v (%s) after %v, want timeout after 45s", err, g.Trouble, time.Since(start))
		}
	})
}

type drip struct{ ctx context.Context } //nolint:containedctx // the request's, as net/http has it

func (d drip) Read(p []byte) (int, error) {
	wait := time.NewTimer(time.Second)
	defer wait.Stop()
	select {
	case <-wait.C:
		p[0] = ' '
		return 1, nil
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	}
}

func (d drip) Close() error { return nil }

// TestTheSkewIsOfTheMiddleOfACall has a gateway that looks at its clock halfway
// through a call of ten seconds.
func TestTheSkewIsOfTheMiddleOfACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		skew := time.Hour
		c := kioskOf(t, gateway.Options{
			GatewayURL: "http://127.0.0.1", Skew: func(d time.Duration) { skew = d },
			Client: &http.Client{Transport: pipe(func(*http.Request) (*http.Response, error) {
				half := time.NewTimer(5 * time.Second)
				date := (<-half.C).UTC().Format(http.TimeFormat)
				half.Reset(5 * time.Second)
				<-half.C
				return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Date": {date}}, Body: io.NopCloser(strings.NewReader(success))}, nil
			})},
		})
		if _, err := c.Targets(t.Context(), someone()); err != nil || skew != 0 {
			t.Errorf("skew %v, %v; want none", skew, err)
		}
	})
}

// swallow is a store that takes bodies as fast as they come.
func swallow(taken *atomic.Int64) pipe {
	return func(r *http.Request) (*http.Response, error) {
		n, err := io.Copy(io.Discard, r.Body)
		taken.Add(n)
		if err != nil {
			return nil, &url.Error{Op: "Put", URL: r.URL.String(), Err: err}
		}
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	}
}

func TestUploadsShareTheCap(t *testing.T) {
	for name, tt := range map[string]struct {
		rate, uploads, size int
		waiting             bool
		want                time.Duration
	}{
		"one upload of 512 KiB at 8 KiB/s":             {8 << 10, 1, 512 << 10, false, 64 * time.Second},
		"four of them together":                        {8 << 10, 4, 512 << 10, false, 256 * time.Second},
		"one at the least rate, which is not stalled":  {1 << 10, 1, 512 << 10, false, 512 * time.Second},
		"eight that wait for each other":               {1 << 10, 8, 512 << 10, false, 8 * 512 * time.Second},
		"so many that each waits for most of a minute": {1 << 10, 200, 1 << 10, false, 200 * time.Second},
		"one that somebody waits for":                  {1 << 10, 1, 512 << 10, true, 0},
		"no cap":                                       {0, 4, 512 << 10, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var taken atomic.Int64
				c := kioskOf(t, gateway.Options{
					GatewayURL: "https://gateway.example", BytesPerSecond: tt.rate, Client: &http.Client{Transport: swallow(&taken)},
				})
				start := time.Now()
				errs := make(chan error)
				for range tt.uploads {
					go func() {
						errs <- c.Upload(t.Context(), kiosk.Upload{Target: kiosk.Target{URL: "https://o.example/1"}, JPEG: make([]byte, tt.size), Waiting: tt.waiting})
					}()
				}
				for range tt.uploads {
					if err := <-errs; err != nil {
						t.Error(err)
					}
				}
				if took := time.Since(start); took > tt.want || took < tt.want-time.Second {
					t.Errorf("took %v, want %v less a first chunk", took, tt.want)
				}
				if taken.Load() != int64(tt.uploads*tt.size) {
					t.Errorf("%d bytes", taken.Load())
				}
			})
		})
	}
}

func TestACappedUploadEndsWithItsCaller(t *testing.T) {
	for name, want := range map[string]kiosk.Trouble{"cancelled": kiosk.NoTrouble, "out of time": kiosk.TroubleTimeout} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var taken atomic.Int64
				c := kioskOf(t, gateway.Options{
					GatewayURL: "https://gateway.example", BytesPerSecond: 1024, Client: &http.Client{Transport: swallow(&taken)},
				})
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				if want == kiosk.NoTrouble {
					time.AfterFunc(5*time.Second, cancel)
				}
				err := c.Upload(ctx, kiosk.Upload{Target: kiosk.Target{URL: "https://o.example/1"}, JPEG: make([]byte, 1<<20)})
				if g := failure(t, err); g.Trouble != want || g.Disposition != kiosk.RetryLater {
					t.Errorf("%v: %q, %s; want %q, later", err, g.Trouble, g.Disposition, want)
				}
				if n := taken.Load(); n < 4<<10 || n > 11<<10 {
					t.Errorf("%d bytes went up", n)
				}
			})
		})
	}
}
