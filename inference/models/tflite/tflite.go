// Package tflite turns a TensorFlow Lite network into an ONNX one, so that one
// runtime serves all weights.
//
// It knows the subset that MediaPipe's face landmark network uses, and refuses
// everything else rather than guess:
//
//	CONV_2D, DEPTHWISE_CONV_2D   no dilation; fused activation none or RELU
//	MAX_POOL_2D                  fused activation none
//	ADD                          two activations of one shape; none or RELU
//	PRELU                        one slope for each channel
//	PAD                          zeros, constant widths
//	DEQUANTIZE                   of float16 constants only; they become float32
//
// Activations are float32 of rank 4 in NHWC. The ONNX graph computes in NCHW,
// as ONNX convolutions do, and transposes at its ends, so that inputs and
// outputs keep the names, shapes and layout of the source.
//
// The same source always gives the same bytes. A source that is damaged or
// hostile gives an error; it neither panics nor takes more than a small
// multiple of its own size in memory.
package tflite

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// A Kind names an operator as the TFLite schema does.
type Kind string

// The operators of a Model.
const (
	Add       Kind = "ADD"
	Conv      Kind = "CONV_2D"
	Depthwise Kind = "DEPTHWISE_CONV_2D"
	MaxPool   Kind = "MAX_POOL_2D"
	Pad       Kind = "PAD"
	PReLU     Kind = "PRELU"

	dequantize Kind = "DEQUANTIZE" // folded into its constant while parsing
)

// A Model is a parsed network. Parse has checked that every index is in range,
// that operators stand in an order in which they can run, and that the shape of
// each result is the one the operator gives.
type Model struct {
	Tensors []Tensor
	Ops     []Op
	Inputs  []int // indices of Tensors
	Outputs []int // indices of Tensors, each the result of an operator
}

// A Tensor is an activation, or a constant if Data or Ints is set.
type Tensor struct {
	Name  string
	Shape []int     // activations: NHWC
	Data  []float32 // constant, row-major
	Ints  []int     // constant of type int32
}

// An Op computes one tensor. Its operands, by Kind:
//
//	Add                 X, Y: activations
//	Conv                X; W: [out, kh, kw, in]; B: [out] or NoTensor
//	Depthwise           X; W: [1, kh, kw, out], out a multiple of in; B: [out] or NoTensor
//	MaxPool             X, Filter
//	Pad                 X, Widths
//	PReLU               X; W: slopes, one for each channel
//
// Operands that a Kind does not have are NoTensor.
type Op struct {
	Kind       Kind
	X, Y, W, B int // indices of Tensors
	Out        int
	Stride     [2]int    // down, across; convolutions and pooling
	Filter     [2]int    // height, width; convolutions and pooling
	Same       bool      // padding SAME; otherwise VALID
	ReLU       bool      // fused activation
	Widths     [4][2]int // Pad: before and after, of each axis of NHWC
}

// NoTensor is the index of an operand that is not there.
const NoTensor = -1

// Convert returns the network src, a TFLite file, as an ONNX file of opset 13.
func Convert(src []byte) ([]byte, error) {
	m, err := Parse(src)
	if err != nil {
		return nil, err
	}
	return m.ONNX(), nil
}

// Limits of what Parse accepts. The face landmark network has 200 tensors of
// up to 600,000 elements.
const (
	maxTables   = 1 << 14 // tensors, operators, buffers
	maxOperands = 16
	maxRank     = 4
	maxSide     = 1 << 14
	maxElements = 1 << 24
	maxName     = 256
)

// Element types of the schema.
const (
	typeFloat32 = 0
	typeFloat16 = 1
	typeInt32   = 2
)

// kinds maps the schema's numbers of builtin operators.
func kind(code int) (Kind, bool) {
	switch code {
	case 0:
		return Add, true
	case 3:
		return Conv, true
	case 4:
		return Depthwise, true
	case 6:
		return dequantize, true
	case 17:
		return MaxPool, true
	case 34:
		return Pad, true
	case 54:
		return PReLU, true
	}
	return "", false
}

