// Package seal keeps evidence readable for one device key only.
//
// Every part of a record (metadata, each image) is sealed by itself with HPKE
// (RFC 9180) in base mode: DHKEM(X25519, HKDF-SHA256) and HKDF-SHA256. Where
// the processor has AES instructions, the parts of a record share one
// encapsulated key, and AES-256-GCM seals them with what HPKE exports for it.
// Boards such as the Raspberry Pi 4 have none, and Go's AES without them is
// slow and not constant in time: there each part is an HPKE message of its own
// with ChaCha20-Poly1305, which is fast and constant in time everywhere. Either
// kind opens on every board.
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
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"golang.org/x/sys/cpu"
)

// The suites a sealed part can name in its first byte. Zero is never used, so
// that a page of zeros names none.
const (
	suiteX25519 byte = 1 // DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305
	suiteOwn    byte = 2 // HKDF-SHA256 of the private half, AES-256-GCM
	suiteRecord byte = 3 // as 1 without its cipher, exporting a key of a record for AES-256-GCM
)

const (
	encapsulated = 32 // bytes of an encapsulated X25519 key, and of a kept part's salt
	nonce        = 12 // bytes of GCM's
	tag          = 16 // bytes of a Poly1305 or GCM tag
	overhead     = 1 + encapsulated + tag
)

// Overhead is how many bytes longer a sealed or kept part is at most than its
// plaintext.
const Overhead = overhead + nonce

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

// KEM returns what the key is for.
func (p *Public) KEM() KEM { return X25519 }

// Fingerprint names the key: see Key.Fingerprint.
func (p *Public) Fingerprint() string { return p.fingerprint }

// ParsePublic reads what PEM wrote.
func ParsePublic(text []byte) (*Public, error) { return nil, errors.ErrUnsupported }

// PEM returns the public half in PEM.
func (p *Public) PEM() []byte { return nil }

// LogValue shows the fingerprint.
func (p *Public) LogValue() slog.Value { return slog.StringValue(p.fingerprint) }

// A Key is a device key with its private half. It never leaves the process
// but by LoadOrCreate's file, and no log shows it. It is safe for concurrent
// use.
type Key struct {
	private hpke.PrivateKey
	public  *Public

	mu     sync.Mutex
	shared map[[encapsulated]byte]cipher.AEAD // of records that were opened lately
	recent [][encapsulated]byte               // the same, oldest first
}

// mostShared is for how many records a Key knows the cipher: more than are
// delivered at a time.
const mostShared = 128

// A KEM is how the key of a record is put into what only the holder of the
// private half can open.
type KEM string

// The KEMs, as configurations, key files and reports name them.
const (
	X25519 KEM = "x25519"         // DHKEM(X25519, HKDF-SHA256) of RFC 9180
	Hybrid KEM = "mlkem768x25519" // X25519 and ML-KEM-768 together: what is copied today is not opened by a quantum computer to come
)

// Generate returns a new key that no file holds: what it seals is lost with
// the process.
func Generate(kem KEM) (*Key, error) {
	private, err := hpke.DHKEM(ecdh.X25519()).GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("generate device key: %w", err)
	}
	return &Key{private: private, public: public(private.PublicKey())}, nil
}

// KEM returns what the key is for.
func (k *Key) KEM() KEM { return k.public.KEM() }

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

// A Sealer seals the parts of one record. It is safe for concurrent use.
type Sealer struct {
	pub  *Public
	enc  []byte
	aead cipher.AEAD // nil: each part has an encapsulated key of its own
}

// NewSealer returns what seals the parts of one record for pub.
func NewSealer(pub *Public) (*Sealer, error) {
	// What crypto/aes and crypto/cipher need to be fast and constant in time.
	return newSealer(pub, cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ && cpu.X86.HasSSE41 || cpu.ARM64.HasAES && cpu.ARM64.HasPMULL)
}

func newSealer(pub *Public, aes bool) (*Sealer, error) {
	s := &Sealer{pub: pub}
	if !aes {
		return s, nil
	}
	enc, sender, err := hpke.NewSender(pub.key, hpke.HKDFSHA256(), hpke.ExportOnly(), info(suiteRecord))
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if s.aead, err = exported(sender.Export); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	s.enc = enc
	return s, nil
}

