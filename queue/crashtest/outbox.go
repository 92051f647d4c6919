package crashtest

import (
	"context"
	"fmt"

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

// tagKey returns the key by which the outbox knows correlation ids again.
func tagKey(dir string) ([]byte, error) {
	ring, err := keys(dir).Open()
	if err != nil {
		return nil, fmt.Errorf("device keys: %w", err)
	}
	return ring.Current().Derive("correlation tag")
}

// drop gives a record up, as staff do.
func drop(ctx context.Context, q *queue.Queue, id kiosk.RecordID) error {
	return q.Dismiss(ctx, id, "withdrawn")
}

// readOutbox returns what the outbox holds. Dead letters that have their parts
// are made pending again, so that they can be read and delivered.
func readOutbox(ctx context.Context, q *queue.Queue) (Found, error) {
	f := Found{Quarantined: q.Quarantined, Orphans: q.Orphans}
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
