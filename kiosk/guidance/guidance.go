// Package guidance decides which one hint the visitor sees.
//
// It is pure: the same assessments at the same times give the same hints, bit
// for bit on every architecture. It therefore computes in float32 and rounds
// each product explicitly, since some processors fuse a multiplication with
// the addition after it.
package guidance

import (
	"errors"
	"fmt"
	"math"
	"time"

	"livekiosk/kiosk"
)

// A Span is an accepted range, both ends included.
type Span struct {
	Min float32 `json:"min"`
	Max float32 `json:"max"`
}

// mid returns the middle of s.
func (s Span) mid() float32 { return (s.Min + s.Max) / 2 }

// A Profile is how one kiosk judges a face: it depends on the camera's field
// of view and the mounting. Lengths are fractions of the frame's short side,
// so that a profile holds for every resolution.
type Profile struct {
	CenterX float32 `json:"center_x"` // where the face should be / frame width
	CenterY float32 `json:"center_y"` // / frame height
	Off     float32 `json:"off"`      // accepted distance of the face's centre from there, each axis
	OffNear float32 `json:"off_near"` // and in the near pose, as long as the face stays in the picture; 0: as Off
	Far     Span    `json:"far"`      // accepted face width in the far pose
	Near    Span    `json:"near"`     // and in the near pose

	FrameLumaMin  float32 `json:"frame_luma_min"` // below: the lens is covered
	Luma          Span    `json:"luma"`           // mean face luma, 0..255
	OverMax       float32 `json:"over_max"`       // over-exposed share of the face
	BacklitRatio  float32 `json:"backlit_ratio"`  // background luma / face luma
	UnevenMax     float32 `json:"uneven_max"`     // cheek difference / face luma
	AngleMax      float32 `json:"angle_max"`      // yaw, pitch, roll: degrees
	PitchZero     float32 `json:"pitch_zero"`     // pitch that a face reads when it looks straight at this camera: degrees
	EyesMin       float32 `json:"eyes_min"`       // eye opening / T
	SharpnessMin  float32 `json:"sharpness_min"`  // luma²
	IEDMin        float32 `json:"ied_min"`        // pixels
	SecondFaceMin float32 `json:"second_min"`     // a smaller second face is somebody in the background

	// What covers the face or shines on it, as kiosk.Cover measures it, and what
	// else a trace of format 1 has no limit for. A limit of 0 is none: the hint is
	// never shown.
	EyesCoverMax  float32 `json:"eyes_cover_max"`  // share of an eye that is covered
	MouthCoverMax float32 `json:"mouth_cover_max"` // of the mouth
	CheekCoverMax float32 `json:"cheek_cover_max"` // of a cheek
	MaskMin       float32 `json:"mask_min"`        // of mouth, chin and cheeks together: from here on it is a mask
	ShadeMax      float32 `json:"shade_max"`       // darkness of both eyes
	BarMin        float32 `json:"bar_min"`         // share of the nose from which what darkens both eyes is no pair of glasses
	GlareEyesMax  float32 `json:"glare_eyes_max"`  // highlights on an eye
	GlareSkinMax  float32 `json:"glare_skin_max"`  // and on the face
	MouthMax      float32 `json:"mouth_max"`       // mouth opening / T; guides, never gates
	LidsMax       float32 `json:"lids_max"`        // eye opening / T, from EyesMin up to which eyes may be closed all the same
	IrisMin       float32 `json:"iris_min"`        // and are if less than this of T is dark in one of them
	Detail        float32 `json:"detail"`          // of the background, as Detail measures it, when the lens was clean
	DetailMin     float32 `json:"detail_min"`      // share of Detail that must be left
	MotionMax     float32 `json:"motion_max"`      // face widths a second that the face may move: more smears the picture

	Slack float32       `json:"slack"` // hysteresis: a shown hint goes only when its value is better by this share
	Dwell time.Duration `json:"dwell"` // a hint stays at least this long
	Hold  time.Duration `json:"hold"`  // how long all must be good for a capture
}

