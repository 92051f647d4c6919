//go:build cgo

package v4l2

import (
	"bytes"

	"livekiosk/kiosk"
)

// sound tells whether a frame's bytes can be an image: whole, short or corrupt.
// USB cameras lose packets: what arrives then is short, or begins or ends in
// the middle.
func sound(f *kiosk.Frame) fate {
	var row, rows int
	switch f.Format {
	case kiosk.MJPEG:
		// Drivers may pad behind the end marker, so it is looked for from the end.
		switch {
		case len(f.Data) == 0:
			return short
		case !bytes.HasPrefix(f.Data, []byte{0xff, 0xd8}), bytes.LastIndex(f.Data, []byte{0xff, 0xd9}) < 2:
			return corrupt
		}
		return whole
	case kiosk.YUYV, kiosk.UYVY:
		row, rows = 2*f.Size.X, f.Size.Y
	case kiosk.NV12:
		row, rows = f.Size.X, f.Size.Y+f.Size.Y/2
	case kiosk.Grey:
		row, rows = f.Size.X, f.Size.Y
	default:
		return corrupt
	}
	if f.Stride < row || len(f.Data) < f.Stride*(rows-1)+row {
		return short
	}
	return whole
}
