package guesttest

import (
	"bytes"
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// linux/videodev2.h.
const (
	queryControl = 0xc0445624 // VIDIOC_QUERYCTRL
	readControl  = 0xc008561b // VIDIOC_G_CTRL
	setControl   = 0xc008561c // VIDIOC_S_CTRL
	nextControl  = 0x80000000 // V4L2_CTRL_FLAG_NEXT_CTRL
)

type controlQuery struct { // v4l2_queryctrl
	ID, Type                    uint32
	Name                        [32]byte
	Least, Most, Step, Standard int32
	Flags                       uint32
	_                           [2]uint32
}

type controlValue struct { // v4l2_control
	ID    uint32
	Value int32
}

// SetControl sets a control of a camera by its name, also while a program
// streams from it. A button is pressed by any value. Those by which vivid
// disturbs its stream:
//
//	Percentage of Dropped Buffers               0 to 100
//	Inject V4L2_BUF_FLAG_ERROR                  button: the next frame is flagged
//	Inject VIDIOC_REQBUFS Error                 button: the next call fails; so do the next three
//	Inject VIDIOC_QBUF Error
//	Inject VIDIOC_STREAMON Error
//	Inject Fatal Streaming Error                button: the stream ends with an error
//	Disconnect                                  button: as if unplugged, until all have closed it
func SetControl(tb testing.TB, path, name string, value int32) {
	tb.Helper()
	f, id := control(tb, path, name)
	defer f.Close()
	if err := call(f, setControl, unsafe.Pointer(&controlValue{id, value})); err != nil {
		tb.Fatalf("set %q of %s to %d: %v", name, path, value, err)
	}
}

// ReadControl reads a control of a camera by its name, as SetControl sets it.
func ReadControl(tb testing.TB, path, name string) int32 {
	tb.Helper()
	f, id := control(tb, path, name)
	defer f.Close()
	v := controlValue{ID: id}
	if err := call(f, readControl, unsafe.Pointer(&v)); err != nil {
		tb.Fatalf("read %q of %s: %v", name, path, err)
	}
	return v.Value
}

// control opens a camera and looks for a control by its name.
func control(tb testing.TB, path, name string) (*os.File, uint32) {
	tb.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		tb.Fatal(err)
	}
	q := controlQuery{ID: nextControl}
	for {
		if err := call(f, queryControl, unsafe.Pointer(&q)); err != nil {
			f.Close()
			tb.Fatalf("%s has no control %q", path, name)
		}
		if got, _, _ := bytes.Cut(q.Name[:], []byte{0}); string(got) == name {
			return f, q.ID
		}
		q.ID |= nextControl
	}
}

func call(f *os.File, number uintptr, arg unsafe.Pointer) error {
	if _, _, err := unix.Syscall(unix.SYS_IOCTL, f.Fd(), number, uintptr(arg)); err != 0 {
		return err
	}
	return nil
}
