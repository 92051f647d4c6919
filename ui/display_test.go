package ui_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gioui.org/layout"
	"gioui.org/op"

	"livekiosk/kiosk"
	"livekiosk/ui"
	"livekiosk/ui/screens"
	"livekiosk/ui/theme"
)

// childEnv makes this test program a kiosk's display by itself: a window that
// tells on standard output what it draws and hears, and is told on standard
// input what to show.
const childEnv = "LIVEKIOSK_DISPLAY_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		os.Exit(m.Run()) //nolint:forbidigo // as TestMain has to
	}
	go func() {
		if err := child(); err != nil {
			panic(err)
		}
		os.Exit(0) //nolint:forbidigo // the window system never gives its goroutine back
	}()
	ui.Main()
}

func child() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c := newCore(kiosk.View{Screen: kiosk.ConsentScreen, Locale: kiosk.English, Session: "a"})
	show := func(s kiosk.Screen) {
		v := sample(s, kiosk.English)
		v.Hint = kiosk.HoldStill
		c.show(v)
	}
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = fmt.Fprintf(os.Stdout, format+"\n", args...)
	}
	o := c.options("")
	o.Size = image.Pt(720, 1280)
	o.Drawn = func(v kiosk.View) { say("drawn %s", v.Screen) }
	o.Beat = func() { say("beat") }
	o.Tap = func(t kiosk.Tap) {
		say("tap %s", t.Control)
		if t.Control == kiosk.Agree {
			show(kiosk.GuidingScreen)
		}
	}
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			show(kiosk.Screen(in.Text()))
		}
		cancel()
	}()
	return ui.Run(ctx, o)
}

// nobody is the user that root becomes to run sway.
const nobody = 65534

// patience is how long anything of another process may take, on a machine
// that has much else to do.
const patience = 90 * time.Second

// A stage is a display server without a display.
type stage interface {
	// env is what a program needs to open windows there.
	env() []string
	// shot returns what would be seen.
	shot() (*image.RGBA, error)
	// tap presses and lifts the pointer.
	tap(at image.Point) error
	// power switches the output off or on.
	power(on bool) error
}

func TestWindowUnderX11(t *testing.T) {
	dir := t.TempDir()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := serve(t, "Xvfb", []string{"-displayfd", "3", "-screen", "0", "720x1280x24", "-nolisten", "tcp", "-fbdir", dir}, nil, w)
	w.Close()
	number, err := bufio.NewReader(r).ReadString('\n') // the server takes one that is free
	if err != nil {
		t.Fatalf("Xvfb did not start: %v\n%s", err, cmd.Stderr)
	}
	perform(t, x11{display: ":" + strings.TrimSpace(number), frame: filepath.Join(dir, "Xvfb_screen0")})
}

func TestWindowUnderWayland(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "sway") //nolint:usetesting // where anybody may pass
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if os.Getuid() == 0 {
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	config := filepath.Join(dir, "sway.conf")
	socket := filepath.Join(dir, "ready")
	text := fmt.Sprintf("output HEADLESS-1 resolution 720x1280 position 0 0\nxwayland disable\ndefault_border none\nexec sh -c 'echo $WAYLAND_DISPLAY $SWAYSOCK > %s.tmp && mv %s.tmp %s'\n", socket, socket, socket)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	env := []string{
		"XDG_RUNTIME_DIR=" + dir, "WLR_BACKENDS=headless", "WLR_LIBINPUT_NO_DEVICES=1", "WLR_RENDERER=pixman", "LIBSEAT_BACKEND=noop", "DISPLAY=", "WAYLAND_DISPLAY=",
	}
	cmd := serve(t, "sway", []string{"-c", config}, env)
	var names []byte
	await(t, "sway to start", func() bool {
		var err error
		names, err = os.ReadFile(socket)
		return err == nil
	}, stringer(func() string { return fmt.Sprint(cmd.Stderr) }))
	f := strings.Fields(string(names))
	perform(t, wayland{dir, f[0], f[1], plug(t, filepath.Join(dir, f[0]))})
}

