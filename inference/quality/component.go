package quality

import "math"

// A Component is one quality component of ISO/IEC 29794-5:2025: the value as it
// was measured, and what the standard's mapping makes of it.
type Component struct {
	Raw float32
	Q   int8 // 0..100, more is better; -1: could not be assessed, and Raw is 0
}

// Missing is the component that could not be assessed.
func Missing() Component { return Component{Q: -1} }

// component rounds q and cuts it to 0..100. A value that is no number could not
// be assessed.
func component(raw float32, q float64) Component {
	if math.IsNaN(float64(raw)) || math.IsInf(float64(raw), 0) || math.IsNaN(q) {
		return Missing()
	}
	return Component{Raw: raw, Q: int8(math.Round(min(max(q, 0), 100)))}
}

// sigmoid rises from 0 to 1, is one half at x0 and has its steepest part some w
// wide.
func sigmoid(x float32, x0, w float64) float64 { return 1 / (1 + math.Exp((x0-float64(x))/w)) }

// SingleFacePresent is 7.4.2: raw is the area of the second largest face over
// that of the largest, 0..1.
func SingleFacePresent(second float32) Component {
	return component(second, 100*(1-float64(second)))
}

// EyesOpen is 7.4.3: raw is what Mesh.EyesOpen measures.
func EyesOpen(opening float32) Component {
	return component(opening, 100*sigmoid(opening, 0.02, 0.01))
}

// MouthClosed is 7.4.4: raw is what Mesh.MouthOpen measures.
func MouthClosed(opening float32) Component {
	return component(opening, 100*(1-sigmoid(opening, 0.2, 0.06)))
}

// InterEyeDistance is 7.4.8: raw is the inter-eye distance over the cosine of
// yaw, in pixels of the image that is kept.
func InterEyeDistance(pixels float32) Component {
	return component(pixels, 100*sigmoid(pixels, 70, 20))
}

// HeadSize is 7.4.9: raw is how far T over the image's height is from 0.45, the
// size in a passport's picture. A kiosk's far pose is smaller on purpose.
func HeadSize(t, height float32) Component {
	if !(height > 0) {
		return Missing()
	}
	raw := float32(math.Abs(float64(t/height - 0.45)))
	return component(raw, 200*(1-sigmoid(raw, 0, 0.05)))
}

// LeftwardCrop is 7.4.10.1: raw is the way from the image's left edge to the
// person's right eye, in inter-eye distances.
func LeftwardCrop(rightEyeX, ied float32) Component { return room(rightEyeX, ied, 0.9) }

// RightwardCrop is 7.4.10.2: raw is the way from the person's left eye to the
// image's right edge, in inter-eye distances.
func RightwardCrop(leftEyeX, width, ied float32) Component { return room(width-leftEyeX, ied, 0.9) }

// MarginAbove is 7.4.10.3: raw is the way from the image's upper edge to the
// midpoint between the eyes, in T.
func MarginAbove(eyesY, t float32) Component { return room(eyesY, t, 1.4) }

// MarginBelow is 7.4.10.4: raw is the way from the midpoint between the eyes to
// the image's lower edge, in T.
func MarginBelow(eyesY, height, t float32) Component { return room(height-eyesY, t, 1.8) }

func room(way, unit float32, x0 float64) Component {
	if !(unit > 0) {
		return Missing()
	}
	raw := way / unit
	return component(raw, 100*sigmoid(raw, x0, 0.1))
}

// HeadPose is 7.4.11.2 to 7.4.11.4: raw is the angle of yaw, pitch or roll in
// degrees.
func HeadPose(degrees float32) Component {
	cos := max(math.Cos(float64(degrees)*math.Pi/180), 0)
	return component(degrees, 100*cos*cos)
}

// Covered is the mapping of 7.4.5 eyes visible, 7.4.6 mouth occlusion prevention
// and 7.4.7 face occlusion prevention: raw is the share of the region that
// something covers, 0..1.
func Covered(share float32) Component { return component(share, 100*(1-float64(share))) }

// Sharp maps Crop.Sharpness, this package's own substitute for 7.3.8, whose
// random forest is not at hand: the mapping is its own, too, and reaches 50 at
// 60.
func Sharp(variance float32) Component {
	return component(variance, 100*float64(variance)/(float64(variance)+60))
}

// A Part is a component and its weight in a unified score.
type Part struct {
	Component

	Weight float32
}

// Unified returns the weighted geometric mean of the parts' Q, 0..100: one bad
// component spoils it, as it spoils the picture. Q counts as at least 1, so
// that pictures with the same fault still compare, and parts that could not be
// assessed do not count. Without parts it is 0.
//
// It is this package's own substitute for 7.2, the unified quality score, for
// which OFIQ uses the length of a recognition network's feature vector. It is
// made to order the frames of one hold and says nothing about recognition.
func Unified(parts ...Part) float32 {
	var sum, weights float64
	for _, p := range parts {
		if p.Q < 0 || !(p.Weight > 0) {
			continue
		}
		sum += float64(p.Weight) * math.Log(max(float64(p.Q), 1))
		weights += float64(p.Weight)
	}
	if weights == 0 {
		return 0
	}
	return float32(math.Exp(sum / weights))
}
