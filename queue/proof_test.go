package queue_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"livekiosk/kiosk"
	"livekiosk/queue"
	"livekiosk/queue/queuetest"
	"livekiosk/queue/seal"
)

// erasures returns what was erased and why, the oldest first.
func erasures(t *testing.T, q *queue.Queue) string {
	t.Helper()
	all, err := q.Erasures(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, e := range slices.Backward(all) {
		if e.Removed.IsZero() || e.Erased.Before(e.Removed) || time.Since(e.Erased) > time.Minute || !strings.Contains(e.Epoch, "/") {
			t.Errorf("erased %+v", e)
		}
		who := strings.TrimPrefix(string(e.Record), "session-")
		if len(e.Booking) == 32 {
			who += "booking"
		}
		said = append(said, who+" "+e.Why)
	}
	return strings.Join(said, ", ")
}

func proven(t *testing.T, q *queue.Queue) kiosk.Verification {
	t.Helper()
	v, err := q.Verify(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestEachErasureIsToldOnceOfEachKind(t *testing.T) {
	t.Parallel()
	o := options(t)
	q := open(t, o)
	for n := range 6 {
		put(t, q, n, 500)
	}
	book(t, q, 20, kiosk.UserToken{})
	book(t, q, 20, kiosk.UserToken{}) // renewed: nothing to tell
	book(t, q, 21, kiosk.UserToken{})
	if got := erasures(t, q); got != "" {
		t.Errorf("erased before anything was: %s", got)
	}
	want := ""
	told := func(line string, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		want = strings.TrimPrefix(want+", "+line, ", ")
		if got := erasures(t, q); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	told("0-1 settled", q.Settle(t.Context(), "session-0-1", kiosk.Receipt{Action: kiosk.ExitSuccess}))
	told("1-1 recapture", q.Recapture(t.Context(), "session-1-1", kiosk.Receipt{}))
	told("2-1 dropped", q.Drop(t.Context(), "session-2-1", "uid 1", "withdrawn"))
	told("booking unbooked", q.Unbook(t.Context(), queuetest.Booking(20).CorrelationID))
	told("booking redeemed", q.Put(t.Context(), queuetest.Submission(21, 100)))
	if err := q.Settle(t.Context(), "session-1-1", kiosk.Receipt{Action: kiosk.ExitError}); err != nil {
		t.Fatal(err) // had nothing left to erase
	}
	for range 3 {
		if err := q.Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
		shut(t, q)
		q = open(t, o)
		if got := erasures(t, q); got != want {
			t.Errorf("opened again it tells %q, want %q", got, want)
		}
		if v := proven(t, q); v.Erasures != 5 || v.Tampered || v.Unproven != 0 {
			t.Errorf("found %+v", v)
		}
	}
	shut(t, q)
}

// TestALineSurvivesAStopBeforeItIsWritten opens what was there when the removal
// was durable, with its key destroyed and the line not finished.
func TestALineSurvivesAStopBeforeItIsWritten(t *testing.T) {
	t.Parallel()
	o := options(t)
	q := open(t, o)
	put(t, q, 1, 500)
	put(t, q, 2, 500)
	if err := q.Settle(t.Context(), "session-1-1", kiosk.Receipt{Action: kiosk.ExitSuccess}); err != nil {
		t.Fatal(err)
	}
	if got := erasures(t, q); got != "1-1 settled" {
		t.Errorf("told %q at once", got)
	}
	copied := read(t, o.Path)
	shut(t, q)
	o.Path = withEpochs(t, o.Path, copied)
	for range 2 {
		q = open(t, o)
		if got := erasures(t, q); got != "1-1 settled" {
			t.Errorf("told %q", got)
		}
		if v := proven(t, q); v.Erasures != 1 || v.Tampered {
			t.Errorf("the line is not in the file: %+v", v)
		}
		shut(t, q)
	}
}

func TestTheProofIsBounded(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.HistoryMax = 3
	q := queuetest.OpenWith(t, o)
	for n := range 10 {
		put(t, q, n, 100)
		if err := q.Drop(t.Context(), queuetest.Submission(n, 1).Record, "uid 1", "test"); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := erasures(t, q); got != "7-1 dropped, 8-1 dropped, 9-1 dropped" {
		t.Errorf("told %q", got)
	}
	if v := proven(t, q); v.Erasures != 3 || v.Tampered {
		t.Errorf("found %+v", v)
	}
}

func TestAChangedProofIsNoticed(t *testing.T) {
	t.Parallel()
	nth := func(b *bbolt.Bucket, n int) []byte {
		c := b.Cursor()
		k, _ := c.First()
		for range n {
			k, _ = c.Next()
		}
		return bytes.Clone(k)
	}
	remove := func(n int) func(tx *bbolt.Tx) error {
		return func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte("erased"))
			return b.Delete(nth(b, n))
		}
	}
	for name, tc := range map[string]struct {
		change func(tx *bbolt.Tx) error
		sound  bool
	}{
		"nothing": {sound: true, change: func(*bbolt.Tx) error { return nil }},
		"a word in a line": {change: func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte("erased"))
			k := nth(b, 2)
			return b.Put(k, bytes.Replace(b.Get(k), []byte("session-2"), []byte("session-9"), 1))
		}},
		"a number in the newest line": {change: func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte("erased"))
			k := nth(b, 4)
			return b.Put(k, bytes.Replace(b.Get(k), []byte(`"slot":0`), []byte(`"slot":9`), 1))
		}},
		"the oldest line, without a word": {change: remove(0)},
		"a line in the middle":            {change: remove(2)},
		"the newest line":                 {change: remove(4)},
		"all lines":                       {change: func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("erased")) }},
		"all lines and the end": {change: func(tx *bbolt.Tx) error {
			if err := tx.Bucket([]byte("outbox")).Delete([]byte("proof")); err != nil {
				return err
			}
			return tx.DeleteBucket([]byte("erased"))
		}},
		"the end": {change: func(tx *bbolt.Tx) error { return tx.Bucket([]byte("outbox")).Delete([]byte("proof")) }},
		"a line that was there before, once more": {change: func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte("erased"))
			v := bytes.Clone(b.Get(nth(b, 4)))
			return b.Put([]byte{0, 0, 0, 0, 0, 0, 0, 6}, v)
		}},
		"two lines in each other's place": {change: func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte("erased"))
			one, two := nth(b, 1), nth(b, 2)
			first, second := bytes.Clone(b.Get(one)), bytes.Clone(b.Get(two))
			if err := b.Put(one, second); err != nil {
				return err
			}
			return b.Put(two, first)
		}},
		"a line without its code": {change: func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte("erased"))
			return b.Put([]byte{0, 0, 0, 0, 0, 0, 0, 6}, []byte(`{"format":1}`))
		}},
		"a removal that never was": {change: func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("erasing"))
			if err != nil {
				return err
			}
			return b.Put([]byte{0, 0, 0, 0, 0, 0, 0, 6}, append(make([]byte, 32), `{"format":1,"record":"forged","why":"settled"}`...))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t)
			q := open(t, o)
			for n := range 5 {
				put(t, q, n, 100)
				if err := q.Drop(t.Context(), queuetest.Submission(n, 1).Record, "uid 1", "test"); err != nil {
					t.Fatal(err)
				}
			}
			if err := q.Probe(t.Context()); err != nil {
				t.Fatal(err)
			}
			shut(t, q)
			tamper(t, o.Path, func(pending *bbolt.Bucket) error { return tc.change(pending.Tx()) })
			var log bytes.Buffer
			o.Log = logger(&log)
			q = queuetest.OpenWith(t, o)
			if v := proven(t, q); v.Tampered == tc.sound {
				t.Errorf("found %+v", v)
			}
			// Going on hides nothing.
			for n := 10; n < 13; n++ {
				put(t, q, n, 100)
				if err := q.Drop(t.Context(), queuetest.Submission(n, 1).Record, "uid 1", "test"); err != nil {
					t.Fatal(err)
				}
			}
			if err := q.Probe(t.Context()); err != nil {
				t.Fatal(err)
			}
			if v := proven(t, q); v.Tampered == tc.sound {
				t.Errorf("with three more lines: %+v", v)
			}
			if strings.Contains(log.String(), "forged") || strings.Contains(erasures(t, q), "forged") {
				t.Error("what was forged is told as true")
			}
		})
	}
}

