package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// write puts the report's files into dir.
func write(dir string, base scenario, results []*result) error {
	for name, content := range map[string]func(io.Writer) error{
		"fleet.md":  func(w io.Writer) error { return document(w, base, results) },
		"fleet.csv": func(w io.Writer) error { return series(w, results) },
		"fleet.png": func(w io.Writer) error { return picture(w, results) },
	} {
		if err := file(filepath.Join(dir, name), content); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

func file(path string, content func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	if err = content(w); err == nil {
		err = w.Flush()
	}
	if end := f.Close(); err == nil {
		err = end
	}
	return err
}

// series is every bin of every scenario.
func series(w io.Writer, results []*result) error {
	if _, err := fmt.Fprintln(w, "scenario,second,offered_per_s,served_per_s,refused_per_s,records_left"); err != nil {
		return err
	}
	for _, r := range results {
		for _, s := range r.bins {
			_, err := fmt.Fprintf(w, "%q,%.0f,%.1f,%.1f,%.1f,%d\n", r.Name, s.at.Seconds(), s.offered, s.served, s.refused, s.left)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// rows formats a table whose columns are as wide as they need, for people who
// read it as it is and for those whose viewer draws it.
func rows(cells [][]string) string {
	width := make([]int, len(cells[0]))
	for _, row := range cells {
		for i, c := range row {
			width[i] = max(width[i], len(c))
		}
	}
	var b strings.Builder
	line := func(row []string) {
		for i, c := range row {
			if i == 0 {
				fmt.Fprintf(&b, "| %-*s ", width[i], c)
			} else {
				fmt.Fprintf(&b, "| %*s ", width[i], c)
			}
		}
		b.WriteString("|\n")
	}
	rule := make([]string, len(width))
	for i, n := range width {
		rule[i] = strings.Repeat("-", n)
		if i > 0 {
			rule[i] = strings.Repeat("-", n-1) + ":"
		}
	}
	line(cells[0])
	line(rule)
	for _, row := range cells[1:] {
		line(row)
	}
	return b.String()
}

// table has the figures of each scenario.
func table(results []*result) string {
	cells := [][]string{{
		"scenario", "capacity /s", "mean /s", "peak /s", "peak/mean", "refused", "alone", "drained", "drained/alone",
		"kiosks p50", "p99", "drought", "walk-in p50", "p99", "in 2 min", "bounds",
	}}
	for _, r := range results {
		verdict := "hold"
		if b := r.broken(); len(b) > 0 {
			verdict = fmt.Sprintf("%d broken", len(b))
		}
		if r.left > 0 {
			cells = append(cells, []string{
				r.Name, fmt.Sprintf("%.0f", r.Capacity), fmt.Sprintf("%.0f", r.mean), fmt.Sprintf("%.0f", r.peak), fmt.Sprintf("%.2f", r.peak/r.mean),
				fmt.Sprintf("%.0f %%", 100*float64(r.offered-r.served)/float64(r.offered)), "-",
				fmt.Sprintf("%.0f %% left after %s", 100*float64(r.left)/float64(r.backlog), minutes(r.drain)), "-", "-", "-", "-", "-", "-", "-", verdict,
			})
			continue
		}
		cells = append(cells, []string{
			r.Name, fmt.Sprintf("%.0f", r.Capacity), fmt.Sprintf("%.0f", r.mean), fmt.Sprintf("%.0f", r.peak), fmt.Sprintf("%.2f", r.peak/r.mean),
			fmt.Sprintf("%.0f %%", 100*float64(r.offered-r.served)/float64(r.offered)), minutes(r.alone),
			minutes(r.drain), fmt.Sprintf("%.2f", r.drain.Seconds()/r.alone.Seconds()),
			minutes(r.half), minutes(r.late), minutes(r.drought),
			fmt.Sprintf("%.1f s", r.walkinHalf.Seconds()), fmt.Sprintf("%.0f s", r.walkinLate.Seconds()), fmt.Sprintf("%.1f %%", 100*r.inTime), verdict,
		})
	}
	return rows(cells)
}

// estimates has paper beside simulation.
func estimates(results []*result) string {
	cells := [][]string{{"scenario", "calls a record: paper", "simulated", "alone: paper", "simulated", "drained: paper", "simulated", "peak /s: paper", "simulated"}}
	for _, r := range results {
		if r.Control {
			continue
		}
		e := estimate(r)
		cells = append(cells, []string{
			r.Name, fmt.Sprintf("%.2f", e.calls), fmt.Sprintf("%.2f", r.calls), minutes(e.alone), minutes(r.alone),
			minutes(e.drain), minutes(r.drain), fmt.Sprintf("%.0f", e.peak), fmt.Sprintf("%.0f", r.peak),
		})
	}
	return rows(cells)
}

func minutes(d time.Duration) string { return fmt.Sprintf("%.0f min", d.Minutes()) }

// document is fleet.md.
func document(w io.Writer, base scenario, results []*result) error {
	r := results[0]
	_, err := fmt.Fprintf(w, `# A fleet after an outage

%d kiosks, a gateway that was away for %.0f h and is back at minute 0. %d kiosks have a queue, %d records in all, %d the
longest. Simulated event by event, with the product's own back-off (queue/deliver.Breaker and PollWait); seed %d.

%s
Rates are calls a second in bins of %v, those that the gateway turns away included; the mean is over the whole drain. In the standard
scenario the busiest single second had %.0f calls, and the object store took up to %.0f uploads a second.

- **alone**: what the capacity would need for the calls of the backlog, as they were served, and for nothing else.
- **drained**: until the last record of the backlog had its verdict. The oldest had waited %.1f h since its capture.
- **kiosks**: when half, and 99 of 100, of the kiosks had emptied their queues.
- **drought**: the longest time in which a kiosk with a queue delivered nothing of it.
- **walk-in**: from arrival to verdict of the people who came during the drain (%d in the standard scenario). The gateway's own check
  takes %v in the middle and 19 s for 1 in 100 of them.

![rates over time](fleet.png)

## The bounds

Peak at most %.0f means; drained at most %.0f times alone; drought no longer than alone; and where the gateway does not itself ask for
longer waits by Retry-After, 99 of 100 walk-ins have their verdict in %v. No bound applies to the controls: they show that a
back-off which forgets the outage at the first answer keeps the gateway busy turning calls away, and people waiting; and that without
growing waits a fleet never lets its gateway up again, because turning it away takes all the capacity there is.

## On paper

%s
The estimates know the policy's constants, not the simulation: see paper.go for the formulas. They take every call to wait as long as
the gateway's queue allows, and no poll to be turned away; a poll that is turned away comes later, when the verdict is more likely there.
So the simulation needs fewer calls a record, and less time.

## The model

- Gateway: one queue, first come, first served, at the capacity; a call takes %v on the line and %v in a worker besides queueing. More
  than %v of queue is turned away with 503 at once, which costs %.0f %% of a call's work. The capacity of the standard scenario is six
  times the fleet's average load, so that eight hours are some 80 minutes of work.
- Kiosks: own rates, log-normal (sigma %.1f, at most %.0f an hour), %.1f records an hour on average, %.0f %% closed. Arrivals are Poisson,
  before, during and after the outage. All probe from their first record on, as the product does; nobody tells them that it is over.
- A record: URLs, two uploads of %v on average to an object store that has room for all, confirmation, polls until the verdict
  (log-normal, median %v, sigma %.1f). URLs live %v. A refused call ends the round; the record goes on where it was.
- People: one who arrives goes first, in a lane of their own, for %v; whoever is not served by then joins the backlog.
- Restarts: %v down, everything in memory lost; failure counts and the server's wish are kept, by a clock that is off by up to two days.
- Left out: the partner backend, sessions of more than one record, slow lines, TLS set-up, and failures other than the gateway's 503.
`,
		base.Kiosks, base.Outage.Hours(), r.with, r.backlog, r.busiest, base.Seed,
		table(results), bin, r.second, r.store, r.oldest.Hours(), r.walkins, verdict,
		mostPeak, mostDrain, mostWalkin, estimates(results),
		roundTrip, handling, base.Room, 100*base.Refusal, base.Skew, base.Busiest, base.PerHour, 100*base.Closed,
		upload, verdict, verdictSD, urlLife, presence, bootTime)
	return err
}
