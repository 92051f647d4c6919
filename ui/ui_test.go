package ui_test

import (
	"image"
	"image/color"
	"image/draw"
	"strings"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/ui"
)

// portrait is a camera image of a drawn person, a little off to the side, in
// few flat colours. Its left edge is marked red: a mirror shows it on the right.
func portrait(size image.Point) *image.RGBA {
	m := image.NewRGBA(image.Rectangle{Max: size})
	draw.Draw(m, m.Bounds(), image.NewUniform(color.RGBA{0x9a, 0xa7, 0xb5, 0xff}), image.Point{}, draw.Src)
	h := float64(size.Y)
	cx, cy := float64(size.X)/2+0.06*h, h/2
	ellipse := func(x, y, rx, ry float64, c color.RGBA) {
		for py := max(0, int(y-ry)); py < min(size.Y, int(y+ry)+1); py++ {
			for px := max(0, int(x-rx)); px < min(size.X, int(x+rx)+1); px++ {
				dx, dy := (float64(px)-x)/rx, (float64(py)-y)/ry
				if dx*dx+dy*dy <= 1 {
					m.SetRGBA(px, py, c)
				}
			}
		}
	}
	ellipse(cx, cy+0.62*h, 0.46*h, 0.34*h, color.RGBA{0x3d, 0x5a, 0x80, 0xff})
	ellipse(cx, cy-0.06*h, 0.215*h, 0.27*h, color.RGBA{0x2b, 0x22, 0x1e, 0xff})
	ellipse(cx, cy, 0.175*h, 0.235*h, color.RGBA{0xc6, 0x8e, 0x65, 0xff})
	for _, side := range []float64{-1, 1} {
		ellipse(cx+side*0.075*h, cy-0.035*h, 0.026*h, 0.016*h, color.RGBA{0xf4, 0xf1, 0xec, 0xff})
		ellipse(cx+side*0.075*h, cy-0.035*h, 0.012*h, 0.014*h, color.RGBA{0x2b, 0x22, 0x1e, 0xff})
	}
	ellipse(cx, cy+0.12*h, 0.06*h, 0.014*h, color.RGBA{0x9c, 0x4f, 0x4a, 0xff})
	left := image.Rect(int(float64(size.X)/2-0.44*h), 0, int(float64(size.X)/2-0.40*h), size.Y)
	draw.Draw(m, left, image.NewUniform(color.RGBA{0xb0, 0x30, 0x30, 0xff}), image.Point{}, draw.Src)
	return m
}

func options() ui.Options {
	return ui.Options{
		View:    func() kiosk.View { return kiosk.View{Screen: kiosk.IdleScreen} },
		Changed: make(chan struct{}),
		Tap:     func(kiosk.Tap) {},
	}
}

func TestOptionsSayWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(o *ui.Options)
		want  string // "" for valid
	}{
		{"the least that is needed", func(*ui.Options) {}, ""},
		{"a landscape display and a script", func(o *ui.Options) {
			o.Size, o.FrameRate, o.Script = image.Pt(1280, 800), 30, []kiosk.Control{kiosk.Agree}
		}, ""},
		{"no view", func(o *ui.Options) { o.View = nil }, "View is missing"},
		{"no signal of changes", func(o *ui.Options) { o.Changed = nil }, "Changed is missing"},
		{"nobody to tell taps to", func(o *ui.Options) { o.Tap = nil }, "Tap is missing"},
		{"a display of no height", func(o *ui.Options) { o.Size = image.Pt(720, 0) }, "size 720x0"},
		{"a display too large for a texture", func(o *ui.Options) { o.Size = image.Pt(720, 5000) }, "size 720x5000"},
		{"a frame rate too high", func(o *ui.Options) { o.FrameRate = 61 }, "frame rate 61"},
		{"a negative frame rate", func(o *ui.Options) { o.FrameRate = -1 }, "frame rate -1"},
		{"a negative delay", func(o *ui.Options) { o.ScriptDelay = -time.Second }, "script delay -1s"},
		{"a control that does not exist", func(o *ui.Options) { o.Script = []kiosk.Control{"jump"} }, `"jump"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options()
			c.spoil(&o)
			err := o.Validate()
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestInvalidOptionsOpenNothing(t *testing.T) {
	o := options()
	o.View = nil
	if err := ui.Headless(t.Context(), o); err == nil {
		t.Error("headless display opened")
	}
	if err := ui.Run(t.Context(), o); err == nil {
		t.Error("window opened")
	}
}

func TestDisplayIsFoundInTheEnvironment(t *testing.T) {
	t.Setenv("DISPLAY", "")
	t.Setenv("WAYLAND_DISPLAY", "")
	if ui.HasDisplay() {
		t.Error("found a display where there is none")
	}
	if err := ui.Run(t.Context(), options()); err == nil || !strings.Contains(err.Error(), "WAYLAND_DISPLAY") {
		t.Errorf("Run without a display: %v", err)
	}
	t.Setenv("DISPLAY", ":7")
	if !ui.HasDisplay() {
		t.Error("did not find an X11 display")
	}
	t.Setenv("DISPLAY", "")
	t.Setenv("WAYLAND_DISPLAY", "wayland-1")
	if !ui.HasDisplay() {
		t.Error("did not find a Wayland display")
	}
}
