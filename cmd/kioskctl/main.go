// Command kioskctl is the command line of staff, partners and fleet engines
// for the kiosk daemon of the same board. It launches sessions, follows them,
// books persons who are expected, shows the daemon's state and the outbox,
// decides about records that were set aside, and looks after the panel's lines,
// over the daemon's Unix socket. No
// daemon is needed to replay recorded traces, to look after keys, languages,
// bundles of models, updates and the data partition, and to run the relay that
// kiosks seal their evidence for.
//
// The socket is the one of --socket, else of $KIOSKD_SOCKET, else
// /run/kioskd/kioskd.sock, else $XDG_RUNTIME_DIR/kioskd/kioskd.sock, else
// ~/.local/state/kioskd/kioskd.sock. Only root, the daemon's own user and the
// group kiosk-staff may use it.
//
// Exit codes, after sysexits(3):
//
//	0   done. A session: completed, or saved for later delivery
//	1   the session ended otherwise, the kiosk is not healthy, a step of commissioning was not passed, or the data partition has an alarm
//	64  the command line, the launch or the booking is malformed
//	65  a trace does not reproduce or is no trace; no such session, booking, record, key or line, or one that does not open; an update, a bundle or a language file that is refused
//	69  the daemon cannot be reached, or failed
//	73  the file to be written cannot be, or exists
//	75  busy, full, out of service, stopping, not ended yet, or still needed: try later
//	77  no permission to use the socket or the key store
//
// What is on a command line can be read by every user of the machine while the
// command runs. Give a user token by --token-file, or by "--token -" on
// standard input, and a user id by "--user-id -".
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"livekiosk/kiosk/api"
	"livekiosk/systemd/update"
)

// version is set by the image build: -ldflags "-X main.version=...".
var version = "devel"

// Exit codes: see the package comment.
const (
	exitOK          = 0
	exitEnded       = 1
	exitUsage       = 64 // EX_USAGE
	exitData        = 65 // EX_DATAERR
	exitUnavailable = 69 // EX_UNAVAILABLE
	exitCannot      = 73 // EX_CANTCREAT
	exitLater       = 75 // EX_TEMPFAIL
	exitForbidden   = 77 // EX_NOPERM
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	os.Exit(run(ctx, os.Args[1:], world{in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv, now: time.Now, system: api.SystemSocket}))
}

// A world is what a command sees of its surroundings.
type world struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string
	now      func() time.Time
	system   string // socket of the system's own daemon
	board    update.Machine
}

// complain tells an error on one line. There is nobody to tell if that fails.
func (w world) complain(err error) {
	_, _ = fmt.Fprintf(w.err, "kioskctl: %s\n", printable(strings.Join(strings.Fields(err.Error()), " ")))
}

// An exitError ends the command with a code. With a nil err nothing more is
// said: the output has said it.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usage(format string, a ...any) error { return &exitError{exitUsage, fmt.Errorf(format, a...)} }

// A command is one subcommand.
type command struct {
	name, args, summary string
	more                string // for help; may be empty
	// flags defines the command's own flags on fs and returns what runs it
	// with the arguments that are no flags.
	flags func(fs *flag.FlagSet) func(ctx context.Context, c call, args []string) error
}

// A call is one run of a command.
type call struct {
	world

	socket string // as given by --socket; "" if not
	json   bool
}

// run is main without the process: tests call it with their own world.
func run(ctx context.Context, args []string, w world) int {
	err := dispatch(ctx, args, w)
	code := exitCode(err)
	if e, ok := errors.AsType[*exitError](err); err != nil && (!ok || e.err != nil) {
		w.complain(err)
	}
	return code
}

func dispatch(ctx context.Context, args []string, w world) error {
	c := call{world: w}
	fs := newFlags(&c)
	showVersion := fs.Bool("version", false, "")
	rest, err := parseUntilWord(fs, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return help(w.out, nil)
	case err != nil:
		return usage("%w: see kioskctl help", err)
	case *showVersion:
		rest = []string{"version"}
	case len(rest) == 0:
		return usage("no command given: see kioskctl help")
	}
	name, rest := rest[0], rest[1:]
	if name == "help" {
		return help(w.out, rest)
	}
	cmd, ok := find(name)
	if !ok {
		return usage("there is no command %q: see kioskctl help", name)
	}
	fs = newFlags(&c)
	runCommand := cmd.flags(fs)
	words, err := parse(fs, rest)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return help(w.out, []string{name})
	case err != nil:
		return usage("%s: %w: see kioskctl help %s", name, err, name)
	}
	if err := runCommand(ctx, c, words); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// newFlags returns a flag set with what every command takes. What c holds
// already stays the default.
func newFlags(c *call) *flag.FlagSet {
	fs := flag.NewFlagSet("kioskctl", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&c.socket, "socket", c.socket, "the daemon's `socket`")
	fs.BoolVar(&c.json, "json", c.json, "print JSON, one value a line, for machines")
	return fs
}