// Parse reads a TFLite file with one subgraph of the operators listed at the
// package. The model shares no memory with src.
func Parse(src []byte) (*Model, error) {
	m, err := parse(src)
	if err != nil {
		return nil, fmt.Errorf("parse tflite: %w", err)
	}
	return m, nil
}

func parse(src []byte) (*Model, error) {
	if len(src) < 8 || !bytes.Equal(src[4:8], []byte("TFL3")) {
		return nil, errors.New("not a TFLite file: no TFL3 at offset 4")
	}
	f := &flat{b: src}
	root := table{f, f.follow(0)}
	if v := root.i32(0, 0); f.err == nil && v != 3 {
		return nil, fmt.Errorf("schema version %d: want 3", v)
	}
	var codes []int
	for _, c := range root.tables(1) {
		// Old writers fill only the byte, new ones both.
		codes = append(codes, max(c.u8(0), c.i32(3, 0)))
	}
	graphs, buffers := root.tables(2), root.tables(4)
	if f.err != nil {
		return nil, f.err
	}
	if len(graphs) != 1 {
		return nil, fmt.Errorf("%d subgraphs: want 1", len(graphs))
	}
	p := &parser{f: f, codes: codes, spare: 2 * len(src)}
	if err := p.tensors(graphs[0], buffers); err != nil {
		return nil, err
	}
	for _, i := range graphs[0].ints(1, maxOperands) {
		if err := p.activation(i); err != nil {
			return nil, fmt.Errorf("graph input: %w", err)
		}
		p.known[i] = true
		p.model.Inputs = append(p.model.Inputs, i)
	}
	for i, o := range graphs[0].tables(3) {
		if err := p.op(o); err != nil {
			return nil, fmt.Errorf("operator %d: %w", i, err)
		}
	}
	for _, i := range graphs[0].ints(2, maxOperands) {
		if !p.computed(i) {
			return nil, fmt.Errorf("graph output %d is no operator's result", i)
		}
		p.model.Outputs = append(p.model.Outputs, i)
	}
	if f.err != nil {
		return nil, f.err
	}
	return &p.model, p.ends()
}

type parser struct {
	f     *flat
	codes []int
	model Model
	half  []bool // tensor is a float16 constant, of use to DEQUANTIZE only
	known []bool // activation is an input or was computed
	spare int    // bytes of weights that operators may still use, taken as float16
}

// tensors reads all tensors and the constants among them.
func (p *parser) tensors(graph table, buffers []table) error {
	tables := graph.tables(0)
	p.half, p.known = make([]bool, len(tables)), make([]bool, len(tables))
	// Tensors may point at one buffer together: without a budget, a small file
	// could ask for a lot of memory.
	budget := 2 * len(p.f.b)
	for i, t := range tables {
		x := Tensor{Name: string(t.bytes(3, maxName)), Shape: t.ints(0, maxRank)}
		kind, buffer := t.u8(1), t.i32(2, 0)
		if p.f.err != nil {
			return p.f.err
		}
		if _, sparse := t.sub(6); sparse {
			return fmt.Errorf("tensor %d %q is sparse", i, x.Name)
		}
		if buffer < 0 || buffer >= len(buffers) {
			return fmt.Errorf("tensor %d %q: buffer %d of %d", i, x.Name, buffer, len(buffers))
		}
		n := 1
		for _, d := range x.Shape {
			if d < 1 || d > maxSide || n > maxElements/d {
				return fmt.Errorf("tensor %d %q: shape %v", i, x.Name, x.Shape)
			}
			n *= d
		}
		if raw := buffers[buffer].bytes(0, math.MaxInt32); len(raw) > 0 {
			if budget -= len(raw); budget < 0 {
				return errors.New("constants are larger than the file")
			}
			if err := p.constant(&x, i, kind, n, raw); err != nil {
				return fmt.Errorf("tensor %d %q: %w", i, x.Name, err)
			}
		} else if kind != typeFloat32 {
			// Results of DEQUANTIZE are float32 too, so this is no network of
			// the kind that is known here.
			return fmt.Errorf("tensor %d %q: activation of type %d: want float32", i, x.Name, kind)
		}
		p.model.Tensors = append(p.model.Tensors, x)
	}
	return p.f.err
}

