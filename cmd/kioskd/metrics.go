package main

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"livekiosk/camera"
	"livekiosk/camera/exposure"
	"livekiosk/camera/v4l2"
	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/queue/deliver"
	"livekiosk/systemd/volume"
)

// A metricsSource is what the metrics are read from at each scrape. Its
// functions are called from any goroutine and must not block for long.
type metricsSource struct {
	Version string

	// Delivery returns the deliverer's counts, and false while there is none,
	// since the outbox is not open.
	Delivery func() (deliver.Stats, bool)

	// Entries lists the outbox. Its error leaves the outbox's metrics out.
	Entries func(context.Context) ([]kiosk.Entry, error)

	// Bookings lists who is expected. Its error leaves their metrics out.
	Bookings func(context.Context) ([]kiosk.Booking, error)

	// Erasures lists what was erased, newest first. Its error leaves the count
	// as it was.
	Erasures func(context.Context) ([]kiosk.Erasure, error)

	// Alarms returns where a damaged outbox was moved aside, "" if none was, and
	// how many records are sealed for a device key that is not here.
	Alarms func() (quarantined string, orphans int)

	// Volume is what became of the data partition; nil where there is none.
	Volume func() *api.VolumeStatus

	// Skew returns how far the kiosk's clock is ahead of the gateway's, and
	// false until the gateway has told its time.
	Skew func() (time.Duration, bool)

	// Camera returns the camera's counts, those of the device if it is one, and
	// how many frames nobody took.
	Camera func() (c camera.Stats, d v4l2.Stats, skipped uint64)

	// Models returns which are in use.
	Models func() api.ModelsStatus

	// Exposure returns how it is corrected.
	Exposure func() exposure.Status

	// Faults returns those that stand.
	Faults func() []kiosk.Fault

	// Panel is the GPIO lines.
	Panel interface {
		Lines() []kiosk.Line
		Missed() uint64
		Tamper() kiosk.Tamper
	}

	// Unused is how many texts and files of languages are not used.
	Unused int

	Log *slog.Logger // of scrapes that fail
}

// metrics are the daemon's numbers for monitoring. Nothing in them is of one
// visitor, session or record, and every label has a closed set of values.
type metrics struct {
	src   metricsSource
	serve http.Handler

	events  *prometheus.CounterVec
	results *prometheus.CounterVec
	late    *prometheus.CounterVec

	mu       sync.Mutex
	session  kiosk.SessionID // the one that runs, or ran last
	ended    bool            // its result was told
	answered map[kiosk.Service]bool
	looked   bool           // at the erasures
	told     kiosk.Erasure  // the newest of them then
	erased   map[string]int // those that are newer than the first look, by why
}

// newMetrics returns the metrics of src in a registry of their own, with those
// of the process and of Go's runtime. Scrapes are answered by ServeHTTP.
func newMetrics(src metricsSource) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		src: src, answered: map[kiosk.Service]bool{}, erased: map[string]int{},
		events:  counter("kiosk_events_total", "Events of sessions and deliveries, by their kind.", "kind"),
		results: counter("kiosk_sessions_total", "Sessions that ended, by the result the partner was told first; code is the detailed code, 0 for none.", "status", "code"),
		late:    counter("kiosk_late_results_total", "Results told after their session, such as of captures that were saved and delivered later.", "status", "code"),
	}
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector(),
		m.events, m.results, m.late, m,
	)
	m.serve = promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(src.Log.Handler(), slog.LevelWarn)})
	return m
}

// ServeHTTP answers a scrape.
func (m *metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.serve.ServeHTTP(w, r) }

// observe counts an event. It never blocks for long.
func (m *metrics) observe(e kiosk.Event) {
	m.events.WithLabelValues(string(e.Kind)).Inc()
	m.mu.Lock()
	defer m.mu.Unlock()
	switch e.Kind {
	case kiosk.EventLaunched:
		m.session, m.ended = e.Session, false
	case kiosk.EventResult:
		of := m.results
		if e.Session != m.session || m.ended {
			of = m.late
		}
		m.ended = m.ended || e.Session == m.session
		code := kiosk.NoDetail
		if e.Result != nil {
			code = e.Result.Detail
		}
		of.WithLabelValues(e.Text, codeLabel(code)).Inc()
	case kiosk.EventToken:
		m.answered[kiosk.PartnerService] = true
	case kiosk.EventURLs, kiosk.EventConfirmed, kiosk.EventStatus:
		m.answered[kiosk.GatewayService] = true
	case kiosk.EventUploaded:
		m.answered[kiosk.StoreService] = true
	case kiosk.EventPhase, kiosk.EventHint, kiosk.EventCaptured, kiosk.EventAgain, kiosk.EventSaved, kiosk.EventDeferred,
		kiosk.EventSettled, kiosk.EventOutcome, kiosk.EventVoided, kiosk.EventFault, kiosk.EventPanel, kiosk.EventModels:
	}
}

