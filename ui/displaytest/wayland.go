package displaytest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Sway runs a Wayland compositor without an output, with a pointer.
//
//nolint:ireturn // a Display is one of four servers
func Sway(tb testing.TB, size image.Point) Display {
	tb.Helper()
	d := sway(tb, size, "headless", "")
	d.tap = plug(tb, filepath.Join(d.dir, d.display), size).tap
	return d
}

// SwayTouch runs the same with a touch screen. That is the one of an X server
// without a screen, in which the compositor has another output, unused: so it
// is told of touches, and makes of them what it makes of those of a device.
//
//nolint:ireturn // a Display is one of four servers
func SwayTouch(tb testing.TB, size image.Point) Display {
	tb.Helper()
	x := xorg(tb, size)
	d := sway(tb, size, "headless,x11", fmt.Sprintf("output X11-1 resolution %dx%d position %d 0\ninput type:touch map_to_output HEADLESS-1\n", size.X, size.Y, size.X),
		"DISPLAY="+x.display)
	Await(tb, "the compositor to have a touch screen", func() bool {
		out, err := output(d.Env(), "swaymsg", "-t", "get_inputs", "-r")
		return err == nil && bytes.Contains(out, []byte(`"type": "touch"`))
	}, func() string { return "" })
	if err := run(d.Env(), "swaymsg", "-q", "focus", "output", "HEADLESS-1"); err != nil {
		tb.Fatal(err)
	}
	d.tap = x.tap
	return d
}

func sway(tb testing.TB, size image.Point, backends, more string, env ...string) wayland {
	tb.Helper()
	dir, err := os.MkdirTemp("/tmp", "sway") //nolint:usetesting // where anybody may pass
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	if os.Getuid() == 0 {
		if err := os.Chown(dir, nobody, nobody); err != nil {
			tb.Fatal(err)
		}
	}
	config := filepath.Join(dir, "sway.conf")
	socket := filepath.Join(dir, "ready")
	text := fmt.Sprintf("output HEADLESS-1 resolution %dx%d position 0 0\nxwayland disable\ndefault_border none\n%sexec sh -c 'echo $WAYLAND_DISPLAY $SWAYSOCK > %s.tmp && mv %s.tmp %s'\n",
		size.X, size.Y, more, socket, socket, socket)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		tb.Fatal(err)
	}
	env = append([]string{
		"XDG_RUNTIME_DIR=" + dir, "WLR_BACKENDS=" + backends, "WLR_LIBINPUT_NO_DEVICES=1", "WLR_RENDERER=pixman", "LIBSEAT_BACKEND=noop", "DISPLAY=", "WAYLAND_DISPLAY=",
	}, env...)
	cmd := serve(tb, "sway", []string{"-c", config}, env)
	var names []byte
	Await(tb, "sway to start", func() bool {
		var err error
		names, err = os.ReadFile(socket)
		return err == nil
	}, func() string { return fmt.Sprint(cmd.Stderr) })
	f := strings.Fields(string(names))
	if len(f) != 2 {
		tb.Fatalf("sway names its sockets %q", names)
	}
	return wayland{dir: dir, display: f[0], socket: f[1], size: size}
}

type wayland struct {
	dir, display, socket string
	size                 image.Point
	tap                  func(image.Point) error
}

// Env implements Display.
func (d wayland) Env() []string {
	return []string{"XDG_RUNTIME_DIR=" + d.dir, "WAYLAND_DISPLAY=" + d.display, "SWAYSOCK=" + d.socket, "DISPLAY="}
}

// Tap implements Display.
func (d wayland) Tap(at image.Point) error { return d.tap(at) }

// Power implements Display.
func (d wayland) Power(on bool) error {
	word := map[bool]string{true: "on", false: "off"}[on]
	return run(d.Env(), "swaymsg", "-q", "output", "HEADLESS-1", "dpms", word)
}

// Shot implements Display.
func (d wayland) Shot() (*image.RGBA, error) {
	b, err := output(d.Env(), "grim", "-o", "HEADLESS-1", "-t", "ppm", "-")
	if err != nil {
		return nil, err
	}
	var width, height, most int
	r := bytes.NewReader(b)
	if _, err := fmt.Fscanf(r, "P6\n%d %d\n%d\n", &width, &height, &most); err != nil || r.Len() < 3*width*height {
		return nil, fmt.Errorf("grim wrote no picture: %w", err)
	}
	if image.Pt(width, height) != d.size {
		return nil, fmt.Errorf("the output has %dx%d", width, height)
	}
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	widen(m.Pix, b[len(b)-r.Len():])
	return m, nil
}

// widen makes pixels of three bytes those of an opaque picture. There are many,
// and nothing here is shared.
//
//go:norace
func widen(dst, src []byte) {
	for i, j := 0, 0; i < len(dst); i, j = i+4, j+3 {
		dst[i], dst[i+1], dst[i+2], dst[i+3] = src[j], src[j+1], src[j+2], 0xff
	}
}

// A mouse is a virtual pointer, spoken to the compositor by itself: a seat
// without one tells its clients of no pointer at all (zwlr_virtual_pointer_v1).
type mouse struct {
	conn net.Conn
	size image.Point
}

// plug makes a pointer that stays until the test ends.
func plug(tb testing.TB, path string, size image.Point) *mouse {
	tb.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * Patience)); err != nil {
		tb.Fatal(err)
	}
	const display, registry, done, manager, pointer = 1, 2, 3, 4, 5
	m := &mouse{conn, size}
	const wanted = "zwlr_virtual_pointer_manager_v1"
	if err := errors.Join(m.say(display, 1, registry), m.say(display, 0, done)); err != nil {
		tb.Fatal(err)
	}
	for {
		var head [8]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			tb.Fatalf("the compositor has no %s: %v", wanted, err)
		}
		body := make([]byte, binary.NativeEndian.Uint32(head[4:])>>16-8)
		if _, err := io.ReadFull(conn, body); err != nil {
			tb.Fatal(err)
		}
		if bytes.Contains(body, []byte(wanted)) {
			name := []uint32{binary.NativeEndian.Uint32(body), uint32(len(wanted) + 1)}
			for text := append([]byte(wanted), make([]byte, 4-len(wanted)%4)...); len(text) > 0; text = text[4:] {
				name = append(name, binary.NativeEndian.Uint32(text))
			}
			if err := errors.Join(m.say(registry, 0, append(name, 1, manager)...), m.say(manager, 0, 0, pointer)); err != nil {
				tb.Fatal(err)
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
		m.say(pointer, absolute, 0, uint32(at.X), uint32(at.Y), uint32(m.size.X), uint32(m.size.Y)), m.say(pointer, frame),
		m.say(pointer, button, 0, left, 1), m.say(pointer, frame),
		m.say(pointer, button, 1, left, 0), m.say(pointer, frame))
}
