package flow

import (
	"time"

	"livekiosk/kiosk"
)

// idle waits for somebody. What is tapped here is of no session.
func (p Policy) idle(s State, at time.Duration, in Input) (State, []Effect) {
	switch in := in.(type) {
	case Launched:
		return p.launch(s, at, in)
	case Tick:
		if s.wished() {
			return p.doze(s.Rested(), at), nil
		}
		s.Phase, s.Until = Resting, 0
	case Tapped:
		if in.Control == kiosk.Begin && s.Phase == Resting {
			s.Phase = Idle
			return p.doze(s, at), nil
		}
		if in.Control == kiosk.Begin {
			return keypad(s, at, Code), nil
		}
		if in.Control == kiosk.Door {
			return keypad(s, at, PIN), nil
		}
	}
	return s, nil
}

// launch begins a session. What whoever stands there has chosen already wins
// over what the launch says.
func (p Policy) launch(s State, at time.Duration, in Launched) (State, []Effect) {
	next := State{
		Phase: Consent, Away: s.Away, Failed: s.Failed, Try: s.Try,
		Session: in.Session, Locale: in.Locale, Theme: in.Theme,
		NoTimeLimit: in.NoTimeLimit || s.NoTimeLimit, Large: in.Large || s.Large, Contrast: in.Contrast || s.Contrast, NoFlash: in.NoFlash || s.NoFlash,
	}
	if s.Locale != "" {
		next.Locale = s.Locale
	}
	next.Until = at + p.patient(next, p.ConsentIn)
	return next, []Effect{Report{Status: kiosk.Running}}
}

// wish carries out the controls that are on every screen of a visitor, and
// reports whether in is one of them.
func (p Policy) wish(s State, at time.Duration, in Tapped) (State, bool) {
	switch c := in.Control; {
	case s.Phase == Resting:
		return s, false
	case c == kiosk.NoFlash && (s.Phase == Warning || s.Phase == Colours):
		return s, false // it is an answer there
	case c == kiosk.NoFlash:
		s.NoFlash = !s.NoFlash
	case c == kiosk.Switch && in.Locale != "":
		s.Locale = in.Locale
	case c == kiosk.Switch:
		s.Locale = other(s.Locale)
	case c == kiosk.Large:
		s.Large = !s.Large
	case c == kiosk.Contrast:
		s.Contrast = !s.Contrast
	case c == kiosk.NoLimit:
		s.NoTimeLimit = !s.NoTimeLimit
		s = p.retime(s, at)
	default:
		return s, false
	}
	return p.doze(s, at), true
}

// wished reports whether anything is chosen that the next one who comes must
// not find chosen.
func (s State) wished() bool {
	return s.Locale != "" || s.NoTimeLimit || s.Large || s.Contrast || s.NoFlash
}

// patient returns how long a screen waits for the visitor: ten times as long
// for one without time limits (WCAG 2.2, 2.2.1), but no longer than Patience.
func (p Policy) patient(s State, usual time.Duration) time.Duration {
	if s.NoTimeLimit {
		return max(usual, min(10*usual, p.Patience))
	}
	return usual
}

// retime gives the running phase the deadline that it would have had, had the
// visitor wished for one, or for none, when it began.
func (p Policy) retime(s State, at time.Duration) State {
	switch s.Phase {
	case Consent:
		s.Until = at + p.patient(s, p.ConsentIn)
	case Tips:
		s.Until = at + p.patient(s, p.TipsFor)
	case Warning:
		s.Until = at + p.patient(s, p.Light.WarnFor)
	case Again:
		s.Ask = s.Ask || s.NoTimeLimit // as in again
		s.Until = at + p.patient(s, p.AgainFor)
		if s.Ask {
			s.Until = at + p.patient(s, p.AskFor)
		}
	case Far, Near:
		switch {
		case s.Camera: // it has a time of its own to come back
		case s.NoTimeLimit:
			s.Until = p.deadline(s)
		default:
			s.Until = at + p.AttemptIn
		}
	case Outcome:
		s.Until = max(s.Until, at+p.patient(s, p.ResultFor))
	case Idle, Resting, OutOfService, Code, PIN, Desk, Colours, Saving, Waiting:
	}
	return s
}

// keypad asks for a code or a PIN. Of a session there is nothing: it comes
// only from phases without one.
func keypad(s State, at time.Duration, to Phase) State {
	s.Phase, s.Until, s.Typing, s.Listing = to, at+typeIn, kiosk.NotTyped, false
	return s
}

// home leaves a keypad, with what was wished for.
func (p Policy) home(s State, at time.Duration) State {
	next := s.Rested()
	next.Locale, next.NoTimeLimit, next.Large, next.Contrast, next.NoFlash = s.Locale, s.NoTimeLimit, s.Large, s.Contrast, s.NoFlash
	return p.doze(next, at)
}

func (p Policy) code(s State, at time.Duration, in Input) (State, []Effect) {
	if in, ok := in.(Launched); ok {
		return p.launch(s, at, in)
	}
	if tap, ok := in.(Tapped); ok && tap.Control == kiosk.Door {
		return keypad(s, at, PIN), nil
	}
	return p.typed(s, at, in, Find{s.Try + 1})
}

func (p Policy) pin(s State, at time.Duration, in Input) (State, []Effect) {
	if in, ok := in.(Typed); ok && in.Typing == kiosk.NotTyped && s.Typing == kiosk.Checking && in.Try == s.Try {
		s.Phase, s.Until, s.Typing = Desk, at+deskFor, kiosk.NotTyped
		s.Lock, s.Failed = false, [len(s.Failed)]time.Duration{} // staff are there
		return s, nil
	}
	return p.typed(s, at, in, Verify{s.Try + 1})
}

// typed is what both keypads do.
func (p Policy) typed(s State, at time.Duration, in Input, look Effect) (State, []Effect) {
	switch in := in.(type) {
	case Tick:
		return p.doze(s.Rested(), at), nil
	case Typed:
		if s.Typing == kiosk.Checking && in.Try == s.Try {
			s.Typing, s.Until = in.Typing, at+typeIn
		}
	case Tapped:
		if in.Control == kiosk.Cancel {
			return p.home(s, at), nil
		}
		if in.Control == kiosk.Enter && s.Typing != kiosk.Checking {
			s.Typing, s.Until = kiosk.Checking, at+typeIn
			s.Try++
			return s, []Effect{look}
		}
	}
	return s, nil
}

// desk is staff's: what they see there comes by another way than the flow.
func (p Policy) desk(s State, at time.Duration, in Input) (State, []Effect) {
	switch in := in.(type) {
	case Tick:
		return p.doze(s.Rested(), at), nil
	case Tapped:
		s.Until = at + deskFor
		if in.Control == kiosk.Done {
			return p.doze(s.Rested(), at), nil
		}
		s.Update = s.Update != (in.Control == kiosk.Drain)
		s.Listing = s.Listing != (in.Control == kiosk.Listing)
	}
	return s, nil
}
