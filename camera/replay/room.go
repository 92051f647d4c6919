package replay

import (
	"image"
	"math"
	"math/rand/v2"
	"time"
)

// A room is what is behind the visitor and the sensor in front of it.
type room struct {
	back  *image.RGBA
	noise []byte // levels of Gaussian noise, 0..noiseLevels-1
	add   [noiseLevels][256]byte
	loud  float64 // how much noise add adds
	seed  uint64
}

const (
	noiseLevels = 64
	noiseLength = 1 << 16

	// Noise of the sensor in code values: read noise, and shot noise at full
	// signal, which grows with the root of the light.
	readNoise = 0.7
	shotNoise = 1.7
)

func newRoom(size image.Point, seed uint64) *room {
	r := &room{back: wall(size, seed), noise: make([]byte, noiseLength+size.X), seed: seed}
	rng := rand.New(rand.NewPCG(seed, 1))
	for i := range r.noise {
		// Eight levels a standard deviation.
		r.noise[i] = byte(max(0, min(noiseLevels-1, math.Round(noiseLevels/2+8*rng.NormFloat64()))))
	}
	return r
}

// amplify makes the noise k times as strong as it is in good light.
func (r *room) amplify(k float64) {
	if k == r.loud {
		return
	}
	r.loud = k
	for level := range noiseLevels {
		for v := range 256 {
			n := k * (float64(level-noiseLevels/2) / 8 * (readNoise + shotNoise*math.Sqrt(float64(v)/255)))
			r.add[level][v] = byte(max(0, min(255, math.Round(float64(v)+n))))
		}
	}
}

// shot adds the sensor's noise at a time.
//
//go:norace
func (r *room) shot(dst *image.RGBA, at time.Duration) {
	rng := rand.NewPCG(r.seed, uint64(at))
	w := dst.Rect.Dx()
	for y := range dst.Rect.Dy() {
		row := dst.Pix[y*dst.Stride:][:4*w]
		noise := r.noise[rng.Uint64()%noiseLength:][:w]
		for _, level := range noise {
			add := &r.add[level%noiseLevels]
			px := row[:4:4]
			px[0], px[1], px[2] = add[px[0]], add[px[1]], add[px[2]]
			row = row[4:]
		}
	}
}

// A colour is sRGB, 0..255.
type colour [3]float64

// A shape is a region of the room with a soft edge.
type shape struct {
	paint colour
	// inside is the distance into the shape from its edge, in short sides of
	// the frame; negative outside. x is 0 in the middle, y is 0 at the top.
	inside func(x, y float64) float64
	soft   float64 // width of the edge, short sides
}

// wall paints the inside of a branch, out of focus: a wall with a glass
// partition, a door and a plant.
//
//go:norace
func wall(size image.Point, seed uint64) *image.RGBA {
	shapes := furniture(seed)
	short := float64(min(size.X, size.Y))
	// What is out of focus needs no more than every fourth pixel.
	const step = 4
	w, h := (size.X+step-1)/step+1, (size.Y+step-1)/step+1
	coarse := make([]colour, w*h)
	blotch := blotches(seed)
	for py := range h {
		for px := range w {
			x, y := (float64(step*px)-float64(size.X)/2)/short, float64(step*py)/short
			tall := float64(size.Y) / short
			// Daylight falls in from the left.
			light := 1.04 - 0.10*(x+0.9)/1.8 - 0.16*y/tall
			c := colour{188 * light, 184 * light, 177 * light}
			for _, s := range shapes {
				if in := s.inside(x, y)/s.soft + 0.5; in > 0 {
					c = c.mix(s.paint, smooth(in))
				}
			}
			dx, dy := 2*float64(px)/float64(w)-1, 2*float64(py)/float64(h)-1
			k := (1 - 0.10*(dx*dx+dy*dy)) * (1 + 0.02*blotch(x, y))
			coarse[py*w+px] = c.lit(k)
		}
	}
	out := image.NewRGBA(image.Rectangle{Max: size})
	line := make([]colour, w)
	for y := range size.Y {
		above, below := coarse[y/step*w:][:w], coarse[(y/step+1)*w:][:w]
		for i := range line {
			line[i] = above[i].mix(below[i], float64(y%step)/step)
		}
		for x := range size.X {
			c := line[x/step].mix(line[x/step+1], float64(x%step)/step)
			px := out.Pix[y*out.Stride+4*x:][:4]
			for k := range c {
				px[k] = byte(max(0, min(255, c[k]+0.5)))
			}
			px[3] = 0xff
		}
	}
	return out
}

