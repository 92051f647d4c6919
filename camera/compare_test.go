//go:build cgo && compare

package camera_test

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"image"
	stdjpeg "image/jpeg"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/image/draw"
	"golang.org/x/sys/unix"

	"livekiosk/camera"
	"livekiosk/camera/jpeg"
	"livekiosk/camera/replay"
	"livekiosk/inference"
	"livekiosk/inference/inferencetest"
	"livekiosk/kiosk"
)

var table = flag.String("table", "", "write the table to this `file` and not to standard output")

const (
	short    = 360 // shorter side of preview and analysis, as the daemon asks for
	pictures = 12  // different ones
	rounds   = 8  // of each
)

// A way makes pictures for screen and analysis of a frame; turn is which of the
// frames it is.
type way struct {
	name string
	make func(turn int)
	took []time.Duration // processor time of its thread
}

// BenchmarkCompare measures the camera's path beside others on the same frames,
// in turns, and writes one table in Markdown.
func BenchmarkCompare(b *testing.B) {
	runtime.LockOSThread() // the clock is the thread's
	defer runtime.UnlockOSThread()
	var rows bytes.Buffer
	for b.Loop() {
		rows.Reset()
		for _, format := range []kiosk.Format{kiosk.MJPEG, kiosk.YUYV} {
			for _, size := range []image.Point{{X: 640, Y: 480}, {X: 1280, Y: 720}, {X: 1920, Y: 1080}} {
				row(b, &rows, format, size)
			}
		}
	}
	b.ReportMetric(0, "ns/op") // of all of them together: says nothing
	out := io.Writer(os.Stdout)
	if *table != "" {
		f, err := os.Create(*table)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		out = f
	}
	fmt.Fprintf(out, head, machine(), short, pictures, rounds)
	if _, err := rows.WriteTo(out); err != nil {
		b.Fatal(err)
	}
	fmt.Fprint(out, foot)
}

func row(b *testing.B, rows io.Writer, format kiosk.Format, size image.Point) {
	b.Helper()
	frames := film(b, format, size)
	ours, scaled := path(b, frames)
	ways := []*way{ours}
	if format == kiosk.MJPEG {
		ways = append(ways, turbo(b, frames, scaled))
	}
	ways = append(ways, tensors(b, frames), standardLibrary(b, frames, scaled))
	other := make([]byte, 16<<20)
	for range rounds {
		for turn := range frames {
			for _, w := range ways {
				// Everybody begins with caches that hold something else, as
				// after a frame's time; the first would warm them for the next.
				for i := 0; i < len(other); i += 64 {
					other[i]++
				}
				w.make(turn)
			}
			slices.Reverse(ways)
		}
	}
	cells := []string{fmt.Sprintf("%s %dx%d", format, size.X, size.Y), fmt.Sprintf("%dx%d", scaled.X, scaled.Y)}
	for _, name := range []string{"ours", "turbo", "tensors", "go"} {
		i := slices.IndexFunc(ways, func(w *way) bool { return w.name == name })
		if i < 0 {
			cells = append(cells, "")
			continue
		}
		cells = append(cells, milliseconds(median(ways[i].took)))
	}
	for _, name := range []string{"ours", "tensors"} {
		cells = append(cells, against(ways, name, "turbo"))
	}
	cells = append(cells, ffmpeg(b, frames, scaled, false))
	if format == kiosk.MJPEG {
		cells = append(cells, ffmpeg(b, frames, scaled, true))
	} else {
		cells = append(cells, "")
	}
	fmt.Fprintf(rows, "| %s |\n", strings.Join(cells, " | "))
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()*1e3) }

func median[T cmp.Ordered](all []T) T {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

// against returns the median of what one way took of another for the same frame
// in the same round.
func against(ways []*way, name, other string) string {
	of := func(name string) []time.Duration {
		for _, w := range ways {
			if w.name == name {
				return w.took
			}
		}
		return nil
	}
	a, b := of(name), of(other)
	if b == nil {
		return ""
	}
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = float64(a[i]) / float64(b[i])
	}
	return fmt.Sprintf("%.2f", median(ratios))
}