func parseUntilWord(fs *flag.FlagSet, args []string) ([]string, error) {
	err := fs.Parse(args)
	return fs.Args(), plain(err)
}

// parse is fs.Parse that also takes flags after words; "--" ends them.
func parse(fs *flag.FlagSet, args []string) (words []string, err error) {
	for {
		if err := fs.Parse(args); err != nil {
			return nil, plain(err)
		}
		rest := fs.Args()
		if len(rest) == 0 {
			return words, nil
		}
		if n := len(args) - len(rest); n > 0 && args[n-1] == "--" {
			return append(words, rest...), nil
		}
		words, args = append(words, rest[0]), rest[1:]
	}
}

// plain puts an error of package flag into this command's spelling. It drops
// the value, which may be a secret.
func plain(err error) error {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return err
	}
	text := err.Error()
	switch {
	case strings.HasPrefix(text, "flag provided but not defined: -"):
		return errors.New("there is no flag --" + strings.TrimPrefix(text, "flag provided but not defined: -"))
	case strings.HasPrefix(text, "flag needs an argument: -"):
		return errors.New("--" + strings.TrimPrefix(text, "flag needs an argument: -") + " needs a value")
	case strings.Contains(text, " for flag -"), strings.Contains(text, " value "):
		if _, name, ok := strings.Cut(text, " for -"); ok {
			name, _, _ = strings.Cut(name, ":")
			return fmt.Errorf("--%s has a value that it cannot take", name)
		}
		if _, name, ok := strings.Cut(text, " for flag -"); ok {
			name, _, _ = strings.Cut(name, ":")
			return fmt.Errorf("--%s has a value that it cannot take", name)
		}
	}
	return errors.New("the flags cannot be read")
}

// exitCode maps what went wrong to the documented codes.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	if r, ok := errors.AsType[*api.RefusalError](err); ok {
		switch {
		case r.HTTP == http.StatusNotFound, r.HTTP == http.StatusGone:
			return exitData
		case r.Retriable, r.HTTP == http.StatusServiceUnavailable:
			return exitLater
		case r.HTTP == http.StatusBadRequest, r.HTTP == http.StatusConflict:
			return exitUsage
		}
	}
	if errors.Is(err, api.ErrForbidden) {
		return exitForbidden
	}
	return exitUnavailable
}

func find(name string) (command, bool) {
	all := commands()
	i := slices.IndexFunc(all, func(c command) bool { return c.name == name })
	if i < 0 {
		return command{}, false
	}
	return all[i], true
}

// help prints the whole help, or that of one command.
func help(out io.Writer, args []string) error {
	text := overview()
	if len(args) > 0 {
		c, ok := find(args[0])
		if !ok || len(args) > 1 {
			return usage("help: there is no command %q: see kioskctl help", strings.Join(args, " "))
		}
		text = c.help()
	}
	if _, err := io.WriteString(out, text+common); err != nil {
		return fmt.Errorf("write the help: %w", err)
	}
	return nil
}

func overview() string {
	var b strings.Builder
	b.WriteString("kioskctl launches and follows sessions of the kiosk on this board.\n\nCommands:\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-10s %s\n", c.name, c.summary)
	}
	b.WriteString("  help       this text, or that of one command: kioskctl help launch\n")
	return b.String()
}

func (c command) help() string {
	var b strings.Builder
	fmt.Fprintf(&b, "usage: kioskctl %s\n\n%s.\n", strings.TrimSpace(c.name+" "+c.args), c.summary)
	if c.more != "" {
		fmt.Fprintf(&b, "\n%s\n", c.more)
	}
	fs := newFlags(&call{})
	c.flags(fs)
	b.WriteString("\nFlags:\n")
	fs.VisitAll(func(f *flag.Flag) {
		value, text := flag.UnquoteUsage(f)
		fmt.Fprintf(&b, "  %-22s %s\n", strings.TrimSpace("--"+f.Name+" "+value), text)
	})
	return b.String()
}

const common = `
The socket is the one of --socket, else of $KIOSKD_SOCKET, else
/run/kioskd/kioskd.sock, else $XDG_RUNTIME_DIR/kioskd/kioskd.sock, else
~/.local/state/kioskd/kioskd.sock.

Exit codes:
   0  done. A session: completed, or saved for later delivery
   1  the session ended otherwise, the kiosk is not healthy, a step of commissioning was not passed, or the data partition has an alarm
  64  the command line, the launch or the booking is malformed
  65  a trace does not reproduce or is no trace; no such session, booking, record, key or line, or one that does not open; an update, a bundle or a language file that is refused
  69  the daemon cannot be reached, or failed
  73  the file to be written cannot be, or exists
  75  busy, full, out of service, stopping, not ended yet, or still needed: try later
  77  no permission to use the socket or the key store
`
