package queue_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"livekiosk/kiosk"
	"livekiosk/queue"
	"livekiosk/queue/queuetest"
)

func TestTheOutboxKeepsItsContract(t *testing.T) {
	t.Parallel()
	queuetest.Run(t, func(t *testing.T) queuetest.Outbox {
		t.Helper()
		return queuetest.Open(t)
	})
	queuetest.RunBookings(t, func(t *testing.T) queuetest.Bookings {
		t.Helper()
		return queuetest.Open(t)
	})
}

func options(tb testing.TB) queue.Options {
	tb.Helper()
	return queue.Options{Path: filepath.Join(tb.TempDir(), "queue.db"), Keys: queuetest.Keys(tb)}
}

func open(tb testing.TB, o queue.Options) *queue.Queue {
	tb.Helper()
	q, err := queue.Open(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	return q
}

func shut(tb testing.TB, q *queue.Queue) {
	tb.Helper()
	if err := q.Close(); err != nil {
		tb.Fatal(err)
	}
}

func put(tb testing.TB, q *queue.Queue, n, size int) *kiosk.Submission {
	tb.Helper()
	s := queuetest.Submission(n, size)
	if err := q.Put(tb.Context(), s); err != nil {
		tb.Fatal(err)
	}
	return s
}

func read(tb testing.TB, path string) []byte {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func succeed(id kiosk.RecordID) kiosk.Receipt {
	return kiosk.Receipt{Record: id, SubmissionID: "sub-" + string(id), Action: kiosk.ExitSuccess, Reason: "COMPLETED"}
}

func TestOptionsThatCannotWorkAreNamed(t *testing.T) {
	t.Parallel()
	keys := queuetest.Keys(t)
	for want, o := range map[string]queue.Options{
		"path":            {Keys: keys},
		"keys":            {Path: "x"},
		"max records":     {Path: "x", Keys: keys, MaxRecords: 2},
		"max bytes":       {Path: "x", Keys: keys, MaxBytes: queue.SessionMax - 1},
		"reserve":         {Path: "x", Keys: keys, Reserve: -1},
		"history max":     {Path: "x", Keys: keys, HistoryMax: -1},
		"at most 1000000": {Path: "x", Keys: keys, MaxRecords: 1_000_001},
		"at most 40000":   {Path: "x", Keys: keys, MaxBookings: 40_001},
		"max age":         {Path: "x", Keys: keys, MaxAge: -1},
		"bookings":        {Path: "x", Keys: keys, MaxBookings: -1},
	} {
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
		if _, err := queue.Open(t.Context(), o); err == nil {
			t.Errorf("%s: opened", want)
		}
	}
}

func TestASubmissionThatCannotBeDeliveredIsRefused(t *testing.T) {
	t.Parallel()
	q := queuetest.Open(t)
	for name, change := range map[string]func(*kiosk.Submission){
		"no record id":      func(s *kiosk.Submission) { s.Record = "" },
		"no attempt":        func(s *kiosk.Submission) { s.Attempt = 0 },
		"no correlation id": func(s *kiosk.Submission) { s.CorrelationID = "" },
		"no images":         func(s *kiosk.Submission) { s.Images = nil },
		"an empty image":    func(s *kiosk.Submission) { s.Images[kiosk.Selfie] = nil },
		"a huge image":      func(s *kiosk.Submission) { s.Images[kiosk.Selfie] = make([]byte, queue.ImageMax+1) },
		"a huge metadata":   func(s *kiosk.Submission) { s.Metadata = make([]byte, queue.MetadataMax+1) },
		"broken metadata":   func(s *kiosk.Submission) { s.Metadata = []byte(`{"user-canary`) },
		"another document":  func(s *kiosk.Submission) { s.Images["KTP"] = []byte{1} },
	} {
		s := queuetest.Submission(1, 100)
		change(s)
		if err := q.Put(t.Context(), s); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if ids, err := q.Pending(t.Context()); err != nil || len(ids) != 0 {
		t.Errorf("pending: %v, %v", ids, err)
	}
}

func TestASubmissionWithOneImageSaysWhichIsMissing(t *testing.T) {
	t.Parallel()
	q := queuetest.Open(t)
	s := queuetest.Submission(1, 100)
	delete(s.Images, kiosk.AdditionalSelfie)
	if err := q.Put(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Image(t.Context(), s.Record, kiosk.AdditionalSelfie, nil); !errors.Is(err, kiosk.ErrNoRecord) {
		t.Errorf("got %v", err)
	}
	if _, err := q.Image(t.Context(), s.Record, kiosk.Selfie, nil); err != nil {
		t.Error(err)
	}
}

// TestNothingPersonalIsInTheFile greps every byte of the file, free pages
// included, at each step of a record's life.
func TestNothingPersonalIsInTheFile(t *testing.T) {
	t.Parallel()
	o := options(t)
	q := open(t, o)
	samples := []*kiosk.Submission{
		queuetest.Submission(1, 50_000), queuetest.Submission(2, 50_000), queuetest.Submission(3, 50_000), queuetest.Submission(4, 50_000),
	}
	search := func(step string) {
		t.Helper()
		file := read(t, o.Path)
		if !bytes.Contains(file, []byte("session-1")) {
			t.Fatalf("%s: the search does not even find what is in the clear", step)
		}
		if bytes.Contains(file, []byte("canary")) {
			t.Errorf("%s: a token, a user, a correlation id or metadata is in the file", step)
		}
		for _, s := range samples {
			for document, image := range s.Images {
				for at := 0; at+32 <= len(image); at += 1000 {
					if bytes.Contains(file, image[at:at+32]) {
						t.Errorf("%s: %s of %s is in the file", step, document, s.Record)
						break
					}
				}
			}
		}
	}
	for n := 3; n < 6; n++ {
		book(t, q, n, kiosk.UserToken{Value: "token-canary-ahead"})
	}
	for _, s := range samples {
		s.Token = ""
		if err := q.Put(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	search("put")
	if err := q.Mark(t.Context(), samples[0].Record, kiosk.Marks{Token: "token-canary-late", SubmissionID: "sub"}); err != nil {
		t.Fatal(err)
	}
	search("marked")
	if err := q.Settle(t.Context(), samples[0].Record, succeed(samples[0].Record)); err != nil {
		t.Fatal(err)
	}
	if err := q.Dead(t.Context(), samples[1].Record, "poison"); err != nil {
		t.Fatal(err)
	}
	if err := q.Recapture(t.Context(), samples[2].Record, kiosk.Receipt{SubmissionID: "sub"}); err != nil {
		t.Fatal(err)
	}
	if err := q.Unbook(t.Context(), queuetest.Booking(5).CorrelationID); err != nil {
		t.Fatal(err)
	}
	search("settled")
	shut(t, q)
	search("closed")
}

func TestEntriesAreOrderedForStaff(t *testing.T) {
	t.Parallel()
	q := queuetest.Open(t)
	for n := range 8 {
		put(t, q, n, 1000)
	}
	id := func(n int) kiosk.RecordID { return queuetest.Submission(n, 1).Record }
	both := map[kiosk.Document]bool{kiosk.Selfie: true, kiosk.AdditionalSelfie: true}
	for n, m := range map[int]kiosk.Marks{
		3: {SubmissionID: "s3"},
		4: {SubmissionID: "s4", Uploaded: map[kiosk.Document]bool{kiosk.Selfie: true}},
		5: {SubmissionID: "s5", Uploaded: both},
		6: {SubmissionID: "s6", Uploaded: both, Confirmed: true},
	} {
		if err := q.Mark(t.Context(), id(n), m); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []int{2, 0} {
		if err := q.Settle(t.Context(), id(n), succeed(id(n))); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Dead(t.Context(), id(1), "does not open"); err != nil {
		t.Fatal(err)
	}
	entries, err := q.Entries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		if e.Queued.IsZero() || e.Session == "" || e.Attempt != 1 || e.Review != strings.Contains("1357", string(e.Session[len(e.Session)-1])) {
			t.Errorf("entry %+v", e)
		}
		if (e.Bytes > 2000) != (e.State != "done") {
			t.Errorf("%s is %s with %d bytes", e.Record, e.State, e.Bytes)
		}
		got = append(got, strings.Join([]string{string(e.Record), e.State, e.SubmissionID, string(e.Outcome), e.Reason}, " "))
	}
	want := []string{
		"session-3-1 submitted s3  ", "session-4-1 submitted s4  ", "session-5-1 uploaded s5  ",
		"session-6-1 confirmed s6  ", "session-7-1 queued   ", "session-1-1 dead   does not open",
		"session-2-1 done sub-session-2-1 EXIT_SUCCESS COMPLETED", "session-0-1 done sub-session-0-1 EXIT_SUCCESS COMPLETED",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestACorrelationIDIsKnownForAsLongAsItsRecord(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.HistoryMax = 2
	q := open(t, o)
	used := func(n int, want bool) {
		t.Helper()
		got, err := q.Used(t.Context(), queuetest.Submission(n, 1).CorrelationID)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("correlation id %d: used %v, want %v", n, got, want)
		}
	}
	for n := range 4 {
		used(n, false)
		put(t, q, n, 100)
		used(n, true)
	}
	if err := q.Dead(t.Context(), "session-0-1", ""); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 3; n++ {
		id := queuetest.Submission(n, 1).Record
		if err := q.Settle(t.Context(), id, succeed(id)); err != nil {
			t.Fatal(err)
		}
	}
	check := func() {
		t.Helper()
		used(0, true)  // dead
		used(1, false) // fell out of a history of two
		used(2, true)
		used(3, true)
		used(9, false)
	}
	check()
	shut(t, q)
	q = open(t, o)
	defer shut(t, q)
	check()
}

func TestHistoryForgetsWhatEndedLongestAgo(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.HistoryMax = 2
	q := open(t, o)
	letter := put(t, q, 0, 100)
	if err := q.Dead(t.Context(), letter.Record, "FORBIDDEN"); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 3; n++ {
		s := put(t, q, n, 100)
		if err := q.Settle(t.Context(), s.Record, succeed(s.Record)); err != nil {
			t.Fatal(err)
		}
	}
	// Put before all of them, and given up after them.
	if err := q.Drop(t.Context(), letter.Record, "uid 1", "nobody came"); err != nil {
		t.Fatal(err)
	}
	check := func(want ...kiosk.RecordID) {
		t.Helper()
		entries, err := q.Entries(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []kiosk.RecordID
		for _, e := range entries {
			got = append(got, e.Record)
		}
		if !slices.Equal(got, want) {
			t.Errorf("history has %q, want %q", got, want)
		}
	}
	check("session-3-1", "session-0-1")
	shut(t, q)
	q = open(t, o)
	defer func() { shut(t, q) }()
	s := put(t, q, 4, 100)
	if err := q.Settle(t.Context(), s.Record, succeed(s.Record)); err != nil {
		t.Fatal(err)
	}
	check("session-4-1", "session-0-1")
}

// TestWhatIsAdmittedIsTaken puts three of the largest records into an outbox that
// has room for no more, with metadata that JSON for web pages would make six
// times as long.
func TestWhatIsAdmittedIsTaken(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.MaxBytes = queue.SessionMax
	q := open(t, o)
	defer shut(t, q)
	if err := q.Admit(t.Context()); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		s := queuetest.Submission(n, 1)
		for d := range s.Images {
			s.Images[d] = make([]byte, queue.ImageMax)
		}
		s.Metadata = []byte(`"` + strings.Repeat("<", queue.MetadataMax-2) + `"`)
		if err := q.Put(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if j, err := q.Job(t.Context(), s.Record); err != nil || !bytes.Equal(j.Metadata, s.Metadata) {
			t.Errorf("read back %d bytes of metadata, %v", len(j.Metadata), err)
		}
	}
}

func TestAFullOutboxRefusesSessionsAndDropsNothing(t *testing.T) {
	t.Parallel()
	t.Run("by count, dead letters included", func(t *testing.T) {
		t.Parallel()
		o := options(t)
		o.MaxRecords = 4
		q := open(t, o)
		put(t, q, 0, 100)
		if err := q.Admit(t.Context()); err != nil {
			t.Fatalf("room for three: %v", err)
		}
		for n := 1; n < 4; n++ {
			put(t, q, n, 100)
		}
		if err := q.Dead(t.Context(), "session-0-1", ""); err != nil {
			t.Fatal(err)
		}
		full := func() {
			t.Helper()
			if err := q.Admit(t.Context()); !errors.Is(err, kiosk.ErrQueueFull) {
				t.Errorf("admit: %v", err)
			}
			if err := q.Put(t.Context(), queuetest.Submission(4, 100)); !errors.Is(err, kiosk.ErrQueueFull) {
				t.Errorf("put: %v", err)
			}
			if err := q.Put(t.Context(), queuetest.Submission(2, 100)); err != nil {
				t.Errorf("putting a stored record again: %v", err)
			}
		}
		full()
		shut(t, q)
		q = open(t, o)
		defer shut(t, q)
		full()
		ids, err := q.Pending(t.Context())
		if err != nil || len(ids) != 3 {
			t.Errorf("pending %v, %v", ids, err)
		}
		for _, id := range []kiosk.RecordID{"session-0-1", "session-1-1", "session-2-1"} {
			if err := q.Settle(t.Context(), id, succeed(id)); err != nil {
				t.Fatal(err)
			}
		}
		if err := q.Admit(t.Context()); err != nil {
			t.Errorf("room again, but %v", err)
		}
	})
	t.Run("by bytes", func(t *testing.T) {
		t.Parallel()
		o := options(t)
		o.MaxBytes = queue.SessionMax
		q := open(t, o)
		defer shut(t, q)
		if err := q.Admit(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := queuetest.Submission(1, 1)
		s.Images[kiosk.Selfie], s.Images[kiosk.AdditionalSelfie] = make([]byte, queue.ImageMax), make([]byte, queue.ImageMax)
		s.Metadata = []byte(`"` + strings.Repeat("m", queue.MetadataMax-2) + `"`)
		for n := range 3 {
			s.Record = kiosk.RecordID("r" + strconv.Itoa(n))
			if err := q.Put(t.Context(), s); err != nil {
				t.Fatalf("an admitted session's record %d: %v", n, err)
			}
		}
		s.Record = "r3"
		if err := q.Put(t.Context(), s); !errors.Is(err, kiosk.ErrQueueFull) {
			t.Errorf("put: %v", err)
		}
		if err := q.Admit(t.Context()); !errors.Is(err, kiosk.ErrQueueFull) {
			t.Errorf("admit: %v", err)
		}
	})
	t.Run("by the space left on the disk", func(t *testing.T) {
		t.Parallel()
		o := options(t)
		o.Reserve = 1 << 60
		if err := queuetest.OpenWith(t, o).Admit(t.Context()); !errors.Is(err, kiosk.ErrQueueFull) {
			t.Errorf("admit: %v", err)
		}
	})
}

func TestAProbeCommits(t *testing.T) {
	t.Parallel()
	o := options(t)
	q := open(t, o)
	before := read(t, o.Path)
	if err := q.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(before, read(t, o.Path)) {
		t.Error("the probe wrote nothing")
	}
	shut(t, q)
	if err := q.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	_, pending := q.Pending(t.Context())
	for what, err := range map[string]error{
		"probe": q.Probe(t.Context()), "admit": q.Admit(t.Context()), "pending": pending,
		"put": q.Put(t.Context(), queuetest.Submission(1, 1)),
	} {
		if err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("%s of a closed outbox: %v", what, err)
		}
	}
}

// tamper changes the closed file at path with bbolt's own means.
func tamper(tb testing.TB, path string, change func(pending *bbolt.Bucket) error) {
	tb.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		tb.Fatal(err)
	}
	if err := db.Update(func(tx *bbolt.Tx) error { return change(tx.Bucket([]byte("pending"))) }); err != nil {
		tb.Fatal(err)
	}
	if err := db.Close(); err != nil {
		tb.Fatal(err)
	}
}

func TestAPartOpensOnlyInItsOwnRecordAndPlace(t *testing.T) {
	t.Parallel()
	const selfie, additional = "image/SELFIE", "image/ADDITIONAL_SELFIE"
	swap := func(a *bbolt.Bucket, aKey string, b *bbolt.Bucket, bKey string) error {
		one, two := bytes.Clone(a.Get([]byte(aKey))), bytes.Clone(b.Get([]byte(bKey)))
		if err := a.Put([]byte(aKey), two); err != nil {
			return err
		}
		return b.Put([]byte(bKey), one)
	}
	for name, tc := range map[string]struct {
		change     func(one, two *bbolt.Bucket) error
		job, image bool // of the first record: still opens
	}{
		"images of two records swapped": {func(one, two *bbolt.Bucket) error {
			return swap(one.Bucket([]byte(selfie)), "sealed", two.Bucket([]byte(selfie)), "sealed")
		}, true, false},
		"images of one record swapped": {func(one, _ *bbolt.Bucket) error {
			return swap(one.Bucket([]byte(selfie)), "sealed", one.Bucket([]byte(additional)), "sealed")
		}, true, false},
		"metadata of two records swapped": {func(one, two *bbolt.Bucket) error { return swap(one, "meta", two, "meta") }, false, true},
		"heads of two records swapped":    {func(one, two *bbolt.Bucket) error { return swap(one, "head", two, "head") }, false, false},
		"marks of another record": {func(one, two *bbolt.Bucket) error {
			return one.Put([]byte("marks"), bytes.Clone(two.Get([]byte("marks"))))
		}, false, true},
		"metadata as marks": {func(one, _ *bbolt.Bucket) error {
			return one.Put([]byte("marks"), bytes.Clone(one.Get([]byte("meta"))))
		}, false, true},
		"another attempt in the head": {func(one, _ *bbolt.Bucket) error {
			return one.Put([]byte("head"), bytes.Replace(one.Get([]byte("head")), []byte(`"attempt":1`), []byte(`"attempt":2`), 1))
		}, false, false},
		"no head":  {func(one, _ *bbolt.Bucket) error { return one.Delete([]byte("head")) }, false, false},
		"no image": {func(one, _ *bbolt.Bucket) error { return one.DeleteBucket([]byte(selfie)) }, true, false},
		"a changed byte": {func(one, _ *bbolt.Bucket) error {
			image := one.Bucket([]byte(selfie))
			b := bytes.Clone(image.Get([]byte("sealed")))
			b[len(b)/2] ^= 0x10
			return image.Put([]byte("sealed"), b)
		}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t)
			q := open(t, o)
			one, two := put(t, q, 1, 5000), put(t, q, 2, 5000)
			if err := q.Mark(t.Context(), two.Record, kiosk.Marks{Token: "t"}); err != nil {
				t.Fatal(err)
			}
			shut(t, q)
			tamper(t, o.Path, func(pending *bbolt.Bucket) error {
				c := pending.Cursor()
				first, _ := c.First()
				second, _ := c.Next()
				return tc.change(pending.Bucket(first), pending.Bucket(second))
			})
			q = open(t, o)
			defer shut(t, q)
			verdict := func(what string, err error, opens bool) {
				t.Helper()
				if opens && err != nil || !opens && !errors.Is(err, kiosk.ErrSealBroken) {
					t.Errorf("%s: %v", what, err)
				}
			}
			_, err := q.Job(t.Context(), one.Record)
			verdict("job", err, tc.job)
			_, err = q.Image(t.Context(), one.Record, kiosk.Selfie, nil)
			verdict("image", err, tc.image)

			// Poison is set aside and blocks nobody.
			if err := q.Dead(t.Context(), one.Record, "does not open"); err != nil {
				t.Fatal(err)
			}
			if ids, err := q.Pending(t.Context()); err != nil || !slices.Equal(ids, []kiosk.RecordID{two.Record}) {
				t.Errorf("pending: %v, %v", ids, err)
			}
			if entries, err := q.Entries(t.Context()); err != nil || len(entries) != 2 || entries[1].Record != one.Record || entries[1].State != "dead" {
				t.Errorf("entries: %+v, %v", entries, err)
			}
			if err := q.Settle(t.Context(), one.Record, succeed(one.Record)); err != nil {
				t.Errorf("settling it after all: %v", err)
			}
		})
	}
}

func TestAnotherDevicesRecordsAreToldAndBlockNothing(t *testing.T) {
	t.Parallel()
	o := options(t)
	q := open(t, o)
	theirs := put(t, q, 1, 1000)
	shut(t, q)

	o.Keys = queuetest.Keys(t)
	q = open(t, o)
	defer shut(t, q)
	if q.Orphans != 1 || q.Quarantined != "" {
		t.Errorf("orphans %d, quarantined %q", q.Orphans, q.Quarantined)
	}
	ours := put(t, q, 2, 1000)
	if _, err := q.Job(t.Context(), theirs.Record); !errors.Is(err, kiosk.ErrSealBroken) {
		t.Errorf("job: %v", err)
	}
	if _, err := q.Image(t.Context(), theirs.Record, kiosk.Selfie, nil); !errors.Is(err, kiosk.ErrSealBroken) {
		t.Errorf("image: %v", err)
	}
	if err := q.Mark(t.Context(), theirs.Record, kiosk.Marks{}); !errors.Is(err, kiosk.ErrSealBroken) {
		t.Errorf("mark: %v", err)
	}
	if err := q.Dead(t.Context(), theirs.Record, "sealed for another key"); err != nil {
		t.Error(err)
	}
	if ids, err := q.Pending(t.Context()); err != nil || !slices.Equal(ids, []kiosk.RecordID{ours.Record}) {
		t.Errorf("pending: %v, %v", ids, err)
	}
}

// TestEveryAcknowledgedRecordIsInACopyOfTheFile takes what is on the disk at
// the moment of each acknowledgement, without closing the outbox.
func TestEveryAcknowledgedRecordIsInACopyOfTheFile(t *testing.T) {
	t.Parallel()
	o := options(t)
	q := open(t, o)
	defer shut(t, q)
	reopened := func(want ...kiosk.RecordID) *queue.Queue {
		t.Helper()
		c := o
		c.Path = copied(t, o.Path)
		got := queuetest.OpenWith(t, c)
		if got.Quarantined != "" {
			t.Fatalf("the copy with %v is damaged", want)
		}
		ids, err := got.Pending(t.Context())
		if err != nil || !slices.Equal(ids, want) {
			t.Errorf("pending: %v, %v, want %v", ids, err, want)
		}
		return got
	}
	reopened()
	a := put(t, q, 1, 20_000)
	got, err := reopened(a.Record).Image(t.Context(), a.Record, kiosk.Selfie, nil)
	if err != nil || !bytes.Equal(got, a.Images[kiosk.Selfie]) {
		t.Errorf("the image in the copy: %v", err)
	}
	b := put(t, q, 2, 20_000)
	reopened(a.Record, b.Record)
	if err := q.Mark(t.Context(), b.Record, kiosk.Marks{SubmissionID: "sub"}); err != nil {
		t.Fatal(err)
	}
	job, err := reopened(a.Record, b.Record).Job(t.Context(), b.Record)
	if err != nil || job.Marks.SubmissionID != "sub" {
		t.Errorf("the mark in the copy: %+v, %v", job, err)
	}
	if err := q.Settle(t.Context(), a.Record, succeed(a.Record)); err != nil {
		t.Fatal(err)
	}
	reopened(b.Record)
	if err := q.Recapture(t.Context(), b.Record, kiosk.Receipt{SubmissionID: "sub", Action: kiosk.Retry}); err != nil {
		t.Fatal(err)
	}
	entries, err := reopened().Entries(t.Context())
	if err != nil || len(entries) != 2 || entries[0].Reason != kiosk.NeedsRecapture {
		t.Errorf("the dead letter in the copy: %+v, %v", entries, err)
	}
	if err := q.SetOutages(t.Context(), []kiosk.Outage{{Service: kiosk.GatewayService}}); err != nil {
		t.Fatal(err)
	}
	if outages, err := reopened().Outages(t.Context()); err != nil || len(outages) != 1 {
		t.Errorf("the outage in the copy: %v, %v", outages, err)
	}
	book(t, q, 3, kiosk.UserToken{})
	if got := expected(t, reopened()); got != "3" {
		t.Errorf("booked in the copy: %q", got)
	}
	if err := q.Fetched(t.Context(), queuetest.Booking(3), kiosk.UserToken{Value: "token-canary"}); err != nil {
		t.Fatal(err)
	}
	if all, err := reopened().Unfetched(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("without a token in the copy: %d, %v", len(all), err)
	}
	c := queuetest.Submission(3, 1000)
	c.Token = ""
	if err := q.Put(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	last := reopened(c.Record)
	if job, err := last.Job(t.Context(), c.Record); err != nil || job.Token != "token-canary" || expected(t, last) != "" {
		t.Errorf("the booked person in the copy: token %t, %q still booked, %v", job.Token != "", expected(t, last), err)
	}
}

// TestReadersAndWritersGetAlong is for the race detector.
func TestReadersAndWritersGetAlong(t *testing.T) {
	t.Parallel()
	q := queuetest.Open(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			ids, err := q.Pending(ctx)
			for _, id := range ids {
				if _, err := q.Image(ctx, id, kiosk.Selfie, nil); err != nil && !errors.Is(err, kiosk.ErrNoRecord) && ctx.Err() == nil {
					done <- err
					return
				}
			}
			if err == nil {
				_, err = q.Entries(ctx)
			}
			if err != nil && ctx.Err() == nil {
				done <- err
				return
			}
		}
	}()
	for n := range 20 {
		s := put(t, q, n, 30_000)
		if n%2 == 0 {
			if err := q.Settle(t.Context(), s.Record, succeed(s.Record)); err != nil {
				t.Fatal(err)
			}
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func FuzzRecords(f *testing.F) {
	f.Add([]byte(`{"format":1,"record":"a","attempt":1,"state":"queued","queued":"2026-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"format":1,"action":"RETRY","settled":"x"}`))
	f.Add([]byte(`{"images":{"SELFIE":-1},"metadata":{}}`))
	f.Add([]byte(`{"uploaded":{"SELFIE":1}}`))
	f.Add([]byte(`{"pace":{"failures":-1,"polling":"2026-01-01T00:00:00Z"}}`))
	f.Add([]byte(`{"format":1,"outages":[{"service":"gateway","failures":1}]}`))
	f.Add([]byte(`{"format":1,"booked":"2026-01-01T00:00:00Z","sealed":"AAAA"}`))
	f.Add(bytes.Repeat([]byte{0}, 25))
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, decode := range map[string]func([]byte) (any, error){
			"head": queue.DecodeHead, "meta": queue.DecodeBody, "marks": queue.DecodeProgress, "receipt": queue.DecodeReceipt,
			"outages": queue.DecodeOutages, "booking": queue.DecodeBooking, "person": queue.DecodePerson,
		} {
			if _, err := decode(b); err == nil && !bytes.ContainsAny(b, "{n") {
				t.Errorf("%s: took %q", name, b)
			}
		}
		if tag, id := queue.SplitKey(b); (id == "") != (tag == nil) || id != "" && len(tag)+len(id)+8 != len(b) {
			t.Errorf("key %x: tag %x, id %q", b, tag, id)
		}
	})
}
