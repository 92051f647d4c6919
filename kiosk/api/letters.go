package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"unicode"

	"livekiosk/kiosk"
)

// Letters are the records that were set aside because they could not be
// delivered. It must be safe for concurrent use.
type Letters interface {
	// Revive makes a dead letter pending again; a pending record is left as it
	// is. It returns kiosk.ErrNoRecord, kiosk.ErrNoImages if nothing is left to
	// deliver, and kiosk.ErrSealBroken if the device's key does not open it.
	Revive(ctx context.Context, id kiosk.RecordID) error
	// Dismiss gives a dead letter up for good, and keeps the reason, at most 256
	// bytes. It returns kiosk.ErrNoRecord, and kiosk.ErrNotDead for a pending
	// record.
	Dismiss(ctx context.Context, id kiosk.RecordID, reason string) error
}

// maxReason bounds the reason of a dismissal, bytes: as much is kept of it.
const maxReason = 256

// ValidateReason reports what is wrong with the reason of a dismissal, in words
// for the caller. It returns a *kiosk.LaunchError.
func ValidateReason(reason string) error {
	switch {
	case strings.TrimSpace(reason) == "":
		return &kiosk.LaunchError{Code: kiosk.MissingField, Field: "reason", Reason: "is missing"}
	case len(reason) > maxReason:
		return &kiosk.LaunchError{Code: kiosk.ConfigInvalid, Field: "reason", Reason: fmt.Sprintf("is longer than %d bytes", maxReason)}
	case strings.ContainsFunc(reason, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }):
		return &kiosk.LaunchError{Code: kiosk.ConfigInvalid, Field: "reason", Reason: "has a character that cannot be printed"}
	}
	return nil
}

// postRetry has a dead letter delivered after all.
func (s *Server) postRetry(w http.ResponseWriter, r *http.Request) {
	if s.noLetters(w, r) {
		return
	}
	id := kiosk.RecordID(r.PathValue("record"))
	s.decided(w, r, id, "retry", s.o.Letters.Revive(r.Context(), id))
}

// postDismiss gives a dead letter up.
func (s *Server) postDismiss(w http.ResponseWriter, r *http.Request) {
	if s.noLetters(w, r) {
		return
	}
	body, ok := s.readBody(w, r)
	if !ok {
		return
	}
	var reason string
	_, err := decode(body, "dismissal", map[string]any{"reason": &reason})
	if err == nil {
		err = ValidateReason(reason)
	}
	if le, ok := errors.AsType[*kiosk.LaunchError](err); ok {
		s.write(w, r, http.StatusBadRequest, turnedDown(le))
		return
	}
	id := kiosk.RecordID(r.PathValue("record"))
	s.decided(w, r, id, "dismiss", s.o.Letters.Dismiss(r.Context(), id, reason))
}

// decided answers what came of a decision about a dead letter.
func (s *Server) decided(w http.ResponseWriter, r *http.Request, id kiosk.RecordID, decision string, err error) {
	switch {
	case err == nil:
		who := []slog.Attr{slog.String("record", string(id)), slog.String("decision", decision)}
		if c, known := r.Context().Value(connKey{}).(*conn); known {
			who = append(who, slog.Uint64("uid", uint64(c.peer.UID)))
		}
		s.log.LogAttrs(r.Context(), slog.LevelInfo, "staff decided about a dead letter", who...)
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, kiosk.ErrNoRecord):
		s.write(w, r, http.StatusNotFound, problem{Message: "no such record, or it is settled"})
	case errors.Is(err, kiosk.ErrNoImages):
		s.write(w, r, http.StatusGone, problem{Message: "the record has no images any more: the person has to come again"})
	case errors.Is(err, kiosk.ErrNotDead):
		s.write(w, r, http.StatusConflict, problem{Message: "the record is still being delivered: it can be dismissed once it is set aside", Retriable: new(true)})
	case errors.Is(err, kiosk.ErrSealBroken):
		s.write(w, r, http.StatusConflict, problem{Message: "the record does not open with this device's key: put its own key back first", Retriable: new(true)})
	default:
		s.log.WarnContext(r.Context(), "dead letter not reached", slog.Any("err", err))
		w.Header().Set("Retry-After", retryAfter)
		s.write(w, r, http.StatusServiceUnavailable, problem{Message: "the outbox cannot be reached now: see the kiosk's log"})
	}
}

// noLetters answers where nobody decides about dead letters, and returns true.
func (s *Server) noLetters(w http.ResponseWriter, r *http.Request) bool {
	if s.o.Letters == nil {
		s.write(w, r, http.StatusNotImplemented, problem{Message: "this kiosk takes no decisions about dead letters"})
	}
	return s.o.Letters == nil
}
