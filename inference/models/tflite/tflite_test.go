package tflite_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"livekiosk/inference/models/tflite"
	"livekiosk/inference/models/tflite/tflitetest"
)

type (
	net    = tflitetest.Net
	tensor = tflitetest.Tensor
	op     = tflitetest.Op
)

const (
	same, valid = tflitetest.Same, tflitetest.Valid
	none, relu  = tflitetest.None, tflitetest.ReLU
)

func ramp(n int) []float32 {
	r := make([]float32, n)
	for i := range r {
		r[i] = float32(i%7) - 3
	}
	return r
}

// everything uses each operator once: a 5x4 picture of 2 channels is convolved
// to 3x2x3 with float16 weights, pooled, padded, added to itself, and so on.
func everything() net {
	halves := make([]uint16, 3*3*3*2)
	for i := range halves {
		halves[i] = []uint16{0x3c00, 0xbc00, 0x3800, 0x0000}[i%4] // 1, -1, 0.5, 0
	}
	return net{
		Tensors: []tensor{
			0:  {Name: "picture", Shape: []int32{1, 5, 4, 2}},
			1:  {Name: "w16", Shape: []int32{3, 3, 3, 2}, Halves: halves},
			2:  {Name: "w32", Shape: []int32{3, 3, 3, 2}},
			3:  {Name: "b", Shape: []int32{3}, Floats: []float32{1, 2, -3}},
			4:  {Name: "conv", Shape: []int32{1, 3, 2, 3}},
			5:  {Name: "slopes", Shape: []int32{1, 1, 3}, Floats: []float32{0.25, 0.5, 2}},
			6:  {Name: "prelu", Shape: []int32{1, 3, 2, 3}},
			7:  {Name: "widths", Shape: []int32{4, 2}, Ints: []int32{0, 0, 1, 0, 0, 2, 0, 3}},
			8:  {Name: "padded", Shape: []int32{1, 4, 4, 6}},
			9:  {Name: "dw", Shape: []int32{1, 2, 3, 12}, Floats: ramp(72)},
			10: {Name: "depthwise", Shape: []int32{1, 3, 2, 12}},
			11: {Name: "pool", Shape: []int32{1, 2, 1, 12}},
			12: {Name: "sum", Shape: []int32{1, 2, 1, 12}},
		},
		Ops: []op{
			{Code: tflitetest.CodeDequantize, In: []int32{1}, Out: []int32{2}},
			{Code: tflitetest.CodeConv, In: []int32{0, 2, 3}, Out: []int32{4}, Options: []any{same, int32(2), int32(2), none}},
			{Code: tflitetest.CodePReLU, In: []int32{4, 5}, Out: []int32{6}},
			{Code: tflitetest.CodePad, In: []int32{6, 7}, Out: []int32{8}},
			{Code: tflitetest.CodeDepthwise, In: []int32{8, 9}, Out: []int32{10}, Options: []any{valid, int32(1), int32(1), int32(2), relu}},
			{Code: tflitetest.CodeMaxPool, In: []int32{10}, Out: []int32{11}, Options: []any{same, int32(2), int32(2), int32(2), int32(2), none}},
			{Code: tflitetest.CodeAdd, In: []int32{11, 11}, Out: []int32{12}, Options: []any{relu}},
		},
		Inputs: []int32{0}, Outputs: []int32{4, 12},
	}
}

func TestEveryOperatorIsConverted(t *testing.T) {
	src := everything().Bytes()
	m, err := tflite.Parse(src)
	if err != nil {
		t.Fatal(err)
	}
	file := decode(t, m.ONNX())
	want := []string{"Transpose", "Conv", "PRelu", "Pad", "Conv", "Relu", "MaxPool", "Add", "Relu", "Transpose", "Transpose"}
	if got := file.operators(); !slices.Equal(got, want) {
		t.Errorf("operators %v, want %v", got, want)
	}
	for node, want := range map[int]map[string][]int{
		0: {"perm": {0, 3, 1, 2}},
		// Five rows by stride 2 under a filter of 3 want a row at both ends,
		// four columns want one at the right end only.
		1: {"kernel_shape": {3, 3}, "strides": {2, 2}, "pads": {1, 0, 1, 1}, "group": {1}},
		4: {"kernel_shape": {2, 3}, "strides": {1, 1}, "pads": {0, 0, 0, 0}, "group": {6}},
		6: {"kernel_shape": {2, 2}, "strides": {2, 2}, "pads": {0, 0, 1, 0}},
		9: {"perm": {0, 2, 3, 1}},
	} {
		if got := file.nodes[node].ints; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("node %d has attributes %v, want %v", node, got, want)
		}
	}
	if got, want := file.ends, []string{"picture [1 5 4 2]", "conv [1 3 2 3]", "sum [1 2 1 12]"}; !slices.Equal(got, want) {
		t.Errorf("inputs and outputs are %v, want %v", got, want)
	}
}

