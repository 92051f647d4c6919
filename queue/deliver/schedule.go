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

	leastWait = 50 * time.Millisecond // after a failure, whatever the jitter says
	mostWait  = 15 * time.Minute      // that a server may wish for
)

// A task is what is known of a pending record between rounds. A restart
// forgets it; nothing here is needed to be right, only to be polite. While a
// round runs, it owns the task.
type task struct {
	id      kiosk.RecordID
	session kiosk.SessionID
	running bool
	due     time.Time

	failures int // of its own, in a row
	probes   int // in this outage
	deferral string

	targets    kiosk.Targets
	targetsEnd time.Time
	lost       int // submissions that the gateway denied

	status  kiosk.GatewayStatus
	polls   int
	polling time.Time // of the first poll

	ended func(context.Context) error // the end, until the ledger has taken it
}

// progress notes that a step was done.
func (t *task) progress() { t.failures, t.deferral = 0, "" }

// A schedule decides which record is worked on when. One goroutine owns it.
type schedule struct {
	*Deliverer

	order    []*task // oldest first
	tasks    map[kiosk.RecordID]*task
	sessions map[kiosk.SessionID][]*task // oldest first

	// preferred is the record that was stored last while Run ran: its person is
	// taken to be waiting. Its whole session goes first.
	preferred kiosk.RecordID

	listed    time.Time // last good listing
	relist    time.Time // when to list next
	listFails int

	lanes    int   // rounds running, without that of the person waiting
	first    *task // the round of the person waiting; nil if none runs
	results  chan result
	answered chan struct{}
	rounds   sync.WaitGroup

	// An outage: until the gateway answers again, one record at a time probes.
	out      bool
	outFails int
	outUntil time.Time
	probing  int
}

// Run delivers until ctx ends; then it returns nil. Outages and faults of the
// outbox are waited out.
func (d *Deliverer) Run(ctx context.Context) error {
	s := &schedule{
		Deliverer: d,
		tasks:     map[kiosk.RecordID]*task{},
		sessions:  map[kiosk.SessionID][]*task{},
		results:   make(chan result, d.o.Lanes+1),
		answered:  make(chan struct{}, 1),
	}
	defer s.rounds.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		d.o.Beat()
		if !time.Now().Before(s.relist) {
			s.list(ctx)
		}
		timer.Reset(min(s.dispatch(ctx), time.Until(s.relist), beatEvery))
		select {
		case <-ctx.Done():
			return nil
		case <-d.o.Outbox.Wake():
			s.relist = time.Now()
		case <-s.answered:
			s.mended(ctx)
		case r := <-s.results:
			s.take(ctx, r)
		case <-timer.C:
		}
	}
}

// list reads which records are pending.
func (s *schedule) list(ctx context.Context) {
	ids, err := s.o.Outbox.Pending(ctx)
	var fresh []*task
	for _, id := range ids {
		if err != nil {
			break
		}
		s.o.Beat()
		if s.tasks[id] != nil {
			continue
		}
		var job kiosk.Job
		job, err = s.o.Outbox.Job(ctx, id)
		switch {
		case errors.Is(err, kiosk.ErrNoRecord):
			err = nil
			continue
		case errors.Is(err, kiosk.ErrSealBroken):
			err = nil // its round sets it aside
		}
		if job.Session == "" {
			job.Session = kiosk.SessionID(id) // a session of its own
		}
		fresh = append(fresh, &task{id: id, session: job.Session})
	}
	if err != nil {
		if ctx.Err() != nil {
			return
		}
		s.count(func(st *Stats) { st.LocalFaults++ })
		if s.listFails++; s.listFails == 1 {
			s.o.Log.ErrorContext(ctx, "outbox does not list its records", slog.Any("err", err))
		}
		s.relist = time.Now().Add(s.pause(s.listFails, 0))
		return
	}
	for _, t := range slices.Clone(s.order) {
		if !t.running && !slices.Contains(ids, t.id) {
			s.drop(t)
		}
	}
	for _, t := range fresh {
		s.tasks[t.id] = t
		s.order = append(s.order, t)
		s.sessions[t.session] = append(s.sessions[t.session], t)
	}
	if len(fresh) > 0 && !s.listed.IsZero() {
		// Somebody has just been told "saved" and may be waiting.
		s.preferred = fresh[len(fresh)-1].id
		s.outUntil = time.Now()
	}
	s.listFails, s.listed = 0, time.Now()
	s.relist = s.listed.Add(listEvery)
	s.count(func(st *Stats) { st.Pending = len(s.order) })
}

func (s *schedule) drop(t *task) {
	delete(s.tasks, t.id)
	if i := slices.Index(s.order, t); i >= 0 {
		s.order = slices.Delete(s.order, i, i+1)
	}
	rest := s.sessions[t.session]
	if i := slices.Index(rest, t); i >= 0 {
		rest = slices.Delete(rest, i, i+1)
	}
	if s.sessions[t.session] = rest; len(rest) == 0 {
		delete(s.sessions, t.session)
	}
	s.count(func(st *Stats) { st.Pending = len(s.order) })
}

