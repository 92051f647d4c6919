// Package queuetest holds what tests of an outbox and of its users share:
// sample submissions, an outbox in a temporary directory, and the contract
// that every outbox keeps, a fake one too.
package queuetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue"
	"livekiosk/queue/seal"
)

// Key returns a device key that no file holds.
func Key(tb testing.TB) *seal.Key {
	tb.Helper()
	key, err := seal.Generate(seal.X25519)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// Keys returns a ring of one such key.
func Keys(tb testing.TB) *seal.Ring {
	tb.Helper()
	return seal.NewRing(Key(tb))
}

// Open returns an empty outbox in a directory of its own, closed when the test
// ends.
func Open(tb testing.TB) *queue.Queue {
	tb.Helper()
	return OpenWith(tb, queue.Options{Path: filepath.Join(tb.TempDir(), "queue.db"), Keys: Keys(tb)})
}

// OpenWith returns the outbox that o asks for, closed when the test ends.
func OpenWith(tb testing.TB, o queue.Options) *queue.Queue {
	tb.Helper()
	q, err := queue.Open(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := q.Close(); err != nil {
			tb.Errorf("close outbox: %v", err)
		}
	})
	return q
}

// Submission returns the n-th sample submission: the first attempt of a
// session of its own, with two random images of size bytes that begin like a
// JPEG. The same n and size give the same submission.
func Submission(n, size int) *kiosk.Submission {
	random := rand.New(rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16), 1})) //nolint:gosec // a sample
	image := func() []byte {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		copy(b, "\xff\xd8\xff\xe0")
		return b
	}
	session := kiosk.SessionID(fmt.Sprintf("session-%d", n))
	return &kiosk.Submission{
		Record: kiosk.RecordID(session + "-1"), Session: session, Attempt: 1, AttemptsLeft: 2,
		Review:        n%2 == 1,
		CorrelationID: fmt.Sprintf("correlation-canary-%d", n),
		Token:         fmt.Sprintf("token-canary-%d", n),
		UserID:        fmt.Sprintf("user-canary-%d", n),
		UserIDType:    "CUSTOMER_ID",
		Locale:        kiosk.Indonesian,
		Images:        map[kiosk.Document][]byte{kiosk.Selfie: image(), kiosk.AdditionalSelfie: image()},
		Metadata:      json.RawMessage(fmt.Sprintf(`{"canary":"metadata-canary-%d"}`, n)),
	}
}

// Booking returns the n-th sample booking: of the user and the correlation id
// of the n-th sample submission, without a token.
func Booking(n int) kiosk.Booking {
	s := Submission(n, 1)
	return kiosk.Booking{CorrelationID: s.CorrelationID, UserID: s.UserID, UserIDType: s.UserIDType, Locale: s.Locale}
}

// An Outbox is what a deliverer and its tests use of an outbox. See
// queue.Queue for the contract of each method.
type Outbox interface {
	Put(ctx context.Context, s *kiosk.Submission) error
	Pending(ctx context.Context) ([]kiosk.RecordID, error)
	Job(ctx context.Context, id kiosk.RecordID) (kiosk.Job, error)
	Image(ctx context.Context, id kiosk.RecordID, document kiosk.Document, into *[]byte) ([]byte, error)
	Mark(ctx context.Context, id kiosk.RecordID, m kiosk.Marks) error
	Settle(ctx context.Context, id kiosk.RecordID, r kiosk.Receipt) error
	Recapture(ctx context.Context, id kiosk.RecordID, r kiosk.Receipt) error
	Dead(ctx context.Context, id kiosk.RecordID, reason string) error
	Outages(ctx context.Context) ([]kiosk.Outage, error)
	SetOutages(ctx context.Context, all []kiosk.Outage) error
	Wake() <-chan struct{}
}

// Bookings are what an outbox offers those who expect people. See queue.Queue
// for the contract of each method.
type Bookings interface {
	Book(ctx context.Context, b kiosk.Booking) error
	Unbook(ctx context.Context, correlationID string) error
	Bookings(ctx context.Context) ([]kiosk.Booking, error)
	Unfetched(ctx context.Context) ([]kiosk.Booking, error)
	Fetched(ctx context.Context, b kiosk.Booking, token kiosk.UserToken) error
}

