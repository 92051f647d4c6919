package canary_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"livekiosk/systemd/update"
	"livekiosk/systemd/update/canary"
)

const machine = "0123456789abcdef0123456789abcdef"

// offers are bundles that every kiosk may use.
func offers(versions ...update.Version) (all []canary.Offer) {
	for _, v := range versions {
		all = append(all, canary.Offer{Version: v, Share: 100})
	}
	return all
}

func TestChoose(t *testing.T) {
	some, more := canary.Counts{Sessions: 90, Flagged: 3}, canary.Counts{Sessions: 40, Approved: 1}
	kept := canary.State{Use: "2", Back: "1.5", Counts: some, Baseline: more}
	tried := canary.State{Use: "3", Back: "2", Trial: true, Counts: more, Baseline: some}
	for _, tt := range []struct {
		name   string
		state  canary.State
		facts  canary.Facts
		want   canary.State
		left   canary.Reason
		unused update.Version // and why it is not used
		why    canary.Reason
	}{
		{name: "there are no bundles", state: canary.State{Counts: some}, want: canary.State{Counts: some}},
		{
			name: "the first bundle goes on trial against what is built in", state: canary.State{Counts: some}, facts: canary.Facts{Offers: offers("2")},
			want: canary.State{Use: "2", Trial: true, Baseline: some},
		},
		{
			name: "the newest of several goes on trial", state: kept, facts: canary.Facts{Offers: offers("1.5", "2", "3", "10")},
			want: canary.State{Use: "10", Back: "2", Trial: true, Baseline: some}, unused: "3", why: canary.Older,
		},
		{
			name: "a newer one takes the place of one on trial, and goes back to the same", state: tried, facts: canary.Facts{Offers: offers("2", "3", "4")},
			want: canary.State{Use: "4", Back: "2", Trial: true, Baseline: some},
		},
		{name: "an older one is not for it", state: kept, facts: canary.Facts{Offers: offers("1.5", "2")}, want: kept, unused: "1.5", why: canary.Older},
		{
			name: "this kiosk is not among those that try it", state: kept, facts: canary.Facts{Offers: []canary.Offer{{Version: "2", Share: 100}, {Version: "3"}}},
			want: kept, unused: "3", why: canary.NotHere,
		},
		{
			name: "that it is tried cannot be written down", state: kept, facts: canary.Facts{Offers: offers("2", "3"), Unwritten: true},
			want: kept, unused: "3", why: canary.Unwritten,
		},
		{
			name: "this kiosk is not among those that would", state: kept, facts: canary.Facts{Offers: append(offers("2"), canary.Offer{Version: "3"}), Unwritten: true},
			want: kept, unused: "3", why: canary.NotHere,
		},
		{
			name: "what is on trial already goes on", state: tried, facts: canary.Facts{Offers: offers("2", "3"), Unwritten: true},
			want: tried,
		},
		{
			name: "what is used goes on when its share is taken back", state: kept, facts: canary.Facts{Offers: []canary.Offer{{Version: "2"}}},
			want: kept,
		},
		{
			name: "one that was given up is not tried again", facts: canary.Facts{Offers: offers("2", "3")},
			state:  canary.State{Use: "2", Counts: some, Refused: []canary.Refusal{{"3", canary.Rejections}}},
			want:   canary.State{Use: "2", Counts: some, Refused: []canary.Refusal{{"3", canary.Rejections}}},
			unused: "3", why: canary.Rejections,
		},
		{
			name: "the one on trial is gone", state: tried, facts: canary.Facts{Offers: offers("2")},
			want: canary.State{Use: "2", Counts: some}, left: canary.Missing,
		},
		{
			name: "the one on trial and the one before are gone", state: tried,
			want: canary.State{}, left: canary.Missing,
		},
		{
			name: "it is below the administrator's floor, and so is the one before", state: tried, facts: canary.Facts{Floor: "3.1", Offers: offers("2", "3")},
			want: canary.State{}, left: canary.BelowFloor, unused: "3", why: canary.BelowFloor,
		},
		{
			name: "the one before is below a floor that came later", facts: canary.Facts{Offers: offers("2")},
			state: canary.State{Use: "3", Back: "2", Trial: true, Baseline: some, Floor: "2.5"}, want: canary.State{Floor: "2.5"}, left: canary.BelowFloor,
		},
		{
			name: "the image brings newer ones", state: kept, facts: canary.Facts{BuiltIn: "2", Offers: offers("1.5", "2")},
			want: canary.State{}, left: canary.Older,
		},
		{
			name: "loading it brought the daemon down three times", facts: canary.Facts{Offers: offers("2", "3")},
			state: canary.State{Use: "3", Back: "2", Trial: true, Tries: 3, Baseline: some},
			want:  canary.State{Use: "2", Counts: some, Refused: []canary.Refusal{{"3", canary.Crashed}}}, left: canary.Crashed,
			unused: "3", why: canary.Crashed,
		},
		{
			name: "twice may be two power cuts", facts: canary.Facts{Offers: offers("2", "3")},
			state: canary.State{Use: "3", Back: "2", Trial: true, Tries: 2}, want: canary.State{Use: "3", Back: "2", Trial: true, Tries: 2},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.facts.Machine = machine
			before := fmt.Sprintf("%+v", tt.state)
			got, left := tt.state.Choose(tt.facts)
			if !reflect.DeepEqual(got, tt.want) || left != tt.left {
				t.Errorf("Choose(%+v) = %+v, %q, want %+v, %q", tt.state, got, left, tt.want, tt.left)
			}
			if now := fmt.Sprintf("%+v", tt.state); now != before {
				t.Errorf("the state was written to: %s became %s", before, now)
			}
			if why := got.Why(tt.facts, tt.unused); tt.unused != "" && why != tt.why {
				t.Errorf("%s is not used since %q, want %q", tt.unused, why, tt.why)
			}
			if again, left := got.Choose(tt.facts); !reflect.DeepEqual(again, got) || left != "" {
				t.Errorf("chosen again: %+v, %q", again, left)
			}
		})
	}
}

