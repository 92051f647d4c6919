package queue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"go.etcd.io/bbolt"

	"livekiosk/kiosk"
)

// compactStep is how many bytes one transaction of a compaction writes: bbolt
// holds them in memory.
const compactStep = 4 << 20

// Compact writes the outbox file at o.Path anew, without the pages that lie
// idle in it, and with them goes what old ciphertext was left in there. No
// process may have it open; kiosk.ErrQueueBusy says that one does. The new file
// takes the place of the old one at once: a crash at any point leaves one of
// them, whole. The epoch file stays as it is.
//
// A damaged file is kiosk.ErrQueueBad and is left where it is. The disk needs
// room for both files: without it there is an error, and the old file stays. A
// missing file is an error that wraps fs.ErrNotExist. Once begun, Compact runs
// to its end also if ctx ends.
func Compact(ctx context.Context, o Options) (kiosk.Compaction, error) {
	if err := o.Validate(); err != nil {
		return kiosk.Compaction{}, err
	}
	c, err := compact(ctx, o.withDefaults())
	if err != nil {
		return kiosk.Compaction{}, fmt.Errorf("compact outbox %s: %w", o.Path, err)
	}
	return c, nil
}

func compact(ctx context.Context, o Options) (c kiosk.Compaction, err error) {
	place, err := enter(ctx, o.Path, nil)
	if err != nil {
		return c, err
	}
	defer place.leave()
	file, err := place.claim(ctx)
	if err != nil {
		return c, err
	}
	defer file.Close() // a second time where all went well
	if c.Before, err = sizeOf(file); err != nil {
		return c, err
	}
	err = survey(ctx, file)
	if err == nil && o.Preflight != nil {
		err = o.Preflight(ctx, file)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return c, err
	}
	name := place.temporary()
	fresh, err := place.rewrite(file, name)
	if err == nil {
		err = survey(context.WithoutCancel(ctx), fresh)
	}
	if err == nil {
		c.After, err = sizeOf(fresh)
	}
	if err != nil {
		if fresh != nil {
			fresh.Close()
		}
		return c, errors.Join(err, remove(name))
	}
	if fresh, err = place.install(fresh); err != nil {
		return c, err
	}
	return c, fresh.Close()
}

func sizeOf(file *os.File) (int64, error) {
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func remove(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// rewrite copies the outbox in file, which is locked, to a new file of that
// name, flushes it and returns it open.
func (p *place) rewrite(file *os.File, name string) (*os.File, error) {
	if err := remove(name); err != nil {
		return nil, err
	}
	err := guard(func() error {
		// bbolt closes the file in the end, and gives up its lock with that. That of
		// the directory keeps others out.
		options := boltOptions()
		options.ReadOnly = true
		options.OpenFile = func(string, int, os.FileMode) (*os.File, error) { return file, nil }
		source, err := bbolt.Open(p.path, 0o600, options)
		if err != nil {
			return err
		}
		defer source.Close() //nolint:errcheck // it was only read
		target, err := bbolt.Open(name, 0o600, boltOptions())
		if err != nil {
			return err
		}
		target.NoSync = true // until all of it is there
		err = bbolt.Compact(target, source, compactStep)
		if err == nil {
			err = target.Sync()
		}
		return errors.Join(err, target.Close())
	})
	if panicked(err) {
		return nil, fmt.Errorf("%w: %w", kiosk.ErrQueueBad, err)
	}
	if err != nil {
		return nil, err
	}
	return os.OpenFile(name, os.O_RDWR, 0)
}
