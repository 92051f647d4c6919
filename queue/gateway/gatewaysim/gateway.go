package gatewaysim

import (
	"crypto/subtle"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// bodyLimit bounds the JSON bodies that are read.
const bodyLimit = 1 << 20

// headers returns the failure for the first of names that is empty.
func headers(x *exchange, names ...string) (reply, bool) {
	for _, n := range names {
		if strings.TrimSpace(x.Header.Get(n)) == "" {
			return missing(n), false
		}
	}
	return reply{}, true
}

// partnerToken is call 1.
func (s *Sim) partnerToken(x *exchange) reply {
	if out, whole := headers(x, "client-id", "pass-key"); !whole {
		return out
	}
	if !same(x.Header.Get("client-id"), s.opts.ClientID) || !same(x.Header.Get("pass-key"), s.opts.PassKey) {
		return documented(callPartnerToken, http.StatusUnauthorized)
	}
	life := s.opts.Lifetimes.PartnerToken
	token, expires := s.grant(x, "", life)
	return ok(map[string]any{
		"token": token, "expiry_seconds": strconv.Itoa(int(life.Seconds())), "expires_at": strconv.FormatInt(expires.Unix(), 10),
	})
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// grant mints a token.
func (s *Sim) grant(x *exchange, sessionID string, life time.Duration) (token string, expires time.Time) {
	token, expires = secret(), x.now.Add(life)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addToken(token, grant{Session: sessionID, Expires: expires})
	return token, expires
}

// allowed returns the grant of a request's token, if it has a good one.
func (s *Sim) allowed(x *exchange) (grant, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, known := s.tokens[digest(x.Header.Get("x-onekyc-token"))]
	return g, known && x.now.Before(g.Expires)
}

// initiateFlow is call 2.
func (s *Sim) initiateFlow(x *exchange) reply {
	if out, whole := headers(x, "x-onekyc-token", "x-onboarding-partner", "x-partner-user-id", "x-partner-user-id-type", "x-partner-session-id"); !whole {
		return out
	}
	if g, good := s.allowed(x); !good || g.Session != "" {
		return documented(callFlow, http.StatusUnauthorized)
	}
	var in struct {
		Flow    string `json:"flow"`
		Source  string `json:"source"`
		Success string `json:"successRedirectionUrl"`
		Failure string `json:"failureRedirectionUrl"`
		Theme   string `json:"theme"`
		Details struct {
			Reference string `json:"referenceImageUrl"`
			Locale    string `json:"userLocale"`
			AllowQR   bool   `json:"allowQr"`
			ForceQR   bool   `json:"forceQr"`
			Portrait  bool   `json:"portraitOnly"`
		} `json:"additionalDetails"`
	}
	if !decode(x.Request, &in) {
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
	case in.Details.Reference != "" && !absolute(in.Details.Reference):
		return refuse(http.StatusBadRequest, "1540", "INVALID_REFERENCE_IMAGE_URL")
	}
	// PARTNER_CODE-PLATFORM-FLOW
	onboarding := strings.Split(x.Header.Get("x-onboarding-partner"), "-")
	if len(onboarding) != 3 || onboarding[0] != s.opts.PartnerCode || onboarding[2] != in.Flow {
		return documented(callFlow, http.StatusForbidden)
	}
	sid, user := x.Header.Get("x-partner-session-id"), x.Header.Get("x-partner-user-id")
	if !s.open(session{ID: sid, User: user, IDType: x.Header.Get("x-partner-user-id-type"), Flow: in.Flow, Reference: in.Details.Reference}) {
		return refuse(http.StatusBadRequest, "1540", "DUPLICATE_PARTNER_SESSION_ID")
	}
	x.ev.Correlation = sid
	life := s.opts.Lifetimes.UserToken
	token, expires := s.grant(x, sid, life)
	data := map[string]any{"expirySeconds": strconv.Itoa(int(life.Seconds())), "expiresAt": strconv.FormatInt(expires.Unix(), 10)}
	if in.Source == "SDK" {
		data["token"] = token
	} else {
		data["launchUrl"] = s.base(x.Request) + "/web?token=" + token
	}
	return ok(data)
}

// open starts a session, or finds that of the same user.
func (s *Sim) open(want session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, known := s.sessions[want.ID]; known {
		return !s.opts.UniqueSessions && old.User == want.User && old.IDType == want.IDType && old.Flow == want.Flow
	}
	s.addSession(&want)
	return true
}

// urls is call 3.
func (s *Sim) urls(x *exchange) reply {
	if out, whole := headers(x, "x-onekyc-token", "x-partner-session-id", "x-sdk-session-id"); !whole {
		return out
	}
	sid := x.Header.Get("x-partner-session-id")
	if g, good := s.allowed(x); !good || g.Session != sid {
		return documented(callURLs, http.StatusUnauthorized)
	}
	kind := x.URL.Query().Get("submissionType")
	if kind == "" {
		return missing("submission_type")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sess := s.sessions[sid]
	if sess == nil { // dropped, being one of too many
		return documented(callURLs, http.StatusUnauthorized)
	}
	if kind != submissionType(sess.Flow) {
		return refuse(http.StatusBadRequest, "1542", "INVALID_SUBMISSION_TYPE")
	}
	sub, quota := s.current(x, sess, kind)
	if quota {
		return documented(callURLs, http.StatusTooManyRequests)
	}
	x.ev.Submission = sub.ID
	docs := map[string]any{}
	if sub.open() {
		for _, d := range selfies() {
			docs[d] = s.invite(x, sub, d)
		}
	}
	return ok(map[string]any{
		"submissionId": sub.ID, "status": sub.Status, "documents": docs,
		"uiMessages": map[string]any{"title": map[string]string{"title": "Selfie", "message": "Take a selfie"}},
	})
}

// submissionType is that of a flow; "" for a flow that is not of selfies alone.
func submissionType(flow string) string {
	switch flow {
	case "STANDALONE_LIVENESS", "FACE_VERIFICATION":
		return flow
	case "ON_DEMAND_FR":
		return "FACE_MATCH"
	}
	return ""
}

// current returns the session's submission for call 3: the latest one, or after a
// rejection a new one or the one that was rejected. It reports whether the attempts are used up.
func (s *Sim) current(x *exchange, sess *session, kind string) (sub *submission, quota bool) {
	if n := len(sess.submissions); n > 0 {
		last := sess.submissions[n-1]
		rejected := last.Told && !last.Verdict.Approved && !s.opts.ReuseEnded
		if !rejected && !s.opts.NewSubmissions {
			return last, false
		}
	}
	if sess.Confirmed >= s.opts.Attempts {
		return nil, true
	}
	sub = &submission{ID: id(), Kind: kind, Created: x.now, Status: "INITIATED", Documents: map[string]*document{}}
	for _, d := range selfies() {
		sub.Documents[d] = &document{State: "PENDING"}
	}
	s.addSubmission(sess, sub)
	return sub, false
}

// owned returns the submission that a user's request names, or the failure.
// It takes the mutex, which the caller unlocks if there is a submission.
func (s *Sim) owned(x *exchange, call, submissionID string, foreign reply) (*submission, reply) {
	sid := x.Header.Get("x-partner-session-id")
	g, good := s.allowed(x)
	switch {
	case !good || g.Session == "":
		return nil, documented(call, http.StatusUnauthorized)
	case g.Session != sid:
		return nil, foreign
	}
	s.mu.Lock()
	sub, known := s.submissions[submissionID]
	switch {
	case !known:
		s.mu.Unlock()
		return nil, documented(call, http.StatusNotFound)
	case sub.Session != sid:
		s.mu.Unlock()
		return nil, foreign
	}
	return sub, reply{}
}

// confirm is call 5.
func (s *Sim) confirm(x *exchange) reply {
	if out, whole := headers(x, "x-onekyc-token", "x-partner-session-id", "x-sdk-session-id"); !whole {
		return out
	}
	var in struct {
		SubmissionID string          `json:"submissionId"`
		Metadata     json.RawMessage `json:"metadata"`
	}
	if !decode(x.Request, &in) {
		return documented(callConfirm, http.StatusBadRequest)
	}
	if in.SubmissionID == "" {
		return missing("submission_id")
	}
	x.ev.Submission = in.SubmissionID
	sub, out := s.owned(x, callConfirm, in.SubmissionID, documented(callConfirm, http.StatusForbidden))
	if sub == nil {
		return out
	}
	defer s.mu.Unlock()
	if !sub.open() {
		return documented(callConfirm, http.StatusConflict)
	}
	for _, d := range selfies() {
		if doc := sub.Documents[d]; !doc.Kept || !doc.Whole {
			if doc.Kept {
				doc.State = "INVALID"
				s.saveSubmission(sub)
			}
			return documented(callConfirm, http.StatusUnprocessableEntity)
		}
	}
	sub.Status, sub.Confirmed, sub.Base = "IN_PROGRESS", x.now, s.base(x.Request)
	sub.Times++
	sub.session.Confirmed++
	s.saveSubmission(sub)
	s.saveSession(sub.session)
	s.judgeLater(sub, s.opts.JudgeAfter)
	return ok(map[string]any{"submissionId": sub.ID, "uiMessages": map[string]any{}})
}

// status is call 6.
func (s *Sim) status(x *exchange) reply {
	if out, whole := headers(x, "x-onekyc-token", "x-partner-session-id", "x-sdk-session-id"); !whole {
		return out
	}
	name := x.PathValue("id")
	if len(name) != 36 || strings.Trim(name, "0123456789abcdef-") != "" {
		return documented(callStatus, http.StatusBadRequest)
	}
	x.ev.Submission = name
	sub, out := s.owned(x, callStatus, name, documented(callStatus, http.StatusNotFound))
	if sub == nil {
		return out
	}
	defer s.mu.Unlock()
	if !sub.Told {
		sub.Polls++
		if s.opts.PollsBeforeVerdict > 0 {
			s.saveSubmission(sub)
		}
	}
	if sub.Verdict != nil && !sub.Told && sub.Polls > s.opts.PollsBeforeVerdict {
		s.tell(x.Context(), sub)
	}
	docs := map[string]any{}
	for _, d := range selfies() {
		doc := map[string]any{"status": sub.Documents[d].State}
		if sub.Documents[d].SHA256 != "" {
			doc["documentReference"] = place{sub.ID, d}.String()
		}
		docs[d] = doc
	}
	data := map[string]any{
		"submissionId": sub.ID, "status": sub.Status, "submissionType": sub.Kind,
		"createdAt": sub.Created.UTC().Format(time.RFC3339), "documents": docs, "uiMessages": map[string]any{},
	}
	x.ev.Result = sub.Status
	if sub.Told {
		v := sub.Verdict
		data["completedAt"] = v.At.UTC().Format(time.RFC3339)
		if v.Status == "COMPLETED" {
			data["verificationResult"] = map[string]any{
				"isApproved": v.Approved, "riskLevel": risk(v), "confidence": strconv.Itoa(v.Confidence),
			}
		} else {
			data["errorMessage"] = "the verification did not come to an end"
		}
	}
	return ok(data)
}

func risk(v *verdict) string {
	switch {
	case !v.Approved:
		return "HIGH"
	case v.Confidence < 80:
		return "MEDIUM"
	}
	return "LOW"
}

// details is call 7.
func (s *Sim) details(x *exchange) reply {
	if out, whole := headers(x, "x-onekyc-token"); !whole {
		return out
	}
	if g, good := s.allowed(x); !good || g.Session != "" {
		return documented(callDetails, http.StatusUnauthorized)
	}
	sid, name := x.Header.Get("x-partner-session-id"), x.Header.Get("x-submission-id")
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
		if sub != nil && sid != "" && sub.Session != sid {
			return refuse(http.StatusBadRequest, "1543", "PARTNER_SESSION_ID_DOES_NOT_BELONG_TO_THE_USER")
		}
	}
	if sub == nil {
		return documented(callDetails, http.StatusBadRequest)
	}
	x.ev.Submission, x.ev.Correlation = sub.ID, sub.Session
	data := map[string]any{"status": "IN_PROGRESS", "submissionId": sub.ID, "flow": sub.session.Flow, "partnerSessionId": sub.Session}
	if v := sub.Verdict; sub.Told {
		data["status"], data["result"], data["processedAt"] = v.Status, v.result(), v.At.UTC().Format(time.RFC3339)
		if v.Reason != "" {
			data["reasonCode"] = v.Reason
		}
		data["submissionDetails"] = map[string]any{
			"imageUrls":           map[string]string{"selfie": s.imageURL(s.base(x.Request), x.now, place{sub.ID, "SELFIE"})},
			"verificationResults": s.results(sub),
		}
		x.ev.Result, x.ev.Reason = v.result(), v.Reason
	}
	return ok(data)
}

// results are what was found, check by check.
func (s *Sim) results(sub *submission) map[string]any {
	v := sub.Verdict
	live := "VALID"
	if v.Status != "COMPLETED" || v.Invalid != nil || v.Reason == "NOT_LIVE" {
		live = "INVALID"
	}
	all := map[string]any{"liveness": map[string]any{"result": live, "version": "sim-1"}}
	if v.Match != nil {
		matched := "VALID"
		if *v.Match < s.opts.MinMatch {
			matched = "INVALID"
		}
		all["faceMatch"] = map[string]any{"score": math.Round(float64(*v.Match) * 100), "result": matched, "version": "sim-1"}
	}
	if v.Reference != "" && matches(sub.session.Flow) {
		ktp := map[string]any{"verificationResult": "VALID"}
		if v.Reference != "VALID" {
			ktp["verificationResult"], ktp["verificationReasonCode"] = "INVALID", v.Reference
		}
		all["referenceImageValidation"] = map[string]any{"ktp": ktp}
	}
	return all
}

// decode reads a JSON body.
func decode(r *http.Request, v any) bool {
	b, err := io.ReadAll(io.LimitReader(r.Body, bodyLimit+1))
	return err == nil && len(b) <= bodyLimit && json.Unmarshal(b, v) == nil
}
