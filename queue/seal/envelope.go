package seal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	envelopeMagic = "livekiosk relay\x00"
	bindingMost   = 256 // bytes of each string of an envelope's binding
)

// SealEnvelope seals plaintext for pub in a message that says itself what it
// is: for a relay, or for support. b says where it belongs, but for Key, which
// is set to pub's. Correlation is not part of the message; whoever opens it has
// to know it. Record, Device and Part are, in the clear, and have at most 256
// bytes each. The result is new memory; plaintext stays the caller's.
func SealEnvelope(pub *Public, b Binding, plaintext []byte) ([]byte, error) { //nolint:revive // the opposite of OpenEnvelope
	b.Key = pub.fingerprint
	head := binary.BigEndian.AppendUint16([]byte(envelopeMagic), b.Format)
	head = binary.BigEndian.AppendUint32(head, b.Attempt)
	for _, s := range []string{b.Record, b.Device, b.Part, b.Key} {
		if len(s) > bindingMost {
			return nil, fmt.Errorf("seal envelope: a name of %d bytes, want at most %d", len(s), bindingMost)
		}
		head = appendString(head, s)
	}
	sealer, err := NewSealer(pub)
	if err != nil {
		return nil, fmt.Errorf("seal envelope: %w", err)
	}
	return sealer.seal(head, b.AAD(), plaintext), nil
}

// OpenEnvelope returns what was sealed for k in an envelope, and where it says
// that it belongs, Correlation included: the sealer knew the same one. The
// caller owns the plaintext and clears it; it is memory of envelope, whose
// bytes are lost in any case.
func OpenEnvelope(k *Key, correlation string, envelope []byte) (Binding, []byte, error) {
	b, sealed, err := parseEnvelope(envelope)
	if err != nil {
		return Binding{}, nil, fmt.Errorf("open envelope: %w", err)
	}
	if b.Key != k.Fingerprint() {
		return Binding{}, nil, fmt.Errorf("open envelope: is sealed for the key %s, not for %s", b.Key, k.Fingerprint())
	}
	b.Correlation = correlation
	plaintext, err := k.open(b.AAD(), sealed)
	if err != nil {
		return Binding{}, nil, fmt.Errorf("open envelope: %w", err)
	}
	return b, plaintext, nil
}

// parseEnvelope returns the binding but for Correlation, and the sealed part,
// which is memory of envelope.
func parseEnvelope(envelope []byte) (b Binding, sealed []byte, err error) {
	if !IsEnvelope(envelope) {
		return b, nil, errors.New("is none")
	}
	rest := envelope[len(envelopeMagic):]
	errShort := errors.New("is cut short")
	if len(rest) < 6 {
		return b, nil, errShort
	}
	b.Format, b.Attempt, rest = binary.BigEndian.Uint16(rest), binary.BigEndian.Uint32(rest[2:]), rest[6:]
	for _, s := range []*string{&b.Record, &b.Device, &b.Part, &b.Key} {
		if len(rest) < 4 {
			return b, nil, errShort
		}
		n := binary.BigEndian.Uint32(rest)
		rest = rest[4:]
		switch {
		case n > bindingMost:
			return b, nil, fmt.Errorf("is damaged: a name of %d bytes", n)
		case int(n) > len(rest):
			return b, nil, errShort
		}
		*s, rest = string(rest[:n]), rest[n:]
	}
	if !printable(b.Key) {
		return b, nil, errors.New("is damaged: its key's name")
	}
	return b, rest, nil
}

// printable keeps what a stranger wrote from an operator's terminal.
func printable(s string) bool {
	for _, r := range s {
		if r < ' ' || r > '~' {
			return false
		}
	}
	return true
}

// IsEnvelope reports whether b begins as an envelope does.
func IsEnvelope(b []byte) bool { return bytes.HasPrefix(b, []byte(envelopeMagic)) }
