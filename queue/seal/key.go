package seal

import (
	"bytes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
)

// A KEM is how the key of a record is put into what only the holder of the
// private half can open.
type KEM string

// The KEMs, as configurations, key files and reports name them.
const (
	X25519 KEM = "x25519"         // DHKEM(X25519, HKDF-SHA256) of RFC 9180
	Hybrid KEM = "mlkem768x25519" // ML-KEM-768 with X25519 (X-Wing): what is copied today is opened by no quantum computer to come
)

// Validate returns an error that names what k may be.
func (k KEM) Validate() error {
	if k != X25519 && k != Hybrid {
		return fmt.Errorf("%q is none of %s, %s", string(k), X25519, Hybrid)
	}
	return nil
}

// hpke returns the algorithm of a valid k.
func (k KEM) hpke() hpke.KEM {
	if k == Hybrid {
		return hpke.MLKEM768X25519()
	}
	return hpke.DHKEM(ecdh.X25519())
}

// The PEM types of key files. X25519 keys are as openssl writes them; for the
// hybrid there is no standard yet that the standard library reads.
const (
	pemPrivate       = "PRIVATE KEY" // PKCS #8
	pemPublic        = "PUBLIC KEY"  // PKIX
	pemHybridPrivate = "LIVEKIOSK PRIVATE KEY"
	pemHybridPublic  = "LIVEKIOSK PUBLIC KEY"
	pemKEM           = "KEM" // header of both
)

// A Public is the half of a key pair that seals. It is safe for concurrent use.
type Public struct {
	kem         KEM
	key         hpke.PublicKey
	fingerprint string
}

func public(kem KEM, key hpke.PublicKey) *Public {
	sum := sha256.Sum256(append([]byte("livekiosk key\x00"+string(kem)+"\x00"), key.Bytes()...))
	return &Public{kem: kem, key: key, fingerprint: hex.EncodeToString(sum[:16])}
}

// ParsePublic reads the public half of a key pair from PEM, as PEM of Public
// writes it, and "openssl pkey -pubout" for X25519. Anything before and after
// the one block but white space is an error, and so is a key for which nothing
// can be sealed.
func ParsePublic(text []byte) (*Public, error) {
	pub, err := parsePublic(text)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	return pub, nil
}

func parsePublic(text []byte) (*Public, error) {
	block, err := onlyBlock(text)
	if err != nil {
		return nil, err
	}
	kem, raw := X25519, block.Bytes
	switch block.Type {
	case pemPublic:
		parsed, damage := x509.ParsePKIXPublicKey(block.Bytes)
		if damage != nil {
			return nil, errors.New("is damaged")
		}
		exchange, ok := parsed.(*ecdh.PublicKey)
		if !ok || exchange.Curve() != ecdh.X25519() {
			return nil, errors.New("is no X25519 key")
		}
		raw = exchange.Bytes()
	case pemHybridPublic:
		if kem = KEM(block.Headers[pemKEM]); kem != Hybrid {
			return nil, fmt.Errorf("is of the KEM %q, want %s", string(kem), Hybrid)
		}
	case pemPrivate, pemHybridPrivate:
		return nil, errors.New("is a private key: give its public half only")
	default:
		return nil, fmt.Errorf("is a PEM %q, want %q or %q", block.Type, pemPublic, pemHybridPublic)
	}
	key, err := kem.hpke().NewPublicKey(raw)
	if err != nil {
		return nil, errors.New("is damaged")
	}
	// A point of low order parses, and fails here rather than at every visitor.
	if _, _, err := hpke.NewSender(key, hpke.HKDFSHA256(), hpke.ExportOnly(), nil); err != nil {
		return nil, errors.New("is damaged: nothing can be sealed for it")
	}
	return public(kem, key), nil
}

// onlyBlock returns the one PEM block of text.
func onlyBlock(text []byte) (*pem.Block, error) {
	text = bytes.TrimSpace(text)
	if !bytes.HasPrefix(text, []byte("-----BEGIN ")) {
		return nil, errors.New("is not in PEM")
	}
	block, rest := pem.Decode(text)
	switch {
	case block == nil:
		return nil, errors.New("is damaged: its PEM does not read")
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, errors.New("holds more than one key")
	}
	return block, nil
}

// PEM returns the public half in PEM: PKIX ("PUBLIC KEY") for X25519, as
// openssl reads it, and "LIVEKIOSK PUBLIC KEY" with the header "KEM" for the
// hybrid. It is no secret.
func (p *Public) PEM() []byte {
	block := &pem.Block{Type: pemHybridPublic, Headers: map[string]string{pemKEM: string(p.kem)}, Bytes: p.key.Bytes()}
	if p.kem == X25519 {
		block = &pem.Block{Type: pemPublic, Bytes: append([]byte(pkixX25519), p.key.Bytes()...)}
	}
	return pem.EncodeToMemory(block)
}

// pkixX25519 is the SubjectPublicKeyInfo of an X25519 key up to its 32 bytes
// (RFC 8410), all of whose lengths are fixed.
const pkixX25519 = "\x30\x2a\x30\x05\x06\x03\x2b\x65\x6e\x03\x21\x00"

