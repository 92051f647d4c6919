package main

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// upstream is a server behind a proxy, and a client of it.
func upstream(t *testing.T, seed uint64) (*proxy, func() (int, error)) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}))
	t.Cleanup(server.Close)
	p, err := newProxy(t.Context(), strings.TrimPrefix(server.URL, "http://"), seed)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return p, func() (int, error) {
		res, err := client.Post("http://"+p.address(), "text/plain", strings.NewReader(strings.Repeat("x", 100_000)))
		if err != nil {
			return 0, err
		}
		defer func() { _ = res.Body.Close() }()
		b, err := io.ReadAll(res.Body)
		return len(b), err
	}
}

func TestInCalmWeatherEverythingGetsThrough(t *testing.T) {
	p, post := upstream(t, 1)
	for range 20 {
		if n, err := post(); err != nil || n != 100_000 {
			t.Fatalf("%d bytes, %v", n, err)
		}
	}
	if cut := p.count.cut.Load(); cut != 0 {
		t.Errorf("%d connections were cut", cut)
	}
}

func TestRoughWeatherCutsSomeAndLetsSomeThrough(t *testing.T) {
	t.Parallel()
	p, post := upstream(t, 1)
	p.rough.Store(true)
	const posts = 40
	var whole atomic.Int64
	var all sync.WaitGroup
	for range posts {
		all.Go(func() {
			if n, err := post(); err == nil && n == 100_000 {
				whole.Add(1)
			}
		})
	}
	all.Wait()
	if n := whole.Load(); n < 5 || n > posts-5 || p.count.cut.Load() < 5 {
		t.Errorf("%d of %d whole, %d cut", n, posts, p.count.cut.Load())
	}
	p.rough.Store(false)
	p.refuse(time.Minute)
	if _, err := post(); err == nil || p.count.refused.Load() == 0 {
		t.Error("an outage lets connections through")
	}
}

func TestTheSeedDecidesWhatBefallsAConnection(t *testing.T) {
	dooms := map[doom]int{}
	for n := range uint64(200) {
		a, b := fate(rand.New(rand.NewPCG(5, n))), fate(rand.New(rand.NewPCG(5, n)))
		if a != b {
			t.Fatalf("connection %d: %+v and %+v", n, a, b)
		}
		dooms[a]++
	}
	if len(dooms) < 100 || dooms[doom{}] < 20 {
		t.Errorf("%d dooms, %d connections without", len(dooms), dooms[doom{}])
	}
}

func TestACutConnectionIsReset(t *testing.T) {
	p, _ := upstream(t, 1)
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.address())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	if _, err := c.Read(b); err != nil { // 100 Continue: it is carried
		t.Fatal(err)
	}
	p.cut()
	if _, err := c.Read(b); err == nil || !strings.Contains(err.Error(), "reset") {
		t.Errorf("%v, want a reset", err)
	}
}
