package screens_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"livekiosk/ui/screens"
	"livekiosk/ui/text"
)

// Every text of the built-in languages can be written and fits, upright and
// lying, in the largest type that a theme and a visitor can ask for.
func TestTheBuiltInLanguagesFitInTheLargestType(t *testing.T) {
	for _, l := range text.BuiltIn().Languages() {
		for _, p := range screens.Check(l) {
			t.Errorf("%s: %s", l.Locale, p)
		}
	}
}

// dropped is a language made of the template.
func dropped(t *testing.T, tag, name string, with map[string]any) (*text.Language, []text.Problem) {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(text.Template(), &doc); err != nil {
		t.Fatal(err)
	}
	doc["language"], doc["name"] = tag, name
	texts, _ := doc["texts"].(map[string]any)
	for key, s := range with {
		texts[key] = s
	}
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return text.Parse(b, screens.Check)
}

func TestACheckNamesWhatCannotBeShown(t *testing.T) {
	for _, c := range []struct {
		name    string
		with    map[string]any
		want    string
		offered bool
	}{
		{"a hint that is a story", map[string]any{"hint.mask": strings.Repeat("mask ", 60) + "off"}, "hint.mask: is too long for the screen", true},
		{"a plural that is too wide", map[string]any{"remaining.more": strings.Repeat("w", 90) + "{n}"}, "remaining.more: is too long for the screen again", true},
		{"a row of staff's screen", map[string]any{"phrase.row_network": strings.Repeat("w", 90)}, "phrase.row_network: is too long for the screen desk", true},
		{"the list of languages", map[string]any{"phrase.choose_language": strings.Repeat("w", 90)}, "phrase.choose_language: is too long for the screen idle", true},
		{"a letter that no font has", map[string]any{"hint.mask": "請摘下口罩"}, "hint.mask: no bundled font has 請 (U+8ACB), 摘 (U+6458), 下 (U+4E0B), 口 (U+53E3), 罩 (U+7F69)", true},
		{"a mark that is joined to its letter", map[string]any{"hint.mask": "Copot m\u0331asker"}, "hint.mask: no bundled font has \u0331 (U+0331)", true},
		{"a consent that cannot be written", map[string]any{"consent.data.body": "データ"}, "consent.data.body: no bundled font has デ (U+30C7)", false},
		{"a word of the consent that is too wide", map[string]any{"consent.data.body": strings.Repeat("w", 200)}, "consent.data.body: is too long for the screen consent", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, problems := dropped(t, "jv", "Basa Jawa", c.with)
			if (l != nil) != c.offered {
				t.Errorf("offered: %v", l != nil)
			}
			found := false
			for _, p := range problems {
				found = found || strings.HasPrefix(p.String(), c.want)
			}
			if !found {
				t.Errorf("no %q in %q", c.want, slices.DeleteFunc(problems, func(p text.Problem) bool { return p.Taken }))
			}
			if l == nil {
				return
			}
			for key := range c.with { // and so nothing of it is shown
				if l.Each()[key][0] != text.Of("id").Each()[key][0] {
					t.Errorf("%s reads %q", key, l.Each()[key])
				}
			}
		})
	}
}

// A language whose name nobody can read could not be chosen.
func TestANameMustBeWritable(t *testing.T) {
	if l, problems := dropped(t, "zh", "中文", nil); l != nil {
		t.Errorf("offered: %q", problems)
	}
}
