package seal

import "errors"

// ErrNoEpoch means that every slot of an epoch file is taken.
var ErrNoEpoch = errors.New("no free epoch key")

// Epochs are the keys of an epoch file.
type Epochs struct{ id string }

// An Epoch is one key of an epoch file.
type Epoch struct{ slot uint32 }

// CreateEpochs makes a new epoch file.
func CreateEpochs(dir, base string, slots int) (*Epochs, error) { return nil, errors.ErrUnsupported }

// OpenEpochs opens an epoch file.
func OpenEpochs(dir, base, id string) (*Epochs, error) { return nil, errors.ErrUnsupported }

// RemoveEpochs overwrites and removes the epoch files but the one of keepID.
func RemoveEpochs(dir, base, keepID string) error { return errors.ErrUnsupported }

// ID returns the id of the epoch file: 32 hexadecimal digits.
func (e *Epochs) ID() string { return e.id }

// Slots returns how many keys the file has.
func (e *Epochs) Slots() int { return 0 }

// Begin grows the file to slots and gives every slot that is not used a new key, durably.
func (e *Epochs) Begin(used map[uint32]bool, slots int) error { return errors.ErrUnsupported }

// Take returns a key that nothing uses, or ErrNoEpoch.
func (e *Epochs) Take() (*Epoch, error) { return nil, errors.ErrUnsupported }

// At returns the key of a slot that is used.
func (e *Epochs) At(slot uint32) (*Epoch, error) { return nil, errors.ErrUnsupported }

// Return gives back a slot under which certainly nothing was written.
func (e *Epochs) Return(slot uint32) {}

// Spoil gives back a slot under which perhaps something was written.
func (e *Epochs) Spoil(slot uint32) {}

// Destroy overwrites the keys of the slots and of the spoiled ones, durably.
func (e *Epochs) Destroy(slots []uint32) error { return errors.ErrUnsupported }

// Close clears the keys from memory.
func (e *Epochs) Close() error { return nil }

// Slot returns the number of the key in its file.
func (p *Epoch) Slot() uint32 { return p.slot }

// Wrap returns sealed encrypted once more.
func (p *Epoch) Wrap(aad, sealed []byte) ([]byte, error) { return nil, errors.ErrUnsupported }

// Unwrap returns what Wrap was given, in the memory of wrapped.
func (p *Epoch) Unwrap(aad, wrapped []byte) ([]byte, error) { return nil, errors.ErrUnsupported }
