package partner

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"livekiosk/queue/gateway"
)

// session tells what the partner knows of a flow. Only if the gateway has not
// called back is it asked.
//
//	GET /v1/sessions/{correlationId}
//
//	200 {"correlationId":"…","submissionId":"…","status":"COMPLETED","result":"VALID","source":"callback"}
//	404 nothing was submitted
func (s *Server) session(r *http.Request, _ *Event) answer {
	correlation := r.PathValue("correlation")
	if !identifier(correlation) {
		return malformed("CORRELATION_ID")
	}
	f, err := s.store.flow(correlation)
	if err != nil {
		return s.broken(r, err)
	}
	if f != nil {
		if w, heard := f.latest(); heard {
			return fine(http.StatusOK, w)
		}
	}
	d, err := s.details(r.Context(), gateway.DetailsQuery{SessionID: correlation})
	if err != nil {
		return s.noDetails(r, err)
	}
	return fine(http.StatusOK, wordOf(d, correlation, "details"))
}

// noDetails is the answer where the gateway gave no details.
func (s *Server) noDetails(r *http.Request, err error) answer {
	switch {
	case hasCause(err, noSubmission):
		return fail(http.StatusNotFound, noSubmission)
	case errors.Is(err, errState):
		return s.broken(r, err)
	}
	return s.upstream(r, err)
}

// Submission details as the front end gets them: without the images' URLs,
// which are secrets of the partner's servers.
type submissionDetails struct {
	CorrelationID string           `json:"correlationId"`
	SubmissionID  string           `json:"submissionId"`
	Flow          gateway.FlowKind `json:"flow,omitempty"`
	Status        string           `json:"status"`
	Result        string           `json:"result,omitempty"`
	ReasonCode    string           `json:"reasonCode,omitempty"`
	ProcessedAt   time.Time        `json:"processedAt,omitzero"`
	Documents     []string         `json:"documents,omitempty"` // that the gateway has images of
	Checks        map[string]check `json:"checks,omitempty"`    // liveness, faceMatch, referenceImage
}

type check struct {
	Result     string `json:"result,omitempty"`
	Score      string `json:"score,omitempty"`
	ReasonCode string `json:"reasonCode,omitempty"`
}

// submission gets the details of a submission from the gateway. The name is
// that of the submission or of the flow, whose newest it is then.
func (s *Server) submission(r *http.Request, ev *Event) answer {
	name := r.PathValue("id")
	if !identifier(name) {
		return malformed("SUBMISSION_ID")
	}
	f, err := s.store.flow(name)
	if err != nil {
		return s.broken(r, err)
	}
	query := gateway.DetailsQuery{SubmissionID: name}
	if f != nil {
		query = gateway.DetailsQuery{SessionID: name}
	}
	d, err := s.details(r.Context(), query)
	if hasCause(err, noSubmission) && f == nil { // a flow that somebody else initiated?
		d, err = s.details(r.Context(), gateway.DetailsQuery{SessionID: name})
	}
	if err != nil {
		return s.noDetails(r, err)
	}
	ev.CorrelationID, ev.SubmissionID, ev.Result = d.SessionID, d.SubmissionID, string(d.Result)
	out := submissionDetails{
		CorrelationID: d.SessionID, SubmissionID: d.SubmissionID, Flow: d.Flow, Status: string(d.Status), Result: string(d.Result),
		ReasonCode: d.ReasonCode, ProcessedAt: d.ProcessedAt, Checks: map[string]check{},
	}
	for doc := range d.ImageURLs {
		out.Documents = append(out.Documents, string(doc))
	}
	slices.Sort(out.Documents)
	for name, c := range map[string]*gateway.Check{"liveness": d.Checks.Liveness, "faceMatch": d.Checks.FaceMatch, "referenceImage": d.Checks.Reference} {
		if c != nil {
			out.Checks[name] = check{c.Result, c.Score, c.Reason}
		}
	}
	return fine(http.StatusOK, out)
}

// launch launches a flow on the kiosk:
//
//	POST /v1/sessions/{correlationId}/launch
//	{"locale":"id","theme":"NO_PREFERENCE"}
//
//	202 {"sessionId":"…"}      it runs: see its events
//	200 {"command":"kioskctl …"} no kiosk is connected: this would launch it
//	404, 410                   there is no such flow, or its token has expired
//	409 LAUNCH_REFUSED         by the kiosk; data is its Verdict
//	503 KIOSK_UNREACHABLE
func (s *Server) launch(r *http.Request, ev *Event) answer {
	var in struct {
		Locale string `json:"locale"`
		Theme  string `json:"theme"`
	}
	if !decode(r, &in) {
		return malformed("LAUNCH_REQUEST")
	}
	in.Locale, in.Theme = cmp.Or(in.Locale, "id"), cmp.Or(in.Theme, string(gateway.NoPreference))
	spoken, known := locale(in.Locale)
	if !known {
		return malformed("LOCALE")
	}
	f, err := s.store.flow(ev.CorrelationID)
	switch {
	case err != nil:
		return s.broken(r, err)
	case f == nil || f.UserID == "" || f.Expires.IsZero():
		return fail(http.StatusNotFound, "FLOW_DOES_NOT_EXIST")
	case !s.opts.Now().Before(f.Expires):
		return fail(http.StatusGone, "TOKEN_EXPIRED")
	}
	if f.Token == "" { // it has an end, and the person may have another attempt
		var a answer
		if f, a = s.obtain(r, f.CorrelationID, person{f.UserID, f.UserIDType, spoken}, asker{}); f == nil {
			return a
		}
	}
	if s.opts.Launcher == nil {
		return s.command(r, f, in.Locale)
	}
	session, err := s.opts.Launcher.Launch(r.Context(), Launch{
		CorrelationID: f.CorrelationID, Token: f.Token, Locale: in.Locale, Theme: in.Theme,
	})
	var refused *RefusedError
	switch {
	case errors.As(err, &refused):
		return answer{status: http.StatusConflict, cause: "LAUNCH_REFUSED", body: refused.Verdict}
	case err != nil:
		s.log.WarnContext(r.Context(), "kiosk not reached", slog.Any("err", err))
		return answer{status: http.StatusServiceUnavailable, cause: "KIOSK_UNREACHABLE", retryAfter: 5 * time.Second}
	}
	if _, err = s.change(f.CorrelationID, func(f *flow) error {
		f.Session, f.Verdict = session, nil
		return nil
	}); err != nil {
		return s.broken(r, err)
	}
	return fine(http.StatusAccepted, map[string]string{"sessionId": session})
}

