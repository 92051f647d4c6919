package commission_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/commission"
	"livekiosk/kiosk/guidance"
)

const interval = 66 * time.Millisecond

// installer is somebody who stands where they should, in good light.
func installer() kiosk.Assessment {
	a := kiosk.Assessment{
		Size: image.Pt(1280, 720), Luma: 120, Faces: 1, Face: image.Rect(640-122, 360-122, 640+122, 360+122), IED: 106,
		Pitch: -4, EyesOpen: 0.08, FaceLuma: 130, Background: 120, Detail: 0.2, Sharpness: 300,
	}
	a.Quality.BackgroundUniformity, a.Detail = kiosk.Component{Raw: 60, Q: 70}, 0.2
	return a
}

func watch(t *testing.T, task kiosk.Task) *commission.Watch {
	t.Helper()
	w, err := commission.NewWatch(task, guidance.Standard())
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// look shows one frame after another until the step has ended or the time has.
func look(w *commission.Watch, from, during time.Duration, frame func(at time.Duration) kiosk.Assessment) (r kiosk.Reading, at time.Duration) {
	for at = from; at < from+during; at += interval {
		a := frame(at)
		a.At = at
		if r = w.Saw(a); r.Ended {
			break
		}
	}
	return r, at
}

func still(a kiosk.Assessment) func(time.Duration) kiosk.Assessment {
	return func(time.Duration) kiosk.Assessment { return a }
}

func TestAStepSaysWhatIsWrong(t *testing.T) {
	with := func(change func(*kiosk.Assessment)) kiosk.Assessment {
		a := installer()
		change(&a)
		return a
	}
	for _, c := range []struct {
		name string
		step kiosk.Step
		a    kiosk.Assessment
		note kiosk.Note
	}{
		{"nobody is there", kiosk.FocusStep, with(func(a *kiosk.Assessment) { a.Faces = 0 }), kiosk.NobodyNote},
		{"two are there", kiosk.LensStep, with(func(a *kiosk.Assessment) { a.Faces, a.Second = 2, 0.5 }), kiosk.CrowdNote},
		{"somebody in the background is no crowd", kiosk.LensStep, with(func(a *kiosk.Assessment) { a.Faces, a.Second = 2, 0.1 }), kiosk.NoNote},
		{"they look aside", kiosk.DistanceStep, with(func(a *kiosk.Assessment) { a.Yaw = -20 }), kiosk.TurnedNote},
		{"the picture is blurred", kiosk.FocusStep, with(func(a *kiosk.Assessment) { a.Sharpness = 25 }), kiosk.BlurredNote},
		{"which the exposure does not mind", kiosk.ExposureStep, with(func(a *kiosk.Assessment) { a.Sharpness = 25 }), kiosk.NoNote},
		{"the camera looks past them", kiosk.FocusStep, with(func(a *kiosk.Assessment) { a.Face = a.Face.Add(image.Pt(150, 0)) }), kiosk.OffCentreNote},
		{"a tall person is no fault of the camera", kiosk.FocusStep, with(func(a *kiosk.Assessment) { a.Face = a.Face.Add(image.Pt(0, -120)) }), kiosk.NoNote},
		{"the camera is tilted", kiosk.FocusStep, with(func(a *kiosk.Assessment) { a.Roll = 7 }), kiosk.TiltedNote},
		{"too dark", kiosk.ExposureStep, with(func(a *kiosk.Assessment) { a.FaceLuma = 50 }), kiosk.DarkNote},
		{"too bright", kiosk.ExposureStep, with(func(a *kiosk.Assessment) { a.FaceLuma = 210 }), kiosk.BrightNote},
		{"parts are white", kiosk.ExposureStep, with(func(a *kiosk.Assessment) { a.Over = 0.03 }), kiosk.ClippedNote},
		{"light from one side", kiosk.ExposureStep, with(func(a *kiosk.Assessment) { a.Uneven = 0.5 }), kiosk.UnevenNote},
		{"a window behind them", kiosk.BackgroundStep, with(func(a *kiosk.Assessment) { a.Background, a.FaceLuma = 220, 100 }), kiosk.BacklitNote},
		{"somewhere else", kiosk.BackgroundStep, with(func(a *kiosk.Assessment) { a.Face = a.Face.Inset(50) }), kiosk.OffPlaceNote},
		{"a smeared lens is no reference", kiosk.LensStep, with(func(a *kiosk.Assessment) { a.Sharpness = 15 }), kiosk.BlurredNote},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := look(watch(t, kiosk.Task{Step: c.step, Distance: 60}), 0, 3*time.Second, still(c.a))
			if c.note == kiosk.NoNote {
				if !r.Ended || !r.Passed || r.Note != kiosk.NoNote {
					t.Errorf("%+v, want it passed", r)
				}
				return
			}
			if r.Note != c.note || r.Ended || r.Progress != 0 {
				t.Errorf("%+v, want %q and no progress", r, c.note)
			}
		})
	}
}

