package camera

import (
	"context"

	"livekiosk/kiosk"
)

// A loan is one use of the source by somebody else.
type loan struct {
	end   context.CancelFunc
	ended chan error
}

// Lend has the source stream to put while the kiosk itself does not need it:
// for staff who look after the camera. It returns when ctx ends, when frames
// are wanted or a fault has the camera opened again, which comes first, or with
// the source's error. put is called as by a Source, and its frames reach nobody
// else. Where the camera is needed already, or lent, the error is ErrTaken.
func (c *Camera) Lend(ctx context.Context, put func(*kiosk.Frame)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.mu.Lock()
	if c.wanted || c.live || c.loan != nil {
		c.mu.Unlock()
		return ErrTaken
	}
	l := &loan{cancel, make(chan error, 1)}
	c.loan = l
	c.mu.Unlock()
	err := c.opt.Source.Stream(ctx, put)
	c.mu.Lock()
	c.loan = nil
	c.mu.Unlock()
	l.ended <- nil
	return err
}
