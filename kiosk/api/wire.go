package api

import "livekiosk/kiosk"

// A Status is the daemon's state as staff and fleet engines see it.
type Status struct {
	Version        string        `json:"version"`
	Ready          bool          `json:"ready"` // a launch would be accepted, or would be but for a running session
	Phase          string        `json:"phase"` // of the flow, such as "idle"
	Faults         []kiosk.Fault `json:"faults"`
	SessionRunning bool          `json:"sessionRunning"`
	UptimeSeconds  float64       `json:"uptimeSeconds"`
	Camera         CameraStatus  `json:"camera"`

	// Queue is filled in by the server from Options.Queue; nil when the outbox
	// cannot be read.
	Queue *QueueStatus `json:"queue"`
}

// A CameraStatus says how frames come in.
type CameraStatus struct {
	Source          string  `json:"source"`          // such as "/dev/video0" or "clip:walk-up"; no personal data
	Frames          uint64  `json:"frames"`          // captured since start
	Dropped         uint64  `json:"dropped"`         // of those, never looked at because a newer one came
	FramesPerSecond float64 `json:"framesPerSecond"` // over the last seconds
}

// A QueueStatus counts the records of the outbox.
type QueueStatus struct {
	Waiting int   `json:"waiting"` // not yet settled
	Done    int   `json:"done"`    // settled and still kept
	Dead    int   `json:"dead"`    // given up: staff must look
	Review  int   `json:"review"`  // flagged for review, in any state
	Bytes   int64 `json:"bytes"`   // of all records on disk, sealed
}

// Count counts entries by what staff have to do about them.
func Count(entries []kiosk.Entry) QueueStatus {
	var q QueueStatus
	for _, e := range entries {
		switch e.State {
		case "done":
			q.Done++
		case "dead":
			q.Dead++
		default:
			q.Waiting++
		}
		if e.Review {
			q.Review++
		}
		q.Bytes += e.Bytes
	}
	return q
}

// A Result is a session's result in the contract's shape
// (DocumentVerificationResult) with the kiosk's session id and the contract's
// retriable flag.
type Result struct {
	SessionID     kiosk.SessionID    `json:"sessionId"`
	CorrelationID string             `json:"correlationId"`
	Status        kiosk.ResultStatus `json:"status"`
	SubmissionID  string             `json:"submissionId,omitempty"`
	Extra         *Extra             `json:"extra,omitempty"` // nil: nothing went wrong
	Retriable     bool               `json:"retriable"`       // may be launched again for the same person
}

// An Extra is why a session did not complete.
type Extra struct {
	ErrorCode         kiosk.ErrorCode    `json:"errorCode,omitempty"`
	DetailedErrorCode kiosk.DetailedCode `json:"detailedErrorCode"`
	ErrorMessage      string             `json:"errorMessage"` // English, for staff and logs of the partner
}

// NewResult puts r into the contract's shape.
func NewResult(r kiosk.Result) Result {
	out := Result{
		SessionID:     r.Session,
		CorrelationID: r.CorrelationID,
		Status:        r.Status,
		SubmissionID:  r.SubmissionID,
		Retriable:     r.Detail.Retriable(),
	}
	if r.Error != kiosk.NoErrorCode || r.Detail != kiosk.NoDetail {
		out.Extra = &Extra{ErrorCode: r.Error, DetailedErrorCode: r.Detail, ErrorMessage: explain(r.Detail)}
	}
	return out
}

// A launched is the answer to a launch that was accepted.
type launched struct {
	SessionID kiosk.SessionID `json:"sessionId"`
}

// A problem is the body of every answer that is not a success. All but the
// message are only there for launches that were turned down.
type problem struct {
	Message           string             `json:"message"`
	ErrorCode         kiosk.ErrorCode    `json:"errorCode,omitempty"`
	DetailedErrorCode kiosk.DetailedCode `json:"detailedErrorCode,omitempty"`
	Field             string             `json:"field,omitempty"`
	Retriable         *bool              `json:"retriable,omitempty"`
}

// explain says in English what a detailed code means.
func explain(c kiosk.DetailedCode) string {
	switch c {
	case kiosk.ConfigInvalid:
		return "the launch was not valid"
	case kiosk.TokenExpired:
		return "the user token has expired"
	case kiosk.ConnectionLost:
		return "the connection to the gateway was lost"
	case kiosk.NotAllowListed:
		return "this gateway is not configured on the kiosk"
	case kiosk.UnknownError:
		return "something went wrong on the kiosk"
	case kiosk.MissingField:
		return "the launch lacks a field"
	case kiosk.UserCancelled:
		return "the visitor left the session"
	case kiosk.ExchangeFailed:
		return "no user token could be obtained"
	case kiosk.ExchangeTimedOut:
		return "the user token did not come in time"
	case kiosk.CameraUnavailable:
		return "the camera is not available"
	case kiosk.PermissionDenied:
		return "the kiosk lacks a permission"
	case kiosk.VerificationFailed:
		return "the verification failed"
	case kiosk.HelpTapped:
		return "the visitor asked for help"
	case kiosk.Tampered:
		return "the kiosk found signs of tampering"
	case kiosk.APIError:
		return "the gateway answered with an error"
	case kiosk.Saved:
		return "the capture is saved on the kiosk and is delivered later: do not capture again"
	case kiosk.NoDetail:
		return ""
	}
	return ""
}

// class returns the coarse class of a detailed code.
func class(c kiosk.DetailedCode) kiosk.ErrorCode {
	switch c {
	case kiosk.CameraUnavailable:
		return kiosk.CameraError
	case kiosk.PermissionDenied:
		return kiosk.PermissionError
	case kiosk.ConnectionLost:
		return kiosk.NetworkError
	case kiosk.TokenExpired, kiosk.ExchangeFailed, kiosk.ExchangeTimedOut, kiosk.APIError:
		return kiosk.GatewayAPIError
	case kiosk.VerificationFailed:
		return kiosk.VerificationError
	case kiosk.HelpTapped:
		return kiosk.HelpClickedError
	case kiosk.Tampered, kiosk.NotAllowListed:
		return kiosk.SecurityError
	case kiosk.UserCancelled:
		return kiosk.UserCancelledError
	case kiosk.ConfigInvalid, kiosk.UnknownError, kiosk.MissingField, kiosk.Saved, kiosk.NoDetail:
		return kiosk.NoErrorCode
	}
	return kiosk.NoErrorCode
}
