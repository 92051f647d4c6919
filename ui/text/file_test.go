package text_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"livekiosk/kiosk"
	"livekiosk/ui/text"
)

// A file is that of a language, as the tests write one.
type file struct {
	Language string         `json:"language"`
	Name     string         `json:"name"`
	Texts    map[string]any `json:"texts"`
}

// whole is the file of a language in which every text reads as in English.
func whole(tag, name string) file {
	f := file{Language: tag, Name: name, Texts: map[string]any{}}
	for key, forms := range text.Of(kiosk.English).Each() {
		f.Texts[key] = forms[0]
	}
	for _, key := range []string{"attempts.more", "remaining.more"} {
		f.Texts[key] = map[string]string{"other": "{n} more"}
	}
	f.Texts["progress"] = "{n} {of}"
	for _, s := range kiosk.Steps() {
		if s != kiosk.LatencyStep {
			f.Texts["figure."+string(s)] = "{figure}"
		}
	}
	return f
}

func (f file) doc(t *testing.T) []byte {
	t.Helper()
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// amiss is what is wrong but that it is English yet.
func amiss(all []text.Problem) []string {
	var out []string
	for _, p := range all {
		if p.What != "is the English text yet" {
			out = append(out, p.String())
		}
	}
	return out
}

func TestTheTemplateHoldsEveryKeyWithANote(t *testing.T) {
	var doc struct {
		Texts map[string]struct {
			Text, Other, Note string
		} `json:"texts"`
	}
	if err := json.Unmarshal(text.Template(), &doc); err != nil {
		t.Fatal(err)
	}
	keys, _ := text.Keys()
	for _, key := range keys {
		if e := doc.Texts[key]; e.Text+e.Other == "" || e.Note == "" {
			t.Errorf("%s: %+v", key, e)
		}
	}
	if len(doc.Texts) != len(keys) {
		t.Errorf("%d texts for %d keys", len(doc.Texts), len(keys))
	}
}

func TestAWholeLanguageSaysWhatItsFileSays(t *testing.T) {
	f := whole("jv", "Basa Jawa")
	f.Texts["title.idle"] = "Sugeng rawuh"
	f.Texts["body.idle"] = map[string]string{"text": "Cafe\u0301", "note": "{whatever}"}
	f.Texts["consent.controller.body"] = "Bank Conto."
	f.Texts["attempts.more"] = map[string]string{"other": "{n} maneh"}
	l, problems := text.Parse(f.doc(t), nil)
	if l == nil || len(amiss(problems)) > 0 {
		t.Fatalf("%v, %q", l, amiss(problems))
	}
	for got, want := range map[string]string{
		l.Title(kiosk.IdleScreen): "Sugeng rawuh", l.Body(kiosk.IdleScreen): "Café", l.Attempts(2): "2 maneh", l.Name: "Basa Jawa", string(l.Locale): "jv",
		l.Consent()[2].Body: "Bank Conto.",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if l.ConsentHash() == text.Of(kiosk.English).ConsentHash() || !strings.Contains(l.ConsentText(), "Bank Conto.\n") {
		t.Error("the consent's hash is not of the file's words")
	}
}

// Whatever a text does wrong, it alone reads in Indonesian.
func TestATextThatIsWrongReadsInIndonesian(t *testing.T) {
	for _, c := range []struct {
		name string
		with any // in place of hint.mask
		want string
	}{
		{"missing", nil, "hint.mask: is missing"},
		{"empty", "", "hint.mask: is empty"},
		{"a number", 7, "hint.mask: want a text, or an object"},
		{"a list", []string{"a"}, "hint.mask: want a text, or an object"},
		{"a form of nothing", map[string]string{"plural": "a"}, "hint.mask: plural: is none of text, note, zero,"},
		{"a note alone", map[string]string{"note": "a"}, "hint.mask: want a text, and no plural forms"},
		{"a plural of what is not counted", map[string]string{"one": "a", "other": "b"}, "hint.mask: want a text, and no plural forms"},
		{"a space at its end", "Copot masker ", "hint.mask: begins or ends with a space"},
		{"two lines", "Copot\nmasker", "hint.mask: has the invisible character U+000A"},
		{"a letter that turns the line round", "Copot \u202emasker", "hint.mask: has the invisible character U+202E"},
		{"a placeholder of another text", "Copot {n}", "hint.mask: has {n}, want no placeholder"},
		{"half a placeholder", "Copot {", "hint.mask: has {, want no placeholder"},
		{"a novel", strings.Repeat("a", 2001), "hint.mask: is longer than 2000 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := whole("jv", "Basa Jawa")
			if f.Texts["hint.mask"] = c.with; c.with == nil {
				delete(f.Texts, "hint.mask")
			}
			l, problems := text.Parse(f.doc(t), nil)
			if l == nil {
				t.Fatalf("not offered: %q", problems)
			}
			got := amiss(problems)
			if len(got) != 1 || !strings.HasPrefix(got[0], c.want) {
				t.Errorf("told %q, want %q", got, c.want)
			}
			if got, want := l.Hint(kiosk.Mask), text.Of(kiosk.Indonesian).Hint(kiosk.Mask); got != want {
				t.Errorf("reads %q, want %q", got, want)
			}
			if got, want := l.Hint(kiosk.Sunglasses), text.Of(kiosk.English).Hint(kiosk.Sunglasses); got != want {
				t.Errorf("another text reads %q, want %q", got, want)
			}
		})
	}
}

func TestALanguageThatCannotBeOffered(t *testing.T) {
	good := whole("jv", "Basa Jawa")
	with := func(change func(f *file)) []byte {
		f := file{good.Language, good.Name, maps.Clone(good.Texts)}
		change(&f)
		return f.doc(t)
	}
	for _, c := range []struct {
		name string
		doc  []byte
		want string
	}{
		{"no JSON", []byte(`{"language": `), "byte "},
		{"no object", []byte(`7`), "want a JSON object"},
		{"two objects", []byte(`{}{}`), "byte 3: something follows the object"},
		{"nothing", nil, "want a JSON object"},
		{"too long", make([]byte, 256<<10+1), "is longer than 262144 bytes"},
		{"a key twice", []byte(`{"name": "a", "name": "b"}`), "name: stands there twice"},
		{"a text twice", []byte(`{"language": "jv", "name": "b", "texts": {"hint.mask": "a", "hint.mask": "b"}}`), "texts: hint.mask: stands there twice"},
		{"an unknown key", []byte(`{"lang": "jv"}`), "lang: unknown key, want one of $schema,"},
		{"no tag", with(func(f *file) { f.Language = "" }), "language: want a language tag"},
		{"a tag that is none", with(func(f *file) { f.Language = "../../etc" }), "language: \"../../etc\" is no language tag"},
		{"a tag that is spelt otherwise", with(func(f *file) { f.Language = "JV_id" }), `language: "JV_id" is spelt "jv-ID"`},
		{"no name", with(func(f *file) { f.Name = "" }), "name: is empty"},
		{"a long name", with(func(f *file) { f.Name = strings.Repeat("a", 25) }), "name: is longer than 24 characters"},
		{"no texts", with(func(f *file) { f.Texts = nil }), "texts: want a JSON object"},
		{"no heading of the consent", with(func(f *file) { delete(f.Texts, "consent.rights.heading") }), "not offered: part of what the visitor agrees to is missing"},
		{"a right that cannot be read", with(func(f *file) { f.Texts["consent.rights.body"] = 7 }), "not offered: part of what the visitor agrees to is missing"},
		{"no answer", with(func(f *file) { delete(f.Texts, "control.decline") }), "not offered: part of what the visitor agrees to is missing"},
		{"Arabic", with(func(f *file) { f.Texts["title.idle"] = "مرحبا" }), "not offered: title.idle is written from right to left"},
		{"Hebrew by name", with(func(f *file) { f.Name = "עברית" }), "not offered: its name is written from right to left"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, problems := text.Parse(c.doc, nil)
			if l != nil {
				t.Error("it is offered")
			}
			if !slices.ContainsFunc(problems, func(p text.Problem) bool { return p.Key == "" && strings.HasPrefix(p.What, c.want) }) {
				t.Errorf("told %q, want %q", problems, c.want)
			}
		})
	}
}

