package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"livekiosk/camera/trust"
	"livekiosk/kiosk/api"
)

const cameraHelp = `"list" tells of each video device what it is, what the kiosk would choose of its
modes, whether it is trusted, and why. The pin that it prints is what camera.pin
of the daemon's configuration takes. "probe" has the camera stream for three
seconds and tells how it did. "watch" prints each second how the camera does,
until it is interrupted or --count lines were printed.

"save" writes one picture to FILE, which must not exist. It shows whoever stands
in front of the camera, who has to agree first: it asks, or takes
--i-have-their-consent for it. It lies there in the clear, until you erase it.

All of these ask the daemon, which alone may open the camera; probe and save
only work while no session is in progress. "reset" is not for people:
kioskd-camera-reset.service has it reset the USB camera that the daemon names in
a file.`

// A cameraCall is what the flags of kioskctl camera say.
type cameraCall struct {
	consent bool
	count   int
	request string
}

func cameraFlags(fs *flag.FlagSet) func(context.Context, call, []string) error {
	var f cameraCall
	fs.BoolVar(&f.consent, "i-have-their-consent", false, "save: whoever is in front of the camera has agreed")
	fs.IntVar(&f.count, "count", 0, "watch: how many `lines`; 0: until interrupted")
	fs.StringVar(&f.request, "request", "", "reset: `file` with the daemon's request")
	return func(ctx context.Context, c call, args []string) error {
		what, rest := "list", args
		if len(args) > 0 {
			what, rest = args[0], args[1:]
		}
		switch {
		case f.consent && what != "save":
			return usage("--i-have-their-consent goes with save: see kioskctl help camera")
		case f.count != 0 && what != "watch" || f.count < 0:
			return usage("--count goes with watch, from 0 on: see kioskctl help camera")
		case (f.request != "") != (what == "reset"):
			return usage("--request goes with reset: see kioskctl help camera")
		}
		switch what {
		case "list":
			return cameraList(ctx, c, rest)
		case "probe":
			return cameraProbe(ctx, c, rest)
		case "watch":
			return cameraWatch(ctx, c, rest, f.count)
		case "save":
			return cameraSave(ctx, c, rest, f.consent)
		case "reset":
			return cameraReset(c, rest, f.request)
		}
		return usage("there is no %q: list, probe, watch, save or reset: see kioskctl help camera", what)
	}
}