// constant decodes raw, n elements of the given type, into x.
func (p *parser) constant(x *Tensor, i, kind, n int, raw []byte) error {
	size := 4
	if kind == typeFloat16 {
		size = 2
	}
	if len(raw) != n*size {
		return fmt.Errorf("%d bytes for shape %v of type %d", len(raw), x.Shape, kind)
	}
	switch kind {
	case typeFloat32:
		x.Data = make([]float32, n)
		for k := range x.Data {
			x.Data[k] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*k:]))
		}
	case typeFloat16:
		p.half[i] = true
		x.Data = make([]float32, n)
		for k := range x.Data {
			x.Data[k] = float16(binary.LittleEndian.Uint16(raw[2*k:]))
		}
	case typeInt32:
		x.Ints = make([]int, n)
		for k := range x.Ints {
			x.Ints[k] = int(int32(binary.LittleEndian.Uint32(raw[4*k:])))
		}
	default:
		return fmt.Errorf("constant of type %d", kind)
	}
	return nil
}

// float16 widens an IEEE 754 half; every half is exact as a float32.
func float16(h uint16) float32 {
	sign, exp, frac := uint32(h>>15), uint32(h>>10&31), uint32(h&1023)
	switch exp {
	case 0:
		f := float32(frac) / (1 << 24)
		return math.Float32frombits(math.Float32bits(f) | sign<<31)
	case 31:
		return math.Float32frombits(sign<<31 | 255<<23 | frac<<13)
	}
	return math.Float32frombits(sign<<31 | (exp+112)<<23 | frac<<13)
}

// activation reports why tensor i is not an activation.
func (p *parser) activation(i int) error {
	if i < 0 || i >= len(p.model.Tensors) {
		return fmt.Errorf("tensor %d of %d", i, len(p.model.Tensors))
	}
	switch t := p.model.Tensors[i]; {
	case t.Data != nil || t.Ints != nil:
		return fmt.Errorf("tensor %d %q is a constant", i, t.Name)
	case len(t.Shape) != 4:
		return fmt.Errorf("tensor %d %q has shape %v: want rank 4", i, t.Name, t.Shape)
	}
	return nil
}

// computed reports whether i is the result of an operator seen so far.
func (p *parser) computed(i int) bool {
	for _, o := range p.model.Ops {
		if o.Out == i {
			return true
		}
	}
	return false
}

// weights returns the float constant i.
func (p *parser) weights(i int) (Tensor, error) {
	if i < 0 || i >= len(p.model.Tensors) {
		return Tensor{}, fmt.Errorf("tensor %d of %d", i, len(p.model.Tensors))
	}
	t := p.model.Tensors[i]
	if t.Data == nil || p.half[i] {
		return Tensor{}, fmt.Errorf("tensor %d %q is not a float32 constant", i, t.Name)
	}
	return t, nil
}

// op reads and checks one operator.
func (p *parser) op(t table) error {
	code, in, out := t.i32(0, 0), t.ints(1, maxOperands), t.ints(2, maxOperands)
	options, ok := t.sub(4)
	if p.f.err != nil {
		return p.f.err
	}
	k, err := p.kind(code)
	if err != nil {
		return err
	}
	if !ok && k != dequantize && k != PReLU && k != Pad {
		return fmt.Errorf("%s has no options", k)
	}
	if len(out) != 1 || len(in) == 0 {
		return fmt.Errorf("%s has %d inputs and %d outputs", k, len(in), len(out))
	}
	if out[0] < 0 || out[0] >= len(p.known) || p.known[out[0]] {
		return fmt.Errorf("%s result is tensor %d, which is out of range or known before", k, out[0])
	}
	if k == dequantize {
		return p.dequantize(in, out[0])
	}
	for _, i := range []int{in[0], out[0]} {
		err = p.activation(i)
		if err != nil {
			return fmt.Errorf("%s: %w", k, err)
		}
	}
	if !p.known[in[0]] {
		return fmt.Errorf("%s reads tensor %d before it is computed", k, in[0])
	}
	o := Op{Kind: k, X: in[0], Y: NoTensor, W: NoTensor, B: NoTensor, Out: out[0]}
	want, err := p.build(&o, in[1:], options)
	if err == nil {
		err = p.f.err
	}
	if err != nil {
		return fmt.Errorf("%s: %w", k, err)
	}
	if got := p.model.Tensors[o.Out].Shape; want != [4]int(got) {
		return fmt.Errorf("%s gives shape %v, but its result has %v", k, want, got)
	}
	// Operators write their weights each, also those that several share.
	for _, i := range []int{o.W, o.B} {
		if i != NoTensor {
			p.spare -= 2 * len(p.model.Tensors[i].Data)
		}
	}
	if p.spare < 0 {
		return fmt.Errorf("%s shares weights with so many others that all are larger than the file", k)
	}
	p.known[o.Out] = true
	p.model.Ops = append(p.model.Ops, o)
	return nil
}

