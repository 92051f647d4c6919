package queue_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"go.etcd.io/bbolt"

	"livekiosk/kiosk"
	"livekiosk/queue"
	"livekiosk/queue/queuetest"
)

// written returns how many bytes this process has passed to write calls.
func written(tb testing.TB) int64 {
	tb.Helper()
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		tb.Skipf("no I/O accounting here: %v", err)
	}
	for line := range bytes.Lines(text) {
		if rest, is := bytes.CutPrefix(line, []byte("wchar: ")); is {
			n, err := strconv.ParseInt(string(bytes.TrimSpace(rest)), 10, 64)
			if err != nil {
				tb.Fatal(err)
			}
			return n
		}
	}
	tb.Skip("no I/O accounting here")
	return 0
}

// wearCycles is how many records TestTheOutboxWearsLittle puts and settles, and
// wearVariable names a longer form of it.
const (
	wearCycles   = 1000
	wearVariable = "LIVEKIOSK_WEAR_CYCLES"
)

// memory returns a directory in memory where there is one: what is counted is
// what is written, and not how long a disk takes for it.
func memory(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "wear-*") //nolint:usetesting // in memory, and not where the others lie
	if err != nil {
		return tb.TempDir()
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	return dir
}

// live returns how many bytes of keys and values are in the outbox.
func live(tb testing.TB, q *queue.Queue) int64 {
	tb.Helper()
	var sum int64
	var add func(b *bbolt.Bucket) error
	add = func(b *bbolt.Bucket) error {
		return b.ForEach(func(k, v []byte) error {
			sum += int64(len(k) + len(v))
			if inner := b.Bucket(k); inner != nil {
				return add(inner)
			}
			return nil
		})
	}
	if err := queue.Write(tb.Context(), q, func(tx *bbolt.Tx) error { return add(tx.Cursor().Bucket()) }); err != nil {
		tb.Fatal(err)
	}
	return sum
}