// Standard is the profile of a camera at eye height with a field of view of
// about 70 degrees. The anchors of its numbers are in DESIGN.md. PitchZero is
// what the face mesh reads, between -3 and -13 degrees, for portraits of people
// who look straight ahead.
func Standard() Profile {
	return Profile{
		CenterX: 0.5, CenterY: 0.5, Off: 0.165, OffNear: 0.26,
		Far: Span{0.27, 0.40}, Near: Span{0.43, 0.64},
		FrameLumaMin: 12, Luma: Span{40, 220}, OverMax: 0.05, BacklitRatio: 2.6, UnevenMax: 0.6,
		AngleMax: 15, PitchZero: -6, EyesMin: 0.03, SharpnessMin: 31, IEDMin: 70, SecondFaceMin: 0.3,
		EyesCoverMax: 0.5, MouthCoverMax: 0.25, CheekCoverMax: 0.5, MaskMin: 0.54, ShadeMax: 0.6, BarMin: 0.38,
		GlareEyesMax: 0.04, GlareSkinMax: 0.025, MouthMax: 0.15, LidsMax: 0.066, IrisMin: 0.045, DetailMin: 0.64, MotionMax: 0.5,
		Slack: 0.06, Dwell: 700 * time.Millisecond, Hold: 700 * time.Millisecond,
	}
}

// Validate names the first value that makes a capture impossible: spans,
// tolerances and times. The limits of light, angle and sharpness are the
// installer's.
func (p Profile) Validate() error {
	for _, s := range []struct {
		name string
		span Span
		top  float32
	}{{"far", p.Far, 1}, {"near", p.Near, 1}, {"luma", p.Luma, 255}} {
		if s.span.Min <= 0 || s.span.Max <= s.span.Min || s.span.Max > s.top {
			return fmt.Errorf("%s: want 0 < min < max <= %g, have %g to %g", s.name, s.top, s.span.Min, s.span.Max)
		}
	}
	switch {
	case p.Near.mid() <= p.Far.mid():
		return errors.New("near: must be closer than far")
	case p.Off <= 0 || p.Off > 0.5:
		return fmt.Errorf("off: %g is outside 0..0.5", p.Off)
	case p.OffNear < 0 || p.OffNear > 0.5:
		return fmt.Errorf("off_near: %g is outside 0..0.5", p.OffNear)
	case p.Detail < 0 || p.DetailMin < 0 || p.DetailMin > 0.95:
		return fmt.Errorf("detail: %g and %g are outside 0.. and 0..0.95", p.Detail, p.DetailMin)
	case p.MotionMax < 0:
		return fmt.Errorf("motion_max: %g is below 0", p.MotionMax)
	case p.Slack < 0 || p.Slack > 0.5:
		return fmt.Errorf("slack: %g is outside 0..0.5", p.Slack)
	case p.Dwell < 0 || p.Dwell > 5*time.Second:
		return fmt.Errorf("dwell: %v is outside 0..5s", p.Dwell)
	case p.Hold < 100*time.Millisecond || p.Hold > 5*time.Second:
		return fmt.Errorf("hold: %v is outside 100ms..5s", p.Hold)
	}
	return nil
}

// Goal returns the width of the oval in the given pose as a share of the
// frame's short side.
func (p Profile) Goal(pose kiosk.Pose) float32 { return p.span(pose).mid() }

func (p Profile) span(pose kiosk.Pose) Span {
	if pose == kiosk.Near {
		return p.Near
	}
	return p.Far
}

// State is what guidance remembers within one pose of one attempt. The zero
// value is its beginning.
type State struct {
	Hint  kiosk.Hint    `json:"hint"`  // on screen
	Since time.Duration `json:"since"` // when it came on screen
	Raw   kiosk.Hint    `json:"raw"`   // what the newest frame alone would say
	From  time.Duration `json:"from"`  // since when every frame has been Good; only while Good
	Ring  float32       `json:"ring"`  // 0..1; never falls

	Trail  Trail   `json:"trail,omitzero"`
	Motion float32 `json:"motion,omitempty"` // how fast the face moves: face widths a second
}

// A Trail follows a face some way behind it. The zero value follows none.
type Trail struct {
	At    time.Duration `json:"at"`    // of the frame
	Edges [4]float32    `json:"edges"` // left, top, right and bottom of the face's box, pixels
	Turn  [3]float32    `json:"turn"`  // yaw, pitch and roll, degrees
}

// Good reports whether the newest frame fits and the visitor is not being told
// otherwise: only such frames count for a capture. A face that is not neutral
// fits; and who is told to hold still, and does, is not told otherwise.
func (s State) Good() bool { return (fits(s.Hint) || s.Hint == kiosk.HoldStill) && fits(s.Raw) }

func fits(h kiosk.Hint) bool { return h == kiosk.GoodHold || h == kiosk.NotNeutral }

