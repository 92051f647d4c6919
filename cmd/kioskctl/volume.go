package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"livekiosk/systemd/volume"
)

const volumeHelp = `For kioskd-volume.service, on boards with a data partition of their own. "status"
tells what became of it at this boot, and of what may have been lost, at this boot and
before. "clear" ends that alarm, because somebody has taken note of it; the evidence
stays on the partition until there is newer one.

"mount" brings the partition up: it checks it, repairs it, formats it if it cannot be
mounted otherwise, and mounts memory where all of that is of no use, so that the kiosk
starts, out of service. "fallback" mounts memory if a "mount" did not end.

It asks no daemon, and wants root but for status. The exit code of status is 1 where
there is an alarm; that of mount is 0 whatever became of the partition, 69 if nothing
could be mounted at all.`

func volumeFlags(fs *flag.FlagSet) func(context.Context, call, []string) error {
	dir := fs.String("run", "/run/kioskd-volume", "where the report is, and what is mounted (`folder`)")
	wait := fs.Duration("wait", 0, "mount: how long the device is waited for (`time`); default 20s")
	return func(ctx context.Context, c call, args []string) error {
		if len(args) == 0 {
			args = []string{"status"}
		}
		v := volume.Volume{Dir: *dir, Wait: *wait}
		if args[0] == "mount" {
			if err := words(args[1:], "DEVICE"); err != nil {
				return err
			}
			v.Device = args[1]
			r, err := v.Mount(ctx)
			return errors.Join(c.print(r, volumeText(r)), volumeError(err))
		}
		switch what := args[0]; {
		case len(args) > 1:
			return usage("%q is one argument too many", args[1])
		case what == "status":
			return volumeStatus(c, *dir)
		case what == "clear":
			return volumeError(volume.Clear(*dir))
		case what == "fallback":
			// systemd runs this whenever the unit stops, and says how that came.
			if c.getenv("SERVICE_RESULT") == "success" {
				return nil
			}
			r, err := v.Fallback()
			return errors.Join(c.print(r, volumeText(r)), volumeError(err))
		default:
			return usage("%q: want status, mount, fallback or clear", what)
		}
	}
}

func volumeStatus(c call, dir string) error {
	r, err := volume.Read(dir)
	if err != nil {
		return volumeError(err)
	}
	if err := c.print(r, volumeText(r)); err != nil {
		return err
	}
	if len(r.Losses) > 0 || r.State == volume.Volatile {
		return &exitError{exitEnded, nil}
	}
	return nil
}

// volumeError gives an error its exit code.
func volumeError(err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, os.ErrPermission) {
		return &exitError{exitForbidden, err}
	}
	return err
}

// volumeText is a report for people.
func volumeText(r volume.Report) string {
	if r.State == "" {
		return "this board has no data partition that is looked after"
	}
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, "%s: %s", r.Device, r.State)
	if r.Cause != volume.NoCause {
		_, _ = fmt.Fprintf(&b, " (%s)", r.Cause)
	}
	if r.State != volume.Ready && r.Detail != "" {
		_, _ = fmt.Fprintf(&b, "\nsaid     %s", printable(r.Detail))
	}
	for _, l := range r.Losses {
		_, _ = fmt.Fprintf(&b, "\nalarm    %s, %s: how many captures were lost is not known here; the last metrics tell how many waited", l.When.Format(time.DateTime), l.State)
		if l.Adrift > 0 {
			_, _ = fmt.Fprintf(&b, "\n         %d pieces in /var/lost+found", l.Adrift)
		}
		if l.Rescued > 0 {
			_, _ = fmt.Fprintf(&b, "\n         %d files were read before, and put back", l.Rescued)
		}
		if l.Evidence != "" {
			_, _ = fmt.Fprintf(&b, "\n         evidence for support: %s", l.Evidence)
		}
	}
	if len(r.Losses) > 0 {
		b.WriteString("\ndo       note it, then: kioskctl volume clear")
	}
	return b.String()
}
