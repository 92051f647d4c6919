package inference

import (
	"cmp"
	"encoding/binary"
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
	// maxSquares bounds what a strange aspect ratio can cost.
	maxSquares = 5
	// smallShare is the view's longer side over the width of the largest face
	// whose box is looked at again: below 32 tensor pixels boxes are up to a
	// quarter too wide.
	smallShare = 4
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
	anchors    [anchors][2]float32  // centres, in tensor pixels
	candidates []face               // of one detection
	merged     []face               // what it found
	closer     []face               // what refine found
	columns    [detectorSide][2]int // of the picture, under each of the tensor's
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
	d := &detector{
		model:      m,
		candidates: make([]face, 0, anchors), merged: make([]face, 0, anchors), closer: make([]face, 0, anchors),
	}
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
// It looks at the whole picture first. A face narrower than about an eighth of
// the longer side is too small for that, so when nobody is found it looks at
// squares of the shorter side that overlap by more than such a face: somebody
// far away must be asked to come closer, though passers-by behind a visitor
// need not be seen. Where the largest face was small, its box is inexact, and
// it looks once more at its surroundings.
func (d *detector) detect(img *image.RGBA) ([]face, error) {
	d.candidates = d.candidates[:0]
	if err := d.look(img, img.Rect); err != nil {
		return nil, err
	}
	w, h := img.Rect.Dx(), img.Rect.Dy()
	short, view := min(w, h), max(w, h)
	if len(d.candidates) == 0 && view > short {
		// Neighbours are at most half a side apart, in any camera's picture.
		squares := min((2*(view-short)+short-1)/short+1, maxSquares)
		for i := range squares {
			at := (view - short) * i / (squares - 1)
			region := image.Rect(at, 0, at+short, short)
			if h > w {
				region = image.Rect(0, at, short, at+short)
			}
			if err := d.look(img, region); err != nil {
				return nil, err
			}
		}
		view = short
	}
	d.merged = merge(d.merged[:0], d.candidates)
	if len(d.merged) > 0 && d.merged[0].side*smallShare < float32(view) {
		if err := d.refine(img, &d.merged[0]); err != nil {
			return nil, err
		}
		bySize(d.merged)
	}
	return d.merged[:min(len(d.merged), maxFaces)], nil
}

// refine replaces f by what a look at its surroundings finds there, if it does.
func (d *detector) refine(img *image.RGBA, f *face) error {
	side := min(max(int(3*f.side), detectorSide), img.Rect.Dx(), img.Rect.Dy())
	x := min(max(int(f.x)-side/2, 0), img.Rect.Dx()-side)
	y := min(max(int(f.y)-side/2, 0), img.Rect.Dy()-side)
	d.candidates = d.candidates[:0]
	if err := d.look(img, image.Rect(x, y, x+side, y+side)); err != nil {
		return err
	}
	d.closer = merge(d.closer[:0], d.candidates)
	for _, c := range d.closer {
		if f.contains(c.x, c.y) {
			*f = c
			break
		}
	}
	return nil
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
			if cut(f, region, img.Rect) {
				continue
			}
			d.candidates = append(d.candidates, f)
		}
		first += n
	}
	return nil
}

// cut reports whether a seam, an edge of region within the picture, runs
// through f. A neighbouring region shows all of that face.
func cut(f face, region, picture image.Rectangle) bool {
	return region.Min.X > picture.Min.X && f.x-f.width/2 < float32(region.Min.X) ||
		region.Max.X < picture.Max.X && f.x+f.width/2 > float32(region.Max.X) ||
		region.Min.Y > picture.Min.Y && f.y-f.height/2 < float32(region.Min.Y) ||
		region.Max.Y < picture.Max.Y && f.y+f.height/2 > float32(region.Max.Y)
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
	for x := range cols {
		from, to := span(x, w, cols)
		d.columns[x] = [2]int{4 * from, 4 * to}
	}
	sums := d.sums[:3*cols]
	for y := range rows {
		from, to := span(y, h, rows)
		clear(sums)
		for sy := from; sy < to; sy++ {
			row := img.Pix[sy*img.Stride:][:4*w]
			for x, column := range d.columns[:cols] {
				r, g, b := add(row[column[0]:column[1]])
				sum := sums[3*x : 3*x+3 : 3*x+3]
				sum[0], sum[1], sum[2] = sum[0]+r, sum[1]+g, sum[2]+b
			}
		}
		out := in[((y0+y)*detectorSide+x0)*3:][:3*cols]
		for i := range out {
			column := d.columns[i/3]
			out[i] = float32(sums[i])/(127.5*float32((column[1]-column[0])/4*(to-from))) - 1
		}
	}
	return float32(long) / detectorSide, float32(x0), float32(y0)
}

// add returns the sums of the channels of at most 257 pixels, two at a time: a
// word's even bytes are summed apart from its odd ones, so that each sum has 16
// bits to itself.
func add(p []uint8) (r, g, b uint32) {
	const even = 0x00ff00ff00ff00ff
	var rb, ga uint64
	for ; len(p) >= 8; p = p[8:] {
		w := binary.LittleEndian.Uint64(p)
		rb, ga = rb+w&even, ga+w>>8&even
	}
	if len(p) >= 4 {
		w := uint64(binary.LittleEndian.Uint32(p))
		rb, ga = rb+w&even, ga+w>>8&even
	}
	rb, ga = rb+rb>>32, ga+ga>>32
	return uint32(rb & 0xffff), uint32(ga & 0xffff), uint32(rb >> 16 & 0xffff)
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

// merge appends to dst, which is empty, the faces that candidates show, the
// largest first. It joins the candidates of each into their mean, weighted by
// score, which shakes less from frame to frame than the best of them. The
// candidates are used up.
func merge(dst, candidates []face) []face {
	slices.SortStableFunc(candidates, func(a, b face) int { return cmp.Compare(b.score, a.score) })
	for len(candidates) > 0 {
		best := candidates[0]
		var sum face
		rest := candidates[:0]
		for _, c := range candidates {
			if overlap(best, c) < sameFace {
				rest = append(rest, c)
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
		dst = append(dst, face{
			x: sum.x / n, y: sum.y / n, width: sum.width / n, height: sum.height / n,
			side:   max(sum.width, sum.height) / n,
			rightX: sum.rightX / n, rightY: sum.rightY / n, leftX: sum.leftX / n, leftY: sum.leftY / n,
			score: best.score,
		})
		candidates = rest
	}
	bySize(dst)
	// Boxes of very different sizes on one face overlap too little to be
	// joined. Nobody's face is centred within another's.
	kept := dst[:0]
	for _, f := range dst {
		if !slices.ContainsFunc(kept, func(k face) bool { return k.contains(f.x, f.y) }) {
			kept = append(kept, f)
		}
	}
	return kept
}

func bySize(faces []face) {
	slices.SortStableFunc(faces, func(a, b face) int { return cmp.Compare(b.side, a.side) })
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
