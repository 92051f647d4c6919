package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"livekiosk/kiosk"
	"livekiosk/queue"
	"livekiosk/queue/deliver"
	"livekiosk/queue/gateway"
	"livekiosk/queue/seal"
)

// A kioskConfig is what a kiosk's child is told.
type kioskConfig struct {
	Dir     string // of the outbox and its key
	Gateway string // URL
	Partner string // URL
	Relay   string // public key in PEM of the relay that Gateway is; "": it is none
	Seed    uint64
	From    int // number of the first capture
	Left    int // captures still to be acknowledged
	Pause   time.Duration
	Lanes   int
	Life    int // which start this is, from 1

	// Controls: what the referee must see.
	Forget bool // correlation ids and marks live as long as the process
	Drop   int  // every so many captures are acknowledged and not stored; 0: none
}

// A kioskReport is one line of a kiosk's child. One of its fields is set.
type kioskReport struct {
	Ready   bool         `json:"ready,omitempty"`
	Putting *int         `json:"putting,omitempty"` // capture: Put is about to be called
	Put     *int         `json:"put,omitempty"`     // capture: Put returned
	Idle    bool         `json:"idle,omitempty"`    // all captures are put and nothing is pending
	Settled kiosk.Action `json:"settled,omitempty"` // the gateway's word on a record
	Record  string       `json:"record,omitempty"`  // of Settled
	Failed  string       `json:"failed,omitempty"`
}

// beKiosk captures and delivers, with the product's outbox, deliverer and
// client connected as the daemon connects them.
func beKiosk(ctx context.Context, in *bufio.Reader, out io.Writer) error {
	var c kioskConfig
	ctx, err := configured(ctx, in, &c)
	if err != nil {
		return err
	}
	var relay *seal.Public
	if c.Relay != "" {
		if relay, err = seal.ParsePublic([]byte(c.Relay)); err != nil {
			return fmt.Errorf("relay: %w", err)
		}
	}
	q, err := openOutbox(ctx, c.Dir, relay)
	if err != nil {
		return err
	}
	k := &kioskChild{kioskConfig: c, q: q, out: out}
	err = k.run(ctx)
	return errors.Join(err, q.Close())
}

// openOutbox opens a kiosk's outbox, whose new records only the relay can read,
// if there is one.
func openOutbox(ctx context.Context, dir string, relay *seal.Public) (*queue.Queue, error) {
	keys, err := seal.Store{Dir: filepath.Join(dir, "keys"), Kind: seal.FileStore}.Create(seal.X25519)
	if err != nil {
		return nil, fmt.Errorf("device key: %w", err)
	}
	return queue.Open(ctx, queue.Options{
		Path: filepath.Join(dir, "outbox.db"), Keys: keys, Relay: relay, MaxRecords: 10_000, MaxBytes: 4 << 30, HistoryMax: 10_000,
	})
}

type kioskChild struct {
	kioskConfig

	q   *queue.Queue
	mu  sync.Mutex
	out io.Writer
}

func (k *kioskChild) tell(r kioskReport) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return tell(k.out, r)
}

func (k *kioskChild) run(ctx context.Context) error {
	client, err := gateway.New(gateway.Options{GatewayURL: k.Gateway, PartnerURL: k.Partner, Client: impatient()})
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	var outbox deliver.Outbox = k.q
	if k.Forget {
		outbox = &forgetful{Queue: k.q, life: k.Life, marks: map[kiosk.RecordID]kiosk.Marks{}}
	}
	d, err := deliver.New(deliver.Options{
		Outbox: outbox, Gateway: client, Partner: client, Next: gateway.Next, Lanes: k.Lanes,
		Policy: shortWaits(),
		Report: func(r kiosk.Receipt) {
			_ = k.tell(kioskReport{Settled: r.Action, Record: string(r.Record)}) // the parent has gone, and so will this
		},
	})
	if err != nil {
		return fmt.Errorf("deliver: %w", err)
	}
	if err := k.tell(kioskReport{Ready: true}); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.Run(ctx) })
	g.Go(func() error { return k.capture(ctx) })
	return g.Wait()
}

// capture puts captures, and acknowledges each once Put returned.
func (k *kioskChild) capture(ctx context.Context) error {
	studio, err := newStudio(k.Seed)
	if err != nil {
		return err
	}
	for n := k.From; n < k.From+k.Left && ctx.Err() == nil; n++ {
		pause(ctx, time.Duration(rand.New(rand.NewPCG(k.Seed, uint64(n))).Int64N(int64(2*k.Pause)+1))) //nolint:gosec // counted from 0
		if err := k.put(ctx, studio, n); err != nil && ctx.Err() == nil {
			return fmt.Errorf("capture %d: %w", n, err)
		}
	}
	return k.await(ctx)
}

// put puts one capture, and says before and after that it does.
func (k *kioskChild) put(ctx context.Context, studio *studio, n int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := k.tell(kioskReport{Putting: &n}); err != nil {
		return err
	}
	s := studio.capture(n)
	defer s.Erase()
	if k.Drop == 0 || n%k.Drop != 0 {
		if err := k.q.Put(ctx, s); err != nil {
			return err
		}
	}
	return k.tell(kioskReport{Put: &n})
}

// await reports while nothing is pending.
func (k *kioskChild) await(ctx context.Context) error {
	for ctx.Err() == nil {
		pending, err := k.q.Pending(ctx)
		if err == nil && len(pending) == 0 {
			err = k.tell(kioskReport{Idle: true})
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		pause(ctx, 100*time.Millisecond)
	}
	return nil
}

// shortWaits is the product's policy for a storm, in which an outage lasts for
// seconds and not for hours.
func shortWaits() deliver.Policy {
	p := deliver.StandardPolicy()
	p.Base, p.Most, p.Least, p.Person = 20*time.Millisecond, 300*time.Millisecond, 10*time.Millisecond, 300*time.Millisecond
	p.Wish, p.Ease, p.Forget = time.Second, 0.5, 3*time.Second
	return p
}

// impatient is a client for a network whose troubles last for seconds.
func impatient() *http.Client {
	return &http.Client{Timeout: 4 * time.Second, Transport: &http.Transport{
		DialContext:           (&net.Dialer{Timeout: time.Second}).DialContext,
		ResponseHeaderTimeout: 2 * time.Second,
		MaxIdleConnsPerHost:   16,
	}}
}

// A forgetful outbox keeps in memory what has to be durable: after a restart
// it starts each record over, as if it were another one.
type forgetful struct {
	*queue.Queue

	life  int
	mu    sync.Mutex
	marks map[kiosk.RecordID]kiosk.Marks
}

// Job returns the record as this process knows it.
func (f *forgetful) Job(ctx context.Context, id kiosk.RecordID) (kiosk.Job, error) {
	j, err := f.Queue.Job(ctx, id)
	f.mu.Lock()
	defer f.mu.Unlock()
	j.Marks = f.marks[id]
	if f.life > 1 {
		j.CorrelationID += fmt.Sprintf("-%d", f.life)
	}
	return j, err
}

// Mark forgets with the process.
func (f *forgetful) Mark(_ context.Context, id kiosk.RecordID, m kiosk.Marks) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.marks[id] = m
	return nil
}
