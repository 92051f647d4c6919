//go:build cgo

package v4l2

import (
	"time"

	"livekiosk/kiosk"
)

// A Capture is what a driver says of a buffer.
type Capture struct {
	Sequence uint32
	At       time.Duration
	Flawed   bool
}

// Track tracks captures of a stream that began at began and returns their
// times, what was lost in all, and the numbers of those that are of use.
func Track(began time.Duration, captures ...Capture) (at []time.Duration, lost uint64, useful []uint32) {
	var t tracker
	for _, c := range captures {
		a, l, f := t.track(capture{arrived: true, sequence: c.Sequence, at: c.At, flawed: c.Flawed}, began)
		at, lost = append(at, a), lost+l
		if f == whole {
			useful = append(useful, c.Sequence)
		}
	}
	return at, lost, useful
}

func Sound(f *kiosk.Frame) error                  { return sound(f) }
func Explain(path, doing string, err error) error { return explain(path, doing, err) }
func Holders(path string) []string                { return holders(path) }

// Calls returns the numbers of the calls that kernel.go makes.
func Calls() [3]uintptr { return [3]uintptr{dequeueCall, queueCall, queryCall} }
