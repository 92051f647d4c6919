package deliver_test

import (
	"math"
	"math/rand/v2"
	"testing"
	property "testing/quick"
	"time"

	"livekiosk/queue/deliver"
)

// dawn is when the breakers' tests begin.
func dawn() time.Time { return time.Date(2026, time.March, 2, 6, 0, 0, 0, time.UTC) }

// middling jitter is half of what it may be.
func middling() float64 { return 0.5 }

func most() float64 { return math.Nextafter(1, 0) }

// beaten returns a breaker after so many failures, each as soon as it let
// somebody try, and the time of the last one.
func beaten(failures int, random func() float64) (*deliver.Breaker, time.Time) {
	b, now := deliver.NewBreaker(deliver.StandardPolicy(), random), dawn()
	for range failures {
		now = now.Add(b.Wait(now))
		b.Fail(now, 0)
	}
	return b, now
}

func TestPolicyNamesWhatIsImpossible(t *testing.T) {
	if err := deliver.StandardPolicy().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*deliver.Policy){
		"no base":                          func(p *deliver.Policy) { p.Base = 0 },
		"most below base":                  func(p *deliver.Policy) { p.Most = p.Base - 1 },
		"most beyond a day":                func(p *deliver.Policy) { p.Most = math.MaxInt64 },
		"no least wait":                    func(p *deliver.Policy) { p.Least = 0 },
		"a least wait above the most":      func(p *deliver.Policy) { p.Least = p.Most + 1 },
		"less for a person than the least": func(p *deliver.Policy) { p.Person = p.Least - 1 },
		"a negative wish":                  func(p *deliver.Policy) { p.Wish = -1 },
		"a negative hiccup":                func(p *deliver.Policy) { p.Hiccup = -1 },
		"answers that ease nothing":        func(p *deliver.Policy) { p.Ease = 1 },
		"answers that are no number":       func(p *deliver.Policy) { p.Ease = math.NaN() },
		"nothing kept":                     func(p *deliver.Policy) { p.Forget = 0 },
		"the zero value":                   func(p *deliver.Policy) { *p = deliver.Policy{} },
	} {
		p := deliver.StandardPolicy()
		if spoil(&p); p.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestLimitDoublesFromASecondToFiveMinutesAndNeverFalls(t *testing.T) {
	p := deliver.StandardPolicy()
	for failures, want := range map[int]time.Duration{
		1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 9: 256 * time.Second, 10: 5 * time.Minute, math.MaxInt: 5 * time.Minute,
	} {
		if got := p.Limit(failures); got != want {
			t.Errorf("%d failures: limit %v, want %v", failures, got, want)
		}
	}
	monotone := func(a, b uint16) bool { return p.Limit(int(min(a, b))) <= p.Limit(int(max(a, b))) }
	if err := property.Check(monotone, nil); err != nil {
		t.Error(err)
	}
}

func TestBreakerThatKnowsNothingHoldsNobodyBack(t *testing.T) {
	b := deliver.NewBreaker(deliver.StandardPolicy(), most)
	for range 3 {
		if b.Open() || b.Failures() != 0 || b.Memory() != 0 || b.Wait(dawn()) != 0 || b.Urgent(dawn()) != 0 || b.Pause(dawn()) != 0 || b.Lanes(dawn(), 3) != 3 {
			t.Fatal("held back")
		}
		b.Start(dawn())
		b.Pass(dawn())
	}
}

// TestOutage tells one outage from its first failure to the end of the gentle
// start.
func TestOutage(t *testing.T) {
	b, now := beaten(12, middling)
	if !b.Open() || b.Failures() != 12 || b.Lanes(now, 2) != 1 {
		t.Fatalf("open %v, failures %d, lanes %d", b.Open(), b.Failures(), b.Lanes(now, 2))
	}
	if got := b.Wait(now); got != 150*time.Second {
		t.Errorf("wait %v, want half of five minutes", got)
	}
	if got := b.Urgent(now); got != 7500*time.Millisecond {
		t.Errorf("wait of a person %v, want half of 15 s", got)
	}
	now = now.Add(b.Wait(now))
	if b.Wait(now) != 0 {
		t.Error("the probe may not start when its wait is over")
	}
	b.Pass(now)
	if b.Open() || b.Failures() != 0 || b.Wait(now) != 0 {
		t.Error("an answer does not close the breaker")
	}
	if got := b.Pause(now); got != 5*time.Minute {
		t.Errorf("first gap %v, want that of the back-off, five minutes", got)
	}
	if b.Lanes(now, 2) != 1 {
		t.Error("a gentle start with two records at a time")
	}
	// Five answers a record, from here on.
	records, last := 0, now.Add(time.Hour).Sub(now)
	for begun := now; b.Lanes(now, 2) == 1; records++ {
		gap := b.Pause(now)
		if gap > last {
			t.Fatalf("record %d: gap %v after one of %v", records, gap, last)
		}
		now, last = now.Add(gap), gap
		if b.Pause(now) != 0 {
			t.Fatal("a gap does not end")
		}
		b.Start(now)
		for range 5 {
			b.Pass(now)
		}
		if now.Sub(begun) > 20*time.Minute {
			t.Fatal("not at full speed after 20 minutes")
		}
	}
	if records < 5 || records > 15 {
		t.Errorf("at full speed after %d records, want about a dozen", records)
	}
	if b.Pause(now) != 0 || b.Memory() != 0 {
		t.Error("something is left of the outage")
	}
}

func TestHiccupIsOverWithinSeconds(t *testing.T) {
	for failures := 1; failures <= 5; failures++ {
		b, now := beaten(failures, most)
		now = now.Add(b.Wait(now))
		begun := now
		b.Pass(now)
		for b.Lanes(now, 2) < 2 {
			now = now.Add(b.Pause(now))
			b.Start(now)
			b.Pass(now)
		}
		if took := now.Sub(begun); took > 12*time.Second {
			t.Errorf("%d failures: full speed after %v", failures, took)
		}
	}
	if b, now := beaten(6, most); b.Lanes(now, 2) != 1 || b.Memory() != 6 {
		t.Error("six failures are still taken for a hiccup")
	}
}

func TestRefusalsWhileItGoesGentlyDoubleTheGap(t *testing.T) {
	b, now := beaten(7, middling) // 64 s
	b.Pass(now)
	b.Start(now)
	before := b.Pause(now)
	b.Fail(now, 0)
	if got := b.Wait(now); got != before {
		t.Errorf("wait %v after a refusal at a gap of %v: the back-off began from nothing", got, before)
	}
	b.Pass(now)
	if got, want := b.Pause(now), 2*before; got != want {
		t.Errorf("gap %v, want %v", got, want)
	}
	for range 20 {
		b.Fail(now, 0)
		b.Pass(now)
	}
	if got := b.Pause(now); got > 5*time.Minute {
		t.Errorf("gap %v, more than the most", got)
	}
}

func TestServersWish(t *testing.T) {
	for _, tt := range []struct {
		name       string
		wish       time.Duration
		least, end time.Duration
	}{
		{"none leaves the jitter", 0, 0, time.Second},
		{"a minute is the least", time.Minute, time.Minute, time.Minute + time.Second},
		{"a day is believed for 15 minutes", 24 * time.Hour, 15 * time.Minute, 15*time.Minute + time.Second},
		{"one from before is none", -time.Hour, 0, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, random := range []func() float64{middling, most, func() float64 { return 0 }} {
				b := deliver.NewBreaker(deliver.StandardPolicy(), random)
				b.Fail(dawn(), tt.wish)
				for who, got := range map[string]time.Duration{"wait": b.Wait(dawn()), "urgent": b.Urgent(dawn())} {
					if got <= tt.least || got > tt.end {
						t.Errorf("%s %v, want more than %v, up to %v", who, got, tt.least, tt.end)
					}
				}
			}
		})
	}
}

