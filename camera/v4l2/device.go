//go:build cgo

package v4l2

import (
	"cmp"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	low "github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"

	"livekiosk/camera/trust"
	"livekiosk/kiosk"
)

const (
	buffers  = 4                      // one being filled, one being read, two for a slow moment
	patience = 100 * time.Millisecond // between looks at the context
)

// A device is an open descriptor, its mode and its mappings.
type device struct {
	low.StreamingDevice // nil: go4vl asks a device only for what the methods below tell

	path      string
	id        trust.Identity
	fd        int
	kind      uint32 // of buffers: singlePlanar or multiPlanar
	mode      Mode   // as chosen, with the rate as the driver gives it
	why       string // it was chosen
	adjusted  string // what became of the controls
	exposer   *exposer
	format    kiosk.Format
	size      image.Point
	stride    int
	maps      [][]byte
	plane     *plane // of the buffer that is asked for, where kind is multiPlanar
	pin       runtime.Pinner
	codes     map[kiosk.Format]uint32 // as the device lists them
	count     uint32
	streaming bool
	began     time.Duration
}

// Fd is asked for by go4vl, as are the next three.
func (d *device) Fd() uintptr { return uintptr(d.fd) }

// MemIOType returns that buffers are mapped.
func (d *device) MemIOType() low.IOType { return low.IOTypeMMAP }

// BufferType returns that buffers are filled by the device.
func (d *device) BufferType() low.BufType { return d.kind }

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

// open opens a device that can capture, and does not change it. Of one that
// cannot, it returns the identity all the same, and the error.
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
		return d, err // for what it told
	}
	return d, nil
}

// identify asks the device, and the kernel, what it is.
func (d *device) identify() error {
	deepen()
	capability, err := low.GetCapability(d.Fd())
	if err != nil {
		return d.explain("ask what it is", err)
	}
	var st unix.Stat_t // of what is open, whatever the path is by now
	if err := unix.Fstat(d.fd, &st); err != nil {
		return d.explain("ask what it is", err)
	}
	d.id = trust.Locate(trust.Sysfs, unix.Major(st.Rdev), unix.Minor(st.Rdev), trust.Identity{
		Driver: capability.Driver, Card: capability.Card, Bus: capability.BusInfo,
	})
	flags := capability.GetCapabilities()
	switch {
	case flags&(low.CapVideoMem2Mem|low.CapVideoMem2MemMPlane) != 0:
		return d.not("a converter")
	case flags&low.CapVideoCapture != 0:
		d.kind = singlePlanar
	case flags&low.CapVideoCaptureMPlane != 0:
		d.kind, d.plane = multiPlanar, new(plane)
		d.pin.Pin(d.plane)
	default:
		return d.not("it does not capture video")
	}
	if flags&low.CapStreaming == 0 {
		return d.not("it does not stream")
	}
	return nil
}

// not says why the device is no camera.
func (d *device) not(why string) error {
	return fmt.Errorf("%s (%s): %w: %s", d.path, d.id.Card, ErrNotCamera, why)
}

// start sets the mode that choose prefers and the controls, and starts the
// stream.
func (d *device) start(choose func([]Mode) (Mode, string, error), c Controls) error {
	deepen()
	modes, err := d.modes()
	if err != nil {
		return err
	}
	if d.mode, d.why, err = choose(modes); err != nil {
		return fmt.Errorf("%s (%s): %w", d.path, d.id.Card, err)
	}
	if err := d.set(d.mode, cmp.Or(c.Rate, wantedRate)); err != nil {
		return err
	}
	d.adjusted = c.adjust(d.Fd())
	if c.Exposure == byFace {
		d.exposer = newExposer(driver(d.Fd()), c, d.mode.Rate)
		d.adjusted = strings.TrimPrefix(d.adjusted+", "+d.exposer.String(), ", ")
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
	d.codes = map[kiosk.Format]uint32{}
	list, err := codes(d.fd, d.kind)
	if err != nil {
		return nil, d.explain("list formats", err)
	}
	for _, code := range list {
		format := formatOf(code)
		if _, listed := d.codes[format]; format == "" || listed {
			continue // MJPEG goes by two codes
		}
		d.codes[format] = code
		sizes, err := low.GetFormatFrameSizes(d.Fd(), code)
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
				m.Rate = d.rate(code, s.Size.MaxWidth, s.Size.MaxHeight)
			} else {
				m.Step = image.Pt(int(s.Size.StepWidth), int(s.Size.StepHeight))
			}
			modes = append(modes, m)
		}
	}
	if len(modes) == 0 && slices.ContainsFunc(list, bayer) {
		return nil, fmt.Errorf("%s (%s): %w", d.path, d.id.Card, ErrRaw)
	}
	return modes, nil
}

