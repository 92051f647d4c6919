package guidancetest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/guidance/guidancetest"
)

// A summary is how many visitors fared.
type summary []guidancetest.Walk

// times returns the durations of those who got so far, shortest first.
func (s summary) times(of func(guidancetest.Walk) time.Duration) []time.Duration {
	var all []time.Duration
	for _, w := range s {
		if d := of(w); d > 0 {
			all = append(all, d)
		}
	}
	slices.Sort(all)
	return all
}

func sinceArrival(of func(guidancetest.Walk) time.Duration) func(guidancetest.Walk) time.Duration {
	return func(w guidancetest.Walk) time.Duration { return max(0, of(w)-w.Arrived) }
}

func far(w guidancetest.Walk) time.Duration  { return w.Far }
func near(w guidancetest.Walk) time.Duration { return w.Near }

// quantile returns the value that a share of sorted values does not exceed.
func quantile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}

func (s summary) count(f func(guidancetest.Walk) bool) int {
	n := 0
	for _, w := range s {
		if f(w) {
			n++
		}
	}
	return n
}

// complaints says what of the walks is worse than asked: medians since arrival of
// 3 s for the far and 6 s for the near capture, 95 of 100 the first time, no dead
// end.
func (s summary) complaints() []string {
	var out []string
	for _, c := range []struct {
		name string
		of   func(guidancetest.Walk) time.Duration
		most time.Duration
	}{{"far", far, 3 * time.Second}, {"near", near, 6 * time.Second}} {
		if m := quantile(s.times(sinceArrival(c.of)), 0.5); m > c.most || m == 0 {
			out = append(out, fmt.Sprintf("the median time to the %s capture is %.2f s, want %v", c.name, m.Seconds(), c.most))
		}
	}
	if n := s.count(guidancetest.Walk.First); 100*n < 95*len(s) {
		out = append(out, fmt.Sprintf("%d of %d succeed the first time, want 95 %%", n, len(s)))
	}
	if n := s.count(guidancetest.Walk.DeadEnd); n > 0 {
		out = append(out, fmt.Sprintf("%d sessions lead to no capture", n))
	}
	return out
}

func (s summary) judge(t *testing.T) {
	t.Helper()
	for _, c := range s.complaints() {
		t.Error(c)
	}
}

// String is one line about the walks.
func (s summary) String() string {
	median := func(of func(guidancetest.Walk) time.Duration) float64 {
		return quantile(s.times(sinceArrival(of)), 0.5).Seconds()
	}
	return fmt.Sprintf("%d visitors: median since arrival far %.2f s, near %.2f s; %d the first time, %d dead ends",
		len(s), median(far), median(near), s.count(guidancetest.Walk.First), s.count(guidancetest.Walk.DeadEnd))
}

