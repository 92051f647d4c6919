//go:build cgo

package v4l2

import (
	"cmp"
	"fmt"
	"image"
	"slices"

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

// usableRate is below what guidance needs to feel like a mirror.
const usableRate = 15

// formats returns the formats in order of preference. Compressed frames come
// first: they are evidence as they are, and fit the bus at full rate.
func formats() []kiosk.Format {
	return []kiosk.Format{kiosk.MJPEG, kiosk.YUYV, kiosk.NV12, kiosk.UYVY, kiosk.Grey}
}

// Choose returns the best mode of those offered, with one size: the fast ones
// before the slow ones (below 15 frames a second), MJPEG before raw pixels,
// 1280x720 before 1920x1080, before the others of at least 640x480 nearest in
// area to 1280x720. A face that fills an oval has enough pixels at 1280x720;
// more costs time on every frame.
func Choose(modes []Mode) (Mode, error) {
	var all []Mode
	for _, m := range modes {
		if slices.Contains(formats(), m.Format) {
			for _, size := range m.sizes() {
				all = append(all, Mode{Format: m.Format, Min: size, Max: size, Rate: m.Rate})
			}
		}
	}
	if len(all) == 0 {
		return Mode{}, fmt.Errorf("%w: none of its %d modes is %v of at least 640x480", ErrNotCamera, len(modes), formats())
	}
	return slices.MinFunc(all, func(a, b Mode) int {
		return cmp.Or(
			cmp.Compare(a.slow(), b.slow()),
			cmp.Compare(a.raw(), b.raw()),
			cmp.Compare(rank(a.Max), rank(b.Max)),
			cmp.Compare(slices.Index(formats(), a.Format), slices.Index(formats(), b.Format)),
			-cmp.Compare(a.Rate, b.Rate),
		)
	}), nil
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

func (m Mode) slow() int {
	if m.Rate > 0 && m.Rate < usableRate {
		return 1
	}
	return 0
}

func (m Mode) raw() int {
	if m.Format == kiosk.MJPEG {
		return 0
	}
	return 1
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
