// Package inferencetest makes pictures for tests of inference: portraits
// scaled, turned and spoiled in known ways, presentation attacks among them.
//
// Pictures are opaque RGBA whose first pixel is at (0, 0). All of it is
// deterministic. The loops over pixels are exempt from the race detector, which
// makes them ten times as slow: each picture is one goroutine's own.
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
//
//go:norace
func Place(img *image.RGBA, size image.Point, level uint8, at image.Point, scale, degrees float64) *image.RGBA {
	dst := Plain(size, level)
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	w, h := float64(img.Rect.Dx()), float64(img.Rect.Dy())
	// Averaging over each pixel's footprint keeps reduced pictures free of
	// aliasing.
	sub := max(1, int(math.Ceil(1/scale)))
	all := float64(sub * sub)
	ground := decode(level)
	src := linear(img)
	reach := int(math.Hypot(w, h)*scale/2) + 1
	area := image.Rect(at.X-reach, at.Y-reach, at.X+reach, at.Y+reach).Intersect(dst.Rect)
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			var sum [3]float64
			n := 0
			for j := range sub {
				for i := range sub {
					dx := float64(x-at.X) + (float64(i)+0.5)/float64(sub)
					dy := float64(y-at.Y) + (float64(j)+0.5)/float64(sub)
					sx, sy := (dx*cos+dy*sin)/scale+w/2, (dy*cos-dx*sin)/scale+h/2
					if sx >= 0 && sy >= 0 && sx < w && sy < h {
						n++
						src.add(&sum, sx-0.5, sy-0.5)
					}
				}
			}
			if n == 0 {
				continue
			}
			out := dst.Pix[y*dst.Stride+4*x:][:3]
			for c := range out {
				out[c] = encode(sum[c]/all + ground*(1-float64(n)/all))
			}
		}
	}
	return dst
}

// Blur returns img defocused by a Gaussian of sigma pixels.
func Blur(img *image.RGBA, sigma float64) *image.RGBA {
	l := linear(img)
	l.blur(sigma)
	return l.picture()
}

// Gain returns img with its linear light multiplied, as by a longer exposure,
// and clipped.
func Gain(img *image.RGBA, gain float64) *image.RGBA {
	l := linear(img)
	for i := range l.v {
		l.v[i] *= gain
	}
	return l.picture()
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
	fibres := light{w: ink.w, h: ink.h, v: make([]float64, len(ink.v))}
	for i := 0; i < len(fibres.v); i += 3 {
		fibres.v[i] = random.NormFloat64()
	}
	fibres.blur(1.2)
	tint := [3]float64{1, 0.98, 0.93}
	var sin, cos [3]float64
	for c, angle := range [3]float64{0.26, 1.31, 0.79} {
		sin[c], cos[c] = math.Sincos(angle)
	}
	for y := range ink.h {
		for x := range ink.w {
			i := 3 * (y*ink.w + x)
			p := ink.v[i : i+3]
			grey := (p[0] + p[1] + p[2]) / 3
			for c := range p {
				v := black + contrast*(grey+saturation*(p[c]-grey))
				a := (float64(x)*cos[c] + float64(y)*sin[c]) / dot
				b := (float64(y)*cos[c] - float64(x)*sin[c]) / dot
				screen := 0.25 * (math.Cos(2*math.Pi*a) + math.Cos(2*math.Pi*b))
				v += 0.35 * screen * math.Sqrt(min(max(v*(1-v), 0), 1))
				p[c] = v * (1 + 0.1*fibres.v[i]) * tint[c]
			}
		}
	}
	scene := linear(Plain(size, 110))
	origin := image.Pt((size.X-ink.w)/2, (size.Y-ink.h)/2)
	printed := image.Rectangle{Min: origin, Max: origin.Add(image.Pt(ink.w, ink.h))}
	sheet := printed.Inset(-int(rim * float64(size.X))).Intersect(img.Rect)
	for y := sheet.Min.Y; y < sheet.Max.Y; y++ {
		for x := sheet.Min.X; x < sheet.Max.X; x++ {
			p := scene.v[3*(y*size.X+x):][:3]
			if at := image.Pt(x, y); at.In(printed) {
				at = at.Sub(origin)
				copy(p, ink.v[3*(at.Y*ink.w+at.X):])
				continue
			}
			for c := range p {
				p[c] = 0.86 * tint[c]
			}
		}
	}
	scene.blur(focus)
	for i, v := range scene.v {
		scene.v[i] = v + random.NormFloat64()*sensor*math.Sqrt(max(v, 0)+0.02)
	}
	return scene.picture()
}

