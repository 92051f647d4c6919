//go:build cgo

package v4l2

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	low "github.com/vladimirvivien/go4vl/v4l2"

	"livekiosk/kiosk"
)

// Correct sets the exposure of the running stream so many stops brighter than
// what the camera's automatic chose, or darker, by what Options.Controls leave
// to it, and returns what the camera took. 0 gives it back to the automatic, as
// the end of the stream does. The error is kiosk.ErrNoControl where the camera
// has nothing to correct it by, or does not stream.
//
// By compensation (EXPOSURE_BIAS) the automatic goes on. Without it exposure
// time and gain are taken over from the automatic and multiplied: the time up to
// the interval of frames first, then the gain, and the gain down first. A camera
// that does not tell what its automatic has chosen makes one jump then.
func (c *Camera) Correct(stops float64) (got float64, err error) {
	c.exposing.Lock()
	defer c.exposing.Unlock()
	if c.exposure == nil {
		return 0, kiosk.ErrNoControl
	}
	return c.exposure.correct(stops)
}

// Freeze keeps exposure and white balance as they are, until Thaw or the end of
// the stream. The error is kiosk.ErrNoControl where the camera cannot.
func (c *Camera) Freeze() error {
	c.exposing.Lock()
	defer c.exposing.Unlock()
	if c.exposure == nil {
		return kiosk.ErrNoControl
	}
	return c.exposure.freeze()
}

// Thaw ends that. What was corrected stays so.
func (c *Camera) Thaw() error {
	c.exposing.Lock()
	defer c.exposing.Unlock()
	if c.exposure == nil {
		return nil
	}
	return c.exposure.thaw()
}

// expose has e serve the running stream, or gives the camera back its automatic
// where e is nil. What fails then fails on a device that is gone, or is set anew
// at the next start.
func (c *Camera) expose(e *exposer) {
	c.exposing.Lock()
	defer c.exposing.Unlock()
	if c.exposure != nil {
		_ = c.exposure.thaw()
		_, _ = c.exposure.correct(0)
	}
	c.exposure = e
}

// knobs are the controls of a camera.
type knobs interface {
	query(id low.CtrlID) (knob, bool)
	get(id low.CtrlID) (int32, error)
	set(id low.CtrlID, v int32) error
}

// A knob is what a control takes.
type knob struct {
	least, most int32
	menu        map[int32]int64 // of an integer menu: what its indices mean
}

// driver is the controls of an open device.
type driver uintptr

func (d driver) query(id low.CtrlID) (knob, bool) {
	deepen()
	info, err := low.QueryControlInfo(uintptr(d), id)
	if err != nil {
		return knob{}, false
	}
	k := knob{least: info.Minimum, most: info.Maximum}
	if info.Type != low.CtrlTypeIntegerMenu {
		return k, true
	}
	items, err := info.GetMenuItems()
	if err != nil {
		return knob{}, false
	}
	k.menu = map[int32]int64{}
	for _, i := range items {
		if v, err := strconv.ParseInt(i.Name, 10, 64); err == nil {
			k.menu[int32(i.Index)] = v
		}
	}
	return k, true
}

func (d driver) get(id low.CtrlID) (int32, error) {
	deepen()
	return low.GetControlValue(uintptr(d), id)
}

func (d driver) set(id low.CtrlID, v int32) error {
	deepen()
	return low.SetControlValue(uintptr(d), id, v)
}

// An exposer corrects the exposure of one stream.
type exposer struct {
	k      knobs
	bias   map[int32]int64 // compensation: thousandths of a stop by index; nil: none
	levers []*lever        // time, then gain
	lock   int32           // what locks all automatics; 0: nothing does
	stops  float64         // in force
	frozen bool
	white  bool // white balance was automatic before the freeze
}

// A lever is a value that multiplies the light, and what says who sets it.
type lever struct {
	name             string
	value, automatic low.CtrlID
	auto             []int32 // the first that the camera takes
	manual           int32
	least, most      int32
	base             int32 // as the automatic had it; 0: the automatic has it
}

// newExposer returns what corrects the exposure of a stream with the controls c
// and so many frames a second. It has no levers and no bias where nothing does.
func newExposer(k knobs, c Controls, rate float64) *exposer {
	e := &exposer{k: k}
	if b, ok := k.query(low.CtrlCameraAutoExposureBias); ok && len(b.menu) > 1 {
		e.bias = b.menu
	}
	if l, ok := k.query(low.CtrlCamera3ALock); ok {
		e.lock = l.most
	}
	for _, s := range c.settings() {
		if s.value != byFace {
			continue
		}
		v, has := k.query(s.control)
		_, governed := k.query(s.automatic)
		if !has || !governed {
			continue
		}
		l := &lever{name: s.name, value: s.control, automatic: s.automatic, auto: s.auto, manual: s.manual, least: max(v.least, 1), most: v.most}
		if s.control == low.CtrlCameraExposureAbsolute && rate > 0 {
			l.most = min(l.most, int32(10000/rate)) // of 100 us: longer ones cost frames
		}
		e.levers = append(e.levers, l)
	}
	return e
}

