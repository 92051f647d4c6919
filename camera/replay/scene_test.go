package replay_test

import (
	"image"
	"math"
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
