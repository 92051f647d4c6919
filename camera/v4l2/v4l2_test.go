//go:build cgo

package v4l2_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	low "github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"

	"livekiosk/camera"
	"livekiosk/camera/cameratest"
	"livekiosk/camera/trust"
	"livekiosk/camera/v4l2"
	"livekiosk/kiosk"
)

func one(f kiosk.Format, w, h int, rate float64) v4l2.Mode {
	return v4l2.Mode{Format: f, Min: image.Pt(w, h), Max: image.Pt(w, h), Rate: rate}
}

func TestChoosePrefersWhatAKioskNeeds(t *testing.T) {
	for _, c := range []struct {
		name    string
		offered []v4l2.Mode
		want    v4l2.Mode
		why     string
	}{
		{"an ordinary USB camera gives MJPEG at 1280x720", []v4l2.Mode{
			one(kiosk.YUYV, 640, 480, 30), one(kiosk.YUYV, 1280, 720, 10), one(kiosk.YUYV, 1920, 1080, 5),
			one(kiosk.MJPEG, 640, 480, 30), one(kiosk.MJPEG, 1280, 720, 30), one(kiosk.MJPEG, 1920, 1080, 30), one("H264", 1280, 720, 30),
		}, one(kiosk.MJPEG, 1280, 720, 30), "MJPG needs no second compression; 1280x720 is wanted"},
		{"without 1280x720 it is 1920x1080", []v4l2.Mode{
			one(kiosk.MJPEG, 640, 480, 30), one(kiosk.MJPEG, 1920, 1080, 30), one(kiosk.YUYV, 1280, 720, 30),
		}, one(kiosk.MJPEG, 1920, 1080, 30), "MJPG needs no second compression; 1920x1080 is wanted next after 1280x720"},
		{"without either it is the nearest MJPEG", []v4l2.Mode{
			one(kiosk.MJPEG, 640, 480, 30), one(kiosk.MJPEG, 1024, 768, 30), one(kiosk.MJPEG, 2592, 1944, 30), one(kiosk.YUYV, 1280, 720, 30),
		}, one(kiosk.MJPEG, 1024, 768, 30), "MJPG needs no second compression; the size is nearest to 1280x720"},
		{"a slow mode is worse than raw pixels", []v4l2.Mode{
			one(kiosk.MJPEG, 1280, 720, 5), one(kiosk.YUYV, 640, 480, 30),
		}, one(kiosk.YUYV, 640, 480, 30), "its MJPG is slower than 15/s; the size is nearest to 1280x720"},
		{"a slow mode is better than nothing", []v4l2.Mode{
			one(kiosk.YUYV, 1280, 720, 10), one(kiosk.YUYV, 320, 240, 30),
		}, one(kiosk.YUYV, 1280, 720, 10), "it has no MJPG; 1280x720 is wanted; nothing is faster than 15/s"},
		{"raw formats of one size go by order", []v4l2.Mode{
			one(kiosk.Grey, 640, 480, 30), one(kiosk.UYVY, 640, 480, 30), one(kiosk.NV12, 640, 480, 30),
		}, one(kiosk.NV12, 640, 480, 30), "it has no MJPG; the size is nearest to 1280x720"},
		{"a larger raw format goes before a preferred one", []v4l2.Mode{
			one(kiosk.YUYV, 640, 480, 30), one(kiosk.NV12, 1280, 720, 30),
		}, one(kiosk.NV12, 1280, 720, 30), "it has no MJPG; 1280x720 is wanted"},
		{"a range holds 1280x720", []v4l2.Mode{
			{Format: kiosk.YUYV, Min: image.Pt(48, 32), Max: image.Pt(4096, 2304), Step: image.Pt(2, 1)},
		}, one(kiosk.YUYV, 1280, 720, 0), "it has no MJPG; 1280x720 is wanted; the rate is not told"},
		{"a range whose steps miss the usual sizes gives its largest", []v4l2.Mode{
			{Format: kiosk.NV12, Min: image.Pt(100, 100), Max: image.Pt(1100, 1100), Step: image.Pt(1000, 1000)},
		}, one(kiosk.NV12, 1100, 1100, 0), "it has no MJPG; the size is nearest to 1280x720; the rate is not told"},
		{"a camera mounted on its side", []v4l2.Mode{one(kiosk.MJPEG, 480, 640, 30)}, one(kiosk.MJPEG, 480, 640, 30), "MJPG needs no second compression; the size is nearest to 1280x720"},
		{"the faster of two alike", []v4l2.Mode{
			one(kiosk.MJPEG, 1280, 720, 30), one(kiosk.MJPEG, 1280, 720, 60),
		}, one(kiosk.MJPEG, 1280, 720, 60), "MJPG needs no second compression; 1280x720 is wanted"},
		{"1920x1080 at 30 goes before 1280x720 at less", []v4l2.Mode{
			one(kiosk.MJPEG, 1280, 720, 15), one(kiosk.MJPEG, 1920, 1080, 30),
		}, one(kiosk.MJPEG, 1920, 1080, 30), "MJPG needs no second compression; 1920x1080 is wanted next after 1280x720"},
		{"no wanted mode is fast", []v4l2.Mode{
			one(kiosk.MJPEG, 1280, 720, 25), one(kiosk.MJPEG, 1920, 1080, 20), one(kiosk.YUYV, 1280, 720, 30),
		}, one(kiosk.MJPEG, 1280, 720, 25), "MJPG needs no second compression; 1280x720 is wanted; no wanted mode has 30/s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 2 {
				if got, why, err := v4l2.Choose(c.offered); err != nil || got != c.want || why != c.why {
					t.Errorf("Choose() = %+v, %q, %v; want %+v, %q", got, why, err, c.want, c.why)
				}
				slices.Reverse(c.offered) // the order of the driver does not matter
			}
		})
	}
	for name, offered := range map[string][]v4l2.Mode{
		"nothing":                nil,
		"small sizes":            {one(kiosk.MJPEG, 320, 240, 30), one(kiosk.YUYV, 640, 360, 30)},
		"formats of no use":      {one("H264", 1280, 720, 30), one("RGB3", 640, 480, 30)},
		"sizes beyond decoding":  {one(kiosk.MJPEG, 8000, 6000, 30)},
		"a range of small sizes": {{Format: kiosk.YUYV, Min: image.Pt(16, 16), Max: image.Pt(352, 288), Step: image.Pt(16, 16)}},
	} {
		if got, _, err := v4l2.Choose(offered); !errors.Is(err, v4l2.ErrNotCamera) {
			t.Errorf("%s: Choose() = %+v, %v; want %v", name, got, err, v4l2.ErrNotCamera)
		}
	}
}

