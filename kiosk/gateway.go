package kiosk

import (
	"fmt"
	"log/slog"
	"time"
)

// Credentials are the headers of a kiosk's call to the gateway.
type Credentials struct {
	Token         string    // x-onekyc-token (user); secret
	CorrelationID string    // x-partner-session-id
	Session       SessionID // x-sdk-session-id
}

// A Target is where one document is uploaded. URL is a bearer secret: whoever
// has it may upload until it expires.
type Target struct {
	URL       string
	ExpiresIn time.Duration
}

// An Upload is one image on its way to its target.
type Upload struct {
	Target  Target
	JPEG    []byte // the caller's; not read after the upload returned
	Waiting bool   // a person stands there: the bandwidth cap is not for this one
}

// Targets answer the request for upload URLs.
type Targets struct {
	SubmissionID string
	Documents    map[Document]Target
}

// A GatewayStatus is the state of a submission, as the gateway spells it.
type GatewayStatus string

// The statuses of a submission.
const (
	Initiated          GatewayStatus = "INITIATED"
	InProgress         GatewayStatus = "IN_PROGRESS"
	PartiallyCompleted GatewayStatus = "PARTIALLY_COMPLETED"
	StatusCompleted    GatewayStatus = "COMPLETED"
	StatusError        GatewayStatus = "ERROR"
	StatusRejected     GatewayStatus = "REJECTED"
)

// A SubmissionStatus is the gateway's answer to a poll.
type SubmissionStatus struct {
	SubmissionID string
	Status       GatewayStatus
	Approved     *bool               // nil: not said
	Documents    map[Document]string // PENDING, UPLOADED, VERIFIED, INVALID or REJECTED
}

// A TokenRequest asks the partner backend for a user token.
type TokenRequest struct {
	CorrelationID string
	UserID        string
	UserIDType    string
	Locale        Locale
}

// A UserToken is the gateway's permission for one person's flow.
type UserToken struct {
	Value   string    // secret
	Expires time.Time // zero: not said
}

// LogValue keeps the token out of every log.
func (t UserToken) LogValue() slog.Value {
	return slog.GroupValue(slog.Bool("token", t.Value != ""), slog.Time("expires", t.Expires))
}

// A Service is one of those the kiosk talks to. Each can be out of reach while
// the others are not.
type Service string

// The services.
const (
	GatewayService Service = "gateway"
	StoreService   Service = "store" // the object store that takes the images
	PartnerService Service = "partner"
)

// A Trouble says why a service gave no answer that counts, in a word that
// staff, metrics and logs share.
type Trouble string

// The troubles.
const (
	NoTrouble          Trouble = ""
	TroubleDNS         Trouble = "dns"         // the host name does not resolve
	TroubleConnect     Trouble = "connect"     // no route, or nobody listens
	TroubleTimeout     Trouble = "timeout"     // no answer in time
	TroubleBroken      Trouble = "broken"      // the connection ended before the answer
	TroubleClock       Trouble = "clock"       // by this kiosk's clock no certificate can be right
	TroubleCertificate Trouble = "certificate" // not accepted, a pin that does not match included
	TroubleProxy       Trouble = "proxy"       // the configured proxy refuses or cannot be reached
	TroublePortal      Trouble = "portal"      // something in between answered: a captive portal or a proxy
	TroubleGarbled     Trouble = "garbled"     // an answer that cannot be read
	TroubleBusy        Trouble = "busy"        // it asks for fewer calls
	TroubleUnavailable Trouble = "unavailable" // it says so itself
)

// An Outage is a time in which a service could not be reached, as it is kept
// over a restart.
type Outage struct {
	Service   Service
	Trouble   Trouble
	Failures  int       // in a row
	Since     time.Time // wall clock, for people
	NotBefore time.Time // the server's wish, wall clock; believed for 15 minutes at most
}

// A Disposition is what a failed call means for the record.
type Disposition string

// The dispositions.
const (
	RetryLater Disposition = "later"     // passing: outage, 429, 5xx
	NewURLs    Disposition = "new_urls"  // an upload URL died
	NewToken   Disposition = "new_token" // the user token is no longer accepted
	PollOn     Disposition = "poll"      // a duplicate: the effect is there already
	Recapture  Disposition = "recapture" // final for these images
	Final      Disposition = "final"     // no retry can change it
)

// A GatewayError is a call that did not succeed. Its text never holds a token,
// a URL's query or a response body.
type GatewayError struct {
	Call        string // such as "confirm"
	Service     Service
	Trouble     Trouble
	Status      int    // HTTP status; 0 if no answer arrived
	Cause       string // the gateway's errors[].cause, cleaned; "" if none
	Disposition Disposition
	RetryAfter  time.Duration // the server's wish; 0 if none
	Err         error         // transport error, cleaned of URLs; may be nil
}

func (e *GatewayError) Error() string {
	switch {
	case e.Err != nil:
		return fmt.Sprintf("%s: %v", e.Call, e.Err)
	case e.Cause != "":
		return fmt.Sprintf("%s: HTTP %d %s", e.Call, e.Status, e.Cause)
	default:
		return fmt.Sprintf("%s: HTTP %d", e.Call, e.Status)
	}
}

// Unwrap returns the transport error.
func (e *GatewayError) Unwrap() error { return e.Err }
