package queue

import (
	"bytes"

	"livekiosk/kiosk"
)

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
		if err := q.settle(w, dead, one.key, one.head, kiosk.Receipt{Action: kiosk.Retry, Reason: kiosk.NeedsRecapture}); err != nil {
			return nil, err
		}
		ids = append(ids, one.head.Record)
	}
	return ids, nil
}
