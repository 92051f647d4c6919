package gatewaysim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Fault is one line of a fault script: what a call does instead of its work,
// and how many times.
type Fault struct {
	Call string        // a call's name, or "all"
	Kind string        // an HTTP status, or hang, reset, lost, html, garbage, huge
	Wait time.Duration // of hang; 0 means until the client gives up
	Left int           // times it will still happen; negative means for ever
}

func (f Fault) String() string {
	s := f.Call + "=" + f.Kind
	if f.Wait > 0 {
		s += ":" + f.Wait.String()
	}
	switch {
	case f.Left < 0:
		s += "x*"
	case f.Left != 1:
		s += "x" + strconv.Itoa(f.Left)
	}
	return s
}

// ParseFaults reads a fault script: items "call=fault", separated by commas or
// white space. A call has the name that its events have (partner_token, flow,
// urls, upload, confirm, status, details, callback, initiate), or is "all". A fault is
//
//	503        an HTTP status with the cause that the contract has for it
//	hang       no answer; hang:10s answers 503 after that time
//	reset      the connection is reset, and nothing is done
//	lost       the work is done, and then the connection is reset
//	html       200 with a web page, as a captive portal answers
//	garbage    200 with bytes that are no JSON
//	huge       200 with 8 MiB of spaces
//
// followed by x3 for three times, or x* for ever; alone it happens once. Faults
// of one call happen in the order of the script.
func ParseFaults(s string) ([]Fault, error) {
	var faults []Fault
	for _, item := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ';' || r == ' ' || r == '\n' || r == '\t' || r == '\r' }) {
		f, err := parseFault(item)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", item, err)
		}
		faults = append(faults, f)
	}
	return faults, nil
}

func parseFault(item string) (Fault, error) {
	call, kind, found := strings.Cut(item, "=")
	if !found {
		return Fault{}, errors.New("want call=fault, such as urls=503x3")
	}
	f := Fault{Call: call, Left: 1}
	if !slices.Contains([]string{
		"all", callPartnerToken, callFlow, callURLs, callUpload, callConfirm, callStatus,
		callDetails, callCallback, callInitiate,
	}, call) {
		return Fault{}, fmt.Errorf("there is no call %q", call)
	}
	if i := strings.LastIndexByte(kind, 'x'); i > 0 {
		n, err := strconv.Atoi(kind[i+1:])
		switch {
		case kind[i+1:] == "*":
			f.Left = -1
		case err != nil || n < 1:
			return Fault{}, errors.New("want a count from 1 or * after x")
		default:
			f.Left = n
		}
		kind = kind[:i]
	}
	kind, wait, waits := strings.Cut(kind, ":")
	f.Kind = kind
	if waits {
		d, err := time.ParseDuration(wait)
		if err != nil || d <= 0 || kind != "hang" {
			return Fault{}, errors.New("only hang takes a time, such as hang:10s")
		}
		f.Wait = d
	}
	switch kind {
	case "hang", "reset", "lost", "html", "garbage", "huge":
		return f, nil
	}
	if n, err := strconv.Atoi(kind); err != nil || n < 300 || n > 599 {
		return Fault{}, errors.New("want a status from 300 to 599, or hang, reset, lost, html, garbage or huge")
	}
	return f, nil
}

// replaces reports whether the fault happens instead of the call's work.
func (f Fault) replaces() bool { return f.Kind != "lost" }

func (f Fault) reply(ctx context.Context, call string) reply {
	switch f.Kind {
	case "hang":
		var up <-chan time.Time
		if f.Wait > 0 {
			t := time.NewTimer(f.Wait)
			defer t.Stop()
			up = t.C
		}
		select {
		case <-ctx.Done():
			return reply{drop: true}
		case <-up:
			return refuse(http.StatusServiceUnavailable, "903", "SERVICE_UNAVAILABLE")
		}
	case "reset":
		return reply{drop: true}
	case "html":
		return reply{status: http.StatusOK, kind: "text/html", body: []byte("<!DOCTYPE html><title>Sign in</title><p>Welcome to the free network.")}
	case "garbage":
		return reply{status: http.StatusOK, body: []byte("{\"success\":tru\x00\xff")}
	case "huge":
		return reply{status: http.StatusOK, body: slices.Repeat([]byte(" "), 8<<20)}
	}
	status, err := strconv.Atoi(f.Kind)
	if err != nil {
		status = http.StatusInternalServerError
	}
	return documented(call, status)
}

