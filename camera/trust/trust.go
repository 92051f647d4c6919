// Package trust decides whether the pictures of a video device may be taken
// for pictures of the person in front of the kiosk.
//
// Whoever can put a picture of their choice in the place of the camera's needs
// no mask. So a real camera must be a device that sits somewhere, must be what
// it says it is, and, where one is pinned, must be that one. The decision is a
// pure function; Locate asks the kernel for its facts.
//
// What it cannot see: a device on the pinned port that speaks like the pinned
// camera down to its serial, and a kernel that lies. Lock the case and verify
// the boot.
package trust

import (
	"fmt"
	"slices"
	"strings"
)

// A Policy says which cameras are taken.
type Policy string

// The policies.
const (
	// Production takes real cameras only. It is also what "" means.
	Production Policy = "production"

	// Test takes virtual ones, too: for a simulated gateway on this machine.
	Test Policy = "test"
)

// A Decision says whether a camera is taken, and why, in words for an operator.
type Decision struct {
	Accepted bool
	Reason   string
}

// Decide decides about the camera id. A pin that is not the zero value must be
// matched under either policy.
func Decide(id Identity, policy Policy, pin Pin) Decision {
	if policy != Test {
		if why := unreal(id); why != "" {
			return Decision{Reason: why}
		}
	}
	if pin != (Pin{}) {
		if what := pin.differs(id.Pin()); what != "" {
			return Decision{Reason: "not the pinned camera: " + what}
		}
		return Decision{true, "the pinned camera, at " + id.Path}
	}
	if policy == Test {
		return Decision{true, "the test policy takes any camera"}
	}
	return Decision{true, "a real camera, at " + id.Path + "; none is pinned"}
}

// virtual lists what has no lens: drivers and platform devices of Linux that
// make pictures, or carry those of programs. dummy_hcd and vhci_hcd are USB
// controllers whose devices are programs.
func virtual() []string {
	return []string{"vivid", "vimc", "vicodec", "vim2m", "visl", "v4l2loopback", "v4l2 loopback", "akvcam", "dummy_hcd", "vhci_hcd", "uvc_gadget", "g_webcam", "configfs-gadget"}
}

// unreal says why a device is no real camera; "" if it may be one.
func unreal(id Identity) string {
	for _, driver := range []string{id.Driver, id.Bound} {
		if slices.Contains(virtual(), strings.ToLower(driver)) {
			return "a virtual device: its driver is " + driver
		}
	}
	switch {
	case id.Path == "":
		return "the kernel does not tell where it sits"
	case strings.HasPrefix(id.Path, "/sys/devices/virtual/"), strings.HasPrefix(id.Path, "/sys/devices/faux/"):
		return "a virtual device: it sits at " + id.Path
	}
	for part := range strings.SplitSeq(id.Path, "/") {
		name, _, _ := strings.Cut(part, ".") // vivid.0
		if slices.Contains(virtual(), name) {
			return "a virtual device: it sits at " + id.Path
		}
	}
	usb := id.Driver == "uvcvideo" || strings.HasPrefix(id.Bus, usbBus)
	switch {
	case usb && (id.USB == "" || id.Port == ""):
		return fmt.Sprintf("it says that it is a USB camera, at %q, but sits at %s", id.Bus, id.Path)
	case id.Port != "" && id.Bus != clip(id.Port):
		return fmt.Sprintf("it says that it is at %q, but is at %q", id.Bus, id.Port)
	case id.Driver == "uvcvideo" && id.Bound != "uvcvideo":
		return fmt.Sprintf("it says that its driver is uvcvideo, but it is %q", id.Bound)
	}
	return ""
}

// clip returns s as it fits into the bus info of a V4L2 device.
func clip(s string) string { return s[:min(len(s), 31)] }
