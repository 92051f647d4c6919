//go:build guest

package v4l2_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"livekiosk/buildroot/test/guest/guesttest"
	"livekiosk/camera"
	"livekiosk/camera/trust"
	"livekiosk/camera/v4l2"
	"livekiosk/kiosk"
	"livekiosk/kiosk/flow"
)

// patience is how long a guest under emulation may take for a few frames.
const patience = 20 * time.Second

// newCamera returns a camera that takes virtual devices.
func newCamera(t *testing.T, o v4l2.Options) *v4l2.Camera {
	t.Helper()
	if o.Trust == "" {
		o.Trust = trust.Test
	}
	c, err := v4l2.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// stream has c stream until look says that it has seen enough, and returns the
// error that ended the stream.
func stream(t *testing.T, c *v4l2.Camera, look func(*kiosk.Frame) (enough bool)) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	enough := false
	err := c.Stream(ctx, func(f *kiosk.Frame) {
		if !enough && look(f) {
			enough = true
			cancel()
		}
		f.Release()
	})
	if err == nil && !enough {
		t.Fatalf("the frames that the test waits for did not come within %v: %+v", patience, c.Status().Stats)
	}
	return err
}

// after returns what looks at n frames.
func after(n int) func(*kiosk.Frame) bool {
	return func(*kiosk.Frame) bool { n--; return n <= 0 }
}

// works wants a few frames of c.
func works(t *testing.T, c *v4l2.Camera) {
	t.Helper()
	if err := stream(t, c, after(3)); err != nil {
		t.Fatalf("it does not stream: %v", err)
	}
}

// A program is another one that has the device open.
type program struct{ fd int }

func newProgram(t *testing.T, path string) program {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return program{fd}
}

// setFormat sets the format of a device for buffers of a type.
func (p program) setFormat(typ uint32, code string, w, h uint32) error {
	var f [208]byte
	for i, v := range []uint32{typ, 0, w, h, binary.LittleEndian.Uint32([]byte(code)), 1} {
		binary.NativeEndian.PutUint32(f[4*i:], v)
	}
	const setFormat = 0xc0d05605
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(p.fd), setFormat, uintptr(unsafe.Pointer(&f))); errno != 0 {
		return errno
	}
	return nil
}

func TestGuestContract(t *testing.T) {
	contract(t, guesttest.Cameras(t, guesttest.Webcam()...)[0])
}

func TestGuestContractOfAMultiPlanarDevice(t *testing.T) {
	contract(t, guesttest.Cameras(t, append(guesttest.Webcam(), "multiplanar=2")...)[0])
}

// TestGuestEveryFormatIsTheTestPicture holds each format and size against
// vivid's 75 % colour bars: every row and every frame the same to the bit, the
// bars at their places to the pixel, and their colours within the tolerance of
// how vivid rounds.
func TestGuestEveryFormatIsTheTestPicture(t *testing.T) {
	for name, planes := range map[string]int{"single-planar": 1, "multi-planar": 2} {
		t.Run(name, func(t *testing.T) {
			path := guesttest.Cameras(t, append(guesttest.Webcam(), fmt.Sprint("multiplanar=", planes))...)[0]
			guesttest.SetControl(t, path, "OSD Text Mode", 2) // none
			guesttest.SetControl(t, path, "Test Pattern", 0)  // 75 % colour bars
			for _, format := range []kiosk.Format{kiosk.YUYV, kiosk.UYVY, kiosk.NV12, kiosk.Grey} {
				for _, size := range []image.Point{{X: 640, Y: 480}, {X: 1280, Y: 720}, {X: 1920, Y: 1080}, {X: 3840, Y: 2160}}[:4/planes] { // time is short
					t.Run(fmt.Sprintf("%s %dx%d", format, size.X, size.Y), func(t *testing.T) {
						c := newCamera(t, v4l2.Options{Path: path})
						c.Only(one(format, size.X, size.Y, 0))
						var first []byte
						if err := stream(t, c, func(f *kiosk.Frame) bool {
							if first == nil {
								bars(t, f)
								first = bytes.Clone(f.Data)
								return false
							}
							if !bytes.Equal(f.Data, first) {
								t.Error("two frames differ")
							}
							return true
						}); err != nil {
							t.Fatal(err)
						}
						if m := c.Status().Mode; m.Format != format || m.Max != size || m.Rate == 0 {
							t.Errorf("the mode is %v", m)
						}
					})
				}
			}
		})
	}
}

