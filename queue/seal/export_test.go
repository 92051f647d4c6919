package seal

// NewSealerOn is NewSealer on a board that has AES instructions or not.
func NewSealerOn(pub *Public, aes bool) (*Sealer, error) { return newSealer(pub, aes) }

// WrapOn is Wrap on a board that has AES instructions or not.
func (p *Epoch) WrapOn(aes bool, aad, sealed []byte) ([]byte, error) { return p.wrap(aes, aad, sealed) }

// Watched is s with a look at the directory after each step of a change.
func (s Store) Watched(step func(what string)) Store {
	s.step = step
	return s
}

// CreateEpochsWatched is CreateEpochs with a look at the directory after each
// step, of later changes, too.
func CreateEpochsWatched(dir, base string, slots int, step func(what string)) (*Epochs, error) {
	return createEpochs(dir, base, slots, step)
}

// Watch has a look at the directory after each step of a change.
func (e *Epochs) Watch(step func(what string)) { e.step = step }

// Fail has e believe that its file failed.
func (e *Epochs) Fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	_ = e.fail(err)
}
