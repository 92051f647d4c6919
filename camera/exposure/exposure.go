// Package exposure keeps the visitor's face well lit: it corrects the exposure
// that the camera's own automatic chose for the whole picture, where the camera
// lets it.
//
// [Policy.Step] decides and is pure; a [Control] carries out what it decides on
// a [Device].
package exposure

import (
	"errors"
	"fmt"
	"math"
	"time"

	"livekiosk/kiosk"
)

// A Policy says when and how fast exposure is corrected. Stops are doublings of
// the light; positive ones are brighter than the camera's own automatic. The
// zero value is not usable: start from Standard.
type Policy struct {
	// Good and Fine are ranges of the mean luma of a face, 0..255. Within Good
	// nothing is corrected; a correction goes on until the face is within Fine,
	// which lies inside of Good: so it does not hunt.
	Good, Fine Span

	OverMax float64 // over-exposed share of the face, but for highlights of skin, from which on it is made darker

	Most    float64       // stops of correction, either way
	Damping float64       // share of what is wrong that one correction mends
	Leap    float64       // stops of one correction
	Settle  time.Duration // after a correction, until frames show it
	Away    time.Duration // without one face, until the correction is taken back
	Back    float64       // stops of one step of that
}

// A Span is a range, both ends included.
type Span struct{ Low, High float64 }

func (s Span) holds(v float64) bool { return v >= s.Low && v <= s.High }

// Standard is the policy of every kiosk. Guidance accepts a face of 40 to 220;
// this leaves alone what is well inside of that, so that skin of any colour
// keeps its own luma.
func Standard() Policy {
	return Policy{
		Good: Span{80, 165}, Fine: Span{92, 150}, OverMax: 0.03,
		Most: 1.5, Damping: 0.6, Leap: 0.6, Settle: 350 * time.Millisecond, Away: 2 * time.Second, Back: 0.15,
	}
}

// Validate names a value with which it would hunt or do nothing.
func (p Policy) Validate() error {
	switch {
	case p.Good.Low <= 0 || p.Good.High > 255 || p.Fine.Low <= p.Good.Low || p.Fine.High >= p.Good.High || p.Fine.Low >= p.Fine.High:
		return fmt.Errorf("exposure: fine %v must lie inside of good %v, and that in 0..255", p.Fine, p.Good)
	case p.Damping <= 0 || p.Damping > 1:
		return fmt.Errorf("exposure: damping %g is outside 0..1", p.Damping)
	case p.OverMax <= 0 || p.Most <= 0 || p.Leap <= 0 || p.Back <= 0 || p.Settle <= 0 || p.Away <= 0:
		return errors.New("exposure: every limit must be more than zero")
	}
	return nil
}

// A State is what the policy remembers of one stream. The zero value is its
// beginning.
type State struct {
	Stops   float64       // in force
	quiet   time.Duration // frames before this do not show the last correction
	seen    time.Duration // when the one face was last there
	mending bool          // until the face is within Fine
	top     float64       // not brighter than this: the face was over-exposed there. Only if topped
	topped  bool
	owed    float64 // asked for before, and too little for the camera's steps
	stuck   float64 // -1, 0 or 1: the camera cannot go any further that way
}

// Applied notes what came of a correction that Step asked for: the camera took
// got stops, which frames show from the given time on.
func (p Policy) Applied(s State, at time.Duration, asked, got float64) State {
	s.owed, s.stuck = 0, 0
	change := asked - s.Stops
	way := math.Copysign(1, change)
	switch did := way * (got - s.Stops); {
	case did < 0: // its last step is a short one
		s.stuck = way
	case did >= way*change/4:
	case way*change >= 0.99*p.Leap || math.Abs(asked) >= 0.99*p.Most || s.topped && change > 0:
		s.stuck = way
	default:
		s.owed = change
	}
	s.Stops, s.quiet = got, at+p.Settle
	return s
}

// Step judges one frame. It returns the stops to ask the camera for, and
// whether it is to be asked. 0 gives exposure back to the camera's automatic.
func (p Policy) Step(s State, a kiosk.Assessment) (_ State, stops float64, ask bool) {
	one := a.Faces > 0 && a.FaceLuma > 0
	if one {
		s.seen = a.At
	}
	switch {
	case a.At < s.quiet:
		return s, s.Stops, false
	case !one:
		return p.back(s, a.At)
	}
	luma, over := float64(a.FaceLuma), float64(a.Over-a.Cover.GlareSkin)
	blown := over > p.OverMax && luma > p.Good.Low
	if blown {
		s.top, s.topped = s.Stops+min(s.owed, 0)-p.Leap/4, true
	}
	switch {
	case s.mending && (p.Fine.holds(luma) || s.owed != 0 && p.Good.holds(luma)):
		s.mending = false // as near as the camera gets
	case !p.Good.holds(luma):
		s.mending = true
	}
	want := s.Stops
	if s.mending {
		// The camera's picture has a gamma of about 2.2.
		goal := min(max(luma, p.Fine.Low), p.Fine.High)
		want += min(max(s.owed+p.Damping*2.2*math.Log2(goal/luma), -p.Leap), p.Leap)
	}
	switch {
	case blown:
		want = min(want, s.top)
	case s.topped:
		want = min(want, max(s.top, s.Stops))
	}
	// A camera's own steps may have gone a little beyond.
	want = min(max(want, min(-p.Most, s.Stops)), max(p.Most, s.Stops))
	if change := want - s.Stops; math.Abs(change) < 0.02 || s.stuck != 0 && change*s.stuck > 0 {
		return s, s.Stops, false
	}
	return s, want, true
}

// back takes a correction back in small steps once nobody has been there for a
// while. The next who comes has a light of their own.
func (p Policy) back(s State, at time.Duration) (_ State, stops float64, ask bool) {
	if at-s.seen < p.Away || s.Stops == 0 {
		return s, s.Stops, false
	}
	s.topped, s.mending, s.owed, s.stuck = false, false, 0, 0
	if math.Abs(s.Stops) <= p.Back {
		return s, 0, true
	}
	return s, s.Stops - math.Copysign(p.Back, s.Stops), true
}
