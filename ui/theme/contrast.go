package theme

import (
	"image/color"
	"math"

	"livekiosk/kiosk"
)

// Warnings returns, in words, each pair of colours that has less contrast than
// WCAG 2.2 AA asks for: in which scheme, on which screen or dialog first, how
// much it has and how much it owes.
func (t *Theme) Warnings() []string {
	var all []string
	for _, scheme := range Schemes() {
		told := map[Pair]bool{}
		for _, card := range append([]Card{Whole}, Cards()...) {
			for _, screen := range kiosk.Screens() {
				for _, p := range t.Look(scheme, screen, card).Pairs() {
					have := Contrast(p.Fore, p.Back)
					if have >= p.Least || told[p] {
						continue
					}
					told[p] = true
					all = append(all, hard(scheme, screen, card, p).Error())
				}
			}
		}
	}
	return all
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
	dark, bright := Over(p.Scrim, color.NRGBA{A: 0xff}), Over(p.Scrim, color.NRGBA{0xff, 0xff, 0xff, 0xff})
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
