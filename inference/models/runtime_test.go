//go:build cgo

package models_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"livekiosk/inference/models"
	"livekiosk/inference/models/tflite"
	"livekiosk/inference/models/tflite/tflitetest"
	"livekiosk/inference/onnx"
)

// start loads the cached runtime, once for the process, and returns the files.
func start(t *testing.T) models.Set {
	t.Helper()
	set, err := models.Open(t.Context(), models.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if err := onnx.Start(set.Runtime); err != nil {
		t.Fatal(err)
	}
	return set
}

func open(t *testing.T, file string) *onnx.Session {
	t.Helper()
	s, err := onnx.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestTheConvertedNetworkComputesWhatTheSourceDoes compares two computations
// that share only the reading of the file: ONNX Runtime on the conversion, and
// a plain walk over TFLite's own operators.
func TestTheConvertedNetworkComputesWhatTheSourceDoes(t *testing.T) {
	s := open(t, start(t).Landmarks)
	copy(s.Input(), pattern(192))
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	want, err := interpreted()
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range want {
		got := s.Output(i)
		if len(got) != len(w) {
			t.Fatalf("output %d has %d elements, want %d", i, len(got), len(w))
		}
		d := worst(got, w)
		t.Logf("output %d: largest difference %.2g", i, d)
		if !(d <= 0.001) { // of a pixel of 192, or of the logit
			t.Errorf("output %d differs by %g", i, d)
		}
	}
}

func TestRandomNetworksComputeTheSameInBothForms(t *testing.T) {
	start(t)
	dir := t.TempDir()
	for seed := range uint32(60) {
		m, err := tflite.Parse(random(seed).Bytes())
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, fmt.Sprintf("%d.onnx", seed))
		if err := os.WriteFile(file, m.ONNX(), 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, file)
		for i := range s.Input() {
			s.Input()[i] = float32(i*37%64-32) / 32
		}
		want, err := tflitetest.Run(m, slices.Clone(s.Input()))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Run(); err != nil {
			t.Fatal(err)
		}
		scale := worst(want[0], make([]float32, len(want[0])))
		if got := s.Output(0); len(got) != len(want[0]) || !(worst(got, want[0]) <= 1e-5*(1+scale)) {
			t.Errorf("seed %d: values up to %g differ by %g", seed, scale, worst(got, want[0]))
		}
	}
}

// TestTensorsAreAsTheManifestSays, so that nobody has to open a network to know
// how to feed it.
func TestTensorsAreAsTheManifestSays(t *testing.T) {
	set := start(t)
	m, err := models.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range m.Artifacts("amd64") {
		file, ok := map[models.Role]string{models.Detector: set.Detector, models.Landmarks: set.Landmarks, models.PAD: set.PAD}[a.Role]
		if !ok {
			continue
		}
		s := open(t, file)
		got := [][]int64{s.InputShape()}
		for i := range s.Outputs() {
			got = append(got, s.OutputShape(i))
		}
		var want [][]int
		for _, tensor := range slices.Concat(a.Inputs, a.Outputs) {
			want = append(want, tensor.Shape)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s has tensors %v, the manifest says %v", a.Name, got, want)
		}
	}
}
