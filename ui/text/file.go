package text

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"

	"livekiosk/kiosk"
)

// The bounds of a file, of one text in it and of how many files are read.
const (
	mostBytes = 256 << 10
	mostText  = 2000 // bytes
	mostFiles = 40
)

//go:embed en.json id.json
var builtIn embed.FS

// Template returns the file of the built-in English, with a note for the
// translator at each text: where every other language begins.
func Template() []byte {
	doc, _ := builtIn.ReadFile("en.json") // it is there
	return doc
}

// A Problem is one thing that is wrong with the file of a language.
type Problem struct {
	File  string // where it is; "" of a document that came without
	Key   string // the text; "": the language as a whole, which is not offered
	What  string
	Taken bool // the text is used all the same; else it reads in the house's language
}

func (p Problem) String() string {
	s := p.What
	if p.Key != "" {
		s = p.Key + ": " + s
	}
	if p.File != "" {
		s = p.File + ": " + s
	}
	return s
}

// A Check returns what is wrong with texts of l that are well written: such as
// that they do not fit. The texts whose keys it names are not used; "" is all.
type Check func(l *Language) []Problem

// house is the language that everything reads in which another one lacks.
var house = sync.OnceValue(func() *Language { return own(kiosk.Indonesian) }) //nolint:gochecknoglobals // read once, and never changes

var english = sync.OnceValue(func() *Language { return own(kiosk.English) }) //nolint:gochecknoglobals // likewise

func own(l kiosk.Locale) *Language {
	doc, err := builtIn.ReadFile(string(l) + ".json")
	if err != nil {
		panic(fmt.Sprintf("text: %v", err)) // it is embedded
	}
	r := reader{}
	lang := r.read(doc, func(kiosk.Locale) *Language {
		return &Language{texts: map[string]string{}, plurals: map[string]map[plural.Form]string{}}
	})
	if len(r.problems) > 0 { // the tests read it
		panic(fmt.Sprintf("text: %s.json: %v", l, r.problems))
	}
	return lang
}

// basis is what a file of a language need not say.
func basis(l kiosk.Locale) *Language {
	if l == kiosk.English {
		return english()
	}
	return house()
}

// Parse reads the document of a language. A text that it lacks, or that is
// wrong, reads in Indonesian, and a Problem says so. A file of a built-in
// language changes what that says, and lacks nothing. The language is nil if it
// cannot be offered: the document is none, it is written from right to left, or
// part of what the visitor would agree to is missing. check may be nil.
func Parse(doc []byte, check Check) (*Language, []Problem) {
	r := reader{template: english()}
	l := r.read(doc, basis)
	if l != nil && check != nil {
		l = r.hold(l, check)
	}
	if l != nil {
		r.agree(l)
		l.gather()
	}
	return l, r.problems
}

// hold puts what does not stand check back to what the basis says. It returns nil
// if l cannot be offered then.
func (r *reader) hold(l *Language, check Check) *Language {
	bad := check(l)
	r.problems = append(r.problems, bad...)
	from := basis(l.Locale)
	for _, p := range bad {
		switch {
		case p.Taken:
		case p.Key == "":
			return nil
		case binding(p.Key) && from.Locale != l.Locale:
			r.refuse("not offered: part of what the visitor agrees to cannot be shown")
			return nil
		default:
			l.restore(p.Key, from)
		}
	}
	return l
}

// agree has the visitor agree to words that somebody wrote as they stand: of a
// built-in language either all the words of a file that are agreed to are used, or
// none. Another one is not offered without all of them.
func (r *reader) agree(l *Language) {
	from := basis(l.Locale)
	if from.Locale != l.Locale || !slices.ContainsFunc(r.problems, func(p Problem) bool { return !p.Taken && binding(p.Key) }) {
		return
	}
	keys, _ := Keys()
	for _, key := range keys {
		if binding(key) {
			l.restore(key, from)
		}
	}
	r.refuse("what the visitor agrees to is as it came with the kiosk, since part of the file's own cannot be used")
}

