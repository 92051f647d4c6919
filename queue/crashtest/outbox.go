package crashtest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"sync"

	"livekiosk/kiosk"
	"livekiosk/queue"
	"livekiosk/queue/seal"
)

// queueFile is the outbox in the mounted file system.
const queueFile = "queue.db"

// options are the outbox's as a kiosk has it, but for its limits, which keep
// the disk small.
func options(path, key string) (queue.Options, error) {
	ring, err := keys(key).Open()
	if err != nil {
		return queue.Options{}, fmt.Errorf("device keys: %w", err)
	}
	return queue.Options{Path: path, Keys: ring, MaxRecords: 40, MaxBookings: 12, HistoryMax: 2000}, nil
}

func keys(dir string) seal.Store { return seal.Store{Dir: dir, Kind: seal.FileStore} }

// makeKeys makes the device key of a run in a directory.
func makeKeys(dir string) error {
	if _, err := keys(dir).Create(seal.X25519); err != nil {
		return fmt.Errorf("make device keys: %w", err)
	}
	return nil
}

// rotateKeys makes another key the current one. The outbox is closed.
func rotateKeys(dir string) error {
	if _, err := keys(dir).Rotate(seal.X25519); err != nil {
		return fmt.Errorf("rotate device keys: %w", err)
	}
	return nil
}

// tagKeys returns the keys by which the outbox knows correlation ids again, one
// for each device key.
func tagKeys(dir string) ([][]byte, error) {
	ring, err := keys(dir).Open()
	if err != nil {
		return nil, fmt.Errorf("device keys: %w", err)
	}
	var all [][]byte
	for _, key := range ring.All() {
		tags, err := key.Derive("correlation tag")
		if err != nil {
			return nil, fmt.Errorf("device keys: %w", err)
		}
		all = append(all, tags)
	}
	return all, nil
}

// An alarm is a log that keeps what is an error: a run makes none.
type alarm struct {
	slog.Handler

	mu   sync.Mutex
	said []string
}

func newAlarm() *alarm { return &alarm{Handler: slog.DiscardHandler} }

// Enabled is slog.Handler's.
func (a *alarm) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }

// Handle is slog.Handler's.
func (a *alarm) Handle(_ context.Context, r slog.Record) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.said = append(a.said, r.Message)
	return nil
}

// messages returns what was said.
func (a *alarm) messages() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.said)
}

// preflight has a child read the outbox first, as the daemon does.
func preflight(ctx context.Context, f *os.File) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("pre-flight: %w", err)
	}
	child := exec.CommandContext(ctx, program)
	child.Env = append(os.Environ(), roleVariable+"="+rolePreflight)
	child.ExtraFiles = []*os.File{f}
	if text, err := child.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: pre-flight: %w: %s", kiosk.ErrQueueBad, err, text)
	}
	return nil
}

// bePreflight is the child. It ends without closing the outbox, whose lock is
// its parent's.
func bePreflight(ctx context.Context) error {
	return queue.Preflight(ctx, os.NewFile(3, queueFile))
}

// drop gives a record up, as staff do.
func drop(ctx context.Context, q *queue.Queue, id kiosk.RecordID) error {
	return q.Drop(ctx, id, "uid 0", "withdrawn")
}

// readOutbox returns what the outbox holds. Dead letters that have their parts
// are made pending again, so that they can be read and delivered.
func readOutbox(ctx context.Context, q *queue.Queue) (Found, error) {
	f := Found{Quarantined: q.Quarantined, Orphans: q.Orphans}
	verified, err := q.Verify(ctx, nil)
	if err != nil {
		return f, err
	}
	f.Broken, f.Tampered = verified.Broken, verified.Tampered || verified.Unproven > 0
	entries, err := q.Entries(ctx)
	if err != nil {
		return f, err
	}
	revived := map[kiosk.RecordID]bool{}
	for _, e := range entries {
		switch {
		case e.State == "done":
			f.Over = append(f.Over, Ended{e.Record, e.Outcome})
		case e.State == "dead" && e.Reason == kiosk.NeedsRecapture && e.Bytes == 0:
			f.Letters = append(f.Letters, string(e.Record))
		case e.State == "dead":
			revived[e.Record] = true
			if err = q.Revive(ctx, e.Record); err != nil {
				return f, err
			}
		}
	}
	ids, err := q.Pending(ctx)
	if err != nil {
		return f, err
	}
	for _, id := range ids {
		h := readRecord(ctx, q, id)
		h.Dead = revived[id]
		f.Pending = append(f.Pending, h)
	}
	erasures, err := q.Erasures(ctx)
	if err != nil {
		return f, err
	}
	for _, e := range erasures {
		if e.Record != "" && !e.Erased.IsZero() {
			f.Erased = append(f.Erased, e.Record)
		}
	}
	people, err := q.Bookings(ctx)
	if err != nil {
		return f, err
	}
	for _, b := range people {
		f.Bookings = append(f.Bookings, Expected{Person: b.CorrelationID, Token: !b.Token.Expires.IsZero()})
	}
	return f, nil
}

func readRecord(ctx context.Context, q *queue.Queue, id kiosk.RecordID) Held {
	h := Held{Capture: Capture{Record: id}}
	j, err := q.Job(ctx, id)
	if err != nil {
		h.Broken = err.Error()
		return h
	}
	images := map[kiosk.Document]string{}
	for _, document := range kiosk.Documents() {
		image, err := q.Image(ctx, id, document, nil)
		if err != nil {
			h.Broken = err.Error()
			return h
		}
		images[document] = imageSum(image)
	}
	h.Capture, h.Mark = captureOfJob(j, images), markOf(j.Marks)
	return h
}
