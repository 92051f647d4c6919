package gatewaysim_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"livekiosk/kiosk/api/apitest"
	"livekiosk/queue/gateway/gatewaysim"
)

// documented is the document that a simulator serves.
func documented(t *testing.T) *apitest.Document {
	t.Helper()
	sim, err := gatewaysim.New(gatewaysim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1/sim/openapi.yaml", nil)
	r.RemoteAddr = "127.0.0.1:1"
	w := httptest.NewRecorder()
	sim.ServeHTTP(w, r)
	d, err := apitest.Parse(w.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// held returns a world in which every answer, and everything that the gateway
// sends to the partner backend, is held against the document. Its partner has a
// reference image of everybody but "nobody".
func held(t *testing.T, d *apitest.Document, opts gatewaysim.Options) *world {
	t.Helper()
	partner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.Trim(r.URL.Path, "/")
		if name == "selfie.jpg" {
			_, _ = io.WriteString(w, selfieJPEG(t))
			return
		}
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = d.HoldJSON(body, "webhooks", name, "post", "requestBody", "content", "application/json", "schema")
		}
		if err != nil {
			t.Error(err)
		}
		switch {
		case name == "callback":
			_, _ = io.WriteString(w, `{"duplicate":true}`)
		case bytes.Contains(body, []byte(`"userId":"nobody"`)):
			http.NotFound(w, r)
		default:
			_, _ = fmt.Fprintf(w, `{"url":"http://%s/selfie.jpg"}`, r.Host)
		}
	}))
	t.Cleanup(partner.Close)
	opts.CallbackURL, opts.ReferenceURL, opts.CallbackAuth = partner.URL+"/callback", partner.URL+"/reference", "Bearer x"
	w := newWorld(t, opts)
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		rec := &tee{ResponseWriter: out, status: http.StatusOK}
		w.ServeHTTP(rec, r)
		route := strings.TrimSuffix(r.Pattern, "{$}")
		if !strings.Contains(route, " ") { // nothing that is served
			return
		}
		a := apitest.Answer{Route: route, Status: rec.status, Header: out.Header(), Body: rec.body.Bytes()}
		if a.Status >= http.StatusBadRequest {
			a.Cause = cause(a.Body)
		}
		if err := d.Hold(a); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

// A tee keeps what is written.
type tee struct {
	http.ResponseWriter

	mu     sync.Mutex
	status int
	body   bytes.Buffer
}

func (w *tee) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *tee) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *tee) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.body.Write(b)
	return w.ResponseWriter.Write(b)
}

// cause finds the cause of a failure.
func cause(body []byte) string {
	if m := regexp.MustCompile(`"cause":"(\w+)"|<Code>(\w+)</Code>`).FindSubmatch(body); m != nil {
		return string(m[1]) + string(m[2])
	}
	return ""
}

func TestRoutesAreThoseOfTheDocument(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	served, written := w.Routes(), documented(t).Routes()
	for i, r := range served {
		served[i] = strings.TrimSuffix(r, "{$}")
		if !slices.Contains(written, served[i]) {
			t.Errorf("%s is served and not in openapi.yaml", r)
		}
	}
	for _, r := range written {
		if !slices.Contains(served, r) {
			t.Errorf("%s is in openapi.yaml and not served", r)
		}
	}
}

