package deliver_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue/deliver"
	"livekiosk/queue/gateway"
	"livekiosk/queue/gateway/gatewaysim"
	"livekiosk/queue/gateway/partner"
	"livekiosk/queue/gateway/partner/partnertest"
)

// picture returns a JPEG that the simulator takes for a selfie.
func picture(tb testing.TB, seed byte) []byte {
	tb.Helper()
	img := image.NewGray(image.Rect(0, 0, 640, 480))
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(img.Pix)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 20}); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// quick is a policy for tests in real time.
func quick() deliver.Policy {
	p := deliver.StandardPolicy()
	p.Base, p.Most, p.Least, p.Person = time.Millisecond, 5*time.Millisecond, time.Microsecond, time.Millisecond
	return p
}

// world is the real client, the real simulator over loopback, and a deliverer
// between a fake outbox and them.
type world struct {
	*partnertest.World
	*deliver.Deliverer

	outbox *memOutbox
	story  *story
}

func newWorld(t *testing.T, opts gatewaysim.Options) *world {
	t.Helper()
	w := &world{World: partnertest.New(t, opts), outbox: newOutbox(), story: newStory()}
	client, err := gateway.New(gateway.Options{GatewayURL: w.URL, PartnerURL: w.PartnerURL})
	if err != nil {
		t.Fatal(err)
	}
	w.Deliverer, err = deliver.New(deliver.Options{
		Outbox: w.outbox, Gateway: client, Partner: client, Next: gateway.Next,
		Report: w.story.report, Emit: w.story.emit,
		Policy: quick(), Backoff: func(int) time.Duration { return time.Millisecond },
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// run runs fn until the test ends, or until the returned function is called.
func (w *world) run(t *testing.T, fn func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- fn(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func (w *world) put(tb testing.TB, id string) map[kiosk.Document][]byte {
	tb.Helper()
	images := map[kiosk.Document][]byte{kiosk.Selfie: picture(tb, 1), kiosk.AdditionalSelfie: picture(tb, 2)}
	w.outbox.put(kiosk.Job{
		Record: kiosk.RecordID(id), Session: kiosk.SessionID("s-" + id), Attempt: 1, AttemptsLeft: 2,
		CorrelationID: "c-" + id, UserID: "u-" + id, Locale: kiosk.Indonesian, Metadata: json.RawMessage(`{"attempt":1}`),
	}, images)
	return images
}

func TestARecordIsCarriedFromTheOutboxToAVerdict(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gatewaysim.Options{})
	w.put(t, "r1")
	w.run(t, w.Run)
	w.story.until(t, func() bool { return w.outbox.left() == 0 })
	if r := w.outbox.end("r1"); r.Action != kiosk.ExitSuccess || r.SubmissionID == "" {
		t.Errorf("settled with %+v, want EXIT_SUCCESS and a submission id", r)
	}
	want := "token urls uploaded:SELFIE uploaded:ADDITIONAL_SELFIE confirmed status:"
	if got := w.story.String(); !strings.HasPrefix(got, want) {
		t.Errorf("story = %s\nwant %s…", got, want)
	}
}

// TestFaultsOfTheNetworkAreOutlasted scripts faults into the simulator and
// looks at what it counted: one confirmed submission, both images whole.
func TestFaultsOfTheNetworkAreOutlasted(t *testing.T) {
	for name, script := range map[string]string{
		"outage":                       "all=503x7",
		"connections reset":            "initiate=reset urls=resetx2 upload=resetx3 confirm=resetx2 status=resetx2",
		"answers lost":                 "initiate=lost urls=lostx2 upload=lostx3 confirm=lostx2 status=lost",
		"a captive portal":             "all=htmlx6",
		"garbage":                      "initiate=garbage urls=garbage confirm=garbage status=huge",
		"dead upload URLs":             "upload=403x3",
		"a refused token":              "urls=401 confirm=401 status=401",
		"too many requests":            "confirm=429x3",
		"a lost submission":            "confirm=404",
		"a conflict":                   "confirm=lost confirm=409",
		"a partner backend in trouble": "partner_token=500 flow=500x2 initiate=500",
		"callbacks that fail":          "callback=500",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, gatewaysim.Options{Faults: script, CallbackRepeats: 2})
			images := w.put(t, "r1")
			w.run(t, w.Run)
			w.story.until(t, func() bool { return w.outbox.left() == 0 })
			r := w.outbox.end("r1")
			if r.Action != kiosk.ExitSuccess {
				t.Fatalf("settled with %+v, want EXIT_SUCCESS; story: %s", r, w.story)
			}
			confirmed, stored := map[string]int{}, map[string]string{}
			for _, ev := range w.Sim.Events() {
				switch {
				case ev.Call == "verdict":
					confirmed[ev.Submission]++
				case ev.Call == "upload" && ev.SHA256 != "" && ev.Submission == r.SubmissionID:
					stored[ev.Document] = ev.SHA256
				}
			}
			if len(confirmed) != 1 || confirmed[r.SubmissionID] != 1 {
				t.Errorf("verdicts on %v, want one on %s", confirmed, r.SubmissionID)
			}
			for doc, img := range images {
				if sum := fmt.Sprintf("%x", sha256.Sum256(img)); stored[string(doc)] != sum {
					t.Errorf("%s at the gateway is %q, want %q", doc, stored[string(doc)], sum)
				}
			}
		})
	}
}

func TestAnotherSubmissionForTheSameSessionIsSurvived(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gatewaysim.Options{NewSubmissions: true, Faults: "urls=lost upload=403 upload=lost"})
	w.put(t, "r1")
	w.run(t, w.Run)
	w.story.until(t, func() bool { return w.outbox.left() == 0 })
	if r := w.outbox.end("r1"); r.Action != kiosk.ExitSuccess {
		t.Errorf("settled with %+v; story: %s", r, w.story)
	}
}

