package gateway

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"livekiosk/kiosk"
)

// cause returns the first cause among a failure's errors, cleaned.
func cause(raw json.RawMessage) string {
	type item struct {
		Cause json.RawMessage `json:"cause"`
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		list = []json.RawMessage{raw} // one object instead of a list
	}
	for _, r := range list {
		var i item
		var s string
		if json.Unmarshal(r, &i) == nil && json.Unmarshal(i.Cause, &s) == nil {
			if w := word(s); w != "" {
				return w
			}
		}
	}
	return ""
}

// storeCode returns the Code of an object store's XML error, cleaned.
func storeCode(body []byte) string {
	_, rest, ok := bytes.Cut(body, []byte("<Code>"))
	if !ok {
		return ""
	}
	code, _, ok := bytes.Cut(rest, []byte("</Code>"))
	if !ok {
		return ""
	}
	return word(string(code))
}

// word returns s if it is an identifier of moderate length, else "": causes
// go to logs and staff, and are no place for a sentence with a name in it.
func word(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > 64 {
		return ""
	}
	for _, r := range s {
		switch {
		case r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_':
		default:
			return ""
		}
	}
	return s
}

// A lifetime is how long something lives, in each spelling that the gateway
// has for it.
type lifetime struct {
	ExpiryInSeconds      text `json:"expiryInSeconds"`
	ExpirySeconds        text `json:"expirySeconds"`
	ExpiresAt            text `json:"expiresAt"`
	ExpiryInSecondsSnake text `json:"expiry_in_seconds"`
	ExpirySecondsSnake   text `json:"expiry_seconds"`
	ExpiresAtSnake       text `json:"expires_at"`
}

// span returns the lifetime as it was said, bounded to a year; 0: it was not.
func (l lifetime) span() time.Duration {
	return cmp.Or(l.ExpiryInSeconds, l.ExpirySeconds, l.ExpiryInSecondsSnake, l.ExpirySecondsSnake).seconds()
}

// end returns when it ends; zero: it was not said.
func (l lifetime) end(now time.Time) time.Time {
	if at := cmp.Or(l.ExpiresAt, l.ExpiresAtSnake).instant(); !at.IsZero() {
		return at
	}
	if span := l.span(); span > 0 {
		return now.Add(span).Round(0)
	}
	return time.Time{}
}

// named returns the entry of a document, whose name may be written as in
// ADDITIONAL_SELFIE or as in additionalSelfie.
func named(m map[string]json.RawMessage, d kiosk.Document) (json.RawMessage, bool) {
	if v, listed := m[string(d)]; listed {
		return v, true
	}
	fold := func(s string) string { return strings.ToUpper(strings.ReplaceAll(s, "_", "")) }
	for _, name := range slices.Sorted(maps.Keys(m)) { // the same one each time
		if fold(name) == fold(string(d)) {
			return m[name], true
		}
	}
	return nil, false
}

// longestURL is the most bytes of an upload URL that can be meant: it is kept
// until the image is there, for many records at a time.
const longestURL = 8 << 10

func decodeTargets(data json.RawMessage) (kiosk.Targets, error) {
	var w struct {
		SubmissionID text                       `json:"submissionId"`
		Documents    map[string]json.RawMessage `json:"documents"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return kiosk.Targets{}, errors.New("upload URLs: data does not decode")
	}
	if !identifier(string(w.SubmissionID)) {
		return kiosk.Targets{}, errors.New("upload URLs: no submission id")
	}
	t := kiosk.Targets{SubmissionID: string(w.SubmissionID), Documents: map[kiosk.Document]kiosk.Target{}}
	for _, d := range kiosk.Documents() {
		var doc struct {
			lifetime

			URL      string `json:"documentUrl"`
			URLSnake string `json:"document_url"`
		}
		raw, listed := named(w.Documents, d)
		if !listed {
			continue
		}
		if err := json.Unmarshal(raw, &doc); err != nil {
			return kiosk.Targets{}, errors.New("upload URLs: a document does not decode")
		}
		u := cmp.Or(doc.URL, doc.URLSnake)
		if len(u) > longestURL {
			return kiosk.Targets{}, fmt.Errorf("upload URLs: one of %d bytes", len(u))
		}
		if u != "" {
			t.Documents[d] = kiosk.Target{URL: u, ExpiresIn: doc.span()}
		}
	}
	return t, nil
}

func decodeStatus(data json.RawMessage) (kiosk.SubmissionStatus, error) {
	var w struct {
		SubmissionID text                       `json:"submissionId"`
		Status       text                       `json:"status"`
		Result       json.RawMessage            `json:"verificationResult"`
		Documents    map[string]json.RawMessage `json:"documents"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return kiosk.SubmissionStatus{}, errors.New("status: data does not decode")
	}
	s := kiosk.SubmissionStatus{
		SubmissionID: string(w.SubmissionID),
		Status:       kiosk.GatewayStatus(upper(w.Status)),
		Documents:    map[kiosk.Document]string{},
	}
	if s.Status == "" {
		return kiosk.SubmissionStatus{}, errors.New("status: none given")
	}
	var result struct {
		Approved *truth `json:"isApproved"`
	}
	// A result that does not decode says nothing, and is then not an approval.
	if json.Unmarshal(w.Result, &result) == nil && result.Approved != nil {
		approved := bool(*result.Approved)
		s.Approved = &approved
	}
	for _, d := range kiosk.Documents() {
		var doc struct {
			Status text `json:"status"`
		}
		if raw, listed := named(w.Documents, d); listed && json.Unmarshal(raw, &doc) == nil {
			s.Documents[d] = upper(doc.Status)
		}
	}
	return s, nil
}

