package flow

import (
	"image"
	"time"

	"livekiosk/inference/pad"
	"livekiosk/kiosk"
	"livekiosk/kiosk/guidance"
)

// Response is how the face's colour followed a light challenge.
type Response = pad.Response

// How long the display may take to draw a colour before the challenge is given up,
// and how long frames of the last colour are waited for: a slow board needs that
// long to assess one.
const (
	drawIn  = 2 * time.Second
	lastFor = 400 * time.Millisecond
)

// flashes reports whether the session may have a light challenge: this kiosk has
// one, could measure by it, and nobody wished for none.
func (p Policy) flashes(s State) bool { return p.Light.On && p.Light.Lag.Usable() && !s.NoFlash }

// begin is what follows consent and tips: the first attempt, after a warning where
// there is something to warn of.
func (p Policy) begin(s State, at time.Duration) (State, []Effect) {
	if p.flashes(s) {
		s.Phase, s.Until = Warning, at+p.patient(s, p.Light.WarnFor)
		return s, nil
	}
	return p.attempt(s, at), []Effect{Watch{On: true}}
}

// warning waits for a word on the colours. Silence is none: the session then goes
// on without them, as it does for whoever wants none, and to nobody's disadvantage,
// once somebody says that they are still there: the tips may have gone by without a
// touch, too, and consent is one person's. One without time limits may have left by
// then.
func (p Policy) warning(s State, at time.Duration, in Input) (State, []Effect) {
	switch in := in.(type) {
	case Tick:
		if s.NoTimeLimit {
			return p.leave(s, at, kiosk.Cancel)
		}
		return p.again(s, at, true)
	case Tapped:
		if in.Control != kiosk.Flash && in.Control != kiosk.NoFlash {
			return p.leave(s, at, in.Control)
		}
		s.Warned, s.NoFlash = in.Control == kiosk.Flash, in.Control == kiosk.NoFlash
	default:
		return s, nil
	}
	return p.attempt(s, at), []Effect{Watch{On: true}}
}

// challenge begins the colours, after both captures: where the person is nearest
// to the display its light is strongest, and they hold still already. Neutral
// needs no seed.
func challenge(s State, at time.Duration) State {
	s.Phase, s.Until, s.Guide = Colours, at+drawIn, guidance.State{}
	s.Light, s.Home = pad.Challenge{}, image.Rectangle{}
	return s
}

// colours shows one colour after the other, each for its time from when it was
// drawn, and looks at the face. Whatever comes to pass, the captures go on.
func (p Policy) colours(s State, at time.Duration, in Input) (State, []Effect) {
	c := &s.Light
	switch in := in.(type) {
	case Tapped:
		if in.Control == kiosk.NoFlash { // enough: as if there had been none
			s.NoFlash = true
			return p.lit(s, at)
		}
		return p.leave(s, at, in.Control)
	case Seeded:
		if in.Session == s.Session && c.Turn == 0 && !c.Seeded {
			c.Seed, c.Seeded = in.Seed, true
		}
	case Drawn:
		if in.Session != s.Session || in.Turn != c.Turn || c.Drawn || in.At > at || in.At < at-drawIn {
			break
		}
		*c = c.Draw(in.At)
		s.Until = in.At + pad.TurnFor
		switch c.Turn {
		case 0:
			s.Until = in.At + pad.Lead
		case pad.Turns:
			s.Until += p.Light.Lag.Latency + p.Light.Lag.Spread + lastFor
		}
	case Tick:
		if !c.Drawn || !c.Seeded || c.Turn == pad.Turns {
			c.Over = c.Drawn && c.Turn == pad.Turns
			return p.lit(s, at)
		}
		c.Turn, c.Drawn = c.Turn+1, false
		s.Until = at + drawIn
	case Saw:
		return p.watched(s, at, in.Assessment)
	}
	return s, nil
}

// watched has a frame count if it shows one face, where it was in the first. A face
// that is gone ends the challenge: another may come.
func (p Policy) watched(s State, at time.Duration, a kiosk.Assessment) (State, []Effect) {
	one := a.Faces == 1 || a.Faces > 1 && a.Second < p.Guidance.SecondFaceMin
	if !one && at-s.Seen >= p.LostFor {
		return p.lit(s, at)
	}
	if one {
		s.Seen = at
		if s.Home == (image.Rectangle{}) {
			s.Home = a.Face
		}
	}
	if !one || !still(s.Home, a.Face) {
		s.Light.Moved++
		return s, nil
	}
	s.Light = s.Light.Saw(p.Light.Lag, a.At, a.Skin)
	return s, nil
}

// still reports whether a face is about where and as large as it was: within a
// quarter of its width.
func still(was, is image.Rectangle) bool {
	off := is.Min.Add(is.Max).Sub(was.Min.Add(was.Max)).Div(2)
	most := was.Dx() / 4
	return max(off.X, -off.X, off.Y, -off.Y, is.Dx()-was.Dx(), was.Dx()-is.Dx()) <= most
}

// lit ends the challenge and submits the captures. The response is a cue for who
// judges; here it flags at most.
func (p Policy) lit(s State, at time.Duration) (State, []Effect) {
	r := s.Light.Response()
	if s.NoFlash {
		r = Response{}
	}
	low := r.Reason == pad.Measured && r.Score < p.Light.ReviewUnder && !s.NoFlash
	return p.submit(s, at, low || !p.live(s.Far.PAD) || !p.live(s.Near.PAD), r)
}
