package guesttest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"
)

// A Screen is an X server without a monitor (Xvfb), and a finger on it. Its
// test's file has to ask for
//
//	//guest:host /usr/bin/Xvfb /usr/bin/xkbcomp /usr/share/X11/xkb
type Screen struct {
	Name string // for DISPLAY

	tb   testing.TB
	conn net.Conn
	root uint32 // window
	test byte   // code of the extension XTEST
}

// NewScreen starts a screen of a size in pixels.
func NewScreen(tb testing.TB, size image.Point) *Screen {
	tb.Helper()
	const name, socket = ":0", "/tmp/.X11-unix/X0"
	// It ends after the programs that draw on it: they are cleaned up first.
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), "/usr/bin/Xvfb", name, "-screen", "0", fmt.Sprintf("%dx%dx24", size.X, size.Y),
		"-dpi", "96", "-nolisten", "tcp", "-extension", "GLX", "-noreset")
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	s := &Screen{Name: name, tb: tb}
	tb.Cleanup(func() {
		_ = s.conn.Close()
		if err := errors.Join(cmd.Process.Signal(os.Interrupt), cmd.Wait()); err != nil {
			tb.Errorf("Xvfb: %v", err)
		}
	})
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	var err error
	for began := time.Now(); time.Since(began) < time.Minute; <-retry.C {
		if s.conn, err = (&net.Dialer{}).DialContext(tb.Context(), "unix", socket); err == nil {
			s.hello()
			return s
		}
	}
	tb.Fatalf("Xvfb: %v", err)
	return nil
}

// hello says what the protocol wants to hear at first.
func (s *Screen) hello() {
	s.send([]byte{'l', 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0}) // little endian, X 11.0, no authority
	head := s.receive(8)
	body := s.receive(4 * int(binary.LittleEndian.Uint16(head[6:])))
	if head[0] != 1 {
		s.tb.Fatalf("the X server refuses: %q", body)
	}
	vendor, formats := int(binary.LittleEndian.Uint16(body[16:])), int(body[21])
	s.root = binary.LittleEndian.Uint32(body[32+(vendor+3)&^3+8*formats:])

	const query, extension = 98, "XTEST"
	s.send(append([]byte{query, 0, 4, 0, byte(len(extension)), 0, 0, 0}, extension+"\x00\x00\x00"...))
	answer := s.receive(32)
	if answer[0] != 1 || answer[8] == 0 {
		s.tb.Fatal("the X server has no XTEST")
	}
	s.test = answer[9]
}

// Tap presses the screen at a place for a moment.
func (s *Screen) Tap(at image.Point) {
	s.tb.Helper()
	const press, release, motion = 4, 5, 6
	s.fake(motion, 0, at)
	s.fake(press, 1, at)
	s.fake(release, 1, at)
}

// fake gives the server an event of a device.
func (s *Screen) fake(kind, detail byte, at image.Point) {
	s.tb.Helper()
	request := make([]byte, 36)
	request[0], request[1], request[2] = s.test, 2, byte(len(request)/4)
	request[4], request[5] = kind, detail
	binary.LittleEndian.PutUint32(request[12:], s.root)
	binary.LittleEndian.PutUint16(request[24:], uint16(at.X))
	binary.LittleEndian.PutUint16(request[26:], uint16(at.Y))
	s.send(request)
}

func (s *Screen) send(b []byte) {
	s.tb.Helper()
	if _, err := s.conn.Write(b); err != nil {
		s.tb.Fatalf("X server: %v", err)
	}
}

func (s *Screen) receive(n int) []byte {
	s.tb.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(s.conn, b); err != nil {
		s.tb.Fatalf("X server: %v", err)
	}
	return b
}
