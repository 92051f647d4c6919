package replay

import (
	"bufio"
	"bytes"
	_ "embed" // the portraits and their geometry
	"fmt"
	"image"
	"image/draw"
	_ "image/jpeg" // portraits
	_ "image/png"  // portraits
	"math"
	"strconv"
	"strings"
)

// Who is one of the persons whose portraits are there.
type Who int

// The persons.
const (
	Officer   Who = iota // glasses, a cap and a dark coat; the only one with the pixels for a near capture
	Astronaut            // a smile that shows the teeth, and hair beside the face
)

//go:embed portraits/grace_hopper.jpg
var officerPicture []byte

//go:embed portraits/grace_hopper.mesh
var officerMesh []byte

//go:embed portraits/grace_hopper.outline
var officerOutline []byte

//go:embed portraits/astronaut.png
var astronautPicture []byte

//go:embed portraits/astronaut.mesh
var astronautMesh []byte

//go:embed portraits/astronaut.outline
var astronautOutline []byte

// A portrait is a photograph of a person and what is known of its geometry, in
// the pixels of the first portrait: the other is scaled and moved until the faces
// lie on each other.
type portrait struct {
	img     *image.RGBA
	mesh    []vec        // face landmarks; z away from the camera
	outline [][2]float64 // of the person, closed; reaches outside the picture
	around  []vec        // points of the head and the body around the face

	face        vec     // centre of the detector's face box
	box         float64 // its width
	pitch, roll float64 // degrees that straighten the head

	paint func(x, y int) colour // of the person, in whole pixels of the sheet
}

// faceX, faceY and faceWidth are the face box of every portrait.
const faceX, faceY, faceWidth = 266.3, 243.4, 196.4

func loadOfficer() (*portrait, error) {
	p := &portrait{
		face: vec{faceX, faceY, 0}, box: faceWidth,
		// The chin is held low and a little to one side.
		pitch: 3, roll: 1.5,
		around: []vec{
			{260, 25, 15}, {185, 65, 40}, {345, 65, 40}, {158, 105, 60}, {366, 105, 60}, {260, 112, -25}, // cap
			{155, 200, 98}, {375, 195, 98}, {170, 285, 105}, {355, 295, 105}, // ears and hair
			{210, 345, 80}, {325, 340, 80}, {268, 365, 65}, {268, 420, 50}, // neck and collar
			{58, 385, 90}, {490, 395, 90}, {10, 560, 90}, {535, 560, 90}, // shoulders and arms
			{150, 500, 35}, {400, 500, 35}, {268, 520, 28}, {268, 700, 25}, {100, 720, 45}, {440, 720, 45}, {268, 1050, 25}, {20, 1050, 80}, {530, 1050, 80},
		},
	}
	if err := p.load(officerPicture, officerMesh, officerOutline); err != nil {
		return nil, fmt.Errorf("portrait of the officer: %w", err)
	}
	p.paint = p.dressed()
	return p, nil
}

func loadAstronaut() (*portrait, error) {
	p := &portrait{
		face: vec{225, 128, 0}, box: 102,
		pitch: 4, roll: -2,
		around: []vec{
			{266, 20, 40}, {266, 80, 0}, {190, 45, 60}, {345, 45, 60}, {130, 130, 90}, {405, 130, 95}, {140, 205, 95}, {395, 205, 100}, // hair
			{168, 245, 95}, {362, 255, 100}, // ears
			{200, 345, 85}, {325, 350, 85}, {262, 370, 80}, {262, 430, 90}, // neck
			{60, 370, 95}, {410, 390, 95}, {290, 500, 0}, {130, 450, 40}, {400, 460, 40}, // ring
			{-10, 500, 95}, {500, 500, 95}, {270, 640, 15}, {60, 640, 45}, {450, 640, 45}, {270, 1050, 20}, {-10, 1050, 80}, {520, 1050, 80},
		},
	}
	if err := p.load(astronautPicture, astronautMesh, astronautOutline); err != nil {
		return nil, fmt.Errorf("portrait of the astronaut: %w", err)
	}
	own, k := p.face, faceWidth/p.box
	place := func(v vec) vec { return vec{(v.x-own.x)*k + faceX, (v.y-own.y)*k + faceY, v.z * k} }
	for i, v := range p.mesh {
		p.mesh[i] = place(v)
	}
	for i, v := range p.outline {
		at := place(vec{v[0], v[1], 0})
		p.outline[i] = [2]float64{at.x, at.y}
	}
	p.face, p.box = vec{faceX, faceY, 0}, faceWidth
	p.paint = func(x, y int) colour {
		sx, sy := (float64(x)+0.5-p.face.x)/k+own.x-0.5, (float64(y)+0.5-p.face.y)/k+own.y-0.5
		// Below the picture the suit goes on upside down.
		sy = max(0, min(sy, 2*float64(p.img.Rect.Dy()-2)-sy))
		sx = max(0, min(sx, float64(p.img.Rect.Dx()-2)))
		x0, y0 := int(sx), int(sy)
		fx, fy := sx-math.Floor(sx), sy-math.Floor(sy)
		return p.at(x0, y0).mix(p.at(x0+1, y0), fx).mix(p.at(x0, y0+1).mix(p.at(x0+1, y0+1), fx), fy)
	}
	return p, nil
}

// load reads the picture and its geometry.
func (p *portrait) load(picture, mesh, outline []byte) error {
	img, _, err := image.Decode(bytes.NewReader(picture))
	if err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	p.img = image.NewRGBA(image.Rectangle{Max: img.Bounds().Size()})
	draw.Draw(p.img, p.img.Rect, img, img.Bounds().Min, draw.Src)
	rows, err := numbers(mesh, 3)
	if err != nil {
		return fmt.Errorf("read mesh: %w", err)
	}
	for _, v := range rows {
		p.mesh = append(p.mesh, vec{v[0], v[1], v[2]})
	}
	if rows, err = numbers(outline, 2); err != nil {
		return fmt.Errorf("read outline: %w", err)
	}
	for _, v := range rows {
		p.outline = append(p.outline, [2]float64{v[0], v[1]})
	}
	return nil
}

func (p *portrait) at(x, y int) colour {
	px := p.img.Pix[y*p.img.Stride+4*x:][:3]
	return colour{float64(px[0]), float64(px[1]), float64(px[2])}
}

// numbers reads n numbers from each line.
func numbers(text []byte, n int) ([][]float64, error) {
	var out [][]float64
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) != n {
			return nil, fmt.Errorf("line %d: %d numbers, want %d", len(out)+1, len(fields), n)
		}
		row := make([]float64, n)
		for i, f := range fields {
			v, err := strconv.ParseFloat(f, 64)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", len(out)+1, err)
			}
			row[i] = v
		}
		out = append(out, row)
	}
	return out, nil
}