// Seal returns plaintext sealed and bound to aad, which is not part of the
// result. The result is new memory, at most Overhead bytes longer than
// plaintext; plaintext stays the caller's.
func (s *Sealer) Seal(aad, plaintext []byte) ([]byte, error) {
	sealed := make([]byte, 0, Overhead+len(plaintext))
	if s.aead != nil {
		sealed = append(append(sealed, suiteRecord), s.enc...)
		sealed = sealed[:len(sealed)+nonce]
		once := sealed[len(sealed)-nonce:]
		rand.Read(once)
		return s.aead.Seal(sealed, once, plaintext, aad), nil
	}
	enc, sender, err := hpke.NewSender(s.pub.key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info(suiteX25519))
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	ciphertext, err := sender.Seal(aad, plaintext)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	sealed = append(append(sealed, suiteX25519), enc...)
	return append(sealed, ciphertext...), nil
}

// Open returns the plaintext of what a Sealer sealed for k's public half with
// the same aad. The caller owns the result and clears it. It may be memory of
// sealed, whose bytes are lost in any case.
func (k *Key) Open(aad, sealed []byte) ([]byte, error) {
	if len(sealed) > 0 && sealed[0] == suiteRecord {
		return k.openShared(aad, sealed)
	}
	if err := shape(sealed, suiteX25519, overhead); err != nil {
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

func (k *Key) openShared(aad, sealed []byte) ([]byte, error) {
	if err := shape(sealed, suiteRecord, Overhead); err != nil {
		return nil, fmt.Errorf("open sealed part: %w", err)
	}
	enc := [encapsulated]byte(sealed[1:])
	once, ciphertext := sealed[1+encapsulated:][:nonce], sealed[1+encapsulated+nonce:]
	aead, known := k.known(enc)
	if !known {
		recipient, err := hpke.NewRecipient(enc[:], k.private, hpke.HKDFSHA256(), hpke.ExportOnly(), info(suiteRecord))
		if err == nil {
			aead, err = exported(recipient.Export)
		}
		if err != nil {
			return nil, fmt.Errorf("open sealed part: %w", errBroken)
		}
	}
	plaintext, err := aead.Open(ciphertext[:0], once, ciphertext, aad)
	if err != nil {
		return nil, fmt.Errorf("open sealed part: %w", errBroken)
	}
	if !known { // only now is it certain that there is such a record
		k.learn(enc, aead)
	}
	return plaintext, nil
}

// known returns the cipher of a record that was opened lately.
func (k *Key) known(enc [encapsulated]byte) (cipher.AEAD, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	aead, known := k.shared[enc]
	return aead, known
}

func (k *Key) learn(enc [encapsulated]byte, aead cipher.AEAD) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, known := k.shared[enc]; known {
		return
	}
	if k.shared == nil {
		k.shared = map[[encapsulated]byte]cipher.AEAD{}
	}
	if len(k.recent) == mostShared {
		delete(k.shared, k.recent[0])
		k.recent = append(k.recent[:0], k.recent[1:]...)
	}
	k.shared[enc], k.recent = aead, append(k.recent, enc)
}

// exported returns the cipher of a record's parts. Its nonces are random: few
// parts have the same key.
func exported(export func(context string, length int) ([]byte, error)) (cipher.AEAD, error) {
	key, err := export("livekiosk parts", 32)
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

// Keep returns plaintext sealed for k itself and bound to aad, which is not
// part of the result. Only Recall of the same key opens it. The result is new
// memory, at most Overhead bytes longer than plaintext; plaintext stays the
// caller's.
func (k *Key) Keep(aad, plaintext []byte) ([]byte, error) {
	kept := make([]byte, 1+encapsulated, overhead+len(plaintext))
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
	if err := shape(kept, suiteOwn, overhead); err != nil {
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

// shape reports what cannot be a part of the suite, of which none is shorter
// than least.
func shape(part []byte, suite byte, least int) error {
	if len(part) < least {
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
