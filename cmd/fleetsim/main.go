// Command fleetsim simulates a fleet of kiosks whose gateway comes back after a
// long outage: does the product's own back-off (queue/deliver.Breaker) bring
// 100,000 kiosks with full queues back without a rush, without waste, and
// without leaving one behind? Nothing of it is on a network; the kiosks know
// nothing of each other, of the size of the fleet or of the gateway's capacity.
//
// It runs several scenarios, and beside them two controls without the policy,
// and writes to the directory of -out
//
//	fleet.md   what was simulated, the figures, and an estimate on paper
//	fleet.csv  scenario, second, calls offered, served and refused a second, records left
//	fleet.png  the rates at the gateway over time
//
// and the table to standard output. The same flags give the same figures. Exit codes: 0 every bound holds, 1 one
// is broken (it says which) or a fault, 64 wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Exit codes.
const (
	exitOK    = 0
	exitFault = 1
	exitUsage = 64 // EX_USAGE, sysexits(3)
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	base := standard()
	fs := flag.NewFlagSet("fleetsim", flag.ContinueOnError)
	fs.SetOutput(stderr)
	out := fs.String("out", "out/fleet", "`directory` for fleet.md, fleet.csv and fleet.png")
	fs.IntVar(&base.Kiosks, "kiosks", base.Kiosks, "size of the fleet")
	fs.Float64Var(&base.Capacity, "capacity", 0, "calls a second that the gateway serves (default 12 for 1,000 kiosks)")
	fs.DurationVar(&base.Outage, "outage", base.Outage, "how long the gateway was away")
	fs.Float64Var(&base.PerHour, "per-hour", base.PerHour, "records of a kiosk in an hour, on average")
	fs.Float64Var(&base.Refusal, "refusal", base.Refusal, "work of a 503, as a share of a call's")
	fs.DurationVar(&base.RetryAfter, "retry-after", base.RetryAfter, "Retry-After of each 503 in every scenario (default: in those named so)")
	fs.Uint64Var(&base.Seed, "seed", base.Seed, "seed")
	controls := fs.Bool("controls", true, "also run the controls, which break bounds")
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	}
	if base.Capacity == 0 {
		base.Capacity = perKiosk * float64(base.Kiosks)
	}
	if err := base.validate(); err != nil || fs.NArg() > 0 {
		if err == nil {
			err = fmt.Errorf("no arguments are expected: %q", fs.Args())
		}
		log.ErrorContext(ctx, "not started", slog.Any("err", err))
		return exitUsage
	}
	if err := simulate(ctx, base, *controls, *out, stdout, log); err != nil {
		log.ErrorContext(ctx, "stopped, or a bound is broken", slog.Any("err", err))
		return exitFault
	}
	return exitOK
}

// simulate runs the scenarios, writes the report and returns the bounds that
// are broken.
func simulate(ctx context.Context, base scenario, controls bool, out string, stdout io.Writer, log *slog.Logger) error {
	// Before minutes of work rather than after them.
	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Errorf("make the directory for the report: %w", err)
	}
	var results []*result
	var broken []error
	for _, s := range scenarios(base, controls) {
		begun := time.Now()
		f := newFleet(s)
		said := begun
		err := f.run(ctx, func(f *fleet) {
			if time.Since(said) > 5*time.Second {
				said = time.Now()
				log.InfoContext(ctx, "draining", slog.String("scenario", s.Name), slog.Int("records_left", f.left), slog.Duration("at", f.now.Round(time.Second)))
			}
		})
		if err != nil {
			return fmt.Errorf("%s: interrupted: %w", s.Name, err)
		}
		r := f.result()
		results = append(results, r)
		log.InfoContext(ctx, "simulated", slog.String("scenario", s.Name), slog.Int("records_left", f.left), slog.Duration("at", f.now.Round(time.Second)),
			slog.Uint64("events", f.steps), slog.Duration("took", time.Since(begun).Round(time.Millisecond)))
		if !s.Control {
			for _, b := range r.broken() {
				broken = append(broken, fmt.Errorf("%s: %w", s.Name, b))
			}
		}
	}
	if err := write(out, base, results); err != nil {
		return err
	}
	if _, err := io.WriteString(stdout, table(results)); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	return errors.Join(broken...)
}
