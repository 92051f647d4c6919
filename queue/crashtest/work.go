package crashtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"livekiosk/kiosk"
	"livekiosk/queue"
	"livekiosk/queue/deliver"
	"livekiosk/queue/gateway"
)

// A work is what the workload is told to do.
type work struct {
	Dir      string `json:"dir"`   // of the outbox
	Lines    string `json:"lines"` // file to tell the steps to
	Archive  string `json:"archive,omitempty"`
	Key      string `json:"key"`
	Gateway  string `json:"gateway"`
	Sessions int    `json:"sessions"` // how many to go through
	Seed     uint64 `json:"seed"`
	Plain    bool   `json:"plain,omitempty"`  // write one capture as it is, too
	Rotate   bool   `json:"rotate,omitempty"` // make a new device key now and then
}

// perWave is how many sessions are under way at a time.
const perWave = 4

// worker goes through sessions with the product's own outbox, deliverer and
// client, and tells each step.
type worker struct {
	work
	*teller

	make    *maker
	random  *rand.Rand
	partner *partner
	client  *gateway.Client
	archive *archive

	q *queue.Queue

	gate sync.RWMutex // held for reading by each step, for writing while the outbox is archived
}

// beWorker goes through all sessions.
func beWorker(ctx context.Context, job work) (err error) {
	lines, err := os.OpenFile(job.Lines, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("workload: %w", err)
	}
	defer lines.Close()
	w := &worker{work: job, teller: &teller{out: lines}, random: rand.New(rand.NewPCG(job.Seed, 5))} //nolint:gosec // a script, no secret
	if w.make, err = newMaker(job.Seed); err != nil {
		return fmt.Errorf("workload: %w", err)
	}
	if w.partner, err = newPartner(job.Gateway); err != nil {
		return fmt.Errorf("workload: %w", err)
	}
	w.partner.told = func(token string) error { return w.secret([]byte(token)) }
	if w.client, err = gateway.New(gateway.Options{GatewayURL: job.Gateway}); err != nil {
		return fmt.Errorf("workload: %w", err)
	}
	if job.Archive != "" {
		if w.archive, err = newArchive(job.Archive, filepath.Join(job.Dir, queueFile)); err != nil {
			return fmt.Errorf("workload: %w", err)
		}
		defer func() { err = errors.Join(err, w.archive.close()) }()
	}
	if err := w.open(ctx); err != nil {
		return fmt.Errorf("workload: %w", err)
	}
	for n := 0; n < job.Sessions; n += perWave {
		if err := w.wave(ctx, n, min(perWave, job.Sessions-n)); err != nil {
			return fmt.Errorf("workload: sessions from %d: %w", n, err)
		}
	}
	if err := w.step(Line{Op: OpClose}, w.q.Close); err != nil {
		return fmt.Errorf("workload: %w", err)
	}
	return nil
}

func (w *worker) open(ctx context.Context) error {
	return w.step(Line{Op: OpOpen}, func() error {
		o, err := options(filepath.Join(w.Dir, queueFile), w.Key)
		if err == nil {
			w.q, err = queue.Open(ctx, o)
		}
		if err == nil && w.q.Quarantined != "" {
			err = errors.New("the outbox was damaged without any crash")
		}
		return err
	})
}

// compact makes the file of the closed outbox small.
func (w *worker) compact(ctx context.Context) error {
	o, err := options(filepath.Join(w.Dir, queueFile), w.Key)
	if err == nil {
		_, err = queue.Compact(ctx, o)
	}
	return err
}

// step takes one step, tells of it, and archives what it wrote.
func (w *worker) step(l Line, take func() error) error {
	w.gate.RLock()
	err := w.teller.step(l, take)
	w.gate.RUnlock()
	if err != nil || w.archive == nil {
		return err
	}
	w.gate.Lock()
	defer w.gate.Unlock()
	return w.archive.take()
}

// wave takes sessions in, delivers part of them, and does to the others what
// staff and restarts do.
func (w *worker) wave(ctx context.Context, first, sessions int) error {
	if err := w.arrive(ctx, first, sessions); err != nil {
		return err
	}
	// A deliverer that is stopped half-way leaves records at every stage.
	if err := w.deliver(ctx, w.random.IntN(6*sessions)); err != nil {
		return err
	}
	if err := w.between(ctx, first); err != nil {
		return err
	}
	if err := w.deliver(ctx, w.random.IntN(10*sessions)); err != nil {
		return err
	}
	return w.again(ctx, first, sessions)
}

