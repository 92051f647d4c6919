package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
)

const panelHelp = `"list" shows every GPIO line of this machine: its name, which the configuration
wants, which way it goes, who uses it, and what this kiosk has it for.

"watch" prints each change of the kiosk's own lines as it comes, until it is
interrupted.

"set" has an output on or off for a time, and then as it would be without: ring,
red, green, blue, door or buzzer. It is refused while a session is in progress,
and a session that begins ends it.

"clear-tamper" puts a kiosk back into service whose case was opened. Look at the
kiosk and close it first. That it was you is logged and kept.

The exit code is 65 if no such output is configured, or no tampering is latched;
75 while a session is in progress, the line is not there, or the case is open.`

func panelFlags(fs *flag.FlagSet) func(context.Context, call, []string) error {
	var during time.Duration
	fs.DurationVar(&during, "for", 0, "set: for how long, such as 2s; at most 1m (`time`)")
	return func(ctx context.Context, c call, args []string) error {
		what, rest := "list", args
		if len(args) > 0 {
			what, rest = args[0], args[1:]
		}
		if during != 0 && what != "set" {
			return usage("--for goes with set: see kioskctl help panel")
		}
		switch what {
		case "list":
			return lines(ctx, c, rest)
		case "watch":
			return watch(ctx, c, rest)
		case "set":
			return set(ctx, c, rest, during)
		case "clear-tamper":
			return clearTamper(ctx, c, rest)
		}
		return usage("there is no %q: list, watch, set or clear-tamper: see kioskctl help panel", what)
	}
}

// lines lists the GPIO lines.
func lines(ctx context.Context, c call, args []string) error {
	if err := words(args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	all, err := c.client().Panel(ctx)
	if err != nil {
		return c.explain(err)
	}
	if !c.json {
		return c.print(nil, linesText(all))
	}
	return printEach(c, all)
}

func linesText(all []kiosk.Line) string {
	if len(all) == 0 {
		return "this machine has no GPIO line that the daemon can see, and none is configured"
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "LINE\tCHIP\tDIRECTION\tUSED BY\tROLE\tNOW")
	for _, l := range all {
		chip := "-"
		if l.Chip != "" {
			chip = fmt.Sprintf("%s %d", l.Chip, l.Offset)
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", dash(printable(l.Name)), chip, dash(string(l.Direction)), dash(printable(l.Holder)), dash(string(l.Role)), lineNow(l))
	}
	_ = w.Flush() // to memory
	var out []string
	for line := range strings.Lines(b.String()) {
		out = append(out, strings.TrimRight(line, " \n"))
	}
	return strings.Join(out, "\n")
}

// lineNow says what a line is now, or why the kiosk has not got it.
func lineNow(l kiosk.Line) string {
	switch {
	case l.On != nil && *l.On:
		return "on"
	case l.On != nil:
		return "off"
	}
	switch l.State {
	case kiosk.LineMissing:
		return "not there"
	case kiosk.LineHeld:
		return "used by somebody else"
	case kiosk.LineAmbiguous:
		return "several have that name"
	case kiosk.LineFailed:
		return "cannot be set up so: see the kiosk's log"
	case kiosk.LineOwned:
	}
	return "-"
}

// watch prints changes of the panel's lines until it is interrupted.
func watch(ctx context.Context, c call, args []string) error {
	if err := words(args); err != nil {
		return err
	}
	var last uint64
	err := c.client().Events(ctx, 0, false, func(e kiosk.Event) error {
		last = e.Seq
		return nil
	})
	if err != nil {
		return c.explain(err)
	}
	err = c.client().Events(ctx, last+1, true, func(e kiosk.Event) error {
		role, is, _ := strings.Cut(e.Text, " ")
		if e.Kind == api.EventGap {
			return c.print(e, strings.TrimSpace(e.Text+" events are missing here"))
		}
		if e.Kind != kiosk.EventPanel {
			return nil
		}
		return c.print(e, fmt.Sprintf("%s  %-8s %s", e.At.Local().Format("15:04:05.000"), role, is))
	})
	select {
	case <-ctx.Done(): // the way to end it
		return nil
	default:
	}
	if errors.Is(err, api.ErrStopping) {
		return &exitError{exitLater, err}
	}
	return c.explain(err)
}

// set has an output on or off for a time.
func set(ctx context.Context, c call, args []string, during time.Duration) error {
	if err := words(args, "LINE", "on or off"); err != nil {
		return err
	}
	role, on := kiosk.Role(args[0]), args[1] == "on"
	switch {
	case !on && args[1] != "off":
		return usage("%q is neither on nor off", args[1])
	case api.ValidateForce(during) != nil:
		return usage("--for: give a time within %v..%v", api.ShortestForce, api.LongestForce)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := c.client().Force(ctx, role, on, during); err != nil {
		return fmt.Errorf("%s: %w", role, c.explain(err))
	}
	return c.print(map[string]any{"role": role, "on": on, "milliseconds": during.Milliseconds()}, fmt.Sprintf("%s: %s for %v", role, args[1], during))
}

// clearTamper puts a kiosk back into service whose case was opened.
func clearTamper(ctx context.Context, c call, args []string) error {
	if err := words(args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := c.client().ClearTamper(ctx); err != nil {
		return c.explain(err)
	}
	return c.print(map[string]bool{"latched": false}, "cleared: the kiosk is in service unless kioskctl status tells of another fault")
}

// panelText is what the status tells of the panel's lines.
func panelText(own []kiosk.Line) string {
	var b strings.Builder
	has := 0
	for _, l := range own {
		if l.State == kiosk.LineOwned {
			has++
			continue
		}
		fmt.Fprintf(&b, "\n%s (line %s): %s", l.Role, l.Name, lineNow(l))
		if l.Holder != "" {
			fmt.Fprintf(&b, ", %q", l.Holder)
		}
	}
	return fmt.Sprintf("%d of %d lines", has, len(own)) + b.String()
}
