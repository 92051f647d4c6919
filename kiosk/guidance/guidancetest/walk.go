package guidancetest

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/flow"
	"livekiosk/kiosk/trace"
)

// A Walk is how one visitor fared. Times are since they set out; zero: never.
type Walk struct {
	Seed     uint64
	Eyes     float64       // as the visitor's, metres
	Place    float64       // as the visitor's, metres
	Arrived  time.Duration // when they first stood
	Found    time.Duration // when a face was first found
	Far      time.Duration // when the far pose was captured
	Near     time.Duration // when the near one was, and the capture submitted
	Attempts int
	Review   bool // submitted flagged, since no attempt succeeded

	Frames int
	Told   map[kiosk.Hint]time.Duration // how long each hint stood, until the end
	Failed []string                     // of each attempt that failed the hint that stood longest, or NotLive
}

// NotLive is why an attempt failed that captured both poses.
const NotLive = "not live"

// First reports whether the first attempt succeeded.
func (w Walk) First() bool { return w.Near > 0 && w.Attempts == 1 && !w.Review }

// DeadEnd reports whether the session led to no capture at all.
func (w Walk) DeadEnd() bool { return w.Near == 0 }

// start is when a visitor sets out, since boot.
const start = time.Hour

// Run walks the visitor of a seed up to a kiosk with policy p that assesses rate
// frames a second: one after the other, each the newest, and known when the next
// one is taken. Consent is given when they set out. assess is what the networks
// make of a frame. If tape is not nil the session is recorded there, as a trace.
func Run(seed uint64, p flow.Policy, rate float64, assess func(Sight) kiosk.Assessment, tape io.Writer) (Walk, error) {
	v := NewVisitor(seed, start)
	r := &runner{
		p: p, v: v, s: flow.State{Phase: flow.Idle}, now: start, told: map[kiosk.Hint]time.Duration{},
		w: Walk{Seed: seed, Eyes: v.Eyes, Place: v.Place, Told: map[kiosk.Hint]time.Duration{}},
	}
	if tape != nil {
		var err error
		facts := map[string]string{"camera": "composed", "seed": strconv.FormatUint(seed, 10)}
		if r.tape, err = trace.NewWriter(tape, trace.Header{Facts: facts, Policy: p, Start: r.s}); err != nil {
			return r.w, fmt.Errorf("walk %d: %w", seed, err)
		}
	}
	const session = "walk"
	r.step(start, flow.Launched{Session: session, Locale: kiosk.English, Theme: kiosk.Light})
	r.step(start, flow.Tapped{Session: session, Control: kiosk.Agree})
	r.step(start, flow.Tapped{Session: session, Control: kiosk.Ready}) // they know the tips
	period := time.Duration(float64(time.Second) / rate)
	for at := start + shutter; r.s.Phase != flow.Saving && r.s.Phase != flow.Outcome; at += period {
		s := see(v.At(at-shutter), v.At(at), at)
		r.step(at, flow.Tick{}) // means nothing before its time
		if r.s.Phase == flow.Again {
			if r.s.Ask {
				r.step(at, flow.Tapped{Session: session, Control: kiosk.Resume})
			}
			continue // the camera is off
		}
		r.w.Frames++
		a := assess(s)
		a.Frame = kiosk.FrameID(r.w.Frames)
		if a.Faces > 0 && r.w.Found == 0 {
			r.w.Found = at + period - start
		}
		r.step(at+period, flow.Saw{Assessment: a})
	}
	if arrived, ok := v.Arrived(); ok {
		r.w.Arrived = arrived - start
	}
	if r.err != nil {
		return r.w, fmt.Errorf("walk %d: %w", seed, r.err)
	}
	return r.w, nil
}

// A runner runs one walk.
type runner struct {
	p    flow.Policy
	v    *Visitor
	s    flow.State
	now  time.Duration
	w    Walk
	told map[kiosk.Hint]time.Duration // in this attempt
	tape *trace.Writer
	err  error // of the tape
}

// step feeds the flow and has the screen say what it makes of it.
func (r *runner) step(at time.Duration, in flow.Input) {
	before := r.s
	var fx []flow.Effect
	r.s, fx = r.p.Step(before, at, in)
	if r.tape != nil && r.err == nil {
		r.err = r.tape.Step(at, in, r.s, fx)
	}
	r.w.Told[before.Guide.Hint] += at - r.now
	r.told[before.Guide.Hint] += at - r.now
	r.now = at
	r.w.Attempts = max(r.w.Attempts, r.s.Attempt)
	if before.Phase == flow.Far && r.s.Phase == flow.Near {
		r.w.Far = at - start
	}
	for _, e := range fx {
		if e, ok := e.(flow.Submit); ok {
			r.w.Near, r.w.Review = at-start, e.Review
		}
	}
	tried := before.Phase == flow.Far || before.Phase == flow.Near
	failed := r.s.Phase == flow.Again || r.s.Phase == flow.Outcome || r.w.Review
	saw, _ := in.(flow.Saw)
	switch {
	case tried && failed && saw.Faces > 0 && before.Phase == flow.Near: // as the hold ended
		r.w.Failed = append(r.w.Failed, NotLive)
	case tried && failed:
		r.w.Failed = append(r.w.Failed, string(longest(r.told)))
	case !tried:
		clear(r.told)
	}
	r.v.Show(at, r.p.View(r.s))
}

// longest returns the hint that stood longest.
func longest(told map[kiosk.Hint]time.Duration) kiosk.Hint {
	return slices.MaxFunc(slices.Sorted(maps.Keys(told)), func(a, b kiosk.Hint) int { return int(told[a] - told[b]) })
}
