package queue_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"livekiosk/kiosk"
	"livekiosk/queue"
	"livekiosk/queue/queuetest"
	"livekiosk/queue/seal"
)

// old opens the outbox as it was in file with the epoch keys of today, which
// is what whoever kept a copy of the one and stole the other can do.
func old(t *testing.T, o queue.Options, file []byte) *queue.Queue {
	t.Helper()
	o.Path = withEpochs(t, o.Path, file)
	q := queuetest.OpenWith(t, o)
	if q.Quarantined != "" {
		t.Fatal("the copy is damaged")
	}
	return q
}

// opens reports whether the parts of a record open, of which either all do or
// none.
func opens(t *testing.T, q *queue.Queue, id kiosk.RecordID) bool {
	t.Helper()
	_, job := q.Job(t.Context(), id)
	_, image := q.Image(t.Context(), id, kiosk.Selfie, nil)
	_, other := q.Image(t.Context(), id, kiosk.AdditionalSelfie, nil)
	for what, err := range map[string]error{"job": job, "image": image, "the other image": other} {
		if (err == nil) != (job == nil) || err != nil && !errors.Is(err, kiosk.ErrSealBroken) {
			t.Errorf("%s of %s: %v, but its job: %v", what, id, err, job)
		}
	}
	return job == nil
}

func TestWhatIsRemovedCannotBeReadInAnyCopy(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(t *testing.T, q *queue.Queue, id kiosk.RecordID) error{
		"settled": func(t *testing.T, q *queue.Queue, id kiosk.RecordID) error {
			t.Helper()
			return q.Settle(t.Context(), id, succeed(id))
		},
		"settled when dead": func(t *testing.T, q *queue.Queue, id kiosk.RecordID) error {
			t.Helper()
			if err := q.Dead(t.Context(), id, "poison"); err != nil {
				return err
			}
			return q.Settle(t.Context(), id, succeed(id))
		},
		"in need of a new capture": func(t *testing.T, q *queue.Queue, id kiosk.RecordID) error {
			t.Helper()
			return q.Recapture(t.Context(), id, kiosk.Receipt{Action: kiosk.Retry})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t)
			q := open(t, o)
			defer shut(t, q)
			one, two := put(t, q, 1, 5000).Record, put(t, q, 2, 5000).Record
			for _, id := range []kiosk.RecordID{one, two} {
				if err := q.Mark(t.Context(), id, kiosk.Marks{Token: "token-canary"}); err != nil {
					t.Fatal(err)
				}
			}
			before := read(t, o.Path)
			if was := old(t, o, before); !opens(t, was, one) || !opens(t, was, two) {
				t.Fatal("a copy does not open: the test tests nothing")
			}
			if err := remove(t, q, one); err != nil {
				t.Fatal(err)
			}
			was := old(t, o, before)
			if opens(t, was, one) {
				t.Error("it still opens in a copy made before")
			}
			if !opens(t, was, two) {
				t.Error("its neighbour was erased with it")
			}
			// The key is another record's next, to whom the copy says nothing.
			three := put(t, q, 3, 5000).Record
			if was = old(t, o, before); opens(t, was, one) {
				t.Error("it opens under the key of its successor")
			}
			if now := old(t, o, read(t, o.Path)); !opens(t, now, two) || !opens(t, now, three) {
				t.Error("what is pending does not open")
			}
		})
	}
}