func TestCount(t *testing.T) {
	c := func(sessions, rejected int) canary.Counts {
		return canary.Counts{Sessions: sessions, Flagged: rejected}
	}
	trial := func(now, before canary.Counts) canary.State {
		return canary.State{Use: "3", Back: "2", Trial: true, Counts: now, Baseline: before}
	}
	one := c(1, 1)
	for _, tt := range []struct {
		name  string
		state canary.State
		by    update.Version
		more  canary.Counts
		want  canary.Verdict
		use   update.Version
	}{
		{"too few to tell, however bad", trial(c(28, 28), c(500, 5)), "3", one, canary.Open, "3"},
		{"every one, where hardly any was", trial(c(29, 29), c(500, 5)), "3", one, canary.GiveUp, "2"},
		{"one in four, where one in a hundred was", trial(c(39, 9), c(500, 5)), "3", one, canary.GiveUp, "2"},
		{"one in ten, where one in ten was", trial(c(199, 19), c(500, 50)), "3", one, canary.Keep, "3"},
		{"a little more, which chance explains", trial(c(99, 11), c(500, 40)), "3", one, canary.Open, "3"},
		{"fewer than before", trial(c(199, 0), c(500, 50)), "3", c(1, 0), canary.Keep, "3"},
		{"none before, none now", trial(c(29, 0), c(30, 0)), "3", c(1, 0), canary.Open, "3"},
		{"nothing to compare with, and a third", trial(c(99, 32), c(29, 0)), "3", one, canary.Open, "3"},
		{"nothing to compare with, and nearly all", trial(c(39, 38), canary.Counts{}), "3", one, canary.GiveUp, "2"},
		{"between two looks", trial(c(30, 30), c(500, 5)), "3", one, canary.Open, "3"},
		{"an approval that came late is no session", trial(c(30, 29), c(500, 5)), "3", canary.Counts{Approved: 1}, canary.Open, "3"},
		{"one was still judged by the one before", trial(c(29, 29), c(500, 5)), "2", one, canary.Open, "3"},
		{"no trial is on", canary.State{Use: "3", Counts: c(29, 29), Baseline: c(500, 5)}, "3", one, canary.NoTrial, "3"},
		{"one was judged by something that is forgotten", trial(c(29, 29), c(500, 5)), "7", one, canary.Open, "3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, verdict := tt.state.Count(canary.Facts{Offers: []canary.Offer{{Version: "3", Floor: "2.5"}}}, tt.by, tt.more)
			if verdict != tt.want || got.Use != tt.use {
				t.Fatalf("Count() = %+v, %s, want %s, %s", got, verdict, tt.use, tt.want)
			}
			switch verdict {
			case canary.GiveUp:
				if got.Trial || got.Rollbacks != 1 || got.Counts != tt.state.Baseline || got.Why(canary.Facts{}, "3") != canary.Rejections {
					t.Errorf("given up: %+v", got)
				}
			case canary.Keep:
				if got.Trial || got.Floor != "2.5" || got.Back != "2" {
					t.Errorf("kept: %+v", got)
				}
			case canary.Open, canary.NoTrial:
				sum := got.Counts.Sessions + got.Baseline.Sessions - tt.state.Counts.Sessions - tt.state.Baseline.Sessions
				if known := tt.by != "7"; known != (sum == tt.more.Sessions) && tt.more.Sessions > 0 {
					t.Errorf("counted %d of %d: %+v", sum, tt.more.Sessions, got)
				}
			}
		})
	}
}

