// Package pixel converts raw camera pixels to RGBA, reduced by a whole factor.
//
// Conversions write into memory the caller provides, allocate nothing, and
// check everything before they write: on an error dst is as it was.
//
// Colours are converted by ITU-R BT.601 in integers, so that every machine
// gives the same bytes. A reduced pixel is the mean, rounded to nearest, of
// the luma of its square of n by n source pixels and of all chroma samples
// that belong to them; rows and columns that do not fill a square are left out
// at the bottom and right.
package pixel

import (
	"fmt"
	"image"
)

// A Range says which byte values stand for black and white, and for the
// extremes of chroma.
type Range bool

// The ranges of BT.601.
const (
	Limited Range = false // luma 16..235, chroma 16..240: what video devices give by default
	Full    Range = true  // luma and chroma 0..255, as in JPEG
)

// MaxReduction is the largest factor of reduction.
const MaxReduction = 64

// Reduced returns the size that an image of size has when reduced by n.
func Reduced(size image.Point, n int) image.Point {
	return image.Pt(size.X/n, size.Y/n)
}

// YUYV converts packed 4:2:2 in the order Y0 Cb Y1 Cr: size.Y rows of stride
// bytes, each beginning with 2*size.X bytes of pixels. size.X is even. dst is
// of size Reduced(size, n), with n in 1..MaxReduction.
func YUYV(dst *image.RGBA, src []byte, stride int, size image.Point, n int, r Range) error {
	return packed("yuyv", dst, src, stride, size, n, r, 0, 1, 3)
}

// UYVY is YUYV for the order Cb Y0 Cr Y1.
func UYVY(dst *image.RGBA, src []byte, stride int, size image.Point, n int, r Range) error {
	return packed("uyvy", dst, src, stride, size, n, r, 1, 0, 2)
}

// NV12 converts a plane of size.Y rows of luma followed at once by a plane of
// size.Y/2 rows of interleaved Cb and Cr, all rows of stride bytes. Both sides
// of size are even. dst is of size Reduced(size, n), with n in 1..MaxReduction.
func NV12(dst *image.RGBA, src []byte, stride int, size image.Point, n int, r Range) error {
	if size.X%2 != 0 || size.Y%2 != 0 {
		return fmt.Errorf("nv12: size %v: want even sides", size)
	}
	if err := check("nv12", dst, src, stride, size, n, size.X, size.Y+size.Y/2); err != nil {
		return err
	}
	m := matrix(r)
	w := dst.Rect.Dx()
	chroma := src[stride*size.Y:]
	for y := range dst.Rect.Dy() {
		out := dst.Pix[y*dst.Stride:][:4*w]
		if n == 1 {
			row, uv := src[y*stride:][:w], chroma[y/2*stride:][:w]
			for x := 0; x < w; x += 2 {
				c := m.chroma(int32(uv[x]), int32(uv[x+1]))
				m.put(out[4*x:], int32(row[x]), c)
				m.put(out[4*x+4:], int32(row[x+1]), c)
			}
			continue
		}
		first, last := y*n/2, (y*n+n-1)/2 // rows of chroma
		for x := range w {
			var luma, cb, cr int32
			for j := range n {
				for _, v := range src[(y*n+j)*stride+x*n:][:n] {
					luma += int32(v)
				}
			}
			left, right := x*n/2, (x*n+n-1)/2
			for j := first; j <= last; j++ {
				pairs := chroma[j*stride+2*left:][:2*(right-left+1)]
				for i := 0; i < len(pairs); i += 2 {
					cb += int32(pairs[i])
					cr += int32(pairs[i+1])
				}
			}
			k := int32((last - first + 1) * (right - left + 1))
			m.put(out[4*x:], mean(luma, int32(n*n)), m.chroma(mean(cb, k), mean(cr, k)))
		}
	}
	return nil
}

// Grey converts luma alone: size.Y rows of stride bytes, each beginning with
// size.X bytes. dst is of size Reduced(size, n), with n in 1..MaxReduction.
func Grey(dst *image.RGBA, src []byte, stride int, size image.Point, n int, r Range) error {
	if err := check("grey", dst, src, stride, size, n, size.X, size.Y); err != nil {
		return err
	}
	m := matrix(r)
	none := m.chroma(128, 128)
	w := dst.Rect.Dx()
	for y := range dst.Rect.Dy() {
		out := dst.Pix[y*dst.Stride:][:4*w]
		if n == 1 {
			for x, v := range src[y*stride:][:w] {
				m.put(out[4*x:], int32(v), none)
			}
			continue
		}
		for x := range w {
			var luma int32
			for j := range n {
				for _, v := range src[(y*n+j)*stride+x*n:][:n] {
					luma += int32(v)
				}
			}
			m.put(out[4*x:], mean(luma, int32(n*n)), none)
		}
	}
	return nil
}

