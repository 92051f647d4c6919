package main

import (
	"context"
	"math"
	"math/rand/v2"
	"time"

	"livekiosk/queue/deliver"
)

// Times of the model.
const (
	presence  = 2 * time.Minute        // a person stays in front of the kiosk
	urlLife   = 9 * time.Minute        // of an upload URL, with some reserve
	upload    = 800 * time.Millisecond // of one image of 300 KB over a shop's line, on average
	bootTime  = 40 * time.Second
	verdict   = 3 * time.Second // median of the gateway's own check
	verdictSD = 0.8             // sigma of its logarithm
)

// A step is the next call of a record.
type step uint8

const (
	stepURLs step = iota
	stepSelfie
	stepAdditional
	stepConfirm
	stepStatus
)

// A record on its way. One that has not begun is only a birth in its kiosk's
// backlog.
type record struct {
	born    time.Duration
	due     time.Duration
	urls    time.Duration // when they die
	verdict time.Duration // when there is one
	polling time.Duration // since when
	kiosk   int32
	next    int32 // of the kiosk, younger; -1 for none
	polls   uint16
	tries   uint8 // in a row that failed
	step    step
	running bool
	probe   bool
	arrived bool // the round of a person who has just arrived
	tried   bool // that round was begun
	backlog bool // from before the gateway came back
}

// A shop is one kiosk.
type shop struct {
	breaker *deliver.Breaker
	wish    time.Duration // when the server wished to be asked again

	births   []float32 // seconds, of records that have not begun; oldest first
	records  int32     // on their way: the oldest; -1 for none
	guest    int32     // the one of the person waiting; -1 for none
	until    time.Duration
	perHour  float32
	lanes    int8 // rounds running, without the guest's
	probing  int8
	life     uint8
	down     bool
	wake     time.Duration
	left     int32 // of the backlog
	progress time.Duration
	drought  time.Duration // longest time without one more delivered
	done     time.Duration
}

// A fleet is a simulation under way.
type fleet struct {
	scenario
	rng     *rand.Rand
	gateway *gateway
	shops   []shop
	records []record
	idle    []int32 // of records
	events  queue
	now     time.Duration
	epoch   time.Time

	backlog int // records at the start
	left    int
	queued  []int32 // left, in each second
	puts    []uint32
	walkins []time.Duration // from arrival to verdict
	waited  time.Duration   // the longest of the backlog
	spent   uint64          // calls served for the backlog
	steps   uint64
	busiest int // records of one kiosk
	started int // kiosks that have a backlog
}

func newFleet(s scenario) *fleet {
	f := &fleet{
		scenario: s,
		rng:      rand.New(rand.NewPCG(s.Seed, 2)),
		gateway:  newGateway(s.Capacity, s.Refusal, s.Room),
		shops:    make([]shop, s.Kiosks),
		epoch:    time.Date(2026, time.March, 2, 18, 0, 0, 0, time.UTC),
	}
	f.populate()
	return f
}

// populate draws the kiosks' queues, and lets each of them find out about the
// outage as the product does. It draws from a source of its own: every
// scenario with the same seed has the same queues.
func (f *fleet) populate() {
	people := rand.New(rand.NewPCG(f.Seed, 1))
	random := f.random()
	var births []float32
	for i := range f.shops {
		k := &f.shops[i]
		*k = shop{breaker: deliver.NewBreaker(f.Policy, random), records: -1, guest: -1, wake: math.MaxInt64}
		if people.Float64() < f.Closed {
			continue
		}
		// A log-normal with this mean, over the kiosks that are open.
		mean := f.PerHour / (1 - f.Closed)
		rate := min(mean*math.Exp(f.Skew*people.NormFloat64()-f.Skew*f.Skew/2), f.Busiest)
		k.perHour = float32(rate)
		from := len(births)
		for t := -f.Outage.Hours(); ; {
			if t += people.ExpFloat64() / rate; t >= 0 {
				break
			}
			births = append(births, float32(t*3600))
		}
		k.births = births[from:len(births):len(births)]
		f.backlog += len(k.births)
		f.busiest = max(f.busiest, len(k.births))
	}
	f.left = f.backlog
	for i := range f.shops {
		k := &f.shops[i]
		k.left = int32(len(k.births))
		if k.left > 0 {
			f.started++
			f.despair(int32(i))
		}
		if k.perHour > 0 {
			f.push(f.arrival(k), visit, int32(i))
		}
		if f.rng.Float64() < f.Restarts {
			f.push(f.From+time.Duration(f.rng.Float64()*float64(f.To-f.From)), restart, int32(i))
		}
	}
}