func TestStreamNamesWhatIsWrongWithThePath(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("no device"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path string
		want       error
	}{
		{"a path that is not there", filepath.Join(dir, "video0"), v4l2.ErrNoCamera},
		{"a device that is no camera", "/dev/null", v4l2.ErrNotCamera},
		{"a file", file, v4l2.ErrNotCamera},
		{"a directory", dir, v4l2.ErrNotCamera},
	} {
		t.Run(c.name, func(t *testing.T) {
			cam, err := v4l2.Open(v4l2.Options{Path: c.path})
			if err != nil {
				t.Fatalf("Open() = %v, but needs no device", err)
			}
			before := descriptors(t)
			for range 3 {
				err := cam.Stream(t.Context(), (*kiosk.Frame).Release)
				if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.path) {
					t.Errorf("Stream() = %v, want %v naming the path", err, c.want)
				}
			}
			if after := descriptors(t); after != before {
				t.Errorf("%d descriptors open, %d before", after, before)
			}
		})
	}
	for _, path := range []string{"video0", "./video0", "first"} {
		if _, err := v4l2.Open(v4l2.Options{Path: path}); err == nil {
			t.Errorf("Open(%q) gives no error", path)
		}
	}
}

// descriptors counts those of files and devices; the runtime opens others of
// its own when it first polls.
func descriptors(t *testing.T) (n int) {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && !strings.HasPrefix(target, "anon_inode:") {
			n++
		}
	}
	return n
}

