package replay_test

import (
	"fmt"
	"image"
	"testing"
	"time"

	"livekiosk/camera/jpeg"
	"livekiosk/camera/replay"
)

func BenchmarkCompose(b *testing.B) {
	for _, clip := range []string{replay.Empty, replay.Portrait, replay.Spoof} {
		for _, size := range []image.Point{{640, 480}, {1280, 720}} {
			b.Run(fmt.Sprintf("clip=%s/size=%dx%d", clip, size.X, size.Y), func(b *testing.B) {
				s := open(b, replay.Options{Clip: clip, Size: size})
				b.SetBytes(int64(4 * size.X * size.Y))
				b.ReportAllocs()
				for b.Loop() {
					s.Compose(nearHold)
				}
			})
		}
	}
}

func BenchmarkFrame(b *testing.B) {
	for _, cached := range []bool{false, true} {
		b.Run(fmt.Sprintf("size=1280x720/cached=%t", cached), func(b *testing.B) {
			enc := jpeg.NewEncoder()
			defer enc.Close()
			s := open(b, replay.Options{Clip: replay.Portrait, Encode: enc.Encode})
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				if !cached {
					s.Forget()
				}
				f, err := s.Frame(150 + n%2)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(f.Data)))
				f.Release()
				n++
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, clip := range []string{replay.Empty, replay.Portrait, replay.Spoof} {
		b.Run("clip="+clip, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				open(b, replay.Options{Clip: clip})
			}
		})
	}
}

const (
	farHold  = 7500 * time.Millisecond
	nearHold = 11500 * time.Millisecond
)

func open(tb testing.TB, o replay.Options) *replay.Source {
	tb.Helper()
	s, err := replay.Open(o)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}
