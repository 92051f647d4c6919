package inferencetest

import (
	"context"
	"image"
	"sync"
	"testing"

	"livekiosk/camera/pixel"
	"livekiosk/inference"
	"livekiosk/inference/models"
	"livekiosk/inference/onnx"
	"livekiosk/kiosk"
)

// verified opens the models once for all tests of a process: it reads 50 MB.
var verified = sync.OnceValues(func() (models.Set, error) { return models.Open(context.Background(), models.Dir()) })

// Set returns the verified files of the real models, and ends the test if they
// are not there.
func Set(tb testing.TB) models.Set {
	tb.Helper()
	set, err := verified()
	if err != nil {
		tb.Fatalf("the models are not there, run make models: %v", err)
	}
	return set
}

// Models returns options with the real models, each closed when the test ends,
// and no decoder. It ends the test if they do not open.
func Models(tb testing.TB) inference.Options {
	tb.Helper()
	set := Set(tb)
	if err := onnx.Start(set.Runtime); err != nil {
		tb.Fatal(err)
	}
	open := func(path string) *onnx.Session {
		s, err := onnx.Open(path)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() {
			if err := s.Close(); err != nil {
				tb.Errorf("close %s: %v", path, err)
			}
		})
		return s
	}
	return inference.Options{Detector: open(set.Detector), Landmarks: open(set.Landmarks), PAD: open(set.PAD)}
}

// Still is a decoder that gives the same picture for every frame, so that tests
// need no codec.
type Still struct{ Picture *image.RGBA }

// Decode returns the picture, whatever it is asked for.
func (s *Still) Decode(*kiosk.Frame, int) (*image.RGBA, *image.Gray, error) {
	luma := image.NewGray(s.Picture.Rect)
	return s.Picture, luma, pixel.Turn(nil, luma, s.Picture, pixel.Orientation{})
}

// Assess returns o's assessment of img as the whole of a frame of its size.
func Assess(tb testing.TB, o inference.Options, img *image.RGBA) kiosk.Assessment {
	tb.Helper()
	o.Decoder = &Still{img}
	a, err := inference.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	got, err := a.Assess(&kiosk.Frame{ID: 1, Size: img.Rect.Size()})
	if err != nil {
		tb.Fatal(err)
	}
	return got
}
