package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
)

// What a healthy kiosk keeps.
const (
	commitMost = time.Second // of the last probe of the outbox
	rateShare  = 0.9         // of the camera's own rate
	rateLeast  = 15 * rateShare
)

func ok(name, format string, a ...any) api.Check {
	return api.Check{Name: name, Finding: api.FindingOK, Text: fmt.Sprintf(format, a...)}
}

func tolerated(name, format string, a ...any) api.Check {
	return api.Check{Name: name, Finding: api.FindingTolerated, Text: fmt.Sprintf(format, a...)}
}

func bad(name, format string, a ...any) api.Check {
	return api.Check{Name: name, Finding: api.FindingBad, Text: fmt.Sprintf(format, a...)}
}

// Health implements api.Doctor.
func (d *daemon) Health(ctx context.Context, probe bool) api.Health {
	return api.Report(
		d.cameraHealth(ctx, probe), d.screenHealth(), d.modelHealth(), d.outboxHealth(ctx), d.panelHealth(), d.watchdogHealth(), d.serviceHealth(),
		d.clockHealth(), d.gatewayHealth(),
	)
}

// cameraHealth looks at what streams, or has the camera stream. At rest it is
// closed, so that without a probe only a fault tells.
func (d *daemon) cameraHealth(ctx context.Context, probe bool) api.Check {
	const name = "camera"
	if d.station.State().Camera {
		return bad(name, "out of service: see kioskctl camera")
	}
	if probe {
		f, err := d.eyes.Probe(ctx)
		if err == nil {
			return rateHealth(f.FramesPerSecond, d.source.status().Mode.Rate)
		}
		if !errors.Is(err, kiosk.ErrOccupied) {
			return bad(name, "%v", err)
		}
	}
	if rate := d.camera.Stats().Rate; rate > 0 {
		return rateHealth(rate, d.source.status().Mode.Rate)
	}
	if probe {
		return bad(name, "not probed: the kiosk was about to use it itself")
	}
	return ok(name, "at rest, as it is between sessions")
}

// rateHealth judges a rate against the one that the camera told, 0 if it told
// none. A camera in a dark room takes its time for each frame, which no other
// version would change: only a rate that no visitor could be guided at is bad.
func rateHealth(rate, own float64) api.Check {
	const name = "camera"
	switch {
	case rate < rateLeast:
		return bad(name, "%.1f frames/s: less than %.1f are of no use", rate, rateLeast)
	case rate < rateShare*own:
		return tolerated(name, "%.1f frames/s of %.0f: is it dark?", rate, own)
	}
	return ok(name, "%.1f frames/s", rate)
}

func (d *daemon) screenHealth() api.Check {
	if !d.views.began() {
		return bad("screen", "nothing was drawn yet")
	}
	if n := unused(d.amiss); n > 0 {
		return tolerated("screen", "drawn; of the languages, %d texts or files are not used: see the log", n)
	}
	return ok("screen", "drawn")
}

func (d *daemon) modelHealth() api.Check {
	switch {
	case d.station.State().Model:
		return bad("models", "missing, damaged, or not to be loaded: see the log")
	case !d.analysing.Load():
		return bad("models", "not loaded yet")
	}
	u := d.bundles.status()
	text := "verified and loaded: " + modelsText(u)
	if u.Problem != "" {
		return tolerated("models", "%s; %s", text, u.Problem)
	}
	for _, b := range u.Bundles {
		if b.Refused {
			return tolerated("models", "%s; %s: %s", text, b.File, b.Why)
		}
	}
	return ok("models", "%s", text)
}

// modelsText tells which models are in use, and why.
func modelsText(u api.ModelsStatus) string {
	if u.Version == "" {
		return "those of the image"
	}
	return fmt.Sprintf("bundle %s, %s", u.Version, u.Why)
}

// outboxHealth goes by the last probe, which is at most a minute old, unless
// the outbox has no room: no other version has more.
func (d *daemon) outboxHealth(ctx context.Context) api.Check {
	const name = "outbox"
	if d.outbox.full(ctx) {
		return tolerated(name, "full until captures are delivered, or the disk has room")
	}
	took, err := d.outbox.probed()
	switch {
	case err != nil:
		return bad(name, "%v", err)
	case d.station.State().Storage:
		return bad(name, "out of service: see the log")
	}
	return commitHealth(took)
}

// commitHealth judges how long the last probe took; 0: there was none.
func commitHealth(took time.Duration) api.Check {
	const name = "outbox"
	switch {
	case took == 0:
		return bad(name, "not probed yet")
	case took > commitMost:
		return bad(name, "the last commit took %s", took.Round(time.Millisecond))
	}
	return ok(name, "the last commit took %s", took.Round(time.Millisecond))
}

func (d *daemon) panelHealth() api.Check {
	var away []string
	lines := d.panel.Lines()
	for _, l := range lines {
		if l.State != kiosk.LineOwned {
			away = append(away, fmt.Sprintf("%s (%s)", l.Role, l.State))
		}
	}
	switch {
	case len(away) > 0:
		return bad("panel", "not owned: %s", strings.Join(away, ", "))
	case len(lines) == 0:
		return ok("panel", "no lines are configured")
	}
	return ok("panel", "%d lines owned", len(lines))
}

func (d *daemon) watchdogHealth() api.Check {
	if late := d.dog.Late(); len(late) > 0 {
		return bad("watchdog", "late: %s", strings.Join(late, ", "))
	}
	return ok("watchdog", "every part takes its steps")
}

// serviceHealth tells of the faults that no other check tells of. Neither is a
// version's.
func (d *daemon) serviceHealth() api.Check {
	switch s := d.station.State(); {
	case s.Tamper:
		return tolerated("service", "the case was opened: see kioskctl panel")
	case s.Update:
		return tolerated("service", "draining: see kioskctl drain")
	}
	return ok("service", "%s", strings.ReplaceAll(string(d.station.State().Phase), "_", " "))
}

func (d *daemon) clockHealth() api.Check {
	switch c := d.clock.status(); {
	case !c.Trusted:
		return tolerated("clock", "not trusted: check the time service")
	case !c.Known:
		return ok("clock", "later than the build; the gateway has not told its time")
	default:
		return ok("clock", "agrees with the gateway's")
	}
}

func (d *daemon) gatewayHealth() api.Check {
	stats, _ := d.delivery()
	text := "not asked yet"
	for _, n := range d.metrics.network(stats) {
		switch n.State {
		case api.ReachOut:
			return tolerated("gateway", "%s out (%s): captures wait in the outbox", n.Service, n.Trouble)
		case api.ReachOK:
			text = "reached"
		case api.ReachUnknown:
		}
	}
	return ok("gateway", "%s", text)
}
