package panel

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"livekiosk/kiosk"
)

// A Latch remembers over restarts that the case was opened, until staff clear
// that. It is safe for concurrent use.
type Latch struct {
	path string

	mu sync.Mutex
	t  kiosk.Tamper
}

// OpenLatch returns the latch whose memory is the file at path; none means that
// the case was never opened. A file that cannot be read is an error, and the
// latch that is returned with it is latched: whoever opens the case could
// damage it.
func OpenLatch(path string) (*Latch, error) {
	l := &Latch{path: path}
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &l.t)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		l.t = kiosk.Tamper{Latched: true}
		return l, fmt.Errorf("what is known of the case: %s: %w", path, err)
	}
	return l, nil
}

// State returns what is known of the case.
func (l *Latch) State() kiosk.Tamper {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.t
}

// Set latches that the case was opened. When it returns nil that is durable;
// else it lasts only as long as the process, and Set is to be called again.
func (l *Latch) Set(at time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t.Latched, l.t.Opened = true, at
	return l.write(l.t)
}

// Clear ends the latch. Unless it returns nil the case is latched as before.
func (l *Latch) Clear(at time.Time, by string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := l.t
	next.Latched, next.Cleared, next.By = false, at, by
	if err := l.write(next); err != nil {
		return err
	}
	l.t = next
	return nil
}

// write replaces the file by one that is whole and durable.
func (l *Latch) write(t kiosk.Tamper) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("keep what is known of the case: %w", err)
		}
	}()
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	if err = os.MkdirAll(filepath.Dir(l.path), 0o700); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(l.path))
	if err != nil {
		return err
	}
	defer dir.Close()
	fresh := filepath.Join(dir.Name(), "."+filepath.Base(l.path)+".new")
	f, err := os.OpenFile(fresh, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(fresh, l.path); err != nil {
		return err
	}
	return dir.Sync()
}
