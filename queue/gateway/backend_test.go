package gateway_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue/gateway"
)

func TestAFlowRequestIsCheckedBeforeItIsSent(t *testing.T) {
	sent := 0
	b, err := gateway.NewBackend(gateway.BackendOptions{
		TokenURL: "https://token.example", GatewayURL: "https://gateway.example", ClientID: "c", PassKey: "p", PartnerCode: "BANK", Platform: "KIOSK",
		Client: &http.Client{Transport: pipe(func(*http.Request) (*http.Response, error) { sent++; return nil, http.ErrServerClosed })},
	})
	if err != nil {
		t.Fatal(err)
	}
	good := gateway.FlowRequest{
		Flow: gateway.StandaloneLiveness, Source: gateway.WebSDK, SessionID: "c-1", UserID: "u-1", UserIDType: "CUSTOMER_ID",
		SuccessURL: "https://bank.example/yes", FailureURL: "https://bank.example/no",
	}
	for name, tt := range map[string]struct {
		change func(*gateway.FlowRequest)
		want   string // in the error; "": it is sent
	}{
		"as it must be":         {func(*gateway.FlowRequest) {}, ""},
		"a flow that is none":   {func(r *gateway.FlowRequest) { r.Flow = "s3cret-echo" }, "flow: is none"},
		"no flow":               {func(r *gateway.FlowRequest) { r.Flow = "" }, "flow:"},
		"no source":             {func(r *gateway.FlowRequest) { r.Source = "" }, "source:"},
		"a theme that is none":  {func(r *gateway.FlowRequest) { r.Theme = "PINK" }, "theme:"},
		"a locale that is none": {func(r *gateway.FlowRequest) { r.Locale = "id" }, "locale:"},
		"no session id":         {func(r *gateway.FlowRequest) { r.SessionID = "" }, "session id:"},
		"no user id":            {func(r *gateway.FlowRequest) { r.UserID = "" }, "user id:"},
		"a user id that breaks out of its header":  {func(r *gateway.FlowRequest) { r.UserID = "s3cret-echo\r\nX: y" }, "user id:"},
		"a user id of another alphabet":            {func(r *gateway.FlowRequest) { r.UserID = "é" }, "user id:"},
		"no user id type":                          {func(r *gateway.FlowRequest) { r.UserIDType = "" }, "user id type:"},
		"a browser without a way on after success": {func(r *gateway.FlowRequest) { r.SuccessURL = "" }, "success URL:"},
		"a browser without a way on after failure": {func(r *gateway.FlowRequest) { r.FailureURL = "" }, "failure URL:"},
		"a way on in the clear":                    {func(r *gateway.FlowRequest) { r.FailureURL = "http://bank.example/s3cret-echo" }, "failure URL:"},
		"a way on to a script":                     {func(r *gateway.FlowRequest) { r.SuccessURL = "javascript:alert(1)" }, "success URL:"},
		"a reference image that is no URL":         {func(r *gateway.FlowRequest) { r.ReferenceImageURL = "https://u:s3cret-echo@[" }, "reference image URL:"},
		"a device needs no way on": {func(r *gateway.FlowRequest) {
			r.Source, r.SuccessURL, r.FailureURL = gateway.SDK, "", ""
		}, ""},
		"a device's way on is checked if given": {func(r *gateway.FlowRequest) { r.Source, r.SuccessURL = gateway.SDK, "x" }, "success URL:"},
	} {
		t.Run(name, func(t *testing.T) {
			r := good
			tt.change(&r)
			sent = 0
			_, err := b.InitiateFlow(t.Context(), gateway.Token{Value: "s3cret-token"}, r)
			g := failure(t, err)
			if tt.want == "" {
				if sent != 1 || g.Disposition != kiosk.RetryLater {
					t.Errorf("%v (%s), %d requests; want one that got no answer", err, g.Disposition, sent)
				}
				return
			}
			if sent != 0 || g.Disposition != kiosk.Final || !strings.Contains(err.Error(), tt.want) || g.Trouble != kiosk.NoTrouble {
				t.Errorf("%v (%s), %d requests; want a final error that says %q, and none sent", err, g.Disposition, sent, tt.want)
			}
		})
	}
	for name, call := range map[string]func() error{
		"a flow without a token":    func() error { _, err := b.InitiateFlow(t.Context(), gateway.Token{}, good); return err },
		"a flow with half a header": func() error { _, err := b.InitiateFlow(t.Context(), gateway.Token{Value: "a\nb"}, good); return err },
		"details without a token": func() error {
			_, err := b.Details(t.Context(), gateway.Token{}, gateway.DetailsQuery{SessionID: "c"})
			return err
		},
		"details of nothing": func() error {
			_, err := b.Details(t.Context(), gateway.Token{Value: "t"}, gateway.DetailsQuery{})
			return err
		},
		"details of two": func() error {
			_, err := b.Details(t.Context(), gateway.Token{Value: "t"}, gateway.DetailsQuery{SessionID: "c", SubmissionID: "s"})
			return err
		},
		"details of what is no id": func() error {
			_, err := b.Details(t.Context(), gateway.Token{Value: "t"}, gateway.DetailsQuery{SessionID: "a\nb"})
			return err
		},
	} {
		sent = 0
		err := call()
		want := kiosk.Final
		if strings.Contains(name, "token") || strings.Contains(name, "header") {
			want = kiosk.NewToken
		}
		if g := failure(t, err); sent != 0 || g.Disposition != want || g.Service != kiosk.GatewayService {
			t.Errorf("%s: %v (%s), %d requests; want %s, none", name, err, g.Disposition, sent, want)
		}
	}
}

