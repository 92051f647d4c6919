package queue_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"livekiosk/kiosk"
	"livekiosk/queue/queuetest"
)

// TestAClockThatIsNotTrustedTakesNoBooking lets a clock jump ahead.
func TestAClockThatIsNotTrustedTakesNoBooking(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pass(time.Until(time.Date(2026, time.May, 1, 0, 0, 0, 0, time.UTC)))
		trusted := true
		o := options(t)
		o.MaxBookings, o.Trusted = 2, func() bool { return trusted }
		q := open(t, o)
		defer shut(t, q)
		book(t, q, 1, kiosk.UserToken{})
		book(t, q, 2, kiosk.UserToken{})
		pass(400 * day)
		trusted = false
		if err := q.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := q.Book(t.Context(), queuetest.Booking(3)); !errors.Is(err, kiosk.ErrQueueFull) {
			t.Errorf("one more: %v", err)
		}
		if got := expected(t, q); got != "1 2" {
			t.Errorf("booked: %q, want both", got)
		}
		trusted = true
		if err := q.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := expected(t, q); got != "" {
			t.Errorf("booked: %q, want nobody", got)
		}
	})
}

func TestABookingThatDoesNotOpenIsLoggedOnce(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	o := options(t)
	o.Log = slog.New(slog.NewJSONHandler(&log, nil))
	q := open(t, o)
	for n := range 3 {
		book(t, q, n, kiosk.UserToken{})
	}
	shut(t, q)
	tamper(t, o.Path, func(pending *bbolt.Bucket) error {
		bookings := pending.Tx().Bucket([]byte("bookings"))
		k, _ := bookings.Cursor().First()
		return bookings.Put(bytes.Clone(k), []byte("nothing"))
	})
	q = open(t, o)
	defer shut(t, q)
	told := func(want int) {
		t.Helper()
		for range 3 {
			expected(t, q)
			if _, err := q.Unfetched(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := strings.Count(log.String(), "do not open"); n != want {
			t.Errorf("logged %d times, want %d: %s", n, want, log.String())
		}
	}
	told(1)
	if err := q.Prune(t.Context()); err != nil { // removes it
		t.Fatal(err)
	}
	told(2)
	if !strings.Contains(log.String(), `"bookings":0`) {
		t.Errorf("the log does not tell that it is over: %s", log.String())
	}
}
