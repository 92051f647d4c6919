// Package flow decides what the kiosk does next.
//
// It is a pure function from (state, time, input) to (state, effects): no
// clocks, goroutines, randomness or I/O. The same inputs always give the same
// effects, so a recorded session can be replayed bit for bit, also on another
// architecture.
package flow

import (
	"errors"
	"fmt"
	"image"
	"strconv"
	"time"

	"livekiosk/inference/pad"
	"livekiosk/kiosk"
	"livekiosk/kiosk/guidance"
)

// A Phase is where the visitor is in the session.
type Phase string

// The values are written to traces, so they never change meaning. Every phase
// but Idle, Resting and OutOfService has a deadline.
const (
	OutOfService Phase = "out_of_service" // a fault stands in the way of serving anybody
	Idle         Phase = "idle"
	Resting      Phase = "resting" // idle, and nobody is there: the screen is dark
	Code         Phase = "code"    // a visitor types the code of a booking
	PIN          Phase = "pin"     // somebody types what only staff know
	Desk         Phase = "desk"    // staff look at the kiosk
	Consent      Phase = "consent" // the camera is off until the visitor agrees
	Tips         Phase = "tips"    // what helps, before the camera starts
	Warning      Phase = "warning" // colours are going to change, and nobody has to bear that
	Far          Phase = "far"     // guiding and capturing the far pose
	Near         Phase = "near"    // and the near one
	Colours      Phase = "colours" // both are captured; the display lights the face in changing colours
	Again        Phase = "again"   // an attempt failed, another follows
	Saving       Phase = "saving"  // evidence handed to the outbox
	Waiting      Phase = "waiting" // durable; the gateway may still answer in time
	Outcome      Phase = "outcome" // State.Outcome is on screen
)

// Policy is the tunable part of the flow. The zero value is not usable: start
// from Standard.
type Policy struct {
	Guidance guidance.Profile `json:"guidance"`
	Attempts int              `json:"attempts"`  // a session
	LiveMin  float32          `json:"live_min"`  // mean P(bona fide) over each hold to submit unflagged
	LiveN    int              `json:"live_n"`    // frames that must have counted in each hold
	LostFor  time.Duration    `json:"lost_for"`  // nobody, a second person or no frame for this long: what was captured may be of somebody else
	AwayFor  time.Duration    `json:"away_for"`  // nobody for this long: the visitor may have left, and another may come
	ReviewIn time.Duration    `json:"review_in"` // in the last attempt, how far apart its two fallback frames are at least

	ConsentIn time.Duration `json:"consent_in"` // how long the consent text waits for an answer
	AttemptIn time.Duration `json:"attempt_in"` // an attempt times out
	NoLimit   time.Duration `json:"no_limit"`   // an attempt with no time limit is given up as abandoned
	AgainFor  time.Duration `json:"again_for"`
	AskFor    time.Duration `json:"ask_for"`    // how long a visitor is asked whether they are still there
	SaveIn    time.Duration `json:"save_in"`    // how long sealing and storing may take
	AnswerIn  time.Duration `json:"answer_in"`  // how long a visitor waits for the gateway
	OfflineIn time.Duration `json:"offline_in"` // and how long once it cannot be reached
	MendIn    time.Duration `json:"mend_in"`    // how long a camera that fails may take to come back
	ResultFor time.Duration `json:"result_for"`
	StaffFor  time.Duration `json:"staff_for"` // outcomes that lead to a person stay longer
	RestIn    time.Duration `json:"rest_in"`   // how long an idle kiosk that nobody stands at stays lit; 0: for ever

	// Zero in traces that were recorded before there were these.
	TipsFor  time.Duration `json:"tips_for"` // how long the tips stand unless the visitor goes on; 0: there are none
	Patience time.Duration `json:"patience"` // how long screens wait at most for a visitor without time limits; 0: as for everybody
	LockIn   time.Duration `json:"lock_in"`  // len(State.Failed) failed sessions in this time lock the kiosk; 0: never

	Light Light `json:"light,omitzero"`
}

// Light is the policy of the light challenge. The zero value is that of a kiosk
// without one.
type Light struct {
	On      bool          `json:"on"`
	Lag     pad.Lag       `json:"lag"`      // as commissioned; without a usable one there is no challenge, since it would measure nothing
	WarnFor time.Duration `json:"warn_for"` // how long the warning waits for a word; then the session goes on without a challenge

	// ReviewUnder flags a capture for review where the response was measured and
	// is below it; 0: never. A response that was not measured flags nothing.
	ReviewUnder float32 `json:"review_under"`
}

// Standard is the policy of a kiosk without a configuration of its own.
func Standard() Policy {
	return Policy{
		Guidance: guidance.Standard(), Attempts: 3, LiveMin: 0.5, LiveN: 4,
		LostFor: time.Second, AwayFor: 15 * time.Second, ReviewIn: time.Second,
		ConsentIn: 2 * time.Minute, AttemptIn: 20 * time.Second, NoLimit: 10 * time.Minute, AgainFor: 3 * time.Second, AskFor: 30 * time.Second,
		SaveIn: 15 * time.Second, AnswerIn: 2 * time.Minute, OfflineIn: 6 * time.Second, MendIn: 6 * time.Second, ResultFor: 8 * time.Second, StaffFor: 30 * time.Second,
		RestIn: time.Minute, TipsFor: 12 * time.Second, Patience: 2 * time.Minute, LockIn: 3 * time.Minute,
		Light: Light{WarnFor: 30 * time.Second},
	}
}