func (f *fleet) random() func() float64 {
	if f.Steady {
		return func() float64 { return math.Nextafter(1, 0) }
	}
	return f.rng.Float64
}

// despair has a kiosk probe in vain from its first record on until the gateway
// is back: at each arrival, while somebody stands there, and when its breaker
// says so.
func (f *fleet) despair(i int32) {
	k := &f.shops[i]
	next, left := 0, time.Duration(math.MinInt64)
	for t := seconds(k.births[0]); t < 0; {
		for next < len(k.births) && seconds(k.births[next]) <= t {
			left = seconds(k.births[next]) + presence
			next++
		}
		now := f.time(t)
		k.breaker.Fail(now, 0)
		wait := k.breaker.Wait(now)
		if t < left && t > -5*presence { // before that it changes nothing any more
			wait = min(wait, k.breaker.Urgent(now))
		}
		if next < len(k.births) {
			wait = min(wait, seconds(k.births[next])-t)
		}
		t += wait
	}
	// Who came last may still stand there.
	if last := len(k.births) - 1; left > 0 {
		f.welcome(i, seconds(k.births[last]))
		k.births = k.births[:last]
		f.records[k.guest].backlog = true
		f.records[k.guest].tried = true
		f.wakeAt(i, k.breaker.Urgent(f.time(0)))
	}
	f.wakeAt(i, k.breaker.Wait(f.time(0)))
}

func seconds(s float32) time.Duration { return time.Duration(float64(s) * float64(time.Second)) }

func (f *fleet) time(t time.Duration) time.Time { return f.epoch.Add(t) }

func (f *fleet) push(at time.Duration, what kind, who int32) {
	f.events.push(event{at: at, kind: what, who: who})
}

// arrival is when the next person walks up.
func (f *fleet) arrival(k *shop) time.Duration {
	return f.now + time.Duration(f.rng.ExpFloat64()/float64(k.perHour)*float64(time.Hour))
}

// wakeAt sees to it that the kiosk looks for work at that time at the latest.
func (f *fleet) wakeAt(i int32, at time.Duration) {
	if k := &f.shops[i]; at < k.wake {
		k.wake = at
		f.push(at, wake, i)
	}
}

// run lets the fleet drain. It returns early with ctx's error.
func (f *fleet) run(ctx context.Context, progress func(f *fleet)) error {
	for f.left > 0 && f.now < f.Horizon && len(f.events) > 0 {
		e := f.events.pop()
		if second := int(e.at / time.Second); second >= len(f.queued) {
			for second >= len(f.queued) {
				f.queued = append(f.queued, int32(f.left))
				f.puts = append(f.puts, 0)
			}
		}
		f.now = e.at
		if f.steps++; f.steps%(1<<12) == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			progress(f)
		}
		f.step(e)
	}
	return nil
}

func (f *fleet) step(e event) {
	switch e.kind {
	case wake:
		if k := &f.shops[e.who]; k.wake == e.at {
			k.wake = math.MaxInt64
			f.dispatch(e.who)
		}
	case visit:
		k := &f.shops[e.who]
		f.push(f.arrival(k), visit, e.who)
		if !k.down {
			f.welcome(e.who, f.now)
			f.dispatch(e.who)
		}
	case served, refused:
		r := &f.records[e.who]
		if i := r.kiosk; i >= 0 && f.shops[i].life == e.life && !f.shops[i].down {
			if e.kind == served {
				f.answered(e.who)
			} else {
				f.turnedAway(e.who)
			}
			f.dispatch(i)
		}
	case restart:
		f.crash(e.who)
	case boot:
		f.boot(e.who)
	}
}