// restore takes one text from another language.
func (l *Language) restore(key string, from *Language) {
	if isPlural(key) {
		l.plurals[key] = from.plurals[key]
	} else {
		l.texts[key] = from.texts[key]
	}
}

// Open reads the languages in a folder, each from a file such as jv.json, beside
// the built-in ones. Whatever is wrong is a Problem, and takes nothing else with
// it: a folder that cannot be read leaves the built-in languages. "" is none.
func Open(dir string, check Check) (*Catalogue, []Problem) {
	all := map[kiosk.Locale]*Language{kiosk.Indonesian: house(), kiosk.English: english()}
	if dir == "" {
		return newCatalogue(all), nil
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return newCatalogue(all), []Problem{{File: dir, What: err.Error()}}
	}
	var problems []Problem
	seen := 0
	for _, f := range files {
		stem, is := strings.CutSuffix(f.Name(), ".json")
		if !is || strings.HasPrefix(f.Name(), ".") || f.Name() == "language.schema.json" {
			continue
		}
		if seen++; seen > mostFiles {
			problems = append(problems, Problem{File: f.Name(), What: fmt.Sprintf("is not read: there are more than %d files", mostFiles)})
			break
		}
		doc, err := readFile(filepath.Join(dir, f.Name()))
		if err != nil {
			problems = append(problems, Problem{File: f.Name(), What: err.Error()})
			continue
		}
		l, bad := Parse(doc, check)
		for _, p := range bad {
			p.File = f.Name()
			problems = append(problems, p)
		}
		switch {
		case l == nil:
		case string(l.Locale) != stem:
			problems = append(problems, Problem{File: f.Name(), What: fmt.Sprintf("is of the language %s: call it %s.json", l.Locale, l.Locale)})
		default:
			all[l.Locale] = l
		}
	}
	return newCatalogue(all), problems
}

// readFile reads a regular file of bounded size: one that is a pipe must not
// hold up the start.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("is no regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	doc, err := io.ReadAll(io.LimitReader(f, mostBytes+1))
	if err != nil {
		return nil, err
	}
	return doc, nil
}

// A reader reads one document and notes what is wrong with it.
type reader struct {
	template *Language // what is yet to be translated; nil: nothing
	problems []Problem
}

func (r *reader) refuse(format string, a ...any) {
	r.problems = append(r.problems, Problem{What: fmt.Sprintf(format, a...)})
}

func (r *reader) drop(key, format string, a ...any) {
	r.problems = append(r.problems, Problem{Key: key, What: fmt.Sprintf(format, a...)})
}

func (r *reader) warn(key, format string, a ...any) {
	r.problems = append(r.problems, Problem{Key: key, What: fmt.Sprintf(format, a...), Taken: true})
}

// read returns the language of a document over what from gives for it; nil if
// it cannot be offered.
func (r *reader) read(doc []byte, from func(kiosk.Locale) *Language) *Language {
	if len(doc) > mostBytes {
		r.refuse("is longer than %d bytes", mostBytes)
		return nil
	}
	top, err := fields(doc)
	if err != nil {
		r.refuse("%v", err)
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(top)) {
		if !slices.Contains([]string{"$schema", "language", "name", "texts"}, key) {
			r.refuse("%s: unknown key, want one of $schema, language, name, texts", key)
			return nil
		}
	}
	l := &Language{}
	if err = l.head(top); err != nil {
		r.refuse("%v", err)
		return nil
	}
	given, err := fields(top["texts"])
	if err != nil {
		r.refuse("texts: %v", err)
		return nil
	}
	base := from(l.Locale)
	l.texts, l.plurals = maps.Clone(base.texts), maps.Clone(base.plurals)
	keys, holds := Keys()
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(keys, key) {
			r.warn(key, "unknown key: see kioskctl language template for all of them")
		}
	}
	whole := true
	for _, key := range keys {
		raw, has := given[key]
		has = has && r.take(l, key, raw, holds[key])
		switch {
		case has || base.Locale == l.Locale:
		case given[key] == nil:
			r.drop(key, "is missing")
			fallthrough
		default:
			whole = whole && !binding(key)
		}
	}
	r.untranslated(l, given)
	if bad := backwards(l, given); bad != "" {
		r.refuse("not offered: %s is written from right to left, and the screens are not mirrored", bad)
		return nil
	}
	if !whole {
		r.refuse("not offered: part of what the visitor agrees to is missing, and nobody agrees to what they cannot read")
		return nil
	}
	l.gather()
	return l
}

