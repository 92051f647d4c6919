package update

import (
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// A Trial is how far the boot loader and the health gate have come with the
// version that runs.
type Trial string

// The trials, as systemd-bless-boot has them.
const (
	TrialNone Trial = "clean"         // boots are not counted: the version was kept before
	TrialOpen Trial = "indeterminate" // the gate has not decided
	TrialGood Trial = "good"          // kept
	TrialBad  Trial = "bad"           // its tries are used up, and yet it runs: there is nothing else
)

// A Slot is a version that is installed.
type Slot struct {
	Version Version `json:"version"`
	Tries   int     `json:"tries"` // left; Kept: it was kept
}

// Kept is Slot.Tries of a version that is not tried, but kept.
const Kept = -1

// Facts are what Decide goes by.
type Facts struct {
	Now     time.Time `json:"now"`     // in the zone that the window is meant in
	Machine string    `json:"machine"` // the machine id: tells kiosks apart, and stays

	Policy Policy `json:"policy"`

	Running Version  `json:"running"`
	Trial   Trial    `json:"trial"`
	Failed  bool     `json:"failed"` // the health gate found that the running version does not work
	Slots   []Slot   `json:"slots"`
	Offer   *Rollout `json:"offer"` // nil: there is none
	Busy    bool     `json:"busy"`  // somebody is there, or a capture is being stored or sent

	Unread error `json:"-"` // why there is no Offer, or no Policy while none is needed; nil: all was read
}

// An Action is what to do next.
type Action string

// The actions.
const (
	Rest    Action = "rest"    // nothing
	Wait    Action = "wait"    // nothing yet: somebody is there
	Install Action = "install" // write Decision.Version into the slot that does not run
	Restart Action = "restart" // into another version, once nobody is there
)

// A Reason is why.
type Reason string

// The reasons.
const (
	Unproven   Reason = "unproven"      // the running version has not passed the health gate
	Fallback   Reason = "fallback"      // the running version does not work, and there is another
	NoOffer    Reason = "no offer"      // nobody offers anything
	Expired    Reason = "offer expired" // the offer is older than it may be
	Newest     Reason = "newest"        // what is offered runs
	Older      Reason = "older"         // what is offered is older than what runs
	BelowFloor Reason = "below floor"   // what is offered is too old
	Broken     Reason = "broken here"   // what is offered was tried here, and did not work
	OtherRing  Reason = "not this ring" // the turn of this kiosk's ring is not known
	NotYet     Reason = "not yet"       // the turn of this kiosk comes later
	Closed     Reason = "not now"       // it is outside of the window
	Occupied   Reason = "busy"          // somebody is there
	Offered    Reason = "offered"       // what is offered is newer, and the turn of this kiosk has come
	Installed  Reason = "installed"     // a newer version waits for a restart
)

// A Decision is what to do, and why.
type Decision struct {
	Action  Action  `json:"action"`
	Reason  Reason  `json:"reason"`
	Version Version `json:"version,omitempty"` // that it is about
}

// Decide decides. It is a pure function.
func Decide(f Facts) Decision {
	// An update is never begun from a version that may not be the one that stays:
	// the slot it would be written to is the one to go back to.
	if f.Trial == TrialOpen {
		if f.Failed {
			return Decision{Restart, Fallback, f.Running}
		}
		return Decision{Rest, Unproven, f.Running}
	}
	// What is installed and newer boots next, whatever is offered meanwhile.
	if next, ok := f.next(); ok {
		if !f.Policy.Window.Open(f.Now) {
			return Decision{Rest, Closed, next}
		}
		return Decision{Restart, Installed, next}
	}
	return f.offered()
}

// next returns the newest version that would boot in place of the running one.
func (f Facts) next() (newest Version, ok bool) {
	for _, s := range f.Slots {
		if s.Tries != 0 && s.Version.Compare(f.Running) > 0 && s.Version.Compare(newest) > 0 {
			newest = s.Version
		}
	}
	return newest, newest != ""
}

// offered decides about the offer.
func (f Facts) offered() Decision {
	o := f.Offer
	switch {
	case o == nil:
		return Decision{Rest, NoOffer, ""}
	case !f.Now.Before(o.Until):
		return Decision{Rest, Expired, o.Version}
	case o.Version.Compare(f.Policy.Floor) < 0 || o.Version.Compare(o.Floor) < 0:
		return Decision{Rest, BelowFloor, o.Version}
	case o.Version.Compare(f.Running) == 0:
		return Decision{Rest, Newest, o.Version}
	case o.Version.Compare(f.Running) < 0:
		return Decision{Rest, Older, o.Version}
	}
	for _, s := range f.Slots {
		if s.Tries == 0 && s.Version.Compare(o.Version) == 0 {
			return Decision{Rest, Broken, o.Version}
		}
	}
	begins, known := o.Rings[f.Policy.Ring]
	switch {
	case !known:
		return Decision{Rest, OtherRing, o.Version}
	case f.Now.Before(begins.Add(o.turn(f.Machine))):
		return Decision{Rest, NotYet, o.Version}
	case !f.Policy.Window.Open(f.Now):
		return Decision{Rest, Closed, o.Version}
	case f.Busy:
		return Decision{Wait, Occupied, o.Version}
	}
	return Decision{Install, Offered, o.Version}
}

// turn is how long after its ring's beginning a machine's turn comes: another
// time for each version, so that it is not always the same kiosks that go first.
func (r Rollout) turn(machine string) time.Duration {
	seconds := uint64(r.SpreadHours) * 3600
	if seconds == 0 {
		return 0
	}
	return time.Duration(place(r.Version, machine)%seconds) * time.Second //nolint:gosec // less than a year
}

// place is where a machine stands in the order in which kiosks get a version.
func place(v Version, machine string) uint64 {
	sum := sha256.Sum256([]byte(string(v) + " " + machine))
	return binary.BigEndian.Uint64(sum[:8])
}

// Among reports whether a machine is one of the first so many of a hundred that get
// a version: others for each version, and always the same for one. Whoever is among
// few is among more, too.
func Among(v Version, machine string, ofHundred int) bool {
	return ofHundred > 0 && place(v, machine)%100 < uint64(ofHundred)
}
