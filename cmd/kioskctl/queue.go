package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
)

func queueFlags(fs *flag.FlagSet) func(context.Context, call, []string) error {
	reason := fs.String("reason", "", "retry: all dead records of this reason; dismiss: why, in your own `words`")
	return func(ctx context.Context, c call, args []string) error {
		switch {
		case len(args) > 0 && args[0] == "retry":
			return retry(ctx, c, args[1:], *reason)
		case len(args) > 0 && args[0] == "dismiss":
			return dismiss(ctx, c, args[1:], *reason)
		case *reason != "":
			return usage("--reason goes with retry or dismiss: see kioskctl help queue")
		}
		return queue(ctx, c, args)
	}
}

func queue(ctx context.Context, c call, args []string) error {
	if err := words(args); err != nil {
		return err
	}
	entries, err := c.entries(ctx)
	if err != nil {
		return err
	}
	if !c.json {
		return c.print(nil, queueText(entries))
	}
	return printEach(c, entries)
}

func (c call) entries(ctx context.Context) ([]kiosk.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	entries, err := c.client().Queue(ctx)
	if err != nil {
		return nil, c.explain(err)
	}
	return entries, nil
}

// retry has the named dead records delivered after all, or those of a reason.
func retry(ctx context.Context, c call, names []string, reason string) error {
	switch {
	case reason != "" && len(names) > 0:
		return usage("RECORD and --reason are both given: give one")
	case reason != "":
		entries, err := c.entries(ctx)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.State == "dead" && e.Reason == reason {
				names = append(names, string(e.Record))
			}
		}
		if len(names) == 0 {
			return &exitError{exitData, fmt.Errorf("no dead record has the reason %q: see kioskctl queue", reason)}
		}
	case len(names) == 0:
		return usage("RECORD is missing, or --reason for all records of a reason")
	}
	var worst error
	for _, name := range names {
		if err := words([]string{name}, "RECORD"); err != nil {
			return err
		}
		err := c.decide(ctx, name, "waits for delivery", func(ctx context.Context, cl *api.Client, id kiosk.RecordID) error { return cl.Retry(ctx, id) })
		if _, refused := errors.AsType[*api.RefusalError](err); err != nil && !refused {
			return err
		}
		if err == nil {
			continue
		}
		if worst != nil { // only the last is left for run to tell
			c.complain(worst)
		}
		worst = err
	}
	return worst
}

// dismiss gives a dead record up.
func dismiss(ctx context.Context, c call, args []string, reason string) error {
	if err := words(args, "RECORD"); err != nil {
		return err
	}
	if le, ok := errors.AsType[*kiosk.LaunchError](api.ValidateReason(reason)); ok {
		return usage("--reason %s", le.Reason)
	}
	return c.decide(ctx, args[0], "given up", func(ctx context.Context, cl *api.Client, id kiosk.RecordID) error { return cl.Dismiss(ctx, id, reason) })
}

// decide tells the daemon what becomes of a record, and prints it.
func (c call) decide(ctx context.Context, name, became string, tell func(context.Context, *api.Client, kiosk.RecordID) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	id := kiosk.RecordID(name)
	if err := tell(ctx, c.client(), id); err != nil {
		return fmt.Errorf("%s: %w", id, c.explain(err))
	}
	return c.print(map[string]any{"record": id, "became": became}, fmt.Sprintf("%s: %s", id, became))
}
