// Package quality measures what makes a face image good or bad: light,
// sharpness, pose, eyes and mouth. The definitions follow ISO/IEC 29794-5 as
// the OFIQ reference implements them where it gives a formula; where it uses a
// trained model the substitute says so. No conformance is claimed.
//
// Numbers such as 7.3.4 are sections of ISO/IEC 29794-5:2025. Nothing here
// allocates but NewCrop.
package quality

import "math"

// Points is the number of points of a Mesh.
const Points = 468

// A Point is a point of a face in image coordinates: X to the right, Y down
// and Z away from the camera, all in the same unit of pixels. Z is relative to
// about the centre of the head.
type Point struct{ X, Y, Z float32 }

// A Mesh is a face as MediaPipe's face mesh numbers its points. "Right" and
// "left" are the person's own, so right is on the left of an image that is not
// mirrored.
type Mesh [Points]Point

// A Pose is how a head is turned, in degrees, as kiosk.Assessment signs it.
type Pose struct {
	Yaw   float32 // positive: turned to the person's own left
	Pitch float32 // positive: chin up
	Roll  float32 // positive: tilted to the person's own left shoulder
}

// Pose estimates the head's pose by two axes of the mesh: across, the sum of
// the vectors between points that a face's symmetry makes a pair (eye corners,
// mouth corners, sides of the face), and down, from the top of the forehead to
// the chin, made perpendicular to the first. Their rotation against the image
// is taken apart as roll, then yaw, then pitch. A degenerate mesh gives the
// zero Pose.
//
// It is exact for a rigid symmetric mesh under parallel projection. On images
// the depth of the landmark network limits it: on two portraits it agreed
// within 3 degrees with a least-squares fit of MediaPipe's canonical face, and
// a mirrored portrait gave the mirrored pose within 3 degrees. A composed head
// that was turned by known angles, of one portrait and with the network's own
// depth, read beside its straight pose: yaw within 6 degrees up to 25 (it reads
// 0.8 to 0.9 of a turn), roll within 3 up to 20, pitch within 8 up to 15 (a lowered
// chin reads 1.4 of itself). There was no truth of a person. Pitch leans with anatomy, with an open mouth and with the camera's
// height, and read 7 to 13 degrees down for both portraits, who look straight.
// A person beside the optical axis seems turned by the angle to it.
func (m *Mesh) Pose() Pose {
	pairs := [...][2]int{{33, 263}, {133, 362}, {61, 291}, {234, 454}, {127, 356}, {132, 361}}
	var across Point
	for _, p := range pairs {
		across = add(across, sub(m[p[1]], m[p[0]]))
	}
	x, ok := unit(across)
	if !ok {
		return Pose{}
	}
	down := sub(m[152], m[10])
	d := dot(down, x)
	y, ok := unit(sub(down, Point{d * x.X, d * x.Y, d * x.Z}))
	if !ok {
		return Pose{}
	}
	z := x.X*y.Y - x.Y*y.X // depth component of x cross y
	return Pose{
		Yaw:   degrees(math.Asin(float64(min(max(x.Z, -1), 1)))),
		Pitch: degrees(math.Atan2(float64(-y.Z), float64(z))),
		Roll:  degrees(math.Atan2(float64(x.Y), float64(x.X))),
	}
}

// Eyes returns the centres of the right and left eye, each the midpoint of its
// corners.
func (m *Mesh) Eyes() (right, left Point) { return mid(m[33], m[133]), mid(m[362], m[263]) }

// IED returns the inter-eye distance in the image divided by the cosine of
// yaw (degrees), which undoes the foreshortening of a turned head. Yaw counts
// as at most 60 degrees: beyond that the far eye is not to be seen.
func (m *Mesh) IED(yaw float32) float32 {
	right, left := m.Eyes()
	yaw = min(max(yaw, -60), 60)
	return flat(right, left) / float32(math.Cos(float64(yaw)*math.Pi/180))
}

// T returns the distance in the image from the midpoint between the eyes to
// the chin, the unit of other measures.
func (m *Mesh) T() float32 {
	right, left := m.Eyes()
	return flat(mid(right, left), m[152])
}

// EyesOpen returns the smaller of both eyes' openings as a share of T, each the
// largest distance between upper and lower lid. Eyes are open from about 0.03.
func (m *Mesh) EyesOpen() float32 {
	right := m.gap([...][2]int{{160, 144}, {159, 145}, {158, 153}})
	left := m.gap([...][2]int{{387, 373}, {386, 374}, {385, 380}})
	return m.share(min(right, left))
}

// MouthOpen returns the largest distance between the inner lips as a share of
// T. A mouth is closed below about 0.1.
func (m *Mesh) MouthOpen() float32 {
	return m.share(m.gap([...][2]int{{82, 87}, {13, 14}, {312, 317}}))
}

func (m *Mesh) gap(pairs [3][2]int) float32 {
	var g float32
	for _, p := range pairs {
		g = max(g, flat(m[p[0]], m[p[1]]))
	}
	return g
}

func (m *Mesh) share(d float32) float32 {
	if t := m.T(); t > 0 {
		return d / t
	}
	return 0
}

func add(a, b Point) Point   { return Point{a.X + b.X, a.Y + b.Y, a.Z + b.Z} }
func sub(a, b Point) Point   { return Point{a.X - b.X, a.Y - b.Y, a.Z - b.Z} }
func mid(a, b Point) Point   { return Point{(a.X + b.X) / 2, (a.Y + b.Y) / 2, (a.Z + b.Z) / 2} }
func dot(a, b Point) float32 { return a.X*b.X + a.Y*b.Y + a.Z*b.Z }

// flat is the distance in the image.
func flat(a, b Point) float32 {
	return float32(math.Hypot(float64(a.X-b.X), float64(a.Y-b.Y)))
}

func unit(a Point) (Point, bool) {
	n := float32(math.Sqrt(float64(dot(a, a))))
	if !(n > 0) {
		return Point{}, false
	}
	return Point{a.X / n, a.Y / n, a.Z / n}, true
}

func degrees(rad float64) float32 { return float32(rad * 180 / math.Pi) }
