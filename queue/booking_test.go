package queue_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"livekiosk/kiosk"
	"livekiosk/queue"
	"livekiosk/queue/queuetest"
)

const day = 24 * time.Hour

// pass lets time pass in a bubble.
func pass(d time.Duration) { <-time.After(d) }

// book makes the n-th sample booking, with a token unless it is "".
func book(tb testing.TB, q *queue.Queue, n int, token kiosk.UserToken) kiosk.Booking {
	tb.Helper()
	b := queuetest.Booking(n)
	b.Token = token
	if err := q.Book(tb.Context(), b); err != nil {
		tb.Fatal(err)
	}
	return b
}

// expected returns the correlation ids that are booked.
func expected(tb testing.TB, q *queue.Queue) string {
	tb.Helper()
	all, err := q.Bookings(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	var ids []string
	for _, b := range all {
		ids = append(ids, strings.TrimPrefix(b.CorrelationID, "correlation-canary-"))
	}
	return strings.Join(ids, " ")
}

func TestABookedPersonsTokenGoesWithTheirCapture(t *testing.T) {
	t.Parallel()
	soon := time.Now().Add(day)
	booked := kiosk.UserToken{Value: "token-canary-booked", Expires: soon}
	for name, tc := range map[string]struct {
		token kiosk.UserToken
		come  func(*kiosk.Submission)
		want  string // token of the job
		left  string // booked after that
	}{
		"without a token of their own":              {booked, nil, "token-canary-booked", "2"},
		"with one of their own":                     {booked, func(s *kiosk.Submission) { s.Token = "token-canary-own" }, "token-canary-own", "2"},
		"before it was fetched":                     {kiosk.UserToken{}, nil, "", "2"},
		"after it expired":                          {kiosk.UserToken{Value: "token-canary-old", Expires: time.Now().Add(-time.Second)}, nil, "", "2"},
		"never to another user":                     {booked, func(s *kiosk.Submission) { s.UserID = "user-canary-9" }, "", "1 2"},
		"never to another kind of user id":          {booked, func(s *kiosk.Submission) { s.UserIDType = "PHONE" }, "", "1 2"},
		"never to somebody who does not say who":    {booked, func(s *kiosk.Submission) { s.UserID, s.UserIDType = "", "" }, "", "1 2"},
		"never to the same user under another name": {booked, func(s *kiosk.Submission) { s.CorrelationID = "correlation-canary-9" }, "", "1 2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			o := options(t)
			o.Log = slog.New(slog.NewJSONHandler(&log, nil))
			q := open(t, o)
			book(t, q, 1, tc.token)
			book(t, q, 2, booked)
			s := queuetest.Submission(1, 1000)
			s.Token = ""
			if tc.come != nil {
				tc.come(s)
			}
			if err := q.Put(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			check := func() {
				t.Helper()
				job, err := q.Job(t.Context(), s.Record)
				if err != nil || job.Token != tc.want || string(job.Metadata) != string(s.Metadata) || job.UserID != s.UserID {
					t.Errorf("the job has the token %q, want %q; %v", job.Token, tc.want, err)
				}
				if got := expected(t, q); got != tc.left {
					t.Errorf("booked after that: %q, want %q", got, tc.left)
				}
			}
			check()
			shut(t, q)
			q = open(t, o)
			defer shut(t, q)
			check()
			if strings.Contains(log.String(), "canary") {
				t.Error("the log tells a token, a user or a correlation id")
			}
			if told := strings.Contains(log.String(), "another user"); told != (tc.left == "1 2" && s.CorrelationID != "correlation-canary-9") {
				t.Errorf("the log: %s", log.String())
			}
		})
	}
}

func TestACorrelationIDOfARecordCannotBeBooked(t *testing.T) {
	t.Parallel()
	q := queuetest.Open(t)
	refused := func(state string) {
		t.Helper()
		if err := q.Book(t.Context(), queuetest.Booking(1)); !errors.Is(err, kiosk.ErrBooked) {
			t.Errorf("%s: %v", state, err)
		}
	}
	s := put(t, q, 1, 1000)
	refused("pending")
	if err := q.Dead(t.Context(), s.Record, "poison"); err != nil {
		t.Fatal(err)
	}
	refused("dead")
	if err := q.Settle(t.Context(), s.Record, succeed(s.Record)); err != nil {
		t.Fatal(err)
	}
	refused("settled")

	// A booking whose correlation id a record got all the same is asked no
	// token for.
	book(t, q, 2, kiosk.UserToken{})
	other := queuetest.Submission(2, 1000)
	other.UserID = "user-canary-9"
	if err := q.Put(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if all, err := q.Unfetched(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("unfetched: %d, %v", len(all), err)
	}
}

func TestBookingsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pass(time.Until(time.Date(2026, time.May, 1, 0, 0, 0, 0, time.UTC)))
		o := options(t)
		o.MaxBookings = 3
		q := open(t, o)
		for n := range 3 {
			book(t, q, n, kiosk.UserToken{})
		}
		full := func() {
			t.Helper()
			if err := q.Book(t.Context(), queuetest.Booking(3)); !errors.Is(err, kiosk.ErrQueueFull) {
				t.Errorf("the fourth: %v", err)
			}
			if err := q.Book(t.Context(), queuetest.Booking(2)); err != nil {
				t.Errorf("the third again: %v", err)
			}
		}
		full()
		shut(t, q)
		q = open(t, o)
		defer shut(t, q)
		full()
		if err := q.Admit(t.Context()); err != nil {
			t.Errorf("bookings keep nobody from coming, but %v", err)
		}
		if err := q.Unbook(t.Context(), queuetest.Booking(0).CorrelationID); err != nil {
			t.Fatal(err)
		}
		book(t, q, 3, kiosk.UserToken{})
		if err := q.Book(t.Context(), queuetest.Booking(4)); !errors.Is(err, kiosk.ErrQueueFull) {
			t.Errorf("full again: %v", err)
		}
		pass(61 * day)
		if err := q.Book(t.Context(), queuetest.Booking(4)); err != nil {
			t.Errorf("when the others are too old: %v", err)
		}
		if got := expected(t, q); got != "4" {
			t.Errorf("booked: %q", got)
		}
	})
}

