package guesttest

import (
	"image"
	"os"
	"testing"
	"unsafe"
)

const (
	setFormat   = 0xc0d05605 // VIDIOC_S_FMT
	videoOutput = 2          // V4L2_BUF_TYPE_VIDEO_OUTPUT
	motionJPEG  = 'M' | 'J'<<8 | 'P'<<16 | 'G'<<24
	fieldNone   = 1 // V4L2_FIELD_NONE
)

type pixelFormat struct { // v4l2_format with v4l2_pix_format in it
	Type                                              uint32
	_                                                 uint32
	Width, Height, Format, Field, BytesPerLine, Bytes uint32
	_                                                 [176]byte
}

// A Loopback is a camera whose pictures the test gives: one MJPEG camera of
// v4l2loopback.
type Loopback struct {
	Path string // /dev/videoN

	f *os.File
}

// NewLoopback makes a camera of one size. It has no picture, and is no camera
// to others, before the first Show.
func NewLoopback(tb testing.TB, size image.Point) *Loopback {
	tb.Helper()
	const path = "/dev/video0"
	Load(tb, "v4l2loopback", "video_nr=0", "exclusive_caps=1", `card_label="guest camera"`)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = f.Close() })
	format := pixelFormat{
		Type: videoOutput, Width: uint32(size.X), Height: uint32(size.Y), Format: motionJPEG, Field: fieldNone, Bytes: 1 << 20,
	}
	if err := call(f, setFormat, unsafe.Pointer(&format)); err != nil {
		tb.Fatalf("set the format of %s: %v", path, err)
	}
	return &Loopback{path, f}
}

// Show gives the next picture, a JPEG.
func (l *Loopback) Show(picture []byte) error {
	_, err := l.f.Write(picture)
	return err
}