// bars checks that a frame is the colour bars.
func bars(t *testing.T, f *kiosk.Frame) {
	t.Helper()
	// 75 % of white, yellow, cyan, green, magenta, red, blue, black, in limited range of BT.601.
	rgb := [8][3]float64{{191, 191, 191}, {191, 191, 0}, {0, 191, 191}, {0, 191, 0}, {191, 0, 191}, {191, 0, 0}, {0, 0, 191}, {0, 0, 0}}
	luma := func(x int) (y, cb, cr float64) {
		c := rgb[x*8/f.Size.X]
		y = 0.299*c[0] + 0.587*c[1] + 0.114*c[2]
		return 16 + y*219/255, 128 + (c[2]-y)/1.772*224/255, 128 + (c[0]-y)/1.402*224/255
	}
	wrong := func(got byte, want float64) bool {
		return got != byte(want) && (float64(got) < want-2.5 || float64(got) > want+2.5)
	}
	w, h := f.Size.X, f.Size.Y
	row := map[kiosk.Format]int{kiosk.YUYV: 2 * w, kiosk.UYVY: 2 * w, kiosk.NV12: w, kiosk.Grey: w}[f.Format]
	for y := 1; y < h; y++ {
		if !bytes.Equal(f.Data[:row], f.Data[y*f.Stride:y*f.Stride+row]) {
			t.Fatalf("row %d is not row 0", y)
		}
	}
	chroma := f.Data[:row]
	if f.Format == kiosk.NV12 {
		chroma = f.Data[h*f.Stride : h*f.Stride+w]
		for y := 1; y < h/2; y++ {
			if at := (h + y) * f.Stride; !bytes.Equal(chroma, f.Data[at:at+w]) {
				t.Fatalf("chroma row %d is not row 0", y)
			}
		}
	}
	for x := range w {
		var got, u, v byte
		coloured := true
		switch f.Format {
		case kiosk.YUYV:
			got, u, v = f.Data[2*x], chroma[4*(x/2)+1], chroma[4*(x/2)+3]
		case kiosk.UYVY:
			got, u, v = f.Data[2*x+1], chroma[4*(x/2)], chroma[4*(x/2)+2]
		case kiosk.NV12:
			got, u, v = f.Data[x], chroma[2*(x/2)], chroma[2*(x/2)+1]
		case kiosk.Grey:
			got, coloured = f.Data[x], false
		case kiosk.MJPEG:
			t.Fatal("vivid has no MJPEG")
		}
		y, cb, cr := luma(x)
		if c := rgb[x*8/w]; f.Format == kiosk.Grey { // vivid's grey is BT.709's, in all of a byte
			y = 0.2126*c[0] + 0.7152*c[1] + 0.0722*c[2]
		}
		if wrong(got, y) || coloured && (wrong(u, cb) || wrong(v, cr)) {
			t.Fatalf("column %d is %d, %d, %d; want %.0f, %.0f, %.0f", x, got, u, v, y, cb, cr)
		}
	}
}

