package main

import (
	"sync"

	"livekiosk/kiosk"
	"livekiosk/ui/theme"
)

// A wardrobe has what the screens look like: as the installed theme says, but
// for the session of a launch that brought a document of its own, and for that
// session alone.
type wardrobe struct {
	installed *theme.Theme

	mu     sync.Mutex
	laid   map[string]laid // by the documents of launches that are being made
	worn   *theme.Theme    // of the session; nil: it has none of its own
	wearer kiosk.SessionID
	seen   bool // it was on the display
}

// A laid theme is that of one launch, or of several with the same document.
type laid struct {
	*theme.Theme

	launches int
}

func newWardrobe(installed *theme.Theme) *wardrobe {
	return &wardrobe{installed: installed, laid: map[string]laid{}}
}

// lay reads the document of a launch. away ends that: the launch was taken, or
// not.
func (w *wardrobe) lay(l kiosk.Launch) (away func(), err error) {
	if l.ThemeDocument == "" {
		return func() {}, nil
	}
	t, err := w.installed.Over([]byte(l.ThemeDocument))
	if err != nil {
		return nil, &kiosk.LaunchError{Code: kiosk.ConfigInvalid, Field: "themeDocument", Reason: "is not taken: " + cut(err.Error())}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.laid[l.ThemeDocument] = laid{t, w.laid[l.ThemeDocument].launches + 1}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		one := w.laid[l.ThemeDocument]
		if one.launches--; one.launches == 0 {
			delete(w.laid, l.ThemeDocument)
			return
		}
		w.laid[l.ThemeDocument] = one
	}, nil
}

// cut bounds what is said of a document: it may repeat a value of it.
func cut(s string) string {
	const most = 300
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// began implements station.Options.Began.
func (w *wardrobe) began(id kiosk.SessionID, l kiosk.Launch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wearer, w.worn, w.seen = id, nil, false
	if l.ThemeDocument != "" {
		w.worn = w.laid[l.ThemeDocument].Theme
	}
}

// of returns what the screens of a session look like, or with "" those of none.
func (w *wardrobe) of(id kiosk.SessionID) *theme.Theme {
	w.mu.Lock()
	defer w.mu.Unlock()
	if id != "" && id == w.wearer && w.worn != nil {
		return w.worn
	}
	return w.installed
}

// drawn is told whose view is on the display: what a session wore is let go once
// another is there.
func (w *wardrobe) drawn(id kiosk.SessionID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if id == w.wearer {
		w.seen = true
	} else if w.seen {
		w.wearer, w.worn, w.seen = "", nil, false
	}
}
