package replay

import (
	"math"
	"slices"
)

// A triangle names its corners by their places in a list of points.
type triangle [3]int

// triangulate returns the Delaunay triangulation of points in the plane, by
// Bowyer and Watson's insertion (The Computer Journal 24, 1981). The points must
// differ from each other; their order decides between equally good triangles,
// so the result is the same on every run.
func triangulate(points [][2]float64) []triangle {
	lo, hi := points[0], points[0]
	for _, p := range points {
		lo = [2]float64{min(lo[0], p[0]), min(lo[1], p[1])}
		hi = [2]float64{max(hi[0], p[0]), max(hi[1], p[1])}
	}
	// Three far points around everything, taken out again at the end.
	n := len(points)
	mx, my := (lo[0]+hi[0])/2, (lo[1]+hi[1])/2
	reach := 100 * max(hi[0]-lo[0], hi[1]-lo[1], 1)
	all := append(slices.Clone(points), [2]float64{mx - 2*reach, my - reach}, [2]float64{mx + 2*reach, my - reach}, [2]float64{mx, my + 2*reach})

	open := []circle{around(all, triangle{n, n + 1, n + 2})}
	var edges [][2]int
	for i, p := range points {
		edges = edges[:0]
		kept := open[:0]
		for _, c := range open {
			if dx, dy := p[0]-c.x, p[1]-c.y; dx*dx+dy*dy >= c.r2 {
				kept = append(kept, c)
				continue
			}
			for k := range 3 {
				edges = append(edges, [2]int{c.t[k], c.t[(k+1)%3]})
			}
		}
		open = kept
		// The hole's rim are the edges that no second triangle shared.
		for _, e := range edges {
			if !slices.Contains(edges, [2]int{e[1], e[0]}) {
				open = append(open, around(all, triangle{e[0], e[1], i}))
			}
		}
	}
	var out []triangle
	for _, c := range open {
		if max(c.t[0], c.t[1], c.t[2]) < n {
			out = append(out, c.t)
		}
	}
	return out
}

// A circle is a triangle with the circle through its corners.
type circle struct {
	t        triangle
	x, y, r2 float64
}

func around(p [][2]float64, t triangle) circle {
	a, b, c := p[t[0]], p[t[1]], p[t[2]]
	bx, by, cx, cy := b[0]-a[0], b[1]-a[1], c[0]-a[0], c[1]-a[1]
	d := 2 * (bx*cy - by*cx)
	if d == 0 { // corners on one line: no point may be outside its circle
		return circle{t: t, x: a[0], y: a[1], r2: math.Inf(1)}
	}
	b2, c2 := bx*bx+by*by, cx*cx+cy*cy
	x, y := (cy*b2-by*c2)/d, (bx*c2-cx*b2)/d
	return circle{t: t, x: a[0] + x, y: a[1] + y, r2: x*x + y*y}
}
