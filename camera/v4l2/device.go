//go:build cgo

package v4l2

import (
	"cmp"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	low "github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"

	"livekiosk/kiosk"
)

const (
	buffers   = 4                      // one being filled, one being read, two for a slow moment
	rate      = 30                     // frames a second
	patience  = 100 * time.Millisecond // between looks at the context
	fourccNV1 = 'N' | 'V'<<8 | '1'<<16 | '2'<<24
)

// A device is an open descriptor, its mode and its mappings.
type device struct {
	low.StreamingDevice // nil: go4vl asks a device only for what the methods below tell

	path, card, bus string
	fd              int
	format          kiosk.Format
	size            image.Point
	stride          int
	maps            [][]byte
	codes           map[kiosk.Format]low.FourCCType // as the device lists them
	count           uint32
	streaming       bool
	began           time.Duration
}

// Fd is asked for by go4vl, as are the next three.
func (d *device) Fd() uintptr { return uintptr(d.fd) }

// MemIOType returns that buffers are mapped.
func (d *device) MemIOType() low.IOType { return low.IOTypeMMAP }

// BufferType returns that buffers are filled by the device.
func (d *device) BufferType() low.BufType { return low.BufTypeVideoCapture }

// BufferCount returns how many buffers are asked for, or were made.
func (d *device) BufferCount() uint32 { return d.count }