// TestTheProofOutlivesItsKey rotates the device key and retires the old one.
func TestTheProofOutlivesItsKey(t *testing.T) {
	t.Parallel()
	first, second := queuetest.Key(t), queuetest.Key(t)
	o := options(t)
	gone := 0
	drop := func(keys *seal.Ring) kiosk.Verification {
		t.Helper()
		o.Keys = keys
		q := open(t, o)
		defer shut(t, q)
		put(t, q, gone, 100)
		if err := q.Drop(t.Context(), queuetest.Submission(gone, 1).Record, "uid 1", "test"); err != nil {
			t.Fatal(err)
		}
		gone++
		if err := q.Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
		return proven(t, q)
	}
	for _, tc := range []struct {
		keys     *seal.Ring
		lines    int
		unproven int
	}{
		{seal.NewRing(first), 1, 0},
		{seal.NewRing(second, first), 2, 0},
		{seal.NewRing(second), 3, 1},
		{seal.NewRing(second, first), 4, 0},
	} {
		if v := drop(tc.keys); v.Erasures != tc.lines || v.Unproven != tc.unproven || v.Tampered {
			t.Errorf("found %+v, want %d lines, %d unproven", v, tc.lines, tc.unproven)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add([]byte(`{"format":1,"record":"r","why":"settled","epochs":"e","slot":1,"removed":"2026-05-04T12:00:00Z","key":"k"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := queue.DecodeLine(text)
		if err != nil {
			return
		}
		if _, err := json.Marshal(l); err != nil {
			t.Errorf("a line that was read cannot be written: %v", err)
		}
	})
}

func TestDropErasesWhateverStateARecordIsIn(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	o := options(t)
	o.Log = logger(&log)
	q := queuetest.OpenWith(t, o)
	for n := range 4 {
		put(t, q, n, 500)
	}
	if err := q.Mark(t.Context(), "session-1-1", kiosk.Marks{SubmissionID: "sub-1"}); err != nil {
		t.Fatal(err)
	}
	if err := q.Dead(t.Context(), "session-2-1", "FORBIDDEN"); err != nil {
		t.Fatal(err)
	}
	if err := q.Recapture(t.Context(), "session-3-1", kiosk.Receipt{}); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][2]string{
		"nobody's decision":          {"", "why"},
		"no reason":                  {"uid 1", ""},
		"a reason of nothing to see": {"uid 1", " \t\u202e\x00\n"},
	} {
		if err := q.Drop(t.Context(), "session-0-1", args[0], args[1]); err == nil {
			t.Errorf("dropped by %s", name)
		}
	}
	long := strings.Repeat("é", 300)
	for n := range 4 {
		id := queuetest.Submission(n, 1).Record
		before := copyOf(t, o)
		if err := q.Drop(t.Context(), id, "uid 1000\n\u202eroot"+long, "they\tasked\x1b[31m\r\nto \u200b"+long); err != nil {
			t.Fatal(err)
		}
		d, err := q.Show(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if d.State != "done" || d.Outcome != kiosk.ExitError || len(d.By) > 256 || len(d.Reason) > 256 || d.Changed.IsZero() ||
			!strings.HasPrefix(d.By, "uid 1000 rootéé") || !strings.HasPrefix(d.Reason, "they asked[31m  to éé") || strings.ContainsRune(d.Reason, '\ufffd') {
			t.Errorf("%s is now %+v", id, d)
		}
		for what, err := range map[string]error{
			"drop": q.Drop(t.Context(), id, "uid 1", "again"), "mark": q.Mark(t.Context(), id, kiosk.Marks{}), "dead": q.Dead(t.Context(), id, "x"),
		} {
			if err == nil || !strings.Contains(err.Error(), kiosk.ErrNoRecord.Error()) {
				t.Errorf("%s after that: %v", what, err)
			}
		}
		if n < 2 && opens(t, old(t, o, before), id) {
			t.Errorf("%s opens in an older copy", id)
		}
	}
	if n := strings.Count(log.String(), `"by":"uid 1000 root`); n != 4 {
		t.Errorf("logged %d times: %s", n, log.String())
	}
	if got := erasures(t, q); got != "0-1 dropped, 1-1 dropped, 3-1 recapture, 2-1 dropped" && got != "3-1 recapture, 0-1 dropped, 1-1 dropped, 2-1 dropped" {
		t.Errorf("told %q", got)
	}
	if err := q.Drop(t.Context(), "nobody", "uid 1", "x"); err == nil {
		t.Error("dropped nobody")
	}
}

// copyOf returns the outbox file as it is.
func copyOf(t *testing.T, o queue.Options) []byte {
	t.Helper()
	b, err := os.ReadFile(o.Path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestNothingExpiresEarlyWhateverTheClockSays lets boots and wall clocks do what
// they like for as long as a record may be kept, and a little longer.
func TestNothingExpiresEarlyWhateverTheClockSays(t *testing.T) {
	t.Parallel()
	const most = 60 * day
	for name, tc := range map[string]struct {
		moves func(w *weather)
		gone  bool
	}{
		"one boot, not long enough": {moves: func(w *weather) { w.pass(most - time.Hour) }},
		"one boot, long enough":     {gone: true, moves: func(w *weather) { w.pass(most + time.Hour) }},
		"one boot that knows no time": {gone: true, moves: func(w *weather) {
			w.trusted = false
			w.pass(most + time.Hour)
		}},
		"a trusted clock that jumps a year ahead": {moves: func(w *weather) {
			w.jump(400 * day)
			w.pass(most - time.Hour)
		}},
		"a reboot to a clock far ahead": {moves: func(w *weather) {
			w.pass(day)
			w.reboot(time.Hour, false)
			w.jump(4000 * day)
			w.pass(most - 2*day)
		}},
		"off for long between trusted clocks": {gone: true, moves: func(w *weather) {
			w.pass(day)
			w.reboot(most, true)
			w.pass(time.Hour)
		}},
		"off for long, and the time is not known": {moves: func(w *weather) {
			w.pass(day)
			w.reboot(most, false)
			w.pass(most - 2*day)
		}},
		"off for long, and the time is known later": {gone: true, moves: func(w *weather) {
			w.pass(day)
			w.reboot(most, false)
			w.pass(time.Hour)
			w.trusted = true
			w.pass(time.Hour)
		}},
		"three boots that are too short together": {moves: func(w *weather) {
			w.pass(20 * day)
			w.reboot(0, true)
			w.pass(20 * day)
			w.reboot(0, false)
			w.pass(19 * day)
		}},
		"three boots that are long enough together": {gone: true, moves: func(w *weather) {
			w.trusted = false
			w.pass(25 * day)
			w.reboot(0, false)
			w.pass(25 * day)
			w.reboot(0, false)
			w.pass(25 * day)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			weatherTest(t, func(w *weather) {
				t := w.t

				put(t, w.q, 1, 100)
				put(t, w.q, 2, 100)
				if err := w.q.Dead(t.Context(), "session-2-1", "poison"); err != nil {
					t.Fatal(err)
				}
				tc.moves(w)
				for _, id := range []kiosk.RecordID{"session-1-1", "session-2-1"} {
					d, err := w.q.Show(t.Context(), id)
					if err != nil {
						t.Fatal(err)
					}
					if gone := d.State == "done"; gone != tc.gone || gone && (d.Reason != "expired" || d.Outcome != kiosk.ExitError) {
						t.Errorf("%s is %s %s %q, of age %v, %v to go", id, d.State, d.Outcome, d.Reason, time.Duration(d.Age)*time.Second, time.Duration(d.Expires)*time.Second)
					}
				}
				want := ""
				if tc.gone {
					want = "1-1 expired, 2-1 expired"
				}
				all, err := w.q.Erasures(t.Context())
				if err != nil || len(all) != 2*strings.Count(want, ",") {
					t.Errorf("erased %v, %v, want %q", all, err, want)
				}
				var told []kiosk.Receipt
				for n := range 2 * strings.Count(want, ",") {
					s := queuetest.Submission(n+1, 1)
					told = append(told, kiosk.Receipt{Record: s.Record, Session: s.Session, Action: kiosk.ExitError, Reason: "expired"})
				}
				if !slices.Equal(w.expired, told) {
					t.Errorf("told %+v, want %+v", w.expired, told)
				}
				if n := strings.Count(w.log.String(), "too old"); n != 2*strings.Count(want, ",") || strings.Contains(w.log.String(), "canary") {
					t.Errorf("the log: %s", w.log.String())
				}
			})
		})
	}
}

// TestARecordOfAnotherClockIsDatedAnew forges what records say of when they were
// put.
func TestARecordOfAnotherClockIsDatedAnew(t *testing.T) {
	t.Parallel()
	for name, stamp := range map[string]string{
		"far ahead": "99999999999", "none": "0", "below zero": "-77", "the most there is": strconv.FormatInt(1<<63-1, 10),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			weatherTest(t, func(w *weather) {
				t := w.t

				w.pass(100 * day)
				put(t, w.q, 1, 100)
				shut(t, w.q)
				tamper(t, w.o.Path, func(pending *bbolt.Bucket) error {
					k, _ := pending.Cursor().First()
					record := pending.Bucket(k)
					var h map[string]any
					if err := json.Unmarshal(record.Get([]byte("head")), &h); err != nil {
						return err
					}
					if h["stamp"] == nil {
						t.Error("the record does not say when it was put")
					}
					h["stamp"] = json.Number(stamp)
					b, err := json.Marshal(h)
					if err != nil {
						return err
					}
					return record.Put([]byte("head"), b)
				})
				w.q = open(t, w.o)
				w.pass(59 * day)
				if d, err := w.q.Show(t.Context(), "session-1-1"); err != nil || d.State != "queued" {
					t.Errorf("after 59 days: %+v, %v", d, err)
				}
				w.pass(3 * day) // its 60 days began with the first prune
				if d, err := w.q.Show(t.Context(), "session-1-1"); err != nil || d.State != "done" {
					t.Errorf("after 62 days: %+v, %v", d, err)
				}
			})
		})
	}
}

// TestALetterThatNobodyCanReadEndsToo tampers with the head of a dead letter.
func TestALetterThatNobodyCanReadEndsToo(t *testing.T) {
	t.Parallel()
	weatherTest(t, func(w *weather) {
		t := w.t

		put(t, w.q, 1, 100)
		if err := w.q.Dead(t.Context(), "session-1-1", "poison"); err != nil {
			t.Fatal(err)
		}
		shut(t, w.q)
		tamper(t, w.o.Path, func(pending *bbolt.Bucket) error {
			dead := pending.Tx().Bucket([]byte("dead"))
			k, _ := dead.Cursor().First()
			return dead.Bucket(k).Put([]byte("head"), []byte("?"))
		})
		w.q = open(t, w.o)
		w.pass(59 * day)
		if d, err := w.q.Show(t.Context(), "session-1-1"); err != nil || d.State != "dead" {
			t.Errorf("after 59 days: %+v, %v", d, err)
		}
		w.pass(3 * day) // its 60 days began with the first prune
		if d, err := w.q.Show(t.Context(), "session-1-1"); err != nil || d.State != "done" || d.Reason != "expired" {
			t.Errorf("after 62 days: %+v, %v", d, err)
		}
	})
}

func TestAClockThatDoesNotReadBeginsAnew(t *testing.T) {
	t.Parallel()
	weatherTest(t, func(w *weather) {
		t := w.t

		put(t, w.q, 1, 100)
		w.pass(59 * day)
		shut(t, w.q)
		tamper(t, w.o.Path, func(pending *bbolt.Bucket) error {
			return pending.Tx().Bucket([]byte("outbox")).Put([]byte("clock"), []byte(`{"format":1,"elapsed":-5}`))
		})
		w.q = open(t, w.o)
		w.pass(59 * day)
		if d, err := w.q.Show(t.Context(), "session-1-1"); err != nil || d.State != "queued" {
			t.Errorf("after a lost clock: %+v, %v", d, err)
		}
		if !strings.Contains(w.log.String(), "does not read") {
			t.Errorf("the log: %s", w.log.String())
		}
	})
}
