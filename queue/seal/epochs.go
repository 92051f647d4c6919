package seal

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// The layout of an epoch file.
const (
	epochMagic  = "livekiosk epochs" // 16 bytes
	epochFormat = "\x00\x01"
	epochIDSize = 16
	epochHeader = 4096 // bytes before the first slot: a page, so that no slot shares one with the header
	epochSlot   = 32   // bytes of a key: a divisor of 512, so that no slot lies in two sectors
	epochsMost  = 1 << 20
)

// EpochOverhead is how many bytes longer a wrapped part is than what was
// wrapped.
const EpochOverhead = 1 + nonce + tag

// ErrNoEpoch means that every slot of an epoch file is taken.
var ErrNoEpoch = errors.New("no free epoch key")

// A slotState says what lies under a key.
type slotState uint8

const (
	slotFree    slotState = iota // nothing: the key may be taken
	slotTaken                    // something, or something is about to
	slotSpoiled                  // perhaps something that nobody will ever read: destroyed with the next key
)

// Epochs are the keys under which parts are wrapped once more before they are
// stored, so that they can be erased for good: storage keeps old copies of what
// is overwritten in it, but without the key they are noise. What is erased
// together has one key, in a slot of the epoch file, which lies outside the
// store.
//
// A slot holds a random key at all times. Destroying a key is overwriting it
// where it lies with a new one, which is free for other things then. A file
// system that writes elsewhere instead (btrfs, f2fs, overlays) and the spare
// blocks of flash may keep the old one: against those who read raw flash the
// file belongs on a medium that forgets.
//
// Epochs are safe for concurrent use by one process; the lock of the store that
// they belong to keeps others out.
type Epochs struct {
	id   string
	path string
	step func(string) // tests look at the file after each step; nil otherwise

	mu     sync.Mutex
	f      *os.File // nil once closed
	states []slotState
	live   map[uint32]*Epoch // the taken ones that were asked for
	begun  bool
	failed error // of a write or flush: what lies in the file is not known any more
}

// CreateEpochs makes an epoch file of this many slots, 1 to 2^20, all of them
// free, and opens it. Its name is base, ".epochs-" and its id, which is random.
// dir is made where it is missing. The file appears whole or not at all, and is
// durable when CreateEpochs returns; what names its id may be written then.
func CreateEpochs(dir, base string, slots int) (*Epochs, error) {
	return createEpochs(dir, base, slots, nil)
}

func createEpochs(dir, base string, slots int, step func(string)) (*Epochs, error) {
	if slots < 1 || slots > epochsMost {
		return nil, fmt.Errorf("epoch file of %s: %d slots are outside 1..%d", base, slots, epochsMost)
	}
	id := make([]byte, epochIDSize)
	rand.Read(id)
	e := &Epochs{
		id: hex.EncodeToString(id), step: step,
		states: make([]slotState, slots), live: map[uint32]*Epoch{}, begun: true,
	}
	e.path = epochPath(dir, base, e.id)
	text := make([]byte, epochHeader+slots*epochSlot)
	copy(text, epochMagic+epochFormat)
	copy(text[len(epochMagic)+len(epochFormat):], id)
	rand.Read(text[epochHeader:])
	defer clear(text)
	if err := e.create(dir, base, text); err != nil {
		return nil, fmt.Errorf("create epoch file: %w", err)
	}
	return e, nil
}

func (e *Epochs) create(dir, base string, text []byte) (err error) {
	parent, err := OpenDir(dir)
	if err != nil {
		return err
	}
	defer parent.Close()
	making := epochMaking(dir, base)
	if err = shred(making); err != nil { // of a start that ended half-way
		return err
	}
	f, err := os.OpenFile(making, os.O_RDWR|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	e.did("made")
	if _, err := f.Write(text); err != nil {
		return err
	}
	e.did("written")
	if err := f.Sync(); err != nil {
		return err
	}
	e.did("flushed")
	if err := os.Rename(making, e.path); err != nil {
		return err
	}
	e.did("renamed")
	if err := parent.Sync(); err != nil {
		return err
	}
	e.did("durable")
	e.f = f
	return nil
}

// OpenEpochs opens the epoch file that CreateEpochs made with this id. Nothing
// is changed, and no key can be taken, before Begin; At works at once. A
// missing file is an error that wraps fs.ErrNotExist. The file must be regular,
// belong to this user or root, and be closed to everybody else; one that is
// damaged, or of another format, is an error, too. No error changes a byte.
func OpenEpochs(dir, base, id string) (*Epochs, error) {
	if !isID(id) {
		return nil, fmt.Errorf("open epoch file of %s: %q is no id of one", base, id)
	}
	e := &Epochs{id: id, path: epochPath(dir, base, id), live: map[uint32]*Epoch{}}
	f, err := openPrivate(e.path, os.O_RDWR, 0o077)
	if err != nil {
		return nil, fmt.Errorf("open epoch file: %w", err)
	}
	slots, err := epochSlots(f, id)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("epoch file %s: %w", e.path, err)
	}
	e.f, e.states = f, make([]slotState, slots)
	return e, nil
}

