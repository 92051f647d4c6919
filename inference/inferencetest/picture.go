// Package inferencetest makes pictures for tests of inference: portraits
// scaled, turned and spoiled in known ways, presentation attacks among them.
//
// Pictures are opaque RGBA whose first pixel is at (0, 0). All of it is
// deterministic.
package inferencetest

import (
	"fmt"
	"image"
	"image/draw"
	_ "image/jpeg" // portraits
	_ "image/png"  // portraits
	"math"
	"math/rand/v2"
	"os"
)

// Load reads the PNG or JPEG picture in the file path.
func Load(path string) (*image.RGBA, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	src, _, err := image.Decode(f)
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", path, err)
	}
	dst := image.NewRGBA(image.Rectangle{Max: src.Bounds().Size()})
	draw.Draw(dst, dst.Rect, src, src.Bounds().Min, draw.Src)
	return dst, nil
}

// Plain returns a picture of one grey level.
func Plain(size image.Point, level uint8) *image.RGBA {
	dst := image.NewRGBA(image.Rectangle{Max: size})
	for i := range dst.Pix {
		dst.Pix[i] = level
	}
	for i := 3; i < len(dst.Pix); i += 4 {
		dst.Pix[i] = 255
	}
	return dst
}

// Mirror returns img with left and right exchanged.
func Mirror(img *image.RGBA) *image.RGBA {
	dst := image.NewRGBA(img.Rect)
	w := img.Rect.Dx()
	for y := range img.Rect.Dy() {
		for x := range w {
			dst.SetRGBA(x, y, img.RGBAAt(w-1-x, y))
		}
	}
	return dst
}

// Place returns a picture of the given size and grey level on which img lies
// with its centre at at, enlarged by scale and turned clockwise by degrees.
func Place(img *image.RGBA, size image.Point, level uint8, at image.Point, scale, degrees float64) *image.RGBA {
	dst := Plain(size, level)
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	w, h := float64(img.Rect.Dx()), float64(img.Rect.Dy())
	// Averaging over each pixel's footprint keeps reduced pictures free of
	// aliasing.
	sub := max(1, int(math.Ceil(1/scale)))
	planes := linear(img)
	for y := range size.Y {
		for x := range size.X {
			var sum [3]float64
			n := 0
			for j := range sub {
				for i := range sub {
					dx := float64(x-at.X) + (float64(i)+0.5)/float64(sub)
					dy := float64(y-at.Y) + (float64(j)+0.5)/float64(sub)
					sx, sy := (dx*cos+dy*sin)/scale+w/2, (dy*cos-dx*sin)/scale+h/2
					if sx < 0 || sy < 0 || sx >= w || sy >= h {
						continue
					}
					n++
					for c := range sum {
						sum[c] += planes[c].at(sx-0.5, sy-0.5)
					}
				}
			}
			if n == 0 {
				continue
			}
			share := float64(n) / float64(sub*sub)
			i := dst.PixOffset(x, y)
			for c := range sum {
				dst.Pix[i+c] = encode(sum[c]/float64(n)*share + decode(level)*(1-share))
			}
		}
	}
	return dst
}

// Blur returns img defocused by a Gaussian of sigma pixels.
func Blur(img *image.RGBA, sigma float64) *image.RGBA {
	planes := linear(img)
	for c := range planes {
		planes[c].blur(sigma)
	}
	return picture(planes)
}

// Gain returns img with its linear light multiplied, as by a longer exposure,
// and clipped.
func Gain(img *image.RGBA, gain float64) *image.RGBA {
	planes := linear(img)
	for c := range planes {
		for i := range planes[c].v {
			planes[c].v[i] *= gain
		}
	}
	return picture(planes)
}

// Noise returns a picture of independent random channels.
func Noise(size image.Point, seed uint64) *image.RGBA {
	dst := Plain(size, 0)
	random := rand.New(rand.NewPCG(seed, 1))
	for i := range dst.Pix {
		if i%4 != 3 {
			dst.Pix[i] = uint8(random.UintN(256))
		}
	}
	return dst
}

