package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"livekiosk/kiosk"
)

// An Unlocker has a kiosk serve again that failed sessions have locked. It must
// be safe for concurrent use.
type Unlocker interface {
	// Unlock ends the lock, or returns kiosk.ErrNotLocked.
	Unlock(ctx context.Context) error
}

func (s *Server) deleteLock(w http.ResponseWriter, r *http.Request) {
	if s.o.Unlocker == nil {
		s.write(w, r, http.StatusNotImplemented, problem{Message: "this kiosk cannot be locked"})
		return
	}
	err := s.o.Unlocker.Unlock(r.Context())
	s.log.LogAttrs(r.Context(), slog.LevelInfo, "kiosk unlocked", acted(r, "unlock", err, nil)...)
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, kiosk.ErrNotLocked):
		s.write(w, r, http.StatusNotFound, problem{Message: "the kiosk is not locked"})
	default:
		s.log.WarnContext(r.Context(), "unlocking not told", slog.Any("err", err))
		w.Header().Set("Retry-After", retryAfter)
		s.write(w, r, http.StatusServiceUnavailable, problem{Message: "the daemon is stopping"})
	}
}

// Unlock has a kiosk that failed sessions have locked serve again.
func (c *Client) Unlock(ctx context.Context) error {
	return c.call(ctx, http.MethodDelete, "/v1/lock", nil, nil)
}
