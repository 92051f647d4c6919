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
	giotext "gioui.org/text"
	"gioui.org/unit"
	"gioui.org/widget"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gomedium"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/gomonobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"

	"livekiosk/kiosk"
	"livekiosk/ui/text"
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
	theme  *theme.Theme
	spoken *text.Catalogue
	faces  map[string][]font.FontFace // by family: to set words
	fonts  map[string][]*sfnt.Font    // the same, from light to bold: to draw them
	shaper *giotext.Shaper            // of the theme's family

	session kiosk.SessionID // what the buttons belong to
	screen  kiosk.Screen
	since   time.Time // when the screen came up, in frame time

	buttons *[controls]widget.Clickable
	bounds  [controls]image.Rectangle // empty: not on screen
	scroll  layout.List               // the consent text
	keys    *[keys]widget.Clickable   // of a keypad
	pads    [keys]image.Rectangle     // where they are; empty: not on screen
	typed   []byte                    // on it; secret
	door    door
	choice  chooser
	glance  func() Desk
	millis  int // how wide the display is, mm; 0: not known
	scan    scan

	logo   logo
	stamps stamps
	prints prints
	hoop   hoop

	imaged   kiosk.SessionID // whose image still and glass may hold
	still    still
	code     code
	glass    mirror
	video    paint.ImageOp // what glass drew last
	videoKey videoKey
	nothing  paint.ImageOp // one transparent pixel

	frame frame             // the one at hand: made anew, it would be garbage 15 times a second
	boxes []image.Rectangle // what row gave out in it
	left  attempts

	clipped []string // texts that did not fit
	unseen  bool     // it is only to be found out which those are
}

// New returns screens that call tap, from within Layout, for every tap on a
// control that is on screen. tap must not block; it may be nil.
func New(tap func(kiosk.Tap)) (*Screens, error) {
	if tap == nil {
		tap = func(kiosk.Tap) {}
	}
	s := &Screens{
		tap:     tap,
		spoken:  text.BuiltIn(),
		faces:   map[string][]font.FontFace{},
		fonts:   map[string][]*sfnt.Font{},
		buttons: new([controls]widget.Clickable),
		keys:    new([keys]widget.Clickable),
		typed:   make([]byte, 0, longest),
		glance:  func() Desk { return Desk{} },
		scroll:  layout.List{Axis: layout.Vertical},
		nothing: paint.NewImageOp(image.NewRGBA(image.Rect(0, 0, 1, 1))),
	}
	for family, files := range map[string][][]byte{
		theme.Go:     {goregular.TTF, gomedium.TTF, gobold.TTF},
		theme.GoMono: {gomono.TTF, gomonobold.TTF},
	} {
		for _, ttf := range files {
			f, err := opentype.ParseCollection(ttf)
			if err != nil {
				return nil, err
			}
			s.faces[family] = append(s.faces[family], f...)
			drawn, err := sfnt.Parse(ttf)
			if err != nil {
				return nil, err
			}
			s.fonts[family] = append(s.fonts[family], drawn)
		}
	}
	s.Wear(theme.Default())
	return s, nil
}

// Wear draws with t from the next Layout on.
func (s *Screens) Wear(t *theme.Theme) {
	if s.theme == t {
		return
	}
	if s.theme == nil || s.theme.Font != t.Font {
		s.shaper = giotext.NewShaper(giotext.NoSystemFonts(), giotext.WithCollection(s.faces[t.Font]))
	}
	s.theme, s.logo = t, logo{}
	s.prints.clear()
}

