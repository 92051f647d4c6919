package main

import (
	"slices"
	"sync"

	"livekiosk/kiosk"
)

// views hands the flow's views to the display. Within one screen only the
// newest counts; but each screen is drawn at least once, so that the visitor
// and the pictures of a demonstration miss no phase however short it was.
type views struct {
	changed chan struct{} // holds a token while a view waits

	mu    sync.Mutex
	queue []kiosk.View // the first is on the display, or next to be
	last  kiosk.View   // drawn
	over  *kiosk.View  // an installer's, in place of those without a session; nil: none
}

// longestQueue bounds how far a display that hangs can fall behind.
const longestQueue = 16

func newViews() *views {
	return &views{
		changed: make(chan struct{}, 1),
		queue:   []kiosk.View{{Screen: kiosk.IdleScreen, Locale: kiosk.Indonesian}},
	}
}

// cover has an installer's view shown in place of what there is between
// sessions; nil ends that.
func (v *views) cover(view *kiosk.View) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.over = nil
	if view != nil {
		own := *view
		v.over = &own
	}
	v.signal()
}

// newest returns the view that is to be seen in the end.
func (v *views) newest() kiosk.View {
	v.mu.Lock()
	defer v.mu.Unlock()
	last := v.queue[len(v.queue)-1]
	if v.over != nil && last.Session == "" {
		return *v.over
	}
	return last
}

// show adds the newest view. It never blocks.
func (v *views) show(view kiosk.View) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if view.Session != "" {
		// A display that was asleep must not show one visitor what another was told.
		v.queue = slices.DeleteFunc(v.queue, func(old kiosk.View) bool { return old.Session != "" && old.Session != view.Session })
		if len(v.queue) == 0 {
			v.queue = append(v.queue, view)
		}
	}
	last := len(v.queue) - 1
	switch {
	case v.queue[last] == view:
		return
	case last > 0 && v.queue[last].Screen == view.Screen:
		v.queue[last] = view
	case len(v.queue) == longestQueue: // nobody looks: what is next to be drawn is the newest
		v.queue = append(v.queue[:1], view)
	default:
		v.queue = append(v.queue, view)
	}
	v.signal()
}

// current returns the view to draw: the next one whose screen was not drawn
// yet, or the newest.
func (v *views) current() kiosk.View {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over != nil && v.queue[len(v.queue)-1].Session == "" {
		return *v.over
	}
	for len(v.queue) > 1 && v.seen() {
		v.queue = v.queue[1:]
	}
	return v.queue[0]
}

// drawn notes that a view is on the display.
func (v *views) drawn(view kiosk.View) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last = view
	if v.seen() && len(v.queue) > 1 {
		v.signal()
	}
}

// began reports whether anything is on the display, or was.
func (v *views) began() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.last.Screen != ""
}

// seen reports whether the visitor has seen the screen of the first view.
func (v *views) seen() bool {
	first := v.queue[0]
	return first.Screen == v.last.Screen && first.Session == v.last.Session
}

func (v *views) signal() {
	select {
	case v.changed <- struct{}{}:
	default:
	}
}
