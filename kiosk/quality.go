package kiosk

import (
	"encoding/json"
	"fmt"
)

// Quality is the vector of quality components of a face image, by the names of
// ISO/IEC 29794-5:2025 in its order. inference/quality says how each is measured
// and mapped. The zero value is that of a frame without a face.
type Quality struct {
	// Unified orders frames of one hold, 0..100: the kiosk's own substitute for
	// the standard's unified quality score.
	Unified float32 `json:"unified"`

	BackgroundUniformity    Component `json:"background_uniformity"`
	IlluminationUniformity  Component `json:"illumination_uniformity"`
	LuminanceMean           Component `json:"luminance_mean"`
	LuminanceVariance       Component `json:"luminance_variance"`
	UnderExposurePrevention Component `json:"under_exposure_prevention"`
	OverExposurePrevention  Component `json:"over_exposure_prevention"`
	DynamicRange            Component `json:"dynamic_range"`
	Sharpness               Component `json:"sharpness"` // raw: luma squared, the kiosk's own measure
	NaturalColour           Component `json:"natural_colour"`
	SingleFacePresent       Component `json:"single_face_present"`
	EyesOpen                Component `json:"eyes_open"`
	MouthClosed             Component `json:"mouth_closed"`
	EyesVisible             Component `json:"eyes_visible"` // raw: share that is covered
	MouthOcclusion          Component `json:"mouth_occlusion_prevention"`
	FaceOcclusion           Component `json:"face_occlusion_prevention"`
	InterEyeDistance        Component `json:"inter_eye_distance"` // raw: pixels of the frame
	HeadSize                Component `json:"head_size"`
	LeftwardCrop            Component `json:"leftward_crop"`
	RightwardCrop           Component `json:"rightward_crop"`
	MarginAbove             Component `json:"margin_above"`
	MarginBelow             Component `json:"margin_below"`
	HeadPoseYaw             Component `json:"head_pose_yaw"` // raw: degrees
	HeadPosePitch           Component `json:"head_pose_pitch"`
	HeadPoseRoll            Component `json:"head_pose_roll"`
}

// Cover is what covers a face or shines on it, by region: inference/quality says
// how it is measured. Shares are 0..1; of a pair of regions the worse is told.
type Cover struct {
	Eyes     float32 `json:"eyes"`
	Nose     float32 `json:"nose"`
	Mouth    float32 `json:"mouth"`
	Cheeks   float32 `json:"cheeks"`
	Forehead float32 `json:"forehead"` // told, and never judged: scarves and hair lie there
	Lower    float32 `json:"lower"`    // of mouth, chin and cheeks together
	Face     float32 `json:"face"`     // of all regions together

	Shade     float32 `json:"shade"`      // how much both eyes are dark and even, as behind sunglasses
	GlareEyes float32 `json:"glare_eyes"` // highlights, of the region of one eye
	GlareSkin float32 `json:"glare_skin"` // highlights, of the rest of the face

	Irises float32 `json:"irises"` // height of what is dark where an iris belongs / (eye midpoint to chin), of the eye with less
}

// A Component is one quality component. In JSON it is [Raw, Q].
type Component struct {
	Raw float32
	Q   int8 // 0..100, more is better; -1: could not be assessed
}

// MarshalJSON writes c as two numbers, the first shortest-exact.
func (c Component) MarshalJSON() ([]byte, error) {
	return json.Marshal([2]float32{c.Raw, float32(c.Q)})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (c *Component) UnmarshalJSON(b []byte) error {
	var v []float32
	if err := json.Unmarshal(b, &v); err != nil {
		return fmt.Errorf("quality component: %w", err)
	}
	if len(v) != 2 || v[1] != float32(int8(v[1])) || v[1] < -1 || v[1] > 100 {
		return fmt.Errorf("quality component: %s is no pair of a value and -1..100", b)
	}
	c.Raw, c.Q = v[0], int8(v[1])
	return nil
}
