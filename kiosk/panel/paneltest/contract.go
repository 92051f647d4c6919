package paneltest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/panel"
)

// A Rig is a board and what is outside of it: a chip with the lines "in",
// "out", "held" and two called "twin", that nobody uses.
type Rig interface {
	panel.Board

	// Drive puts a level on the pin of an input.
	Drive(name string, high bool)
	// Level returns the level at the pin of an output.
	Level(name string) bool
	// Hold has somebody else use a line until release is called.
	Hold(name, holder string) (release func())
	// Unplug takes the chip away; Plug brings it back as it was, with every
	// line low.
	Unplug()
	Plug()
}

// patience is how long something that must happen may take, on a machine that
// is slow.
const patience = 20 * time.Second

// Contract holds a board to what package panel relies on. open returns a rig
// that nobody has used; what it opened is closed by t's cleanup.
func Contract(t *testing.T, open func(t *testing.T) Rig) {
	t.Helper()
	for _, tt := range []struct {
		name string
		test func(*bench)
	}{
		{"an output is off when taken, and does as it is told", (*bench).output},
		{"on is the low level of an active-low output", (*bench).lowOutput},
		{"an input tells each change in order", (*bench).input},
		{"on is the low level of an active-low input", (*bench).lowInput},
		{"a bouncing contact is one change", (*bench).bounce},
		{"a slow reader gets the newest changes, and sees that some are missing", (*bench).overflow},
		{"a line that somebody else uses names them", (*bench).held},
		{"a line that is taken is nobody else's until it is closed", (*bench).taken},
		{"a name that there is not, or twice, is no line", (*bench).names},
		{"every line is listed", (*bench).list},
		{"a chip that is unplugged takes its lines with it, and comes back", (*bench).unplugged},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(&bench{t, open(t)}) })
	}
}

type bench struct {
	*testing.T
	Rig
}

// take takes a line that is closed at the end, if it was not before.
//
//nolint:ireturn // as the port says
func (b *bench) take(s panel.Setup, edge func(panel.Edge)) panel.Line {
	b.Helper()
	if s.Holder == "" {
		s.Holder = "contract"
	}
	l, err := b.Take(s, edge)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	return l
}

func (b *bench) set(l panel.Line, on bool) {
	b.Helper()
	if err := l.Set(on); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) value(l panel.Line, want bool) {
	b.Helper()
	b.wait("the value", func() bool {
		v, err := l.Value()
		if err != nil {
			b.Fatal(err)
		}
		return v == want
	})
}

// wait waits until ok holds.
func (b *bench) wait(what string, ok func() bool) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			b.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}

// next returns the next change.
func (b *bench) next(edges <-chan panel.Edge) panel.Edge {
	b.Helper()
	select {
	case e := <-edges:
		return e
	case <-time.After(patience):
		b.Fatal("no change is told")
		return panel.Edge{}
	}
}

func (b *bench) output() {
	l := b.take(panel.Setup{Name: "out", Output: true}, nil)
	for _, on := range []bool{false, true, false} {
		if on {
			b.set(l, true)
		}
		if b.Level("out") != on {
			b.Fatalf("the pin is high: %v", !on)
		}
		b.value(l, on)
		b.set(l, false)
	}
}

func (b *bench) lowOutput() {
	l := b.take(panel.Setup{Name: "out", Output: true, ActiveLow: true}, nil)
	if !b.Level("out") {
		b.Error("it is on when taken")
	}
	b.set(l, true)
	if b.Level("out") {
		b.Error("it is not on")
	}
}

// changes takes an input and returns what it tells.
//
//nolint:ireturn // as the port says
func (b *bench) changes(s panel.Setup) (panel.Line, <-chan panel.Edge) {
	edges := make(chan panel.Edge, 100)
	return b.take(s, func(e panel.Edge) { edges <- e }), edges
}

func (b *bench) input() {
	l, edges := b.changes(panel.Setup{Name: "in"})
	b.value(l, false)
	for n, on := range []bool{true, false, true} {
		b.Drive("in", on)
		if e := b.next(edges); e != (panel.Edge{On: on, Seq: uint32(n + 1)}) {
			b.Errorf("change %d is %+v", n+1, e)
		}
		b.value(l, on)
	}
}

func (b *bench) lowInput() {
	l, edges := b.changes(panel.Setup{Name: "in", ActiveLow: true})
	b.value(l, true)
	b.Drive("in", true)
	if e := b.next(edges); e.On {
		b.Errorf("the change is %+v", e)
	}
	b.value(l, false)
}

func (b *bench) bounce() {
	l, edges := b.changes(panel.Setup{Name: "in", Debounce: 200 * time.Millisecond})
	for i := range 11 {
		b.Drive("in", i%2 == 0)
	}
	if e := b.next(edges); e != (panel.Edge{On: true, Seq: 1}) {
		b.Errorf("the change is %+v", e)
	}
	b.value(l, true)
	b.Drive("in", false)
	if e := b.next(edges); e != (panel.Edge{On: false, Seq: 2}) {
		b.Errorf("the next change is %+v: the bounce was told", e)
	}
}

