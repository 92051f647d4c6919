package replay_test

import (
	"image"
	"math"
	"sync"
	"testing"
	"time"

	"livekiosk/camera"
	"livekiosk/camera/jpeg"
	"livekiosk/camera/replay"
	"livekiosk/inference"
	"livekiosk/inference/inferencetest"
	"livekiosk/kiosk"
	"livekiosk/kiosk/guidance"
)

// A sight is what the kiosk should make of a clip at one time.
type sight struct {
	name string
	at   time.Duration
	pose kiosk.Pose // that the kiosk asks for by then
	hint kiosk.Hint
	hold bool // the visitor keeps still, to be captured
}

func walk() []sight {
	const ms = time.Millisecond
	return []sight{
		{"nobody is there", 500 * ms, kiosk.Far, kiosk.NoFace, false},
		{"the visitor walks up", 2300 * ms, kiosk.Far, kiosk.FaceTooFar, false},
		{"the visitor stands to the left of the picture", 4600 * ms, kiosk.Far, kiosk.MoveLeft, false},
		{"the far hold begins", 6100 * ms, kiosk.Far, kiosk.GoodHold, true},
		{"the far hold goes on", farHold, kiosk.Far, kiosk.GoodHold, true},
		{"the far hold ends", 8600 * ms, kiosk.Far, kiosk.GoodHold, true},
		{"the far hold is too far for the near capture", 8600 * ms, kiosk.Near, kiosk.MoveCloser, false},
		{"the near hold begins", 10000 * ms, kiosk.Near, kiosk.GoodHold, true},
		{"the near hold goes on", nearHold, kiosk.Near, kiosk.GoodHold, true},
		{"the near hold ends", 12900 * ms, kiosk.Near, kiosk.GoodHold, true},
		{"the near hold is too close for the far capture", 12900 * ms, kiosk.Far, kiosk.FaceTooClose, false},
		{"the visitor has left", 14050 * ms, kiosk.Far, kiosk.NoFace, false},
	}
}

// The kiosk's own eyes must see the visitor do what the script says, take both
// clips for good captures, and tell the living from the print.
func TestTheKioskSeesTheVisitor(t *testing.T) {
	o := inferencetest.Models(t)
	dec, enc := jpeg.NewDecoder(), jpeg.NewEncoder()
	defer dec.Close()
	defer enc.Close()
	o.Decoder = &camera.Decoder{JPEG: dec}
	eyes, err := inference.New(o)
	if err != nil {
		t.Fatal(err)
	}
	profile := guidance.Standard()
	for _, c := range []struct {
		clip string
		live func(mean float64) bool
	}{
		{replay.Portrait, func(mean float64) bool { return mean > 0.85 }},
		{replay.Spoof, func(mean float64) bool { return mean < 0.3 }},
	} {
		src := usual(t, c.clip)
		live, held := map[kiosk.Pose]float64{}, map[kiosk.Pose]float64{}
		seen := map[time.Duration]kiosk.Assessment{}
		for _, s := range walk() {
			t.Run(c.clip+": "+s.name, func(t *testing.T) {
				a, ok := seen[s.at]
				if !ok {
					img := src.Compose(s.at)
					data, err := enc.Encode(nil, img, 85)
					if err != nil {
						t.Fatal(err)
					}
					a, err = eyes.Assess(&kiosk.Frame{ID: 1, Format: kiosk.MJPEG, Size: img.Rect.Size(), Data: data})
					if err != nil {
						t.Fatal(err)
					}
					seen[s.at] = a
				}
				if got := profile.Step(guidance.State{}, s.at, s.pose, a).Raw; got != s.hint {
					t.Errorf("hint %s, want %s: %+v", got, s.hint, a)
				}
				if !s.hold {
					return
				}
				steady(t, profile, s.pose, a)
				live[s.pose] += float64(a.Live)
				held[s.pose]++
			})
		}
		for _, pose := range []kiosk.Pose{kiosk.Far, kiosk.Near} {
			if mean := live[pose] / held[pose]; !c.live(mean) {
				t.Errorf("%s: mean P(live) in the %s hold is %.3f", c.clip, pose, mean)
			}
		}
	}
}

