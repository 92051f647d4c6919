package deliver_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"livekiosk/kiosk"
)

// memOutbox is a fake: it behaves like the queue, in memory, and can fail.
type memOutbox struct {
	mu      sync.Mutex
	order   []kiosk.RecordID
	jobs    map[kiosk.RecordID]kiosk.Job
	images  map[kiosk.RecordID]map[kiosk.Document][]byte
	settled map[kiosk.RecordID]kiosk.Receipt
	dead    map[kiosk.RecordID]string
	outages []kiosk.Outage
	writes  int      // marks and outages
	lent    [][]byte // images handed out
	wake    chan struct{}
	broken  error                   // what every step says
	stuck   error                   // what Settle says
	sealed  map[kiosk.RecordID]bool // records that do not open
}

func newOutbox() *memOutbox {
	return &memOutbox{
		jobs: map[kiosk.RecordID]kiosk.Job{}, images: map[kiosk.RecordID]map[kiosk.Document][]byte{},
		settled: map[kiosk.RecordID]kiosk.Receipt{}, dead: map[kiosk.RecordID]string{},
		sealed: map[kiosk.RecordID]bool{}, wake: make(chan struct{}, 1),
	}
}

// put stores a record, marks and all.
func (o *memOutbox) put(j kiosk.Job, images map[kiosk.Document][]byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, known := o.jobs[j.Record]; known {
		return
	}
	for id, why := range o.dead { // the person was still there
		if why == kiosk.NeedsRecapture && o.jobs[id].Session == j.Session {
			delete(o.dead, id)
			o.settled[id] = kiosk.Receipt{Record: id, Session: j.Session, Action: kiosk.Retry}
		}
	}
	j.Queued = time.Now()
	o.order = append(o.order, j.Record)
	o.jobs[j.Record] = j
	o.images[j.Record] = map[kiosk.Document][]byte{}
	for d, img := range images {
		o.images[j.Record][d] = bytes.Clone(img)
	}
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *memOutbox) Put(ctx context.Context, s *kiosk.Submission) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	o.put(kiosk.Job{
		Record: s.Record, Session: s.Session, Attempt: s.Attempt, AttemptsLeft: s.AttemptsLeft, CorrelationID: s.CorrelationID,
		Token: s.Token, UserID: s.UserID, UserIDType: s.UserIDType, Locale: s.Locale, Metadata: bytes.Clone(s.Metadata),
	}, s.Images)
	return nil
}

// fail makes every step say err.
func (o *memOutbox) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.broken = err
}

// failSettle makes Settle say err.
func (o *memOutbox) failSettle(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stuck = err
}

// enter takes the lock and says why the step cannot be done.
func (o *memOutbox) enter(ctx context.Context) error {
	o.mu.Lock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return o.broken
}

// find says why a record cannot be used.
func (o *memOutbox) find(id kiosk.RecordID) error {
	switch {
	case !slices.Contains(o.order, id):
		return kiosk.ErrNoRecord
	case o.sealed[id]:
		return kiosk.ErrSealBroken
	}
	return nil
}

func (o *memOutbox) Pending(ctx context.Context) ([]kiosk.RecordID, error) {
	defer o.mu.Unlock()
	if err := o.enter(ctx); err != nil {
		return nil, err
	}
	return slices.Clone(o.order), nil
}

func (o *memOutbox) Job(ctx context.Context, id kiosk.RecordID) (kiosk.Job, error) {
	defer o.mu.Unlock()
	if err := o.enter(ctx); err != nil {
		return kiosk.Job{}, err
	}
	if err := o.find(id); err != nil {
		return kiosk.Job{}, err
	}
	j := o.jobs[id]
	j.Marks.Uploaded = maps.Clone(j.Marks.Uploaded)
	return j, nil
}

func (o *memOutbox) Image(ctx context.Context, id kiosk.RecordID, d kiosk.Document, into *[]byte) ([]byte, error) {
	defer o.mu.Unlock()
	if err := o.enter(ctx); err != nil {
		return nil, err
	}
	if err := o.find(id); err != nil {
		return nil, err
	}
	img, captured := o.images[id][d]
	if !captured {
		return nil, kiosk.ErrNoRecord
	}
	if into == nil {
		into = new([]byte)
	}
	*into = append((*into)[:0], img...)
	img = *into
	o.lent = append(o.lent, img)
	return img, nil
}

func (o *memOutbox) Wake() <-chan struct{} { return o.wake }

func (o *memOutbox) Mark(ctx context.Context, id kiosk.RecordID, m kiosk.Marks) error {
	defer o.mu.Unlock()
	if err := o.enter(ctx); err != nil {
		return err
	}
	if err := o.find(id); err != nil {
		return err
	}
	j := o.jobs[id]
	j.Marks = m
	j.Marks.Uploaded = maps.Clone(m.Uploaded)
	o.jobs[id] = j
	o.writes++
	return nil
}

