package crashtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"livekiosk/kiosk"
	"livekiosk/queue"
	"livekiosk/queue/gateway"
)

// A trial is what a verifier is asked about one image.
type trial struct {
	Dir     string `json:"dir"`     // where it is mounted
	Key     string `json:"key"`     // device key file
	Gateway string `json:"gateway"` // directory of the gateway's state, as it was
	Number  int    `json:"number"`  // of the session of the capture that comes after the crash
	Recover bool   `json:"recover"` // only open and close the outbox
	Child   bool   `json:"child"`   // have a child read it first
}

// A finding is what a verifier answers.
type finding struct {
	Failed    string         `json:"failed,omitempty"` // what did not work at all
	Alarms    []string       `json:"alarms,omitempty"` // errors that the outbox logged
	Before    Found          `json:"before"`
	After     Found          `json:"after"`
	Extra     Capture        `json:"extra"`
	Confirmed map[string]int `json:"confirmed"`
}

// verify opens the outbox of an image as a kiosk does that starts, reads it,
// takes one more capture, delivers everything, and reads it again after another
// start.
func verify(ctx context.Context, t trial, m *maker) (f finding) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := f.fill(ctx, t, m); err != nil {
		f.Failed = err.Error()
	}
	return f
}

func (f *finding) fill(ctx context.Context, t trial, m *maker) error {
	o, err := options(filepath.Join(t.Dir, queueFile), t.Key)
	if err != nil {
		return err
	}
	alarm := newAlarm()
	defer func() { f.Alarms = alarm.messages() }()
	o.Log = slog.New(alarm)
	if t.Child {
		o.Preflight = preflight
	}
	q, err := queue.Open(ctx, o)
	if err != nil {
		return fmt.Errorf("unopenable: %w", err)
	}
	if !t.Recover {
		err = f.goOn(ctx, t, m, q)
	}
	if err = errors.Join(err, q.Close()); err != nil || t.Recover {
		return err
	}
	if q, err = queue.Open(ctx, o); err != nil {
		return fmt.Errorf("unopenable: after the delivery: %w", err)
	}
	if f.After, err = readOutbox(ctx, q); err != nil {
		err = fmt.Errorf("unreadable: after the delivery: %w", err)
	}
	return errors.Join(err, q.Close())
}

// goOn reads what is there and goes on from it.
func (f *finding) goOn(ctx context.Context, t trial, m *maker, q *queue.Queue) (err error) {
	if f.Before, err = readOutbox(ctx, q); err != nil {
		return fmt.Errorf("unreadable: %w", err)
	}
	w, err := openWorld(ctx, t.Gateway, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	s := m.submission(t.Number, 1, false)
	f.Extra = captureOf(s)
	if err := q.Put(ctx, s); err != nil {
		return fmt.Errorf("lost: put after the crash: %w", err)
	}
	if err := deliverAll(ctx, q, w.url); err != nil {
		return err
	}
	f.Confirmed = w.confirmed()
	return nil
}

// deliverAll delivers until nothing is pending.
func deliverAll(ctx context.Context, q *queue.Queue, url string) error {
	client, err := gateway.New(gateway.Options{GatewayURL: url})
	if err != nil {
		return err
	}
	partner, err := newPartner(url)
	if err != nil {
		return err
	}
	ctx, done := context.WithCancel(ctx)
	defer done()
	d, err := newDeliverer(&watched{Queue: q, ended: done}, client, partner)
	if err != nil {
		return err
	}
	if err := d.Run(ctx); err != nil {
		return err
	}
	if left, err := q.Pending(context.WithoutCancel(ctx)); err != nil || len(left) > 0 {
		return fmt.Errorf("lost: %d records could not be delivered: %v (%w)", len(left), d.Stats(), err)
	}
	return nil
}

// watched is the outbox as the deliverer has it, which ends with it.
type watched struct {
	*queue.Queue

	ended func()
}

func (w *watched) look(ctx context.Context, err error) error {
	if left, listing := w.Pending(context.WithoutCancel(ctx)); listing != nil || len(left) == 0 {
		w.ended()
	}
	return err
}

// Settle is deliver.Ledger's.
func (w *watched) Settle(ctx context.Context, id kiosk.RecordID, r kiosk.Receipt) error {
	return w.look(ctx, w.Queue.Settle(ctx, id, r))
}

// Recapture is deliver.Ledger's.
func (w *watched) Recapture(ctx context.Context, id kiosk.RecordID, r kiosk.Receipt) error {
	return w.look(ctx, w.Queue.Recapture(ctx, id, r))
}

// Dead is deliver.Ledger's.
func (w *watched) Dead(ctx context.Context, id kiosk.RecordID, reason string) error {
	return w.look(ctx, w.Queue.Dead(ctx, id, reason))
}
