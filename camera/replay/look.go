package replay

import (
	"math"
	"slices"
)

// A Look is how a person looks. The zero Look is the officer's portrait.
type Look struct {
	Who Who

	// Tone multiplies red, green and blue of the skin in linear light, 0..1, and
	// those of hair and neck with it; zero leaves them.
	Tone [3]float64

	// Mouth opens the mouth by that many widths of the face box: jaw and lower
	// lip go down.
	Mouth float64

	// Wears is what lies over the face, from the innermost to the outermost. It
	// is painted on the surface, so it turns and comes closer with the head.
	Wears []Thing
}

// A Visitor is a person in one look, for one goroutine at a time.
type Visitor struct{ figure *figure }

// A Wardrobe dresses people, for one goroutine at a time. It keeps what all looks
// of a person have in common, so one is enough for many composers.
type Wardrobe struct{ heads [2]*figure }

// NewWardrobe returns a wardrobe of every Who.
func NewWardrobe() (*Wardrobe, error) {
	officer, err := loadOfficer()
	if err != nil {
		return nil, err
	}
	astronaut, err := loadAstronaut()
	if err != nil {
		return nil, err
	}
	return &Wardrobe{[...]*figure{Officer: newHead(officer), Astronaut: newHead(astronaut)}}, nil
}

// Dress returns a person in a look. The Visitor may be drawn by any composer.
func (w *Wardrobe) Dress(l Look) *Visitor {
	f := *w.heads[l.Who]
	f.seen = nil
	if l.Mouth > 0 {
		f.gape(l.Mouth)
	}
	if l.Tone != ([3]float64{}) || l.Mouth > 0 || len(l.Wears) > 0 {
		t := f.levels[0]
		t.pix = slices.Clone(t.pix)
		p := painter{texture: t, linear: linearTable(), srgb: srgbTable()}
		if l.Tone != ([3]float64{}) {
			p.paint(tone(l.Tone))
		}
		if l.Mouth > 0 {
			throat(&p)
		}
		skin := p.cheeks()
		for _, thing := range l.Wears {
			for _, s := range thing(skin) {
				p.paint(s)
			}
		}
		f.cover(p.texture)
	}
	return &Visitor{&f}
}

// A painter paints on a head's texture. Its unit is the width of the face box,
// from the box's centre, x to the right and y down: eyes are near (±0.23, -0.23),
// the mouth near (0, 0.19), the chin near (0, 0.48).
type painter struct {
	texture

	linear [256]float32
	srgb   table
}

// A light is a colour in linear light, 0..1.
type light [3]float64

func (l light) times(k float64) light { return light{l[0] * k, l[1] * k, l[2] * k} }

func (l light) mix(m light, share float64) light {
	for k := range l {
		l[k] += (m[k] - l[k]) * share
	}
	return l
}

// A patch is a part of what lies over a face.
type patch struct {
	area

	colour func(x, y float64) light
	under  func(x, y float64, c light) light // instead of colour, from the colour below
	soft   float64                           // width of its edge
	share  float64                           // opacity; 0 means 1
	beyond bool                              // reaches beyond the person's outline
}

func (p *painter) at(x, y int) light {
	word := p.pix[y*p.w+x]
	return light{float64(p.linear[word&0xff]), float64(p.linear[word>>8&0xff]), float64(p.linear[word>>16&0xff])}
}

// paint lays a patch over the texture.
//
//go:norace
func (p *painter) paint(s patch) {
	pixel := func(at, face, edge float64) int { return int(math.Floor(face + at*faceWidth - edge)) }
	soft := max(s.soft, 1/faceWidth)
	x0, x1 := max(1, pixel(s.x0-soft, faceX, sheetLeft)), min(p.w-2, pixel(s.x1+soft, faceX, sheetLeft)+1)
	y0, y1 := max(1, pixel(s.y0-soft, faceY, sheetTop)), min(p.h-2, pixel(s.y1+soft, faceY, sheetTop)+1)
	for py := y0; py <= y1; py++ {
		for px := x0; px <= x1; px++ {
			word := p.pix[py*p.w+px]
			alpha := float64(word>>24) / 255
			if alpha == 0 && !s.beyond {
				continue
			}
			x, y := (float64(px)+0.5+sheetLeft-faceX)/faceWidth, (float64(py)+0.5+sheetTop-faceY)/faceWidth
			in := min(max(s.inside(x, y)/soft+0.5, 0), 1)
			if in == 0 {
				continue
			}
			if s.share > 0 {
				in *= s.share
			}
			old := p.at(px, py)
			if alpha < 1 { // premultiplied in code values: near enough at the rim
				old = old.times(1 / max(alpha, 0.02))
			}
			var c light
			if s.under != nil {
				c = s.under(x, y, old)
			} else {
				c = s.colour(x, y)
			}
			sum := alpha
			if s.beyond {
				sum = in + alpha*(1-in)
				in /= sum
			}
			var v [3]float64
			for k := range v {
				v[k] = p.srgb.at(float32(old[k] + (c[k]-old[k])*in))
			}
			p.pix[py*p.w+px] = texel(v[0], v[1], v[2], 255*sum)
		}
	}
}

// cheeks returns the mean colour of both cheeks.
func (p *painter) cheeks() light {
	var sum light
	n := 0.0
	for _, side := range [...]float64{-0.29, 0.29} {
		for dy := -0.06; dy <= 0.06; dy += 0.02 {
			for dx := -0.06; dx <= 0.06; dx += 0.02 {
				c := p.at(int(faceX+(side+dx)*faceWidth-sheetLeft), int(faceY+(0.03+dy)*faceWidth-sheetTop))
				for k := range sum {
					sum[k] += c[k]
				}
				n++
			}
		}
	}
	return sum.times(1 / n)
}
