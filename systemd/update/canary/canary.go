// Package canary decides which bundle of models and thresholds a kiosk uses: a new
// one on some kiosks first, for a trial, and the one before again if the kiosk
// turns more people away by it. It is pure: no clock, no I/O.
//
// # What is counted
//
// A kiosk does not know who was bona fide. What it sees of that is a proxy: of the
// sessions that ended with a capture or with staff, those in which an attempt was
// not believed to be live though the gateway then approved the person, and those
// that were flagged for review or left to staff. An attack raises it, too, and
// equally before and after; what is compared is one bundle with the one before on
// the same kiosk.
//
// # How they are compared
//
// The lower bound of the difference of the two shares, by Newcombe's hybrid of
// Wilson's intervals (E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209-212; R. G.
// Newcombe, Statistics in Medicine 17 (1998) 873-890, method 10), must be above
// zero for a bundle to be given up. It holds for few sessions and for shares of 0,
// where the normal approximation does not. The bound is a strict one, since it is
// looked at again and again: see z.
package canary

import (
	"math"
	"slices"

	"livekiosk/systemd/update"
)

// What a trial is.
const (
	TrialLeast = 30  // sessions before the shares are compared
	TrialMost  = 200 // sessions after which a bundle is kept
	LookEvery  = 10  // sessions between two looks at the shares
	TriesMost  = 3   // tries of a bundle that did not end well before it is given up: one may be a power cut
	Window     = 2000
	refusals   = 32 // that are remembered
)

// z is the one-sided quantile of the intervals. It is a strict one: Wilson's lower
// bound is somewhat too high for small shares, and there are up to 18 looks in a
// trial. With 3.6 fewer than one in a hundred trials of a bundle that is no worse are
// given up, and nearly all of one that turns 20 % away where 5 % were (this package's
// test plays them).
const z = 3.6

// ceiling is the share of sessions above which a bundle is given up where there is
// nothing to compare with yet: the baseline has fewer than TrialLeast sessions.
const ceiling = 0.5

// Counts are of sessions that were judged by one bundle. They are all that is kept
// of these sessions.
type Counts struct {
	Sessions int `json:"sessions"` // that ended with a capture or with staff
	Approved int `json:"approved"` // of them, not believed at an attempt, and approved by the gateway
	Flagged  int `json:"flagged"`  // of them, others that were flagged for review or left to staff
}

// Rejected is the proxy for bona fide people who were turned away.
func (c Counts) Rejected() int { return c.Approved + c.Flagged }

// add counts on. What is older than some Window sessions fades, so that a baseline
// is of the last months and not of a kiosk's whole life.
func (c Counts) add(more Counts) Counts {
	c.Sessions += more.Sessions
	c.Approved += more.Approved
	c.Flagged += more.Flagged
	if c.Sessions > Window {
		c = Counts{c.Sessions / 2, c.Approved / 2, c.Flagged / 2}
	}
	return c
}

// sound reports whether these can be counts.
func (c Counts) sound() bool {
	return c.Sessions >= 0 && c.Approved >= 0 && c.Flagged >= 0 && c.Sessions <= Window && c.Rejected() <= 2*Window
}

// A State is what a kiosk remembers. The zero value uses what is built in.
type State struct {
	Use      update.Version `json:"use,omitempty"`   // "": what is built in
	Back     update.Version `json:"back,omitempty"`  // to go back to; "": what is built in
	Trial    bool           `json:"trial"`           // Use may be given up for Back
	Tries    int            `json:"tries"`           // of Use that were begun since one ended well: see Begin
	Counts   Counts         `json:"counts"`          // by Use
	Baseline Counts         `json:"baseline"`        // by Back, as they were when it was left
	Floor    update.Version `json:"floor,omitempty"` // highest Floor of a bundle that was kept

	Refused   []Refusal `json:"refused,omitempty"`   // oldest first
	Rollbacks int       `json:"rollbacks,omitempty"` // ever
}

// A Refusal is a bundle that was tried here, and is not tried again.
type Refusal struct {
	Version update.Version `json:"version"`
	Reason  Reason         `json:"reason"`
}

// Sound reports whether s is a state that this package made.
func (s State) Sound() bool {
	return s.Counts.sound() && s.Baseline.sound() && s.Tries >= 0 && s.Rollbacks >= 0 &&
		(s.Use != "" || !s.Trial) && len(s.Refused) <= refusals
}