// Run holds the outboxes that open returns, each empty, against the contract.
func Run(t *testing.T, open func(t *testing.T) Outbox) {
	t.Helper()
	t.Run("a record comes back as it was put", func(t *testing.T) { roundTrip(t, open(t)) })
	t.Run("records are pending in the order they were put", func(t *testing.T) { order(t, open(t)) })
	t.Run("putting a record twice stores it once", func(t *testing.T) { twice(t, open(t)) })
	t.Run("marks replace each other", func(t *testing.T) { marks(t, open(t)) })
	t.Run("a settled record is gone and stays gone", func(t *testing.T) { settle(t, open(t)) })
	t.Run("a dead record is not pending", func(t *testing.T) { dead(t, open(t)) })
	t.Run("a record that needs a new capture is not pending", func(t *testing.T) { recapture(t, open(t)) })
	t.Run("outages are kept until others replace them", func(t *testing.T) { outages(t, open(t)) })
	t.Run("calls at the same time each get their own answer", func(t *testing.T) { together(t, open(t)) })
	t.Run("an unknown record is named as such", func(t *testing.T) { unknown(t, open(t)) })
	t.Run("a put wakes and tokens do not pile up", func(t *testing.T) { wake(t, open(t)) })
	t.Run("the images stay the caller's", func(t *testing.T) { ownership(t, open(t)) })
	t.Run("a cancelled call does nothing", func(t *testing.T) { cancelled(t, open(t)) })
}

// RunBookings holds the bookings that open returns, each empty, against the
// contract.
func RunBookings(t *testing.T, open func(t *testing.T) Bookings) {
	t.Helper()
	t.Run("a booking comes back without its token", func(t *testing.T) { bookings(t, open(t)) })
	t.Run("a correlation id is booked for one user", func(t *testing.T) { oneUser(t, open(t)) })
	t.Run("a booking is unfetched until it has a token that lives", func(t *testing.T) { unfetched(t, open(t)) })
	t.Run("what is unbooked is gone", func(t *testing.T) { unbooked(t, open(t)) })
	t.Run("a booking that cannot be used is refused", func(t *testing.T) { unusable(t, open(t)) })
}

func put(t *testing.T, o Outbox, n int) *kiosk.Submission {
	t.Helper()
	s := Submission(n, 1000)
	if err := o.Put(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return s
}

func pending(t *testing.T, o Outbox, want ...kiosk.RecordID) {
	t.Helper()
	got, err := o.Pending(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("pending: %v, want %v", got, want)
	}
}

func receipt(id kiosk.RecordID) kiosk.Receipt {
	return kiosk.Receipt{Record: id, SubmissionID: "sub", Action: kiosk.ExitSuccess, Reason: "COMPLETED"}
}

func roundTrip(t *testing.T, o Outbox) {
	t.Helper()
	s := put(t, o, 1)
	put(t, o, 2)
	job, err := o.Job(t.Context(), s.Record)
	if err != nil {
		t.Fatal(err)
	}
	if job.Queued.IsZero() {
		t.Error("the job does not say when it was queued")
	}
	for what, pair := range map[string][2]any{
		"record":         {job.Record, s.Record},
		"session":        {job.Session, s.Session},
		"attempt":        {job.Attempt, s.Attempt},
		"attempts left":  {job.AttemptsLeft, s.AttemptsLeft},
		"correlation id": {job.CorrelationID, s.CorrelationID},
		"token":          {job.Token, s.Token},
		"user id":        {job.UserID, s.UserID},
		"user id type":   {job.UserIDType, s.UserIDType},
		"locale":         {job.Locale, s.Locale},
		"metadata":       {string(job.Metadata), string(s.Metadata)},
		"marked":         {job.Marks.SubmissionID + job.Marks.Token, ""},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s came back as %v, want %v", what, pair[0], pair[1])
		}
	}
	for document, want := range s.Images {
		for range 2 {
			got, err := o.Image(t.Context(), s.Record, document, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s came back changed", document)
			}
			clear(got) // must not reach what is stored
		}
	}
}

func order(t *testing.T, o Outbox) {
	t.Helper()
	var want []kiosk.RecordID
	for _, n := range []int{5, 12, 3, 700, 41} {
		want = append(want, put(t, o, n).Record)
	}
	pending(t, o, want...)
	if err := o.Mark(t.Context(), want[1], kiosk.Marks{SubmissionID: "sub"}); err != nil {
		t.Fatal(err)
	}
	if err := o.Settle(t.Context(), want[0], receipt(want[0])); err != nil {
		t.Fatal(err)
	}
	pending(t, o, want[1:]...)
}

