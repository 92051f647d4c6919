package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue/gateway"
)

// A call is one of the contract's, made on the way a product makes it.
type call struct {
	name    string // GatewayError.Call
	service kiosk.Service
	make    func(ctx context.Context, base string) (any, error)

	// What must arrive, header by header: those of HTTP itself aside, nothing
	// more and nothing less.
	method, path, query string
	header              map[string]string
	body                string // JSON, or the bytes; "": none

	// The documented success, and what is made of it.
	success string
	want    any
}

func backend(t *testing.T, base string) *gateway.Backend {
	t.Helper()
	b, err := gateway.NewBackend(gateway.BackendOptions{
		TokenURL: base, GatewayURL: base, ClientID: "s3cret-client", PassKey: "s3cret-key", PartnerCode: "BANK", Platform: "KIOSK",
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// calls are the calls 1 to 7, and the kiosk's own to its partner backend.
func calls(t *testing.T) []call {
	t.Helper()
	user := map[string]string{"X-Onekyc-Token": "s3cret-token", "X-Partner-Session-Id": "c-1", "X-Sdk-Session-Id": "s-1"}
	with := func(m map[string]string, pairs ...string) map[string]string {
		m = maps.Clone(m)
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	device := func(base string) *gateway.Client {
		return kioskOf(t, gateway.Options{GatewayURL: base, PartnerURL: base + "/bank"})
	}
	partnerToken := gateway.Token{Value: "s3cret-token"}
	at := time.Unix(1900000000, 0).UTC()
	yes := true
	return []call{
		{
			name: "partner_token", service: kiosk.GatewayService,
			make: func(ctx context.Context, base string) (any, error) {
				return backend(t, base).PartnerToken(ctx)
			},
			method: "GET", path: "/v1/coe/partner/authentication",
			header:  map[string]string{"Client-Id": "s3cret-client", "Pass-Key": "s3cret-key"},
			success: `{"token":"p1","expiry_seconds":"3600","expires_at":"1900000000"}`,
			want:    gateway.Token{Value: "p1", Expires: at},
		},
		{
			name: "flow", service: kiosk.GatewayService,
			make: func(ctx context.Context, base string) (any, error) {
				return backend(t, base).InitiateFlow(ctx, partnerToken, gateway.FlowRequest{
					Flow: gateway.StandaloneLiveness, Source: gateway.SDK, SessionID: "c-1", UserID: "u-1", UserIDType: "CUSTOMER_ID",
				})
			},
			method: "POST", path: "/coe-partner/v1/initiate-flow",
			header: map[string]string{
				"X-Onekyc-Token": "s3cret-token", "X-Onboarding-Partner": "BANK-KIOSK-STANDALONE_LIVENESS", "X-Partner-User-Id": "u-1",
				"X-Partner-User-Id-Type": "CUSTOMER_ID", "X-Partner-Session-Id": "c-1", "Content-Type": "application/json",
			},
			body:    `{"flow":"STANDALONE_LIVENESS","source":"SDK","theme":"NO_PREFERENCE","additionalDetails":{"userLocale":"id_ID"}}`,
			success: `{"token":"u1","expirySeconds":"5184000","expiresAt":"1900000000"}`,
			want:    gateway.Flow{Token: kiosk.UserToken{Value: "u1", Expires: at}, Expires: at},
		},
		{
			name: "flow", service: kiosk.GatewayService, // of a browser
			make: func(ctx context.Context, base string) (any, error) {
				return backend(t, base).InitiateFlow(ctx, partnerToken, gateway.FlowRequest{
					Flow: gateway.KYCLite, Source: gateway.WebSDK, SessionID: "c-1", UserID: "u-1", UserIDType: "CUSTOMER_ID",
					SuccessURL: "https://bank.example/yes", FailureURL: "https://bank.example/no", Theme: gateway.DarkMode,
					Locale: gateway.English, ReferenceImageURL: "https://bank.example/r", AllowQR: true, ForceQR: true, PortraitOnly: true,
				})
			},
			method: "POST", path: "/coe-partner/v1/initiate-flow",
			header: map[string]string{
				"X-Onekyc-Token": "s3cret-token", "X-Onboarding-Partner": "BANK-KIOSK-KYC_LITE", "X-Partner-User-Id": "u-1",
				"X-Partner-User-Id-Type": "CUSTOMER_ID", "X-Partner-Session-Id": "c-1", "Content-Type": "application/json",
			},
			body: `{"flow":"KYC_LITE","source":"WEB_SDK","successRedirectionUrl":"https://bank.example/yes","failureRedirectionUrl":"https://bank.example/no","theme":"DARK_MODE",` +
				`"additionalDetails":{"referenceImageUrl":"https://bank.example/r","userLocale":"en_ID","allowQr":true,"forceQr":true,"portraitOnly":true}}`,
			success: `{"launchUrl":"https://sdk.example/l","expirySeconds":"5184000","expiresAt":"1900000000"}`,
			want:    gateway.Flow{LaunchURL: "https://sdk.example/l", Expires: at},
		},
		{
			name: "urls", service: kiosk.GatewayService,
			make: func(ctx context.Context, base string) (any, error) {
				return device(base).Targets(ctx, someone())
			},
			method: "GET", path: "/coe/v1/submissions/urls", query: "submissionType=STANDALONE_LIVENESS", header: user,
			success: `{"submissionId":"s1","status":"INITIATED","documents":{"SELFIE":{"documentUrl":"https://o.example/1","documentReference":"r","expiryInSeconds":"600"},` +
				`"ADDITIONAL_SELFIE":{"documentUrl":"https://o.example/2","documentReference":"r","expiryInSeconds":"600"}},"uiMessages":{"k":{"title":"t","message":"m"}}}`,
			want: kiosk.Targets{SubmissionID: "s1", Documents: map[kiosk.Document]kiosk.Target{
				kiosk.Selfie:           {URL: "https://o.example/1", ExpiresIn: 10 * time.Minute},
				kiosk.AdditionalSelfie: {URL: "https://o.example/2", ExpiresIn: 10 * time.Minute},
			}},
		},
		{
			name: "upload", service: kiosk.StoreService,
			make: func(ctx context.Context, base string) (any, error) {
				return nil, device(base).Upload(ctx, kiosk.Upload{Target: kiosk.Target{URL: base + "/o/1?X-Amz-Signature=s3cret-signature"}, JPEG: []byte("a face")})
			},
			method: "PUT", path: "/o/1", query: "X-Amz-Signature=s3cret-signature", header: map[string]string{"Content-Type": "image/jpeg"},
			body: "a face",
		},
		{
			name: "confirm", service: kiosk.GatewayService,
			make: func(ctx context.Context, base string) (any, error) {
				return nil, device(base).Confirm(ctx, someone(), "s1", json.RawMessage(`{"review":false}`))
			},
			method: "PUT", path: "/coe/v1/submissions/urls", header: with(user, "Content-Type", "application/json"),
			body:    `{"submissionId":"s1","metadata":{"review":false}}`,
			success: `{"submissionId":"s1","uiMessages":{}}`,
		},
		{
			name: "status", service: kiosk.GatewayService,
			make: func(ctx context.Context, base string) (any, error) {
				return device(base).Status(ctx, someone(), "s1")
			},
			method: "GET", path: "/coe/v1/submissions/s1/status", header: user,
			success: `{"submissionId":"s1","status":"COMPLETED","submissionType":"STANDALONE_LIVENESS","createdAt":"2026-05-01","completedAt":"2026-05-01",` +
				`"verificationResult":{"isApproved":true,"riskLevel":"LOW","confidence":"95"},"documents":{"SELFIE":{"status":"VERIFIED","documentReference":"r"}},"uiMessages":{}}`,
			want: kiosk.SubmissionStatus{
				SubmissionID: "s1", Status: kiosk.StatusCompleted, Approved: &yes, Documents: map[kiosk.Document]string{kiosk.Selfie: "VERIFIED"},
			},
		},
		{
			name: "details", service: kiosk.GatewayService,
			make: func(ctx context.Context, base string) (any, error) {
				return backend(t, base).Details(ctx, partnerToken, gateway.DetailsQuery{SessionID: "c-1"})
			},
			method: "GET", path: "/coe/v1/submissions", header: map[string]string{"X-Onekyc-Token": "s3cret-token", "X-Partner-Session-Id": "c-1"},
			success: `{"status":"COMPLETED","submissionId":"s1","flow":"STANDALONE_LIVENESS","partnerSessionId":"c-1","result":"INVALID","reasonCode":"NOT_LIVE","processedAt":"2030-03-17T17:46:40Z",` +
				`"submissionDetails":{"imageUrls":{"selfie":"https://o.example/1"},"verificationResults":{"faceMatch":{"score":91.5,"result":"VALID","version":"3"},` +
				`"liveness":{"result":"INVALID","version":"2"},"referenceImageValidation":{"ktp":{"verificationResult":"VALID","verificationReasonCode":"NONE"}}}}}`,
			want: gateway.Details{
				Status: kiosk.StatusCompleted, SubmissionID: "s1", Flow: gateway.StandaloneLiveness, SessionID: "c-1", Result: gateway.Invalid,
				ReasonCode: "NOT_LIVE", ProcessedAt: at, ImageURLs: map[kiosk.Document]string{kiosk.Selfie: "https://o.example/1"},
				Checks: gateway.Checks{
					FaceMatch: &gateway.Check{Result: "VALID", Score: "91.5", Version: "3"},
					Liveness:  &gateway.Check{Result: "INVALID", Version: "2"},
					Reference: &gateway.Check{Result: "VALID", Reason: "NONE"},
				},
			},
		},
		{
			name: "details", service: kiosk.GatewayService, // by the other id
			make: func(ctx context.Context, base string) (any, error) {
				return backend(t, base).Details(ctx, partnerToken, gateway.DetailsQuery{SubmissionID: "s1"})
			},
			method: "GET", path: "/coe/v1/submissions", header: map[string]string{"X-Onekyc-Token": "s3cret-token", "X-Submission-Id": "s1"},
			success: `{"status":"IN_PROGRESS","submissionId":"s1"}`,
			want:    gateway.Details{Status: kiosk.InProgress, SubmissionID: "s1", ImageURLs: map[kiosk.Document]string{}},
		},
		{
			name: "token", service: kiosk.PartnerService,
			make: func(ctx context.Context, base string) (any, error) {
				return device(base).UserToken(ctx, kiosk.TokenRequest{CorrelationID: "c-1", UserID: "u-1", UserIDType: "CUSTOMER_ID", Locale: kiosk.English})
			},
			method: "POST", path: "/bank/v1/kiosk/initiate", header: map[string]string{"Content-Type": "application/json"},
			body:    `{"correlationId":"c-1","userId":"u-1","userIdType":"CUSTOMER_ID","locale":"en"}`,
			success: `{"token":"u1","expiresAt":"1900000000"}`,
			want:    kiosk.UserToken{Value: "u1", Expires: at},
		},
	}
}

// TestEachCallSendsWhatTheContractSays holds each request against the
// contract, and each result against its documented success.
func TestEachCallSendsWhatTheContractSays(t *testing.T) {
	for i, c := range calls(t) {
		t.Run(fmt.Sprintf("%d %s", i, c.name), func(t *testing.T) {
			seen := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				seen++
				if r.Method != c.method || r.URL.Path != c.path || r.URL.RawQuery != c.query {
					t.Errorf("%s %s?%s, want %s %s?%s", r.Method, r.URL.Path, r.URL.RawQuery, c.method, c.path, c.query)
				}
				got := map[string]string{}
				for name, values := range r.Header {
					got[name] = strings.Join(values, "\n")
				}
				for _, name := range []string{"Accept", "Accept-Encoding", "User-Agent", "Content-Length"} {
					delete(got, name) // HTTP's own
				}
				if !maps.Equal(got, c.header) {
					t.Errorf("headers %v, want %v", got, c.header)
				}
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				if r.ContentLength != int64(len(c.body)) || !same(string(body), c.body) {
					t.Errorf("body (%d said) %s, want %s", r.ContentLength, body, c.body)
				}
				switch {
				case c.success == "":
				case c.name == "token":
					_, _ = io.WriteString(w, c.success)
				default:
					_, _ = fmt.Fprintf(w, `{"success":true,"data":%s}`, c.success)
				}
			}))
			defer server.Close()
			got, err := c.make(t.Context(), server.URL)
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, %v, want %+v", got, err, c.want)
			}
			if seen != 1 {
				t.Errorf("%d requests", seen)
			}
		})
	}
}

