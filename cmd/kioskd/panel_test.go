package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/kiosk/flow"
	"livekiosk/kiosk/station"
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
	d.says(`"action":"clear_tamper","by":"uid `)
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
	for _, line := range []string{"no-such-ring", "no-such-switch"} {
		if n := strings.Count(d.says(`"line":"`+line), `"line":"`+line); n != 1 {
			t.Errorf("said %d times:\n%s", n, d.log.String())
		}
	}
}

// A counter is an outbox without room for anything, and counts.
type counter struct{ put int }

func (c *counter) Put(context.Context, *kiosk.Submission) error      { c.put++; return nil }
func (c *counter) Admit(context.Context) error                       { return nil }
func (c *counter) Used(context.Context, string) (used bool, _ error) { return false, nil }
func (c *counter) JPEG(*kiosk.Frame) (copied []byte, _ error) {
	return make([]byte, kiosk.EvidenceMin), nil
}

// TestWhatThePanelDoesToASession presses the buttons and opens the case of a
// daemon that is only a station.
func TestWhatThePanelDoesToASession(t *testing.T) {
	for _, tt := range []struct {
		name  string
		does  func(*daemon, context.Context)
		want  kiosk.Result
		phase flow.Phase
	}{
		{
			"the help button is the help control", func(d *daemon, ctx context.Context) { d.pressed(ctx, kiosk.HelpLine) },
			kiosk.Result{Status: kiosk.NotCompleted, Error: kiosk.HelpClickedError, Detail: kiosk.HelpTapped},
			flow.Idle,
		},
		{"the staff button asks for their PIN where nobody is served", func(d *daemon, ctx context.Context) { d.pressed(ctx, kiosk.StaffLine) }, kiosk.Result{Status: kiosk.Running}, flow.PIN},
		{"an open case voids the session", (*daemon).tampered, kiosk.Result{Status: kiosk.Errored, Error: kiosk.SecurityError, Detail: kiosk.Tampered}, flow.OutOfService},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				outbox := &counter{}
				st, err := station.New(station.Options{
					Policy: flow.Standard(), Outbox: outbox, Evidence: outbox, Now: func() time.Duration { return time.Second + time.Since(began) },
					Watch: func(bool) {}, Show: func(kiosk.View) {}, Emit: func(kiosk.Event) {}, Consent: func(kiosk.Locale) string { return "" },
					Gateway: "https://gateway.example", UserType: "T", Log: slog.New(slog.DiscardHandler),
				})
				if err != nil {
					t.Fatal(err)
				}
				d := &daemon{station: st, log: slog.New(slog.DiscardHandler)}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- st.Run(ctx) }()
				id, err := st.Launch(ctx, kiosk.Launch{CorrelationID: "c", UserID: "u", Locale: kiosk.English, Theme: kiosk.Light})
				if err != nil {
					t.Fatal(err)
				}
				tt.does(d, ctx)
				synctest.Wait()
				tt.want.Session, tt.want.CorrelationID = id, "c"
				if got, _ := st.Result(id); got != tt.want {
					t.Errorf("result %+v, want %+v", got, tt.want)
				}
				<-time.After(10 * time.Minute) // whoever is there has left
				synctest.Wait()
				tt.does(d, ctx) // with no session it does nothing to one
				synctest.Wait()
				if s := st.State(); s.Phase != tt.phase || s.Session != "" || outbox.put > 0 {
					t.Errorf("afterwards %+v", s)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
