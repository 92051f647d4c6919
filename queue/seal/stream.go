package seal

import (
	"bufio"
	"bytes"
	"crypto/cipher"
	"crypto/hpke"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	streamMagic = "livekiosk stream" // 16 bytes, as an envelope's
	streamChunk = 64 << 10           // bytes of plaintext in every chunk but the last
)

// A Writer seals what is too long for the memory, such as a whole outbox, for
// one key. What it wrote opens only when it is whole: a stream that is cut
// short, at whatever byte, is an error to its Reader. It is not safe for
// concurrent use.
type Writer struct {
	w      io.Writer
	aead   cipher.AEAD
	aad    []byte
	chunk  []byte // plaintext that waits
	sealed []byte
	count  uint64
	err    error // of an earlier write, or that it is closed
}

// NewWriter returns a Writer for pub, and writes the head of the stream to w. b
// says where the stream belongs, as for SealEnvelope. Whoever writes must call
// Close, which does not close w.
func NewWriter(w io.Writer, pub *Public, b Binding) (*Writer, error) {
	return newWriter(w, pub, b, hasAES())
}

func newWriter(w io.Writer, pub *Public, b Binding, withAES bool) (*Writer, error) {
	b.Key = pub.fingerprint
	head, err := appendBinding([]byte(streamMagic), b)
	if err != nil {
		return nil, fmt.Errorf("seal stream: %w", err)
	}
	suite := suiteOf(pub.kem, withAES)
	enc, sender, err := hpke.NewSender(pub.key, hpke.HKDFSHA256(), hpke.ExportOnly(), info(suite))
	if err != nil {
		return nil, fmt.Errorf("seal stream: %w", err)
	}
	aead, err := exported(suite, streamPurpose, sender.Export)
	if err != nil {
		return nil, fmt.Errorf("seal stream: %w", err)
	}
	if _, err := w.Write(append(append(head, suite), enc...)); err != nil {
		return nil, fmt.Errorf("seal stream: %w", err)
	}
	return &Writer{w: w, aead: aead, aad: b.AAD(), chunk: make([]byte, 0, streamChunk), sealed: make([]byte, 0, streamChunk+tag)}, nil
}

// Write seals p, which stays the caller's. Some of it waits for more.
func (s *Writer) Write(p []byte) (n int, err error) {
	if s.err != nil {
		return 0, s.err
	}
	for len(p) > 0 {
		if len(s.chunk) == streamChunk { // not before there is more: the last one is marked
			if err := s.flush(false); err != nil {
				return n, err
			}
		}
		m := min(len(p), streamChunk-len(s.chunk))
		s.chunk = append(s.chunk, p[:m]...)
		p, n = p[m:], n+m
	}
	return n, nil
}

// Close writes the end of the stream, without which it does not open. It does
// not close what it writes to.
func (s *Writer) Close() error {
	if s.err != nil {
		return s.err
	}
	if err := s.flush(true); err != nil {
		return err
	}
	s.err = errors.New("seal stream: is closed")
	return nil
}

func (s *Writer) flush(last bool) error {
	s.sealed = s.aead.Seal(s.sealed[:0], chunkNonce(s.count, last), s.chunk, s.aad)
	clear(s.chunk)
	s.chunk = s.chunk[:0]
	s.count++
	if _, err := s.w.Write(s.sealed); err != nil {
		s.err = fmt.Errorf("seal stream: %w", err)
		return s.err
	}
	return nil
}

// chunkNonce is the place of a chunk in its stream, whose key seals nothing
// else: its number, from 0, in 11 bytes, and whether it is the last.
func chunkNonce(count uint64, last bool) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, nonce-9, nonce), count)
	if last {
		return append(b, 1)
	}
	return append(b, 0)
}

// A Reader opens what a Writer sealed. It is not safe for concurrent use.
type Reader struct {
	r     *bufio.Reader
	aead  cipher.AEAD
	aad   []byte
	chunk []byte // memory for a chunk
	open  []byte // of it: plaintext that nobody has read
	count uint64
	err   error
}

// NewReader reads the head of a stream from r. It returns what opens the rest,
// and where the stream says that it belongs, Correlation included: the writer
// knew the same one. Plaintext that Read returns is what was written, in the
// same order, but only io.EOF says that it was all. Another key is an error
// here, which names the one that is needed.
func NewReader(k *Key, correlation string, r io.Reader) (*Reader, Binding, error) {
	s := &Reader{r: bufio.NewReaderSize(r, streamChunk), chunk: make([]byte, streamChunk+tag)}
	b, err := s.begin(k, correlation)
	if err != nil {
		return nil, Binding{}, fmt.Errorf("open stream: %w", err)
	}
	return s, b, nil
}

func (s *Reader) begin(k *Key, correlation string) (Binding, error) {
	magic := make([]byte, len(streamMagic))
	if _, err := io.ReadFull(s.r, magic); err != nil || string(magic) != streamMagic {
		return Binding{}, errors.New("is none")
	}
	b, err := readBinding(s.r)
	if err != nil {
		return Binding{}, err
	}
	if b.Key != k.Fingerprint() {
		return Binding{}, errOtherKey(b.Key, k)
	}
	b.Correlation = correlation
	head := make([]byte, 1+encapsulated(k.KEM()))
	if _, err = io.ReadFull(s.r, head); err != nil {
		return Binding{}, errShort
	}
	if s.aead, err = k.agree(head, streamPurpose); err != nil {
		return Binding{}, err
	}
	s.aad = b.AAD()
	return b, nil
}

// Read implements io.Reader.
func (s *Reader) Read(p []byte) (int, error) {
	for len(s.open) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		s.next()
	}
	n := copy(p, s.open)
	clear(s.open[:n])
	s.open = s.open[n:]
	return n, nil
}

// next opens a chunk.
func (s *Reader) next() {
	n, err := io.ReadFull(s.r, s.chunk)
	last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	if err == nil {
		_, err = s.r.Peek(1)
		last = errors.Is(err, io.EOF)
	}
	if err != nil && !last {
		s.err = fmt.Errorf("open stream: %w", err)
		return
	}
	open, err := s.aead.Open(s.chunk[:0], chunkNonce(s.count, last), s.chunk[:n], s.aad)
	switch {
	case err != nil && last:
		s.err = fmt.Errorf("open stream: %w, or it is cut short", errBroken)
		return
	case err != nil:
		s.err = fmt.Errorf("open stream: %w", errBroken)
		return
	case last:
		s.err = io.EOF
	}
	s.open, s.count = open, s.count+1
}

// IsStream reports whether b begins as a stream does.
func IsStream(b []byte) bool { return bytes.HasPrefix(b, []byte(streamMagic)) }
