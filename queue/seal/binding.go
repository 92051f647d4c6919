package seal

import "encoding/binary"

// A Binding is where a sealed part belongs. A part opens only in its place.
type Binding struct {
	Format      uint16 // version of the outbox format
	Attempt     uint32
	Record      string // record id
	Correlation string // the correlation id's tag in hexadecimal, or for a relay the id itself
	Device      string // fingerprint of the device key, also where Key is a relay's
	Part        string // such as "meta", "marks" or "image/SELFIE"
	Key         string // fingerprint of the key it is sealed for
}

// AAD returns the associated data of b: the 15 bytes "livekiosk part" and 0,
// Format as 2 and Attempt as 4 bytes, then Record, Correlation, Device, Part
// and Key, each as its length in 4 bytes and its bytes. Numbers are big-endian.
func (b Binding) AAD() []byte {
	out := append([]byte("livekiosk part\x00"), byte(b.Format>>8), byte(b.Format))
	out = binary.BigEndian.AppendUint32(out, b.Attempt)
	for _, s := range []string{b.Record, b.Correlation, b.Device, b.Part, b.Key} {
		out = appendString(out, s)
	}
	return out
}

// appendString appends s as its length in 4 bytes, big-endian, and its bytes.
func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}
