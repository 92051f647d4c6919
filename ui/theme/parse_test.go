package theme_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"livekiosk/kiosk"
	"livekiosk/ui/theme"
)

func picture(t *testing.T, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, w, h))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestThemesSayWhatIsWrong(t *testing.T) {
	dir := fstest.MapFS{
		"wide.png": {Data: picture(t, 2049, 1)},
		"big.png":  {Data: append(picture(t, 2, 2), make([]byte, 1<<20)...)},
		"text.png": {Data: []byte("hello, I am a text")},
	}
	for _, c := range []struct{ name, doc, want string }{
		{"no JSON", `{"name": `, "byte 9: unexpected end"},
		{"no object", `7`, "the document: want an object"},
		{"null", `null`, "the document: want an object"},
		{"an unknown key", `{"colour": {}}`, "colour: unknown key, want one of $schema, button, dark, dialog, dialogs, font,"},
		{"an unknown key further in", `{"button": {"raduis": 3}}`, "button.raduis: unknown key, want one of border, main, quiet, radius"},
		{"an unknown colour", `{"light": {"brnd": "#000000"}}`, "light.brnd: unknown key, want one of back, brand,"},
		{"an unknown screen", `{"screens": {"lobby": {}}}`, "screens.lobby: unknown key, want one of again, cancelled, code, colours, commission, consent,"},
		{"an unknown dialog", `{"dialogs": {"popup": {}}}`, "dialogs.popup: unknown key, want one of receipt, terms"},
		{"an unknown key of a screen", `{"screens": {"idle": {"font": "go"}}}`, "screens.idle.font: unknown key"},
		{"a colour of a screen", `{"screens": {"idle": {"dark": {"ink": "black"}}}}`, `screens.idle.dark.ink: want a colour such as "#0b57a8", have "black"`},
		{"a colour of a dialog", `{"dialogs": {"terms": {"dark": {"ink": 7}}}}`, `dialogs.terms.dark.ink: want a colour`},
		{"a short colour", `{"light": {"ink": "#123"}}`, "light.ink: want a colour"},
		{"a transparent colour", `{"light": {"ink": "#12345680"}}`, "light.ink: \"#12345680\" is transparent, which only scrim may be"},
		{"a number too large", `{"button": {"radius": 49}}`, "button.radius: want a number of 0 to 48, have 49"},
		{"a number that is none", `{"oval": {"rim": "3"}}`, `oval.rim: want a number of 2 to 20, have "3"`},
		{"a family that is not bundled", `{"font": "Arial"}`, `font: "Arial" is none of go, go-mono`},
		{"a scheme that does not exist", `{"prefers": "sepia"}`, `prefers: "sepia" is none of dark, high_contrast, light`},
		{"no name", `{"name": ""}`, "name: want a text of 1 to 60 bytes"},
		{"a logo that is not there", `{"logo": {"light": "none.png"}}`, "logo.light: open none.png: file does not exist"},
		{"a logo outside the folder", `{"logo": {"dark": "../secret.png"}}`, "logo.dark: open ../secret.png: "},
		{"a logo that is none", `{"logo": {"dark": "text.png"}}`, "logo.dark: text.png: png: invalid format"},
		{"a logo of too many pixels", `{"logo": {"dark": "wide.png"}}`, "logo.dark: wide.png is 2049x1 pixels, more than 2048 a side"},
		{"a logo of too many bytes", `{"logo": {"dark": "big.png"}}`, "logo.dark: big.png has"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := theme.Parse([]byte(c.doc), dir); err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), "stat ", "open "), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestWhatAThemeLeavesOutIsTheProductsOwn(t *testing.T) {
	got, err := theme.Parse([]byte(`{}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, scheme := range append(theme.Schemes(), kiosk.NoPreference) {
		for _, s := range kiosk.Screens() {
			if a, b := got.Look(scheme, s, theme.Receipt), theme.Default().Look(scheme, s, theme.Receipt); a != b {
				t.Errorf("%s %s: %v, want %v", scheme, s, a, b)
			}
		}
	}
}

// The nearer word wins: theme, screen, dialog.
func TestScreensAndDialogsHaveTheirOwn(t *testing.T) {
	th, err := theme.Parse([]byte(`{
		"prefers": "dark", "button": {"radius": 1}, "light": {"tint": "#111111"},
		"screens": {"saved": {"button": {"radius": 2}, "light": {"tint": "#222222"}}},
		"dialogs": {"receipt": {"button": {"radius": 3}, "dark": {"tint": "#333333"}}}
	}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	grey := func(v uint8) color.NRGBA { return color.NRGBA{v, v, v, 255} }
	dark := theme.Of(kiosk.Dark).Tint
	for _, c := range []struct {
		name   string
		scheme kiosk.Theme
		screen kiosk.Screen
		card   theme.Card
		radius float32
		tint   color.NRGBA
	}{
		{"a screen like the others", kiosk.Light, kiosk.IdleScreen, theme.Whole, 1, grey(0x11)},
		{"a screen of its own", kiosk.Light, kiosk.SavedScreen, theme.Whole, 2, grey(0x22)},
		{"a dialog of its own on it, in what the dialog says", kiosk.Light, kiosk.SavedScreen, theme.Receipt, 3, grey(0x22)},
		{"another dialog on it", kiosk.Light, kiosk.SavedScreen, theme.Terms, 2, grey(0x22)},
		{"a dialog's colour in the scheme it is for", kiosk.Dark, kiosk.SavedScreen, theme.Receipt, 3, grey(0x33)},
		{"no preference is what the theme prefers", kiosk.NoPreference, kiosk.IdleScreen, theme.Whole, 1, dark},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := th.Look(c.scheme, c.screen, c.card)
			if got.Button.Radius != c.radius || got.Tint != c.tint {
				t.Errorf("radius %v and tint %v, want %v and %v", got.Button.Radius, got.Tint, c.radius, c.tint)
			}
		})
	}
}

func TestLogosAreThoseOfTheirSchemes(t *testing.T) {
	dir := fstest.MapFS{"a.png": {Data: picture(t, 30, 10)}, "in/b.png": {Data: picture(t, 40, 10)}}
	th, err := theme.Parse([]byte(`{"logo": {"light": "a.png", "dark": "in/b.png"}}`), dir)
	if err != nil {
		t.Fatal(err)
	}
	for scheme, width := range map[kiosk.Theme]int{kiosk.Light: 30, kiosk.Dark: 40, kiosk.HighContrast: 40, kiosk.NoPreference: 30, "": 30} {
		if got := th.Logo(scheme).Bounds().Dx(); got != width {
			t.Errorf("%s: the logo is %d wide, want %d", scheme, got, width)
		}
	}
	if theme.Default().Logo(kiosk.Light) != nil {
		t.Error("the product's own theme has a logo")
	}
}

// The document's description and the reader agree on every key and bound.
func TestSchemaSaysWhatIsRead(t *testing.T) {
	raw, err := os.ReadFile("theme.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	type node struct {
		Ref           string           `json:"$ref"`
		Properties    map[string]*node `json:"properties"`
		PropertyNames struct {
			Enum []string `json:"enum"`
		} `json:"propertyNames"`
		Additional json.RawMessage  `json:"additionalProperties"`
		Defs       map[string]*node `json:"$defs"`
		Enum       []string         `json:"enum"`
		Minimum    *float64         `json:"minimum"`
		Maximum    *float64         `json:"maximum"`
	}
	var root node
	if err := json.Unmarshal(raw, &root); err != nil {
		t.Fatal(err)
	}
	// read has the value at a path read, and returns what is wrong with it.
	read := func(path []string, value string) string {
		for _, key := range slices.Backward(path) {
			value = fmt.Sprintf("{%q: %s}", key, value)
		}
		if _, err := theme.Parse([]byte(value), nil); err != nil {
			return err.Error()
		}
		return ""
	}
	seen := 0
	var walk func(path []string, n *node)
	walk = func(path []string, n *node) {
		seen++
		at := strings.Join(path, ".")
		if name, is := strings.CutPrefix(n.Ref, "#/$defs/"); is {
			walk(path, root.Defs[name])
			return
		}
		keys := slices.Sorted(maps.Keys(n.Properties))
		if n.PropertyNames.Enum != nil {
			keys = slices.Sorted(slices.Values(n.PropertyNames.Enum))
		}
		if keys != nil {
			if got, want := read(append(slices.Clone(path), "?"), "0"), "want one of "+strings.Join(keys, ", "); !strings.HasSuffix(got, want) {
				t.Errorf("%s: the reader says %q, the schema %q", at, got, want)
			}
		}
		for _, key := range keys {
			child := n.Properties[key]
			if child == nil { // all are alike
				child = new(node)
				if err := json.Unmarshal(n.Additional, child); err != nil {
					t.Fatal(err)
				}
			}
			walk(append(slices.Clone(path), key), child)
		}
		for _, word := range n.Enum {
			if bad := read(path, fmt.Sprintf("%q", word)); bad != "" {
				t.Errorf("%s: %s", at, bad)
			}
		}
		if n.Minimum != nil {
			for value, valid := range map[float64]bool{*n.Minimum: true, *n.Maximum: true, *n.Minimum - 0.01: false, *n.Maximum + 0.01: false} {
				if bad := read(path, fmt.Sprint(value)); (bad == "") != valid {
					t.Errorf("%s: %v is valid: %v, and the reader says %q", at, value, valid, bad)
				}
			}
		}
	}
	walk(nil, &root)
	if seen < 400 {
		t.Errorf("walked %d nodes only", seen)
	}
}

func TestWarningsNamePairPlaceAndRatio(t *testing.T) {
	if w := theme.Default().Warnings(); w != nil {
		t.Errorf("the product's own theme: %q", w)
	}
	th, err := theme.Parse([]byte(`{"screens": {"granted": {"light": {"brand": "#8fb8e0"}}}, "dialogs": {"receipt": {"dark": {"ink": "#404a5a"}}}}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := th.Warnings()
	for _, want := range []string{
		"LIGHT_MODE, screen granted: brand on card has a contrast of 2.08 to 1, WCAG 2.2 AA wants 4.5 to 1",
		"DARK_MODE, dialog receipt: ink on card has a contrast of 1.73 to 1, WCAG 2.2 AA wants 4.5 to 1",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
}
