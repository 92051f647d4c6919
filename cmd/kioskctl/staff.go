package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"livekiosk/kiosk/pin"
)

// staffPIN is where the daemon of the system looks for what is kept of the PIN.
const staffPIN = "/var/lib/kioskd/staff.pin"

// staff sets the PIN of staff.
func (k keysCall) staff(c call, args []string) error {
	if err := words(args); err != nil {
		return err
	}
	digits, err := readPIN(c)
	if err != nil {
		return err
	}
	h, err := pin.New(digits, pin.Standard())
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if k.out == "-" {
		_, err = fmt.Fprintln(c.out, h)
		return err //nolint:wrapcheck // nothing to add
	}
	path := k.out
	if path == "" {
		path = staffPIN
	}
	if err := replace(path, h.String()+"\n"); err != nil {
		return &exitError{exitCannot, fmt.Errorf("--out: %w", err)}
	}
	return c.print(map[string]string{"file": path}, path+": the PIN is set")
}

// readPIN reads the PIN, without showing it where it is typed.
func readPIN(c call) (string, error) {
	in := bufio.NewReader(io.LimitReader(c.in, 256))
	line := func() (string, error) {
		s, err := in.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the PIN: %w", err)
		}
		return strings.TrimRight(s, "\r\n"), nil
	}
	f, is := c.in.(*os.File)
	if !is {
		return line()
	}
	fd := int(f.Fd()) //nolint:gosec // a descriptor fits
	was, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil { // no terminal
		return line()
	}
	quiet := *was
	quiet.Lflag &^= unix.ECHO
	if err = unix.IoctlSetTermios(fd, unix.TCSETS, &quiet); err != nil {
		return "", fmt.Errorf("hide the PIN: %w", err)
	}
	defer func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, was) }()
	var typed [2]string
	for i, prompt := range []string{"PIN: ", "\nonce more: "} {
		_, _ = fmt.Fprint(c.err, prompt)
		if typed[i], err = line(); err != nil {
			return "", err
		}
	}
	_, _ = fmt.Fprintln(c.err)
	if typed[0] != typed[1] {
		return "", usage("the two differ")
	}
	return typed[0], nil
}

// replace writes a file of its owner's that is whole, or not there, and durable
// when it returns: an old PIN must not come back.
func replace(path, text string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()                                        // only synced
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already, if it was named
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return dir.Sync()
}
