// Package jpeg decodes and encodes JPEG by libjpeg-turbo, several times as
// fast as image/jpeg, decodes at a reduced size for less still, and turns JPEG
// images without loss.
//
// It expects what cameras make, and distrusts it: dimensions are bounded
// before memory is, damaged images are errors and never half a picture, and
// scratch memory is erased after use, because it holds faces.
package jpeg

// #cgo CFLAGS: -O3
// #cgo LDFLAGS: -lturbojpeg
// #cgo noescape kiosk_header
// #cgo nocallback kiosk_header
// #cgo noescape kiosk_decode
// #cgo nocallback kiosk_decode
// #cgo noescape kiosk_encode
// #cgo nocallback kiosk_encode
// #cgo noescape kiosk_turn
// #cgo nocallback kiosk_turn
// #cgo noescape kiosk_luma
// #cgo nocallback kiosk_luma
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
// It gives dst other memory, that of the picture, where dst has enough for it,
// and returns dst; otherwise it returns a new image. The memory that dst had is
// the decoder's from then on, erased, and must not be that of other images. A
// decoder that is given the same few images again and again allocates nothing.
// dst may be nil.
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
	if err := h.confirm(handle, src); err != nil {
		return nil, err
	}
	size := scaled(h.size, short)
	n := 4 * size.X * size.Y
	if cap(d.scratch) < n {
		d.scratch = make([]byte, n)
	}
	out := d.scratch[:n]
	if C.kiosk_decode(handle, bytes(src), C.ulong(len(src)), bytes(out), C.int(size.X), C.int(size.Y), h.flags()) != 0 {
		clear(out)
		return nil, failure(handle, "decode")
	}
	if dst == nil || cap(dst.Pix) < n {
		dst = &image.RGBA{}
	}
	d.scratch = dst.Pix[:cap(dst.Pix)]
	clear(d.scratch)
	dst.Pix, dst.Stride, dst.Rect = out, 4*size.X, image.Rectangle{Max: size}
	return dst, nil
}

// Luma writes the luma of src, an opaque image, to dst, which has its size:
// (77 R + 150 G + 29 B) / 256, rounded to nearest. It is pixel.Turn's for
// pictures that are upright, made by the processor's vectors: decoding is so
// fast that luma would otherwise cost a third of it again.
func (d *Decoder) Luma(dst *image.Gray, src *image.RGBA) error {
	size := src.Rect.Size()
	w, h := size.X, size.Y
	if w < 1 || h < 1 || dst.Rect.Size() != size || src.Stride < 4*w || dst.Stride < w ||
		len(src.Pix) < src.Stride*(h-1)+4*w || len(dst.Pix) < dst.Stride*(h-1)+w {
		return fmt.Errorf("jpeg: luma of %v to %v, strides %d and %d, %d and %d bytes",
			src.Rect, dst.Rect, src.Stride, dst.Stride, len(src.Pix), len(dst.Pix))
	}
	C.kiosk_luma(bytes(dst.Pix), C.int(dst.Stride), bytes(src.Pix), C.int(src.Stride), C.int(w), C.int(h))
	return nil
}

// Close frees the decoder. It may be called again.
func (d *Decoder) Close() {
	d.closed = true
	d.scratch = nil
}

// bytes returns where b begins, for C.
func bytes(b []byte) *C.uchar { return (*C.uchar)(unsafe.Pointer(unsafe.SliceData(b))) }

// confirm has the library read the header of src, too: it must find the same.
func (h header) confirm(handle C.tjhandle, src []byte) error {
	info := C.kiosk_header(handle, bytes(src), C.ulong(len(src)))
	switch {
	case info.rc != 0:
		return failure(handle, "read header")
	case image.Pt(int(info.width), int(info.height)) != h.size:
		return fmt.Errorf("jpeg: two headers: %v and %dx%d", h.size, int(info.width), int(info.height))
	case info.colorspace == C.TJCS_CMYK || info.colorspace == C.TJCS_YCCK:
		return errors.New("jpeg: CMYK is not what cameras make")
	}
	return nil
}

