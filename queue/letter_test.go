package queue_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue"
	"livekiosk/queue/queuetest"
)

// listed returns the sessions of the entries in a state, in their order.
func listed(tb testing.TB, q *queue.Queue, state string) string {
	tb.Helper()
	entries, err := q.Entries(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	var sessions []string
	for _, e := range entries {
		if e.State == state {
			sessions = append(sessions, strings.TrimPrefix(string(e.Session), "session-"))
		}
	}
	return strings.Join(sessions, " ")
}

func TestRecordsThatNeedANewCaptureKeepNobodyOut(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	o := options(t)
	o.MaxRecords, o.HistoryMax, o.Log = 4, 5, slog.New(slog.NewJSONHandler(&log, nil))
	q := open(t, o)
	defer func() { shut(t, q) }()
	recapture := func(n int) {
		t.Helper()
		s := put(t, q, n, 1000)
		if err := q.Recapture(t.Context(), s.Record, kiosk.Receipt{SubmissionID: fmt.Sprint("sub-", n), Action: kiosk.Retry}); err != nil {
			t.Fatal(err)
		}
	}
	room := func(want bool) {
		t.Helper()
		if err := q.Admit(t.Context()); (err == nil) != want {
			t.Errorf("admit: %v, want room: %v", err, want)
		}
	}
	for n := range 5 {
		recapture(n)
		room(true)
	}
	if got := listed(t, q, "dead"); got != "0 1 2 3 4" || log.Len() > 0 {
		t.Errorf("listed: %q; log: %s", got, log.String())
	}
	shut(t, q)
	q = open(t, o)
	room(true)

	// One with images is in the way, and the oldest without are not kept.
	full := put(t, q, 5, 1000)
	room(true)
	if err := q.Dead(t.Context(), full.Record, kiosk.NeedsRecapture); err != nil {
		t.Fatal(err)
	}
	recapture(6)
	recapture(7)
	if got := listed(t, q, "dead"); got != "2 3 4 5 6 7" {
		t.Errorf("listed: %q", got)
	}
	if got := listed(t, q, "done"); got != "1 0" {
		t.Errorf("history: %q", got)
	}
	if n := strings.Count(log.String(), "too many records"); n != 2 || !strings.Contains(log.String(), "session-0-1") {
		t.Errorf("the log: %s", log.String())
	}
	room(true)
	other := put(t, q, 8, 1000)
	room(false)

	// What counted once is counted out once, whatever becomes of it.
	if err := q.Recapture(t.Context(), full.Record, kiosk.Receipt{}); err != nil {
		t.Fatal(err)
	}
	room(true)
	next := queuetest.Submission(7, 1000)
	next.Record, next.Attempt = "session-7-2", 2
	if err := q.Put(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	room(false)
	for _, id := range []kiosk.RecordID{other.Record, next.Record, "session-6-1"} {
		if err := q.Settle(t.Context(), id, succeed(id)); err != nil {
			t.Fatal(err)
		}
	}
	for n := 10; n < 14; n++ {
		put(t, q, n, 1000)
	}
	if err := q.Put(t.Context(), queuetest.Submission(14, 1000)); err == nil {
		t.Error("the fifth of four records was taken")
	}
}

// entry returns what staff see of a record: state, reason, outcome and bytes.
func entry(tb testing.TB, q *queue.Queue, id kiosk.RecordID) string {
	tb.Helper()
	entries, err := q.Entries(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range entries {
		if e.Record == id {
			return fmt.Sprintf("%s %q %q %v", e.State, e.Reason, e.Outcome, e.Bytes > 0)
		}
	}
	return "unknown"
}

func TestADeadLetterIsRevivedAtItsPlace(t *testing.T) {
	t.Parallel()
	both := map[kiosk.Document]bool{kiosk.Selfie: true, kiosk.AdditionalSelfie: true}
	waited := kiosk.Pace{Failures: 9, Polls: 3, Polling: time.Now(), NotBefore: time.Now().Add(time.Hour)}
	for name, tc := range map[string]struct {
		marks *kiosk.Marks
		want  string // state
	}{
		"never marked":    {nil, "queued"},
		"with a token":    {&kiosk.Marks{Token: "token-canary", Pace: waited}, "queued"},
		"submitted":       {&kiosk.Marks{SubmissionID: "sub", Pace: waited}, "submitted"},
		"uploaded":        {&kiosk.Marks{SubmissionID: "sub", Uploaded: both}, "uploaded"},
		"confirmed":       {&kiosk.Marks{SubmissionID: "sub", Uploaded: both, Confirmed: true, Pace: waited}, "confirmed"},
		"only one upload": {&kiosk.Marks{SubmissionID: "sub", Uploaded: map[kiosk.Document]bool{kiosk.Selfie: true}}, "submitted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			o := options(t)
			o.Log = slog.New(slog.NewJSONHandler(&log, nil))
			q := open(t, o)
			first, s, last := put(t, q, 0, 1000), put(t, q, 1, 1000), put(t, q, 2, 1000)
			if tc.marks != nil {
				if err := q.Mark(t.Context(), s.Record, *tc.marks); err != nil {
					t.Fatal(err)
				}
			}
			if err := q.Dead(t.Context(), s.Record, "FORBIDDEN"); err != nil {
				t.Fatal(err)
			}
			<-q.Wake()
			shut(t, q)
			q = open(t, o)
			for range 2 {
				if err := q.Revive(t.Context(), s.Record); err != nil {
					t.Fatal(err)
				}
			}
			if len(q.Wake()) != 1 {
				t.Error("nobody was woken")
			}
			check := func() {
				t.Helper()
				ids, err := q.Pending(t.Context())
				if err != nil || !slices.Equal(ids, []kiosk.RecordID{first.Record, s.Record, last.Record}) {
					t.Errorf("pending: %v, %v", ids, err)
				}
				if got := entry(t, q, s.Record); got != tc.want+` "" "" true` {
					t.Errorf("staff see %s", got)
				}
				job, err := q.Job(t.Context(), s.Record)
				want := kiosk.Marks{}
				if tc.marks != nil {
					want = *tc.marks
				}
				m := job.Marks
				if err != nil || m.Token != want.Token || m.SubmissionID != want.SubmissionID || len(m.Uploaded) != len(want.Uploaded) || m.Confirmed != want.Confirmed {
					t.Errorf("marks: %+v, %v", m, err)
				}
				if m.Pace != (kiosk.Pace{}) {
					t.Errorf("its waits go on: %+v", m.Pace)
				}
				image, err := q.Image(t.Context(), s.Record, kiosk.Selfie, nil)
				if err != nil || !bytes.Equal(image, s.Images[kiosk.Selfie]) {
					t.Errorf("its image: %v", err)
				}
			}
			check()
			shut(t, q)
			q = open(t, o)
			defer shut(t, q)
			check()
			if n := strings.Count(log.String(), "pending again"); n != 1 || !strings.Contains(log.String(), `"was":"FORBIDDEN"`) {
				t.Errorf("the log: %s", log.String())
			}
		})
	}
}

func TestWhatCannotBeRevivedIsNamed(t *testing.T) {
	t.Parallel()
	o := options(t)
	q := open(t, o)
	recaptured, settled, foreign := put(t, q, 1, 1000), put(t, q, 2, 1000), put(t, q, 3, 1000)
	if err := q.Recapture(t.Context(), recaptured.Record, kiosk.Receipt{}); err != nil {
		t.Fatal(err)
	}
	if err := q.Settle(t.Context(), settled.Record, succeed(settled.Record)); err != nil {
		t.Fatal(err)
	}
	if err := q.Mark(t.Context(), foreign.Record, kiosk.Marks{Token: "token-canary"}); err != nil {
		t.Fatal(err)
	}
	if err := q.Dead(t.Context(), foreign.Record, "unreadable"); err != nil {
		t.Fatal(err)
	}
	shut(t, q)
	other := o
	other.Keys = queuetest.Keys(t)
	q = open(t, other)
	for id, want := range map[kiosk.RecordID]error{
		"nobody": kiosk.ErrNoRecord, settled.Record: kiosk.ErrNoRecord,
		recaptured.Record: kiosk.ErrNoImages, foreign.Record: kiosk.ErrSealBroken,
	} {
		before := entry(t, q, id)
		if err := q.Revive(t.Context(), id); !errors.Is(err, want) {
			t.Errorf("revive %s: %v, want %v", id, err, want)
		}
		if got := entry(t, q, id); got != before {
			t.Errorf("%s was %s and is %s", id, before, got)
		}
	}
	if len(q.Wake()) != 0 {
		t.Error("woken by nothing")
	}
	shut(t, q)

	// Its key is back.
	q = open(t, o)
	defer shut(t, q)
	if err := q.Revive(t.Context(), foreign.Record); err != nil {
		t.Error(err)
	}
}

func TestStaffGiveADeadLetterUp(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	o := options(t)
	o.MaxRecords, o.Log = 3, slog.New(slog.NewJSONHandler(&log, nil))
	q := open(t, o)
	defer func() { shut(t, q) }()
	dead, _, recaptured := put(t, q, 1, 1000), put(t, q, 2, 1000), put(t, q, 3, 1000)
	if err := q.Mark(t.Context(), dead.Record, kiosk.Marks{SubmissionID: "sub"}); err != nil {
		t.Fatal(err)
	}
	if err := q.Dead(t.Context(), dead.Record, "FORBIDDEN"); err != nil {
		t.Fatal(err)
	}
	if err := q.Recapture(t.Context(), recaptured.Record, kiosk.Receipt{}); err != nil {
		t.Fatal(err)
	}
	const reason = "the person came again"
	if err := q.Drop(t.Context(), "nobody", "staff", reason); !errors.Is(err, kiosk.ErrNoRecord) {
		t.Errorf("dropped nobody: %v", err)
	}
	if err := q.Drop(t.Context(), dead.Record, "staff", ""); err == nil {
		t.Error("given up without a reason")
	}
	for _, id := range []kiosk.RecordID{dead.Record, recaptured.Record} {
		if err := q.Drop(t.Context(), id, "staff", reason); err != nil {
			t.Fatal(err)
		}
		if err := q.Drop(t.Context(), id, "staff", reason); !errors.Is(err, kiosk.ErrNoRecord) {
			t.Errorf("dropped twice: %v", err)
		}
		if err := q.Revive(t.Context(), id); !errors.Is(err, kiosk.ErrNoRecord) {
			t.Errorf("revived after that: %v", err)
		}
	}
	shut(t, q)
	q = open(t, o)
	for _, id := range []kiosk.RecordID{dead.Record, recaptured.Record} {
		if got := entry(t, q, id); got != `done "the person came again" "EXIT_ERROR" false` {
			t.Errorf("staff see %s", got)
		}
	}
	if n := strings.Count(log.String(), "dropped"); n != 2 || !strings.Contains(log.String(), reason) {
		t.Errorf("the log: %s", log.String())
	}
	put(t, q, 4, 1000)
	put(t, q, 5, 1000)
	if err := q.Put(t.Context(), queuetest.Submission(6, 1000)); !errors.Is(err, kiosk.ErrQueueFull) {
		t.Errorf("the fourth of three: %v", err)
	}
}
