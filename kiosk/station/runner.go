package station

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"sync"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/flow"
)

// An image is the evidence held for one pose.
type image struct {
	jpeg []byte
	saw  kiosk.Assessment
}

// A runner is the state of Run's goroutine.
type runner struct {
	*Station

	now     flow.State
	launch  *kiosk.Launch // of the running session
	consent kiosk.Consent
	images  map[kiosk.Pose]*image
	tape    *tape
	next    []Adoption // for the next session, oldest first
	tally   kiosk.Tally
	puts    sync.WaitGroup
	frozen  chan struct{} // closed when the camera was last frozen or thawed: one after the other
}

// step feeds one input to the flow and carries out the effects.
func (r *runner) step(ctx context.Context, m message) {
	if m.frame != nil {
		defer m.frame.Release()
	}
	if m.done != nil {
		defer close(m.done)
	}
	if m.reply != nil {
		if err := r.busy(m.try); err != nil {
			m.reply <- err
			return
		}
	}
	at, before := r.o.Now(), r.now
	var fx []flow.Effect
	r.now, fx = r.o.Policy.Step(before, at, m.in)
	if in, ok := m.in.(flow.Launched); ok {
		r.begin(ctx, in, m.launch, before)
		defer func() { m.reply <- nil }()
	}
	r.tape.step(ctx, at, m.in, r.now, fx)
	if why := breach(m.in); why != "" && r.now.Phase != before.Phase {
		r.o.Emit(kiosk.Event{Kind: kiosk.EventVoided, Session: r.now.Session, Text: string(why)})
		r.o.Log.WarnContext(ctx, "session voided", slog.String("session", string(r.now.Session)), slog.String("reason", string(why)))
	}
	r.count(before, at, m.in, fx)
	r.show(before) // first: a preview must not be taken from a screen that still wants it
	for _, e := range fx {
		r.do(ctx, e, m)
	}
	if m.receipt != nil {
		if r.tally.Session != "" && m.receipt.Session == r.tally.Session && m.receipt.Action == kiosk.ExitSuccess {
			r.tally.Approved = true
		}
		r.complete(*m.receipt) // after the flow's own report, which wins for the visitor who waits
	}
	r.tell(ctx, before)
}

// adopt takes over what was asked for, if no session runs.
func (r *runner) adopt() {
	if len(r.next) == 0 || r.now.Session != "" {
		return
	}
	for _, a := range r.next {
		facts := maps.Clone(r.o.Facts) // a tape may still hold the old ones
		if facts == nil {
			facts = map[string]string{}
		}
		for name, fact := range a.Facts {
			if facts[name] = fact; fact == "" {
				delete(facts, name)
			}
		}
		r.o.Policy, r.o.Facts = a.Policy, facts
		if a.Then != nil {
			a.Then()
		}
	}
	r.next = nil
}

// count notes what a step says of what judges the session.
func (r *runner) count(before flow.State, at time.Duration, in flow.Input, fx []flow.Effect) {
	if _, began := in.(flow.Launched); began {
		r.tally = kiosk.Tally{Session: r.now.Session}
	}
	if r.o.Policy.Disbelieved(before, at, in, r.now, fx) {
		r.tally.Disbelieved++
	}
	for _, e := range fx {
		switch e := e.(type) {
		case flow.Submit:
			r.tally.Submitted, r.tally.Flagged = true, e.Review
		case flow.Report:
			looked := before.Phase == flow.Far || before.Phase == flow.Near || before.Phase == flow.Again
			r.tally.Staff = looked && !r.tally.Submitted && r.now.Outcome == kiosk.StaffScreen &&
				(e.Detail == kiosk.VerificationFailed || e.Detail == kiosk.HelpTapped)
		case flow.Find, flow.Verify, flow.Watch, flow.Consented, flow.Hold, flow.Drop, flow.Forget:
		}
	}
}

// breach is why an input that ends a session voids it; "" of other inputs.
func breach(in flow.Input) kiosk.Breach {
	switch in := in.(type) {
	case flow.Voided:
		return in.Reason
	case flow.Opened:
		return kiosk.SwapBreach
	default:
		return ""
	}
}