func TestStreamInAContextThatHasEnded(t *testing.T) {
	cam, err := v4l2.Open(v4l2.Options{Path: "/dev/null"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := cam.Stream(ctx, (*kiosk.Frame).Release); err != nil {
		t.Errorf("Stream() = %v, want nil", err)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	const path = "/dev/video7"
	for _, c := range []struct {
		name string
		err  error
		want error
		text string
	}{
		{"gone while streaming", unix.ENODEV, v4l2.ErrUnplugged, path},
		{"gone while opening", fmt.Errorf("open: %w", unix.ENXIO), v4l2.ErrUnplugged, path},
		{"never there", unix.ENOENT, v4l2.ErrNoCamera, "plugged in"},
		{"not allowed", unix.EACCES, v4l2.ErrDenied, "group"},
		{"in use", unix.EBUSY, v4l2.ErrBusy, path},
		{"no V4L2", unix.ENOTTY, v4l2.ErrNotCamera, "V4L2"},
		{"no V4L2, says go4vl", fmt.Errorf("x: %w", low.ErrorUnsupported), v4l2.ErrNotCamera, "V4L2"},
		{"anything else", unix.EIO, unix.EIO, "take a frame"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := v4l2.Explain(path, "take a frame", c.err)
			if !errors.Is(got, c.want) || !strings.Contains(got.Error(), c.text) || !strings.Contains(got.Error(), path) {
				t.Errorf("got %q, want %q with %q", got, c.want, c.text)
			}
		})
	}
}

func TestHoldersNameOtherProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "device")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := v4l2.Holders(path); len(got) != 0 {
		t.Errorf("Holders() = %q, but only this process has it open", got)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "echo ready; read line")
	cmd.ExtraFiles = []*os.File{f}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if got, want := v4l2.Holders(path), fmt.Sprintf("sh (%d)", cmd.Process.Pid); !slices.Equal(got, []string{want}) {
		t.Errorf("Holders() = %q, want %q", got, want)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil && !strings.Contains(err.Error(), "exit status 1") { // read met the end
		t.Error(err)
	}
}

// The numbers are those that the kernel's headers give on 64-bit machines.
func TestCallsHaveTheKernelsNumbers(t *testing.T) {
	want := map[string]uintptr{
		"QUERYCAP": 0x80685600, "ENUM_FMT": 0xc0405602, "G_FMT": 0xc0d05604, "S_FMT": 0xc0d05605, "QUERYBUF": 0xc0585609,
		"QBUF": 0xc058560f, "DQBUF": 0xc0585611, "G_PARM": 0xc0cc5615, "S_PARM": 0xc0cc5616,
	}
	if got := v4l2.Calls(); !maps.Equal(got, want) {
		t.Errorf("calls %#x, want %#x", got, want)
	}
	if v4l2.PlaneSize != 64 {
		t.Errorf("a plane has %d bytes, want 64", v4l2.PlaneSize)
	}
}

func TestFormatsAreReadWhereTheKernelWritesThem(t *testing.T) {
	put := func(at int, v uint32) func([]byte) {
		return func(b []byte) { binary.NativeEndian.PutUint32(b[at:], v) }
	}
	if stride, planes := v4l2.Read(false, put(0, 2560)); stride != 2560 || planes != 1 {
		t.Errorf("single-planar: stride %d, %d planes", stride, planes)
	}
	// colorspace, sizeimage, bytesperline of the first of eight planes of 20 bytes; then how many there are.
	if stride, planes := v4l2.Read(true, func(b []byte) { put(8, 1280)(b); b[164] = 2 }); stride != 1280 || planes != 2 {
		t.Errorf("multi-planar: stride %d, %d planes", stride, planes)
	}
}

func TestFormatsGoByTheirCodes(t *testing.T) {
	code := func(s string) uint32 { return binary.LittleEndian.Uint32([]byte(s)) }
	for text, want := range map[string]kiosk.Format{
		"MJPG": kiosk.MJPEG, "JPEG": kiosk.MJPEG, "YUYV": kiosk.YUYV, "UYVY": kiosk.UYVY, "NV12": kiosk.NV12, "GREY": kiosk.Grey,
		"NM12": "", "H264": "", "RG10": "", "Y16 ": "",
	} {
		if got := v4l2.FormatOf(code(text)); got != want {
			t.Errorf("%s is %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]bool{"RG10": true, "pBAA": true, "BA81": true, "BYR2": true, "GREY": false, "H264": false} {
		if got := v4l2.Bayer(code(text)); got != want {
			t.Errorf("%s is raw: %v", text, got)
		}
	}
}

func TestControls(t *testing.T) {
	for _, c := range []struct {
		name string
		c    v4l2.Controls
		want []string
	}{
		{"none", v4l2.Controls{Rate: 25}, nil},
		{
			"all by the camera",
			v4l2.Controls{Exposure: "auto", Gain: "auto", WhiteBalance: "auto", Focus: "auto", PowerLine: "auto"},
			[]string{"0x9a0901=[3 0]", "0x980912=[1]", "0x98090c=[1]", "0x9a090c=[1]", "0x980918=[3]"},
		},
		{"all by hand", v4l2.Controls{Exposure: "156", Gain: "64", WhiteBalance: "4600", Focus: "0", PowerLine: "50"}, []string{
			"0x9a0901=[1]", "0x9a0902=[156]", "0x980912=[0]", "0x980913=[64]", "0x98090c=[0]", "0x98091a=[4600]",
			"0x9a090c=[0]", "0x9a090a=[0]", "0x980918=[1]",
		}},
		{"exposure by the face", v4l2.Controls{Exposure: "face"}, []string{"0x9a0901=[3 0]", "0x980912=[1]"}},
		{"exposure by the face with a gain of its own", v4l2.Controls{Exposure: "face", Gain: "9"}, []string{"0x9a0901=[3 0]", "0x980912=[0]", "0x980913=[9]"}},
		{"no flicker filter", v4l2.Controls{PowerLine: "off"}, []string{"0x980918=[0]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := v4l2.Steps(c.c); c.c.Validate() != nil || !slices.Equal(got, c.want) {
				t.Errorf("%v: steps %q, want %q", c.c.Validate(), got, c.want)
			}
		})
	}
	for name, c := range map[string]v4l2.Controls{
		"rate": {Rate: 121}, "exposure": {Exposure: "bright"}, "gain": {Gain: "face"}, "white_balance": {WhiteBalance: "4600K"},
		"focus": {Focus: "99999999999"}, "power_line": {PowerLine: "55"},
	} {
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), name+": ") {
			t.Errorf("%s: Validate() = %v", name, err)
		}
		if _, err := v4l2.Open(v4l2.Options{Controls: c}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: Open() = %v", name, err)
		}
	}
}

