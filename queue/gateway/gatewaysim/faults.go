package gatewaysim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Fault is one line of a fault script: what goes wrong with a call, and how
// often.
type Fault struct {
	Call    string        // a call's name, or "all"
	Kind    string        // an HTTP status, or one of the words of ParseFaults
	Wait    time.Duration // of hang; 0 means until the client gives up
	Rate    int64         // of slow: bytes a second
	Skew    time.Duration // of skew
	After   time.Duration // Retry-After of 429 and 503, in whole seconds; 0 means none
	Percent float64       // of the calls that it happens to, at random; 0 means all
	Left    int           // times it will still happen; negative means for ever
}

// The kinds of fault that are no HTTP status.
const (
	kindHang    = "hang"
	kindReset   = "reset"
	kindHalf    = "reset-mid-body"
	kindLost    = "lost"
	kindHTML    = "html"
	kindGarbage = "garbage"
	kindHuge    = "huge"
	kindSlow    = "slow"
	kindSkew    = "skew"
)

// What a script may be.
const (
	faultsAtOnce = 1000
	faultLength  = 100 // of one, in bytes
)

// calls are the names that a fault may have.
func calls() []string {
	return []string{
		"all", callPartnerToken, callFlow, callURLs, callUpload, callConfirm, callStatus,
		callDetails, callCallback, callReference, callInitiate,
	}
}

// String returns the fault as ParseFaults reads it.
func (f Fault) String() string {
	s := f.Call + "=" + f.Kind
	switch {
	case f.Wait > 0:
		s += ":" + span(f.Wait)
	case f.Rate > 0:
		s += ":" + rate(f.Rate)
	case f.Skew > 0:
		s += ":+" + span(f.Skew)
	case f.Skew < 0:
		s += ":-" + span(-f.Skew)
	case f.After > 0:
		s += "/" + span(f.After)
	}
	usual := 1
	if f.Percent > 0 {
		s += "%" + strconv.FormatFloat(f.Percent, 'f', -1, 64)
		usual = -1
	}
	switch {
	case f.Left == usual:
	case f.Left < 0:
		s += "x*"
	default:
		s += "x" + strconv.Itoa(f.Left)
	}
	return s
}

// A year of a skew has 365 days.
const (
	day  = 24 * time.Hour
	year = 365 * day
)

