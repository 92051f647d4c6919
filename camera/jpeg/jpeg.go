// Package jpeg decodes and encodes JPEG by libjpeg-turbo, several times as
// fast as image/jpeg, and decodes at a reduced size for less still.
//
// It expects what cameras make, and distrusts it: dimensions are bounded
// before memory is, damaged images are errors and never half a picture, and
// scratch memory is erased after use, because it holds faces.
package jpeg

// #cgo LDFLAGS: -lturbojpeg
// #cgo noescape kiosk_header
// #cgo nocallback kiosk_header
// #cgo noescape kiosk_decode
// #cgo nocallback kiosk_decode
// #cgo noescape kiosk_encode
// #cgo nocallback kiosk_encode
// #cgo noescape kiosk_erase_freed
// #cgo nocallback kiosk_erase_freed
// #include "turbo.h"
import "C"

import (
	"errors"
	"fmt"
	"image"
	"unsafe"
)

// MaxSide is the longest side of an image that is decoded or encoded.
const MaxSide = 4096

// maxBytes bounds the compressed size; a 4096x4096 image of noise is smaller.
const maxBytes = 64 << 20

var (
	errClosed = errors.New("jpeg: used after Close")
	errMemory = errors.New("jpeg: libjpeg-turbo has no memory for a handle")
)

// EraseFreed has the C library overwrite all memory that is freed from now on,
// by whichever C code of this process: libjpeg-turbo leaves rows of pixels in
// its own, as a renderer in software does whole textures. It reports false
// where the C library cannot; glibc can.
func EraseFreed() bool { return C.kiosk_erase_freed() != 0 }

// A Decoder decodes JPEG images. It is not safe for concurrent use.
type Decoder struct {
	closed  bool
	scratch []byte
}

// NewDecoder returns a decoder. Close frees it.
func NewDecoder() *Decoder { return &Decoder{} }

// Decode decodes a baseline or progressive JPEG image, grey or in colour, to
// opaque RGBA. It chooses the smallest of 1/8, 1/4, 1/2 and 1 times the size at
// which the shorter side still has short pixels; all of the image where it has
// fewer or short is 0. A reduced side is rounded up. The library could give
// the other eighths too, but has no vector code for them: 3/8 takes longer
// than 1/2, and 5/8 longer than the whole.
//
// It decodes into the memory of dst where that is enough, sets its size and
// returns it; otherwise into a new image. dst may be nil.
//
// A truncated or damaged image, one with a side above MaxSide, and CMYK are
// errors, and leave dst as it was. Any warning of the library is damage,
// except padding before the end marker.
func (d *Decoder) Decode(dst *image.RGBA, src []byte, short int) (*image.RGBA, error) {
	h, err := parse(src)
	if err != nil {
		return nil, fmt.Errorf("jpeg: %w", err)
	}
	if d.closed {
		return nil, errClosed
	}
	// A handle remembers tables, and after damage also markers, of the image
	// before. A new one costs microseconds, and what an image decodes to never
	// depends on another.
	handle := C.tjInitDecompress()
	if handle == nil {
		return nil, errMemory
	}
	defer C.tjDestroy(handle)
	data := (*C.uchar)(unsafe.Pointer(unsafe.SliceData(src)))
	info := C.kiosk_header(handle, data, C.ulong(len(src)))
	switch {
	case info.rc != 0:
		return nil, failure(handle, "read header")
	case image.Pt(int(info.width), int(info.height)) != h.size:
		return nil, fmt.Errorf("jpeg: two headers: %v and %dx%d", h.size, int(info.width), int(info.height))
	case info.colorspace == C.TJCS_CMYK || info.colorspace == C.TJCS_YCCK:
		return nil, errors.New("jpeg: CMYK is not what cameras make")
	}
	size := scaled(h.size, short)
	n := 4 * size.X * size.Y
	if cap(d.scratch) < n {
		d.scratch = make([]byte, n)
	}
	out := d.scratch[:n]
	defer clear(out)
	flags := C.int(C.TJFLAG_LIMITSCANS)
	if h.progressive {
		// Each of hundreds of scans may be a pass over the whole image: give up
		// at the first one that lacks data.
		flags |= C.TJFLAG_STOPONWARNING
	}
	if C.kiosk_decode(handle, data, C.ulong(len(src)), (*C.uchar)(unsafe.Pointer(unsafe.SliceData(out))),
		C.int(size.X), C.int(size.Y), flags) != 0 {
		return nil, failure(handle, "decode")
	}
	if dst == nil || cap(dst.Pix) < n {
		dst = &image.RGBA{Pix: make([]byte, n)}
	}
	dst.Pix, dst.Stride, dst.Rect = dst.Pix[:n], 4*size.X, image.Rectangle{Max: size}
	copy(dst.Pix, out)
	return dst, nil
}

