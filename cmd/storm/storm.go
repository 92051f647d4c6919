package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"livekiosk/kiosk"
	"livekiosk/queue/gateway/gatewaysim"
	"livekiosk/queue/gateway/partner"
)

// A plan says how large a storm is and how it blows.
type plan struct {
	captures int           // to be acknowledged
	seed     uint64        // of every choice
	pause    time.Duration // mean time between captures
	every    time.Duration // mean time between two strikes
	longest  time.Duration // then it is a failure
	lanes    int
	calm     float64  // part of the captures after whose settling the weather clears
	strikes  []strike // dealt like cards, again and again; nil: standardStrikes
	after    int      // records that are settled before the first strike
	most     int      // strikes after which the weather clears in any case; 0: any number
	relay    bool     // between the kiosk and the gateway
	dir      string   // for everything that is written; made if missing

	kiosk   kioskConfig   // controls only
	gateway gatewayConfig // controls only
}

func (p plan) validate() error {
	switch {
	case p.captures < 1:
		return errors.New("captures: want at least 1")
	case p.pause < 0 || p.every <= 0 || p.longest <= 0:
		return errors.New("times must be positive")
	case p.lanes < 1:
		return errors.New("lanes: want at least 1")
	}
	return nil
}

// A strike is something that befalls the kiosk, its gateway or what is between
// them.
type strike string

const (
	killKiosk   strike = "kill kiosk"
	killGateway strike = "kill gateway"
	cutAll      strike = "cut connections"
	outage      strike = "outage"
	faults      strike = "faults"
)

// standardStrikes are those of a storm, as often as each is to come.
func standardStrikes() []strike {
	return []strike{
		killKiosk, killKiosk, killKiosk, killGateway, killGateway, killGateway, outage, outage,
		cutAll, cutAll, cutAll, cutAll, faults, faults, faults, faults, faults, faults, faults, faults,
	}
}

// A storm is one run of a plan.
type storm struct {
	plan

	out    io.Writer
	log    *os.File
	began  time.Time
	studio *studio
	proxy  *proxy
	direct string // the gateway's own address

	relayed  string // address of the relay
	relayKey string // its public key, in PEM; "": there is no relay

	kiosk, gateway, relayer *child
	lives                   int           // starts of the kiosk
	deck                    []strike      // to come
	ended                   chan struct{} // holds a token when a child ended that nobody killed
	putting                 chan struct{} // holds a token when a Put began

	mu              sync.Mutex
	book            book
	next            int // capture to begin with after a restart
	settled         map[string]bool
	words           map[kiosk.Action]int
	idle            bool
	failed          []string
	struck          map[strike]int
	blows           int // strikes
	renewed         int // rounds in which the gateway gave a new submission for each request
	heard, repeated int // callbacks at the partner backend, and those of them that it had heard before
}

