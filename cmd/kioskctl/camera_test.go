package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
)

func (k *fakeKiosk) Cameras(context.Context) ([]api.Camera, error) { return k.cameras, k.unread }

func (k *fakeKiosk) lent() error {
	if k.holding {
		return kiosk.ErrOccupied
	}
	return k.unread
}

func (k *fakeKiosk) Probe(context.Context) (api.CameraFigures, error) {
	return api.CameraFigures{
		Identity: "driver=x bus=y", Mode: "MJPG 1280x720 30/s", Controls: "gain 64", Seconds: 3.01, FramesPerSecond: 29.53, Frames: 88, Lost: 2,
		CameraSkips: api.CameraSkips{Flawed: 1, Corrupt: 3},
	}, k.lent()
}

func (k *fakeKiosk) Picture(context.Context) ([]byte, error) { return []byte("a picture"), k.lent() }

func twoCameras() []api.Camera {
	return []api.Camera{
		{
			Path: "/dev/video0", Card: "Cam\x1b[2J", Identity: "driver=uvcvideo bus=usb-1", At: "/sys/devices/z", Trusted: true, Reason: "a real camera",
			Modes: []string{"MJPG 1280x720 30/s", "YUYV 640x480 30/s"}, Mode: "MJPG 1280x720 30/s", Why: "1280x720 is wanted",
		},
		{Path: "/dev/video1", Card: "Cam", Identity: "driver=uvcvideo bus=usb-1", Problem: "not a camera: it does not capture video"},
		{Path: "/dev/video2", Card: "vivid", Identity: "driver=vivid bus=platform:vivid-000", Reason: "a virtual device", Mode: "YUYV 640x480 25/s", Modes: []string{"YUYV 640x480 25/s"}},
	}
}

func TestCamera(t *testing.T) {
	gone := errors.New("/dev/video0: camera was unplugged")
	picture := filepath.Join(t.TempDir(), "a.jpg")
	const asks = "This takes one picture of whoever stands in front"
	for name, tt := range map[string]struct {
		args    string
		in      string
		kiosk   *fakeKiosk
		code    int
		out     string
		err     string // the end of it
		asks    bool
		picture bool
	}{
		"the list": {
			args: "", kiosk: &fakeKiosk{cameras: twoCameras()},
			out: "/dev/video0  Cam?[2J\n         trusted: a real camera\n  pin    driver=uvcvideo bus=usb-1\n  at     /sys/devices/z\n" +
				"  mode   MJPG 1280x720 30/s: 1280x720 is wanted\n  modes  MJPG 1280x720 30/s, YUYV 640x480 30/s\n" +
				"/dev/video1  Cam\n  pin    driver=uvcvideo bus=usb-1\n  but    not a camera: it does not capture video\n" +
				"/dev/video2  vivid\n         REFUSED: a virtual device\n  pin    driver=vivid bus=platform:vivid-000\n  mode   YUYV 640x480 25/s\n  modes  YUYV 640x480 25/s\n",
		},
		"the list for machines": {
			args: "list --json", kiosk: &fakeKiosk{cameras: twoCameras()[1:2]},
			out: `{"path":"/dev/video1","card":"Cam","identity":"driver=uvcvideo bus=usb-1","at":"","trusted":false,"reason":"","modes":null,"mode":"","why":"","problem":"not a camera: it does not capture video"}` + "\n",
		},
		"no device": {args: "list", kiosk: &fakeKiosk{}, out: "there is no video device: is the camera plugged in?\n"},
		"a probe": {
			args: "probe", kiosk: &fakeKiosk{},
			out: "MJPG 1280x720 30/s: 29.5 frames/s over 3.0 s, 88 frames, 2 lost by the driver, 1 flagged, 3 corrupt\npin       driver=x bus=y\ncontrols  gain 64\n",
		},
		"a probe in a session": {args: "probe", kiosk: &fakeKiosk{holding: true}, code: 75, err: "kioskctl: camera: the kiosk needs the camera itself: try once the visitor has left\n"},
		"a probe of what commands the terminal": {
			args: "probe", kiosk: &fakeKiosk{unread: errors.New("/dev/video0 (\x1b[2J): in use")}, code: 75, err: "kioskctl: camera: /dev/video0 (?[2J): in use\n",
		},
		"a probe without a camera": {args: "probe", kiosk: &fakeKiosk{unread: gone}, code: 75, err: "kioskctl: camera: /dev/video0: camera was unplugged\n"},
		"two looks": {
			args: "watch --count 2", kiosk: &fakeKiosk{state: func(s *api.Status) { s.Camera.Short, s.Camera.Reopened = 4, 1 }},
			out: strings.Repeat("out of service   30.0 frames/s, 900 frames, 3 not looked at, 0 lost by the driver, 4 short, opened again 1 times, 0 resets\n", 2),
		},
		"a camera at rest": {
			args: "watch --count 1", kiosk: &fakeKiosk{state: func(s *api.Status) { s.Camera.FramesPerSecond = 0 }},
			out: "out of service   at rest, 900 frames, 3 not looked at, 0 lost by the driver, opened again 0 times, 0 resets\n",
		},
		"a picture with consent": {args: "save " + picture + " --i-have-their-consent", kiosk: &fakeKiosk{}, out: picture + ": 9 bytes, in the clear: erase it once it has served\n", picture: true},
		"a picture with a yes":   {args: "save " + picture, in: "yes\n", kiosk: &fakeKiosk{}, out: picture + ": 9 bytes, in the clear: erase it once it has served\n", asks: true, picture: true},
		"a picture with a no":    {args: "save " + picture, in: "no\n", kiosk: &fakeKiosk{}, code: 64, err: "kioskctl: camera: nobody has agreed, so no picture was taken\n", asks: true},
		"a picture with silence": {args: "save " + picture, kiosk: &fakeKiosk{}, code: 64, err: "kioskctl: camera: nobody has agreed, so no picture was taken\n", asks: true},
		"a picture in a session": {
			args: "save " + picture + " --i-have-their-consent", kiosk: &fakeKiosk{holding: true}, code: 75,
			err: "kioskctl: camera: the kiosk needs the camera itself: try once the visitor has left\n",
		},
		"a picture over another file": {args: "save /dev/null --i-have-their-consent", kiosk: &fakeKiosk{}, code: 73, err: "kioskctl: camera: nothing was kept: /dev/null: file already exists\n"},
		"a picture to nowhere":        {args: "save", kiosk: &fakeKiosk{}, code: 64, err: "kioskctl: camera: FILE is missing\n"},
		"another word":                {args: "dance", kiosk: &fakeKiosk{}, code: 64, err: "kioskctl: camera: there is no \"dance\": list, probe, watch, save or reset: see kioskctl help camera\n"},
		"a consent to nothing":        {args: "probe --i-have-their-consent", kiosk: &fakeKiosk{}, code: 64, err: "kioskctl: camera: --i-have-their-consent goes with save: see kioskctl help camera\n"},
		"a reset of nothing":          {args: "reset", kiosk: &fakeKiosk{}, code: 64, err: "kioskctl: camera: --request goes with reset: see kioskctl help camera\n"},
		"a count of nothing":          {args: "list --count 2", kiosk: &fakeKiosk{}, code: 64, err: "kioskctl: camera: --count goes with watch, from 0 on: see kioskctl help camera\n"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			serve(t, tt.kiosk, path)
			code, out, errs := kioskctl(t.Context(), nil, tt.in, append([]string{"--socket", path, "camera"}, strings.Fields(tt.args)...)...)
			if code != tt.code || out != tt.out || !strings.HasSuffix(errs, tt.err) || tt.err == "" && !tt.asks && errs != "" {
				t.Errorf("exit %d\n%s%s\nwant exit %d\n%s%s", code, out, errs, tt.code, tt.out, tt.err)
			}
			if strings.Contains(errs, asks) != tt.asks {
				t.Errorf("asked for consent: %v\n%s", !tt.asks, errs)
			}
			b, err := os.ReadFile(picture)
			if (err == nil) != tt.picture || tt.picture && string(b) != "a picture" {
				t.Errorf("the file holds %q, %v", b, err)
			}
			if err := os.Remove(picture); err != nil && tt.picture {
				t.Error(err)
			}
		})
	}
}

