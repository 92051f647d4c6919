package onnx_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"livekiosk/inference/inferencetest"
	"livekiosk/inference/onnx"
)

// The runtime starts once in a process, so what happens before is tried before
// the tests run, whatever their order.
var early struct{ missing, damaged, foreign, unstarted error }

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "onnx")
	if err != nil {
		panic(err)
	}
	text := filepath.Join(dir, "libonnxruntime.so")
	if err := os.WriteFile(text, []byte("not a library"), 0o600); err != nil {
		panic(err)
	}
	early.missing = onnx.Start(filepath.Join(dir, "none.so"))
	early.damaged = onnx.Start(text)
	early.foreign = onnx.Start(dir)
	_, early.unstarted = onnx.Open(text)
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
	m.Run() // whose code go test takes over
}

func TestBeforeTheRuntimeStarts(t *testing.T) {
	if !errors.Is(early.missing, fs.ErrNotExist) || !strings.Contains(early.missing.Error(), "none.so") {
		t.Errorf("a missing library gives %v, want one that names the file and is ErrNotExist", early.missing)
	}
	if early.damaged == nil || !strings.Contains(early.damaged.Error(), "libonnxruntime.so") {
		t.Errorf("a damaged library gives %v", early.damaged)
	}
	if early.foreign == nil {
		t.Error("a directory is taken for a library")
	}
	if !errors.Is(early.unstarted, onnx.ErrNotStarted) {
		t.Errorf("opening a model gives %v, want ErrNotStarted", early.unstarted)
	}
}

func TestStartAfterFailuresAndAgain(t *testing.T) {
	lib := inferencetest.Set(t).Runtime
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := onnx.Start(lib); err != nil {
				t.Errorf("start: %v", err)
			}
		})
	}
	all.Wait()
	link := filepath.Join(t.TempDir(), "libonnxruntime.so")
	if err := os.Symlink(lib, link); err != nil {
		t.Fatal(err)
	}
	if err := onnx.Start(link); err != nil {
		t.Errorf("the same library by another path: %v", err)
	}
	if err := onnx.Start("/another/libonnxruntime.so"); err == nil || !strings.Contains(err.Error(), lib) {
		t.Errorf("another library gives %v, want an error that names the one that runs", err)
	}
}

// TestTheRuntimeTellsNobody loads the library in a process of its own, with a
// home of its own: its makers' builds leave a device id and a data base there
// as soon as they are loaded, unless they are told not to.
func TestTheRuntimeTellsNobody(t *testing.T) {
	if home := os.Getenv("ONNX_TEST_HOME"); home != "" { // that process
		if err := onnx.Start(os.Getenv("ONNX_TEST_LIB")); err != nil {
			t.Fatal(err)
		}
		return
	}
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTheRuntimeTellsNobody$")
	cmd.Env = []string{"HOME=" + home, "TMPDIR=" + t.TempDir(), "ONNX_TEST_HOME=" + home, "ONNX_TEST_LIB=" + inferencetest.Set(t).Runtime}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	left, err := os.ReadDir(home)
	if err != nil || len(left) > 0 {
		t.Errorf("the runtime left %v in the user's home, %v", left, err)
	}
}

