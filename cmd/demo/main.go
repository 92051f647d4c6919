// Command demo shows the product doing its main job, on real parts: it starts
// the gateway simulator and the kiosk on a composed clip, launches one session,
// prints what happens as a timeline, and checks that it ended as it must.
//
//	demo [-clip portrait|spoof] [-offline | -relay] [-light] [-patient] [-size 720x1280] [-locale id|en] [-bin DIR] [-out DIR]
//
// Exit codes: 0 it ended as it must, 1 it did not, 64 wrong usage.
package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/kiosk/commission"
	"livekiosk/kiosk/trace"
	"livekiosk/ui/text"
)

const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 64
)

// longest is how long a whole demonstration may take.
const longest = 4 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, longest)
	code := run(ctx, os.Args[1:], os.Stdout)
	cancel()
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, out io.Writer) int {
	d := demo{out: out, began: time.Now()}
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.StringVar(&d.clip, "clip", "portrait", "portrait: a person; spoof: a faded print of the same picture")
	fs.BoolVar(&d.offline, "offline", false, "the gateway is down until the visitor has left")
	fs.BoolVar(&d.light, "light", false, "with a light challenge, by whose colours the composed visitor is lit")
	relayed := fs.Bool("relay", false, "a relay opens the evidence; while the gateway is down, the kiosk is stolen")
	fs.BoolVar(&d.patient, "patient", false, "wait until the outcome screen has ended by itself")
	fs.StringVar(&d.size, "size", "720x1280", "size of the screens where there is no display")
	fs.StringVar(&d.locale, "locale", "en", "language of the screens: id or en")
	fs.StringVar(&d.bin, "bin", "bin", "folder of the programs")
	fs.StringVar(&d.dir, "out", filepath.Join("out", "demo"), "folder for everything that is written")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitOK
		}
		return exitUsage
	}
	d.stolen, d.offline = *relayed, d.offline || *relayed
	if fs.NArg() > 0 || d.clip != "portrait" && d.clip != "spoof" || d.clip == "spoof" && (d.offline || d.light) {
		say(out, "demo: -clip is portrait or spoof; -offline, -relay and -light go with portrait\n")
		return exitUsage
	}
	err := d.run(ctx)
	d.stop()
	if err != nil {
		say(out, "\ndemo: %v\n      the logs are in %s\n", err, d.dir)
		return exitFailed
	}
	return exitOK
}

// A demo is one demonstration.
type demo struct {
	clip, size, locale, bin, dir string
	sockets                      string // folder of the kiosk's socket
	offline, patient, stolen     bool
	light                        bool

	out        io.Writer
	began      time.Time
	address    string // of the gateway
	partnerTLS string // address by which the kiosk reaches the partner backend
	relayed    string // address of the relay; "": there is none
	relay      *child
	sim        *child
	kiosk      *child
	client     *api.Client
	seen       []kiosk.Event
}

func (d *demo) say(what, format string, args ...any) {
	say(d.out, "%6.1fs  %-10s %s\n", time.Since(d.began).Seconds(), what, fmt.Sprintf(format, args...))
}

// say writes for the person watching, who may have gone.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

func (d *demo) run(ctx context.Context) error {
	if err := os.RemoveAll(d.dir); err != nil {
		return fmt.Errorf("clear %s: %w", d.dir, err)
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return fmt.Errorf("make %s: %w", d.dir, err)
	}
	var err error
	if d.sockets, err = os.MkdirTemp("", "kioskd-demo-"); err != nil {
		return fmt.Errorf("a folder for the socket: %w", err)
	}
	defer os.RemoveAll(d.sockets) //nolint:errcheck // in a folder that is emptied by itself
	if err = d.prepare(ctx); err != nil {
		return err
	}
	correlation := "demo-" + rand.Text()
	session, err := d.client.Launch(ctx, kiosk.Launch{
		CorrelationID: correlation, UserID: "demo-visitor", UserIDType: "CUSTOMER_ID",
		Locale: kiosk.Locale(d.locale), Theme: kiosk.NoPreference,
	})
	if err != nil {
		return fmt.Errorf("launch: %w", err)
	}
	d.say("launched", "correlation id %s", correlation)
	if err = d.client.Session(ctx, session, func(e kiosk.Event) error { d.event(e); return nil }); err != nil {
		return fmt.Errorf("follow the session: %w", err)
	}
	d.say("memory", "kioskd uses %d MB", d.kiosk.memory()>>20)
	if d.offline {
		if err = d.comeBack(ctx); err != nil {
			return err
		}
	}
	told, err := d.partner(ctx, correlation)
	if err != nil {
		return err
	}
	d.say("partner", "was told: status %s, result %s %s", told.Status, told.Result, told.Reason)
	if err = d.judge(ctx, told); err != nil {
		return err
	}
	if d.patient {
		if err = d.rest(ctx); err != nil {
			return err
		}
	}
	return d.show(session)
}