// Print returns a presentation attack: img as a faded print on paper, held
// before a camera. Ink on paper keeps half of the contrast above a black of
// 18 % and shows a clustered-dot halftone and fibres; a rim of paper and then
// a dim room surround it; the camera is out of focus by 1.6 pixels and adds
// noise. The picture has img's size.
func Print(img *image.RGBA, seed uint64) *image.RGBA {
	const (
		contrast, black = 0.5, 0.18
		saturation      = 0.85
		dot             = 3.0 // pixels between halftone dots
		share           = 0.86
		rim             = 0.03 // of the width, paper without ink
		focus           = 1.6
		sensor          = 0.008
	)
	random := rand.New(rand.NewPCG(seed, 2))
	size := img.Rect.Size()
	small := Place(img, image.Pt(int(float64(size.X)*share), int(float64(size.Y)*share)), 0,
		image.Pt(int(float64(size.X)*share)/2, int(float64(size.Y)*share)/2), share, 0)
	ink := linear(small)
	w, h := small.Rect.Dx(), small.Rect.Dy()
	fibres := newPlane(w, h)
	for i := range fibres.v {
		fibres.v[i] = random.NormFloat64()
	}
	fibres.blur(1.2)
	angles := [3]float64{0.26, 1.31, 0.79}
	tint := [3]float64{1, 0.98, 0.93}
	for y := range h {
		for x := range w {
			i := y*w + x
			grey := (ink[0].v[i] + ink[1].v[i] + ink[2].v[i]) / 3
			for c := range ink {
				v := black + contrast*(grey+saturation*(ink[c].v[i]-grey))
				sin, cos := math.Sincos(angles[c])
				a := (float64(x)*cos + float64(y)*sin) / dot
				b := (float64(y)*cos - float64(x)*sin) / dot
				screen := 0.25 * (math.Cos(2*math.Pi*a) + math.Cos(2*math.Pi*b))
				v += 0.35 * screen * math.Sqrt(min(max(v*(1-v), 0), 1))
				ink[c].v[i] = v * (1 + 0.1*fibres.v[i]) * tint[c]
			}
		}
	}
	scene := linear(Plain(size, 110))
	x0, y0 := (size.X-w)/2, (size.Y-h)/2
	edge := int(rim * float64(size.X))
	for c := range scene {
		for y := max(y0-edge, 0); y < min(y0+h+edge, size.Y); y++ {
			for x := max(x0-edge, 0); x < min(x0+w+edge, size.X); x++ {
				v := 0.86 * tint[c]
				if x >= x0 && x < x0+w && y >= y0 && y < y0+h {
					v = ink[c].v[(y-y0)*w+x-x0]
				}
				scene[c].v[y*size.X+x] = v
			}
		}
		scene[c].blur(focus)
		for i, v := range scene[c].v {
			scene[c].v[i] = v + random.NormFloat64()*sensor*math.Sqrt(max(v, 0)+0.02)
		}
	}
	return picture(scene)
}

// A plane is one channel in linear light, 0..1.
type plane struct {
	w, h int
	v    []float64
}

func newPlane(w, h int) *plane { return &plane{w, h, make([]float64, w*h)} }

func linear(img *image.RGBA) [3]*plane {
	var table [256]float64
	for i := range table {
		table[i] = decode(uint8(i))
	}
	w, h := img.Rect.Dx(), img.Rect.Dy()
	planes := [3]*plane{newPlane(w, h), newPlane(w, h), newPlane(w, h)}
	for y := range h {
		for x := range w {
			p := img.Pix[y*img.Stride+4*x:]
			for c := range planes {
				planes[c].v[y*w+x] = table[p[c]]
			}
		}
	}
	return planes
}

func picture(planes [3]*plane) *image.RGBA {
	dst := Plain(image.Pt(planes[0].w, planes[0].h), 0)
	for i := range planes[0].v {
		for c := range planes {
			dst.Pix[4*i+c] = encode(planes[c].v[i])
		}
	}
	return dst
}

// at interpolates; the plane goes on beyond its edge with its edge.
func (p *plane) at(x, y float64) float64 {
	x, y = min(max(x, 0), float64(p.w-1)), min(max(y, 0), float64(p.h-1))
	xi, yi := int(x), int(y)
	xj, yj := min(xi+1, p.w-1), min(yi+1, p.h-1)
	fx, fy := x-float64(xi), y-float64(yi)
	up := p.v[yi*p.w+xi]*(1-fx) + p.v[yi*p.w+xj]*fx
	low := p.v[yj*p.w+xi]*(1-fx) + p.v[yj*p.w+xj]*fx
	return up*(1-fy) + low*fy
}

func (p *plane) blur(sigma float64) {
	if sigma <= 0 {
		return
	}
	radius := int(math.Ceil(3 * sigma))
	kernel := make([]float64, 2*radius+1)
	var sum float64
	for i := range kernel {
		d := float64(i - radius)
		kernel[i] = math.Exp(-d * d / (2 * sigma * sigma))
		sum += kernel[i]
	}
	tmp := make([]float64, len(p.v))
	pass := func(dst, src []float64, n, step, lines, line int) {
		for l := range lines {
			for i := range n {
				var v float64
				for k, weight := range kernel {
					v += weight * src[l*line+min(max(i+k-radius, 0), n-1)*step]
				}
				dst[l*line+i*step] = v / sum
			}
		}
	}
	pass(tmp, p.v, p.w, 1, p.h, p.w)
	pass(p.v, tmp, p.h, p.w, p.w, 1)
}

// decode and encode are the sRGB transfer function.
func decode(v uint8) float64 {
	s := float64(v) / 255
	if s <= 0.04045 {
		return s / 12.92
	}
	return math.Pow((s+0.055)/1.055, 2.4)
}

func encode(v float64) uint8 {
	v = min(max(v, 0), 1)
	if v <= 0.0031308 {
		v *= 12.92
	} else {
		v = 1.055*math.Pow(v, 1/2.4) - 0.055
	}
	return uint8(v*255 + 0.5)
}
