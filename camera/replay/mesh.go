package replay

import (
	"math"
	"slices"
)

// A triangle names its corners by their places in a list of points.
type triangle [3]int

// triangulate returns the Delaunay triangulation of points in the plane, by
// Bowyer and Watson's insertion (The Computer Journal 24, 1981). The first four
// points are the corners of an upright rectangle, in order around it, and the
// others lie inside of it and differ from each other. Their order decides
// between equally good triangles, so the result is the same on every run.
//
//go:norace
func triangulate(points [][2]float64) []triangle {
	open := []circle{around(points, triangle{0, 1, 2}), around(points, triangle{0, 2, 3})}
	var edges [][2]int
	for i := 4; i < len(points); i++ {
		p := points[i]
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
				open = append(open, around(points, triangle{e[0], e[1], i}))
			}
		}
	}
	out := make([]triangle, len(open))
	for i, c := range open {
		out[i] = c.t
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
