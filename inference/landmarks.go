package inference

import (
	"fmt"
	"image"
	"math"

	"livekiosk/inference/quality"
)

const (
	meshSide = quality.Side
	// meshMargin is the crop's side over the box's, as the network was trained.
	meshMargin = 1.5
)

// A landmarker finds the points of a face (Kartynnik et al., 2019).
type landmarker struct {
	model        Model
	points, flag int // outputs
}

func newLandmarker(m Model) (*landmarker, error) {
	if err := takes(m, meshSide*meshSide*3); err != nil {
		return nil, err
	}
	l := &landmarker{model: m, points: 0, flag: 1}
	if len(m.Output(0)) == 1 { // converters disagree about the order
		l.points, l.flag = 1, 0
	}
	if err := sized(m, "points", l.points, 3*quality.Points); err != nil {
		return nil, err
	}
	if err := sized(m, "face flag", l.flag, 1); err != nil {
		return nil, err
	}
	return l, nil
}

// locate fills mesh with the points of f in img, in pixels of img, and upright
// with the same in pixels of the network's input, which is a quality.Crop. It
// reports whether the network takes it for a face; the points are of no use if it
// does not.
func (l *landmarker) locate(mesh, upright *quality.Mesh, img *image.RGBA, f face) (bool, error) {
	dx, dy := float64(f.leftX-f.rightX), float64(f.leftY-f.rightY)
	w := window{x: f.x, y: f.y, side: meshMargin * f.side, cos: 1}
	if d := math.Hypot(dx, dy); d > 0 {
		w.cos, w.sin = float32(dx/d), float32(dy/d)
	}
	sample(l.model.Input(), meshSide, layout{step: 3, r: 0, g: 1, b: 2, gain: 1.0 / 255}, img, w)
	if err := l.model.Run(); err != nil {
		return false, fmt.Errorf("run: %w", err)
	}
	if !(l.model.Output(l.flag)[0] > 0) { // a logit: half as likely as not
		return false, nil
	}
	scale := w.side / meshSide
	for i, p := 0, l.model.Output(l.points); i < len(mesh); i, p = i+1, p[3:] {
		upright[i] = quality.Point{X: p[0], Y: p[1], Z: p[2]}
		x, y, z := (p[0]-meshSide/2)*scale, (p[1]-meshSide/2)*scale, p[2]*scale
		if !finite(x) || !finite(y) || !finite(z) {
			return false, nil
		}
		mesh[i] = quality.Point{X: w.x + x*w.cos - y*w.sin, Y: w.y + x*w.sin + y*w.cos, Z: z}
	}
	return true, nil
}
