package gatewaysim_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"livekiosk/queue/gateway/gatewaysim"
)

func TestWhatIsKeptIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gatewaysim.Options{})
	user := w.user(t, "under way")
	sessions, tokens, submissions := w.Fill(gatewaysim.KeptSessions + 100)
	if sessions != gatewaysim.KeptSessions || submissions > sessions || tokens > gatewaysim.KeptTokens {
		t.Errorf("%d sessions, %d submissions, %d tokens", sessions, submissions, tokens)
	}
	if n := len(w.Events()); n > gatewaysim.KeptEvents {
		t.Errorf("%d events", n)
	}
	// The oldest of all has not ended, and those after it have.
	if a := w.call(t, "GET", urlsPath, "", user...); a.status != http.StatusOK {
		t.Errorf("the session under way: %d %s", a.status, a.body)
	}
}

func TestTheOldestImagesAreDropped(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	done := w.confirmed(t, w.user(t, "done"))
	w.await(t, "verdict", done)
	big := strings.Repeat("x", 4<<20)
	for i := range 10 {
		_, selfie, additional := w.targets(t, w.user(t, strconv.Itoa(i)))
		for _, u := range []string{selfie, additional} {
			if a := w.call(t, "PUT", u, big); a.status != http.StatusOK {
				t.Fatalf("upload = %d %s", a.status, a.body)
			}
		}
	}
	n, size := w.Images()
	if size > gatewaysim.ImageLimit || n != int(size>>22) {
		t.Errorf("%d images of %d bytes, want at most %d bytes", n, size, gatewaysim.ImageLimit)
	}
	if a := w.call(t, "GET", "/sim/objects/"+done+"/SELFIE", ""); a.status != http.StatusNotFound {
		t.Errorf("the image with a verdict: %d, want 404", a.status)
	}
}

func TestASessionHasSoManySubmissions(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{NewSubmissions: true})
	user := w.user(t, "s")
	var ids []string
	for range gatewaysim.KeptSubmissions + 3 {
		id, _, _ := w.targets(t, user)
		if slices.Contains(ids, id) {
			t.Fatal("the same submission again")
		}
		ids = append(ids, id)
	}
	for i, id := range ids {
		want := http.StatusOK
		if i < 3 {
			want = http.StatusNotFound
		}
		if a := w.call(t, "GET", "/coe/v1/submissions/"+id+"/status", "", user...); a.status != want {
			t.Errorf("submission %d: %d, want %d", i, a.status, want)
		}
	}
}

// TestEverythingHasItsLifetime looks just before the end of each, and at it.
func TestEverythingHasItsLifetime(t *testing.T) {
	for _, tt := range []struct {
		name    string
		life    time.Duration
		shorter func(*gatewaysim.Lifetimes)
		subject func(*testing.T, *world) func() int
		good    int
		bad     int
	}{
		{"a partner token", time.Hour, func(l *gatewaysim.Lifetimes) { l.PartnerToken = time.Minute }, func(t *testing.T, w *world) func() int {
			t.Helper()
			token := w.partnerToken(t)
			return func() int {
				return w.call(t, "POST", "/coe-partner/v1/initiate-flow", flowBody, flowHeaders(token, "s")...).status
			}
		}, 200, 401},
		{"a user token", 60 * 24 * time.Hour, func(l *gatewaysim.Lifetimes) { l.UserToken = time.Minute }, func(t *testing.T, w *world) func() int {
			t.Helper()
			user := w.user(t, "s")
			return func() int { return w.call(t, "GET", urlsPath, "", user...).status }
		}, 200, 401},
		{"an upload URL", 10 * time.Minute, func(l *gatewaysim.Lifetimes) { l.UploadURL = time.Minute }, func(t *testing.T, w *world) func() int {
			t.Helper()
			_, selfie, _ := w.targets(t, w.user(t, "s"))
			return func() int { return w.call(t, "PUT", selfie, selfieJPEG(t)).status }
		}, 200, 403},
		{"an image URL", time.Hour, func(l *gatewaysim.Lifetimes) { l.ImageURL, l.Image = time.Minute, 2*time.Hour }, func(t *testing.T, w *world) func() int {
			t.Helper()
			id := w.confirmed(t, w.user(t, "s"))
			w.await(t, "verdict", id)
			a := w.call(t, "GET", "/coe/v1/submissions", "", "x-onekyc-token: "+w.partnerToken(t), "x-submission-id: "+id)
			details, _ := a.data["submissionDetails"].(map[string]any)
			images, _ := details["imageUrls"].(map[string]any)
			selfie, _ := images["selfie"].(string)
			return func() int { return w.call(t, "GET", selfie, "").status }
		}, 200, 403},
		{"an image", time.Hour, func(l *gatewaysim.Lifetimes) { l.Image = time.Minute }, func(t *testing.T, w *world) func() int {
			t.Helper()
			id := w.confirmed(t, w.user(t, "s"))
			w.await(t, "verdict", id)
			return func() int {
				w.Sweep()
				return w.call(t, "GET", "/sim/objects/"+id+"/SELFIE", "").status
			}
		}, 200, 404},
	} {
		for _, short := range []bool{false, true} {
			opts, life := gatewaysim.Options{}, tt.life
			if short {
				tt.shorter(&opts.Lifetimes)
				life = time.Minute
			}
			w := newWorld(t, opts)
			use := tt.subject(t, w)
			// Stamps of URLs are whole seconds, and never end early.
			w.now(life - time.Millisecond)
			if got := use(); got != tt.good {
				t.Errorf("%s before %v: %d, want %d", tt.name, life, got, tt.good)
			}
			w.now(time.Second)
			if got := use(); got != tt.bad {
				t.Errorf("%s after %v: %d, want %d", tt.name, life, got, tt.bad)
			}
		}
	}
}

