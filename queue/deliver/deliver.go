package deliver

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
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
	// Image returns one image, which the deliverer overwrites after use. It may
	// lie in the memory of into, whose content is lost and which may be
	// replaced. Errors as for Job; kiosk.ErrNoRecord also means that the
	// document was not captured.
	Image(ctx context.Context, id kiosk.RecordID, document kiosk.Document, into *[]byte) ([]byte, error)
	// Wake yields after records were added.
	Wake() <-chan struct{}
}

// A Ledger keeps what was done. What it accepted survives a power cut.
type Ledger interface {
	// Mark replaces a record's marks.
	Mark(ctx context.Context, id kiosk.RecordID, marks kiosk.Marks) error
	// Settle ends a record with the gateway's word, which is not kiosk.Retry.
	Settle(ctx context.Context, id kiosk.RecordID, r kiosk.Receipt) error
	// Recapture ends a record whose images the gateway turned down: it becomes a
	// dead letter with the reason kiosk.NeedsRecapture and without images, until
	// another record of the same session is stored.
	Recapture(ctx context.Context, id kiosk.RecordID, r kiosk.Receipt) error
	// Dead sets a record aside that no retry can deliver, for staff to see.
	Dead(ctx context.Context, id kiosk.RecordID, reason string) error
	// Outages returns what SetOutages stored last.
	Outages(ctx context.Context) ([]kiosk.Outage, error)
	// SetOutages replaces the outages that are remembered.
	SetOutages(ctx context.Context, outages []kiosk.Outage) error
}

// An Outbox is the queue as the deliverer needs it.
type Outbox interface {
	Source
	Ledger
}

// A Gateway is the identity gateway and its object store. Its failures are
// *kiosk.GatewayError; any other error is taken for an outage.
type Gateway interface {
	Targets(ctx context.Context, who kiosk.Credentials) (kiosk.Targets, error)
	// Upload does not read the image after it returned.
	Upload(ctx context.Context, up kiosk.Upload) error
	Confirm(ctx context.Context, who kiosk.Credentials, submissionID string, metadata json.RawMessage) error
	Status(ctx context.Context, who kiosk.Credentials, submissionID string) (kiosk.SubmissionStatus, error)
}

// A Partner is the partner backend, which initiates flows. Asked again for the
// same correlation id, it renews the token; the user id may be empty then,
// since the backend knows whom it initiated. Errors as for Gateway.
type Partner interface {
	UserToken(ctx context.Context, r kiosk.TokenRequest) (kiosk.UserToken, error)
}

// Bookings are the people who are expected.
type Bookings interface {
	// Unfetched returns those whose user token is missing or expires soon.
	Unfetched(ctx context.Context) ([]kiosk.Booking, error)
	// Fetched keeps a token for the booking as Unfetched named it:
	// kiosk.ErrNoBooking if that is gone, or another person's by now.
	Fetched(ctx context.Context, b kiosk.Booking, token kiosk.UserToken) error
}

// Options configure a Deliverer.
type Options struct {
	Outbox  Outbox
	Gateway Gateway
	Partner Partner

	// Bookings are the people whose tokens are fetched ahead. Nil: nobody's are.
	Bookings Bookings

	// Next is what a status asks of the kiosk.
	Next func(s kiosk.SubmissionStatus, attemptsLeft int) kiosk.Action

	// Report is told the gateway's word on a record, which may be an earlier
	// visitor's. Nil: nobody is. It must not block and may be told twice.
	Report func(kiosk.Receipt)

	// Emit gets the story of each delivery. Nil discards it. It must not
	// block. Report and Emit are called by one goroutine at a time.
	Emit func(kiosk.Event)

	// Policy says how services that cannot be reached are probed. The zero
	// value means StandardPolicy.
	Policy Policy

	// Backoff is the wait of a record after so many failures of its own in a
	// row, from 1. Nil means FullJitter within Policy.Base and Policy.Most.
	Backoff func(failures int) time.Duration

	// Random returns numbers in [0, 1). Nil means math/rand/v2.
	Random func() float64

	// Lanes is how many records use the network at a time, beside the one of the
	// person waiting. 0 means 2. As many again may be waiting for the disk.
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
	case o.Policy != Policy{}:
		return o.Policy.Validate()
	}
	return nil
}

// A Deliverer drains one outbox into one gateway.
type Deliverer struct {
	o     Options
	lines *lines
	slots chan struct{} // has room for as many rounds as may use the network

	images sync.Pool // of *[]byte: memory for images, used again

	tell sync.Mutex // held while Report or Emit runs
	draw sync.Mutex // held while Random or Backoff runs

	mu    sync.Mutex
	stats Stats
}

// Stats count what a deliverer did since it was made.
type Stats struct {
	Pending        int       // records to deliver, at the last listing
	Resting        bool      // no record can be delivered now: each waits for its time, or for a service that is away
	Offline        bool      // some service cannot be reached: see Services
	Since          time.Time // wall clock when Offline began; zero while it is false
	Settled        uint64    // records ended by the gateway's word, those that need a recapture included
	NeedsRecapture uint64    // records whose images the gateway turned down while attempts were left
	Dead           uint64    // records set aside for another reason
	Deferred       uint64    // tries that ended in a wait
	LocalFaults    uint64    // steps that the outbox failed
	UploadedBytes  uint64    // of images that the store took
	Tokens         uint64    // user tokens that the partner gave, those for bookings included
	Booked         uint64    // of them, those for bookings

	// Services has all services, in reach or not.
	Services map[kiosk.Service]ServiceStats
}

// ServiceStats are about one service.
type ServiceStats struct {
	Out      bool          // it cannot be reached
	Trouble  kiosk.Trouble // why; empty while Out is false
	Since    time.Time     // wall clock; zero while Out is false
	Failures int           // in a row; 0 while Out is false
	Openings uint64        // outages that began since the deliverer was made
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
	if o.Policy == (Policy{}) {
		o.Policy = StandardPolicy()
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Backoff == nil {
		o.Backoff = FullJitter(o.Policy.Base, o.Policy.Most, o.Random)
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
	d := &Deliverer{o: o, slots: make(chan struct{}, o.Lanes)}
	d.lines = newLines(o.Policy, d.random)
	return d, nil
}

// Stats returns the counts as they are now.
func (d *Deliverer) Stats() Stats {
	d.mu.Lock()
	s := d.stats
	d.mu.Unlock()
	s.Services = d.lines.stats()
	for _, of := range s.Services {
		if of.Out && (!s.Offline || of.Since.Before(s.Since)) {
			s.Offline, s.Since = true, of.Since
		}
	}
	return s
}

func (d *Deliverer) count(change func(*Stats)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(&d.stats)
}

func (d *Deliverer) random() float64 {
	d.draw.Lock()
	defer d.draw.Unlock()
	return d.o.Random()
}

// pause is the wait after so many failures, or what a server wished for.
func (d *Deliverer) pause(failures int, wish time.Duration) time.Duration {
	return d.pauseUpTo(math.MaxInt64, failures, wish)
}

// pauseUpTo is pause with a bound to what is waited beyond the server's wish.
func (d *Deliverer) pauseUpTo(most time.Duration, failures int, wish time.Duration) time.Duration {
	d.draw.Lock()
	defer d.draw.Unlock()
	return max(min(d.o.Backoff(failures), most), min(wish, d.o.Policy.Wish), d.o.Policy.Least)
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
