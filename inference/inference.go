// Package inference turns one camera frame into one assessment: where the face
// is, how it is turned and lit, how sharp it is, and whether it looks live.
//
// It knows no runtime and no decoder: it is given three networks and something
// that decodes frames. After the first frame of a size it allocates nothing of
// its own.
package inference

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"sync/atomic"

	"livekiosk/inference/quality"
	"livekiosk/kiosk"
)

// ErrFrame marks the error of a frame that cannot be assessed, such as a
// damaged JPEG. The next frame may well be good.
var ErrFrame = errors.New("unusable frame")

const (
	// workSide is the shorter side in pixels of the picture that is analysed.
	// At 360 a face fit for capture is some 100 to 250 pixels wide, which is
	// all that the networks' inputs resolve.
	workSide = 360
	// maxFaces is how many faces are told apart in one frame.
	maxFaces = 4
	// liveWidth and liveLuma are the least face width in pixels of the analysed
	// picture and the least mean luma of the face at which the PAD network's
	// answer means anything: it holds down to faces of 60 pixels, and drops in
	// the dark.
	liveWidth = 60
	liveLuma  = 40
)

// A Model is one network with its tensors, used by one goroutine at a time.
type Model interface {
	// Input is the memory of the input tensor, written before each Run.
	Input() []float32
	// Run computes the outputs from the input.
	Run() error
	// Output is the memory of output i, counted from 0. Its values are valid
	// until the next Run.
	Output(i int) []float32
}

// A Decoder turns a frame's bytes into pixels.
type Decoder interface {
	// Decode returns f's picture, upright and opaque, at a size whose shorter
	// side is at least short pixels, or at its own if it is smaller than that,
	// and its luma: the Y of BT.601 on the full range. The aspect ratio is the
	// upright frame's but for rounding. The images, whose first pixels are at
	// (0, 0), are valid until the next call; f stays the caller's.
	Decode(f *kiosk.Frame, short int) (*image.RGBA, *image.Gray, error)
}

// Options are what an Analyser is made of. They are required, and belong to the
// Analyser while it is used.
type Options struct {
	// Detector is BlazeFace, short range.
	// in: float32 [1,128,128,3] NHWC, RGB x/127.5-1, letterboxed;
	// out: scores [1,512,1] and [1,384,1] (logits), boxes [1,512,16] and
	// [1,384,16].
	Detector Model
	// Landmarks is MediaPipe's face landmark model without attention.
	// in: float32 [1,192,192,3] NHWC, RGB x/255;
	// out: points [1,1,1,1404] in input pixels and face flag [1,1,1,1] (logit).
	Landmarks Model
	// PAD is MiniFASNetV2-SE.
	// in: float32 [1,3,128,128] NCHW, BGR, 0..255;
	// out: logits [1,3] (live, 2D attack, 3D attack).
	PAD Model
	// Decoder decodes the frames.
	Decoder Decoder
	// Skin reports whether the colour of skin is asked for just now. It must be
	// safe to call from any goroutine. Nil: never; all else is required.
	Skin func() bool
}

// Validate reports what is missing.
func (o Options) Validate() error {
	switch {
	case o.Detector == nil:
		return errors.New("no detector model")
	case o.Landmarks == nil:
		return errors.New("no landmark model")
	case o.PAD == nil:
		return errors.New("no PAD model")
	case o.Decoder == nil:
		return errors.New("no decoder")
	}
	return nil
}

// An Analyser assesses frames. Assess and Run are for one goroutine at a time;
// Skipped may be called from any.
type Analyser struct {
	decoder   Decoder
	detector  *detector
	landmarks *landmarker
	liveness  *liveness
	look      look
	mesh      quality.Mesh // of the largest face
	upright   quality.Mesh // the same in pixels of look's crop
	skin      func() bool
	other     quality.Mesh // of faces beside it, which nobody reads
	skipped   atomic.Uint64
}

// New returns an Analyser of o's models. It reports a model whose tensors do
// not have the documented sizes.
func New(o Options) (*Analyser, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("new analyser: %w", err)
	}
	a := &Analyser{decoder: o.Decoder, look: look{crop: quality.NewCrop()}, skin: o.Skin}
	if a.skin == nil {
		a.skin = func() bool { return false }
	}
	var err error
	if a.detector, err = newDetector(o.Detector); err != nil {
		return nil, fmt.Errorf("new analyser: detector: %w", err)
	}
	if a.landmarks, err = newLandmarker(o.Landmarks); err != nil {
		return nil, fmt.Errorf("new analyser: landmarks: %w", err)
	}
	if a.liveness, err = newLiveness(o.PAD); err != nil {
		return nil, fmt.Errorf("new analyser: PAD: %w", err)
	}
	return a, nil
}

