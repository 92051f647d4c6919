package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"livekiosk/camera"
	"livekiosk/camera/jpeg"
	"livekiosk/inference/models"
	"livekiosk/kiosk"
	"livekiosk/queue"
	"livekiosk/queue/seal"
	"livekiosk/systemd"
)

// errOutbox wraps everything that keeps the outbox from being used and has no
// sentinel of its own: permissions, a read-only or full disk, a bad key file.
var errOutbox = errors.New("outbox not usable")

// errModel wraps what keeps verified files from being loaded.
var errModel = errors.New("inference does not start")

// startPatience is how long the start of the daemon waits for the outbox.
const startPatience = 2 * time.Second

// An outbox is the queue, or the reason why there is none yet. A kiosk whose
// outbox is busy or damaged stays up, says so, and takes it once it can.
type outbox struct {
	c       Config
	relay   *seal.Public // who alone can read the evidence; nil: this kiosk can
	trusted func() bool  // whether the wall clock is known to be right
	log     *slog.Logger

	suspect chan struct{} // holds a token when something went wrong with it

	expired     func(kiosk.Receipt) // told of what is erased for its age
	occupied    func() bool         // whether a session is in progress
	busy        *systemd.Busy       // held while something is stored
	compactions chan *compaction    // taken by watch

	opening sync.Mutex // held for as long as it takes to open a large one

	mu  sync.Mutex // never held for long: the status asks
	q   *queue.Queue
	err error // of the last try

	asked  *compaction   // that watch took
	closed bool          // no session is admitted: see turnAway
	took   time.Duration // of the last probe
	unfit  error         // what it failed with
}

// newOutbox returns an outbox that is not open. occupied reports whether a
// session is in progress, from any goroutine.
func newOutbox(c Config, relay *seal.Public, trusted, occupied func() bool, expired func(kiosk.Receipt), busy *systemd.Busy, log *slog.Logger) *outbox {
	return &outbox{
		c: c, relay: relay, trusted: trusted, occupied: occupied, expired: expired, busy: busy, log: log,
		suspect: make(chan struct{}, 1), compactions: make(chan *compaction), err: errOutbox,
	}
}

// open opens the queue unless it is open.
func (o *outbox) open(ctx context.Context) error {
	o.opening.Lock()
	defer o.opening.Unlock()
	if q, _ := o.get(); q != nil {
		return nil
	}
	q, err := o.try(ctx)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.q, o.err = q, err
	return err
}

// start opens the queue if that takes no longer than a start may. Otherwise
// the kiosk starts out of service, and it is opened later.
func (o *outbox) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startPatience, errors.New("opening it takes too long to wait for at the start"))
	defer cancel()
	return o.open(ctx)
}

func (o *outbox) try(ctx context.Context) (*queue.Queue, error) {
	if err := o.c.durable(); err != nil {
		return nil, err
	}
	options, err := o.options()
	if err != nil {
		return nil, err
	}
	q, err := queue.Open(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("outbox %s: %w", options.Path, err)
	}
	return q, nil
}

// options says how the queue is opened.
func (o *outbox) options() (queue.Options, error) {
	ring, err := o.c.keys(!o.c.sealed())
	if err != nil {
		return queue.Options{}, fmt.Errorf("%w: device key of %s: %w", errOutbox, o.c.queuePath(), err)
	}
	if err = notOurs(o.relay, ring); err != nil {
		return queue.Options{}, fmt.Errorf("%w: %w", errOutbox, err)
	}
	return queue.Options{
		Path: o.c.queuePath(), Keys: ring, Epochs: o.c.Queue.EpochsDir, Relay: o.relay, MaxRecords: o.c.Queue.MaxRecords, MaxBytes: o.c.Queue.MaxBytes,
		MaxBookings: o.c.Queue.MaxBookings, MaxAge: time.Duration(o.c.Queue.MaxAge), Floor: built(), Trusted: o.trusted, Preflight: newPreflight().run, Expired: o.expired, Log: o.log,
	}, nil
}

func (o *outbox) get() (*queue.Queue, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.q, o.err
}

