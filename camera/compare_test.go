//go:build cgo && compare

package camera_test

import (
	"bytes"
	"cmp"
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
	rounds   = 12  // of each
)

// A way makes pictures for screen and analysis of a frame; turn is which of the
// frames it is.
type way struct {
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
				for _, m := range []kiosk.Mount{{}, {Turn: 90}} {
					row(b, &rows, format, size, m)
				}
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
	if _, err := fmt.Fprintf(out, head, short, machine(b), pictures, rounds, rows.String()); err != nil {
		b.Fatal(err)
	}
}

// row measures one size and format. Of turned frames only what turning costs
// the product is told.
func row(b *testing.B, rows io.Writer, format kiosk.Format, size image.Point, m kiosk.Mount) {
	b.Helper()
	frames := film(b, format, size)
	for _, f := range frames {
		f.Mount = m
	}
	ours, scaled := path(b, frames)
	all := []*way{ours}
	var bare, whole, std *way
	name := fmt.Sprintf("%s %dx%d", format, size.X, size.Y)
	if m.Turn != 0 {
		name += ", turned"
		scaled = image.Pt(scaled.Y, scaled.X)
	}
	if format == kiosk.MJPEG {
		bare = turbo(b, frames, scaled)
		all = append(all, bare)
	}
	if m.Turn == 0 {
		whole, std = tensors(b, frames), standardLibrary(b, frames, scaled)
		all = append(all, whole, std)
	}
	other := make([]byte, 16<<20)
	for range rounds {
		for turn := range frames {
			for _, w := range all {
				// Everybody begins with caches that hold something else, as
				// after a frame's time; the first would warm them for the next.
				for i := 0; i < len(other); i += 64 {
					other[i]++
				}
				w.make(turn)
			}
			slices.Reverse(all)
		}
	}
	cells := []string{
		name, fmt.Sprintf("%dx%d", scaled.X, scaled.Y), ours.median(), bare.median(), ours.against(bare), whole.median(), std.median(), "", "",
	}
	if m.Turn == 0 {
		cells[7] = ffmpeg(b, frames, scaled, false)
		if format == kiosk.MJPEG {
			cells[8] = ffmpeg(b, frames, scaled, true)
		}
	}
	fmt.Fprintf(rows, "| %s |\n", strings.Join(cells, " | "))
}

// median is what w took for most frames, in ms.
func (w *way) median() string {
	if w == nil {
		return ""
	}
	return milliseconds(median(w.took))
}

// against returns the median of what w took of another for the same frame in
// the same round.
func (w *way) against(other *way) string {
	if other == nil {
		return ""
	}
	ratios := make([]float64, len(w.took))
	for i := range ratios {
		ratios[i] = float64(w.took[i]) / float64(other.took[i])
	}
	return fmt.Sprintf("**%.2f**", median(ratios))
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()*1e3) }

func median[T cmp.Ordered](all []T) T {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
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
	w := &way{}
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
	w := &way{}
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
	w := &way{}
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
	w := &way{}
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
		cmd := exec.CommandContext(b.Context(), "ffmpeg", args...)
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

// machine describes what all this ran on.
func machine(b *testing.B) string {
	b.Helper()
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		b.Fatal(err)
	}
	_, model, _ := strings.Cut(string(info), "model name\t: ")
	model, _, _ = strings.Cut(model, "\n")
	version := func(name string, args ...string) string {
		out, err := exec.CommandContext(b.Context(), name, args...).Output()
		if err != nil {
			b.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	film, _, _ := strings.Cut(version("ffmpeg", "-version"), " Copyright")
	return fmt.Sprintf("%s, %d cores, %s; libjpeg-turbo %s; %s; %s", cmp.Or(model, "processor without a name"), runtime.NumCPU(), runtime.GOARCH,
		version("pkg-config", "--modversion", "libturbojpeg"), runtime.Version(), film)
}

const head = `# From a frame to preview and analysis

What ` + "`make bench-camera`" + ` prints: milliseconds of processor time of one thread for one frame, reduced to a shorter side of at least %d pixels.

Machine: %s.

Medians over %d frames of the composed portrait, %d times each, every way in turns and from caches filled with something else. The ratio is the median over the same frame in the same round. MJPEG is 4:2:2 at quality 90.

| frame | picture | preview and luma | libjpeg-turbo alone | ratio | and the analysis | Go | ffmpeg | ffmpeg, lowres |
|---|---|---|---|---|---|---|---|---|
%s
- **preview and luma**: ` + "`camera.Decoder.Decode`" + `, upright RGBA and the luma plane, from which the screen is drawn and all tensors are sampled. The memory of the picture before is erased, and an error leaves it whole. *Turned* is a camera mounted by 90 degrees.
- **libjpeg-turbo alone**: its scaled decode to RGBA by a handle that is kept; it checks and erases nothing. The ratio is to be 1.2 at most for an upright camera.
- **and the analysis**: the same, filling the tensors of all three networks for one face, and measuring light, sharpness and pose; all but running the networks. The tensors of the second and third depend on what the network before found.
- **Go**: ` + "`image/jpeg`" + `, or ` + "`image.YCbCr`" + ` for raw frames, and ` + "`ApproxBiLinear`" + ` of x/image to RGBA. No luma.
- **ffmpeg**: decoded and scaled (fast_bilinear) to RGBA on one thread, many frames less few, divided; lowres has its decoder scale. No luma.

In the running kiosk the preview and the analysis each decode the newest frame by themselves, so that neither waits for the other: a frame that is analysed is decoded twice.
`
