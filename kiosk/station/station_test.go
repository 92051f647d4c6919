package station_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"livekiosk/camera"
	"livekiosk/kiosk"
	"livekiosk/kiosk/flow"
	"livekiosk/kiosk/station"
	"livekiosk/kiosk/trace"
)

// memOutbox behaves like the outbox, in memory.
type memOutbox struct {
	mu     sync.Mutex
	stored map[kiosk.RecordID]kiosk.Submission // images are copies
	bytes  [][]byte                            // the images as they were handed over
	used   map[string]bool
	err    error // of Put
	admit  error
}

func (o *memOutbox) Put(_ context.Context, s *kiosk.Submission) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, b := range s.Images {
		o.bytes = append(o.bytes, b)
	}
	if o.err != nil {
		return o.err
	}
	c := *s
	c.Images = map[kiosk.Document][]byte{}
	for d, b := range s.Images {
		c.Images[d] = bytes.Clone(b)
	}
	o.stored[s.Record], o.used[s.CorrelationID] = c, true
	return nil
}

func (o *memOutbox) Admit(context.Context) error { return o.admit }

func (o *memOutbox) Used(_ context.Context, id string) (bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.used[id], nil
}

// A lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// A bench is a station with fakes around it, in a bubble of virtual time.
type bench struct {
	*station.Station

	t        *testing.T
	outbox   *memOutbox
	log      lockedBuffer
	dir      string
	watching atomic.Bool
	frame    kiosk.FrameID
	now      func() time.Duration
	released atomic.Int64
	score    func(kiosk.FrameID) float32 // unified quality of a frame; nil: the same of all
	pixels   func(kiosk.FrameID) []byte  // what a frame holds
	expected chan kiosk.Launch           // answers a code, whichever
	frozen   atomic.Bool
	lamp     lamp

	mu      sync.Mutex
	views   []kiosk.View
	events  []kiosk.Event
	tallies []kiosk.Tally
}

func newBench(t *testing.T, start flow.State) *bench {
	t.Helper()
	return newBenchOf(t, start, flow.Standard())
}

func newBenchOf(t *testing.T, start flow.State, policy flow.Policy) *bench {
	t.Helper()
	b := &bench{t: t, outbox: &memOutbox{stored: map[kiosk.RecordID]kiosk.Submission{}, used: map[string]bool{}}, dir: t.TempDir(), pixels: pixels, expected: make(chan kiosk.Launch)}
	began := time.Now()
	b.now = func() time.Duration { return time.Second + time.Since(began) }
	s, err := station.New(station.Options{
		Policy: policy, Start: start, Outbox: b.outbox, Evidence: camera.NewEvidence(nil),
		Now:   b.now,
		Watch: b.watching.Store, Freeze: b.frozen.Store,
		Show: func(v kiosk.View) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.views = append(b.views, v)
		},
		Emit: func(e kiosk.Event) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.events = append(b.events, e)
		},
		Tally: func(k kiosk.Tally) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.tallies = append(b.tallies, k)
		},
		Consent: func(l kiosk.Locale) string { return "hash-" + string(l) }, Register: b,
		Gateway: "https://gateway.test", UserType: "CUSTOMER_ID", TraceDir: b.dir, Traces: 2,
		Log: slog.New(slog.NewJSONHandler(&b.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Station = s
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
	synctest.Wait()
	return b
}

// Expected implements station.Register.
func (b *bench) Expected(ctx context.Context, _ string) (kiosk.Launch, error) {
	select {
	case l := <-b.expected:
		return l, nil
	case <-ctx.Done():
		return kiosk.Launch{}, ctx.Err()
	}
}

// TestACodeThatWasGivenUpStartsNothing has the outbox answer once somebody else
// stands at the keypad.
func TestACodeThatWasGivenUpStartsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, flow.State{Phase: flow.Idle})
		b.tap("", kiosk.Begin)
		b.tap("", kiosk.Enter)
		b.tap("", kiosk.Cancel)
		b.expected <- launch()
		synctest.Wait()
		if s := b.State(); s.Phase != flow.Idle {
			t.Fatalf("phase %s, want idle: whoever typed the code has left", s.Phase)
		}
		b.tap("", kiosk.Begin)
		b.tap("", kiosk.Enter)
		b.tap("", kiosk.Cancel)
		b.tap("", kiosk.Begin)
		b.tap("", kiosk.Enter) // another's, which is not found yet
		b.expected <- launch()
		synctest.Wait()
		if s := b.State(); s.Phase != flow.Code || s.Typing != kiosk.Checking {
			t.Fatalf("phase %s, %s: the first one's code was taken for the second's", s.Phase, s.Typing)
		}
		b.expected <- launch()
		synctest.Wait()
		if s := b.State(); s.Phase != flow.Consent {
			t.Fatalf("phase %s: the second one's code starts nothing", s.Phase)
		}
	})
}

func launch() kiosk.Launch {
	return kiosk.Launch{CorrelationID: "corr-1", Token: "secret-token", UserID: "user-1", Locale: kiosk.English, Theme: kiosk.Light}
}