// Assess returns the assessment of f, which stays the caller's. What is found
// on the scaled picture is given in pixels of the whole upright frame. An error that
// is ErrFrame is about this frame; any other is about the models.
//
// A face is what both the detector and the landmark model take for one.
func (a *Analyser) Assess(f *kiosk.Frame) (kiosk.Assessment, error) {
	result := kiosk.Assessment{Frame: f.ID, At: f.At, Size: f.Upright()}
	if f.Size.X <= 0 || f.Size.Y <= 0 {
		return kiosk.Assessment{}, fmt.Errorf("assess frame %d: %w: size %v", f.ID, ErrFrame, f.Size)
	}
	img, luma, err := a.decoder.Decode(f, workSide)
	if err != nil {
		return kiosk.Assessment{}, fmt.Errorf("assess frame %d: %w: %w", f.ID, ErrFrame, err)
	}
	if img.Rect.Empty() || img.Rect.Min != (image.Point{}) || luma.Rect != img.Rect {
		return kiosk.Assessment{}, fmt.Errorf("assess frame %d: %w: decoder gave %v with luma of %v", f.ID, ErrFrame, img.Rect, luma.Rect)
	}
	result.Luma = quality.Mean(luma)

	faces, err := a.find(img)
	if err != nil {
		return kiosk.Assessment{}, fmt.Errorf("assess frame %d: %w", f.ID, err)
	}
	result.Faces = len(faces)
	if len(faces) == 0 {
		return result, nil
	}
	main := faces[0]
	scale := scaling{
		x: float32(result.Size.X) / float32(img.Rect.Dx()),
		y: float32(result.Size.Y) / float32(img.Rect.Dy()),
	}
	result.Face = scale.square(main)
	if len(faces) > 1 {
		result.Second = min(faces[1].area()/main.area(), 1)
	}
	a.measure(&result, img, luma, main, scale)

	if main.side >= liveWidth && result.FaceLuma >= liveLuma {
		if result.Live, err = a.liveness.score(img, main); err != nil {
			return kiosk.Assessment{}, fmt.Errorf("assess frame %d: PAD: %w", f.ID, err)
		}
		result.LiveUsable = true
	}
	return result, nil
}

// find returns the faces in img, the largest first, and leaves the mesh of the
// largest in a.mesh and what is measured of its pixels in a.look.
func (a *Analyser) find(img *image.RGBA) ([]face, error) {
	candidates, err := a.detector.detect(img)
	if err != nil {
		return nil, fmt.Errorf("detector: %w", err)
	}
	faces := candidates[:0]
	for _, c := range candidates {
		mesh, upright := &a.mesh, &a.upright
		if len(faces) > 0 {
			mesh, upright = &a.other, &a.other
		}
		ok, err := a.landmarks.locate(mesh, upright, img, c)
		if err != nil {
			return nil, fmt.Errorf("landmarks: %w", err)
		}
		if !ok {
			continue
		}
		if faces = append(faces, c); len(faces) == 1 {
			a.look.take(a.landmarks.model.Input(), upright, a.skin()) // before the next face takes its place
		}
	}
	return faces, nil
}

// Run takes frames and passes each on with its assessment until ctx ends, when
// it returns nil. Take's frames become Run's; put's become put's, whether it
// fails or not. A frame that cannot be assessed is released and counted, and
// the loop goes on; an error of a model, of take or of put ends it.
func (a *Analyser) Run(
	ctx context.Context,
	take func(context.Context) (*kiosk.Frame, error),
	put func(context.Context, kiosk.Assessment, *kiosk.Frame) error,
) error {
	for ctx.Err() == nil {
		if err := a.step(ctx, take, put); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// step passes one frame on.
func (a *Analyser) step(
	ctx context.Context,
	take func(context.Context) (*kiosk.Frame, error),
	put func(context.Context, kiosk.Assessment, *kiosk.Frame) error,
) error {
	f, err := take(ctx)
	if err != nil {
		return fmt.Errorf("take frame: %w", err)
	}
	assessment, err := a.Assess(f)
	switch {
	case errors.Is(err, ErrFrame):
		f.Release()
		a.skipped.Add(1)
		return nil
	case err != nil:
		f.Release()
		return err
	}
	if err := put(ctx, assessment, f); err != nil {
		return fmt.Errorf("put assessment: %w", err)
	}
	return nil
}

// Clear erases what is left of the last frame, but for the Decoder's: call it
// when nobody is in front of the camera. Each network runs once on nothing,
// since its runtime keeps the inner layers of the last picture, the first of
// which still show a face. One that fails keeps no other from being cleared. It
// belongs to the goroutine of Run.
func (a *Analyser) Clear() error {
	a.look.crop.Clear()
	a.mesh, a.upright, a.other = quality.Mesh{}, quality.Mesh{}, quality.Mesh{}
	clear(a.detector.sums[:])
	var errs []error
	for _, m := range []Model{a.detector.model, a.landmarks.model, a.liveness.model} {
		clear(m.Input())
		if err := m.Run(); err != nil {
			errs = append(errs, fmt.Errorf("clear: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Skipped returns how many frames Run released because they could not be
// assessed.
func (a *Analyser) Skipped() uint64 { return a.skipped.Load() }

// scaling takes the analysed picture's pixels to the frame's.
type scaling struct{ x, y float32 }

func (s scaling) mean() float32 { return (s.x + s.y) / 2 }

// square returns the box of f in whole pixels, exactly square.
func (s scaling) square(f face) image.Rectangle {
	side := max(int(math.Round(float64(f.side*s.mean()))), 1)
	half := float32(side) / 2
	at := image.Pt(int(math.Round(float64(f.x*s.x-half))), int(math.Round(float64(f.y*s.y-half))))
	return image.Rectangle{Min: at, Max: at.Add(image.Pt(side, side))}
}

// sized reports whether output i of m holds n values.
func sized(m Model, what string, i, n int) error {
	if got := len(m.Output(i)); got != n {
		return fmt.Errorf("output %d (%s) has %d values, want %d", i, what, got, n)
	}
	return nil
}

// takes reports whether the input of m holds n values.
func takes(m Model, n int) error {
	if got := len(m.Input()); got != n {
		return fmt.Errorf("input has %d values, want %d", got, n)
	}
	return nil
}

// finite reports whether v is a number a face could have.
func finite(v float32) bool { return v > -1e6 && v < 1e6 }
