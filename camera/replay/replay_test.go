package replay_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/jpeg"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"livekiosk/camera"
	"livekiosk/camera/cameratest"
	"livekiosk/camera/replay"
	"livekiosk/kiosk"
)

// tiny encodes in no time, so that tests of time are about nothing else.
func tiny(dst []byte, img *image.RGBA, _ int) ([]byte, error) {
	return append(dst, 0xff, 0xd8, 0xff, img.Pix[0], img.Pix[1], img.Pix[2]), nil
}

func TestAClipIsASource(t *testing.T) {
	s := open(t, replay.Options{Clip: replay.Empty, Size: image.Pt(320, 240), FPS: 60})
	cameratest.TestSource(t, func(*testing.T) camera.Source { return s })
}

func TestARecordingIsASource(t *testing.T) {
	s := open(t, replay.Options{Clip: record(t, 3), FPS: 60})
	cameratest.TestSource(t, func(*testing.T) camera.Source { return s })
}

// play collects n frames of a stream in a bubble of fake time.
func play(t *testing.T, s *replay.Source, n int, put func(i int)) []kiosk.Frame {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []kiosk.Frame
	err := s.Stream(ctx, func(f *kiosk.Frame) {
		got = append(got, *f)
		got[len(got)-1].Data = bytes.Clone(f.Data)
		f.Release()
		if put != nil {
			put(len(got) - 1)
		}
		if len(got) == n {
			cancel()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestStreamKeepsRealTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, replay.Options{Clip: replay.Empty, Size: image.Pt(240, 240), FPS: 10, Encode: tiny})
		begin := time.Now()
		var took []time.Duration
		got := play(t, s, 5, func(int) { took = append(took, time.Since(begin)) })
		for i, f := range got {
			if want := time.Duration(i) * 100 * time.Millisecond; took[i] != want {
				t.Errorf("frame %d came after %v, want %v", i, took[i], want)
			}
			if f.Sequence != uint32(i) || f.ID != kiosk.FrameID(i+1) || f.Format != kiosk.MJPEG || f.Size != image.Pt(240, 240) {
				t.Errorf("frame %d is %+v", i, f)
			}
		}
		again := play(t, s, 2, nil)
		if again[0].ID <= got[len(got)-1].ID || again[0].At < got[len(got)-1].At {
			t.Errorf("a second stream begins with id %d at %v, after id %d at %v",
				again[0].ID, again[0].At, got[len(got)-1].ID, got[len(got)-1].At)
		}
		if again[0].Sequence != 0 || !bytes.Equal(again[0].Data, got[0].Data) {
			t.Error("a second stream does not begin with the clip's first frame")
		}
	})
}

func TestStreamDropsLateFramesAndDoesNotLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, replay.Options{Clip: replay.Empty, Size: image.Pt(240, 240), FPS: 10, Encode: tiny})
		begin := time.Now()
		got := play(t, s, 4, func(i int) {
			if i == 1 {
				<-time.After(350 * time.Millisecond)
			}
		})
		var sequence []uint32
		for _, f := range got {
			sequence = append(sequence, f.Sequence)
		}
		// At 450 ms frame 4 is the newest that is due.
		if want := []uint32{0, 1, 4, 5}; !equal(sequence, want) {
			t.Errorf("frames %v, want %v", sequence, want)
		}
		if took := time.Since(begin); took != 500*time.Millisecond {
			t.Errorf("frame 5 came after %v, want 500 ms", took)
		}
	})
}

func equal(a, b []uint32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestStreamsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, replay.Options{Clip: replay.Empty, Size: image.Pt(240, 240), Encode: tiny})
		first, stop := context.WithCancel(t.Context())
		streaming := make(chan struct{})
		go func() {
			begun := false
			_ = s.Stream(first, func(f *kiosk.Frame) {
				f.Release()
				if !begun {
					begun = true
					close(streaming)
				}
			})
		}()
		<-streaming
		waiting, giveUp := context.WithTimeout(t.Context(), time.Second)
		defer giveUp()
		if err := s.Stream(waiting, func(*kiosk.Frame) { t.Error("two streams at the same time") }); err != nil {
			t.Error(err)
		}
		stop()
		synctest.Wait()
		play(t, s, 1, nil)
	})
}