// epochSlots checks the header and returns how many whole slots follow it. Half
// a slot at the end is left by a power cut while the file grew, and was never
// used.
func epochSlots(f *os.File, id string) (int, error) {
	header := make([]byte, len(epochMagic)+len(epochFormat)+epochIDSize)
	if _, err := f.ReadAt(header, 0); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	rest, known := strings.CutPrefix(string(header), epochMagic)
	named, read := strings.CutPrefix(rest, epochFormat)
	slots := (info.Size() - epochHeader) / epochSlot
	switch {
	case !known:
		return 0, errors.New("is damaged: no epoch file begins like this")
	case !read:
		return 0, fmt.Errorf("has format %x, which this version cannot read", rest[:len(epochFormat)])
	case hex.EncodeToString([]byte(named)) != id:
		return 0, errors.New("is damaged, or another one was put in its place: its id is not that of its name")
	case info.Size() < epochHeader+epochSlot:
		return 0, errors.New("is damaged: it has no key")
	case slots > epochsMost:
		return 0, fmt.Errorf("is damaged: %d keys are too many", slots)
	}
	return int(slots), nil
}

// ID returns the id of the file: 32 hexadecimal digits. It is no secret.
func (e *Epochs) ID() string { return e.id }

// Slots returns how many keys the file has.
func (e *Epochs) Slots() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.states)
}

// String shows the id.
func (e *Epochs) String() string { return "epochs " + e.id }

// Format writes String for every verb, so that none prints a key.
func (e *Epochs) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.String()) }

// LogValue shows the id.
func (e *Epochs) LogValue() slog.Value { return slog.StringValue(e.id) }

// Begin says which slots are used, after which keys can be taken. The file
// grows to at least this many slots, and every slot that is not used gets a new
// key: what lay under it, such as something that was removed just before a
// power cut, is erased for good when Begin returns. A used slot that the file
// does not have is an error, and changes nothing: then the file is cut short,
// or is not the one that belongs to the store.
func (e *Epochs) Begin(used map[uint32]bool, slots int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.usable(); err != nil {
		return err
	}
	if slots > epochsMost {
		return fmt.Errorf("epoch file %s: %d slots are more than %d", e.path, slots, epochsMost)
	}
	for slot, is := range used {
		if is && int64(slot) >= int64(len(e.states)) {
			return fmt.Errorf("epoch file %s: has %d keys, but key %d is in use: it is cut short, or not the one of this outbox", e.path, len(e.states), slot)
		}
	}
	e.forget()
	states := make([]slotState, max(slots, len(e.states)))
	var fresh []uint32
	for i := range states {
		slot := uint32(i)
		if used[slot] {
			states[i] = slotTaken
		} else {
			fresh = append(fresh, slot)
		}
	}
	// Half a slot, left by a power cut, would be in the way of nothing, but a
	// file whose size says what it holds is easier to trust.
	if err := e.renew(fresh, (*os.File).Sync); err != nil {
		return err
	}
	if err := e.f.Truncate(int64(epochHeader + len(states)*epochSlot)); err != nil {
		return e.fail(err)
	}
	e.did("trimmed")
	e.states, e.begun = states, true
	return nil
}

// Take returns a key that nothing uses, which nobody else gets until it is
// returned or destroyed. Nothing is written. An error that wraps ErrNoEpoch
// says that there is none.
func (e *Epochs) Take() (*Epoch, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.usable(); err != nil {
		return nil, err
	}
	if !e.begun {
		return nil, fmt.Errorf("epoch file %s: which keys are free is not known before Begin", e.path)
	}
	// The lowest ones first: what is used together is destroyed with few pages
	// written.
	i := slices.Index(e.states, slotFree)
	if i < 0 {
		return nil, fmt.Errorf("epoch file %s: %w of %d", e.path, ErrNoEpoch, len(e.states))
	}
	p, err := e.read(uint32(i))
	if err != nil {
		return nil, err
	}
	e.states[i] = slotTaken
	return p, nil
}

// At returns the key of a slot that is used. After Begin, a slot that is not
// used is an error.
func (e *Epochs) At(slot uint32) (*Epoch, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.usable(); err != nil {
		return nil, err
	}
	if int64(slot) >= int64(len(e.states)) {
		return nil, fmt.Errorf("epoch file %s: has no key %d", e.path, slot)
	}
	if e.begun && e.states[slot] != slotTaken {
		return nil, fmt.Errorf("epoch file %s: key %d is destroyed", e.path, slot)
	}
	if p := e.live[slot]; p != nil {
		return p, nil
	}
	return e.read(slot)
}

