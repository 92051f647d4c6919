package queue_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

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
