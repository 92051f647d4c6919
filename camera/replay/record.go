package replay

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// frameLimit bounds one recorded frame, in bytes.
const frameLimit = 16 << 20

var errNoFrames = errors.New("no frames: want a directory of JPEG files")

// A recording is a directory of JPEG frames. They are read when they are
// played, so that a long one needs no memory.
type recording struct {
	paths  []string
	size   image.Point
	period time.Duration
	once   bool
}

func openRecording(o Options, period time.Duration) (*recording, error) {
	r := &recording{period: period, once: o.Once}
	entries, err := os.ReadDir(o.Clip) // sorted by name
	if err != nil {
		return nil, err
	}
	var data []byte
	defer func() { clear(data[:cap(data)]) }()
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		path := filepath.Join(o.Clip, e.Name())
		if data, err = readFrame(data, path); err != nil {
			return nil, err
		}
		c, err := jpeg.DecodeConfig(bytes.NewReader(opening(data))) // the decoder keeps what it reads
		if err != nil {
			return nil, fmt.Errorf("%s is no JPEG frame: %w", path, err)
		}
		size := image.Pt(c.Width, c.Height)
		if len(r.paths) == 0 {
			r.size = size
		}
		if size != r.size {
			return nil, fmt.Errorf("%s is %v pixels, the frames before it are %v", path, size, r.size)
		}
		r.paths = append(r.paths, path)
	}
	if len(r.paths) == 0 {
		return nil, errNoFrames
	}
	return r, nil
}

// readFrame reads the file path into the memory of buf where that is enough,
// and erases it where it is not. No other memory ever holds a part of the file.
func readFrame(buf []byte, path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return buf, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return buf, err
	}
	n := info.Size()
	if n > frameLimit {
		return buf, fmt.Errorf("%s is larger than %d bytes", path, frameLimit)
	}
	if int64(cap(buf)) < n {
		clear(buf[:cap(buf)])
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := io.ReadFull(f, buf); err != nil {
		return buf, fmt.Errorf("%s: %w", path, err)
	}
	return buf, nil
}

// opening returns the marker segments before the first scan of a JPEG image
// (ITU-T T.81, B.1.1), with that scan's marker and length, and so no pixels. Of
// what is no JPEG image, it returns some.
func opening(data []byte) []byte {
	p := 2
	for p+4 <= len(data) && data[p] == 0xff && data[p+1] != 0xda {
		p += 2 + int(data[p+2])<<8 + int(data[p+3])
	}
	return data[:min(p+4, len(data))]
}

func (r *recording) length() int {
	if r.once {
		return 0
	}
	return len(r.paths)
}

func (r *recording) frame(dst []byte, i int, _ time.Duration) ([]byte, image.Point, error) {
	data, err := readFrame(dst, r.paths[min(i, len(r.paths)-1)])
	return data, r.size, err
}

func (r *recording) image(at time.Duration) *image.RGBA {
	i := int(at / r.period)
	if !r.once {
		i %= len(r.paths)
	}
	data, err := readFrame(nil, r.paths[min(i, len(r.paths)-1)])
	if err != nil {
		return nil
	}
	defer clear(data)
	img, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		return nil
	}
	out := image.NewRGBA(image.Rectangle{Max: r.size})
	draw.Draw(out, out.Rect, img, img.Bounds().Min, draw.Src)
	return out
}
