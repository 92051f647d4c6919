package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"livekiosk/camera"
	"livekiosk/camera/exposure"
	"livekiosk/camera/v4l2"
	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/queue/deliver"
)

// A fakeSource holds what the metrics are read from.
type fakeSource struct {
	stats    deliver.Stats
	idle     bool // there is no deliverer
	entries  []kiosk.Entry
	bookings []kiosk.Booking
	erased   []kiosk.Erasure // newest first
	moved    string          // the outbox that was quarantined
	orphans  int
	volume   *api.VolumeStatus
	unread   error // of the outbox
	skew     *time.Duration
	cam      camera.Stats
	device   v4l2.Stats
	faults   []kiosk.Fault
	lines    []kiosk.Line
	latched  bool // the case was opened
}

func (f *fakeSource) Lines() []kiosk.Line  { return f.lines }
func (f *fakeSource) Missed() uint64       { return 6 }
func (f *fakeSource) Tamper() kiosk.Tamper { return kiosk.Tamper{Latched: f.latched} }

func (f *fakeSource) metrics() *metrics {
	return newMetrics(metricsSource{
		Version:  "1.2.3",
		Delivery: func() (deliver.Stats, bool) { return f.stats, !f.idle },
		Entries:  func(context.Context) ([]kiosk.Entry, error) { return f.entries, f.unread },
		Bookings: func(context.Context) ([]kiosk.Booking, error) { return f.bookings, f.unread },
		Erasures: func(context.Context) ([]kiosk.Erasure, error) { return f.erased, f.unread },
		Alarms:   func() (string, int) { return f.moved, f.orphans },
		Volume:   func() *api.VolumeStatus { return f.volume },
		Skew: func() (time.Duration, bool) {
			if f.skew == nil {
				return 0, false
			}
			return *f.skew, true
		},
		Models: func() api.ModelsStatus {
			return api.ModelsStatus{Version: "2.1", Trial: true, Sessions: 40, Rejected: 3, Rollbacks: 1, Bundles: []api.BundleStatus{{Refused: true}}}
		},
		Exposure: func() exposure.Status { return exposure.Status{Mode: exposure.Face, Stops: -0.5, Corrections: 3} },
		Camera:   func() (camera.Stats, v4l2.Stats, uint64) { return f.cam, f.device, 7 },
		Faults:   func() []kiosk.Fault { return f.faults },
		Panel:    f,
		Log:      slog.New(slog.DiscardHandler),
	})
}

