package queue_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"go.etcd.io/bbolt"

	"livekiosk/kiosk"
	"livekiosk/queue"
	"livekiosk/queue/queuetest"
)

// commits returns how many transactions the file at path has seen.
func commits(tb testing.TB, path string) uint64 {
	tb.Helper()
	file := read(tb, path)
	return binary.LittleEndian.Uint64(file[latest(file)+64:])
}

// atOnce makes the calls while something else is written, so that they share
// their transaction, and returns what each said.
func atOnce(q *queue.Queue, calls ...func() error) []error {
	release := queue.Hold(q)
	said := make([]error, len(calls))
	done := make(chan struct{})
	for i, call := range calls {
		go func() {
			defer func() { done <- struct{}{} }()
			said[i] = call()
		}()
		synctest.Wait() // so they wait in this order
	}
	release()
	for range calls {
		<-done
	}
	return said
}

func TestCallsThatWaitTogetherShareACommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := options(t)
		q := open(t, o)
		defer shut(t, q)
		var calls []func() error
		for n := range 16 {
			id := put(t, q, n, 1000).Record
			switch n % 4 {
			case 0:
				calls = append(calls, func() error { return q.Settle(t.Context(), id, succeed(id)) })
			case 1:
				calls = append(calls, func() error { return q.Dead(t.Context(), id, "poison") })
			default:
				calls = append(calls, func() error { return q.Mark(t.Context(), id, kiosk.Marks{SubmissionID: "s" + string(id)}) })
			}
		}
		before := commits(t, o.Path)
		for i, err := range atOnce(q, calls...) {
			if err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		}
		if n := commits(t, o.Path) - before; n != 1 {
			t.Errorf("16 calls took %d commits, want 1", n)
		}
		before = commits(t, o.Path)
		if err := q.Probe(t.Context()); err != nil {
			t.Error(err)
		}
		if n := commits(t, o.Path) - before; n != 1 {
			t.Errorf("a call by itself took %d commits, want 1", n)
		}
		shut(t, q)
		q = open(t, o)
		for n := range 16 {
			job, err := q.Job(t.Context(), queuetest.Submission(n, 1).Record)
			if pending := n%4 >= 2; pending && (err != nil || job.Marks.SubmissionID == "") || !pending && !errors.Is(err, kiosk.ErrNoRecord) {
				t.Errorf("record %d: %+v, %v", n, job.Marks, err)
			}
		}
	})
}

func TestACallThatFailsSpoilsNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := options(t)
		q := open(t, o)
		defer shut(t, q)
		one, two := put(t, q, 1, 1000), put(t, q, 2, 1000)
		wrong := errors.New("no")
		said := atOnce(q,
			func() error { return q.Mark(t.Context(), one.Record, kiosk.Marks{SubmissionID: "sub"}) },
			func() error {
				return queue.Write(t.Context(), q, func(tx *bbolt.Tx) error {
					if err := tx.Bucket([]byte("pending")).DeleteBucket([]byte("nobody")); err == nil {
						t.Error("deleted nobody")
					}
					if err := tx.Bucket([]byte("history")).Put([]byte("half a change"), []byte("x")); err != nil {
						t.Error(err)
					}
					return wrong
				})
			},
			func() error { return q.Mark(t.Context(), "nobody", kiosk.Marks{}) },
			func() error { return q.Settle(t.Context(), two.Record, succeed(two.Record)) },
		)
		for i, want := range []error{nil, wrong, kiosk.ErrNoRecord, nil} {
			if !errors.Is(said[i], want) {
				t.Errorf("call %d: %v, want %v", i, said[i], want)
			}
		}
		shut(t, q)
		if strings.Contains(string(read(t, o.Path)), "half a change") {
			t.Error("what a call wrote before it failed is in the file")
		}
		q = open(t, o)
		if job, err := q.Job(t.Context(), one.Record); err != nil || job.Marks.SubmissionID != "sub" {
			t.Errorf("the mark: %+v, %v", job.Marks, err)
		}
		if _, err := q.Job(t.Context(), two.Record); !errors.Is(err, kiosk.ErrNoRecord) {
			t.Errorf("the settled one: %v", err)
		}
	})
}

func TestCallsThatWaitTogetherSeeEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := options(t)
		o.MaxRecords, o.HistoryMax = 3, 1
		q := open(t, o)
		defer shut(t, q)
		old := put(t, q, 0, 1000)
		a, b, c := queuetest.Submission(1, 1000), queuetest.Submission(2, 1000), queuetest.Submission(3, 1000)
		said := atOnce(q,
			func() error { return q.Put(t.Context(), a) },
			func() error { return q.Put(t.Context(), a) }, // again
			func() error { return q.Put(t.Context(), b) },
			func() error { return q.Put(t.Context(), c) }, // room once the others are settled
			func() error { return q.Settle(t.Context(), old.Record, succeed(old.Record)) },
			func() error { return q.Mark(t.Context(), old.Record, kiosk.Marks{}) },
			func() error { return q.Settle(t.Context(), a.Record, succeed(a.Record)) },
		)
		for i, want := range []error{nil, nil, nil, nil, nil, kiosk.ErrNoRecord, nil} {
			if !errors.Is(said[i], want) {
				t.Errorf("call %d: %v, want %v", i, said[i], want)
			}
		}
		d, e := queuetest.Submission(4, 1000), queuetest.Submission(5, 1000)
		said = atOnce(q,
			func() error { return q.Put(t.Context(), d) },
			func() error { return q.Put(t.Context(), e) }, // no room
		)
		if said[0] != nil || !errors.Is(said[1], kiosk.ErrQueueFull) {
			t.Errorf("the third and the fourth record: %v", said)
		}
		var got []string
		entries, err := q.Entries(t.Context())
		for _, e := range entries {
			got = append(got, string(e.Record)+" "+e.State)
		}
		want := []string{"session-2-1 queued", "session-3-1 queued", "session-4-1 queued", "session-1-1 done"}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("entries %q, %v, want %q", got, err, want)
		}
	})
}

func TestACallerWhoGaveUpIsNotWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := options(t)
		q := open(t, o)
		defer shut(t, q)
		s := put(t, q, 1, 1000)
		release := queue.Hold(q)
		ctx, cancel := context.WithCancel(t.Context())
		gaveUp, stayed := make(chan error), make(chan error)
		go func() { gaveUp <- q.Settle(ctx, s.Record, succeed(s.Record)) }()
		go func() { stayed <- q.Mark(t.Context(), s.Record, kiosk.Marks{SubmissionID: "sub"}) }()
		synctest.Wait()
		cancel()
		// At once, although nothing is written yet.
		if err := <-gaveUp; !errors.Is(err, context.Canceled) {
			t.Errorf("who gave up was told %v", err)
		}
		if n := queue.Waiting(q); n != 1 {
			t.Errorf("%d calls wait, want 1", n)
		}
		release()
		if err := <-stayed; err != nil {
			t.Errorf("who stayed was told %v", err)
		}
		if job, err := q.Job(t.Context(), s.Record); err != nil || job.Marks.SubmissionID != "sub" {
			t.Errorf("the record: %+v, %v", job.Marks, err)
		}
	})
}

func TestAFailedFlushStopsEverybody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := options(t)
		q := open(t, o)
		s := put(t, q, 1, 1000)
		if err := queue.Break(q); err != nil {
			t.Fatal(err)
		}
		said := atOnce(q,
			func() error { return q.Put(t.Context(), queuetest.Submission(2, 1000)) },
			func() error { return q.Put(t.Context(), s) }, // writes nothing, but rests on what the others do
			func() error { return q.Settle(t.Context(), s.Record, succeed(s.Record)) },
		)
		for i, err := range said {
			if err == nil {
				t.Errorf("call %d was acknowledged", i)
			}
		}
		if ids, err := q.Pending(t.Context()); err == nil || !strings.Contains(err.Error(), "opened anew") {
			t.Errorf("pending after that: %v, %v", ids, err)
		}
		_ = q.Close() // its file is closed already
		q = open(t, o)
		defer shut(t, q)
		if ids, err := q.Pending(t.Context()); err != nil || fmt.Sprint(ids) != "[session-1-1]" {
			t.Errorf("opened anew: %v, %v", ids, err)
		}
	})
}

// TestManyWritersAtOnce is for the race detector, and holds that no
// acknowledgement is lost or false when groups form as they like.
func TestManyWritersAtOnce(t *testing.T) {
	t.Parallel()
	o := options(t)
	q := open(t, o)
	const lanes, each = 8, 12
	done := make(chan error, lanes)
	before := commits(t, o.Path)
	for lane := range lanes {
		go func() {
			done <- func() error {
				for n := range each {
					s := queuetest.Submission(lane*each+n, 1000)
					if err := q.Put(t.Context(), s); err != nil {
						return err
					}
					if err := q.Mark(t.Context(), "nobody", kiosk.Marks{}); !errors.Is(err, kiosk.ErrNoRecord) {
						return fmt.Errorf("mark nobody: %w", err)
					}
					if n%3 == 0 {
						continue
					}
					if err := deliverOne(t.Context(), q, s.Record); err != nil {
						return err
					}
				}
				return nil
			}()
		}()
	}
	for range lanes {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Logf("%.2f commits for each record", float64(commits(t, o.Path)-before)/(lanes*each))
	check := func() {
		t.Helper()
		ids, err := q.Pending(t.Context())
		if err != nil || len(ids) != lanes*each/3 {
			t.Errorf("%d pending, %v", len(ids), err)
		}
		for _, id := range ids {
			if _, err := q.Job(t.Context(), id); err != nil {
				t.Error(err)
			}
		}
		if entries, err := q.Entries(t.Context()); err != nil || len(entries) != lanes*each {
			t.Errorf("%d entries, %v", len(entries), err)
		}
	}
	check()
	shut(t, q)
	q = open(t, o)
	defer shut(t, q)
	check()
}
