package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/kiosk/flow"
	"livekiosk/kiosk/guidance"
	"livekiosk/kiosk/trace"
)

// eventPrinter returns what prints one event, timed from the first one. With
// sessions it says which session each belongs to.
func (c call) eventPrinter(sessions bool) func(kiosk.Event) error {
	var first time.Time
	return func(e kiosk.Event) error {
		if first.IsZero() {
			first = e.At
		}
		return c.print(e, eventText(e, e.At.Sub(first), sessions))
	}
}

// eventText is one line about an event that came after the first one.
func eventText(e kiosk.Event, after time.Duration, session bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%8.1f s  ", after.Seconds())
	if session {
		fmt.Fprintf(&b, "%-8.8s  ", dash(string(e.Session)))
	}
	text := e.Text
	switch {
	case e.Kind == api.EventGap:
		text = strings.TrimSpace(text + " events are missing here")
	case e.Kind == api.EventStopping:
		text = "the daemon ends"
	case e.Kind == kiosk.EventHint, e.Kind == kiosk.EventPhase, e.Kind == kiosk.EventOutcome:
		text = spaced(text)
	case e.Kind == kiosk.EventDeferred:
		text = deferralWords(text)
	case e.Kind == kiosk.EventResult && e.Result != nil && session: // who follows one is told at the end
		text = resultText(*e.Result)
	case e.Kind == kiosk.EventFault && text == "":
		text = "cleared"
	}
	fmt.Fprintf(&b, "%-10s %s", spaced(string(e.Kind)), text)
	return strings.TrimRight(b.String(), " ")
}

func spaced(s string) string { return strings.ReplaceAll(s, "_", " ") }

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// saved reports a capture that is safe on the kiosk and not yet delivered.
func saved(r kiosk.Result) bool { return r.Status == kiosk.NotCompleted && r.Detail == kiosk.Saved }

func resultText(r kiosk.Result) string {
	var b strings.Builder
	b.WriteString(string(r.Status))
	switch {
	case saved(r):
		b.WriteString(": saved for later: the kiosk delivers it by itself, do not capture again")
	case r.Detail != kiosk.NoDetail:
		fmt.Fprintf(&b, ": %s (%s %d)", r.Detail.Message(), r.Detail.Class(), r.Detail)
		if r.Detail.Retriable() {
			b.WriteString(", may be launched again")
		}
	}
	if r.SubmissionID != "" {
		b.WriteString(", submission " + r.SubmissionID)
	}
	return b.String()
}