// Speak has the screens say c's words from the next Layout on, in place of the
// built-in languages.
func (s *Screens) Speak(c *text.Catalogue) {
	if s.spoken == c {
		return
	}
	s.spoken, s.choice, s.left = c, chooser{}, attempts{}
	s.prints.clear()
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
		s.buttons, s.keys = new([controls]widget.Clickable), new([keys]widget.Clickable)
		s.scroll.Position = layout.Position{}
		s.door, s.choice = door{}, chooser{}
		s.prints.clear()
		s.erase()
	}
	live := v.Screen.Live()
	again := v.Screen == kiosk.AgainScreen && !v.Ask
	if !live && !again || v.Session != s.imaged {
		s.forget()
		s.imaged = v.Session
	}
	if !again {
		s.still.clear()
	}
	s.bounds, s.pads = [controls]image.Rectangle{}, [keys]image.Rectangle{}
	s.clipped, s.boxes = s.clipped[:0], s.boxes[:0]

	if v.Wishes.Contrast {
		v.Theme = kiosk.HighContrast
	}
	look := s.theme.Look(v.Theme, v.Screen, theme.Whole)
	f := &s.frame
	*f = frame{Screens: s, v: v, say: s.spoken.Of(v.Locale), look: look, p: look.Palette, upright: size.Y >= size.X, size: size, zoom: 1}
	if v.Wishes.Large {
		f.zoom = larger
	}
	want := image.Pt(1280, 800)
	if f.upright {
		want = image.Pt(720, 1280)
	}
	f.scale = min(float32(size.X)/float32(want.X), float32(size.Y)/float32(want.Y))
	gtx.Metric = unit.Metric{PxPerDp: f.scale, PxPerSp: f.scale}
	gtx.Constraints = layout.Exact(size)
	f.Context = gtx
	paint.Fill(f.Ops, f.p.Back)
	if !live && !again {
		// Every other screen is drawn without textures, and a driver keeps the
		// one it used last, which has been deleted, until it uses another.
		pixel := clip.Rect(image.Rect(0, 0, 1, 1)).Push(f.Ops)
		f.nothing.Add(f.Ops)
		paint.PaintOp{}.Add(f.Ops)
		pixel.Pop()
	}

	if !f.choose() {
		f.screen(p)
	}
	s.scan.step(f)
	return layout.Dimensions{Size: size}
}

// screen draws the screen of the view.
func (f *frame) screen(p Preview) {
	switch f.v.Screen {
	case kiosk.RestingScreen:
		f.resting()
	case kiosk.ConsentScreen:
		f.consent()
	case kiosk.GuidingScreen:
		f.guiding(p)
	case kiosk.AgainScreen:
		f.retry(p)
	case kiosk.TipsScreen:
		f.tips()
	case kiosk.WarningScreen:
		f.warning()
	case kiosk.ColoursScreen:
		f.colours()
	case kiosk.CodeScreen, kiosk.PINScreen:
		f.keypad()
	case kiosk.DeskScreen:
		f.desk()
	case kiosk.CommissionScreen:
		f.commission(p)
	case kiosk.IdleScreen, kiosk.SavingScreen, kiosk.WaitingScreen, kiosk.GrantedScreen,
		kiosk.RefusedScreen, kiosk.SavedScreen, kiosk.StaffScreen, kiosk.CancelledScreen, kiosk.OutOfServiceScreen:
		f.notice()
	}
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
	s.still.clear()
	if s.video.Size() != (image.Point{}) {
		s.glass.clear()
		s.hoop.forget()
		s.video, s.videoKey = paint.ImageOp{}, videoKey{}
	}
}

// SetDesk has glance asked what DeskScreen tells staff, whenever it is drawn.
// It must not block.
func (s *Screens) SetDesk(glance func() Desk) { s.glance = glance }

// SetWidth tells how wide the display is, so that no target is smaller than a
// finger needs: 15 mm. Zero means that it is not known.
func (s *Screens) SetWidth(mm int) { s.millis = mm }

// controls is the number of slots: one for each control, and slot 0 for an
// unknown one, which is never drawn.
const controls = 19

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
	case kiosk.Ready:
		return 8
	case kiosk.Begin:
		return 9
	case kiosk.Enter:
		return 10
	case kiosk.Large:
		return 11
	case kiosk.Contrast:
		return 12
	case kiosk.NoLimit:
		return 13
	case kiosk.Door:
		return 14
	case kiosk.Drain:
		return 15
	case kiosk.Listing:
		return 16
	case kiosk.NoFlash:
		return 17
	case kiosk.Flash:
		return 18
	}
	return 0
}
