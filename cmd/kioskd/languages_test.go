package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/ui/text"
)

// language is the file of one, made of the template; change alters its texts.
func language(t *testing.T, tag, name string, change func(texts map[string]any)) []byte {
	t.Helper()
	var doc struct {
		Language string         `json:"language"`
		Name     string         `json:"name"`
		Texts    map[string]any `json:"texts"`
	}
	if err := json.Unmarshal(text.Template(), &doc); err != nil && !strings.Contains(err.Error(), "unknown") {
		t.Fatal(err)
	}
	doc.Language, doc.Name = tag, name
	if change != nil {
		change(doc.Texts)
	}
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// languages is a folder with one file.
func (l *lab) languages(tag, name string, change func(texts map[string]any)) string {
	l.t.Helper()
	dir := l.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, tag+".json"), language(l.t, tag, name, change), 0o600); err != nil {
		l.t.Fatal(err)
	}
	return dir
}

func TestCheckConfigTellsOfLanguages(t *testing.T) {
	for _, tt := range []struct {
		name string
		dir  func(*lab) string
		code int
		says string
	}{
		{"a whole language", func(l *lab) string { return l.languages("jv", "Basa Jawa", nil) }, exitOK, "usable"},
		{"a text that is missing", func(l *lab) string {
			return l.languages("jv", "Basa Jawa", func(texts map[string]any) { delete(texts, "hint.mask") })
		}, exitConfig, "jv.json: hint.mask: is missing"},
		{"a text that does not fit", func(l *lab) string {
			return l.languages("jv", "Basa Jawa", func(texts map[string]any) { texts["control.help"] = strings.Repeat("tulung", 9) })
		}, exitConfig, "jv.json: control.help: is too long for the screen"},
		{"a folder that is not there", func(*lab) string { return "/nowhere/languages" }, exitConfig, "/nowhere/languages"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			var log bytes.Buffer
			if got := run(t.Context(), l.args("-check-config", "-languages", tt.dir(l)), &log); got != tt.code {
				t.Errorf("exit code %d, want %d\n%s", got, tt.code, log.String())
			}
			lines := strings.Split(strings.TrimSpace(log.String()), "\n")
			if last := lines[len(lines)-1]; !strings.Contains(last, tt.says) {
				t.Errorf("the last line says %s\nwant %q in it", last, tt.says)
			}
		})
	}
}

// Whatever lies in the folder, the kiosk serves: in the languages that are whole.
func TestNoFileOfALanguageTakesTheKioskDown(t *testing.T) {
	l := newLab(t)
	dir := l.languages("jv", "Basa Jawa", func(texts map[string]any) {
		texts["title.idle"] = "Sugeng rawuh"
		texts["hint.mask"] = "{n}"
		texts["phrase.looking"] = ""
	})
	write := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	whole := language(t, "su", "Basa Sunda", nil)
	write("su.json", whole[:len(whole)/2]) // torn
	write("empty.json", nil)
	write("large.json", bytes.Repeat([]byte(" "), 300<<10))
	write("binary.json", []byte{0, 1, 2, 0xff})
	write("ar.json", language(t, "ar", "العربية", nil))
	write("th.json", language(t, "th", "Thai", func(texts map[string]any) { texts["consent.rights.body"] = "สิทธิของคุณ" }))
	write("fr.json", language(t, "fr", "Français", func(texts map[string]any) { delete(texts, "consent.rights.body") }))
	if err := os.Mkdir(filepath.Join(dir, "folder.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/nowhere", filepath.Join(dir, "link.json")); err != nil {
		t.Fatal(err)
	}
	d := l.start("-languages", dir)
	s := d.await("in service", func(s api.Status) bool { return s.Ready })
	var spoken []string
	for _, lang := range s.Languages {
		spoken = append(spoken, string(lang.Locale)+" "+lang.Name)
	}
	if got, want := strings.Join(spoken, ", "), "id Bahasa Indonesia, en English, jv Basa Jawa"; got != want {
		t.Errorf("the kiosk speaks %s, want %s", got, want)
	}
	if s.LanguageProblems < 10 {
		t.Errorf("%d problems are told", s.LanguageProblems)
	}
	for _, want := range []string{
		"language is not offered", "su.json", "pipe.json", "is no regular file", "written from right to left", "nobody agrees to what they cannot read", "ส (U+0E2A)",
		"hint.mask: has {n}, want no placeholder", "phrase.looking: is empty",
	} {
		if !strings.Contains(d.log.String(), want) {
			t.Errorf("no %q in the log:\n%s", want, d.log.String())
		}
	}
	d.health("screen", api.FindingTolerated, "languages")
	if m := d.metrics(); !strings.Contains(m, "kiosk_language_problems 1") {
		t.Error("the metrics say nothing of the languages")
	}

	// The one that is whole is spoken, and what is agreed to is what it says.
	for asked, want := range map[kiosk.Locale]bool{"jv-ID": true, "ar": false, "fr": false} {
		_, err := d.client.Launch(t.Context(), kiosk.Launch{CorrelationID: "c-" + string(asked), Token: "t", Locale: asked, Theme: kiosk.NoPreference})
		if (err == nil) != want {
			t.Errorf("a launch in %s: %v", asked, err)
		}
	}
	if code := d.stop(); code != exitOK {
		t.Errorf("exit code %d\n%s", code, d.log.String())
	}
}
