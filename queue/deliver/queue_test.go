package deliver_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue"
	"livekiosk/queue/deliver"
	"livekiosk/queue/gateway"
	"livekiosk/queue/gateway/gatewaysim"
	"livekiosk/queue/queuetest"
)

// TestTheFakeKeepsTheContract holds the fake outbox of these tests against the
// contract that the real one keeps.
func TestTheFakeKeepsTheContract(t *testing.T) {
	queuetest.Run(t, func(*testing.T) queuetest.Outbox { return newOutbox() })
}

// TestTheRealOutboxIsDrainedAcrossRestarts has no fake in it: bbolt file,
// client, HTTP and simulator are the product's. The outbox is closed and
// opened, and the deliverer stopped, again and again on the way.
func TestTheRealOutboxIsDrainedAcrossRestarts(t *testing.T) {
	t.Parallel()
	const records = 12
	w := newWorld(t, gatewaysim.Options{Faults: "urls=503 upload=lostx3 confirm=lostx2 confirm=reset status=503x2"})
	o := queue.Options{Path: filepath.Join(t.TempDir(), "outbox.db"), Keys: queuetest.Keys(t)}
	q, err := queue.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range records {
		s := queuetest.Submission(i, 1000)
		s.Token, s.UserID = "", fmt.Sprint("u", i)
		s.Images = map[kiosk.Document][]byte{kiosk.Selfie: picture(t, byte(2*i)), kiosk.AdditionalSelfie: picture(t, byte(2*i+1))}
		if err := q.Put(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	client, err := gateway.New(gateway.Options{GatewayURL: w.URL, PartnerURL: w.PartnerURL})
	if err != nil {
		t.Fatal(err)
	}
	for round := 0; ; round++ {
		left, err := q.Pending(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			break
		}
		if round == 100 {
			t.Fatalf("%d records are left after 100 restarts", len(left))
		}
		d, err := deliver.New(deliver.Options{
			Outbox: q, Gateway: client, Partner: client, Next: gateway.Next,
			Policy: quick(), Backoff: func(int) time.Duration { return time.Millisecond },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(50+50*round)*time.Millisecond)
		if err := d.Run(ctx); err != nil {
			t.Errorf("Run() = %v", err)
		}
		cancel()
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		if q, err = queue.Open(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := q.Entries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	done := 0
	for _, e := range entries {
		if e.Outcome == kiosk.ExitSuccess {
			done++
		} else {
			t.Errorf("%+v", e)
		}
	}
	verdicts := map[string]int{}
	for _, ev := range w.Sim.Events() {
		if ev.Call == "verdict" {
			verdicts[ev.Correlation]++
		}
	}
	for c, n := range verdicts {
		if n != 1 {
			t.Errorf("%s took effect %d times", c, n)
		}
	}
	if done != records || len(verdicts) != records {
		t.Errorf("%d delivered, %d verdicts, want %d of each", done, len(verdicts), records)
	}
	if err := q.Close(); err != nil {
		t.Error(err)
	}
}