// TestGuestThreeHundredFramesWithoutALostBuffer wants them in a row, by the
// driver's numbers.
//
// vivid numbers by the clock, so it leaves numbers out when an emulator holds it
// up. A buffer was lost only if none was queued: if the frame before was still
// with us two intervals after its time. Where the emulator holds us up, too,
// the row begins anew.
func TestGuestThreeHundredFramesWithoutALostBuffer(t *testing.T) {
	path := guesttest.Cameras(t, guesttest.Webcam()...)[0]
	c := newCamera(t, v4l2.Options{Path: path, Pool: &slot{}, Controls: v4l2.Controls{Rate: 15}})
	c.Only(one(kiosk.Grey, 640, 480, 0))
	const wanted, most, interval = 300, 900, time.Second / 15
	var last kiosk.Frame
	var row, repeated, lost, left int
	var late time.Duration // the last frame, when we got it
	var before, behind runtime.MemStats
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	if err := c.Stream(ctx, func(f *kiosk.Frame) {
		gap := f.ID > 1 && f.Sequence != last.Sequence && f.Sequence != last.Sequence+1
		switch {
		case f.ID == 1 || gap && late > 2*interval:
			row, lost = 0, lost+1
			runtime.ReadMemStats(&before)
		case gap:
			left++
		case f.Sequence == last.Sequence:
			repeated++ // vivid does so under emulation
		}
		row++
		if f.ID > 1 && f.At <= last.At || f.ID != last.ID+1 {
			t.Errorf("frame %d at %v after frame %d at %v", f.ID, f.At, last.ID, last.At)
		}
		last.ID, last.At, last.Sequence = f.ID, f.At, f.Sequence
		var now unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
			t.Error(err)
		}
		late = time.Duration(now.Nano()) - f.At
		if row == wanted || f.ID == most {
			runtime.ReadMemStats(&behind)
			cancel()
		}
	}); err != nil {
		t.Fatal(err)
	}
	s := c.Status().Stats
	t.Logf("%d frames at %s, the last %d without a lost buffer; %d beginnings, %d times numbers left out, %d repeated; %d allocations in that row; %+v",
		last.ID, c.Status().Mode, row, lost, left, repeated, behind.Mallocs-before.Mallocs, s)
	if row < wanted || s.Flawed+s.Short+s.Corrupt+s.Starved != 0 {
		t.Errorf("no %d frames in a row", wanted)
	}
	if got := behind.Mallocs - before.Mallocs; got >= wanted/10 { // the rest of the process may need some
		t.Errorf("%d allocations in %d frames", got, row)
	}
}

// Each of vivid's errors ends as the table of the package says.
func TestGuestInjectedErrors(t *testing.T) {
	path := guesttest.Cameras(t, guesttest.Webcam()...)[0]
	c := newCamera(t, v4l2.Options{Path: path})
	c.Only(one(kiosk.Grey, 640, 480, 0))
	works(t, c)
	before := descriptors(t)
	for _, name := range []string{"Inject VIDIOC_REQBUFS Error", "Inject VIDIOC_STREAMON Error"} {
		t.Run(name, func(t *testing.T) {
			guesttest.SetControl(t, path, name, 1)
			err := stream(t, c, after(1))
			if err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("Stream() = %v, want an error that names the device", err)
			}
			t.Log(err)
			works(t, c)
		})
	}
	for name, want := range map[string]error{
		"Inject VIDIOC_QBUF Error": unix.EINVAL, "Inject Fatal Streaming Error": unix.EIO, "Disconnect": v4l2.ErrUnplugged,
	} {
		t.Run(name, func(t *testing.T) {
			pressed := false
			err := stream(t, c, func(*kiosk.Frame) bool {
				if !pressed {
					pressed = true
					guesttest.SetControl(t, path, name, 1)
				}
				return false
			})
			if !errors.Is(err, want) || !strings.Contains(err.Error(), path) {
				t.Errorf("Stream() = %v, want %v naming the device", err, want)
			}
			t.Log(err)
			works(t, c) // vivid is there again once nobody has it open
		})
	}
	t.Run("Inject V4L2_BUF_FLAG_ERROR", func(t *testing.T) {
		was, n := c.Status().Stats, 0
		if err := stream(t, c, func(*kiosk.Frame) bool {
			if n++; n == 1 {
				guesttest.SetControl(t, path, "Inject V4L2_BUF_FLAG_ERROR", 1)
			}
			return n > 1 && c.Status().Stats.Flawed > was.Flawed
		}); err != nil {
			t.Fatal(err)
		}
		if now := c.Status().Stats; now.Flawed != was.Flawed+1 {
			t.Errorf("stats %+v after %+v", now, was)
		}
	})
	t.Run("Percentage of Dropped Buffers", func(t *testing.T) {
		guesttest.SetControl(t, path, "Percentage of Dropped Buffers", 50)
		defer guesttest.SetControl(t, path, "Percentage of Dropped Buffers", 0)
		was := c.Status().Stats
		if err := stream(t, c, after(20)); err != nil {
			t.Fatal(err)
		}
		if now := c.Status().Stats; now.Gaps == was.Gaps || now.Gaps > was.Gaps+200 || now.Flawed != was.Flawed {
			t.Errorf("stats %+v after %+v", now, was)
		}
	})
	// An emulator that is held up costs some numbers; a wrap that is misread, thousands of millions.
	for name, frames := range map[string]int{"Wrap Sequence Number": 150, "Wrap Timestamp": 20} { // numbers wrap after 128
		t.Run(name, func(t *testing.T) {
			guesttest.SetControl(t, path, name, 1)
			defer guesttest.SetControl(t, path, name, 0)
			was := c.Status().Stats
			var last time.Duration
			n := 0
			if err := stream(t, c, func(f *kiosk.Frame) bool {
				if f.At <= last && n > 0 {
					t.Errorf("a frame of %v after one of %v", f.At, last)
				}
				last = f.At
				n++
				return n == frames
			}); err != nil {
				t.Fatal(err)
			}
			if now := c.Status().Stats; now.Gaps > was.Gaps+1000 || now.Frames < was.Frames+uint64(frames) {
				t.Errorf("stats %+v after %+v", now, was)
			}
		})
	}
	if now := descriptors(t); now != before {
		t.Errorf("%d descriptors open, %d before", now, before)
	}
}

