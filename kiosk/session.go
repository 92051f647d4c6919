package kiosk

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"time"
)

// A Launch is a partner's or staff's request to start a session.
type Launch struct {
	BaseURL       string // must equal the configured gateway; "" means that one
	CorrelationID string // the partner's session id (x-partner-session-id), unique for ever
	Token         string // user token; secret. "" if UserID is given instead
	UserID        string // personal data; used to ask the partner backend for a token
	UserIDType    string // such as "CUSTOMER_ID"; "" means the configured default
	Theme         Theme
	Locale        Locale
	NoTimeLimit   bool // no attempt times out: for those who need it
	LargeText     bool // the screens begin so; the visitor can change it
	HighContrast  bool // likewise
	NoFlash       bool // likewise: no light challenge
}

// Validate reports what is wrong with l in words for the caller. It returns a
// *LaunchError.
func (l Launch) Validate() error {
	switch {
	case l.CorrelationID == "":
		return &LaunchError{Code: MissingField, Field: "correlationId", Reason: "is missing"}
	case len(l.CorrelationID) > 128:
		return &LaunchError{Code: ConfigInvalid, Field: "correlationId", Reason: "is longer than 128 bytes"}
	case l.Token == "" && l.UserID == "":
		return &LaunchError{Code: MissingField, Field: "token", Reason: "and userId are both missing: give one of them"}
	}
	for _, f := range []struct{ name, value string }{
		{"correlationId", l.CorrelationID},
		{"token", l.Token},
		{"userId", l.UserID},
		{"userIdType", l.UserIDType},
	} {
		for _, r := range f.value {
			if r <= ' ' || r > '~' {
				return &LaunchError{Code: ConfigInvalid, Field: f.name, Reason: "has a character that cannot stand in an HTTP header"}
			}
		}
	}
	if !l.Locale.valid() {
		return &LaunchError{Code: ConfigInvalid, Field: "locale", Reason: "must be a language tag such as id or en"}
	}
	switch l.Theme {
	case Dark, Light, NoPreference, HighContrast:
	default:
		return &LaunchError{Code: ConfigInvalid, Field: "theme", Reason: "must be DARK_MODE, LIGHT_MODE, NO_PREFERENCE or HIGH_CONTRAST"}
	}
	return nil
}

// LogValue keeps the token, the user and the correlation id, by which the
// partner knows the user, out of every log.
func (l Launch) LogValue() slog.Value {
	return slog.GroupValue(slog.Bool("token", l.Token != ""), slog.String("locale", string(l.Locale)), slog.Bool("no_time_limit", l.NoTimeLimit))
}

// A DetailedCode is the partner-facing reason of a result: see the contract's
// table.
type DetailedCode int

// The detailed codes. Saved is the kiosk's own: NOT_COMPLETED for now, and not
// retriable, since a partner who retried would capture twice.
const (
	ConfigInvalid      DetailedCode = 2201
	TokenExpired       DetailedCode = 2202
	ConnectionLost     DetailedCode = 2203
	NotAllowListed     DetailedCode = 2204
	UnknownError       DetailedCode = 2205
	MissingField       DetailedCode = 2206
	UserCancelled      DetailedCode = 2207
	ExchangeFailed     DetailedCode = 2208
	ExchangeTimedOut   DetailedCode = 2209
	CameraUnavailable  DetailedCode = 2210
	PermissionDenied   DetailedCode = 2211
	VerificationFailed DetailedCode = 2212
	HelpTapped         DetailedCode = 2213
	Tampered           DetailedCode = 2214
	APIError           DetailedCode = 2215
	Saved              DetailedCode = 2299
	NoDetail           DetailedCode = 0
)

// Retriable reports whether the partner may launch again for the same person.
func (c DetailedCode) Retriable() bool {
	switch c {
	case TokenExpired, ConnectionLost, UserCancelled, ExchangeTimedOut, CameraUnavailable, PermissionDenied,
		VerificationFailed, HelpTapped, APIError:
		return true
	case ConfigInvalid, NotAllowListed, UnknownError, MissingField, ExchangeFailed, Tampered, Saved, NoDetail:
		return false
	}
	return false
}

