package ui_test

import (
	"fmt"
	"image"
	"syscall"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/ui"
)

// BenchmarkDraw draws frame after frame, as a display does: guiding with a new
// camera image for each, the others unchanged. cpu-ms/op is the processor time
// of all threads, the software renderer's among them.
func BenchmarkDraw(b *testing.B) {
	for _, size := range []image.Point{{X: 720, Y: 1280}, {X: 1280, Y: 800}} {
		for _, s := range []kiosk.Screen{kiosk.IdleScreen, kiosk.ConsentScreen, kiosk.GuidingScreen} {
			b.Run(fmt.Sprintf("screen=%s/size=%dx%d", s, size.X, size.Y), func(b *testing.B) {
				r, err := ui.NewRenderer(size)
				if err != nil {
					b.Fatal(err)
				}
				defer r.Close()
				cams := [3]*image.RGBA{}
				for i := range cams {
					cams[i] = portrait(image.Pt(640, 360))
				}
				dot := image.NewRGBA(image.Rect(0, 0, 1, 1))
				now, seq := time.Unix(0, 0), uint64(0)
				b.ReportAllocs()
				before := processor()
				for b.Loop() {
					now, seq = now.Add(time.Second/15), seq+1
					v := kiosk.View{Session: "s", Screen: s, FaceGoal: 0.4, Hint: kiosk.HoldStill, Ring: float32(seq%100) / 100}
					if err := r.Draw(now, v, cams[seq%3], seq); err != nil {
						b.Fatal(err)
					}
				}
				if err := r.Read(dot); err != nil { // until the last frame is done
					b.Fatal(err)
				}
				b.ReportMetric(float64(processor()-before)/1e6/float64(b.N), "cpu-ms/op")
			})
		}
	}
}

func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
