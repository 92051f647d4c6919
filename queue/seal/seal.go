// Package seal keeps evidence readable for one device key only.
//
// Every part of a record (metadata, marks, each image) is sealed by itself
// with HPKE (RFC 9180) in base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256
// and ChaCha20-Poly1305. Boards such as the Raspberry Pi 4 have no AES
// instructions, and Go's AES without them is slow and not constant in time;
// ChaCha20-Poly1305 is fast and constant in time everywhere.
//
// Sealing needs only the public half. A part opens only with the private half
// and with the same associated data, so a part moved to another record, or to
// another place in its record, does not open.
//
// What the device writes for itself alone, and often, is kept rather than
// sealed: with AES-256-GCM under a key that is derived from the private half
// for this one part. That is some twenty times faster than HPKE, and nobody who
// has only the public half can make such a part. A key that encrypts once
// gives those who watch AES's table look-ups nothing to compare.
//
// The bytes are laid down in queue/FORMAT.md.
package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
)

// The suites a sealed part can name in its first byte. Zero is never used, so
// that a page of zeros names none.
const (
	suiteX25519 byte = 1 // DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305
	suiteOwn    byte = 2 // HKDF-SHA256 of the private half, AES-256-GCM
)

const (
	encapsulated = 32 // bytes of an encapsulated X25519 key, and of a kept part's salt
	tag          = 16 // bytes of a Poly1305 or GCM tag
)

// Overhead is how many bytes longer a sealed or kept part is than its
// plaintext.
const Overhead = 1 + encapsulated + tag

// errBroken says nothing more on purpose: which of key, associated data and
// bytes is wrong cannot be told apart.
var errBroken = errors.New("does not open: another key, another place or changed bytes")

// A Public is the half of a device key that seals. It is safe for concurrent
// use.
type Public struct {
	key         hpke.PublicKey
	fingerprint string
}

func public(key hpke.PublicKey) *Public {
	sum := sha256.Sum256(append([]byte("livekiosk key\x00x25519\x00"), key.Bytes()...))
	return &Public{key: key, fingerprint: hex.EncodeToString(sum[:16])}
}

// LogValue shows the fingerprint.
func (p *Public) LogValue() slog.Value { return slog.StringValue(p.fingerprint) }

// A Key is a device key with its private half. It never leaves the process
// but by LoadOrCreate's file, and no log shows it. It is safe for concurrent
// use.
type Key struct {
	private hpke.PrivateKey
	public  *Public
}

// Generate returns a new key that no file holds: what it seals is lost with
// the process.
func Generate() (*Key, error) {
	private, err := hpke.DHKEM(ecdh.X25519()).GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("generate device key: %w", err)
	}
	return &Key{private: private, public: public(private.PublicKey())}, nil
}

// Public returns the half that seals.
func (k *Key) Public() *Public { return k.public }

// Fingerprint names the key: 32 hexadecimal digits, the first 16 bytes of
// SHA-256 over "livekiosk key", 0, "x25519", 0 and the 32 bytes of the X25519
// public key. It is no secret.
func (k *Key) Fingerprint() string { return k.public.fingerprint }

// LogValue shows the fingerprint and nothing else.
func (k *Key) LogValue() slog.Value { return k.public.LogValue() }

// String shows the fingerprint, so that no formatting verb prints the key.
func (k *Key) String() string { return "device key " + k.public.fingerprint }

// GoString is String: %#v shows no key either.
func (k *Key) GoString() string { return k.String() }

