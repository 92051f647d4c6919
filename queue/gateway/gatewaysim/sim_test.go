package gatewaysim_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image"
	"image/jpeg"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"livekiosk/queue/gateway/gatewaysim"
)

// world is a simulator on loopback, and the plainest of clients.
type world struct {
	*gatewaysim.Sim

	url  string
	now  func(time.Duration) // lets the simulator's clock go on
	stop func(*testing.T)    // ends the simulator, once
}

func newWorld(t *testing.T, opts gatewaysim.Options) *world {
	t.Helper()
	var mu sync.Mutex
	at := time.Now()
	opts.Now = func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return at
	}
	w := &world{now: func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		at = at.Add(d)
	}}
	var err error
	if w.Sim, err = gatewaysim.New(opts); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(w.Sim)
	w.url = server.URL
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	var once sync.Once
	w.stop = func(t *testing.T) {
		t.Helper()
		once.Do(func() {
			server.CloseClientConnections()
			server.Close()
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run() = %v", err)
			}
			if err := w.Close(); err != nil {
				t.Errorf("Close() = %v", err)
			}
		})
	}
	t.Cleanup(func() { w.stop(t) })
	return w
}

// answer is what a call gave.
type answer struct {
	status int
	body   []byte
	cause  string
	data   map[string]any
}

// call makes one request. headers are "Name: value"; one without a value is
// not sent.
func (w *world) call(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = w.url + path
	}
	req, err := http.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		if name, value, _ := strings.Cut(h, ": "); value != "" {
			req.Header.Set(name, value)
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	a := answer{status: resp.StatusCode}
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	var e struct {
		Data   map[string]any `json:"data"`
		Errors []struct {
			Code  any
			Cause string
		} `json:"errors"`
	}
	if json.Unmarshal(a.body, &e) == nil {
		a.data = e.Data
		if len(e.Errors) > 0 {
			a.cause = e.Errors[0].Cause
		}
	}
	return a
}

func (a answer) text(t *testing.T, key string) string {
	t.Helper()
	s, is := a.data[key].(string)
	if !is {
		t.Fatalf("data.%s is %v in %s, want a string", key, a.data[key], a.body)
	}
	return s
}

func (w *world) partnerToken(t *testing.T) string {
	t.Helper()
	return w.call(t, "GET", "/v1/coe/partner/authentication", "", "client-id: sample-client", "pass-key: sample-pass-key").text(t, "token")
}

const flowBody = `{"flow":"STANDALONE_LIVENESS","source":"SDK"}`

func flowHeaders(token, session string) []string {
	return []string{
		"x-onekyc-token: " + token, "x-onboarding-partner: SAMPLE-KIOSK-STANDALONE_LIVENESS", "x-partner-user-id: u",
		"x-partner-user-id-type: CUSTOMER_ID", "x-partner-session-id: " + session,
	}
}

// user initiates a session and returns the headers of its kiosk's calls.
func (w *world) user(t *testing.T, session string) []string {
	t.Helper()
	token := w.call(t, "POST", "/coe-partner/v1/initiate-flow", flowBody, flowHeaders(w.partnerToken(t), session)...).text(t, "token")
	return []string{"x-onekyc-token: " + token, "x-partner-session-id: " + session, "x-sdk-session-id: sdk"}
}

const urlsPath = "/coe/v1/submissions/urls?submissionType=STANDALONE_LIVENESS"

// targets asks for upload URLs.
func (w *world) targets(t *testing.T, user []string) (submission, selfie, additional string) {
	t.Helper()
	return w.targetsOf(t, "STANDALONE_LIVENESS", user)
}

func (w *world) targetsOf(t *testing.T, kind string, user []string) (submission, selfie, additional string) {
	t.Helper()
	a := w.call(t, "GET", "/coe/v1/submissions/urls?submissionType="+kind, "", user...)
	var docs struct {
		Data struct {
			Documents map[string]struct{ DocumentURL string }
		}
	}
	if err := json.Unmarshal(a.body, &docs); err != nil {
		t.Fatal(err)
	}
	d := docs.Data.Documents
	return a.text(t, "submissionId"), d["SELFIE"].DocumentURL, d["ADDITIONAL_SELFIE"].DocumentURL
}