// look counts the erasures that are new since the last look. Those that are
// there at the first one count for an earlier run.
func (m *metrics) look(ctx context.Context) {
	all, err := m.src.Erasures(ctx)
	if err != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range all {
		if !m.looked || e.Epoch == m.told.Epoch && e.Erased.Equal(m.told.Erased) {
			break
		}
		m.erased[e.Why]++
	}
	m.looked = true
	if len(all) > 0 {
		m.told = all[0]
	}
}

// erasures returns how many were counted of each kind.
func (m *metrics) erasures(ctx context.Context) map[string]int {
	m.look(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.erased)
}

// network returns how each service is reached, for the daemon's status.
func (m *metrics) network(s deliver.Stats) []api.ServiceStatus {
	var outages []kiosk.Outage
	for service, of := range s.Services {
		if of.Out {
			outages = append(outages, kiosk.Outage{Service: service, Trouble: of.Trouble, Failures: max(of.Failures, 1), Since: of.Since})
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return api.Network(outages, func(s kiosk.Service) bool { return m.answered[s] })
}

// Describe implements prometheus.Collector. It names nothing beforehand: what
// cannot be read is left out of a scrape.
func (m *metrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(to chan<- prometheus.Metric) {
	s := scrape{to}
	s.gauge("kiosk_build_info", "Always 1; the labels say what runs.", 1, "version", m.src.Version, "goversion", runtime.Version())
	m.collectDelivery(s)
	m.collectOutbox(s)
	if skew, known := m.src.Skew(); known {
		s.gauge("kiosk_clock_skew_seconds", "How far the kiosk's clock is ahead of the gateway's; left out until the gateway has told its time.", skew.Seconds())
	}
	cam, device, skipped := m.src.Camera()
	s.counter("kiosk_camera_frames_total", "Frames captured.", float64(cam.Frames))
	const dropped, why = "kiosk_camera_dropped_frames_total", "Frames nobody looked at: lost by the driver, flagged by it, short, corrupt, of an earlier stream, without memory for them, while none was wanted, or overtaken by a newer one."
	broken := device.Flawed + device.Short + device.Corrupt + device.Starved // missing among those of the camera, too
	s.counter(dropped, why, float64(cam.Skipped-min(cam.Skipped, broken)), "reason", "driver")
	for reason, n := range map[string]uint64{"flawed": device.Flawed, "short": device.Short, "corrupt": device.Corrupt, "stale": device.Stale, "starved": device.Starved} {
		s.counter(dropped, why, float64(n), "reason", reason)
	}
	s.counter(dropped, why, float64(cam.Unwanted), "reason", "unwanted")
	s.counter(dropped, why, float64(skipped), "reason", "overtaken")
	s.counter("kiosk_camera_reopenings_total", "Openings of the camera after a failure.", float64(cam.Reopened))
	s.counter("kiosk_camera_resets_total", "Resets of the camera that were asked for.", float64(cam.Resets))
	s.gauge("kiosk_camera_frames_per_second", "Frame rate of the running stream; 0 at rest.", cam.Rate)
	used := m.src.Models()
	s.gauge("kiosk_models_info", "Always 1; the label says which bundle of models judges the sessions, and is empty for those that came with the image.", 1, "version", used.Version)
	s.gauge("kiosk_models_trial", "1 while these are on trial.", flag01(used.Trial))
	s.gauge("kiosk_models_sessions", "Sessions judged by them that ended with a capture or with staff; halved above 2000.", float64(used.Sessions))
	s.gauge("kiosk_models_rejected_sessions", "Of them, those in which a bona fide person may have been turned away: not believed and then approved, flagged for review, or left to staff.", float64(used.Rejected))
	s.counter("kiosk_models_rollbacks_total", "Bundles of models that were given up, since more were turned away by them than before.", float64(used.Rollbacks))
	refused := 0
	for _, b := range used.Bundles {
		refused += int(flag01(b.Refused))
	}
	s.gauge("kiosk_models_refused_bundles", "Bundles that lie there and do not verify, or did not stand here.", float64(refused))
	light := m.src.Exposure()
	s.gauge("kiosk_camera_exposure_stops", "By how much the camera's automatic exposure is corrected: positive is brighter; 0 at rest, and where it is not.", light.Stops)
	s.counter("kiosk_camera_exposure_corrections_total", "Corrections of exposure by the luma of a face.", float64(light.Corrections))
	for _, l := range m.src.Panel.Lines() {
		s.gauge("kiosk_panel_line", "1 while the kiosk has the GPIO line that it was given for a role.", flag01(l.State == kiosk.LineOwned), "role", string(l.Role))
	}
	s.counter("kiosk_panel_missed_changes_total", "Changes of inputs that were lost because nobody read them in time.", float64(m.src.Panel.Missed()))
	s.gauge("kiosk_panel_tampered", "1 from when the case was opened until staff clear it.", flag01(m.src.Panel.Tamper().Latched))
	standing := map[kiosk.Fault]bool{}
	for _, f := range m.src.Faults() {
		standing[f] = true
	}
	for _, f := range kiosk.Faults() {
		s.gauge("kiosk_fault", "1 while the fault keeps the kiosk out of service.", flag01(standing[f]), "fault", string(f))
	}
	s.gauge("kiosk_language_problems", "Texts and files of languages that are not used, since they are wrong or missing.", float64(m.src.Unused))
}

func (m *metrics) collectDelivery(s scrape) {
	d, running := m.src.Delivery()
	if !running {
		return
	}
	s.gauge("kiosk_delivery_pending_records", "Records to deliver.", float64(d.Pending))
	s.counter("kiosk_delivery_settled_total", "Records ended by the gateway's word, those that need a recapture included.", float64(d.Settled))
	s.counter("kiosk_delivery_needs_recapture_total", "Records whose pictures the gateway turned down while attempts were left.", float64(d.NeedsRecapture))
	s.counter("kiosk_delivery_dead_total", "Records set aside for staff for another reason.", float64(d.Dead))
	s.counter("kiosk_delivery_deferred_total", "Tries that ended in a wait.", float64(d.Deferred))
	s.counter("kiosk_delivery_local_faults_total", "Steps of a delivery that the outbox failed.", float64(d.LocalFaults))
	s.counter("kiosk_delivery_uploaded_bytes_total", "Bytes of pictures that the object store took.", float64(d.UploadedBytes))
	const tokens, of = "kiosk_delivery_tokens_total", "User tokens that the partner backend gave: for a record, or ahead for a booking."
	s.counter(tokens, of, float64(d.Tokens-d.Booked), "for", "record")
	s.counter(tokens, of, float64(d.Booked), "for", "booking")
	for _, name := range []kiosk.Service{kiosk.GatewayService, kiosk.StoreService, kiosk.PartnerService} {
		one, service := d.Services[name], string(name)
		age := 0.0
		if one.Out && !one.Since.IsZero() {
			age = max(0, time.Since(one.Since).Seconds())
		}
		s.gauge("kiosk_service_out", "1 while the service cannot be reached.", flag01(one.Out), "service", service)
		s.gauge("kiosk_service_outage_age_seconds", "How long the service could not be reached by now, by the kiosk's clock; 0 while it can.", age, "service", service)
		s.gauge("kiosk_service_failures", "Failed tries in a row since the service was reached last.", float64(one.Failures), "service", service)
		s.counter("kiosk_service_outages_total", "Outages of the service that began.", float64(one.Openings), "service", service)
		for _, trouble := range []kiosk.Trouble{
			kiosk.TroubleDNS, kiosk.TroubleConnect, kiosk.TroubleTimeout, kiosk.TroubleBroken, kiosk.TroubleClock, kiosk.TroubleCertificate,
			kiosk.TroubleProxy, kiosk.TroublePortal, kiosk.TroubleGarbled, kiosk.TroubleBusy, kiosk.TroubleUnavailable,
		} {
			s.gauge("kiosk_service_trouble", "1 for why the service cannot be reached.", flag01(one.Out && one.Trouble == trouble),
				"service", service, "trouble", string(trouble))
		}
	}
}

// scrapeTimeout bounds how long a scrape waits for the outbox.
const scrapeTimeout = 5 * time.Second

func (m *metrics) collectOutbox(s scrape) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	entries, err := m.src.Entries(ctx)
	s.gauge("kiosk_outbox_readable", "1 while the outbox can be read.", flag01(err == nil))
	moved, orphans := m.src.Alarms()
	s.gauge("kiosk_outbox_quarantined", "1 if a damaged outbox was moved aside: captures may be in it that nobody delivers.", flag01(moved != ""))
	s.gauge("kiosk_outbox_orphan_records", "Records that are sealed for a device key which is not here, and cannot be delivered.", float64(orphans))
	if v := m.src.Volume(); v != nil {
		for _, state := range []volume.State{volume.Ready, volume.Repaired, volume.Formatted, volume.Volatile} {
			s.gauge("kiosk_volume_state", "1 for what became of the data partition at this boot.", flag01(v.State == string(state)), "state", string(state))
		}
		s.gauge("kiosk_volume_losses", "Times that something on the data partition may have been lost and nobody has taken note of it yet.", float64(v.Losses))
	}
	if err == nil {
		type sum struct {
			records int
			bytes   int64
		}
		sums := map[string]sum{}
		var review int
		var oldest time.Time
		for _, e := range entries {
			of := sums[e.State]
			sums[e.State] = sum{of.records + 1, of.bytes + e.Bytes}
			if e.Review {
				review++
			}
			if e.State != "done" && e.State != "dead" && !e.Queued.IsZero() && (oldest.IsZero() || e.Queued.Before(oldest)) {
				oldest = e.Queued
			}
		}
		for _, state := range []string{"queued", "submitted", "uploaded", "confirmed", "done", "dead"} {
			s.gauge("kiosk_outbox_records", "Records in the outbox, by how far they are; dead ones need staff.", float64(sums[state].records), "state", state)
			s.gauge("kiosk_outbox_size_bytes", "Sealed size of the records in the outbox.", float64(sums[state].bytes), "state", state)
		}
		s.gauge("kiosk_outbox_review_records", "Records flagged for review, in any state.", float64(review))
		age := 0.0
		if !oldest.IsZero() {
			age = max(0, time.Since(oldest).Seconds())
		}
		s.gauge("kiosk_outbox_oldest_record_age_seconds", "Age of the oldest record to deliver, by the kiosk's clock; 0 if there is none.", age)
	}
	erased := m.erasures(ctx)
	for _, why := range []string{"settled", "recapture", "dropped", "expired", "unbooked", "redeemed"} {
		s.counter("kiosk_outbox_erased_total", "Records and bookings that nobody can read any more, by why: their key was destroyed.", float64(erased[why]), "why", why)
	}
	all, err := m.src.Bookings(ctx)
	if err != nil {
		return
	}
	fetched := 0
	for _, b := range all {
		if b.Token.Value != "" || !b.Token.Expires.IsZero() {
			fetched++
		}
	}
	const name, help = "kiosk_bookings", "Persons who are expected, by whether their user token is there."
	s.gauge(name, help, float64(fetched), "token", "fetched")
	s.gauge(name, help, float64(len(all)-fetched), "token", "missing")
}

// A scrape takes the values of one.
type scrape struct{ to chan<- prometheus.Metric }

// gauge sends a value with its labels, each a name and a value.
func (s scrape) gauge(name, help string, v float64, labels ...string) {
	s.send(prometheus.GaugeValue, name, help, v, labels)
}

func (s scrape) counter(name, help string, v float64, labels ...string) {
	s.send(prometheus.CounterValue, name, help, v, labels)
}

func (s scrape) send(kind prometheus.ValueType, name, help string, v float64, labels []string) {
	var names, values []string
	for i := 0; i+1 < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	s.to <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, names, nil), kind, v, values...)
}

func flag01(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func codeLabel(c kiosk.DetailedCode) string { return strconv.Itoa(int(c)) }
