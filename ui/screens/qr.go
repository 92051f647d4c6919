package screens

import (
	"image"
	"image/color"

	"gioui.org/f32"
	"gioui.org/font"
	"gioui.org/op"
	"gioui.org/op/clip"
	"gioui.org/op/paint"
	giotext "gioui.org/text"
	"github.com/boombuler/barcode/qr"

	"livekiosk/ui/text"
	"livekiosk/ui/theme"
)

// A code is a QR code as it was drawn last: one is kept.
type code struct {
	text string
	side int
	path shape
}

// quietZone is the margin of a QR code in modules (ISO/IEC 18004, 6.3.8).
const quietZone = 4

// receipt draws the code that the visitor may note or photograph, as text and
// for a camera.
func (f *frame) receipt(r image.Rectangle, align giotext.Alignment) {
	if wide := f.px(600); r.Dx() > wide {
		if align == giotext.Middle {
			r.Min.X += (r.Dx() - wide) / 2
		}
		r.Max.X = r.Min.X + wide
	}
	f = f.dialog(theme.Receipt)
	f.sheet(r, f.px(f.look.Dialog.Radius), f.px(f.look.Dialog.Border), f.p.Line, f.p.Card)
	in := r.Inset(f.px(16))
	square := in
	square.Min.X = in.Max.X - in.Dy()
	in.Max.X = square.Min.X - f.px(16)
	f.qr(square, f.v.Receipt)
	f.column(in, giotext.Middle, 0.5,
		item{text: f.say.Phrase(text.Receipt), size: 28, color: f.p.Soft},
		item{gap: 8, text: text.Code(f.v.Receipt), size: 54, weight: font.Bold, color: f.p.Ink},
		item{gap: 12, text: f.say.Phrase(text.ReceiptNote), size: 24, color: f.p.Soft, even: true})
}

// qr draws s as a QR code into the square r, black on white whatever the theme:
// scanners want it so.
func (f *frame) qr(r image.Rectangle, s string) {
	if f.code.text != s || f.code.side != r.Dx() {
		f.code = code{text: s, side: r.Dx(), path: modules(s, r.Dx())}
	}
	f.round(r, f.px(8), color.NRGBA{0xff, 0xff, 0xff, 0xff})
	defer op.Offset(r.Min).Push(f.Ops).Pop()
	paint.FillShape(f.Ops, color.NRGBA{A: 0xff}, clip.Outline{Path: f.code.path.spec}.Op())
}

// modules returns the dark ones of s, in a square of the given side with its
// margin. Each is a whole number of pixels, so that all are of one size.
func modules(s string, side int) shape {
	c, err := qr.Encode(s, qr.M, qr.Auto)
	if err != nil { // longer than any QR code: nothing is drawn
		return record(func(*clip.Path) {})
	}
	n := c.Bounds().Dx()
	unit := side / (n + 2*quietZone)
	edge := (side - n*unit) / 2
	return record(func(p *clip.Path) {
		for y := range n {
			for x := 0; x < n; x++ {
				from := x
				for x < n && c.At(x, y) == color.Black {
					x++
				}
				if x == from {
					continue
				}
				x0, y0 := float32(edge+from*unit), float32(edge+y*unit)
				x1, y1 := float32(edge+x*unit), y0+float32(unit)
				p.MoveTo(f32.Pt(x0, y0))
				p.LineTo(f32.Pt(x1, y0))
				p.LineTo(f32.Pt(x1, y1))
				p.LineTo(f32.Pt(x0, y1))
				p.Close()
			}
		}
	})
}
