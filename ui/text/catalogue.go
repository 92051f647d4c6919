package text

import (
	"slices"
	"strings"
	"sync"

	"golang.org/x/text/language"

	"livekiosk/kiosk"
)

// A Catalogue is all languages that a kiosk offers. It does not change.
type Catalogue struct {
	all     []*Language // Indonesian, English, and then by their tags
	matcher language.Matcher
}

// BuiltIn returns the languages that the product brings.
var BuiltIn = sync.OnceValue(func() *Catalogue { c, _ := Open("", nil); return c }) //nolint:gochecknoglobals // made once, and never changes

// Of returns a built-in language.
func Of(l kiosk.Locale) *Language { return BuiltIn().Of(l) }

func newCatalogue(by map[kiosk.Locale]*Language) *Catalogue {
	c := &Catalogue{}
	for _, l := range by {
		c.all = append(c.all, l)
	}
	rank := func(l *Language) int { return slices.Index([]kiosk.Locale{kiosk.English, kiosk.Indonesian}, l.Locale) }
	slices.SortFunc(c.all, func(a, b *Language) int {
		if d := rank(b) - rank(a); d != 0 {
			return d
		}
		return strings.Compare(string(a.Locale), string(b.Locale))
	})
	var tags []language.Tag
	for _, l := range c.all {
		tags = append(tags, l.tag)
	}
	c.matcher = language.NewMatcher(tags)
	return c
}

// Of returns a language; Indonesian, the language of the house, of a locale that
// is not offered.
func (c *Catalogue) Of(l kiosk.Locale) *Language {
	for _, lang := range c.all {
		if lang.Locale == l {
			return lang
		}
	}
	return c.all[0]
}

// Languages returns all of them, in the order in which they are offered. The
// caller must not change it.
func (c *Catalogue) Languages() []*Language { return c.all }

// Locales returns their tags, in the same order.
func (c *Catalogue) Locales() []kiosk.Locale {
	var all []kiosk.Locale
	for _, l := range c.all {
		all = append(all, l.Locale)
	}
	return all
}

// Match returns the language that serves whoever asks for a locale, as CLDR has
// it: en for en_ID and en-GB, and that of another region or, where it is
// commonly understood, another language. It returns false if none does.
func (c *Catalogue) Match(l kiosk.Locale) (kiosk.Locale, bool) {
	tag, err := language.Parse(string(l))
	if err != nil {
		return "", false
	}
	_, at, sure := c.matcher.Match(tag)
	if sure == language.No {
		return "", false
	}
	return c.all[at].Locale, true
}

// With returns c with l added, or in place of the same language.
func (c *Catalogue) With(l *Language) *Catalogue {
	by := map[kiosk.Locale]*Language{l.Locale: l}
	for _, other := range c.all {
		if other.Locale != l.Locale {
			by[other.Locale] = other
		}
	}
	return newCatalogue(by)
}