// How long a keypad waits for the next entry, staff's screen for the next tap,
// and wishes that were made while nobody was served for a session.
const (
	typeIn  = time.Minute
	deskFor = 2 * time.Minute
	wishFor = 15 * time.Second
)

// Validate names a value that no session could run with.
func (p Policy) Validate() error {
	if err := p.Guidance.Validate(); err != nil {
		return fmt.Errorf("guidance: %w", err)
	}
	switch {
	case p.Attempts < 1 || p.Attempts > 9:
		return fmt.Errorf("attempts: %d is outside 1..9", p.Attempts)
	case p.LiveMin < 0 || p.LiveMin > 1:
		return fmt.Errorf("live_min: %g is outside 0..1", p.LiveMin)
	case p.LiveN < 1:
		return errors.New("live_n: must be at least 1")
	case p.RestIn < 0:
		return errors.New("rest_in: must not be negative")
	case p.TipsFor < 0 || p.Patience < 0 || p.LockIn < 0:
		return errors.New("tips_for, patience, lock_in: must not be negative")
	case p.Light.On && p.Light.WarnFor <= 0:
		return errors.New("light.warn_for: must be more than zero")
	case !(p.Light.ReviewUnder >= 0 && p.Light.ReviewUnder < 1):
		return fmt.Errorf("light.review_under: %g is outside 0..1", p.Light.ReviewUnder)
	}
	for name, d := range map[string]time.Duration{
		"lost_for": p.LostFor, "away_for": p.AwayFor, "ask_for": p.AskFor, "review_in": p.ReviewIn, "consent_in": p.ConsentIn, "attempt_in": p.AttemptIn,
		"no_limit": p.NoLimit, "again_for": p.AgainFor, "save_in": p.SaveIn, "answer_in": p.AnswerIn, "offline_in": p.OfflineIn, "mend_in": p.MendIn,
		"result_for": p.ResultFor, "staff_for": p.StaffFor,
	} {
		if d <= 0 {
			return fmt.Errorf("%s: must be more than zero", name)
		}
	}
	return nil
}

// State is everything the flow remembers. It is a value: copy it freely.
type State struct {
	Phase Phase         `json:"phase"`
	Until time.Duration `json:"until"` // deadline since boot; zero means none
	Away  bool          `json:"away"`  // a sensor says that nobody is there; false where there is none

	// Faults that stand, in or between sessions.
	Camera  bool `json:"camera_fault"`
	Model   bool `json:"model_fault"`
	Storage bool `json:"storage_fault"`
	Clock   bool `json:"clock_fault"`
	Tamper  bool `json:"tamper_fault"`
	Power   bool `json:"power_fault"`  // no new session: the one that runs goes on
	Lock    bool `json:"lock_fault"`   // likewise
	Update  bool `json:"update_fault"` // no new session: the one that runs goes on

	Failed [5]time.Duration `json:"failed"` // when the last sessions failed, the latest at the end; zero: none did

	// Of whoever stands there, in a session or before it.
	Locale      kiosk.Locale `json:"locale"`
	NoTimeLimit bool         `json:"no_time_limit"`
	Large       bool         `json:"large"`
	Contrast    bool         `json:"contrast"`
	NoFlash     bool         `json:"no_flash,omitzero"`

	// Of a keypad and of staff's screen.
	Typing  kiosk.Typing `json:"typing"`
	Try     int          `json:"try"` // how often something was typed; never goes back
	Listing bool         `json:"listing"`

	// Of the session; zero between sessions, so that nothing of one visitor
	// reaches the next.
	Session kiosk.SessionID `json:"session"`
	Theme   kiosk.Theme     `json:"theme"`
	Attempt int             `json:"attempt"` // from 1
	Outcome kiosk.Screen    `json:"outcome"`
	Record  kiosk.RecordID  `json:"record"`          // what this visitor waits for
	Eye     string          `json:"eye"`             // the camera that it began with; "": none yet
	Why     kiosk.Hint      `json:"why"`             // what stood in the way of the attempt before
	Warned  bool            `json:"warned,omitzero"` // and said that colours may change

	// Of the attempt.
	Began time.Duration  `json:"began"` // older frames are of another attempt
	Seen  time.Duration  `json:"seen"`  // when the one face was last there; at first, when the attempt began
	Ask   bool           `json:"ask"`   // in Again: only the visitor's tap goes on
	Guide guidance.State `json:"guide"` // of the pose
	Far   Candidate      `json:"far"`
	Near  Candidate      `json:"near"`

	Light pad.Challenge   `json:"light,omitzero"` // in Colours
	Home  image.Rectangle `json:"home,omitzero"`  // the face when they began
}

// A Candidate is the evidence for one pose: at most one frame is held, and the
// numbers of the hold that it stands for.
type Candidate struct {
	Frame kiosk.FrameID `json:"frame"` // zero: none
	At    time.Duration `json:"at"`
	Score float32       `json:"score"` // zero: a fallback that did not fit
	PAD   pad.Fusion    `json:"pad"`   // over the frames of the hold
}

