package pixel

import "encoding/binary"

// A palette holds what each value of luma and chroma adds to red, green and
// blue, in three lanes of one word. A pixel takes three look-ups and two
// additions then, where nine multiplications and six comparisons are slower.
type palette struct {
	luma, cb, cr [256]uint64
	whole        [1 << laneWhole]byte // the whole part of a lane, limited to 0..255
	level        [256]byte            // luma on the full range
}

// A lane is a number with laneWhole bits before the point and laneShare after
// it, of which bias is 0: sums of a pixel are in -278..535.
const (
	laneWhole = 11
	laneShare = 10
	laneBits  = laneWhole + laneShare
	bias      = 512
)

// newPalette computes BT.601 in integers of 2^-16: R = Y + 1.402 V, G = Y -
// 0.344136 U - 0.714136 V, B = Y + 1.772 U for the full range; times 255/219
// for luma and 255/224 for chroma for the limited one.
func newPalette(r Range) (p palette) {
	var black, gain, redV, greenU, greenV, blueU int64 = 16, 76309, 104597, -25675, -53279, 132201
	if r == Full {
		black, gain, redV, greenU, greenV, blueU = 0, 65536, 91881, -22553, -46802, 116130
	}
	for i := range int64(256) {
		y := gain*(i-black) + (bias*2+1)<<15 // half a level more, to round
		p.luma[i] = lane(y, 0) + lane(y, 1) + lane(y, 2)
		c := i - 128
		p.cb[i] = lane(greenU*c, 1) + lane(blueU*c, 2)
		p.cr[i] = lane(redV*c, 0) + lane(greenV*c, 1)
	}
	for i := range p.whole {
		p.whole[i] = byte(min(max(i-bias, 0), 255))
	}
	for i, y := range p.luma {
		p.level[i] = p.whole[y>>laneShare&(1<<laneWhole-1)]
	}
	return p
}

// lane rounds v, of 2^-16, to a lane and puts it in its place. A negative one
// borrows from the lanes above it, which adding a pixel's luma gives back.
func lane(v int64, place int) uint64 {
	const less = 16 - laneShare
	return uint64((v+1<<(less-1))>>less) << (place * laneBits)
}

// opaque is the alpha of every pixel, in a pixel's four bytes.
const opaque = 0xff << 24

// colours writes k pixels of s as RGBA, the first to pix[at:], each other step
// bytes after the one before.
func (p *palette) colours(pix []byte, at, step int, s *strip, k int) {
	cb, cr := s.cb[:k], s.cr[:k]
	for i, y := range s.luma[:k] {
		sum := p.luma[y] + p.cb[cb[i]] + p.cr[cr[i]]
		const mask = 1<<laneWhole - 1
		r := uint32(p.whole[sum>>laneShare&mask])
		g := uint32(p.whole[sum>>(laneShare+laneBits)&mask])
		b := uint32(p.whole[sum>>(laneShare+2*laneBits)&mask])
		binary.LittleEndian.PutUint32(pix[at:at+4], r|g<<8|b<<16|opaque)
		at += step
	}
}

// levels writes the luma of k pixels of s, on the full range, as colours does.
func (p *palette) levels(pix []byte, at, step int, s *strip, k int) {
	if step == 1 {
		out := pix[at:][:k]
		for i, y := range s.luma[:k] {
			out[i] = p.level[y]
		}
		return
	}
	for _, y := range s.luma[:k] {
		pix[at] = p.level[y]
		at += step
	}
}

// move writes the pixels of row to pix[at:], each step bytes after the one
// before.
func move(pix []byte, at, step int, row []byte) {
	if step == 4 {
		copy(pix[at:], row)
		return
	}
	for ; len(row) >= 4; row = row[4:] {
		binary.LittleEndian.PutUint32(pix[at:at+4], binary.LittleEndian.Uint32(row))
		at += step
	}
}

// weigh writes the luma of the pixels of row as move does.
func weigh(pix []byte, at, step int, row []byte) {
	if step == 1 { // most cameras are upright, and this is faster
		for ; len(row) >= 16; row = row[16:] {
			y, z := luma(binary.LittleEndian.Uint64(row)), luma(binary.LittleEndian.Uint64(row[8:]))
			four := y>>24&0xff | y>>56<<8 | z>>24&0xff<<16 | z>>56<<24
			binary.LittleEndian.PutUint32(pix[at:at+4], uint32(four))
			at += 4
		}
	}
	for ; len(row) >= 8; row = row[8:] {
		y := luma(binary.LittleEndian.Uint64(row))
		pix[at], pix[at+step] = byte(y>>24), byte(y>>56)
		at += 2 * step
	}
	if len(row) >= 4 {
		pix[at] = byte(luma(uint64(binary.LittleEndian.Uint32(row))) >> 24)
	}
}

// luma returns that of two pixels, each in the highest byte of its half of the
// word: 77 R + 150 G + 29 B, of 256, rounded to nearest. In rb four lanes of 16
// bits hold R and B; multiplied by 29 + 77<<16, every other lane becomes the sum
// of both, and no lane exceeds 2^16.
func luma(two uint64) uint64 {
	rb, g := two&0x00ff00ff00ff00ff, two>>8&0x000000ff000000ff
	return rb*(77<<16|29) + g*(150<<16) + 0x0080000000800000
}
