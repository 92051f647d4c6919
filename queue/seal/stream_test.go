package seal_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"livekiosk/queue/seal"
)

const chunk = 64 << 10

func stream(tb testing.TB, k *seal.Key, aes bool, plaintext []byte) []byte {
	tb.Helper()
	var out bytes.Buffer
	w, err := seal.NewWriterOn(&out, k.Public(), place, aes)
	if err != nil {
		tb.Fatal(err)
	}
	for at := 0; at < len(plaintext); { // in pieces that have nothing to do with chunks
		n := min(len(plaintext)-at, 1+at/3)
		if m, err := w.Write(plaintext[at : at+n]); err != nil || m != n {
			tb.Fatalf("wrote %d of %d, %v", m, n, err)
		}
		at += n
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

func readStream(k *seal.Key, correlation string, sealed []byte) ([]byte, seal.Binding, error) {
	r, b, err := seal.NewReader(k, correlation, bytes.NewReader(sealed))
	if err != nil {
		return nil, b, err
	}
	got, err := io.ReadAll(r)
	return got, b, err
}

func TestAStreamOpensToWhatWasWritten(t *testing.T) {
	random := rand.NewChaCha8([32]byte{7})
	for _, key := range []*seal.Key{generate(t), hybrid(t)} {
		for _, aes := range []bool{true, false} {
			for _, size := range []int{0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 5*chunk + 77} {
				plaintext := make([]byte, size)
				_, _ = random.Read(plaintext)
				sealed := stream(t, key, aes, plaintext)
				want := place
				want.Key = key.Fingerprint()
				if got, b, err := readStream(key, place.Correlation, sealed); err != nil || !bytes.Equal(got, plaintext) || b != want {
					t.Errorf("%s, AES %t, %d bytes: read %d of %+v, %v", key.KEM(), aes, size, len(got), b, err)
				}
				if !seal.IsStream(sealed) || seal.IsEnvelope(sealed) {
					t.Error("a stream is not known as one")
				}
			}
		}
	}
}

func TestAStreamOpensOnlyWholeWithItsKeyAndInItsPlace(t *testing.T) {
	key, other := generate(t), generate(t)
	plaintext := bytes.Repeat([]byte("secret "), 3*chunk/7)
	sealed := stream(t, key, true, plaintext)
	head := len(sealed) - len(plaintext) - 16*((len(plaintext)+chunk-1)/chunk)
	size := chunk + 16
	replaced := func(was, is string) []byte { return bytes.Replace(sealed, []byte(was), []byte(is), 1) }
	for name, tc := range map[string]struct {
		key         *seal.Key
		correlation string
		sealed      []byte
	}{
		"another key":                 {other, "c-17", sealed},
		"another key that it says":    {other, "c-17", replaced(key.Fingerprint(), other.Fingerprint())},
		"another correlation id":      {key, "c-18", sealed},
		"another record":              {key, "c-17", replaced("s1-2", "s2-2")},
		"another device":              {key, "c-17", replaced("dddd", "dede")},
		"two chunks swapped":          {key, "c-17", bytes.Join([][]byte{sealed[:head], sealed[head+size : head+2*size], sealed[head : head+size], sealed[head+2*size:]}, nil)},
		"a chunk twice":               {key, "c-17", bytes.Join([][]byte{sealed[:head+size], sealed[head:]}, nil)},
		"a chunk left out":            {key, "c-17", bytes.Join([][]byte{sealed[:head], sealed[head+size:]}, nil)},
		"cut short after a chunk":     {key, "c-17", sealed[:head+size]},
		"cut short before any":        {key, "c-17", sealed[:head]},
		"the last chunk is cut short": {key, "c-17", sealed[:len(sealed)-1]},
		"something after it":          {key, "c-17", append(bytes.Clone(sealed), 0)},
		"a changed byte":              {key, "c-17", append(bytes.Clone(sealed[:len(sealed)-1]), sealed[len(sealed)-1]^1)},
		"an envelope":                 {key, "c-17", envelope(t, key, place, "x")},
		"nothing":                     {key, "c-17", nil},
	} {
		got, _, err := readStream(tc.key, tc.correlation, tc.sealed)
		if err == nil {
			t.Errorf("%s: read %d bytes to the end", name, len(got))
		}
		if !bytes.HasPrefix(plaintext, got) {
			t.Errorf("%s: read what was never written", name)
		}
	}
	for n := range head + 20 {
		if _, _, err := readStream(key, "c-17", sealed[:n]); err == nil {
			t.Fatalf("the first %d bytes are a stream", n)
		}
	}
	if _, _, err := readStream(other, "c-17", sealed); err == nil || !strings.Contains(err.Error(), key.Fingerprint()) {
		t.Errorf("another key: %v, want it to name the one that it needs", err)
	}
}

func TestWhatAStreamIsWrittenToMayFail(t *testing.T) {
	key := generate(t)
	broken := errors.New("no space left on device")
	if _, err := seal.NewWriter(&failing{0, broken}, key.Public(), place); !errors.Is(err, broken) {
		t.Errorf("the head: %v", err)
	}
	w, err := seal.NewWriter(&failing{1, broken}, key.Public(), place)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 2*chunk)); !errors.Is(err, broken) {
		t.Errorf("a chunk: %v", err)
	}
	if err := w.Close(); !errors.Is(err, broken) {
		t.Errorf("closing what failed: %v", err)
	}
	w, err = seal.NewWriter(io.Discard, key.Public(), place)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("wrote to a stream that is closed")
	}
	sealed := stream(t, key, true, make([]byte, 2*chunk))
	r, _, err := seal.NewReader(key, place.Correlation, io.MultiReader(bytes.NewReader(sealed[:len(sealed)-5]), iotest.ErrReader(broken)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, broken) {
		t.Errorf("reading: %v", err)
	}
}

// failing takes some writes, and no more.
type failing struct {
	left int
	err  error
}

func (f *failing) Write(p []byte) (int, error) {
	if f.left == 0 {
		return 0, f.err
	}
	f.left--
	return len(p), nil
}

// FuzzReader holds that no stream but the written one opens to its end.
func FuzzReader(f *testing.F) {
	key := generate(f)
	sealed := stream(f, key, true, []byte("x"))
	f.Add(sealed[:len(sealed)-1])
	f.Add(sealed[:40])
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, _, err := readStream(key, place.Correlation, b); err == nil && !bytes.Equal(b, sealed) {
			t.Errorf("%x opened to %x", b, got)
		}
	})
}

func BenchmarkWriter(b *testing.B) {
	key := generate(b)
	for _, aes := range []bool{true, false} {
		b.Run(fmt.Sprintf("aes=%t/size=16777216", aes), func(b *testing.B) {
			plaintext := make([]byte, 1<<20)
			b.SetBytes(16 << 20)
			b.ReportAllocs()
			for b.Loop() {
				w, err := seal.NewWriterOn(io.Discard, key.Public(), place, aes)
				if err != nil {
					b.Fatal(err)
				}
				for range 16 {
					if _, err := w.Write(plaintext); err != nil {
						b.Fatal(err)
					}
				}
				if err := w.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