func TestTheSameSourceGivesTheSameBytes(t *testing.T) {
	src := everything().Bytes()
	first, err := tflite.Convert(src)
	if err != nil {
		t.Fatal(err)
	}
	again, err := tflite.Convert(bytes.Clone(src))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, again) {
		t.Error("two conversions differ")
	}
}

func TestHalvesBecomeTheFloatsTheyStandFor(t *testing.T) {
	halves := []uint16{0x0000, 0x8000, 0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x83ff, 0x7c00, 0xfc00, 0x3555, 0x7e00}
	n := everything()
	n.Tensors[1].Halves, n.Tensors[1].Shape = halves, []int32{3, 1, 2, 2}
	n.Tensors[2].Shape = n.Tensors[1].Shape
	n.Tensors[4].Shape = []int32{1, 3, 2, 3}
	m, err := tflite.Parse(n.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	got := m.Tensors[m.Ops[0].W].Data
	want := []float32{
		0, float32(math.Copysign(0, -1)), 1, -2, 65504, 1.0 / (1 << 14), 1.0 / (1 << 24), -1023.0 / (1 << 24),
		float32(math.Inf(1)), float32(math.Inf(-1)), 0.333251953125,
	}
	for i, w := range want {
		if math.Float32bits(got[i]) != math.Float32bits(w) {
			t.Errorf("half %#04x is %v, want %v", halves[i], got[i], w)
		}
	}
	if v := got[len(want)]; v == v {
		t.Errorf("half %#04x is %v, want NaN", halves[len(want)], v)
	}
}

func TestWhatIsNotKnownIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*net)
		want   string
	}{
		"an operator outside the subset":       {func(n *net) { n.Ops[2].Code = 22 }, "builtin operator 22"},
		"another schema version":               {func(n *net) { n.Version = 2 }, "schema version 2"},
		"two subgraphs":                        {func(n *net) { n.Graphs = 2 }, "2 subgraphs"},
		"a dilated convolution":                {func(n *net) { n.Ops[1].Options = append(n.Ops[1].Options, int32(2), int32(1)) }, "dilation 2x1"},
		"a dilated depthwise convolution":      {func(n *net) { n.Ops[4].Options = append(n.Ops[4].Options, int32(1), int32(3)) }, "dilation 1x3"},
		"a fused activation other than RELU":   {func(n *net) { n.Ops[1].Options[3] = uint8(3) }, "fused activation 3"},
		"any fused activation of pooling":      {func(n *net) { n.Ops[5].Options[5] = relu }, "fused activation 1"},
		"a sparse tensor":                      {func(n *net) { n.Tensors[3].Sparse = true }, "sparse"},
		"a constant of another type":           {func(n *net) { n.Tensors[3] = tensor{Shape: []int32{3}, Raw: make([]byte, 12), Type: 9} }, "type 9"},
		"an activation of another type":        {func(n *net) { n.Tensors[4].Type = 9 }, "type 9"},
		"an activation of another rank":        {func(n *net) { n.Tensors[0].Shape = []int32{5, 4, 2} }, "want rank 4"},
		"a shape with a side of zero":          {func(n *net) { n.Tensors[0].Shape[1] = 0 }, "shape [1 0 4 2]"},
		"a shape that is too large":            {func(n *net) { n.Tensors[0].Shape = []int32{9999, 9999, 9999, 2} }, "shape [9999 9999 9999 2]"},
		"a shape of five sides":                {func(n *net) { n.Tensors[0].Shape = []int32{1, 1, 1, 1, 1} }, "at most 4"},
		"a constant shorter than its shape":    {func(n *net) { n.Tensors[3].Floats = []float32{1} }, "4 bytes for shape [3]"},
		"a result of another shape":            {func(n *net) { n.Tensors[4].Shape[1] = 2 }, "gives shape [1 3 2 3]"},
		"a bias of another length":             {func(n *net) { n.Tensors[3] = tensor{Shape: []int32{2}, Floats: []float32{1, 2}} }, "bias of shape [2]"},
		"weights for other channels":           {func(n *net) { n.Tensors[0].Shape[3] = 3 }, "do not fit 3 channels"},
		"slopes for other channels":            {func(n *net) { n.Tensors[5] = tensor{Shape: []int32{2}, Floats: []float32{1, 2}} }, "one for each of 3"},
		"a multiplier that does not fit":       {func(n *net) { n.Ops[4].Options[3] = int32(3) }, "do not fit 6 channels"},
		"a stride of zero":                     {func(n *net) { n.Ops[1].Options[1] = int32(0) }, "strides [2 0]"},
		"an unknown padding":                   {func(n *net) { n.Ops[1].Options[0] = uint8(2) }, "padding 2"},
		"a filter larger than the picture":     {func(n *net) { n.Ops[5].Options = []any{valid, int32(1), int32(1), int32(9), int32(1), none} }, "filter [1 9]"},
		"a negative width of padding":          {func(n *net) { n.Tensors[7].Ints[2] = -1 }, "width -1"},
		"widths that are not constant":         {func(n *net) { n.Ops[3].In[1] = 4 }, "0 constant widths"},
		"operands of different shape":          {func(n *net) { n.Ops[6].In[1] = 10 }, "operands have shapes"},
		"a sum of one":                         {func(n *net) { n.Ops[6].In = n.Ops[6].In[:1] }, "1 operands"},
		"weights that are an activation":       {func(n *net) { n.Ops[1].In[1] = 0 }, "not a float32 constant"},
		"weights that are still float16":       {func(n *net) { n.Ops[1].In[1] = 1 }, "not a float32 constant"},
		"an operand before it is computed":     {func(n *net) { n.Ops[2].In[0] = 10 }, "before it is computed"},
		"a result computed twice":              {func(n *net) { n.Ops[2].Out[0] = 4 }, "known before"},
		"a result that is a constant":          {func(n *net) { n.Ops[2].Out[0] = 5 }, "is a constant"},
		"a tensor that does not exist":         {func(n *net) { n.Ops[1].In[0] = 99 }, "tensor 99 of 13"},
		"a result that does not exist":         {func(n *net) { n.Ops[1].Out[0] = -7 }, "tensor -7"},
		"an operator without options":          {func(n *net) { n.Ops[5].Options = nil }, "MAX_POOL_2D has no options"},
		"an operator without operands":         {func(n *net) { n.Ops[5].In = nil }, "0 inputs"},
		"float32 to be dequantized":            {func(n *net) { n.Ops[0].In[0] = 3 }, "not a float16 constant"},
		"dequantizing into another shape":      {func(n *net) { n.Tensors[2].Shape = []int32{3, 3, 2, 3} }, "another shape"},
		"an input that is a constant":          {func(n *net) { n.Inputs[0] = 3 }, "is a constant"},
		"an output that nothing computes":      {func(n *net) { n.Outputs[0] = 0 }, "no operator's result"},
		"no output":                            {func(n *net) { n.Outputs = nil }, "0 outputs"},
		"an output without a name":             {func(n *net) { n.Tensors[4].Name = "" }, "name"},
		"an output named like the input":       {func(n *net) { n.Tensors[4].Name = "picture" }, "there twice"},
		"an output named like an inner tensor": {func(n *net) { n.Tensors[4].Name = "nchw/4" }, "reserved"},
	} {
		t.Run(name, func(t *testing.T) {
			n := everything()
			c.change(&n)
			_, err := tflite.Convert(n.Bytes())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one about %q", err, c.want)
			}
		})
	}
}

