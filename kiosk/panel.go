package kiosk

import (
	"errors"
	"time"
)

// A Role is what a GPIO line of the kiosk's panel is for.
type Role string

// The roles. An input is on while its button is pressed, somebody is there, or
// the case is open.
const (
	RingLine     Role = "ring"     // light about the camera
	RedLine      Role = "red"      // its colours, where each has a line of its own
	GreenLine    Role = "green"    //
	BlueLine     Role = "blue"     //
	DoorLine     Role = "door"     // relay or door; only staff switch it
	BuzzerLine   Role = "buzzer"   //
	PresenceLine Role = "presence" // somebody is there
	HelpLine     Role = "help"     // button: as the visitor's help control
	StaffLine    Role = "staff"    // button
	TamperLine   Role = "tamper"   // switch: the case is open
)

// Roles returns every role, outputs first.
func Roles() []Role {
	return []Role{RingLine, RedLine, GreenLine, BlueLine, DoorLine, BuzzerLine, PresenceLine, HelpLine, StaffLine, TamperLine}
}

// Output reports whether the kiosk switches the line, and does not read it.
func (r Role) Output() bool {
	switch r {
	case RingLine, RedLine, GreenLine, BlueLine, DoorLine, BuzzerLine:
		return true
	case PresenceLine, HelpLine, StaffLine, TamperLine:
	}
	return false
}

// A LineState says whether the kiosk has a line that it was given a role for.
type LineState string

// The states of a line. All but LineOwned are looked at again and again.
const (
	LineOwned     LineState = "owned"
	LineMissing   LineState = "missing"   // no chip has a line of that name, or the daemon may not open it
	LineHeld      LineState = "held"      // somebody else uses it
	LineAmbiguous LineState = "ambiguous" // several lines have that name: none is taken
	LineFailed    LineState = "failed"    // it cannot be set up as configured
)

// A Direction says whether a line puts out or takes in.
type Direction string

// The directions.
const (
	LineIn  Direction = "in"
	LineOut Direction = "out"
)

// A Line is one GPIO line as staff see it.
type Line struct {
	Role      Role      `json:"role,omitempty"` // "": the kiosk has no use for it
	Name      string    `json:"name"`           // "": it has none, and cannot be used
	Chip      string    `json:"chip,omitempty"` // as the kernel calls it now; "": there is no such line
	Offset    int       `json:"offset"`         // on the chip
	Direction Direction `json:"direction,omitempty"`
	State     LineState `json:"state,omitempty"`  // of a line with a role
	Holder    string    `json:"holder,omitempty"` // who uses it, as they told the kernel; "": nobody, or not known
	On        *bool     `json:"on,omitempty"`     // of a line that the kiosk owns
}

// A Tamper is what is known of the case of the kiosk.
type Tamper struct {
	Latched bool      `json:"latched"`          // it was opened, and staff have not cleared that
	Opened  time.Time `json:"opened,omitzero"`  // when it was latched last, wall clock
	Cleared time.Time `json:"cleared,omitzero"` // last, wall clock
	By      string    `json:"by,omitempty"`     // who cleared it last
}

// Errors of the panel that callers test for.
var (
	ErrNoLine     = errors.New("no such output is configured")
	ErrLineAway   = errors.New("the line is not there, or somebody else uses it")
	ErrCaseOpen   = errors.New("the case is open")
	ErrNotLatched = errors.New("no tampering is latched")
)

// ErrOccupied reports that a session is in progress, which is not disturbed.
var ErrOccupied = errors.New("a session is in progress")
