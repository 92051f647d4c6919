package seal_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"strings"
	"testing"

	"livekiosk/queue/seal"
)

func TestThePublicHalfSealsForThePrivateOne(t *testing.T) {
	for _, key := range []*seal.Key{generate(t), hybrid(t)} {
		pub, err := seal.ParsePublic(key.Public().PEM())
		if err != nil {
			t.Fatal(err)
		}
		if pub.Fingerprint() != key.Fingerprint() || pub.KEM() != key.KEM() || !bytes.Equal(pub.PEM(), key.Public().PEM()) {
			t.Errorf("read %v of %s, want %v of %s", pub, pub.KEM(), key, key.KEM())
		}
		s, err := seal.NewSealer(pub)
		if err != nil {
			t.Fatal(err)
		}
		part, err := s.Seal(nil, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := key.Open(nil, part); err != nil || string(got) != "x" {
			t.Errorf("%s: opened %q, %v", key.KEM(), got, err)
		}
	}
}

// TestPublicHalvesAreAsWrittenDown reads them with the standard library only.
func TestPublicHalvesAreAsWrittenDown(t *testing.T) {
	x := generate(t)
	block, _ := pem.Decode(x.Public().PEM())
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	exchange, ok := parsed.(*ecdh.PublicKey)
	if !ok || block.Type != "PUBLIC KEY" {
		t.Fatalf("%s holds a %T", block.Type, parsed)
	}
	sum := sha256.Sum256(append([]byte("livekiosk key\x00x25519\x00"), exchange.Bytes()...))
	if got := hex.EncodeToString(sum[:16]); got != x.Fingerprint() {
		t.Errorf("fingerprint %s, want %s", x.Fingerprint(), got)
	}

	h := hybrid(t)
	block, _ = pem.Decode(h.Public().PEM())
	if _, err := hpke.MLKEM768X25519().NewPublicKey(block.Bytes); err != nil || block.Type != "LIVEKIOSK PUBLIC KEY" || block.Headers["KEM"] != "mlkem768x25519" {
		t.Errorf("%s with %v: %v", block.Type, block.Headers, err)
	}
	sum = sha256.Sum256(append([]byte("livekiosk key\x00mlkem768x25519\x00"), block.Bytes...))
	if got := hex.EncodeToString(sum[:16]); got != h.Fingerprint() || len(block.Bytes) != 1216 {
		t.Errorf("fingerprint %s, want %s, of %d bytes", h.Fingerprint(), got, len(block.Bytes))
	}
}

func TestWhatIsNoPublicHalfIsRefused(t *testing.T) {
	x, h := generate(t).Public().PEM(), hybrid(t).Public().PEM()
	block, _ := pem.Decode(x)
	low := bytes.Clone(block.Bytes)
	clear(low[len(low)-32:]) // a point of low order: every secret is zero
	for name, tc := range map[string]struct {
		text []byte
		want string
	}{
		"nothing":                {nil, "PEM"},
		"no PEM":                 {[]byte("hello"), "PEM"},
		"words before it":        {append([]byte("a key:\n"), x...), "PEM"},
		"cut short":              {x[:60], "damaged"},
		"hybrid, cut short":      {h[:200], "damaged"},
		"two keys":               {append(bytes.Clone(x), h...), "more than one"},
		"a private key":          {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}), "private key"},
		"a hybrid private key":   {pem.EncodeToMemory(&pem.Block{Type: "LIVEKIOSK PRIVATE KEY", Bytes: []byte("x")}), "private key"},
		"a certificate":          {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), "CERTIFICATE"},
		"a point of low order":   {pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: low}), "damaged"},
		"no KEM":                 {pem.EncodeToMemory(&pem.Block{Type: "LIVEKIOSK PUBLIC KEY", Bytes: make([]byte, 1216)}), "KEM"},
		"a KEM that there isn't": {bytes.ReplaceAll(h, []byte("mlkem768x25519"), []byte("x25519")), "KEM"},
	} {
		if pub, err := seal.ParsePublic(tc.text); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, %v; want it to say %q", name, pub, err, tc.want)
		}
	}
}

func TestAPartOfOneKEMIsNoneOfTheOther(t *testing.T) {
	x, h := generate(t), hybrid(t)
	for _, aes := range []bool{true, false} {
		forX, err := sealed(x, aes, nil, make([]byte, 2000))
		if err != nil {
			t.Fatal(err)
		}
		forH, err := sealed(h, aes, nil, make([]byte, 2000))
		if err != nil {
			t.Fatal(err)
		}
		for name, err := range map[string]error{"the hybrid key": second(open(h, nil, forX)), "the X25519 key": second(open(x, nil, forH))} {
			if err == nil || !strings.Contains(err.Error(), "suite") {
				t.Errorf("%s opened what was sealed for the other: %v", name, err)
			}
		}
	}
}

// FuzzParsePublic holds that what is read is written again as it was meant.
func FuzzParsePublic(f *testing.F) {
	for _, key := range []*seal.Key{generate(f), hybrid(f)} {
		text := key.Public().PEM()
		f.Add(text)
		f.Add(text[:len(text)/2])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		pub, err := seal.ParsePublic(b)
		if err != nil {
			return
		}
		again, err := seal.ParsePublic(pub.PEM())
		if err != nil || again.Fingerprint() != pub.Fingerprint() {
			t.Errorf("read %v, and then %v, %v", pub, again, err)
		}
	})
}