func TestABookingThatEndedCannotBeReadInAnyCopy(t *testing.T) {
	t.Parallel()
	token := kiosk.UserToken{Value: "token-canary"}
	for name, tc := range map[string]struct {
		end  func(t *testing.T, q *queue.Queue) error
		left string // of the copy made before
	}{
		"unbooked": {func(t *testing.T, q *queue.Queue) error {
			t.Helper()
			return q.Unbook(t.Context(), queuetest.Booking(1).CorrelationID)
		}, "2"},
		"redeemed": {func(t *testing.T, q *queue.Queue) error {
			t.Helper()
			return q.Put(t.Context(), queuetest.Submission(1, 100))
		}, "2"},
		"renewed with another token": {func(t *testing.T, q *queue.Queue) error {
			t.Helper()
			return q.Fetched(t.Context(), queuetest.Booking(1), kiosk.UserToken{Value: "another"})
		}, "2"},
		"booked again": {func(t *testing.T, q *queue.Queue) error {
			t.Helper()
			return q.Book(t.Context(), queuetest.Booking(1))
		}, "2"},
		"never": {func(*testing.T, *queue.Queue) error { return nil }, "1 2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t)
			q := open(t, o)
			defer shut(t, q)
			book(t, q, 1, token)
			book(t, q, 2, token)
			before := read(t, o.Path)
			if err := tc.end(t, q); err != nil {
				t.Fatal(err)
			}
			if got := expected(t, old(t, o, before)); got != tc.left {
				t.Errorf("a copy made before tells of %q, want %q", got, tc.left)
			}
		})
	}
}

// TestACrashBeforeTheKeyIsDestroyedIsMadeGood takes the outbox as it is between
// the commit that removes a record and the destroying of its key.
func TestACrashBeforeTheKeyIsDestroyedIsMadeGood(t *testing.T) {
	t.Parallel()
	o := options(t)
	q := open(t, o)
	one, two := put(t, q, 1, 5000).Record, put(t, q, 2, 5000).Record
	epochs := epochFiles(t, o.Path)[0]
	before, keys := read(t, o.Path), read(t, epochs)
	if err := q.Settle(t.Context(), one, succeed(one)); err != nil {
		t.Fatal(err)
	}
	shut(t, q)
	if err := os.WriteFile(epochs, keys, 0o600); err != nil {
		t.Fatal(err)
	}
	if !opens(t, old(t, o, before), one) {
		t.Fatal("the key is not there any more: the test tests nothing")
	}
	q = open(t, o)
	defer shut(t, q)
	if was := old(t, o, before); opens(t, was, one) || !opens(t, was, two) {
		t.Error("opening the outbox left the key of a record that is gone, or destroyed another")
	}
}

func TestARecordThatIsNotStoredTakesNoKey(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.MaxRecords, o.MaxBookings = 3, 1
	q := open(t, o)
	defer shut(t, q)
	for n := range 3 {
		put(t, q, n, 100)
	}
	book(t, q, 9, kiosk.UserToken{})
	for range 100 { // more than there are keys
		if err := q.Put(t.Context(), queuetest.Submission(4, 100)); !errors.Is(err, kiosk.ErrQueueFull) {
			t.Fatal(err)
		}
		if err := q.Put(t.Context(), queuetest.Submission(2, 100)); err != nil {
			t.Fatal(err)
		}
		if err := q.Book(t.Context(), queuetest.Booking(2)); !errors.Is(err, kiosk.ErrBooked) {
			t.Fatal(err)
		}
	}
	for n := range 100 {
		if err := q.Settle(t.Context(), "session-0-1", succeed("session-0-1")); err != nil {
			t.Fatal(err)
		}
		s := queuetest.Submission(1000+n, 100)
		if err := q.Put(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if err := q.Settle(t.Context(), s.Record, succeed(s.Record)); err != nil {
			t.Fatal(err)
		}
	}
	if !opens(t, q, "session-1-1") || !opens(t, q, "session-2-1") {
		t.Error("what was put first does not open")
	}
}

func TestWithoutItsEpochFileAnOutboxIsLeftAlone(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(path string) error{
		"missing": os.Remove,
		"empty":   func(path string) error { return os.Truncate(path, 0) },
		"cut short within its keys": func(path string) error {
			return os.Truncate(path, 4096+32)
		},
		"of another kind": func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte("x"), 8192), 0o600) },
		"a directory": func(path string) error {
			return errors.Join(os.Remove(path), os.Mkdir(path, 0o700))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t)
			o.Epochs = t.TempDir()
			q := open(t, o)
			put(t, q, 1, 100)
			id := put(t, q, 2, 100).Record
			shut(t, q)
			if len(epochFiles(t, o.Path)) != 0 {
				t.Error("the epoch file is beside the outbox")
			}
			epochs := epochFiles(t, filepath.Join(o.Epochs, "queue.db"))[0]
			sound, file := read(t, epochs), read(t, o.Path)
			if err := spoil(epochs); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				_, err := queue.Open(t.Context(), o)
				if err == nil || errors.Is(err, kiosk.ErrQueueBad) || !strings.Contains(err.Error(), "epoch file") || !strings.Contains(err.Error(), "restored") {
					t.Errorf("open: %v", err)
				}
			}
			if !bytes.Equal(read(t, o.Path), file) || len(names(t, o.Path)) != 1 {
				t.Error("the outbox was changed or moved")
			}
			if err := os.RemoveAll(epochs); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(epochs, sound, 0o600); err != nil {
				t.Fatal(err)
			}
			q = open(t, o)
			defer shut(t, q)
			if !opens(t, q, id) {
				t.Error("with its epoch file back a record does not open")
			}
		})
	}
}

