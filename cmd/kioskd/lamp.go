package main

import (
	"math"
	"sync"
	"time"

	"livekiosk/kiosk"
)

// A lamp is the light of the display on a composed visitor, so that a light
// challenge can be watched without a camera. It simulates, and measures nothing.
type lamp struct {
	mu  sync.Mutex
	was []glow // from the oldest to the newest
}

// A glow is one colour of the display, in linear light, and since when.
type glow struct {
	at    time.Duration
	light [3]float64
}

// How the simulated display and camera are: its light on a face that is near, in
// multiples of the room's; how long after a change was drawn a frame shows it; and
// how much longer the visitor stays for it.
const (
	lampShare = 0.25
	lampLag   = 80 * time.Millisecond
	lampStay  = 8 * time.Second
	lampKeeps = 8
)

// shows notes what is on the display from a time since boot on. Only the colours of a
// light challenge light anybody.
func (l *lamp) shows(v kiosk.View, at time.Duration) {
	if l == nil {
		return
	}
	g := glow{at: at}
	if v.Screen == kiosk.ColoursScreen {
		for i, c := range v.Colour {
			x := float64(c) / 255
			if g.light[i] = lampShare * x / 12.92; x > 0.04045 {
				g.light[i] = lampShare * math.Pow((x+0.055)/1.055, 2.4)
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.was); n > 0 && l.was[n-1].light == g.light || n == 0 && g.light == [3]float64{} {
		return
	}
	if l.was = append(l.was, g); len(l.was) > lampKeeps {
		l.was = append(l.was[:0], l.was[1:]...)
	}
}

// light is what lights the frame of a time since boot.
func (l *lamp) light(at time.Duration) [3]float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.was) - 1; i >= 0; i-- {
		if at >= l.was[i].at+lampLag {
			return l.was[i].light
		}
	}
	return [3]float64{}
}
