package camera

import (
	"context"
	"image"
	"sync"

	"livekiosk/kiosk"
)

// A Preview decodes the newest frames into a ring of three images for the
// screen. Put and Clear may be called from any goroutine, Latest from one: the
// one that draws.
type Preview struct {
	dec   *Decoder // used by Run only
	short int
	wake  chan struct{}

	mu      sync.Mutex
	next    *kiosk.Frame // not decoded yet
	session uint64       // grows with each Clear: what was begun before is not shown after
	ring    [3]image.RGBA
	shown   int  // index of the newest image; none: -1
	lent    int  // index of the image that Latest returned last; none: -1
	stale   bool // erase the lent image as soon as it comes back
	writing int  // index of the image that Run writes to; none: -1
	seq     uint64
}

// NewPreview returns a preview whose images have a shorter side of at least
// short pixels, see Decoder.Decode. The decoder is the preview's from then on.
func NewPreview(dec *Decoder, short int) *Preview {
	return &Preview{dec: dec, short: short, wake: make(chan struct{}, 1), shown: -1, lent: -1, writing: -1}
}

// Put offers f, taking ownership of it. It never blocks; a frame that was not
// decoded yet is released.
func (p *Preview) Put(f *kiosk.Frame) {
	p.mu.Lock()
	if p.next != nil {
		p.next.Release()
	}
	p.next = f
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Run decodes frames until ctx ends, then clears the preview, see Clear, and
// returns nil. A frame that does not decode leaves the last image up.
func (p *Preview) Run(ctx context.Context) error {
	defer p.Clear()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		}
		f, img, session := p.begin()
		if f == nil {
			continue
		}
		err := p.dec.into(img, nil, f, p.short)
		f.Release()
		p.end(err, session)
	}
}

// begin takes the next frame and an image that nobody reads.
func (p *Preview) begin() (f *kiosk.Frame, img *image.RGBA, session uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f, p.next = p.next, nil
	if f == nil {
		return nil, nil, 0
	}
	// Of three images one is shown and one is lent, so at least one is free;
	// where two are, the one not shown last leaves the drawer the most time.
	i := (max(p.shown, 0) + 1) % len(p.ring)
	if i == p.lent {
		i = (i + 1) % len(p.ring)
	}
	p.writing = i
	return f, &p.ring[i], p.session
}

// end publishes the image that begin gave out, unless Clear came between.
func (p *Preview) end(err error, session uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.writing
	p.writing = -1
	switch {
	case session != p.session:
		erase(p.ring[i].Pix)
	case err == nil:
		p.shown = i
		p.seq++
	}
}

// Latest returns the newest image and its number, which grows with each image;
// nil and 0 when there is none. It never waits.
//
// The image is the drawer's to read, and not written to, until it calls Latest
// again, however many newer frames arrive meanwhile; so call it once for each
// drawn frame, on every screen, also those without a preview.
func (p *Preview) Latest() (img *image.RGBA, seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stale {
		erase(p.ring[p.lent].Pix)
		p.stale = false
	}
	p.lent = p.shown
	if p.shown < 0 {
		return nil, 0
	}
	return &p.ring[p.shown], p.seq
}

// Clear ends what one person may see: from its return on, Latest gives nil
// until a frame that was put after it is decoded. All images are erased at
// once, except one that Run is writing (erased when it is done) and the one
// that the drawer may be reading (erased when it calls Latest again).
func (p *Preview) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.session++
	if p.next != nil {
		p.next.Release()
		p.next = nil
	}
	for i := range p.ring {
		switch i {
		case p.writing: // end sees that the session is another
		case p.lent:
			p.stale = true
		default:
			erase(p.ring[i].Pix)
		}
	}
	p.shown = -1
}
