package queue

import (
	"context"
	"fmt"
	"os"

	"go.etcd.io/bbolt"

	"livekiosk/kiosk"
)

// Preflight tries what Open is about to do with the file: it walks it with plain
// reads, has bbolt map it, and follows every page of every bucket there. It is
// for a child process, which a page that the walk let through can end without
// harm. f is open and locked, and the lock is shared with the parent through the
// open file description; so the child must neither close nor unlock it, and
// ends with os.Exit.
//
// It returns kiosk.ErrQueueBad for damage and kiosk.ErrQueueNewer for another
// format. Images are not read: one that the disk cannot give is its record's
// trouble, and no reason to set all the others aside.
func Preflight(ctx context.Context, f *os.File) error {
	if err := preflight(ctx, f); err != nil {
		return fmt.Errorf("try outbox %s: %w", f.Name(), err)
	}
	return nil
}

func preflight(ctx context.Context, f *os.File) error {
	if err := survey(ctx, f); err != nil {
		return err
	}
	err := guard(func() error {
		options := boltOptions()
		options.OpenFile = func(string, int, os.FileMode) (*os.File, error) { return f, nil }
		db, err := bbolt.Open(f.Name(), 0o600, options)
		if err != nil {
			return err
		}
		return db.View(func(tx *bbolt.Tx) error {
			if _, err := epochsOf(tx); err != nil {
				return err
			}
			return follow(ctx, tx.Cursor().Bucket())
		})
	})
	if panicked(err) {
		return fmt.Errorf("%w: %w", kiosk.ErrQueueBad, err)
	}
	return err
}

// follow visits every key of a bucket and of the buckets in it.
func follow(ctx context.Context, bucket *bbolt.Bucket) error {
	return bucket.ForEach(func(k, v []byte) error {
		if v != nil {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if inner := bucket.Bucket(k); inner != nil {
			return follow(ctx, inner)
		}
		return nil
	})
}
