package panel

import (
	"errors"
	"fmt"
	"time"

	"livekiosk/kiosk"
)

// A Board is all GPIO lines of the machine. It must be safe for concurrent
// use. Lines are known by the names that the board's maker gave them: chips
// are numbered in the order in which the kernel finds them, and offsets differ
// from board to board.
type Board interface {
	// Lines lists every line of every chip that can be opened, without Role,
	// State and On. The error says which chips could not.
	Lines() ([]kiosk.Line, error)

	// Take makes the line called s.Name this process's own until it is closed.
	// An output is off from then on. Nobody has a line of that name: ErrNoLine;
	// several: ErrAmbiguous; somebody else uses it: *HeldError.
	//
	// For an input, edge is called for each of its changes in their order, one
	// at a time, from a goroutine of the board's and perhaps before Take
	// returns. It may block: changes wait meanwhile, at least 16 of them, and
	// then the oldest are lost. It must return before Close can. edge is not
	// called for outputs.
	Take(s Setup, edge func(Edge)) (Line, error)
}

// A Line is a line that this process owns. Values are those of its meaning:
// true is on, whatever level that is.
type Line interface {
	// Value reads the line. Its error means that the line is gone.
	Value() (bool, error)
	// Set switches an output. Its error means that the line is gone.
	Set(on bool) error
	// Close lets go of the line, as it is: an output that must be off is
	// switched off before. It returns only when edge will not be called again.
	Close() error
}

// A Setup is how a line is taken.
type Setup struct {
	Name      string
	Holder    string // what others are told of who uses it, at most 31 bytes
	Output    bool
	ActiveLow bool          // on is the low level
	Bias      Bias          // of an input
	Debounce  time.Duration // of an input: a level counts once it lasted as long; 0: at once. Whole microseconds
}

// A Bias is what an input reads while nothing drives it.
type Bias string

// The biases. Not every chip can do all of them.
const (
	AsIs     Bias = "as-is" // as the board's maker, or whoever used the line last, left it
	Disabled Bias = "disabled"
	PullUp   Bias = "pull-up"
	PullDown Bias = "pull-down"
)

// An Edge is one change of an input. Of changes within about a millisecond a
// chip may tell one, so that the next edge may be to the same value; the last
// one is what the line is.
type Edge struct {
	On  bool   // what it is
	Seq uint32 // of the line's changes since it was taken, from 1; a gap: some were lost
}

// Errors of a Board that callers test for.
var (
	ErrNoLine    = errors.New("there is no line of that name")
	ErrAmbiguous = errors.New("several lines have that name")
)

// A HeldError says who else uses a line.
type HeldError struct{ Holder string }

func (e *HeldError) Error() string { return fmt.Sprintf("the line is used by %q", e.Holder) }
