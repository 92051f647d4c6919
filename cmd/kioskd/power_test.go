package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"livekiosk/kiosk/flow"
)

// TestALowBatteryClosesTheKiosk from the kernel's files to the flow.
func TestALowBatteryClosesTheKiosk(t *testing.T) {
	l := newLab(t)
	c, _, err := configure(l.args(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d, err := wire(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer d.close(context.WithoutCancel(ctx))
	d.sys = t.TempDir()
	battery := filepath.Join(d.sys, "class", "power_supply", "BAT0")
	if err := os.MkdirAll(battery, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"type": "Battery\n", "capacity": "14\n"} {
		if err := os.WriteFile(filepath.Join(battery, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var g errgroup.Group
	g.Go(func() error { return d.station.Run(ctx) })
	g.Go(func() error { return d.power(ctx) })
	patience := time.After(90 * time.Second)
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		if s := d.station.State(); s.Power && s.Away && s.Phase == flow.OutOfService {
			break
		}
		select {
		case <-patience:
			t.Fatalf("the kiosk is still open: %+v", d.station.State())
		case <-tick.C:
		}
	}
	cancel()
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}
