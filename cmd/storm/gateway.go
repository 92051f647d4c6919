package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"livekiosk/queue/gateway"
	"livekiosk/queue/gateway/gatewaysim"
	"livekiosk/queue/gateway/partner"
)

// A gatewayConfig is what a gateway's child is told.
type gatewayConfig struct {
	Listen string // address
	Base   string // URL by which others reach it
	Dir    string // of its state and the partner backend's; "": the gateway's in memory, the partner's in a file without a name

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

// beGateway simulates the gateway and is the partner backend. It reports {"ready":true} when it listens.
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
	sim, err := gatewaysim.New(c.options())
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", sim)
	if c.Shorten > 0 {
		mux.Handle("PUT /objects/", lossy(sim, int64(c.Shorten)))
	}
	run, end := sim.Run, sim.Close
	if c.Base != "" {
		p, err := c.partner()
		if err != nil {
			return errors.Join(fmt.Errorf("partner backend: %w", err), sim.Close())
		}
		mux.Handle("/partner/", http.StripPrefix("/partner", sim.Partner(p)))
		run = func(ctx context.Context) error {
			g, ctx := errgroup.WithContext(ctx)
			g.Go(func() error { return sim.Run(ctx) })
			g.Go(func() error { return p.Run(ctx) })
			return g.Wait()
		}
		end = func() error { return errors.Join(sim.Close(), p.Close()) }
	}
	return errors.Join(serve(ctx, c.Listen, mux, out, run), end())
}

// What the gateway and the sample partner backend know each other by.
const (
	clientID     = "storm-client"
	passKey      = "storm-pass-key"
	partnerCode  = "STORM"
	callbackAuth = "Bearer storm-callback"
)

func (c gatewayConfig) options() gatewaysim.Options {
	o := gatewaysim.Options{
		BaseURL: c.Base, NewSubmissions: c.NewSubmissions, JudgeAfter: c.JudgeAfter, PollsBeforeVerdict: c.Polls,
		CallbackRepeats: c.CallbackRepeats, CallbackShuffle: true, Lifetimes: c.Lifetimes, Faults: c.Faults, Seed: c.Seed,
		ClientID: clientID, PassKey: passKey, PartnerCode: partnerCode,
	}
	if c.Dir != "" {
		o.StateDir = filepath.Join(c.Dir, "gateway")
	}
	if c.Base != "" {
		o.CallbackURL, o.CallbackAuth = c.Base+"/partner/callback", callbackAuth
	}
	return o
}

// partner returns the sample partner backend, which reaches the gateway as
// everybody else does.
func (c gatewayConfig) partner() (*partner.Server, error) {
	backend, err := gateway.NewBackend(gateway.BackendOptions{
		TokenURL: c.Base, GatewayURL: c.Base, ClientID: clientID, PassKey: passKey, PartnerCode: partnerCode, Platform: "KIOSK",
		Client: impatient(),
	})
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(c.Dir, "partner")
	if c.Dir == "" {
		if dir, err = os.MkdirTemp("", "storm-partner-"); err != nil {
			return nil, err
		}
		// A child that is killed leaves nothing: the file that is open goes on.
		defer func() { _ = os.RemoveAll(dir) }()
	}
	return partner.New(partner.Options{Gateway: backend, CallbackAuth: callbackAuth, StateDir: dir, FallbackAfter: 3 * time.Second})
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

// drizzle is what goes wrong all the time during a storm.
func drizzle() string {
	return "all=reset%1,all=lost%1,all=503%1,upload=reset-mid-body%4,upload=slow:400kB/s%4,urls=reset-mid-body%2,confirm=lost%4,callback=500%20"
}

// troubles are calls and what may be wrong with them, in the words of
// gatewaysim's scripts. None of these is a reason to give a record up.
func troubles() []string {
	return []string{
		"flow=500x2", "flow=lostx2", "flow=resetx2", "flow=hang:2500ms", "flow=garbage", "partner_token=500", "partner_token=resetx2",
		"urls=503x3", "urls=500x2", "urls=resetx3", "urls=lostx3", "urls=hang:2500ms", "urls=html", "urls=garbage", "urls=401x2",
		"upload=503x2", "upload=resetx4", "upload=lostx4", "upload=403x2", "upload=hang:2500ms", "upload=500",
		"confirm=503x3", "confirm=500", "confirm=resetx2", "confirm=lostx6", "confirm=hang:2500ms", "confirm=garbage",
		"status=503x3", "status=500x2", "status=resetx3", "status=lostx3", "status=html", "status=garbagex2", "status=hang:2500ms",
		"upload=503/1sx2", "confirm=429/1sx2", "confirm=reset-mid-bodyx3",
		"details=500", "details=resetx2", "callback=503x5", "callback=lostx5", "callback=hang:2500ms",
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