// Many operators may name one constant, and each writes it: the result must not
// grow beyond all bounds.
func TestSharedWeightsCannotBlowUpTheResult(t *testing.T) {
	n := net{
		Tensors: []tensor{
			{Name: "in", Shape: []int32{1, 1, 1, 64}},
			{Name: "w", Shape: []int32{64, 1, 1, 64}, Floats: ramp(64 * 64)},
		},
		Inputs: []int32{0}, Outputs: []int32{2},
	}
	for i := range int32(200) {
		n.Tensors = append(n.Tensors, tensor{Name: strconv.Itoa(int(i)), Shape: []int32{1, 1, 1, 64}})
		n.Ops = append(n.Ops, op{Code: tflitetest.CodeConv, In: []int32{0, 1}, Out: []int32{2 + i}, Options: []any{same, int32(1), int32(1), none}})
	}
	if _, err := tflite.Convert(n.Bytes()); err == nil || !strings.Contains(err.Error(), "larger than the file") {
		t.Errorf("error is %v", err)
	}
}

func TestDamageIsAnErrorAndNoPanic(t *testing.T) {
	src := everything().Bytes()
	for i := range src {
		if _, err := tflite.Convert(src[:i]); err == nil {
			t.Errorf("the first %d of %d bytes are taken for a whole network", i, len(src))
		}
		for _, v := range []byte{0, 1, 0xff} {
			bad := bytes.Clone(src)
			bad[i] = v
			if onnx, err := tflite.Convert(bad); err == nil {
				decode(t, onnx)
			}
		}
	}
}

