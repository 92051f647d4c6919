package gatewaysim

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

var errMoved = errors.New("it lies under another's name")

// What is kept at most. Beyond it, the oldest that is finished goes first, and
// then the oldest.
const (
	keptSessions    = 25_000
	keptTokens      = 60_000
	keptSubmissions = 32 // of one session
	keptImages      = 4096
	memoryImages    = 64 << 20  // bytes of images without StateDir
	diskImages      = 512 << 20 // and with it
	waitingImages   = 1 << 30   // bytes of images with those that wait for a verdict, which are never dropped
	finishedAmong   = 64        // the oldest sessions of which a finished one is looked for
)

// A grant is what a token allows. Tokens themselves are not kept: only their
// SHA-256 is.
type grant struct {
	Session string    `json:"session"` // partner session id; "" for a partner token
	Expires time.Time `json:"expires"`
	Number  uint64    `json:"number"` // tokens have an order
}

// A session is one partner session: a person's flow.
type session struct {
	ID        string `json:"id"`
	User      string `json:"user"`
	IDType    string `json:"idType"`
	Flow      string `json:"flow"`
	Reference string `json:"reference,omitempty"` // additionalDetails.referenceImageUrl
	Confirmed int    `json:"confirmed"`           // attempts used
	Number    uint64 `json:"number"`              // sessions have an order

	submissions []*submission // oldest first
}

// A submission is one attempt at the gateway.
type submission struct {
	ID        string               `json:"id"`
	Session   string               `json:"session"`
	Number    uint64               `json:"number"` // submissions have an order
	Kind      string               `json:"kind"`   // submissionType
	Created   time.Time            `json:"created"`
	Confirmed time.Time            `json:"confirmed,omitzero"`
	Times     int                  `json:"times,omitempty"` // confirmations that took effect
	Status    string               `json:"status"`          // as call 6 tells it
	Documents map[string]*document `json:"documents"`
	Polls     int                  `json:"polls,omitempty"`
	Base      string               `json:"base,omitempty"` // root by which the confirmation came
	Verdict   *verdict             `json:"verdict,omitempty"`
	Told      bool                 `json:"told,omitempty"` // the verdict is public

	session *session
}

// A document is one image of a submission.
type document struct {
	State  string    `json:"state"` // as call 6 tells it
	SHA256 string    `json:"sha256,omitempty"`
	Size   int64     `json:"size,omitempty"`
	Whole  bool      `json:"whole,omitempty"` // a JPEG of sane size from end to end
	Kept   bool      `json:"kept,omitempty"`  // the bytes are there
	At     time.Time `json:"at,omitzero"`     // when they came
}

// A verdict is what the check concluded.
type verdict struct {
	At         time.Time `json:"at"`
	Status     string    `json:"status"` // COMPLETED or ERROR
	Approved   bool      `json:"approved"`
	Reason     string    `json:"reason,omitempty"`
	Confidence int       `json:"confidence"` // percent
	Invalid    []string  `json:"invalid,omitempty"`
	Reference  string    `json:"reference,omitempty"` // VALID, or why it is not; "" if there was none to look at
	Match      *float32  `json:"match,omitempty"`
}

func (v *verdict) result() string {
	if v.Approved {
		return "VALID"
	}
	return "INVALID"
}

// open reports whether a submission still takes uploads.
func (sub *submission) open() bool {
	return sub.Status == "INITIATED" || sub.Status == "PARTIALLY_COMPLETED"
}

// waiting reports whether a submission's images are still to be judged.
func (sub *submission) waiting() bool { return !sub.open() && sub.Verdict == nil }

// finished reports whether nothing will come of a session any more by itself.
func (sess *session) finished() bool {
	n := len(sess.submissions)
	return n > 0 && sess.submissions[n-1].Told
}

// selfies are the documents of a submission.
func selfies() []string { return []string{"SELFIE", "ADDITIONAL_SELFIE"} }

// A place names an image.
type place struct{ submission, document string }

func (p place) String() string { return p.submission + "/" + p.document }

// A state is everything that the gateway knows. The simulator's mutex guards
// it. Each change of a record has to be saved before the mutex is let go of,
// and settled before anybody is told.
type state struct {
	disk   *disk  // nil: memory only
	starts uint64 // before this one

	number       uint64 // the last one given
	key          []byte // signs upload URLs
	tokens       map[string]grant
	tokenOrder   []string
	sessions     map[string]*session
	sessionOrder []*session
	submissions  map[string]*submission
	callbacks    map[uint64]*callback
	images       map[place][]byte // in memory; nil bytes on disk
	imageOrder   []place
	imageBytes   int64
	imageLimit   int64
}

