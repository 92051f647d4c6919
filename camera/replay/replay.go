// Package replay is a camera without a camera: it plays a directory of recorded
// JPEG frames, or composes a clip of a visitor who walks up to the kiosk.
//
// The composed visitor is a public-domain portrait whose head is a surface in
// depth, seen through a pinhole camera. Coming closer therefore changes its
// proportions as it does on a real head. The spoof clip shows the same portrait
// as a faded print, which is flat, so its proportions stay.
//
// The loops over pixels are exempt from the race detector: each picture is one
// goroutine's own, and under the detector it would take ten times as long.
package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"livekiosk/kiosk"
)

// The composed clips.
const (
	Portrait = "portrait" // a live person walks up, comes closer and leaves
	Spoof    = "spoof"    // the same, but with a faded print held up to the camera
	Empty    = "empty"    // nobody
)

// Bounds of the options, and the defaults of what is left zero.
const (
	minSide = 240  // of a composed frame, pixels
	maxSide = 3840 // of a composed frame, pixels
	maxFPS  = 60

	defaultWidth, defaultHeight = 1280, 720
	defaultFPS                  = 15

	quality = 85 // JPEG quality of composed frames, as a camera's MJPEG

	// cacheLimit bounds the encoded frames that are kept for the next round.
	// One round at 1280x720 and 15 frames/s fits.
	cacheLimit = 24 << 20
)

// Options says what to play.
type Options struct {
	// Clip is Portrait, Spoof, Empty, or the path of a directory that holds
	// JPEG frames of one size and nothing else (names that begin with a dot
	// are passed over). They are played in the order of their names.
	Clip string

	// Size of composed frames in pixels, each side 240..3840; zero means
	// 1280x720. A recording has its own size.
	Size image.Point

	// FPS is the frame rate in frames per second, 1..60; zero means 15.
	FPS int

	// Encode appends img as one JPEG of the quality (1..100) to dst and returns
	// the result. It must not keep img. Nil means image/jpeg.
	Encode func(dst []byte, img *image.RGBA, quality int) ([]byte, error)

	// Once keeps the last frame of a recording standing where it would start
	// over. Composed clips always start over: the visitor walks up again.
	Once bool

	// Display tells how the kiosk's display lights a composed visitor, as
	// Light.Display has it, in the frame of a time since boot. It must be safe to
	// call from any goroutine. Nil: it is dark.
	Display func(at time.Duration) [3]float64

	// Stay is how much longer than in the clip the visitor stands near.
	Stay time.Duration

	// Seed chooses the noise and the plant's leaves of a composed clip.
	Seed uint64
}

// Validate reports the first thing that is wrong with o. It does not look at
// the disk.
func (o Options) Validate() error {
	switch {
	case o.Clip == "":
		return fmt.Errorf("replay: no clip: want %s, %s, %s or a directory of JPEG frames", Portrait, Spoof, Empty)
	case o.Size != image.Point{} && (min(o.Size.X, o.Size.Y) < minSide || max(o.Size.X, o.Size.Y) > maxSide):
		return fmt.Errorf("replay: size %dx%d: want each side in %d..%d pixels", o.Size.X, o.Size.Y, minSide, maxSide)
	case o.Stay < 0:
		return fmt.Errorf("replay: stay %v: must not be negative", o.Stay)
	case o.FPS < 0 || o.FPS > maxFPS:
		return fmt.Errorf("replay: %d frames/s: want 1..%d, or 0 for %d", o.FPS, maxFPS, defaultFPS)
	}
	return nil
}

// A film is what a source plays. Frames are numbered from 0.
type film interface {
	// length is the number of frames until it starts over; 0 if it never does.
	length() int
	// frame returns the JPEG of frame i, seen at a time since boot, and its size in
	// pixels. It uses the memory of dst, which holds nothing, where that is enough.
	frame(dst []byte, i int, at time.Duration) ([]byte, image.Point, error)
	// image is what one sees at a time, in memory of its own; nil if that
	// cannot be read.
	image(at time.Duration) *image.RGBA
}

// A Source plays one clip as a camera. Its methods may be called concurrently,
// but only one Stream runs at a time; a second one waits for the first.
type Source struct {
	film   film
	period time.Duration

	id      atomic.Uint64
	playing chan struct{} // holds one token while nobody streams
	spare   sync.Pool     // *[]byte of released frames
}

// Open prepares a clip. A recording is checked frame by frame: what is not a
// JPEG of the first frame's size is an error that names the file.
func Open(o Options) (*Source, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Size == (image.Point{}) {
		o.Size = image.Pt(defaultWidth, defaultHeight)
	}
	if o.FPS == 0 {
		o.FPS = defaultFPS
	}
	if o.Encode == nil {
		o.Encode = encode
	}
	s := &Source{period: time.Second / time.Duration(o.FPS), playing: make(chan struct{}, 1)}
	s.playing <- struct{}{}
	var err error
	switch o.Clip {
	case Portrait, Spoof, Empty:
		s.film, err = newClip(o, s.period)
	default:
		s.film, err = openRecording(o, s.period)
	}
	if err != nil {
		return nil, fmt.Errorf("open clip %s: %w", o.Clip, err)
	}
	return s, nil
}