// busy says why no session can start now, or nil. try is that of a code which
// was typed for it, or 0.
func (r *runner) busy(try int) error {
	if s := r.now; try != 0 && (s.Typing != kiosk.Checking || s.Try != try) { // no other keypad has that try
		return &kiosk.LaunchError{Code: kiosk.UnknownError, Reason: "whoever typed the code has left", Busy: true}
	}
	switch r.now.Phase {
	case flow.Idle, flow.Resting, flow.Code:
		return nil
	case flow.PIN, flow.Desk:
		return &kiosk.LaunchError{Code: kiosk.UnknownError, Reason: "staff are at the kiosk", Busy: true}
	case flow.OutOfService:
		return &kiosk.LaunchError{Code: kiosk.UnknownError, Reason: "the kiosk is out of service: " + string(r.o.Policy.View(r.now).Fault), Busy: true, Down: true}
	case flow.Consent, flow.Tips, flow.Warning, flow.Far, flow.Near, flow.Colours, flow.Again, flow.Saving, flow.Waiting, flow.Outcome:
	}
	return &kiosk.LaunchError{Code: kiosk.UnknownError, Reason: "another session is running", Busy: true}
}

func (r *runner) begin(ctx context.Context, in flow.Launched, l *kiosk.Launch, before flow.State) {
	if r.o.Began != nil {
		r.o.Began(in.Session, *l)
	}
	l.ThemeDocument = "" // it is whoever's who was told
	r.launch = l
	r.mu.Lock()
	r.keep(outcome{Result: kiosk.Result{Session: in.Session, CorrelationID: l.CorrelationID, Status: kiosk.Running}})
	r.mu.Unlock()
	r.tape = record(ctx, r.o, in.Session, before)
	r.o.Emit(kiosk.Event{Kind: kiosk.EventLaunched, Session: in.Session})
	r.o.Log.InfoContext(ctx, "session launched", slog.String("session", string(in.Session)), slog.Any("launch", *l))
}

func (r *runner) do(ctx context.Context, e flow.Effect, m message) {
	switch e := e.(type) {
	case flow.Find:
		r.look(ctx, e.Try, func() error { return r.find(ctx, e.Try, m.text) })
	case flow.Verify:
		r.look(ctx, e.Try, func() error { return r.verify(ctx, m.text) })
	case flow.Watch:
		r.o.Watch(e.On)
	case flow.Freeze:
		r.freeze(ctx, e.On)
	case flow.Consented:
		r.consent = kiosk.Consent{TextHash: r.o.Consent(e.Locale), Locale: e.Locale, At: time.Now().UTC(), Session: r.now.Session}
	case flow.Hold:
		r.hold(ctx, e, m)
	case flow.Drop:
		r.drop()
	case flow.Submit:
		r.submit(ctx, e)
	case flow.Report:
		r.report(e)
	case flow.Forget:
		r.forget(ctx)
	}
}

// freeze readies the camera for a light challenge, and draws its seed, or ends that.
// A camera may take long to do as it is told, and nothing waits for it: the flow
// goes on where no seed comes.
func (r *runner) freeze(ctx context.Context, on bool) {
	if r.o.Freeze == nil {
		return
	}
	var seed [4]byte
	_, _ = rand.Read(seed[:]) // never fails
	in := flow.Seeded{Session: r.now.Session, Seed: binary.LittleEndian.Uint32(seed[:])}
	before, done := r.frozen, make(chan struct{})
	r.frozen = done
	r.puts.Go(func() {
		if before != nil {
			<-before
		}
		r.o.Freeze(on)
		close(done)
		if on {
			_ = r.send(ctx, message{in: in}) // only fails when ctx ended
		}
	})
}

// thaw ends a light challenge that a stop cuts off.
func (r *runner) thaw(ctx context.Context) {
	if r.now.Phase == flow.Colours {
		r.freeze(ctx, false)
	}
}

// look does what was typed for, beside the station's own goroutine, and tells
// the flow what came of it.
func (r *runner) look(ctx context.Context, try int, do func() error) {
	r.puts.Go(func() {
		in, err := flow.Typed{Try: try}, do()
		_, paused := errors.AsType[*kiosk.PausedError](err)
		switch {
		case err == nil:
		case paused:
			in.Typing = kiosk.Paused
		case errors.Is(err, kiosk.ErrNoBooking), errors.Is(err, kiosk.ErrWrongPIN):
			in.Typing = kiosk.Unknown
		default:
			in.Typing = kiosk.Refused
		}
		if err != nil {
			r.o.Log.WarnContext(ctx, "what was typed was of no use", slog.Any("err", err))
		}
		_ = r.send(ctx, message{in: in}) // only fails when ctx ended
	})
}

