package screens

import (
	"image"
	"image/color"

	"livekiosk/kiosk"
	"livekiosk/ui/theme"
)

// resting draws a screen that is dark, for nobody: black, whatever the theme,
// with a mark so faint that it only says that the kiosk is on.
func (f *frame) resting() {
	f.fill(image.Rectangle{Max: f.size}, color.NRGBA{A: 0xff})
	centre := f.size.Div(2)
	f.mark(image.Rectangle{Min: centre, Max: centre}.Inset(-f.px(80)), theme.Of(kiosk.Dark).Faint)
}
