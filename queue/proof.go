package queue

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"livekiosk/kiosk"
	"livekiosk/queue/seal"
)

// The proof of erasure in the file. It is written down in FORMAT.md.
const (
	// Both are made with the first erasure. A line has the same number in both.
	erasingBucket = "erasing" // removed, and the key is about to be destroyed
	erasedBucket  = "erased"  // the key was destroyed

	proofKey = "proof" // in outbox: where the chain of lines begins, and its end

	codeSize = sha256.Size
	lineMax  = 4 << 10 // bytes of a line

	hurryMost = 64 // lines that wait for a transaction for which nobody does
)

// A line tells of one epoch key that was destroyed: whose it was, why and when.
// It is written twice: in the transaction that removes what lay under the key,
// and in the next one after the key was destroyed. So it is not lost with a
// crash between the two.
type line struct {
	Format  uint16         `json:"format"`
	Record  kiosk.RecordID `json:"record,omitempty"`
	Booking string         `json:"booking,omitempty"` // tag of a booking, hexadecimal
	Why     string         `json:"why"`
	Epochs  string         `json:"epochs"` // id of the epoch file
	Slot    uint32         `json:"slot"`
	Removed time.Time      `json:"removed"`         // wall clock
	Erased  time.Time      `json:"erased,omitzero"` // wall clock; zero: not known to be
	Key     string         `json:"key"`             // fingerprint of the device key that its code was made with
}

func decodeLine(text []byte) (line, error) {
	var l line
	if len(text) > lineMax {
		return line{}, fmt.Errorf("line: %d bytes", len(text))
	}
	if err := json.Unmarshal(text, &l); err != nil {
		return line{}, fmt.Errorf("line: %w", err)
	}
	if l.Format != Format {
		return line{}, fmt.Errorf("line: format %d", l.Format)
	}
	return l, nil
}

func (l line) erasure() kiosk.Erasure {
	return kiosk.Erasure{
		Record: l.Record, Booking: l.Booking, Why: l.Why,
		Epoch: fmt.Sprintf("%s/%d", l.Epochs, l.Slot), Removed: l.Removed, Erased: l.Erased,
	}
}

// A prover makes the codes that chain lines together, so that nobody without
// the device key can change one, put one in or take one out unnoticed. The
// oldest ones may go: so they do when there are too many.
type prover struct {
	keys    map[string][]byte // by the fingerprint of the device key that each comes from
	current string
}

func newProver(ring *seal.Ring) (prover, error) {
	p := prover{keys: map[string][]byte{}, current: ring.Current().Fingerprint()}
	for _, key := range ring.All() {
		secret, err := key.Derive("erasures")
		if err != nil {
			return prover{}, err
		}
		p.keys[key.Fingerprint()] = secret
	}
	return p, nil
}

// What a code is over begins with one of these.
const (
	codeErasing = "erasing\x00" // number of the line, line
	codeErased  = "erased\x00"  // code of the line before it, number, line
	codeEnd     = "end\x00"     // code of the newest line
)

func (p prover) code(key, what string, parts ...[]byte) []byte {
	mac := hmac.New(sha256.New, p.keys[key])
	mac.Write([]byte(what))
	for _, part := range parts {
		mac.Write(part)
	}
	return mac.Sum(nil)
}

// A proof is where the chain is at. It is never changed in place.
type proof struct {
	first []byte // code of the line before the oldest one
	last  []byte // code of the newest line, on which the next one builds
	lines int
	junk  [][]byte // numbers in erasing that nobody here wrote
}

// The code before the first line ever, and the one on which a line builds that
// follows a chain which did not hold: no line has it, so that the chain never
// holds there again.
var (
	chainStart  = make([]byte, codeSize)               //nolint:gochecknoglobals // a constant
	chainBroken = bytes.Repeat([]byte{0xff}, codeSize) //nolint:gochecknoglobals // a constant
)

