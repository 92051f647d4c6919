package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"livekiosk/kiosk/api"
)

const healthHelp = `Tells whether this version works on this board: camera, screen, models, outbox,
panel, the daemon's own parts, clock and gateway. What another version would not
mend is "tolerated": a network that is down, a clock that is wrong, a full
outbox, an opened case.

The camera is closed between sessions, so that only a fault of it shows; --gate
has it stream for three seconds, which switches its light on.

--gate waits until the kiosk is healthy, for --timeout at most: for the unit that
decides whether an update is kept.

The exit code is 0 if the kiosk is healthy, 1 if not, and 69 if the daemon
cannot be reached.`

// healthEvery is how often a gate asks.
const healthEvery = time.Second

func healthFlags(fs *flag.FlagSet) func(context.Context, call, []string) error {
	gate := fs.Bool("gate", false, "have the camera stream, and wait until all is well")
	timeout := fs.Duration("timeout", 2*time.Minute, "with --gate: how long, such as 90s (`time`); default 2m")
	return func(ctx context.Context, c call, args []string) error {
		if err := words(args); err != nil {
			return err
		}
		var h api.Health
		var err error
		switch {
		case *timeout <= 0:
			return usage("--timeout must be more than zero")
		case *gate:
			h, err = waitHealthy(ctx, c, *timeout)
		default:
			short, cancel := context.WithTimeout(ctx, callTimeout)
			defer cancel()
			h, err = c.client().Health(short, false)
		}
		if err != nil {
			return c.explain(err)
		}
		if err := c.print(h, healthText(h)); err != nil {
			return err
		}
		if !h.Healthy {
			return &exitError{code: exitEnded}
		}
		return nil
	}
}

// waitHealthy returns the first report of a healthy kiosk with its camera, or
// the last one before the time ran out, or why there was none. The camera is
// asked last, once everything else is well.
func waitHealthy(ctx context.Context, c call, timeout time.Duration) (last api.Health, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	t := time.NewTicker(healthEvery)
	defer t.Stop()
	err = api.ErrUnreachable
	for {
		for _, probe := range []bool{false, true} {
			h, now := c.client().Health(ctx, probe)
			if ctx.Err() == nil {
				last, err = h, now
			}
			if now != nil || !h.Healthy {
				break
			}
			if probe {
				return h, nil
			}
		}
		if errors.Is(err, api.ErrForbidden) { // it stays so
			return last, err
		}
		select {
		case <-ctx.Done():
			last.Healthy = false // without the camera, at best
			return last, err
		case <-t.C:
		}
	}
}

// healthText is a report for people.
func healthText(h api.Health) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, c := range h.Checks {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", c.Name, c.Finding, c.Text)
	}
	_ = w.Flush() // to memory
	if h.Healthy {
		return b.String() + "healthy"
	}
	return b.String() + "not healthy"
}
