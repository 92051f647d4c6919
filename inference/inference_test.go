package inference_test

import (
	"context"
	"errors"
	"image"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"livekiosk/camera"
	"livekiosk/camera/jpeg"
	"livekiosk/camera/pixel"
	"livekiosk/inference"
	"livekiosk/inference/inferencetest"
	"livekiosk/kiosk"
)

// A portrait is a public-domain picture of one person who looks at the camera.
type portrait struct {
	name string
	face image.Point // its centre
	size float64     // the face's width, pixels
	*image.RGBA
}

var loaded = sync.OnceValues(func() ([]portrait, error) {
	all := []portrait{
		{name: "astronaut.png", face: image.Pt(225, 128), size: 102},
		{name: "grace_hopper.jpg", face: image.Pt(266, 243), size: 198},
	}
	for i, p := range all {
		img, err := inferencetest.Load(filepath.Join("..", "camera", "replay", "portraits", p.name))
		if err != nil {
			return nil, err
		}
		all[i].RGBA = img
	}
	return all, nil
})

func portraits(tb testing.TB) []portrait {
	tb.Helper()
	all, err := loaded()
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

// placed returns a picture with p's face at a point, width pixels wide and
// turned clockwise by degrees.
func (p portrait) placed(size, at image.Point, width, degrees float64) *image.RGBA {
	scale := width / p.size
	dx := float64(p.Rect.Dx())/2 - float64(p.face.X)
	dy := float64(p.Rect.Dy())/2 - float64(p.face.Y)
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	centre := image.Pt(at.X+int(scale*(dx*cos-dy*sin)), at.Y+int(scale*(dx*sin+dy*cos)))
	return inferencetest.Place(p.RGBA, size, 120, centre, scale, degrees)
}

func TestPortraits(t *testing.T) {
	models := inferencetest.Models(t)
	for _, p := range portraits(t) {
		t.Run(p.name, func(t *testing.T) {
			a := inferencetest.Assess(t, models, p.RGBA)
			if a.Frame != 1 || a.Size != p.Rect.Size() || a.Faces != 1 || a.Second != 0 {
				t.Fatalf("frame %d of %v has %d faces, second %v: want one", a.Frame, a.Size, a.Faces, a.Second)
			}
			if a.Face.Dx() != a.Face.Dy() {
				t.Errorf("box %v is not square", a.Face)
			}
			for _, test := range []struct {
				what      string
				got       float32
				low, high float64
			}{
				{"box centre x", float32(a.Face.Min.X+a.Face.Max.X) / 2, float64(p.face.X) - 5, float64(p.face.X) + 5},
				{"box centre y", float32(a.Face.Min.Y+a.Face.Max.Y) / 2, float64(p.face.Y) - 5, float64(p.face.Y) + 5},
				{"box width", float32(a.Face.Dx()), 0.93 * p.size, 1.07 * p.size},
				// Eyes are a little less than half a face apart.
				{"inter-eye distance", a.IED, 0.38 * p.size, 0.5 * p.size},
				{"yaw", a.Yaw, -5, 5},
				{"pitch", a.Pitch, -15, 5},
				{"roll", a.Roll, -6, 6},
				{"eyes open", a.EyesOpen, 0.05, 0.13},
				{"mouth open", a.MouthOpen, 0, 0.15},
				{"luma", a.Luma, 60, 140},
				{"face luma", a.FaceLuma, 130, 180},
				{"under-exposed", a.Under, 0, 0.03},
				{"over-exposed", a.Over, 0, 0.01},
				{"unevenness", a.Uneven, 0.02, 0.35},
				{"background", a.Background, 70, 170},
				{"sharpness", a.Sharpness, 100, 2000},
				{"live", a.Live, 0.9, 1},
			} {
				if !(float64(test.got) >= test.low && float64(test.got) <= test.high) {
					t.Errorf("%s is %v, want %v to %v", test.what, test.got, test.low, test.high)
				}
			}
			if !a.LiveUsable {
				t.Error("live is not usable")
			}
		})
	}
}

func TestMirroredFacesAreMirrored(t *testing.T) {
	models := inferencetest.Models(t)
	for _, p := range portraits(t) {
		t.Run(p.name, func(t *testing.T) {
			img := p.placed(image.Pt(480, 360), image.Pt(260, 190), 160, 0)
			a, b := inferencetest.Assess(t, models, img), inferencetest.Assess(t, models, inferencetest.Mirror(img))
			if d := a.Yaw + b.Yaw; math.Abs(float64(d)) > 3 {
				t.Errorf("yaw %v became %v", a.Yaw, b.Yaw)
			}
			if d := a.Roll + b.Roll; math.Abs(float64(d)) > 3 {
				t.Errorf("roll %v became %v", a.Roll, b.Roll)
			}
			if d := a.Pitch - b.Pitch; math.Abs(float64(d)) > 3 {
				t.Errorf("pitch %v became %v", a.Pitch, b.Pitch)
			}
			if d := a.Face.Min.X + b.Face.Max.X - 480; max(d, -d) > 8 {
				t.Errorf("box %v became %v", a.Face, b.Face)
			}
		})
	}
}

func TestTiltedHeadsAreTilted(t *testing.T) {
	models := inferencetest.Models(t)
	for _, p := range portraits(t) {
		t.Run(p.name, func(t *testing.T) {
			size, at := image.Pt(400, 360), image.Pt(200, 180)
			straight := inferencetest.Assess(t, models, p.placed(size, at, 150, 0))
			for _, degrees := range []float64{-25, -15, 15} {
				a := inferencetest.Assess(t, models, p.placed(size, at, 150, degrees))
				if a.Faces != 1 {
					t.Errorf("turned by %v there are %d faces", degrees, a.Faces)
					continue
				}
				if d := float64(a.Roll-straight.Roll) - degrees; math.Abs(d) > 4 {
					t.Errorf("turned by %v roll goes from %v to %v", degrees, straight.Roll, a.Roll)
				}
				if d := a.Yaw - straight.Yaw; math.Abs(float64(d)) > 5 {
					t.Errorf("turned by %v yaw goes from %v to %v", degrees, straight.Yaw, a.Yaw)
				}
			}
		})
	}
}

func TestFacesNearFarAndAside(t *testing.T) {
	models := inferencetest.Models(t)
	for _, test := range []struct {
		name     string
		size, at image.Point
		width    float64
		usable   bool
	}{
		{"far, in the middle of a wide picture", image.Pt(640, 360), image.Pt(320, 180), 50, false},
		{"far, at the left", image.Pt(640, 360), image.Pt(60, 180), 64, true},
		{"far, at the right", image.Pt(640, 360), image.Pt(580, 180), 64, true},
		{"far, between two squares", image.Pt(640, 360), image.Pt(360, 120), 64, true},
		{"far, in a tall picture", image.Pt(360, 640), image.Pt(180, 520), 64, true},
		{"at the far pose", image.Pt(640, 360), image.Pt(320, 180), 110, true},
		{"at the near pose", image.Pt(640, 360), image.Pt(320, 180), 190, true},
		{"too near", image.Pt(640, 360), image.Pt(320, 180), 290, true},
		{"in a tall picture", image.Pt(360, 640), image.Pt(180, 260), 170, true},
		{"in a square picture", image.Pt(360, 360), image.Pt(180, 180), 170, true},
		{"in a picture smaller than the tensor", image.Pt(120, 90), image.Pt(60, 45), 50, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := portraits(t)[1]
			a := inferencetest.Assess(t, models, p.placed(test.size, test.at, test.width, 0))
			if a.Faces != 1 {
				t.Fatalf("%d faces, want 1", a.Faces)
			}
			if w := float64(a.Face.Dx()); math.Abs(w-test.width) > 0.1*test.width {
				t.Errorf("face is %v wide, want %v", w, test.width)
			}
			centre := a.Face.Min.Add(a.Face.Max).Div(2)
			if d := math.Hypot(float64(centre.X-test.at.X), float64(centre.Y-test.at.Y)); d > 0.1*test.width {
				t.Errorf("face is at %v, want %v", centre, test.at)
			}
			if a.LiveUsable != test.usable || !a.LiveUsable && a.Live != 0 {
				t.Errorf("live is %v, usable %v, want usable %v", a.Live, a.LiveUsable, test.usable)
			}
			if a.LiveUsable && a.Live < 0.9 {
				t.Errorf("live is %v, want above 0.9", a.Live)
			}
		})
	}
}

