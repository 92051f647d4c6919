package main

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/commission"
)

// TestALightChallengeNeedsACommissionedLatency has the policy follow the profile:
// nobody is shown colours by which nothing could be measured.
func TestALightChallengeNeedsACommissionedLatency(t *testing.T) {
	latency := func(note kiosk.Note, ms, spread float64) commission.Profile {
		return commission.Profile{}.With("usb", "test", time.Unix(0, 0), kiosk.Reading{
			Step: kiosk.LatencyStep, Note: note, Figures: map[string]float64{"ms": ms, "spread_ms": spread},
		})
	}
	for _, tt := range []struct {
		name    string
		kind    string
		profile commission.Profile
		camera  string
		colours bool
		review  bool
	}{
		{"off", lightOff, latency("", 90, 20), "usb", false, false},
		{"record", lightRecord, latency("", 90, 20), "usb", true, false},
		{"review", lightReview, latency("", 90, 20), "usb", true, true},
		{"not commissioned", lightReview, commission.Profile{}.With("usb", "test", time.Unix(0, 0), kiosk.Reading{Step: kiosk.ExposureStep}), "usb", false, true},
		{"nothing was seen of the flashes", lightReview, latency(kiosk.UnseenNote, 0, 0), "usb", false, true},
		{"too unsteady", lightReview, latency("", 90, 120), "usb", false, true},
		{"another camera", lightReview, latency("", 90, 20), "other", false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := defaults()
			c.Flow.LightChallenge = tt.kind
			path := filepath.Join(t.TempDir(), "profile.json")
			if err := write(path, tt.profile); err != nil {
				t.Fatal(err)
			}
			p, _ := openProfile(path, c.policy(), tt.camera, slog.New(slog.DiscardHandler)).current()
			if got := p.Light.On && p.Light.Lag.Usable(); got != tt.colours {
				t.Errorf("colours %v with %+v, want %v", got, p.Light, tt.colours)
			}
			if got := p.Light.ReviewUnder > 0; got != tt.review {
				t.Errorf("flags %v, want %v", got, tt.review)
			}
			if err := p.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTheLampLightsALittleLater holds the simulated display to the lag that a
// demonstration is commissioned with.
func TestTheLampLightsALittleLater(t *testing.T) {
	l := &lamp{}
	v := kiosk.View{Screen: kiosk.ColoursScreen, Colour: [3]uint8{255, 64, 218}}
	l.shows(kiosk.View{Screen: kiosk.GuidingScreen}, time.Second)
	l.shows(v, 2*time.Second)
	l.shows(v, 3*time.Second) // drawn again
	l.shows(kiosk.View{Screen: kiosk.SavingScreen}, 4*time.Second)
	for _, tt := range []struct {
		at  time.Duration
		red float64
	}{
		{time.Second, 0},
		{2*time.Second + lampLag - 1, 0},
		{2*time.Second + lampLag, lampShare},
		{4*time.Second + lampLag - 1, lampShare},
		{4*time.Second + lampLag, 0},
	} {
		if got := l.light(tt.at); got[0] != tt.red {
			t.Errorf("at %v: %v, want red %v", tt.at, got, tt.red)
		}
	}
	for i := range 3 * lampKeeps { // old colours go
		v.Colour[1] = uint8(i)
		l.shows(v, time.Hour+time.Duration(i)*time.Second)
	}
	if len(l.was) != lampKeeps {
		t.Errorf("%d colours are kept, want %d", len(l.was), lampKeeps)
	}
}
