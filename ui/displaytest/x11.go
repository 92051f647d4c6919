package displaytest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// Xvfb runs X's virtual framebuffer, with a pointer that is moved by the XTEST
// extension.
//
//nolint:ireturn // a Display is one of four servers
func Xvfb(tb testing.TB, size image.Point) Display {
	tb.Helper()
	dir := tb.TempDir()
	name := display(tb, "Xvfb", "-screen", "0", fmt.Sprintf("%dx%dx24", size.X, size.Y), "-fbdir", dir)
	d := x11{display: name, size: size, output: "screen"}
	frame := filepath.Join(dir, "Xvfb_screen0")
	d.dump = func() ([]byte, error) { return os.ReadFile(frame) }
	d.tap = func(at image.Point) error {
		return run(d.Env(), "xdotool", "mousemove", strconv.Itoa(at.X), strconv.Itoa(at.Y), "click", "1")
	}
	return d
}

// Xorg runs X's usual server on a screen in memory. A touch screen is its only
// input: windows that do not ask for touches get what the server makes of them
// for a pointer, as on a board with X.
//
//nolint:ireturn // a Display is one of four servers
func Xorg(tb testing.TB, size image.Point) Display {
	tb.Helper()
	return xorg(tb, size)
}

func xorg(tb testing.TB, size image.Point) x11 {
	tb.Helper()
	// Named after nothing: a socket's path must be short.
	dir, err := os.MkdirTemp("/tmp", "xorg") //nolint:usetesting // as above
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	config, socket := filepath.Join(dir, "xorg.conf"), filepath.Join(dir, "finger")
	mode := fmt.Sprintf(`Modeline "kiosk" 60 %d %d %d %d %d %d %d %d`,
		size.X, size.X+20, size.X+40, size.X+80, size.Y, size.Y+2, size.Y+4, size.Y+20)
	if err := os.WriteFile(config, fmt.Appendf(nil, xorgConfig, size.X, size.Y, socket, mode), 0o644); err != nil {
		tb.Fatal(err)
	}
	// No other user of the machine is asked for a cookie; there is nothing to steal.
	name := display(tb, "Xorg", "-ac", "-noreset", "-config", config, "-configdir", dir, "-logfile", filepath.Join(dir, "log"))
	d := x11{display: name, size: size, output: "DUMMY0"}
	d.dump = func() ([]byte, error) { return output(d.Env(), "xwd", "-root", "-silent") }
	d.tap = reach(tb, socket, size).tap
	return d
}

// The dummy driver wants a mode line; its frequencies are nobody's.
const xorgConfig = `
Section "ServerFlags"
	Option "AutoAddDevices" "false"
	Option "AutoEnableDevices" "false"
	Option "AutoAddGPU" "false"
EndSection
Section "Device"
	Identifier "memory"
	Driver "dummy"
EndSection
Section "Monitor"
	Identifier "none"
	HorizSync 1-1000
	VertRefresh 1-1000
	%[4]s
EndSection
Section "Screen"
	Identifier "screen"
	Device "memory"
	Monitor "none"
	DefaultDepth 24
	SubSection "Display"
		Modes "kiosk"
		Virtual %[1]d %[2]d
	EndSubSection
EndSection
Section "InputDevice"
	Identifier "finger"
	Driver "inputtest"
	Option "DeviceType" "Touch"
	Option "TouchCount" "2"
	Option "SocketPath" %[3]q
EndSection
Section "ServerLayout"
	Identifier "kiosk"
	Screen "screen"
	InputDevice "finger" "SendCoreEvents"
EndSection
`

type x11 struct {
	display, output string
	size            image.Point
	dump            func() ([]byte, error) // of the screen, as by xwd
	tap             func(image.Point) error
}

// Env implements Display.
func (d x11) Env() []string { return []string{"DISPLAY=" + d.display, "WAYLAND_DISPLAY="} }

// Tap implements Display.
func (d x11) Tap(at image.Point) error { return d.tap(at) }

// Power implements Display.
func (d x11) Power(on bool) error {
	if on {
		return run(d.Env(), "xrandr", "--output", d.output, "--auto")
	}
	return run(d.Env(), "xrandr", "--fb", fmt.Sprintf("%dx%d", d.size.X, d.size.Y), "--output", d.output, "--off")
}

// Shot reads the format of xwd: a header of big-endian words and a table of
// colours before the pixels.
func (d x11) Shot() (*image.RGBA, error) {
	b, err := d.dump()
	if err != nil {
		return nil, err
	}
	if len(b) < 100 {
		return nil, errors.New("the picture of the screen has no header")
	}
	word := func(n int) int { return int(binary.BigEndian.Uint32(b[4*n:])) }
	width, height, line := word(4), word(5), word(12)
	from := word(0) + 12*word(19)
	if word(11) != 32 || image.Pt(width, height) != d.size || len(b) < from+line*height {
		return nil, fmt.Errorf("the picture of the screen is cut short or not of %v and 32 bits", d.size)
	}
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		swap(m.Pix[y*m.Stride:][:m.Stride], b[from+y*line:])
	}
	return m, nil
}

// swap makes pixels of blue, green and red those of an opaque picture. There
// are many, and nothing here is shared.
//
//go:norace
func swap(dst, src []byte) {
	for i := 0; i < len(dst); i += 4 {
		v := binary.LittleEndian.Uint32(src[i:])
		binary.LittleEndian.PutUint32(dst[i:], v>>16&0xff|v&0xff00|v&0xff<<16|0xff<<24)
	}
}