// perform has a display's program open a window, and goes through what a kiosk
// meets.
func perform(t *testing.T, s stage) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	// A renderer of another test may have chosen a platform for this process.
	own := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "EGL_PLATFORM=") })
	cmd.Env = append(append(own, childEnv+"=1", "LIBGL_ALWAYS_SOFTWARE=1"), s.env()...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var trouble bytes.Buffer
	cmd.Stderr = &trouble
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l := listen(out)
	defer func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the display ended badly: %v\n%s%s", err, l, &trouble)
		}
	}()
	p := theme.Of(kiosk.Light)
	agree := place(t, kiosk.ConsentScreen, kiosk.Agree)

	// The window opens and shows what it is to show.
	l.wait(t, "drawn consent", 1, &trouble)
	sees(t, s, "consent", func(m *image.RGBA) bool { return near(m.RGBAAt(agree.X-150, agree.Y), p.Brand) })
	// It is tapped. A tap may come too early: the screen takes none for a moment.
	await(t, "a tap to be heard", func() bool {
		if err := s.tap(agree); err != nil {
			t.Fatal(err)
		}
		return l.within("tap agree", 1, time.Second)
	}, l)
	// The preview is shown, and goes on.
	l.wait(t, "drawn guiding", 1, &trouble)
	skin := color.NRGBA{0xc6, 0x8e, 0x65, 0xff}
	sees(t, s, "guiding", func(m *image.RGBA) bool { return near(m.RGBAAt(300, 400), skin) })
	l.wait(t, "drawn guiding", l.count("drawn guiding")+5, &trouble)
	// The output is switched off and on: what changed meanwhile is seen.
	if err := s.power(false); err != nil {
		t.Fatal(err)
	}
	l.wait(t, "beat", l.count("beat")+2, &trouble) // the display lives
	tell(t, in, kiosk.GrantedScreen)
	if err := s.power(true); err != nil {
		t.Fatal(err)
	}
	l.wait(t, "drawn granted", 1, &trouble)
	sees(t, s, "granted", func(m *image.RGBA) bool { return near(m.RGBAAt(360, 230), p.Good) || near(m.RGBAAt(300, 284), p.Good) })
	// A screen without motion is drawn, and then nothing is.
	tell(t, in, kiosk.IdleScreen)
	l.wait(t, "drawn idle", 1, &trouble)
	sees(t, s, "idle", func(m *image.RGBA) bool { return near(m.RGBAAt(10, 1000), p.Back) && near(m.RGBAAt(10, 300), p.Tint) })
	l.wait(t, "beat", l.count("beat")+2, &trouble) // the server may have asked for one more
	before := l.count("drawn idle")
	l.wait(t, "beat", l.count("beat")+3, &trouble)
	if n := l.count("drawn idle") - before; n > 0 {
		t.Errorf("the idle screen was drawn %d times for nothing", n)
	}
}

// tell has the display show a screen.
func tell(t *testing.T, in io.Writer, s kiosk.Screen) {
	t.Helper()
	if _, err := fmt.Fprintln(in, s); err != nil {
		t.Fatal(err)
	}
}

// place returns where a control is on a screen of 720x1280.
func place(t *testing.T, s kiosk.Screen, c kiosk.Control) image.Point {
	t.Helper()
	set, err := screens.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	set.Layout(layout.Context{Ops: new(op.Ops), Constraints: layout.Exact(image.Pt(720, 1280))}, sample(s, kiosk.English), screens.Preview{})
	b, shown := set.Bounds(c)
	if !shown {
		t.Fatalf("%s has no %s", s, c)
	}
	return b.Min.Add(b.Max).Div(2)
}

// serve runs a server until the test ends.
func serve(t *testing.T, name string, args, env []string, files ...*os.File) *exec.Cmd {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Fatalf("%v: .tools/setup installs it", err)
	}
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.ExtraFiles, cmd.Stderr = append(os.Environ(), env...), files, new(bytes.Buffer)
	if name == "sway" && os.Getuid() == 0 { // which it refuses to be
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		timer := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait() // it was told to end
		timer.Stop()
	})
	return cmd
}

