package gatewaysim

import (
	"crypto/subtle"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// bodyLimit bounds the JSON bodies that are read.
const bodyLimit = 1 << 20

// A session is one partner session: a person's flow.
type session struct {
	id           string
	user, idType string
	flow         string
	confirmed    int           // attempts used
	submissions  []*submission // oldest first
}

// A submission is one attempt at the gateway. Its fields are guarded by the
// simulator's mutex.
type submission struct {
	id        string
	session   *session
	created   time.Time
	status    string            // as call 6 tells it
	documents map[string]string // document to object key
	states    map[string]string // document to its state
	polls     int
	base      string // root for the callback
	judged    *verdict
	told      bool // the verdict is public
}

// A verdict is what the check concluded.
type verdict struct {
	at         time.Time
	status     string // COMPLETED or ERROR
	approved   bool
	reason     string
	confidence int // percent
	invalid    []string
}

// selfies are the documents of a liveness submission.
func selfies() []string { return []string{"SELFIE", "ADDITIONAL_SELFIE"} }

// headers returns the failure for the first of names that is empty.
func headers(r *http.Request, names ...string) (reply, bool) {
	for _, n := range names {
		if strings.TrimSpace(r.Header.Get(n)) == "" {
			return missing(n), false
		}
	}
	return reply{}, true
}

// partnerToken is call 1.
func (s *Sim) partnerToken(r *http.Request, _ *Event) reply {
	if out, whole := headers(r, "client-id", "pass-key"); !whole {
		return out
	}
	if !same(r.Header.Get("client-id"), s.opts.ClientID) || !same(r.Header.Get("pass-key"), s.opts.PassKey) {
		return documented(callPartnerToken, http.StatusUnauthorized)
	}
	life := s.opts.Lifetimes.PartnerToken
	token, expires := s.grant("", life)
	return ok(map[string]any{
		"token": token, "expiry_seconds": strconv.Itoa(int(life.Seconds())), "expires_at": strconv.FormatInt(expires.Unix(), 10),
	})
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// grant mints a token.
func (s *Sim) grant(sessionID string, life time.Duration) (token string, expires time.Time) {
	token, expires = secret(), s.opts.Now().Add(life)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[token] = grant{session: sessionID, expires: expires}
	return token, expires
}

// allowed returns the grant of a request's token, if it has a good one.
func (s *Sim) allowed(r *http.Request) (grant, bool) {
	token := r.Header.Get("x-onekyc-token")
	s.mu.Lock()
	defer s.mu.Unlock()
	g, known := s.tokens[token]
	if known && !s.opts.Now().Before(g.expires) {
		delete(s.tokens, token)
		return grant{}, false
	}
	return g, known
}

// initiateFlow is call 2.
func (s *Sim) initiateFlow(r *http.Request, ev *Event) reply {
	if out, whole := headers(r, "x-onekyc-token", "x-onboarding-partner", "x-partner-user-id", "x-partner-user-id-type", "x-partner-session-id"); !whole {
		return out
	}
	if g, good := s.allowed(r); !good || g.session != "" {
		return documented(callFlow, http.StatusUnauthorized)
	}
	var in struct {
		Flow    string `json:"flow"`
		Source  string `json:"source"`
		Success string `json:"successRedirectionUrl"`
		Failure string `json:"failureRedirectionUrl"`
		Theme   string `json:"theme"`
		Details struct {
			Locale string `json:"userLocale"`
		} `json:"additionalDetails"`
	}
	if !decode(r, &in) {
		return refuse(http.StatusBadRequest, "1540", "INVALID_INITIATE_FLOW_REQUEST")
	}
	switch {
	case in.Flow == "":
		return missing("flow")
	case in.Source == "":
		return missing("source")
	case !slices.Contains([]string{"FACE_VERIFICATION", "KTP_SCAN", "KYC_LITE", "ON_DEMAND_FR", "STANDALONE_LIVENESS"}, in.Flow):
		return refuse(http.StatusBadRequest, "1540", "INVALID_FLOW")
	case !slices.Contains([]string{"SDK", "WEB_SDK"}, in.Source):
		return refuse(http.StatusBadRequest, "1540", "INVALID_SOURCE")
	case in.Source == "WEB_SDK" && in.Success == "":
		return missing("success_redirection_url")
	case in.Source == "WEB_SDK" && in.Failure == "":
		return missing("failure_redirection_url")
	case !slices.Contains([]string{"", "DARK_MODE", "LIGHT_MODE", "NO_PREFERENCE"}, in.Theme):
		return refuse(http.StatusBadRequest, "1540", "INVALID_THEME")
	case !slices.Contains([]string{"", "id_ID", "en_ID"}, in.Details.Locale):
		return refuse(http.StatusBadRequest, "1540", "INVALID_USER_LOCALE")
	}
	// PARTNER_CODE-PLATFORM-FLOW
	onboarding := strings.Split(r.Header.Get("x-onboarding-partner"), "-")
	if len(onboarding) != 3 || onboarding[0] != s.opts.PartnerCode || onboarding[2] != in.Flow {
		return documented(callFlow, http.StatusForbidden)
	}
	sid, user := r.Header.Get("x-partner-session-id"), r.Header.Get("x-partner-user-id")
	if !s.open(sid, user, r.Header.Get("x-partner-user-id-type"), in.Flow) {
		return refuse(http.StatusBadRequest, "1540", "DUPLICATE_PARTNER_SESSION_ID")
	}
	ev.Correlation = sid
	life := s.opts.Lifetimes.UserToken
	token, expires := s.grant(sid, life)
	data := map[string]any{"expirySeconds": strconv.Itoa(int(life.Seconds())), "expiresAt": strconv.FormatInt(expires.Unix(), 10)}
	if in.Source == "SDK" {
		data["token"] = token
	} else {
		data["launchUrl"] = s.base(r) + "/web?token=" + token
	}
	return ok(data)
}

// open starts a session, or finds that of the same user.
func (s *Sim) open(sid, user, idType, flow string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, known := s.sessions[sid]; known {
		return !s.opts.UniqueSessions && old.user == user && old.idType == idType && old.flow == flow
	}
	s.sessions[sid] = &session{id: sid, user: user, idType: idType, flow: flow}
	return true
}

// urls is call 3.
func (s *Sim) urls(r *http.Request, ev *Event) reply {
	if out, whole := headers(r, "x-onekyc-token", "x-partner-session-id", "x-sdk-session-id"); !whole {
		return out
	}
	sid := r.Header.Get("x-partner-session-id")
	if g, good := s.allowed(r); !good || g.session != sid {
		return documented(callURLs, http.StatusUnauthorized)
	}
	kind := r.URL.Query().Get("submissionType")
	if kind == "" {
		return missing("submission_type")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sess := s.sessions[sid]
	// Of the contract's types, the kiosk's flow has one.
	if kind != "STANDALONE_LIVENESS" || sess.flow != kind {
		return refuse(http.StatusBadRequest, "1542", "INVALID_SUBMISSION_TYPE")
	}
	sub, quota := s.current(sess)
	if quota {
		return documented(callURLs, http.StatusTooManyRequests)
	}
	ev.Submission = sub.id
	docs := map[string]any{}
	if sub.status == "INITIATED" || sub.status == "PARTIALLY_COMPLETED" {
		for _, d := range selfies() {
			docs[d] = s.invite(r, sub, d)
		}
	}
	return ok(map[string]any{
		"submissionId": sub.id, "status": sub.status, "documents": docs,
		"uiMessages": map[string]any{"title": map[string]string{"title": "Selfie", "message": "Take a selfie"}},
	})
}

// current returns the session's submission for call 3: the open one, or a new
// one after a rejection. It reports whether the attempts are used up.
func (s *Sim) current(sess *session) (sub *submission, quota bool) {
	if n := len(sess.submissions); n > 0 {
		last := sess.submissions[n-1]
		rejected := last.told && !last.judged.approved
		unconfirmed := last.status == "INITIATED" || last.status == "PARTIALLY_COMPLETED"
		if !rejected && (!unconfirmed || !s.opts.NewSubmissions) {
			return last, false
		}
	}
	if sess.confirmed >= s.opts.Attempts {
		return nil, true
	}
	sub = &submission{
		id: id(), session: sess, created: s.opts.Now(), status: "INITIATED",
		documents: map[string]string{}, states: map[string]string{},
	}
	for _, d := range selfies() {
		sub.states[d] = "PENDING"
	}
	sess.submissions = append(sess.submissions, sub)
	s.submissions[sub.id] = sub
	return sub, false
}

// owned returns the submission that a user's request names, or the failure.
// It takes the mutex, which the caller unlocks if there is a submission.
func (s *Sim) owned(r *http.Request, call, submissionID string, foreign reply) (*submission, reply) {
	sid := r.Header.Get("x-partner-session-id")
	g, good := s.allowed(r)
	switch {
	case !good || g.session == "":
		return nil, documented(call, http.StatusUnauthorized)
	case g.session != sid:
		return nil, foreign
	}
	s.mu.Lock()
	sub, known := s.submissions[submissionID]
	switch {
	case !known:
		s.mu.Unlock()
		return nil, documented(call, http.StatusNotFound)
	case sub.session.id != sid:
		s.mu.Unlock()
		return nil, foreign
	}
	return sub, reply{}
}

// confirm is call 5.
func (s *Sim) confirm(r *http.Request, ev *Event) reply {
	if out, whole := headers(r, "x-onekyc-token", "x-partner-session-id", "x-sdk-session-id"); !whole {
		return out
	}
	var in struct {
		SubmissionID string          `json:"submissionId"`
		Metadata     json.RawMessage `json:"metadata"`
	}
	if !decode(r, &in) {
		return documented(callConfirm, http.StatusBadRequest)
	}
	if in.SubmissionID == "" {
		return missing("submission_id")
	}
	ev.Submission = in.SubmissionID
	sub, out := s.owned(r, callConfirm, in.SubmissionID, documented(callConfirm, http.StatusForbidden))
	if sub == nil {
		return out
	}
	defer s.mu.Unlock()
	if sub.status != "INITIATED" && sub.status != "PARTIALLY_COMPLETED" {
		return documented(callConfirm, http.StatusConflict)
	}
	for _, d := range selfies() {
		o := s.objects[sub.documents[d]]
		if o == nil || !o.selfie() {
			if o != nil && o.data != nil {
				sub.states[d] = "INVALID"
			}
			return documented(callConfirm, http.StatusUnprocessableEntity)
		}
	}
	sub.status = "IN_PROGRESS"
	sub.session.confirmed++
	sub.base = s.base(r)
	for _, d := range selfies() {
		sub.states[d] = "UPLOADED"
	}
	s.work.add(s.opts.JudgeAfter, s.judge(sub))
	return ok(map[string]any{"submissionId": sub.id, "uiMessages": map[string]any{}})
}

// status is call 6.
func (s *Sim) status(r *http.Request, ev *Event) reply {
	if out, whole := headers(r, "x-onekyc-token", "x-partner-session-id", "x-sdk-session-id"); !whole {
		return out
	}
	name := r.PathValue("id")
	if len(name) != 36 || strings.Trim(name, "0123456789abcdef-") != "" {
		return documented(callStatus, http.StatusBadRequest)
	}
	ev.Submission = name
	sub, out := s.owned(r, callStatus, name, documented(callStatus, http.StatusNotFound))
	if sub == nil {
		return out
	}
	defer s.mu.Unlock()
	sub.polls++
	if sub.judged != nil && !sub.told && sub.polls > s.opts.PollsBeforeVerdict {
		s.tell(r.Context(), sub)
	}
	docs := map[string]any{}
	for _, d := range selfies() {
		doc := map[string]any{"status": sub.states[d]}
		if key := sub.documents[d]; key != "" {
			doc["documentReference"] = reference(sub, d)
		}
		docs[d] = doc
	}
	data := map[string]any{
		"submissionId": sub.id, "status": sub.status, "submissionType": sub.session.flow,
		"createdAt": sub.created.UTC().Format(time.RFC3339), "documents": docs, "uiMessages": map[string]any{},
	}
	ev.Result = sub.status
	if sub.told {
		v := sub.judged
		data["completedAt"] = v.at.UTC().Format(time.RFC3339)
		if v.status == "COMPLETED" {
			data["verificationResult"] = map[string]any{
				"isApproved": v.approved, "riskLevel": risk(v), "confidence": strconv.Itoa(v.confidence),
			}
		} else {
			data["errorMessage"] = "the verification did not come to an end"
		}
	}
	return ok(data)
}

// reference names a document to the outside.
func reference(sub *submission, document string) string { return sub.id + "/" + document }

func risk(v *verdict) string {
	switch {
	case !v.approved:
		return "HIGH"
	case v.confidence < 80:
		return "MEDIUM"
	}
	return "LOW"
}

// details is call 7.
func (s *Sim) details(r *http.Request, ev *Event) reply {
	if out, whole := headers(r, "x-onekyc-token"); !whole {
		return out
	}
	if g, good := s.allowed(r); !good || g.session != "" {
		return documented(callDetails, http.StatusUnauthorized)
	}
	sid, name := r.Header.Get("x-partner-session-id"), r.Header.Get("x-submission-id")
	if sid == "" && name == "" {
		return missing("x-partner-session-id")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var sub *submission
	if sess := s.sessions[sid]; sess != nil && len(sess.submissions) > 0 {
		sub = sess.submissions[len(sess.submissions)-1]
	}
	if name != "" {
		sub = s.submissions[name]
		if sub != nil && sid != "" && sub.session.id != sid {
			return refuse(http.StatusBadRequest, "1543", "PARTNER_SESSION_ID_DOES_NOT_BELONG_TO_THE_USER")
		}
	}
	if sub == nil {
		return documented(callDetails, http.StatusBadRequest)
	}
	ev.Submission, ev.Correlation = sub.id, sub.session.id
	data := map[string]any{"status": "IN_PROGRESS", "submissionId": sub.id, "flow": sub.session.flow, "partnerSessionId": sub.session.id}
	if v := sub.judged; sub.told {
		data["status"], data["result"], data["processedAt"] = v.status, v.result(), v.at.UTC().Format(time.RFC3339)
		if v.reason != "" {
			data["reasonCode"] = v.reason
		}
		data["submissionDetails"] = map[string]any{
			"verificationResults": map[string]any{"liveness": map[string]any{"result": v.result(), "version": "sim-1"}},
		}
		ev.Result, ev.Reason = v.result(), v.reason
	}
	return ok(data)
}

func (v *verdict) result() string {
	if v.approved {
		return "VALID"
	}
	return "INVALID"
}

// decode reads a JSON body.
func decode(r *http.Request, v any) bool {
	b, err := io.ReadAll(io.LimitReader(r.Body, bodyLimit+1))
	return err == nil && len(b) <= bodyLimit && json.Unmarshal(b, v) == nil
}