// journey brings a new session to a verdict, and returns it and its image's
// URL.
func (w *world) journey(t *testing.T, session, userID, flow string) (user []string, id, image string) {
	t.Helper()
	headers := flowHeaders(w.partnerToken(t), session)
	headers[1], headers[2] = "x-onboarding-partner: SAMPLE-KIOSK-"+flow, "x-partner-user-id: "+userID
	token := w.call(t, "POST", "/coe-partner/v1/initiate-flow", `{"flow":"`+flow+`","source":"SDK"}`, headers...).text(t, "token")
	user = []string{"x-onekyc-token: " + token, "x-partner-session-id: " + session, "x-sdk-session-id: sdk"}
	kind := flow
	if flow == "ON_DEMAND_FR" {
		kind = "FACE_MATCH"
	}
	a := w.call(t, "GET", "/coe/v1/submissions/urls?submissionType="+kind, "", user...)
	id = a.text(t, "submissionId")
	docs, _ := a.data["documents"].(map[string]any)
	for _, d := range []string{"SELFIE", "ADDITIONAL_SELFIE"} {
		target, _ := docs[d].(map[string]any)
		u, _ := target["documentUrl"].(string)
		if a := w.call(t, "PUT", u, selfieJPEG(t)); a.status != http.StatusOK {
			t.Fatalf("upload = %d %s", a.status, a.body)
		}
	}
	w.call(t, "GET", "/coe/v1/submissions/"+id+"/status", "", user...)
	if a := w.call(t, "PUT", "/coe/v1/submissions/urls", `{"submissionId":"`+id+`","metadata":{"a":1}}`, user...); a.status != http.StatusOK {
		t.Fatalf("confirm = %d %s", a.status, a.body)
	}
	w.await(t, "verdict", id)
	w.await(t, "callback", id)
	w.call(t, "GET", "/coe/v1/submissions/"+id+"/status", "", user...)
	a = w.call(t, "GET", "/coe/v1/submissions", "", "x-onekyc-token: "+w.partnerToken(t), "x-submission-id: "+id)
	var details struct {
		Data struct {
			SubmissionDetails struct{ ImageURLs struct{ Selfie string } }
		}
	}
	if err := json.Unmarshal(a.body, &details); err != nil {
		t.Fatal(err)
	}
	return user, id, details.Data.SubmissionDetails.ImageURLs.Selfie
}

