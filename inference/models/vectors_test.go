//go:build cgo

package models_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"livekiosk/inference/models"
)

// TestNetworksComputeTheirGoldenVectors on this machine's architecture,
// whichever that is.
func TestNetworksComputeTheirGoldenVectors(t *testing.T) {
	set := start(t)
	files := map[models.Role]string{models.Detector: set.Detector, models.Landmarks: set.Landmarks, models.PAD: set.PAD}
	outputs := map[models.Role]int{models.Detector: 4, models.Landmarks: 2, models.PAD: 1}
	var lines bytes.Buffer
	for _, role := range []models.Role{models.Detector, models.Landmarks, models.PAD} {
		t.Run(string(role), func(t *testing.T) {
			s := open(t, files[role])
			models.Pattern(role, s.Input())
			if err := s.Run(); err != nil {
				t.Fatal(err)
			}
			for i := range outputs[role] {
				out := s.Output(i)
				for at := 0; at < len(out); at += 1 + len(out)/20 {
					fmt.Fprintf(&lines, "%s %d %d %.5f\n", role, i, at, out[at])
				}
			}
			if *update {
				return
			}
			worst, err := models.CheckVectors(role, s.Output)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("largest difference: %.3f of what is tolerated", worst)

			spoilt := func(i int) []float32 {
				out := slices.Clone(s.Output(i))
				out[0] += 2 * models.Tolerance * max(1, float32(math.Abs(float64(out[0]))))
				return out
			}
			if _, err := models.CheckVectors(role, spoilt); !errors.Is(err, models.ErrVector) {
				t.Errorf("a value that is off by twice the tolerance: %v", err)
			}
			nan := func(i int) []float32 {
				out := slices.Clone(s.Output(i))
				out[0] = float32(math.NaN())
				return out
			}
			if _, err := models.CheckVectors(role, nan); !errors.Is(err, models.ErrVector) {
				t.Errorf("a value that is no number: %v", err)
			}
		})
	}
	if *update {
		if err := os.WriteFile("testdata/vectors.golden", lines.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := models.CheckVectors(models.Runtime, nil); !errors.Is(err, models.ErrVector) {
		t.Errorf("what has no vectors passes: %v", err)
	}
}
