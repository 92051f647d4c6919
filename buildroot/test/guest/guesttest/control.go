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
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	q := controlQuery{ID: nextControl}
	for {
		if err := call(f, queryControl, unsafe.Pointer(&q)); err != nil {
			tb.Fatalf("%s has no control %q", path, name)
		}
		if got, _, _ := bytes.Cut(q.Name[:], []byte{0}); string(got) == name {
			break
		}
		q.ID |= nextControl
	}
	if err := call(f, setControl, unsafe.Pointer(&controlValue{q.ID, value})); err != nil {
		tb.Fatalf("set %q of %s to %d: %v", name, path, value, err)
	}
}

func call(f *os.File, number uintptr, arg unsafe.Pointer) error {
	if _, _, err := unix.Syscall(unix.SYS_IOCTL, f.Fd(), number, uintptr(arg)); err != 0 {
		return err
	}
	return nil
}
