// Package camera turns a device that may be slow, absent or unplugged into the
// newest frame, for analysis, for the screen and for the evidence.
//
//	Source -> Camera.Run -> Options.Put = Tee(pool, latest.Put, preview.Put)
//	                                          |             \- Preview.Run -> Preview.Latest (screen)
//	                                          \- Latest.Take -> Decoder.Decode (analysis), Evidence.JPEG
//
// Nothing here queues frames: the newest wins, and each frame that nobody took
// is counted. The device streams only while a session wants it.
package camera

import (
	"context"

	"livekiosk/kiosk"
)

// A Source is a device or a recording that makes frames. The package
// cameratest holds the suite that every source passes.
//
// Making a Source needs no device: a Source of an absent camera exists, and
// its Stream fails.
type Source interface {
	// Stream opens the device, passes frames to put until ctx ends, closes the
	// device and returns nil. When the device fails or ends by itself, it closes
	// it and returns an error that names the device. After it returned, it calls
	// put no more, nothing of the device is held, and it may be called again;
	// it is never called twice at the same time.
	//
	// Frame ids rise from 1 or more within a call, and At (CLOCK_MONOTONIC)
	// rises with them. put takes ownership of the frame and does not block. A
	// frame's Data belongs to the frame alone: a source that reuses its memory
	// copies first, and goes on even if no frame is released for a while.
	//
	// It returns within half a second of the end of ctx.
	Stream(ctx context.Context, put func(*kiosk.Frame)) error
}
