package deliver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/color"
	"image/jpeg"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue/deliver"
	"livekiosk/queue/gateway"
	"livekiosk/queue/gateway/gatewaysim"
)

// picture returns a JPEG that the simulator takes for a selfie.
func picture(tb testing.TB, seed uint64) []byte {
	tb.Helper()
	rnd := rand.New(rand.NewPCG(seed, 1))
	img := image.NewGray(image.Rect(0, 0, 640, 480))
	for y := range 480 {
		for x := range 640 {
			img.SetGray(x, y, color.Gray{Y: uint8(96 + rnd.IntN(64))})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 80}); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// story collects what a deliverer tells.
type story struct {
	mu       sync.Mutex
	lines    []string
	receipts []kiosk.Receipt
	news     chan struct{}
}

func newStory() *story { return &story{news: make(chan struct{}, 1)} }

func (s *story) emit(ev kiosk.Event) {
	line := string(ev.Kind)
	if ev.Text != "" && ev.Kind != kiosk.EventURLs {
		line += ":" + ev.Text
	}
	s.mu.Lock()
	s.lines = append(s.lines, line)
	s.mu.Unlock()
	s.notify()
}

func (s *story) report(r kiosk.Receipt) {
	s.mu.Lock()
	s.receipts = append(s.receipts, r)
	s.mu.Unlock()
	s.notify()
}

func (s *story) notify() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

func (s *story) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, " ")
}

// until waits until done is true.
func (s *story) until(t *testing.T, done func() bool) {
	t.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	for !done() {
		select {
		case <-s.news:
		case <-limit.C:
			t.Fatalf("not done after 20 s; so far: %s", s)
		}
	}
}

// world is the real client, the real simulator over loopback, and a deliverer
// between a fake outbox and them.
type world struct {
	sim    *gatewaysim.Sim
	url    string
	outbox *memOutbox
	story  *story
	*deliver.Deliverer
}

func newWorld(t *testing.T, opts gatewaysim.Options) *world {
	t.Helper()
	w := &world{outbox: newOutbox(), story: newStory()}
	var err error
	if w.sim, err = gatewaysim.New(opts); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(w.sim)
	t.Cleanup(server.Close)
	w.url = server.URL
	client, err := gateway.New(gateway.Options{GatewayURL: w.url, PartnerURL: w.url + "/partner"})
	if err != nil {
		t.Fatal(err)
	}
	w.Deliverer, err = deliver.New(deliver.Options{
		Outbox: w.outbox, Gateway: client, Partner: client, Next: gateway.Next,
		Report: w.story.report, Emit: w.story.emit,
		Backoff: func(int) time.Duration { return time.Millisecond },
		Log:     slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.run(t, w.sim.Run)
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
	w := newWorld(t, gatewaysim.Options{})
	w.put(t, "r1")
	w.run(t, w.Run)
	w.story.until(t, func() bool { return w.outbox.left() == 0 })
	if r := w.outbox.settled["r1"]; r.Action != kiosk.ExitSuccess || r.SubmissionID == "" {
		t.Errorf("settled with %+v, want EXIT_SUCCESS and a submission id", r)
	}
	want := "token urls uploaded:SELFIE uploaded:ADDITIONAL_SELFIE confirmed status:"
	if got := w.story.String(); !strings.HasPrefix(got, want) {
		t.Errorf("story = %s\nwant %s…", got, want)
	}
}