// blow runs a plan. Its error is a broken promise, or what kept it from being
// judged.
func blow(ctx context.Context, p plan, out io.Writer) (tally, error) {
	if err := p.validate(); err != nil {
		return tally{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, p.longest)
	defer cancel()
	s := &storm{
		plan: p, out: out, began: time.Now(), ended: make(chan struct{}, 1), putting: make(chan struct{}, 1),
		book:    book{begun: map[int]bool{}, acked: map[int]bool{}},
		settled: map[string]bool{}, words: map[kiosk.Action]int{}, struck: map[strike]int{},
	}
	if len(s.strikes) == 0 {
		s.strikes = standardStrikes()
		if s.relay {
			s.strikes = append(s.strikes, killRelay, killRelay, killRelay)
		}
	}
	s.say("seed %d: %d captures, at most %v, in %s", p.seed, p.captures, p.longest, p.dir)
	t, err := s.blow(ctx)
	s.kiosk.kill()
	s.relayer.kill()
	s.gateway.kill()
	if s.log != nil {
		_ = s.log.Close()
	}
	s.story()
	t.repeated = s.repeated
	if err != nil {
		return t, fmt.Errorf("seed %d: %w", p.seed, err)
	}
	s.say("%d captures acknowledged, %d distinct submissions confirmed, each image whole, none twice, none lost", len(s.book.acked), t.confirmed)
	s.say("%d callbacks reached the partner backend, %d of them repeated; it knows one result of each capture", s.heard, s.repeated)
	s.say("%d more were cut short by a kill: %d of them whole and confirmed once, %d absent", t.whole+t.absent, t.whole, t.absent)
	return t, nil
}

func (s *storm) say(format string, args ...any) {
	say(s.out, "%6.1fs  %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

func (s *storm) blow(ctx context.Context) (t tally, err error) {
	if err = os.MkdirAll(s.dir, 0o700); err != nil {
		return t, fmt.Errorf("make %s: %w", s.dir, err)
	}
	if s.log, err = os.Create(filepath.Join(s.dir, "children.log")); err != nil {
		return t, fmt.Errorf("log: %w", err)
	}
	if s.studio, err = newStudio(s.seed); err != nil {
		return t, err
	}
	if s.direct, err = freePort(ctx); err != nil {
		return t, err
	}
	if s.relayed, err = freePort(ctx); err != nil {
		return t, err
	}
	if s.proxy, err = newProxy(ctx, s.direct, s.seed); err != nil {
		return t, err
	}
	inner, cancel := context.WithCancel(ctx)
	g, inner := errgroup.WithContext(inner)
	g.Go(func() error { return s.proxy.Run(inner) })
	g.Go(func() (err error) {
		defer cancel()
		t, err = s.play(inner)
		return err
	})
	err = g.Wait()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return t, errors.Join(fmt.Errorf("not over after %v", s.longest), s.stuck(context.WithoutCancel(ctx)), err)
	}
	return t, err
}

// play is the whole story: captures in rough weather, deliveries in calm, and
// the judgement.
func (s *storm) play(ctx context.Context) (tally, error) {
	r := rand.New(rand.NewPCG(s.seed, 0))
	if err := s.startGateway(ctx, r); err != nil {
		return tally{}, err
	}
	if s.relay {
		if err := s.startRelay(ctx); err != nil {
			return tally{}, err
		}
	}
	if err := s.startKiosk(ctx); err != nil {
		return tally{}, err
	}
	s.proxy.rough.Store(true)
	shown := time.NewTicker(5 * time.Second)
	defer shown.Stop()
	next := time.NewTimer(s.wait(r))
	defer next.Stop()
	for s.stormy() {
		select {
		case <-ctx.Done():
			return tally{}, ctx.Err()
		case <-s.ended:
			return tally{}, s.broken()
		case <-shown.C:
			s.progress()
		case <-next.C:
			if s.begun() {
				if err := s.strike(ctx, r); err != nil {
					return tally{}, err
				}
			}
			next.Reset(s.wait(r))
		}
	}
	s.say("the weather clears")
	s.proxy.rough.Store(false)
	s.proxy.cut() // connections that were doomed when they were opened
	if err := s.order(ctx, http.MethodDelete, ""); err != nil {
		return tally{}, err
	}
	for !s.calm() {
		select {
		case <-ctx.Done():
			return tally{}, ctx.Err()
		case <-s.ended:
			return tally{}, s.broken()
		case <-shown.C:
			s.progress()
		case <-time.After(20 * time.Millisecond):
		}
	}
	e, err := s.collect(ctx)
	if err != nil {
		return tally{}, err
	}
	t, findings := s.book.judge(s.studio, e)
	if len(findings) > 0 {
		return t, &brokenError{findings}
	}
	return t, nil
}

// A brokenError is the promises that were broken.
type brokenError struct{ findings []string }

func (e *brokenError) Error() string {
	const most = 20
	text := fmt.Sprintf("%d promises broken:", len(e.findings))
	for i, f := range e.findings {
		if i == most {
			return text + fmt.Sprintf("\n  and %d more", len(e.findings)-most)
		}
		text += "\n  " + f
	}
	return text
}

// wait draws the time until the next strike.
func (s *storm) wait(r *rand.Rand) time.Duration {
	return time.Duration((0.2 + 0.8*r.ExpFloat64()) * float64(s.every))
}

// stormy reports whether the storm goes on: until everything is captured, most
// of it delivered, and every kind of strike was seen.
func (s *storm) stormy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.most > 0 && s.blows >= s.most {
		return false
	}
	for _, kind := range s.strikes {
		if s.struck[kind] == 0 {
			return true
		}
	}
	return len(s.book.acked) < s.captures || float64(len(s.settled)) < s.plan.calm*float64(s.captures) && !s.idle
}

// begun reports whether it is time for the first strike.
func (s *storm) begun() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.settled) >= s.after
}

