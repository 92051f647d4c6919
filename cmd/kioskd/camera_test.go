package main

import (
	"context"
	"errors"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"livekiosk/camera"
	"livekiosk/camera/cameratest"
	"livekiosk/camera/jpeg"
	"livekiosk/kiosk"
)

// newEyes returns staff's looks at a scripted camera.
func newEyes(t *testing.T, c Config) (*eyes, *camera.Camera, *cameratest.Scripted) {
	t.Helper()
	src := cameratest.NewScripted()
	cam, err := camera.New(camera.Options{Source: src, Put: (*kiosk.Frame).Release})
	if err != nil {
		t.Fatal(err)
	}
	return &eyes{c: c, session: func() bool { return false }, lend: cam.Lend, src: &source{}, evidence: camera.NewEvidence(jpeg.NewEncoder())}, cam, src
}

func TestAProbeTellsHowTheCameraStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, cam, src := newEyes(t, Config{})
		f, err := e.Probe(t.Context())
		if err != nil || f.Seconds < 3 || f.Seconds > 3.1 || f.FramesPerSecond < 29 || f.FramesPerSecond > 31 || f.Mode != "GREY 32x24" {
			t.Errorf("Probe() = %+v, %v", f, err)
		}
		if src.Streaming() || src.Out() != 0 {
			t.Errorf("it streams on: %v, with %d frames out", src.Streaming(), src.Out())
		}
		src.Freeze()
		if _, err := e.Probe(t.Context()); !errors.Is(err, camera.ErrStalled) {
			t.Errorf("a camera without frames: %v", err)
		}
		src.Thaw()
		src.Unplug()
		if _, err := e.Probe(t.Context()); !errors.Is(err, cameratest.ErrUnplugged) {
			t.Errorf("a camera that is gone: %v", err)
		}
		src.Plug()
		cam.Want(true)
		if _, err := e.Probe(t.Context()); !errors.Is(err, kiosk.ErrOccupied) {
			t.Errorf("while a session needs it: %v", err)
		}
		if _, err := e.Picture(t.Context()); !errors.Is(err, kiosk.ErrOccupied) {
			t.Errorf("while a session needs it: %v", err)
		}
	})
}

func TestASessionEndsAProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, cam, _ := newEyes(t, Config{})
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- cam.Run(ctx) }()
		probed := make(chan error, 1)
		go func() { _, err := e.Probe(t.Context()); probed <- err }()
		<-time.After(time.Second)
		began := time.Now()
		cam.Want(true)
		if err := <-probed; !errors.Is(err, kiosk.ErrOccupied) || time.Since(began) > 100*time.Millisecond {
			t.Errorf("Probe() = %v after %v", err, time.Since(began))
		}
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
}

// TestNobodyOfASessionIsFilmedForStaff looks while the camera is at rest, and
// the visitor reads what they are to agree to.
func TestNobodyOfASessionIsFilmedForStaff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _, src := newEyes(t, Config{})
		e.session = func() bool { return true }
		if _, err := e.Probe(t.Context()); !errors.Is(err, kiosk.ErrOccupied) || src.Opened() != 0 {
			t.Errorf("Probe() = %v, and opened the camera %d times", err, src.Opened())
		}
		began := time.Now()
		e.session = func() bool { return time.Since(began) > 500*time.Millisecond }
		if b, err := e.Picture(t.Context()); !errors.Is(err, kiosk.ErrOccupied) || b != nil || src.Opened() != 1 || time.Since(began) > 600*time.Millisecond {
			t.Errorf("Picture() = %d bytes, %v after %v", len(b), err, time.Since(began))
		}
	})
}

// TestAPictureThatIsNotHandedOutIsErased has the camera fail once it was taken.
func TestAPictureThatIsNotHandedOutIsErased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _, _ := newEyes(t, Config{})
		broken := errors.New("broken")
		e.lend = func(ctx context.Context, put func(*kiosk.Frame)) error {
			return errors.Join(grey{}.Stream(ctx, put), broken)
		}
		if b, err := e.Picture(t.Context()); !errors.Is(err, broken) || b != nil {
			t.Errorf("Picture() = %d bytes, %v", len(b), err)
		}
	})
}

// grey is a source of one frame of 640x480 after another.
type grey struct{}

func (grey) Stream(ctx context.Context, put func(*kiosk.Frame)) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for id := kiosk.FrameID(1); ; id++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			put(kiosk.NewFrame(kiosk.Frame{ID: id, Format: kiosk.Grey, Size: image.Pt(640, 480), Stride: 640, Data: make([]byte, 640*480)}, nil))
		}
	}
}

func TestAPictureIsTakenOnceTheLightHasSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _, _ := newEyes(t, Config{})
		e.lend = grey{}.Stream
		began := time.Now()
		b, err := e.Picture(t.Context())
		if err != nil || !strings.HasPrefix(string(b), "\xff\xd8") {
			t.Fatalf("Picture() = %d bytes, %v", len(b), err)
		}
		if took := time.Since(began); took < time.Second || took > 2*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestAResetIsAskedForOnce(t *testing.T) {
	dir := t.TempDir()
	c := Config{API: APIConfig{Socket: filepath.Join(dir, "kioskd.sock")}}
	e, _, _ := newEyes(t, c)
	if err := e.reset(t.Context()); err == nil || !strings.Contains(err.Error(), "no USB camera") {
		t.Errorf("nothing known: %v", err)
	}
	const pin = "driver=uvcvideo bus=usb-0000:00:14.0-1 usb=046d:082d:5DC83E9F"
	e.c.Camera.Pin = pin
	if err := e.reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "camera-reset")); err != nil || string(b) != pin+"\n" {
		t.Errorf("asked for %q, %v", b, err)
	}
	if err := e.reset(t.Context()); err == nil || !strings.Contains(err.Error(), "kioskd-camera-reset.path") {
		t.Errorf("a request that nobody took: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%d files are left, %v", len(left), err)
	}
}
