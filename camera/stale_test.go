package camera_test

import (
	"context"
	"encoding/binary"
	"image"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"livekiosk/camera"
	"livekiosk/kiosk"
)

const (
	interval = 33 * time.Millisecond // of frames
	decoding = 25 * time.Millisecond // of one: a slow board
	oldest   = 2                     // frame intervals that the preview may be old
)

// A numbered decoder takes its time, and writes the number that is all of a
// frame's bytes into the picture.
type numbered struct {
	standard

	hang chan (<-chan struct{}) // what one picture waits for
}

func (n *numbered) Decode(dst *image.RGBA, src []byte, _ int) (*image.RGBA, error) {
	select {
	case until := <-n.hang:
		<-until
	default:
	}
	<-time.After(decoding)
	if dst == nil || len(dst.Pix) != 4 {
		dst = image.NewRGBA(image.Rect(0, 0, 1, 1))
	}
	copy(dst.Pix, src)
	return dst, nil
}

// A chain is a camera, its consumers' mailboxes and a preview, connected as
// the daemon connects them.
type chain struct {
	*camera.Camera
	latest  *camera.Latest
	preview *camera.Preview
	newest  atomic.Uint32 // sequence number of the frame the camera gave last
}

// newChain starts a camera whose frames come from memory for a few, as those of
// a device do: where none is given back, none is left.
func newChain(t *testing.T, dec camera.JPEGDecoder) *chain {
	t.Helper()
	c := &chain{latest: camera.NewLatest(), preview: camera.NewPreview(&camera.Decoder{JPEG: dec}, 0)}
	memory := camera.NewPool(4)
	device := source(func(ctx context.Context, put func(*kiosk.Frame)) error {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			n := c.newest.Add(1)
			f := kiosk.Frame{ID: kiosk.FrameID(n), Sequence: n, Format: kiosk.MJPEG, Size: image.Pt(1, 1)}
			f.Data = binary.LittleEndian.AppendUint32(nil, n)
			if own := memory.Copy(&f); own != nil {
				put(own)
			}
		}
	})
	var err error
	c.Camera, err = camera.New(camera.Options{Source: device, Put: camera.Tee(camera.NewPool(8), c.latest.Put, c.preview.Put)})
	if err != nil {
		t.Fatal(err)
	}
	run(t, c.Run)
	run(t, c.preview.Run)
	c.Want(true)
	wait(oldest*interval + decoding) // for the first picture
	return c
}

// look tells how many frames behind the camera the preview is.
func (c *chain) look(t *testing.T) (behind uint32) {
	t.Helper()
	img, _ := c.preview.Latest()
	if img == nil {
		t.Fatal("no preview")
	}
	return c.newest.Load() - binary.LittleEndian.Uint32(img.Pix)
}

// TestNoConsumerMakesThePreviewOld holds that whatever those do who take frames
// for analysis, and whoever draws, the preview that is drawn next is never more
// than two frame intervals behind the camera.
func TestNoConsumerMakesThePreviewOld(t *testing.T) {
	analysts := map[string]func(ctx context.Context, l *camera.Latest){
		"quick": func(ctx context.Context, l *camera.Latest) {
			for {
				f, err := l.Take(ctx)
				if err != nil {
					return
				}
				f.Release()
			}
		},
		"slow": func(ctx context.Context, l *camera.Latest) {
			for {
				f, err := l.Take(ctx)
				if err != nil {
					return
				}
				pause(ctx, 20*interval)
				f.Release()
			}
		},
		"stuck with a frame": func(ctx context.Context, l *camera.Latest) {
			if f, err := l.Take(ctx); err == nil {
				<-ctx.Done()
				f.Release()
			}
		},
		"dead": func(context.Context, *camera.Latest) {},
		"dead with a frame in its hands": func(ctx context.Context, l *camera.Latest) {
			_, _ = l.Take(ctx) // released by nobody
		},
	}
	drawers := map[string]time.Duration{
		"at 60 Hz": 16 * time.Millisecond, "at the camera's rate": interval, "once a second": time.Second, "not for a minute": time.Minute,
	}
	for analyst, analyse := range analysts {
		for drawer, every := range drawers {
			t.Run("analysis is "+analyst+", drawn "+drawer, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := newChain(t, &numbered{})
					run(t, func(ctx context.Context) error {
						analyse(ctx, c.latest)
						return nil
					})
					for range max(3, int(10*time.Second/every)) {
						wait(every)
						if behind := c.look(t); behind > oldest {
							t.Fatalf("the preview is %d frames behind, want at most %d", behind, oldest)
						}
					}
					if n := c.newest.Load(); n < 90 {
						t.Errorf("the camera gave %d frames only: nothing was tried", n)
					}
				})
			})
		}
	}
}

// TestADecodeThatHungIsFollowedByTheNewestFrame has the preview itself stand
// still: what it missed is not made up for.
func TestADecodeThatHungIsFollowedByTheNewestFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dec := &numbered{hang: make(chan (<-chan struct{}), 1)}
		c := newChain(t, dec)
		goOn := make(chan struct{})
		dec.hang <- goOn
		wait(100 * interval)
		if behind := c.look(t); behind < 90 {
			t.Fatalf("%d frames behind: the decoder did not hang", behind)
		}
		close(goOn)
		wait(2 * decoding) // what hung, and one more
		if behind := c.look(t); behind > oldest {
			t.Errorf("the preview is %d frames behind afterwards, want at most %d", behind, oldest)
		}
	})
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