// erasing notes that what lies under the slot is removed by this transaction.
// It returns the number of the line.
func (p prover) erasing(tx *bbolt.Tx, l line) (uint64, error) {
	bucket, err := tx.CreateBucketIfNotExists([]byte(erasingBucket))
	if err != nil {
		return 0, err
	}
	n, err := bucket.NextSequence()
	if err != nil {
		return 0, err
	}
	l.Format, l.Key, l.Erased = Format, p.current, time.Time{}
	text, err := json.Marshal(l)
	if err != nil {
		return 0, err
	}
	return n, bucket.Put(number(n), append(p.code(l.Key, codeErasing, number(n), text), text...))
}

// erased writes the lines, whose keys are destroyed, and drops the oldest
// beyond most. It returns where the chain is then.
func (p prover) erased(tx *bbolt.Tx, at proof, lines []numbered, most int) (proof, error) {
	erasing := tx.Bucket([]byte(erasingBucket))
	bucket, err := tx.CreateBucketIfNotExists([]byte(erasedBucket))
	if err != nil {
		return at, err
	}
	bucket.FillPercent = 0.9 // numbers come in order
	for _, l := range lines {
		l.Format, l.Key = Format, p.current
		text, err := json.Marshal(l.line)
		if err != nil {
			return at, err
		}
		at.last = p.code(l.Key, codeErased, at.last, number(l.n), text)
		if err := bucket.Put(number(l.n), slices.Concat(at.last, text)); err != nil {
			return at, err
		}
		if erasing != nil {
			if err := take(erasing, number(l.n)); err != nil {
				return at, err
			}
		}
		at.lines++
	}
	c := bucket.Cursor()
	for k, v := c.First(); k != nil && at.lines > most; k, v = c.First() {
		if len(v) >= codeSize {
			at.first = bytes.Clone(v[:codeSize])
		}
		if err := take(bucket, bytes.Clone(k)); err != nil {
			return at, err
		}
		at.lines--
	}
	ends := slices.Concat(at.first, p.code(p.current, codeEnd, at.last))
	return at, tx.Bucket([]byte(outboxBucket)).Put([]byte(proofKey), ends)
}

// take removes what is under k, be it a bucket, which nothing here made.
func take(bucket *bbolt.Bucket, k []byte) error {
	err := bucket.Delete(k)
	if errors.Is(err, bolterrors.ErrIncompatibleValue) {
		err = bucket.DeleteBucket(k)
	}
	return err
}

// A numbered line is one whose key is destroyed.
type numbered struct {
	line

	n uint64
}

// resume returns where the chain in the file is at, and the lines that were
// not finished. Their keys were destroyed when the outbox was opened, or before
// the slot was taken for what lies under it now. It reports whether the end of
// the chain holds. If not, the lines to come build on what no line has.
func (p prover) resume(tx *bbolt.Tx) (at proof, unfinished []numbered, holds bool) {
	at = proof{first: chainStart, last: chainStart}
	holds = true
	var newest uint64
	key := p.current
	if bucket := tx.Bucket([]byte(erasedBucket)); bucket != nil {
		c := bucket.Cursor()
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			at.lines++
		}
		if k, v := c.Last(); len(k) == sequenceSize && len(v) > codeSize {
			newest, at.last = binary.BigEndian.Uint64(k), bytes.Clone(v[:codeSize])
			l, err := decodeLine(v[codeSize:])
			holds = err == nil
			key = l.Key
		}
	}
	if erasing := tx.Bucket([]byte(erasingBucket)); erasing != nil {
		c := erasing.Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			if n, l, sound := p.unfinished(k, v); sound && n > newest {
				unfinished = append(unfinished, numbered{line: l, n: n})
			} else {
				at.junk = append(at.junk, bytes.Clone(k))
			}
		}
		holds = holds && len(at.junk) == 0 && newest <= erasing.Sequence()
	} else {
		holds = holds && at.lines == 0
	}
	ends := tx.Bucket([]byte(outboxBucket)).Get([]byte(proofKey))
	switch {
	case len(ends) == 2*codeSize && p.keys[key] != nil:
		at.first = bytes.Clone(ends[:codeSize])
		holds = holds && at.lines > 0 && hmac.Equal(ends[codeSize:], p.code(key, codeEnd, at.last))
	case len(ends) == 2*codeSize && at.lines > 0: // a key that is retired: nobody can tell
		at.first = bytes.Clone(ends[:codeSize])
	default:
		// The first erasure ever makes it.
		history, _ := tx.Bucket([]byte(historyBucket)).Cursor().First()
		holds = holds && ends == nil && at.lines == 0 && (history == nil || len(unfinished) > 0)
	}
	if !holds {
		at.last = chainBroken
	}
	return at, unfinished, holds
}

