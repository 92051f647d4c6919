package systemd

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// checkEvery is how often parts are checked where no watchdog is asked for.
const checkEvery = 5 * time.Second

// A Watchdog pets the service manager's watchdog as long as every part of the
// daemon takes its steps. A part that hangs stops the petting, and the service
// manager restarts the daemon; a part that works and finds its camera, model
// or disk missing goes on beating, since a restart would not bring that back.
type Watchdog struct {
	// Log is told once when a part is late and once when it is back. Nil: not.
	// It must not be changed once Run was called.
	Log *slog.Logger

	base  time.Time // beats are counted from here, on the monotonic clock
	mu    sync.Mutex
	parts []*part
}

// A part is something that must beat.
type part struct {
	name   string
	within time.Duration
	last   atomic.Int64 // time of the last beat since base, ns
	late   bool         // as last told; Run's own
}

// NewWatchdog returns a watchdog without parts, which would be petted always.
func NewWatchdog() *Watchdog { return &Watchdog{base: time.Now()} }

// Part adds a part that must call beat at least once in every span of within,
// the first beginning when it is added or when Run is called, whichever is
// later. Beat may be called from any goroutine, costs about as much as reading
// the clock, and does not allocate. A within that is not positive panics.
func (w *Watchdog) Part(name string, within time.Duration) (beat func()) {
	if within <= 0 {
		panic(fmt.Sprintf("systemd: part %s must beat within %v", name, within))
	}
	p := &part{name: name, within: within}
	beat = func() { p.last.Store(int64(time.Since(w.base))) }
	beat()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.parts = append(w.parts, p)
	return beat
}

// Late returns the names of the parts that are late now.
func (w *Watchdog) Late() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var late []string
	for _, p := range w.parts {
		if w.quiet(p) > p.within {
			late = append(late, p.name)
		}
	}
	return late
}

// quiet is how long a part has not beaten.
func (w *Watchdog) quiet(p *part) time.Duration {
	return time.Since(w.base) - time.Duration(p.last.Load())
}

// Run checks the parts until ctx ends, then returns nil. Under a watchdog
// ($WATCHDOG_USEC is set for this process) it pets it at every check, at half
// of its time, while no part is late.
func (w *Watchdog) Run(ctx context.Context) error {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("read the watchdog's time: %w", err)
	}
	every := checkEvery
	if limit > 0 {
		every = limit / 2
	}
	log := w.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	w.mu.Lock()
	for _, p := range w.parts { // what start-up took is not held against them
		p.last.Store(int64(time.Since(w.base)))
	}
	w.mu.Unlock()
	tick := time.NewTicker(every)
	defer tick.Stop()
	unheard := false // the last message did not get through; told once
	for {
		err := w.check(ctx, log, limit > 0)
		if err != nil && !unheard {
			log.WarnContext(ctx, "service manager not reached", slog.Any("err", err))
		}
		unheard = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// check tells which parts became late or came back, and pets if none is late.
func (w *Watchdog) check(ctx context.Context, log *slog.Logger, pet bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	changed := false
	var late []string
	for _, p := range w.parts {
		quiet := w.quiet(p)
		is := quiet > p.within
		if is {
			late = append(late, p.name)
		}
		if is == p.late {
			continue
		}
		p.late, changed = is, true
		if is {
			log.ErrorContext(ctx, "part takes no steps", slog.String("part", p.name), slog.Duration("quiet", quiet), slog.Duration("within", p.within))
		} else {
			log.InfoContext(ctx, "part takes its steps again", slog.String("part", p.name))
		}
	}
	switch {
	case changed && len(late) > 0:
		return notify(statusLine("hung: " + strings.Join(late, ", ")))
	case changed:
		if err := notify(statusLine("every part takes its steps again")); err != nil {
			return err
		}
	}
	if len(late) > 0 || !pet {
		return nil
	}
	return notify(daemon.SdNotifyWatchdog)
}