func open(tb testing.TB, path string) *onnx.Session {
	tb.Helper()
	if err := onnx.Start(inferencetest.Set(tb).Runtime); err != nil {
		tb.Fatal(err)
	}
	s, err := onnx.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func TestShapesAreThoseOfTheModels(t *testing.T) {
	set := inferencetest.Set(t)
	for _, test := range []struct {
		name, path string
		in         []int64
		out        [][]int64
	}{
		{"detector", set.Detector, []int64{1, 128, 128, 3}, [][]int64{{1, 512, 1}, {1, 384, 1}, {1, 512, 16}, {1, 384, 16}}},
		{"landmarks", set.Landmarks, []int64{1, 192, 192, 3}, [][]int64{{1, 1, 1, 1404}, {1, 1, 1, 1}}},
		{"PAD", set.PAD, []int64{1, 3, 128, 128}, [][]int64{{1, 3}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := open(t, test.path)
			if got := s.InputShape(); !slices.Equal(got, test.in) {
				t.Errorf("input is %v, want %v", got, test.in)
			}
			if s.Outputs() != len(test.out) {
				t.Fatalf("%d outputs, want %d", s.Outputs(), len(test.out))
			}
			for i, want := range test.out {
				if got := s.OutputShape(i); !slices.Equal(got, want) {
					t.Errorf("output %d is %v, want %v", i, got, want)
				}
				n := int64(1)
				for _, d := range want {
					n *= d
				}
				if int64(len(s.Output(i))) != n {
					t.Errorf("output %d has %d values, want %d", i, len(s.Output(i)), n)
				}
			}
		})
	}
}

func TestRunIsRepeatableAndAllocatesNothing(t *testing.T) {
	s := open(t, inferencetest.Set(t).PAD)
	fill := func(k int) {
		for i := range s.Input() {
			s.Input()[i] = float32((i * k) % 256)
		}
	}
	run := func() []float32 {
		if err := s.Run(); err != nil {
			t.Fatal(err)
		}
		return slices.Clone(s.Output(0))
	}
	fill(7)
	first := run()
	fill(13)
	if other := run(); slices.Equal(first, other) {
		t.Errorf("another picture gives the same logits %v", other)
	}
	fill(7)
	// The tensors are Go memory that C points to.
	for range 3 {
		runtime.GC()
		if again := run(); !slices.Equal(first, again) {
			t.Errorf("the same picture gives %v, then %v", first, again)
		}
	}
	if n := testing.AllocsPerRun(10, func() {
		if err := s.Run(); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per run, want none", n)
	}
}

func TestCloseTwiceAndRunAfter(t *testing.T) {
	s := open(t, inferencetest.Set(t).Detector)
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := s.Run(); err == nil {
		t.Error("a closed session runs")
	}
}

func TestOpenOfSmallModels(t *testing.T) {
	const float, int64s = 1, 7
	for _, test := range []struct {
		name    string
		model   []byte
		in, out []float32
		wrong   string // part of the error; "" if it opens
	}{
		{
			"values pass through", model("Neg", []value{{"x", float, []int{1, 3}}}, value{"y", float, []int{1, 3}}),
			[]float32{1, -2, 0.5},
			[]float32{-1, 2, -0.5},
			"",
		},
		{
			"an open batch is one", model("Neg", []value{{"x", float, []int{-1, 2}}}, value{"y", float, []int{-1, 2}}),
			[]float32{3, 4},
			[]float32{-3, -4},
			"",
		},
		{
			"any other open dimension is refused", model("Neg", []value{{"x", float, []int{1, -1}}}, value{"y", float, []int{1, -1}}),
			nil, nil, "only the batch dimension",
		},
		{
			"integers are refused", model("Neg", []value{{"x", int64s, []int{1, 3}}}, value{"y", int64s, []int{1, 3}}),
			nil, nil, "want a float32 tensor",
		},
		{
			"two inputs are refused", model("Add", []value{{"a", float, []int{1}}, {"b", float, []int{1}}}, value{"y", float, []int{1}}),
			nil, nil, "2 inputs",
		},
		{
			"an unknown operator is refused", model("Livekiosk", []value{{"x", float, []int{1}}}, value{"y", float, []int{1}}),
			nil, nil, "Livekiosk",
		},
		{"text is refused", []byte("This is no model."), nil, nil, "model.onnx"},
		{"an empty file is refused", nil, nil, nil, "model.onnx"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "model.onnx")
			if err := os.WriteFile(path, test.model, 0o600); err != nil {
				t.Fatal(err)
			}
			if test.wrong != "" {
				if err := onnx.Start(inferencetest.Set(t).Runtime); err != nil {
					t.Fatal(err)
				}
				s, err := onnx.Open(path)
				if err == nil {
					t.Fatalf("opened with shape %v", s.InputShape())
				}
				if !strings.Contains(err.Error(), test.wrong) || !strings.Contains(err.Error(), path) {
					t.Errorf("error %q does not tell %q and the file", err, test.wrong)
				}
				return
			}
			s := open(t, path)
			copy(s.Input(), test.in)
			if err := s.Run(); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(s.Output(0), test.out) {
				t.Errorf("%v gives %v, want %v", test.in, s.Output(0), test.out)
			}
		})
	}
	t.Run("a missing file is refused", func(t *testing.T) {
		if err := onnx.Start(inferencetest.Set(t).Runtime); err != nil {
			t.Fatal(err)
		}
		if _, err := onnx.Open(filepath.Join(t.TempDir(), "none.onnx")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v, want ErrNotExist", err)
		}
	})
}

// A value is an input or output of a model; a dimension of -1 is open.
type value struct {
	name string
	elem byte
	dims []int
}

// model writes an ONNX file of one operator.
func model(op string, inputs []value, output value) []byte {
	var node, graph []byte
	for _, in := range inputs {
		node = append(node, field(1, []byte(in.name))...)
	}
	node = append(node, field(2, []byte(output.name))...)
	node = append(node, field(4, []byte(op))...)
	graph = append(graph, field(1, node)...)
	graph = append(graph, field(2, []byte("graph"))...)
	for _, in := range inputs {
		graph = append(graph, field(11, info(in))...)
	}
	graph = append(graph, field(12, info(output))...)
	out := []byte{1 << 3, 7} // IR version 7
	out = append(out, field(7, graph)...)
	return append(out, field(8, []byte{2 << 3, 13})...) // operator set 13
}

func info(v value) []byte {
	var shape []byte
	for _, d := range v.dims {
		if d < 0 {
			shape = append(shape, field(1, field(2, []byte("n")))...)
		} else {
			shape = append(shape, field(1, []byte{1 << 3, byte(d)})...)
		}
	}
	tensor := append([]byte{1 << 3, v.elem}, field(2, shape)...)
	return append(field(1, []byte(v.name)), field(2, field(1, tensor))...)
}

// field is a length-delimited protobuf field of less than 128 bytes.
func field(n byte, content []byte) []byte {
	return append([]byte{n<<3 | 2, byte(len(content))}, content...)
}

func BenchmarkRun(b *testing.B) {
	set := inferencetest.Set(b)
	for _, m := range []struct{ name, path string }{{"detector", set.Detector}, {"landmarks", set.Landmarks}, {"pad", set.PAD}} {
		b.Run("model="+m.name, func(b *testing.B) {
			s := open(b, m.path)
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
