package gatewaysim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"livekiosk/queue/gateway/gatewaysim"
)

// A backend is a partner backend that notes what it is sent.
type backend struct {
	url string

	mu        sync.Mutex
	callbacks []heard
	asked     []map[string]string // by call 9
	refuse    func(n int) int     // the answer to the nth callback, from 0; nil: 200
}

type heard struct {
	method, auth string
	body         map[string]any
}

func (b *backend) all() []heard {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.callbacks)
}

// newBackend has a reference image for everybody but "nobody", and one that is
// no JPEG for "spoilt".
func newBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{}
	mux := http.NewServeMux()
	mux.HandleFunc("/callback", func(w http.ResponseWriter, r *http.Request) {
		h := heard{method: r.Method, auth: r.Header.Get("Authorization")}
		if err := json.NewDecoder(r.Body).Decode(&h.body); err != nil {
			return // it did not come whole
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.callbacks = append(b.callbacks, h)
		if b.refuse != nil {
			w.WriteHeader(b.refuse(len(b.callbacks) - 1))
		}
	})
	mux.HandleFunc("POST /reference", func(w http.ResponseWriter, r *http.Request) {
		var in map[string]string
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Errorf("call 9: %v", err)
		}
		b.mu.Lock()
		b.asked = append(b.asked, in)
		b.mu.Unlock()
		if in["userId"] == "nobody" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, `{"url":"`+b.url+"/image/"+in["userId"]+`"}`)
	})
	mux.HandleFunc("GET /image/{user}", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the reference image is downloaded with the gateway's credentials")
		}
		img := "no image"
		if r.PathValue("user") != "spoilt" {
			img = selfieJPEG(t)
		}
		_, _ = io.WriteString(w, img)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	b.url = server.URL
	return b
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestACallbackSaysEverything(t *testing.T) {
	b := newBackend(t)
	w := newWorld(t, gatewaysim.Options{CallbackURL: b.url + "/callback", CallbackMethod: http.MethodPatch, CallbackAuth: "Basic eDp5"})
	id := w.confirmed(t, w.user(t, "s"))
	if ev := w.await(t, "callback", id); ev.Status != http.StatusOK || ev.Result != "VALID" || ev.Correlation != "s" {
		t.Errorf("event %+v", ev)
	}
	got := b.all()[0]
	if got.method != http.MethodPatch || got.auth != "Basic eDp5" {
		t.Errorf("%s by %q, want PATCH by what it was told", got.method, got.auth)
	}
	for field, want := range map[string]any{
		"submissionId": id, "flow": "STANDALONE_LIVENESS", "userId": "u", "userIdType": "CUSTOMER_ID", "partnerSessionId": "s",
		"status": "COMPLETED", "result": "VALID", "reasonCode": "",
	} {
		if got.body[field] != want {
			t.Errorf("%s is %v, want %v", field, got.body[field], want)
		}
	}
	details, _ := got.body["submissionDetails"].(map[string]any)
	images, _ := details["imageUrls"].(map[string]any)
	for _, name := range []string{"SELFIE", "ADDITIONAL_SELFIE"} {
		url, _ := images[name].(string)
		if a := w.call(t, "GET", url, ""); string(a.body) != selfieJPEG(t) {
			t.Errorf("%s by its URL: %d, %d bytes", name, a.status, len(a.body))
		}
		if a := w.call(t, "PUT", url, selfieJPEG(t)); a.status != http.StatusForbidden {
			t.Errorf("a PUT by a URL to GET: %d, want 403", a.status)
		}
	}
}

func TestACallbackComesUntilItIsTaken(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	b.refuse = func(n int) int { return []int{http.StatusBadGateway, http.StatusOK}[min(n, 1)] }
	w := newWorld(t, gatewaysim.Options{CallbackURL: b.url + "/callback", Faults: "callback=reset callback=lost callback=reset-mid-body"})
	id := w.confirmed(t, w.user(t, "s"))
	_, err := w.Await(soon(t), func(ev gatewaysim.Event) bool {
		return ev.Call == "callback" && ev.Submission == id && ev.Status == http.StatusOK
	})
	if err != nil {
		t.Fatal(err)
	}
	// Not sent; sent, refused and not heard; not whole; taken.
	if n := len(b.all()); n != 2 {
		t.Errorf("the partner heard %d callbacks, want 2", n)
	}
	var faults []string
	for _, ev := range w.Events() {
		if ev.Call == "callback" {
			faults = append(faults, ev.Fault)
		}
	}
	if want := []string{"callback=reset", "callback=lost", "callback=reset-mid-body", ""}; !slices.Equal(faults, want) {
		t.Errorf("faults of the callbacks %q, want %q", faults, want)
	}
}

