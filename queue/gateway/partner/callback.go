package partner

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
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
	owner := s.store.owner(in.SubmissionID)
	in.SessionID = cmp.Or(in.SessionID, owner)
	if in.SessionID == "" {
		return missing("PARTNER_SESSION_ID")
	}
	ev.CorrelationID, ev.SubmissionID, ev.Result = in.SessionID, in.SubmissionID, string(in.Result)
	_, err = s.change(in.SessionID, func(f *flow) error {
		switch {
		case owner != "" && owner != in.SessionID:
			return errOtherFlow
		case in.UserID != "" && f.UserID != "" && in.UserID != f.UserID:
			return errOtherUser
		}
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
	switch {
	case errors.Is(err, errOtherFlow), errors.Is(err, errOtherUser):
		s.log.ErrorContext(r.Context(), "callback refused: it contradicts the flow", slog.String("correlation", in.SessionID),
			slog.String("submission", in.SubmissionID), slog.Any("err", err))
		return fail(http.StatusConflict, "CALLBACK_CONTRADICTS_THE_FLOW")
	case err != nil:
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

// errOtherFlow is what the gateway says under one flow's id of another's.
var errOtherFlow = errors.New("the submission is another flow's")

// details asks the gateway (call 7) and keeps what it says. An answer on
// another flow than was asked for is errOtherFlow.
func (s *Server) details(ctx context.Context, by gateway.DetailsQuery) (d gateway.Details, err error) {
	err = s.tokens.use(ctx, func(t gateway.Token) error {
		d, err = s.opts.Gateway.Details(ctx, t, by)
		return err
	})
	if err != nil {
		return d, err
	}
	asked := by.SessionID
	if asked == "" {
		asked = s.store.owner(by.SubmissionID)
	}
	d.SessionID = cmp.Or(d.SessionID, asked)
	if d.SessionID == "" {
		return d, nil
	}
	if owner := s.store.owner(d.SubmissionID); asked != "" && d.SessionID != asked || owner != "" && owner != d.SessionID {
		s.log.ErrorContext(ctx, "gateway's details refused: they are of another flow", slog.String("correlation", asked),
			slog.String("theirs", d.SessionID), slog.String("submission", d.SubmissionID))
		return gateway.Details{}, errOtherFlow
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