// steady checks that a held face is well inside of what is accepted.
func steady(t *testing.T, p guidance.Profile, pose kiosk.Pose, a kiosk.Assessment) {
	t.Helper()
	short := float64(min(a.Size.X, a.Size.Y))
	width := float64(a.Face.Dx()) / short
	span := p.Far
	if pose == kiosk.Near {
		span = p.Near
	}
	const margin = 0.02
	if width < float64(span.Min)+margin || width > float64(span.Max)-margin {
		t.Errorf("face is %.3f of the short side, want well inside %v", width, span)
	}
	x, y := float64(a.Face.Min.X+a.Face.Max.X)/2, float64(a.Face.Min.Y+a.Face.Max.Y)/2
	if off := max(math.Abs(x-float64(a.Size.X)/2), math.Abs(y-float64(a.Size.Y)/2)) / short; off > 0.05 {
		t.Errorf("face is %.3f of the short side off the middle", off)
	}
	if turn := max(math.Abs(float64(a.Yaw)), math.Abs(float64(a.Roll))); turn > 5 {
		t.Errorf("yaw %.1f and roll %.1f degrees, want less than 5", a.Yaw, a.Roll)
	}
	if math.Abs(float64(a.Pitch)) > 10 {
		t.Errorf("pitch %.1f degrees, want less than 10", a.Pitch)
	}
	if a.FaceLuma < 60 || a.FaceLuma > 200 {
		t.Errorf("face luma %.0f, want 60..200", a.FaceLuma)
	}
	if a.EyesOpen < 1.5*p.EyesMin {
		t.Errorf("eyes opened %.3f, want %.3f", a.EyesOpen, 1.5*p.EyesMin)
	}
	if a.Sharpness < 1.5*p.SharpnessMin {
		t.Errorf("sharpness %.0f, want %.0f", a.Sharpness, 1.5*p.SharpnessMin)
	}
	if !a.LiveUsable {
		t.Error("P(live) was not measured")
	}
}

// TestATurnedHeadReadsAsTurned turns the composed head by known angles and holds
// what quality.Mesh.Pose promises of its error, beside the head held straight. The
// head's depth is the landmark network's own, so of a real head it says less.
func TestATurnedHeadReadsAsTurned(t *testing.T) {
	o := inferencetest.Models(t)
	read := func(yaw, pitch, roll float64) kiosk.Assessment {
		img := turned(t, yaw, pitch, roll)
		a := inferencetest.Assess(t, o, inferencetest.Place(img, image.Pt(640, 360), 0, image.Pt(320, 180), 0.5, 0))
		if a.Faces != 1 {
			t.Fatalf("turned by %v, %v, %v: %d faces", yaw, pitch, roll, a.Faces)
		}
		return a
	}
	straight := read(0, 0, 0)
	for _, angles := range [][3]float64{
		{5, 0, 0},
		{10, 0, 0},
		{15, 0, 0},
		{25, 0, 0},
		{-5, 0, 0},
		{-10, 0, 0},
		{-15, 0, 0},
		{-25, 0, 0},
		{0, 10, 0},
		{0, 15, 0},
		{0, -10, 0},
		{0, -15, 0},
		{0, 0, 10},
		{0, 0, 20},
		{0, 0, -10},
		{0, 0, -20},
	} {
		a := read(angles[0], angles[1], angles[2])
		for _, c := range []struct {
			name         string
			turned, read float64
			most         float64
		}{
			{"yaw", angles[0], float64(a.Yaw - straight.Yaw), 6},
			{"pitch", angles[1], float64(a.Pitch - straight.Pitch), 8},
			{"roll", angles[2], float64(a.Roll - straight.Roll), 3},
		} {
			if off := math.Abs(c.read - c.turned); off > c.most {
				t.Errorf("turned by %v: %s reads %.1f, want %.0f within %.0f", angles, c.name, c.read, c.turned, c.most)
			}
		}
		if a.EyesOpen < 0.04 || a.MouthOpen > 0.05 {
			t.Errorf("turned by %v: eyes read %.3f and mouth %.3f, want open and closed", angles, a.EyesOpen, a.MouthOpen)
		}
	}
}

// turned composes the visitor in the middle of the frame with the head turned, in
// degrees and beside how the clip holds it.
func turned(t *testing.T, yaw, pitch, roll float64) *image.RGBA {
	t.Helper()
	c, err := replay.NewComposer(image.Pt(1280, 720), 0)
	if err != nil {
		t.Fatal(err)
	}
	dst := image.NewRGBA(image.Rectangle{Max: c.Size()})
	c.Draw(dst, replay.Scene{People: []replay.Person{{Width: 0.33, X: 0.5, Y: 0.5, Yaw: yaw, Pitch: pitch, Roll: roll}}})
	return dst
}

