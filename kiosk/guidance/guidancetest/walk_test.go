package guidancetest_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"livekiosk/kiosk"
	"livekiosk/kiosk/flow"
	"livekiosk/kiosk/guidance/guidancetest"
	"livekiosk/kiosk/trace"
)

// rate is how many frames a second the kiosk assesses. No board was measured: it
// is what one with four cores of 1.5 GHz is hoped to reach.
const rate = 9

// byGeometry walks visitors up to a kiosk that measures them by geometry alone.
func byGeometry(t *testing.T, p flow.Policy, seeds uint64) summary {
	t.Helper()
	var all summary
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 1))
		w, err := guidancetest.Run(seed, p, rate, func(s guidancetest.Sight) kiosk.Assessment { return guidancetest.Measure(rng, s) }, nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, w)
	}
	return all
}

// TestVisitorsSucceedTheFirstTime walks 200 visitors up by geometry. "make
// walk-ups" has the same ones on pictures; TestGeometryAgreesWithPictures says why
// the two may be compared.
func TestVisitorsSucceedTheFirstTime(t *testing.T) {
	all := byGeometry(t, flow.Standard(), 200)
	t.Log(all)
	all.judge(t)
}

// TestAWorseProfileIsNoticed: what is asked of the standard profile is not met by
// any profile.
func TestAWorseProfileIsNoticed(t *testing.T) {
	p := flow.Standard()
	p.Guidance.Off, p.Guidance.OffNear = 0.08, 0
	all := byGeometry(t, p, 200)
	t.Log(all)
	if len(all.complaints()) == 0 {
		t.Error("a tolerance of half the size is as good")
	}
}

// TestAWalkSaysWhyItFailed spoils what is measured: three attempts fail for that
// reason, and the last one is submitted all the same.
func TestAWalkSaysWhyItFailed(t *testing.T) {
	for _, tt := range []struct {
		name, why string
		spoil     func(*kiosk.Assessment)
		dead      bool
	}{
		{"a print", guidancetest.NotLive, func(a *kiosk.Assessment) { a.Live = 0.1 }, false},
		{"a dark corner", string(kiosk.TooDark), func(a *kiosk.Assessment) { a.FaceLuma = 20 }, false},
		{"no face is found", string(kiosk.NoFace), func(a *kiosk.Assessment) { a.Faces = 0 }, true},
	} {
		rng := rand.New(rand.NewPCG(1, 1))
		w, err := guidancetest.Run(1, flow.Standard(), rate, func(s guidancetest.Sight) kiosk.Assessment {
			a := guidancetest.Measure(rng, s)
			tt.spoil(&a)
			return a
		}, nil)
		if err != nil || !slices.Equal(w.Failed, []string{tt.why, tt.why, tt.why}) || w.Attempts != 3 || w.DeadEnd() != tt.dead || w.First() || w.Review == tt.dead {
			t.Errorf("%s: %+v, %v", tt.name, w, err)
		}
	}
}

// TestAWalkIsReproducible: the same seed gives the same walk, and its trace says
// how it went.
func TestAWalkIsReproducible(t *testing.T) {
	run := func() (guidancetest.Walk, []byte) {
		var tape bytes.Buffer
		rng := rand.New(rand.NewPCG(7, 1))
		w, err := guidancetest.Run(7, flow.Standard(), rate, func(s guidancetest.Sight) kiosk.Assessment { return guidancetest.Measure(rng, s) }, &tape)
		if err != nil {
			t.Fatal(err)
		}
		return w, tape.Bytes()
	}
	a, tape := run()
	b, again := run()
	if a.Near == 0 || a.Near != b.Near || !bytes.Equal(tape, again) {
		t.Errorf("the same seed gives %+v and %+v", a, b)
	}
	sum, err := trace.Replay(bytes.NewReader(tape))
	if err != nil || len(sum.Mismatches) > 0 || sum.Phases[len(sum.Phases)-1] != flow.Saving || sum.Inputs < a.Frames {
		t.Errorf("the trace of %d frames: %d inputs, phases %v, mismatches %v, %v", a.Frames, sum.Inputs, sum.Phases, sum.Mismatches, err)
	}
}