func TestWatchingEndsWhenItIsInterrupted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ctx, cancel := context.WithCancel(t.Context())
	serve(t, &fakeKiosk{state: func(*api.Status) { cancel() }}, path)
	if code, _, errs := kioskctl(ctx, nil, "", "--socket", path, "camera", "watch"); code != 0 || errs != "" {
		t.Errorf("exit %d, %s", code, errs)
	}
}

// TestAResetIsOnlyForACamera has requests that a daemon might be made to write.
func TestAResetIsOnlyForACamera(t *testing.T) {
	sys, dev := t.TempDir(), t.TempDir()
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, class := range map[string]string{"1-1": "0e", "1-2": "08"} {
		dir := filepath.Join(sys, "devices/0000:00:14.0/usb1", name)
		for file, text := range map[string]string{
			"idVendor": "046d", "idProduct": "082d", "serial": "A", "devpath": name[2:], "busnum": "1", "devnum": "7", name + ":1.0/bInterfaceClass": class,
		} {
			write(filepath.Join(dir, file), text+"\n")
		}
		if err := os.MkdirAll(filepath.Join(sys, "bus/usb/devices"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(dir, filepath.Join(sys, "bus/usb/devices", name)); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(dev, "001/007"), "") // no USB device: the kernel says so
	secret := filepath.Join(t.TempDir(), "secret")
	write(secret, "driver=uvcvideo bus=usb-0000:00:14.0-1 usb=046d:082d:A")
	for name, tt := range map[string]struct {
		request string
		link    bool
		says    string
	}{
		"the camera":                  {"driver=uvcvideo bus=usb-0000:00:14.0-1 usb=046d:082d:A\n", false, "reset " + dev + "/001/007: inappropriate ioctl"},
		"a disk":                      {"driver=uvcvideo bus=usb-0000:00:14.0-2 usb=046d:082d:A\n", false, "is no camera"},
		"nothing that is there":       {"driver=uvcvideo bus=usb-0000:00:14.0-3 usb=046d:082d:A\n", false, "there is no USB device"},
		"a way out of the folder":     {"../../../../etc/passwd", false, "none of driver=, bus=, usb="},
		"what is no USB device":       {"driver=unicam bus=platform:x", false, "there is no USB device"},
		"an endless request":          {strings.Repeat("x", 1<<20), false, "none of driver=, bus=, usb="},
		"a link to somebody's secret": {"", true, "too many levels of symbolic links"},
	} {
		t.Run(name, func(t *testing.T) {
			request := filepath.Join(t.TempDir(), "camera-reset")
			if tt.link {
				if err := os.Symlink(secret, request); err != nil {
					t.Fatal(err)
				}
			} else {
				write(request, tt.request)
			}
			if node, err := resetCamera(request, sys, dev); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("resetCamera() = %q, %v; want %q", node, err, tt.says)
			}
			if _, err := os.Lstat(request); !errors.Is(err, unix.ENOENT) {
				t.Errorf("the request lies there still: %v", err)
			}
			if _, err := os.Stat(secret); err != nil {
				t.Error(err)
			}
		})
	}
}
