package screens

import (
	"image"
	"image/color"

	"gioui.org/op"
	"gioui.org/op/clip"

	"livekiosk/kiosk"
)

// Clipped returns the texts that did not fit into the last Layout.
func (s *Screens) Clipped() []string { return s.clipped }

// Scrolled returns how far the consent text is scrolled, in pixels, and
// whether its end is on screen.
func (s *Screens) Scrolled() (offset int, end bool) {
	return s.scroll.Position.Offset, s.scroll.Position.OffsetLast >= 0
}

// Key returns where the key of a digit was drawn, or, 10, the one that takes one
// back.
func (s *Screens) Key(k int) image.Rectangle { return s.pads[k] }

// Typed returns what was typed.
func (s *Screens) Typed() string { return string(s.typed) }

// Still reports whether an image of the visitor is beside the ideal one.
func (s *Screens) Still() bool { return s.still.img != nil }

// Photo returns it, or nil.
func (s *Screens) Photo() *image.RGBA { return s.still.img }

// Unreadable returns the icons whose drawing cannot be read.
func Unreadable() []string {
	icons := []icon{
		iconMark, iconDown, iconPaper, iconCamera, iconLeave, iconNotice, iconTray, iconClock, iconAgain, iconStaff, iconCheck,
		iconIdeal, iconGlobe, iconLarge, iconContrast, iconNoClock,
	}
	for _, h := range append(kiosk.Hints(), kiosk.NoHint) {
		icons = append(icons, hintIcon(h))
	}
	var bad []string
	for _, ic := range icons {
		var ops op.Ops
		var p clip.Path
		p.Begin(&ops)
		if !trace(&p, ic, 1) {
			bad = append(bad, string(ic))
		}
		p.End()
	}
	return bad
}

// Readable reports whether a drawing can be read.
func Readable(drawing string) bool {
	var ops op.Ops
	var p clip.Path
	p.Begin(&ops)
	defer p.End()
	return trace(&p, icon(drawing), 1)
}

// HintIcon returns the drawing that stands for h.
func HintIcon(h kiosk.Hint) string { return string(hintIcon(h)) }

// A Glass is the mirror by itself.
type Glass struct{ m mirror }

// Draw mirrors src into a picture of the given size.
func (g *Glass) Draw(src *image.RGBA, size image.Point, oval image.Rectangle, scrim color.NRGBA) *image.RGBA {
	return g.m.draw(src, size, oval, scrim)
}

// Clear is what happens when guidance ends.
func (g *Glass) Clear() { g.m.clear() }

// What there is in the list of languages beside those of its page.
const (
	Back = pageful
	More = pageful + 1
)

// Option returns where a language of the page was drawn, or Back or More.
func (s *Screens) Option(i int) image.Rectangle { return s.choice.at[i] }

// Label returns what stands on the button of c.
func (s *Screens) Label(c kiosk.Control) string { return s.frame.label(c) }
