//go:build guest && amd64

// Package daemon_test runs the whole daemon in a guest, as a service manager
// would: from the camera's device and a finger on the screen to the sealed
// record.
package daemon_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gioui.org/layout"
	"gioui.org/op"
	"golang.org/x/sys/unix"

	"livekiosk/buildroot/test/guest"
	"livekiosk/buildroot/test/guest/guesttest"
	"livekiosk/camera/replay"
	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/ui/screens"
)

//guest:program ./cmd/kioskd ./cmd/kioskctl
//guest:models
//guest:host /usr/bin/Xvfb /usr/bin/xkbcomp /usr/share/X11/xkb /usr/share/X11/locale
//guest:host /usr/lib/x86_64-linux-gnu/libGLESv2.so.2 /usr/lib/x86_64-linux-gnu/libEGL_mesa.so.0
//guest:host /usr/lib/x86_64-linux-gnu/dri/swrast_dri.so /usr/share/glvnd/egl_vendor.d/50_mesa.json

// The visitor of the composed clip holds still at these times: far, and near.
const (
	far, near = 6200 * time.Millisecond, 10200 * time.Millisecond
	held      = 2400 * time.Millisecond
	pictures  = 4 // of each hold
	rate      = 8 // pictures a second
)

// size is the camera's: the eyes of the visitor who is far have to be 70
// pixels apart.
func size() image.Point { return image.Pt(800, 600) }

// compose returns the pictures of one hold, as a camera would give them.
func compose(t *testing.T, from time.Duration) (all [][]byte) {
	t.Helper()
	clip, err := replay.Open(replay.Options{Clip: replay.Portrait, Size: size()})
	if err != nil {
		t.Fatal(err)
	}
	for i := range pictures {
		var b bytes.Buffer
		if err := jpeg.Encode(&b, clip.Compose(from+held*time.Duration(i)/pictures), &jpeg.Options{Quality: 90}); err != nil {
			t.Fatal(err)
		}
		all = append(all, b.Bytes())
	}
	return all
}

// A visitor stands before the camera, and comes closer when asked to.
type visitor struct {
	holds [2][][]byte // far, near
	near  atomic.Int32
}

// stand shows the visitor, who sways a little, to the camera until ctx ends.
func (v *visitor) stand(ctx context.Context, camera *guesttest.Loopback) error {
	t := time.NewTicker(time.Second / rate)
	defer t.Stop()
	for i := 0; ; i++ {
		hold := v.holds[v.near.Load()]
		n := i % (2 * len(hold))
		if err := camera.Show(hold[min(n, 2*len(hold)-1-n)]); err != nil {
			return fmt.Errorf("show a picture: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// A service is the daemon as systemd runs it.
type service struct {
	dir    string // state, sockets, log
	socket string
}

// start starts the daemon and waits until it says that it is ready. At the
// test's end it is asked to stop, and has to end well.
func start(t *testing.T, config, display string) service {
	t.Helper()
	s := service{dir: t.TempDir()}
	s.socket = filepath.Join(s.dir, "kioskd.sock")
	file := filepath.Join(s.dir, "kioskd.toml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	told := filepath.Join(s.dir, "notify")
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: told, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = notify.Close() })
	var log bytes.Buffer
	began := time.Now()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "/bin/kioskd", "-config", file,
		"-state", filepath.Join(s.dir, "state"), "-socket", s.socket, "-models", guest.ModelsDir)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+told, "DISPLAY="+display, "LIBGL_ALWAYS_SOFTWARE=1", "MALLOC_ARENA_MAX=2")
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(cmd.Process.Signal(unix.SIGTERM), cmd.Wait()); err != nil {
			t.Errorf("kioskd: %v", err)
		}
		if t.Failed() {
			t.Logf("kioskd's log:\n%s", log.String())
		}
	})
	if err := notify.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for b := make([]byte, 4096); ; {
		n, err := notify.Read(b)
		if err != nil {
			t.Fatalf("kioskd did not become ready: %v", err)
		}
		if strings.Contains(string(b[:n]), "READY=1") {
			t.Logf("READY after %.1f s", time.Since(began).Seconds())
			return s
		}
	}
}

// ctl runs kioskctl and returns what it says.
func (s service) ctl(t *testing.T, args ...string) []byte {
	t.Helper()
	var complaint bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "/bin/kioskctl", args...)
	cmd.Env, cmd.Stderr = append(os.Environ(), "KIOSKD_SOCKET="+s.socket), &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kioskctl %s: %v: %s", strings.Join(args, " "), err, complaint.String())
	}
	return out
}

// trace returns the trace of a session, which is whole when its last screen is
// gone.
func (s service) trace(t *testing.T, id kiosk.SessionID) []byte {
	t.Helper()
	look := time.NewTicker(500 * time.Millisecond)
	defer look.Stop()
	for began := time.Now(); ; <-look.C {
		trace, err := os.ReadFile(filepath.Join(s.dir, "state", "traces", string(id)+".trace"))
		switch {
		case err == nil:
			return trace
		case !errors.Is(err, fs.ErrNotExist) || time.Since(began) > time.Minute:
			t.Fatal(err)
		}
	}
}

