package deliver

import (
	"errors"
	"time"
)

// FullJitter returns a back-off that is uniform between nothing and a limit
// that doubles from base to most: thousands of kiosks that lost the network
// together come back apart. random returns numbers in [0, 1).
//
// It is "full jitter" of M. Brooker, Exponential Backoff And Jitter, 2015.
func FullJitter(base, most time.Duration, random func() float64) func(failures int) time.Duration {
	return func(failures int) time.Duration {
		return time.Duration(random() * float64(limit(base, most, failures)))
	}
}

// limit doubles from base, at one failure, to most.
func limit(base, most time.Duration, failures int) time.Duration {
	l := base
	for n := 1; n < failures && l < most; n++ {
		l *= 2
	}
	return min(l, most)
}

// PollWait is the wait after so many polls for a verdict, since the first:
// often while a person stands there, for two minutes, then rarer and rarer.
func PollWait(polls int, since time.Duration) time.Duration {
	switch {
	case polls <= 5:
		return time.Second
	case polls <= 20:
		return 2 * time.Second
	case since < 120*time.Second:
		return 5 * time.Second
	}
	// An eighth of the time it took so far: rarer, and never too late by more.
	return min(max(since/8, 15*time.Second), 15*time.Minute)
}

// A Policy says how a Breaker keeps its callers back. The zero value is
// invalid: see StandardPolicy.
type Policy struct {
	// Base limits the wait after the first failure; the limit doubles with each
	// further one, up to Most.
	Base, Most time.Duration
	// Least is the shortest wait after a failure, whatever the jitter says.
	Least time.Duration
	// Person is the most that a record waits, beyond the server's wish, while
	// somebody stands there.
	Person time.Duration
	// Wish is how long a server's Retry-After is believed.
	Wish time.Duration
	// Hiccup is the most failures in a row after which the drain goes on at full
	// speed within seconds. An outage with more of them has filled the queues of
	// other kiosks too.
	Hiccup int
	// Ease is what an answer leaves of the gap between background records, as a
	// factor between 0 and 1. Nearer to 1, fewer calls are turned away while a
	// fleet drains, and a lone kiosk takes longer to be at full speed again.
	Ease float64
	// Forget is how long after the last failure the gap is kept.
	Forget time.Duration
}

// StandardPolicy is the product's.
func StandardPolicy() Policy {
	return Policy{
		Base:   time.Second,
		Most:   5 * time.Minute,
		Least:  50 * time.Millisecond,
		Person: 15 * time.Second,
		Wish:   15 * time.Minute,
		Hiccup: 5,   // some 16 s of waiting, and the calls' own time
		Ease:   0.9, // a record has about five answers: the gap is gone after a dozen of them
		Forget: 30 * time.Minute,
	}
}

// Validate names the first value that is impossible.
func (p Policy) Validate() error {
	switch {
	case p.Base <= 0:
		return errors.New("deliver: policy: Base must be positive")
	case p.Most < p.Base || p.Most > 24*time.Hour:
		return errors.New("deliver: policy: Most must not be less than Base nor more than a day")
	case p.Least <= 0 || p.Least > p.Most:
		return errors.New("deliver: policy: Least must be positive and not more than Most")
	case p.Person < p.Least:
		return errors.New("deliver: policy: Person must not be less than Least")
	case p.Wish < 0:
		return errors.New("deliver: policy: Wish must not be negative")
	case p.Hiccup < 0:
		return errors.New("deliver: policy: Hiccup must not be negative")
	case !(p.Ease > 0 && p.Ease < 1):
		return errors.New("deliver: policy: Ease must lie between 0 and 1")
	case p.Forget <= 0:
		return errors.New("deliver: policy: Forget must be positive")
	}
	return nil
}

// Limit is the most that Breaker waits after so many failures in a row, from
// 1, when it remembers nothing else and the server wishes nothing. It never
// falls with the failures and never passes Most.
func (p Policy) Limit(failures int) time.Duration { return limit(p.Base, p.Most, failures) }

// A Breaker keeps the callers of one service back while it cannot be reached,
// and brings them back gently. It is pure: it is told the time. One goroutine
// owns it.
//
// It is open from a failure until the next answer. Open, it lets one probe at a
// time start, after waits with full jitter: an outage costs a kiosk one call in
// minutes, however many records wait.
//
// Closed, it remembers. All kiosks that one outage kept back have queues, and
// come back within minutes of each other; each alone would be welcome, all
// together are many times what the gateway can serve. So a background record
// starts only a gap after the one before it. The gap is as long as the back-off
// was at the end of the outage; each answer shortens it by a part, each
// failure after an answer doubles it, and the next back-off starts from it
// instead of from nothing. That is congestion control without a word from the
// centre: every kiosk speeds up until the gateway sends some of them away.
// (V. Jacobson, Congestion Avoidance and Control, 1988, has the slow start and
// the halving; the growth by a factor instead of a sum is because no kiosk
// knows whether its share is a record a second or one in ten minutes.)
//
// A person who waits is never held back by the gap: only background records
// ask Pause.
type Breaker struct {
	p      Policy
	random func() float64

	failures int       // in a row; open while it is not 0
	until    time.Time // open: the next probe
	person   time.Time // open: the next probe for somebody who stands there

	gap  time.Duration // between the starts of background records
	next time.Time     // closed: the next start of one
	last time.Time     // the last failure
}

