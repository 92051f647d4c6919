package text

import (
	"maps"
	"strings"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"

	"livekiosk/kiosk"
)

// PseudoLocale is the language of Pseudo: by convention, English with accents.
const PseudoLocale kiosk.Locale = "en-XA"

// Pseudo returns English in which each vowel is doubled and accented: about a
// third longer, as a wordy language is. Whoever looks at the screens in it sees
// where there is no room, and words that are in no catalogue. It is offered to
// nobody.
func Pseudo() *Language {
	from := english()
	l := &Language{
		Locale: PseudoLocale, Name: lengthen(from.Name), tag: language.MustParse(string(PseudoLocale)),
		texts: maps.Clone(from.texts), plurals: map[string]map[plural.Form]string{},
	}
	for key, s := range from.texts {
		l.texts[key] = lengthen(s)
	}
	for key, forms := range from.plurals {
		l.plurals[key] = map[plural.Form]string{}
		for f, s := range forms {
			l.plurals[key][f] = lengthen(s)
		}
	}
	l.gather()
	return l
}

// lengthen leaves placeholders as they are.
func lengthen(s string) string {
	accented := map[rune]string{
		'a': "áa", 'e': "ée", 'i': "íi", 'o': "óo", 'u': "úu", 'A': "Áa", 'E': "Ée", 'I': "Íi", 'O': "Óo", 'U': "Úu",
	}
	var b strings.Builder
	inside := false
	for _, r := range s {
		inside = inside && r != '}' || r == '{'
		if long, is := accented[r]; is && !inside {
			b.WriteString(long)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
