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
// is 0. It uses the memory of dst, whatever its size, if that is enough, and
// returns dst then; dst may be nil. On an error dst is as it was.
type JPEGDecoder interface {
	Decode(dst *image.RGBA, src []byte, short int) (*image.RGBA, error)
}

// A Decoder makes RGBA images of frames in any format. It is not safe for
// concurrent use: each goroutine has its own.
type Decoder struct {
	JPEG JPEGDecoder // for MJPEG frames; without it those are errors

	rgba *image.RGBA
}

// Decode returns f reduced so that its shorter side is at least short pixels
// where the frame has as many; 0 asks for all of them. JPEG is reduced while
// decoding, raw formats by averaging squares of a whole number of pixels, so
// the result may be larger than asked but less than twice as large.
//
// A point of the image lies in the frame at the point times f.Size divided by
// the image's size, to less than one image pixel.
//
// The image is the decoder's and valid until its next call. The frame remains
// the caller's. After an error the previous image is still whole.
func (d *Decoder) Decode(f *kiosk.Frame, short int) (*image.RGBA, error) {
	img, err := d.into(d.rgba, f, short)
	if err != nil {
		return nil, err
	}
	if d.rgba != img {
		erase(d.rgba) // it was too small
	}
	d.rgba = img
	return img, nil
}

// Clear erases the last image.
func (d *Decoder) Clear() { erase(d.rgba) }

// into decodes f into dst, or into a new image if dst is nil or too small.
func (d *Decoder) into(dst *image.RGBA, f *kiosk.Frame, short int) (*image.RGBA, error) {
	if f.Format == kiosk.MJPEG {
		if d.JPEG == nil {
			return nil, fmt.Errorf("decode frame %d: no JPEG decoder", f.ID)
		}
		img, err := d.JPEG.Decode(dst, f.Data, short)
		if err != nil {
			return nil, fmt.Errorf("decode frame %d: %w", f.ID, err)
		}
		return img, nil
	}
	n := 1
	if short > 0 {
		n = max(1, min(f.Size.X, f.Size.Y)/short)
	}
	img, err := unpack(dst, f, n)
	if err != nil {
		return nil, fmt.Errorf("decode frame %d: %w", f.ID, err)
	}
	return img, nil
}

var errFormat = errors.New("unknown format")

// unpack converts a raw frame, reduced by n.
func unpack(dst *image.RGBA, f *kiosk.Frame, n int) (*image.RGBA, error) {
	var convert func(*image.RGBA, []byte, int, image.Point, int, pixel.Range) error
	// Video devices give limited range unless they say otherwise, and nearly
	// none does; grey sensors use all of a byte.
	levels := pixel.Limited
	switch f.Format {
	case kiosk.YUYV:
		convert = pixel.YUYV
	case kiosk.UYVY:
		convert = pixel.UYVY
	case kiosk.NV12:
		convert = pixel.NV12
	case kiosk.Grey:
		convert, levels = pixel.Grey, pixel.Full
	case kiosk.MJPEG:
		return nil, fmt.Errorf("%w %q: not raw", errFormat, f.Format)
	default:
		return nil, fmt.Errorf("%w %q", errFormat, f.Format)
	}
	// Check before making memory for a size that the data cannot hold.
	if f.Size.X <= 0 || f.Size.Y <= 0 || len(f.Data)/f.Size.X < f.Size.Y {
		return nil, fmt.Errorf("%s: %d bytes cannot hold %v", f.Format, len(f.Data), f.Size)
	}
	var before image.RGBA
	if dst != nil {
		before = *dst
	}
	img := fit(dst, pixel.Reduced(f.Size, n))
	if err := convert(img, f.Data, f.Stride, f.Size, n, levels); err != nil {
		if dst != nil {
			*dst = before // conversions check before they write
		}
		return nil, err
	}
	return img, nil
}

// fit returns an image of size in dst's memory, or in its own.
func fit(dst *image.RGBA, size image.Point) *image.RGBA {
	if dst == nil || cap(dst.Pix) < 4*size.X*size.Y {
		return image.NewRGBA(image.Rectangle{Max: size})
	}
	dst.Pix, dst.Stride, dst.Rect = dst.Pix[:4*size.X*size.Y], 4*size.X, image.Rectangle{Max: size}
	return dst
}

// erase zeroes all memory of img, also what a larger image left behind.
func erase(img *image.RGBA) {
	if img != nil {
		clear(img.Pix[:cap(img.Pix)])
	}
}