// calm reports whether everything is delivered.
func (s *storm) calm() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.idle
}

// strike does one bad thing.
func (s *storm) strike(ctx context.Context, r *rand.Rand) error {
	if len(s.deck) == 0 {
		s.deck = slices.Clone(s.strikes)
		r.Shuffle(len(s.deck), func(i, j int) { s.deck[i], s.deck[j] = s.deck[j], s.deck[i] })
	}
	what := s.deck[0]
	s.deck = s.deck[1:]
	s.mu.Lock()
	s.struck[what]++
	s.blows++
	s.mu.Unlock()
	switch what {
	case killKiosk:
		// Where it hurts most: in the middle of a Put, while a confirmation is
		// under way, or anywhere.
		switch r.IntN(3) {
		case 0:
			catch(ctx, s.putting)
			pause(ctx, time.Duration(r.Int64N(int64(4*time.Millisecond))))
		case 1:
			catch(ctx, s.proxy.confirming)
			pause(ctx, time.Duration(r.Int64N(int64(20*time.Millisecond))))
		}
		s.kiosk.kill()
		return s.startKiosk(ctx)
	case killGateway:
		if err := s.callbacks(ctx); err != nil {
			return err
		}
		s.gateway.kill()
		pause(ctx, time.Duration(r.Int64N(int64(800*time.Millisecond))))
		return s.startGateway(ctx, r)
	case killRelay:
		s.relayer.kill()
		pause(ctx, time.Duration(r.Int64N(int64(400*time.Millisecond))))
		return s.startRelay(ctx)
	case cutAll:
		s.proxy.cut()
	case outage:
		s.proxy.refuse(200*time.Millisecond + time.Duration(r.Int64N(int64(2*time.Second))))
	case faults:
		// In place of those that nothing has run into yet, or they would pile up.
		if err := s.order(ctx, http.MethodDelete, ""); err != nil {
			return err
		}
		return s.order(ctx, http.MethodPost, script(r.IntN)+","+drizzle())
	}
	return nil
}

// catch waits for the next token, for a second at most.
func catch(ctx context.Context, tokens <-chan struct{}) {
	select {
	case <-tokens: // an old one
	default:
	}
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-tokens:
	case <-t.C:
	}
}

// startKiosk starts the kiosk where the last one was killed.
func (s *storm) startKiosk(ctx context.Context) error {
	c := s.plan.kiosk
	s.mu.Lock()
	c.From, c.Left = s.next, s.captures-len(s.book.acked)
	s.idle = false
	s.mu.Unlock()
	s.lives++
	c.Life = s.lives
	c.Dir, c.Seed, c.Pause, c.Lanes = filepath.Join(s.dir, "kiosk"), s.seed, s.pause, s.lanes
	c.Gateway = "http://" + s.proxy.address()
	c.Partner = c.Gateway + "/partner"
	if s.relayKey != "" {
		c.Gateway, c.Relay = "http://"+s.relayed, s.relayKey
	}
	ready := make(chan struct{}, 1)
	k, err := spawn(ctx, "kiosk", c, s.log, func(line []byte) { s.hear(line, ready) })
	if err != nil {
		return err
	}
	s.kiosk = k
	return s.await(ctx, k, ready)
}

