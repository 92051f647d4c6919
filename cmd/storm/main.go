// Command storm proves the product under load.
//
//	storm [-captures 1000] [-relay]    every capture is confirmed exactly once, whatever breaks
//	storm soak [-for 1h]               the daemon neither grows nor leaks, through outages and restarts
//	storm drain [-records 1000]        the outbox drains nearly as fast as a client without one
//
// Everything runs on loopback. The processes it starts end with it. Exit codes:
// 0 it holds, 1 it does not, 64 wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 64
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	if code, child := be(ctx); child {
		os.Exit(code)
	}
	os.Exit(run(ctx, os.Args[1:], os.Stdout))
}

func run(ctx context.Context, args []string, out io.Writer) int {
	name := "storm"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, args = args[0], args[1:]
	}
	command := map[string]func(context.Context, []string, io.Writer) error{
		"storm": runStorm, "soak": runSoak, "drain": runDrain,
	}[name]
	if command == nil {
		say(out, "storm: %q is none of soak, drain\n", name)
		return exitUsage
	}
	switch err := command(ctx, args, out); {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errUsage):
		say(out, "%s: %v\n", name, err)
		return exitUsage
	default:
		say(out, "\n%s: %v\n", name, err)
		return exitFailed
	}
}

var errUsage = errors.New("usage")

// parse reads a command's flags, which take no further arguments.
func parse(fs *flag.FlagSet, args []string, out io.Writer) error {
	fs.SetOutput(out)
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("%w: unexpected argument %q", errUsage, fs.Arg(0))
	}
	return nil
}

func runStorm(ctx context.Context, args []string, out io.Writer) error {
	p := plan{calm: 0.95}
	fs := flag.NewFlagSet("storm", flag.ContinueOnError)
	fs.IntVar(&p.captures, "captures", 1000, "`number` of captures to be acknowledged")
	fs.Uint64Var(&p.seed, "seed", 0, "`seed` of every choice; 0: a new one, which is printed")
	fs.DurationVar(&p.pause, "pause", 90*time.Millisecond, "mean `time` between captures")
	fs.DurationVar(&p.every, "every", 700*time.Millisecond, "mean `time` between two strikes")
	fs.DurationVar(&p.longest, "longest", 10*time.Minute, "`time` after which it is a failure")
	fs.IntVar(&p.lanes, "lanes", 8, "`number` of records delivered at a time")
	fs.BoolVar(&p.relay, "relay", false, "a relay opens what the kiosk seals, and is killed, too")
	fs.StringVar(&p.dir, "out", filepath.Join("out", "storm"), "`folder` for everything that is written; emptied first")
	if err := parse(fs, args, out); err != nil {
		return err
	}
	if err := p.validate(); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if p.seed == 0 {
		p.seed = uint64(rand.Uint32())
	}
	if err := os.RemoveAll(p.dir); err != nil {
		return fmt.Errorf("empty %s: %w", p.dir, err)
	}
	_, err := blow(ctx, p, out)
	return err
}

// say writes for the person watching, who may have gone.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

// ask makes one HTTP call and returns the body of a successful answer.
func ask(ctx context.Context, method, url, body string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", url, err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", url, err)
	}
	defer res.Body.Close() //nolint:errcheck // only read from
	answer, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", url, err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask %s: HTTP %d", url, res.StatusCode)
	}
	return answer, nil
}
