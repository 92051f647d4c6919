package kiosk

import "time"

// An EventKind is a stable name for something that staff, the partner's front
// end or a test can follow.
type EventKind string

// The events, in the order of a session. No event carries personal data or a
// score, but the correlation id that a result belongs to.
const (
	EventLaunched  EventKind = "launched"
	EventPhase     EventKind = "phase"     // Text: the flow's phase
	EventHint      EventKind = "hint"      // Text: the hint
	EventCaptured  EventKind = "captured"  // Text: the pose
	EventAgain     EventKind = "try_again" // Text: attempts left
	EventSaved     EventKind = "saved"     // Record is durable
	EventToken     EventKind = "token"     // a user token was obtained
	EventURLs      EventKind = "urls"      // Text: submission id
	EventUploaded  EventKind = "uploaded"  // Text: document
	EventConfirmed EventKind = "confirmed"
	EventStatus    EventKind = "status"   // Text: gateway status
	EventDeferred  EventKind = "deferred" // Text: why delivery waits
	EventSettled   EventKind = "settled"  // Text: next action
	EventOutcome   EventKind = "outcome"  // Text: the screen
	EventResult    EventKind = "result"   // Text: result status; Result: all of it; again if a saved capture ends later
	EventVoided    EventKind = "voided"   // Text: the breach that ended the session
	EventFault     EventKind = "fault"    // Text: fault code, "" when it cleared
	EventPanel     EventKind = "panel"    // Text: a line's role, and on or off; of no session
	EventModels    EventKind = "models"   // Text: a bundle of models, and why it is used from now on, or is not any more; of no session
)

// An Event is one line of a session's story.
type Event struct {
	Seq     uint64    `json:"seq"` // set by the event log
	At      time.Time `json:"at"`  // wall clock, for people
	Kind    EventKind `json:"kind"`
	Session SessionID `json:"session,omitempty"`
	Record  RecordID  `json:"record,omitempty"`
	Text    string    `json:"text,omitempty"`
	Result  *Result   `json:"result,omitempty"` // of EventResult; not written to once published
}
