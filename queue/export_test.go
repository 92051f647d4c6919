package queue

import (
	"context"
	"io"
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
