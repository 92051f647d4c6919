package seal

// NewSealerOn is NewSealer on a board that has AES instructions or not.
func NewSealerOn(pub *Public, aes bool) (*Sealer, error) { return newSealer(pub, aes) }