// statusText is the state for somebody who reads it at now.
func statusText(s api.Status, now time.Time) string {
	var b strings.Builder
	line := func(name, text string) { fmt.Fprintf(&b, "%-8s %s\n", name, text) }
	ready, session, faults, queue := "not ready", "no session", "none", "cannot be read"
	if s.Ready {
		ready = "ready"
	}
	if s.SessionRunning {
		session = "a session is running"
	}
	if len(s.Faults) > 0 {
		faults = strings.Trim(fmt.Sprint(s.Faults), "[]")
	}
	if q := s.Queue; q != nil {
		queue = fmt.Sprintf("%d waiting, %d done, %d dead, %d for review, %s", q.Waiting, q.Done, q.Dead, q.Review, size(q.Bytes))
		if q.Dead > 0 {
			queue += ": see kioskctl queue"
		}
	}
	line("kioskd", fmt.Sprintf("%s, up %s, %s", s.Version, time.Duration(s.UptimeSeconds)*time.Second, ready))
	line("phase", spaced(s.Phase)+", "+session)
	line("faults", faults)
	line("camera", fmt.Sprintf("%s: %.1f frames/s, %d frames, %d dropped", dash(s.Camera.Source), s.Camera.FramesPerSecond, s.Camera.Frames, s.Camera.Dropped))
	if e := s.Camera.Exposure; e.Mode != "" && e.Mode != "off" {
		line("", fmt.Sprintf("exposure: %s, %+.1f stops", e.Mode, e.Stops))
	}
	name := "network"
	for _, n := range s.Network {
		for text := range strings.Lines(serviceText(n, now)) {
			line(name, strings.TrimSuffix(text, "\n"))
			name = ""
		}
	}
	line("clock", clockText(s.Clock))
	line("models", modelsText(s.Models))
	if len(s.Panel) > 0 {
		name := "panel"
		for text := range strings.Lines(panelText(s.Panel)) {
			line(name, strings.TrimSuffix(text, "\n"))
			name = ""
		}
	}
	if len(s.Languages) > 2 || s.LanguageProblems > 0 {
		var names []string
		for _, l := range s.Languages {
			names = append(names, fmt.Sprintf("%s (%s)", l.Name, l.Locale))
		}
		line("speaks", strings.Join(names, ", "))
		if n := s.LanguageProblems; n > 0 {
			line("", fmt.Sprintf("%d texts or files of languages are not used: see the log, and kioskctl language check", n))
		}
	}
	line("queue", queue)
	switch s.Mode {
	case "":
	case "relay":
		line("mode", "relay: pictures and metadata open only with the relay's key "+s.RelayKey)
	default:
		line("mode", s.Mode+": this kiosk can read the pictures that wait in its outbox")
	}
	switch s.KeyStore {
	case "file":
		line("keys", "in a file: on the storage of the outbox it protects only against a look at the outbox alone")
	case "credential":
		line("keys", "in a credential: it protects as well as what encrypted it, a TPM more than systemd's host key")
	}
	if s.Models.Problem != "" {
		line("alarm", "models: "+s.Models.Problem)
	}
	if n := s.Models.Rollbacks; n > 0 && len(refusedBundles(s.Models)) > 0 {
		line("alarm", "a bundle of models was given up, since more people were turned away by it than before: see kioskctl models")
	}
	if s.Tamper.Latched {
		when := "nobody knows when"
		if !s.Tamper.Opened.IsZero() {
			when = clock(s.Tamper.Opened, now)
		}
		line("alarm", "the case was opened ("+when+"): look at the kiosk and close it, then: kioskctl panel clear-tamper")
	}
	if s.Quarantined != "" {
		line("alarm", "a damaged outbox was moved to "+s.Quarantined+": captures may be in it that nobody delivers; tell the fleet's administrators")
	}
	if v := s.Volume; v != nil && v.State == "volatile" {
		line("alarm", "the data partition is not there ("+v.Cause+"): nothing is kept, and what lies on it is not delivered; see kioskctl volume")
	}
	if v := s.Volume; v != nil && v.Losses > 0 {
		line("alarm", "the data partition was "+v.State+": captures may be lost; see kioskctl volume")
	}
	if s.Orphans > 0 {
		line("alarm", fmt.Sprintf("%d records are sealed for another device key and cannot be delivered: bring that key back, or tell the fleet's administrators", s.Orphans))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// serviceText is a line about a service, and one about what to do if it is out.
func serviceText(n api.ServiceStatus, now time.Time) string {
	switch n.State {
	case api.ReachOK:
		return string(n.Service) + ": ok"
	case api.ReachUnknown:
		return string(n.Service) + ": not asked yet"
	case api.ReachOut:
	}
	what, do := troubleWords(n.Trouble)
	since := ""
	if !n.Since.IsZero() {
		since = fmt.Sprintf(" since %s (%s)", clock(n.Since, now), span(now.Sub(n.Since)))
	}
	tries := fmt.Sprintf("%d tries", n.Failures)
	if n.Failures == 1 {
		tries = "1 try"
	}
	return fmt.Sprintf("%s: out%s, %s (%s), %s\n  do: %s", n.Service, since, what, dash(string(n.Trouble)), tries, do)
}

func clockText(c api.ClockStatus) string {
	skew := time.Duration(c.SkewSeconds * float64(time.Second))
	text := "agrees with the gateway's"
	switch {
	case !c.Known:
		text = "not compared with the gateway's yet"
	case skew >= 2*time.Second:
		text = span(skew) + " ahead of the gateway's"
	case skew <= -2*time.Second:
		text = span(skew) + " behind the gateway's"
	}
	if !c.Trusted {
		text += ", not trusted\n" + strings.Repeat(" ", 11) + "do: set the clock, and check the time service: timedatectl"
	}
	return text
}

// size is a number of bytes for people.
func size(n int64) string {
	if n < 10_000 {
		return fmt.Sprintf("%d bytes", n)
	}
	if n < 10_000_000 {
		return fmt.Sprintf("%d kB", n/1000)
	}
	return fmt.Sprintf("%d MB", n/1_000_000)
}

func queueText(entries []kiosk.Entry) string {
	if len(entries) == 0 {
		return "the outbox is empty"
	}
	var rows strings.Builder
	rows.WriteString("RECORD\tSTATE\tATTEMPT\tREVIEW\tQUEUED\tSIZE\tOUTCOME\tREASON\n")
	for _, e := range entries {
		review := "-"
		if e.Review {
			review = "yes"
		}
		fmt.Fprintf(&rows, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\n", e.Record, e.State, e.Attempt, review,
			e.Queued.Format(time.DateTime), size(e.Bytes), dash(string(e.Outcome)), dash(e.Reason))
	}
	var b strings.Builder
	b.WriteString(table(rows.String()))
	reasons := map[string]bool{}
	for _, e := range entries {
		if e.State == "dead" {
			reasons[e.Reason] = true
		}
	}
	if len(reasons) > 0 {
		b.WriteString("\n\nDead records, which wait for a decision (kioskctl help queue):")
	}
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		b.WriteString("\n  " + dash(reason) + ": " + reasonWords(reason))
	}
	return b.String()
}

// table lines up rows of columns that are set apart by tabs.
func table(rows string) string {
	var b strings.Builder // writing to it never fails
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = t.Write([]byte(rows))
	_ = t.Flush()
	return strings.TrimRight(b.String(), "\n")
}

func bookingsText(all []api.Booked, now time.Time) string {
	if len(all) == 0 {
		return "nobody is booked"
	}
	var rows strings.Builder
	rows.WriteString("CORRELATION ID\tCODE\tBOOKED\tTOKEN\n")
	for _, b := range all {
		token := "not fetched yet"
		switch {
		case b.Fetched && b.Expires.IsZero():
			token = "fetched"
		case b.Fetched && !now.Before(b.Expires):
			token = "expired " + clock(b.Expires, now)
		case b.Fetched:
			token = "fetched, expires " + clock(b.Expires, now)
		}
		fmt.Fprintf(&rows, "%s\t%s\t%s\t%s\n", b.CorrelationID, b.Code, clock(b.Booked, now), token)
	}
	return table(rows.String())
}

// replayed is what replay prints for machines.
type replayed struct {
	Trace      string        `json:"trace"`
	Reproduces bool          `json:"reproduces"`
	Summary    trace.Summary `json:"summary"`
}

func replayText(name string, s trace.Summary) string {
	if len(s.Mismatches) > 0 {
		lines := make([]string, len(s.Mismatches))
		for i, m := range s.Mismatches {
			lines[i] = name + ": " + m.String()
		}
		return strings.Join(lines, "\n")
	}
	text := fmt.Sprintf("%s: trace reproduces: %d inputs, phases %s", name, s.Inputs, phasesText(s.Phases))
	if !s.Whole {
		text += "; it ends before its session does"
	}
	return text
}

// compared is what replay with a profile prints for machines.
type compared struct {
	Trace string `json:"trace"`
	trace.Comparison
}

func compareText(name, profile string, c trace.Comparison) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: with %s %d of %d inputs lead elsewhere", name, profile, c.Differ, c.Inputs)
	for _, v := range c.Changed {
		fmt.Fprintf(&b, "\n  value   %s: %s → %s", v.Key, v.Was, v.Is)
	}
	if j := c.Judged; j != nil {
		fmt.Fprintf(&b, "\n  judged  line %d, %.1f s, frame %d, %s: %s → %s", j.Line, j.At.Seconds(), j.Frame, j.Pose, causeText(j.Was), causeText(j.Is))
	}
	if p := c.Parted; p != nil {
		fmt.Fprintf(&b, "\n  parted  line %d, %.1f s: %s → %s", p.Line, p.At.Seconds(), stepText(p.Was), stepText(p.Is))
		fmt.Fprintf(&b, "\n  was     %s\n  is      %s", phasesText(c.Was), phasesText(c.Is))
	}
	return b.String()
}

