// Package seal keeps evidence readable for one key only, until it is erased.
//
// Every part of a record (metadata, each image) is sealed by itself for a key
// pair with HPKE (RFC 9180) in base mode, HKDF-SHA256 and one of two KEMs:
// X25519, or the hybrid of ML-KEM-768 and X25519. The parts of a record share
// one encapsulated key; HPKE exports a key for them, under which each has a
// random nonce. Where the processor has AES instructions they are sealed with
// AES-256-GCM. Boards such as the Raspberry Pi 4 have none, and Go's AES without
// them is slow and not constant in time: there it is ChaCha20-Poly1305. Either
// opens on every board.
//
// Sealing needs only the public half. A part opens only with the private half
// and with the same associated data (Binding), so a part moved to another
// record, or to another place in its record, does not open.
//
// What the device writes for itself alone, and often, is kept rather than
// sealed: with AES-256-GCM under a key that is derived from the private half
// for this one part. That is some twenty times faster than HPKE, and nobody who
// has only the public half can make such a part. A key that encrypts once
// gives those who watch AES's table look-ups nothing to compare.
//
// Whatever lies in a store is wrapped once more under a key that is destroyed
// when the record is (Epochs): old copies of a block that storage keeps are
// then noise, also to those who have the device key.
//
// # Parts
//
// A sealed part, of suites 01, 03, 04 and 05:
//
//	offset  bytes
//	0       1      suite
//	1       k      encapsulated key: 32 bytes for X25519, 1120 for the hybrid
//	1+k     12     nonce, random
//	13+k    n      ciphertext, as long as the plaintext
//	13+k+n  16     tag
//
//	01  DHKEM(X25519, HKDF-SHA256), ChaCha20-Poly1305
//	03  DHKEM(X25519, HKDF-SHA256), AES-256-GCM
//	04  MLKEM768-X25519, ChaCha20-Poly1305
//	05  MLKEM768-X25519, AES-256-GCM
//
// HPKE is base mode with HKDF-SHA256, export-only, and info "livekiosk seal", 0
// and the suite; the key is the 32 bytes it exports for "livekiosk parts".
//
// A kept part, of suite 02:
//
//	0       1      suite
//	1       32     salt, random
//	33      n      ciphertext
//	33+n    16     tag
//
// It is AES-256-GCM with a nonce of zeros under HKDF-SHA256(secret = derived
// "kept parts", salt, info = "livekiosk seal" 00 02, 32 bytes); see Key.Derive.
//
// A wrapped part, of suites 11 (AES-256-GCM) and 12 (ChaCha20-Poly1305):
//
//	0       1      suite
//	1       12     nonce, random
//	13      n      ciphertext of the sealed or kept part
//	13+n    16     tag
//
// Its key is HKDF-SHA256(secret = epoch key, no salt, info = "livekiosk epoch"
// 00 suite, 32 bytes). Its associated data is that of the part.
//
// # Envelopes
//
// What leaves the device says itself what it is. An envelope, numbers
// big-endian:
//
//	16      "livekiosk relay" 00
//	2       Format
//	4       Attempt
//	4 + n   Record, then Device, Part and Key likewise; each at most 256 bytes
//	…       the sealed part, bound to all of these and to Correlation, which
//	        the opener has to know
//
// # Files
//
// A key file is PEM with one block. X25519: "PRIVATE KEY", PKCS #8, as openssl
// genpkey writes it. The hybrid: "LIVEKIOSK PRIVATE KEY" with the header "KEM:
// mlkem768x25519" and the 32 bytes of the X-Wing seed. Public halves: "PUBLIC
// KEY", PKIX; and "LIVEKIOSK PUBLIC KEY" with the same header and 1216 bytes.
//
// An epoch file:
//
//	0       16     "livekiosk epochs"
//	16      2      format, 00 01
//	18      16     id, whose hexadecimal digits are in the file's name
//	34      4062   zeros, not looked at
//	4096    32·n   the keys, by the number of their slot
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/sys/cpu"
)

// The suites a part can name in its first byte. Zero is never used, so that a
// page of zeros names none.
const (
	suiteX25519ChaCha byte = 0x01
	suiteOwn          byte = 0x02 // HKDF-SHA256 of the private half, AES-256-GCM
	suiteX25519AES    byte = 0x03
	suiteHybridChaCha byte = 0x04
	suiteHybridAES    byte = 0x05

	epochAES    byte = 0x11
	epochChaCha byte = 0x12
)