func TestPrintsAreNotLive(t *testing.T) {
	models := inferencetest.Models(t)
	for _, p := range portraits(t) {
		t.Run(p.name, func(t *testing.T) {
			img := p.placed(image.Pt(400, 360), image.Pt(200, 170), 150, 0)
			if a := inferencetest.Assess(t, models, img); !a.LiveUsable || a.Live <= 0.9 {
				t.Errorf("before it is printed: live %v, usable %v", a.Live, a.LiveUsable)
			}
			for seed := range uint64(2) {
				a := inferencetest.Assess(t, models, inferencetest.Print(img, seed))
				if a.Faces != 1 || !a.LiveUsable || a.Live >= 0.3 {
					t.Errorf("print %d: %d faces, live %v, usable %v: want one face and live under 0.3", seed, a.Faces, a.Live, a.LiveUsable)
				}
			}
		})
	}
}

func TestPicturesWithoutAFace(t *testing.T) {
	models := inferencetest.Models(t)
	size := image.Pt(640, 360)
	for _, test := range []struct {
		name string
		img  *image.RGBA
		luma float32
	}{
		{"black", inferencetest.Plain(size, 0), 0},
		{"grey", inferencetest.Plain(size, 128), 128},
		{"white", inferencetest.Plain(size, 255), 255},
		{"noise", inferencetest.Noise(size, 1), 127.5},
		{"one pixel", inferencetest.Plain(image.Pt(1, 1), 9), 9},
		{"one row", inferencetest.Plain(image.Pt(1000, 1), 9), 9},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := inferencetest.Assess(t, models, test.img)
			if math.Abs(float64(a.Luma-test.luma)) > 12 {
				t.Errorf("luma is %v, want %v", a.Luma, test.luma)
			}
			a.Luma = 0
			if want := (kiosk.Assessment{Frame: 1, Size: test.img.Rect.Size()}); a != want {
				t.Errorf("got %+v, want nothing but the luma", a)
			}
		})
	}
}

