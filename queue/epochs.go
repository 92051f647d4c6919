package queue

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"livekiosk/kiosk"
	"livekiosk/queue/seal"
)

// slotsSpare is how many more epoch keys there are than records and bookings:
// for those that are being put, and those that wait to be destroyed.
const slotsSpare = 64

// Why an epoch key was destroyed, as the proof of it tells.
const (
	whySettled   = "settled"
	whyRecapture = "recapture"
	whyDropped   = "dropped"
	whyExpired   = "expired"
	whyUnbooked  = "unbooked"
	whyRedeemed  = "redeemed"
	whyRenewed   = "" // the booking lives on under another key: nothing to tell
)

// nameEpochs is how the file names its epoch file: its id and a checksum, since
// an id with a flipped bit would look like an epoch file that was lost.
func nameEpochs(id string) []byte {
	return fmt.Appendf(nil, "%s %08x", id, crc32.ChecksumIEEE([]byte(id)))
}

// readEpochs returns the id that nameEpochs wrote.
func readEpochs(value []byte) (string, error) {
	id, _, _ := strings.Cut(string(value), " ")
	if id == "" || string(nameEpochs(id)) != string(value) {
		return "", errors.New("the name of the epoch file does not read")
	}
	return id, nil
}

func epochsOf(tx *bbolt.Tx) (string, error) {
	id, err := readEpochs(tx.Bucket([]byte(outboxBucket)).Get([]byte(epochsKey)))
	if err != nil {
		return "", damaged("%v", err)
	}
	return id, nil
}

// check guards the number of a slot, which with a flipped bit would be the key
// of something else, and have that destroyed. what is whose it is.
func check(slot *uint32, what string) uint32 {
	if slot == nil {
		return 0
	}
	return crc32.ChecksumIEEE(binary.BigEndian.AppendUint32([]byte(what), *slot))
}

// slots is how many epoch keys the outbox needs.
func (o Options) slots() int { return o.MaxRecords + o.MaxBookings + slotsSpare }

// newEpochs makes an epoch file and returns its id.
func (q *Queue) newEpochs() (string, error) {
	e, err := seal.CreateEpochs(q.o.Epochs, filepath.Base(q.o.Path), q.o.slots())
	if err != nil {
		return "", err
	}
	return e.ID(), e.Close()
}

// begin opens the epoch file with the id, which the outbox names, and destroys
// every key in it that nothing is under. An outbox without records or bookings
// gets a new one where it is missing or damaged.
func (q *Queue) begin(ctx context.Context, id string) error {
	dir, base := q.o.Epochs, filepath.Base(q.o.Path)
	epochs, err := seal.OpenEpochs(dir, base, id)
	if err != nil {
		if q.counts.records+q.counts.bookings > 0 {
			return q.lost(err)
		}
		q.o.Log.WarnContext(ctx, "epoch file of an empty outbox is made anew", slog.Any("err", err))
		if epochs, err = q.renameEpochs(dir, base); err != nil {
			return err
		}
	}
	used := map[uint32]bool{}
	for slot := range q.index.slots {
		used[slot] = true
	}
	if err = epochs.Begin(used, q.o.slots()); err != nil {
		return errors.Join(q.lost(err), epochs.Close())
	}
	q.epochs = epochs
	// A file that was moved aside is read with its own epoch file, by whoever
	// looks into what happened.
	aside, err := lastAside(q.o.Path)
	if err == nil && aside == "" {
		err = seal.RemoveEpochs(dir, base, epochs.ID())
	}
	if err != nil {
		q.o.Log.WarnContext(ctx, "old epoch files are not removed", slog.Any("err", err))
	}
	return nil
}

// lost says what to do about an epoch file that cannot be used.
func (q *Queue) lost(err error) error {
	return fmt.Errorf("%d records and %d bookings open only with their epoch file, which has to be restored; "+
		"if it is lost, so are they, and the outbox file has to be moved away: %w", q.counts.records, q.counts.bookings, err)
}

// renameEpochs makes a new epoch file and has the outbox name it.
func (q *Queue) renameEpochs(dir, base string) (*seal.Epochs, error) {
	epochs, err := seal.CreateEpochs(dir, base, q.o.slots())
	if err != nil {
		return nil, fmt.Errorf("epoch file: %w", err)
	}
	err = guard(func() error {
		return q.db.Update(func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte(outboxBucket)).Put([]byte(epochsKey), nameEpochs(epochs.ID()))
		})
	})
	if err != nil {
		return nil, errors.Join(err, epochs.Close())
	}
	return epochs, nil
}

// A lease is an epoch key that a call took, which may run several times.
type lease struct {
	epoch *seal.Epoch
	tried bool // one of the runs wrote something under it
	kept  bool // the last one did
}

// lease takes an epoch key for a call. It is given back by end.
func (q *Queue) lease() (*lease, error) {
	if err := q.usable(); err != nil {
		return nil, err
	}
	epoch, err := q.epochs.Take()
	if errors.Is(err, seal.ErrNoEpoch) {
		// Those that a failed commit left wait for the next removal.
		if err = q.epochs.Destroy(nil); err != nil {
			err = fmt.Errorf("destroy epoch keys: %w", err)
			q.stop(err, false)
			return nil, err
		}
		epoch, err = q.epochs.Take()
	}
	if errors.Is(err, seal.ErrNoEpoch) {
		return nil, fmt.Errorf("%w: %w", kiosk.ErrQueueFull, err)
	}
	if err != nil {
		return nil, err
	}
	return &lease{epoch: epoch}, nil
}

