package camera_test

import (
	"bytes"
	"context"
	"image"
	"testing"
	"testing/synctest"

	"livekiosk/camera"
	"livekiosk/kiosk"
)

// preview starts a preview of grey frames in a synctest bubble.
func preview(t *testing.T) *camera.Preview {
	t.Helper()
	p := camera.NewPreview(&camera.Decoder{}, 0)
	run(t, p.Run)
	return p
}

// run runs f until the test ends, and wants nil of it then.
func run(t *testing.T, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- f(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
}

// show puts a frame of one level and waits until it is decoded.
func show(p *camera.Preview, level byte) {
	p.Put(grey(kiosk.FrameID(level), image.Pt(16, 12), level, nil))
	synctest.Wait()
}

// level returns the level of a one-coloured image; -1 if it is not, -2 for nil.
func level(img *image.RGBA) int {
	if img == nil {
		return -2
	}
	for i := 0; i < len(img.Pix); i += 4 {
		if img.Pix[i] != img.Pix[0] {
			return -1
		}
	}
	return int(img.Pix[0])
}

func TestPreviewShowsTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := preview(t)
		if img, seq := p.Latest(); img != nil || seq != 0 {
			t.Errorf("Latest() = %v, %d before any frame", img, seq)
		}
		for i := byte(1); i <= 10; i++ {
			show(p, i)
			if img, seq := p.Latest(); level(img) != int(i) || seq != uint64(i) {
				t.Errorf("after frame %d: level %d, number %d", i, level(img), seq)
			}
		}
	})
}

func TestPreviewLeavesTheLentImageAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := preview(t)
		show(p, 1)
		for i := byte(1); i < 40; i += 5 {
			img, seq := p.Latest()
			for j := i + 1; j <= i+5; j++ {
				show(p, j)
				if level(img) != int(i) {
					t.Fatalf("the image of frame %d is of level %d after frame %d", i, level(img), j)
				}
			}
			if again, newer := p.Latest(); again == img || newer <= seq {
				t.Errorf("Latest() still gives number %d after %d", newer, seq)
			}
		}
	})
}

func TestPreviewClearedShowsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := preview(t)
		images := map[*image.RGBA]bool{}
		for i := byte(1); i <= 6; i++ {
			show(p, i)
			img, _ := p.Latest()
			images[img] = true
		}
		if len(images) != 3 {
			t.Fatalf("%d images in the ring, want 3", len(images))
		}
		lent, _ := p.Latest()
		p.Clear()
		if level(lent) != 6 {
			t.Error("the image that is being drawn was written to")
		}
		if img, seq := p.Latest(); img != nil || seq != 0 {
			t.Errorf("Latest() = %v, %d after Clear", img, seq)
		}
		for img := range images {
			if !bytes.Equal(img.Pix, make([]byte, len(img.Pix))) {
				t.Error("an image is not erased")
			}
		}
		show(p, 9)
		if img, seq := p.Latest(); level(img) != 9 || seq != 7 {
			t.Errorf("the next session begins with level %d, number %d", level(img), seq)
		}
	})
}

// slow is a JPEG decoder that waits to be told to go on.
type slow struct {
	standard

	begun, goOn chan struct{}
}

func (s slow) Decode(*image.RGBA, []byte, int) (*image.RGBA, error) {
	s.begun <- struct{}{}
	<-s.goOn
	img := image.NewRGBA(image.Rect(0, 0, 4, 4))
	for i := range img.Pix {
		img.Pix[i] = 200
	}
	return img, nil
}

func TestPreviewClearedWhileDecodingShowsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slow{begun: make(chan struct{}), goOn: make(chan struct{})}
		p := camera.NewPreview(&camera.Decoder{JPEG: s}, 0)
		run(t, p.Run)
		p.Put(kiosk.NewFrame(kiosk.Frame{Format: kiosk.MJPEG, Data: []byte{1}}, nil))
		<-s.begun
		p.Clear()
		s.goOn <- struct{}{}
		synctest.Wait()
		if img, _ := p.Latest(); img != nil {
			t.Error("a frame of the session before is shown")
		}
	})
}

func TestPreviewReleasesEveryFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slow{begun: make(chan struct{}), goOn: make(chan struct{})}
		p := camera.NewPreview(&camera.Decoder{JPEG: s}, 0)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		released := 0
		put := func(format kiosk.Format) {
			p.Put(kiosk.NewFrame(kiosk.Frame{Format: format, Data: []byte{1}}, func() { released++ }))
		}
		put(kiosk.MJPEG)
		<-s.begun
		put(kiosk.MJPEG) // replaced
		put("H264")      // broken
		s.goOn <- struct{}{}
		synctest.Wait()
		if released != 3 {
			t.Errorf("%d released, want 3", released)
		}
		if img, seq := p.Latest(); level(img) != 200 || seq != 1 {
			t.Errorf("level %d, number %d; a broken frame took the image before it away", level(img), seq)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run() = %v", err)
		}
		put(kiosk.MJPEG)
		p.Clear()
		if img, _ := p.Latest(); img != nil || released != 4 {
			t.Errorf("after the end: image %v, %d released", img, released)
		}
	})
}

// TestPreviewUnderRace draws, puts and clears at full speed: the race detector
// watches, and an image never has two levels while it is lent.
func TestPreviewUnderRace(t *testing.T) {
	p := camera.NewPreview(&camera.Decoder{}, 0)
	run(t, p.Run)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			p.Put(grey(1, image.Pt(16, 12), byte(1+i%250), nil))
			if i%50 == 0 {
				p.Clear()
			}
		}
	}()
	for range 3000 {
		if img, _ := p.Latest(); level(img) == -1 || level(img) == 0 {
			t.Errorf("a lent image has level %d", level(img))
			break
		}
	}
	close(stop)
	<-done
}
