package commission

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/guidance"
)

// What a step asks of the frames that it keeps. All are our own, chosen stricter
// than what guidance asks of visitors: light and lens only get worse.
const (
	steadyFor = 1200 * time.Millisecond // all must be good
	leastN    = 5                       // frames in that time
	gap       = time.Second             // between two of them, at most: a slow board sees a frame a second

	sharpTimes   = 1.5  // sharpness over what guidance asks
	rollMost     = 5    // degrees of a straight head before a level camera
	lumaLow      = 60.  // face luma
	lumaHigh     = 200. // face luma
	overMost     = 0.02 // share of the face that is white
	unevenTimes  = 0.8  // of what guidance accepts
	backlitTimes = 0.8  // of what guidance accepts
	detailLeast  = 0.05 // noise alone gives 0.02; under it a clean lens cannot be told from a smeared one
	detailSpread = 0.25 // between the quartiles, of the median
	faceSpread   = 0.05 // between the quartiles, of the median
	angleMost    = 15.  // yaw, degrees
	secondMost   = 0.3  // second face to first
	offMost      = 0.12 // of the face from the middle across, shares of the short side
	offMostDown  = 0.25 // and down: people are of many heights

	pitchMin, pitchMax = -25, 15 // degrees that a straight look may read

	eyesApart = 6.3  // cm between an adult's eyes, on average
	nearLeast = 25.  // cm: nobody is asked closer to the lens
	nearWidth = 0.8  // face width in the near pose, at most
	eyesSpare = 1.05 // over the least inter-eye distance, for a small head
)

// A Watch looks at frames for one step, until it was passed.
type Watch struct {
	task  kiosk.Task
	guide guidance.Profile
	kept  []frame
}

// A frame is what was read off one.
type frame struct {
	at time.Duration
	f  map[string]float64
}

// NewWatch returns a watch for a step that frames of faces decide: any but
// kiosk.LatencyStep, see [Latency]. Guide is what sessions are judged by so far.
func NewWatch(t kiosk.Task, guide guidance.Profile) (*Watch, error) {
	switch {
	case !slices.Contains(kiosk.Steps(), t.Step) || t.Step == kiosk.LatencyStep:
		return nil, fmt.Errorf("there is no step %q for faces", t.Step)
	case t.Step == kiosk.DistanceStep && !(t.Distance >= 20 && t.Distance <= 300):
		return nil, errors.New("the distance of the marked place is needed, 20 to 300 cm from the camera")
	case t.Height != 0 && !(t.Height >= 30 && t.Height <= 250):
		return nil, errors.New("the height of the lens is 30 to 250 cm, or not told")
	}
	return &Watch{task: t, guide: guide}, nil
}

// Saw looks at one frame and returns how the step stands. Once it has ended,
// its figures are medians over the frames of the last moments.
func (w *Watch) Saw(a kiosk.Assessment) kiosk.Reading {
	r := kiosk.Reading{Step: w.task.Step, Figures: w.figures(a)}
	if r.Note = w.note(a, r.Figures); r.Note != kiosk.NoNote {
		w.kept = nil
		return r
	}
	if n := len(w.kept); n > 0 && a.At-w.kept[n-1].at > gap {
		w.kept = nil
	}
	w.kept = append(w.kept, frame{a.At, r.Figures})
	r.Progress = min(1, float32(a.At-w.kept[0].at)/float32(steadyFor), float32(len(w.kept))/leastN)
	if r.Progress < 1 {
		return r
	}
	if r.Note = w.steady(); r.Note != kiosk.NoNote {
		w.kept = w.kept[1:] // the oldest may be of somebody who was still walking
		return r
	}
	return w.end(r)
}

// figures are those of one frame, for the step.
func (w *Watch) figures(a kiosk.Assessment) map[string]float64 {
	short := float64(min(a.Size.X, a.Size.Y))
	if a.Faces == 0 || short <= 0 {
		return map[string]float64{}
	}
	switch w.task.Step {
	case kiosk.FocusStep:
		x := (float64(a.Face.Min.X+a.Face.Max.X)/2 - float64(w.guide.CenterX)*float64(a.Size.X)) / short
		y := (float64(a.Face.Min.Y+a.Face.Max.Y)/2 - float64(w.guide.CenterY)*float64(a.Size.Y)) / short
		f := map[string]float64{"sharpness": float64(a.Sharpness), "roll": float64(a.Roll), "pitch": float64(a.Pitch), "offset_x": x, "offset_y": y}
		if w.task.Height > 0 {
			f["height_cm"] = w.task.Height
		}
		return f
	case kiosk.ExposureStep:
		return map[string]float64{"face_luma": float64(a.FaceLuma), "over": float64(a.Over), "under": float64(a.Under), "uneven": float64(a.Uneven)}
	case kiosk.BackgroundStep:
		q := a.Quality.BackgroundUniformity
		return map[string]float64{"luma_ratio": float64(a.Background) / math.Max(1, float64(a.FaceLuma)), "gradient": float64(q.Raw), "uniformity": float64(q.Q)}
	case kiosk.LensStep:
		return map[string]float64{"detail": float64(guidance.Detail(a))}
	case kiosk.DistanceStep:
		return map[string]float64{
			"distance_cm": w.task.Distance, "face": float64(a.Face.Dx()) / short, "eyes": float64(a.IED) / short, "eyes_px": float64(a.IED),
		}
	case kiosk.LatencyStep:
	}
	return nil
}

