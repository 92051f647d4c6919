package ui

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"gioui.org/io/pointer"

	"livekiosk/kiosk"
	"livekiosk/ui/screens"
)

// pulse is how often a display beats, and looks whether it missed a change.
const pulse = time.Second

// Headless shows the screens on no display until ctx ends: it draws every
// change, taps the script through the same input routing as a finger, and
// writes a picture to Out for every screen and every hint, in order of
// appearance. While guiding it draws at a third of FrameRate.
//
// It returns an error at once if the renderer cannot be opened or Out cannot
// be written; later it fails only when the renderer does.
func Headless(ctx context.Context, o Options) error {
	if err := o.Validate(); err != nil {
		return err
	}
	o = o.filled()
	r, err := newRenderer(o.Size, o.Tap)
	if err != nil {
		return err
	}
	defer r.Close()
	o.adjust(r.screens)
	h := &headlessDisplay{
		Options: o, r: r,
		script: script{controls: o.Script, delay: o.ScriptDelay},
	}
	if o.Out != "" {
		if h.album, err = openAlbum(o.Out, o.Log); err != nil {
			return err
		}
		defer h.album.close(ctx)
	}
	o.Log.InfoContext(ctx, "rendering without a display", slog.Int("width", o.Size.X), slog.Int("height", o.Size.Y), slog.String("out", o.Out))
	return h.run(ctx)
}

type headlessDisplay struct {
	Options
	r      *Renderer
	album  *album // nil: no pictures
	script script

	drawn   kiosk.View
	seq     uint64    // of the camera image drawn
	at      time.Time // of the last drawing; zero: none yet
	wake    time.Time // when the screen wants to be drawn again; zero: not by itself
	picture picture
}

func (h *headlessDisplay) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if err := h.step(ctx, time.Now()); err != nil {
			return err
		}
		h.Beat()
		timer.Reset(h.rest(time.Now()))
		select {
		case <-ctx.Done():
			// The last changes may have come with the end: they get their pictures.
			for range keep {
				if err := h.step(ctx, time.Now()); err != nil || h.View() == h.drawn {
					return err
				}
			}
			return nil
		case <-h.Changed:
		case <-timer.C:
		}
	}
}

// step draws what there is to draw.
func (h *headlessDisplay) step(ctx context.Context, now time.Time) error {
	v := h.View()
	p := h.preview(v)
	if h.stale(now, v, p) {
		if err := h.draw(ctx, now, v, p); err != nil {
			return err
		}
	}
	c, tap, again := h.script.due(now, h.drawn, func(c kiosk.Control) bool {
		_, shown := h.r.screens.Bounds(c)
		return shown
	})
	if !again.IsZero() && (h.wake.IsZero() || again.Before(h.wake)) {
		h.wake = again
	}
	if !tap {
		return nil
	}
	// A finger goes down in one frame and up in the next.
	for _, kind := range []pointer.Kind{pointer.Press, pointer.Release} {
		h.r.touch(c, kind)
		if err := h.draw(ctx, now, h.drawn, p); err != nil {
			return err
		}
	}
	return nil
}

// stale reports whether the last drawing no longer holds. A new screen is
// drawn at once, and anything else no more often than the pace allows.
func (h *headlessDisplay) stale(now time.Time, v kiosk.View, p screens.Preview) bool {
	switch {
	case h.at.IsZero(), v.Screen != h.drawn.Screen, v.Session != h.drawn.Session, v.Hint != h.drawn.Hint, v.Pose != h.drawn.Pose, v.Flash != h.drawn.Flash, v.Turn != h.drawn.Turn:
		return true
	case now.Before(h.at.Add(h.pace())):
		return false
	}
	return v != h.drawn || p.Seq != h.seq || !h.wake.IsZero() && !now.Before(h.wake)
}

// pace is the shortest time between two drawings of one screen.
func (h *headlessDisplay) pace() time.Duration {
	return 3 * time.Second / time.Duration(h.FrameRate)
}

// rest returns how long there is nothing to do unless the view changes.
func (h *headlessDisplay) rest(now time.Time) time.Duration {
	d := pulse
	if h.drawn.Screen.Live() || h.View() != h.drawn {
		d = min(d, h.at.Add(h.pace()).Sub(now))
	}
	if !h.wake.IsZero() {
		d = min(d, h.wake.Sub(now))
	}
	return max(d, time.Millisecond)
}

func (h *headlessDisplay) draw(ctx context.Context, now time.Time, v kiosk.View, p screens.Preview) error {
	h.r.screens.Wear(h.Theme(v.Session))
	if err := h.r.draw(now, v, p); err != nil {
		return err
	}
	h.drawn, h.seq, h.at = v, p.Seq, now
	h.Drawn(v)
	h.wake = time.Time{}
	if at, again := h.r.router.WakeupTime(); again {
		h.wake = at
		if at.IsZero() { // at once
			h.wake = now
		}
	}
	if h.album == nil {
		return nil
	}
	pic := pictureOf(v, p.Image != nil)
	if pic == h.picture || h.album.full() {
		return nil
	}
	h.picture = pic
	img := h.album.blank(h.r.size)
	if err := h.r.read(img); err != nil {
		return err
	}
	h.album.add(ctx, pic.name(), img)
	return nil
}

// A picture says what makes one worth keeping: it differs from the last.
type picture struct {
	session kiosk.SessionID
	screen  kiosk.Screen
	locale  kiosk.Locale
	pose    kiosk.Pose
	hint    kiosk.Hint
	left    int
	camera  bool
	step    kiosk.Step
	note    kiosk.Note
}

func pictureOf(v kiosk.View, camera bool) picture {
	p := picture{session: v.Session, screen: v.Screen, locale: v.Locale, left: v.AttemptsLeft}
	if v.Screen == kiosk.GuidingScreen {
		p.pose, p.hint, p.camera = v.Pose, v.Hint, camera
	}
	if v.Screen == kiosk.CommissionScreen {
		p.step, p.note, p.camera = v.Step, v.Note, camera
	}
	return p
}

func (p picture) name() string {
	if p.step != "" {
		return strings.TrimSuffix(fmt.Sprintf("%s-%s-%s", p.screen, p.step, p.note), "-")
	}
	if p.screen != kiosk.GuidingScreen {
		return string(p.screen)
	}
	switch {
	case !p.camera:
		return fmt.Sprintf("%s-%s-starting", p.screen, p.pose)
	case p.hint == kiosk.NoHint:
		return fmt.Sprintf("%s-%s", p.screen, p.pose)
	}
	return fmt.Sprintf("%s-%s-%s", p.screen, p.pose, p.hint)
}
