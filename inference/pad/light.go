package pad

import (
	"math"
	"time"
)

// A Colour is sRGB (IEC 61966-2-1) as the display draws it, 8 bits a channel.
type Colour [3]uint8

// A light challenge shows Neutral for Lead and then Turns colours, each for
// TurnFor: two colours a second and a bit.
const (
	Turns   = 8
	Lead    = 900 * time.Millisecond
	TurnFor = 450 * time.Millisecond

	colours = 5
)

// Neutral is what comes before the first colour, so that the way there from whatever was
// on the display is no part of the measurement.
func Neutral() Colour { return Colour{149, 149, 149} }

// palette is what a challenge shows. The colours have one relative luminance,
// 0.30 to within 0.01, as Neutral has: a change among them is no flash by WCAG 2.2
// (success criterion 2.3.1), which begins at a change of 0.1, and none is a
// saturated red (R/(R+G+B) of 0.8 and more in linear light). Red and blue light
// change all the more.
func palette() [colours]paint {
	return [...]paint{
		{Colour{218, 127, 0}, [3]float32{0.701102, 0.212231, 0}},   // amber
		{Colour{0, 173, 39}, [3]float32{0, 0.417885, 0.0202886}},   // green
		{Colour{0, 158, 225}, [3]float32{0, 0.341914, 0.752942}},   // cyan
		{Colour{124, 139, 255}, [3]float32{0.201556, 0.258183, 1}}, // violet
		{Colour{255, 64, 218}, [3]float32{1, 0.0512695, 0.701102}}, // magenta
	}
}

// A paint is one colour that a challenge shows.
type paint struct {
	shown Colour
	light [3]float32 // the same in linear light: constants, since powers may differ in the last bit between architectures
}

// Colours returns the sequence of a seed: every colour of the palette, and none
// twice in a row. There are 42,000 sequences.
func Colours(seed uint32) (out [Turns]Colour) {
	all := palette()
	for i, k := range sequence(seed) {
		out[i] = all[k].shown
	}
	return out
}

// sequence returns the colours of a seed as places in the palette.
func sequence(seed uint32) (out [Turns]int) {
	// SplitMix64 (Steele, Lea and Flood 2014), which is the same in every release.
	state := uint64(seed)
	draw := func(n uint64) int {
		state += 0x9e3779b97f4a7c15
		z := state
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return int((z ^ z>>31) >> 33 % n)
	}
	for {
		var used [colours]bool
		last, kinds := -1, 0
		for i := range out {
			k := draw(colours)
			for k == last {
				k = draw(colours)
			}
			if out[i], last = k, k; !used[k] {
				used[k] = true
				kinds++
			}
		}
		if kinds == colours {
			return out
		}
	}
}

// A Lag is how long after a colour was drawn the camera's picture shows it, as it
// was commissioned. The zero Lag is none that is known.
type Lag struct {
	Latency time.Duration `json:"latency"` // median
	Spread  time.Duration `json:"spread"`  // between the quartiles
}

// settle is what is left out on either side of a change beside the spread: a
// frame's exposure, and the time that a panel takes to change.
const settle = 40 * time.Millisecond

// Usable reports whether enough of a turn is left for frames that show one colour
// and nothing else.
func (l Lag) Usable() bool {
	return l.Latency > 0 && l.Latency <= time.Second && l.Spread >= 0 && TurnFor-2*(l.Spread+settle) >= 150*time.Millisecond
}

// A Challenge is one light challenge, and what was seen of it. The zero value has
// not begun to be shown. It is a small comparable value that encodes to JSON.
type Challenge struct {
	Seed   uint32               `json:"seed"`
	Seeded bool                 `json:"seeded"` // Seed was told
	Turn   int                  `json:"turn"`   // which colour is on display or about to be, 1..Turns; 0: Neutral
	Drawn  bool                 `json:"drawn"`  // it is
	Over   bool                 `json:"over"`   // each was shown for its time
	From   [Turns]time.Duration `json:"from"`   // when each was drawn, since boot; 0: it was not
	Seen   [Turns]Chroma        `json:"seen"`
	Zero   [2]float32           `json:"zero"`  // chromaticity of the first frame that counted, from which others are told
	Moved  int                  `json:"moved"` // frames that do not count, since nobody, somebody else or somebody who moved was seen
}

// A Chroma sums up the chromaticity of skin over the frames of one turn: red and
// blue as shares of all light, less Challenge.Zero.
type Chroma struct {
	N       int        `json:"n"`
	Sum     [2]float32 `json:"sum"`
	Squares [2]float32 `json:"squares"`
}

// Colour is what the display is to show.
func (c Challenge) Colour() Colour {
	if c.Turn < 1 || c.Turn > Turns {
		return Neutral()
	}
	return Colours(c.Seed)[c.Turn-1]
}

// Draw notes that the colour of Turn was drawn at a time since boot.
func (c Challenge) Draw(at time.Duration) Challenge {
	if c.Drawn = true; c.Turn >= 1 && c.Turn <= Turns {
		c.From[c.Turn-1] = at
	}
	return c
}

