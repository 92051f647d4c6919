package inference

import (
	"image"

	"livekiosk/inference/pad"
)

const (
	padSide = 128
	// padMargin is the crop's side over the box's: the network needs some of
	// what surrounds a face, such as a sheet's edge. Of single crops this told
	// live from print and screen best on a set of several hundred stills, and
	// on synthetic prints of two portraits a second crop did not earn its run.
	padMargin = 1.8
)

// A liveness asks a PAD network about a face.
type liveness struct{ model Model }

func newLiveness(m Model) (*liveness, error) {
	if err := takes(m, 3*padSide*padSide); err != nil {
		return nil, err
	}
	if err := sized(m, "logits", 0, 3); err != nil {
		return nil, err
	}
	return &liveness{m}, nil
}

// score returns the probability that f in img is a bona fide presentation,
// 0..1.
func (l *liveness) score(img *image.RGBA, f face) (float32, error) {
	const plane = padSide * padSide
	sample(l.model.Input(), padSide, layout{step: 1, r: 2 * plane, g: plane, b: 0, gain: 1}, img,
		window{x: f.x, y: f.y, side: padMargin * f.side, cos: 1})
	if err := l.model.Run(); err != nil {
		return 0, err
	}
	logits := l.model.Output(0)
	return pad.Live([3]float32{logits[0], logits[1], logits[2]}), nil
}