func TestAClipStartsOverAndKeepsItsFrames(t *testing.T) {
	composed := 0
	s := open(t, replay.Options{
		Clip: replay.Empty, Size: image.Pt(240, 240), FPS: 1,
		Encode: func(dst []byte, img *image.RGBA, quality int) ([]byte, error) {
			composed++
			return tiny(dst, img, quality)
		},
	})
	var first, second []byte
	for n := range 60 {
		f, err := s.Frame(n)
		if err != nil {
			t.Fatal(err)
		}
		first, second = second, bytes.Clone(f.Data)
		f.Release()
	}
	if composed >= 30 || composed < 10 {
		t.Errorf("60 frames took %d compositions, want one for each of the clip's frames", composed)
	}
	if bytes.Equal(first, second) && composed == 1 {
		t.Error("the clip stands still")
	}
}

func TestTheMemoryForKeptFramesIsBounded(t *testing.T) {
	s := open(t, replay.Options{
		Clip: replay.Empty, Size: image.Pt(240, 240),
		Encode: func(dst []byte, _ *image.RGBA, _ int) ([]byte, error) {
			return append(dst, make([]byte, 1<<20)...), nil
		},
	})
	for n := range 40 {
		f, err := s.Frame(n)
		if err != nil {
			t.Fatal(err)
		}
		f.Release()
	}
	if kept := s.Kept(); kept > replay.CacheLimit || kept < replay.CacheLimit/2 {
		t.Errorf("%d bytes are kept of 40 MB, want some, and at most %d", kept, replay.CacheLimit)
	}
}

func TestAFrameIsItsHoldersAlone(t *testing.T) {
	s := open(t, replay.Options{Clip: replay.Empty, Size: image.Pt(240, 240), Encode: tiny})
	for _, n := range []int{0, 0} { // composed, and from what was kept
		f, err := s.Frame(n)
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Clone(f.Data)
		clear(f.Data)
		again, err := s.Frame(n)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again.Data, want) {
			t.Error("writing into one frame changed another")
		}
		f.Release()
		again.Release()
	}
}

func TestAFailingEncoderEndsTheStream(t *testing.T) {
	broken := errors.New("broken")
	for name, encode := range map[string]func([]byte, *image.RGBA, int) ([]byte, error){
		"an error":  func([]byte, *image.RGBA, int) ([]byte, error) { return nil, broken },
		"no output": func(dst []byte, _ *image.RGBA, _ int) ([]byte, error) { return dst, nil },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, replay.Options{Clip: replay.Empty, Size: image.Pt(240, 240), Encode: encode})
			err := s.Stream(t.Context(), (*kiosk.Frame).Release)
			if err == nil || name == "an error" && !errors.Is(err, broken) {
				t.Errorf("Stream() = %v", err)
			}
		})
	}
}

func TestTheStandardEncoderIsUsedWithoutAnother(t *testing.T) {
	s := open(t, replay.Options{Clip: replay.Empty, Size: image.Pt(320, 240)})
	f, err := s.Frame(110)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Release()
	img, err := jpeg.Decode(bytes.NewReader(f.Data))
	if err != nil {
		t.Fatal(err)
	}
	if img.Bounds().Size() != f.Size || f.Size != image.Pt(320, 240) {
		t.Errorf("JPEG of %v in a frame of %v", img.Bounds().Size(), f.Size)
	}
}

func TestImpossibleOptionsAreRefused(t *testing.T) {
	for _, c := range []struct {
		name, want string
		o          replay.Options
	}{
		{"no clip", "no clip", replay.Options{}},
		{"a size that shows nothing", "size 100x720", replay.Options{Clip: replay.Empty, Size: image.Pt(100, 720)}},
		{"a size beyond any encoder", "size 1280x9000", replay.Options{Clip: replay.Empty, Size: image.Pt(1280, 9000)}},
		{"half a size", "size 1280x0", replay.Options{Clip: replay.Empty, Size: image.Pt(1280, 0)}},
		{"a negative rate", "-1 frames/s", replay.Options{Clip: replay.Empty, FPS: -1}},
		{"a rate that no camera has", "1000 frames/s", replay.Options{Clip: replay.Empty, FPS: 1000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := replay.Open(c.o); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Open() error = %v, want %q in it", err, c.want)
			}
		})
	}
}

