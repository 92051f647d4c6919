package deliver

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"livekiosk/kiosk"
)

const (
	beatEvery = 5 * time.Second
	listEvery = time.Minute // records can go without a word: by age, or by staff

	keepEvery = 15 * time.Second // outages are written down, but for their beginnings and ends

	mostCached = 64 // jobs kept between their reading and their first round
	mostGuests = 3  // rounds of people waiting at a time
)

// A schedule decides which record is worked on when. One goroutine owns it.
//
// A task that has no round and is the first of its session lies in one heap:
// in later until it is due, then in the one of ready for what it needs. What an
// event costs grows with the logarithm of the number of records.
type schedule struct {
	*Deliverer

	tasks    map[kiosk.RecordID]*task
	sessions map[kiosk.SessionID][]*task // of those that were read, oldest first
	unread   []*task                     // listed only, oldest first
	cached   int                         // tasks that have their job
	seq      uint64

	later places
	// By needs, and whether they are under way. A heap's turn puts those that
	// probed least first, then the oldest.
	ready [2 * (needToken + 1)]places

	// The record that was stored last while Run ran: its person is taken to be
	// waiting for a while. Its whole session goes first.
	preferred kiosk.RecordID
	arrival   time.Time

	listings  uint64    // that succeeded
	relist    time.Time // when to list next
	listFails int

	running int     // rounds, without those of people waiting
	guests  []*task // the rounds of people waiting
	results chan result
	rounds  sync.WaitGroup

	ahead ahead
	keep  time.Time // not before: the next try to write outages down
	kept  time.Time // when they were written down last
}

// Run delivers until ctx ends; then it returns nil. Outages and faults of the
// outbox are waited out.
func (d *Deliverer) Run(ctx context.Context) error {
	s := &schedule{
		Deliverer: d,
		tasks:     map[kiosk.RecordID]*task{},
		sessions:  map[kiosk.SessionID][]*task{},
		results:   make(chan result),
		ahead:     newAhead(),
	}
	s.remember(ctx)
	defer s.rounds.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		d.o.Beat()
		if !time.Now().Before(s.relist) {
			s.list(ctx)
		}
		s.save(ctx)
		timer.Reset(min(s.dispatch(ctx), time.Until(s.relist), beatEvery))
		select {
		case <-ctx.Done():
			return nil
		case <-d.o.Outbox.Wake():
			s.relist = time.Now()
		case <-d.lines.news:
		case r := <-s.results:
			s.take(r)
		case r := <-s.ahead.results:
			s.fetched(r)
		case <-timer.C:
		}
	}
}

// most is how many rounds run at a time, without that of the person waiting:
// while one waits for the disk, another uses its lane.
func (d *Deliverer) most() int { return 2 * d.o.Lanes }

// remember takes up the outages from before a restart.
func (s *schedule) remember(ctx context.Context) {
	outages, err := s.o.Outbox.Outages(ctx)
	if err != nil {
		if ctx.Err() == nil {
			s.count(func(st *Stats) { st.LocalFaults++ })
			s.o.Log.ErrorContext(ctx, "outbox does not tell its outages", slog.Any("err", err))
		}
		return
	}
	s.lines.restore(outages, time.Now())
}

// save makes durable what is known of outages, if that changed.
func (s *schedule) save(ctx context.Context) {
	now := time.Now()
	if now.Before(s.keep) {
		return
	}
	outages, changed := s.lines.unsaved(now.Sub(s.kept) < keepEvery)
	if !changed {
		return
	}
	s.kept = now
	if err := s.o.Outbox.SetOutages(ctx, outages); err != nil {
		s.lines.unsave()
		if s.keep = time.Now().Add(listEvery); ctx.Err() == nil {
			s.count(func(st *Stats) { st.LocalFaults++ })
			s.o.Log.ErrorContext(ctx, "outbox does not keep outages", slog.Any("err", err))
		}
	}
}

