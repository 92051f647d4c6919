package camera

import (
	"errors"
	"fmt"
	"image"

	"livekiosk/camera/pixel"
	"livekiosk/kiosk"
)

// A JPEGDecoder decodes JPEG at a reduced size; camera/jpeg has one.
//
// Decode returns an opaque image whose shorter side is at least short pixels
// where the source has as many, and the whole source where it has not or short
// is 0. Where dst has memory enough for it, it returns dst, with that memory or
// with other of the decoder's, which then has that of dst; dst may be nil. On
// an error dst is as it was.
//
// Luma writes that of src to dst, which has its size, as pixel.Turn does.
type JPEGDecoder interface {
	Decode(dst *image.RGBA, src []byte, short int) (*image.RGBA, error)
	Luma(dst *image.Gray, src *image.RGBA) error
}

// A Decoder makes upright RGBA images of frames in any format. It is not safe
// for concurrent use: each goroutine has its own.
type Decoder struct {
	JPEG JPEGDecoder // for MJPEG frames; without it those are errors

	rgba image.RGBA
	luma image.Gray
	side *image.RGBA // JPEG that is not upright yet, erased after each frame
}

// Decode returns f, upright and reduced so that its shorter side is at least
// short pixels where the frame has as many; 0 asks for all of them. JPEG is
// reduced while decoding, raw formats by averaging squares of a whole number of
// pixels, so the result may be larger than asked but less than twice as large.
// luma is the same image's, on the full range.
//
// A point of the image lies in the upright frame at the point times f.Upright()
// divided by the image's size, to less than one image pixel.
//
// The images are the decoder's and valid until its next call. The frame remains
// the caller's. After an error the previous images are still whole.
func (d *Decoder) Decode(f *kiosk.Frame, short int) (rgba *image.RGBA, luma *image.Gray, err error) {
	if err := d.into(&d.rgba, &d.luma, f, short); err != nil {
		return nil, nil, err
	}
	return &d.rgba, &d.luma, nil
}

// Clear erases the last images.
func (d *Decoder) Clear() {
	erase(d.rgba.Pix)
	erase(d.luma.Pix)
}

// into decodes f into rgba, and its luma into luma unless that is nil. They get
// other memory where theirs is too little, which is erased then. On an error
// they are as they were.
func (d *Decoder) into(rgba *image.RGBA, luma *image.Gray, f *kiosk.Frame, short int) (err error) {
	switch {
	case !f.Mount.Valid():
		err = fmt.Errorf("turn by %d degrees: want 0, 90, 180 or 270", f.Mount.Turn)
	case f.Format == kiosk.MJPEG:
		err = d.unfold(rgba, luma, f, short)
	case short > 0:
		err = unpack(rgba, luma, f, max(1, min(f.Size.X, f.Size.Y)/short))
	default:
		err = unpack(rgba, luma, f, 1)
	}
	if err != nil {
		return fmt.Errorf("decode frame %d: %w", f.ID, err)
	}
	return nil
}

var (
	errCodec  = errors.New("no JPEG decoder")
	errFormat = errors.New("unknown format")
)

// unfold decodes a JPEG frame.
func (d *Decoder) unfold(rgba *image.RGBA, luma *image.Gray, f *kiosk.Frame, short int) error {
	if d.JPEG == nil {
		return errCodec
	}
	if f.Mount != (kiosk.Mount{}) {
		img, err := d.JPEG.Decode(d.side, f.Data, short)
		if err != nil {
			return err
		}
		d.side = img
		defer erase(img.Pix)
		o := pixel.Orientation(f.Mount)
		fit(rgba, luma, o.Size(img.Rect.Size()))
		return pixel.Turn(rgba, luma, img, o)
	}
	img, err := d.JPEG.Decode(rgba, f.Data, short)
	if err != nil {
		return err
	}
	if img != rgba {
		erase(rgba.Pix) // it was too small
		*rgba = *img
	}
	if luma == nil {
		return nil
	}
	fit(nil, luma, img.Rect.Size())
	return d.JPEG.Luma(luma, rgba)
}

// unpack converts a raw frame, reduced by n.
func unpack(rgba *image.RGBA, luma *image.Gray, f *kiosk.Frame, n int) error {
	// Video devices give limited range unless they say otherwise, and nearly
	// none does; grey sensors use all of a byte.
	raw := pixel.Raw{Range: pixel.Limited, Pix: f.Data, Stride: f.Stride, Size: f.Size}
	switch f.Format {
	case kiosk.YUYV:
		raw.Layout = pixel.YUYV
	case kiosk.UYVY:
		raw.Layout = pixel.UYVY
	case kiosk.NV12:
		raw.Layout = pixel.NV12
	case kiosk.Grey:
		raw.Layout, raw.Range = pixel.Grey, pixel.Full
	case kiosk.MJPEG:
		return fmt.Errorf("%w %q: not raw", errFormat, f.Format)
	default:
		return fmt.Errorf("%w %q", errFormat, f.Format)
	}
	if err := raw.Check(n); err != nil {
		return fmt.Errorf("%s: %w", f.Format, err)
	}
	o := pixel.Orientation(f.Mount)
	fit(rgba, luma, o.Size(pixel.Reduced(f.Size, n)))
	return pixel.Convert(rgba, luma, raw, n, o)
}

// fit makes those that are not nil images of size, in their own memory or, if
// that is too little, in new.
func fit(rgba *image.RGBA, luma *image.Gray, size image.Point) {
	r := image.Rectangle{Max: size}
	if rgba != nil {
		rgba.Pix, rgba.Stride, rgba.Rect = room(rgba.Pix, 4*size.X*size.Y), 4*size.X, r
	}
	if luma != nil {
		luma.Pix, luma.Stride, luma.Rect = room(luma.Pix, size.X*size.Y), size.X, r
	}
}

func room(pix []byte, n int) []byte {
	if cap(pix) < n {
		erase(pix)
		return make([]byte, n)
	}
	return pix[:n]
}

// erase zeroes all memory of an image, also what a larger one left behind.
func erase(pix []byte) { clear(pix[:cap(pix)]) }
