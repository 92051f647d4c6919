// Fetch fetches the inference runtime and the networks' weights of the manifest
// into the cache, and converts those that need it.
//
//	go run ./inference/models/fetch [-dir DIR] [-arch amd64,arm64] [-check | -list]
//
// With -check it only says whether all is there; with -list it checks, too, and
// prints the paths of what a kiosk needs. It needs npm to fetch, and nothing to
// check.
//
// Exit codes: 0 all is there; 1 something is not, and stderr says what;
// 2 usage, which "go run" turns into 1.
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
	"strings"
	"syscall"

	"livekiosk/inference/models"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code) //nolint:forbidigo // this is a main, although not under cmd
}

func run(ctx context.Context, args []string, stdout io.Writer, stderr *os.File) int {
	flags := flag.NewFlagSet("fetch", flag.ContinueOnError)
	flags.SetOutput(stderr)
	dir := flags.String("dir", models.Dir(), "fetch into `directory`")
	archs := flags.String("arch", runtime.GOARCH, "runtimes to fetch, a `list` of amd64 and arm64 with commas")
	check := flags.Bool("check", false, "fetch nothing, only tell by the exit code whether all is there")
	list := flags.Bool("list", false, "fetch nothing, print the paths of what a kiosk needs")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		say(stderr, "fetch: unknown argument %q", flags.Arg(0))
		return 2
	}
	m, err := models.Embedded()
	if err != nil {
		say(stderr, "fetch: %v", err)
		return 1
	}
	o := models.FetchOptions{Dir: *dir, Archs: strings.Split(*archs, ","), Progress: stderr, Terminal: terminal(stderr)}
	err = o.Validate(m)
	if err != nil {
		say(stderr, "fetch: -arch: %v", err)
		return 2
	}
	if *check || *list {
		err = m.Check(ctx, o)
	} else {
		err = m.Fetch(ctx, o)
	}
	if err != nil {
		say(stderr, "%v", err)
		return 1
	}
	if *list {
		for _, path := range m.Paths(o) {
			say(stdout, "%s", path)
		}
	}
	return 0
}

func say(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, format+"\n", args...)
}

// terminal reports whether f is one.
func terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
