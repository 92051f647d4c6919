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

// A JPEGEncoder encodes images; camera/jpeg has one.
//
// Encode appends the JPEG image of img to dst and returns the result. Quality
// is 1..100.
type JPEGEncoder interface {
	Encode(dst []byte, img *image.RGBA, quality int) ([]byte, error)
}

// Evidence makes the bytes that are sealed and sent. It is not safe for
// concurrent use.
type Evidence struct {
	enc  JPEGEncoder
	rgba *image.RGBA
}

// NewEvidence returns an Evidence that encodes raw frames with enc, which may
// be nil where the camera gives MJPEG only.
func NewEvidence(enc JPEGEncoder) *Evidence { return &Evidence{enc: enc} }

// JPEG returns f as one JPEG image in memory of its own, which the caller owns
// and erases. An MJPEG frame is returned byte for byte as the camera made it;
// others are encoded at EvidenceQuality, in all their pixels. The frame
// remains the caller's.
func (e *Evidence) JPEG(f *kiosk.Frame) ([]byte, error) {
	if f.Format == kiosk.MJPEG {
		if !bytes.HasPrefix(f.Data, []byte{0xff, 0xd8}) {
			return nil, fmt.Errorf("evidence of frame %d: %d bytes that are no JPEG image", f.ID, len(f.Data))
		}
		return bytes.Clone(f.Data), nil
	}
	if e.enc == nil {
		return nil, fmt.Errorf("evidence of frame %d: no JPEG encoder for %s", f.ID, f.Format)
	}
	img, err := unpack(e.rgba, f, 1)
	if err != nil {
		return nil, fmt.Errorf("evidence of frame %d: %w", f.ID, err)
	}
	e.rgba = img
	defer erase(img)
	data, err := e.enc.Encode(nil, img, EvidenceQuality)
	if err != nil {
		return nil, fmt.Errorf("evidence of frame %d: %w", f.ID, err)
	}
	return data, nil
}
