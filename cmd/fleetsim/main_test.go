package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// small is the standard scenario with fewer kiosks.
func small(kiosks int) scenario {
	s := standard()
	s.Kiosks = kiosks
	s.Capacity = perKiosk * float64(kiosks)
	return scenarios(s, false)[0]
}

func simulated(t *testing.T, s scenario) (*fleet, *result) {
	t.Helper()
	f := newFleet(s)
	if err := f.run(t.Context(), func(*fleet) {}); err != nil {
		t.Fatal(err)
	}
	return f, f.result()
}

func TestFleetDrainsWithinTheBounds(t *testing.T) {
	for _, s := range scenarios(small(2000), false) {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			f, r := simulated(t, s)
			for _, b := range r.broken() {
				t.Error(b)
			}
			// The model itself: nothing is lost, and no gateway serves more than it can.
			for i := range f.shops {
				if k := &f.shops[i]; k.left != 0 || len(k.births) != 0 {
					t.Fatalf("kiosk %d has %d records left", i, k.left)
				}
			}
			if most := s.Capacity * (r.drain + s.Room + time.Second).Seconds(); float64(r.served) > most {
				t.Errorf("%d calls served, %.0f are possible", r.served, most)
			}
			if least := uint64(3 * r.backlog); f.spent < least {
				t.Errorf("%d calls for %d records", f.spent, r.backlog)
			}
			if r.walkins == 0 || r.drain < r.alone {
				t.Errorf("%d walk-ins; drained in %v, less than the capacity alone needs, %v", r.walkins, r.drain, r.alone)
			}
		})
	}
}

// TestControlsBreakBounds shows that the bounds can tell a good policy from bad
// ones.
func TestControlsBreakBounds(t *testing.T) {
	controls := 0
	for _, s := range scenarios(small(500), true) {
		if !s.Control {
			continue
		}
		controls++
		if _, r := simulated(t, s); len(r.broken()) == 0 {
			t.Errorf("%s: every bound holds", s.Name)
		}
	}
	if controls != 2 {
		t.Errorf("%d controls", controls)
	}
}

func TestEachBoundCanBreak(t *testing.T) {
	good := func() *result {
		return &result{mean: 100, peak: 200, drain: time.Hour, alone: 50 * time.Minute, drought: time.Minute, walkinLate: time.Minute}
	}
	if b := good().broken(); len(b) > 0 {
		t.Fatal(b)
	}
	for word, spoil := range map[string]func(*result){
		"left":       func(r *result) { r.left = 1 },
		"peak":       func(r *result) { r.peak = 301 },
		"last queue": func(r *result) { r.drain = 101 * time.Minute },
		"nothing":    func(r *result) { r.drought = 51 * time.Minute },
		"people":     func(r *result) { r.walkinLate = 121 * time.Second },
	} {
		r := good()
		spoil(r)
		if b := r.broken(); len(b) != 1 || !strings.Contains(b[0].Error(), word) {
			t.Errorf("%s: %v", word, b)
		}
	}
}

func TestSameSeedGivesTheSameFigures(t *testing.T) {
	_, a := simulated(t, small(300))
	_, b := simulated(t, small(300))
	other := small(300)
	other.Seed = 2
	_, c := simulated(t, other)
	if one, two := table([]*result{a}), table([]*result{b}); one != two || a.offered != b.offered || a.drain != b.drain {
		t.Errorf("two runs differ:\n%s%s", one, two)
	}
	if a.offered == c.offered || a.backlog == c.backlog {
		t.Error("another seed changes nothing")
	}
}

func TestPaperAgreesWithTheSimulation(t *testing.T) {
	_, r := simulated(t, small(2000))
	e := estimate(r)
	for name, v := range map[string][2]float64{
		"calls": {e.calls, r.calls},
		"alone": {e.alone.Seconds(), r.alone.Seconds()},
		"drain": {e.drain.Seconds(), r.drain.Seconds()},
		"peak":  {e.peak, r.peak},
	} {
		if x := v[0] / v[1]; x < 0.75 || x > 1.25 {
			t.Errorf("%s: %.2f on paper, %.2f simulated", name, v[0], v[1])
		}
	}
}

