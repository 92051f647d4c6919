// Command gatewaysim runs the simulated gateway, object store and sample
// partner backend on loopback, for development, demos and tests. It is no
// product: it holds no real credentials and must not be reachable from
// anywhere else.
//
// It prints one JSON line with its address when it is ready:
//
//	{"address":"127.0.0.1:8787","gateway":"http://127.0.0.1:8787","partner":"http://127.0.0.1:8787/partner"}
//
// The partner backend's root is /partner; /sim/events tells what happened, and
// /sim/faults takes faults to come.
//
// Exit codes: 0 asked to stop, 1 fault, 64 wrong usage.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"livekiosk/inference/models"
	"livekiosk/queue/gateway/gatewaysim"
)

// Exit codes.
const (
	exitOK    = 0
	exitFault = 1
	exitUsage = 64 // EX_USAGE, sysexits(3)
)

var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process: tests call it with their own context,
// arguments and outputs.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	log := slog.New(slog.NewJSONHandler(stderr, nil))
	err := serve(ctx, args, stdout, stderr, log)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errUsage):
		log.ErrorContext(ctx, "not started", slog.Any("err", err))
		return exitUsage
	}
	log.ErrorContext(ctx, "stopped", slog.Any("err", err))
	return exitFault
}

// flags are the command line.
type flags struct {
	listen string
	models string
	blind  bool // no face check
	sim    gatewaysim.Options
}

func parse(args []string, stderr io.Writer) (flags, error) {
	var f flags
	set := flag.NewFlagSet("gatewaysim", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.StringVar(&f.listen, "listen", "127.0.0.1:8787", "loopback `address` to listen on")
	set.StringVar(&f.models, "models", models.Dir(), "`directory` of the face check's runtime and weights")
	set.BoolVar(&f.blind, "no-face-check", false, "approve any image that decodes")
	set.StringVar(&f.sim.Faults, "faults", "", "fault `script`, such as 'urls=503x3,upload=reset'")
	set.DurationVar(&f.sim.JudgeAfter, "judge-after", 500*time.Millisecond, "`time` from confirmation to verdict")
	set.IntVar(&f.sim.PollsBeforeVerdict, "polls", 0, "`number` of status calls answered IN_PROGRESS before a verdict is told")
	set.IntVar(&f.sim.CallbackRepeats, "callback-repeats", 1, "`number` of times a callback comes again")
	set.BoolVar(&f.sim.NewSubmissions, "new-submissions", false, "answer every request for upload URLs with a new submission")
	set.DurationVar(&f.sim.Lifetimes.UploadURL, "upload-life", 10*time.Minute, "`time` an upload URL is good for")
	set.DurationVar(&f.sim.Lifetimes.UserToken, "user-token-life", 60*24*time.Hour, "`time` a user token is good for")
	set.DurationVar(&f.sim.Lifetimes.PartnerToken, "partner-token-life", time.Hour, "`time` a partner token is good for")
	if err := set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return f, err
		}
		return f, fmt.Errorf("%w: %w", errUsage, err)
	}
	if set.NArg() > 0 {
		return f, fmt.Errorf("%w: unexpected argument %q", errUsage, set.Arg(0))
	}
	host, _, err := net.SplitHostPort(f.listen)
	if err != nil {
		return f, fmt.Errorf("%w: -listen: %w", errUsage, err)
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
		return f, fmt.Errorf("%w: -listen: %q is not a loopback address: use 127.0.0.1:PORT or [::1]:PORT", errUsage, host)
	}
	if _, err := gatewaysim.ParseFaults(f.sim.Faults); err != nil {
		return f, fmt.Errorf("%w: -faults: %w", errUsage, err)
	}
	return f, nil
}

func serve(ctx context.Context, args []string, stdout, stderr io.Writer, log *slog.Logger) error {
	f, err := parse(args, stderr)
	if err != nil {
		return err
	}
	f.sim.Log = log
	if f.blind {
		log.WarnContext(ctx, "NO FACE CHECK: every image that decodes is approved, whatever it shows")
	} else {
		c, broken := newChecker(ctx, f.models)
		if broken != nil {
			return fmt.Errorf("face check: %w (or run with -no-face-check)", broken)
		}
		defer c.close()
		f.sim.FaceCheck = c.check
	}

	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", f.listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	address := l.Addr().String()
	f.sim.BaseURL = "http://" + address
	sim, err := gatewaysim.New(f.sim)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	server := &http.Server{
		Handler:           sim,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       2 * time.Minute,
		// Those who follow the events leave when the simulator stops.
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return sim.Run(ctx) })
	g.Go(func() error {
		if end := server.Serve(l); !errors.Is(end, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", end)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if server.Shutdown(last) != nil {
			_ = server.Close() // somebody hangs on: they are cut off
		}
		return nil
	})
	err = json.NewEncoder(stdout).Encode(struct {
		Address string `json:"address"`
		Gateway string `json:"gateway"`
		Partner string `json:"partner"`
	}{address, f.sim.BaseURL, f.sim.BaseURL + "/partner"})
	if err != nil {
		err = fmt.Errorf("say that it is ready: %w", err)
		return errors.Join(err, server.Close(), g.Wait())
	}
	return g.Wait()
}
