package kiosk

import (
	"image"
	"time"
)

// An Assessment is what analysis concluded about one frame. It carries no
// pixels and no identity, so it may be recorded and replayed.
//
// Fields that describe a face are zero when Faces is 0; with several faces
// they describe the largest one.
type Assessment struct {
	Frame FrameID       `json:"frame"`
	At    time.Duration `json:"at"`   // of the frame: since boot
	Size  image.Point   `json:"size"` // of the upright frame, pixels: all coordinates are in it

	Luma float32 `json:"luma"` // mean luma of the whole frame, 0..255

	Faces  int             `json:"faces"`
	Face   image.Rectangle `json:"face"`   // detector's square box, frame pixels; may reach outside the frame
	Second float32         `json:"second"` // area of the second largest face / area of Face, 0..1

	IED   float32 `json:"ied"`   // inter-eye distance / cos(Yaw), frame pixels
	Yaw   float32 `json:"yaw"`   // degrees; positive: turned to the person's own left
	Pitch float32 `json:"pitch"` // degrees; positive: chin up
	Roll  float32 `json:"roll"`  // degrees; positive: head tilted to the person's own left shoulder

	EyesOpen  float32 `json:"eyes_open"`  // smaller eye opening / (eye midpoint to chin)
	MouthOpen float32 `json:"mouth_open"` // mouth opening / (eye midpoint to chin)

	FaceLuma   float32    `json:"face_luma"`       // mean luma of the face, 0..255
	Under      float32    `json:"under"`           // share of face luma in 0..25
	Over       float32    `json:"over"`            // share of face luma in 247..255
	Uneven     float32    `json:"uneven"`          // |left - right| mean cheek luma / FaceLuma
	Background float32    `json:"background"`      // mean luma outside the face, 0..255
	Detail     float32    `json:"detail,omitzero"` // structure of the background, whatever the exposure: mean difference over mean luminance; 0: not to be seen
	Skin       [3]float32 `json:"skin,omitzero"`   // mean red, green and blue of cheeks and forehead in linear light, 0..1; 0: not asked for, or out of sight
	Sharpness  float32    `json:"sharpness"`       // detail of face luma at 128 px face width, whichever direction has least, luma²
	Live       float32    `json:"live"`            // P(bona fide presentation) of this frame, 0..1
	LiveUsable bool       `json:"live_usable"`     // Live was measured: enough light and pixels. A second face is for guidance to judge

	Cover   Cover   `json:"cover,omitzero"`
	Quality Quality `json:"quality,omitzero"`
}