func TestAStepTakesAStretchOfGoodFrames(t *testing.T) {
	w := watch(t, kiosk.Task{Step: kiosk.FocusStep, Height: 150})
	r, at := look(w, 0, time.Second, still(installer()))
	if r.Ended || r.Progress < 0.7 || r.Progress >= 1 {
		t.Fatalf("%+v after a second", r)
	}
	gone := installer()
	gone.Faces, gone.At = 0, at
	if r = w.Saw(gone); r.Progress != 0 || r.Note != kiosk.NobodyNote {
		t.Errorf("%+v once they left", r)
	}
	began := at + interval
	r, at = look(w, began, 5*time.Second, still(installer()))
	if !r.Passed || at-began < 1200*time.Millisecond || r.Figures["height_cm"] != 150 || r.Figures["sharpness"] != 300 {
		t.Errorf("%+v after %v", r, at-began)
	}
	// Frames that are seconds apart are no stretch.
	w = watch(t, kiosk.Task{Step: kiosk.FocusStep})
	for n := range 20 {
		a := installer()
		a.At = time.Duration(n) * 1100 * time.Millisecond
		if r := w.Saw(a); r.Ended {
			t.Fatalf("passed with a frame now and then: %+v", r)
		}
	}
}

func TestWhoWalksIsNotMeasured(t *testing.T) {
	w := watch(t, kiosk.Task{Step: kiosk.DistanceStep, Distance: 60})
	walks := func(at time.Duration) kiosk.Assessment {
		a := installer()
		size := 70 + int(60*at.Seconds())
		if at > 3*time.Second {
			size = 122
		}
		a.Face = image.Rect(640-size, 360-size, 640+size, 360+size)
		return a
	}
	if r, _ := look(w, 0, 3*time.Second, walks); r.Ended || r.Note != kiosk.MovingNote {
		t.Fatalf("%+v while they walk", r)
	}
	r, at := look(w, 3*time.Second+interval, 5*time.Second, walks)
	if !r.Passed || math.Abs(r.Figures["face"]-0.339) > 0.002 || at > 6*time.Second {
		t.Errorf("%+v at %v", r, at)
	}
}

func TestTheMarkedPlaceHasToBeOfUse(t *testing.T) {
	g := guidance.Standard()
	for _, c := range []struct {
		name  string
		cm    float64
		share float64 // face width
		short int
		note  kiosk.Note
		try   float64
	}{
		{"a usual camera at arm's length", 60, 0.335, 720, kiosk.NoNote, 0},
		{"a wide one, nearer", 45, 0.30, 1080, kiosk.NoNote, 0},
		{"a wide one of few pixels", 60, 0.2, 480, kiosk.TooFarNote, 27},
		{"no room to come closer", 30, 0.45, 1080, kiosk.TooNearNote, 40},
		{"so near that nobody could come nearer to the lens", 35, 0.335, 1080, kiosk.TooNearNote, 40},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := installer()
			a.Size = image.Pt(c.short*16/9, c.short)
			half := int(c.share * float64(c.short) / 2)
			a.Face, a.IED = image.Rect(a.Size.X/2-half, c.short/2-half, a.Size.X/2+half, c.short/2+half), float32(0.435*2*float64(half))
			r, _ := look(watch(t, kiosk.Task{Step: kiosk.DistanceStep, Distance: c.cm}), 0, 3*time.Second, still(a))
			if !r.Ended || r.Note != c.note || r.Passed != (c.note == kiosk.NoNote) || r.Figures["try_cm"] != c.try {
				t.Fatalf("%+v, want note %q and to try %g cm", r, c.note, c.try)
			}
			if !r.Passed {
				return
			}
			p := commission.Profile{}.With("cam", "v", time.Time{}, r)
			got, err := p.Apply(g)
			if err != nil {
				t.Fatal(err)
			}
			scale := float32(r.Figures["face"]) / g.Goal(kiosk.Far)
			if math.Abs(float64(got.Goal(kiosk.Far))-r.Figures["face"]) > 1e-4 || math.Abs(float64(got.Goal(kiosk.Near)-scale*g.Goal(kiosk.Near))) > 1e-4 {
				t.Errorf("goals %.3f and %.3f, want the face's %.3f and %.3f times the standard", got.Goal(kiosk.Far), got.Goal(kiosk.Near), r.Figures["face"], scale)
			}
			// A pinhole sees eyes 6.3 cm apart so large.
			if want := 2 * math.Atan(6.3/(r.Figures["eyes"]*2*c.cm)) * 180 / math.Pi; math.Abs(r.Figures["view_degrees"]-want) > 0.1 {
				t.Errorf("field of view %g, want %g", r.Figures["view_degrees"], want)
			}
			// Who stands at the place is right in the far pose.
			s := got.Step(guidance.State{}, time.Second, kiosk.Far, a)
			if s.Hint != kiosk.GoodHold {
				t.Errorf("the installer is told %q at the marked place", s.Hint)
			}
		})
	}
}

