package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"image"
	"image/color"
	"image/png"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/ui/theme"
)

// partnerLook is a document that can be recognised wherever it is.
const partnerLook = `{"name": "PARTNER-NAME", "light": {"back": "#fff8e7"}}`

// A launch's theme is its session's: neither the idle screen nor the next visitor
// sees it, and no file of the daemon's keeps it.
func TestOnePartnersLookIsNotShownToAnothersVisitor(t *testing.T) {
	l := newLab(t)
	pictures := filepath.Join(t.TempDir(), "screens")
	d := l.start("-screens", pictures, "-size", "360x640")
	d.await("service", healthy)
	// shown waits for the picture of a screen, since a display that is slow skips
	// those of a visitor who has left.
	shown := func(screen kiosk.Screen, n int) {
		t.Helper()
		d.await("a picture of "+string(screen), func(api.Status) bool { return len(screensOf(t, pictures, screen)) >= n })
	}
	shown(kiosk.IdleScreen, 1)
	for i, doc := range []string{partnerLook, "", `{"name": "Other"}`, partnerLook} {
		id, err := d.client.Launch(t.Context(), kiosk.Launch{
			CorrelationID: "c-" + string(rune('1'+i)), Token: "t", Locale: kiosk.English, Theme: kiosk.Light, ThemeDocument: doc, NoTimeLimit: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		shown(kiosk.ConsentScreen, i+1)
		if err := d.client.Tap(t.Context(), kiosk.Tap{Session: id, Control: kiosk.Decline}); err != nil {
			t.Fatal(err)
		}
		shown(kiosk.CancelledScreen, i+1)
		if err := d.client.Tap(t.Context(), kiosk.Tap{Session: id, Control: kiosk.Done}); err != nil {
			t.Fatal(err)
		}
		shown(kiosk.IdleScreen, i+2)
	}
	if code := d.stop(); code != exitOK {
		t.Errorf("exit code %d\n%s", code, d.log.String())
	}
	own, partners := theme.Of(kiosk.Light).Back, color.NRGBA{0xff, 0xf8, 0xe7, 0xff}
	for screen, want := range map[kiosk.Screen][]color.NRGBA{
		kiosk.IdleScreen:      {own, own, own, own, own},
		kiosk.ConsentScreen:   {partners, own, own, partners},
		kiosk.CancelledScreen: {partners, own, own, partners},
	} {
		all := screensOf(t, pictures, screen)
		for i, path := range all[:min(len(all), len(want))] {
			if got := corner(t, path); got != want[i] {
				t.Errorf("the %d. picture of %s has %v about it, want %v", i+1, screen, got, want[i])
			}
		}
	}
	for _, word := range []string{"PARTNER-NAME", "fff8e7"} {
		if strings.Contains(d.log.String(), word) {
			t.Errorf("the log holds %q", word)
		}
		if err := filepath.WalkDir(l.state, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			if bytes.Contains(b, []byte(word)) {
				t.Errorf("%s holds %q", path, word)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// screensOf returns the pictures of a screen in the order in which they were drawn.
func screensOf(t *testing.T, dir string, s kiosk.Screen) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*-"+string(s)+".png")) // sorted, and numbered with two digits
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func corner(t *testing.T, path string) color.NRGBA {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := color.NRGBAModel.Convert(m.At(1, m.Bounds().Max.Y-2)).(color.NRGBA)
	return c
}

// A document that is wrong, or by which something could not be read, refuses the
// launch and says where, and the same launch without it is taken.
func TestAThemeThatIsWrongRefusesItsLaunch(t *testing.T) {
	logo := func(w, h int) string {
		var b bytes.Buffer
		if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, w, h))); err != nil {
			t.Fatal(err)
		}
		return "data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes())
	}
	l := newLab(t)
	d := l.start()
	d.await("service", healthy)
	for _, c := range []struct{ name, doc, want string }{
		{"an unknown key", `{"light": {"brnd": "#000000"}}`, "themeDocument is not taken: light.brnd: unknown key"},
		{"no object", `[]`, "themeDocument is not taken: the document: want an object"},
		{"text that cannot be seen", `{"light": {"ink": "#ffffff"}}`, "themeDocument is not taken: LIGHT_MODE, screen idle: ink on screen has a contrast of 1.0"},
		{"a button that cannot be seen", `{"screens": {"consent": {"dark": {"line": "#0d1522"}}}}`, "DARK_MODE, screen consent: outline on screen"},
		{"terms that cannot be read", `{"dialogs": {"terms": {"high_contrast": {"soft": "#000000"}}}}`, "HIGH_CONTRAST, dialog terms: soft on"},
		{"a file of the kiosk's", `{"logo": {"light": "/etc/passwd"}}`, "logo.light: there is no folder to read a logo from"},
		{"a logo of too many pixels", `{"logo": {"light": "` + logo(1025, 1) + `"}}`, "logo.light: the picture is 1025x1 pixels, more than 1024 a side"},
		{"a logo that is none", `{"logo": {"light": "data:image/png;base64,aGVsbG8sIEkgYW0gYSB0ZXh0"}}`, "logo.light: the picture: png: invalid format"},
		{"a logo that is not base64", `{"logo": {"light": "data:image/png;base64,??"}}`, "logo.light: the picture is not base64"},
		{"too long a document", `{"name": "` + strings.Repeat("a", 200<<10) + `"}`, "the document is longer than 196608 bytes"},
		{"too long a value", `{"font": "` + strings.Repeat("a", 100<<10) + `"}`, "font: "},
	} {
		_, err := d.client.Launch(t.Context(), kiosk.Launch{CorrelationID: "c-1", Token: "t", Locale: kiosk.English, Theme: kiosk.Light, ThemeDocument: c.doc})
		r, refused := errors.AsType[*api.RefusalError](err)
		if !refused || r.HTTP != http.StatusBadRequest || r.Detail != kiosk.ConfigInvalid || r.Field != "themeDocument" || r.Retriable {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if !strings.Contains(r.Message, c.want) || len(r.Message) > 400 {
			t.Errorf("%s: told %q, want %q", c.name, r.Message, c.want)
		}
	}
	doc := `{"logo": {"light": "` + logo(300, 100) + `"}, "light": {"brand": "#7a1f2b", "brand_down": "#591620"}}`
	if _, err := d.client.Launch(t.Context(), kiosk.Launch{CorrelationID: "c-1", Token: "t", Locale: kiosk.English, Theme: kiosk.Light, ThemeDocument: doc}); err != nil {
		t.Errorf("a document that is right: %v", err)
	}
}

// A launch that comes to nothing leaves no theme behind, and a view of before that
// is drawn late takes none away.
func TestAWardrobeHoldsOneSessionsLook(t *testing.T) {
	w := newWardrobe(theme.Default())
	l := kiosk.Launch{ThemeDocument: partnerLook}
	away, err := w.lay(l)
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.lay(l)
	if err != nil {
		t.Fatal(err)
	}
	away() // that launch was refused
	w.began("one", l)
	again()
	if len(w.laid) != 0 {
		t.Errorf("%d documents are kept", len(w.laid))
	}
	w.drawn("") // the idle screen, as it was
	if got := w.of("one"); got.Name != "PARTNER-NAME" {
		t.Errorf("the session wears %s", got.Name)
	}
	for _, id := range []kiosk.SessionID{"", "two"} {
		if got := w.of(id); got != theme.Default() {
			t.Errorf("%q wears %s", id, got.Name)
		}
	}
	w.drawn("one")
	w.drawn("")
	if got := w.of("one"); got != theme.Default() || w.worn != nil {
		t.Errorf("what it wore is kept: %s", got.Name)
	}
	w.began("three", kiosk.Launch{})
	if got := w.of("three"); got != theme.Default() {
		t.Errorf("a session without a look wears %s", got.Name)
	}
}
