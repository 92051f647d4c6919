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
	"livekiosk/camera/pixel"
)

// picture returns an image with slopes and edges in all channels.
func picture(size image.Point) *image.RGBA {
	img := image.NewRGBA(image.Rectangle{Max: size})
	for y := range size.Y {
		for x := range size.X {
			c := color.RGBA{R: byte(255 * x / size.X), G: byte(255 * y / size.Y), B: byte(128 + 64*(x/16%2)), A: 255}
			img.SetRGBA(x, y, c)
		}
	}
	return img
}

func encode(tb testing.TB, img *image.RGBA, quality int) []byte {
	tb.Helper()
	e := jpeg.NewEncoder()
	defer e.Close()
	data, err := e.Encode(nil, img, quality)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func decoder(tb testing.TB) *jpeg.Decoder {
	tb.Helper()
	d := jpeg.NewDecoder()
	tb.Cleanup(d.Close)
	return d
}

// difference returns the mean difference of the channels of two images of one
// size.
func difference(tb testing.TB, a, b *image.RGBA) float64 {
	tb.Helper()
	if a.Rect.Size() != b.Rect.Size() {
		tb.Fatalf("sizes %v and %v", a.Rect.Size(), b.Rect.Size())
	}
	sum := 0
	for i := range a.Pix {
		sum += max(int(a.Pix[i])-int(b.Pix[i]), int(b.Pix[i])-int(a.Pix[i]))
	}
	return float64(sum) / float64(len(a.Pix))
}

func TestDecodeChoosesTheSmallestScaleThatIsLargeEnough(t *testing.T) {
	for _, c := range []struct {
		size  image.Point
		short int
		want  image.Point
	}{
		{image.Pt(1280, 720), 0, image.Pt(1280, 720)},
		{image.Pt(1280, 720), 2000, image.Pt(1280, 720)},
		{image.Pt(1280, 720), 720, image.Pt(1280, 720)},
		{image.Pt(1280, 720), 361, image.Pt(1280, 720)},
		{image.Pt(1280, 720), 360, image.Pt(640, 360)},
		{image.Pt(1280, 720), 180, image.Pt(320, 180)},
		{image.Pt(1280, 720), 90, image.Pt(160, 90)},
		{image.Pt(1280, 720), 1, image.Pt(160, 90)},
		{image.Pt(720, 1280), 360, image.Pt(360, 640)},
		{image.Pt(13, 9), 5, image.Pt(7, 5)},
		{image.Pt(1, 1), 1, image.Pt(1, 1)},
	} {
		t.Run(fmt.Sprintf("%v at %d", c.size, c.short), func(t *testing.T) {
			img, err := decoder(t).Decode(nil, encode(t, picture(c.size), 80), c.short)
			if err != nil {
				t.Fatal(err)
			}
			if img.Rect != (image.Rectangle{Max: c.want}) || img.Stride != 4*c.want.X || len(img.Pix) != 4*c.want.X*c.want.Y {
				t.Errorf("got %v, stride %d, %d bytes; want %v", img.Rect, img.Stride, len(img.Pix), c.want)
			}
		})
	}
}

func TestDecodeGivesThePictureThatWasEncoded(t *testing.T) {
	want := picture(image.Pt(320, 240))
	for _, quality := range []int{75, 92} {
		got, err := decoder(t).Decode(nil, encode(t, want, quality), 0)
		if err != nil {
			t.Fatal(err)
		}
		if d := difference(t, got, want); d > 2.5 {
			t.Errorf("quality %d: mean difference %.2f levels", quality, d)
		}
	}
}

func TestDecodeAgreesWithTheStandardLibrary(t *testing.T) {
	var buf bytes.Buffer
	if err := stdjpeg.Encode(&buf, picture(image.Pt(200, 120)), &stdjpeg.Options{Quality: 90}); err != nil {
		t.Fatal(err)
	}
	std, err := stdjpeg.Decode(bytes.NewReader(buf.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	want := image.NewRGBA(std.Bounds())
	draw.Draw(want, want.Rect, std, image.Point{}, draw.Src)
	got, err := decoder(t).Decode(nil, buf.Bytes(), 0)
	if err != nil {
		t.Fatal(err)
	}
	// The library smooths chroma when it enlarges it; image/jpeg repeats it.
	if d := difference(t, got, want); d > 2.5 {
		t.Errorf("mean difference %.2f levels", d)
	}
}

func TestEncodeIsReadableByTheStandardLibrary(t *testing.T) {
	for _, c := range []struct {
		quality int
		want    image.YCbCrSubsampleRatio
	}{{75, image.YCbCrSubsampleRatio420}, {89, image.YCbCrSubsampleRatio420}, {90, image.YCbCrSubsampleRatio422}, {100, image.YCbCrSubsampleRatio422}} {
		img, err := stdjpeg.Decode(bytes.NewReader(encode(t, picture(image.Pt(65, 47)), c.quality)))
		if err != nil {
			t.Fatal(err)
		}
		ycc, ok := img.(*image.YCbCr)
		if !ok || ycc.SubsampleRatio != c.want || ycc.Rect.Size() != image.Pt(65, 47) {
			t.Errorf("quality %d: %T of %v; want %v", c.quality, img, img.Bounds(), c.want)
		}
	}
}

func TestEncodeAppends(t *testing.T) {
	e := jpeg.NewEncoder()
	defer e.Close()
	img := picture(image.Pt(32, 32))
	got, err := e.Encode([]byte("before"), img, 80)
	if err != nil {
		t.Fatal(err)
	}
	if want := append([]byte("before"), encode(t, img, 80)...); !bytes.Equal(got, want) {
		t.Errorf("got %d bytes beginning with %q; want %d", len(got), got[:8], len(want))
	}
}

func TestEncodeOfAPartOfAnImage(t *testing.T) {
	whole := picture(image.Pt(64, 64))
	part, ok := whole.SubImage(image.Rect(16, 8, 48, 40)).(*image.RGBA)
	if !ok {
		t.Fatal("no RGBA")
	}
	own := image.NewRGBA(image.Rect(0, 0, 32, 32))
	draw.Draw(own, own.Rect, part, part.Rect.Min, draw.Src)
	if !bytes.Equal(encode(t, part, 85), encode(t, own, 85)) {
		t.Error("the part and its copy give different images")
	}
}

func TestEncodeRefusesWhatIsNoImage(t *testing.T) {
	good := picture(image.Pt(16, 16))
	for name, c := range map[string]struct {
		img     *image.RGBA
		quality int
	}{
		"an empty image":          {image.NewRGBA(image.Rectangle{}), 80},
		"quality 0":               {good, 0},
		"quality 101":             {good, 101},
		"a side above the limit":  {&image.RGBA{Rect: image.Rect(0, 0, jpeg.MaxSide+1, 1), Stride: 4 * (jpeg.MaxSide + 1)}, 80},
		"fewer pixels than sides": {&image.RGBA{Pix: good.Pix[:100], Stride: good.Stride, Rect: good.Rect}, 80},
		"rows that overlap":       {&image.RGBA{Pix: good.Pix, Stride: 4, Rect: good.Rect}, 80},
	} {
		t.Run(name, func(t *testing.T) {
			e := jpeg.NewEncoder()
			defer e.Close()
			if data, err := e.Encode([]byte("x"), c.img, c.quality); err == nil || string(data) != "x" {
				t.Errorf("got %d bytes, error %v", len(data), err)
			}
		})
	}
}

// segments splits the header of a JPEG image into SOI, its marker segments,
// and the scans.
func segments(tb testing.TB, data []byte) (out [][]byte) {
	tb.Helper()
	out = append(out, data[:2])
	p := 2
	for data[p+1] != 0xda {
		n := 2 + int(data[p+2])<<8 + int(data[p+3])
		out = append(out, data[p:p+n])
		p += n
	}
	return append(out, data[p:])
}

// without returns data without the segments of a marker.
func without(tb testing.TB, data []byte, marker byte) []byte {
	tb.Helper()
	var out []byte
	for _, s := range segments(tb, data) {
		if s[1] != marker {
			out = append(out, s...)
		}
	}
	return out
}

// cameras returns the same picture as whole, as cameras may write it.
func cameras(tb testing.TB, whole []byte) map[string][]byte {
	tb.Helper()
	body, end := whole[:len(whole)-2], whole[len(whole)-2:]
	return map[string][]byte{
		"a byte before the end marker":     slices.Concat(body, []byte{0}, end),
		"padding before the end marker":    slices.Concat(body, bytes.Repeat([]byte{0x55}, 40), end),
		"zeros after the end marker":       slices.Concat(whole, make([]byte, 500)),
		"no Huffman tables":                without(tb, whole, 0xc4),
		"fill bytes before a marker":       slices.Concat(whole[:2], []byte{0xff, 0xff}, whole[2:]),
		"an application segment of AVI":    slices.Concat(whole[:2], []byte{0xff, 0xe0, 0, 8, 'A', 'V', 'I', '1', 0, 0}, whole[2:]),
		"a comment that looks like a scan": slices.Concat(whole[:2], []byte{0xff, 0xfe, 0, 6, 0xff, 0xda, 0xff, 0xd9}, whole[2:]),
	}
}

func TestDecodeAcceptsWhatCamerasDo(t *testing.T) {
	whole := encode(t, picture(image.Pt(64, 48)), 80)
	want, err := decoder(t).Decode(nil, whole, 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range cameras(t, whole) {
		t.Run(name, func(t *testing.T) {
			got, err := decoder(t).Decode(nil, data, 0)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Pix, want.Pix) {
				t.Error("the picture is another")
			}
		})
	}
}

// damaged returns ways in which whole, of 64x48 pixels, may be broken, among
// them every length at which a segment of its header ends or is cut in the
// middle, and cuts all along its scan.
func damaged(tb testing.TB, whole []byte) map[string][]byte {
	tb.Helper()
	frame := bytes.Index(whole, []byte{0xff, 0xc0})
	change := func(at int, to ...byte) []byte {
		data := bytes.Clone(whole)
		copy(data[at:], to)
		return data
	}
	scan := whole[len(whole)-2-60:]
	broken := bytes.Clone(whole)
	for i := range 20 {
		broken[len(whole)-len(scan)+i] ^= 0x5a
	}
	all := map[string][]byte{
		"nothing":                       nil,
		"text":                          []byte("not a picture at all"),
		"a start marker only":           {0xff, 0xd8, 0xff, 0xd9},
		"scan data overwritten":         broken,
		"a width above the limit":       change(frame+7, 0x10, 0x01),
		"a height above the limit":      change(frame+5, 0xff, 0xff),
		"no height":                     change(frame+5, 0, 0),
		"a height of more than is sent": change(frame+5, 0x0f, 0xff),
		"lossless JPEG":                 change(frame+1, 0xc3),
		"12 bits per sample":            change(frame+4, 12),
		"no quantisation tables":        without(tb, whole, 0xdb),
		"no frame header":               without(tb, whole, 0xc0),
		"two frame headers":             slices.Concat(whole[:frame], whole[frame:frame+19], whole[frame:]),
		"padding in the middle":         slices.Concat(whole[:len(whole)-len(scan)], []byte{0xff, 0xd9}, scan),
		"no scan data":                  slices.Concat(whole[:len(whole)-len(scan)], []byte{0xff, 0xd9}),
		"the scan zeroed from here on":  slices.Concat(whole[:len(whole)-len(scan)], make([]byte, len(scan)-2), []byte{0xff, 0xd9}),
	}
	at := 0
	for _, s := range segments(tb, whole) {
		if s[1] == 0xda {
			for n := 1; n < len(s)-4; n += len(s)/40 + 1 {
				all[fmt.Sprintf("cut after %d bytes of the scan", n)] = whole[:at+n]
				all[fmt.Sprintf("cut after %d bytes of the scan, with an end", n)] = slices.Concat(whole[:at+n], []byte{0xff, 0xd9})
			}
			for left := 1; left < 8; left++ {
				all[fmt.Sprintf("%d bytes too few", left)] = whole[:len(whole)-left]
			}
			break
		}
		for _, n := range []int{0, 1, len(s) / 2, len(s) - 1} {
			all[fmt.Sprintf("cut after %d bytes of segment %#x at %d", n, s[1], at)] = whole[:at+n]
		}
		at += len(s)
	}
	return all
}

func TestDecodeRefusesDamageAndLeavesDstAsItWas(t *testing.T) {
	whole := encode(t, picture(image.Pt(64, 48)), 80)
	for name, data := range damaged(t, whole) {
		t.Run(name, func(t *testing.T) {
			dst := image.NewRGBA(image.Rect(0, 0, 64, 48))
			for i := range dst.Pix {
				dst.Pix[i] = byte(i)
			}
			before := *dst
			before.Pix = bytes.Clone(dst.Pix)
			d := decoder(t)
			if _, err := d.Decode(dst, data, 0); err == nil {
				t.Fatal("no error")
			}
			if !bytes.Equal(dst.Pix, before.Pix) || dst.Rect != before.Rect || dst.Stride != before.Stride {
				t.Error("dst changed")
			}
			if _, err := d.Decode(dst, whole, 0); err != nil {
				t.Errorf("the next picture: %v", err)
			}
		})
	}
}

func TestDecodeDoesNotDependOnEarlierPictures(t *testing.T) {
	img := picture(image.Pt(64, 48))
	bare := without(t, encode(t, img, 80), 0xc4)
	want, err := decoder(t).Decode(nil, bare, 0)
	if err != nil {
		t.Fatal(err)
	}
	// Other Huffman tables, that a reused handle would remember.
	other := bytes.Clone(encode(t, img, 80))
	at := bytes.Index(other, []byte{0xff, 0xc4})
	values := other[at+5+16 : at+5+16+12]
	slices.Reverse(values)
	d := decoder(t)
	_, _ = d.Decode(nil, other, 0) // what it is does not matter
	got, err := d.Decode(nil, bare, 0)
	if err != nil || !bytes.Equal(got.Pix, want.Pix) {
		t.Errorf("after another picture's tables: %v, another picture", err)
	}
}

func TestHeaderTellsTheSize(t *testing.T) {
	for _, size := range []image.Point{{1, 1}, {640, 480}, {33, 4096}} {
		if got, err := jpeg.Header(encode(t, image.NewRGBA(image.Rectangle{Max: size}), 50)); err != nil || got != size {
			t.Errorf("Header() = %v, %v; want %v", got, err, size)
		}
	}
	if _, err := jpeg.Header([]byte("GIF89a")); err == nil {
		t.Error("a GIF has a header")
	}
}

func TestDecodeReusesMemoryThatIsEnough(t *testing.T) {
	data := encode(t, picture(image.Pt(64, 48)), 80)
	dst := image.NewRGBA(image.Rect(0, 0, 100, 100))
	got, err := decoder(t).Decode(dst, data, 0)
	if err != nil || got != dst {
		t.Errorf("Decode() did not use dst: %v", err)
	}
	small := image.NewRGBA(image.Rect(0, 0, 4, 4))
	if got, err := decoder(t).Decode(small, data, 0); err != nil || got == small || small.Rect.Dx() != 4 {
		t.Errorf("Decode() into too little memory: %v", err)
	}
}

func TestDecodeEncodeAndTurnDoNotAllocate(t *testing.T) {
	img := picture(image.Pt(640, 480))
	data := encode(t, img, 80)
	d, e := decoder(t), jpeg.NewEncoder()
	defer e.Close()
	dst, luma, buf := image.NewRGBA(img.Rect), image.NewGray(img.Rect), make([]byte, 0, 2*len(data))
	for name, call := range map[string]func() error{
		"Decode": func() error { _, err := d.Decode(dst, data, 0); return err },
		"Encode": func() error { _, err := e.Encode(buf, img, 80); return err },
		"Luma":   func() error { return d.Luma(luma, dst) },
		"Turn":   func() error { _, err := e.Turn(buf, data, 90, true); return err },
	} {
		if n := testing.AllocsPerRun(5, func() {
			if err := call(); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// noisy returns n bytes, the same each time.
func noisy(n int) []byte {
	b, v := make([]byte, n), uint32(7)
	for i := range b {
		v = v*1664525 + 1013904223
		b[i] = byte(v >> 24)
	}
	return b
}

// TestLumaIsThatOfThePixelPackage compares every size up to some vectors, at
// any offset, and that nothing beside the image is written.
func TestLumaIsThatOfThePixelPackage(t *testing.T) {
	whole := &image.RGBA{Pix: noisy(4 * 90 * 9), Stride: 4 * 90, Rect: image.Rect(0, 0, 90, 9)}
	d := decoder(t)
	for w := 1; w <= 80; w++ {
		r := image.Rect(w%7, w%3, w%7+w, 7)
		src, ok := whole.SubImage(r).(*image.RGBA)
		if !ok {
			t.Fatal("no RGBA")
		}
		want, got := image.NewGray(whole.Rect), image.NewGray(whole.Rect)
		for img, luma := range map[*image.Gray]func(dst *image.Gray) error{
			want: func(dst *image.Gray) error { return pixel.Turn(nil, dst, src, pixel.Orientation{}) },
			got:  func(dst *image.Gray) error { return d.Luma(dst, src) },
		} {
			part, ok := img.SubImage(r).(*image.Gray)
			if !ok {
				t.Fatal("no Gray")
			}
			if err := luma(part); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got.Pix, want.Pix) {
			t.Fatalf("%d pixels wide: another luma", w)
		}
	}
}

func TestLumaRefusesWhatDoesNotFit(t *testing.T) {
	r := image.Rect(0, 0, 8, 4)
	good, room := image.NewRGBA(r), image.NewGray(r)
	for name, c := range map[string]struct {
		dst *image.Gray
		src *image.RGBA
	}{
		"nothing":               {&image.Gray{}, &image.RGBA{}},
		"another size":          {image.NewGray(image.Rect(0, 0, 4, 8)), good},
		"too few bytes of src":  {room, &image.RGBA{Pix: good.Pix[:127], Stride: 32, Rect: r}},
		"too few bytes of dst":  {&image.Gray{Pix: room.Pix[:31], Stride: 8, Rect: r}, good},
		"rows of src that meet": {room, &image.RGBA{Pix: good.Pix, Stride: 28, Rect: r}},
		"rows of dst that meet": {&image.Gray{Pix: room.Pix, Stride: 7, Rect: r}, good},
	} {
		if err := decoder(t).Luma(c.dst, c.src); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestNoPixelsStayBehind(t *testing.T) {
	img := picture(image.Pt(64, 48))
	data := encode(t, img, 80)
	d, e := decoder(t), jpeg.NewEncoder()
	defer e.Close()
	erased := func(what string, scratch []byte) {
		t.Helper()
		if len(scratch) == 0 || slices.ContainsFunc(scratch, func(b byte) bool { return b != 0 }) {
			t.Errorf("%s: %d bytes of scratch memory, not all erased", what, len(scratch))
		}
	}
	larger := picture(image.Pt(80, 80))
	larger.Pix = larger.Pix[:4] // what lies beyond counts, too
	if _, err := d.Decode(larger, data, 0); err != nil {
		t.Fatal(err)
	}
	erased("the memory that the picture before was in", d.Scratch())
	if _, err := d.Decode(nil, data[:len(data)-8], 0); err == nil {
		t.Fatal("a picture without its end is no error")
	}
	erased("after damage", d.Scratch())
	if _, err := e.Encode(nil, img, 80); err != nil {
		t.Fatal(err)
	}
	erased("encoder", e.Scratch())
	if _, err := e.Turn(nil, data, 90, false); err != nil {
		t.Fatal(err)
	}
	erased("turner", e.Scratch())
	if _, err := e.Turn(nil, data[:len(data)-8], 90, false); err == nil {
		t.Fatal("a picture without its end is turned")
	}
	erased("turner, after damage", e.Scratch())
}

func TestClosedIsAnErrorAndNoCrash(t *testing.T) {
	data := encode(t, picture(image.Pt(16, 16)), 80)
	d, e := jpeg.NewDecoder(), jpeg.NewEncoder()
	for range 2 {
		d.Close()
		e.Close()
	}
	if _, err := d.Decode(nil, data, 0); err == nil {
		t.Error("a closed decoder decodes")
	}
	if _, err := e.Encode(nil, picture(image.Pt(16, 16)), 80); err == nil {
		t.Error("a closed encoder encodes")
	}
	if _, err := e.Turn(nil, encode(t, picture(image.Pt(32, 32)), 80), 90, false); err == nil {
		t.Error("a closed encoder turns")
	}
}

// FuzzDecode holds: whatever the bytes, there is a whole opaque image of the
// size that the header promised, or an error and nothing written; the same
// for a decoder that has seen other images; and a picture survives encoding.
func FuzzDecode(f *testing.F) {
	whole := encode(f, picture(image.Pt(24, 16)), 60)
	f.Add(whole, 0)
	f.Add(whole[:len(whole)/2], 8)
	f.Add(without(f, whole, 0xc4), 4)
	f.Add([]byte{}, 1)
	for i, s := range segments(f, whole) {
		if s[1] == 0xc4 { // some of the tables: a used handle once supplied the rest
			f.Add(slices.Concat(slices.Delete(segments(f, whole), i, i+1)...), 8)
		}
	}
	used := jpeg.NewDecoder()
	f.Fuzz(func(t *testing.T, data []byte, short int) {
		size, headErr := jpeg.Header(data)
		if headErr == nil && size.X*size.Y > 1<<20 {
			t.Skip("large pictures only make the fuzzer slow")
		}
		dst := image.NewRGBA(image.Rect(0, 0, 24, 16))
		fresh := jpeg.NewDecoder()
		defer fresh.Close()
		img, err := fresh.Decode(dst, data, short)
		again, againErr := used.Decode(nil, data, short)
		if (err == nil) != (againErr == nil) {
			t.Fatalf("a fresh decoder says %v, a used one %v", err, againErr)
		}
		if err != nil {
			if slices.ContainsFunc(dst.Pix, func(b byte) bool { return b != 0 }) {
				t.Fatalf("dst changed although %v", err)
			}
			return
		}
		if headErr != nil {
			t.Fatalf("decoded although %v", headErr)
		}
		if !bytes.Equal(img.Pix, again.Pix) {
			t.Fatal("a used decoder gives another picture")
		}
		got := img.Rect.Size()
		if got.X > size.X || got.Y > size.Y || min(got.X, got.Y) < min(short, size.X, size.Y) {
			t.Fatalf("%v of %v at %d", got, size, short)
		}
		for i := 3; i < len(img.Pix); i += 4 {
			if img.Pix[i] != 0xff {
				t.Fatalf("alpha at byte %d is %#x", i, img.Pix[i])
			}
		}
	})
}

// sizes are those of ordinary cameras.
func sizes() []image.Point { return []image.Point{{640, 480}, {1280, 720}, {1920, 1080}} }

func BenchmarkDecode(b *testing.B) {
	for _, size := range sizes() {
		data := encode(b, picture(size), 85)
		for _, part := range []int{1, 2, 4, 8} {
			b.Run(fmt.Sprintf("size=%dx%d/scale=1_%d", size.X, size.Y, part), func(b *testing.B) {
				d := decoder(b)
				var dst *image.RGBA
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				for b.Loop() {
					var err error
					if dst, err = d.Decode(dst, data, size.Y/part); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkStandard is what image/jpeg takes for the same.
func BenchmarkStandard(b *testing.B) {
	for _, size := range sizes() {
		data := encode(b, picture(size), 85)
		b.Run(fmt.Sprintf("decode/size=%dx%d", size.X, size.Y), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				img, err := stdjpeg.Decode(bytes.NewReader(data))
				if err != nil {
					b.Fatal(err)
				}
				rgba := image.NewRGBA(img.Bounds())
				draw.Draw(rgba, rgba.Rect, img, image.Point{}, draw.Src)
			}
		})
		b.Run(fmt.Sprintf("encode/size=%dx%d", size.X, size.Y), func(b *testing.B) {
			img := picture(size)
			var buf bytes.Buffer
			b.SetBytes(int64(len(img.Pix)))
			b.ReportAllocs()
			for b.Loop() {
				buf.Reset()
				if err := stdjpeg.Encode(&buf, img, &stdjpeg.Options{Quality: 85}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, size := range sizes() {
		b.Run(fmt.Sprintf("size=%dx%d", size.X, size.Y), func(b *testing.B) {
			img := picture(size)
			e := jpeg.NewEncoder()
			defer e.Close()
			var buf []byte
			b.SetBytes(int64(len(img.Pix)))
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if buf, err = e.Encode(buf[:0], img, 85); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