func TestALensReferenceTurnsTheHintOn(t *testing.T) {
	clean := installer()
	r, _ := look(watch(t, kiosk.Task{Step: kiosk.LensStep}), 0, 3*time.Second, still(clean))
	if !r.Passed || r.Note != kiosk.NoNote || r.Figures["detail"] != float64(guidance.Detail(clean)) {
		t.Fatalf("%+v, want the detail %g", r, guidance.Detail(clean))
	}
	g, err := commission.Profile{}.With("cam", "v", time.Time{}, r).Apply(guidance.Standard())
	if err != nil {
		t.Fatal(err)
	}
	smeared := clean
	smeared.Detail /= 3
	if got := g.Step(guidance.State{}, time.Second, kiosk.Far, smeared).Hint; got != kiosk.LensSmudge {
		t.Errorf("a smeared lens is told as %q", got)
	}
	plain := clean
	plain.Detail = 0.02
	r, _ = look(watch(t, kiosk.Task{Step: kiosk.LensStep}), 0, 3*time.Second, still(plain))
	if !r.Passed || r.Note != kiosk.PlainNote {
		t.Fatalf("%+v before a bare wall", r)
	}
	if g, err = (commission.Profile{}).With("cam", "v", time.Time{}, r).Apply(guidance.Standard()); err != nil || g.Detail != 0 {
		t.Errorf("a bare wall gave a detail of %g, %v", g.Detail, err)
	}
}

// TestTheClipPassesItsSteps plays the frames of a recorded session, in which a
// composed visitor walks up, to each step but that of the lens, which looks at
// what traces have not always had.
func TestTheClipPassesItsSteps(t *testing.T) {
	f, err := os.Open("../trace/testdata/portrait.trace")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var seen []kiosk.Assessment
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l struct {
			In    string           `json:"in"`
			Input kiosk.Assessment `json:"input"`
		}
		if json.Unmarshal(lines.Bytes(), &l) == nil && l.In == "saw" {
			seen = append(seen, l.Input)
		}
	}
	p, g := commission.Profile{}, guidance.Standard()
	for _, step := range kiosk.Steps() {
		if step == kiosk.LatencyStep || step == kiosk.LensStep {
			continue
		}
		w, err := commission.NewWatch(kiosk.Task{Step: step, Distance: 60}, g)
		if err != nil {
			t.Fatal(err)
		}
		var r kiosk.Reading
		for _, a := range seen {
			if r = w.Saw(a); r.Ended {
				break
			}
		}
		if !r.Passed || r.Note != kiosk.NoNote {
			t.Errorf("%+v", r)
		}
		t.Logf("%s: %v", step, r.Figures)
		p = p.With("clip:portrait", "v", time.Time{}, r)
		if g, err = p.Apply(guidance.Standard()); err != nil {
			t.Fatal(err)
		}
	}
	if was := guidance.Standard(); g.PitchZero == was.PitchZero || g.Far == was.Far || g.Near == was.Near {
		t.Errorf("guidance has nothing of the profile: %+v", g)
	}
}

func TestATaskHasToMakeSense(t *testing.T) {
	for _, task := range []kiosk.Task{
		{Step: "polish"},
		{Step: kiosk.LatencyStep},
		{Step: kiosk.DistanceStep},
		{Step: kiosk.DistanceStep, Distance: 5},
		{Step: kiosk.DistanceStep, Distance: math.NaN()},
		{Step: kiosk.FocusStep, Height: 3},
		{Step: kiosk.FocusStep, Height: math.NaN()},
	} {
		if _, err := commission.NewWatch(task, guidance.Standard()); err == nil {
			t.Errorf("%+v is taken", task)
		}
	}
}

