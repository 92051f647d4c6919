//go:build cgo && compare

package jpeg

// #include <turbojpeg.h>
import "C"

import "image"

// A Bare is libjpeg-turbo's scaled decoding with nothing around it: what
// Decoder is measured against. It checks, erases and protects nothing.
type Bare struct{ handle C.tjhandle }

// NewBare returns a decoder that is never freed.
func NewBare() *Bare { return &Bare{C.tjInitDecompress()} }

// Decode decodes src at a size to RGBA, and tells whether the library did.
func (b *Bare) Decode(pix, src []byte, size image.Point) bool {
	return C.tjDecompress2(b.handle, bytes(src), C.ulong(len(src)), bytes(pix), C.int(size.X), C.int(4*size.X), C.int(size.Y), C.TJPF_RGBA, 0) == 0
}
