package main

import (
	"context"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
)

// Bounds of the second half of the long life, by a robust line through its
// samples. They are the collector's and the allocator's moods: a leak of a
// frame, a connection or a goroutine for each session is far beyond them
// within minutes.
const (
	mostMemory     = 24 << 20 // bytes
	mostDescriptor = 3
	mostThreads    = 3
	mostGoroutines = 4
)

// Sessions that a soak needs, however short it is.
const (
	leastTrend = 3 // in the second half of the long life
	leastShort = 3 // in lives after it
)

// Times of a soak.
const (
	sessionTime = 2 * time.Minute // a session, at most
	drainTime   = 8 * time.Minute // until the outbox is empty at the end: its longest wait is five
	stopTime    = 30 * time.Second
)

// A soak runs sessions on the real daemon for a long time.
type soak struct {
	duration time.Duration
	seed     uint64
	bin, dir string

	out     io.Writer
	log     *os.File
	table   *csv.Writer
	began   time.Time
	random  *rand.Rand
	address string // of the gateway
	socket  string // of the daemon
	client  *api.Client

	gateway, kiosk *child

	life     int // of the daemon, from 1
	samples  []sample
	sessions []visit
	weather  map[ordeal]int
}

// An ordeal is what a session goes through.
type ordeal string

const (
	fair        ordeal = "fair"
	offline     ordeal = "offline"     // the gateway is away for the whole session
	restarted   ordeal = "restarted"   // the gateway is killed in the middle, and back at once
	troubled    ordeal = "troubled"    // the gateway has faults
	interrupted ordeal = "interrupted" // the daemon is killed in the middle
)

// A visit is one session as it was seen.
type visit struct {
	correlation string
	ordeal      ordeal
	outcome     string // screen; "": none was seen
	saved       bool   // a record was acknowledged
}

// wrong says why a visit did not end as it must. "" if it did.
func (v visit) wrong() string {
	granted, saved := v.outcome == string(kiosk.GrantedScreen), v.outcome == string(kiosk.SavedScreen)
	ok := granted || saved
	switch v.ordeal {
	case fair:
		ok = granted
	case offline:
		ok = saved
	case interrupted:
		ok = true
	case restarted, troubled:
	}
	if ok {
		return ""
	}
	return fmt.Sprintf("%s (%s) ended with %q", v.correlation, v.ordeal, v.outcome)
}

func runSoak(ctx context.Context, args []string, out io.Writer) error {
	s := &soak{out: out, weather: map[ordeal]int{}}
	fs := flag.NewFlagSet("soak", flag.ContinueOnError)
	fs.DurationVar(&s.duration, "for", time.Hour, "`time` to go on; it is longer if too few sessions fit in")
	fs.Uint64Var(&s.seed, "seed", 0, "`seed` of every choice; 0: a new one, which is printed")
	fs.StringVar(&s.bin, "bin", "bin", "`folder` of the programs")
	fs.StringVar(&s.dir, "out", filepath.Join("out", "soak"), "`folder` for everything that is written; emptied first")
	if err := parse(fs, args, out); err != nil {
		return err
	}
	if s.duration < time.Minute {
		return fmt.Errorf("%w: -for: want at least 1m", errUsage)
	}
	if s.seed == 0 {
		s.seed = uint64(rand.Uint32())
	}
	if err := os.RemoveAll(s.dir); err != nil {
		return fmt.Errorf("empty %s: %w", s.dir, err)
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("make %s: %w", s.dir, err)
	}
	var err error
	if s.log, err = os.Create(filepath.Join(s.dir, "children.log")); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	defer s.log.Close()
	table, err := os.Create(filepath.Join(s.dir, "samples.csv"))
	if err != nil {
		return fmt.Errorf("samples: %w", err)
	}
	defer table.Close()
	story, err := os.Create(filepath.Join(s.dir, "story.txt"))
	if err != nil {
		return fmt.Errorf("story: %w", err)
	}
	defer story.Close()
	s.out = io.MultiWriter(out, story)
	s.table, s.began, s.random = csv.NewWriter(table), time.Now(), rand.New(rand.NewPCG(s.seed, 0))
	s.say("seed %d: %v, in %s", s.seed, s.duration, s.dir)
	err = s.run(ctx)
	s.kiosk.kill()
	s.gateway.kill()
	if err != nil {
		return fmt.Errorf("seed %d: %w; the logs are in %s", s.seed, err, s.log.Name())
	}
	return nil
}