// list reads which records are pending.
func (s *schedule) list(ctx context.Context) {
	ids, err := s.o.Outbox.Pending(ctx)
	if err != nil {
		s.fault(ctx, err)
		return
	}
	now := time.Now()
	s.listings++
	var last *task
	for _, id := range ids {
		t := s.tasks[id]
		if t == nil {
			s.seq++
			t = &task{id: id, seq: s.seq}
			s.tasks[id], last = t, t
			s.unread = append(s.unread, t)
		}
		t.listing = s.listings
	}
	for _, t := range s.tasks {
		if !t.running && t.listing != s.listings {
			s.drop(t)
		}
	}
	s.listFails, s.relist = 0, now.Add(listEvery)
	s.pending()
	if last != nil && s.listings > 1 {
		// Somebody has just been told "saved" and may be waiting. Their session may
		// have older records.
		s.preferred, s.arrival, last.arrived = last.id, now, true
		for s.read(ctx, now) {
		}
	}
	s.book(ctx)
}

// fault notes that the outbox does not list its records. Listing is tried
// again later.
func (s *schedule) fault(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	s.count(func(st *Stats) { st.LocalFaults++ })
	if s.listFails++; s.listFails == 1 {
		s.o.Log.ErrorContext(ctx, "outbox does not list its records", slog.Any("err", err))
	}
	s.relist = time.Now().Add(s.pause(s.listFails, 0))
}

// read reads the next record that was listed, and places it. It reports
// whether there was one. Records are read when a lane has nothing else to do:
// a long queue is not read before its first record goes.
func (s *schedule) read(ctx context.Context, now time.Time) bool {
	if len(s.unread) == 0 || s.listFails > 0 {
		return false
	}
	t := s.unread[0]
	if t.gone {
		s.unread = s.unread[1:]
		return true
	}
	s.o.Beat()
	job, err := s.o.Outbox.Job(ctx, t.id)
	switch {
	case errors.Is(err, kiosk.ErrNoRecord):
		s.unread = s.unread[1:]
		s.drop(t)
		s.pending()
		return true
	case errors.Is(err, kiosk.ErrSealBroken): // its round sets it aside
	case err != nil:
		s.fault(ctx, err)
		return false
	}
	s.unread = s.unread[1:]
	if t.session = job.Session; t.session == "" {
		t.session = kiosk.SessionID(t.id) // a session of its own
	}
	if err == nil {
		s.resume(t, job, now)
		if s.cached < mostCached && t.due.IsZero() {
			t.job = &job
			s.cached++
		}
	}
	s.sessions[t.session] = append(s.sessions[t.session], t)
	s.place(t, now)
	return true
}

func (s *schedule) pending() { s.count(func(st *Stats) { st.Pending = len(s.tasks) }) }

// head is the record of a session that goes first; nil if none was read.
func (s *schedule) head(session kiosk.SessionID) *task {
	if of := s.sessions[session]; len(of) > 0 {
		return of[0]
	}
	return nil
}

// place puts a task where it waits for its turn, if it has one.
func (s *schedule) place(t *task, now time.Time) {
	if t.running || t.gone || s.head(t.session) != t {
		return
	}
	t.stamp++
	p := place{task: t, stamp: t.stamp, turn: uint64(t.probes)<<40 + t.seq}
	if t.due.After(now) {
		p.due = t.due
		s.later.push(p)
		return
	}
	s.ready[class(t)].push(p)
}

func class(t *task) int {
	if t.underway {
		return int(t.needs + needToken + 1)
	}
	return int(t.needs)
}

func (s *schedule) drop(t *task) {
	t.gone = true
	s.uncache(t)
	delete(s.tasks, t.id)
	rest := s.sessions[t.session]
	if i := slices.Index(rest, t); i >= 0 {
		rest = slices.Delete(rest, i, i+1)
	}
	if s.sessions[t.session] = rest; len(rest) == 0 {
		delete(s.sessions, t.session)
	} else {
		s.place(rest[0], time.Now())
	}
}

// uncache notes that a task's job is kept no longer.
func (s *schedule) uncache(t *task) {
	if t.job != nil {
		s.cached--
	}
}

// waiting is the record to work on for the person who waits; nil if there is
// none.
func (s *schedule) waiting(now time.Time) *task {
	if t := s.tasks[s.preferred]; t != nil && now.Sub(s.arrival) < front {
		return s.head(t.session)
	}
	return nil
}

