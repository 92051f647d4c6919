//go:build cgo

package jpeg

import (
	"errors"
	"fmt"
	"image"
)

// The markers of ITU-T T.81, table B.1, that are told apart here.
const (
	markerSOF0 = 0xc0 // baseline
	markerSOF1 = 0xc1 // extended sequential
	markerSOF2 = 0xc2 // progressive
	markerDHT  = 0xc4
	markerJPG  = 0xc8
	markerDAC  = 0xcc
	markerRST0 = 0xd0
	markerSOI  = 0xd8
	markerEOI  = 0xd9
	markerSOS  = 0xda
	markerDQT  = 0xdb
	markerTEM  = 0x01
)

// A header is what the marker segments before the first scan say.
type header struct {
	size        image.Point
	progressive bool
}

var (
	errNone   = errors.New("no JPEG image")
	errShort  = errors.New("header is cut short")
	errFrames = errors.New("two frame headers")
)

// Header returns the size of the JPEG image src, reading no further than to
// its first scan. It is an error if there is no scan, or if Decode would refuse
// what the header says.
func Header(src []byte) (size image.Point, err error) {
	h, err := parse(src)
	if err != nil {
		return image.Point{}, fmt.Errorf("jpeg: %w", err)
	}
	return h.size, nil
}

// parse walks over the marker segments (T.81, B.1.1) up to the first scan.
func parse(src []byte) (h header, err error) {
	if len(src) < 4 || src[0] != 0xff || src[1] != markerSOI {
		return header{}, errNone
	}
	if len(src) > maxBytes {
		return header{}, fmt.Errorf("%d bytes: want at most %d", len(src), maxBytes)
	}
	quantised := false
	for p := 2; ; {
		if p+4 > len(src) {
			return header{}, errShort
		}
		if src[p] != 0xff {
			return header{}, fmt.Errorf("byte %#02x where a marker should be", src[p])
		}
		marker := src[p+1]
		if marker == 0xff { // fill byte
			p++
			continue
		}
		if marker == markerSOS {
			break
		}
		if marker == 0 || marker == markerTEM || marker >= markerRST0 && marker <= markerEOI {
			return header{}, fmt.Errorf("marker %#02x before the first scan", marker)
		}
		n := int(src[p+2])<<8 | int(src[p+3])
		if n < 2 || p+2+n > len(src) {
			return header{}, errShort
		}
		segment := src[p+4 : p+2+n]
		p += 2 + n
		switch {
		case marker == markerDQT:
			quantised = true
		case marker >= markerSOF0 && marker < markerRST0 && marker != markerDHT && marker != markerJPG && marker != markerDAC:
			if h.size != (image.Point{}) {
				return header{}, errFrames
			}
			if h, err = h.frame(marker, segment); err != nil {
				return header{}, err
			}
		}
	}
	switch {
	case h.size == image.Point{}:
		return header{}, errors.New("no frame header")
	case !quantised:
		return header{}, errors.New("no quantisation tables")
	default:
		return h, nil
	}
}

// frame adds what a frame header (T.81, B.2.2) says.
func (h header) frame(marker byte, segment []byte) (header, error) {
	switch marker {
	case markerSOF0, markerSOF1:
	case markerSOF2:
		h.progressive = true
	default:
		return h, fmt.Errorf("frame type %#02x is not supported", marker)
	}
	if len(segment) < 6 {
		return h, errShort
	}
	if segment[0] != 8 {
		return h, fmt.Errorf("%d bits per sample: want 8", segment[0])
	}
	h.size = image.Pt(int(segment[3])<<8|int(segment[4]), int(segment[1])<<8|int(segment[2]))
	if h.size.X < 1 || h.size.Y < 1 || h.size.X > MaxSide || h.size.Y > MaxSide {
		return h, fmt.Errorf("size %v: want sides of 1 to %d", h.size, MaxSide)
	}
	return h, nil
}
