package ui

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"time"

	"gioui.org/app"
	"gioui.org/io/event"
	"gioui.org/io/key"
	"gioui.org/io/system"
	"gioui.org/op"
	"gioui.org/unit"

	"livekiosk/kiosk"
	"livekiosk/ui/screens"
	"livekiosk/ui/text"
	"livekiosk/ui/theme"
)

// A Book is a storybook: every state in every scheme and language.
type Book struct {
	States  []screens.State
	Schemes []kiosk.Theme
	Locales []kiosk.Locale // of Leaf, nil: all that look returns
}

// page returns the view of a state in a scheme and a language, counted modulo
// how many there are.
func (b Book) page(state, scheme, locale int) (screens.State, kiosk.View) {
	at := func(n, of int) int { return ((n % of) + of) % of }
	st := b.States[at(state, len(b.States))]
	v := st.View
	v.Theme, v.Locale = b.Schemes[at(scheme, len(b.Schemes))], b.Locales[at(locale, len(b.Locales))]
	return st, v
}

// Contact returns all pages on one sheet: in each state every scheme, and in
// that every language.
func (b Book) Contact(r *Renderer, sheet Sheet) (*image.RGBA, error) {
	camera := Person(image.Pt(640, 360))
	for state := range b.States {
		for scheme := range b.Schemes {
			for locale := range b.Locales {
				st, v := b.page(state, scheme, locale)
				m, err := r.Picture(st, v, camera)
				if err != nil {
					return nil, err
				}
				sheet.Add(m)
			}
		}
	}
	return sheet.Image(), nil
}

// Picture draws a state as v has it, with the camera image if it wants one.
func (r *Renderer) Picture(st screens.State, v kiosk.View, camera *image.RGBA) (*image.RGBA, error) {
	if !st.Camera {
		camera = nil
	}
	r.SetDesk(func() screens.Desk { return st.Desk })
	return r.Render(v, camera)
}

// Leaf opens the book in a window until ctx ends or the window is closed: the
// arrow keys go to the next or last state and scheme, L to the next language,
// O turns the window. look is asked before each drawing; a token in changed
// has it drawn anew. The program's main goroutine must be in Main meanwhile.
func (b Book) Leaf(ctx context.Context, size image.Point, look func() (*theme.Theme, *text.Catalogue), changed <-chan struct{}) error {
	if !HasDisplay() {
		return errors.New("open window: neither WAYLAND_DISPLAY nor DISPLAY is set")
	}
	s, err := screens.New(nil)
	if err != nil {
		return fmt.Errorf("load fonts: %w", err)
	}
	w := new(app.Window)
	resize := func() { w.Option(app.Title("livekiosk story"), app.Size(unit.Dp(size.X), unit.Dp(size.Y))) }
	resize()
	go func() {
		for {
			select {
			case <-ctx.Done():
				w.Invalidate() // to close it: see Run
				return
			case <-changed:
				w.Invalidate()
			}
		}
	}()
	var ops op.Ops
	var state, scheme, locale int
	all := b.Locales == nil
	camera := Person(image.Pt(640, 360))
	for {
		switch e := w.Event().(type) {
		case app.DestroyEvent:
			return e.Err
		case app.FrameEvent:
			gtx := app.NewContext(&ops, e)
			event.Op(gtx.Ops, w)
			for {
				ev, more := gtx.Event(key.Filter{Name: key.NameRightArrow}, key.Filter{Name: key.NameLeftArrow}, key.Filter{Name: key.NameUpArrow},
					key.Filter{Name: key.NameDownArrow}, key.Filter{Name: "L"}, key.Filter{Name: "O"})
				if !more {
					break
				}
				k, is := ev.(key.Event)
				if !is || k.State != key.Press {
					continue
				}
				switch k.Name { //nolint:exhaustive // the filters let no others through
				case key.NameRightArrow:
					state++
				case key.NameLeftArrow:
					state--
				case key.NameDownArrow:
					scheme++
				case key.NameUpArrow:
					scheme--
				case "L":
					locale++
				case "O":
					size = image.Pt(size.Y, size.X)
					resize()
				}
			}
			th, words := look()
			if all {
				b.Locales = words.Locales()
			}
			st, v := b.page(state, scheme, locale)
			p := screens.Preview{}
			if st.Camera {
				p = screens.Preview{Image: camera, Seq: 1}
			}
			s.Wear(th)
			s.Speak(words)
			s.SetDesk(func() screens.Desk { return st.Desk })
			s.Layout(gtx, v, p)
			e.Frame(gtx.Ops)
			if ctx.Err() != nil {
				w.Perform(system.ActionClose)
			}
		}
	}
}

