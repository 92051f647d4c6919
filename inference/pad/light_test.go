package pad_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"livekiosk/inference/pad"
)

// light undoes sRGB's transfer function (IEC 61966-2-1).
func light(c pad.Colour) (out [3]float64) {
	for i, v := range c {
		x := float64(v) / 255
		if out[i] = x / 12.92; x > 0.04045 {
			out[i] = math.Pow((x+0.055)/1.055, 2.4)
		}
	}
	return out
}

// TestNoChangeOfColourIsAFlash holds WCAG 2.2, success criterion 2.3.1, for every
// change that a challenge can make: a general flash begins where relative luminance
// changes by 0.1, and a red one where R/(R+G+B) reaches 0.8.
func TestNoChangeOfColourIsAFlash(t *testing.T) {
	lows, highs := math.Inf(1), math.Inf(-1)
	look := func(c pad.Colour) {
		l := light(c)
		y := 0.2126*l[0] + 0.7152*l[1] + 0.0722*l[2]
		lows, highs = min(lows, y), max(highs, y)
		if share := l[0] / (l[0] + l[1] + l[2]); share >= 0.8 {
			t.Errorf("%v is a saturated red: %.2f", c, share)
		}
	}
	look(pad.Neutral())
	kinds := map[[pad.Turns]pad.Colour]bool{}
	for seed := range uint32(5000) {
		all := pad.Colours(seed)
		kinds[all] = true
		used := map[pad.Colour]bool{}
		for i, c := range all {
			look(c)
			used[c] = true
			if i > 0 && c == all[i-1] {
				t.Fatalf("seed %d: %v does not change at %d", seed, all, i)
			}
		}
		if len(used) != 5 {
			t.Fatalf("seed %d: %d colours", seed, len(used))
		}
	}
	if highs-lows >= 0.01 {
		t.Errorf("luminance from %.3f to %.3f", lows, highs)
	}
	if len(kinds) < 4500 {
		t.Errorf("5000 seeds give %d sequences", len(kinds))
	}
	if perSecond := float64(time.Second) / float64(pad.TurnFor); perSecond > 3 {
		t.Errorf("%.1f changes a second", perSecond)
	}
}

// A world is what a face is in, in the model that Response documents.
type world struct {
	ambient [3]float64
	share   float64    // of the display's light to the ambient's
	skin    [3]float64 // reflectance
	drift   float64    // of blue daylight, over the whole challenge
	noise   float64    // of a channel's mean, relative
	rate    int        // frames a second
	shown   uint32     // the sequence whose light the face is in
}

func usual() world {
	return world{ambient: [3]float64{1, 1, 1}, share: 0.1, skin: [3]float64{0.45, 0.3, 0.22}, noise: 0.001, rate: 10}
}

var lag = pad.Lag{Latency: 90 * time.Millisecond, Spread: 20 * time.Millisecond}

// meet shows the challenge of a seed to a face in w.
func meet(w world, seed uint32) pad.Challenge {
	const start = time.Hour
	rng := rand.New(rand.NewPCG(uint64(seed), 7))
	c := pad.Challenge{Seed: seed, Turn: pad.Turns, Drawn: true, Over: true}
	edges := [pad.Turns]time.Duration{}
	for i := range edges {
		edges[i] = start + pad.Lead + time.Duration(i)*(pad.TurnFor+13*time.Millisecond)
	}
	c.From = edges
	end := edges[pad.Turns-1] + pad.TurnFor
	colours := pad.Colours(w.shown)
	for at := start; at < end+lag.Latency; at += time.Second / time.Duration(w.rate) {
		now := light(pad.Neutral())
		for i, edge := range edges {
			if at >= edge+lag.Latency {
				now = light(colours[i])
			}
		}
		var skin [3]float32
		for k := range skin {
			ambient := w.ambient[k]
			if k == 2 {
				ambient *= 1 + w.drift*float64(at-start)/float64(end-start)
			}
			v := 0.35 * w.skin[k] * (ambient + w.share*now[k])
			skin[k] = float32(v * (1 + w.noise*rng.NormFloat64()))
		}
		c = c.Saw(lag, at, skin)
	}
	return c
}

func TestResponse(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*world)
		other  bool // the light is of another sequence
		reason pad.Reason
		least  float32
		most   float32 // of the mean over seeds
	}{
		{name: "a face", least: 0.95, most: 1},
		{name: "a face in the dark", change: func(w *world) { w.share = 3 }, least: 0.9, most: 1},
		{name: "dark skin", change: func(w *world) { w.skin = [3]float64{0.08, 0.05, 0.035} }, least: 0.95, most: 1},
		{name: "warm light", change: func(w *world) { w.ambient = [3]float64{1.4, 1, 0.5} }, least: 0.95, most: 1},
		{name: "clouds go by", change: func(w *world) { w.drift = 0.3 }, least: 0.9, most: 1},
		{name: "five frames a second", change: func(w *world) { w.rate = 5 }, least: 0.95, most: 1},
		{name: "three frames a second", change: func(w *world) { w.rate = 3 }, reason: pad.Few},
		{name: "a recording of another challenge", other: true, most: 0.3},
		{name: "a display, which gives light of its own", change: func(w *world) { w.share = 0 }, reason: pad.Faint},
		{name: "the sun on the face", change: func(w *world) { w.share = 0.002 }, reason: pad.Faint},
		{name: "a camera without colours", change: func(w *world) { w.skin = [3]float64{}; w.noise = 0 }, reason: pad.Few},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var sum, least, most float32
			least = 1
			high := 0
			const n = 300
			for seed := range uint32(n) {
				w := usual()
				if w.shown = seed; tt.other {
					w.shown = seed + n
				}
				if tt.change != nil {
					tt.change(&w)
				}
				r := meet(w, seed).Response()
				if r.Reason != tt.reason {
					t.Fatalf("seed %d: %+v, want reason %q", seed, r, tt.reason)
				}
				if r.Reason != pad.Measured && r.Score != 0 {
					t.Fatalf("seed %d: a score without a measurement: %+v", seed, r)
				}
				sum += r.Score / n
				if r.Score >= 0.6 {
					high++
				}
				least, most = min(least, r.Score), max(most, r.Score)
			}
			t.Logf("score %.3f on average, %.3f to %.3f, %d of %d at 0.6 and more", sum, least, most, high, n)
			switch {
			case tt.reason != pad.Measured:
			case tt.other && sum > tt.most:
				t.Errorf("on average %.3f, want at most %.3f", sum, tt.most)
			case !tt.other && least < tt.least:
				t.Errorf("at least %.3f, want %.3f", least, tt.least)
			}
		})
	}
}

