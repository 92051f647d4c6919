package queue_test

import (
	"context"
	"strconv"
	"testing"

	"golang.org/x/sync/errgroup"

	"livekiosk/kiosk"
	"livekiosk/queue"
	"livekiosk/queue/queuetest"
)

// deliverOne is what a deliverer asks of the outbox for one record.
func deliverOne(ctx context.Context, q *queue.Queue, id kiosk.RecordID) error {
	if _, err := q.Job(ctx, id); err != nil {
		return err
	}
	m := kiosk.Marks{Token: "token", SubmissionID: "sub"}
	if err := q.Mark(ctx, id, m); err != nil {
		return err
	}
	m.Uploaded = map[kiosk.Document]bool{}
	var memory []byte
	for _, document := range kiosk.Documents() {
		image, err := q.Image(ctx, id, document, &memory)
		if err != nil {
			return err
		}
		clear(image)
		m.Uploaded[document] = true
		if err := q.Mark(ctx, id, m); err != nil {
			return err
		}
	}
	m.Confirmed = true
	if err := q.Mark(ctx, id, m); err != nil {
		return err
	}
	return q.Settle(ctx, id, kiosk.Receipt{Record: id, Action: kiosk.ExitSuccess})
}

// BenchmarkDrain takes a backlog of records of 300 KB through their marks to
// their end, in so many lanes. An operation is one record.
func BenchmarkDrain(b *testing.B) {
	for _, lanes := range []int{1, 8} {
		b.Run("lanes="+strconv.Itoa(lanes), func(b *testing.B) {
			q := queuetest.Open(b)
			s := queuetest.Submission(1, 150_000)
			ids := make(chan kiosk.RecordID, b.N)
			for n := range b.N {
				s.Record = kiosk.RecordID(strconv.Itoa(n))
				if err := q.Put(b.Context(), s); err != nil {
					b.Fatal(err)
				}
				ids <- s.Record
			}
			close(ids)
			b.SetBytes(300_000)
			b.ReportAllocs()
			b.ResetTimer()
			group, ctx := errgroup.WithContext(b.Context())
			for range lanes {
				group.Go(func() error {
					for id := range ids {
						if err := deliverOne(ctx, q, id); err != nil {
							return err
						}
					}
					return nil
				})
			}
			if err := group.Wait(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
