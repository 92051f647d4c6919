//go:build cgo && linux && (amd64 || arm64)

package v4l2

import (
	"encoding/binary"
	"errors"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What go4vl lacks: calls that keep the error number (it makes one error of
// several, so that an unplugged camera looks like a passing fault), the
// multi-planar interface, rates that are read back, waiting by poll (its select
// fails on descriptors above 1023), and the kernel's time.

// buffer is struct v4l2_buffer of 64-bit machines.
type buffer struct {
	index, typ, bytesUsed, flags, field uint32
	_                                   uint32
	sec, usec                           int64
	_                                   [16]byte // timecode
	sequence, memory                    uint32
	m                                   uint64 // union: an offset to map, or the address of the planes
	length, _                           uint32 // or the number of planes
	_, _                                uint32 // request
}

// plane is struct v4l2_plane.
type plane struct {
	bytesUsed, length uint32
	offset            uint64 // union m: an offset to map
	begin             uint32 // of the image within the plane
	_                 [11]uint32
}

// description is struct v4l2_fmtdesc.
type description struct {
	index, typ, flags uint32
	_                 [32]byte // its name
	code              uint32
	_, _, _, _        uint32
}

// format is struct v4l2_format with the begin that struct v4l2_pix_format and
// struct v4l2_pix_format_mplane share.
type format struct {
	typ, _                     uint32
	width, height, code, field uint32
	rest                       [184]byte
}

// stride returns bytes a row, of the first plane.
func (f *format) stride() int {
	if f.typ == multiPlanar {
		return int(binary.NativeEndian.Uint32(f.rest[4+4:])) // colorspace, sizeimage, bytesperline
	}
	return int(binary.NativeEndian.Uint32(f.rest[:]))
}

// planes returns how many parts of memory an image has.
func (f *format) planes() int {
	if f.typ == multiPlanar {
		return int(f.rest[4+8*20]) // colorspace, then eight planes
	}
	return 1
}

// parameters is struct v4l2_streamparm for capture.
type parameters struct {
	typ, capability, mode  uint32
	numerator, denominator uint32 // of seconds a frame
	_                      [184]byte
}

// The types of buffers that are read here.
const (
	singlePlanar = 1
	multiPlanar  = 9
)

// A call's number holds the size of its argument, and the kernel refuses
// another one.
const (
	readCall  = 2<<30 | 'V'<<8
	bothCall  = 3<<30 | 'V'<<8
	sizeShift = 16

	queryCall         = readCall | capabilitySize<<sizeShift
	describeCall      = bothCall | unsafe.Sizeof(description{})<<sizeShift | 2
	readFormatCall    = bothCall | unsafe.Sizeof(format{})<<sizeShift | 4
	setFormatCall     = bothCall | unsafe.Sizeof(format{})<<sizeShift | 5
	findBufferCall    = bothCall | unsafe.Sizeof(buffer{})<<sizeShift | 9
	queueCall         = bothCall | unsafe.Sizeof(buffer{})<<sizeShift | 15
	dequeueCall       = bothCall | unsafe.Sizeof(buffer{})<<sizeShift | 17
	readParameterCall = bothCall | unsafe.Sizeof(parameters{})<<sizeShift | 21
	setParameterCall  = bothCall | unsafe.Sizeof(parameters{})<<sizeShift | 22

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

// codes lists the formats that the device offers for buffers of a type.
func codes(fd int, typ uint32) (all []uint32, err error) {
	for i := range uint32(256) {
		d := description{index: i, typ: typ}
		if err := ioctl(fd, describeCall, unsafe.Pointer(&d)); errors.Is(err, unix.EINVAL) {
			break
		} else if err != nil {
			return nil, err
		}
		all = append(all, d.code)
	}
	return all, nil
}

// setFormat asks for a format and returns what the driver made of it.
func setFormat(fd int, typ, code, width, height uint32) (format, error) {
	const progressive = 1 // V4L2_FIELD_NONE
	f := format{typ: typ, width: width, height: height, code: code, field: progressive}
	if typ == multiPlanar {
		f.rest[4+8*20] = 1
	}
	if err := ioctl(fd, setFormatCall, unsafe.Pointer(&f)); err != nil {
		return format{}, err
	}
	f = format{typ: typ}
	return f, ioctl(fd, readFormatCall, unsafe.Pointer(&f))
}

// setRate asks for frames a second and returns what the driver made of it; 0
// if it does not tell.
func setRate(fd int, typ, rate uint32) (float64, error) {
	p := parameters{typ: typ, numerator: 1, denominator: rate}
	if err := ioctl(fd, setParameterCall, unsafe.Pointer(&p)); err != nil {
		return 0, err
	}
	p = parameters{typ: typ}
	if err := ioctl(fd, readParameterCall, unsafe.Pointer(&p)); err != nil || p.numerator == 0 {
		return 0, err
	}
	return float64(p.denominator) / float64(p.numerator), nil
}

// find asks where the memory of the buffer b.index is.
func find(fd int, b *buffer) error { return ioctl(fd, findBufferCall, unsafe.Pointer(b)) }

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

// deepen sees to it that the stack does not grow within a call of go4vl. That
// package hands the kernel the address of a variable as a plain number, which
// is out of date once the stack was moved to a larger one.
//
//go:noinline
func deepen() {
	var room [16 << 10]byte
	runtime.KeepAlive(&room)
}
