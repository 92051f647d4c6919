package api

import (
	"time"

	"livekiosk/kiosk"
)

// A Status is the daemon's state as staff and fleet engines see it.
type Status struct {
	Version        string          `json:"version"`
	Ready          bool            `json:"ready"` // a launch would be accepted, or would be but for a running session
	Phase          string          `json:"phase"` // of the flow, such as "idle"
	Faults         []kiosk.Fault   `json:"faults"`
	SessionRunning bool            `json:"sessionRunning"`
	UptimeSeconds  float64         `json:"uptimeSeconds"`
	Camera         CameraStatus    `json:"camera"`
	Network        []ServiceStatus `json:"network"` // one for each service: see Network
	Clock          ClockStatus     `json:"clock"`
	Models         ModelsStatus    `json:"models"`

	// Queue is filled in by the server from Options.Queue; nil when the outbox
	// cannot be read.
	Queue *QueueStatus `json:"queue"`

	// Mode says who can read the evidence: "direct", this kiosk, which delivers
	// it in the clear; "relay", nobody but the relay, whose key has the
	// fingerprint RelayKey.
	Mode     string `json:"mode,omitempty"`
	RelayKey string `json:"relayKey,omitempty"`

	// KeyStore says where the device keys lie: "credential", handed over by the
	// service manager, or "file". A file on the storage of the outbox protects
	// only against a look at the outbox alone.
	KeyStore string `json:"keyStore,omitempty"`

	// Quarantined is where a damaged outbox was moved aside, "" if none was. It
	// is an alarm: captures may be in there that nobody delivers.
	Quarantined string `json:"quarantined,omitempty"`

	// Orphans is how many records are sealed for another device key. It is an
	// alarm: they cannot be delivered.
	Orphans int `json:"orphans,omitempty"`

	// Volume is what became of the data partition; left out on a board without one.
	Volume *VolumeStatus `json:"volume,omitempty"`

	// Panel is the GPIO lines that the kiosk was given a role for.
	Panel []kiosk.Line `json:"panel,omitempty"`

	// Languages are those that a visitor can choose, and a launch can ask for.
	// LanguageProblems is how many texts and files of them are not used.
	Languages        []Language `json:"languages,omitempty"`
	LanguageProblems int        `json:"languageProblems,omitempty"`

	// Tamper is what is known of the case; left out if it was never opened.
	// Latched is an alarm.
	Tamper kiosk.Tamper `json:"tamper,omitzero"`
}

// A VolumeStatus says what became of the board's data partition at this boot.
type VolumeStatus struct {
	// State is "ready"; "repaired"; "formatted": it is new, for the old one could
	// not be mounted; "volatile": it is not there, memory stands in for it, and the
	// kiosk is out of service.
	State string `json:"state"`
	Cause string `json:"cause,omitempty"` // such as "missing" or "read_only"

	// Losses is how often something on it may have been lost, at this boot or an
	// earlier one. It is an alarm, until somebody has taken note of it.
	Losses int `json:"losses"`
}

// A ModelsStatus says which models judge the sessions, and why. Nothing in it is of
// one visitor.
type ModelsStatus struct {
	Version  string `json:"version"`  // of the bundle; "": those that came with the image
	Why      string `json:"why"`      // built in, on trial, kept, or why it is used no longer
	Trial    bool   `json:"trial"`    // it may be given up for the one before
	Previous string `json:"previous"` // the bundle before; "": those that came with the image

	// What the sessions with it, and with the one before, have come to. Rejected is a
	// proxy for bona fide people who were turned away: not believed at an attempt and
	// then approved by the gateway, flagged for review, or left to staff.
	Sessions       int `json:"sessions"`
	Rejected       int `json:"rejected"`
	SessionsBefore int `json:"sessionsBefore"`
	RejectedBefore int `json:"rejectedBefore"`

	Rollbacks int            `json:"rollbacks"`         // of bundles by which more were turned away than before, ever
	Problem   string         `json:"problem,omitempty"` // why no new bundle is taken, or what is known of them is not kept
	Bundles   []BundleStatus `json:"bundles,omitempty"` // that lie there
}

// A BundleStatus is one file.
type BundleStatus struct {
	File    string `json:"file"`
	Version string `json:"version,omitempty"` // of one that verifies
	Why     string `json:"why"`               // it is used, or is not
	Refused bool   `json:"refused"`           // it does not verify, or did not stand here
}

// A Language is one that the screens speak.
type Language struct {
	Locale kiosk.Locale `json:"locale"`
	Name   string       `json:"name"` // what it calls itself
}

// A CameraStatus says how frames come in.
type CameraStatus struct {
	Source          string  `json:"source"`          // such as "/dev/video0" or "clip:walk-up"; no personal data
	Frames          uint64  `json:"frames"`          // captured since start
	Dropped         uint64  `json:"dropped"`         // of those, never looked at because a newer one came
	FramesPerSecond float64 `json:"framesPerSecond"` // over the last seconds
	Identity        string  `json:"identity"`        // of what streams, or did last, as camera.pin takes it; "" before, and for clips and frames
	Mode            string  `json:"mode"`            // of the same
	Trust           string  `json:"trust"`           // why it is trusted
	Lost            uint64  `json:"lost"`            // by the driver: its numbers leave them out
	Reopened        uint64  `json:"reopened"`        // after a failure
	Resets          uint64  `json:"resets"`          // that were asked for

	Exposure ExposureStatus `json:"exposure"`

	CameraSkips
}

