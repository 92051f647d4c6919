package gatewaysim

import (
	"context"
	"io"
	"net/http"
	"time"
)

// A pacer reads at no more than rate bytes a second, a tenth of a second's
// worth at a time.
type pacer struct {
	r     io.Reader
	ctx   context.Context //nolint:containedctx // a reader has no other way to learn that nobody waits any more
	rate  int64
	began time.Time
	total int64
}

func (p *pacer) Read(b []byte) (int, error) {
	if p.began.IsZero() {
		p.began = time.Now()
	}
	due := p.began.Add(time.Duration(float64(p.total) / float64(p.rate) * float64(time.Second)))
	if wait := time.Until(due); wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-p.ctx.Done():
			return 0, p.ctx.Err()
		case <-t.C:
		}
	}
	n, err := p.r.Read(b[:min(int64(len(b)), max(1, p.rate/10))])
	p.total += int64(n)
	return n, err
}

// A flusher sends what is written at once.
type flusher struct{ http.ResponseWriter }

func (f flusher) Write(b []byte) (int, error) {
	n, err := f.ResponseWriter.Write(b)
	if err == nil {
		err = http.NewResponseController(f.ResponseWriter).Flush()
	}
	return n, err
}
