// Package kiosk holds the words the whole appliance speaks: frames,
// assessments, sessions, submissions, and what the gateway answered.
//
// It imports only the standard library, does no I/O and starts no goroutines.
// Every other package may import it; it imports none of them. Values of closed
// sets that reach a disk, a wire or a trace are stable strings.
package kiosk

// FrameID numbers frames in capture order from 1. Zero means "no frame".
type FrameID uint64

// A SessionID names one visitor's session on this kiosk, from launch to
// result. It is random, unique for ever and carries no personal data.
type SessionID string

// A RecordID names one capture for its whole life: it is minted before the
// first byte is stored and makes the capture's effect single. It is made of
// the session and the attempt, so that a pure function can name it.
type RecordID string

// A Pose is one of the two captures of an attempt.
type Pose string

// The two poses. Moving from one to the other gives parallax: perspective
// changes the proportions of a head, and not those of a flat print.
const (
	Far  Pose = "far"  // sent as document SELFIE
	Near Pose = "near" // sent as document ADDITIONAL_SELFIE
)

// A Locale is a language of the screens, as a BCP 47 tag. Which there are
// beside the built-in ones is up to the kiosk.
type Locale string

// valid reports whether l may be a language tag.
func (l Locale) valid() bool {
	for _, r := range l {
		if (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '-' && r != '_' {
			return false
		}
	}
	return len(l) >= 2 && len(l) <= 35
}

// The built-in locales.
const (
	Indonesian Locale = "id"
	English    Locale = "en"
)

// A Theme is the colour scheme that a launch, or the visitor, asks for.
type Theme string

// The gateway's theme values, and the kiosk's own HighContrast.
const (
	Dark         Theme = "DARK_MODE"
	Light        Theme = "LIGHT_MODE"
	NoPreference Theme = "NO_PREFERENCE" // what the installed theme prefers
	HighContrast Theme = "HIGH_CONTRAST"
)
