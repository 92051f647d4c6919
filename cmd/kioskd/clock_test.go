package main

import (
	"log/slog"
	"math"
	"testing"
	"time"
)

// A wall clock that is set after the gateway told its time is not the one that
// was right: what the outbox keeps by it could be erased months early.
func TestAClockThatIsSetIsNotTrustedAnyMore(t *testing.T) {
	for name, tt := range map[string]struct {
		by    time.Duration
		trust bool
	}{
		"not set":      {trust: true},
		"a minute on":  {by: time.Minute, trust: true},
		"a month on":   {by: 30 * 24 * time.Hour},
		"a month back": {by: -30 * 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			c := &clock{log: slog.New(slog.DiscardHandler)}
			c.told(t.Context(), 0)
			c.wall = c.wall.Add(-tt.by) // as if it had been so long ago by the wall, and just now by the machine
			got := c.status()
			if off := time.Duration(got.SkewSeconds * float64(time.Second)); got.Trusted != tt.trust || (off-tt.by).Abs() > time.Minute/2 {
				t.Errorf("status %+v, want trusted %t, ahead by %v", got, tt.trust, tt.by)
			}
			if c.confirmed() != tt.trust {
				t.Errorf("confirmed %t", c.confirmed())
			}
		})
	}
}

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
			if got := c.status(); got.Known != tt.known || got.Trusted != tt.trust || math.Abs(got.SkewSeconds-tt.skew) > 0.5 {
				t.Errorf("status %+v, want known %t, trusted %t, skew %g", got, tt.known, tt.trust, tt.skew)
			}
			if got := c.confirmed(); got != (tt.known && tt.trust) {
				t.Errorf("confirmed %t, with known %t and trusted %t", got, tt.known, tt.trust)
			}
		})
	}
}
