package inference

import (
	"cmp"
	"image"
	"math"
	"slices"
)

const (
	detectorSide = 128
	anchors      = 896
	anchorValues = 16 // box (4), then six key points
	// minLogit is a score of 0.5, the network authors' own default. At 0.5 the
	// classes are equally likely, and the landmark model looks again anyway.
	minLogit = 0
	// sameFace is the intersection over union from which two boxes are one
	// face.
	sameFace = 0.3
)

// A face is the detector's square box and the eyes, in pixels of the picture.
type face struct {
	x, y, side     float32 // centre and width
	rightX, rightY float32 // the person's right eye
	leftX, leftY   float32
	score          float32 // 0..1
	width, height  float32 // before squaring, for overlaps
	weight         float32 // of the boxes merged into this one
}

func (f face) area() float32 { return f.side * f.side }

// A detector finds faces with BlazeFace (Bazarevsky et al., 2019).
type detector struct {
	model      Model
	anchors    [anchors][2]float32 // centres, in tensor pixels
	candidates []face
	merged     []face
	sums       [3 * detectorSide]uint32
}

func newDetector(m Model) (*detector, error) {
	if err := takes(m, detectorSide*detectorSide*3); err != nil {
		return nil, err
	}
	sizes := []struct {
		what string
		n    int
	}{
		{"scores", 512}, {"scores", 384}, {"boxes", 512 * anchorValues}, {"boxes", 384 * anchorValues},
	}
	for i, s := range sizes {
		if err := sized(m, s.what, i, s.n); err != nil {
			return nil, err
		}
	}
	d := &detector{model: m, candidates: make([]face, 0, anchors), merged: make([]face, 0, anchors)}
	// Two anchors at each of 16x16 cells, then six at each of 8x8.
	i := 0
	for _, grid := range []struct{ cells, each int }{{16, 2}, {8, 6}} {
		cell := float32(detectorSide) / float32(grid.cells)
		for y := range grid.cells {
			for x := range grid.cells {
				for range grid.each {
					d.anchors[i] = [2]float32{(float32(x) + 0.5) * cell, (float32(y) + 0.5) * cell}
					i++
				}
			}
		}
	}
	return d, nil
}

// detect returns at most maxFaces faces in img, the largest first. The slice is
// valid until the next call.
func (d *detector) detect(img *image.RGBA) ([]face, error) {
	scale, left, top := d.letterbox(img)
	if err := d.model.Run(); err != nil {
		return nil, err
	}
	d.candidates = d.candidates[:0]
	first := 0
	for layer, n := range [...]int{512, 384} {
		scores, boxes := d.model.Output(layer), d.model.Output(layer+2)
		for i := range n {
			if scores[i] <= minLogit { // false for NaN, which fails below
				continue
			}
			if f, ok := decode(boxes[i*anchorValues:][:anchorValues], d.anchors[first+i], scores[i]); ok {
				d.candidates = append(d.candidates, f)
			}
		}
		first += n
	}
	d.merge()
	for i := range d.merged {
		f := &d.merged[i]
		f.x, f.y, f.side = (f.x-left)*scale, (f.y-top)*scale, max(f.width, f.height)*scale
		f.rightX, f.rightY = (f.rightX-left)*scale, (f.rightY-top)*scale
		f.leftX, f.leftY = (f.leftX-left)*scale, (f.leftY-top)*scale
	}
	slices.SortStableFunc(d.merged, func(a, b face) int { return cmp.Compare(b.side, a.side) })
	return d.merged[:min(len(d.merged), maxFaces)], nil
}

