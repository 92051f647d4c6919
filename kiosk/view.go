package kiosk

import (
	"log/slog"
	"time"
)

// A Screen is what fills the display.
type Screen string

// The screens, one for each phase of a session and one for each outcome.
const (
	IdleScreen         Screen = "idle"
	RestingScreen      Screen = "resting" // dark: nobody is there
	CodeScreen         Screen = "code"    // a keypad for the code of a booking
	ConsentScreen      Screen = "consent"
	TipsScreen         Screen = "tips"    // what helps, before the camera starts
	WarningScreen      Screen = "warning" // colours are going to change: with them, or without
	GuidingScreen      Screen = "guiding" // live preview, oval, ring, one hint
	ColoursScreen      Screen = "colours" // the light challenge: View.Colour, and nothing else of any colour
	AgainScreen        Screen = "again"   // an attempt failed, another follows
	SavingScreen       Screen = "saving"
	WaitingScreen      Screen = "waiting" // saved; the gateway may still answer in time
	GrantedScreen      Screen = "granted"
	RefusedScreen      Screen = "refused" // leads to a person; no score, no blame
	SavedScreen        Screen = "saved"   // delivered later
	StaffScreen        Screen = "staff"   // no usable capture: a person helps
	CancelledScreen    Screen = "cancelled"
	OutOfServiceScreen Screen = "out_of_service"
	PINScreen          Screen = "pin"  // a keypad for the PIN of staff
	DeskScreen         Screen = "desk" // how the kiosk is, for staff who gave it

	// CommissionScreen is no visitor's: an installer sees it while staff have a
	// step of commissioning done.
	CommissionScreen Screen = "commission"
)

// Live reports whether s shows the camera's image.
func (s Screen) Live() bool { return s == GuidingScreen || s == CommissionScreen }

// Screens returns every screen.
func Screens() []Screen {
	return []Screen{
		IdleScreen, RestingScreen, CodeScreen, ConsentScreen, TipsScreen, WarningScreen, GuidingScreen, ColoursScreen, AgainScreen, SavingScreen, WaitingScreen,
		GrantedScreen, RefusedScreen, SavedScreen, StaffScreen, CancelledScreen, OutOfServiceScreen, PINScreen, DeskScreen, CommissionScreen,
	}
}

// Wishes are how a visitor wants to be served. Staff give them with a launch,
// and on every screen of a visitor each is one tap away.
type Wishes struct {
	Large    bool `json:"large"`    // large text
	Contrast bool `json:"contrast"` // black and white
	NoLimit  bool `json:"no_limit"` // no attempt times out
	NoFlash  bool `json:"no_flash"` // no light challenge: nothing is measured by changing colours
}

// A View is all that the display needs to know. It is a small value without
// pixels: the preview comes from the camera by another way, and so does what
// DeskScreen tells staff.
type View struct {
	Session SessionID // "" when nobody is being served; taps carry it back
	Screen  Screen
	Locale  Locale
	Theme   Theme
	Wishes  Wishes
	Fault   Fault // of OutOfServiceScreen

	Pose     Pose    // of GuidingScreen: which oval to draw
	Hint     Hint    // at most one
	Ring     float32 // progress ring, 0..1; never jumps back within a pose
	FaceGoal float32 // oval's width / the preview's short side

	Flashes bool     // the kiosk has a light challenge, so that whoever wants none has to be able to say so
	Turn    int      // of ColoursScreen: which colour of the challenge; who draws it first says when
	Colour  [3]uint8 // of ColoursScreen: sRGB, exactly

	Step   Step    // of CommissionScreen
	Note   Note    // what is wrong just now
	Figure float32 // what the step measures
	Flash  bool    // the patch is white, else black; of LatencyStep

	Ask          bool          // AgainScreen: goes on only when the visitor taps Resume
	Why          Hint          // AgainScreen: what stood in the way; NoHint: nothing that the visitor can mend
	Typing       Typing        // CodeScreen, PINScreen: what came of what was typed
	Draining     bool          // DeskScreen: no new session starts
	Listing      bool          // DeskScreen: the records of the outbox, in place of the state
	AttemptsLeft int           // after this one
	Until        time.Duration // when the screen ends by itself, since boot; 0: never
	Receipt      string        // short code of SavedScreen that staff can look up
}

// A Typing is what came of a code or PIN that was typed.
type Typing string

// What became of it.
const (
	NotTyped Typing = ""         // none yet
	Checking Typing = "checking" // being looked at
	Unknown  Typing = "unknown"  // it was not right
	Paused   Typing = "paused"   // too many were not: nothing is looked at for now
	Refused  Typing = "refused"  // the code was right, but no session can start
)

// A Control is something the visitor or staff can tap.
type Control string

// The controls.
const (
	Agree   Control = "agree"   // consent given
	Decline Control = "decline" // consent withheld
	Cancel  Control = "cancel"  // leave the session, or a keypad
	Help    Control = "help"    // a person, please
	Done    Control = "done"    // leave an outcome screen before it ends by itself
	Switch  Control = "switch"  // another language
	Resume  Control = "resume"  // still here: go on with the next attempt

	Ready    Control = "ready"    // start the camera
	Begin    Control = "begin"    // type the code of a booking
	Enter    Control = "enter"    // what was typed on a keypad, as Tap.Text
	Large    Control = "large"    // large text, or not
	Contrast Control = "contrast" // high contrast, or not
	NoLimit  Control = "no_limit" // no time limit, or one
	NoFlash  Control = "no_flash" // no light challenge, or one
	Flash    Control = "flash"    // of WarningScreen: colours may change
	Door     Control = "door"     // ask for the PIN of staff: touched five times, and looks like nothing
	Drain    Control = "drain"    // staff: no new session, or sessions again
	Listing  Control = "listing"  // staff: the records, or the state
)

// Controls returns every control.
func Controls() []Control {
	return []Control{
		Agree, Decline, Cancel, Help, Done, Switch, Resume, Ready, Begin, Enter, Large, Contrast, NoLimit, NoFlash, Flash, Door, Drain, Listing,
	}
}

// A Tap is one use of a control on the screen of one session. A tap that
// arrives after its session ended means nothing.
type Tap struct {
	Session SessionID
	Control Control
	Text    string // of Enter; secret
	Locale  Locale // of Switch: the language chosen; "": the other of the two that are built in
}

// LogValue keeps what was typed out of every log.
func (t Tap) LogValue() slog.Value {
	return slog.GroupValue(slog.String("session", string(t.Session)), slog.String("control", string(t.Control)), slog.String("locale", string(t.Locale)))
}