func TestRestore(t *testing.T) {
	now := dawn()
	for _, tt := range []struct {
		name       string
		failures   int
		notBefore  time.Time
		least, end time.Duration
		open       bool
	}{
		{"nothing to remember", 0, now.Add(time.Hour), 0, 0, false},
		{"an impossible count", -3, time.Time{}, 0, 0, false},
		{"one failure", 1, time.Time{}, time.Millisecond, time.Second, true},
		{"a long outage", 40, time.Time{}, time.Millisecond, 5 * time.Minute, true},
		{"a wish that holds", 40, now.Add(10 * time.Minute), 10 * time.Minute, 15 * time.Minute, true},
		{"a wish by a clock that was two days fast", 40, now.Add(48 * time.Hour), 15 * time.Minute, 20 * time.Minute, true},
		{"a wish by a clock that was right, and now it is 1970", 1, now.AddDate(56, 0, 0), 15 * time.Minute, 15*time.Minute + time.Second, true},
		{"a wish by a clock that was in 1970", 40, time.Unix(4000, 0), time.Millisecond, 5 * time.Minute, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := deliver.NewBreaker(deliver.StandardPolicy(), middling)
			b.Restore(now, tt.failures, tt.notBefore)
			if got := b.Wait(now); b.Open() != tt.open || got < tt.least || got > tt.end {
				t.Errorf("open %v, wait %v; want %v, %v to %v", b.Open(), got, tt.open, tt.least, tt.end)
			}
			if tt.open && b.Failures() != tt.failures {
				t.Errorf("failures %d, want %d", b.Failures(), tt.failures)
			}
			b.Pass(now)
			if gently := b.Lanes(now, 2) == 1; gently != (tt.failures > 5) {
				t.Errorf("a gentle start: %v", gently)
			}
		})
	}
}