func twice(t *testing.T, o Outbox) {
	t.Helper()
	s := put(t, o, 1)
	again := Submission(2, 1000)
	again.Record = s.Record
	if err := o.Put(t.Context(), again); err != nil {
		t.Fatalf("the second put: %v", err)
	}
	pending(t, o, s.Record)
	job, err := o.Job(t.Context(), s.Record)
	if err != nil {
		t.Fatal(err)
	}
	if job.CorrelationID != s.CorrelationID {
		t.Error("the second put replaced the first")
	}
}

func marks(t *testing.T, o Outbox) {
	t.Helper()
	s := put(t, o, 1)
	began := time.Date(2026, time.May, 4, 3, 2, 1, 5, time.FixedZone("WIB", 7*3600))
	for _, want := range []kiosk.Marks{
		{Token: "t1"},
		{Token: "t1", SubmissionID: "s1"},
		{Token: "t2", SubmissionID: "s1", Uploaded: map[kiosk.Document]bool{kiosk.Selfie: true}},
		{Token: "t2", SubmissionID: "s1", Uploaded: map[kiosk.Document]bool{kiosk.Selfie: true, kiosk.AdditionalSelfie: true}, Confirmed: true},
		{SubmissionID: "s2", Pace: kiosk.Pace{Failures: 7, Polls: 31, Polling: began, NotBefore: began.Add(time.Minute)}},
		{SubmissionID: "s2", Pace: kiosk.Pace{Polls: 1}},
		{SubmissionID: "s2"},
	} {
		if err := o.Mark(t.Context(), s.Record, want); err != nil {
			t.Fatal(err)
		}
		job, err := o.Job(t.Context(), s.Record)
		if err != nil {
			t.Fatal(err)
		}
		got := job.Marks
		if got.Token != want.Token || got.SubmissionID != want.SubmissionID || got.Confirmed != want.Confirmed ||
			got.Uploaded[kiosk.Selfie] != want.Uploaded[kiosk.Selfie] ||
			got.Uploaded[kiosk.AdditionalSelfie] != want.Uploaded[kiosk.AdditionalSelfie] {
			t.Errorf("marked %+v, got %+v", want, got)
		}
		if got.Pace.Failures != want.Pace.Failures || got.Pace.Polls != want.Pace.Polls ||
			!got.Pace.Polling.Equal(want.Pace.Polling) || !got.Pace.NotBefore.Equal(want.Pace.NotBefore) {
			t.Errorf("marked the pace %+v, got %+v", want.Pace, got.Pace)
		}
	}
}

func settle(t *testing.T, o Outbox) {
	t.Helper()
	s, other := put(t, o, 1), put(t, o, 2)
	for range 2 {
		if err := o.Settle(t.Context(), s.Record, receipt(s.Record)); err != nil {
			t.Fatal(err)
		}
	}
	pending(t, o, other.Record)
	gone(t, o, s.Record)
	if err := o.Put(t.Context(), s); err != nil {
		t.Errorf("putting a settled record: %v", err)
	}
	pending(t, o, other.Record)

	for _, action := range []kiosk.Action{kiosk.PollAgain, "", "NONSENSE"} {
		if err := o.Settle(t.Context(), other.Record, kiosk.Receipt{Action: action}); err == nil {
			t.Errorf("settled by the action %q", action)
		}
	}
	pending(t, o, other.Record)
}

func gone(t *testing.T, o Outbox, id kiosk.RecordID) {
	t.Helper()
	_, job := o.Job(t.Context(), id)
	_, image := o.Image(t.Context(), id, kiosk.Selfie, nil)
	for what, err := range map[string]error{"job": job, "image": image, "mark": o.Mark(t.Context(), id, kiosk.Marks{})} {
		if !errors.Is(err, kiosk.ErrNoRecord) {
			t.Errorf("%s of %s: %v, want %v", what, id, err, kiosk.ErrNoRecord)
		}
	}
}

