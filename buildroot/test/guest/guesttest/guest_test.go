//go:build guest

package guesttest_test

import (
	"os"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"livekiosk/buildroot/test/guest/guesttest"
)

// A request asks for lines by linux/gpio.h's first interface: the product's own
// way is not to be trusted here.
type request struct {
	Offsets  [64]uint32
	Flags    uint32
	Default  [64]uint8
	Consumer [32]byte
	Lines    uint32
	Fd       int32
}

const (
	getHandle = 0xc16cb403 // GPIO_GET_LINEHANDLE_IOCTL
	getValues = 0xc040b408 // GPIOHANDLE_GET_LINE_VALUES_IOCTL
	input     = 1          // GPIOHANDLE_REQUEST_INPUT
	output    = 2          // GPIOHANDLE_REQUEST_OUTPUT
)

func ioctl(t *testing.T, fd, call uintptr, arg unsafe.Pointer) {
	t.Helper()
	if _, _, err := unix.Syscall(unix.SYS_IOCTL, fd, call, uintptr(arg)); err != 0 {
		t.Fatalf("ioctl %#x: %v", call, err)
	}
}

// ask returns the descriptor of one line.
func ask(t *testing.T, chip *guesttest.Chip, offset, flags uint32, value uint8) uintptr {
	t.Helper()
	f, err := os.Open(chip.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := request{Flags: flags, Lines: 1}
	r.Offsets[0], r.Default[0] = offset, value
	ioctl(t, f.Fd(), getHandle, unsafe.Pointer(&r))
	t.Cleanup(func() { _ = unix.Close(int(r.Fd)) })
	return uintptr(r.Fd)
}

func TestGuestChipHasBothEndsOfItsLines(t *testing.T) {
	chip := guesttest.NewChip(t, "light", "", "button")
	if chip.High("light") {
		t.Error("the light is on before anything drives it")
	}
	ask(t, chip, 0, output, 1)
	if !chip.High("light") {
		t.Error("the light is off while it is driven high")
	}
	button := ask(t, chip, 2, input, 0)
	for _, high := range []bool{true, false, true} {
		chip.Pull("button", high)
		var values [64]uint8
		ioctl(t, button, getValues, unsafe.Pointer(&values))
		if got := values[0] == 1; got != high || chip.High("button") != high {
			t.Errorf("pulled to %t, the line reads as %t and %t", high, got, chip.High("button"))
		}
	}
	chip.Unplug()
	if _, err := os.Stat(chip.Path); err == nil {
		t.Errorf("%s is there after it was unplugged", chip.Path)
	}
	chip.Plug()
	ask(t, chip, 0, output, 1)
	if !chip.High("light") {
		t.Error("the light is off after the chip came back")
	}
}

func TestGuestCamerasAreThereUntilTheTestEnds(t *testing.T) {
	var paths []string
	t.Run("two", func(t *testing.T) {
		paths = guesttest.Cameras(t, "n_devs=2", "node_types=0x1,0x1")
		if len(paths) != 2 {
			t.Fatalf("cameras %q, want two", paths)
		}
		for _, p := range paths {
			if _, err := os.Stat(p); err != nil {
				t.Error(err)
			}
		}
	})
	for _, p := range paths {
		if _, err := os.Stat(p); err == nil {
			t.Errorf("%s is there after its test", p)
		}
	}
}

func TestGuestCameraIsPulledAndComesBack(t *testing.T) {
	path := guesttest.Cameras(t, guesttest.Webcam()...)[0]
	held, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	replug := guesttest.Unplug(t, path)
	if _, err := os.Open(path); err == nil {
		t.Errorf("%s opens after it was unplugged", path)
	}
	again := replug()
	if again == path {
		t.Errorf("%s came back under its name while somebody holds it", path)
	}
	f, err := os.Open(again)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

// A control that was set can be read: the kernel refuses a name or a value
// that is none.
func TestGuestControlsAreFoundByName(t *testing.T) {
	path := guesttest.Cameras(t, guesttest.Webcam()...)[0]
	for name, value := range map[string]int32{
		"Percentage of Dropped Buffers": 30, "Inject V4L2_BUF_FLAG_ERROR": 1, "Inject VIDIOC_REQBUFS Error": 1,
		"Inject VIDIOC_QBUF Error": 1, "Inject VIDIOC_STREAMON Error": 1, "Inject Fatal Streaming Error": 1,
	} {
		guesttest.SetControl(t, path, name, value)
	}
	held, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	guesttest.SetControl(t, path, "Disconnect", 1)
	if f, err := os.Open(path); err == nil {
		f.Close()
		t.Error("a disconnected camera opens while somebody holds it")
	}
}

// The harness sets the guest's clock: records carry times.
func TestGuestKnowsTheTime(t *testing.T) {
	if now := time.Now(); now.Year() < 2025 {
		t.Errorf("it is %v", now)
	}
}