// prepare starts the programs and waits until the idle screen was seen.
func (d *demo) prepare(ctx context.Context) error {
	var err error
	if d.address, err = freePort(ctx); err != nil {
		return err
	}
	if d.partnerTLS, err = freePort(ctx); err != nil {
		return err
	}
	if err = d.startSim(ctx); err != nil { // the partner's certificates are made at its first start
		return err
	}
	if d.stolen {
		if err = d.startRelay(ctx); err != nil {
			return err
		}
	}
	if d.offline {
		d.sim.stop()
		d.say("gateway", "is down")
	}
	if err = d.startKiosk(ctx); err != nil {
		return err
	}
	return pause(ctx, time.Second)
}

func (d *demo) startSim(ctx context.Context) error {
	var err error
	if d.sim, err = d.start(ctx, "gatewaysim", "-listen", d.address, "-state", filepath.Join(d.dir, "gateway"),
		"-partner-tls", d.keys(), "-partner-tls-listen", d.partnerTLS); err != nil {
		return err
	}
	if err := d.await(ctx, d.sim, func() bool { return answers(ctx, d.address) }); err != nil {
		return err
	}
	d.say("gateway", "simulator at http://%s", d.address)
	return nil
}

// keys is where the partner backend has its certificates and the kiosk's.
func (d *demo) keys() string { return filepath.Join(d.dir, "tls") }

func (d *demo) startKiosk(ctx context.Context) error {
	// A Unix socket's path is short, and the output folder's need not be.
	socket := filepath.Join(d.sockets, "kioskd.sock")
	config := filepath.Join(d.dir, "kioskd.toml")
	err := os.WriteFile(config, fmt.Appendf(nil, `# The partner backend knows this kiosk by its certificate.
[gateway]
base_url          = "http://%s"
partner_url       = "https://%s"
partner_ca_file   = %q
partner_cert_file = %q
partner_key_file  = %q
%s%s`, cmp.Or(d.relayed, d.address), d.partnerTLS, filepath.Join(d.keys(), "ca.crt"), filepath.Join(d.keys(), "kiosk.crt"), filepath.Join(d.keys(), "kiosk.key"),
		d.relayConfig(), d.lightConfig()), 0o600)
	if err != nil {
		return fmt.Errorf("the kiosk's configuration: %w", err)
	}
	taps := "agree,ready"
	if d.light {
		taps += ",flash"
		if err = d.commission(); err != nil {
			return err
		}
	}
	began := time.Now()
	if d.kiosk, err = d.start(ctx, "kioskd", "-config", config, "-camera", "clip:"+d.clip, "-state", filepath.Join(d.dir, "state"), "-socket", socket,
		"-screens", filepath.Join(d.dir, "screens"), "-script", taps, "-size", d.size); err != nil {
		return err
	}
	d.client = api.NewClient(socket)
	if err := d.await(ctx, d.kiosk, func() bool {
		s, err := d.client.Status(ctx)
		return err == nil && s.Ready
	}); err != nil {
		return err
	}
	d.say("kiosk", "ready after %.1f s", time.Since(began).Seconds())
	return nil
}

// comeBack restarts the daemon, brings the network back and waits until the
// visitor's capture was delivered.
func (d *demo) comeBack(ctx context.Context) error {
	entries, err := d.client.Queue(ctx)
	if err != nil {
		return fmt.Errorf("look at the queue: %w", err)
	}
	if len(entries) != 1 || entries[0].State == "done" {
		return fmt.Errorf("want one waiting record while the gateway is down, have %+v", entries)
	}
	d.say("queue", "1 record, %s, %d KB sealed", entries[0].State, entries[0].Bytes>>10)
	d.kiosk.stop()
	if d.stolen {
		if err = d.steal(ctx); err != nil {
			return err
		}
	}
	d.say("kiosk", "is stopped and started again")
	if err = d.startKiosk(ctx); err != nil {
		return err
	}
	if err = d.startSim(ctx); err != nil {
		return err
	}
	told := errors.New("told")
	err = d.client.Events(ctx, 0, true, func(e kiosk.Event) error {
		if e.Session == "" {
			return nil
		}
		d.event(e)
		if e.Kind == kiosk.EventResult { // the partner's front end was told NOT_COMPLETED before
			return told
		}
		return nil
	})
	if !errors.Is(err, told) {
		return fmt.Errorf("wait for the delivery: %w", err)
	}
	return nil
}

