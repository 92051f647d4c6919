package pixel

import "encoding/binary"

// span is how many pixels of a row are worked on at a time: small enough to
// stay in the nearest cache together with the lines they are written to.
const span = 128

// A strip is a part of a row of reduced pixels, before they get their colours.
type strip struct{ luma, cb, cr [span]uint8 }

// A gatherer reads strips.
type gatherer struct {
	Raw

	n            int
	area, chroma divider // of a reduced pixel's luma and chroma samples
}

func gather(src Raw, n int) gatherer {
	g := gatherer{Raw: src, n: n, area: divideBy(n * n)}
	// A pixel n wide touches (n+1)/2 pairs, wherever it begins, and as many
	// rows of chroma where those are halved too.
	pairs := (n + 1) / 2
	if src.Layout == NV12 {
		g.chroma = divideBy(pairs * pairs)
	} else {
		g.chroma = divideBy(pairs * n)
	}
	return g
}

// fill reads the k reduced pixels from (x, y) on. x is even.
func (g *gatherer) fill(s *strip, x, y, k int) {
	switch g.Layout {
	case YUYV:
		g.packed(s, x, y, k, 0)
	case UYVY:
		g.packed(s, x, y, k, 8)
	case NV12:
		g.plane(s.luma[:k], x, y)
		g.pairs(s.cb[:k], s.cr[:k], x, y)
	case Grey:
		g.plane(s.luma[:k], x, y)
		for i := range k {
			s.cb[i], s.cr[i] = 128, 128
		}
	}
}

// lanes selects, of the four bytes of a pair of pixels, the two of luma or the
// two of chroma, each with a byte of room above it.
const lanes = 0x00ff00ff

// packed reads 4:2:2. The first luma of a pair is shift bits into it.
func (g *gatherer) packed(s *strip, x, y, k int, shift uint32) {
	luma, cb, cr := s.luma[:k], s.cb[:k], s.cr[:k]
	other := 8 - shift
	switch g.n {
	case 1:
		row := g.Pix[y*g.Stride+2*x:][:2*k]
		for i := 0; i+1 < len(luma); i += 2 {
			p := binary.LittleEndian.Uint32(row[2*i:])
			l, c := p>>(shift&31)&lanes, p>>(other&31)&lanes
			luma[i], luma[i+1] = byte(l), byte(l>>16)
			cb[i], cb[i+1] = byte(c), byte(c)
			cr[i], cr[i+1] = byte(c>>16), byte(c>>16)
		}
	case 2:
		up, low := g.Pix[2*y*g.Stride+4*x:][:4*k], g.Pix[(2*y+1)*g.Stride+4*x:][:4*k]
		for i := range luma {
			p, q := binary.LittleEndian.Uint32(up[4*i:]), binary.LittleEndian.Uint32(low[4*i:])
			l := p>>(shift&31)&lanes + q>>(shift&31)&lanes
			c := p>>(other&31)&lanes + q>>(other&31)&lanes
			luma[i] = byte((l&0xffff + l>>16 + 2) >> 2)
			cb[i], cr[i] = byte((c&0xffff+1)>>1), byte((c>>16+1)>>1)
		}
	default:
		for i := range luma {
			luma[i], cb[i], cr[i] = g.pair((x+i)*g.n, y, shift)
		}
	}
}

// pair returns the means of the square whose first pixel is at column from.
func (g *gatherer) pair(from, y int, shift uint32) (luma, cb, cr byte) {
	other := 8 - shift
	left, right := from/2, (from+g.n-1)/2
	var sum, u, v uint32
	for j := range g.n {
		row := g.Pix[(y*g.n+j)*g.Stride+4*left:][:4*(right-left+1)]
		// No lane overflows: 33 pairs of 255 are below 2^16.
		var l, c uint32
		for p := row; len(p) >= 4; p = p[4:] {
			pair := binary.LittleEndian.Uint32(p)
			l += pair >> (shift & 31) & lanes
			c += pair >> (other & 31) & lanes
		}
		sum += l&0xffff + l>>16
		u += c & 0xffff
		v += c >> 16
		// A pair on the edge belongs to the neighbour, too.
		if from%2 != 0 {
			sum -= uint32(row[shift/8])
		}
		if (from+g.n)%2 != 0 {
			sum -= uint32(row[len(row)-2+int(shift/8)])
		}
	}
	return g.area.mean(sum), g.chroma.mean(u), g.chroma.mean(v)
}

// plane reads the luma of a plane.
func (g *gatherer) plane(luma []uint8, x, y int) {
	n := g.n
	row := g.Pix[y*n*g.Stride+x*n:]
	switch n {
	case 1:
		copy(luma, row)
	case 2:
		up, low := row[:2*len(luma)], row[g.Stride:][:2*len(luma)]
		for i := range luma {
			p, q := binary.LittleEndian.Uint16(up[2*i:]), binary.LittleEndian.Uint16(low[2*i:])
			luma[i] = byte((uint32(p&0xff) + uint32(p>>8) + uint32(q&0xff) + uint32(q>>8) + 2) >> 2)
		}
	default:
		for i := range luma {
			var sum uint32
			for j := range n {
				for _, v := range row[j*g.Stride+i*n:][:n] {
					sum += uint32(v)
				}
			}
			luma[i] = g.area.mean(sum)
		}
	}
}

// pairs reads the chroma of NV12.
func (g *gatherer) pairs(cb, cr []uint8, x, y int) {
	n := g.n
	chroma := g.Pix[g.Stride*g.Size.Y:]
	cr = cr[:len(cb)]
	switch n {
	case 1:
		row := chroma[y/2*g.Stride+x:][:len(cb)]
		for i := 0; i+1 < len(row); i += 2 {
			cb[i], cb[i+1] = row[i], row[i]
			cr[i], cr[i+1] = row[i+1], row[i+1]
		}
	case 2:
		row := chroma[y*g.Stride+2*x:][:2*len(cb)]
		for i := range cb {
			pair := binary.LittleEndian.Uint16(row[2*i:])
			cb[i], cr[i] = byte(pair), byte(pair>>8)
		}
	default:
		first, last := y*n/2, (y*n+n-1)/2
		for i := range cb {
			left, right := (x+i)*n/2, ((x+i)*n+n-1)/2
			var u, v uint32
			for j := first; j <= last; j++ {
				for p := chroma[j*g.Stride+2*left:][:2*(right-left+1)]; len(p) >= 2; p = p[2:] {
					u += uint32(p[0])
					v += uint32(p[1])
				}
			}
			cb[i], cr[i] = g.chroma.mean(u), g.chroma.mean(v)
		}
	}
}

// A divider gives means of a number of bytes, rounded to nearest, without
// dividing: a division takes longer than all the rest of a pixel.
type divider struct{ half, inverse uint64 }

// divideBy takes n up to MaxReduction squared, 2^12. Sums are below 2^21, so
// the error of the inverse, below n/2^40 of a sum, never reaches the next
// whole number, which is at least 1/n away.
func divideBy(n int) divider { return divider{uint64(n) / 2, 1<<40/uint64(n) + 1} }

func (d divider) mean(sum uint32) byte { return byte((uint64(sum) + d.half) * d.inverse >> 40) }