func TestGuestAnotherProgramChangesTheFormat(t *testing.T) {
	path := guesttest.Cameras(t, guesttest.Webcam()...)[0]
	c := newCamera(t, v4l2.Options{Path: path})
	works(t, c)
	mode := c.Status().Mode
	p := newProgram(t, path)
	if err := p.setFormat(1, "GREY", 320, 180); err != nil {
		t.Fatal(err)
	}
	if err := stream(t, c, func(f *kiosk.Frame) bool {
		if f.Format != mode.Format || f.Size != mode.Max {
			t.Errorf("a frame of %s %v, want %v", f.Format, f.Size, mode)
		}
		if err := p.setFormat(1, "GREY", 320, 180); !errors.Is(err, unix.EBUSY) {
			t.Errorf("the format of a device that streams was changed: %v", err)
		}
		return f.ID == 3
	}); err != nil {
		t.Fatal(err)
	}
}

func TestGuestUnplugAndReplugInEveryState(t *testing.T) {
	path := guesttest.Cameras(t, guesttest.Webcam()...)[0]
	faults := make(chan error, 16)
	frames := make(chan kiosk.FrameID, 1)
	c, err := camera.New(camera.Options{
		Source: newCamera(t, v4l2.Options{}),
		Put: func(f *kiosk.Frame) {
			select {
			case frames <- f.ID:
			default:
			}
			f.Release()
		},
		Fault: func(_ bool, err error) { faults <- err },
		Start: patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	told := func(what string, want error) {
		t.Helper()
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case err := <-faults:
			if !errors.Is(err, want) {
				t.Fatalf("%s: told %v, want %v", what, err, want)
			}
		case <-timer.C:
			t.Fatalf("%s: nothing told", what)
		}
	}
	flows := func(what string) {
		t.Helper()
		select { // what came before does not count
		case <-frames:
		default:
		}
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-frames:
		case <-timer.C:
			t.Fatalf("%s: no frame", what)
		}
	}
	c.Want(true)
	flows("at first")
	replug := guesttest.Unplug(t, path)
	told("unplugged while it streams", v4l2.ErrUnplugged)
	replug()
	told("plugged in again", nil)
	flows("plugged in again")

	c.Want(false)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for c.Stats().Rate != 0 { // the device is closed a moment later
		<-tick.C
	}
	replug = guesttest.Unplug(t, path)
	c.Want(true)
	told("unplugged at rest", v4l2.ErrNoCamera)
	c.Want(false)
	if now := replug(); now != path {
		t.Errorf("the device came back as %s: something had it open", now)
	}
	told("plugged in while nobody wants it", nil)
	if s := c.Stats(); s.Reopened == 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestGuestTrust(t *testing.T) {
	paths := guesttest.Cameras(t, "n_devs=2", "node_types=0x1,0x1", "num_inputs=1,1", "input_types=0x0,0x0")
	guesttest.Load(t, "v4l2loopback", "video_nr=9", `card_label="HD Pro Webcam C920"`, "exclusive_caps=0")
	if len(paths) != 2 {
		t.Fatalf("vivid made %q", paths)
	}
	all, err := v4l2.List(v4l2.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]trust.Identity{}
	for _, f := range all {
		t.Logf("%s: %s, at %s, bound to %q: %+v %v", f.Path, f.ID, f.ID.Path, f.ID.Bound, f.Trust, f.Err)
		ids[f.Path] = f.ID
		if f.Trust.Accepted {
			t.Errorf("%s is taken in production", f.Path)
		}
	}
	first, second := ids[paths[0]], ids[paths[1]]
	if first.Path != "/sys/devices/platform/vivid.0" || second.Path != first.Path || first.String() == second.String() {
		t.Errorf("identities %+v and %+v", first, second)
	}
	if id := ids["/dev/video9"]; !strings.HasPrefix(id.Path, "/sys/devices/virtual/") {
		t.Errorf("v4l2loopback is %+v", id)
	}
	link := filepath.Join(t.TempDir(), "camera")
	point := func(to string) {
		t.Helper()
		_ = os.Remove(link)
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		path   string
		o      v4l2.Options
		reason string // "": it streams
	}{
		{"vivid in production", paths[0], v4l2.Options{Trust: trust.Production}, "virtual device"},
		{"vivid that is pinned in production", paths[0], v4l2.Options{Trust: trust.Production, Pin: first.Pin()}, "virtual device"},
		{"v4l2loopback with a camera's name in production", "/dev/video9", v4l2.Options{Trust: trust.Production}, "virtual device"},
		{"whatever there is in production", v4l2.Auto, v4l2.Options{Trust: trust.Production}, "virtual device"},
		{"vivid for a test", paths[0], v4l2.Options{Trust: trust.Test}, ""},
		{"the pinned one for a test", paths[1], v4l2.Options{Trust: trust.Test, Pin: second.Pin()}, ""},
		{"the same model at another place", paths[0], v4l2.Options{Trust: trust.Test, Pin: second.Pin()}, "not the pinned camera: bus"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.o.Path = c.path
			var log bytes.Buffer
			c.o.Log = logger(&log)
			cam := newCamera(t, c.o)
			if c.reason == "" {
				works(t, cam)
				works(t, cam)
			} else {
				for range 3 {
					if err := stream(t, cam, after(1)); !errors.Is(err, v4l2.ErrUntrusted) || !strings.Contains(err.Error(), c.reason) {
						t.Errorf("Stream() = %v, want %v with %q", err, v4l2.ErrUntrusted, c.reason)
					}
				}
			}
			told := strings.Count(log.String(), "camera trusted") + strings.Count(log.String(), "camera refused")
			if want := map[bool]int{true: len(all), false: 1}[c.path == v4l2.Auto]; told != want || !strings.Contains(log.String(), "reason") {
				t.Errorf("%d decisions logged, want %d:\n%s", told, want, &log)
			}
		})
	}
	t.Run("the pinned one of several is found", func(t *testing.T) {
		cam := newCamera(t, v4l2.Options{Pin: second.Pin()})
		works(t, cam)
		if got := cam.Status(); got.Path != paths[1] || got.ID != second {
			t.Errorf("it streams from %+v", got)
		}
	})
	for name, pin := range map[string]trust.Pin{"none is pinned": {}, "one is pinned": first.Pin()} {
		t.Run("another camera in the place of the first is told, where "+name, func(t *testing.T) {
			var seen []string
			cam := newCamera(t, v4l2.Options{Path: link, Pin: pin, Seen: func(_ context.Context, id trust.Identity, trusted bool) {
				seen = append(seen, fmt.Sprint(id.Bus, trusted))
			}})
			point(paths[0])
			works(t, cam)
			point(paths[1])
			_ = stream(t, cam, after(3))
			want := fmt.Sprint([]string{"platform:vivid-000 true", "platform:vivid-001 " + strconv.FormatBool(pin == trust.Pin{})})
			if got := fmt.Sprint(seen); strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
				t.Errorf("told %s, want %s", got, want)
			}
		})
	}
}

