package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"livekiosk/kiosk"
)

// Verify opens every part of every record that is pending or dead, and checks
// that none is missing; what is for a relay is unwrapped only. Then it checks
// that the proof of erasure is as it was written. Records are read one at a
// time, so that nothing else waits for long; one that ends meanwhile is left
// out. It calls each, unless it is nil, after each record with how many it has
// done of how many, and returns early when ctx ends. Nothing is changed.
func (q *Queue) Verify(ctx context.Context, each func(done, total int)) (kiosk.Verification, error) {
	v, err := q.verify(ctx, each)
	if err != nil {
		return kiosk.Verification{}, fmt.Errorf("verify outbox: %w", err)
	}
	return v, nil
}

func (q *Queue) verify(ctx context.Context, each func(done, total int)) (kiosk.Verification, error) {
	var v kiosk.Verification
	ids, err := q.kept(ctx)
	if err != nil {
		return v, err
	}
	for i, id := range ids {
		if err = q.verifyRecord(ctx, id, &v); err != nil {
			return v, err
		}
		if each != nil {
			each(i+1, len(ids))
		}
	}
	h, err := q.proves(ctx)
	v.Erasures, v.Unproven, v.Tampered = h.lines, h.unproven, !h.holds
	return v, err
}

// kept returns the records that are pending or dead, in their order.
func (q *Queue) kept(ctx context.Context) ([]kiosk.RecordID, error) {
	var keys []string
	err := q.peek(ctx, func() {
		for _, at := range q.index.spots {
			if at.bucket != historyBucket {
				keys = append(keys, at.key)
			}
		}
	})
	slices.Sort(keys)
	ids := make([]kiosk.RecordID, len(keys))
	for i, k := range keys {
		_, ids[i] = splitKey([]byte(k))
	}
	return ids, err
}

func (q *Queue) verifyRecord(ctx context.Context, id kiosk.RecordID, v *kiosk.Verification) error {
	for {
		at := q.spot(id)
		if at.bucket != pendingBucket && at.bucket != deadBucket {
			return nil
		}
		c, err := q.look(ctx, at)
		switch {
		case errors.Is(err, kiosk.ErrNoRecord):
			continue
		case err != nil:
			return err
		}
		sound := c.sound()
		if err := q.usable(); err != nil {
			return err
		}
		if at != q.spot(id) { // its key may have been destroyed meanwhile
			continue
		}
		v.Records++
		v.Parts += len(c.parts)
		for _, part := range c.parts {
			v.Bytes += int64(len(part.wrapped))
		}
		if !sound {
			v.Broken = append(v.Broken, id)
		}
		return nil
	}
}