// close lets go of the queue, so that it can be opened anew.
func (o *outbox) close(ctx context.Context) {
	o.opening.Lock()
	defer o.opening.Unlock()
	o.mu.Lock()
	q := o.q
	o.q, o.err = nil, errOutbox
	o.mu.Unlock()
	if q == nil {
		return
	}
	if err := q.Close(); err != nil {
		o.log.ErrorContext(ctx, "outbox not closed", slog.Any("err", err))
	}
}

// probe proves that the queue can store.
func (o *outbox) probe(ctx context.Context) error {
	q, err := o.get()
	if err != nil {
		return err
	}
	return o.commit(ctx, q)
}

// commit stores a little in q, and notes how that went.
func (o *outbox) commit(ctx context.Context, q *queue.Queue) error {
	began := time.Now()
	err := q.Probe(ctx)
	if ctx.Err() == nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.took, o.unfit = time.Since(began), err
	}
	return err
}

// probed returns how long the last probe of the queue took, 0 before the first,
// or why there is no queue or it failed.
func (o *outbox) probed() (time.Duration, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return 0, o.err
	}
	return o.took, o.unfit
}

// full reports whether another session would find no room in the queue, by its
// limits or on the disk. One that is not open is not full.
func (o *outbox) full(ctx context.Context) bool {
	q, err := o.get()
	return err == nil && errors.Is(q.Admit(ctx), kiosk.ErrQueueFull)
}

// watch proves once a minute, and whenever something went wrong, that the
// queue can still store; a minute after the start and then once an hour it
// removes what has expired: a kiosk that is switched off each night must, too. It returns
// the reason once the queue cannot store, unless it is only full, or nil when
// ctx ended.
func (o *outbox) watch(ctx context.Context, beat func()) error {
	minute, due := time.NewTicker(time.Minute), time.NewTimer(time.Minute)
	defer minute.Stop()
	defer due.Stop()
	for {
		do := o.probe
		select {
		case <-ctx.Done():
			return nil
		case <-o.suspect:
		case c := <-o.compactions:
			return o.yield(c)
		case <-minute.C:
		case <-due.C:
			do = o.prune
			due.Reset(time.Hour)
		}
		beat()
		if err := do(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, kiosk.ErrQueueFull) {
			return err
		}
	}
}

func (o *outbox) prune(ctx context.Context) error {
	q, err := o.get()
	if err != nil {
		return err
	}
	return q.Prune(ctx)
}

// doubt has watch look at the queue after an error that is not its ordinary
// answer.
func (o *outbox) doubt(err error) error {
	switch {
	case err == nil, errors.Is(err, kiosk.ErrQueueFull), errors.Is(err, kiosk.ErrBooked), errors.Is(err, kiosk.ErrNoBooking):
	default:
		select {
		case o.suspect <- struct{}{}:
		default:
		}
	}
	return err
}

// Put implements station.Outbox.
func (o *outbox) Put(ctx context.Context, s *kiosk.Submission) error {
	defer o.busy.Hold()()
	q, err := o.get()
	if err != nil {
		return err
	}
	return o.doubt(q.Put(ctx, s))
}

// Admit implements station.Outbox. It stores something, too: whether there is
// room is known without the disk, and a visitor who is led through a capture
// that cannot be kept was sent away too late.
func (o *outbox) Admit(ctx context.Context) error {
	q, err := o.get()
	if err != nil {
		return err
	}
	if o.turnsAway() {
		return errCompacting
	}
	if err = q.Admit(ctx); err == nil {
		err = o.commit(ctx, q)
	}
	return o.doubt(err)
}

// Used implements station.Outbox.
func (o *outbox) Used(ctx context.Context, correlationID string) (bool, error) {
	q, err := o.get()
	if err != nil {
		return false, err
	}
	used, err := q.Used(ctx, correlationID)
	return used, o.doubt(err)
}

// Entries implements api.Queue.
func (o *outbox) Entries(ctx context.Context) ([]kiosk.Entry, error) {
	q, err := o.get()
	if err != nil {
		return nil, err
	}
	return q.Entries(ctx)
}

