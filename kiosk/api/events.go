package api

import (
	"context"
	"strconv"
	"sync"
	"time"

	"livekiosk/kiosk"
)

// EventGap is told to a reader who asked for events that are gone: the ring
// has moved on, or they belong to an earlier run of the daemon. Its Seq is that
// of the last event that is missing, its Text how many are ("" if that is not
// known). It is never stored.
const EventGap kiosk.EventKind = "gap"

// Events is a bounded log of events in memory, safe for concurrent use. It
// keeps the newest and forgets the oldest; readers never hold up a writer.
type Events struct {
	mu   sync.Mutex
	ring []kiosk.Event // an event lives at its Seq modulo len(ring)
	last uint64        // Seq of the newest event; 0: none yet
	more chan struct{} // closed by the next Publish
}

// NewEvents returns an empty log that keeps the newest n events. An n below 1
// means 4096.
func NewEvents(n int) *Events {
	if n < 1 {
		n = 4096
	}
	return &Events{ring: make([]kiosk.Event, n), more: make(chan struct{})}
}

// Publish appends e and wakes the followers. It sets e.Seq (from 1, without
// holes), and e.At if it is zero. It never waits for a reader.
func (l *Events) Publish(e kiosk.Event) {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	e.Seq = l.last
	l.ring[l.index(e.Seq)] = e
	close(l.more)
	l.more = make(chan struct{})
}

// Follow calls fn for every event from Seq from on, in order, and goes on with
// new ones as they come. It returns nil once ctx ended, or the first error of
// fn as it is.
//
// From 0 means from the oldest event that is kept. With a session only that
// session's events are passed on. A reader who is too slow, or whose from is
// gone, gets an [EventGap] in place of what is missing; so does one who asks
// for a whole session whose beginning is gone.
func (l *Events) Follow(ctx context.Context, from uint64, session kiosk.SessionID, fn func(kiosk.Event) error) error {
	r := reader{next: from, session: session, fn: fn}
	for ctx.Err() == nil {
		more, err := r.catchUp(ctx, l)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-more:
		}
	}
	return nil
}

// Replay is Follow without the waiting: it returns nil when fn has had all
// that is there now.
func (l *Events) Replay(ctx context.Context, from uint64, session kiosk.SessionID, fn func(kiosk.Event) error) error {
	r := reader{next: from, session: session, fn: fn}
	_, err := r.catchUp(ctx, l)
	return err
}

// A reader is one walk over the log.
type reader struct {
	next    uint64 // Seq wanted next; 0: the oldest there is
	session kiosk.SessionID
	fn      func(kiosk.Event) error
	begun   bool // an event or a gap was passed on
}

// catchUp passes on everything there is until ctx ends, and returns what is
// closed when there is more.
func (r *reader) catchUp(ctx context.Context, l *Events) (<-chan struct{}, error) {
	whole := r.next <= 1
	for {
		batch, oldest, last, more := l.since(r.next)
		if gap, lost := r.gap(oldest, last); lost {
			r.begun = true
			if err := r.fn(gap); err != nil {
				return nil, err
			}
		}
		r.next = max(r.next, oldest)
		if len(batch) == 0 {
			return more, nil
		}
		for _, e := range batch {
			r.next = e.Seq + 1
			if r.session != "" && e.Session != r.session {
				continue
			}
			if r.session != "" && whole && !r.begun && oldest > 1 && e.Kind != kiosk.EventLaunched {
				if err := r.fn(kiosk.Event{Seq: oldest - 1, At: e.At, Kind: EventGap, Session: r.session}); err != nil {
					return nil, err
				}
			}
			r.begun = true
			select {
			case <-ctx.Done():
				return more, nil
			default:
			}
			if err := r.fn(e); err != nil {
				return nil, err
			}
		}
	}
}

// gap returns what to tell a reader who wants r.next where oldest to last are
// kept, and moves r.next to what is there.
func (r *reader) gap(oldest, last uint64) (kiosk.Event, bool) {
	e := kiosk.Event{Seq: oldest - 1, At: time.Now(), Kind: EventGap, Session: r.session}
	switch {
	case r.next == 0, r.session != "" && r.next == 1:
		return e, false // nothing particular was asked for
	case r.next > last+1: // a place in the log of an earlier run
		r.next = oldest
		return e, true
	case r.next < oldest:
		e.Text = strconv.FormatUint(oldest-r.next, 10)
		r.next = oldest
		return e, true
	default:
		return e, false
	}
}

// batchSize bounds how long Publish may wait for a reader's copy.
const batchSize = 64

// since returns a copy of up to batchSize events from Seq from on, the range
// that is kept, and a channel that the next Publish closes. There are none for
// a from outside of that range, except 0 and what has just been dropped.
func (l *Events) since(from uint64) (batch []kiosk.Event, oldest, last uint64, more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	oldest = 1
	if n := uint64(len(l.ring)); l.last > n {
		oldest = l.last - n + 1
	}
	if from > l.last+1 { // see gap
		from = oldest
	}
	for seq := max(from, oldest); seq <= l.last && len(batch) < batchSize; seq++ {
		batch = append(batch, l.ring[l.index(seq)])
	}
	return batch, oldest, l.last, l.more
}

func (l *Events) index(seq uint64) uint64 { return seq % uint64(len(l.ring)) }
