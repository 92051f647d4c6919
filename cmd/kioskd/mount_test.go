package main

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"livekiosk/kiosk"
)

// TestAMountTurnsScreenAndFramesAndIsRecorded has an upright recording come
// from a camera that is said to hang on its side.
func TestAMountTurnsScreenAndFramesAndIsRecorded(t *testing.T) {
	l := newLab(t)
	dir := filepath.Join(t.TempDir(), "frames")
	l.frames(dir)
	c, _, err := configure(l.args("-camera", "frames:"+dir, "-config", l.file("c.toml", "[camera]\nrotate = 90\nmirror = true\n")), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	d, err := wire(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	for _, run := range []func(context.Context) error{d.camera.Run, d.preview.Run} {
		go func() { ended <- run(ctx) }()
	}
	defer func() {
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		d.close(context.WithoutCancel(ctx))
	}()
	d.camera.Want(true)
	within, stop := context.WithTimeout(ctx, 90*time.Second)
	defer stop()
	f, err := d.latest.Take(within)
	if err != nil {
		t.Fatal(err)
	}
	want := kiosk.Mount{Turn: 90, Mirror: true}
	if f.Mount != want || f.Size.X >= f.Size.Y || f.Upright().X <= f.Upright().Y {
		t.Errorf("a frame of %v says %+v, upright %v", f.Size, f.Mount, f.Upright())
	}
	f.Release()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if img, _ := d.preview.Latest(); img != nil {
			if img.Rect.Dx() <= img.Rect.Dy() {
				t.Errorf("the preview is %v: not turned", img.Rect.Size())
			}
			break
		}
		select {
		case <-within.Done():
			t.Fatal("no preview")
		case <-tick.C:
		}
	}
	if facts := d.facts(nil); facts["camera_rotate"] != "90" || facts["camera_mirror"] != "true" {
		t.Errorf("facts %v", facts)
	}
}
