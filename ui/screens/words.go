package screens

import (
	"image"
	"image/color"
	"math"

	"gioui.org/font"
	"gioui.org/io/semantic"
	"gioui.org/op/paint"
	giotext "gioui.org/text"
	"golang.org/x/image/draw"
	xfont "golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// mostWords bounds the pictures of words that are kept, bytes.
const mostWords = 16 << 20

// A wordsKey is all that the picture of a text depends on.
type wordsKey struct {
	text   string
	size   int
	weight font.Weight
	ink    color.NRGBA
	width  int
	align  giotext.Alignment
}

// A printed text is the picture of a text, and where it begins in its box.
type printed struct {
	img *image.RGBA
	op  paint.ImageOp
	at  image.Point
}

// prints are the texts of one screen of one session: some of them are nobody
// else's to see, so that they are erased with it.
type prints struct {
	all   map[wordsKey]printed
	bytes int
	faces map[faceKey]xfont.Face
}

type faceKey struct {
	size   int
	weight font.Weight
}

func (p *prints) clear() {
	for _, one := range p.all {
		clear(one.img.Pix)
	}
	*p = prints{all: map[wordsKey]printed{}, faces: map[faceKey]xfont.Face{}}
}

// words sets it's text into r, whose height extent has given.
func (f *frame) words(r image.Rectangle, align giotext.Alignment, it item, shrink float32) {
	semantic.LabelOp(it.text).Add(f.Ops)
	if f.unseen {
		return
	}
	key := wordsKey{it.text, f.em(it.size, shrink), it.weight, it.color, r.Dx(), align}
	p, kept := f.prints.all[key]
	if !kept {
		if f.prints.all == nil || f.prints.bytes > mostWords {
			f.prints.clear()
		}
		p = f.set(key)
		f.prints.all[key] = p
		f.prints.bytes += len(p.img.Pix)
	}
	at := r.Min.Add(p.at)
	f.stamp(image.Rectangle{Min: at, Max: at.Add(p.img.Rect.Size())}, p.op, image.Point{})
}

// set draws a text as the shaper lays it out.
func (f *frame) set(k wordsKey) printed {
	f.shaper.LayoutString(giotext.Parameters{
		Font: font.Font{Weight: k.weight}, PxPerEm: fixed.I(k.size), MinWidth: k.width, MaxWidth: k.width, Alignment: k.align,
		WrapPolicy: giotext.WrapWords, LineHeightScale: leading,
	}, k.text)
	type mark struct {
		r rune
		x fixed.Int26_6
		y int
	}
	var marks []mark
	runes := []rune(k.text)
	box := image.Rectangle{Min: image.Pt(math.MaxInt32, math.MaxInt32)}
	for g, ok := f.shaper.NextGlyph(); ok; g, ok = f.shaper.NextGlyph() {
		y := int(g.Y)
		if len(marks) == 0 {
			box.Min.Y = y - g.Ascent.Ceil()
		}
		n := min(int(g.Runes), len(runes))
		if g.Flags&giotext.FlagParagraphBreak == 0 {
			for _, r := range runes[:n] {
				marks = append(marks, mark{r, g.X, y})
			}
			box.Min.X = min(box.Min.X, g.X.Floor())
			box.Max.X = max(box.Max.X, (g.X + g.Advance).Ceil())
			box.Max.Y = max(box.Max.Y, y+g.Descent.Ceil())
		}
		runes = runes[n:]
	}
	if len(marks) == 0 {
		box = image.Rectangle{}
	}
	top := box.Min.Y
	box = box.Inset(-k.size / 4) // letters may lean over
	ink := image.NewAlpha(box)
	face := f.face(faceKey{k.size, k.weight})
	for _, m := range marks {
		to, mask, from, _, ok := face.Glyph(fixed.Point26_6{X: m.x, Y: fixed.I(m.y)}, m.r)
		if ok {
			draw.DrawMask(ink, to, image.Opaque, image.Point{}, mask, from, draw.Over)
		}
	}
	p := printed{img: tint(ink, k.ink), at: box.Min.Sub(image.Pt(0, top))}
	p.op = paint.NewImageOp(p.img)
	p.op.Filter = paint.FilterNearest
	return p
}

// face returns the theme's family in a size and weight.
func (f *frame) face(k faceKey) xfont.Face { //nolint:ireturn // as the package has it
	face, kept := f.prints.faces[k]
	if !kept {
		fonts := f.fonts[f.theme.Font]
		at := 0
		switch {
		case k.weight >= font.SemiBold:
			at = len(fonts) - 1
		case k.weight >= font.Medium:
			at = (len(fonts) - 1) / 2
		}
		face, _ = opentype.NewFace(fonts[at], &opentype.FaceOptions{Size: float64(k.size), DPI: 72}) // never fails
		f.prints.faces[k] = face
	}
	return face
}

// tint returns a picture of one colour that covers as ink says.
func tint(ink *image.Alpha, c color.NRGBA) *image.RGBA {
	img := image.NewRGBA(image.Rectangle{Max: ink.Rect.Size()})
	for i, a := range ink.Pix {
		over(img.Pix[4*i:4*i+4], c, a)
	}
	return img
}