// same reports whether two bodies are the same bytes or the same JSON.
func same(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return a == b
	}
	return reflect.DeepEqual(x, y)
}

// An outcome is a documented answer and what it must lead to.
type outcome struct {
	call   string
	status int
	code   string
	cause  string
	then   kiosk.Disposition
	why    kiosk.Trouble
}

// outcomes are the contract's answers, call by call.
func outcomes() []outcome {
	const (
		later, urls, token, poll, recapture, final = kiosk.RetryLater, kiosk.NewURLs, kiosk.NewToken, kiosk.PollOn, kiosk.Recapture, kiosk.Final
		none, busy, down                           = kiosk.NoTrouble, kiosk.TroubleBusy, kiosk.TroubleUnavailable
	)
	return []outcome{
		{"partner_token", 400, "1539", "CLIENT_ID_CAN_NOT_BE_EMPTY", final, none},
		{"partner_token", 400, "1539", "PASS_KEY_CAN_NOT_BE_EMPTY", final, none},
		{"partner_token", 401, "110", "UNAUTHORIZED", final, none},
		{"partner_token", 429, "429", "TOO_MANY_REQUESTS", later, busy},
		{"partner_token", 500, "900", "GENERIC_SERVICE_ERROR", later, down},

		{"flow", 400, "1539", "X_ONEKYC_TOKEN_CAN_NOT_BE_EMPTY", final, none},
		{"flow", 400, "1539", "X_ONBOARDING_PARTNER_CAN_NOT_BE_EMPTY", final, none},
		{"flow", 400, "1539", "X_PARTNER_USER_ID_CAN_NOT_BE_EMPTY", final, none},
		{"flow", 400, "1539", "X_PARTNER_USER_ID_TYPE_CAN_NOT_BE_EMPTY", final, none},
		{"flow", 400, "1539", "X_PARTNER_SESSION_ID_CAN_NOT_BE_EMPTY", final, none},
		{"flow", 400, "1540", "DUPLICATE_PARTNER_SESSION_ID", poll, none},
		{"flow", 409, "1540", "DUPLICATE_PARTNER_SESSION_ID", poll, none},
		{"flow", 401, "110", "UNAUTHORIZED", token, none},
		{"flow", 403, "110", "ONBOARDING_PARTNER_DOES_NOT_BELONG_TO_CLIENT", final, none},
		{"flow", 429, "429", "TOO_MANY_REQUESTS", later, busy},
		{"flow", 500, "900", "GENERIC_SERVICE_ERROR", later, down},

		{"urls", 400, "1539", "X_SDK_SESSION_ID_CAN_NOT_BE_EMPTY", final, none},
		{"urls", 400, "1542", "INVALID_SUBMISSION_TYPE", final, none},
		{"urls", 401, "110", "UNAUTHORIZED", token, none},
		{"urls", 403, "110", "FORBIDDEN", later, none},
		{"urls", 429, "429", "SUBMISSION_QUOTA_EXCEEDED", final, none},
		{"urls", 429, "429", "TOO_MANY_REQUESTS", later, busy},
		{"urls", 500, "900", "SOMETHING_WENT_WRONG", later, down},
		{"urls", 503, "903", "SERVICE_UNAVAILABLE", later, down},

		{"upload", 400, "", "EntityTooLarge", recapture, none},
		{"upload", 400, "", "RequestTimeout", later, kiosk.TroubleTimeout},
		{"upload", 403, "", "AccessDenied", urls, none},
		{"upload", 403, "", "SignatureDoesNotMatch", urls, none},
		{"upload", 404, "", "NoSuchBucket", urls, none},
		{"upload", 413, "", "EntityTooLarge", recapture, none},
		{"upload", 429, "", "SlowDown", later, busy},
		{"upload", 500, "", "InternalError", later, down},
		{"upload", 503, "", "SlowDown", later, down},

		{"confirm", 400, "1539", "SUBMISSION_ID_CAN_NOT_BE_EMPTY", final, none},
		{"confirm", 400, "1542", "INVALID_CONFIRM_UPLOAD_REQUEST", final, none},
		{"confirm", 401, "110", "UNAUTHORIZED", token, none},
		{"confirm", 403, "110", "FORBIDDEN", later, none},
		{"confirm", 403, "903", "FORBIDDEN", later, none},
		{"confirm", 404, "1543", "SUBMISSION_DOES_NOT_EXIST", urls, none},
		{"confirm", 409, "1544", "SUBMISSION_STATE_CONFLICT", poll, none},
		{"confirm", 422, "1545", "INVALID_UPLOAD_ARTIFACT", recapture, none},
		{"confirm", 429, "429", "TOO_MANY_REQUESTS", later, busy},
		{"confirm", 500, "900", "GENERIC_SERVICE_ERROR", later, down},
		{"confirm", 503, "903", "SERVICE_UNAVAILABLE", later, down},

		{"status", 400, "1541", "INVALID_SUBMISSION_ID", final, none},
		{"status", 401, "110", "UNAUTHORIZED", token, none},
		{"status", 404, "1543", "SUBMISSION_DOES_NOT_EXIST", urls, none},
		{"status", 429, "429", "TOO_MANY_REQUESTS", later, busy},
		{"status", 500, "900", "GENERIC_SERVICE_ERROR", later, down},

		{"details", 400, "1543", "SUBMISSION_DOES_NOT_EXIST", later, none},
		{"details", 404, "1543", "SUBMISSION_DOES_NOT_EXIST", later, none},
		{"details", 400, "1546", "PARTNER_SESSION_ID_DOES_NOT_BELONG_TO_THE_USER", final, none},
		{"details", 401, "110", "UNAUTHORIZED", token, none},
		{"details", 500, "900", "GENERIC_SERVICE_ERROR", later, down},

		{"token", 400, "1539", "CORRELATION_ID_CAN_NOT_BE_EMPTY", final, none},
		{"token", 401, "110", "UNAUTHORIZED", later, none},
		{"token", 403, "110", "FORBIDDEN", later, none},
		{"token", 409, "1540", "DUPLICATE_PARTNER_SESSION_ID", final, none},
		{"token", 429, "429", "TOO_MANY_REQUESTS", later, busy},
		{"token", 500, "900", "GENERIC_SERVICE_ERROR", later, down},
		{"token", 503, "903", "SERVICE_UNAVAILABLE", later, down},
	}
}

