package api_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"livekiosk/kiosk/api"
)

// answerCode reads an answer and returns its code.
func answerCode(t *testing.T, r io.Reader) int {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(r), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

func TestGateAdmitsRootTheDaemonAndTheGroup(t *testing.T) {
	of := func(uid uint32) ([]string, error) {
		switch uid {
		case 2001:
			return []string{"100", "900"}, nil
		case 2002:
			return []string{"100"}, nil
		default:
			return nil, errors.New("no such user")
		}
	}
	staff := api.Gate{Own: 1000, Group: "900", Of: of}
	for _, tt := range []struct {
		name string
		gate api.Gate
		peer api.Peer
		want bool
	}{
		{"root", staff, api.Peer{UID: 0}, true},
		{"the daemon's own user", staff, api.Peer{UID: 1000, GID: 1000}, true},
		{"a user with the group as their own", staff, api.Peer{UID: 2002, GID: 900}, true},
		{"a user who is put into the group", staff, api.Peer{UID: 2001, GID: 100}, true},
		{"a user who is not", staff, api.Peer{UID: 2002, GID: 100}, false},
		{"a user nobody knows", staff, api.Peer{UID: 2003, GID: 100}, false},
		{"anybody where there is no group", api.Gate{Own: 1000, Of: of}, api.Peer{UID: 2001, GID: 900}, false},
		{"root at the zero gate", api.Gate{}, api.Peer{}, true},
		{"anybody else at the zero gate", api.Gate{}, api.Peer{UID: 2001}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.gate.Admit(tt.peer); got != tt.want {
				t.Errorf("Admit(%+v) = %v, want %v", tt.peer, got, tt.want)
			}
		})
	}
}

func TestListenMakesASocketForItsGroupOnly(t *testing.T) {
	path := socketPath(t)
	l, err := api.Listen(t.Context(), path, "no-such-group")
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode(); got != os.ModeSocket|0o660 {
		t.Errorf("mode %v, want srw-rw----", got)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket outlives its listener: %v", err)
	}
}

func TestListenReplacesOnlyWhatNobodyAnswersOn(t *testing.T) {
	base := t.TempDir()
	for i, tt := range []struct {
		name   string
		before func(t *testing.T, path string)
		want   string // part of the error; "" for none
	}{
		{"nothing is there", func(*testing.T, string) {}, ""},
		{"a socket of a daemon that was killed", func(t *testing.T, path string) {
			t.Helper()
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			l.SetUnlinkOnClose(false)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}, ""},
		{"a socket of a daemon that runs", func(t *testing.T, path string) {
			t.Helper()
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			})
		}, "another daemon answers there"},
		{"a file", func(t *testing.T, path string) {
			t.Helper()
			if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "is no socket"},
		{"a folder that does not exist", func(t *testing.T, path string) {
			t.Helper()
			if err := os.Remove(filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
		}, "no such file or directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// Not a folder of the subtest, whose name is too long for a socket.
			path := filepath.Join(base, strconv.Itoa(i), "s")
			if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			tt.before(t, path)
			l, err := api.Listen(t.Context(), path, "no-such-group")
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("Listen() = %v, want an error with %q", err, tt.want)
				}
				if tt.want == "is no socket" {
					if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
						t.Errorf("the file is now %q, %v", b, err)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTheKernelSaysWhoIsCalling connects as other users, which takes root.
func TestTheKernelSaysWhoIsCalling(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to connect as other users")
	}
	const group, gid = "daemon", 1 // on every Debian
	path := socketPath(t)
	l, err := api.Listen(t.Context(), path, group)
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	if st.Gid != gid {
		t.Errorf("the socket belongs to group %d, want %d", st.Gid, gid)
	}
	// Let anybody reach the socket, so that only the credentials decide.
	for dir := filepath.Dir(path); len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	w := newWorldOn(t, l)
	done := make(chan error, 1)
	go func() { done <- w.server.Run(t.Context()) }()
	for _, tt := range []struct {
		name     string
		uid, gid int
		want     int
	}{
		{"root is served", 0, 0, http.StatusOK},
		{"a member of the group is served", 65534, gid, http.StatusOK},
		{"anybody else is not", 65534, 65534, http.StatusForbidden},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := askAs(t, path, tt.uid, tt.gid); got != tt.want {
				t.Errorf("GET /healthz = %d as user %d of group %d, want %d", got, tt.uid, tt.gid, tt.want)
			}
		})
	}
}

// askAs asks for /healthz from a thread of its own with other credentials.
// The thread ends with its goroutine, since it is never unlocked.
func askAs(t *testing.T, path string, uid, gid int) int {
	t.Helper()
	type connected struct {
		fd  int
		err error
	}
	got := make(chan connected)
	go func() {
		runtime.LockOSThread()
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		// Raw calls change this thread only; those of package unix all of them.
		for _, call := range []func() unix.Errno{
			func() unix.Errno { _, _, e := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0); return e },
			func() unix.Errno {
				_, _, e := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid))
				return e
			},
			func() unix.Errno {
				_, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid))
				return e
			},
		} {
			if err != nil {
				break
			}
			if e := call(); e != 0 {
				err = e
			}
		}
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
		}
		got <- connected{fd, err}
	}()
	c := <-got
	if c.err != nil {
		t.Fatal(c.err)
	}
	f := os.NewFile(uintptr(c.fd), "socket")
	defer f.Close()
	if _, err := io.WriteString(f, "GET /healthz HTTP/1.1\r\nHost: kioskd\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return answerCode(t, f)
}
