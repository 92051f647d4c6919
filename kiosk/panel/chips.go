package panel

import (
	"errors"
	"fmt"

	"github.com/warthog618/go-gpiocdev"
	"golang.org/x/sys/unix"

	"livekiosk/kiosk"
)

// Chips is the Board of this machine: the lines of every /dev/gpiochip*, by
// the kernel's GPIO character device, second version (Linux 5.10).
type Chips struct{}

// Lines implements Board.
func (Chips) Lines() ([]kiosk.Line, error) {
	var all []kiosk.Line
	chips, err := open()
	defer chips.close()
	err = errors.Join(err, chips.each(func(c *gpiocdev.Chip, info gpiocdev.LineInfo) {
		l := kiosk.Line{Name: info.Name, Chip: c.Name, Offset: info.Offset, Direction: kiosk.LineIn}
		if info.Config.Direction == gpiocdev.LineDirectionOutput {
			l.Direction = kiosk.LineOut
		}
		if info.Used {
			l.Holder = holder(info)
		}
		all = append(all, l)
	}))
	return all, err
}

// Take implements Board.
//
//nolint:ireturn // as the port says
func (Chips) Take(s Setup, edge func(Edge)) (Line, error) {
	type place struct {
		chip *gpiocdev.Chip // open: the number of one that is plugged again may be another's
		info gpiocdev.LineInfo
	}
	var found []place
	chips, err := open()
	defer chips.close()
	err = errors.Join(err, chips.each(func(c *gpiocdev.Chip, info gpiocdev.LineInfo) {
		if info.Name == s.Name {
			found = append(found, place{c, info})
		}
	}))
	switch {
	case s.Name == "", len(found) == 0:
		return nil, errors.Join(ErrNoLine, err) // perhaps on a chip that cannot be opened
	case len(found) > 1:
		return nil, fmt.Errorf("%w: on %s and %s", ErrAmbiguous, found[0].chip.Name, found[1].chip.Name)
	}
	at := found[0]
	l, err := at.chip.RequestLine(at.info.Offset, options(s, edge)...)
	switch {
	case errors.Is(err, unix.EBUSY):
		return nil, &HeldError{holder(at.info)}
	case err != nil:
		return nil, fmt.Errorf("%s line %d: %w", at.chip.Name, at.info.Offset, err)
	}
	return chipLine{l}, nil
}

// holder is who uses a line; of some the kernel tells no name.
func holder(info gpiocdev.LineInfo) string {
	if info.Consumer == "" {
		return "kernel"
	}
	return info.Consumer
}

// chips are those that are open. Lines taken from them outlive them.
type chips []*gpiocdev.Chip

// open opens every chip that it can. The error says why others could not be.
func open() (chips, error) {
	var cs chips
	var errs []error
	for _, name := range gpiocdev.Chips() {
		c, err := gpiocdev.NewChip(name, gpiocdev.WithABIVersion(2))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		cs = append(cs, c)
	}
	return cs, errors.Join(errs...)
}

func (cs chips) close() {
	for _, c := range cs {
		_ = c.Close() // it was only read
	}
}

// each calls fn for every line.
func (cs chips) each(fn func(*gpiocdev.Chip, gpiocdev.LineInfo)) error {
	var errs []error
	for _, c := range cs {
		for offset := range c.Lines() {
			info, err := c.LineInfo(offset)
			if err != nil { // the chip has gone
				errs = append(errs, fmt.Errorf("%s: %w", c.Name, err))
				break
			}
			fn(c, info)
		}
	}
	return errors.Join(errs...)
}

func options(s Setup, edge func(Edge)) []gpiocdev.LineReqOption {
	o := []gpiocdev.LineReqOption{gpiocdev.WithConsumer(s.Holder), gpiocdev.WithABIVersion(2)}
	if s.ActiveLow {
		o = append(o, gpiocdev.AsActiveLow)
	}
	if s.Output {
		return append(o, gpiocdev.AsOutput(0))
	}
	o = append(o, gpiocdev.AsInput, gpiocdev.WithBothEdges, gpiocdev.WithEventHandler(func(e gpiocdev.LineEvent) {
		edge(Edge{On: e.Type == gpiocdev.LineEventRisingEdge, Seq: e.LineSeqno})
	}))
	switch s.Bias {
	case Disabled:
		o = append(o, gpiocdev.WithBiasDisabled)
	case PullUp:
		o = append(o, gpiocdev.WithPullUp)
	case PullDown:
		o = append(o, gpiocdev.WithPullDown)
	case AsIs:
	}
	if s.Debounce > 0 {
		o = append(o, gpiocdev.WithDebounce(s.Debounce))
	}
	return o
}

type chipLine struct{ l *gpiocdev.Line }

// Value implements Line.
func (c chipLine) Value() (bool, error) {
	v, err := c.l.Value()
	if err != nil {
		return false, fmt.Errorf("read the line: %w", err)
	}
	return v != 0, nil
}

// Set implements Line.
func (c chipLine) Set(on bool) error {
	v := 0
	if on {
		v = 1
	}
	if err := c.l.SetValue(v); err != nil {
		return fmt.Errorf("switch the line: %w", err)
	}
	return nil
}

// Close implements Line.
func (c chipLine) Close() error {
	if err := c.l.Close(); err != nil {
		return fmt.Errorf("let go of the line: %w", err)
	}
	return nil
}
