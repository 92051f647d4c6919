package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"livekiosk/kiosk"
)

// An answer is what came back for one call.
type answer struct {
	status     int
	retryAfter time.Duration
	body       []byte // nil if it was too long
}

// An envelope is the gateway's wrapping of every answer. The codes in Errors
// are not read: no decision may rest on them.
type envelope struct {
	Success *truth          `json:"success"`
	Data    json.RawMessage `json:"data"`
	Errors  json.RawMessage `json:"errors"`
}

func (e *envelope) whole() bool { return e.Success != nil }

// data returns the data of a successful answer, or the failure.
func (a *answer) data(call string) (json.RawMessage, error) {
	var e envelope
	enveloped := json.Unmarshal(a.body, &e) == nil && e.whole()
	if a.status/100 == 2 && enveloped && bool(*e.Success) {
		return e.Data, nil
	}
	return nil, a.failure(call, e, enveloped)
}

// plain returns the body of a successful answer that has no envelope.
func (a *answer) plain(call string) (json.RawMessage, error) {
	if a.status/100 == 2 {
		return a.body, nil
	}
	var e envelope
	enveloped := json.Unmarshal(a.body, &e) == nil && e.whole()
	return nil, a.failure(call, e, enveloped)
}

// stored reports whether the object store took the upload.
func (a *answer) stored() error {
	// A store answers a PUT with an empty body. A page is a captive portal's.
	if a.status/100 == 2 && len(bytes.TrimSpace(a.body)) == 0 && a.body != nil {
		return nil
	}
	e := &kiosk.GatewayError{Call: callUpload, Status: a.status, RetryAfter: a.retryAfter}
	if a.status/100 == 2 {
		e.Err = errIntercepted
	}
	e.Cause = storeCode(a.body)
	e.Disposition = disposition(callUpload, a.status, e.Cause, bystander)
	return e
}

var errIntercepted = errors.New("answer is not the gateway's: a captive portal or a proxy may be in between")

func (a *answer) failure(call string, e envelope, enveloped bool) error {
	g := &kiosk.GatewayError{Call: call, Status: a.status, RetryAfter: a.retryAfter}
	from := bystander
	if enveloped {
		from = gateway
		g.Cause = cause(e.Errors)
	} else if a.status < 400 {
		g.Err = errIntercepted
	}
	g.Disposition = disposition(call, a.status, g.Cause, from)
	return g
}

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
// go to logs and staff, so nothing that could be a token or a name passes.
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
			URL       string `json:"documentUrl"`
			ExpiresIn text   `json:"expiryInSeconds"`
		}
		raw, listed := w.Documents[string(d)]
		if !listed {
			continue
		}
		if err := json.Unmarshal(raw, &doc); err != nil {
			return kiosk.Targets{}, errors.New("upload URLs: a document does not decode")
		}
		if doc.URL != "" {
			t.Documents[d] = kiosk.Target{URL: doc.URL, ExpiresIn: doc.ExpiresIn.seconds()}
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
		Status:       kiosk.GatewayStatus(word(strings.ToUpper(string(w.Status)))),
		Documents:    map[kiosk.Document]string{},
		Raw:          data,
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
		if raw, listed := w.Documents[string(d)]; listed && json.Unmarshal(raw, &doc) == nil {
			s.Documents[d] = word(strings.ToUpper(string(doc.Status)))
		}
	}
	return s, nil
}

func decodeToken(data json.RawMessage) (string, error) {
	var w struct {
		Token string `json:"token"`
		Data  struct {
			Token string `json:"token"`
		} `json:"data"`
	}
	if json.Unmarshal(data, &w) != nil {
		return "", errIntercepted
	}
	if w.Token == "" {
		w.Token = w.Data.Token
	}
	if !printable(w.Token) || len(w.Token) > 8<<10 {
		return "", errors.New("user token: missing, or no token at all")
	}
	return w.Token, nil
}

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

// seconds returns t as whole seconds, bounded to a day; 0 if it is no number.
func (t text) seconds() time.Duration {
	f, err := strconv.ParseFloat(strings.TrimSpace(string(t)), 64)
	if err != nil || !(f > 0) {
		return 0
	}
	return time.Duration(min(f, 24*60*60)) * time.Second
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
