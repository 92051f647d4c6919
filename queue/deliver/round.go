package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"time"

	"livekiosk/kiosk"
)

const (
	// A submission that may have been confirmed and that the gateway denies is
	// given up after so many failures in a row, and so many denials in one run.
	// The waits between them are together more than ten minutes: see denied.
	lostFailures, lostDenials = 11, 4

	// mostTries is how often a record may be refused while others are served
	// before it is set aside, and longTrial for how long it may be while there
	// are no others.
	mostTries = 200
	longTrial = 7 * 24 * time.Hour

	// mostIdle is how many polls may find a submission not begun: a week of them.
	mostIdle = 130

	// longWait is the shortest wait that is worth a durable mark, and the
	// shortest call whose effect is.
	longWait = 15 * time.Second

	// front is how long a person may be taken to wait for a verdict.
	front = 2 * time.Minute
)

// A task is what is known of a pending record between rounds. What a restart
// forgets of it is not needed to be right, only to be polite.
type task struct {
	id      kiosk.RecordID
	session kiosk.SessionID
	seq     uint64 // the order of arrival

	// The schedule's.
	running bool
	guest   bool // the round that runs has a lane of people waiting
	due     time.Time
	probes  int    // in vain, in this outage
	stamp   uint64 // of its place in a heap; see place
	listing uint64 // that named it last
	gone    bool

	// The round's while one runs, otherwise the schedule's.
	job      *kiosk.Job // read for the next round; nil: it is to be read
	needs    need
	underway bool      // something was done for it at the gateway
	until    time.Time // its person is taken to wait; zero: nobody is
	arrived  bool      // and has not met an outage yet
	failures int       // of its own, in a row
	deferral string

	refused    string // the token that the gateway refused last; secret
	targets    kiosk.Targets
	targetsEnd time.Time
	lost       int // times in a row that the gateway denied its submission

	status  kiosk.GatewayStatus
	polls   int
	polling time.Time // of the first poll

	ended func(context.Context) error // the end, until the ledger has taken it

	// The lines'.
	answers, others perService[uint64] // good ones: its own, and others' at its last shared failure
	shared          perService[int]    // such failures of one step with others served in between
	failed          string             // that step
	passes          uint64             // times that anybody did it before
}

// present reports whether its person waits.
func (t *task) present() bool { return time.Now().Before(t.until) }

// progress notes that a step was done.
func (t *task) progress() { t.failures, t.lost, t.deferral = 0, 0, "" }

// resume takes up what is known of a record from before a restart.
func (d *Deliverer) resume(t *task, j kiosk.Job, now time.Time) {
	p := j.Marks.Pace
	t.needs, t.underway = needs(j, ""), j.Marks.SubmissionID != ""
	t.failures, t.polls = max(p.Failures, 0), max(p.Polls, 0)
	if t.polls > 0 {
		since := min(max(now.Sub(p.Polling), took(t.polls)), oldest)
		t.polling = now.Add(-since)
		t.due = now.Add(time.Duration(d.random() * float64(pollWait(t.polls, since))))
	}
	if t.failures > 0 {
		var wish time.Duration
		if !p.NotBefore.IsZero() {
			wish = p.NotBefore.Sub(now)
		}
		t.due = now.Add(d.pause(t.failures, wish))
	}
}

// needs are the services that a record cannot do without.
func needs(j kiosk.Job, refused string) need {
	switch token := token(j); {
	case token == "" || token == refused:
		return needToken
	case j.Marks.Confirmed || uploaded(j.Marks):
		return needVerdict
	}
	return needImages
}

// token is the newest user token.
func token(j kiosk.Job) string {
	if j.Marks.Token != "" {
		return j.Marks.Token
	}
	return j.Token
}

// uploaded reports whether every document lies with the record's submission.
func uploaded(m kiosk.Marks) bool {
	for _, doc := range kiosk.Documents() {
		if !m.Uploaded[doc] {
			return false
		}
	}
	return true
}

// A result is how a round ended.
type result struct {
	task   *task
	ending ending
	wait   time.Duration // until the next round, at least
}

type ending int

const (
	stopped ending = iota // ctx ended
	gone                  // settled, dead, or not pending any more
	waits                 // for the gateway's verdict, or after a failure
	vain                  // it probed in vain
	blocked               // by a service that another round found out of reach
)

