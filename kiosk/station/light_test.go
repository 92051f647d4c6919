package station_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"livekiosk/inference/pad"
	"livekiosk/kiosk"
	"livekiosk/kiosk/flow"
)

// A lamp is a display that draws the colours of a light challenge, and lights a
// face with them.
type lamp struct {
	session kiosk.SessionID
	turn    int
	at      []time.Duration
	shown   [][3]uint8
	asleep  bool // nothing is drawn
}

const lampLag = 90 * time.Millisecond

// lights draws what b shows, and has a's face reflect it.
func (l *lamp) lights(b *bench, a *kiosk.Assessment) {
	b.t.Helper()
	if !b.frozen.Load() {
		return
	}
	if v := b.view(); v.Screen == kiosk.ColoursScreen && !l.asleep && (len(l.at) == 0 || v.Turn != l.turn || v.Session != l.session) {
		l.session, l.turn = v.Session, v.Turn
		l.at, l.shown = append(l.at, b.now()), append(l.shown, v.Colour)
		if err := b.Drawn(b.t.Context(), v.Session, v.Turn, b.now()); err != nil {
			b.t.Fatal(err)
		}
		synctest.Wait()
	}
	a.Skin = [3]float32{0.3, 0.2, 0.14}
	for i := len(l.at) - 1; i >= 0; i-- {
		if a.At < l.at[i]+lampLag {
			continue
		}
		for k, v := range l.shown[i] {
			a.Skin[k] *= 1 + 0.1*float32(v)*float32(v)/65025
		}
		return
	}
}

// lit is a bench at a kiosk with a light challenge that was commissioned.
func lit(t *testing.T) *bench {
	t.Helper()
	p := flow.Standard()
	p.Light.On, p.Light.ReviewUnder, p.Light.Lag = true, 0.6, pad.Lag{Latency: lampLag, Spread: 20 * time.Millisecond}
	return newBenchOf(t, flow.State{}, p)
}

// challenged brings a session to the middle of its light challenge.
func (b *bench) challenged(id kiosk.SessionID) {
	b.t.Helper()
	for _, c := range []kiosk.Control{kiosk.Agree, kiosk.Ready, kiosk.Flash} {
		b.tap(id, c)
	}
	b.look(1500*time.Millisecond, 0.33, 0.9)
	for range 60 {
		if b.State().Phase == flow.Colours {
			break
		}
		b.look(100*time.Millisecond, 0.53, 0.9)
	}
	b.look(2*time.Second, 0.53, 0.9)
	if s := b.State(); s.Phase != flow.Colours || !b.frozen.Load() || !b.watching.Load() {
		b.t.Fatalf("phase %s, frozen %v, watching %v", s.Phase, b.frozen.Load(), b.watching.Load())
	}
}

// stored returns what was stored of a session's first attempt.
func (b *bench) stored(id kiosk.SessionID) (s kiosk.Submission, light *flow.Response) {
	b.t.Helper()
	b.outbox.mu.Lock()
	defer b.outbox.mu.Unlock()
	s, ok := b.outbox.stored[kiosk.RecordID(string(id)+"-1")]
	if !ok {
		b.t.Fatalf("nothing stored; screens %v\n%s", b.screens(), b.log.String())
	}
	var m struct {
		Light *flow.Response `json:"light"`
	}
	if err := json.Unmarshal(s.Metadata, &m); err != nil {
		b.t.Fatal(err)
	}
	return s, m.Light
}

func TestALightChallengeGoesIntoTheMetadata(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := lit(t)
		id := b.launch(launch())
		b.challenged(id)
		b.look(4*time.Second, 0.53, 0.9)
		s, light := b.stored(id)
		if light == nil || light.Reason != pad.Measured || light.Score < 0.95 || s.Review || len(s.Images) != 2 {
			t.Errorf("light %+v, review %v", light, s.Review)
		}
		if b.frozen.Load() || b.watching.Load() {
			t.Error("the camera stays frozen, or on")
		}
		b.wait(10 * time.Minute)
		b.replays(id)
	})
}

// A record does not tell who wanted no colours: it may be about their health.
func TestWhoWantsNoColoursHasTheRecordOfAKioskWithoutThem(t *testing.T) {
	for name, taps := range map[string][]kiosk.Control{
		"asked":         {kiosk.Agree, kiosk.Ready, kiosk.NoFlash},
		"wished before": {kiosk.NoFlash, kiosk.Agree, kiosk.Ready},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := lit(t)
				id := b.launch(launch())
				for _, c := range taps {
					b.tap(id, c)
				}
				b.look(1500*time.Millisecond, 0.33, 0.9)
				b.look(2500*time.Millisecond, 0.53, 0.9)
				s, light := b.stored(id)
				if light != nil || s.Review || strings.Contains(strings.ToLower(string(s.Metadata)), "flash") {
					t.Errorf("review %v, metadata %s", s.Review, s.Metadata)
				}
			})
		})
	}
}

// TestTheCameraIsThawedWhateverHappens ends challenges in all the ways there are.
func TestTheCameraIsThawedWhateverHappens(t *testing.T) {
	for _, tt := range []struct {
		name    string
		happens func(b *bench, id kiosk.SessionID)
		gone    bool // nothing is stored
	}{
		{"the visitor leaves the session", func(b *bench, id kiosk.SessionID) { b.tap(id, kiosk.Cancel) }, true},
		{"the visitor stops the colours", func(b *bench, id kiosk.SessionID) { b.tap(id, kiosk.NoFlash) }, false},
		{"the camera is gone", func(b *bench, _ kiosk.SessionID) {
			if err := b.Fault(b.t.Context(), kiosk.CameraFault, true); err != nil {
				b.t.Fatal(err)
			}
			synctest.Wait()
		}, false},
		{"the display sleeps", func(b *bench, _ kiosk.SessionID) {
			b.lamp.asleep = true
			b.look(4*time.Second, 0.53, 0.9)
		}, false},
		{"no frame comes any more", func(b *bench, _ kiosk.SessionID) { b.wait(5 * time.Second) }, false},
		{"the case is opened", func(b *bench, _ kiosk.SessionID) {
			if err := b.Void(b.t.Context(), kiosk.TamperBreach); err != nil {
				b.t.Fatal(err)
			}
			synctest.Wait()
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := lit(t)
				id := b.launch(launch())
				b.challenged(id)
				tt.happens(b, id)
				if b.frozen.Load() || b.watching.Load() {
					t.Errorf("frozen %v, camera on %v, in %s", b.frozen.Load(), b.watching.Load(), b.State().Phase)
				}
				if !tt.gone {
					if s, _ := b.stored(id); s.Review {
						t.Error("flagged for a challenge that was cut short")
					}
				}
			})
		})
	}
	t.Run("the daemon stops", func(t *testing.T) {
		var b *bench
		synctest.Test(t, func(t *testing.T) {
			b = lit(t)
			b.challenged(b.launch(launch()))
		})
		if b.frozen.Load() {
			t.Error("frozen after the stop")
		}
	})
}