func newState() *state {
	return &state{
		tokens: map[string]grant{}, sessions: map[string]*session{}, submissions: map[string]*submission{},
		callbacks: map[uint64]*callback{}, images: map[place][]byte{}, imageLimit: memoryImages, key: []byte(secret()),
	}
}

func (st *state) next() uint64 {
	st.number++
	return st.number
}

// save queues a record; nil deletes it.
func (st *state) save(bucket, key string, v any) {
	if st.disk == nil {
		return
	}
	c := change{bucket: bucket, key: key}
	if v != nil {
		c.value = encode(v)
	}
	st.disk.queue(c)
}

func (st *state) saveSession(sess *session) { st.save(bucketSessions, sess.ID, sess) }

func (st *state) saveSubmission(sub *submission) {
	if st.submissions[sub.ID] == sub { // else it was dropped
		st.save(bucketSubmissions, sub.ID, sub)
	}
}

func (st *state) saveCallback(c *callback, v any) {
	st.save(bucketCallbacks, strconv.FormatUint(c.Number, 10), v)
}

func digest(token string) string {
	h := sha256.Sum256([]byte(token))
	return hex.EncodeToString(h[:])
}

func (st *state) addToken(token string, g grant) {
	g.Number = st.next()
	d := digest(token)
	st.tokens[d] = g
	st.tokenOrder = append(st.tokenOrder, d)
	st.save(bucketTokens, d, g)
	for len(st.tokenOrder) > keptTokens {
		delete(st.tokens, st.tokenOrder[0])
		st.save(bucketTokens, st.tokenOrder[0], nil)
		st.tokenOrder = st.tokenOrder[1:]
	}
}

func (st *state) addSession(sess *session) {
	sess.Number = st.next()
	st.sessions[sess.ID] = sess
	st.sessionOrder = append(st.sessionOrder, sess)
	st.saveSession(sess)
	for len(st.sessionOrder) > keptSessions {
		i := max(0, slices.IndexFunc(st.sessionOrder[:finishedAmong], (*session).finished))
		old := st.sessionOrder[i]
		st.sessionOrder = slices.Delete(st.sessionOrder, i, i+1)
		for _, sub := range old.submissions {
			st.dropSubmission(sub)
		}
		delete(st.sessions, old.ID)
		st.save(bucketSessions, old.ID, nil)
	}
}

func (st *state) addSubmission(sess *session, sub *submission) {
	sub.Number, sub.session, sub.Session = st.next(), sess, sess.ID
	st.submissions[sub.ID] = sub
	sess.submissions = append(sess.submissions, sub)
	st.saveSubmission(sub)
	if len(sess.submissions) > keptSubmissions {
		i := max(0, slices.IndexFunc(sess.submissions, (*submission).open))
		st.dropSubmission(sess.submissions[i])
		sess.submissions = slices.Delete(sess.submissions, i, i+1)
	}
}

func (st *state) dropSubmission(sub *submission) {
	for _, d := range selfies() {
		st.dropImage(sub, d)
	}
	delete(st.submissions, sub.ID)
	st.save(bucketSubmissions, sub.ID, nil)
}

// addImage keeps an image, in the place of the one before it and instead of
// those that are no longer needed. It reports whether there is room; without,
// the one before it stays.
func (st *state) addImage(sub *submission, name string, data []byte) bool {
	p, need, count := place{sub.ID, name}, int64(len(data)), 1
	if old := sub.Documents[name]; old.Kept {
		need, count = need-old.Size, 0
	}
	for st.imageBytes+need > st.imageLimit || len(st.imageOrder)+count > keptImages {
		i := slices.IndexFunc(st.imageOrder, func(p place) bool { return st.submissions[p.submission].Verdict != nil })
		if i < 0 && st.imageBytes+need > waitingImages {
			return false
		}
		if i < 0 {
			// Those of open submissions can come again; the newest are needed soonest.
			i = slices.IndexFunc(st.imageOrder[:len(st.imageOrder)/2], func(q place) bool { return q != p && st.submissions[q.submission].open() })
		}
		if i < 0 {
			break
		}
		old := st.imageOrder[i]
		st.dropImage(st.submissions[old.submission], old.document)
		st.saveSubmission(st.submissions[old.submission])
	}
	st.dropImage(sub, name)
	st.imageOrder = append(st.imageOrder, p)
	st.imageBytes += int64(len(data))
	if st.disk == nil {
		st.images[p] = data
	} else {
		st.disk.queue(change{bucketImages, p.String(), data})
	}
	return true
}

