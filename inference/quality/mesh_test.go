package quality_test

import (
	"math"
	"testing"

	"livekiosk/inference/quality"
)

// Indices of the mesh that the tests place.
const (
	forehead, chin           = 10, 152
	rightOuter, rightInner   = 33, 133
	leftOuter, leftInner     = 263, 362
	rightCheek, leftCheek    = 50, 280
	rightMouth, leftMouth    = 61, 291
	rightSide, leftSide      = 234, 454
	rightTemple, leftTemple  = 127, 356
	rightJaw, leftJaw        = 132, 361
	innerLipTop, innerLipLow = 13, 14
)

// head returns a frontal symmetric head with eyes 60 apart, 100 from the
// midpoint between the eyes to the chin, both eyes open by 4 and the mouth by
// 10.
func head() *quality.Mesh {
	var m quality.Mesh
	pair := func(right, left int, x, y, z float32) {
		m[right], m[left] = quality.Point{X: -x, Y: y, Z: z}, quality.Point{X: x, Y: y, Z: z}
	}
	m[forehead], m[chin] = quality.Point{Y: -60, Z: -20}, quality.Point{Y: 100, Z: -20}
	pair(rightOuter, leftOuter, 45, 0, 0)
	pair(rightInner, leftInner, 15, 0, -5)
	pair(rightMouth, leftMouth, 25, 60, -15)
	pair(rightSide, leftSide, 75, 10, 60)
	pair(rightTemple, leftTemple, 70, -10, 50)
	pair(rightJaw, leftJaw, 65, 40, 50)
	pair(rightCheek, leftCheek, 45, 30, 0)
	for i, upper := range []int{160, 159, 158} {
		pair(upper, []int{387, 386, 385}[i], 30, -2, 0)
	}
	for i, lower := range []int{144, 145, 153} {
		pair(lower, []int{373, 374, 380}[i], 30, 2, 0)
	}
	for i, lip := range []int{82, innerLipTop, 312} {
		m[lip] = quality.Point{X: float32(i-1) * 5, Y: 65, Z: -20}
	}
	for i, lip := range []int{87, innerLipLow, 317} {
		m[lip] = quality.Point{X: float32(i-1) * 5, Y: 75, Z: -20}
	}
	return &m
}

// turn turns the head: first the chin up by pitch, then to the person's own
// left by yaw, then towards the person's own left shoulder by roll, in degrees,
// each as seen from the person.
func turn(m *quality.Mesh, yaw, pitch, roll float64) {
	sy, cy := math.Sincos(yaw * math.Pi / 180)
	sp, cp := math.Sincos(pitch * math.Pi / 180)
	sr, cr := math.Sincos(roll * math.Pi / 180)
	for i, p := range m {
		x, y, z := float64(p.X), float64(p.Y), float64(p.Z)
		// Chin up brings what is below (y > 0) towards the camera (z < 0).
		y, z = y*cp+z*sp, z*cp-y*sp
		// Left brings the person's left (x > 0) away from the camera (z > 0).
		x, z = x*cy-z*sy, z*cy+x*sy
		// The left shoulder is on the right: the top of the head (y < 0) goes
		// there (x > 0).
		x, y = x*cr-y*sr, y*cr+x*sr
		m[i] = quality.Point{X: float32(x), Y: float32(y), Z: float32(z)}
	}
}

func TestPoseIsHowTheHeadWasTurned(t *testing.T) {
	for _, test := range []struct {
		name             string
		yaw, pitch, roll float64
	}{
		{"straight", 0, 0, 0},
		{"to the own left", 20, 0, 0},
		{"to the own right", -35, 0, 0},
		{"chin up", 0, 15, 0},
		{"chin down", 0, -25, 0},
		{"to the left shoulder", 0, 0, 12},
		{"to the right shoulder", 0, 0, -40},
		{"all at once", 25, -10, 15},
		{"all the other way", -25, 10, -15},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := head()
			turn(m, test.yaw, test.pitch, test.roll)
			p := m.Pose()
			if off(p.Yaw, test.yaw) > 0.01 || off(p.Pitch, test.pitch) > 0.01 || off(p.Roll, test.roll) > 0.01 {
				t.Errorf("pose is %+v, want yaw %v, pitch %v, roll %v", p, test.yaw, test.pitch, test.roll)
			}
		})
	}
}

