package faulttest_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue"
	"livekiosk/queue/queuetest"
	"livekiosk/queue/seal"
)

// keysEnv has the test binary be a worker with the device keys in this folder:
// the one process that uses an outbox.
const keysEnv = "FAULTTEST_KEYS"

func TestMain(m *testing.M) {
	if keys := os.Getenv(keysEnv); keys != "" {
		if err := work(keys, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1) //nolint:forbidigo // this is the main of a worker
		}
		os.Exit(0) //nolint:forbidigo // as above
	}
	os.Exit(m.Run()) //nolint:forbidigo // as above
}

// A task is what a worker is told, one line of JSON each.
type task struct {
	Do    string   // "life", "quarantine", "touch" or "check"
	Dir   string   // of the outbox
	Known []string // damaged files that were told already
}

// A report is what a worker says, one line of JSON each: a step that begins, or
// how it ended, or the end of the task.
type report struct {
	Step    string
	Index   int
	Begins  bool              `json:",omitempty"`
	Err     string            `json:",omitempty"` // "": it succeeded
	Is      []string          `json:",omitempty"` // what the error is
	Stopped bool              `json:",omitempty"` // after the error the outbox says that it must be opened anew
	Aside   string            `json:",omitempty"` // of an opening: the damaged file
	Sum     string            `json:",omitempty"` // of damage that was done: of the file
	Records map[string]string `json:",omitempty"` // of a check: where each record is
	People  map[string]string `json:",omitempty"` // of a check: what is known of each booking
	Files   map[string]string `json:",omitempty"` // of a check: sums of the damaged files
	End     bool              `json:",omitempty"`
}

// A worker has one outbox.
type worker struct {
	keys  *seal.Ring
	out   *json.Encoder
	dir   string
	known map[string]bool // damaged files that were told
	q     *queue.Queue
}

