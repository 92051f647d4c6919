package queue_test

import (
	"bytes"
	"io"
	"log/slog"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"livekiosk/kiosk"
	"livekiosk/queue"
)

func logger(w io.Writer) *slog.Logger { return slog.New(slog.NewJSONHandler(w, nil)) }

// weather is what an outbox hears of time. The bubble's clock is that on the
// wall.
type weather struct {
	t   *testing.T
	o   queue.Options
	q   *queue.Queue
	log bytes.Buffer

	expired []kiosk.Receipt // told

	now     queue.Reading
	boots   int
	trusted bool
}

// weatherTest runs fn in a bubble whose outbox keeps records for 60 days.
func weatherTest(t *testing.T, fn func(w *weather)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		pass(time.Until(noon))
		w := &weather{t: t, o: options(t), now: queue.Reading{Boot: "0"}, trusted: true}
		w.o.MaxAge = 60 * day
		w.o.Log = logger(&w.log)
		w.o.Expired = func(r kiosk.Receipt) { w.expired = append(w.expired, r) }
		w.o.Trusted = func() bool { return w.trusted }
		w.o.Clock = func() queue.Reading { return w.now }
		w.q = open(t, w.o)
		defer func() { shut(t, w.q) }()
		fn(w)
	})
}

// pass lets time go by and prunes after the first day and at the end.
func (w *weather) pass(d time.Duration) {
	w.t.Helper()
	for _, step := range []time.Duration{min(d, day), d - min(d, day)} {
		w.now.Up += step
		w.jump(step)
	}
}

// jump moves the clock on the wall only.
func (w *weather) jump(d time.Duration) {
	w.t.Helper()
	pass(d)
	if err := w.q.Prune(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// reboot stops the machine for a time. The clock on the wall is trusted
// afterwards, or not.
func (w *weather) reboot(off time.Duration, trusted bool) {
	w.t.Helper()
	shut(w.t, w.q)
	pass(off)
	w.boots++
	w.now, w.trusted = queue.Reading{Boot: strconv.Itoa(w.boots)}, trusted
	w.q = open(w.t, w.o)
}
