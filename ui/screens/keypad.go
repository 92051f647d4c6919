package screens

import (
	"image"
	"strconv"
	"strings"

	"gioui.org/font"
	"gioui.org/io/event"
	"gioui.org/io/key"
	giotext "gioui.org/text"

	"livekiosk/kiosk"
	"livekiosk/ui/text"
)

// keys is the number of keys of a keypad: ten digits and one that takes the
// last one back.
const keys = 11

// How many digits a code has, and a PIN at least and at most.
const (
	codeLength = 8
	shortest   = 4
	longest    = 12
)

// typedEnough reports whether what was typed can be a code, or a PIN.
func (f *frame) typedEnough() bool {
	if f.v.Screen == kiosk.CodeScreen {
		return len(f.typed) == codeLength
	}
	return len(f.typed) >= shortest
}

// erase forgets what was typed.
func (s *Screens) erase() {
	clear(s.typed[:cap(s.typed)])
	s.typed = s.typed[:0]
}

// press types the digit k, or takes the last one back.
func (f *frame) press(k int) {
	most := longest
	if f.v.Screen == kiosk.CodeScreen {
		most = codeLength
	}
	switch {
	case f.v.Typing == kiosk.Checking:
	case k < 10 && len(f.typed) < most:
		f.typed = append(f.typed, byte('0'+k))
	case k == 10 && len(f.typed) > 0:
		f.typed[len(f.typed)-1] = 0
		f.typed = f.typed[:len(f.typed)-1]
	}
}

// keypad draws the screen on which a code or a PIN is typed. What is typed
// stays here until it is sent, and of a PIN nobody sees more than its length.
func (f *frame) keypad() {
	f.hear()
	margin := f.px(40)
	visitor := f.v.Screen == kiosk.CodeScreen
	words := image.Rect(margin, margin, f.size.X-margin, f.size.Y)
	pad := image.Rect(margin, f.size.Y/2, f.size.X-margin, f.size.Y-f.px(24))
	align := giotext.Middle
	if !f.upright {
		panel := image.Rect(0, 0, f.size.X*9/25, f.size.Y)
		f.fill(panel, f.p.Tint)
		words = image.Rect(margin, margin, panel.Max.X-f.px(24), f.size.Y-margin)
		pad = image.Rect(panel.Max.X+f.px(72), f.px(40), f.size.X-f.px(72), f.size.Y-f.px(24))
		align = giotext.Start
	}
	f.wordmark(words.Min)
	if visitor && f.v.Session == "" {
		f.wayIn(image.Rect(0, 0, words.Min.X+f.px(300), words.Min.Y+f.px(80)))
	}
	if visitor {
		pad = f.bar(pad)
	}
	gap := f.px(12)
	pad.Min.Y = pad.Max.Y - 4*f.reach(112) - 3*gap
	words.Min.Y += f.px(84)
	if f.upright {
		words.Max.Y = pad.Min.Y - f.px(24)
	}
	f.column(words, align, 0.5,
		item{text: f.say.Title(f.v.Screen), size: 52, weight: font.Bold, color: f.p.Ink, even: true},
		item{gap: 12, text: f.say.Body(f.v.Screen), size: 30, color: f.p.Soft, even: true},
		item{gap: 28, height: 104, draw: f.digits},
		f.answer())

	w, h := (pad.Dx()-3*gap)/4, (pad.Dy()-3*gap)/4
	cell := func(x, y, across, down int) image.Rectangle {
		at := pad.Min.Add(image.Pt(x*(w+gap), y*(h+gap)))
		return image.Rectangle{Min: at, Max: at.Add(image.Pt(across*w+(across-1)*gap, down*h+(down-1)*gap))}
	}
	for i := range 9 {
		f.key(cell(i%3, i/3, 1, 1), i+1)
	}
	f.key(cell(0, 3, 3, 1), 0)
	f.key(cell(3, 0, 1, 2), 10)
	f.button(cell(3, 2, 1, 1), kiosk.Cancel, quiet)
	f.button(cell(3, 3, 1, 1), kiosk.Enter, main)
}

// key draws one key.
func (f *frame) key(r image.Rectangle, k int) {
	b := &f.keys[k]
	f.pads[k] = r
	if f.clicked(b) {
		f.press(k)
	}
	if k == 10 {
		f.pad(r, b, f.say.Phrase(text.Erase), quiet)
		return
	}
	f.pad(r, b, strconv.Itoa(k), digit)
}

// hear takes digits from a keyboard.
func (f *frame) hear() {
	event.Op(f.Ops, &f.typed)
	filters := []event.Filter{key.Filter{Name: key.NameDeleteBackward}}
	for k := range 10 {
		filters = append(filters, key.Filter{Name: key.Name(strconv.Itoa(k))})
	}
	for {
		e, ok := f.Event(filters...)
		if !ok {
			return
		}
		if e, is := e.(key.Event); is && e.State == key.Press {
			k := 10
			if e.Name != key.NameDeleteBackward {
				k = int(e.Name[0] - '0')
			}
			f.press(k)
		}
	}
}

// digits draws what was typed.
func (f *frame) digits(r image.Rectangle) {
	r.Max.X = min(r.Max.X, r.Min.X+f.px(640))
	f.sheet(r, f.px(f.look.Dialog.Radius), f.px(f.look.Dialog.Border), f.p.Line, f.p.Card)
	shown := strings.Repeat("•", len(f.typed))
	if f.v.Screen == kiosk.CodeScreen {
		shown = text.Code(string(f.typed) + strings.Repeat("–", codeLength-len(f.typed)))
	}
	if shown != "" {
		f.column(r.Inset(f.px(12)), giotext.Middle, 0.5, item{text: shown, size: 54, weight: font.Bold, color: f.p.Ink})
	}
}

// answer tells what came of what was typed. There is room for it before there
// is anything to tell, so that nothing moves.
func (f *frame) answer() item {
	it := item{gap: 16, text: " ", size: 30, weight: font.Medium, color: f.p.Ink, even: true}
	said := map[kiosk.Typing]text.Key{
		kiosk.Checking: text.Looking, kiosk.Unknown: text.CodeUnknown, kiosk.Paused: text.TypePaused, kiosk.Refused: text.CodeRefused,
	}
	k, is := said[f.v.Typing]
	switch {
	case !is || len(f.typed) > 0:
		return it
	case f.v.Typing == kiosk.Unknown && f.v.Screen == kiosk.PINScreen:
		k = text.PINWrong
	}
	it.text = f.say.Phrase(k)
	return it
}