// note is what is wrong with one frame.
func (w *Watch) note(a kiosk.Assessment, f map[string]float64) kiosk.Note {
	roll := math.Abs(float64(a.Roll))
	switch {
	case a.Faces == 0 || len(f) == 0:
		return kiosk.NobodyNote
	case a.Faces > 1 && a.Second >= secondMost:
		return kiosk.CrowdNote
	case math.Abs(float64(a.Yaw)) > angleMost, float64(a.Pitch) < pitchMin, float64(a.Pitch) > pitchMax:
		return kiosk.TurnedNote
	}
	switch w.task.Step {
	case kiosk.FocusStep:
		switch {
		case a.Sharpness < sharpTimes*w.guide.SharpnessMin:
			return kiosk.BlurredNote
		case math.Abs(f["offset_x"]) > offMost, math.Abs(f["offset_y"]) > offMostDown:
			return kiosk.OffCentreNote
		case roll > rollMost:
			return kiosk.TiltedNote
		}
	case kiosk.ExposureStep:
		switch {
		case f["face_luma"] < lumaLow:
			return kiosk.DarkNote
		case f["face_luma"] > lumaHigh:
			return kiosk.BrightNote
		case f["over"] > overMost:
			return kiosk.ClippedNote
		case f["uneven"] > unevenTimes*float64(w.guide.UnevenMax):
			return kiosk.UnevenNote
		}
	case kiosk.BackgroundStep, kiosk.LensStep:
		switch width := float32(a.Face.Dx()) / float32(min(a.Size.X, a.Size.Y)); {
		case width < w.guide.Far.Min, width > w.guide.Far.Max:
			return kiosk.OffPlaceNote // how much of the background is seen, and how sharp, goes with it
		case a.Sharpness < w.guide.SharpnessMin:
			return kiosk.BlurredNote
		case w.task.Step == kiosk.BackgroundStep && f["luma_ratio"] > backlitTimes*float64(w.guide.BacklitRatio):
			return kiosk.BacklitNote
		}
	case kiosk.DistanceStep, kiosk.LatencyStep:
	}
	return kiosk.NoNote
}

// steady is what keeps the frames that were kept from being one measurement.
func (w *Watch) steady() kiosk.Note {
	name, most := "", 0.
	switch w.task.Step {
	case kiosk.LensStep:
		name, most = "detail", detailSpread
	case kiosk.DistanceStep:
		name, most = "face", faceSpread
	case kiosk.FocusStep, kiosk.ExposureStep, kiosk.BackgroundStep, kiosk.LatencyStep:
		return kiosk.NoNote
	}
	if mid, spread := w.median(name); mid >= detailLeast && spread > most*mid || name == "face" && spread > most*mid {
		return kiosk.MovingNote
	}
	return kiosk.NoNote
}

// median returns the median of a figure and what is between its quartiles.
func (w *Watch) median(name string) (mid, spread float64) {
	all := make([]float64, 0, len(w.kept))
	for _, one := range w.kept {
		all = append(all, one.f[name])
	}
	return middle(all)
}

func middle(all []float64) (mid, spread float64) {
	slices.Sort(all)
	return all[len(all)/2], all[len(all)*3/4] - all[len(all)/4]
}

// end is what is kept.
func (w *Watch) end(r kiosk.Reading) kiosk.Reading {
	r.Figures = maps.Clone(r.Figures)
	for name := range r.Figures {
		r.Figures[name], _ = w.median(name)
	}
	r.Ended, r.Passed = true, true
	switch w.task.Step {
	case kiosk.LensStep:
		if r.Figures["detail"] < detailLeast {
			r.Note = kiosk.PlainNote
		}
	case kiosk.DistanceStep:
		r.Note = distances(r.Figures, w.guide)
		r.Passed = r.Note == kiosk.NoNote
	case kiosk.FocusStep, kiosk.ExposureStep, kiosk.BackgroundStep, kiosk.LatencyStep:
	}
	return r
}

// distances adds to f what follows from the size of a face at the marked place:
// the far pose is there, the near one as much nearer as guide has it. It returns
// why the place cannot be used; "try_cm" is then one that can.
func distances(f map[string]float64, guide guidance.Profile) kiosk.Note {
	cm, face, far, near := f["distance_cm"], f["face"], float64(guide.Goal(kiosk.Far)), float64(guide.Goal(kiosk.Near))
	scale := face / far
	f["view_degrees"] = 2 * math.Atan(eyesApart/f["eyes"]/2/cm) * 180 / math.Pi
	f["far_cm"], f["near_cm"] = cm, cm*far/near
	f["far_min"], f["far_max"] = scale*float64(guide.Far.Min), scale*float64(guide.Far.Max)
	f["near_min"], f["near_max"] = scale*float64(guide.Near.Min), scale*float64(guide.Near.Max)
	eyes := f["eyes_px"] * float64(guide.Far.Min) / far // at the far end of what is accepted
	nearest := max(cm*f["near_max"]/nearWidth, nearLeast*near/far)
	farthest := cm * eyes / (eyesSpare * float64(guide.IEDMin))
	switch {
	case cm > farthest:
		f["try_cm"] = math.Floor(farthest)
		return kiosk.TooFarNote
	case cm < nearest:
		f["try_cm"] = math.Ceil(nearest)
		return kiosk.TooNearNote
	}
	return kiosk.NoNote
}