// event prints one line of the session's story.
func (d *demo) event(e kiosk.Event) {
	d.seen = append(d.seen, e)
	words := e.Text
	switch e.Kind {
	case kiosk.EventHint:
		words = fmt.Sprintf("%-20s %q", e.Text, text.Of(kiosk.Locale(d.locale)).Hint(kiosk.Hint(e.Text)))
	case kiosk.EventAgain:
		words = "try again, " + e.Text
	case kiosk.EventSaved:
		words = string(e.Record)
	case kiosk.EventLaunched:
		return
	case kiosk.EventPhase, kiosk.EventCaptured, kiosk.EventToken, kiosk.EventURLs, kiosk.EventUploaded, kiosk.EventConfirmed,
		kiosk.EventStatus, kiosk.EventDeferred, kiosk.EventSettled, kiosk.EventOutcome, kiosk.EventResult, kiosk.EventVoided, kiosk.EventFault, kiosk.EventPanel, kiosk.EventModels:
	}
	d.say(string(e.Kind), "%s", words)
}

// A verdict is what the partner backend knows of a session.
type verdict struct {
	SubmissionID string `json:"submissionId"`
	Status       string `json:"status"`
	Result       string `json:"result"`
	Reason       string `json:"reasonCode"`
}

// partner asks the partner backend until it knows the result.
func (d *demo) partner(ctx context.Context, correlation string) (verdict, error) {
	var v verdict
	err := d.await(ctx, d.sim, func() bool {
		body, err := fetch(ctx, "http://"+d.address+"/partner/v1/sessions/"+correlation)
		return err == nil && json.Unmarshal(body, &v) == nil && v.Result != ""
	})
	if err != nil {
		return v, fmt.Errorf("the partner was told no result: %w", err)
	}
	return v, nil
}

// judge holds what happened against what must happen.
func (d *demo) judge(ctx context.Context, told verdict) error {
	body, err := fetch(ctx, "http://"+d.address+"/sim/events")
	if err != nil {
		return fmt.Errorf("the simulator's own record: %w", err)
	}
	confirmed := 0
	for line := range bytes.Lines(body) {
		var e struct {
			Call   string `json:"call"`
			Status int    `json:"status"`
		}
		if json.Unmarshal(line, &e) == nil && e.Call == "confirm" && e.Status == http.StatusOK {
			confirmed++
		}
	}
	has := func(kind kiosk.EventKind, text string) bool {
		return slices.ContainsFunc(d.seen, func(e kiosk.Event) bool { return e.Kind == kind && (text == "" || e.Text == text) })
	}
	if d.clip == "spoof" {
		switch {
		case has(kiosk.EventOutcome, string(kiosk.GrantedScreen)) || told.Result == "VALID":
			return errors.New("a print was accepted")
		case told.Result != "INVALID" || told.Reason != "NOT_LIVE":
			return fmt.Errorf("want INVALID NOT_LIVE, the gateway said %s %s", told.Result, told.Reason)
		case !has(kiosk.EventAgain, ""):
			return errors.New("nobody was asked to try again")
		case !has(kiosk.EventOutcome, string(kiosk.RefusedScreen)):
			return errors.New("the visitor was not sent to staff")
		}
		return d.flagged(ctx)
	}
	outcome := kiosk.GrantedScreen
	if d.offline {
		outcome = kiosk.SavedScreen
	}
	switch {
	case told.Result != "VALID":
		return fmt.Errorf("want VALID, the gateway said %s %s", told.Result, told.Reason)
	case !has(kiosk.EventResult, string(kiosk.Completed)):
		return errors.New("the front end was never told COMPLETED")
	case !has(kiosk.EventOutcome, string(outcome)):
		return fmt.Errorf("the visitor never saw %q", outcome)
	case confirmed != 1:
		return fmt.Errorf("want one confirmed submission, the gateway counted %d", confirmed)
	}
	return nil
}

// flagged checks that the capture went on marked for a person to look at.
func (d *demo) flagged(ctx context.Context) error {
	entries, err := d.client.Queue(ctx)
	if err != nil {
		return fmt.Errorf("look at the queue: %w", err)
	}
	if !slices.ContainsFunc(entries, func(e kiosk.Entry) bool { return e.Review }) {
		return errors.New("the last attempt was not flagged for review")
	}
	d.say("queue", "the last attempt is flagged for review")
	return nil
}