func TestOldBookingsGoAndAWrongClockTakesNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// The bubble's clock starts in 2000: the kiosk's was never set.
		o := options(t)
		q := open(t, o)
		defer shut(t, q)
		prune := func(want string) {
			t.Helper()
			if err := q.Prune(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := expected(t, q); got != want {
				t.Errorf("at %v: %q are booked, want %q", time.Now(), got, want)
			}
		}
		prune("")
		book(t, q, 1, kiosk.UserToken{})
		pass(100 * day)
		prune("1")
		ahead := queuetest.Booking(2)
		ahead.Booked = time.Date(2199, time.January, 1, 0, 0, 0, 0, time.UTC)
		if err := q.Book(t.Context(), ahead); err != nil {
			t.Fatal(err)
		}
		pass(time.Until(time.Date(2026, time.May, 1, 0, 0, 0, 0, time.UTC)))
		prune("1 2") // their 60 days begin now
		book(t, q, 3, kiosk.UserToken{})
		pass(30 * day)
		book(t, q, 3, kiosk.UserToken{}) // renews it
		before := commits(t, o.Path)
		prune("1 2 3")
		if n := commits(t, o.Path) - before; n != 1 {
			t.Errorf("pruning nothing took %d commits, want one that keeps the time", n)
		}
		pass(31 * day)
		prune("3")
		pass(30 * day)
		prune("")
	})
}

func TestABookingThatDoesNotOpenIsInNobodysWay(t *testing.T) {
	t.Parallel()
	bucket := func(t *testing.T, path string, change func(bookings *bbolt.Bucket, tag []byte) error) {
		t.Helper()
		tamper(t, path, func(pending *bbolt.Bucket) error {
			bookings := pending.Tx().Bucket([]byte("bookings"))
			k, _ := bookings.Cursor().First()
			return change(bookings, bytes.Clone(k))
		})
	}
	for name, change := range map[string]func(bookings *bbolt.Bucket, tag []byte) error{
		"empty":   func(b *bbolt.Bucket, tag []byte) error { return b.Put(tag, nil) },
		"no JSON": func(b *bbolt.Bucket, tag []byte) error { return b.Put(tag, []byte("nothing")) },
		"a changed byte": func(b *bbolt.Bucket, tag []byte) error {
			v := bytes.Clone(b.Get(tag))
			v[bytes.Index(v, []byte(`"sealed":"`))+80] ^= 1
			return b.Put(tag, v)
		},
		"another's": func(b *bbolt.Bucket, tag []byte) error {
			k, v := b.Cursor().Last()
			if bytes.Equal(k, tag) {
				return errors.New("there is no other one")
			}
			return b.Put(tag, bytes.Clone(v))
		},
		"another format": func(b *bbolt.Bucket, tag []byte) error {
			return b.Put(tag, bytes.Replace(b.Get(tag), []byte(`"format":1`), []byte(`"format":2`), 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t)
			q := open(t, o)
			for n := range 2 {
				book(t, q, n, kiosk.UserToken{Value: "token-canary"})
			}
			shut(t, q)
			bucket(t, o.Path, change)
			q = open(t, o)
			defer shut(t, q)
			left := expected(t, q)
			if left != "0" && left != "1" {
				t.Fatalf("booked: %q, want one of two", left)
			}
			broken := 1 - int(left[0]-'0')
			if all, err := q.Unfetched(t.Context()); err != nil || len(all) != 0 {
				t.Errorf("unfetched: %d, %v", len(all), err)
			}
			if err := q.Fetched(t.Context(), queuetest.Booking(broken), kiosk.UserToken{Value: "token-canary"}); !errors.Is(err, kiosk.ErrSealBroken) {
				t.Errorf("fetched: %v", err)
			}
			s := queuetest.Submission(broken, 1000)
			s.Token = ""
			s.CorrelationID = queuetest.Booking(broken).CorrelationID
			if err := q.Prune(t.Context()); err != nil {
				t.Error(err)
			}
			book(t, q, broken, kiosk.UserToken{Value: "token-canary-new"})
			if got := expected(t, q); len(got) != 3 {
				t.Errorf("booked anew: %q", got)
			}
			if err := q.Put(t.Context(), s); err != nil {
				t.Error(err)
			}
			if job, err := q.Job(t.Context(), s.Record); err != nil || job.Token != "token-canary-new" {
				t.Errorf("job: %q, %v", job.Token, err)
			}
		})
	}
}