// documented is the contract's failure of a call with a status.
func documented(call string, status int) reply {
	if call == callUpload {
		switch status {
		case http.StatusForbidden:
			return denied(status, "AccessDenied")
		case http.StatusServiceUnavailable:
			return denied(status, "SlowDown")
		case http.StatusBadRequest:
			return denied(status, "RequestTimeout")
		}
		return denied(status, "InternalError")
	}
	switch status {
	case http.StatusBadRequest:
		switch call {
		case callConfirm:
			return refuse(status, "1542", "INVALID_CONFIRM_UPLOAD_REQUEST")
		case callStatus:
			return refuse(status, "1541", "INVALID_SUBMISSION_ID")
		case callDetails:
			return refuse(status, "1543", "SUBMISSION_DOES_NOT_EXIST")
		case callURLs:
			return refuse(status, "1542", "INVALID_SUBMISSION_TYPE")
		case callPartnerToken:
			return refuse(status, "1539", "CLIENT_ID_CAN_NOT_BE_EMPTY")
		}
		return missing("X-Partner-Session-Id")
	case http.StatusUnauthorized:
		return refuse(status, "110", "UNAUTHORIZED")
	case http.StatusForbidden:
		if call == callFlow {
			return refuse(status, "110", "ONBOARDING_PARTNER_DOES_NOT_BELONG_TO_CLIENT")
		}
		return refuse(status, "110", "FORBIDDEN")
	case http.StatusNotFound:
		return refuse(status, "1543", "SUBMISSION_DOES_NOT_EXIST")
	case http.StatusConflict:
		if call == callInitiate {
			return refuse(status, "1540", "DUPLICATE_PARTNER_SESSION_ID")
		}
		return refuse(status, "1544", "SUBMISSION_STATE_CONFLICT")
	case http.StatusUnprocessableEntity:
		return refuse(status, "1545", "INVALID_UPLOAD_ARTIFACT")
	case http.StatusTooManyRequests:
		if call == callURLs {
			return refuse(status, "1546", "SUBMISSION_QUOTA_EXCEEDED")
		}
		return refuse(status, "429", "TOO_MANY_REQUESTS")
	case http.StatusServiceUnavailable:
		return refuse(status, "903", "SERVICE_UNAVAILABLE")
	}
	if call == callURLs {
		return refuse(status, "900", "SOMETHING_WENT_WRONG")
	}
	return refuse(status, "900", "GENERIC_SERVICE_ERROR")
}

// A script is the faults that are still to come.
type script struct {
	mu     sync.Mutex
	faults []Fault
}

// take returns the next fault of a call and counts it.
func (s *script) take(call string) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.faults {
		f := &s.faults[i]
		if f.Call != call && (f.Call != "all" || call == "") {
			continue
		}
		hit := *f
		hit.Left = 1
		if f.Left > 0 {
			f.Left--
		}
		if f.Left == 0 {
			s.faults = slices.Delete(s.faults, i, i+1)
		}
		return hit, true
	}
	return Fault{}, false
}

// serveFaults lists the faults to come (GET), adds to them (POST, a script as
// the body), or clears them (DELETE).
func (s *Sim) serveFaults(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
	case http.MethodDelete:
		s.faults.mu.Lock()
		s.faults.faults = nil
		s.faults.mu.Unlock()
	case http.MethodPost:
		b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
		if err != nil {
			http.Error(w, "the script is too long", http.StatusRequestEntityTooLarge)
			return
		}
		faults, err := ParseFaults(string(b))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.faults.mu.Lock()
		s.faults.faults = append(s.faults.faults, faults...)
		s.faults.mu.Unlock()
	default:
		http.Error(w, "want GET, POST or DELETE", http.StatusMethodNotAllowed)
		return
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	for _, f := range s.faults.faults {
		_, _ = io.WriteString(w, f.String()+"\n")
	}
}
