package camera_test

import (
	"bytes"
	"errors"
	"image"
	"image/draw"
	"image/jpeg"
	"testing"

	"livekiosk/camera"
	"livekiosk/camera/pixel"
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

func (standard) Luma(dst *image.Gray, src *image.RGBA) error {
	return pixel.Turn(nil, dst, src, pixel.Orientation{})
}

func (s standard) Turn(dst, src []byte, degrees int, mirror bool) ([]byte, error) {
	img, err := s.Decode(nil, src, 0)
	if err != nil {
		return dst, err
	}
	o := pixel.Orientation{Turn: degrees, Mirror: mirror}
	turned := image.NewRGBA(image.Rectangle{Max: o.Size(img.Rect.Size())})
	if err := pixel.Turn(turned, nil, img, o); err != nil {
		return dst, err
	}
	return s.Encode(dst, turned, 95)
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
		img, luma, err := d.Decode(f, short)
		if err != nil || img.Rect.Size() != want || luma.Rect != img.Rect {
			t.Errorf("%s at %d: %v, want images of %v", f.Format, short, err, want)
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
			if _, _, err := d.Decode(f, 240); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", f.Format, n)
		}
	}
}

func TestDecodeErrorsLeaveTheLastImageWhole(t *testing.T) {
	d := &camera.Decoder{JPEG: standard{}}
	img, luma, err := d.Decode(raw(kiosk.YUYV, image.Pt(64, 48)), 0)
	if err != nil {
		t.Fatal(err)
	}
	before, beforeLuma := *img, *luma
	before.Pix, beforeLuma.Pix = bytes.Clone(img.Pix), bytes.Clone(luma.Pix)
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
	crooked, askew := raw(kiosk.Grey, image.Pt(8, 8)), mjpeg(t, image.Pt(64, 48))
	crooked.Mount.Turn, askew.Mount.Turn = 45, 1
	turned := mjpeg(t, image.Pt(64, 48))
	turned.Data, turned.Mount.Turn = turned.Data[:len(turned.Data)/2], 90
	for name, f := range map[string]*kiosk.Frame{
		"a short frame": short, "a short stride": stride, "a torn JPEG": torn, "an unknown format": odd, "a huge size": huge,
		"a crooked mount": crooked, "a crooked mount of JPEG": askew, "a torn JPEG, turned": turned,
	} {
		if _, _, err := d.Decode(f, 0); err == nil {
			t.Errorf("%s: no error", name)
		}
		if !bytes.Equal(img.Pix, before.Pix) || img.Rect != before.Rect || img.Stride != before.Stride ||
			!bytes.Equal(luma.Pix, beforeLuma.Pix) || luma.Rect != beforeLuma.Rect {
			t.Errorf("%s: the last image changed", name)
		}
	}
	if _, _, err := (&camera.Decoder{}).Decode(mjpeg(t, image.Pt(64, 48)), 0); err == nil {
		t.Error("decoded JPEG without a decoder")
	}
}

func TestClearErasesTheImages(t *testing.T) {
	d := &camera.Decoder{JPEG: standard{}}
	d.Clear()
	for _, f := range []*kiosk.Frame{raw(kiosk.Grey, image.Pt(64, 48)), mjpeg(t, image.Pt(64, 48))} {
		img, luma, err := d.Decode(f, 0)
		if err != nil {
			t.Fatal(err)
		}
		d.Clear()
		if !bytes.Equal(img.Pix, make([]byte, len(img.Pix))) || !bytes.Equal(luma.Pix, make([]byte, len(luma.Pix))) {
			t.Errorf("%s: pixels are left", f.Format)
		}
	}
}

func TestImagesThatBecomeTooSmallAreErased(t *testing.T) {
	d := &camera.Decoder{JPEG: standard{}}
	for _, frames := range [][2]*kiosk.Frame{
		{raw(kiosk.Grey, image.Pt(8, 8)), raw(kiosk.Grey, image.Pt(64, 48))},
		{raw(kiosk.Grey, image.Pt(16, 16)), mjpeg(t, image.Pt(640, 480))},
	} {
		img, luma, err := d.Decode(frames[0], 0)
		if err != nil {
			t.Fatal(err)
		}
		pix, levels := img.Pix, luma.Pix
		if _, _, err := d.Decode(frames[1], 0); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(pix, make([]byte, len(pix))) || !bytes.Equal(levels, make([]byte, len(levels))) {
			t.Errorf("%s: pixels are left", frames[1].Format)
		}
		*d = camera.Decoder{JPEG: standard{}}
	}
}

// mounts are all that there are, but for the upright one.
var mounts = []kiosk.Mount{
	{Turn: 90}, {Turn: 180}, {Turn: 270}, {Mirror: true}, {Turn: 90, Mirror: true}, {Turn: 180, Mirror: true}, {Turn: 270, Mirror: true},
}

