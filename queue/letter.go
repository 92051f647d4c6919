package queue

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"

	"go.etcd.io/bbolt"

	"livekiosk/kiosk"
)

// Revive makes a dead letter pending again, at its old place in the order: what
// kept it from being delivered was mended. It goes on where its marks are, and
// its waits begin anew. A pending record is left as it is and is no error.
//
// Revive returns kiosk.ErrNoRecord if id is neither pending nor dead,
// kiosk.ErrNoImages if there is nothing left to deliver, as of a letter that
// needs a new capture, and kiosk.ErrSealBroken if the device's key is not the
// one that it was sealed for.
func (q *Queue) Revive(ctx context.Context, id kiosk.RecordID) error {
	was := ""
	err := q.update(ctx, func(w *writing) error {
		record, k, err := w.transfer(id, deadBucket, pendingBucket)
		if err != nil {
			return err
		}
		h, err := q.resume(record, k)
		if err != nil {
			return err
		}
		was = h.Reason
		h.Reason, h.Changed = "", time.Now().UTC().Round(0)
		return h.put(record)
	})
	if err != nil {
		return fmt.Errorf("revive %s: %w", id, err)
	}
	if was != "" {
		q.o.Log.InfoContext(ctx, "dead letter is pending again", slog.String("record", string(id)), slog.String("was", was))
	}
	q.signal()
	return nil
}

// resume makes the marks of a dead record under k ready for another try. It
// returns its head, whose state is how far it is.
func (q *Queue) resume(record *bbolt.Bucket, k []byte) (head, error) {
	if weigh(record) == 0 {
		return head{}, kiosk.ErrNoImages
	}
	var f found
	if err := q.find(&f, record, k); err != nil {
		return head{}, err
	}
	h := f.head
	sealed := record.Get([]byte(marksKey))
	if sealed == nil {
		h.State = state(record, kiosk.Marks{})
		return h, nil
	}
	p, err := f.openMarks(bytes.Clone(sealed))
	if err != nil {
		return head{}, err
	}
	p.Pace = pace{}
	h.State = state(record, p.marks())
	again, err := json.Marshal(p)
	if err != nil {
		return head{}, errors.New("marks cannot be written as JSON") // the cause could quote them
	}
	defer clear(again)
	if sealed, err = f.layers.keep(h.binding(f.tag, marksKey), again); err != nil {
		return head{}, err
	}
	return h, record.Put([]byte(marksKey), sealed)
}

// Drop erases a record that is pending or dead for good: when it returns nil,
// nothing of what it held can be read any more. History keeps kiosk.ExitError,
// who decided it and the reason that they gave, both without control characters
// and cut to 256 bytes; neither may be empty, nor name the person. This is also
// where a withdrawn consent ends. A deliverer that has the record in hand finds
// it gone with its next step; what it sent to the gateway before lies there.
//
// Drop returns kiosk.ErrNoRecord if id is neither pending nor dead.
func (q *Queue) Drop(ctx context.Context, id kiosk.RecordID, by, reason string) error {
	by, reason = plain(by), plain(reason)
	if by == "" || reason == "" {
		return fmt.Errorf("drop %s: who decided it and why must be said", id)
	}
	err := q.update(ctx, func(w *writing) error {
		bucket, k := w.find(id, pendingBucket, deadBucket)
		if k == nil {
			return kiosk.ErrNoRecord
		}
		h, err := readHead(bucket.Bucket(k), k)
		if err != nil {
			h = head{Record: id}
		}
		return q.settle(w, bucket, k, h, end{
			why: whyDropped, by: by, Receipt: kiosk.Receipt{Action: kiosk.ExitError, Reason: reason},
		})
	})
	if err != nil {
		return fmt.Errorf("drop %s: %w", id, err)
	}
	q.o.Log.InfoContext(ctx, "record was dropped and is erased", slog.String("record", string(id)), slog.String("by", by), slog.String("reason", reason))
	return nil
}

// plain returns what people wrote as one line that shows as what it is: without
// control characters and without those that change how others are shown.
func plain(words string) string {
	words = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, words)
	return strings.TrimSpace(shorten(strings.TrimSpace(words)))
}

// letter reports whether a record of that head and size is one that Recapture
// left: dead, without its parts.
func (h head) letter(size int64) bool {
	return h.State == stateDead && h.Reason == kiosk.NeedsRecapture && size == 0
}

// tally counts a record of that head and size in, n 1, or out, n -1. A letter
// takes no room of captures.
func (c *counts) tally(h head, size int64, n int) {
	if h.letter(size) {
		c.letters += n
		return
	}
	c.records += n
	c.bytes += size * int64(n)
}

// thin moves the oldest letters beyond their limit to history. It returns
// which.
func (q *Queue) thin(w *writing) ([]kiosk.RecordID, error) {
	dead := w.tx.Bucket([]byte(deadBucket))
	type aged struct {
		key  []byte
		head head
	}
	var old []aged
	c := dead.Cursor()
	for k, _ := c.First(); k != nil && len(old) < w.counts.letters-q.o.HistoryMax; k, _ = c.Next() {
		record := dead.Bucket(k)
		if h, err := readHead(record, k); err == nil && h.letter(weigh(record)) {
			old = append(old, aged{bytes.Clone(k), h})
		}
	}
	var ids []kiosk.RecordID
	for _, one := range old {
		if err := q.settle(w, dead, one.key, one.head, end{why: whySettled, Receipt: kiosk.Receipt{Action: kiosk.Retry, Reason: kiosk.NeedsRecapture}}); err != nil {
			return nil, err
		}
		ids = append(ids, one.head.Record)
	}
	return ids, nil
}
