package camera

import (
	"context"
	"sync"

	"livekiosk/kiosk"
)

// Latest is a mailbox for one frame that keeps only the newest. Any goroutine
// may use any method.
//
// A camera outruns analysis. A queue would make guidance lag the visitor by
// its length, so Put replaces an unread frame and releases the old one.
type Latest struct {
	mu      sync.Mutex
	frame   *kiosk.Frame
	ready   chan struct{} // a hint that frame may not be nil; Take looks again
	skipped uint64
}

// NewLatest returns an empty mailbox.
func NewLatest() *Latest { return &Latest{ready: make(chan struct{}, 1)} }

// Put makes f the newest frame, taking ownership of it. It never blocks.
func (l *Latest) Put(f *kiosk.Frame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.frame != nil {
		l.frame.Release()
		l.skipped++
	}
	l.frame = f
	select {
	case l.ready <- struct{}{}:
	default:
	}
}

// Take waits for a frame newer than the last one taken and passes its
// ownership to the caller. It returns the cause of ctx's end if that comes
// first.
func (l *Latest) Take(ctx context.Context) (*kiosk.Frame, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-l.ready:
		}
		l.mu.Lock()
		f := l.frame
		l.frame = nil
		l.mu.Unlock()
		if f != nil {
			return f, nil
		}
	}
}

// Drain releases the frame that nobody took, if there is one, without counting
// it as skipped. The mailbox stays usable: a session that ends drains it, so
// that the next one cannot begin with the previous visitor.
func (l *Latest) Drain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.frame != nil {
		l.frame.Release()
		l.frame = nil
	}
}

// Skipped returns how many frames were replaced before anyone took them.
func (l *Latest) Skipped() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.skipped
}
