package seal_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"livekiosk/queue/seal"
)

func generate(tb testing.TB) *seal.Key {
	tb.Helper()
	key, err := seal.Generate(seal.X25519)
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
	seal func(k *seal.Key, aad, plaintext []byte) ([]byte, error)
	open func(k *seal.Key, aad, part []byte) ([]byte, error)
}{
	"sealed":          {func(k *seal.Key, aad, plaintext []byte) ([]byte, error) { return sealed(k, false, aad, plaintext) }, open},
	"sealed with AES": {func(k *seal.Key, aad, plaintext []byte) ([]byte, error) { return sealed(k, true, aad, plaintext) }, open},
	"kept":            {(*seal.Key).Keep, (*seal.Key).Recall},
}

func TestAPartOpensOnlyWithItsKeyInItsPlace(t *testing.T) {
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) { opensOnlyInItsPlace(t, kind.seal, kind.open) })
	}
}

func opensOnlyInItsPlace(t *testing.T, closes, opens func(k *seal.Key, aad, b []byte) ([]byte, error)) {
	t.Helper()
	key, other := generate(t), generate(t)
	place := seal.Binding{Format: 1, Attempt: 2, Record: "s1-2", Part: "image/SELFIE", Key: key.Fingerprint()}
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
		"another format":                     {key, with(func(b *seal.Binding) { b.Format = 2 }), sealed},
		"bytes moved between record, part":   {key, with(func(b *seal.Binding) { b.Record, b.Part = "s1-2i", "mage/SELFIE" }), sealed},
		"another suite":                      {key, place.AAD(), flipped(0)},
		"a changed encapsulated key or salt": {key, place.AAD(), flipped(5)},
		"a changed byte":                     {key, place.AAD(), flipped(40)},
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
	key := generate(t)
	for name, kind := range kinds {
		one, err := kind.seal(key, nil, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		two, err := kind.seal(key, nil, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(one[1:33], two[1:33]) || bytes.Equal(one[33:], two[33:]) {
			t.Errorf("two parts %s of one plaintext are equal: they tell that the plaintexts are", name)
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

// TestAPartSealedWithAESIsAsWrittenDown opens two parts of a record with
// FORMAT.md's words and the standard library only.
func TestAPartSealedWithAESIsAsWrittenDown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "device.pem")
	key, err := seal.LoadOrCreate(path)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	private, err := hpke.DHKEM(ecdh.X25519()).NewPrivateKey(block.Bytes[len(block.Bytes)-32:])
	if err != nil {
		t.Fatal(err)
	}
	s, err := seal.NewSealerOn(key.Public(), true)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"meta", "image"} {
		part, err := s.Seal([]byte("place"), []byte(want))
		if err != nil {
			t.Fatal(err)
		}
		recipient, err := hpke.NewRecipient(part[1:33], private, hpke.HKDFSHA256(), hpke.ExportOnly(), []byte("livekiosk seal\x00\x03"))
		if err != nil {
			t.Fatal(err)
		}
		exported, err := recipient.Export("livekiosk parts", 32)
		if err != nil {
			t.Fatal(err)
		}
		cipherBlock, err := aes.NewCipher(exported)
		if err != nil {
			t.Fatal(err)
		}
		gcm, err := cipher.NewGCM(cipherBlock)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := gcm.Open(nil, part[33:45], part[45:], []byte("place")); err != nil || part[0] != 3 || string(got) != want {
			t.Errorf("opened %q, %v, of suite %d", got, err, part[0])
		}
	}
}

// TestARecordThatWasOpenedLatelyOpensAgain goes through more records than a
// key knows the cipher of, with parts that are broken in between.
func TestARecordThatWasOpenedLatelyOpensAgain(t *testing.T) {
	key := generate(t)
	var parts [][]byte
	for n := range 300 {
		part, err := sealed(key, true, []byte("place"), []byte{byte(n)})
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

func TestNoFormattingShowsTheKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys", "device.pem")
	key, err := seal.LoadOrCreate(path)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	secret := block.Bytes[len(block.Bytes)-32:]
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		got := fmt.Sprintf(verb, key)
		numbers := strings.Trim(fmt.Sprintf("%d", secret), "[]")
		if strings.Contains(got, hex.EncodeToString(secret)) || strings.Contains(got, numbers) || bytes.Contains([]byte(got), secret) {
			t.Errorf("%s prints the private key", verb)
		}
	}
}

func TestAKeyFileIsMadeOnceAndPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "keys", "device.pem")
	if _, err := seal.Load(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("loading a missing key: %v", err)
	}
	var group sync.WaitGroup
	keys := make([]*seal.Key, 8)
	for i := range keys {
		group.Go(func() {
			key, err := seal.LoadOrCreate(path)
			if err != nil {
				t.Error(err)
			}
			keys[i] = key
		})
	}
	group.Wait()
	if t.Failed() {
		return
	}
	for _, key := range keys {
		if key.Fingerprint() != keys[0].Fingerprint() {
			t.Error("two callers got two keys")
		}
	}
	for name, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %04o, want %04o", filepath.Base(name), info.Mode().Perm(), want)
		}
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("%d files beside the key, want none", len(entries)-1)
	}

	part, err := sealed(keys[0], true, nil, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := seal.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Open(nil, part); err != nil {
		t.Errorf("the key read back does not open what it sealed: %v", err)
	}
}

