package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"livekiosk/kiosk"
)

// Reasons of EventDeferred, and of receipts that have no cause of the
// gateway's.
const (
	reasonOffline     = "offline"     // no answer
	reasonIntercepted = "intercepted" // an answer, but not the gateway's
	reasonBusy        = "busy"        // 429
	reasonUnavailable = "unavailable" // 5xx, or a 4xx of something in between
	reasonToken       = "token"       // a new token was refused too
	reasonURLs        = "urls"        // new upload URLs were refused too
	reasonPartner     = "partner_"    // before one of those that are answers: the partner backend's
	reasonStorage     = "storage"     // the outbox failed
	reasonUnreadable  = "unreadable"  // the record does not open
	reasonLost        = "submission_lost"
	reasonExpired     = "token_expired"
)

// mostLost is how often the gateway may deny a submission that it had named
// before the record is set aside.
const mostLost = 5

// A result is how a round ended.
type result struct {
	task   *task
	probe  bool // it ran as the probe of an outage
	ending ending
	wait   time.Duration // of waits: until the next poll; of failures: the least wait, 0 for none
}

type ending int

const (
	stopped ending = iota // ctx ended
	gone                  // settled, dead, or not pending any more
	waits                 // for the gateway's verdict
	failed                // for a cause of its own
	outage                // for a cause that all records share
)

// A round is one try to carry a record on, as far as it goes.
type round struct {
	*Deliverer

	task     *task
	job      kiosk.Job
	answered func() // the gateway can be reached

	renewed bool // a new token was asked for in this round
	asked   bool // new URLs were asked for after old ones had died
	partner bool // the call under way is the partner backend's
}

// A localError is a step that the outbox failed.
type localError struct{ err error }

func (e *localError) Error() string { return e.err.Error() }
func (e *localError) Unwrap() error { return e.err }

// play runs a round.
func (d *Deliverer) play(ctx context.Context, t *task, answered func()) result {
	r := &round{Deliverer: d, task: t, answered: answered}
	res := r.play(ctx)
	res.task = t
	if ctx.Err() != nil && res.ending != gone {
		res.ending = stopped
	}
	return res
}

func (r *round) play(ctx context.Context) result {
	if r.task.ended != nil { // only the ledger still has to take it
		return r.local(ctx, r.task.ended(ctx))
	}
	var err error
	if r.job, err = r.o.Outbox.Job(ctx, r.task.id); err != nil {
		r.job = kiosk.Job{Record: r.task.id, Session: r.task.session}
		return r.local(ctx, err)
	}
	// Each pass goes as far as it can; what stopped it may be mended at once.
	for {
		wait, err := r.pass(ctx)
		switch {
		case err == nil && r.task.ended != nil:
			return r.local(ctx, r.task.ended(ctx))
		case err == nil:
			return result{ending: waits, wait: wait}
		}
		res, again := r.mend(ctx, err)
		if !again {
			return res
		}
	}
}

// pass takes the steps that are not done yet. It returns the wait until the
// next poll.
func (r *round) pass(ctx context.Context) (time.Duration, error) {
	if r.token() == "" {
		if err := r.renew(ctx); err != nil {
			return 0, err
		}
	}
	if !r.job.Marks.Confirmed {
		if err := r.submit(ctx); err != nil {
			return 0, err
		}
	}
	return r.poll(ctx)
}

// token is the newest user token.
func (r *round) token() string {
	if r.job.Marks.Token != "" {
		return r.job.Marks.Token
	}
	return r.job.Token
}

func (r *round) who() kiosk.Credentials {
	return kiosk.Credentials{Token: r.token(), CorrelationID: r.job.CorrelationID, Session: r.job.Session}
}

// renew asks the partner backend for a token, for the same correlation id.
func (r *round) renew(ctx context.Context) error {
	r.renewed, r.partner = true, true
	token, err := r.o.Partner.UserToken(ctx, kiosk.TokenRequest{
		CorrelationID: r.job.CorrelationID, UserID: r.job.UserID, UserIDType: r.job.UserIDType, Locale: r.job.Locale,
	})
	if err != nil {
		return err
	}
	r.partner = false
	if err := r.mark(ctx, func(m *kiosk.Marks) { m.Token = token.Value }); err != nil {
		return err
	}
	r.emit(r.job, kiosk.EventToken, "")
	return nil
}

