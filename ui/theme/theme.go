// Package theme says what the screens look like: colours in three schemes,
// type, corners, buttons, dialogs, the oval and its ring, and a logo.
//
// A theme is a JSON document, which theme.schema.json describes; the one that
// the product brings is default.json. Whatever a theme leaves out is as there.
// Reading one is strict: an unknown key or an impossible value is an error that
// names it.
//
// Every pair of colours that is ever drawn one on the other is listed by Pairs
// with the contrast it owes (WCAG 2.2, 1.4.3 and 1.4.11). A theme that fails
// one is told so by Warnings and shown all the same. Nothing on a screen is
// told by colour alone.
package theme

import (
	"bytes"
	_ "embed"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"livekiosk/kiosk"
)

// A Palette is what each colour is for. All are opaque but Scrim.
type Palette struct {
	Back  color.NRGBA // the screen
	Card  color.NRGBA // a raised surface on it: cards, quiet buttons
	Tint  color.NRGBA // a calm area behind pictures and icons
	Ink   color.NRGBA // headings and labels
	Soft  color.NRGBA // running text
	Line  color.NRGBA // outlines that tell where a control is
	Faint color.NRGBA // hairlines that carry no meaning

	Brand     color.NRGBA // the main button, the ring, the mark
	BrandDown color.NRGBA // the main button while it is pressed
	OnBrand   color.NRGBA // text on either
	Good      color.NRGBA // done, well placed
	OnGood    color.NRGBA
	Warn      color.NRGBA // something to mend; never blame
	OnWarn    color.NRGBA
	Scrim     color.NRGBA // over the camera image outside the oval
}

// A Look is what one screen, or one dialog on it, looks like in one scheme.
// Lengths are in design pixels (see package screens).
type Look struct {
	Palette

	Text   float32 // factor on the size of all type
	Button Button
	Dialog Dialog
	Oval   Oval
}

// A Button is the form of the buttons.
type Button struct {
	Radius float32 // of the corners
	Border float32 // of one that is not the main one
	Main   float32 // size of the main one's type
	Quiet  float32 // size of the others'
}

// A Dialog is the form of what lies on a screen: the terms, the receipt.
type Dialog struct{ Radius, Border float32 }

// An Oval is the widths of the edge that a face is to fill, and of the ring on it.
type Oval struct{ Rim, Ring float32 }

// A Card names a dialog that may have a look of its own.
type Card string

// The dialogs.
const (
	Whole   Card = ""        // none: the screen itself
	Terms   Card = "terms"   // the consent's text
	Receipt Card = "receipt" // the code to take away
)

// Cards returns every dialog, without Whole.
func Cards() []Card { return []Card{Terms, Receipt} }

// The bundled families of type.
const (
	Go     = "go"
	GoMono = "go-mono"
)

// A Theme is a document that was read. It does not change.
type Theme struct {
	Name string
	Font string // Go or GoMono

	prefers kiosk.Theme
	light   image.Image // the logo; nil: none
	dark    image.Image
	looks   map[place]Look
}

// A place is where a look holds.
type place struct {
	scheme kiosk.Theme
	screen kiosk.Screen
	card   Card
}

// Schemes returns the colour schemes that every screen is drawn in.
func Schemes() []kiosk.Theme { return []kiosk.Theme{kiosk.Light, kiosk.Dark, kiosk.HighContrast} }

//go:embed default.json
var builtIn []byte

// Default returns the product's own theme.
var Default = sync.OnceValue(func() *Theme { //nolint:gochecknoglobals // read once, and never changes
	t, err := parse(builtIn, installed(nil), nil)
	if err != nil { // the tests read it
		panic(fmt.Sprintf("theme: default.json: %v", err))
	}
	return t
})

// Of returns the colours of the product's own theme in a scheme.
func Of(scheme kiosk.Theme) Palette { return Default().Look(scheme, kiosk.IdleScreen, Whole).Palette }

// Open reads a theme. Its logos lie in the folder of its file, or below.
func Open(path string) (*Theme, error) {
	doc, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read theme: %w", err)
	}
	t, err := Parse(doc, os.DirFS(filepath.Dir(path)))
	if err != nil {
		return nil, fmt.Errorf("theme %s: %w", path, err)
	}
	return t, nil
}

// Parse reads a theme whose logos lie in dir; nil: it can have none.
func Parse(doc []byte, dir fs.FS) (*Theme, error) { return parse(doc, installed(dir), Default()) }

// Look returns what a dialog on a screen looks like, or with Whole the screen
// itself. NoPreference, and what is no scheme, is what the theme prefers.
func (t *Theme) Look(scheme kiosk.Theme, screen kiosk.Screen, card Card) Look {
	if l, known := t.looks[place{scheme, screen, card}]; known {
		return l
	}
	return t.looks[place{t.prefers, screen, card}]
}

// Logo returns the picture that stands for the house in a scheme; nil if there
// is none. It is the same value at each call.
func (t *Theme) Logo(scheme kiosk.Theme) image.Image {
	if scheme != kiosk.Light && scheme != kiosk.Dark && scheme != kiosk.HighContrast {
		scheme = t.prefers
	}
	if scheme == kiosk.Light {
		return t.light
	}
	return t.dark
}

// installed is where the logos of an installed theme come from: they are drawn 52
// design pixels high, and a display has at most 4096 pixels.
func installed(dir fs.FS) source { return source{dir: dir, bytes: 1 << 20, side: 2048} }

// file reads a picture's file.
func (s source) file(name string) ([]byte, error) {
	info, err := fs.Stat(s.dir, name)
	if err != nil {
		return nil, err
	}
	if info.Size() > int64(s.bytes) {
		return nil, fmt.Errorf("%s has %d bytes, more than %d", name, info.Size(), s.bytes)
	}
	return fs.ReadFile(s.dir, name)
}

// decode reads a picture; its header is judged before its pixels take memory.
func (s source) decode(name string, data []byte) (image.Image, error) {
	if len(data) > s.bytes {
		return nil, fmt.Errorf("%s has %d bytes, more than %d", name, len(data), s.bytes)
	}
	c, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if c.Width > s.side || c.Height > s.side {
		return nil, fmt.Errorf("%s is %dx%d pixels, more than %d a side", name, c.Width, c.Height, s.side)
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return img, nil
}