// A Reason says why a bundle is used, or not.
type Reason string

// The reasons.
const (
	BuiltIn    Reason = "built in"        // no bundle can be used
	Kept       Reason = "kept"            // it has passed its trial
	OnTrial    Reason = "on trial"        // it is newer, and this kiosk is one of those that try it
	Missing    Reason = "missing"         // it is not there any more, or does not verify
	BelowFloor Reason = "below floor"     // it is older than may still be used
	Older      Reason = "older"           // than what is used, or built in
	NotHere    Reason = "not this ring"   // this kiosk is none of those that may use it
	Crashed    Reason = "crashed"         // loading it, or using it, has ended the daemon
	NotLoaded  Reason = "does not load"   // the runtime does not take it, or does not run it
	Wrong      Reason = "wrong vectors"   // its networks do not compute what they must
	Tensors    Reason = "unknown tensors" // its networks are not what its manifest says
	Unwritten  Reason = "not to be kept"  // that it is tried could not be written down, so that it was not
	Rejections Reason = "rejections rose" // more people were turned away by it than before
)

// An Offer is a bundle that lies there and verifies.
type Offer struct {
	Version update.Version
	Floor   update.Version // see update.Rollout
	Share   int            // of a hundred kiosks of this one's ring
}

// Facts are what Choose goes by, beside the state.
type Facts struct {
	Machine string         // the machine id
	BuiltIn update.Version // the version of what is built in: nothing that is not newer is used
	Floor   update.Version // the administrator's
	Offers  []Offer

	// Unwritten: a state cannot be made durable now, so that nothing new is tried.
	Unwritten bool
}

// offered returns the offer of a version, nil if there is none.
func (f Facts) offered(v update.Version) *Offer {
	for i, o := range f.Offers {
		if o.Version.Compare(v) == 0 {
			return &f.Offers[i]
		}
	}
	return nil
}

// Barred says why a version cannot be used on this kiosk at all; "" if it can.
func (s State) Barred(f Facts, v update.Version) Reason {
	if i := slices.IndexFunc(s.Refused, func(r Refusal) bool { return r.Version.Compare(v) == 0 }); i >= 0 {
		return s.Refused[i].Reason
	}
	switch {
	case v.Compare(f.Floor) < 0 || v.Compare(s.Floor) < 0:
		return BelowFloor
	case v.Compare(f.BuiltIn) <= 0:
		return Older
	case f.offered(v) == nil:
		return Missing
	}
	return ""
}

// Why says why a bundle is used, or why it is not.
func (s State) Why(f Facts, v update.Version) Reason {
	if v.Compare(s.Use) == 0 {
		switch {
		case v == "":
			return BuiltIn
		case s.Trial:
			return OnTrial
		}
		return Kept
	}
	if r := s.Barred(f, v); r != "" {
		return r
	}
	if v.Compare(s.Use) < 0 {
		return Older
	}
	if o := f.offered(v); f.Unwritten && update.Among(v, f.Machine, o.Share) {
		return Unwritten
	}
	return NotHere
}

// Choose returns the state in which what is to be used now is used, and why what
// was used before is not, "" if it still is or was the older one. It never gives up
// a bundle for another reason than that it cannot be used.
func (s State) Choose(f Facts) (next State, left Reason) {
	if s.Use != "" && s.Tries >= TriesMost {
		s, left = s.refuse(s.Use, Crashed).back(), Crashed
	}
	for s.Use != "" {
		why := s.Barred(f, s.Use)
		if why == "" {
			break
		}
		s, left = s.back(), why
	}
	var newest *Offer
	for i, o := range f.Offers {
		fit := !f.Unwritten && o.Version.Compare(s.Use) > 0 && s.Barred(f, o.Version) == "" && update.Among(o.Version, f.Machine, o.Share)
		if fit && (newest == nil || o.Version.Compare(newest.Version) > 0) {
			newest = &f.Offers[i]
		}
	}
	if newest == nil {
		return s, left
	}
	if !s.Trial { // else the one to go back to, and what it is known by, stay
		s.Back, s.Baseline = s.Use, s.Counts
	}
	s.Use, s.Trial, s.Tries, s.Counts = newest.Version, true, 0, Counts{}
	return s, left
}

