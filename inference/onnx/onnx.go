// Package onnx runs neural networks with ONNX Runtime.
//
// A session owns its tensors: they are allocated once, the caller writes the
// input where the runtime reads it, and a run allocates nothing.
package onnx

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	ort "github.com/yalue/onnxruntime_go"
)

// ErrNotStarted is what Open returns before a successful Start.
var ErrNotStarted = errors.New("onnx runtime is not started")

// runtimes guards the one runtime that a process can load.
//
//nolint:gochecknoglobals // the library itself is one per process: loading it twice is an error in C
var runtimes struct {
	sync.Mutex
	lib  string      // path it was loaded from
	file os.FileInfo // at that path; nil until Start succeeded
}

// Start loads ONNX Runtime's shared library from the file lib into this
// process, where it stays until the process ends: its memory does not come back
// when it is unloaded. Further calls with the same path, or the same file by
// another, do nothing and return nil; another file is an error. A failed Start may be tried again, so a kiosk
// can wait for a library that is not there yet. It is safe for concurrent use.
func Start(lib string) error {
	runtimes.Lock()
	defer runtimes.Unlock()
	// The loader's own message for a missing file does not say so plainly.
	info, err := os.Stat(lib)
	switch {
	case runtimes.file != nil && (lib == runtimes.lib || err == nil && os.SameFile(info, runtimes.file)):
		return nil
	case runtimes.file != nil:
		return fmt.Errorf("start onnx runtime %s: this process runs %s already", lib, runtimes.lib)
	case err != nil:
		return fmt.Errorf("start onnx runtime: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("start onnx runtime: %s is not a file", lib)
	}
	// A kiosk tells nobody but its gateway what it does. The runtime's own
	// builds keep a device id and a data base of events below the user's cache,
	// and look up their maker's collector, from the moment they are loaded; the
	// call for it below comes too late for that, the variable does not.
	if err := os.Setenv("ORT_DISABLE_TELEMETRY", "1"); err != nil {
		return fmt.Errorf("start onnx runtime %s: silence it: %w", lib, err)
	}
	ort.SetSharedLibraryPath(lib)
	if err := ort.InitializeEnvironment(ort.WithLogLevelError()); err != nil {
		return fmt.Errorf("start onnx runtime %s: %w", lib, err)
	}
	runtimes.lib, runtimes.file = lib, info
	if err := ort.DisableTelemetry(); err != nil {
		return fmt.Errorf("start onnx runtime %s: silence it: %w", lib, err)
	}
	return nil
}

// A Session is one loaded network with its tensors. Its methods must not be
// called at the same time; different sessions are independent.
type Session struct {
	session *ort.AdvancedSession
	names   []string // of the input, then of the outputs
	input   *ort.Tensor[float32]
	outputs []*ort.Tensor[float32]
	pins    runtime.Pinner // the runtime keeps pointers into the tensors' Go memory
}

// Open loads the network in the ONNX file path. It must have one float32 input
// and float32 outputs; shapes are read from the file, and a dimension that the
// file leaves open must be the first and becomes 1. It runs on one thread of
// the caller's, without worker threads that spin between frames, and with all
// graph optimisations.
//
// The caller closes the session.
func Open(path string) (*Session, error) {
	return begin(path, func() (*Session, error) {
		if _, err := os.Stat(path); err != nil {
			return nil, err
		}
		inputs, outputs, err := signature(path)
		if err != nil {
			return nil, err
		}
		return open(inputs, outputs, func(in, out []string, x, y []ort.Value, o *ort.SessionOptions) (*ort.AdvancedSession, error) {
			return ort.NewAdvancedSession(path, in, out, x, y, o)
		})
	})
}

// Load is Open of a network's bytes in place of a file, so that what was verified
// is what is loaded. Name is for errors. The bytes stay the caller's, and are not
// used after Load has returned.
func Load(name string, data []byte) (*Session, error) {
	return begin(name, func() (*Session, error) {
		if len(data) == 0 {
			return nil, errors.New("is empty")
		}
		inputs, outputs, err := ort.GetInputOutputInfoWithONNXData(data)
		if err != nil {
			return nil, err
		}
		return open(inputs, outputs, func(in, out []string, x, y []ort.Value, o *ort.SessionOptions) (*ort.AdvancedSession, error) {
			return ort.NewAdvancedSessionWithONNXData(data, in, out, x, y, o)
		})
	})
}

// begin opens a network if the runtime is started, and names it in the error.
func begin(name string, with func() (*Session, error)) (*Session, error) {
	runtimes.Lock()
	started := runtimes.file != nil
	runtimes.Unlock()
	if !started {
		return nil, fmt.Errorf("open %s: %w", name, ErrNotStarted)
	}
	s, err := with()
	if err != nil {
		return nil, fmt.Errorf("open model %s: %w", name, err)
	}
	return s, nil
}

func open(
	inputs, outputs []ort.InputOutputInfo,
	load func(in, out []string, x, y []ort.Value, o *ort.SessionOptions) (*ort.AdvancedSession, error),
) (s *Session, err error) {
	if len(inputs) != 1 || len(outputs) == 0 {
		return nil, fmt.Errorf("%d inputs and %d outputs: want one input and at least one output", len(inputs), len(outputs))
	}
	s = &Session{names: []string{inputs[0].Name}}
	if s.input, err = s.tensor(inputs[0]); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	outNames, outValues := make([]string, len(outputs)), make([]ort.Value, len(outputs))
	for i, o := range outputs {
		t, bad := s.tensor(o)
		if bad != nil {
			return nil, errors.Join(bad, s.Close())
		}
		s.outputs = append(s.outputs, t)
		outNames[i], outValues[i] = o.Name, t
	}
	opts, err := options(ort.GraphOptimizationLevelEnableAll)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.names = append(s.names, outNames...)
	s.session, err = load(s.names[:1], outNames, []ort.Value{s.input}, outValues, opts)
	if err = errors.Join(err, opts.Destroy()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// signature reads the names and shapes of the network's inputs and outputs. It
// costs a second, unoptimised load of the file, which is small beside the
// optimised one.
func signature(path string) (inputs, outputs []ort.InputOutputInfo, err error) {
	opts, err := options(ort.GraphOptimizationLevelDisableAll)
	if err != nil {
		return nil, nil, err
	}
	inputs, outputs, err = ort.GetInputOutputInfoWithOptions(path, opts)
	return inputs, outputs, errors.Join(err, opts.Destroy())
}

func options(level ort.GraphOptimizationLevel) (*ort.SessionOptions, error) {
	o, err := ort.NewSessionOptions()
	if err != nil {
		return nil, fmt.Errorf("session options: %w", err)
	}
	err = errors.Join(
		o.SetIntraOpNumThreads(1),
		o.SetInterOpNumThreads(1),
		o.SetExecutionMode(ort.ExecutionModeSequential),
		o.SetGraphOptimizationLevel(level),
		// Spinning workers would eat a core of a small board between frames.
		o.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
		o.AddSessionConfigEntry("session.inter_op.allow_spinning", "0"),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("session options: %w", err), o.Destroy())
	}
	return o, nil
}

func (s *Session) tensor(info ort.InputOutputInfo) (*ort.Tensor[float32], error) {
	if info.OrtValueType != ort.ONNXTypeTensor || info.DataType != ort.TensorElementDataTypeFloat {
		return nil, fmt.Errorf("tensor %s: %v of %v: want a float32 tensor", info.Name, info.OrtValueType, info.DataType)
	}
	shape := info.Dimensions.Clone()
	for i, d := range shape {
		if d > 0 {
			continue
		}
		if i > 0 {
			return nil, fmt.Errorf("tensor %s: shape %v: only the batch dimension may be open", info.Name, shape)
		}
		shape[i] = 1
	}
	data := make([]float32, shape.FlattenedSize())
	s.pins.Pin(&data[0])
	t, err := ort.NewTensor(shape, data)
	if err != nil {
		return nil, fmt.Errorf("tensor %s: %w", info.Name, err)
	}
	return t, nil
}

// Input returns the memory of the input tensor in the order of its shape. The
// caller writes it before each Run; Run leaves it as it was. It is valid until
// Close.
func (s *Session) Input() []float32 { return s.input.GetData() }

// InputName returns the network's name of its input.
func (s *Session) InputName() string { return s.names[0] }

// OutputName returns the network's name of output i. It panics if there is no
// such output.
func (s *Session) OutputName(i int) string { return s.names[1+i] }

// InputShape returns the shape of the input tensor. The caller owns it.
func (s *Session) InputShape() []int64 { return s.input.GetShape() }

// Outputs returns how many outputs the network has.
func (s *Session) Outputs() int { return len(s.outputs) }

// Output returns the memory of output i, counted from 0 as the file lists
// them. Its values are those of the last Run and valid until the next; the
// memory is valid until Close. It panics if there is no such output.
func (s *Session) Output(i int) []float32 { return s.outputs[i].GetData() }

// OutputShape returns the shape of output i. The caller owns it.
func (s *Session) OutputShape(i int) []int64 { return s.outputs[i].GetShape() }

// Run computes the outputs from the input. It blocks its OS thread for as long
// as the network takes and allocates nothing.
func (s *Session) Run() error {
	if s.session == nil {
		return errors.New("run model: session is closed")
	}
	if err := s.session.Run(); err != nil {
		return fmt.Errorf("run model: %w", err)
	}
	return nil
}

// Close frees the network and its tensors; slices from Input and Output must
// not be used afterwards. A second Close does nothing.
func (s *Session) Close() error {
	var errs []error
	if s.session != nil {
		errs = append(errs, s.session.Destroy())
		s.session = nil
	}
	if s.input != nil {
		errs = append(errs, s.input.Destroy())
	}
	for _, t := range s.outputs {
		errs = append(errs, t.Destroy())
	}
	s.input, s.outputs = nil, nil
	s.pins.Unpin()
	return errors.Join(errs...)
}
