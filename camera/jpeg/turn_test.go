//go:build cgo

package jpeg_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	stdjpeg "image/jpeg"
	"slices"
	"testing"

	"livekiosk/camera/jpeg"
)

// turn gives src turned, or an error and dst as it was.
func turn(tb testing.TB, src []byte, degrees int, mirror bool) ([]byte, error) {
	tb.Helper()
	e := jpeg.NewEncoder()
	defer e.Close()
	got, err := e.Turn([]byte("before"), src, degrees, mirror)
	if !bytes.HasPrefix(got, []byte("before")) || err != nil && len(got) != 6 {
		tb.Fatalf("dst became %d bytes (error %v)", len(got), err)
	}
	return got[6:], err
}

// planes decodes by the standard library, which leaves Y, Cb and Cr apart:
// what was turned without loss is equal there sample for sample.
func planes(tb testing.TB, data []byte) *image.YCbCr {
	tb.Helper()
	img, err := stdjpeg.Decode(bytes.NewReader(data))
	if err != nil {
		tb.Fatal(err)
	}
	switch img := img.(type) {
	case *image.YCbCr:
		return img
	case *image.Gray:
		all := image.NewYCbCr(img.Rect, image.YCbCrSubsampleRatio444)
		all.Y, all.YStride = img.Pix, img.Stride
		return all
	}
	tb.Fatalf("decoded to %T", img)
	return nil
}

// whence returns the pixel of an image of size that a turn takes to p.
func whence(p, size image.Point, degrees int, mirror bool) image.Point {
	to := size
	if degrees%180 != 0 {
		to = image.Pt(size.Y, size.X)
	}
	if mirror {
		p.X = to.X - 1 - p.X
	}
	for range degrees / 90 {
		p, to = image.Pt(p.Y, to.X-1-p.X), image.Pt(to.Y, to.X)
	}
	return p
}

// sampled encodes a picture by the standard library, in 4:2:0 or grey, or by
// this package, in 4:2:2.
func sampled(tb testing.TB, size image.Point, how string) []byte {
	tb.Helper()
	img := picture(size)
	var buf bytes.Buffer
	var src image.Image = img
	switch how {
	case "4:2:2":
		return encode(tb, img, 92)
	case "grey":
		grey := image.NewGray(img.Rect)
		draw.Draw(grey, grey.Rect, img, image.Point{}, draw.Src)
		src = grey
	}
	if err := stdjpeg.Encode(&buf, src, &stdjpeg.Options{Quality: 90}); err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes()
}

func TestTurnLosesNothing(t *testing.T) {
	for _, how := range []string{"4:2:0", "4:2:2", "grey"} {
		size := image.Pt(96, 64)
		src := sampled(t, size, how)
		want := planes(t, src)
		for _, degrees := range []int{0, 90, 180, 270} {
			for _, mirror := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s by %d, mirrored %t", how, degrees, mirror), func(t *testing.T) {
					data, err := turn(t, src, degrees, mirror)
					if err != nil {
						t.Fatal(err)
					}
					got := planes(t, data)
					if w := whence(image.Pt(0, 0), size, degrees, mirror); !w.In(image.Rectangle{Max: size}) {
						t.Fatalf("%v is not in the picture", w)
					}
					for y := range got.Rect.Dy() {
						for x := range got.Rect.Dx() {
							p := whence(image.Pt(x, y), size, degrees, mirror)
							if got, want := got.YCbCrAt(x, y), want.YCbCrAt(p.X, p.Y); !near(got, want) {
								t.Fatalf("(%d,%d) is %v, want %v of %v", x, y, got, want, p)
							}
						}
					}
					back := degrees
					if !mirror {
						back = (360 - degrees) % 360
					}
					again, err := turn(t, data, back, mirror)
					if err != nil {
						t.Fatal(err)
					}
					round := planes(t, again)
					if !bytes.Equal(round.Y, want.Y) || !bytes.Equal(round.Cb, want.Cb) || !bytes.Equal(round.Cr, want.Cr) {
						t.Error("turned back it is another picture")
					}
				})
			}
		}
	}
}

// near allows what an inverse transform rounds in another order of its rows and
// columns.
func near(a, b color.YCbCr) bool {
	d := func(a, b uint8) int { return max(int(a)-int(b), int(b)-int(a)) }
	return d(a.Y, b.Y) <= 1 && d(a.Cb, b.Cb) <= 1 && d(a.Cr, b.Cr) <= 1
}

