package queue_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"livekiosk/queue"
)

// noon is a time that a wall clock may show.
var noon = time.Date(2026, time.May, 4, 12, 0, 0, 0, time.UTC)

// at is a moment of a boot, so long after its start, with the wall clock at
// noon and so much.
func at(boot string, since, wall time.Duration, trusted bool) queue.Moment {
	return queue.Moment{Reading: queue.Reading{Boot: boot, Up: since}, Wall: noon.Add(wall), Trusted: trusted}
}

func TestOnlyWhatCertainlyPassedIsCounted(t *testing.T) {
	t.Parallel()
	const (
		y = true
		n = false
		h = time.Hour
	)
	unknown := func(wall time.Duration, trusted bool) queue.Moment { return at("", 0, wall, trusted) }
	for _, tt := range []struct {
		name    string
		moments []queue.Moment
		want    time.Duration
	}{
		{"the first moment counts nothing", []queue.Moment{at("a", 5*h, 0, y)}, 0},
		{"one boot counts its own time", []queue.Moment{at("a", h, 0, n), at("a", 3*h, 0, n), at("a", 4*h, 0, n)}, 3 * h},
		{"suspended time is in the machine's own count", []queue.Moment{at("a", h, 0, n), at("a", 50*h, 0, n)}, 49 * h},
		{"a machine that counts backwards stands still", []queue.Moment{at("a", 9*h, 0, n), at("a", h, 0, n), at("a", 9*h, 0, n)}, 0},
		{"a wall clock that jumps in one boot counts nothing", []queue.Moment{at("a", h, 0, y), at("a", 2*h, 9000*h, y)}, h},
		{"nor one that is set back", []queue.Moment{at("a", h, 0, y), at("a", 2*h, -9000*h, y), at("a", 3*h, 0, y)}, 2 * h},
		{"a restart between trusted clocks counts the time off", []queue.Moment{at("a", h, 0, y), at("b", 0, 10*h, y)}, 10 * h},
		{"a restart from a clock that is not trusted counts nothing", []queue.Moment{at("a", h, 0, n), at("b", 0, 10*h, y)}, 0},
		{"a restart to a clock that is not trusted counts nothing", []queue.Moment{at("a", h, 0, y), at("b", 0, 10*h, n)}, 0},
		{"a restart to 1970 counts nothing", []queue.Moment{at("a", h, 0, y), at("b", 0, -56*365*24*h, n)}, 0},
		{"nor does one to the far future", []queue.Moment{at("a", h, 0, y), at("b", 0, 50*365*24*h, n)}, 0},
		{"a trusted clock that went back over a restart counts nothing", []queue.Moment{at("a", h, 10*h, y), at("b", 0, 0, y), at("b", h, h, y)}, h},
		{"a clock that is trusted later counts the time off then", []queue.Moment{at("a", h, 0, y), at("b", 0, -300*h, n), at("b", h, 10*h, y)}, 10 * h},
		{"and nothing twice", []queue.Moment{at("a", h, 0, y), at("b", 0, 0, n), at("b", 9*h, 10*h, y), at("b", 10*h, 11*h, y)}, 11 * h},
		{
			"two boots in a row that know no time are counted by the third", []queue.Moment{
				at("a", h, 0, y), at("b", h, 0, n), at("b", 3*h, 0, n), at("c", h, 0, n), at("c", 5*h, 20*h, y),
			}, 20 * h,
		},
		{"what the boots between counted stands, whatever the clock says", []queue.Moment{at("a", h, 0, y), at("b", 0, 0, n), at("b", 9*h, 0, n), at("c", 0, h, y)}, 9 * h},
		{"a trusted clock corrected within a boot is corrected over a restart", []queue.Moment{at("a", h, 0, y), at("a", 2*h, 1000*h, y), at("b", 0, 1010*h, y)}, 11 * h},
		{"a machine that does not know how long it runs counts nothing", []queue.Moment{unknown(0, n), unknown(10*h, n)}, 0},
		{"but for what trusted clocks tell", []queue.Moment{unknown(0, y), unknown(10*h, y), unknown(0, y)}, 10 * h},
		{"a reading below zero counts nothing", []queue.Moment{at("a", -h, 0, n), at("a", math.MinInt64, 0, n), at("a", h, 0, n)}, h},
		{"a reading beyond all sense counts no more than a hundred years", []queue.Moment{at("a", 0, 0, y), at("a", math.MaxInt64, 0, n), at("a", math.MaxInt64, 0, n), at("b", 0, 240*365*24*h, y)}, 100 * 365 * 24 * h},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var c queue.Clock
			for _, m := range tt.moments {
				c = queue.ClockAt(c, m)
				b, err := json.Marshal(c)
				if err != nil {
					t.Fatal(err)
				}
				if c, err = queue.DecodeClock(b); err != nil {
					t.Fatal(err)
				}
			}
			if c.Elapsed != tt.want {
				t.Errorf("counted %v, want %v", c.Elapsed, tt.want)
			}
		})
	}
}

