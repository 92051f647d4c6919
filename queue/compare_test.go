//go:build compare

package queue_test

import (
	"bytes"
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"livekiosk/kiosk"
	"livekiosk/queue"
	"livekiosk/queue/queuetest"
)

// A rival stores a capture durably, and forgets one so that its room is used
// again.
type rival struct {
	name  string
	store func(n int, s *kiosk.Submission) error
	clear func(n int) error
}

// BenchmarkCompare stores captures of two images in the steady state, in which
// freed room is used again, with each rival in turn, and so in the same
// weather. It reports the median time of each, and what the outbox takes for
// each of a plain overwrite. The others do not seal, know no order and keep no
// history.
//
//	outbox     Queue.Put: sealed, in order, in one bbolt transaction
//	growing    the same into a file that has no room yet
//	overwrite  the same bytes over those of a preallocated file, and a page more, with a fdatasync after each
//	sqlite     one row in SQLite: WAL, synchronous=FULL
//	files      a file, flushed, renamed, its directory flushed
func BenchmarkCompare(b *testing.B) {
	for _, size := range []int{50_000, 150_000, 1_000_000} {
		b.Run("images=2x"+strconv.Itoa(size), func(b *testing.B) { compare(b, size) })
	}
}

func compare(b *testing.B, size int) {
	b.Helper()
	rivals := []rival{outbox(b), growing(b), overwrite(b, size), sqlite(b), files(b)}
	took := map[string][]time.Duration{}
	s := queuetest.Submission(1, size)
	const warm = 4
	n := 0
	round := func() {
		s.CorrelationID = "c" + strconv.Itoa(n)
		for _, r := range rivals {
			began := time.Now()
			err := r.store(n, s)
			took[r.name] = append(took[r.name], time.Since(began))
			if err == nil {
				err = r.clear(n)
			}
			if err != nil {
				b.Fatalf("%s: %v", r.name, err)
			}
		}
		n++
	}
	for range warm {
		round()
	}
	clear(took)
	b.SetBytes(int64(2 * size))
	for b.Loop() {
		round()
	}
	median := func(name string) float64 {
		all := took[name]
		slices.Sort(all)
		return float64(all[len(all)/2]) / float64(time.Millisecond)
	}
	for _, r := range rivals {
		b.ReportMetric(median(r.name), r.name+"-ms")
	}
	b.ReportMetric(median("outbox")/median("overwrite"), "ratio")
	b.ReportMetric(0, "ns/op") // of all of them together: says nothing
}

func outbox(b *testing.B) rival {
	b.Helper()
	q := queuetest.Open(b)
	return rival{
		name: "outbox",
		store: func(n int, s *kiosk.Submission) error {
			s.Record = kiosk.RecordID("r" + strconv.Itoa(n))
			return q.Put(context.Background(), s)
		},
		clear: func(n int) error {
			return q.Settle(context.Background(), kiosk.RecordID("r"+strconv.Itoa(n)), kiosk.Receipt{Action: kiosk.ExitSuccess})
		},
	}
}

func growing(b *testing.B) rival {
	b.Helper()
	q := queuetest.OpenWith(b, queue.Options{
		Path: filepath.Join(b.TempDir(), "queue.db"), Keys: queuetest.Keys(b), MaxRecords: 1 << 17, MaxBytes: 1 << 40,
	})
	return rival{
		name: "growing",
		store: func(n int, s *kiosk.Submission) error {
			s.Record = kiosk.RecordID("g" + strconv.Itoa(n))
			return q.Put(context.Background(), s)
		},
		clear: func(int) error { return nil },
	}
}

func overwrite(b *testing.B, size int) rival {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "plain"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	if _, err := f.Write(make([]byte, 2*size+4096)); err != nil {
		b.Fatal(err)
	}
	page := make([]byte, 4096)
	return rival{
		name: "overwrite",
		store: func(_ int, s *kiosk.Submission) error {
			at := int64(0)
			for _, image := range s.Images {
				if _, err := f.WriteAt(image, at); err != nil {
					return err
				}
				at += int64(len(image))
			}
			if err := syscall.Fdatasync(int(f.Fd())); err != nil {
				return err
			}
			if _, err := f.WriteAt(page, at); err != nil {
				return err
			}
			return syscall.Fdatasync(int(f.Fd()))
		},
		clear: func(int) error { return nil },
	}
}

func sqlite(b *testing.B) rival {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "queue.sqlite")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("CREATE TABLE outbox (id INTEGER PRIMARY KEY, far BLOB, near BLOB)"); err != nil {
		b.Fatal(err)
	}
	return rival{
		name: "sqlite",
		store: func(n int, s *kiosk.Submission) error {
			_, err := db.Exec("INSERT INTO outbox VALUES (?, ?, ?)", n, s.Images[kiosk.Selfie], s.Images[kiosk.AdditionalSelfie])
			return err
		},
		clear: func(n int) error {
			_, err := db.Exec("DELETE FROM outbox WHERE id = ?", n)
			return err
		},
	}
}

func files(b *testing.B) rival {
	b.Helper()
	dir, err := os.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { dir.Close() })
	name := func(n int) string { return filepath.Join(dir.Name(), strconv.Itoa(n)) }
	return rival{
		name: "files",
		store: func(n int, s *kiosk.Submission) error {
			f, err := os.Create(name(n) + ".new")
			if err != nil {
				return err
			}
			defer f.Close()
			if _, err := f.Write(bytes.Join([][]byte{s.Images[kiosk.Selfie], s.Images[kiosk.AdditionalSelfie]}, nil)); err != nil {
				return err
			}
			if err := f.Sync(); err != nil {
				return err
			}
			if err := os.Rename(f.Name(), name(n)); err != nil {
				return err
			}
			return dir.Sync()
		},
		clear: func(n int) error { return os.Remove(name(n)) },
	}
}