func (s *soak) say(format string, args ...any) {
	say(s.out, "%7.1fs  %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

func (s *soak) run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "soak") // a Unix socket's path is short, and the folder's need not be
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s.socket = filepath.Join(dir, "kioskd.sock")
	s.client = api.NewClient(s.socket)
	if s.address, err = freePort(ctx); err != nil {
		return err
	}
	if err := s.table.Write(sampleColumns()); err != nil {
		return fmt.Errorf("samples: %w", err)
	}
	if err := s.startGateway(ctx); err != nil {
		return err
	}
	if err := s.startKiosk(ctx); err != nil {
		return err
	}
	// One long life for two thirds of the time, or until it can be judged; then
	// many short ones.
	first, short := 0, 0
	for n := 1; time.Since(s.began) < s.duration || short < leastShort; n++ {
		old := first >= 2*leastTrend && time.Since(s.began) > s.duration*2/3
		if !old {
			first++
		} else {
			if short%2 == 0 {
				if err := s.restart(ctx); err != nil {
					return err
				}
			}
			short++
		}
		if err := s.visit(ctx, n); err != nil {
			return err
		}
	}
	if err := s.drain(ctx); err != nil {
		return err
	}
	return s.judge(ctx)
}

func (s *soak) startGateway(ctx context.Context) error {
	var err error
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "gatewaysim"), "-listen", s.address, "-no-face-check", "-judge-after", "300ms",
		"-state", filepath.Join(s.dir, "gateway"))
	if s.gateway, err = start(cmd, "gatewaysim", s.log, nil); err != nil {
		return err
	}
	return s.await(ctx, s.gateway, func() bool {
		c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", s.address)
		if err == nil {
			_ = c.Close() // it was only knocked at
		}
		return err == nil
	})
}

func (s *soak) startKiosk(ctx context.Context) error {
	config := filepath.Join(s.dir, "kioskd.toml")
	// The visitor leaves: once while waiting, if that takes long, and once from
	// the outcome. The delay is longer than a verdict takes that is polled for
	// after a second.
	err := os.WriteFile(config, []byte("[display]\nscript_delay = \"2500ms\"\n"), 0o600)
	if err != nil {
		return fmt.Errorf("configure kioskd: %w", err)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "kioskd"), "-config", config, "-camera", "clip:portrait", "-display", "headless",
		"-state", filepath.Join(s.dir, "state"), "-socket", s.socket, "-script", "agree,ready,done,done",
		"-gateway", "http://"+s.address, "-partner", "http://"+s.address+"/partner")
	cmd.Env = append(os.Environ(), "MALLOC_ARENA_MAX=2", "GODEBUG=asyncpreemptoff=1") // as the unit has it
	if s.kiosk, err = start(cmd, "kioskd", s.log, nil); err != nil {
		return err
	}
	s.life++
	return s.ready(ctx)
}

// ready waits until the daemon would take a launch.
func (s *soak) ready(ctx context.Context) error {
	return s.await(ctx, s.kiosk, func() bool {
		st, err := s.client.Status(ctx)
		return err == nil && st.Ready && !st.SessionRunning
	})
}

// await polls ok until it holds, the child ends, or a minute has passed.
func (s *soak) await(ctx context.Context, c *child, ok func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("not ready after a minute"))
	defer cancel()
	t := time.NewTicker(50 * time.Millisecond)
	defer t.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", c.name, context.Cause(ctx))
		case <-c.done:
			return fmt.Errorf("%s: %w: %s", c.name, errEnded, c.cmd.ProcessState)
		case <-t.C:
		}
	}
	return nil
}

// restart ends the daemon, politely or not, and starts it again.
func (s *soak) restart(ctx context.Context) error {
	if s.random.IntN(2) == 0 {
		s.kiosk.kill()
	} else if err := s.kiosk.stop(stopTime); err != nil {
		return err
	}
	return s.startKiosk(ctx)
}

// ordeal draws what the next session goes through.
func (s *soak) ordeal() ordeal {
	p := s.random.IntN(100)
	switch {
	case p < 12:
		return offline
	case p < 24:
		return restarted
	case p < 36:
		return troubled
	case p < 50 && s.life > 1:
		return interrupted
	}
	return fair
}