// TestAClockNeverRunsAhead lets machines run, stop and restart with wall
// clocks that are right where they are trusted and anything elsewhere.
func TestAClockNeverRunsAhead(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		var c queue.Clock
		var passed, since, last time.Duration
		boot := 0
		for step := range 60 {
			gone := time.Duration(random.Int64N(int64(100 * time.Hour)))
			if step > 0 {
				passed += gone
			}
			if since += gone; random.IntN(4) == 0 {
				boot, since = boot+1, time.Duration(random.Int64N(int64(gone+1)))
			}
			m := at(string(rune('a'+boot)), since, passed, random.IntN(2) == 0)
			if !m.Trusted {
				m.Wall = time.Unix(random.Int64N(1<<33), 0)
			}
			c = queue.ClockAt(c, m)
			if c.Elapsed > passed || c.Elapsed < last {
				t.Fatalf("seed %d, step %d: counted %v, before that %v, and %v passed", seed, step, c.Elapsed, last, passed)
			}
			if last = c.Elapsed; m.Trusted && step > 0 && boot == 0 && c.Elapsed != passed {
				t.Fatalf("seed %d, step %d: counted %v of %v in one boot", seed, step, c.Elapsed, passed)
			}
		}
	}
}

func TestAClockThatNobodyWroteIsRefused(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no JSON":                    "noon",
		"another format":             `{"format":2}`,
		"no format":                  `{}`,
		"time below zero":            `{"format":1,"elapsed":-1}`,
		"more time than there was":   `{"format":1,"elapsed":9223372036854775807}`,
		"a boot below zero":          `{"format":1,"up":-1}`,
		"a boot without end":         `{"format":1,"up":9223372036854775807}`,
		"a mark below zero":          `{"format":1,"elapsed":5,"trusted":{"elapsed":-1}}`,
		"a mark ahead of its clock":  `{"format":1,"elapsed":5,"trusted":{"elapsed":6}}`,
		"a boot with a long name":    `{"format":1,"boot":"` + "0123456789012345678901234567890123456789012345678901234567890123456789" + `"}`,
		"a number beyond an integer": `{"format":1,"elapsed":1e40}`,
		"more than a clock takes":    `{"format":1,"boot":"` + string(spaces(2000)) + `"}`,
	} {
		if c, err := queue.DecodeClock([]byte(text)); err == nil {
			t.Errorf("%s: reads as %+v", name, c)
		}
	}
	if c, err := queue.DecodeClock(nil); err != nil || c != (queue.Clock{}) {
		t.Errorf("none: %+v, %v", c, err)
	}
}

func spaces(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = ' '
	}
	return b
}

func TestAStampSaysHowOldARecordIs(t *testing.T) {
	t.Parallel()
	const second = time.Second
	for _, tt := range []struct {
		name    string
		put     time.Duration // on the clock
		now     time.Duration
		want    time.Duration
		nothing bool
	}{
		{name: "put in the first moment", put: 0, now: 10 * second, want: 9 * second},
		{name: "a part of a second is not counted", put: second / 2, now: second + second/2, want: second / 2},
		{name: "put just now", put: 10 * second, now: 10 * second},
		{name: "a little ahead, after a restart", put: time.Hour, now: 10 * second},
		{name: "far ahead: of another clock", put: 100 * time.Hour, now: 10 * second, nothing: true},
	} {
		age, known := queue.Age(queue.Clock{Elapsed: tt.now}, queue.Stamp(queue.Clock{Elapsed: tt.put}))
		if age != tt.want || known == tt.nothing {
			t.Errorf("%s: %v, %t; want %v", tt.name, age, known, tt.want)
		}
	}
	for name, stamp := range map[string]int64{"none": 0, "below zero": -5, "the least there is": math.MinInt64, "the most there is": math.MaxInt64} {
		if age, known := queue.Age(queue.Clock{Elapsed: time.Hour}, stamp); known || age != 0 {
			t.Errorf("a stamp that is %s says %v", name, age)
		}
	}
}

func TestThisMachineKnowsItsBoot(t *testing.T) {
	t.Parallel()
	one, two := queue.Machine(), queue.Machine()
	if one.Boot == "" {
		t.Skip("no boot id here")
	}
	if one.Boot != two.Boot || two.Up < one.Up || one.Up <= 0 {
		t.Errorf("read %+v and then %+v", one, two)
	}
}

func FuzzClock(f *testing.F) {
	f.Add([]byte(`{"format":1,"boot":"a","up":1,"elapsed":5,"trusted":{"boot":"a","wall":"2026-05-04T12:00:00Z","elapsed":3}}`), "a", int64(2), int64(3), true)
	f.Fuzz(func(t *testing.T, text []byte, boot string, since, wall int64, trusted bool) {
		c, err := queue.DecodeClock(text)
		if err != nil {
			return
		}
		m := queue.Moment{Reading: queue.Reading{Boot: boot, Up: time.Duration(since)}, Wall: time.Unix(wall, 0), Trusted: trusted}
		next := queue.ClockAt(c, m)
		if next.Elapsed < c.Elapsed {
			t.Errorf("%+v goes back to %+v", c, next)
		}
		if again := queue.ClockAt(next, m); again.Elapsed != next.Elapsed {
			t.Errorf("one moment counts twice: %+v, then %+v", next, again)
		}
	})
}
