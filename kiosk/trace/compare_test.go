package trace_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/flow"
	"livekiosk/kiosk/trace"
)

// TestAnotherPolicyGivesAnotherResultAndSaysWhy replays a recorded session with
// other thresholds.
func TestAnotherPolicyGivesAnotherResultAndSaysWhy(t *testing.T) {
	recorded, err := os.ReadFile("testdata/format1.trace")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		change  func(*flow.Policy)
		key     string     // the value that differs; "": none does, and nothing leads elsewhere
		hint    kiosk.Hint // of the first frame that is judged otherwise; "": none is
		limit   string     // and what it passed
		was, is flow.Phase // where the two part
		instead string     // what is done there
		reaches flow.Phase // and where the session gets
	}{
		{name: "the same", change: func(*flow.Policy) {}},
		{"less of a turned head", func(p *flow.Policy) { p.Guidance.AngleMax = 2 }, "guidance.angle_max", kiosk.TurnLeft, "angle_max", flow.Far, flow.Far, "", flow.Far},
		{"nearer", func(p *flow.Policy) { p.Guidance.Far.Min = 0.33 }, "guidance.far.min", kiosk.FaceTooFar, "far.min", flow.Far, flow.Far, "", flow.Idle},
		{"less motion", func(p *flow.Policy) { p.Guidance.MotionMax = 0.5 }, "guidance.motion_max", kiosk.HoldStill, "motion_max", flow.Far, flow.Far, "", flow.Idle},
		{"a longer hold", func(p *flow.Policy) { p.Guidance.Hold = 1200 * time.Millisecond }, "guidance.hold", "", "", flow.Near, flow.Far, "", flow.Near},
		{"surer of the liveness", func(p *flow.Policy) { p.LiveMin = 0.999 }, "live_min", "", "", flow.Saving, flow.Again, "drop", flow.Far},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := trace.Compare(bytes.NewReader(recorded), func(p flow.Policy) (flow.Policy, error) {
				tt.change(&p)
				return p, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if tt.key == "" {
				if c.Differ != 0 || len(c.Changed) != 0 || c.Judged != nil || c.Parted != nil || c.Inputs < 100 {
					t.Errorf("%+v", c)
				}
				return
			}
			if len(c.Changed) != 1 || c.Changed[0].Key != tt.key || c.Differ == 0 || c.Parted == nil {
				t.Fatalf("%+v", c)
			}
			if p := c.Parted; p.Was.Phase != tt.was || p.Is.Phase != tt.is || !strings.Contains(fmt.Sprintf("%s", p.Is.Do), tt.instead) {
				t.Errorf("parted %+v", p)
			}
			switch j := c.Judged; {
			case tt.hint == "":
				if j != nil {
					t.Errorf("judged otherwise: %+v", j)
				}
			case j == nil || j.Is.Hint != tt.hint || j.Is.Limit != tt.limit || j.Was.Hint == tt.hint || j.Line > c.Parted.Line:
				t.Errorf("judged %+v, parted %+v", j, c.Parted)
			}
			if end := c.Is[len(c.Is)-1]; end != tt.reaches || c.Was[len(c.Was)-1] != flow.Idle {
				t.Errorf("was %v, is %v", c.Was, c.Is)
			}
		})
	}
}

func TestAnAlteredTraceIsNotCompared(t *testing.T) {
	altered := strings.Replace(string(session(t)), `"hint":"face_too_far"`, `"hint":"no_face"`, 1)
	same := func(p flow.Policy) (flow.Policy, error) { return p, nil }
	if _, err := trace.Compare(strings.NewReader(altered), same); !errors.Is(err, trace.ErrAltered) {
		t.Errorf("%v, want ErrAltered", err)
	}
	if _, err := trace.Compare(bytes.NewReader(session(t)), func(p flow.Policy) (flow.Policy, error) {
		p.Attempts = 0
		return p, nil
	}); err == nil {
		t.Error("an impossible policy is accepted")
	}
}
