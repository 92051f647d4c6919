package tflite

import (
	"encoding/binary"
	"math"
	"strconv"
)

// inner starts the names of tensors and nodes inside the ONNX graph.
const inner = "nchw/"

// The version of the format and of the operators' definitions. Every ONNX
// Runtime since 1.7 knows them.
const (
	irVersion = 7
	opset     = 13
)

// Numbers of onnx.proto: element types and kinds of attribute.
const (
	elemFloat = 1
	elemInt64 = 7

	attrInt    = 2
	attrString = 3
	attrInts   = 7
)

// ONNX returns the network as an ONNX file.
func (m *Model) ONNX() []byte {
	g := &graph{}
	for _, i := range m.Inputs {
		t := m.Tensors[i]
		g.inputs.message(11, valueInfo(t))
		g.node("Transpose", []string{t.Name}, activation(i), ints("perm", 0, 3, 1, 2))
	}
	for n, o := range m.Ops {
		g.op(m, n, o)
	}
	for _, i := range m.Outputs {
		t := m.Tensors[i]
		g.node("Transpose", []string{activation(i)}, t.Name, ints("perm", 0, 2, 3, 1))
		g.outputs.message(12, valueInfo(t))
	}

	var body wire
	body.raw(g.nodes)
	body.text(2, "tflite")
	body.raw(g.constants)
	body.raw(g.inputs)
	body.raw(g.outputs)

	var set wire
	set.text(1, "")
	set.number(2, opset)

	var file wire
	file.number(1, irVersion)
	file.text(2, "livekiosk")
	file.message(7, body)
	file.message(8, set)
	return file
}

// activation names tensor i, in NCHW, inside the graph.
func activation(i int) string { return inner + strconv.Itoa(i) }

// A graph collects the parts of a GraphProto, each already with its field key.
type graph struct {
	nodes, constants, inputs, outputs wire
}

// op writes operator n, with its constants.
func (g *graph) op(m *Model, n int, o Op) {
	result := activation(o.Out)
	if o.ReLU {
		result += "/linear"
	}
	operand := func(part string) string { return inner + "op" + strconv.Itoa(n) + "/" + part }
	x := m.Tensors[o.X].Shape
	in := []string{activation(o.X)}
	switch o.Kind {
	case Add:
		g.node("Add", append(in, activation(o.Y)), result)
	case Conv, Depthwise:
		// TFLite has the output channel first, or last where depthwise; ONNX
		// has it first, then the input channel of the group.
		axes, groups := [4]int{0, 3, 1, 2}, 1
		if o.Kind == Depthwise {
			axes, groups = [4]int{3, 0, 1, 2}, x[3]
		}
		w, shape := transpose(m.Tensors[o.W], axes)
		g.floats(operand("weights"), w, shape[:]...)
		in = append(in, operand("weights"))
		if o.B != NoTensor {
			b := m.Tensors[o.B].Data
			g.floats(operand("bias"), b, len(b))
			in = append(in, operand("bias"))
		}
		g.node("Conv", in, result, append(window(o, x), number("group", groups))...)
	case MaxPool:
		g.node("MaxPool", in, result, window(o, x)...)
	case Pad:
		g.int64s(operand("pads"), []int{
			o.Widths[0][0], o.Widths[3][0], o.Widths[1][0], o.Widths[2][0],
			o.Widths[0][1], o.Widths[3][1], o.Widths[1][1], o.Widths[2][1],
		})
		g.node("Pad", append(in, operand("pads")), result, text("mode", "constant"))
	case PReLU:
		w := m.Tensors[o.W].Data
		g.floats(operand("slopes"), w, len(w), 1, 1)
		g.node("PRelu", append(in, operand("slopes")), result)
	case dequantize: // folded while parsing
	}
	if o.ReLU {
		g.node("Relu", []string{result}, activation(o.Out))
	}
}

