package main

import (
	"errors"
	"math"
	"time"

	"livekiosk/queue/deliver"
)

// perKiosk is the gateway's capacity unless it is given, in calls a second and
// kiosk: six times what the fleet asks for on average, as a gateway that is
// built for rush hours has it. An outage of eight hours then is some 80 minutes
// of work.
const perKiosk = 0.012

// A scenario is one run of the simulation.
type scenario struct {
	Name    string
	Control bool // shows what the policy is for: no bound applies

	Seed     uint64
	Kiosks   int
	Capacity float64       // of the gateway, calls a second
	Outage   time.Duration // how long it was away

	PerHour float64 // records of a kiosk, on average over the fleet
	Skew    float64 // sigma of the kiosks' own rates, which are log-normal
	Busiest float64 // records an hour of the busiest kiosk, at most
	Closed  float64 // share of kiosks with nobody there at all

	Refusal    float64       // work of a 503, as a share of a call's
	Room       time.Duration // the most a call queues in the gateway
	RetryAfter time.Duration // with each 503; 0: the header is absent

	Policy   deliver.Policy
	Steady   bool // waits are as long as their limit, without jitter
	Lanes    int
	Restarts float64       // share of kiosks that restart while they drain
	From, To time.Duration // when they do
	Clock    time.Duration // error of their clock before it, either way

	Horizon time.Duration // when to give up
}

// standard is the scenario that all others vary.
func standard() scenario {
	return scenario{
		Name: "standard", Seed: 1, Kiosks: 100_000, Outage: 8 * time.Hour,
		PerHour: 1.5, Skew: 1.2, Busiest: 50, Closed: 0.1,
		Refusal: 0.1, Room: time.Second,
		Policy: deliver.StandardPolicy(), Lanes: 2,
	}
}

func (s scenario) validate() error {
	switch {
	case s.Kiosks < 1 || s.Kiosks > 1_000_000:
		return errors.New("-kiosks must be from 1 to 1000000")
	case !(s.Capacity >= 0.1 && s.Capacity <= 1e6):
		return errors.New("-capacity must be from 0.1 to 1000000")
	case s.Outage < 10*time.Minute || s.Outage > 7*24*time.Hour:
		return errors.New("-outage must be from 10m to 168h")
	case !(s.PerHour > 0 && s.PerHour <= s.Busiest):
		return errors.New("-per-hour must be positive and at most 50")
	case !(s.Refusal >= 0 && s.Refusal <= 1):
		return errors.New("-refusal must be from 0 to 1")
	case s.RetryAfter < 0:
		return errors.New("-retry-after must not be negative")
	}
	return nil
}

// scenarios are the runs of a report.
func scenarios(base scenario, controls bool) []scenario {
	vary := func(name string, change func(*scenario)) scenario {
		s := base
		s.Name = name
		change(&s)
		return s
	}
	base.Horizon = max(4*base.Outage, 2*time.Hour)
	const wish = 30 * time.Second
	all := []scenario{
		base,
		vary("Retry-After 30 s", func(s *scenario) { s.RetryAfter = wish }),
		vary("half the capacity", func(s *scenario) { s.Capacity /= 2 }),
		vary("half, Retry-After 30 s", func(s *scenario) { s.Capacity, s.RetryAfter = s.Capacity/2, wish }),
		vary("twice the capacity", func(s *scenario) { s.Capacity *= 2 }),
		vary("half restart, clocks wrong", func(s *scenario) {
			s.RetryAfter, s.Restarts, s.To, s.Clock = wish, 0.5, time.Hour, 48*time.Hour
		}),
		vary("power cut: half in 1 min", func(s *scenario) {
			s.Restarts, s.From, s.To = 0.5, 20*time.Minute, 21*time.Minute
		}),
	}
	if controls {
		all = append(all,
			vary("control: full jitter only", func(s *scenario) {
				// Nothing is remembered once there was an answer.
				s.Control, s.Policy.Hiccup, s.Policy.Ease = true, math.MaxInt32, math.SmallestNonzeroFloat64
			}),
			vary("control: retry every 5 s", func(s *scenario) {
				s.Control, s.Policy.Hiccup, s.Policy.Ease = true, math.MaxInt32, math.SmallestNonzeroFloat64
				s.Policy.Base, s.Policy.Most, s.Steady = 5*time.Second, 5*time.Second, true
				s.Policy.Person, s.Horizon = 5*time.Second, 10*time.Minute // it gets nowhere
			}))
	}
	return all
}
