// Package queue is the outbox: captures on their way to the gateway, in one
// bbolt file, sealed to the device's key. Each lies under an epoch key of its
// own besides, which is outside that file and destroyed with it: what is
// removed cannot be read any more, wherever copies of it remain.
//
// A capture is durable when Put returns nil, and stays until Settle removes it,
// Dead sets it aside, or Recapture leaves no more of it than that a new one is
// needed; staff can Drop it, and Prune removes what is too old. Beside captures
// there are bookings, whose user tokens are fetched ahead, and the outages that
// a restart should know of. The file is bounded: Admit refuses a new session
// before its capture, and nothing acknowledged is ever dropped to make room.
// A damaged file is moved aside and an empty one started; a file of another
// format, one that another process holds and one on a read-only mount are left
// as they are. FORMAT.md holds the bytes and what they promise.
package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"livekiosk/kiosk"
	"livekiosk/queue/seal"
)

// What one record and one session can need at most, in bytes. Put refuses a
// larger record, so that Admit can promise room for a session.
const (
	ImageMax    = kiosk.EvidenceMax // one JPEG
	MetadataMax = 256 << 10         // Submission.Metadata
	RecordMax   = 2*ImageMax + MetadataMax*3/2 + 64<<10
	SessionMax  = 3 * RecordMax // three attempts
)

// What the options allow at most. Each record and each booking has a slot in
// the epoch file, which has room for a million.
const (
	RecordsMost  = 1_000_000
	BookingsMost = 40_000
)

// growBy is how much larger than needed the file becomes when it grows, in
// bytes: less is a flush more often, more is room that lies idle.
const growBy = 1 << 20

// probeSlow is when a probe's commit is worth a warning.
const probeSlow = time.Second

// Options say where an outbox lies and how large it may grow. Path and Keys are
// required; zero values of the others are replaced as noted.
type Options struct {
	Path   string     // of the bbolt file; its directory is made with mode 0700 if missing
	Keys   *seal.Ring // the device's keys: new records are sealed for the current one, older ones open what they sealed
	Epochs string     // directory of the epoch file, made with mode 0700 if missing; "": that of Path

	// Relay is who alone can read images and metadata: they are sealed for it,
	// and what Image and Job return of them is for it to open. nil: they are
	// sealed for the device, which delivers them in the clear.
	Relay *seal.Public

	MaxRecords int   // records kept, dead letters with images included; 0: 1000; 3 to 1000000
	MaxBytes   int64 // sealed bytes kept, dead letters included; 0: 512 MiB; at least SessionMax
	Reserve    int64 // bytes that the file system must keep free beyond a session; 0: 16 MiB
	HistoryMax int   // settled records remembered, and dead letters without images kept; 0: 2000; at least 1

	// MaxAge is how long a record is kept that never came to an end, pending or
	// dead, counted in time that has certainly passed; 0: 60 days.
	MaxAge time.Duration

	MaxBookings int         // bookings kept; 0: 500; 1 to 40000
	Floor       time.Time   // a wall clock before this is wrong and removes no booking; zero: 2025
	Trusted     func() bool // whether the wall clock is right enough to remove bookings by; called from any goroutine; nil: it is

	// Preflight tries the file where a fault in it ends no more than a child
	// process: see the function of that name, which the child calls. f is the
	// file, open and locked, whose lock belongs to its open file description. An
	// error that wraps kiosk.ErrQueueBad has the file moved aside, any other one
	// leaves it as it is. nil: it is not tried.
	Preflight func(ctx context.Context, f *os.File) error

	// Expired is told of each record that Prune erased for its age, once that is
	// durable, by whoever calls Prune. nil: nobody is.
	Expired func(kiosk.Receipt)

	Clock func() Reading // how long the machine runs; called from any goroutine; nil: asks the kernel

	Log *slog.Logger // nil: none
}

