package main

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
)

// TestAnOpenedCaseIsNotForgotten starts a kiosk whose case was opened before,
// twice, and clears that over the socket.
func TestAnOpenedCaseIsNotForgotten(t *testing.T) {
	l := newLab(t)
	if err := os.MkdirAll(l.state, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(l.state, "tamper.json")
	if err := os.WriteFile(path, []byte(`{"latched":true,"opened":"2026-05-04T03:00:00Z"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		d := l.start()
		st := d.await("the fault", faulty(kiosk.TamperFault))
		if !st.Tamper.Latched || st.Tamper.Opened.IsZero() {
			t.Errorf("the status tells %+v", st.Tamper)
		}
		if code := d.stop(); code != exitOK {
			t.Fatalf("exit code %d\n%s", code, d.log.String())
		}
	}
	d := l.start()
	d.await("the fault", faulty(kiosk.TamperFault))
	if err := d.client.ClearTamper(t.Context()); err != nil {
		t.Fatal(err)
	}
	st := d.await("service", healthy)
	if st.Tamper.Latched || !strings.HasPrefix(st.Tamper.By, "uid ") {
		t.Errorf("the status tells %+v", st.Tamper)
	}
	if !strings.Contains(d.log.String(), `"action":"clear_tamper","by":"uid `) {
		t.Errorf("the log does not say who cleared it:\n%s", d.log.String())
	}
	d.stop()
	if d = l.start(); !healthy(d.await("service", healthy)) {
		t.Error("it is not forgotten")
	}
}

// TestAKioskServesWithoutItsPanel names lines that no machine has.
func TestAKioskServesWithoutItsPanel(t *testing.T) {
	l := newLab(t)
	d := l.start("-config", l.file("c.toml", `
[panel]
hold_off = "5s"
[panel.ring]
line = "no-such-ring"
active_low = true
[panel.tamper]
line = "no-such-switch"
bias = "pull-up"
debounce = "50ms"
`))
	st := d.await("service", healthy)
	if !slices.Equal(st.Panel, []kiosk.Line{
		{Role: kiosk.RingLine, Name: "no-such-ring", Direction: kiosk.LineOut, State: kiosk.LineMissing},
		{Role: kiosk.TamperLine, Name: "no-such-switch", Direction: kiosk.LineIn, State: kiosk.LineMissing},
	}) {
		t.Errorf("the status tells of %+v", st.Panel)
	}
	for role, want := range map[kiosk.Role]int{kiosk.RingLine: http.StatusConflict, kiosk.DoorLine: http.StatusNotFound} {
		err := d.client.Force(t.Context(), role, true, time.Second)
		if r, is := errors.AsType[*api.RefusalError](err); !is || r.HTTP != want {
			t.Errorf("Force(%s) = %v, want HTTP %d", role, err, want)
		}
	}
	if n := strings.Count(d.log.String(), "panel goes without a line"); n != 2 {
		t.Errorf("said %d times:\n%s", n, d.log.String())
	}
}