// FuzzConvert: whatever is accepted becomes a well-formed network of a size
// that the source's size bounds.
func FuzzConvert(f *testing.F) {
	src := everything().Bytes()
	f.Add(src)
	f.Add(src[:len(src)/2])
	f.Add([]byte("\x08\x00\x00\x00TFL3"))
	f.Add([]byte{})
	small := net{
		Tensors: []tensor{
			{Name: "in", Shape: []int32{1, 2, 2, 1}},
			{Name: "out", Shape: []int32{1, 1, 1, 1}},
		},
		Ops:    []op{{Code: tflitetest.CodeMaxPool, In: []int32{0}, Out: []int32{1}, Options: []any{valid, int32(2), int32(2), int32(2), int32(2), none}}},
		Inputs: []int32{0}, Outputs: []int32{1},
	}
	f.Add(small.Bytes())
	f.Fuzz(func(t *testing.T, src []byte) {
		onnx, err := tflite.Convert(src)
		if err != nil {
			return
		}
		decode(t, onnx)
		if len(onnx) > 64*len(src)+4096 {
			t.Errorf("%d bytes became %d", len(src), len(onnx))
		}
	})
}

// A file is an ONNX file as far as the tests look at it.
type file struct {
	nodes []node
	ends  []string // inputs, then outputs, with their shapes
}

type node struct {
	op   string
	ints map[string][]int
}

func (f file) operators() []string {
	var ops []string
	for _, n := range f.nodes {
		ops = append(ops, n.op)
	}
	return ops
}

// decode reads an ONNX file and checks what every sound one has: each name is
// made once and before it is used, and constants are as long as their shapes
// say.
func decode(t *testing.T, b []byte) file {
	t.Helper()
	model := message(t, b)
	if v := model.numbers[1]; len(v) != 1 || v[0] != 7 {
		t.Errorf("format version %v", v)
	}
	graph := message(t, model.one(t, 7))
	known := map[string]bool{}
	define := func(name string) {
		if known[name] || name == "" {
			t.Errorf("name %q is made twice or empty", name)
		}
		known[name] = true
	}
	var f file
	for _, b := range graph.bytes[11] {
		info := message(t, b)
		define(string(info.one(t, 1)))
		f.ends = append(f.ends, value(t, info))
	}
	for _, b := range graph.bytes[5] {
		constant := message(t, b)
		define(string(constant.one(t, 8)))
		n := map[int]int{1: 4, 7: 8}[constant.numbers[2][0]]
		for _, d := range constant.numbers[1] {
			n *= d
		}
		if got := len(constant.one(t, 9)); got != n || n == 0 {
			t.Errorf("constant of shape %v has %d bytes, want %d", constant.numbers[1], got, n)
		}
	}
	for _, b := range graph.bytes[1] {
		m := message(t, b)
		for _, in := range m.bytes[1] {
			if !known[string(in)] {
				t.Errorf("%s reads %q before it is made", m.one(t, 4), in)
			}
		}
		define(string(m.one(t, 2)))
		n := node{op: string(m.one(t, 4)), ints: map[string][]int{}}
		for _, b := range m.bytes[5] {
			if a := message(t, b); len(a.bytes[4]) == 0 {
				n.ints[string(a.one(t, 1))] = append(a.numbers[3], a.numbers[8]...)
			}
		}
		f.nodes = append(f.nodes, n)
	}
	for _, b := range graph.bytes[12] {
		info := message(t, b)
		if name := string(info.one(t, 1)); !known[name] {
			t.Errorf("output %q is not made", name)
		}
		f.ends = append(f.ends, value(t, info))
	}
	return f
}

// value says the name and the shape of a ValueInfoProto.
func value(t *testing.T, info fields) string {
	t.Helper()
	var shape []int
	for _, d := range message(t, message(t, message(t, info.one(t, 2)).one(t, 1)).one(t, 2)).bytes[1] {
		shape = append(shape, message(t, d).numbers[1]...)
	}
	return fmt.Sprint(string(info.one(t, 1)), " ", shape)
}

// fields are those of one protobuf message, by number.
type fields struct {
	numbers map[int][]int
	bytes   map[int][][]byte
}

func (f fields) one(t *testing.T, field int) []byte {
	t.Helper()
	if len(f.bytes[field]) != 1 {
		t.Fatalf("field %d is there %d times, want once", field, len(f.bytes[field]))
	}
	return f.bytes[field][0]
}

func message(t *testing.T, b []byte) fields {
	t.Helper()
	f := fields{map[int][]int{}, map[int][][]byte{}}
	next := func() int {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			t.Fatal("protobuf ends inside a number")
		}
		b = b[n:]
		return int(v)
	}
	for len(b) > 0 {
		key := next()
		switch n := next(); key & 7 {
		case 0:
			f.numbers[key>>3] = append(f.numbers[key>>3], n)
		case 2:
			if n < 0 || n > len(b) {
				t.Fatalf("field %d of %d bytes ends outside its message", key>>3, n)
			}
			f.bytes[key>>3] = append(f.bytes[key>>3], b[:n])
			b = b[n:]
		default:
			t.Fatalf("field %d of wire type %d", key>>3, key&7)
		}
	}
	return f
}
