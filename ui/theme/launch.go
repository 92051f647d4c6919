package theme

import (
	"fmt"

	"livekiosk/kiosk"
)

// MostDocument bounds the document that a launch brings, bytes: two logos, and
// as much again for words.
const MostDocument = 192 << 10

// The bounds of a logo that a launch brings, in bytes and in pixels a side.
const (
	launchBytes = 48 << 10
	launchSide  = 1024
)

// Over reads the document that a launch brings over the installed theme t, for
// its session alone. It is as strict as Parse, and stricter in two things: a logo
// is in the document itself, and no colours may be harder to read than WCAG 2.2
// AA asks for (AAA in high contrast), unless the installed ones are as hard. Nobody has looked at such
// a document before a visitor does, and what they agree to, and the buttons to
// do it or not, must be seen.
func (t *Theme) Over(doc []byte) (*Theme, error) {
	if len(doc) > MostDocument {
		return nil, fmt.Errorf("the document is longer than %d bytes", MostDocument)
	}
	own, err := parse(doc, source{bytes: launchBytes, side: launchSide}, t)
	if err != nil {
		return nil, err
	}
	for _, scheme := range Schemes() {
		for _, screen := range kiosk.Screens() {
			for _, card := range append([]Card{Whole}, Cards()...) {
				was := t.Look(scheme, screen, card).Pairs()
				for i, p := range own.Look(scheme, screen, card).Pairs() {
					if scheme == kiosk.HighContrast { // 7:1 for text (WCAG 2.2, 1.4.6)
						p.Least *= 7 / 4.5
					}
					have := Contrast(p.Fore, p.Back)
					if have < p.Least && have < Contrast(was[i].Fore, was[i].Back) {
						return nil, hard(scheme, screen, card, p)
					}
				}
			}
		}
	}
	return own, nil
}

// hard says which pair of colours is hard to read, and where.
func hard(scheme kiosk.Theme, screen kiosk.Screen, card Card, p Pair) error {
	where := "screen " + string(screen)
	if card != Whole {
		where = "dialog " + string(card)
	}
	return fmt.Errorf("%s, %s: %s has a contrast of %.2f to 1, WCAG 2.2 AA wants %.1f to 1", scheme, where, p.Name, Contrast(p.Fore, p.Back), p.Least)
}
