package screens

import (
	"image"

	"gioui.org/op"
	"gioui.org/op/clip"
	"gioui.org/op/paint"
	"golang.org/x/image/draw"
)

// A logo keeps the house's picture, scaled to the pixels of the display, from
// frame to frame.
type logo struct {
	from   image.Image
	size   image.Point
	scaled paint.ImageOp
}

// house draws the logo as large as r lets it be, placed across r by at: 0 at
// the left, 0.5 in the middle. It reports whether there is one.
func (f *frame) house(r image.Rectangle, at float32) bool {
	img := f.theme.Logo(f.v.Theme)
	if img == nil {
		return false
	}
	from := img.Bounds().Size()
	k := min(float32(r.Dx())/float32(from.X), float32(r.Dy())/float32(from.Y))
	size := image.Pt(max(1, int(k*float32(from.X))), max(1, int(k*float32(from.Y))))
	if f.logo.from != img || f.logo.size != size {
		scaled := image.NewRGBA(image.Rectangle{Max: size})
		draw.CatmullRom.Scale(scaled, scaled.Bounds(), img, img.Bounds(), draw.Src, nil)
		f.logo = logo{img, size, paint.NewImageOp(scaled)}
		f.logo.scaled.Filter = paint.FilterNearest
	}
	spare := r.Size().Sub(size)
	defer op.Offset(r.Min.Add(image.Pt(int(float32(spare.X)*at), spare.Y/2))).Push(f.Ops).Pop()
	defer clip.Rect(image.Rectangle{Max: size}).Push(f.Ops).Pop()
	f.logo.scaled.Add(f.Ops)
	paint.PaintOp{}.Add(f.Ops)
	return true
}
