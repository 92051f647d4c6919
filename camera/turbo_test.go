//go:build cgo

package camera_test

import (
	"image"
	"testing"

	"livekiosk/camera"
	"livekiosk/camera/jpeg"
	"livekiosk/kiosk"
)

// TestWithTheRealCodec puts camera/jpeg behind the ports of this package.
func TestWithTheRealCodec(t *testing.T) {
	dec, enc := jpeg.NewDecoder(), jpeg.NewEncoder()
	defer dec.Close()
	defer enc.Close()
	d := &camera.Decoder{JPEG: dec}
	f := mjpeg(t, image.Pt(640, 480))
	reduces(t, d, f)
	turned := mjpeg(t, image.Pt(640, 480))
	turned.Mount.Turn = 90
	for name, f := range map[string]*kiosk.Frame{"upright": f, "turned": turned} {
		if n := testing.AllocsPerRun(5, func() {
			if _, _, err := d.Decode(f, 240); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%v allocations for a JPEG frame, %s", n, name)
		}
	}
	e := camera.NewEvidence(enc)
	for want, f := range map[image.Point]*kiosk.Frame{
		{X: 640, Y: 480}: raw(kiosk.YUYV, image.Pt(640, 480)),
		{X: 480, Y: 640}: turned,
	} {
		data, err := e.JPEG(f)
		if err != nil {
			t.Fatal(err)
		}
		if size, err := jpeg.Header(data); err != nil || size != want {
			t.Errorf("evidence of %v, %v; want %v", size, err, want)
		}
	}
}
