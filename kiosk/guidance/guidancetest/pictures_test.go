package guidancetest_test

import (
	"bytes"
	"flag"
	"image"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"livekiosk/camera/replay"
	"livekiosk/inference"
	"livekiosk/inference/inferencetest"
	"livekiosk/kiosk"
	"livekiosk/kiosk/flow"
	"livekiosk/kiosk/guidance"
	"livekiosk/kiosk/guidance/guidancetest"
)

var (
	pictures = flag.Int("pictures", 1, "visitors who are composed and assessed by the networks")
	report   = flag.String("report", "", "folder for the report, in Markdown, and the traces of those who fail")
)

// A studio composes what the camera sees of one visitor, and has the networks
// assess it. It is for one goroutine.
type studio struct {
	composer *replay.Composer
	wardrobe *replay.Wardrobe
	analyser *inference.Analyser
	picture  *image.RGBA
}

func newStudio(t *testing.T) *studio {
	t.Helper()
	// Analysis sees 360 rows of any camera's picture.
	c, err := replay.NewComposer(image.Pt(640, 360), 1)
	if err != nil {
		t.Fatal(err)
	}
	w, err := replay.NewWardrobe()
	if err != nil {
		t.Fatal(err)
	}
	o := inferencetest.Models(t)
	s := &studio{composer: c, wardrobe: w, picture: image.NewRGBA(image.Rectangle{Max: c.Size()})}
	o.Decoder = &inferencetest.Still{Picture: s.picture}
	if s.analyser, err = inference.New(o); err != nil {
		t.Fatal(err)
	}
	return s
}

// visitor returns how the networks see the visitor of a seed: one of two people,
// of three tones of skin, some with glasses, a beard or a headscarf, in a light of
// the seed's own.
func (s *studio) visitor(t *testing.T, seed uint64) func(guidancetest.Sight) kiosk.Assessment {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 12))
	between := func(a, b float64) float64 { return a + (b-a)*rng.Float64() }
	look := replay.Look{Who: replay.Who(rng.IntN(2))}
	switch rng.IntN(3) {
	case 0:
		look.Tone = [3]float64{between(0.25, 0.35), between(0.18, 0.24), between(0.14, 0.2)}
	case 1:
		look.Tone = [3]float64{between(0.5, 0.7), between(0.4, 0.55), between(0.32, 0.48)}
	}
	switch rng.IntN(6) {
	case 0:
		look.Wears = append(look.Wears, replay.Glasses(0))
	case 1:
		look.Wears = append(look.Wears, replay.Scarf(70, 40, 90))
	case 2:
		look.Wears = append(look.Wears, replay.Beard(48, 36, 30, seed))
	}
	light := replay.Light{Exposure: between(0.7, 1.2), Room: between(0.7, 1.4), Side: between(-0.2, 0.2)}
	who := s.wardrobe.Dress(look)
	return func(g guidancetest.Sight) kiosk.Assessment {
		scene := replay.Scene{
			At: g.At, Light: light,
			People: []replay.Person{{Width: g.Width, X: g.X, Y: g.Y, Yaw: g.Yaw, Pitch: g.Pitch, Roll: g.Roll, Visitor: who}},
		}
		if math.Hypot(g.MoveX, g.MoveY) > 1.0/720 { // of less nothing is seen
			scene.Lens = replay.Lens{MoveX: g.MoveX, MoveY: g.MoveY}
		}
		s.composer.Draw(s.picture, scene)
		a, err := s.analyser.Assess(&kiosk.Frame{ID: 1, At: g.At, Size: image.Pt(1280, 720)})
		if err != nil {
			t.Error(err)
		}
		return a
	}
}

// TestWalkUps walks visitors up to the kiosk on composed pictures, through the
// real networks, guidance and flow.
func TestWalkUps(t *testing.T) {
	all := make(summary, *pictures)
	next := make(chan int, len(all))
	for i := range all {
		next <- i
	}
	close(next)
	var wait sync.WaitGroup
	for range min(2, len(all)) {
		s := newStudio(t)
		wait.Go(func() {
			for i := range next {
				var tape bytes.Buffer
				w, err := guidancetest.Run(uint64(i), flow.Standard(), rate, s.visitor(t, uint64(i)), &tape)
				if err != nil {
					t.Error(err)
				}
				all[i] = w
				if *report != "" && !w.First() {
					if err := os.WriteFile(filepath.Join(*report, "visitor-"+strconv.Itoa(i)+".trace"), tape.Bytes(), 0o600); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wait.Wait()
	t.Log(all)
	if *report != "" {
		if err := os.WriteFile(filepath.Join(*report, "report.md"), []byte(all.markdown(byGeometry(t, flow.Standard(), uint64(len(all))))), 0o600); err != nil {
			t.Error(err)
		}
	}
	if len(all) >= 50 {
		all.judge(t)
		return
	}
	for _, w := range all { // too few for medians
		if !w.First() {
			t.Errorf("not the first time: %+v", w)
		}
	}
}

// TestGeometryAgreesWithPictures takes frames of many visitors' walks, and measures
// them by geometry and on pictures: what guidance says of them is nearly always the
// same.
func TestGeometryAgreesWithPictures(t *testing.T) {
	const visitors, frames = 12, 4 // of each
	s := newStudio(t)
	p := guidance.Standard()
	type pair struct{ pictures, geometry kiosk.Hint }
	said := map[pair]int{}
	var alike, all int
	var both, wider, off float64 // frames in which both find the face, and by how many face widths its boxes differ in the mean
	for seed := range uint64(visitors) {
		var sights []guidancetest.Sight
		rng := rand.New(rand.NewPCG(seed, 1))
		_, err := guidancetest.Run(seed, flow.Standard(), rate, func(g guidancetest.Sight) kiosk.Assessment {
			sights = append(sights, g)
			return guidancetest.Measure(rng, g)
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		assess := s.visitor(t, seed)
		for i := range frames {
			g := sights[(2*i+1)*len(sights)/(2*frames)]
			a, b := assess(g), guidancetest.Measure(rng, g)
			hints := pair{p.Explain(guidance.State{}, kiosk.Far, a).Hint, p.Explain(guidance.State{}, kiosk.Far, b).Hint}
			all++
			said[hints]++
			if hints.pictures == hints.geometry {
				alike++
			}
			if a.Faces == 1 && b.Faces == 1 {
				both++
				w := float64(b.Face.Dx())
				at := a.Face.Min.Add(a.Face.Max).Sub(b.Face.Min).Sub(b.Face.Max)
				wider += (math.Abs(float64(a.Face.Dx())/w-1) - wider) / both
				off += (math.Hypot(float64(at.X), float64(at.Y))/2/w - off) / both
			}
		}
	}
	t.Logf("%d of %d frames alike: %v; boxes differ by %.3f face widths in width and %.3f in place", alike, all, said, wider, off)
	if 100*alike < 85*all {
		t.Errorf("%d of %d frames have the same hint, want 85 %%: %v", alike, all, said)
	}
	if both < 0.8*float64(all) || wider > 0.06 || off > 0.15 {
		t.Errorf("in %.0f frames the boxes differ by %.3f face widths in width and %.3f in place, want at most 0.06 and 0.15", both, wider, off)
	}
}