func (b *bench) launch(l kiosk.Launch) kiosk.SessionID {
	b.t.Helper()
	id, err := b.Launch(b.t.Context(), l)
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

func (b *bench) tap(id kiosk.SessionID, c kiosk.Control) {
	b.t.Helper()
	if err := b.Tap(b.t.Context(), kiosk.Tap{Session: id, Control: c}); err != nil {
		b.t.Fatal(err)
	}
	synctest.Wait()
}

// pixels returns what a camera's frame holds.
func pixels(id kiosk.FrameID) []byte {
	return append(fmt.Appendf([]byte{0xff, 0xd8}, "pixels of face %d", id), make([]byte, kiosk.EvidenceMin)...)
}

// look shows a face of the given width for d, 15 times a second.
func (b *bench) look(d time.Duration, width, live float32) {
	b.t.Helper()
	const interval = time.Second / 15
	for end := time.Now().Add(d); time.Now().Before(end); {
		b.frame++
		half := int(width * 360)
		a := kiosk.Assessment{
			Frame: b.frame, At: b.now(), Size: image.Pt(1280, 720), Luma: 110, Faces: 1,
			Face: image.Rect(640-half, 360-half, 640+half, 360+half), IED: 0.9 * float32(half),
			EyesOpen: 0.08, FaceLuma: 120, Background: 110, Sharpness: 200, Live: live, LiveUsable: true,
			Quality: kiosk.Quality{Unified: 77},
		}
		if b.score != nil {
			a.Quality.Unified = b.score(b.frame)
		}
		b.lamp.lights(b, &a)
		f := kiosk.NewFrame(kiosk.Frame{ID: b.frame, Format: kiosk.MJPEG, Data: b.pixels(b.frame)}, func() { b.released.Add(1) })
		if err := b.Assessed(b.t.Context(), a, f); err != nil {
			b.t.Fatal(err)
		}
		b.wait(interval)
	}
}

// wait lets virtual time pass.
func (b *bench) wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// capture brings a session to the point where its capture is stored.
func (b *bench) capture(id kiosk.SessionID, live float32) {
	b.t.Helper()
	b.tap(id, kiosk.Agree)
	b.tap(id, kiosk.Ready)
	b.look(1500*time.Millisecond, 0.33, live)
	b.look(2500*time.Millisecond, 0.53, live)
	synctest.Wait()
}

func (b *bench) view() kiosk.View {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.views[len(b.views)-1]
}

func (b *bench) screens() []kiosk.Screen {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []kiosk.Screen
	for _, v := range b.views {
		if len(out) == 0 || out[len(out)-1] != v.Screen {
			out = append(out, v.Screen)
		}
	}
	return out
}

func TestAWholeSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, flow.State{})
		id := b.launch(launch())
		if b.watching.Load() {
			t.Error("the camera is on before consent")
		}
		b.capture(id, 0.9)
		record := kiosk.RecordID(string(id) + "-1")
		b.outbox.mu.Lock()
		s, ok := b.outbox.stored[record]
		b.outbox.mu.Unlock()
		if !ok {
			t.Fatalf("nothing stored; screens %v\n%s", b.screens(), b.log.String())
		}
		if len(s.Images) != 2 || !bytes.Equal(s.Images[kiosk.Selfie], pixels(1)) {
			t.Errorf("stored %d images", len(s.Images))
		}
		if s.CorrelationID != "corr-1" || s.Token != "secret-token" || s.UserIDType != "CUSTOMER_ID" || s.Review {
			t.Errorf("stored %+v", s)
		}
		if !strings.Contains(string(s.Metadata), `"textHash":"hash-en"`) || !strings.Contains(string(s.Metadata), `"quality":{"unified":77,`) || strings.Contains(string(s.Metadata), "secret") {
			t.Errorf("metadata %s", s.Metadata)
		}
		b.outbox.mu.Lock()
		defer b.outbox.mu.Unlock()
		for _, img := range b.outbox.bytes {
			if strings.Trim(string(img), "\x00") != "" {
				t.Error("an image was left in memory after it was stored")
			}
		}
		if b.watching.Load() {
			t.Error("the camera is still on after the capture")
		}
		// Somebody else's answer, then this one's.
		for _, r := range []kiosk.Receipt{
			{Record: "other-1", Session: "other", Action: kiosk.ExitFailure},
			{Record: record, Session: id, SubmissionID: "sub-1", Action: kiosk.ExitSuccess},
		} {
			if err := b.Answered(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		want := []kiosk.Screen{
			kiosk.IdleScreen, kiosk.ConsentScreen, kiosk.TipsScreen, kiosk.GuidingScreen, kiosk.SavingScreen, kiosk.WaitingScreen, kiosk.GrantedScreen,
		}
		if got := b.screens(); !slices.Equal(got, want) {
			t.Errorf("screens %v, want %v", got, want)
		}
		r, _ := b.Result(id)
		if r.Status != kiosk.Completed || r.SubmissionID != "sub-1" || r.CorrelationID != "corr-1" {
			t.Errorf("result %+v", r)
		}
		b.wait(time.Minute)
		if got := b.screens(); got[len(got)-1] != kiosk.IdleScreen {
			t.Errorf("the kiosk rests at %s", got[len(got)-1])
		}
		if int(b.released.Load()) != int(b.frame) {
			t.Errorf("%d of %d frames released", b.released.Load(), b.frame)
		}
		for _, secret := range []string{"secret-token", "user-1", "pixels"} {
			if strings.Contains(b.log.String(), secret) {
				t.Errorf("the log holds %q", secret)
			}
		}
		b.replays(id)
	})
}