// scraped returns the lines of a scrape that hold values.
func scraped(t *testing.T, m *metrics) []string {
	t.Helper()
	rec := httptest.NewRecorder()
	m.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	body := rec.Body.String()
	if rec.Code != 200 {
		t.Fatalf("scrape = %d %s", rec.Code, body)
	}
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	var lines []string
	for line := range strings.Lines(body) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

func TestMetricsMove(t *testing.T) {
	f := &fakeSource{idle: true, unread: errors.New("not open"), moved: "outbox.db.bad-1"}
	m := f.metrics()
	before := scraped(t, m)
	for _, want := range []string{`kiosk_outbox_readable 0`, `kiosk_outbox_quarantined 1`, `kiosk_outbox_orphan_records 0`, `kiosk_fault{fault="camera"} 0`, `kiosk_camera_frames_total 0`, `kiosk_panel_tampered 0`} {
		if !slices.Contains(before, want) {
			t.Errorf("no %s at first", want)
		}
	}
	for _, line := range before {
		for _, absent := range []string{"kiosk_delivery_", "kiosk_outbox_records", "kiosk_clock_skew", "kiosk_bookings", "kiosk_sessions", "kiosk_panel_line"} {
			if strings.HasPrefix(line, absent) {
				t.Errorf("%s, though nobody knows", line)
			}
		}
	}

	skew, now := -90*time.Second, time.Now()
	*f = fakeSource{
		stats: deliver.Stats{
			Pending: 3, Settled: 4, NeedsRecapture: 1, Dead: 2, Deferred: 9, LocalFaults: 5, UploadedBytes: 600_000, Tokens: 8, Booked: 2,
			Services: map[kiosk.Service]deliver.ServiceStats{
				kiosk.GatewayService: {Out: true, Trouble: kiosk.TroubleDNS, Since: now.Add(-time.Hour), Failures: 14, Openings: 2},
			},
		},
		entries: []kiosk.Entry{
			{Session: "SECRET", State: "queued", Bytes: 300, Queued: now.Add(-2 * time.Hour)},
			{Session: "SECRET", State: "queued", Bytes: 200, Review: true, Queued: now},
			{Session: "SECRET", State: "dead", Reason: "SECRET", Bytes: 100, Queued: now.Add(-9 * time.Hour)},
		},
		bookings: []kiosk.Booking{{CorrelationID: "SECRET", Token: kiosk.UserToken{Expires: now}}, {UserID: "SECRET"}},
		orphans:  3,
		volume:   &api.VolumeStatus{State: "formatted", Losses: 2},
		skew:     &skew, cam: camera.Stats{Frames: 100, Skipped: 22, Unwanted: 2, Reopened: 3, Resets: 1, Rate: 29.5},
		device: v4l2.Stats{Flawed: 8, Short: 6, Corrupt: 5, Stale: 4, Starved: 2}, faults: []kiosk.Fault{kiosk.CameraFault},
		latched: true, lines: []kiosk.Line{{Role: kiosk.RingLine, Name: "SECRET", State: kiosk.LineOwned}, {Role: kiosk.HelpLine, State: kiosk.LineHeld, Holder: "SECRET"}},
	}
	saved := &kiosk.Result{Session: "SECRET", Status: kiosk.NotCompleted, Detail: kiosk.Saved}
	done := &kiosk.Result{Session: "SECRET", Status: kiosk.Completed}
	for _, e := range []kiosk.Event{
		{Kind: kiosk.EventLaunched, Session: "SECRET"},
		{Kind: kiosk.EventResult, Session: "SECRET-BEFORE-THE-RESTART", Text: "COMPLETED", Result: done},
		{Kind: kiosk.EventResult, Session: "SECRET", Text: "NOT_COMPLETED", Result: saved},
		{Kind: kiosk.EventResult, Session: "SECRET", Text: "COMPLETED", Result: done},
	} {
		m.observe(e)
	}
	after := scraped(t, m)
	for _, want := range []string{
		`kiosk_delivery_pending_records 3`, `kiosk_delivery_settled_total 4`, `kiosk_delivery_needs_recapture_total 1`, `kiosk_delivery_dead_total 2`,
		`kiosk_delivery_deferred_total 9`, `kiosk_delivery_local_faults_total 5`, `kiosk_delivery_uploaded_bytes_total 600000`,
		`kiosk_delivery_tokens_total{for="record"} 6`, `kiosk_delivery_tokens_total{for="booking"} 2`,
		`kiosk_service_out{service="gateway"} 1`, `kiosk_service_out{service="store"} 0`, `kiosk_service_failures{service="gateway"} 14`,
		`kiosk_service_outages_total{service="gateway"} 2`, `kiosk_service_trouble{service="gateway",trouble="dns"} 1`,
		`kiosk_service_trouble{service="gateway",trouble="timeout"} 0`, `kiosk_service_outage_age_seconds{service="partner"} 0`,
		`kiosk_outbox_readable 1`, `kiosk_outbox_quarantined 0`, `kiosk_outbox_orphan_records 3`, `kiosk_volume_state{state="formatted"} 1`, `kiosk_volume_state{state="ready"} 0`, `kiosk_volume_losses 2`, `kiosk_outbox_records{state="queued"} 2`, `kiosk_outbox_size_bytes{state="queued"} 500`,
		`kiosk_outbox_records{state="dead"} 1`, `kiosk_outbox_records{state="confirmed"} 0`, `kiosk_outbox_review_records 1`,
		`kiosk_bookings{token="fetched"} 1`, `kiosk_bookings{token="missing"} 1`, `kiosk_clock_skew_seconds -90`,
		`kiosk_camera_exposure_stops -0.5`, `kiosk_camera_exposure_corrections_total 3`, `kiosk_camera_frames_total 100`, `kiosk_camera_dropped_frames_total{reason="driver"} 1`, `kiosk_camera_dropped_frames_total{reason="unwanted"} 2`,
		`kiosk_camera_dropped_frames_total{reason="overtaken"} 7`, `kiosk_camera_reopenings_total 3`, `kiosk_camera_resets_total 1`,
		`kiosk_camera_dropped_frames_total{reason="flawed"} 8`, `kiosk_camera_dropped_frames_total{reason="short"} 6`, `kiosk_camera_dropped_frames_total{reason="corrupt"} 5`,
		`kiosk_camera_dropped_frames_total{reason="stale"} 4`, `kiosk_camera_dropped_frames_total{reason="starved"} 2`, `kiosk_camera_frames_per_second 29.5`,
		`kiosk_fault{fault="camera"} 1`, `kiosk_fault{fault="storage"} 0`, `kiosk_fault{fault="tamper"} 0`,
		`kiosk_panel_line{role="ring"} 1`, `kiosk_panel_line{role="help"} 0`, `kiosk_panel_missed_changes_total 6`, `kiosk_panel_tampered 1`,
		`kiosk_events_total{kind="result"} 3`, `kiosk_sessions_total{code="2299",status="NOT_COMPLETED"} 1`, `kiosk_late_results_total{code="0",status="COMPLETED"} 2`,
	} {
		if !slices.Contains(after, want) {
			t.Errorf("no %s", want)
		}
	}
	for name, least := range map[string]string{"kiosk_service_outage_age_seconds{service=\"gateway\"} 36": "an hour", "kiosk_outbox_oldest_record_age_seconds 72": "two hours"} {
		if !slices.ContainsFunc(after, func(l string) bool { return strings.HasPrefix(l, name) }) {
			t.Errorf("no %s…: it is %s", name, least)
		}
	}
	all := strings.Join(after, "\n")
	if strings.Contains(all, "SECRET") {
		t.Errorf("a session, a person or a reason is told:\n%s", all)
	}
	for _, want := range []string{`kiosk_build_info{goversion="go1.`, "process_resident_memory_bytes ", "go_goroutines "} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestNetworkOfTheStatus(t *testing.T) {
	m := (&fakeSource{}).metrics()
	for _, k := range []kiosk.EventKind{kiosk.EventToken, kiosk.EventStatus, kiosk.EventUploaded} {
		before := m.network(deliver.Stats{})
		m.observe(kiosk.Event{Kind: k})
		if slices.Equal(m.network(deliver.Stats{}), before) {
			t.Errorf("after %s no service is known to answer", k)
		}
	}
	since := time.Unix(1, 0)
	got := m.network(deliver.Stats{Services: map[kiosk.Service]deliver.ServiceStats{
		kiosk.GatewayService: {Out: true, Trouble: kiosk.TroublePortal, Since: since, Failures: 3}, kiosk.StoreService: {},
	}})
	want := []api.ServiceStatus{
		{Service: kiosk.GatewayService, State: api.ReachOut, Trouble: kiosk.TroublePortal, Since: since, Failures: 3},
		{Service: kiosk.StoreService, State: api.ReachOK},
		{Service: kiosk.PartnerService, State: api.ReachOK},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestErasuresAreCountedOnce looks at a list that is longer at each look and
// loses its oldest lines.
func TestErasuresAreCountedOnce(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	line := func(slot int, why string) kiosk.Erasure {
		return kiosk.Erasure{Record: "SECRET", Why: why, Epoch: "e/" + strconv.Itoa(slot%3), Erased: at.Add(time.Duration(slot) * time.Second)}
	}
	f := &fakeSource{erased: []kiosk.Erasure{line(1, "settled"), line(0, "expired")}}
	m := f.metrics()
	for _, tt := range []struct {
		name             string
		more             []kiosk.Erasure // in front
		settled, dropped string
	}{
		{"those of an earlier run are none", nil, "0", "0"},
		{"two more", []kiosk.Erasure{line(3, "dropped"), line(2, "settled")}, "1", "1"},
		{"no more", nil, "1", "1"},
		{"one under a key that was used again", []kiosk.Erasure{line(6, "dropped")}, "1", "2"},
		{"more than are kept", []kiosk.Erasure{line(11, "settled"), line(10, "settled"), line(9, "settled"), line(8, "settled")}, "5", "2"},
	} {
		f.erased = slices.Concat(tt.more, f.erased)
		f.erased = f.erased[:min(len(f.erased), 4)]
		got := scraped(t, m)
		for why, want := range map[string]string{"settled": tt.settled, "dropped": tt.dropped, "expired": "0"} {
			if line := `kiosk_outbox_erased_total{why="` + why + `"} ` + want; !slices.Contains(got, line) {
				t.Errorf("%s: no %s", tt.name, line)
			}
		}
	}
}