// An Input is something that happened. The set is closed.
type Input interface{ isInput() }

type (
	// Launched starts a session. It means nothing unless the phase is Idle,
	// Resting or Code.
	Launched struct {
		Session     kiosk.SessionID `json:"session"`
		Locale      kiosk.Locale    `json:"locale"`
		Theme       kiosk.Theme     `json:"theme"`
		NoTimeLimit bool            `json:"no_time_limit"`
		Large       bool            `json:"large"`
		Contrast    bool            `json:"contrast"`
		NoFlash     bool            `json:"no_flash,omitzero"`
	}
	// Tapped is a touch on a control of the screen of one session.
	Tapped struct {
		Session kiosk.SessionID `json:"session"`
		Control kiosk.Control   `json:"control"`
		Locale  kiosk.Locale    `json:"locale,omitempty"` // of Switch: see kiosk.Tap
	}
	// Typed reports what came of a code or PIN that was typed; NotTyped: it is
	// the PIN. What was typed is no input: it is secret.
	Typed struct {
		Try    int          `json:"try"` // of Find or Verify
		Typing kiosk.Typing `json:"typing"`
	}
	// Saw reports the analysis of one frame.
	Saw struct{ kiosk.Assessment }
	// Seeded answers Freeze with the seed of this challenge's colours. The flow
	// has no chance of its own.
	Seeded struct {
		Session kiosk.SessionID `json:"session"`
		Seed    uint32          `json:"seed"`
	}
	// Drawn reports when a colour of the challenge was first on the display: since
	// boot, at the end of its frame event. The camera sees it Light.Lag later.
	Drawn struct {
		Session kiosk.SessionID `json:"session"`
		Turn    int             `json:"turn"`
		At      time.Duration   `json:"at"`
	}
	// Stored reports that a submission is sealed and durable.
	Stored struct {
		Record kiosk.RecordID `json:"record"`
	}
	// Unstored reports that a submission could not be stored: nothing of it is kept.
	Unstored struct {
		Record kiosk.RecordID `json:"record"`
	}
	// Deferred reports that the gateway cannot be reached for now.
	Deferred struct {
		Record kiosk.RecordID `json:"record"`
	}
	// Answered reports the gateway's word on one record, which may be an
	// earlier visitor's.
	Answered struct {
		Record kiosk.RecordID `json:"record"`
		Action kiosk.Action   `json:"action"`
	}
	// Faulted reports that a fault came or went.
	Faulted struct {
		Fault  kiosk.Fault `json:"fault"`
		Active bool        `json:"active"`
	}
	// Voided reports that what the running session captured cannot be trusted.
	Voided struct {
		Reason kiosk.Breach `json:"reason"`
	}
	// Opened reports which camera frames come from, from now on; or, not trusted
	// and without any frames, one that stands where the camera was.
	Opened struct {
		Camera  string `json:"camera"` // its identity, as a pin has it
		Trusted bool   `json:"trusted"`
	}
	// Presence reports that a sensor saw somebody come, or the last one leave.
	// It wakes the screen and nothing else: it is nobody's consent.
	Presence struct {
		Here bool `json:"here"`
	}
	// Tick reports that State.Until has passed.
	Tick struct{}
)

func (Launched) isInput() {}
func (Tapped) isInput()   {}
func (Typed) isInput()    {}
func (Saw) isInput()      {}
func (Seeded) isInput()   {}
func (Drawn) isInput()    {}
func (Stored) isInput()   {}
func (Unstored) isInput() {}
func (Deferred) isInput() {}
func (Answered) isInput() {}
func (Faulted) isInput()  {}
func (Voided) isInput()   {}
func (Opened) isInput()   {}
func (Presence) isInput() {}
func (Tick) isInput()     {}

// An Effect is something the station must now do. The set is closed.
type Effect interface{ isEffect() }

type (
	// Find looks for the booking whose code was typed, and launches its session.
	Find struct {
		Try int `json:"try"` // an answer names it: one that was given up says nothing later
	}
	// Verify compares the PIN that was typed.
	Verify struct {
		Try int `json:"try"`
	}
	// Watch wakes the camera or puts it to rest.
	Watch struct {
		On bool `json:"on"`
	}
	// Freeze keeps the camera's exposure and white balance as they are and has the
	// colour of skin measured, for a light challenge, and wants a Seeded; or it
	// ends both. It ends whenever a challenge does, however that comes about.
	Freeze struct {
		On bool `json:"on"`
	}
	// Consented makes the consent receipt, at this moment and in this language.
	Consented struct {
		Locale kiosk.Locale `json:"locale"`
	}
	// Hold keeps the frame just seen as the candidate for a pose, in place of
	// an earlier one.
	Hold struct {
		Pose  kiosk.Pose    `json:"pose"`
		Frame kiosk.FrameID `json:"frame"`
	}
	// Drop erases both candidates.
	Drop struct{}
	// Submit seals and stores the candidates under Record.
	Submit struct {
		Record       kiosk.RecordID `json:"record"`
		Attempt      int            `json:"attempt"`
		AttemptsLeft int            `json:"attempts_left"`
		Review       bool           `json:"review"`
		Single       bool           `json:"single"` // the time ran out before a second frame came: the far one stands for both
		LiveFar      float32        `json:"live_far"`
		LiveNear     float32        `json:"live_near"`
		Light        Response       `json:"light,omitzero"` // zero: there was no challenge
	}
	// Report tells the partner's front end how the session stands or ended.
	Report struct {
		Status kiosk.ResultStatus `json:"status"`
		Error  kiosk.ErrorCode    `json:"error"`
		Detail kiosk.DetailedCode `json:"detail"`
	}
	// Forget ends the session: nothing of the visitor stays in memory.
	Forget struct{}
)

