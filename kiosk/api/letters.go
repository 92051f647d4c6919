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

// Letters are the records of the outbox as staff decide about them. They must
// be safe for concurrent use. All methods return kiosk.ErrNoRecord for an id
// that nobody knows.
type Letters interface {
	// Show returns what staff may see of a record, settled ones included.
	Show(ctx context.Context, id kiosk.RecordID) (kiosk.Detail, error)
	// Revive makes a dead letter pending again; a pending record is left as it
	// is. It returns kiosk.ErrNoImages if nothing is left to deliver, and
	// kiosk.ErrSealBroken if the device's key does not open it.
	Revive(ctx context.Context, id kiosk.RecordID) error
	// Drop erases a record, pending or dead, for good: when it returns nil,
	// nobody can read it any more. History keeps who it was and the reason, at
	// most 256 bytes each. A settled record is kiosk.ErrNoRecord.
	Drop(ctx context.Context, id kiosk.RecordID, by, reason string) error
}

// The most that is taken, bytes.
const (
	maxReason = 256 // of the reason of a drop: as much is kept of it
	maxRecord = 256 // of a record's id
)

// ValidateReason reports what is wrong with the reason of a drop, in words for
// the caller. It returns a *kiosk.LaunchError.
func ValidateReason(reason string) error {
	switch {
	case strings.TrimSpace(reason) == "":
		return &kiosk.LaunchError{Code: kiosk.MissingField, Field: "reason", Reason: "is missing"}
	case len(reason) > maxReason:
		return &kiosk.LaunchError{Code: kiosk.ConfigInvalid, Field: "reason", Reason: fmt.Sprintf("is longer than %d bytes", maxReason)}
	case unprintable(reason):
		return &kiosk.LaunchError{Code: kiosk.ConfigInvalid, Field: "reason", Reason: "has a character that cannot be printed"}
	}
	return nil
}

// unprintable reports whether s would not come out of a log or a terminal as
// it went in.
func unprintable(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) })
}

// A Dropped is the answer to a drop: what of the record lies elsewhere, where
// the kiosk erases nothing.
type Dropped struct {
	Record       kiosk.RecordID   `json:"record"`
	SubmissionID string           `json:"submissionId,omitempty"` // "": the gateway knows nothing of it
	Uploaded     []kiosk.Document `json:"uploaded,omitempty"`     // pictures that the gateway's store has
	Confirmed    bool             `json:"confirmed"`              // the gateway has the whole of it
}

// record returns the id of the record that is asked for. It answers one that
// no record can have, and returns false.
func (s *Server) record(w http.ResponseWriter, r *http.Request) (kiosk.RecordID, bool) {
	if s.o.Letters == nil {
		s.write(w, r, http.StatusNotImplemented, problem{Message: "this kiosk takes no decisions about records"})
		return "", false
	}
	id := r.PathValue("record")
	if id == "" || len(id) > maxRecord || unprintable(id) {
		s.write(w, r, http.StatusBadRequest, problem{Message: fmt.Sprintf("a record's id has 1 to %d bytes that can be printed", maxRecord)})
		return "", false
	}
	return kiosk.RecordID(id), true
}

// getRecord shows one record.
func (s *Server) getRecord(w http.ResponseWriter, r *http.Request) {
	if s.takes(r, http.MethodPost) { // what is done to the outbox is no record's name
		s.miss(w, r)
		return
	}
	id, ok := s.record(w, r)
	if !ok {
		return
	}
	d, err := s.o.Letters.Show(r.Context(), id)
	if err != nil {
		s.undecided(w, r, err)
		return
	}
	s.write(w, r, http.StatusOK, d)
}

// postRetry has a dead letter delivered after all.
func (s *Server) postRetry(w http.ResponseWriter, r *http.Request) {
	id, ok := s.record(w, r)
	if !ok {
		return
	}
	err := s.o.Letters.Revive(r.Context(), id)
	s.audit(r, "revive", err, slog.String("record", string(id)))
	if err != nil {
		s.undecided(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// postDrop erases a record.
func (s *Server) postDrop(w http.ResponseWriter, r *http.Request) {
	id, ok := s.record(w, r)
	if !ok {
		return
	}
	body, ok := s.readBody(w, r)
	if !ok {
		return
	}
	var reason string
	_, err := decode(body, "drop", map[string]any{"reason": &reason})
	if err == nil {
		err = ValidateReason(reason)
	}
	if le, ok := errors.AsType[*kiosk.LaunchError](err); ok {
		s.write(w, r, http.StatusBadRequest, turnedDown(le))
		return
	}
	d, err := s.o.Letters.Show(r.Context(), id) // before nobody can tell any more
	if err == nil {
		err = s.o.Letters.Drop(r.Context(), id, caller(r), reason)
	}
	s.audit(r, "drop", err, slog.String("record", string(id)), slog.String("reason", reason))
	if err != nil {
		s.undecided(w, r, err)
		return
	}
	s.write(w, r, http.StatusOK, Dropped{Record: id, SubmissionID: d.SubmissionID, Uploaded: d.Uploaded, Confirmed: d.Confirmed})
}

// undecided answers why nothing came of a question or a decision about a
// record.
func (s *Server) undecided(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, kiosk.ErrNoRecord):
		s.write(w, r, http.StatusNotFound, problem{Message: "no such record, or it is settled"})
	case errors.Is(err, kiosk.ErrNoImages):
		s.write(w, r, http.StatusGone, problem{Message: "the record has no images any more: the person has to come again"})
	case errors.Is(err, kiosk.ErrSealBroken):
		s.write(w, r, http.StatusConflict, problem{Message: "the record does not open with this device's key: put its own key back first", Retriable: new(true)})
	default:
		s.outboxDown(w, r, err)
	}
}

// caller names who sent a request, for the outbox and the log: "uid 1000", as
// the kernel knows them, or "unknown" where nobody asked the kernel.
func caller(r *http.Request) string {
	if c, known := r.Context().Value(connKey{}).(*conn); known {
		return fmt.Sprintf("uid %d", c.peer.UID)
	}
	return "unknown"
}

// audit notes who did what to the outbox, and whether anything came of it.
// What is noted holds no personal data; a reason is for staff to keep free of
// it.
func (s *Server) audit(r *http.Request, action string, err error, what ...slog.Attr) {
	s.log.LogAttrs(r.Context(), slog.LevelInfo, "staff acted on the outbox", acted(r, action, err, what)...)
}

// acted says who did what, and whether anything came of it.
func acted(r *http.Request, action string, err error, what []slog.Attr) []slog.Attr {
	attrs := append([]slog.Attr{slog.String("action", action), slog.String("by", caller(r)), slog.Bool("done", err == nil)}, what...)
	if err != nil {
		attrs = append(attrs, slog.Any("err", err))
	}
	return attrs
}