// Detail returns how much detail the background has in a, whatever the exposure.
// It is 0 where too little of it is in sight.
func Detail(a kiosk.Assessment) float32 { return a.Detail }

// Step judges one frame in the given pose.
func (p Profile) Step(s State, at time.Duration, pose kiosk.Pose, a kiosk.Assessment) State {
	before := s.Good()
	s = s.follow(a)
	s.Raw = p.judge(s, pose, a).Hint
	switch {
	case s.Hint == s.Raw:
	case s.Hint == kiosk.NoHint, at-s.Since >= p.Dwell:
		s.Hint, s.Since = s.Raw, at
	}
	ring := float32(0.25)
	if a.Faces > 0 {
		ring += float32(0.5 * p.overlap(a, pose))
	}
	if s.Good() {
		if !before {
			s.From = at
		}
		held := float32(at-s.From) / float32(p.Hold)
		ring = 0.75 + float32(0.25*min(held, 1))
	}
	s.Ring = max(s.Ring, ring)
	return s
}

// behind is how far a trail lags behind a face that moves evenly. The detector's
// box trembles by a hundredth of its width from frame to frame: over so long that
// is little beside a motion that can be seen.
const behind = 150 * time.Millisecond

// follow measures how fast the face moves, by the times of the frames: the edge
// of its box that moves fastest, or what a turning head does half a face width
// from its axis.
func (s State) follow(a kiosk.Assessment) State {
	if a.Faces == 0 {
		s.Trail, s.Motion = Trail{}, 0
		return s
	}
	now := Trail{
		At:    a.At,
		Edges: [4]float32{float32(a.Face.Min.X), float32(a.Face.Min.Y), float32(a.Face.Max.X), float32(a.Face.Max.Y)},
		Turn:  [3]float32{a.Yaw, a.Pitch, a.Roll},
	}
	since := now.At - s.Trail.At
	if s.Trail == (Trail{}) || since <= 0 || a.Face.Dx() <= 0 {
		s.Trail, s.Motion = now, 0
		return s
	}
	share := float32(since) / float32(since+behind)
	var edges, turn float32
	for i, v := range now.Edges {
		s.Trail.Edges[i] += float32(share * (v - s.Trail.Edges[i]))
		edges = max(edges, v-s.Trail.Edges[i], s.Trail.Edges[i]-v)
	}
	for i, v := range now.Turn {
		s.Trail.Turn[i] += float32(share * (v - s.Trail.Turn[i]))
		turn = max(turn, v-s.Trail.Turn[i], s.Trail.Turn[i]-v)
	}
	const radius = 0.5 * math.Pi / 180 // face widths a degree
	s.Trail.At = now.At
	s.Motion = max(edges/float32(a.Face.Dx()), float32(radius*turn)) / float32(behind.Seconds())
	return s
}

// Held reports whether everything was good for long enough, without a break.
func (p Profile) Held(s State, at time.Duration) bool { return s.Good() && at-s.From >= p.Hold }

// A Cause is why a frame gets its hint.
type Cause struct {
	Hint  kiosk.Hint `json:"hint"`
	Limit string     `json:"limit,omitempty"` // the profile's key of the limit that was passed; "" if nothing is wrong
	Value float32    `json:"value"`           // what was measured
	Bound float32    `json:"bound"`           // the limit, with the slack of a hint that is on screen
}

// Explain returns what Step would say of one frame alone, and why.
func (p Profile) Explain(s State, pose kiosk.Pose, a kiosk.Assessment) Cause {
	return p.judge(s.follow(a), pose, a)
}

// A finding is one limit, and whether it was passed.
type finding struct {
	wrong        bool
	limit        string
	value, bound float32
}

// or returns f, or g where only that was passed.
func (f finding) or(g finding) finding {
	if f.wrong {
		return f
	}
	return g
}

// when returns f, not passed unless ok.
func (f finding) when(ok bool) finding {
	f.wrong = f.wrong && ok
	return f
}

