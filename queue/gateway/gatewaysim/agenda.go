package gatewaysim

import (
	"context"
	"slices"
	"sync"
	"time"
)

// An agenda is work for later, done by as many goroutines as run it.
type agenda struct {
	mu   sync.Mutex
	todo []task // by time
	more chan struct{}
}

type task struct {
	at time.Time
	do func(context.Context)
}

func newAgenda() *agenda { return &agenda{more: make(chan struct{}, 1)} }

// add puts do on the agenda. It never blocks.
func (a *agenda) add(after time.Duration, do func(context.Context)) {
	t := task{at: time.Now().Add(after), do: do}
	a.mu.Lock()
	i, _ := slices.BinarySearchFunc(a.todo, t.at, func(x task, at time.Time) int {
		if x.at.After(at) {
			return 1
		}
		return -1 // equal times keep their order
	})
	a.todo = slices.Insert(a.todo, i, t)
	a.mu.Unlock()
	a.wake()
}

func (a *agenda) wake() {
	select {
	case a.more <- struct{}{}:
	default:
	}
}

// next returns the piece of work that is due, or the time until one is.
func (a *agenda) next() (func(context.Context), time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.todo) == 0 {
		return nil, time.Hour
	}
	if wait := time.Until(a.todo[0].at); wait > 0 {
		return nil, wait
	}
	do := a.todo[0].do
	a.todo = slices.Delete(a.todo, 0, 1)
	if len(a.todo) > 0 {
		a.wake() // somebody else has to wait for the next
	}
	return do, 0
}

func (a *agenda) run(ctx context.Context) {
	for ctx.Err() == nil {
		do, wait := a.next()
		if do != nil {
			do(ctx)
			continue
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-a.more:
		case <-t.C:
		}
		t.Stop()
	}
}