// unfinished returns the line under k in erasing, if this device wrote it.
func (p prover) unfinished(k, v []byte) (uint64, line, bool) {
	if len(k) != sequenceSize || len(v) <= codeSize {
		return 0, line{}, false
	}
	l, err := decodeLine(v[codeSize:])
	if err != nil || p.keys[l.Key] == nil || !hmac.Equal(v[:codeSize], p.code(l.Key, codeErasing, k, v[codeSize:])) {
		return 0, line{}, false
	}
	return binary.BigEndian.Uint64(k), l, true
}

// prove writes the lines of this transaction: of what those before it
// destroyed, and of what it removes itself. Erasing goes before the proof of
// it: where a changed file does not take a line, the chain does not hold from
// there on, which Verify and the next Open tell.
func (q *Queue) prove(w *writing) {
	q.mu.Lock()
	destroys := q.destroys
	if w.hurry && len(destroys) < hurryMost {
		destroys = nil // the next one tells
	}
	w.proof, w.told = q.proof, len(destroys)
	q.mu.Unlock()
	var failed error
	for _, k := range w.proof.junk {
		failed = errors.Join(failed, take(w.tx.Bucket([]byte(erasingBucket)), k))
	}
	w.proof.junk = nil
	if len(destroys) > 0 {
		var err error
		w.proof, err = q.prover.erased(w.tx, w.proof, destroys, q.o.HistoryMax)
		failed = errors.Join(failed, err)
	}
	now := time.Now().UTC().Round(0)
	for i, e := range w.left {
		if e.why == whyRenewed {
			continue
		}
		n, err := q.prover.erasing(w.tx, q.line(e, now))
		if err != nil {
			failed = err
			continue
		}
		w.left[i].n, w.left[i].removed = n, now
	}
	if failed != nil {
		w.proof.last = chainBroken
	}
}

func (q *Queue) line(e erasure, removed time.Time) line {
	return line{Record: e.record, Booking: e.booking, Why: e.why, Epochs: q.epochs.ID(), Slot: e.slot, Removed: removed}
}

// destroyed notes whose keys were destroyed just now.
func (q *Queue) destroyed(gone []erasure) {
	now := time.Now().UTC().Round(0)
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range gone {
		if e.n == 0 {
			continue
		}
		l := numbered{line: q.line(e, e.removed), n: e.n}
		l.Erased = now
		q.destroys = append(q.destroys, l)
	}
}

// takeUp reads the clock and the proof of erasure of a file that was opened,
// and finishes the lines that a crash left. Only a line that finds no room has
// to wait for the next transaction.
func (q *Queue) takeUp(ctx context.Context) error {
	var kept clock
	var broken error
	holds := true
	err := q.view(ctx, func(tx *bbolt.Tx) error {
		kept, broken = decodeClock(tx.Bucket([]byte(outboxBucket)).Get([]byte(clockKey)))
		q.proof, q.destroys, holds = q.prover.resume(tx)
		return nil
	})
	if err != nil {
		return err
	}
	if broken != nil {
		q.o.Log.WarnContext(ctx, "the clock of the outbox does not read and begins anew: records are kept longer", slog.Any("err", broken))
	}
	q.clock = kept
	q.tick()
	// The directory is not locked any more, but whoever makes a file there has
	// to have this one first.
	if err = remove(filepath.Join(filepath.Dir(q.o.Path), temporaryName(q.o.Path))); err != nil {
		q.o.Log.WarnContext(ctx, "what a compaction left half made is not removed", slog.Any("err", err))
	}
	if !holds {
		q.o.Log.ErrorContext(ctx, "the proof of erasure was changed from outside")
	}
	if len(q.destroys) == 0 {
		return nil
	}
	now := time.Now().UTC().Round(0)
	for i := range q.destroys {
		q.destroys[i].Erased = now
	}
	err = q.update(ctx, func(*writing) error { return nil })
	if errors.Is(err, kiosk.ErrQueueFull) {
		q.o.Log.WarnContext(ctx, "no room for the proof of erasure yet", slog.Any("err", err))
		return nil
	}
	return err
}