func TestGatewayServesAtItsCapacityAndTurnsTheRestAway(t *testing.T) {
	g := newGateway(100, 0, time.Second)
	refused, slowest := 0, time.Duration(0)
	for i := range 3000 { // 300 a second for ten seconds
		wait, ok := g.ask(time.Duration(i) * time.Second / 300)
		if !ok {
			refused++
		}
		slowest = max(slowest, wait)
	}
	if served := sum(g.served); served < 1000 || served > 1110 || int(served)+refused != 3000 {
		t.Errorf("%d served, %d refused", served, refused)
	}
	if want := roundTrip + handling + time.Second; slowest < want || slowest > want+20*time.Millisecond {
		t.Errorf("slowest answer %v, want about %v", slowest, want)
	}
	if sum(g.offered) != 3000 {
		t.Error("not every call is counted")
	}
	// Turning away is not free: with ten calls for one, nothing else is done.
	g = newGateway(100, 0.1, time.Second)
	for i := range 20_000 {
		g.ask(time.Duration(i) * time.Second / 2000)
	}
	if served := sum(g.served[2:]); served > 20 {
		t.Errorf("%d served while 2,000 a second are turned away", served)
	}
}

func TestQueueYieldsByTime(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	var q queue
	last, in, out := time.Duration(0), 0, 0
	for range 20_000 {
		if len(q) == 0 || rnd.IntN(2) == 0 {
			q.push(event{at: last + time.Duration(rnd.Int64N(1000))})
			in++
			continue
		}
		e := q.pop()
		if out++; e.at < last {
			t.Fatalf("%d after %d", e.at, last)
		}
		last = e.at
	}
	if len(q) != in-out {
		t.Errorf("%d events left of %d in and %d out", len(q), in, out)
	}
}

func TestTicksAreRoundAndReachTheTop(t *testing.T) {
	for _, most := range []float64{0.3, 1, 7, 44, 100, 2608} {
		x := ticks(most)
		if n := len(x); n < 4 || n > 10 || x[0].Value != 0 || x[n-1].Value < most || x[n-1].Value > 1.6*most || math.IsNaN(x[n-1].Value) {
			t.Errorf("%v: %v", most, x)
		}
	}
}

func TestRunWritesItsReport(t *testing.T) {
	out := filepath.Join(t.TempDir(), "new", "fleet")
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"-kiosks", "500", "-out", out}, &stdout, &stderr); code != exitOK {
		t.Fatalf("exit %d\n%s", code, stderr.String())
	}
	text, err := os.ReadFile(filepath.Join(out, "fleet.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{stdout.String(), "# A fleet after an outage", "## On paper", "500 kiosks"} {
		if want == "" || !bytes.Contains(text, []byte(want)) {
			t.Errorf("fleet.md lacks %q", want)
		}
	}
	if bytes.Contains(text, []byte("%!")) {
		t.Error("fleet.md has a figure that is not formatted")
	}
	f, err := os.Open(filepath.Join(out, "fleet.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if lines, err := csv.NewReader(f).ReadAll(); err != nil || len(lines) < 1000 || len(lines[0]) != 6 {
		t.Errorf("fleet.csv: %d lines, %v", len(lines), err)
	}
	p, err := os.Open(filepath.Join(out, "fleet.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	img, err := png.Decode(p)
	if err != nil || img.Bounds().Dx() != width || img.Bounds().Dy() != 2*tall+short {
		t.Errorf("fleet.png: %v", err)
	}
}

func TestRunIsInterrupted(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var stdout, stderr bytes.Buffer
	if code := run(ctx, []string{"-kiosks", "500", "-out", t.TempDir()}, &stdout, &stderr); code != exitFault || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("exit %d\n%s", code, stderr.String())
	}
}

func TestRunEnds(t *testing.T) {
	out := t.TempDir()
	full := filepath.Join(out, "file")
	if err := os.WriteFile(full, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"with a bound broken, and says which", []string{
			"-kiosks", "100", "-outage", "10m", "-capacity", "0.1", "-refusal", "1", "-controls=false", "-out", out,
		}, exitFault, "records are left"},
		{"with nowhere to write", []string{"-kiosks", "10", "-out", full}, exitFault, "make the directory"},
		{"with an impossible fleet", []string{"-kiosks", "0"}, exitUsage, "-kiosks"},
		{"with an impossible outage", []string{"-outage", "1s"}, exitUsage, "-outage"},
		{"with an impossible rate", []string{"-per-hour", "NaN"}, exitUsage, "-per-hour"},
		{"with an impossible refusal", []string{"-refusal", "2"}, exitUsage, "-refusal"},
		{"with an impossible wish", []string{"-retry-after", "-1s"}, exitUsage, "-retry-after"},
		{"with an unknown flag", []string{"-fleet"}, exitUsage, "-fleet"},
		{"with an argument", []string{"now"}, exitUsage, "now"},
		{"after help", []string{"-h"}, exitOK, "-seed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), tt.args, &stdout, &stderr); code != tt.code || !strings.Contains(stderr.String(), tt.says) {
				t.Errorf("exit %d, want %d and %q\n%s", code, tt.code, tt.says, stderr.String())
			}
		})
	}
}