// replays checks that the session's trace is whole and holds nothing personal.
func (b *bench) replays(id kiosk.SessionID) {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, string(id)+".trace"))
	if err != nil {
		b.t.Fatal(err)
	}
	sum, err := trace.Replay(bytes.NewReader(text))
	if err != nil || len(sum.Mismatches) > 0 || !sum.Whole {
		b.t.Errorf("trace: whole %v, %v, %v", sum.Whole, sum.Mismatches, err)
	}
	for _, secret := range []string{"secret-token", "user-1", "pixels", "corr-1"} {
		if bytes.Contains(text, []byte(secret)) {
			b.t.Errorf("the trace holds %q", secret)
		}
	}
}

// TestTheBestFramesGoOnAsTheCameraMadeThem gives each frame a quality of its own: of
// each hold the best one is stored, in the camera's own bytes, beside its own
// measurements; a better one outside of the hold is not.
func TestTheBestFramesGoOnAsTheCameraMadeThem(t *testing.T) {
	for _, tt := range []struct {
		name      string
		far, near kiosk.FrameID // the best of the hold: the far one is of frames 1 to 12, the near one of 24 to 35
	}{
		{"the first", 1, 24},
		{"in the middle", 7, 30},
		{"the last", 12, 35},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, flow.State{})
				b.score = func(id kiosk.FrameID) float32 {
					switch {
					case id == tt.far, id == tt.near:
						return 90
					case id > 12 && id < 24: // still far away in the near pose
						return 99
					default:
						return 60 + float32(id%20)
					}
				}
				id := b.launch(launch())
				b.tap(id, kiosk.Agree)
				b.tap(id, kiosk.Ready)
				b.look(1500*time.Millisecond, 0.33, 0.9)
				b.wait(300 * time.Millisecond) // to come closer
				b.look(2500*time.Millisecond, 0.53, 0.9)
				b.outbox.mu.Lock()
				defer b.outbox.mu.Unlock()
				s := b.outbox.stored[kiosk.RecordID(string(id)+"-1")]
				for doc, want := range map[kiosk.Document]kiosk.FrameID{kiosk.Selfie: tt.far, kiosk.AdditionalSelfie: tt.near} {
					if got := s.Images[doc]; !bytes.Equal(got, pixels(want)) {
						t.Errorf("%s is %.30q, want %.30q", doc, got, pixels(want))
					}
				}
				var meta struct {
					Captures map[kiosk.Pose]struct{ Frame kiosk.FrameID }
				}
				if err := json.Unmarshal(s.Metadata, &meta); err != nil || meta.Captures[kiosk.Far].Frame != tt.far || meta.Captures[kiosk.Near].Frame != tt.near {
					t.Errorf("%v: metadata %s", err, s.Metadata)
				}
			})
		})
	}
}

// TestAPictureThatWouldBeRefusedCostsNoneThatIsKept has each frame of a hold look
// better than the one before, and all but the first too small.
func TestAPictureThatWouldBeRefusedCostsNoneThatIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, flow.State{})
		b.score = func(id kiosk.FrameID) float32 { return min(90, 60+float32(id)/4) }
		b.pixels = func(id kiosk.FrameID) []byte {
			if id == 1 || id == 30 { // of the far pose, and of the near one
				return pixels(id)
			}
			return []byte{0xff, 0xd8, 1}
		}
		id := b.launch(launch())
		b.capture(id, 0.9)
		b.outbox.mu.Lock()
		defer b.outbox.mu.Unlock()
		s := b.outbox.stored[kiosk.RecordID(string(id)+"-1")]
		for doc, want := range map[kiosk.Document]kiosk.FrameID{kiosk.Selfie: 1, kiosk.AdditionalSelfie: 30} {
			if got := s.Images[doc]; !bytes.Equal(got, pixels(want)) {
				t.Errorf("%s is %.30q, want %.30q", doc, got, pixels(want))
			}
		}
	})
}

// TestWhatTheGatewayWouldRefuseIsNeverSaved shows the same session with frames of a
// size that the gateway takes, and just beyond.
func TestWhatTheGatewayWouldRefuseIsNeverSaved(t *testing.T) {
	for size, saved := range map[int]bool{
		kiosk.EvidenceMin - 1: false, kiosk.EvidenceMin: true, kiosk.EvidenceMax: true, kiosk.EvidenceMax + 1: false,
	} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, flow.State{})
				b.pixels = func(kiosk.FrameID) []byte { return append([]byte{0xff, 0xd8}, make([]byte, size-2)...) }
				id := b.launch(launch())
				b.capture(id, 0.9)
				b.wait(time.Second)
				b.outbox.mu.Lock()
				_, stored := b.outbox.stored[kiosk.RecordID(string(id)+"-1")]
				b.outbox.mu.Unlock()
				if stored != saved || saved == strings.Contains(b.log.String(), kiosk.ErrNoEvidence.Error()) {
					t.Errorf("stored: %v, want %v; screens %v\n%s", stored, saved, b.screens(), b.log.String())
				}
			})
		})
	}
}

func TestSavedOfflineAndCompletedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, flow.State{})
		id := b.launch(launch())
		b.capture(id, 0.9)
		record := kiosk.RecordID(string(id) + "-1")
		if err := b.Deferred(t.Context(), record); err != nil {
			t.Fatal(err)
		}
		b.wait(10 * time.Second)
		r, _ := b.Result(id)
		if r.Status != kiosk.NotCompleted || r.Detail != kiosk.Saved || r.Detail.Retriable() {
			t.Errorf("result %+v: want saved, and not retriable", r)
		}
		if v := b.view(); v.Screen != kiosk.SavedScreen || len(v.Receipt) != 8 {
			t.Errorf("view %+v", v)
		}
		b.wait(time.Hour)
		next := b.launch(kiosk.Launch{CorrelationID: "corr-2", UserID: "u", Locale: kiosk.Indonesian, Theme: kiosk.Dark})
		if err := b.Answered(t.Context(), kiosk.Receipt{Record: record, Session: id, Action: kiosk.ExitSuccess}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want := kiosk.Result{Session: id, CorrelationID: "corr-1", Status: kiosk.Completed}
		if r, _ := b.Result(id); r != want {
			t.Errorf("result %+v, want %+v", r, want)
		}
		if got := b.results(id); len(got) != 2 || got[0].Detail != kiosk.Saved || got[1] != want {
			t.Errorf("told %+v, want saved, and then completed", got)
		}
		if s := b.State(); s.Session != next || s.Phase != flow.Consent {
			t.Errorf("the next visitor is at %s", s.Phase)
		}
	})
}

// results returns the results that were told of a session.
func (b *bench) results(id kiosk.SessionID) []kiosk.Result {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []kiosk.Result
	for _, e := range b.events {
		if e.Kind == kiosk.EventResult && e.Session == id {
			if e.Text != string(e.Result.Status) {
				b.t.Errorf("the event says %s and holds %+v", e.Text, *e.Result)
			}
			out = append(out, *e.Result)
		}
	}
	return out
}

// TestTheLastWordOnASavedCapture tells each answer twice, to the station that
// saved the capture and to one that was started since.
func TestTheLastWordOnASavedCapture(t *testing.T) {
	for _, tt := range []struct {
		name    string
		receipt kiosk.Receipt
		want    kiosk.Result
	}{
		{"approved", kiosk.Receipt{Action: kiosk.ExitSuccess}, kiosk.Result{Status: kiosk.Completed}},
		{"not approved", kiosk.Receipt{Action: kiosk.ExitFailure}, kiosk.Result{Status: kiosk.Errored, Error: kiosk.VerificationError, Detail: kiosk.VerificationFailed}},
		{"other pictures are wanted, and the person has left", kiosk.Receipt{Action: kiosk.Retry}, kiosk.Result{Status: kiosk.NotCompleted, Error: kiosk.VerificationError, Detail: kiosk.VerificationFailed}},
		{"set aside for other pictures", kiosk.Receipt{Action: kiosk.ExitError, Reason: kiosk.NeedsRecapture}, kiosk.Result{Status: kiosk.NotCompleted, Error: kiosk.VerificationError, Detail: kiosk.VerificationFailed}},
		{"never judged", kiosk.Receipt{Action: kiosk.ExitError, Reason: "FORBIDDEN"}, kiosk.Result{Status: kiosk.Errored, Error: kiosk.GatewayAPIError, Detail: kiosk.APIError}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, flow.State{})
				id := b.launch(launch())
				b.capture(id, 0.9)
				b.tap(id, kiosk.Done) // in Waiting: it is saved
				for session, correlation := range map[kiosk.SessionID]string{id: "corr-1", "before-the-restart": ""} {
					r, want := tt.receipt, tt.want
					r.Session, r.Record, r.SubmissionID = session, kiosk.RecordID(string(session)+"-1"), "sub-1"
					want.Session, want.CorrelationID, want.SubmissionID = session, correlation, "sub-1"
					before := len(b.results(session))
					for range 2 {
						if err := b.Answered(t.Context(), r); err != nil {
							t.Fatal(err)
						}
					}
					synctest.Wait()
					if got := b.results(session)[before:]; len(got) != 1 || got[0] != want {
						t.Errorf("told %+v, want %+v once", got, want)
					}
					if got, known := b.Result(session); !known || got != want {
						t.Errorf("result %+v, want %+v", got, want)
					}
				}
			})
		})
	}
}