// await asks again and again, until something is so.
func await(t *testing.T, what string, is func() bool, log fmt.Stringer) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !is(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s\n%s", what, log)
		}
	}
}

// sees waits until what would be seen is as it should, and keeps it to be
// looked at in out/display.
func sees(t *testing.T, s stage, name string, right func(*image.RGBA) bool) {
	t.Helper()
	var last *image.RGBA
	defer func() {
		if last == nil {
			return
		}
		dir := filepath.Join("..", "out", "display")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Error(err)
			return
		}
		f, err := os.Create(filepath.Join(dir, t.Name()+"-"+name+".png"))
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		if err := png.Encode(f, last); err != nil {
			t.Error(err)
		}
	}()
	var trouble error
	await(t, name+" to be seen", func() bool {
		var m *image.RGBA
		if m, trouble = s.shot(); trouble != nil {
			return false
		}
		last = m
		return m.Rect.Max == image.Pt(720, 1280) && right(m)
	}, stringer(func() string { return fmt.Sprint(trouble) }))
}

type stringer func() string

func (s stringer) String() string { return s() }

func near(a color.RGBA, b color.NRGBA) bool {
	for _, p := range [3][2]uint8{{a.R, b.R}, {a.G, b.G}, {a.B, b.B}} {
		if d := int(p[0]) - int(p[1]); d < -8 || d > 8 {
			return false
		}
	}
	return true
}

// Lines are what a program says.
type lines struct {
	mu   sync.Mutex
	all  []string
	more chan struct{}
}

func listen(out io.Reader) *lines {
	l := &lines{more: make(chan struct{})}
	go func() {
		for in := bufio.NewScanner(out); in.Scan(); {
			l.mu.Lock()
			l.all = append(l.all, in.Text())
			close(l.more)
			l.more = make(chan struct{})
			l.mu.Unlock()
		}
	}()
	return l
}

// seen returns how often line was said, and what closes when more is.
func (l *lines) seen(line string) (n int, more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.all {
		if s == line {
			n++
		}
	}
	return n, l.more
}

func (l *lines) count(line string) int {
	n, _ := l.seen(line)
	return n
}

// within reports whether line is said so often in that time.
func (l *lines) within(line string, times int, in time.Duration) bool {
	end := time.NewTimer(in)
	defer end.Stop()
	for {
		n, more := l.seen(line)
		if n >= times {
			return true
		}
		select {
		case <-more:
		case <-end.C:
			return false
		}
	}
}

func (l *lines) wait(t *testing.T, line string, times int, trouble fmt.Stringer) {
	t.Helper()
	if !l.within(line, times, patience) {
		t.Fatalf("waited in vain for %q, %d times\n%s\n%s", line, times, l, trouble)
	}
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

type x11 struct{ display, frame string }

func (s x11) env() []string { return []string{"DISPLAY=" + s.display, "WAYLAND_DISPLAY="} }

func (s x11) run(name string, args ...string) error { return run(s.env(), name, args...) }

func (s x11) tap(at image.Point) error {
	return s.run("xdotool", "mousemove", strconv.Itoa(at.X), strconv.Itoa(at.Y), "click", "1")
}

func (s x11) power(on bool) error {
	if on {
		return s.run("xrandr", "--output", "screen", "--auto")
	}
	return s.run("xrandr", "--fb", "720x1280", "--output", "screen", "--off")
}

// shot reads the server's own picture, in the format of xwd: a header of
// big-endian words and a table of colours before the pixels.
func (s x11) shot() (*image.RGBA, error) {
	b, err := os.ReadFile(s.frame)
	if err != nil {
		return nil, err
	}
	word := func(n int) int { return int(binary.BigEndian.Uint32(b[4*n:])) }
	width, height, line := word(4), word(5), word(12)
	from := word(0) + 12*word(19)
	if word(11) != 32 || len(b) < from+line*height {
		return nil, fmt.Errorf("%s is cut short or not of 32 bits", s.frame)
	}
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			px := b[from+y*line+4*x:]
			m.SetRGBA(x, y, color.RGBA{px[2], px[1], px[0], 0xff})
		}
	}
	return m, nil
}

