package api_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
)

// collect replays a log from a Seq on.
func collect(t *testing.T, l *api.Events, from uint64, session kiosk.SessionID) []kiosk.Event {
	t.Helper()
	var got []kiosk.Event
	err := l.Replay(t.Context(), from, session, func(e kiosk.Event) error {
		got = append(got, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// line is an event in short: its Seq, and for a gap what it says.
func line(e kiosk.Event) string {
	s := strconv.FormatUint(e.Seq, 10)
	if e.Kind == api.EventGap {
		return "gap(" + e.Text + ")" + s
	}
	return s
}

func lines(events []kiosk.Event) []string {
	var s []string
	for _, e := range events {
		s = append(s, line(e))
	}
	return s
}

func TestReadersAreToldWhatIsMissing(t *testing.T) {
	log := func(n int) *api.Events { // a ring of 4, n events of two sessions in turn
		l := api.NewEvents(4)
		for i := range n {
			e := kiosk.Event{Kind: kiosk.EventHint, Session: "even"}
			if i%2 == 0 { // Seq is odd
				e.Session = "odd"
			}
			if i < 2 {
				e.Kind = kiosk.EventLaunched
			}
			l.Publish(e)
		}
		return l
	}
	for _, tt := range []struct {
		name    string
		n       int
		from    uint64
		session kiosk.SessionID
		want    []string
	}{
		{"an empty log", 0, 0, "", nil},
		{"an empty log from its first event", 0, 1, "", nil},
		{"all that is kept", 3, 0, "", []string{"1", "2", "3"}},
		{"all that is kept of more", 6, 0, "", []string{"3", "4", "5", "6"}},
		{"from the first of more than is kept", 6, 1, "", []string{"gap(2)2", "3", "4", "5", "6"}},
		{"from one that is kept", 6, 5, "", []string{"5", "6"}},
		{"from the next one to come", 6, 7, "", nil},
		{"from a place in an earlier run's log", 6, 100, "", []string{"gap()2", "3", "4", "5", "6"}},
		{"one session from its launch", 4, 0, "even", []string{"2", "4"}},
		{"one session whose launch is gone", 6, 0, "even", []string{"gap()2", "4", "6"}},
		{"one session whose launch is gone, from the first", 6, 1, "odd", []string{"gap()2", "3", "5"}},
		{"one session from a place in its middle", 6, 5, "even", []string{"6"}},
		{"a session without events", 6, 0, "nobody", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := lines(collect(t, log(tt.n), tt.from, tt.session)); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestPublishSetsTimeUnlessItIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := api.NewEvents(4)
		at := time.Unix(1, 0)
		l.Publish(kiosk.Event{At: at, Seq: 99})
		l.Publish(kiosk.Event{})
		got := collect(t, l, 0, "")
		if !got[0].At.Equal(at) || got[0].Seq != 1 || !got[1].At.Equal(time.Now()) {
			t.Errorf("got %+v", got)
		}
	})
}

func TestAFollowerGetsWhatComesUntilItLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := api.NewEvents(16)
		ctx, cancel := context.WithCancel(t.Context())
		var got []string
		done := make(chan error, 1)
		go func() {
			done <- l.Follow(ctx, 0, "", func(e kiosk.Event) error { got = append(got, line(e)); return nil })
		}()
		for range 3 {
			l.Publish(kiosk.Event{})
			synctest.Wait()
		}
		if want := []string{"1", "2", "3"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Follow() = %v once it was asked to stop, want nil", err)
		}
		bad := errors.New("bad")
		if err := l.Follow(t.Context(), 0, "", func(kiosk.Event) error { return bad }); err != bad { //nolint:errorlint // as it is
			t.Errorf("Follow() = %v, want fn's own error", err)
		}
	})
}

// TestASlowReaderHoldsUpNobodyAndIsTold lets the ring go round while a reader
// is stuck in one event.
func TestASlowReaderHoldsUpNobodyAndIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := api.NewEvents(8)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stuck := make(chan struct{})
		var got []string
		done := make(chan error, 1)
		go func() {
			done <- l.Follow(ctx, 0, "", func(e kiosk.Event) error {
				got = append(got, line(e))
				<-stuck
				return nil
			})
		}()
		l.Publish(kiosk.Event{})
		synctest.Wait()
		for range 20 { // returns, though the reader is stuck
			l.Publish(kiosk.Event{})
		}
		close(stuck)
		synctest.Wait()
		want := []string{"1", "gap(12)13", "14", "15", "16", "17", "18", "19", "20", "21"}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestNothingIsLostUnsaid has writers and readers at random: what a reader
// gets, with its gaps, accounts for every event.
func TestNothingIsLostUnsaid(t *testing.T) {
	const writers, each = 4, 500
	l := api.NewEvents(32)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var readers, publishing sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			var next uint64 = 1
			err := l.Follow(ctx, 1, "", func(e kiosk.Event) error {
				want := next
				if e.Kind == api.EventGap {
					n, err := strconv.ParseUint(e.Text, 10, 64)
					if err != nil {
						return err
					}
					want += n - 1
				}
				if e.Seq != want {
					t.Errorf("got %s where %d was next", line(e), next)
				}
				next = e.Seq + 1
				if e.Seq == writers*each {
					return errors.New("all read")
				}
				return nil
			})
			if err == nil {
				t.Error("the reader ended early")
			}
		})
	}
	for w := range writers {
		publishing.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(w)))
			for range each {
				l.Publish(kiosk.Event{Text: strconv.Itoa(r.IntN(10))})
			}
		})
	}
	publishing.Wait()
	readers.Wait()
}

func BenchmarkPublish(b *testing.B) {
	l := api.NewEvents(4096)
	e := kiosk.Event{Kind: kiosk.EventHint, At: time.Now()}
	b.ReportAllocs()
	for b.Loop() {
		l.Publish(e)
	}
}
