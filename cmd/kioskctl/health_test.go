package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"livekiosk/kiosk/api"
)

// A ward is how a fakeKiosk is: unwell for some looks.
type ward struct {
	mu sync.Mutex

	illness
}

type illness struct {
	looks  int  // until it is well; -1: never
	camera bool // only a probe finds it
	probes int
}

func (w *ward) Health(_ context.Context, probe bool) api.Health {
	w.mu.Lock()
	defer w.mu.Unlock()
	camera := api.Check{Name: "camera", Finding: api.FindingOK, Text: "at rest"}
	if probe {
		w.probes++
		camera.Text = "30.0 frames/s"
	}
	if w.looks != 0 && (probe || !w.camera) {
		camera = api.Check{Name: "camera", Finding: api.FindingBad, Text: "out of service"}
		w.looks--
	}
	return api.Report(camera, api.Check{Name: "gateway", Finding: api.FindingTolerated, Text: "out"})
}

func TestHealth(t *testing.T) {
	dir := t.TempDir()
	const (
		rest  = "camera   ok         at rest\ngateway  tolerated  out\nhealthy\n"
		well  = "camera   ok         30.0 frames/s\ngateway  tolerated  out\nhealthy\n"
		sick  = "camera   bad        out of service\ngateway  tolerated  out\nnot healthy\n"
		short = " --timeout 300ms"
	)
	for i, tt := range []struct {
		name   string
		is     illness
		args   string
		code   int
		out    string
		err    string
		probes int
	}{
		{name: "a kiosk without a network", args: "health", out: rest},
		{name: "a kiosk without a camera", is: illness{looks: -1}, args: "health", code: 1, out: sick},
		{
			name: "for machines", args: "health --json", out: `{"healthy":true,"checks":[{"name":"camera","finding":"ok","text":"at rest"},{"name":"gateway","finding":"tolerated","text":"out"}]}` + "\n",
		},
		{name: "a gate probes the camera", args: "health --gate", out: well, probes: 1},
		{name: "a gate waits", is: illness{looks: 2}, args: "health --gate", out: well, probes: 1},
		{name: "a gate waits for the camera, too", is: illness{looks: 1, camera: true}, args: "health --gate", out: well, probes: 2},
		{name: "a gate that stays shut", is: illness{looks: -1, camera: true}, args: "health --gate" + short, code: 1, out: sick, probes: 1},
		{name: "no time", args: "health --timeout 0s", code: 64, err: "kioskctl: health: --timeout must be more than zero\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, path := &fakeKiosk{ward: ward{illness: tt.is}}, filepath.Join(dir, strconv.Itoa(i))
			stop := serve(t, k, path)
			code, out, errs := kioskctl(t.Context(), nil, "", append([]string{"--socket", path}, strings.Fields(tt.args)...)...)
			stop()
			if code != tt.code || out != tt.out || errs != tt.err {
				t.Errorf("exit %d\n%s%s\nwant exit %d\n%s%s", code, out, errs, tt.code, tt.out, tt.err)
			}
			if k.ward.probes != tt.probes {
				t.Errorf("the camera was probed %d times, want %d", k.ward.probes, tt.probes)
			}
		})
	}
	for _, args := range []string{"health", "health --gate" + short} {
		if code, _, errs := kioskctl(t.Context(), nil, "", append([]string{"--socket", filepath.Join(dir, "none")}, strings.Fields(args)...)...); code != 69 {
			t.Errorf("%s: exit %d, %s; want 69 where no daemon answers", args, code, errs)
		}
	}
}

// TestTheGatesUnitRunsThisCommand runs what the unit runs, against a kiosk that
// is well and one that is not, and holds that it ends by itself.
func TestTheGatesUnitRunsThisCommand(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "systemd", "units", "kioskd-health.service"))
	if err != nil {
		t.Fatal(err)
	}
	find := func(pattern string) string {
		t.Helper()
		m := regexp.MustCompile(pattern).FindSubmatch(b)
		if m == nil {
			t.Fatalf("the unit has no line %s", pattern)
		}
		return string(m[1])
	}
	command, limit := find(`(?m)^ExecStart=/usr/bin/kioskctl (.*)$`), find(`(?m)^TimeoutStartSec=(\d+)$`)
	patience, err := time.ParseDuration(find(`(?m)^ExecStart=.* --timeout (\S+)$`))
	if err != nil {
		t.Fatal(err)
	}
	if killed, err := time.ParseDuration(limit + "s"); err != nil || killed < patience+10*time.Second {
		t.Errorf("killed after %v, %v; it waits for %v", killed, err, patience)
	}
	if !strings.Contains(command, "--socket "+api.SystemSocket+" ") {
		t.Errorf("it asks at another place than %s: %s", api.SystemSocket, command)
	}
	dir := t.TempDir()
	for name, tt := range map[string]struct {
		looks, code int
	}{"well": {0, 0}, "unwell": {-1, 1}} {
		path := filepath.Join(dir, name)
		serve(t, &fakeKiosk{ward: ward{illness: illness{looks: tt.looks}}}, path)
		args := strings.Fields(strings.NewReplacer(api.SystemSocket, path, "--timeout 2m", "--timeout 300ms").Replace(command))
		if code, out, errs := kioskctl(t.Context(), nil, "", args...); code != tt.code {
			t.Errorf("%s: exit %d, want %d\n%s%s", name, code, tt.code, out, errs)
		}
	}
}