func work(keys string, in io.Reader, out io.Writer) error {
	ring, err := seal.Store{Dir: keys, Kind: seal.FileStore}.Open()
	if err != nil {
		return err
	}
	w := &worker{keys: ring, out: json.NewEncoder(out)}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var t task
		if err := json.Unmarshal(lines.Bytes(), &t); err != nil {
			return err
		}
		if w.dir != t.Dir {
			w.dir, w.known = t.Dir, map[string]bool{}
			for _, path := range t.Known {
				w.known[filepath.Join(t.Dir, path)] = true
			}
		}
		switch t.Do {
		case "life":
			err = w.run(life())
		case "quarantine":
			err = w.run(quarantine())
		case "touch":
			err = w.touch()
		case "check":
			err = w.check()
		}
		if err != nil {
			return err
		}
		if err := w.out.Encode(report{Step: t.Do, End: true}); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (w *worker) path() string { return filepath.Join(w.dir, "queue.db") }

// A step is one call of the outbox, by its name: a verb and what it is about.
type step struct {
	name string
	do   func(ctx context.Context, w *worker) error
}

func onQueue(name string, do func(ctx context.Context, q *queue.Queue) error) step {
	return step{name, func(ctx context.Context, w *worker) error {
		if w.q == nil {
			return errNotOpen
		}
		return do(ctx, w.q)
	}}
}

var errNotOpen = errors.New("the outbox is not open")

func putting(n, size int) step {
	s := queuetest.Submission(n, size)
	return onQueue("put "+string(s.Record), func(ctx context.Context, q *queue.Queue) error { return q.Put(ctx, s) })
}

func record(n int) kiosk.RecordID { return queuetest.Submission(n, 1).Record }

func settling(n int) step {
	return onQueue("settle "+string(record(n)), func(ctx context.Context, q *queue.Queue) error {
		return q.Settle(ctx, record(n), kiosk.Receipt{Session: "s", Record: record(n), SubmissionID: "sub", Action: kiosk.ExitSuccess})
	})
}

func marking(n int) step {
	return onQueue("mark "+string(record(n)), func(ctx context.Context, q *queue.Queue) error {
		return q.Mark(ctx, record(n), kiosk.Marks{Token: "t", SubmissionID: "sub", Uploaded: map[kiosk.Document]bool{kiosk.Selfie: true}})
	})
}

func opening() step {
	return step{"open", func(ctx context.Context, w *worker) error { return w.open(ctx) }}
}

func closing() step {
	return step{"close", func(_ context.Context, w *worker) error { return w.close() }}
}

// life is all that an outbox does, on one that is new.
func life() []step {
	return []step{
		opening(),
		onQueue("admit", func(ctx context.Context, q *queue.Queue) error { return q.Admit(ctx) }),
		putting(0, 20_000), putting(1, 9000), putting(2, 30_000), putting(3, 9000), putting(4, 3000),
		onQueue("book 50", func(ctx context.Context, q *queue.Queue) error { return q.Book(ctx, queuetest.Booking(50)) }),
		onQueue("book 51", func(ctx context.Context, q *queue.Queue) error { return q.Book(ctx, queuetest.Booking(51)) }),
		onQueue("fetch 50", func(ctx context.Context, q *queue.Queue) error {
			return q.Fetched(ctx, queuetest.Booking(50), kiosk.UserToken{Value: "token", Expires: time.Now().AddDate(0, 1, 0)})
		}),
		marking(2),
		settling(0),
		onQueue("dead "+string(record(1)), func(ctx context.Context, q *queue.Queue) error { return q.Dead(ctx, record(1), "poison") }),
		marking(3),
		onQueue("recapture "+string(record(4)), func(ctx context.Context, q *queue.Queue) error {
			return q.Recapture(ctx, record(4), kiosk.Receipt{Session: "session-4", Record: record(4), Action: kiosk.Retry})
		}),
		onQueue("drop "+string(record(1)), func(ctx context.Context, q *queue.Queue) error { return q.Drop(ctx, record(1), "uid 0", "asked to") }),
		onQueue("probe", func(ctx context.Context, q *queue.Queue) error { return q.Probe(ctx) }),
		onQueue("outages", func(ctx context.Context, q *queue.Queue) error {
			return q.SetOutages(ctx, []kiosk.Outage{{Service: kiosk.GatewayService, Trouble: kiosk.TroubleDNS, Failures: 3}})
		}),
		closing(),
		opening(),
		putting(5, 30_000),
		onQueue("unbook 51", func(ctx context.Context, q *queue.Queue) error {
			return q.Unbook(ctx, queuetest.Booking(51).CorrelationID)
		}),
		settling(2),
		onQueue("prune", func(ctx context.Context, q *queue.Queue) error { return q.Prune(ctx) }),
		putting(6, 9000),
		closing(),
	}
}

// quarantine is the life of an outbox that is damaged, moved aside, and whose
// damaged file is taken away.
func quarantine() []step {
	return []step{
		opening(), putting(0, 9000), closing(),
		{"damage", damage},
		opening(), putting(1, 9000), closing(),
		opening(), putting(2, 9000), closing(),
		{"take away", func(_ context.Context, w *worker) error {
			var err error
			for _, path := range w.asides() {
				err = errors.Join(err, os.Rename(path, filepath.Join(w.dir, "taken")))
			}
			return err
		}},
		opening(), settling(1), closing(), opening(), closing(),
	}
}

// damage makes both meta pages of the closed file unreadable.
func damage(_ context.Context, w *worker) error {
	if w.q != nil {
		return errNotOpen
	}
	f, err := os.OpenFile(w.path(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(make([]byte, 8192), 0)
	return errors.Join(err, f.Close())
}

func (w *worker) open(ctx context.Context) error {
	if w.q != nil {
		return nil
	}
	q, err := queue.Open(ctx, queue.Options{Path: w.path(), Keys: w.keys, Reserve: 1})
	w.q = q
	return err
}

func (w *worker) close() error {
	if w.q == nil {
		return nil
	}
	q := w.q
	w.q = nil
	return q.Close()
}

// run does the steps. As the daemon does, it opens the outbox anew once that
// stopped working.
func (w *worker) run(steps []step) error {
	for i, s := range steps {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		err := w.step(ctx, i, s)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) step(ctx context.Context, i int, s step) error {
	if w.q == nil && s.name != "open" && s.name != "damage" && s.name != "take away" {
		if err := w.attempt(ctx, i, opening()); err != nil {
			return err
		}
	}
	return w.attempt(ctx, i, s)
}

func (w *worker) attempt(ctx context.Context, i int, s step) error {
	if err := w.out.Encode(report{Step: s.name, Index: i, Begins: true}); err != nil {
		return err
	}
	err := s.do(ctx, w)
	r := report{Step: s.name, Index: i}
	if err != nil {
		r.Err, r.Is = err.Error(), kinds(err)
		if w.q != nil {
			_, later := w.q.Pending(ctx)
			r.Stopped = later != nil && strings.Contains(later.Error(), "must be opened anew")
			if r.Stopped {
				_ = w.close() // the error before this one counts
			}
		}
	} else if s.name == "damage" {
		r.Sum = sum(w.path())
	}
	if s.name == "open" {
		r.Aside = w.moved()
	}
	return w.out.Encode(r)
}

// moved returns the damaged file that was moved aside since it was asked last,
// "" if none was.
func (w *worker) moved() string {
	for _, path := range w.asides() {
		if !w.known[path] {
			w.known[path] = true
			return filepath.Base(path)
		}
	}
	return ""
}

func (w *worker) asides() []string {
	files, err := os.ReadDir(w.dir)
	if err != nil {
		return nil // of a folder that cannot be listed nothing is moved
	}
	var aside []string
	for _, f := range files {
		if strings.HasPrefix(f.Name(), "queue.db.bad-") {
			aside = append(aside, filepath.Join(w.dir, f.Name()))
		}
	}
	return aside
}

func kinds(err error) []string {
	var is []string
	for name, target := range map[string]error{
		"full": kiosk.ErrQueueFull, "bad": kiosk.ErrQueueBad, "newer": kiosk.ErrQueueNewer, "busy": kiosk.ErrQueueBusy,
		"no record": kiosk.ErrNoRecord, "no booking": kiosk.ErrNoBooking, "not open": errNotOpen,
	} {
		if errors.Is(err, target) {
			is = append(is, name)
		}
	}
	slices.Sort(is)
	return is
}

func sum(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:8])
}

// touchedRecord is what touch puts.
const touchedRecord = "session-98-1"

// touch opens the outbox anew and puts a record.
func (w *worker) touch() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_ = w.close() // whatever it says: nothing fails any more
	err := w.open(ctx)
	if err == nil {
		err = w.q.Put(ctx, queuetest.Submission(98, 3000))
	}
	r := report{Step: "touch"}
	if err = errors.Join(err, w.close()); err != nil {
		r.Err = err.Error()
	}
	return w.out.Encode(r)
}

// check opens the outbox anew, says what is there, delivers it, and stores and
// delivers something new.
func (w *worker) check() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_ = w.close() // whatever it says: nothing fails any more
	if err := w.open(ctx); err != nil {
		return fmt.Errorf("open after the fault: %w", err)
	}
	r := report{Step: "check", Records: map[string]string{}, People: map[string]string{}, Files: map[string]string{}}
	r.Aside = w.moved()
	if err := w.list(ctx, &r); err != nil {
		return err
	}
	for _, path := range w.asides() {
		r.Files[filepath.Base(path)] = sum(path)
	}
	if err := w.out.Encode(r); err != nil {
		return err
	}
	if err := w.deliver(ctx); err != nil {
		return err
	}
	return w.close()
}