// TestARecordThatWasTriedAgainHasALastWord sets a record aside and has it
// judged after all.
func TestARecordThatWasTriedAgainHasALastWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, flow.State{})
		id := b.launch(launch())
		b.capture(id, 0.9)
		b.tap(id, kiosk.Done)
		receipt := kiosk.Receipt{Session: id, Record: kiosk.RecordID(string(id) + "-1"), SubmissionID: "sub-1"}
		for _, action := range []kiosk.Action{kiosk.ExitError, kiosk.ExitSuccess} {
			receipt.Action = action
			for range 2 {
				if err := b.Answered(t.Context(), receipt); err != nil {
					t.Fatal(err)
				}
			}
		}
		synctest.Wait()
		if got := b.results(id); len(got) != 3 || got[1].Detail != kiosk.APIError || got[2].Status != kiosk.Completed {
			t.Errorf("told %+v, want saved, not delivered, and completed", got)
		}
		if r, _ := b.Result(id); r.Status != kiosk.Completed || r.Detail != kiosk.NoDetail || r.CorrelationID != "corr-1" {
			t.Errorf("result %+v, want completed", r)
		}
	})
}

// TestAnAnswerAboutAnEarlierAttemptChangesNothing saves a second attempt after
// the gateway wanted other pictures than those of the first.
func TestAnAnswerAboutAnEarlierAttemptChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, flow.State{})
		id := b.launch(launch())
		b.capture(id, 0.9)
		retry := kiosk.Receipt{Session: id, Record: kiosk.RecordID(string(id) + "-1"), SubmissionID: "sub-1", Action: kiosk.Retry}
		answer := func(r kiosk.Receipt) {
			t.Helper()
			if err := b.Answered(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		answer(retry)
		if r, _ := b.Result(id); r.Status != kiosk.Running || r.SubmissionID != "" {
			t.Errorf("result %+v while the visitor tries again", r)
		}
		b.tap(id, kiosk.Resume)
		b.look(1500*time.Millisecond, 0.33, 0.9)
		b.look(2500*time.Millisecond, 0.53, 0.9)
		b.tap(id, kiosk.Done)
		answer(retry) // told again, as after a restart
		if r, _ := b.Result(id); r.Detail != kiosk.Saved {
			t.Errorf("result %+v, want saved: the second attempt is", r)
		}
		answer(kiosk.Receipt{Session: id, Record: kiosk.RecordID(string(id) + "-2"), SubmissionID: "sub-2", Action: kiosk.ExitSuccess})
		answer(retry)
		if r, _ := b.Result(id); r.Status != kiosk.Completed || r.SubmissionID != "sub-2" {
			t.Errorf("result %+v, want the second attempt's", r)
		}
		if got := b.results(id); len(got) != 2 {
			t.Errorf("told %+v, want saved, and then completed", got)
		}
	})
}

func TestResultsOfManySessionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, flow.State{})
		for n := range 257 {
			s := kiosk.SessionID("s" + strconv.Itoa(n))
			if err := b.Answered(t.Context(), kiosk.Receipt{Session: s, Record: kiosk.RecordID(s), Action: kiosk.ExitSuccess}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		_, first := b.Result("s0")
		_, second := b.Result("s1")
		if first || !second {
			t.Errorf("the oldest is known: %v, the next: %v; want the newest 256", first, second)
		}
	})
}

func TestWhatCannotBeStoredIsNotCalledSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, flow.State{})
		b.outbox.err = errors.New("no space left on device")
		id := b.launch(launch())
		b.capture(id, 0.9)
		if got := b.screens(); slices.Contains(got, kiosk.WaitingScreen) || got[len(got)-1] != kiosk.StaffScreen {
			t.Errorf("screens %v", got)
		}
		if r, _ := b.Result(id); r.Status != kiosk.Errored {
			t.Errorf("result %+v", r)
		}
	})
}

func TestLaunchesThatAreTurnedDown(t *testing.T) {
	for _, tt := range []struct {
		name string
		mend func(*bench, *kiosk.Launch)
		want kiosk.LaunchError
	}{
		{"no correlation id", func(_ *bench, l *kiosk.Launch) { l.CorrelationID = "" }, kiosk.LaunchError{Code: kiosk.MissingField, Field: "correlationId"}},
		{"neither token nor user", func(_ *bench, l *kiosk.Launch) { l.Token, l.UserID = "", "" }, kiosk.LaunchError{Code: kiosk.MissingField, Field: "token"}},
		{"an unknown language", func(_ *bench, l *kiosk.Launch) { l.Locale = "f r" }, kiosk.LaunchError{Code: kiosk.ConfigInvalid, Field: "locale"}},
		{"an unknown theme", func(_ *bench, l *kiosk.Launch) { l.Theme = "PINK" }, kiosk.LaunchError{Code: kiosk.ConfigInvalid, Field: "theme"}},
		{"a header injection", func(_ *bench, l *kiosk.Launch) { l.CorrelationID = "a\r\nx: y" }, kiosk.LaunchError{Code: kiosk.ConfigInvalid, Field: "correlationId"}},
		{"another gateway", func(_ *bench, l *kiosk.Launch) { l.BaseURL = "https://evil.test" }, kiosk.LaunchError{Code: kiosk.NotAllowListed, Field: "baseUrl"}},
		{"a correlation id used before", func(b *bench, _ *kiosk.Launch) { b.outbox.used["corr-1"] = true }, kiosk.LaunchError{Code: kiosk.ConfigInvalid, Field: "correlationId", Reused: true}},
		{"a full outbox", func(b *bench, _ *kiosk.Launch) { b.outbox.admit = kiosk.ErrQueueFull }, kiosk.LaunchError{Code: kiosk.UnknownError, Busy: true}},
		{"another session", func(b *bench, _ *kiosk.Launch) { l := launch(); l.CorrelationID = "corr-0"; b.launch(l) }, kiosk.LaunchError{Code: kiosk.UnknownError, Busy: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, flow.State{})
				l := launch()
				tt.mend(b, &l)
				_, err := b.Launch(t.Context(), l)
				var got *kiosk.LaunchError
				if !errors.As(err, &got) {
					t.Fatalf("launch: %v", err)
				}
				tt.want.Reason = got.Reason
				if *got != tt.want {
					t.Errorf("launch: %+v, want %+v", *got, tt.want)
				}
				if strings.Contains(err.Error(), "secret") {
					t.Errorf("the error tells the token: %v", err)
				}
			})
		})
	}
}

func TestOutOfServiceUntilTheFaultIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, flow.State{Model: true, Camera: true})
		var down *kiosk.LaunchError
		if _, err := b.Launch(t.Context(), launch()); !errors.As(err, &down) || !down.Down {
			t.Errorf("launch: %v", err)
		}
		for _, f := range []kiosk.Fault{kiosk.ModelFault, kiosk.CameraFault} {
			if err := b.Fault(t.Context(), f, false); err != nil {
				t.Fatal(err)
			}
		}
		b.launch(launch())
		want := []kiosk.Screen{kiosk.OutOfServiceScreen, kiosk.IdleScreen, kiosk.ConsentScreen}
		if got := b.screens(); !slices.Equal(got, want) {
			t.Errorf("screens %v, want %v", got, want)
		}
	})
}

func TestOnlyTheNewestTracesAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, flow.State{})
		for _, corr := range []string{"a", "b", "c"} {
			l := launch()
			l.CorrelationID = corr
			b.tap(b.launch(l), kiosk.Cancel)
			b.wait(time.Hour)
		}
		files, err := os.ReadDir(b.dir)
		if err != nil || len(files) != 2 {
			t.Errorf("%d traces kept, %v; want 2", len(files), err)
		}
	})
}

// TestABreachVoidsTheSession opens the case in each part of a session: nothing
// that was held stays, and no later word of the gateway changes the result.
func TestABreachVoidsTheSession(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before func(*bench, kiosk.SessionID)
		stored int
	}{
		{"before consent", func(*bench, kiosk.SessionID) {}, 0},
		{"with a frame held", func(b *bench, id kiosk.SessionID) {
			b.tap(id, kiosk.Agree)
			b.tap(id, kiosk.Ready)
			b.look(500*time.Millisecond, 0.33, 0.9)
		}, 0},
		{"with the capture stored", func(b *bench, id kiosk.SessionID) { b.capture(id, 0.9) }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, flow.State{})
				id := b.launch(launch())
				tt.before(b, id)
				if err := errors.Join(b.Void(t.Context(), kiosk.TamperBreach), b.Fault(t.Context(), kiosk.TamperFault, true)); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if v := b.view(); v.Screen != kiosk.StaffScreen || b.watching.Load() {
					t.Errorf("screen %s, camera on: %v", v.Screen, b.watching.Load())
				}
				record := kiosk.RecordID(string(id) + "-1")
				if err := b.Answered(t.Context(), kiosk.Receipt{Record: record, Session: id, Action: kiosk.ExitSuccess}); err != nil {
					t.Fatal(err)
				}
				want := kiosk.Result{Session: id, CorrelationID: "corr-1", Status: kiosk.Errored, Error: kiosk.SecurityError, Detail: kiosk.Tampered}
				if r, _ := b.Result(id); r != want || r.Detail.Retriable() {
					t.Errorf("result %+v, want %+v, not to be retried", r, want)
				}
				if n := len(b.outbox.stored); n != tt.stored {
					t.Errorf("%d captures are stored, want %d", n, tt.stored)
				}
				b.mu.Lock()
				at := slices.IndexFunc(b.events, func(e kiosk.Event) bool {
					return e.Kind == kiosk.EventVoided && e.Session == id && e.Text == string(kiosk.TamperBreach)
				})
				b.mu.Unlock()
				if at < 0 {
					t.Errorf("no event tells that it was voided")
				}
				b.wait(time.Minute)
				if v := b.view(); v.Screen != kiosk.OutOfServiceScreen || v.Fault != kiosk.TamperFault {
					t.Errorf("screen %s with fault %q", v.Screen, v.Fault)
				}
				b.replays(id)
			})
		})
	}
}