func TestSeveralFaces(t *testing.T) {
	models := inferencetest.Models(t)
	ps := portraits(t)
	img := ps[1].placed(image.Pt(640, 360), image.Pt(170, 180), 150, 0)
	other := ps[0].placed(image.Pt(220, 300), image.Pt(110, 150), 100, 0)
	for y := range 300 {
		copy(img.Pix[img.PixOffset(400, y+30):], other.Pix[y*other.Stride:][:other.Stride])
	}
	a := inferencetest.Assess(t, models, img)
	if a.Faces != 2 {
		t.Fatalf("%d faces, want 2", a.Faces)
	}
	if centre := a.Face.Min.Add(a.Face.Max).Div(2); centre.X > 250 || a.Face.Dx() < 130 {
		t.Errorf("the largest face is %v, want that at the left", a.Face)
	}
	if want := 100.0 * 100 / (150 * 150); math.Abs(float64(a.Second)-want) > 0.15 {
		t.Errorf("second is %v, want about %.2f", a.Second, want)
	}
	if !a.LiveUsable || a.Live < 0.9 { // of the largest: the other may just be walking past
		t.Errorf("live is %v, usable %v, with two faces", a.Live, a.LiveUsable)
	}
	// The mesh must be that of the larger face, not of the last looked at.
	alone := inferencetest.Assess(t, models, ps[1].placed(image.Pt(640, 360), image.Pt(170, 180), 150, 0))
	if math.Abs(float64(a.IED-alone.IED)) > 3 || math.Abs(float64(a.FaceLuma-alone.FaceLuma)) > 3 {
		t.Errorf("IED %v and luma %v, alone %v and %v", a.IED, a.FaceLuma, alone.IED, alone.FaceLuma)
	}
}

func TestInTheDarkLiveIsNotMeasured(t *testing.T) {
	models := inferencetest.Models(t)
	img := inferencetest.Gain(portraits(t)[1].placed(image.Pt(400, 360), image.Pt(200, 180), 150, 0), 0.05)
	a := inferencetest.Assess(t, models, img)
	if a.Faces != 1 || a.FaceLuma >= 40 {
		t.Fatalf("%d faces of luma %v, want one below 40", a.Faces, a.FaceLuma)
	}
	if a.LiveUsable || a.Live != 0 {
		t.Errorf("live is %v, usable %v", a.Live, a.LiveUsable)
	}
	if a.Under < 0.2 {
		t.Errorf("only %v of the face is dark", a.Under)
	}
}

