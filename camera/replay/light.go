package replay

import (
	"image"
	"math"
)

// A Light is how the people and the room are lit. The zero Light is that of the
// clip: soft, from everywhere.
type Light struct {
	// Exposure multiplies all light that the sensor sees, as a longer exposure
	// does; 0 means 1. What is too bright is clipped.
	Exposure float64

	// Room multiplies the light of the room behind the people beside that: over
	// 1 they stand before a window. 0 means 1.
	Room float64

	// Side takes away the soft light by that share and puts a lamp 50 degrees
	// aside of the camera instead, as bright as what it takes away on a surface
	// that faces it: -1..1, positive at the right of the image.
	Side float64

	// Display is the light of the kiosk's own display, red, green and blue in linear
	// light: on a face of Width 0.5 that looks at it, in multiples of the soft light.
	// It falls with the square of the distance, and a sixteenth of it reaches the
	// room behind. The zero Display is dark.
	Display [3]float64
}

// gamma is about the exponent of the sRGB transfer function: multiplying light
// multiplies code values by the root.
const gamma = 2.2

func (l Light) exposure() float64 {
	if l.Exposure == 0 {
		return 1
	}
	return l.Exposure
}

// on returns by how much the code values of a surface that faces a direction
// are multiplied, red, green and blue. width is the Person's.
func (l Light) on(out vec, width float64) [3]float32 {
	k := l.even(out)
	if l.Display == [3]float64{} {
		v := float32(1)
		if k != 1 {
			v = float32(math.Pow(k, 1/gamma))
		}
		return [3]float32{v, v, v}
	}
	near := 4 * width * width * max(0, -out.z) * l.exposure()
	var of [3]float32
	for i, d := range l.Display {
		of[i] = float32(math.Pow(k+near*d, 1/gamma))
	}
	return of
}

// even is the light on a surface that faces a direction, but for the display's.
func (l Light) even(out vec) float64 {
	k := l.exposure()
	if l.Side != 0 {
		sin, cos := math.Sincos(math.Copysign(rad(50), l.Side))
		share := math.Abs(l.Side)
		k *= 1 - share + share*max(0, out.x*sin-out.z*cos)
	}
	return k
}

// behind copies the room in its light.
//
//go:norace
func (l Light) behind(dst, room *image.RGBA) {
	k := l.exposure()
	if l.Room != 0 {
		k *= l.Room
	}
	if k == 1 && l.Display == [3]float64{} {
		copy(dst.Pix, room.Pix)
		return
	}
	var tables [3][256]byte
	for c := range tables {
		times := math.Pow(k+l.exposure()*l.Display[c]/16, 1/gamma)
		for i := range tables[c] {
			tables[c][i] = byte(min(255, math.Round(float64(i)*times)))
		}
	}
	for i := 0; i+3 < len(room.Pix); i += 4 {
		p, q := dst.Pix[i:i+4:i+4], room.Pix[i:i+4:i+4]
		p[0], p[1], p[2], p[3] = tables[0][q[0]], tables[1][q[1]], tables[2][q[2]], 0xff
	}
}
