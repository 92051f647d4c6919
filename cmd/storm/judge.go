package main

import (
	"fmt"
	"maps"
	"slices"

	"livekiosk/kiosk"
	"livekiosk/queue/gateway/gatewaysim"
)

// A book is what the referee saw of the kiosk: all that it may hold the others
// to.
type book struct {
	begun map[int]bool // captures whose Put was called
	acked map[int]bool // of those, the ones whose Put returned
}

// Evidence is what everybody else knows at the end.
type evidence struct {
	confirmed []gatewaysim.Confirmed
	told      map[string]word // by correlation id: what the partner backend knows
	pending   []kiosk.RecordID
	dead      []kiosk.Entry
	settled   int // records in the outbox's history
}

// A word is the partner backend's knowledge of a session.
type word struct {
	Submission string `json:"submissionId"`
	Status     string `json:"status"`
	Result     string `json:"result"`
}

// A tally is what the evidence comes to where nothing is wrong with it.
type tally struct {
	confirmed int // distinct submissions of acknowledged captures
	whole     int // captures that were cut short and are there all the same
	absent    int // captures that were cut short and are not
	repeated  int // callbacks that the partner backend had heard before
}

// judge holds the evidence against the book. Each finding is a broken promise.
func (b *book) judge(s *studio, e evidence) (t tally, findings []string) {
	fault := func(format string, args ...any) { findings = append(findings, fmt.Sprintf(format, args...)) }
	images := map[string]owner{} // by hash
	for n := range b.begun {
		for doc, img := range s.capture(n).Images {
			images[hash(img)] = owner{n, doc}
		}
	}

	of := map[int][]string{} // submissions by capture, as the images say
	seen := map[string]bool{}
	for _, c := range e.confirmed {
		if seen[c.Submission] {
			fault("submission %s is listed twice", c.Submission)
		}
		seen[c.Submission] = true
		if c.Times != 1 {
			fault("submission %s of %s was confirmed %d times", c.Submission, c.Session, c.Times)
		}
		n, ours := s.number(c.Session)
		if !ours || !b.begun[n] {
			fault("submission %s was confirmed for %q, which no capture has", c.Submission, c.Session)
			n = -1
		}
		for _, doc := range kiosk.Documents() {
			d := c.Documents[string(doc)]
			was, known := images[d.SHA256]
			switch {
			case !known:
				fault("%s of submission %s (capture %d) is no image that was taken: %d bytes, SHA-256 %.16s", doc, c.Submission, n, d.Size, d.SHA256)
				continue
			case n < 0:
				n = was.capture
			case was != owner{n, doc}:
				fault("submission %s of capture %d holds as %s the %s of capture %d", c.Submission, n, doc, was.doc, was.capture)
			}
		}
		if n >= 0 {
			of[n] = append(of[n], c.Submission)
		}
	}

	for _, n := range slices.Sorted(maps.Keys(b.begun)) {
		submissions := of[n]
		switch {
		case len(submissions) > 1:
			fault("capture %d was confirmed %d times: %v", n, len(submissions), submissions)
		case len(submissions) == 0 && b.acked[n]:
			fault("capture %d was acknowledged and is lost", n)
		case b.acked[n]:
			t.confirmed++
		case len(submissions) == 1:
			t.whole++
		default:
			t.absent++
		}
		if e.told == nil || len(submissions) != 1 {
			continue
		}
		switch w := e.told[s.correlation(n)]; {
		case w.Status != "COMPLETED" || w.Result != "VALID":
			fault("the partner's word on capture %d is %q %q, want COMPLETED VALID", n, w.Status, w.Result)
		case w.Submission != submissions[0]:
			fault("the partner's word on capture %d is about submission %s, confirmed was %s", n, w.Submission, submissions[0])
		}
	}

	for _, id := range e.pending {
		fault("%s is still in the outbox", id)
	}
	for _, d := range e.dead {
		fault("%s was set aside: %s", d.Record, d.Reason)
	}
	if want := t.confirmed + t.whole; e.settled != want && len(findings) == 0 {
		fault("the outbox remembers %d settled records, the gateway %d", e.settled, want)
	}
	return t, findings
}

// An owner is where an image belongs.
type owner struct {
	capture int
	doc     kiosk.Document
}