// corner returns where the upper left corner of what the camera sees is in the
// upright picture: 0 left, 1 right, and 2 more below.
func corner(m kiosk.Mount) int {
	at := [...]int{0, 1, 3, 2}[m.Turn/90]
	if m.Mirror {
		at ^= 1
	}
	return at
}

// marked returns a frame that is black but for a white upper left corner.
func marked(tb testing.TB, format kiosk.Format, size image.Point) *kiosk.Frame {
	tb.Helper()
	img := image.NewRGBA(image.Rectangle{Max: size})
	draw.Draw(img, img.Rect, image.Black, image.Point{}, draw.Src)
	draw.Draw(img, image.Rect(0, 0, size.X/4, size.Y/4), image.White, image.Point{}, draw.Src)
	if format == kiosk.MJPEG {
		data, err := standard{}.Encode(nil, img, 90)
		if err != nil {
			tb.Fatal(err)
		}
		return kiosk.NewFrame(kiosk.Frame{ID: 1, Format: format, Size: size, Data: data}, nil)
	}
	f := raw(format, size)
	for y := range size.Y {
		for x := range size.X {
			at := y*f.Stride + x*f.Stride/size.X
			if format == kiosk.UYVY {
				at++
			}
			f.Data[at] = img.RGBAAt(x, y).G
		}
	}
	return f
}

// white returns which corner of an image is white, see corner; -1 if not one.
func white(at func(x, y int) uint8, size image.Point) int {
	found := -1
	for i := range 4 {
		if at(1+i%2*(size.X-3), 1+i/2*(size.Y-3)) > 200 {
			if found >= 0 {
				return -1
			}
			found = i
		}
	}
	return found
}

func TestPicturesAndEvidenceAreUprightInEveryMount(t *testing.T) {
	size := image.Pt(128, 64)
	for _, format := range []kiosk.Format{kiosk.MJPEG, kiosk.YUYV, kiosk.UYVY, kiosk.NV12, kiosk.Grey} {
		d, e := &camera.Decoder{JPEG: standard{}}, camera.NewEvidence(standard{})
		for _, m := range append(mounts, kiosk.Mount{}) {
			f := marked(t, format, size)
			f.Mount = m
			upright := size
			if m.Turn%180 != 0 {
				upright = image.Pt(64, 128)
			}
			if got := f.Upright(); got != upright {
				t.Errorf("%+v: Upright() = %v", m, got)
			}
			img, luma, err := d.Decode(f, 0)
			if err != nil {
				t.Fatal(err)
			}
			if img.Rect.Size() != upright || luma.Rect != img.Rect {
				t.Errorf("%s %+v: %v with luma of %v", format, m, img.Rect, luma.Rect)
			}
			data, err := e.JPEG(f)
			if err != nil {
				t.Fatal(err)
			}
			kept, err := standard{}.Decode(nil, data, 0)
			if err != nil || kept.Rect.Size() != upright {
				t.Fatalf("%s %+v: evidence of %v, %v", format, m, kept.Rect, err)
			}
			for what, at := range map[string]func(x, y int) uint8{
				"the picture": func(x, y int) uint8 { return img.RGBAAt(x, y).G },
				"the luma":    func(x, y int) uint8 { return luma.GrayAt(x, y).Y },
				"evidence":    func(x, y int) uint8 { return kept.RGBAAt(x, y).G },
			} {
				if got := white(at, upright); got != corner(m) {
					t.Errorf("%s %+v: corner %d of %s is white, want %d", format, m, got, what, corner(m))
				}
			}
		}
	}
}

func TestTurnedJPEGLeavesNothingBehind(t *testing.T) {
	kept := &keeper{}
	d := &camera.Decoder{JPEG: kept}
	f := mjpeg(t, image.Pt(64, 48))
	f.Mount.Turn = 90
	if _, _, err := d.Decode(f, 0); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(kept.img.Pix, make([]byte, 4*64*48)) {
		t.Error("the picture is left as it was before it was turned")
	}
}

// A keeper remembers what it decoded.
type keeper struct {
	standard

	img *image.RGBA
}

func (k *keeper) Decode(dst *image.RGBA, src []byte, short int) (img *image.RGBA, err error) {
	k.img, err = k.standard.Decode(dst, src, short)
	return k.img, err
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
	f := mjpeg(t, image.Pt(64, 48))
	f.Mount.Turn = 90
	for _, enc := range []camera.JPEGEncoder{nil, &brokenEncoder{}} {
		if data, err := camera.NewEvidence(enc).JPEG(f); err == nil || data != nil {
			t.Errorf("turned without an encoder that can: %d bytes", len(data))
		}
	}
}

type brokenEncoder struct{ seen *image.RGBA }

func (b *brokenEncoder) Turn(dst, _ []byte, _ int, _ bool) ([]byte, error) {
	return dst, errors.New("out of paper")
}

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
