package main

import (
	"context"
	"path/filepath"

	"livekiosk/kiosk/api"
)

// busyFile lies beside the socket while somebody is there or something is on
// its way: see systemd.Busy.
const busyFile = "busy"

func (c Config) busyPath() string { return filepath.Join(filepath.Dir(c.API.Socket), busyFile) }

// Drain implements api.Drainer. It is not kept: a restart ends it.
func (d *daemon) Drain(ctx context.Context, on bool) error {
	return d.station.Drain(ctx, on)
}

// Drained implements api.Drainer. Of an outbox that cannot be used nothing can
// be delivered, and what is in it is durable: a kiosk with a bad disk must not
// be one that is never updated.
func (d *daemon) Drained(ctx context.Context) api.Drain {
	stats, delivering := d.delivery()
	s := d.station.State()
	entries, err := d.outbox.Entries(ctx)
	out, pending := api.Drain{Draining: s.Update, Left: api.LeftNothing}, 0
	for _, e := range entries {
		switch e.State {
		case "done", "dead":
		case "confirmed":
			pending++
		default:
			pending++
			out.Unsent++
		}
	}
	// A record that was stored a moment ago is one that the deliverer has not
	// heard of yet.
	resting := !delivering || stats.Resting && stats.Pending == pending
	switch {
	case s.Session != "":
		out.Left = api.LeftSession
	case d.busy.Held():
		out.Left = api.LeftStoring
	case d.outbox.turnsAway():
		out.Left = api.LeftUpkeep
	case err == nil && out.Unsent > 0 && !resting:
		out.Left = api.LeftDelivery
	}
	out.Drained = out.Draining && out.Left == api.LeftNothing
	return out
}