// TestATryThatEndsWell says when a bundle is no danger to the daemon any more.
func TestATryThatEndsWell(t *testing.T) {
	tried := canary.State{Use: "3", Back: "2", Trial: true, Tries: 1}.Begin()
	kept := canary.State{Use: "3", Tries: 1}.Begin()
	count := func(c canary.Counts) int {
		s, _ := tried.Count(canary.Facts{}, "3", c)
		return s.Tries
	}
	for name, tt := range map[string][2]int{
		"it has only computed its golden vectors":            {tried.Loaded().Tries, 2},
		"the same of what has passed its trial":              {kept.Loaded().Tries, 0},
		"it has judged somebody":                             {count(canary.Counts{Sessions: 1, Flagged: 1}), 0},
		"an approval came of who was judged before":          {count(canary.Counts{Approved: 1}), 2},
		"it has lasted":                                      {tried.Loaded().Lasted().Tries, 0},
		"the daemon was ended before anybody came":           {tried.Loaded().Ended().Tries, 1},
		"it was ended, and no try of what is built in is on": {canary.State{}.Ended().Tries, 0},
	} {
		if tt[0] != tt[1] {
			t.Errorf("%s: %d tries, want %d", name, tt[0], tt[1])
		}
	}
}

// TestAnOldBaselineFades keeps the counts small, and their share.
func TestAnOldBaselineFades(t *testing.T) {
	s := canary.State{Use: "2"}
	for i := range 10 * canary.Window {
		s, _ = s.Count(canary.Facts{}, "2", canary.Counts{Sessions: 1, Flagged: i % 10 / 9})
	}
	if got := s.Counts; got.Sessions > canary.Window || got.Sessions < canary.Window/2 || got.Rejected()*11 < got.Sessions || got.Rejected()*9 > got.Sessions {
		t.Errorf("%+v after one in ten of many", got)
	}
}

// TestHowOftenATrialIsGivenUp plays trials of bundles that are no worse, and of
// some that are.
func TestHowOftenATrialIsGivenUp(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 1)) //nolint:gosec // repeatable
	for _, tt := range []struct {
		before, now    float64
		baseline       int
		least, most    float64 // share of trials that are given up
		within, trials int     // sessions after which that is counted
	}{
		{0.02, 0.02, 1000, 0, 0.01, 200, 2000},
		{0.05, 0.05, 200, 0, 0.01, 200, 2000},
		{0.10, 0.10, 1000, 0, 0.01, 200, 2000},
		{0.30, 0.30, 1000, 0, 0.01, 200, 2000},
		{0.10, 0.10, 30, 0, 0.01, 200, 2000},
		{0.10, 0.05, 1000, 0, 0.001, 200, 2000},
		{0.05, 0.10, 1000, 0.1, 0.6, 200, 2000},
		{0.05, 0.20, 1000, 0.95, 1, 200, 2000},
		{0.05, 0.50, 1000, 0.95, 1, 40, 2000},
		{0.10, 1.00, 30, 1, 1, 30, 2000},
		{0, 0.75, 0, 0.95, 1, 200, 2000}, // nothing to compare with
	} {
		given := 0
		for range tt.trials {
			s := canary.State{Use: "3", Trial: true}
			for range tt.baseline {
				s.Baseline.Sessions++
				if r.Float64() < tt.before {
					s.Baseline.Flagged++
				}
			}
			verdict := canary.Open
			for n := 0; n < tt.within && verdict == canary.Open; n += canary.LookEvery {
				c := canary.Counts{Sessions: canary.LookEvery}
				for range c.Sessions {
					if r.Float64() < tt.now {
						c.Flagged++
					}
				}
				s, verdict = s.Count(canary.Facts{}, "3", c)
			}
			if verdict == canary.GiveUp {
				given++
			}
		}
		share := float64(given) / float64(tt.trials)
		t.Logf("%4.0f%% of %4d before, %4.0f%% now: given up within %3d sessions %5.1f%%", 100*tt.before, tt.baseline, 100*tt.now, tt.within, 100*share)
		if share < tt.least || share > tt.most {
			t.Errorf("%v of %d before, %v now: %.4f of the trials are given up, want %v to %v", tt.before, tt.baseline, tt.now, share, tt.least, tt.most)
		}
	}
}