func (Find) isEffect()      {}
func (Verify) isEffect()    {}
func (Watch) isEffect()     {}
func (Freeze) isEffect()    {}
func (Consented) isEffect() {}
func (Hold) isEffect()      {}
func (Drop) isEffect()      {}
func (Submit) isEffect()    {}
func (Report) isEffect()    {}
func (Forget) isEffect()    {}

// Step advances s by one input that happened at the given time since boot.
// Inputs that mean nothing in the current phase leave s unchanged.
func (p Policy) Step(s State, at time.Duration, in Input) (State, []Effect) {
	next, fx := p.step(s, at, in)
	switch {
	case next.Phase == Colours && s.Phase != Colours:
		fx = append(fx, Freeze{On: true})
	case next.Phase != Colours && s.Phase == Colours:
		fx = append([]Effect{Freeze{}}, fx...) // before the camera is put to rest
		next.Light, next.Home = pad.Challenge{}, image.Rectangle{}
	}
	return next, fx
}

func (p Policy) step(s State, at time.Duration, in Input) (State, []Effect) {
	switch in := in.(type) {
	case Tick:
		if s.Until == 0 || at < s.Until {
			return s, nil // a stale timer
		}
	case Tapped:
		if in.Session != s.Session {
			return s, nil // a finger of the visitor before
		}
		if next, wished := p.wish(s, at, in); wished {
			return next, nil
		}
	case Faulted:
		return p.fault(s, at, in)
	case Voided:
		return p.void(s, at)
	case Opened:
		return p.opened(s, at, in)
	case Presence:
		return p.presence(s, at, in.Here), nil
	case Launched, Typed, Saw, Seeded, Drawn, Stored, Unstored, Deferred, Answered:
	}
	switch s.Phase {
	case Idle, Resting:
		return p.idle(s, at, in)
	case OutOfService: // only a cleared fault leads out, and staff
		if tap, tapped := in.(Tapped); tapped && tap.Control == kiosk.Door {
			return keypad(s, at, PIN), nil
		}
		if _, late := in.(Tick); late {
			return s.Rested(), nil
		}
	case Code:
		return p.code(s, at, in)
	case PIN:
		return p.pin(s, at, in)
	case Desk:
		return p.desk(s, at, in)
	case Tips:
		return p.tips(s, at, in)
	case Warning:
		return p.warning(s, at, in)
	case Consent:
		return p.consent(s, at, in)
	case Far, Near:
		return p.guide(s, at, in)
	case Colours:
		return p.colours(s, at, in)
	case Again:
		return p.pause(s, at, in)
	case Saving:
		return p.saving(s, at, in)
	case Waiting:
		return p.waiting(s, at, in)
	case Outcome:
		tap, tapped := in.(Tapped)
		if _, late := in.(Tick); late || tapped && tap.Control == kiosk.Done {
			return p.rest(s, at)
		}
	}
	return s, nil
}

func (p Policy) consent(s State, at time.Duration, in Input) (State, []Effect) {
	switch in := in.(type) {
	case Tick:
		return p.leave(s, at, kiosk.Decline)
	case Tapped:
		if in.Control == kiosk.Agree && p.TipsFor > 0 {
			s.Phase, s.Until = Tips, at+p.patient(s, p.TipsFor)
			return s, []Effect{Consented{s.Locale}}
		}
		if in.Control == kiosk.Agree {
			next, fx := p.begin(s, at)
			return next, append([]Effect{Consented{s.Locale}}, fx...)
		}
		return p.leave(s, at, in.Control)
	}
	return s, nil
}

// tips waits until the visitor is ready, or has had the time to be. One without
// time limits may have left by then.
func (p Policy) tips(s State, at time.Duration, in Input) (State, []Effect) {
	switch in := in.(type) {
	case Tick:
		if s.NoTimeLimit {
			return p.leave(s, at, kiosk.Cancel)
		}
		return p.begin(s, at)
	case Tapped:
		if in.Control == kiosk.Ready {
			return p.begin(s, at)
		}
		return p.leave(s, at, in.Control)
	}
	return s, nil
}

// attempt begins the next attempt at the far pose.
func (p Policy) attempt(s State, at time.Duration) State {
	s.Attempt++
	s.Began, s.Seen, s.Ask, s.Record, s.Why = at, at, false, "", kiosk.NoHint
	s.Phase, s.Until = Far, p.deadline(s)
	s.Guide, s.Far, s.Near = guidance.State{}, Candidate{}, Candidate{}
	return s
}

// deadline is when the running attempt times out.
func (p Policy) deadline(s State) time.Duration {
	if s.NoTimeLimit {
		return s.Began + p.NoLimit
	}
	return s.Began + p.AttemptIn
}