// decodeUserToken reads a token, a partner's too, with or without the envelope.
func decodeUserToken(body json.RawMessage, now time.Time) (kiosk.UserToken, error) {
	type token struct {
		lifetime

		Token string `json:"token"`
	}
	var w struct {
		token

		Data token `json:"data"`
	}
	if json.Unmarshal(body, &w) != nil {
		return kiosk.UserToken{}, errors.New("token: answer does not decode")
	}
	t := w.token
	if t.Token == "" {
		t = w.Data
	}
	if !bearer(t.Token) {
		return kiosk.UserToken{}, errors.New("token: missing, or no token at all")
	}
	return kiosk.UserToken{Value: t.Token, Expires: t.end(now)}, nil
}

// bearer reports whether s can be a token, and stand in a header.
func bearer(s string) bool { return printable(s) && len(s) <= 8<<10 }

// identifier reports whether s can stand in a path, a log and a header.
func identifier(s string) bool { return len(s) <= 128 && printable(s) }

func printable(s string) bool {
	for _, r := range s {
		if r <= ' ' || r > '~' {
			return false
		}
	}
	return s != ""
}

// A text is a JSON string, or a number as it was written.
type text string

// UnmarshalJSON accepts a string or a number.
func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*t = text(s)
		return nil
	}
	var n json.Number
	if err := json.Unmarshal(b, &n); err != nil {
		return errors.New("neither text nor number")
	}
	*t = text(n)
	return nil
}

// number returns t as a number that is positive and finite; 0 if it is none.
func (t text) number() float64 {
	f, err := strconv.ParseFloat(strings.TrimSpace(string(t)), 64)
	if err != nil || !(f > 0) || math.IsInf(f, 0) {
		return 0
	}
	return f
}

// seconds returns t as whole seconds, bounded to a year; 0 if it is no number.
func (t text) seconds() time.Duration {
	return time.Duration(min(t.number(), 365*24*60*60)) * time.Second
}

// instant returns t as a time: seconds or milliseconds since 1970, or as ISO
// 8601 writes it. Zero if it is none.
func (t text) instant() time.Time {
	const year9999, milli = 253402300799, 100_000_000_000 // as seconds, milli is the year 5138
	if f := t.number(); f >= milli && f/1000 <= year9999 {
		return time.UnixMilli(int64(f)).UTC()
	} else if f > 0 && f <= year9999 {
		return time.Unix(int64(f), 0).UTC()
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999", time.DateTime} {
		if at, err := time.Parse(layout, strings.TrimSpace(string(t))); err == nil && at.Year() > 1 {
			return at.UTC()
		}
	}
	return time.Time{}
}

// A truth is a JSON boolean, or the same as text.
type truth bool

// UnmarshalJSON accepts true, false, "true" and "false".
func (t *truth) UnmarshalJSON(b []byte) error {
	switch strings.ToLower(strings.Trim(string(b), `"`)) {
	case "true":
		*t = true
	case "false":
		*t = false
	default:
		return errors.New("neither true nor false")
	}
	return nil
}
