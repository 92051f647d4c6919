package main

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"livekiosk/kiosk"
)

func TestALineThroughSamplesIsNotMovedByAThirdOfThem(t *testing.T) {
	var x, y []float64
	for i := range 30 {
		x = append(x, float64(10*i))
		y = append(y, 5+2*float64(10*i))
		if i%4 == 3 {
			y[i] += 10_000
		}
	}
	if s := slope(x, y); math.Abs(s-2) > 0.05 {
		t.Errorf("slope %g, want 2", s)
	}
	if slope(nil, nil) != 0 || slope([]float64{1, 1}, []float64{1, 2}) != 0 {
		t.Error("a slope of one point")
	}
}

// life is a soak whose long life had these samples, one each ten seconds.
func life(memory func(i int) int64, descriptors, goroutines func(i int) int) *soak {
	s := &soak{out: io.Discard, began: time.Now()}
	for i := range 40 {
		s.samples = append(s.samples, sample{
			at: time.Duration(i) * 10 * time.Second, life: 1, session: i + 1,
			memory: memory(i), threads: 20, descriptors: descriptors(i), goroutines: goroutines(i),
		})
	}
	s.samples = append(s.samples, sample{at: time.Hour, life: 2, memory: 1 << 40}) // another life is another series
	return s
}

func TestWhatGrowsIsSeen(t *testing.T) {
	level := func(i int) int64 { return 200<<20 + int64(i%5)<<20 }
	few := func(i int) int { return 20 + i%3 }
	for name, tt := range map[string]struct {
		s    *soak
		says string
	}{
		"a level life":             {life(level, few, few), ""},
		"a warm-up":                {life(func(i int) int64 { return 200<<20 - 50<<20/int64(i+1) }, few, few), ""},
		"a leak of two MB a visit": {life(func(i int) int64 { return level(i) + int64(i)<<21 }, few, few), "memory"},
		"a descriptor a visit":     {life(level, func(i int) int { return 20 + i }, few), "descriptors"},
		"a goroutine a visit":      {life(level, few, func(i int) int { return 20 + i }), "goroutines"},
		"a life that is too short": {&soak{out: io.Discard, samples: []sample{{life: 1}, {life: 1}}}, "too few"},
	} {
		t.Run(name, func(t *testing.T) {
			findings := strings.Join(tt.s.trends(), "\n")
			if (tt.says == "") != (findings == "") || !strings.Contains(findings, tt.says) {
				t.Errorf("findings %q, want %q", findings, tt.says)
			}
		})
	}
}

func TestASessionThatEndsOtherwiseIsSeen(t *testing.T) {
	granted, saved, staff := string(kiosk.GrantedScreen), string(kiosk.SavedScreen), string(kiosk.RefusedScreen)
	for _, tt := range []struct {
		ordeal  ordeal
		outcome string
		ok      bool
	}{
		{fair, granted, true},
		{fair, saved, false},
		{fair, "", false},
		{offline, saved, true},
		{offline, granted, false},
		{restarted, granted, true},
		{restarted, saved, true},
		{restarted, staff, false},
		{troubled, saved, true},
		{troubled, "", false},
		{interrupted, "", true},
	} {
		if wrong := (visit{ordeal: tt.ordeal, outcome: tt.outcome}).wrong(); (wrong == "") != tt.ok {
			t.Errorf("%s, %q: %q", tt.ordeal, tt.outcome, wrong)
		}
	}
}

func TestAVisitThatTookEffectTwiceOrNeverIsSeen(t *testing.T) {
	s := &soak{sessions: []visit{
		{correlation: "a", ordeal: fair}, {correlation: "b", ordeal: interrupted}, {correlation: "c", ordeal: interrupted, saved: true},
	}}
	for name, tt := range map[string]struct {
		confirmed map[string]int
		says      string
	}{
		"all once":                         {map[string]int{"a": 1, "b": 1, "c": 1}, ""},
		"one that was interrupted is gone": {map[string]int{"a": 1, "c": 1}, ""},
		"a saved one is gone":              {map[string]int{"a": 1}, "c (interrupted"},
		"one is lost":                      {map[string]int{"c": 1}, "a (fair"},
		"one twice":                        {map[string]int{"a": 1, "b": 2, "c": 1}, "b (interrupted, \"\") was confirmed 2 times"},
		"a phantom":                        {map[string]int{"a": 1, "c": 1, "x": 1}, "x was confirmed 1 times and never launched"},
	} {
		findings := strings.Join(s.counted(tt.confirmed), "\n")
		if (tt.says == "") != (findings == "") || !strings.Contains(findings, tt.says) {
			t.Errorf("%s: findings %q, want %q", name, findings, tt.says)
		}
	}
}

func TestAProcessIsMeasured(t *testing.T) {
	m, err := measureProcess(os.Getpid())
	if err != nil || m.memory < 1<<20 || m.anonymous < 1<<18 || m.descriptors < 3 || m.threads < 1 {
		t.Errorf("%+v, %v", m, err)
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if more, err := measureProcess(os.Getpid()); err != nil || more.descriptors <= m.descriptors {
		t.Errorf("%d descriptors, then %d", m.descriptors, more.descriptors)
	}
	if m, err := measureProcess(1 << 30); err == nil {
		t.Errorf("a process that there is not: %+v", m)
	}
}

func TestAChildEndsWithItsInputAndIsHeardToTheEnd(t *testing.T) {
	heard := make(chan string, 10)
	address, err := freePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := spawn(t.Context(), "gateway", gatewayConfig{Listen: address}, t.Output(), func(b []byte) { heard <- string(b) })
	if err != nil {
		t.Fatal(err)
	}
	if line := <-heard; !strings.Contains(line, address) {
		t.Errorf("heard %q", line)
	}
	if err := c.stop(10 * time.Second); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if c, err = spawn(ctx, "gateway", gatewayConfig{Listen: address, Faults: "nonsense"}, io.Discard, nil); err != nil {
		t.Fatal(err)
	}
	<-c.done
	if err := c.verdict(); !errors.Is(err, errEnded) {
		t.Errorf("a bad configuration: %v", err)
	}
	cancel()
}
