package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/ui/screens"
	"livekiosk/ui/text"
)

// languagesPath is the folder of languages that were dropped in: the configured
// one, or of the service languages in its folder, if it is there; "" is none.
func (c Config) languagesPath() string {
	if c.Display.Languages != "" {
		return c.Display.Languages
	}
	dir := os.Getenv("CONFIGURATION_DIRECTORY") // which systemd sets
	if dir == "" {
		return ""
	}
	path := filepath.Join(dir, "languages")
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// languages reads them. What is wrong with them is told, and costs no more than
// the texts that it is about: a kiosk is never dead over a word.
func (c Config) languages(ctx context.Context, log *slog.Logger) (*text.Catalogue, []text.Problem) {
	spoken, problems := text.Open(c.languagesPath(), screens.Check)
	var files []string
	of := map[string][]text.Problem{}
	for _, p := range problems {
		if of[p.File] == nil {
			files = append(files, p.File)
		}
		of[p.File] = append(of[p.File], p)
	}
	for _, file := range files {
		all := of[file]
		msg, level := "language has texts that are wrong", slog.LevelWarn
		// What counts first: why it is not offered, and then what is not used.
		slices.SortStableFunc(all, func(a, b text.Problem) int { return weight(b) - weight(a) })
		if weight(all[0]) == notOffered {
			msg, level = "language is not offered", slog.LevelError
		}
		var first []string
		for _, p := range all[:min(len(all), 5)] {
			p.File = ""
			first = append(first, p.String())
		}
		log.LogAttrs(ctx, level, msg, slog.String("file", file), slog.Int("problems", len(all)), slog.Any("first", first),
			slog.String("todo", "kioskctl language check FILE tells all of them"))
	}
	return spoken, problems
}

// How much a problem weighs.
const (
	isTaken = iota
	notUsed
	notOffered
)

func weight(p text.Problem) int {
	switch {
	case p.Taken:
		return isTaken
	case p.Key != "":
		return notUsed
	}
	return notOffered
}

// unused counts the problems by which a text, or a language, is not used.
func unused(all []text.Problem) int {
	n := 0
	for _, p := range all {
		if !p.Taken {
			n++
		}
	}
	return n
}

// checkLanguages is the part of -check-config.
func (c Config) checkLanguages(ctx context.Context, log *slog.Logger) error {
	if _, problems := c.languages(ctx, log); unused(problems) > 0 {
		i := slices.IndexFunc(problems, func(p text.Problem) bool { return !p.Taken })
		return fmt.Errorf("%w: display.languages: %d texts or files are not used: %s", errConfig, unused(problems), problems[i])
	}
	return nil
}

// match returns the language for whoever asks for a locale.
func (d *daemon) match(l kiosk.Locale) (kiosk.Locale, bool) { return d.spoken.Match(l) }

// speaks is what the status tells of the languages.
func (d *daemon) speaks() []api.Language {
	var all []api.Language
	for _, l := range d.spoken.Languages() {
		all = append(all, api.Language{Locale: l.Locale, Name: l.Name})
	}
	return all
}