func (b *bench) overflow() {
	const all = 151
	var mu sync.Mutex
	var edges []panel.Edge
	free := make(chan struct{})
	b.take(panel.Setup{Name: "in"}, func(e panel.Edge) {
		<-free
		mu.Lock()
		defer mu.Unlock()
		edges = append(edges, e)
	})
	pace := time.NewTicker(time.Millisecond) // faster than that a chip tells several as one
	defer pace.Stop()
	for i := range all {
		b.Drive("in", i%2 == 0)
		<-pace.C
	}
	close(free)
	seen, quiet := 0, 0
	b.wait("the last change", func() bool {
		mu.Lock()
		defer mu.Unlock()
		quiet++
		if len(edges) != seen {
			seen, quiet = len(edges), 0
		}
		return seen > 0 && quiet > 60
	})
	mu.Lock()
	defer mu.Unlock()
	for i, e := range edges[1:] {
		if e.Seq <= edges[i].Seq {
			b.Errorf("%+v comes after %+v", e, edges[i])
		}
	}
	last := edges[seen-1]
	if !last.On {
		b.Errorf("the last change is %+v, and the line is on", last)
	}
	if seen < 16 || int(last.Seq) <= seen {
		b.Errorf("%d changes are told, and the last is number %d: none seems to be missing", seen, last.Seq)
	}
}

func (b *bench) held() {
	release := b.Hold("held", "somebody")
	_, err := b.Take(panel.Setup{Name: "held", Holder: "contract", Output: true}, nil)
	if held, is := errors.AsType[*panel.HeldError](err); !is || held.Holder != "somebody" {
		b.Fatalf("Take() = %v", err)
	}
	release()
	b.take(panel.Setup{Name: "held", Output: true}, nil)
}

func (b *bench) taken() {
	l := b.take(panel.Setup{Name: "in", Holder: "contract in"}, func(panel.Edge) {})
	_, err := b.Take(panel.Setup{Name: "in", Holder: "another"}, func(panel.Edge) {})
	if held, is := errors.AsType[*panel.HeldError](err); !is || held.Holder != "contract in" {
		b.Errorf("a second Take() = %v", err)
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	b.take(panel.Setup{Name: "in", Holder: "another"}, func(panel.Edge) {})
}

func (b *bench) names() {
	for name, want := range map[string]error{"nobody's": panel.ErrNoLine, "": panel.ErrNoLine, "twin": panel.ErrAmbiguous} {
		if _, err := b.Take(panel.Setup{Name: name, Holder: "contract"}, func(panel.Edge) {}); !errors.Is(err, want) {
			b.Errorf("Take(%q) = %v, want %v", name, err, want)
		}
	}
}

func (b *bench) list() {
	b.take(panel.Setup{Name: "out", Output: true, Holder: "contract out"}, nil)
	all, err := b.Lines()
	if err != nil {
		b.Fatal(err)
	}
	count := map[string]int{}
	for _, l := range all {
		count[l.Name]++
		if l.Chip == "" {
			b.Errorf("%q is on no chip", l.Name)
		}
		if l.Name == "out" && (l.Direction != kiosk.LineOut || l.Holder != "contract out") || l.Name == "in" && (l.Direction != kiosk.LineIn || l.Holder != "") {
			b.Errorf("listed as %+v", l)
		}
	}
	for name, want := range map[string]int{"in": 1, "out": 1, "held": 1, "twin": 2} {
		if count[name] != want {
			b.Errorf("%q is listed %d times, want %d", name, count[name], want)
		}
	}
}

// unplugged holds outputs only: Linux 6.1 may crash when a chip goes whose
// inputs are in use. See Board.Unplug for those.
func (b *bench) unplugged() {
	out := b.take(panel.Setup{Name: "out", Output: true}, nil)
	b.Unplug()
	b.wait("the line to be gone", func() bool { _, err := out.Value(); return err != nil })
	if err := out.Set(true); err == nil {
		b.Error("a line that is gone was switched")
	}
	if err := out.Close(); err != nil {
		b.Errorf("Close() = %v", err)
	}
	if _, err := b.Take(panel.Setup{Name: "in", Holder: "contract"}, func(panel.Edge) {}); !errors.Is(err, panel.ErrNoLine) {
		b.Errorf("Take() = %v while the chip is gone", err)
	}
	b.Plug()
	b.take(panel.Setup{Name: "out", Output: true}, nil)
	_, edges := b.changes(panel.Setup{Name: "in"})
	b.Drive("in", true)
	if e := b.next(edges); e != (panel.Edge{On: true, Seq: 1}) {
		b.Errorf("the change is %+v", e)
	}
}