// visit runs one session, and takes a sample when the kiosk is at rest again.
func (s *soak) visit(ctx context.Context, n int) error {
	v := visit{correlation: fmt.Sprintf("soak-%x-%d", s.seed, n), ordeal: s.ordeal()}
	s.weather[v.ordeal]++
	middle := time.Duration(500+s.random.IntN(9000)) * time.Millisecond
	switch v.ordeal {
	case offline:
		s.gateway.kill()
	case troubled:
		if _, err := ask(ctx, http.MethodPost, "http://"+s.address+"/sim/faults", script(s.random.IntN)); err != nil {
			return err
		}
	case fair, restarted, interrupted:
	}
	hit, cancel := context.WithCancel(ctx)
	defer cancel()
	struck := make(chan error, 1)
	go func() { struck <- s.strike(hit, v.ordeal, middle) }()
	if err := s.session(ctx, &v); err != nil && v.ordeal != interrupted {
		return err
	}
	cancel() // a session may end before its middle
	if err := <-struck; err != nil {
		return err
	}
	s.sessions = append(s.sessions, v)
	if wrong := v.wrong(); wrong != "" {
		return errors.New(wrong)
	}
	switch v.ordeal {
	case offline:
		if err := s.startGateway(ctx); err != nil {
			return err
		}
	case troubled:
		if _, err := ask(ctx, http.MethodDelete, "http://"+s.address+"/sim/faults", ""); err != nil {
			return err
		}
	case interrupted:
		s.kiosk.kill() // it may not have come to it
		if err := s.startKiosk(ctx); err != nil {
			return err
		}
	case fair, restarted:
	}
	if err := s.ready(ctx); err != nil {
		return err
	}
	return s.sample(ctx, n, v)
}

// strike does what happens in the middle of a session.
func (s *soak) strike(ctx context.Context, o ordeal, middle time.Duration) error {
	switch o {
	case restarted:
		outer := context.WithoutCancel(ctx) // the gateway comes back even if the session is over
		pause(ctx, middle)
		s.gateway.kill()
		return s.startGateway(outer)
	case interrupted:
		pause(ctx, middle)
		s.kiosk.kill()
	case fair, offline, troubled:
	}
	return nil
}

// session launches one session and follows it to its end.
func (s *soak) session(ctx context.Context, v *visit) error {
	ctx, cancel := context.WithTimeoutCause(ctx, sessionTime, fmt.Errorf("%s did not end within %v", v.correlation, sessionTime))
	defer cancel()
	id, err := s.client.Launch(ctx, kiosk.Launch{
		CorrelationID: v.correlation, UserID: v.correlation, UserIDType: "CUSTOMER_ID", Locale: kiosk.Indonesian, Theme: kiosk.NoPreference,
	})
	if err != nil {
		return fmt.Errorf("launch %s: %w", v.correlation, err)
	}
	err = s.client.Session(ctx, id, func(e kiosk.Event) error {
		switch e.Kind { //nolint:exhaustive // of the story only its end counts here
		case kiosk.EventSaved:
			v.saved = true
		case kiosk.EventOutcome:
			v.outcome = e.Text
		}
		return nil
	})
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return fmt.Errorf("session %s: %w", v.correlation, err)
	}
	return nil
}

// sample measures the daemon at rest.
func (s *soak) sample(ctx context.Context, n int, v visit) error {
	pause(ctx, 500*time.Millisecond) // what ended with the session has let go by then
	m, err := measureProcess(s.kiosk.cmd.Process.Pid)
	if err != nil {
		return err
	}
	m.at, m.life, m.session = time.Since(s.began), s.life, n
	if m.goroutines, err = goroutines(ctx, s.socket); err != nil {
		return err
	}
	st, err := s.client.Status(ctx)
	if err != nil {
		return fmt.Errorf("status: %w", err)
	}
	if st.Queue == nil {
		return errors.New("the daemon's outbox cannot be read")
	}
	m.waiting = st.Queue.Waiting
	s.samples = append(s.samples, m)
	if err := s.table.Write(append(m.row(), string(v.ordeal), v.outcome)); err != nil {
		return fmt.Errorf("samples: %w", err)
	}
	s.table.Flush()
	s.say("session %d, life %d, %s: %s; %d MB, %d descriptors, %d threads, %d goroutines, %d waiting", n, s.life, v.ordeal, v.outcome,
		m.memory>>20, m.descriptors, m.threads, m.goroutines, m.waiting)
	return s.table.Error()
}