// Erasures returns when which record and which booking became unreadable, the
// newest first: for each the time at which its epoch key was durably
// destroyed. The newest Options.HistoryMax are kept. A line that does not read
// is left out; Verify tells whether lines were changed.
func (q *Queue) Erasures(ctx context.Context) ([]kiosk.Erasure, error) {
	q.mu.Lock()
	told := slices.Clone(q.destroys)
	q.mu.Unlock()
	var all []kiosk.Erasure
	err := q.view(ctx, func(tx *bbolt.Tx) error {
		all = nil
		var newest uint64
		bucket := tx.Bucket([]byte(erasedBucket))
		if bucket == nil {
			bucket = tx.Bucket([]byte(outboxBucket)) // has no such line
		}
		c := bucket.Cursor()
		for k, v := c.Last(); k != nil; k, v = c.Prev() {
			if len(k) != sequenceSize || len(v) <= codeSize {
				continue
			}
			newest = max(newest, binary.BigEndian.Uint64(k))
			if l, err := decodeLine(v[codeSize:]); err == nil {
				all = append(all, l.erasure())
			}
		}
		var fresh []kiosk.Erasure // which the file may have by now
		for _, l := range slices.Backward(told) {
			if l.n > newest {
				fresh = append(fresh, l.erasure())
			}
		}
		all = append(fresh, all...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list erasures: %w", err)
	}
	return all, nil
}

// held is what checking the chain found.
type held struct {
	lines    int
	unproven int  // made with a device key that is not here
	holds    bool // all the others are as they were written, and none is missing
}

// proves checks the proof of erasure.
func (q *Queue) proves(ctx context.Context) (held, error) {
	var h held
	err := q.view(ctx, func(tx *bbolt.Tx) error {
		h = q.prover.holds(tx)
		return nil
	})
	q.mu.Lock()
	defer q.mu.Unlock()
	h.holds = h.holds && !bytes.Equal(q.proof.last, chainBroken)
	return h, err
}

// holds checks the chain of all lines in the file.
func (p prover) holds(tx *bbolt.Tx) held {
	h := held{holds: true}
	bucket := tx.Bucket([]byte(erasedBucket))
	ends := tx.Bucket([]byte(outboxBucket)).Get([]byte(proofKey))
	if bucket == nil || len(ends) != 2*codeSize {
		// So it is until the first key was destroyed.
		settled, _ := tx.Bucket([]byte(historyBucket)).Cursor().First()
		var underway []byte
		if erasing := tx.Bucket([]byte(erasingBucket)); erasing != nil {
			underway, _ = erasing.Cursor().First()
		}
		h.holds = bucket == nil && ends == nil && (settled == nil || underway != nil)
		return h
	}
	before, key := ends[:codeSize], p.current
	var n uint64
	c := bucket.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		h.lines++
		if len(k) != sequenceSize || len(v) <= codeSize {
			h.holds = false
			continue
		}
		next := binary.BigEndian.Uint64(k)
		h.holds = h.holds && (n == 0 || next == n+1)
		n = next
		l, err := decodeLine(v[codeSize:])
		switch key = l.Key; {
		case err != nil:
			h.holds = false
		case p.keys[key] == nil:
			h.unproven++
		case !hmac.Equal(v[:codeSize], p.code(key, codeErased, before, k, v[codeSize:])):
			h.holds = false
		}
		before = v[:codeSize]
	}
	if p.keys[key] != nil && !hmac.Equal(ends[codeSize:], p.code(key, codeEnd, before)) {
		h.holds = false
	}
	return h
}