// picture is a JPEG of a size, different for each shade.
func picture(t *testing.T, size image.Point, shade uint8) []byte {
	t.Helper()
	img := image.NewGray(image.Rectangle{Max: size})
	for i := range img.Pix {
		img.Pix[i] = shade
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// record writes n frames of rising shade into a directory.
func record(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		write(t, dir, string(rune('a'+i))+".jpg", picture(t, image.Pt(32, 24), uint8(50*i)))
	}
	return dir
}

func write(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// shades returns the first pixel of each frame in steps of 50.
func shades(t *testing.T, frames []kiosk.Frame) string {
	t.Helper()
	var out strings.Builder
	for _, f := range frames {
		img, err := jpeg.Decode(bytes.NewReader(f.Data))
		if err != nil {
			t.Fatal(err)
		}
		r, _, _, _ := img.At(0, 0).RGBA()
		out.WriteByte('a' + byte((r>>8+25)/50))
	}
	return out.String()
}

func TestARecordingPlaysInOrderOfItsNames(t *testing.T) {
	for _, c := range []struct {
		name string
		once bool
		want string
	}{
		{"over and over", false, "abcabca"},
		{"once, then the last frame stands", true, "abccccc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := record(t, 3)
			write(t, dir, ".hidden", []byte("no frame"))
			synctest.Test(t, func(t *testing.T) {
				s := open(t, replay.Options{Clip: dir, Once: c.once})
				got := play(t, s, 7, nil)
				if order := shades(t, got); order != c.want {
					t.Errorf("played %s, want %s", order, c.want)
				}
				if want := picture(t, image.Pt(32, 24), 0); !bytes.Equal(got[0].Data, want) || got[0].Size != image.Pt(32, 24) {
					t.Error("a frame is not the file as it is")
				}
			})
		})
	}
}

func TestARecordingComposesTheFrameOfATime(t *testing.T) {
	s := open(t, replay.Options{Clip: record(t, 3), FPS: 10})
	img := s.Compose(150 * time.Millisecond)
	if img == nil || img.Rect != image.Rect(0, 0, 32, 24) {
		t.Fatalf("Compose() = %v", img)
	}
	if got := img.Pix[0]; got < 45 || got > 55 {
		t.Errorf("shade %d, want 50 of the second frame", got)
	}
}

func TestWhatIsNoRecordingIsRefusedByName(t *testing.T) {
	frame := picture(t, image.Pt(32, 24), 0)
	for _, c := range []struct {
		name string
		make func(dir string)
		want string
	}{
		{"an empty directory", func(string) {}, ""},
		{"a file that is no JPEG", func(dir string) { write(t, dir, "a.jpg", frame); write(t, dir, "b.jpg", []byte("text")) }, "b.jpg"},
		{"a file of nothing", func(dir string) { write(t, dir, "a.jpg", nil) }, "a.jpg"},
		{"a frame of another size", func(dir string) {
			write(t, dir, "a.jpg", frame)
			write(t, dir, "b.jpg", picture(t, image.Pt(16, 16), 0))
		}, "b.jpg"},
		{"a directory inside", func(dir string) {
			if err := os.Mkdir(filepath.Join(dir, "inside"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "inside"},
		{"a file larger than any frame", func(dir string) { write(t, dir, "a.jpg", append(bytes.Clone(frame), make([]byte, 16<<20)...)) }, "a.jpg"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			c.make(dir)
			if _, err := replay.Open(replay.Options{Clip: dir}); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, c.want)) {
				t.Errorf("Open() error = %v, want %s in it", err, filepath.Join(dir, c.want))
			}
		})
	}
	t.Run("a path that is not there", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "nowhere")
		if _, err := replay.Open(replay.Options{Clip: dir}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), dir) {
			t.Errorf("Open() error = %v, want %v with the path", err, fs.ErrNotExist)
		}
	})
}

func TestAFrameThatGoesMissingEndsTheStream(t *testing.T) {
	dir := record(t, 3)
	s := open(t, replay.Options{Clip: dir, FPS: 60})
	if err := os.Remove(filepath.Join(dir, "b.jpg")); err != nil {
		t.Fatal(err)
	}
	if err := s.Stream(t.Context(), (*kiosk.Frame).Release); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "b.jpg") {
		t.Errorf("Stream() = %v, want %v with the file's name", err, fs.ErrNotExist)
	}
	if s.Compose(time.Second/50) != nil {
		t.Error("Compose() gives a picture of a missing file")
	}
}
