package ui

/*
#include <malloc.h>

// kiosk_keep_freed has the C library keep memory that is freed, for textures of
// 8 MB at most: pieces above are the kernel's. Without glibc it does nothing.
static void kiosk_keep_freed(void)
{
#if defined(M_MMAP_THRESHOLD) && defined(M_TRIM_THRESHOLD)
	mallopt(M_MMAP_THRESHOLD, 8 << 20);
	mallopt(M_TRIM_THRESHOLD, 16 << 20);
#endif
}
*/
import "C"

import (
	"fmt"
	"image"
	"os"
	"time"

	"gioui.org/f32"
	"gioui.org/gpu/headless"
	"gioui.org/io/input"
	"gioui.org/io/pointer"
	"gioui.org/layout"
	"gioui.org/op"

	"livekiosk/kiosk"
	"livekiosk/ui/screens"
	"livekiosk/ui/text"
	"livekiosk/ui/theme"
)

// A Renderer draws screens without a display, by EGL: on a GPU where there is
// one, and in software elsewhere. Its methods must not be called concurrently,
// and a process must not have two at once: they share one EGL display, which
// the first to close takes away from the other.
type Renderer struct {
	win     *headless.Window
	screens *screens.Screens
	router  input.Router
	ops     op.Ops
	size    image.Point
}

// NewRenderer returns a renderer of the given size in pixels, which the caller
// must Close.
func NewRenderer(size image.Point) (*Renderer, error) { return newRenderer(size, nil) }

func newRenderer(size image.Point, tap func(kiosk.Tap)) (*Renderer, error) {
	if os.Getenv("EGL_PLATFORM") == "" {
		// Newer Mesa takes the first platform it was built with, not the one
		// that needs no display.
		if err := os.Setenv("EGL_PLATFORM", "surfaceless"); err != nil {
			return nil, fmt.Errorf("choose EGL platform: %w", err)
		}
	}
	if err := forgetFrames(); err != nil {
		return nil, err
	}
	s, err := screens.New(tap)
	if err != nil {
		return nil, fmt.Errorf("load fonts: %w", err)
	}
	win, err := headless.NewWindow(size.X, size.Y)
	if err != nil {
		return nil, fmt.Errorf("open headless renderer of %dx%d (are libegl1 and libgl1-mesa-dri installed?): %w", size.X, size.Y, err)
	}
	return &Renderer{win: win, screens: s, size: size}, nil
}

// forgetFrames keeps Mesa's software renderer from holding on to what it drew.
// With threads of its own it draws several frames at once when the machine is
// busy, each in a scene that keeps its textures, the camera's image among them,
// until another frame needs as many at once: hours later, or never. Without, one
// scene serves all and the next frame takes its textures away. It costs no more
// processor time, and counts only before the first drawing.
//
// Its textures come from the C library, a new one for each camera image. That
// gives memory of such size back to the kernel when it is freed and takes it
// again, page by page and zeroed, for the next image: that cost as much time as
// drawing the image. Told to, it keeps up to 16 MB for what comes next. What
// was in it is erased when it is freed, if the program has seen to that (see
// jpeg.EraseFreed).
func forgetFrames() error {
	if err := os.Setenv("LP_NUM_THREADS", "0"); err != nil {
		return fmt.Errorf("set up the software renderer: %w", err)
	}
	C.kiosk_keep_freed()
	return nil
}

// SetDesk has glance asked what DeskScreen tells staff.
func (r *Renderer) SetDesk(glance func() screens.Desk) { r.screens.SetDesk(glance) }

// Close frees the renderer's buffers.
func (r *Renderer) Close() { r.win.Release() }

// draw renders one frame at the given time of animation.
func (r *Renderer) draw(now time.Time, v kiosk.View, p screens.Preview) error {
	r.ops.Reset()
	gtx := layout.Context{Ops: &r.ops, Source: r.router.Source(), Now: now, Constraints: layout.Exact(r.size)}
	r.screens.Layout(gtx, v, p)
	r.router.Frame(&r.ops)
	if err := r.win.Frame(&r.ops); err != nil {
		return fmt.Errorf("render %s: %w", v.Screen, err)
	}
	return nil
}

// read copies what was drawn last into img, which has the renderer's size.
func (r *Renderer) read(img *image.RGBA) error {
	if err := r.win.Screenshot(img); err != nil {
		return fmt.Errorf("read rendered picture: %w", err)
	}
	return nil
}

// Wear draws with t from now on.
func (r *Renderer) Wear(t *theme.Theme) { r.screens.Wear(t) }

// Speak draws with c's words from now on.
func (r *Renderer) Speak(c *text.Catalogue) { r.screens.Speak(c) }

// Render draws v, with preview as the camera image or none if nil, and returns
// the picture. Equal arguments give equal pictures, whatever was drawn before.
func (r *Renderer) Render(v kiosk.View, preview *image.RGBA) (*image.RGBA, error) {
	r.screens.Reset()
	r.router = input.Router{}
	if err := r.draw(time.Unix(0, 0), v, screens.Preview{Image: preview, Seq: 1}); err != nil {
		return nil, err
	}
	img := image.NewRGBA(image.Rectangle{Max: r.size})
	return img, r.read(img)
}

// touch presses a finger on the middle of the control, or lifts it there. It
// reports whether the control is on screen.
func (r *Renderer) touch(c kiosk.Control, kind pointer.Kind) bool {
	b, shown := r.screens.Bounds(c)
	if !shown {
		return false
	}
	mid := b.Min.Add(b.Max).Div(2)
	r.router.Queue(pointer.Event{Kind: kind, Source: pointer.Touch, Position: f32.Pt(float32(mid.X), float32(mid.Y))})
	return true
}