// TestEveryDocumentedAnswer drives each call with each status and cause that
// the contract lists for it, the code once as a number and once as text.
func TestEveryDocumentedAnswer(t *testing.T) {
	byName := map[string]call{}
	for _, c := range calls(t) {
		byName[c.name] = c
	}
	covered := map[string]bool{}
	for _, o := range outcomes() {
		c := byName[o.call]
		covered[o.call] = true
		for _, code := range []string{o.code, `"` + o.code + `"`} {
			t.Run(fmt.Sprintf("%s answers %d %s with the code %s", o.call, o.status, o.cause, code), func(t *testing.T) {
				wish := time.Duration(0)
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					if o.status == http.StatusTooManyRequests || o.status >= 500 {
						wish = 7 * time.Second
						w.Header().Set("Retry-After", "7")
					}
					if o.call == "upload" {
						w.Header().Set("Content-Type", "application/xml")
						w.WriteHeader(o.status)
						_, _ = fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>s3cret-echo</Message></Error>`, o.cause)
						return
					}
					w.WriteHeader(o.status)
					_, _ = fmt.Fprintf(w, `{"success":false,"data":null,"errors":[{"code":%s,"entity":"s3cret-echo","cause":"%s"}]}`, code, o.cause)
				}))
				defer server.Close()
				_, err := c.make(t.Context(), server.URL)
				g := failure(t, err)
				want := kiosk.GatewayError{
					Call: o.call, Service: c.service, Trouble: o.why, Status: o.status, Cause: o.cause, Disposition: o.then, RetryAfter: wish,
				}
				if *g != want {
					t.Errorf("%+v, want %+v", *g, want)
				}
			})
		}
	}
	for name := range byName {
		if !covered[name] {
			t.Errorf("no answer to %s is tried", name)
		}
	}
}

// TestWhatIsNotTheServicesWordEndsNothing gives every call what portals,
// proxies and broken servers say.
func TestWhatIsNotTheServicesWordEndsNothing(t *testing.T) {
	const page = "<!DOCTYPE html><title>Free wifi</title> s3cret-echo"
	for name, tt := range map[string]struct {
		status int
		kind   string
		body   string
		want   kiosk.Trouble
	}{
		"a captive portal's page":              {200, "text/html", page, kiosk.TroublePortal},
		"a page that does not say so":          {200, "application/json", page, kiosk.TroublePortal},
		"a redirect to a portal":               {302, "", "", kiosk.TroublePortal},
		"a redirect with an envelope":          {307, "application/json", success, kiosk.TroublePortal},
		"a portal's own status":                {511, "text/html", page, kiosk.TroublePortal},
		"a page of 401":                        {401, "text/html", page, kiosk.TroublePortal},
		"a page of 403":                        {403, "text/html; charset=utf-8", "blocked by policy", kiosk.TroublePortal},
		"a page of 404":                        {404, "text/html", page, kiosk.TroublePortal},
		"a page of 413":                        {413, "text/html", page, kiosk.TroublePortal},
		"a proxy that wants to know who it is": {407, "text/html", page, kiosk.TroubleProxy},
		"a balancer's page":                    {502, "text/html", page, kiosk.TroubleUnavailable},
		"a balancer's silence":                 {504, "", "", kiosk.TroubleUnavailable},
		"a limit without an envelope":          {429, "", "", kiosk.TroubleBusy},
		"a timeout's page":                     {408, "text/html", page, kiosk.TroubleTimeout},
		"a body without an end":                {200, "application/json", `{"success":true,"data":{"pad":"` + strings.Repeat("s3cret-echo", 200_000), kiosk.TroubleGarbled},
	} {
		for i, c := range calls(t) {
			t.Run(fmt.Sprintf("%s to %d %s", name, i, c.name), func(t *testing.T) {
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					if tt.kind != "" {
						w.Header().Set("Content-Type", tt.kind)
					}
					w.WriteHeader(tt.status)
					_, _ = io.WriteString(w, tt.body)
				}))
				defer server.Close()
				_, err := c.make(t.Context(), server.URL)
				g := failure(t, err)
				if g.Service != c.service || g.Trouble != tt.want || g.Disposition != kiosk.RetryLater || g.Status != tt.status {
					t.Errorf("%v: %s, %s, %s, HTTP %d; want %s, %s, later", err, g.Service, g.Trouble, g.Disposition, g.Status, c.service, tt.want)
				}
			})
		}
	}
}

// TestAnAnswerThatCannotBeReadIsGarbled is for the calls that are answered in
// JSON; a store's body is empty or XML.
func TestAnAnswerThatCannotBeReadIsGarbled(t *testing.T) {
	for name, body := range map[string]string{
		"cut short":                   `{"success":tr`,
		"binary":                      "\xff\xfe\x00",
		"an envelope with no data":    `{"success":true}`,
		"an envelope with null":       `{"success":true,"data":null}`,
		"an envelope with a list":     `{"success":true,"data":[1]}`,
		"a success that says it isnt": `{"success":false,"errors":[{"cause":"FORBIDDEN"}]}`,
		"numbers for text":            `{"success":true,"data":{"submissionId":{},"status":{},"token":{},"launchUrl":{}}}`,
	} {
		for i, c := range calls(t) {
			if c.service == kiosk.StoreService || c.name == "confirm" && strings.HasPrefix(body, `{"success":true`) {
				continue // a confirmation's answer holds nothing that is needed
			}
			t.Run(fmt.Sprintf("%s to %d %s", name, i, c.name), func(t *testing.T) {
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
				defer server.Close()
				_, err := c.make(t.Context(), server.URL)
				if g := failure(t, err); g.Trouble != kiosk.TroubleGarbled || g.Disposition != kiosk.RetryLater || g.Status != http.StatusOK {
					t.Errorf("%v: %s, %s; want garbled, later", err, g.Trouble, g.Disposition)
				}
			})
		}
	}
}

// TestNoCallFollowsARedirect has every call redirected to a thief.
func TestNoCallFollowsARedirect(t *testing.T) {
	stolen := make(chan string, 1)
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { stolen <- r.URL.Path }))
	defer thief.Close()
	for i, c := range calls(t) {
		for _, status := range []int{301, 302, 303, 307, 308} {
			server := httptest.NewServer(http.RedirectHandler(thief.URL+"/taken", status))
			_, err := c.make(t.Context(), server.URL)
			server.Close()
			if g := failure(t, err); g.Disposition != kiosk.RetryLater || g.Status != status || g.Trouble != kiosk.TroublePortal {
				t.Errorf("%d %s, HTTP %d: %v (%s), want later, portal", i, c.name, status, err, g.Disposition)
			}
		}
	}
	select {
	case path := <-stolen:
		t.Errorf("a redirect was followed to %s", path)
	default:
	}
}

// TestNoCallTellsItsSecrets looks for tokens in errors and logs, however a
// call fails.
func TestNoCallTellsItsSecrets(t *testing.T) {
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var all bytes.Buffer
		_ = r.Header.Write(&all)
		w.WriteHeader(http.StatusForbidden)
		_ = json.NewEncoder(w).Encode(map[string]any{"success": false, "errors": []any{map[string]any{"cause": all.String() + string(body) + r.URL.RawQuery, "code": all.String()}}})
	}))
	defer echo.Close()
	for i, c := range calls(t) {
		for _, base := range []string{dead.URL, echo.URL, "https://gateway.invalid"} {
			_, err := c.make(t.Context(), base)
			g := failure(t, err)
			if text := fmt.Sprintf("%+v %#v", *g, g.Err); strings.Contains(err.Error()+g.Cause+text, "s3cret") {
				t.Errorf("%d %s tells a secret: %v", i, c.name, err)
			}
			if g.Service != c.service {
				t.Errorf("%d %s: service %s, want %s", i, c.name, g.Service, c.service)
			}
			u, parseErr := url.Parse(base)
			if parseErr != nil {
				t.Fatal(parseErr)
			}
			want := map[string]kiosk.Trouble{dead.URL: kiosk.TroubleConnect, echo.URL: kiosk.NoTrouble, "https://gateway.invalid": kiosk.TroubleDNS}[base]
			if g.Trouble != want {
				t.Errorf("%d %s of %s: %s, want %s", i, c.name, u.Hostname(), g.Trouble, want)
			}
		}
	}
}

