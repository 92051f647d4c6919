package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/queue/gateway/partner"
)

// A launcher is the sample partner's way to a kiosk: its launch API, as a
// staff's front end at the branch uses it.
type launcher struct{ kiosk *api.Client }

// Launch implements partner.Launcher.
func (l launcher) Launch(ctx context.Context, in partner.Launch) (string, error) {
	session, err := l.kiosk.Launch(ctx, kiosk.Launch{
		CorrelationID: in.CorrelationID, Token: in.Token, Locale: kiosk.Locale(in.Locale), Theme: kiosk.Theme(in.Theme),
	})
	if refused, ok := errors.AsType[*api.RefusalError](err); ok && refused.Detail != kiosk.NoDetail {
		return "", &partner.RefusedError{Verdict: partner.Verdict{
			Status: string(kiosk.Errored), ErrorCode: string(refused.ErrorCode), DetailedErrorCode: int(refused.Detail),
			ErrorMessage: refused.Message, Retriable: refused.Retriable, Last: true,
		}}
	}
	if err != nil {
		return "", fmt.Errorf("launch: %w", err)
	}
	return string(session), nil
}

// Follow implements partner.Launcher.
func (l launcher) Follow(ctx context.Context, session string, fn func(partner.Progress) error) error {
	id := kiosk.SessionID(session)
	ended := false
	err := l.kiosk.Delivered(ctx, id, func(e kiosk.Event) error {
		switch {
		case e.Kind == kiosk.EventPhase:
			return fn(partner.Progress{Stage: e.Text})
		case e.Kind == kiosk.EventResult && e.Result != nil:
			v := verdict(*e.Result)
			ended = v.Last
			return fn(partner.Progress{Verdict: &v})
		}
		return nil
	})
	if err == nil && !ended { // the event is gone, the result is not
		var r kiosk.Result
		if r, err = l.kiosk.Result(ctx, id); err == nil {
			v := verdict(r)
			return fn(partner.Progress{Verdict: &v})
		}
	}
	if refused, ok := errors.AsType[*api.RefusalError](err); ok && refused.HTTP == http.StatusNotFound {
		return partner.ErrForgotten
	}
	return err
}

func verdict(r kiosk.Result) partner.Verdict {
	v := partner.Verdict{
		Status: string(r.Status), SubmissionID: r.SubmissionID, DetailedErrorCode: int(r.Detail), ErrorMessage: r.Detail.Message(),
		ErrorCode: string(r.Error), Retriable: r.Detail.Retriable(), Last: r.Status != kiosk.Running && r.Detail != kiosk.Saved,
	}
	if r.Error == kiosk.NoErrorCode {
		v.ErrorCode = string(r.Detail.Class())
	}
	return v
}
