package replay_test

import (
	"image"
	"math"
	"sync"
	"testing"

	"livekiosk/camera/replay"
	"livekiosk/inference/inferencetest"
	"livekiosk/kiosk"
)

// composed returns a picture of a scene in a small frame.
func composed(t *testing.T, size image.Point, s replay.Scene) *image.RGBA {
	t.Helper()
	c, err := replay.NewComposer(size, 0)
	if err != nil {
		t.Fatal(err)
	}
	dst := image.NewRGBA(image.Rectangle{Max: size})
	c.Draw(dst, s)
	return dst
}

func TestAPersonIsWhereTheSceneSays(t *testing.T) {
	o := inferencetest.Models(t)
	for _, p := range []replay.Person{
		{Width: 0.3, X: 0.5, Y: 0.5},
		{Width: 0.34, X: 0.3, Y: 0.45},
		{Width: replay.Width(0.45), X: 0.55, Y: 0.55},
	} {
		a := inferencetest.Assess(t, o, composed(t, image.Pt(640, 360), replay.Scene{People: []replay.Person{p}}))
		if a.Faces != 1 {
			t.Fatalf("%+v: %d faces", p, a.Faces)
		}
		for _, c := range []struct {
			name      string
			got, want float64
		}{
			{"width", float64(a.Face.Dx()), 360 * p.Width},
			{"x", float64(a.Face.Min.X+a.Face.Max.X) / 2, 640 * p.X},
			{"y", float64(a.Face.Min.Y+a.Face.Max.Y) / 2, 360 * p.Y},
		} {
			// What is beside the axis is seen from the side, and the detector has its own mind.
			if math.Abs(c.got-c.want) > 0.15*360*p.Width {
				t.Errorf("%+v: %s is %.0f pixels, want %.0f", p, c.name, c.got, c.want)
			}
		}
	}
}

func TestASceneHoldsSeveralPeopleOrNobody(t *testing.T) {
	o := inferencetest.Models(t)
	left, right := replay.Person{Width: 0.3, X: 0.25, Y: 0.5}, replay.Person{Width: 0.3, X: 0.75, Y: 0.5}
	for _, tt := range []struct {
		people []replay.Person
		faces  int
	}{
		{nil, 0},
		{[]replay.Person{{}}, 0},
		{[]replay.Person{left}, 1},
		{[]replay.Person{left, {}, right}, 2},
	} {
		var a kiosk.Assessment
		if a = inferencetest.Assess(t, o, composed(t, image.Pt(640, 360), replay.Scene{People: tt.people})); a.Faces != tt.faces {
			t.Errorf("%+v: %d faces, want %d", tt.people, a.Faces, tt.faces)
		}
	}
}

func TestWidthFallsWithDistance(t *testing.T) {
	if got := replay.Width(0.7); math.Abs(got-0.34) > 0.005 {
		t.Errorf("at 0.7 m a face is %.3f of the short side, want 0.34", got)
	}
	if far, near := replay.Width(1), replay.Width(0.5); math.Abs(near/far-2) > 1e-9 {
		t.Errorf("a face at half the distance is %.3f times as wide, want 2", near/far)
	}
}

func TestAComposerRefusesASizeItCannotDraw(t *testing.T) {
	for _, size := range []image.Point{{}, {640, 100}, {5000, 720}} {
		if _, err := replay.NewComposer(size, 0); err == nil {
			t.Errorf("size %v: no error", size)
		}
	}
}

// seen returns a picture of one person in the middle of a small frame, in a look
// and a scene that is otherwise s.
func seen(t *testing.T, l replay.Look, p replay.Person, s replay.Scene) *image.RGBA {
	t.Helper()
	wardrobe.Do(func() {
		var err error
		if wardrobe.Wardrobe, err = replay.NewWardrobe(); err != nil {
			t.Fatal(err)
		}
	})
	p.Width, p.X, p.Y, p.Visitor = 0.5, 0.5, 0.5, wardrobe.Dress(l)
	s.People = []replay.Person{p}
	return composed(t, image.Pt(320, 240), s)
}

var wardrobe struct {
	sync.Once
	*replay.Wardrobe
}

// luma returns the mean of green in a part of img, in sixteenths of its width and height.
func luma(img *image.RGBA, x0, y0, x1, y1 int) float64 {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	var sum, n float64
	for y := y0 * h / 16; y < y1*h/16; y++ {
		for x := x0 * w / 16; x < x1*w/16; x++ {
			sum += float64(img.Pix[y*img.Stride+4*x+1])
			n++
		}
	}
	return sum / n
}

// detail returns the mean differences of green between pixels of a row and of a
// column.
func detail(img *image.RGBA) (across, down float64) {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	at := func(x, y int) float64 { return float64(img.Pix[y*img.Stride+4*x+1]) }
	for y := h / 4; y < 3*h/4; y++ {
		for x := w / 4; x < 3*w/4; x++ {
			across += math.Abs(at(x+2, y) - at(x, y))
			down += math.Abs(at(x, y+2) - at(x, y))
		}
	}
	return across, down
}