// Close frees the decoder. It may be called again.
func (d *Decoder) Close() {
	d.closed = true
	d.scratch = nil
}

func failure(h C.tjhandle, what string) error {
	return fmt.Errorf("jpeg: %s: %s", what, C.GoString(C.tjGetErrorStr2(h)))
}

// scaled returns the size at which an image of size is decoded.
func scaled(size image.Point, short int) image.Point {
	if short <= 0 {
		return size
	}
	for _, n := range [...]int{1, 2, 4, 8} {
		s := image.Pt((size.X*n+7)/8, (size.Y*n+7)/8)
		if min(s.X, s.Y) >= short {
			return s
		}
	}
	return size
}

// An Encoder encodes JPEG images. It is not safe for concurrent use.
type Encoder struct {
	handle  C.tjhandle
	closed  bool
	scratch []byte
}

// NewEncoder returns an encoder. Close frees it.
func NewEncoder() *Encoder { return &Encoder{} }

// Encode appends img as a baseline JPEG image with standard Huffman tables to
// dst and returns the result. Alpha is ignored. Quality is 1..100; chroma is
// halved in both directions (4:2:0) below quality 90, and from 90 on only
// across (4:2:2), which keeps all that a YUYV camera gave. On an error dst is
// returned as it was.
func (e *Encoder) Encode(dst []byte, img *image.RGBA, quality int) ([]byte, error) {
	size := img.Rect.Size()
	switch {
	case e.closed:
		return dst, errClosed
	case quality < 1 || quality > 100:
		return dst, fmt.Errorf("jpeg: quality %d: want 1 to 100", quality)
	case size.X < 1 || size.Y < 1 || size.X > MaxSide || size.Y > MaxSide:
		return dst, fmt.Errorf("jpeg: encode %v: want sides of 1 to %d", size, MaxSide)
	case img.Stride < 4*size.X || len(img.Pix) < img.Stride*(size.Y-1)+4*size.X:
		return dst, fmt.Errorf("jpeg: encode: %d bytes at stride %d cannot hold %v", len(img.Pix), img.Stride, size)
	}
	if e.handle == nil {
		if e.handle = C.tjInitCompress(); e.handle == nil {
			return dst, errMemory
		}
	}
	subsampling := C.int(C.TJSAMP_420)
	if quality >= 90 {
		subsampling = C.TJSAMP_422
	}
	limit := int(C.tjBufSize(C.int(size.X), C.int(size.Y), subsampling))
	if cap(e.scratch) < limit {
		e.scratch = make([]byte, limit)
	}
	out := e.scratch[:limit]
	j := C.kiosk_encode(e.handle, (*C.uchar)(unsafe.Pointer(unsafe.SliceData(img.Pix))), C.int(size.X), C.int(img.Stride), C.int(size.Y),
		(*C.uchar)(unsafe.Pointer(unsafe.SliceData(out))), C.ulong(limit), subsampling, C.int(quality))
	if j.rc != 0 {
		clear(out)
		return dst, failure(e.handle, "encode")
	}
	out = out[:int(j.n)]
	defer clear(out)
	return append(dst, out...), nil
}

// Close frees the encoder. It may be called again.
func (e *Encoder) Close() {
	e.closed = true
	if e.handle != nil {
		C.tjDestroy(e.handle)
		e.handle = nil
	}
	e.scratch = nil
}
