// Package pin keeps the PIN of staff as a salted slow hash, and looks at few
// tries only.
//
// The hash is Argon2id (RFC 9106) in the PHC string format, on one line of a
// file or a credential. A PIN has few digits, so what keeps it is the hash's
// price for whoever has the file, and for whoever has the keypad that tries are
// counted before they are looked at, over restarts.
package pin

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// A PIN has this many digits.
const (
	Shortest = 6
	Longest  = 12
)

// A Price is what one comparison costs.
type Price struct {
	Memory uint32 // KiB
	Passes uint32
	Lanes  uint8
}

// Standard is OWASP's least (Password Storage Cheat Sheet) with a pass more. The
// 64 MiB of RFC 9106 would not fit beside the networks into what the unit allows
// the daemon, once two tries follow each other.
func Standard() Price { return Price{Memory: 19 << 10, Passes: 3, Lanes: 1} }

// The bounds of a hash that is believed: a file must not make the daemon run
// out of memory, or compare for minutes.
const (
	mostMemory = 32 << 10
	mostPasses = 16
	mostLanes  = 8
	saltBytes  = 16
	sumBytes   = 32
)

// ErrFormat reports text that is no hash of a PIN.
var ErrFormat = errors.New("not the hash of a PIN")

// A Hash is what is kept of a PIN.
type Hash struct {
	price     Price
	salt, sum []byte
}

// New returns the hash of a PIN. Its error says what a PIN must be.
func New(digits string, p Price) (Hash, error) {
	if len(digits) < Shortest || len(digits) > Longest || strings.Trim(digits, "0123456789") != "" {
		return Hash{}, fmt.Errorf("a PIN has %d to %d digits", Shortest, Longest)
	}
	if strings.Count(digits, digits[:1]) == len(digits) || strings.Contains("01234567890123", digits) || strings.Contains("32109876543210", digits) {
		return Hash{}, errors.New("this PIN would be the first to be tried")
	}
	h := Hash{price: p, salt: make([]byte, saltBytes)}
	_, _ = rand.Read(h.salt) // never fails
	h.sum = h.of(digits)
	return h, nil
}

func (h Hash) of(digits string) []byte {
	return argon2.IDKey([]byte(digits), h.salt, h.price.Passes, h.price.Memory, h.price.Lanes, sumBytes)
}

// Is reports whether h is of these digits. It takes the same time either way.
func (h Hash) Is(digits string) bool {
	return subtle.ConstantTimeCompare(h.of(digits), h.sum) == 1
}

// String returns h as Parse reads it.
func (h Hash) String() string {
	b := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, h.price.Memory, h.price.Passes, h.price.Lanes, b.EncodeToString(h.salt), b.EncodeToString(h.sum))
}

// Parse reads a hash, with or without an end of line. It returns ErrFormat.
func Parse(s string) (Hash, error) {
	var h Hash
	f := strings.Split(strings.TrimRight(s, "\r\n"), "$")
	if len(f) != 6 || f[0] != "" || f[1] != "argon2id" || f[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return h, ErrFormat
	}
	if _, err := fmt.Sscanf(f[3], "m=%d,t=%d,p=%d", &h.price.Memory, &h.price.Passes, &h.price.Lanes); err != nil {
		return Hash{}, ErrFormat
	}
	var bad [2]error
	h.salt, bad[0] = base64.RawStdEncoding.Strict().DecodeString(f[4])
	h.sum, bad[1] = base64.RawStdEncoding.Strict().DecodeString(f[5])
	p := h.price
	switch {
	case bad[0] != nil, bad[1] != nil, len(h.salt) != saltBytes, len(h.sum) != sumBytes,
		p.Lanes < 1, p.Lanes > mostLanes, p.Passes < 1, p.Passes > mostPasses, p.Memory < 8*uint32(p.Lanes), p.Memory > mostMemory,
		h.String() != strings.TrimRight(s, "\r\n"):
		return Hash{}, ErrFormat
	}
	return h, nil
}
