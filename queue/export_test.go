package queue

import (
	"context"
	"io"

	"go.etcd.io/bbolt"
)

// What the tests hold to account besides the API.

// Walk is the survey of a file's bytes.
func Walk(ctx context.Context, r io.ReaderAt, size int64) error { return walk(ctx, r, size) }

// DecodeHead decodes a head.
func DecodeHead(b []byte) (any, error) { return decodeHead(b) }

// DecodeBody decodes the plaintext of the part "meta".
func DecodeBody(b []byte) (any, error) { return decodeBody(b) }

// DecodeProgress decodes the plaintext of the part "marks".
func DecodeProgress(b []byte) (any, error) { return decodeProgress(b) }

// DecodeReceipt decodes a line of history.
func DecodeReceipt(b []byte) (any, error) { return decodeReceipt(b) }

// SplitKey takes a record key apart.
func SplitKey(k []byte) (tag []byte, id string) {
	t, i := splitKey(k)
	return t, string(i)
}

// DecodeOutages decodes the outages.
func DecodeOutages(b []byte) (any, error) { return decodeOutages(b) }

// DecodeBooking decodes what is in the clear of a booking.
func DecodeBooking(b []byte) (any, error) { return decodeBooking(b) }

// DecodePerson decodes the plaintext of the part "booking".
func DecodePerson(b []byte) (any, error) { return decodePerson(b) }

// Hold keeps calls of q from being written until the returned function is
// called.
func Hold(q *Queue) (release func()) {
	q.writer <- struct{}{}
	return func() { <-q.writer }
}

// Waiting returns how many calls of q wait to be written.
func Waiting(q *Queue) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// Write runs fn as a call of q's.
func Write(ctx context.Context, q *Queue, fn func(tx *bbolt.Tx) error) error {
	return q.update(ctx, func(w *writing) error { return fn(w.tx) })
}

// Break takes the file away from under q: what is flushed from now on fails.
func Break(q *Queue) error { return q.file.Close() }
