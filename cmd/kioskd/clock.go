package main

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"livekiosk/kiosk/api"
)

// skewMost is how far the clock may be off and still be trusted: what a
// consent's time and a certificate's days can bear.
const skewMost = 5 * time.Minute

// A clock holds the wall clock against the gateway's. It corrects nothing:
// that is the time service's business. It is safe for concurrent use.
type clock struct {
	floor time.Time // before it the clock cannot be right
	log   *slog.Logger

	mu    sync.Mutex
	known bool
	ahead time.Duration // of the gateway, when it told
	wall  time.Time     // when that was, without a monotonic reading
	up    time.Duration // and by the clock that nobody sets
}

func newClock(log *slog.Logger) *clock { return &clock{floor: built(), log: log} }

// built returns the time of the source this program was built from, and the
// zero time where the build did not note it.
func built() time.Time {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return time.Time{}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			if at, err := time.Parse(time.RFC3339, s.Value); err == nil {
				return at
			}
		}
	}
	return time.Time{}
}

// told notes how far the gateway is ahead of this machine. It implements
// gateway.Options.Skew.
func (c *clock) told(ctx context.Context, behind time.Duration) {
	c.mu.Lock()
	before := !c.known || near(c.ahead)
	c.known, c.ahead = true, -behind
	c.wall, c.up = time.Now().Round(0), sinceBoot()
	after := near(c.ahead)
	c.mu.Unlock()
	switch {
	case before && !after:
		c.log.WarnContext(ctx, "clock is wrong: check the time service", slog.String("ahead_of_gateway", (-behind).Round(time.Second).String()))
	case !before && after:
		c.log.InfoContext(ctx, "clock is right again", slog.String("ahead_of_gateway", (-behind).Round(time.Second).String()))
	}
}

func near(skew time.Duration) bool { return skew.Abs() <= skewMost }

// skew returns how far this machine is ahead of the gateway by now, and false
// until the gateway has told its time. A clock that was set since then is off
// by that much more.
func (c *clock) skew() (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known {
		return 0, false
	}
	return c.ahead + time.Now().Round(0).Sub(c.wall) - (sinceBoot() - c.up), true
}

// confirmed reports whether the gateway agrees with this machine: enough to
// remove by age what cannot be had again.
func (c *clock) confirmed() bool {
	s := c.status()
	return s.Known && s.Trusted
}

func (c *clock) status() api.ClockStatus {
	ahead, known := c.skew()
	return api.ClockStatus{Known: known, Trusted: near(ahead) && !time.Now().Before(c.floor), SkewSeconds: ahead.Seconds()}
}