// Class returns the coarse class of c. Every code but NoDetail has one, since
// the contract's result always gives both. API stands for what fits no other:
// a launch that was not valid, and what the kiosk cannot explain.
func (c DetailedCode) Class() ErrorCode {
	switch c {
	case CameraUnavailable:
		return CameraError
	case PermissionDenied:
		return PermissionError
	case ConnectionLost, Saved:
		return NetworkError
	case ConfigInvalid, TokenExpired, UnknownError, MissingField, ExchangeFailed, ExchangeTimedOut, APIError:
		return GatewayAPIError
	case VerificationFailed:
		return VerificationError
	case HelpTapped:
		return HelpClickedError
	case NotAllowListed, Tampered:
		return SecurityError
	case UserCancelled:
		return UserCancelledError
	case NoDetail:
		return NoErrorCode
	}
	return NoErrorCode
}

// Message says in English what c means, for staff and the partner's logs.
func (c DetailedCode) Message() string {
	switch c {
	case ConfigInvalid:
		return "the launch was not valid"
	case TokenExpired:
		return "the user token has expired"
	case ConnectionLost:
		return "the connection to the gateway was lost"
	case NotAllowListed:
		return "this gateway is not configured on the kiosk"
	case UnknownError:
		return "something went wrong on the kiosk"
	case MissingField:
		return "the launch lacks a field"
	case UserCancelled:
		return "the visitor left the session"
	case ExchangeFailed:
		return "no user token could be obtained"
	case ExchangeTimedOut:
		return "the user token did not come in time"
	case CameraUnavailable:
		return "the camera is not available"
	case PermissionDenied:
		return "the kiosk lacks a permission"
	case VerificationFailed:
		return "the verification failed"
	case HelpTapped:
		return "the visitor asked for help"
	case Tampered:
		return "the kiosk found signs of tampering"
	case APIError:
		return "the gateway answered with an error"
	case Saved:
		return "the capture is saved on the kiosk and is delivered later: do not capture again"
	case NoDetail:
		return ""
	}
	return ""
}

// An ErrorCode is the coarse class of a result's error.
type ErrorCode string

// The contract's error codes.
const (
	NoErrorCode        ErrorCode = ""
	CameraError        ErrorCode = "CAMERA"
	PermissionError    ErrorCode = "PERMISSION"
	NetworkError       ErrorCode = "NETWORK"
	GatewayAPIError    ErrorCode = "API"
	VerificationError  ErrorCode = "VERIFICATION"
	HelpClickedError   ErrorCode = "HELP_CLICKED"
	SecurityError      ErrorCode = "SECURITY"
	UserCancelledError ErrorCode = "USER_CANCELLED"
)

// A LaunchError says why a launch was turned down. Nothing was started.
type LaunchError struct {
	Code   DetailedCode
	Field  string // as the caller spells it; "" if no single field is at fault
	Reason string
	Busy   bool // another session, a full outbox or a fault stands in the way: try again later
	Down   bool // it is a fault: staff has to look
	Reused bool // the correlation id was used before
}

func (e *LaunchError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("launch: %s (%d)", e.Reason, e.Code)
	}
	return fmt.Sprintf("launch: %s %s (%d)", e.Field, e.Reason, e.Code)
}

// A ResultStatus is how a session ended for the partner.
type ResultStatus string

// The contract's result statuses; Running is the kiosk's own for a session
// that has not ended.
const (
	Running      ResultStatus = "RUNNING"
	Completed    ResultStatus = "COMPLETED"
	NotCompleted ResultStatus = "NOT_COMPLETED"
	Errored      ResultStatus = "ERROR"
)

// A Result is what the partner's front end is told. As JSON it has the
// contract's shape (DocumentVerificationResult), with the kiosk's session id
// and the contract's retriable flag.
type Result struct {
	Session       SessionID
	CorrelationID string // "" if it is no longer known
	Status        ResultStatus
	SubmissionID  string
	Error         ErrorCode // "" means Detail's own class
	Detail        DetailedCode
}

