package trace

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/flow"
	"livekiosk/kiosk/guidance"
)

// ErrAltered reports a trace that does not reproduce under its own policy: what
// it would have been under another says nothing.
var ErrAltered = errors.New("it does not reproduce under its own policy")

// A Comparison is what a recorded session would have been under another policy.
type Comparison struct {
	Inputs  int          `json:"inputs"`
	Differ  int          `json:"differ"`  // inputs after which phase, hint or effects are others
	Changed []Change     `json:"changed"` // in which the policies differ
	Judged  *Judged      `json:"judged,omitempty"`
	Parted  *Parted      `json:"parted,omitempty"`
	Was     []flow.Phase `json:"was"` // in order of appearance
	Is      []flow.Phase `json:"is"`
}

// A Change is one value of the policy.
type Change struct {
	Key string `json:"key"` // such as guidance.far.min
	Was string `json:"was"` // as JSON has it
	Is  string `json:"is"`
}

// Judged is the first frame for which the two policies have different hints, and
// why.
type Judged struct {
	Line  int            `json:"line"` // from 2; 1 is the header
	At    time.Duration  `json:"at"`   // since the session's first input
	Frame kiosk.FrameID  `json:"frame"`
	Pose  kiosk.Pose     `json:"pose"`
	Was   guidance.Cause `json:"was"`
	Is    guidance.Cause `json:"is"`
}

// Parted is the first input after which phase, hint or effects differ. A hint
// that stands out its dwell puts it off; where no frame was judged differently
// before it, a time or the liveness decided.
type Parted struct {
	Line int           `json:"line"`
	At   time.Duration `json:"at"` // since the session's first input
	Was  Step          `json:"was"`
	Is   Step          `json:"is"`
}

// A Step is what one input led to.
type Step struct {
	Phase flow.Phase        `json:"phase"`
	Hint  kiosk.Hint        `json:"hint,omitempty"`
	Do    []json.RawMessage `json:"do,omitempty"`
}

// Compare runs the inputs of a trace under the recorded policy and, beside it,
// under what change makes of that. The visitor's part is as it was recorded:
// nobody knows what they would have done with another hint.
func Compare(r io.Reader, change func(flow.Policy) (flow.Policy, error)) (Comparison, error) {
	var c Comparison
	var policies [2]flow.Policy
	var states [2]flow.State
	var began time.Duration
	err := read(r, func(h Header) error {
		other, err := change(h.Policy)
		if err == nil {
			err = other.Validate()
		}
		if err != nil {
			return fmt.Errorf("the other policy: %w", err)
		}
		policies, states = [...]flow.Policy{h.Policy, other}, [...]flow.State{h.Start, h.Start}
		c.Changed, err = changes(h.Policy, other)
		return err
	}, func(n int, l Line, in flow.Input) error {
		if c.Inputs++; c.Inputs == 1 {
			began = l.At
		}
		if saw, ok := in.(flow.Saw); ok && c.Judged == nil {
			c.judge(n, l.At-began, policies, states, saw.Assessment)
		}
		var steps [2]Line
		for i, p := range policies {
			var fx []flow.Effect
			var err error
			states[i], fx = p.Step(states[i], l.At, in)
			if steps[i], err = line(l.At, in, states[i], fx); err != nil {
				return err
			}
		}
		if recorded, again, err := texts(l, steps[0]); err != nil {
			return err
		} else if recorded != again {
			return ErrAltered
		}
		steps[0].Ring, steps[1].Ring = 0, 0 // it follows every frame, and decides nothing
		if was, is, err := texts(steps[0], steps[1]); err != nil {
			return err
		} else if was != is {
			if c.Differ++; c.Parted == nil {
				step := func(l Line) Step { return Step{l.Phase, l.Hint, l.Do} }
				c.Parted = &Parted{n, l.At - began, step(steps[0]), step(steps[1])}
			}
		}
		c.Was, c.Is = visit(c.Was, states[0].Phase), visit(c.Is, states[1].Phase)
		return nil
	})
	return c, err
}

// judge notes a frame that two policies, both guiding, have different hints for.
func (c *Comparison) judge(n int, at time.Duration, p [2]flow.Policy, s [2]flow.State, a kiosk.Assessment) {
	if s[0].Phase != s[1].Phase || a.At < s[0].Began {
		return
	}
	pose := kiosk.Far
	switch s[0].Phase {
	case flow.Far:
	case flow.Near:
		pose = kiosk.Near
	case flow.OutOfService, flow.Idle, flow.Resting, flow.Code, flow.PIN, flow.Desk, flow.Consent, flow.Tips, flow.Warning, flow.Colours, flow.Again, flow.Saving, flow.Waiting, flow.Outcome:
		return
	}
	was, is := p[0].Guidance.Explain(s[0].Guide, pose, a), p[1].Guidance.Explain(s[1].Guide, pose, a)
	if was.Hint != is.Hint {
		c.Judged = &Judged{n, at, a.Frame, pose, was, is}
	}
}

// visit returns phases with p, unless it is the last.
func visit(phases []flow.Phase, p flow.Phase) []flow.Phase {
	if n := len(phases); n > 0 && phases[n-1] == p {
		return phases
	}
	return append(phases, p)
}

// changes lists the values in which two policies differ, in order of the keys.
func changes(was, is flow.Policy) ([]Change, error) {
	flat := func(p flow.Policy) (map[string]string, error) {
		body, err := json.Marshal(p)
		if err != nil {
			return nil, fmt.Errorf("compare policies: %w", err)
		}
		values := map[string]string{}
		return values, flatten(values, "", body)
	}
	a, err := flat(was)
	if err != nil {
		return nil, err
	}
	b, err := flat(is)
	if err != nil {
		return nil, err
	}
	out := []Change{}
	for key, v := range a {
		if b[key] != v {
			out = append(out, Change{key, v, b[key]})
		}
	}
	slices.SortFunc(out, func(a, b Change) int { return strings.Compare(a.Key, b.Key) })
	return out, nil
}

// flatten puts the values of a JSON object, and of those in it, into values.
func flatten(values map[string]string, prefix string, body []byte) error {
	var object map[string]json.RawMessage
	if body[0] != '{' {
		values[strings.TrimSuffix(prefix, ".")] = string(body)
		return nil
	}
	if err := json.Unmarshal(body, &object); err != nil {
		return fmt.Errorf("compare policies: %w", err)
	}
	for key, v := range object {
		if err := flatten(values, prefix+key+".", v); err != nil {
			return err
		}
	}
	return nil
}
