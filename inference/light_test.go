package inference_test

import (
	"image"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"livekiosk/camera/replay"
	"livekiosk/inference"
	"livekiosk/inference/inferencetest"
	"livekiosk/inference/pad"
)

// A sitting is somebody before a light challenge, composed.
type sitting struct {
	seed    uint32 // of the challenge
	lit     uint32 // of the sequence whose light is on the face
	display float64
	person  replay.Person
}

// lightLag is the camera's and the display's, as it was commissioned.
var lightLag = pad.Lag{Latency: 95 * time.Millisecond, Spread: 15 * time.Millisecond}

// linearLight undoes sRGB's transfer function.
func linearLight(c pad.Colour) (out [3]float64) {
	for i, v := range c {
		x := float64(v) / 255
		if out[i] = x / 12.92; x > 0.04045 {
			out[i] = math.Pow((x+0.055)/1.055, 2.4)
		}
	}
	return out
}

// challenge composes the challenge at six frames a second, as JPEG, of a person who
// sways as people do who hold still, and returns what the networks and pad make of
// it.
func (s sitting) challenge(t *testing.T, a *inference.Analyser, c *replay.Composer) pad.Response {
	t.Helper()
	const start = time.Hour
	rng := rand.New(rand.NewPCG(uint64(s.seed), 3))
	shown := pad.Colours(s.lit)
	ch := pad.Challenge{Seed: s.seed, Seeded: true, Turn: pad.Turns, Drawn: true, Over: true}
	at := start + pad.Lead
	for i := range ch.From {
		ch.From[i] = at
		at += pad.TurnFor + time.Duration(rng.IntN(20))*time.Millisecond
	}
	img := image.NewRGBA(image.Rectangle{Max: c.Size()})
	phase := 2 * math.Pi * rng.Float64()
	for now := ch.From[0]; now < at+lightLag.Latency; now += time.Second / 6 {
		colour := pad.Neutral()
		for i, from := range ch.From {
			if now >= from+lightLag.Latency {
				colour = shown[i]
			}
		}
		p, sway := s.person, math.Sin(phase+2*math.Pi*0.4*(now-start).Seconds())
		p.X, p.Y, p.Width = 0.5+0.012*sway, 0.5, 0.5*(1+0.015*sway)
		p.Yaw, p.Pitch = 3*sway, 1+2*sway
		light := replay.Light{Exposure: 0.75, Display: linearLight(colour)}
		for k := range light.Display {
			light.Display[k] *= s.display
		}
		c.Draw(img, replay.Scene{People: []replay.Person{p}, Light: light, At: now})
		got, err := a.Assess(frame(t, 1, img, nil))
		if err != nil {
			t.Fatal(err)
		}
		if got.Faces == 1 {
			ch = ch.Saw(lightLag, now, got.Skin)
		}
	}
	return ch.Response()
}

// TestALightChallengeOfComposedPictures puts composed people before a composed
// challenge. It says how the parts fit together, and nothing of real skin, rooms,
// displays or attacks: nobody has measured those.
func TestALightChallengeOfComposedPictures(t *testing.T) {
	o := inferencetest.Models(t)
	o.Decoder, o.Skin = decoder(t), func() bool { return true }
	a, err := inference.New(o)
	if err != nil {
		t.Fatal(err)
	}
	c, err := replay.NewComposer(image.Pt(480, 360), 1)
	if err != nil {
		t.Fatal(err)
	}
	wardrobe, err := replay.NewWardrobe()
	if err != nil {
		t.Fatal(err)
	}
	dark := wardrobe.Dress(replay.Look{Tone: [3]float64{0.3, 0.21, 0.17}})
	for _, tt := range []struct {
		name   string
		s      sitting
		other  bool
		reason pad.Reason
		least  float32
		most   float32
	}{
		{name: "a face in office light", s: sitting{display: 0.25}, least: 0.9, most: 1},
		{name: "a face of dark skin", s: sitting{display: 0.25, person: replay.Person{Visitor: dark}}, least: 0.9, most: 1},
		{name: "a face in a room six times as bright", s: sitting{display: 0.04}, least: 0.8, most: 1},
		{name: "a recording of another challenge", s: sitting{display: 0.25}, other: true, most: 0.75},
		{name: "a face in the sun", s: sitting{display: 0.0005}, reason: pad.Faint},
		{name: "a display that shows a face", s: sitting{}, reason: pad.Faint},
		// What is to be known of the cue: paper gives back colours as skin does.
		{name: "a print on paper", s: sitting{display: 0.25, person: replay.Person{Print: true}}, least: 0.8, most: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range uint32(*variations) {
				tt.s.seed, tt.s.lit = seed+40, seed+40
				if tt.other {
					tt.s.lit = seed + 90
				}
				r := tt.s.challenge(t, a, c)
				t.Logf("%+v", r)
				if r.Reason != tt.reason || r.Score < tt.least || r.Score > tt.most {
					t.Errorf("%+v, want reason %q and a score of %.2f to %.2f", r, tt.reason, tt.least, tt.most)
				}
			}
		})
	}
}
