package queue_test

import (
	"bytes"
	"log/slog"
	"slices"
	"testing"

	"livekiosk/kiosk"
	"livekiosk/queue/queuetest"
)

// TestAKeyThatWasTakenAgainBeforeItsErasureWasToldIsNoAlarm: what a Put
// removes is told of by the next transaction that nobody waits for. Until then
// another Put may take the place of the key that was destroyed, and then the
// power goes.
func TestAKeyThatWasTakenAgainBeforeItsErasureWasToldIsNoAlarm(t *testing.T) {
	t.Parallel()
	o := options(t)
	q := open(t, o)
	defer shut(t, q)
	booking := queuetest.Booking(0)
	if err := q.Book(t.Context(), booking); err != nil {
		t.Fatal(err)
	}
	put(t, q, 0, 1000) // ends the booking
	put(t, q, 1, 1000) // takes its key's place
	var said bytes.Buffer
	o.Log = slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelError}))
	cut := old(t, o, read(t, o.Path))
	all, err := cut.Erasures(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(all, func(e kiosk.Erasure) bool { return e.Booking != "" && !e.Erased.IsZero() }) {
		t.Errorf("erasures after a power cut: %+v, want that of the booking", all)
	}
	if said.Len() > 0 {
		t.Errorf("alarms after a power cut: %s", &said)
	}
}
