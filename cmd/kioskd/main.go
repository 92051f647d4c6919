// Command kioskd runs the kiosk: camera, guidance, anti-spoof inference, the
// sealed outbox and its delivery, the screens and the local launch API.
//
// Exit codes:
//
//	0   asked to stop, or -check-config or -self-test found nothing wrong
//	1   fault: a part of the daemon stopped by itself
//	64  wrong usage of the command line
//	78  bad configuration: unknown key, impossible value, unreadable clip
//
// and only by -check-config and -self-test, since a running kiosk shows these on its screen
// and goes on trying:
//
//	65  a model file is not the one in the manifest, or does not load
//	72  a model file or the inference runtime is missing
//	74  the outbox cannot be read, is damaged, or of a newer format
//	75  the outbox is held by another process
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"livekiosk/inference/models"
	"livekiosk/kiosk"
	"livekiosk/ui"
)

// version is set by the image build: -ldflags "-X main.version=...".
var version = "devel"

// Exit codes, after sysexits(3). systemd restarts the daemon on all but
// exitConfig (RestartPreventExitStatus=78): restarting cannot mend a bad
// configuration.
const (
	exitOK      = 0
	exitFault   = 1
	exitUsage   = 64
	exitModel   = 65
	exitMissing = 72
	exitOutbox  = 74
	exitBusy    = 75
	exitConfig  = 78
)

var (
	errConfig = errors.New("bad config")
	errUsage  = errors.New("usage")
)

func main() {
	forbidDumps() // before there is anything to dump
	if preflighting(os.Args) {
		os.Exit(preflightChild(os.Stderr)) // before anything of the kiosk starts
	}
	eraseFreed()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	done := make(chan int, 1)
	go func() {
		code := run(ctx, os.Args[1:], os.Stderr)
		done <- code
		os.Exit(code)
	}()
	ui.Main() // the window system wants the main goroutine
	os.Exit(<-done)
}

// run is main without the process: tests call it with their own context,
// arguments and log.
func run(ctx context.Context, args []string, out io.Writer) int {
	log := slog.New(slog.NewJSONHandler(out, nil)).With(slog.String("version", version))
	err := start(ctx, args, out, log)
	code := exitCode(err)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		log.ErrorContext(ctx, "stopped", slog.Any("err", err), slog.Int("exit_code", code))
	}
	return code
}

func exitCode(err error) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errUsage):
		return exitUsage
	case errors.Is(err, errConfig):
		return exitConfig
	case errors.Is(err, models.ErrMissing):
		return exitMissing
	case errors.Is(err, models.ErrHash), errors.Is(err, errModel):
		return exitModel
	case errors.Is(err, kiosk.ErrQueueBusy):
		return exitBusy
	case errors.Is(err, kiosk.ErrQueueBad), errors.Is(err, kiosk.ErrQueueNewer), errors.Is(err, errOutbox):
		return exitOutbox
	default:
		return exitFault
	}
}

func start(ctx context.Context, args []string, out io.Writer, log *slog.Logger) error {
	if mode, is := storytelling(args); is {
		return tell(ctx, mode, args[1:], os.Stdout, log)
	}
	c, do, err := configure(args, out)
	if err != nil {
		return err
	}
	return do(ctx, c, log)
}

