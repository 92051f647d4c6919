package main

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"livekiosk/kiosk"
	"livekiosk/kiosk/api"
	"livekiosk/kiosk/flow"
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
	case e.Kind == kiosk.EventHint, e.Kind == kiosk.EventPhase, e.Kind == kiosk.EventOutcome:
		text = spaced(text)
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
func saved(r api.Result) bool {
	return r.Status == kiosk.NotCompleted && r.Extra != nil && r.Extra.DetailedErrorCode == kiosk.Saved
}

func resultText(r api.Result) string {
	var b strings.Builder
	b.WriteString(string(r.Status))
	switch {
	case saved(r):
		b.WriteString(": saved for later: the kiosk delivers it by itself, do not capture again")
	case r.Extra != nil:
		fmt.Fprintf(&b, ": %s (%s)", r.Extra.ErrorMessage, strings.TrimSpace(string(r.Extra.ErrorCode)+" "+strconv.Itoa(int(r.Extra.DetailedErrorCode))))
		if r.Retriable {
			b.WriteString(", may be launched again")
		}
	}
	if r.SubmissionID != "" {
		b.WriteString(", submission " + r.SubmissionID)
	}
	return b.String()
}

func statusText(s api.Status) string {
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
	}
	up := (time.Duration(s.UptimeSeconds) * time.Second).String()
	return fmt.Sprintf("kioskd   %s, up %s, %s\nphase    %s, %s\nfaults   %s\ncamera   %s: %.1f frames/s, %d frames, %d dropped\nqueue    %s",
		s.Version, up, ready, spaced(s.Phase), session, faults, dash(s.Camera.Source), s.Camera.FramesPerSecond, s.Camera.Frames, s.Camera.Dropped, queue)
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
	var table strings.Builder // writing to it never fails
	t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	_, _ = t.Write([]byte(rows.String()))
	_ = t.Flush()
	return strings.TrimRight(table.String(), "\n")
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
	phases := make([]string, len(s.Phases))
	for i, p := range s.Phases {
		phases[i] = phaseText(p)
	}
	text := fmt.Sprintf("%s: trace reproduces: %d inputs, phases %s", name, s.Inputs, strings.Join(phases, " → "))
	if !s.Whole {
		text += "; it ends before its session does"
	}
	return text
}

func phaseText(p flow.Phase) string { return spaced(string(p)) }