// flashes is what a camera sees of so many flashes, some time late.
func flashes(late time.Duration, contrast, noise float64) ([]commission.Sample, []commission.Edge) {
	r := rand.New(rand.NewPCG(3, 4))
	var samples []commission.Sample
	var edges []commission.Edge
	for n := range commission.Flashes {
		edges = append(edges, commission.Edge{At: time.Second + time.Duration(n)*commission.FlashEvery, On: n%2 == 0})
	}
	for at := 300 * time.Millisecond; at < 7*time.Second; at += 33 * time.Millisecond {
		luma := 90 + noise*r.NormFloat64()
		for _, e := range edges {
			if at >= e.At+late {
				luma = 90 + noise*r.NormFloat64()
				if e.On {
					luma += contrast
				}
			}
		}
		samples = append(samples, commission.Sample{At: at, Luma: luma})
	}
	return samples, edges
}

func TestLatencyIsMeasuredWhereTheCameraSeesTheScreen(t *testing.T) {
	for _, late := range []time.Duration{40 * time.Millisecond, 95 * time.Millisecond, 240 * time.Millisecond} {
		t.Run(late.String(), func(t *testing.T) {
			r := commission.Latency(flashes(late, 12, 0.2))
			if !r.Passed || r.Note != kiosk.NoNote || math.Abs(r.Figures["ms"]-float64(late/time.Millisecond)) > 20 || r.Figures["spread_ms"] > 35 {
				t.Errorf("%+v", r)
			}
		})
	}
	for name, c := range map[string]struct{ contrast, noise float64 }{
		"no mirror": {0, 0.2}, "too little light": {1, 0.1}, "a lamp that flickers more": {6, 6},
	} {
		t.Run(name, func(t *testing.T) {
			if r := commission.Latency(flashes(80*time.Millisecond, c.contrast, c.noise)); !r.Passed || !r.Ended || r.Note != kiosk.UnseenNote || r.Figures["ms"] != 0 {
				t.Errorf("%+v", r)
			}
		})
	}
	if r := commission.Latency(nil, nil); r.Note != kiosk.UnseenNote {
		t.Errorf("nothing was seen, and %+v", r)
	}
}

func TestAProfileReadsBackAsItWasWritten(t *testing.T) {
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	p := commission.Profile{}.
		With("cam", "v1", at, kiosk.Reading{Step: kiosk.LensStep, Figures: map[string]float64{"detail": 2}}).
		With("cam", "v1", at.Add(time.Hour), kiosk.Reading{Step: kiosk.LatencyStep, Note: kiosk.UnseenNote, Figures: map[string]float64{"flashes": 8}})
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := commission.Decode(b)
	if err != nil || !reflect.DeepEqual(got, p) {
		t.Errorf("%+v, %v; want %+v", got, err, p)
	}
	if r := got.Readings(); len(r) != 2 || r[0].Step != kiosk.LensStep || r[1].Note != kiosk.UnseenNote {
		t.Errorf("readings %+v", r)
	}
	other := p.With("another", "v2", at, kiosk.Reading{Step: kiosk.FocusStep})
	if len(other.Steps) != 1 || other.Camera != "another" || len(p.Steps) != 2 {
		t.Errorf("another camera's profile kept %+v", other)
	}
}

func TestADamagedProfileIsNotUsed(t *testing.T) {
	step := func(name, figures string) string {
		return fmt.Sprintf(`{"format":1,"camera":"c","written":"2026-03-01T09:00:00Z","version":"v","steps":{%q:{"at":"2026-03-01T09:00:00Z","figures":%s}}}`, name, figures)
	}
	if _, err := commission.Decode([]byte(step("lens", `{"detail":2}`))); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"nothing":                     {"", commission.ErrDamaged},
		"half of it":                  {step("lens", `{"detail":2}`)[:40], commission.ErrDamaged},
		"another version":             {strings.Replace(step("lens", `{"detail":2}`), `"format":1`, `"format":2`, 1), commission.ErrFormat},
		"no version":                  {`{}`, commission.ErrFormat},
		"a step that there is not":    {step("polish", `{}`), commission.ErrDamaged},
		"a field that there is not":   {strings.Replace(step("lens", `{}`), `"camera"`, `"kamera"`, 1), commission.ErrDamaged},
		"a place without a distance":  {step("distance", `{"distance_cm":60}`), commission.ErrDamaged},
		"near that is farther":        {step("distance", `{"far_min":0.4,"far_max":0.6,"near_min":0.2,"near_max":0.3}`), commission.ErrDamaged},
		"a detail that is less":       {step("lens", `{"detail":-1}`), commission.ErrDamaged},
		"a camera that looks upwards": {step("focus", `{"pitch":60}`), commission.ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := commission.Decode([]byte(c.text)); !errors.Is(err, c.want) {
				t.Errorf("Decode() = %v, want %v", err, c.want)
			}
		})
	}
}
