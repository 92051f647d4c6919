package queue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"slices"
	"syscall"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"livekiosk/kiosk"
)

// groupMax is how many calls share a transaction: bbolt holds all that one
// writes in memory.
const groupMax = 16

// errUnchanged is what a call returns that wrote nothing, and is no error.
var errUnchanged = errors.New("nothing to write")

// A call is a write that waits for its transaction.
type call struct {
	fn    func(*writing) error
	ended func() error // non-nil when the caller no longer waits
	done  chan error   // gets one value
}

// update runs fn in a transaction and commits it. It waits for other writers
// until ctx ends; a commit once begun runs to its end.
//
// Calls that wait at the same time share a transaction, and so its flushes. It
// looks to each as if it had one of its own: a call that fails is rolled back
// with the others, and they run again without it. So fn may run several times,
// and must not change what it captured.
//
// A failed flush leaves it open what the disk holds: the kernel forgets which
// pages it could not write, so a later flush that succeeds proves nothing.
// From then on everything returns an error until the outbox is opened anew.
func (q *Queue) update(ctx context.Context, fn func(*writing) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := &call{fn: fn, ended: ctx.Err, done: make(chan error, 1)}
	q.mu.Lock()
	q.waiting = append(q.waiting, c)
	q.mu.Unlock()
	for {
		select {
		case err := <-c.done:
			return err
		case <-ctx.Done():
			if q.withdraw(c) {
				return ctx.Err()
			}
			return <-c.done
		case q.writer <- struct{}{}:
			if len(c.done) == 0 {
				q.write(q.take())
			}
			<-q.writer
		}
	}
}

// withdraw takes c from those who wait. It reports false if c is being
// written.
func (q *Queue) withdraw(c *call) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, c)
	if i < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	return true
}

// take returns the calls that waited longest and whose callers still wait.
func (q *Queue) take() []*call {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.waiting), groupMax)
	var group []*call
	for _, c := range q.waiting[:n] {
		if err := c.ended(); err != nil {
			c.done <- err
			continue
		}
		group = append(group, c)
	}
	q.waiting = slices.Delete(q.waiting, 0, n)
	return group
}

// write gives each call of the group what came of it. The caller holds the
// writer's slot.
func (q *Queue) write(group []*call) {
	var alone []*call // what they said may rest on what was rolled back: they are asked again
	for len(group) > 1 {
		failed, err := q.transact(group...)
		switch {
		case failed != nil:
			alone = append(alone, failed)
			group = slices.DeleteFunc(group, func(c *call) bool { return c == failed })
			continue
		case errors.Is(err, kiosk.ErrQueueFull):
			// No room for all of them, but perhaps for some.
			alone = slices.Concat(group, alone)
		default:
			for _, c := range group {
				c.done <- err
			}
		}
		group = nil
	}
	for _, c := range slices.Concat(group, alone) {
		_, err := q.transact(c)
		c.done <- err
	}
}

// transact runs the calls in one transaction and commits it. If one of them
// failed, it returns that one and its error, and nothing was written.
// Otherwise the error is that of all of them. What they removed is destroyed,
// all at once, before any of them is acknowledged.
func (q *Queue) transact(group ...*call) (failed *call, err error) {
	if err = q.usable(); err != nil {
		return nil, err
	}
	var w *writing
	var flush bool // the error, if any, came from committing
	err = guard(func() error {
		tx, begun := q.db.Begin(true)
		if begun != nil {
			return begun
		}
		weakBegin(q.db)
		// Only the holder of the writer's slot changes counts and index, so it
		// reads them without the lock.
		w = &writing{tx: tx, id: tx.ID(), counts: q.counts, index: q.index, moved: map[kiosk.RecordID]spot{}}
		for _, c := range group {
			switch said := c.fn(w); {
			case said == nil:
				flush = true
			case !errors.Is(said, errUnchanged):
				failed, flush = c, false
				if rolled := tx.Rollback(); rolled != nil {
					return errors.Join(said, rolled)
				}
				return said
			}
		}
		if !flush {
			return tx.Rollback()
		}
		q.prove(w)
		return tx.Commit()
	})
	switch {
	case err == nil:
		q.mu.Lock()
		q.counts = w.counts
		for id, at := range w.moved {
			q.index.move(id, at)
		}
		gone := q.index.shift(w)
		q.proof, q.destroys = w.proof, q.destroys[w.told:]
		q.mu.Unlock()
		return nil, q.destroy(gone)
	case panicked(err):
		err = fmt.Errorf("%w: %w", kiosk.ErrQueueBad, err)
		q.stop(err, w == nil || panicked(guard(w.tx.Rollback)))
		return nil, err
	case !flush:
	case errors.Is(err, bolterrors.ErrMaxSizeReached), noRoom(err) && !q.seen(w.id):
		// New pages found no room; the pages in use, meta pages included, are
		// overwritten in place and need none.
		err = fmt.Errorf("%w: %w", kiosk.ErrQueueFull, err)
	default:
		q.stop(err, false)
	}
	return failed, err
}

// seen reports whether the transaction is in force although it failed: some file
// systems keep in memory what they could not write of a meta page, and the next
// transaction would build on it.
func (q *Queue) seen(id int) bool {
	var now int
	err := guard(func() error {
		return q.db.View(func(tx *bbolt.Tx) error {
			now = tx.ID()
			return nil
		})
	})
	return err != nil || now >= id
}

// noRoom reports whether a write found no room. A flush that finds none is one
// that failed: what it was to write may be lost.
func noRoom(err error) bool {
	write, is := errors.AsType[*fs.PathError](err)
	return is && write.Op == "write" && (errors.Is(write, syscall.ENOSPC) || errors.Is(write, syscall.EDQUOT))
}

// view runs fn in a read transaction. What fn keeps must be copied.
func (q *Queue) view(ctx context.Context, fn func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := q.usable(); err != nil {
		return err
	}
	err := guard(func() error { return q.db.View(fn) })
	if panicked(err) {
		err = fmt.Errorf("%w: %w", kiosk.ErrQueueBad, err)
		q.stop(err, true) // the next reader might wait for a lock for ever
	}
	return err
}

// peek runs fn, which reads what is in memory, under the lock.
func (q *Queue) peek(ctx context.Context, fn func()) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped != nil {
		return q.stopped
	}
	fn()
	return nil
}

func (q *Queue) usable() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.stopped
}

func (q *Queue) stop(cause error, hung bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped == nil {
		q.stopped = fmt.Errorf("outbox must be opened anew after: %w", cause)
	}
	q.panicked = q.panicked || hung
}

// A panicError is a panic of bbolt, which trusts its file, or a page of the
// file that could not be read.
type panicError struct{ value any }

func (e *panicError) Error() string { return fmt.Sprintf("reading gave up: %v", e.value) }

// guard turns panics of fn into errors. Reading a mapped page that the disk
// cannot give raises SIGBUS, which ends a Go process unless it is asked to
// panic instead.
func guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = &panicError{value: r}
		}
	}()
	return fn()
}

func panicked(err error) bool {
	var p *panicError
	return errors.As(err, &p)
}