// drain waits until the outbox is empty.
func (s *soak) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, drainTime, fmt.Errorf("the outbox is not empty after %v", drainTime))
	defer cancel()
	for {
		st, err := s.client.Status(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("status: %w", err)
		case st.Queue == nil:
			return errors.New("the daemon's outbox cannot be read")
		case st.Queue.Dead > 0:
			return fmt.Errorf("%d records were set aside", st.Queue.Dead)
		case st.Queue.Waiting == 0:
			s.say("the outbox is empty")
			return nil
		}
		pause(ctx, 200*time.Millisecond)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// judge holds what happened against what must hold.
func (s *soak) judge(ctx context.Context) error {
	all, err := confirmed(ctx, s.address)
	if err != nil {
		return err
	}
	if err := s.kiosk.stop(stopTime); err != nil {
		return err
	}
	times := map[string]int{}
	for _, c := range all {
		times[c.Session] += c.Times
	}
	findings := s.counted(times)
	findings = append(findings, s.trends()...)
	if len(findings) > 0 {
		return &brokenError{findings}
	}
	s.say("%d sessions in %d lives, %v: each ended as it must, each capture confirmed once", len(s.sessions), s.life, s.weather)
	return nil
}

// counted finds sessions that took effect too often or not at all.
func (s *soak) counted(confirmed map[string]int) (findings []string) {
	known := map[string]bool{}
	for _, v := range s.sessions {
		known[v.correlation] = true
		n := confirmed[v.correlation]
		if n > 1 || n == 0 && (v.saved || v.ordeal != interrupted) {
			findings = append(findings, fmt.Sprintf("%s (%s, %q) was confirmed %d times", v.correlation, v.ordeal, v.outcome, n))
		}
	}
	for c, n := range confirmed {
		if !known[c] {
			findings = append(findings, fmt.Sprintf("%s was confirmed %d times and never launched", c, n))
		}
	}
	return findings
}

// trends finds what grew in the second half of the long life.
func (s *soak) trends() (findings []string) {
	var life []sample
	for _, m := range s.samples {
		if m.life == 1 {
			life = append(life, m)
		}
	}
	life = life[len(life)/2:]
	if len(life) < leastTrend {
		return []string{fmt.Sprintf("only %d sessions in the second half of the long life: too few to tell a trend", len(life))}
	}
	for _, of := range []struct {
		what string
		unit float64
		most float64
		at   func(sample) float64
	}{
		{"memory, MB", 1 << 20, mostMemory, func(m sample) float64 { return float64(m.memory) }},
		{"descriptors", 1, mostDescriptor, func(m sample) float64 { return float64(m.descriptors) }},
		{"threads", 1, mostThreads, func(m sample) float64 { return float64(m.threads) }},
		{"goroutines", 1, mostGoroutines, func(m sample) float64 { return float64(m.goroutines) }},
	} {
		if of.what == "goroutines" && life[0].goroutines < 0 {
			s.say("goroutines are not judged: the daemon keeps no metrics")
			continue
		}
		var x, y []float64
		for _, m := range life {
			x, y = append(x, m.at.Seconds()), append(y, of.at(m))
		}
		grew := slope(x, y) * (x[len(x)-1] - x[0])
		s.say("%-12s median %.1f, grew by %.1f in %.0f s (%d sessions): at most %.0f", of.what, median(y)/of.unit, grew/of.unit,
			x[len(x)-1]-x[0], len(x), of.most/of.unit)
		if grew > of.most {
			findings = append(findings, fmt.Sprintf("%s grew by %.1f, at most %.0f are a mood", of.what, grew/of.unit, of.most/of.unit))
		}
	}
	return findings
}

// row is a sample as it stands in the table.
func (m sample) row() []string {
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	return []string{
		strconv.FormatFloat(m.at.Seconds(), 'f', 1, 64), n(int64(m.life)), n(int64(m.session)), n(m.memory), n(m.anonymous),
		n(int64(m.descriptors)), n(int64(m.threads)), n(int64(m.goroutines)), n(int64(m.waiting)),
	}
}

func sampleColumns() []string {
	return []string{"seconds", "life", "session", "rss_bytes", "anonymous_bytes", "descriptors", "threads", "goroutines", "waiting", "ordeal", "outcome"}
}
