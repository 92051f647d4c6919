package exposure_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"livekiosk/camera/exposure"
	"livekiosk/kiosk"
)

// A rig is a camera before a face in some light: what is corrected shows some
// frames later, and only in whole steps.
type rig struct {
	luma  float64 // of the face by the camera's own automatic
	over  float64 // luma from which on the face is blown out; 0: never
	most  float64 // stops that it takes, either way; 0: any
	step  float64 // of a stop; 0: any
	delay int     // frames
	away  bool    // nobody is there

	set   []float64 // by frame
	asked []float64 // stops, in order
}

const interval = 66 * time.Millisecond

// run plays so many frames and returns the stops that were in force at the end.
func (r *rig) run(p exposure.Policy, s exposure.State, from, frames int) exposure.State {
	for n := from; n < from+frames; n++ {
		r.set = append(r.set, s.Stops)
		seen := r.set[max(0, len(r.set)-1-r.delay)]
		a := kiosk.Assessment{At: time.Duration(n) * interval, Faces: 1, FaceLuma: float32(r.at(seen))}
		if r.over > 0 && r.at(seen) > r.over {
			a.Over = 0.1
		}
		if r.away {
			a.Faces, a.FaceLuma = 0, 0
		}
		next, stops, ask := p.Step(s, a)
		s = next
		if !ask {
			continue
		}
		got := stops
		if r.step > 0 {
			got = math.Round(got/r.step) * r.step
		}
		if r.most > 0 {
			got = min(max(got, -r.most), r.most)
		}
		r.asked = append(r.asked, got)
		s = p.Applied(s, a.At, stops, got)
	}
	return s
}

// at returns the face's luma so many stops from the automatic's.
func (r *rig) at(stops float64) float64 { return min(255, r.luma*math.Exp2(stops/2.2)) }

func TestAFaceIsBroughtToGoodLightAndLeftThere(t *testing.T) {
	p := exposure.Standard()
	for _, c := range []struct {
		name string
		rig  rig
		want exposure.Span // of the luma in the end
	}{
		{"good light is left alone", rig{luma: 110, delay: 3}, exposure.Span{Low: 110, High: 110}},
		{"dark, but well within what is accepted", rig{luma: 81, delay: 3}, exposure.Span{Low: 81, High: 81}},
		{"a dark face", rig{luma: 60, delay: 3}, exposure.Span{Low: 88, High: 100}},
		{"a bright face", rig{luma: 200, delay: 3}, exposure.Span{Low: 140, High: 155}},
		{"a face against the light stops at the limit", rig{luma: 30, delay: 3}, exposure.Span{Low: 48, High: 48.3}},
		{"a camera that takes half a stop only", rig{luma: 45, most: 0.5, delay: 3}, exposure.Span{Low: 52, High: 53}},
		{"a camera with steps of a third", rig{luma: 60, step: 1. / 3, delay: 3}, exposure.Span{Low: 88, High: 105}},
		{"a camera with steps of a whole stop", rig{luma: 60, step: 1, delay: 3}, exposure.Span{Low: 81, High: 120}},
		{"a face that shines is not made brighter", rig{luma: 78, over: 70, delay: 3}, exposure.Span{Low: 60, High: 79}},
		{"one that shines and is bright is made darker", rig{luma: 150, over: 130, delay: 3}, exposure.Span{Low: 100, High: 131}},
		{"a slow camera", rig{luma: 50, delay: 5}, exposure.Span{Low: 80, High: 100}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.rig.run(p, exposure.State{}, 0, 60) // 4 s
			if got := c.rig.at(s.Stops); got < c.want.Low || got > c.want.High {
				t.Errorf("luma %.1f at %+.2f stops after %v, want %v", got, s.Stops, c.rig.asked, c.want)
			}
			asked := len(c.rig.asked)
			if c.rig.run(p, s, 60, 300); len(c.rig.asked) != asked {
				t.Errorf("it went on afterwards: %v", c.rig.asked[asked:])
			}
			if turns(c.rig.asked) > 1 {
				t.Errorf("it hunts: %v", c.rig.asked)
			}
		})
	}
}

// turns counts how often corrections changed their direction.
func turns(stops []float64) (n int) {
	last, way := 0., 0.
	for _, s := range stops {
		if d := s - last; d != 0 {
			if way != 0 && d*way < 0 {
				n++
			}
			way = d
		}
		last = s
	}
	return n
}

// TestNoLightMakesItHunt draws cameras and faces: each comes to rest within
// six seconds, within the limits, and turns round at most once.
func TestNoLightMakesItHunt(t *testing.T) {
	p := exposure.Standard()
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		c := rig{luma: 5 + 245*r.Float64(), step: r.Float64() * 0.7, delay: r.IntN(5)}
		if r.IntN(3) == 0 {
			c.over = 60 + 190*r.Float64()
		}
		if r.IntN(3) == 0 {
			c.most = 2 * r.Float64()
		}
		was := c
		s := c.run(p, exposure.State{}, 0, 90)
		if math.Abs(s.Stops) > p.Most+c.step/2+1e-9 {
			t.Fatalf("%+v: %+.2f stops", was, s.Stops)
		}
		asked := len(c.asked)
		if c.run(p, s, 90, 200); len(c.asked) != asked {
			t.Fatalf("%+v goes on for ever: %v", was, c.asked)
		}
		if turns(c.asked) > 1 {
			t.Fatalf("%+v hunts: %v", was, c.asked)
		}
	}
}

