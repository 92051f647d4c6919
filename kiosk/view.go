package kiosk

import "time"

// A Screen is what fills the display.
type Screen string

// The screens, one for each phase of a session and one for each outcome.
const (
	IdleScreen         Screen = "idle"
	RestingScreen      Screen = "resting" // dark: nobody is there
	ConsentScreen      Screen = "consent"
	GuidingScreen      Screen = "guiding" // live preview, oval, ring, one hint
	AgainScreen        Screen = "again"   // an attempt failed, another follows
	SavingScreen       Screen = "saving"
	WaitingScreen      Screen = "waiting" // saved; the gateway may still answer in time
	GrantedScreen      Screen = "granted"
	RefusedScreen      Screen = "refused" // leads to a person; no score, no blame
	SavedScreen        Screen = "saved"   // delivered later
	StaffScreen        Screen = "staff"   // no usable capture: a person helps
	CancelledScreen    Screen = "cancelled"
	OutOfServiceScreen Screen = "out_of_service"

	// CommissionScreen is no visitor's: an installer sees it while staff have a
	// step of commissioning done.
	CommissionScreen Screen = "commission"
)

// Live reports whether s shows the camera's image.
func (s Screen) Live() bool { return s == GuidingScreen || s == CommissionScreen }

// Screens returns every screen of visitors.
func Screens() []Screen {
	return []Screen{
		IdleScreen, RestingScreen, ConsentScreen, GuidingScreen, AgainScreen, SavingScreen, WaitingScreen, GrantedScreen,
		RefusedScreen, SavedScreen, StaffScreen, CancelledScreen, OutOfServiceScreen,
	}
}

// A View is all that the display needs to know. It is a small value without
// pixels: the preview comes from the camera by another way.
type View struct {
	Session SessionID // "" when nobody is being served; taps carry it back
	Screen  Screen
	Locale  Locale
	Theme   Theme
	Fault   Fault // of OutOfServiceScreen

	Pose     Pose    // of GuidingScreen: which oval to draw
	Hint     Hint    // at most one
	Ring     float32 // progress ring, 0..1; never jumps back within a pose
	FaceGoal float32 // oval's width / the preview's short side

	Step   Step    // of CommissionScreen
	Note   Note    // what is wrong just now
	Figure float32 // what the step measures
	Flash  bool    // the patch is white, else black; of LatencyStep

	Ask          bool          // AgainScreen: goes on only when the visitor taps Resume
	AttemptsLeft int           // after this one
	Until        time.Duration // when the screen ends by itself, since boot; 0: never
	Receipt      string        // short code of SavedScreen that staff can look up
}

// A Control is something the visitor or staff can tap.
type Control string

// The controls.
const (
	Agree   Control = "agree"   // consent given
	Decline Control = "decline" // consent withheld
	Cancel  Control = "cancel"  // leave the session
	Help    Control = "help"    // a person, please
	Done    Control = "done"    // leave an outcome screen before it ends by itself
	Switch  Control = "switch"  // the other language
	Resume  Control = "resume"  // still here: go on with the next attempt
)

// A Tap is one use of a control on the screen of one session. A tap that
// arrives after its session ended means nothing.
type Tap struct {
	Session SessionID
	Control Control
}