func (e *exposer) String() string {
	var by []string
	if e.bias != nil {
		by = append(by, "compensation")
	} else {
		for _, l := range e.levers {
			by = append(by, l.name)
		}
	}
	if len(by) == 0 {
		return "it has no control to correct exposure by"
	}
	return "exposure by the face, with " + strings.Join(by, " and ")
}

func (e *exposer) correct(stops float64) (got float64, err error) {
	switch {
	case e.bias != nil:
		got, err = e.compensate(stops)
	case len(e.levers) == 0:
		return 0, kiosk.ErrNoControl
	case stops == 0 && !e.frozen:
		err = e.release()
	default:
		got, err = e.multiply(stops)
	}
	if err == nil {
		e.stops = got
	}
	return got, err
}

// compensate takes the compensation that is nearest.
func (e *exposer) compensate(stops float64) (float64, error) {
	best, found := int32(0), false
	for i, v := range e.bias {
		off := math.Abs(float64(v)/1000 - stops)
		if was := math.Abs(float64(e.bias[best])/1000 - stops); !found || off < was || off == was && i < best {
			best, found = i, true
		}
	}
	if err := e.k.set(low.CtrlCameraAutoExposureBias, best); err != nil {
		return 0, fmt.Errorf("compensate exposure: %w", err)
	}
	return float64(e.bias[best]) / 1000, nil
}

// multiply divides the stops among the levers.
func (e *exposer) multiply(stops float64) (got float64, err error) {
	order := slices.Clone(e.levers)
	if stops < 0 {
		slices.Reverse(order)
	}
	for _, l := range order {
		if err := l.take(e.k); err != nil {
			return 0, err
		}
		rest := stops - got
		if math.Abs(rest) < 0.03 { // what the one before could not do exactly
			rest = 0
		}
		v := math.Round(float64(l.base) * math.Exp2(rest))
		set := int32(min(max(v, float64(min(l.least, l.base))), float64(max(l.most, l.base))))
		if err := e.k.set(l.value, set); err != nil {
			return 0, fmt.Errorf("set %s to %d: %w", l.name, set, err)
		}
		got += math.Log2(float64(set) / float64(l.base))
	}
	return got, nil
}

// take takes a lever over from the automatic, where it stands.
func (l *lever) take(k knobs) error {
	if l.base != 0 {
		return nil
	}
	now, err := k.get(l.value)
	if err != nil {
		return fmt.Errorf("read %s: %w", l.name, err)
	}
	if err := k.set(l.automatic, l.manual); err != nil {
		return fmt.Errorf("take %s from the automatic: %w", l.name, err)
	}
	l.base = max(now, 1)
	return nil
}

// release gives every lever back to the automatic.
func (e *exposer) release() error {
	for _, l := range e.levers {
		if l.base == 0 {
			continue
		}
		var err error
		for _, v := range l.auto {
			if err = e.k.set(l.automatic, v); err == nil {
				break
			}
		}
		if err != nil {
			return fmt.Errorf("give %s back to the automatic: %w", l.name, err)
		}
		l.base = 0
	}
	return nil
}

func (e *exposer) freeze() error {
	switch {
	case e.frozen:
		return nil
	case e.lock != 0:
		if err := e.k.set(low.CtrlCamera3ALock, e.lock); err != nil {
			return fmt.Errorf("lock exposure: %w", err)
		}
	case len(e.levers) == 0:
		return kiosk.ErrNoControl
	case e.bias != nil:
		for _, l := range e.levers {
			if err := l.take(e.k); err != nil {
				return err
			}
		}
	default:
		if _, err := e.multiply(e.stops); err != nil {
			return err
		}
	}
	e.frozen = true
	if on, err := e.k.get(low.CtrlAutoWhiteBalance); e.lock == 0 && err == nil && on == 1 {
		if err := e.k.set(low.CtrlAutoWhiteBalance, 0); err != nil {
			return fmt.Errorf("freeze white balance: %w", err)
		}
		e.white = true
	}
	return nil
}

func (e *exposer) thaw() error {
	if !e.frozen {
		return nil
	}
	e.frozen = false
	if e.white {
		e.white = false
		if err := e.k.set(low.CtrlAutoWhiteBalance, 1); err != nil {
			return fmt.Errorf("thaw white balance: %w", err)
		}
	}
	if e.lock != 0 {
		if err := e.k.set(low.CtrlCamera3ALock, 0); err != nil {
			return fmt.Errorf("unlock exposure: %w", err)
		}
		return nil
	}
	if e.bias != nil || e.stops == 0 {
		return e.release()
	}
	return nil
}
