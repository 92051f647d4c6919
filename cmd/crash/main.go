// Command crash proves the outbox at every point at which the power can go.
//
//	crash [-images 2000] [-kills 100] [-seed N] [-workers 2] [-duration 0]
//	crash -control NAME
//
// It records the product's own outbox at work on a disk, makes the images that
// a power cut could have left of that disk, and has the product start from
// each: nothing that was acknowledged is lost, nothing comes back, nothing is
// sent twice, nothing readable reached the disk, and nothing that was erased
// can be opened again. Then it kills the outbox's process time and again. Last
// come the controls: what the test has to notice, or it proves nothing. With
// -control it is one of them alone, or "none".
//
// It models devices that keep what they were told to flush. It needs root,
// /dev/fuse, loop devices and mkfs.ext4, and "go build" for the controls that
// weaken the outbox.
//
// Exit codes: 0 all held, and each control was noticed; 1 not so; 64 wrong
// usage; 77 this machine lacks what it needs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"livekiosk/queue/crashtest"
)

const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 64
	exitLacks  = 77
)

// controlNone asks for a run without controls.
const controlNone = "none"

func main() {
	if code, played := crashtest.Play(context.Background()); played {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	os.Exit(run(ctx, os.Args[1:], os.Stdout))
}

// say writes for the person watching, who may have gone.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

func run(ctx context.Context, args []string, out io.Writer) int {
	var o crashtest.Options
	fs := flag.NewFlagSet("crash", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.IntVar(&o.Images, "images", 2000, "different images to try; 0: none")
	fs.IntVar(&o.Kills, "kills", 100, "rounds of SIGKILL")
	fs.IntVar(&o.Workers, "workers", 2, "images tried at a time")
	fs.Uint64Var(&o.Seed, "seed", 0, "seed of all choices; 0: a new one, which is printed")
	fs.DurationVar(&o.Duration, "duration", 0, "time after which no other image is tried; 0: no limit")
	control := fs.String("control", "", "one control alone: "+names()+", or "+controlNone+" of them; empty: the run, and then all of them")
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	case fs.NArg() > 0:
		say(out, "crash: unexpected argument %q\n", fs.Arg(0))
		return exitUsage
	case *control != "" && *control != controlNone && !slices.Contains(crashtest.Controls(), crashtest.Control(*control)):
		say(out, "crash: %q is none of %s, %s\n", *control, names(), controlNone)
		return exitUsage
	}
	if err := o.Validate(); err != nil {
		say(out, "%v\n", err)
		return exitUsage
	}
	if err := crashtest.Missing(); err != nil {
		say(out, "crash: skipped: %v\n", err)
		return exitLacks
	}
	if o.Seed == 0 {
		o.Seed = uint64(rand.Uint32())
	}
	say(out, "seed %d\n", o.Seed)
	if err := prove(ctx, o, crashtest.Control(*control), out); err != nil {
		say(out, "\ncrash: %v\n", err)
		return exitFailed
	}
	return exitOK
}

func names() string {
	var all []string
	for _, c := range crashtest.Controls() {
		all = append(all, string(c))
	}
	return strings.Join(all, ", ")
}

// prove makes the run and the controls that were asked for.
func prove(ctx context.Context, o crashtest.Options, control crashtest.Control, out io.Writer) error {
	controls := []crashtest.Control{control}
	whole := control == crashtest.None || control == controlNone
	if whole {
		controls = crashtest.Controls()
	}
	if control == controlNone {
		controls = nil
	}
	var failed error
	if whole {
		start := time.Now()
		r, err := crashtest.Run(ctx, o, func(r crashtest.Report) { progress(out, r, start) })
		table(out, r)
		switch {
		case err != nil:
			return err
		case r.Broken() > 0:
			failed = fmt.Errorf("%d problems in %d images and %d rounds of SIGKILL", r.Broken(), r.Tried()+r.Images[crashtest.Double], r.Kills)
		case ctx.Err() != nil:
			return errors.New("interrupted")
		}
	}
	weakened := ""
	if slices.ContainsFunc(controls, crashtest.Control.Weakens) {
		dir, err := os.MkdirTemp("", "crash-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir) //nolint:errcheck // in the directory for such files
		weakened = filepath.Join(dir, "crash")
		if err := build(ctx, weakened); err != nil {
			return errors.Join(failed, err)
		}
	}
	for _, c := range controls {
		co := c.Options(o.Seed, o.Workers)
		co.Weakened = weakened
		r, err := crashtest.Run(ctx, co, nil)
		switch {
		case ctx.Err() != nil:
			return errors.Join(failed, errors.New("interrupted"))
		case err != nil:
			failed = errors.Join(failed, fmt.Errorf("control %s: %w", c, err))
		case !c.Noticed(r):
			failed = errors.Join(failed, fmt.Errorf("control %s passed unnoticed in %d images: the test proves nothing: %s", c, r.Tried(), problems(r)))
		default:
			say(out, "control %-12s noticed in %d images: %s\n", c, r.Tried(), problems(r))
			if len(r.Examples) > 0 {
				say(out, "        such as: %s\n", r.Examples[0])
			}
		}
	}
	return failed
}

// build makes this program again, with what weakens the outbox.
func build(ctx context.Context, path string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", "weaken", "-o", path, "livekiosk/cmd/crash")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the weakened outbox for the controls (in the module's directory, or use -control none): %w: %s", err, text)
	}
	return nil
}

func progress(out io.Writer, r crashtest.Report, start time.Time) {
	say(out, "%6s  %d workloads, %d images, %d of recoveries, %d SIGKILLs, %d problems\n",
		time.Since(start).Round(time.Second), r.Workloads, r.Tried(), r.Images[crashtest.Double], r.Kills, r.Broken())
}

// problems lists how many there were of each kind.
func problems(r crashtest.Report) string {
	var all []string
	for kind, n := range r.Problems {
		all = append(all, fmt.Sprintf("%d %s", n, kind))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// table tells what came of a run.
func table(out io.Writer, r crashtest.Report) {
	row := func(what, format string, args ...any) {
		say(out, "%-28s"+format+"\n", append([]any{what}, args...)...)
	}
	say(out, "\n")
	row("recorded", "%d workloads: %d writes of %.1f MB, %d flushes, %d lines, %d calls at the gateway, in %v",
		r.Workloads, r.Writes, float64(r.Bytes)/1e6, r.Flushes, r.Lines, r.Effects, r.Record.Round(time.Second))
	row("different images", "%d of %d", r.Tried(), r.Candidates)
	for _, kind := range crashtest.Kinds() {
		row("  "+string(kind), "%d", r.Images[kind])
	}
	if n := r.Tried() + r.Images[crashtest.Double]; n > 0 {
		row("time", "%v: %.1f ms an image", r.Try.Round(time.Second), float64(r.Try.Milliseconds())/float64(n))
	}
	row("rounds of SIGKILL", "%d", r.Kills)
	row("secrets in writes", "%d of %d looked for", r.Found, r.Secrets)
	row("erased parts that open", "%d images; %d parts were tried with %d keys, and %d images still held erased parts", r.Exposed, r.Parts, r.Keys, r.Remains)
	row("problems", "%d %s", r.Broken(), problems(r))
	for _, e := range r.Examples {
		say(out, "  %s\n", e)
	}
	if r.Stopped {
		say(out, "stopped before all images were tried\n")
	}
}
