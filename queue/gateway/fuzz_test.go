package gateway_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue/gateway"
)

// bodies are seeds: answers of every call, and of what is none.
func bodies() []string {
	const callback = `{"submissionId":"s1","status":"COMPLETED","result":"VALID","submissionDetails":{"ktpData":{"nik":"1"},"imageUrls":{"selfie":"https://o.example/1"}}}`
	return []string{
		``, `{}`, `null`, `[]`, `{"success":true}`, `{"success":true,"data":null}`, `<html>`, "\xff\x00", success,
		`{"success":true,"data":{"submissionId":7,"documents":{"SELFIE":{"documentUrl":"https://o.example/1","expiryInSeconds":1e99}}}}`,
		`{"success":true,"data":{"submissionId":"s","status":"COMPLETED","verificationResult":{"isApproved":"true"}}}`,
		`{"success":false,"errors":[{"code":1539,"cause":"X_CAN_NOT_BE_EMPTY"}]}`,
		`{"token":"t","expiresAt":"1"}`, `<Error><Code>AccessDenied</Code></Error>`,
		callback, `{"success":true,"data":` + callback + `}`,
	}
}

// FuzzAnswers lets a server answer anything to every call: neither client nor
// backend must panic, hang, or believe a verdict, a token or a URL that is not
// there; each must call a failure by its kind, and repeat nothing of it.
func FuzzAnswers(f *testing.F) {
	for _, body := range bodies() {
		f.Add(200, body, "", "application/json", "")
		f.Add(403, body, "5", "text/html; charset=\"", "Tue, 24 Nov 2026 00:00:00 GMT")
	}
	f.Fuzz(func(t *testing.T, status int, body, retryAfter, contentType, date string) {
		if status < 200 || status > 599 {
			status = 200
		}
		h := &http.Client{Transport: pipe(func(*http.Request) (*http.Response, error) {
			return &http.Response{
				StatusCode: status, Body: io.NopCloser(strings.NewReader(body)),
				Header: http.Header{"Retry-After": {retryAfter}, "Content-Type": {contentType}, "Date": {date}},
			}, nil
		})}
		c := kioskOf(t, gateway.Options{
			GatewayURL: "http://127.0.0.1", PartnerURL: "https://partner.example", Client: h, // loopback, so that Date counts
			Skew: func(d time.Duration) {
				if _, err := http.ParseTime(date); err != nil {
					t.Errorf("skew %v of %q", d, date)
				}
			},
		})
		b, err := gateway.NewBackend(gateway.BackendOptions{
			TokenURL: "https://token.example", GatewayURL: "https://gateway.example", ClientID: "c", PassKey: "p", PartnerCode: "B", Platform: "K", Client: h,
		})
		if err != nil {
			t.Fatal(err)
		}
		check := func(call string, err error) bool {
			if err == nil {
				if status/100 != 2 {
					t.Errorf("%s: HTTP %d is a success", call, status)
				}
				return true
			}
			g := failure(t, err)
			if g.Call != call || g.Service == "" || g.Disposition == "" || g.RetryAfter < 0 || g.RetryAfter > 24*time.Hour || g.Status != status {
				t.Errorf("failure %+v of HTTP %d", g, status)
			}
			if g.Disposition == kiosk.RetryLater && g.Trouble == "" && status/100 != 4 {
				t.Errorf("%s: HTTP %d is to be retried and troubles nobody", call, status)
			}
			if len(g.Error()) > 300 {
				t.Errorf("an error of %d bytes", len(g.Error()))
			}
			return false
		}
		targets, err := c.Targets(t.Context(), someone())
		if check("urls", err) && (targets.SubmissionID == "" || len(targets.Documents) > 2) {
			t.Errorf("targets %+v", targets)
		}
		for _, target := range targets.Documents {
			if target.ExpiresIn < 0 || target.URL == "" {
				t.Errorf("target lives %v", target.ExpiresIn)
			}
		}
		s, err := c.Status(t.Context(), someone(), "s")
		check("status", err)
		if gateway.Next(s, 1) == kiosk.ExitSuccess && !strings.Contains(strings.ToLower(body), "true") {
			t.Errorf("%q approves", body)
		}
		check("confirm", c.Confirm(t.Context(), someone(), "s", nil))
		check("upload", c.Upload(t.Context(), kiosk.Upload{Target: kiosk.Target{URL: "https://o.example/1"}, JPEG: []byte("x")}))
		token, err := c.UserToken(t.Context(), kiosk.TokenRequest{CorrelationID: "c"})
		if check("token", err) && (token.Value == "" || token.Expires.Year() > 9999) {
			t.Errorf("token %v", token)
		}

		partner, err := b.PartnerToken(t.Context())
		if check("partner_token", err) && partner.Value == "" {
			t.Error("an empty partner token")
		}
		for _, source := range []gateway.Source{gateway.SDK, gateway.WebSDK} {
			flow, err := b.InitiateFlow(t.Context(), gateway.Token{Value: "t"}, gateway.FlowRequest{
				Flow: gateway.KYCLite, Source: source, SessionID: "c", UserID: "u", UserIDType: "i",
				SuccessURL: "https://bank.example", FailureURL: "https://bank.example",
			})
			if check("flow", err) && (flow.Token.Value == "") == (flow.LaunchURL == "") {
				t.Errorf("flow %+v", flow)
			}
		}
		d, err := b.Details(t.Context(), gateway.Token{Value: "t"}, gateway.DetailsQuery{SessionID: "c"})
		if check("details", err) {
			checkDetails(t, d)
		}
	})
}

// checkDetails holds details against what their types promise.
func checkDetails(t *testing.T, d gateway.Details) {
	t.Helper()
	if d.Status == "" || d.SubmissionID == "" || len(d.ImageURLs) > 3 || len(d.Result) > 64 || len(d.ReasonCode) > 64 || strings.ContainsAny(d.SessionID, "\r\n ") {
		t.Errorf("details %+v", d)
	}
	for doc, u := range d.ImageURLs {
		if doc != kiosk.Selfie && doc != kiosk.AdditionalSelfie && doc != "KTP" || u == "" {
			t.Errorf("image %q", doc)
		}
	}
}

// FuzzCallback gives the decoder of callbacks any body.
func FuzzCallback(f *testing.F) {
	for _, body := range bodies() {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := gateway.DecodeCallback(body)
		if err != nil {
			if len(err.Error()) > 100 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		checkDetails(t, c.Details)
		again, err := gateway.DecodeCallback(body)
		if err != nil || again.Key() != c.Key() || !strings.HasPrefix(c.Key(), c.SubmissionID+"|") {
			t.Errorf("keys %q and %q of one body", c.Key(), again.Key())
		}
	})
}