// confirmed brings a session to a confirmed submission.
func (w *world) confirmed(t *testing.T, user []string) string {
	t.Helper()
	return w.confirmedAs(t, "STANDALONE_LIVENESS", user)
}

func (w *world) confirmedAs(t *testing.T, kind string, user []string) string {
	t.Helper()
	id, selfie, additional := w.targetsOf(t, kind, user)
	for _, u := range []string{selfie, additional} {
		if a := w.call(t, "PUT", u, selfieJPEG(t)); a.status != http.StatusOK {
			t.Fatalf("upload = %d %s", a.status, a.body)
		}
	}
	if a := w.call(t, "PUT", urlsPath, `{"submissionId":"`+id+`","metadata":{}}`, user...); a.status != http.StatusOK {
		t.Fatalf("confirm = %d %s", a.status, a.body)
	}
	return id
}

func (w *world) await(t *testing.T, call, submission string) gatewaysim.Event {
	t.Helper()
	ev, err := w.Await(soon(t), func(ev gatewaysim.Event) bool { return ev.Call == call && ev.Submission == submission })
	if err != nil {
		t.Fatalf("%s of %s: %v", call, submission, err)
	}
	return ev
}

// noise is a JPEG that decodes, made once.
var noise = sync.OnceValues(func() (string, error) {
	img := image.NewGray(image.Rect(0, 0, 480, 640))
	_, _ = rand.NewChaCha8([32]byte{1}).Read(img.Pix)
	var b bytes.Buffer
	err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 20})
	return b.String(), err
})

func selfieJPEG(tb testing.TB) string {
	tb.Helper()
	s, err := noise()
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestThePartnersCallsAreStrict(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	partner := w.partnerToken(t)
	user := w.user(t, "mine")
	const auth, flow = "GET /v1/coe/partner/authentication", "POST /coe-partner/v1/initiate-flow"
	for _, tt := range []struct {
		name, call, body string
		headers          []string
		status           int
		cause            string
	}{
		{"no client id", auth, "", []string{"pass-key: sample-pass-key"}, 400, "CLIENT_ID_CAN_NOT_BE_EMPTY"},
		{"no pass key", auth, "", []string{"client-id: sample-client"}, 400, "PASS_KEY_CAN_NOT_BE_EMPTY"},
		{"a wrong pass key", auth, "", []string{"client-id: sample-client", "pass-key: x"}, 401, "UNAUTHORIZED"},
		{"no token", flow, flowBody, flowHeaders("", "s"), 400, "X_ONEKYC_TOKEN_CAN_NOT_BE_EMPTY"},
		{"no session", flow, flowBody, flowHeaders(partner, ""), 400, "X_PARTNER_SESSION_ID_CAN_NOT_BE_EMPTY"},
		{"no user", flow, flowBody, append(flowHeaders(partner, "s"), "x-partner-user-id:  "), 400, "X_PARTNER_USER_ID_CAN_NOT_BE_EMPTY"},
		{"no partner", flow, flowBody, append(flowHeaders(partner, "s"), "x-onboarding-partner:  "), 400, "X_ONBOARDING_PARTNER_CAN_NOT_BE_EMPTY"},
		{"an unknown token", flow, flowBody, flowHeaders("x", "s"), 401, "UNAUTHORIZED"},
		{"a user's token", flow, flowBody, append(flowHeaders("x", "s"), user[0]), 401, "UNAUTHORIZED"},
		{"another partner", flow, flowBody, append(flowHeaders(partner, "s"), "x-onboarding-partner: OTHER-KIOSK-STANDALONE_LIVENESS"), 403, "ONBOARDING_PARTNER_DOES_NOT_BELONG_TO_CLIENT"},
		{"another flow", flow, flowBody, append(flowHeaders(partner, "s"), "x-onboarding-partner: SAMPLE-KIOSK-KTP_SCAN"), 403, "ONBOARDING_PARTNER_DOES_NOT_BELONG_TO_CLIENT"},
		{"no flow", flow, `{"source":"SDK"}`, flowHeaders(partner, "s"), 400, "FLOW_CAN_NOT_BE_EMPTY"},
		{"no source", flow, `{"flow":"STANDALONE_LIVENESS"}`, flowHeaders(partner, "s"), 400, "SOURCE_CAN_NOT_BE_EMPTY"},
		{"an unknown flow", flow, `{"flow":"X","source":"SDK"}`, flowHeaders(partner, "s"), 400, "INVALID_FLOW"},
		{"an unknown theme", flow, `{"flow":"STANDALONE_LIVENESS","source":"SDK","theme":"PINK"}`, flowHeaders(partner, "s"), 400, "INVALID_THEME"},
		{"an unknown locale", flow, `{"flow":"STANDALONE_LIVENESS","source":"SDK","additionalDetails":{"userLocale":"id"}}`, flowHeaders(partner, "s"), 400, "INVALID_USER_LOCALE"},
		{"the web without a way back", flow, `{"flow":"STANDALONE_LIVENESS","source":"WEB_SDK"}`, flowHeaders(partner, "s"), 400, "SUCCESS_REDIRECTION_URL_CAN_NOT_BE_EMPTY"},
		{"no JSON", flow, `flow`, flowHeaders(partner, "s"), 400, "INVALID_INITIATE_FLOW_REQUEST"},
		{"another user's session", flow, flowBody, append(flowHeaders(partner, "mine"), "x-partner-user-id: other"), 400, "DUPLICATE_PARTNER_SESSION_ID"},
		{"the same user's session", flow, flowBody, flowHeaders(partner, "mine"), 200, ""},
		{"details of nothing", "GET /coe/v1/submissions", "", []string{"x-onekyc-token: " + partner}, 400, "X_PARTNER_SESSION_ID_CAN_NOT_BE_EMPTY"},
		{"details for a user", "GET /coe/v1/submissions", "", user, 401, "UNAUTHORIZED"},
		{"details of no submission", "GET /coe/v1/submissions", "", []string{"x-onekyc-token: " + partner, "x-partner-session-id: mine"}, 400, "SUBMISSION_DOES_NOT_EXIST"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			method, path, _ := strings.Cut(tt.call, " ")
			if a := w.call(t, method, path, tt.body, tt.headers...); a.status != tt.status || a.cause != tt.cause {
				t.Errorf("%d %s, want %d %q", a.status, a.body, tt.status, tt.cause)
			}
		})
	}
}