// untranslated notes texts that stand as they are in the template.
func (r *reader) untranslated(l *Language, given map[string]json.RawMessage) {
	own, _ := l.tag.Base()
	if r.template == nil || own.String() == string(r.template.Locale) {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if s := l.texts[key]; s != "" && s == r.template.texts[key] {
			r.warn(key, "is the English text yet")
		}
	}
}

// head reads which language it is.
func (l *Language) head(top map[string]json.RawMessage) error {
	var spelt string
	if json.Unmarshal(top["language"], &spelt) != nil || spelt == "" {
		return errors.New(`language: want a language tag such as "jv" (BCP 47)`)
	}
	tag, err := language.Parse(spelt)
	switch {
	case err != nil, tag == language.Und, len(spelt) > 35, len(tag.Extensions()) > 0:
		return fmt.Errorf("language: %q is no language tag such as \"jv\" (BCP 47)", spelt)
	case tag.String() != spelt:
		return fmt.Errorf("language: %q is spelt %q", spelt, tag)
	}
	var name string
	if json.Unmarshal(top["name"], &name) != nil {
		return errors.New("name: want what the language calls itself")
	}
	if name = norm.NFC.String(name); len([]rune(name)) > 24 {
		return errors.New("name: is longer than 24 characters")
	}
	if err := written(name); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	l.Locale, l.Name, l.tag = kiosk.Locale(spelt), name, tag
	return nil
}

// take reads the text of a key, and reports whether it can be used.
func (r *reader) take(l *Language, key string, raw json.RawMessage, holds []string) bool {
	forms, err := texts(raw)
	if err != nil {
		r.drop(key, "%v", err)
		return false
	}
	for _, name := range slices.Sorted(maps.Keys(forms)) {
		if err := written(forms[name]); err != nil {
			r.drop(key, "%s%v", where(name), err)
			return false
		}
		// One thing need not be counted: "one more".
		if err := placed(forms[name], holds, name == "text" || name == "other"); err != nil {
			r.drop(key, "%s%v", where(name), err)
			return false
		}
	}
	plain, is := forms["text"]
	if !isPlural(key) {
		if !is || len(forms) > 1 {
			r.drop(key, "want a text, and no plural forms")
			return false
		}
		if n := len([]rune(plain)); strings.HasPrefix(key, "hint.") && n > 50 {
			r.warn(key, "has %d characters, which is too long to read at a glance", n)
		}
		l.texts[key] = plain
		return true
	}
	if is && len(forms) == 1 {
		forms = map[string]string{"other": plain}
	}
	return r.takePlural(l, key, forms)
}

// where names a plural form in front of what is wrong with it.
func where(form string) string {
	if form == "text" {
		return ""
	}
	return form + ": "
}

// formNames are the plural forms of CLDR as a file spells them.
func formNames() map[string]plural.Form {
	return map[string]plural.Form{
		"zero": plural.Zero, "one": plural.One, "two": plural.Two, "few": plural.Few, "many": plural.Many, "other": plural.Other,
	}
}

// takePlural reads the forms of a plural. A form that the language has and the
// file has not reads as other.
func (r *reader) takePlural(l *Language, key string, forms map[string]string) bool {
	if forms["other"] == "" {
		r.drop(key, "has no form other, which every language has")
		return false
	}
	has := map[plural.Form]bool{plural.Other: true}
	for n := range 200 { // integers are told apart by at most their last two digits
		has[form(l.tag, n)] = true
	}
	out := map[plural.Form]string{}
	for _, name := range slices.Sorted(maps.Keys(formNames())) {
		f := formNames()[name]
		text, given := forms[name]
		switch {
		case given && !has[f]:
			r.warn(key, "has a form %s, which %s has not", name, l.Locale)
		case given:
			out[f] = text
		case has[f]:
			r.warn(key, "has no form %s, which %s has", name, l.Locale)
		}
	}
	l.plurals[key] = out
	return true
}

