package camera_test

import (
	"bytes"
	"errors"
	"image"
	"image/draw"
	"image/jpeg"
	"testing"

	"livekiosk/camera"
	"livekiosk/kiosk"
)

// standard is image/jpeg behind the ports of this package, so that these tests
// need no cgo. It does not reduce.
type standard struct{}

func (standard) Decode(_ *image.RGBA, src []byte, _ int) (*image.RGBA, error) {
	img, err := jpeg.Decode(bytes.NewReader(src))
	if err != nil {
		return nil, err
	}
	rgba := image.NewRGBA(img.Bounds())
	draw.Draw(rgba, rgba.Rect, img, image.Point{}, draw.Src)
	return rgba, nil
}

func (standard) Encode(dst []byte, img *image.RGBA, quality int) ([]byte, error) {
	buf := bytes.NewBuffer(dst)
	err := jpeg.Encode(buf, img, &jpeg.Options{Quality: quality})
	return buf.Bytes(), err
}

// mjpeg returns a JPEG frame of a picture whose red grows to the right.
func mjpeg(tb testing.TB, size image.Point) *kiosk.Frame {
	tb.Helper()
	img := image.NewRGBA(image.Rectangle{Max: size})
	for i := 0; i < len(img.Pix); i += 4 {
		copy(img.Pix[i:], []byte{byte(i / 4 % size.X * 255 / size.X), 80, 160, 255})
	}
	data, err := standard{}.Encode(nil, img, 85)
	if err != nil {
		tb.Fatal(err)
	}
	return kiosk.NewFrame(kiosk.Frame{ID: 1, Format: kiosk.MJPEG, Size: size, Data: data}, nil)
}

// raw returns a middle grey frame of a raw format.
func raw(format kiosk.Format, size image.Point) *kiosk.Frame {
	f := kiosk.Frame{ID: 1, Format: format, Size: size, Stride: size.X}
	n := size.X * size.Y
	switch format {
	case kiosk.YUYV, kiosk.UYVY:
		f.Stride, n = 2*size.X, 2*n
	case kiosk.NV12:
		n += n / 2
	case kiosk.Grey, kiosk.MJPEG:
	}
	f.Data = bytes.Repeat([]byte{128}, n)
	return kiosk.NewFrame(f, nil)
}

func TestDecodeReducesRawFormats(t *testing.T) {
	size := image.Pt(640, 480)
	for _, format := range []kiosk.Format{kiosk.YUYV, kiosk.UYVY, kiosk.NV12, kiosk.Grey} {
		reduces(t, &camera.Decoder{}, raw(format, size))
	}
}

// reduces wants each size asked of a frame of 640x480.
func reduces(t *testing.T, d *camera.Decoder, f *kiosk.Frame) {
	t.Helper()
	for short, want := range map[int]image.Point{0: f.Size, 480: f.Size, 241: f.Size, 240: {X: 320, Y: 240}, 120: {X: 160, Y: 120}, 1000: f.Size} {
		img, err := d.Decode(f, short)
		if err != nil || img.Rect.Size() != want {
			t.Errorf("%s at %d: %v, want an image of %v", f.Format, short, err, want)
		}
	}
	if len(f.Data) == 0 {
		t.Errorf("%s: the frame was used up", f.Format)
	}
}