func cameraList(ctx context.Context, c call, args []string) error {
	if err := words(args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	all, err := c.client().Cameras(ctx)
	if err != nil {
		return c.explain(err)
	}
	if !c.json {
		return c.print(nil, camerasText(all))
	}
	return printEach(c, all)
}

func cameraProbe(ctx context.Context, c call, args []string) error {
	if err := words(args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	f, err := c.client().Probe(ctx)
	if err != nil {
		return c.explain(err)
	}
	return c.print(f, figuresText(f))
}

// cameraWatch prints the camera's figures each second.
func cameraWatch(ctx context.Context, c call, args []string, count int) error {
	if err := words(args); err != nil {
		return err
	}
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for n := 1; ; n++ {
		one, cancel := context.WithTimeout(ctx, callTimeout)
		s, err := c.client().Status(one)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil // interrupted, as it is meant to be
		case err != nil:
			return c.explain(err)
		}
		if err := c.print(s.Camera, watchText(s)); err != nil {
			return err
		}
		if n == count {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// cameraSave writes one picture to a file, of whoever has agreed to that.
func cameraSave(ctx context.Context, c call, args []string, consent bool) error {
	if err := words(args, "FILE"); err != nil {
		return err
	}
	if !consent {
		if err := c.agreed(fmt.Sprintf(`This takes one picture of whoever stands in front of this kiosk's camera, and
writes it to %s, in the clear. The screen tells them nothing. They have to
know what it is for and agree to it before. Erase it once it has served.`, args[0]), "nobody has agreed, so no picture was taken"); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	n, err := create(args[0], func(w io.Writer) error {
		jpeg, err := c.client().Picture(ctx)
		if err != nil {
			return err
		}
		defer clear(jpeg)
		_, err = w.Write(jpeg)
		return err //nolint:wrapcheck // w's own, by which create knows it
	})
	switch {
	case errors.Is(err, errFile):
		return &exitError{exitCannot, err}
	case err != nil:
		return c.explain(err)
	}
	return c.print(map[string]any{"file": args[0], "bytes": n}, fmt.Sprintf("%s: %s, in the clear: erase it once it has served", args[0], size(n)))
}

// agreed says what is about to happen and wants a "yes"; else it is refused.
func (c call) agreed(what, refused string) error {
	if _, err := fmt.Fprintf(c.err, "%s\n\nHas everybody who can be seen agreed? Type yes: ", what); err != nil {
		return fmt.Errorf("ask for consent: %w", err)
	}
	answer, err := bufio.NewReader(io.LimitReader(c.in, 64)).ReadString('\n')
	if strings.TrimSpace(answer) != "yes" {
		return &exitError{exitUsage, errors.New(refused)}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	return nil
}

// cameraReset resets the USB camera of a request.
func cameraReset(c call, args []string, request string) error {
	if err := words(args); err != nil {
		return err
	}
	dev, err := resetCamera(request, trust.Sysfs, "/dev/bus/usb")
	if err != nil {
		return &exitError{exitUnavailable, fmt.Errorf("reset: %w", err)}
	}
	return c.print(map[string]string{"reset": dev}, dev+": reset")
}

// camerasText is the devices for somebody who looks for the right one.
func camerasText(all []api.Camera) string {
	if len(all) == 0 {
		return "there is no video device: is the camera plugged in?"
	}
	var b strings.Builder
	for _, cam := range all {
		verdict := "REFUSED: "
		if cam.Trusted {
			verdict = "trusted: "
		}
		if cam.Problem != "" && cam.Reason == "" {
			verdict = ""
		}
		fmt.Fprintf(&b, "%s  %s\n", cam.Path, dash(printable(cam.Card)))
		line := func(name, text string) {
			if text != "" {
				fmt.Fprintf(&b, "  %-6s %s\n", name, printable(text))
			}
		}
		line("", verdict+cam.Reason)
		line("pin", cam.Identity)
		line("at", cam.At)
		line("mode", strings.TrimSuffix(cam.Mode+": "+cam.Why, ": "))
		line("modes", strings.Join(cam.Modes, ", "))
		line("but", cam.Problem)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// figuresText is how a camera did.
func figuresText(f api.CameraFigures) string {
	text := fmt.Sprintf("%s: %.1f frames/s over %.1f s, %d frames, %s", f.Mode, f.FramesPerSecond, f.Seconds, f.Frames, lossText(f.Lost, f.CameraSkips))
	if f.Identity != "" {
		text += "\npin       " + printable(f.Identity)
	}
	if f.Controls != "" {
		text += "\ncontrols  " + printable(f.Controls)
	}
	return text
}

// watchText is one line of figures.
func watchText(s api.Status) string {
	cam := s.Camera
	state := "at rest"
	if cam.FramesPerSecond > 0 {
		state = fmt.Sprintf("%.1f frames/s", cam.FramesPerSecond)
	}
	return fmt.Sprintf("%-16s %s, %d frames, %d not looked at, %s, opened again %d times, %d resets",
		spaced(s.Phase), state, cam.Frames, cam.Dropped, lossText(cam.Lost, cam.CameraSkips), cam.Reopened, cam.Resets)
}

func lossText(lost uint64, s api.CameraSkips) string {
	words := []string{fmt.Sprintf("%d lost by the driver", lost)}
	for _, one := range []struct {
		n    uint64
		what string
	}{{s.Flawed, "flagged"}, {s.Short, "short"}, {s.Corrupt, "corrupt"}, {s.Stale, "stale"}, {s.Starved, "without memory"}} {
		if one.n > 0 {
			words = append(words, fmt.Sprintf("%d %s", one.n, one.what))
		}
	}
	return strings.Join(words, ", ")
}

// printable is s without what a terminal would take for a command: a device, or
// a program that uses one, may call itself anything.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

// maxRequest bounds a request for a reset, bytes.
const maxRequest = 4096

// resetCamera takes the request for a reset, and resets the USB camera that it
// names: sys is where sysfs is, dev where the nodes of USB devices are. It
// returns the path of its node.
//
// It runs as root on the word of a daemon that does not, so what it is told is
// not believed: only a device with a video interface is reset, whichever is
// named, and the request is not followed to another file.
func resetCamera(request, sys, dev string) (string, error) {
	text, err := takeRequest(request)
	if err != nil {
		return "", err
	}
	pin, err := trust.ParsePin(strings.TrimSpace(text))
	if err != nil {
		return "", fmt.Errorf("%s: %w", request, err)
	}
	folder, err := trust.FindUSB(sys, pin)
	if err != nil {
		return "", err
	}
	bus, number, err := trust.USBAddress(folder)
	if err != nil {
		return "", err
	}
	node := fmt.Sprintf("%s/%03d/%03d", dev, bus, number)
	fd, err := unix.Open(node, unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", node, err)
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	const usbdevfsReset = 'U'<<8 | 20
	if err := unix.IoctlSetInt(fd, usbdevfsReset, 0); err != nil {
		return "", fmt.Errorf("reset %s: %w", node, err)
	}
	return node, nil
}

// takeRequest reads a request and removes it, whatever is in it: it must not be
// found again.
func takeRequest(path string) (string, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		_ = unix.Unlink(path)
		return "", fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	if err = unix.Unlink(path); err != nil {
		return "", fmt.Errorf("remove %s: %w", path, err)
	}
	buf := make([]byte, maxRequest)
	n, err := unix.Read(fd, buf)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return string(buf[:n]), nil
}