func dead(t *testing.T, o Outbox) {
	t.Helper()
	s, other := put(t, o, 1), put(t, o, 2)
	for range 2 {
		if err := o.Dead(t.Context(), s.Record, "does not open"); err != nil {
			t.Fatal(err)
		}
	}
	pending(t, o, other.Record)
	gone(t, o, s.Record)
	if err := o.Put(t.Context(), s); err != nil {
		t.Errorf("putting a dead record: %v", err)
	}
	pending(t, o, other.Record)
}

func unknown(t *testing.T, o Outbox) {
	t.Helper()
	put(t, o, 1)
	gone(t, o, "nobody")
	if err := o.Settle(t.Context(), "nobody", receipt("nobody")); !errors.Is(err, kiosk.ErrNoRecord) {
		t.Errorf("settle: %v", err)
	}
	if err := o.Dead(t.Context(), "nobody", ""); !errors.Is(err, kiosk.ErrNoRecord) {
		t.Errorf("dead: %v", err)
	}
	if err := o.Recapture(t.Context(), "nobody", receipt("nobody")); !errors.Is(err, kiosk.ErrNoRecord) {
		t.Errorf("recapture: %v", err)
	}
}

func recapture(t *testing.T, o Outbox) {
	t.Helper()
	s, other, settled := put(t, o, 1), put(t, o, 2), put(t, o, 3)
	if err := o.Settle(t.Context(), settled.Record, receipt(settled.Record)); err != nil {
		t.Fatal(err)
	}
	verdict := kiosk.Receipt{Record: s.Record, Session: s.Session, SubmissionID: "sub", Action: kiosk.Retry, Reason: "INVALID"}
	for range 2 {
		if err := o.Recapture(t.Context(), s.Record, verdict); err != nil {
			t.Fatal(err)
		}
		if err := o.Dead(t.Context(), s.Record, "another reason"); err != nil {
			t.Fatal(err)
		}
		if err := o.Put(t.Context(), s); err != nil {
			t.Errorf("putting it again: %v", err)
		}
	}
	if err := o.Recapture(t.Context(), settled.Record, verdict); err != nil {
		t.Errorf("recapture of a settled record: %v", err)
	}
	pending(t, o, other.Record)
	gone(t, o, s.Record)

	next := Submission(1, 1000)
	next.Record, next.Attempt, next.AttemptsLeft = "session-1-2", 2, 1
	if err := o.Put(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	pending(t, o, other.Record, next.Record)
	gone(t, o, s.Record)
	if err := o.Recapture(t.Context(), s.Record, verdict); err != nil {
		t.Errorf("recapture once a later attempt is there: %v", err)
	}
	pending(t, o, other.Record, next.Record)
}

func outages(t *testing.T, o Outbox) {
	t.Helper()
	since := time.Date(2026, time.May, 4, 3, 2, 1, 0, time.UTC)
	for _, want := range [][]kiosk.Outage{
		nil,
		{
			{Service: kiosk.GatewayService, Trouble: kiosk.TroubleDNS, Failures: 3, Since: since, NotBefore: since.Add(time.Hour)},
			{Service: kiosk.StoreService, Trouble: kiosk.TroublePortal, Failures: 1},
		},
		{{Service: kiosk.PartnerService, Trouble: kiosk.TroubleClock, Since: since}},
		nil,
	} {
		for range 2 {
			if err := o.SetOutages(t.Context(), want); err != nil {
				t.Fatal(err)
			}
		}
		got, err := o.Outages(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		same := func(a, b kiosk.Outage) bool {
			return a.Service == b.Service && a.Trouble == b.Trouble && a.Failures == b.Failures &&
				a.Since.Equal(b.Since) && a.NotBefore.Equal(b.NotBefore)
		}
		if !slices.EqualFunc(got, want, same) {
			t.Errorf("kept %+v, got %+v", want, got)
		}
	}
}

func together(t *testing.T, o Outbox) {
	t.Helper()
	const records = 12
	var want []kiosk.RecordID
	for n := range records {
		want = append(want, put(t, o, n).Record)
	}
	var group sync.WaitGroup
	for n, id := range want {
		group.Go(func() {
			m := kiosk.Marks{SubmissionID: "sub-" + string(id)}
			if err := o.Mark(t.Context(), id, m); err != nil {
				t.Errorf("mark %s: %v", id, err)
			}
			if err := o.Mark(t.Context(), "nobody", m); !errors.Is(err, kiosk.ErrNoRecord) {
				t.Errorf("mark nobody: %v", err)
			}
			if n%2 == 0 {
				if err := o.Settle(t.Context(), id, receipt(id)); err != nil {
					t.Errorf("settle %s: %v", id, err)
				}
			}
		})
	}
	group.Wait()
	var left []kiosk.RecordID
	for n, id := range want {
		if n%2 == 0 {
			continue
		}
		left = append(left, id)
		if job, err := o.Job(t.Context(), id); err != nil || job.Marks.SubmissionID != "sub-"+string(id) {
			t.Errorf("%s is marked %+v, %v", id, job.Marks, err)
		}
	}
	pending(t, o, left...)
}

func book(t *testing.T, o Bookings, n int) kiosk.Booking {
	t.Helper()
	b := Booking(n)
	b.Booked = time.Now().UTC().Round(0).Add(time.Duration(n) * time.Second)
	if err := o.Book(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return b
}

// booked holds what is booked against want, in its order.
func booked(t *testing.T, what string, list func(context.Context) ([]kiosk.Booking, error), want ...kiosk.Booking) {
	t.Helper()
	got, err := list(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	same := func(a, b kiosk.Booking) bool {
		return a.CorrelationID == b.CorrelationID && a.UserID == b.UserID && a.UserIDType == b.UserIDType && a.Locale == b.Locale &&
			a.Token.Value == "" && a.Token.Expires.Equal(b.Token.Expires) && a.Booked.Equal(b.Booked)
	}
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("%s: %d of them, want %d like that", what, len(got), len(want))
	}
}

func bookings(t *testing.T, o Bookings) {
	t.Helper()
	booked(t, "empty", o.Bookings)
	two, one := book(t, o, 2), book(t, o, 1)
	booked(t, "the oldest first", o.Bookings, one, two)
	token := kiosk.UserToken{Value: "token-canary", Expires: time.Now().UTC().Round(0).Add(50 * 24 * time.Hour)}
	if err := o.Fetched(t.Context(), two, token); err != nil {
		t.Fatal(err)
	}
	two.Token.Expires = token.Expires
	booked(t, "with a token", o.Bookings, one, two)
	if err := o.Fetched(t.Context(), one, kiosk.UserToken{}); err == nil {
		t.Error("no token was taken for one")
	}
	if err := o.Fetched(t.Context(), Booking(9), token); !errors.Is(err, kiosk.ErrNoBooking) {
		t.Errorf("a token for nobody: %v", err)
	}
}

func oneUser(t *testing.T, o Bookings) {
	t.Helper()
	b := book(t, o, 1)
	for what, change := range map[string]func(*kiosk.Booking){
		"another user":              func(b *kiosk.Booking) { b.UserID = "user-canary-2" },
		"another kind of a user id": func(b *kiosk.Booking) { b.UserIDType = "PHONE" },
	} {
		other := b
		change(&other)
		if err := o.Book(t.Context(), other); !errors.Is(err, kiosk.ErrBooked) {
			t.Errorf("%s: %v", what, err)
		}
	}
	booked(t, "after others", o.Bookings, b)

	expires := time.Now().UTC().Round(0).Add(30 * 24 * time.Hour)
	if err := o.Fetched(t.Context(), b, kiosk.UserToken{Value: "token-canary", Expires: expires}); err != nil {
		t.Fatal(err)
	}
	b.Locale = kiosk.English
	b.Booked = b.Booked.Add(time.Hour)
	for range 2 {
		if err := o.Book(t.Context(), b); err != nil {
			t.Errorf("booking the same user again: %v", err)
		}
	}
	b.Token.Expires = expires
	booked(t, "renewed, with the token it had", o.Bookings, b)
}

func unfetched(t *testing.T, o Bookings) {
	t.Helper()
	var all []kiosk.Booking
	for n := range 4 {
		all = append(all, book(t, o, n))
	}
	for n, left := range map[int]time.Duration{1: 8 * 24 * time.Hour, 2: 6 * 24 * time.Hour, 3: -time.Hour} {
		all[n].Token.Expires = time.Now().UTC().Round(0).Add(left)
		if err := o.Fetched(t.Context(), all[n], kiosk.UserToken{Value: "token-canary", Expires: all[n].Token.Expires}); err != nil {
			t.Fatal(err)
		}
	}
	booked(t, "without a token that lives for a week", o.Unfetched, all[0], all[2], all[3])
	if err := o.Fetched(t.Context(), all[0], kiosk.UserToken{Value: "token-canary"}); err != nil {
		t.Fatal(err)
	}
	booked(t, "but for one that does not say when it expires", o.Unfetched, all[2], all[3])

	// Between the question and the answer the booking became somebody else's,
	// and was listed again meanwhile.
	if err := o.Unbook(t.Context(), all[2].CorrelationID); err != nil {
		t.Fatal(err)
	}
	other := all[2]
	other.UserID, other.Token = "user-canary-9", kiosk.UserToken{}
	if err := o.Book(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		booked(t, "one that became somebody else's", o.Unfetched, other, all[3])
		for what, change := range map[string]func(*kiosk.Booking){
			"another user":              func(*kiosk.Booking) {},
			"another kind of a user id": func(b *kiosk.Booking) { b.UserID, b.UserIDType = other.UserID, "PHONE" },
			"nobody rather":             func(b *kiosk.Booking) { b.UserID, b.UserIDType = "", "" },
		} {
			was := all[2]
			change(&was)
			if err := o.Fetched(t.Context(), was, kiosk.UserToken{Value: "token-canary"}); !errors.Is(err, kiosk.ErrNoBooking) {
				t.Errorf("a token of %s than is expected now: %v", what, err)
			}
		}
	}
}

func unbooked(t *testing.T, o Bookings) {
	t.Helper()
	one, two := book(t, o, 1), book(t, o, 2)
	if err := o.Unbook(t.Context(), one.CorrelationID); err != nil {
		t.Fatal(err)
	}
	booked(t, "one unbooked", o.Bookings, two)
	if err := o.Unbook(t.Context(), one.CorrelationID); !errors.Is(err, kiosk.ErrNoBooking) {
		t.Errorf("unbooked twice: %v", err)
	}
	if err := o.Fetched(t.Context(), one, kiosk.UserToken{Value: "token-canary"}); !errors.Is(err, kiosk.ErrNoBooking) {
		t.Errorf("its token: %v", err)
	}
}

func unusable(t *testing.T, o Bookings) {
	t.Helper()
	for what, change := range map[string]func(*kiosk.Booking){
		"no correlation id":     func(b *kiosk.Booking) { b.CorrelationID = "" },
		"no user":               func(b *kiosk.Booking) { b.UserID = "" },
		"a huge correlation id": func(b *kiosk.Booking) { b.CorrelationID = strings.Repeat("canary", 1000) },
		"a huge user id":        func(b *kiosk.Booking) { b.UserID = strings.Repeat("canary", 1000) },
		"a huge token":          func(b *kiosk.Booking) { b.Token.Value = strings.Repeat("canary", 10_000) },
	} {
		b := Booking(1)
		change(&b)
		if err := o.Book(t.Context(), b); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", what, err)
		}
	}
	booked(t, "none of them", o.Bookings)
}

func wake(t *testing.T, o Outbox) {
	t.Helper()
	woken := func() bool {
		select {
		case <-o.Wake():
			return true
		default:
			return false
		}
	}
	if woken() {
		t.Error("woken by nothing")
	}
	put(t, o, 1)
	put(t, o, 2)
	if !woken() {
		t.Error("two puts did not wake")
	}
	if woken() {
		t.Error("two puts left two tokens")
	}
}

func ownership(t *testing.T, o Outbox) {
	t.Helper()
	s := put(t, o, 1)
	want := Submission(1, 1000)
	for document := range want.Images {
		if !bytes.Equal(s.Images[document], want.Images[document]) {
			t.Errorf("put changed %s", document)
		}
	}
	s.Erase()
	got, err := o.Image(t.Context(), s.Record, kiosk.Selfie, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Images[kiosk.Selfie]) {
		t.Error("erasing the submission reached what was stored")
	}
}

func cancelled(t *testing.T, o Outbox) {
	t.Helper()
	s := put(t, o, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := o.Put(ctx, Submission(2, 1000)); !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v", err)
	}
	if err := o.Settle(ctx, s.Record, receipt(s.Record)); !errors.Is(err, context.Canceled) {
		t.Errorf("settle: %v", err)
	}
	pending(t, o, s.Record)
}
