package api

import (
	"context"
	"log/slog"
	"net/http"
)

// A Drainer empties the kiosk before it is stopped: it takes no new sessions,
// and the one that runs goes on. It must be safe for concurrent use.
type Drainer interface {
	// Drain begins a drain, or ends it; what is so already stays so.
	Drain(ctx context.Context, on bool) error
	// Drained tells how far it is.
	Drained(ctx context.Context) Drain
}

// A Drain is how far the kiosk is emptied.
type Drain struct {
	Draining bool `json:"draining"` // no session is started: one was asked for and not ended
	Drained  bool `json:"drained"`  // and nothing is left that a stop would disturb: see Left
	Left     Left `json:"left"`     // what a drain waits for
	Unsent   int  `json:"unsent"`   // records that the gateway has not taken; durable in any case
}

// Left is what a drain still waits for.
type Left string

// What a drain waits for, the first that applies. A record that was tried and
// waits for its next try is not waited for, nor is one that waits for a service
// which cannot be reached, or for the gateway's verdict: all of it is durable.
const (
	LeftNothing  Left = "nothing"
	LeftSession  Left = "session"  // a visitor
	LeftStoring  Left = "storing"  // a capture or an image on its way
	LeftUpkeep   Left = "upkeep"   // the outbox is being compacted
	LeftDelivery Left = "delivery" // records that can be delivered now
)

func (s *Server) getDrain(w http.ResponseWriter, r *http.Request) {
	if s.hasDrain(w, r) {
		s.write(w, r, http.StatusOK, s.o.Drainer.Drained(r.Context()))
	}
}

func (s *Server) postDrain(w http.ResponseWriter, r *http.Request)   { s.drain(w, r, true) }
func (s *Server) deleteDrain(w http.ResponseWriter, r *http.Request) { s.drain(w, r, false) }

// hasDrain answers where nobody can drain the kiosk, and returns false.
func (s *Server) hasDrain(w http.ResponseWriter, r *http.Request) bool {
	if s.o.Drainer == nil {
		s.write(w, r, http.StatusNotImplemented, problem{Message: "this kiosk cannot be drained"})
		return false
	}
	return true
}

// drain begins a drain or ends it.
func (s *Server) drain(w http.ResponseWriter, r *http.Request, on bool) {
	if !s.hasDrain(w, r) {
		return
	}
	err := s.o.Drainer.Drain(r.Context(), on)
	s.log.LogAttrs(r.Context(), slog.LevelInfo, "kiosk drained", acted(r, "drain", err, []slog.Attr{slog.Bool("on", on)})...)
	if err != nil {
		s.log.WarnContext(r.Context(), "drain not told", slog.Any("err", err))
		w.Header().Set("Retry-After", retryAfter)
		s.write(w, r, http.StatusServiceUnavailable, problem{Message: "the daemon is stopping"})
		return
	}
	s.write(w, r, http.StatusOK, s.o.Drainer.Drained(r.Context()))
}

// Drain has the kiosk take no new sessions, or take them again.
func (c *Client) Drain(ctx context.Context, on bool) (Drain, error) {
	method := http.MethodDelete
	if on {
		method = http.MethodPost
	}
	var out Drain
	err := c.call(ctx, method, "/v1/drain", nil, &out)
	return out, err
}

// Drained returns how far the kiosk is emptied.
func (c *Client) Drained(ctx context.Context) (Drain, error) {
	var out Drain
	err := c.call(ctx, http.MethodGet, "/v1/drain", nil, &out)
	return out, err
}
