package seal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	envelopeMagic = "livekiosk relay\x00"
	bindingMost   = 256 // bytes of each string of an envelope's binding
)

var errShort = errors.New("is cut short")

// SealEnvelope seals plaintext for pub in a message that says itself what it
// is: for a relay, or for support. b says where it belongs, but for Key, which
// is set to pub's. Correlation is not part of the message; whoever opens it has
// to know it. Record, Device and Part are, in the clear, and have at most 256
// bytes each. The result is new memory; plaintext stays the caller's.
func SealEnvelope(pub *Public, b Binding, plaintext []byte) ([]byte, error) { //nolint:revive // the opposite of OpenEnvelope
	b.Key = pub.fingerprint
	head, err := appendBinding([]byte(envelopeMagic), b)
	if err != nil {
		return nil, fmt.Errorf("seal envelope: %w", err)
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
// bytes are lost in any case. Another key is an error that names the one that
// is needed.
func OpenEnvelope(k *Key, correlation string, envelope []byte) (Binding, []byte, error) {
	b, plaintext, err := openEnvelope(k, correlation, envelope)
	if err != nil {
		return Binding{}, nil, fmt.Errorf("open envelope: %w", err)
	}
	return b, plaintext, nil
}

func openEnvelope(k *Key, correlation string, envelope []byte) (Binding, []byte, error) {
	if !IsEnvelope(envelope) {
		return Binding{}, nil, errors.New("is none")
	}
	rest := bytes.NewReader(envelope[len(envelopeMagic):])
	b, err := readBinding(rest)
	if err != nil {
		return b, nil, err
	}
	if b.Key != k.Fingerprint() {
		return b, nil, errOtherKey(b.Key, k)
	}
	b.Correlation = correlation
	plaintext, err := k.open(b.AAD(), envelope[len(envelope)-rest.Len():])
	return b, plaintext, err
}

func errOtherKey(fingerprint string, k *Key) error {
	return fmt.Errorf("is sealed for the key %s, not for %s", fingerprint, k.Fingerprint())
}

// IsEnvelope reports whether b begins as an envelope does.
func IsEnvelope(b []byte) bool { return bytes.HasPrefix(b, []byte(envelopeMagic)) }

// appendBinding appends b but for Correlation, which is nobody's to read.
func appendBinding(head []byte, b Binding) ([]byte, error) {
	head = binary.BigEndian.AppendUint16(head, b.Format)
	head = binary.BigEndian.AppendUint32(head, b.Attempt)
	for _, s := range []string{b.Record, b.Device, b.Part, b.Key} {
		if len(s) > bindingMost {
			return nil, fmt.Errorf("a name of %d bytes, want at most %d", len(s), bindingMost)
		}
		head = appendString(head, s)
	}
	return head, nil
}

// readBinding reads what appendBinding appended.
func readBinding(r io.Reader) (b Binding, err error) {
	var number [6]byte
	if _, err := io.ReadFull(r, number[:]); err != nil {
		return b, errShort
	}
	b.Format, b.Attempt = binary.BigEndian.Uint16(number[:]), binary.BigEndian.Uint32(number[2:])
	var name [bindingMost]byte
	for _, s := range []*string{&b.Record, &b.Device, &b.Part, &b.Key} {
		if _, err := io.ReadFull(r, number[:4]); err != nil {
			return b, errShort
		}
		n := binary.BigEndian.Uint32(number[:])
		if n > bindingMost {
			return b, fmt.Errorf("is damaged: a name of %d bytes", n)
		}
		if _, err := io.ReadFull(r, name[:n]); err != nil {
			return b, errShort
		}
		*s = string(name[:n])
	}
	if !isID(b.Key) { // it is shown to people
		return b, errors.New("is damaged: its key has no fingerprint")
	}
	return b, nil
}
