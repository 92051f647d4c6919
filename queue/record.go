package queue

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"livekiosk/kiosk"
	"livekiosk/queue/seal"
)

// Format is the version of the outbox format that this version reads and
// writes. FORMAT.md says when it may change.
const Format = 1

const magic = "livekiosk outbox"

// The names in the file. They are written down in FORMAT.md.
const (
	outboxBucket  = "outbox"
	pendingBucket = "pending"
	deadBucket    = "dead"
	historyBucket = "history"

	// Made with the first booking.
	bookingsBucket = "bookings"

	magicKey   = "magic"
	formatKey  = "format"
	probeKey   = "probe"
	outagesKey = "outages"
	epochsKey  = "epochs"

	headKey     = "head"
	metaKey     = "meta"
	marksKey    = "marks"
	imagePrefix = "image/"
	sealedKey   = "sealed"

	bookingPart  = "booking"
	metadataPart = "metadata" // for a relay

	sealedMetadata = "livekiosk_sealed" // the member of what stands in for metadata that is sealed for a relay
)

// The states of a record, as heads and entries spell them.
const (
	stateQueued    = "queued"
	stateSubmitted = "submitted" // the gateway knows it
	stateUploaded  = "uploaded"  // every image is there
	stateConfirmed = "confirmed"
	stateDone      = "done"
	stateDead      = "dead"
)

const (
	sequenceSize = 8
	tagSize      = 16
	idMax        = 256 // bytes of a record id
	reasonMax    = 256
)

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// recordKey names a record in the file: its sequence number, which is the
// order of delivery, the tag of its correlation id, and its id.
func recordKey(sequence uint64, tag []byte, id kiosk.RecordID) []byte {
	return slices.Concat(number(sequence), tag, []byte(id))
}

// splitKey returns the tag and the id in a record key. Both are zero if k is
// none.
func splitKey(k []byte) (tag []byte, id kiosk.RecordID) {
	if n := len(k) - sequenceSize - tagSize; n < 1 || n > idMax {
		return nil, ""
	}
	return k[sequenceSize : sequenceSize+tagSize], kiosk.RecordID(k[sequenceSize+tagSize:])
}

// A tagger makes tags with one device key.
type tagger struct{ key []byte }

// newTaggers returns one for each key of the ring, the current one first.
func newTaggers(ring *seal.Ring) ([]tagger, error) {
	var out []tagger
	for _, key := range ring.All() {
		secret, err := key.Derive("correlation tag")
		if err != nil {
			return nil, err
		}
		out = append(out, tagger{secret})
	}
	return out, nil
}

// tag is what is kept of a correlation id: enough to know it again with the
// device key, and nothing without.
func (t tagger) tag(correlationID string) []byte {
	mac := hmac.New(sha256.New, t.key)
	mac.Write([]byte(correlationID))
	return mac.Sum(nil)[:tagSize]
}

// tags are what a correlation id may have been kept as, under each device key.
// The first is that of the current key, under which it is kept from now on.
func (q *Queue) tags(correlationID string) [][]byte {
	out := make([][]byte, len(q.taggers))
	for i, t := range q.taggers {
		out[i] = t.tag(correlationID)
	}
	return out
}

// A head is what is readable of a record without the device key: what the
// order of delivery and staff need, no personal data and no secret. It is
// believed only where the sealed parts agree: its attempt and key are bound
// into them.
type head struct {
	Format       uint16          `json:"format"`
	Record       kiosk.RecordID  `json:"record"`
	Session      kiosk.SessionID `json:"session"`
	Attempt      int             `json:"attempt"`
	Review       bool            `json:"review,omitempty"`
	Key          string          `json:"key"`             // fingerprint of the device key it is sealed for
	Relay        string          `json:"relay,omitempty"` // fingerprint of the relay's key that images and metadata are sealed for
	Slot         *uint32         `json:"slot,omitempty"`  // of its epoch key; nil: it has no parts
	Check        uint32          `json:"check,omitempty"` // of Slot
	Stamp        int64           `json:"stamp,omitempty"` // the outbox's own clock when it was put, s; 0: unknown
	Queued       time.Time       `json:"queued"`          // wall clock, for people
	State        string          `json:"state"`
	SubmissionID string          `json:"submission_id,omitempty"`
	Changed      time.Time       `json:"changed,omitzero"` // of State
	Reason       string          `json:"reason,omitempty"` // of a dead letter
}

func decodeHead(b []byte) (head, error) {
	var h head
	if err := json.Unmarshal(b, &h); err != nil {
		return head{}, fmt.Errorf("head: %w", err)
	}
	switch {
	case h.Format != Format:
		return head{}, fmt.Errorf("head: format %d", h.Format)
	case h.Attempt < 1 || h.Attempt > 1<<16:
		return head{}, fmt.Errorf("head: attempt %d", h.Attempt)
	case h.Check != check(h.Slot, string(h.Record)):
		return head{}, errors.New("head: epoch key does not read")
	}
	switch h.State {
	case stateQueued, stateSubmitted, stateUploaded, stateConfirmed, stateDead:
		return h, nil
	default:
		return head{}, errors.New("head: unknown state")
	}
}

// readHead returns the head of the record in bucket, whose key is k.
func readHead(bucket *bbolt.Bucket, k []byte) (head, error) {
	h, err := decodeHead(bucket.Get([]byte(headKey)))
	if err != nil {
		return head{}, err
	}
	if _, id := splitKey(k); h.Record != id {
		return head{}, errors.New("head: is another record's")
	}
	return h, nil
}

func (h head) put(bucket *bbolt.Bucket) error {
	h.Check = check(h.Slot, string(h.Record))
	b, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return bucket.Put([]byte(headKey), b)
}

