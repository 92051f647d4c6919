package theme_test

import (
	"encoding/base64"
	"image/color"
	"strings"
	"testing"
	"testing/fstest"

	"livekiosk/kiosk"
	"livekiosk/ui/theme"
)

// What a launch says goes before all that is installed, and the rest stays.
func TestALaunchsDocumentLiesOverTheInstalledTheme(t *testing.T) {
	logo := picture(t, 8, 4)
	bank, err := theme.Parse([]byte(`{
		"name": "Bank", "prefers": "dark", "font": "go-mono", "logo": {"light": "a.png"}, "button": {"radius": 3},
		"screens": {"granted": {"button": {"radius": 4}, "light": {"tint": "#e9f6ee"}}}, "dialogs": {"receipt": {"dialog": {"radius": 5}}}
	}`), fstest.MapFS{"a.png": {Data: logo}})
	if err != nil {
		t.Fatal(err)
	}
	own, err := bank.Over([]byte(`{"button": {"radius": 9}, "light": {"tint": "#fff3e0"}, "logo": {"dark": "data:image/png;base64,` +
		base64.StdEncoding.EncodeToString(picture(t, 6, 6)) + `"}}`))
	if err != nil {
		t.Fatal(err)
	}
	granted := own.Look(kiosk.Light, kiosk.GrantedScreen, theme.Whole)
	if granted.Button.Radius != 9 || granted.Tint != (color.NRGBA{0xff, 0xf3, 0xe0, 0xff}) {
		t.Errorf("granted: %+v", granted)
	}
	if got := own.Look(kiosk.Light, kiosk.SavedScreen, theme.Receipt).Dialog.Radius; got != 5 {
		t.Errorf("the receipt's radius is %v", got)
	}
	if own.Name != "Bank" || own.Font != theme.GoMono || own.Look(kiosk.NoPreference, kiosk.IdleScreen, theme.Whole) != own.Look(kiosk.Dark, kiosk.IdleScreen, theme.Whole) {
		t.Errorf("%s in %s", own.Name, own.Font)
	}
	if own.Logo(kiosk.Light) != bank.Logo(kiosk.Light) || own.Logo(kiosk.Dark) == nil || own.Logo(kiosk.Dark).Bounds().Dx() != 6 {
		t.Error("the logos are others")
	}
	if bank.Look(kiosk.Light, kiosk.GrantedScreen, theme.Whole).Button.Radius != 4 || bank.Logo(kiosk.Dark) != nil {
		t.Error("the installed theme has changed")
	}
	same, err := bank.Over([]byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, scheme := range append(theme.Schemes(), kiosk.NoPreference) {
		for _, s := range kiosk.Screens() {
			for _, c := range append(theme.Cards(), theme.Whole) {
				if same.Look(scheme, s, c) != bank.Look(scheme, s, c) {
					t.Errorf("an empty document changes %s, %s, %q", scheme, s, c)
				}
			}
		}
	}
}

// Whatever pair of colours a launch makes hard to read, it is refused. Where the
// installed theme is hard to read already, a launch that leaves it so is not.
func TestALaunchMakesNothingHarderToRead(t *testing.T) {
	hard, err := theme.Parse([]byte(`{"light": {"soft": "#9aa4b2"}}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		over *theme.Theme
		doc  string
		want string // "": it is taken
	}{
		{"other colours that can be read", theme.Default(), `{"light": {"brand": "#7a1f2b", "brand_down": "#591620"}}`, ""},
		{"words in the colour of the screen", theme.Default(), `{"light": {"ink": "#f7f9fc"}}`, "LIGHT_MODE, screen idle: ink on screen"},
		{"a screen in the colour of its words", theme.Default(), `{"light": {"back": "#12233d"}}`, "LIGHT_MODE, screen idle: ink on screen"},
		{"a button in the colour of its label", theme.Default(), `{"high_contrast": {"on_brand": "#ffe14d"}}`, "HIGH_CONTRAST, screen idle: label on brand"},
		{"an outline that cannot be seen", theme.Default(), `{"dark": {"line": "#18243a"}}`, "DARK_MODE, screen idle: outline on"},
		{"hints over the bare camera image", theme.Default(), `{"light": {"scrim": "#f7f9fc00"}}`, "LIGHT_MODE, screen idle: ink on scrim over black"},
		{"the consent alone", theme.Default(), `{"dialogs": {"terms": {"light": {"card": "#43546d"}}}}`, "LIGHT_MODE, dialog terms: ink on card"},
		{"what is hard to read already", hard, `{"button": {"radius": 3}}`, ""},
		{"and becomes harder", hard, `{"light": {"soft": "#b9c0ca"}}`, "LIGHT_MODE, screen idle: soft on screen"},
		{"or easier, but not enough", hard, `{"light": {"soft": "#8d97a5"}}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.over.Over([]byte(c.doc))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// No document whatever brings the reader down, and what it takes can be read.
func FuzzOver(f *testing.F) {
	f.Add([]byte(`{"light": {"ink": "#123456"}, "screens": {"idle": {"dark": {"scrim": "#00000080"}}}}`))
	f.Add([]byte(`{"logo": {"light": "data:image/png;base64,aGVsbG8="}, "dialogs": {"terms": {"text": {"size": 1.2}}}}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		own, err := theme.Default().Over(doc)
		if err == nil && own.Warnings() != nil {
			t.Errorf("%q is hard to read: %q", doc, own.Warnings())
		}
	})
}
