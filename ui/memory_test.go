package ui_test

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"image"
	"os"
	"strings"
	"testing"
	"time"
	"unsafe"

	"livekiosk/camera/jpeg"
	"livekiosk/kiosk"
	"livekiosk/ui"
)

// TestRendererForgetsTheCamera draws frames faster than a software renderer is
// done with them, then three of another screen, and looks for the camera's
// images in all memory that is not Go's. Those of a session that is over must
// not be there, whatever the machine did meanwhile.
func TestRendererForgetsTheCamera(t *testing.T) {
	if !jpeg.EraseFreed() {
		t.Fatal("memory that is freed is not erased")
	}
	r, err := ui.NewRenderer(image.Pt(720, 1280))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	guiding := kiosk.View{Screen: kiosk.GuidingScreen, Session: "s", Locale: kiosk.English, Theme: kiosk.Light, Pose: kiosk.Far, FaceGoal: 0.4}
	cams := make([]*image.RGBA, 8)
	for i := range cams {
		cams[i] = noise(image.Pt(640, 360))
	}
	shot := image.NewRGBA(image.Rect(0, 0, 720, 1280))
	drawn := map[uint64]int{} // by eight bytes of the middle of the oval, inverted: else this would be found, too
	seq := uint64(0)
	draw := func(v kiosk.View, cam *image.RGBA) {
		t.Helper()
		seq++
		if err := r.Draw(time.Unix(0, 0), v, cam, seq); err != nil {
			t.Fatal(err)
		}
	}
	for i, cam := range cams {
		draw(guiding, cam)
		if err := r.Read(shot); err != nil {
			t.Fatal(err)
		}
		drawn[^binary.LittleEndian.Uint64(shot.Pix[shot.PixOffset(360, 400):])] = i
	}
	clear(shot.Pix)
	if len(drawn) != len(cams) {
		t.Fatalf("%d images look alike", len(cams)-len(drawn)+1)
	}
	for range 3 {
		for _, cam := range cams {
			draw(guiding, cam)
		}
	}
	if len(search(t, drawn)) == 0 {
		t.Error("no image is in memory while they are drawn: the search is no good")
	}
	for range 3 {
		draw(kiosk.View{Screen: kiosk.IdleScreen, Locale: kiosk.English, Theme: kiosk.Light}, nil)
		if err := r.Read(shot); err != nil { // until it is done
			t.Fatal(err)
		}
	}
	if found := search(t, drawn); len(found) > 0 {
		t.Errorf("images of the camera are still in memory: %v", found)
	}
}

func noise(size image.Point) *image.RGBA {
	img := image.NewRGBA(image.Rectangle{Max: size})
	_, _ = rand.Read(img.Pix) // cannot fail
	return img
}

// search returns which of the keys, which are inverted, lie in memory of this
// process that is not Go's.
func search(t *testing.T, keys map[uint64]int) (found []int) {
	t.Helper()
	mapped, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mem.Close() }() // read only
	var begins [1 << 16]bool           // by the first two bytes
	for k := range keys {
		begins[k&0xffff] = true
	}
	const most = 128 << 20 // the C library's own stretches are half of that; the race detector's are terabytes
	data := make([]byte, most)
	heap := uint64(uintptr(unsafe.Pointer(&mapped[0])))
	for line := range strings.Lines(string(mapped)) {
		var from, to uint64
		var mode string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); err != nil || !strings.HasPrefix(mode, "rw") || from>>36 == heap>>36 || to-from > most {
			continue // Go's heap is one stretch of addresses, far from all else
		}
		n, _ := mem.ReadAt(data[:to-from], int64(from)) // what is no memory cannot be read
		found = append(found, match(data[:n], &begins, keys)...)
	}
	return found
}

// match is quick under the race detector, too: nothing here is shared.
//
//go:norace
func match(data []byte, begins *[1 << 16]bool, keys map[uint64]int) (found []int) {
	for i := 0; i+8 <= len(data); i += 4 {
		v := ^binary.LittleEndian.Uint64(data[i:])
		if !begins[v&0xffff] {
			continue
		}
		if is, ok := keys[v]; ok {
			found = append(found, is)
		}
	}
	return found
}