// pause waits before the next attempt. Where the visitor may have left, the
// camera stays off until they say that they are still there: consent is one
// person's, and the next in the queue gave none.
func (p Policy) pause(s State, at time.Duration, in Input) (State, []Effect) {
	switch in := in.(type) {
	case Tick:
		if s.Ask {
			return p.end(s, at, kiosk.CancelledScreen, Report{kiosk.NotCompleted, kiosk.VerificationError, kiosk.VerificationFailed})
		}
		return p.attempt(s, at), []Effect{Watch{On: true}}
	case Tapped:
		if in.Control == kiosk.Resume {
			return p.attempt(s, at), []Effect{Watch{On: true}}
		}
		return p.leave(s, at, in.Control)
	}
	return s, nil
}

func (p Policy) guide(s State, at time.Duration, in Input) (State, []Effect) {
	switch in := in.(type) {
	case Tapped:
		return p.leave(s, at, in.Control)
	case Tick:
		if s.Camera {
			return p.end(s, at, kiosk.StaffScreen, s.faulted())
		}
		return p.fail(s, at)
	case Saw:
		return p.saw(s, at, in.Assessment)
	}
	return s, nil
}

// fail ends an attempt without a capture. The last one goes on all the same if
// there was any face in it.
func (p Policy) fail(s State, at time.Duration) (State, []Effect) {
	switch {
	case s.Attempt < p.Attempts:
		return p.again(s, at, at-s.Seen >= p.LostFor)
	case s.Far.Frame != 0:
		return p.submit(s, at, true, Response{})
	default:
		return p.end(s, at, kiosk.StaffScreen, Report{kiosk.NotCompleted, kiosk.VerificationError, kiosk.VerificationFailed})
	}
}

func (p Policy) saw(s State, at time.Duration, a kiosk.Assessment) (State, []Effect) {
	if a.At < s.Began { // captured before this attempt: it may show somebody else
		return s, nil
	}
	away := at - s.Seen
	if away >= p.AwayFor {
		return p.fail(s, at)
	}
	one := a.Faces == 1 || a.Faces > 1 && a.Second < p.Guidance.SecondFaceMin
	if one {
		s.Seen = at
	}
	if one && away >= p.LostFor && (s.Phase == Near || s.Far.Frame != 0) {
		// Somebody else may have stepped in: the two poses must be of one person.
		s.Phase, s.Guide, s.Far, s.Near = Far, guidance.State{}, Candidate{}, Candidate{}
		return s, []Effect{Drop{}}
	}
	pose := kiosk.Far
	if s.Phase == Near {
		pose = kiosk.Near
	}
	before := s.Guide.Good()
	s.Guide = p.Guidance.Step(s.Guide, at, pose, a)
	held := &s.Far
	if pose == kiosk.Near {
		held = &s.Near
	}
	var fx []Effect
	switch {
	case s.Guide.Good():
		if !before {
			held.PAD = pad.Fusion{} // a hold begins anew
			held.Score = 0
		}
		if a.LiveUsable {
			held.PAD = held.PAD.Add(a.Live)
		}
		if score := score(a); held.Frame == 0 || score > held.Score {
			held.Frame, held.At, held.Score = a.Frame, at, score
			fx = append(fx, Hold{pose, a.Frame})
		}
	case s.Attempt == p.Attempts && a.Faces > 0:
		s, fx = p.fallback(s, at, a)
	}
	if !p.Guidance.Held(s.Guide, at) {
		return s, fx
	}
	if pose == kiosk.Far {
		s.Phase, s.Guide = Near, guidance.State{}
		return s, fx
	}
	live := p.live(s.Far.PAD) && p.live(s.Near.PAD)
	if !live && s.Attempt < p.Attempts {
		next, more := p.again(s, at, false)
		return next, append(fx, more...)
	}
	if s.Warned && p.flashes(s) {
		return challenge(s, at), fx
	}
	next, more := p.submit(s, at, !live, Response{})
	return next, append(fx, more...)
}

// score orders the frames of a hold: by the unified quality, or by sharpness in
// traces that were recorded before there was one.
func score(a kiosk.Assessment) float32 {
	if a.Quality == (kiosk.Quality{}) {
		return a.Sharpness
	}
	return a.Quality.Unified
}

// fallback keeps frames that did not fit, in the last attempt only: it goes on
// for review if there was any face in it. The two poses get different frames
// if the face stays for ReviewIn.
func (p Policy) fallback(s State, at time.Duration, a kiosk.Assessment) (State, []Effect) {
	var fx []Effect
	if s.Phase == Far && s.Far.Frame == 0 {
		s.Far = Candidate{Frame: a.Frame, At: at}
		fx = append(fx, Hold{kiosk.Far, a.Frame})
	}
	if s.Near.Frame == 0 || s.Near.Score == 0 && at-s.Near.At >= p.ReviewIn {
		s.Near = Candidate{Frame: a.Frame, At: at}
		fx = append(fx, Hold{kiosk.Near, a.Frame})
	}
	return s, fx
}

func (p Policy) live(f pad.Fusion) bool { return f.N >= p.LiveN && f.Mean() >= p.LiveMin }

