package ui

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
)

// keep is how many pictures one run leaves behind at most.
const keep = 60

// An album writes pictures to a directory, one after another and away from
// the goroutine that draws. Numbers go on where an earlier run ended.
type album struct {
	root  *os.Root
	log   *slog.Logger
	first int // number of the first picture
	added int

	jobs  chan job
	spare chan *image.RGBA // written, to be drawn on again
	done  chan struct{}
}

type job struct {
	name string
	img  *image.RGBA
}

// openAlbum makes dir if needed and starts the writer, which close ends. The
// pictures may show a person, so only their owner can read them.
func openAlbum(dir string, log *slog.Logger) (*album, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory for pictures: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open directory for pictures: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		root.Close()
		return nil, fmt.Errorf("list pictures: %w", err)
	}
	a := &album{root: root, log: log, first: 1, jobs: make(chan job, 1), spare: make(chan *image.RGBA, 3), done: make(chan struct{})}
	numbered := regexp.MustCompile(`^(\d+)-.*\.png$`)
	for _, e := range entries {
		if m := numbered.FindStringSubmatch(e.Name()); m != nil {
			if n, err := strconv.Atoi(m[1]); err == nil {
				a.first = max(a.first, n+1)
			}
		}
	}
	go a.write()
	return a, nil
}

// full reports whether the album takes no more pictures.
func (a *album) full() bool { return a.added >= keep }

// blank returns an image of the given size to draw on.
func (a *album) blank(size image.Point) *image.RGBA {
	select {
	case img := <-a.spare:
		if img.Bounds().Size() == size {
			return img
		}
	default:
	}
	return image.NewRGBA(image.Rectangle{Max: size})
}

// add takes img over and writes it under the next number. It waits while two
// others are being written: none is dropped.
func (a *album) add(ctx context.Context, name string, img *image.RGBA) {
	j := job{fmt.Sprintf("%02d-%s.png", a.first+a.added, name), img}
	a.added++
	select {
	case a.jobs <- j:
	default:
		a.log.DebugContext(ctx, "waiting for pictures to be written", slog.String("picture", j.name))
		a.jobs <- j
	}
	if a.full() {
		a.log.WarnContext(ctx, "no more pictures in this run", slog.Int("written", keep))
	}
}

// close waits until every picture is on disk.
func (a *album) close(ctx context.Context) {
	close(a.jobs)
	<-a.done
	a.root.Close()
	a.log.DebugContext(ctx, "pictures written", slog.Int("count", a.added))
}

func (a *album) write() {
	defer close(a.done)
	enc := png.Encoder{CompressionLevel: png.BestSpeed}
	var buf bytes.Buffer
	for j := range a.jobs {
		buf.Reset()
		err := enc.Encode(&buf, j.img)
		if err == nil {
			err = a.place(j.name, buf.Bytes())
		}
		if err != nil {
			a.log.Error("picture lost", slog.String("picture", j.name), slog.Any("error", err))
		}
		clear(j.img.Pix)
		select {
		case a.spare <- j.img:
		default:
		}
	}
}

// place makes the file appear whole or not at all.
func (a *album) place(name string, data []byte) error {
	tmp := "." + filepath.Base(name) + ".tmp"
	if err := a.root.WriteFile(tmp, data, 0o600); err != nil {
		return fmt.Errorf("write picture: %w", err)
	}
	if err := a.root.Rename(tmp, name); err != nil {
		return fmt.Errorf("name picture: %w", err)
	}
	return nil
}
