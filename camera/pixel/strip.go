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
	length       int     // of a strip: even, at most span
	area, chroma divider // of a reduced pixel's luma and chroma samples
	sums         columns
}

func gather(src Raw, n int) gatherer {
	g := gatherer{Raw: src, n: n, length: min(span, most/(2*n)&^1), area: divideBy(n * n)}
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
		g.sums.add(g.Pix[y*g.n*g.Stride+2*x*g.n:], g.Stride, g.n, 2*(k*g.n+1)&^3)
		levels, pairs := &g.sums.even, &g.sums.odd
		if shift != 0 {
			levels, pairs = pairs, levels
		}
		for i := range luma {
			if g.n == 3 { // 1920x1080: the same in two loads
				l, c := binary.LittleEndian.Uint64(levels[6*i:]), binary.LittleEndian.Uint64(pairs[6*i&^3:])
				luma[i] = g.area.mean(uint32(l&0xffff + l>>16&0xffff + l>>32&0xffff))
				cb[i], cr[i] = g.chroma.mean(uint32(c&0xffff+c>>32&0xffff)), g.chroma.mean(uint32(c>>16&0xffff+c>>48))
				continue
			}
			from, to := i*g.n, (i+1)*g.n
			luma[i] = g.area.mean(levels.sum(from, to, 1))
			// A pair that lies across an edge belongs to both sides.
			from, to = from&^1, (to+1)&^1
			cb[i], cr[i] = g.chroma.mean(pairs.sum(from, to, 2)), g.chroma.mean(pairs.sum(from+1, to, 2))
		}
	}
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
		g.sums.add(row, g.Stride, n, n*len(luma))
		for i := range luma {
			from, to := i*n, (i+1)*n
			luma[i] = g.area.mean(g.sums.even.sum((from+1)/2, (to+1)/2, 1) + g.sums.odd.sum(from/2, to/2, 1))
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
		g.sums.add(chroma[first*g.Stride+x*n:], g.Stride, last-first+1, (n*len(cb)+1)&^1)
		for i := range cb {
			left, right := i*n/2, ((i+1)*n+1)/2
			cb[i], cr[i] = g.chroma.mean(g.sums.even.sum(left, right, 1)), g.chroma.mean(g.sums.odd.sum(left, right, 1))
		}
	}
}

// most is how many bytes of a row are added up at a time.
const most = 1024

// columns are the sums of the bytes of some rows, column by column: of the
// first, third and so on, and of the others. No sum exceeds 64 * 255.
type columns struct{ even, odd lanes16 }

// lanes16 are numbers of 16 bits.
type lanes16 [most]byte

// sum adds up those from i on, step by step, to before j.
func (l *lanes16) sum(i, j, step int) (sum uint32) {
	for ; i < j; i += step {
		sum += uint32(binary.LittleEndian.Uint16(l[2*i:]))
	}
	return sum
}

// add makes c the sums of n rows of width bytes.
func (c *columns) add(rows []byte, stride, n, width int) {
	const mask = 0x00ff00ff00ff00ff
	for at := 0; at < width; at += 8 {
		var even, odd uint64
		for j := range n {
			var eight uint64
			if row := rows[j*stride+at:]; width-at >= 8 {
				eight = binary.LittleEndian.Uint64(row)
			} else {
				for i, v := range row[:width-at] {
					eight |= uint64(v) << (8 * i)
				}
			}
			even += eight & mask
			odd += eight >> 8 & mask
		}
		binary.LittleEndian.PutUint64(c.even[at:], even)
		binary.LittleEndian.PutUint64(c.odd[at:], odd)
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
