// Package screens draws what a visitor sees: a function of a kiosk.View and
// the newest camera image.
//
// It needs no window and no GPU. It lays Gio operations out into whatever
// context it is given, and tells taps to whoever asked; package ui brings the
// window or the headless renderer. Sizes are written in design pixels, of a
// 720x1280 display held upright or a 1280x800 one lying; any other display is
// filled by scaling them.
package screens

import (
	"image"
	"time"

	"gioui.org/font"
	"gioui.org/font/opentype"
	"gioui.org/layout"
	"gioui.org/op/clip"
	"gioui.org/op/paint"
	"gioui.org/text"
	"gioui.org/unit"
	"gioui.org/widget"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gomedium"
	"golang.org/x/image/font/gofont/goregular"

	"livekiosk/kiosk"
	"livekiosk/ui/theme"
)

// Settle is how long a new screen takes no taps: the second tap of a double
// tap must not land on a button that has just appeared under the finger.
const Settle = 400 * time.Millisecond

// A Preview is the newest camera image, as the camera sees it: unmirrored. A
// nil Image means none has come yet.
type Preview struct {
	Image *image.RGBA // opaque; read only while Layout runs
	Seq   uint64      // changes with every new image
}

// Screens draws the screens and hears taps on them. One value serves one
// window; its methods must not be called concurrently.
type Screens struct {
	tap    func(kiosk.Tap)
	shaper *text.Shaper

	session kiosk.SessionID // what the buttons belong to
	screen  kiosk.Screen
	since   time.Time // when the screen came up, in frame time

	buttons *[controls]widget.Clickable
	bounds  [controls]image.Rectangle // empty: not on screen
	scroll  layout.List               // the consent text

	icons map[iconKey]shape
	oval  ovalShapes

	glass    mirror
	video    paint.ImageOp // what glass drew last
	videoKey videoKey
	nothing  paint.ImageOp // one transparent pixel

	clipped []string // texts that did not fit, for the tests
}

// New returns screens that call tap, from within Layout, for every tap on a
// control that is on screen. tap must not block; it may be nil.
func New(tap func(kiosk.Tap)) (*Screens, error) {
	var faces []font.FontFace
	for _, ttf := range [][]byte{goregular.TTF, gomedium.TTF, gobold.TTF} {
		f, err := opentype.ParseCollection(ttf)
		if err != nil {
			return nil, err
		}
		faces = append(faces, f...)
	}
	if tap == nil {
		tap = func(kiosk.Tap) {}
	}
	return &Screens{
		tap:     tap,
		shaper:  text.NewShaper(text.NoSystemFonts(), text.WithCollection(faces)),
		buttons: new([controls]widget.Clickable),
		scroll:  layout.List{Axis: layout.Vertical},
		icons:   map[iconKey]shape{},
		nothing: paint.NewImageOp(image.NewRGBA(image.Rect(0, 0, 1, 1))),
	}, nil
}

// Layout draws v, with p behind the oval where v wants guidance, into all of
// gtx's maximum constraints.
func (s *Screens) Layout(gtx layout.Context, v kiosk.View, p Preview) layout.Dimensions {
	size := gtx.Constraints.Max
	if size.X <= 0 || size.Y <= 0 {
		return layout.Dimensions{Size: size}
	}
	if v.Session != s.session || v.Screen != s.screen || s.since.IsZero() {
		// A press that began on another screen, or under another visitor's
		// finger, must not be finished here: new buttons know nothing of it.
		s.session, s.screen, s.since = v.Session, v.Screen, gtx.Now
		s.buttons = new([controls]widget.Clickable)
		s.scroll.Position = layout.Position{}
	}
	live := v.Screen.Live()
	if !live {
		s.forget()
	}
	s.bounds = [controls]image.Rectangle{}
	s.clipped = s.clipped[:0]

	f := frame{Screens: s, v: v, p: theme.Of(v.Theme), upright: size.Y >= size.X, size: size}
	want := image.Pt(1280, 800)
	if f.upright {
		want = image.Pt(720, 1280)
	}
	f.scale = min(float32(size.X)/float32(want.X), float32(size.Y)/float32(want.Y))
	gtx.Metric = unit.Metric{PxPerDp: f.scale, PxPerSp: f.scale}
	gtx.Constraints = layout.Exact(size)
	f.Context = gtx
	paint.Fill(f.Ops, f.p.Back)
	if !live {
		// Every other screen is drawn without textures, and a driver keeps the
		// one it used last, which has been deleted, until it uses another.
		pixel := clip.Rect(image.Rect(0, 0, 1, 1)).Push(f.Ops)
		f.nothing.Add(f.Ops)
		paint.PaintOp{}.Add(f.Ops)
		pixel.Pop()
	}

	switch v.Screen {
	case kiosk.RestingScreen:
		f.resting()
	case kiosk.ConsentScreen:
		f.consent()
	case kiosk.GuidingScreen:
		f.guiding(p)
	case kiosk.CommissionScreen:
		f.commission(p)
	case kiosk.IdleScreen, kiosk.AgainScreen, kiosk.SavingScreen, kiosk.WaitingScreen, kiosk.GrantedScreen,
		kiosk.RefusedScreen, kiosk.SavedScreen, kiosk.StaffScreen, kiosk.CancelledScreen, kiosk.OutOfServiceScreen:
		f.notice()
	}
	return layout.Dimensions{Size: size}
}

// Bounds returns where the control was drawn by the last Layout, in pixels of
// the display, and whether it was.
func (s *Screens) Bounds(c kiosk.Control) (image.Rectangle, bool) {
	r := s.bounds[slot(c)]
	return r, !r.Empty()
}

// Press taps the control as if by hand, at the next Layout. It does nothing
// while the control is not on screen.
func (s *Screens) Press(c kiosk.Control) {
	if _, shown := s.Bounds(c); shown {
		s.buttons[slot(c)].Click()
	}
}

// Reset forgets what was on screen, so that the next Layout begins anew. Fonts
// and shapes stay.
func (s *Screens) Reset() {
	s.forget()
	s.session, s.screen, s.since = "", "", time.Time{}
}

// forget lets go of the last camera image, so that nobody's face stays in
// memory, or in a texture, after guidance ended.
func (s *Screens) forget() {
	if s.video.Size() != (image.Point{}) {
		s.glass.clear()
		s.video, s.videoKey = paint.ImageOp{}, videoKey{}
	}
}

// controls is the number of slots: one for each control, and slot 0 for an
// unknown one, which is never drawn.
const controls = 8

func slot(c kiosk.Control) int {
	switch c {
	case kiosk.Agree:
		return 1
	case kiosk.Decline:
		return 2
	case kiosk.Cancel:
		return 3
	case kiosk.Help:
		return 4
	case kiosk.Done:
		return 5
	case kiosk.Switch:
		return 6
	case kiosk.Resume:
		return 7
	}
	return 0
}
