package systemd_test

import (
	"net"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"livekiosk/systemd"
)

// A manager is the service manager's end of the notify socket.
type manager struct {
	t  *testing.T
	fd int
}

// newManager listens as the service manager does and tells this process so.
func newManager(t *testing.T) *manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "n")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Close(fd); err != nil {
			t.Error(err)
		}
	})
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	return &manager{t, fd}
}

// heard returns what was sent since it was last asked. It never waits: a
// message is there once it was sent.
func (m *manager) heard() []string {
	m.t.Helper()
	var all []string
	buf := make([]byte, 4096)
	for {
		n, err := unix.Read(m.fd, buf)
		if err == unix.EAGAIN {
			return all
		}
		if err != nil {
			m.t.Fatal(err)
		}
		all = append(all, string(buf[:n]))
	}
}

func TestTheManagerHearsOfEachState(t *testing.T) {
	m := newManager(t)
	var n systemd.Notifier
	for _, tt := range []struct {
		name string
		send func() error
		want string
	}{
		{"ready", func() error { return n.Ready("idle") }, "READY=1\nSTATUS=idle"},
		{"status", func() error { return n.Status("idle, 2 waiting") }, "STATUS=idle, 2 waiting"},
		{"a status cannot smuggle in another state", func() error { return n.Status("a\nREADY=1\n") }, "STATUS=a READY=1"},
		{"stopping", n.Stopping, "STOPPING=1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.send(); err != nil {
				t.Fatal(err)
			}
			if got := m.heard(); !slices.Equal(got, []string{tt.want}) {
				t.Errorf("heard %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWithoutAManagerNothingIsSent(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	var n systemd.Notifier
	if err := n.Ready("idle"); err != nil {
		t.Errorf("Ready() = %v outside systemd, want nil", err)
	}
}

func TestAManagerThatIsGoneIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "n")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	if err := systemd.NewNotifier().Ready("idle"); err == nil {
		t.Error("Ready() = nil though nobody listens")
	}
}