// letterbox fills the input tensor with the whole of img, averaged down,
// centred, and black around it. A tensor pixel (x, y) shows the picture at
// ((x-left)*scale, (y-top)*scale).
func (d *detector) letterbox(img *image.RGBA) (scale, left, top float32) {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	long := max(w, h)
	cols, rows := max(w*detectorSide/long, 1), max(h*detectorSide/long, 1)
	x0, y0 := (detectorSide-cols)/2, (detectorSide-rows)/2
	in := d.model.Input()
	for i := range in {
		in[i] = -1
	}
	for y := range rows {
		from, to := span(y, h, rows)
		sums := d.sums[:3*cols]
		clear(sums)
		for sy := from; sy < to; sy++ {
			row := img.Pix[sy*img.Stride:][:4*w]
			for x := range cols {
				a, b := span(x, w, cols)
				var r, g, bl uint32
				for p := row[4*a : 4*b]; len(p) >= 4; p = p[4:] {
					r, g, bl = r+uint32(p[0]), g+uint32(p[1]), bl+uint32(p[2])
				}
				sums[3*x] += r
				sums[3*x+1] += g
				sums[3*x+2] += bl
			}
		}
		out := in[((y0+y)*detectorSide+x0)*3:][:3*cols]
		for x := range cols {
			a, b := span(x, w, cols)
			gain := 1 / (127.5 * float32((b-a)*(to-from)))
			for c := range 3 {
				out[3*x+c] = float32(sums[3*x+c])*gain - 1
			}
		}
	}
	return float32(long) / detectorSide, float32(x0), float32(y0)
}

// span returns the half-open range of source pixels under pixel i of n, never
// empty.
func span(i, source, n int) (from, to int) {
	from = i * source / n
	return from, max((i+1)*source/n, from+1)
}

// decode reads one anchor's box and eyes, in tensor pixels. It reports whether
// they are numbers.
func decode(v []float32, anchor [2]float32, logit float32) (face, bool) {
	f := face{
		x: v[0] + anchor[0], y: v[1] + anchor[1], width: v[2], height: v[3],
		rightX: v[4] + anchor[0], rightY: v[5] + anchor[1],
		leftX: v[6] + anchor[0], leftY: v[7] + anchor[1],
		score: float32(1 / (1 + math.Exp(-float64(logit)))),
	}
	ok := finite(f.x) && finite(f.y) && finite(f.width) && finite(f.height) && f.width > 0 && f.height > 0 &&
		finite(f.rightX) && finite(f.rightY) && finite(f.leftX) && finite(f.leftY)
	return f, ok
}

// merge joins the candidates of each face into their mean, weighted by score,
// which shakes less from frame to frame than the best of them.
func (d *detector) merge() {
	d.merged = d.merged[:0]
	slices.SortStableFunc(d.candidates, func(a, b face) int { return cmp.Compare(b.score, a.score) })
	rest := d.candidates
	for len(rest) > 0 {
		best := rest[0]
		var sum face
		kept := rest[:0]
		for _, c := range rest {
			if overlap(best, c) < sameFace {
				kept = append(kept, c)
				continue
			}
			s := c.score
			sum.weight += s
			sum.x, sum.y = sum.x+s*c.x, sum.y+s*c.y
			sum.width, sum.height = sum.width+s*c.width, sum.height+s*c.height
			sum.rightX, sum.rightY = sum.rightX+s*c.rightX, sum.rightY+s*c.rightY
			sum.leftX, sum.leftY = sum.leftX+s*c.leftX, sum.leftY+s*c.leftY
		}
		n := sum.weight
		d.merged = append(d.merged, face{
			x: sum.x / n, y: sum.y / n, width: sum.width / n, height: sum.height / n,
			rightX: sum.rightX / n, rightY: sum.rightY / n, leftX: sum.leftX / n, leftY: sum.leftY / n,
			score: best.score,
		})
		rest = kept
	}
}

// overlap returns the intersection over union of two boxes, 0..1.
func overlap(a, b face) float32 {
	w := min(a.x+a.width/2, b.x+b.width/2) - max(a.x-a.width/2, b.x-b.width/2)
	h := min(a.y+a.height/2, b.y+b.height/2) - max(a.y-a.height/2, b.y-b.height/2)
	if w <= 0 || h <= 0 {
		return 0
	}
	return w * h / (a.width*a.height + b.width*b.height - w*h)
}
