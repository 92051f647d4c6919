package gateway

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"livekiosk/kiosk"
)

// A rule is one row of the table that says what a failed call means. An empty
// call, a zero status and an empty cause match everything; a status below 10
// matches its class (5 is 5xx).
type rule struct {
	call   string
	status int
	cause  string
	voice  voice
	then   kiosk.Disposition
}

// A voice is who must have answered for a rule to hold.
type voice int

const (
	anybody   voice = iota
	itself          // the service: its answer has the envelope, or is the store's and no web page
	bystander       // something else: a portal, a proxy, a balancer
)

// Causes that decide.
const (
	quotaUsedUp  = "SUBMISSION_QUOTA_EXCEEDED"
	noSubmission = "SUBMISSION_DOES_NOT_EXIST"
	sessionTwice = "DUPLICATE_PARTNER_SESSION_ID"
	storeTooMuch = "EntityTooLarge"
	storeTimeout = "RequestTimeout"
)

// dispositions is the table, first match wins: the HTTP status decides, then
// the cause; never the envelope's code, which means different things on
// different calls. Nothing but the gateway's own word ends a record: a page
// from a captive portal or a proxy's 404 never does.
func dispositions() []rule {
	return []rule{
		// The partner backend. Whether it knows this kiosk is for an operator
		// to mend, and not a reason to give a capture up.
		{callToken, http.StatusBadRequest, "", itself, kiosk.Final},
		{callToken, http.StatusConflict, "", itself, kiosk.Final},
		{callToken, http.StatusUnprocessableEntity, "", itself, kiosk.Final},
		{callToken, 0, "", anybody, kiosk.RetryLater},

		// A partner's server. There the disposition is of the request: NewToken
		// is a new partner token, PollOn that an earlier request took effect, so
		// that the token it was answered with counts.
		{callPartnerToken, http.StatusTooManyRequests, "", anybody, kiosk.RetryLater},
		{callPartnerToken, http.StatusRequestTimeout, "", anybody, kiosk.RetryLater},
		{callPartnerToken, 4, "", itself, kiosk.Final}, // the client id or the pass key is not good
		{callPartnerToken, 0, "", anybody, kiosk.RetryLater},
		{callFlow, http.StatusBadRequest, sessionTwice, itself, kiosk.PollOn},
		{callFlow, http.StatusConflict, sessionTwice, itself, kiosk.PollOn},
		// Nothing was submitted yet, which may still come.
		{callDetails, http.StatusBadRequest, noSubmission, itself, kiosk.RetryLater},
		{callDetails, http.StatusNotFound, noSubmission, itself, kiosk.RetryLater},

		// The object store, which has no envelope.
		{callUpload, 4, "", bystander, kiosk.RetryLater},
		{callUpload, http.StatusRequestEntityTooLarge, "", anybody, kiosk.Recapture},
		{callUpload, http.StatusBadRequest, storeTooMuch, anybody, kiosk.Recapture},
		{callUpload, http.StatusBadRequest, storeTimeout, anybody, kiosk.RetryLater},
		{callUpload, http.StatusProxyAuthRequired, "", anybody, kiosk.RetryLater},
		{callUpload, http.StatusRequestTimeout, "", anybody, kiosk.RetryLater},
		{callUpload, http.StatusTooManyRequests, "", anybody, kiosk.RetryLater},
		{callUpload, 4, "", anybody, kiosk.NewURLs},
		{callUpload, 0, "", anybody, kiosk.RetryLater},

		// The gateway. A 401 of something in between costs no token.
		{"", http.StatusUnauthorized, "", itself, kiosk.NewToken},
		{"", http.StatusProxyAuthRequired, "", anybody, kiosk.RetryLater},
		{"", http.StatusRequestTimeout, "", anybody, kiosk.RetryLater},
		{"", http.StatusTooEarly, "", anybody, kiosk.RetryLater},
		{"", http.StatusTooManyRequests, quotaUsedUp, itself, kiosk.Final},
		{"", http.StatusTooManyRequests, "", anybody, kiosk.RetryLater},
		{callConfirm, http.StatusConflict, "", itself, kiosk.PollOn},
		{callConfirm, http.StatusUnprocessableEntity, "", itself, kiosk.Recapture},
		// A submission that the gateway denies. Whether the same capture may go
		// into another one depends on what was sent for this one.
		{callConfirm, http.StatusNotFound, noSubmission, itself, kiosk.NewURLs},
		{callStatus, http.StatusNotFound, noSubmission, itself, kiosk.NewURLs},
		{callFlow, 4, "", itself, kiosk.Final},
		{callDetails, 4, "", itself, kiosk.Final},
		{"", http.StatusBadRequest, "", itself, kiosk.Final},
		{"", http.StatusUnprocessableEntity, "", itself, kiosk.Final},
		// 5xx, redirects, successes that are none, a 4xx of something in
		// between, and such as 403: a refusal that is as likely about all
		// records as about this one. A permission that was withdrawn for an hour
		// must not cost a backlog.
		{"", 0, "", anybody, kiosk.RetryLater},
	}
}

func disposition(call string, status int, cause string, from voice) kiosk.Disposition {
	for _, r := range dispositions() {
		switch {
		case r.call != "" && r.call != call:
		case r.status >= 10 && r.status != status:
		case r.status > 0 && r.status < 10 && r.status != status/100:
		case r.cause != "" && r.cause != cause:
		case r.voice != anybody && r.voice != from:
		default:
			return r.then
		}
	}
	return kiosk.RetryLater
}

// retryAfter reads the header of that name: seconds or a date. It is bounded
// to a day; 0 means that none was wished.
func retryAfter(s string, now time.Time) time.Duration {
	const most = 24 * time.Hour
	s = strings.TrimSpace(s)
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Duration(min(max(n, 0), int64(most/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil {
		return min(max(at.Sub(now), 0), most)
	}
	return 0
}