// arrive books some of the people and takes their captures and those of
// others, several at a time.
func (w *worker) arrive(ctx context.Context, first, sessions int) error {
	type visit struct {
		submission *kiosk.Submission
		capture    Capture
	}
	if w.Plain && first == 0 {
		if err := os.WriteFile(filepath.Join(w.Dir, "plain"), w.make.image("plain", false), 0o600); err != nil {
			return err
		}
		defer os.Remove(filepath.Join(w.Dir, "plain")) //nolint:errcheck // its bytes stay
		if d, err := os.Open(w.Dir); err == nil {
			unix.Syncfs(int(d.Fd())) //nolint:errcheck // as good as any
			d.Close()
		}
	}
	var visits []visit
	for n := first; n < first+sessions; n++ {
		rejects := n%5 == 2
		s := w.make.submission(n, 1, rejects)
		if err := w.secret(run(s.Images[kiosk.Selfie])); err != nil {
			return err
		}
		switch n % 4 {
		case 0: // booked, and the token fetched ahead
			if err := w.book(ctx, w.make.booking(n), true); err != nil {
				return err
			}
		case 1: // launched with a token
			token, err := w.partner.UserToken(ctx, kiosk.TokenRequest{CorrelationID: s.CorrelationID, UserID: s.UserID, UserIDType: s.UserIDType})
			if err != nil {
				return err
			}
			s.Token = token.Value
		case 2: // booked only
			if err := w.book(ctx, w.make.booking(n), false); err != nil {
				return err
			}
		}
		c := captureOf(s)
		c.Rejects = rejects
		visits = append(visits, visit{s, c})
	}
	var g errgroup.Group
	for i, v := range visits {
		put := func() error {
			return w.step(Line{Op: OpPut, Record: v.submission.Record, Put: &v.capture}, func() error { return w.q.Put(ctx, v.submission) })
		}
		if i%perWave < perWave/2 { // the others share a commit
			if err := put(); err != nil {
				return err
			}
			continue
		}
		g.Go(put)
	}
	return g.Wait()
}

func (w *worker) book(ctx context.Context, b kiosk.Booking, fetch bool) error {
	err := w.step(Line{Op: OpBook, Person: b.CorrelationID}, func() error { return w.q.Book(ctx, b) })
	if err != nil || !fetch {
		return err
	}
	token, err := w.partner.UserToken(ctx, kiosk.TokenRequest{CorrelationID: b.CorrelationID, UserID: b.UserID, UserIDType: b.UserIDType})
	if err != nil {
		return err
	}
	return w.step(Line{Op: OpFetched, Person: b.CorrelationID, Token: tokenDigest(token.Value)}, func() error { return w.q.Fetched(ctx, b, token) })
}

// between is what happens beside deliveries.
func (w *worker) between(ctx context.Context, first int) error {
	ids, err := w.q.Pending(ctx)
	if err != nil {
		return err
	}
	if len(ids) > 0 {
		if err = w.decide(ctx, ids[w.random.IntN(len(ids))]); err != nil {
			return err
		}
	}
	// Somebody who does not come.
	absent := w.make.booking(1_000_000 + first)
	if err := w.book(ctx, absent, w.random.IntN(2) == 0); err != nil {
		return err
	}
	if w.random.IntN(4) > 0 {
		err := w.step(Line{Op: OpUnbook, Person: absent.CorrelationID}, func() error { return w.q.Unbook(ctx, absent.CorrelationID) })
		if err != nil {
			return err
		}
	}
	if err := w.step(Line{Op: OpProbe}, func() error { return w.q.Probe(ctx) }); err != nil {
		return err
	}
	if err := w.step(Line{Op: OpPrune}, func() error { return w.q.Prune(ctx) }); err != nil {
		return err
	}
	if w.random.IntN(2) == 0 {
		if err := w.step(Line{Op: OpClose}, w.q.Close); err != nil {
			return err
		}
		if w.random.IntN(2) == 0 {
			if err := w.step(Line{Op: OpCompact}, func() error { return w.compact(ctx) }); err != nil {
				return err
			}
		}
		if w.Rotate && w.random.IntN(3) == 0 {
			if err := rotateKeys(w.Key); err != nil {
				return err
			}
		}
		return w.open(ctx)
	}
	return nil
}