func TestCallbacksCanComeOutOfOrder(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	w := newWorld(t, gatewaysim.Options{CallbackURL: b.url + "/callback", CallbackShuffle: true, CallbackRepeats: 2})
	w.confirmed(t, w.user(t, "s"))
	until(soon(t), t, "four callbacks", func() bool { return len(b.all()) == 4 })
	var came []string
	processed := map[string]string{}
	for _, h := range b.all() {
		status, _ := h.body["status"].(string)
		at, _ := h.body["processedAt"].(string)
		came, processed[status] = append(came, status), at
	}
	if came[0] != "COMPLETED" || !slices.Contains(came, "IN_PROGRESS") {
		t.Errorf("they came as %q, want COMPLETED before IN_PROGRESS", came)
	}
	if processed["IN_PROGRESS"] > processed["COMPLETED"] {
		t.Errorf("processed at %v: what came late is not older", processed)
	}
}

// TestACallbackThatHangsHoldsUpNothing: neither verdicts nor other callbacks
// wait for one that nobody answers.
func TestACallbackThatHangsHoldsUpNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gatewaysim.Options{CallbackURL: newBackend(t).url + "/callback", Faults: "callback=hang:1hx*"})
	for i := range 9 { // twice as many as can be under way
		w.await(t, "verdict", w.confirmed(t, w.user(t, fmt.Sprint("s", i))))
	}
}

