package deliver_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"

	"livekiosk/kiosk"
)

// memOutbox is a fake: it behaves like the queue, in memory.
type memOutbox struct {
	mu      sync.Mutex
	order   []kiosk.RecordID
	jobs    map[kiosk.RecordID]kiosk.Job
	images  map[kiosk.RecordID]map[kiosk.Document][]byte
	settled map[kiosk.RecordID]kiosk.Receipt
	dead    map[kiosk.RecordID]string
	lent    [][]byte // images handed out
	wake    chan struct{}
	broken  error // what every step says
	stuck   error // what Settle says
	onMark  func(context.Context) error
	sealed  map[kiosk.RecordID]bool
}

func newOutbox() *memOutbox {
	return &memOutbox{
		jobs: map[kiosk.RecordID]kiosk.Job{}, images: map[kiosk.RecordID]map[kiosk.Document][]byte{},
		settled: map[kiosk.RecordID]kiosk.Receipt{}, dead: map[kiosk.RecordID]string{},
		sealed: map[kiosk.RecordID]bool{}, wake: make(chan struct{}, 1),
	}
}

func (o *memOutbox) put(j kiosk.Job, images map[kiosk.Document][]byte) {
	o.mu.Lock()
	o.order = append(o.order, j.Record)
	o.jobs[j.Record] = j
	o.images[j.Record] = images
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *memOutbox) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.broken = err
}

func (o *memOutbox) failSettle(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stuck = err
}

func (o *memOutbox) Pending(context.Context) ([]kiosk.RecordID, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.order), o.broken
}

func (o *memOutbox) find(id kiosk.RecordID) error {
	switch {
	case o.broken != nil:
		return o.broken
	case !slices.Contains(o.order, id):
		return kiosk.ErrNoRecord
	case o.sealed[id]:
		return kiosk.ErrSealBroken
	}
	return nil
}

func (o *memOutbox) Job(_ context.Context, id kiosk.RecordID) (kiosk.Job, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.find(id); err != nil {
		return kiosk.Job{}, err
	}
	return o.jobs[id], nil
}

func (o *memOutbox) Image(_ context.Context, id kiosk.RecordID, d kiosk.Document) ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.find(id); err != nil {
		return nil, err
	}
	img, captured := o.images[id][d]
	if !captured {
		return nil, kiosk.ErrNoRecord
	}
	img = bytes.Clone(img)
	o.lent = append(o.lent, img)
	return img, nil
}

func (o *memOutbox) Wake() <-chan struct{} { return o.wake }

func (o *memOutbox) Mark(ctx context.Context, id kiosk.RecordID, m kiosk.Marks) error {
	if o.onMark != nil {
		if err := o.onMark(ctx); err != nil {
			return err
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.find(id); err != nil {
		return err
	}
	j := o.jobs[id]
	j.Marks = m
	o.jobs[id] = j
	return nil
}

func (o *memOutbox) Settle(_ context.Context, id kiosk.RecordID, r kiosk.Receipt) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.broken != nil:
		return o.broken
	case o.stuck != nil:
		return o.stuck
	}
	if _, was := o.settled[id]; was {
		return errors.New("settled twice")
	}
	o.settled[id] = r
	o.order = slices.DeleteFunc(o.order, func(x kiosk.RecordID) bool { return x == id })
	return nil
}

func (o *memOutbox) Dead(_ context.Context, id kiosk.RecordID, reason string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken != nil {
		return o.broken
	}
	o.dead[id] = reason
	o.order = slices.DeleteFunc(o.order, func(x kiosk.RecordID) bool { return x == id })
	return nil
}

// end returns what a record was settled with, if it was.
func (o *memOutbox) end(id kiosk.RecordID) kiosk.Receipt {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.settled[id]
}

// ends returns how many records were settled.
func (o *memOutbox) ends() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.settled)
}

// aside returns why a record was set aside, if it was.
func (o *memOutbox) aside(id kiosk.RecordID) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.dead[id]
}

func (o *memOutbox) left() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.order)
}
