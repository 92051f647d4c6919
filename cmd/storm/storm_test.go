package main

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"livekiosk/queue/gateway/gatewaysim"
)

// breeze is a storm that a test has time for.
func breeze(t *testing.T, captures int) plan {
	t.Helper()
	return plan{
		captures: captures, seed: rand.Uint64() >> 32, pause: 40 * time.Millisecond, every: 300 * time.Millisecond,
		longest: time.Minute, lanes: 8, calm: 0.9, dir: t.TempDir(),
		most: len(standardStrikes()),
	}
}

func TestEveryCaptureOfAStormIsConfirmedOnce(t *testing.T) {
	t.Parallel()
	const captures = 80
	p := breeze(t, captures)
	tally, err := blow(t.Context(), p, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if tally.confirmed != captures || tally.repeated == 0 {
		t.Errorf("%+v: want %d confirmed, and callbacks that came again", tally, captures)
	}
}

func TestEveryCaptureOfAStormThroughARelayIsConfirmedOnce(t *testing.T) {
	t.Parallel()
	const captures = 60
	p := breeze(t, captures)
	p.relay, p.most = true, p.most+3
	if tally, err := blow(t.Context(), p, t.Output()); err != nil || tally.confirmed != captures {
		t.Errorf("%+v, %v: want %d confirmed", tally, err, captures)
	}
}

// TestAStormWouldShow breaks one promise on purpose at a time.
func TestAStormWouldShow(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		breaks func(*plan)
		says   string
	}{
		"a kiosk whose marks and correlation ids do not survive it": {func(p *plan) { p.kiosk.Forget = true }, " times: ["},
		"a kiosk that acknowledges what it did not store":           {func(p *plan) { p.kiosk.Drop = 7 }, "acknowledged and is lost"},
		"a store that loses bytes":                                  {func(p *plan) { p.gateway.Shorten = 9 }, "is no image that was taken"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := breeze(t, 40)
			p.strikes, p.after, p.most = []strike{killKiosk}, 3, 3 // others are confirmed by then, and wait for their verdicts
			tt.breaks(&p)
			_, err := blow(t.Context(), p, t.Output())
			var broken *brokenError
			if !errors.As(err, &broken) || !strings.Contains(strings.Join(broken.findings, "\n"), tt.says) {
				t.Errorf("%v, want %q", err, tt.says)
			}
		})
	}
}

func TestEveryTroubleIsOneThatTheGatewayKnows(t *testing.T) {
	for _, f := range append(troubles(), drizzle()) {
		if _, err := gatewaysim.ParseFaults(f); err != nil {
			t.Error(err)
		}
	}
	once, again := script(rand.New(rand.NewPCG(1, 1)).IntN), script(rand.New(rand.NewPCG(1, 1)).IntN)
	if once != again {
		t.Error("the same seed gives another script")
	}
}
