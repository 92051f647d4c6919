package update_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"livekiosk/systemd/update"
)

func at(t *testing.T, s string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

// night is a kiosk that runs version 2, and is offered 3 from midnight on, at
// three in the morning.
func night(t *testing.T) update.Facts {
	t.Helper()
	f := update.Facts{
		Now: at(t, "2026-05-02T03:00:00Z"), Machine: "0123456789abcdef0123456789abcdef", Policy: update.Policy{Ring: update.Broad},
		Running: "2", Trial: update.TrialGood, Slots: []update.Slot{{"1", update.Kept}, {"2", update.Kept}},
		Offer: &update.Rollout{Version: "3", Floor: "2", Rings: map[string]time.Time{"broad": at(t, "2026-05-02T00:00:00Z")}, Until: at(t, "2026-06-01T00:00:00Z")},
	}
	if err := f.Policy.Window.UnmarshalText([]byte("22:30-05:00")); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestDecide(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*update.Facts)
		want   update.Decision
	}{
		{"its turn has come", func(*update.Facts) {}, update.Decision{update.Install, update.Offered, "3"}},
		{"its turn comes this very moment", func(f *update.Facts) { f.Now = at(t, "2026-05-02T00:00:00Z") }, update.Decision{update.Install, update.Offered, "3"}},
		{"a second too early", func(f *update.Facts) { f.Now = at(t, "2026-05-01T23:59:59Z") }, update.Decision{update.Rest, update.NotYet, "3"}},
		{"the clock says 1970", func(f *update.Facts) { f.Now = time.Unix(12*3600, 0).UTC() }, update.Decision{update.Rest, update.NotYet, "3"}},
		{"somebody is there", func(f *update.Facts) { f.Busy = true }, update.Decision{update.Wait, update.Occupied, "3"}},
		{"it is day", func(f *update.Facts) { f.Now = at(t, "2026-05-02T12:00:00Z") }, update.Decision{update.Rest, update.Closed, "3"}},
		{"it is day, and somebody is there", func(f *update.Facts) { f.Now, f.Busy = at(t, "2026-05-02T12:00:00Z"), true }, update.Decision{update.Rest, update.Closed, "3"}},
		{"nothing is offered", func(f *update.Facts) { f.Offer = nil }, update.Decision{update.Rest, update.NoOffer, ""}},
		{"the offer is too old", func(f *update.Facts) { f.Offer.Until = f.Now }, update.Decision{update.Rest, update.Expired, "3"}},
		{"the same is offered", func(f *update.Facts) { f.Offer.Version = "2.0"; f.Running = "2.0" }, update.Decision{update.Rest, update.Newest, "2.0"}},
		{"an older one is offered", func(f *update.Facts) { f.Running = "4" }, update.Decision{update.Rest, update.Older, "3"}},
		{"it is below the floor of its own rollout", func(f *update.Facts) { f.Offer.Floor = "4" }, update.Decision{update.Rest, update.BelowFloor, "3"}},
		{"it is below the floor of the kiosk", func(f *update.Facts) { f.Policy.Floor = "3.1" }, update.Decision{update.Rest, update.BelowFloor, "3"}},
		{"its ring has to wait for another rollout", func(f *update.Facts) { f.Policy.Ring = "early" }, update.Decision{update.Rest, update.OtherRing, "3"}},
		{"it was tried here and did not work", func(f *update.Facts) { f.Slots[0] = update.Slot{"3", 0} }, update.Decision{update.Rest, update.Broken, "3"}},
		{"the one that did not work is mended", func(f *update.Facts) { f.Slots[0], f.Offer.Version = update.Slot{"3", 0}, "3.1" }, update.Decision{update.Install, update.Offered, "3.1"}},
		{"it is installed", func(f *update.Facts) { f.Slots[0] = update.Slot{"3", 3} }, update.Decision{update.Restart, update.Installed, "3"}},
		{"it is installed, and somebody is there", func(f *update.Facts) { f.Slots[0], f.Busy = update.Slot{"3", 3}, true }, update.Decision{update.Restart, update.Installed, "3"}},
		{"it is installed, and it is day", func(f *update.Facts) { f.Slots[0], f.Now = update.Slot{"3", 3}, at(t, "2026-05-02T12:00:00Z") }, update.Decision{update.Rest, update.Closed, "3"}},
		{"the power failed during a trial", func(f *update.Facts) { f.Slots[0] = update.Slot{"3", 1} }, update.Decision{update.Restart, update.Installed, "3"}},
		{"the running one is on trial", func(f *update.Facts) { f.Trial = update.TrialOpen }, update.Decision{update.Rest, update.Unproven, "2"}},
		{"the running one failed its trial", func(f *update.Facts) { f.Trial, f.Failed = update.TrialOpen, true }, update.Decision{update.Restart, update.Fallback, "2"}},
		{"the running one failed its trial by day", func(f *update.Facts) {
			f.Trial, f.Failed, f.Now = update.TrialOpen, true, at(t, "2026-05-02T12:00:00Z")
		}, update.Decision{update.Restart, update.Fallback, "2"}},
		{"one that was kept has a broken camera", func(f *update.Facts) { f.Trial, f.Failed, f.Offer = update.TrialGood, true, nil }, update.Decision{update.Rest, update.NoOffer, ""}},
		{"one that was kept has a fault, and a remedy is offered", func(f *update.Facts) { f.Trial, f.Failed = update.TrialNone, true }, update.Decision{update.Install, update.Offered, "3"}},
		{"nothing else is left, and it has a fault", func(f *update.Facts) { f.Trial, f.Failed, f.Offer = update.TrialBad, true, nil }, update.Decision{update.Rest, update.NoOffer, ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := night(t)
			tt.change(&f)
			if got := update.Decide(f); got != tt.want {
				t.Errorf("decided %v, want %v", got, tt.want)
			}
		})
	}
}