func TestGuestABusyCameraSaysWhoHoldsIt(t *testing.T) {
	path := guesttest.Cameras(t, guesttest.Webcam()...)[0]
	held, err := v4l2.Hold(path)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "read line")
	cmd.ExtraFiles = []*os.File{held}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	held.Close()
	c := newCamera(t, v4l2.Options{Path: path})
	if err := stream(t, c, after(1)); !errors.Is(err, v4l2.ErrBusy) || !strings.Contains(err.Error(), fmt.Sprintf("(%d)", cmd.Process.Pid)) {
		t.Errorf("Stream() = %v, want %v naming process %d", err, v4l2.ErrBusy, cmd.Process.Pid)
	}
	_ = in.Close()
	_ = cmd.Wait()
	works(t, c)
}

func TestGuestListSaysWhatIsNoCamera(t *testing.T) {
	guesttest.Load(t, "vivid", "node_types=0x101", "num_inputs=1", "input_types=0x0", "num_outputs=1", "output_types=0x0")
	all, err := v4l2.List(v4l2.Options{Trust: trust.Test})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 {
		t.Fatalf("%d devices: %+v", len(all), all)
	}
	cam, out := all[0], all[1]
	if cam.Err != nil {
		cam, out = out, cam
	}
	if cam.Err != nil || !cam.Trust.Accepted || len(cam.Modes) < 12 || cam.Why == "" || cam.Mode.Format == "" {
		t.Errorf("the camera is %+v", cam)
	}
	if !errors.Is(out.Err, v4l2.ErrNotCamera) || !strings.Contains(out.Err.Error(), "does not capture") || out.ID.Driver != "vivid" {
		t.Errorf("the output is %+v", out)
	}
	t.Logf("%v because %s; %v", cam.Mode, cam.Why, out.Err)
}

