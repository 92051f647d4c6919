package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"livekiosk/inference/models"
	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/queue"
	"livekiosk/queue/gateway/gatewaysim"
	"livekiosk/queue/gateway/partner/partnertest"
	"livekiosk/queue/queuetest"
)

// A lab is a folder with everything that a daemon needs.
type lab struct {
	t                     *testing.T
	state, models, socket string
	env                   []string // of a daemon in a process of its own, beside this process's
}

func newLab(t *testing.T) *lab {
	t.Helper()
	// A socket's path must be short, and a test's folder is named after the test.
	dir, err := os.MkdirTemp("", "kioskd-test-") //nolint:usetesting // as above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return &lab{t: t, state: filepath.Join(t.TempDir(), "state"), models: models.Dir(), socket: filepath.Join(dir, "sock")}
}

func (l *lab) args(more ...string) []string {
	return append([]string{
		"-state", l.state, "-models", l.models, "-socket", l.socket, "-camera", "clip:portrait", "-display", "headless",
	}, more...)
}

func (l *lab) file(name, text string) string {
	l.t.Helper()
	path := filepath.Join(l.t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
	return path
}

// hold opens the outbox as another process would.
func (l *lab) hold() *queue.Queue {
	l.t.Helper()
	c := defaults()
	c.State.Dir = l.state
	ring, err := c.keys(true)
	if err != nil {
		l.t.Fatal(err)
	}
	q, err := queue.Open(l.t.Context(), queue.Options{Path: c.queuePath(), Keys: ring})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = q.Close() }) // again is no error
	return q
}

func (l *lab) release(q *queue.Queue) {
	if err := q.Close(); err != nil {
		l.t.Error(err)
	}
}

