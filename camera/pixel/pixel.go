// Package pixel converts raw camera pixels to RGBA and luma, reduced by a whole
// factor and turned upright, in one pass over the raw pixels.
//
// Conversions write into memory the caller provides, allocate nothing, and
// check everything before they write: on an error nothing has changed.
//
// Colours are converted by ITU-R BT.601 in integers, so that every machine
// gives the same bytes. A reduced pixel is the mean, rounded to nearest, of
// the luma of its square of n by n source pixels and of all chroma samples
// that belong to them; rows and columns that do not fill a square are left out
// at the bottom and right of the source.
package pixel

import (
	"errors"
	"fmt"
	"image"
)

// A Layout says how raw pixels lie in memory.
type Layout uint8

// The layouts, by the names of their V4L2 formats.
const (
	YUYV Layout = iota // packed 4:2:2 in the order Y0 Cb Y1 Cr; an even width
	UYVY               // packed 4:2:2 in the order Cb Y0 Cr Y1; an even width
	NV12               // a plane of luma, then one of half as many rows of interleaved Cb and Cr; even sides
	Grey               // luma alone
)

// A Range says which byte values stand for black and white, and for the
// extremes of chroma.
type Range bool

// The ranges of BT.601.
const (
	Limited Range = false // luma 16..235, chroma 16..240: what video devices give by default
	Full    Range = true  // luma and chroma 0..255, as in JPEG
)

// Raw is an image as a camera gives it. It is read only.
type Raw struct {
	Layout Layout
	Range  Range
	Pix    []byte
	Stride int // bytes from one row to the next, in all planes
	Size   image.Point
}

// MaxReduction is the largest factor of reduction.
const MaxReduction = 64

// Reduced returns the size that an image of size has when reduced by n.
func Reduced(size image.Point, n int) image.Point {
	return image.Pt(size.X/n, size.Y/n)
}

// Convert reduces src by n, in 1..MaxReduction, turns it by o, and writes its
// colours to rgba, opaque, and its luma to luma, on the full range; either may
// be nil. They have the size o.Size(Reduced(src.Size, n)).
func Convert(rgba *image.RGBA, luma *image.Gray, src Raw, n int, o Orientation) error {
	if err := src.Check(n); err != nil {
		return err
	}
	size := Reduced(src.Size, n)
	if err := check(rgba, luma, size, o); err != nil {
		return err
	}
	var (
		m       = newPalette(src.Range)
		colours = placeRGBA(rgba, size, o)
		levels  = placeGray(luma, size, o)
		g       = gather(src, n)
		s       strip
	)
	// Columns of strips rather than whole rows: where rows become columns, the
	// cache still holds the lines that the row before was written to.
	for x := 0; x < size.X; x += g.length {
		k := min(g.length, size.X-x)
		for y := range size.Y {
			g.fill(&s, x, y, k)
			if rgba != nil {
				m.colours(rgba.Pix, colours.at(x, y), colours.dx, &s, k)
			}
			if luma != nil {
				m.levels(luma.Pix, levels.at(x, y), levels.dx, &s, k)
			}
		}
	}
	return nil
}

// maxSide bounds sizes, so that no product of theirs overflows an int.
const maxSide = 1 << 14

// Check tells what is wrong with r, or with its reduction by n: all that
// reading relies on.
func (r Raw) Check(n int) error {
	if r.Size.X <= 0 || r.Size.Y <= 0 || r.Size.X > maxSide || r.Size.Y > maxSide {
		return fmt.Errorf("size %v: want sides of 1 to %d", r.Size, maxSide)
	}
	width, rows := r.Size.X, r.Size.Y
	switch r.Layout {
	case YUYV, UYVY:
		if r.Size.X%2 != 0 {
			return fmt.Errorf("size %v: want an even width", r.Size)
		}
		width *= 2
	case NV12:
		if r.Size.X%2 != 0 || r.Size.Y%2 != 0 {
			return fmt.Errorf("size %v: want even sides", r.Size)
		}
		rows += rows / 2
	case Grey:
	default:
		return fmt.Errorf("layout %d is not known", r.Layout)
	}
	if n < 1 || n > MaxReduction {
		return fmt.Errorf("reduction by %d: want 1 to %d", n, MaxReduction)
	}
	if small := Reduced(r.Size, n); small.X == 0 || small.Y == 0 {
		return fmt.Errorf("reduction by %d leaves nothing of %v", n, r.Size)
	}
	if r.Stride < width || r.Stride > 1<<20 || len(r.Pix) < r.Stride*(rows-1)+width {
		return fmt.Errorf("%d bytes at stride %d cannot hold %v", len(r.Pix), r.Stride, r.Size)
	}
	return nil
}

// check checks everything on which writing an image of size, turned by o,
// relies.
func check(rgba *image.RGBA, luma *image.Gray, size image.Point, o Orientation) error {
	if !o.valid() {
		return fmt.Errorf("turn by %d degrees: want 0, 90, 180 or 270", o.Turn)
	}
	want := o.Size(size)
	if rgba != nil {
		if err := holds("rgba", rgba.Rect.Size(), want, len(rgba.Pix), rgba.Stride, 4); err != nil {
			return err
		}
	}
	if luma != nil {
		return holds("luma", luma.Rect.Size(), want, len(luma.Pix), luma.Stride, 1)
	}
	return nil
}

func holds(what string, size, want image.Point, n, stride, unit int) error {
	if size != want {
		return fmt.Errorf("%s is %v, want %v", what, size, want)
	}
	if stride < unit*want.X || stride > 1<<20 || n < stride*(want.Y-1)+unit*want.X {
		return fmt.Errorf("%s has %d bytes at stride %d for %v", what, n, stride, want)
	}
	return nil
}

var errSource = errors.New("src is empty, too large or has too few bytes")

// Turn turns src by o and writes it to rgba, and its luma to luma; either may
// be nil. They have the size o.Size of src's, and share no memory with it. src
// is opaque; its luma is (77 R + 150 G + 29 B) / 256, rounded to nearest: the Y
// of BT.601 on the full range, on gamma-coded values, to less than a level.
func Turn(rgba *image.RGBA, luma *image.Gray, src *image.RGBA, o Orientation) error {
	size := src.Rect.Size()
	if size.X < 1 || size.Y < 1 || size.X > maxSide || size.Y > maxSide || holds("src", size, size, len(src.Pix), src.Stride, 4) != nil {
		return errSource
	}
	if err := check(rgba, luma, size, o); err != nil {
		return err
	}
	colours, levels := placeRGBA(rgba, size, o), placeGray(luma, size, o)
	for x := 0; x < size.X; x += span {
		k := min(span, size.X-x)
		for y := range size.Y {
			row := src.Pix[y*src.Stride+4*x:][:4*k]
			if rgba != nil {
				move(rgba.Pix, colours.at(x, y), colours.dx, row)
			}
			if luma != nil {
				weigh(luma.Pix, levels.at(x, y), levels.dx, row)
			}
		}
	}
	return nil
}
