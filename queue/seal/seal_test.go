package seal_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"livekiosk/queue/seal"
)

func generate(tb testing.TB) *seal.Key {
	tb.Helper()
	return generateFor(tb, seal.X25519)
}

func hybrid(tb testing.TB) *seal.Key {
	tb.Helper()
	return generateFor(tb, seal.Hybrid)
}

func generateFor(tb testing.TB, kem seal.KEM) *seal.Key {
	tb.Helper()
	key, err := seal.Generate(kem)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// sealed returns plaintext as a board with or without AES instructions seals
// it.
func sealed(k *seal.Key, aes bool, aad, plaintext []byte) ([]byte, error) {
	s, err := seal.NewSealerOn(k.Public(), aes)
	if err != nil {
		return nil, err
	}
	return s.Seal(aad, plaintext)
}

// open opens a part that stays as it is.
func open(k *seal.Key, aad, part []byte) ([]byte, error) { return k.Open(aad, bytes.Clone(part)) }

// kinds are the ways to close a part, and to open it.
var kinds = map[string]struct {
	kem  seal.KEM
	enc  int // bytes before the nonce or the ciphertext
	seal func(k *seal.Key, aad, plaintext []byte) ([]byte, error)
	open func(k *seal.Key, aad, part []byte) ([]byte, error)
}{
	"x25519":          {seal.X25519, 33, sealedOn(false), open},
	"x25519 with AES": {seal.X25519, 33, sealedOn(true), open},
	"hybrid":          {seal.Hybrid, 1121, sealedOn(false), open},
	"hybrid with AES": {seal.Hybrid, 1121, sealedOn(true), open},
	"kept":            {seal.X25519, 33, (*seal.Key).Keep, (*seal.Key).Recall},
	"kept by hybrid":  {seal.Hybrid, 33, (*seal.Key).Keep, (*seal.Key).Recall},
}

func sealedOn(aes bool) func(k *seal.Key, aad, plaintext []byte) ([]byte, error) {
	return func(k *seal.Key, aad, plaintext []byte) ([]byte, error) { return sealed(k, aes, aad, plaintext) }
}

func TestAPartOpensOnlyWithItsKeyInItsPlace(t *testing.T) {
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) { opensOnlyInItsPlace(t, kind.kem, kind.enc, kind.seal, kind.open) })
	}
}

func opensOnlyInItsPlace(t *testing.T, kem seal.KEM, enc int, closes, opens func(k *seal.Key, aad, b []byte) ([]byte, error)) {
	t.Helper()
	key, other := generateFor(t, kem), generateFor(t, kem)
	place := place
	place.Key = key.Fingerprint()
	plaintext := []byte("a face")
	sealed, err := closes(key, place.AAD(), plaintext)
	if err != nil {
		t.Fatal(err)
	}
	if len(sealed) > len(plaintext)+seal.Overhead {
		t.Errorf("sealed %d bytes to %d, want at most %d more", len(plaintext), len(sealed), seal.Overhead)
	}
	if bytes.Contains(sealed, plaintext) {
		t.Error("the sealed part holds the plaintext")
	}
	got, err := opens(key, place.AAD(), sealed)
	if err != nil || !bytes.Equal(got, plaintext) {
		t.Fatalf("opened %q, %v", got, err)
	}

	with := func(change func(*seal.Binding)) []byte {
		b := place
		change(&b)
		return b.AAD()
	}
	flipped := func(i int) []byte {
		b := bytes.Clone(sealed)
		b[i] ^= 1
		return b
	}
	for name, tc := range map[string]struct {
		key    *seal.Key
		aad    []byte
		sealed []byte
	}{
		"another device's key":               {other, place.AAD(), sealed},
		"another record":                     {key, with(func(b *seal.Binding) { b.Record = "s2-2" }), sealed},
		"another part":                       {key, with(func(b *seal.Binding) { b.Part = "meta" }), sealed},
		"another attempt":                    {key, with(func(b *seal.Binding) { b.Attempt = 1 }), sealed},
		"another key id":                     {key, with(func(b *seal.Binding) { b.Key = other.Fingerprint() }), sealed},
		"another device":                     {key, with(func(b *seal.Binding) { b.Device = other.Fingerprint() }), sealed},
		"another correlation id":             {key, with(func(b *seal.Binding) { b.Correlation = "c-18" }), sealed},
		"another format":                     {key, with(func(b *seal.Binding) { b.Format = 2 }), sealed},
		"bytes moved between record, part":   {key, with(func(b *seal.Binding) { b.Record, b.Part = "s1-2i", "mage/SELFIE" }), sealed},
		"correlation id moved to the record": {key, with(func(b *seal.Binding) { b.Record, b.Correlation = "s1-2c-17", "" }), sealed},
		"another suite":                      {key, place.AAD(), flipped(0)},
		"a changed encapsulated key or salt": {key, place.AAD(), flipped(5)},
		"the end of the encapsulated key":    {key, place.AAD(), flipped(enc - 2)},
		"a changed byte":                     {key, place.AAD(), flipped(enc + 7)},
		"a changed tag":                      {key, place.AAD(), flipped(len(sealed) - 1)},
		"a byte missing":                     {key, place.AAD(), sealed[:len(sealed)-1]},
		"nothing":                            {key, place.AAD(), nil},
		"zeros":                              {key, place.AAD(), make([]byte, 100)},
	} {
		if got, err := opens(tc.key, tc.aad, tc.sealed); err == nil {
			t.Errorf("%s: opened to %q", name, got)
		}
	}
}

