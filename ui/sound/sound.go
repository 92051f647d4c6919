// Package sound says what the screens show, for whoever does not see them: a
// clip for every hint and every screen, or a tone where there is no clip.
//
// Clips are files, a folder for each language: DIR/id/no_face.wav, with the
// names of hints and screens. Without one a tone tells what kind of news it is.
// Nothing is said while nobody is served.
package sound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"livekiosk/kiosk"
)

// A Sink plays one clip, a whole WAV file, and returns when it has been heard,
// when ctx ended, or why it cannot be played. One clip is played at a time.
type Sink interface {
	Play(ctx context.Context, wav []byte) error
}

// Options are what a voice needs.
type Options struct {
	Dir  string // of the clips; "": tones only
	Sink Sink
	Log  *slog.Logger
}

// A Voice says the newest of what it was shown. Its methods may be called from
// any goroutine.
type Voice struct {
	o Options

	mu    sync.Mutex
	last  kiosk.View
	next  cue           // to be said; zero: nothing
	stop  func()        // ends what is being said; nil: nothing is
	wake  chan struct{} // holds a token while there may be a next
	mute  bool          // told in the log that nothing can be heard
	broke map[string]bool
}

// A cue is what is to be said.
type cue struct {
	name   string // of a hint or a screen
	locale kiosk.Locale
	tone   tone
}

// New returns a voice that says nothing before it is run.
func New(o Options) *Voice {
	return &Voice{o: o, wake: make(chan struct{}, 1), broke: map[string]bool{}}
}

// Show tells what is on the display. A new screen cuts short what is being
// said; a new hint waits for its end, and only the newest one is said. It never
// blocks.
func (v *Voice) Show(view kiosk.View) {
	v.mu.Lock()
	defer v.mu.Unlock()
	was := v.last
	v.last = view
	turned := view.Session != was.Session || view.Screen != was.Screen
	if turned {
		v.next = cue{}
		if v.stop != nil {
			v.stop()
		}
	}
	c, said := about(view)
	if before, _ := about(was); !said || c == before && !turned {
		return
	}
	v.next = c
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// about is what there is to say of a view, and whether there is anything.
func about(v kiosk.View) (cue, bool) {
	c := cue{name: string(v.Screen), locale: v.Locale, tone: prompt}
	if v.Session == "" {
		return cue{}, false
	}
	switch v.Screen {
	case kiosk.GuidingScreen:
		if v.Hint == kiosk.NoHint {
			return cue{}, false
		}
		c.name = string(v.Hint)
		if v.Hint == kiosk.GoodHold {
			c.tone = good
		}
	case kiosk.AgainScreen:
		c.tone = attention
		if v.Why != kiosk.NoHint {
			c.name = string(v.Why)
		}
	case kiosk.GrantedScreen, kiosk.SavedScreen:
		c.tone = done
	case kiosk.RefusedScreen, kiosk.StaffScreen, kiosk.CancelledScreen:
		c.tone = attention
	case kiosk.ConsentScreen, kiosk.TipsScreen, kiosk.WarningScreen, kiosk.WaitingScreen:
	case kiosk.ColoursScreen: // the hint goes on
		c.name = string(v.Hint)
	case kiosk.SavingScreen, kiosk.IdleScreen, kiosk.RestingScreen, kiosk.CodeScreen, kiosk.OutOfServiceScreen, kiosk.PINScreen, kiosk.DeskScreen,
		kiosk.CommissionScreen:
		return cue{}, false
	}
	return c, true
}

// Run says what is shown until ctx ends, and then returns nil. A kiosk without
// a sound card, or with a broken clip, goes on in silence: the log tells once.
func (v *Voice) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-v.wake:
		}
		one, cancel := context.WithCancel(ctx)
		v.mu.Lock()
		c := v.next
		v.next, v.stop = cue{}, cancel
		v.mu.Unlock()
		if c != (cue{}) {
			v.say(one, c)
		}
		v.mu.Lock()
		v.stop = nil
		v.mu.Unlock()
		cancel()
	}
}

func (v *Voice) say(ctx context.Context, c cue) {
	err := v.o.Sink.Play(ctx, v.clip(ctx, c))
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case ctx.Err() != nil: // cut short, which says nothing
	case err == nil:
		v.mute = false
	case !v.mute:
		v.mute = true
		v.o.Log.WarnContext(ctx, "nothing can be heard", slog.Any("err", err))
	}
}

// longest bounds a clip, bytes: half a minute of speech.
const longest = 4 << 20

// clip returns the file of c, or its tone.
func (v *Voice) clip(ctx context.Context, c cue) []byte {
	if v.o.Dir == "" {
		return c.tone.wav()
	}
	path := filepath.Join(v.o.Dir, string(c.locale), c.name+".wav")
	b, err := read(path)
	if err == nil {
		return b
	}
	if !errors.Is(err, fs.ErrNotExist) && !v.broke[path] { // only Run's goroutine comes here
		v.broke[path] = true
		v.o.Log.WarnContext(ctx, "clip not played", slog.Any("err", err))
	}
	return c.tone.wav()
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("clip: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, longest+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("clip: %w", err)
	case len(b) > longest:
		return nil, fmt.Errorf("clip %s: is longer than %d bytes", path, longest)
	case len(b) < 44 || string(b[:4]) != "RIFF" || string(b[8:12]) != "WAVE":
		return nil, fmt.Errorf("clip %s: is no WAV file", path)
	}
	return b, nil
}