// half sends a request as it is written, without the rest of its body, and
// reads the answer's status.
func (w *world) half(t *testing.T, request string) int {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	if half, is := c.(*net.TCPConn); is {
		_ = half.CloseWrite()
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// TestAnswersAreThoseOfTheDocument draws every documented status, cause, header
// and field from the simulator, and nothing else may come.
func TestAnswersAreThoseOfTheDocument(t *testing.T) {
	d := documented(t)
	w := held(t, d, gatewaysim.Options{
		Attempts: 1, CallbackShuffle: true, MinMatch: 0.7,
		Match: func(context.Context, []byte, []byte) (float32, error) { return 0.6, nil },
		FaceCheck: func(context.Context, []byte) (gatewaysim.Face, error) {
			return gatewaysim.Face{Faces: 1, Live: 0.9}, nil
		},
	})
	broken := held(t, d, gatewaysim.Options{
		FaceCheck: func(context.Context, []byte) (gatewaysim.Face, error) { return gatewaysim.Face{}, errors.New("broken") },
	})
	partner := w.partnerToken(t)
	const auth, flow, urls, confirm, status, details = "/v1/coe/partner/authentication", "/coe-partner/v1/initiate-flow", urlsPath, "/coe/v1/submissions/urls", "/coe/v1/submissions/", "/coe/v1/submissions"

	// Verdicts of all kinds.
	_, _, image := w.journey(t, "valid", "u", "STANDALONE_LIVENESS")
	rejected, _, _ := w.journey(t, "unlike", "u", "FACE_VERIFICATION")
	w.journey(t, "nobody", "nobody", "ON_DEMAND_FR")
	broken.journey(t, "broken", "u", "STANDALONE_LIVENESS")
	w.call(t, "GET", image, "")
	w.call(t, "GET", strings.Replace(image, "X-Amz-Date", "X-Amz-Time", 1), "")
	w.call(t, "GET", image+"0", "")
	w.call(t, "GET", "/coe/v1/submissions/urls?submissionType=FACE_VERIFICATION", "", rejected...)

	// What call 2 refuses, and the other source.
	field := func(json string) { w.call(t, "POST", flow, json, flowHeaders(partner, "s")...) }
	for _, body := range []string{
		"flow", "{}", `{"flow":"STANDALONE_LIVENESS"}`, `{"flow":"X","source":"SDK"}`, `{"flow":"STANDALONE_LIVENESS","source":"X"}`,
		`{"flow":"STANDALONE_LIVENESS","source":"SDK","theme":"X"}`, `{"flow":"STANDALONE_LIVENESS","source":"WEB_SDK"}`,
		`{"flow":"STANDALONE_LIVENESS","source":"SDK","additionalDetails":{"userLocale":"X"}}`,
		`{"flow":"STANDALONE_LIVENESS","source":"SDK","additionalDetails":{"referenceImageUrl":"X"}}`,
		`{"flow":"STANDALONE_LIVENESS","source":"WEB_SDK","successRedirectionUrl":"https://shop.example/"}`,
		`{"flow":"STANDALONE_LIVENESS","source":"WEB_SDK","successRedirectionUrl":"https://shop.example/","failureRedirectionUrl":"https://shop.example/"}`,
	} {
		field(body)
	}
	w.call(t, "POST", flow, flowBody, append(flowHeaders(partner, "valid"), "x-partner-user-id: other")...)
	w.call(t, "POST", flow, flowBody, append(flowHeaders(partner, "s"), "x-onboarding-partner: OTHER")...)
	w.call(t, "GET", auth, "", "client-id: x", "pass-key: x")

	// What the kiosk's calls refuse.
	mine, other := w.user(t, "mine"), w.user(t, "other")
	id, selfie, additional := w.targets(t, mine)
	_, foreign, _ := w.targets(t, other)
	w.call(t, "GET", "/coe/v1/submissions/urls", "", mine...)
	w.call(t, "GET", "/coe/v1/submissions/urls?submissionType=KTP_SCAN", "", mine...)
	w.call(t, "PUT", confirm, "no", mine...)
	w.call(t, "PUT", confirm, "{}", mine...)
	w.call(t, "PUT", confirm, `{"submissionId":"none"}`, mine...)
	w.call(t, "PUT", confirm, `{"submissionId":"`+id+`"}`, mine...)
	w.call(t, "PUT", confirm, `{"submissionId":"`+id+`"}`, other...)
	w.call(t, "GET", status+"none/status", "", mine...)
	w.call(t, "GET", status+id+"/status", "", other...)
	w.call(t, "GET", details, "", "x-onekyc-token: "+partner)
	w.call(t, "GET", details, "", "x-onekyc-token: "+partner, "x-submission-id: none")
	w.call(t, "GET", details, "", "x-onekyc-token: "+partner, "x-submission-id: "+id, "x-partner-session-id: other")
	w.call(t, "GET", details, "", "x-onekyc-token: "+partner, "x-submission-id: "+id)

	// The object store.
	w.call(t, "PUT", selfie+"0", selfieJPEG(t))
	w.call(t, "PUT", selfie, strings.Repeat("x", 4<<20+1))
	path := strings.TrimPrefix(selfie, w.url)
	host := strings.TrimPrefix(w.url, "http://")
	if got := w.half(t, "PUT "+path+" HTTP/1.1\r\nHost: "+host+"\r\nContent-Length: 100\r\n\r\nhalf"); got != http.StatusBadRequest {
		t.Errorf("half an upload = %d, want 400", got)
	}
	if got := w.half(t, "PUT "+path+" HTTP/1.1\r\nHost: "+host+"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"); got != http.StatusLengthRequired {
		t.Errorf("an upload without length = %d, want 411", got)
	}
	w.call(t, "PUT", selfie, selfieJPEG(t))
	w.call(t, "PUT", additional, selfieJPEG(t))
	w.call(t, "PUT", confirm, `{"submissionId":"`+id+`"}`, mine...)
	w.call(t, "PUT", confirm, `{"submissionId":"`+id+`"}`, mine...)
	w.now(time.Hour)
	w.call(t, "PUT", foreign, selfieJPEG(t))

	// What only faults do.
	for _, f := range []struct{ script, method, path string }{
		{"partner_token=500", "GET", auth},
		{"flow=500", "POST", flow},
		{"urls=429/7s urls=500", "GET", urls},
		{"upload=400 upload=500 upload=503/7s", "PUT", selfie},
		{"confirm=429/7s confirm=500 confirm=503/7s", "PUT", confirm},
		{"status=500", "GET", status + id + "/status"},
		{"details=500", "GET", details},
	} {
		w.call(t, "POST", "/sim/faults", f.script)
		for range strings.FieldsSeq(f.script) {
			w.call(t, f.method, f.path, "")
		}
	}

	// What is the simulator's own.
	w.call(t, "GET", "/sim/faults", "")
	w.call(t, "POST", "/sim/faults", "wrong")
	w.call(t, "POST", "/sim/faults", strings.Repeat("x", 70_000))
	w.call(t, "DELETE", "/sim/faults", "")
	w.call(t, "GET", "/sim/", "")
	w.call(t, "GET", "/sim/page.css", "")
	w.call(t, "GET", "/sim/openapi.yaml", "")
	for _, script := range []string{"urls=503x3", "wrong", strings.Repeat("x", 70_000)} {
		w.browse(t, "POST", "/sim/", url.Values{"do": {"add"}, "script": {script}})
	}
	w.browse(t, "POST", "/sim/", url.Values{"do": {"clear"}})
	w.call(t, "GET", "/sim/submissions", "")
	w.call(t, "GET", "/sim/objects/"+id+"/SELFIE", "")
	w.call(t, "GET", "/sim/objects/none/SELFIE", "")

	w.missingParameters(t, d, mine)
	w.strangers(t, d)

	// An image that is no longer kept.
	w.await(t, "verdict", id)
	w.now(100 * time.Hour)
	w.dropped(t, id)
	w.call(t, "GET", "/sim/events", "")

	unseen, err := d.Unseen()
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range unseen {
		t.Errorf("in openapi.yaml and never served: %s", u)
	}
}

// missingParameters leaves out each required header and sends a wrong token.
func (w *world) missingParameters(t *testing.T, d *apitest.Document, user []string) {
	t.Helper()
	for _, route := range d.Routes() {
		names, err := d.Parameters(route, "header")
		if err != nil {
			t.Fatal(err)
		}
		method, path, _ := strings.Cut(route, " ")
		path = strings.ReplaceAll(path, "{id}", "0f0e0d0c-0b0a-4908-8706-050403020100")
		for _, name := range append(names, "") {
			var headers []string
			for _, n := range names {
				switch {
				case n == name:
				case n == "x-partner-session-id" && slices.Contains(names, "x-sdk-session-id"):
					headers = append(headers, user[1])
				default:
					headers = append(headers, n+": wrong")
				}
			}
			if len(names) == 0 {
				continue
			}
			a := w.call(t, method, path, `{"submissionId":"x"}`, headers...)
			either := strings.HasSuffix(path, "/submissions") && name != "x-onekyc-token" // one of two is enough
			want, status := "UNAUTHORIZED", http.StatusUnauthorized
			if name != "" && !either {
				want, status = strings.ToUpper(strings.ReplaceAll(name, "-", "_"))+"_CAN_NOT_BE_EMPTY", http.StatusBadRequest
			}
			if a.status != status || a.cause != want {
				t.Errorf("%s without %q = %d %s, want %d %s", route, name, a.status, a.cause, status, want)
			}
		}
	}
	a := w.call(t, "GET", "/coe/v1/submissions/0f0e0d0c-0b0a-4908-8706-050403020100/status", "", user...)
	if a.cause != "SUBMISSION_DOES_NOT_EXIST" {
		t.Errorf("the status of nothing = %d %s", a.status, a.body)
	}
}

// strangers asks for everything that is the simulator's own by a name that is
// not this machine's, and as a page from elsewhere.
func (w *world) strangers(t *testing.T, d *apitest.Document) {
	t.Helper()
	for _, route := range d.Routes() {
		method, path, _ := strings.Cut(route, " ")
		if !strings.HasPrefix(path, "/sim/") {
			continue
		}
		for _, from := range []string{"Host", "Origin"} {
			req, err := http.NewRequestWithContext(t.Context(), method, w.url+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if from == "Host" {
				req.Host = "rebound.example"
			} else {
				req.Header.Set("Origin", "https://elsewhere.example")
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if got := resp.StatusCode == http.StatusForbidden; got != (from == "Host" || method != http.MethodGet) {
				t.Errorf("%s with a strange %s = %d", route, from, resp.StatusCode)
			}
		}
	}
}

// dropped looks for an image after its time.
func (w *world) dropped(t *testing.T, id string) {
	t.Helper()
	a := w.call(t, "GET", "/coe/v1/submissions", "", "x-onekyc-token: "+w.partnerToken(t), "x-submission-id: "+id)
	m := regexp.MustCompile(`"selfie":"([^"]+)"`).FindSubmatch(a.body)
	if m == nil {
		t.Fatalf("details = %d %s, want an image URL", a.status, a.body)
	}
	w.Sweep()
	if a := w.call(t, "GET", strings.ReplaceAll(string(m[1]), `\u0026`, "&"), ""); a.status != http.StatusNotFound {
		t.Errorf("an image of days ago = %d, want 404", a.status)
	}
}