func TestLightAndFocusAreSeen(t *testing.T) {
	models := inferencetest.Models(t)
	img := portraits(t)[1].placed(image.Pt(400, 360), image.Pt(200, 180), 150, 0)
	as := inferencetest.Assess(t, models, img)
	bright := inferencetest.Assess(t, models, inferencetest.Gain(img, 4))
	if bright.Over <= as.Over+0.05 || bright.FaceLuma <= as.FaceLuma {
		t.Errorf("four times the light: over %v after %v, luma %v after %v", bright.Over, as.Over, bright.FaceLuma, as.FaceLuma)
	}
	last := as.Sharpness
	for _, sigma := range []float64{1, 3} {
		a := inferencetest.Assess(t, models, inferencetest.Blur(img, sigma))
		if a.Sharpness > last/2 {
			t.Errorf("blurred by %v sharpness is %v after %v", sigma, a.Sharpness, last)
		}
		last = a.Sharpness
	}
}

// frame returns img as a camera's MJPEG frame.
func frame(tb testing.TB, id kiosk.FrameID, img *image.RGBA, release func()) *kiosk.Frame {
	tb.Helper()
	e := jpeg.NewEncoder()
	defer e.Close()
	data, err := e.Encode(nil, img, 92)
	if err != nil {
		tb.Fatal(err)
	}
	return kiosk.NewFrame(kiosk.Frame{ID: id, Format: kiosk.MJPEG, Size: img.Rect.Size(), Data: data}, release)
}

func decoder(tb testing.TB) *camera.Decoder {
	tb.Helper()
	d := jpeg.NewDecoder()
	tb.Cleanup(d.Close)
	return &camera.Decoder{JPEG: d}
}

func TestCoordinatesAreThoseOfTheWholeFrame(t *testing.T) {
	options := inferencetest.Models(t)
	options.Decoder = decoder(t)
	analyser, err := inference.New(options)
	if err != nil {
		t.Fatal(err)
	}
	p := portraits(t)[1]
	small := inferencetest.Assess(t, inferencetest.Models(t), p.placed(image.Pt(640, 360), image.Pt(250, 170), 120, 0))
	large, err := analyser.Assess(frame(t, 7, p.placed(image.Pt(1280, 720), image.Pt(500, 340), 240, 0), nil))
	if err != nil {
		t.Fatal(err)
	}
	if large.Frame != 7 || large.Size != image.Pt(1280, 720) || large.Faces != 1 || !large.LiveUsable {
		t.Fatalf("got %+v", large)
	}
	for what, pair := range map[string][2]float64{
		"left edge":  {float64(large.Face.Min.X), 2 * float64(small.Face.Min.X)},
		"upper edge": {float64(large.Face.Min.Y), 2 * float64(small.Face.Min.Y)},
		"width":      {float64(large.Face.Dx()), 2 * float64(small.Face.Dx())},
		"IED":        {float64(large.IED), 2 * float64(small.IED)},
	} {
		if math.Abs(pair[0]-pair[1]) > 8 {
			t.Errorf("%s is %v, want %v", what, pair[0], pair[1])
		}
	}
}

