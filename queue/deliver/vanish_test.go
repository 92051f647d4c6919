package deliver_test

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue"
	"livekiosk/queue/deliver"
	"livekiosk/queue/gateway"
	"livekiosk/queue/gateway/gatewaysim"
	"livekiosk/queue/queuetest"
)

// taken is an outbox in which somebody drops a record just before a step of its
// delivery.
type taken struct {
	*queue.Queue

	id   kiosk.RecordID
	step string
	once sync.Once
}

func (o *taken) before(ctx context.Context, step string, id kiosk.RecordID) {
	if step == o.step && id == o.id {
		o.once.Do(func() {
			if err := o.Drop(ctx, id, "uid 1", "withdrawn"); err != nil {
				panic(err)
			}
		})
	}
}

func (o *taken) Job(ctx context.Context, id kiosk.RecordID) (kiosk.Job, error) {
	o.before(ctx, "job", id)
	return o.Queue.Job(ctx, id)
}

func (o *taken) Image(ctx context.Context, id kiosk.RecordID, d kiosk.Document, into *[]byte) ([]byte, error) {
	o.before(ctx, "image "+string(d), id)
	return o.Queue.Image(ctx, id, d, into)
}

func (o *taken) Mark(ctx context.Context, id kiosk.RecordID, m kiosk.Marks) error {
	o.before(ctx, "mark", id)
	return o.Queue.Mark(ctx, id, m)
}

func (o *taken) Settle(ctx context.Context, id kiosk.RecordID, r kiosk.Receipt) error {
	o.before(ctx, "settle", id)
	return o.Queue.Settle(ctx, id, r)
}

// TestARecordThatIsTakenAwayIsForgottenInSilence drops a record that the
// deliverer has in hand, or that expires then.
func TestARecordThatIsTakenAwayIsForgottenInSilence(t *testing.T) {
	t.Parallel()
	for step, confirmed := range map[string]bool{
		"job": false, "image SELFIE": false, "image ADDITIONAL_SELFIE": false, "mark": false, "settle": true,
	} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, gatewaysim.Options{})
			q := queuetest.OpenWith(t, queue.Options{Path: filepath.Join(t.TempDir(), "outbox.db"), Keys: queuetest.Keys(t)})
			var all []*kiosk.Submission
			for n := range 2 {
				s := queuetest.Submission(n, 1000)
				s.Token, s.UserID = "", "u"+string(s.Record)
				s.Images = map[kiosk.Document][]byte{kiosk.Selfie: picture(t, byte(2*n)), kiosk.AdditionalSelfie: picture(t, byte(2*n+1))}
				if err := q.Put(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				all = append(all, s)
			}
			o := &taken{Queue: q, id: all[0].Record, step: step}
			client, err := gateway.New(gateway.Options{GatewayURL: w.URL, PartnerURL: w.PartnerURL})
			if err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			told := newStory()
			d, err := deliver.New(deliver.Options{
				Outbox: o, Gateway: client, Partner: client, Next: gateway.Next, Policy: quick(),
				Backoff: func(int) time.Duration { return time.Millisecond },
				Log:     slog.New(slog.NewJSONHandler(&log, nil)), Emit: told.emit, Report: told.report,
			})
			if err != nil {
				t.Fatal(err)
			}
			stop := w.run(t, d.Run)
			told.until(t, func() bool { // the deliverer is through with both, too: it counts what it has in hand
				left, err := q.Pending(t.Context())
				return err != nil || len(left) == 0 && d.Stats().Pending == 0
			})
			stop()
			if log.Len() > 0 {
				t.Errorf("logged: %s", log.String())
			}
			if d.Stats().LocalFaults != 0 {
				t.Errorf("counted %+v", d.Stats())
			}
			verdicts := map[string]int{}
			for _, ev := range w.Sim.Events() {
				if ev.Call == "verdict" {
					verdicts[ev.Correlation]++
				}
			}
			if (verdicts[all[0].CorrelationID] == 1) != confirmed || verdicts[all[1].CorrelationID] != 1 {
				t.Errorf("confirmed %v", verdicts)
			}
			detail, err := q.Show(t.Context(), all[0].Record)
			if err != nil || detail.Outcome != kiosk.ExitError || detail.Reason != "withdrawn" {
				t.Errorf("the record that was taken away is %+v, %v", detail, err)
			}
			if detail, err = q.Show(t.Context(), all[1].Record); err != nil || detail.Outcome != kiosk.ExitSuccess {
				t.Errorf("the other is %+v, %v", detail, err)
			}
		})
	}
}
