package relay

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"livekiosk/queue/seal"
)

// A confirmation is the body of call 5.
type confirmation struct {
	SubmissionID string          `json:"submissionId"`
	Metadata     json.RawMessage `json:"metadata,omitempty"`
}

// invalid is the gateway's own cause for a body that is no confirmation.
const invalid = "INVALID_CONFIRM_UPLOAD_REQUEST"

var (
	errShape  = errors.New("is no confirmation of a kiosk's")
	errPlain  = errors.New("metadata are not sealed")
	errBase64 = errors.New("sealed metadata are not an envelope in base64")
)

// parse returns a confirmation and the envelope of its metadata, which is nil
// if there are none. Its errors are errShape, errPlain and errBase64.
func parse(body []byte) (c confirmation, envelope []byte, err error) {
	if json.Unmarshal(body, &c) != nil {
		return confirmation{}, nil, errShape
	}
	if len(c.Metadata) == 0 || bytes.Equal(c.Metadata, []byte("null")) {
		c.Metadata = nil
		return c, nil, nil
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(c.Metadata, &fields) != nil {
		return confirmation{}, nil, errPlain
	}
	text, sealed := fields["livekiosk_sealed"]
	if !sealed || len(fields) != 1 {
		return confirmation{}, nil, errPlain
	}
	var s string
	if json.Unmarshal(text, &s) != nil {
		return confirmation{}, nil, errBase64
	}
	if envelope, err = base64.StdEncoding.DecodeString(s); err != nil || !seal.IsEnvelope(envelope) {
		return confirmation{}, nil, errBase64
	}
	return c, envelope, nil
}

// confirm is call 5: sealed metadata from the kiosk, plain ones to the gateway.
func (r *Relay) confirm(x *exchange) *reply {
	body, err := receive(x, mostConfirm, time.Now().Add(time.Minute))
	if errors.Is(err, errLong) {
		return refuse(http.StatusBadRequest, invalid).because(err)
	}
	if err != nil {
		return refuse(http.StatusRequestTimeout, "RELAY_INCOMPLETE_BODY").because(err)
	}
	c, envelope, err := parse(body)
	switch {
	case errors.Is(err, errPlain):
		return refuse(http.StatusInternalServerError, "RELAY_WANTS_SEALED").because(err)
	case err != nil:
		return refuse(http.StatusBadRequest, invalid).because(err)
	}
	var of capture
	if envelope != nil {
		b, metadata, broken := r.open(x.Header.Get(correlation), envelope)
		if broken != nil {
			return refuse(http.StatusInternalServerError, "RELAY_CANNOT_OPEN").because(broken)
		}
		defer clear(metadata)
		x.device, of = b.Device, captureOf(b)
		switch {
		case b.Part != "metadata":
			return refuse(http.StatusInternalServerError, "RELAY_WRONG_PART")
		case !json.Valid(metadata):
			return refuse(http.StatusBadRequest, invalid)
		}
		c.Metadata = metadata
	}
	if !r.parts.agrees(c.SubmissionID, of) {
		return refuse(http.StatusBadRequest, "RELAY_PARTS_DISAGREE")
	}
	plain, err := json.Marshal(c)
	if err != nil {
		return refuse(http.StatusBadRequest, invalid)
	}
	defer clear(plain)
	a, failed := r.forward(x, http.MethodPut, r.gateway.JoinPath("coe/v1/submissions/urls"), plain)
	if failed != nil {
		return failed
	}
	if a.status/100 == 2 {
		r.parts.forget(c.SubmissionID)
	}
	return pass(a)
}
