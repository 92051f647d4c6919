package deliver

import (
	"math"
	"sync"
	"time"

	"livekiosk/kiosk"
)

// services are those that a delivery may need. Their order here is that of
// the bits in a need.
func services() perService[kiosk.Service] {
	return perService[kiosk.Service]{kiosk.GatewayService, kiosk.StoreService, kiosk.PartnerService}
}

// perService has a place for each of them.
type perService[T any] [3]T

// A need is a set of services.
type need uint8

// Whoever needs a service needs all that come after it, too: what a record is
// missing at one of them is worth nothing while the next cannot be reached.
const (
	needGateway need = 1 << iota
	needStore
	needPartner

	needVerdict = needGateway
	needImages  = needGateway | needStore
	needToken   = needGateway | needStore | needPartner
)

func needOf(s kiosk.Service) need {
	for i, known := range services() {
		if s == known {
			return 1 << i
		}
	}
	return needGateway
}

// enough is how many different records in a row must be refused at one step
// before that is taken for an outage, and how often a record must have failed
// between others that were served before it is taken for poison.
const enough = 3

// hung is how long a round may hold up the gentle start of others.
const hung = 10 * time.Second

// A line is the way to one service.
type line struct {
	service kiosk.Service
	breaker *Breaker

	prober    *task // whose round may use the open line; nil: nobody's
	trouble   kiosk.Trouble
	since     time.Time // wall clock
	notBefore time.Time // the server's wish
	openings  uint64

	answers uint64           // good ones
	steps   map[string]*step // by their names

	running int       // background rounds that need it
	started time.Time // the last of them
}

// A step is what is known of one call of a service, such as the upload of the
// selfie: others of the same service may work while it does not.
type step struct {
	passes  uint64 // times that it was done
	odd     int    // different records in a row that were refused since then
	lastOdd *task
}

func (ln *line) step(name string) *step {
	st := ln.steps[name]
	if st == nil {
		st = &step{}
		ln.steps[name] = st
	}
	return st
}

// lines are the ways to all services. Rounds and the schedule share them.
type lines struct {
	mu    sync.Mutex
	all   perService[*line]
	news  chan struct{} // something opened or closed
	dirty bool          // what should survive a restart changed
	grave bool          // and so much that it cannot wait
	eased bool          // a line closed since take was asked
}

func newLines(p Policy, random func() float64) *lines {
	l := &lines{news: make(chan struct{}, 1)}
	// Answers ease a breaker, and a record has about four of the gateway, two of
	// the store and one of the partner backend: a record delivered is to count
	// the same everywhere.
	answers := map[kiosk.Service]float64{kiosk.GatewayService: 4, kiosk.StoreService: 2, kiosk.PartnerService: 1}
	for i, s := range services() {
		of := p
		of.Ease = math.Pow(p.Ease, answers[kiosk.GatewayService]/answers[s])
		l.all[i] = &line{service: s, breaker: NewBreaker(of, random), steps: map[string]*step{}}
	}
	return l
}

func (l *lines) of(s kiosk.Service) (*line, int) {
	for i, ln := range l.all {
		if ln.service == s {
			return ln, i
		}
	}
	return l.all[0], 0
}

func (l *lines) tell() {
	select {
	case l.news <- struct{}{}:
	default:
	}
}

// restore takes up the outages from before a restart.
func (l *lines) restore(outages []kiosk.Outage, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range outages {
		ln, _ := l.of(o.Service)
		if ln.service != o.Service || o.Failures <= 0 {
			continue
		}
		ln.breaker.Restore(now, o.Failures, o.NotBefore)
		ln.trouble, ln.since, ln.notBefore = o.Trouble, o.Since, o.NotBefore
	}
}

// passes is how often a step was done.
func (l *lines) passes(s kiosk.Service, name string) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln, _ := l.of(s)
	return ln.step(name).passes
}

// unsaved returns what should survive a restart, if it changed since it was
// asked for last. In a hurry, it has only an outage that has just begun and the
// end of one.
func (l *lines) unsaved(hurry bool) ([]kiosk.Outage, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.grave && (hurry || !l.dirty) {
		return nil, false
	}
	l.dirty, l.grave = false, false
	var outages []kiosk.Outage
	for _, ln := range l.all {
		if n := ln.breaker.Memory(); n > 0 {
			// Wall clocks, without the monotonic reading that ends with the process.
			outages = append(outages, kiosk.Outage{
				Service: ln.service, Trouble: ln.trouble, Failures: n, Since: ln.since.Round(0), NotBefore: ln.notBefore.Round(0),
			})
		}
	}
	return outages, true
}

func (l *lines) unsave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dirty = true
}

// closed reports whether a line closed since it was asked last.
func (l *lines) closed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.eased
	l.eased = false
	return was
}

