package kiosk

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// A Document names one image at the gateway.
type Document string

// The documents of a selfie-liveness submission.
const (
	Selfie           Document = "SELFIE"            // the far pose
	AdditionalSelfie Document = "ADDITIONAL_SELFIE" // the near pose
)

// Documents returns the documents of a submission in the order of upload.
func Documents() []Document { return []Document{Selfie, AdditionalSelfie} }

// EvidenceMin and EvidenceMax are the sizes, in bytes, of an image that the
// gateway takes. What it would refuse must not be called saved.
const (
	EvidenceMin = 20 << 10
	EvidenceMax = 4 << 20
)

// A Submission is one attempt's evidence on its way to the outbox. Its images
// are JPEG, owned by whoever holds the submission.
type Submission struct {
	Record        RecordID
	Session       SessionID
	Attempt       int  // from 1
	AttemptsLeft  int  // after this one, should the gateway ask for a retry
	Review        bool // flagged: the device alone could not tell, a person should look
	CorrelationID string
	Token         string // user token, secret; "" if it must be asked for
	UserID        string // personal data
	UserIDType    string
	Locale        Locale
	Images        map[Document][]byte
	Metadata      json.RawMessage // sent with the confirmation: numbers, consent, provenance; no pixels
}

// Erase overwrites the images: called once they are sealed or given up.
func (s *Submission) Erase() {
	for _, b := range s.Images {
		clear(b)
	}
	s.Images = nil
}

// LogValue keeps images, token and user out of every log.
func (s *Submission) LogValue() slog.Value {
	return slog.GroupValue(slog.String("record", string(s.Record)), slog.Int("attempt", s.Attempt), slog.Bool("review", s.Review))
}

// Marks are the steps of a record's delivery that are durably done. A step is
// marked before anything relies on it; every step may run twice.
type Marks struct {
	Token        string // user token obtained while syncing; sealed on disk
	SubmissionID string
	Uploaded     map[Document]bool
	Confirmed    bool
	Pace         Pace
}

// A Pace is how often a record was tried, so that a restart does not start its
// waits over. It is polite, not needed to be right.
type Pace struct {
	Failures  int       // in a row
	Polls     int       // status calls since the confirmation
	Polling   time.Time // of the first of them, wall clock
	NotBefore time.Time // the server's wish, wall clock; believed for 15 minutes at most
}

// NeedsRecapture is the reason of a dead letter whose images the gateway
// turned down when nobody was there any more to take new ones.
const NeedsRecapture = "needs_recapture"

// A Booking is a person who is expected. Their user token is fetched while
// there is a network, and used should there be none when they come.
type Booking struct {
	CorrelationID string
	UserID        string // personal data
	UserIDType    string
	Locale        Locale
	Token         UserToken // zero: not fetched yet
	Booked        time.Time // wall clock
}

// Code is what the person of the booking with this correlation id may type to
// start their session: eight digits, always the same for one id, by which
// nobody finds the id.
func Code(correlationID string) string {
	sum := sha256.Sum256([]byte("livekiosk code\n" + correlationID))
	return fmt.Sprintf("%08d", binary.BigEndian.Uint64(sum[:])%1e8)
}

// A PausedError reports that too many codes or PINs in a row were wrong: until
// For has passed none is looked at, not even the right one.
type PausedError struct{ For time.Duration }

func (e *PausedError) Error() string {
	return fmt.Sprintf("too many were wrong: none is looked at for %v", e.For.Round(time.Second))
}

// LogValue keeps the person out of every log.
func (b Booking) LogValue() slog.Value {
	return slog.GroupValue(slog.Bool("token", b.Token.Value != ""), slog.Time("booked", b.Booked))
}

// A Job is one record as the deliverer sees it: everything but the images.
type Job struct {
	Record        RecordID
	Session       SessionID
	Attempt       int
	AttemptsLeft  int
	CorrelationID string
	Token         string // of the launch, secret; Marks.Token wins where set
	UserID        string
	UserIDType    string
	Locale        Locale
	Metadata      json.RawMessage
	Marks         Marks
	Queued        time.Time // wall clock, for people
}

// LogValue keeps token and user out of every log.
func (j Job) LogValue() slog.Value {
	return slog.GroupValue(slog.String("record", string(j.Record)), slog.Int("attempt", j.Attempt))
}

// An Action is what the gateway's status asks of the kiosk next.
type Action string

// The next actions. Exit is split by its outcome.
const (
	PollAgain   Action = "STATUS"
	Retry       Action = "RETRY"        // a new capture, if the person is still there
	ExitSuccess Action = "EXIT_SUCCESS" // approved
	ExitFailure Action = "EXIT_FAILURE" // not approved, quota used up, error or cancelled
	ExitError   Action = "EXIT_ERROR"   // never judged: it could not be delivered, staff has to look
)

