package main

import (
	"log/slog"
	"testing"
	"time"
)

func TestTheClockIsHeldAgainstTheGateways(t *testing.T) {
	for name, tt := range map[string]struct {
		floor  time.Time
		behind []time.Duration // told, in order
		known  bool
		trust  bool
		skew   float64
	}{
		"nothing was told":                      {trust: true},
		"nothing was told, and it is 1970":      {floor: time.Now().Add(time.Hour)},
		"a second off":                          {behind: []time.Duration{time.Second}, known: true, trust: true, skew: -1},
		"two days ahead of the gateway":         {behind: []time.Duration{-48 * time.Hour}, known: true, skew: 172800},
		"decades behind it":                     {behind: []time.Duration{56 * 365 * 24 * time.Hour}, known: true, skew: -56 * 365 * 24 * 3600},
		"two days ahead, until the service ran": {behind: []time.Duration{-48 * time.Hour, 0}, known: true, trust: true},
		"right by the gateway, before the floor": {
			floor: time.Now().Add(time.Hour), behind: []time.Duration{0}, known: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := &clock{floor: tt.floor, log: slog.New(slog.DiscardHandler)}
			for _, d := range tt.behind {
				c.told(t.Context(), d)
			}
			if got := c.status(); got.Known != tt.known || got.Trusted != tt.trust || got.SkewSeconds != tt.skew {
				t.Errorf("status %+v, want known %t, trusted %t, skew %g", got, tt.known, tt.trust, tt.skew)
			}
			if got := c.confirmed(); got != (tt.known && tt.trust) {
				t.Errorf("confirmed %t, with known %t and trusted %t", got, tt.known, tt.trust)
			}
		})
	}
}