func TestABadKeyFileIsRefusedAndLeftAlone(t *testing.T) {
	good := filepath.Join(t.TempDir(), "keys", "device.pem")
	if _, err := seal.LoadOrCreate(good); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		text []byte
		mode fs.FileMode
		want string
	}{
		"readable by the group": {text, 0o640, "mode 0640"},
		"readable by everybody": {text, 0o604, "mode 0604"},
		"empty":                 {nil, 0o600, "restore it"},
		"cut short":             {text[:60], 0o600, "restore it"},
		"zeros":                 {make([]byte, 119), 0o600, "restore it"},
		"another kind of key":   {bytes.ReplaceAll(text, []byte("PRIVATE KEY"), []byte("RSA PRIVATE KEY")), 0o600, "restore it"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "device.pem")
			if err := os.WriteFile(path, tc.text, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tc.mode); err != nil {
				t.Fatal(err)
			}
			_, err := seal.LoadOrCreate(path)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want it to name the file and say %q", err, tc.want)
			}
			after, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(after, tc.text) {
				t.Errorf("the file changed (%v)", err)
			}
		})
	}
}

func TestADirectoryThatOthersWriteToGetsNoKey(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.LoadOrCreate(filepath.Join(dir, "device.pem")); err == nil || !strings.Contains(err.Error(), "chmod 0700") {
		t.Errorf("got %v", err)
	}
}

// FuzzOpen holds that no bytes but the sealed ones open.
func FuzzOpen(f *testing.F) {
	key := generate(f)
	parts := map[string][]byte{}
	for name, kind := range kinds {
		part, err := kind.seal(key, nil, []byte("x"))
		if err != nil {
			f.Fatal(err)
		}
		parts[name] = part
		f.Add(part[:len(part)-2])
	}
	f.Add([]byte(nil))
	f.Add(append([]byte{1}, make([]byte, 64)...))
	f.Add(append([]byte{2}, make([]byte, 64)...))
	f.Add(append([]byte{3}, make([]byte, 64)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, kind := range kinds {
			if got, err := kind.open(key, nil, b); err == nil && !bytes.Equal(b, parts[name]) {
				t.Errorf("%x opened to %x as one that was %s", b, got, name)
			}
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	key := generate(b)
	for name, kind := range kinds {
		for _, size := range []int{300, 150_000, 300_000, 4 << 20} {
			b.Run(fmt.Sprintf("kind=%s/size=%d", name, size), func(b *testing.B) {
				plaintext := make([]byte, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := kind.seal(key, nil, plaintext); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	key := generate(b)
	for name, kind := range kinds {
		for _, size := range []int{300, 150_000} {
			b.Run(fmt.Sprintf("kind=%s/size=%d", name, size), func(b *testing.B) {
				part, err := kind.seal(key, nil, make([]byte, size))
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := kind.open(key, nil, part); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
