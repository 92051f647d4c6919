package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// StaffGroup is the group whose members may use the socket.
const StaffGroup = "kiosk-staff"

// SystemSocket is where the daemon listens when systemd gives it
// RuntimeDirectory=kioskd.
const SystemSocket = "/run/kioskd/kioskd.sock"

// A Peer is the process at the other end of a connection, as the kernel knows
// it (SO_PEERCRED, unix(7)).
type Peer struct {
	UID, GID uint32
	PID      int32
}

// A Gate says which peers may use the socket: root, the daemon's own user, and
// the members of one group. Its zero value admits root only.
type Gate struct {
	Own   uint32                                      // the daemon's user id
	Group string                                      // numeric id of the staff group; "" if there is none
	Of    func(uid uint32) (gids []string, err error) // the groups of a user; nil: nobody is in any
}

// NewGate returns the gate for this process and the named group, looked up
// once. A group that does not exist admits nobody.
func NewGate(group string) (Gate, error) {
	g := Gate{Own: uint32(os.Geteuid()), Of: groupsOf}
	found, err := user.LookupGroup(group)
	var unknown user.UnknownGroupError
	switch {
	case errors.As(err, &unknown):
	case err != nil:
		return Gate{}, fmt.Errorf("look up group %s: %w", group, err)
	default:
		g.Group = found.Gid
	}
	return g, nil
}

// groupsOf returns the user's groups from the system's database, so that
// somebody who was put into the group need not log in again.
func groupsOf(uid uint32) ([]string, error) {
	u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil {
		return nil, fmt.Errorf("look up user %d: %w", uid, err)
	}
	gids, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("look up the groups of user %d: %w", uid, err)
	}
	return gids, nil
}

// Admit reports whether p may use the socket.
func (g Gate) Admit(p Peer) bool {
	if p.UID == 0 || p.UID == g.Own && g.Of != nil {
		return true
	}
	if g.Group == "" || g.Of == nil {
		return false
	}
	if strconv.FormatUint(uint64(p.GID), 10) == g.Group {
		return true
	}
	gids, err := g.Of(p.UID)
	return err == nil && slices.Contains(gids, g.Group)
}

// probeTimeout is how long a daemon may take to accept; one that listens does
// so at once, in the kernel.
const probeTimeout = 2 * time.Second

// UserSocket is where the daemon of an ordinary user listens, as for trying it
// out: in $XDG_RUNTIME_DIR, else in the user's own state folder. It is "" for a
// process without either.
func UserSocket(getenv func(string) string) string {
	if dir := getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "kioskd", "kioskd.sock")
	}
	if home := getenv("HOME"); home != "" {
		return filepath.Join(home, ".local", "state", "kioskd", "kioskd.sock")
	}
	return ""
}

// Listen listens on a Unix socket at path with mode 0660, owned by group if
// that group exists. A socket that nobody answers on is left over from a daemon
// that was killed, and is replaced; one that is answered is an error, and so
// is anything at path that is no socket. Closing the listener removes it.
//
// Server.Run reads the credentials of every connection of this listener and
// answers those that Gate does not admit with 403.
func Listen(ctx context.Context, path, group string) (net.Listener, error) {
	gate, err := NewGate(group)
	if err != nil {
		return nil, err
	}
	if err = removeStale(ctx, path); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err = own(path, gate.Group); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &listener{Listener: l, gate: gate}, nil
}

// own sets the mode and, with a gid, the group of the socket at path.
func own(path, gid string) error {
	if gid != "" {
		n, err := strconv.Atoi(gid)
		if err != nil {
			return fmt.Errorf("group id %s: %w", gid, err)
		}
		if err := give(path, n); err != nil {
			return fmt.Errorf("give the socket to the staff group, of which the daemon must be a member (SupplementaryGroups=): %w", err)
		}
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return fmt.Errorf("open the socket to its group: %w", err)
	}
	return nil
}

// give gives the file at path to a group. It asks for nothing where that is so
// already: a sandbox may forbid it.
func give(path string, gid int) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return &os.PathError{Op: "lstat", Path: path, Err: err}
	}
	if st.Gid == uint32(gid) { //nolint:gosec // a group's
		return nil
	}
	return os.Chown(path, -1, gid)
}

// removeStale removes a socket that nobody answers on.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at %s: %w", path, err)
	case info.Mode().Type() != os.ModeSocket:
		return fmt.Errorf("listen on %s: it exists and is no socket: move it away or choose another path", path)
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		return errors.Join(fmt.Errorf("listen on %s: another daemon answers there: stop it or choose another path", path), c.Close())
	case errors.Is(err, syscall.ECONNREFUSED):
		if err = os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove stale socket: %w", err)
		}
		return nil
	case errors.Is(err, os.ErrNotExist):
		return nil
	default:
		return fmt.Errorf("listen on %s: cannot tell whether another daemon answers there: %w", path, err)
	}
}

// A listener accepts connections that know their peer.
type listener struct {
	net.Listener

	gate Gate
}

// Accept waits for the next connection. A peer that is gone before its
// credentials were read, or has none, is kept and not admitted.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	peer, ok := peerOf(c)
	return &conn{Conn: c, admitted: ok && l.gate.Admit(peer), peer: peer}, nil
}

// A conn is a connection and the verdict about its peer.
type conn struct {
	net.Conn

	admitted bool
	peer     Peer
}

// peerOf asks the kernel who is at the other end.
func peerOf(c net.Conn) (Peer, bool) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return Peer{}, false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return Peer{}, false
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil || credErr != nil {
		return Peer{}, false
	}
	return Peer{UID: cred.Uid, GID: cred.Gid, PID: cred.Pid}, true
}

// connKey finds the *conn in a request's context.
type connKey struct{}

func connContext(ctx context.Context, c net.Conn) context.Context {
	if c, ok := c.(*conn); ok {
		return context.WithValue(ctx, connKey{}, c)
	}
	return ctx
}

// admit lets only admitted peers through to next. A connection of any other
// listener has no peer and is not admitted.
func (s *Server) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, known := r.Context().Value(connKey{}).(*conn)
		if known && c.admitted {
			next.ServeHTTP(w, r)
			return
		}
		if known {
			s.log.WarnContext(r.Context(), "caller turned away", slog.Uint64("uid", uint64(c.peer.UID)), slog.Int64("pid", int64(c.peer.PID)))
		}
		w.Header().Set("Connection", "close")
		s.write(w, r, http.StatusForbidden, problem{Message: "only root, the daemon's user and the group " + StaffGroup + " may use this socket"})
	})
}