// TestEveryHeaderIsAskedFor leaves out one header of each call after the other.
func TestEveryHeaderIsAskedFor(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	user := w.user(t, "s")
	id, _, _ := w.targets(t, user)
	for call, headers := range map[string][]string{
		"GET /v1/coe/partner/authentication":        {"client-id: sample-client", "pass-key: sample-pass-key"},
		"POST /coe-partner/v1/initiate-flow":        flowHeaders(w.partnerToken(t), "s"),
		"GET " + urlsPath:                           user,
		"PUT " + urlsPath:                           user,
		"GET /coe/v1/submissions/" + id + "/status": user,
	} {
		method, path, _ := strings.Cut(call, " ")
		for i, h := range headers {
			name, _, _ := strings.Cut(h, ":")
			want := strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "_CAN_NOT_BE_EMPTY"
			for state, left := range map[string][]string{
				"without": slices.Delete(slices.Clone(headers), i, i+1),
				"empty":   append(slices.Delete(slices.Clone(headers), i, i+1), name+":  "),
			} {
				if a := w.call(t, method, path, flowBody, left...); a.status != http.StatusBadRequest || a.cause != want {
					t.Errorf("%s %s %s: %d %s, want 400 %s", call, state, name, a.status, a.cause, want)
				}
			}
		}
	}
}

func TestAnUploadURLHoldsWhatItWasSignedFor(t *testing.T) {
	w := newWorld(t, gatewaysim.Options{})
	mine, selfie, _ := w.targets(t, w.user(t, "mine"))
	theirs, _, _ := w.targets(t, w.user(t, "theirs"))
	change := func(name, value string) string {
		u, err := url.Parse(selfie)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		q.Set(name, value)
		u.RawQuery = q.Encode()
		return u.String()
	}
	for name, tt := range map[string]struct {
		method, url, kind string
		status            int
		cause             string
	}{
		"a longer life":                  {"PUT", change("X-Amz-Expires", "86400"), "", 403, "SignatureDoesNotMatch"},
		"a later date":                   {"PUT", change("X-Amz-Date", "20990101T000000Z"), "", 403, "SignatureDoesNotMatch"},
		"an empty date":                  {"PUT", change("X-Amz-Date", ""), "", 403, "SignatureDoesNotMatch"},
		"another document":               {"PUT", strings.Replace(selfie, "/SELFIE?", "/ADDITIONAL_SELFIE?", 1), "", 403, "SignatureDoesNotMatch"},
		"another submission":             {"PUT", strings.Replace(selfie, mine, theirs, 1), "", 403, "SignatureDoesNotMatch"},
		"another host":                   {"PUT", strings.Replace(selfie, "127.0.0.1", "localhost", 1), "", 403, "SignatureDoesNotMatch"},
		"two signatures":                 {"PUT", selfie + "&X-Amz-Signature=x", "", 403, "AccessDenied"},
		"a GET":                          {"GET", selfie, "", 403, "SignatureDoesNotMatch"},
		"a POST":                         {"POST", selfie, "", 403, "SignatureDoesNotMatch"},
		"a DELETE":                       {"DELETE", selfie, "", 403, "SignatureDoesNotMatch"},
		"a form, as curl -d sends":       {"PUT", selfie, "application/x-www-form-urlencoded", 403, "SignatureDoesNotMatch"},
		"a JPEG":                         {"PUT", selfie, "image/jpeg", 200, ""},
		"bytes that say no kind":         {"PUT", selfie, "", 200, ""},
		"bytes of no kind in particular": {"PUT", selfie, "application/octet-stream", 200, ""},
	} {
		a := w.call(t, tt.method, tt.url, selfieJPEG(t), "Content-Type: "+tt.kind)
		if a.status != tt.status || !bytes.Contains(a.body, []byte("<Code>"+tt.cause+"</Code>")) && tt.cause != "" {
			t.Errorf("%s: %d %s, want %d %s", name, a.status, a.body, tt.status, tt.cause)
		}
	}
}

