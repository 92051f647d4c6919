package replay_test

import (
	"image"
	"math"
	"math/rand/v2"
	"testing"

	"livekiosk/camera/replay"
)

// scatter returns points in a square of 100, its corners first.
func scatter(n int, seed uint64) [][2]float64 {
	rng := rand.New(rand.NewPCG(seed, seed))
	points := [][2]float64{{0, 0}, {100, 0}, {100, 100}, {0, 100}}
	for range n {
		points = append(points, [2]float64{100 * rng.Float64(), 100 * rng.Float64()})
	}
	return points
}

func TestTriangulateCoversTheHullWithEmptyCircles(t *testing.T) {
	for seed := range uint64(20) {
		points := scatter(40, seed)
		var area float64
		for _, c := range replay.Triangulate(points) {
			a, b, d := points[c[0]], points[c[1]], points[c[2]]
			bx, by, dx, dy := b[0]-a[0], b[1]-a[1], d[0]-a[0], d[1]-a[1]
			double := bx*dy - by*dx
			area += math.Abs(double) / 2
			b2, d2 := bx*bx+by*by, dx*dx+dy*dy
			x, y := (dy*b2-by*d2)/(2*double), (bx*d2-dx*b2)/(2*double)
			r := math.Hypot(x, y)
			for i, p := range points {
				if math.Hypot(p[0]-a[0]-x, p[1]-a[1]-y) < r*(1-1e-9) {
					t.Errorf("seed %d: point %d lies in the circle of triangle %v", seed, i, c)
				}
			}
		}
		if math.Abs(area-100*100) > 1e-6 {
			t.Errorf("seed %d: triangles cover %v of 10000", seed, area)
		}
	}
}

func TestTrianglesNeitherOverlapNorLeaveGaps(t *testing.T) {
	for seed := range uint64(20) {
		points := scatter(60, seed)
		triangles := replay.Triangulate(points)
		for i := range points {
			points[i][0] += 5.25
			points[i][1] += 7.5
		}
		dst := image.NewRGBA(image.Rect(0, 0, 112, 116))
		replay.Fill(dst, points, triangles, 128)
		// A pixel drawn once has the texture's alpha of one half in its colour.
		for y := range 116 {
			for x := range 112 {
				cx, cy := float64(x)+0.5, float64(y)+0.5
				var want uint8
				if cx >= 5.25 && cx < 105.25 && cy >= 7.5 && cy < 107.5 {
					want = 128
				}
				if got := dst.Pix[y*dst.Stride+4*x]; got != want {
					t.Fatalf("seed %d: pixel %d,%d is %d, want %d", seed, x, y, got, want)
				}
			}
		}
	}
}

func TestTrianglesOutsideTheFrameAreClipped(t *testing.T) {
	dst := image.NewRGBA(image.Rect(0, 0, 16, 16))
	far := [][2]float64{{-1e6, -1e6}, {1e6, -1e6}, {0, 1e6}, {20, 20}, {30, 20}, {25, 40}, {3, 3}, {3, 3}, {9, 9}}
	replay.Fill(dst, far, []replay.Triangle{{0, 1, 2}}, 255)
	if got := dst.Pix[0]; got != 255 {
		t.Errorf("a triangle around the frame leaves %d", got)
	}
	clear(dst.Pix)
	replay.Fill(dst, far[3:], []replay.Triangle{{0, 1, 2}, {3, 4, 5}}, 255)
	for i, v := range dst.Pix {
		if v != 0 {
			t.Fatalf("a triangle outside the frame draws byte %d", i)
		}
	}
}