// TestARingFollowsOneAfterTheOther has a thousand kiosks look at each hour of
// ten: they come evenly, none early, and none never.
func TestARingFollowsOneAfterTheOther(t *testing.T) {
	f := night(t)
	f.Policy.Window = update.Window{}
	f.Offer.SpreadHours = 10
	begin := f.Offer.Rings["broad"]
	count := func(v update.Version, hours int) (on []int) {
		f.Offer.Version, f.Now = v, begin.Add(time.Duration(hours)*time.Hour)
		for i := range 1000 {
			f.Machine = fmt.Sprintf("%032x", i)
			if update.Decide(f).Action == update.Install {
				on = append(on, i)
			}
		}
		return on
	}
	last := 0
	for h := 1; h <= 10; h++ {
		n := len(count("3", h))
		if n-last < 70 || n-last > 130 {
			t.Errorf("%d kiosks come in hour %d, want about 100", n-last, h)
		}
		last = n
	}
	if last != 1000 || len(count("3", -1)) > 0 {
		t.Errorf("%d of 1000 kiosks have come at last", last)
	}
	if slices.Equal(count("3", 1), count("4", 1)) {
		t.Error("the same kiosks come first with each version")
	}
}

func TestWindow(t *testing.T) {
	for _, tt := range []struct {
		window   string
		in, out  []string
		unwanted bool
	}{
		{window: "02:00-05:00", in: []string{"02:00:00", "04:59:59"}, out: []string{"01:59:59", "05:00:00", "14:00:00"}},
		{window: "22:30-05:00", in: []string{"22:30:00", "23:59:59", "00:00:00", "04:59:59"}, out: []string{"05:00:00", "22:29:59"}},
		{window: "02:00-02:00", unwanted: true},
		{window: "02:00", unwanted: true},
		{window: "2-25:00", unwanted: true},
		{window: "", unwanted: true},
	} {
		t.Run(tt.window, func(t *testing.T) {
			var w update.Window
			err := w.UnmarshalText([]byte(tt.window))
			if tt.unwanted {
				if err == nil {
					t.Fatalf("reads as %v", w)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if text, err := w.MarshalText(); err != nil || string(text) != tt.window {
				t.Errorf("writes %q, %v", text, err)
			}
			for _, s := range tt.in {
				if !w.Open(at(t, "2026-05-02T"+s+"+07:00")) {
					t.Errorf("closed at %s", s)
				}
			}
			for _, s := range tt.out {
				if w.Open(at(t, "2026-05-02T"+s+"+07:00")) {
					t.Errorf("open at %s", s)
				}
			}
		})
	}
	if !(update.Window{}).Open(at(t, "2026-05-02T12:00:00Z")) {
		t.Error("no window is closed")
	}
}

func TestRolloutsAreStrict(t *testing.T) {
	good := `{"version":"3","floor":"2","rings":{"broad":"2026-05-02T00:00:00Z"},"spread_hours":10,"until":"2026-06-01T00:00:00Z"}`
	r, err := update.ParseRollout([]byte(good))
	if err != nil || r.Version != "3" || r.Floor != "2" || !r.Rings["broad"].Equal(at(t, "2026-05-02T00:00:00Z")) || r.SpreadHours != 10 {
		t.Errorf("got %+v, %v", r, err)
	}
	again, err := json.Marshal(r)
	if err != nil || string(again) != good {
		t.Errorf("writes %s, %v", again, err)
	}
	for name, text := range map[string]string{
		"nothing":             ``,
		"two":                 good + good,
		"no version":          `{"until":"2026-06-01T00:00:00Z"}`,
		"no until":            `{"version":"3"}`,
		"a version of none":   `{"version":"/etc","until":"2026-06-01T00:00:00Z"}`,
		"an unknown key":      `{"version":"3","until":"2026-06-01T00:00:00Z","ring":"broad"}`,
		"below its own floor": `{"version":"3","floor":"3.1","until":"2026-06-01T00:00:00Z"}`,
		"a spread of none":    `{"version":"3","spread_hours":-1,"until":"2026-06-01T00:00:00Z"}`,
		"a spread of ages":    `{"version":"3","spread_hours":10000000000,"until":"2026-06-01T00:00:00Z"}`,
	} {
		if r, err := update.ParseRollout([]byte(text)); err == nil {
			t.Errorf("%s reads as %+v", name, r)
		}
	}
}

// TestAmong has the kiosks of a version be a share of all, the same ones each time,
// and others for another version.
func TestAmong(t *testing.T) {
	const all = 2000
	first, second, both := 0, 0, 0
	for i := range all {
		machine := fmt.Sprintf("%032x", i)
		if !update.Among("1", machine, 100) || update.Among("1", machine, 0) {
			t.Fatalf("%s is not among all, or is among none", machine)
		}
		one, other := update.Among("1", machine, 10), update.Among("2", machine, 10)
		if one && !update.Among("1", machine, 11) {
			t.Errorf("%s is among ten of a hundred, and not among eleven", machine)
		}
		if one {
			first++
		}
		if other {
			second++
		}
		if one && other {
			both++
		}
	}
	for _, n := range []int{first, second} {
		if n < all/10-60 || n > all/10+60 {
			t.Errorf("%d of %d kiosks are ten of a hundred", n, all)
		}
	}
	if both > 50 {
		t.Errorf("%d kiosks are among the first of both versions", both)
	}
}
