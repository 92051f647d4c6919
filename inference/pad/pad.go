// Package pad is presentation attack detection (PAD, ISO/IEC 30107): what one
// network says about one frame, and its fusion over the frames of a capture.
//
// One model on one frame is one signal, and a weak one: it turns round on a
// single glint or a moving shadow. Only the fused value may decide anything,
// and even that only whether to ask again; the gateway judges.
//
// All arithmetic is the same bit for bit on every architecture: the compiler
// may not fuse a product and a sum that are rounded by a conversion between
// them, and nothing here calls an architecture's own routines. A recorded
// session therefore replays exactly.
package pad

import "math"

// The range of a threshold for the mean of Live. One below the network's own
// middle would let prints pass, whoever asks for it.
const (
	LeastMin = 0.5
	MostMin  = 0.99
)

// Live returns the probability of a bona fide presentation, 0..1, from the
// logits of a network whose classes are live, 2D attack (print, screen) and 3D
// attack (mask), in this order: the first component of their softmax. Logits
// that are not numbers give 0, since what cannot be measured is not live.
func Live(logits [3]float32) float32 {
	top := max(logits[0], logits[1], logits[2]) // NaN if any is
	if top != top || math.IsInf(float64(top), 0) {
		return 0
	}
	var e [3]float64
	for i, l := range logits {
		e[i] = exp(float64(l) - float64(top))
	}
	return float32(e[0] / (e[0] + e[1] + e[2]))
}

// exp is e to the power x for x <= 0, to better than 1e-14 of its value. The
// standard library's has assembly on some architectures, which may round
// differently.
func exp(x float64) float64 {
	if x < -700 {
		return 0
	}
	// x = k ln 2 + r with |r| <= ln 2 / 2; the split constant keeps r exact.
	const hi, lo = 6.93147180369123816490e-01, 1.90821492927058770002e-10
	k := math.Floor(float64(x*math.Log2E) + 0.5)
	r := (x - float64(k*hi)) - float64(k*lo)
	sum := 1.0
	for n := 14.0; n >= 1; n-- {
		sum = 1 + float64(sum*r)/n
	}
	return math.Ldexp(sum, int(k))
}

// Fusion accumulates Live over the frames of one capture. The zero value has
// seen none. It is a small comparable value that encodes to JSON, so a pure
// state can hold it and a trace can record it.
type Fusion struct {
	N   int     `json:"n"`   // frames added
	Sum float32 `json:"sum"` // of their Live
	Min float32 `json:"min"` // least Live of them; 0 if N is 0
}

// Add returns f with one more frame. A live outside 0..1 counts as the nearest
// end, and one that is not a number as 0.
func (f Fusion) Add(live float32) Fusion {
	if !(live > 0) {
		live = 0
	}
	live = min(live, 1)
	if f.N == 0 || live < f.Min {
		f.Min = live
	}
	f.N++
	f.Sum = float32(f.Sum + live)
	return f
}

// Mean returns the fused probability of a bona fide presentation, 0..1; 0 if no
// frame was added.
func (f Fusion) Mean() float32 {
	if f.N == 0 {
		return 0
	}
	return f.Sum / float32(f.N)
}
