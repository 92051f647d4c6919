//go:build cgo

package v4l2_test

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"livekiosk/camera/v4l2"
	"livekiosk/kiosk"
)

// By their numbers in linux/v4l2-controls.h.
const (
	autoWhite    = 0x98090c
	autogain     = 0x980912
	gain         = 0x980913
	exposureAuto = 0x9a0901
	exposureTime = 0x9a0902
	exposureBias = 0x9a0913
	lock3A       = 0x9a091b
)

// A board of knobs is a camera's controls, each with a range and a value.
type board struct {
	ranges map[uint32]v4l2.Knob
	values map[uint32]int32
	set    []string
}

func (b *board) Query(id uint32) (v4l2.Knob, bool) {
	k, ok := b.ranges[id]
	return k, ok
}

func (b *board) Get(id uint32) (int32, error) {
	if _, ok := b.ranges[id]; !ok {
		return 0, errors.New("no such control")
	}
	return b.values[id], nil
}

func (b *board) Set(id uint32, v int32) error {
	k, ok := b.ranges[id]
	if !ok || v < k.Least || v > k.Most {
		return fmt.Errorf("%#x does not take %d", id, v)
	}
	b.set = append(b.set, fmt.Sprintf("%#x=%d", id, v))
	b.values[id] = v
	return nil
}

// webcam is what most USB cameras have.
func webcam() *board {
	return &board{
		ranges: map[uint32]v4l2.Knob{
			exposureAuto: {Least: 0, Most: 3}, exposureTime: {Least: 3, Most: 2047}, gain: {Least: 0, Most: 255}, autogain: {Least: 0, Most: 1}, autoWhite: {Least: 0, Most: 1},
		},
		values: map[uint32]int32{exposureAuto: 3, exposureTime: 160, gain: 60, autogain: 1, autoWhite: 1},
	}
}

func TestExposureIsCorrectedByWhatTheCameraHas(t *testing.T) {
	face := v4l2.Controls{Exposure: "face"}
	bias := &board{
		ranges: map[uint32]v4l2.Knob{exposureBias: {Least: 0, Most: 4, Menu: map[int32]int64{0: -1000, 1: -500, 2: 0, 3: 500, 4: 1000}}},
		values: map[uint32]int32{exposureBias: 2},
	}
	for _, c := range []struct {
		name     string
		board    *board
		controls v4l2.Controls
		stops    float64
		got      float64
		set      []string
	}{
		{"one stop is twice the time", webcam(), face, 1, 1, []string{"0x9a0901=1", "0x9a0902=320", "0x980912=0", "0x980913=60"}},
		{"longer than a frame it is gain", webcam(), face, 1.5, 1.5, []string{"0x9a0901=1", "0x9a0902=333", "0x980912=0", "0x980913=82"}},
		{"darker, the gain goes first", webcam(), face, -0.5, -0.5, []string{"0x980912=0", "0x980913=42", "0x9a0901=1", "0x9a0902=160"}},
		{"a gain that was configured stays", webcam(), v4l2.Controls{Exposure: "face", Gain: "60"}, 2, 1.06, []string{"0x9a0901=1", "0x9a0902=333"}},
		{"compensation leaves the automatic on", bias, face, 0.6, 0.5, []string{"0x9a0913=3"}},
		{"and has its own limits", bias, face, -9, -1, []string{"0x9a0913=0"}},
		{"nothing was asked of a correction of 0", webcam(), face, 0, 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.board.set = nil
			e := v4l2.NewExposer(c.board, c.controls, 30)
			got, err := e.Correct(c.stops)
			if err != nil || math.Abs(got-c.got) > 0.03 || !slices.Equal(c.board.set, c.set) {
				t.Errorf("Correct(%g) = %.3f, %v by %q; want %.2f by %q", c.stops, got, err, c.board.set, c.got, c.set)
			}
		})
	}
}

func TestExposureGoesBackToTheAutomatic(t *testing.T) {
	b := webcam()
	e := v4l2.NewExposer(b, v4l2.Controls{Exposure: "face"}, 30)
	was := maps.Clone(b.values)
	for _, stops := range []float64{0.8, -0.3, 0} {
		if _, err := e.Correct(stops); err != nil {
			t.Fatal(err)
		}
	}
	if b.values[exposureAuto] != was[exposureAuto] || b.values[autogain] != was[autogain] {
		t.Errorf("%v, want the automatics of %v", b.values, was)
	}
	b.values[exposureTime] = 80 // the light is another by now
	if got, err := e.Correct(1); err != nil || math.Abs(got-1) > 0.03 || b.values[exposureTime] != 160 {
		t.Errorf("Correct(1) = %g, %v with a time of %d, want twice what the automatic has now", got, err, b.values[exposureTime])
	}
}

func TestAFreezeHoldsExposureAndWhiteBalance(t *testing.T) {
	b := webcam()
	e := v4l2.NewExposer(b, v4l2.Controls{Exposure: "face"}, 30)
	if err := e.Freeze(); err != nil || b.values[exposureAuto] != 1 || b.values[exposureTime] != 160 || b.values[autogain] != 0 || b.values[autoWhite] != 0 {
		t.Fatalf("Freeze() = %v with %v", err, b.values)
	}
	if err := e.Thaw(); err != nil || b.values[exposureAuto] != 3 || b.values[autogain] != 1 || b.values[autoWhite] != 1 {
		t.Errorf("Thaw() = %v with %v", err, b.values)
	}
	if _, err := e.Correct(1); err != nil {
		t.Fatal(err)
	}
	err := errors.Join(e.Freeze(), e.Thaw())
	if err != nil || b.values[exposureAuto] != 1 || b.values[exposureTime] != 320 || b.values[autoWhite] != 1 {
		t.Errorf("%v with %v: want the correction to outlive the freeze", err, b.values)
	}

	locks := webcam()
	locks.ranges[lock3A] = v4l2.Knob{Most: 7}
	e = v4l2.NewExposer(locks, v4l2.Controls{Exposure: "face"}, 30)
	if err := e.Freeze(); err != nil || !slices.Equal(locks.set, []string{"0x9a091b=7"}) {
		t.Errorf("Freeze() = %v by %q", err, locks.set)
	}
	if err := e.Thaw(); err != nil || locks.values[lock3A] != 0 {
		t.Errorf("Thaw() = %v with %v", err, locks.values)
	}

	none := v4l2.NewExposer(&board{}, v4l2.Controls{Exposure: "face"}, 30)
	if _, err := none.Correct(1); !errors.Is(err, kiosk.ErrNoControl) || !errors.Is(none.Freeze(), kiosk.ErrNoControl) {
		t.Errorf("a camera without controls takes a correction or a freeze: %v", err)
	}
}

func TestACameraThatDoesNotStreamHasNoExposure(t *testing.T) {
	c, err := v4l2.Open(v4l2.Options{Path: "/dev/null", Controls: v4l2.Controls{Exposure: "face"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Correct(1); !errors.Is(err, kiosk.ErrNoControl) || !errors.Is(c.Freeze(), kiosk.ErrNoControl) || c.Thaw() != nil {
		t.Errorf("Correct(1) = %v", err)
	}
}
