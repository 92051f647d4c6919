package camera_test

import (
	"context"
	"errors"
	"image"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"livekiosk/camera"
	"livekiosk/kiosk"
)

// grey returns a grey frame of one level, and counts its release.
func grey(id kiosk.FrameID, size image.Point, level byte, released func()) *kiosk.Frame {
	data := make([]byte, size.X*size.Y)
	for i := range data {
		data[i] = level
	}
	return kiosk.NewFrame(kiosk.Frame{ID: id, Sequence: uint32(id), Format: kiosk.Grey, Size: size, Stride: size.X, Data: data}, released)
}

func small(id kiosk.FrameID, released func()) *kiosk.Frame {
	return grey(id, image.Pt(2, 2), byte(id), released)
}

func TestLatestKeepsNewestAndReleasesTheRest(t *testing.T) {
	l := camera.NewLatest()
	var released []kiosk.FrameID
	for id := kiosk.FrameID(1); id <= 3; id++ {
		l.Put(small(id, func() { released = append(released, id) }))
	}
	f, err := l.Take(t.Context())
	if err != nil || f.ID != 3 {
		t.Fatalf("Take() = %v, %v; want frame 3", f, err)
	}
	if len(released) != 2 || l.Skipped() != 2 {
		t.Errorf("released %v, skipped %d; want frames 1 and 2", released, l.Skipped())
	}
}

func TestLatestTakeEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := camera.NewLatest().Take(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Take() error = %v, want %v", err, context.DeadlineExceeded)
		}
	})
}

func TestLatestDrainedGivesOnlyFramesOfTheNextSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := camera.NewLatest()
		released := 0
		l.Put(small(1, func() { released++ }))
		l.Drain()
		l.Drain()
		if released != 1 || l.Skipped() != 0 {
			t.Errorf("released %d times, skipped %d; want 1 and 0", released, l.Skipped())
		}
		got := make(chan kiosk.FrameID)
		go func() {
			f, err := l.Take(t.Context())
			if err != nil {
				t.Error(err)
				close(got)
				return
			}
			got <- f.ID
		}()
		synctest.Wait()
		l.Put(small(2, nil))
		if id := <-got; id != 2 {
			t.Errorf("Take() gave frame %d, want 2", id)
		}
	})
}

// TestLatestLosesNoFrameWithoutCountingIt has one goroutine for each method:
// every frame is taken, skipped or drained, and released once.
func TestLatestLosesNoFrameWithoutCountingIt(t *testing.T) {
	const n = 2000
	l := camera.NewLatest()
	var mu sync.Mutex
	released := map[kiosk.FrameID]int{}
	ctx, cancel := context.WithCancel(t.Context())
	var taker, others sync.WaitGroup
	taker.Go(func() {
		var last kiosk.FrameID
		for {
			f, err := l.Take(ctx)
			if err != nil {
				return
			}
			if f.ID <= last {
				t.Errorf("frame %d after %d", f.ID, last)
			}
			last = f.ID
			f.Release()
		}
	})
	others.Go(func() {
		for id := kiosk.FrameID(1); id <= n; id++ {
			l.Put(small(id, func() {
				mu.Lock()
				defer mu.Unlock()
				released[id]++
			}))
		}
	})
	others.Go(func() {
		for range n / 10 {
			l.Drain()
		}
	})
	others.Wait()
	cancel()
	taker.Wait()
	l.Drain()
	for id := kiosk.FrameID(1); id <= n; id++ {
		if released[id] != 1 {
			t.Fatalf("frame %d was released %d times", id, released[id])
		}
	}
}