// Book implements api.Bookings.
func (o *outbox) Book(ctx context.Context, b kiosk.Booking) error {
	q, err := o.get()
	if err != nil {
		return err
	}
	if b.UserIDType == "" {
		b.UserIDType = o.c.Gateway.UserIDType // as launches that name none
	}
	return o.doubt(q.Book(ctx, b))
}

// Bookings implements api.Bookings.
func (o *outbox) Bookings(ctx context.Context) ([]kiosk.Booking, error) {
	q, err := o.get()
	if err != nil {
		return nil, err
	}
	return q.Bookings(ctx)
}

// Unbook implements api.Bookings.
func (o *outbox) Unbook(ctx context.Context, correlationID string) error {
	q, err := o.get()
	if err != nil {
		return err
	}
	return o.doubt(q.Unbook(ctx, correlationID))
}

// alarms returns where a damaged outbox was moved aside last, and how many
// records are sealed for another key.
func (o *outbox) alarms() (quarantined string, orphans int) {
	quarantined = o.c.aside()
	q, err := o.get()
	if err != nil {
		return quarantined, 0
	}
	return quarantined, q.Orphans
}

// aside returns the newest outbox that was moved aside as damaged, "" if none
// lies there. The alarm lasts until somebody has taken the file, over restarts.
func (c Config) aside() string {
	files, err := os.ReadDir(filepath.Dir(c.queuePath())) // by name, which ends with the time
	if err != nil {
		return ""
	}
	for _, f := range slices.Backward(files) {
		if strings.HasPrefix(f.Name(), filepath.Base(c.queuePath())+".bad-") {
			return filepath.Join(filepath.Dir(c.queuePath()), f.Name())
		}
	}
	return ""
}

// sealed reports whether there is an outbox, whose records are sealed to a key
// that was here. A new key could not open them, and what a visitor was promised
// would be lost.
func (c Config) sealed() bool {
	_, err := os.Lstat(c.queuePath())
	return !errors.Is(err, fs.ErrNotExist) // what cannot be looked at may be one
}

// check is -check-config: everything that a start would need, touched by
// nothing.
func check(ctx context.Context, c Config, log *slog.Logger) error {
	if c.simulated() {
		if err := (&source{name: c.Camera.Source}).open(); err != nil {
			return fmt.Errorf("%w: camera.source: %w", errConfig, err)
		}
	}
	if _, err := c.Gateway.network(); err != nil {
		return fmt.Errorf("%w: %w", errConfig, err)
	}
	if _, err := c.Display.look(ctx, log); err != nil {
		return fmt.Errorf("%w: %w", errConfig, err)
	}
	if err := c.checkLanguages(ctx, log); err != nil {
		return err
	}
	relay, err := c.Relay.open()
	if err != nil {
		return fmt.Errorf("%w: %w", errConfig, err)
	}
	if _, err = c.Models.keys(); err != nil {
		return fmt.Errorf("%w: %w", errConfig, err)
	}
	set, err := models.Open(ctx, c.Models.Dir)
	if err != nil {
		return fmt.Errorf("models.dir: %w", err)
	}
	_, unload, err := analyser(set, &camera.Decoder{JPEG: jpeg.NewDecoder()}, nil)
	if err != nil {
		return fmt.Errorf("models.dir: %w: %w", errModel, err)
	}
	if err := unload(); err != nil {
		return fmt.Errorf("models.dir: %w: %w", errModel, err)
	}
	if err := queue.Inspect(ctx, c.queuePath()); err != nil {
		return fmt.Errorf("%w: %w", errOutbox, err)
	}
	if c.sealed() || c.keyStore().Kind == seal.CredentialStore {
		ring, err := c.keys(false)
		if err != nil {
			return fmt.Errorf("%w: device key of %s: %w", errOutbox, c.queuePath(), err)
		}
		if err := notOurs(relay, ring); err != nil {
			return fmt.Errorf("%w: %w", errConfig, err)
		}
	}
	log.InfoContext(ctx, "configuration is usable")
	return nil
}