func TestTurnLeavesOutWhatCannotBecomeTheFirstBlock(t *testing.T) {
	for _, c := range []struct {
		how     string
		size    image.Point
		degrees int
		mirror  bool
		want    image.Point
	}{
		{"4:2:0", image.Pt(128, 48), 90, false, image.Pt(48, 128)},
		{"4:2:2", image.Pt(128, 72), 270, true, image.Pt(72, 128)},
		{"4:2:0", image.Pt(1920, 1080), 90, false, image.Pt(1072, 1920)},
		{"4:2:2", image.Pt(192, 120), 90, false, image.Pt(120, 192)}, // 120 is no multiple of 16, as 1080 is none
		{"4:2:0", image.Pt(192, 120), 90, false, image.Pt(112, 192)},
		{"4:2:0", image.Pt(192, 120), 270, false, image.Pt(120, 192)},
		{"4:2:0", image.Pt(192, 120), 180, false, image.Pt(192, 112)},
		{"4:2:0", image.Pt(192, 120), 0, true, image.Pt(192, 120)},
		{"4:2:0", image.Pt(655, 495), 180, false, image.Pt(640, 480)},
		{"4:2:2", image.Pt(111, 103), 180, false, image.Pt(96, 96)},
		{"grey", image.Pt(39, 33), 180, false, image.Pt(32, 32)},
		{"4:2:0", image.Pt(111, 103), 0, false, image.Pt(111, 103)},
	} {
		t.Run(fmt.Sprintf("%s %v by %d, mirrored %t", c.how, c.size, c.degrees, c.mirror), func(t *testing.T) {
			src := sampled(t, c.size, c.how)
			data, err := turn(t, src, c.degrees, c.mirror)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := jpeg.Header(data); err != nil || got != c.want {
				t.Fatalf("%v, %v; want %v", got, err, c.want)
			}
			// What is left is in its place: the pixels left out were the last.
			kept := c.want
			if c.degrees%180 != 0 {
				kept = image.Pt(kept.Y, kept.X)
			}
			want, got := planes(t, src), planes(t, data)
			for y := 0; y < c.want.Y; y += 7 {
				for x := 0; x < c.want.X; x += 7 {
					p := whence(image.Pt(x, y), kept, c.degrees, c.mirror)
					if !near(got.YCbCrAt(x, y), want.YCbCrAt(p.X, p.Y)) {
						t.Fatalf("(%d,%d) is not that of %v", x, y, p)
					}
				}
			}
		})
	}
}

func TestTurnDropsWhatIsWrittenBesideThePicture(t *testing.T) {
	src := encode(t, picture(image.Pt(64, 48)), 80)
	exif := slices.Concat(src[:2], []byte{0xff, 0xe1, 0, 10}, []byte("Exif\x00\x00II"), src[2:])
	data, err := turn(t, exif, 90, false)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte("Exif")) {
		t.Error("an orientation for the picture before is left")
	}
}

func TestTurnAcceptsWhatCamerasDo(t *testing.T) {
	whole := encode(t, picture(image.Pt(64, 48)), 80)
	want, err := turn(t, whole, 90, false)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range cameras(t, whole) {
		if got, err := turn(t, data, 90, false); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: another picture, error %v", name, err)
		}
	}
}

func TestTurnRefusesDamage(t *testing.T) {
	whole := encode(t, picture(image.Pt(64, 48)), 80)
	for name, data := range damaged(t, whole) {
		if _, err := turn(t, data, 90, false); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for name, c := range map[string]struct {
		src     []byte
		degrees int
	}{
		"a turn by some degrees":      {whole, 45},
		"a turn by a negative angle":  {whole, -90},
		"a turn all round":            {whole, 360},
		"a picture below a block":     {encode(t, picture(image.Pt(64, 31)), 80), 180},
		"a picture of a single pixel": {encode(t, picture(image.Pt(1, 1)), 80), 0},
	} {
		if _, err := turn(t, c.src, c.degrees, false); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// FuzzTurn holds: what turns decodes, before and after, and has the size that
// Turn promises; what does not turn is an error and leaves dst as it was.
func FuzzTurn(f *testing.F) {
	whole := encode(f, picture(image.Pt(48, 40)), 60)
	for i, degrees := range []int{0, 90, 180, 270} {
		f.Add(whole, degrees, i%2 == 0)
		f.Add(sampled(f, image.Pt(40+i, 33+i), "4:2:0"), degrees, i%2 == 1)
	}
	f.Add(whole[:len(whole)-20], 90, false)
	f.Add(without(f, whole, 0xc4), 180, true)
	f.Fuzz(func(t *testing.T, src []byte, degrees int, mirror bool) {
		before, headErr := jpeg.Header(src)
		if headErr == nil && before.X*before.Y > 1<<20 {
			t.Skip("large pictures only make the fuzzer slow")
		}
		data, err := turn(t, src, degrees, mirror)
		if err != nil {
			return
		}
		after, err := jpeg.Header(data)
		if err != nil {
			t.Fatalf("turned to what has no header: %v", err)
		}
		if degrees%180 != 0 {
			after = image.Pt(after.Y, after.X)
		}
		if d := before.Sub(after); d.X < 0 || d.Y < 0 || d.X > 31 || d.Y > 31 {
			t.Fatalf("%v became %v", before, after)
		}
		if _, err := decoder(t).Decode(nil, data, 0); err != nil {
			t.Fatalf("turned to what does not decode: %v", err)
		}
	})
}

func BenchmarkTurn(b *testing.B) {
	for _, size := range sizes() {
		b.Run(fmt.Sprintf("size=%dx%d", size.X, size.Y), func(b *testing.B) {
			data := encode(b, picture(size), 85)
			e := jpeg.NewEncoder()
			defer e.Close()
			var buf []byte
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if buf, err = e.Turn(buf[:0], data, 90, false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
