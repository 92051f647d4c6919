package main

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAThemesFileCarriesItsLogosIntoALaunch(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("a.png", "PNG")
	got, err := themeDocument(write("bank.json", `{"name": "Bank", "logo": {"light": "a.png", "dark": "data:image/png;base64,QUJD"}, "light": {"brand": "#7a1f2b"}}`))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Name  string            `json:"name"`
		Logo  map[string]string `json:"logo"`
		Light map[string]string `json:"light"`
	}
	if err := json.Unmarshal([]byte(got), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Name != "Bank" || doc.Light["brand"] != "#7a1f2b" || doc.Logo["light"] != "data:image/png;base64,"+base64.StdEncoding.EncodeToString([]byte("PNG")) ||
		doc.Logo["dark"] != "data:image/png;base64,QUJD" {
		t.Errorf("%s", got)
	}
	for doc, want := range map[string]string{
		`{"light": {}}`: "", `{"logo": 7}`: "", `[]`: "is no JSON object", `{`: "is no JSON object", `{"logo": {"light": "none.png"}}`: "logo.light: ",
		`{"logo": {"light": "../secret.png"}}`: "logo.light: ",
	} {
		_, err := themeDocument(write("x.json", doc))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", doc, err, want)
		}
	}
	if code, _, errs := kioskctl(t.Context(), nil, "", "launch", "--correlation-id", "c", "--user-id", "u", "--theme-file", "/nowhere/bank.json"); code != 64 || !strings.Contains(errs, "--theme-file") {
		t.Errorf("no file: exit %d, %s", code, errs)
	}
}