// dropImage forgets an image's bytes. The submission is not saved.
func (st *state) dropImage(sub *submission, name string) {
	doc, p := sub.Documents[name], place{sub.ID, name}
	if doc == nil || !doc.Kept {
		return
	}
	doc.Kept = false
	if sub.open() {
		doc.State = "PENDING"
	}
	if i := slices.Index(st.imageOrder, p); i >= 0 {
		st.imageOrder = slices.Delete(st.imageOrder, i, i+1)
	}
	st.imageBytes -= doc.Size
	delete(st.images, p)
	if st.disk != nil {
		st.disk.queue(change{bucket: bucketImages, key: p.String()})
	}
}

// image returns a kept image's bytes, which are only read.
func (s *Sim) image(p place) ([]byte, error) {
	s.mu.Lock()
	sub := s.submissions[p.submission]
	var doc document
	if sub != nil && sub.Documents[p.document] != nil {
		doc = *sub.Documents[p.document]
	}
	data := s.images[p]
	s.mu.Unlock()
	if !doc.Kept {
		return nil, nil
	}
	if s.disk == nil {
		return data, nil
	}
	data, err := s.disk.image(p.String())
	if err != nil || data == nil {
		return nil, err
	}
	if h := sha256.Sum256(data); hex.EncodeToString(h[:]) != doc.SHA256 {
		return nil, fmt.Errorf("image %s is not what was uploaded", p)
	}
	return data, nil
}

// sweep drops the images that were kept for long enough after their verdict.
func (s *Sim) sweep() {
	now := s.opts.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range slices.Clone(s.imageOrder) {
		if sub := s.submissions[p.submission]; sub.Verdict != nil && now.Sub(sub.Verdict.At) >= s.opts.Lifetimes.Image {
			s.dropImage(sub, p.document)
			s.saveSubmission(sub)
		}
	}
}

// settle returns when everything that anybody may have seen is durable.
func (s *Sim) settle() error {
	if s.disk == nil {
		return nil
	}
	return s.disk.flush()
}

// A beginning is what a state directory knows of the simulator itself.
type beginning struct {
	Key    []byte `json:"key"`    // signs upload URLs; nil before the first start
	Script string `json:"script"` // Options.Faults at the last start
	Starts uint64 `json:"starts"`

	faults []Fault // those to come
}

// An each shows every record of one bucket.
type each func(visit func(key string, value []byte) error) error

// restore reads a state directory, and takes over what it holds.
func (s *Sim) restore() error {
	in := func(bucket string) each {
		return func(visit func(string, []byte) error) error { return s.disk.load(bucket, visit) }
	}
	began, err := s.restoreMeta(in(bucketMeta))
	for _, part := range []struct {
		bucket  string
		restore func(each) error
	}{
		{bucketSessions, s.restoreSessions},
		{bucketSubmissions, s.restoreSubmissions},
		{bucketTokens, s.restoreTokens},
		{bucketCallbacks, s.restoreCallbacks},
		{bucketEvents, s.restoreEvents},
	} {
		if err == nil {
			err = part.restore(in(part.bucket))
		}
	}
	if err != nil {
		return damaged(err)
	}
	script := s.opts.Faults
	if began.Key != nil {
		s.key = began.Key
		if script == began.Script || script == "" {
			// The same command again: what is left of its faults.
			s.faults.faults = began.faults
			script = began.Script
		}
	}
	s.starts = began.Starts
	s.imageLimit = diskImages
	s.save(bucketMeta, "beginning", beginning{Key: s.key, Script: script, Starts: began.Starts + 1})
	s.faults.save(s.faults.faults)
	return s.settle()
}

