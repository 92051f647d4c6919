package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"strconv"
	"strings"

	"livekiosk/kiosk"
)

// Sizes of the storm's images in bytes: what a gateway takes, and small enough
// for thousands of them.
const (
	leastImage = 21 << 10
	mostImage  = 60 << 10
)

// A studio makes captures. The same seed and number are the same capture, byte
// by byte, in every process.
type studio struct {
	seed  uint64
	plain []byte // a JPEG of 480x640 without anything unique
}

func newStudio(seed uint64) (*studio, error) {
	img := image.NewGray(image.Rect(0, 0, 480, 640))
	for i := range img.Pix {
		img.Pix[i] = uint8(i / img.Stride / 4)
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 60}); err != nil {
		return nil, fmt.Errorf("make an image: %w", err)
	}
	return &studio{seed: seed, plain: b.Bytes()}, nil
}

// correlation is the correlation id of capture n; number is the way back.
func (s *studio) correlation(n int) string { return fmt.Sprintf("storm-%x-%d", s.seed, n) }

func (s *studio) number(correlation string) (n int, ours bool) {
	digits, ours := strings.CutPrefix(correlation, fmt.Sprintf("storm-%x-", s.seed))
	if !ours {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil && n >= 0 && s.correlation(n) == correlation
}

// capture returns capture n without a token: the flow is initiated when it is
// delivered.
func (s *studio) capture(n int) *kiosk.Submission {
	name := strconv.Itoa(n)
	return &kiosk.Submission{
		Record: kiosk.RecordID("record-" + name), Session: kiosk.SessionID("session-" + name), Attempt: 1, AttemptsLeft: 2,
		CorrelationID: s.correlation(n), UserID: "visitor-" + name, UserIDType: "CUSTOMER_ID", Locale: kiosk.Indonesian,
		Images:   s.images(n, leastImage, mostImage),
		Metadata: json.RawMessage(`{"capture":` + name + `}`),
	}
}

// images returns the images of capture n, each of least to most bytes.
func (s *studio) images(n, least, most int) map[kiosk.Document][]byte {
	out := map[kiosk.Document][]byte{}
	for i, doc := range kiosk.Documents() {
		var key [32]byte
		binary.LittleEndian.PutUint64(key[:], s.seed)
		binary.LittleEndian.PutUint64(key[8:], uint64(n)) //nolint:gosec // counted from 0
		key[16] = byte(i)
		noise := rand.NewChaCha8(key)
		size := least + int(noise.Uint64()%uint64(most-least+1))
		out[doc] = s.image(noise, size)
	}
	return out
}

// image returns a JPEG of size bytes that decodes and that nobody else has:
// the noise stands in comment segments, which decoders skip.
func (s *studio) image(noise *rand.ChaCha8, size int) []byte {
	const (
		marker  = 4            // a segment's marker and length
		longest = 0xffff + 2   // a segment with its marker
		room    = longest >> 1 // halves, so that the last is never too short
	)
	out := make([]byte, 0, size)
	out = append(out, s.plain[:2]...) // start of image
	for left := size - len(s.plain); left > 0; {
		n := left
		if n > longest {
			n = room
		}
		n = max(n, marker)
		out = append(out, 0xff, 0xfe, byte((n-2)>>8), byte(n-2))
		text := out[len(out) : len(out)+n-marker]
		_, _ = noise.Read(text) // never fails
		out = out[:len(out)+n-marker]
		left -= n
	}
	return append(out, s.plain[2:]...)
}

// shorten returns an image of a studio without some bytes of its noise: what a
// store that loses bytes would keep, were it to decode all the same.
func shorten(img []byte) []byte {
	const lost = 1000
	if len(img) < 6 || img[2] != 0xff || img[3] != 0xfe {
		return img
	}
	n := int(binary.BigEndian.Uint16(img[4:]))
	if n < lost+2 {
		return img
	}
	out := bytes.Clone(img[:6])
	binary.BigEndian.PutUint16(out[4:], uint16(n-lost)) //nolint:gosec // less than what was there
	return append(out, img[6+lost:]...)
}

// hash is a SHA-256 in hexadecimal digits.
func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
