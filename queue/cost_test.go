package queue_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

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

// TestAPutWritesLittleMoreThanItsPayload keeps flash alive: each record is put,
// marked four times and settled, with a backlog of forty and sizes that vary.
// It is not parallel: the accounting is the whole process's.
func TestAPutWritesLittleMoreThanItsPayload(t *testing.T) {
	const backlog, cycles = 40, 160
	path := filepath.Join(t.TempDir(), "queue.db")
	q := queuetest.OpenWith(t, queue.Options{Path: path, Keys: queuetest.Keys(t)})
	random := rand.New(rand.NewPCG(1, 2))
	sample := queuetest.Submission(0, 300_000)

	var live []kiosk.RecordID
	var payload, put, mark, marks, settle int64
	for n := range cycles {
		s := *sample
		s.Record = kiosk.RecordID("r" + strconv.Itoa(n))
		s.Images = map[kiosk.Document][]byte{}
		var size int64
		for document, image := range sample.Images {
			s.Images[document] = image[:75_000+random.IntN(150_000)]
			size += int64(len(s.Images[document]))
		}
		before := written(t)
		if err := q.Put(t.Context(), &s); err != nil {
			t.Fatal(err)
		}
		steady := n >= 2*backlog
		if steady {
			put += written(t) - before
			payload += size
		}
		if live = append(live, s.Record); len(live) <= backlog {
			continue
		}
		oldest := live[0]
		live = live[1:]
		before = written(t)
		for _, m := range []kiosk.Marks{
			{Token: "token"},
			{Token: "token", SubmissionID: "sub"},
			{Token: "token", SubmissionID: "sub", Uploaded: map[kiosk.Document]bool{kiosk.Selfie: true, kiosk.AdditionalSelfie: true}},
			{Token: "token", SubmissionID: "sub", Confirmed: true},
		} {
			if err := q.Mark(t.Context(), oldest, m); err != nil {
				t.Fatal(err)
			}
		}
		mark += written(t) - before
		marks += 4
		before = written(t)
		if err := q.Settle(t.Context(), oldest, kiosk.Receipt{Action: kiosk.ExitSuccess}); err != nil {
			t.Fatal(err)
		}
		settle += written(t) - before
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	amplification := float64(put) / float64(payload)
	size := float64(info.Size()) / float64(payload/(cycles-2*backlog)*backlog)
	t.Logf("put writes %.3f bytes for each byte of the images; a mark writes %d bytes, a settle %d; the file has %.2f times the live bytes",
		amplification, mark/marks, settle/(marks/4), size)
	if amplification > 1.15 {
		t.Errorf("put writes %.3f bytes for each byte of the images, want at most 1.15", amplification)
	}
	if size > 1.5 {
		t.Errorf("the file has %.2f times the live bytes, want at most 1.5 with so few", size)
	}
	if mark/marks > 24<<10 {
		t.Errorf("a mark writes %d bytes: the images again?", mark/marks)
	}
	if settle/(marks/4) > 32<<10 {
		t.Errorf("a settle writes %d bytes: the pages it freed?", settle/(marks/4))
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