// TestATurnedHeadIsNotACoveredOne: the hint for a turned head is to turn it back.
func TestATurnedHeadIsNotACoveredOne(t *testing.T) {
	o := inferencetest.Models(t)
	profile := guidance.Standard()
	for _, tt := range []struct {
		yaw, pitch, roll float64
		want             kiosk.Hint
	}{
		{10, 0, 0, kiosk.GoodHold},
		{25, 0, 0, kiosk.TurnRight},
		{35, 0, 0, kiosk.TurnRight},
		{40, 0, 0, kiosk.TurnRight},
		{-25, 0, 0, kiosk.TurnLeft},
		{-40, 0, 0, kiosk.TurnLeft},
		{0, 20, 0, kiosk.ChinDown},
		{0, -20, 0, kiosk.ChinUp},
		{0, 0, 25, kiosk.StraightenHead},
	} {
		o.Decoder = &inferencetest.Still{Picture: inferencetest.Place(turned(t, tt.yaw, tt.pitch, tt.roll), image.Pt(640, 360), 0, image.Pt(320, 180), 0.5, 0)}
		eyes, err := inference.New(o)
		if err != nil {
			t.Fatal(err)
		}
		a, err := eyes.Assess(&kiosk.Frame{ID: 1, Size: image.Pt(1280, 720)})
		if err != nil {
			t.Fatal(err)
		}
		if got := profile.Step(guidance.State{}, time.Second, kiosk.Far, a).Hint; got != tt.want {
			t.Errorf("turned by %v, %v, %v: %s, want %s: %+v", tt.yaw, tt.pitch, tt.roll, got, tt.want, a)
		}
	}
}

func TestProportionsChangeOnAHeadAndNotOnAPrint(t *testing.T) {
	change := func(clip string) float64 {
		far, near := replay.Proportion(clip, 0.34*720), replay.Proportion(clip, 0.525*720)
		return math.Abs(near-far) / far
	}
	if got := change(replay.Portrait); got < 0.02 {
		t.Errorf("eye distance / face width changes by %.2f %% from far to near on the head, want over 2 %%", 100*got)
	}
	if got := change(replay.Spoof); got > 0.005 {
		t.Errorf("eye distance / face width changes by %.2f %% from far to near on the print, want under 0.5 %%", 100*got)
	}
}

func TestComposeIsTheSameOnEveryRun(t *testing.T) {
	for _, clip := range []string{replay.Empty, replay.Portrait, replay.Spoof} {
		t.Run(clip, func(t *testing.T) {
			a, b := usual(t, clip), open(t, replay.Options{Clip: clip})
			b.Compose(time.Second) // what was composed before does not matter
			want := a.Compose(farHold)
			if got := b.Compose(farHold); string(got.Pix) != string(want.Pix) {
				t.Error("the same seed and time give other pixels")
			}
			if got := a.Compose(farHold + time.Millisecond); string(got.Pix) == string(want.Pix) {
				t.Error("another time gives the same pixels")
			}
		})
	}
	a, b := usual(t, replay.Empty), open(t, replay.Options{Clip: replay.Empty, Seed: 8})
	if string(a.Compose(0).Pix) == string(b.Compose(0).Pix) {
		t.Error("another seed gives the same pixels")
	}
}

func TestComposeFillsAnOddFrameWithOpaquePixels(t *testing.T) {
	size := image.Pt(241, 323)
	s := open(t, replay.Options{Clip: replay.Portrait, Size: size})
	for _, at := range []time.Duration{1100 * time.Millisecond, nearHold, 13900 * time.Millisecond} {
		img := s.Compose(at)
		if img.Rect.Size() != size {
			t.Fatalf("image is %v", img.Rect)
		}
		for i := 3; i < len(img.Pix); i += 4 {
			if img.Pix[i] != 0xff {
				t.Fatalf("alpha %d at pixel %d", img.Pix[i], i/4)
			}
		}
	}
}

// usual returns the clip with default options, opened once for all tests.
func usual(t *testing.T, clip string) *replay.Source {
	t.Helper()
	opened.Lock()
	defer opened.Unlock()
	if opened.clips[clip] == nil {
		opened.clips[clip] = open(t, replay.Options{Clip: clip})
	}
	return opened.clips[clip]
}

var opened = struct {
	sync.Mutex
	clips map[string]*replay.Source
}{clips: map[string]*replay.Source{}}