func TestLightFallsAsTheSceneSays(t *testing.T) {
	for who := range replay.Who(2) {
		l := replay.Look{Who: who}
		plain := seen(t, l, replay.Person{}, replay.Scene{})
		lit := func(l2 replay.Light) *image.RGBA { return seen(t, l, replay.Person{}, replay.Scene{Light: l2}) }
		face, wall := luma(plain, 7, 6, 9, 10), luma(plain, 0, 6, 1, 9)
		// Twice the light is 1.37 times the code value.
		if dark := lit(replay.Light{Exposure: 0.5}); math.Abs(luma(dark, 7, 6, 9, 10)/face-0.73) > 0.03 || math.Abs(luma(dark, 0, 6, 1, 9)/wall-0.73) > 0.03 {
			t.Errorf("%d: half the light leaves %.2f of the face's luma and %.2f of the wall's", who, luma(dark, 7, 6, 9, 10)/face, luma(dark, 0, 6, 1, 9)/wall)
		}
		if room := lit(replay.Light{Room: 0.5}); math.Abs(luma(room, 7, 6, 9, 10)/face-1) > 0.01 || math.Abs(luma(room, 0, 6, 1, 9)/wall-0.73) > 0.03 {
			t.Errorf("%d: half the light in the room leaves %.2f of the face's luma and %.2f of the wall's", who, luma(room, 7, 6, 9, 10)/face, luma(room, 0, 6, 1, 9)/wall)
		}
		// From the right of the image the left cheek is dark, and the other way around.
		ratio := func(img *image.RGBA) float64 { return luma(img, 9, 7, 10, 10) / luma(img, 6, 7, 7, 10) }
		even := ratio(plain)
		if right, left := ratio(lit(replay.Light{Side: 0.9})), ratio(lit(replay.Light{Side: -0.9})); right < 1.3*even || left > even/1.3 {
			t.Errorf("%d: right over left cheek is %.2f, lit from the right %.2f, from the left %.2f", who, even, right, left)
		}
	}
}

func TestTheLensSpoilsWhatTheSceneSays(t *testing.T) {
	through := func(l replay.Lens) *image.RGBA { return seen(t, replay.Look{}, replay.Person{}, replay.Scene{Lens: l}) }
	clean := through(replay.Lens{})
	across, down := detail(clean)
	if x, y := detail(through(replay.Lens{Defocus: 0.015})); x > 0.7*across || y > 0.7*down {
		t.Errorf("out of focus leaves %.2f and %.2f of the detail", x/across, y/down)
	}
	if x, y := detail(through(replay.Lens{MoveX: 0.06})); x > 0.6*across || y < x/across*down*1.2 {
		t.Errorf("a move across leaves %.2f of the detail across and %.2f down", x/across, y/down)
	}
	if x, y := detail(through(replay.Lens{Smudge: 0.6})); x > 0.7*across || y > 0.7*down {
		t.Errorf("a smeared lens leaves %.2f and %.2f of the detail", x/across, y/down)
	}
	if x, y := detail(through(replay.Lens{Noise: 4})); x < 1.1*across || y < 1.1*down {
		t.Errorf("with four times the noise there is %.2f and %.2f of the detail", x/across, y/down)
	}
	if got := luma(through(replay.Lens{Blocked: 1}), 0, 0, 16, 16); got > 12 {
		t.Errorf("behind a finger luma is %.0f", got)
	}
	edge := through(replay.Lens{Blocked: 0.2})
	if got, want := luma(edge, 0, 0, 10, 16), luma(clean, 0, 0, 10, 16); got != want {
		t.Errorf("left of a finger luma is %.2f, want %.2f", got, want)
	}
	if got, want := luma(edge, 15, 0, 16, 16), luma(clean, 15, 0, 16, 16); got > 0.3*want {
		t.Errorf("behind a finger luma is %.0f of %.0f", got, want)
	}
}

// TestWhatIsWornTurnsWithTheHead looks for the blue of a mask, whose half towards
// which the head turns away is seen foreshortened.
func TestWhatIsWornTurnsWithTheHead(t *testing.T) {
	blue := func(yaw, roll float64) (x, width float64) {
		img := seen(t, replay.Look{Wears: []replay.Thing{replay.Mask(40, 90, 220, 0)}}, replay.Person{Yaw: yaw, Roll: roll}, replay.Scene{})
		var sum, n, left, right float64
		left = 320
		for y := range 240 {
			for x := range 320 {
				if p := img.Pix[y*img.Stride+4*x:][:3]; p[2] > 120 && p[0] < 80 {
					sum, n = sum+float64(x), n+1
					left, right = min(left, float64(x)), max(right, float64(x))
				}
			}
		}
		return sum / n, right - left
	}
	x, width := blue(0, 0)
	if math.Abs(x-160) > 6 || width < 90 || width > 120 {
		t.Errorf("straight: a mask %.0f pixels wide at %.0f", width, x)
	}
	if left, _ := blue(35, 0); left < x+1 {
		t.Errorf("turned to the own left the mask goes from %.1f to %.1f", x, left)
	}
	if right, _ := blue(-35, 0); right > x-1 {
		t.Errorf("turned to the own right the mask goes from %.1f to %.1f", x, right)
	}
	if left, _ := blue(0, 20); left < x+5 {
		t.Errorf("laid on the own left shoulder the mask goes from %.1f to %.1f", x, left)
	}
}

func TestALookChangesTheFace(t *testing.T) {
	for who := range replay.Who(2) {
		bare := luma(seen(t, replay.Look{Who: who}, replay.Person{}, replay.Scene{}), 7, 6, 9, 10)
		if got := luma(seen(t, replay.Look{Who: who, Tone: [3]float64{0.3, 0.3, 0.3}}, replay.Person{}, replay.Scene{}), 7, 6, 9, 10); got > 0.7*bare {
			t.Errorf("%d: dark skin has a luma of %.0f, fair of %.0f", who, got, bare)
		}
		if got := luma(seen(t, replay.Look{Who: who, Mouth: 0.2}, replay.Person{}, replay.Scene{}), 7, 9, 9, 11); got > 0.8*luma(seen(t, replay.Look{Who: who}, replay.Person{}, replay.Scene{}), 7, 9, 9, 11) {
			t.Errorf("%d: an open mouth has a luma of %.0f", who, got)
		}
	}
}