// TestADiskThatFailsEndsIt: no success is told that is not on disk.
func TestADiskThatFailsEndsIt(t *testing.T) {
	sim, err := gatewaysim.New(gatewaysim.Options{StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim)
	defer server.Close()
	ended := make(chan error, 1)
	go func() { ended <- sim.Run(soon(t)) }()
	if err := sim.BreakDisk(); err != nil {
		t.Fatal(err)
	}
	w := &world{Sim: sim, url: server.URL}
	a := w.call(t, "GET", "/v1/coe/partner/authentication", "", "client-id: sample-client", "pass-key: sample-pass-key")
	if a.status != http.StatusInternalServerError || a.data != nil {
		t.Errorf("with a broken disk: %d %s, want 500", a.status, a.body)
	}
	if err := <-ended; err == nil || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "write the state") {
		t.Errorf("Run() = %v, want what is wrong with the disk", err)
	}
	if err := sim.Close(); err == nil {
		t.Error("Close() is content")
	}
}

// FuzzCalls: whatever is sent, it is answered in the envelope of the call, and
// nothing is confirmed by it.
func FuzzCalls(f *testing.F) {
	sim, err := gatewaysim.New(gatewaysim.Options{Attempts: 1 << 30})
	if err != nil {
		f.Fatal(err)
	}
	ask := func(method, path, query string, body []byte, headers []string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "http://127.0.0.1"+path, bytes.NewReader(body))
		r.URL.RawQuery = query
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			r.Header.Set(name, value)
		}
		rec := httptest.NewRecorder()
		sim.ServeHTTP(rec, r)
		return rec
	}
	field := func(rec *httptest.ResponseRecorder, name string) string {
		_, rest, _ := strings.Cut(rec.Body.String(), `"`+name+`":"`)
		value, _, _ := strings.Cut(rest, `"`)
		return value
	}
	partner := field(ask("GET", "/v1/coe/partner/authentication", "", nil, []string{"client-id: sample-client", "pass-key: sample-pass-key"}), "token")
	flow := flowHeaders(partner, "s")
	user := []string{"x-onekyc-token: " + field(ask("POST", "/coe-partner/v1/initiate-flow", "", []byte(flowBody), flow), "token"), "x-partner-session-id: s", "x-sdk-session-id: x"}
	const typed = "submissionType=STANDALONE_LIVENESS"
	id := field(ask("GET", "/coe/v1/submissions/urls", typed, nil, user), "submissionId")
	f.Add(0, "", []byte(flowBody))
	f.Add(0, "", []byte(`{"flow":"ON_DEMAND_FR","source":"WEB_SDK","additionalDetails":{"referenceImageUrl":"http://a","allowQr":true}}`))
	f.Add(1, "", []byte(`{"submissionId":"`+id+`","metadata":{"a":[1]}}`))
	f.Add(2, "X-Amz-Date=20260101T000000Z&X-Amz-Expires=600&X-Amz-SignedHeaders=host&X-Amz-Signature=0", []byte("x"))
	f.Add(3, typed, []byte(nil))
	f.Add(4, "script=urls%3D503&do=add", []byte("script=urls%3D503&do=add"))
	f.Add(5, "", []byte("upload=slow 50kB/s all=reset%5"))
	f.Fuzz(func(t *testing.T, call int, query string, body []byte) {
		var rec *httptest.ResponseRecorder
		switch call {
		case 0:
			rec = ask("POST", "/coe-partner/v1/initiate-flow", query, body, flow)
		case 1:
			rec = ask("PUT", "/coe/v1/submissions/urls", query, body, user)
		case 2:
			rec = ask("PUT", "/objects/"+id+"/SELFIE", query, body, nil)
			if rec.Code != http.StatusForbidden {
				t.Errorf("%q is taken for a signature: %d", query, rec.Code)
			}
		case 3:
			rec = ask("GET", "/coe/v1/submissions/urls", query, nil, user)
		default:
			_, _ = gatewaysim.ParseFaults(string(body))
			return
		}
		b := rec.Body.Bytes()
		if !bytes.HasPrefix(b, []byte(`{"data":`)) && !bytes.HasPrefix(b, []byte("<?xml")) {
			t.Errorf("call %d: %d %q", call, rec.Code, b)
		}
		if len(sim.Confirmed()) > 0 {
			t.Errorf("%q confirmed something that was never uploaded", body)
		}
	})
}
