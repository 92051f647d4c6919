package gateway_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"livekiosk/kiosk"
	"livekiosk/queue/gateway"
)

// FuzzAnswers lets a server answer anything to every call: the client must
// neither panic nor believe a verdict or a URL that is not there, must call
// each failure by its kind, and must repeat nothing of it.
func FuzzAnswers(f *testing.F) {
	for _, body := range []string{
		``, `{}`, `null`, `[]`, `{"success":true}`, `{"success":true,"data":null}`, `<html>`, "\xff\x00",
		`{"success":true,"data":{"submissionId":7,"documents":{"SELFIE":{"documentUrl":"https://o.example/1","expiryInSeconds":1e99}}}}`,
		`{"success":true,"data":{"submissionId":"s","status":"COMPLETED","verificationResult":{"isApproved":"true"}}}`,
		`{"success":false,"errors":[{"code":1539,"cause":"X_CAN_NOT_BE_EMPTY"}]}`,
		`{"token":"t","expiresAt":"1"}`, `<Error><Code>AccessDenied</Code></Error>`,
	} {
		f.Add(200, body, "")
		f.Add(403, body, "5")
	}
	f.Fuzz(func(t *testing.T, status int, body, retryAfter string) {
		if status < 200 || status > 599 {
			status = 200
		}
		c, err := gateway.New(gateway.Options{
			GatewayURL: "https://gateway.example", PartnerURL: "https://partner.example",
			Client: &http.Client{Transport: pipe(func(*http.Request) (*http.Response, error) {
				return &http.Response{
					StatusCode: status, Header: http.Header{"Retry-After": {retryAfter}}, Body: io.NopCloser(strings.NewReader(body)),
				}, nil
			})},
		})
		if err != nil {
			t.Fatal(err)
		}
		who := kiosk.Credentials{Token: "t", CorrelationID: "c", Session: "s"}
		check := func(err error) {
			if err == nil {
				if status/100 != 2 {
					t.Errorf("HTTP %d is a success", status)
				}
				return
			}
			g := failure(t, err)
			if g.Disposition == "" || g.RetryAfter < 0 || g.Status != status && g.Status != 200 {
				t.Errorf("failure %+v of HTTP %d", g, status)
			}
			if len(g.Error()) > 300 {
				t.Errorf("an error of %d bytes", len(g.Error()))
			}
		}
		targets, err := c.Targets(t.Context(), who)
		check(err)
		if err == nil && (targets.SubmissionID == "" || len(targets.Documents) > 2) {
			t.Errorf("targets %+v", targets)
		}
		for _, target := range targets.Documents {
			if target.ExpiresIn < 0 || target.URL == "" {
				t.Errorf("target lives %v", target.ExpiresIn)
			}
		}
		s, err := c.Status(t.Context(), who, "s")
		check(err)
		if gateway.Next(s, 1) == kiosk.ExitSuccess && !strings.Contains(strings.ToLower(body), "true") {
			t.Errorf("%q approves", body)
		}
		check(c.Confirm(t.Context(), who, "s", nil))
		check(c.Upload(t.Context(), kiosk.Upload{Target: kiosk.Target{URL: "https://o.example/1"}, JPEG: []byte("x")}))
		token, err := c.UserToken(t.Context(), kiosk.TokenRequest{CorrelationID: "c"})
		check(err)
		if err == nil && token.Value == "" {
			t.Error("an empty token")
		}
	})
}