func TestBackendOptionsAreChecked(t *testing.T) {
	good := gateway.BackendOptions{
		TokenURL: "https://token.example", GatewayURL: "https://gateway.example", ClientID: "s3cret-client", PassKey: "s3cret-key", PartnerCode: "BANK", Platform: "KIOSK",
	}
	for name, tt := range map[string]struct {
		change func(*gateway.BackendOptions)
		want   string
	}{
		"as they must be":               {func(*gateway.BackendOptions) {}, ""},
		"no token URL":                  {func(o *gateway.BackendOptions) { o.TokenURL = "" }, "token URL:"},
		"a token URL in the clear":      {func(o *gateway.BackendOptions) { o.TokenURL = "http://token.example" }, "token URL:"},
		"no gateway URL":                {func(o *gateway.BackendOptions) { o.GatewayURL = "" }, "gateway URL:"},
		"no client id":                  {func(o *gateway.BackendOptions) { o.ClientID = "" }, "client id:"},
		"a pass key with its line end":  {func(o *gateway.BackendOptions) { o.PassKey += "\n" }, "pass key:"},
		"no partner code":               {func(o *gateway.BackendOptions) { o.PartnerCode = "" }, "partner code:"},
		"a platform that has a hyphen":  {func(o *gateway.BackendOptions) { o.Platform = "A-B" }, "platform:"},
		"a proxy that is none":          {func(o *gateway.BackendOptions) { o.Proxy = "http://u:s3cret-token@" }, "proxy:"},
		"a client and a way for itself": {func(o *gateway.BackendOptions) { o.Client, o.Proxy = http.DefaultClient, "none" }, "client:"},
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			tt.change(&o)
			_, err := gateway.NewBackend(o)
			if (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("err = %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error tells a secret: %v", err)
			}
		})
	}
}

func TestNoLogTellsTokensURLsOrPersons(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&b, nil))
	d := gateway.Details{SubmissionID: "s1", ImageURLs: map[kiosk.Document]string{kiosk.Selfie: "s3cret"}}
	log.Info("all",
		slog.Any("token", gateway.Token{Value: "s3cret"}),
		slog.Any("flow", gateway.Flow{Token: kiosk.UserToken{Value: "s3cret"}, LaunchURL: "s3cret"}),
		slog.Any("request", gateway.FlowRequest{UserID: "s3cret", ReferenceImageURL: "s3cret"}),
		slog.Any("options", gateway.BackendOptions{ClientID: "s3cret", PassKey: "s3cret", Proxy: "s3cret"}),
		slog.Any("details", d),
		slog.Any("callback", gateway.Callback{Details: d, UserID: "s3cret", KTP: map[string]string{"nik": "s3cret"}}))
	if strings.Contains(b.String(), "s3cret") || !strings.Contains(b.String(), `"submission_id":"s1"`) {
		t.Errorf("logged %s", b.String())
	}
}