func TestTheKiosksCallsAreStrict(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	user, other := w.user(t, "mine"), w.user(t, "other")
	partner := "x-onekyc-token: " + w.partnerToken(t)
	id, _, _ := w.targets(t, user)
	confirm := `{"submissionId":"` + id + `"}`
	statusPath := "/coe/v1/submissions/" + id + "/status"
	swapped := append(append([]string{}, other...), user[0]) // my token, their session
	for _, tt := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		cause                    string
	}{
		{"no type", "GET", "/coe/v1/submissions/urls", "", user, 400, "SUBMISSION_TYPE_CAN_NOT_BE_EMPTY"},
		{"an unknown type", "GET", "/coe/v1/submissions/urls?submissionType=X", "", user, 400, "INVALID_SUBMISSION_TYPE"},
		{"another flow's type", "GET", "/coe/v1/submissions/urls?submissionType=KTP_SCAN", "", user, 400, "INVALID_SUBMISSION_TYPE"},
		{"a partner's token", "GET", urlsPath, "", append(user[1:len(user):len(user)], partner), 401, "UNAUTHORIZED"},
		{"another session's token", "GET", urlsPath, "", swapped, 401, "UNAUTHORIZED"},
		{"to confirm nothing", "PUT", urlsPath, `{}`, user, 400, "SUBMISSION_ID_CAN_NOT_BE_EMPTY"},
		{"to confirm no JSON", "PUT", urlsPath, `x`, user, 400, "INVALID_CONFIRM_UPLOAD_REQUEST"},
		{"to confirm what is not there", "PUT", urlsPath, `{"submissionId":"00000000-0000-0000-0000-000000000000"}`, user, 404, "SUBMISSION_DOES_NOT_EXIST"},
		{"to confirm another's", "PUT", urlsPath, confirm, other, 403, "FORBIDDEN"},
		{"to confirm with another's token", "PUT", urlsPath, confirm, swapped, 403, "FORBIDDEN"},
		{"to confirm before the upload", "PUT", urlsPath, confirm, user, 422, "INVALID_UPLOAD_ARTIFACT"},
		{"the status of no id", "GET", "/coe/v1/submissions/me/status", "", user, 400, "INVALID_SUBMISSION_ID"},
		{"the status of another's", "GET", statusPath, "", other, 404, "SUBMISSION_DOES_NOT_EXIST"},
		{"the status without a token", "GET", statusPath, "", user[1:], 400, "X_ONEKYC_TOKEN_CAN_NOT_BE_EMPTY"},
		{"a path that is not there", "GET", "/coe/v2", "", user, 404, "NOT_FOUND"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if a := w.call(t, tt.method, tt.path, tt.body, tt.headers...); a.status != tt.status || a.cause != tt.cause {
				t.Errorf("%d %s, want %d %q", a.status, a.body, tt.status, tt.cause)
			}
		})
	}
}

