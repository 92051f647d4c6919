package systemd

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// A Busy is a file by which scripts see that now is a bad moment to stop the
// daemon. It is there, and locked (flock(2), exclusively), while anybody holds
// it. A file that is there and not locked was left by a daemon that was killed,
// and means nothing. Whoever looks takes a shared lock without waiting, and lets
// go of it at once; that it is there for a moment stands in nobody's way.
//
// Each folder has room for one.
type Busy struct {
	// Log is told once when the file cannot be made, and once when it can again:
	// nothing else waits for it. Nil: not. It must not be changed after the first
	// Hold.
	Log *slog.Logger

	path  string
	mu    sync.Mutex
	holds int
	file  *os.File // locked; nil: nobody holds it, or it cannot be made
	unfit bool     // as last told
}

// NewBusy returns a Busy at path, whose folder must exist when it is held.
func NewBusy(path string) *Busy { return &Busy{path: path} }

// Hold has the file be there, and locked, until release was called. It may be
// called from any goroutine and as often as one likes; release may be called
// twice.
func (b *Busy) Hold() (release func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.holds++; b.holds == 1 {
		err := b.make()
		if b.Log != nil && (err != nil) != b.unfit {
			if err != nil {
				b.Log.Warn("nobody can see that the kiosk is busy", slog.Any("err", err))
			} else {
				b.Log.Info("the file that tells whether the kiosk is busy can be made again")
			}
		}
		b.unfit = err != nil
	}
	return sync.OnceFunc(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.holds--; b.holds > 0 || b.file == nil {
			return
		}
		_ = os.Remove(b.path) // before the lock goes: nobody must take it for one that was left
		_ = b.file.Close()
		b.file = nil
	})
}

// Held reports whether anybody holds it.
func (b *Busy) Held() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.holds > 0
}

// make puts a locked file in the place of whatever is there. Its own name is
// given to it last, so that nobody finds it unlocked.
func (b *Busy) make() error {
	name := filepath.Join(filepath.Dir(b.path), "."+filepath.Base(b.path)+".new")
	_ = os.Remove(name) // left by a daemon that was killed
	f, err := os.OpenFile(name, os.O_RDONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("make %s: %w", b.path, err)
	}
	if err = f.Chmod(0o644); err == nil { // whatever the umask: locking takes reading
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err == nil {
		err = os.Rename(name, b.path)
	}
	if err != nil {
		_ = f.Close()
		_ = os.Remove(name)
		return fmt.Errorf("make %s: %w", b.path, err)
	}
	b.file = f
	return nil
}

// IsBusy looks whether the daemon holds a Busy at path, as scripts do.
func IsBusy(path string) (bool, error) {
	f, err := os.Open(path)
	switch {
	case os.IsNotExist(err):
		return false, nil
	case err != nil:
		return false, err
	}
	defer f.Close()
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("look at %s: %w", path, err)
	}
	return false, nil
}
