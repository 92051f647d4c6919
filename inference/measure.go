package inference

import (
	"image"

	"livekiosk/inference/quality"
	"livekiosk/kiosk"
)

// A look is what is measured of a face's pixels, while they are still in the
// landmark network's input.
type look struct {
	crop   *quality.Crop
	light  quality.Exposure
	uneven float32
	sharp  float32
	cover  quality.Cover
	skin   [3]float32

	illumination, mean, variance, under, over, dynamic, colour quality.Component
}

// take measures the face in rgb, whose points are m; the colour of its skin only if
// that is asked for.
func (l *look) take(rgb []float32, m *quality.Mesh, skin bool) {
	c := l.crop
	c.Read(rgb, m)
	l.light = c.Exposure()
	l.uneven = c.Uneven(l.light.Mean)
	l.sharp = c.Sharpness()
	l.cover = c.Cover(l.sharp)
	l.illumination, l.colour = c.IlluminationUniformity(), c.NaturalColour()
	l.mean, l.variance, l.dynamic = c.LuminanceMean(), c.LuminanceVariance(), c.DynamicRange()
	l.under, l.over = c.UnderExposurePrevention(), c.OverExposurePrevention()
	if l.skin = [3]float32{}; skin {
		l.skin = c.Skin()
	}
}

// measure fills in what r says of the face f in img, whose luma is luma: light, pose, openings and
// the quality components. Second and Face are there.
func (a *Analyser) measure(r *kiosk.Assessment, img *image.RGBA, luma *image.Gray, f face, s scaling) {
	pose, l := a.mesh.Pose(), &a.look
	right, left := a.mesh.Eyes()
	ied := a.mesh.IED(pose.Yaw)
	r.Yaw, r.Pitch, r.Roll = pose.Yaw, pose.Pitch, pose.Roll
	r.IED = ied * s.mean()
	r.EyesOpen, r.MouthOpen = a.mesh.EyesOpen(), a.mesh.MouthOpen()
	r.FaceLuma, r.Under, r.Over = l.light.Mean, l.light.Under, l.light.Over
	r.Uneven, r.Sharpness = l.uneven, l.sharp
	r.Cover, r.Skin = kiosk.Cover(l.cover), l.skin

	behind, ok := l.crop.Behind(img, luma, scaling{1, 1}.square(f), ied)
	if !ok { // no background in sight, no contrast to it
		behind = quality.Background{Luma: l.light.Mean, Uniformity: quality.Missing()}
	}
	r.Background, r.Detail = behind.Luma, behind.Detail

	w, h := float32(img.Rect.Dx()), float32(img.Rect.Dy())
	t, eyesY := a.mesh.T(), (right.Y+left.Y)/2
	q := &r.Quality
	q.BackgroundUniformity = kiosk.Component(behind.Uniformity)
	q.IlluminationUniformity = kiosk.Component(l.illumination)
	q.LuminanceMean, q.LuminanceVariance = kiosk.Component(l.mean), kiosk.Component(l.variance)
	q.UnderExposurePrevention, q.OverExposurePrevention = kiosk.Component(l.under), kiosk.Component(l.over)
	q.DynamicRange = kiosk.Component(l.dynamic)
	q.Sharpness = kiosk.Component(quality.Sharp(l.sharp))
	q.NaturalColour = kiosk.Component(l.colour)
	q.SingleFacePresent = kiosk.Component(quality.SingleFacePresent(r.Second))
	q.EyesOpen = kiosk.Component(quality.EyesOpen(r.EyesOpen))
	q.MouthClosed = kiosk.Component(quality.MouthClosed(r.MouthOpen))
	q.EyesVisible = kiosk.Component(quality.Covered(max(l.cover.Eyes, l.cover.Shade)))
	q.MouthOcclusion = kiosk.Component(quality.Covered(l.cover.Mouth))
	q.FaceOcclusion = kiosk.Component(quality.Covered(l.cover.Face))
	q.InterEyeDistance = kiosk.Component(quality.InterEyeDistance(r.IED))
	q.HeadSize = kiosk.Component(quality.HeadSize(t, h))
	q.LeftwardCrop = kiosk.Component(quality.LeftwardCrop(right.X, ied))
	q.RightwardCrop = kiosk.Component(quality.RightwardCrop(left.X, w, ied))
	q.MarginAbove = kiosk.Component(quality.MarginAbove(eyesY, t))
	q.MarginBelow = kiosk.Component(quality.MarginBelow(eyesY, h, t))
	q.HeadPoseYaw = kiosk.Component(quality.HeadPose(pose.Yaw))
	q.HeadPosePitch = kiosk.Component(quality.HeadPose(pose.Pitch))
	q.HeadPoseRoll = kiosk.Component(quality.HeadPose(pose.Roll))
	q.Unified = unified(q)
}

// unified is the score by which the best frame of a hold is chosen. What counts
// is what changes from frame to frame while a person holds still, above all
// focus; what the room and the person's stance decide is the same in all of
// them.
func unified(q *kiosk.Quality) float32 {
	part := func(c kiosk.Component, weight float32) quality.Part {
		return quality.Part{Component: quality.Component(c), Weight: weight}
	}
	return quality.Unified(
		part(q.Sharpness, 3), part(q.EyesOpen, 2), part(q.MouthClosed, 1),
		part(q.HeadPoseYaw, 1), part(q.HeadPosePitch, 1), part(q.HeadPoseRoll, 1),
		part(q.IlluminationUniformity, 1), part(q.LuminanceMean, 1),
		part(q.UnderExposurePrevention, 1), part(q.OverExposurePrevention, 1),
		part(q.EyesVisible, 1), part(q.MouthOcclusion, 1), part(q.FaceOcclusion, 1),
	)
}