// Token files, for a launch by hand.
const (
	tokenFolder   = "tokens"
	tokenFileLife = time.Hour
	sweepEvery    = 10 * time.Minute
)

// tokenFile is where the token of a flow is left for kioskctl. The name is a
// hash, since a correlation id may hold anything.
func (s *Server) tokenFile(correlation string) string {
	sum := sha256.Sum256([]byte(correlation))
	return filepath.Join(s.opts.StateDir, tokenFolder, hex.EncodeToString(sum[:12])+".token")
}

// command leaves the token in a file and tells the command that launches with
// it: on a command line, everybody on the machine could read it.
func (s *Server) command(r *http.Request, f *flow, locale string) answer {
	path, err := filepath.Abs(s.tokenFile(f.CorrelationID))
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = os.WriteFile(path, []byte(f.Token+"\n"), 0o600)
	}
	if err != nil {
		return s.broken(r, fmt.Errorf("token file: %w", err))
	}
	return fine(http.StatusOK, map[string]string{
		"command": fmt.Sprintf("kioskctl launch --correlation-id %s --token-file %s --locale %s --follow", quote(f.CorrelationID), quote(path), locale),
	})
}

// quote writes s as one word of a shell.
func quote(s string) string {
	if strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func (s *Server) removeTokenFile(correlation string) {
	// One that stays is removed by sweep.
	_ = os.Remove(s.tokenFile(correlation))
}

// sweep removes token files that are an hour old, and tokens that have expired.
func (s *Server) sweep(ctx context.Context) {
	for ctx.Err() == nil {
		s.forgetTokens(ctx)
		entries, err := os.ReadDir(filepath.Join(s.opts.StateDir, tokenFolder))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			s.log.WarnContext(ctx, "token files cannot be listed", slog.Any("err", err))
		}
		for _, e := range entries {
			info, err := e.Info()
			if err == nil && time.Since(info.ModTime()) > tokenFileLife {
				err = os.Remove(filepath.Join(s.opts.StateDir, tokenFolder, e.Name()))
			}
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				s.log.WarnContext(ctx, "token file stays", slog.Any("err", err))
			}
		}
		pause(ctx, sweepEvery, nil)
	}
}

// forgetTokens removes the tokens that have expired.
func (s *Server) forgetTokens(ctx context.Context) {
	for ctx.Err() == nil {
		stale := s.store.expired(s.opts.Now(), 100)
		for _, correlation := range stale {
			if _, err := s.change(correlation, func(*flow) error { return nil }); err != nil {
				s.log.ErrorContext(ctx, "expired token stays", slog.Any("err", err))
				return
			}
		}
		if len(stale) == 0 {
			return
		}
	}
}

// mostWatchers bounds how many follow sessions at a time.
const mostWatchers = 64

// A state is what those who follow a session see.
type state struct {
	CorrelationID string   `json:"correlationId"`
	Stage         string   `json:"stage,omitempty"` // of the kiosk's session while it runs
	Kiosk         *Verdict `json:"kiosk,omitempty"` // the kiosk's result so far
	Gateway       *Word    `json:"gateway,omitempty"`
}

// watch tells the state of a session as it changes, as server-sent events,
// until the client goes.
func (s *Server) watch(w http.ResponseWriter, r *http.Request) {
	select {
	case s.watched <- struct{}{}:
	default:
		answer{status: http.StatusServiceUnavailable, cause: "TOO_MANY_FOLLOWERS", retryAfter: 10 * time.Second}.write(w)
		return
	}
	defer func() { <-s.watched }()
	correlation := r.PathValue("correlation")
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	stream := http.NewResponseController(w)
	var last []byte
	for {
		now, changed, err := s.state(correlation)
		if err == nil {
			var b []byte
			if b, err = json.Marshal(now); err == nil && string(b) != string(last) {
				last = b
				_, err = fmt.Fprintf(w, "data: %s\n\n", b)
			}
		}
		// A line now and then finds out who has gone.
		if err != nil || stream.SetWriteDeadline(time.Now().Add(time.Minute)) != nil || stream.Flush() != nil {
			return
		}
		t := time.NewTimer(20 * time.Second)
		select {
		case <-r.Context().Done():
			t.Stop()
			return
		case <-changed:
			t.Stop()
		case <-t.C:
			_, err = w.Write([]byte(": still here\n\n"))
		}
		if err != nil {
			return
		}
	}
}

// state returns what is known of a session, and what is closed when that
// changes.
func (s *Server) state(correlation string) (state, <-chan struct{}, error) {
	s.mu.Lock()
	changed, stage := s.changed, s.stages[correlation]
	s.mu.Unlock()
	out := state{CorrelationID: correlation, Stage: stage}
	f, err := s.store.flow(correlation)
	if f != nil {
		out.Kiosk = f.Verdict
		if w, heard := f.latest(); heard {
			out.Gateway = &w
		}
	}
	return out, changed, err
}