func TestNobodyElseIsCalled(t *testing.T) {
	t.Parallel()
	told := make(chan string, 1)
	log := slog.New(slog.NewTextHandler(writer(func(line []byte) {
		if bytes.Contains(line, []byte("callback not taken")) {
			select {
			case told <- string(line):
			default:
			}
		}
	}), nil))
	w := newWorld(t, gatewaysim.Options{CallbackURL: "http://192.0.2.1/callback", Log: log})
	w.confirmed(t, w.user(t, "s"))
	select {
	case line := <-told:
		if !strings.Contains(line, "not on loopback") {
			t.Errorf("a callback to another machine: %s", line)
		}
	case <-soon(t).Done():
		t.Error("a callback to another machine is tried for long")
	}
	for name, opts := range map[string]gatewaysim.Options{
		"CallbackMethod": {CallbackMethod: "GET"},
		"CallbackURL":    {CallbackURL: "partner"},
		"ReferenceURL":   {ReferenceURL: "ftp://127.0.0.1/"},
		"BaseURL":        {BaseURL: "127.0.0.1:8787"},
		"aults":          {Faults: "x"},
	} {
		if _, err := gatewaysim.New(opts); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A writer is told each line of a log.
type writer func(line []byte)

func (w writer) Write(line []byte) (int, error) {
	w(line)
	return len(line), nil
}

// TestAReferenceImageIsAskedFor goes through the flows that have one, and the
// one that can do without.
func TestAReferenceImageIsAskedFor(t *testing.T) {
	b := newBackend(t)
	likeness := float32(0.9)
	match := func(_ context.Context, selfie, reference []byte) (float32, error) {
		if string(selfie) != selfieJPEG(t) || string(reference) != selfieJPEG(t) {
			return 0, errors.New("these are not the images")
		}
		return likeness, nil
	}
	w := newWorld(t, gatewaysim.Options{CallbackURL: b.url + "/callback", CallbackAuth: "Bearer x", ReferenceURL: b.url + "/reference", Match: match})
	blind := newWorld(t, gatewaysim.Options{CallbackURL: b.url + "/callback", ReferenceURL: b.url + "/reference"})
	alone := newWorld(t, gatewaysim.Options{CallbackURL: b.url + "/callback"})
	for _, tt := range []struct {
		name             string
		w                *world
		flow, kind, user string
		link             string // of call 2
		likeness         float32
		result, reason   string
		score            any
		reference        string // verificationResult
	}{
		{"a face that matches", w, "FACE_VERIFICATION", "FACE_VERIFICATION", "u", "", 0.9, "VALID", "", 90.0, "VALID"},
		{"another's face", w, "ON_DEMAND_FR", "FACE_MATCH", "u", "", 0.2, "INVALID", "FACE_MATCH_FAILED", 20.0, "VALID"},
		{"nobody's image", w, "FACE_VERIFICATION", "FACE_VERIFICATION", "nobody", "", 0.9, "INVALID", "DOCUMENT_NOT_FOUND", nil, "INVALID"},
		{"an image that is none", w, "FACE_VERIFICATION", "FACE_VERIFICATION", "spoilt", "", 0.9, "INVALID", "REFERENCE_IMAGE_VALIDATION_FAILED", nil, "INVALID"},
		{"a URL in call 2", alone, "FACE_VERIFICATION", "FACE_VERIFICATION", "u", "/image/u", 0.9, "VALID", "", nil, "VALID"},
		{"nobody to ask", alone, "FACE_VERIFICATION", "FACE_VERIFICATION", "u", "", 0.9, "INVALID", "DOCUMENT_NOT_FOUND", nil, "INVALID"},
		{"a simulator that compares nothing", blind, "FACE_VERIFICATION", "FACE_VERIFICATION", "u", "", 0.9, "VALID", "", nil, "VALID"},
		{"liveness, which tells the match only", w, "STANDALONE_LIVENESS", "STANDALONE_LIVENESS", "u", "", 0.2, "VALID", "", 20.0, ""},
		{"liveness of somebody without an image", w, "STANDALONE_LIVENESS", "STANDALONE_LIVENESS", "nobody", "", 0.2, "VALID", "", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			likeness = tt.likeness
			session, partner := t.Name(), tt.w.partnerToken(t)
			body := map[string]any{"flow": tt.flow, "source": "SDK"}
			if tt.link != "" {
				body["additionalDetails"] = map[string]string{"referenceImageUrl": b.url + tt.link}
			}
			in, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			headers := append(flowHeaders(partner, session), "x-onboarding-partner: SAMPLE-KIOSK-"+tt.flow, "x-partner-user-id: "+tt.user)
			token := tt.w.call(t, "POST", "/coe-partner/v1/initiate-flow", string(in), headers...).text(t, "token")
			id := tt.w.confirmedAs(t, tt.kind, []string{"x-onekyc-token: " + token, "x-partner-session-id: " + session, "x-sdk-session-id: sdk"})
			tt.w.await(t, "verdict", id)
			a := tt.w.call(t, "GET", "/coe/v1/submissions", "", "x-onekyc-token: "+partner, "x-submission-id: "+id)
			var got struct {
				Data struct {
					Result, ReasonCode string
					SubmissionDetails  struct {
						VerificationResults struct {
							FaceMatch                map[string]any
							ReferenceImageValidation struct{ KTP map[string]string }
						}
					}
				}
			}
			if err := json.Unmarshal(a.body, &got); err != nil {
				t.Fatal(err)
			}
			results := got.Data.SubmissionDetails.VerificationResults
			if got.Data.Result != tt.result || got.Data.ReasonCode != tt.reason {
				t.Errorf("%s %s, want %s %s", got.Data.Result, got.Data.ReasonCode, tt.result, tt.reason)
			}
			if results.FaceMatch["score"] != tt.score {
				t.Errorf("faceMatch %v, want a score of %v", results.FaceMatch, tt.score)
			}
			if is := results.ReferenceImageValidation.KTP["verificationResult"]; is != tt.reference {
				t.Errorf("referenceImageValidation %v, want %q", results.ReferenceImageValidation.KTP, tt.reference)
			}
		})
	}
	if asked := b.asked[0]; asked["userId"] != "u" || asked["userIdType"] != "CUSTOMER_ID" || asked["flow"] != "FACE_VERIFICATION" || asked["partnerSessionId"] == "" {
		t.Errorf("call 9 said %v", asked)
	}
}
