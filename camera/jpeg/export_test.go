//go:build cgo

package jpeg

// Scratch returns the memory that a decoder keeps between images.
func (d *Decoder) Scratch() []byte { return d.scratch }

// Scratch returns the memory that an encoder keeps between images.
func (e *Encoder) Scratch() []byte { return e.scratch }