// Disbelieved reports whether a step from before to after ended an attempt since
// what both poses held was not believed to be live, and not since nobody was there.
func (p Policy) Disbelieved(before State, at time.Duration, in Input, after State, fx []Effect) bool {
	if _, saw := in.(Saw); !saw || before.Phase != Near || at-before.Seen >= p.AwayFor {
		return false
	}
	for _, e := range fx {
		if sub, ok := e.(Submit); ok {
			return sub.Review
		}
	}
	return after.Phase == Again
}

// again ends an attempt and says so before the next one. With ask the next one
// waits for the visitor's tap; so does that of a visitor without time limits,
// since another may come in the time that such a screen stands.
func (p Policy) again(s State, at time.Duration, ask bool) (State, []Effect) {
	if s.broken() {
		return p.end(s, at, kiosk.StaffScreen, s.faulted())
	}
	ask = ask || s.NoTimeLimit
	s.Phase, s.Until, s.Ask = Again, at+p.patient(s, p.AgainFor), ask
	if ask {
		s.Until = at + p.patient(s, p.AskFor)
	}
	s.Why = s.Guide.Hint
	if s.Guide.Good() {
		s.Why = kiosk.NoHint
	}
	s.Guide, s.Far, s.Near = guidance.State{}, Candidate{}, Candidate{}
	return s, []Effect{Drop{}, Watch{On: false}}
}

func (p Policy) submit(s State, at time.Duration, review bool, light Response) (State, []Effect) {
	s.Phase, s.Until = Saving, at+p.SaveIn
	s.Record = kiosk.RecordID(string(s.Session) + "-" + strconv.Itoa(s.Attempt))
	fx := []Effect{Watch{On: false}, Submit{
		Record: s.Record, Attempt: s.Attempt, AttemptsLeft: p.Attempts - s.Attempt, Review: review,
		Single: s.Near.Frame == 0 || s.Near.Frame == s.Far.Frame, LiveFar: s.Far.PAD.Mean(), LiveNear: s.Near.PAD.Mean(), Light: light,
	}}
	s.Far, s.Near = Candidate{}, Candidate{}
	return s, fx
}

func (p Policy) saving(s State, at time.Duration, in Input) (State, []Effect) {
	switch in := in.(type) {
	case Stored:
		if in.Record == s.Record {
			s.Phase, s.Until = Waiting, at+p.AnswerIn
			return s, nil
		}
	case Deferred:
		if in.Record == s.Record { // the deliverer has it, so it is stored, and its word came first
			s.Phase, s.Until = Waiting, at+p.OfflineIn
			return s, nil
		}
	case Answered:
		if in.Record == s.Record {
			s.Phase, s.Until = Waiting, at+p.AnswerIn
			return p.waiting(s, at, in)
		}
	case Unstored:
		if in.Record == s.Record {
			return p.end(s, at, kiosk.StaffScreen, Report{kiosk.Errored, kiosk.GatewayAPIError, kiosk.UnknownError})
		}
	case Tick: // not known to be durable, so it must not be called saved
		return p.end(s, at, kiosk.StaffScreen, Report{kiosk.Errored, kiosk.GatewayAPIError, kiosk.UnknownError})
	}
	return s, nil
}

func (p Policy) waiting(s State, at time.Duration, in Input) (State, []Effect) {
	saved := Report{kiosk.NotCompleted, kiosk.NetworkError, kiosk.Saved}
	switch in := in.(type) {
	case Answered:
		if in.Record != s.Record {
			break // another visitor's
		}
		switch in.Action {
		case kiosk.ExitSuccess:
			return p.end(s, at, kiosk.GrantedScreen, Report{Status: kiosk.Completed})
		case kiosk.Retry:
			if s.Attempt < p.Attempts {
				return p.again(s, at, true)
			}
			return p.end(s, at, kiosk.RefusedScreen, Report{kiosk.Errored, kiosk.VerificationError, kiosk.VerificationFailed})
		case kiosk.ExitError:
			return p.end(s, at, kiosk.StaffScreen, Report{kiosk.Errored, kiosk.GatewayAPIError, kiosk.APIError})
		case kiosk.ExitFailure:
			return p.end(s, at, kiosk.RefusedScreen, Report{kiosk.Errored, kiosk.VerificationError, kiosk.VerificationFailed})
		case kiosk.PollAgain:
		}
	case Deferred:
		if in.Record == s.Record { // it may be a hiccup, and the answer still come in time
			s.Until = min(s.Until, at+p.OfflineIn)
		}
	case Tick:
		return p.end(s, at, kiosk.SavedScreen, saved)
	case Tapped: // the record is safe, whatever the visitor does
		if in.Control == kiosk.Done || in.Control == kiosk.Cancel {
			return p.end(s, at, kiosk.SavedScreen, saved)
		}
		if in.Control == kiosk.Help {
			return p.end(s, at, kiosk.StaffScreen, saved)
		}
	}
	return s, nil
}

// leave carries out the controls that end a session before its capture.
func (p Policy) leave(s State, at time.Duration, c kiosk.Control) (State, []Effect) {
	if c == kiosk.Cancel || c == kiosk.Decline {
		return p.end(s, at, kiosk.CancelledScreen, Report{kiosk.NotCompleted, kiosk.UserCancelledError, kiosk.UserCancelled})
	}
	if c == kiosk.Help {
		return p.end(s, at, kiosk.StaffScreen, Report{kiosk.NotCompleted, kiosk.HelpClickedError, kiosk.HelpTapped})
	}
	return s, nil
}

