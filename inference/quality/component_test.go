package quality_test

import (
	"math"
	"testing"

	"livekiosk/inference/quality"
)

// TestMappingsByHand compares with values of the standard's formulas worked out
// by hand.
func TestMappingsByHand(t *testing.T) {
	for _, test := range []struct {
		name string
		got  quality.Component
		raw  float64
		q    int8
	}{
		{"one face", quality.SingleFacePresent(0), 0, 100},
		{"a second face of a quarter", quality.SingleFacePresent(0.25), 0.25, 75},
		{"eyes at the midpoint", quality.EyesOpen(0.02), 0.02, 50},
		{"eyes one width above", quality.EyesOpen(0.03), 0.03, 73},
		{"eyes shut", quality.EyesOpen(0), 0, 12},
		{"a mouth at the midpoint", quality.MouthClosed(0.2), 0.2, 50},
		{"a mouth shut", quality.MouthClosed(0), 0, 97},
		{"a mouth one width above", quality.MouthClosed(0.26), 0.26, 27},
		{"70 pixels", quality.InterEyeDistance(70), 70, 50},
		{"90 pixels", quality.InterEyeDistance(90), 90, 73},
		{"a head of 0.45", quality.HeadSize(45, 100), 0, 100},
		{"a head of 0.4", quality.HeadSize(40, 100), 0.05, 54},
		{"a head of 0.5", quality.HeadSize(50, 100), 0.05, 54},
		{"room at the left", quality.LeftwardCrop(90, 100), 0.9, 50},
		{"room at the right", quality.RightwardCrop(500, 600, 100), 1, 73},
		{"room above", quality.MarginAbove(130, 100), 1.3, 27},
		{"room below", quality.MarginBelow(300, 500, 100), 2, 88},
		{"no unit", quality.MarginBelow(300, 500, 0), 0, -1},
		{"straight", quality.HeadPose(0), 0, 100},
		{"60 degrees", quality.HeadPose(-60), -60, 25},
		{"from behind", quality.HeadPose(150), 150, 0},
		{"a third is covered", quality.Covered(1. / 3), 1. / 3, 67},
		{"sharpness of 60", quality.Sharp(60), 60, 50},
		{"no number", quality.EyesOpen(float32(math.NaN())), 0, -1},
	} {
		if off(test.got.Raw, test.raw) > 1e-5 || test.got.Q != test.q {
			t.Errorf("%s: %+v, want %v and %d", test.name, test.got, test.raw, test.q)
		}
	}
}

// TestMappingsAreMonotone walks each raw value away from its best.
func TestMappingsAreMonotone(t *testing.T) {
	for _, test := range []struct {
		name     string
		from, to float32
		mapped   func(float32) quality.Component
	}{
		{"angle", 0, 120, quality.HeadPose},
		{"angle the other way", 0, -120, quality.HeadPose},
		{"second face", 0, 1, quality.SingleFacePresent},
		{"eyes", 0.1, 0, quality.EyesOpen},
		{"mouth", 0, 0.6, quality.MouthClosed},
		{"eye distance", 200, 0, quality.InterEyeDistance},
		{"head", 45, 1, func(t float32) quality.Component { return quality.HeadSize(t, 100) }},
		{"covered", 0, 1, quality.Covered},
		{"sharpness", 3000, 0, quality.Sharp},
		{"margin", 300, 0, func(y float32) quality.Component { return quality.MarginAbove(y, 100) }},
	} {
		last := int8(101)
		var first int8
		for i := range 101 {
			got := test.mapped(test.from + (test.to-test.from)*float32(i)/100).Q
			if got > last {
				t.Errorf("%s: step %d gives %d after %d", test.name, i, got, last)
			}
			if last = got; i == 0 {
				first = got
			}
		}
		if first < 95 || last > 12 {
			t.Errorf("%s goes from %d to %d, want nearly all of 0..100", test.name, first, last)
		}
	}
}

func TestUnified(t *testing.T) {
	part := func(q int8, weight float32) quality.Part {
		return quality.Part{Component: quality.Component{Q: q}, Weight: weight}
	}
	for _, test := range []struct {
		name  string
		parts []quality.Part
		want  float64
	}{
		{"nothing", nil, 0},
		{"one is itself", []quality.Part{part(64, 2)}, 64},
		{"two are their geometric mean", []quality.Part{part(25, 1), part(100, 1)}, 50},
		{"weights count", []quality.Part{part(25, 1), part(100, 3)}, 70.711},
		{"what could not be assessed does not", []quality.Part{part(64, 1), part(-1, 9)}, 64},
		{"0 counts as 1", []quality.Part{part(0, 1), part(100, 1)}, 10},
	} {
		if got := quality.Unified(test.parts...); off(got, test.want) > 0.001 {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}
