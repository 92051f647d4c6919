package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A translator begins with the template, and is told what is left to do.
func TestALanguageIsBegunAndChecked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jv.json")
	write := func(doc string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(doc), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, doc, errs := kioskctl(t.Context(), nil, "", "language", "template", "jv")
	if code != 0 || errs != "" || !strings.Contains(doc, `"language": "jv",`) {
		t.Fatalf("template: exit %d, %q, %.80q", code, errs, doc)
	}
	named := strings.Replace(doc, `"name": ""`, `"name": "Basa Jawa"`, 1)
	for _, c := range []struct {
		name, doc string
		code      int
		says      string
	}{
		{"nothing was translated", doc, 65, "jv.json: name: is empty"},
		{"it has a name", named, 0, "Basa Jawa (jv) can be used as it is; consent text "},
		{"and is told of what is English yet", named, 0, "jv.json: title.idle: is the English text yet"},
		{"a typing error in a key", strings.Replace(named, `"hint.mask"`, `"hint.maks"`, 1), 65, "hint.mask: is missing"},
		{"which is told, too", strings.Replace(named, `"hint.mask"`, `"hint.maks"`, 1), 65, "hint.maks: unknown key"},
		{"a button that is too long", strings.Replace(named, `"Cancel"`, `"Batalkan-batalkan-batalkan-batalkan-batalkan-batalkan"`, 1), 65, "control.cancel: is too long for the screen"},
		{"half a file", named[:len(named)/2], 65, "jv.json: byte "},
	} {
		t.Run(c.name, func(t *testing.T) {
			write(c.doc)
			code, out, errs := kioskctl(t.Context(), nil, "", "language", "check", path)
			if code != c.code || !strings.Contains(out, c.says) || (errs == "") != (code == 0) {
				t.Errorf("exit %d, want %d; %q in\n%.600s\n%s", code, c.code, c.says, out, errs)
			}
		})
	}
	write(named)
	if code, out, _ := kioskctl(t.Context(), nil, "", "language", "check", path, "--json"); code != 0 || !strings.Contains(out, `"language":"jv","problems":[]`) {
		t.Errorf("as JSON: exit %d, %.200s", code, out)
	}
	for _, args := range [][]string{{}, {"template"}, {"template", "../jv"}, {"check"}, {"translate"}} {
		if code, _, errs := kioskctl(t.Context(), nil, "", append([]string{"language"}, args...)...); code != 64 {
			t.Errorf("language %q: exit %d, %s", args, code, errs)
		}
	}
	if code, _, _ := kioskctl(t.Context(), nil, "", "language", "check", "/nowhere/jv.json"); code != 65 {
		t.Errorf("no file: exit %d", code)
	}
}
