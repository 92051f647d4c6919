package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"livekiosk/kiosk"
)

// A Panel is the GPIO lines of the kiosk. It must be safe for concurrent use.
type Panel interface {
	// All lists every line of the machine, and those with a role that it has
	// not. Its error says which chips could not be looked at; the rest is there.
	All() ([]kiosk.Line, error)
	// Force has an output on or off for a time. It returns kiosk.ErrNoLine,
	// kiosk.ErrLineAway, or kiosk.ErrOccupied while a session is in progress.
	Force(ctx context.Context, role kiosk.Role, on bool, during time.Duration) error
	// ClearTamper ends the latch of the tamper switch in the name of by. It
	// returns kiosk.ErrNotLatched, or kiosk.ErrCaseOpen.
	ClearTamper(ctx context.Context, by string) error
}

// The times that an output can be forced for.
const (
	ShortestForce = 100 * time.Millisecond
	LongestForce  = time.Minute
)

// ValidateForce reports what is wrong with the time that an output is to be
// forced for. It returns a *kiosk.LaunchError.
func ValidateForce(during time.Duration) error {
	if during < ShortestForce || during > LongestForce {
		return &kiosk.LaunchError{Code: kiosk.ConfigInvalid, Field: "milliseconds", Reason: fmt.Sprintf("is outside %d..%d", ShortestForce.Milliseconds(), LongestForce.Milliseconds())}
	}
	return nil
}

// hasPanel answers where there is no panel, and returns false.
func (s *Server) hasPanel(w http.ResponseWriter, r *http.Request) bool {
	if s.o.Panel == nil {
		s.write(w, r, http.StatusNotImplemented, problem{Message: "this kiosk lets nobody look after its panel"})
		return false
	}
	return true
}

// getPanel lists the GPIO lines.
func (s *Server) getPanel(w http.ResponseWriter, r *http.Request) {
	if !s.hasPanel(w, r) {
		return
	}
	all, err := s.o.Panel.All()
	if err != nil {
		s.log.WarnContext(r.Context(), "GPIO chips not listed", slog.Any("err", err))
	}
	if all == nil {
		all = []kiosk.Line{}
	}
	s.write(w, r, http.StatusOK, all)
}

// postForce has an output on or off for a time.
func (s *Server) postForce(w http.ResponseWriter, r *http.Request) {
	if !s.hasPanel(w, r) {
		return
	}
	body, ok := s.readBody(w, r)
	if !ok {
		return
	}
	var (
		on           bool
		milliseconds int32
	)
	given, err := decode(body, "switch", map[string]any{"on": &on, "milliseconds": &milliseconds})
	during := time.Duration(milliseconds) * time.Millisecond
	switch {
	case err != nil:
	case !given["on"]:
		err = &kiosk.LaunchError{Code: kiosk.MissingField, Field: "on", Reason: "is missing"}
	default:
		err = ValidateForce(during)
	}
	if le, bad := errors.AsType[*kiosk.LaunchError](err); bad {
		s.write(w, r, http.StatusBadRequest, turnedDown(le))
		return
	}
	role := kiosk.Role(r.PathValue("role"))
	err = s.o.Panel.Force(r.Context(), role, on, during)
	if errors.Is(err, kiosk.ErrNoLine) { // before it is logged: it may be any text
		s.write(w, r, http.StatusNotFound, problem{Message: "no such output is configured: see kioskctl panel"})
		return
	}
	s.auditPanel(r, "switch", err, slog.String("role", string(role)), slog.Bool("on", on), slog.Duration("during", during))
	s.decided(w, r, err)
}

// postClear ends the latch of the tamper switch.
func (s *Server) postClear(w http.ResponseWriter, r *http.Request) {
	if !s.hasPanel(w, r) {
		return
	}
	err := s.o.Panel.ClearTamper(r.Context(), caller(r))
	s.auditPanel(r, "clear_tamper", err)
	s.decided(w, r, err)
}

// decided answers what came of what staff did to the panel.
func (s *Server) decided(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, kiosk.ErrNotLatched):
		s.write(w, r, http.StatusNotFound, problem{Message: "no tampering is latched"})
	case errors.Is(err, kiosk.ErrCaseOpen):
		s.write(w, r, http.StatusConflict, problem{Message: "the case is open: close it first", Retriable: new(true)})
	case errors.Is(err, kiosk.ErrOccupied):
		s.write(w, r, http.StatusConflict, problem{Message: "a session is in progress: wait until the visitor has left", Retriable: new(true)})
	case errors.Is(err, kiosk.ErrLineAway):
		s.write(w, r, http.StatusConflict, problem{Message: "the line is not there, or somebody else uses it: see kioskctl panel", Retriable: new(true)})
	default:
		s.log.WarnContext(r.Context(), "panel not reached", slog.Any("err", err))
		w.Header().Set("Retry-After", retryAfter)
		s.write(w, r, http.StatusServiceUnavailable, problem{Message: "the panel cannot be reached now: see the kiosk's log"})
	}
}

// auditPanel notes who did what to the panel, and whether anything came of it.
func (s *Server) auditPanel(r *http.Request, action string, err error, what ...slog.Attr) {
	s.log.LogAttrs(r.Context(), slog.LevelInfo, "staff acted on the panel", acted(r, action, err, what)...)
}