func TestTrackFollowsTheDriversNumbersAndTimes(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name     string
		captures []v4l2.Capture
		at       []time.Duration
		lost     uint64
		useful   []uint32
	}{
		{"all is well", []v4l2.Capture{{0, 110 * ms, false}, {1, 143 * ms, false}}, []time.Duration{110 * ms, 143 * ms}, 0, []uint32{0, 1}},
		{"two frames are lost", []v4l2.Capture{{5, 110 * ms, false}, {8, 143 * ms, false}}, []time.Duration{110 * ms, 143 * ms}, 2, []uint32{5, 8}},
		{"the counter wraps", []v4l2.Capture{{1<<32 - 1, 110 * ms, false}, {1, 143 * ms, false}}, []time.Duration{110 * ms, 143 * ms}, 1, []uint32{1<<32 - 1, 1}},
		{"the counter begins anew", []v4l2.Capture{{90, 110 * ms, false}, {0, 143 * ms, false}}, []time.Duration{110 * ms, 143 * ms}, 0, []uint32{90, 0}},
		{"a number and a time repeat", []v4l2.Capture{{3, 110 * ms, false}, {3, 110 * ms, false}}, []time.Duration{110 * ms, 110*ms + 1}, 0, []uint32{3, 3}},
		{"a flawed frame is no gap", []v4l2.Capture{{0, 110 * ms, false}, {1, 143 * ms, true}, {2, 176 * ms, false}}, []time.Duration{110 * ms, 143 * ms, 176 * ms}, 0, []uint32{0, 2}},
		{"the first frame is of an earlier stream", []v4l2.Capture{{7, 20 * ms, false}, {0, 110 * ms, false}}, []time.Duration{20 * ms, 110 * ms}, 0, []uint32{0}},
		{"another clock costs four frames only", []v4l2.Capture{{0, 1, false}, {1, 2, false}, {2, 3, false}, {3, 4, false}, {4, 5, false}}, []time.Duration{1, 2, 3, 4, 5}, 0, []uint32{4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			at, lost, useful := v4l2.Track(100*ms, c.captures...)
			if !slices.Equal(at, c.at) || lost != c.lost || !slices.Equal(useful, c.useful) {
				t.Errorf("times %v, lost %d, useful %v; want %v, %d, %v", at, lost, useful, c.at, c.lost, c.useful)
			}
		})
	}
}