func TestDecodeOfRawFormatsDoesNotAllocate(t *testing.T) {
	for _, f := range []*kiosk.Frame{raw(kiosk.YUYV, image.Pt(640, 480)), raw(kiosk.NV12, image.Pt(640, 480))} {
		d := &camera.Decoder{}
		if n := testing.AllocsPerRun(5, func() {
			if _, err := d.Decode(f, 240); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", f.Format, n)
		}
	}
}

func TestDecodeErrorsLeaveTheLastImageWhole(t *testing.T) {
	d := &camera.Decoder{JPEG: standard{}}
	img, err := d.Decode(raw(kiosk.YUYV, image.Pt(64, 48)), 0)
	if err != nil {
		t.Fatal(err)
	}
	before := image.RGBA{Pix: bytes.Clone(img.Pix), Stride: img.Stride, Rect: img.Rect}
	short := raw(kiosk.NV12, image.Pt(32, 32))
	short.Data = short.Data[:len(short.Data)-1]
	stride := raw(kiosk.YUYV, image.Pt(16, 16))
	stride.Stride = 1
	torn := mjpeg(t, image.Pt(64, 48))
	torn.Data = torn.Data[:len(torn.Data)/2]
	odd := raw(kiosk.Grey, image.Pt(8, 8))
	odd.Format = "H264"
	huge := raw(kiosk.Grey, image.Pt(8, 8))
	huge.Size = image.Pt(1<<40, 1<<40)
	for name, f := range map[string]*kiosk.Frame{
		"a short frame": short, "a short stride": stride, "a torn JPEG": torn, "an unknown format": odd, "a huge size": huge,
	} {
		if _, err := d.Decode(f, 0); err == nil {
			t.Errorf("%s: no error", name)
		}
		if !bytes.Equal(img.Pix, before.Pix) || img.Rect != before.Rect || img.Stride != before.Stride {
			t.Errorf("%s: the last image changed", name)
		}
	}
	if _, err := (&camera.Decoder{}).Decode(mjpeg(t, image.Pt(64, 48)), 0); err == nil {
		t.Error("decoded JPEG without a decoder")
	}
}

func TestClearErasesTheImage(t *testing.T) {
	d := &camera.Decoder{JPEG: standard{}}
	d.Clear()
	img, err := d.Decode(raw(kiosk.Grey, image.Pt(64, 48)), 0)
	if err != nil {
		t.Fatal(err)
	}
	d.Clear()
	if !bytes.Equal(img.Pix, make([]byte, len(img.Pix))) {
		t.Error("pixels are left")
	}
}

func TestEvidenceOfMJPEGIsTheCamerasOwnBytes(t *testing.T) {
	f := mjpeg(t, image.Pt(640, 480))
	want := bytes.Clone(f.Data)
	got, err := camera.NewEvidence(nil).JPEG(f)
	if err != nil {
		t.Fatal(err)
	}
	f.Release()
	if !bytes.Equal(got, want) {
		t.Error("not the same bytes, or not a copy")
	}
	f = kiosk.NewFrame(kiosk.Frame{Format: kiosk.MJPEG, Data: []byte("nothing of that kind")}, nil)
	if _, err := camera.NewEvidence(nil).JPEG(f); err == nil {
		t.Error("text is evidence")
	}
}

func TestEvidenceOfRawFramesIsEncodedWhole(t *testing.T) {
	e := camera.NewEvidence(standard{})
	for _, format := range []kiosk.Format{kiosk.YUYV, kiosk.UYVY, kiosk.NV12, kiosk.Grey} {
		f := raw(format, image.Pt(640, 480))
		data, err := e.JPEG(f)
		if err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		img, err := jpeg.Decode(bytes.NewReader(data))
		if err != nil || img.Bounds().Size() != f.Size {
			t.Errorf("%s: %v; want a JPEG of %v", format, err, f.Size)
		}
		if len(f.Data) == 0 || f.Data[0] != 128 {
			t.Errorf("%s: the frame changed", format)
		}
	}
	if _, err := camera.NewEvidence(nil).JPEG(raw(kiosk.YUYV, image.Pt(64, 48))); err == nil {
		t.Error("encoded without an encoder")
	}
}

type brokenEncoder struct{ seen *image.RGBA }

func (b *brokenEncoder) Encode(dst []byte, img *image.RGBA, _ int) ([]byte, error) {
	b.seen = img
	return dst, errors.New("out of ink")
}

func TestEvidenceErasesItsPixels(t *testing.T) {
	enc := &brokenEncoder{}
	if _, err := camera.NewEvidence(enc).JPEG(raw(kiosk.Grey, image.Pt(64, 48))); err == nil {
		t.Error("no error")
	}
	if enc.seen == nil || !bytes.Equal(enc.seen.Pix, make([]byte, len(enc.seen.Pix))) {
		t.Error("pixels are left after a failed encoding")
	}
}
