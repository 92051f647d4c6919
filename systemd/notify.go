// Package systemd tells the service manager how the daemon is: that it is
// ready, what it is doing, and, to its watchdog, that every part of it takes
// its steps. Outside systemd it does nothing but check and log.
//
// The protocol is that of sd_notify(3) and sd_watchdog_enabled(3). The units
// beside this package are installed as they are.
package systemd

import (
	"fmt"
	"strings"

	"github.com/coreos/go-systemd/v22/daemon"
)

// A Notifier sends the daemon's state to the service manager. Its zero value
// is ready to use, from any goroutine. Where no service manager listens
// ($NOTIFY_SOCKET is not set) its methods do nothing and return nil.
type Notifier struct{}

// NewNotifier returns a Notifier.
func NewNotifier() Notifier { return Notifier{} }

// Ready says that start-up is done, so that units ordered after the daemon may
// start, and sets the status; see Status.
func (Notifier) Ready(status string) error {
	return notify(daemon.SdNotifyReady + "\n" + statusLine(status))
}

// Status sets the one line that "systemctl status" shows. It must not carry
// personal data; line breaks become spaces.
func (Notifier) Status(text string) error { return notify(statusLine(text)) }

// Stopping says that the daemon is on its way out.
func (Notifier) Stopping() error { return notify(daemon.SdNotifyStopping) }

// statusLine is a message of one line whatever the text.
func statusLine(text string) string { return "STATUS=" + strings.Join(strings.Fields(text), " ") }

// notify sends one message. It keeps the environment as it is, for the next.
func notify(state string) error {
	if _, err := daemon.SdNotify(false, state); err != nil {
		name, _, _ := strings.Cut(state, "=")
		return fmt.Errorf("notify systemd of %s: %w", name, err)
	}
	return nil
}