// texts reads the value of a key: a text, or an object with one or with its
// plural forms, and perhaps a note.
func texts(raw json.RawMessage) (map[string]string, error) {
	var plain string
	if json.Unmarshal(raw, &plain) == nil {
		return map[string]string{"text": norm.NFC.String(plain)}, nil
	}
	values, err := fields(raw)
	if err != nil {
		return nil, errors.New("want a text, or an object with text and note, or with plural forms and note")
	}
	out := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		var s string
		if json.Unmarshal(values[name], &s) != nil {
			return nil, fmt.Errorf("%s: want a text", name)
		}
		switch _, form := formNames()[name]; {
		case name == "note":
		case form, name == "text":
			out[name] = norm.NFC.String(s)
		default:
			return nil, fmt.Errorf("%s: is none of text, note, zero, one, two, few, many, other", name)
		}
	}
	return out, nil
}

// written says what no text may be.
func written(s string) error {
	switch {
	case s == "":
		return errors.New("is empty")
	case len(s) > mostText:
		return fmt.Errorf("is longer than %d bytes", mostText)
	case strings.TrimSpace(s) != s:
		return errors.New("begins or ends with a space")
	}
	for _, r := range s {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co) || r == unicode.ReplacementChar {
			return fmt.Errorf("has the invisible character %U", r)
		}
	}
	return nil
}

var placeholder = regexp.MustCompile(`[{][^{}]*[}]|[{}]`)

// placed compares the placeholders of a text with those that it is to have; all
// says that none may be left out.
func placed(s string, holds []string, all bool) error {
	found := placeholder.FindAllString(s, -1)
	for _, p := range found {
		if !slices.Contains(holds, p) {
			return fmt.Errorf("has %s, want %s", p, cmp.Or(strings.Join(holds, " and "), "no placeholder"))
		}
	}
	for _, p := range holds {
		if all && !slices.Contains(found, p) {
			return fmt.Errorf("lacks %s", p)
		}
	}
	return nil
}

// backwards returns the first text that has letters of a script which is written
// from right to left; "" if none has.
func backwards(l *Language, given map[string]json.RawMessage) string {
	rightToLeft := func(s string) bool {
		return strings.ContainsFunc(s, func(r rune) bool {
			p, _ := bidi.LookupRune(r)
			return p.Class() == bidi.R || p.Class() == bidi.AL
		})
	}
	if rightToLeft(l.Name) {
		return "its name"
	}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if rightToLeft(l.texts[key]) {
			return key
		}
	}
	return ""
}

// gather makes the consent text of its parts.
func (l *Language) gather() {
	l.consent = nil
	for _, s := range sections() {
		l.consent = append(l.consent, Section{l.texts["consent."+s+".heading"], l.texts["consent."+s+".body"]})
	}
}

// fields reads an object, in which no key may stand twice.
func fields(raw []byte) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	t, err := dec.Token()
	if err != nil || t != json.Delim('{') {
		return nil, errors.New("want a JSON object")
	}
	out := map[string]json.RawMessage{}
	broken := func(err error) error { return fmt.Errorf("byte %d: %w", dec.InputOffset(), err) }
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, broken(err)
		}
		key, _ := t.(string)
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			return nil, broken(err)
		}
		if _, twice := out[key]; twice {
			return nil, fmt.Errorf("%s: stands there twice", key)
		}
		out[key] = v
	}
	if _, err := dec.Token(); err != nil {
		return nil, broken(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, broken(errors.New("something follows the object"))
	}
	return out, nil
}

// Each returns the texts of l by their keys, for whoever looks at them one by
// one. Of a plural each form is there, with a number in it.
func (l *Language) Each() map[string][]string {
	out := map[string][]string{}
	for key, s := range l.texts {
		out[key] = []string{s}
	}
	for key, forms := range l.plurals {
		for _, s := range forms {
			out[key] = append(out[key], strings.ReplaceAll(s, "{n}", "2"))
		}
	}
	return out
}
