// Package theme holds the colours of the screens: light, dark and of high contrast.
//
// Every pair of colours that is ever drawn one on the other is listed by Pairs
// with the contrast it owes (WCAG 2.2, 1.4.3 and 1.4.11), so that a test, and
// later a theme of a partner's own, can be held to it. Nothing on a screen is
// told by colour alone.
package theme

import (
	"image/color"
	"math"

	"livekiosk/kiosk"
)

// A Palette is what each colour is for. All are opaque but Scrim.
type Palette struct {
	Back  color.NRGBA // the screen
	Card  color.NRGBA // a raised surface on it: cards, quiet buttons
	Tint  color.NRGBA // a calm area behind pictures and icons
	Ink   color.NRGBA // headings and labels
	Soft  color.NRGBA // running text
	Line  color.NRGBA // outlines that tell where a control is
	Faint color.NRGBA // hairlines that carry no meaning

	Brand     color.NRGBA // the main button, the ring, the mark
	BrandDown color.NRGBA // the main button while it is pressed
	OnBrand   color.NRGBA // text on either
	Good      color.NRGBA // done, well placed
	OnGood    color.NRGBA
	Warn      color.NRGBA // something to mend; never blame
	OnWarn    color.NRGBA
	Scrim     color.NRGBA // over the camera image outside the oval
}

// Schemes returns the colour schemes that every screen is drawn in.
func Schemes() []kiosk.Theme { return []kiosk.Theme{kiosk.Light, kiosk.Dark, kiosk.HighContrast} }

// Of returns the palette of t; what is no scheme is light.
func Of(t kiosk.Theme) Palette {
	switch t {
	case kiosk.Light, kiosk.NoPreference:
	case kiosk.HighContrast:
		return Palette{
			Back: rgb(0x000000), Card: rgb(0x000000), Tint: rgb(0x000000), Ink: rgb(0xffffff), Soft: rgb(0xffffff),
			Line: rgb(0xffffff), Faint: rgb(0x9a9a9a),
			Brand: rgb(0xffe14d), BrandDown: rgb(0xfff3b0), OnBrand: rgb(0x000000),
			Good: rgb(0x66ff99), OnGood: rgb(0x000000), Warn: rgb(0xffb14d), OnWarn: rgb(0x000000),
			Scrim: color.NRGBA{0x00, 0x00, 0x00, 0xd8},
		}
	case kiosk.Dark:
		return Palette{
			Back: rgb(0x0d1522), Card: rgb(0x18243a), Tint: rgb(0x16233a), Ink: rgb(0xf3f6fb), Soft: rgb(0xc3cddb),
			Line: rgb(0x7f92ad), Faint: rgb(0x2a3a55),
			Brand: rgb(0x7db8ff), BrandDown: rgb(0xa9d0ff), OnBrand: rgb(0x06213f),
			Good: rgb(0x6fd6a0), OnGood: rgb(0x04301b), Warn: rgb(0xf5c26b), OnWarn: rgb(0x3a2600),
			Scrim: color.NRGBA{0x0d, 0x15, 0x22, 0xc0},
		}
	}
	return Palette{
		Back: rgb(0xf7f9fc), Card: rgb(0xffffff), Tint: rgb(0xe6eef8), Ink: rgb(0x12233d), Soft: rgb(0x43546d),
		Line: rgb(0x6d7f99), Faint: rgb(0xd9e2ee),
		Brand: rgb(0x0b57a8), BrandDown: rgb(0x083f7a), OnBrand: rgb(0xffffff),
		Good: rgb(0x0f6b43), OnGood: rgb(0xffffff), Warn: rgb(0x8a4f00), OnWarn: rgb(0xffffff),
		Scrim: color.NRGBA{0xf7, 0xf9, 0xfc, 0xc4},
	}
}

// A Pair is one colour drawn on another, and the least contrast it may have.
type Pair struct {
	Name       string
	Fore, Back color.NRGBA
	Least      float64
}

// Pairs returns every pair of p that the screens draw. Text owes 4.5 to 1, the
// shapes that carry meaning 3 to 1. Over the camera image the worst case
// counts: the scrim on pure black and on pure white.
func (p Palette) Pairs() []Pair {
	const words, shape = 4.5, 3
	dark, bright := Over(p.Scrim, rgb(0)), Over(p.Scrim, rgb(0xffffff))
	return []Pair{
		{"ink on screen", p.Ink, p.Back, words},
		{"ink on card", p.Ink, p.Card, words},
		{"ink on tint", p.Ink, p.Tint, words},
		{"soft on screen", p.Soft, p.Back, words},
		{"soft on card", p.Soft, p.Card, words},
		{"soft on tint", p.Soft, p.Tint, words},
		{"brand on screen", p.Brand, p.Back, words},
		{"brand on card", p.Brand, p.Card, words},
		{"brand on tint", p.Brand, p.Tint, words},
		{"label on brand", p.OnBrand, p.Brand, words},
		{"label on pressed brand", p.OnBrand, p.BrandDown, words},
		{"label on good", p.OnGood, p.Good, words},
		{"label on warn", p.OnWarn, p.Warn, words},
		{"good on screen", p.Good, p.Back, shape},
		{"warn on screen", p.Warn, p.Back, shape},
		{"outline on screen", p.Line, p.Back, shape},
		{"outline on card", p.Line, p.Card, shape},
		{"ink on scrim over black", p.Ink, dark, words},
		{"ink on scrim over white", p.Ink, bright, words},
		{"ring on scrim over black", p.Brand, dark, shape},
		{"ring on scrim over white", p.Brand, bright, shape},
		{"full ring on scrim over black", p.Good, dark, shape},
		{"full ring on scrim over white", p.Good, bright, shape},
	}
}

// Contrast returns the contrast ratio of two opaque colours, 1 to 21, as
// WCAG 2.2 defines it.
func Contrast(a, b color.NRGBA) float64 {
	la, lb := luminance(a), luminance(b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

// Over returns top drawn on the opaque colour under, blended as the values
// stand, which is how the scrim is laid over the camera image.
func Over(top, under color.NRGBA) color.NRGBA {
	mix := func(t, u uint8) uint8 {
		return uint8((int(t)*int(top.A) + int(u)*(255-int(top.A)) + 127) / 255)
	}
	return color.NRGBA{mix(top.R, under.R), mix(top.G, under.G), mix(top.B, under.B), 0xff}
}

func luminance(c color.NRGBA) float64 {
	return 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
}

func linear(v uint8) float64 {
	s := float64(v) / 255
	if s <= 0.04045 {
		return s / 12.92
	}
	return math.Pow((s+0.055)/1.055, 2.4)
}

func rgb(hex uint32) color.NRGBA {
	return color.NRGBA{uint8(hex >> 16), uint8(hex >> 8), uint8(hex), 0xff}
}