// Saw takes the mean colour of the face's skin in linear light, 0..1 a channel, of
// a frame whose exposure began at a time since boot. It counts for the colour that
// was then on display for certain, and that the camera shows for certain, or not
// at all. Skin that is black or blown out has no colour.
func (c Challenge) Saw(lag Lag, at time.Duration, skin [3]float32) Challenge {
	sum := skin[0] + skin[1] + skin[2]
	if !(sum > 0.02) || max(skin[0], skin[1], skin[2]) > 0.9 {
		return c
	}
	for i, from := range c.From {
		if from == 0 || at < from+lag.Latency+lag.Spread+settle || at > from+TurnFor+lag.Latency-lag.Spread-settle {
			continue
		}
		q := [2]float32{skin[0] / sum, skin[2] / sum}
		if c.frames() == 0 {
			c.Zero = q
		}
		s := &c.Seen[i]
		s.N++
		for k := range q {
			d := q[k] - c.Zero[k]
			s.Sum[k] += d
			s.Squares[k] += float32(d * d)
		}
		break
	}
	return c
}

func (c Challenge) frames() (n int) {
	for _, s := range c.Seen {
		n += s.N
	}
	return n
}

// A Reason is why the response to a challenge was not measured.
type Reason string

// The reasons; stable, since they reach traces and metadata.
const (
	Measured Reason = ""        // it was
	Undrawn  Reason = "undrawn" // the display did not show all of the colours
	Few      Reason = "few"     // too few frames to tell
	Moving   Reason = "moved"   // too few since nobody stood still
	Faint    Reason = "faint"   // the face's colour did not change beyond its noise: light in the room too strong, or what is there gives light of its own
)

// A Response is how the colour of a face followed the colours of the display. The
// zero value is that of no challenge.
type Response struct {
	Score  float32 `json:"score"`            // 0..1; 0 if it was not measured
	Reason Reason  `json:"reason,omitempty"` // why it was not
	Swing  float32 `json:"swing"`            // root mean square of the changes in chromaticity, whatever they followed
	Noise  float32 `json:"noise"`            // and of what would be there without any
	Frames int     `json:"frames"`           // that counted
}

// least and most of what is measurable. Our own, from composed pictures: nobody
// has measured them on skin.
const (
	framesLeast = 12        // what five frames a second give
	turnsLeast  = Turns - 1 // with a frame
	swingLeast  = 0.003     // of chromaticity: about a step of 8 bits on skin in good light
	swingNoises = 3         // swing over noise
)

// Response measures how the face followed the colours. For red and for blue:
//
//	y[i]   mean over the frames of turn i of R/(R+G+B), or B/(R+G+B), of the skin
//	x[i]   R - (R+G+B)/3, or B - (R+G+B)/3, of the colour shown, in linear light
//	score  max(0, mean of both cor(y', x'))
//
// where y' and x' are what a straight line over i, by least squares, leaves of y
// and x, so that a drift of daylight or white balance does not count, and cor is
// Pearson's. With ambient light A, which is about neutral, and a share k of the
// display's X, y is (A/3 + k X)/(A + k sum X) but for the skin's own colour: linear
// in x while the display is weaker than the room, and monotonous else. A share of
// all light does not know exposure, distance or how dark the skin is. Active light
// reflection as a cue is Tang et al., Face Flashing (NDSS 2018); this formula is
// our own.
//
// It is not measured where fewer than 7 turns or 12 frames count, or where y' is
// not at least three times what the spread of frames within their turns makes
// expect without any light.
func (c Challenge) Response() Response {
	r := Response{Frames: c.frames()}
	turns := 0
	for _, s := range c.Seen {
		if s.N > 0 {
			turns++
		}
	}
	switch {
	case !c.Over:
		r.Reason = Undrawn
		return r
	case turns < turnsLeast || r.Frames < framesLeast:
		if r.Reason = Few; c.Moved > r.Frames {
			r.Reason = Moving
		}
		return r
	}
	shown, all := sequence(c.Seed), palette()
	var score, swing, noise float32
	for k, channel := range [...]int{0, 2} {
		var x, y, at [Turns]float32
		var within float32
		n := 0
		for i, s := range c.Seen {
			if s.N == 0 {
				continue
			}
			light := all[shown[i]].light
			x[n], at[n] = light[channel]-(light[0]+light[1]+light[2])/3, float32(i)
			y[n] = s.Sum[k] / float32(s.N)
			within += max(0, s.Squares[k]-float32(y[n]*s.Sum[k]))
			n++
		}
		level(at[:n], x[:n])
		level(at[:n], y[:n])
		xx, yy, xy := dot(x[:n], x[:n]), dot(y[:n], y[:n]), dot(x[:n], y[:n])
		if xx > 0 && yy > 0 {
			score += xy / root(float32(xx*yy))
		}
		swing += yy / float32(n-2)
		noise += within / float32(r.Frames-n) * float32(n) / float32(r.Frames)
	}
	r.Swing, r.Noise = root(swing), root(noise)
	if r.Swing < swingLeast || r.Swing < float32(swingNoises*r.Noise) {
		r.Reason = Faint
		return r
	}
	r.Score = min(1, max(0, score/2))
	return r
}

// level takes the straight line over at that fits v best off v.
func level(at, v []float32) {
	n := float32(len(v))
	var ma, mv float32
	for i := range v {
		ma += at[i] / n
		mv += v[i] / n
	}
	var aa, av float32
	for i := range v {
		aa += float32((at[i] - ma) * (at[i] - ma))
		av += float32((at[i] - ma) * (v[i] - mv))
	}
	slope := av / aa
	for i := range v {
		v[i] = (v[i] - mv) - float32(slope*(at[i]-ma))
	}
}

func dot(a, b []float32) (sum float32) {
	for i := range a {
		sum += float32(a[i] * b[i])
	}
	return sum
}

// root is exact to the last bit everywhere, as IEEE 754 asks.
func root(v float32) float32 { return float32(math.Sqrt(float64(v))) }
