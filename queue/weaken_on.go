//go:build weaken

package queue

import (
	"bytes"
	"context"
	"os"

	"go.etcd.io/bbolt"

	"livekiosk/kiosk"
)

// This build breaks one promise, which the environment names, so that the tests
// that hold the outbox to it can be seen to fail. No other build has a way to
// break any.

func weakened(how string) bool { return os.Getenv("LIVEKIOSK_WEAKEN") == how }

// weakNoSync: nothing is flushed.
func weakNoSync() bool { return weakened("nosync") }

// weakInPlace: the first file is made under its own name.
func weakInPlace() bool { return weakened("inplace") }

// weakKeepEpochs: no epoch key is destroyed while the outbox is open.
func weakKeepEpochs() bool { return weakened("keepepochs") }

// weakBegin makes sure that a transaction is as weak as the environment asks.
func weakBegin(db *bbolt.DB) { db.NoSync = weakNoSync() }

// weakMark: a mark is acknowledged before it is durable.
func weakMark(db *bbolt.DB) { db.NoSync = weakNoSync() || weakened("settleearly") }

// weakSettle: the parts of a record are removed before its line of history is
// written.
func (q *Queue) weakSettle(ctx context.Context, id kiosk.RecordID) error {
	if !weakened("settleearly") {
		return nil
	}
	return q.update(ctx, func(w *writing) error {
		bucket, k := w.find(id, pendingBucket, deadBucket)
		if k == nil {
			return errUnchanged
		}
		record := bucket.Bucket(k)
		before := weigh(record)
		var parts [][]byte
		c := record.Cursor()
		for part, _ := c.Seek([]byte(imagePrefix)); bytes.HasPrefix(part, []byte(imagePrefix)); part, _ = c.Next() {
			parts = append(parts, bytes.Clone(part))
		}
		for _, part := range parts {
			if err := record.DeleteBucket(part); err != nil {
				return err
			}
		}
		w.counts.bytes -= before - weigh(record)
		return nil
	})
}