// show says where everything is, and replays the trace.
func (d *demo) show(session kiosk.SessionID) error {
	if code := d.kiosk.stop(); code != 0 {
		return fmt.Errorf("kioskd ended with exit code %d", code)
	}
	path := filepath.Join(d.dir, "state", "traces", string(session)+".trace")
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	defer f.Close()
	sum, err := trace.Replay(f)
	if err != nil {
		return fmt.Errorf("trace %s: %w", path, err)
	}
	if d.light {
		if sum.Light.Reason != "" || sum.Light.Score < 0.8 {
			return fmt.Errorf("the composed face does not follow the colours: %+v", sum.Light)
		}
		d.say("light", "the composed face follows the colours: %.3f, over %d frames", sum.Light.Score, sum.Light.Frames)
	}
	if len(sum.Mismatches) > 0 {
		return fmt.Errorf("trace %s does not reproduce: %s", path, sum.Mismatches[0])
	}
	pictures, err := filepath.Glob(filepath.Join(d.dir, "screens", "*.png"))
	if err != nil {
		return fmt.Errorf("screens: %w", err)
	}
	screens := fmt.Sprintf("%s (%d pictures)", filepath.Join(d.dir, "screens"), len(pictures))
	if len(pictures) == 0 {
		screens = "were shown in a window"
	}
	say(d.out, "\nscreens  %s\ntrace    %s (%d inputs, replayed: same phases, hints and effects)\nqueue    %s\nlogs     %s\n",
		screens, path, sum.Inputs, filepath.Join(d.dir, "state", "outbox.db"), filepath.Join(d.dir, "*.log"))
	return nil
}

// lightConfig has the kiosk light the visitor's face, if that is asked for.
func (d *demo) lightConfig() string {
	if !d.light {
		return ""
	}
	return "\n[flow]\nlight_challenge = \"review\"\n"
}

// commission writes what an installer would have found out: the lag of the display
// and camera that are simulated.
func (d *demo) commission() error {
	p := commission.Profile{}.With("clip:"+d.clip, "demo", time.Now().UTC(), kiosk.Reading{
		Step: kiosk.LatencyStep, Figures: map[string]float64{"ms": 80, "spread_ms": 10},
	})
	b, err := p.Encode()
	if err != nil {
		return err
	}
	state := filepath.Join(d.dir, "state")
	if err := os.MkdirAll(state, 0o700); err != nil {
		return fmt.Errorf("the kiosk's state: %w", err)
	}
	if err := os.WriteFile(filepath.Join(state, "profile.json"), b, 0o600); err != nil {
		return fmt.Errorf("the kiosk's profile: %w", err)
	}
	return nil
}

// rest waits until the kiosk is free for the next visitor.
func (d *demo) rest(ctx context.Context) error {
	for range 3 { // an outcome stays for at most 30 s, and so long await waits
		err := d.await(ctx, d.kiosk, func() bool {
			s, err := d.client.Status(ctx)
			return err == nil && !s.SessionRunning
		})
		if err == nil {
			return nil
		}
	}
	return errors.New("the outcome screen does not end")
}

// await polls ok until it holds, the child ends, or half a minute has passed.
func (d *demo) await(ctx context.Context, c *child, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	t := time.NewTicker(50 * time.Millisecond)
	defer t.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", c.name, context.Cause(ctx))
		case <-c.done:
			return fmt.Errorf("%s ended by itself with exit code %d", c.name, c.cmd.ProcessState.ExitCode())
		case <-t.C:
		}
	}
	return nil
}

func (d *demo) stop() {
	d.kiosk.stop()
	d.relay.stop()
	d.sim.stop()
}

// A child is a program of ours that runs beside the demonstration.
type child struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

func (d *demo) start(ctx context.Context, name string, args ...string) (*child, error) {
	log, err := os.OpenFile(filepath.Join(d.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", name, err)
	}
	defer log.Close() // the child has its own
	c := &child{name: name, cmd: exec.CommandContext(ctx, filepath.Join(d.bin, name), args...), done: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = log, log
	c.cmd.Env = append(os.Environ(), "MALLOC_ARENA_MAX=2", "GODEBUG=asyncpreemptoff=1") // as the unit has it
	c.cmd.Cancel = func() error { return c.cmd.Process.Signal(syscall.SIGTERM) }
	c.cmd.WaitDelay = 10 * time.Second
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = c.cmd.Wait() // the exit code is read from ProcessState
		close(c.done)
	}()
	return c, nil
}

// stop asks the child to end and returns its exit code. A nil child has ended
// well.
func (c *child) stop() int {
	if c == nil {
		return 0
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended before
	select {
	case <-c.done:
	case <-time.After(15 * time.Second):
		_ = c.cmd.Process.Kill()
		<-c.done
	}
	return c.cmd.ProcessState.ExitCode()
}

// memory returns the child's resident set in bytes, 0 if it cannot be read.
func (c *child) memory() int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		var kb int64
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kb); err == nil {
			return kb << 10
		}
	}
	return 0
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

func freePort(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return address, nil
}

func fetch(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", url, err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", url, err)
	}
	defer res.Body.Close() //nolint:errcheck // only read from
	body, err := io.ReadAll(io.LimitReader(res.Body, 8<<20))
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", url, err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask %s: HTTP %d", url, res.StatusCode)
	}
	return body, nil
}
