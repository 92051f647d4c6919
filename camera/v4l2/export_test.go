//go:build cgo

package v4l2

import (
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

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

// Sound tells what becomes of a frame: "whole", "short" or "corrupt".
func Sound(f *kiosk.Frame) string {
	return map[fate]string{whole: "whole", short: "short", corrupt: "corrupt"}[sound(f)]
}

func Explain(path, doing string, err error) error { return explain(path, doing, err) }
func Holders(path string) []string                { return holders(path) }

// Calls returns the numbers of the calls that kernel.go makes.
func Calls() map[string]uintptr {
	return map[string]uintptr{
		"QUERYCAP": queryCall, "ENUM_FMT": describeCall, "G_FMT": readFormatCall, "S_FMT": setFormatCall, "QUERYBUF": findBufferCall,
		"QBUF": queueCall, "DQBUF": dequeueCall, "G_PARM": readParameterCall, "S_PARM": setParameterCall,
	}
}

// PlaneSize is that of struct v4l2_plane.
const PlaneSize = unsafe.Sizeof(plane{})

// Read reads the format of a driver's answer.
func Read(multi bool, rest func([]byte)) (stride, planes int) {
	f := format{typ: singlePlanar}
	if multi {
		f.typ = multiPlanar
	}
	rest(f.rest[:])
	return f.stride(), f.planes()
}

// Steps returns what a control would be set to, in order.
func Steps(c Controls) (all []string) {
	for _, s := range c.settings() {
		steps, err := s.steps()
		if err != nil {
			return []string{err.Error()}
		}
		for _, one := range steps {
			all = append(all, fmt.Sprintf("%#x=%v", one.control, one.values))
		}
	}
	return all
}

// FormatOf and Bayer read a V4L2 code.
func FormatOf(code uint32) kiosk.Format { return formatOf(code) }
func Bayer(code uint32) bool            { return bayer(code) }

// Handle does with one captured buffer what the loop does, but for the calls of
// the kernel that need a camera: fd stands for its descriptor.
func (c *Camera) Handle(fd int, f *kiosk.Frame, t *Tracker) *kiosk.Frame {
	if _, _, err := wait(fd, 0); err != nil {
		return nil
	}
	d := device{plane: &t.plane, kind: multiPlanar}
	b := d.buffer(0)
	if err := dequeue(fd, &b); err == nil {
		return nil // fd is no camera
	}
	_, lost, end := t.t.track(capture{arrived: true, sequence: f.Sequence, at: f.At, data: f.Data}, 0)
	if end == whole {
		end = sound(f)
	}
	c.count(end, lost)
	return c.copy(f)
}

// A Tracker is what the loop keeps from one buffer to the next.
type Tracker struct {
	t     tracker
	plane plane
}

// Only has the camera stream in one mode, whatever is best.
func (c *Camera) Only(m Mode) {
	c.choose = func([]Mode) (Mode, string, error) { return m, "a test wants it", nil }
}

// Hold starts a stream and returns what it lives in.
func Hold(path string) (*os.File, error) {
	d, err := open(path)
	if err == nil {
		err = d.start(Choose, Controls{})
	}
	if err != nil {
		return nil, err
	}
	for _, m := range d.maps { // they would keep it, too
		_ = unix.Munmap(m)
	}
	return os.NewFile(uintptr(d.fd), path), nil
}

// A Knob is what a control takes.
type Knob struct {
	Least, Most int32
	Menu        map[int32]int64
}

// Knobs are a camera's controls for a test.
type Knobs interface {
	Query(id uint32) (Knob, bool)
	Get(id uint32) (int32, error)
	Set(id uint32, v int32) error
}

type testKnobs struct{ of Knobs }

func (k testKnobs) query(id uint32) (knob, bool) {
	v, ok := k.of.Query(id)
	return knob{v.Least, v.Most, v.Menu}, ok
}
func (k testKnobs) get(id uint32) (int32, error) { return k.of.Get(id) }
func (k testKnobs) set(id uint32, v int32) error { return k.of.Set(id, v) }

// An Exposer is what corrects the exposure of a stream.
type Exposer struct{ e *exposer }

func NewExposer(k Knobs, c Controls, rate float64) Exposer {
	return Exposer{newExposer(testKnobs{k}, c, rate)}
}

func (e Exposer) Correct(stops float64) (float64, error) { return e.e.correct(stops) }
func (e Exposer) Freeze() error                          { return e.e.freeze() }
func (e Exposer) Thaw() error                            { return e.e.thaw() }