// mark changes the record's marks, durably first.
func (r *round) mark(ctx context.Context, change func(*kiosk.Marks)) error {
	m := r.job.Marks
	m.Uploaded = maps.Clone(m.Uploaded)
	change(&m)
	if err := r.o.Outbox.Mark(ctx, r.job.Record, m); err != nil {
		return &localError{fmt.Errorf("mark: %w", err)}
	}
	r.job.Marks = m
	return nil
}

// submit uploads what is missing and confirms.
func (r *round) submit(ctx context.Context) error {
	if !r.uploaded() {
		// First of all: asking may start another submission, and with it all
		// uploads anew.
		if err := r.target(ctx); err != nil {
			return err
		}
	}
	for _, doc := range kiosk.Documents() {
		if r.job.Marks.Uploaded[doc] {
			continue
		}
		t, open := r.task.targets.Documents[doc]
		if !open {
			return r.closed(ctx)
		}
		if err := r.upload(ctx, doc, t); err != nil {
			return err
		}
	}
	if err := r.o.Gateway.Confirm(ctx, r.who(), r.job.Marks.SubmissionID, r.job.Metadata); err != nil {
		return err
	}
	r.answered()
	return r.confirmed(ctx)
}

// uploaded reports whether every document lies with the record's submission.
func (r *round) uploaded() bool {
	for _, doc := range kiosk.Documents() {
		if !r.job.Marks.Uploaded[doc] {
			return false
		}
	}
	return true
}

// confirmed marks the confirmation, by this round or an earlier one whose
// answer was lost.
func (r *round) confirmed(ctx context.Context) error {
	if err := r.mark(ctx, func(m *kiosk.Marks) { m.Confirmed = true }); err != nil {
		return err
	}
	r.task.progress()
	r.emit(r.job, kiosk.EventConfirmed, "")
	return nil
}

// target makes sure that there are upload URLs that have some life left.
func (r *round) target(ctx context.Context) error {
	t := r.task
	if t.targets.SubmissionID != "" && t.targets.SubmissionID == r.job.Marks.SubmissionID && time.Now().Before(t.targetsEnd) {
		return nil
	}
	asked := time.Now()
	targets, err := r.o.Gateway.Targets(ctx, r.who())
	if err != nil {
		return err
	}
	r.answered()
	if targets.SubmissionID != r.job.Marks.SubmissionID {
		// What was uploaded lies with a submission that is never confirmed.
		err = r.mark(ctx, func(m *kiosk.Marks) { m.SubmissionID, m.Uploaded = targets.SubmissionID, nil })
		if err != nil {
			return err
		}
	}
	life := 10 * time.Minute
	for _, doc := range targets.Documents {
		if doc.ExpiresIn > 0 {
			life = min(life, doc.ExpiresIn)
		}
	}
	t.targets, t.targetsEnd = targets, asked.Add(life-life/10)
	r.emit(r.job, kiosk.EventURLs, targets.SubmissionID)
	return nil
}

func (r *round) upload(ctx context.Context, doc kiosk.Document, t kiosk.Target) error {
	img, err := r.o.Outbox.Image(ctx, r.job.Record, doc)
	switch {
	case errors.Is(err, kiosk.ErrNoRecord):
		// Not captured. Whether the submission is complete without it is the
		// gateway's to say.
		return nil
	case err != nil:
		return &localError{fmt.Errorf("image %s: %w", doc, err)}
	}
	defer clear(img)
	if err = r.o.Gateway.Upload(ctx, kiosk.Upload{Target: t, JPEG: img}); err != nil {
		return err
	}
	r.answered()
	err = r.mark(ctx, func(m *kiosk.Marks) {
		if m.Uploaded == nil {
			m.Uploaded = map[kiosk.Document]bool{}
		}
		m.Uploaded[doc] = true
	})
	if err != nil {
		return err
	}
	r.task.progress()
	r.emit(r.job, kiosk.EventUploaded, string(doc))
	return nil
}

// closed deals with a submission that takes no images: it was confirmed
// before, and the marks of it were lost.
func (r *round) closed(ctx context.Context) error {
	s, err := r.status(ctx)
	if err != nil {
		return err
	}
	r.task.targets = kiosk.Targets{}
	switch s.Status {
	case kiosk.Initiated, kiosk.PartiallyCompleted:
		return &kiosk.GatewayError{Call: "urls", Status: 200, Disposition: kiosk.RetryLater, Err: errors.New("no upload URL for an open submission")}
	case kiosk.InProgress, kiosk.StatusCompleted, kiosk.StatusError, kiosk.StatusRejected:
	}
	return r.confirmed(ctx)
}