// Derive returns 32 bytes that only holders of the private half can compute:
// HKDF-SHA256 over it with the info string "livekiosk derive", 0 and label.
// Different labels give independent bytes.
func (k *Key) Derive(label string) ([]byte, error) {
	secret, err := k.private.Bytes()
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

// Seal returns plaintext sealed for pub and bound to aad, which is not part of
// the result. The result is new memory, Overhead bytes longer than plaintext;
// plaintext stays the caller's.
func Seal(pub *Public, aad, plaintext []byte) ([]byte, error) {
	enc, sender, err := hpke.NewSender(pub.key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info(suiteX25519))
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	ciphertext, err := sender.Seal(aad, plaintext)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	sealed := make([]byte, 0, 1+len(enc)+len(ciphertext))
	sealed = append(sealed, suiteX25519)
	sealed = append(sealed, enc...)
	return append(sealed, ciphertext...), nil
}

// Open returns the plaintext of what Seal sealed for k's public half with the
// same aad. The result is new memory that the caller owns and clears.
func (k *Key) Open(aad, sealed []byte) ([]byte, error) {
	if err := shape(sealed, suiteX25519); err != nil {
		return nil, fmt.Errorf("open sealed part: %w", err)
	}
	enc, ciphertext := sealed[1:1+encapsulated], sealed[1+encapsulated:]
	recipient, err := hpke.NewRecipient(enc, k.private, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info(sealed[0]))
	if err != nil {
		return nil, fmt.Errorf("open sealed part: %w", errBroken)
	}
	plaintext, err := recipient.Open(aad, ciphertext)
	if err != nil {
		return nil, fmt.Errorf("open sealed part: %w", errBroken)
	}
	return plaintext, nil
}

// Keep returns plaintext sealed for k itself and bound to aad, which is not
// part of the result. Only Recall of the same key opens it. The result is new
// memory, Overhead bytes longer than plaintext; plaintext stays the caller's.
func (k *Key) Keep(aad, plaintext []byte) ([]byte, error) {
	kept := make([]byte, 1+encapsulated, Overhead+len(plaintext))
	kept[0] = suiteOwn
	salt := kept[1:]
	rand.Read(salt)
	aead, err := k.once(salt)
	if err != nil {
		return nil, fmt.Errorf("keep: %w", err)
	}
	return aead.Seal(kept, make([]byte, aead.NonceSize()), plaintext, aad), nil
}

// Recall returns the plaintext of what Keep of the same key kept with the same
// aad. The result is new memory that the caller owns and clears.
func (k *Key) Recall(aad, kept []byte) ([]byte, error) {
	if err := shape(kept, suiteOwn); err != nil {
		return nil, fmt.Errorf("open kept part: %w", err)
	}
	aead, err := k.once(kept[1 : 1+encapsulated])
	if err != nil {
		return nil, fmt.Errorf("open kept part: %w", err)
	}
	plaintext, err := aead.Open(nil, make([]byte, aead.NonceSize()), kept[1+encapsulated:], aad)
	if err != nil {
		return nil, fmt.Errorf("open kept part: %w", errBroken)
	}
	return plaintext, nil
}

// once returns the cipher of the one part that has the salt. It is never used
// for a second plaintext, so its nonce may be zero.
func (k *Key) once(salt []byte) (cipher.AEAD, error) {
	secret, err := k.Derive("kept parts")
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	key, err := hkdf.Key(sha256.New, secret, salt, string(info(suiteOwn)), sha256.Size)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// shape reports what cannot be a part of the suite.
func shape(part []byte, suite byte) error {
	if len(part) < Overhead {
		return fmt.Errorf("%d bytes are too few for one", len(part))
	}
	if part[0] != suite {
		return fmt.Errorf("is of suite %d, want %d", part[0], suite)
	}
	return nil
}

// info binds a sealed part to this use of HPKE and to its suite, so that the
// suite byte cannot be changed.
func info(suite byte) []byte {
	return append([]byte("livekiosk seal\x00"), suite)
}

// A Binding is where a sealed part belongs. A part opens only in its place.
type Binding struct {
	Format  uint16 // version of the outbox format
	Attempt uint32
	Record  string // record id
	Part    string // such as "meta", "marks" or "image/SELFIE"
	Key     string // fingerprint of the key it is sealed for
}

// AAD returns the associated data of b: the 15 bytes "livekiosk part" and 0,
// Format as 2 and Attempt as 4 bytes, then Record, Part and Key, each as its
// length in 4 bytes and its bytes. Numbers are big-endian.
func (b Binding) AAD() []byte {
	var out bytes.Buffer
	out.WriteString("livekiosk part\x00")
	number := binary.BigEndian.AppendUint16(nil, b.Format)
	out.Write(binary.BigEndian.AppendUint32(number, b.Attempt))
	for _, s := range []string{b.Record, b.Part, b.Key} {
		out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(s))))
		out.WriteString(s)
	}
	return out.Bytes()
}
