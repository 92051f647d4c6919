package tflitetest

import (
	"fmt"
	"math"

	"livekiosk/inference/models/tflite"
)

// Run computes the network m on one tensor for each input and returns one for
// each output, all in NHWC. Sums are float64, so it is the exact answer as far
// as a float32 network is concerned. It follows the definitions of TFLite's
// operators and takes its time: 40 million multiplications in half a second.
func Run(m *tflite.Model, in ...[]float32) ([][]float32, error) {
	if len(in) != len(m.Inputs) {
		return nil, fmt.Errorf("%d inputs: want %d", len(in), len(m.Inputs))
	}
	values := make([][]float32, len(m.Tensors))
	for k, i := range m.Inputs {
		if want := size(m.Tensors[i].Shape); len(in[k]) != want {
			return nil, fmt.Errorf("input %d has %d elements: want %d", k, len(in[k]), want)
		}
		values[i] = in[k]
	}
	for _, o := range m.Ops {
		y := make([]float32, size(m.Tensors[o.Out].Shape))
		values[o.Out] = y
		x, r := values[o.X], runner{m: m, o: o, x: m.Tensors[o.X].Shape, y: m.Tensors[o.Out].Shape}
		switch o.Kind {
		case tflite.Add:
			for i := range y {
				y[i] = x[i] + values[o.Y][i]
			}
		case tflite.PReLU:
			slopes := m.Tensors[o.W].Data
			for i, v := range x {
				if y[i] = v; v < 0 {
					y[i] = v * slopes[i%len(slopes)]
				}
			}
		case tflite.Pad:
			r.each(func(i, n, row, col, c int) {
				s := [4]int{n - o.Widths[0][0], row - o.Widths[1][0], col - o.Widths[2][0], c - o.Widths[3][0]}
				for a := range s {
					if s[a] < 0 || s[a] >= r.x[a] {
						return
					}
				}
				y[i] = x[r.at(s[0], s[1], s[2], s[3])]
			})
		case tflite.MaxPool:
			r.each(func(i, n, row, col, c int) {
				most := math.Inf(-1)
				r.window(row, col, func(_, _, iy, ix int) { most = max(most, float64(x[r.at(n, iy, ix, c)])) })
				y[i] = float32(most)
			})
		case tflite.Conv, tflite.Depthwise:
			r.convolve(x, y)
		default:
			return nil, fmt.Errorf("operator %s", o.Kind)
		}
		if o.ReLU {
			for i := range y {
				y[i] = max(0, y[i])
			}
		}
	}
	var out [][]float32
	for _, i := range m.Outputs {
		out = append(out, values[i])
	}
	return out, nil
}

func size(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// A runner holds the shapes of one operator's input and result.
type runner struct {
	m    *tflite.Model
	o    tflite.Op
	x, y []int
}

// at returns the index of an element of the input.
func (r runner) at(n, row, col, c int) int { return ((n*r.x[1]+row)*r.x[2]+col)*r.x[3] + c }

// each calls f for each element of the result, i being its index.
func (r runner) each(f func(i, n, row, col, c int)) {
	i := 0
	for n := range r.y[0] {
		for row := range r.y[1] {
			for col := range r.y[2] {
				for c := range r.y[3] {
					f(i, n, row, col, c)
					i++
				}
			}
		}
	}
}

// window calls f for each element of the filter that lies inside the input when
// the result's pixel is row, col.
func (r runner) window(row, col int, f func(ky, kx, iy, ix int)) {
	top, left := r.before(0), r.before(1)
	for ky := range r.o.Filter[0] {
		for kx := range r.o.Filter[1] {
			iy, ix := row*r.o.Stride[0]+ky-top, col*r.o.Stride[1]+kx-left
			if iy >= 0 && iy < r.x[1] && ix >= 0 && ix < r.x[2] {
				f(ky, kx, iy, ix)
			}
		}
	}
}

// before returns how many rows (0) or columns (1) SAME adds before the input.
func (r runner) before(axis int) int {
	if !r.o.Same {
		return 0
	}
	return max(0, (r.y[1+axis]-1)*r.o.Stride[axis]+r.o.Filter[axis]-r.x[1+axis]) / 2
}

func (r runner) convolve(x, y []float32) {
	w, bias := r.m.Tensors[r.o.W], []float32(nil)
	if r.o.B != tflite.NoTensor {
		bias = r.m.Tensors[r.o.B].Data
	}
	kw := r.o.Filter[1]
	r.each(func(i, n, row, col, c int) {
		sum := 0.0
		if bias != nil {
			sum = float64(bias[c])
		}
		r.window(row, col, func(ky, kx, iy, ix int) {
			if r.o.Kind == tflite.Depthwise {
				per := r.y[3] / r.x[3] // results of each input channel
				sum += float64(x[r.at(n, iy, ix, c/per)]) * float64(w.Data[(ky*kw+kx)*r.y[3]+c])
				return
			}
			from, weights := r.at(n, iy, ix, 0), ((c*r.o.Filter[0]+ky)*kw+kx)*r.x[3]
			for k, v := range x[from : from+r.x[3]] {
				sum += float64(v) * float64(w.Data[weights+k])
			}
		})
		y[i] = float32(sum)
	})
}
