package partner

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue/gateway"
)

// How long the fallback rests when the gateway is out of reach or wants to be
// left alone, and how long it trusts its timer: the wall clock may be set.
const (
	leastRest = time.Second
	mostRest  = 5 * time.Minute
	mostNap   = time.Minute
)

// fallBack asks the gateway for the flows on which it was silent for too long,
// one after another, until ctx ends.
func (s *Server) fallBack(ctx context.Context) {
	rest := leastRest
	for ctx.Err() == nil {
		correlation, due := s.store.next()
		wait := mostNap
		if correlation != "" {
			wait = min(due.Sub(s.opts.Now()), mostNap)
		}
		if wait > 0 {
			pause(ctx, wait, s.wakeFallback)
			continue
		}
		heard, wish := s.askFor(ctx, correlation)
		switch heard {
		case enough:
			rest = leastRest
		case tooLittle:
			// It may be this flow alone: the others are asked for.
			rest = leastRest
			pause(ctx, min(max(wish, leastRest), mostRest), nil)
		case nothing:
			pause(ctx, rest, nil)
			rest = min(2*rest, mostRest)
		}
	}
}

// What was heard of a flow.
type heard int

const (
	nothing   heard = iota // the gateway is out of reach
	tooLittle              // the gateway answered something that does not count
	enough
)

// askFor asks the gateway for a flow that is due, and sets when it is due
// next: with an answer that does not count after a while, and without one after
// all others that are due, so that it holds up none of them. wish is how long
// the gateway wants to be left alone.
func (s *Server) askFor(ctx context.Context, correlation string) (_ heard, wish time.Duration) {
	d, err := s.details(ctx, gateway.DetailsQuery{SessionID: correlation})
	if ctx.Err() != nil {
		return nothing, 0
	}
	g, known := errors.AsType[*gateway.Error](err)
	_, tokenless := errors.AsType[*tokenError](err)
	result := nothing
	switch {
	case err == nil, known && !tokenless && (g.Cause == noSubmission || g.Disposition == kiosk.Final):
		result = enough
	case errors.Is(err, errOtherFlow), known && !tokenless && (g.Status != 0 || g.Trouble == kiosk.TroubleGarbled):
		result = tooLittle
	case tokenless:
		s.log.WarnContext(ctx, "no partner token, so no flow is asked for", slog.Any("err", err))
		return nothing, 0
	}
	if result != enough {
		s.log.WarnContext(ctx, "flow that the gateway was silent on not asked for", slog.String("correlation", correlation), slog.Any("err", err))
	}
	_, err = s.change(correlation, func(f *flow) error {
		switch result {
		case enough:
			f.Asked++
			f.expect(s.opts.Now(), s.opts.FallbackAfter)
		case tooLittle:
			f.putOff(s.opts.Now())
		case nothing:
			if !f.Due.IsZero() {
				f.Due = s.opts.Now()
			}
		}
		return nil
	})
	if err != nil {
		s.log.ErrorContext(ctx, "state cannot be used", slog.Any("err", err))
		return nothing, 0
	}
	ev := Event{Call: CallFallback, CorrelationID: correlation, SubmissionID: d.SubmissionID, Result: string(d.Result)}
	if known {
		ev.Status, ev.Cause, wish = g.Status, g.Cause, g.RetryAfter
	}
	if result == enough {
		s.record(ctx, ev)
	}
	return result, wish
}

// pause waits until ctx ended, for that long, or for a wake.
func pause(ctx context.Context, wait time.Duration, wake <-chan struct{}) {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-wake:
	}
}
