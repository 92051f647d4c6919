package camera

import (
	"bytes"
	"fmt"
	"image"

	"livekiosk/kiosk"
)

// EvidenceQuality is the JPEG quality of evidence from cameras that give raw
// pixels: encoded once, and never again.
const EvidenceQuality = 92

// A JPEGEncoder encodes images and turns encoded ones; camera/jpeg has one.
//
// Encode appends the JPEG image of img to dst and returns the result. Quality
// is 1..100.
//
// Turn appends the JPEG image src, turned as a kiosk.Mount says, to dst and
// returns the result. It loses nothing but, where the last blocks of
// coefficients are not full, their pixels at one or two edges.
type JPEGEncoder interface {
	Encode(dst []byte, img *image.RGBA, quality int) ([]byte, error)
	Turn(dst, src []byte, degrees int, mirror bool) ([]byte, error)
}

// Evidence makes the bytes that are sealed and sent. It is not safe for
// concurrent use.
type Evidence struct {
	enc  JPEGEncoder
	rgba image.RGBA
}

// NewEvidence returns an Evidence that encodes raw frames, and turns those that
// are not upright, with enc, which may be nil where the camera gives upright
// MJPEG only.
func NewEvidence(enc JPEGEncoder) *Evidence { return &Evidence{enc: enc} }

// JPEG returns f, upright, as one JPEG image in memory of its own, which the
// caller owns and erases. An upright MJPEG frame is returned byte for byte as
// the camera made it, another is turned without being decoded, see
// JPEGEncoder, and raw ones are encoded at EvidenceQuality, in all their
// pixels. The frame remains the caller's.
func (e *Evidence) JPEG(f *kiosk.Frame) ([]byte, error) {
	data, err := e.encode(f)
	if err != nil {
		return nil, fmt.Errorf("evidence of frame %d: %w", f.ID, err)
	}
	return data, nil
}

func (e *Evidence) encode(f *kiosk.Frame) ([]byte, error) {
	switch {
	case f.Format == kiosk.MJPEG && !bytes.HasPrefix(f.Data, []byte{0xff, 0xd8}):
		return nil, fmt.Errorf("%d bytes that are no JPEG image", len(f.Data))
	case f.Format == kiosk.MJPEG && f.Mount == kiosk.Mount{}:
		return bytes.Clone(f.Data), nil
	case e.enc == nil:
		return nil, fmt.Errorf("no JPEG encoder for %s", f.Format)
	case f.Format == kiosk.MJPEG:
		return e.enc.Turn(nil, f.Data, f.Mount.Turn, f.Mount.Mirror)
	}
	defer func() { erase(e.rgba.Pix) }()
	if err := unpack(&e.rgba, nil, f, 1); err != nil {
		return nil, err
	}
	return e.enc.Encode(nil, &e.rgba, EvidenceQuality)
}