func TestAnEmptyOutboxGetsANewEpochFile(t *testing.T) {
	t.Parallel()
	o := options(t)
	q := open(t, o)
	s := put(t, q, 1, 100)
	if err := q.Recapture(t.Context(), s.Record, kiosk.Receipt{Action: kiosk.Retry}); err != nil {
		t.Fatal(err)
	}
	settled := put(t, q, 2, 100)
	if err := q.Settle(t.Context(), settled.Record, succeed(settled.Record)); err != nil {
		t.Fatal(err)
	}
	shut(t, q)
	was := epochFiles(t, o.Path)[0]
	if err := os.Remove(was); err != nil {
		t.Fatal(err)
	}
	q = open(t, o)
	id := put(t, q, 3, 100).Record
	shut(t, q)
	q = open(t, o)
	defer shut(t, q)
	if now := epochFiles(t, o.Path); len(now) != 1 || now[0] == was || q.Quarantined != "" {
		t.Errorf("epoch files: %v, before: %s; quarantined %q", now, was, q.Quarantined)
	}
	if !opens(t, q, id) || listed(t, q, "dead") != "1" || listed(t, q, "done") != "2" {
		t.Error("something got lost")
	}
}

func TestAFileMovedAsideKeepsItsEpochFileForAsLongAsItIsThere(t *testing.T) {
	t.Parallel()
	o := options(t)
	q := open(t, o)
	id := put(t, q, 1, 5000).Record
	shut(t, q)
	was := epochFiles(t, o.Path)[0]
	sound := read(t, o.Path)
	for range 2 { // the second one found nothing to tell
		if err := os.WriteFile(o.Path, sound[:len(sound)/2], 0o600); err != nil {
			t.Fatal(err)
		}
		q = open(t, o)
		put(t, q, 2, 100)
		shut(t, q)
	}
	files := epochFiles(t, o.Path)
	if len(files) != 3 || !slices.Contains(files, was) {
		t.Fatalf("epoch files: %v, want that of the file moved aside too: %s", files, was)
	}
	// Support puts the two together elsewhere.
	if !opens(t, old(t, o, sound), id) {
		t.Error("the file moved aside does not open with its epoch file")
	}
	aside, err := filepath.Glob(o.Path + ".bad-*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range aside {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	q = open(t, o)
	defer shut(t, q)
	if now := epochFiles(t, o.Path); len(now) != 1 || now[0] == was {
		t.Errorf("epoch files once nothing is aside: %v", now)
	}
	if !opens(t, q, "session-2-1") {
		t.Error("what is pending does not open")
	}
}

// TestAFlippedSlotHarmsNoOtherRecord keeps a changed number from destroying the
// key of another record.
func TestAFlippedSlotHarmsNoOtherRecord(t *testing.T) {
	t.Parallel()
	for _, flipped := range []string{`"slot":1,`, `"slot":3,`, `"slot" 0,`, `"sLot":5,`} {
		o := options(t)
		q := open(t, o)
		one, two := put(t, q, 1, 100).Record, put(t, q, 2, 100).Record
		shut(t, q)
		file := read(t, o.Path)
		changed := bytes.ReplaceAll(file, []byte(`"slot":0,`), []byte(flipped))
		if bytes.Equal(file, changed) {
			t.Fatal("no slot was found: the test tests nothing")
		}
		if err := os.WriteFile(o.Path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		q = open(t, o)
		if opens(t, q, one) || !opens(t, q, two) {
			t.Errorf("%q: the changed record opens, or the other does not", flipped)
		}
		for _, err := range []error{q.Dead(t.Context(), one, "broken"), q.Settle(t.Context(), one, succeed(one))} {
			if err != nil {
				t.Errorf("%q: %v", flipped, err)
			}
		}
		if !opens(t, q, two) {
			t.Errorf("%q: settling the changed record erased another", flipped)
		}
		shut(t, q)
	}
}

func TestANewKeySealsAndAnOldOneStillOpens(t *testing.T) {
	t.Parallel()
	first, second := queuetest.Key(t), queuetest.Key(t)
	o := options(t)
	o.Keys = seal.NewRing(first)
	q := open(t, o)
	pending, dead, letter := put(t, q, 1, 1000), put(t, q, 2, 1000), put(t, q, 3, 1000)
	settled := put(t, q, 4, 1000)
	for _, err := range []error{
		q.Mark(t.Context(), pending.Record, kiosk.Marks{Token: "t1"}),
		q.Mark(t.Context(), dead.Record, kiosk.Marks{SubmissionID: "sub", Pace: kiosk.Pace{Failures: 3}}),
		q.Dead(t.Context(), dead.Record, "poison"),
		q.Recapture(t.Context(), letter.Record, kiosk.Receipt{Action: kiosk.Retry}),
		q.Settle(t.Context(), settled.Record, succeed(settled.Record)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for n := 5; n < 10; n++ {
		book(t, q, n, kiosk.UserToken{Value: "token-canary"})
	}
	shut(t, q)

	o.Keys = seal.NewRing(second, first)
	q = open(t, o)
	if q.Orphans != 0 || q.Quarantined != "" {
		t.Errorf("orphans %d, quarantined %q", q.Orphans, q.Quarantined)
	}
	if !opens(t, q, pending.Record) {
		t.Error("a record of the old key does not open")
	}
	if err := q.Mark(t.Context(), pending.Record, kiosk.Marks{Token: "t2"}); err != nil {
		t.Error(err)
	}
	if job, err := q.Job(t.Context(), pending.Record); err != nil || job.Marks.Token != "t2" {
		t.Errorf("its mark: %+v, %v", job.Marks, err)
	}
	if err := q.Revive(t.Context(), dead.Record); err != nil {
		t.Error(err)
	}
	for n := range 5 {
		if used, err := q.Used(t.Context(), queuetest.Submission(n, 1).CorrelationID); err != nil || used != (n > 0) {
			t.Errorf("correlation id %d is used: %v, %v", n, used, err)
		}
	}
	if got := expected(t, q); got != "5 6 7 8 9" {
		t.Errorf("booked: %q", got)
	}
	if err := q.Book(t.Context(), queuetest.Booking(1)); !errors.Is(err, kiosk.ErrBooked) {
		t.Errorf("booking what a record has: %v", err)
	}
	stranger := queuetest.Booking(5)
	stranger.UserID = "user-canary-50"
	if err := q.Book(t.Context(), stranger); !errors.Is(err, kiosk.ErrBooked) {
		t.Errorf("booking what another user has: %v", err)
	}
	again := queuetest.Submission(3, 1000)
	again.Record, again.Attempt = "session-3-2", 2
	came := queuetest.Submission(6, 1000)
	came.Token = ""
	for _, err := range []error{
		q.Book(t.Context(), queuetest.Booking(5)),                                              // renews it
		q.Fetched(t.Context(), queuetest.Booking(7), kiosk.UserToken{Value: "token-canary-2"}), // again
		q.Unbook(t.Context(), queuetest.Booking(8).CorrelationID),
		q.Put(t.Context(), again),
		q.Put(t.Context(), came),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if got := expected(t, q); got != "7 9 5" {
		t.Errorf("booked after that: %q", got)
	}
	if got := listed(t, q, "done"); got != "4 3" {
		t.Errorf("history: %q, want the letter that the new capture made good", got)
	}
	if job, err := q.Job(t.Context(), came.Record); err != nil || job.Token != "token-canary" {
		t.Errorf("the booked token: %q, %v", job.Token, err)
	}
	shut(t, q)

	// What was put or written again since then is the new key's alone.
	o.Keys = seal.NewRing(second)
	q = open(t, o)
	defer shut(t, q)
	if q.Orphans != 2 {
		t.Errorf("orphans without the old key: %d, want 2", q.Orphans)
	}
	if opens(t, q, pending.Record) || !opens(t, q, again.Record) || !opens(t, q, came.Record) {
		t.Error("records do not open with the keys they were sealed for")
	}
	if got := expected(t, q); got != "7 5" {
		t.Errorf("booked without the old key: %q", got)
	}
}

func TestOnlyTheRelayReadsWhatIsSealedForIt(t *testing.T) {
	t.Parallel()
	relay := queuetest.Key(t)
	o := options(t)
	q := open(t, o)
	direct := put(t, q, 1, 5000)
	shut(t, q)
	o.Relay = relay.Public()
	q = open(t, o)
	s, bare := put(t, q, 2, 5000), queuetest.Submission(3, 5000)
	bare.Metadata = nil
	book(t, q, 3, kiosk.UserToken{Value: "token-canary-booked"})
	bare.Token = ""
	if err := q.Put(t.Context(), bare); err != nil {
		t.Fatal(err)
	}
	shut(t, q)
	if strings.Count(string(read(t, o.Path)), relay.Fingerprint()) < 2 {
		t.Error("the heads do not tell the relay")
	}

	o.Relay = nil // what is sealed stays sealed
	q = open(t, o)
	defer shut(t, q)
	if got, err := q.Image(t.Context(), direct.Record, kiosk.Selfie, nil); err != nil || !bytes.Equal(got, direct.Images[kiosk.Selfie]) {
		t.Errorf("an image put before: %v", err)
	}
	job, err := q.Job(t.Context(), s.Record)
	if err != nil || job.CorrelationID != s.CorrelationID || job.Token != s.Token || job.UserID != s.UserID {
		t.Fatalf("the job: %v", err)
	}
	var stands map[string][]byte
	if err := json.Unmarshal(job.Metadata, &stands); err != nil || len(stands) != 1 || strings.Contains(string(job.Metadata), "canary") {
		t.Fatalf("the metadata: %s, %v", job.Metadata, err)
	}
	envelopes := map[string][]byte{"metadata": stands["livekiosk_sealed"]}
	plain := map[string][]byte{"metadata": s.Metadata}
	for document, image := range s.Images {
		envelope, err := q.Image(t.Context(), s.Record, document, new([]byte))
		if err != nil {
			t.Fatal(err)
		}
		envelopes["image/"+string(document)], plain["image/"+string(document)] = bytes.Clone(envelope), image
	}
	device := o.Keys.Current()
	for part, envelope := range envelopes {
		for name, tc := range map[string]struct {
			key         *seal.Key
			correlation string
			opens       bool
		}{
			"the relay":                            {relay, s.CorrelationID, true},
			"the device":                           {device, s.CorrelationID, false},
			"the relay for another correlation id": {relay, "another", false},
		} {
			b, got, err := seal.OpenEnvelope(tc.key, tc.correlation, bytes.Clone(envelope))
			if (err == nil) != tc.opens {
				t.Errorf("%s by %s: %v", part, name, err)
			}
			if tc.opens && (!bytes.Equal(got, plain[part]) || b.Part != part || b.Record != string(s.Record) || b.Attempt != 1 ||
				b.Device != device.Fingerprint() || b.Key != relay.Fingerprint()) {
				t.Errorf("%s by %s: came back changed, or from %+v", part, name, b)
			}
		}
	}
	if job, err = q.Job(t.Context(), bare.Record); err != nil || len(job.Metadata) > 0 || job.Token != "token-canary-booked" {
		t.Errorf("the job of one without metadata: %q, %v", job.Metadata, err)
	}
}

func TestAPreflightDecidesWhatBecomesOfTheFile(t *testing.T) {
	t.Parallel()
	o := options(t)
	q := open(t, o)
	id := put(t, q, 1, 100).Record
	shut(t, q)
	file := read(t, o.Path)
	late := errors.New("took too long")
	for name, tc := range map[string]struct {
		says  error
		wants error // of Open
		aside bool
	}{
		"it is sound":           {},
		"it is damaged":         {says: kiosk.ErrQueueBad, aside: true},
		"nobody knows":          {says: late, wants: late},
		"it is of another time": {says: kiosk.ErrQueueNewer, wants: kiosk.ErrQueueNewer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := o
			o.Path = withEpochs(t, o.Path, file)
			tried := 0
			o.Preflight = func(ctx context.Context, f *os.File) error {
				tried++
				if info, err := f.Stat(); tried == 1 && (err != nil || info.Size() != int64(len(file))) {
					t.Errorf("is given another file: %v", err)
				}
				if err := queue.Inspect(ctx, o.Path); tried == 1 && !errors.Is(err, kiosk.ErrQueueBusy) {
					t.Errorf("the file is not locked: %v", err)
				}
				if tried == 1 {
					return tc.says
				}
				return nil
			}
			q, err := queue.Open(t.Context(), o)
			if !errors.Is(err, tc.wants) {
				t.Fatalf("open: %v", err)
			}
			if tc.wants != nil {
				if !bytes.Equal(read(t, o.Path), file) || len(names(t, o.Path)) != 2 {
					t.Error("something was changed")
				}
				return
			}
			defer shut(t, q)
			if (q.Quarantined != "") != tc.aside || !tc.aside && !opens(t, q, id) {
				t.Errorf("quarantined %q", q.Quarantined)
			}
			if tc.aside && !bytes.Equal(read(t, q.Quarantined), file) {
				t.Error("the file moved aside was changed")
			}
		})
	}
}

func TestPreflightTriesAFileAndChangesNothing(t *testing.T) {
	t.Parallel()
	o, sound := sample(t)
	newer := edited(sound, func(m []byte) { m[4] = 3 })
	for name, tc := range map[string]struct {
		file []byte
		want error
	}{
		"sound":    {sound, nil},
		"short":    {sound[:len(sound)/2], kiosk.ErrQueueBad},
		"too new":  {newer, kiosk.ErrQueueNewer},
		"no bytes": {nil, kiosk.ErrQueueBad},
	} {
		path := withEpochs(t, o.Path, tc.file)
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := queue.Preflight(t.Context(), f); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
		if !bytes.Equal(read(t, path), tc.file) {
			t.Errorf("%s: the file was changed", name)
		}
		if err := f.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
			t.Fatal(err)
		}
	}
}

// TestReadersMeetNothingHalfErased has readers and removers at the same time:
// what is gone is gone, and not broken.
func TestReadersMeetNothingHalfErased(t *testing.T) {
	t.Parallel()
	q := queuetest.Open(t)
	const rounds = 30
	book(t, q, 9999, kiosk.UserToken{Value: "token-canary"})
	var ids []kiosk.RecordID
	for n := range rounds {
		ids = append(ids, put(t, q, n, 2000).Record)
	}
	var group sync.WaitGroup
	group.Go(func() {
		for _, id := range ids {
			if err := q.Settle(t.Context(), id, succeed(id)); err != nil {
				t.Error(err)
			}
			if err := q.Fetched(t.Context(), queuetest.Booking(9999), kiosk.UserToken{Value: "token-canary"}); err != nil {
				t.Error(err)
			}
		}
	})
	for range 2 {
		group.Go(func() {
			for _, id := range ids {
				for {
					_, job := q.Job(t.Context(), id)
					_, image := q.Image(t.Context(), id, kiosk.Selfie, nil)
					all, err := q.Bookings(t.Context())
					if err != nil || len(all) != 1 {
						t.Errorf("booked: %d, %v", len(all), err)
					}
					if errors.Is(job, kiosk.ErrNoRecord) && errors.Is(image, kiosk.ErrNoRecord) {
						break
					}
					for _, err := range []error{job, image} {
						if err != nil && !errors.Is(err, kiosk.ErrNoRecord) {
							t.Error(err)
							return
						}
					}
				}
			}
		})
	}
	group.Wait()
}
