// Package commission is what an installer finds out about one kiosk: which
// frames are good enough to measure, what is kept of them, and what guidance
// makes of it.
//
// It is pure: it is given assessments and times, and reads no camera and no file.
package commission

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/guidance"
)

// Format is the version of the profile that this package reads and writes.
const Format = 1

// Errors of Decode that callers may tell apart.
var (
	// ErrFormat reports a profile that another version wrote.
	ErrFormat = errors.New("a profile of another format")
	// ErrDamaged reports what is no profile.
	ErrDamaged = errors.New("no profile that can be read")
)

// A Profile is what is known of one kiosk, in the JSON of its file:
//
//	format   Format
//	camera   the identity of the camera that it is of, as kioskctl camera prints
//	         it for a pin; of a clip or frames, their name
//	written  when, by the kiosk's wall clock
//	version  of the program that wrote it
//	steps    by name, each with "at", "note" and its "figures":
//
//	focus       sharpness (luma squared, at 128 px face width), roll and pitch
//	            (degrees, of a person who looks straight ahead), offset_x and
//	            offset_y (of the face from the middle, shares of the short side;
//	            right and down), height_cm (of the lens, as told)
//	exposure    face_luma (0..255), over and under (shares of the face that are
//	            white and black), uneven (difference of the cheeks / face_luma)
//	background  luma_ratio (background to face), gradient (raw background
//	            uniformity), uniformity (its quality, 0..100)
//	lens        detail (see guidance.Detail)
//	distance    distance_cm (as told), face and eyes (face width and inter-eye
//	            distance, shares of the short side), eyes_px, view_degrees (field of
//	            view over the short side, by eyes that are 6.3 cm apart: 8 % off for
//	            one adult in three), far_cm and near_cm (where the two ovals lead),
//	            far_min, far_max, near_min, near_max (accepted face widths)
//	latency     ms (median, from the end of drawing to the middle of the change in
//	            the camera's picture), spread_ms (between the quartiles), contrast
//	            (luma), flashes
type Profile struct {
	Format  int                   `json:"format"`
	Camera  string                `json:"camera"`
	Written time.Time             `json:"written"`
	Version string                `json:"version"`
	Steps   map[kiosk.Step]Result `json:"steps"`
}

// A Result is what was kept of one step.
type Result struct {
	At      time.Time          `json:"at"`
	Note    kiosk.Note         `json:"note,omitempty"` // passed, but this could not be found out
	Figures map[string]float64 `json:"figures"`
}

// Decode reads a profile. Its errors are ErrFormat and ErrDamaged: unknown fields
// and steps, and figures that no kiosk has, are damage.
func Decode(b []byte) (Profile, error) {
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return Profile{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if head.Format != Format {
		return Profile{}, fmt.Errorf("%w: it has %d, this version reads %d: commission the kiosk anew", ErrFormat, head.Format, Format)
	}
	var p Profile
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return Profile{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	known := map[kiosk.Step]bool{}
	for _, s := range kiosk.Steps() {
		known[s] = true
	}
	for s := range p.Steps {
		if !known[s] {
			return Profile{}, fmt.Errorf("%w: there is no step %q", ErrDamaged, s)
		}
	}
	if _, err := p.Apply(guidance.Standard()); err != nil {
		return Profile{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return p, nil
}

// Encode returns p as its file has it.
func (p Profile) Encode() ([]byte, error) {
	p.Format = Format
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode profile: %w", err)
	}
	return append(b, '\n'), nil
}

// With returns p with what a step that was passed has found out at a time. A
// profile of another camera, or none, begins anew.
func (p Profile) With(camera, version string, at time.Time, r kiosk.Reading) Profile {
	next := Profile{Format: Format, Camera: camera, Written: at, Version: version, Steps: map[kiosk.Step]Result{}}
	if p.Camera == camera {
		maps.Copy(next.Steps, p.Steps)
	}
	next.Steps[r.Step] = Result{At: at, Note: r.Note, Figures: r.Figures}
	return next
}

// Apply returns g as it is to judge at this kiosk: the pitch of a straight look
// by the mounting height (focus), the face widths by the marked place and the
// field of view (distance), and the detail of a clean lens (lens). What was not
// commissioned stays as it is. The error names what makes a capture impossible.
func (p Profile) Apply(g guidance.Profile) (guidance.Profile, error) {
	if s, ok := p.Steps[kiosk.FocusStep]; ok {
		pitch := float32(s.Figures["pitch"])
		if !(pitch >= pitchMin && pitch <= pitchMax) {
			return g, fmt.Errorf("focus: a pitch of %g is outside %d..%d", pitch, pitchMin, pitchMax)
		}
		g.PitchZero = pitch
	}
	if s, ok := p.Steps[kiosk.DistanceStep]; ok {
		f := func(name string) float32 { return float32(s.Figures[name]) }
		g.Far, g.Near = guidance.Span{Min: f("far_min"), Max: f("far_max")}, guidance.Span{Min: f("near_min"), Max: f("near_max")}
	}
	if s, ok := p.Steps[kiosk.LensStep]; ok && s.Note == kiosk.NoNote {
		g.Detail = float32(s.Figures["detail"])
	}
	if err := g.Validate(); err != nil {
		return g, fmt.Errorf("guidance by the profile: %w", err)
	}
	return g, nil
}

// Latency returns how long after a change was drawn the camera's picture shows it,
// median and what is between the quartiles, and whether that is known.
func (p Profile) Latency() (median, spread time.Duration, known bool) {
	s, ok := p.Steps[kiosk.LatencyStep]
	if !ok || s.Note != kiosk.NoNote {
		return 0, 0, false
	}
	of := func(name string) time.Duration { return time.Duration(s.Figures[name] * float64(time.Millisecond)) }
	return of("ms"), of("spread_ms"), true
}

// Readings returns what was passed, in the order of the steps.
func (p Profile) Readings() []kiosk.Reading {
	all := []kiosk.Reading{}
	for _, s := range kiosk.Steps() {
		if r, ok := p.Steps[s]; ok {
			if r.Figures == nil {
				r.Figures = map[string]float64{}
			}
			all = append(all, kiosk.Reading{Step: s, Note: r.Note, Progress: 1, Figures: r.Figures, Ended: true, Passed: true})
		}
	}
	return all
}