func TestMemoryBringsBackTheGap(t *testing.T) {
	b, now := beaten(12, middling)
	b.Pass(now)
	if b.Open() {
		t.Fatal("still open")
	}
	n := b.Memory()
	again := deliver.NewBreaker(deliver.StandardPolicy(), middling)
	again.Restore(now, n, time.Time{})
	again.Pass(now)
	if got, want := again.Pause(now), b.Pause(now); got < want || got > 2*want {
		t.Errorf("gap %v after the restart, %v before", got, want)
	}
}

func TestGapIsForgottenAfterHalfAnHourWithoutFailures(t *testing.T) {
	b, now := beaten(12, most)
	b.Pass(now)
	b.Start(now)
	if b.Pause(now) == 0 {
		t.Fatal("no gap")
	}
	if now = now.Add(31 * time.Minute); b.Pause(now) != 0 || b.Lanes(now, 2) != 2 {
		t.Error("still held back")
	}
	if b.Fail(now, 0); b.Wait(now) > time.Second {
		t.Errorf("wait %v: the back-off starts from a gap that is forgotten", b.Wait(now))
	}
}

func TestLanesAreNeverMoreThanAsked(t *testing.T) {
	b, now := beaten(12, middling)
	for _, n := range []int{0, 1, 2} {
		if got := b.Lanes(now, n); got != min(n, 1) {
			t.Errorf("open: %d lanes of %d", got, n)
		}
	}
}