func TestAnUploadURLIsGoodForOneThing(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	user := w.user(t, "s")
	_, selfie, additional := w.targets(t, user)
	if selfie == additional {
		t.Fatal("both documents have one URL")
	}
	path, _, _ := strings.Cut(selfie, "?")
	_, foreign, _ := strings.Cut(additional, "?")
	for _, tt := range []struct {
		name, method, url, body string
		status                  int
	}{
		{"read", "GET", selfie, "", 403},
		{"posted to", "POST", selfie, "x", 403},
		{"used without its signature", "PUT", path, "x", 403},
		{"used with another's signature", "PUT", path + "?" + foreign, "x", 403},
		{"guessed", "PUT", w.url + "/objects/00?X-Amz-Signature=0", "x", 403},
		{"used for more than 4 MB", "PUT", selfie, strings.Repeat("x", 4<<20+1), 400},
		{"used for 4 MB", "PUT", selfie, strings.Repeat("x", 4<<20), 200},
		{"used again", "PUT", selfie, selfieJPEG(t), 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if a := w.call(t, tt.method, tt.url, tt.body); a.status != tt.status {
				t.Errorf("%d %s, want %d", a.status, a.body, tt.status)
			}
		})
	}
	w.now(10*time.Minute + time.Second) // its stamps are whole seconds
	if a := w.call(t, "PUT", additional, selfieJPEG(t)); a.status != http.StatusForbidden {
		t.Errorf("after ten minutes: %d, want 403", a.status)
	}
}

func TestAConfirmedSubmissionStaysAsItWas(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{JudgeAfter: time.Hour})
	user := w.user(t, "s")
	_, selfie, _ := w.targets(t, user)
	id := w.confirmed(t, user)
	if a := w.call(t, "PUT", selfie, selfieJPEG(t)); a.status != http.StatusForbidden {
		t.Errorf("an upload after confirmation: %d, want 403", a.status)
	}
	a := w.call(t, "GET", urlsPath, "", user...)
	if docs, _ := a.data["documents"].(map[string]any); a.text(t, "submissionId") != id || len(docs) != 0 {
		t.Errorf("upload URLs of a confirmed submission: %s, want none", a.body)
	}
}

func TestVerdictsComeFromTheUploadedBytes(t *testing.T) {
	for _, tt := range []struct {
		name           string
		face           gatewaysim.Face
		err            error
		status         string
		result, reason string
	}{
		{"a live face", gatewaysim.Face{Faces: 1, Live: 0.9}, nil, "COMPLETED", "VALID", ""},
		{"a print", gatewaysim.Face{Faces: 1, Live: 0.1}, nil, "COMPLETED", "INVALID", "NOT_LIVE"},
		{"no face", gatewaysim.Face{Live: 0.9}, nil, "COMPLETED", "INVALID", "NOT_LIVE"},
		{"a check that breaks", gatewaysim.Face{}, errors.New("out of order"), "ERROR", "INVALID", "VERIFICATION_FAILED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var mu sync.Mutex
			var seen []string
			w := newWorld(t, gatewaysim.Options{CallbackURL: listener(t), CallbackRepeats: 2, FaceCheck: func(_ context.Context, jpeg []byte) (gatewaysim.Face, error) {
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, string(jpeg))
				return tt.face, tt.err
			}})
			user := w.user(t, "c")
			id := w.confirmed(t, user)
			ev := w.await(t, "callback", id)
			if ev.Result != tt.result || ev.Reason != tt.reason || ev.Status != http.StatusOK {
				t.Errorf("callback %+v, want %s %s", ev, tt.result, tt.reason)
			}
			mu.Lock()
			if len(seen) == 0 || seen[0] != selfieJPEG(t) {
				t.Error("the check did not see what was uploaded")
			}
			mu.Unlock()

			s := w.call(t, "GET", "/coe/v1/submissions/"+id+"/status", "", user...)
			if s.text(t, "status") != tt.status {
				t.Errorf("status %s, want %s", s.body, tt.status)
			}
			if bytes.Contains(s.body, []byte("NOT_LIVE")) {
				t.Error("the kiosk's own call tells the reason")
			}
			details := w.call(t, "GET", "/coe/v1/submissions", "", "x-onekyc-token: "+w.partnerToken(t), "x-submission-id: "+id)
			if details.text(t, "result") != tt.result || tt.reason != "" && details.text(t, "reasonCode") != tt.reason {
				t.Errorf("details %s, want %s %s", details.body, tt.result, tt.reason)
			}
		})
	}
}

