package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue/gateway"
	"livekiosk/queue/gateway/gatewaysim"
)

// secretive are words that stand in for secrets in these tests; no error and
// no log line may hold one.
func secretive() []string { return []string{"s3cret-token", "s3cret-signature", "s3cret-echo"} }

// world is the real client before the real simulator, over loopback.
type world struct {
	*gateway.Client

	sim *gatewaysim.Sim
	url string
	log *bytes.Buffer
	now *clock
}

type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func newWorld(t *testing.T, opts gatewaysim.Options) *world {
	t.Helper()
	w := &world{log: &bytes.Buffer{}, now: &clock{at: time.Now()}}
	opts.Now = w.now.read
	var err error
	if w.sim, err = gatewaysim.New(opts); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(w.sim)
	t.Cleanup(server.Close)
	w.url = server.URL
	w.Client = client(t, w.url, w.log)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.sim.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("simulator: %v", err)
		}
	})
	return w
}

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

func (w *world) faults(t *testing.T, script string) {
	t.Helper()
	resp, err := http.Post(w.url+"/sim/faults", "text/plain", strings.NewReader(script))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("POST /sim/faults = %s", resp.Status)
	}
}

// initiate returns the credentials of a new person.
func (w *world) initiate(t *testing.T, correlation string) kiosk.Credentials {
	t.Helper()
	token, err := w.UserToken(t.Context(), kiosk.TokenRequest{CorrelationID: correlation, UserID: "u-" + correlation, Locale: kiosk.English})
	if err != nil {
		t.Fatal(err)
	}
	return kiosk.Credentials{Token: token.Value, CorrelationID: correlation, Session: "s-1"}
}

// upload brings a session to the point where it can be confirmed.
func (w *world) upload(t *testing.T, who kiosk.Credentials) kiosk.Targets {
	t.Helper()
	targets, err := w.Targets(t.Context(), who)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range kiosk.Documents() {
		if err := w.Upload(t.Context(), kiosk.Upload{Target: targets.Documents[d], JPEG: picture(t, 640, 480)}); err != nil {
			t.Fatal(err)
		}
	}
	return targets
}

// verdict polls until the kiosk has something to do.
func (w *world) verdict(t *testing.T, who kiosk.Credentials, id string) kiosk.SubmissionStatus {
	t.Helper()
	if _, err := w.sim.Await(t.Context(), func(ev gatewaysim.Event) bool { return ev.Call == "verdict" && ev.Submission == id }); err != nil {
		t.Fatal(err)
	}
	s, err := w.Status(t.Context(), who, id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// picture returns a grainy JPEG, which the simulator takes for a selfie if it
// is large enough.
func picture(tb testing.TB, width, height int) []byte {
	tb.Helper()
	img := image.NewGray(image.Rect(0, 0, width, height))
	_, _ = rand.NewChaCha8([32]byte{1}).Read(img.Pix)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 20}); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
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

func TestAPersonIsVerified(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{PollsBeforeVerdict: 1})
	who := w.initiate(t, "c-1")
	targets := w.upload(t, who)
	if got := targets.Documents[kiosk.Selfie].ExpiresIn; got != 10*time.Minute {
		t.Errorf("upload URL lives %v, want 10m", got)
	}
	if err := w.Confirm(t.Context(), who, targets.SubmissionID, json.RawMessage(`{"review":false}`)); err != nil {
		t.Fatal(err)
	}
	s, err := w.Status(t.Context(), who, targets.SubmissionID)
	if err != nil || s.Status != kiosk.InProgress || gateway.Next(s, 2) != kiosk.PollAgain {
		t.Errorf("first status = %s, %v; want IN_PROGRESS and another poll", s.Status, err)
	}
	s, err = w.Status(t.Context(), who, targets.SubmissionID)
	for ; err == nil && s.Status == kiosk.InProgress; s, err = w.Status(t.Context(), who, targets.SubmissionID) {
		if t.Context().Err() != nil {
			t.Fatal("no verdict")
		}
	}
	if err != nil || s.Status != kiosk.StatusCompleted || s.Approved == nil || !*s.Approved {
		t.Fatalf("status = %+v, %v; want completed and approved", s, err)
	}
	if s.Documents[kiosk.Selfie] != "VERIFIED" || gateway.Next(s, 2) != kiosk.ExitSuccess {
		t.Errorf("selfie %s, next %s; want VERIFIED and EXIT_SUCCESS", s.Documents[kiosk.Selfie], gateway.Next(s, 2))
	}
	if strings.Contains(w.log.String(), who.Token) || strings.Contains(w.log.String(), "X-Amz") {
		t.Error("the log tells a token or an upload URL")
	}
}