// clock is the processor time of this thread: other programs do not count.
func clock() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		panic(err)
	}
	return time.Duration(ts.Nano())
}

// film returns frames of the composed clip: MJPEG as most cameras make it, in
// 4:2:2.
func film(b *testing.B, format kiosk.Format, size image.Point) (frames []*kiosk.Frame) {
	b.Helper()
	clip, err := replay.Open(replay.Options{Clip: replay.Portrait, Size: size})
	if err != nil {
		b.Fatal(err)
	}
	enc := jpeg.NewEncoder()
	defer enc.Close()
	for i := range pictures {
		img := clip.Compose(7*time.Second + time.Duration(i)*400*time.Millisecond)
		f := kiosk.Frame{ID: kiosk.FrameID(i + 1), Format: format, Size: size}
		if format == kiosk.MJPEG {
			if f.Data, err = enc.Encode(nil, img, 90); err != nil {
				b.Fatal(err)
			}
		} else {
			f.Data, f.Stride = yuyv(img), 2*size.X
		}
		frames = append(frames, kiosk.NewFrame(f, nil))
	}
	return frames
}

func yuyv(img *image.RGBA) []byte {
	out := make([]byte, 0, len(img.Pix)/2)
	for i := 0; i < len(img.Pix); i += 8 {
		p := img.Pix[i : i+8]
		luma := func(r, g, b byte) byte {
			return byte(16.5 + 0.257*float64(r) + 0.504*float64(g) + 0.098*float64(b))
		}
		r, g, b := float64(p[0]), float64(p[1]), float64(p[2])
		out = append(out, luma(p[0], p[1], p[2]), byte(128.5-0.148*r-0.291*g+0.439*b), luma(p[4], p[5], p[6]), byte(128.5+0.439*r-0.368*g-0.071*b))
	}
	return out
}

// path is the product's: colours for the screen and luma for analysis.
func path(b *testing.B, frames []*kiosk.Frame) (*way, image.Point) {
	b.Helper()
	dec := jpeg.NewDecoder()
	b.Cleanup(dec.Close)
	d := &camera.Decoder{JPEG: dec}
	img, _, err := d.Decode(frames[0], short)
	if err != nil {
		b.Fatal(err)
	}
	w := &way{name: "ours"}
	w.make = func(turn int) {
		began := clock()
		if _, _, err := d.Decode(frames[turn], short); err != nil {
			b.Fatal(err)
		}
		w.took = append(w.took, clock()-began)
	}
	return w, img.Rect.Size()
}

// turbo is libjpeg-turbo alone.
func turbo(b *testing.B, frames []*kiosk.Frame, scaled image.Point) *way {
	b.Helper()
	bare, pix := jpeg.NewBare(), make([]byte, 4*scaled.X*scaled.Y)
	w := &way{name: "turbo"}
	w.make = func(turn int) {
		began := clock()
		if !bare.Decode(pix, frames[turn].Data, scaled) {
			b.Fatal("libjpeg-turbo does not decode")
		}
		w.took = append(w.took, clock()-began)
	}
	return w
}

// A timed network tells how long it ran.
type timed struct {
	inference.Model

	ran *time.Duration
}

func (t timed) Run() error {
	began := clock()
	defer func() { *t.ran += clock() - began }()
	return t.Model.Run()
}

// tensors is all that the analysis does with a frame but for running its
// networks: decoding, filling their tensors for one face, and measuring light,
// sharpness and pose.
func tensors(b *testing.B, frames []*kiosk.Frame) *way {
	b.Helper()
	var ran time.Duration
	o := inferencetest.Models(b)
	o.Detector, o.Landmarks, o.PAD = timed{o.Detector, &ran}, timed{o.Landmarks, &ran}, timed{o.PAD, &ran}
	dec := jpeg.NewDecoder()
	b.Cleanup(dec.Close)
	o.Decoder = &camera.Decoder{JPEG: dec}
	a, err := inference.New(o)
	if err != nil {
		b.Fatal(err)
	}
	w := &way{name: "tensors"}
	w.make = func(turn int) {
		ran = 0
		began := clock()
		got, err := a.Assess(frames[turn])
		if err != nil || got.Faces != 1 || !got.LiveUsable {
			b.Fatalf("frame %d: %d faces, %v: want one", turn, got.Faces, err)
		}
		w.took = append(w.took, clock()-began-ran)
	}
	return w
}