// TestTheAssociatedDataIsAsWrittenDown holds Binding against FORMAT.md.
func TestTheAssociatedDataIsAsWrittenDown(t *testing.T) {
	got := seal.Binding{Format: 1, Attempt: 3, Record: "s1-3", Correlation: "c", Device: "0d", Part: "meta", Key: "0f"}.AAD()
	want := "livekiosk part\x00" + "\x00\x01" + "\x00\x00\x00\x03" +
		"\x00\x00\x00\x04s1-3" + "\x00\x00\x00\x01c" + "\x00\x00\x00\x020d" + "\x00\x00\x00\x04meta" + "\x00\x00\x00\x020f"
	if string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheSamePartSealsDifferentlyEachTime(t *testing.T) {
	for name, kind := range kinds {
		key := generateFor(t, kind.kem)
		one, err := kind.seal(key, nil, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		two, err := kind.seal(key, nil, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(one[1:kind.enc], two[1:kind.enc]) || bytes.Equal(one[kind.enc:], two[kind.enc:]) {
			t.Errorf("two parts of one plaintext are equal as %s: they tell that the plaintexts are", name)
		}
	}
}

// TestAKeptPartNeedsThePrivateHalf holds that whoever can only seal cannot
// make what the device believes it wrote itself.
func TestAKeptPartNeedsThePrivateHalf(t *testing.T) {
	key := generate(t)
	part, err := sealed(key, false, nil, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := key.Recall(nil, part); err == nil {
		t.Errorf("recalled %q, which was sealed", got)
	}
	part[0] = 2
	if got, err := key.Recall(nil, part); err == nil {
		t.Errorf("recalled %q", got)
	}
	kept, err := key.Keep(nil, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := key.Open(nil, kept); err == nil {
		t.Errorf("opened %q, which was kept", got)
	}
}

// TestAKeptPartIsAsWrittenDown opens one with FORMAT.md's words and the
// standard library only.
func TestAKeptPartIsAsWrittenDown(t *testing.T) {
	key := generate(t)
	kept, err := key.Keep([]byte("place"), []byte("marks"))
	if err != nil {
		t.Fatal(err)
	}
	derived, err := key.Derive("kept parts")
	if err != nil {
		t.Fatal(err)
	}
	once, err := hkdf.Key(sha256.New, derived, kept[1:33], "livekiosk seal\x00\x02", 32)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(once)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := gcm.Open(nil, make([]byte, 12), kept[33:], []byte("place")); err != nil || kept[0] != 2 || string(got) != "marks" {
		t.Errorf("opened %q, %v, of suite %d", got, err, kept[0])
	}
}

// TestASealedPartIsAsWrittenDown opens two parts of a record with the package's
// words and public libraries only.
func TestASealedPartIsAsWrittenDown(t *testing.T) {
	for suite, tc := range map[byte]struct {
		kem hpke.KEM
		of  seal.KEM
		enc int
		aes bool
	}{
		0x01: {hpke.DHKEM(ecdh.X25519()), seal.X25519, 32, false},
		0x03: {hpke.DHKEM(ecdh.X25519()), seal.X25519, 32, true},
		0x04: {hpke.MLKEM768X25519(), seal.Hybrid, 1120, false},
		0x05: {hpke.MLKEM768X25519(), seal.Hybrid, 1120, true},
	} {
		path := filepath.Join(t.TempDir(), "device.pem")
		key, err := seal.Make(path, tc.of)
		if err != nil {
			t.Fatal(err)
		}
		secret := decode(t, path).Bytes
		private, err := tc.kem.NewPrivateKey(secret[len(secret)-32:])
		if err != nil {
			t.Fatal(err)
		}
		s, err := seal.NewSealerOn(key.Public(), tc.aes)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"meta", "image"} {
			part, err := s.Seal([]byte("place"), []byte(want))
			if err != nil {
				t.Fatal(err)
			}
			enc, rest := part[1:1+tc.enc], part[1+tc.enc:]
			recipient, err := hpke.NewRecipient(enc, private, hpke.HKDFSHA256(), hpke.ExportOnly(), append([]byte("livekiosk seal\x00"), suite))
			if err != nil {
				t.Fatal(err)
			}
			exported, err := recipient.Export("livekiosk parts", 32)
			if err != nil {
				t.Fatal(err)
			}
			var aead cipher.AEAD
			if tc.aes {
				block, err := aes.NewCipher(exported)
				if err != nil {
					t.Fatal(err)
				}
				aead, err = cipher.NewGCM(block)
				if err != nil {
					t.Fatal(err)
				}
			} else if aead, err = chacha20poly1305.New(exported); err != nil {
				t.Fatal(err)
			}
			if got, err := aead.Open(nil, rest[:12], rest[12:], []byte("place")); err != nil || part[0] != suite || string(got) != want {
				t.Errorf("opened %q, %v, of suite %d", got, err, part[0])
			}
		}
	}
}

// TestARecordThatWasOpenedLatelyOpensAgain goes through more records than a
// key knows the cipher of, with parts that are broken in between.
func TestARecordThatWasOpenedLatelyOpensAgain(t *testing.T) {
	key := generate(t)
	var parts [][]byte
	for n := range 300 {
		part, err := sealed(key, n%2 == 0, []byte("place"), []byte{byte(n)})
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part)
	}
	for range 2 {
		for n, part := range parts {
			broken := bytes.Clone(part)
			broken[len(broken)-1] ^= 1
			if got, err := open(key, []byte("place"), broken); err == nil {
				t.Fatalf("record %d: broken, and opened to %x", n, got)
			}
			if got, err := open(key, []byte("place"), part); err != nil || !bytes.Equal(got, []byte{byte(n)}) {
				t.Fatalf("record %d opened to %x, %v", n, got, err)
			}
			if n > 0 {
				if got, err := open(key, []byte("place"), slices.Concat(parts[n-1][:33], part[33:])); err == nil {
					t.Fatalf("record %d opened to %x with the key of another", n, got)
				}
			}
		}
	}
}

func TestDerivedBytesDependOnKeyAndLabelOnly(t *testing.T) {
	derive := func(k *seal.Key, label string) string {
		b, err := k.Derive(label)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	a, b := generate(t), generate(t)
	if first, second := derive(a, "x"), derive(a, "x"); first != second {
		t.Error("one key and label gave two results")
	}
	if derive(a, "x") == derive(a, "y") || derive(a, "x") == derive(b, "x") {
		t.Error("another label or key gave the same bytes")
	}
}

// FuzzOpen holds that no bytes but the sealed ones open.
func FuzzOpen(f *testing.F) {
	keys := map[seal.KEM]*seal.Key{seal.X25519: generate(f), seal.Hybrid: hybrid(f)}
	parts := map[string][]byte{}
	for name, kind := range kinds {
		part, err := kind.seal(keys[kind.kem], nil, []byte("x"))
		if err != nil {
			f.Fatal(err)
		}
		parts[name] = part
		f.Add(part[:len(part)-2])
	}
	f.Add([]byte(nil))
	for suite := range byte(6) {
		f.Add(append([]byte{suite}, make([]byte, 64)...))
		f.Add(append([]byte{suite}, make([]byte, 1200)...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, kind := range kinds {
			if got, err := kind.open(keys[kind.kem], nil, bytes.Clone(b)); err == nil && !bytes.Equal(b, parts[name]) {
				t.Errorf("%x opened to %x as %s", b, got, name)
			}
		}
	})
}

// BenchmarkSealAndWrap is what storing a record of one image of this size costs
// here: a sealer of its own, the part sealed, and wrapped.
func BenchmarkSealAndWrap(b *testing.B) {
	e := epochs(b, b.TempDir(), 1)
	p := take(b, e)
	aad := place.AAD()
	for name, kind := range kinds {
		if kind.enc == 33 && strings.HasPrefix(name, "kept") {
			continue
		}
		key := generateFor(b, kind.kem)
		for _, size := range []int{300, 300_000} {
			b.Run(fmt.Sprintf("kind=%s/size=%d", strings.ReplaceAll(name, " ", "-"), size), func(b *testing.B) {
				plaintext := make([]byte, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					part, err := kind.seal(key, aad, plaintext)
					if err == nil {
						_, err = p.WrapOn(strings.HasSuffix(name, "AES"), aad, part)
					}
					if err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkUnwrapAndOpen is what an image costs when it is delivered.
func BenchmarkUnwrapAndOpen(b *testing.B) {
	e := epochs(b, b.TempDir(), 1)
	p := take(b, e)
	for name, kind := range kinds {
		key := generateFor(b, kind.kem)
		b.Run("kind="+strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			part, err := kind.seal(key, nil, make([]byte, 300_000))
			if err != nil {
				b.Fatal(err)
			}
			wrapped, err := p.WrapOn(!strings.HasPrefix(name, "x25519") || strings.HasSuffix(name, "AES"), nil, part)
			if err != nil {
				b.Fatal(err)
			}
			work := make([]byte, len(wrapped))
			b.SetBytes(300_000)
			b.ReportAllocs()
			for b.Loop() {
				copy(work, wrapped)
				part, err := p.Unwrap(nil, work)
				if err == nil {
					_, err = kind.open(key, nil, part)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