func TestRejectionsLeadThroughTheAttempts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gatewaysim.Options{
		FaceCheck: func(context.Context, []byte) (gatewaysim.Face, error) {
			return gatewaysim.Face{Faces: 1, Live: 0.2}, nil
		},
	})
	w.run(t, w.Run)
	for attempt := 1; attempt <= 3; attempt++ {
		id := kiosk.RecordID(fmt.Sprint("r", attempt))
		w.outbox.put(kiosk.Job{
			Record: id, Session: "s", Attempt: attempt, AttemptsLeft: 3 - attempt,
			CorrelationID: "c", UserID: "u", Locale: kiosk.English,
		}, map[kiosk.Document][]byte{kiosk.Selfie: picture(t, byte(attempt)), kiosk.AdditionalSelfie: picture(t, 9)})
		w.story.until(t, func() bool { return w.story.word(id).Action != "" })
		want := kiosk.Retry
		if attempt == 3 {
			want = kiosk.ExitFailure
		}
		if r := w.story.word(id); r.Action != want {
			t.Fatalf("attempt %d: %+v, want %s", attempt, r, want)
		}
	}
	// What the person is not told, the partner is.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	last := w.outbox.end("r3").SubmissionID
	if _, err := w.Partner.Await(ctx, func(ev partner.Event) bool {
		return ev.Call == partner.CallCallback && ev.SubmissionID == last
	}); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(w.PartnerURL + "/v1/sessions/c")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var told struct{ SubmissionID, Status, Result, ReasonCode, Source string }
	if err := json.NewDecoder(resp.Body).Decode(&told); err != nil {
		t.Fatal(err)
	}
	want := told
	want.SubmissionID, want.Status, want.Result, want.ReasonCode = last, "COMPLETED", "INVALID", "NOT_LIVE"
	if told != want {
		t.Errorf("the partner knows %+v, want %+v", told, want)
	}
}
