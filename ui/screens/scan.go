package screens

import (
	"time"

	"gioui.org/io/key"
	"gioui.org/op"
	"gioui.org/widget"
)

// A scan moves the focus from one control to the next by itself, for a person
// who has one switch: it sends Enter or a space, and the control that has the
// focus is pressed.
type scan struct {
	pace time.Duration // 0: there is none
	seen []*widget.Clickable
	at   int
	next time.Time
}

// SetScan has the focus move on by itself at that pace; zero ends that.
func (s *Screens) SetScan(pace time.Duration) { s.scan = scan{pace: pace} }

// add notes a control of the screen that is being laid out.
func (s *scan) add(b *widget.Clickable) {
	if s.pace > 0 {
		s.seen = append(s.seen, b)
	}
}

// step moves the focus on if it is time.
func (s *scan) step(f *frame) {
	if s.pace == 0 {
		return
	}
	fresh := f.since.Equal(f.Now) // a new screen begins at its first control
	if fresh {
		s.at = -1
	}
	if n := len(s.seen); n > 0 {
		if fresh || !f.Now.Before(s.next) {
			s.at = (s.at + 1) % n
			s.next = f.Now.Add(s.pace)
			f.Execute(key.FocusCmd{Tag: s.seen[s.at]})
		}
		f.Execute(op.InvalidateCmd{At: s.next})
	}
	s.seen = s.seen[:0]
}