const (
	saltSize     = 32   // bytes of a kept part's salt
	encX25519    = 32   // bytes of an encapsulated key
	encHybrid    = 1120 // the same: 1088 of ML-KEM-768, 32 of X25519
	nonce        = 12   // bytes of GCM's and ChaCha20-Poly1305's
	tag          = 16   // bytes of theirs
	keptOverhead = 1 + saltSize + tag
	mostShared   = 128 // for how many records a Key knows the cipher: more than are delivered at a time

	partsPurpose = "livekiosk parts"
)

// Overhead is how many bytes longer a sealed or kept part is at most than its
// plaintext.
const Overhead = 1 + encHybrid + nonce + tag

// errBroken says nothing more on purpose: which of key, associated data and
// bytes is wrong cannot be told apart.
var errBroken = errors.New("does not open: another key, another place or changed bytes")

// suiteOf returns what seals for the KEM on boards with or without AES.
func suiteOf(kem KEM, aes bool) byte {
	switch {
	case kem == Hybrid && aes:
		return suiteHybridAES
	case kem == Hybrid:
		return suiteHybridChaCha
	case aes:
		return suiteX25519AES
	default:
		return suiteX25519ChaCha
	}
}

// hasAES reports whether the processor has what crypto/aes and crypto/cipher
// need to be fast and constant in time.
func hasAES() bool {
	return cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ && cpu.X86.HasSSE41 || cpu.ARM64.HasAES && cpu.ARM64.HasPMULL
}

// encapsulated returns how many bytes an encapsulated key of the KEM has.
func encapsulated(kem KEM) int {
	if kem == Hybrid {
		return encHybrid
	}
	return encX25519
}