func encode(dst []byte, img *image.RGBA, quality int) ([]byte, error) {
	b := bytes.NewBuffer(dst)
	if err := jpeg.Encode(b, img, &jpeg.Options{Quality: quality}); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Compose returns what is seen at a time since the clip's start, in memory of
// the caller's own. It depends on the options and the time only: the same bytes
// come out on every run of the same build. For a recording it is the decoded
// frame of that time, or nil if the frame can no longer be read.
func (s *Source) Compose(at time.Duration) *image.RGBA { return s.film.image(max(0, at)) }

// Stream plays the clip from its start in real time and passes every frame's
// ownership to put, which must not block for long. It returns nil when ctx
// ended, and an error if a frame could not be read or encoded.
//
// Frames are MJPEG. IDs rise over all streams of the source; Sequence starts at
// 0 with each stream, as a driver's does, and a gap in it is a frame that was
// dropped because it was late: a slow machine loses frames and never lags. At
// is the time of composition since boot (CLOCK_MONOTONIC).
func (s *Source) Stream(ctx context.Context, put func(*kiosk.Frame)) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.playing:
	}
	defer func() { s.playing <- struct{}{} }()

	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; ; n++ {
		if due := int(time.Since(start) / s.period); due > n {
			n = due
		}
		timer.Reset(time.Until(start.Add(time.Duration(n) * s.period)))
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		f, err := s.frame(n)
		if err != nil {
			return fmt.Errorf("replay frame %d: %w", n, err)
		}
		put(f)
	}
}

func (s *Source) frame(n int) (*kiosk.Frame, error) {
	at, err := sinceBoot()
	if err != nil {
		return nil, err
	}
	i := n
	if l := s.film.length(); l > 0 {
		i %= l
	}
	buf, ok := s.spare.Get().(*[]byte)
	if !ok {
		buf = new([]byte)
	}
	data, size, err := s.film.frame((*buf)[:0], i, at)
	if err != nil {
		return nil, err
	}
	*buf = data
	return kiosk.NewFrame(kiosk.Frame{
		ID:       kiosk.FrameID(s.id.Add(1)),
		At:       at,
		Sequence: uint32(n),
		Format:   kiosk.MJPEG,
		Size:     size,
		Data:     data,
	}, func() { s.spare.Put(buf) }), nil
}

func sinceBoot() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0, fmt.Errorf("read CLOCK_MONOTONIC: %w", err)
	}
	return time.Duration(ts.Nano()), nil
}

// A clip is a composed film.
type clip struct {
	encode func([]byte, *image.RGBA, int) ([]byte, error)
	period time.Duration
	frames int

	display func(at time.Duration) [3]float64
	stay    time.Duration

	empty bool // nobody comes
	spoof bool // who comes is a print

	mu     sync.Mutex
	stage  *Composer
	canvas *image.RGBA
	cache  map[int][]byte
	cached int // bytes
}

var errEmptyImage = errors.New("the encoder returned no bytes")

func newClip(o Options, period time.Duration) (*clip, error) {
	stage, err := NewComposer(o.Size, o.Seed)
	if err != nil {
		return nil, err
	}
	if o.Clip != Empty { // now, and not while frames are due
		stage.figure(Person{Print: o.Clip == Spoof})
	}
	if o.Display == nil {
		o.Display = func(time.Duration) [3]float64 { return [3]float64{} }
	}
	return &clip{
		encode:  o.Encode,
		period:  period,
		frames:  int((scriptLength() + o.Stay) / period),
		display: o.Display,
		stay:    o.Stay,
		empty:   o.Clip == Empty,
		spoof:   o.Clip == Spoof,
		stage:   stage,
		cache:   map[int][]byte{},
	}, nil
}

func (c *clip) length() int { return c.frames }

func (c *clip) frame(dst []byte, i int, at time.Duration) ([]byte, image.Point, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	size := c.stage.Size()
	light := Light{Display: c.display(at)}
	if b, ok := c.cache[i]; ok && light == (Light{}) {
		return append(dst, b...), size, nil
	}
	if c.canvas == nil {
		c.canvas = image.NewRGBA(image.Rectangle{Max: c.stage.Size()})
	}
	c.compose(c.canvas, time.Duration(i)*c.period, light)
	n := len(dst)
	dst, err := c.encode(dst, c.canvas, quality)
	if err != nil {
		return nil, size, fmt.Errorf("encode: %w", err)
	}
	if len(dst) == n {
		return nil, size, errEmptyImage
	}
	if c.cached+len(dst)-n <= cacheLimit && light == (Light{}) {
		c.cache[i] = bytes.Clone(dst[n:])
		c.cached += len(dst) - n
	}
	return dst, size, nil
}

func (c *clip) image(at time.Duration) *image.RGBA {
	c.mu.Lock()
	defer c.mu.Unlock()
	img := image.NewRGBA(image.Rectangle{Max: c.stage.Size()})
	c.compose(img, at%(time.Duration(c.frames)*c.period), Light{})
	return img
}

// compose draws the visitor at a time within the clip.
func (c *clip) compose(dst *image.RGBA, at time.Duration, light Light) {
	s := Scene{At: at, Light: light}
	if !c.empty {
		p := visitor(at, c.stay, c.stage.Size())
		p.Print = c.spoof
		s.People = append(s.People, p)
	}
	c.stage.Draw(dst, s)
}
