package gatewaysim_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"livekiosk/queue/gateway/gatewaysim"
)

func TestAChangeIsWrittenWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gatewaysim.Options{StateDir: t.TempDir()})
	patience, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if waited, err := w.Halfway(patience.Done()); err != nil || !waited {
		t.Errorf("half of a change is on disk: %v", err)
	}
}

func TestAnUploadThatFindsNoRoomLeavesTheOneBeforeIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gatewaysim.Options{})
	user := w.user(t, "s")
	id, selfie, additional := w.targets(t, user)
	for _, u := range []string{selfie, additional} {
		if a := w.call(t, "PUT", u, selfieJPEG(t)); a.status != http.StatusOK {
			t.Fatalf("upload = %d %s", a.status, a.body)
		}
	}
	undo := w.FullOfWaiting()
	if a := w.call(t, "PUT", selfie, selfieJPEG(t)+"\x00"); a.status != http.StatusServiceUnavailable {
		t.Errorf("without room: %d", a.status)
	}
	undo()
	if n, size := w.Images(); n != 2 || size != int64(2*len(selfieJPEG(t))) {
		t.Errorf("%d images of %d bytes", n, size)
	}
	if a := w.call(t, "GET", "/sim/objects/"+id+"/SELFIE", ""); string(a.body) != selfieJPEG(t) {
		t.Errorf("the one before it: %d", a.status)
	}
	if a := w.call(t, "PUT", urlsPath, `{"submissionId":"`+id+`"}`, user...); a.status != http.StatusOK {
		t.Errorf("confirm: %d %s", a.status, a.body)
	}
}

func TestURLsOfLessThanASecondCanBeUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gatewaysim.Options{Lifetimes: gatewaysim.Lifetimes{UploadURL: 300 * time.Millisecond}})
	_, selfie, _ := w.targets(t, w.user(t, "s"))
	w.now(299 * time.Millisecond)
	if a := w.call(t, "PUT", selfie, selfieJPEG(t)); a.status != http.StatusOK {
		t.Errorf("in time: %d %s", a.status, a.body)
	}
	w.now(1001 * time.Millisecond)
	if a := w.call(t, "PUT", selfie, selfieJPEG(t)); a.status != http.StatusForbidden {
		t.Errorf("too late: %d %s", a.status, a.body)
	}
}

func TestCallbacksThatAreToComeAreBounded(t *testing.T) {
	t.Parallel()
	sim, err := gatewaysim.New(gatewaysim.Options{CallbackURL: "http://127.0.0.1:1/", CallbackRepeats: 99})
	if err != nil {
		t.Fatal(err)
	}
	if n := sim.CallBack(gatewaysim.KeptCallbacks/100 + 1); n != gatewaysim.KeptCallbacks {
		t.Errorf("%d are kept, want %d", n, gatewaysim.KeptCallbacks)
	}
	if _, err := gatewaysim.New(gatewaysim.Options{CallbackRepeats: 101}); err == nil {
		t.Error("any number of repeats is taken")
	}
}

// TestFaultsOfACallbackAreAnswersOfThePartner: the gateway believes them.
func TestFaultsOfACallbackAreAnswersOfThePartner(t *testing.T) {
	t.Parallel()
	for fault, want := range map[string]struct {
		heard  int
		least  time.Duration
		status int // of the first try
	}{
		"callback=html":      {0, 0, 200},
		"callback=garbage":   {0, 0, 200},
		"callback=huge":      {1, 0, 0},
		"callback=503":       {1, 0, 503},
		"callback=hang:6s":   {1, 6 * time.Second, 503},
		"callback=hang:10ms": {1, 0, 503},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			b := newBackend(t)
			w := newWorld(t, gatewaysim.Options{CallbackURL: b.url + "/callback", Faults: fault})
			began := time.Now()
			id := w.confirmed(t, w.user(t, "s"))
			first := w.await(t, "callback", id)
			if first.Status != want.status || first.Fault != fault || time.Since(began) < want.least {
				t.Errorf("%+v after %v", first, time.Since(began))
			}
			if want.heard > 0 {
				until(soon(t), t, "the callback", func() bool { return len(b.all()) == want.heard })
			} else if n := len(b.all()); n > 0 {
				t.Errorf("the partner heard %d", n)
			}
		})
	}
}

func TestASubmissionThatHasEndedCanBeTheAnswer(t *testing.T) {
	t.Parallel()
	dark := func(context.Context, []byte) (gatewaysim.Face, error) { return gatewaysim.Face{Faces: 1}, nil }
	for _, reuse := range []bool{false, true} {
		w := newWorld(t, gatewaysim.Options{ReuseEnded: reuse, FaceCheck: dark})
		user := w.user(t, "s")
		id := w.confirmed(t, user)
		w.await(t, "verdict", id)
		a := w.call(t, "GET", urlsPath, "", user...)
		documents, _ := a.data["documents"].(map[string]any)
		if same := a.text(t, "submissionId") == id; a.status != http.StatusOK || same != reuse || (len(documents) == 0) != reuse {
			t.Errorf("reuse %v: %d %s", reuse, a.status, a.body)
		}
		if status := a.text(t, "status"); (status == "COMPLETED") != reuse {
			t.Errorf("reuse %v: status %s", reuse, status)
		}
	}
}

// TestAReferenceThatFailsHoldsUpNothing: more verdicts wait for it than can be
// under way at once, and none of them has its next try before all had a first.
func TestAReferenceThatFailsHoldsUpNothing(t *testing.T) {
	t.Parallel()
	const all, underWay = 16, 4
	var mu sync.Mutex
	asked := map[string]int{} // by session
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ PartnerSessionID string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		if asked[in.PartnerSessionID]++; asked[in.PartnerSessionID] > 1 && len(asked) <= all-underWay {
			t.Errorf("session %s again, and %d of %d were asked for", in.PartnerSessionID, len(asked), all)
		}
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer server.Close()
	confirmed := make(chan struct{}) // all of them
	w := newWorld(t, gatewaysim.Options{ReferenceURL: server.URL, FaceCheck: func(ctx context.Context, _ []byte) (gatewaysim.Face, error) {
		select {
		case <-confirmed:
		case <-ctx.Done():
		}
		return gatewaysim.Face{Faces: 1, Live: 1}, ctx.Err()
	}})
	var ids []string
	for i := range all {
		ids = append(ids, w.confirmed(t, w.user(t, strconv.Itoa(i))))
	}
	close(confirmed)
	for _, id := range ids {
		w.await(t, "verdict", id)
	}
	for session, n := range asked {
		if n != 3 {
			t.Errorf("session %s: %d requests, want three", session, n)
		}
	}
}
