package partner

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Limits of following what was launched.
const (
	mostFollowed = 64
	followAgain  = 5 * time.Second
)

// followAll follows the sessions that were launched, until ctx ends: those of
// before a restart too.
func (s *Server) followAll(ctx context.Context) {
	var (
		mu      sync.Mutex
		running = map[string]bool{} // by the kiosk's session
		parts   sync.WaitGroup
	)
	defer parts.Wait()
	for ctx.Err() == nil {
		for _, correlation := range s.store.launched(mostFollowed) {
			f, err := s.store.flow(correlation)
			if err != nil || f == nil {
				continue // changed meanwhile, or told when it is next used
			}
			mu.Lock()
			start := !running[f.Session] && len(running) < mostFollowed
			if start {
				running[f.Session] = true
			}
			mu.Unlock()
			if !start {
				continue
			}
			parts.Go(func() {
				s.follow(ctx, correlation, f.Session)
				mu.Lock()
				delete(running, f.Session)
				mu.Unlock()
				wake(s.wakeFollow)
			})
		}
		pause(ctx, time.Hour, s.wakeFollow)
	}
}

// follow takes in what the kiosk says of one session, until it has said its
// last word, another session took its place, or ctx ended.
func (s *Server) follow(ctx context.Context, correlation, session string) {
	defer s.stage(correlation, "")
	for ctx.Err() == nil {
		err := s.opts.Launcher.Follow(ctx, session, func(p Progress) error {
			if p.Stage != "" {
				s.stage(correlation, p.Stage)
			}
			if p.Verdict == nil {
				return nil
			}
			return s.conclude(ctx, correlation, session, *p.Verdict)
		})
		switch {
		case err == nil, errors.Is(err, errReplaced):
			return
		case errors.Is(err, ErrForgotten):
			// A restarted kiosk delivers what it has saved all the same: the
			// gateway tells how that went.
			err = s.conclude(ctx, correlation, session, Verdict{})
			if err == nil || errors.Is(err, errReplaced) {
				return
			}
		}
		if ctx.Err() == nil {
			s.log.WarnContext(ctx, "session on the kiosk cannot be followed", slog.Any("err", err))
		}
		pause(ctx, followAgain, nil)
	}
}

// errReplaced ends the following of a session whose flow was launched anew, or
// forgotten.
var errReplaced = errors.New("another session took its place")

// conclude keeps a kiosk's verdict. An empty one means that there is no more
// to come than what it said.
func (s *Server) conclude(ctx context.Context, correlation, session string, v Verdict) error {
	if v.Status == "RUNNING" {
		return nil
	}
	news := false
	f, err := s.change(correlation, func(f *flow) error {
		if f.Session != session {
			return errReplaced
		}
		if v.Status == "" {
			v = Verdict{Status: "ERROR", ErrorMessage: "the kiosk was restarted and does not know how the session ended"}
			if f.Verdict != nil {
				v = *f.Verdict
			}
			v.Last = true
		}
		news = f.Verdict == nil || *f.Verdict != v
		f.Verdict = &v
		if f.Due.IsZero() {
			f.expect(s.opts.Now(), s.opts.FallbackAfter)
		}
		return nil
	})
	if err == nil && news {
		s.record(ctx, Event{Call: CallVerdict, CorrelationID: correlation, SubmissionID: f.Verdict.SubmissionID, Result: f.Verdict.Status})
	}
	return err
}

// stage notes where a session is; "" for one that is not followed any more.
func (s *Server) stage(correlation, stage string) {
	s.mu.Lock()
	if stage == "" {
		delete(s.stages, correlation)
	} else {
		s.stages[correlation] = stage
	}
	s.mu.Unlock()
	s.tell()
}