func (o *memOutbox) Recapture(ctx context.Context, id kiosk.RecordID, r kiosk.Receipt) error {
	defer o.mu.Unlock()
	if err := o.enter(ctx); err != nil {
		return err
	}
	if o.stuck != nil {
		return o.stuck
	}
	if _, was := o.settled[id]; was || o.dead[id] == kiosk.NeedsRecapture {
		return nil
	}
	if !slices.Contains(o.order, id) {
		return kiosk.ErrNoRecord
	}
	if r.Action != kiosk.Retry {
		return errors.New("action recaptures nothing")
	}
	o.dead[id] = kiosk.NeedsRecapture
	o.images[id] = nil
	o.remove(id)
	return nil
}

func (o *memOutbox) Outages(ctx context.Context) ([]kiosk.Outage, error) {
	defer o.mu.Unlock()
	if err := o.enter(ctx); err != nil {
		return nil, err
	}
	return slices.Clone(o.outages), nil
}

func (o *memOutbox) SetOutages(ctx context.Context, outages []kiosk.Outage) error {
	defer o.mu.Unlock()
	if err := o.enter(ctx); err != nil {
		return err
	}
	o.outages = slices.Clone(outages)
	o.writes++
	return nil
}

func (o *memOutbox) Settle(ctx context.Context, id kiosk.RecordID, r kiosk.Receipt) error {
	defer o.mu.Unlock()
	if err := o.enter(ctx); err != nil {
		return err
	}
	switch {
	case o.stuck != nil:
		return o.stuck
	case !slices.Contains([]kiosk.Action{kiosk.Retry, kiosk.ExitSuccess, kiosk.ExitFailure}, r.Action):
		return errors.New("action settles nothing")
	}
	if _, was := o.settled[id]; was {
		return nil
	}
	if _, known := o.jobs[id]; !known {
		return kiosk.ErrNoRecord
	}
	o.settled[id] = r
	delete(o.dead, id)
	o.remove(id)
	return nil
}

func (o *memOutbox) Dead(ctx context.Context, id kiosk.RecordID, reason string) error {
	defer o.mu.Unlock()
	if err := o.enter(ctx); err != nil {
		return err
	}
	if _, was := o.dead[id]; was {
		return nil
	}
	if !slices.Contains(o.order, id) {
		return kiosk.ErrNoRecord
	}
	o.dead[id] = reason
	o.remove(id)
	return nil
}

func (o *memOutbox) remove(id kiosk.RecordID) {
	o.order = slices.DeleteFunc(o.order, func(x kiosk.RecordID) bool { return x == id })
}

// end returns what a record was settled with, if it was.
func (o *memOutbox) end(id kiosk.RecordID) kiosk.Receipt {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.settled[id]
}

// ends returns how many records were settled.
func (o *memOutbox) ends() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.settled)
}

// aside returns why a record was set aside, if it was.
func (o *memOutbox) aside(id kiosk.RecordID) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.dead[id]
}

// marks returns a record's marks.
func (o *memOutbox) marks(id kiosk.RecordID) kiosk.Marks {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.jobs[id].Marks
}

// written returns how often marks and outages were.
func (o *memOutbox) written() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.writes
}

// kept returns the outages that were written down.
func (o *memOutbox) kept() []kiosk.Outage {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.outages)
}

func (o *memOutbox) left() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.order)
}

// story collects what a deliverer tells.
type story struct {
	mu       sync.Mutex
	lines    []string
	receipts []kiosk.Receipt
	news     chan struct{}
}

func newStory() *story { return &story{news: make(chan struct{}, 1)} }

func (s *story) emit(ev kiosk.Event) {
	line := string(ev.Kind)
	if ev.Text != "" && ev.Kind != kiosk.EventURLs {
		line += ":" + ev.Text
	}
	s.mu.Lock()
	s.lines = append(s.lines, line)
	s.mu.Unlock()
	s.notify()
}

func (s *story) report(r kiosk.Receipt) {
	s.mu.Lock()
	s.receipts = append(s.receipts, r)
	s.mu.Unlock()
	s.notify()
}

func (s *story) notify() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// word returns what was reported of a record, if anything was.
func (s *story) word(id kiosk.RecordID) kiosk.Receipt {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.receipts {
		if r.Record == id {
			return r
		}
	}
	return kiosk.Receipt{}
}

func (s *story) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, " ")
}

// until waits until done is true. It looks after each word, and in between for
// what comes about without one.
func (s *story) until(t *testing.T, done func() bool) {
	t.Helper()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	silence := time.NewTicker(20 * time.Millisecond)
	defer silence.Stop()
	for !done() {
		select {
		case <-s.news:
		case <-silence.C:
		case <-limit.C:
			t.Fatalf("not done after a minute; so far: %s", s)
		}
	}
}
