package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/panel"
)

// PanelConfig says which GPIO lines the kiosk uses. All are optional; none
// means that there is no panel.
type PanelConfig struct {
	HoldOff duration `toml:"hold_off"` // how long the sensor must see nobody before nobody is there
	Alarm   duration `toml:"alarm"`    // how long the buzzer sounds when the case is opened; 0s: not at all

	Ring   OutputConfig `toml:"ring"` // the light about the camera
	Red    OutputConfig `toml:"red"`  // its colours, where each has a line of its own
	Green  OutputConfig `toml:"green"`
	Blue   OutputConfig `toml:"blue"`
	Door   OutputConfig `toml:"door"` // relay or door: only staff switch it
	Buzzer OutputConfig `toml:"buzzer"`

	Presence InputConfig `toml:"presence"`
	Help     InputConfig `toml:"help"`   // button: as the help control on the screen
	Staff    InputConfig `toml:"staff"`  // button
	Tamper   InputConfig `toml:"tamper"` // switch: on while the case is open
}

// OutputConfig is a line that the kiosk switches.
type OutputConfig struct {
	Line      string `toml:"line"`       // its name, as kioskctl panel list shows it; "": none
	ActiveLow bool   `toml:"active_low"` // on is the low level
}

// InputConfig is a line that the kiosk reads.
type InputConfig struct {
	Line      string   `toml:"line"`
	ActiveLow bool     `toml:"active_low"`
	Bias      string   `toml:"bias"`     // as-is, disabled, pull-up, pull-down: what it reads while nothing drives it
	Debounce  duration `toml:"debounce"` // how long a level lasts before it counts
}

// defaultPanel is a panel without lines.
func defaultPanel() PanelConfig {
	contact := InputConfig{Bias: string(panel.AsIs), Debounce: duration(20 * time.Millisecond)}
	return PanelConfig{
		HoldOff: duration(10 * time.Second), Alarm: duration(10 * time.Second),
		Presence: contact, Help: contact, Staff: contact, Tamper: contact,
	}
}

// lines returns the lines that are wanted, by what they are for.
func (c PanelConfig) lines() map[kiosk.Role]panel.Setup {
	all := map[kiosk.Role]panel.Setup{}
	for role, l := range map[kiosk.Role]OutputConfig{
		kiosk.RingLine: c.Ring, kiosk.RedLine: c.Red, kiosk.GreenLine: c.Green, kiosk.BlueLine: c.Blue, kiosk.DoorLine: c.Door, kiosk.BuzzerLine: c.Buzzer,
	} {
		if l.Line != "" {
			all[role] = panel.Setup{Name: l.Line, ActiveLow: l.ActiveLow}
		}
	}
	for role, l := range c.inputs() {
		if l.Line != "" {
			all[role] = panel.Setup{Name: l.Line, ActiveLow: l.ActiveLow, Bias: panel.Bias(l.Bias), Debounce: time.Duration(l.Debounce)}
		}
	}
	return all
}

func (c PanelConfig) inputs() map[kiosk.Role]InputConfig {
	return map[kiosk.Role]InputConfig{kiosk.PresenceLine: c.Presence, kiosk.HelpLine: c.Help, kiosk.StaffLine: c.Staff, kiosk.TamperLine: c.Tamper}
}

// The ranges of the panel's times. A sensor that reports more slowly than a
// second, and a contact that takes longer to come to rest, is broken.
const (
	longestHoldOff  = 10 * time.Minute
	longestAlarm    = 10 * time.Minute
	longestDebounce = time.Second
)

func (c PanelConfig) validate() error {
	for _, d := range []struct {
		key     string
		value   duration
		longest time.Duration
	}{{"hold_off", c.HoldOff, longestHoldOff}, {"alarm", c.Alarm, longestAlarm}} {
		if v := time.Duration(d.value); v < 0 || v > d.longest {
			return fmt.Errorf("panel.%s: %v is outside 0s..%v", d.key, v, d.longest)
		}
	}
	used := map[string]kiosk.Role{}
	wanted, inputs := c.lines(), c.inputs()
	for _, role := range kiosk.Roles() { // in order, so that one error is always the same
		if l, is := inputs[role]; is {
			switch panel.Bias(l.Bias) {
			case panel.AsIs, panel.Disabled, panel.PullUp, panel.PullDown:
			default:
				return fmt.Errorf("panel.%s.bias: %q is none of as-is, disabled, pull-up, pull-down", role, l.Bias)
			}
			if v := time.Duration(l.Debounce); v < 0 || v > longestDebounce || v%time.Microsecond != 0 {
				return fmt.Errorf("panel.%s.debounce: %v is no whole number of microseconds within 0s..%v", role, v, longestDebounce)
			}
		}
		s, is := wanted[role]
		if !is {
			continue
		}
		if other, twice := used[s.Name]; twice {
			return fmt.Errorf("panel.%s.line: %q is the line of panel.%s already", role, s.Name, other)
		}
		used[s.Name] = role
	}
	return nil
}

// newPanel returns the panel on the machine's lines. What is known of the case
// is latched whatever lines there are.
func (d *daemon) newPanel(latch *panel.Latch) (*panel.Panel, error) {
	p, err := panel.New(panel.Options{
		Board: panel.Chips{}, Lines: d.c.Panel.lines(), Latch: latch,
		HoldOff: time.Duration(d.c.Panel.HoldOff), Alarm: time.Duration(d.c.Panel.Alarm),
		Tampered: d.tampered,
		Cleared:  func(ctx context.Context) { d.fault(ctx, kiosk.TamperFault, false) },
		Present: func(ctx context.Context, here bool) {
			d.heard(ctx, "presence", d.station.Present(ctx, here))
		},
		Pressed: d.pressed,
		Emit:    d.emit, Beat: d.dog.Part("panel", 10*time.Second), Log: d.log,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	return p, nil
}

// tampered voids the running session and takes the kiosk out of service.
func (d *daemon) tampered(ctx context.Context) {
	d.heard(ctx, "tampering", d.station.Void(ctx, kiosk.TamperBreach))
	d.fault(ctx, kiosk.TamperFault, true)
}

// pressed acts on a button. That of staff asks for their PIN where nobody is
// served, and is an event for whoever follows them in any case.
func (d *daemon) pressed(ctx context.Context, button kiosk.Role) {
	d.log.InfoContext(ctx, "button pressed", slog.String("button", string(button)))
	// A session that ends in this very moment is not the one that is helped.
	if s := d.station.State(); button == kiosk.HelpLine && s.Session != "" {
		d.heard(ctx, "help", d.station.Tap(ctx, kiosk.Tap{Session: s.Session, Control: kiosk.Help}))
	}
	if button == kiosk.StaffLine {
		d.heard(ctx, "staff", d.station.Tap(ctx, kiosk.Tap{Control: kiosk.Door}))
	}
}

// heard logs that the station was not told what the panel saw.
func (d *daemon) heard(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		d.log.ErrorContext(ctx, "station not told", slog.String("what", what), slog.Any("err", err))
	}
}

// openLatch opens what is known of the case. One that cannot be read is
// latched.
func (d *daemon) openLatch(ctx context.Context) *panel.Latch {
	l, err := panel.OpenLatch(d.c.tamperPath())
	if err != nil {
		d.log.ErrorContext(ctx, "case taken for opened", slog.Any("err", err))
	}
	return l
}