// furniture returns the shapes of the room, from back to front.
func furniture(seed uint64) []shape {
	const far, near = 0.016, 0.022 // blur of the back wall and of the plant
	rect := func(x0, y0, x1, y1 float64) func(x, y float64) float64 {
		return func(x, y float64) float64 { return min(x-x0, x1-x, y-y0, y1-y) }
	}
	shapes := []shape{
		// Skirting and the lower wall.
		{colour{142, 137, 131}, rect(-9, 0.74, 9, 9), far},
		{colour{112, 106, 100}, rect(-9, 0.735, 9, 0.75), far},
		// Glass partition with mullions.
		{colour{120, 124, 126}, rect(-1.30, 0.05, -0.36, 0.66), far},
		{colour{186, 200, 206}, rect(-1.28, 0.07, -0.85, 0.64), far},
		{colour{178, 193, 200}, rect(-0.82, 0.07, -0.38, 0.64), far},
		{colour{164, 178, 184}, rect(-9, 0.40, -0.38, 0.43), 0.05},
		// Door, its pane and handle.
		{colour{104, 82, 64}, rect(0.40, 0.09, 0.83, 9), far},
		{colour{138, 108, 82}, rect(0.42, 0.11, 0.81, 9), far},
		{colour{172, 182, 184}, rect(0.52, 0.18, 0.71, 0.46), far},
		{colour{196, 190, 176}, rect(0.44, 0.555, 0.49, 0.57), far},
		// A board over the counter.
		{colour{44, 92, 112}, rect(-0.28, 0.05, 0.30, 0.13), far},
		{colour{198, 206, 208}, rect(-0.20, 0.083, 0.10, 0.097), far},
		// Pot.
		{colour{152, 104, 82}, rect(-0.70, 0.80, -0.54, 9), near},
	}
	rng := rand.New(rand.NewPCG(seed, 2))
	for i := range 22 {
		angle := -math.Pi/2 + (float64(i)/21-0.5)*2.4 + 0.15*rng.NormFloat64()
		length := 0.10 + 0.06*rng.Float64()
		sin, cos := math.Sincos(angle)
		green := 0.75 + 0.5*rng.Float64()
		shapes = append(shapes, shape{
			colour{58 * green, 92 * green, 54 * green},
			ellipse(-0.62+cos*length, 0.79+sin*length*1.3, length, 0.022+0.01*rng.Float64(), angle), near,
		})
	}
	return shapes
}

// ellipse returns roughly the distance into an ellipse from its edge.
//
//go:norace
func ellipse(cx, cy, rx, ry, angle float64) func(x, y float64) float64 {
	sin, cos := math.Sincos(angle)
	return func(x, y float64) float64 {
		dx, dy := x-cx, y-cy
		u, v := (dx*cos+dy*sin)/rx, (dy*cos-dx*sin)/ry
		return (1 - math.Sqrt(u*u+v*v)) * min(rx, ry)
	}
}

// blotches returns smooth noise of about -1..1 over the room: paint, dust and
// shadows.
func blotches(seed uint64) func(x, y float64) float64 {
	rng := rand.New(rand.NewPCG(seed, 3))
	var waves [6][4]float64
	for i := range waves {
		waves[i] = [4]float64{12 * rng.NormFloat64(), 12 * rng.NormFloat64(), 2 * math.Pi * rng.Float64(), 0.4}
	}
	return func(x, y float64) float64 {
		var sum float64
		for _, w := range waves {
			sum += w[3] * math.Sin(w[0]*x+w[1]*y+w[2])
		}
		return sum
	}
}

func (c colour) mix(d colour, share float64) colour {
	for k := range c {
		c[k] += (d[k] - c[k]) * share
	}
	return c
}

// plus adds a share of d, which may be negative.
func (c colour) plus(d colour, share float64) colour {
	for k := range c {
		c[k] += share * d[k]
	}
	return c
}

func (c colour) lit(k float64) colour { return colour{c[0] * k, c[1] * k, c[2] * k} }

// smooth rises from 0 at 0 to 1 at 1.
func smooth(x float64) float64 {
	x = max(0, min(1, x))
	return x * x * (3 - 2*x)
}
