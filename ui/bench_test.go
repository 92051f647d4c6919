package ui_test

import (
	"fmt"
	"image"
	"syscall"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/ui"
	"livekiosk/ui/uitest"
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
					cams[i] = ui.Person(image.Pt(640, 360))
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

// BenchmarkGuidance draws a guidance frame with a new 720p camera image, and in
// turn with it what the driver alone needs to upload that image and draw it
// over a target of the same size, with a linear filter. Both are in processor
// time of all threads; x-bare is how many times as much the frame takes, and
// is to be at most 2.5.
func BenchmarkGuidance(b *testing.B) {
	for _, size := range []image.Point{{X: 720, Y: 1280}, {X: 1280, Y: 800}, {X: 1080, Y: 1920}} {
		b.Run(fmt.Sprintf("size=%dx%d", size.X, size.Y), func(b *testing.B) {
			r, err := ui.NewRenderer(size)
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close()
			cams := [3]*image.RGBA{}
			for i := range cams {
				cams[i] = ui.Person(image.Pt(1280, 720))
			}
			bare, err := uitest.OpenBare(size, cams[0].Rect.Size())
			if err != nil {
				b.Fatal(err)
			}
			defer bare.Close()
			dot := image.NewRGBA(image.Rect(0, 0, 1, 1))
			v := sample(kiosk.GuidingScreen, kiosk.English)
			now, seq := time.Unix(0, 0), uint64(0)
			var ours, alone time.Duration
			for b.Loop() {
				const turn = 10 // frames each: the renderer may finish one while the next begins
				before := processor()
				for range turn {
					now, seq = now.Add(time.Second/15), seq+1
					v.Ring = float32(seq%100) / 100
					if err := r.Draw(now, v, cams[seq%3], seq); err != nil {
						b.Fatal(err)
					}
				}
				if err := r.Read(dot); err != nil { // until the last frame is done
					b.Fatal(err)
				}
				between := processor()
				for i := range turn {
					if err := bare.Draw(cams[i%3]); err != nil {
						b.Fatal(err)
					}
				}
				ours, alone = ours+between-before, alone+processor()-between
			}
			frames := 10 * float64(b.N)
			b.ReportMetric(float64(ours)/1e6/frames, "cpu-ms/frame")
			b.ReportMetric(float64(alone)/1e6/frames, "bare-ms/frame")
			b.ReportMetric(float64(ours)/float64(alone), "x-bare")
		})
	}
}
