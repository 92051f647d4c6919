package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"livekiosk/kiosk"
)

// maxBody bounds the body of a request, bytes. A user token is a few KB. That of
// a launch may hold the document of a theme, too, which has a bound of its own.
const (
	maxBody   = 64 << 10
	maxLaunch = 256 << 10
)

// retryAfter is what a kiosk that is out of service asks for, in seconds:
// cameras are reopened and disks probed within a minute.
const retryAfter = "30"

// builtIn is Options.Match of a kiosk that speaks the built-in languages only.
// The gateway's own spellings are accepted, since partners have them at hand.
func builtIn(l kiosk.Locale) (kiosk.Locale, bool) {
	switch l {
	case kiosk.Indonesian, "id_ID":
		return kiosk.Indonesian, true
	case kiosk.English, "en_ID":
		return kiosk.English, true
	}
	return "", false
}

// noLanguage turns down a locale that the kiosk does not speak.
func noLanguage() error {
	return &kiosk.LaunchError{Code: kiosk.ConfigInvalid, Field: "locale", Reason: "is no language of this kiosk: kioskctl status lists them"}
}

// decodeLaunch reads a launch. Its errors are *kiosk.LaunchError and never
// repeat a value.
func (s *Server) decodeLaunch(body []byte) (kiosk.Launch, error) {
	l := kiosk.Launch{Theme: kiosk.NoPreference, Locale: kiosk.Indonesian}
	var theme, locale string
	var look json.RawMessage
	given, err := decodeUpTo(maxLaunch, body, "launch", map[string]any{
		"baseUrl":       &l.BaseURL,
		"correlationId": &l.CorrelationID,
		"token":         &l.Token,
		"userId":        &l.UserID,
		"userIdType":    &l.UserIDType,
		"theme":         &theme,
		"themeDocument": &look,
		"locale":        &locale,
		"noTimeLimit":   &l.NoTimeLimit,
		"largeText":     &l.LargeText,
		"highContrast":  &l.HighContrast,
		"noFlash":       &l.NoFlash,
	})
	if err != nil {
		return l, err
	}
	if given["theme"] {
		l.Theme = kiosk.Theme(theme)
	}
	if given["locale"] {
		l.Locale = kiosk.Locale(locale)
	}
	l.ThemeDocument = string(look)
	if err := l.Validate(); err != nil {
		return l, err
	}
	var spoken bool
	if l.Locale, spoken = s.o.Match(l.Locale); !spoken {
		return l, noLanguage()
	}
	return l, nil
}

// decode reads the JSON object of a what into fields, strictly: an unknown,
// doubled or mistyped field is an error, since a misspelt name would otherwise
// change what the visitor sees without anybody noticing. It returns the names
// of the fields that are there. Its errors are *kiosk.LaunchError and never
// repeat a value.
func decode(body []byte, what string, fields map[string]any) (given map[string]bool, err error) {
	return decodeUpTo(maxBody, body, what, fields)
}

// decodeUpTo is decode with another bound.
func decodeUpTo(most int, body []byte, what string, fields map[string]any) (given map[string]bool, err error) {
	bad := func(field, reason string) error {
		return &kiosk.LaunchError{Code: kiosk.ConfigInvalid, Field: field, Reason: reason}
	}
	if len(body) > most {
		return nil, bad("", fmt.Sprintf("the body is longer than %d bytes", most))
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, bad("", "the body is not a JSON object")
	}
	given = map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, bad("", "the body is not valid JSON")
		}
		name, _ := t.(string)
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, bad("", "the body is not valid JSON")
		}
		if len(name) > 64 {
			return nil, bad("", "a field's name is longer than 64 bytes")
		}
		to, known := fields[name]
		switch {
		case !known || given[name]:
			return nil, bad(name, "is not a field of a "+what+", or is given twice")
		case string(raw) == "null":
			return nil, bad(name, "is null: leave it out instead")
		case json.Unmarshal(raw, to) != nil:
			return nil, bad(name, "has the wrong type")
		}
		given[name] = true
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return nil, bad("", "the body is not valid JSON")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, bad("", "something follows the JSON object")
	}
	return given, nil
}

// readBody returns a request's body, which the caller clears: it may hold a
// token or a user id. It answers a body that cannot be read, and returns false.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	return s.readUpTo(maxBody, w, r)
}

// readUpTo is readBody with another bound.
func (s *Server) readUpTo(most int, w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	// One byte more than allowed is enough to know.
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(most)+1))
	if err != nil {
		clear(body)
		s.write(w, r, http.StatusBadRequest, problem{Message: "the body could not be read"})
		return nil, false
	}
	return body, true
}

// postSession starts a session.
func (s *Server) postSession(w http.ResponseWriter, r *http.Request) {
	body, ok := s.readUpTo(maxLaunch, w, r)
	if !ok {
		return
	}
	defer clear(body)
	launch, err := s.decodeLaunch(body)
	if err != nil {
		s.refuse(w, r, launch, err)
		return
	}
	session, err := s.o.Launcher.Launch(r.Context(), launch)
	if err != nil {
		s.refuse(w, r, launch, err)
		return
	}
	w.Header().Set("Location", "/v1/sessions/"+string(session))
	s.write(w, r, http.StatusCreated, launched{SessionID: session})
}

// known returns the name of a launch's field for the log, and "other" for any
// text that a caller put in its place: it may be anything, a secret included.
func known(field string) string {
	switch field {
	case "", "baseUrl", "correlationId", "token", "userId", "userIdType", "theme", "themeDocument", "locale", "noTimeLimit", "largeText", "highContrast", "noFlash":
		return field
	}
	return "other"
}

// refuse answers a launch that failed with err.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, l kiosk.Launch, err error) {
	le, ok := errors.AsType[*kiosk.LaunchError](err)
	if !ok {
		s.log.ErrorContext(r.Context(), "launch failed", slog.Any("launch", l), slog.Any("err", err))
		s.write(w, r, http.StatusInternalServerError, problem{Message: "the launch failed on the kiosk: see its log"})
		return
	}
	code := http.StatusBadRequest
	switch {
	case le.Down, le.Busy && len(s.o.Status().Faults) > 0:
		code = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", retryAfter)
	case le.Busy, le.Reused:
		code = http.StatusConflict
	}
	s.log.InfoContext(r.Context(), "launch turned down", slog.Int("status", code), slog.Int("code", int(le.Code)), slog.String("field", known(le.Field)))
	s.write(w, r, code, turnedDown(le))
}

// turnedDown tells a caller why a launch or a booking was refused.
func turnedDown(le *kiosk.LaunchError) problem {
	p := problem{
		Message:           le.Reason,
		ErrorCode:         le.Code.Class(),
		DetailedErrorCode: le.Code,
		Field:             le.Field,
		Retriable:         new(le.Busy || le.Down || !le.Reused && le.Code.Retriable()),
	}
	if le.Field != "" {
		p.Message = le.Field + " " + le.Reason
	}
	return p
}
