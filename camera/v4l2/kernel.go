//go:build cgo && linux && (amd64 || arm64)

package v4l2

import (
	"errors"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What go4vl lacks: calls that keep the error number (it makes one error of
// several, so that an unplugged camera looks like a passing fault), waiting by
// poll (its select fails on descriptors above 1023), and the kernel's time.

// buffer is struct v4l2_buffer of 64-bit machines.
type buffer struct {
	index, typ, bytesUsed, flags, field uint32
	_                                   uint32
	sec, usec                           int64
	_                                   [16]byte // timecode
	sequence, memory                    uint32
	offset                              uint64 // union m
	length, _                           uint32
	_, _                                uint32 // request
}

// The call's number holds the size of its argument, and the kernel refuses
// another one.
const (
	dequeueCall = 3<<30 | unsafe.Sizeof(buffer{})<<16 | 'V'<<8 | 17
	queueCall   = 3<<30 | unsafe.Sizeof(buffer{})<<16 | 'V'<<8 | 15
	queryCall   = 2<<30 | capabilitySize<<16 | 'V'<<8

	capabilitySize = 104 // struct v4l2_capability
)

func ioctl(fd int, call uintptr, arg unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), call, uintptr(arg))
		if errno == 0 {
			return nil
		}
		if errno != unix.EINTR {
			return errno
		}
	}
}

// dequeue fills b with the next filled buffer; EAGAIN if there is none.
func dequeue(fd int, b *buffer) error { return ioctl(fd, dequeueCall, unsafe.Pointer(b)) }

// queue gives the buffer b.index to the driver.
func queue(fd int, b *buffer) error { return ioctl(fd, queueCall, unsafe.Pointer(b)) }

// alive asks the device for its name, which fails with ENODEV once it is gone.
func alive(fd int) error {
	var capability [capabilitySize]byte
	return ioctl(fd, queryCall, unsafe.Pointer(&capability))
}

// wait waits until the device has something to tell, for at most d. It tells
// whether it is in trouble: a device that is gone, or does not stream.
func wait(fd int, d time.Duration) (ready, trouble bool, err error) {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(p, int(d.Milliseconds()))
	if errors.Is(err, unix.EINTR) {
		return false, false, nil
	}
	return n > 0, p[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0, err
}

// now returns the time since boot on the clock that drivers use.
func now() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0 // cannot happen: the clock exists
	}
	return time.Duration(t.Nano())
}