// list tells where everything is, and that it can be read.
func (w *worker) list(ctx context.Context, r *report) error {
	entries, err := w.q.Entries(ctx)
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	for _, e := range entries {
		id := string(e.Record)
		if was, twice := r.Records[id]; twice {
			return fmt.Errorf("%s is listed twice: as %s and %s", id, was, e.State)
		}
		r.Records[id] = e.State
		if e.Outcome != "" {
			r.Records[id] = "history " + string(e.Outcome)
		}
	}
	pending, err := w.q.Pending(ctx)
	if err != nil {
		return fmt.Errorf("pending: %w", err)
	}
	for _, id := range pending {
		job, err := w.q.Job(ctx, id)
		if err != nil {
			return fmt.Errorf("job: %w", err)
		}
		r.Records[string(id)] = "pending"
		if job.Marks.SubmissionID != "" {
			r.Records[string(id)] = "pending, marked"
		}
		var n int
		if _, err = fmt.Sscanf(string(id), "session-%d-1", &n); err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
		for _, document := range []kiosk.Document{kiosk.Selfie, kiosk.AdditionalSelfie} {
			image, err := w.q.Image(ctx, id, document, nil)
			if err != nil {
				return err
			}
			if want := queuetest.Submission(n, len(image)).Images[document]; !bytes.Equal(image, want) {
				return fmt.Errorf("image %s of %s is another one", document, id)
			}
		}
	}
	people, err := w.q.Bookings(ctx)
	if err != nil {
		return fmt.Errorf("bookings: %w", err)
	}
	for _, b := range people {
		r.People[b.CorrelationID] = "fetched"
	}
	unfetched, err := w.q.Unfetched(ctx)
	if err != nil {
		return fmt.Errorf("bookings without a token: %w", err)
	}
	for _, b := range unfetched {
		r.People[b.CorrelationID] = "booked"
	}
	return nil
}

// deliver settles what is pending, and what comes after it.
func (w *worker) deliver(ctx context.Context) error {
	if err := w.q.Put(ctx, queuetest.Submission(99, 9000)); err != nil {
		return fmt.Errorf("put after the fault: %w", err)
	}
	for range 2 { // the second time after opening it anew
		pending, err := w.q.Pending(ctx)
		if err != nil {
			return err
		}
		for _, id := range pending {
			if err = w.q.Settle(ctx, id, kiosk.Receipt{Record: id, Action: kiosk.ExitSuccess}); err != nil {
				return fmt.Errorf("settle after the fault: %w", err)
			}
		}
		if err = w.q.Probe(ctx); err != nil {
			return fmt.Errorf("probe after the fault: %w", err)
		}
		if err = w.close(); err == nil {
			err = w.open(ctx)
		}
		if err != nil {
			return fmt.Errorf("open once more: %w", err)
		}
	}
	if pending, err := w.q.Pending(ctx); err != nil || len(pending) > 0 || w.q.Quarantined != "" {
		return fmt.Errorf("after delivering all, pending are %v, moved aside %q: %w", pending, w.q.Quarantined, err)
	}
	return nil
}
