// Package ui shows the screens: in a window under Wayland or X11, or, where
// there is no display, rendered off screen and kept as pictures.
//
// What is drawn is a function of the view and the newest camera image (see
// package screens); this package only brings the place to draw it on, the
// times to draw it at, and the taps. It needs cgo for EGL, Wayland and X11.
package ui

import (
	"errors"
	"fmt"
	"image"
	"log/slog"
	"os"
	"slices"
	"time"

	"gioui.org/app"

	"livekiosk/kiosk"
	"livekiosk/ui/screens"
	"livekiosk/ui/text"
	"livekiosk/ui/theme"
)

// Options are what a display needs. Its functions are called from several
// goroutines and must not block.
type Options struct {
	// View returns what to show now.
	View func() kiosk.View
	// Changed is signalled when View changed. One signal may stand for many
	// changes: its capacity is 1 and senders drop what does not fit.
	Changed <-chan struct{}
	// Drawn is told that a view is on the display. Nil: nobody listens.
	Drawn func(kiosk.View)
	// Preview returns the newest camera image, opaque and unmirrored, and a
	// number that changes with every image. The image is nil if there is none;
	// it must not be written to until Preview is called again, which is once
	// for each drawing of any screen, so that the last image of a session can
	// be erased. Nil: there is no camera.
	Preview func() (img *image.RGBA, seq uint64)
	// Theme returns what the screens of a session look like, or with "" those
	// of no session. A theme that differs from the last is drawn with the next
	// drawing. Nil: the product's own.
	Theme func(kiosk.SessionID) *theme.Theme
	// Words are the languages that the screens speak. Nil: the built-in ones.
	Words *text.Catalogue
	// Tap is told every tap on a control.
	Tap func(kiosk.Tap)
	// Desk returns what staff's screen tells, once a second while it is shown.
	// Nil: nothing.
	Desk func() screens.Desk

	Millimetres int           // how wide the picture is; 0: not known
	Scan        time.Duration // the focus moves on by itself this often, for one switch; 0: it does not

	Size      image.Point // of the headless display, pixels; 0: 720x1280
	FrameRate int         // preview redraws a second at most, 1 to 60; 0: 15

	// Out is where Headless writes its pictures; "" for none. They show
	// whoever stands before the camera: for demos and tests only.
	Out string
	// Script is tapped by itself, in order and once a session, each control as
	// soon as it has been on screen for ScriptDelay (at least screens.Settle).
	Script      []kiosk.Control
	ScriptDelay time.Duration

	// Beat is called about once a second while the display takes its steps.
	// Nil: nobody listens. A window may rightly stand still while its output
	// sleeps, so Run beats from beside the window's own loop: it tells that
	// changes are still taken, not that they are seen.
	Beat func()
	Log  *slog.Logger // nil: nothing is logged
}

// Validate reports what is wrong with o.
func (o Options) Validate() error {
	switch {
	case o.View == nil:
		return errors.New("ui: View is missing")
	case o.Changed == nil:
		return errors.New("ui: Changed is missing")
	case o.Tap == nil:
		return errors.New("ui: Tap is missing")
	case o.Size != image.Point{} && (min(o.Size.X, o.Size.Y) < 240 || max(o.Size.X, o.Size.Y) > 4096):
		return fmt.Errorf("ui: size %dx%d is not within 240 and 4096 pixels a side", o.Size.X, o.Size.Y)
	case o.FrameRate < 0 || o.FrameRate > 60:
		return fmt.Errorf("ui: frame rate %d is not within 1 and 60", o.FrameRate)
	case o.Millimetres < 0:
		return fmt.Errorf("ui: width %d mm is negative", o.Millimetres)
	case o.Scan < 0:
		return fmt.Errorf("ui: scan %v is negative", o.Scan)
	case o.ScriptDelay < 0:
		return fmt.Errorf("ui: script delay %v is negative", o.ScriptDelay)
	}
	for _, c := range o.Script {
		if !slices.Contains(kiosk.Controls(), c) {
			return fmt.Errorf("ui: script taps unknown control %q", c)
		}
	}
	return nil
}

// filled returns o with its documented defaults in place of zero values.
func (o Options) filled() Options {
	if o.Size == (image.Point{}) {
		o.Size = image.Pt(720, 1280)
	}
	if o.FrameRate == 0 {
		o.FrameRate = 15
	}
	if o.Preview == nil {
		o.Preview = func() (*image.RGBA, uint64) { return nil, 0 }
	}
	if o.Desk == nil {
		o.Desk = func() screens.Desk { return screens.Desk{} }
	}
	if o.Theme == nil {
		o.Theme = func(kiosk.SessionID) *theme.Theme { return theme.Default() }
	}
	if o.Words == nil {
		o.Words = text.BuiltIn()
	}
	if o.Drawn == nil {
		o.Drawn = func(kiosk.View) {}
	}
	if o.Beat == nil {
		o.Beat = func() {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.ScriptDelay = max(o.ScriptDelay, screens.Settle)
	return o
}

// adjust makes s what o asks for.
func (o Options) adjust(s *screens.Screens) {
	s.Speak(o.Words)
	s.SetDesk(o.Desk)
	s.SetWidth(o.Millimetres)
	s.SetScan(o.Scan)
}

// preview returns the newest camera image if v shows one.
func (o Options) preview(v kiosk.View) screens.Preview {
	img, seq := o.Preview() // always: it lets go of the image before
	if !v.Screen.Live() {
		return screens.Preview{}
	}
	return screens.Preview{Image: img, Seq: seq}
}

// HasDisplay reports whether the environment names a Wayland or X11 display.
func HasDisplay() bool {
	return os.Getenv("WAYLAND_DISPLAY") != "" || os.Getenv("DISPLAY") != ""
}

// Main hands the process's main goroutine to the windowing system. A program
// that calls Run calls Main last in its main function and Run on another
// goroutine; Main never returns, so that other goroutine ends the process.
func Main() { app.Main() }

// A script taps its controls one after another, from the beginning for every
// session.
type script struct {
	controls []kiosk.Control
	delay    time.Duration

	session kiosk.SessionID
	screen  kiosk.Screen
	next    int       // index in controls
	since   time.Time // when the next control came within reach; zero: not on screen
}

// due returns the control to tap at now and true, or else when to ask again:
// zero if only a new view can change the answer. Asking takes the control off
// the script.
func (s *script) due(now time.Time, v kiosk.View, shown func(kiosk.Control) bool) (c kiosk.Control, tap bool, again time.Time) {
	if v.Session != s.session {
		s.session, s.next, s.since = v.Session, 0, time.Time{}
	}
	if v.Screen != s.screen {
		s.screen, s.since = v.Screen, time.Time{}
	}
	if v.Session == "" || s.next >= len(s.controls) || !shown(s.controls[s.next]) {
		s.since = time.Time{}
		return "", false, time.Time{}
	}
	if s.since.IsZero() {
		s.since = now
	}
	if at := s.since.Add(s.delay); now.Before(at) {
		return "", false, at
	}
	c = s.controls[s.next]
	s.next, s.since = s.next+1, now
	return c, true, time.Time{}
}