// Return gives back a slot that was taken and under whose key certainly nothing
// was written. The key is not usable any more. Other slots are left alone.
func (e *Epochs) Return(slot uint32) { e.release(slot, slotFree) }

// Spoil gives back a slot that was taken and under whose key perhaps something
// was written that nobody will read: its key is not usable any more, and
// nothing else gets the slot before the next Destroy. Other slots are left
// alone.
func (e *Epochs) Spoil(slot uint32) { e.release(slot, slotSpoiled) }

func (e *Epochs) release(slot uint32, to slotState) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if int64(slot) < int64(len(e.states)) && e.states[slot] == slotTaken && e.begun {
		e.drop(slot)
		e.states[slot] = to
	}
}

// Destroy overwrites the keys of these slots, and of those that were spoiled,
// with new ones. When it returns nil that is durable, and the slots are free.
// One that is free already stays as it is; with nothing to overwrite, nothing
// is flushed. After an error it is not known which keys are left: every later
// call fails, and only opening the file anew and Begin make it sure.
func (e *Epochs) Destroy(slots []uint32) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.usable(); err != nil {
		return err
	}
	if !e.begun {
		return fmt.Errorf("epoch file %s: which keys are used is not known before Begin", e.path)
	}
	gone := make([]uint32, 0, len(slots))
	for _, slot := range slots {
		if int64(slot) >= int64(len(e.states)) {
			return fmt.Errorf("epoch file %s: has no key %d to destroy", e.path, slot)
		}
		if e.states[slot] == slotTaken {
			gone = append(gone, slot)
		}
	}
	for i, state := range e.states {
		if state == slotSpoiled {
			gone = append(gone, uint32(i))
		}
	}
	if len(gone) == 0 {
		return nil
	}
	slices.Sort(gone)
	gone = slices.Compact(gone)
	for _, slot := range gone {
		e.drop(slot)
		e.states[slot] = slotSpoiled // until it is certain
	}
	if err := e.renew(gone, fdatasync); err != nil {
		return err
	}
	for _, slot := range gone {
		e.states[slot] = slotFree
	}
	return nil
}

// Close clears the keys from memory and closes the file. Every later call
// fails, but another Close.
func (e *Epochs) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.f == nil {
		return nil
	}
	e.forget()
	err := e.f.Close()
	e.f = nil
	if err != nil {
		return fmt.Errorf("close epoch file: %w", err)
	}
	return nil
}

// RemoveEpochs overwrites and removes the epoch files of base in dir, whole or
// half made, but for the one of keepID; "" keeps none. What was wrapped under
// their keys is erased for good. Nobody may have such a file open.
func RemoveEpochs(dir, base, keepID string) error {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove epoch files: %w", err)
	}
	gone := false
	for _, file := range files {
		path := filepath.Join(dir, file.Name())
		id, whole := strings.CutPrefix(file.Name(), base+".epochs-")
		if path != epochMaking(dir, base) && (!whole || !isID(id) || id == keepID) {
			continue
		}
		if err := shred(path); err != nil {
			return fmt.Errorf("remove epoch file: %w", err)
		}
		gone = true
	}
	if !gone {
		return nil
	}
	if err := syncDir(dir); err != nil {
		return fmt.Errorf("remove epoch files: %w", err)
	}
	return nil
}

// usable is called with mu held, as everything below is.
func (e *Epochs) usable() error {
	if e.f == nil {
		return fmt.Errorf("epoch file %s: %w", e.path, fs.ErrClosed)
	}
	return e.failed
}

func (e *Epochs) fail(err error) error {
	e.failed = fmt.Errorf("epoch file %s: %w", e.path, err)
	return e.failed
}

// read returns the key that lies in a slot.
func (e *Epochs) read(slot uint32) (*Epoch, error) {
	p := &Epoch{slot: slot, key: new([epochSlot]byte)}
	if _, err := e.f.ReadAt(p.key[:], epochHeader+int64(slot)*epochSlot); err != nil {
		return nil, fmt.Errorf("epoch file %s: key %d: %w", e.path, slot, err)
	}
	if *p.key == ([epochSlot]byte{}) { // a hole that a power cut left while the file grew, or a medium that lost it
		return nil, fmt.Errorf("epoch file %s: key %d is damaged", e.path, slot)
	}
	e.live[slot] = p
	return p, nil
}

