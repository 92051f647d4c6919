// Package guidancetest walks simulated visitors up to the kiosk. They read the
// hint on the screen and do what it says as people do: late, and not quite.
//
// All of it is deterministic: a visitor is what the seed makes of them.
package guidancetest

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"livekiosk/kiosk"
)

// What is the same for all visitors.
const (
	reaction = 800 * time.Millisecond // from a hint on the screen to what is done about it
	pace     = 0.5                    // of walking, leaning and bending, metres a second
	turning  = 60                     // of the head, degrees a second
	wrong    = 10                     // by how much somebody turns wrongly now and then, degrees
	often    = 0.2                    // share of what is done in which they do
	stretch  = 0.04                   // how much taller somebody can make themselves, metres
	stoop    = 0.40                   // and how much smaller
	tick     = 10 * time.Millisecond  // in which they move on
)

// A Body is where a face is and how it is held.
type Body struct {
	X, Y, Away       float64 // of its centre from the camera, metres: right and down in its image, and along its axis
	Yaw, Pitch, Roll float64 // beside facing the camera, degrees, signed as kiosk.Assessment signs them
	Size             float64 // of the head, of an adult's mean
}

// A Visitor walks up from afar to a place of their own choice, and does what the
// screen says. Being used changes them.
type Visitor struct {
	Eyes  float64 // over the camera when they stand, metres
	Place float64 // how far from the camera they come by themselves, metres

	rng  *rand.Rand
	body Body // without swaying
	goal Body // what it is moving to
	now  time.Duration

	walking bool          // up, by themselves
	arrived time.Duration // when that ended
	shown   []shown       // the newest last
	read    kiosk.Hint    // what they are doing, or did last
	done    time.Duration // when they had done it

	slip   float64 // of head and path, degrees, while they do it
	phases [5]float64
}

// A shown is what the screen said from a time on.
type shown struct {
	at   time.Duration
	view kiosk.View
}

// NewVisitor returns the visitor of a seed, who sets out at a time. A standing
// visitor's eyes are 4 cm over the camera in the mean, with a standard deviation
// of 8 cm, which is that of adults.
func NewVisitor(seed uint64, at time.Duration) *Visitor {
	rng := rand.New(rand.NewPCG(seed, 11))
	between := func(a, b float64) float64 { return a + (b-a)*rng.Float64() }
	about := func(mean, deviation float64) float64 {
		return mean + deviation*max(-2.5, min(2.5, rng.NormFloat64()))
	}
	v := &Visitor{rng: rng, now: at, walking: true, Eyes: about(0.04, 0.08), Place: between(0.45, 1.1)}
	v.body = Body{
		X: between(-0.6, 0.6), Y: -v.Eyes, Away: between(1.8, 2.8),
		Yaw: about(0, 4), Pitch: about(0, 4), Roll: about(0, 3), Size: about(1, 0.04),
	}
	v.goal = v.body
	v.goal.X, v.goal.Away = about(0, 0.1), v.Place
	for i := range v.phases {
		v.phases[i] = between(0, 2*math.Pi)
	}
	return v
}

// Arrived is when the visitor first stood: at the place of their own choice, or
// where the screen told them to stop. It is false while they walk up.
func (v *Visitor) Arrived() (time.Duration, bool) { return v.arrived, !v.walking }

// Show has the screen say something else from a time on.
func (v *Visitor) Show(at time.Duration, view kiosk.View) {
	if n := len(v.shown); n > 0 && v.shown[n-1].view.Hint == view.Hint && v.shown[n-1].view.Pose == view.Pose {
		return
	}
	v.shown = append(v.shown, shown{at, view})
}

// At moves the visitor on to a time, which must not be before the last one, and
// returns where they are then.
func (v *Visitor) At(at time.Duration) Body {
	for v.now < at {
		v.now += tick
		v.look()
		v.move()
	}
	b := v.body
	// Nobody stands quite still.
	t := 2 * math.Pi * v.now.Seconds()
	b.X += 0.003 * math.Sin(t/3.1+v.phases[0])
	b.Y += 0.002 * math.Sin(t/2.3+v.phases[1])
	b.Away += 0.004 * math.Sin(t/2.7+v.phases[2])
	b.Yaw += math.Sin(t/4.7+v.phases[3]) + v.slip
	b.Pitch += 0.6 * math.Sin(t/3.7+v.phases[4])
	if v.walking {
		b.Y -= 0.01 * min(1, (v.body.Away-v.goal.Away)/0.3) * math.Abs(math.Sin(t)) // half a second a step, the last ones small
	}
	return b
}