// The forms are those that CLDR has for the language.
func TestPluralsAreThoseOfTheLanguage(t *testing.T) {
	for _, c := range []struct {
		tag   string
		forms map[string]string
		says  map[int]string
		want  []string
	}{
		{"jv", map[string]string{"other": "{n} x"}, map[int]string{1: "1 x", 2: "2 x"}, nil},
		{"jv", map[string]string{"one": "one", "other": "{n} x"}, map[int]string{1: "1 x"}, []string{"attempts.more: has a form one, which jv has not"}},
		{"nl", map[string]string{"one": "nog één", "other": "nog {n}"}, map[int]string{1: "nog één", 2: "nog 2"}, nil},
		{"nl", map[string]string{"other": "nog {n}"}, map[int]string{1: "nog 1"}, []string{"attempts.more: has no form one, which nl has"}},
		{
			"pl",
			map[string]string{"one": "{n} próba", "few": "{n} próby", "many": "{n} prób", "other": "{n} próby"},
			map[int]string{1: "1 próba", 2: "2 próby", 5: "5 prób"},
			nil,
		},
		{"cy", map[string]string{"zero": "a", "one": "b", "two": "c", "few": "d", "many": "e", "other": "{n} f"}, map[int]string{1: "b", 2: "c", 3: "d", 6: "e"}, nil},
		{"nl", map[string]string{"one": "nog één"}, map[int]string{1: "Masih ada 1 kesempatan setelah ini"}, []string{"attempts.more: has no form other, which every language has"}},
		{"jv", map[string]string{"other": "x"}, map[int]string{2: "Masih ada 2 kesempatan setelah ini"}, []string{"attempts.more: other: lacks {n}"}},
	} {
		f := whole(c.tag, "X")
		f.Texts["attempts.more"] = c.forms
		f.Texts["remaining.more"] = "{n}"
		l, problems := text.Parse(f.doc(t), nil)
		if l == nil {
			t.Fatalf("%s: %q", c.tag, problems)
		}
		var got []string
		for _, p := range amiss(problems) {
			if strings.HasPrefix(p, "attempts.more") {
				got = append(got, p)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s %v: told %q, want %q", c.tag, c.forms, got, c.want)
		}
		for n, want := range c.says {
			if got := l.Attempts(n); got != want {
				t.Errorf("%s %v: %d reads %q, want %q", c.tag, c.forms, n, got, want)
			}
		}
	}
}

// A bank names itself in the consent of a built-in language, and the rest stays.
func TestAFileOfABuiltInLanguageChangesWhatItSays(t *testing.T) {
	l, problems := text.Parse([]byte(`{"language": "id", "name": "Bahasa Indonesia", "texts": {"consent.controller.body": "PT Bank Contoh."}}`), nil)
	if l == nil || len(problems) > 0 {
		t.Fatalf("%v, %q", l, problems)
	}
	own := text.Of(kiosk.Indonesian)
	if l.Consent()[2].Body != "PT Bank Contoh." || l.Consent()[1] != own.Consent()[1] || l.Title(kiosk.IdleScreen) != own.Title(kiosk.IdleScreen) {
		t.Errorf("says %q", l.Consent())
	}
	if l.ConsentHash() == own.ConsentHash() || own.Consent()[2].Body == "PT Bank Contoh." {
		t.Error("the built-in language is not what it was")
	}
}

// Nobody agrees to a text that nobody wrote: half a bank's, half the product's.
func TestWhatIsAgreedToIsOfOneHand(t *testing.T) {
	const doc = `{"language": "id", "name": "Bahasa Indonesia", "texts": {"consent.controller.body": "PT Bank Contoh.", "hint.mask": "Lepas masker", "consent.data.body": %s}}`
	own := text.Of(kiosk.Indonesian)
	for name, tt := range map[string]struct {
		body  string
		check text.Check
	}{
		"a text that is none":      {body: "7"},
		"a text that does not fit": {`"Foto."`, func(*text.Language) []text.Problem { return []text.Problem{{Key: "consent.data.body", What: "x"}} }},
	} {
		l, problems := text.Parse(fmt.Appendf(nil, doc, tt.body), tt.check)
		if l == nil || len(problems) != 2 || l.ConsentHash() != own.ConsentHash() || l.Hint(kiosk.Mask) != "Lepas masker" {
			t.Errorf("%s: %q", name, problems)
		}
	}
}

// What a check finds is not used, and what is agreed to is whole or not there.
func TestWhatACheckFindsIsNotUsed(t *testing.T) {
	f := whole("jv", "Basa Jawa")
	f.Texts["hint.mask"] = "Copot masker"
	find := func(p text.Problem) text.Check {
		return func(*text.Language) []text.Problem { return []text.Problem{p} }
	}
	if l, _ := text.Parse(f.doc(t), find(text.Problem{Key: "hint.mask", What: "x", Taken: true})); l.Hint(kiosk.Mask) != "Copot masker" {
		t.Error("a note costs the text")
	}
	if l, _ := text.Parse(f.doc(t), find(text.Problem{Key: "hint.mask", What: "x"})); l.Hint(kiosk.Mask) != text.Of(kiosk.Indonesian).Hint(kiosk.Mask) {
		t.Error("the text is used")
	}
	if l, _ := text.Parse(f.doc(t), find(text.Problem{Key: "attempts.more", What: "x"})); l.Attempts(2) != text.Of(kiosk.Indonesian).Attempts(2) {
		t.Error("the plural is used")
	}
	for _, key := range []string{"", "consent.data.body", "control.agree"} {
		if l, problems := text.Parse(f.doc(t), find(text.Problem{Key: key, What: "x"})); l != nil {
			t.Errorf("%q costs nothing: %q", key, problems)
		}
	}
}

func TestFilesAreCalledAsTheirLanguage(t *testing.T) {
	dir := t.TempDir()
	for name, doc := range map[string][]byte{
		"jv.json": whole("jv", "Basa Jawa").doc(t), "sunda.json": whole("su", "Basa Sunda").doc(t), "README.txt": []byte("hello"), ".su.json.swp": {}, ".x.json": {},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), doc, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, problems := text.Open(dir, nil)
	if got := c.Locales(); !slices.Equal(got, []kiosk.Locale{"id", "en", "jv"}) {
		t.Errorf("speaks %q", got)
	}
	if got, want := amiss(problems), []string{"sunda.json: is of the language su: call it su.json"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	c, problems = text.Open(filepath.Join(dir, "nowhere"), nil)
	if got := c.Locales(); len(got) != 2 || len(problems) != 1 {
		t.Errorf("of no folder: %q, %q", got, problems)
	}
}

func TestALaunchGetsTheLanguageThatServesItBest(t *testing.T) {
	nl, _ := text.Parse(whole("nl", "Nederlands").doc(t), nil)
	jv, _ := text.Parse(whole("jv", "Basa Jawa").doc(t), nil)
	more := text.BuiltIn().With(nl).With(jv)
	for _, c := range []struct {
		of    *text.Catalogue
		asked kiosk.Locale
		want  kiosk.Locale // "": none
	}{
		{text.BuiltIn(), "id", "id"},
		{text.BuiltIn(), "id_ID", "id"},
		{text.BuiltIn(), "en_ID", "en"},
		{text.BuiltIn(), "en-GB", "en"},
		{text.BuiltIn(), "jv", "id"}, // who reads it reads Indonesian
		{text.BuiltIn(), "ms", "id"},
		{text.BuiltIn(), "fr", ""},
		{text.BuiltIn(), "und", ""},
		{text.BuiltIn(), "", ""},
		{text.BuiltIn(), "no tag", ""},
		{more, "jv-ID", "jv"},
		{more, "nl_BE", "nl"},
		{more, "su", "id"},
	} {
		got, is := c.of.Match(c.asked)
		if got != c.want || is != (c.want != "") {
			t.Errorf("%q of %q gets %q, %v, want %q", c.asked, c.of.Locales(), got, is, c.want)
		}
	}
}

// Schema and reader agree on every key.
func TestSchemaSaysWhatIsRead(t *testing.T) {
	raw, err := os.ReadFile("language.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties map[string]struct {
			MaxLength     int `json:"maxLength"`
			PropertyNames struct {
				Enum []string `json:"enum"`
			} `json:"propertyNames"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(raw, &schema); err != nil {
		t.Fatal(err)
	}
	keys, _ := text.Keys()
	if got := schema.Properties["texts"].PropertyNames.Enum; !slices.Equal(got, keys) {
		t.Errorf("the schema has the keys %q, the reader %q", got, keys)
	}
	if got := slices.Sorted(maps.Keys(schema.Properties)); !slices.Equal(got, []string{"$schema", "language", "name", "texts"}) || schema.Properties["name"].MaxLength != 24 {
		t.Errorf("the schema has %q", got)
	}
}

// No file whatever brings the reader down, and what it offers is whole.
func FuzzParse(f *testing.F) {
	f.Add(text.Template())
	f.Add([]byte(`{"language":"jv","name":"J","texts":{"hint.mask":{"text":"a"}}}`))
	f.Add([]byte(`{"language":"en","name":"E","texts":{"attempts.more":{"one":"a","other":"{n}"}}}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		l, problems := text.Parse(doc, nil)
		if l == nil {
			if len(problems) == 0 {
				t.Error("refused without a word")
			}
			return
		}
		for key, forms := range l.Each() {
			for _, s := range forms {
				if s == "" {
					t.Errorf("%s is empty", key)
				}
			}
		}
		for _, s := range l.Consent() {
			if s.Heading == "" || s.Body == "" {
				t.Errorf("half a section: %q", s)
			}
		}
	})
}

func TestThePseudoLanguageIsLongerAndKeepsItsPlaceholders(t *testing.T) {
	p, en := text.Pseudo(), text.Of(kiosk.English)
	for key, forms := range en.Each() {
		long, short := len([]rune(p.Each()[key][0])), len([]rune(forms[0]))
		if long < short {
			t.Errorf("%s: %q", key, p.Each()[key])
		}
	}
	if got := p.Attempts(2); got != "2 móorée áattéempts áaftéer thíis óonée" {
		t.Errorf("%q", got)
	}
	if got := p.Progress(kiosk.FocusStep); !strings.HasSuffix(got, " 1/6") {
		t.Errorf("%q", got)
	}
}