// A round is one try to carry a record on, as far as it goes.
type round struct {
	*Deliverer

	task  *task
	guest bool // it has a lane of people waiting
	held  bool // it has one of the other lanes
	job   kiosk.Job
	dirty bool // marks that are not durable yet

	calling kiosk.Service // by the call under way
	step    string        // that call, and what it was about
	renewed bool          // a new token was asked for in this round
	asked   bool          // new URLs were asked for after old ones had died
}

// A localError is a step that the outbox failed.
type localError struct{ err error }

func (e *localError) Error() string { return e.err.Error() }
func (e *localError) Unwrap() error { return e.err }

// A blockedError is a call that was not made, since the service is known to be
// out of reach.
type blockedError struct{ service kiosk.Service }

func (e *blockedError) Error() string { return string(e.service) + " is out of reach" }

// errClosed is a session that ended without this record.
var errClosed = errors.New("session takes no images: an earlier submission of it has ended")

// errInconsistent marks answers that contradict each other.
var errInconsistent = errors.New("contradicts an earlier answer")

// play runs a round.
func (d *Deliverer) play(ctx context.Context, t *task, guest bool) result {
	r := &round{Deliverer: d, task: t, guest: guest}
	defer r.leave()
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
	if r.task.job != nil {
		r.job, r.task.job = *r.task.job, nil
	} else {
		var err error
		if r.job, err = r.o.Outbox.Job(ctx, r.task.id); err != nil {
			r.job = kiosk.Job{Record: r.task.id, Session: r.task.session}
			return r.local(ctx, err)
		}
	}
	defer func() {
		r.task.underway = r.job.Marks.SubmissionID != ""
		if r.task.needs |= needs(r.job, r.task.refused); r.task.ended != nil {
			r.task.needs = 0 // but the ledger
		}
	}()
	r.task.needs = 0
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

// enter waits for a lane: to use the network, and to hold an image.
func (r *round) enter(ctx context.Context) error {
	if r.guest || r.held {
		return nil
	}
	select {
	case r.slots <- struct{}{}:
		r.held = true
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// leave lets another round have the lane while this one waits for the disk.
func (r *round) leave() {
	if r.held {
		<-r.slots
		r.held = false
	}
}

// pass takes the steps that are not done yet. It returns the wait until the
// next poll.
func (r *round) pass(ctx context.Context) (time.Duration, error) {
	if t := token(r.job); t == "" || t == r.task.refused {
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

// call makes one call, unless its service is known to be out of reach.
func (r *round) call(ctx context.Context, s kiosk.Service, step string, fn func() error) error {
	if err := r.enter(ctx); err != nil {
		return err
	}
	if !r.lines.admit(r.task, s, time.Now()) {
		return &blockedError{s}
	}
	r.calling, r.step = s, step
	if err := fn(); err != nil {
		return err
	}
	if r.task.failed == step {
		r.task.failed, r.task.shared = "", perService[int]{}
	}
	r.answered(ctx, r.task, s, step)
	return nil
}

// answered notes that a service gave an answer that counts, and which step that
// did; "" for none.
func (d *Deliverer) answered(ctx context.Context, t *task, s kiosk.Service, step string) {
	if mended, after := d.lines.pass(t, s, step, time.Now()); mended {
		d.o.Log.InfoContext(ctx, "service answers again", slog.String("service", string(s)), slog.Duration("after", after.Round(time.Second)))
	}
}

func (r *round) who() kiosk.Credentials {
	return kiosk.Credentials{Token: token(r.job), CorrelationID: r.job.CorrelationID, Session: r.job.Session}
}

// renew asks the partner backend for a token, for the same correlation id.
func (r *round) renew(ctx context.Context) error {
	r.renewed = true
	var got kiosk.UserToken
	err := r.call(ctx, kiosk.PartnerService, "token", func() (err error) {
		got, err = r.o.Partner.UserToken(ctx, kiosk.TokenRequest{
			CorrelationID: r.job.CorrelationID, UserID: r.job.UserID, UserIDType: r.job.UserIDType, Locale: r.job.Locale,
		})
		return err
	})
	if err != nil {
		return err
	}
	r.task.refused = ""
	r.note(func(m *kiosk.Marks) { m.Token = got.Value })
	r.count(func(s *Stats) { s.Tokens++ })
	r.emit(r.job, kiosk.EventToken, "")
	return nil
}

// note changes the record's marks. They are durable after the next flush.
func (r *round) note(change func(*kiosk.Marks)) {
	r.job.Marks.Uploaded = maps.Clone(r.job.Marks.Uploaded)
	change(&r.job.Marks)
	r.dirty = true
}

// flush makes the marks durable.
func (r *round) flush(ctx context.Context) error {
	if !r.dirty {
		return nil
	}
	p := &r.job.Marks.Pace
	if p.Failures = r.task.failures; p.Failures == 0 {
		p.NotBefore = time.Time{}
	}
	if p.Polls = r.task.polls; p.Polls > 0 {
		p.Polling = r.task.polling.Round(0)
	}
	r.leave()
	if err := r.o.Outbox.Mark(ctx, r.job.Record, r.job.Marks); err != nil {
		return &localError{fmt.Errorf("mark: %w", err)}
	}
	r.dirty = false
	return nil
}

// submit uploads what is missing and confirms.
func (r *round) submit(ctx context.Context) error {
	if !uploaded(r.job.Marks) {
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
	r.task.targets = kiosk.Targets{} // long, and of no use any more
	// The one mark that the single effect stands on: after the confirmation no
	// other submission may be asked for.
	if err := r.flush(ctx); err != nil {
		return err
	}
	err := r.call(ctx, kiosk.GatewayService, "confirm", func() error {
		return r.o.Gateway.Confirm(ctx, r.who(), r.job.Marks.SubmissionID, r.job.Metadata)
	})
	if err != nil {
		return err
	}
	r.confirmed()
	return nil
}

// confirmed notes the confirmation, by this round or an earlier one whose
// answer was lost.
func (r *round) confirmed() {
	r.note(func(m *kiosk.Marks) { m.Confirmed = true })
	r.task.progress()
	r.emit(r.job, kiosk.EventConfirmed, "")
}

// target makes sure that there are upload URLs that have some life left.
func (r *round) target(ctx context.Context) error {
	t := r.task
	if t.targets.SubmissionID != "" && t.targets.SubmissionID == r.job.Marks.SubmissionID && time.Now().Before(t.targetsEnd) {
		return nil
	}
	asked := time.Now()
	var targets kiosk.Targets
	err := r.call(ctx, kiosk.GatewayService, "urls", func() (err error) {
		targets, err = r.o.Gateway.Targets(ctx, r.who())
		return err
	})
	if err != nil {
		return err
	}
	if targets.SubmissionID != r.job.Marks.SubmissionID {
		// What was uploaded lies with a submission that is never confirmed.
		r.note(func(m *kiosk.Marks) { m.SubmissionID, m.Uploaded = targets.SubmissionID, nil })
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
	if err := r.enter(ctx); err != nil {
		return err
	}
	memory, _ := r.images.Get().(*[]byte)
	if memory == nil {
		memory = new([]byte)
	}
	defer r.images.Put(memory)
	img, err := r.o.Outbox.Image(ctx, r.job.Record, doc, memory)
	switch {
	case errors.Is(err, kiosk.ErrNoRecord):
		// Not captured. Whether the submission is complete without it is the
		// gateway's to say. It counts as done: what was sent is then durable as
		// a whole, as for any other record.
		r.uploaded(doc)
		return nil
	case err != nil:
		return &localError{fmt.Errorf("image %s: %w", doc, err)}
	}
	defer clear(img)
	begun := time.Now()
	err = r.call(ctx, kiosk.StoreService, "upload "+string(doc), func() error {
		return r.o.Gateway.Upload(ctx, kiosk.Upload{Target: t, JPEG: img, Waiting: r.task.present()})
	})
	if err != nil {
		return err
	}
	r.uploaded(doc)
	r.count(func(s *Stats) { s.UploadedBytes += uint64(len(img)) })
	r.task.progress()
	r.emit(r.job, kiosk.EventUploaded, string(doc))
	if time.Since(begun) < longWait {
		return nil
	}
	return r.flush(ctx) // too dear to be done again
}

// uploaded notes that nothing of a document is left to be sent.
func (r *round) uploaded(doc kiosk.Document) {
	r.note(func(m *kiosk.Marks) {
		if m.Uploaded == nil {
			m.Uploaded = map[kiosk.Document]bool{}
		}
		m.Uploaded[doc] = true
	})
}

// closed deals with a submission that takes no images. It is not this record's:
// URLs are asked for only while not all images are durably marked as uploaded,
// and before that nothing is confirmed. It is that of an earlier capture of the
// same session, whose verdict says nothing about this one.
func (r *round) closed(ctx context.Context) error {
	s, err := r.status(ctx)
	if err != nil {
		return err
	}
	r.task.targets = kiosk.Targets{}
	switch s.Status {
	case kiosk.Initiated, kiosk.PartiallyCompleted:
		return fmt.Errorf("urls: no URL for a submission that is open: %w", errInconsistent)
	case kiosk.InProgress:
		return fmt.Errorf("urls: of an earlier submission, which is not judged yet: %w", errInconsistent)
	case kiosk.StatusCompleted, kiosk.StatusError, kiosk.StatusRejected:
	}
	return errClosed
}

// status asks for the status of the record's submission, and of no other.
func (r *round) status(ctx context.Context) (kiosk.SubmissionStatus, error) {
	id := r.job.Marks.SubmissionID
	var s kiosk.SubmissionStatus
	err := r.call(ctx, kiosk.GatewayService, "status", func() (err error) {
		s, err = r.o.Gateway.Status(ctx, r.who(), id)
		return err
	})
	if err != nil {
		return kiosk.SubmissionStatus{}, err
	}
	if s.SubmissionID != "" && s.SubmissionID != id {
		return kiosk.SubmissionStatus{}, fmt.Errorf("status: of another submission: %w", errInconsistent)
	}
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
		if t.polls++; s.Status == kiosk.Initiated && t.polls > mostIdle {
			r.aside(reasonIdle, "")
			return 0, nil
		}
		wait := pollWait(t.polls, time.Since(t.polling))
		r.dirty = r.dirty || wait >= longWait
		return wait, r.flush(ctx)
	case kiosk.Retry, kiosk.ExitSuccess, kiosk.ExitFailure, kiosk.ExitError:
		r.settle(action, string(s.Status))
		return 0, nil
	}
	return 0, &localError{errors.New("next action is unknown")}
}

// oldest is the age from which on submissions are polled equally rarely.
const oldest = 32 * time.Hour

// pollWait is PollWait, and after two hours rarer still: up to every four
// hours for a verdict that takes days.
func pollWait(polls int, since time.Duration) time.Duration {
	if since > 2*time.Hour {
		return min(since, oldest) / 8
	}
	return PollWait(polls, since)
}

// took is the least time that so many polls can have taken.
func took(polls int) time.Duration {
	var since time.Duration
	for n := 1; n < polls && since < oldest; n++ {
		since += PollWait(n, since)
	}
	return since
}

// mend deals with what stopped a pass. It reports whether another pass may get
// further.
func (r *round) mend(ctx context.Context, err error) (result, bool) {
	if local, is := errors.AsType[*localError](err); is {
		return r.local(ctx, local.err), false
	}
	if b, is := errors.AsType[*blockedError](err); is {
		r.task.needs |= needOf(b.service)
		return r.early(ctx, result{ending: blocked}), false
	}
	if errors.Is(err, errInconsistent) {
		return r.deferred(ctx, err, reasonInconsistent, 0), false
	}
	if errors.Is(err, errClosed) {
		r.o.Log.WarnContext(ctx, "session is closed", slog.Any("job", r.job), slog.Any("err", err))
		return r.local(ctx, r.dead(ctx, reasonClosed, "")), false
	}
	g, is := errors.AsType[*kiosk.GatewayError](err)
	if !is {
		g = &kiosk.GatewayError{Service: r.calling, Disposition: kiosk.RetryLater, Err: err}
	}
	// A 401 tells neither that the service does its work nor that it does not.
	if !shared(g) && !doubtful(g) && g.Disposition != kiosk.NewToken {
		step := ""
		if g.Disposition == kiosk.PollOn {
			step = r.step
		}
		r.answered(ctx, r.task, serviceOf(g), step)
	}
	denial := g.Disposition == kiosk.NewURLs && g.Call != "upload"
	if !denial {
		r.task.lost = 0
	}
	switch g.Disposition {
	case kiosk.NewToken:
		r.task.refused = token(r.job)
		if r.renewed {
			// Also if it is all kiosks' tokens that are refused.
			later := *g
			later.Disposition = kiosk.RetryLater
			return r.later(ctx, &later, reasonToken), false
		}
	case kiosk.NewURLs:
		if denial && (r.job.Marks.Confirmed || uploaded(r.job.Marks)) {
			return r.denied(ctx, g), false
		}
		if r.asked {
			return r.refused(ctx, g, reasonURLs), false
		}
		r.asked = true
		r.task.targets = kiosk.Targets{}
		if denial { // before anything was confirmed: another one takes its place
			r.note(func(m *kiosk.Marks) { m.SubmissionID, m.Uploaded = "", nil })
		}
	case kiosk.PollOn:
		r.confirmed()
	case kiosk.Recapture:
		action := kiosk.ExitFailure
		if r.job.AttemptsLeft > 0 {
			action = kiosk.Retry
		}
		r.settle(action, cause(g))
		return r.local(ctx, r.task.ended(ctx)), false
	case kiosk.Final:
		return r.local(ctx, r.final(ctx, g)), false
	case kiosk.RetryLater:
		return r.later(ctx, g, why(g)), false
	default:
		return r.later(ctx, g, why(g)), false
	}
	return result{}, true
}

// later ends the round after a failure that may pass, of which word tells why.
func (r *round) later(ctx context.Context, g *kiosk.GatewayError, word string) result {
	if ctx.Err() != nil {
		return result{ending: stopped}
	}
	r.stuck(g)
	switch r.blame(ctx, r.task, serviceOf(g), r.step, g) {
	case probed:
		r.task.arrived = false
		r.tell(ctx, g, word)
		return r.early(ctx, result{ending: vain})
	case found, opened: // nothing that this record did counts against it
		if shared(g) {
			r.task.arrived = false
		}
		return r.pausing(ctx, g, word, g.RetryAfter, r.task.failures+1)
	case own:
	}
	if shared(g) {
		r.task.arrived = false
	}
	return r.refused(ctx, g, word)
}

// stuck notes the step that failed, if it is another one than before.
func (r *round) stuck(g *kiosk.GatewayError) {
	if r.task.failed != r.step {
		r.task.failed, r.task.shared = r.step, perService[int]{}
		r.task.passes = r.lines.passes(serviceOf(g), r.step)
	}
}

// refused ends the round after a failure that is this record's own: with a
// wait, or for good if it was refused for long. What is counted are tries, so
// that neither an outage nor a wrong clock gives a record up.
func (r *round) refused(ctx context.Context, g *kiosk.GatewayError, word string) result {
	if ctx.Err() != nil {
		return result{ending: stopped}
	}
	r.stuck(g)
	tries := r.task.failures + 1
	others := r.lines.passes(serviceOf(g), r.step) - r.task.passes
	// In half of the longest wait, on average, one try is made.
	long := tries > max(mostTries, int(longTrial/(r.o.Policy.Most/2+1)))
	if g.Status >= http.StatusBadRequest && (long || tries > mostTries && others >= enough) {
		r.o.Log.WarnContext(ctx, "delivery refused for long", slog.Any("job", r.job), slog.Int("tries", tries), slog.Any("err", g))
		return r.local(ctx, r.dead(ctx, refused(g), g.Cause))
	}
	return r.deferred(ctx, g, word, g.RetryAfter)
}

// denied ends the round after the gateway denied a submission that may have
// been confirmed. It may have taken effect all the same, so that no other one
// is begun; if the denial lasts, staff has to look. The waits are long from the
// start, without the jitter that could make them short.
func (r *round) denied(ctx context.Context, g *kiosk.GatewayError) result {
	if ctx.Err() != nil {
		return result{ending: stopped}
	}
	r.task.lost++
	r.task.failures++
	if r.task.failures >= lostFailures && r.task.lost >= lostDenials {
		r.o.Log.WarnContext(ctx, "submission is lost", slog.Any("job", r.job), slog.Any("err", g))
		return r.local(ctx, r.dead(ctx, reasonLost, g.Cause))
	}
	wait := r.o.Policy.Limit(r.task.failures)
	wait += time.Duration(r.random() * float64(wait) / 2)
	r.tell(ctx, g, reasonLost)
	r.dirty = r.dirty || wait >= longWait
	return r.early(ctx, result{ending: waits, wait: max(wait, min(g.RetryAfter, r.o.Policy.Wish))})
}

// blame says whose a failure is, and logs an outage that begins.
func (d *Deliverer) blame(ctx context.Context, t *task, s kiosk.Service, step string, g *kiosk.GatewayError) blame {
	b := d.lines.fail(t, s, step, g, time.Now())
	if b == opened {
		d.o.Log.WarnContext(ctx, "service out of reach", slog.String("service", string(s)), slog.String("trouble", string(trouble(g))), slog.Any("err", g))
	}
	return b
}

// early ends a round before its time: what it did is kept.
func (r *round) early(ctx context.Context, res result) result {
	if err := r.flush(ctx); err != nil {
		return r.local(ctx, err)
	}
	return res
}

// deferred ends the round with a wait, after a failure of the record's own.
func (r *round) deferred(ctx context.Context, cause error, why string, wish time.Duration) result {
	if ctx.Err() != nil {
		return result{ending: stopped}
	}
	r.task.failures++
	return r.pausing(ctx, cause, why, wish, r.task.failures)
}

// pausing ends the round with the wait after so many failures.
func (r *round) pausing(ctx context.Context, cause error, why string, wish time.Duration, failures int) result {
	r.tell(ctx, cause, why)
	wait := r.patience(failures, wish)
	if wait >= longWait {
		r.note(func(m *kiosk.Marks) {
			if m.Pace.NotBefore = (time.Time{}); wish >= longWait {
				m.Pace.NotBefore = time.Now().Add(wish).Round(0)
			}
		})
	}
	return r.early(ctx, result{ending: waits, wait: wait})
}

// patience is pause, and shorter while its person stands there.
func (r *round) patience(failures int, wish time.Duration) time.Duration {
	if r.task.present() {
		return r.pauseUpTo(r.o.Policy.Person, failures, wish)
	}
	return r.pause(failures, wish)
}

// tell tells why the record waits, once for each cause.
func (r *round) tell(ctx context.Context, cause error, why string) {
	r.count(func(s *Stats) { s.Deferred++ })
	if r.task.deferral != why {
		r.task.deferral = why
		r.o.Log.InfoContext(ctx, "delivery deferred", slog.Any("job", r.job), slog.String("reason", why), slog.Any("err", cause))
		r.emit(r.job, kiosk.EventDeferred, why)
	}
}

// settle decides the record's end. It is told when the ledger has taken it. If
// the ledger fails, nobody is kept waiting for that, with one exception: a
// retry is only asked for once the record of the first try can be seen by
// staff, should the person have left.
func (r *round) settle(action kiosk.Action, why string) {
	receipt := kiosk.Receipt{
		Record: r.job.Record, Session: r.job.Session, SubmissionID: r.job.Marks.SubmissionID, Action: action, Reason: why,
	}
	r.leave()
	job, told, end := r.job, false, r.o.Outbox.Settle
	if action == kiosk.Retry {
		end = r.o.Outbox.Recapture
	}
	r.task.ended = func(ctx context.Context) error {
		err := end(ctx, job.Record, receipt)
		kept := err == nil || errors.Is(err, kiosk.ErrNoRecord)
		if !told && ctx.Err() == nil && (kept || action != kiosk.Retry) {
			told = true
			r.report(receipt)
		}
		if err != nil {
			return fmt.Errorf("settle: %w", err)
		}
		r.count(func(s *Stats) {
			if s.Settled++; action == kiosk.Retry {
				s.NeedsRecapture++
			}
		})
		r.emit(job, kiosk.EventSettled, string(action))
		return nil
	}
}

// final ends a record that no retry can deliver. Attempts used up are an
// ordinary end; anything else is kept for staff.
func (r *round) final(ctx context.Context, g *kiosk.GatewayError) error {
	if g.Status == http.StatusTooManyRequests {
		r.settle(kiosk.ExitFailure, cause(g))
		return r.task.ended(ctx)
	}
	r.o.Log.WarnContext(ctx, "delivery refused for good", slog.Any("job", r.job), slog.Any("err", g))
	if serviceOf(g) == kiosk.PartnerService && token(r.job) != "" {
		return r.dead(ctx, reasonExpired, g.Cause)
	}
	return r.dead(ctx, cause(g), g.Cause)
}

// dead sets the record aside. The person, should they still be there, is led
// to staff: nobody judged the capture.
func (r *round) dead(ctx context.Context, why, cause string) error {
	if err := r.flush(ctx); err != nil && !errors.Is(err, kiosk.ErrSealBroken) {
		return err // staff is to see its submission id
	}
	r.aside(why, cause)
	return r.task.ended(ctx)
}

// aside decides that the record is to be set aside.
func (r *round) aside(why, cause string) {
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
	r.task.failures++
	return result{ending: waits, wait: r.patience(r.task.failures, 0)}
}