func TestAssessAllocatesNothing(t *testing.T) {
	options := inferencetest.Models(t)
	options.Decoder = decoder(t)
	options.Skin = func() bool { return true }
	analyser, err := inference.New(options)
	if err != nil {
		t.Fatal(err)
	}
	p := portraits(t)[1]
	for name, img := range map[string]*image.RGBA{
		"a face":         p.placed(image.Pt(960, 720), image.Pt(480, 360), 300, 0),
		"nobody":         inferencetest.Plain(image.Pt(1280, 720), 99),
		"a distant face": p.placed(image.Pt(1280, 720), image.Pt(300, 360), 120, 0),
	} {
		f := frame(t, 1, img, nil)
		if n := testing.AllocsPerRun(3, func() {
			if _, err := analyser.Assess(f); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations per frame, decoding included, want none", name, n)
		}
	}
}

// A model that behaves as the test says, behind the tensors of a real one.
type model struct {
	inference.Model
	err   error
	alter func(i int, out []float32)
}

func (m model) Run() error {
	if m.err != nil {
		return m.err
	}
	return m.Model.Run()
}

func (m model) Output(i int) []float32 {
	out := slices.Clone(m.Model.Output(i))
	if m.alter != nil {
		m.alter(i, out)
	}
	return out
}

func TestWhatIsNotToBeTrustedIsNoFace(t *testing.T) {
	img := portraits(t)[1].placed(image.Pt(400, 360), image.Pt(200, 180), 150, 0)
	for _, test := range []struct {
		name  string
		alter func(*inference.Options)
	}{
		{"the landmark model sees no face", func(o *inference.Options) {
			o.Landmarks = model{Model: o.Landmarks, alter: func(_ int, out []float32) {
				if len(out) == 1 {
					out[0] = -1
				}
			}}
		}},
		{"points that are no numbers", func(o *inference.Options) {
			o.Landmarks = model{Model: o.Landmarks, alter: func(_ int, out []float32) {
				if len(out) > 1 {
					out[77] = float32(math.NaN())
				}
			}}
		}},
		{"boxes that are no numbers", func(o *inference.Options) {
			o.Detector = model{Model: o.Detector, alter: func(_ int, out []float32) {
				if len(out) > 1000 {
					for i := range out {
						out[i] = float32(math.Inf(1))
					}
				}
			}}
		}},
		{"scores that are no numbers", func(o *inference.Options) {
			o.Detector = model{Model: o.Detector, alter: func(_ int, out []float32) {
				if len(out) < 1000 {
					for i := range out {
						out[i] = float32(math.NaN())
					}
				}
			}}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			options := inferencetest.Models(t)
			test.alter(&options)
			a := inferencetest.Assess(t, options, img)
			a.Luma = 0
			if want := (kiosk.Assessment{Frame: 1, Size: img.Rect.Size()}); a != want {
				t.Errorf("got %+v, want no face", a)
			}
		})
	}
}

func TestNewReportsWhatDoesNotFit(t *testing.T) {
	good := inferencetest.Models(t)
	good.Decoder = &inferencetest.Still{}
	if _, err := inference.New(good); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, want string
		alter      func(*inference.Options)
	}{
		{"no detector", "no detector", func(o *inference.Options) { o.Detector = nil }},
		{"no landmarks", "no landmark", func(o *inference.Options) { o.Landmarks = nil }},
		{"no PAD", "no PAD", func(o *inference.Options) { o.PAD = nil }},
		{"no decoder", "no decoder", func(o *inference.Options) { o.Decoder = nil }},
		{"another input", "detector: input has 110592 values, want 49152", func(o *inference.Options) { o.Detector = o.Landmarks }},
		{"other outputs, though the input fits", "PAD: output 0 (logits) has 512 values, want 3", func(o *inference.Options) { o.PAD = o.Detector }},
		{"a landmark model with other points", "landmarks: output 0 (points) has 1405 values, want 1404", func(o *inference.Options) {
			o.Landmarks = longer{o.Landmarks}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			options := good
			test.alter(&options)
			if _, err := inference.New(options); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error that tells %q", err, test.want)
			}
		})
	}
}

// longer gives one value more than the model behind it.
type longer struct{ inference.Model }

func (l longer) Output(i int) []float32 { return append(slices.Clone(l.Model.Output(i)), 0) }

