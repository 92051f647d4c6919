package pixel

import "image"

// An Orientation says what makes a picture upright: it is turned clockwise by
// Turn degrees, which are 0, 90, 180 or 270, and then, with Mirror, left and
// right are exchanged. The zero value leaves it as it is.
type Orientation struct {
	Turn   int
	Mirror bool
}

// Size returns the size that a picture of size has when turned.
func (o Orientation) Size(size image.Point) image.Point {
	if o.Turn%180 != 0 {
		return image.Pt(size.Y, size.X)
	}
	return size
}

func (o Orientation) valid() bool {
	return o.Turn == 0 || o.Turn == 90 || o.Turn == 180 || o.Turn == 270
}

// at returns where the pixel p of a picture of size goes.
func (o Orientation) at(p, size image.Point) image.Point {
	switch o.Turn {
	case 90:
		p = image.Pt(size.Y-1-p.Y, p.X)
	case 180:
		p = image.Pt(size.X-1-p.X, size.Y-1-p.Y)
	case 270:
		p = image.Pt(p.Y, size.X-1-p.X)
	}
	if o.Mirror {
		p.X = o.Size(size).X - 1 - p.X
	}
	return p
}

// A placing says at which byte a turned pixel lies: in any orientation, one
// step to the right or down in the source is always the same number of bytes.
type placing struct{ first, dx, dy int }

func (p placing) at(x, y int) int { return p.first + x*p.dx + y*p.dy }

func (o Orientation) place(size image.Point, stride, unit int) placing {
	at := func(x, y int) int {
		p := o.at(image.Pt(x, y), size)
		return p.Y*stride + p.X*unit
	}
	first := at(0, 0)
	return placing{first, at(1, 0) - first, at(0, 1) - first}
}

func placeRGBA(img *image.RGBA, size image.Point, o Orientation) placing {
	if img == nil {
		return placing{}
	}
	return o.place(size, img.Stride, 4)
}

func placeGray(img *image.Gray, size image.Point, o Orientation) placing {
	if img == nil {
		return placing{}
	}
	return o.place(size, img.Stride, 1)
}