func TestGuestControlsAreReadBack(t *testing.T) {
	path := guesttest.Cameras(t, guesttest.Webcam()...)[0]
	c := newCamera(t, v4l2.Options{Path: path, Controls: v4l2.Controls{Rate: 10, Gain: "77", Focus: "30", WhiteBalance: "auto"}})
	works(t, c)
	s := c.Status()
	if want := "gain 77, white_balance: it has no such control, focus: it has no such control"; s.Controls != want {
		t.Errorf("controls %q, want %q", s.Controls, want)
	}
	if s.Mode.Rate != 10 {
		t.Errorf("the mode is %v, want a rate of 10", s.Mode)
	}
	c = newCamera(t, v4l2.Options{Path: path, Controls: v4l2.Controls{Gain: "100000"}})
	works(t, c)
	if s := c.Status(); !strings.Contains(s.Controls, "gain: does not take 100000; it takes 0 to 255") {
		t.Errorf("controls %q", s.Controls)
	}
}

// TestGuestExposureIsCorrectedWhileItStreams has vivid's gain for an exposure: it
// has neither compensation nor an exposure time. Its picture does not follow the
// gain, so this is about the controls and their automatics alone.
func TestGuestExposureIsCorrectedWhileItStreams(t *testing.T) {
	path := guesttest.Cameras(t, guesttest.Webcam()...)[0]
	c := newCamera(t, v4l2.Options{Path: path, Controls: v4l2.Controls{Rate: 15, Exposure: "face"}})
	gain := func() int32 { return guesttest.ReadControl(t, path, "Gain") }
	automatic := func() int32 { return guesttest.ReadControl(t, path, "Gain, Automatic") }
	guesttest.SetControl(t, path, "Gain, Automatic", 0) // as a kiosk that was killed leaves it
	n := 0
	if err := stream(t, c, func(*kiosk.Frame) bool {
		n++
		switch n {
		case 1:
			if automatic() != 1 {
				t.Error("the stream begins without the automatic")
			}
		case 5:
			if _, err := c.Correct(-0.5); err != nil {
				t.Error(err)
			}
			down := gain()
			if down < 8 { // vivid's automatic counts seconds, to 255 and from 0 again: wait until there is something to take away
				_, err := c.Correct(0)
				n--
				return err != nil
			}
			got, err := c.Correct(-2)
			if err != nil || got > -1 || automatic() != 0 || gain() >= down {
				t.Errorf("Correct(-2) = %.2f, %v: gain %d after %d, automatic %d", got, err, gain(), down, automatic())
			}
			t.Logf("gain %d at -0.5 stops, %d at %.2f", down, gain(), got)
		case 6:
			held := gain()
			if err := c.Freeze(); err != nil || gain() != held {
				t.Errorf("Freeze() = %v: gain %d, it was %d", err, gain(), held)
			}
			if err := c.Thaw(); err != nil || gain() != held || automatic() != 0 {
				t.Errorf("Thaw() = %v: gain %d, it was %d", err, gain(), held)
			}
		case 7:
			if got, err := c.Correct(0); got != 0 || err != nil || automatic() != 1 {
				t.Errorf("Correct(0) = %g, %v: automatic %d", got, err, automatic())
			}
			if err := c.Freeze(); err != nil || automatic() != 0 {
				t.Errorf("Freeze() = %v: automatic %d", err, automatic())
			}
		}
		return n == 8
	}); err != nil {
		t.Fatal(err)
	}
	if automatic() != 1 {
		t.Error("the stream ended without giving the automatic back")
	}
	if s := c.Status(); !strings.Contains(s.Controls, "exposure by the face, with gain") {
		t.Errorf("controls %q", s.Controls)
	}
	if _, err := c.Correct(1); !errors.Is(err, kiosk.ErrNoControl) {
		t.Errorf("Correct() without a stream = %v", err)
	}
}