// A Cost is what drawing a state takes of the processor, all threads together:
// the first time, when its words and corners are made, and from then on. While
// guiding, each frame has a new camera image of 720p.
type Cost struct {
	State       string
	First, Next time.Duration
}

// Report measures each state, in the first scheme and language of the book,
// over so many frames. processor returns how long the process has computed.
func (b Book) Report(r *Renderer, frames int, processor func() time.Duration) ([]Cost, error) {
	cams := [2]*image.RGBA{Person(image.Pt(1280, 720)), Person(image.Pt(1280, 720))}
	dot := image.NewRGBA(image.Rect(0, 0, 1, 1))
	now, seq := time.Unix(0, 0), uint64(0)
	var all []Cost
	for state := range b.States {
		st, v := b.page(state, 0, 0)
		r.SetDesk(func() screens.Desk { return st.Desk })
		r.screens.Reset()
		draw := func(n int) (time.Duration, error) {
			before := processor()
			for range n {
				now, seq = now.Add(time.Second/15), seq+1
				p := screens.Preview{}
				if st.Camera {
					p = screens.Preview{Image: cams[seq%2], Seq: seq}
				}
				if err := r.draw(now, v, p); err != nil {
					return 0, err
				}
			}
			err := r.read(dot) // until the last frame is done
			return (processor() - before) / time.Duration(n), err
		}
		first, err := draw(1)
		if err != nil {
			return nil, err
		}
		next, err := draw(frames)
		if err != nil {
			return nil, err
		}
		all = append(all, Cost{st.Name, first, next})
	}
	return all, nil
}

// Person is a camera image of a drawn person, a little off to the side, in
// few flat colours. Its left edge is marked red: a mirror shows it on the right.
func Person(size image.Point) *image.RGBA {
	m := image.NewRGBA(image.Rectangle{Max: size})
	draw.Draw(m, m.Bounds(), image.NewUniform(color.RGBA{0x9a, 0xa7, 0xb5, 0xff}), image.Point{}, draw.Src)
	h := float64(size.Y)
	cx, cy := float64(size.X)/2+0.06*h, h/2
	ellipse := func(x, y, rx, ry float64, c color.RGBA) {
		for py := max(0, int(y-ry)); py < min(size.Y, int(y+ry)+1); py++ {
			for px := max(0, int(x-rx)); px < min(size.X, int(x+rx)+1); px++ {
				dx, dy := (float64(px)-x)/rx, (float64(py)-y)/ry
				if dx*dx+dy*dy <= 1 {
					m.SetRGBA(px, py, c)
				}
			}
		}
	}
	ellipse(cx, cy+0.62*h, 0.46*h, 0.34*h, color.RGBA{0x3d, 0x5a, 0x80, 0xff})
	ellipse(cx, cy-0.06*h, 0.215*h, 0.27*h, color.RGBA{0x2b, 0x22, 0x1e, 0xff})
	ellipse(cx, cy, 0.175*h, 0.235*h, color.RGBA{0xc6, 0x8e, 0x65, 0xff})
	for _, side := range []float64{-1, 1} {
		ellipse(cx+side*0.075*h, cy-0.035*h, 0.026*h, 0.016*h, color.RGBA{0xf4, 0xf1, 0xec, 0xff})
		ellipse(cx+side*0.075*h, cy-0.035*h, 0.012*h, 0.014*h, color.RGBA{0x2b, 0x22, 0x1e, 0xff})
	}
	ellipse(cx, cy+0.12*h, 0.06*h, 0.014*h, color.RGBA{0x9c, 0x4f, 0x4a, 0xff})
	left := image.Rect(int(float64(size.X)/2-0.44*h), 0, int(float64(size.X)/2-0.40*h), size.Y)
	draw.Draw(m, left, image.NewUniform(color.RGBA{0xb0, 0x30, 0x30, 0xff}), image.Point{}, draw.Src)
	return m
}
