package api_test

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/queue"
	"livekiosk/queue/seal"
)

// openQueue opens the product's own outbox in dir, as a restart does.
func openQueue(t *testing.T, dir string) *queue.Queue {
	t.Helper()
	keys, err := seal.Store{Dir: filepath.Join(dir, "keys"), Kind: seal.FileStore}.Create(seal.X25519)
	if err != nil {
		t.Fatal(err)
	}
	q, err := queue.Open(t.Context(), queue.Options{Path: filepath.Join(dir, "outbox.db"), Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// serveQueue serves a kiosk that was just started with q.
func serveQueue(t *testing.T, q *queue.Queue) *api.Client {
	t.Helper()
	path := socketPath(t)
	l, err := api.Listen(t.Context(), path, "no-such-group")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorldOn(t, l, func(o *api.Options) { o.Queue, o.Bookings, o.Letters = q, q, q })
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- w.server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return api.NewClient(path)
}

// TestResultsSurviveARestart asks a kiosk that was started anew on the
// product's own outbox.
func TestResultsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	q := openQueue(t, dir)
	verification := func(s kiosk.ResultStatus) kiosk.Result {
		return kiosk.Result{Status: s, Error: kiosk.VerificationError, Detail: kiosk.VerificationFailed}
	}
	saved := kiosk.Result{Status: kiosk.NotCompleted, Error: kiosk.NetworkError, Detail: kiosk.Saved}
	tests := []struct {
		session kiosk.SessionID
		end     func(context.Context, kiosk.RecordID) error // nil: it waits
		want    kiosk.Result
	}{
		{"waits", nil, saved},
		{"is-confirmed", func(ctx context.Context, id kiosk.RecordID) error {
			return q.Mark(ctx, id, kiosk.Marks{SubmissionID: "sub-1", Confirmed: true})
		}, kiosk.Result{Status: kiosk.NotCompleted, Error: kiosk.NetworkError, Detail: kiosk.Saved, SubmissionID: "sub-1"}},
		{"is-approved", func(ctx context.Context, id kiosk.RecordID) error {
			return q.Settle(ctx, id, kiosk.Receipt{Action: kiosk.ExitSuccess, SubmissionID: "sub-2"})
		}, kiosk.Result{Status: kiosk.Completed, SubmissionID: "sub-2"}},
		{"is-refused", func(ctx context.Context, id kiosk.RecordID) error {
			return q.Settle(ctx, id, kiosk.Receipt{Action: kiosk.ExitFailure})
		}, verification(kiosk.Errored)},
		{"needs-recapture", func(ctx context.Context, id kiosk.RecordID) error {
			return q.Recapture(ctx, id, kiosk.Receipt{Action: kiosk.Retry})
		}, verification(kiosk.NotCompleted)},
		{"is-dead", func(ctx context.Context, id kiosk.RecordID) error {
			return q.Dead(ctx, id, "FORBIDDEN")
		}, kiosk.Result{Status: kiosk.Errored, Error: kiosk.GatewayAPIError, Detail: kiosk.APIError}},
	}
	for _, tt := range tests {
		id := kiosk.RecordID(tt.session + "-1")
		err := q.Put(t.Context(), &kiosk.Submission{
			Record: id, Session: tt.session, Attempt: 1, AttemptsLeft: 2, CorrelationID: "corr-" + string(tt.session), UserID: "u",
			Images: map[kiosk.Document][]byte{kiosk.Selfie: []byte("image")}, Metadata: []byte(`{}`),
		})
		if err == nil && tt.end != nil {
			err = tt.end(t.Context(), id)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	c := serveQueue(t, openQueue(t, dir))
	for _, tt := range tests {
		t.Run(string(tt.session), func(t *testing.T) {
			tt.want.Session = tt.session
			if got, err := c.Result(t.Context(), tt.session); err != nil || got != tt.want {
				t.Errorf("got %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

// TestBookingsOfTheOutbox books, lists and takes back over the socket.
func TestBookingsOfTheOutbox(t *testing.T) {
	q := openQueue(t, t.TempDir())
	c := serveQueue(t, q)
	began := time.Now().Add(-time.Minute)
	for _, id := range []string{"c/1", "c2"} {
		if b, err := c.Book(t.Context(), kiosk.Booking{CorrelationID: id, UserID: "u-" + id, Locale: kiosk.English}); err != nil || b.CorrelationID != id || b.Booked.Before(began) {
			t.Fatalf("Book() = %+v, %v", b, err)
		}
	}
	expires := time.Now().Add(60 * 24 * time.Hour).Round(time.Second)
	if err := q.Fetched(t.Context(), kiosk.Booking{CorrelationID: "c2", UserID: "u-c2"}, kiosk.UserToken{Value: "secret", Expires: expires}); err != nil {
		t.Fatal(err)
	}
	all, err := c.Bookings(t.Context())
	if err != nil || len(all) != 2 || all[0].CorrelationID != "c/1" || all[0].Fetched || !all[1].Fetched || !all[1].Expires.Equal(expires) {
		t.Fatalf("Bookings() = %+v, %v", all, err)
	}
	if err := c.Unbook(t.Context(), "c/1"); err != nil {
		t.Fatal(err)
	}
	if all, err = c.Bookings(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("Bookings() = %+v, %v; want one left", all, err)
	}
}

// TestStaffDecideAboutADeadLetter asks for the session's result on the way.
func TestStaffDecideAboutADeadLetter(t *testing.T) {
	q := openQueue(t, t.TempDir())
	c := serveQueue(t, q)
	const id, session = kiosk.RecordID("s/1"), kiosk.SessionID("s")
	result := func(status kiosk.ResultStatus, detail kiosk.DetailedCode) {
		t.Helper()
		if r, err := c.Result(t.Context(), session); err != nil || r.Status != status || r.Detail != detail {
			t.Errorf("the result is %+v, %v; want %s %d", r, err, status, detail)
		}
	}
	err := q.Put(t.Context(), &kiosk.Submission{
		Record: id, Session: session, Attempt: 1, CorrelationID: "c", UserID: "u",
		Images: map[kiosk.Document][]byte{kiosk.Selfie: []byte("image")}, Metadata: []byte(`{}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	result(kiosk.NotCompleted, kiosk.Saved)
	for _, decide := range []func() error{
		func() error { return c.Retry(t.Context(), id) },
		func() error { _, err := c.Drop(t.Context(), id, "came again"); return err },
	} {
		if err := q.Dead(t.Context(), id, "FORBIDDEN"); err != nil {
			t.Fatal(err)
		}
		result(kiosk.Errored, kiosk.APIError)
		if err := decide(); err != nil {
			t.Fatal(err)
		}
		if ids, err := q.Pending(t.Context()); err == nil && len(ids) == 1 {
			result(kiosk.NotCompleted, kiosk.Saved)
		}
	}
	result(kiosk.Errored, kiosk.APIError)
	entries, err := c.Queue(t.Context())
	if err != nil || len(entries) != 1 || entries[0].State != "done" || entries[0].Reason != "came again" || entries[0].Outcome != kiosk.ExitError {
		t.Errorf("the outbox lists %+v, %v", entries, err)
	}
	if refused, is := errors.AsType[*api.RefusalError](c.Retry(t.Context(), id)); !is || refused.HTTP != http.StatusNotFound {
		t.Errorf("a retry after that: %+v", refused)
	}
}