func (l *lines) stats() map[kiosk.Service]ServiceStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	stats := map[kiosk.Service]ServiceStats{}
	for _, ln := range l.all {
		s := ServiceStats{Openings: ln.openings}
		if ln.breaker.Open() {
			s.Out, s.Trouble, s.Since, s.Failures = true, ln.trouble, ln.since, ln.breaker.Failures()
		}
		stats[ln.service] = s
	}
	return stats
}

// wait is how long a background record with such needs may not start: 0 for
// now. A record that is under way already does not keep the distance that
// records keep after an outage.
func (l *lines) wait(n need, underway bool, most int, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	var wait time.Duration
	for i, ln := range l.all {
		switch b := ln.breaker; {
		case n&(1<<i) == 0:
		case b.Open() && ln.prober != nil:
			wait = max(wait, beatEvery) // its end comes first, and is told
		case b.Open():
			wait = max(wait, b.Wait(now))
		default:
			if ln.running >= b.Lanes(now, most) {
				wait = max(wait, hung-now.Sub(ln.started))
			}
			if !underway {
				wait = max(wait, b.Pause(now))
			}
		}
	}
	return wait
}

// urgent is how long a record with such needs may not start although its
// person waits. Whoever has just arrived starts at once.
func (l *lines) urgent(t *task, n need, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	var wait time.Duration
	for i, ln := range l.all {
		switch b := ln.breaker; {
		case n&(1<<i) == 0, !b.Open(), t.arrived:
		case ln.prober != nil:
			wait = max(wait, beatEvery)
		default:
			wait = max(wait, b.Urgent(now))
		}
	}
	return wait
}

// start notes that a round starts. It becomes the probe of every open line
// that it needs and nobody probes.
func (l *lines) start(t *task, n need, background, underway bool, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, ln := range l.all {
		if n&(1<<i) == 0 {
			continue
		}
		if ln.breaker.Open() && ln.prober == nil {
			ln.prober = t
		}
		if background {
			ln.running++
			ln.started = now
			if !underway && !ln.breaker.Open() {
				ln.breaker.Start(now)
			}
		}
	}
}

// end notes that a round ended.
func (l *lines) end(t *task, n need, background bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, ln := range l.all {
		if ln.prober == t {
			ln.prober = nil
		}
		if background && n&(1<<i) != 0 {
			ln.running--
		}
	}
}

// admit reports whether a round may call a service now. The line may have been
// opened by another round since this one started.
func (l *lines) admit(t *task, s kiosk.Service, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln, _ := l.of(s)
	if !ln.breaker.Open() || ln.prober == t || t.arrived {
		return true
	}
	if ln.prober != nil || ln.breaker.Wait(now) > 0 {
		return false
	}
	ln.prober = t
	return true
}

// pass notes an answer that counts, and that it did the step of that name; "" if
// it did none. It reports whether that ends an outage, and how long the outage
// was.
func (l *lines) pass(t *task, s kiosk.Service, name string, now time.Time) (mended bool, after time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln, i := l.of(s)
	ln.answers++
	t.answers[i]++
	if name != "" {
		st := ln.step(name)
		st.passes++
		st.odd, st.lastOdd = 0, nil
	}
	open, memory := ln.breaker.Open(), ln.breaker.Memory()
	ln.breaker.Pass(now)
	if memory > 0 && ln.breaker.Memory() == 0 {
		l.grave = true
	}
	if !open {
		return false, 0
	}
	ln.prober = nil
	l.dirty, l.eased = true, true
	l.tell()
	return true, now.Sub(ln.since)
}

// A blame is whose a failure is.
type blame int

const (
	own    blame = iota // the record's: it waits, and nobody else
	found               // an outage that was known already
	opened              // an outage that has just been found out
	probed              // an outage, once more
)

// fail notes that a step failed and says whose failure it is.
func (l *lines) fail(t *task, s kiosk.Service, name string, g *kiosk.GatewayError, now time.Time) blame {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln, i := l.of(s)
	open := ln.breaker.Open()
	others := ln.answers - t.answers[i]
	switch {
	case !shared(g) && !doubtful(g):
		return own
	case doubtful(g) && !open:
		// One record alone may be poison.
		st := ln.step(name)
		if st.lastOdd != t {
			st.odd++
		}
		if st.lastOdd = t; st.odd < enough {
			return own
		}
	case shared(g) && !open:
		// A record that fails time and again while others are served is poison,
		// and stays so until its step succeeds.
		if others > t.others[i] {
			t.shared[i]++
		}
		if t.others[i] = others; t.shared[i] >= enough {
			return own
		}
	}
	if open && ln.prober != t && !t.arrived {
		return found
	}
	l.grave = l.grave || ln.breaker.Memory() == 0
	ln.breaker.Fail(now, g.RetryAfter)
	ln.trouble, ln.notBefore = trouble(g), time.Time{}
	if g.RetryAfter > 0 {
		ln.notBefore = now.Add(g.RetryAfter)
	}
	l.dirty = true
	l.tell()
	if open {
		return probed
	}
	ln.since = now
	ln.openings++
	return opened
}
