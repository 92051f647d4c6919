//go:build cgo

package v4l2

import (
	"cmp"
	"fmt"
	"image"
	"slices"
	"strconv"
	"strings"

	"livekiosk/kiosk"
)

// A Mode is what a device offers: a format, sizes from Min to Max in steps of
// Step (one size where Min and Max are the same), and the highest rate.
type Mode struct {
	Format   kiosk.Format
	Min, Max image.Point
	Step     image.Point
	Rate     float64 // frames a second; 0: not told
}

// Rates, in frames a second.
const (
	wantedRate = 30
	usableRate = 15 // below, guidance does not feel like a mirror
)

// formats returns the formats in order of preference. Compressed frames come
// first: they are evidence as they are, and fit the bus at full rate.
func formats() []kiosk.Format {
	return []kiosk.Format{kiosk.MJPEG, kiosk.YUYV, kiosk.NV12, kiosk.UYVY, kiosk.Grey}
}

// Choose returns the best mode of those offered, with one size, and why in
// words for an operator.
//
// MJPEG of 1280x720 or else 1920x1080 at 30 frames a second is what it wants.
// Without it: fast modes before slow ones (below 15 frames a second), MJPEG
// before raw pixels, 1280x720 before 1920x1080 before the others of at least
// 640x480 nearest in area to 1280x720; of one size YUYV, NV12, UYVY, GREY. A
// face that fills an oval has enough pixels at 1280x720; more costs time on
// every frame.
func Choose(modes []Mode) (best Mode, why string, err error) {
	var all []Mode
	for _, m := range modes {
		if slices.Contains(formats(), m.Format) {
			for _, size := range m.sizes() {
				all = append(all, Mode{Format: m.Format, Min: size, Max: size, Rate: m.Rate})
			}
		}
	}
	if len(all) == 0 {
		return Mode{}, "", fmt.Errorf("%w: none of its %d modes is %v of at least 640x480", ErrNotCamera, len(modes), formats())
	}
	best = slices.MinFunc(all, func(a, b Mode) int {
		return cmp.Or(
			flag(!a.wanted())-flag(!b.wanted()),
			flag(a.slow())-flag(b.slow()),
			flag(a.raw())-flag(b.raw()),
			cmp.Compare(rank(a.Max), rank(b.Max)),
			cmp.Compare(slices.Index(formats(), a.Format), slices.Index(formats(), b.Format)),
			-cmp.Compare(a.Rate, b.Rate),
		)
	})
	return best, best.why(all), nil
}

// why says what spoke for m among all.
func (m Mode) why(all []Mode) string {
	var words []string
	switch {
	case !m.raw():
		words = append(words, "MJPG needs no second compression")
	case slices.ContainsFunc(all, func(o Mode) bool { return !o.raw() }):
		words = append(words, fmt.Sprintf("its MJPG is slower than %d/s", usableRate))
	default:
		words = append(words, "it has no MJPG")
	}
	switch rank(m.Max) {
	case -2:
		words = append(words, "1280x720 is wanted")
	case -1:
		words = append(words, "1920x1080 is wanted next after 1280x720")
	default:
		words = append(words, "the size is nearest to 1280x720")
	}
	switch {
	case m.Rate == 0:
		words = append(words, "the rate is not told")
	case m.slow():
		words = append(words, fmt.Sprintf("nothing is faster than %d/s", usableRate))
	case m.Rate < wantedRate:
		words = append(words, fmt.Sprintf("no wanted mode has %d/s", wantedRate))
	}
	return strings.Join(words, "; ")
}

// String returns m such as "MJPG 1280x720 30/s".
func (m Mode) String() string {
	s := fmt.Sprintf("%s %dx%d", m.Format, m.Max.X, m.Max.Y)
	if m.Min != m.Max {
		s = fmt.Sprintf("%s %dx%d to %dx%d", m.Format, m.Min.X, m.Min.Y, m.Max.X, m.Max.Y)
	}
	if m.Rate > 0 {
		s += " " + strconv.FormatFloat(m.Rate, 'f', -1, 64) + "/s"
	}
	return s
}

// sizes returns the sizes of a mode that may be chosen.
func (m Mode) sizes() (out []image.Point) {
	for _, size := range []image.Point{{X: 1280, Y: 720}, {X: 1920, Y: 1080}, {X: 640, Y: 480}, m.Min, m.Max} {
		if m.has(size) && large(size) && !slices.Contains(out, size) {
			out = append(out, size)
		}
	}
	return out
}

func (m Mode) has(size image.Point) bool {
	return in(size.X, m.Min.X, m.Max.X, m.Step.X) && in(size.Y, m.Min.Y, m.Max.Y, m.Step.Y)
}

func in(v, low, high, step int) bool {
	return v >= low && v <= high && (v-low)%max(1, step) == 0
}

// large tells whether evidence may be of this size: at least 640x480 either
// way up, and not so large that nothing decodes it.
func large(size image.Point) bool {
	return max(size.X, size.Y) >= 640 && min(size.X, size.Y) >= 480 && max(size.X, size.Y) <= 4096
}

// wanted tells whether m needs no second thought.
func (m Mode) wanted() bool {
	return !m.raw() && rank(m.Max) < 0 && (m.Rate == 0 || m.Rate >= wantedRate)
}

func (m Mode) slow() bool { return m.Rate > 0 && m.Rate < usableRate }

func (m Mode) raw() bool { return m.Format != kiosk.MJPEG }

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// rank orders sizes: the smaller the better.
func rank(size image.Point) int {
	switch size {
	case image.Pt(1280, 720):
		return -2
	case image.Pt(1920, 1080):
		return -1
	default:
		d := size.X*size.Y - 1280*720
		return max(d, -d)
	}
}
