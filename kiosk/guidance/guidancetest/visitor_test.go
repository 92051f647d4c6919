package guidancetest_test

import (
	"math"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/guidance/guidancetest"
)

// TestVisitorsAreLateSlowAndNotQuiteRight holds the visitors to what they are to be:
// 0.8 s late, 0.5 m/s slow, and now and then 10 degrees wrong.
func TestVisitorsAreLateSlowAndNotQuiteRight(t *testing.T) {
	slips := 0
	const visitors = 300
	for seed := range uint64(visitors) {
		at := time.Hour
		v := guidancetest.NewVisitor(seed, at)
		before := v.At(at)
		pass := func(d time.Duration) guidancetest.Body {
			var b guidancetest.Body
			for range d / (10 * time.Millisecond) {
				at += 10 * time.Millisecond
				b = v.At(at)
				way := math.Hypot(math.Hypot(b.X-before.X, b.Y-before.Y), b.Away-before.Away)
				if way > 0.005+0.002 { // with swaying and a step
					t.Fatalf("visitor %d goes %.1f cm in 10 ms", seed, 100*way)
				}
				before = b
			}
			return b
		}
		stand := pass(8 * time.Second)
		if arrived, ok := v.Arrived(); !ok || math.Abs(stand.Away-v.Place) > 0.01 {
			t.Fatalf("visitor %d, unasked, is %.2f m away, arrived %v at %v; want %.2f m", seed, stand.Away, ok, arrived, v.Place)
		}
		v.Show(at, kiosk.View{Hint: kiosk.FaceTooClose, FaceGoal: 0.1})
		late := pass(790 * time.Millisecond)
		if math.Abs(late.Away-stand.Away) > 0.015 {
			t.Fatalf("visitor %d reacts in less than 0.8 s", seed)
		}
		moves := pass(310 * time.Millisecond)
		if gone := moves.Away - late.Away; gone < 0.13 || gone > 0.165 {
			t.Fatalf("visitor %d goes %.0f cm in 0.3 s", seed, 100*gone)
		}
		if math.Abs(moves.Yaw-late.Yaw) > 8 {
			slips++
		}
	}
	if slips < visitors*15/100 || slips > visitors*25/100 {
		t.Errorf("%d of %d turn wrongly, want about a fifth", slips, visitors)
	}
}
