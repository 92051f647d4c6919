package queue

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"

	"livekiosk/kiosk"
)

// reasonExpired is of a record that was erased for its age.
const reasonExpired = "expired"

// Prune removes what is too old, and keeps the outbox's own clock. One is enough
// each hour or day.
//
// A record, pending or dead, that was put longer ago than Options.MaxAge goes to
// history with kiosk.ExitError and the reason "expired", and what it held is
// erased for good. Only time that has certainly passed counts: while the
// machine runs, that is its own; over a restart it is what lies between two
// readings of a wall clock that was not before Options.Floor and that
// Options.Trusted trusted both times. So no wrong clock makes a record expire
// early. A record that does not say when it was put, or says so by another
// clock, counts from the first Prune that finds it.
//
// A booking goes that is older than 60 days by the wall clock, which is what a
// token lives. A wall clock before Options.Floor, or one that Options.Trusted
// does not trust, removes and dates none, and a booking made under a clock that
// was wrong counts from the first Prune under one that may be right.
func (q *Queue) Prune(ctx context.Context) error {
	removed := 0
	var expired []kiosk.Receipt
	err := q.update(ctx, func(w *writing) (err error) {
		before := w.counts.bookings
		if bookings := w.tx.Bucket([]byte(bookingsBucket)); bookings != nil {
			if err = q.pruneBookings(w, bookings); err != nil {
				return err
			}
		}
		removed = before - w.counts.bookings
		if expired, err = q.expire(w); err != nil {
			return err
		}
		return q.keepTime(w)
	})
	if err != nil {
		return fmt.Errorf("prune outbox: %w", err)
	}
	if removed > 0 {
		q.o.Log.InfoContext(ctx, "old bookings removed", slog.Int("bookings", removed))
	}
	for _, r := range expired {
		q.o.Log.WarnContext(ctx, "record was too old and is erased", slog.String("record", string(r.Record)))
		q.o.Expired(r)
	}
	return nil
}

// expire removes the records that are too old, and dates those that cannot tell
// how old they are. It returns which were removed.
func (q *Queue) expire(w *writing) ([]kiosk.Receipt, error) {
	now := q.tick()
	var expired []kiosk.Receipt
	for _, name := range []string{pendingBucket, deadBucket} {
		bucket := w.tx.Bucket([]byte(name))
		type aged struct {
			key  []byte
			head head
		}
		var old, undated []aged
		err := bucket.ForEachBucket(func(k []byte) error {
			h, err := readHead(bucket.Bucket(k), k)
			if err != nil {
				if name == pendingBucket {
					return nil // the deliverer sets it aside
				}
				_, id := splitKey(k)
				h = head{Format: Format, Record: id, Attempt: 1, State: stateDead, Reason: "its head did not read"}
			}
			switch age, known := now.age(h.Stamp); {
			case !known:
				undated = append(undated, aged{bytes.Clone(k), h})
			case age >= q.o.MaxAge:
				old = append(old, aged{bytes.Clone(k), h})
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		for _, one := range undated {
			one.head.Stamp = now.stamp()
			if err := one.head.put(bucket.Bucket(one.key)); err != nil {
				return nil, err
			}
		}
		for _, one := range old {
			h := one.head
			r := kiosk.Receipt{Record: h.Record, Session: h.Session, SubmissionID: h.SubmissionID, Action: kiosk.ExitError, Reason: reasonExpired}
			if err := q.settle(w, bucket, one.key, h, end{why: whyExpired, Receipt: r}); err != nil {
				return nil, err
			}
			expired = append(expired, r)
		}
	}
	return expired, nil
}
