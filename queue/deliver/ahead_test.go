package deliver_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue/deliver"
)

// memBookings is a fake: bookings in memory.
type memBookings struct {
	mu   sync.Mutex
	list []kiosk.Booking
	fail error // what Fetched says
	soon bool  // every token ends soon
}

func (b *memBookings) book(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range n {
		b.list = append(b.list, kiosk.Booking{CorrelationID: fmt.Sprint("b", i), UserID: fmt.Sprint("u", i)})
	}
}

func (b *memBookings) Unfetched(context.Context) ([]kiosk.Booking, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []kiosk.Booking
	for _, one := range b.list {
		if one.Token.Value == "" || b.soon {
			list = append(list, one)
		}
	}
	return list, nil
}

func (b *memBookings) Fetched(_ context.Context, booking kiosk.Booking, token kiosk.UserToken) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.list, func(one kiosk.Booking) bool {
		return one.CorrelationID == booking.CorrelationID && one.UserID == booking.UserID
	})
	switch {
	case b.fail != nil:
		return b.fail
	case i < 0:
		return kiosk.ErrNoBooking
	}
	b.list[i].Token = token
	return nil
}

func (b *memBookings) fetched() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, one := range b.list {
		if one.Token.Value == "t-"+one.CorrelationID {
			n++
		}
	}
	return n
}

func TestTokensOfBookedPersonsAreFetchedOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o, books := newMemWorld(), newOutbox(), &memBookings{}
		books.book(30)
		var mu sync.Mutex
		running, most := 0, 0
		w.before = func(context.Context, call) error {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			<-time.After(time.Second)
			mu.Lock()
			running--
			mu.Unlock()
			return nil
		}
		b := start(t, w, o, func(o *deliver.Options) { o.Bookings = books })
		pass(time.Minute)
		if books.fetched() != 30 || most != 1 || w.count("token") != 30 {
			t.Errorf("%d of 30 fetched, %d at a time, %d calls", books.fetched(), most, w.count("token"))
		}
		if s := b.Stats(); s.Tokens != 30 || s.Booked != 30 {
			t.Errorf("%+v", s)
		}
	})
}

func TestNoTokenIsFetchedAheadWhileSomebodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o, books := newMemWorld(), newOutbox(), &memBookings{}
		w.polls = 1 << 20
		start(t, w, o, func(o *deliver.Options) { o.Bookings = books })
		pass(time.Second)
		books.book(5)
		o.put(job("r", "r"), faces("r"))
		pass(110 * time.Second)
		if books.fetched() != 0 {
			t.Errorf("%d fetched while somebody waits for a verdict", books.fetched())
		}
		pass(2 * time.Minute)
		if books.fetched() != 5 {
			t.Errorf("%d of 5 fetched afterwards", books.fetched())
		}
	})
}

func TestABookingThatIsRefusedIsAskedForOnceADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o, books := newMemWorld(), newOutbox(), &memBookings{}
		books.book(2)
		w.before = func(_ context.Context, c call) error {
			if c.correlation == "b0" {
				return &kiosk.GatewayError{Call: "token", Status: 400, Cause: "USER_UNKNOWN", Disposition: kiosk.Final}
			}
			return nil
		}
		start(t, w, o, func(o *deliver.Options) { o.Bookings = books })
		pass(23 * time.Hour)
		if n := len(w.made("token", "c-b0")) + len(w.made("token", "b0")); n != 1 || books.fetched() != 1 {
			t.Errorf("asked %d times within a day, %d fetched", n, books.fetched())
		}
		pass(3 * time.Hour)
		if n := len(w.made("token", "b0")); n != 2 {
			t.Errorf("asked %d times after a day, want 2", n)
		}
	})
}

func TestBookingsShareThePartnersBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o, books := newMemWorld(), newOutbox(), &memBookings{}
		books.book(200)
		down(w, 2*time.Hour, kiosk.TroubleDNS)
		b := start(t, w, o, func(o *deliver.Options) { o.Bookings = books })
		pass(2 * time.Hour)
		if n := w.count(""); n < 10 || n > 120 {
			t.Errorf("%d calls in an outage of two hours with 200 bookings", n)
		}
		if !b.Stats().Services[kiosk.PartnerService].Out {
			t.Errorf("%+v", b.Stats())
		}
		pass(2 * time.Hour)
		if books.fetched() != 200 {
			t.Errorf("%d of 200 fetched after it", books.fetched())
		}
	})
}

func TestABookingIsAskedForTwiceADayWhateverItsTokenSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o, books := newMemWorld(), newOutbox(), &memBookings{}
		books.book(5)
		books.soon = true
		start(t, w, o, func(o *deliver.Options) { o.Bookings = books })
		pass(11 * time.Hour)
		if n := w.count("token"); n != 5 {
			t.Errorf("%d calls for 5 bookings in 11 hours", n)
		}
		books.mu.Lock()
		books.list[0].UserID = "another"
		books.mu.Unlock()
		pass(2 * time.Minute)
		if n := w.count("token"); n != 6 {
			t.Errorf("%d calls, want one more for the person who took a booking over", n)
		}
		pass(13 * time.Hour)
		if n := w.count("token"); n < 11 || n > 16 {
			t.Errorf("%d calls for 5 bookings in a day", n)
		}
	})
}

func TestBookingsFindEveryOutageOfThePartner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o, books := newMemWorld(), newOutbox(), &memBookings{}
		var mu sync.Mutex
		out := false
		w.before = func(_ context.Context, c call) error {
			mu.Lock()
			defer mu.Unlock()
			if out && c.name == "token" {
				return offline("token")
			}
			return nil
		}
		b := start(t, w, o, func(o *deliver.Options) { o.Bookings = books })
		for i := range 6 {
			mu.Lock()
			out = true
			mu.Unlock()
			books.mu.Lock()
			for n := range 50 {
				books.list = append(books.list, kiosk.Booking{CorrelationID: fmt.Sprint("b", i, "-", n), UserID: "u"})
			}
			books.mu.Unlock()
			before := w.count("token")
			pass(time.Hour)
			if n := w.count("token") - before; n > 60 || !b.Stats().Services[kiosk.PartnerService].Out {
				t.Errorf("outage %d: %d calls in an hour, %+v", i, n, b.Stats().Services[kiosk.PartnerService])
			}
			mu.Lock()
			out = false
			mu.Unlock()
			id := fmt.Sprint("r", i)
			o.put(job(id, id), faces(id))
			pass(3 * time.Hour)
		}
	})
}

func TestABookingOfItsOwnTroubleHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o, books := newMemWorld(), newOutbox(), &memBookings{}
		books.book(20)
		w.before = func(_ context.Context, c call) error {
			if c.correlation == "b0" {
				return &kiosk.GatewayError{Call: "token", Status: 500, Disposition: kiosk.RetryLater}
			}
			return nil
		}
		start(t, w, o, func(o *deliver.Options) { o.Bookings = books })
		pass(time.Minute)
		if books.fetched() != 19 {
			t.Errorf("%d of 19 fetched", books.fetched())
		}
		pass(24 * time.Hour)
		if n := len(w.made("token", "b0")); n < 50 || n > 24*60 {
			t.Errorf("asked %d times in a day for one that is answered 500", n)
		}
		books.mu.Lock()
		books.fail = errors.New("input/output error")
		books.mu.Unlock()
	})
}
