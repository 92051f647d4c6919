package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/queue/queuetest"
)

// TestStaffDecideAboutDeadLetters decides about two over the daemon's socket.
func TestStaffDecideAboutDeadLetters(t *testing.T) {
	away := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	t.Cleanup(away.Close)
	l := newLab(t)
	q := l.hold()
	retried, dismissed := queuetest.Submission(1, 30<<10), queuetest.Submission(2, 30<<10)
	for _, s := range []*kiosk.Submission{retried, dismissed} {
		if err := q.Put(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if err := q.Dead(t.Context(), s.Record, "FORBIDDEN"); err != nil {
			t.Fatal(err)
		}
	}
	l.release(q)
	d := l.start("-gateway", away.URL, "-partner", away.URL)
	d.await("the outbox", healthy)
	if err := d.client.Retry(t.Context(), retried.Record); err != nil {
		t.Fatal(err)
	}
	if _, err := d.client.Drop(t.Context(), dismissed.Record, "came again"); err != nil {
		t.Fatal(err)
	}
	entries, err := d.client.Queue(t.Context())
	if err != nil || len(entries) != 2 || entries[0].Record != retried.Record || entries[0].State != "queued" ||
		entries[1].State != "done" || entries[1].Outcome != kiosk.ExitError || entries[1].Reason != "came again" {
		t.Errorf("the outbox lists %+v, %v", entries, err)
	}
	if refused, is := errors.AsType[*api.RefusalError](d.client.Retry(t.Context(), dismissed.Record)); !is || refused.HTTP != http.StatusNotFound {
		t.Errorf("answered %v, want 404", refused)
	}
	if log := d.log.String(); strings.Count(log, "staff acted on the outbox") != 3 || !strings.Contains(log, "uid") {
		t.Errorf("the log does not tell who decided:\n%s", log)
	}
}
