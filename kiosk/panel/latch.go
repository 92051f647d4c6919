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
	disk sync.Mutex // held while the file is written: that may take long, and mu is not

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

// Set latches that the case was opened, for as long as the process lasts.
func (l *Latch) Set(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t.Latched, l.t.Opened = true, at
}

// Save makes durable what was set. Unless it returns nil it is to be called
// again. It waits for the disk.
func (l *Latch) Save() error {
	l.disk.Lock()
	defer l.disk.Unlock()
	return l.write(l.State())
}

// Clear ends the latch, durably. Unless it returns nil the case is latched as
// before. It waits for the disk, and must not be called together with Set.
func (l *Latch) Clear(at time.Time, by string) error {
	l.disk.Lock()
	defer l.disk.Unlock()
	was := l.State()
	next := was
	next.Latched, next.Cleared, next.By = false, at, by
	if err := l.write(next); err != nil {
		_ = l.write(was) // the other may be there, and only not be durable
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
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
