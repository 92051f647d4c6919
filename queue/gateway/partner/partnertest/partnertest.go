// Package partnertest sets up the simulated gateway and the sample partner
// backend together, over loopback HTTP, for tests.
package partnertest

import (
	"cmp"
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"livekiosk/queue/gateway"
	"livekiosk/queue/gateway/gatewaysim"
	"livekiosk/queue/gateway/partner"
)

// A World is a gateway and a partner that serve until the test ends.
type World struct {
	URL        string // root of gateway, object store and token gateway
	PartnerURL string // root of the partner backend
	Sim        *gatewaysim.Sim
	Partner    *partner.Server
}

// callbackAuth is by what the partner knows the gateway.
const callbackAuth = "Bearer partnertest"

// New returns a world whose simulator has these options, but for those that
// lead to the partner. The partner has the simulator's clock, and its state in
// a directory of the test. Faults of the calls that the partner answers hit
// the partner.
func New(tb testing.TB, opts gatewaysim.Options) *World {
	tb.Helper()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	tb.Cleanup(server.Close)
	w := &World{URL: server.URL, PartnerURL: server.URL + "/partner"}

	opts.BaseURL = w.URL
	opts.CallbackURL, opts.CallbackAuth = w.PartnerURL+"/callback", callbackAuth
	opts.ClientID, opts.PassKey = cmp.Or(opts.ClientID, "sample-client"), cmp.Or(opts.PassKey, "sample-pass-key")
	opts.PartnerCode = cmp.Or(opts.PartnerCode, "SAMPLE")
	var err error
	if w.Sim, err = gatewaysim.New(opts); err != nil {
		tb.Fatal(err)
	}
	backend, err := gateway.NewBackend(gateway.BackendOptions{
		TokenURL: w.URL, GatewayURL: w.URL, ClientID: opts.ClientID, PassKey: opts.PassKey, PartnerCode: opts.PartnerCode, Platform: "KIOSK",
		Client: server.Client(), Log: opts.Log,
	})
	if err != nil {
		tb.Fatal(err)
	}
	w.Partner, err = partner.New(partner.Options{
		Gateway: backend, CallbackAuth: callbackAuth, StateDir: filepath.Join(tb.TempDir(), "partner"), Now: opts.Now, Log: opts.Log,
	})
	if err != nil {
		tb.Fatal(err)
	}
	mux.Handle("/", w.Sim)
	mux.Handle("/partner/", http.StripPrefix("/partner", w.Sim.Partner(w.Partner)))

	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	done := make(chan error, 2)
	go func() { done <- w.Sim.Run(ctx) }()
	go func() { done <- w.Partner.Run(ctx) }()
	tb.Cleanup(func() {
		server.CloseClientConnections() // whoever follows something leaves
		server.Close()
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				tb.Errorf("world: %v", err)
			}
		}
		if err := w.Sim.Close(); err != nil {
			tb.Errorf("simulator: %v", err)
		}
		if err := w.Partner.Close(); err != nil {
			tb.Errorf("partner: %v", err)
		}
	})
	return w
}