func TestACallbackIsReadHoweverItIsWritten(t *testing.T) {
	full := gateway.Callback{
		Details: gateway.Details{
			Status: kiosk.StatusCompleted, SubmissionID: "s1", Flow: gateway.StandaloneLiveness, SessionID: "c-1", Result: gateway.Invalid, ReasonCode: "NOT_LIVE",
			ProcessedAt: time.Unix(1900000000, 0).UTC(),
			ImageURLs:   map[kiosk.Document]string{kiosk.Selfie: "https://o.example/1", kiosk.AdditionalSelfie: "https://o.example/2", "KTP": "https://o.example/3"},
			Checks:      gateway.Checks{Liveness: &gateway.Check{Result: "INVALID", Version: "2"}},
		},
		UserID: "u-1", UserIDType: "CUSTOMER_ID", KTP: map[string]string{"nik": "3171", "rt": "001"},
	}
	bare := gateway.Callback{Details: gateway.Details{Status: kiosk.InProgress, SubmissionID: "7", ImageURLs: map[kiosk.Document]string{}}}
	for name, tt := range map[string]struct {
		body string
		want gateway.Callback
	}{
		"as documented": {`{"submissionId":"s1","flow":"STANDALONE_LIVENESS","userId":"u-1","userIdType":"CUSTOMER_ID","partnerSessionId":"c-1","status":"COMPLETED","result":"INVALID",
			"reasonCode":"NOT_LIVE","processedAt":"2030-03-17T17:46:40Z","submissionDetails":{"ktpData":{"nik":"3171","rt":"001"},"verificationResult":{"liveness":{"result":"INVALID","version":"2"}},
			"imageUrls":{"KTP":"https://o.example/3","SELFIE":"https://o.example/1","ADDITIONAL_SELFIE":"https://o.example/2"}}}`, full},
		"with call 7's spellings, numbers and unknown fields": {`{"new":[],"submissionId":"s1","flow":"standalone_liveness","userId":"u-1","userIdType":"CUSTOMER_ID","partnerSessionId":"c-1","status":"completed","result":"invalid",
			"reasonCode":"not_live","processedAt":1900000000000,"submissionDetails":{"more":{},"ktpData":{"nik":3171,"rt":"001","name":null,"x":{}},"verificationResults":{"liveness":{"result":"invalid","version":2},"faceMatch":null},
			"imageUrls":{"ktp":"https://o.example/3","selfie":"https://o.example/1","additionalSelfie":"https://o.example/2","x":7}}}`, full},
		"details in another form": {`{"submissionId":7,"status":"IN_PROGRESS","submissionDetails":{"verificationResult":"VALID","verificationResults":[1],"imageUrls":"x","ktpData":7}}`, bare},
		"details that are a word": {`{"submissionId":7,"status":"IN_PROGRESS","submissionDetails":"x"}`, bare},
		"one check in another form": {`{"submissionId":7,"status":"IN_PROGRESS","submissionDetails":{"verificationResult":{"liveness":"VALID","confidence":"95","faceMatch":{"result":"VALID","score":[]}}}}`, gateway.Callback{
			Details: gateway.Details{
				Status: kiosk.InProgress, SubmissionID: "7", ImageURLs: map[kiosk.Document]string{},
				Checks: gateway.Checks{FaceMatch: &gateway.Check{Result: "VALID"}, Liveness: &gateway.Check{}},
			},
		}},
		"the least": {`{"submissionId":7,"status":"IN_PROGRESS"}`, bare},
		"nulls":     {`{"submissionId":7,"status":"IN_PROGRESS","flow":null,"userId":null,"result":null,"processedAt":null,"submissionDetails":null}`, bare},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := gateway.DecodeCallback([]byte(tt.body))
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, %v\nwant %+v", got, err, tt.want)
			}
		})
	}
	for name, body := range map[string]string{
		"nothing":                 "",
		"no JSON":                 "s3cret-echo",
		"a list":                  `["s3cret-echo"]`,
		"null":                    `null`,
		"no submission id":        `{"status":"COMPLETED"}`,
		"no status":               `{"submissionId":"s1"}`,
		"an id that is none":      `{"submissionId":"s3cret echo","status":"COMPLETED"}`,
		"a session id with lines": `{"submissionId":"s1","status":"COMPLETED","partnerSessionId":"a\nb"}`,
		"a status of many words":  `{"submissionId":"s1","status":"s3cret echo"}`,
		"a user that is a list":   `{"submissionId":"s1","status":"COMPLETED","userId":[]}`,
		"more than a gateway's":   `{"submissionId":"s1","status":"COMPLETED","x":"` + strings.Repeat("x", 1<<20) + `"}`,
	} {
		if c, err := gateway.DecodeCallback([]byte(body)); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %+v, %v; want an error that repeats nothing", name, c, err)
		}
	}
}