// NewBreaker returns a breaker that is closed and remembers nothing. p is
// valid; random returns numbers in [0, 1).
func NewBreaker(p Policy, random func() float64) *Breaker {
	return &Breaker{p: p, random: random}
}

// Restore takes up what Memory returned before a restart, if that was not 0:
// the breaker is open. The wait is drawn anew from the failure count, so that a
// wrong wall clock cannot lengthen it. notBefore is when the server wished to
// be asked again, zero for never; it is believed as far as Policy.Wish.
func (b *Breaker) Restore(now time.Time, failures int, notBefore time.Time) {
	if failures <= 0 {
		return
	}
	b.failures = failures
	b.last = now
	b.gap = 0
	if failures > b.p.Hiccup {
		b.gap = b.p.Limit(failures)
	}
	var wish time.Duration
	if !notBefore.IsZero() {
		wish = notBefore.Sub(now)
	}
	b.draw(now, wish)
}

// Memory is the failure count to hand to Restore after a restart: those in a
// row or, while background records still start with a gap, as many as stand
// for it. 0: there is nothing to remember.
func (b *Breaker) Memory() int {
	n := b.failures
	if b.gap > b.p.Limit(b.p.Hiccup) {
		n = max(n, b.p.Hiccup+1)
		for b.p.Limit(n) < b.gap {
			n++
		}
	}
	return n
}

// Fail notes a failure that all records share: an outage, a 429, a 503. wish is
// the server's Retry-After, 0 for none: the wait is at least that, as far as
// Policy.Wish, with jitter on top.
func (b *Breaker) Fail(now time.Time, wish time.Duration) {
	if b.failures == 0 { // those in a row are one event
		b.gap = min(max(2*b.kept(now), b.p.Base), b.p.Most)
	}
	b.failures++
	if b.failures > b.p.Hiccup {
		b.gap = max(b.gap, b.p.Limit(b.failures))
	}
	b.last = now
	b.draw(now, wish)
}

// draw sets the waits of an open breaker.
func (b *Breaker) draw(now time.Time, wish time.Duration) {
	from := now.Add(min(max(wish, 0), b.p.Wish))
	l := b.p.Limit(b.failures)
	b.until = from.Add(b.jitter(max(l, b.gap)))
	b.person = from.Add(b.jitter(min(l, b.p.Person)))
}

func (b *Breaker) jitter(most time.Duration) time.Duration {
	return max(time.Duration(b.random()*float64(most)), b.p.Least)
}

// Pass notes an answer that counts, be it one that a record does not like. It
// closes the breaker.
func (b *Breaker) Pass(now time.Time) {
	b.gap = b.kept(now)
	if b.failures > 0 {
		b.failures = 0
		b.space(now)
	}
	if b.gap = time.Duration(float64(b.gap) * b.p.Ease); b.gap < b.p.Base/2 {
		b.gap = 0
	}
}

// Start notes that a background record starts that was not under way before:
// the next one starts a gap later. See Pause.
func (b *Breaker) Start(now time.Time) {
	b.gap = b.kept(now)
	b.space(now)
}

// space draws when the next background record may start.
func (b *Breaker) space(now time.Time) {
	b.next = now.Add(time.Duration((0.5 + b.random()) * float64(b.gap)))
}

// kept is the gap as far as it is remembered.
func (b *Breaker) kept(now time.Time) time.Duration {
	if now.Sub(b.last) > b.p.Forget {
		return 0
	}
	return b.gap
}

// Wait is how long nothing may start: 0 means that a try may start now, and of
// an open breaker that a single probe may.
func (b *Breaker) Wait(now time.Time) time.Duration {
	if b.failures == 0 {
		return 0
	}
	return max(b.until.Sub(now), 0)
}

// Urgent is Wait for a record that somebody stands before: its limit is never
// more than Policy.Person, beyond the server's wish. It is for the two minutes
// that a person is taken to wait. That they arrive is reason enough for a first
// probe at once, without asking.
func (b *Breaker) Urgent(now time.Time) time.Duration {
	if b.failures == 0 {
		return 0
	}
	return max(min(b.person.Sub(now), b.until.Sub(now)), 0)
}

// Open reports whether the last word was a failure.
func (b *Breaker) Open() bool { return b.failures > 0 }

// Failures is how many there were since the last answer.
func (b *Breaker) Failures() int { return b.failures }

// Lanes is how many background rounds may run at a time now, from 1 to most:
// one while the breaker is open or background records start with a gap.
func (b *Breaker) Lanes(now time.Time, most int) int {
	if b.failures > 0 || b.kept(now) > 0 {
		return min(1, most)
	}
	return most
}

// Pause is how long no background record may start that is not under way yet:
// 0 normally. Whoever starts one calls Start. Records under way, such as those
// that wait for a verdict, and those of people who wait, do not ask.
func (b *Breaker) Pause(now time.Time) time.Duration {
	if b.kept(now) == 0 {
		return 0
	}
	return max(b.next.Sub(now), 0)
}
