package gateway

import (
	"cmp"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"time"

	"livekiosk/kiosk"
)

// A Result is the gateway's verdict on a submission.
type Result string

// The results.
const (
	Valid          Result = "VALID"
	Invalid        Result = "INVALID"
	RejectedResult Result = "REJECTED"
)

// A Check is one of the verifications behind a verdict.
type Check struct {
	Result  string // as the gateway spells it, such as VALID; "": not said
	Score   string // as the gateway writes it; "": not said
	Version string // of the gateway's model
	Reason  string // verificationReasonCode; "": none
}

// Checks are the verifications behind a verdict. Nil: not made, or not said.
type Checks struct {
	FaceMatch *Check
	Liveness  *Check
	Reference *Check // of the reference image against the identity card's
}

// Details are what the gateway knows of a submission (call 7). Fields that the
// gateway left out are zero.
type Details struct {
	Status       kiosk.GatewayStatus // COMPLETED, ERROR or IN_PROGRESS
	SubmissionID string
	Flow         FlowKind
	SessionID    string
	Result       Result    // "": none yet
	ReasonCode   string    // such as NOT_LIVE; VERIFICATION_FAILED with the status ERROR
	ProcessedAt  time.Time // zero: not said

	// ImageURLs are where the images can be fetched, by the document's name in
	// the spelling SELFIE, ADDITIONAL_SELFIE, KTP. Secrets.
	ImageURLs map[kiosk.Document]string

	Checks Checks
}

// LogValue keeps the URLs out of every log.
func (d Details) LogValue() slog.Value {
	return slog.GroupValue(slog.String("submission_id", d.SubmissionID), slog.String("status", string(d.Status)),
		slog.String("result", string(d.Result)), slog.String("reason", d.ReasonCode))
}

// A Callback is the gateway's word to a partner's server on a submission
// (call 8). It can come more than once and out of order.
type Callback struct {
	Details

	UserID     string // personal data
	UserIDType string

	// KTP is what was read off an identity card, by the gateway's names for it,
	// such as "nik" and "dateOfBirth" (DD-MM-YYYY). Personal data; nil: none.
	KTP map[string]string
}

// Key is the same for callbacks that say the same: who has handled one needs
// to do nothing for another.
func (c Callback) Key() string {
	return strings.Join([]string{c.SubmissionID, string(c.Status), string(c.Result)}, "|")
}

// DecodeCallback reads the body of a callback, whoever sent it: the gateway
// does not sign it, so the request must have been authenticated before. It
// fails on a body of more than 1 MiB, and on one without a submission id or a
// status. Errors repeat nothing of it.
func DecodeCallback(body []byte) (Callback, error) {
	if len(body) > answerLimit {
		return Callback{}, errors.New("callback: longer than any gateway's")
	}
	var w struct {
		UserID     text            `json:"userId"`
		UserIDType text            `json:"userIdType"`
		Details    json.RawMessage `json:"submissionDetails"`
	}
	d, err := decodeDetails(body)
	if err != nil || json.Unmarshal(body, &w) != nil {
		return Callback{}, errors.New("callback: does not decode, or lacks submission id or status")
	}
	var more struct {
		KTP map[string]json.RawMessage `json:"ktpData"`
	}
	_ = json.Unmarshal(w.Details, &more) // as in decodeDetails
	c := Callback{Details: d, UserID: string(w.UserID), UserIDType: string(w.UserIDType)}
	for name, raw := range more.KTP {
		var t text
		if json.Unmarshal(raw, &t) != nil || t == "" {
			continue
		}
		if c.KTP == nil {
			c.KTP = map[string]string{}
		}
		c.KTP[name] = string(t)
	}
	return c, nil
}

// decodeDetails reads the data of call 7, and what a callback shares with it.
func decodeDetails(data json.RawMessage) (Details, error) {
	type checks struct {
		FaceMatch *check `json:"faceMatch"`
		Liveness  *check `json:"liveness"`
		Reference struct {
			KTP *check `json:"ktp"`
		} `json:"referenceImageValidation"`
	}
	var w struct {
		SubmissionID text            `json:"submissionId"`
		Status       text            `json:"status"`
		Flow         text            `json:"flow"`
		SessionID    text            `json:"partnerSessionId"`
		Result       text            `json:"result"`
		ReasonCode   text            `json:"reasonCode"`
		ProcessedAt  text            `json:"processedAt"`
		Details      json.RawMessage `json:"submissionDetails"`
	}
	if json.Unmarshal(data, &w) != nil {
		return Details{}, errors.New("details: data does not decode")
	}
	var more struct {
		ImageURLs map[string]json.RawMessage `json:"imageUrls"`
		Results   *checks                    `json:"verificationResults"`
		Result    *checks                    `json:"verificationResult"` // a callback's spelling
	}
	// Their form is hardly documented. What does not fit is left out: it must
	// not cost the verdict.
	_ = json.Unmarshal(w.Details, &more)
	d := Details{
		Status:       kiosk.GatewayStatus(upper(w.Status)),
		SubmissionID: string(w.SubmissionID),
		Flow:         FlowKind(upper(w.Flow)),
		SessionID:    string(w.SessionID),
		Result:       Result(upper(w.Result)),
		ReasonCode:   upper(w.ReasonCode),
		ProcessedAt:  w.ProcessedAt.instant(),
		ImageURLs:    map[kiosk.Document]string{},
	}
	switch {
	case d.Status == "":
		return Details{}, errors.New("details: no status")
	case !identifier(d.SubmissionID):
		return Details{}, errors.New("details: no submission id")
	case d.SessionID != "" && !identifier(d.SessionID):
		return Details{}, errors.New("details: session id is none")
	}
	for _, doc := range append(kiosk.Documents(), "KTP") {
		var u string
		if raw, listed := named(more.ImageURLs, doc); listed && json.Unmarshal(raw, &u) == nil && u != "" {
			d.ImageURLs[doc] = u
		}
	}
	if c := cmp.Or(more.Results, more.Result); c != nil {
		d.Checks = Checks{FaceMatch: c.FaceMatch.typed(), Liveness: c.Liveness.typed(), Reference: c.Reference.KTP.typed()}
	}
	return d, nil
}

// A check is a Check on the wire.
type check struct {
	Result    text `json:"result"`
	KTPResult text `json:"verificationResult"`
	Score     text `json:"score"`
	Version   text `json:"version"`
	Reason    text `json:"verificationReasonCode"`
}

func (c *check) typed() *Check {
	if c == nil {
		return nil
	}
	return &Check{
		Result: cmp.Or(upper(c.Result), upper(c.KTPResult)), Score: string(c.Score), Version: string(c.Version), Reason: upper(c.Reason),
	}
}

// upper returns t as one of the gateway's words; "" if it is none.
func upper(t text) string { return word(strings.ToUpper(string(t))) }
