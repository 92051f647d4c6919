package kiosk

import (
	"errors"
	"image"
	"log/slog"
	"time"
)

// A Format is the layout of a frame's bytes, by its V4L2 four-character code.
type Format string

// The formats that cameras deliver here.
const (
	MJPEG Format = "MJPG" // one whole JPEG image
	YUYV  Format = "YUYV" // packed 4:2:2, 2 bytes per pixel
	UYVY  Format = "UYVY" // packed 4:2:2, 2 bytes per pixel
	NV12  Format = "NV12" // luma plane, then interleaved CbCr at half size
	Grey  Format = "GREY" // luma only, 1 byte per pixel
)

// A Mount is how a camera is built in, told by what makes its pictures upright:
// they are turned clockwise by Turn degrees, which are 0, 90, 180 or 270, and
// then, with Mirror, left and right are exchanged. The zero value is an upright
// camera that nothing mirrors.
type Mount struct {
	Turn   int
	Mirror bool
}

// Valid tells whether m is one of the eight mounts that there are.
func (m Mount) Valid() bool {
	return m.Turn == 0 || m.Turn == 90 || m.Turn == 180 || m.Turn == 270
}

// ErrNoControl is what a camera says that cannot be told what is asked of it, or
// does not stream just now.
var ErrNoControl = errors.New("the camera has no control for it")

// A Frame is one captured image and the facts of its capture.
//
// Whoever holds a frame owns Data until calling Release, exactly once.
type Frame struct {
	ID       FrameID
	At       time.Duration // start of exposure since boot (CLOCK_MONOTONIC)
	Sequence uint32        // the driver's own counter; a gap means lost frames
	Format   Format
	Size     image.Point // pixels, as they lie in Data
	Mount    Mount       // what makes the picture upright
	Stride   int         // bytes per row of the first plane; 0 for MJPEG
	Warming  bool        // the camera's exposure has not settled: for the screen, and not for hints or evidence
	Data     []byte

	release func()
}

// NewFrame returns f with release called when it is released. A nil release is
// allowed for frames that own their memory.
func NewFrame(f Frame, release func()) *Frame {
	f.release = release
	return &f
}

// Upright returns the size of the picture when it is upright.
func (f *Frame) Upright() image.Point {
	if f.Mount.Turn%180 != 0 {
		return image.Pt(f.Size.Y, f.Size.X)
	}
	return f.Size
}

// Release erases Data and returns it to its pool: faces do not stay in memory
// longer than they are needed. The frame must not be used afterwards.
func (f *Frame) Release() {
	clear(f.Data)
	f.Data = nil
	if r := f.release; r != nil {
		f.release = nil
		r()
	}
}

// LogValue keeps pixels, which are personal data, out of every log.
func (f *Frame) LogValue() slog.Value {
	return slog.GroupValue(slog.Uint64("id", uint64(f.ID)), slog.Duration("at", f.At),
		slog.String("format", string(f.Format)), slog.Int("width", f.Size.X), slog.Int("height", f.Size.Y))
}
