package text_test

import (
	"regexp"
	"strings"
	"testing"

	"livekiosk/kiosk"
	"livekiosk/ui/text"
)

// catalogue returns every text of one language, as it is drawn, by a unique key.
func catalogue(l *text.Language) map[string]string {
	all := map[string]string{}
	for _, h := range kiosk.Hints() {
		all["hint "+string(h)] = l.Hint(h)
	}
	for _, s := range kiosk.Screens() {
		if s == kiosk.RestingScreen || s == kiosk.CommissionScreen {
			continue // says nothing; says what its step does
		}
		all["title "+string(s)] = l.Title(s)
		all["body "+string(s)] = l.Body(s)
	}
	for _, c := range kiosk.Controls() {
		all["control "+string(c)] = l.Control(c)
	}
	for _, f := range append(kiosk.Faults(), kiosk.NoFault) {
		all["fault "+string(f)] = l.Fault(f)
	}
	for _, s := range kiosk.Steps() {
		all["step "+string(s)], all["instruction "+string(s)], all["progress "+string(s)] = l.Step(s), l.Instruction(s), l.Progress(s)
		if s != kiosk.LatencyStep { // has no figure
			all["figure "+string(s)] = l.Figure(s, 1)
		}
	}
	for _, n := range kiosk.Notes() {
		all["note "+string(n)] = l.Note(n)
	}
	for _, k := range text.Phrases() {
		all["phrase "+string(k)] = l.Phrase(k)
	}
	for left := range 3 {
		all["attempts "+string(rune('0'+left))] = l.Attempts(left)
		all["remaining "+string(rune('0'+left))] = l.Remaining(left)
	}
	for _, s := range l.Consent() {
		all["consent "+s.Heading] = s.Body
	}
	return all
}

func TestEveryKeyHasATextInEveryLanguage(t *testing.T) {
	for _, l := range text.BuiltIn().Languages() {
		all := catalogue(l)
		for key, s := range all {
			switch {
			case s == "":
				t.Errorf("%s: %s has no text", l.Locale, key)
			case strings.TrimSpace(s) != s:
				t.Errorf("%s: %s has stray spaces: %q", l.Locale, key, s)
			case strings.ContainsAny(s, "{}"):
				t.Errorf("%s: %s shows a placeholder: %q", l.Locale, key, s)
			}
		}
		keys, _ := text.Keys()
		if shown, stored := len(all), len(keys); shown < stored-len(l.Consent()) {
			t.Errorf("%s: %d texts are shown, and there are %d keys: some are for nothing", l.Locale, shown, stored)
		}
		if each := l.Each(); len(each) != len(keys) {
			t.Errorf("%s: %d texts for %d keys", l.Locale, len(each), len(keys))
		}
	}
}

func TestLanguagesDiffer(t *testing.T) {
	id, en := catalogue(text.Of(kiosk.Indonesian)), catalogue(text.Of(kiosk.English))
	for key, s := range id {
		if en[key] == s {
			t.Errorf("%s reads the same in both languages: %q", key, s)
		}
	}
}

func TestNoHintAndADarkScreenSayNothing(t *testing.T) {
	for _, l := range text.BuiltIn().Languages() {
		if got := l.Hint(kiosk.NoHint) + l.Title(kiosk.RestingScreen) + l.Body(kiosk.RestingScreen) + l.Note(kiosk.NoNote) + l.Figure(kiosk.LatencyStep, 1); got != "" {
			t.Errorf("%s: %q", l.Locale, got)
		}
	}
}

func TestHintsAreDistinct(t *testing.T) {
	for _, l := range text.BuiltIn().Languages() {
		seen := map[string]kiosk.Hint{}
		for _, h := range kiosk.Hints() {
			s := l.Hint(h)
			if other, dup := seen[s]; dup {
				t.Errorf("%s: %s and %s both say %q", l.Locale, h, other, s)
			}
			seen[s] = h
		}
	}
}

func TestUnknownLocaleReadsAsIndonesian(t *testing.T) {
	if got := text.Of("fr"); got != text.Of(kiosk.Indonesian) {
		t.Errorf("got %s", got.Locale)
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
		s := text.Of(l).ConsentText()
		for _, w := range words {
			if !strings.Contains(s, w) {
				t.Errorf("%s: consent does not mention %q", l, w)
			}
		}
	}
}

// The hashes are in receipts: other words need another hash, and the same words
// keep theirs.
func TestConsentHashIsOfTheWordsShown(t *testing.T) {
	hex64 := regexp.MustCompile(`^[0-9a-f]{64}$`)
	id, en := text.Of(kiosk.Indonesian).ConsentHash(), text.Of(kiosk.English).ConsentHash()
	if !hex64.MatchString(id) || !hex64.MatchString(en) || id == en {
		t.Errorf("hashes %q and %q", id, en)
	}
	for _, l := range text.BuiltIn().Languages() {
		shown := l.ConsentText()
		for _, sec := range l.Consent() {
			if !strings.Contains(shown, sec.Heading+"\n"+sec.Body+"\n") {
				t.Errorf("%s: section %q is shown but not hashed", l.Locale, sec.Heading)
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
			if got := text.Of(c.locale).Attempts(c.left); got != c.now {
				t.Errorf("Attempts = %q, want %q", got, c.now)
			}
			if got := text.Of(c.locale).Remaining(c.left); got != c.then {
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