// Validate reports the first value that cannot work.
func (o Options) Validate() error {
	switch {
	case o.Path == "":
		return errors.New("outbox: path is missing")
	case o.Keys == nil:
		return errors.New("outbox: keys are missing")
	case o.MaxRecords != 0 && o.MaxRecords < 3:
		return fmt.Errorf("outbox: max records is %d: must be at least 3, the attempts of a session", o.MaxRecords)
	case o.MaxRecords > RecordsMost:
		return fmt.Errorf("outbox: max records is %d: must be at most %d", o.MaxRecords, RecordsMost)
	case o.MaxBytes != 0 && o.MaxBytes < SessionMax:
		return fmt.Errorf("outbox: max bytes is %d: must be at least %d, a session of the largest images", o.MaxBytes, SessionMax)
	case o.Reserve < 0:
		return fmt.Errorf("outbox: reserve is %d: must not be negative", o.Reserve)
	case o.HistoryMax < 0:
		return fmt.Errorf("outbox: history max is %d: must be at least 1", o.HistoryMax)
	case o.MaxAge < 0:
		return fmt.Errorf("outbox: max age is %v: must not be negative", o.MaxAge)
	case o.MaxBookings < 0:
		return fmt.Errorf("outbox: max bookings is %d: must be at least 1", o.MaxBookings)
	case o.MaxBookings > BookingsMost:
		return fmt.Errorf("outbox: max bookings is %d: must be at most %d", o.MaxBookings, BookingsMost)
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.MaxRecords == 0 {
		o.MaxRecords = 1000
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 512 << 20
	}
	if o.Reserve == 0 {
		o.Reserve = 16 << 20
	}
	if o.HistoryMax == 0 {
		o.HistoryMax = 2000
	}
	if o.MaxAge == 0 {
		o.MaxAge = 60 * 24 * time.Hour
	}
	if o.Epochs == "" {
		o.Epochs = filepath.Dir(o.Path)
	}
	if o.MaxBookings == 0 {
		o.MaxBookings = 500
	}
	if o.Floor.IsZero() {
		o.Floor = time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC)
	}
	if o.Trusted == nil {
		o.Trusted = func() bool { return true }
	}
	if o.Expired == nil {
		o.Expired = func(kiosk.Receipt) {}
	}
	if o.Clock == nil {
		o.Clock = machine()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// A Queue is an open outbox. It is safe for concurrent use.
type Queue struct {
	// Quarantined is where Open moved a damaged file, "" if it did not. It is
	// an alarm: records may be in there that nobody delivers. Read-only.
	Quarantined string

	// Orphans is how many records Open found that are sealed for a device key
	// which is not in Options.Keys. It is an alarm: they cannot be delivered.
	// Read-only.
	Orphans int

	o       Options
	db      *bbolt.DB
	file    *os.File
	epochs  *seal.Epochs
	taggers []tagger // one for each device key, the current one first
	prover  prover
	ready   chan *seal.Sealer // of the next record
	buffers chan []byte       // memory of sealed images

	writer chan struct{} // one slot: held while writing and closing
	wake   chan struct{}

	mu       sync.Mutex
	waiting  []*call // for the writer's slot
	counts   counts
	index    *index
	broken   [][]byte   // tags of the bookings that did not open when listed last
	proof    proof      // which only the holder of the writer's slot changes
	destroys []numbered // what was destroyed and no line in the file tells yet, oldest first
	clock    clock      // as it was asked last
	stopped  error      // why nothing works any more; nil: it does
	panicked bool       // bbolt's locks may be held for ever

	closing sync.Once
	closed  error
}

// Open opens the outbox at o.Path, or makes an empty one where there is none.
// It waits up to a second for another process to let go of it, and returns
// early when ctx ends.
//
// A damaged file is moved to its name with ".bad-" and the time appended, an
// empty outbox takes its place, and Quarantined tells. These are errors and
// leave every byte where it is: kiosk.ErrQueueBusy, kiosk.ErrQueueNewer (also
// for the bbolt file of another program), a read-only mount, a full disk, a
// disk that does not give all of the file, an epoch file that is missing or
// damaged while there are records, and a damaged file that cannot be moved,
// which is kiosk.ErrQueueBad.
//
// Before anything else Open destroys each epoch key that no record and no
// booking has: a crash may have come between a removal and its destroying.
func Open(ctx context.Context, o Options) (*Queue, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	taggers, err := newTaggers(o.Keys)
	if err != nil {
		return nil, fmt.Errorf("open outbox: %w", err)
	}
	prover, err := newProver(o.Keys)
	if err != nil {
		return nil, fmt.Errorf("open outbox: %w", err)
	}
	q := &Queue{
		o:       o,
		taggers: taggers,
		prover:  prover,
		ready:   make(chan *seal.Sealer, 1),
		buffers: make(chan []byte, len(kiosk.Documents())),
		writer:  make(chan struct{}, 1),
		wake:    make(chan struct{}, 1),
	}
	err = q.open(ctx)
	if q.Quarantined != "" { // also where it came no further
		o.Log.ErrorContext(ctx, "damaged outbox moved aside", slog.String("path", o.Path), slog.String("moved_to", q.Quarantined))
	}
	if err != nil {
		return nil, fmt.Errorf("open outbox %s: %w", o.Path, err)
	}
	if q.Orphans > 0 {
		o.Log.ErrorContext(ctx, "outbox has records sealed for another device key",
			slog.Int("records", q.Orphans), slog.String("device_key", o.Keys.Current().Fingerprint()))
	}
	if err := q.takeUp(ctx); err != nil {
		return nil, fmt.Errorf("open outbox %s: %w", o.Path, errors.Join(err, q.Close()))
	}
	return q, nil
}

func (q *Queue) open(ctx context.Context) error {
	place, err := enter(ctx, q.o.Path, q.newEpochs)
	if err != nil {
		return err
	}
	defer place.leave()
	file, err := place.claim(ctx)
	switch {
	case err == nil:
		// Only what is wrong with the file is a reason to replace it.
		if err = q.load(ctx, file); !errors.Is(err, kiosk.ErrQueueBad) {
			return err
		}
		damage := err
		if _, found := errors.AsType[*damageError](damage); !found { // by the survey: something faulted
			if err = given(ctx, q.o.Path); err != nil {
				return err
			}
		}
		if file, q.Quarantined, err = place.replace(); err != nil {
			return fmt.Errorf("%w; and moving it aside: %w", damage, err)
		}
	case errors.Is(err, os.ErrNotExist):
		// An empty place beside a damaged file: moving it aside was cut short.
		if q.Quarantined, err = lastAside(q.o.Path); err != nil {
			return err
		}
		if file, err = place.create(); err != nil {
			return err
		}
	default:
		return err
	}
	return q.load(ctx, file)
}

// load takes a locked file as the outbox, if it is sound. It closes the file
// if it is not.
func (q *Queue) load(ctx context.Context, file *os.File) error {
	err := survey(ctx, file)
	if err == nil && q.o.Preflight != nil {
		err = q.o.Preflight(ctx, file)
	}
	if err != nil {
		file.Close()
		return err
	}
	var named string // the id of the epoch file
	err = guard(func() error {
		options := boltOptions()
		options.MaxSize = int(min(2*q.o.MaxBytes+SessionMax, 1<<46))
		options.OpenFile = func(string, int, os.FileMode) (*os.File, error) { return file, nil }
		db, opened := bbolt.Open(q.o.Path, 0o600, options)
		if opened != nil {
			return opened
		}
		db.AllocSize = growBy
		q.db, q.file = db, file
		return db.View(func(tx *bbolt.Tx) (err error) {
			if named, err = epochsOf(tx); err != nil {
				return err
			}
			return q.count(tx)
		})
	})
	if err == nil {
		err = q.begin(ctx, named)
	}
	if err == nil {
		return nil
	}
	if q.db != nil && !panicked(err) {
		q.db.Close() //nolint:errcheck // nothing was written
	}
	q.db = nil
	file.Close()
	if panicked(err) {
		return fmt.Errorf("%w: %w", kiosk.ErrQueueBad, err)
	}
	return err
}

// boltOptions are bbolt's options for every file here. The page size is part
// of the format, so that a file moves between boards. Free pages are kept in
// their order and the first that fit are taken: bbolt's hash map takes any that
// fit, and the file grows to twice what lives in it.
func boltOptions() *bbolt.Options {
	return &bbolt.Options{
		Timeout: lockWait, FreelistType: bbolt.FreelistArrayType, NoFreelistSync: true, PageSize: pageSize,
		NoSync: weakNoSync(),
	}
}

// count fills in what the file holds.
func (q *Queue) count(tx *bbolt.Tx) error {
	q.counts, q.index, q.Orphans = counts{}, newIndex(), 0
	for _, name := range []string{pendingBucket, deadBucket} {
		bucket := tx.Bucket([]byte(name))
		err := bucket.ForEachBucket(func(k []byte) error {
			record := bucket.Bucket(k)
			q.index.add(name, k)
			h, err := readHead(record, k)
			q.counts.tally(h, weigh(record), 1)
			sealed := record.Get([]byte(metaKey)) != nil
			if err != nil {
				return nil //nolint:nilerr // that record's trouble
			}
			if _, here := q.o.Keys.Key(h.Key); sealed && !here {
				q.Orphans++
			}
			if h.Slot != nil {
				q.index.slots[*h.Slot]++
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	settled := map[string]time.Time{}
	err := tx.Bucket([]byte(historyBucket)).ForEach(func(k, v []byte) error {
		q.index.add(historyBucket, k)
		q.counts.history++
		r, _ := decodeReceipt(v) // one that does not read goes first
		settled[string(k)] = r.Settled
		return nil
	})
	q.index.ended = slices.SortedFunc(maps.Keys(settled), func(a, b string) int {
		return cmp.Or(settled[a].Compare(settled[b]), cmp.Compare(a, b))
	})
	if bookings := tx.Bucket([]byte(bookingsBucket)); err == nil && bookings != nil {
		err = bookings.ForEach(func(_, v []byte) error {
			q.counts.bookings++
			if k, broken := decodeBooking(v); broken == nil && k.Slot != nil {
				q.index.slots[*k.Slot]++
			}
			return nil
		})
	}
	return err
}

// Close waits for what is under way and lets go of the file. Closing twice is
// harmless.
func (q *Queue) Close() error {
	q.closing.Do(func() {
		q.writer <- struct{}{} // whoever waits for it finds the outbox stopped
		defer func() { <-q.writer }()
		q.mu.Lock()
		hung := q.panicked
		q.stopped = errClosed
		q.mu.Unlock()
		if hung {
			// bbolt may hold its own locks for ever, and its mapping with them. That
			// keeps the file, and the lock on it, alive after Close, so the lock,
			// which the next Open needs, is given up by itself.
			q.closed = errors.Join(syscall.Flock(int(q.file.Fd()), syscall.LOCK_UN), q.file.Close(), q.epochs.Close())
			return
		}
		q.closed = errors.Join(q.db.Close(), q.epochs.Close())
	})
	return q.closed
}

var errClosed = errors.New("outbox is closed")

// Wake returns a channel that gets a token when Put or Revive made a record
// pending. Tokens do not pile up: one may stand for several records.
func (q *Queue) Wake() <-chan struct{} { return q.wake }

func (q *Queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Admit reports whether a new session has room for three attempts with the
// largest images, by count, by bytes and on the file system. It returns
// kiosk.ErrQueueFull if not: the kiosk then refuses the session before
// anything is captured.
func (q *Queue) Admit(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("admit session: %w", err)
	}
	q.mu.Lock()
	records, bytes, stopped := q.counts.records, q.counts.bytes, q.stopped
	q.mu.Unlock()
	if stopped != nil {
		return fmt.Errorf("admit session: %w", stopped)
	}
	if records+3 > q.o.MaxRecords {
		return fmt.Errorf("admit session: %d of %d records: %w", records, q.o.MaxRecords, kiosk.ErrQueueFull)
	}
	if bytes+SessionMax > q.o.MaxBytes {
		return fmt.Errorf("admit session: %d of %d bytes: %w", bytes, q.o.MaxBytes, kiosk.ErrQueueFull)
	}
	var disk unix.Statfs_t
	dir := filepath.Dir(q.o.Path)
	if err := unix.Statfs(dir, &disk); err != nil {
		return fmt.Errorf("admit session: free space of %s: %w", dir, err)
	}
	if free := int64(disk.Bavail) * disk.Bsize; free < SessionMax || free-SessionMax < q.o.Reserve {
		return fmt.Errorf("admit session: %d bytes free on the disk: %w", free, kiosk.ErrQueueFull)
	}
	return nil
}

// Probe commits a few bytes, so that a disk which no longer takes them is
// noticed before a visitor is. Each call is two flushes of flash: once a
// minute is enough. It returns what stops the outbox, if anything does.
func (q *Queue) Probe(ctx context.Context) error {
	start := time.Now()
	err := q.update(ctx, func(w *writing) error {
		bucket := w.tx.Bucket([]byte(outboxBucket))
		n, err := bucket.NextSequence()
		if err != nil {
			return err
		}
		if err := bucket.Put([]byte(probeKey), number(n)); err != nil {
			return err
		}
		return q.keepTime(w)
	})
	if err != nil {
		return fmt.Errorf("probe outbox: %w", err)
	}
	if took := time.Since(start); took > probeSlow {
		q.o.Log.WarnContext(ctx, "outbox is slow", slog.Duration("probe", took))
	}
	return nil
}
