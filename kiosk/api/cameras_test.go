package api_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
)

func TestWhoUsesTheCameraIsLogged(t *testing.T) {
	for _, tt := range []struct {
		name, route, body string
		running           bool
		want              string // "": no line
	}{
		{"a probe", "/v1/cameras/probe", "", false, `"msg":"staff used the camera","action":"probe","by":"unknown","done":true`},
		{"a picture", "/v1/cameras/picture", `{"consent":true}`, false, `"action":"picture","by":"unknown","done":true`},
		{"a picture that a session does not allow", "/v1/cameras/picture", `{"consent":true}`, true, `"action":"picture","by":"unknown","done":false`},
		{"a picture without consent, of which there is none", "/v1/cameras/picture", `{}`, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			if tt.running {
				w.kiosk.results["s1"] = kiosk.Result{Status: kiosk.Running}
			}
			w.ask("POST", tt.route, tt.body)
			if log := w.logged.String(); tt.want == "" && strings.Contains(log, "staff used") || !strings.Contains(log, tt.want) {
				t.Errorf("logged %s, want %q", log, tt.want)
			}
		})
	}
}

func TestTheClientCommissions(t *testing.T) {
	w, path, _ := serve(t)
	c := api.NewClient(path)
	if got, err := c.Commissioned(t.Context()); err != nil || !got.InUse || len(got.Steps) != 1 || got.Steps[0].Figures["sharpness"] != 40 {
		t.Errorf("Commissioned() = %+v, %v", got, err)
	}
	var told []kiosk.Reading
	note := func(r kiosk.Reading) error { told = append(told, r); return nil }
	task := kiosk.Task{Step: kiosk.FocusStep, Height: 150, Within: time.Minute}
	if r, err := c.Commission(t.Context(), task, note); err != nil || !r.Passed || len(told) != 1 || told[0].Ended {
		t.Errorf("Commission() = %+v, %v, told %+v", r, err, told)
	}
	if _, err := c.Commission(t.Context(), task, func(kiosk.Reading) error { return errLater }); !errors.Is(err, errLater) {
		t.Errorf("Commission() = %v, want the caller's own", err)
	}
	task.Step = kiosk.LensStep // breaks off
	if _, err := c.Commission(t.Context(), task, note); !refusedWith(err, 503) || !strings.Contains(err.Error(), "visitor has left") {
		t.Errorf("Commission() = %v", err)
	}
	w.kiosk.set(func() { w.kiosk.broken = errLater })
	if _, err := c.Commission(t.Context(), task, note); !refusedWith(err, 503) || !strings.Contains(err.Error(), "later") {
		t.Errorf("Commission() = %v", err)
	}
}

func TestTheClientUsesTheCamera(t *testing.T) {
	w, path, _ := serve(t)
	c := api.NewClient(path)
	w.kiosk.set(func() { w.kiosk.cameras = []api.Camera{{Path: "/dev/video0", Modes: []string{"a"}}} })
	if all, err := c.Cameras(t.Context()); err != nil || len(all) != 1 || all[0].Path != "/dev/video0" {
		t.Errorf("Cameras() = %+v, %v", all, err)
	}
	if f, err := c.Probe(t.Context()); err != nil || f.Frames != 88 || f.Corrupt != 1 {
		t.Errorf("Probe() = %+v, %v", f, err)
	}
	if b, err := c.Picture(t.Context()); err != nil || string(b) != "a picture" {
		t.Errorf("Picture() = %q, %v", b, err)
	}
	w.kiosk.set(func() { w.kiosk.broken = errLater })
	if _, err := c.Picture(t.Context()); !refusedWith(err, 503) || !strings.Contains(err.Error(), "later") {
		t.Errorf("Picture() = %v", err)
	}
	if _, err := c.Probe(t.Context()); !refusedWith(err, 503) {
		t.Errorf("Probe() = %v", err)
	}
}
