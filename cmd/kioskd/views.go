package main

import (
	"sync"

	"livekiosk/kiosk"
)

// views hands the flow's views to the display. Within one screen only the
// newest counts; but each screen is drawn at least once, so that the visitor
// and the pictures of a demonstration miss no phase however short it was.
type views struct {
	changed chan struct{} // holds a token while a view waits

	mu    sync.Mutex
	queue []kiosk.View // the first is on the display
}

// longestQueue bounds how far a display that hangs can fall behind.
const longestQueue = 16

func newViews() *views {
	return &views{
		changed: make(chan struct{}, 1),
		queue:   []kiosk.View{{Screen: kiosk.IdleScreen, Locale: kiosk.Indonesian}},
	}
}

// show adds the newest view. It never blocks.
func (v *views) show(view kiosk.View) {
	v.mu.Lock()
	defer v.mu.Unlock()
	last := len(v.queue) - 1
	switch {
	case last > 0 && v.queue[last].Screen == view.Screen:
		v.queue[last] = view
	case len(v.queue) == longestQueue: // nobody looks: what is next to be drawn is the newest
		v.queue = append(v.queue[:1], view)
	default:
		v.queue = append(v.queue, view)
	}
	v.signal()
}

// next returns the view to draw now.
func (v *views) next() kiosk.View {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.queue) > 1 {
		v.queue = v.queue[1:]
	}
	if len(v.queue) > 1 {
		v.signal()
	}
	return v.queue[0]
}

func (v *views) signal() {
	select {
	case v.changed <- struct{}{}:
	default:
	}
}
