//go:build cgo

package v4l2

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	low "github.com/vladimirvivien/go4vl/v4l2"
)

// Controls say how the camera takes its pictures. What is zero is left as the
// camera has it. A control that a camera lacks, or a value that it does not
// take, is told in the log and keeps nobody from streaming.
type Controls struct {
	Rate         int    // frames a second, 1 to 120; 0: 30
	Exposure     string // "auto", "face": the same, which Camera.Correct may correct, or units of 100 us
	Gain         string // "auto", or the camera's own units; "" goes along with an exposure of "face"
	WhiteBalance string // "auto", or kelvin
	Focus        string // "auto", or the camera's own units
	PowerLine    string // of the lamps, against flicker: "auto", "off", or "50" or "60" Hz
}

// Validate names the first control whose value cannot be meant, by the name
// that it has in a configuration.
func (c Controls) Validate() error {
	if c.Rate < 0 || c.Rate > 120 {
		return fmt.Errorf("rate: %d is outside 1..120, or 0 for %d", c.Rate, wantedRate)
	}
	if c.Gain == byFace {
		return errors.New(`gain: "face" is for exposure, which the gain goes along with`)
	}
	for _, s := range c.settings() {
		if _, err := s.steps(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// A setting is one of Controls: the control of its value, and the one that says
// whether the camera sees to it by itself.
type setting struct {
	name, value string
	control     low.CtrlID
	automatic   low.CtrlID
	auto        []int32 // what turns automatic on: the first that the camera takes
	manual      int32   // and off
}

// A step sets one control to the first of the values that the camera takes.
type step struct {
	control  low.CtrlID
	values   []int32
	optional bool // a camera without it never does by itself what it would turn off
}

// byFace is the value of what Camera.Correct may correct.
const byFace = "face"

func (c Controls) settings() []setting {
	gain := c.Gain
	if c.Exposure == byFace && gain == "" {
		gain = byFace
	}
	const (
		autogain = low.CtrlAutogain
		aperture = 3 // V4L2_EXPOSURE_APERTURE_PRIORITY, which is all that USB cameras call automatic
	)
	return []setting{
		{"exposure", c.Exposure, low.CtrlCameraExposureAbsolute, low.CtrlCameraExposureAuto, []int32{aperture, 0}, 1},
		{"gain", gain, low.CtrlGain, autogain, []int32{1}, 0},
		{"white_balance", c.WhiteBalance, low.CtrlWhiteBalanceTemperature, low.CtrlAutoWhiteBalance, []int32{1}, 0},
		{"focus", c.Focus, low.CtrlCameraFocusAbsolute, low.CtrlCameraFocusAuto, []int32{1}, 0},
		{"power_line", c.PowerLine, low.CtrlPowerlineFrequency, 0, nil, 0},
	}
}

// steps returns what is to be set; nothing for "".
func (s setting) steps() ([]step, error) {
	switch {
	case s.value == "":
		return nil, nil
	case s.name == "power_line":
		i := map[string]int32{"off": 0, "50": 1, "60": 2, "auto": 3}
		v, ok := i[s.value]
		if !ok {
			return nil, fmt.Errorf("%q is none of auto, off, 50, 60", s.value)
		}
		return []step{{control: s.control, values: []int32{v}}}, nil
	case s.value == "auto", s.value == byFace && (s.name == "exposure" || s.name == "gain"):
		return []step{{control: s.automatic, values: s.auto, optional: s.value == byFace}}, nil
	}
	v, err := strconv.ParseInt(s.value, 10, 32)
	if err != nil || v < 0 {
		return nil, fmt.Errorf("%q is neither auto nor a number from 0", s.value)
	}
	return []step{
		{control: s.automatic, values: []int32{s.manual}, optional: true},
		{control: s.control, values: []int32{int32(v)}},
	}, nil
}

// adjust sets what c asks for, and returns what the camera says of each, read
// back, such as "exposure 156, focus: it has no such control".
func (c Controls) adjust(fd uintptr) string {
	deepen()
	var said []string
	for _, s := range c.settings() {
		steps, err := s.steps()
		if err != nil || len(steps) == 0 {
			continue
		}
		answer := ""
		for _, one := range steps {
			got, why := one.set(fd)
			switch {
			case why == nil:
				answer = fmt.Sprintf("%s %d", s.name, got)
				switch s.value {
				case "auto":
					answer = s.name + " auto"
				case byFace:
					answer = "" // the exposer tells of all of it
				}
			case !one.optional || !errors.Is(why, errNoControl):
				answer = fmt.Sprintf("%s: %v", s.name, why)
			}
		}
		if answer != "" {
			said = append(said, answer)
		}
	}
	return strings.Join(said, ", ")
}

var errNoControl = errors.New("it has no such control")

// set sets the control and returns its value read back.
func (s step) set(fd uintptr) (int32, error) {
	info, err := low.QueryControlInfo(fd, s.control)
	if err != nil {
		return 0, errNoControl
	}
	for _, v := range s.values {
		if err = low.SetControlValue(fd, s.control, v); err != nil {
			continue
		}
		got, err := low.GetControlValue(fd, s.control)
		if err != nil {
			return 0, fmt.Errorf("does not tell its value: %w", err)
		}
		return got, nil
	}
	return 0, fmt.Errorf("does not take %d; it takes %d to %d", s.values[0], info.Minimum, info.Maximum)
}