// status asks for the status of the record's submission, and of no other.
func (r *round) status(ctx context.Context) (kiosk.SubmissionStatus, error) {
	id := r.job.Marks.SubmissionID
	s, err := r.o.Gateway.Status(ctx, r.who(), id)
	if err != nil {
		return kiosk.SubmissionStatus{}, err
	}
	if s.SubmissionID != "" && s.SubmissionID != id {
		return kiosk.SubmissionStatus{}, &kiosk.GatewayError{
			Call: "status", Status: 200, Disposition: kiosk.RetryLater, Err: errors.New("answer is about another submission"),
		}
	}
	r.answered()
	return s, nil
}

// poll asks once for the verdict.
func (r *round) poll(ctx context.Context) (time.Duration, error) {
	s, err := r.status(ctx)
	if err != nil {
		return 0, err
	}
	t := r.task
	t.progress()
	if t.status != s.Status {
		t.status = s.Status
		r.emit(r.job, kiosk.EventStatus, string(s.Status))
	}
	switch action := r.o.Next(s, r.job.AttemptsLeft); action {
	case kiosk.PollAgain:
		if t.polls == 0 {
			t.polling = time.Now()
		}
		t.polls++
		return pollWait(t.polls, time.Since(t.polling)), nil
	case kiosk.Retry, kiosk.ExitSuccess, kiosk.ExitFailure, kiosk.ExitError:
		r.settle(action, string(s.Status))
		return 0, nil
	}
	return 0, &localError{errors.New("next action is unknown")}
}

// pollWait is the wait after so many polls: often while a person stands there,
// for two minutes, then rarer and rarer.
func pollWait(polls int, since time.Duration) time.Duration {
	switch {
	case polls <= 5:
		return time.Second
	case polls <= 20:
		return 2 * time.Second
	case since < 120*time.Second:
		return 5 * time.Second
	}
	// An eighth of the time it took so far: rarer, and never too late by more.
	return min(max(since/8, 15*time.Second), 15*time.Minute)
}

// mend deals with what stopped a pass. It reports whether another pass may get
// further.
func (r *round) mend(ctx context.Context, err error) (result, bool) {
	if local, is := errors.AsType[*localError](err); is {
		return r.local(ctx, local.err), false
	}
	g, is := errors.AsType[*kiosk.GatewayError](err)
	if !is {
		g = &kiosk.GatewayError{Disposition: kiosk.RetryLater, Err: err}
	}
	if !shared(g) && !r.partner {
		r.answered()
	}
	var fault error // the outbox's
	switch g.Disposition {
	case kiosk.NewToken:
		if r.renewed {
			return r.deferred(ctx, g, reasonToken), false
		}
		if r.job.UserID == "" { // the launch gave a token only: the partner could not tell for whom
			return r.local(ctx, r.dead(ctx, reasonExpired, g.Cause)), false
		}
		if err := r.renew(ctx); err != nil {
			return r.mend(ctx, err) // not NewToken again: renewed is set
		}
		return result{}, true
	case kiosk.NewURLs:
		if r.asked {
			return r.deferred(ctx, g, reasonURLs), false
		}
		r.asked = true
		r.task.targets = kiosk.Targets{}
		if g.Call != "upload" { // the submission itself is gone
			if r.task.lost++; r.task.lost > mostLost {
				return r.local(ctx, r.dead(ctx, reasonLost, g.Cause)), false
			}
			fault = r.mark(ctx, func(m *kiosk.Marks) { m.SubmissionID, m.Uploaded, m.Confirmed = "", nil, false })
		}
	case kiosk.PollOn:
		fault = r.confirmed(ctx)
	case kiosk.Recapture:
		action := kiosk.ExitFailure
		if r.job.AttemptsLeft > 0 {
			action = kiosk.Retry
		}
		r.settle(action, reason(g))
		return r.local(ctx, r.task.ended(ctx)), false
	case kiosk.Final:
		return r.local(ctx, r.final(ctx, g)), false
	case kiosk.RetryLater:
		return r.deferred(ctx, g, r.why(g)), false
	default:
		return r.deferred(ctx, g, r.why(g)), false
	}
	if fault != nil {
		return r.mend(ctx, fault)
	}
	return result{}, true
}

// shared reports whether a failure is no single record's: there is an outage,
// or the gateway has too much to do.
func shared(g *kiosk.GatewayError) bool {
	if g.Disposition != kiosk.RetryLater {
		return false
	}
	switch g.Status {
	case 429, 502, 503, 504:
		return true
	}
	return g.Status < 400
}

