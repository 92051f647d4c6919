package partner

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue/gateway"
)

// How long the fallback rests when the gateway is out of reach, and how long
// it trusts its timer: the wall clock may be set.
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
		wish, answered := s.askFor(ctx, correlation)
		if answered {
			rest = leastRest
			continue
		}
		pause(ctx, max(wish, rest), nil)
		rest = min(2*rest, mostRest)
	}
}

// askFor asks the gateway for a flow that is due, and sets when it is due
// next. Without an answer that counts it stays due, and wish is how long the
// gateway wants to be left alone.
func (s *Server) askFor(ctx context.Context, correlation string) (wish time.Duration, answered bool) {
	d, err := s.details(ctx, gateway.DetailsQuery{SessionID: correlation})
	g, known := errors.AsType[*gateway.Error](err)
	switch {
	case ctx.Err() != nil:
		return 0, false
	case err == nil, known && (g.Cause == noSubmission || g.Disposition == kiosk.Final):
	case known:
		s.log.WarnContext(ctx, "gateway not reached for a flow that it was silent on", slog.Any("err", err))
		return g.RetryAfter, false
	default:
		s.log.ErrorContext(ctx, "flow that the gateway was silent on not asked for", slog.Any("err", err))
		return 0, false
	}
	_, err = s.change(correlation, func(f *flow) error {
		f.Asked++
		f.expect(s.opts.Now(), s.opts.FallbackAfter)
		return nil
	})
	if err != nil {
		s.log.ErrorContext(ctx, "state cannot be used", slog.Any("err", err))
		return 0, false
	}
	ev := Event{Call: CallFallback, CorrelationID: correlation, SubmissionID: d.SubmissionID, Result: string(d.Result)}
	if g != nil {
		ev.Status, ev.Cause = g.Status, g.Cause
	}
	s.record(ctx, ev)
	return 0, true
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
