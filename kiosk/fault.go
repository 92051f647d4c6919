package kiosk

// A Fault is why the kiosk cannot serve anybody just now. It picks the text of
// the out-of-service screen and the operator's log line.
type Fault string

// The faults. None of them ends the daemon; each is watched and clears itself
// once its cause is gone.
const (
	NoFault      Fault = ""
	CameraFault  Fault = "camera"  // no usable camera or clip
	ModelFault   Fault = "model"   // inference runtime or weights missing or damaged
	StorageFault Fault = "storage" // outbox busy, damaged, full or read-only
	ClockFault   Fault = "clock"   // wall clock is not sane
)