// TestEveryDocumentedAnswer drives the client with each status and cause that
// the contract lists for each call.
func TestEveryDocumentedAnswer(t *testing.T) {
	for _, tt := range []struct {
		call  string
		fault string
		cause string
		want  kiosk.Disposition
	}{
		{"urls", "400", "INVALID_SUBMISSION_TYPE", kiosk.Final},
		{"urls", "401", "UNAUTHORIZED", kiosk.NewToken},
		{"urls", "403", "FORBIDDEN", kiosk.Final},
		{"urls", "429", "SUBMISSION_QUOTA_EXCEEDED", kiosk.Final},
		{"urls", "500", "SOMETHING_WENT_WRONG", kiosk.RetryLater},
		{"urls", "503", "SERVICE_UNAVAILABLE", kiosk.RetryLater},
		{"urls", "302", "SOMETHING_WENT_WRONG", kiosk.RetryLater},
		{"urls", "html", "", kiosk.RetryLater},
		{"urls", "garbage", "", kiosk.RetryLater},
		{"urls", "huge", "", kiosk.RetryLater},
		{"urls", "resetx*", "", kiosk.RetryLater},
		{"upload", "403", "AccessDenied", kiosk.NewURLs},
		{"upload", "404", "InternalError", kiosk.NewURLs},
		{"upload", "400", "RequestTimeout", kiosk.RetryLater},
		{"upload", "413", "InternalError", kiosk.Recapture},
		{"upload", "500", "InternalError", kiosk.RetryLater},
		{"upload", "503", "SlowDown", kiosk.RetryLater},
		{"upload", "html", "", kiosk.RetryLater},
		{"upload", "resetx*", "", kiosk.RetryLater},
		{"confirm", "400", "INVALID_CONFIRM_UPLOAD_REQUEST", kiosk.Final},
		{"confirm", "401", "UNAUTHORIZED", kiosk.NewToken},
		{"confirm", "403", "FORBIDDEN", kiosk.Final},
		{"confirm", "404", "SUBMISSION_DOES_NOT_EXIST", kiosk.NewURLs},
		{"confirm", "409", "SUBMISSION_STATE_CONFLICT", kiosk.PollOn},
		{"confirm", "422", "INVALID_UPLOAD_ARTIFACT", kiosk.Recapture},
		{"confirm", "429", "TOO_MANY_REQUESTS", kiosk.RetryLater},
		{"confirm", "500", "GENERIC_SERVICE_ERROR", kiosk.RetryLater},
		{"confirm", "503", "SERVICE_UNAVAILABLE", kiosk.RetryLater},
		{"confirm", "html", "", kiosk.RetryLater},
		{"confirm", "resetx*", "", kiosk.RetryLater},
		{"status", "400", "INVALID_SUBMISSION_ID", kiosk.Final},
		{"status", "401", "UNAUTHORIZED", kiosk.NewToken},
		{"status", "404", "SUBMISSION_DOES_NOT_EXIST", kiosk.NewURLs},
		{"status", "500", "GENERIC_SERVICE_ERROR", kiosk.RetryLater},
		{"status", "html", "", kiosk.RetryLater},
		{"initiate", "400", "X_PARTNER_SESSION_ID_CAN_NOT_BE_EMPTY", kiosk.Final},
		{"initiate", "401", "UNAUTHORIZED", kiosk.RetryLater},
		{"initiate", "403", "FORBIDDEN", kiosk.RetryLater},
		{"initiate", "409", "DUPLICATE_PARTNER_SESSION_ID", kiosk.Final},
		{"initiate", "429", "TOO_MANY_REQUESTS", kiosk.RetryLater},
		{"initiate", "500", "GENERIC_SERVICE_ERROR", kiosk.RetryLater},
		{"initiate", "html", "", kiosk.RetryLater},
		// The partner backend's own calls.
		{"partner_token", "400", "CLIENT_ID_CAN_NOT_BE_EMPTY", kiosk.RetryLater},
		{"partner_token", "401", "UNAUTHORIZED", kiosk.RetryLater},
		{"partner_token", "500", "GENERIC_SERVICE_ERROR", kiosk.RetryLater},
		{"flow", "400", "X_PARTNER_SESSION_ID_CAN_NOT_BE_EMPTY", kiosk.RetryLater},
		{"flow", "401", "UNAUTHORIZED", kiosk.RetryLater},
		{"flow", "403", "ONBOARDING_PARTNER_DOES_NOT_BELONG_TO_CLIENT", kiosk.RetryLater},
		{"flow", "500", "GENERIC_SERVICE_ERROR", kiosk.RetryLater},
	} {
		t.Run(tt.call+" answers "+tt.fault, func(t *testing.T) {
			w := newWorld(t, gatewaysim.Options{})
			ctx := t.Context()
			var err error
			switch tt.call {
			case "initiate", "partner_token", "flow":
				w.faults(t, tt.call+"="+tt.fault)
				_, err = w.UserToken(ctx, kiosk.TokenRequest{CorrelationID: "c", UserID: "u", Locale: kiosk.Indonesian})
			default:
				who := w.initiate(t, "c")
				targets := w.upload(t, who)
				w.faults(t, tt.call+"="+tt.fault)
				switch tt.call {
				case "urls":
					_, err = w.Targets(ctx, who)
				case "upload":
					err = w.Upload(ctx, kiosk.Upload{Target: targets.Documents[kiosk.Selfie], JPEG: picture(t, 640, 480)})
				case "confirm":
					err = w.Confirm(ctx, who, targets.SubmissionID, nil)
				case "status":
					_, err = w.Status(ctx, who, targets.SubmissionID)
				}
			}
			g := failure(t, err)
			if g.Disposition != tt.want || g.Cause != tt.cause {
				t.Errorf("%v: disposition %s, cause %q; want %s, %q", err, g.Disposition, g.Cause, tt.want, tt.cause)
			}
		})
	}
}

