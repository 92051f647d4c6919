package ui

import (
	"image"
	"time"

	"livekiosk/kiosk"
	"livekiosk/ui/screens"
)

// Draw renders one frame without reading it back.
func (r *Renderer) Draw(now time.Time, v kiosk.View, img *image.RGBA, seq uint64) error {
	return r.draw(now, v, screens.Preview{Image: img, Seq: seq})
}

// Read waits for the renderer and copies the picture.
func (r *Renderer) Read(img *image.RGBA) error { return r.read(img) }

// Pictures is how many pictures a run keeps at most.
const Pictures = keep
