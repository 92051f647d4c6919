package seal

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
)

// A Ring holds the device keys: the current one, for which everything new is
// sealed, and older ones, which still open what was sealed for them. It is
// immutable and safe for concurrent use.
type Ring struct{ keys []*Key }

// NewRing returns the ring of current and the older keys. A key that is given
// twice counts once. current must not be nil.
func NewRing(current *Key, older ...*Key) *Ring {
	r := &Ring{keys: []*Key{current}}
	for _, k := range older {
		if _, known := r.Key(k.Fingerprint()); !known {
			r.keys = append(r.keys, k)
		}
	}
	return r
}

// Current returns the key for which everything new is sealed.
func (r *Ring) Current() *Key { return r.keys[0] }

// Key returns the key of the fingerprint, if it is in the ring.
func (r *Ring) Key(fingerprint string) (*Key, bool) {
	for _, k := range r.keys {
		if k.Fingerprint() == fingerprint {
			return k, true
		}
	}
	return nil, false
}

// All returns every key, the current one first. The caller owns the slice.
func (r *Ring) All() []*Key { return slices.Clone(r.keys) }

// String shows the fingerprints.
func (r *Ring) String() string { return fmt.Sprint(r.LogValue().Any()) }

// Format writes String for every verb, so that none prints a key.
func (r *Ring) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// LogValue shows the fingerprints.
func (r *Ring) LogValue() slog.Value {
	prints := make([]string, len(r.keys))
	for i, k := range r.keys {
		prints[i] = k.Fingerprint()
	}
	return slog.AnyValue(prints)
}
