package main

import (
	"context"
	"fmt"
	"sync"

	"livekiosk/camera"
	"livekiosk/camera/jpeg"
	"livekiosk/inference"
	"livekiosk/inference/models"
	"livekiosk/inference/onnx"
	"livekiosk/kiosk"
	"livekiosk/queue/gateway/gatewaysim"
)

// A checker judges uploaded images by the same networks as the kiosk, but by
// one image alone. It is a stand-in for a gateway's own check, and no more than
// that: it says nothing about how a real one decides.
type checker struct {
	mu       sync.Mutex // the networks serve one image at a time
	analyser *inference.Analyser
	decoder  *jpeg.Decoder
	sessions []*onnx.Session
	images   kiosk.FrameID
}

// newChecker loads the runtime and the weights from dir.
func newChecker(ctx context.Context, dir string) (c *checker, err error) {
	set, err := models.Open(ctx, dir)
	if err != nil {
		return nil, err
	}
	if err = onnx.Start(set.Runtime); err != nil {
		return nil, err
	}
	c = &checker{decoder: jpeg.NewDecoder()}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	for _, path := range []string{set.Detector, set.Landmarks, set.PAD} {
		var s *onnx.Session
		if s, err = onnx.Open(path); err != nil {
			return nil, err
		}
		c.sessions = append(c.sessions, s)
	}
	c.analyser, err = inference.New(inference.Options{
		Detector: c.sessions[0], Landmarks: c.sessions[1], PAD: c.sessions[2], Decoder: &camera.Decoder{JPEG: c.decoder},
	})
	return c, err
}

func (c *checker) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sessions {
		_ = s.Close() // nothing is left to lose
	}
	c.decoder.Close()
}

// check finds faces in one image. An image whose liveness cannot be measured
// counts as not live.
func (c *checker) check(_ context.Context, image []byte) (gatewaysim.Face, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	size, err := jpeg.Header(image)
	if err != nil {
		return gatewaysim.Face{}, fmt.Errorf("uploaded image: %w", err)
	}
	c.images++
	// The frame is not released: that would overwrite the image, which is the
	// simulator's.
	a, err := c.analyser.Assess(kiosk.NewFrame(kiosk.Frame{ID: c.images, Format: kiosk.MJPEG, Size: size, Data: image}, nil))
	if err != nil {
		return gatewaysim.Face{}, fmt.Errorf("uploaded image: %w", err)
	}
	face := gatewaysim.Face{Faces: a.Faces}
	if a.LiveUsable {
		face.Live = a.Live
	}
	return face, nil
}