// renew writes new keys into the slots, which are in ascending order, and
// flushes them.
func (e *Epochs) renew(slots []uint32, flush func(*os.File) error) error {
	for len(slots) > 0 {
		n := 1 // neighbours are one write
		for n < len(slots) && slots[n] == slots[n-1]+1 {
			n++
		}
		fresh := make([]byte, n*epochSlot)
		rand.Read(fresh)
		_, err := e.f.WriteAt(fresh, epochHeader+int64(slots[0])*epochSlot)
		clear(fresh)
		if err != nil {
			return e.fail(err)
		}
		e.did("overwritten")
		slots = slots[n:]
	}
	if err := flush(e.f); err != nil {
		return e.fail(err)
	}
	e.did("flushed")
	return nil
}

// drop takes a key from memory.
func (e *Epochs) drop(slot uint32) {
	if p := e.live[slot]; p != nil {
		p.clear()
		delete(e.live, slot)
	}
}

func (e *Epochs) forget() {
	for slot := range e.live {
		e.drop(slot)
	}
}

func (e *Epochs) did(what string) {
	if e.step != nil {
		e.step(what)
	}
}

func epochPath(dir, base, id string) string { return filepath.Join(dir, base+".epochs-"+id) }
func epochMaking(dir, base string) string   { return filepath.Join(dir, "."+base+".epochs.new") }

// isID reports whether s is 16 bytes in hexadecimal.
func isID(s string) bool {
	id, err := hex.DecodeString(s)
	return err == nil && len(id) == epochIDSize && strings.ToLower(s) == s
}

// An Epoch is the key of what is erased together. It is safe for concurrent
// use, and of no use any more once its slot was destroyed or returned, or the
// file closed.
type Epoch struct {
	slot uint32

	mu  sync.Mutex
	key *[epochSlot]byte // nil once it is gone; behind a pointer, so that no verb prints it
}

// Slot returns the number of the key in its file, from 0.
func (p *Epoch) Slot() uint32 { return p.slot }

// String shows the number.
func (p *Epoch) String() string { return fmt.Sprintf("epoch key %d", p.slot) }

// Format writes String for every verb, so that none prints the key.
func (p *Epoch) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, p.String()) }

// LogValue shows the number.
func (p *Epoch) LogValue() slog.Value { return slog.Uint64Value(uint64(p.slot)) }

// Wrap returns sealed encrypted once more and bound to aad, which is not part
// of the result. The result is new memory, EpochOverhead bytes longer than
// sealed; sealed stays the caller's.
func (p *Epoch) Wrap(aad, sealed []byte) ([]byte, error) { return p.wrap(hasAES(), aad, sealed) }

func (p *Epoch) wrap(aes bool, aad, sealed []byte) ([]byte, error) {
	suite, aead, err := p.wrapper(aes)
	if err != nil {
		return nil, fmt.Errorf("wrap: %w", err)
	}
	out := make([]byte, 1+nonce, EpochOverhead+len(sealed))
	out[0] = suite
	rand.Read(out[1:])
	return aead.Seal(out, out[1:], sealed, aad), nil
}

// wrapper returns the suite to wrap with and its cipher.
func (p *Epoch) wrapper(aes bool) (byte, cipher.AEAD, error) {
	suite := epochChaCha
	if aes {
		suite = epochAES
	}
	aead, err := p.cipher(suite)
	return suite, aead, err
}

// Unwrap returns what Wrap of the same key wrapped with the same aad. The
// result is memory of wrapped, whose bytes are lost in any case.
func (p *Epoch) Unwrap(aad, wrapped []byte) ([]byte, error) {
	if len(wrapped) < EpochOverhead {
		return nil, fmt.Errorf("unwrap: %d bytes are too few for a part", len(wrapped))
	}
	if wrapped[0] != epochAES && wrapped[0] != epochChaCha {
		return nil, fmt.Errorf("unwrap: is of suite %d, which no wrapped part has", wrapped[0])
	}
	aead, err := p.cipher(wrapped[0])
	if err != nil {
		return nil, fmt.Errorf("unwrap: %w", err)
	}
	ciphertext := wrapped[1+nonce:]
	sealed, err := aead.Open(ciphertext[:0], wrapped[1:1+nonce], ciphertext, aad)
	if err != nil {
		return nil, fmt.Errorf("unwrap: %w", errBroken)
	}
	return sealed, nil
}

// cipher derives the cipher of a suite. It is not kept: what is not there needs
// not be cleared when the key is destroyed.
func (p *Epoch) cipher(suite byte) (cipher.AEAD, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.key == nil {
		return nil, fmt.Errorf("epoch key %d is destroyed", p.slot)
	}
	key, err := hkdf.Key(sha256.New, p.key[:], nil, "livekiosk epoch\x00"+string(suite), sha256.Size)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return newCipher(suite == epochAES, key)
}

func (p *Epoch) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.key[:])
	p.key = nil
}
