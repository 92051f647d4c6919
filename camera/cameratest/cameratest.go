// Package cameratest tests cameras: a suite that every camera.Source passes,
// and a source that does as a test tells it.
package cameratest

import (
	"bytes"
	"context"
	"hash/fnv"
	"sync"
	"testing"
	"time"

	"livekiosk/camera"
	"livekiosk/kiosk"
)

// Times of the suite. They are generous: they tell a source that works from
// one that hangs, not a fast one from a slow one.
const (
	patience = 10 * time.Second // for frames
	promptly = 2 * time.Second  // for an end; four times what the contract allows
)

// few is how many frames a source must give while none is released.
const few = 6

// TestSource holds the source that open makes to the contract of
// camera.Source. open is called once for each test of the suite; its source
// must be able to give some twenty frames each time it streams.
func TestSource(t *testing.T, open func(t *testing.T) camera.Source) {
	t.Helper()
	t.Run("gives sound frames whose ids and times rise", func(t *testing.T) { rising(t, open(t)) })
	t.Run("leaves the bytes of a frame to its owner", func(t *testing.T) { owned(t, open(t)) })
	t.Run("goes on when all frames are released at once", func(t *testing.T) { released(t, open(t)) })
	t.Run("ends promptly and puts nothing afterwards", func(t *testing.T) { ends(t, open(t)) })
	t.Run("streams again after it ended", func(t *testing.T) { restarts(t, open(t)) })
	t.Run("ends at once when there is no time", func(t *testing.T) { never(t, open(t)) })
}

// A stream is one run of a source.
type stream struct {
	t      *testing.T
	cancel context.CancelFunc
	done   chan error
	frames chan *kiosk.Frame

	mu    sync.Mutex
	ended bool
	late  int // frames put after Stream returned
}

// start streams from src. Frames wait in a channel that is never full in this
// suite; put releases what would not fit.
func start(t *testing.T, src camera.Source) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := &stream{t: t, cancel: cancel, done: make(chan error, 1), frames: make(chan *kiosk.Frame, 256)}
	go func() {
		err := src.Stream(ctx, s.put)
		s.mu.Lock()
		s.ended = true
		s.mu.Unlock()
		s.done <- err
	}()
	return s
}

func (s *stream) put(f *kiosk.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		s.late++
	}
	select {
	case s.frames <- f:
	default:
		f.Release()
	}
}

// next returns the next frame, owned by the caller.
func (s *stream) next() *kiosk.Frame {
	s.t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case f := <-s.frames:
		return f
	case err := <-s.done:
		s.t.Fatalf("the source ended: %v", err)
	case <-timer.C:
		s.t.Fatalf("no frame within %v", patience)
	}
	return nil
}

// stop ends the stream and releases what it left.
func (s *stream) stop() {
	s.t.Helper()
	s.cancel()
	timer := time.NewTimer(promptly)
	defer timer.Stop()
	select {
	case err := <-s.done:
		if err != nil {
			s.t.Errorf("Stream() = %v after its context ended, want nil", err)
		}
	case <-timer.C:
		s.t.Fatalf("Stream did not return within %v of its context's end", promptly)
	}
	for {
		select {
		case f := <-s.frames:
			f.Release()
		default:
			return
		}
	}
}

func rising(t *testing.T, src camera.Source) {
	t.Helper()
	s := start(t, src)
	var last kiosk.Frame
	for i := range few {
		f := s.next()
		sound(t, f)
		if f.ID <= last.ID {
			t.Errorf("frame %d has id %d after %d", i, f.ID, last.ID)
		}
		if i > 0 && f.At <= last.At {
			t.Errorf("frame %d is of %v after %v", i, f.At, last.At)
		}
		last = *f
		f.Release()
	}
	s.stop()
}

// sound checks what a frame says of itself.
func sound(t *testing.T, f *kiosk.Frame) {
	t.Helper()
	if f.Size.X <= 0 || f.Size.Y <= 0 {
		t.Fatalf("frame %d: size %v", f.ID, f.Size)
	}
	var row, rows int
	switch f.Format {
	case kiosk.MJPEG:
		if f.Stride != 0 {
			t.Errorf("frame %d: JPEG with stride %d", f.ID, f.Stride)
		}
		if !bytes.HasPrefix(f.Data, []byte{0xff, 0xd8, 0xff}) {
			t.Errorf("frame %d: %d bytes that are no JPEG image", f.ID, len(f.Data))
		}
		return
	case kiosk.YUYV, kiosk.UYVY:
		row, rows = 2*f.Size.X, f.Size.Y
	case kiosk.NV12:
		row, rows = f.Size.X, f.Size.Y+f.Size.Y/2
	case kiosk.Grey:
		row, rows = f.Size.X, f.Size.Y
	default:
		t.Fatalf("frame %d: format %q", f.ID, f.Format)
	}
	if f.Stride < row || len(f.Data) < f.Stride*(rows-1)+row {
		t.Errorf("frame %d: %d bytes at stride %d cannot hold %v of %s", f.ID, len(f.Data), f.Stride, f.Size, f.Format)
	}
}

func owned(t *testing.T, src camera.Source) {
	t.Helper()
	s := start(t, src)
	var frames []*kiosk.Frame
	var sums []uint64
	for range few {
		f := s.next()
		frames, sums = append(frames, f), append(sums, sum(f.Data))
	}
	// A frame that is released, and so erased, is nobody else's memory.
	frames[1].Release()
	s.next().Release()
	for i, f := range frames {
		if i != 1 && sum(f.Data) != sums[i] {
			t.Errorf("the bytes of frame %d changed while it was held", i)
		}
	}
	s.stop()
	for i, f := range frames {
		if i == 1 {
			continue
		}
		if sum(f.Data) != sums[i] {
			t.Errorf("the bytes of frame %d changed when the source ended", i)
		}
		f.Release() // also after the source ended
		if f.Data != nil {
			t.Errorf("frame %d has bytes after its release", i)
		}
	}
}

func sum(data []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(data) // never fails
	return h.Sum64()
}

func released(t *testing.T, src camera.Source) {
	t.Helper()
	s := start(t, src)
	for range 2 {
		var held []*kiosk.Frame
		for range few {
			held = append(held, s.next())
		}
		for _, f := range held {
			f.Release()
		}
	}
	s.stop()
}

func ends(t *testing.T, src camera.Source) {
	t.Helper()
	s := start(t, src)
	s.next().Release()
	s.stop()
	timer := time.NewTimer(200 * time.Millisecond)
	defer timer.Stop()
	<-timer.C
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.late > 0 {
		t.Errorf("%d frames were put after Stream had returned", s.late)
	}
}

func restarts(t *testing.T, src camera.Source) {
	t.Helper()
	var last time.Duration
	for i := range 3 {
		s := start(t, src)
		f := s.next()
		sound(t, f)
		if f.At <= last {
			t.Errorf("stream %d begins at %v, before a frame of %v", i, f.At, last)
		}
		last = f.At
		f.Release()
		s.stop()
	}
}

func never(t *testing.T, src camera.Source) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan error, 1)
	go func() { done <- src.Stream(ctx, (*kiosk.Frame).Release) }()
	timer := time.NewTimer(promptly)
	defer timer.Stop()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Stream() = %v in a context that has ended, want nil", err)
		}
	case <-timer.C:
		t.Errorf("Stream did not return within %v in a context that has ended", promptly)
	}
}
