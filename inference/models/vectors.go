package models

import (
	"bufio"
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"math"
)

// ErrVector marks a network that does not compute what it must.
var ErrVector = errors.New("network computes something else than its golden vectors")

// Tolerance is how far an output may be from its golden value: this share of
// it, or this much where it is below 1. Another processor sums in another
// order, which moved no value by more than 0.000008 so measured, from amd64
// with AVX2 to arm64 with NEON; a network that is not the one it must be is off
// by whole units.
const Tolerance = 0.0005

// golden holds a line "role output element value" for each value that is
// compared. It was computed by ONNX Runtime on amd64: go test -update does so
// again.
//
//go:embed testdata/vectors.golden
var golden []byte

// Pattern fills the input of the network of role with a picture of its own,
// which is exact in float32 on every machine.
func Pattern(role Role, input []float32) {
	for i := range input {
		v := float32((i*i>>7+i*37>>3)&255) / 256
		switch role {
		case Detector:
			v = 2*v - 1
		case PAD:
			v *= 255
		case Landmarks, Runtime, Source:
		}
		input[i] = v
	}
}

// A Vector is one value that a network computes from [Pattern].
type Vector struct {
	Output  int     `json:"output"`
	Element int     `json:"element"`
	Value   float64 `json:"value"`
}

// CheckVectors compares what the network of role computed from [Pattern] with
// the golden vectors of the one in the manifest: see Compare.
func CheckVectors(role Role, output func(i int) []float32) (worst float64, err error) {
	var with []Vector
	for lines := bufio.NewScanner(bytes.NewReader(golden)); lines.Scan(); {
		var of string
		var i, element int
		var want float64
		if _, err := fmt.Sscan(lines.Text(), &of, &i, &element, &want); err != nil {
			return 0, fmt.Errorf("golden vector %q: %w", lines.Text(), err)
		}
		if Role(of) != role {
			continue
		}
		with = append(with, Vector{i, element, want})
	}
	return Compare(role, with, output)
}

// Compare compares what the network of role computed from [Pattern] with what it
// must, within Tolerance. output returns output i of the network, nil if there is
// none. It returns the largest difference, as a share of what is tolerated; an
// error wraps ErrVector and names the value. None to compare with is an error.
func Compare(role Role, with []Vector, output func(i int) []float32) (worst float64, err error) {
	for _, v := range with {
		values := output(v.Output)
		if v.Element < 0 || v.Element >= len(values) {
			return 0, fmt.Errorf("%w: %s, output %d has no [%d]", ErrVector, role, v.Output, v.Element)
		}
		got := float64(values[v.Element])
		off := math.Abs(got-v.Value) / (Tolerance * max(1, math.Abs(v.Value)))
		if !(off <= 1) { // also what is no number
			return off, fmt.Errorf("%w: %s, output %d [%d]: %.4f instead of %.4f", ErrVector, role, v.Output, v.Element, got, v.Value)
		}
		worst = max(worst, off)
	}
	if len(with) == 0 {
		return 0, fmt.Errorf("%w: there are none for %s", ErrVector, role)
	}
	return worst, nil
}