// TestGuestMJPEG streams from v4l2loopback what the test writes to it: whole
// images are passed on byte for byte, and broken ones skipped and counted.
func TestGuestMJPEG(t *testing.T) {
	guesttest.Load(t, "v4l2loopback", "video_nr=9", "exclusive_caps=0")
	p := newProgram(t, "/dev/video9")
	if err := p.setFormat(2, "MJPG", 1280, 720); err != nil {
		t.Fatal(err)
	}
	whole := append(append([]byte{0xff, 0xd8, 0xff, 0xe0}, bytes.Repeat([]byte{7}, 40000)...), 0xff, 0xd9)
	torn := whole[:len(whole)/2]
	late := whole[100:]
	if _, err := unix.Write(p.fd, whole); err != nil { // it has no format before
		t.Fatal(err)
	}
	stop := make(chan struct{})
	written := make(chan error, 1)
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-stop:
				written <- nil
				return
			case <-tick.C:
			}
			if _, err := unix.Write(p.fd, [][]byte{whole, whole, torn, whole, late}[i%5]); err != nil {
				written <- err
				return
			}
		}
	}()
	c := newCamera(t, v4l2.Options{Path: "/dev/video9"})
	n := 0
	if err := stream(t, c, func(f *kiosk.Frame) bool {
		if f.Format != kiosk.MJPEG || f.Size != image.Pt(1280, 720) || !bytes.HasPrefix(f.Data, whole) { // its first buffers are padded
			t.Errorf("a frame of %s %v, %d bytes", f.Format, f.Size, len(f.Data))
		}
		n++
		return n >= 30 && c.Status().Stats.Corrupt > 5
	}); err != nil {
		t.Error(err)
	}
	close(stop)
	if err := <-written; err != nil {
		t.Error(err)
	}
	s := c.Status()
	t.Logf("%+v", s)
	if s.Stats.Short+s.Stats.Flawed != 0 || s.Mode.Format != kiosk.MJPEG || !strings.HasPrefix(s.Why, "MJPG") {
		t.Errorf("status %+v", s)
	}
}