// hear notes what the kiosk says.
func (s *storm) hear(line []byte, ready chan<- struct{}) {
	var r kioskReport
	if json.Unmarshal(line, &r) != nil {
		return // a killed child's last line may be cut
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.Ready:
		ready <- struct{}{}
	case r.Putting != nil:
		s.book.begun[*r.Putting] = true
		s.next = *r.Putting + 1
		offer(s.putting)
	case r.Put != nil:
		s.book.acked[*r.Put] = true
	case r.Idle:
		s.idle = true
	case r.Record != "":
		if !s.settled[r.Record] {
			s.words[r.Settled]++
		}
		s.settled[r.Record] = true
	}
}

func (s *storm) startGateway(ctx context.Context, r *rand.Rand) error {
	c := s.plan.gateway
	c.Listen, c.Base, c.Dir = s.direct, "http://"+s.proxy.address(), filepath.Join(s.dir, "gateway")
	c.NewSubmissions = r.IntN(2) == 0
	c.JudgeAfter, c.Polls = time.Duration(r.Int64N(int64(400*time.Millisecond))), r.IntN(2)
	c.CallbackRepeats = 1 + r.IntN(2)
	c.Lifetimes = gatewaysim.Lifetimes{
		PartnerToken: time.Duration(5+r.IntN(10)) * time.Second,
		UserToken:    time.Duration(2+r.IntN(8)) * time.Second,
		UploadURL:    time.Duration(1+r.IntN(4)) * time.Second,
	}
	c.Seed, c.Faults = r.Uint64()|1, drizzle()
	if c.NewSubmissions {
		s.renewed++
	}
	ready := make(chan struct{}, 1)
	g, err := spawn(ctx, "gateway", c, s.log, func([]byte) { offer(ready) })
	if err != nil {
		return err
	}
	s.gateway = g
	return s.await(ctx, g, ready)
}

// await waits until a child is ready, and has its end noticed.
func (s *storm) await(ctx context.Context, c *child, ready <-chan struct{}) error {
	const patience = 20 * time.Second
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-c.done:
		return c.verdict()
	case <-t.C:
		return fmt.Errorf("%s is not ready after %v", c.name, patience)
	case <-ready:
	}
	go func() {
		<-c.done
		if c.cmd.ProcessState.ExitCode() > 0 { // not killed: -1
			s.mu.Lock()
			s.failed = append(s.failed, fmt.Sprintf("%s: %v", c.name, c.cmd.ProcessState))
			s.mu.Unlock()
			offer(s.ended)
		}
	}()
	return nil
}

// broken says which children ended by themselves.
func (s *storm) broken() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Errorf("ended by itself: %v: see %s", s.failed, s.log.Name())
}

// order changes the gateway's faults.
func (s *storm) order(ctx context.Context, method, script string) error {
	_, err := ask(ctx, method, "http://"+s.direct+"/sim/faults", script)
	return err
}

// collect stops the kiosk and asks everybody what they know.
func (s *storm) collect(ctx context.Context) (e evidence, err error) {
	if err = s.kiosk.stop(20 * time.Second); err != nil {
		return e, err
	}
	q, err := openOutbox(ctx, filepath.Join(s.dir, "kiosk"), nil)
	if err != nil {
		return e, err
	}
	defer func() { err = errors.Join(err, q.Close()) }()
	if q.Quarantined != "" {
		return e, fmt.Errorf("the outbox was found damaged and moved to %s", q.Quarantined)
	}
	if e.pending, err = q.Pending(ctx); err != nil {
		return e, err
	}
	entries, err := q.Entries(ctx)
	if err != nil {
		return e, err
	}
	for _, entry := range entries {
		switch entry.State {
		case "dead":
			e.dead = append(e.dead, entry)
		case "done":
			e.settled++
		}
	}
	if e.confirmed, err = confirmed(ctx, s.direct); err != nil {
		return e, err
	}
	e.told = map[string]word{}
	until := time.Now().Add(8 * time.Second) // for all of them: it asks by itself where it was not called back
	for _, c := range e.confirmed {
		if e.told[c.Session], err = s.word(ctx, c.Session, until); err != nil {
			return e, err
		}
	}
	return e, s.callbacks(ctx)
}