// dispatch starts the rounds that can run now. It returns the wait until
// another may be due, if nothing else happens.
func (s *schedule) dispatch(ctx context.Context) time.Duration {
	if ctx.Err() != nil {
		return beatEvery
	}
	now := time.Now()
	if s.lines.closed() {
		s.forgive(now)
	}
	for p, found := s.later.first(); found && !p.due.After(now); p, found = s.later.first() {
		s.later.pop()
		s.place(p.task, now)
	}
	s.dismiss(now)
	wait := s.greet(ctx, now)
	for s.running < s.most() {
		t, next := s.turn(now)
		if t == nil {
			if s.read(ctx, now) {
				continue
			}
			wait = min(wait, next)
			break
		}
		s.running++
		s.start(ctx, t, false, now)
	}
	if p, found := s.later.first(); found {
		wait = min(wait, p.due.Sub(now))
	}
	s.rest()
	return min(wait, s.fetch(ctx, now))
}

// rest notes whether there is nothing to do but to wait. What could be started
// was: without a round, whatever is due waits for a service, which is away or
// has just come back.
func (s *schedule) rest() {
	resting := s.running == 0 && len(s.guests) == 0 && len(s.unread) == 0 && s.listFails == 0
	for i := range s.ready {
		if _, due := s.ready[i].first(); due && resting {
			resting = s.Stats().Offline
		}
	}
	s.count(func(st *Stats) { st.Resting = resting })
}

// dismiss takes rounds for what they are by now: those of people who have left
// since. A person who arrives finds a lane even if such a round hangs.
func (s *schedule) dismiss(now time.Time) {
	s.guests = slices.DeleteFunc(s.guests, func(t *task) bool {
		if now.Before(t.until) {
			return false
		}
		t.guest = false
		s.running++
		return true
	})
}

// greet starts the round of the person who waits. It returns the wait until it
// may start.
func (s *schedule) greet(ctx context.Context, now time.Time) time.Duration {
	t := s.waiting(now)
	switch {
	case t == nil, t.running:
		return beatEvery
	case t.due.After(now):
		return t.due.Sub(now)
	}
	if p := s.tasks[s.preferred]; p != t && p.arrived { // their session's first record is an older one
		t.arrived, p.arrived = true, false
	}
	if wait := s.lines.urgent(t, t.needs, now); wait > 0 {
		return wait
	}
	switch {
	case len(s.guests) < mostGuests:
		s.start(ctx, t, true, now)
	case s.running < s.most():
		s.running++
		s.start(ctx, t, false, now)
	}
	return beatEvery
}

// turn returns the record whose turn it is, nil if there is none, and the wait
// until another's may be.
func (s *schedule) turn(now time.Time) (*task, time.Duration) {
	var best place
	wait := beatEvery
	for i := range s.ready {
		p, found := s.ready[i].first()
		if !found {
			continue
		}
		if w := s.lines.wait(p.task.needs, p.task.underway, s.most(), now); w > 0 {
			wait = min(wait, w)
			continue
		}
		if best.task == nil || p.turn < best.turn {
			best = p
		}
	}
	return best.task, wait
}

// forgive lets the oldest go first again after an outage, and not those that
// probed least.
func (s *schedule) forgive(now time.Time) {
	for i := range s.ready {
		s.ready[i] = nil
	}
	for _, t := range s.tasks {
		t.probes = 0
		if !t.due.After(now) {
			s.place(t, now)
		}
	}
}

func (s *schedule) start(ctx context.Context, t *task, guest bool, now time.Time) {
	t.running, t.guest = true, guest
	s.uncache(t)
	if guest {
		s.guests = append(s.guests, t)
	}
	if t.until = (time.Time{}); s.waiting(now) == t {
		t.until = s.arrival.Add(front)
	}
	need := t.needs
	s.lines.start(t, need, !guest, t.underway, now)
	s.rounds.Go(func() {
		r := s.play(ctx, t, guest)
		s.lines.end(t, need, !guest)
		select {
		case s.results <- r:
		case <-ctx.Done(): // nobody reads any more
		}
	})
}

// take notes how a round ended.
func (s *schedule) take(r result) {
	t := r.task
	t.running = false
	if t.guest {
		s.guests = slices.DeleteFunc(s.guests, func(of *task) bool { return of == t })
	} else {
		s.running--
	}
	now := time.Now()
	switch r.ending {
	case stopped:
		return
	case gone:
		s.drop(t)
		s.pending()
		return
	case waits:
		t.due = now.Add(r.wait)
	case vain:
		t.probes++
	case blocked:
	}
	s.place(t, now)
}
