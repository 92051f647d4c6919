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

// Bookings keep the persons who are expected, so that a user token is there
// should there be no network when they come. They must be safe for concurrent
// use.
type Bookings interface {
	// Book keeps b, durably when it returns nil. Booking the same user again
	// renews the booking. It returns kiosk.ErrBooked if the correlation id is
	// booked for somebody else or was used, and kiosk.ErrQueueFull if there is
	// no room for another one.
	Book(ctx context.Context, b kiosk.Booking) error
	// Bookings returns all of them, oldest first. The tokens' values may be
	// left out; one with a value or an expiry is taken to be there.
	Bookings(ctx context.Context) ([]kiosk.Booking, error)
	// Unbook forgets one and its token, or returns kiosk.ErrNoBooking.
	Unbook(ctx context.Context, correlationID string) error
}

// decodeBooking reads a booking as strictly as a launch. Its errors are
// *kiosk.LaunchError and never repeat a value.
func (s *Server) decodeBooking(body []byte) (kiosk.Booking, error) {
	b := kiosk.Booking{Locale: kiosk.Indonesian}
	var locale string
	given, err := decode(body, "booking", map[string]any{
		"correlationId": &b.CorrelationID,
		"userId":        &b.UserID,
		"userIdType":    &b.UserIDType,
		"locale":        &locale,
	})
	if err != nil {
		return b, err
	}
	if given["locale"] {
		b.Locale = kiosk.Locale(locale)
	}
	if err := ValidateBooking(b); err != nil {
		return b, err
	}
	var spoken bool
	if b.Locale, spoken = s.o.Match(b.Locale); !spoken {
		return b, noLanguage()
	}
	return b, nil
}

// maxID bounds the user id of a booking, and its type, bytes: more than one
// is kept at a time.
const maxID = 256

// ValidateBooking reports what is wrong with b in words for the caller: what a
// launch of the same person would be turned down for, and ids that are too
// long. It returns a *kiosk.LaunchError.
func ValidateBooking(b kiosk.Booking) error {
	if b.CorrelationID != "" && b.UserID == "" {
		return &kiosk.LaunchError{Code: kiosk.MissingField, Field: "userId", Reason: "is missing"}
	}
	for name, value := range map[string]string{"userId": b.UserID, "userIdType": b.UserIDType} {
		if len(value) > maxID {
			return &kiosk.LaunchError{Code: kiosk.ConfigInvalid, Field: name, Reason: fmt.Sprintf("is longer than %d bytes", maxID)}
		}
	}
	return kiosk.Launch{
		CorrelationID: b.CorrelationID, UserID: b.UserID, UserIDType: b.UserIDType, Locale: b.Locale, Theme: kiosk.NoPreference,
	}.Validate()
}

// postBooking books a person.
func (s *Server) postBooking(w http.ResponseWriter, r *http.Request) {
	if s.noBookings(w, r) {
		return
	}
	body, ok := s.readBody(w, r)
	if !ok {
		return
	}
	defer clear(body)
	b, err := s.decodeBooking(body)
	if le, ok := errors.AsType[*kiosk.LaunchError](err); ok {
		s.write(w, r, http.StatusBadRequest, turnedDown(le))
		return
	}
	b.Booked = time.Now().UTC().Round(0) // without a monotonic reading, as it will be listed
	switch err := s.o.Bookings.Book(r.Context(), b); {
	case errors.Is(err, kiosk.ErrBooked):
		s.write(w, r, http.StatusConflict, turnedDown(&kiosk.LaunchError{
			Code: kiosk.ConfigInvalid, Field: "correlationId", Reason: "is booked for somebody else or was used before: every session needs a new one", Reused: true,
		}))
	case errors.Is(err, kiosk.ErrQueueFull):
		s.write(w, r, http.StatusConflict, turnedDown(&kiosk.LaunchError{
			Code: kiosk.UnknownError, Reason: "the kiosk has no room for another booking", Busy: true,
		}))
	case err != nil:
		s.bookingsDown(w, r, err)
	default:
		s.write(w, r, http.StatusCreated, Booked{CorrelationID: b.CorrelationID, Code: kiosk.Code(b.CorrelationID), Booked: b.Booked})
	}
}

func (s *Server) getBookings(w http.ResponseWriter, r *http.Request) {
	if s.noBookings(w, r) {
		return
	}
	all, err := s.o.Bookings.Bookings(r.Context())
	if err != nil {
		s.bookingsDown(w, r, err)
		return
	}
	list := make([]Booked, 0, len(all))
	for _, b := range all {
		list = append(list, Booked{CorrelationID: b.CorrelationID, Code: kiosk.Code(b.CorrelationID), Booked: b.Booked, Fetched: b.Token.Value != "" || !b.Token.Expires.IsZero(), Expires: b.Token.Expires})
	}
	s.write(w, r, http.StatusOK, list)
}

func (s *Server) deleteBooking(w http.ResponseWriter, r *http.Request) {
	if s.noBookings(w, r) {
		return
	}
	switch err := s.o.Bookings.Unbook(r.Context(), r.PathValue("correlationId")); {
	case errors.Is(err, kiosk.ErrNoBooking):
		s.write(w, r, http.StatusNotFound, problem{Message: "no such booking"})
	case err != nil:
		s.bookingsDown(w, r, err)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// noBookings answers where bookings are not kept at all, and returns true.
func (s *Server) noBookings(w http.ResponseWriter, r *http.Request) bool {
	if s.o.Bookings == nil {
		s.write(w, r, http.StatusNotImplemented, problem{Message: "this kiosk takes no bookings"})
	}
	return s.o.Bookings == nil
}

func (s *Server) bookingsDown(w http.ResponseWriter, r *http.Request, err error) {
	s.log.WarnContext(r.Context(), "bookings not reached", slog.Any("err", err))
	w.Header().Set("Retry-After", retryAfter)
	s.write(w, r, http.StatusServiceUnavailable, problem{Message: "the bookings cannot be reached now: see the kiosk's log"})
}