// window returns the attributes that convolutions and pooling share, for an
// input of shape x in NHWC.
func window(o Op, x []int) []attribute {
	var pads [4]int // top, left, bottom, right
	for i := range 2 {
		if !o.Same {
			continue
		}
		// TFLite's SAME gives an odd pixel to the end.
		n := (x[1+i] + o.Stride[i] - 1) / o.Stride[i]
		total := max(0, (n-1)*o.Stride[i]+o.Filter[i]-x[1+i])
		pads[i], pads[2+i] = total/2, total-total/2
	}
	return []attribute{
		ints("kernel_shape", o.Filter[:]...),
		ints("strides", o.Stride[:]...),
		ints("pads", pads[:]...),
	}
}

// transpose returns the elements of t, of rank 4, with axis i of the result
// being axes[i] of t.
func transpose(t Tensor, axes [4]int) (data []float32, shape [4]int) {
	s := t.Shape
	strides := [4]int{s[1] * s[2] * s[3], s[2] * s[3], s[3], 1}
	var step [4]int
	for i, a := range axes {
		shape[i], step[i] = s[a], strides[a]
	}
	data = make([]float32, 0, len(t.Data))
	for a := range shape[0] {
		for b := range shape[1] {
			for c := range shape[2] {
				for d := range shape[3] {
					data = append(data, t.Data[a*step[0]+b*step[1]+c*step[2]+d*step[3]])
				}
			}
		}
	}
	return data, shape
}

// node writes one NodeProto.
func (g *graph) node(op string, in []string, out string, attributes ...attribute) {
	var n wire
	for _, s := range in {
		n.text(1, s)
	}
	n.text(2, out)
	n.text(3, out)
	n.text(4, op)
	for _, a := range attributes {
		n.message(5, wire(a))
	}
	g.nodes.message(1, n)
}

func (g *graph) floats(name string, data []float32, shape ...int) {
	raw := make([]byte, 0, 4*len(data))
	for _, v := range data {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	g.constant(name, elemFloat, raw, shape...)
}

func (g *graph) int64s(name string, data []int) {
	raw := make([]byte, 0, 8*len(data))
	for _, v := range data {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	g.constant(name, elemInt64, raw, len(data))
}

// constant writes one TensorProto.
func (g *graph) constant(name string, elem int, raw []byte, shape ...int) {
	var t wire
	for _, d := range shape {
		t.number(1, d)
	}
	t.number(2, elem)
	t.text(8, name)
	t.message(9, raw)
	g.constants.message(5, t)
}

// valueInfo returns the ValueInfoProto of a float tensor.
func valueInfo(t Tensor) wire {
	var shape, tensor, kind, info wire
	for _, d := range t.Shape {
		var dim wire
		dim.number(1, d)
		shape.message(1, dim)
	}
	tensor.number(1, elemFloat)
	tensor.message(2, shape)
	kind.message(1, tensor)
	info.text(1, t.Name)
	info.message(2, kind)
	return info
}

// An attribute is an encoded AttributeProto.
type attribute wire

func ints(name string, values ...int) attribute {
	var w wire
	w.text(1, name)
	for _, v := range values {
		w.number(8, v)
	}
	w.number(20, attrInts)
	return attribute(w)
}

func number(name string, value int) attribute {
	var w wire
	w.text(1, name)
	w.number(3, value)
	w.number(20, attrInt)
	return attribute(w)
}

func text(name, value string) attribute {
	var w wire
	w.text(1, name)
	w.text(4, value)
	w.number(20, attrString)
	return attribute(w)
}

// A wire is a protobuf message that is being written. Numbers are never
// negative here.
type wire []byte

func (w *wire) number(field, v int) {
	*w = binary.AppendUvarint(*w, uint64(field)<<3)
	*w = binary.AppendUvarint(*w, uint64(v))
}

func (w *wire) message(field int, v []byte) {
	*w = binary.AppendUvarint(*w, uint64(field)<<3|2)
	*w = binary.AppendUvarint(*w, uint64(len(v)))
	*w = append(*w, v...)
}

func (w *wire) text(field int, s string) { w.message(field, []byte(s)) }

func (w *wire) raw(v []byte) { *w = append(*w, v...) }