// crash ends what a kiosk does; its records keep their marks.
func (f *fleet) crash(i int32) {
	k := &f.shops[i]
	k.life++
	k.down, k.lanes, k.probing, k.guest = true, 0, 0, -1
	for n := k.records; n >= 0; n = f.records[n].next {
		r := &f.records[n]
		r.running, r.probe, r.arrived, r.polls, r.tries, r.due = false, false, false, 0, 0, 0
		if r.step == stepSelfie || r.step == stepAdditional {
			r.urls = 0
		}
	}
	f.push(f.now+bootTime, boot, i)
}

// boot starts a kiosk again, by a clock that may be wrong.
func (f *fleet) boot(i int32) {
	k := &f.shops[i]
	k.down = false
	memory := k.breaker.Memory()
	k.breaker = deliver.NewBreaker(f.Policy, f.random())
	var notBefore time.Time
	if k.wish > 0 {
		wrong := time.Duration((2*f.rng.Float64() - 1) * float64(f.Clock))
		notBefore = f.time(k.wish + wrong)
	}
	k.breaker.Restore(f.time(f.now), memory, notBefore)
	f.dispatch(i)
}

// add puts a record on its way.
func (f *fleet) add(i int32, r record) int32 {
	r.kiosk, r.next = i, -1
	var n int32
	if last := len(f.idle) - 1; last >= 0 {
		n, f.idle = f.idle[last], f.idle[:last]
		f.records[n] = r
	} else {
		n = int32(len(f.records))
		f.records = append(f.records, r)
	}
	at := &f.shops[i].records
	for *at >= 0 {
		at = &f.records[*at].next
	}
	*at = n
	return n
}

// drop ends a record.
func (f *fleet) drop(n int32) {
	r := &f.records[n]
	k := &f.shops[r.kiosk]
	at := &k.records
	for *at != n {
		at = &f.records[*at].next
	}
	*at = r.next
	r.kiosk = -1
	f.idle = append(f.idle, n)
}

// welcome stores the record of a person who waits for it from now on. Who came
// before no longer does.
func (f *fleet) welcome(i int32, born time.Duration) {
	k := &f.shops[i]
	f.leave(k)
	k.guest, k.until = f.add(i, record{born: born}), born+presence
}

// leave makes the guest's record one like all others.
func (f *fleet) leave(k *shop) {
	if k.guest >= 0 {
		if f.records[k.guest].running {
			k.lanes++
		}
		k.guest = -1
	}
}

// dispatch starts the rounds that can run now, as the product's schedule does.
func (f *fleet) dispatch(i int32) {
	k := &f.shops[i]
	if k.down {
		return
	}
	if k.guest >= 0 && f.now >= k.until {
		f.leave(k)
	}
	now := f.time(f.now)
	open := k.breaker.Open()
	if k.guest >= 0 && !f.records[k.guest].running {
		r := &f.records[k.guest]
		at := max(r.due, f.now)
		if open && r.tried {
			at = max(at, f.now+k.breaker.Urgent(now))
		}
		if at == f.now && (!open || !r.tried || k.probing == 0) {
			r.arrived, r.tried = !r.tried, true
			f.start(k.guest, open && k.probing == 0)
		} else if at > f.now {
			f.wakeAt(i, min(at, k.until))
		}
	}
	if open {
		if k.probing > 0 {
			return
		}
		if wait := k.breaker.Wait(now); wait > 0 {
			f.wakeAt(i, f.now+wait)
			return
		}
	}
	most := k.breaker.Lanes(now, f.Lanes)
	for n := k.records; n >= 0; n = f.records[n].next {
		r := &f.records[n]
		if n == k.guest || r.running {
			continue
		}
		if int(k.lanes) >= most {
			return
		}
		if r.due > f.now {
			f.wakeAt(i, r.due)
			continue
		}
		f.start(n, open)
		if open {
			return
		}
	}
	for len(k.births) > 0 && int(k.lanes) < most {
		if wait := k.breaker.Pause(now); wait > 0 && !open {
			f.wakeAt(i, f.now+wait)
			return
		}
		k.breaker.Start(now)
		n := f.add(i, record{born: seconds(k.births[0]), backlog: true})
		k.births = k.births[1:]
		f.start(n, open)
		if open {
			return
		}
	}
}