// flags are those by which the library reads an image.
func (h header) flags() C.int {
	if h.progressive {
		// Each of hundreds of scans may be a pass over the whole image: give up
		// at the first one that lacks data.
		return C.TJFLAG_LIMITSCANS | C.TJFLAG_STOPONWARNING
	}
	return C.TJFLAG_LIMITSCANS
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
	proof   Decoder
	small   *image.RGBA // what proof decoded, erased
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
	j := C.kiosk_encode(e.handle, bytes(img.Pix), C.int(size.X), C.int(img.Stride), C.int(size.Y),
		bytes(out), C.ulong(limit), subsampling, C.int(quality))
	if j.rc != 0 {
		clear(out)
		return dst, failure(e.handle, "encode")
	}
	out = out[:int(j.n)]
	defer clear(out)
	return append(dst, out...), nil
}

// leastTurned is the longest side that a block of a JPEG image has.
const leastTurned = 32

// Turn appends the JPEG image src, turned clockwise by degrees, which are 0,
// 90, 180 or 270, and then with left and right exchanged if mirror is set, to
// dst and returns the result. Nothing is decoded and encoded again: the same
// coefficients stand in another order.
//
// They come in blocks of 8 or 16 pixels a side (32 in 4:1:1). A last block
// that is not full cannot become the first, so where a side that is turned
// round is no multiple of the block, its last pixels, 15 at most (31), are left
// out. 1280x720 is turned whole in any subsampling; of 1920x1080 in 4:2:0 a
// quarter turn clockwise leaves out the lowest 8 rows. 640 and 480 are
// multiples of every block, so what is at least 640x480 remains so.
//
// The result is a baseline image without what the camera wrote beside the
// picture, which could say that it still has to be turned. What Decode refuses
// is an error here too, as is a side below 32 pixels; dst is returned as it
// was then.
func (e *Encoder) Turn(dst, src []byte, degrees int, mirror bool) ([]byte, error) {
	h, err := parse(src)
	if err != nil {
		return dst, fmt.Errorf("jpeg: %w", err)
	}
	op, ok := operation(degrees, mirror)
	switch {
	case e.closed:
		return dst, errClosed
	case !ok:
		return dst, fmt.Errorf("jpeg: turn by %d degrees: want 0, 90, 180 or 270", degrees)
	case min(h.size.X, h.size.Y) < leastTurned:
		return dst, fmt.Errorf("jpeg: turn %v: want sides of at least %d", h.size, leastTurned)
	}
	handle := C.tjInitTransform() // a new one, as Decode's
	if handle == nil {
		return dst, errMemory
	}
	defer C.tjDestroy(handle)
	if err = h.confirm(handle, src); err != nil {
		return dst, err
	}
	limit := int(C.tjBufSize(C.int(h.size.X), C.int(h.size.Y), C.TJSAMP_444)) // as large as any
	if cap(e.scratch) < limit {
		e.scratch = make([]byte, limit)
	}
	out := e.scratch[:limit]
	defer clear(e.scratch)
	j := C.kiosk_turn(handle, bytes(src), C.ulong(len(src)), bytes(out), C.ulong(limit), op, h.flags())
	if j.rc != 0 {
		return dst, failure(handle, "turn")
	}
	out = out[:int(j.n)]
	// Coefficients that no camera makes may be beyond the tables of a baseline
	// image, which the library does not notice.
	if e.small, err = e.proof.Decode(e.small, out, 1); err != nil {
		return dst, fmt.Errorf("turned image: %w", err)
	}
	clear(e.small.Pix)
	return append(dst, out...), nil
}

// operation is the library's name of a turn.
func operation(degrees int, mirror bool) (C.int, bool) {
	switch {
	case degrees == 0 && !mirror:
		return C.TJXOP_NONE, true
	case degrees == 90 && !mirror:
		return C.TJXOP_ROT90, true
	case degrees == 180 && !mirror:
		return C.TJXOP_ROT180, true
	case degrees == 270 && !mirror:
		return C.TJXOP_ROT270, true
	case degrees == 0:
		return C.TJXOP_HFLIP, true
	case degrees == 90:
		return C.TJXOP_TRANSPOSE, true
	case degrees == 180:
		return C.TJXOP_VFLIP, true
	case degrees == 270:
		return C.TJXOP_TRANSVERSE, true
	}
	return 0, false
}

// Close frees the encoder. It may be called again.
func (e *Encoder) Close() {
	e.closed = true
	if e.handle != nil {
		C.tjDestroy(e.handle)
		e.handle = nil
	}
	e.scratch = nil
	e.proof.Close()
}