// rate returns the highest rate that is listed for a size; 0 if none is, or a
// range, which go4vl reads wrongly.
func (d *device) rate(code, w, h uint32) (best float64) {
	for i := range uint32(64) {
		v, err := low.GetFormatFrameInterval(d.Fd(), i, code, w, h)
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
func (d *device) set(m Mode, rate int) error {
	got, err := setFormat(d.fd, d.kind, d.codes[m.Format], uint32(m.Max.X), uint32(m.Max.Y))
	if err != nil {
		return d.explain("set the format", err)
	}
	d.format, d.size, d.stride = formatOf(got.code), image.Pt(int(got.width), int(got.height)), 0
	switch {
	case d.format == "" || !large(d.size):
		return d.not(fmt.Sprintf("asked for %s of %v it gives %#x of %v", m.Format, m.Max, got.code, d.size))
	case got.planes() != 1:
		return d.not(fmt.Sprintf("its %s images lie in %d parts of memory", m.Format, got.planes()))
	case d.format != kiosk.MJPEG:
		d.stride = got.stride()
	}
	d.mode = Mode{Format: d.format, Min: d.size, Max: d.size}
	// A driver without a choice of rates says so; it streams all the same.
	if d.mode.Rate, err = setRate(d.fd, d.kind, uint32(rate)); err != nil && alive(d.fd) != nil {
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
		return fmt.Errorf("%s (%s): make buffers: it has memory for %d only", d.path, d.id.Card, got.Count)
	}
	d.count = got.Count
	for i := range d.count {
		b := d.buffer(i)
		if err := find(d.fd, &b); err != nil {
			return d.explain("find a buffer", err)
		}
		offset, length := b.m, b.length
		if d.plane != nil {
			offset, length = d.plane.offset, d.plane.length
		}
		// A kernel of 64 bits fills the lower half of the offset only.
		m, err := unix.Mmap(d.fd, int64(uint32(offset)), int(length), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
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

// buffer returns what asks for a buffer. It is valid until it is asked for
// another.
func (d *device) buffer(index uint32) buffer {
	b := buffer{index: index, typ: d.kind, memory: low.IOTypeMMAP}
	if d.plane != nil {
		*d.plane = plane{}
		b.m, b.length = uint64(uintptr(unsafe.Pointer(d.plane))), 1
	}
	return b
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
	b := d.buffer(0)
	if err := dequeue(d.fd, &b); errors.Is(err, unix.EAGAIN) && !trouble {
		return capture{}, nil
	} else if err != nil {
		return capture{}, d.explain("take a frame", err)
	}
	if int(b.index) >= len(d.maps) {
		return capture{}, fmt.Errorf("%s (%s): take a frame: buffer %d of %d", d.path, d.id.Card, b.index, len(d.maps))
	}
	begin, end, m := 0, int(b.bytesUsed), d.maps[b.index]
	if d.plane != nil {
		begin, end = int(d.plane.begin), int(d.plane.bytesUsed)
	}
	c := capture{arrived: true, index: b.index, sequence: b.sequence, at: now()}
	if b.flags&low.BufFlagTimestampMask == low.BufFlagTimestampMonotonic {
		c.at = time.Duration(b.sec)*time.Second + time.Duration(b.usec)*time.Microsecond
	}
	c.flawed = b.flags&low.BufFlagError != 0 || begin > end || end > len(m)
	if !c.flawed {
		c.data = m[begin:end]
	}
	return c, nil
}

// requeue gives a buffer to the driver.
func (d *device) requeue(index uint32) error {
	b := d.buffer(index)
	if err := queue(d.fd, &b); err != nil {
		return d.explain("return a buffer", err)
	}
	return nil
}

// close stops, unmaps and closes, whatever was begun. It reports nothing: after
// an unplugging most of it fails, and all that matters is that nothing stays.
func (d *device) close() {
	if d.streaming {
		deepen()
		_ = low.StreamOff(d)
		d.streaming = false
	}
	for _, m := range d.maps {
		_ = unix.Munmap(m)
	}
	d.maps = nil
	d.pin.Unpin()
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
func formatOf(code uint32) kiosk.Format {
	switch f := kiosk.Format(fourcc(code)); f {
	case "JPEG":
		return kiosk.MJPEG
	case kiosk.MJPEG, kiosk.YUYV, kiosk.UYVY, kiosk.NV12, kiosk.Grey:
		return f
	default:
		return ""
	}
}

func fourcc(code uint32) string {
	return string([]byte{byte(code), byte(code >> 8), byte(code >> 16), byte(code >> 24)})
}

// bayer tells whether a code is that of raw sensor data: 8 to 16 bits, plain or
// packed.
func bayer(code uint32) bool {
	return slices.Contains([]string{
		"BA81", "GBRG", "GRBG", "RGGB", "BG10", "GB10", "BA10", "RG10", "pBAA", "pGAA", "pgAA", "pRAA", "BG12", "GB12", "BA12", "RG12",
		"pBCC", "pGCC", "pgCC", "pRCC", "BG14", "GB14", "GR14", "RG14", "pBEE", "pGEE", "pgEE", "pREE", "BYR2", "GB16", "GR16", "RG16",
	}, fourcc(code))
}