// An ExposureStatus says who sets the exposure: "off", the camera or the
// configuration alone; "face", a visitor's face corrects the camera's automatic;
// "frozen", nobody, while a light challenge runs.
type ExposureStatus struct {
	Mode  string  `json:"mode"`
	Stops float64 `json:"stops"` // of correction: positive is brighter
}

// A Reach says whether a service can be reached.
type Reach string

// Whether a service can be reached.
const (
	ReachOK      Reach = "ok"      // the last call was answered
	ReachOut     Reach = "out"     // it was not
	ReachUnknown Reach = "unknown" // nobody has asked since the daemon started
)

// A ServiceStatus says how one of the services that the kiosk talks to is
// reached. All but the first two are there while it is not.
type ServiceStatus struct {
	Service  kiosk.Service `json:"service"`
	State    Reach         `json:"state"`
	Trouble  kiosk.Trouble `json:"trouble,omitempty"`
	Since    time.Time     `json:"since,omitzero"` // wall clock
	Failures int           `json:"failures,omitempty"`
}

// Network returns the state of every service: out while one of the outages is
// its, ok once it has answered, and unknown else.
func Network(outages []kiosk.Outage, answered func(kiosk.Service) bool) []ServiceStatus {
	var all []ServiceStatus
	for _, service := range []kiosk.Service{kiosk.GatewayService, kiosk.StoreService, kiosk.PartnerService} {
		s := ServiceStatus{Service: service, State: ReachUnknown}
		if answered(service) {
			s.State = ReachOK
		}
		for _, o := range outages {
			if o.Service == service && o.Failures > 0 {
				s = ServiceStatus{Service: service, State: ReachOut, Trouble: o.Trouble, Since: o.Since, Failures: o.Failures}
			}
		}
		all = append(all, s)
	}
	return all
}

// A ClockStatus holds the kiosk's clock against the gateway's.
type ClockStatus struct {
	Known       bool    `json:"known"`       // the gateway has told its time since the daemon started
	Trusted     bool    `json:"trusted"`     // the kiosk's clock is taken to be right
	SkewSeconds float64 `json:"skewSeconds"` // the kiosk's time less the gateway's; 0 while not known
}

// A QueueStatus counts the records of the outbox.
type QueueStatus struct {
	Waiting int   `json:"waiting"` // not yet settled
	Done    int   `json:"done"`    // settled and still kept
	Dead    int   `json:"dead"`    // given up: staff must look
	Review  int   `json:"review"`  // flagged for review, in any state
	Bytes   int64 `json:"bytes"`   // of all records on disk, sealed
}

// Count counts entries by what staff have to do about them.
func Count(entries []kiosk.Entry) QueueStatus {
	var q QueueStatus
	for _, e := range entries {
		switch e.State {
		case "done":
			q.Done++
		case "dead":
			q.Dead++
		default:
			q.Waiting++
		}
		if e.Review {
			q.Review++
		}
		q.Bytes += e.Bytes
	}
	return q
}

// FromQueue returns the result of a session as far as the outbox tells it, and
// whether it tells anything. What it knows outlives the daemon; the correlation
// id is not among it, since the outbox holds none in the clear.
//
// A capture that was not delivered yet is saved. Of several captures the last
// attempt's counts.
func FromQueue(entries []kiosk.Entry, id kiosk.SessionID) (kiosk.Result, bool) {
	var last kiosk.Entry
	for _, e := range entries {
		if e.Session == id && e.Attempt >= last.Attempt {
			last = e
		}
	}
	if last.Session == "" {
		return kiosk.Result{}, false
	}
	r := kiosk.Result{Session: id, SubmissionID: last.SubmissionID}
	end := kiosk.Receipt{Action: last.Outcome, Reason: last.Reason}
	switch last.State {
	case "done":
		return r.Judged(end), true
	case "dead":
		end.Action = kiosk.ExitError
		return r.Judged(end), true
	}
	r.Status, r.Detail = kiosk.NotCompleted, kiosk.Saved
	return r, true
}

// A Booked is a booking as it is listed: without the person and the token.
type Booked struct {
	CorrelationID string    `json:"correlationId"`
	Code          string    `json:"code"`             // what the person may type on the kiosk: see kiosk.Code
	Booked        time.Time `json:"booked"`           // wall clock
	Fetched       bool      `json:"fetched"`          // there is a user token
	Expires       time.Time `json:"expires,omitzero"` // of the token; zero: not told, or there is none
}

// A launched is the answer to a launch that was accepted.
type launched struct {
	SessionID kiosk.SessionID `json:"sessionId"`
}

// A problem is the body of every answer that is not a success. All but the
// message are only there for launches, bookings and drops that were turned
// down, and retriable for whatever else is asked of the outbox and may succeed
// later.
type problem struct {
	Message           string             `json:"message"`
	ErrorCode         kiosk.ErrorCode    `json:"errorCode,omitempty"`
	DetailedErrorCode kiosk.DetailedCode `json:"detailedErrorCode,omitempty"`
	Field             string             `json:"field,omitempty"`
	Retriable         *bool              `json:"retriable,omitempty"`
}