func TestRun(t *testing.T) {
	options := inferencetest.Models(t)
	options.Decoder = decoder(t)
	img := portraits(t)[1].placed(image.Pt(400, 360), image.Pt(200, 180), 150, 0)
	broken := errors.New("broken")

	// outcome of a run over good, damaged and good frames.
	type outcome struct {
		put      []kiosk.FrameID
		released int
		skipped  uint64
		err      error
	}
	run := func(t *testing.T, o inference.Options, putErr error) outcome {
		t.Helper()
		a, err := inference.New(o)
		if err != nil {
			t.Fatal(err)
		}
		var got outcome
		release := func() { got.released++ }
		damaged := kiosk.NewFrame(kiosk.Frame{ID: 2, Format: kiosk.MJPEG, Size: image.Pt(400, 360), Data: []byte("not a JPEG")}, release)
		frames := []*kiosk.Frame{frame(t, 1, img, release), damaged, frame(t, 3, img, release)}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		take := func(ctx context.Context) (*kiosk.Frame, error) {
			if len(frames) == 0 {
				cancel()
				return nil, context.Cause(ctx)
			}
			f := frames[0]
			frames = frames[1:]
			return f, nil
		}
		put := func(_ context.Context, a kiosk.Assessment, f *kiosk.Frame) error {
			if a.Frame != f.ID || a.Faces != 1 {
				t.Errorf("frame %d comes with the assessment of %d: %d faces", f.ID, a.Frame, a.Faces)
			}
			if f.Data == nil {
				t.Errorf("frame %d was released before it was passed on", f.ID)
			}
			got.put = append(got.put, f.ID)
			return putErr
		}
		got.err = a.Run(ctx, take, put)
		got.skipped = a.Skipped()
		return got
	}

	t.Run("frames are passed on, a damaged one is released and counted", func(t *testing.T) {
		got := run(t, options, nil)
		if got.err != nil || !slices.Equal(got.put, []kiosk.FrameID{1, 3}) || got.released != 1 || got.skipped != 1 {
			t.Errorf("got %+v, want frames 1 and 3, one released and skipped, no error", got)
		}
	})
	t.Run("a broken model ends it and releases the frame", func(t *testing.T) {
		o := options
		o.PAD = model{Model: o.PAD, err: broken}
		got := run(t, o, nil)
		if !errors.Is(got.err, broken) || errors.Is(got.err, inference.ErrFrame) || len(got.put) != 0 || got.released != 1 {
			t.Errorf("got %+v, want the model's error and its frame released", got)
		}
	})
	t.Run("an error of put ends it, and the frame is no longer Run's", func(t *testing.T) {
		got := run(t, options, broken)
		if !errors.Is(got.err, broken) || len(got.put) != 1 || got.released != 0 {
			t.Errorf("got %+v, want put's error and nothing released", got)
		}
	})
	t.Run("an error of take ends it", func(t *testing.T) {
		a, err := inference.New(options)
		if err != nil {
			t.Fatal(err)
		}
		err = a.Run(t.Context(), func(context.Context) (*kiosk.Frame, error) { return nil, io.ErrUnexpectedEOF }, nil)
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("errors after the end of ctx are not errors", func(t *testing.T) {
		a, err := inference.New(options)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		put := func(context.Context, kiosk.Assessment, *kiosk.Frame) error {
			cancel()
			return context.Canceled
		}
		take := func(context.Context) (*kiosk.Frame, error) { return frame(t, 1, img, nil), nil }
		if err := a.Run(ctx, take, put); err != nil {
			t.Errorf("got %v, want nil", err)
		}
	})
}

// A pair is a decoder that gives what it is.
type pair struct {
	rgba *image.RGBA
	luma *image.Gray
}

func (p pair) Decode(*kiosk.Frame, int) (*image.RGBA, *image.Gray, error) {
	return p.rgba, p.luma, nil
}

func TestFramesThatCannotBeAssessed(t *testing.T) {
	options := inferencetest.Models(t)
	plain, luma := inferencetest.Plain(image.Pt(8, 8), 1), image.NewGray(image.Rect(0, 0, 8, 8))
	part, ok := plain.SubImage(image.Rect(1, 0, 8, 8)).(*image.RGBA)
	if !ok {
		t.Fatal("no RGBA")
	}
	for _, test := range []struct {
		name  string
		frame kiosk.Frame
		gives pair
	}{
		{"without a size", kiosk.Frame{ID: 4}, pair{plain, luma}},
		{"without a pixel", kiosk.Frame{ID: 4, Size: image.Pt(8, 8)}, pair{&image.RGBA{}, &image.Gray{}}},
		{"with luma of another size", kiosk.Frame{ID: 4, Size: image.Pt(8, 8)}, pair{plain, &image.Gray{}}},
		{"that begin elsewhere", kiosk.Frame{ID: 4, Size: image.Pt(8, 8)}, pair{part, image.NewGray(part.Rect)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			options.Decoder = test.gives
			a, err := inference.New(options)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := a.Assess(&test.frame); !errors.Is(err, inference.ErrFrame) || !strings.Contains(err.Error(), "frame 4") {
				t.Errorf("got %v, want ErrFrame that names the frame", err)
			}
		})
	}
}

func TestFramesOfATurnedCameraAreAssessedUpright(t *testing.T) {
	options := inferencetest.Models(t)
	options.Decoder = decoder(t)
	a, err := inference.New(options)
	if err != nil {
		t.Fatal(err)
	}
	upright := portraits(t)[1].placed(image.Pt(720, 1280), image.Pt(300, 560), 240, 0)
	want, err := a.Assess(frame(t, 1, upright, nil))
	if err != nil || want.Faces != 1 {
		t.Fatalf("upright: %d faces, %v", want.Faces, err)
	}
	for _, m := range []kiosk.Mount{{Turn: 90}, {Turn: 180}, {Turn: 270}, {Mirror: true}, {Turn: 90, Mirror: true}} {
		// What undoes the mount makes what the camera sees.
		undo := pixel.Orientation{Turn: (360 - m.Turn) % 360}
		if m.Mirror {
			undo = pixel.Orientation(m)
		}
		seen := image.NewRGBA(image.Rectangle{Max: undo.Size(upright.Rect.Size())})
		if err := pixel.Turn(seen, nil, upright, undo); err != nil {
			t.Fatal(err)
		}
		f := frame(t, 1, seen, nil)
		f.Mount = m
		got, err := a.Assess(f)
		if err != nil || got.Faces != 1 || got.Size != want.Size {
			t.Errorf("%+v: %d faces in %v, %v", m, got.Faces, got.Size, err)
			continue
		}
		if d := got.Face.Min.Sub(want.Face.Min); max(d.X, -d.X, d.Y, -d.Y) > 8 {
			t.Errorf("%+v: the face is at %v, upright at %v", m, got.Face, want.Face)
		}
		if d := got.Yaw - want.Yaw; max(d, -d) > 3 {
			t.Errorf("%+v: yaw %v, upright %v", m, got.Yaw, want.Yaw)
		}
	}
}

func BenchmarkAssess(b *testing.B) {
	p := portraits(b)[1]
	for _, bench := range []struct {
		name  string
		size  image.Point
		width float64
	}{
		{"size=640x480", image.Pt(640, 480), 200},
		{"size=1280x720", image.Pt(1280, 720), 300},
		{"size=1920x1080", image.Pt(1920, 1080), 450},
	} {
		b.Run(bench.name, func(b *testing.B) {
			options := inferencetest.Models(b)
			options.Decoder = decoder(b)
			a, err := inference.New(options)
			if err != nil {
				b.Fatal(err)
			}
			f := frame(b, 1, p.placed(bench.size, bench.size.Div(2), bench.width, 0), nil)
			b.SetBytes(int64(4 * bench.size.X * bench.size.Y))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := a.Assess(f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkModels is what the networks alone cost for a frame with a face: the
// rest of BenchmarkAssess is this package and the decoder.
func BenchmarkModels(b *testing.B) {
	options := inferencetest.Models(b)
	for b.Loop() {
		for _, m := range []inference.Model{options.Detector, options.Landmarks, options.PAD} {
			if err := m.Run(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkDecode is what the decoder alone costs.
func BenchmarkDecode(b *testing.B) {
	f := frame(b, 1, portraits(b)[1].placed(image.Pt(1280, 720), image.Pt(640, 360), 300, 0), nil)
	d := decoder(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := d.Decode(f, 360); err != nil {
			b.Fatal(err)
		}
	}
}

func TestClearLeavesNothingOfTheLastFace(t *testing.T) {
	models := inferencetest.Models(t)
	of := func(o inference.Options) []inference.Model {
		return []inference.Model{o.Detector, o.Landmarks, o.PAD}
	}
	seen := map[inference.Model]bool{} // whether the last run of a network saw anything
	watched := inference.Options{
		Detector: seer{models.Detector, seen}, Landmarks: seer{models.Landmarks, seen}, PAD: seer{models.PAD, seen},
		Decoder: &inferencetest.Still{Picture: portraits(t)[0].placed(image.Pt(640, 360), image.Pt(320, 180), 150, 0)},
	}
	a, err := inference.New(watched)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Assess(&kiosk.Frame{ID: 1, Size: image.Pt(640, 360)}); err != nil {
		t.Fatal(err)
	}
	for i, m := range of(models) {
		if !seen[m] {
			t.Fatalf("network %d was not asked", i)
		}
	}
	if err := a.Clear(); err != nil {
		t.Fatal(err)
	}
	for i, m := range of(models) {
		if seen[m] || something(m.Input()) {
			t.Errorf("network %d still holds the face: in its input %v, inside %v", i, something(m.Input()), seen[m])
		}
	}
}

// A seer is a network that tells whether it saw anything.
type seer struct {
	inference.Model

	seen map[inference.Model]bool
}

func (m seer) Run() error {
	m.seen[m.Model] = something(m.Input())
	return m.Model.Run()
}

func something(in []float32) bool {
	return slices.ContainsFunc(in, func(v float32) bool { return v != 0 })
}

// BenchmarkClear is what the end of a session costs.
func BenchmarkClear(b *testing.B) {
	options := inferencetest.Models(b)
	options.Decoder = decoder(b)
	a, err := inference.New(options)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := a.Clear(); err != nil {
			b.Fatal(err)
		}
	}
}