func (s *Sim) restoreMeta(records each) (beginning, error) {
	var began beginning
	var format string
	var faults []string
	meta := map[string]any{"format": &format, "beginning": &began, "faults": &faults}
	err := records(func(key string, value []byte) error {
		if meta[key] == nil {
			return nil
		}
		return decodeRecord(value, meta[key])
	})
	if err == nil && format != stateFormat {
		err = fmt.Errorf("its format is %q, want %q", format, stateFormat)
	}
	if err == nil {
		began.faults, err = ParseFaults(strings.Join(faults, "\n"))
	}
	return began, err
}

func (s *Sim) restoreSessions(records each) error {
	err := records(func(key string, value []byte) error {
		sess := &session{}
		if err := decodeRecord(value, sess); err != nil || sess.ID != key {
			return cmp.Or(err, errMoved)
		}
		s.sessions[key] = sess
		s.sessionOrder = append(s.sessionOrder, sess)
		s.number = max(s.number, sess.Number)
		return nil
	})
	slices.SortFunc(s.sessionOrder, func(a, b *session) int { return cmp.Compare(a.Number, b.Number) })
	return err
}

func (s *Sim) restoreSubmissions(records each) error {
	err := records(func(key string, value []byte) error {
		sub, err := decodeSubmission(key, value)
		if err != nil {
			return err
		}
		if sub.session = s.sessions[sub.Session]; sub.session == nil {
			return fmt.Errorf("there is no session %q", sub.Session)
		}
		s.submissions[key] = sub
		sub.session.submissions = append(sub.session.submissions, sub)
		s.number = max(s.number, sub.Number)
		for _, d := range selfies() {
			if doc := sub.Documents[d]; doc.Kept {
				s.imageOrder = append(s.imageOrder, place{key, d})
				s.imageBytes += doc.Size
			}
		}
		return nil
	})
	for _, sess := range s.sessionOrder {
		slices.SortFunc(sess.submissions, func(a, b *submission) int { return cmp.Compare(a.Number, b.Number) })
	}
	slices.SortFunc(s.imageOrder, func(a, b place) int {
		return s.submissions[a.submission].Documents[a.document].At.Compare(s.submissions[b.submission].Documents[b.document].At)
	})
	return err
}

// decodeSubmission reads a submission's record.
func decodeSubmission(key string, value []byte) (*submission, error) {
	sub := &submission{}
	if err := decodeRecord(value, sub); err != nil {
		return nil, err
	}
	if sub.ID != key {
		return nil, errMoved
	}
	for _, d := range selfies() {
		if sub.Documents[d] == nil {
			return nil, fmt.Errorf("it has no %s", d)
		}
	}
	if sub.Told && sub.Verdict == nil {
		return nil, errors.New("it tells a verdict that it has not")
	}
	return sub, nil
}

func (s *Sim) restoreTokens(records each) error {
	err := records(func(key string, value []byte) error {
		var g grant
		if err := decodeRecord(value, &g); err != nil {
			return err
		}
		s.tokens[key] = g
		s.tokenOrder = append(s.tokenOrder, key)
		s.number = max(s.number, g.Number)
		return nil
	})
	slices.SortFunc(s.tokenOrder, func(a, b string) int { return cmp.Compare(s.tokens[a].Number, s.tokens[b].Number) })
	return err
}

func (s *Sim) restoreCallbacks(records each) error {
	return records(func(key string, value []byte) error {
		c := &callback{}
		if err := decodeRecord(value, c); err != nil {
			return err
		}
		if strconv.FormatUint(c.Number, 10) != key {
			return errMoved
		}
		s.callbacks[c.Number] = c
		s.number = max(s.number, c.Number)
		return nil
	})
}

func (s *Sim) restoreEvents(records each) error {
	var events []Event
	err := records(func(_ string, value []byte) error {
		var ev Event
		if err := decodeRecord(value, &ev); err != nil {
			return err
		}
		events = append(events, ev)
		return nil
	})
	slices.SortFunc(events, func(a, b Event) int { return cmp.Compare(a.Seq, b.Seq) })
	s.events.restore(events)
	return err
}

// resume puts what was still to be done on the agendas.
func (s *Sim) resume() {
	now := s.opts.Now()
	for _, sub := range s.submissions {
		if sub.waiting() {
			s.judgeLater(sub, min(max(0, s.opts.JudgeAfter-now.Sub(sub.Confirmed)), s.opts.JudgeAfter))
		}
	}
	for _, c := range s.callbacks {
		s.sending.add(0, s.send(c))
	}
}