// TestAnotherCameraVoidsTheSession swaps the camera while a frame of the first
// one is held. The first one may come back.
func TestAnotherCameraVoidsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, flow.State{})
		id := b.launch(launch())
		b.tap(id, kiosk.Agree)
		b.tap(id, kiosk.Ready)
		open := func(camera string, trusted bool) {
			t.Helper()
			if err := b.Opened(t.Context(), camera, trusted); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		open("driver=a bus=1", true)
		b.look(500*time.Millisecond, 0.33, 0.9)
		open("driver=a bus=1", true)
		if v := b.view(); v.Screen != kiosk.GuidingScreen {
			t.Fatalf("screen %s with the same camera", v.Screen)
		}
		open("driver=a bus=2", false)
		if v := b.view(); v.Screen != kiosk.StaffScreen || b.watching.Load() {
			t.Errorf("screen %s, camera on: %v", v.Screen, b.watching.Load())
		}
		if r, _ := b.Result(id); r.Detail != kiosk.Tampered || r.Error != kiosk.SecurityError {
			t.Errorf("result %+v", r)
		}
		b.mu.Lock()
		told := slices.ContainsFunc(b.events, func(e kiosk.Event) bool {
			return e.Kind == kiosk.EventVoided && e.Session == id && e.Text == string(kiosk.SwapBreach)
		})
		b.mu.Unlock()
		if !told {
			t.Error("no event tells that it was voided")
		}
		b.wait(time.Minute)
		b.replays(id)
	})
}

// header is the first line of a session's trace.
func (b *bench) header(id kiosk.SessionID) trace.Header {
	b.t.Helper()
	f, err := os.Open(filepath.Join(b.dir, string(id)+".trace"))
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close()
	sum, err := trace.Replay(f)
	if err != nil || len(sum.Mismatches) > 0 {
		b.t.Fatalf("replay: %v, %v", err, sum.Mismatches)
	}
	return sum.Header
}

// TestTheNextSessionIsJudgedByAnotherPolicy has the running one end by its own:
// what stands in a trace is what judged.
func TestTheNextSessionIsJudgedByAnotherPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, flow.State{})
		was, next := flow.Standard(), flow.Standard()
		next.Guidance.Far.Max, next.ConsentIn = 0.39, time.Minute
		first := b.launch(launch())
		if err := b.Adopt(t.Context(), station.Adoption{Policy: next, Facts: map[string]string{"profile": "of today"}}); err != nil {
			t.Fatal(err)
		}
		b.wait(90 * time.Second) // longer than consent lasts by the next policy
		if s := b.State(); s.Phase != flow.Consent {
			t.Errorf("the running session is in %s", s.Phase)
		}
		b.tap(first, kiosk.Decline)
		b.wait(time.Minute)
		l := launch()
		l.CorrelationID = "another"
		second := b.launch(l)
		b.wait(2 * time.Minute)
		for id, want := range map[kiosk.SessionID]struct {
			policy flow.Policy
			fact   string
		}{first: {was, ""}, second: {next, "of today"}} {
			if h := b.header(id); h.Policy != want.policy || h.Facts["profile"] != want.fact {
				t.Errorf("trace of %s has far %v and profile %q", id, h.Policy.Guidance.Far, h.Facts["profile"])
			}
		}
		next.Attempts = 0
		if b.Adopt(t.Context(), station.Adoption{Policy: next}) == nil {
			t.Error("an impossible policy is taken")
		}
	})
}

