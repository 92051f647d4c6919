package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"livekiosk/kiosk/api"
)

const drainHelp = `For update engines and whoever else is about to stop the daemon or the machine.
The kiosk takes no new sessions (launches are refused with 75) and its screen
says that it is being updated. A visitor who is there is served to the end. The
command waits until they have left, nothing is being stored or sent, and every
capture that the gateway takes now is delivered. It does not wait for captures
that were tried and wait for their next try, for a service that cannot be
reached, or for a verdict: they are in the outbox, and safe there.

The exit code is 0 once that is so; the kiosk then stays out of service until
the daemon is restarted or "drain --off" is called. It is 75 if it took longer
than --timeout, or was interrupted: the kiosk is put back into service then, so
that nobody stands before it in vain. Try again later.`

// drainEvery is how often the daemon is asked how far it is.
const drainEvery = 250 * time.Millisecond

func drainFlags(fs *flag.FlagSet) func(context.Context, call, []string) error {
	timeout := fs.Duration("timeout", 5*time.Minute, "how long to wait, such as 90s (`time`); default 5m")
	off := fs.Bool("off", false, "take sessions again")
	return func(ctx context.Context, c call, args []string) error {
		if err := words(args); err != nil {
			return err
		}
		switch {
		case *timeout <= 0:
			return usage("--timeout must be more than zero")
		case *off:
			return resume(ctx, c)
		}
		return drain(ctx, c, *timeout)
	}
}

// resume ends a drain.
func resume(ctx context.Context, c call) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	d, err := c.client().Drain(ctx, false)
	if err != nil {
		return c.explain(err)
	}
	return c.print(d, drainText(d))
}

// drain begins a drain and waits for its end.
func drain(ctx context.Context, c call, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	// Not ctx: a request that is cut short may still begin a drain, after it was
	// ended.
	whole, done := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer done()
	d, err := c.client().Drain(whole, true)
	if err != nil {
		return c.explain(err)
	}
	t := time.NewTicker(drainEvery)
	defer t.Stop()
	for !d.Drained {
		if !d.Draining {
			return &exitError{exitLater, errors.New("the drain was ended: the daemon was restarted, or somebody called kioskctl drain --off")}
		}
		select {
		case <-ctx.Done():
			return giveUp(context.WithoutCancel(ctx), c, d)
		case <-t.C:
		}
		next, err := c.client().Drained(ctx)
		switch {
		case ctx.Err() != nil: // told above
		case err != nil:
			return c.explain(err)
		default:
			d = next
		}
	}
	return c.print(d, drainText(d))
}

// giveUp puts the kiosk back into service. was is how far it had come.
func giveUp(ctx context.Context, c call, was api.Drain) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if _, err := c.client().Drain(ctx, false); err != nil {
		return &exitError{exitLater, fmt.Errorf("not drained in time, and perhaps not back in service: %w", c.explain(err))}
	}
	return &exitError{exitLater, fmt.Errorf("not drained in time, and back in service: %s", leftWords(was.Left))}
}

// drainText says how a drain ended.
func drainText(d api.Drain) string {
	switch {
	case !d.Draining:
		return "the kiosk takes sessions again"
	case d.Unsent == 0:
		return "drained: nothing waits to be sent"
	default:
		return fmt.Sprintf("drained: %d captures wait in the outbox for their next try", d.Unsent)
	}
}

// leftWords says what a drain waits for.
func leftWords(l api.Left) string {
	switch l {
	case api.LeftSession:
		return "a visitor is there"
	case api.LeftStoring:
		return "a capture is being stored or sent"
	case api.LeftUpkeep:
		return "the outbox is being compacted"
	case api.LeftDelivery:
		return "captures are being delivered"
	case api.LeftNothing:
	}
	return "nothing"
}
