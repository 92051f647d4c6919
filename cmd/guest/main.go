// Command guest runs the guest tests of the module in the current folder in a
// small emulated machine; see package guest.
//
//	guest [-arch amd64|arm64] [-run REGEXP] [-timeout 10m] [PACKAGE...]
//
// Without packages it is all that have guest tests.
//
// Exit codes: 0 all passed; 1 not so; 64 wrong usage; 77 this machine lacks
// what it needs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"livekiosk/buildroot/test/guest"
)

const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 64
	exitLacks  = 77
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	os.Exit(run(ctx, os.Args[1:], os.Stdout))
}

func run(ctx context.Context, args []string, out io.Writer) int {
	var o guest.Options
	fs := flag.NewFlagSet("guest", flag.ContinueOnError)
	fs.SetOutput(out)
	arch := fs.String("arch", runtime.GOARCH, "architecture of the guest: amd64 or arm64")
	fs.StringVar(&o.Run, "run", "", "which tests, as of go test; empty: TestGuest and what follows")
	fs.DurationVar(&o.Timeout, "timeout", 0, "of the guest, from power on to off; 0: 10 minutes")
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	}
	o.Packages = fs.Args()
	var err error
	if o.Arch, err = guest.ParseArch(*arch); err != nil {
		_, _ = fmt.Fprintf(out, "guest: %v\n", err)
		return exitUsage
	}
	switch err := guest.Run(ctx, o, out); {
	case err == nil:
		return exitOK
	case errors.Is(err, guest.ErrLacks):
		_, _ = fmt.Fprintf(out, "guest: skipped: %v\n", err)
		return exitLacks
	default:
		_, _ = fmt.Fprintf(out, "FAIL\nguest: %s: %v\n", o.Arch, err)
		return exitFailed
	}
}
