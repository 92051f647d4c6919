package partner

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// An Event is one thing that happened at the backend. It holds no token, no
// user and no image.
type Event struct {
	Seq           int       `json:"seq"` // from 1
	At            time.Time `json:"at"`
	Call          string    `json:"call"`             // see the Call constants
	Status        int       `json:"status,omitempty"` // HTTP, of what this backend answered
	Cause         string    `json:"cause,omitempty"`  // of a failure
	Kiosk         string    `json:"kiosk,omitempty"`  // the name in the kiosk's certificate
	CorrelationID string    `json:"correlationId,omitempty"`
	SubmissionID  string    `json:"submissionId,omitempty"`
	Result        string    `json:"result,omitempty"` // the gateway's result, or the status of the kiosk's
	Duplicate     bool      `json:"duplicate,omitempty"`
}

// The calls of the events.
const (
	CallFlow           = "flow"            // the front end: initiate a flow
	CallLaunch         = "launch"          // the front end, through this backend: launch on the kiosk
	CallInitiate       = "initiate"        // a kiosk: a user token, please
	CallVerdict        = "verdict"         // a kiosk: the result of a launch, or a later one
	CallCallback       = "callback"        // the gateway
	CallReference      = "reference"       // the gateway: where is this person's reference image?
	CallReferenceImage = "reference_image" // the gateway: the image, please
	CallFallback       = "fallback"        // this backend asked the gateway, which had not called back
	CallSession        = "session"         // the front end: how far is it?
	CallSubmission     = "submission"      // the front end: submission details
)

// journalSize bounds how many events are kept.
const journalSize = 10_000

// A journal keeps the newest events and wakes those who follow it.
type journal struct {
	mu    sync.Mutex
	seq   int
	kept  []Event
	fresh chan struct{}
}

func newJournal() *journal { return &journal{fresh: make(chan struct{})} }

func (j *journal) add(ev Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seq++
	ev.Seq = j.seq
	if len(j.kept) >= journalSize {
		j.kept = append(j.kept[:0], j.kept[journalSize/10:]...)
	}
	j.kept = append(j.kept, ev)
	close(j.fresh)
	j.fresh = make(chan struct{})
}

// since returns the kept events after seq, and a channel that is closed when
// there are newer ones.
func (j *journal) since(seq int) ([]Event, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	first := len(j.kept) - (j.seq - seq)
	return append([]Event(nil), j.kept[min(max(first, 0), len(j.kept)):]...), j.fresh
}

// Events returns the newest events, oldest first.
func (s *Server) Events() []Event {
	events, _ := s.events.since(0)
	return events
}

// Await waits until an event is as wanted and returns it. It looks at events
// that have happened, too.
func (s *Server) Await(ctx context.Context, want func(Event) bool) (Event, error) {
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

// serveEvents writes the newest events as NDJSON.
func (s *Server) serveEvents(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	for _, ev := range s.Events() {
		if enc.Encode(ev) != nil {
			return // the client has gone
		}
	}
}
