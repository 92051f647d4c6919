package ui

import (
	"image"
	"image/color"
	"image/draw"
)

// A Sheet is a picture of many pictures of one size, each shrunk, in rows.
type Sheet struct {
	Columns int
	Shrink  int // each pixel of the sheet is the mean of so many by as many
	Gap     int // pixels about each picture, grey

	cells []*image.RGBA
}

// Add appends m, which it does not keep, and returns it shrunk.
func (s *Sheet) Add(m *image.RGBA) *image.RGBA {
	small := shrink(m, s.Shrink)
	s.cells = append(s.cells, small)
	return small
}

// At returns where picture n, from zero, begins, if each is of the given size
// when shrunk.
func (s *Sheet) At(n int, size image.Point) image.Point {
	return image.Pt(s.Gap+n%s.Columns*(size.X+s.Gap), s.Gap+n/s.Columns*(size.Y+s.Gap))
}

// Size returns how large a sheet of n pictures like the first is.
func (s *Sheet) Size(n int) image.Point {
	if len(s.cells) == 0 {
		return image.Point{}
	}
	size := s.cells[0].Rect.Size().Add(image.Pt(s.Gap, s.Gap))
	return image.Pt(min(n, s.Columns)*size.X+s.Gap, (n+s.Columns-1)/s.Columns*size.Y+s.Gap)
}

// Image returns the sheet.
func (s *Sheet) Image() *image.RGBA {
	m := image.NewRGBA(image.Rectangle{Max: s.Size(len(s.cells))})
	draw.Draw(m, m.Rect, image.NewUniform(color.Gray{0x80}), image.Point{}, draw.Src)
	for i, c := range s.cells {
		draw.Draw(m, c.Rect.Add(s.At(i, c.Rect.Size())), c, image.Point{}, draw.Src)
	}
	return m
}

// shrink returns m by so much smaller, each pixel the mean of those that it
// stands for.
func shrink(m *image.RGBA, by int) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, m.Rect.Dx()/by, m.Rect.Dy()/by))
	sums := make([]int, 4*out.Rect.Dx())
	for y := range out.Rect.Dy() {
		clear(sums)
		for dy := range by {
			row := m.Pix[m.PixOffset(m.Rect.Min.X, m.Rect.Min.Y+y*by+dy):]
			for x := range out.Rect.Dx() {
				for dx := range by {
					p := row[4*(x*by+dx) : 4*(x*by+dx)+4]
					for c, v := range p {
						sums[4*x+c] += int(v)
					}
				}
			}
		}
		to := out.Pix[y*out.Stride:]
		for i, v := range sums {
			to[i] = uint8((v + by*by/2) / (by * by))
		}
	}
	return out
}