func TestGuestAConsumerThatGivesNothingBackCostsFramesOnly(t *testing.T) {
	path := guesttest.Cameras(t, guesttest.Webcam()...)[0]
	pool := camera.NewPool(2)
	c := newCamera(t, v4l2.Options{Path: path, Pool: pool})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var held []*kiosk.Frame
	done := make(chan error, 1)
	go func() {
		done <- c.Stream(ctx, func(f *kiosk.Frame) {
			held = append(held, f)
			if len(held) > 2 {
				cancel()
			}
		})
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for c.Status().Stats.Starved < 5 {
		select {
		case <-tick.C:
		case err := <-done:
			t.Fatalf("the stream ended: %v", err)
		}
	}
	// Two are held; the stream goes on with the newest once one is back.
	s := c.Status().Stats
	if s.Frames != 2 {
		t.Errorf("stats %+v", s)
	}
	held[0].Release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if len(held) != 3 || held[2].Sequence < held[1].Sequence+5 {
		t.Errorf("%d frames; the last is number %d after %d", len(held), held[2].Sequence, held[1].Sequence)
	}
	held[1].Release()
	held[2].Release()
}

func logger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// TestGuestASwapVoidsTheSession has a session's camera unplugged, and another
// one in its place when it is opened anew.
func TestGuestASwapVoidsTheSession(t *testing.T) {
	first := guesttest.Cameras(t, guesttest.Webcam()...)[0]
	guesttest.Load(t, "v4l2loopback", "video_nr=9", `card_label="HD Pro Webcam C920"`, "exclusive_caps=0")
	other := newProgram(t, "/dev/video9")
	if err := other.setFormat(2, "YUYV", 640, 480); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(other.fd, make([]byte, 2*640*480)); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "camera")
	if err := os.Symlink(first, link); err != nil {
		t.Fatal(err)
	}
	policy := flow.Standard()
	var mu sync.Mutex
	session := flow.State{Phase: flow.Idle}
	var reports []flow.Report
	step := func(at time.Duration, in flow.Input) {
		mu.Lock()
		defer mu.Unlock()
		var fx []flow.Effect
		session, fx = policy.Step(session, at, in)
		for _, e := range fx {
			if r, is := e.(flow.Report); is {
				reports = append(reports, r)
			}
		}
	}
	step(time.Second, flow.Launched{Session: "s1", Locale: kiosk.English})
	step(2*time.Second, flow.Tapped{Session: "s1", Control: kiosk.Agree})
	step(2*time.Second, flow.Tapped{Session: "s1", Control: kiosk.Ready})
	frames := make(chan struct{}, 1)
	cam, err := camera.New(camera.Options{
		Source: newCamera(t, v4l2.Options{Path: link, Seen: func(_ context.Context, id trust.Identity, trusted bool) {
			step(3*time.Second, flow.Opened{Camera: id.String(), Trusted: trusted})
		}}),
		Put: func(f *kiosk.Frame) {
			f.Release()
			select {
			case frames <- struct{}{}:
			default:
			}
		},
		Start: patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- cam.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	cam.Want(true)
	<-frames
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/video9", link); err != nil {
		t.Fatal(err)
	}
	guesttest.SetControl(t, first, "Disconnect", 1)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ended := false; !ended; {
		select {
		case <-tick.C:
		case <-timer.C:
			t.Fatalf("the session goes on: %+v", cam.Stats())
		}
		mu.Lock()
		ended = session.Phase == flow.Outcome
		mu.Unlock()
	}
	mu.Lock()
	defer mu.Unlock()
	if want := (flow.Report{Status: kiosk.Errored, Error: kiosk.SecurityError, Detail: kiosk.Tampered}); len(reports) != 2 || reports[1] != want {
		t.Errorf("reports %+v, want %+v in the end", reports, want)
	}
}

// TestGuestAutoTellsOfStrangersOnly has a camera unplugged beside a device that
// is refused: one that was there all the time takes nobody's place.
func TestGuestAutoTellsOfStrangersOnly(t *testing.T) {
	path := guesttest.Cameras(t, guesttest.Webcam()...)[0]
	all, err := v4l2.List(v4l2.Options{Trust: trust.Test})
	if err != nil || len(all) != 1 {
		t.Fatalf("%d devices, %v", len(all), err)
	}
	var seen []bool
	cam := newCamera(t, v4l2.Options{Pin: all[0].ID.Pin(), Seen: func(_ context.Context, _ trust.Identity, trusted bool) { seen = append(seen, trusted) }})
	for _, c := range []struct {
		name    string
		appears bool
		want    []bool
	}{
		{"it came meanwhile", true, []bool{true, false}},
		{"it was there", false, []bool{true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen = nil
			if !c.appears {
				guesttest.Load(t, "v4l2loopback", "video_nr=9", "exclusive_caps=0")
			}
			works(t, cam)
			if c.appears {
				guesttest.Load(t, "v4l2loopback", "video_nr=9", "exclusive_caps=0")
			}
			replug := guesttest.Unplug(t, path)
			if err := stream(t, cam, after(1)); !errors.Is(err, v4l2.ErrUntrusted) {
				t.Errorf("Stream() = %v", err)
			}
			replug()
			if !slices.Equal(seen, c.want) {
				t.Errorf("told %v, want %v", seen, c.want)
			}
		})
	}
}