// find launches the session of the booking that has this code, unless whoever
// typed it has given up meanwhile: another may stand there.
func (r *runner) find(ctx context.Context, try int, code string) error {
	if r.o.Register == nil {
		return kiosk.ErrNoBooking
	}
	l, err := r.o.Register.Expected(ctx, code)
	if err != nil {
		return fmt.Errorf("code: %w", err)
	}
	_, err = r.start(ctx, l, try)
	return err
}

func (r *runner) verify(ctx context.Context, pin string) error {
	if r.o.Lock == nil {
		return fmt.Errorf("%w: none is set", kiosk.ErrWrongPIN)
	}
	if err := r.o.Lock.Open(ctx, pin); err != nil {
		return fmt.Errorf("staff PIN: %w", err)
	}
	r.o.Log.InfoContext(ctx, "staff have given their PIN")
	return nil
}

// hold keeps the frame just seen as evidence. A frame that cannot be kept is
// logged; if none could be, the submission fails and says so.
func (r *runner) hold(ctx context.Context, e flow.Hold, m message) {
	if m.frame == nil {
		return
	}
	saw, ok := m.in.(flow.Saw)
	if !ok {
		return
	}
	jpeg, err := r.o.Evidence.JPEG(m.frame)
	if n := len(jpeg); err == nil && (n < kiosk.EvidenceMin || n > kiosk.EvidenceMax) {
		clear(jpeg)
		err = fmt.Errorf("%d bytes, and the gateway takes %d to %d: choose another mode of the camera", n, kiosk.EvidenceMin, kiosk.EvidenceMax)
	}
	if err != nil {
		r.o.Log.WarnContext(ctx, "frame not kept", slog.Any("frame", m.frame), slog.Any("err", err))
		return // an earlier one of this hold stays, with its own measurements
	}
	if old := r.images[e.Pose]; old != nil {
		clear(old.jpeg)
	}
	r.images[e.Pose] = &image{jpeg, saw.Assessment}
}

func (r *runner) drop() {
	for _, img := range r.images {
		clear(img.jpeg)
	}
	clear(r.images)
}

// submit hands the evidence to the outbox. Storing takes as long as the disk
// needs to make it durable, and the screen must not stand still meanwhile.
func (r *runner) submit(ctx context.Context, e flow.Submit) {
	sub := &kiosk.Submission{
		Record: e.Record, Session: r.now.Session, Attempt: e.Attempt, AttemptsLeft: e.AttemptsLeft, Review: e.Review,
		Images: map[kiosk.Document][]byte{},
	}
	if r.launch != nil {
		sub.CorrelationID, sub.Token = r.launch.CorrelationID, r.launch.Token
		sub.UserID, sub.UserIDType, sub.Locale = r.launch.UserID, r.launch.UserIDType, r.launch.Locale
	}
	far, near := r.images[kiosk.Far], r.images[kiosk.Near]
	single := e.Single || near == nil
	meta := metadata{
		Record: e.Record, Attempt: e.Attempt, Review: e.Review, Single: single, LiveFar: e.LiveFar, LiveNear: e.LiveNear,
		Consent: r.consent, Captures: map[kiosk.Pose]kiosk.Assessment{}, Camera: r.now.Eye, Facts: r.o.Facts,
	}
	if e.Light != (flow.Response{}) {
		meta.Light = &e.Light
	}
	if far != nil {
		sub.Images[kiosk.Selfie], meta.Captures[kiosk.Far] = far.jpeg, far.saw
		if single {
			sub.Images[kiosk.AdditionalSelfie] = append([]byte(nil), far.jpeg...)
		}
	}
	switch {
	case single && near != nil:
		clear(near.jpeg)
	case !single:
		sub.Images[kiosk.AdditionalSelfie], meta.Captures[kiosk.Near] = near.jpeg, near.saw
	}
	clear(r.images) // the submission owns them now
	body, err := meta.encode()
	sub.Metadata = body
	r.mu.Lock()
	r.storing[sub.CorrelationID] = true
	r.mu.Unlock()
	r.puts.Go(func() {
		defer sub.Erase()
		if err == nil && sub.Images[kiosk.Selfie] == nil {
			err = kiosk.ErrNoEvidence
		}
		if err == nil {
			// Not ctx: a stop must not undo what the visitor was promised.
			err = r.o.Outbox.Put(context.WithoutCancel(ctx), sub)
		}
		r.mu.Lock()
		delete(r.storing, sub.CorrelationID)
		r.mu.Unlock()
		if err != nil {
			r.o.Log.ErrorContext(ctx, "capture not stored", slog.String("record", string(e.Record)), slog.Any("err", err))
			_ = r.send(ctx, message{in: flow.Unstored{Record: e.Record}}) // only fails when ctx ended
			return
		}
		r.o.Emit(kiosk.Event{Kind: kiosk.EventSaved, Session: sub.Session, Record: e.Record})
		_ = r.send(ctx, message{in: flow.Stored{Record: e.Record}}) // only fails when ctx ended
	})
}

