package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"livekiosk/queue/gateway/gatewaysim"
)

// A gatewayConfig is what a gateway's child is told.
type gatewayConfig struct {
	Listen string // address
	Base   string // URL by which others reach it
	Dir    string // of its state; "": memory only

	NewSubmissions  bool
	JudgeAfter      time.Duration
	Polls           int // status calls before a verdict is told
	CallbackRepeats int
	Lifetimes       gatewaysim.Lifetimes
	Faults          string
	Seed            uint64

	Plain bool // no simulator, but a gateway that costs nothing

	// Shorten makes it lose some bytes of every so many uploads, as a broken
	// store would. 0: never. It is a control: the referee must see it.
	Shorten int
}

// beGateway simulates the gateway. It reports {"ready":true} when it listens.
func beGateway(ctx context.Context, in *bufio.Reader, out io.Writer) error {
	var c gatewayConfig
	ctx, err := configured(ctx, in, &c)
	if err != nil {
		return err
	}
	if c.Plain {
		p := &plainGateway{base: c.Base}
		return serve(ctx, c.Listen, p.handler(), out, func(context.Context) error { return nil })
	}
	sim, err := gatewaysim.New(gatewaysim.Options{
		BaseURL: c.Base, StateDir: c.Dir, NewSubmissions: c.NewSubmissions, JudgeAfter: c.JudgeAfter, PollsBeforeVerdict: c.Polls,
		CallbackRepeats: c.CallbackRepeats, CallbackShuffle: true, Lifetimes: c.Lifetimes, Faults: c.Faults, Seed: c.Seed,
	})
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /storm/confirmed", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(sim.Confirmed()) // whoever asked has gone
	})
	mux.Handle("/", sim)
	if c.Shorten > 0 {
		mux.Handle("PUT /objects/", lossy(sim, int64(c.Shorten)))
	}
	return errors.Join(serve(ctx, c.Listen, mux, out, sim.Run), sim.Close())
}

// serve serves h until ctx ends, beside run, and reports when it listens.
func serve(ctx context.Context, address string, h http.Handler, out io.Writer, run func(context.Context) error) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	g.Go(func() error { return run(ctx) })
	g.Go(func() error {
		if end := server.Serve(l); !errors.Is(end, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", end)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		_ = server.Close() // nobody is owed an answer any more
		return nil
	})
	g.Go(func() error { return tell(out, map[string]string{"ready": l.Addr().String()}) })
	return g.Wait()
}

// lossy shortens the body of every nth upload.
func lossy(store http.Handler, every int64) http.Handler {
	var n atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1)%every == 0 {
			if b, err := io.ReadAll(r.Body); err == nil {
				b = shorten(b)
				r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
			}
		}
		store.ServeHTTP(w, r)
	})
}

// troubles are calls and what may be wrong with them, in the words of
// gatewaysim's scripts. None of these is a reason to give a record up.
func troubles() []string {
	return []string{
		"initiate=503x2", "initiate=500", "initiate=resetx2", "initiate=lost", "initiate=hang:2500ms", "initiate=htmlx2", "initiate=garbage",
		"flow=500x2", "flow=lost", "flow=reset", "partner_token=500", "partner_token=reset",
		"urls=503x3", "urls=500x2", "urls=resetx3", "urls=lostx3", "urls=hang:2500ms", "urls=html", "urls=garbage", "urls=401x2",
		"upload=503x2", "upload=resetx4", "upload=lostx4", "upload=403x2", "upload=hang:2500ms", "upload=500",
		"confirm=503x3", "confirm=500", "confirm=resetx2", "confirm=lostx6", "confirm=hang:2500ms", "confirm=garbage",
		"status=503x3", "status=500x2", "status=resetx3", "status=lostx3", "status=html", "status=garbagex2", "status=hang:2500ms",
		"callback=503x3", "callback=lostx4", "callback=resetx3",
	}
}

// script draws a few faults.
func script(pick func(n int) int) string {
	all := troubles()
	var out []string
	for range 1 + pick(4) {
		out = append(out, all[pick(len(all))])
	}
	return strings.Join(out, ",")
}