// end shows an outcome and lets go of everything but the words on the screen.
func (p Policy) end(s State, at time.Duration, outcome kiosk.Screen, r Report) (State, []Effect) {
	stay := p.ResultFor
	if outcome == kiosk.RefusedScreen || outcome == kiosk.StaffScreen || outcome == kiosk.SavedScreen {
		stay = p.StaffFor
	}
	if r.Detail == kiosk.VerificationFailed {
		copy(s.Failed[:], s.Failed[1:])
		s.Failed[len(s.Failed)-1] = at
	}
	s.Phase, s.Until, s.Outcome = Outcome, at+p.patient(s, stay), outcome
	s.Guide, s.Far, s.Near = guidance.State{}, Candidate{}, Candidate{}
	return s, []Effect{Drop{}, Watch{On: false}, r}
}

// rest returns to the state between sessions, or locks the kiosk: too many
// sessions failed in too short a time.
func (p Policy) rest(s State, at time.Duration) (State, []Effect) {
	if first := s.Failed[0]; first != 0 && at-first < p.LockIn {
		s.Lock = true
	}
	return p.doze(s.Rested(), at), []Effect{Forget{}}
}

// doze sets when an idle kiosk forgets what was wished, or goes dark because
// nobody stands at it.
func (p Policy) doze(s State, at time.Duration) State {
	switch {
	case s.Phase != Idle && s.Phase != OutOfService:
	case s.wished():
		s.Until = at + wishFor
	case s.Phase == Idle && s.Away && p.RestIn > 0:
		s.Until = at + p.RestIn
	default:
		s.Until = 0
	}
	return s
}

// presence notes whether somebody is there. A session goes on either way: it
// has its own ways to ask.
func (p Policy) presence(s State, at time.Duration, here bool) State {
	if s.Away == !here {
		return s
	}
	s.Away = !here
	if s.Phase == Idle || s.Phase == Resting {
		s.Phase = Idle
		return p.doze(s, at)
	}
	return s
}

// void ends a session whose captures cannot be trusted. What is in the outbox
// already was captured before, and is delivered.
func (p Policy) void(s State, at time.Duration) (State, []Effect) {
	switch s.Phase {
	case Consent, Tips, Warning, Far, Near, Colours, Again, Saving, Waiting:
		return p.end(s, at, kiosk.StaffScreen, Report{kiosk.Errored, kiosk.SecurityError, kiosk.Tampered})
	case Idle, Resting, OutOfService, Code, PIN, Desk, Outcome:
	}
	return s, nil
}

// opened notes the camera of the session. Its frames are of one camera: with
// another in its place, which may call itself the same, nobody knows what was
// captured.
func (p Policy) opened(s State, at time.Duration, in Opened) (State, []Effect) {
	switch {
	case s.Phase != Far && s.Phase != Near && s.Phase != Colours:
	case s.Eye == "" && in.Trusted:
		s.Eye = in.Camera
	case s.Eye != "" && (s.Eye != in.Camera || !in.Trusted):
		return p.void(s, at)
	}
	return s, nil
}

// Rested returns the state between sessions in which only the faults of s
// stand, and somebody is there or not as before.
func (s State) Rested() State {
	next := State{
		Phase: Idle, Away: s.Away, Failed: s.Failed, Try: s.Try,
		Camera: s.Camera, Model: s.Model, Storage: s.Storage, Clock: s.Clock, Tamper: s.Tamper, Power: s.Power, Lock: s.Lock, Update: s.Update,
	}
	if len(next.Faults()) > 0 {
		next.Phase = OutOfService
	}
	return next
}

// fault notes that a fault came or went. A fault ends a session that still
// needs what failed, though a camera that fails in the middle of an attempt may
// come back in time; a submission on its way goes on.
func (p Policy) fault(s State, at time.Duration, in Faulted) (State, []Effect) {
	switch in.Fault {
	case kiosk.CameraFault:
		s.Camera = in.Active
	case kiosk.ModelFault:
		s.Model = in.Active
	case kiosk.StorageFault:
		s.Storage = in.Active
	case kiosk.ClockFault:
		s.Clock = in.Active
	case kiosk.TamperFault:
		s.Tamper = in.Active
	case kiosk.PowerFault:
		s.Power = in.Active
	case kiosk.LockFault:
		s.Lock, s.Failed = in.Active, [len(s.Failed)]time.Duration{}
	case kiosk.UpdateFault:
		s.Update = in.Active
	case kiosk.NoFault:
	}
	switch s.Phase {
	case Idle, Resting, Code, OutOfService:
		if s.Phase == OutOfService || len(s.Faults()) > 0 {
			return p.doze(s.Rested(), at), nil
		}
	case Far, Near:
		switch {
		case in.Fault == kiosk.CameraFault && in.Active:
			s.Until = min(s.Until, at+p.MendIn) // it is being opened again
		case in.Fault == kiosk.CameraFault: // frames flow again
			s.Until = max(s.Until, p.deadline(s))
		}
		if s.Model || s.Storage || s.Clock || s.Tamper {
			return p.end(s, at, kiosk.StaffScreen, s.faulted())
		}
	case Colours: // the captures are made, and need no camera any more
		if s.Model || s.Storage || s.Clock || s.Tamper {
			return p.end(s, at, kiosk.StaffScreen, s.faulted())
		}
		if s.Camera {
			return p.lit(s, at)
		}
	case Consent, Tips, Warning, Again:
		if s.broken() {
			return p.end(s, at, kiosk.StaffScreen, s.faulted())
		}
	case PIN, Desk, Saving, Waiting, Outcome:
	}
	return s, nil
}