// TestWalk does at random what can happen to a kiosk, and looks at each step that
// it uses one thing that it may.
func TestWalk(t *testing.T) {
	versions := []update.Version{"1", "2", "2.1", "3", "4~rc1", "4"}
	var rollbacks, kept, falls int
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 8)) //nolint:gosec // repeatable
		var s canary.State
		f := canary.Facts{Machine: machine}
		for step := range 400 {
			was := s
			var why string
			switch r.IntN(12) {
			case 0: // files come and go
				f.Offers = nil
				for _, v := range versions {
					if r.IntN(3) > 0 {
						f.Offers = append(f.Offers, canary.Offer{Version: v, Share: r.IntN(3) * 50, Floor: versions[r.IntN(2)]})
					}
				}
				why = "files"
			case 1:
				f.Floor, why = append(versions[:3:3], "", "")[r.IntN(5)], "floor"
			case 2:
				f.BuiltIn, why = []update.Version{"", "", "", "1"}[r.IntN(4)], "image"
			case 3, 4: // a start
				s, _ = s.Choose(f)
				s = s.Begin()
				switch r.IntN(6) {
				case 0:
					why = "start, and the power fails"
				case 4:
					s, why = s.Loaded().Ended(), "start and stop"
				case 5:
					s, why = s.Loaded().Lasted(), "start, and it lasts"
				case 1:
					s, why = s.Failed(canary.Wrong), "start, and it does not load"
				default:
					s, why = s.Loaded(), "start"
				}
			default:
				var verdict canary.Verdict
				by := []update.Version{s.Use, s.Use, s.Use, s.Back}[r.IntN(4)]
				n := 1 + r.IntN(30)
				bad := r.IntN(1 + n/(1+r.IntN(4)))
				if s, verdict = s.Count(f, by, canary.Counts{Sessions: n, Flagged: bad, Approved: r.IntN(2)}); verdict == canary.GiveUp {
					rollbacks++
				} else if verdict == canary.Keep {
					kept++
				}
				why = "sessions: " + string(verdict)
			}
			told := func(format string, a ...any) {
				t.Helper()
				t.Fatalf("seed %d, step %d, %s: %s\nwas %+v\nis  %+v\nfacts %+v", seed, step, why, fmt.Sprintf(format, a...), was, s, f)
			}
			if !s.Sound() {
				told("no state to be read again")
			}
			var again canary.State
			if text, err := json.Marshal(s); step%20 > 0 {
				// It is slow, and what it finds would be so for long.
			} else if err = errors.Join(err, json.Unmarshal(text, &again)); err != nil || !reflect.DeepEqual(again, s) {
				told("read again it is %+v, %v", again, err)
			}
			if s.Use != "" && s.Use == s.Back {
				told("it would go back to itself")
			}
			if s.Floor.Compare(was.Floor) < 0 {
				told("the floor fell")
			}
			chosen, left := s.Choose(f)
			if left != "" {
				falls++
			}
			if chosen.Use != "" {
				if barred := chosen.Barred(f, chosen.Use); barred != "" {
					told("chosen is %s, which is barred: %s", chosen.Use, barred)
				}
				if !slices.ContainsFunc(f.Offers, func(o canary.Offer) bool { return o.Version == chosen.Use }) {
					told("chosen is %s, which is not there", chosen.Use)
				}
				if chosen.Use.Compare(s.Use) > 0 && !chosen.Trial {
					told("a newer one is used without a trial")
				}
			}
			// However often it fails, something that works is found.
			for n := 0; chosen.Use != ""; n++ {
				if n > len(versions) {
					told("it never comes to what is built in")
				}
				chosen, _ = chosen.Failed(canary.NotLoaded).Choose(f)
			}
		}
	}
	if rollbacks == 0 || kept == 0 || falls == 0 {
		t.Errorf("%d rollbacks, %d kept, %d falls: the walk is too tame", rollbacks, kept, falls)
	}
}