func TestAChallengeThatIsNotOverIsNotMeasured(t *testing.T) {
	c := meet(usual(), 3)
	c.Over = false
	if r := c.Response(); r.Reason != pad.Undrawn || r.Score != 0 {
		t.Errorf("%+v", r)
	}
	c = pad.Challenge{Seed: 3, Over: true, Moved: 40}
	if r := c.Response(); r.Reason != pad.Moving {
		t.Errorf("nobody stood still: %+v", r)
	}
	if r := (pad.Challenge{}).Response(); r.Reason != pad.Undrawn {
		t.Errorf("none: %+v", r)
	}
}

// TestAFrameThatMayShowTwoColoursDoesNotCount puts one frame at each moment.
func TestAFrameThatMayShowTwoColoursDoesNotCount(t *testing.T) {
	const edge = time.Hour
	c := pad.Challenge{Over: true}
	c.From[2] = edge
	skin := [3]float32{0.3, 0.2, 0.1}
	for _, tt := range []struct {
		after  time.Duration
		counts bool
	}{
		{0, false},
		{lag.Latency, false},
		{lag.Latency + lag.Spread, false},
		{lag.Latency + lag.Spread + 45*time.Millisecond, true},
		{pad.TurnFor + lag.Latency - lag.Spread - 45*time.Millisecond, true},
		{pad.TurnFor + lag.Latency - lag.Spread, false},
		{pad.TurnFor + lag.Latency, false},
	} {
		if got := c.Saw(lag, edge+tt.after, skin); (got != c) != tt.counts {
			t.Errorf("%v after the change: counts %v, want %v", tt.after, got != c, tt.counts)
		}
	}
	if got := c.Saw(lag, edge+lag.Latency+100*time.Millisecond, [3]float32{1, 0.4, 0.4}); got != c {
		t.Error("blown out skin counts")
	}
}

func TestALagThatLeavesNothingOfATurnIsOfNoUse(t *testing.T) {
	for _, tt := range []struct {
		lag pad.Lag
		ok  bool
	}{
		{pad.Lag{}, false},
		{lag, true},
		{pad.Lag{Latency: 300 * time.Millisecond, Spread: 100 * time.Millisecond}, true},
		{pad.Lag{Latency: 90 * time.Millisecond, Spread: 130 * time.Millisecond}, false},
		{pad.Lag{Latency: 2 * time.Second}, false},
		{pad.Lag{Latency: time.Millisecond, Spread: -time.Second}, false},
	} {
		if tt.lag.Usable() != tt.ok {
			t.Errorf("%+v: usable %v, want %v", tt.lag, !tt.ok, tt.ok)
		}
	}
}

// TestAChallengeIsTheSameBitForBit pins the arithmetic: arm64 has to come to the
// same bits, and so has every later release, or recorded sessions do not replay.
func TestAChallengeIsTheSameBitForBit(t *testing.T) {
	c := meet(usual(), 77)
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var again pad.Challenge
	if err := json.Unmarshal(b, &again); err != nil || again != c {
		t.Fatalf("%+v is not %+v, %v", again, c, err)
	}
	want := [pad.Turns]pad.Colour{{255, 64, 218}, {0, 173, 39}, {255, 64, 218}, {124, 139, 255}, {0, 173, 39}, {218, 127, 0}, {124, 139, 255}, {0, 158, 225}}
	if got := pad.Colours(77); got != want {
		t.Errorf("seed 77: %v", got)
	}
	// Sums that are exact in binary, so that only Response's own arithmetic counts.
	exact := pad.Challenge{Seed: 77, Turn: pad.Turns, Drawn: true, Over: true}
	for i := range exact.Seen {
		v := float32((7*i*i)%11-5) / 1024
		exact.Seen[i] = pad.Chroma{N: 4, Sum: [2]float32{4 * v, -2 * v}, Squares: [2]float32{4*v*v + 1./(1<<22), v*v + 1./(1<<22)}}
	}
	r := exact.Response()
	if got := [3]uint32{math.Float32bits(r.Score), math.Float32bits(r.Swing), math.Float32bits(r.Noise)}; got != [3]uint32{0x3d5773da, 0x3b8f8ae0, 0x395105ec} {
		t.Errorf("%+v is %#x", r, got)
	}
}

func BenchmarkResponse(b *testing.B) {
	c := meet(usual(), 1)
	b.ReportAllocs()
	for b.Loop() {
		_ = c.Response()
	}
}