// candidates returns the video devices in order of their numbers.
func candidates() ([]string, error) {
	paths, err := filepath.Glob("/dev/video[0-9]*")
	if err != nil {
		return nil, fmt.Errorf("look for cameras: %w", err)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("/dev/video*: %w: no device; is it plugged in?", ErrNoCamera)
	}
	slices.SortFunc(paths, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
	return paths, nil
}

// open opens a device that can capture, and does not change it.
func open(path string) (*device, error) {
	// Opening can have effects on what is no camera (a serial line), so look first.
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return nil, explain(path, "find", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR {
		return nil, fmt.Errorf("%s: %w: no character device", path, ErrNotCamera)
	}
	d := &device{path: path, fd: -1}
	for {
		var err error
		d.fd, err = unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, explain(path, "open", err)
		}
		break
	}
	if err := d.identify(); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// identify asks the device what it is.
func (d *device) identify() error {
	capability, err := low.GetCapability(d.Fd())
	if err != nil {
		return d.explain("ask what it is", err)
	}
	d.card, d.bus = capability.Card, capability.BusInfo
	flags := capability.GetCapabilities()
	switch {
	case flags&(low.CapVideoMem2Mem|low.CapVideoMem2MemMPlane) != 0:
		return fmt.Errorf("%s (%s): %w: a converter", d.path, d.card, ErrNotCamera)
	case flags&low.CapVideoCapture == 0 && flags&low.CapVideoCaptureMPlane != 0:
		return fmt.Errorf("%s (%s): %w: it has the multi-planar interface only", d.path, d.card, ErrNotCamera)
	case flags&low.CapVideoCapture == 0:
		return fmt.Errorf("%s (%s): %w: it does not capture video", d.path, d.card, ErrNotCamera)
	case flags&low.CapStreaming == 0:
		return fmt.Errorf("%s (%s): %w: it does not stream", d.path, d.card, ErrNotCamera)
	default:
		return nil
	}
}

// start sets the best mode and starts the stream.
func (d *device) start() error {
	modes, err := d.modes()
	if err != nil {
		return err
	}
	mode, err := Choose(modes)
	if err != nil {
		return fmt.Errorf("%s (%s): %w", d.path, d.card, err)
	}
	if err := d.set(mode); err != nil {
		return err
	}
	if err := d.allocate(); err != nil {
		return err
	}
	d.began = now()
	if err := low.StreamOn(d); err != nil {
		return d.explain("start streaming", err)
	}
	d.streaming = true
	return nil
}

// modes asks for the modes of the formats that are of use.
func (d *device) modes() (modes []Mode, err error) {
	d.codes = map[kiosk.Format]low.FourCCType{}
	list, err := low.GetAllFormatDescriptions(d.Fd())
	if err != nil && len(list) == 0 {
		return nil, d.explain("list formats", err)
	}
	for _, desc := range list {
		format := formatOf(desc.PixelFormat)
		if _, listed := d.codes[format]; format == "" || listed {
			continue // MJPEG goes by two codes
		}
		d.codes[format] = desc.PixelFormat
		sizes, err := low.GetFormatFrameSizes(d.Fd(), desc.PixelFormat)
		if err != nil && len(sizes) == 0 {
			// Some drivers list none: let S_FMT find out.
			modes = append(modes, Mode{Format: format, Max: image.Pt(4096, 4096)})
			continue
		}
		for _, s := range sizes {
			m := Mode{
				Format: format,
				Min:    image.Pt(int(s.Size.MinWidth), int(s.Size.MinHeight)),
				Max:    image.Pt(int(s.Size.MaxWidth), int(s.Size.MaxHeight)),
			}
			if s.Type == low.FrameSizeTypeDiscrete {
				m.Rate = d.rate(desc.PixelFormat, s.Size.MaxWidth, s.Size.MaxHeight)
			} else {
				m.Step = image.Pt(int(s.Size.StepWidth), int(s.Size.StepHeight))
			}
			modes = append(modes, m)
		}
	}
	return modes, nil
}

// rate returns the highest rate that is listed for a size; 0 if none is.
func (d *device) rate(format low.FourCCType, w, h uint32) (best float64) {
	for i := range uint32(64) {
		v, err := low.GetFormatFrameInterval(d.Fd(), i, format, w, h)
		if err != nil || v.Type != low.FrameIntervalTypeDiscrete {
			break
		}
		if f := v.Interval.Min; f.Numerator > 0 {
			best = max(best, float64(f.Denominator)/float64(f.Numerator))
		}
	}
	return best
}

// set asks for a mode and takes what the driver makes of it, if it is of use.
func (d *device) set(m Mode) error {
	if err := low.SetPixFormat(d.Fd(), low.PixFormat{
		Width: uint32(m.Max.X), Height: uint32(m.Max.Y), PixelFormat: d.codes[m.Format], Field: low.FieldNone,
	}); err != nil {
		return d.explain("set the format", err)
	}
	got, err := low.GetPixFormat(d.Fd())
	if err != nil {
		return d.explain("read the format", err)
	}
	d.format, d.size = formatOf(got.PixelFormat), image.Pt(int(got.Width), int(got.Height))
	if d.format == "" || !large(d.size) {
		return fmt.Errorf("%s (%s): %w: asked for %s of %v it gives %#x of %v",
			d.path, d.card, ErrNotCamera, m.Format, m.Max, got.PixelFormat, d.size)
	}
	if d.format != kiosk.MJPEG {
		d.stride = int(got.BytesPerLine)
	}
	// A driver without a choice of rates says so; it streams all the same.
	if err := low.SetStreamParam(d.Fd(), low.BufTypeVideoCapture, low.StreamParam{
		Capture: low.CaptureParam{TimePerFrame: low.Fract{Numerator: 1, Denominator: rate}},
	}); err != nil && alive(d.fd) != nil {
		return d.explain("set the rate", err)
	}
	return nil
}

// allocate has the driver make buffers, maps and queues them.
func (d *device) allocate() error {
	d.count = buffers
	got, err := low.InitBuffers(d)
	if err != nil {
		return d.explain("make buffers", err)
	}
	if got.Count < 2 {
		return fmt.Errorf("%s (%s): make buffers: it has memory for %d only", d.path, d.card, got.Count)
	}
	d.count = got.Count
	for i := range d.count {
		b, err := low.GetBuffer(d, i)
		if err != nil {
			return d.explain("find a buffer", err)
		}
		m, err := unix.Mmap(d.fd, int64(b.Info.Offset), int(b.Length), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return d.explain("map a buffer", err)
		}
		d.maps = append(d.maps, m)
		if err := d.requeue(i); err != nil {
			return err
		}
	}
	return nil
}

// next waits a moment for a filled buffer.
func (d *device) next() (capture, error) {
	ready, trouble, err := wait(d.fd, patience)
	if err != nil {
		return capture{}, d.explain("wait for a frame", err)
	}
	if !ready {
		return capture{}, nil
	}
	b := buffer{typ: low.BufTypeVideoCapture, memory: low.IOTypeMMAP}
	if err := dequeue(d.fd, &b); errors.Is(err, unix.EAGAIN) && !trouble {
		return capture{}, nil
	} else if err != nil {
		return capture{}, d.explain("take a frame", err)
	}
	if int(b.index) >= len(d.maps) {
		return capture{}, fmt.Errorf("%s (%s): take a frame: buffer %d of %d", d.path, d.card, b.index, len(d.maps))
	}
	m := d.maps[b.index]
	c := capture{arrived: true, index: b.index, sequence: b.sequence, at: now()}
	if b.flags&low.BufFlagTimestampMask == low.BufFlagTimestampMonotonic {
		c.at = time.Duration(b.sec)*time.Second + time.Duration(b.usec)*time.Microsecond
	}
	c.flawed = b.flags&low.BufFlagError != 0 || int(b.bytesUsed) > len(m)
	c.data = m[:min(int(b.bytesUsed), len(m))]
	return c, nil
}

// requeue gives a buffer to the driver.
func (d *device) requeue(index uint32) error {
	b := buffer{index: index, typ: low.BufTypeVideoCapture, memory: low.IOTypeMMAP}
	if err := queue(d.fd, &b); err != nil {
		return d.explain("return a buffer", err)
	}
	return nil
}

// close stops, unmaps and closes, whatever was begun. It reports nothing: after
// an unplugging most of it fails, and all that matters is that nothing stays.
func (d *device) close() {
	if d.streaming {
		_ = low.StreamOff(d)
		d.streaming = false
	}
	for _, m := range d.maps {
		_ = unix.Munmap(m)
	}
	d.maps = nil
	if d.fd >= 0 {
		_ = unix.Close(d.fd)
		d.fd = -1
	}
}

// explain names what went wrong with an open device. go4vl does not always
// keep the error number, so a device that is gone is recognised by asking it.
func (d *device) explain(doing string, err error) error {
	if gone := alive(d.fd); errors.Is(gone, unix.ENODEV) {
		err = gone
	}
	return explain(d.path, doing, err)
}

// explain says what is wrong and what to do.
func explain(path, doing string, err error) error {
	switch {
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%s: %w: is it plugged in?", path, ErrNoCamera)
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("%s: %w", path, ErrUnplugged)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("%s: %w: the daemon's user must be in the device's group, usually video", path, ErrDenied)
	case errors.Is(err, unix.EBUSY):
		if who := holders(path); len(who) > 0 {
			return fmt.Errorf("%s: %w by %s", path, ErrBusy, strings.Join(who, ", "))
		}
		return fmt.Errorf("%s: %w; by whom is hidden from this user", path, ErrBusy)
	case errors.Is(err, unix.ENOTTY), errors.Is(err, low.ErrorUnsupported):
		return fmt.Errorf("%s: %w: it does not understand V4L2 (%s)", path, ErrNotCamera, doing)
	default:
		return fmt.Errorf("%s: %s: %w", path, doing, err)
	}
}

// holders names the other processes that have path open, as far as this
// process may see: a program's name and its process id.
func holders(path string) (who []string) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	fds, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return nil
	}
	self := strconv.Itoa(os.Getpid())
	for _, fd := range fds {
		process := filepath.Dir(filepath.Dir(fd))
		pid := filepath.Base(process)
		if target, err := os.Readlink(fd); err != nil || target != path || pid == self {
			continue
		}
		name := "process"
		if comm, err := os.ReadFile(filepath.Join(process, "comm")); err == nil {
			name = strings.TrimSpace(string(comm))
		}
		if entry := name + " (" + pid + ")"; !slices.Contains(who, entry) {
			who = append(who, entry)
		}
	}
	return who
}

// formatOf returns the format of a V4L2 code; "" if it is of no use here.
func formatOf(code low.FourCCType) kiosk.Format {
	switch code {
	case low.PixelFmtMJPEG, low.PixelFmtJPEG:
		return kiosk.MJPEG
	case low.PixelFmtYUYV:
		return kiosk.YUYV
	case low.PixelFmtUYVY:
		return kiosk.UYVY
	case fourccNV1:
		return kiosk.NV12
	case low.PixelFmtGrey:
		return kiosk.Grey
	default:
		return ""
	}
}