// KEM returns what the key is for.
func (p *Public) KEM() KEM { return p.kem }

// Fingerprint names the key: 32 hexadecimal digits, the first 16 bytes of
// SHA-256 over "livekiosk key", 0, the KEM, 0 and the bytes of the public key
// (X25519: 32, hybrid: 1216). It is no secret.
func (p *Public) Fingerprint() string { return p.fingerprint }

// String shows the fingerprint.
func (p *Public) String() string { return "key " + p.fingerprint }

// LogValue shows the fingerprint.
func (p *Public) LogValue() slog.Value { return slog.StringValue(p.fingerprint) }

// A Key is a key pair: a device's, a relay's or one of support. Its private
// half never leaves the process but into a key file, and nothing prints it. It
// is safe for concurrent use.
type Key struct {
	private hpke.PrivateKey
	public  *Public

	mu     sync.Mutex
	shared map[[sha256.Size]byte]cipher.AEAD // of records that were opened lately, by the hash of what encapsulates their key
	recent [][sha256.Size]byte               // the same, oldest first
}

// Generate returns a new key that no file holds: what it seals is lost with
// the process.
func Generate(kem KEM) (*Key, error) {
	if err := kem.Validate(); err != nil {
		return nil, fmt.Errorf("generate key: KEM %w", err)
	}
	private, err := kem.hpke().GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	return newKey(kem, private), nil
}

func newKey(kem KEM, private hpke.PrivateKey) *Key {
	return &Key{private: private, public: public(kem, private.PublicKey())}
}

// KEM returns what the key is for.
func (k *Key) KEM() KEM { return k.public.kem }

// Public returns the half that seals.
func (k *Key) Public() *Public { return k.public }

// Fingerprint is that of the public half.
func (k *Key) Fingerprint() string { return k.public.fingerprint }

// LogValue shows the fingerprint and nothing else.
func (k *Key) LogValue() slog.Value { return k.public.LogValue() }

// String shows the fingerprint.
func (k *Key) String() string { return k.public.String() }

// Format writes String for every verb, so that none prints the key.
func (k *Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// MarshalText shows the fingerprint, so that no encoder writes the key.
func (k *Key) MarshalText() ([]byte, error) { return []byte(k.public.fingerprint), nil }

// Derive returns 32 bytes that only holders of the private half can compute:
// HKDF-SHA256 over it with the info string "livekiosk derive", 0 and label.
// Different labels give independent bytes.
func (k *Key) Derive(label string) ([]byte, error) {
	secret, err := k.secret()
	if err != nil {
		return nil, fmt.Errorf("derive %s: %w", label, err)
	}
	defer clear(secret)
	out, err := hkdf.Key(sha256.New, secret, nil, "livekiosk derive\x00"+label, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive %s: %w", label, err)
	}
	return out, nil
}

// secret returns the bytes of the private half, 32 of either KEM. The caller
// clears them: a copy, since those of a hybrid key are the key's own memory.
func (k *Key) secret() ([]byte, error) {
	own, err := k.private.Bytes()
	return bytes.Clone(own), err
}

// parseKey reads a key file.
func parseKey(text []byte) (*Key, error) {
	block, err := onlyBlock(text)
	if err != nil {
		return nil, err
	}
	defer clear(block.Bytes)
	switch block.Type {
	case pemPrivate:
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, errors.New("is damaged")
		}
		exchange, ok := parsed.(*ecdh.PrivateKey)
		if !ok || exchange.Curve() != ecdh.X25519() {
			return nil, errors.New("is no X25519 key")
		}
		private, err := hpke.NewDHKEMPrivateKey(exchange)
		if err != nil {
			return nil, errors.New("is damaged")
		}
		return newKey(X25519, private), nil
	case pemHybridPrivate:
		if kem := KEM(block.Headers[pemKEM]); kem != Hybrid {
			return nil, fmt.Errorf("is of the KEM %q, want %s", string(kem), Hybrid)
		}
		private, err := Hybrid.hpke().NewPrivateKey(block.Bytes)
		if err != nil {
			return nil, errors.New("is damaged")
		}
		return newKey(Hybrid, private), nil
	case pemPublic, pemHybridPublic:
		return nil, errors.New("is the public half only")
	default:
		return nil, fmt.Errorf("is a PEM %q, want %q or %q", block.Type, pemPrivate, pemHybridPrivate)
	}
}

// file returns what parseKey reads. The caller clears it.
func (k *Key) file() ([]byte, error) {
	secret, err := k.secret()
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	if k.KEM() == Hybrid {
		return pem.EncodeToMemory(&pem.Block{Type: pemHybridPrivate, Headers: map[string]string{pemKEM: string(Hybrid)}, Bytes: secret}), nil
	}
	exchange, err := ecdh.X25519().NewPrivateKey(secret)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(exchange)
	if err != nil {
		return nil, err
	}
	defer clear(der)
	return pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: der}), nil
}