// start begins a round of a record.
func (f *fleet) start(n int32, probe bool) {
	r := &f.records[n]
	k := &f.shops[r.kiosk]
	r.running, r.probe = true, probe
	if n != k.guest {
		k.lanes++
	}
	if probe {
		k.probing++
	}
	f.call(n)
}

// rest ends a round.
func (f *fleet) rest(n int32) {
	r := &f.records[n]
	k := &f.shops[r.kiosk]
	r.running, r.arrived = false, false
	if n != k.guest {
		k.lanes--
	}
	if r.probe {
		k.probing--
		r.probe = false
	}
}

// call makes the next call of a record.
func (f *fleet) call(n int32) {
	r := &f.records[n]
	if (r.step == stepSelfie || r.step == stepAdditional) && f.now > r.urls {
		r.step = stepURLs
	}
	k := &f.shops[r.kiosk]
	e := event{who: n, kind: served, life: k.life}
	if r.step == stepSelfie || r.step == stepAdditional {
		// The object store scales on its own; its rate is only counted.
		f.puts[int(f.now/time.Second)]++
		e.at = f.now + time.Duration((0.5+f.rng.Float64())*float64(upload))
	} else {
		// The breaker may have opened since the round began.
		if k.breaker.Open() && !r.probe && !r.arrived {
			if k.probing > 0 || k.breaker.Wait(f.time(f.now)) > 0 {
				f.rest(n)
				return
			}
			r.probe = true
			k.probing++
		}
		wait, ok := f.gateway.ask(f.now)
		e.at = f.now + wait
		if !ok {
			e.kind = refused
		}
	}
	f.events.push(e)
}

// answered carries a record on after an answer.
func (f *fleet) answered(n int32) {
	r := &f.records[n]
	k := &f.shops[r.kiosk]
	r.tries = 0
	if r.step != stepSelfie && r.step != stepAdditional {
		if r.backlog {
			f.spent++
		}
		k.breaker.Pass(f.time(f.now))
		k.wish = 0
		if r.probe {
			r.probe = false
			k.probing--
		}
	}
	switch r.step {
	case stepURLs:
		r.urls = f.now + urlLife
		r.step = stepSelfie
	case stepSelfie:
		r.step = stepAdditional
	case stepAdditional:
		r.step = stepConfirm
	case stepConfirm:
		r.step = stepStatus
		r.verdict = f.now + time.Duration(float64(verdict)*math.Exp(verdictSD*f.rng.NormFloat64()))
	case stepStatus:
		if f.now >= r.verdict {
			f.rest(n)
			f.settle(n)
			return
		}
		if r.polls == 0 {
			r.polling = f.now
		}
		r.polls++
		f.rest(n)
		r.due = f.now + deliver.PollWait(int(r.polls), f.now-r.polling)
		return
	}
	f.call(n)
}

// turnedAway ends a round by the gateway's 503.
func (f *fleet) turnedAway(n int32) {
	r := &f.records[n]
	k := &f.shops[r.kiosk]
	probe, known := r.probe, k.breaker.Open() && !r.probe && !r.arrived
	f.rest(n)
	if !known {
		k.breaker.Fail(f.time(f.now), f.RetryAfter)
		if f.RetryAfter > 0 {
			k.wish = f.now + f.RetryAfter
		}
	}
	if !probe { // a wait of its own: a probe's is the breaker's
		r.tries = min(r.tries+1, 30)
		r.due = f.now + time.Duration(f.rng.Float64()*float64(f.Policy.Limit(int(r.tries))))
	}
}

// settle ends a record by its verdict.
func (f *fleet) settle(n int32) {
	r := &f.records[n]
	k := &f.shops[r.kiosk]
	if k.guest == n {
		k.guest = -1
	}
	if !r.backlog {
		f.walkins = append(f.walkins, f.now-r.born)
	} else {
		f.left--
		f.waited = max(f.waited, f.now-r.born)
		k.drought = max(k.drought, f.now-k.progress)
		k.progress = f.now
		if k.left--; k.left == 0 {
			k.done = f.now
		}
	}
	f.drop(n)
}