// waiting is the record to work on for the person who waits; nil if there is
// none.
func (s *schedule) waiting() *task {
	if t := s.tasks[s.preferred]; t != nil {
		return s.sessions[t.session][0]
	}
	return nil
}

// dispatch starts the rounds that can run now. It returns the wait until
// another may be due, if nothing else happens.
func (s *schedule) dispatch(ctx context.Context) time.Duration {
	if ctx.Err() != nil {
		return beatEvery
	}
	if s.out {
		return s.probe(ctx)
	}
	now, wait := time.Now(), beatEvery
	guest := s.waiting()
	if guest != nil && !guest.running {
		switch {
		case guest.due.After(now):
			wait = min(wait, guest.due.Sub(now))
		case s.first == nil:
			s.first = guest
			s.start(ctx, guest, false)
		case s.lanes < s.o.Lanes:
			s.lanes++
			s.start(ctx, guest, false)
		}
	}
	for _, t := range s.order {
		switch {
		case s.lanes >= s.o.Lanes:
			return wait // a result comes before anything can start
		case t.running, s.sessions[t.session][0] != t:
		case t.due.After(now):
			wait = min(wait, t.due.Sub(now))
		default:
			s.lanes++
			s.start(ctx, t, false)
		}
	}
	return wait
}

// probe starts at most one round while there is an outage: that of the record
// that probed least, so that one which can never succeed does not keep the
// others from finding out. A person who has just arrived probes at once, even
// beside a probe that hangs.
func (s *schedule) probe(ctx context.Context) time.Duration {
	now := time.Now()
	if now.Before(s.outUntil) {
		return s.outUntil.Sub(now)
	}
	guest := s.waiting()
	if s.probing > 0 {
		if guest == nil || guest.running || guest.probes > 0 || s.first != nil || guest.due.After(now) {
			return beatEvery
		}
		s.first = guest
		s.start(ctx, guest, true)
		return beatEvery
	}
	wait := beatEvery
	var best *task
	for _, t := range s.order {
		switch {
		case t.running, s.sessions[t.session][0] != t:
		case t.due.After(now):
			wait = min(wait, t.due.Sub(now))
		case best == nil, t.probes < best.probes, t == guest && t.probes == best.probes:
			best = t
		}
	}
	switch {
	case best == nil:
		return wait
	case best == guest && s.first == nil:
		s.first = best
	case s.lanes < s.o.Lanes:
		s.lanes++
	default:
		return beatEvery // every lane hangs: a result comes first
	}
	s.start(ctx, best, true)
	return beatEvery
}

func (s *schedule) start(ctx context.Context, t *task, probe bool) {
	t.running = true
	if probe {
		s.probing++
	}
	s.rounds.Go(func() {
		r := s.play(ctx, t, func() {
			select {
			case s.answered <- struct{}{}:
			default:
			}
		})
		r.probe = probe
		s.results <- r // has room for every lane
	})
}

// take notes how a round ended.
func (s *schedule) take(ctx context.Context, r result) {
	// An answer that the round had is older than its end.
	select {
	case <-s.answered:
		s.mended(ctx)
	default:
	}
	t := r.task
	t.running = false
	if s.first == t {
		s.first = nil
	} else {
		s.lanes--
	}
	if r.probe {
		s.probing--
	}
	now := time.Now()
	switch r.ending {
	case stopped:
	case gone:
		s.drop(t)
	case waits:
		t.due = now.Add(r.wait)
	case outage:
		if r.probe && s.out {
			t.probes++
			s.outFails++
			s.outUntil = now.Add(s.pause(s.outFails, r.wait))
			return
		}
		if !s.out {
			s.out, s.outFails, s.outUntil = true, 1, now.Add(s.pause(1, r.wait))
			s.count(func(st *Stats) { st.Offline, st.Since = true, now })
			s.o.Log.WarnContext(ctx, "gateway cannot be reached", slog.Int("pending", len(s.order)))
		}
		s.charge(t, now, r.wait)
	case failed:
		s.charge(t, now, r.wait)
	}
}

// pause is the wait after so many failures, or what a server wished for.
func (s *schedule) pause(failures int, wish time.Duration) time.Duration {
	return max(s.o.Backoff(failures), min(wish, mostWait), leastWait)
}

// charge makes a record wait for a failure of its own.
func (s *schedule) charge(t *task, now time.Time, wish time.Duration) {
	t.failures++
	t.due = now.Add(s.pause(t.failures, wish))
}

// mended ends an outage.
func (s *schedule) mended(ctx context.Context) {
	if !s.out {
		return
	}
	s.out, s.outFails = false, 0
	for _, t := range s.order {
		t.probes = 0
	}
	s.count(func(st *Stats) { st.Offline, st.Since = false, time.Time{} })
	s.o.Log.InfoContext(ctx, "gateway answers again", slog.Int("pending", len(s.order)))
}
