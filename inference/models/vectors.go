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

// CheckVectors compares what the network of role computed from [Pattern] with
// the golden vectors, within Tolerance. output returns output i of the network.
// It returns the largest difference, as a share of what is tolerated; an error
// wraps ErrVector and names the value.
func CheckVectors(role Role, output func(i int) []float32) (worst float64, err error) {
	compared := 0
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
		got := float64(output(i)[element])
		off := math.Abs(got-want) / (Tolerance * max(1, math.Abs(want)))
		if !(off <= 1) { // also what is no number
			return off, fmt.Errorf("%w: %s, output %d [%d]: %.4f instead of %.4f", ErrVector, role, i, element, got, want)
		}
		worst = max(worst, off)
		compared++
	}
	if compared == 0 {
		return 0, fmt.Errorf("%w: there are none for %s", ErrVector, role)
	}
	return worst, nil
}