// look finds what the screen said long enough ago to be acted upon.
func (v *Visitor) look() {
	for _, s := range slices.Backward(v.shown) {
		if s.at > v.now-reaction {
			continue
		}
		// What still stands is read again once it has been done.
		again := v.idle() && v.now-reaction >= v.done
		if s.view.Hint != v.read && (s.at >= v.done || v.idle()) || again {
			v.obey(s.view)
		}
		return
	}
}

func (v *Visitor) idle() bool { return v.body == v.goal && !v.walking }

// obey begins to do what the screen says.
func (v *Visitor) obey(view kiosk.View) {
	b := v.body
	fits := focal * faceBox * b.Size / float64(view.FaceGoal) // where the face fills the oval, metres away
	off := func(gap, least float64) float64 {                 // the way that is gone for a gap as it is seen
		k := max(0.5, min(1.5, 1+0.25*v.rng.NormFloat64()))
		return math.Copysign(max(least, math.Abs(gap)*k), gap)
	}
	to := v.goal
	switch view.Hint {
	case kiosk.GoodHold, kiosk.HoldStill, kiosk.Blurred, kiosk.NotNeutral:
		to = b
	case kiosk.FaceTooFar, kiosk.MoveCloser:
		to.Away = b.Away - off(max(b.Away-fits, 0), 0.03)
	case kiosk.FaceTooClose:
		to.Away = b.Away + off(max(fits-b.Away, 0), 0.03)
	case kiosk.MoveLeft, kiosk.MoveRight:
		to.X = b.X - off(b.X, 0.02)
	case kiosk.MoveUp, kiosk.MoveDown:
		to.Y = b.Y - off(b.Y, 0.02)
	case kiosk.NoFace: // but the visitor sees on the screen where they are
		if v.walking {
			return
		}
		to.X, to.Y, to.Away = b.X-off(b.X, 0), b.Y-off(b.Y, 0), b.Away-off(b.Away-fits, 0)
	case kiosk.TurnLeft, kiosk.TurnRight:
		to.Yaw = b.Yaw - off(b.Yaw, 2)
	case kiosk.ChinUp, kiosk.ChinDown:
		to.Pitch = b.Pitch - off(b.Pitch, 2)
	case kiosk.StraightenHead:
		to.Roll = b.Roll - off(b.Roll, 2)
	case kiosk.UnevenLight, kiosk.GlareSkin:
		to.X = b.X + off(0.05, 0)
	case kiosk.NoHint, kiosk.CameraBlocked, kiosk.MultipleFaces, kiosk.TooDark, kiosk.TooBright, kiosk.Backlit, kiosk.GlareGlasses, kiosk.LensSmudge,
		kiosk.Sunglasses, kiosk.Mask, kiosk.EyesCovered, kiosk.MouthCovered, kiosk.FaceCovered, kiosk.EyesClosed,
		kiosk.FlashWarning, kiosk.Processing, kiosk.SavedOffline, kiosk.TryAgain, kiosk.CallStaff:
		return // nothing that these visitors could do something about
	}
	if v.walking {
		if view.Hint == kiosk.FaceTooFar { // that is what they are doing
			return
		}
		v.walking, v.arrived = false, v.now
		if to.Away == v.goal.Away { // a hint that is not about the distance stops them, too
			to.Away = b.Away
		}
	}
	to.Y = max(-v.Eyes-stretch, min(-v.Eyes+stoop, to.Y))
	to.Away = max(0.25, to.Away)
	v.read, v.goal, v.slip = view.Hint, to, 0
	if to != b && v.rng.Float64() < often {
		v.slip = math.Copysign(wrong, v.rng.Float64()-0.5)
		v.goal.X += math.Abs(to.Away-b.Away) * math.Tan(v.slip*math.Pi/180)
	}
}

// move brings the body nearer to its goal by one tick.
func (v *Visitor) move() {
	b, g := &v.body, v.goal
	if *b == g {
		return
	}
	toward := func(from *float64, to, most float64) { *from += max(-most, min(most, to-*from)) }
	way := math.Hypot(math.Hypot(g.X-b.X, g.Y-b.Y), g.Away-b.Away)
	if step := pace * tick.Seconds(); way <= step {
		b.X, b.Y, b.Away = g.X, g.Y, g.Away
	} else {
		b.X += (g.X - b.X) * step / way
		b.Y += (g.Y - b.Y) * step / way
		b.Away += (g.Away - b.Away) * step / way
	}
	turn := turning * tick.Seconds()
	toward(&b.Yaw, g.Yaw, turn)
	toward(&b.Pitch, g.Pitch, turn)
	toward(&b.Roll, g.Roll, turn)
	if *b != g {
		return
	}
	v.slip = 0
	if v.walking {
		v.walking, v.arrived = false, v.now
		return // what the screen has said meanwhile was read
	}
	v.done = v.now
}