// TestEachHeaderIsRequired sends the client's own requests with one header
// less: whatever the client did not send, the simulator would have missed.
func TestEachHeaderIsRequired(t *testing.T) {
	for _, tt := range []struct{ call, header, cause string }{
		{"urls", "X-Onekyc-Token", "X_ONEKYC_TOKEN_CAN_NOT_BE_EMPTY"},
		{"urls", "X-Partner-Session-Id", "X_PARTNER_SESSION_ID_CAN_NOT_BE_EMPTY"},
		{"urls", "X-Sdk-Session-Id", "X_SDK_SESSION_ID_CAN_NOT_BE_EMPTY"},
		{"confirm", "X-Onekyc-Token", "X_ONEKYC_TOKEN_CAN_NOT_BE_EMPTY"},
		{"confirm", "X-Partner-Session-Id", "X_PARTNER_SESSION_ID_CAN_NOT_BE_EMPTY"},
		{"confirm", "X-Sdk-Session-Id", "X_SDK_SESSION_ID_CAN_NOT_BE_EMPTY"},
		{"status", "X-Onekyc-Token", "X_ONEKYC_TOKEN_CAN_NOT_BE_EMPTY"},
		{"status", "X-Partner-Session-Id", "X_PARTNER_SESSION_ID_CAN_NOT_BE_EMPTY"},
		{"status", "X-Sdk-Session-Id", "X_SDK_SESSION_ID_CAN_NOT_BE_EMPTY"},
	} {
		t.Run(tt.call+" without "+tt.header, func(t *testing.T) {
			w := newWorld(t, gatewaysim.Options{})
			who := w.initiate(t, "c")
			targets := w.upload(t, who)
			c, err := gateway.New(gateway.Options{GatewayURL: w.url, Client: &http.Client{Transport: without(tt.header)}})
			if err != nil {
				t.Fatal(err)
			}
			switch tt.call {
			case "urls":
				_, err = c.Targets(t.Context(), who)
			case "confirm":
				err = c.Confirm(t.Context(), who, targets.SubmissionID, nil)
			case "status":
				_, err = c.Status(t.Context(), who, targets.SubmissionID)
			}
			if g := failure(t, err); g.Status != http.StatusBadRequest || g.Cause != tt.cause {
				t.Errorf("err = %v, want HTTP 400 %s", err, tt.cause)
			}
		})
	}
}

// without is a transport that drops one header.
type without string

func (h without) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Del(string(h))
	return http.DefaultTransport.RoundTrip(r)
}

func TestAnExpiredUserTokenAsksForANewOne(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	who := w.initiate(t, "c")
	w.now.pass(61 * 24 * time.Hour)
	_, err := w.Targets(t.Context(), who)
	if g := failure(t, err); g.Disposition != kiosk.NewToken {
		t.Fatalf("after 61 days: %v (%s), want new_token", err, g.Disposition)
	}
	token, err := w.UserToken(t.Context(), kiosk.TokenRequest{CorrelationID: "c", Locale: kiosk.English}) // whom, the partner knows
	if err != nil {
		t.Fatal(err)
	}
	who.Token = token.Value
	if _, err := w.Targets(t.Context(), who); err != nil {
		t.Errorf("with the renewed token: %v", err)
	}
}

