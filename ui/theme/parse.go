package theme

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"livekiosk/kiosk"
)

// schemeKeys returns the names that a document has for the schemes.
func schemeKeys() map[string]kiosk.Theme {
	return map[string]kiosk.Theme{"light": kiosk.Light, "dark": kiosk.Dark, "high_contrast": kiosk.HighContrast}
}

// A reader takes the value of a key. path names the key, for errors.
type reader func(path string, raw json.RawMessage) error

// object reads an object whose keys are those of known and no others.
func object(path string, raw json.RawMessage, known map[string]reader) error {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(raw, &values); err != nil || values == nil {
		if syntax, is := errors.AsType[*json.SyntaxError](err); is {
			return fmt.Errorf("byte %d: %w", syntax.Offset, err)
		}
		return fmt.Errorf("%s: want an object", orRoot(path))
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		at := key
		if path != "" {
			at = path + "." + key
		}
		read, is := known[key]
		if !is {
			return fmt.Errorf("%s: unknown key, want one of %s", at, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		if err := read(at, values[key]); err != nil {
			return err
		}
	}
	return nil
}

func orRoot(path string) string {
	if path == "" {
		return "the document"
	}
	return path
}

// word reads one of a few words.
func word(to *string, among ...string) reader {
	return func(path string, raw json.RawMessage) error {
		var s string
		if err := json.Unmarshal(raw, &s); err != nil || !slices.Contains(among, s) {
			return fmt.Errorf("%s: %s is none of %s", path, raw, strings.Join(among, ", "))
		}
		*to = s
		return nil
	}
}

// number reads a number within bounds.
func number(to *float32, least, most float32) reader {
	return func(path string, raw json.RawMessage) error {
		var v float32
		if err := json.Unmarshal(raw, &v); err != nil || !(v >= least && v <= most) {
			return fmt.Errorf("%s: want a number of %g to %g, have %s", path, least, most, raw)
		}
		*to = v
		return nil
	}
}

// nested reads an object of fixed keys.
func nested(known map[string]reader) reader {
	return func(path string, raw json.RawMessage) error { return object(path, raw, known) }
}

// colours returns the name that a document has for each colour of p.
func (p *Palette) colours() map[string]*color.NRGBA {
	return map[string]*color.NRGBA{
		"back": &p.Back, "card": &p.Card, "tint": &p.Tint, "ink": &p.Ink, "soft": &p.Soft, "line": &p.Line, "faint": &p.Faint,
		"brand": &p.Brand, "brand_down": &p.BrandDown, "on_brand": &p.OnBrand,
		"good": &p.Good, "on_good": &p.OnGood, "warn": &p.Warn, "on_warn": &p.OnWarn, "scrim": &p.Scrim,
	}
}

// palette reads colours over those of p.
func palette(p *Palette) reader {
	known := map[string]reader{}
	for name, to := range p.colours() {
		known[name] = func(path string, raw json.RawMessage) error {
			var s string
			err := json.Unmarshal(raw, &s)
			digits, hash := strings.CutPrefix(s, "#")
			b, bad := hex.DecodeString(digits)
			switch {
			case err != nil, !hash, bad != nil, len(b) != 3 && len(b) != 4:
				return fmt.Errorf("%s: want a colour such as \"#0b57a8\", have %s", path, raw)
			case len(b) == 4 && to != &p.Scrim:
				return fmt.Errorf("%s: %s is transparent, which only scrim may be", path, raw)
			}
			*to = color.NRGBA{b[0], b[1], b[2], 0xff}
			if len(b) == 4 {
				to.A = b[3]
			}
			return nil
		}
	}
	return nested(known)
}

// style returns what can be set in a theme and again for each of its screens
// and dialogs. It is read over l, the colours of the other schemes into
// nothing.
func style(l *Look, scheme kiosk.Theme) map[string]reader {
	known := map[string]reader{
		"text": nested(map[string]reader{"size": number(&l.Text, 0.8, 1.2)}),
		"button": nested(map[string]reader{
			"radius": number(&l.Button.Radius, 0, 48), "border": number(&l.Button.Border, 1, 6),
			"main": number(&l.Button.Main, 24, 44), "quiet": number(&l.Button.Quiet, 24, 40),
		}),
		"dialog": nested(map[string]reader{"radius": number(&l.Dialog.Radius, 0, 48), "border": number(&l.Dialog.Border, 0, 6)}),
		"oval":   nested(map[string]reader{"rim": number(&l.Oval.Rim, 2, 20), "ring": number(&l.Oval.Ring, 6, 40)}),
	}
	for key, s := range schemeKeys() {
		into := &l.Palette
		if s != scheme {
			into = new(Palette)
		}
		known[key] = palette(into)
	}
	return known
}

// parse reads a document over another theme; nil: over nothing. What the
// document says goes before all that the other one has, on every screen and
// dialog.
func parse(doc []byte, from source, over *Theme) (*Theme, error) {
	t := &Theme{looks: map[place]Look{}}
	prefers := "light"
	if over != nil {
		*t = Theme{Name: over.Name, Font: over.Font, light: over.light, dark: over.dark, looks: t.looks}
		for key, scheme := range schemeKeys() {
			if scheme == over.prefers {
				prefers = key
			}
		}
	}
	var screens, cards map[string]json.RawMessage
	whole := map[string]json.RawMessage{} // what a screen can have, too
	known := map[string]reader{
		"$schema": func(string, json.RawMessage) error { return nil },
		"name":    text(&t.Name, 1, 60),
		"font":    word(&t.Font, Go, GoMono),
		"prefers": word(&prefers, slices.Sorted(maps.Keys(schemeKeys()))...),
		"logo":    nested(map[string]reader{"light": from.picture(&t.light), "dark": from.picture(&t.dark)}),
		"screens": parts(&screens, names(kiosk.Screens())),
		"dialogs": parts(&cards, names(Cards())),
	}
	for key := range style(new(Look), kiosk.Light) {
		known[key] = func(_ string, raw json.RawMessage) error {
			whole[key] = raw
			return nil
		}
	}
	if err := object("", doc, known); err != nil {
		return nil, err
	}
	t.prefers = schemeKeys()[prefers]
	for _, scheme := range Schemes() {
		alike := map[Look]Look{} // what most places become
		for _, screen := range kiosk.Screens() {
			for _, card := range append([]Card{Whole}, Cards()...) {
				var l Look
				if over != nil {
					l = over.Look(scheme, screen, card)
				}
				on, under := screens[string(screen)], cards[string(card)]
				was, plain := l, on == nil && under == nil
				if done, is := alike[was]; is && plain {
					t.looks[place{scheme, screen, card}] = done
					continue
				}
				read := style(&l, scheme)
				for _, key := range slices.Sorted(maps.Keys(whole)) {
					if err := read[key](key, whole[key]); err != nil {
						return nil, err
					}
				}
				if on != nil {
					if err := object("screens."+string(screen), on, read); err != nil {
						return nil, err
					}
				}
				if under != nil {
					if err := object("dialogs."+string(card), under, read); err != nil {
						return nil, err
					}
				}
				t.looks[place{scheme, screen, card}] = l
				if plain {
					alike[was] = l
				}
			}
		}
	}
	return t, nil
}

// parts reads an object of styles, which are read when all of the document is
// known.
func parts(to *map[string]json.RawMessage, among []string) reader {
	return func(path string, raw json.RawMessage) error {
		read := map[string]reader{}
		got := map[string]json.RawMessage{}
		for _, name := range among {
			read[name] = func(_ string, raw json.RawMessage) error {
				got[name] = raw
				return nil
			}
		}
		*to = got
		return object(path, raw, read)
	}
}

// inline begins a logo that is in the document itself.
const inline = "data:image/png;base64,"

// A source is where logos come from, and how large they may be.
type source struct {
	dir   fs.FS // nil: they are in the document
	bytes int
	side  int // pixels
}

// picture reads a logo.
func (s source) picture(to *image.Image) reader {
	return func(path string, raw json.RawMessage) error {
		var name string
		if err := text(&name, 1, 2*s.bytes)(path, raw); err != nil {
			return err
		}
		var data []byte
		var err error
		coded, is := strings.CutPrefix(name, inline)
		switch {
		case is:
			name = "the picture"
			if data, err = base64.StdEncoding.DecodeString(coded); err != nil {
				return fmt.Errorf("%s: the picture is not base64", path)
			}
		case s.dir == nil:
			return fmt.Errorf("%s: there is no folder to read a logo from: give it as %s…", path, inline)
		case len(name) > 200:
			return fmt.Errorf("%s: want a text of 1 to 200 bytes", path)
		default:
			if data, err = s.file(name); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		if *to, err = s.decode(name, data); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	}
}

// text reads a string of least to most bytes.
func text(to *string, least, most int) reader {
	return func(path string, raw json.RawMessage) error {
		if err := json.Unmarshal(raw, to); err != nil || len(*to) < least || len(*to) > most {
			return fmt.Errorf("%s: want a text of %d to %d bytes", path, least, most)
		}
		return nil
	}
}

func names[T ~string](all []T) []string {
	s := make([]string, len(all))
	for i, v := range all {
		s[i] = string(v)
	}
	return s
}
