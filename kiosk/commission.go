package kiosk

import "time"

// A Step is one part of commissioning: what an installer has measured once the
// kiosk stands where it will stay.
type Step string

// The steps.
const (
	FocusStep      Step = "focus"      // is the picture sharp, level and centred on whoever stands there
	ExposureStep   Step = "exposure"   // is a face lit well
	DistanceStep   Step = "distance"   // how large a face is at the marked place
	BackgroundStep Step = "background" // what is behind whoever stands there
	LensStep       Step = "lens"       // how much detail a clean lens shows of it
	LatencyStep    Step = "latency"    // from a change on the screen to the camera's picture of it
)

// Steps returns every step, in the order in which they are done.
func Steps() []Step {
	return []Step{FocusStep, ExposureStep, DistanceStep, BackgroundStep, LensStep, LatencyStep}
}

// A Note is what keeps a step from being passed just now, or what it could not
// find out. It picks the words for the installer.
type Note string

// The notes. A step can be passed with the last two.
const (
	NoNote        Note = ""
	NobodyNote    Note = "nobody"
	CrowdNote     Note = "crowd"      // more than one person
	OffCentreNote Note = "off_centre" // the face is beside the middle of the picture
	OffPlaceNote  Note = "off_place"  // the face is not of the size that it has at the marked place
	TurnedNote    Note = "turned"     // the person does not look straight ahead
	MovingNote    Note = "moving"     // figures that must be steady are not yet
	BlurredNote   Note = "blurred"
	TiltedNote    Note = "tilted" // the camera, or the head
	DarkNote      Note = "too_dark"
	BrightNote    Note = "too_bright"
	ClippedNote   Note = "clipped" // parts of the face are pure white
	UnevenNote    Note = "uneven"
	BacklitNote   Note = "backlit"
	TooFarNote    Note = "too_far"  // the marked place: faces have too few pixels
	TooNearNote   Note = "too_near" // the marked place: no room to come closer
	PlainNote     Note = "plain_background"
	UnseenNote    Note = "unseen" // the camera does not see the screen's light
)

// Notes returns every note but NoNote.
func Notes() []Note {
	return []Note{
		NobodyNote, CrowdNote, OffCentreNote, OffPlaceNote, TurnedNote, MovingNote, BlurredNote, TiltedNote, DarkNote, BrightNote,
		ClippedNote, UnevenNote, BacklitNote, TooFarNote, TooNearNote, PlainNote, UnseenNote,
	}
}

// A Task is one step as an installer has it done.
type Task struct {
	Step     Step
	Distance float64       // cm from the camera to the person's eyes, of DistanceStep
	Height   float64       // cm from the floor to the lens, of FocusStep; 0: not told
	Delay    time.Duration // to walk up, before it is looked at
	Within   time.Duration // until it is given up
	Locale   Locale        // of the screen
}

// A Reading is how a step stands.
type Reading struct {
	Step     Step               `json:"step"`
	Note     Note               `json:"note"`
	Progress float32            `json:"progress"` // of the time for which all has to be good, 0..1
	Figures  map[string]float64 `json:"figures"`  // of the newest frame; once it has ended, what is kept
	Ended    bool               `json:"ended"`
	Passed   bool               `json:"passed"` // and kept; only where it has ended
}

// A Commissioned is what was found out about a kiosk, and whether sessions are
// judged by it.
type Commissioned struct {
	File   string    `json:"file"`
	InUse  bool      `json:"inUse"`
	Reason string    `json:"reason"` // why, or why not
	Camera string    `json:"camera"` // that it is of; "" if there is none
	Steps  []Reading `json:"steps"`  // that were passed, in their order
}
