package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/text/language"

	"livekiosk/ui/screens"
	"livekiosk/ui/text"
)

const languageHelp = `Needs no daemon. "template" writes the file of a new language to standard output:
every text of the screens in English, with a note for the translator. TAG is its
BCP 47 tag, such as jv. Translate the texts, say in "name" what the language
calls itself, and put the file as TAG.json into the folder display.languages of
every kiosk. Of a built-in language only what is to be said otherwise need stay.

"check" reads files as kioskd does and names what is wrong: texts that are
missing or unknown, placeholders, plural forms that the language has by CLDR,
letters that no bundled font has, and texts that do not fit on the screens in the
largest type. The exit code is 65 if a text would not be used, or all of a
language would not be offered.`

// languages is the command language.
func languages(_ context.Context, c call, args []string) error {
	if len(args) == 0 {
		return usage("want language template TAG, or language check FILE...")
	}
	switch do, args := args[0], args[1:]; do {
	case "template":
		if err := words(args, "TAG"); err != nil {
			return err
		}
		return c.template(args[0])
	case "check":
		if len(args) == 0 {
			return usage("FILE is missing")
		}
		wrong := 0
		for _, path := range args {
			n, err := c.checkLanguage(path)
			if err != nil {
				return err
			}
			wrong += n
		}
		if wrong > 0 {
			return &exitError{exitData, fmt.Errorf("%d texts or files would not be used", wrong)}
		}
		return nil
	default:
		return usage("there is no language %s: template or check", do)
	}
}

// template writes the file of a language that is still in English.
func (c call) template(tag string) error {
	if t, err := language.Parse(tag); err != nil || t.String() != tag {
		return usage("%q is no language tag as BCP 47 spells it, such as jv or zh-Hant", tag)
	}
	doc := bytes.Replace(text.Template(), []byte(`"language": "en",`), fmt.Appendf(nil, "%q: %q,", "language", tag), 1)
	doc = bytes.Replace(doc, []byte(`"name": "English",`), []byte(`"name": "",`), 1)
	_, err := c.out.Write(doc)
	return err
}

// checked is what is told of a file as JSON.
type checked struct {
	File     string   `json:"file"`
	Language string   `json:"language,omitempty"` // left out: it would not be offered
	Problems []string `json:"problems"`           // of texts that would not be used, or of all of it
	Notes    []string `json:"notes"`              // of texts that would be
}

// checkLanguage prints what is wrong with a file, and returns how much.
func (c call) checkLanguage(path string) (wrong int, err error) {
	doc, err := os.ReadFile(path)
	if err != nil {
		return 0, &exitError{exitData, err}
	}
	l, problems := text.Parse(doc, screens.Check)
	found := checked{File: path, Problems: []string{}, Notes: []string{}}
	var lines []string
	for _, p := range problems {
		lines = append(lines, path+": "+p.String())
		if p.Taken {
			found.Notes = append(found.Notes, p.String())
		} else {
			found.Problems = append(found.Problems, p.String())
		}
	}
	if l != nil {
		found.Language = string(l.Locale)
		if stem := strings.TrimSuffix(filepath.Base(path), ".json"); stem != string(l.Locale) {
			lines = append(lines, fmt.Sprintf("%s: on a kiosk the file has to be called %s.json", path, l.Locale))
			found.Notes = append(found.Notes, fmt.Sprintf("on a kiosk the file has to be called %s.json", l.Locale))
		}
		if len(found.Problems) == 0 {
			lines = append(lines, fmt.Sprintf("%s: %s (%s) can be used as it is; consent text %s", path, l.Name, l.Locale, l.ConsentHash()))
		}
	}
	return len(found.Problems), c.print(found, strings.Join(lines, "\n"))
}