// configure reads the command line and the configuration file, and says what
// to do. A flag wins over the file.
func configure(args []string, out io.Writer) (c Config, do func(context.Context, Config, *slog.Logger) error, err error) {
	flags := flag.NewFlagSet("kioskd", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // one line says what is wrong; -h prints all of them
	file := flags.String("config", "", "configuration `file` (TOML); of the service kioskd.toml in its folder, if it is there")
	checks := flags.Bool("check-config", false, "check configuration, models, clip and outbox, then exit")
	self := flags.Bool("self-test", false, "check models, and serve a composed visitor without camera, display and network, then exit")
	// Found here, it was given with others or by hand.
	told := flags.Bool(storyFlag[1:], false, "as the first argument: show every state of every screen; -story -h tells how")
	reported := flags.Bool(reportFlag[1:], false, "as the first argument: measure what drawing each of them costs; -frame-report -h tells how")
	child := flags.Bool(preflightFlag[1:], false, "internal: kioskd starts itself so to have a child read the outbox first; exit codes 65, 76: damaged, of another format")
	over := map[string]func(string){}
	set := func(name, usage string, apply func(string)) {
		flags.String(name, "", usage)
		over[name] = apply
	}
	set("camera", "camera `source`: auto, /dev/videoN, clip:portrait, clip:spoof, clip:empty, frames:DIR", func(v string) { c.Camera.Source = v })
	set("gateway", "`URL` of the identity gateway", func(v string) { c.Gateway.BaseURL = v })
	set("partner", "`URL` of the partner backend", func(v string) { c.Gateway.PartnerURL = v })
	set("state", "`folder` of the daemon's files", func(v string) { c.State.Dir = v })
	set("models", "`folder` of the runtime and the weights", func(v string) { c.Models.Dir = v })
	set("socket", "Unix `socket` of the launch API", func(v string) { c.API.Socket = v })
	set("display", "auto, window or headless", func(v string) { c.Display.Mode = v })
	set("screens", "headless: `folder` for the screens as PNG", func(v string) { c.Display.Out = v })
	set("script", "controls tapped by themselves, for composed clips only: `agree,done`", func(v string) { c.Display.Script = strings.Split(v, ",") })
	var badSize error
	set("languages", "`folder` of further languages, such as jv.json", func(v string) { c.Display.Languages = v })
	set("size", "headless: `WIDTHxHEIGHT` in pixels", func(v string) {
		w, h, _ := strings.Cut(v, "x")
		var wrong, bad error
		c.Display.Width, wrong = strconv.Atoi(w)
		c.Display.Height, bad = strconv.Atoi(h)
		if wrong != nil || bad != nil {
			badSize = fmt.Errorf("%w: -size: want a size such as 720x1280, have %q", errUsage, v)
		}
	})
	if err = flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(out)
		flags.PrintDefaults()
		return c, nil, err
	} else if err != nil {
		return c, nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	if *child {
		return c, nil, fmt.Errorf("%w: %s is for kioskd itself", errUsage, preflightFlag)
	}
	if *told || *reported {
		return c, nil, fmt.Errorf("%w: %s and %s stand first, or not at all", errUsage, storyFlag, reportFlag)
	}
	if flags.NArg() > 0 {
		return c, nil, fmt.Errorf("%w: unexpected argument %q", errUsage, flags.Arg(0))
	}
	if *file == "" {
		*file = installed()
	}
	if c, err = load(*file); err != nil {
		return c, nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	flags.Visit(func(f *flag.Flag) {
		if apply, ok := over[f.Name]; ok {
			apply(f.Value.String())
		}
	})
	if badSize != nil {
		return c, nil, badSize
	}
	if err = c.Validate(); err != nil {
		return c, nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	switch {
	case *self && *checks:
		return c, nil, fmt.Errorf("%w: -check-config and -self-test exclude each other", errUsage)
	case *self:
		return c, selfTest, nil
	case *checks:
		return c, check, nil
	}
	return c, serve, nil
}

// installed returns the configuration file of the service, "" if there is none
// or this is not the service.
func installed() string {
	dir := os.Getenv("CONFIGURATION_DIRECTORY") // which systemd sets
	if dir == "" {
		return ""
	}
	file := filepath.Join(dir, "kioskd.toml")
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return file
}

// A part is one long-lived piece of the daemon. Run blocks until ctx ends
// (and then returns nil) or the part cannot go on.
type part struct {
	name string
	run  func(context.Context) error
}

// serve runs all parts until ctx ends. A part that stops by itself is a fault
// of the process: systemd restarts it.
func serve(ctx context.Context, c Config, log *slog.Logger) error {
	began := time.Now()
	d, err := wire(ctx, c, log)
	if err != nil {
		return err
	}
	defer d.close(context.WithoutCancel(ctx))
	g, ctx := errgroup.WithContext(ctx)
	for _, p := range d.parts() {
		g.Go(func() error {
			if err := p.run(ctx); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			if ctx.Err() == nil {
				return fmt.Errorf("%s: stopped early", p.name)
			}
			return nil
		})
	}
	g.Go(func() error {
		status := "ready"
		if faults := d.station.State().Faults(); len(faults) > 0 {
			status = "out of service: " + string(faults[0])
		}
		if err := d.notify.Ready(status); err != nil {
			log.WarnContext(ctx, "service manager not told", slog.Any("err", err))
		}
		log.InfoContext(ctx, "ready", slog.String("after", time.Since(began).Round(time.Millisecond).String()), slog.String("camera", c.Camera.Source),
			slog.String("state", c.State.Dir), slog.String("socket", c.API.Socket), slog.String("key_store", string(c.keyStore().Kind)),
			slog.String("mode", c.Relay.mode()), slog.String("relay_key", fingerprint(d.relay)), slog.String("core_dumps", dumps()))
		<-ctx.Done()
		log.InfoContext(ctx, "stopping")
		if err := d.notify.Stopping(); err != nil {
			log.WarnContext(ctx, "service manager not told", slog.Any("err", err))
		}
		return nil
	})
	ended := g.Wait()
	if ended == nil {
		d.bundles.ended(context.WithoutCancel(ctx))
	}
	return ended
}