// TestWhatWasSentIsNoCause has services answer with a word of the request in
// place of a cause, by which it would come to logs and to staff.
func TestWhatWasSentIsNoCause(t *testing.T) {
	sent := []string{"S3CRETTOKEN", "S3CRETSESSION", "3171234567890123", "5ecre7515na7ure"}
	for _, word := range sent {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusBadRequest)
			if r.URL.Path == "/store" {
				_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", word)
				return
			}
			_, _ = fmt.Fprintf(w, `{"success":false,"errors":[{"code":1,"cause":"%s"}]}`, word)
		}))
		defer server.Close()
		c := kioskOf(t, gateway.Options{GatewayURL: server.URL, PartnerURL: server.URL})
		who := kiosk.Credentials{Token: sent[0], CorrelationID: sent[1], Session: "s-1"}
		_, urls := c.Targets(t.Context(), who)
		confirm := c.Confirm(t.Context(), who, "s1", json.RawMessage(`{"user":"3171234567890123"}`))
		_, token := c.UserToken(t.Context(), kiosk.TokenRequest{CorrelationID: sent[1], UserID: sent[2], UserIDType: "NIK", Locale: kiosk.English})
		upload := c.Upload(t.Context(), kiosk.Upload{Target: kiosk.Target{URL: server.URL + "/store?X-Amz-Signature=" + sent[3]}, JPEG: []byte("a face")})
		for call, tt := range map[string]struct {
			err  error
			knew []string
		}{
			"urls": {urls, sent[:2]}, "confirm": {confirm, sent[:3]}, "token": {token, sent[1:3]}, "upload": {upload, sent[3:]},
		} {
			if g := failure(t, tt.err); (g.Cause == "") != slices.Contains(tt.knew, word) {
				t.Errorf("%s, which was sent %q, answers %q: cause %q", call, tt.knew, word, g.Cause)
			}
		}
	}
}
