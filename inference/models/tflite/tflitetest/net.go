// Package tflitetest helps to test the converter: a Net writes small TFLite
// files, sound or damaged, and Run computes a parsed network in the plainest
// way, independent of ONNX and of any runtime.
package tflitetest

import (
	"encoding/binary"
	"math"
)

// A Net is a TFLite file to be. Nothing is checked: a test may ask for
// nonsense.
type Net struct {
	Version int32 // of the schema; 0 means 3
	Tensors []Tensor
	Ops     []Op
	Inputs  []int32
	Outputs []int32
	Graphs  int // how often the subgraph is listed; 0 means once
}

// A Tensor is one tensor of a Net. At most one of its contents is set; none
// makes it an activation.
type Tensor struct {
	Name   string
	Shape  []int32
	Type   uint8 // of the schema; of a constant, it follows from the content where 0
	Floats []float32
	Halves []uint16
	Ints   []int32
	Raw    []byte
	Sparse bool
}

// An Op is one operator of a Net.
type Op struct {
	Code    int32 // the schema's number of the builtin operator
	In, Out []int32
	Options []any // fields in the schema's order: uint8, int32, or nil where absent; nil: no options
}

// Numbers of builtin operators in the schema.
const (
	CodeAdd        = 0
	CodeConv       = 3
	CodeDepthwise  = 4
	CodeDequantize = 6
	CodeMaxPool    = 17
	CodePad        = 34
	CodePReLU      = 54
)

// Fields of options: padding and fused activations.
const (
	Same  = uint8(0)
	Valid = uint8(1)
	None  = uint8(0)
	ReLU  = uint8(1)
)

// Bytes returns the file.
func (n Net) Bytes() []byte {
	buffers, tensors, codes, ops := nodes{{}}, nodes{}, nodes{}, nodes{}
	for _, t := range n.Tensors {
		raw, kind := t.content()
		buffer := int32(0)
		if raw != nil {
			buffer = int32(len(buffers))
			buffers = append(buffers, node{raw})
		}
		f := node{t.Shape, kind, buffer, []byte(t.Name)}
		if t.Sparse {
			f = append(f, nil, nil, node{})
		}
		tensors = append(tensors, f)
	}
	for i, o := range n.Ops {
		codes = append(codes, node{uint8(o.Code), nil, nil, o.Code})
		f := node{int32(i), o.In, o.Out}
		if o.Options != nil {
			f = append(f, uint8(1), node(o.Options))
		}
		ops = append(ops, f)
	}
	version := n.Version
	if version == 0 {
		version = 3
	}
	var graphs nodes
	for range max(1, n.Graphs) {
		graphs = append(graphs, node{tensors, n.Inputs, n.Outputs, ops})
	}
	w := writer{b: []byte("\x00\x00\x00\x00TFL3")}
	at := w.node(node{version, codes, graphs, nil, buffers})
	binary.LittleEndian.PutUint32(w.b, uint32(at))
	return w.b
}

func (t Tensor) content() (raw []byte, kind uint8) {
	switch {
	case t.Floats != nil:
		for _, v := range t.Floats {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
		}
		return raw, 0
	case t.Halves != nil:
		for _, v := range t.Halves {
			raw = binary.LittleEndian.AppendUint16(raw, v)
		}
		return raw, 1
	case t.Ints != nil:
		for _, v := range t.Ints {
			raw = binary.LittleEndian.AppendUint32(raw, uint32(v))
		}
		return raw, 2
	}
	return t.Raw, t.Type
}

// A node is a FlatBuffer table by its fields: uint8, int32, []byte, []int32,
// node, nodes, or nil for a field that is absent.
type (
	node  []any
	nodes []node
)

// A writer appends FlatBuffer objects, each before what it refers to.
type writer struct{ b []byte }

func (w *writer) align() {
	for len(w.b)%4 != 0 {
		w.b = append(w.b, 0)
	}
}

func (w *writer) node(n node) int {
	w.align()
	vtable := len(w.b)
	w.b = binary.LittleEndian.AppendUint16(w.b, uint16(4+2*len(n)))
	w.b = binary.LittleEndian.AppendUint16(w.b, uint16(4+4*len(n)))
	for i, v := range n {
		at := uint16(0)
		if v != nil {
			at = uint16(4 + 4*i)
		}
		w.b = binary.LittleEndian.AppendUint16(w.b, at)
	}
	w.align()
	at := len(w.b)
	w.b = binary.LittleEndian.AppendUint32(w.b, uint32(at-vtable))
	w.b = append(w.b, make([]byte, 4*len(n))...)
	for i, v := range n {
		slot := at + 4 + 4*i
		switch v := v.(type) {
		case nil:
		case uint8:
			w.b[slot] = v
		case int32:
			binary.LittleEndian.PutUint32(w.b[slot:], uint32(v))
		default:
			child := w.object(v)
			binary.LittleEndian.PutUint32(w.b[slot:], uint32(child-slot))
		}
	}
	return at
}

// object appends what a field refers to.
func (w *writer) object(v any) int {
	if n, ok := v.(node); ok {
		return w.node(n)
	}
	w.align()
	at := len(w.b)
	switch v := v.(type) {
	case []byte:
		w.b = binary.LittleEndian.AppendUint32(w.b, uint32(len(v)))
		w.b = append(w.b, v...)
	case []int32:
		w.b = binary.LittleEndian.AppendUint32(w.b, uint32(len(v)))
		for _, x := range v {
			w.b = binary.LittleEndian.AppendUint32(w.b, uint32(x))
		}
	case nodes:
		w.b = binary.LittleEndian.AppendUint32(w.b, uint32(len(v)))
		w.b = append(w.b, make([]byte, 4*len(v))...)
		for i, n := range v {
			slot := at + 4 + 4*i
			child := w.node(n)
			binary.LittleEndian.PutUint32(w.b[slot:], uint32(child-slot))
		}
	}
	return at
}