// decide does to a pending record what deliverers and staff do: it is dropped,
// or set aside and then dropped or tried again.
func (w *worker) decide(ctx context.Context, id kiosk.RecordID) error {
	gone := func() error {
		return w.step(Line{Op: OpDrop, Record: id}, func() error { return drop(ctx, w.q, id) })
	}
	what := w.random.IntN(4)
	if what == 0 {
		return gone()
	}
	if err := w.step(Line{Op: OpDead, Record: id}, func() error { return w.q.Dead(ctx, id, "storage") }); err != nil {
		return err
	}
	if what == 1 {
		return gone()
	}
	return w.step(Line{Op: OpRevive, Record: id}, func() error { return w.q.Revive(ctx, id) })
}

// again takes the next attempt of those whose images were turned down.
func (w *worker) again(ctx context.Context, first, sessions int) error {
	entries, err := w.q.Entries(ctx)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.State != "dead" || e.Reason != kiosk.NeedsRecapture {
			continue
		}
		for n := first; n < first+sessions; n++ {
			s := w.make.submission(n, e.Attempt+1, false)
			if s.Session != e.Session {
				continue
			}
			if err := w.secret(run(s.Images[kiosk.Selfie])); err != nil {
				return err
			}
			c := captureOf(s)
			c.Follows = e.Record
			if err := w.step(Line{Op: OpPut, Record: s.Record, Put: &c}, func() error { return w.q.Put(ctx, s) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// deliver runs the deliverer for so many steps, or until nothing is left.
func (w *worker) deliver(ctx context.Context, steps int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	outbox := &told{Queue: w.q, worker: w, left: steps, enough: cancel}
	d, err := newDeliverer(outbox, w.client, w.partner)
	if err != nil {
		return err
	}
	outbox.look(ctx)
	return d.Run(ctx)
}

// newDeliverer returns the product's, with waits for a machine without
// visitors.
func newDeliverer(outbox deliver.Outbox, client deliver.Gateway, partner deliver.Partner) (*deliver.Deliverer, error) {
	p := deliver.StandardPolicy()
	p.Base, p.Most, p.Least, p.Person = time.Millisecond, 5*time.Millisecond, time.Microsecond, time.Millisecond
	return deliver.New(deliver.Options{
		Outbox: outbox, Gateway: client, Partner: partner, Next: gateway.Next,
		Policy: p, Backoff: func(int) time.Duration { return time.Millisecond }, Lanes: 3,
	})
}

// told is the outbox as the deliverer has it: each step is told.
type told struct {
	*queue.Queue

	worker *worker
	enough context.CancelFunc

	mu   sync.Mutex
	left int
}

// look ends the delivery when nothing is left to deliver.
func (t *told) look(ctx context.Context) {
	ids, err := t.Pending(context.WithoutCancel(ctx))
	if err != nil || len(ids) == 0 {
		t.enough()
	}
}

func (t *told) step(l Line, take func() error) error {
	t.mu.Lock()
	t.left--
	if t.left < 0 {
		t.enough()
	}
	t.mu.Unlock()
	return t.worker.step(l, take)
}

// Mark is deliver.Ledger's.
func (t *told) Mark(ctx context.Context, id kiosk.RecordID, m kiosk.Marks) error {
	mark := markOf(m)
	return t.step(Line{Op: OpMark, Record: id, Mark: &mark}, func() error { return t.Queue.Mark(ctx, id, m) })
}

// Settle is deliver.Ledger's.
func (t *told) Settle(ctx context.Context, id kiosk.RecordID, r kiosk.Receipt) error {
	defer t.look(ctx)
	return t.step(Line{Op: OpSettle, Record: id, With: r.Action}, func() error { return t.Queue.Settle(ctx, id, r) })
}

// Recapture is deliver.Ledger's.
func (t *told) Recapture(ctx context.Context, id kiosk.RecordID, r kiosk.Receipt) error {
	defer t.look(ctx)
	return t.step(Line{Op: OpRecapture, Record: id}, func() error { return t.Queue.Recapture(ctx, id, r) })
}

// Dead is deliver.Ledger's.
func (t *told) Dead(ctx context.Context, id kiosk.RecordID, reason string) error {
	defer t.look(ctx)
	return t.step(Line{Op: OpDead, Record: id}, func() error { return t.Queue.Dead(ctx, id, reason) })
}
