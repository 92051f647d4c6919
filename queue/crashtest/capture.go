package crashtest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"time"

	"livekiosk/kiosk"
)

// What every secret of a capture holds, so that it is known wherever it comes
// up. The gateway's tokens and a run of each image are told as they are made.
const (
	canaryPerson   = "canary-of-a-person-"
	canarySession  = "canary-of-a-correlation-id-"
	canaryMetadata = "canary-of-metadata-"
	canaryImage    = "canary-of-an-image-"
)

// canaries are the ones of every run.
func canaries() [][]byte {
	return [][]byte{[]byte(canaryPerson), []byte(canarySession), []byte(canaryMetadata), []byte(canaryImage)}
}

// rejected is in images that the judge turns down.
const rejected = "not-alive"

func alive(image []byte) bool { return !bytes.Contains(image, []byte(rejected)) }

// A maker makes captures. The same seed makes the same ones.
type maker struct {
	random  *rand.Rand
	picture []byte // a JPEG that the gateway takes, but for its size
}

func newMaker(seed uint64) (*maker, error) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 640, 480)), nil); err != nil {
		return nil, fmt.Errorf("make picture: %w", err)
	}
	return &maker{random: rand.New(rand.NewPCG(seed, 4)), picture: b.Bytes()}, nil //nolint:gosec // samples
}

// image returns a JPEG of 20 to 30 KiB: the picture and a comment.
func (m *maker) image(record kiosk.RecordID, rejects bool) []byte {
	comment := []byte(canaryImage + string(record) + " ")
	if rejects {
		comment = append(comment, rejected...)
	}
	for n := 20<<10 + m.random.IntN(10<<10); len(comment) < n; {
		comment = binary.LittleEndian.AppendUint64(comment, m.random.Uint64())
	}
	out := append([]byte{0xff, 0xd8, 0xff, 0xfe}, byte((len(comment)+2)>>8), byte(len(comment)+2))
	out = append(out, comment...)
	return append(out, m.picture[2:]...)
}

// run is a part of an image that is like no other.
func run(image []byte) []byte { return bytes.Clone(image[8<<10:][:32]) }

// submission returns the given attempt of the n-th session.
func (m *maker) submission(n, attempt int, rejects bool) *kiosk.Submission {
	session := kiosk.SessionID(fmt.Sprintf("session-%d", n))
	record := kiosk.RecordID(fmt.Sprintf("%s-%d", session, attempt))
	b := m.booking(n)
	return &kiosk.Submission{
		Record: record, Session: session, Attempt: attempt, AttemptsLeft: 3 - attempt, Review: n%3 == 0,
		CorrelationID: b.CorrelationID, UserID: b.UserID, UserIDType: b.UserIDType, Locale: b.Locale,
		Images: map[kiosk.Document][]byte{
			kiosk.Selfie: m.image(record, rejects), kiosk.AdditionalSelfie: m.image(record, rejects),
		},
		Metadata: json.RawMessage(fmt.Sprintf(`{"note":"%s%s"}`, canaryMetadata, record)),
	}
}

// booking returns that of the n-th session.
func (m *maker) booking(n int) kiosk.Booking {
	return kiosk.Booking{
		CorrelationID: fmt.Sprintf("%s%d", canarySession, n), UserID: fmt.Sprintf("%s%d", canaryPerson, n), UserIDType: "CUSTOMER_ID",
		Locale: kiosk.Indonesian, Booked: time.Now(),
	}
}
