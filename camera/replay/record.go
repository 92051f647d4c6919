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
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		path := filepath.Join(o.Clip, e.Name())
		data, err := readFrame(path)
		if err != nil {
			return nil, err
		}
		c, err := jpeg.DecodeConfig(bytes.NewReader(data))
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

func readFrame(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, frameLimit+1))
	if err != nil {
		return nil, err
	}
	if len(data) > frameLimit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, frameLimit)
	}
	return data, nil
}

func (r *recording) length() int {
	if r.once {
		return 0
	}
	return len(r.paths)
}

func (r *recording) frame(dst []byte, i int) ([]byte, image.Point, error) {
	data, err := readFrame(r.paths[min(i, len(r.paths)-1)])
	if err != nil {
		return nil, r.size, err
	}
	return append(dst, data...), r.size, nil
}

func (r *recording) image(at time.Duration) *image.RGBA {
	i := int(at / r.period)
	if !r.once {
		i %= len(r.paths)
	}
	data, err := readFrame(r.paths[min(i, len(r.paths)-1)])
	if err != nil {
		return nil
	}
	img, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		return nil
	}
	out := image.NewRGBA(image.Rectangle{Max: r.size})
	draw.Draw(out, out.Rect, img, img.Bounds().Min, draw.Src)
	return out
}
