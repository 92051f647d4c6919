package replay

import (
	"image"

	"livekiosk/kiosk"
)

// Frame is the frame number n of a stream.
func (s *Source) Frame(n int) (*kiosk.Frame, error) { return s.frame(n) }

// Forget drops a composed clip's encoded frames.
func (s *Source) Forget() {
	c, ok := s.film.(*clip)
	if !ok {
		panic("not a composed clip")
	}
	clear(c.cache)
	c.cached = 0
}

// Kept is how many bytes of encoded frames are kept.
func (s *Source) Kept() int {
	c, ok := s.film.(*clip)
	if !ok {
		panic("not a composed clip")
	}
	return c.cached
}

// CacheLimit is how many may be kept.
const CacheLimit = cacheLimit

// A Triangle is a triangle.
type Triangle = triangle

// Triangulate is triangulate.
func Triangulate(points [][2]float64) []Triangle { return triangulate(points) }

// Fill draws the triangles over dst with one colour of the given alpha.
func Fill(dst *image.RGBA, corners [][2]float64, triangles []Triangle, alpha uint8) {
	tex := texture{w: 4, h: 4, pix: make([]uint32, 16)}
	for i := range tex.pix {
		tex.pix[i] = texel(255, 255, 255, float64(alpha))
	}
	at := func(i int) spot {
		return spot{float32(corners[i][0]), float32(corners[i][1]), 2, 2, [3]float32{1, 1, 1}}
	}
	for _, t := range triangles {
		fill(dst, &tex, at(t[0]), at(t[1]), at(t[2]))
	}
}

// Proportion is how far the outer corners of the eyes are from each other on a
// frame, divided by the width of the face at the ears, while the face box is
// width pixels wide.
func Proportion(clip string, width float64) float64 {
	p, err := loadOfficer()
	if err != nil {
		panic(err)
	}
	f, depth := p.head(), 1.0
	if clip == Spoof {
		f, depth = p.sheet(), 0
	}
	s := stance{face: width, x: 640, y: 360, focal: 720 * focal}
	across := func(i, j int) float64 {
		var x [2]float64
		for k, n := range [2]int{i, j} {
			v := p.mesh[n]
			x[k], _ = f.project(vertex{at: vec{v.x - p.face.x, v.y - p.face.y, depth * v.z}, turn: 1}, s, f.distance(s), [2]float64{640, 360})
		}
		return x[1] - x[0]
	}
	return across(33, 263) / across(234, 454)
}
