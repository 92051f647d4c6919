// Package deliver carries records from the outbox to the identity gateway. It
// holds the product's only retry loop.
//
// Every step of a delivery is marked durably before anything relies on it, and
// every step may run twice: after a power cut, a lost answer or a new token
// the same capture is sent again, and takes effect once.
//
//   - The person now waiting goes first, in a lane of their own: behind no
//     backlog and no hanging upload.
//   - Otherwise the oldest record goes first. Records of one session are
//     delivered in their order; a record that cannot be delivered holds up
//     nothing but its own session.
//   - While the gateway cannot be reached, one record at a time probes, after
//     waits that grow; the others wait with it.
package deliver

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"livekiosk/kiosk"
)

// A Source yields the records to deliver.
type Source interface {
	// Pending returns the records to deliver, oldest first.
	Pending(ctx context.Context) ([]kiosk.RecordID, error)
	// Job returns one record without its images: kiosk.ErrNoRecord if it is not
	// pending any more, kiosk.ErrSealBroken if it will never open.
	Job(ctx context.Context, id kiosk.RecordID) (kiosk.Job, error)
	// Image returns one image in memory of its own, which the deliverer
	// overwrites after use. Errors as for Job; kiosk.ErrNoRecord also means
	// that the document was not captured.
	Image(ctx context.Context, id kiosk.RecordID, document kiosk.Document) ([]byte, error)
	// Wake yields after records were added.
	Wake() <-chan struct{}
}

// A Ledger keeps what was done. What it accepted survives a power cut.
type Ledger interface {
	// Mark replaces a record's marks.
	Mark(ctx context.Context, id kiosk.RecordID, marks kiosk.Marks) error
	// Settle ends a record with the gateway's word.
	Settle(ctx context.Context, id kiosk.RecordID, r kiosk.Receipt) error
	// Dead sets a record aside that no retry can deliver, for staff to see.
	Dead(ctx context.Context, id kiosk.RecordID, reason string) error
}

// An Outbox is the queue as the deliverer needs it.
type Outbox interface {
	Source
	Ledger
}

// A Gateway is the identity gateway. Its failures are *kiosk.GatewayError;
// any other error is taken for an outage.
type Gateway interface {
	Targets(ctx context.Context, who kiosk.Credentials) (kiosk.Targets, error)
	// Upload does not read the image after it returned.
	Upload(ctx context.Context, up kiosk.Upload) error
	Confirm(ctx context.Context, who kiosk.Credentials, submissionID string, metadata json.RawMessage) error
	Status(ctx context.Context, who kiosk.Credentials, submissionID string) (kiosk.SubmissionStatus, error)
}

// A Partner is the partner backend, which initiates flows. Asked again for the
// same correlation id, it renews the token. Errors as for Gateway.
type Partner interface {
	UserToken(ctx context.Context, r kiosk.TokenRequest) (kiosk.UserToken, error)
}

// Options configure a Deliverer.
type Options struct {
	Outbox  Outbox
	Gateway Gateway
	Partner Partner

	// Next is what a status asks of the kiosk.
	Next func(s kiosk.SubmissionStatus, attemptsLeft int) kiosk.Action

	// Report is told the gateway's word on a record, which may be an earlier
	// visitor's. Nil: nobody is. It must not block and may be told twice.
	Report func(kiosk.Receipt)

	// Emit gets the story of each delivery. Nil discards it. It must not
	// block. Report and Emit are called by one goroutine at a time.
	Emit func(kiosk.Event)

	// Backoff is the wait after so many failures in a row, from 1. Nil means
	// FullJitter from one second to five minutes.
	Backoff func(failures int) time.Duration

	// Lanes is how many records are worked on at a time, beside the one of the
	// person waiting. 0 means 2.
	Lanes int

	// Beat is called at least every five seconds while Run takes its steps.
	// Nil: nobody is told.
	Beat func()

	// Log gets outages, deferrals and local faults. Nil discards them.
	Log *slog.Logger
}

// Validate names the first option that is missing or impossible.
func (o Options) Validate() error {
	switch {
	case o.Outbox == nil:
		return errors.New("deliver: no outbox")
	case o.Gateway == nil:
		return errors.New("deliver: no gateway")
	case o.Partner == nil:
		return errors.New("deliver: no partner")
	case o.Next == nil:
		return errors.New("deliver: no next action")
	case o.Lanes < 0:
		return errors.New("deliver: lanes must not be negative")
	}
	return nil
}

// A Deliverer drains one outbox into one gateway.
type Deliverer struct {
	o Options

	tell sync.Mutex // held while Report or Emit runs

	mu    sync.Mutex
	stats Stats
}

// Stats count what a deliverer did since it was made.
type Stats struct {
	Pending     int       // records to deliver, at the last listing
	Offline     bool      // the gateway cannot be reached
	Since       time.Time // when Offline began; zero while it is false
	Settled     uint64    // records ended by the gateway's word
	Dead        uint64    // records set aside
	Deferred    uint64    // tries that ended in a wait
	LocalFaults uint64    // steps that the outbox failed
}

// New returns a deliverer that does nothing until Run.
func New(o Options) (*Deliverer, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Report == nil {
		o.Report = func(kiosk.Receipt) {}
	}
	if o.Emit == nil {
		o.Emit = func(kiosk.Event) {}
	}
	if o.Backoff == nil {
		o.Backoff = FullJitter(time.Second, 5*time.Minute, rand.Float64)
	}
	if o.Lanes == 0 {
		o.Lanes = 2
	}
	if o.Beat == nil {
		o.Beat = func() {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Deliverer{o: o}, nil
}

// Stats returns the counts as they are now.
func (d *Deliverer) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stats
}

func (d *Deliverer) count(change func(*Stats)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(&d.stats)
}

func (d *Deliverer) emit(j kiosk.Job, kind kiosk.EventKind, text string) {
	d.tell.Lock()
	defer d.tell.Unlock()
	d.o.Emit(kiosk.Event{At: time.Now(), Kind: kind, Session: j.Session, Record: j.Record, Text: text})
}

func (d *Deliverer) report(r kiosk.Receipt) {
	d.tell.Lock()
	defer d.tell.Unlock()
	d.o.Report(r)
}