func TestCallbacksThatSayTheSameHaveOneKey(t *testing.T) {
	key := func(body string) string {
		t.Helper()
		c, err := gateway.DecodeCallback([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		return c.Key()
	}
	first := key(`{"submissionId":"s1","status":"COMPLETED","result":"VALID"}`)
	if again := key(`{"submissionId":"s1","status":"completed","result":"valid","processedAt":"2030-03-17T17:46:40Z","x":1}`); again != first {
		t.Errorf("keys %q and %q of the same word", first, again)
	}
	seen := map[string]string{}
	for _, body := range []string{
		`{"submissionId":"s1","status":"COMPLETED","result":"VALID"}`, `{"submissionId":"s1","status":"COMPLETED","result":"INVALID"}`,
		`{"submissionId":"s1","status":"COMPLETED"}`, `{"submissionId":"s1","status":"ERROR"}`, `{"submissionId":"s2","status":"COMPLETED","result":"VALID"}`,
		`{"submissionId":"s1|COMPLETED","status":"VALID"}`, `{"submissionId":"s1","status":"COMPLETEDVALID"}`,
	} {
		if other, twice := seen[key(body)]; twice {
			t.Errorf("%s and %s have one key", body, other)
		}
		seen[key(body)] = body
	}
}

func TestALifetimeIsReadHoweverItIsWritten(t *testing.T) {
	at := time.Unix(1900000000, 0).UTC()
	for _, spelling := range []string{`"expiresAt":"1900000000"`, `"expiresAt":1900000000`, `"expires_at":"1900000000"`, `"expiresAt":1900000000000`, `"expires_at":"2030-03-17T17:46:40.000+0000"`, `"expiresAt":"","expires_at":1.9e9`} {
		for _, body := range []string{`{"token":"t",` + spelling + `}`, `{"success":true,"data":{"token":"t",` + spelling + `}}`} {
			got, err := respond(t, http.StatusOK, nil, body).UserToken(t.Context(), kiosk.TokenRequest{})
			if err != nil || got.Value != "t" || !got.Expires.Equal(at) {
				t.Errorf("%s: %v until %v, %v", body, got.Value, got.Expires, err)
			}
		}
	}
	for _, spelling := range []string{`"expirySeconds":"5184000"`, `"expirySeconds":5184000`, `"expiry_seconds":"5184000"`, `"expiryInSeconds":5184000.0`, `"expiresAt":"soon","expirySeconds":5184000`} {
		got, err := respond(t, http.StatusOK, nil, `{"token":"t",`+spelling+`}`).UserToken(t.Context(), kiosk.TokenRequest{})
		if d := time.Until(got.Expires) - 60*24*time.Hour; err != nil || d.Abs() > 10*time.Second {
			t.Errorf("%s: until %v, %v; want in 60 days", spelling, got.Expires, err)
		}
	}
	for _, spelling := range []string{`"x":1`, `"expirySeconds":"-5"`, `"expirySeconds":"NaN","expiresAt":"Inf"`, `"expiresAt":"1e300"`, `"expiresAt":0`, `"expiresAt":null`} {
		got, err := respond(t, http.StatusOK, nil, `{"token":"t",`+spelling+`}`).UserToken(t.Context(), kiosk.TokenRequest{})
		if err != nil || !got.Expires.IsZero() {
			t.Errorf("%s: until %v, %v; want not said", spelling, got.Expires, err)
		}
	}
	for _, spelling := range []string{`"expiryInSeconds":"600"`, `"expirySeconds":600`, `"expiry_seconds":"600"`, `"expiry_in_seconds":600.0`} {
		for _, names := range [][2]string{{"SELFIE", "ADDITIONAL_SELFIE"}, {"selfie", "additional_selfie"}, {"Selfie", "additionalSelfie"}} {
			body := fmt.Sprintf(`{"success":true,"data":{"submissionId":"s1","documents":{"%s":{"documentUrl":"https://o.example/1",%s},"%s":{"document_url":"https://o.example/2",%s}}}}`, names[0], spelling, names[1], spelling)
			got, err := respond(t, http.StatusOK, nil, body).Targets(t.Context(), someone())
			want := map[kiosk.Document]kiosk.Target{
				kiosk.Selfie: {URL: "https://o.example/1", ExpiresIn: 10 * time.Minute}, kiosk.AdditionalSelfie: {URL: "https://o.example/2", ExpiresIn: 10 * time.Minute},
			}
			if err != nil || !reflect.DeepEqual(got.Documents, want) {
				t.Errorf("%s: %+v, %v", body, got.Documents, err)
			}
		}
	}
}
