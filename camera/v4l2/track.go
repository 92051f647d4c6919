//go:build cgo

package v4l2

import "time"

// A capture is one filled buffer of the driver.
type capture struct {
	arrived  bool // false: nothing came in time
	index    uint32
	sequence uint32
	at       time.Duration
	flawed   bool   // the driver says so
	data     []byte // the driver's memory, until the buffer is queued again
}

// A fate is what becomes of a capture.
type fate int

const (
	whole   fate = iota // as far as is known
	stale               // of the time before the stream began
	flawed              // so the driver says
	short               // fewer bytes than the format has
	corrupt             // no JPEG image from begin to end
	starved             // there was no memory for a copy
)

// A tracker follows the captures of one stream.
type tracker struct {
	taken    int
	sequence uint32
	at       time.Duration
}

// track returns the time of a frame, how many were lost before it, and whether
// it is of use, in a stream that began at the time began.
//
// Some drivers hand out what an earlier stream left behind; that can only be
// among the first buffers, and later a clock that differs from ours must not
// cost every frame. Times rise by contract, also where a driver repeats one.
func (t *tracker) track(c capture, began time.Duration) (at time.Duration, lost uint64, f fate) {
	switch {
	case t.taken < buffers && c.at < began:
		f = stale
	case c.flawed:
		f = flawed
	}
	at = c.at
	if t.taken > 0 {
		if gap := c.sequence - t.sequence; gap > 1 && gap < 1<<31 && f != stale {
			lost = uint64(gap - 1)
		}
		at = max(at, t.at+1)
	}
	t.taken++
	t.sequence, t.at = c.sequence, at
	return at, lost, f
}