// listener returns the callback URL of a partner that tells what it has heard
// before.
func listener(t *testing.T) string {
	t.Helper()
	var heard sync.Map
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // half a body is another one
		_, again := heard.LoadOrStore(string(body), true)
		_ = json.NewEncoder(w).Encode(map[string]bool{"duplicate": again})
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestCallbacksAreRepeatedAndMadeAgain(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{CallbackURL: listener(t), CallbackRepeats: 3, Faults: "callback=lost"})
	id := w.confirmed(t, w.user(t, "s"))
	calls, lost, first := 0, 0, 0
	// Four of them, and the one again whose answer was lost.
	_, err := w.Await(soon(t), func(ev gatewaysim.Event) bool {
		if ev.Call != "callback" || ev.Submission != id {
			return false
		}
		calls++
		switch {
		case ev.Fault != "":
			lost++
		case !ev.Duplicate:
			first++
		}
		return calls == 5
	})
	if err != nil || lost != 1 || first > 1 {
		t.Errorf("%d callbacks, %d lost, %d heard for the first time (%v); want 5, 1 and at most 1", calls, lost, first, err)
	}
}

func TestParseFaults(t *testing.T) {
	for script, want := range map[string]string{
		"":                                       "",
		"urls=503x3":                             "urls=503x3",
		"urls=503, upload=reset":                 "urls=503 upload=reset",
		"confirm=409;status=hang:10s":            "confirm=409 status=hang:10s",
		"all=htmlx*\ncallback=lost":              "all=htmlx* callback=lost",
		"upload=hang:1500msx2 flow=huge":         "upload=hang:1.5sx2 flow=huge",
		"urls=503 x3":                            "urls=503x3",
		"status=hang 10s x2, urls=429":           "status=hang:10sx2 urls=429",
		"upload=slow 50kB/s":                     "upload=slow:50kB/s",
		"upload=slow:1000000B/s":                 "upload=slow:1MB/s",
		"upload=slow:7B/sx*":                     "upload=slow:7B/sx*",
		"upload=reset mid-body":                  "upload=reset-mid-body",
		"upload=reset mid body x2":               "upload=reset-mid-bodyx2",
		"urls=429 quota confirm=garbage body x2": "urls=429 confirm=garbagex2",
		"urls=clock skew +48h":                   "urls=skew:+48h",
		"all=skew:-56y":                          "all=skew:-56y",
		"all=skew:2d":                            "all=skew:+48h",
		"urls=503/30sx3":                         "urls=503/30sx3",
		"urls=429 /1m x2":                        "urls=429/1mx2",
		"all=reset%5":                            "all=reset%5",
		"all=lost %0.5 x*":                       "all=lost%0.5",
		"all=503/2s%1.25x1":                      "all=503/2s%1.25x1",
		"reference=404":                          "reference=404",
		"urls=500/30s":                           "error",
		"urls=503/1500ms":                        "error",
		"urls=503/soon":                          "error",
		"urls=503" + strings.Repeat(" x", 1000):  "error",
		"urls=slow":                              "error",
		"urls=slow:0B/s":                         "error",
		"urls=slow:50kB":                         "error",
		"urls=slow:99999MB/s":                    "error",
		"urls=skew":                              "error",
		"urls=skew:0s":                           "error",
		"urls=skew:+999y":                        "error",
		"urls=skew:+99999999999999999999d":       "error",
		"urls=reset%0":                           "error",
		"urls=reset%101":                         "error",
		"urls=reset%NaN":                         "error",
		"urls=503, x3":                           "error",
		"urls=503:10s":                           "error",
		"urls=+503":                              "error",
		"urls":                                   "error",
		"urls=":                                  "error",
		"nothing=503":                            "error",
		"urls=200":                               "error",
		"urls=600":                               "error",
		"urls=503x0":                             "error",
		"urls=503x-1":                            "error",
		"urls=503x":                              "error",
		"urls=reset:10s":                         "error",
		"urls=hang:-1s":                          "error",
		"urls=hang:soon":                         "error",
		"urls=explode":                           "error",
	} {
		faults, err := gatewaysim.ParseFaults(script)
		words := make([]string, 0, len(faults))
		for _, f := range faults {
			words = append(words, f.String())
		}
		got := strings.Join(words, " ")
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q is %q (%v), want %q", script, got, err, want)
		}
	}
}