// A Receipt is the gateway's word on one record, which may be an earlier
// visitor's.
type Receipt struct {
	Record       RecordID
	Session      SessionID
	SubmissionID string
	Action       Action // never PollAgain
	Reason       string // for staff and logs: the HTTP cause or status; never a score
}

// An Entry is one record as staff see it: no personal data, no secret.
type Entry struct {
	Record       RecordID  `json:"record"`
	Session      SessionID `json:"session"`
	Attempt      int       `json:"attempt"`
	State        string    `json:"state"` // queued, submitted, uploaded, confirmed, done, dead
	Review       bool      `json:"review"`
	SubmissionID string    `json:"submissionId,omitempty"`
	Outcome      Action    `json:"outcome,omitempty"`
	Reason       string    `json:"reason,omitempty"`
	Queued       time.Time `json:"queued"`
	Bytes        int64     `json:"bytes"` // on disk, sealed
}

// A Detail is what else staff may see of one record: no personal data, no
// secret, no image.
type Detail struct {
	Entry

	Key       string     `json:"key,omitempty"`     // fingerprint of the device key it is sealed for
	Relay     string     `json:"relay,omitempty"`   // fingerprint of the relay's key that the evidence is sealed for
	Changed   time.Time  `json:"changed,omitzero"`  // of State, wall clock
	By        string     `json:"by,omitempty"`      // who dropped it
	Age       int64      `json:"age"`               // seconds that have certainly passed since it was queued
	Expires   int64      `json:"expires,omitempty"` // seconds until it is erased for its age, at the earliest
	Parts     []Part     `json:"parts,omitempty"`
	Uploaded  []Document `json:"uploaded,omitempty"`
	Confirmed bool       `json:"confirmed"`
	Failures  int        `json:"failures"`           // tries in a row that came to nothing
	NotBefore time.Time  `json:"notBefore,omitzero"` // the server's wish, wall clock
}

// A Part is one sealed piece of a record.
type Part struct {
	Name  string `json:"name"`  // meta, marks, image/...
	Bytes int64  `json:"bytes"` // on disk, sealed
	Opens bool   `json:"opens"` // with the keys of this device; what is for a relay is only unwrapped
}

// An Erasure proves when a record or a booking became unreadable: the time at
// which its epoch key was durably destroyed. It holds no data of anybody.
type Erasure struct {
	Record  RecordID  `json:"record,omitempty"`
	Booking string    `json:"booking,omitempty"` // tag of a booking, which has no record id
	Why     string    `json:"why"`               // settled, recapture, dropped, expired, unbooked, redeemed
	Epoch   string    `json:"epoch"`             // which key: the id of its file and its slot
	Removed time.Time `json:"removed,omitzero"`  // from the outbox, wall clock; zero: found removed after a restart
	Erased  time.Time `json:"erased"`            // wall clock
}

// A Verification is what reading every part of the outbox found.
type Verification struct {
	Records int        `json:"records"`
	Parts   int        `json:"parts"`
	Bytes   int64      `json:"bytes"`
	Broken  []RecordID `json:"broken,omitempty"` // with a part that does not open, or lacks its key

	Erasures int  `json:"erasures"`           // lines of the proof of erasure
	Unproven int  `json:"unproven,omitempty"` // of them, made with a device key that is not here: nobody can check them
	Tampered bool `json:"tampered"`           // one of the others was changed, put in or taken out
}

// A Compaction is the size of the outbox file before and after, in bytes.
type Compaction struct {
	Before int64 `json:"before"`
	After  int64 `json:"after"`
}

// A KeyUse is how much of the outbox depends on one device key.
type KeyUse struct {
	Fingerprint string `json:"fingerprint"`
	KEM         string `json:"kem,omitempty"` // x25519, mlkem768x25519; "": the key is not here
	Current     bool   `json:"current"`       // new records are sealed for it
	Records     int    `json:"records"`
	Bookings    int    `json:"bookings"`
}

// Errors of the outbox that callers test for. None of them loses anything.
var (
	ErrQueueFull  = errors.New("outbox is full")
	ErrQueueBusy  = errors.New("outbox is held by another process")
	ErrQueueBad   = errors.New("outbox file is damaged")
	ErrQueueNewer = errors.New("outbox file has a format that this version cannot read")
	ErrWrongPIN   = errors.New("not the PIN")
	ErrNotLocked  = errors.New("the kiosk is not locked")
	ErrNoBooking  = errors.New("no such booking")
	ErrBooked     = errors.New("correlation id is booked or used already")
	ErrNoRecord   = errors.New("no such record")
	ErrNoImages   = errors.New("record has no images any more")
	ErrNoEvidence = errors.New("no frame could be kept as evidence")
	ErrSealBroken = errors.New("record does not open with this device's key")
)
