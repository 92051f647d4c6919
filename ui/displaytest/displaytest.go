// Package displaytest runs display servers without a display, for tests of
// what opens a window: it gives them a finger or a pointer, switches their
// output off and on, and takes pictures of what would be seen.
package displaytest

import (
	"bufio"
	"bytes"
	"fmt"
	"image"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Patience is how long anything of another process may take, on a machine
// that has much else to do.
const Patience = 90 * time.Second

// A Display is a display server whose output nobody sees. It runs until the
// test ends.
type Display interface {
	// Env is what a program needs to open windows there.
	Env() []string
	// Shot returns what would be seen.
	Shot() (*image.RGBA, error)
	// Tap presses and lifts the finger, or else the pointer.
	Tap(at image.Point) error
	// Power switches the output off or on.
	Power(on bool) error
}

// nobody is the user that root becomes to run sway.
const nobody = 65534

// serve runs a server until the test ends.
func serve(tb testing.TB, name string, args, env []string, files ...*os.File) *exec.Cmd {
	tb.Helper()
	if _, err := exec.LookPath(name); err != nil {
		tb.Fatalf("%v: .tools/setup installs it", err)
	}
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.ExtraFiles, cmd.Stderr = append(os.Environ(), env...), files, new(bytes.Buffer)
	if name == "sway" && os.Getuid() == 0 { // which it refuses to be
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		timer := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait() // it was told to end
		timer.Stop()
	})
	return cmd
}

// display starts an X server and returns the name of its display, which is one
// that was free.
func display(tb testing.TB, name string, args ...string) string {
	tb.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	defer r.Close()
	cmd := serve(tb, name, append([]string{"-displayfd", "3", "-nolisten", "tcp"}, args...), nil, w)
	w.Close()
	number, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		tb.Fatalf("%s did not start: %v\n%s", name, err, cmd.Stderr)
	}
	return ":" + strings.TrimSpace(number)
}

func run(env []string, name string, args ...string) error {
	_, err := output(env, name, args...)
	return err
}

func output(env []string, name string, args ...string) ([]byte, error) {
	var complaint bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Stderr = append(os.Environ(), env...), &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %v: %w: %s%s", name, args, err, out, &complaint)
	}
	return out, nil
}

// Await asks again and again until something is so, and fails the test with
// what log says if it is not within Patience.
func Await(tb testing.TB, what string, is func() bool, log func() string) {
	tb.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(Patience); !is(); <-tick.C {
		if time.Now().After(end) {
			tb.Fatalf("waited in vain for %s\n%s", what, log())
		}
	}
}

// See waits until what would be seen on d is right, and keeps the last picture
// in dir, to be looked at. It returns that picture.
func See(tb testing.TB, d Display, dir, name string, right func(*image.RGBA) bool) *image.RGBA {
	tb.Helper()
	var last *image.RGBA
	defer func() {
		if last == nil {
			return
		}
		if err := keep(last, filepath.Join(dir, strings.ReplaceAll(tb.Name(), "/", "-")+"-"+name+".png")); err != nil {
			tb.Error(err)
		}
	}()
	var trouble error
	Await(tb, name+" to be seen", func() bool {
		var m *image.RGBA
		if m, trouble = d.Shot(); trouble != nil {
			return false
		}
		last = m
		return right(m)
	}, func() string { return fmt.Sprint(trouble) })
	return last
}

func keep(m *image.RGBA, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(f, m); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
