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
// are multiplied.
func (l Light) on(out vec) float64 {
	k := l.exposure()
	if l.Side != 0 {
		sin, cos := math.Sincos(math.Copysign(rad(50), l.Side))
		share := math.Abs(l.Side)
		k *= 1 - share + share*max(0, out.x*sin-out.z*cos)
	}
	if k == 1 {
		return 1
	}
	return math.Pow(k, 1/gamma)
}

// behind copies the room in its light.
func (l Light) behind(dst, room *image.RGBA) {
	k := l.exposure()
	if l.Room != 0 {
		k *= l.Room
	}
	if k == 1 {
		copy(dst.Pix, room.Pix)
		return
	}
	k = math.Pow(k, 1/gamma)
	var table [256]byte
	for i := range table {
		table[i] = byte(min(255, math.Round(float64(i)*k)))
	}
	for i := 0; i+3 < len(room.Pix); i += 4 {
		p, q := dst.Pix[i:i+4:i+4], room.Pix[i:i+4:i+4]
		p[0], p[1], p[2], p[3] = table[q[0]], table[q[1]], table[q[2]], 0xff
	}
}
