package deliver

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"livekiosk/kiosk"
)

const (
	// askAgain is how long a booking that the partner backend turned down for
	// good is left alone. Whoever books may have mended it by then.
	askAgain = 24 * time.Hour

	// askedFor is how long a booking is left alone after its token came, even if
	// that ends soon: the backend has no better one.
	askedFor = 12 * time.Hour
)

// ahead is the fetching of tokens for people who are booked: one at a time,
// while nobody waits. The schedule owns it.
type ahead struct {
	list    []kiosk.Booking // to fetch, at the last listing
	tried   map[person]*booking
	running bool
	caller  *task // stands for the bookings at the partner's line
	results chan fetched
}

// A person is whom a booking is for. Another one may take over the correlation
// id, and is not to wait for what went wrong before.
type person struct{ correlation, id, idType string }

func personOf(b kiosk.Booking) person { return person{b.CorrelationID, b.UserID, b.UserIDType} }

// A booking is what is known of one that was asked for before.
type booking struct {
	failures int
	due      time.Time
}

// A fetched is how a fetch ended.
type fetched struct {
	person   person
	vain     bool // the partner is out of reach: nothing is wrong with this booking
	wait     time.Duration
	failures int
}

func newAhead() ahead {
	return ahead{
		tried:   map[person]*booking{},
		caller:  &task{needs: needPartner},
		results: make(chan fetched, 1),
	}
}

// book lists the bookings to fetch.
func (s *schedule) book(ctx context.Context) {
	if s.o.Bookings == nil {
		return
	}
	list, err := s.o.Bookings.Unfetched(ctx)
	if err != nil {
		if ctx.Err() == nil {
			s.count(func(st *Stats) { st.LocalFaults++ })
			s.o.Log.ErrorContext(ctx, "outbox does not list its bookings", slog.Any("err", err))
		}
		return
	}
	known := map[person]*booking{}
	for _, b := range list {
		if t := s.ahead.tried[personOf(b)]; t != nil {
			known[personOf(b)] = t
		}
	}
	s.ahead.list, s.ahead.tried = list, known
}

// fetch starts to fetch a booking's token, if one is due. It returns the wait
// until another may be.
func (s *schedule) fetch(ctx context.Context, now time.Time) time.Duration {
	a := &s.ahead
	if a.running || len(a.list) == 0 || s.waiting(now) != nil {
		return beatEvery
	}
	if wait := s.lines.wait(needPartner, false, s.most(), now); wait > 0 {
		return wait
	}
	for len(a.list) > 0 {
		b := a.list[0]
		a.list = a.list[1:]
		t := a.tried[personOf(b)]
		if t == nil {
			t = &booking{}
		} else if t.due.After(now) {
			continue
		}
		a.running = true
		s.lines.start(a.caller, needPartner, true, false, now)
		failures := t.failures
		s.rounds.Go(func() {
			r := s.ask(ctx, a.caller, b, failures)
			s.lines.end(a.caller, needPartner, true)
			a.results <- r // has room
		})
		break
	}
	return beatEvery
}

// ask fetches one booking's token.
func (d *Deliverer) ask(ctx context.Context, caller *task, b kiosk.Booking, failures int) fetched {
	r := fetched{person: personOf(b), failures: failures}
	token, err := d.o.Partner.UserToken(ctx, kiosk.TokenRequest{
		CorrelationID: b.CorrelationID, UserID: b.UserID, UserIDType: b.UserIDType, Locale: b.Locale,
	})
	if err == nil {
		d.answered(ctx, caller, kiosk.PartnerService, "token")
		caller.shared = perService[int]{} // it stands for all bookings: none of them is poison to the others
		switch err = d.o.Bookings.Fetched(ctx, b, token); {
		case err == nil, errors.Is(err, kiosk.ErrNoBooking): // or cancelled meanwhile
			d.count(func(s *Stats) { s.Tokens++; s.Booked++ })
			r.failures, r.wait = 0, askedFor
			return r
		}
		if ctx.Err() == nil {
			d.count(func(s *Stats) { s.LocalFaults++ })
			d.o.Log.ErrorContext(ctx, "outbox does not keep a booking's token", slog.Any("err", err))
		}
		r.failures++
		r.wait = d.pause(r.failures, 0)
		return r
	}
	if ctx.Err() != nil {
		return r
	}
	g, is := errors.AsType[*kiosk.GatewayError](err)
	if !is {
		g = &kiosk.GatewayError{Call: "token", Disposition: kiosk.RetryLater, Err: err}
	}
	d.count(func(s *Stats) { s.Deferred++ })
	if g.Disposition == kiosk.Final {
		d.answered(ctx, caller, kiosk.PartnerService, "")
		d.o.Log.WarnContext(ctx, "booking refused", slog.Any("booking", b), slog.Any("err", g))
		r.wait = askAgain
		return r
	}
	if !shared(g) && !doubtful(g) {
		d.answered(ctx, caller, kiosk.PartnerService, "")
	}
	if d.blame(ctx, caller, kiosk.PartnerService, "token", g) != own {
		r.vain = true
		return r
	}
	r.failures++
	r.wait = d.pause(r.failures, g.RetryAfter)
	return r
}

// fetched notes how a fetch ended.
func (s *schedule) fetched(r fetched) {
	s.ahead.running = false
	if r.vain {
		return // listed again within a minute: nothing is wrong with this booking
	}
	s.ahead.tried[r.person] = &booking{failures: r.failures, due: time.Now().Add(r.wait)}
}