// light is a picture in linear light, 0..1, three channels for each pixel.
type light struct {
	w, h int
	v    []float64
}

//go:norace
func linear(img *image.RGBA) light {
	var table [256]float64
	for i := range table {
		table[i] = decode(uint8(i))
	}
	l := light{w: img.Rect.Dx(), h: img.Rect.Dy()}
	l.v = make([]float64, 0, 3*l.w*l.h)
	for y := range l.h {
		for row := img.Pix[y*img.Stride:][:4*l.w]; len(row) > 0; row = row[4:] {
			l.v = append(l.v, table[row[0]], table[row[1]], table[row[2]])
		}
	}
	return l
}

func (l light) picture() *image.RGBA {
	dst := Plain(image.Pt(l.w, l.h), 0)
	for i, v := range l.v {
		dst.Pix[i/3*4+i%3] = encode(v)
	}
	return dst
}

// add adds the channels at a point, interpolated; the picture goes on beyond
// its edge with its edge.
//
//go:norace
func (l light) add(sum *[3]float64, x, y float64) {
	x, y = min(max(x, 0), float64(l.w-1)), min(max(y, 0), float64(l.h-1))
	xi, yi := int(x), int(y)
	fx, fy := x-float64(xi), y-float64(yi)
	dx, dy := 3*(min(xi+1, l.w-1)-xi), 3*l.w*(min(yi+1, l.h-1)-yi)
	i := 3 * (yi*l.w + xi)
	for c := range sum {
		up := l.v[i+c]*(1-fx) + l.v[i+c+dx]*fx
		low := l.v[i+c+dy]*(1-fx) + l.v[i+c+dx+dy]*fx
		sum[c] += up*(1-fy) + low*fy
	}
}

func (l light) blur(sigma float64) {
	radius := int(math.Ceil(3 * sigma))
	kernel := make([]float64, 2*radius+1)
	var sum float64
	for i := range kernel {
		d := float64(i - radius)
		kernel[i] = math.Exp(-d * d / (2 * sigma * sigma))
		sum += kernel[i]
	}
	for i := range kernel {
		kernel[i] /= sum
	}
	// One line of one channel at a time, with its ends continued.
	pass := func(start, n, step int) {
		line := make([]float64, n+2*radius)
		for i := range line {
			line[i] = l.v[start+min(max(i-radius, 0), n-1)*step]
		}
		for i := range n {
			var v float64
			for k, weight := range kernel {
				v += weight * line[i+k]
			}
			l.v[start+i*step] = v
		}
	}
	for c := range 3 {
		for y := range l.h {
			pass(3*y*l.w+c, l.w, 3)
		}
		for x := range l.w {
			pass(3*x+c, l.h, 3*l.w)
		}
	}
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
	return encoded[int(math.Sqrt(min(max(v, 0), 1))*(codes-1)+0.5)]
}

// encoded is the transfer function of the square of its index over codes-1,
// which is nearly even in it.
const codes = 4096

var encoded = func() (table [codes]uint8) {
	for i := range table {
		v := math.Pow(float64(i)/(codes-1), 2)
		if v <= 0.0031308 {
			v *= 12.92
		} else {
			v = 1.055*math.Pow(v, 1/2.4) - 0.055
		}
		table[i] = uint8(v*255 + 0.5)
	}
	return table
}()
