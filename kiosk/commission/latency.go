package commission

import (
	"time"

	"livekiosk/kiosk"
)

// A Sample is the mean luma of one frame, 0..255, at its time since boot.
type Sample struct {
	At   time.Duration
	Luma float64
}

// An Edge is when a change of the patch on the screen was drawn, since boot, and
// whether it became white.
type Edge struct {
	At time.Duration
	On bool
}

// FlashEvery is how long the patch stays as it is: 0.8 flashes a second, where
// WCAG 2.3.1 allows three.
const FlashEvery = 600 * time.Millisecond

// Flashes is how many changes are measured.
const Flashes = 8

const (
	contrastLeast = 1.5                    // luma that the flash adds to the picture, at least
	noiseTimes    = 4                      // and over what the picture changes by itself
	latest        = 450 * time.Millisecond // of a latency
)

// Latency returns how long after a change was drawn the camera's picture shows
// it. Where most of the changes cannot be told from what the picture does by
// itself, the step is passed with kiosk.UnseenNote, and nothing is known.
func Latency(samples []Sample, edges []Edge) kiosk.Reading {
	r := kiosk.Reading{Step: kiosk.LatencyStep, Progress: 1, Ended: true, Passed: true, Figures: map[string]float64{"flashes": float64(len(edges))}}
	var late, contrast []float64
	for _, e := range edges {
		before := between(samples, e.At-latest/2, e.At)
		after := between(samples, e.At+latest, e.At+FlashEvery)
		if len(before) < 3 || len(after) < 2 {
			continue
		}
		low, noise := middle(lumas(before))
		high, _ := middle(lumas(after))
		step := high - low
		if !e.On {
			step = -step
		}
		if step < contrastLeast || step < noiseTimes*noise {
			continue
		}
		if at, crossed := crossing(between(samples, e.At, e.At+latest), before[len(before)-1], (low+high)/2, e.On); crossed {
			late, contrast = append(late, float64(max(at-e.At, 0))/float64(time.Millisecond)), append(contrast, step)
		}
	}
	if len(late) == 0 || len(late) < (len(edges)+1)/2 {
		r.Note = kiosk.UnseenNote
		return r
	}
	r.Figures["ms"], r.Figures["spread_ms"] = middle(late)
	r.Figures["contrast"], _ = middle(contrast)
	return r
}

// crossing returns when luma went through the middle, between the frames on
// either side.
func crossing(samples []Sample, last Sample, mid float64, rising bool) (time.Duration, bool) {
	for _, s := range samples {
		if rising && s.Luma >= mid || !rising && s.Luma <= mid {
			share := (mid - last.Luma) / (s.Luma - last.Luma)
			if !(share >= 0 && share <= 1) {
				share = 1
			}
			return last.At + time.Duration(share*float64(s.At-last.At)), true
		}
		last = s
	}
	return 0, false
}

func between(all []Sample, from, to time.Duration) (in []Sample) {
	for _, s := range all {
		if s.At > from && s.At <= to {
			in = append(in, s)
		}
	}
	return in
}

func lumas(all []Sample) (of []float64) {
	for _, s := range all {
		of = append(of, s.Luma)
	}
	return of
}