// Judged returns the result of a session whose visitor does not wait any more,
// as the gateway's word on its capture leaves it.
//
//   - Approved is COMPLETED.
//   - Not approved, rejected or out of attempts is ERROR 2212: the verdict
//     itself goes to the partner's backend.
//   - Pictures that the gateway turned down when nobody was there to take new
//     ones are NOT_COMPLETED 2212: the person has to come again.
//   - What could not be delivered is ERROR 2215: nobody judged it.
func (r Result) Judged(by Receipt) Result {
	if by.SubmissionID != "" {
		r.SubmissionID = by.SubmissionID
	}
	switch {
	case by.Action == ExitSuccess:
		r.Status, r.Error, r.Detail = Completed, NoErrorCode, NoDetail
	case by.Action == Retry, by.Reason == NeedsRecapture:
		r.Status, r.Error, r.Detail = NotCompleted, VerificationError, VerificationFailed
	case by.Action == ExitFailure:
		r.Status, r.Error, r.Detail = Errored, VerificationError, VerificationFailed
	case by.Action == ExitError:
		r.Status, r.Error, r.Detail = Errored, GatewayAPIError, APIError
	}
	return r
}

// resultJSON is a Result on the wire.
type resultJSON struct {
	SessionID     SessionID    `json:"sessionId"`
	CorrelationID string       `json:"correlationId,omitempty"`
	Status        ResultStatus `json:"status"`
	SubmissionID  string       `json:"submissionId,omitempty"`
	Extra         *extraJSON   `json:"extra,omitempty"`
	Retriable     bool         `json:"retriable"`
}

type extraJSON struct {
	ErrorCode         ErrorCode    `json:"errorCode"`
	DetailedErrorCode DetailedCode `json:"detailedErrorCode"`
	ErrorMessage      string       `json:"errorMessage"`
}

// MarshalJSON implements json.Marshaler. There is an extra only where
// something kept the session from completing.
func (r Result) MarshalJSON() ([]byte, error) {
	out := resultJSON{
		SessionID: r.Session, CorrelationID: r.CorrelationID, Status: r.Status, SubmissionID: r.SubmissionID, Retriable: r.Detail.Retriable(),
	}
	if r.Detail != NoDetail {
		out.Extra = &extraJSON{ErrorCode: r.Error, DetailedErrorCode: r.Detail, ErrorMessage: r.Detail.Message()}
		if r.Error == NoErrorCode {
			out.Extra.ErrorCode = r.Detail.Class()
		}
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encode result: %w", err)
	}
	return b, nil
}

// UnmarshalJSON implements json.Unmarshaler. Message and retriable flag are
// those of the detailed code, whatever was sent.
func (r *Result) UnmarshalJSON(b []byte) error {
	var in resultJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return fmt.Errorf("decode result: %w", err)
	}
	*r = Result{Session: in.SessionID, CorrelationID: in.CorrelationID, Status: in.Status, SubmissionID: in.SubmissionID}
	if in.Extra != nil {
		r.Error, r.Detail = in.Extra.ErrorCode, in.Extra.DetailedErrorCode
	}
	return nil
}

// A Consent is the receipt that travels with a submission's metadata.
type Consent struct {
	TextHash string    `json:"textHash"` // SHA-256 of the text shown, hex
	Locale   Locale    `json:"locale"`
	At       time.Time `json:"at"`
	Session  SessionID `json:"session"`
}

// A Tally is what a session that has ended tells of what judged it, for counting:
// nothing of the visitor.
type Tally struct {
	Session     SessionID
	Submitted   bool // a capture was handed to the outbox
	Flagged     bool // the last one that was, for review
	Staff       bool // it ended with staff and no capture, after the camera had begun, and no fault ended it
	Approved    bool // the gateway has approved one already
	Disbelieved int  // attempts that were not believed to be live
}
