package quality

import (
	"image"
	"math"
)

// Mean returns the mean luma of the part of r inside g, 0..255; 0 if there is
// none.
func Mean(g *image.Gray, r image.Rectangle) float32 {
	sum, n := total(g, r)
	return ratio(sum, n)
}

// Background returns the mean luma of what is behind the face in the square
// box face: everything outside the box grown half as wide again, so that hair
// does not count, and above the chin, so that clothes do not. Where no
// background is left, as when the face fills the image, ok is false.
func Background(g *image.Gray, face image.Rectangle) (mean float32, ok bool) {
	above := g.Rect
	above.Max.Y = min(above.Max.Y, face.Max.Y)
	all, n := total(g, above)
	head, m := total(g, face.Inset(-face.Dx()/4).Intersect(above))
	if n -= m; n < g.Rect.Dx()*g.Rect.Dy()/100 || n == 0 {
		return 0, false
	}
	return ratio(all-head, n), true
}

func total(g *image.Gray, r image.Rectangle) (sum uint64, n int) {
	r = r.Intersect(g.Rect)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		i := g.PixOffset(r.Min.X, y)
		var row uint32
		for _, v := range g.Pix[i : i+r.Dx()] {
			row += uint32(v)
		}
		sum += uint64(row)
	}
	return sum, r.Dx() * r.Dy()
}

func ratio(sum uint64, n int) float32 {
	if n == 0 {
		return 0
	}
	return float32(float64(sum) / float64(n))
}

// Exposure is how the luma of a face is spread.
type Exposure struct {
	Mean  float32 // 0..255
	Under float32 // share in 0..25, 0..1
	Over  float32 // share in 247..255, 0..1
}

// Expose measures the part of g inside the mesh's outline of the face; all
// zero if that is outside g.
func Expose(g *image.Gray, m *Mesh) Exposure {
	// The outline clockwise from the top of the forehead.
	oval := [...]int{
		10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
		152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
	}
	top, bottom := m[oval[0]].Y, m[oval[0]].Y
	for _, i := range oval {
		top, bottom = min(top, m[i].Y), max(bottom, m[i].Y)
	}
	var histogram [256]uint32
	first, last := pixels(top, bottom, g.Rect.Min.Y, g.Rect.Max.Y)
	for y := first; y < last; y++ {
		// The outline is convex but for noise: one span per row.
		left, right := float32(math.Inf(1)), float32(math.Inf(-1))
		centre := float32(y) + 0.5
		for i := range oval {
			a, b := m[oval[i]], m[oval[(i+1)%len(oval)]]
			if (a.Y <= centre) == (b.Y <= centre) {
				continue
			}
			x := a.X + (centre-a.Y)/(b.Y-a.Y)*(b.X-a.X)
			left, right = min(left, x), max(right, x)
		}
		from, to := pixels(left, right, g.Rect.Min.X, g.Rect.Max.X)
		if from >= to {
			continue
		}
		i := g.PixOffset(from, y)
		for _, v := range g.Pix[i : i+to-from] {
			histogram[v]++
		}
	}
	var n, under, over int
	var sum uint64
	for v, c := range histogram {
		n += int(c)
		sum += uint64(v) * uint64(c)
		if v <= 25 {
			under += int(c)
		}
		if v >= 247 {
			over += int(c)
		}
	}
	return Exposure{Mean: ratio(sum, n), Under: ratio(uint64(under), n), Over: ratio(uint64(over), n)}
}

// pixels returns the half-open range of pixels whose centres are in [from, to),
// cut to [low, high).
func pixels(from, to float32, low, high int) (first, last int) {
	if !(from < to) || to < float32(low) || from > float32(high) {
		return low, low
	}
	first = int(math.Ceil(float64(max(from, float32(low))) - 0.5))
	last = int(math.Ceil(float64(min(to, float32(high))) - 0.5))
	return first, last
}

// Uneven returns how differently both cheeks are lit: the difference between
// the mean lumas of two squares of 0.3 inter-eye distances on the cheekbones
// over the face's mean luma. It is 0 if a cheek is outside g or the face is
// black.
func Uneven(g *image.Gray, m *Mesh, ied, faceLuma float32) float32 {
	if !(faceLuma > 0) {
		return 0
	}
	right, n := cheek(g, m[50], ied)
	left, k := cheek(g, m[280], ied)
	if n == 0 || k == 0 {
		return 0
	}
	return float32(math.Abs(float64(right-left))) / faceLuma
}

func cheek(g *image.Gray, at Point, ied float32) (mean float32, n int) {
	half := max(0.15*ied, 0.5)
	x0, x1 := pixels(at.X-half, at.X+half, g.Rect.Min.X, g.Rect.Max.X)
	y0, y1 := pixels(at.Y-half, at.Y+half, g.Rect.Min.Y, g.Rect.Max.Y)
	sum, n := total(g, image.Rect(x0, y0, x1, y1))
	return ratio(sum, n), n
}