// packed converts 4:2:2 in which a pair of pixels has its first luma at byte
// ly of four, the second two bytes on, and Cb and Cr at the bytes lu and lv.
func packed(name string, dst *image.RGBA, src []byte, stride int, size image.Point, n int, r Range, ly, lu, lv int) error {
	if size.X%2 != 0 {
		return fmt.Errorf("%s: size %v: want an even width", name, size)
	}
	if err := check(name, dst, src, stride, size, n, 2*size.X, size.Y); err != nil {
		return err
	}
	m := matrix(r)
	w := dst.Rect.Dx()
	for y := range dst.Rect.Dy() {
		out := dst.Pix[y*dst.Stride:][:4*w]
		if n == 1 {
			row := src[y*stride:][:2*w]
			for x := 0; x < len(row); x += 4 {
				pair := row[x:][:4]
				c := m.chroma(int32(pair[lu]), int32(pair[lv]))
				m.put(out[2*x:], int32(pair[ly]), c)
				m.put(out[2*x+4:], int32(pair[ly+2]), c)
			}
			continue
		}
		for x := range w {
			var luma, cb, cr int32
			left, right := x*n/2, (x*n+n-1)/2
			for j := range n {
				row := src[(y*n+j)*stride:][:2*size.X]
				for i := x * n; i < x*n+n; i++ {
					luma += int32(row[2*i+ly])
				}
				for i := left; i <= right; i++ {
					cb += int32(row[4*i+lu])
					cr += int32(row[4*i+lv])
				}
			}
			k := int32(n * (right - left + 1))
			m.put(out[4*x:], mean(luma, int32(n*n)), m.chroma(mean(cb, k), mean(cr, k)))
		}
	}
	return nil
}

// maxSide bounds sizes, so that no product of theirs overflows an int.
const maxSide = 1 << 14

// check checks everything on which the loops rely: rows of width bytes at
// stride, and dst of the reduced size.
func check(name string, dst *image.RGBA, src []byte, stride int, size image.Point, n, width, rows int) error {
	if size.X <= 0 || size.Y <= 0 || size.X > maxSide || size.Y > maxSide {
		return fmt.Errorf("%s: size %v: want sides of 1 to %d", name, size, maxSide)
	}
	if n < 1 || n > MaxReduction {
		return fmt.Errorf("%s: reduction by %d: want 1 to %d", name, n, MaxReduction)
	}
	want := Reduced(size, n)
	if want.X == 0 || want.Y == 0 {
		return fmt.Errorf("%s: reduction by %d leaves nothing of %v", name, n, size)
	}
	if dst.Rect.Size() != want {
		return fmt.Errorf("%s: dst is %v, want %v", name, dst.Rect.Size(), want)
	}
	if dst.Stride < 4*want.X || len(dst.Pix) < dst.Stride*(want.Y-1)+4*want.X {
		return fmt.Errorf("%s: dst has %d bytes at stride %d for %v", name, len(dst.Pix), dst.Stride, want)
	}
	if stride < width || stride > 1<<20 || len(src) < stride*(rows-1)+width {
		return fmt.Errorf("%s: %d bytes at stride %d cannot hold %v", name, len(src), stride, size)
	}
	return nil
}

func mean(sum, n int32) int32 { return (sum + n/2) / n }

// coefficients are those of BT.601 times 2^16.
type coefficients struct {
	black, luma   int32
	redV, greenU  int32
	greenV, blueU int32
}

// matrix returns the coefficients: R = Y + 1.402 V, G = Y - 0.344136 U -
// 0.714136 V, B = Y + 1.772 U for the full range; times 255/219 for luma and
// 255/224 for chroma for the limited one.
func matrix(r Range) coefficients {
	if r == Full {
		return coefficients{black: 0, luma: 65536, redV: 91881, greenU: 22553, greenV: 46802, blueU: 116130}
	}
	return coefficients{black: 16, luma: 76309, redV: 104597, greenU: 25675, greenV: 53279, blueU: 132201}
}

// colour is what chroma adds to each channel, times 2^16.
type colour struct{ r, g, b int32 }

func (m *coefficients) chroma(cb, cr int32) colour {
	u, v := cb-128, cr-128
	return colour{m.redV * v, -m.greenU*u - m.greenV*v, m.blueU * u}
}

// put writes one opaque pixel to out[:4]. No product exceeds 2^31: 239 * 76309
// + 128 * 132201 is below 2^26.
func (m *coefficients) put(out []byte, luma int32, c colour) {
	y := (luma-m.black)*m.luma + 1<<15
	out = out[:4]
	out[0] = clamp((y + c.r) >> 16)
	out[1] = clamp((y + c.g) >> 16)
	out[2] = clamp((y + c.b) >> 16)
	out[3] = 0xff
}

func clamp(v int32) byte {
	if uint32(v) > 255 {
		return byte(^(v >> 31)) // negative gives 0, too large 255
	}
	return byte(v)
}