// back uses the one before. From that there is no further one but what is built in.
func (s State) back() State {
	s.Use, s.Counts = s.Back, s.Baseline
	s.Back, s.Baseline, s.Trial, s.Tries = "", Counts{}, false, 0
	return s
}

func (s State) refuse(v update.Version, why Reason) State {
	s.Refused = append(slices.Clone(s.Refused), Refusal{v, why})
	if len(s.Refused) > refusals {
		s.Refused = s.Refused[len(s.Refused)-refusals:]
	}
	return s
}

// Begin is the state that must be durable before what is used is loaded. A try that
// it begins ends well by Loaded or, as long as the trial is on, by a session that is
// counted, by Lasted, or by Ended: a network may compute its golden vectors and bring
// the daemon down by the first face.
func (s State) Begin() State {
	if s.Use != "" {
		s.Tries++
	}
	return s
}

// Loaded is the state after it was, and has computed its golden vectors.
func (s State) Loaded() State {
	if !s.Trial {
		s.Tries = 0
	}
	return s
}

// Lasted is the state after what is used has assessed frames for some minutes.
func (s State) Lasted() State {
	s.Tries = 0
	return s
}

// Ended is the state after the daemon was ended in good order: who restarts a kiosk
// three times before the first visitor has not seen a bundle fail.
func (s State) Ended() State {
	s.Tries = max(s.Tries-1, 0)
	return s
}

// Failed is the state after it could not be, or could not go on.
func (s State) Failed(why Reason) State {
	if s.Use == "" {
		return s
	}
	return s.refuse(s.Use, why).back()
}

// A Verdict is how a trial stands.
type Verdict string

// The verdicts.
const (
	NoTrial Verdict = "no trial"
	Open    Verdict = "open"
	Keep    Verdict = "keep"
	GiveUp  Verdict = "give up"
)

// Count counts what sessions that were judged by v have come to, and judges the
// trial if one is on. What was judged by the one before still counts for that.
func (s State) Count(f Facts, v update.Version, more Counts) (State, Verdict) {
	switch {
	case v.Compare(s.Use) == 0:
		before := s.Counts.Sessions
		s.Counts = s.Counts.add(more)
		if more.Sessions > 0 {
			s.Tries = 0 // it has judged somebody to the end
		}
		// At each LookEvery sessions once, and not again at late approvals.
		if !s.Trial || s.Counts.Sessions/LookEvery == before/LookEvery {
			break
		}
		return s.judge(f)
	case v.Compare(s.Back) == 0:
		s.Baseline = s.Baseline.add(more)
	}
	if s.Trial {
		return s, Open
	}
	return s, NoTrial
}

func (s State) judge(f Facts) (State, Verdict) {
	switch {
	case s.Counts.Sessions < TrialLeast:
		return s, Open
	case Worse(s.Counts, s.Baseline):
		s = s.refuse(s.Use, Rejections).back()
		s.Rollbacks++
		return s, GiveUp
	case s.Counts.Sessions < TrialMost:
		return s, Open
	}
	if o := f.offered(s.Use); o != nil && o.Floor.Compare(s.Floor) > 0 {
		s.Floor = o.Floor
	}
	s.Trial = false
	return s, Keep
}

// Worse reports whether more people were turned away in now than in before, beyond
// what chance explains; where there is too little before to tell, whether more than
// every second one was.
func Worse(now, before Counts) bool {
	low, _ := wilson(now.Rejected(), now.Sessions)
	if before.Sessions < TrialLeast {
		return low > ceiling
	}
	p, q := share(now), share(before)
	_, high := wilson(before.Rejected(), before.Sessions)
	a, b := p-low, high-q
	return p-q-math.Sqrt(float64(a*a)+float64(b*b)) > 0
}

func share(c Counts) float64 {
	return float64(min(c.Rejected(), c.Sessions)) / float64(c.Sessions)
}

// wilson returns Wilson's score interval of k of n.
func wilson(k, n int) (low, high float64) {
	if n <= 0 {
		return 0, 1
	}
	k = min(k, n)
	p, m := float64(k)/float64(n), float64(n)
	zz := float64(z * z)
	centre := p + zz/(2*m)
	half := float64(z * math.Sqrt(float64(p*(1-p))/m+zz/(4*m*m)))
	whole := 1 + zz/m
	return max(0, (centre-half)/whole), min(1, (centre+half)/whole)
}