// newCipher returns AES-256-GCM or ChaCha20-Poly1305.
func newCipher(withAES bool, key []byte) (cipher.AEAD, error) {
	if !withAES {
		return chacha20poly1305.New(key)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// A Sealer seals the parts of one record. It is safe for concurrent use.
type Sealer struct {
	head []byte // suite and encapsulated key
	aead cipher.AEAD
}

// NewSealer returns what seals the parts of one record for pub.
func NewSealer(pub *Public) (*Sealer, error) { return newSealer(pub, hasAES()) }

func newSealer(pub *Public, withAES bool) (*Sealer, error) {
	suite := suiteOf(pub.kem, withAES)
	enc, sender, err := hpke.NewSender(pub.key, hpke.HKDFSHA256(), hpke.ExportOnly(), info(suite))
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	aead, err := exported(suite, sender.Export)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return &Sealer{head: append([]byte{suite}, enc...), aead: aead}, nil
}

// Seal returns plaintext sealed and bound to aad, which is not part of the
// result. The result is new memory, at most Overhead bytes longer than
// plaintext; plaintext stays the caller's.
func (s *Sealer) Seal(aad, plaintext []byte) ([]byte, error) {
	return s.seal(nil, aad, plaintext), nil
}

// SealUnder returns plaintext sealed as Seal does, and that wrapped as Wrap of
// the epoch key does, both bound to aad. The result lies in the memory of into
// where that has room; its bytes are lost in any case. plaintext stays the
// caller's.
func (s *Sealer) SealUnder(p *Epoch, into, aad, plaintext []byte) ([]byte, error) {
	suite, aead, err := p.wrapper(hasAES())
	if err != nil {
		return nil, fmt.Errorf("wrap: %w", err)
	}
	out := slices.Grow(into[:0], EpochOverhead+len(s.head)+nonce+len(plaintext)+tag)[:1+nonce]
	out[0] = suite
	rand.Read(out[1:])
	out = s.append(out, aad, plaintext)
	return aead.Seal(out[:1+nonce], out[1:1+nonce], out[1+nonce:], aad), nil
}

// seal is Seal with something before the part.
func (s *Sealer) seal(before, aad, plaintext []byte) []byte {
	return s.append(append(make([]byte, 0, len(before)+len(s.head)+nonce+len(plaintext)+tag), before...), aad, plaintext)
}

// append appends the sealed part to dst.
func (s *Sealer) append(dst, aad, plaintext []byte) []byte {
	dst = append(dst, s.head...)
	once := len(dst)
	dst = append(dst, make([]byte, nonce)...)
	rand.Read(dst[once:])
	return s.aead.Seal(dst, dst[once:], plaintext, aad)
}

// Open returns the plaintext of a part that was sealed for k and bound to
// the same aad. The caller owns the result and clears it. It is memory of
// sealed, whose bytes are lost in any case.
func (k *Key) Open(aad, sealed []byte) ([]byte, error) {
	plaintext, err := k.open(aad, sealed)
	if err != nil {
		return nil, fmt.Errorf("open sealed part: %w", err)
	}
	return plaintext, nil
}

func (k *Key) open(aad, sealed []byte) ([]byte, error) {
	once := 1 + encapsulated(k.KEM())
	if len(sealed) < once+nonce+tag {
		return nil, fmt.Errorf("%d bytes are too few for one", len(sealed))
	}
	head := sha256.Sum256(sealed[:once])
	aead, known := k.known(head)
	if !known {
		var err error
		if aead, err = k.agree(sealed[:once]); err != nil {
			return nil, err
		}
	}
	ciphertext := sealed[once+nonce:]
	plaintext, err := aead.Open(ciphertext[:0], sealed[once:once+nonce], ciphertext, aad)
	if err != nil {
		return nil, errBroken
	}
	if !known { // only now is it certain that there is such a record
		k.learn(head, aead)
	}
	return plaintext, nil
}

// agree returns the cipher that the suite and the encapsulated key of head mean.
func (k *Key) agree(head []byte) (cipher.AEAD, error) {
	suite := head[0]
	if suite != suiteOf(k.KEM(), true) && suite != suiteOf(k.KEM(), false) {
		return nil, fmt.Errorf("is of suite %d, which is not sealed for a key of %s", suite, k.KEM())
	}
	recipient, err := hpke.NewRecipient(head[1:], k.private, hpke.HKDFSHA256(), hpke.ExportOnly(), info(suite))
	if err != nil {
		return nil, errBroken
	}
	return exported(suite, recipient.Export)
}

// known returns the cipher of a record that was opened lately.
func (k *Key) known(head [sha256.Size]byte) (cipher.AEAD, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	aead, known := k.shared[head]
	return aead, known
}

func (k *Key) learn(head [sha256.Size]byte, aead cipher.AEAD) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, known := k.shared[head]; known {
		return
	}
	if k.shared == nil {
		k.shared = map[[sha256.Size]byte]cipher.AEAD{}
	}
	if len(k.recent) == mostShared {
		delete(k.shared, k.recent[0])
		k.recent = append(k.recent[:0], k.recent[1:]...)
	}
	k.shared[head], k.recent = aead, append(k.recent, head)
}

// exported returns the cipher of a suite for a record's parts, which have random
// nonces: few parts have the same key.
func exported(suite byte, export func(context string, length int) ([]byte, error)) (cipher.AEAD, error) {
	key, err := export(partsPurpose, sha256.Size)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return newCipher(suite == suiteX25519AES || suite == suiteHybridAES, key)
}

// Keep returns plaintext sealed for k itself and bound to aad, which is not
// part of the result. Only Recall of the same key opens it. The result is new
// memory, at most Overhead bytes longer than plaintext; plaintext stays the
// caller's.
func (k *Key) Keep(aad, plaintext []byte) ([]byte, error) {
	kept := make([]byte, 1+saltSize, keptOverhead+len(plaintext))
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
	if len(kept) < keptOverhead || kept[0] != suiteOwn {
		return nil, errors.New("open kept part: is none")
	}
	aead, err := k.once(kept[1 : 1+saltSize])
	if err != nil {
		return nil, fmt.Errorf("open kept part: %w", err)
	}
	plaintext, err := aead.Open(nil, make([]byte, aead.NonceSize()), kept[1+saltSize:], aad)
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
	return newCipher(true, key)
}

// info binds a sealed part to this use of HPKE and to its suite, so that the
// suite byte cannot be changed.
func info(suite byte) []byte {
	return append([]byte("livekiosk seal\x00"), suite)
}
