package main

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"livekiosk/kiosk/api"
)

// health asks until a check finds what is wanted, and returns the report.
func (d *daemonUnderTest) health(name string, want api.Finding, text string) api.Health {
	d.t.Helper()
	var h api.Health
	d.await(name+" to be "+string(want), func(api.Status) bool {
		var err error
		h, err = d.client.Health(d.t.Context(), false)
		return err == nil && slices.ContainsFunc(h.Checks, func(c api.Check) bool {
			return c.Name == name && c.Finding == want && strings.Contains(c.Text, text)
		})
	})
	return h
}

// TestHealth starts daemons with something missing: what another version would
// not mend is tolerated.
func TestHealth(t *testing.T) {
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	for _, tt := range []struct {
		name  string
		spoil func(*lab) []string
		check string
		want  api.Finding
		text  string
	}{
		{"nothing is wrong", func(*lab) []string { return nil }, "service", api.FindingOK, "idle"},
		{"no models", func(l *lab) []string { l.models = l.t.TempDir(); return nil }, "models", api.FindingBad, "missing"},
		{"a folder without frames", func(l *lab) []string { return []string{"-camera", "frames:" + filepath.Join(l.t.TempDir(), "f")} }, "camera", api.FindingBad, "out of service"},
		{"an outbox in use", func(l *lab) []string { l.hold(); return nil }, "outbox", api.FindingBad, "held"},
		{"a line that is not there", func(l *lab) []string {
			return []string{"-config", l.file("c.toml", "[panel.help]\nline = \"NOWHERE\"\n")}
		}, "panel", api.FindingBad, "help (missing)"},
		{"a gateway that is away", func(l *lab) []string { l.stock(1); return nil }, "gateway", api.FindingTolerated, "out ("},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			d := l.start(append(tt.spoil(l), "-gateway", away.URL, "-partner", away.URL)...)
			d.health(tt.check, tt.want, tt.text)
			others := []string{"camera", "screen", "models", "outbox", "panel", "watchdog"}
			for _, name := range others {
				if name != tt.check {
					d.health(name, api.FindingOK, "")
				}
			}
			h, err := d.client.Health(t.Context(), false)
			if err != nil || h.Healthy != (tt.want != api.FindingBad) {
				t.Errorf("healthy is %v, %v: %+v", h.Healthy, err, h.Checks)
			}
			if tt.want != api.FindingOK {
				return
			}
			d.await("the camera to be probed", func(api.Status) bool { // while its trial frame is taken at the start it cannot be
				h, err = d.client.Health(t.Context(), true)
				if err == nil && h.Checks[0].Finding == api.FindingOK && !strings.Contains(h.Checks[0].Text, "frames/s") {
					t.Errorf("well without a probe: %+v", h.Checks)
				}
				return err == nil && strings.Contains(h.Checks[0].Text, "frames/s")
			})
			if _, err := d.client.Drain(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			d.health("service", api.FindingTolerated, "draining")
		})
	}
}

func TestTheRateOfACamera(t *testing.T) {
	for _, tt := range []struct {
		rate, own float64
		want      api.Finding
	}{
		{30, 30, api.FindingOK},
		{27, 30, api.FindingOK},
		{26.9, 30, api.FindingTolerated}, // a dark room
		{13.5, 30, api.FindingTolerated},
		{13.4, 30, api.FindingBad},
		{14, 15, api.FindingOK},
		{14, 0, api.FindingOK}, // a clip tells no rate
		{0, 0, api.FindingBad},
	} {
		if got := rateHealth(tt.rate, tt.own); got.Finding != tt.want {
			t.Errorf("%.1f of %.1f frames/s: %+v, want %s", tt.rate, tt.own, got, tt.want)
		}
	}
}

func TestASlowCommitIsUnhealthy(t *testing.T) {
	for _, tt := range []struct {
		took time.Duration
		want api.Finding
	}{{0, api.FindingBad}, {time.Second, api.FindingOK}, {time.Second + 1, api.FindingBad}} {
		if got := commitHealth(tt.took); got.Finding != tt.want {
			t.Errorf("a commit of %v: %+v, want %s", tt.took, got, tt.want)
		}
	}
}
