package screens

import (
	"fmt"
	"image"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"gioui.org/layout"
	"gioui.org/op"
	"golang.org/x/image/font/sfnt"

	"livekiosk/kiosk"
	"livekiosk/ui/text"
	"livekiosk/ui/theme"
)

// The displays that every text has to fit on: see the package comment.
func displays() []image.Point { return []image.Point{{X: 720, Y: 1280}, {X: 1280, Y: 800}} }

// Check is a text.Check: it names the texts of l whose characters the bundled
// fonts lack, and those that do not fit where they stand, upright and lying, in
// the largest type that a theme and a visitor can ask for. Texts are made
// smaller until they fit, but not beyond what can be read.
func Check(l *text.Language) []text.Problem {
	s, err := New(nil)
	if err != nil { // of the bundled fonts
		return []text.Problem{{What: err.Error()}}
	}
	return append(s.lacking(l), s.overfull(l)...)
}

// lacking returns the texts that cannot be written. They are drawn letter by
// letter: a mark that has to be joined to the letter before it cannot be, either.
func (s *Screens) lacking(l *text.Language) []text.Problem {
	var buf sfnt.Buffer
	known := map[rune]bool{}
	drawn := func(r rune) bool {
		can, asked := known[r]
		if !asked {
			can = !unicode.In(r, unicode.M)
			for _, fonts := range s.fonts {
				for _, f := range fonts {
					g, err := f.GlyphIndex(&buf, r)
					can = can && err == nil && g != 0
				}
			}
			known[r] = can
		}
		return can
	}
	var bad []text.Problem
	judge := func(key, words string) {
		var missing []rune
		for _, r := range words {
			if !drawn(r) && !slices.Contains(missing, r) {
				missing = append(missing, r)
			}
		}
		if len(missing) > 0 {
			bad = append(bad, text.Problem{Key: key, What: "no bundled font has " + characters(missing)})
		}
	}
	judge("", l.Name)
	each := l.Each()
	for _, key := range slices.Sorted(maps.Keys(each)) {
		for _, words := range each[key] {
			judge(key, words)
		}
	}
	return bad
}

// characters names some of them.
func characters(all []rune) string {
	var names []string
	for _, r := range all[:min(len(all), 8)] {
		names = append(names, fmt.Sprintf("%c (%U)", r, r))
	}
	if more := len(all) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// overfull returns the texts that do not fit.
func (s *Screens) overfull(l *text.Language) []text.Problem {
	of := map[string][]string{} // the keys of each text, as it is drawn
	note := func(words, key string) { of[words] = append(of[words], key) }
	for key, forms := range l.Each() {
		for _, words := range forms {
			note(words, key)
		}
	}
	for left := range 3 {
		note(l.Attempts(left), "attempts.more")
		note(l.Remaining(left), "remaining.more")
	}
	for _, step := range kiosk.Steps() {
		note(l.Progress(step), "progress")
		note(l.Figure(step, 1234), "figure."+string(step))
	}
	note(l.Name, "")
	large, err := theme.Parse([]byte(`{"text": {"size": 1.2}}`), nil)
	if err != nil {
		return []text.Problem{{What: err.Error()}}
	}
	s.unseen = true
	s.Wear(large)
	s.Speak(text.BuiltIn().With(l))
	too := map[string]string{}
	var ops op.Ops
	lay := func(size image.Point, v kiosk.View) {
		ops.Reset()
		s.Layout(layout.Context{Ops: &ops, Now: time.Unix(1, 0), Constraints: layout.Exact(size)}, v, Preview{})
		for _, words := range s.clipped {
			part := words
			if of[words] == nil { // a line that is made of several: the longest of them
				part = ""
				for known := range of {
					if strings.Contains(words, known) && (len(known) > len(part) || len(known) == len(part) && known < part) {
						part = known
					}
				}
			}
			for _, key := range of[part] {
				too[key] = fmt.Sprintf("is too long for the screen %s at %dx%d", v.Screen, size.X, size.Y)
			}
		}
	}
	for _, size := range displays() {
		lay(size, kiosk.View{Screen: kiosk.IdleScreen, Locale: l.Locale, Wishes: kiosk.Wishes{Large: true}})
		s.choice = chooser{open: true, since: time.Unix(1, 0), page: slices.Index(s.spoken.Locales(), l.Locale) / pageful}
		lay(size, kiosk.View{Screen: kiosk.IdleScreen, Locale: l.Locale, Wishes: kiosk.Wishes{Large: true}})
		for _, st := range States() {
			s.glance = func() Desk { return st.Desk }
			v := st.View
			v.Locale, v.Wishes.Large = l.Locale, true
			lay(size, v)
			if v.Screen == kiosk.AgainScreen || v.Screen == kiosk.GuidingScreen && !st.Minor {
				for left := range v.AttemptsLeft {
					v.AttemptsLeft = left
					lay(size, v)
				}
			}
		}
	}
	var bad []text.Problem
	for _, key := range slices.Sorted(maps.Keys(too)) {
		bad = append(bad, text.Problem{Key: key, What: too[key]})
	}
	return bad
}
