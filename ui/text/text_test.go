package text_test

import (
	"regexp"
	"strings"
	"testing"

	"livekiosk/kiosk"
	"livekiosk/ui/text"
)

var controls = kiosk.Controls()

var faults = append(kiosk.Faults(), kiosk.NoFault)

// catalogue returns every text of one language by a unique key.
func catalogue(l kiosk.Locale) map[string]string {
	all := map[string]string{}
	for _, h := range kiosk.Hints() {
		all["hint "+string(h)] = text.Hint(l, h)
	}
	for _, s := range kiosk.Screens() {
		if s == kiosk.RestingScreen || s == kiosk.CommissionScreen {
			continue // says nothing; says what its step does
		}
		all["title "+string(s)] = text.Title(l, s)
		all["body "+string(s)] = text.Body(l, s)
	}
	for _, c := range controls {
		all["control "+string(c)] = text.Control(l, c)
	}
	for _, f := range faults {
		all["fault "+string(f)] = text.Fault(l, f)
	}
	for _, s := range kiosk.Steps() {
		all["step "+string(s)], all["instruction "+string(s)], all["progress "+string(s)] = text.Step(l, s), text.Instruction(l, s), text.Progress(l, s)
		if s != kiosk.LatencyStep { // has no figure
			all["figure "+string(s)] = text.Figure(l, s, 1)
		}
	}
	for _, n := range kiosk.Notes() {
		all["note "+string(n)] = text.Note(l, n)
	}
	for _, k := range text.Keys() {
		all["phrase "+string(k)] = text.Phrase(l, k)
	}
	return all
}

func TestEveryKeyHasATextInEveryLanguage(t *testing.T) {
	for _, l := range text.Locales() {
		for key, s := range catalogue(l) {
			switch {
			case s == "":
				t.Errorf("%s: %s has no text", l, key)
			case strings.TrimSpace(s) != s:
				t.Errorf("%s: %s has stray spaces: %q", l, key, s)
			}
		}
	}
}

func TestLanguagesDiffer(t *testing.T) {
	id, en := catalogue(kiosk.Indonesian), catalogue(kiosk.English)
	for key, s := range id {
		if en[key] == s {
			t.Errorf("%s reads the same in both languages: %q", key, s)
		}
	}
}

func TestNoHintAndADarkScreenSayNothing(t *testing.T) {
	for _, l := range text.Locales() {
		if got := text.Hint(l, kiosk.NoHint) + text.Title(l, kiosk.RestingScreen) + text.Body(l, kiosk.RestingScreen); got != "" {
			t.Errorf("%s: %q", l, got)
		}
	}
}

func TestHintsAreDistinct(t *testing.T) {
	for _, l := range text.Locales() {
		seen := map[string]kiosk.Hint{}
		for _, h := range kiosk.Hints() {
			s := text.Hint(l, h)
			if other, dup := seen[s]; dup {
				t.Errorf("%s: %s and %s both say %q", l, h, other, s)
			}
			seen[s] = h
			if n := len([]rune(s)); n > 50 {
				t.Errorf("%s: %s has %d characters, which is too long to read at a glance: %q", l, h, n, s)
			}
		}
	}
}

func TestUnknownLocaleReadsAsIndonesian(t *testing.T) {
	if got, want := text.Title("fr", kiosk.IdleScreen), text.Title(kiosk.Indonesian, kiosk.IdleScreen); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The law wants these said before anybody agrees.
func TestConsentNamesWhatTheLawAsksFor(t *testing.T) {
	for l, words := range map[kiosk.Locale][]string{
		kiosk.Indonesian: {
			"Untuk apa", "biometrik", "spesifik", "27 Tahun 2022", "Pengendali", "Penerima", "terenkripsi",
			"menarik kembali persetujuan", "keberatan", "sukarela", "petugas",
		},
		kiosk.English: {
			"What it is for", "biometric", "specific personal data", "27 of 2022", "controller", "receives", "encrypted",
			"withdraw this consent", "object", "voluntary", "staff",
		},
	} {
		s := text.ConsentText(l)
		for _, w := range words {
			if !strings.Contains(s, w) {
				t.Errorf("%s: consent does not mention %q", l, w)
			}
		}
	}
}

func TestConsentHashIsOfTheWordsShown(t *testing.T) {
	hex64 := regexp.MustCompile(`^[0-9a-f]{64}$`)
	id, en := text.ConsentHash(kiosk.Indonesian), text.ConsentHash(kiosk.English)
	if !hex64.MatchString(id) || !hex64.MatchString(en) || id == en {
		t.Errorf("hashes %q and %q", id, en)
	}
	if text.ConsentHash(kiosk.Indonesian) != id {
		t.Error("hash changes from call to call")
	}
	for _, l := range text.Locales() {
		shown := text.ConsentText(l)
		for _, sec := range text.Consent(l) {
			if !strings.Contains(shown, sec.Heading+"\n"+sec.Body+"\n") {
				t.Errorf("%s: section %q is shown but not hashed", l, sec.Heading)
			}
		}
	}
}

func TestAttemptsAgreeInNumber(t *testing.T) {
	for _, c := range []struct {
		name      string
		locale    kiosk.Locale
		left      int
		now, then string
	}{
		{"none left in English", kiosk.English, 0, "Last attempt", "A member of staff will help you next"},
		{"one left in English is singular", kiosk.English, 1, "1 more attempt after this one", "1 attempt left"},
		{"two left in English is plural", kiosk.English, 2, "2 more attempts after this one", "2 attempts left"},
		{"none left in Indonesian", kiosk.Indonesian, 0, "Kesempatan terakhir", "Selanjutnya petugas kami akan membantu"},
		{"Indonesian has no plural", kiosk.Indonesian, 2, "Masih ada 2 kesempatan setelah ini", "Sisa 2 kesempatan"},
		{"a negative count reads as none", kiosk.English, -1, "Last attempt", "A member of staff will help you next"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := text.Attempts(c.locale, c.left); got != c.now {
				t.Errorf("Attempts = %q, want %q", got, c.now)
			}
			if got := text.Remaining(c.locale, c.left); got != c.then {
				t.Errorf("Remaining = %q, want %q", got, c.then)
			}
		})
	}
}

func TestCodeIsGroupedForReadingAloud(t *testing.T) {
	for in, want := range map[string]string{"": "", "k7q2": "K7Q2", "k7q2m9xa": "K7Q2 M9XA", "abcde": "ABCD E"} {
		if got := text.Code(in); got != want {
			t.Errorf("Code(%q) = %q, want %q", in, got, want)
		}
	}
}
