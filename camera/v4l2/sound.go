//go:build cgo

package v4l2

import (
	"bytes"
	"errors"
	"fmt"

	"livekiosk/kiosk"
)

// sound tells whether a frame's bytes can be an image. USB cameras lose
// packets: what arrives then is short, or begins or ends in the middle.
func sound(f *kiosk.Frame) error {
	var row, rows int
	switch f.Format {
	case kiosk.MJPEG:
		if !bytes.HasPrefix(f.Data, []byte{0xff, 0xd8}) {
			return errors.New("no JPEG start marker")
		}
		// Drivers may pad behind the end marker, so it is looked for from the end.
		if bytes.LastIndex(f.Data, []byte{0xff, 0xd9}) < 2 {
			return errors.New("no JPEG end marker")
		}
		return nil
	case kiosk.YUYV, kiosk.UYVY:
		row, rows = 2*f.Size.X, f.Size.Y
	case kiosk.NV12:
		row, rows = f.Size.X, f.Size.Y+f.Size.Y/2
	case kiosk.Grey:
		row, rows = f.Size.X, f.Size.Y
	default:
		return fmt.Errorf("format %q", f.Format)
	}
	if want := f.Stride*(rows-1) + row; f.Stride < row || len(f.Data) < want {
		return fmt.Errorf("%d bytes, want %d", len(f.Data), want)
	}
	return nil
}