// FuzzParseFaults: whatever parses is written back as something that parses to
// the same.
func FuzzParseFaults(f *testing.F) {
	f.Add("urls=503x3, upload=hang:10s all=lostx*")
	f.Add("upload=slow 50kB/s;all=reset%5 urls=503/30s x2\nflow=clock skew -56y")
	f.Fuzz(func(t *testing.T, script string) {
		faults, err := gatewaysim.ParseFaults(script)
		if err != nil {
			return
		}
		for _, x := range faults {
			again, err := gatewaysim.ParseFaults(x.String())
			if err != nil || len(again) != 1 || again[0] != x {
				t.Errorf("%+v is written %q, which is %+v, %v", x, x.String(), again, err)
			}
		}
	})
}

func TestFaultsCanComeAndGo(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{Faults: "partner_token=500"})
	get := func() int { return w.call(t, "GET", "/v1/coe/partner/authentication", "").status }
	if a := w.call(t, "POST", "/sim/faults", "partner_token=503x2 all=401"); string(a.body) != "partner_token=500\npartner_token=503x2\nall=401\n" {
		t.Errorf("faults to come: %q", a.body)
	}
	for i, want := range []int{500, 503, 503, 401, 400} {
		if got := get(); got != want {
			t.Errorf("call %d: %d, want %d", i+1, got, want)
		}
	}
	w.call(t, "POST", "/sim/faults", "partner_token=503x*")
	w.call(t, "DELETE", "/sim/faults", "")
	if got := get(); got != http.StatusBadRequest {
		t.Errorf("after they were cleared: %d, want 400", got)
	}
	if a := w.call(t, "POST", "/sim/faults", "x"); a.status != http.StatusBadRequest {
		t.Errorf("a bad script: %d, want 400", a.status)
	}
}

func TestEventsCanBeFollowed(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	user := w.user(t, "s")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/sim/events?follow=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	next := func() (ev gatewaysim.Event) {
		if !lines.Scan() {
			t.Fatalf("the events end: %v", lines.Err())
		}
		if err := json.Unmarshal(lines.Bytes(), &ev); err != nil {
			t.Fatalf("%q: %v", lines.Bytes(), err)
		}
		return ev
	}
	next()
	if ev := next(); ev.Seq != 2 || ev.Call != "flow" || ev.Correlation != "s" {
		t.Errorf("second event %+v, want the flow of s", ev)
	}
	_, selfie, _ := w.targets(t, user) // while somebody follows
	w.call(t, "PUT", selfie, selfieJPEG(t))
	if ev := next(); ev.Call != "urls" || ev.Submission == "" {
		t.Errorf("third event %+v, want urls", ev)
	}
	if ev := next(); ev.Call != "upload" || ev.Document != "SELFIE" || ev.Bytes != int64(len(selfieJPEG(t))) || ev.SHA256 == "" {
		t.Errorf("fourth event %+v, want the selfie's upload", ev)
	}
	all := w.call(t, "GET", "/sim/events", "")
	for _, secret := range []string{strings.TrimPrefix(user[0], "x-onekyc-token: "), "X-Amz", "sample-pass-key"} {
		if bytes.Contains(all.body, []byte(secret)) {
			t.Errorf("the events tell %q", secret)
		}
	}
}
