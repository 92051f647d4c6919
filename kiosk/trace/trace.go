// Package trace records and replays sessions: the inputs of the flow and what
// it made of them. A trace holds numbers and stable words, never pixels, names
// or tokens, so an auditor can run a session again, also under another policy,
// with no image kept.
//
// A trace is lines of JSON: one Header, then one Line for each input. It is
// written with shortest-exact floats, so that it reproduces bit for bit.
package trace

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/flow"
)

// Format is the version of the trace format that this package writes. It reads
// 3, too, in which there is no light challenge, 2, in which nobody wishes for
// anything either, and 1, in which assessments have no quality vector.
const Format = 4

// ErrFormat reports a file that is no trace, or a trace of another format.
var ErrFormat = errors.New("not a trace that this version can read")

// A Header says what the session ran on.
type Header struct {
	Format int               `json:"trace"`
	Facts  map[string]string `json:"facts"` // software version, model hashes, architecture
	Policy flow.Policy       `json:"policy"`
	Start  flow.State        `json:"start"`
}

// A Line is one input and what the flow made of it.
type Line struct {
	At    time.Duration     `json:"at"` // since boot
	Kind  string            `json:"in"`
	Input json.RawMessage   `json:"input"`
	Phase flow.Phase        `json:"phase"`
	Hint  kiosk.Hint        `json:"hint,omitempty"`
	Ring  float32           `json:"ring,omitempty"`
	Do    []json.RawMessage `json:"do,omitempty"` // effects, each {"name":{…}}
}

// A Writer records one session. It is not safe for concurrent use.
type Writer struct{ enc *json.Encoder }

// NewWriter writes h to w and returns a writer for the lines after it.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	h.Format = Format
	enc := json.NewEncoder(w)
	if err := enc.Encode(h); err != nil {
		return nil, fmt.Errorf("trace header: %w", err)
	}
	return &Writer{enc}, nil
}

// Step records that in, at the given time, led to s and fx.
func (w *Writer) Step(at time.Duration, in flow.Input, s flow.State, fx []flow.Effect) error {
	l, err := line(at, in, s, fx)
	if err != nil {
		return err
	}
	if err := w.enc.Encode(l); err != nil {
		return fmt.Errorf("trace line: %w", err)
	}
	return nil
}

// A Mismatch is a line that did not come out as it was recorded.
type Mismatch struct {
	Line      int // from 2; 1 is the header
	Want, Got string
}

func (m Mismatch) String() string {
	return fmt.Sprintf("line %d: recorded %s, replayed %s", m.Line, m.Want, m.Got)
}

// A Summary is what a replay found.
type Summary struct {
	Header     Header
	Inputs     int
	Phases     []flow.Phase  // in order of appearance
	Hints      []kiosk.Hint  // in order of appearance
	Mismatches []Mismatch    // at most 100
	Whole      bool          // the trace ends with the session, and not in its middle
	Light      flow.Response // of the last submission; zero: it had no light challenge
}

// Replay runs the inputs of a trace through the flow again, under the recorded
// policy, and compares every phase, hint and effect.
func Replay(r io.Reader) (Summary, error) {
	var sum Summary
	var p flow.Policy
	var s flow.State
	err := read(r, func(h Header) error {
		sum.Header, p, s = h, h.Policy, h.Start
		return nil
	}, func(n int, want Line, input flow.Input) error {
		var fx []flow.Effect
		s, fx = p.Step(s, want.At, input)
		got, err := line(want.At, input, s, fx)
		if err != nil {
			return err
		}
		sum.Inputs++
		sum.note(s, fx)
		wantText, gotText, err := texts(want, got)
		if err != nil {
			return err
		}
		if wantText != gotText && len(sum.Mismatches) < 100 {
			sum.Mismatches = append(sum.Mismatches, Mismatch{n, wantText, gotText})
		}
		return nil
	})
	return sum, err
}

