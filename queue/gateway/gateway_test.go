package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue/gateway"
)

// secretive are words that stand in for secrets in these tests; no error and
// no log line may hold one.
func secretive() []string { return []string{"s3cret-token", "s3cret-signature", "s3cret-echo"} }

func client(t *testing.T, url string, log io.Writer) *gateway.Client {
	t.Helper()
	c, err := gateway.New(gateway.Options{
		GatewayURL: url, PartnerURL: url + "/partner",
		Log: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// failure returns err as a gateway error, which every failure must be.
func failure(t *testing.T, err error) *kiosk.GatewayError {
	t.Helper()
	var g *kiosk.GatewayError
	if !errors.As(err, &g) {
		t.Fatalf("err = %v (%T), want a *kiosk.GatewayError", err, err)
	}
	for _, s := range secretive() {
		if strings.Contains(err.Error(), s) || strings.Contains(fmt.Sprintf("%+v", g.Err), s) {
			t.Errorf("error tells a secret: %v", err)
		}
	}
	if u := (&url.Error{}); errors.As(err, &u) {
		t.Errorf("error holds the URL: %v", u)
	}
	return g
}

// respond is a server with one answer.
func respond(t *testing.T, status int, header http.Header, body string) *gateway.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		maps.Copy(w.Header(), header)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return client(t, server.URL, io.Discard)
}

func TestTolerantDecoding(t *testing.T) {
	for name, body := range map[string]string{
		"as documented": `{"success":true,"data":{"submissionId":"s1","documents":{"SELFIE":{"documentUrl":"https://o.example/1","expiryInSeconds":"600"},"ADDITIONAL_SELFIE":{"documentUrl":"https://o.example/2","expiryInSeconds":"600"}}}}`,
		"numbers":       `{"success":true,"data":{"submissionId":"s1","documents":{"SELFIE":{"documentUrl":"https://o.example/1","expiryInSeconds":600},"ADDITIONAL_SELFIE":{"documentUrl":"https://o.example/2","expiryInSeconds":600.0}}}}`,
		"unknown":       `{"success":"true","trace":7,"errors":[],"data":{"x":{},"submissionId":"s1","documents":{"KTP":null,"SELFIE":{"documentUrl":"https://o.example/1","expiryInSeconds":"600","y":[1]},"ADDITIONAL_SELFIE":{"documentUrl":"https://o.example/2","expiryInSeconds":"600"}}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := respond(t, http.StatusOK, nil, body).Targets(t.Context(), kiosk.Credentials{Token: "t"})
			if err != nil {
				t.Fatal(err)
			}
			for i, d := range kiosk.Documents() {
				want := kiosk.Target{URL: fmt.Sprintf("https://o.example/%d", i+1), ExpiresIn: 10 * time.Minute}
				if got.SubmissionID != "s1" || got.Documents[d] != want {
					t.Errorf("%s = %+v of %q, want %+v of s1", d, got.Documents[d], got.SubmissionID, want)
				}
			}
		})
	}
}

func TestOnlyTheGatewaysOwnWordIsFinal(t *testing.T) {
	for _, status := range []int{200, 204, 301, 302, 400, 401, 403, 404, 405, 407, 409, 410, 418, 422, 451, 500, 502, 511} {
		for _, body := range []string{"", "<html>blocked", `{"message":"no"}`, `[]`, `null`} {
			_, err := respond(t, status, nil, body).Targets(t.Context(), kiosk.Credentials{Token: "t"})
			if g := failure(t, err); g.Disposition != kiosk.RetryLater {
				t.Errorf("HTTP %d %q: %s, want later", status, body, g.Disposition)
			}
		}
	}
}

func TestCausesAreReadHoweverTheyAreWritten(t *testing.T) {
	for _, tt := range []struct{ body, want string }{
		{`{"success":false,"data":null,"errors":[{"code":110,"cause":"FORBIDDEN"}]}`, "FORBIDDEN"},
		{`{"success":false,"errors":[{"code":"110","entity":"X","cause":"FORBIDDEN"},{"cause":"OTHER"}]}`, "FORBIDDEN"},
		{`{"success":"false","errors":{"code":"110","cause":"FORBIDDEN"}}`, "FORBIDDEN"},
		{`{"success":false,"errors":[7,{"cause":null},{"cause":" FORBIDDEN "}]}`, "FORBIDDEN"},
		{`{"success":false,"errors":[{"cause":"token s3cret-echo is bad"}]}`, ""},
		{`{"success":false,"errors":"FORBIDDEN"}`, ""},
		{`{"success":false,"errors":[{"cause":"` + strings.Repeat("A", 65) + `"}]}`, ""},
		{`{"success":false}`, ""},
	} {
		_, err := respond(t, http.StatusBadRequest, nil, tt.body).Targets(t.Context(), kiosk.Credentials{Token: "t"})
		if g := failure(t, err); g.Cause != tt.want || g.Disposition != kiosk.Final {
			t.Errorf("%s: cause %q, %s; want %q, final", tt.body, g.Cause, g.Disposition, tt.want)
		}
	}
}

func TestAnUploadURLThatNoGatewayMeansIsNotUsed(t *testing.T) {
	long := `{"success":true,"data":{"submissionId":"s","documents":{"SELFIE":{"documentUrl":"https://o.example/` + strings.Repeat("a", 8<<10) + `"}}}}`
	targets, err := respond(t, http.StatusOK, nil, long).Targets(t.Context(), kiosk.Credentials{Token: "t"})
	if g := failure(t, err); g.Trouble != kiosk.TroubleGarbled || g.Disposition != kiosk.RetryLater || len(targets.Documents) != 0 {
		t.Errorf("a URL of more than 8 KiB: %v (%s, %s), %d targets", err, g.Disposition, g.Trouble, len(targets.Documents))
	}

	for name, tt := range map[string]struct {
		gateway, target string
		sent            bool
	}{
		"a service of this kiosk's own":                        {"https://gateway.example", "http://127.0.0.1:9/admin", false},
		"a service of this kiosk's own by name":                {"https://gateway.example", "http://localhost:9/admin", false},
		"a store beside a gateway on this machine":             {"http://127.0.0.1:8", "http://127.0.0.1:9/1", true},
		"a store in the clear elsewhere":                       {"http://127.0.0.1:8", "http://store.example/1", false},
		"a store by TLS":                                       {"https://gateway.example", "https://store.example/1?sig=s", true},
		"a store by TLS, of a gateway on this machine":         {"http://127.0.0.1:8", "https://store.example/1", true},
		"credentials that would be sent along":                 {"https://gateway.example", "https://u:s3cret-token@store.example/1", false},
		"credentials that would be sent along on this machine": {"http://127.0.0.1:8", "http://u:s3cret-token@127.0.0.1:9/1", false},
	} {
		t.Run(name, func(t *testing.T) {
			sent := false
			c := kioskOf(t, gateway.Options{GatewayURL: tt.gateway, Client: &http.Client{
				Transport: pipe(func(*http.Request) (*http.Response, error) {
					sent = true
					return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
				}),
			}})
			err := c.Upload(t.Context(), kiosk.Upload{Target: kiosk.Target{URL: tt.target}, JPEG: []byte("face")})
			if sent != tt.sent || (err == nil) != tt.sent {
				t.Errorf("sent %v with %v, want %v", sent, err, tt.sent)
			}
			if err != nil {
				if g := failure(t, err); g.Disposition != kiosk.NewURLs || g.Trouble != kiosk.TroubleGarbled {
					t.Errorf("%v: %s, %s", err, g.Disposition, g.Trouble)
				}
			}
		})
	}
}

func TestTheServersWishIsKept(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, " 120 ": 2 * time.Minute, "-1": 0, "soon": 0, "99999999999": 24 * time.Hour,
		time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat): 0,
	} {
		_, err := respond(t, http.StatusTooManyRequests, http.Header{"Retry-After": {value}}, "").Targets(t.Context(), kiosk.Credentials{Token: "t"})
		if g := failure(t, err); g.RetryAfter != want {
			t.Errorf("Retry-After %q: %v, want %v", value, g.RetryAfter, want)
		}
	}
	date := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	_, err := respond(t, http.StatusServiceUnavailable, http.Header{"Retry-After": {date}}, "").Targets(t.Context(), kiosk.Credentials{Token: "t"})
	if g := failure(t, err); g.RetryAfter < 50*time.Minute || g.RetryAfter > time.Hour {
		t.Errorf("Retry-After in an hour: %v", g.RetryAfter)
	}
}

func TestARedirectIsNotFollowedWithAToken(t *testing.T) {
	followed := make(chan string, 1)
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { followed <- r.URL.Path }))
	defer thief.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		c := respond(t, status, http.Header{"Location": {thief.URL + "/taken"}}, "")
		_, err := c.Targets(t.Context(), kiosk.Credentials{Token: "s3cret-token"})
		if g := failure(t, err); g.Disposition != kiosk.RetryLater || g.Status != status {
			t.Errorf("HTTP %d: %v (%s), want later", status, err, g.Disposition)
		}
		select {
		case path := <-followed:
			t.Errorf("HTTP %d was followed to %s", status, path)
		default:
		}
	}
}

func TestNoFailureTellsASecret(t *testing.T) {
	var log bytes.Buffer
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	who := kiosk.Credentials{Token: "s3cret-token", CorrelationID: "c", Session: "s"}
	errs := map[string]error{}
	c := client(t, dead.URL, &log)
	_, errs["refused"] = c.Targets(t.Context(), who)
	errs["upload refused"] = c.Upload(t.Context(), kiosk.Upload{Target: kiosk.Target{URL: dead.URL + "/o?X-Amz-Signature=s3cret-signature"}, JPEG: []byte("x")})
	errs["upload to a bad URL"] = c.Upload(t.Context(), kiosk.Upload{Target: kiosk.Target{URL: "https://o.example:s3cret-signature/o"}, JPEG: []byte("x")})
	errs["upload in the clear"] = c.Upload(t.Context(), kiosk.Upload{Target: kiosk.Target{URL: "http://o.example/o?X-Amz-Signature=s3cret-signature"}, JPEG: []byte("x")})
	errs["upload to nowhere"] = c.Upload(t.Context(), kiosk.Upload{Target: kiosk.Target{URL: "/o?X-Amz-Signature=s3cret-signature"}, JPEG: []byte("x")})
	_, errs["a broken header"] = c.Targets(t.Context(), kiosk.Credentials{Token: "s3cret-token\n"})
	_, errs["a strange id"] = c.Status(t.Context(), who, "../s3cret-token?x=s3cret-signature")
	raw := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, "s3cret-echo "+r.Header.Get("X-Onekyc-Token")+"\r\n\r\n")
			_ = conn.Close()
		}
	})}
	echo := httptest.NewUnstartedServer(raw.Handler)
	echo.Start()
	defer echo.Close()
	_, errs["an echo that is not HTTP"] = client(t, echo.URL, &log).Targets(t.Context(), who)
	for name, err := range errs {
		t.Run(name, func(t *testing.T) {
			if g := failure(t, err); g.Disposition == kiosk.Final || g.Disposition == kiosk.Recapture {
				t.Errorf("%v ends the record (%s)", err, g.Disposition)
			}
		})
	}
	for _, s := range secretive() {
		if strings.Contains(log.String(), s) {
			t.Errorf("the log tells %s:\n%s", s, log.String())
		}
	}
}

func TestPlainHTTPGoesToThisMachineOnly(t *testing.T) {
	for url, good := range map[string]bool{
		"https://gateway.example":      true,
		"https://gateway.example/root": true,
		"http://127.0.0.1:8787":        true,
		"http://[::1]:8787":            true,
		"http://localhost:8787":        true,
		"http://gateway.example":       false,
		"http://192.168.1.7":           false,
		"ftp://gateway.example":        false,
		"gateway.example":              false,
		"":                             false,
		"https://u:p@gateway.example":  false,
		"https://gateway.example/?a=b": false,
	} {
		if err := (gateway.Options{GatewayURL: url}).Validate(); (err == nil) != good {
			t.Errorf("%q: %v", url, err)
		}
		if err := (gateway.Options{GatewayURL: "https://gateway.example", PartnerURL: url}).Validate(); (err == nil) != (good || url == "") {
			t.Errorf("partner %q: %v", url, err)
		}
	}
}

// pipe is a transport under synctest: it reads the body as its step says.
type pipe func(*http.Request) (*http.Response, error)

func (p pipe) RoundTrip(r *http.Request) (*http.Response, error) { return p(r) }

func TestASlowUploadGoesOnAndAStalledOneEnds(t *testing.T) {
	for name, stall := range map[string]bool{"slow": false, "stalled": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, err := gateway.New(gateway.Options{GatewayURL: "https://gateway.example", Client: &http.Client{
					Transport: pipe(func(r *http.Request) (*http.Response, error) {
						b := make([]byte, 16<<10)
						for {
							_, err := r.Body.Read(b)
							if errors.Is(err, io.EOF) {
								return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
							}
							wait := time.NewTimer(20 * time.Second) // less than 1 kB/s
							if stall {
								wait.Reset(time.Hour)
							}
							select {
							case <-wait.C:
							case <-r.Context().Done():
								return nil, r.Context().Err()
							}
						}
					}),
				}})
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				err = c.Upload(t.Context(), kiosk.Upload{Target: kiosk.Target{URL: "https://o.example/1"}, JPEG: make([]byte, 1<<20)})
				if !stall {
					if err != nil || time.Since(start) < 20*time.Minute {
						t.Errorf("slow upload: %v after %v, want success after 21m", err, time.Since(start))
					}
					return
				}
				if g := failure(t, err); g.Disposition != kiosk.RetryLater || time.Since(start) != 30*time.Second {
					t.Errorf("stalled upload: %v (%s) after %v, want later after 30s", err, g.Disposition, time.Since(start))
				}
			})
		})
	}
}

func TestTheImageIsNotReadAfterUploadReturned(t *testing.T) {
	var body io.ReadCloser
	c, err := gateway.New(gateway.Options{GatewayURL: "https://gateway.example", Client: &http.Client{
		Transport: pipe(func(r *http.Request) (*http.Response, error) {
			body = r.Body // a transport may go on after the answer
			return &http.Response{StatusCode: http.StatusServiceUnavailable, Body: http.NoBody}, nil
		}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Upload(t.Context(), kiosk.Upload{Target: kiosk.Target{URL: "https://o.example/1"}, JPEG: []byte("a face")}); err == nil {
		t.Fatal("HTTP 503 is a success")
	}
	if b, err := io.ReadAll(body); err == nil || len(b) > 0 {
		t.Errorf("read %q, %v after Upload returned; want an error", b, err)
	}
}

func TestALostWorldIsRetriedLater(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := client(t, "http://127.0.0.1:1", io.Discard)
	_, err := c.Targets(ctx, kiosk.Credentials{Token: "t"})
	if g := failure(t, err); !errors.Is(g, context.Canceled) {
		t.Errorf("err = %v, want one that is context.Canceled", err)
	}
	_, err = client(t, "https://gateway.invalid", io.Discard).Targets(t.Context(), kiosk.Credentials{Token: "t"})
	if g := failure(t, err); g.Disposition != kiosk.RetryLater || g.Status != 0 {
		t.Errorf("no such host: %v (%s), want later", err, g.Disposition)
	}
}