// markdown is the report on the walks, beside the same ones by geometry.
func (s summary) markdown(geometry summary) string {
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	seconds := func(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
	line("# Walk-ups\n\nOn pictures, %v: %.1f %% the first time.\n\nBy geometry, %v.\n", s, 100*float64(s.count(guidancetest.Walk.First))/float64(len(s)), geometry)
	line(`Each visitor walks up from 1.8 to 2.8 m away at 0.5 m/s, to 0.45 to 1.1 m from the camera and 10 cm aside in the standard deviation, with eyes 4 cm over
the camera (8 cm). Arrival is when they first stand: there, or where a hint stopped them. They do what a hint says 0.8 s after it came, at 0.5 m/s and 60 degrees a
second, misjudge the way by a quarter, and turn head and path by 10 degrees in a fifth of what they do. The kiosk assesses %d frames a second, each known when
the next is taken; consent is given as they set out, so the camera sees all of the way.
`, rate)
	line("| time to | from | 10 %% | median | 90 %% | 95 %% | slowest |\n|---|---|---|---|---|---|---|")
	for _, r := range []struct {
		what, from string
		of         func(guidancetest.Walk) time.Duration
	}{
		{"far capture", "arrival", sinceArrival(far)},
		{"near capture", "arrival", sinceArrival(near)},
		{"far capture", "first face found, while walking up", func(w guidancetest.Walk) time.Duration { return w.Far - w.Found }},
		{"near capture", "first face found, while walking up", func(w guidancetest.Walk) time.Duration { return w.Near - w.Found }},
	} {
		all := s.times(r.of)
		line("| %s | %s | %s | %s | %s | %s | %s |", r.what, r.from, seconds(quantile(all, 0.1)), seconds(quantile(all, 0.5)),
			seconds(quantile(all, 0.9)), seconds(quantile(all, 0.95)), seconds(quantile(all, 1)))
	}
	line("\n| seconds since arrival | far | | near | |\n|---|---|---|---|---|")
	farTimes, nearTimes := s.times(sinceArrival(far)), s.times(sinceArrival(near))
	within := func(all []time.Duration, from, to time.Duration) int {
		i, _ := slices.BinarySearch(all, from)
		j, _ := slices.BinarySearch(all, to)
		return j - i
	}
	for from := range 13 {
		begin, end, name := time.Duration(from)*time.Second, time.Duration(from+1)*time.Second, fmt.Sprintf("%d to %d", from, from+1)
		if from == 12 {
			end, name = time.Hour, "12 and more"
		}
		f, n := within(farTimes, begin, end), within(nearTimes, begin, end)
		bar := func(n int) string { return strings.Repeat("█", (n*60+len(s)-1)/len(s)) }
		line("| %s | %d | %s | %d | %s |", name, f, bar(f), n, bar(n))
	}
	line("\n| visitors | how many | far, median | near, median | first time |\n|---|---|---|---|---|")
	for _, g := range []struct {
		name string
		in   func(guidancetest.Walk) bool
	}{
		{"eyes more than 5 cm under the camera", func(w guidancetest.Walk) bool { return w.Eyes < -0.05 }},
		{"eyes within 5 cm", func(w guidancetest.Walk) bool { return w.Eyes >= -0.05 && w.Eyes <= 0.05 }},
		{"eyes more than 5 cm over it", func(w guidancetest.Walk) bool { return w.Eyes > 0.05 }},
		{"stop nearer than 0.6 m by themselves", func(w guidancetest.Walk) bool { return w.Place < 0.6 }},
		{"stop 0.6 to 0.9 m away", func(w guidancetest.Walk) bool { return w.Place >= 0.6 && w.Place <= 0.9 }},
		{"stop farther away", func(w guidancetest.Walk) bool { return w.Place > 0.9 }},
	} {
		var group summary
		for _, w := range s {
			if g.in(w) {
				group = append(group, w)
			}
		}
		if len(group) > 0 {
			line("| %s | %d | %s | %s | %d |", g.name, len(group), seconds(quantile(group.times(sinceArrival(far)), 0.5)),
				seconds(quantile(group.times(sinceArrival(near)), 0.5)), group.count(guidancetest.Walk.First))
		}
	}
	failed := map[string]int{}
	for _, w := range s {
		for _, why := range w.Failed {
			failed[why]++
		}
	}
	line("\n| hint | seconds a visitor | met by | attempts that failed, in which it stood longest |\n|---|---|---|---|")
	for _, h := range kiosk.Hints() {
		var told time.Duration
		met := 0
		for _, w := range s {
			if told += w.Told[h]; w.Told[h] > 0 {
				met++
			}
		}
		if met > 0 {
			line("| %s | %.2f | %d | %d |", h, told.Seconds()/float64(len(s)), met, failed[string(h)])
		}
	}
	line("\n%d attempts failed since both poses were captured, and the liveness network did not believe them.", failed[guidancetest.NotLive])
	for _, w := range s {
		if !w.First() {
			line("\nVisitor %d, eyes %.0f cm over the camera: %d attempts, flagged %v, near after %s; why: %v.", w.Seed, 100*w.Eyes, w.Attempts, w.Review, seconds(w.Near), w.Failed)
		}
	}
	return b.String()
}