func (p *parser) kind(code int) (Kind, error) {
	if code < 0 || code >= len(p.codes) {
		return "", fmt.Errorf("operator code %d of %d", code, len(p.codes))
	}
	k, ok := kind(p.codes[code])
	if !ok {
		return "", fmt.Errorf("builtin operator %d is not supported", p.codes[code])
	}
	return k, nil
}

// dequantize makes tensor out the float32 constant that in[0] is as float16.
func (p *parser) dequantize(in []int, out int) error {
	if in[0] < 0 || in[0] >= len(p.half) || !p.half[in[0]] {
		return fmt.Errorf("DEQUANTIZE of tensor %d, which is not a float16 constant", in[0])
	}
	src, dst := p.model.Tensors[in[0]], &p.model.Tensors[out]
	if dst.Data != nil || dst.Ints != nil || fmt.Sprint(src.Shape) != fmt.Sprint(dst.Shape) {
		return fmt.Errorf("DEQUANTIZE of tensor %d into %d, which is constant or has another shape", in[0], out)
	}
	dst.Data = src.Data
	return nil
}

// build fills in o from its further operands and its options, and returns the
// shape of its result.
func (p *parser) build(o *Op, operands []int, options table) (shape [4]int, err error) {
	x := [4]int(p.model.Tensors[o.X].Shape)
	switch o.Kind {
	case Conv, Depthwise:
		return p.convolution(o, x, operands, options)
	case MaxPool:
		o.Filter = [2]int{options.i32(4, 0), options.i32(3, 0)}
		if a := options.u8(5); a != 0 {
			return shape, fmt.Errorf("fused activation %d is not supported", a)
		}
		rows, cols, err := o.window(x, options)
		return [4]int{x[0], rows, cols, x[3]}, err
	case Add:
		if len(operands) != 1 {
			return shape, fmt.Errorf("%d operands: want 2", 1+len(operands))
		}
		o.Y = operands[0]
		if err := p.activation(o.Y); err != nil {
			return shape, err
		}
		if y := [4]int(p.model.Tensors[o.Y].Shape); y != x || !p.known[o.Y] {
			return shape, fmt.Errorf("operands have shapes %v and %v, or the second is not computed yet", x, y)
		}
		return x, o.activate(options.u8(0))
	case PReLU:
		if len(operands) != 1 {
			return shape, fmt.Errorf("%d operands: want 2", 1+len(operands))
		}
		o.W = operands[0]
		w, err := p.weights(o.W)
		if err == nil && (len(w.Data) != x[3] || w.Shape[len(w.Shape)-1] != x[3]) {
			err = fmt.Errorf("slopes have shape %v: want one for each of %d channels", w.Shape, x[3])
		}
		return x, err
	case Pad:
		if len(operands) != 1 || operands[0] < 0 || operands[0] >= len(p.model.Tensors) {
			return shape, errors.New("has no widths")
		}
		widths := p.model.Tensors[operands[0]].Ints
		if len(widths) != 8 {
			return shape, fmt.Errorf("%d constant widths: want 8", len(widths))
		}
		for i, w := range widths {
			if w < 0 || w > maxSide {
				return shape, fmt.Errorf("width %d", w)
			}
			o.Widths[i/2][i%2] = w
			x[i/2] += w
		}
		return x, nil
	case dequantize:
	}
	return shape, fmt.Errorf("%s is not an operator of a graph", o.Kind)
}

