// Package paneltest holds what panels are tested with: a board that behaves,
// and the contract that every board is held to.
package paneltest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/panel"
)

// fifo is how many changes of a line the kernel keeps for who is slow.
const fifo = 16

// errGone is what a line of a chip that is gone says.
var errGone = errors.New("no such device")

// A Board is a machine with one chip, in memory. It does what the kernel does:
// it debounces, keeps the newest 16 changes for a slow reader and counts the
// others, gives a line to one user at a time, and forgets lines with their
// chip. It is safe for concurrent use, and follows testing/synctest's time.
type Board struct {
	mu    sync.Mutex
	lines []*pin
	away  bool // the chip is unplugged
}

// A pin is one line of the chip.
type pin struct {
	name  string
	level bool // at the pin: what drives it, or what it puts out
	out   bool
	user  string // "": nobody
	owned *owned // by this process; nil: not
}

// An owned line is one that was taken.
type owned struct {
	b     *Board
	p     *pin
	setup panel.Setup
	edge  func(panel.Edge)

	// Under the board's lock:
	lost    bool // with its chip
	closed  bool
	steady  bool // the level that counts, after the debounce
	settle  *time.Timer
	seq     uint32
	queue   []panel.Edge
	waiting chan struct{} // holds a token while the queue is not empty

	ended chan struct{} // the reader has
	stop  chan struct{}
}

// NewBoard returns a board with these lines, all low.
func NewBoard(names ...string) *Board {
	b := &Board{}
	for _, n := range names {
		b.lines = append(b.lines, &pin{name: n})
	}
	return b
}

// Lines implements panel.Board.
func (b *Board) Lines() ([]kiosk.Line, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away {
		return nil, nil
	}
	var all []kiosk.Line
	for i, p := range b.lines {
		l := kiosk.Line{Name: p.name, Chip: "fake", Offset: i, Direction: kiosk.LineIn, Holder: p.user}
		if p.out {
			l.Direction = kiosk.LineOut
		}
		all = append(all, l)
	}
	return all, nil
}

// Take implements panel.Board.
//
//nolint:ireturn // as the port says
func (b *Board) Take(s panel.Setup, edge func(panel.Edge)) (panel.Line, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, err := b.find(s.Name)
	switch {
	case err != nil:
		return nil, err
	case p.user != "":
		return nil, &panel.HeldError{Holder: p.user}
	}
	o := &owned{b: b, p: p, setup: s, edge: edge, waiting: make(chan struct{}, 1), ended: make(chan struct{}), stop: make(chan struct{})}
	p.user, p.owned, p.out = s.Holder, o, s.Output
	if s.Output {
		p.level = s.ActiveLow // off
		close(o.ended)
		return o, nil
	}
	o.steady = p.level
	go o.read()
	return o, nil
}

func (b *Board) find(name string) (*pin, error) {
	if b.away {
		return nil, panel.ErrNoLine
	}
	i := slices.IndexFunc(b.lines, func(p *pin) bool { return p.name == name })
	if i < 0 {
		return nil, panel.ErrNoLine
	}
	if slices.ContainsFunc(b.lines[i+1:], func(p *pin) bool { return p.name == name }) {
		return nil, panel.ErrAmbiguous
	}
	return b.lines[i], nil
}

// Value implements panel.Line.
func (o *owned) Value() (bool, error) {
	o.b.mu.Lock()
	defer o.b.mu.Unlock()
	if o.lost || o.closed {
		return false, errGone
	}
	level := o.p.level
	if !o.setup.Output {
		level = o.steady
	}
	return level != o.setup.ActiveLow, nil
}

// Set implements panel.Line.
func (o *owned) Set(on bool) error {
	o.b.mu.Lock()
	defer o.b.mu.Unlock()
	switch {
	case o.lost || o.closed:
		return errGone
	case !o.setup.Output:
		return fmt.Errorf("%s is an input", o.p.name)
	}
	o.p.level = on != o.setup.ActiveLow
	return nil
}

// Close implements panel.Line. An output stays as it is, as on most chips.
func (o *owned) Close() error {
	o.b.mu.Lock()
	if o.closed {
		o.b.mu.Unlock()
		return errors.New("closed already")
	}
	o.closed = true
	if !o.lost {
		o.p.user, o.p.owned = "", nil
	}
	if o.settle != nil {
		o.settle.Stop()
	}
	close(o.stop)
	o.b.mu.Unlock()
	<-o.ended
	return nil
}

// read hands the changes on, one at a time.
func (o *owned) read() {
	defer close(o.ended)
	for {
		select {
		case <-o.stop:
			return
		case <-o.waiting:
		}
		for {
			e, is := o.first()
			if !is {
				break
			}
			o.edge(e)
		}
	}
}

func (o *owned) first() (panel.Edge, bool) {
	o.b.mu.Lock()
	defer o.b.mu.Unlock()
	if len(o.queue) == 0 || o.closed {
		return panel.Edge{}, false
	}
	e := o.queue[0]
	o.queue = o.queue[1:]
	return e, true
}

// moved notes that the level at the pin has changed. The board is locked.
func (o *owned) moved() {
	if o.setup.Debounce == 0 {
		o.count()
		return
	}
	if o.settle == nil {
		o.settle = time.AfterFunc(o.setup.Debounce, func() {
			o.b.mu.Lock()
			defer o.b.mu.Unlock()
			o.count()
		})
		return
	}
	o.settle.Reset(o.setup.Debounce)
}

// count makes the level count. The board is locked.
func (o *owned) count() {
	if o.steady == o.p.level || o.closed || o.lost {
		return
	}
	o.steady = o.p.level
	o.seq++
	if len(o.queue) == fifo {
		o.queue = o.queue[1:]
	}
	o.queue = append(o.queue, panel.Edge{On: o.steady != o.setup.ActiveLow, Seq: o.seq})
	select {
	case o.waiting <- struct{}{}:
	default:
	}
}

// Drive has something outside put a level on the pin of an input.
func (b *Board) Drive(name string, high bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.lines, func(p *pin) bool { return p.name == name })
	p := b.lines[i]
	if p.out && p.user != "" || p.level == high {
		return
	}
	p.level = high
	if p.owned != nil {
		p.owned.moved()
	}
}

// Level returns the level at a pin.
func (b *Board) Level(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.lines, func(p *pin) bool { return p.name == name })
	return b.lines[i].level
}

// Hold has somebody else use a line until release is called.
func (b *Board) Hold(name, holder string) (release func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.lines, func(p *pin) bool { return p.name == name })
	p := b.lines[i]
	p.user = holder
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		p.user = ""
	}
}

// Unplug takes the chip away, and all that was taken of it. Plug brings it
// back, with all lines low and nobody's.
func (b *Board) Unplug() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away = true
	for _, p := range b.lines {
		if p.owned != nil {
			p.owned.lost = true
		}
		p.user, p.owned, p.out, p.level = "", nil, false, false
	}
}

// Plug brings the chip back.
func (b *Board) Plug() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away = false
}
