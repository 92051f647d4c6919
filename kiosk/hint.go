package kiosk

// A Hint is the one thing the visitor is asked to do next. Codes are stable:
// they are written to traces, and name texts, icons and sound clips.
type Hint string

// The hints in order of priority; the first that applies is shown. Those up to
// HoldStill, GoodHold and MoveCloser are judged from images, the last in the
// near pose in place of FaceTooFar; the rest are states of the flow.
const (
	NoHint         Hint = ""
	CameraBlocked  Hint = "camera_blocked"
	NoFace         Hint = "no_face"
	MultipleFaces  Hint = "multiple_faces"
	FaceTooFar     Hint = "face_too_far"
	FaceTooClose   Hint = "face_too_close"
	MoveLeft       Hint = "move_left" // the person's own left
	MoveRight      Hint = "move_right"
	MoveUp         Hint = "move_up"
	MoveDown       Hint = "move_down"
	TooDark        Hint = "too_dark"
	TooBright      Hint = "too_bright"
	Backlit        Hint = "backlit"
	UnevenLight    Hint = "uneven_light"
	GlareGlasses   Hint = "glare_glasses"
	GlareSkin      Hint = "glare_skin"
	LensSmudge     Hint = "lens_smudge"
	Sunglasses     Hint = "sunglasses"
	Mask           Hint = "mask"
	EyesCovered    Hint = "eyes_covered"
	MouthCovered   Hint = "mouth_covered"
	FaceCovered    Hint = "face_covered"
	TurnLeft       Hint = "turn_head_left" // the person's own left
	TurnRight      Hint = "turn_head_right"
	ChinUp         Hint = "chin_up"
	ChinDown       Hint = "chin_down"
	StraightenHead Hint = "straighten_head"
	EyesClosed     Hint = "eyes_closed"
	NotNeutral     Hint = "not_neutral" // guides, never gates
	Blurred        Hint = "blurred"
	HoldStill      Hint = "hold_still"
	GoodHold       Hint = "good_hold"
	MoveCloser     Hint = "move_closer_slowly"
	FlashWarning   Hint = "flash_warning"
	Processing     Hint = "processing"
	SavedOffline   Hint = "saved_offline"
	TryAgain       Hint = "try_again"
	CallStaff      Hint = "call_staff"
)

// Hints returns every hint in order of priority, without NoHint.
func Hints() []Hint {
	return []Hint{
		CameraBlocked, NoFace, MultipleFaces, FaceTooFar, FaceTooClose, MoveLeft, MoveRight, MoveUp, MoveDown,
		TooDark, TooBright, Backlit, UnevenLight, GlareGlasses, GlareSkin, LensSmudge, Sunglasses, Mask,
		EyesCovered, MouthCovered, FaceCovered, TurnLeft, TurnRight, ChinUp, ChinDown, StraightenHead,
		EyesClosed, NotNeutral, Blurred, HoldStill, GoodHold, MoveCloser, FlashWarning, Processing,
		SavedOffline, TryAgain, CallStaff,
	}
}