// Faults returns the faults that stand, the one to show first in front.
func (s State) Faults() []kiosk.Fault {
	faults := []kiosk.Fault{}
	for _, f := range []struct {
		fault  kiosk.Fault
		stands bool
	}{
		{kiosk.TamperFault, s.Tamper},
		{kiosk.StorageFault, s.Storage},
		{kiosk.ModelFault, s.Model},
		{kiosk.CameraFault, s.Camera},
		{kiosk.ClockFault, s.Clock},
		{kiosk.PowerFault, s.Power},
		{kiosk.LockFault, s.Lock},
		{kiosk.UpdateFault, s.Update},
	} {
		if f.stands {
			faults = append(faults, f.fault)
		}
	}
	return faults
}

// broken reports whether a fault stands that a session needs to be gone.
func (s State) broken() bool { return s.Tamper || s.Storage || s.Model || s.Camera || s.Clock }

// faulted is the report of a session that a fault ends.
func (s State) faulted() Report {
	switch {
	case s.Tamper:
		return Report{kiosk.Errored, kiosk.SecurityError, kiosk.Tampered}
	case s.Camera:
		return Report{kiosk.Errored, kiosk.CameraError, kiosk.CameraUnavailable}
	}
	return Report{kiosk.Errored, kiosk.GatewayAPIError, kiosk.UnknownError}
}

// other is the other of the built-in languages.
func other(l kiosk.Locale) kiosk.Locale {
	if l == kiosk.English {
		return kiosk.Indonesian
	}
	return kiosk.English
}

// View is what the display shows in s. It is derived, never stored: what the
// visitor sees cannot disagree with what the flow knows.
func (p Policy) View(s State) kiosk.View {
	v := kiosk.View{
		Session: s.Session, Locale: s.Locale, Theme: s.Theme, Until: s.Until, Typing: s.Typing,
		Wishes: kiosk.Wishes{Large: s.Large, Contrast: s.Contrast, NoLimit: s.NoTimeLimit, NoFlash: s.NoFlash}, Flashes: p.Light.On && p.Light.Lag.Usable(),
	}
	if v.Locale == "" {
		v.Locale = kiosk.Indonesian
	}
	if s.Attempt > 0 {
		v.AttemptsLeft = p.Attempts - s.Attempt
	}
	switch s.Phase {
	case OutOfService:
		v.Screen, v.Until = kiosk.OutOfServiceScreen, 0
		if faults := s.Faults(); len(faults) > 0 {
			v.Fault = faults[0]
		}
	case Idle:
		v.Screen, v.Until = kiosk.IdleScreen, 0 // going dark, or forgetting what was wished, is no end of anything
	case Resting:
		v.Screen = kiosk.RestingScreen
	case Code:
		v.Screen = kiosk.CodeScreen
	case PIN:
		v.Screen = kiosk.PINScreen
	case Desk:
		v.Screen, v.Draining, v.Listing = kiosk.DeskScreen, s.Update, s.Listing
	case Consent:
		v.Screen = kiosk.ConsentScreen
	case Tips:
		v.Screen = kiosk.TipsScreen
	case Warning:
		v.Screen, v.Hint = kiosk.WarningScreen, kiosk.FlashWarning
	case Colours:
		v.Screen, v.Hint, v.Until = kiosk.ColoursScreen, kiosk.HoldStill, 0 // each colour has its time
		v.Turn, v.Colour = s.Light.Turn, s.Light.Colour()
	case Far, Near:
		v.Screen, v.Pose = kiosk.GuidingScreen, kiosk.Far
		if s.Phase == Near {
			v.Pose = kiosk.Near
		}
		v.Hint, v.Ring, v.FaceGoal = s.Guide.Hint, s.Guide.Ring, p.Guidance.Goal(v.Pose)
	case Again:
		v.Screen, v.Hint, v.Ask, v.Why = kiosk.AgainScreen, kiosk.TryAgain, s.Ask, s.Why
	case Saving:
		v.Screen, v.Hint = kiosk.SavingScreen, kiosk.Processing
	case Waiting:
		v.Screen, v.Hint = kiosk.WaitingScreen, kiosk.Processing
	case Outcome:
		v.Screen = s.Outcome
		if s.Outcome == kiosk.SavedScreen {
			v.Hint, v.Receipt = kiosk.SavedOffline, receipt(s.Record)
		}
		if s.Outcome == kiosk.RefusedScreen || s.Outcome == kiosk.StaffScreen {
			v.Hint = kiosk.CallStaff
		}
	}
	return v
}

// receipt is the short code by which staff find a record: the beginning of its
// id.
func receipt(id kiosk.RecordID) string { return string(id[:min(len(id), 8)]) }