// read passes the header of a trace and then each line, counted from 2, with
// its input.
func read(r io.Reader, head func(Header) error, body func(n int, l Line, in flow.Input) error) error {
	const longest = 1 << 20
	in := bufio.NewScanner(r)
	in.Buffer(nil, longest)
	if !in.Scan() {
		if err := in.Err(); err != nil {
			return fmt.Errorf("line 1: %w", err)
		}
		return fmt.Errorf("line 1: %w: empty", ErrFormat)
	}
	var h Header
	if err := json.Unmarshal(in.Bytes(), &h); err != nil || h.Format < 1 || h.Format > Format {
		return fmt.Errorf("line 1: %w", ErrFormat)
	}
	if err := h.Policy.Validate(); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	if err := head(h); err != nil {
		return err
	}
	for n := 2; in.Scan(); n++ {
		var l Line
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		input, err := decode(l.Kind, l.Input)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if err := body(n, l, input); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	return nil
}

func (s *Summary) note(st flow.State, fx []flow.Effect) {
	if n := len(s.Phases); n == 0 || s.Phases[n-1] != st.Phase {
		s.Phases = append(s.Phases, st.Phase)
	}
	if n := len(s.Hints); st.Guide.Hint != kiosk.NoHint && (n == 0 || s.Hints[n-1] != st.Guide.Hint) {
		s.Hints = append(s.Hints, st.Guide.Hint)
	}
	s.Whole = false
	for _, e := range fx {
		switch e := e.(type) {
		case flow.Forget:
			s.Whole = true
		case flow.Submit:
			s.Light = e.Light
		default:
		}
	}
}

// texts returns the comparable part of two lines: all but the input.
func texts(want, got Line) (wantText, gotText string, err error) {
	want.Input, got.Input = nil, nil
	w, err := json.Marshal(want)
	if err != nil {
		return "", "", fmt.Errorf("compare: %w", err)
	}
	g, err := json.Marshal(got)
	if err != nil {
		return "", "", fmt.Errorf("compare: %w", err)
	}
	return string(w), string(g), nil
}

func line(at time.Duration, in flow.Input, s flow.State, fx []flow.Effect) (Line, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return Line{}, fmt.Errorf("trace input: %w", err)
	}
	l := Line{At: at, Kind: inputName(in), Input: body, Phase: s.Phase, Hint: s.Guide.Hint, Ring: s.Guide.Ring}
	for _, e := range fx {
		body, err := json.Marshal(map[string]flow.Effect{effectName(e): e})
		if err != nil {
			return Line{}, fmt.Errorf("trace effect: %w", err)
		}
		l.Do = append(l.Do, body)
	}
	return l, nil
}

func inputName(in flow.Input) string {
	switch in.(type) {
	case flow.Launched:
		return "launched"
	case flow.Tapped:
		return "tapped"
	case flow.Typed:
		return "typed"
	case flow.Saw:
		return "saw"
	case flow.Seeded:
		return "seeded"
	case flow.Drawn:
		return "drawn"
	case flow.Stored:
		return "stored"
	case flow.Unstored:
		return "unstored"
	case flow.Deferred:
		return "deferred"
	case flow.Answered:
		return "answered"
	case flow.Faulted:
		return "faulted"
	case flow.Voided:
		return "voided"
	case flow.Opened:
		return "opened"
	case flow.Presence:
		return "presence"
	case flow.Tick:
		return "tick"
	}
	return ""
}

func effectName(e flow.Effect) string {
	switch e.(type) {
	case flow.Find:
		return "find"
	case flow.Verify:
		return "verify"
	case flow.Watch:
		return "watch"
	case flow.Freeze:
		return "freeze"
	case flow.Consented:
		return "consented"
	case flow.Hold:
		return "hold"
	case flow.Drop:
		return "drop"
	case flow.Submit:
		return "submit"
	case flow.Report:
		return "report"
	case flow.Forget:
		return "forget"
	}
	return ""
}

// decode reads an input that line wrote. Unknown kinds and fields are errors:
// a replay that skipped them would prove nothing.
//
//nolint:ireturn // flow's inputs are a closed set behind one interface
func decode(kind string, body []byte) (flow.Input, error) {
	switch kind {
	case "launched":
		return readInput[flow.Launched](body)
	case "tapped":
		return readInput[flow.Tapped](body)
	case "typed":
		return readInput[flow.Typed](body)
	case "saw":
		return readInput[flow.Saw](body)
	case "seeded":
		return readInput[flow.Seeded](body)
	case "drawn":
		return readInput[flow.Drawn](body)
	case "stored":
		return readInput[flow.Stored](body)
	case "unstored":
		return readInput[flow.Unstored](body)
	case "deferred":
		return readInput[flow.Deferred](body)
	case "answered":
		return readInput[flow.Answered](body)
	case "faulted":
		return readInput[flow.Faulted](body)
	case "voided":
		return readInput[flow.Voided](body)
	case "opened":
		return readInput[flow.Opened](body)
	case "presence":
		return readInput[flow.Presence](body)
	case "tick":
		return readInput[flow.Tick](body)
	}
	return nil, fmt.Errorf("%w: unknown input %q", ErrFormat, kind)
}

//nolint:ireturn // as decode
func readInput[T flow.Input](body []byte) (flow.Input, error) {
	var in T
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return nil, fmt.Errorf("input %s: %w", inputName(in), err)
	}
	return in, nil
}
