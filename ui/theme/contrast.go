package theme

import "image/color"

// HighContrast returns the palette of a visitor who asked for one: white and
// yellow on black. Words owe 7 to 1 there (WCAG 2.2, 1.4.6).
func HighContrast() Palette {
	black, white, yellow := rgb(0), rgb(0xffffff), rgb(0xffe14d)
	return Palette{
		Back: black, Card: black, Tint: rgb(0x101010), Ink: white, Soft: white, Line: white, Faint: rgb(0x8c8c8c),
		Brand: yellow, BrandDown: white, OnBrand: black,
		Good: rgb(0x8dffb0), OnGood: black, Warn: yellow, OnWarn: black,
		Scrim: color.NRGBA{0, 0, 0, 0xd8},
	}
}