func TestOutagesThatDoNotReadAreNone(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"empty":          "",
		"no JSON":        "gateway",
		"another format": `{"format":2,"outages":[]}`,
		"another kind":   `{"format":1,"outages":{"service":"gateway"}}`,
		"a wrong time":   `{"format":1,"outages":[{"service":"gateway","failures":1,"since":"yesterday"}]}`,
		"too many":       `{"format":1,"outages":[` + strings.Repeat(`{},`, 100) + `{}]}`,
		"too long":       `{"format":1,"outages":[{"service":"` + strings.Repeat("x", 10_000) + `"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			o := options(t)
			o.Log = slog.New(slog.NewJSONHandler(&log, nil))
			q := open(t, o)
			want := []kiosk.Outage{{Service: kiosk.GatewayService, Failures: 1}}
			if err := q.SetOutages(t.Context(), want); err != nil {
				t.Fatal(err)
			}
			shut(t, q)
			tamper(t, o.Path, func(pending *bbolt.Bucket) error {
				return pending.Tx().Bucket([]byte("outbox")).Put([]byte("outages"), []byte(value))
			})
			q = open(t, o)
			defer shut(t, q)
			if got, err := q.Outages(t.Context()); err != nil || len(got) != 0 {
				t.Errorf("got %v, %v", got, err)
			}
			if !strings.Contains(log.String(), "do not read") {
				t.Errorf("the log: %s", log.String())
			}
			if err := q.SetOutages(t.Context(), want); err != nil {
				t.Error(err)
			}
			if got, err := q.Outages(t.Context()); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("replaced by %v, %v", got, err)
			}
		})
	}
}

func TestTheSameOutagesAreWrittenOnce(t *testing.T) {
	t.Parallel()
	o := options(t)
	q := open(t, o)
	defer shut(t, q)
	all := []kiosk.Outage{{Service: kiosk.GatewayService, Trouble: kiosk.TroubleDNS, Failures: 1, Since: time.Now()}}
	before := commits(t, o.Path)
	for range 3 {
		if err := q.SetOutages(t.Context(), all); err != nil {
			t.Fatal(err)
		}
	}
	if n := commits(t, o.Path) - before; n != 1 {
		t.Errorf("three times the same took %d commits, want 1", n)
	}
	for name, all := range map[string][]kiosk.Outage{
		"too many":          make([]kiosk.Outage, 17),
		"an endless word":   {{Service: kiosk.Service(strings.Repeat("x", 1000))}},
		"a time beyond all": {{Since: time.Date(20_000, 1, 1, 0, 0, 0, 0, time.UTC)}},
	} {
		if err := q.SetOutages(t.Context(), all); err == nil {
			t.Errorf("%s: kept", name)
		}
	}
	if got, err := q.Outages(t.Context()); err != nil || len(got) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestARecordThatNeedsANewCaptureStaysForStaff(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.MaxRecords = 4
	q := open(t, o)
	first := put(t, q, 1, 100_000)
	verdict := kiosk.Receipt{Record: first.Record, Session: first.Session, SubmissionID: "sub-1", Action: kiosk.Retry, Reason: "INVALID"}
	if err := q.Recapture(t.Context(), first.Record, verdict); err != nil {
		t.Fatal(err)
	}
	find := func(id kiosk.RecordID) (string, kiosk.Entry) {
		t.Helper()
		entries, err := q.Entries(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Record == id {
				return strings.Join([]string{e.State, e.Reason, e.SubmissionID, string(e.Outcome), string(e.Session), fmt.Sprint(e.Attempt, e.Bytes)}, " "), e
			}
		}
		return "gone", kiosk.Entry{}
	}
	stays := func(after string) {
		t.Helper()
		const want = "dead needs_recapture sub-1  session-1 1 0"
		if got, e := find(first.Record); got != want || e.Queued.IsZero() {
			t.Errorf("after %s it is %q, want %q", after, got, want)
		}
	}
	stays("itself")
	for _, part := range [][]byte{[]byte("canary"), first.Images[kiosk.Selfie][1000:1032]} {
		if bytes.Contains(read(t, o.Path), part) {
			t.Error("something of the person is in the file")
		}
	}
	if err := q.Recapture(t.Context(), first.Record, kiosk.Receipt{SubmissionID: "sub-9"}); err != nil {
		t.Error(err)
	}
	stays("asking again")
	if err := q.Dead(t.Context(), first.Record, "poison"); err != nil {
		t.Error(err)
	}
	stays("another reason")
	if err := q.Put(t.Context(), first); err != nil {
		t.Error(err)
	}
	stays("the same capture")
	for what, change := range map[string]func(*kiosk.Submission){
		"another session":        func(s *kiosk.Submission) { s.Session = "session-9" },
		"another correlation id": func(s *kiosk.Submission) { s.CorrelationID = "correlation-canary-9" },
		"the same attempt":       func(s *kiosk.Submission) { s.Attempt = 1 },
	} {
		s := queuetest.Submission(1, 1000)
		s.Record, s.Attempt = kiosk.RecordID(what), 2
		change(s)
		if err := q.Put(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		stays("a capture of " + what)
		if err := q.Settle(t.Context(), s.Record, succeed(s.Record)); err != nil {
			t.Fatal(err)
		}
		stays("a verdict on a capture of " + what)
	}
	if err := q.Prune(t.Context()); err != nil {
		t.Error(err)
	}
	shut(t, q)
	q = open(t, o)
	defer func() { shut(t, q) }()
	stays("a restart")
	if q.Orphans != 0 {
		t.Errorf("%d orphans", q.Orphans)
	}

	// It takes no room, and the new capture ends it.
	for n := 2; n < 5; n++ {
		put(t, q, n, 1000)
	}
	second := queuetest.Submission(1, 1000)
	second.Record, second.Attempt = "session-1-2", 2
	before := commits(t, o.Path)
	if err := q.Put(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if n := commits(t, o.Path) - before; n != 1 {
		t.Errorf("it took %d commits, want 1", n)
	}
	const done = "done needs_recapture sub-1 RETRY session-1 1 0"
	if got, _ := find(first.Record); got != done {
		t.Errorf("once made good it is %q, want %q", got, done)
	}
	if got, _ := find(second.Record); !strings.HasPrefix(got, "queued") {
		t.Errorf("the new capture is %q", got)
	}
	if err := q.Put(t.Context(), queuetest.Submission(5, 1000)); !errors.Is(err, kiosk.ErrQueueFull) {
		t.Errorf("somebody else after that: %v", err)
	}
}

func TestTheGatewaysWordOnADeadLetterRemovesItsImages(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.MaxBytes = queue.SessionMax
	q := open(t, o)
	defer shut(t, q)
	s := put(t, q, 1, 100_000)
	if err := q.Dead(t.Context(), s.Record, "poison"); err != nil {
		t.Fatal(err)
	}
	if err := q.Admit(t.Context()); !errors.Is(err, kiosk.ErrQueueFull) {
		t.Fatalf("with its images: %v", err)
	}
	if err := q.Recapture(t.Context(), s.Record, kiosk.Receipt{Session: s.Session, SubmissionID: "sub", Action: kiosk.Retry}); err != nil {
		t.Fatal(err)
	}
	if err := q.Admit(t.Context()); err != nil {
		t.Errorf("without its images: %v", err)
	}
	entries, err := q.Entries(t.Context())
	if err != nil || len(entries) != 1 || entries[0].State != "dead" || entries[0].Reason != kiosk.NeedsRecapture || entries[0].SubmissionID != "sub" {
		t.Errorf("entries %+v, %v", entries, err)
	}
	if err := q.Settle(t.Context(), s.Record, succeed(s.Record)); err != nil {
		t.Errorf("settling it by name: %v", err)
	}
}
