package pin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"livekiosk/kiosk"
)

// How many wrong tries in a row are free, and how long none is looked at after
// each further one: doubling from the first to the last.
const (
	free       = 5
	firstPause = time.Minute
	lastPause  = time.Hour
)

// A Guard looks at few tries. It serves PINs, and codes that can be guessed as
// well. Its zero value forgets its count at a restart; Path keeps it. It is
// safe for concurrent use: one try is looked at after the other.
type Guard struct {
	Path string               // of the file that keeps the count; "": none does
	Now  func() time.Duration // since boot

	// Most is the longest pause, at least a minute; 0: an hour. For what anybody
	// may type, so that nobody can keep all others out for long.
	Most time.Duration
	// Many says that there are many right tries: one clears no count, since
	// whoever has one could guess the others. An hour without a wrong one does.
	Many bool

	mu     sync.Mutex
	read   bool
	wrong  int
	paused time.Duration // until then, since boot
	last   time.Duration // wrong one, since boot
}

// Try has right look at a try, unless too many were wrong: that is a
// *kiosk.PausedError. The try is counted durably before it is looked at, so that
// pulling the plug makes no try free; a count that cannot be kept is an error.
// A right one clears the count, and one that could not be looked at, an error of
// right, takes its own back.
func (g *Guard) Try(right func() (bool, error)) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.load(); err != nil {
		return false, err
	}
	if left := g.paused - g.Now(); left > 0 {
		return false, &kiosk.PausedError{For: left}
	}
	if g.Many && g.Now()-g.last >= lastPause {
		g.wrong = 0
	}
	if err := g.set(g.wrong + 1); err != nil {
		return false, err
	}
	ok, err := right()
	switch {
	case err != nil:
		return false, errors.Join(err, g.set(g.wrong-1))
	case ok && g.Many:
		return true, g.set(g.wrong - 1)
	case ok:
		return true, g.set(0)
	}
	g.last = g.Now()
	g.pause()
	return false, nil
}

// Load reads the count, and begins a pause that is due. Without it the first try
// does.
func (g *Guard) Load() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.load()
}

// pause has nothing looked at for a while if that is due.
func (g *Guard) pause() {
	most := g.Most
	if most == 0 {
		most = lastPause
	}
	if over := g.wrong - free; over >= 0 {
		g.paused = g.Now() + min(most, firstPause<<min(over, 10))
	}
}

// load reads the count once. After a restart a pause begins anew: nobody knows
// how long the last one has lasted.
func (g *Guard) load() error {
	if g.read || g.Path == "" {
		return nil
	}
	b, err := os.ReadFile(g.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("count of tries: %w", err)
	default:
		if g.wrong, err = strconv.Atoi(strings.TrimSpace(string(b))); err != nil || g.wrong < 0 {
			g.wrong = free // whoever damaged it could have been trying
		}
	}
	g.read = true
	g.pause()
	return nil
}

// set keeps the count, durably.
func (g *Guard) set(n int) (err error) {
	if g.wrong == n {
		return nil
	}
	if g.Path == "" {
		g.wrong = n
		return nil
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("count of tries: %w", err)
		}
	}()
	if err = os.MkdirAll(filepath.Dir(g.Path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(g.Path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	// In place: the line is of one length, and shorter than a sector.
	_, err = fmt.Fprintf(f, "%9d\n", n)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	g.wrong = n
	return nil
}