func (r *round) why(g *kiosk.GatewayError) string {
	prefix := ""
	if r.partner {
		prefix = reasonPartner
	}
	switch {
	case g.Status == 0:
		return reasonOffline
	case g.Status < 400:
		return prefix + reasonIntercepted
	case g.Status == 429:
		return prefix + reasonBusy
	}
	return prefix + reasonUnavailable
}

// reason is a failure in a word for staff: the gateway's own where it gave one.
func reason(g *kiosk.GatewayError) string {
	if g.Cause != "" {
		return g.Cause
	}
	return fmt.Sprintf("%s_http_%d", g.Call, g.Status)
}

// deferred ends the round with a wait.
func (r *round) deferred(ctx context.Context, g *kiosk.GatewayError, why string) result {
	if ctx.Err() != nil {
		return result{ending: stopped}
	}
	r.count(func(s *Stats) { s.Deferred++ })
	if r.task.deferral != why {
		r.task.deferral = why
		r.o.Log.InfoContext(ctx, "delivery deferred", slog.Any("job", r.job), slog.String("reason", why), slog.Any("err", g))
		r.emit(r.job, kiosk.EventDeferred, why)
	}
	res := result{ending: failed, wait: g.RetryAfter}
	if shared(g) {
		res.ending = outage
	}
	return res
}

// settle decides the record's end. It is told when the ledger has taken it; if
// the ledger fails, nobody is kept waiting for that.
func (r *round) settle(action kiosk.Action, why string) {
	receipt := kiosk.Receipt{
		Record: r.job.Record, Session: r.job.Session, SubmissionID: r.job.Marks.SubmissionID, Action: action, Reason: why,
	}
	job, told := r.job, false
	r.task.ended = func(ctx context.Context) error {
		err := r.o.Outbox.Settle(ctx, job.Record, receipt)
		if !told && ctx.Err() == nil {
			told = true
			r.report(receipt)
		}
		if err != nil {
			return fmt.Errorf("settle: %w", err)
		}
		r.count(func(s *Stats) { s.Settled++ })
		r.emit(job, kiosk.EventSettled, string(action))
		return nil
	}
}

// final ends a record that no retry can deliver. Attempts used up are an
// ordinary end; anything else is kept for staff.
func (r *round) final(ctx context.Context, g *kiosk.GatewayError) error {
	if g.Status == 429 {
		r.settle(kiosk.ExitFailure, reason(g))
		return r.task.ended(ctx)
	}
	r.o.Log.WarnContext(ctx, "delivery refused for good", slog.Any("job", r.job), slog.Any("err", g))
	return r.dead(ctx, reason(g), g.Cause)
}

// dead sets the record aside. The person, should they still be there, is led
// to staff: nobody judged the capture.
func (r *round) dead(ctx context.Context, why, cause string) error {
	if cause == "" {
		cause = why
	}
	receipt := kiosk.Receipt{
		Record: r.job.Record, Session: r.job.Session, SubmissionID: r.job.Marks.SubmissionID, Action: kiosk.ExitError, Reason: cause,
	}
	job, told := r.job, false
	r.task.ended = func(ctx context.Context) error {
		err := r.o.Outbox.Dead(ctx, job.Record, why)
		if !told && ctx.Err() == nil {
			told = true
			r.report(receipt)
		}
		if err != nil {
			return fmt.Errorf("set aside: %w", err)
		}
		r.count(func(s *Stats) { s.Dead++ })
		r.emit(job, kiosk.EventSettled, string(kiosk.ExitError))
		return nil
	}
	return r.task.ended(ctx)
}

// local ends the round by what the outbox said.
func (r *round) local(ctx context.Context, err error) result {
	switch {
	case err == nil, errors.Is(err, kiosk.ErrNoRecord):
		return result{ending: gone} // or taken away meanwhile, by age or by staff
	case ctx.Err() != nil:
		return result{ending: stopped}
	case errors.Is(err, kiosk.ErrSealBroken) && r.task.ended == nil:
		r.o.Log.ErrorContext(ctx, "record does not open", slog.String("record", string(r.task.id)), slog.Any("err", err))
		return r.local(ctx, r.dead(ctx, reasonUnreadable, ""))
	}
	r.count(func(s *Stats) { s.LocalFaults++; s.Deferred++ })
	if r.task.deferral != reasonStorage {
		r.task.deferral = reasonStorage
		r.o.Log.ErrorContext(ctx, "outbox failed", slog.String("record", string(r.task.id)), slog.Any("err", err))
		r.emit(r.job, kiosk.EventDeferred, reasonStorage)
	}
	return result{ending: failed}
}