func TestWithoutAFaceItGoesBackSlowly(t *testing.T) {
	p := exposure.Standard()
	c := rig{luma: 45, delay: 2}
	s := c.run(p, exposure.State{}, 0, 60)
	before := len(c.asked)
	c.away = true
	if c.run(p, s, 60, 29); len(c.asked) != before { // 1.9 s
		t.Fatalf("taken back at once: %v", c.asked[before:])
	}
	s = c.run(p, s, 60, 120)
	back := c.asked[before:]
	if s.Stops != 0 || len(back) < 6 {
		t.Fatalf("at %+.2f stops by %v", s.Stops, back)
	}
	for i := 1; i < len(back); i++ {
		if back[i] >= back[i-1] || back[i-1]-back[i] > p.Back+1e-9 {
			t.Errorf("step %d of %v", i, back)
		}
	}
}

func TestTheStandardPolicyIsValidAndAHuntingOneIsNot(t *testing.T) {
	if err := exposure.Standard().Validate(); err != nil {
		t.Error(err)
	}
	for _, spoil := range []func(*exposure.Policy){
		func(p *exposure.Policy) { p.Fine = p.Good },
		func(p *exposure.Policy) { p.Damping = 1.5 },
		func(p *exposure.Policy) { p.Settle = 0 },
	} {
		p := exposure.Standard()
		spoil(&p)
		if p.Validate() == nil {
			t.Errorf("%+v is valid", p)
		}
		if _, err := exposure.New(p, nil, nil, nil); err == nil {
			t.Errorf("%+v is taken", p)
		}
	}
}

// A device notes what it is asked.
type device struct {
	mu     sync.Mutex
	stops  float64
	frozen bool
	none   error
}

func (d *device) Correct(stops float64) (float64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.none == nil {
		d.stops = stops
	}
	return stops, d.none
}

func (d *device) Freeze() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frozen = d.none == nil
	return d.none
}

func (d *device) Thaw() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frozen = false
	return nil
}

// A bench runs a Control in a bubble of time.
type bench struct {
	*exposure.Control

	dev   *device
	began time.Time
}

func newBench(t *testing.T, dev *device) *bench {
	t.Helper()
	b := &bench{dev: dev, began: time.Now()}
	var port exposure.Device
	if dev != nil {
		port = dev
	}
	var err error
	if b.Control, err = exposure.New(exposure.Standard(), port, func() time.Duration { return time.Since(b.began) }, nil); err != nil {
		t.Fatal(err)
	}
	go func() {
		if err := b.Run(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	return b
}

// see shows a face of this luma for a while.
func (b *bench) see(luma float32, during time.Duration) {
	for end := time.Now().Add(during); time.Now().Before(end); {
		b.Saw(kiosk.Assessment{At: time.Since(b.began), Faces: 1, FaceLuma: luma})
		synctest.Wait()
		<-time.After(interval)
	}
}

func TestFrozenExposureStaysAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &device{})
		b.see(60, 400*time.Millisecond)
		was := b.Status()
		if was.Mode != exposure.Face || was.Stops <= 0 || was.Stops != b.dev.stops {
			t.Fatalf("%+v after a dark face, the device has %+.2f", was, b.dev.stops)
		}
		if err := b.Freeze(); err != nil || !b.dev.frozen {
			t.Fatalf("Freeze() = %v, device %+v", err, b.dev)
		}
		b.see(30, 2*time.Second)
		if got := b.Status(); got.Mode != exposure.Frozen || got.Stops != was.Stops || b.dev.stops != was.Stops {
			t.Errorf("%+v while frozen, want %+v", got, was)
		}
		if err := b.Thaw(); err != nil || b.dev.frozen {
			t.Errorf("Thaw() = %v, device %+v", err, b.dev)
		}
		b.see(30, time.Second)
		if got := b.Status(); got.Mode != exposure.Face || got.Stops <= was.Stops {
			t.Errorf("%+v afterwards", got)
		}
		// Another stream begins with the camera's own automatic.
		<-time.After(5 * time.Second)
		if err := b.Freeze(); err != nil {
			t.Fatal(err)
		}
		b.see(110, interval)
		if got := b.Status(); got.Mode != exposure.Face || got.Stops != 0 {
			t.Errorf("%+v in another stream", got)
		}
	})
}

func TestACameraWithoutTheControlIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		none := newBench(t, nil)
		none.see(30, time.Second)
		lacks := newBench(t, &device{none: kiosk.ErrNoControl})
		lacks.see(30, time.Second)
		for _, b := range []*bench{none, lacks} {
			if got := b.Status(); got != (exposure.Status{Mode: exposure.Off}) {
				t.Errorf("%+v, want it off", got)
			}
			if err := b.Freeze(); !errors.Is(err, kiosk.ErrNoControl) || b.Status().Mode != exposure.Off {
				t.Errorf("Freeze() = %v, then %+v", err, b.Status())
			}
		}
	})
}
