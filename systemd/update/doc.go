// Package update decides when a kiosk updates itself, and to which version. What
// to do is a pure function, Decide, of Facts; a Machine gathers them and carries
// out what was decided with systemd's own tools.
//
// The work is shared out so: systemd-sysupdate fetches an image, verifies its
// signature, and writes it into the slot that does not run. The boot loader tries
// the new version three times. kioskd-health.service decides whether it is kept,
// and systemd-bless-boot.service writes that down; otherwise the boot loader goes
// back. This package says when each of these may begin.
package update
