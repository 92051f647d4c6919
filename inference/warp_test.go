package inference_test

import (
	"image"
	"math"
	"math/rand/v2"
	"testing"

	"livekiosk/inference"
	"livekiosk/inference/inferencetest"
)

// TestFastSamplesAreTheExactOnes allows for weights of 1/256: in a picture of
// pure noise that is up to three levels, and in one whose neighbours differ by up
// to 16 a fifth.
func TestFastSamplesAreTheExactOnes(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 4))
	noise := inferencetest.Noise(image.Pt(64, 48), 1)
	soft := inferencetest.Plain(image.Pt(64, 48), 0)
	for i := range soft.Pix {
		if i%4 != 3 {
			soft.Pix[i] = 100 + noise.Pix[i]/16
		}
	}
	for range 5000 {
		x, y := 1+60*random.Float32(), 1+44*random.Float32()
		for _, c := range []struct {
			img *image.RGBA
			off float64
		}{{noise, 3}, {soft, 0.2}} {
			want, got := inference.Bilinear(c.img, x, y), inference.Blend(c.img, x, y)
			for i := range want {
				if math.Abs(float64(got[i]-want[i])) > c.off {
					t.Fatalf("at %v, %v: %v, want %v", x, y, got, want)
				}
			}
		}
	}
}

func TestSumsOfPixels(t *testing.T) {
	white := inferencetest.Plain(image.Pt(257, 1), 255)
	noise := inferencetest.Noise(image.Pt(257, 1), 2)
	for _, n := range []int{1, 2, 3, 5, 8, 256, 257} {
		for _, img := range []*image.RGBA{white, noise} {
			pix := img.Pix[:4*n]
			var want [3]uint32
			for i, v := range pix {
				if i%4 < 3 {
					want[i%4] += uint32(v)
				}
			}
			if got := inference.Add(pix); got != want {
				t.Errorf("%d pixels: %v, want %v", n, got, want)
			}
		}
	}
}
