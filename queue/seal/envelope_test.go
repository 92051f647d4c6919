package seal_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"livekiosk/queue/seal"
)

var place = seal.Binding{
	Format: 1, Attempt: 2, Record: "s1-2", Correlation: "c-17", Device: strings.Repeat("d", 32), Part: "image/SELFIE",
}

func envelope(tb testing.TB, k *seal.Key, b seal.Binding, plaintext string) []byte {
	tb.Helper()
	e, err := seal.SealEnvelope(k.Public(), b, []byte(plaintext))
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

func TestAnEnvelopeOpensOnlyWithItsKeyAndInItsPlace(t *testing.T) {
	for _, key := range []*seal.Key{generate(t), hybrid(t)} {
		e := envelope(t, key, place, "a face")
		if !seal.IsEnvelope(e) || bytes.Contains(e, []byte("a face")) || bytes.Contains(e, []byte(place.Correlation)) {
			t.Errorf("the envelope is %q", e)
		}
		want := place
		want.Key = key.Fingerprint()
		b, got, err := seal.OpenEnvelope(key, place.Correlation, bytes.Clone(e))
		if err != nil || string(got) != "a face" || b != want {
			t.Fatalf("opened %q of %+v, %v", got, b, err)
		}
		replaced := func(was, is string) []byte {
			if !bytes.Contains(e, []byte(was)) {
				t.Fatalf("%q is not in the clear", was)
			}
			return bytes.Replace(e, []byte(was), []byte(is), 1)
		}
		other, err := seal.Generate(key.KEM())
		if err != nil {
			t.Fatal(err)
		}
		for name, tc := range map[string]struct {
			key         *seal.Key
			correlation string
			envelope    []byte
		}{
			"another key":                        {other, "c-17", e},
			"another key that it says is its":    {other, "c-17", replaced(key.Fingerprint(), other.Fingerprint())},
			"another correlation id":             {key, "c-18", e},
			"another record":                     {key, "c-17", replaced("s1-2", "s2-2")},
			"another part":                       {key, "c-17", replaced("image/SELFIE", "image/selfie")},
			"another device":                     {key, "c-17", replaced("dddd", "dede")},
			"another format":                     {key, "c-17", replaced("\x00\x01\x00\x00\x00\x02", "\x00\x02\x00\x00\x00\x02")},
			"another attempt":                    {key, "c-17", replaced("\x00\x01\x00\x00\x00\x02", "\x00\x01\x00\x00\x00\x03")},
			"bytes moved between record, device": {key, "c-17", replaced("\x04s1-2\x00\x00\x00\x20d", "\x05s1-2\x00\x00\x00\x1fd")},
			"no magic":                           {key, "c-17", replaced("livekiosk relay", "livekiosk delay")},
			"a changed byte":                     {key, "c-17", append(bytes.Clone(e[:len(e)-1]), e[len(e)-1]^1)},
			"a byte too many":                    {key, "c-17", append(bytes.Clone(e), 0)},
			"nothing":                            {key, "c-17", nil},
		} {
			if b, got, err := seal.OpenEnvelope(tc.key, tc.correlation, bytes.Clone(tc.envelope)); err == nil || got != nil || b != (seal.Binding{}) {
				t.Errorf("%s: opened %q of %+v, %v", name, got, b, err)
			}
		}
		for n := range e {
			if _, got, err := seal.OpenEnvelope(key, "c-17", bytes.Clone(e[:n])); err == nil {
				t.Fatalf("the first %d bytes opened to %q", n, got)
			}
		}
		// What a stranger wrote must not reach a terminal by way of the error.
		_, _, err = seal.OpenEnvelope(key, "c-17", replaced(key.Fingerprint()[:8], "\x1b[2Jgone"))
		if err == nil || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("a name that cannot be: %q", err)
		}
		_, _, err = seal.OpenEnvelope(other, "c-17", e)
		if err == nil || !strings.Contains(err.Error(), key.Fingerprint()) {
			t.Errorf("another key: %v, want it to name the one that it needs", err)
		}
	}
}

// TestAnEnvelopeIsAsWrittenDown takes one apart with the package's words.
func TestAnEnvelopeIsAsWrittenDown(t *testing.T) {
	key := generate(t)
	e := envelope(t, key, place, "x")
	head := slices.Concat([]byte("livekiosk relay\x00\x00\x01\x00\x00\x00\x02"),
		[]byte("\x00\x00\x00\x04s1-2"), []byte("\x00\x00\x00\x20"+place.Device), []byte("\x00\x00\x00\x0cimage/SELFIE"), []byte("\x00\x00\x00\x20"+key.Fingerprint()))
	part, begins := bytes.CutPrefix(e, head)
	if !begins {
		t.Fatalf("begins with %q", e[:min(len(e), len(head))])
	}
	b := place
	b.Key = key.Fingerprint()
	if got, err := key.Open(b.AAD(), part); err != nil || string(got) != "x" {
		t.Errorf("the part opened to %q, %v", got, err)
	}
}

func TestANameThatIsTooLongIsSealedForNobody(t *testing.T) {
	b := place
	b.Record = strings.Repeat("r", 257)
	if _, err := seal.SealEnvelope(generate(t).Public(), b, nil); err == nil {
		t.Error("sealed what does not open")
	}
}

// FuzzOpenEnvelope holds that no bytes but the sealed ones open.
func FuzzOpenEnvelope(f *testing.F) {
	key := generate(f)
	e := envelope(f, key, place, "x")
	f.Add(e[:len(e)-1])
	f.Add(e[:30])
	f.Add([]byte("livekiosk relay\x00\x00\x01\x00\x00\x00\x02\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, got, err := seal.OpenEnvelope(key, place.Correlation, bytes.Clone(b)); err == nil && !bytes.Equal(b, e) {
			t.Errorf("%x opened to %x", b, got)
		}
	})
}