func TestSoundRefusesTornFrames(t *testing.T) {
	jpeg := func(data ...byte) *kiosk.Frame { return &kiosk.Frame{Format: kiosk.MJPEG, Data: data} }
	raw := func(f kiosk.Format, w, h, stride, n int) *kiosk.Frame {
		return &kiosk.Frame{Format: f, Size: image.Pt(w, h), Stride: stride, Data: make([]byte, n)}
	}
	for _, c := range []struct {
		name string
		f    *kiosk.Frame
		want string
	}{
		{"a JPEG", jpeg(0xff, 0xd8, 1, 2, 0xff, 0xd9), "whole"},
		{"a JPEG with padding", jpeg(0xff, 0xd8, 1, 2, 0xff, 0xd9, 0, 0, 0), "whole"},
		{"a JPEG without its end", jpeg(0xff, 0xd8, 1, 2, 3), "corrupt"},
		{"a JPEG without its begin", jpeg(1, 2, 0xff, 0xd9), "corrupt"},
		{"no bytes", jpeg(), "short"},
		{"YUYV", raw(kiosk.YUYV, 4, 2, 8, 16), "whole"},
		{"YUYV without the last row's padding", raw(kiosk.YUYV, 4, 2, 10, 18), "whole"},
		{"YUYV one byte short", raw(kiosk.YUYV, 4, 2, 8, 15), "short"},
		{"YUYV with a stride of no use", raw(kiosk.YUYV, 4, 2, 7, 100), "short"},
		{"NV12", raw(kiosk.NV12, 4, 2, 4, 12), "whole"},
		{"NV12 without chroma", raw(kiosk.NV12, 4, 2, 4, 8), "short"},
		{"grey", raw(kiosk.Grey, 4, 2, 4, 8), "whole"},
		{"another format", raw("RGB3", 4, 2, 12, 24), "corrupt"},
	} {
		if got := v4l2.Sound(c.f); got != c.want {
			t.Errorf("%s is %s, want %s", c.name, got, c.want)
		}
	}
}

// A slot is a pool of one frame.
type slot struct{ f kiosk.Frame }

func (s *slot) Copy(f *kiosk.Frame) *kiosk.Frame {
	s.f = *f
	return &s.f
}

func TestAFrameCostsNoMemoryOfItsOwn(t *testing.T) {
	c, err := v4l2.Open(v4l2.Options{Pool: &slot{}})
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = unix.Close(ends[0]), unix.Close(ends[1]) })
	if _, err := unix.Write(ends[1], []byte{1}); err != nil {
		t.Fatal(err)
	}
	f := kiosk.Frame{Format: kiosk.YUYV, Size: image.Pt(640, 480), Stride: 1280, Data: make([]byte, 1280*480)}
	tracker := &v4l2.Tracker{}
	if n := testing.AllocsPerRun(100, func() {
		f.Sequence++
		f.At += time.Millisecond
		if c.Handle(ends[0], &f, tracker) == nil {
			t.Fatal("a sound frame was not copied")
		}
	}); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
	if s := c.Status().Stats; s.Frames != 101 || s.Gaps != 0 {
		t.Errorf("stats %+v", s)
	}
}

// TestContract runs the suite of all cameras on a real device, where one is
// named: LIVEKIOSK_CAMERA=/dev/video0 go test ./camera/v4l2.
func TestContract(t *testing.T) {
	path := os.Getenv("LIVEKIOSK_CAMERA")
	if path == "" {
		t.Skip("LIVEKIOSK_CAMERA names no device")
	}
	contract(t, path)
}

// contract runs the suite on the device of a path.
func contract(t *testing.T, path string) {
	t.Helper()
	for name, pool := range map[string]v4l2.Pool{"without a pool": nil, "with a pool": camera.NewPool(32)} {
		t.Run(name, func(t *testing.T) {
			before := descriptors(t)
			cameratest.TestSource(t, func(t *testing.T) camera.Source {
				t.Helper()
				cam, err := v4l2.Open(v4l2.Options{Path: path, Trust: trust.Test, Pool: pool})
				if err != nil {
					t.Fatal(err)
				}
				return cam
			})
			if after := descriptors(t); after != before {
				t.Errorf("%d descriptors open, %d before", after, before)
			}
		})
	}
}
