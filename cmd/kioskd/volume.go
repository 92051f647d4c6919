package main

import (
	"context"
	"fmt"
	"log/slog"

	"livekiosk/kiosk/api"
	"livekiosk/systemd/volume"
)

// durable reports why nothing that is stored would last: memory stands in for the
// data partition. A visitor must not be promised anything on it.
func (c Config) durable() error {
	r, err := volume.Read(c.State.Volume)
	switch {
	case err != nil:
		return fmt.Errorf("%w: data partition: %w", errOutbox, err)
	case r.State == volume.Volatile:
		return fmt.Errorf("%w: the data partition is not there (%s), and nothing would be kept: see kioskctl volume", errOutbox, r.Cause)
	}
	return nil
}

// volume returns what became of the data partition; nil where there is none.
func (c Config) volume() *api.VolumeStatus {
	r, _ := volume.Read(c.State.Volume) // it says Volatile, then
	if r.State == "" {
		return nil
	}
	return &api.VolumeStatus{State: string(r.State), Cause: string(r.Cause), Losses: len(r.Losses)}
}

// tellVolume logs the alarms of the data partition.
func (c Config) tellVolume(ctx context.Context, log *slog.Logger) {
	r, _ := volume.Read(c.State.Volume) // as above
	for _, l := range r.Losses {
		log.ErrorContext(ctx, "data partition lost something", slog.String("state", string(l.State)), slog.Time("when", l.When),
			slog.Int("adrift", l.Adrift), slog.Int("rescued", l.Rescued), slog.String("evidence", l.Evidence))
	}
}