// judge returns the most urgent hint for one frame, or GoodHold. The hint on
// screen is harder to leave than to meet, so that it does not flicker.
func (p Profile) judge(s State, pose kiosk.Pose, a kiosk.Assessment) Cause {
	over := func(h kiosk.Hint, key string, value, limit float32) finding {
		if h == s.Hint {
			limit -= float32(p.Slack * limit)
		}
		return finding{value > limit, key, value, limit}
	}
	under := func(h kiosk.Hint, key string, value, limit float32) finding {
		if h == s.Hint {
			limit += float32(p.Slack * limit)
		}
		return finding{value < limit, key, value, limit}
	}
	// beyond is over for limits that may be 0.
	beyond := func(h kiosk.Hint, key string, value, limit float32) finding {
		return over(h, key, value, limit).when(limit > 0)
	}
	short := float32(min(a.Size.X, a.Size.Y))
	if short <= 0 {
		return Cause{Hint: kiosk.CameraBlocked, Limit: "frame_luma_min", Bound: p.FrameLumaMin}
	}
	detail := Detail(a)
	// What covers or shines on a face is no light that falls on it.
	bare := a.Cover.Face < 0.2 && a.Cover.Cheeks < 0.25
	// Of a head turned away one cheek and that end of the mouth are not seen, and what is behind them is.
	away := max(a.Yaw, -a.Yaw) > float32(1.3*p.AngleMax)
	// Sunglasses leave most of the nose and the forehead.
	dark := p.ShadeMax > 0 && (p.BarMin <= 0 || a.Cover.Nose < p.BarMin && a.Cover.Forehead < 0.5)
	width := float32(a.Face.Dx()) / short
	// Offsets of the face's centre, in short sides; positive is right and down in the camera's image.
	dx := (float32(a.Face.Min.X+a.Face.Max.X)/2 - float32(p.CenterX*float32(a.Size.X))) / short
	dy := (float32(a.Face.Min.Y+a.Face.Max.Y)/2 - float32(p.CenterY*float32(a.Size.Y))) / short
	offX, offY := p.Off, p.Off
	if pose == kiosk.Near && p.OffNear > 0 {
		offX = min(p.OffNear, float32(float32(a.Size.X)/short-width)/2)
		offY = min(p.OffNear, float32(float32(a.Size.Y)/short-width)/2)
	}
	far, goal := kiosk.FaceTooFar, "far"
	if pose == kiosk.Near {
		far, goal = kiosk.MoveCloser, "near"
	}
	span, ied := p.span(pose), p.IEDMin
	eyes := beyond(kiosk.EyesCovered, "eyes_cover_max", a.Cover.Eyes, p.EyesCoverMax)
	if turned := max(a.Yaw, -a.Yaw, a.Pitch-p.PitchZero, p.PitchZero-a.Pitch) > 15; eyes.wrong || turned {
		// A face whose eyes are covered, or that is turned so far, is found up to a sixth too small or too large.
		span, ied = Span{float32(0.83 * span.Min), float32(1.17 * span.Max)}, float32(0.83*ied)
	}
	// A mouth that is seen to be open is not covered, and reads as closed if it is.
	open := beyond(kiosk.NotNeutral, "mouth_max", a.MouthOpen, p.MouthMax).wrong
	// A blurred picture shows no iris, either, and a face in it seems to nod.
	soft := under(kiosk.Blurred, "sharpness_min", a.Sharpness, p.SharpnessMin)
	irisless := under(kiosk.EyesClosed, "iris_min", a.Cover.Irises, p.IrisMin).wrong && !soft.wrong
	// What moves is smeared: to hold still helps, and to hear that it is blurred does not.
	moves := beyond(kiosk.HoldStill, "motion_max", s.Motion, p.MotionMax)
	for _, c := range []struct {
		hint kiosk.Hint
		finding
	}{
		{kiosk.CameraBlocked, under(kiosk.CameraBlocked, "frame_luma_min", a.Luma, p.FrameLumaMin)},
		{kiosk.NoFace, finding{a.Faces == 0, "faces", 0, 1}},
		{kiosk.MultipleFaces, over(kiosk.MultipleFaces, "second_min", a.Second, p.SecondFaceMin).when(a.Faces > 1)},
		{far, under(far, goal+".min", width, span.Min).or(under(far, "ied_min", a.IED, ied))},
		{kiosk.FaceTooClose, over(kiosk.FaceTooClose, goal+".max", width, span.Max)},
		// A face at the left of the camera's image is at the person's own right.
		{kiosk.MoveLeft, over(kiosk.MoveLeft, "off", -dx, offX)},
		{kiosk.MoveRight, over(kiosk.MoveRight, "off", dx, offX)},
		{kiosk.MoveUp, over(kiosk.MoveUp, "off", dy, offY)},
		{kiosk.MoveDown, over(kiosk.MoveDown, "off", -dy, offY)},
		{kiosk.TooDark, under(kiosk.TooDark, "luma.min", a.FaceLuma, p.Luma.Min)},
		{kiosk.TooBright, over(kiosk.TooBright, "luma.max", a.FaceLuma, p.Luma.Max).or(over(kiosk.TooBright, "over_max", a.Over-a.Cover.GlareSkin, p.OverMax))},
		{kiosk.Backlit, over(kiosk.Backlit, "backlit_ratio", a.Background, float32(p.BacklitRatio*a.FaceLuma)).when(bare)},
		{kiosk.UnevenLight, over(kiosk.UnevenLight, "uneven_max", a.Uneven, p.UnevenMax).when(bare)},
		{kiosk.GlareGlasses, beyond(kiosk.GlareGlasses, "glare_eyes_max", a.Cover.GlareEyes, p.GlareEyesMax)},
		{kiosk.GlareSkin, beyond(kiosk.GlareSkin, "glare_skin_max", a.Cover.GlareSkin, p.GlareSkinMax)},
		{kiosk.LensSmudge, under(kiosk.LensSmudge, "detail_min", detail, float32(p.DetailMin*p.Detail)).when(detail > 0 && pose == kiosk.Far)},
		{kiosk.Sunglasses, over(kiosk.Sunglasses, "shade_max", a.Cover.Shade, p.ShadeMax).when(dark)},
		// What is held before the mouth leaves the cheeks, where a mask does not.
		{kiosk.Mask, beyond(kiosk.Mask, "mask_min", a.Cover.Lower, p.MaskMin).when(a.Cover.Cheeks > 0.2)},
		{kiosk.EyesCovered, eyes},
		{kiosk.MouthCovered, beyond(kiosk.MouthCovered, "mouth_cover_max", a.Cover.Mouth, p.MouthCoverMax).when(!open && !away)},
		{kiosk.FaceCovered, beyond(kiosk.FaceCovered, "cheek_cover_max", a.Cover.Cheeks, p.CheekCoverMax).when(!away)},
		{kiosk.TurnRight, over(kiosk.TurnRight, "angle_max", a.Yaw, p.AngleMax)},
		{kiosk.TurnLeft, over(kiosk.TurnLeft, "angle_max", -a.Yaw, p.AngleMax)},
		{kiosk.ChinDown, over(kiosk.ChinDown, "angle_max", a.Pitch-p.PitchZero, p.AngleMax).when(!soft.wrong)},
		{kiosk.ChinUp, over(kiosk.ChinUp, "angle_max", p.PitchZero-a.Pitch, p.AngleMax).when(!soft.wrong)},
		{kiosk.StraightenHead, over(kiosk.StraightenHead, "angle_max", a.Roll, p.AngleMax).or(over(kiosk.StraightenHead, "angle_max", -a.Roll, p.AngleMax))},
		{kiosk.EyesClosed, under(kiosk.EyesClosed, "eyes_min", a.EyesOpen, p.EyesMin).or(
			under(kiosk.EyesClosed, "lids_max", a.EyesOpen, p.LidsMax).when(irisless))},
		{kiosk.Blurred, soft.when(!moves.wrong)},
		{kiosk.HoldStill, moves},
		// Last, because it does not gate: it must hide nothing that does.
		{kiosk.NotNeutral, beyond(kiosk.NotNeutral, "mouth_max", a.MouthOpen, p.MouthMax)},
	} {
		if c.wrong {
			return Cause{c.hint, c.limit, c.value, c.bound}
		}
	}
	return Cause{Hint: kiosk.GoodHold}
}

// overlap returns the intersection over union of the face's box with the goal
// square in the given pose, 0..1.
func (p Profile) overlap(a kiosk.Assessment, pose kiosk.Pose) float32 {
	short := float32(min(a.Size.X, a.Size.Y))
	half := float32(p.Goal(pose)*short) / 2
	cx, cy := float32(p.CenterX*float32(a.Size.X)), float32(p.CenterY*float32(a.Size.Y))
	w := min(float32(a.Face.Max.X), cx+half) - max(float32(a.Face.Min.X), cx-half)
	h := min(float32(a.Face.Max.Y), cy+half) - max(float32(a.Face.Min.Y), cy-half)
	if w <= 0 || h <= 0 {
		return 0
	}
	both := float32(w * h)
	all := float32(float32(a.Face.Dx())*float32(a.Face.Dy())) + float32(4*float32(half*half)) - both
	if all <= 0 {
		return 0
	}
	return both / all
}