// The signs in words that need no rotation matrix.
func TestPoseSigns(t *testing.T) {
	t.Run("when the person's left side is farther away the head is turned left", func(t *testing.T) {
		m := head()
		for _, left := range []int{leftOuter, leftInner, leftMouth, leftSide, leftTemple, leftJaw} {
			m[left].Z += 20
		}
		if yaw := m.Pose().Yaw; yaw < 5 {
			t.Errorf("yaw is %v", yaw)
		}
	})
	t.Run("when the chin comes nearer it is up", func(t *testing.T) {
		m := head()
		m[chin].Z -= 40
		if pitch := m.Pose().Pitch; pitch < 5 {
			t.Errorf("pitch is %v", pitch)
		}
	})
	t.Run("when the person's left eye is lower the head is tilted left", func(t *testing.T) {
		m := head()
		for _, left := range []int{leftOuter, leftInner, leftMouth, leftSide, leftTemple, leftJaw} {
			m[left].Y += 15
		}
		if roll := m.Pose().Roll; roll < 5 {
			t.Errorf("roll is %v", roll)
		}
	})
}

func TestInterEyeDistanceDoesNotShrinkWhenTheHeadTurns(t *testing.T) {
	for _, yaw := range []float64{0, 15, -30, 45} {
		m := head()
		turn(m, yaw, 0, 0)
		// Inner and outer corners lie at different depths, so the midpoints turn
		// about another point; their distance is exact all the same.
		if got := m.IED(m.Pose().Yaw); off(got, 60) > 0.05 {
			t.Errorf("at yaw %v it is %v, want 60", yaw, got)
		}
	}
	if got := head().IED(90); math.IsInf(float64(got), 0) || got > 121 {
		t.Errorf("at yaw 90 it is %v, want no more than twice what is seen", got)
	}
}

func TestOpenings(t *testing.T) {
	for _, test := range []struct {
		name        string
		change      func(*quality.Mesh)
		eyes, mouth float64
	}{
		{"as made", func(*quality.Mesh) {}, 0.04, 0.10},
		{"one closed eye counts", func(m *quality.Mesh) {
			for _, i := range []int{385, 386, 387} {
				m[i].Y = 2
			}
		}, 0, 0.10},
		{"the widest part of an eye counts", func(m *quality.Mesh) {
			m[159].Y, m[386].Y = -4, -4
		}, 0.06, 0.10},
		{"a closed mouth", func(m *quality.Mesh) {
			for _, i := range []int{82, 13, 312} {
				m[i].Y = 75
			}
		}, 0.04, 0},
		{"size does not count", func(m *quality.Mesh) {
			for i := range m {
				m[i] = quality.Point{X: m[i].X * 3, Y: m[i].Y * 3, Z: m[i].Z * 3}
			}
		}, 0.04, 0.10},
		{"tilt does not count", func(m *quality.Mesh) { turn(m, 0, 0, 33) }, 0.04, 0.10},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := head()
			test.change(m)
			if eyes, mouth := m.EyesOpen(), m.MouthOpen(); off(eyes, test.eyes) > 1e-4 || off(mouth, test.mouth) > 1e-4 {
				t.Errorf("eyes %v, mouth %v, want %v and %v", eyes, mouth, test.eyes, test.mouth)
			}
		})
	}
}

func TestMeshOfOnePointIsHarmless(t *testing.T) {
	var m quality.Mesh
	if p := m.Pose(); p != (quality.Pose{}) {
		t.Errorf("pose is %+v, want zero", p)
	}
	if m.IED(0) != 0 || m.T() != 0 || m.EyesOpen() != 0 || m.MouthOpen() != 0 {
		t.Error("measures of a point are not all zero")
	}
}

func off(got float32, want float64) float64 { return math.Abs(float64(got) - want) }