func (h head) entry(size int64) kiosk.Entry {
	return kiosk.Entry{
		Record: h.Record, Session: h.Session, Attempt: h.Attempt, State: h.State, Review: h.Review,
		SubmissionID: h.SubmissionID, Reason: h.Reason, Queued: h.Queued, Bytes: size,
	}
}

// weigh returns the sealed bytes of a record: metadata and images, which stay
// the same for as long as it is stored.
func weigh(record *bbolt.Bucket) int64 {
	size := int64(len(record.Get([]byte(metaKey))))
	c := record.Cursor()
	for k, _ := c.Seek([]byte(imagePrefix)); bytes.HasPrefix(k, []byte(imagePrefix)); k, _ = c.Next() {
		if image := record.Bucket(k); image != nil {
			size += int64(len(image.Get([]byte(sealedKey))))
		}
	}
	return size
}

// binding is where a part of the record belongs, whose correlation id has the
// tag.
func (h head) binding(tag []byte, part string) seal.Binding {
	return seal.Binding{
		Format: h.Format, Attempt: uint32(h.Attempt), Record: string(h.Record),
		Correlation: hex.EncodeToString(tag), Device: h.Key, Part: part, Key: h.Key,
	}
}

// envelope is where a part belongs that only a relay opens.
func (h head) envelope(correlationID, part string) seal.Binding {
	return seal.Binding{
		Format: h.Format, Attempt: uint32(h.Attempt), Record: string(h.Record),
		Correlation: correlationID, Device: h.Key, Part: part, Key: h.Relay,
	}
}

// A body is the sealed part "meta": all of a submission but its images.
type body struct {
	Session       kiosk.SessionID          `json:"session"`
	AttemptsLeft  int                      `json:"attempts_left"`
	Review        bool                     `json:"review,omitempty"`
	CorrelationID string                   `json:"correlation_id"`
	Token         string                   `json:"token,omitempty"`
	UserID        string                   `json:"user_id,omitempty"`
	UserIDType    string                   `json:"user_id_type,omitempty"`
	Locale        kiosk.Locale             `json:"locale,omitempty"`
	Metadata      json.RawMessage          `json:"metadata,omitempty"`
	Queued        time.Time                `json:"queued"`
	Images        map[kiosk.Document]int64 `json:"images"` // bytes in the clear
}

func decodeBody(b []byte) (body, error) {
	var m body
	if err := json.Unmarshal(b, &m); err != nil {
		return body{}, errors.New("meta: is not JSON of its kind") // the cause could quote it
	}
	return m, nil
}

// A progress is the sealed part "marks".
type progress struct {
	Token        string                  `json:"token,omitempty"`
	SubmissionID string                  `json:"submission_id,omitempty"`
	Uploaded     map[kiosk.Document]bool `json:"uploaded,omitempty"`
	Confirmed    bool                    `json:"confirmed,omitempty"`
	Pace         pace                    `json:"pace,omitzero"`
}

type pace struct {
	Failures  int       `json:"failures,omitempty"`
	Polls     int       `json:"polls,omitempty"`
	Polling   time.Time `json:"polling,omitzero"`
	NotBefore time.Time `json:"not_before,omitzero"`
}

func newProgress(m kiosk.Marks) progress {
	p := pace(m.Pace)
	p.Polling, p.NotBefore = p.Polling.UTC(), p.NotBefore.UTC()
	return progress{Token: m.Token, SubmissionID: m.SubmissionID, Uploaded: m.Uploaded, Confirmed: m.Confirmed, Pace: p}
}

func (p progress) marks() kiosk.Marks {
	return kiosk.Marks{Token: p.Token, SubmissionID: p.SubmissionID, Uploaded: p.Uploaded, Confirmed: p.Confirmed, Pace: kiosk.Pace(p.Pace)}
}

func decodeProgress(b []byte) (progress, error) {
	var p progress
	if err := json.Unmarshal(b, &p); err != nil {
		return progress{}, errors.New("marks: are not JSON of their kind")
	}
	return p, nil
}

// A receipt is what history keeps of a settled record.
type receipt struct {
	Format       uint16          `json:"format"`
	Record       kiosk.RecordID  `json:"record"`
	Session      kiosk.SessionID `json:"session"`
	Attempt      int             `json:"attempt"`
	Review       bool            `json:"review,omitempty"`
	SubmissionID string          `json:"submission_id,omitempty"`
	Action       kiosk.Action    `json:"action"`
	Reason       string          `json:"reason,omitempty"`
	By           string          `json:"by,omitempty"` // who gave it up; "": the gateway answered, or its time was over
	Queued       time.Time       `json:"queued"`
	Settled      time.Time       `json:"settled"`
}

func decodeReceipt(b []byte) (receipt, error) {
	var r receipt
	if err := json.Unmarshal(b, &r); err != nil {
		return receipt{}, fmt.Errorf("receipt: %w", err)
	}
	if r.Format != Format {
		return receipt{}, fmt.Errorf("receipt: format %d", r.Format)
	}
	return r, nil
}

func (r receipt) entry() kiosk.Entry {
	return kiosk.Entry{
		Record: r.Record, Session: r.Session, Attempt: r.Attempt, State: stateDone, Review: r.Review,
		SubmissionID: r.SubmissionID, Outcome: r.Action, Reason: r.Reason, Queued: r.Queued,
	}
}

// shorten cuts a reason to what is kept of it.
func shorten(reason string) string {
	if len(reason) <= reasonMax {
		return reason
	}
	return string(bytes.ToValidUTF8([]byte(reason[:reasonMax]), nil))
}
