package kiosk

// A Fault is why the kiosk cannot serve anybody just now. It picks the text of
// the out-of-service screen and the operator's log line.
type Fault string

// The faults. None of them ends the daemon; each but the last three is watched and
// clears itself once its cause is gone. UpdateFault is no failure: somebody asked
// for it, and ends it.
const (
	NoFault      Fault = ""
	CameraFault  Fault = "camera"  // no usable camera or clip
	ModelFault   Fault = "model"   // inference runtime or weights missing or damaged
	StorageFault Fault = "storage" // outbox busy, damaged, full or read-only
	ClockFault   Fault = "clock"   // wall clock is not sane
	PowerFault   Fault = "power"   // the battery is low; ends no running session
	TamperFault  Fault = "tamper"  // the case was opened; stays until staff clear it
	LockFault    Fault = "lock"    // too many sessions failed in a row; stays until staff are there
	UpdateFault  Fault = "update"  // asked to take no new sessions; ends no running one
)

// Faults returns every fault, the one to show first in front.
func Faults() []Fault {
	return []Fault{TamperFault, StorageFault, ModelFault, CameraFault, ClockFault, PowerFault, LockFault, UpdateFault}
}

// A Breach is why what a session captured cannot be trusted. It voids the
// session: nothing of it is used, and the partner must not launch it again.
type Breach string

// The breaches.
const (
	TamperBreach Breach = "tamper"      // the case was opened
	SwapBreach   Breach = "camera_swap" // another camera took the place of the one it began with
)
