package ui_test

import (
	"image"
	"strings"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/ui"
)

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
