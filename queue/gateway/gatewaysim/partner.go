package gatewaysim

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A partner is the sample partner backend. It reaches the gateway by HTTP
// only, as a partner's would.
type partner struct {
	sim         *Sim
	callbackKey string // what a callback must present

	token chan partnerToken // holds the cached token; whoever took it refreshes it

	mu    sync.Mutex
	users map[string]*customer // by correlation id
}

type partnerToken struct {
	value   string
	expires time.Time
}

// A customer is a person the partner initiated a flow for.
type customer struct {
	user, idType string
	token        string // user token
	expires      time.Time
	heard        map[string]bool // callbacks, by submission, status and result
	latest       *word
}

// A word is what the partner was told of a submission.
type word struct {
	Correlation string    `json:"correlationId"`
	Submission  string    `json:"submissionId,omitempty"`
	Status      string    `json:"status"`
	Result      string    `json:"result,omitempty"`
	Reason      string    `json:"reasonCode,omitempty"`
	Source      string    `json:"source"` // callback or details
	processed   time.Time // when the gateway came to it
}

func newPartner(s *Sim) *partner {
	p := &partner{sim: s, callbackKey: secret(), token: make(chan partnerToken, 1), users: map[string]*customer{}}
	p.token <- partnerToken{}
	return p
}

// initiate answers the kiosk's request for a user token.
func (p *partner) initiate(r *http.Request, ev *Event) reply {
	var in struct {
		Correlation string `json:"correlationId"`
		User        string `json:"userId"`
		IDType      string `json:"userIdType"`
		Locale      string `json:"locale"`
	}
	if !decode(r, &in) {
		return refuse(http.StatusBadRequest, "1540", "INVALID_INITIATE_REQUEST")
	}
	ev.Correlation = in.Correlation
	p.mu.Lock()
	c := p.users[in.Correlation]
	p.mu.Unlock()
	if c != nil && in.User == "" { // a renewal
		in.User, in.IDType = c.user, c.idType
	}
	if in.IDType == "" {
		in.IDType = "CUSTOMER_ID"
	}
	locale := map[string]string{"id": "id_ID", "en": "en_ID"}[in.Locale]
	switch {
	case in.Correlation == "":
		return missing("correlation_id")
	case in.User == "":
		return missing("user_id")
	case locale == "":
		return refuse(http.StatusBadRequest, "1540", "INVALID_LOCALE")
	case c != nil && (c.user != in.User || c.idType != in.IDType):
		return documented(callInitiate, http.StatusConflict)
	}
	token, expires, cause := p.flow(r, in.Correlation, in.User, in.IDType, locale)
	switch {
	case cause == "DUPLICATE_PARTNER_SESSION_ID" && c != nil && p.sim.opts.Now().Before(c.expires):
		token, expires = c.token, c.expires
	case cause == "DUPLICATE_PARTNER_SESSION_ID":
		return documented(callInitiate, http.StatusConflict)
	case cause != "":
		return refuse(http.StatusBadGateway, "900", cause)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if c = p.users[in.Correlation]; c == nil {
		c = &customer{user: in.User, idType: in.IDType, heard: map[string]bool{}}
		p.users[in.Correlation] = c
	}
	c.token, c.expires = token, expires
	return plain(http.StatusOK, map[string]string{"token": token, "expiresAt": strconv.FormatInt(expires.Unix(), 10)})
}

// flow makes call 2.
func (p *partner) flow(r *http.Request, correlation, user, idType, locale string) (token string, expires time.Time, cause string) {
	partner, cause := p.partnerToken(r)
	if cause != "" {
		return "", time.Time{}, cause
	}
	body, err := json.Marshal(map[string]any{
		"flow": "STANDALONE_LIVENESS", "source": "SDK", "theme": "NO_PREFERENCE",
		"additionalDetails": map[string]any{"userLocale": locale},
	})
	if err != nil {
		return "", time.Time{}, "GENERIC_SERVICE_ERROR"
	}
	var data struct {
		Token   string `json:"token"`
		Expires string `json:"expiresAt"`
	}
	cause = p.call(r.Context(), http.MethodPost, p.sim.base(r)+"/coe-partner/v1/initiate-flow", string(body), map[string]string{
		"X-Onekyc-Token": partner, "X-Onboarding-Partner": p.sim.opts.PartnerCode + "-KIOSK-STANDALONE_LIVENESS",
		"X-Partner-User-Id": user, "X-Partner-User-Id-Type": idType, "X-Partner-Session-Id": correlation,
	}, &data)
	if cause != "" {
		return "", time.Time{}, cause
	}
	return data.Token, epoch(data.Expires), ""
}

// partnerToken returns the cached partner token, renewed five minutes before
// its end. One request renews it at a time; the others wait.
func (p *partner) partnerToken(r *http.Request) (token, cause string) {
	var held partnerToken
	select {
	case held = <-p.token:
	case <-r.Context().Done():
		return "", "GENERIC_SERVICE_ERROR"
	}
	defer func() { p.token <- held }()
	now := p.sim.opts.Now()
	// A token that lives for less than that is used while it lives.
	if early := min(5*time.Minute, p.sim.opts.Lifetimes.PartnerToken/2); now.Add(early).Before(held.expires) {
		return held.value, ""
	}
	var data struct {
		Token   string `json:"token"`
		Expires string `json:"expires_at"`
	}
	cause = p.call(r.Context(), http.MethodGet, p.sim.base(r)+"/v1/coe/partner/authentication", "", map[string]string{
		"Client-Id": p.sim.opts.ClientID, "Pass-Key": p.sim.opts.PassKey,
	}, &data)
	if cause != "" {
		return "", cause
	}
	held = partnerToken{data.Token, epoch(data.Expires)}
	return held.value, ""
}

func epoch(s string) time.Time {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(n, 0)
}

// call makes one call to the gateway and decodes the data of its answer. It
// returns the gateway's cause if it failed.
func (p *partner) call(ctx context.Context, method, url, body string, header map[string]string, data any) (cause string) {
	const unavailable = "UPSTREAM_UNAVAILABLE"
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return unavailable
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := p.sim.client.Do(req)
	if err != nil {
		return unavailable
	}
	defer func() { _ = resp.Body.Close() }() // only read from
	var e struct {
		Success bool            `json:"success"`
		Data    json.RawMessage `json:"data"`
		Errors  []struct {
			Cause string `json:"cause"`
		} `json:"errors"`
	}
	if json.NewDecoder(io.LimitReader(resp.Body, bodyLimit)).Decode(&e) != nil {
		return unavailable
	}
	if !e.Success {
		if len(e.Errors) > 0 && e.Errors[0].Cause != "" {
			return e.Errors[0].Cause
		}
		return unavailable
	}
	if json.Unmarshal(e.Data, data) != nil {
		return unavailable
	}
	return ""
}

// callback receives call 8. It may come twice and out of order.
func (p *partner) callback(r *http.Request, ev *Event) reply {
	if !same(r.Header.Get("Authorization"), "Bearer "+p.callbackKey) {
		return refuse(http.StatusUnauthorized, "110", "UNAUTHORIZED")
	}
	var in struct {
		Submission string `json:"submissionId"`
		Session    string `json:"partnerSessionId"`
		Status     string `json:"status"`
		Result     string `json:"result"`
		Reason     string `json:"reasonCode"`
		Processed  string `json:"processedAt"`
	}
	if !decode(r, &in) || in.Submission == "" || in.Session == "" || in.Status == "" {
		return refuse(http.StatusBadRequest, "1540", "INVALID_CALLBACK")
	}
	ev.Correlation, ev.Submission, ev.Result, ev.Reason = in.Session, in.Submission, in.Result, in.Reason
	processed, err := time.Parse(time.RFC3339, in.Processed)
	if err != nil {
		processed = time.Time{} // the oldest of all
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.users[in.Session]
	if c == nil { // initiated by another part of the partner
		c = &customer{heard: map[string]bool{}}
		p.users[in.Session] = c
	}
	effect := fmt.Sprintf("%q %q %q", in.Submission, in.Status, in.Result)
	if ev.Duplicate = c.heard[effect]; ev.Duplicate {
		return plain(http.StatusOK, map[string]bool{"duplicate": true})
	}
	c.heard[effect] = true
	if c.latest == nil || !processed.Before(c.latest.processed) {
		c.latest = &word{in.Session, in.Submission, in.Status, in.Result, in.Reason, "callback", processed}
	}
	return plain(http.StatusOK, map[string]bool{"duplicate": false})
}

// lookUp tells what the partner knows of a session. Without a callback it asks
// the gateway for the details.
func (p *partner) lookUp(r *http.Request, _ *Event) reply {
	correlation := r.PathValue("correlation")
	p.mu.Lock()
	c := p.users[correlation]
	var w *word
	if c != nil {
		w = c.latest
	}
	p.mu.Unlock()
	if w == nil {
		var cause string
		if w, cause = p.ask(r, correlation); cause != "" {
			if cause == "SUBMISSION_DOES_NOT_EXIST" {
				return refuse(http.StatusNotFound, "1543", cause)
			}
			return refuse(http.StatusBadGateway, "900", cause)
		}
	}
	return plain(http.StatusOK, w)
}

// ask makes call 7.
func (p *partner) ask(r *http.Request, correlation string) (*word, string) {
	token, cause := p.partnerToken(r)
	if cause != "" {
		return nil, cause
	}
	var data struct {
		Submission string `json:"submissionId"`
		Status     string `json:"status"`
		Result     string `json:"result"`
		Reason     string `json:"reasonCode"`
	}
	cause = p.call(r.Context(), http.MethodGet, p.sim.base(r)+"/coe/v1/submissions", "", map[string]string{
		"X-Onekyc-Token": token, "X-Partner-Session-Id": correlation,
	}, &data)
	if cause != "" {
		return nil, cause
	}
	return &word{correlation, data.Submission, data.Status, data.Result, data.Reason, "details", time.Time{}}, ""
}