// span writes a duration without units that are zero.
func span(d time.Duration) string {
	if d%year == 0 {
		return strconv.FormatInt(int64(d/year), 10) + "y"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// parseSpan reads a duration, which may also be whole days or years.
func parseSpan(s string) (time.Duration, error) {
	for suffix, unit := range map[string]time.Duration{"d": day, "y": year} {
		if n, is := strings.CutSuffix(s, suffix); is {
			v, err := strconv.ParseUint(n, 10, 31)
			if err != nil || v == 0 || time.Duration(v) > 250*year/unit {
				return 0, errors.New("want whole days or years, at least one and at most 250 years")
			}
			return time.Duration(v) * unit, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 || d > 250*year {
		return 0, errors.New("want a time such as 10s, 48h, 2d or 56y")
	}
	return d, nil
}

// rate writes bytes a second.
func rate(n int64) string {
	switch {
	case n%1_000_000 == 0:
		return strconv.FormatInt(n/1_000_000, 10) + "MB/s"
	case n%1000 == 0:
		return strconv.FormatInt(n/1000, 10) + "kB/s"
	}
	return strconv.FormatInt(n, 10) + "B/s"
}

func parseRate(s string) (int64, error) {
	number, whole := strings.CutSuffix(s, "B/s")
	unit := int64(1)
	if n, kilo := strings.CutSuffix(number, "k"); kilo {
		number, unit = n, 1000
	} else if n, mega := strings.CutSuffix(number, "M"); mega {
		number, unit = n, 1_000_000
	}
	v, err := strconv.ParseInt(number, 10, 64)
	if !whole || err != nil || v < 1 || v > 1_000_000_000/unit {
		return 0, errors.New("want a rate from 1B/s to 1000MB/s, such as 50kB/s")
	}
	return v * unit, nil
}

// ParseFaults reads a fault script: items "call=fault", separated by commas,
// semicolons or white space. A call has the name that its events have
// (partner_token, flow, urls, upload, confirm, status, details, callback,
// reference, initiate), or is "all". A fault is
//
//	503             an HTTP status with the cause that the contract has for it
//	503/30s         the same with Retry-After: 30; 429 can have it, too
//	hang            no answer; hang:10s answers 503 after that time
//	slow:50kB/s     the request is read, and the answer written, at that rate
//	reset           the connection is reset, and nothing is done
//	reset-mid-body  half of the request's body is read, then the connection is
//	                reset; without a body, half of the answer is written first
//	lost            the work is done, and then the connection is reset
//	html            200 with a web page, as a captive portal answers
//	garbage         200 with bytes that are no JSON
//	huge            200 with 8 MiB of spaces
//	skew:+48h       the gateway works by a clock that is ahead, or behind with
//	                skew:-56y, and its Date says so; d and y are units, too
//
// followed by x3 for three times, or x* for ever; alone it happens once. With
// %5 it happens to 5 % of the calls, at random and for ever, unless x3 ends it.
// White space may stand before x3, %5 and /30s and instead of the colon and the
// hyphens ("urls=503 x3", "status=hang 10s"); "429 quota", "garbage body" and
// "clock skew" are 429, garbage and skew. Faults of one call happen in the
// order of the script; a random one that does not happen leaves the turn to the
// next.
//
// With Options.CallbackURL, the faults of callback and reference happen to what
// the gateway sends: it believes that the partner's answer was that. So html and
// garbage are callbacks that were taken, though the partner never heard of
// them; huge is none that was.
func ParseFaults(s string) ([]Fault, error) {
	var items []string
	for part := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ',' || r == ';' || r == '\n' }) {
		fresh := true
		for word := range strings.FieldsSeq(part) {
			if fresh || strings.Contains(word, "=") {
				items = append(items, word)
			} else {
				items[len(items)-1] += " " + word
			}
			if last := items[len(items)-1]; len(last) > faultLength {
				return nil, fmt.Errorf("%.20q…: a fault has at most %d characters", last, faultLength)
			}
			fresh = false
		}
	}
	if len(items) > faultsAtOnce {
		return nil, fmt.Errorf("%d faults: at most %d at once", len(items), faultsAtOnce)
	}
	faults := make([]Fault, 0, len(items))
	for _, item := range items {
		f, err := parseFault(item)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", item, err)
		}
		faults = append(faults, f)
	}
	return faults, nil
}

// joined returns a fault in its spelling without spaces.
func joined(kind string) string {
	for long, short := range map[string]string{
		"reset mid-body": kindHalf, "reset mid body": kindHalf, "garbage body": kindGarbage, "429 quota": "429", "clock skew": kindSkew,
	} {
		if rest, is := strings.CutPrefix(kind, long); is {
			kind = short + rest
		}
	}
	words := strings.Fields(kind)
	for i, w := range words {
		if i == 0 || strings.HasPrefix(w, "x") || strings.HasPrefix(w, "%") || strings.HasPrefix(w, "/") {
			continue
		}
		words[i] = ":" + w
	}
	return strings.Join(words, "")
}

func parseFault(item string) (Fault, error) {
	call, kind, found := strings.Cut(item, "=")
	if !found {
		return Fault{}, errors.New("want call=fault, such as urls=503x3")
	}
	f := Fault{Call: call, Left: 1}
	if !slices.Contains(calls(), call) {
		return Fault{}, fmt.Errorf("there is no call %q", call)
	}
	kind = joined(kind)
	count := ""
	if i := strings.LastIndexByte(kind, 'x'); i > 0 {
		kind, count = kind[:i], kind[i+1:]
		n, err := strconv.Atoi(count)
		switch {
		case count == "*":
			f.Left = -1
		case err != nil || n < 1:
			return Fault{}, errors.New("want a count from 1 or * after x")
		default:
			f.Left = n
		}
	}
	if i := strings.IndexByte(kind, '%'); i > 0 {
		p, err := strconv.ParseFloat(kind[i+1:], 64)
		if err != nil || !(p > 0 && p <= 100) {
			return Fault{}, errors.New("want more than 0 and at most 100 after %")
		}
		f.Percent = p
		if count == "" {
			f.Left = -1
		}
		kind = kind[:i]
	}
	kind, value, valued := strings.Cut(kind, ":")
	var err error
	switch kind {
	case kindHang:
		if valued {
			f.Wait, err = parseSpan(value)
		}
	case kindSlow:
		f.Rate, err = parseRate(value)
	case kindSkew:
		ahead, behind := strings.CutPrefix(value, "-")
		if f.Skew, err = parseSpan(strings.TrimPrefix(ahead, "+")); behind {
			f.Skew = -f.Skew
		}
	case kindReset, kindHalf, kindLost, kindHTML, kindGarbage, kindHuge:
		if valued {
			err = errors.New("takes no value")
		}
	default:
		return statusFault(f, kind, valued)
	}
	f.Kind = kind
	if err != nil {
		return Fault{}, fmt.Errorf("%s: %w", kind, err)
	}
	return f, nil
}

// statusFault completes a fault that is an HTTP status.
func statusFault(f Fault, kind string, valued bool) (Fault, error) {
	kind, after, waits := strings.Cut(kind, "/")
	n, err := strconv.Atoi(kind)
	if err != nil || n < 300 || n > 599 || len(kind) != 3 || valued {
		return Fault{}, errors.New("want a status from 300 to 599, or hang, slow, reset, reset-mid-body, lost, html, garbage, huge or skew")
	}
	if waits {
		f.After, err = parseSpan(after)
		if err != nil || f.After%time.Second != 0 || n != http.StatusTooManyRequests && n != http.StatusServiceUnavailable {
			return Fault{}, errors.New("only 429 and 503 take a Retry-After, in whole seconds, such as 503/30s")
		}
	}
	f.Kind = kind
	return f, nil
}

// replaces reports whether the fault happens instead of the call's work.
func (f Fault) replaces() bool {
	switch f.Kind {
	case "", kindLost, kindSlow, kindSkew, kindHalf:
		return false
	}
	return true
}

// reply is the answer of a fault that replaces the work.
func (f Fault) reply(ctx context.Context, call string) reply {
	switch f.Kind {
	case kindHang:
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
	case kindReset:
		return reply{drop: true}
	case kindHTML:
		return reply{status: http.StatusOK, kind: "text/html", body: []byte("<!DOCTYPE html><title>Sign in</title><p>Welcome to the free network.")}
	case kindGarbage:
		return reply{status: http.StatusOK, body: []byte("{\"success\":tru\x00\xff")}
	case kindHuge:
		return reply{status: http.StatusOK, body: slices.Repeat([]byte(" "), 8<<20)}
	}
	status, err := strconv.Atoi(f.Kind)
	if err != nil {
		status = http.StatusInternalServerError
	}
	out := documented(call, status)
	if f.After > 0 {
		out.header = http.Header{"Retry-After": {strconv.Itoa(int(f.After / time.Second))}}
	}
	return out
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
	chance *rand.Rand
	save   func([]Fault) // is told each change, with the mutex held
}

// take returns the next fault of a call and counts it. Without one, it returns
// the zero Fault.
func (s *script) take(call string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.faults {
		f := &s.faults[i]
		if f.Call != call && (f.Call != "all" || call == "") {
			continue
		}
		if f.Percent > 0 && s.chance.Float64()*100 >= f.Percent {
			continue
		}
		hit := *f
		hit.Percent, hit.Left = 0, 1
		if f.Left > 0 {
			f.Left--
			if f.Left == 0 {
				s.faults = slices.Delete(s.faults, i, i+1)
			}
			s.save(s.faults)
		}
		return hit
	}
	return Fault{}
}

// set replaces the faults, or adds to them.
func (s *script) set(faults []Fault, more bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if more {
		if len(s.faults)+len(faults) > faultsAtOnce {
			return fmt.Errorf("%d faults are to come: at most %d at once", len(s.faults), faultsAtOnce)
		}
		faults = slices.Concat(s.faults, faults)
	}
	s.faults = faults
	s.save(s.faults)
	return nil
}

// lines writes the faults to come as a script.
func (s *script) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return lines(s.faults)
}

func lines(faults []Fault) []string {
	all := make([]string, len(faults))
	for i, f := range faults {
		all[i] = f.String()
	}
	return all
}

// scriptLimit bounds a script that comes in a request, in bytes.
const scriptLimit = 64 << 10

// tellFaults lists the faults to come.
func (s *Sim) tellFaults(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for _, line := range s.faults.lines() {
		_, _ = io.WriteString(w, line+"\n") // the client may have gone
	}
}

// addFaults adds the script in the body to the faults to come, and lists them.
func (s *Sim) addFaults(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, scriptLimit))
	if err != nil {
		http.Error(w, "the script is too long", http.StatusRequestEntityTooLarge)
		return
	}
	faults, err := ParseFaults(string(b))
	if err == nil {
		err = s.faults.set(faults, true)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := s.settle(); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	s.tellFaults(w, r)
}

// clearFaults forgets the faults to come.
func (s *Sim) clearFaults(w http.ResponseWriter, _ *http.Request) {
	if err := cmp.Or(s.faults.set(nil, false), s.settle()); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