// callbacks counts what the partner backend was told since it started.
func (s *storm) callbacks(ctx context.Context) error {
	body, err := ask(ctx, http.MethodGet, "http://"+s.direct+"/partner/events", "")
	if err != nil {
		return err
	}
	for line := range bytes.Lines(body) {
		var e partner.Event
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("the partner's events: %w", err)
		}
		if e.Call == partner.CallCallback && e.Status == http.StatusOK {
			s.heard++
			if e.Duplicate {
				s.repeated++
			}
		}
	}
	return nil
}

// confirmed asks a simulated gateway what was confirmed.
func confirmed(ctx context.Context, address string) ([]gatewaysim.Confirmed, error) {
	body, err := ask(ctx, http.MethodGet, "http://"+address+"/sim/submissions", "")
	if err != nil {
		return nil, err
	}
	var all []gatewaysim.Confirmed
	for line := range bytes.Lines(body) {
		var c gatewaysim.Confirmed
		if err := json.Unmarshal(line, &c); err != nil {
			return nil, fmt.Errorf("the gateway's list: %w", err)
		}
		all = append(all, c)
	}
	return all, nil
}

// word asks the partner backend what it knows of a session, again until it
// knows a result or time is up.
func (s *storm) word(ctx context.Context, correlation string, until time.Time) (w word, err error) {
	for {
		body, err := ask(ctx, http.MethodGet, "http://"+s.direct+"/partner/v1/sessions/"+correlation, "")
		if err != nil {
			return w, err
		}
		if err := json.Unmarshal(body, &w); err != nil {
			return w, fmt.Errorf("the partner's word: %w", err)
		}
		if w.Result != "" || time.Now().After(until) || ctx.Err() != nil {
			return w, ctx.Err()
		}
		pause(ctx, 100*time.Millisecond)
	}
}

// stuck says what is left when time is up.
func (s *storm) stuck(ctx context.Context) error {
	s.kiosk.kill()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	q, err := openOutbox(ctx, filepath.Join(s.dir, "kiosk"), nil)
	if err != nil {
		return err
	}
	defer func() { _ = q.Close() }() // only read from
	entries, err := q.Entries(ctx)
	if err != nil {
		return err
	}
	states := map[string]int{}
	for _, e := range entries {
		states[e.State]++
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Errorf("%d of %d captures acknowledged; records in the outbox by state: %v", len(s.book.acked), s.captures, states)
}

func (s *storm) progress() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.say("%4d acknowledged, %4d settled; kills: kiosk %d, gateway %d; connections: %d opened, %d cut, %d stalled, %d refused",
		len(s.book.acked), len(s.settled), s.struck[killKiosk], s.struck[killGateway],
		s.proxy.count.opened.Load(), s.proxy.count.cut.Load(), s.proxy.count.stalled.Load(), s.proxy.count.refused.Load())
}

// story says what weather there was.
func (s *storm) story() {
	if s.proxy == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.say("weather: %v; connections: %d opened, %d cut, %d stalled, %d slow, %d refused; %d gateways gave a new submission to each request; words: %v",
		s.struck, s.proxy.count.opened.Load(), s.proxy.count.cut.Load(), s.proxy.count.stalled.Load(), s.proxy.count.slowed.Load(),
		s.proxy.count.refused.Load(), s.renewed, s.words)
}

// freePort returns a loopback address that nobody listens at, and that nobody
// gets by chance while a gateway is being restarted: it is not one of those that
// the kernel gives to connections.
func freePort(ctx context.Context) (string, error) {
	const lowest, count = 20_000, 12_000
	var last error
	for range 100 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(lowest+rand.IntN(count)))
		var l net.Listener
		if l, last = (&net.ListenConfig{}).Listen(ctx, "tcp", address); last == nil {
			if last = l.Close(); last == nil {
				return address, nil
			}
		}
	}
	return "", fmt.Errorf("find a free port: %w", last)
}