// TestWhatASessionTellsOfItsNetworks serves visitors in whom the networks believe,
// or not, or who leave.
func TestWhatASessionTellsOfItsNetworks(t *testing.T) {
	again := func(b *bench, live float32) { // waits for the next attempt, and holds
		b.wait(4 * time.Second)
		b.look(1500*time.Millisecond, 0.33, live)
		b.look(2500*time.Millisecond, 0.53, live)
	}
	answer := func(b *bench, id kiosk.SessionID, attempt string, a kiosk.Action) {
		r := kiosk.Receipt{Record: kiosk.RecordID(string(id) + "-" + attempt), Session: id, Action: a}
		if err := b.Answered(b.t.Context(), r); err != nil {
			b.t.Fatal(err)
		}
		synctest.Wait()
	}
	for _, tt := range []struct {
		name  string
		serve func(b *bench, id kiosk.SessionID)
		want  kiosk.Tally
	}{
		{"believed at once", func(b *bench, id kiosk.SessionID) {
			b.capture(id, 0.9)
			answer(b, id, "1", kiosk.ExitSuccess)
		}, kiosk.Tally{Submitted: true, Approved: true}},
		{"believed at the second attempt, and approved", func(b *bench, id kiosk.SessionID) {
			b.capture(id, 0.1)
			again(b, 0.9)
			answer(b, id, "2", kiosk.ExitSuccess)
		}, kiosk.Tally{Submitted: true, Approved: true, Disbelieved: 1}},
		{"believed at the second attempt, and refused", func(b *bench, id kiosk.SessionID) {
			b.capture(id, 0.1)
			again(b, 0.9)
			answer(b, id, "2", kiosk.ExitFailure)
		}, kiosk.Tally{Submitted: true, Disbelieved: 1}},
		{"approved while the screen still says saved", func(b *bench, id kiosk.SessionID) {
			b.capture(id, 0.1)
			again(b, 0.9)
			b.tap(id, kiosk.Done)
			answer(b, id, "2", kiosk.ExitSuccess)
		}, kiosk.Tally{Submitted: true, Approved: true, Disbelieved: 1}},
		{"never believed", func(b *bench, id kiosk.SessionID) {
			b.capture(id, 0.1)
			again(b, 0.1)
			again(b, 0.1)
		}, kiosk.Tally{Submitted: true, Flagged: true, Disbelieved: 3}},
		{"a recapture that the gateway asked for", func(b *bench, id kiosk.SessionID) {
			b.capture(id, 0.9)
			answer(b, id, "1", kiosk.Retry)
			b.tap(id, kiosk.Resume)
			b.look(1500*time.Millisecond, 0.33, 0.9)
			b.look(2500*time.Millisecond, 0.53, 0.9)
		}, kiosk.Tally{Submitted: true}},
		{"help instead of a capture", func(b *bench, id kiosk.SessionID) {
			b.tap(id, kiosk.Agree)
			b.tap(id, kiosk.Ready)
			b.tap(id, kiosk.Help)
		}, kiosk.Tally{Staff: true}},
		{"help while the gateway judges", func(b *bench, id kiosk.SessionID) {
			b.capture(id, 0.9)
			b.tap(id, kiosk.Help)
		}, kiosk.Tally{Submitted: true}},
		{"help before the camera", func(b *bench, id kiosk.SessionID) { b.tap(id, kiosk.Help) }, kiosk.Tally{}},
		{"left after an attempt", func(b *bench, id kiosk.SessionID) {
			b.capture(id, 0.1)
			b.tap(id, kiosk.Cancel)
		}, kiosk.Tally{Disbelieved: 1}},
		{"a fault", func(b *bench, id kiosk.SessionID) {
			b.tap(id, kiosk.Agree)
			b.tap(id, kiosk.Ready)
			if err := b.Fault(b.t.Context(), kiosk.StorageFault, true); err != nil {
				b.t.Fatal(err)
			}
			synctest.Wait()
		}, kiosk.Tally{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, flow.State{})
				id := b.launch(launch())
				tt.serve(b, id)
				applied := 0
				if err := b.Adopt(t.Context(), station.Adoption{Policy: flow.Standard(), Then: func() {
					b.mu.Lock()
					defer b.mu.Unlock()
					applied = len(b.tallies)
				}}); err != nil {
					t.Fatal(err)
				}
				b.wait(5 * time.Minute)
				b.mu.Lock()
				defer b.mu.Unlock()
				tt.want.Session = id
				if len(b.tallies) != 1 || b.tallies[0] != tt.want {
					t.Errorf("told %+v, want %+v", b.tallies, tt.want)
				}
				if applied != 1 {
					t.Error("another policy was adopted before the session was told of")
				}
			})
		})
	}
}

// TestTheCameraIsInTheMetadata captures with a camera that has an identity.
func TestTheCameraIsInTheMetadata(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, flow.State{})
		id := b.launch(launch())
		b.tap(id, kiosk.Agree)
		b.tap(id, kiosk.Ready)
		if err := b.Opened(t.Context(), "driver=a bus=1", true); err != nil {
			t.Fatal(err)
		}
		b.look(1500*time.Millisecond, 0.33, 0.9)
		b.look(2500*time.Millisecond, 0.53, 0.9)
		synctest.Wait()
		for _, sub := range b.outbox.stored {
			if !strings.Contains(string(sub.Metadata), `"camera":"driver=a bus=1"`) {
				t.Errorf("metadata %s", sub.Metadata)
			}
			return
		}
		t.Error("nothing was stored")
	})
}

// TestADarkKioskCanBeLaunched leaves the kiosk alone until its screen is dark.
func TestADarkKioskCanBeLaunched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, flow.State{})
		for _, here := range []bool{false, true, false} {
			if err := b.Present(t.Context(), here); err != nil {
				t.Fatal(err)
			}
			b.wait(2 * time.Minute)
		}
		id := b.launch(launch())
		synctest.Wait()
		want := []kiosk.Screen{kiosk.IdleScreen, kiosk.RestingScreen, kiosk.IdleScreen, kiosk.RestingScreen, kiosk.ConsentScreen}
		if got := b.screens(); !slices.Equal(got, want) {
			t.Errorf("screens %v, want %v", got, want)
		}
		if b.watching.Load() {
			t.Error("presence woke the camera")
		}
		b.tap(id, kiosk.Cancel)
	})
}

// TestADrainEndsNoSession also holds that a launch meets it the moment that Drain
// has returned.
func TestADrainEndsNoSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, flow.State{})
		id := b.launch(launch())
		if err := b.Drain(t.Context(), true); err != nil || !b.State().Update || b.State().Phase != flow.Consent {
			t.Fatalf("Drain() = %v, and then %+v", err, b.State())
		}
		b.tap(id, kiosk.Decline)
		b.wait(time.Minute)
		if v := b.view(); v.Screen != kiosk.OutOfServiceScreen || v.Fault != kiosk.UpdateFault {
			t.Errorf("screen %s with fault %q after the session", v.Screen, v.Fault)
		}
		_, err := b.Launch(t.Context(), launch())
		if le, is := errors.AsType[*kiosk.LaunchError](err); !is || !le.Busy || !le.Down || !strings.Contains(le.Reason, "update") {
			t.Errorf("a launch while draining: %v", err)
		}
		if err := b.Drain(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Launch(t.Context(), launch()); err != nil {
			t.Errorf("a launch after it: %v", err)
		}
		if err := b.Drain(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		b.replays(id)
	})
}