// convolution fills in o, of kind Conv or Depthwise.
func (p *parser) convolution(o *Op, x [4]int, operands []int, options table) (shape [4]int, err error) {
	if len(operands) != 1 && len(operands) != 2 {
		return shape, fmt.Errorf("%d operands: want 2 or 3", 1+len(operands))
	}
	o.W = operands[0]
	w, err := p.weights(o.W)
	if err != nil {
		return shape, err
	}
	if len(w.Shape) != 4 {
		return shape, fmt.Errorf("weights have shape %v: want rank 4", w.Shape)
	}
	o.Filter = [2]int{w.Shape[1], w.Shape[2]}
	channels, dilation, fused := w.Shape[0], 4, 3
	fits := w.Shape[3] == x[3]
	if o.Kind == Depthwise {
		channels, dilation, fused = w.Shape[3], 5, 4
		fits = w.Shape[0] == 1 && options.i32(3, 0)*x[3] == channels
	}
	if !fits {
		return shape, fmt.Errorf("weights of shape %v do not fit %d channels", w.Shape, x[3])
	}
	if dw, dh := options.i32(dilation, 1), options.i32(dilation+1, 1); dw != 1 || dh != 1 {
		return shape, fmt.Errorf("dilation %dx%d is not supported", dw, dh)
	}
	if len(operands) == 2 && operands[1] != NoTensor {
		o.B = operands[1]
		b, bad := p.weights(o.B)
		if bad != nil {
			return shape, bad
		}
		if len(b.Data) != channels {
			return shape, fmt.Errorf("bias of shape %v: want %d", b.Shape, channels)
		}
	}
	rows, cols, err := o.window(x, options)
	if err != nil {
		return shape, err
	}
	return [4]int{x[0], rows, cols, channels}, o.activate(options.u8(fused))
}

// window reads what pooling and convolutions share: padding and strides, in
// the same fields of all their options.
func (o *Op) window(x [4]int, options table) (rows, cols int, err error) {
	padding := options.u8(0)
	o.Stride = [2]int{options.i32(2, 0), options.i32(1, 0)}
	o.Same = padding == 0
	for i, s := range o.Stride {
		k := o.Filter[i]
		if padding > 1 || s < 1 || s > maxSide || k < 1 || k > maxSide || (!o.Same && k > x[1+i]) {
			return 0, 0, fmt.Errorf("padding %d, strides %v and filter %v on shape %v", padding, o.Stride, o.Filter, x)
		}
	}
	size := func(i int) int {
		if o.Same {
			return (x[1+i] + o.Stride[i] - 1) / o.Stride[i]
		}
		return (x[1+i]-o.Filter[i])/o.Stride[i] + 1
	}
	return size(0), size(1), nil
}

// activate sets the fused activation from the schema's number.
func (o *Op) activate(fused int) error {
	if fused > 1 {
		return fmt.Errorf("fused activation %d is not supported", fused)
	}
	o.ReLU = fused == 1
	return nil
}

// ends checks the names that callers of the network use.
func (p *parser) ends() error {
	m := &p.model
	if len(m.Inputs) == 0 || len(m.Outputs) == 0 {
		return fmt.Errorf("%d inputs and %d outputs", len(m.Inputs), len(m.Outputs))
	}
	seen := map[string]bool{}
	for _, i := range append(append([]int(nil), m.Inputs...), m.Outputs...) {
		name := m.Tensors[i].Name
		if name == "" || seen[name] || bytes.HasPrefix([]byte(name), []byte(inner)) || !printable(name) {
			return fmt.Errorf("name %q of an input or output is empty, reserved, odd or there twice", name)
		}
		seen[name] = true
	}
	return nil
}

func printable(s string) bool {
	for _, r := range s {
		if r < ' ' || r > '~' {
			return false
		}
	}
	return true
}
