package screens

import (
	"image"
	"image/color"

	"gioui.org/layout"

	"livekiosk/kiosk"
	"livekiosk/ui/theme"
)

// resting draws a screen that is dark, for nobody: black, whatever the theme,
// with a mark so faint that it only says that the kiosk is on. A touch anywhere
// wakes it: not every kiosk has a sensor that does.
func (f *frame) resting() {
	b := f.control(image.Rectangle{Max: f.size}, kiosk.Begin)
	f.scan.add(b)
	gtx := f.Context
	gtx.Constraints = layout.Exact(f.size)
	b.Layout(gtx, func(layout.Context) layout.Dimensions { return layout.Dimensions{Size: f.size} })
	f.fill(image.Rectangle{Max: f.size}, color.NRGBA{A: 0xff})
	centre := f.size.Div(2)
	f.mark(image.Rectangle{Min: centre, Max: centre}.Inset(-f.px(80)), theme.Of(kiosk.Dark).Faint)
}
