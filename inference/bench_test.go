package inference_test

import (
	"image"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"livekiosk/camera/pixel"
	"livekiosk/inference"
	"livekiosk/inference/inferencetest"
	"livekiosk/kiosk"
)

// counted is a network that counts its runs.
type counted struct {
	inference.Model
	runs int
}

func (c *counted) Run() error {
	c.runs++
	return c.Model.Run()
}

// BenchmarkShare compares, on one decoded frame with a face, what this package
// costs with what the networks alone cost, in turns, so that other work on the
// machine falls on all alike. It reports medians of the thread's processor time
// in microseconds, and
//
//	quality/landmarks  all quality components over one run of the landmark network
//	whole/networks     detector, landmarks, quality and PAD over the same runs of
//	                   the bare networks on the same tensors
func BenchmarkShare(b *testing.B) {
	for _, bench := range []struct {
		name  string
		width float64
	}{{"far", 115}, {"near", 190}} {
		b.Run("face="+bench.name, func(b *testing.B) {
			o := inferencetest.Models(b)
			detector, landmarks, pad := &counted{Model: o.Detector}, &counted{Model: o.Landmarks}, &counted{Model: o.PAD}
			img := portraits(b)[1].placed(image.Pt(640, 360), image.Pt(320, 180), bench.width, 0)
			luma := image.NewGray(img.Rect)
			if err := pixel.Turn(nil, luma, img, pixel.Orientation{}); err != nil {
				b.Fatal(err)
			}
			o = inference.Options{Detector: detector, Landmarks: landmarks, PAD: pad, Decoder: pair{img, luma}}
			a, err := inference.New(o)
			if err != nil {
				b.Fatal(err)
			}
			f := &kiosk.Frame{ID: 1, Size: img.Rect.Size()}
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			spent := func() float64 {
				var u unix.Timespec
				if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &u); err != nil {
					b.Fatal(err)
				}
				return float64(u.Nano()) / 1000
			}
			timed := func(do func()) float64 {
				began := spent()
				do()
				return spent() - began
			}
			run := func(c *counted, times int) {
				for range times {
					if err := c.Model.Run(); err != nil {
						b.Fatal(err)
					}
				}
			}
			var whole, bare, mesh, measures []float64
			for b.Loop() {
				detector.runs, landmarks.runs, pad.runs = 0, 0, 0
				var r kiosk.Assessment
				whole = append(whole, timed(func() { r, err = a.Assess(f) }))
				if err != nil || !r.LiveUsable {
					b.Fatalf("live usable %v, %v", r.LiveUsable, err)
				}
				measures = append(measures, timed(func() { a.Measure(img, luma, r.Face) }))
				mesh = append(mesh, timed(func() { run(landmarks, 1) }))
				bare = append(bare, timed(func() { run(detector, detector.runs); run(landmarks, landmarks.runs); run(pad, pad.runs) }))
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(whole), "µs-whole")
			b.ReportMetric(median(bare), "µs-networks")
			b.ReportMetric(median(mesh), "µs-landmarks")
			b.ReportMetric(median(measures), "µs-quality")
			b.ReportMetric(median(measures)/median(mesh), "quality/landmarks")
			b.ReportMetric(median(whole)/median(bare), "whole/networks")
		})
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