// standardLibrary is image/jpeg and the quick scaling of x/image; for raw
// frames the standard library's image of their layout, and the same scaling.
func standardLibrary(b *testing.B, frames []*kiosk.Frame, scaled image.Point) *way {
	b.Helper()
	dst := image.NewRGBA(image.Rectangle{Max: scaled})
	planes := image.NewYCbCr(image.Rectangle{Max: frames[0].Size}, image.YCbCrSubsampleRatio422)
	w := &way{name: "go"}
	w.make = func(turn int) {
		f := frames[turn]
		began := clock()
		var src image.Image = planes
		if f.Format == kiosk.MJPEG {
			var err error
			if src, err = stdjpeg.Decode(bytes.NewReader(f.Data)); err != nil {
				b.Fatal(err)
			}
		} else {
			for i := range planes.Cb {
				p := f.Data[4*i : 4*i+4]
				planes.Y[2*i], planes.Cb[i], planes.Y[2*i+1], planes.Cr[i] = p[0], p[1], p[2], p[3]
			}
		}
		draw.ApproxBiLinear.Scale(dst, dst.Rect, src, src.Bounds(), draw.Src, nil)
		w.took = append(w.took, clock()-began)
	}
	return w
}

// ffmpeg returns the processor time of one frame, in ms: that of a program
// which decodes many less that of one which decodes few, by their number.
// Lowres has its decoder scale, as libjpeg-turbo does.
func ffmpeg(b *testing.B, frames []*kiosk.Frame, scaled image.Point, lowres bool) string {
	b.Helper()
	size := frames[0].Size
	run := func(times int) time.Duration {
		path := filepath.Join(b.TempDir(), "film")
		var all bytes.Buffer
		for range times {
			for _, f := range frames {
				all.Write(f.Data)
			}
		}
		if err := os.WriteFile(path, all.Bytes(), 0o600); err != nil {
			b.Fatal(err)
		}
		args := []string{"-v", "error", "-threads", "1", "-filter_threads", "1"}
		filter := fmt.Sprintf("scale=%d:%d:flags=fast_bilinear,format=rgba", scaled.X, scaled.Y)
		switch {
		case frames[0].Format == kiosk.YUYV:
			args = append(args, "-f", "rawvideo", "-pix_fmt", "yuyv422", "-s", fmt.Sprintf("%dx%d", size.X, size.Y))
		case lowres && size != scaled:
			args = append(args, "-f", "mjpeg", "-lowres", "1")
			filter = "format=rgba"
		default:
			args = append(args, "-f", "mjpeg")
		}
		args = append(args, "-i", path, "-vf", filter, "-f", "null", "-")
		cmd := exec.CommandContext(context.Background(), "ffmpeg", args...)
		said, err := cmd.CombinedOutput()
		if err != nil || len(said) > 0 {
			b.Fatalf("ffmpeg: %v\n%s", err, said)
		}
		return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	var took []time.Duration
	for range 3 {
		took = append(took, (run(rounds+1)-run(1))/time.Duration(rounds*len(frames)))
	}
	return milliseconds(median(took))
}

// machine describes the processor and the libraries.
func machine() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	_, model, _ := strings.Cut(string(info), "model name\t: ")
	model, _, _ = strings.Cut(model, "\n")
	return fmt.Sprintf("%s, %d cores, %s, %s", cmp.Or(model, "a processor without a name"), runtime.NumCPU(), runtime.GOARCH, runtime.Version())
}

const head = `machine %s short %d pictures %d rounds %d
| frame | scaled | ours | turbo | tensors | go | ratio ours | ratio tensors | ffmpeg | ffmpeg lowres
`

const foot = "\n"
