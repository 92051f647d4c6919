package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"strings"
	"text/tabwriter"
	"time"

	"livekiosk/systemd/update"
)

const updateHelp = `For kioskd-update.service, on boards whose images systemd-sysupdate writes.
"status" tells what runs, what is installed, what is offered, and what "apply"
would do now; "check" fetches the newest offer before.

"apply" does it: it fetches the offer, has a version that is due written beside
the one that runs, and has kioskd-restart.service restart the board once nobody is
there. While somebody is there nothing is written, for --wait at most. Where the
running version is on trial and did not work the board restarts, too, so that the
boot loader goes back to the one before.

"permit" is for other engines, such as RAUC, which fetch and write by themselves: may
the board be updated to VERSION? It waits as "apply" does.

It asks no daemon, and wants root but for status. The exit code of apply is 0 also
if there was nothing to do; 69 if the offer or the image could not be fetched,
verified or written, and, as of status, if the rollout or update.toml cannot be
read. That of permit is 0 for yes, and 1 for no, as always from a slot that RAUC has
on trial. Of both it is 75 if somebody was there for all of --wait, and of permit
outside of the window.`

func updateFlags(fs *flag.FlagSet) func(context.Context, call, []string) error {
	wait := fs.Duration("wait", 50*time.Minute, "apply, permit: how long somebody is waited for, such as 10m (`time`); default 50m")
	return func(ctx context.Context, c call, args []string) error {
		if len(args) == 0 {
			args = []string{"status"}
		}
		switch what := args[0]; {
		case what == "permit":
			return permitUpdate(ctx, c, args[1:], *wait)
		case len(args) > 1:
			return usage("%q is one argument too many", args[1])
		case *wait <= 0:
			return usage("--wait must be more than zero")
		case what == "status", what == "check":
			return updateStatus(ctx, c, what == "check")
		case what == "apply":
			return applyUpdate(ctx, c, *wait)
		default:
			return usage("%q: want status, check, apply or permit", what)
		}
	}
}

// updateStatus shows the facts, and what would be done.
func updateStatus(ctx context.Context, c call, refresh bool) error {
	if refresh {
		if err := c.board.Refresh(ctx); err != nil {
			return updateError(err)
		}
	}
	f, err := c.board.Facts(ctx)
	if err != nil {
		return updateError(err)
	}
	d := update.Decide(f)
	return updateError(errors.Join(c.print(struct {
		update.Facts
		Next update.Decision `json:"next"`
	}{f, d}, factsText(f)+decisionText(d)), f.Unread))
}

// applyUpdate does what is to be done, and tells it.
func applyUpdate(ctx context.Context, c call, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Hour) // a slow line, and not for ever
	defer cancel()
	d, err := update.Apply(ctx, c.board, wait)
	if d.Action != "" {
		err = errors.Join(err, c.print(d, decisionText(d)))
	}
	return updateError(err)
}

// permitEvery is how often permit looks whether somebody still is there.
const permitEvery = 5 * time.Second

// permitUpdate waits until nobody is there, and tells whether a version may come.
func permitUpdate(ctx context.Context, c call, args []string, wait time.Duration) error {
	if err := words(args, "VERSION"); err != nil {
		return err
	}
	v, err := update.ParseVersion(args[0])
	if err != nil {
		return usage("%w", err)
	}
	t := time.NewTicker(permitEvery)
	defer t.Stop()
	late := time.NewTimer(wait)
	defer late.Stop()
	for {
		d, err := c.board.Permit(v)
		if err != nil {
			return updateError(err)
		}
		switch {
		case d.Action == update.Install:
			return c.print(d, decisionText(d))
		case d.Reason == update.Closed:
			return &exitError{exitLater, errors.New(decisionText(d))}
		case d.Action != update.Wait:
			return &exitError{exitEnded, errors.New(decisionText(d))}
		}
		select {
		case <-ctx.Done():
			return &exitError{exitLater, ctx.Err()}
		case <-late.C:
			return updateError(update.ErrOccupied)
		case <-t.C:
		}
	}
}

// updateError gives an error its exit code.
func updateError(err error) error {
	switch {
	case errors.Is(err, update.ErrOccupied):
		return &exitError{exitLater, err}
	case errors.Is(err, fs.ErrPermission):
		return &exitError{exitForbidden, err}
	}
	return err
}

// factsText is facts for people.
func factsText(f update.Facts) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	line := func(name, format string, a ...any) { _, _ = fmt.Fprintf(w, name+"\t"+format+"\n", a...) }
	line("running", "%s (%s)", f.Running, f.Trial)
	for _, s := range f.Slots {
		switch s.Tries {
		case update.Kept:
			line("installed", "%s", s.Version)
		case 0:
			line("installed", "%s, did not work", s.Version)
		default:
			line("installed", "%s, %d tries left", s.Version, s.Tries)
		}
	}
	if f.Offer == nil {
		line("offered", "nothing")
	} else {
		line("offered", "%s", f.Offer.Version)
	}
	line("ring", "%s", f.Policy.Ring)
	_ = w.Flush() // to memory
	return b.String()
}

// decisionText is a decision for people.
func decisionText(d update.Decision) string {
	if d.Version == "" {
		return fmt.Sprintf("%s: %s", d.Action, d.Reason)
	}
	return fmt.Sprintf("%s: %s (version %s)", d.Action, d.Reason, d.Version)
}
