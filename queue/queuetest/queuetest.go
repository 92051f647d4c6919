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
	"testing"

	"livekiosk/kiosk"
	"livekiosk/queue"
	"livekiosk/queue/seal"
)

// Key returns a device key that no file holds.
func Key(tb testing.TB) *seal.Key {
	tb.Helper()
	key, err := seal.Generate()
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// Open returns an empty outbox in a directory of its own, closed when the test
// ends.
func Open(tb testing.TB) *queue.Queue {
	tb.Helper()
	return OpenWith(tb, queue.Options{Path: filepath.Join(tb.TempDir(), "queue.db"), Key: Key(tb)})
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
	Image(ctx context.Context, id kiosk.RecordID, document kiosk.Document) ([]byte, error)
	Mark(ctx context.Context, id kiosk.RecordID, m kiosk.Marks) error
	Settle(ctx context.Context, id kiosk.RecordID, r kiosk.Receipt) error
	Dead(ctx context.Context, id kiosk.RecordID, reason string) error
	Wake() <-chan struct{}
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
	t.Run("an unknown record is named as such", func(t *testing.T) { unknown(t, open(t)) })
	t.Run("a put wakes and tokens do not pile up", func(t *testing.T) { wake(t, open(t)) })
	t.Run("the images stay the caller's", func(t *testing.T) { ownership(t, open(t)) })
	t.Run("a cancelled call does nothing", func(t *testing.T) { cancelled(t, open(t)) })
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
			got, err := o.Image(t.Context(), s.Record, document)
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
	for _, want := range []kiosk.Marks{
		{Token: "t1"},
		{Token: "t1", SubmissionID: "s1"},
		{Token: "t2", SubmissionID: "s1", Uploaded: map[kiosk.Document]bool{kiosk.Selfie: true}},
		{Token: "t2", SubmissionID: "s1", Uploaded: map[kiosk.Document]bool{kiosk.Selfie: true, kiosk.AdditionalSelfie: true}, Confirmed: true},
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
	_, image := o.Image(t.Context(), id, kiosk.Selfie)
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
	got, err := o.Image(t.Context(), s.Record, kiosk.Selfie)
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