type wayland struct {
	dir, display, socket string
	mouse                *mouse
}

func (s wayland) env() []string {
	return []string{"XDG_RUNTIME_DIR=" + s.dir, "WAYLAND_DISPLAY=" + s.display, "SWAYSOCK=" + s.socket, "DISPLAY="}
}

func (s wayland) run(name string, args ...string) error { return run(s.env(), name, args...) }

func (s wayland) tap(at image.Point) error { return s.mouse.tap(at) }

// A mouse is a virtual pointer, spoken to the compositor by itself: a seat
// without one tells its clients of no pointer at all (zwlr_virtual_pointer_v1).
type mouse struct{ conn net.Conn }

// plug makes a pointer that stays until the test ends.
func plug(t *testing.T, path string) *mouse {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * patience)); err != nil {
		t.Fatal(err)
	}
	const display, registry, done, manager, pointer = 1, 2, 3, 4, 5
	m := &mouse{conn}
	const wanted = "zwlr_virtual_pointer_manager_v1"
	if err := errors.Join(m.say(display, 1, registry), m.say(display, 0, done)); err != nil {
		t.Fatal(err)
	}
	for {
		var head [8]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			t.Fatalf("the compositor has no %s: %v", wanted, err)
		}
		body := make([]byte, binary.NativeEndian.Uint32(head[4:])>>16-8)
		if _, err := io.ReadFull(conn, body); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(body, []byte(wanted)) {
			name := []uint32{binary.NativeEndian.Uint32(body), uint32(len(wanted) + 1)}
			for text := append([]byte(wanted), make([]byte, 4-len(wanted)%4)...); len(text) > 0; text = text[4:] {
				name = append(name, binary.NativeEndian.Uint32(text))
			}
			if err := errors.Join(m.say(registry, 0, append(name, 1, manager)...), m.say(manager, 0, 0, pointer)); err != nil {
				t.Fatal(err)
			}
			return m
		}
	}
}

// say sends a request.
func (m *mouse) say(object, opcode uint32, args ...uint32) error {
	b := binary.NativeEndian.AppendUint32(nil, object)
	b = binary.NativeEndian.AppendUint32(b, uint32(8+4*len(args))<<16|opcode)
	for _, a := range args {
		b = binary.NativeEndian.AppendUint32(b, a)
	}
	_, err := m.conn.Write(b)
	return err
}

func (m *mouse) tap(at image.Point) error {
	const pointer, left, absolute, button, frame = 5, 0x110, 1, 2, 4
	return errors.Join(
		m.say(pointer, absolute, 0, uint32(at.X), uint32(at.Y), 720, 1280), m.say(pointer, frame),
		m.say(pointer, button, 0, left, 1), m.say(pointer, frame),
		m.say(pointer, button, 1, left, 0), m.say(pointer, frame))
}

func (s wayland) power(on bool) error {
	word := map[bool]string{true: "on", false: "off"}[on]
	return s.run("swaymsg", "-q", "output", "HEADLESS-1", "dpms", word)
}

func (s wayland) shot() (*image.RGBA, error) {
	cmd := exec.Command("grim", "-t", "ppm", "-")
	cmd.Env = append(os.Environ(), s.env()...)
	b, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("grim: %w", err)
	}
	var width, height, most int
	r := bytes.NewReader(b)
	if _, err := fmt.Fscanf(r, "P6\n%d %d\n%d\n", &width, &height, &most); err != nil || r.Len() < 3*width*height {
		return nil, fmt.Errorf("grim wrote no picture: %w", err)
	}
	px := b[len(b)-r.Len():]
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for i := range width * height {
		m.Pix[4*i], m.Pix[4*i+1], m.Pix[4*i+2], m.Pix[4*i+3] = px[3*i], px[3*i+1], px[3*i+2], 0xff
	}
	return m, nil
}

func run(env []string, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w: %s", name, args, err, out)
	}
	return nil
}