// TestTheOutboxWearsLittle keeps flash alive: each record is put, marked twice,
// as one is that is delivered, and settled, with a backlog of a hundred and sizes
// that vary. It is not parallel: the accounting is the whole process's.
func TestTheOutboxWearsLittle(t *testing.T) {
	const backlog = 100
	cycles := wearCycles
	if text := os.Getenv(wearVariable); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 4*backlog {
			t.Fatalf("%s is %q: want a number of at least %d", wearVariable, text, 4*backlog)
		}
		cycles = n
	}
	path := filepath.Join(memory(t), "queue.db")
	q := queuetest.OpenWith(t, queue.Options{Path: path, Keys: queuetest.Keys(t)})
	random := rand.New(rand.NewPCG(1, 2))
	sample := queuetest.Submission(0, 300_000)
	cost := func(sum *int64, fn func() error) {
		t.Helper()
		before := written(t)
		if err := fn(); err != nil {
			t.Fatal(err)
		}
		*sum += written(t) - before
	}

	var waiting []kiosk.RecordID
	var payload, put, mark, settle, counted int64
	for n := range cycles {
		s := *sample
		s.Record = kiosk.RecordID("r" + strconv.Itoa(n))
		s.Images = map[kiosk.Document][]byte{}
		var size int64
		for document, image := range sample.Images {
			s.Images[document] = image[:75_000+random.IntN(150_000)]
			size += int64(len(s.Images[document]))
		}
		var onePut, oneMark, oneSettle int64
		cost(&onePut, func() error { return q.Put(t.Context(), &s) })
		if waiting = append(waiting, s.Record); len(waiting) <= backlog {
			continue
		}
		oldest := waiting[0]
		waiting = waiting[1:]
		for _, m := range []kiosk.Marks{
			{Token: "token", SubmissionID: "sub", Uploaded: map[kiosk.Document]bool{kiosk.Selfie: true, kiosk.AdditionalSelfie: true}},
			{Token: "token", SubmissionID: "sub", Uploaded: map[kiosk.Document]bool{kiosk.Selfie: true, kiosk.AdditionalSelfie: true}, Confirmed: true},
		} {
			cost(&oneMark, func() error { return q.Mark(t.Context(), oldest, m) })
		}
		cost(&oneSettle, func() error { return q.Settle(t.Context(), oldest, kiosk.Receipt{Action: kiosk.ExitSuccess}) })
		if n >= 2*backlog { // the file has its size
			payload, put, mark, settle, counted = payload+size, put+onePut, mark+oneMark, settle+oneSettle, counted+1
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	kept := live(t, q)
	amplification, size := float64(put)/float64(payload), float64(info.Size())/float64(kept)
	t.Logf("%d cycles: put writes %.3f bytes for each byte of the images, the whole cycle %.3f; a mark writes %d bytes, a settle %d; the file of %d bytes is %.2f times what lives in it",
		cycles, amplification, float64(put+mark+settle)/float64(payload), mark/counted/2, settle/counted, info.Size(), size)
	if amplification > 1.15 {
		t.Errorf("put writes %.3f bytes for each byte of the images, want at most 1.15", amplification)
	}
	if size > 1.3 {
		t.Errorf("the file is %.2f times what lives in it, want at most 1.3", size)
	}
	if mark/counted/2 > 32<<10 {
		t.Errorf("a mark writes %d bytes: the images again?", mark/counted/2)
	}
	if settle/counted > 40<<10 {
		t.Errorf("a settle writes %d bytes: the pages it freed?", settle/counted)
	}
}

// TestADrainedBacklogCostsLaterWritesNothing keeps what a commit writes apart
// from how many pages of the file are free.
func TestADrainedBacklogCostsLaterWritesNothing(t *testing.T) {
	q := queuetest.Open(t)
	const backlog = 100
	s := queuetest.Submission(1, 150_000)
	for n := range backlog {
		s.Record = kiosk.RecordID("r" + strconv.Itoa(n))
		if err := q.Put(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	cost := func(id kiosk.RecordID) (mark, settle int64) {
		t.Helper()
		before := written(t)
		if err := q.Mark(t.Context(), id, kiosk.Marks{SubmissionID: "sub"}); err != nil {
			t.Fatal(err)
		}
		mark = written(t) - before
		if err := q.Settle(t.Context(), id, kiosk.Receipt{Action: kiosk.ExitSuccess}); err != nil {
			t.Fatal(err)
		}
		return mark, written(t) - before - mark
	}
	firstMark, firstSettle := cost("r0")
	for n := 1; n < backlog-1; n++ {
		cost(kiosk.RecordID("r" + strconv.Itoa(n)))
	}
	lastMark, lastSettle := cost("r" + kiosk.RecordID(strconv.Itoa(backlog-1)))
	t.Logf("the first mark and settle write %d and %d bytes, the last %d and %d, with 30 MB of free pages", firstMark, firstSettle, lastMark, lastSettle)
	// History grew meanwhile, which is a few pages.
	if lastMark > firstMark+16<<10 || lastSettle > firstSettle+32<<10 {
		t.Errorf("with 30 MB of free pages a mark writes %d bytes and a settle %d; %d and %d with none", lastMark, lastSettle, firstMark, firstSettle)
	}
}

// BenchmarkPending is what a deliverer asks each time something happens.
func BenchmarkPending(b *testing.B) {
	for _, records := range []int{100, 1000} {
		b.Run("records="+strconv.Itoa(records), func(b *testing.B) {
			q := queuetest.Open(b)
			s := queuetest.Submission(1, 100)
			for n := range records {
				s.Record = kiosk.RecordID("r" + strconv.Itoa(n))
				if err := q.Put(b.Context(), s); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				ids, err := q.Pending(b.Context())
				if err != nil || len(ids) != records {
					b.Fatal(len(ids), err)
				}
				if _, err := q.Job(b.Context(), ids[records-1]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPut(b *testing.B) {
	for _, size := range []int{150_000, 2_000_000} {
		b.Run("size=2x"+strconv.Itoa(size), func(b *testing.B) {
			q := queuetest.Open(b)
			s := queuetest.Submission(1, size)
			n := 0
			b.SetBytes(int64(2 * size))
			b.ReportAllocs()
			for b.Loop() {
				n++
				s.Record, s.CorrelationID = kiosk.RecordID(strconv.Itoa(n)), strconv.Itoa(n)
				if err := q.Put(b.Context(), s); err != nil {
					b.Fatal(err)
				}
				b.StopTimer() // keeps to the steady state: freed pages are used again
				if err := q.Settle(b.Context(), s.Record, kiosk.Receipt{Action: kiosk.ExitSuccess}); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
