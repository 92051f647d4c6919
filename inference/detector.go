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
	width, height  float32 // before squaring
}

func (f face) area() float32 { return f.side * f.side }

func (f face) contains(x, y float32) bool {
	return max(f.x-x, x-f.x) < f.side/2 && max(f.y-y, y-f.y) < f.side/2
}

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

// detect returns at most maxFaces faces in img, whose first pixel is at (0, 0),
// the largest first. The slice is valid until the next call.
//
// It looks at the whole picture first. A face narrower than an eighth of the
// longer side is too small there, so only when nobody is found does it look
// closer, at squares of the shorter side that overlap by more than a face:
// somebody far away must be asked to come closer, and passers-by behind a
// visitor need not be seen.
func (d *detector) detect(img *image.RGBA) ([]face, error) {
	d.candidates = d.candidates[:0]
	if err := d.look(img, img.Rect); err != nil {
		return nil, err
	}
	w, h := img.Rect.Dx(), img.Rect.Dy()
	if short, long := min(w, h), max(w, h); len(d.candidates) == 0 && long > short {
		// Neighbours are at most half a side apart.
		tiles := (2*(long-short)+short-1)/short + 1
		for i := range tiles {
			at := (long - short) * i / (tiles - 1)
			region := image.Rect(at, 0, at+short, short)
			if h > w {
				region = image.Rect(0, at, short, at+short)
			}
			if err := d.look(img, region); err != nil {
				return nil, err
			}
		}
	}
	d.merge()
	return d.merged[:min(len(d.merged), maxFaces)], nil
}

// look adds what the network takes for faces in a region of img.
func (d *detector) look(img *image.RGBA, region image.Rectangle) error {
	part := image.RGBA{
		Pix: img.Pix[img.PixOffset(region.Min.X, region.Min.Y):], Stride: img.Stride,
		Rect: image.Rectangle{Max: region.Size()},
	}
	scale, left, top := d.letterbox(&part)
	if err := d.model.Run(); err != nil {
		return err
	}
	first := 0
	for layer, n := range [...]int{512, 384} {
		scores, boxes := d.model.Output(layer), d.model.Output(layer+2)
		for i := range n {
			if !(scores[i] > minLogit) || len(d.candidates) == cap(d.candidates) {
				continue
			}
			f, ok := decode(boxes[i*anchorValues:][:anchorValues], d.anchors[first+i], scores[i])
			if !ok {
				continue
			}
			for _, x := range [...]*float32{&f.x, &f.rightX, &f.leftX} {
				*x = (*x-left)*scale + float32(region.Min.X)
			}
			for _, y := range [...]*float32{&f.y, &f.rightY, &f.leftY} {
				*y = (*y-top)*scale + float32(region.Min.Y)
			}
			f.width, f.height = f.width*scale, f.height*scale
			d.candidates = append(d.candidates, f)
		}
		first += n
	}
	return nil
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
// which shakes less from frame to frame than the best of them, and sorts the
// faces by size.
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
			sum.score += s
			sum.x, sum.y = sum.x+s*c.x, sum.y+s*c.y
			sum.width, sum.height = sum.width+s*c.width, sum.height+s*c.height
			sum.rightX, sum.rightY = sum.rightX+s*c.rightX, sum.rightY+s*c.rightY
			sum.leftX, sum.leftY = sum.leftX+s*c.leftX, sum.leftY+s*c.leftY
		}
		n := sum.score
		d.merged = append(d.merged, face{
			x: sum.x / n, y: sum.y / n, width: sum.width / n, height: sum.height / n,
			side:   max(sum.width, sum.height) / n,
			rightX: sum.rightX / n, rightY: sum.rightY / n, leftX: sum.leftX / n, leftY: sum.leftY / n,
			score: best.score,
		})
		rest = kept
	}
	slices.SortStableFunc(d.merged, func(a, b face) int { return cmp.Compare(b.side, a.side) })
	// A face cut by the edge of a square may come twice, the boxes too unlike
	// to overlap well. Nobody's face is centred within another's.
	kept := d.merged[:0]
	for _, f := range d.merged {
		if !slices.ContainsFunc(kept, func(k face) bool { return k.contains(f.x, f.y) }) {
			kept = append(kept, f)
		}
	}
	d.merged = kept
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
