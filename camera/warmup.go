package camera

import (
	"image"
	"time"

	"livekiosk/kiosk"
)

// Bounds of a warm-up.
const (
	warmFor   = time.Second // at most: a flickering lamp never settles
	calmShare = 0.03        // by how much the luma of calm frames may differ
	calmLuma  = 1.5         // or this, in the dark
)

// A warmup watches the luma of a stream's first frames.
type warmup struct {
	done bool
	n    int
	last [4]float32 // luma of the newest frames
}

// settled tells whether the exposure has settled with f, which came so long
// after the first frame of its stream.
func (w *warmup) settled(f *kiosk.Frame, age time.Duration, luma func(*kiosk.Frame) (float32, error)) bool {
	if w.done || age >= warmFor {
		w.done = true
		return true
	}
	v, err := luma(f)
	if err != nil {
		return false // analysis will meet the same error
	}
	w.last[w.n%len(w.last)] = v
	w.n++
	if w.n < len(w.last) {
		return false
	}
	low, high := w.last[0], w.last[0]
	for _, v := range w.last {
		low, high = min(low, v), max(high, v)
	}
	w.done = high-low <= max(calmLuma, calmShare*high)
	return w.done
}

// MeanLuma returns what measures the mean luma of frames, 0..255, with dec, in
// a small picture that it erases. It is not safe for concurrent use.
func MeanLuma(dec *Decoder) func(*kiosk.Frame) (float32, error) {
	return func(f *kiosk.Frame) (float32, error) {
		img, err := dec.Decode(f, 60)
		if err != nil {
			return 0, err
		}
		defer dec.Clear()
		return mean(img), nil
	}
}

// mean returns the mean luma of BT.601, of each second pixel of each second row.
func mean(img *image.RGBA) float32 {
	var sum, n int
	for y := 0; y < img.Rect.Dy(); y += 2 {
		row := img.Pix[y*img.Stride:][:4*img.Rect.Dx()]
		for ; len(row) >= 4; row = row[min(8, len(row)):] {
			sum += 299*int(row[0]) + 587*int(row[1]) + 114*int(row[2])
			n++
		}
	}
	return float32(sum/max(1, n)) / 1000
}
