package pad_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"livekiosk/inference/pad"
)

func TestLive(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, test := range []struct {
		name   string
		logits [3]float32
		want   float32
	}{
		{"equal logits share", [3]float32{7, 7, 7}, 1.0 / 3},
		{"odds of two to one and one", [3]float32{math.Ln2, 0, 0}, 0.5},
		{"only differences count", [3]float32{-100 + math.Ln2, -100, -100}, 0.5},
		{"far ahead is certain", [3]float32{1000, -1000, 0}, 1},
		{"far behind is an attack", [3]float32{-1000, 1000, 0}, 0},
		{"a mask is as much an attack as a print", [3]float32{0, -50, math.Ln2}, 1.0 / 3},
		{"not a number is not live", [3]float32{nan, 0, 0}, 0},
		{"not a number elsewhere is not live", [3]float32{9, nan, 0}, 0},
		{"infinity is not live", [3]float32{inf, 0, 0}, 0},
		{"minus infinity rules a class out", [3]float32{0, -inf, -inf}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := pad.Live(test.logits); math.Abs(float64(got-test.want)) > 1e-6 {
				t.Errorf("Live(%v) = %v, want %v", test.logits, got, test.want)
			}
		})
	}
}

func TestLiveIsTheSoftmax(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 20000 {
		var l [3]float32
		var e [3]float64
		for i := range l {
			l[i] = float32(random.NormFloat64() * 12)
			e[i] = math.Exp(float64(l[i]))
		}
		want := e[0] / (e[0] + e[1] + e[2])
		if got := float64(pad.Live(l)); math.Abs(got-want) > 1e-7 {
			t.Fatalf("Live(%v) = %v, want %v", l, got, want)
		}
	}
}

// These bits were computed on amd64. Another architecture must give them too.
func TestBitsAreTheSameEverywhere(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	var all uint32
	var fused pad.Fusion
	for range 10000 {
		live := pad.Live([3]float32{
			float32(random.IntN(4000)-2000) / 128, float32(random.IntN(4000)-2000) / 128, float32(random.IntN(4000)-2000) / 128,
		})
		all = all*31 + math.Float32bits(live)
		fused = fused.Add(live)
	}
	if all != wantLive {
		t.Errorf("checksum of Live is %#x, want %#x", all, wantLive)
	}
	if got := math.Float32bits(fused.Mean()); got != wantMean {
		t.Errorf("bits of the mean are %#x (%v), want %#x", got, fused.Mean(), wantMean)
	}
}

const (
	wantLive = 0x487bdcf9
	wantMean = 0x3ea9e78b
)

func TestFusion(t *testing.T) {
	nan := float32(math.NaN())
	for _, test := range []struct {
		name  string
		lives []float32
		want  pad.Fusion
		mean  float32
	}{
		{"nothing seen is not live", nil, pad.Fusion{}, 0},
		{"one frame is itself", []float32{0.75}, pad.Fusion{N: 1, Sum: 0.75, Min: 0.75}, 0.75},
		{"frames are averaged", []float32{1, 0.25, 0.75, 0.5}, pad.Fusion{N: 4, Sum: 2.5, Min: 0.25}, 0.625},
		{"too much counts as certain", []float32{3, 1}, pad.Fusion{N: 2, Sum: 2, Min: 1}, 1},
		{"too little counts as an attack", []float32{1, -5}, pad.Fusion{N: 2, Sum: 1, Min: 0}, 0.5},
		{"not a number counts as an attack", []float32{1, nan}, pad.Fusion{N: 2, Sum: 1, Min: 0}, 0.5},
	} {
		t.Run(test.name, func(t *testing.T) {
			var f pad.Fusion
			for _, l := range test.lives {
				f = f.Add(l)
			}
			if f != test.want || f.Mean() != test.mean {
				t.Errorf("got %+v with mean %v, want %+v with mean %v", f, f.Mean(), test.want, test.mean)
			}
		})
	}
}

func FuzzFusionStaysAProbabilityAndSurvivesJSON(f *testing.F) {
	f.Add(float32(0.3), float32(0.9), uint16(3))
	f.Add(float32(1), float32(0.99999994), uint16(9999))
	f.Add(float32(math.Inf(1)), float32(math.NaN()), uint16(2))
	f.Fuzz(func(t *testing.T, a, b float32, n uint16) {
		var fused pad.Fusion
		for i := range int(n) {
			if i%3 == 0 {
				fused = fused.Add(b)
			} else {
				fused = fused.Add(a)
			}
		}
		if m := fused.Mean(); !(m >= 0 && m <= 1) || fused.Min > 1 || fused.Min < 0 || fused.N != int(n) {
			t.Fatalf("%+v with mean %v is no probability of %d frames", fused, m, n)
		}
		data, err := json.Marshal(fused)
		if err != nil {
			t.Fatal(err)
		}
		var back pad.Fusion
		if err := json.Unmarshal(data, &back); err != nil || back != fused {
			t.Fatalf("%s came back as %+v (%v), want %+v", data, back, err, fused)
		}
	})
}
