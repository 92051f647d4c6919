package power_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"livekiosk/systemd/power"
)

// tree writes a sysfs tree of supplies, each a name and its files: "BAT0
// type=Battery capacity=40".
func tree(t *testing.T, supplies ...string) string {
	t.Helper()
	sys := t.TempDir()
	plug(t, sys, supplies...)
	return sys
}

func plug(t *testing.T, sys string, supplies ...string) {
	t.Helper()
	for _, s := range supplies {
		fields := strings.Fields(s)
		dir := filepath.Join(sys, "class", "power_supply", fields[0])
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, f := range fields[1:] {
			name, value, _ := strings.Cut(f, "=")
			if err := os.WriteFile(filepath.Join(dir, name), []byte(value+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestHowABoardIsPowered(t *testing.T) {
	for _, tt := range []struct {
		name     string
		supplies []string
		want     power.Supply
	}{
		{"a board without supplies is plugged in", nil, power.Supply{}},
		{"mains only", []string{"AC type=Mains online=1"}, power.Supply{}},
		{"a tablet on its battery", []string{"AC type=Mains online=0", "BAT0 type=Battery present=1 capacity=40"}, power.Supply{Battery: true, Known: true, Charge: 40}},
		{"a tablet that charges", []string{"AC type=Mains online=1", "BAT0 type=Battery capacity=40"}, power.Supply{Known: true, Charge: 40}},
		{"a tablet on USB power", []string{"usb type=USB online=1", "bat type=Battery capacity=7"}, power.Supply{Known: true, Charge: 7}},
		{"the emptier of two batteries", []string{"BAT0 type=Battery capacity=80", "BAT1 type=Battery capacity=12"}, power.Supply{Battery: true, Known: true, Charge: 12}},
		{"a bay without its battery", []string{"BAT0 type=Battery present=0 capacity=0"}, power.Supply{}},
		{"a mouse's battery", []string{"hid type=Battery scope=Device capacity=3"}, power.Supply{}},
		{"a battery that does not tell its charge", []string{"BAT0 type=Battery"}, power.Supply{Battery: true}},
		{"a charge that cannot be", []string{"BAT0 type=Battery capacity=255"}, power.Supply{Battery: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := power.Read(tree(t, tt.supplies...))
			if err != nil || got != tt.want {
				t.Errorf("%+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
	sys := tree(t, "BAT0 type=Battery")
	if err := os.Mkdir(filepath.Join(sys, "class", "power_supply", "BAT0", "capacity"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := power.Read(sys); err == nil {
		t.Errorf("what cannot be read: %+v and no error", got)
	}
}

func TestALowBatteryTurnsVisitorsAway(t *testing.T) {
	on := func(charge int) power.Supply { return power.Supply{Battery: true, Known: true, Charge: charge} }
	for _, tt := range []struct {
		name  string
		s     power.Supply
		least int
		was   bool
		want  bool
	}{
		{"enough", on(15), 15, false, false},
		{"not enough", on(14), 15, false, true},
		{"recovered a little", on(19), 15, true, true},
		{"recovered", on(20), 15, true, false},
		{"plugged in", power.Supply{Known: true, Charge: 1}, 15, true, false},
		{"unknown", power.Supply{Battery: true}, 15, true, false},
		{"never", on(0), 0, false, false},
		{"never, any more", on(0), 0, true, false},
		{"always full enough in the end", on(100), 99, true, false},
	} {
		if got := power.Low(tt.s, tt.least, tt.was); got != tt.want {
			t.Errorf("%s: low is %v", tt.name, got)
		}
	}
}

func TestTheWatchTellsWhatChanged(t *testing.T) {
	sys := tree(t, "AC type=Mains online=1", "BAT0 type=Battery capacity=50")
	capacity := filepath.Join(sys, "class", "power_supply", "BAT0", "capacity")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var told []string
		var slept atomic.Int64
		beats := 0
		w := power.Watch{
			Sys: sys, Least: 15, Slept: func() time.Duration { return time.Duration(slept.Load()) }, Beat: func() { beats++ },
			Tell: func(s power.Supply, low bool) {
				word := "mains"
				if s.Battery {
					word = "battery"
				}
				if low {
					word = "low"
				}
				told = append(told, word)
			},
			Bad:   func(error) { told = append(told, "unreadable") },
			Woken: func(d time.Duration) { told = append(told, "woken after "+d.String()) },
		}
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		look := func() {
			<-time.After(11 * time.Second) // in a bubble: it takes no time
			synctest.Wait()
		}
		look()
		plug(t, sys, "AC online=0")
		look()
		plug(t, sys, "BAT0 capacity=14")
		look()
		if err := errors.Join(os.Remove(capacity), os.Mkdir(capacity, 0o700)); err != nil {
			t.Fatal(err)
		}
		look()
		look()
		if err := os.Remove(capacity); err != nil {
			t.Fatal(err)
		}
		plug(t, sys, "BAT0 capacity=14")
		slept.Store(int64(time.Hour))
		look()
		plug(t, sys, "AC online=1")
		look()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		want := []string{"mains", "battery", "low", "unreadable", "woken after 1h0m0s", "mains"}
		if !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
		if beats < 7 {
			t.Errorf("%d beats in 7 looks", beats)
		}
	})
}
