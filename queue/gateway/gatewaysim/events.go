package gatewaysim

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"
)

// An Event is one thing that happened in the simulated world. It holds no
// token, no user and no image.
type Event struct {
	Seq         int       `json:"seq"` // from 1
	At          time.Time `json:"at"`
	Call        string    `json:"call"` // a call, or "verdict"
	Status      int       `json:"status,omitempty"`
	Cause       string    `json:"cause,omitempty"`
	Correlation string    `json:"correlationId,omitempty"`
	Submission  string    `json:"submissionId,omitempty"`
	Document    string    `json:"document,omitempty"`
	Bytes       int64     `json:"bytes,omitempty"`
	SHA256      string    `json:"sha256,omitempty"` // of an uploaded document
	Result      string    `json:"result,omitempty"`
	Reason      string    `json:"reasonCode,omitempty"`
	Duplicate   bool      `json:"duplicate,omitempty"` // a callback that was heard before
	Fault       string    `json:"fault,omitempty"`
}

// journalSize bounds how many events are kept.
const journalSize = 20_000

// A journal keeps the newest events and wakes those who follow it.
type journal struct {
	mu    sync.Mutex
	seq   int
	kept  []Event // the newest
	fresh chan struct{}
}

func newJournal() *journal { return &journal{fresh: make(chan struct{})} }

// add keeps an event. It tells save of it, and of each that it forgets for it.
func (j *journal) add(ev Event, save func(Event, bool)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seq++
	ev.Seq = j.seq
	if len(j.kept) >= journalSize {
		for _, old := range j.kept[:journalSize/10] {
			save(old, false)
		}
		j.kept = append(j.kept[:0], j.kept[journalSize/10:]...)
	}
	j.kept = append(j.kept, ev)
	save(ev, true)
	close(j.fresh)
	j.fresh = make(chan struct{})
}

// restore takes over events of before, oldest first.
func (j *journal) restore(events []Event) {
	if n := len(events); n > 0 {
		j.kept, j.seq = events, events[n-1].Seq
	}
}

// since returns the kept events after seq, and a channel that is closed when
// there are newer ones.
func (j *journal) since(seq int) ([]Event, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	i, _ := slices.BinarySearchFunc(j.kept, seq+1, func(ev Event, seq int) int { return cmp.Compare(ev.Seq, seq) })
	return slices.Clone(j.kept[i:]), j.fresh
}

// last returns the newest n events, oldest first.
func (j *journal) last(n int) []Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.kept[max(0, len(j.kept)-n):])
}

// Events returns the newest events, oldest first.
func (s *Sim) Events() []Event {
	events, _ := s.events.since(0)
	return events
}

// Await waits until an event is as wanted and returns it. It looks at events
// that have happened, too.
func (s *Sim) Await(ctx context.Context, want func(Event) bool) (Event, error) {
	seq := 0
	for {
		events, fresh := s.events.since(seq)
		for _, ev := range events {
			if seq = ev.Seq; want(ev) {
				return ev, nil
			}
		}
		select {
		case <-ctx.Done():
			return Event{}, ctx.Err()
		case <-fresh:
		}
	}
}

// serveEvents writes the events as NDJSON, and goes on with ?follow=1.
func (s *Sim) serveEvents(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	follow := r.URL.Query().Get("follow") == "1"
	enc := json.NewEncoder(w)
	seq := 0
	for {
		events, fresh := s.events.since(seq)
		for _, ev := range events {
			seq = ev.Seq
			if enc.Encode(ev) != nil {
				return // the client has gone
			}
		}
		if !follow || http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-fresh:
		}
	}
}
