package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/queue"
	"livekiosk/queue/seal"
)

// Erasures implements api.Ledger.
func (o *outbox) Erasures(ctx context.Context) ([]kiosk.Erasure, error) {
	q, err := o.get()
	if err != nil {
		return nil, err
	}
	return q.Erasures(ctx)
}

// KeyUses implements api.Ledger.
func (o *outbox) KeyUses(ctx context.Context) ([]kiosk.KeyUse, error) {
	q, err := o.get()
	if err != nil {
		return nil, err
	}
	return q.KeyUses(ctx)
}

// Verify implements api.Upkeep.
func (o *outbox) Verify(ctx context.Context, each func(done, total int)) (kiosk.Verification, error) {
	q, err := o.get()
	if err != nil {
		return kiosk.Verification{}, err
	}
	v, err := q.Verify(ctx, each)
	if ctx.Err() == nil {
		err = o.doubt(err)
	}
	return v, err
}

// Export implements api.Upkeep.
func (o *outbox) Export(ctx context.Context, w io.Writer, recipient []byte) (string, error) {
	to, err := seal.ParsePublic(recipient)
	if err != nil {
		return "", fmt.Errorf("%w: %w", api.ErrRecipient, err)
	}
	q, err := o.get()
	if err != nil {
		return to.Fingerprint(), err
	}
	return to.Fingerprint(), q.Export(ctx, w, to)
}

// The time limits of a compaction.
const (
	yieldIn   = 10 * time.Second // for the deliverer to let go of the queue
	compactIn = 15 * time.Minute // for a full outbox on the slowest flash
)

// A compaction is asked of whoever has the queue open.
type compaction struct {
	done chan<- compacted // gets one value, with room for it
}

// A compacted is what came of it.
type compacted struct {
	kiosk.Compaction

	err error
}

// errCompacting is why sessions are refused, and why the queue is let go of.
var errCompacting = errors.New("outbox is to be compacted")

// Compact implements api.Upkeep. From the look at the session on, no other one
// is admitted. One that was admitted in the very moment meets a kiosk out of
// service, before anything was captured.
func (o *outbox) Compact(ctx context.Context) (kiosk.Compaction, error) {
	if _, err := o.get(); err != nil {
		return kiosk.Compaction{}, err
	}
	o.turnAway(true)
	if o.occupied() {
		o.turnAway(false)
		return kiosk.Compaction{}, kiosk.ErrOccupied
	}
	done := make(chan compacted, 1)
	late := time.NewTimer(yieldIn)
	defer late.Stop()
	select {
	case o.compactions <- &compaction{done}:
	case <-late.C:
		o.turnAway(false)
		return kiosk.Compaction{}, fmt.Errorf("%w: it is not let go of to be compacted", errOutbox)
	case <-ctx.Done():
		o.turnAway(false)
		return kiosk.Compaction{}, fmt.Errorf("compact outbox: %w", context.Cause(ctx))
	}
	select {
	case c := <-done:
		return c.Compaction, c.err
	case <-ctx.Done():
		return kiosk.Compaction{}, fmt.Errorf("compact outbox: %w, and it goes on", context.Cause(ctx))
	}
}

// turnAway says whether sessions are refused, since the outbox is about to be
// compacted.
func (o *outbox) turnAway(is bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = is
}

func (o *outbox) turnsAway() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closed
}

// yield keeps c for whoever asks for wanted, and returns what has the queue let
// go of.
func (o *outbox) yield(c *compaction) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked = c
	return errCompacting
}

// wanted takes the compaction that is asked for, nil if none is.
func (o *outbox) wanted() *compaction {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := o.asked
	o.asked = nil
	return c
}

// compact closes the queue, has its file written anew and opens it again,
// whatever came of it. Only who has nothing going on with the queue calls it.
func (o *outbox) compact(ctx context.Context, c *compaction, beat func()) {
	defer o.turnAway(false)
	began := time.Now()
	o.close(ctx)
	size, err := o.shrink(ctx, beat)
	if opened := o.open(ctx); opened != nil {
		err = errors.Join(err, opened)
	}
	if err != nil {
		o.log.ErrorContext(ctx, "outbox not compacted", slog.Any("err", err))
	} else {
		o.log.InfoContext(ctx, "outbox compacted", slog.Int64("before", size.Before), slog.Int64("after", size.After), slog.Duration("took", time.Since(began)))
	}
	c.done <- compacted{size, err}
}

// shrink compacts the file of a queue that is closed. The watchdog is kept
// quiet for as long as that may take.
func (o *outbox) shrink(ctx context.Context, beat func()) (kiosk.Compaction, error) {
	options, err := o.options()
	if err != nil {
		return kiosk.Compaction{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, compactIn, errors.New("it takes too long"))
	defer cancel()
	done := make(chan compacted, 1)
	go func() {
		size, err := queue.Compact(ctx, options)
		done <- compacted{size, err}
	}()
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case c := <-done:
			if c.err != nil {
				return kiosk.Compaction{}, fmt.Errorf("compact outbox %s: %w", options.Path, c.err)
			}
			return c.Compaction, nil
		case <-t.C:
			if ctx.Err() == nil {
				beat()
			}
		}
	}
}