// walk takes a breaker through random calls and checks after each of them what
// must always hold.
func walk(t *testing.T, seed uint64, steps int) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 0))
	p := deliver.StandardPolicy()
	b, now, failures := deliver.NewBreaker(p, rnd.Float64), dawn(), 0
	for i := range steps {
		wish := time.Duration(rnd.Int64N(int64(time.Hour)))
		switch rnd.IntN(6) {
		case 0:
			b.Fail(now, 0)
			failures++
		case 1:
			b.Fail(now, wish)
			failures++
			if w := b.Wait(now); w < min(wish, p.Wish) {
				t.Fatalf("seed %d step %d: wait %v, wish %v", seed, i, w, wish)
			}
		case 2:
			b.Pass(now)
			failures = 0
		case 3:
			b.Start(now)
		case 4:
			now = now.Add(wish / 60)
		case 5:
			n := b.Memory()
			if b = deliver.NewBreaker(p, rnd.Float64); n > 0 {
				failures = n
			}
			b.Restore(now, n, now.Add(100*wish-50*time.Hour))
		}
		wait, urgent, pause, lanes := b.Wait(now), b.Urgent(now), b.Pause(now), b.Lanes(now, 4)
		switch {
		case b.Failures() != failures, b.Open() != (failures > 0):
			t.Fatalf("seed %d step %d: %d failures, want %d", seed, i, b.Failures(), failures)
		case wait < 0 || wait > p.Wish+p.Most, urgent < 0 || urgent > min(wait, p.Wish+p.Person):
			t.Fatalf("seed %d step %d: wait %v, urgent %v", seed, i, wait, urgent)
		case !b.Open() && wait+urgent > 0:
			t.Fatalf("seed %d step %d: closed, but wait %v", seed, i, wait)
		case pause < 0 || pause > p.Most*3/2, lanes != 1 && lanes != 4, b.Open() && lanes != 1:
			t.Fatalf("seed %d step %d: pause %v, lanes %d", seed, i, pause, lanes)
		}
	}
	// Whatever happened: enough answers, and everything is as on the first day.
	for range 100 {
		b.Pass(now)
	}
	if b.Pause(now) != 0 || b.Lanes(now, 4) != 4 || b.Wait(now) != 0 || b.Memory() != 0 {
		t.Fatalf("seed %d: not at full speed after 100 answers", seed)
	}
}

func TestBreakerOnRandomWalks(t *testing.T) {
	for seed := range uint64(200) {
		walk(t, seed, 500)
	}
}

func FuzzBreaker(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { walk(t, seed, 300) })
}

// TestProbesOfAFleetComeApart: a thousand kiosks that were cut off together do
// not come back together.
func TestProbesOfAFleetComeApart(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	bins := make([]int, 30)
	for range 3000 {
		b, now := beaten(12, rnd.Float64)
		bins[b.Wait(now)/(10*time.Second)]++
	}
	for i, n := range bins {
		if n < 50 || n > 160 {
			t.Errorf("%d of 3000 kiosks probe in the 10 s from %d s, want about 100", n, i*10)
		}
	}
}

func TestBreakerDoesNotAllocate(t *testing.T) {
	b, now := deliver.NewBreaker(deliver.StandardPolicy(), middling), dawn()
	n := testing.AllocsPerRun(100, func() {
		b.Fail(now, time.Second)
		_, _ = b.Wait(now), b.Urgent(now)
		b.Pass(now)
		b.Start(now)
		_, _, _ = b.Pause(now), b.Lanes(now, 2), b.Memory()
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestPollWait(t *testing.T) {
	for _, tt := range []struct {
		polls       int
		since, want time.Duration
	}{
		{1, 0, time.Second},
		{5, 4 * time.Second, time.Second},
		{6, 5 * time.Second, 2 * time.Second},
		{20, 33 * time.Second, 2 * time.Second},
		{21, 35 * time.Second, 5 * time.Second},
		{37, 119 * time.Second, 5 * time.Second},
		{38, 120 * time.Second, 15 * time.Second},
		{60, time.Hour, 450 * time.Second},
		{1000, 48 * time.Hour, 15 * time.Minute},
	} {
		if got := deliver.PollWait(tt.polls, tt.since); got != tt.want {
			t.Errorf("poll %d after %v: %v, want %v", tt.polls, tt.since, got, tt.want)
		}
	}
}
