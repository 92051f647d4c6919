package partner

import (
	"context"
	"errors"
	"io"
	"net/http"

	"livekiosk/queue/gateway"
)

// callback receives call 8. It may come twice and out of order, and is
// acknowledged once it is on disk.
func (s *Server) callback(r *http.Request, ev *Event) answer {
	if !s.authorised(r) {
		return fail(http.StatusUnauthorized, "UNAUTHORIZED")
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return malformed("CALLBACK")
	}
	in, err := gateway.DecodeCallback(body)
	if err != nil {
		return malformed("CALLBACK")
	}
	if in.SessionID == "" {
		in.SessionID = s.store.owner(in.SubmissionID)
	}
	if in.SessionID == "" {
		return missing("PARTNER_SESSION_ID")
	}
	ev.CorrelationID, ev.SubmissionID, ev.Result = in.SessionID, in.SubmissionID, string(in.Result)
	_, err = s.change(in.SessionID, func(f *flow) error {
		// A callback for a flow that is not known was initiated by another part
		// of the partner.
		if ev.Duplicate = f.hear(in.Key()); ev.Duplicate {
			return nil
		}
		f.learn(wordOf(in.Details, in.SessionID, "callback"))
		f.Asked = 0
		f.expect(s.opts.Now(), s.opts.FallbackAfter)
		return nil
	})
	if err != nil {
		return s.broken(r, err)
	}
	return fine(http.StatusOK, map[string]bool{"duplicate": ev.Duplicate})
}

func wordOf(d gateway.Details, correlation, source string) Word {
	return Word{
		CorrelationID: correlation, SubmissionID: d.SubmissionID, Status: string(d.Status), Result: string(d.Result),
		ReasonCode: d.ReasonCode, ProcessedAt: d.ProcessedAt, Source: source,
	}
}

// details asks the gateway (call 7) and keeps what it says.
func (s *Server) details(ctx context.Context, by gateway.DetailsQuery) (d gateway.Details, err error) {
	err = s.tokens.use(ctx, func(t gateway.Token) error {
		d, err = s.opts.Gateway.Details(ctx, t, by)
		return err
	})
	if err != nil {
		return d, err
	}
	if d.SessionID == "" {
		d.SessionID = by.SessionID
	}
	if d.SessionID == "" {
		return d, nil
	}
	_, err = s.change(d.SessionID, func(f *flow) error {
		f.learn(wordOf(d, d.SessionID, "details"))
		if f.settled() {
			f.expect(s.opts.Now(), s.opts.FallbackAfter)
		}
		return nil
	})
	if err != nil {
		return d, errors.Join(errState, err)
	}
	return d, nil
}

var errState = errors.New("state cannot be used")

// noSubmission is the gateway's cause where nothing was submitted.
const noSubmission = "SUBMISSION_DOES_NOT_EXIST"
