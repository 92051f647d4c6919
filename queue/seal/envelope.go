package seal

import "errors"

// SealEnvelope seals plaintext for pub in a message that says what it is.
func SealEnvelope(pub *Public, b Binding, plaintext []byte) ([]byte, error) {
	return nil, errors.ErrUnsupported
}

// OpenEnvelope opens what SealEnvelope sealed for k with the correlation id.
func OpenEnvelope(k *Key, correlation string, envelope []byte) (Binding, []byte, error) {
	return Binding{}, nil, errors.ErrUnsupported
}

// IsEnvelope reports whether b begins like an envelope.
func IsEnvelope(b []byte) bool { return false }
