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
	if n := testing.AllocsPerRun(5, func() {
		if _, err := d.Decode(f, 240); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for a JPEG frame", n)
	}
	data, err := camera.NewEvidence(enc).JPEG(raw(kiosk.YUYV, image.Pt(640, 480)))
	if err != nil {
		t.Fatal(err)
	}
	if size, err := jpeg.Header(data); err != nil || size != f.Size {
		t.Errorf("evidence of %v, %v; want %v", size, err, f.Size)
	}
}
