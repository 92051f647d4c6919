package screens

import (
	"encoding/binary"
	"image"
	"image/color"
	"math"
)

// A mirror makes the picture behind the oval: the camera image turned left to
// right as in a mirror, cut and scaled to cover an area of the display, and
// dimmed outside the oval.
//
// It does so on the processor, pixel for pixel of the display, because that is
// the cheapest way through the renderer: an image drawn unscaled needs neither
// a stencil nor mipmaps, and both cost more in software than this does. It is
// also smooth, which sampling the nearest pixel is not.
type mirror struct {
	key mirrorKey
	out [2]*image.RGBA // drawn in turn: the last may still be on its way
	cur int

	column []sample // for each x of the display
	wide   []uint64 // one row of the source, for line
	from   int      // where it begins in the source's row
	row    []sample // for each y
	open   []span   // for each y: the inside of the oval
	lines  [2][]uint64
	at     [2]int // which row of the source lines hold
}

// A mirrorKey is all that the tables depend on.
type mirrorKey struct {
	src, dst image.Point
	oval     image.Rectangle // within dst
}

// A sample lies between two neighbours in the source: at+step has the weight
// part, of 256.
type sample struct {
	at, step int
	part     uint64
}

type span struct{ from, to int }

// draw returns the picture of src for an area of the given size. scrim is laid
// over what lies outside the oval, blended by its alpha. src must not be
// empty; it is not kept. The picture is valid until the call after next.
func (m *mirror) draw(src *image.RGBA, size image.Point, oval image.Rectangle, scrim color.NRGBA) *image.RGBA {
	if key := (mirrorKey{src.Bounds().Size(), size, oval}); m.key != key {
		m.prepare(key)
	}
	m.cur = 1 - m.cur
	out := m.out[m.cur]
	m.at = [2]int{-1, -1}
	keep := 256 - (uint64(scrim.A)*256+127)/255
	veil := lanes(uint32(scrim.R)|uint32(scrim.G)<<8|uint32(scrim.B)<<16|0xff<<24) * (256 - keep)
	for y, r := range m.row {
		a, b := m.line(src, r.at), m.line(src, r.at+r.step)
		px := out.Pix[y*out.Stride : y*out.Stride+4*size.X]
		from := min(max(m.open[y].from, 0), size.X)
		to := min(max(m.open[y].to, from), size.X)
		mixDim(px[:4*from], a[:from], b[:from], r.part, keep, veil)
		mix(px[4*from:4*to], a[from:to], b[from:to], r.part)
		mixDim(px[4*to:], a[to:], b[to:], r.part, keep, veil)
	}
	return out
}

// opaque is the alpha of every pixel drawn, whatever the camera's was.
const opaque = 0xff << 24

// mix weighs b against a by part, of 256, into the pixels px.
func mix(px []byte, a, b []uint64, part uint64) {
	rest := 256 - part
	b = b[:len(a)]
	for x, v := range a {
		v = (v*rest + b[x]*part) >> 8 & laneMask
		binary.LittleEndian.PutUint32(px[:4], pack(v)|opaque)
		px = px[4:]
	}
}

// mixDim is mix, and lays veil over what it keeps, of 256.
func mixDim(px []byte, a, b []uint64, part, keep, veil uint64) {
	rest := 256 - part
	b = b[:len(a)]
	for x, v := range a {
		v = (v*rest + b[x]*part) >> 8 & laneMask
		v = (v*keep + veil) >> 8 & laneMask
		binary.LittleEndian.PutUint32(px[:4], pack(v)|opaque)
		px = px[4:]
	}
}

// line returns row y of src, scaled and mirrored, from the two that are kept.
func (m *mirror) line(src *image.RGBA, y int) []uint64 {
	slot := y & 1
	if m.at[slot] == y {
		return m.lines[slot]
	}
	m.at[slot] = y
	line := m.lines[slot]
	from := src.PixOffset(src.Rect.Min.X, src.Rect.Min.Y+y)
	px := src.Pix[from : from+4*src.Rect.Dx()][4*m.from:]
	for i := range m.wide {
		m.wide[i] = lanes(binary.LittleEndian.Uint32(px[:4]))
		px = px[4:]
	}
	for x, c := range m.column {
		a, b := m.wide[c.at], m.wide[c.at+c.step]
		line[x] = (a*(256-c.part) + b*c.part) >> 8 & laneMask
	}
	return line
}

func (m *mirror) prepare(key mirrorKey) {
	m.clear()
	m.key = key
	for i := range m.out {
		m.out[i] = image.NewRGBA(image.Rectangle{Max: key.dst})
		m.lines[i] = make([]uint64, key.dst.X)
	}
	m.column = make([]sample, key.dst.X)
	m.row = make([]sample, key.dst.Y)
	m.open = make([]span, key.dst.Y)
	k := cover(key.src, key.dst)
	for x := range m.column {
		m.column[x] = between(float64(key.src.X)/2-(float64(x)+0.5-float64(key.dst.X)/2)/k-0.5, key.src.X)
	}
	// Only what is seen of a row is worth spreading; the display's left is its right.
	last := m.column[0]
	m.from = m.column[key.dst.X-1].at
	m.wide = make([]uint64, last.at+last.step+1-m.from)
	for x := range m.column {
		m.column[x].at -= m.from
	}
	for y := range m.row {
		m.row[y] = between(float64(key.src.Y)/2+(float64(y)+0.5-float64(key.dst.Y)/2)/k-0.5, key.src.Y)
	}
	cx, cy := float64(key.oval.Min.X+key.oval.Max.X)/2, float64(key.oval.Min.Y+key.oval.Max.Y)/2
	rx, ry := float64(key.oval.Dx())/2, float64(key.oval.Dy())/2
	for y := range m.open {
		dy := (float64(y) + 0.5 - cy) / ry
		if math.Abs(dy) < 1 {
			half := rx * math.Sqrt(1-dy*dy)
			m.open[y] = span{int(math.Ceil(cx - half)), int(math.Floor(cx + half))}
		}
	}
}

// clear erases every pixel and lets go of the memory.
func (m *mirror) clear() {
	for i := range m.out {
		if m.out[i] != nil {
			clear(m.out[i].Pix)
		}
		clear(m.lines[i])
	}
	clear(m.wide)
	*m = mirror{}
}

// cover returns how many pixels of dst one pixel of src takes if src is to
// cover dst about its centre.
func cover(src, dst image.Point) float64 {
	return max(float64(dst.X)/float64(src.X), float64(dst.Y)/float64(src.Y))
}

// between returns the sample at position p of n.
func between(p float64, n int) sample {
	p = min(max(p, 0), float64(n-1))
	at := int(p)
	s := sample{at: at, step: 1, part: uint64((p - float64(at)) * 256)}
	if at == n-1 {
		s.step, s.part = 0, 0
	}
	return s
}

// laneMask selects a byte in each of four lanes of 16 bits: room to weigh four
// channels by 256 parts in one multiplication.
const laneMask = 0x00ff00ff00ff00ff

func lanes(p uint32) uint64 {
	v := uint64(p)
	v = (v | v<<16) & 0x0000ffff0000ffff
	return (v | v<<8) & laneMask
}

func pack(v uint64) uint32 {
	v = (v | v>>8) & 0x0000ffff0000ffff
	return uint32(v | v>>16)
}