func (r *runner) report(e flow.Report) {
	r.mu.Lock()
	o := r.results[r.now.Session]
	o.Session, o.Status, o.Error, o.Detail, o.record = r.now.Session, e.Status, e.Error, e.Detail, r.now.Record
	r.keep(o)
	r.mu.Unlock()
}

// forget lets go of everything of the visitor.
func (r *runner) forget(ctx context.Context) {
	r.drop()
	r.launch, r.consent = nil, kiosk.Consent{}
	r.tape.close(ctx)
	r.tape = nil
	if r.o.Tally != nil && r.tally.Session != "" {
		r.o.Tally(r.tally)
	}
	r.tally = kiosk.Tally{}
}

// show puts the new state on the display, if it looks different there.
func (r *runner) show(before flow.State) {
	r.mu.Lock()
	r.last = r.now
	r.mu.Unlock()
	if now := r.o.Policy.View(r.now); now != r.o.Policy.View(before) {
		r.o.Show(now)
	}
}

// tell tells partners, staff and operators what changed.
func (r *runner) tell(ctx context.Context, before flow.State) {
	s := r.now
	was, now := r.o.Policy.View(before), r.o.Policy.View(s)
	event := func(kind kiosk.EventKind, text string) {
		r.o.Emit(kiosk.Event{Kind: kind, Session: s.Session, Record: s.Record, Text: text})
	}
	if now.Fault != was.Fault {
		event(kiosk.EventFault, string(now.Fault))
		if now.Fault == kiosk.NoFault {
			r.o.Log.InfoContext(ctx, "in service again")
		} else {
			r.o.Log.WarnContext(ctx, "out of service", slog.String("fault", string(now.Fault)))
		}
	}
	if s.Session == "" || s.Session != before.Session && before.Session != "" {
		return
	}
	if s.Phase != before.Phase {
		switch {
		case before.Phase == flow.Far && s.Phase == flow.Near:
			event(kiosk.EventCaptured, string(kiosk.Far))
		case before.Phase == flow.Near && (s.Phase == flow.Saving || s.Phase == flow.Colours):
			event(kiosk.EventCaptured, string(kiosk.Near))
		}
		event(kiosk.EventPhase, string(s.Phase))
		r.o.Log.InfoContext(ctx, "phase changed", slog.String("session", string(s.Session)), slog.String("phase", string(s.Phase)), slog.Int("attempt", s.Attempt))
	}
	switch {
	case s.Phase == flow.Again && before.Phase != flow.Again:
		event(kiosk.EventAgain, attemptsLeft(now.AttemptsLeft))
	case s.Phase == flow.Outcome && before.Phase != flow.Outcome:
		event(kiosk.EventOutcome, string(s.Outcome))
		r.mu.Lock()
		res := r.results[s.Session]
		r.mu.Unlock()
		r.tellResult(s.Record, res.Result)
		r.o.Log.InfoContext(ctx, "session ended", slog.String("session", string(s.Session)), slog.String("screen", string(s.Outcome)),
			slog.String("status", string(res.Status)), slog.Int("detail", int(res.Detail)))
	case s.Guide.Hint != before.Guide.Hint && s.Guide.Hint != kiosk.NoHint:
		event(kiosk.EventHint, string(s.Guide.Hint))
	}
}

func attemptsLeft(n int) string { return strconv.Itoa(n) + " left" }
