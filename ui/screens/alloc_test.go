//go:build !race

package screens_test

import (
	"image"
	"testing"
	"time"

	"gioui.org/layout"
	"gioui.org/op"

	"livekiosk/kiosk"
	"livekiosk/ui/screens"
)

// What a frame of guidance allocates is Gio's: a handle for the picture of the
// camera image, and one for that of the ring. Nothing of the screens' own is
// made anew. The race detector makes two more.
func TestAFrameOfGuidanceAllocatesNothingOfItsOwn(t *testing.T) {
	s, err := screens.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	var ops op.Ops
	cams := [2]*image.RGBA{noise(image.Rect(0, 0, 64, 36)), noise(image.Rect(0, 0, 64, 36))}
	v := view(kiosk.GuidingScreen)
	var seq uint64
	frame := func() {
		seq++
		ops.Reset()
		v.Ring = float32(seq%100) / 100
		s.Layout(layout.Context{Ops: &ops, Now: time.Unix(1, 0), Constraints: layout.Exact(upright)}, v, screens.Preview{Image: cams[seq%2], Seq: seq})
	}
	frame()
	if n := testing.AllocsPerRun(50, frame); n > 2 {
		t.Errorf("%v allocations a frame", n)
	}
}
