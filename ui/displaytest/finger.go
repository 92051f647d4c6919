package displaytest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"io"
	"math"
	"net"
	"testing"
	"time"
)

// A finger is on the touch screen of an Xorg server: its inputtest driver takes
// from a socket what another driver takes from a device. The server does the
// rest, from the X Input Extension to a pointer for windows without it.
type finger struct {
	conn net.Conn
	size image.Point
}

// What is said to the driver (xf86-input-inputtest-protocol.h, version 1).
const (
	sayVersion = 0
	saySync    = 1
	sayTouch   = 6

	touchBegin = 18 // of the X Input Extension
	touchEnd   = 20

	axes     = 64     // that the message has room for
	fullAxis = 0xffff // a place at the right or lower edge
)

// reach connects to the driver, until the test ends.
func reach(tb testing.TB, socket string, size image.Point) *finger {
	tb.Helper()
	var f *finger
	var trouble error
	Await(tb, "the touch screen", func() bool {
		var conn net.Conn
		if conn, trouble = net.Dial("unix", socket); trouble != nil {
			return false
		}
		f = &finger{conn, size}
		return true
	}, func() string { return fmt.Sprint(trouble) })
	tb.Cleanup(func() { _ = f.conn.Close() })
	if err := f.conn.SetDeadline(time.Now().Add(10 * Patience)); err != nil {
		tb.Fatal(err)
	}
	if err := f.say(sayVersion, uint16(1), uint16(0)); err != nil {
		tb.Fatal(err)
	}
	if _, err := io.ReadFull(f.conn, make([]byte, 12)); err != nil {
		tb.Fatalf("the driver of the touch screen does not answer: %v", err)
	}
	return f
}

// say sends one message, all of whose fields are in order and without gaps.
func (f *finger) say(what uint32, fields ...any) error {
	var body bytes.Buffer
	for _, v := range fields {
		if err := binary.Write(&body, binary.NativeEndian, v); err != nil {
			return err
		}
	}
	b := binary.NativeEndian.AppendUint32(nil, uint32(8+body.Len()))
	b = binary.NativeEndian.AppendUint32(b, what)
	_, err := f.conn.Write(append(b, body.Bytes()...))
	return err
}

// tap touches a place and lets go of it, and returns when the server has taken
// note of both.
func (f *finger) tap(at image.Point) error {
	place := [2][axes]float64{} // the second is of devices that are accelerated
	place[0][0] = math.Round((float64(at.X) + 0.5) / float64(f.size.X) * fullAxis)
	place[0][1] = math.Round((float64(at.Y) + 0.5) / float64(f.size.Y) * fullAxis)
	for _, kind := range []uint32{touchBegin, touchEnd} {
		const number, unaccelerated, padding = uint32(1), uint32(0), uint32(0)
		both := [axes / 8]byte{0b11} // x and y
		if err := f.say(sayTouch, number, kind, unaccelerated, both, padding, place); err != nil {
			return err
		}
	}
	if err := f.say(saySync); err != nil {
		return err
	}
	if _, err := io.ReadFull(f.conn, make([]byte, 8)); err != nil {
		return fmt.Errorf("touch the screen: %w", err)
	}
	return nil
}
