package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A proxy carries TCP connections to the gateway, and spoils them. What it does
// to the nth connection is decided by the seed alone.
type proxy struct {
	listener net.Listener
	target   string
	seed     uint64

	rough      atomic.Bool   // new connections may be spoiled
	confirming chan struct{} // holds a token when a confirmation went through
	count      proxyCount

	mu    sync.Mutex
	links map[*link]bool
	down  time.Time // connections are refused until then
}

// A proxyCount counts what happened to connections.
type proxyCount struct {
	opened, cut, stalled, slowed, refused atomic.Int64
}

func newProxy(ctx context.Context, target string, seed uint64) (*proxy, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	return &proxy{listener: l, target: target, seed: seed, confirming: make(chan struct{}, 1), links: map[*link]bool{}}, nil
}

func (p *proxy) address() string { return p.listener.Addr().String() }

// Run carries connections until ctx ends. Then it returns nil.
func (p *proxy) Run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	stop := context.AfterFunc(ctx, func() { _ = p.listener.Close() })
	defer stop()
	for n := uint64(0); ; n++ {
		c, err := p.listener.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				abort(c)
			}
			return nil
		case err != nil:
			return fmt.Errorf("proxy: %w", err)
		}
		all.Go(func() { p.carry(ctx, c, n) })
	}
}

// cut breaks every connection that there is.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		p.count.cut.Add(1)
		l.abort()
	}
}

// refuse breaks every connection and takes no new one for a time.
func (p *proxy) refuse(d time.Duration) {
	p.mu.Lock()
	p.down = time.Now().Add(d)
	p.mu.Unlock()
	p.cut()
}

func (p *proxy) carry(ctx context.Context, c net.Conn, n uint64) {
	p.mu.Lock()
	down := time.Now().Before(p.down)
	p.mu.Unlock()
	if down {
		p.count.refused.Add(1)
		abort(c)
		return
	}
	up, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", p.target)
	if err != nil { // the gateway is down
		p.count.refused.Add(1)
		abort(c)
		return
	}
	l := &link{near: c, far: up, proxy: p, fate: fate(rand.New(rand.NewPCG(p.seed, n)))}
	if !p.rough.Load() {
		l.fate = doom{}
	}
	p.count.opened.Add(1)
	p.mu.Lock()
	p.links[l] = true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.links, l)
		p.mu.Unlock()
		l.abort()
	}()
	defer context.AfterFunc(ctx, l.abort)() // it may have begun after all were cut
	var both sync.WaitGroup
	both.Go(func() { l.pump(ctx, up, c) })
	both.Go(func() { l.pump(ctx, c, up) })
	both.Wait()
}

// A doom is what will happen to a connection: once so many bytes went through
// it, it is cut, or nothing moves for a time. Each piece may be late.
type doom struct {
	after int64 // bytes, of both directions; 0: nothing happens
	stall time.Duration
	late  time.Duration
}

// fate draws a doom.
func fate(r *rand.Rand) doom {
	after := 1 + int64(r.ExpFloat64()*200_000)
	switch p := r.Float64(); {
	case p < 0.45:
		return doom{after: after}
	case p < 0.60: // some of them for longer than a caller waits
		return doom{after: after, stall: time.Duration(r.Int64N(int64(4 * time.Second)))}
	case p < 0.75:
		return doom{late: 1 + time.Duration(r.Int64N(int64(15*time.Millisecond)))}
	}
	return doom{}
}

// A link is one connection through the proxy.
type link struct {
	near, far net.Conn
	proxy     *proxy
	fate      doom
	moved     atomic.Int64
	once      sync.Once
	slow      sync.Once
}

// abort breaks both halves without a farewell.
func (l *link) abort() {
	l.once.Do(func() {
		abort(l.near)
		abort(l.far)
	})
}

// abort closes a connection by a reset.
func abort(c net.Conn) {
	if tcp, is := c.(*net.TCPConn); is {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

func (l *link) pump(ctx context.Context, to, from net.Conn) {
	b := make([]byte, 16<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			if !l.weather(ctx, int64(n)) {
				l.abort()
				return
			}
			if bytes.HasPrefix(b[:n], []byte("PUT /coe/v1/submissions/urls ")) {
				offer(l.proxy.confirming)
			}
			if _, broken := to.Write(b[:n]); broken != nil {
				l.abort()
				return
			}
		}
		if err != nil {
			if half, is := to.(*net.TCPConn); is && errors.Is(err, io.EOF) {
				_ = half.CloseWrite() // the other half may still answer
				return
			}
			l.abort()
			return
		}
	}
}

// weather reports whether the next n bytes get through.
func (l *link) weather(ctx context.Context, n int64) bool {
	before := l.moved.Add(n) - n
	if d := l.fate.late; d > 0 {
		l.slow.Do(func() { l.proxy.count.slowed.Add(1) })
		pause(ctx, d)
	}
	if a := l.fate.after; a > 0 && before < a && a <= before+n {
		if l.fate.stall == 0 {
			l.proxy.count.cut.Add(1)
			return false
		}
		l.proxy.count.stalled.Add(1)
		pause(ctx, l.fate.stall)
	}
	return ctx.Err() == nil
}

// offer puts a token into a channel that holds one.
func offer(tokens chan<- struct{}) {
	select {
	case tokens <- struct{}{}:
	default:
	}
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