func TestAnExpiredUploadURLAsksForNewOnes(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	who := w.initiate(t, "c")
	targets, err := w.Targets(t.Context(), who)
	if err != nil {
		t.Fatal(err)
	}
	w.now.pass(10 * time.Minute)
	err = w.Upload(t.Context(), kiosk.Upload{Target: targets.Documents[kiosk.Selfie], JPEG: picture(t, 640, 480)})
	if g := failure(t, err); g.Disposition != kiosk.NewURLs || g.Status != http.StatusForbidden {
		t.Errorf("after ten minutes: %v (%s), want 403 and new_urls", err, g.Disposition)
	}
}

func TestWhatIsNoSelfieIsCapturedAnew(t *testing.T) {
	whole := picture(t, 640, 480)
	for name, jpeg := range map[string][]byte{
		"too small a picture": picture(t, 639, 480),
		"a cut image":         whole[:len(whole)-100],
		"no image at all":     bytes.Repeat([]byte("selfie "), 8000),
		"too few bytes":       whole[:1000],
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, gatewaysim.Options{})
			who := w.initiate(t, "c")
			targets := w.upload(t, who)
			if err := w.Upload(t.Context(), kiosk.Upload{Target: targets.Documents[kiosk.Selfie], JPEG: jpeg}); err != nil {
				t.Fatal(err)
			}
			err := w.Confirm(t.Context(), who, targets.SubmissionID, nil)
			if g := failure(t, err); g.Disposition != kiosk.Recapture {
				t.Errorf("confirm = %v (%s), want recapture", err, g.Disposition)
			}
		})
	}
}

func TestAMissingDocumentCannotBeConfirmed(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	who := w.initiate(t, "c")
	targets, err := w.Targets(t.Context(), who)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Upload(t.Context(), kiosk.Upload{Target: targets.Documents[kiosk.Selfie], JPEG: picture(t, 640, 480)}); err != nil {
		t.Fatal(err)
	}
	err = w.Confirm(t.Context(), who, targets.SubmissionID, nil)
	if g := failure(t, err); g.Cause != "INVALID_UPLOAD_ARTIFACT" {
		t.Errorf("confirm = %v, want 422 INVALID_UPLOAD_ARTIFACT", err)
	}
}

func TestAThirdRejectionUsesUpTheQuota(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{
		FaceCheck: func(context.Context, []byte) (gatewaysim.Face, error) {
			return gatewaysim.Face{Faces: 1, Live: 0.1}, nil
		},
	})
	who := w.initiate(t, "c")
	seen := map[string]bool{}
	for attempt := range 3 {
		targets := w.upload(t, who)
		if seen[targets.SubmissionID] {
			t.Fatalf("attempt %d has the submission of an earlier one", attempt+1)
		}
		seen[targets.SubmissionID] = true
		if err := w.Confirm(t.Context(), who, targets.SubmissionID, nil); err != nil {
			t.Fatal(err)
		}
		s := w.verdict(t, who, targets.SubmissionID)
		if s.Approved == nil || *s.Approved {
			t.Fatalf("attempt %d: %+v, want not approved", attempt+1, s)
		}
		if got := gateway.Next(s, 2-attempt); (got == kiosk.Retry) != (attempt < 2) {
			t.Errorf("attempt %d: next is %s", attempt+1, got)
		}
	}
	_, err := w.Targets(t.Context(), who)
	if g := failure(t, err); g.Disposition != kiosk.Final || g.Cause != "SUBMISSION_QUOTA_EXCEEDED" {
		t.Errorf("fourth attempt: %v (%s), want 429 SUBMISSION_QUOTA_EXCEEDED, final", err, g.Disposition)
	}
}

func TestARepeatedConfirmationIsPolledOn(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	who := w.initiate(t, "c")
	targets := w.upload(t, who)
	for i, want := range []kiosk.Disposition{"", kiosk.PollOn} {
		err := w.Confirm(t.Context(), who, targets.SubmissionID, nil)
		if want == "" && err != nil {
			t.Fatal(err)
		}
		if want != "" {
			if g := failure(t, err); g.Disposition != want {
				t.Errorf("confirmation %d: %v (%s), want %s", i+1, err, g.Disposition, want)
			}
		}
	}
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
	for _, status := range []int{200, 204, 301, 302, 400, 403, 404, 405, 407, 409, 410, 418, 422, 451, 500, 502, 511} {
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
		_, err := respond(t, http.StatusForbidden, nil, tt.body).Targets(t.Context(), kiosk.Credentials{Token: "t"})
		if g := failure(t, err); g.Cause != tt.want || g.Disposition != kiosk.Final {
			t.Errorf("%s: cause %q, %s; want %q, final", tt.body, g.Cause, g.Disposition, tt.want)
		}
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
