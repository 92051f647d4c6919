package inference

import (
	"image"

	"livekiosk/inference/quality"
	"livekiosk/kiosk"
)

// Measure measures again all that the quality package tells of the last frame,
// which showed img, whose luma is luma, and a face in a square box of its pixels.
func (a *Analyser) Measure(img *image.RGBA, luma *image.Gray, box image.Rectangle) kiosk.Assessment {
	r := kiosk.Assessment{Size: img.Rect.Size(), Luma: quality.Mean(luma)}
	centre := box.Min.Add(box.Max)
	f := face{x: float32(centre.X) / 2, y: float32(centre.Y) / 2, side: float32(box.Dx())}
	a.look.take(a.landmarks.model.Input(), &a.upright, false)
	a.measure(&r, img, luma, f, scaling{1, 1})
	return r
}

// Bilinear and Blend return the channels of img at a point, 0..255, exactly and
// as sample does where it need not look for the edge.
func Bilinear(img *image.RGBA, x, y float32) [3]float32 {
	r, g, b := bilinear(img, x, y)
	return [3]float32{r, g, b}
}

func Blend(img *image.RGBA, x, y float32) [3]float32 {
	v := blend(img, int(x*(1<<fraction)), int(y*(1<<fraction)))
	return [3]float32{float32(v&0xffff) / 256, float32(v>>32&0xffff) / 256, float32(v>>16&0xffff) / 256}
}

// Add returns the sums of the channels of pix.
func Add(pix []uint8) [3]uint32 {
	r, g, b := add(pix)
	return [3]uint32{r, g, b}
}