// Nobody listens where the gateway should be: the record stays in the outbox.
// The only attempt is the last one. It goes on for review if a hold has fewer
// than four measured frames, as may be on the guest's slow processor.
const config = `
[camera]
source = "/dev/video0"
trust = "test"

[gateway]
base_url = "http://127.0.0.1:9"
partner_url = "http://127.0.0.1:9/partner"

[display]
mode = "window"
width = 360
height = 640

[flow]
attempts = 1
`

// agree is where the button is on a screen of this size.
func agree(t *testing.T) image.Point {
	t.Helper()
	s, err := screens.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	var ops op.Ops
	s.Layout(layout.Context{Ops: &ops, Constraints: layout.Exact(image.Pt(360, 640))}, kiosk.View{Screen: kiosk.ConsentScreen, Session: "s", Locale: kiosk.English}, screens.Preview{})
	r, shown := s.Bounds(kiosk.Agree)
	if !shown {
		t.Fatal("the consent has no button to agree")
	}
	return r.Min.Add(r.Max).Div(2)
}

// The camera is v4l2loopback, which the test gives the composed visitor: the
// product's own models see a face and have to find it alive. The consent is a
// finger's tap on a real window.
func TestGuestSessionFromTheDeviceToTheSealedRecord(t *testing.T) {
	began := time.Now()
	v := &visitor{holds: [2][][]byte{compose(t, far), compose(t, near)}}
	t.Logf("%d pictures composed in %.1f s", 2*pictures, time.Since(began).Seconds())
	camera := guesttest.NewLoopback(t, size())
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() { gone <- v.stand(ctx, camera) }()
	t.Cleanup(func() {
		leave()
		if err := <-gone; err != nil {
			t.Error(err)
		}
	})
	screen := guesttest.NewScreen(t, image.Pt(360, 640))
	s := start(t, config, screen.Name)

	var launched struct{ SessionID kiosk.SessionID }
	if err := json.Unmarshal(s.ctl(t, "launch", "--json", "--correlation-id", "guest-1", "--user-id", "u", "--locale", "en"), &launched); err != nil {
		t.Fatal(err)
	}
	var record kiosk.RecordID
	var end kiosk.Result
	began = time.Now()
	err := api.NewClient(s.socket).Session(ctx, launched.SessionID, func(e kiosk.Event) error {
		t.Logf("%5.1fs  %-10s %s", time.Since(began).Seconds(), e.Kind, e.Text)
		switch {
		case e.Kind == kiosk.EventPhase && e.Text == "consent":
			time.AfterFunc(3*time.Second, func() { screen.Tap(agree(t)) }) // who has read it
		case e.Kind == kiosk.EventPhase && e.Text == "near":
			v.near.Store(1)
		case e.Kind == kiosk.EventPhase && e.Text == "far":
			v.near.Store(0)
		case e.Kind == kiosk.EventSaved:
			record = e.Record
		case e.Kind == kiosk.EventResult:
			end = *e.Result
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if end.Detail != kiosk.Saved || record == "" {
		t.Fatalf("the session ended with %+v, record %q; want it saved", end, record)
	}
	sealed(t, s, record)
	outbox, err := os.ReadFile(filepath.Join(s.dir, "state", "outbox.db"))
	if err != nil {
		t.Fatal(err)
	}
	if head := v.holds[0][0][:64]; bytes.Contains(outbox, head) { // all pictures begin alike
		t.Error("there is a picture in the clear in the outbox")
	}
}

// sealed looks at the record as staff would, and at the session's trace.
func sealed(t *testing.T, s service, record kiosk.RecordID) {
	t.Helper()
	var d kiosk.Detail
	if err := json.Unmarshal(s.ctl(t, "queue", "show", "--json", string(record)), &d); err != nil {
		t.Fatal(err)
	}
	t.Logf("record of attempt %d, for review: %t, %d sealed bytes", d.Attempt, d.Review, d.Bytes)
	images := 0
	for _, p := range d.Parts {
		t.Logf("  %-24s %7d bytes, opens: %t", p.Name, p.Bytes, p.Opens)
		if strings.HasPrefix(p.Name, "image/") && p.Bytes > 20<<10 && p.Bytes < 400<<10 && p.Opens {
			images++
		}
	}
	if d.State != "queued" || images != 2 {
		t.Errorf("record %+v, want it queued with two pictures", d)
	}
	s.ctl(t, "queue", "verify")
	trace := s.trace(t, d.Session)
	head, inputs, _ := bytes.Cut(trace, []byte("\n"))
	for _, fact := range []string{`"trust":"test"`, `"camera":"/dev/video0"`} {
		if !bytes.Contains(head, []byte(fact)) {
			t.Errorf("the trace lacks %s: %s", fact, head)
		}
	}
	alive(t, inputs)
}

// alive wants the models to have seen one person in most frames, and to have
// found them alive.
func alive(t *testing.T, trace []byte) {
	t.Helper()
	var seen, one int
	var live float32
	for d := json.NewDecoder(bytes.NewReader(trace)); ; {
		var line struct {
			In    string
			Input struct {
				Faces int
				Live  float32
			}
		}
		if err := d.Decode(&line); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if line.In == "saw" {
			seen++
			if line.Input.Faces == 1 {
				one++
				live += line.Input.Live
			}
		}
	}
	t.Logf("%d frames assessed, one face in %d, mean liveness %.3f", seen, one, live/float32(max(one, 1)))
	if seen < 4 || one < seen-1 || live < 0.5*float32(one) {
		t.Error("want one live face, seen throughout")
	}
}
