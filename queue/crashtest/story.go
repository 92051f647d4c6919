package crashtest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"

	"livekiosk/kiosk"
)

// An Op is one step of the workload.
type Op string

// The steps. Each is told before it begins and again once it was acknowledged;
// those of records and bookings change what an image must hold.
const (
	OpOpen      Op = "open"
	OpPut       Op = "put"
	OpMark      Op = "mark"
	OpSettle    Op = "settle"
	OpRecapture Op = "recapture"
	OpDead      Op = "dead"
	OpRevive    Op = "revive"
	OpDrop      Op = "drop"
	OpBook      Op = "book"
	OpFetched   Op = "fetched"
	OpUnbook    Op = "unbook"
	OpProbe     Op = "probe"
	OpPrune     Op = "prune"
	OpClose     Op = "close"
	OpCompact   Op = "compact"
	OpSucceed   Op = "succeed" // no step of its own: what a put does to the letter that it ends
	OpSecret    Op = "secret"  // no step: names what must never be found on the disk
)

// A Line is what the workload says of one step, in the recorder's order of
// events: once when it begins, with all that it is about, and once with Done.
type Line struct {
	N      int            `json:"n"` // of the step, from 1; the same in both lines
	Done   bool           `json:"done,omitempty"`
	Op     Op             `json:"op,omitempty"`
	Record kiosk.RecordID `json:"record,omitempty"`
	Put    *Capture       `json:"put,omitempty"`
	Mark   *Mark          `json:"mark,omitempty"`
	With   kiosk.Action   `json:"with,omitempty"`   // outcome of a settlement
	Person string         `json:"person,omitempty"` // correlation id of a booking
	Token  string         `json:"token,omitempty"`  // digest, of a booking
	Secret []byte         `json:"secret,omitempty"`
}

// A Capture is what is known of a record without its bytes. Two captures are
// the same evidence if they are equal.
type Capture struct {
	Record        kiosk.RecordID  `json:"record"`
	Session       kiosk.SessionID `json:"session"`
	Attempt       int             `json:"attempt"`
	CorrelationID string          `json:"correlationId"`
	Token         string          `json:"token,omitempty"` // digest; "" for none
	Content       string          `json:"content"`         // digest of everything else
	Selfie        string          `json:"selfie"`          // SHA-256 of the image, hexadecimal: by it the gateway's effects are known

	Follows kiosk.RecordID `json:"follows,omitempty"` // the earlier attempt whose letter it ends
	Rejects bool           `json:"rejects,omitempty"` // the gateway's judge turns it down
}

// A Mark is a record's marks, as they can be compared.
type Mark struct {
	Core     string `json:"core"` // digest of all but the pace
	Failures int    `json:"failures,omitempty"`
	Polls    int    `json:"polls,omitempty"`
}

// digest returns enough of SHA-256 over the JSON of v to tell values apart.
func digest(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "no JSON: " + err.Error()
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:12])
}

func tokenDigest(token string) string {
	if token == "" {
		return ""
	}
	return digest(token)
}

// imageSum is how images are known in stories and at the gateway.
func imageSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

type content struct {
	AttemptsLeft int
	UserID       string
	UserIDType   string
	Locale       kiosk.Locale
	Metadata     string
	Images       map[kiosk.Document]string
}

// captureOf describes a submission that is about to be put.
func captureOf(s *kiosk.Submission) Capture {
	images := map[kiosk.Document]string{}
	for document, image := range s.Images {
		images[document] = imageSum(image)
	}
	return Capture{
		Record: s.Record, Session: s.Session, Attempt: s.Attempt, CorrelationID: s.CorrelationID, Token: tokenDigest(s.Token),
		Content: digest(content{s.AttemptsLeft, s.UserID, s.UserIDType, s.Locale, string(s.Metadata), images}),
		Selfie:  images[kiosk.Selfie],
	}
}

// captureOfJob describes what came back of one. Follows and Rejects are not
// known.
func captureOfJob(j kiosk.Job, images map[kiosk.Document]string) Capture {
	return Capture{
		Record: j.Record, Session: j.Session, Attempt: j.Attempt, CorrelationID: j.CorrelationID, Token: tokenDigest(j.Token),
		Content: digest(content{j.AttemptsLeft, j.UserID, j.UserIDType, j.Locale, string(j.Metadata), images}),
		Selfie:  images[kiosk.Selfie],
	}
}

func markOf(m kiosk.Marks) Mark {
	var uploaded []kiosk.Document
	for document, is := range m.Uploaded {
		if is {
			uploaded = append(uploaded, document)
		}
	}
	slices.Sort(uploaded)
	return Mark{
		Core: digest(struct {
			Token, SubmissionID string
			Uploaded            []kiosk.Document
			Confirmed           bool
		}{m.Token, m.SubmissionID, uploaded, m.Confirmed}),
		Failures: m.Pace.Failures, Polls: m.Pace.Polls,
	}
}

// A teller writes the lines of a workload, each with one write. It is safe for
// concurrent use.
type teller struct {
	mu  sync.Mutex
	out io.Writer
	n   int
}

func (t *teller) write(l Line) error {
	b, err := json.Marshal(l)
	if err == nil {
		_, err = t.out.Write(append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("tell %s: %w", l.Op, err)
	}
	return nil
}

// step tells of a step, takes it, and tells that it was acknowledged. A step
// that failed stays open: it may have happened.
func (t *teller) step(l Line, take func() error) error {
	t.mu.Lock()
	t.n++
	l.N = t.n
	err := t.write(l)
	t.mu.Unlock()
	if err != nil {
		return err
	}
	if err := take(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.write(Line{N: l.N, Done: true})
}

// secret names what must not be found on the disk.
func (t *teller) secret(value []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.write(Line{Op: OpSecret, Secret: value})
}