// keep notes that w keeps something under the key.
func (l *lease) keep(w *writing) {
	l.tried, l.kept = true, true
	w.taken = append(w.taken, l.epoch.Slot())
}

// end tells what came of the key, err being what the call did.
func (q *Queue) end(l *lease, err error) {
	switch {
	case err == nil && l.kept:
	case l.tried: // a commit that failed may have written some of its pages
		q.epochs.Spoil(l.epoch.Slot())
	default:
		q.epochs.Return(l.epoch.Slot())
	}
}

// withLease is update for a call that keeps something under a new epoch key, or
// nothing.
func (q *Queue) withLease(ctx context.Context, fn func(*writing, *lease) error) error {
	l, err := q.lease()
	if err != nil {
		return err
	}
	err = q.update(ctx, func(w *writing) error {
		l.kept = false
		return fn(w, l)
	})
	q.end(l, err)
	return err
}

// An erasure is something that a transaction removes, and what is told of it.
type erasure struct {
	slot    uint32
	record  kiosk.RecordID
	booking string // tag
	why     string

	n       uint64    // of its line, 0: it has none
	removed time.Time // wall clock
}

// erase notes that the parts of a record are removed, or of a booking, which
// were under the slot.
func (w *writing) erase(slot *uint32, e erasure) {
	if slot == nil {
		return
	}
	e.slot = *slot
	w.left = append(w.left, e)
}

// shift takes over from w what is under which epoch key. It returns what has
// nothing under its key any more.
func (x *index) shift(w *writing) (gone []erasure) {
	for _, slot := range w.taken {
		x.slots[slot]++
	}
	for _, e := range w.left {
		if x.slots[e.slot]--; x.slots[e.slot] <= 0 {
			delete(x.slots, e.slot)
			gone = append(gone, e)
		}
	}
	return gone
}

// destroy makes unreadable what was removed. What cannot be destroyed stops
// the outbox, and is destroyed when it is opened anew.
func (q *Queue) destroy(gone []erasure) error {
	if len(gone) == 0 {
		return nil
	}
	slots := make([]uint32, len(gone))
	for i, e := range gone {
		slots[i] = e.slot
	}
	if weakKeepEpochs() {
		slots = nil
	}
	if err := q.epochs.Destroy(slots); err != nil {
		err = fmt.Errorf("destroy epoch keys: %w", err)
		q.stop(err, false)
		return err
	}
	q.destroyed(gone)
	return nil
}

// layers are what lies over the parts of a record or a booking: a seal for the
// device's key, and its epoch.
type layers struct {
	key   *seal.Key
	epoch *seal.Epoch
}

// layers returns those of a device key and an epoch key. It returns
// kiosk.ErrSealBroken if one of them is not here, and another error if the disk
// does not give it.
func (q *Queue) layers(fingerprint string, slot *uint32) (layers, error) {
	key, here := q.o.Keys.Key(fingerprint)
	if !here {
		return layers{}, fmt.Errorf("sealed for key %q: %w", fingerprint, kiosk.ErrSealBroken)
	}
	epoch, err := q.epoch(slot)
	return layers{key, epoch}, err
}

func (q *Queue) epoch(slot *uint32) (*seal.Epoch, error) {
	if slot == nil {
		return nil, fmt.Errorf("names no epoch key: %w", kiosk.ErrSealBroken)
	}
	epoch, err := q.epochs.At(*slot)
	if err == nil {
		return epoch, nil
	}
	// A key that cannot be read just now is nothing that is wrong with a record.
	if _, disk := errors.AsType[*fs.PathError](err); disk || errors.Is(err, io.EOF) || errors.Is(err, fs.ErrClosed) {
		return nil, err
	}
	return nil, fmt.Errorf("%w: %w", kiosk.ErrSealBroken, err)
}

// unwrap takes the outer layer off, in the memory of wrapped.
func (l layers) unwrap(b seal.Binding, wrapped []byte) ([]byte, error) {
	sealed, err := l.epoch.Unwrap(b.AAD(), wrapped)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", b.Part, kiosk.ErrSealBroken, err)
	}
	return sealed, nil
}

// open opens a part that was sealed, in its memory.
func (l layers) open(b seal.Binding, wrapped []byte) ([]byte, error) {
	sealed, err := l.unwrap(b, wrapped)
	if err != nil {
		return nil, err
	}
	plain, err := l.key.Open(b.AAD(), sealed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", b.Part, kiosk.ErrSealBroken, err)
	}
	return plain, nil
}

// keep seals a part that only the device opens.
func (l layers) keep(b seal.Binding, plain []byte) ([]byte, error) {
	aad := b.AAD()
	kept, err := l.key.Keep(aad, plain)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Part, err)
	}
	return l.epoch.Wrap(aad, kept)
}

// recall opens a part that was kept, in its memory.
func (l layers) recall(b seal.Binding, wrapped []byte) ([]byte, error) {
	kept, err := l.unwrap(b, wrapped)
	if err != nil {
		return nil, err
	}
	plain, err := l.key.Recall(b.AAD(), kept)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", b.Part, kiosk.ErrSealBroken, err)
	}
	return plain, nil
}