// causeText says which limit led to a hint.
func causeText(c guidance.Cause) string {
	if c.Limit == "" {
		return string(c.Hint)
	}
	side := "above"
	if c.Value < c.Bound {
		side = "below"
	}
	return fmt.Sprintf("%s (%.4g is %s %s, %.4g)", c.Hint, c.Value, side, c.Limit, c.Bound)
}

func stepText(s trace.Step) string {
	words := []string{phaseText(s.Phase)}
	if s.Hint != kiosk.NoHint {
		words = append(words, string(s.Hint))
	}
	for _, e := range s.Do {
		words = append(words, string(e))
	}
	return strings.Join(words, " ")
}

func phasesText(phases []flow.Phase) string {
	words := make([]string, len(phases))
	for i, p := range phases {
		words[i] = phaseText(p)
	}
	return strings.Join(words, " → ")
}

func phaseText(p flow.Phase) string { return spaced(string(p)) }

// detailText is one record for somebody who reads it at now.
func detailText(d kiosk.Detail, now time.Time) string {
	var b strings.Builder
	line := func(name, text string) { fmt.Fprintf(&b, "%-10s %s\n", name, text) }
	line("record", string(d.Record))
	line("session", dash(string(d.Session)))
	state := d.State
	if !d.Changed.IsZero() {
		state += " since " + clock(d.Changed, now)
	}
	line("state", state)
	if d.Reason != "" || d.Outcome != "" {
		by := ""
		if d.By != "" {
			by = ", dropped by " + d.By
		}
		line("outcome", strings.TrimSpace(string(d.Outcome)+" "+d.Reason)+by)
	}
	if d.State == "dead" {
		line("", "do: "+reasonWords(d.Reason))
	}
	review := ""
	if d.Review {
		review = ", flagged for review"
	}
	line("attempt", fmt.Sprintf("%d%s", d.Attempt, review))
	age := ""
	if d.State != "done" {
		age = fmt.Sprintf(", %s old for certain", span(time.Duration(d.Age)*time.Second))
		if d.Expires > 0 {
			age += fmt.Sprintf(", erased in %s at the earliest", span(time.Duration(d.Expires)*time.Second))
		}
	}
	line("queued", clock(d.Queued, now)+age)
	line("gateway", gatewayText(d))
	if d.Failures > 0 || !d.NotBefore.IsZero() {
		tries := fmt.Sprintf("%d in a row came to nothing", d.Failures)
		if !d.NotBefore.IsZero() {
			tries += ", the next not before " + clock(d.NotBefore, now)
		}
		line("tries", tries)
	}
	if d.Key != "" {
		line("key", d.Key)
	}
	if d.Relay != "" {
		line("relay", d.Relay+", which alone opens the pictures")
	}
	name := "parts"
	for _, p := range d.Parts {
		opens := "opens"
		if !p.Opens {
			opens = "DOES NOT OPEN with this device's keys"
		}
		line(name, fmt.Sprintf("%s, %s, %s", p.Name, size(p.Bytes), opens))
		name = ""
	}
	if len(d.Parts) == 0 {
		line("parts", "none: nothing of the person is left")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// gatewayText says what of a record lies at the gateway.
func gatewayText(d kiosk.Detail) string {
	switch {
	case d.SubmissionID == "":
		return "knows nothing of it"
	case d.Confirmed:
		return "has it, as submission " + d.SubmissionID
	}
	return fmt.Sprintf("has %d of its pictures, not confirmed, as submission %s", len(d.Uploaded), d.SubmissionID)
}

// droppedText says what is left to be done for the person: the kiosk erases
// what the kiosk has.
func droppedText(d api.Dropped) string {
	text := fmt.Sprintf("%s: erased on this kiosk, for good", d.Record)
	switch {
	case d.Confirmed:
		text += fmt.Sprintf("\nThe gateway has it already, as submission %s: if it has to be erased there, too, tell the gateway's operator, who is not told by this.", dash(d.SubmissionID))
	case len(d.Uploaded) > 0:
		text += fmt.Sprintf("\nThe gateway has %d of its pictures, not confirmed, as submission %s: if they have to be erased there, too, tell the gateway's operator.", len(d.Uploaded), dash(d.SubmissionID))
	case d.SubmissionID != "":
		text += fmt.Sprintf("\nThe gateway knows of it as submission %s, without a picture that is known to have arrived.", d.SubmissionID)
	}
	return text
}

func erasuresText(all []kiosk.Erasure) string {
	if len(all) == 0 {
		return "nothing was erased that is still known of"
	}
	var rows strings.Builder
	rows.WriteString("RECORD\tWHY\tREMOVED\tERASED\tKEY\n")
	for _, e := range all {
		record, removed := string(e.Record), "-"
		if e.Booking != "" {
			record = "booking " + e.Booking
		}
		if !e.Removed.IsZero() {
			removed = e.Removed.Format(time.DateTime)
		}
		fmt.Fprintf(&rows, "%s\t%s\t%s\t%s\t%s\n", dash(record), e.Why, removed, e.Erased.Format(time.DateTime), e.Epoch)
	}
	return table(rows.String())
}

func verificationText(v kiosk.Verification) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d records of %d parts, %s: ", v.Records, v.Parts, size(v.Bytes))
	if len(v.Broken) == 0 {
		b.WriteString("every part opens")
	} else {
		fmt.Fprintf(&b, "%d do not open with this device's keys, see kioskctl queue show:", len(v.Broken))
	}
	for _, id := range v.Broken {
		b.WriteString("\n  " + string(id))
	}
	fmt.Fprintf(&b, "\n%d erasures: ", v.Erasures)
	if v.Tampered {
		b.WriteString("THEIR PROOF WAS CHANGED from outside: tell the fleet's administrators")
	} else {
		b.WriteString("their proof is as it was written")
	}
	if v.Unproven > 0 {
		fmt.Fprintf(&b, ", but for %d that need a device key which is not here to be checked", v.Unproven)
	}
	return b.String()
}
