package ui

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gioui.org/app"
	"gioui.org/io/system"
	"gioui.org/op"
	"gioui.org/unit"

	"livekiosk/kiosk"
	"livekiosk/ui/screens"
)

// grace is how long a window may take to close before Run leaves it behind.
const grace = 2 * time.Second

// errClosed says that the window went away without being asked to.
var errClosed = errors.New("the window was closed by the compositor")

// Run shows the screens in a full-screen window until ctx ends. The program's
// main goroutine must be in Main meanwhile.
//
// While guiding it draws at the rate of the camera, at most FrameRate; any
// other screen is drawn when the view changes and then rests. It fails if no
// window can be opened, and when the compositor goes away or closes it.
func Run(ctx context.Context, o Options) error {
	if err := o.Validate(); err != nil {
		return err
	}
	if !HasDisplay() {
		return errors.New("open window: neither WAYLAND_DISPLAY nor DISPLAY is set")
	}
	o = o.filled()
	if err := forgetFrames(); err != nil {
		return err
	}
	s, err := screens.New(o.Tap)
	if err != nil {
		return fmt.Errorf("load fonts: %w", err)
	}
	o.adjust(s)
	w := new(app.Window)
	w.Option(app.Title("livekiosk"), app.Size(unit.Dp(o.Size.X), unit.Dp(o.Size.Y)), app.Decorated(false))

	gone := make(chan error, 1)
	go func() { gone <- frames(ctx, w, s, o) }()
	go pump(ctx, w, o)

	select {
	case err := <-gone:
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("show window: %w", err)
	case <-ctx.Done():
	}
	// The window's own loop closes it, since Gio's Wayland window can be closed
	// from nowhere else. It may be asleep with its output: do not wait for ever.
	w.Invalidate()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case err := <-gone:
		o.Log.DebugContext(ctx, "window closed", slog.Any("cause", err))
	case <-timer.C:
		o.Log.WarnContext(ctx, "window did not close in time", slog.Duration("after", grace))
	}
	return nil
}

// frames answers the window's events until it is gone.
func frames(ctx context.Context, w *app.Window, s *screens.Screens, o Options) error {
	var ops op.Ops
	full := false
	sc := script{controls: o.Script, delay: o.ScriptDelay}
	shown := func(c kiosk.Control) bool {
		_, on := s.Bounds(c)
		return on
	}
	for {
		switch e := w.Event().(type) {
		case app.DestroyEvent:
			if e.Err != nil {
				return e.Err
			}
			return errClosed
		case app.FrameEvent:
			gtx := app.NewContext(&ops, e)
			v := o.View()
			s.Wear(o.Theme(v.Session))
			s.Layout(gtx, v, o.preview(v))
			c, tap, again := sc.due(gtx.Now, v, shown)
			switch {
			case tap:
				s.Press(c)
				gtx.Execute(op.InvalidateCmd{})
			case !again.IsZero():
				gtx.Execute(op.InvalidateCmd{At: again})
			}
			e.Frame(gtx.Ops)
			if !full {
				// Under Wayland a window that is to be full from the start has
				// no size yet when Gio makes its surface, which then fails.
				full = true
				w.Option(app.Fullscreen.Option())
			}
			o.Drawn(v)
			if ctx.Err() != nil {
				w.Perform(system.ActionClose)
			}
		}
	}
}

// pump asks w to draw again for every change of the view and, while guiding,
// for every new camera image. It keeps beating while the window sleeps.
func pump(ctx context.Context, w *app.Window, o Options) {
	beat := time.NewTicker(pulse)
	defer beat.Stop()
	pace := time.Second / time.Duration(o.FrameRate)
	camera := time.NewTicker(pace)
	camera.Stop()
	defer camera.Stop()
	var shown kiosk.View
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			o.Beat()
			if o.View() == shown { // else a signal was missed
				continue
			}
		case <-o.Changed:
		case <-camera.C:
		}
		v := o.View()
		switch live := v.Screen.Live(); {
		case live == shown.Screen.Live():
		case live:
			camera.Reset(pace)
		default:
			camera.Stop()
		}
		shown = v
		w.Invalidate()
	}
}