// alterModel points the lab at a copy of the models in which one is damaged.
func (l *lab) alterModel() {
	l.t.Helper()
	set, err := models.Open(l.t.Context(), l.models)
	if err != nil {
		l.t.Fatal(err)
	}
	dir := l.t.TempDir()
	for _, path := range []string{set.Runtime, set.Detector, set.Landmarks} {
		if err := os.Symlink(path, filepath.Join(dir, filepath.Base(path))); err != nil {
			l.t.Fatal(err)
		}
	}
	b, err := os.ReadFile(set.PAD)
	if err != nil {
		l.t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(filepath.Join(dir, filepath.Base(set.PAD)), b, 0o600); err != nil {
		l.t.Fatal(err)
	}
	l.models = dir
}

func TestCheckConfigNamesWhatIsWrong(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(*lab) []string // more arguments
		code  int
		says  string
	}{
		{"nothing is wrong", func(*lab) []string { return nil }, exitOK, "usable"},
		{"an unknown key", func(l *lab) []string { return []string{"-config", l.file("c.toml", "[camera]\nsauce = \"auto\"\n")} }, exitConfig, "unknown key camera.sauce"},
		{"a torn file", func(l *lab) []string { return []string{"-config", l.file("c.toml", "[camera\n")} }, exitConfig, "line 2"},
		{"no such file", func(*lab) []string { return []string{"-config", "/nowhere/kioskd.toml"} }, exitConfig, "/nowhere/kioskd.toml"},
		{"a theme with an unknown key", func(l *lab) []string {
			return []string{"-config", l.file("c.toml", fmt.Sprintf("[display]\ntheme = %q\n", l.file("bank.json", `{"light": {"brnd": "#000000"}}`)))}
		}, exitConfig, "light.brnd: unknown key"},
		{"a theme that is not there", func(l *lab) []string {
			return []string{"-config", l.file("c.toml", "[display]\ntheme = \"/nowhere/bank.json\"\n")}
		}, exitConfig, "display.theme"},
		{"an impossible value", func(l *lab) []string { return []string{"-config", l.file("c.toml", "[flow]\nattempts = 0\n")} }, exitConfig, "flow.attempts"},
		{"a duration without a unit", func(l *lab) []string { return []string{"-config", l.file("c.toml", "[flow]\nattempt_in = \"20\"\n")} }, exitConfig, "such as"},
		{"a recorded face for a real gateway", func(*lab) []string { return []string{"-gateway", "https://gateway.example"} }, exitConfig, "loopback"},
		{"a gateway in the clear", func(*lab) []string { return []string{"-camera", "auto", "-gateway", "http://gateway.example"} }, exitConfig, "https"},
		{"a threshold that lets prints pass", func(l *lab) []string { return []string{"-config", l.file("c.toml", "[flow]\nlive_min = 0.0\n")} }, exitConfig, "flow.live_min"},
		{"a light challenge of another kind", func(l *lab) []string {
			return []string{"-config", l.file("c.toml", "[flow]\nlight_challenge = \"on\"\n")}
		}, exitConfig, "flow.light_challenge"},
		{"a threshold that is no number", func(l *lab) []string { return []string{"-config", l.file("c.toml", "[flow]\nlive_min = nan\n")} }, exitConfig, "flow.live_min"},
		{"a deadline that serves nobody", func(l *lab) []string { return []string{"-config", l.file("c.toml", "[flow]\nattempt_in = \"1ns\"\n")} }, exitConfig, "flow.attempt_in"},
		{"an outbox too small for a session", func(l *lab) []string { return []string{"-config", l.file("c.toml", "[queue]\nmax_records = 1\n")} }, exitConfig, "queue.max_records"},
		{"more attempts than the outbox makes room for", func(l *lab) []string { return []string{"-config", l.file("c.toml", "[flow]\nattempts = 9\n")} }, exitConfig, "flow.attempts"},
		{"a password in a URL", func(*lab) []string {
			return []string{"-camera", "auto", "-gateway", "https://kiosk:hunter2@gateway.example"}
		}, exitConfig, "gateway.base_url"},
		{"pictures of real people's screens", func(*lab) []string { return []string{"-camera", "auto", "-screens", "/tmp/faces"} }, exitConfig, "faces"},
		{"a real person's consent by script", func(*lab) []string { return []string{"-camera", "auto", "-script", "agree"} }, exitConfig, "consent"},
		{"a folder without frames", func(l *lab) []string { return []string{"-camera", "frames:" + l.t.TempDir()} }, exitConfig, "camera.source"},
		{"a camera that hangs crooked", func(l *lab) []string { return []string{"-config", l.file("c.toml", "[camera]\nrotate = 45\n")} }, exitConfig, "camera.rotate: 45"},
		{"a turn that is no number", func(l *lab) []string { return []string{"-config", l.file("c.toml", "[camera]\nrotate = \"90\"\n")} }, exitConfig, "camera.rotate"},
		{"a camera that is mounted on its side", func(l *lab) []string {
			return []string{"-config", l.file("c.toml", "[camera]\nrotate = 270\nmirror = true\n")}
		}, exitOK, "usable"},
		{"a certificate without its key", func(l *lab) []string {
			return []string{"-config", l.file("c.toml", "[gateway]\npartner_cert_file = \"/x.crt\"\n")}
		}, exitConfig, "gateway.partner_key_file"},
		{"a certificate that is not there", func(l *lab) []string {
			return []string{"-config", l.file("c.toml", "[gateway]\npartner_cert_file = \"/nowhere/x.crt\"\npartner_key_file = \"/nowhere/x.key\"\n")}
		}, exitConfig, "/nowhere/x.crt"},
		{"an authority's file without a certificate", func(l *lab) []string {
			return []string{"-config", l.file("c.toml", fmt.Sprintf("[gateway]\npartner_ca_file = %q\n", l.file("ca.pem", "hello")))}
		}, exitConfig, "gateway.partner_ca_file"},
		{"a pin that is none", func(l *lab) []string { return []string{"-config", l.file("c.toml", "[gateway]\npins = [\"abc\"]\n")} }, exitConfig, "gateway.pins"},
		{"a pin of the partner that is none", func(l *lab) []string {
			return []string{"-config", l.file("c.toml", "[gateway]\npartner_pins = [\"abc\"]\n")}
		}, exitConfig, "gateway.partner_pins"},
		{"a proxy that is none", func(l *lab) []string {
			return []string{"-config", l.file("c.toml", "[gateway]\nproxy = \"ftp://kiosk:hunter2@proxy.example\"\n")}
		}, exitConfig, "gateway.proxy"},
		{"an upload cap that stops everything", func(l *lab) []string { return []string{"-config", l.file("c.toml", "[gateway]\nupload_limit = 1\n")} }, exitConfig, "gateway.upload_limit"},
		{"more records than there can be keys", func(l *lab) []string {
			return []string{"-config", l.file("c.toml", "[queue]\nmax_records = 1000001\n")}
		}, exitConfig, "queue.max_records"},
		{"more bookings than are kept", func(l *lab) []string { return []string{"-config", l.file("c.toml", "[queue]\nmax_bookings = 40001\n")} }, exitConfig, "queue.max_bookings"},
		{"records that are kept for a day", func(l *lab) []string { return []string{"-config", l.file("c.toml", "[queue]\nmax_age = \"24h\"\n")} }, exitConfig, "queue.max_age"},
		{"no room for bookings", func(l *lab) []string { return []string{"-config", l.file("c.toml", "[queue]\nmax_bookings = 0\n")} }, exitConfig, "queue.max_bookings"},
		{"a line for two purposes", func(l *lab) []string {
			return []string{"-config", l.file("c.toml", "[panel.ring]\nline = \"A\"\n[panel.help]\nline = \"A\"\n")}
		}, exitConfig, "panel.help.line: \\\"A\\\" is the line of panel.ring already"},
		{"a bias that there is not", func(l *lab) []string {
			return []string{"-config", l.file("c.toml", "[panel.help]\nline = \"A\"\nbias = \"up\"\n")}
		}, exitConfig, "panel.help.bias"},
		{"a contact that never rests", func(l *lab) []string {
			return []string{"-config", l.file("c.toml", "[panel.help]\nline = \"A\"\ndebounce = \"2s\"\n")}
		}, exitConfig, "panel.help.debounce"},
		{"an output that bounces", func(l *lab) []string {
			return []string{"-config", l.file("c.toml", "[panel.ring]\nline = \"A\"\ndebounce = \"2ms\"\n")}
		}, exitConfig, "unknown key panel.ring.debounce"},
		{"an alarm without an end", func(l *lab) []string { return []string{"-config", l.file("c.toml", "[panel]\nalarm = \"1h\"\n")} }, exitConfig, "panel.alarm"},
		{"a screen that rests at once", func(l *lab) []string { return []string{"-config", l.file("c.toml", "[flow]\nrest_in = \"0s\"\n")} }, exitConfig, "flow.rest_in"},
		{"a battery that is never full enough", func(l *lab) []string { return []string{"-config", l.file("c.toml", "[power]\nleast = 91\n")} }, exitConfig, "power.least"},
		{"a trust that there is not", func(l *lab) []string {
			return []string{"-camera", "auto", "-config", l.file("c.toml", "[camera]\ntrust = \"none\"\n")}
		}, exitConfig, "camera.trust"},
		{"virtual cameras for a real gateway", func(l *lab) []string {
			return []string{"-camera", "auto", "-gateway", "https://gateway.example", "-config", l.file("c.toml", "[camera]\ntrust = \"test\"\n")}
		}, exitConfig, "camera.trust"},
		{"virtual cameras for a relay of a real gateway", func(l *lab) []string {
			return []string{"-camera", "auto", "-config", l.file("c.toml", "[camera]\ntrust = \"test\"\n[relay]\nkey_file = \"/nowhere\"\n")}
		}, exitConfig, "camera.trust"},
		{"a camera pinned to no place", func(l *lab) []string {
			return []string{"-camera", "auto", "-config", l.file("c.toml", "[camera]\npin = \"usb=046d:082d:1\"\n")}
		}, exitConfig, "camera.pin"},
		{"a pinned clip", func(l *lab) []string {
			return []string{"-config", l.file("c.toml", "[camera]\npin = \"driver=unicam bus=platform:fe801000.csi\"\n")}
		}, exitConfig, "camera.pin"},
		{"a control that cannot be meant", func(l *lab) []string {
			return []string{"-camera", "auto", "-config", l.file("c.toml", "[camera.controls]\ngain = 64\npower_line = 55\n")}
		}, exitConfig, "camera.controls.power_line"},
		{"a rate beyond all cameras", func(l *lab) []string {
			return []string{"-camera", "auto", "-config", l.file("c.toml", "[camera.controls]\nrate = 1000\n")}
		}, exitConfig, "camera.controls.rate"},
		{"a camera that is pinned and set", func(l *lab) []string {
			return []string{"-camera", "auto", "-config", l.file("c.toml", `
				[camera]
				pin = "driver=uvcvideo bus=usb-0000:00:14.0-1 usb=046d:082d:5DC83E9F"
				[camera.controls]
				rate = 30
				exposure = "auto"
				gain = 64
				white_balance = "4600"
				focus = 0
				power_line = 50`)}
		}, exitOK, "usable"},
		{"no models", func(l *lab) []string { l.models = l.t.TempDir(); return nil }, exitMissing, "make models"},
		{"a damaged model", func(l *lab) []string { l.alterModel(); return nil }, exitModel, "make models"},
		{"an outbox that is in use", func(l *lab) []string { l.hold(); return nil }, exitBusy, "outbox"},
		{"an outbox whose key is gone", func(l *lab) []string {
			l.release(l.hold())
			if err := os.RemoveAll(filepath.Join(l.state, "keys")); err != nil {
				l.t.Fatal(err)
			}
			return nil
		}, exitOutbox, "device key"},
		{"a credential that was not given", func(l *lab) []string {
			return []string{"-config", l.file("c.toml", "[keys]\nstore = \"credential\"\n")}
		}, exitOutbox, "LoadCredential"},
		{"a key store that there is not", func(l *lab) []string { return []string{"-config", l.file("c.toml", "[keys]\nstore = \"tpm\"\n")} }, exitConfig, "keys.store"},
		{"an outbox that is none", func(l *lab) []string {
			if err := os.MkdirAll(l.state, 0o700); err != nil {
				l.t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(l.state, "outbox.db"), []byte("shopping list"), 0o600); err != nil {
				l.t.Fatal(err)
			}
			return nil
		}, exitOutbox, "outbox"},
		{"an unknown flag", func(*lab) []string { return []string{"-colour", "blue"} }, exitUsage, "colour"},
		{"a stray argument", func(*lab) []string { return []string{"please"} }, exitUsage, "please"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			more := tt.spoil(l)
			before := l.snapshot()
			var log bytes.Buffer
			if got := run(t.Context(), l.args(append([]string{"-check-config"}, more...)...), &log); got != tt.code {
				t.Errorf("exit code %d, want %d\n%s", got, tt.code, log.String())
			}
			lines := strings.Split(strings.TrimSpace(log.String()), "\n")
			if last := lines[len(lines)-1]; !strings.Contains(last, tt.says) {
				t.Errorf("the last line says %s\nwant %q in it", last, tt.says)
			}
			if strings.Contains(log.String(), "hunter2") {
				t.Errorf("the log holds a password: %s", log.String())
			}
			if after := l.snapshot(); after != before {
				t.Errorf("checking changed the state folder:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

func TestCheckConfigWarnsOfAThemeThatIsHardToRead(t *testing.T) {
	l := newLab(t)
	bank := l.file("bank.json", `{"name": "Bank", "light": {"brand": "#8fb8e0"}}`)
	var log bytes.Buffer
	if got := run(t.Context(), l.args("-check-config", "-config", l.file("c.toml", fmt.Sprintf("[display]\ntheme = %q\n", bank))), &log); got != exitOK {
		t.Errorf("exit code %d\n%s", got, log.String())
	}
	if want := "LIGHT_MODE, screen idle: brand on card has a contrast of 2.08 to 1, WCAG 2.2 AA wants 4.5 to 1"; !strings.Contains(log.String(), want) {
		t.Errorf("no %q in\n%s", want, log.String())
	}
}

// snapshot names the state's files and their sizes.
func (l *lab) snapshot() string {
	var b strings.Builder
	_ = filepath.Walk(l.state, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			b.WriteString(path + " " + info.ModTime().String() + "\n")
		}
		return nil
	})
	return b.String()
}

// A daemonUnderTest runs in this process until the test ends.
type daemonUnderTest struct {
	t      *testing.T
	client *api.Client
	socket string
	stop   func() int
	log    *lockedBuffer
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (l *lab) start(more ...string) *daemonUnderTest {
	l.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(l.t.Context()))
	d := &daemonUnderTest{t: l.t, client: api.NewClient(l.socket), socket: l.socket, log: &lockedBuffer{}}
	done := make(chan int, 1)
	go func() { done <- run(ctx, l.args(more...), d.log) }()
	d.stop = sync.OnceValue(func() int {
		cancel()
		return <-done
	})
	l.t.Cleanup(func() { d.stop() })
	return d
}

// await polls the status until ok holds.
func (d *daemonUnderTest) await(what string, ok func(api.Status) bool) api.Status {
	d.t.Helper()
	return d.awaitFor(2*time.Minute, what, ok)
}

// awaitFor is await with another patience.
func (d *daemonUnderTest) awaitFor(patience time.Duration, what string, ok func(api.Status) bool) api.Status {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := d.client.Status(ctx)
		if err == nil && ok(s) {
			return s
		}
		select {
		case <-ctx.Done():
			d.t.Fatalf("waiting for %s: last status %+v, %v\n%s", what, s, err, d.log.String())
		case <-tick.C:
		}
	}
}

// says waits until the log holds text: a line may come after what it tells of
// can be seen by other means. It returns the log.
func (d *daemonUnderTest) says(text string) string {
	d.t.Helper()
	d.await("the log to say "+text, func(api.Status) bool { return strings.Contains(d.log.String(), text) })
	return d.log.String()
}

func faulty(f kiosk.Fault) func(api.Status) bool {
	return func(s api.Status) bool {
		return slices.Contains(s.Faults, f) && s.Phase == "out_of_service" && !s.Ready
	}
}

func healthy(s api.Status) bool { return s.Ready && len(s.Faults) == 0 }

// TestARunningKioskShowsItsFaultAndRecovers starts the daemon with something
// missing: it stays up, out of service, and serves once it is there.
func TestARunningKioskShowsItsFaultAndRecovers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault kiosk.Fault
		spoil func(*lab) (more []string, mend func())
	}{
		{"an outbox in use", kiosk.StorageFault, func(l *lab) ([]string, func()) {
			q := l.hold()
			return nil, func() { l.release(q) }
		}},
		{"no models", kiosk.ModelFault, func(l *lab) ([]string, func()) {
			whole := l.models
			l.models = filepath.Join(l.t.TempDir(), "models")
			return nil, func() {
				if err := os.Symlink(whole, l.models); err != nil {
					l.t.Error(err)
				}
			}
		}},
		{"a credential that was not given", kiosk.StorageFault, func(l *lab) ([]string, func()) {
			return []string{"-config", l.file("c.toml", "[keys]\nstore = \"credential\"\n")}, func() {
				dir, _ := credential(l.t)
				l.t.Setenv("CREDENTIALS_DIRECTORY", dir)
			}
		}},
		{"a folder without frames", kiosk.CameraFault, func(l *lab) ([]string, func()) {
			dir := filepath.Join(l.t.TempDir(), "frames")
			return []string{"-camera", "frames:" + dir}, func() {
				l.frames(dir)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			more, mend := tt.spoil(l)
			d := l.start(more...)
			d.await("the fault", faulty(tt.fault))
			_, err := d.client.Launch(t.Context(), kiosk.Launch{CorrelationID: "c-1", UserID: "u-1", Locale: kiosk.English, Theme: kiosk.Light})
			if _, refused := errors.AsType[*api.RefusalError](err); !refused {
				t.Errorf("a launch while out of service: %v", err)
			}
			mend()
			d.await("service", healthy)
			if code := d.stop(); code != exitOK {
				t.Errorf("exit code %d\n%s", code, d.log.String())
			}
		})
	}
}

func TestASecondDaemonOnTheSameSocketSaysSo(t *testing.T) {
	first := newLab(t)
	d := first.start()
	d.await("service", healthy)
	second := newLab(t)
	second.socket = first.socket
	var log bytes.Buffer
	if code := run(t.Context(), second.args(), &log); code != exitFault || !strings.Contains(log.String(), first.socket) {
		t.Errorf("exit code %d\n%s", code, log.String())
	}
	if code := run(t.Context(), second.args("-check-config"), &log); code != exitOK { // it let go of its own outbox
		t.Errorf("exit code %d\n%s", code, log.String())
	}
	d.await("service still", healthy)
}

// TestAnOutboxThatStopsWorkingIsOpenedAnew cuts the file short under the
// running daemon: the next launch meets it, the kiosk is out of service, keeps
// the damaged file aside and serves again.
func TestAnOutboxThatStopsWorkingIsOpenedAnew(t *testing.T) {
	l := newLab(t)
	d := l.start()
	d.await("service", healthy)
	if err := os.Truncate(filepath.Join(l.state, "outbox.db"), 4096); err != nil {
		t.Fatal(err)
	}
	launch := func(id string) error {
		_, err := d.client.Launch(t.Context(), kiosk.Launch{CorrelationID: id, UserID: "u-1", Locale: kiosk.English, Theme: kiosk.Light})
		return err
	}
	if err := launch("c-1"); err == nil {
		t.Fatal("a session was launched on a broken outbox")
	}
	d.await("service again", func(s api.Status) bool { return healthy(s) && strings.Contains(d.log.String(), "in service again") })
	if err := launch("c-2"); err != nil {
		t.Errorf("a launch after that: %v", err)
	}
	kept, err := filepath.Glob(filepath.Join(l.state, "outbox.db.bad-*"))
	if err != nil || len(kept) != 1 {
		t.Errorf("kept aside: %v, %v", kept, err)
	}
	if code := d.stop(); code != exitOK || !strings.Contains(d.log.String(), "outbox stopped working") {
		t.Errorf("exit code %d\n%s", code, d.log.String())
	}
}

// frames puts a recording of two frames into dir.
func (l *lab) frames(dir string) {
	l.t.Helper()
	img, err := os.ReadFile(filepath.Join("..", "..", "camera", "replay", "portraits", "grace_hopper.jpg"))
	if err != nil {
		l.t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		l.t.Fatal(err)
	}
	for _, name := range []string{"0001.jpg", "0002.jpg"} {
		if err := os.WriteFile(filepath.Join(dir, name), img, 0o600); err != nil {
			l.t.Fatal(err)
		}
	}
}

// TestOperatorsSeeWhyNothingIsDelivered has a record waiting behind a captive
// portal, and then before a gateway two days ahead that has troubles of its own.
func TestOperatorsSeeWhyNothingIsDelivered(t *testing.T) {
	var portal atomic.Bool
	portal.Store(true)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if portal.Load() {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<title>Sign in</title>")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Date", time.Now().Add(48*time.Hour).UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"success":false,"errors":[{"code":903,"cause":"SERVICE_UNAVAILABLE"}]}`)
	}))
	t.Cleanup(server.Close)
	l := newLab(t)
	q := l.hold()
	record := queuetest.Submission(1, 30<<10)
	if err := q.Put(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	l.release(q)
	d := l.start("-gateway", server.URL, "-partner", server.URL)
	behind := func(trouble kiosk.Trouble) func(api.Status) bool {
		return func(s api.Status) bool {
			return slices.ContainsFunc(s.Network, func(n api.ServiceStatus) bool {
				return n.State == api.ReachOut && n.Trouble == trouble && n.Failures > 0
			})
		}
	}
	d.await("the portal to be noticed", behind(kiosk.TroublePortal))
	if got := d.metrics(); !strings.Contains(got, `trouble="portal"} 1`) || strings.Contains(got, "kiosk_clock_skew_seconds ") {
		t.Errorf("behind a portal the metrics say\n%s", got)
	}
	portal.Store(false)
	s := d.await("the gateway's own word", behind(kiosk.TroubleUnavailable))
	if c := s.Clock; !c.Known || c.Trusted || c.SkewSeconds > -47*3600 || c.SkewSeconds < -49*3600 {
		t.Errorf("clock %+v, want two days behind and not trusted", c)
	}
	if got := d.metrics(); !strings.Contains(got, "kiosk_clock_skew_seconds -172") {
		t.Errorf("the metrics do not tell the skew:\n%s", got)
	}
	if !healthy(s) {
		t.Errorf("the network put the kiosk out of service: %+v", s)
	}
	d.says("clock is wrong")
	entries, err := d.client.Queue(t.Context())
	if err != nil || len(entries) != 1 || entries[0].Record != record.Record || entries[0].State == "done" || entries[0].State == "dead" {
		t.Errorf("the record is %+v, %v; it must still wait", entries, err)
	}
}

// metrics scrapes the daemon over its socket.
func (d *daemonUnderTest) metrics() string {
	d.t.Helper()
	c := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", d.socket)
	}}}
	defer c.CloseIdleConnections()
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, "http://kiosk/metrics", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		d.t.Fatalf("GET /metrics: %s, %v", resp.Status, err)
	}
	return string(b)
}

// TestAWholeSessionOnRealParts runs one visitor through the composed clip, the
// real models, a real outbox, real HTTP and the real screens. The clip is
// composed before, the screens are small and the visitor has time: on two busy
// cores under the race detector no face would be seen often enough otherwise.
func TestAWholeSessionOnRealParts(t *testing.T) {
	world := partnertest.New(t, gatewaysim.Options{})
	l := newLab(t)
	screens := t.TempDir()
	d := l.start("-gateway", world.URL, "-partner", world.PartnerURL, "-script", "agree,ready", "-screens", screens,
		"-camera", "frames:"+newVisit(t).dir, "-size", "360x640", "-config", l.file("c.toml", "[flow]\nattempt_in = \"5m\"\n"))
	d.await("service", healthy)
	id, err := d.client.Launch(t.Context(), kiosk.Launch{CorrelationID: "corr-e2e", UserID: "user-e2e", Locale: kiosk.Indonesian, Theme: kiosk.Dark})
	if err != nil {
		t.Fatal(err)
	}
	var kinds []kiosk.EventKind
	if err := d.client.Session(t.Context(), id, func(e kiosk.Event) error {
		kinds = append(kinds, e.Kind)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []kiosk.EventKind{
		kiosk.EventCaptured, kiosk.EventSaved, kiosk.EventToken, kiosk.EventURLs, kiosk.EventUploaded,
		kiosk.EventConfirmed, kiosk.EventStatus, kiosk.EventOutcome, kiosk.EventResult,
	} {
		if !slices.Contains(kinds, want) {
			t.Errorf("no event %q among %v", want, kinds)
		}
	}
	r, err := d.client.Result(t.Context(), id)
	if err != nil || r.Status != kiosk.Completed {
		t.Errorf("result %+v, %v\n%s", r, err, d.log.String())
	}
	var refused *api.RefusalError
	d.await("the next visitor", func(s api.Status) bool { return !s.SessionRunning })
	_, err = d.client.Launch(t.Context(), kiosk.Launch{CorrelationID: "corr-e2e", UserID: "user-e2e", Locale: kiosk.Indonesian, Theme: kiosk.Dark})
	if !errors.As(err, &refused) || refused.Field != "correlationId" {
		t.Errorf("the same correlation id again: %v", err)
	}
	if code := d.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	pictures, err := filepath.Glob(filepath.Join(screens, "*.png"))
	if err != nil || len(pictures) < 6 {
		t.Errorf("%d screens drawn, %v", len(pictures), err)
	}
	for _, secret := range []string{"user-e2e", "x-onekyc-token"} {
		if strings.Contains(d.log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}
