package cameratest

import (
	"context"
	"errors"
	"image"
	"sync"
	"time"

	"livekiosk/kiosk"
)

// Errors of a Scripted source.
var (
	ErrUnplugged = errors.New("scripted camera: unplugged")
	errTwice     = errors.New("scripted camera: streams twice at the same time")
)

// Scripted is a source of small grey frames that tests unplug, freeze and plug
// in again. Its methods may be called from any goroutine. It keeps to the
// contract of camera.Source, except where it is told to Hang.
type Scripted struct {
	Interval time.Duration // between frames; 0 means 33 ms

	mu        sync.Mutex
	begun     time.Time // of the first stream
	id        kiosk.FrameID
	sequence  uint32
	unplugged bool
	frozen    bool
	hanging   bool
	lose      uint32
	streaming bool
	opened    int
	out       int
	change    chan struct{} // closed and replaced when the script changes
}

// NewScripted returns a camera that is plugged in.
func NewScripted() *Scripted { return &Scripted{change: make(chan struct{})} }

// Unplug makes the stream fail with ErrUnplugged, now and until Plug.
func (s *Scripted) Unplug() { s.set(func() { s.unplugged = true }) }

// Plug undoes Unplug.
func (s *Scripted) Plug() { s.set(func() { s.unplugged = false }) }

// Freeze makes no more frames come, without an error, until Thaw.
func (s *Scripted) Freeze() { s.set(func() { s.frozen = true }) }

// Thaw undoes Freeze.
func (s *Scripted) Thaw() { s.set(func() { s.frozen = false }) }

// Hang makes the stream ignore the end of its context, like a driver that is
// stuck, until Unhang.
func (s *Scripted) Hang() { s.set(func() { s.hanging = true }) }

// Unhang undoes Hang.
func (s *Scripted) Unhang() { s.set(func() { s.hanging = false }) }

// Lose makes the driver lose the next n frames: their numbers are missing.
func (s *Scripted) Lose(n int) { s.set(func() { s.lose += uint32(n) }) }

// Opened returns how often Stream was called.
func (s *Scripted) Opened() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}

// Streaming tells whether the device is open: whether its light is on.
func (s *Scripted) Streaming() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.streaming
}

// Out returns how many frames are not released yet.
func (s *Scripted) Out() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out
}

func (s *Scripted) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.change)
	s.change = make(chan struct{})
}

// Stream implements camera.Source.
func (s *Scripted) Stream(ctx context.Context, put func(*kiosk.Frame)) error {
	interval := s.Interval
	if interval == 0 {
		interval = 33 * time.Millisecond
	}
	if err := s.open(); err != nil {
		return err
	}
	defer func() {
		s.mu.Lock()
		s.streaming = false
		s.mu.Unlock()
	}()
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		s.mu.Lock()
		unplugged, frozen, hanging, change := s.unplugged, s.frozen, s.hanging, s.change
		s.mu.Unlock()
		if unplugged {
			return ErrUnplugged
		}
		over := ctx.Done()
		if hanging {
			over = nil
		}
		select {
		case <-over:
			return nil
		case <-change:
		case <-t.C:
			if !frozen && (hanging || ctx.Err() == nil) {
				put(s.frame())
			}
		}
	}
}

func (s *Scripted) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streaming {
		return errTwice
	}
	s.opened++
	if s.begun.IsZero() {
		s.begun = time.Now()
	}
	s.streaming, s.id, s.sequence = true, 0, 0
	return nil
}

// frame makes a frame whose bytes tell its number.
func (s *Scripted) frame() *kiosk.Frame {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id++
	s.sequence += 1 + s.lose
	s.lose = 0
	s.out++
	size := image.Pt(32, 24)
	data := make([]byte, size.X*size.Y)
	for i := range data {
		data[i] = byte(s.id)
	}
	return kiosk.NewFrame(kiosk.Frame{
		ID: s.id, At: time.Since(s.begun) + time.Nanosecond, Sequence: s.sequence,
		Format: kiosk.Grey, Size: size, Stride: size.X, Data: data,
	}, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.out--
	})
}
